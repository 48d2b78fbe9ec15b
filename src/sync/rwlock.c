/* SPDX-License-Identifier: MIT */
/*
 * rwlock.c - many readers or one writer, first come first served.
 *
 * Invariants  writer != NULL implies readers == 0. While somebody waits, the head may not get in:
 *             whoever leaves, the lock or the queue, lets in from the head what now may.
 * Lock        rwlock.lock guards everything.
 * Rejected    Readers overtaking a waiting writer (it starves), and writers overtaking readers
 *             that came before (they starve): one queue is fair to both.
 */
#include <tutti/rwlock.h>
#include <tutti/select.h>

#include "base/panic.h"
#include "base/sometimes.h"
#include "base/spin.h"
#include "sync/waiters.h"

struct rwlock {
	tti_spin lock;
	uint32_t readers;                    /* that are in */
	struct tt_task *writer;              /* who writes, else NULL */
	struct tti_list waiters;
};

_Static_assert(sizeof(struct rwlock) <= sizeof(tt_rwlock), "tt_rwlock holds an rwlock");

enum mode { READ, WRITE };                   /* of a node, in its n */

static struct rwlock *from_public(tt_rwlock *l)
{
	return (struct rwlock *)(void *)l;
}

/* Takes the lock. Static storage of zeros is an rwlock too: its list is made here. */
static void enter(struct rwlock *own)
{
	tti_spin_lock(&own->lock);
	if (own->waiters.next == NULL)
		tti_list_init(&own->waiters);
}

void tt_rwlock_init(tt_rwlock *l)
{
	*from_public(l) = (struct rwlock){ 0 };
}

void tt_rwlock_fini(tt_rwlock *l)
{
	struct rwlock *own = from_public(l);

	if (own == NULL)
		return;
	TT_REQUIRE(own->writer == NULL, "tt_rwlock_fini: task %s#%llu writes", own->writer->name,
	           (unsigned long long)own->writer->id);
	TT_REQUIRE(own->readers == 0, "tt_rwlock_fini: %u tasks read", own->readers);
	tti_require_nobody_waits(&own->waiters, "tt_rwlock_fini");
}

static bool may_enter(const struct rwlock *l, uint64_t mode)
{
	return l->writer == NULL && (mode == READ || l->readers == 0);
}

static void let_in(struct rwlock *l, uint64_t mode, struct tt_task *t)
{
	if (mode == READ)
		l->readers++;
	else
		l->writer = t;
}

/* Under the lock: from the head, everybody who may get in now. */
static void grant(struct rwlock *l, struct tti_list *woken)
{
	TTI_LIST_FOR_EACH (link, &l->waiters) {
		struct tti_wait_node *n = TTI_CONTAINER_OF(link, struct tti_wait_node, link);

		if (!may_enter(l, n->n)) {
			/* Those claimed by somebody else are on their way out. */
			if (tti_waiter_is_waiting(n->waiter))
				return;
			continue;
		}
		TTI_SOMETIMES(!tti_waiter_is_waiting(n->waiter), "a lock is offered to a waiter that gave up");
		if (tti_claim_node(n, 0, woken))
			let_in(l, n->n, n->waiter->task);
	}
}

/* Under the lock: 0, TT_EBUSY, or TT_EDEADLK when the caller writes. */
static int enter_now(struct rwlock *l, uint64_t mode, struct tt_task *self)
{
	if (l->writer == self)
		return TT_EDEADLK;
	if (!may_enter(l, mode) || tti_somebody_waits(&l->waiters))
		return TT_EBUSY;
	let_in(l, mode, self);
	return 0;
}

static int rwlock_enlist(const tt_arm *arm, struct tti_wait_node *n, bool may_link)
{
	struct rwlock *l = arm->object;
	int rc;

	TT_ASSERT(may_link); /* not offered to selects: nobody else claims one that is not linked */
	enter(l);
	rc = enter_now(l, n->n, n->waiter->task);
	if (rc == TT_EBUSY)
		tti_list_push_back(&l->waiters, &n->link);
	tti_spin_unlock(&l->lock);
	return rc == TT_EBUSY ? TTI_ARM_LINKED : tti_claim_own_node(n, rc);
}

static void rwlock_delist(const tt_arm *arm, struct tti_wait_node *n)
{
	struct rwlock *l = arm->object;
	struct tti_list woken;

	tti_list_init(&woken);
	enter(l);
	if (tti_list_linked(&n->link)) {
		tti_list_unlink(&n->link);
		grant(l, &woken);
		TTI_SOMETIMES(!tti_list_empty(&woken), "a writer gives up, and readers behind it get in");
	}
	tti_spin_unlock(&l->lock);
	tti_wake_all(&woken);
}

static const struct tti_arm_ops rwlock_arm = { .verb = "rwlock", .enlist = rwlock_enlist, .delist = rwlock_delist };

static int try_enter(struct rwlock *l, enum mode mode, struct tt_task *self)
{
	int rc;

	enter(l);
	rc = enter_now(l, mode, self);
	tti_spin_unlock(&l->lock);
	return rc;
}

static int lock(struct rwlock *l, enum mode mode, struct tt_task *self, bool abortable, const char *call)
{
	tt_arm arm = { .ops = &rwlock_arm, .object = l, .n = mode };
	int rc = try_enter(l, mode, self);

	if (rc == TT_EBUSY)
		rc = tti_wait_arm(&arm, abortable);
	TT_REQUIRE(rc != TT_EDEADLK, "%s: task %s#%llu writes under this lock already", call, self->name,
	           (unsigned long long)self->id);
	return rc;
}

static int lock_checked(tt_rwlock *l, enum mode mode, const char *call)
{
	struct tt_task *self = tti_current_or_panic(call);
	int rc;

	if (self == NULL)
		return TT_EWRONGCTX;
	rc = tti_checkpoint();
	return rc < 0 ? rc : lock(from_public(l), mode, self, true, call);
}

int tt_rwlock_read(tt_rwlock *l)
{
	return lock_checked(l, READ, "tt_rwlock_read");
}

int tt_rwlock_write(tt_rwlock *l)
{
	return lock_checked(l, WRITE, "tt_rwlock_write");
}

static tt_rwlock *lock_shielded(tt_rwlock *l, enum mode mode, const char *call)
{
	struct tt_task *self = tti_current_or_panic(call);

	TT_REQUIRE(self != NULL, "%s: called from a pool job", call);
	TT_IGNORE(lock(from_public(l), mode, self, false, call));
	return l;
}

tt_rwlock *tt_rwlock_read_shielded_(tt_rwlock *l)
{
	return lock_shielded(l, READ, "TT_READ_LOCK");
}

tt_rwlock *tt_rwlock_write_shielded_(tt_rwlock *l)
{
	return lock_shielded(l, WRITE, "TT_WRITE_LOCK");
}

static int try_checked(tt_rwlock *l, enum mode mode, const char *call)
{
	struct tt_task *self = tti_current_or_panic(call);
	int rc;

	if (self == NULL)
		return TT_EWRONGCTX;
	rc = try_enter(from_public(l), mode, self);
	return rc == TT_EDEADLK ? TT_EBUSY : rc;
}

int tt_rwlock_try_read(tt_rwlock *l)
{
	return try_checked(l, READ, "tt_rwlock_try_read");
}

int tt_rwlock_try_write(tt_rwlock *l)
{
	return try_checked(l, WRITE, "tt_rwlock_try_write");
}

void tt_rwlock_unlock(tt_rwlock *storage)
{
	struct rwlock *l = from_public(storage);
	struct tti_list woken;

	tti_list_init(&woken);
	enter(l);
	if (l->writer == NULL) {
		TT_REQUIRE(l->readers > 0, "tt_rwlock_unlock: nobody holds this lock");
		l->readers--;
	} else {
		TT_REQUIRE(l->writer == tti_current(), "tt_rwlock_unlock: task %s#%llu writes, not the caller",
		           l->writer->name, (unsigned long long)l->writer->id);
		l->writer = NULL;
	}
	grant(l, &woken);
	tti_spin_unlock(&l->lock);
	tti_wake_all(&woken);
}

void tt_rwlock_downgrade(tt_rwlock *storage)
{
	struct rwlock *l = from_public(storage);
	struct tti_list woken;

	tti_list_init(&woken);
	enter(l);
	TT_REQUIRE(l->writer != NULL && l->writer == tti_current(), "tt_rwlock_downgrade: the caller does not write");
	l->writer = NULL;
	l->readers = 1;
	grant(l, &woken);
	tti_spin_unlock(&l->lock);
	tti_wake_all(&woken);
}

/* SPDX-License-Identifier: MIT */
/*
 * mutex.c - a lock for tasks. Unlocking hands it to the first waiter: nobody overtakes,
 * and a contended unlock costs one wake instead of a race (a wake and a retry of all).
 *
 * Invariants  Waiters exist only while the lock is held.
 * Lock        mutex.lock guards owner and waiters.
 */
#include <tutti/mutex.h>
#include <tutti/select.h>

#include "base/panic.h"
#include "base/sometimes.h"
#include "base/spin.h"
#include "sync/mutex.h"
#include "sync/waiters.h"

struct mutex {
	tti_spin lock;
	struct tt_task *owner;               /* NULL: free */
	struct tti_list waiters;
};

_Static_assert(sizeof(struct mutex) <= sizeof(tt_mutex), "tt_mutex holds a mutex");

static struct mutex *from_public(tt_mutex *m)
{
	return (struct mutex *)(void *)m;
}

/* Takes the lock. Static storage of zeros is a mutex too: its list is made here. */
static void enter(struct mutex *own)
{
	tti_spin_lock(&own->lock);
	if (own->waiters.next == NULL)
		tti_list_init(&own->waiters);
}

void tt_mutex_init(tt_mutex *m)
{
	struct mutex *own = from_public(m);

	*own = (struct mutex){ 0 };
}

void tt_mutex_fini(tt_mutex *m)
{
	struct mutex *own = from_public(m);

	if (own == NULL)
		return;
	TT_REQUIRE(own->owner == NULL, "tt_mutex_fini: task %s#%llu holds it", own->owner->name,
	           (unsigned long long)own->owner->id);
	/* It may be free, with one that was cancelled still on its way out. */
	tti_require_nobody_waits(&own->waiters, "tt_mutex_fini");
}

static int mutex_enlist(const tt_arm *arm, struct tti_wait_node *n, bool may_link)
{
	struct mutex *m = arm->object;
	int result = TTI_ARM_LINKED;

	enter(m);
	if (m->owner == NULL) {
		result = tti_claim_own_node(n, 0);
		if (result == TTI_ARM_DONE)
			m->owner = n->waiter->task;
	} else if (may_link) {
		TT_REQUIRE(m->owner != n->waiter->task, "TT_ON_LOCK: task %s#%llu holds this mutex already",
		           m->owner->name, (unsigned long long)m->owner->id);
		tti_list_push_back(&m->waiters, &n->link);
		if (TTI_LAW_BROKEN(8))
			return result; /* deliberately wrong: parks with the spinlock held */
	}
	tti_spin_unlock(&m->lock);
	return result;
}

static void mutex_delist(const tt_arm *arm, struct tti_wait_node *n)
{
	struct mutex *m = arm->object;

	enter(m);
	tti_list_unlink(&n->link);
	tti_spin_unlock(&m->lock);
}

static const struct tti_arm_ops mutex_arm = { .verb = "lock", .enlist = mutex_enlist, .delist = mutex_delist };

static int try_lock(struct mutex *m, struct tt_task *self)
{
	int rc = 0;

	enter(m);
	if (m->owner == NULL)
		m->owner = self;
	else
		rc = m->owner == self ? TT_EDEADLK : TT_EBUSY;
	tti_spin_unlock(&m->lock);
	return rc;
}

static int lock(struct mutex *m, struct tt_task *self, bool abortable, const char *call)
{
	tt_arm arm = { .ops = &mutex_arm, .object = m };
	int rc = try_lock(m, self);

	if (rc == 0)
		return 0;
	TT_REQUIRE(rc != TT_EDEADLK, "%s: task %s#%llu holds this mutex already", call, self->name,
	           (unsigned long long)self->id);
	return tti_wait_arm(&arm, abortable);
}

int tt_mutex_lock(tt_mutex *storage)
{
	struct mutex *m = from_public(storage);
	struct tt_task *self = tti_current_or_panic("tt_mutex_lock");
	int rc;

	if (self == NULL)
		return TT_EWRONGCTX;
	rc = tti_checkpoint();
	return rc < 0 ? rc : lock(m, self, true, "tt_mutex_lock");
}

tt_mutex *tt_mutex_lock_shielded_(tt_mutex *storage)
{
	struct mutex *m = from_public(storage);
	struct tt_task *self = tti_current_or_panic("TT_LOCK");

	TT_REQUIRE(self != NULL, "TT_LOCK: called from a pool job");
	TT_IGNORE(lock(m, self, false, "TT_LOCK"));
	return storage;
}

int tt_mutex_try_lock(tt_mutex *storage)
{
	struct mutex *m = from_public(storage);
	struct tt_task *self = tti_current_or_panic("tt_mutex_try_lock");
	int rc;

	if (self == NULL)
		return TT_EWRONGCTX;
	rc = try_lock(m, self);
	return rc == TT_EDEADLK ? TT_EBUSY : rc;
}

bool tti_mutex_is_held(tt_mutex *storage)
{
	struct mutex *m = from_public(storage);
	bool held;

	enter(m);
	held = m->owner == tti_current();
	tti_spin_unlock(&m->lock);
	return held;
}

void tt_mutex_unlock(tt_mutex *storage)
{
	struct mutex *m = from_public(storage);
	struct tti_list woken;

	tti_list_init(&woken);
	enter(m);
	TT_REQUIRE(m->owner == tti_current() && m->owner != NULL, "tt_mutex_unlock: the caller does not hold this mutex");
	m->owner = NULL;
	TTI_SOMETIMES(!tti_list_empty(&m->waiters) && !tti_somebody_waits(&m->waiters),
	              "a mutex is unlocked when all who wait have given up");
	if (tti_claim_waiters(&m->waiters, 1, 0, &woken) > 0)
		m->owner = TTI_CONTAINER_OF(tti_list_first(&woken), struct tti_wait_node, link)->waiter->task;
	tti_spin_unlock(&m->lock);
	tti_wake_all(&woken);
}

tt_arm tt_on_lock_(tt_mutex *m)
{
	return (tt_arm){ .ops = &mutex_arm, .object = from_public(m) };
}

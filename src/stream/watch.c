/* SPDX-License-Identifier: MIT */
/*
 * watch.c - one value, its number, and those who wait for another number.
 *
 * A change wakes everybody who waits; what they take is the latest value at the moment they
 * run, not at the one they were woken.
 *
 * Invariants  The number grows with each set and never otherwise; who waits has seen it.
 *             A reader's number moves only together with the value it stands for.
 * Lock        watch.lock guards everything.
 * Rejected    A sequence lock: readers would copy without waiting, but race with the writer
 *             in plain memory; the lock is held for one copy.
 */
#include <tutti/select.h>
#include <tutti/watch.h>

#include <string.h>

#include "base/panic.h"
#include "base/sometimes.h"
#include "base/spin.h"
#include "wait/wait.h"

#define WATCH_MAGIC UINT32_C(0x74747761)

struct watch {
	tti_spin lock;
	uint32_t magic;
	size_t size;                         /* bytes; set at init */
	void *value;                         /* behind this struct */
	uint64_t number;                     /* of the value, from 1 */
	struct tti_list waiters;             /* nodes */
	bool closed;
};

_Static_assert(sizeof(struct watch) <= sizeof(tt_watch), "tt_watch holds a watch");

static struct watch *from_public(tt_watch *w, const char *call)
{
	struct watch *own = (struct watch *)(void *)w;

	TT_REQUIRE(own->magic == WATCH_MAGIC, "%s: the watch is not initialised (or finished)", call);
	return own;
}

static uint64_t *seen_of(const tt_arm *arm)
{
	return (uint64_t *)(uintptr_t)arm->n;
}

/* Under the lock: 1 a newer value, 0 the end, or -EAGAIN. */
static int look(const struct watch *w, uint64_t seen)
{
	if (w->number != seen)
		return 1;
	return w->closed ? 0 : TT_EAGAIN;
}

static int changed_enlist(const tt_arm *arm, struct tti_wait_node *n, bool may_link)
{
	struct watch *w = arm->object;
	int now, result = TTI_ARM_LINKED;

	tti_spin_lock(&w->lock);
	now = look(w, *seen_of(arm));
	if (now != TT_EAGAIN)
		result = tti_claim_own_node(n, now);
	else if (may_link)
		tti_list_push_back(&w->waiters, &n->link);
	tti_spin_unlock(&w->lock);
	return result;
}

static void changed_delist(const tt_arm *arm, struct tti_wait_node *n)
{
	struct watch *w = arm->object;

	tti_spin_lock(&w->lock);
	tti_list_unlink(&n->link);
	tti_spin_unlock(&w->lock);
}

static int changed_finish(const tt_arm *arm, int rc)
{
	struct watch *w = arm->object;

	if (rc != 1)
		return rc;
	tti_spin_lock(&w->lock);
	TTI_SOMETIMES(w->number > *seen_of(arm) + 1, "a value is replaced before who watches has seen it");
	TTI_SOMETIMES(w->closed, "a watch is closed before its last value is seen");
	memcpy(arm->value, w->value, w->size);
	*seen_of(arm) = w->number;
	tti_spin_unlock(&w->lock);
	return rc;
}

static const struct tti_arm_ops watch_arm = {
	.verb = "watch_changed",
	.enlist = changed_enlist,
	.delist = changed_delist,
	.finish = changed_finish,
	.zero_is_closed = true,
};

static tt_arm changed_arm(tt_watch *w, uint64_t *seen, void *ret_p, int *rc, const char *call)
{
	return (tt_arm){
		.ops = &watch_arm, .object = from_public(w, call), .value = ret_p, .rc = rc, .n = (intptr_t)seen,
	};
}

tt_arm tt_on_watch_(tt_watch *w, uint64_t *seen, void *ret_p, int *rc)
{
	return changed_arm(w, seen, ret_p, rc, "TT_ON_WATCH");
}

int (tt_watch_changed)(tt_watch *w, uint64_t *seen, void *ret_p)
{
	tt_arm arm = changed_arm(w, seen, ret_p, NULL, "tt_watch_changed");
	int rc = tti_checkpoint();

	return rc < 0 ? rc : tti_wait_arm(&arm, true);
}

uint64_t (tt_watch_get)(tt_watch *storage, void *ret_p)
{
	struct watch *w = from_public(storage, "tt_watch_get");
	uint64_t number;

	tti_spin_lock(&w->lock);
	memcpy(ret_p, w->value, w->size);
	number = w->number;
	tti_spin_unlock(&w->lock);
	return number;
}

/* Under the lock. */
static void wake_waiters(struct watch *w, int rc, struct tti_list *woken)
{
	TTI_LIST_FOR_EACH (link, &w->waiters)
		TT_IGNORE(tti_claim_node(TTI_CONTAINER_OF(link, struct tti_wait_node, link), rc, woken));
}

int (tt_watch_set)(tt_watch *storage, const void *p)
{
	struct watch *w = from_public(storage, "tt_watch_set");
	struct tti_list woken;
	bool closed;

	tti_list_init(&woken);
	tti_spin_lock(&w->lock);
	closed = w->closed;
	if (!closed) {
		memcpy(w->value, p, w->size);
		w->number++;
		wake_waiters(w, 1, &woken);
	}
	tti_spin_unlock(&w->lock);
	tti_wake_all(&woken);
	return closed ? TT_ECLOSED : 0;
}

/* ---- life ---- */

void tt_watch_init_(tt_watch *storage, void *value, size_t size, const void *first)
{
	struct watch *w = (struct watch *)(void *)storage;

	*w = (struct watch){ .size = size, .value = value, .number = 1 };
	memcpy(value, first, size);
	tti_spin_init(&w->lock);
	tti_list_init(&w->waiters);
	w->magic = WATCH_MAGIC;
}

void (tt_watch_close)(tt_watch *storage)
{
	struct watch *w = from_public(storage, "tt_watch_close");
	struct tti_list woken;

	tti_list_init(&woken);
	tti_spin_lock(&w->lock);
	w->closed = true;
	wake_waiters(w, 0, &woken);
	tti_spin_unlock(&w->lock);
	tti_wake_all(&woken);
}

void (tt_watch_fini)(tt_watch *storage)
{
	struct watch *w = (struct watch *)(void *)storage;

	if (w == NULL || w->magic != WATCH_MAGIC)
		return;
	tti_require_nobody_waits(&w->waiters, "tt_watch_fini");
	w->magic = 0;
}

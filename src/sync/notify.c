/* SPDX-License-Identifier: MIT */
/*
 * notify.c - "something changed": one token that is stored when nobody waits.
 *
 * Invariants  A stored token implies that nobody waits. A token goes to exactly one
 *             waiter: the claim decides, so one that a cancelled waiter could not take goes
 *             to the next, or stays stored.
 * Lock        notify.lock guards token and waiters.
 */
#include <tutti/notify.h>
#include <tutti/select.h>

#include "base/panic.h"
#include "base/sometimes.h"
#include "base/spin.h"
#include "sync/waiters.h"

struct notify {
	tti_spin lock;
	bool token;
	struct tti_list waiters;
};

_Static_assert(sizeof(struct notify) <= sizeof(tt_notify), "tt_notify holds a notify");

static struct notify *from_public(tt_notify *n)
{
	return (struct notify *)(void *)n;
}

/* Takes the lock. Static storage of zeros is a notify too: its list is made here. */
static void enter(struct notify *own)
{
	tti_spin_lock(&own->lock);
	if (own->waiters.next == NULL)
		tti_list_init(&own->waiters);
}

void tt_notify_init(tt_notify *n)
{
	struct notify *own = from_public(n);

	*own = (struct notify){ 0 };
}

void tt_notify_fini(tt_notify *n)
{
	struct notify *own = from_public(n);

	if (own == NULL)
		return;
	tti_require_nobody_waits(&own->waiters, "tt_notify_fini");
}

static int notify_enlist(const tt_arm *arm, struct tti_wait_node *n, bool may_link)
{
	struct notify *own = arm->object;
	int result = TTI_ARM_LINKED;

	enter(own);
	if (own->token) {
		result = tti_claim_own_node(n, 0);
		if (result == TTI_ARM_DONE)
			own->token = false;
	} else if (may_link) {
		tti_list_push_back(&own->waiters, &n->link);
	}
	tti_spin_unlock(&own->lock);
	return result;
}

static void notify_delist(const tt_arm *arm, struct tti_wait_node *n)
{
	struct notify *own = arm->object;

	enter(own);
	tti_list_unlink(&n->link);
	tti_spin_unlock(&own->lock);
}

static const struct tti_arm_ops notify_arm = { .verb = "notify", .enlist = notify_enlist, .delist = notify_delist };

void tt_notify_one(tt_notify *storage)
{
	struct notify *n = from_public(storage);
	struct tti_list woken;

	tti_list_init(&woken);
	enter(n);
	if (tti_claim_waiters(&n->waiters, 1, 0, &woken) == 0) {
		TTI_SOMETIMES(!tti_list_empty(&n->waiters), "a notification finds only waiters that gave up");
		TTI_SOMETIMES(n->token, "two notifications become one");
		n->token = true;
	}
	tti_spin_unlock(&n->lock);
	tti_wake_all(&woken);
}

void tt_notify_all(tt_notify *storage)
{
	struct notify *n = from_public(storage);
	struct tti_list woken;

	tti_list_init(&woken);
	enter(n);
	tti_claim_waiters(&n->waiters, TTI_WAITERS_ALL, 0, &woken);
	tti_spin_unlock(&n->lock);
	tti_wake_all(&woken);
}

int tt_notify_wait(tt_notify *storage)
{
	struct notify *n = from_public(storage);
	tt_arm arm = { .ops = &notify_arm, .object = n };
	int rc;

	if (tti_current_or_panic("tt_notify_wait") == NULL)
		return TT_EWRONGCTX;
	/* "while (!condition) tt_notify_wait()" must not miss what happens in between: nobody
	 * else of this worker runs from the caller's look until it is enlisted. */
	rc = tti_check_cancel();
	if (rc < 0)
		return rc;
	rc = tti_wait_arm(&arm, true);
	tti_spend_budget();
	return rc;
}

tt_arm tt_on_notify_(tt_notify *n)
{
	return (tt_arm){ .ops = &notify_arm, .object = from_public(n) };
}

/* SPDX-License-Identifier: MIT */
/*
 * condvar.c - waiting for a change of what a mutex guards.
 *
 * The waiter enlists first and gives the mutex up then, both before it parks: who changes the
 * condition under the mutex after that finds it in the list. A signal is a claim: it
 * goes to one who had not been cancelled, and one who was claimed returns 0 whatever comes.
 *
 * Lock        condvar.lock guards waiters; never held together with the mutex's own.
 */
#include <tutti/condvar.h>
#include <tutti/select.h>

#include "base/panic.h"
#include "base/sometimes.h"
#include "base/spin.h"
#include "sync/mutex.h"
#include "sync/waiters.h"

struct condvar {
	tti_spin lock;
	struct tti_list waiters;
};

_Static_assert(sizeof(struct condvar) <= sizeof(tt_condvar), "tt_condvar holds a condvar");

static struct condvar *from_public(tt_condvar *c)
{
	return (struct condvar *)(void *)c;
}

/* Takes the lock. Static storage of zeros is a condvar too: its list is made here. */
static void enter(struct condvar *own)
{
	tti_spin_lock(&own->lock);
	if (own->waiters.next == NULL)
		tti_list_init(&own->waiters);
}

void tt_condvar_init(tt_condvar *c)
{
	*from_public(c) = (struct condvar){ 0 };
}

void tt_condvar_fini(tt_condvar *c)
{
	if (c != NULL)
		tti_require_nobody_waits(&from_public(c)->waiters, "tt_condvar_fini");
}

/* The arm's value is the mutex. */
static int condvar_enlist(const tt_arm *arm, struct tti_wait_node *n, bool may_link)
{
	struct condvar *c = arm->object;

	TT_ASSERT(may_link); /* not offered to selects: the mutex would be given up and not be back */
	enter(c);
	tti_list_push_back(&c->waiters, &n->link);
	tti_spin_unlock(&c->lock);
	tt_mutex_unlock(arm->value);
	return TTI_ARM_LINKED;
}

static void condvar_delist(const tt_arm *arm, struct tti_wait_node *n)
{
	struct condvar *c = arm->object;

	/* Signalled: another one that was may have ended the condvar already. */
	if (tti_node_won(n))
		return;
	enter(c);
	tti_list_unlink(&n->link);
	tti_spin_unlock(&c->lock);
}

static const struct tti_arm_ops condvar_arm = {
	.verb = "condvar",
	.enlist = condvar_enlist,
	.delist = condvar_delist,
};

int tt_condvar_wait(tt_condvar *storage, tt_mutex *m)
{
	tt_arm arm = { .ops = &condvar_arm, .object = from_public(storage), .value = m };
	int rc;

	if (tti_current_or_panic("tt_condvar_wait") == NULL)
		return TT_EWRONGCTX;
	TT_REQUIRE(tti_mutex_is_held(m), "tt_condvar_wait: the caller does not hold the mutex");
	/* As tt_notify_wait(): whoever signals without the mutex must not get in between the
	 * caller's look and the wait. */
	rc = tti_check_cancel();
	if (rc < 0)
		return rc;
	rc = tti_wait_arm(&arm, true);
	(void)tt_mutex_lock_shielded_(m);
	tti_spend_budget();
	return rc;
}

static void wake(tt_condvar *storage, unsigned max)
{
	struct condvar *c = from_public(storage);
	struct tti_list woken;

	tti_list_init(&woken);
	enter(c);
	tti_claim_waiters(&c->waiters, max, 0, &woken);
	TTI_SOMETIMES(!tti_list_empty(&c->waiters) && tti_list_empty(&woken),
	              "a signal finds only waiters that gave up");
	tti_spin_unlock(&c->lock);
	tti_wake_all(&woken);
}

void tt_condvar_signal(tt_condvar *c)
{
	wake(c, 1);
}

void tt_condvar_broadcast(tt_condvar *c)
{
	wake(c, TTI_WAITERS_ALL);
}

/* SPDX-License-Identifier: MIT */
/*
 * latch.c - opens once, when so many things have happened, and lets everybody through.
 *
 * Invariants  Waiters exist only while left > 0.
 * Lock        latch.lock guards left and waiters. A count down touches the latch last when it
 *             releases the lock: who waited may end the latch right after.
 */
#include <tutti/barrier.h>
#include <tutti/select.h>

#include "base/panic.h"
#include "base/sometimes.h"
#include "base/spin.h"
#include "sync/waiters.h"

struct latch {
	tti_spin lock;
	bool ready;                          /* initialised */
	unsigned left;                       /* count downs until it opens */
	struct tti_list waiters;
};

_Static_assert(sizeof(struct latch) <= sizeof(tt_latch), "tt_latch holds a latch");

static struct latch *from_public(tt_latch *l, const char *call)
{
	struct latch *own = (struct latch *)(void *)l;

	TT_REQUIRE(own->ready, "%s: the latch is not initialised", call);
	return own;
}

void tt_latch_init(tt_latch *l, unsigned n)
{
	struct latch *own = (struct latch *)(void *)l;

	*own = (struct latch){ .ready = true, .left = n };
	tti_list_init(&own->waiters);
}

void tt_latch_fini(tt_latch *l)
{
	struct latch *own = (struct latch *)(void *)l;

	if (own == NULL || !own->ready)
		return;
	tti_require_nobody_waits(&own->waiters, "tt_latch_fini");
	own->ready = false;
}

void tt_latch_count_down(tt_latch *storage)
{
	struct latch *l = from_public(storage, "tt_latch_count_down");
	struct tti_list woken;

	tti_list_init(&woken);
	tti_spin_lock(&l->lock);
	TT_REQUIRE(l->left > 0, "tt_latch_count_down: the latch is open already");
	if (--l->left == 0)
		tti_claim_waiters(&l->waiters, TTI_WAITERS_ALL, 0, &woken);
	TTI_SOMETIMES(l->left == 0 && !tti_list_empty(&l->waiters), "a latch opens when one who waits has given up");
	tti_spin_unlock(&l->lock);
	tti_wake_all(&woken);
}

static int latch_enlist(const tt_arm *arm, struct tti_wait_node *n, bool may_link)
{
	struct latch *l = arm->object;
	int result = TTI_ARM_LINKED;

	tti_spin_lock(&l->lock);
	if (l->left == 0)
		result = tti_claim_own_node(n, 0);
	else if (may_link)
		tti_list_push_back(&l->waiters, &n->link);
	tti_spin_unlock(&l->lock);
	return result;
}

static void latch_delist(const tt_arm *arm, struct tti_wait_node *n)
{
	struct latch *l = arm->object;

	/* Let through, thus unlisted: somebody else who was may have ended the latch already. */
	if (tti_node_won(n))
		return;
	tti_spin_lock(&l->lock);
	tti_list_unlink(&n->link);
	tti_spin_unlock(&l->lock);
}

static const struct tti_arm_ops latch_arm = { .verb = "latch", .enlist = latch_enlist, .delist = latch_delist };

int tt_latch_wait(tt_latch *storage)
{
	tt_arm arm = { .ops = &latch_arm, .object = from_public(storage, "tt_latch_wait") };
	int rc;

	if (tti_current_or_panic("tt_latch_wait") == NULL)
		return TT_EWRONGCTX;
	rc = tti_checkpoint();
	return rc < 0 ? rc : tti_wait_arm(&arm, true);
}

int tt_latch_try_wait(tt_latch *storage)
{
	struct latch *l = from_public(storage, "tt_latch_try_wait");
	bool open;

	tti_spin_lock(&l->lock);
	open = l->left == 0;
	tti_spin_unlock(&l->lock);
	return open ? 0 : TT_EAGAIN;
}

tt_arm tt_on_latch_(tt_latch *l)
{
	return (tt_arm){ .ops = &latch_arm, .object = from_public(l, "TT_ON_LATCH") };
}

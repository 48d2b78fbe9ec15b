/* SPDX-License-Identifier: MIT */
/*
 * barrier.c - all parties arrive before any goes on; a party that cannot come breaks it.
 *
 * Rounds      Each wait belongs to the round in which it arrived. A round ends complete, broken
 *             or reset, once; a node of an earlier round that is still listed belongs to a
 *             waiter that was cancelled and is on its way out, and has nothing to say any more.
 * Completed   The last party claims all others first and decides then: if a cancel was faster at
 *             one of them, the round is broken for all the rest, none of whom has seen a result.
 *             So a party is told 0 or 1 exactly if all were.
 * Lock        barrier.lock guards everything but parties.
 * Rejected    A count and a wake of all: who was cancelled between the two would have arrived for
 *             the others and not for itself.
 */
#include <tutti/barrier.h>
#include <tutti/select.h>

#include "base/panic.h"
#include "base/sometimes.h"
#include "base/spin.h"
#include "sync/waiters.h"

struct barrier {
	tti_spin lock;
	bool ready;                          /* initialised */
	bool broken;
	unsigned parties;
	unsigned arrived;                    /* in this round */
	uint64_t round;
	struct tti_list waiters;
};

_Static_assert(sizeof(struct barrier) <= sizeof(tt_barrier), "tt_barrier holds a barrier");

static struct barrier *from_public(tt_barrier *b, const char *call)
{
	struct barrier *own = (struct barrier *)(void *)b;

	TT_REQUIRE(own->ready, "%s: the barrier is not initialised", call);
	return own;
}

void tt_barrier_init(tt_barrier *b, unsigned parties)
{
	struct barrier *own = (struct barrier *)(void *)b;

	TT_REQUIRE(parties > 0, "tt_barrier_init: no parties");
	*own = (struct barrier){ .ready = true, .parties = parties };
	tti_list_init(&own->waiters);
}

void tt_barrier_fini(tt_barrier *b)
{
	struct barrier *own = (struct barrier *)(void *)b;

	if (own == NULL || !own->ready)
		return;
	tti_require_nobody_waits(&own->waiters, "tt_barrier_fini");
	own->ready = false;
}

/* Under the lock: the round is over for all who wait in it. */
static void end_round(struct barrier *b, int rc, struct tti_list *woken)
{
	tti_claim_waiters(&b->waiters, TTI_WAITERS_ALL, rc, woken);
	b->arrived = 0;
	b->round++;
}

static void break_round(struct barrier *b, struct tti_list *woken)
{
	if (b->broken)
		return;
	b->broken = true;
	end_round(b, TT_EBROKEN, woken);
}

/* Under the lock, as the last party: 1, or TT_EBROKEN when one of the others was cancelled. */
static int complete_round(struct barrier *b, struct tti_list *woken)
{
	if (tti_claim_waiters(&b->waiters, TTI_WAITERS_ALL, 0, woken) == b->parties - 1) {
		end_round(b, 0, woken);
		return 1;
	}
	TTI_SOMETIMES(true, "the last party arrives when another has just given up");
	/* They are claimed and not woken: their outcome is still ours to write. */
	TTI_LIST_FOR_EACH (link, woken)
		TTI_CONTAINER_OF(link, struct tti_wait_node, link)->waiter->rc = TT_EBROKEN;
	break_round(b, woken);
	return TT_EBROKEN;
}

static int barrier_enlist(const tt_arm *arm, struct tti_wait_node *n, bool may_link)
{
	struct barrier *b = arm->object;
	struct tti_list woken;
	int result = TTI_ARM_LINKED;

	TT_ASSERT(may_link); /* not offered to selects: a loser would have arrived */
	tti_list_init(&woken);
	tti_spin_lock(&b->lock);
	if (b->broken) {
		result = tti_claim_own_node(n, TT_EBROKEN);
	} else if (b->arrived + 1 == b->parties) {
		result = tti_claim_own_node(n, complete_round(b, &woken));
	} else {
		b->arrived++;
		n->n = b->round;
		tti_list_push_back(&b->waiters, &n->link);
	}
	tti_spin_unlock(&b->lock);
	tti_wake_all(&woken);
	return result;
}

static void barrier_delist(const tt_arm *arm, struct tti_wait_node *n)
{
	struct barrier *b = arm->object;
	struct tti_list woken;

	/* Let through: the leader may have ended the barrier already. */
	if (tti_node_won(n))
		return;
	tti_list_init(&woken);
	tti_spin_lock(&b->lock);
	TT_ASSERT(tti_list_linked(&n->link)); /* cancelled: only its round's end takes it off */
	tti_list_unlink(&n->link);
	TTI_SOMETIMES(n->n != b->round, "a party leaves a round that was broken before");
	if (n->n == b->round)
		break_round(b, &woken);
	tti_spin_unlock(&b->lock);
	tti_wake_all(&woken);
}

static const struct tti_arm_ops barrier_arm = {
	.verb = "barrier",
	.enlist = barrier_enlist,
	.delist = barrier_delist,
};

int tt_barrier_wait(tt_barrier *storage)
{
	struct barrier *b = from_public(storage, "tt_barrier_wait");
	tt_arm arm = { .ops = &barrier_arm, .object = b };
	int rc;

	if (tti_current_or_panic("tt_barrier_wait") == NULL)
		return TT_EWRONGCTX;
	rc = tti_checkpoint();
	if (rc < 0) {
		/* It will not come: the others must not wait for it. */
		tt_barrier_break(storage);
		return rc;
	}
	return tti_wait_arm(&arm, true);
}

void tt_barrier_break(tt_barrier *storage)
{
	struct barrier *b = from_public(storage, "tt_barrier_break");
	struct tti_list woken;

	tti_list_init(&woken);
	tti_spin_lock(&b->lock);
	break_round(b, &woken);
	tti_spin_unlock(&b->lock);
	tti_wake_all(&woken);
}

void tt_barrier_reset(tt_barrier *storage)
{
	struct barrier *b = from_public(storage, "tt_barrier_reset");
	struct tti_list woken;

	tti_list_init(&woken);
	tti_spin_lock(&b->lock);
	end_round(b, TT_EBROKEN, &woken);
	b->broken = false;
	tti_spin_unlock(&b->lock);
	tti_wake_all(&woken);
}

bool tt_barrier_is_broken(tt_barrier *storage)
{
	struct barrier *b = from_public(storage, "tt_barrier_is_broken");
	bool broken;

	tti_spin_lock(&b->lock);
	broken = b->broken;
	tti_spin_unlock(&b->lock);
	return broken;
}

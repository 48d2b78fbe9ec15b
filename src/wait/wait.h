/* SPDX-License-Identifier: MIT */
/*
 * wait.h - the one protocol by which anything blocks. Channel, mutex, select, join,
 * sleep and I/O all stand on it, so that the races between completion, cancel and
 * timeout are settled in one place.
 *
 * A wait is a tti_waiter on the waiting frame, enlisted on one or more objects through
 * tti_wait_nodes. Its claim word says who owns the outcome:
 *
 *        WAITING ----------------------------------------------> DONE
 *           \___ the waiter itself, committing with a partner ___/
 *            \-> CLAIMING --> DONE  (both committed)
 *                   \-----> WAITING (the partner was gone)
 *
 * Law 4  Whoever moves the word to DONE owns the outcome: it writes winner, rc and any
 *        value, unlinks the winning node, and wakes the waiter exactly once. Everybody
 *        else touches nothing of the waiter.
 * Law 1  The waiter's frame does not return before it was woken and has unlinked its
 *        losing nodes. A claimed waiter therefore always parks until that wake arrives,
 *        even when it notices the claim earlier.
 * Law 5  needs no work here: a task runs on one thread only, and its wake-up is queued
 *        on that thread, so it cannot be resumed before its context is saved.
 *
 * Objects guard their list of nodes by a short spinlock of their own; nobody parks or
 * wakes while holding it (law 8). Two-sided commit after Reppy, Russo and Xiao,
 * "Parallel Concurrent ML" (ICFP 2009): see tti_claim_pair().
 *
 * Who may do what      claim word          nodes                 winner, rc, values
 *   the waiter         claim_self, pair    link, unlink losers   read after its wake
 *   a partner          claim               unlink the winner     write after its claim
 *   a cancel, a timer  claim               nothing               write after its claim
 */
#ifndef TTI_WAIT_WAIT_H
#define TTI_WAIT_WAIT_H

#include "base/atomic.h"
#include "base/list.h"
#include "base/panic.h"
#include "task/task.h"

enum tti_claim_state { TTI_WAITING, TTI_CLAIMING, TTI_CLAIMED };

/* What a task is waiting for, in dumps: "recv", and the object's address. */
struct tti_wait_reason {
	const char *verb;
	const void *object;
	const char *site;                    /* the caller's file:line where known, else NULL */
};

struct tt_arm;

#define TTI_WINNER_CANCEL UINT32_MAX         /* winner of a wait that was cancelled */

struct tti_waiter {
	tti_atomic_u32 claim;                /* enum tti_claim_state */
	tti_atomic_u32 word;                 /* a plain thread's futex: 1 once woken */
	struct tt_task *task;                /* NULL: a plain thread waits */
	/* One attempt to end the wait because of a cancel; home thread only. NULL: the wait is
	 * not cancellable. Set for I/O, where the driver must end the operation first. */
	void (*abort)(struct tti_waiter *w);
	struct tti_wait_node *stop_node;     /* the arm that a soft cancel fires; home thread only */
	uint32_t winner;                     /* arm that took effect; owner of the claim */
	int rc;                              /* outcome; owner of the claim */
	struct tti_wait_reason reason;
};

/* Room for what an arm keeps while enlisted: a timer, an I/O operation. */
#define TTI_NODE_SCRATCH_WORDS 28

struct tti_wait_node {
	struct tti_list link;                /* in the object's list; guarded by the object's lock */
	struct tti_waiter *waiter;
	void *value;                         /* where an item comes from or goes to */
	uint64_t n;                          /* permits asked for */
	uint32_t arm;                        /* what winner becomes when this node wins */
	uint64_t scratch[TTI_NODE_SCRATCH_WORDS];
};

/* One arm of a select, as any layer may offer it. */
struct tti_arm_ops {
	const char *verb;                    /* "recv" */
	/* Under the object's lock: takes effect at once if it can, else links the node.
	 * Returns TTI_ARM_* ; with TTI_ARM_DONE the self claim is taken and node->waiter's rc and
	 * winner are set. may_link false: only tries. */
	int (*enlist)(const struct tt_arm *arm, struct tti_wait_node *n, bool may_link);
	/* Unlinks a node that did not win; also called for the winner, which is unlinked
	 * already. Afterwards nobody refers to the node. May park, shielded (I/O drains here). */
	void (*delist)(const struct tt_arm *arm, struct tti_wait_node *n);
	/* Turns the waiter's rc into the arm's result, and may fill its value; NULL: as it is. */
	int (*finish)(const struct tt_arm *arm, int rc);
	bool zero_is_closed;                 /* recv: 0 ends a select with TT_ECLOSED */
};

enum {
	TTI_ARM_LINKED,                      /* would wait; linked when that was allowed */
	TTI_ARM_DONE,                        /* took effect now, this wait is claimed by itself */
	TTI_ARM_TAKEN,                       /* somebody else claimed this wait meanwhile */
};

void tti_waiter_init(struct tti_waiter *w, const char *verb, const void *object);

/* For a delist() of the winner: it is unlinked, and of some objects (a latch, a barrier) those
 * who were let through may end the object at once, so that it may be gone. */
static inline bool tti_node_won(const struct tti_wait_node *n)
{
	return n->waiter->winner == n->arm;
}

static inline void tti_node_init(struct tti_wait_node *n, struct tti_waiter *w, uint32_t arm)
{
	tti_list_init(&n->link);
	n->waiter = w;
	n->value = NULL;
	n->n = 0;
	n->arm = arm;
}

/* From outside: true when the caller now owns the outcome. Waits out a CLAIMING waiter,
 * which is between two instructions on another thread. */
TT_MUST_USE bool tti_claim(struct tti_waiter *w);
/* The waiter takes its own outcome: false when somebody was faster. */
TT_MUST_USE bool tti_claim_self(struct tti_waiter *w);

/* Nobody has claimed it, or it is only trying. For decisions that a change does not hurt. */
static inline bool tti_waiter_is_waiting(struct tti_waiter *w)
{
	/* relaxed: whoever leaves a queue runs its decisions again, under the object's lock. */
	return tti_load_relaxed(&w->claim) != TTI_CLAIMED;
}

enum tti_pair { TTI_PAIR_BOTH, TTI_PAIR_SELF_TAKEN, TTI_PAIR_PARTNER_GONE };
/* Claims self and partner together or neither. The caller is the waiter `self`, which may
 * be enlisted elsewhere already. NULL self: only the partner is claimed. */
TT_MUST_USE enum tti_pair tti_claim_pair(struct tti_waiter *self, struct tti_waiter *partner);

/* Wakes a waiter whose claim the caller owns, after the outcome was written and no
 * spinlock is held. The waiter's frame may be gone when this returns. */
void tti_wake(struct tti_waiter *w);

/* Wakes the waiters of the nodes on a private list: each was claimed and its outcome
 * written. Empties the list. */
void tti_wake_all(struct tti_list *nodes);

/* Claims n's waiter for its arm and moves n to the private list of those to wake once the
 * object's lock is released. False: it was claimed already, n is left where it is. */
TT_MUST_USE bool tti_claim_node(struct tti_wait_node *n, int rc, struct tti_list *woken);
/* The same after the claim was won by tti_claim_pair(). */
void tti_settle_node(struct tti_wait_node *n, int rc, struct tti_list *woken);
/* The waiter takes effect itself: TTI_ARM_DONE with rc, or TTI_ARM_TAKEN. */
int tti_claim_own_node(struct tti_wait_node *n, int rc);

/* Waits for one arm: enlists, parks, delists; no entry check. The arm's result, or
 * TT_ECANCELED. abortable false: a cancel does not end the wait. */
int tti_wait_arm(const struct tt_arm *arm, bool abortable);
/* The same on a plain thread, and TT_ETIMEDOUT once the deadline (monotonic ns) passed. */
int tti_thread_wait_arm(const struct tt_arm *arm, int64_t deadline);

/* Misuse by a fini: panics, naming the first task of the list; an empty list, or one of
 * zeros, is fine. */
void tti_require_nobody_waits(const struct tti_list *nodes, const char *call);

/* Parks the calling task until it is woken. When it is cancelled already, or gets cancelled,
 * w->abort is called once. */
void tti_park(struct tti_waiter *w);
/* The same of a plain thread, which nobody cancels: until it is woken or the deadline has passed,
 * which is TTI_WINNER_CANCEL with TT_ETIMEDOUT. */
void tti_park_thread(struct tti_waiter *w, int64_t deadline);

/* The usual abort: claims the wait with TT_ECANCELED. */
void tti_abort_by_claim(struct tti_waiter *w);

/* Tells a parked task that it is cancelled; home thread only. Harmless when it is not
 * parked, or its wait is not cancellable, or was claimed. */
void tti_wait_cancel(struct tt_task *t);

/* A soft cancel reached a parked task: fires its stop arm, if it has one. Home thread only. */
void tti_wait_stop(struct tt_task *t);

/* Whoever runs foreign code that a switch would tear: says so until it is back (NULL). A call
 * that would park or yield meanwhile panics with this; the thread is one task's for so long. */
extern __thread const char *tti_waits_forbidden;

static inline void tti_require_waits_allowed(const char *verb)
{
	TT_REQUIRE(tti_waits_forbidden == NULL, "%s would wait inside %s", verb, tti_waits_forbidden);
}

/* The entry check of every call that could block: 0 or TT_ECANCELED. Also spends the
 * task's budget, and yields when that is used up. A plain thread is never cancelled. */
int tti_checkpoint_slow(struct tti_home *h);

/* What a cancelled task is told by: counts, reports a task that goes on all the same, and lets
 * others run now and then where the caller may be left. TT_ECANCELED. */
int tti_cancel_seen(struct tti_home *h, bool may_yield);

/* For that report: which block's cancel t is under, and why. scope/ sets it before main(). */
extern const char *(*tti_cancel_origin)(const struct tt_task *t, const char **ret_why);

/* Calls in a row, none of which could wait, that a task may answer with another one. */
#define TTI_IGNORED_MAX 1000
/* Or a few within this time. */
#define TTI_IGNORED_FOR TT_SEC(1)

static inline int tti_checkpoint(void)
{
	struct tti_home *h = tti_home_here;

	if (h == NULL)
		return 0;
	if (__builtin_expect((h->current->cancel_bits & TTI_CANCELLED) == 0 && --h->budget > 0, 1))
		return 0;
	return tti_checkpoint_slow(h);
}

/* The two halves of that check, for calls that must not let others run between the caller's
 * look at its own state and the wait for it to change: first the cancel, and after the
 * effect the budget. */
static inline int tti_check_cancel(void)
{
	struct tti_home *h = tti_home_here;

	return h != NULL && (h->current->cancel_bits & TTI_CANCELLED) != 0 ? tti_cancel_seen(h, false) : 0;
}

static inline void tti_spend_budget(void)
{
	struct tti_home *h = tti_home_here;

	if (h != NULL && --h->budget <= 0)
		TT_IGNORE(tti_checkpoint_slow(h));
}

#endif

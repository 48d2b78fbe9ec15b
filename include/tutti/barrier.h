/* SPDX-License-Identifier: MIT */
/*
 * barrier.h - rendezvous: a barrier that all parties reach before any goes on, again and
 * again; and a latch that opens once, when so many things have happened.
 *
 * A group already is the barrier at the end of a batch: when it has ended, every child has.
 * A barrier is for children that live on and meet between their steps.
 */
#ifndef TUTTI_BARRIER_H
#define TUTTI_BARRIER_H

#include <tutti/base.h>

TT_BEGIN_DECLS

typedef struct tt_barrier {
	uint64_t tt_opaque_[8];
} tt_barrier;

/*
 * tt_barrier_init - make a barrier for so many parties.
 *
 * Blocks     no
 * Errors     aborts for 0 parties
 */
TT_API void tt_barrier_init(tt_barrier *b, unsigned parties);

/*
 * tt_barrier_fini - the barrier is no longer used.
 *
 * Blocks     no
 * Errors     aborts, naming the task, if one waits
 * Ownership  NULL and one that was never initialised (zero) are fine
 */
TT_API void tt_barrier_fini(tt_barrier *b);

/*
 * tt_barrier_wait - arrive, and wait until all parties have. The next round begins at once:
 * the same tasks may wait again.
 *
 * Blocks     yes; always a checkpoint, also for the last party
 * Returns    1 for exactly one party of each round, the leader: the last that arrived; 0 for
 *            the others
 * Cancelled  TT_ECANCELED, and the barrier is broken: the round would never be complete. A
 *            party whose round was complete is not cancelled
 * Errors     TT_EBROKEN: a party was cancelled, or somebody called tt_barrier_break()
 * Threads    any task
 */
TT_API TT_MUST_USE int tt_barrier_wait(tt_barrier *b);

/*
 * tt_barrier_break - a party has failed: all who wait, and all who come, get TT_EBROKEN.
 *
 * Blocks     no; not a checkpoint
 * Threads    any
 */
TT_API void tt_barrier_break(tt_barrier *b);

/*
 * tt_barrier_reset - begin an empty round on a whole barrier. Those who wait get TT_EBROKEN.
 *
 * Blocks     no; not a checkpoint
 * Threads    any
 */
TT_API void tt_barrier_reset(tt_barrier *b);

/*
 * tt_barrier_is_broken - has it been broken and not been reset?
 *
 * Blocks     no; not a checkpoint
 * Returns    true or false; another thread may change it at once
 * Threads    any
 */
TT_API TT_MUST_USE bool tt_barrier_is_broken(tt_barrier *b);

typedef struct tt_latch {
	uint64_t tt_opaque_[6];
} tt_latch;

/*
 * tt_latch_init - make a latch that opens after so many count downs; with 0 it is open.
 *
 * Blocks     no
 */
TT_API void tt_latch_init(tt_latch *l, unsigned n);

/*
 * tt_latch_fini - the latch is no longer used.
 *
 * Blocks     no
 * Errors     aborts, naming the task, if one waits
 * Ownership  NULL and one that was never initialised (zero) are fine
 */
TT_API void tt_latch_fini(tt_latch *l);

/*
 * tt_latch_count_down - one thing less to wait for; the last one opens the latch for good.
 *
 * Blocks     no; not a checkpoint
 * Errors     aborts if the latch is open already: somebody counted twice
 * Threads    any; who waited may end the latch as soon as its wait returns
 */
TT_API void tt_latch_count_down(tt_latch *l);

/*
 * tt_latch_wait - wait until the latch is open.
 *
 * Blocks     yes; always a checkpoint, even when it is open
 * Returns    0
 * Cancelled  TT_ECANCELED; the latch is as it was
 * Threads    any task
 */
TT_API TT_MUST_USE int tt_latch_wait(tt_latch *l);

/*
 * tt_latch_try_wait - is the latch open?
 *
 * Blocks     no; not a checkpoint
 * Returns    0
 * Errors     -EAGAIN: not yet
 * Threads    any
 */
TT_API TT_MUST_USE int tt_latch_try_wait(tt_latch *l);

TT_END_DECLS

#endif

/* SPDX-License-Identifier: MIT */
/*
 * time.h - the clock, sleeping, intervals.
 *
 * Times are int64_t nanoseconds: a deadline is absolute on the monotonic clock, a timeout
 * relative. In a simulation both clocks are virtual.
 */
#ifndef TUTTI_TIME_H
#define TUTTI_TIME_H

#include <tutti/base.h>

TT_BEGIN_DECLS

/*
 * tt_now - the monotonic clock.
 *
 * Blocks     no; not a checkpoint
 * Returns    ns; on a worker the time is read once per turn of the scheduler
 * Threads    any
 */
TT_API int64_t tt_now(void);

/*
 * tt_wall - the time of day.
 *
 * Blocks     no; not a checkpoint
 * Returns    ns since 1970-01-01 00:00:00 UTC
 * Threads    any
 */
TT_API int64_t tt_wall(void);

/*
 * tt_sleep - let this much time pass.
 *
 * Blocks     yes; always a checkpoint, also for 0 and less
 * Returns    0
 * Cancelled  TT_ECANCELED, early
 * Units      ns
 */
TT_API TT_MUST_USE int tt_sleep(int64_t timeout);

/* What tt_interval_tick() does about ticks whose time passed while the caller was busy. */
enum tt_missed {
	TT_MISSED_SKIP,  /* forget them; the next is the first multiple still to come */
	TT_MISSED_BURST, /* give them at once, one after the other */
	TT_MISSED_DELAY  /* the next is one period after now */
};

/* A pace; a plain value, for one task at a time. `missed` may be set at any time. */
typedef struct tt_interval {
	int64_t period; /* ns, > 0 */
	int64_t next;   /* monotonic ns: when the next tick is due */
	enum tt_missed missed;
} tt_interval;

/*
 * tt_interval_every - a pace whose first tick is one period from now.
 *
 * Blocks     no
 * Returns    the pace, with missed ticks skipped
 * Errors     aborts for a period of 0 or less
 * Threads    any
 * Units      ns
 */
TT_API tt_interval tt_interval_every(int64_t period);

/*
 * tt_interval_tick - wait for the next tick.
 *
 * Blocks     yes; always a checkpoint, even when the tick is due
 * Returns    0
 * Cancelled  TT_ECANCELED, and then the tick is still to come
 */
TT_API TT_MUST_USE int tt_interval_tick(tt_interval *i);

TT_END_DECLS

#endif

/* SPDX-License-Identifier: MIT */
/*
 * rate.c - the rate limiter: one number that says until when the permits are spent.
 *
 * The generic cell rate algorithm (ITU-T I.371, virtual scheduling): `spent` is the time at
 * which a bucket that is refilled steadily would be full again, the theoretical arrival
 * time. n permits may be used when spent + n intervals is at most a burst of intervals away
 * from now; using them moves `spent` on by n intervals. Nothing ticks.
 *
 * Waiters stand in the line of a mutex: its holder sleeps until its permits are due, takes
 * them and lets the next one in. One that is cancelled took nothing, so those behind it are
 * due earlier by what it would have taken: nothing has to be given back.
 *
 * Time is counted in units of 1 / permits ns in 128 bits, so that an interval of, say, a
 * third of a second is exact.
 *
 * Invariants  `spent` is changed only by the holder of `turn`, and only together with a success.
 *             In any span t: permits used <= burst + t * permits / per.
 * Rejected    Reserving a time at the call and sleeping until then: a cancelled waiter must
 *             then move everybody behind it, on other workers too.
 *             The time of the scheduler's turn: a burst would be granted for a past that was
 *             quiet, and once more when the turn's time catches up.
 */
#include <tutti/mutex.h>
#include <tutti/stream.h>

#include "base/panic.h"
#include "base/sometimes.h"
#include "sched/worker.h"
#include "wait/wait.h"

#define RATE_MAGIC UINT32_C(0x74747261)

__extension__ typedef unsigned __int128 wide;

struct rate {
	wide spent;                          /* 1 / permits ns, monotonic; the holder of turn */
	uint64_t permits, burst;             /* set at init, as `per` */
	uint64_t per;                        /* ns; also an interval, in units of 1 / permits ns */
	uint32_t magic;
	tt_mutex turn;                       /* the first in line holds it while it waits */
};

_Static_assert(sizeof(struct rate) + 8 <= sizeof(tt_rate), "tt_rate holds a rate limiter");

/* tt_rate is aligned for 8 bytes only. */
static struct rate *storage_of(tt_rate *r)
{
	return (struct rate *)(((uintptr_t)r + 15) & ~(uintptr_t)15);
}

static struct rate *from_public(tt_rate *r, const char *call)
{
	struct rate *own = storage_of(r);

	TT_REQUIRE(own->magic == RATE_MAGIC, "%s: the rate limiter is not initialised", call);
	return own;
}

/* How long n permits are still away, in ns, rounded up; 0: they are free. Uses them then. */
static int64_t use_or_wait(struct rate *r, uint64_t n)
{
	wide now = (wide)(uint64_t)tti_env_now() * r->permits, from = r->spent > now ? r->spent : now;
	wide until = from + (wide)n * r->per, allowed = now + (wide)r->burst * r->per, wait;

	if (until <= allowed) {
		r->spent = until;
		return 0;
	}
	wait = (until - allowed + r->permits - 1) / r->permits;
	return wait < (wide)TT_NEVER ? (int64_t)wait : TT_NEVER;
}

static int wait_turn_and_permits(struct rate *r, uint64_t n)
{
	int64_t wait, until;
	int rc = 0;

	while ((wait = use_or_wait(r, n)) > 0 && rc >= 0) {
		if (__builtin_add_overflow(tti_env_now(), wait, &until))
			until = TT_NEVER;
		rc = tti_sleep_until(until);
	}
	TTI_SOMETIMES(wait == 0 && rc < 0, "permits are there when the wait for them is cancelled");
	TTI_SOMETIMES(wait > 0 && rc < 0, "a cancel ends the wait for permits");
	return wait == 0 ? 0 : rc;
}

int tt_rate_acquire(tt_rate *storage, uint64_t n)
{
	struct rate *r = from_public(storage, "tt_rate_acquire");
	int rc;

	if (tti_current_or_panic("tt_rate_acquire") == NULL)
		return TT_EWRONGCTX;
	rc = tt_mutex_lock(&r->turn);
	if (rc < 0)
		return rc;
	rc = n > r->burst ? TT_EINVAL : wait_turn_and_permits(r, n);
	tt_mutex_unlock(&r->turn);
	return rc;
}

int tt_rate_try_acquire(tt_rate *storage, uint64_t n)
{
	struct rate *r = from_public(storage, "tt_rate_try_acquire");
	bool free;

	if (tti_current_or_panic("tt_rate_try_acquire") == NULL)
		return TT_EWRONGCTX;
	if (n > r->burst)
		return TT_EINVAL;
	if (tt_mutex_try_lock(&r->turn) < 0)
		return TT_EAGAIN;
	free = use_or_wait(r, n) == 0;
	tt_mutex_unlock(&r->turn);
	return free ? 0 : TT_EAGAIN;
}

void tt_rate_init(tt_rate *storage, uint64_t permits, int64_t per, uint64_t burst)
{
	struct rate *r = storage_of(storage);

	TT_REQUIRE(permits > 0 && per > 0 && burst > 0, "tt_rate_init: %llu permits each %lld ns, burst %llu",
	           (unsigned long long)permits, (long long)per, (unsigned long long)burst);
	*r = (struct rate){ .permits = permits, .burst = burst, .per = (uint64_t)per, .magic = RATE_MAGIC };
	tt_mutex_init(&r->turn);
}

void tt_rate_fini(tt_rate *storage)
{
	struct rate *r = storage != NULL ? storage_of(storage) : NULL;

	if (r == NULL || r->magic != RATE_MAGIC)
		return;
	tt_mutex_fini(&r->turn);
	r->magic = 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * retry.c - when to try again: exponential backoff with full jitter (AWS Architecture Blog,
 * "Exponential Backoff And Jitter": a random time between nothing and the capped
 * exponential spreads the clients of a service that fell over best).
 *
 * Rejected    Sleeping into the deadline: the caller would get TT_ETIMEDOUT later instead of
 *             what went wrong now.
 */
#include <tutti/error.h>
#include <tutti/stream.h>
#include <tutti/time.h>

#include "base/panic.h"
#include "base/sometimes.h"
#include "sched/worker.h"
#include "scope/scope.h"
#include "wait/wait.h"

tt_retry tt_retry_jitter(int64_t first, int64_t max, unsigned attempts)
{
	TT_REQUIRE(first > 0 && max >= first, "tt_retry_jitter: from %lld ns to %lld ns", (long long)first, (long long)max);
	return (tt_retry){ .first = first, .max = max, .attempts = attempts };
}

/* After so many failures: uniform in 0 .. min(max, first * 2^(failed - 1)). */
static int64_t draw_delay(const tt_retry *r)
{
	unsigned doublings = r->failed - 1;
	uint64_t cap = (uint64_t)r->max;

	if (doublings < 62 && r->first <= r->max >> doublings)
		cap = (uint64_t)r->first << doublings;
	return (int64_t)(tti_worker_random(tti_worker_here()) % (cap + 1));
}

static int give_up(const struct tt_retry *r, int rc, int64_t delay, int64_t left)
{
	if (r->attempts != 0 && r->failed >= r->attempts)
		return tt_wrap(rc, "gave up after %u attempts", r->failed);
	return tt_wrap(rc, "gave up after %u attempts: a wait of %lld us, %lld us before the deadline", r->failed,
	               (long long)(delay / 1000), (long long)(left / 1000));
}

int tt_retry_wait(tt_retry *r, int rc)
{
	struct tt_task *t = tti_current_or_panic("tt_retry_wait");
	int64_t deadline, delay, now;
	int checked;

	TT_REQUIRE(rc < 0, "tt_retry_wait: %d is no failure", rc);
	if (t == NULL)
		return TT_EWRONGCTX;
	if (rc == TT_ECANCELED || rc == TT_ESTOP)
		return rc;
	checked = tti_checkpoint();
	if (checked < 0)
		return checked;
	if (r->failed < UINT32_MAX)
		r->failed++;
	if (r->attempts != 0 && r->failed >= r->attempts)
		return give_up(r, rc, 0, 0);
	delay = draw_delay(r);
	deadline = tti_scope_deadline(t->scope);
	now = tti_env_now();
	TTI_SOMETIMES(deadline != TT_NEVER && delay >= deadline - now, "another attempt would come after the deadline");
	if (deadline != TT_NEVER && delay >= deadline - now)
		return give_up(r, rc, delay, deadline - now);
	return tt_sleep(delay);
}

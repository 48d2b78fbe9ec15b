/* SPDX-License-Identifier: MIT */
/* interval.c - a pace: ticks at multiples of a period, and what becomes of missed ones. */
#include <tutti/time.h>

#include "base/panic.h"
#include "base/sometimes.h"
#include "sched/worker.h"

static int64_t later(int64_t now, int64_t period)
{
	int64_t at;

	return __builtin_add_overflow(now, period, &at) ? TT_NEVER : at;
}

tt_interval tt_interval_every(int64_t period)
{
	TT_REQUIRE(period > 0, "tt_interval_every: period %lld is not positive", (long long)period);
	return (tt_interval){ .period = period, .next = later(tt_now(), period) };
}

void tti_interval_advance(tt_interval *i)
{
	int64_t now = tt_now(), missed;

	switch (i->missed) {
	case TT_MISSED_BURST:
		i->next += i->period;
		return;
	case TT_MISSED_DELAY:
		i->next = later(now, i->period);
		return;
	case TT_MISSED_SKIP:
	default:
		missed = now > i->next ? (now - i->next) / i->period : 0;
		TTI_SOMETIMES(missed > 0, "a whole period is missed");
		i->next += (missed + 1) * i->period;
	}
}

int tt_interval_tick(tt_interval *i)
{
	int rc = tti_sleep_until(i->next);

	if (rc == 0)
		tti_interval_advance(i);
	return rc;
}

/* SPDX-License-Identifier: MIT */
/* wheel_test.c - the timer wheel against a list that is searched from end to end. */
#include "timer/wheel.h"

#include <stdlib.h>
#include <string.h>

#include <tutti/testing.h>

#define TIMERS 500
#define TICK (INT64_C(1) << TTI_WHEEL_TICK_SHIFT)

static struct tti_wheel wheel;
static int64_t now;

struct probe {
	struct tti_timer timer;
	int64_t deadline;    /* of the model; 0: not armed */
	int64_t fired_at;
	unsigned fired;
};

static struct probe probes[TIMERS];

static void note(struct tti_timer *t)
{
	struct probe *p = TTI_CONTAINER_OF(t, struct probe, timer);

	p->fired++;
	p->fired_at = now;
}

static uint64_t next_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static void start(int64_t at)
{
	now = at;
	tti_wheel_init(&wheel, at);
	memset(probes, 0, sizeof(probes));
	for (int i = 0; i < TIMERS; i++)
		tti_timer_init(&probes[i].timer, note);
}

static void arm(struct probe *p, int64_t deadline)
{
	p->deadline = deadline;
	tti_wheel_arm(&wheel, &p->timer, deadline);
}

static void cancel(struct probe *p)
{
	p->deadline = 0;
	tti_wheel_cancel(&wheel, &p->timer);
}

/* After an advance: what was due more than a tick ago has fired, nothing has fired early. */
static bool agrees_with_model(void)
{
	for (int i = 0; i < TIMERS; i++) {
		struct probe *p = &probes[i];

		if (p->fired > 0) {
			if (p->deadline == 0 || p->fired > 1 || p->fired_at < p->deadline)
				return false;
			p->deadline = 0;
			p->fired = 0;
		} else if (p->deadline != 0 && p->deadline <= now - TICK) {
			return false;
		}
	}
	return true;
}

/* 100,000 random arms, cancels and advances over all levels: the wheel fires what the model
 * says, never early, at most one tick late. */
TT_TEST_PLAIN(wheel, agrees_with_a_list_that_is_searched)
{
	static const int64_t spans[] = { TICK / 2, TICK, TT_MS(5), TT_SEC(1), TT_SEC(300), TT_HOUR(30) };
	uint64_t seed = 88172645463325252u;

	start(TT_HOUR(1) + 12345);
	for (int step = 0; step < 100000; step++) {
		struct probe *p = &probes[next_random(&seed) % TIMERS];
		int64_t span = spans[next_random(&seed) % 6];

		switch (next_random(&seed) % 4) {
		case 0:
		case 1:
			cancel(p);
			arm(p, now + (int64_t)(next_random(&seed) % (uint64_t)span));
			break;
		case 2:
			cancel(p);
			break;
		default:
			now += (int64_t)(next_random(&seed) % (uint64_t)span) / 8;
			tti_wheel_advance(&wheel, now);
			REQUIRE_TRUE(agrees_with_model());
		}
	}
	REQUIRE_TRUE(tti_wheel_is_valid(&wheel));
}

/* next() never lies beyond the earliest deadline's tick, and following it reaches each
 * timer: a worker that sleeps by it misses none. */
TT_TEST_PLAIN(wheel, sleeping_until_next_reaches_every_timer)
{
	uint64_t seed = 4101842887655102017u;
	int left = TIMERS, wakes = 0;

	start(TT_HOUR(2));
	for (int i = 0; i < TIMERS; i++)
		arm(&probes[i], now + 1 + (int64_t)(next_random(&seed) % (uint64_t)TT_HOUR(48)));
	while (left > 0 && wakes < TIMERS * TTI_WHEEL_LEVELS) {
		int64_t next = tti_wheel_next(&wheel);

		REQUIRE_NE(next, TT_NEVER);
		now = next > now ? next : now;
		left -= (int)tti_wheel_advance(&wheel, now);
		REQUIRE_TRUE(agrees_with_model());
		wakes++;
	}
	EXPECT_EQ(left, 0);
	EXPECT_EQ(tti_wheel_next(&wheel), TT_NEVER);
}

static void arm_again(struct tti_timer *t)
{
	note(t);
	tti_wheel_arm(&wheel, t, now - TT_SEC(1));
}

/* A timer that re-arms itself in the past fires once per advance: the loop ends. */
TT_TEST_PLAIN(wheel, rearming_in_the_past_does_not_hold_the_loop)
{
	start(TT_SEC(10));
	tti_timer_init(&probes[0].timer, arm_again);
	tti_wheel_arm(&wheel, &probes[0].timer, now);
	now += TICK;
	tti_wheel_advance(&wheel, now);
	EXPECT_GE(probes[0].fired, 1);
	EXPECT_LE(probes[0].fired, 2);
	EXPECT_TRUE(tti_timer_armed(&probes[0].timer));
	tti_wheel_cancel(&wheel, &probes[0].timer);
	EXPECT_TRUE(tti_wheel_is_valid(&wheel));
}

static void cancel_neighbour(struct tti_timer *t)
{
	note(t);
	tti_wheel_cancel(&wheel, &probes[1].timer);
}

/* A timer may cancel one that is due in the same tick, and that one then does not fire. */
TT_TEST_PLAIN(wheel, a_firing_timer_may_cancel_its_neighbour)
{
	start(TT_SEC(10));
	tti_timer_init(&probes[0].timer, cancel_neighbour);
	tti_wheel_arm(&wheel, &probes[0].timer, now + 1);
	tti_wheel_arm(&wheel, &probes[1].timer, now + 1);
	now += 2 * TICK;
	EXPECT_EQ(tti_wheel_advance(&wheel, now), 1);
	EXPECT_EQ(probes[1].fired, 0);
	EXPECT_EQ(wheel.armed, 0);
}

/* A timer that is alone is woken for once, at its own tick, however far up in the wheel it is. */
TT_TEST_PLAIN(wheel, a_lone_timer_costs_one_wake_up)
{
	for (int64_t wait = TT_US(100); wait < TT_SEC(3600) * 24; wait *= 7) {
		start(TT_SEC(10));
		arm(&probes[0], now + wait);
		now = tti_wheel_next(&wheel);
		EXPECT_GE(now, probes[0].deadline);
		EXPECT_LT(now, probes[0].deadline + TICK);
		EXPECT_EQ(tti_wheel_advance(&wheel, now), 1);
		EXPECT_EQ(probes[0].fired, 1u);
	}
}

/* TT_NEVER arms nothing, and cancelling what is not armed is harmless. */
TT_TEST_PLAIN(wheel, never_is_not_armed)
{
	start(TT_SEC(10));
	tti_wheel_arm(&wheel, &probes[0].timer, TT_NEVER);
	EXPECT_FALSE(tti_timer_armed(&probes[0].timer));
	tti_wheel_cancel(&wheel, &probes[0].timer);
	EXPECT_EQ(tti_wheel_next(&wheel), TT_NEVER);
}

/* Time that has not begun, or lies before it, is the first tick. */
TT_TEST_PLAIN(wheel, begins_at_nought)
{
	start(0);
	arm(&probes[0], 0);
	arm(&probes[1], -TT_SEC(5));
	EXPECT_EQ(tti_wheel_next(&wheel), 0);
	EXPECT_EQ(tti_wheel_advance(&wheel, 0), 2);
	start(-TT_SEC(1));
	EXPECT_EQ(wheel.tick, 0);
}

/* Nobody waits: the wheel follows the clock, and does not go back with it. */
TT_TEST_PLAIN(wheel, follows_the_clock_when_nothing_is_armed)
{
	start(TT_SEC(10));
	EXPECT_EQ(tti_wheel_advance(&wheel, TT_SEC(20)), 0);
	EXPECT_EQ(wheel.tick, TT_SEC(20) >> TTI_WHEEL_TICK_SHIFT);
	EXPECT_EQ(tti_wheel_advance(&wheel, TT_SEC(10)), 0);
	EXPECT_EQ(wheel.tick, TT_SEC(20) >> TTI_WHEEL_TICK_SHIFT);
	now = TT_SEC(20);
	arm(&probes[0], now + TICK);
	EXPECT_EQ(tti_wheel_advance(&wheel, TT_SEC(10)), 0);
	EXPECT_EQ(tti_wheel_advance(&wheel, TT_SEC(21)), 1);
}

static int64_t next_seen;
static bool valid_seen;

static void look_around(struct tti_timer *t)
{
	note(t);
	next_seen = tti_wheel_next(&wheel);
	valid_seen = tti_wheel_is_valid(&wheel);
}

/* What is due in the tick that fires is not waited for. */
TT_TEST_PLAIN(wheel, what_fires_now_is_no_next_event)
{
	start(TT_SEC(10));
	tti_timer_init(&probes[0].timer, look_around);
	arm(&probes[0], now + 1);
	arm(&probes[1], now + 1);
	valid_seen = false;
	EXPECT_EQ(tti_wheel_advance(&wheel, now + 2 * TICK), 2);
	EXPECT_EQ(next_seen, TT_NEVER);
	EXPECT_TRUE(valid_seen);
}

TT_TEST_MAIN()

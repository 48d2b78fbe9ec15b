/* SPDX-License-Identifier: MIT */
/*
 * sleep_test.c - letting time pass: sleeps, yields, and intervals with what becomes of
 * missed ticks.
 */
#include <time.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

TT_TEST_MAIN()

static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };
static const tt_child_options nearby = { .worker = TT_WORKER_HERE };

/* ---- sleep ---- */

/* A sleep is never shorter than asked for, be it below a tick of the wheel or far above. */
TT_TEST(sleep, is_never_early)
{
	static const int64_t times[] = {
		1, TT_US(1), TT_US(50), TT_US(65), TT_US(66), TT_US(500), TT_MS(3), TT_MS(17)
	};

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		int64_t before = tt_now();

		EXPECT_CODE(tt_sleep(times[i]), 0);
		EXPECT_GE(tt_now() - before, times[i]);
	}
}

static int64_t clock_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return TT_SEC(ts.tv_sec) + ts.tv_nsec;
}

/* Not even after the task computed for a while, though tt_now() stands still meanwhile. */
TT_TEST_ON(sleep, is_never_early_after_computing, TT_ON_REAL, "a simulated task computes in no time")
{
	for (int i = 0; i < 5; i++) {
		int64_t before = clock_now();

		while (clock_now() - before < TT_MS(2))
			;
		before = clock_now();
		EXPECT_CODE(tt_sleep(TT_MS(1)), 0);
		EXPECT_GE(clock_now() - before, TT_MS(1));
	}
}

struct trace {
	int order[16], n;
};

static TT_TASK(sleep_and_note, (struct trace *, t), (int64_t, time), (int, me))
{
	TT_TRY(tt_sleep(time));
	t->order[t->n++] = me;
	return 0;
}

static int sleepers(struct trace *t)
{
	TT_GROUP(g);
	for (int i = 0; i < 10; i++)
		tt_go_with(&g, &nearby, sleep_and_note, t, TT_MS(2) * ((i * 7) % 10 + 1), (i * 7) % 10);
	return tt_group_end(&g, 0);
}

/* Sleepers wake in the order of their times, not in that of their starts. */
TT_TEST_ON(sleep, wakes_in_order, TT_ON_SIM, "needs exact times")
{
	struct trace t = { .n = 0 };

	EXPECT_CODE(sleepers(&t), 0);
	EXPECT_EQ(t.n, 10);
	for (int i = 0; i < 10; i++)
		EXPECT_EQ(t.order[i], i);
}

/* An hour passes at once when nobody has anything to do. */
TT_TEST_ON(sleep, virtual_time_is_free, TT_ON_SIM, "takes an hour")
{
	int64_t before = tt_now(), wall = tt_wall();

	EXPECT_CODE(tt_sleep(TT_HOUR(1)), 0);
	EXPECT_GE(tt_now() - before, TT_HOUR(1));
	EXPECT_LT(tt_now() - before, TT_HOUR(1) + TT_SEC(1));
	EXPECT_GE(tt_wall() - wall, TT_HOUR(1));
}

static TT_TASK(note, (struct trace *, t), (int, me))
{
	t->order[t->n++] = me;
	return 0;
}

static TT_TASK(sleep_until_noted, (struct trace *, t), (int64_t, time), (int, limit))
{
	int turns = 0;

	while (t->n == 0) {
		if (++turns > limit)
			return tt_fail(TT_EIO, "nobody else ran in %d sleeps of %lld ns", limit, (long long)time);
		TT_TRY(tt_sleep(time));
	}
	return 0;
}

static int let_others_run(int64_t time, int limit, struct trace *t)
{
	TT_GROUP(g);
	tt_go_with(&g, &nearby, note, t, 1);
	tt_go_with(&g, &nearby, sleep_until_noted, t, time, limit); /* the newest starts first */
	return tt_group_end(&g, 0);
}

static void check_yields(int limit)
{
	static const int64_t times[] = { 0, -1, INT64_MIN };

	for (int i = 0; i < 3; i++) {
		struct trace t = { .n = 0 };

		EXPECT_CODE(let_others_run(times[i], limit, &t), 0);
		EXPECT_EQ(t.n, 1);
	}
}

/* A sleep of 0, or less, lets the others run; it does not wait. */
TT_TEST_ON(sleep, zero_and_less_yield, TT_ON_REAL, "a simulated worker may choose the same task again")
{
	check_yields(10); /* fewer than a task may make before it is made to yield */
}

/* However often it is chosen again, the others get their turn. */
TT_TEST(sleep, zero_and_less_starve_nobody)
{
	check_yields(100000);
}

/* Every form is a checkpoint, also where it would not wait. */
TT_TEST(sleep, is_a_checkpoint)
{
	EXPECT_CODE(TT_WITHIN(0, tt_sleep(0)), TT_ETIMEDOUT);
	EXPECT_CODE(TT_WITHIN(0, tt_sleep(-5)), TT_ETIMEDOUT);
	EXPECT_CODE(TT_WITHIN(0, tt_sleep(TT_HOUR(1))), TT_ETIMEDOUT);
	EXPECT_CODE(TT_WITHIN(0, tt_yield()), TT_ETIMEDOUT);
	EXPECT_CODE(TT_WITHIN(0, tt_checkpoint()), TT_ETIMEDOUT);
	EXPECT_CODE(TT_WITHIN(TT_MS(1), tt_sleep(TT_NEVER)), TT_ETIMEDOUT);
	EXPECT_CODE(TT_WITHIN(TT_NEVER, tt_sleep(1)), 0);
}

static TT_TASK(sleep_for_ever, (int *, ret_rc))
{
	*ret_rc = tt_sleep(TT_NEVER);
	return *ret_rc;
}

static int cancel_sleepers(int *rc)
{
	TT_GROUP(g);
	for (int i = 0; i < 8; i++)
		tt_go_with(&g, &anywhere, sleep_for_ever, &rc[i]);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_group_cancel(&g);
	return tt_group_end(&g, 4);
}

/* A cancel ends a sleep early, on whichever worker. */
TT_TEST(sleep, is_cut_short_by_a_cancel)
{
	int rc[8] = { 0 };

	EXPECT_EQ(cancel_sleepers(rc), 4);
	for (int i = 0; i < 8; i++)
		EXPECT_CODE(rc[i], TT_ECANCELED);
}

/* Outside of tasks nobody could be parked: the calls are named. */
TT_TEST_PLAIN(sleep, a_plain_thread_may_not_sleep)
{
	tt_interval i = tt_interval_every(TT_SEC(1));

	EXPECT_ABORTS(TT_IGNORE(tt_sleep(1)), "tt_sleep: called outside a task");
	EXPECT_ABORTS(TT_IGNORE(tt_yield()), "tt_yield: called outside a task");
	EXPECT_ABORTS(TT_IGNORE(tt_checkpoint()), "tt_checkpoint: called outside a task");
	EXPECT_ABORTS(TT_IGNORE(tt_interval_tick(&i)), "called outside a task");
	EXPECT_GT(tt_now(), 0);
	EXPECT_GT(tt_wall(), 0);
}

/* ---- intervals ---- */

/* Ticks come at multiples of the period, the first one period after the start. */
TT_TEST(interval, ticks_at_multiples)
{
	int64_t start = tt_now();
	tt_interval pace = tt_interval_every(TT_MS(2));

	EXPECT_EQ(pace.missed, TT_MISSED_SKIP);
	EXPECT_EQ(pace.next, start + TT_MS(2));
	pace.missed = TT_MISSED_BURST; /* a real machine may be late */
	for (int i = 1; i <= 5; i++) {
		EXPECT_CODE(tt_interval_tick(&pace), 0);
		EXPECT_GE(tt_now(), start + i * TT_MS(2));
		EXPECT_EQ(pace.next, start + (i + 1) * TT_MS(2));
	}
}

/* Asleep for 3.5 periods, then six ticks: when each came, in tenths of a period after the
 * start of the pace. */
static void late_ticks(enum tt_missed missed, int ret_tenths[6])
{
	tt_interval pace = tt_interval_every(TT_MS(10));
	int64_t start = tt_now();

	pace.missed = missed;
	EXPECT_CODE(tt_sleep(TT_MS(35)), 0);
	for (int i = 0; i < 6; i++) {
		EXPECT_CODE(tt_interval_tick(&pace), 0);
		ret_tenths[i] = (int)((tt_now() - start) / TT_MS(1));
	}
}

/* Skip: a tick that is due is given late, once; then the multiples go on. */
TT_TEST_ON(interval, skips_missed_ticks, TT_ON_SIM, "needs exact times")
{
	int at[6];

	late_ticks(TT_MISSED_SKIP, at);
	EXPECT_MEM_EQ(at, ((int[]){ 35, 40, 50, 60, 70, 80 }), sizeof(at));
}

/* Burst: all that were missed come at once. */
TT_TEST_ON(interval, bursts_missed_ticks, TT_ON_SIM, "needs exact times")
{
	int at[6];

	late_ticks(TT_MISSED_BURST, at);
	EXPECT_MEM_EQ(at, ((int[]){ 35, 35, 35, 40, 50, 60 }), sizeof(at));
}

/* Delay: the next one comes a whole period after the late one. */
TT_TEST_ON(interval, delays_after_a_missed_tick, TT_ON_SIM, "needs exact times")
{
	int at[6];

	late_ticks(TT_MISSED_DELAY, at);
	EXPECT_MEM_EQ(at, ((int[]){ 35, 45, 55, 65, 75, 85 }), sizeof(at));
}

/* On a real clock: never early, never a tick twice, always on the grid. */
TT_TEST(interval, skip_stays_on_the_grid)
{
	tt_interval pace = tt_interval_every(TT_US(700));
	int64_t first = pace.next, due;

	for (int i = 0; i < 20; i++) {
		due = pace.next;
		if (i % 4 == 0)
			EXPECT_CODE(tt_sleep(TT_US(1500)), 0);
		EXPECT_CODE(tt_interval_tick(&pace), 0);
		EXPECT_GE(tt_now(), due);
		EXPECT_GT(pace.next, tt_now());
		EXPECT_EQ((pace.next - first) % TT_US(700), 0);
	}
}

/* A cancelled tick is still to come. */
TT_TEST(interval, a_cancelled_tick_is_still_to_come)
{
	tt_interval pace = tt_interval_every(TT_SEC(1000));
	int64_t due = pace.next;

	EXPECT_CODE(TT_WITHIN(TT_MS(1), tt_interval_tick(&pace)), TT_ETIMEDOUT);
	EXPECT_EQ(pace.next, due);
	pace.next = tt_now();
	due = pace.next;
	EXPECT_CODE(TT_WITHIN(0, tt_interval_tick(&pace)), TT_ETIMEDOUT);
	EXPECT_EQ(pace.next, due);
	EXPECT_CODE(tt_interval_tick(&pace), 0);
}

/* A period that is not positive is a mistake; one without end never ticks. */
TT_TEST(interval, odd_periods)
{
	tt_interval never = tt_interval_every(TT_NEVER);

	EXPECT_EQ(never.next, TT_NEVER);
	EXPECT_CODE(TT_WITHIN(TT_MS(1), tt_interval_tick(&never)), TT_ETIMEDOUT);
	EXPECT_ABORTS(tt_interval_every(0), "tt_interval_every: period 0 is not positive");
	EXPECT_ABORTS(tt_interval_every(-1), "tt_interval_every: period -1 is not positive");
}

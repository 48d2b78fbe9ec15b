/* SPDX-License-Identifier: MIT */
/*
 * worker_test.c - turns and slices: who runs next, for how long, and on which worker; time;
 * stacks (law 6); that the steady state allocates nothing (law 12).
 */
#include "sched/worker.h"

#include <stdlib.h>
#include <string.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

TT_CHAN_TYPE(int_chan, int);

static const tt_child_options elsewhere = { .worker = TT_WORKER(1) };

static TT_TASK(sleeps_for_ever)
{
	return tt_sleep(TT_NEVER);
}

/* ---- stacks ---- */

static int hold_stacks(unsigned n)
{
	static const tt_child_options here = { .worker = TT_WORKER_HERE, .daemon = true };

	TT_GROUP(g);
	for (unsigned i = 0; i < n; i++)
		tt_go_with(&g, &here, sleeps_for_ever);
	EXPECT_OK(tt_test_wait_all_parked());
	return tt_group_end(&g, 0);
}

/* Before it sleeps a worker gives back the stacks of a crowd that is gone, a few at a time: while
 * there are some it looks again soon, and later when there are none. */
TT_TEST_ON(worker, stacks_of_a_crowd_go_back, TT_ON_REAL, "the simulator's workers do not sleep")
{
	struct tti_worker *w = tti_worker_here();
	size_t crowd;
	int64_t next;

	EXPECT_OK(hold_stacks(300));
	crowd = w->fibers.cached;
	EXPECT_GE(crowd, (size_t)299);
	for (int i = 0; i < 1000 && w->fibers.cached == crowd; i++) {
		w->trim_at = 0;
		EXPECT_OK(tt_sleep(TT_US(100)));
	}
	next = w->trim_at - w->home.now;
	EXPECT_LT(w->fibers.cached, crowd);
	EXPECT_GT(w->fibers.cached, (size_t)0);
	EXPECT_LE(next, TT_MS(10));
}

/* ---- order ---- */

struct log {
	char text[64];
	size_t len;
};

static TT_TASK(writes, (tt_notify *, start), (struct log *, l), (char, c), (int, times))
{
	TT_TRY(tt_notify_wait(start));
	for (int i = 0; i < times; i++) {
		l->text[l->len++] = c;
		TT_TRY(tt_yield());
	}
	return 0;
}

struct race {
	int first, runners;
};

static TT_TASK(runs_in_a_race, (struct race *, r), (int, number))
{
	if (r->runners++ == 0)
		r->first = number;
	return 0;
}

static int races(struct race *r)
{
	static const tt_child_options here = { .worker = TT_WORKER_HERE };

	TT_GROUP(g);
	for (int i = 0; i < 3; i++)
		tt_go_with(&g, &here, runs_in_a_race, r, i);
	return tt_group_end(&g, 0);
}

static TT_TASK(race_often, (unsigned *, first))
{
	for (int i = 0; i < 200; i++) {
		struct race r = { .runners = 0 };

		TT_TRY(races(&r));
		EXPECT_EQ(r.runners, 3);
		first[r.first]++;
	}
	return 0;
}

/* In the simulator each of those that have not begun may be the next. */
TT_TEST_PLAIN(worker, the_simulator_picks_any)
{
	unsigned first[3] = { 0 };

	EXPECT_OK(tt_sim_run(tt_test_seed(), race_often, first));
	for (int i = 0; i < 3; i++)
		EXPECT_GT(first[i], 0u);
}

/* Woken and yielded tasks take turns, oldest first. */
TT_TEST_ON(worker, tasks_take_turns, TT_ON_REAL, "the simulator picks any")
{
	struct log l = { .len = 0 };
	tt_notify start;
	int rc;

	tt_notify_init(&start);
	TT_GROUP(g);
	for (char c = 'a'; c <= 'c'; c++) {
		tt_go(&g, writes, &start, &l, c, 3);
		EXPECT_OK(tt_test_wait_all_parked());
	}
	tt_notify_all(&start);
	rc = tt_group_end(&g, 0);
	EXPECT_OK(rc);
	l.text[l.len] = '\0';
	EXPECT_STR_EQ(l.text, "abcabcabc");
}

static TT_TASK(sets, (bool *, flag))
{
	*flag = true;
	return 0;
}

/* Checkpoints that never park still let others run: the budget ends the slice. */
TT_TEST(worker, a_busy_task_lets_others_run)
{
	bool flag = false;
	int checkpoints = 0, rc;

	TT_GROUP(g);
	tt_go(&g, sets, &flag);
	for (; !flag && checkpoints < 1000000; checkpoints++)
		EXPECT_OK(tt_checkpoint());
	EXPECT_TRUE(flag);
	rc = tt_group_end(&g, 0);
	EXPECT_OK(rc);
}

static TT_TASK(starts_another_until, (tt_group *, g), (bool *, flag), (int, left))
{
	if (*flag || left == 0)
		return 0;
	tt_go(g, starts_another_until, g, flag, left - 1);
	return 0;
}

/* Newest first starves nobody: among ever newer tasks the oldest has its turn. */
TT_TEST(worker, the_oldest_unstarted_task_runs)
{
	tt_group_options o = { .shared = true };
	bool flag = false;
	int rc;

	TT_GROUP_WITH(g, &o);
	tt_go(&g, sets, &flag);
	tt_go(&g, starts_another_until, &g, &flag, 100000);
	rc = tt_group_end(&g, 0);
	EXPECT_OK(rc);
	EXPECT_TRUE(flag);
}

static TT_TASK(stays, (int, rounds), (unsigned, home))
{
	for (int i = 0; i < rounds; i++) {
		EXPECT_EQ(tt_worker_index(), (int)home);
		TT_TRY(i % 2 == 0 ? tt_yield() : tt_sleep(TT_US(10)));
	}
	return 0;
}

/* A task stays on the worker where it began; TT_WORKER(n) says which, modulo their number. */
TT_TEST(worker, a_started_task_stays_on_its_worker)
{
	unsigned n = (unsigned)tt_worker_count();
	int rc;

	EXPECT_EQ(n, tt_test_workers());
	TT_GROUP(g);
	for (unsigned i = 0; i < 2 * n; i++) {
		tt_child_options o = { .worker = TT_WORKER(i) };

		tt_go_with(&g, &o, stays, 10, i % n);
	}
	rc = tt_group_end(&g, 0);
	EXPECT_OK(rc);
}

static TT_TASK(counts_here, (tti_atomic_u32 *, counts))
{
	/* relaxed: read after the join. */
	tti_fetch_add_relaxed(&counts[tt_worker_index()], 1);
	return tt_yield();
}

/* TT_WORKER_ANY spreads children over all workers. */
TT_TEST(worker, any_spreads_over_the_workers)
{
	tt_child_options any = { .worker = TT_WORKER_ANY };
	tti_atomic_u32 counts[64] = { { 0 } };
	uint32_t sum = 0;
	int rc;

	TT_GROUP(g);
	for (int i = 0; i < 200; i++)
		tt_go_with(&g, &any, counts_here, counts);
	rc = tt_group_end(&g, 0);
	EXPECT_OK(rc);
	for (int i = 0; i < tt_worker_count(); i++) {
		/* relaxed: after the join. */
		uint32_t n = tti_load_relaxed(&counts[i]);

		EXPECT_GT(n, 0u);
		sum += n;
	}
	EXPECT_EQ(sum, 200u);
}

/* ---- stacks ---- */

static TT_TASK(uses_stack, (size_t, n))
{
	volatile char *p = __builtin_alloca(n);

	for (size_t i = 0; i < n; i += 4096)
		p[n - 1 - i] = 1;
	return tt_yield();
}

/* A child may ask for a larger stack; one that fits no class is refused, by name. */
TT_TEST(worker, stack_size_of_a_child)
{
	tt_child_options large = { .stack_size = 1 << 20 }, too_large = { .stack_size = 64 << 20 };
	int rc;

	TT_GROUP(g);
	tt_go_with(&g, &large, uses_stack, (size_t)900000);
	tt_go(&g, uses_stack, (size_t)20000);
	rc = tt_group_drain(&g);
	EXPECT_OK(rc);
	EXPECT_ABORTS(tt_go_with(&g, &too_large, uses_stack, (size_t)1), "no stack class of 67108864 bytes");
	rc = tt_group_end(&g, 0);
	EXPECT_OK(rc);
}

#ifndef TT_NO_ASSERT
static void release_own_stack(void)
{
	struct tti_worker *w = tti_worker_here();

	tti_fiber_release(&w->fibers, w->home.current->fiber);
}

/* A stack is recycled only from another stack: law 6. */
TT_TEST(worker, a_task_cannot_release_its_own_stack)
{
	EXPECT_ABORTS(release_own_stack(), "running_on(f)");
}
#endif

static TT_TASK(returns, (int, rc))
{
	return rc;
}

/* Stacks are used again: many short children need few of them. */
TT_TEST(worker, stacks_are_used_again)
{
	struct tti_worker *w = tti_worker_here();
	int rc;

	TT_GROUP(g);
	for (int i = 0; i < 500; i++)
		tt_go(&g, returns, i);
	rc = tt_group_end(&g, 0);
	EXPECT_OK(rc);
	EXPECT_LE(w->fibers.created, 4u);
	EXPECT_TRUE(tti_fiber_pool_is_valid(&w->fibers));
}

/* ---- time ---- */

/* tt_sleep is never early; 0 and less only let others run. */
TT_TEST(worker, sleep_is_never_early)
{
	int64_t begin = tt_now();

	EXPECT_OK(tt_sleep(TT_MS(2)));
	EXPECT_GE(tt_now(), begin + TT_MS(2));
	begin = tt_now();
	EXPECT_OK(tt_sleep(0));
	EXPECT_OK(tt_sleep(-TT_SEC(5)));
	EXPECT_OK(tt_sleep(INT64_MIN));
	EXPECT_LT(tt_now(), begin + TT_SEC(5));
}

static TT_TASK(sleeps_and_writes, (struct log *, l), (char, c), (int64_t, t))
{
	TT_TRY(tt_sleep(t));
	l->text[l->len++] = c;
	return 0;
}

/* Sleepers wake in the order of their deadlines. */
TT_TEST_ON(worker, sleepers_wake_in_order, TT_ON_REAL, "the simulator runs those that are due in any order")
{
	struct log l = { .len = 0 };
	int rc;

	TT_GROUP(g);
	tt_go(&g, sleeps_and_writes, &l, 'c', TT_MS(6));
	tt_go(&g, sleeps_and_writes, &l, 'a', TT_MS(2));
	tt_go(&g, sleeps_and_writes, &l, 'b', TT_MS(4));
	rc = tt_group_end(&g, 0);
	EXPECT_OK(rc);
	l.text[l.len] = '\0';
	EXPECT_STR_EQ(l.text, "abc");
}

/* A tick comes at each multiple of the period. */
TT_TEST_ON(worker, ticks_come_at_multiples, TT_ON_SIM, "exact times")
{
	tt_interval i = tt_interval_every(TT_MS(10));
	int64_t begin = tt_now();

	for (int n = 1; n <= 5; n++) {
		EXPECT_OK(tt_interval_tick(&i));
		EXPECT_GE(tt_now(), begin + n * TT_MS(10));
		EXPECT_LT(tt_now(), begin + n * TT_MS(10) + TT_MS(5));
	}
}

static int64_t ticks_after_a_pause(enum tt_missed missed, int *ret_at_once)
{
	tt_interval i = tt_interval_every(TT_MS(10));
	int64_t begin = tt_now(), before;

	i.missed = missed;
	*ret_at_once = 0;
	TT_TRY(tt_sleep(TT_MS(35)));
	do {
		before = tt_now();
		TT_TRY(tt_interval_tick(&i));
		++*ret_at_once;
	} while (tt_now() < before + TT_MS(1));
	--*ret_at_once;
	return tt_now() - begin;
}

/* What becomes of missed ticks: skipped, given in a burst, or put off. */
TT_TEST_ON(worker, missed_ticks, TT_ON_SIM, "exact times")
{
	int at_once = 0;
	int64_t t;

	t = ticks_after_a_pause(TT_MISSED_SKIP, &at_once);
	EXPECT_EQ(at_once, 1);
	EXPECT_TRUE(t >= TT_MS(40) && t < TT_MS(42));
	t = ticks_after_a_pause(TT_MISSED_BURST, &at_once);
	EXPECT_EQ(at_once, 3);
	EXPECT_TRUE(t >= TT_MS(40) && t < TT_MS(42));
	t = ticks_after_a_pause(TT_MISSED_DELAY, &at_once);
	EXPECT_EQ(at_once, 1);
	EXPECT_TRUE(t >= TT_MS(45) && t < TT_MS(47));
}

/* A cancelled tick is still to come; a period of 0 or less is misuse. */
TT_TEST(worker, intervals_and_cancels)
{
	tt_interval i = tt_interval_every(TT_SEC(100));
	int64_t next = i.next;

	EXPECT_CODE(TT_WITHIN(TT_MS(1), tt_interval_tick(&i)), TT_ETIMEDOUT);
	EXPECT_EQ(i.next, next);
	EXPECT_ABORTS(tt_interval_every(0), "tt_interval_every: period 0 is not positive");
}

/* ---- no allocation ---- */

struct steady {
	int_chan there, back;
	tt_mutex mutex;
	tt_semaphore permits;
	tt_notify changed;
	int rounds;
};

static int fails_with_text(int i)
{
	return tt_wrap(tt_fail(TT_EPROTO, "step %d", i), "round");
}

static int one_round(struct steady *s, int i)
{
	int x, rc;

	TT_TRY(tt_send(&s->there, &i));
	rc = tt_recv(&s->back, &x);
	TT_TRY(rc < 0 ? rc : 0);
	rc = TT_WITHIN(TT_US(1), tt_recv(&s->back, &x));
	if (rc != TT_ETIMEDOUT)
		return TT_EINVAL;
	rc = TT_WITHIN(TT_US(1), tt_select(TT_ON_RECV(&s->back, &x), TT_ON_NOTIFY(&s->changed), TT_ON_PERMIT(&s->permits, 9),
	                                   TT_ON_TIMEOUT(TT_SEC(5))));
	if (rc != TT_ETIMEDOUT)
		return TT_EINVAL;
	TT_TRY(tt_mutex_lock(&s->mutex));
	TT_TRY(tt_sleep(TT_US(1)));
	tt_mutex_unlock(&s->mutex);
	TT_TRY(tt_semaphore_acquire(&s->permits, 1));
	TT_TRY(tt_yield());
	tt_semaphore_release(&s->permits, 1);
	return fails_with_text(i) == TT_EPROTO ? 0 : TT_EINVAL;
}

static TT_TASK(answers, (struct steady *, s))
{
	int x, rc;

	while ((rc = tt_recv(&s->there, &x)) > 0) {
		TT_TRY(tt_mutex_lock(&s->mutex));
		tt_mutex_unlock(&s->mutex);
		TT_TRY(tt_send(&s->back, &x));
	}
	return rc;
}

static int rounds(struct steady *s, int n)
{
	for (int i = 0; i < n; i++)
		TT_TRY(one_round(s, i));
	return 0;
}

/* Waits, wakes, cancels and failures with text call malloc not once: law 12. */
TT_TEST(worker, the_steady_state_allocates_nothing)
{
	struct steady s;
	int rc;

	REQUIRE_OK(tt_chan_init(&s.there, 0));
	REQUIRE_OK(tt_chan_init(&s.back, 0));
	tt_mutex_init(&s.mutex);
	tt_semaphore_init(&s.permits, 1);
	tt_notify_init(&s.changed);
	TT_GROUP(g);
	tt_go(&g, answers, &s);
	EXPECT_OK(rounds(&s, 5));
	tt_test_fail_alloc_at(UINT64_MAX);
	EXPECT_OK(rounds(&s, 50));
	EXPECT_EQ(tt_test_allocs(), 0u);
	tt_test_fail_nothing();
	tt_chan_close(&s.there);
	rc = tt_group_end(&g, 0);
	EXPECT_OK(rc);
	tt_chan_fini(&s.there);
	tt_chan_fini(&s.back);
}

/* Other workers' tasks are in nobody's way: a sleeping worker takes what is sent to it. */
TT_TEST(worker, a_sleeping_worker_is_woken)
{
	int rc = 0;

	for (int i = 0; i < 50 && rc == 0; i++) {
		TT_GROUP(g);
		tt_go_with(&g, &elsewhere, returns, 0);
		rc = tt_group_end(&g, 0);
		EXPECT_OK(tt_sleep(i % 2 == 0 ? TT_US(200) : 0));
	}
	EXPECT_OK(rc);
}

TT_TEST_MAIN()

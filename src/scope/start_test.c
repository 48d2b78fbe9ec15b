/* SPDX-License-Identifier: MIT */
/*
 * start_test.c - tt_start waits for its child's first word, tt_call_on for its result; what a
 * failure and a cancel do on the way.
 */
#include <string.h>
#include <sys/syscall.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

#include "base/atomic.h"
#include "env/env.h"

static const tt_child_options elsewhere = { .worker = TT_WORKER(1) };
static const tt_child_options nearby = { .worker = TT_WORKER_HERE };
static const tt_child_options *const everywhere[] = { &nearby, &elsewhere };

#define WHY_SIM "needs the virtual clock"

struct state {
	bool is_ready, has_ended, dropped;
	int said;
};

static TT_TASK(becomes_ready, (struct state *, s))
{
	TT_TRY(tt_sleep(TT_MS(1)));
	s->is_ready = true;
	TT_TRY(tt_ready());
	TT_IGNORE(tt_ready()); /* once more does nothing */
	TT_IGNORE(tt_sleep(TT_MS(50)));
	s->has_ended = true;
	return 0;
}

static int starts(const tt_child_options *where, struct state *s)
{
	TT_GROUP(g);
	TT_TRY_IN(&g, tt_start_with(&g, where, becomes_ready, s));
	EXPECT_TRUE(s->is_ready);
	EXPECT_FALSE(s->has_ended);
	return tt_group_end(&g, 0);
}

/* It returns once the child said that it is ready, and the child goes on. */
TT_TEST(start, waits_until_ready)
{
	/* law 5 */
	for (int i = 0; i < 2; i++) {
		struct state s = { .said = 0 };

		EXPECT_OK(starts(everywhere[i], &s));
		EXPECT_TRUE(s.has_ended);
	}
}

static TT_TASK(returns, (int, rc))
{
	TT_TRY(tt_yield());
	return rc;
}

static int starts_what_ends(int rc)
{
	TT_GROUP(g);
	TT_TRY_IN(&g, tt_start(&g, returns, rc));
	return tt_group_end(&g, 0);
}

/* One that ends well without a word counts as ready. */
TT_TEST(start, a_good_end_counts_as_ready)
{
	EXPECT_OK(starts_what_ends(0));
	EXPECT_OK(starts_what_ends(7));
}

static TT_TASK(tries_again, (int *, ret_tries))
{
	tt_retry r = tt_retry_jitter(TT_US(1), TT_US(10), 3);
	int rc;

	do
		++*ret_tries;
	while ((rc = tt_retry_wait(&r, TT_EIO)) == 0);
	EXPECT_CODE(rc, TT_EIO);
	return tt_ready();
}

static int starts_what_tries_again(int *ret_tries)
{
	TT_GROUP(g);
	TT_TRY_IN(&g, tt_start(&g, tries_again, ret_tries));
	return tt_group_end(&g, 0);
}

/* Nobody gave it a deadline, so it has none. */
TT_TEST(start, adds_no_deadline)
{
	int tries = 0;

	EXPECT_OK(starts_what_tries_again(&tries));
	EXPECT_EQ(tries, 3);
}

static TT_TASK(cannot_listen)
{
	TT_TRY(tt_sleep(TT_US(100)));
	return tt_fail(TT_EADDRINUSE, "listen on port 80");
}

static TT_TASK(sleeps_for_ever)
{
	return tt_sleep(TT_NEVER);
}

static int starts_what_fails(const tt_child_options *where)
{
	int rc;

	TT_GROUP(g);
	tt_go(&g, sleeps_for_ever);
	rc = tt_start_with(&g, where, cannot_listen);
	EXPECT_CODE(rc, TT_EADDRINUSE);
	EXPECT_OK(tt_checkpoint()); /* the group heard nothing of it */
	tt_group_cancel(&g);
	return tt_group_end(&g, rc);
}

/* A failure before it is ready is the starter's, with its chain, and not the group's. */
TT_TEST(start, failure_before_ready_is_the_starters)
{
	for (int i = 0; i < 2; i++) {
		const tt_error_node *n;
		tt_error e;

		EXPECT_CODE(starts_what_fails(everywhere[i]), TT_EADDRINUSE);
		tt_error_take(&e, TT_EADDRINUSE);
		n = tt_error_first(&e);
		REQUIRE_TRUE(n != NULL);
		EXPECT_STR_EQ(tt_error_message(n), "listen on port 80");
		tt_error_fini(&e);
	}
	EXPECT_TASKS_ALIVE(1);
}

static TT_TASK(fails_later)
{
	TT_TRY(tt_ready());
	TT_TRY(tt_sleep(TT_US(100)));
	return tt_fail(TT_EPIPE, "later");
}

static int starts_what_fails_later(void)
{
	TT_GROUP(g);
	TT_TRY_IN(&g, tt_start(&g, fails_later));
	return tt_group_end(&g, tt_sleep(TT_NEVER));
}

/* Once it is ready its failure is the group's. */
TT_TEST(start, failure_after_ready_is_the_groups)
{
	EXPECT_CODE(starts_what_fails_later(), TT_EPIPE);
}

static TT_TASK(is_never_ready, (struct state *, s))
{
	int rc = tt_sleep(TT_NEVER);

	TT_IGNORE(TT_SHIELDED(TT_NEVER, tt_sleep(TT_MS(2))));
	EXPECT_CODE(tt_ready(), TT_ECANCELED);
	s->has_ended = true;
	return rc;
}

static int starts_in_vain(tt_group *g, const tt_child_options *where, struct state *s)
{
	return TT_WITHIN(TT_MS(1), tt_start_with(g, where, is_never_ready, s));
}

static int goes_on(const tt_child_options *where)
{
	struct state s = { .said = 0 };

	TT_GROUP(g);
	EXPECT_CODE(starts_in_vain(&g, where, &s), TT_ETIMEDOUT);
	EXPECT_TRUE(s.has_ended);
	EXPECT_OK(tt_checkpoint());
	tt_go_with(&g, where, returns, 0);
	return tt_group_end(&g, 3);
}

/* A cancelled start had no effect: the child was cancelled alone and has ended, the group goes
 * on. */
TT_TEST_ON(start, a_cancelled_start_ends_the_child, TT_ON_SIM, WHY_SIM)
{
	EXPECT_EQ(goes_on(&nearby), 3);
	EXPECT_EQ(goes_on(&elsewhere), 3);
	EXPECT_TASKS_ALIVE(1);
}

static TT_TASK(succeeds_all_the_same, (struct state *, s))
{
	TT_IGNORE(tt_sleep(TT_NEVER));
	s->has_ended = true;
	return 5;
}

static int gives_up_on_a_success(const tt_child_options *where)
{
	struct state s = { .said = 0 };

	TT_GROUP(g);
	EXPECT_CODE(TT_WITHIN(TT_MS(1), tt_start_with(&g, where, succeeds_all_the_same, &s)), TT_ETIMEDOUT);
	EXPECT_TRUE(s.has_ended);
	tt_go_with(&g, where, returns, 0);
	return tt_group_end(&g, 3);
}

/* Who has given up is not told of a success that comes later, and the group goes on. */
TT_TEST_ON(start, a_success_comes_too_late, TT_ON_SIM, WHY_SIM)
{
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(gives_up_on_a_success(everywhere[i]), 3);
	EXPECT_TASKS_ALIVE(1);
}

static TT_TASK(fails_when_told, (tt_notify *, now), (int *, ret_failed))
{
	TT_TRY(tt_notify_wait(now));
	++*ret_failed;
	return tt_fail(TT_EPIPE, "at last");
}

static TT_TASK(cancels_and_tells, (tt_canceller *, c, tt_canceller_put), (tt_notify *, now))
{
	int rc = tt_test_wait_all_parked();

	tt_cancel(c);
	tt_canceller_put(c);
	tt_notify_one(now);
	return rc;
}

static int start_in_a_scope(tt_group *g, tt_group *others, const tt_child_options *where, tt_notify *now,
                            int *ret_failed)
{
	TT_SCOPE(s, TT_NEVER);
	tt_go(others, cancels_and_tells, tt_scope_canceller(&s), now);
	return tt_scope_end(&s, tt_start_with(g, where, fails_when_told, now, ret_failed));
}

/* What start and group told of the child's failure. */
static int starts_and_is_cancelled(const tt_child_options *where, int *ret_started, int *ret_failed)
{
	tt_notify now;
	int rc;

	tt_notify_init(&now);
	TT_GROUP(others);
	{
		TT_GROUP(g);
		*ret_started = start_in_a_scope(&g, &others, where, &now, ret_failed);
		EXPECT_TRUE(*ret_started == TT_EPIPE || *ret_started == TT_ECANCELED);
		rc = tt_group_end(&g, 0);
	}
	EXPECT_OK(tt_group_end(&others, 0));
	tt_notify_fini(&now);
	return rc;
}

/* The cancel of a start and the failure of its child come together: the failure is told once, to the
 * starter, or, if that gave up before, to the group. */
TT_TEST(start, a_failure_is_told_once_when_a_cancel_comes)
{
	/* laws 4, 5 */
	for (int i = 0; i < 40; i++) {
		int started = 0, failed = 0, ended = starts_and_is_cancelled(everywhere[i % 2], &started, &failed);

		EXPECT_CODE(ended, failed > 0 && started == TT_ECANCELED ? TT_EPIPE : 0);
		EXPECT_TRUE(started == TT_ECANCELED || failed == 1);
	}
	EXPECT_TASKS_ALIVE(1);
}

static TT_TASK(starts_into, (tt_group *, g), (const tt_child_options *, where), (struct state *, s))
{
	EXPECT_CODE(TT_WITHIN(TT_MS(1), tt_start_with(g, where, is_never_ready, s)), TT_ETIMEDOUT);
	EXPECT_TRUE(s->has_ended);
	return tt_start_with(g, where, returns, 0);
}

static int member_starts(const tt_child_options *member, const tt_child_options *where)
{
	tt_group_options o = { .shared = true };
	struct state s = { .said = 0 };

	TT_GROUP_WITH(g, &o);
	tt_go_with(&g, member, starts_into, &g, where, &s);
	return tt_group_end(&g, 0);
}

/* Members of a shared group start children too, on whichever worker. */
TT_TEST_ON(start, members_may, TT_ON_SIM, WHY_SIM)
{
	/* law 5 */
	for (int i = 0; i < 4; i++)
		EXPECT_OK(member_starts(everywhere[i / 2], everywhere[i % 2]));
	EXPECT_TASKS_ALIVE(1);
}

static void drop(struct state *s)
{
	s->dropped = true;
}

static TT_TASK(owns, (struct state *, s, drop))
{
	(void)s;
	return 0;
}

static int starts_cancelled(struct state *s)
{
	int rc;

	TT_GROUP(g);
	tt_group_cancel(&g);
	rc = tt_start(&g, owns, s);
	EXPECT_CODE(rc, TT_ECANCELED);
	return tt_group_end(&g, 5);
}

/* What never starts has its destructors run. */
TT_TEST(start, in_a_cancelled_group)
{
	struct state s = { .said = 0 };

	EXPECT_EQ(starts_cancelled(&s), 5);
	EXPECT_TRUE(s.dropped);
	EXPECT_OK(tt_ready()); /* nobody asked */
}

static int starts_without_memory(struct state *s, uint64_t n, int *ret_started)
{
	TT_GROUP(g);
	tt_test_fail_alloc_at(n);
	*ret_started = tt_start(&g, owns, s);
	tt_test_fail_nothing();
	return tt_group_end(&g, 0);
}

/* Without memory nothing starts: a code, the destructors, and the group knows. */
TT_TEST(start, out_of_memory)
{
	int started = -1;

	for (uint64_t n = 1; n < 10 && started < 0; n++) {
		struct state s = { .said = 0 };
		int rc = starts_without_memory(&s, n, &started);

		EXPECT_CODE(rc, started);
		EXPECT_EQ(s.dropped, started < 0);
	}
	EXPECT_OK(started);
	EXPECT_TASKS_ALIVE(1);
}

static TT_TASK(ready_soon, (tti_atomic_u32 *, alive), (int64_t, after))
{
	int rc;

	/* relaxed: read after the child has ended. */
	tti_fetch_add_relaxed(alive, 1);
	rc = tt_sleep(after);
	if (rc == 0)
		rc = tt_ready();
	/* acq_rel: pairs with the acquire in races(). */
	tti_fetch_sub_acq_rel(alive, 1);
	return rc;
}

static int races(tt_group *g, int i)
{
	tti_atomic_u32 alive = { 0 };
	int rc = TT_WITHIN(TT_US(70 + i % 80), tt_start_with(g, everywhere[i % 2], ready_soon, &alive, TT_US(i * 13 % 150)));

	/* acquire: pairs with the acq_rel above. */
	if (rc == TT_ETIMEDOUT && tti_load_acquire(&alive) != 0)
		return TT_EIO;
	/* It ends right after it said that it is ready. */
	return rc == 0 || rc == TT_ETIMEDOUT ? tt_group_drain(g) : rc;
}

/* On real threads too a start that was cut short has left nothing running. */
TT_TEST(start, cancel_and_ready_race)
{
	/* laws 4, 5 */
	int rc = 0;

	TT_GROUP(g);
	for (int i = 0; i < 300 && rc == 0; i++)
		rc = races(&g, i);
	rc = tt_group_end(&g, rc);
	EXPECT_OK(rc);
	EXPECT_TASKS_ALIVE(1);
}

static TT_TASK(fails_in_time, (int64_t, after))
{
	TT_TRY(tt_sleep(after));
	return tt_fail(TT_EIO, "in time");
}

static TT_TASK(gives_up_in_time, (tt_group *, g), (const tt_child_options *, where), (int *, ret_rc))
{
	*ret_rc = TT_WITHIN(TT_US(100), tt_start_with(g, where, fails_in_time, TT_US(100)));
	return 0;
}

static int gives_up(const tt_child_options *member, const tt_child_options *where, int *ret_rc)
{
	tt_group_options o = { .shared = true };

	TT_GROUP_WITH(g, &o);
	tt_go_with(&g, member, gives_up_in_time, &g, where, ret_rc);
	return tt_group_end(&g, 0);
}

static int gives_up_anywhere(unsigned i, unsigned *told)
{
	int rc = 0, group = gives_up(everywhere[i / 2 % 2], everywhere[i % 2], &rc);

	if (rc == TT_EIO && group == 0)
		told[0]++;
	else if ((rc == TT_ETIMEDOUT || rc == TT_ECANCELED) && group == TT_EIO) /* the group fails around the member */
		told[1]++;
	else if (rc == TT_ETIMEDOUT && group == 0)
		told[2]++;
	else
		return tt_fail(TT_EPROTO, "start %d, group %d", rc, group);
	return 0;
}

static TT_TASK(gives_up_everywhere, (unsigned *, told))
{
	for (unsigned i = 0; i < 60; i++)
		TT_TRY(gives_up_anywhere(i, told));
	return 0;
}

#define SEEDS_DEFAULT 25

/* A failure and the starter's deadline at the same moment: it is told once, to the starter or, when
 * that has given up already, to the group; and a child that is cut short first has failed at
 * nothing. The order that the group's worker ends the child before it hears of the giving up,
 * included. */
TT_TEST_PLAIN(start, a_failure_while_the_starter_gives_up_is_told_once)
{
	/* laws 4, 5, 9, 11 */
	unsigned told[3] = { 0 }, seeds = tt_test_seeds(SEEDS_DEFAULT);

	for (unsigned seed = 0; seed < seeds; seed++) {
		tt_sim_options o = { .seed = seed, .quiet = true };

		EXPECT_OK(tt_sim_run_with(&o, gives_up_everywhere, told));
	}
	for (int i = 0; i < 3 && seeds >= SEEDS_DEFAULT; i++)
		EXPECT_GT(told[i], 0u);
}

static TT_TASK(starts_from_a_job, (tt_group *, g), (struct state *, s))
{
	return tt_start(g, owns, s);
}

static int job_starts(struct state *s)
{
	tt_group_options o = { .shared = true };
	int rc;

	TT_GROUP_WITH(g, &o);
	rc = tt_blocking(starts_from_a_job, &g, s);
	EXPECT_OK(tt_group_end(&g, 0));
	return rc;
}

/* A pool job is no task that could wait for one. */
TT_TEST(start, not_from_a_pool_job)
{
	struct state s = { .said = 0 };

	EXPECT_CODE(job_starts(&s), TT_EWRONGCTX);
	EXPECT_TRUE(s.dropped);
}

/* ---- ready before anybody waits ---- */

static struct {
	struct tti_env_ops env;              /* of the worker that starts; over: */
	const struct tti_env_ops *under;
	tti_atomic_u32 ready;                /* the child has said so */
	unsigned held;                       /* wakes of another worker after which it was waited for */
} early;

/* Wakes the worker of the child, and comes back when the child is ready. */
static long wake_and_wait(long nr, long a, long b, long c, long d, long e, long f)
{
	long rc = early.under->syscall(nr, a, b, c, d, e, f);

	if (nr != SYS_write)
		return rc;
	/* acquire: pairs with the release in ready_early(). */
	while (tti_load_acquire(&early.ready) == 0)
		TT_IGNORE(early.under->futex_wait(&early.ready, 0, TT_NEVER));
	early.held++;
	return rc;
}

static TT_TASK(ready_early)
{
	TT_TRY(tt_ready());
	/* release: pairs with the acquire in wake_and_wait(). */
	tti_store_release(&early.ready, 1);
	tti_env_futex_wake(&early.ready, 1);
	return 0;
}

static int starts_early(void)
{
	int rc;

	TT_GROUP(g);
	/* relaxed: the child is not started yet. */
	tti_store_relaxed(&early.ready, 0);
	early.under = tti_env_bind(&early.env);
	rc = tt_start_with(&g, &elsewhere, ready_early);
	tti_env_bind(early.under);
	return tt_group_end(&g, rc);
}

/* A child on another worker may be ready before its starter begins to wait. The starter is held
 * back in the call that wakes that worker, which it makes only while the worker sleeps. */
TT_TEST_ON(start, a_word_before_the_wait_counts, TT_ON_REAL, "two workers at the same time")
{
	if (tt_worker_count() < 2)
		tt_test_skip("one worker");
	early.env = *tti_env_here;
	early.env.syscall = wake_and_wait;
	while (early.held == 0) {
		EXPECT_OK(tt_sleep(TT_US(100)));
		EXPECT_OK(starts_early());
	}
}

/* ---- tt_call_on ---- */

static TT_TASK(tells_where, (int *, ret_worker), (int, rc))
{
	*ret_worker = tt_worker_index();
	TT_TRY(tt_yield());
	return rc < 0 ? tt_fail(rc, "on worker %d", *ret_worker) : rc;
}

/* It runs there, and gives back what it returned, with the chain of a failure. */
TT_TEST(call_on, gives_the_result)
{
	for (unsigned i = 0; i < 3; i++) {
		int worker = -1;
		tt_error e;

		EXPECT_EQ(tt_call_on(TT_WORKER(i), tells_where, &worker, 40 + (int)i), 40 + (int)i);
		EXPECT_EQ((unsigned)worker, i % (unsigned)tt_worker_count());
		EXPECT_CODE(tt_call_on(TT_WORKER(i), tells_where, &worker, TT_EIO), TT_EIO);
		tt_error_take(&e, TT_EIO);
		REQUIRE_TRUE(tt_error_first(&e) != NULL);
		EXPECT_TRUE(strncmp(tt_error_message(tt_error_first(&e)), "on worker ", 10) == 0);
		tt_error_fini(&e);
	}
	EXPECT_TASKS_ALIVE(1);
}

static TT_TASK(sleeps, (bool *, ret_ended), (int, rc))
{
	int slept = tt_sleep(TT_NEVER);

	*ret_ended = true;
	return rc != 0 ? rc : slept;
}

/* A cancel cancels it there, and waits for its end; a result that came all the same counts. */
TT_TEST(call_on, is_cancelled_and_joined)
{
	bool ended = false;

	EXPECT_CODE(TT_WITHIN(TT_MS(2), tt_call_on(TT_WORKER(1), sleeps, &ended, 0)), TT_ETIMEDOUT);
	EXPECT_TASKS_ALIVE(1);
	EXPECT_CODE(TT_WITHIN(0, tt_call_on(TT_WORKER(1), sleeps, &ended, 0)), TT_ETIMEDOUT);
	EXPECT_TASKS_ALIVE(1);
}

TT_TEST_ON(call_on, a_result_counts_in_spite_of_a_cancel, TT_ON_SIM, WHY_SIM)
{
	bool ended = false;

	EXPECT_EQ(TT_WITHIN(TT_MS(2), tt_call_on(TT_WORKER(1), sleeps, &ended, 9)), 9);
	EXPECT_TRUE(ended);
}

TT_TEST_MAIN()

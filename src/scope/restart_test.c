/* SPDX-License-Identifier: MIT */
/*
 * restart_test.c - children that run again: after which ends, after which pauses, how often;
 * what a cancel and a stop do meanwhile; what is told.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

#include "scope/scope.h"
#include "testing/stderr_testkit.h"

#define WHY_SIM "needs the virtual clock"

static const tt_backoff quick = { .min = TT_US(100), .max = TT_US(400) };

struct runs {
	int n, good_after;
	int64_t at[16];
	int given;
};

/* Fails until its run number good_after; the same arguments each time. */
static TT_TASK(works_at_last, (struct runs *, r), (int, given))
{
	r->given = given;
	if (r->n < 16)
		r->at[r->n] = tt_now();
	if (++r->n < r->good_after)
		return tt_fail(TT_EPROTO, "run %d", r->n);
	return 0;
}

static int supervise(const tt_group_options *o, const tt_child_options *c, struct runs *r)
{
	TT_GROUP_WITH(g, o);
	tt_go_with(&g, c, works_at_last, r, 77);
	return tt_group_end(&g, 0);
}

/* A supervised child that fails runs again, with the same arguments, until it succeeds; on
 * whichever worker it is. */
TT_TEST(restart, until_it_succeeds)
{
	for (unsigned w = 0; w < 3; w++) {
		tt_group_options o = { .policy = TT_SUPERVISE, .backoff = quick };
		tt_child_options c = { .worker = w };
		struct runs r = { .good_after = 5 };

		EXPECT_OK(supervise(&o, &c, &r));
		EXPECT_EQ(r.n, 5);
		EXPECT_EQ(r.given, 77);
	}
	EXPECT_TASKS_ALIVE(1);
}

/* Finishes what it has once it is asked to stop. */
static TT_TASK(drains, (int *, ret_drained))
{
	int rc = TT_UNTIL_STOP(tt_sleep(TT_NEVER));

	TT_TRY(tt_sleep(TT_MS(5)));
	*ret_drained = 1;
	return rc == TT_ESTOP ? 0 : rc;
}

static TT_TASK(has_no_luck)
{
	return tt_fail(TT_EIO, "no luck");
}

static void stop_softly(void)
{
	struct tti_scope *s = tti_home_here->current->scope;

	while (s->parent != NULL)
		s = s->parent;
	tti_scope_stop(s);
}

/* A stop ends a pause, and the failure before it cuts nobody short: the others finish. */
TT_TEST_ON(restart, a_stop_ends_the_pause, TT_ON_SIM, WHY_SIM)
{
	tt_group_options o = { .policy = TT_SUPERVISE, .backoff = { .min = TT_SEC(500), .max = TT_SEC(500) } };
	int64_t before = tt_now();
	int drained = 0;

	TT_GROUP_WITH(g, &o);
	tt_go(&g, drains, &drained);
	tt_go(&g, has_no_luck);
	EXPECT_OK(tt_sleep(TT_MS(1)));
	stop_softly();
	EXPECT_OK(tt_group_end(&g, 0));
	EXPECT_EQ(drained, 1);
	EXPECT_LT(tt_now() - before, TT_SEC(1));
}

/* The same for one child of a group that fails fast otherwise, and by the group's option. */
TT_TEST(restart, of_one_child_under_any_policy)
{
	tt_group_options plain = { .policy = TT_FAIL_FAST };
	tt_group_options all = { .policy = TT_FAIL_FAST, .restart = TT_RESTART_ON_FAILURE, .backoff = quick };
	tt_child_options one = { .restart = TT_RESTART_ON_FAILURE, .backoff = quick }, none = { .restart = TT_RESTART_NEVER };
	struct runs r = { .good_after = 3 };

	EXPECT_OK(supervise(&plain, &one, &r));
	EXPECT_EQ(r.n, 3);
	r = (struct runs){ .good_after = 3 };
	EXPECT_OK(supervise(&all, &none, &r));
	EXPECT_EQ(r.n, 3);
	r = (struct runs){ .good_after = 3 };
	EXPECT_CODE(supervise(&plain, &none, &r), TT_EPROTO);
	EXPECT_EQ(r.n, 1);
}

/* Pauses double from min to max. */
TT_TEST_ON(restart, pauses_double, TT_ON_SIM, WHY_SIM)
{
	tt_group_options o = { .policy = TT_SUPERVISE, .backoff = { .min = TT_MS(10), .max = TT_MS(80) } };
	static const int64_t pauses[] = { 10, 20, 40, 80, 80 };
	tt_child_options c = { .worker = TT_WORKER_HERE };
	struct runs r = { .good_after = 6 };

	EXPECT_OK(supervise(&o, &c, &r));
	REQUIRE_TRUE(r.n == 6);
	for (int i = 0; i < 5; i++) {
		EXPECT_GE(r.at[i + 1] - r.at[i], TT_MS(pauses[i]));
		EXPECT_LT(r.at[i + 1] - r.at[i], TT_MS(pauses[i] + 5));
	}
}

/* Without jitter pauses are exact; with it they are shorter, by no more than was allowed. */
TT_TEST_ON(restart, jitter_shortens_pauses, TT_ON_SIM, WHY_SIM)
{
	tt_group_options o = { .policy = TT_SUPERVISE,
		               .backoff = { .min = TT_MS(100), .max = TT_MS(100), .jitter_percent = 50 } };
	tt_child_options c = { .worker = TT_WORKER_HERE };
	struct runs r = { .good_after = 11 };
	int shorter = 0;

	EXPECT_OK(supervise(&o, &c, &r));
	for (int i = 0; i < 10; i++) {
		EXPECT_GE(r.at[i + 1] - r.at[i], TT_MS(50));
		EXPECT_LT(r.at[i + 1] - r.at[i], TT_MS(105));
		shorter += r.at[i + 1] - r.at[i] < TT_MS(99);
	}
	EXPECT_GT(shorter, 0);
}

static TT_TASK(runs_well_for_a_while, (struct runs *, r), (int64_t, time))
{
	r->at[r->n] = tt_now();
	if (++r->n == 6)
		return 0;
	TT_TRY(tt_sleep(r->n == 3 ? time : 0));
	return TT_EPROTO;
}

static int with_a_good_run(struct runs *r, int64_t time)
{
	tt_group_options o = { .policy = TT_SUPERVISE,
		               .backoff = { .min = TT_MS(10), .max = TT_MS(160), .max_restarts = 3 } };

	TT_GROUP_WITH(g, &o);
	tt_go(&g, runs_well_for_a_while, r, time);
	return tt_group_end(&g, 0);
}

/* A run as long as the longest pause was a good one: pauses and their number begin anew. */
TT_TEST_ON(restart, a_good_run_begins_anew, TT_ON_SIM, WHY_SIM)
{
	struct runs r = { .n = 0 };

	EXPECT_OK(with_a_good_run(&r, TT_MS(200)));
	EXPECT_EQ(r.n, 6);
	EXPECT_LT(r.at[3] - r.at[2], TT_MS(200 + 15));
	r.n = 0;
	EXPECT_CODE(with_a_good_run(&r, TT_MS(100)), TT_EPROTO);
	EXPECT_EQ(r.n, 4);
}

static TT_TASK(sleeps_for_ever)
{
	return tt_sleep(TT_NEVER);
}

static int too_often(struct runs *r, tt_error *ret_e)
{
	tt_group_options o = { .policy = TT_SUPERVISE, .backoff = { .min = 1, .max = TT_SEC(10), .max_restarts = 4 } };
	int rc;

	TT_GROUP_WITH(g, &o);
	tt_go(&g, sleeps_for_ever);
	tt_go(&g, works_at_last, r, 1);
	rc = tt_group_end(&g, 0);
	tt_error_take(ret_e, rc);
	return rc;
}

/* Restarted too often in a row, it fails its group with its last failure. */
TT_TEST(restart, too_often_fails_the_group)
{
	struct runs r = { .good_after = 100 };
	tt_error e;

	EXPECT_CODE(too_often(&r, &e), TT_EPROTO);
	EXPECT_EQ(r.n, 5);
	REQUIRE_TRUE(tt_error_first(&e) != NULL);
	EXPECT_STR_EQ(tt_error_message(tt_error_first(&e)), "run 5");
	tt_error_fini(&e);
	EXPECT_TASKS_ALIVE(1);
}

static TT_TASK(succeeds_again_and_again, (struct runs *, r), (tt_canceller *, c))
{
	if (++r->n == 5)
		tt_cancel(c);
	return tt_yield();
}

static int always(struct runs *r)
{
	tt_child_options o = { .restart = TT_RESTART_ALWAYS, .backoff = quick };
	tt_canceller *c;
	int rc;

	TT_GROUP(g);
	c = tt_group_canceller(&g);
	tt_go_with(&g, &o, succeeds_again_and_again, r, c);
	rc = tt_group_end(&g, 0);
	tt_canceller_put(c);
	return rc;
}

/* TT_RESTART_ALWAYS: after a success too, until the group is cancelled. */
TT_TEST(restart, always)
{
	struct runs r = { .n = 0 };

	EXPECT_CODE(always(&r), TT_ECANCELED);
	EXPECT_EQ(r.n, 5);
	EXPECT_TASKS_ALIVE(1);
}

static int cancelled_in_the_pause(unsigned worker, struct runs *r)
{
	tt_child_options o = { .worker = worker, .restart = TT_RESTART_ON_FAILURE,
		               .backoff = { .min = TT_HOUR(1), .max = TT_HOUR(1) } };

	TT_GROUP(g);
	tt_go_with(&g, &o, works_at_last, r, 1);
	TT_IGNORE(tt_test_wait_all_parked());
	tt_group_cancel(&g);
	return tt_group_end(&g, 4);
}

/* A cancel ends a pause at once. */
TT_TEST(restart, cancel_ends_the_pause)
{
	for (unsigned w = 0; w < 3; w++) {
		struct runs r = { .good_after = 9 };
		int64_t begin = tt_now();

		EXPECT_EQ(cancelled_in_the_pause(w, &r), 4);
		EXPECT_EQ(r.n, 1);
		EXPECT_LT(tt_now() - begin, TT_SEC(60));
	}
	EXPECT_TASKS_ALIVE(1);
}

static int daemon_in_the_pause(struct runs *r)
{
	tt_child_options o = { .daemon = true, .restart = TT_RESTART_ON_FAILURE,
		               .backoff = { .min = TT_HOUR(1), .max = TT_HOUR(1) } };

	TT_GROUP(g);
	tt_go_with(&g, &o, works_at_last, r, 1);
	TT_IGNORE(tt_test_wait_all_parked());
	return tt_group_end(&g, 4);
}

static int deadline_in_the_pause(unsigned worker, struct runs *r)
{
	tt_group_options o = { .policy = TT_SUPERVISE, .backoff = { .min = TT_SEC(10) } };
	tt_child_options c = { .worker = worker };

	return TT_WITHIN(TT_SEC(1), supervise(&o, &c, r));
}

/* A deadline ends a pause as a cancel does, and no later than it is. */
TT_TEST_ON(restart, a_deadline_ends_the_pause, TT_ON_SIM, WHY_SIM)
{
	for (unsigned w = 0; w < 3; w++) {
		struct runs r = { .good_after = 100 };
		int64_t before = tt_now();

		EXPECT_CODE(deadline_in_the_pause(w, &r), TT_ETIMEDOUT);
		EXPECT_LT(tt_now() - before, TT_MS(1100));
		EXPECT_EQ(r.n, 1);
	}
	EXPECT_TASKS_ALIVE(1);
}

/* A daemon in its pause keeps nobody waiting. */
TT_TEST(restart, daemon_in_its_pause)
{
	struct runs r = { .good_after = 9 };
	int64_t begin = tt_now();

	EXPECT_EQ(daemon_in_the_pause(&r), 4);
	EXPECT_LT(tt_now() - begin, TT_SEC(60));
	EXPECT_TASKS_ALIVE(1);
}

static int joined(struct runs *r, int *ret_joined)
{
	tt_group_options o = { .policy = TT_SUPERVISE, .backoff = quick };
	tt_task *t;

	TT_GROUP_WITH(g, &o);
	TT_TRY_IN(&g, tt_go_task(&g, &t, works_at_last, r, 1));
	*ret_joined = tt_task_join(t);
	tt_task_put(t);
	return tt_group_end(&g, 0);
}

/* Who joins it waits for its last run. */
TT_TEST(restart, a_join_waits_for_the_last_run)
{
	struct runs r = { .good_after = 4 };
	int rc = -1;

	EXPECT_OK(joined(&r, &rc));
	EXPECT_OK(rc);
	EXPECT_EQ(r.n, 4);
}

static TT_TASK(ready_then_fails, (struct runs *, r))
{
	if (r->n++ < 3) {
		TT_TRY(tt_ready());
		return TT_EPROTO;
	}
	return 0;
}

static TT_TASK(fails_at_once, (struct runs *, r))
{
	r->n++;
	return TT_EPROTO;
}

static int started(struct runs *r, int *ret_failed)
{
	tt_group_options o = { .policy = TT_SUPERVISE, .backoff = quick };
	int rc;

	TT_GROUP_WITH(g, &o);
	*ret_failed = tt_start(&g, fails_at_once, r);
	EXPECT_EQ(r->n, 1);
	r->n = 0;
	rc = tt_start(&g, ready_then_fails, r);
	return tt_group_end(&g, rc);
}

/* Until it is ready nothing is restarted; from then on it is. */
TT_TEST(restart, only_once_ready)
{
	struct runs r = { .n = 0 };
	int failed = 0;

	EXPECT_OK(started(&r, &failed));
	EXPECT_CODE(failed, TT_EPROTO);
	EXPECT_EQ(r.n, 4);
}

static void drop(int *p)
{
	(void)p;
}

static TT_TASK(owns, (int *, p, drop))
{
	(void)p;
	return 0;
}

static void restarts_an_owner(void)
{
	tt_child_options o = { .restart = TT_RESTART_ALWAYS };
	int rc;

	TT_GROUP(g);
	tt_go_with(&g, &o, owns, NULL);
	rc = tt_group_end(&g, 0);
	TT_IGNORE(rc);
}

/* What a run consumed cannot be given to the next: told at the spawn, with its place. */
TT_TEST(restart, not_with_a_destructor)
{
	EXPECT_ABORTS(restarts_an_owner(), "a task with a destructor argument cannot be restarted");
	EXPECT_ABORTS(restarts_an_owner(), "owns, spawned at src/scope/restart_test.c:");
}

/* What goes to stderr while fn runs; it fits a pipe. */
static const char *stderr_of(void (*fn)(void))
{
	struct stderr_capture c = stderr_capture_begin();

	fn();
	return stderr_capture_end(&c);
}

static void forty_times(void)
{
	tt_group_options o = { .policy = TT_SUPERVISE, .backoff = { .min = TT_MS(100), .max = TT_MS(100) } };
	tt_child_options c = { .worker = TT_WORKER_HERE };
	struct runs r = { .good_after = 40 };

	EXPECT_OK(supervise(&o, &c, &r));
}

/* A restart is reported with its chain; of many in a second one, with their number. */
TT_TEST_ON(restart, is_reported, TT_ON_SIM, WHY_SIM)
{
	const char *text = stderr_of(forty_times);

	EXPECT_TRUE(strstr(text, "tutti: task works_at_last#") != NULL);
	EXPECT_TRUE(strstr(text, ", spawned at src/scope/restart_test.c:") != NULL);
	EXPECT_TRUE(strstr(text, " failed; it restarts in 100 ms: run 1: ") != NULL);
	EXPECT_TRUE(strstr(text, "restarts were not reported") != NULL);
	EXPECT_GE(count_of(text, "it restarts in"), 4u);
	EXPECT_LE(count_of(text, "it restarts in"), 5u);
}

static int without_memory(struct runs *r, uint64_t n, int *ret_go)
{
	tt_child_options o = { .restart = TT_RESTART_ON_FAILURE, .backoff = quick };

	TT_GROUP(g);
	tt_test_fail_alloc_at(n);
	*ret_go = tt_go_with(&g, &o, works_at_last, r, 1);
	tt_test_fail_nothing();
	return tt_group_end(&g, 0);
}

/* Without memory it does not start, and the group knows. */
TT_TEST(restart, out_of_memory)
{
	struct runs r = { .good_after = 1 };
	int go = -1;

	for (uint64_t n = 1; n < 10 && go < 0; n++) {
		int rc = without_memory(&r, n, &go);

		EXPECT_CODE(rc, go);
		EXPECT_EQ(r.n, go == 0);
	}
	EXPECT_OK(go);
}

TT_TEST_MAIN()

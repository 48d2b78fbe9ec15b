/* SPDX-License-Identifier: MIT */
/*
 * once_test.c - an initialiser that runs once: its modes, who takes over, destructors, and the
 * circles that would wait for themselves.
 */
#include <stdlib.h>
#include <string.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

TT_TEST_MAIN()

static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };
static const tt_child_options nearby = { .worker = TT_WORKER_HERE };

struct world {
	tt_once once, other;
	tt_mutex lock; /* guards what follows */
	unsigned runs, arrived, good, failed, cancelled, deadlocks, dropped;
	int last;
	unsigned fail_first; /* so many attempts fail */
	int64_t takes;
};

static void world_init(struct world *w, const tt_once_options *o)
{
	*w = (struct world){ .takes = TT_MS(1) };
	tt_once_init(&w->once, o);
	tt_once_init(&w->other, NULL);
	tt_mutex_init(&w->lock);
}

static void world_fini(struct world *w)
{
	tt_once_fini(&w->once);
	tt_once_fini(&w->other);
	tt_mutex_fini(&w->lock);
}

static TT_TASK(init, (struct world *, w))
{
	unsigned attempt;

	tt_mutex_lock_shielded_(&w->lock);
	attempt = ++w->runs;
	tt_mutex_unlock(&w->lock);
	TT_TRY(tt_sleep(w->takes));
	if (attempt <= w->fail_first)
		return tt_fail(TT_EPROTO, "attempt %u", attempt);
	return 42;
}

static void count(struct world *w, int rc)
{
	TT_LOCK(&w->lock);

	w->arrived++;
	w->good += rc == 42;
	w->failed += rc == TT_EPROTO;
	w->cancelled += rc == TT_ECANCELED || rc == TT_ETIMEDOUT;
	w->deadlocks += rc == TT_EDEADLK;
	w->last = rc;
}

static TT_TASK(wants, (struct world *, w))
{
	count(w, tt_once_do(&w->once, init, w));
	return 0;
}

static int many_want(struct world *w, unsigned n)
{
	TT_GROUP(g);
	for (unsigned i = 0; i < n; i++)
		tt_go_with(&g, &anywhere, wants, w);
	return tt_group_end(&g, 0);
}

/* ---- once ---- */

/* However many arrive on several workers, it runs once, and all get its result. */
TT_TEST(once, runs_once)
{
	/* law 5 */
	struct world w;

	world_init(&w, NULL);
	EXPECT_FALSE(tt_once_is_done(&w.once));
	EXPECT_CODE(many_want(&w, 12), 0);
	EXPECT_EQ(w.runs, 1u);
	EXPECT_EQ(w.good, 12u);
	EXPECT_TRUE(tt_once_is_done(&w.once));
	/* Afterwards it neither runs nor is a checkpoint. */
	EXPECT_CODE(TT_WITHIN(0, tt_once_do(&w.once, init, &w)), 42);
	EXPECT_EQ(w.runs, 1u);
	world_fini(&w);
}

static tt_once still = TT_ONCE_INIT;
static const tt_once_options recorded = { .mode = TT_ONCE_RECORD };
static tt_once still_recorded = TT_ONCE_INIT_WITH(&recorded);

/* Static storage needs no call. */
TT_TEST(once, static_storage)
{
	struct world w;

	world_init(&w, NULL);
	EXPECT_FALSE(tt_once_is_done(&still));
	EXPECT_CODE(tt_once_do(&still, init, &w), 42);
	EXPECT_CODE(tt_once_do(&still, init, &w), 42);
	w.fail_first = 2;
	EXPECT_CODE(tt_once_do(&still_recorded, init, &w), TT_EPROTO);
	w.fail_first = 0;
	EXPECT_CODE(tt_once_do(&still_recorded, init, &w), TT_EPROTO);
	EXPECT_EQ(w.runs, 2u);
	tt_once_fini(&still); /* it may be used again */
	tt_once_fini(&still_recorded);
	world_fini(&w);
}

/* An entry into one that has not run is a checkpoint, and then it does not run. */
TT_TEST(once, a_cancelled_caller_does_not_start_it)
{
	struct world w;

	world_init(&w, NULL);
	EXPECT_CODE(TT_WITHIN(0, tt_once_do(&w.once, init, &w)), TT_ETIMEDOUT);
	EXPECT_EQ(w.runs, 0u);
	world_fini(&w);
}

/* ---- restart ---- */

/* Two attempts fail, each for the one that made it; the third serves all the rest. */
TT_TEST(once, a_failed_one_is_retried_by_the_next)
{
	/* law 5 */
	struct world w;

	world_init(&w, NULL);
	w.fail_first = 2;
	EXPECT_CODE(many_want(&w, 6), 0);
	EXPECT_EQ(w.runs, 3u);
	EXPECT_EQ(w.failed, 2u);
	EXPECT_EQ(w.good, 4u);
	world_fini(&w);
}

static TT_TASK(wants_for_a_while, (struct world *, w), (int64_t, timeout))
{
	count(w, TT_WITHIN(timeout, tt_once_do(&w->once, init, w)));
	return 0;
}

static int first_gives_up(struct world *w)
{
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, wants_for_a_while, w, TT_MS(2));
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	for (int i = 0; i < 3; i++)
		tt_go_with(&g, &anywhere, wants, w);
	return tt_group_end(&g, 0);
}

/* The one that ran it is cancelled: another one that waits takes over. */
TT_TEST(once, a_cancelled_one_is_taken_over)
{
	/* law 5 */
	struct world w;

	world_init(&w, NULL);
	w.takes = TT_MS(5);
	EXPECT_CODE(first_gives_up(&w), 0);
	EXPECT_EQ(w.runs, 2u);
	EXPECT_EQ(w.cancelled, 1u);
	EXPECT_EQ(w.good, 3u);
	world_fini(&w);
}

static TT_TASK(wants_cancellable, (struct world *, w), (tt_canceller **, ret_c))
{
	TT_SCOPE(s, TT_NEVER);
	*ret_c = tt_scope_canceller(&s);
	count(w, tt_once_do(&w->once, init, w));
	return tt_scope_end(&s, 0);
}

static int the_heir_is_cancelled_too(struct world *w)
{
	tt_canceller *first = NULL, *heir = NULL;

	TT_GROUP(g);
	tt_go_with(&g, &nearby, wants_cancellable, w, &first);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_go_with(&g, &nearby, wants_cancellable, w, &heir);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_go_with(&g, &nearby, wants, w);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_cancel(first);
	tt_cancel(heir);
	tt_canceller_put(first);
	tt_canceller_put(heir);
	return tt_group_end(&g, 0);
}

/* The turn is not lost with an heir that is cancelled as well. */
TT_TEST(once, the_turn_is_never_lost)
{
	/* law 4 */
	struct world w;

	world_init(&w, NULL);
	w.takes = TT_SEC(1);
	EXPECT_CODE(the_heir_is_cancelled_too(&w), 0);
	EXPECT_EQ(w.cancelled, 2u);
	EXPECT_EQ(w.good, 1u);
	world_fini(&w);
}

/* ---- record ---- */

/* A recorded failure is final: its code and its text go to everybody, then and later. */
TT_TEST(once, a_recorded_failure_is_everybodys)
{
	/* law 5 */
	struct world w;
	char text[1024];
	tt_error e;

	world_init(&w, &recorded);
	w.fail_first = 1;
	EXPECT_CODE(many_want(&w, 5), 0);
	EXPECT_EQ(w.runs, 1u);
	EXPECT_EQ(w.failed, 5u);
	tt_error_take(&e, tt_once_do(&w.once, init, &w));
	tt_error_text(&e, text, sizeof(text));
	EXPECT_TRUE(strstr(text, "attempt 1") != NULL);
	EXPECT_TRUE(strstr(text, "once_test.c") != NULL);
	EXPECT_TRUE(strstr(text, "wants#") != NULL);
	EXPECT_TRUE(strstr(text, "EPROTO") != NULL);
	tt_error_fini(&e);
	EXPECT_FALSE(tt_once_is_done(&w.once));
	world_fini(&w);
}

/* A cancel is no failure, also where failures are final. */
TT_TEST(once, a_cancel_is_not_recorded)
{
	struct world w;

	world_init(&w, &recorded);
	w.takes = TT_MS(5);
	EXPECT_CODE(TT_WITHIN(TT_MS(1), tt_once_do(&w.once, init, &w)), TT_ETIMEDOUT);
	EXPECT_CODE(tt_once_do(&w.once, init, &w), 42);
	EXPECT_EQ(w.runs, 2u);
	world_fini(&w);
}

/* ---- protect ---- */

static const tt_once_options protected = { .mode = TT_ONCE_PROTECT };
static const tt_once_options protected_shortly = { .mode = TT_ONCE_PROTECT, .bound = TT_MS(10) };

/* The cancel of the caller does not reach a protected initialiser. */
TT_TEST(once, a_protected_one_is_not_cancelled_with_its_caller)
{
	struct world w;

	world_init(&w, &protected);
	w.takes = TT_MS(5);
	EXPECT_CODE(TT_WITHIN(TT_MS(1), tt_once_do(&w.once, init, &w)), 42);
	EXPECT_EQ(w.runs, 1u);
	EXPECT_TRUE(tt_once_is_done(&w.once));
	world_fini(&w);
}

/* The shield has an end of its own, and then another may try. */
TT_TEST(once, protection_is_bounded)
{
	struct world w;

	world_init(&w, &protected_shortly);
	w.takes = TT_SEC(1000);
	EXPECT_CODE(tt_once_do(&w.once, init, &w), TT_ETIMEDOUT);
	w.takes = TT_MS(1);
	EXPECT_CODE(tt_once_do(&w.once, init, &w), 42);
	EXPECT_EQ(w.runs, 2u);
	world_fini(&w);
}

/* ---- back-off ---- */

static const tt_once_options patient = { .retry_min = TT_MS(10), .retry_max = TT_MS(15) };

/* After a failure the next attempt waits, twice as long each time, up to the most. */
TT_TEST(once, attempts_back_off)
{
	struct world w;
	int64_t start, took;

	world_init(&w, &patient);
	w.takes = 0;
	w.fail_first = 2;
	EXPECT_CODE(tt_once_do(&w.once, init, &w), TT_EPROTO);
	start = tt_now();
	EXPECT_CODE(TT_WITHIN(TT_MS(1), tt_once_do(&w.once, init, &w)), TT_ETIMEDOUT);
	EXPECT_EQ(w.runs, 1u);
	EXPECT_CODE(tt_once_do(&w.once, init, &w), TT_EPROTO);
	took = tt_now() - start;
	EXPECT_GE(took, TT_MS(9));
	start = tt_now();
	EXPECT_CODE(tt_once_do(&w.once, init, &w), 42);
	took = tt_now() - start;
	EXPECT_GE(took, TT_MS(14));
	EXPECT_EQ(w.runs, 3u);
	world_fini(&w);
}

static const tt_once_options not_again = { .retry_min = TT_NEVER };

/* A wait without end is one, until a cancel; and an ended once has forgotten its failures. */
TT_TEST(once, a_back_off_may_be_for_ever)
{
	struct world w;

	world_init(&w, &not_again);
	w.takes = 0;
	w.fail_first = 1;
	EXPECT_CODE(tt_once_do(&w.once, init, &w), TT_EPROTO);
	EXPECT_CODE(TT_WITHIN(TT_MS(1), tt_once_do(&w.once, init, &w)), TT_ETIMEDOUT);
	EXPECT_EQ(w.runs, 1u);
	tt_once_fini(&w.once);
	EXPECT_CODE(TT_WITHIN(TT_SEC(1), tt_once_do(&w.once, init, &w)), 42);
	world_fini(&w);
}

/* ---- arguments ---- */

static struct world *dropped_in;

static void drop_number(int n)
{
	TT_LOCK(&dropped_in->lock);

	EXPECT_EQ(n, 7);
	dropped_in->dropped++;
}

static TT_TASK(init_owning, (struct world *, w), (int, n, drop_number))
{
	int rc = init(w);

	drop_number(n);
	return rc;
}

static TT_TASK(wants_owning, (struct world *, w))
{
	count(w, tt_once_do(&w->once, init_owning, w, 7));
	return 0;
}

static int many_want_owning(struct world *w)
{
	TT_GROUP(g);
	for (int i = 0; i < 5; i++)
		tt_go_with(&g, &anywhere, wants_owning, w);
	return tt_group_end(&g, 0);
}

/* Each caller's arguments end exactly once, whether its initialiser ran, waited, came late, or
 * was cancelled. */
TT_TEST(once, arguments_are_dropped_once)
{
	/* law 5 */
	struct world w;

	world_init(&w, NULL);
	dropped_in = &w;
	w.fail_first = 1;
	EXPECT_CODE(TT_WITHIN(0, tt_once_do(&w.once, init_owning, &w, 7)), TT_ETIMEDOUT);
	EXPECT_EQ(w.dropped, 1u);
	EXPECT_CODE(many_want_owning(&w), 0);
	EXPECT_EQ(w.dropped, 6u);
	EXPECT_CODE(tt_once_do(&w.once, init_owning, &w, 7), 42);
	EXPECT_EQ(w.dropped, 7u);
	world_fini(&w);
}

/* ---- circles ---- */

static TT_TASK(init_again, (struct world *, w))
{
	int rc;

	w->runs++;
	rc = tt_once_do(&w->once, init, w);
	count(w, rc);
	return rc;
}

/* An initialiser that asks for its own result gets an error that names both places. */
TT_TEST(once, reentry_is_an_error)
{
	struct world w;
	char text[1024];
	tt_error e;
	int rc;

	world_init(&w, NULL);
	rc = tt_once_do(&w.once, init_again, &w);
	EXPECT_CODE(rc, TT_EDEADLK);
	tt_error_take(&e, rc);
	tt_error_text(&e, text, sizeof(text));
	EXPECT_TRUE(strstr(text, "in init_again, src/sync/once_test.c:") != NULL);
	EXPECT_TRUE(strstr(text, "in init, src/sync/once_test.c:") != NULL);
	tt_error_fini(&e);
	EXPECT_EQ(w.runs, 1u);
	/* It was a failure like any other: retryable. */
	EXPECT_CODE(tt_once_do(&w.once, init, &w), 42);
	world_fini(&w);
}

static TT_TASK(init_b, (struct world *, w));

static TT_TASK(init_a, (struct world *, w))
{
	TT_TRY(tt_sleep(TT_MS(1)));
	return tt_wrap(tt_once_do(&w->other, init_b, w), "a needs b");
}

static int init_b(struct world *w)
{
	TT_TRY(tt_sleep(TT_MS(1)));
	return tt_wrap(tt_once_do(&w->once, init_a, w), "b needs a");
}

static TT_TASK(wants_a, (struct world *, w))
{
	count(w, tt_once_do(&w->once, init_a, w));
	return 0;
}

static TT_TASK(wants_b, (struct world *, w))
{
	count(w, tt_once_do(&w->other, init_b, w));
	return 0;
}

static int a_and_b(struct world *w)
{
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, wants_a, w);
	tt_go_with(&g, &anywhere, wants_b, w);
	return tt_group_end(&g, 0);
}

/* Two initialisers that need each other, in one task or in two on different workers. */
TT_TEST(once, circles_are_errors)
{
	/* law 5 */
	struct world w;

	world_init(&w, NULL);
	EXPECT_CODE(tt_once_do(&w.once, init_a, &w), TT_EDEADLK);
	EXPECT_CODE(a_and_b(&w), 0);
	EXPECT_EQ(w.deadlocks, 2u);
	EXPECT_EQ(w.arrived, 2u);
	world_fini(&w);
}

static TT_TASK(init_by_children, (struct world *, w))
{
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, wants, w);
	TT_TRY_IN(&g, tt_group_drain(&g));
	return tt_group_end(&g, w->last);
}

/* A child of the initialiser that asks for the same would be waited for by the one it waits for. */
TT_TEST(once, a_childs_reentry_is_an_error)
{
	struct world w;

	world_init(&w, NULL);
	EXPECT_CODE(tt_once_do(&w.once, init_by_children, &w), TT_EDEADLK);
	EXPECT_EQ(w.deadlocks, 1u);
	world_fini(&w);
}

static TT_TASK(wants_other_later, (struct world *, w))
{
	TT_TRY(tt_sleep(TT_MS(2)));
	return tt_once_do(&w->other, init, w);
}

static TT_TASK(init_by_a_child_that_waits, (struct world *, w))
{
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, wants_other_later, w);
	return tt_group_end(&g, 0);
}

static TT_TASK(init_other_last, (struct world *, w))
{
	int rc;

	TT_TRY(tt_sleep(TT_MS(200))); /* longer than a busy machine needs until the child waits */
	rc = tt_once_do(&w->once, init, w);
	count(w, rc);
	/* The child, which takes over, finds the circle gone. */
	return rc;
}

static TT_TASK(wants_by_a_child, (struct world *, w))
{
	return tt_once_do(&w->once, init_by_a_child_that_waits, w);
}

static TT_TASK(wants_other_first, (struct world *, w))
{
	TT_IGNORE(tt_once_do(&w->other, init_other_last, w));
	return 0;
}

static int circle_through_a_waiting_child(struct world *w)
{
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, wants_other_first, w);
	tt_go_with(&g, &anywhere, wants_by_a_child, w);
	return tt_group_end(&g, 0);
}

/* So is the circle that is closed by another one, while the child waits already. */
TT_TEST(once, a_waiting_childs_circle_is_an_error)
{
	/* law 5 */
	struct world w;

	world_init(&w, NULL);
	EXPECT_CODE(TT_WITHIN(TT_SEC(10), circle_through_a_waiting_child(&w)), 0);
	EXPECT_EQ(w.deadlocks, 1u);
	world_fini(&w);
}

static int with_a_waiting_child(struct world *w)
{
	int rc;

	TT_GROUP(g);
	tt_go_with(&g, &anywhere, wants, w);
	rc = tt_once_do(&w->once, init, w);
	count(w, rc);
	TT_TRY_IN(&g, rc);
	return tt_group_end(&g, 0);
}

/* A child that was there before is a caller like any other. */
TT_TEST(once, an_older_child_may_wait)
{
	/* law 5 */
	struct world w;

	world_init(&w, NULL);
	EXPECT_CODE(with_a_waiting_child(&w), 0);
	EXPECT_EQ(w.good, 2u);
	EXPECT_EQ(w.runs, 1u);
	world_fini(&w);
}

static TT_TASK(wants_when_ready, (struct world *, w))
{
	TT_TRY(tt_ready());
	TT_TRY(tt_sleep(TT_US(500)));
	return wants(w);
}

static int with_a_started_child(struct world *w)
{
	TT_GROUP(g);
	TT_TRY_IN(&g, tt_start(&g, wants_when_ready, w));
	TT_TRY_IN(&g, tt_once_do(&w->once, init, w));
	return tt_group_end(&g, 0);
}

/* So is one that was started and awaited, and has a scope of its own. */
TT_TEST(once, an_older_started_child_may_wait)
{
	struct world w;

	world_init(&w, NULL);
	EXPECT_CODE(with_a_started_child(&w), 0);
	EXPECT_EQ(w.good, 1u);
	EXPECT_EQ(w.deadlocks, 0u);
	EXPECT_EQ(w.runs, 1u);
	world_fini(&w);
}

/* ---- threads ---- */

static TT_TASK(init_quickly, (struct world *, w))
{
	w->runs++;
	return 42;
}

static TT_TASK(wants_in_a_pool_job, (struct world *, w))
{
	return tt_once_do(&w->once, init_quickly, w);
}

/* A pool job may initialise, and get what a task has initialised. */
TT_TEST(once, plain_threads_too)
{
	struct world w;

	world_init(&w, NULL);
	EXPECT_CODE(tt_blocking(wants_in_a_pool_job, &w), 42);
	EXPECT_CODE(tt_once_do(&w.once, init, &w), 42);
	EXPECT_CODE(tt_blocking(wants_in_a_pool_job, &w), 42);
	EXPECT_EQ(w.runs, 1u);
	world_fini(&w);
}

/* ---- misuse ---- */

static int fini_while_it_runs(struct world *w)
{
	TT_GROUP(g);
	w->takes = TT_SEC(1000);
	tt_go_with(&g, &nearby, wants, w);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	EXPECT_ABORTS(tt_once_fini(&w->once), "tt_once_fini: init runs since ");
	tt_group_cancel(&g);
	return tt_group_end(&g, 0);
}

TT_TEST(once, fini_while_it_runs_aborts)
{
	struct world w;

	world_init(&w, NULL);
	EXPECT_CODE(fini_while_it_runs(&w), 0);
	world_fini(&w);
	tt_once_fini(NULL);
}

/* ---- failures, told to others ---- */

struct failing {
	tt_once once;
	int (*how)(void);
};

static TT_TASK(init_fails, (struct failing *, f))
{
	return f->how();
}

static int without_a_word(void)
{
	TT_IGNORE(tt_fail(TT_EIO, "something else"));
	return TT_EPROTO;
}

static int with_a_cause(void)
{
	return tt_fail(TT_EPROTO, "bad magic");
}

static int with_context(void)
{
	return tt_wrap(tt_wrap(with_a_cause(), "read the header"), "open the store");
}

static TT_TASK(asks_in_a_job, (struct failing *, f))
{
	return tt_once_do(&f->once, init_fails, f);
}

/* What the second one is told, who asks in a task. */
static void told(int (*how)(void), bool in_a_job, char *text, size_t n)
{
	struct failing f = { .how = how };
	tt_error e;
	int rc;

	tt_once_init(&f.once, &(tt_once_options){ .mode = TT_ONCE_RECORD });
	rc = in_a_job ? tt_blocking(asks_in_a_job, &f) : tt_once_do(&f.once, init_fails, &f);
	EXPECT_CODE(rc, TT_EPROTO);
	rc = tt_once_do(&f.once, init_fails, &f);
	EXPECT_CODE(rc, TT_EPROTO);
	tt_error_take(&e, rc);
	tt_error_text(&e, text, n);
	tt_error_fini(&e);
	tt_once_fini(&f.once);
}

/* Who comes later hears where it failed and in what, as far as that was said. */
TT_TEST(once, a_recorded_failure_is_told_with_its_context)
{
	char text[2048];

	told(with_context, false, text, sizeof(text));
	EXPECT_TRUE(strstr(text, "bad magic") != NULL);
	EXPECT_TRUE(strstr(text, "open the store") != NULL);
	EXPECT_TRUE(strstr(text, "failed in task ") != NULL);
	told(with_a_cause, true, text, sizeof(text));
	EXPECT_TRUE(strstr(text, "bad magic") != NULL);
	EXPECT_TRUE(strstr(text, "failed in a plain thread") != NULL);
	told(without_a_word, false, text, sizeof(text));
	EXPECT_TRUE(strstr(text, "something else") == NULL);
	EXPECT_TRUE(strstr(text, "failed in task ") != NULL);
}

/* ---- jobs, which have no scope ---- */

static TT_TASK(init_again_in_a_job, (struct world *, w))
{
	w->runs++;
	return tt_once_do(&w->once, init_quickly, w);
}

static TT_TASK(wants_itself_in_a_job, (struct world *, w))
{
	return tt_once_do(&w->once, init_again_in_a_job, w);
}

TT_TEST(once, a_jobs_reentry_is_an_error)
{
	struct world w;

	world_init(&w, NULL);
	EXPECT_CODE(tt_blocking(wants_itself_in_a_job, &w), TT_EDEADLK);
	EXPECT_EQ(w.runs, 1u);
	EXPECT_CODE(tt_once_do(&w.once, init_quickly, &w), 42);
	world_fini(&w);
}

/* A shield is a block of a task: what a job initialises needs none. */
TT_TEST(once, a_protected_one_in_a_job)
{
	struct world w;

	world_init(&w, &(tt_once_options){ .mode = TT_ONCE_PROTECT });
	EXPECT_CODE(tt_blocking(wants_in_a_pool_job, &w), 42);
	EXPECT_EQ(w.runs, 1u);
	world_fini(&w);
}

static TT_TASK(init_at_the_second_attempt, (struct world *, w))
{
	return ++w->runs == 1 ? TT_EPROTO : 42;
}

static TT_TASK(tries_in_a_job, (struct world *, w))
{
	return tt_once_do(&w->once, init_at_the_second_attempt, w);
}

TT_TEST_ON(once, a_job_waits_out_the_back_off, TT_ON_EPOLL | TT_ON_URING, "a thread waits, in real time")
{
	struct world w;
	int64_t began;

	world_init(&w, &(tt_once_options){ .retry_min = TT_MS(20), .retry_max = TT_MS(20) });
	began = tt_now(); /* before the failure: the time from then on is the machine's to delay */
	EXPECT_CODE(tt_blocking(tries_in_a_job, &w), TT_EPROTO);
	EXPECT_CODE(tt_blocking(tries_in_a_job, &w), 42);
	EXPECT_GE(tt_now() - began, TT_MS(20));
	EXPECT_EQ(w.runs, 2u);
	world_fini(&w);
}

/* The job runs `other`, and asks there for `once`, which a task of ours runs. */
static TT_TASK(init_other_by_once, (struct world *, w))
{
	return tt_once_do(&w->once, init, w);
}

static TT_TASK(asks_across, (struct world *, w))
{
	return tt_once_do(&w->other, init_other_by_once, w);
}

static TT_TASK(calls_a_job, (struct world *, w))
{
	return tt_blocking(asks_across, w);
}

static int meet_in_a_job(struct world *w)
{
	TT_GROUP(g);
	w->takes = TT_MS(30);
	tt_go_with(&g, &nearby, wants, w);
	TT_TRY_IN(&g, tt_yield());
	tt_go_with(&g, &nearby, calls_a_job, w);
	tt_go_with(&g, &nearby, wants, w);
	return tt_group_end(&g, 0);
}

TT_TEST_ON(once, a_job_waits_for_a_task, TT_ON_EPOLL | TT_ON_URING, "a thread waits")
{
	struct world w;

	world_init(&w, NULL);
	EXPECT_CODE(meet_in_a_job(&w), 0);
	EXPECT_EQ(w.runs, 1u);
	EXPECT_EQ(w.good, 2u);
	EXPECT_TRUE(tt_once_is_done(&w.other));
	world_fini(&w);
}

/* ---- a long circle ---- */

#define RING 7

struct ring {
	tt_once once[RING];
	tt_barrier all_run;
	unsigned deadlocks;
	char text[2048];
};

static TT_TASK(runs_one, (struct ring *, r), (unsigned, i))
{
	int rc = tt_barrier_wait(&r->all_run);

	if (rc < 0)
		return rc;
	rc = tt_once_do(&r->once[(i + 1) % RING], runs_one, r, (i + 1) % RING);
	if (rc == TT_EDEADLK && r->deadlocks++ == 0) {
		tt_error e;

		tt_error_take(&e, rc);
		tt_error_text(&e, r->text, sizeof(r->text));
		tt_error_fini(&e);
		return 1;
	}
	return rc;
}

static TT_TASK(begins_one, (struct ring *, r), (unsigned, i))
{
	return tt_once_do(&r->once[i], runs_one, r, i);
}

static int run_ring(struct ring *r)
{
	TT_GROUP(g);
	for (unsigned i = 0; i < RING; i++)
		tt_go_with(&g, &nearby, begins_one, r, i);
	return tt_group_end(&g, 0);
}

/* The one that closes a circle of many is told of the nearest few. */
TT_TEST(once, a_long_circle_is_told_in_part)
{
	static struct ring r;
	const char *at;
	unsigned named = 0;

	memset(&r, 0, sizeof(r));
	tt_barrier_init(&r.all_run, RING);
	for (unsigned i = 0; i < RING; i++)
		tt_once_init(&r.once[i], NULL);
	EXPECT_CODE(run_ring(&r), 0);
	EXPECT_EQ(r.deadlocks, 1u);
	for (at = r.text; (at = strstr(at, "began here, and ")) != NULL; at++)
		named++;
	EXPECT_GE(named, 2u);
	EXPECT_LT(named, (unsigned)RING);
	for (unsigned i = 0; i < RING; i++)
		tt_once_fini(&r.once[i]);
	tt_barrier_fini(&r.all_run);
}

/* ---- jobs within circles ---- */

TT_CHAN_TYPE(int_chan, int);

static tt_semaphore job_runs;
static int_chan job_may_end; /* a job may wait for an item */

static TT_TASK(init_slowly_in_a_job, (struct world *, w))
{
	int item;

	w->runs++;
	tt_semaphore_release(&job_runs, 1);
	return tt_recv(&job_may_end, &item) == 1 ? 42 : TT_EIO;
}

static TT_TASK(runs_slowly_in_a_job, (struct world *, w))
{
	return tt_once_do(&w->once, init_slowly_in_a_job, w);
}

static TT_TASK(calls_the_slow_job, (struct world *, w))
{
	return tt_blocking(runs_slowly_in_a_job, w);
}

/* Runs `other`, and waits there for what a job runs. */
static TT_TASK(init_by_the_job, (struct world *, w))
{
	return tt_once_do(&w->once, init_quickly, w);
}

static TT_TASK(wants_by_the_job, (struct world *, w))
{
	count(w, tt_once_do(&w->other, init_by_the_job, w));
	return 0;
}

static int wait_for_a_job(struct world *w)
{
	TT_GROUP(g);
	tt_go_with(&g, &nearby, calls_the_slow_job, w);
	TT_TRY_IN(&g, tt_semaphore_acquire(&job_runs, 1));
	tt_go_with(&g, &nearby, wants_by_the_job, w);
	TT_TRY_IN(&g, tt_test_wait_all_parked()); /* in line */
	TT_TRY_IN(&g, tt_send(&job_may_end, &(int){ 0 }));
	return tt_group_end(&g, 0);
}

/* A job has no children: whoever waits for it closes no circle. */
TT_TEST_ON(once, a_task_waits_for_a_job, TT_ON_EPOLL | TT_ON_URING, "a thread waits")
{
	struct world w;

	world_init(&w, NULL);
	tt_semaphore_init(&job_runs, 0);
	REQUIRE_OK(tt_chan_init(&job_may_end, 1));
	EXPECT_CODE(wait_for_a_job(&w), 0);
	tt_semaphore_fini(&job_runs);
	tt_chan_fini(&job_may_end);
	EXPECT_EQ(w.good, 1u);
	EXPECT_TRUE(tt_once_is_done(&w.once));
	EXPECT_TRUE(tt_once_is_done(&w.other));
	EXPECT_EQ(w.runs, 1u);
	world_fini(&w);
}

static TT_TASK(init_that_says_cancelled, (struct world *, w))
{
	return ++w->runs < 5 ? TT_ECANCELED : 42;
}

static TT_TASK(asks_one_that_says_cancelled, (struct world *, w))
{
	return tt_once_do(&w->once, init_that_says_cancelled, w);
}

/* Who says "cancelled" without being it has failed: the next attempt waits its time, which
 * doubles up to the bound. */
TT_TEST(once, cancelled_is_a_failure_of_who_was_not)
{
	struct world w;
	int64_t began = tt_now();

	world_init(&w, &(tt_once_options){ .retry_min = TT_MS(2), .retry_max = TT_MS(10) });
	EXPECT_CODE(tt_once_do(&w.once, init_that_says_cancelled, &w), TT_ECANCELED);
	EXPECT_CODE(tt_once_do(&w.once, init_that_says_cancelled, &w), TT_ECANCELED);
	EXPECT_CODE(tt_once_do(&w.once, init_that_says_cancelled, &w), TT_ECANCELED);
	EXPECT_CODE(tt_once_do(&w.once, init_that_says_cancelled, &w), TT_ECANCELED);
	EXPECT_CODE(tt_once_do(&w.once, init_that_says_cancelled, &w), 42);
	EXPECT_GE(tt_now() - began, TT_MS(20));
	world_fini(&w);
	world_init(&w, NULL);
	EXPECT_CODE(tt_blocking(asks_one_that_says_cancelled, &w), TT_ECANCELED);
	world_fini(&w);
}

/* ---- on the way in and out ---- */

static TT_TASK(wants_other_cancellable, (struct world *, w), (tt_canceller **, ret_c))
{
	TT_SCOPE(s, TT_NEVER);
	*ret_c = tt_scope_canceller(&s);
	count(w, tt_once_do(&w->other, init, w));
	return tt_scope_end(&s, 0);
}

static TT_TASK(init_by_a_child_in_line, (struct world *, w), (tt_canceller **, child))
{
	TT_GROUP(g);
	tt_go_with(&g, &nearby, wants_other_cancellable, w, child);
	return tt_group_end(&g, 42);
}

static TT_TASK(wants_by_a_child_in_line, (struct world *, w), (tt_canceller **, child))
{
	count(w, tt_once_do(&w->once, init_by_a_child_in_line, w, child));
	return 0;
}

/* Runs `other`, for which the child waits, and asks for `once`, which waits for the child. */
static TT_TASK(init_other_without_the_child, (struct world *, w), (tt_semaphore *, go), (tt_canceller **, child))
{
	TT_TRY(tt_semaphore_acquire(go, 1));
	tt_cancel(*child); /* on this worker, so that it has not run since: it is in line still */
	return tt_once_do(&w->once, init, w);
}

static TT_TASK(wants_other_without_the_child, (struct world *, w), (tt_semaphore *, go), (tt_canceller **, child))
{
	count(w, tt_once_do(&w->other, init_other_without_the_child, w, go, child));
	return 0;
}

static int the_child_gives_up(struct world *w, tt_semaphore *go, tt_canceller **child)
{
	TT_GROUP(g);
	tt_go_with(&g, &nearby, wants_other_without_the_child, w, go, child);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_go_with(&g, &nearby, wants_by_a_child_in_line, w, child);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_semaphore_release(go, 1);
	return tt_group_end(&g, 0);
}

/* A child that was cancelled while it waited is on its way out: it closes no circle any more. */
TT_TEST(once, a_child_that_gave_up_closes_no_circle)
{
	tt_canceller *child = NULL;
	tt_semaphore go;
	struct world w;

	world_init(&w, NULL);
	tt_semaphore_init(&go, 0);
	EXPECT_CODE(the_child_gives_up(&w, &go, &child), 0);
	EXPECT_EQ(w.cancelled, 1u);
	EXPECT_EQ(w.good, 2u);
	EXPECT_EQ(w.arrived, 3u);
	EXPECT_EQ(w.runs, 0u);
	tt_canceller_put(child);
	tt_semaphore_fini(&go);
	world_fini(&w);
}

static TT_TASK(init_that_fails_when_told, (tt_semaphore *, go))
{
	TT_TRY(tt_semaphore_acquire(go, 1));
	return TT_EPROTO;
}

/* Runs `other`; its first attempt at `once` fails, and the turn is with the one in line then. */
static TT_TASK(init_other_by_asking_twice, (struct world *, w), (tt_semaphore *, go))
{
	int rc = tt_once_do(&w->once, init_that_fails_when_told, go);

	return rc == TT_EPROTO ? tt_once_do(&w->once, init_quickly, w) : TT_EIO;
}

static TT_TASK(asks_twice, (struct world *, w), (tt_semaphore *, go))
{
	count(w, tt_once_do(&w->other, init_other_by_asking_twice, w, go));
	return 0;
}

static int asked_while_the_turn_is_handed_over(struct world *w, tt_semaphore *go)
{
	TT_GROUP(g);
	tt_go_with(&g, &nearby, asks_twice, w, go);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_go_with(&g, &nearby, wants, w);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_semaphore_release(go, 1);
	return tt_group_end(&g, 0);
}

/* Nobody runs a once whose turn is being handed over: who runs another and asks for it now
 * closes no circle, and waits for the heir. */
TT_TEST(once, a_turn_between_two_runs_closes_no_circle)
{
	tt_semaphore go;
	struct world w;

	world_init(&w, NULL);
	tt_semaphore_init(&go, 0);
	EXPECT_CODE(asked_while_the_turn_is_handed_over(&w, &go), 0);
	EXPECT_EQ(w.good, 2u);
	EXPECT_EQ(w.runs, 1u); /* the heir's */
	tt_semaphore_fini(&go);
	world_fini(&w);
}

/* ---- two ways to one run ---- */

struct diamond {
	tt_once outer, top, left, right, bottom; /* each runs by asking for what follows it */
	tt_semaphore go;
};

static TT_TASK(init_bottom, (struct diamond *, d))
{
	TT_TRY(tt_semaphore_acquire(&d->go, 1));
	return 42;
}

static TT_TASK(asks_bottom, (struct diamond *, d))
{
	return tt_once_do(&d->bottom, init_bottom, d);
}

static TT_TASK(asks_side, (struct diamond *, d), (tt_once *, side))
{
	return tt_once_do(side, asks_bottom, d);
}

static TT_TASK(init_top, (struct diamond *, d))
{
	TT_GROUP(g);
	tt_go_with(&g, &nearby, asks_side, d, &d->left);
	tt_go_with(&g, &nearby, asks_side, d, &d->right);
	return tt_group_end(&g, 42);
}

static TT_TASK(asks_top, (struct diamond *, d))
{
	return tt_once_do(&d->top, init_top, d);
}

static TT_TASK(asks_outer, (struct diamond *, d))
{
	return tt_once_do(&d->outer, asks_top, d);
}

static int fill_diamond(struct diamond *d)
{
	TT_GROUP(g);
	tt_go_with(&g, &nearby, asks_bottom, d);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_go_with(&g, &nearby, asks_side, d, &d->left);
	tt_go_with(&g, &nearby, asks_side, d, &d->right);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_go_with(&g, &nearby, asks_top, d);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_go_with(&g, &nearby, asks_outer, d);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_semaphore_release(&d->go, 1);
	return tt_group_end(&g, 0);
}

/* A run that is waited for on two ways is visited once, and closes no circle. */
TT_TEST(once, two_ways_to_one_run_are_no_circle)
{
	struct diamond d = { .outer = TT_ONCE_INIT };
	tt_once *all[] = { &d.outer, &d.top, &d.left, &d.right, &d.bottom };

	tt_semaphore_init(&d.go, 0);
	for (unsigned i = 0; i < 5; i++)
		tt_once_init(all[i], NULL);
	EXPECT_CODE(fill_diamond(&d), 0);
	for (unsigned i = 0; i < 5; i++) {
		EXPECT_TRUE(tt_once_is_done(all[i]));
		tt_once_fini(all[i]);
	}
	tt_semaphore_fini(&d.go);
}

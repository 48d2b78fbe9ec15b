/* SPDX-License-Identifier: MIT */
/*
 * blocking_test.c - tt_blocking: the result, the chain, cancel before and after the start,
 * what a job may not do, and threads that cannot be had.
 */
#include <tutti/blocking.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

#include "base/atomic.h"
#include "env/env.h"
#include "par/blocking.h"

static const tt_child_options elsewhere = { .worker = TT_WORKER(1) };

static TT_TASK(adds, (int, a), (int, b))
{
	return a + b;
}

static TT_TASK(fails, (int, code), (const char *, text))
{
	return tt_wrap(tt_fail(code, "%s", text), "in the job");
}

/* The result is what the function returned. */
TT_TEST(blocking, gives_the_result)
{
	EXPECT_EQ(tt_blocking(adds, 2, 3), 5);
	EXPECT_CODE(tt_blocking(adds, -2, -3), -5);
}

/* The chain crosses the thread: what the job said explains the code here. */
TT_TEST(blocking, the_chain_comes_along)
{
	tt_error e;
	int rc = tt_blocking(fails, TT_EPROTO, "bad magic");

	EXPECT_CODE(rc, TT_EPROTO);
	tt_error_take(&e, tt_wrap(rc, "open archive"));
	REQUIRE_TRUE(tt_error_first(&e) != NULL);
	EXPECT_STR_EQ(tt_error_message(tt_error_first(&e)), "open archive");
	REQUIRE_TRUE(tt_error_cause(tt_error_first(&e)) != NULL);
	EXPECT_STR_EQ(tt_error_message(tt_error_cause(tt_error_first(&e))), "bad magic");
	tt_error_fini(&e);
}

/* A job that succeeds leaves the task's own chain alone. */
TT_TEST(blocking, success_touches_no_chain)
{
	tt_error e;
	int rc = tt_fail(TT_EIO, "before");

	EXPECT_EQ(tt_blocking(adds, 1, 1), 2);
	tt_error_take(&e, rc);
	REQUIRE_TRUE(tt_error_first(&e) != NULL);
	EXPECT_STR_EQ(tt_error_message(tt_error_first(&e)), "before");
	tt_error_fini(&e);
}

static int dropped;

static void drop(int *counter)
{
	(*counter)++;
}

static TT_TASK(owns, (int *, counter, drop), (int *, ran))
{
	(void)counter;
	(*ran)++;
	return 0;
}

/* A call is a checkpoint: cancelled before it was handed over it never runs. */
TT_TEST(blocking, cancelled_before_it_starts)
{
	int ran = 0;

	dropped = 0;
	EXPECT_CODE(TT_WITHIN(0, tt_blocking(owns, &dropped, &ran)), TT_ETIMEDOUT);
	EXPECT_EQ(ran, 0);
	EXPECT_EQ(dropped, 1);
	EXPECT_OK(tt_blocking(owns, &dropped, &ran));
	EXPECT_EQ(ran, 1);
	EXPECT_EQ(dropped, 1);
}

static TT_TASK(takes, (int64_t, ns), (tti_atomic_u32 *, done))
{
	struct timespec t = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };

	nanosleep(&t, NULL);
	/* relaxed: the message back orders it. */
	tti_store_relaxed(done, 1);
	return 9;
}

/* Once it runs it is waited for, so that it may work in the caller's frame; its result is
 * given, and the cancel shows at the next checkpoint. */
TT_TEST_ON(blocking, running_job_is_waited_for, TT_ON_REAL, "a job that takes time")
{
	tti_atomic_u32 done = { 0 };
	int rc = 0;

	EXPECT_CODE(TT_WITHIN(TT_MS(2), (rc = tt_blocking(takes, TT_MS(20), &done), tt_checkpoint())), TT_ETIMEDOUT);
	EXPECT_EQ(rc, 9);
	/* relaxed: the message back orders it. */
	EXPECT_EQ(tti_load_relaxed(&done), 1u);
}

static TT_TASK(job_misuses, (int *, ret))
{
	tt_mutex m;
	tt_semaphore s;
	tt_notify n;
	int_fast32_t count = 0;

	tt_mutex_init(&m);
	tt_semaphore_init(&s, 1);
	tt_notify_init(&n);
	count += tt_sleep(0) == TT_EWRONGCTX;
	count += tt_yield() == TT_EWRONGCTX;
	count += tt_checkpoint() == TT_EWRONGCTX;
	count += tt_mutex_lock(&m) == TT_EWRONGCTX;
	count += tt_mutex_try_lock(&m) == TT_EWRONGCTX;
	count += tt_semaphore_acquire(&s, 1) == TT_EWRONGCTX;
	count += tt_notify_wait(&n) == TT_EWRONGCTX;
	count += tt_select(TT_ON_TIMEOUT(0)) == TT_EWRONGCTX;
	count += tt_blocking(owns, &dropped, ret) == TT_EWRONGCTX;
	*ret = (int)count;
	return 0;
}

/* Inside a job the calls that only tasks may make give TT_EWRONGCTX; arguments that were
 * handed over are destroyed. */
TT_TEST(blocking, a_job_is_no_task)
{
	int count = 0;

	dropped = 0;
	EXPECT_OK(tt_blocking(job_misuses, &count));
	EXPECT_EQ(count, 9);
	EXPECT_EQ(dropped, 1);
}

static TT_TASK(job_spawns, (tt_group *, g), (int *, ran))
{
	return tt_go(g, owns, &dropped, ran);
}

/* A job cannot start a child either, and what it handed over is destroyed. */
TT_TEST(blocking, a_job_starts_no_child)
{
	int ran = 0, rc;

	dropped = 0;
	TT_GROUP(g);
	EXPECT_CODE(tt_blocking(job_spawns, &g, &ran), TT_EWRONGCTX);
	rc = tt_group_end(&g, 0);
	EXPECT_OK(rc);
	EXPECT_EQ(ran, 0);
	EXPECT_EQ(dropped, 1);
}

static TT_TASK(calls, (int, n), (int *, sum))
{
	for (int i = 0; i < n; i++) {
		int rc = tt_blocking(adds, i, 1);

		TT_TRY(rc);
		*sum += rc;
	}
	return 0;
}

/* Many tasks on all workers use the pool at once. */
TT_TEST(blocking, many_at_once)
{
	int sum[20] = { 0 }, rc, all = 0;

	TT_GROUP(g);
	for (int i = 0; i < 20; i++)
		tt_go_with(&g, i % 2 == 0 ? &elsewhere : &(tt_child_options){ .name = "here" }, calls, 20, &sum[i]);
	rc = tt_group_end(&g, 0);
	EXPECT_OK(rc);
	for (int i = 0; i < 20; i++)
		all += sum[i];
	EXPECT_EQ(all, 20 * 210);
}

TT_TEST_PLAIN(blocking, outside_of_tasks)
{
	EXPECT_ABORTS(TT_IGNORE(tt_blocking(adds, 1, 2)), "tt_blocking: called outside a task");
}

/* ---- threads that cannot be had: a table of operations of our own ---- */

static struct tti_env_ops scarce;
static tti_atomic_u32 threads_left;     /* so many may still be started */
static tti_atomic_u32 first_job_may_end, first_job_done;
static bool wait_for_first_job;

static void let_first_job_end(void)
{
	/* release: pairs with the acquire in the job. */
	tti_store_release(&first_job_may_end, 1);
}

static int scarce_thread_start(struct tti_thread *t, const char *name)
{
	if (strcmp(name, "tt-blocking") != 0)
		return tti_env_real.thread_start(t, name);
	/* relaxed: only one thread asks in these tests. */
	if (tti_load_relaxed(&threads_left) > 0) {
		/* relaxed: as above. */
		tti_store_relaxed(&threads_left, tti_load_relaxed(&threads_left) - 1);
		return tti_env_real.thread_start(t, name);
	}
	if (wait_for_first_job) {
		struct timespec moment = { .tv_nsec = 20000000 };

		let_first_job_end();
		/* acquire: pairs with the release in the job. */
		while (tti_load_acquire(&first_job_done) == 0)
			tti_cpu_relax();
		nanosleep(&moment, NULL); /* the only thread there is becomes idle meanwhile */
	}
	return TT_EAGAIN;
}

static int run_with_threads(unsigned n, int (*run)(void))
{
	int status;

	scarce = tti_env_real;
	scarce.thread_start = scarce_thread_start;
	/* relaxed: no other thread runs yet. */
	tti_store_relaxed(&threads_left, n);
	tti_env_bind(&scarce);
	status = run();
	tti_env_bind(NULL);
	return status;
}

static TT_TASK(calls_without_threads)
{
	int ran = 0, rc;

	dropped = 0;
	rc = tt_blocking(owns, &dropped, &ran);
	return rc == TT_EAGAIN && ran == 0 && dropped == 1 ? 0 : 1;
}

static int without_threads(void)
{
	tt_main_options o = { .workers = 1, .io = TT_IO_EPOLL };

	return tt_main_with(&o, calls_without_threads);
}

/* No thread at all: the call says so, and the arguments are destroyed. */
TT_TEST_PLAIN(blocking, no_thread_to_be_had)
{
	EXPECT_EQ(run_with_threads(0, without_threads), 0);
}

static TT_TASK(first_job)
{
	struct timespec moment = { .tv_nsec = 1000000 };

	/* acquire: pairs with the release in let_first_job_end(). */
	while (tti_load_acquire(&first_job_may_end) == 0)
		nanosleep(&moment, NULL);
	/* release: pairs with the acquire in scarce_thread_start(). */
	tti_store_release(&first_job_done, 1);
	return 1;
}

static TT_TASK(calls_first_job)
{
	return tt_blocking(first_job);
}

static TT_TASK(two_jobs_one_thread)
{
	int rc;

	TT_GROUP(g);
	tt_go(&g, calls_first_job);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	rc = TT_WITHIN(TT_SEC(3), tt_blocking(adds, 20, 1));
	return tt_group_end(&g, rc == 21 ? 0 : 1);
}

static int one_thread(void)
{
	tt_main_options o = { .workers = 1, .io = TT_IO_EPOLL };

	return tt_main_with(&o, two_jobs_one_thread);
}

/* A second thread cannot be had while the only one becomes idle: that one takes the job. */
TT_TEST_PLAIN(blocking, an_idle_thread_takes_what_no_new_one_could)
{
	wait_for_first_job = true;
	EXPECT_EQ(run_with_threads(1, one_thread), 0);
}

static TT_TASK(withdraws_a_queued_job)
{
	int ran = 0, rc = 0;

	dropped = 0;
	TT_GROUP(g);
	tt_go(&g, calls_first_job);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	/* The thread is busy and no other can be had: the job is queued. */
	rc = TT_WITHIN(TT_MS(2), tt_blocking(owns, &dropped, &ran));
	let_first_job_end();
	TT_TRY_IN(&g, tt_group_drain(&g));
	return tt_group_end(&g, rc == TT_ETIMEDOUT && ran == 0 && dropped == 1 ? 0 : 1);
}

static int withdraws(void)
{
	tt_main_options o = { .workers = 1, .io = TT_IO_EPOLL };

	return tt_main_with(&o, withdraws_a_queued_job);
}

/* A job that is still queued is withdrawn by a cancel: it never runs, destructors do. */
TT_TEST_PLAIN(blocking, queued_job_is_withdrawn)
{
	wait_for_first_job = false;
	EXPECT_EQ(run_with_threads(1, withdraws), 0);
}

TT_TEST_MAIN()

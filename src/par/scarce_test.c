/* SPDX-License-Identifier: MIT */
/* test-labels: wall */
/*
 * scarce_test.c - the blocking pool when threads cannot be had: no job is left behind, none is
 * started that was withdrawn, and arguments are destroyed.
 */
#include <tutti/blocking.h>

#include <string.h>
#include <time.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

#include "base/atomic.h"
#include "env/env.h"

static TT_TASK(adds, (int, a), (int, b))
{
	return a + b;
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

/* ---- a table of operations of our own ---- */

static struct tti_env_ops scarce;
static tti_atomic_u32 threads_left;     /* so many may still be started */
static tti_atomic_u32 first_job_runs, first_job_may_end, first_job_done;
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
TT_TEST_PLAIN(scarce, no_thread_to_be_had)
{
	EXPECT_EQ(run_with_threads(0, without_threads), 0);
}

static TT_TASK(first_job)
{
	struct timespec moment = { .tv_nsec = 1000000 };

	/* release: pairs with the acquire in wait_for_its_thread(). */
	tti_store_release(&first_job_runs, 1);
	/* acquire: pairs with the release in let_first_job_end(). */
	while (tti_load_acquire(&first_job_may_end) == 0)
		nanosleep(&moment, NULL);
	/* release: pairs with the acquire in scarce_thread_start(). */
	tti_store_release(&first_job_done, 1);
	return 1;
}

/* Only a thread that has come to life is one that others may wait for. */
static int wait_for_its_thread(void)
{
	/* acquire: pairs with the release in the job. */
	while (tti_load_acquire(&first_job_runs) == 0)
		TT_TRY(tt_sleep(TT_US(100)));
	return 0;
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
	TT_TRY_IN(&g, wait_for_its_thread());
	rc = TT_WITHIN(TT_SEC(3), tt_blocking(adds, 20, 1));
	return tt_group_end(&g, rc == 21 ? 0 : 1);
}

static int one_thread(void)
{
	tt_main_options o = { .workers = 1, .io = TT_IO_EPOLL };

	return tt_main_with(&o, two_jobs_one_thread);
}

/* A second thread cannot be had while the only one becomes idle: that one takes the job. The
 * message of its first one comes while the worker is busy and about to sleep: law 9. */
TT_TEST_PLAIN(scarce, an_idle_thread_takes_what_no_new_one_could)
{
	/* perhaps law 7 */
	wait_for_first_job = true;
	EXPECT_EQ(run_with_threads(1, one_thread), 0);
}

static TT_TASK(withdraws_a_queued_job)
{
	int ran = 0, rc = 0;

	dropped = 0;
	TT_GROUP(g);
	tt_go(&g, calls_first_job);
	TT_TRY_IN(&g, wait_for_its_thread());
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
TT_TEST_PLAIN(scarce, queued_job_is_withdrawn)
{
	/* perhaps law 7 */
	wait_for_first_job = false;
	EXPECT_EQ(run_with_threads(1, withdraws), 0);
}

TT_TEST_MAIN()

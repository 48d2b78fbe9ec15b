/* SPDX-License-Identifier: MIT */
/*
 * tls_test.c - thread-locals and errno in tasks. Compilers keep the address of a thread-local
 * across a call, and no flag cures it; so a task that has begun must stay on its thread. Here
 * both are used before and after parks, in loops that -O3 with link-time optimisation may
 * transform as it likes, while tasks on all workers do the same.
 *
 * test-timeout: 120
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

static __thread int home_number;        /* 1 + the index of the worker whose thread this is */
static __thread unsigned turns;         /* counted by all tasks of one thread together */

static int park(int how)
{
	switch (how % 3) {
	case 0:
		return tt_yield();
	case 1:
		return tt_sleep(TT_US(5));
	default:
		return tt_sleep(0);
	}
}

static inline int fail_with_errno(int fd)
{
	return close(fd) < 0 ? errno : 0;
}

/* Each failed call sets errno anew; read after a park it must still be this thread's. */
static TT_TASK(reads_errno, (int, rounds))
{
	for (int i = 0; i < rounds; i++) {
		errno = EDOM;
		TT_TRY(park(i));
		EXPECT_EQ(fail_with_errno(-1), EBADF);
		EXPECT_EQ(errno, EBADF);
	}
	return 0;
}

/* errno after a park is the errno of the thread that made the failing call. */
TT_TEST(tls, errno_keeps_its_meaning)
{
	tt_child_options o = { .worker = 0 };
	int rc;

	TT_GROUP(g);
	for (unsigned i = 0; i < 8; i++) {
		o.worker = TT_WORKER(i);
		tt_go_with(&g, &o, reads_errno, 200);
	}
	rc = tt_group_end(&g, 0);
	EXPECT_OK(rc);
}

static TT_TASK(marks_thread)
{
	home_number = tt_worker_index() + 1;
	turns = 0;
	return 0;
}

/* The address is taken once, and again after every park: it is the same, and so is the value. */
static TT_TASK(reads_thread_local, (int, rounds))
{
	const int *before = &home_number;
	unsigned seen;

	for (int i = 0; i < rounds; i++) {
		seen = ++turns;
		TT_TRY(park(i));
		EXPECT_TRUE(before == &home_number);
		EXPECT_EQ(home_number, tt_worker_index() + 1);
		EXPECT_EQ(*before, home_number);
		EXPECT_TRUE(turns >= seen);
	}
	return 0;
}

static TT_TASK(reports_turns, (unsigned *, ret))
{
	*ret = turns;
	return 0;
}

static int on_all_workers(unsigned n, int rounds, unsigned *ret_turns)
{
	tt_child_options o = { .worker = 0 };

	TT_GROUP(g);
	for (unsigned i = 0; i < n; i++) {
		o.worker = TT_WORKER(i);
		tt_go_with(&g, &o, marks_thread);
	}
	TT_TRY_IN(&g, tt_group_drain(&g));
	for (unsigned i = 0; i < 3 * n; i++) {
		o.worker = TT_WORKER(i);
		tt_go_with(&g, &o, reads_thread_local, rounds);
	}
	TT_TRY_IN(&g, tt_group_drain(&g));
	for (unsigned i = 0; i < n; i++) {
		o.worker = TT_WORKER(i);
		tt_go_with(&g, &o, reports_turns, &ret_turns[i]);
	}
	return tt_group_end(&g, 0);
}

/* A thread-local that tasks of one worker share loses no count over their parks. */
TT_TEST_ON(tls, thread_local_belongs_to_the_worker, TT_ON_REAL, "virtual workers share a thread")
{
	unsigned n = tt_test_workers(), counted[64] = { 0 };

	EXPECT_OK(on_all_workers(n, 200, counted));
	for (unsigned i = 0; i < n; i++)
		EXPECT_EQ(counted[i], 3u * 200);
}

TT_TEST_MAIN()

/* SPDX-License-Identifier: MIT */
/*
 * failure_start_test.c - a runtime that cannot start says so and leaves nothing behind, at
 * whatever allocation, system call or thread its start fails; and the next one starts.
 *
 * test-on: epoll1 epoll4 uring1 uring4
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "failure_kit.h"
#include "rings.h"

static TT_TASK(child, (int, n))
{
	return tt_sleep(TT_US(n));
}

/* Work on every worker, a job, a descriptor: what a first use sets up fails in time too. */
static int work(void)
{
	static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };
	tt_fd *ends[2];
	int rc;

	TT_GROUP(g);
	for (int i = 0; i < 8; i++)
		tt_go_with(&g, &anywhere, child, i);
	rc = tt_pair(ends);
	if (rc == 0) {
		tt_fd_close(ends[0]);
		tt_fd_close(ends[1]);
	}
	return tt_group_end(&g, rc);
}

static TT_TASK(job, (int, n))
{
	return n - 1;
}

static TT_TASK(program)
{
	int rc = work();

	if (rc == 0)
		rc = tt_blocking(job, 1);
	return rc;
}

static tt_main_options options;

static int start(void)
{
	return tt_main_with(&options, program);
}

/* What the process does on the signals that a runtime takes over; a sanitizer has some. */
#define TAKEN_OVER 4

static void dispositions(struct sigaction *ret)
{
	static const int signals[TAKEN_OVER] = { SIGPIPE, SIGSEGV, SIGTERM, SIGINT };

	for (int i = 0; i < TAKEN_OVER; i++)
		REQUIRE_EQ(sigaction(signals[i], NULL, &ret[i]), 0);
}

static bool are_as_before(const struct sigaction *before)
{
	struct sigaction now[TAKEN_OVER];

	dispositions(now);
	for (int i = 0; i < TAKEN_OVER; i++)
		if (now[i].sa_handler != before[i].sa_handler)
			return false;
	return true;
}

/* Runs the program with each call of a kind refused in turn; how often one was. */
static unsigned refuse_each(const struct refusal *r)
{
	int before = tti_test_open_descriptors(), status;
	const struct tti_env_ops *env = refuse_install();
	struct sigaction signals[TAKEN_OVER];
	unsigned n = 0, times = 0;
	bool struck;

	dispositions(signals);
	refusing.everywhere = true;
	do {
		/* Each of the first calls; of later ones, which resemble each other, some. */
		n += n < 50 ? 1 : 9;
		refuse_nth(r, n);
		status = start();
		struck = refuse_no_more();
		EXPECT_TRUE(status == 0 || (struck && status == 1));
		EXPECT_EQ(tti_test_open_descriptors(), before);
		EXPECT_TRUE(are_as_before(signals));
		EXPECT_EQ(start(), 0);
		times += struck;
	} while (struck && tti_test_open_descriptors() == before && status <= 1);
	refusing.everywhere = false;
	tti_env_bind(env);
	tt_test_note("call %ld, %s: %u times", r->nr, tt_error_name(r->code), times);
	return times;
}

static const struct refusal refusals[] = {
	{ REFUSE_ALLOC, -ENOMEM },      { REFUSE_THREAD, -EAGAIN },      { SYS_mmap, -ENOMEM },
	{ SYS_mprotect, -ENOMEM },      { SYS_madvise, -EINVAL },        { SYS_sigaltstack, -ENOMEM },
	{ SYS_eventfd2, -EMFILE },      { SYS_epoll_create1, -EMFILE },  { SYS_epoll_ctl, -ENOMEM },
	{ SYS_io_uring_setup, -ENOMEM }, { SYS_io_uring_setup, -ENOSYS }, { SYS_io_uring_register, -EINVAL },
	{ SYS_rt_sigprocmask, -EINVAL }, { SYS_openat, -EMFILE },         { SYS_read, -EIO },
	{ SYS_sched_getaffinity, -EPERM }, { SYS_socketpair, -EMFILE },
};

static void refuse_all(enum tt_io io)
{
	unsigned struck = 0;

	options = (tt_main_options){ .workers = tt_test_workers() > 1 ? 2 : 1, .io = io };
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		struck += refuse_each(&refusals[i]);
	EXPECT_GT(struck, 10u);
}

TT_TEST_PLAIN(failure_start, every_refusal_is_survived)
{
	skip_where_rings_are_few();
	refuse_all(tti_test_options.on == TT_ON_URING ? TT_IO_URING : TT_IO_EPOLL);
}

/* Who leaves the choice to the library gets epoll where there is no ring. */
TT_TEST_PLAIN(failure_start, without_a_ring_there_is_epoll)
{
	options = (tt_main_options){ .workers = tt_test_workers(), .io = TT_IO_AUTO };
	refuse_install();
	refusing.everywhere = true;
	refuse_nth(&(struct refusal){ SYS_io_uring_setup, -ENOSYS }, 1);
	EXPECT_EQ(start(), 0);
	TT_IGNORE(refuse_no_more());
	tti_env_bind(refusing.under);
}

TT_TEST_MAIN()

/* SPDX-License-Identifier: MIT */
/* poll_test.c - readiness: of descriptors of ours, as arms of a select, of foreign ones. */
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "env/env.h"
#include "net/net_testkit.h"

TT_TEST_MAIN()

static TT_TASK(write_later, (tt_fd *, fd), (int64_t, delay))
{
	TT_TRY(tt_sleep(delay));
	TT_TRY(tt_write(fd, "x", 1));
	return 0;
}

static unsigned nth_worker(int i)
{
	return TT_WORKER(i % tt_worker_count());
}

/* The set that is ready; at the end of the stream reading is. */
TT_TEST(poll, says_what_is_ready)
{
	tt_fd *ends[2];
	char c;

	REQUIRE_OK(tt_pair(ends));
	EXPECT_EQ(tt_fd_poll(ends[0], POLLIN | POLLOUT), POLLOUT);
	REQUIRE_EQ(tt_write(ends[1], "x", 1), 1);
	EXPECT_EQ(tt_fd_poll(ends[0], POLLIN | POLLOUT), POLLIN | POLLOUT);
	EXPECT_EQ(tt_read(ends[0], &c, 1), 1);
	{
		TT_GROUP(g);
		tt_go(&g, write_later, ends[1], TT_US(200));
		EXPECT_EQ(tt_fd_poll(ends[0], POLLIN), POLLIN);
		EXPECT_OK(tt_group_end(&g, 0));
	}
	EXPECT_EQ(tt_read(ends[0], &c, 1), 1);
	tt_fd_close(ends[1]);
	EXPECT_EQ(tt_fd_poll(ends[0], POLLIN) & POLLIN, POLLIN);
	EXPECT_CODE(tt_fd_poll(ends[0], 0), TT_EINVAL);
	EXPECT_CODE(tt_fd_poll(ends[0], POLLIN | POLLPRI), TT_EINVAL);
	tt_fd_close(ends[0]);
}

/* Law 1: a poll obeys its deadline. */
TT_TEST(poll, obeys_its_deadline)
{
	tt_fd *ends[2];

	REQUIRE_OK(tt_pair(ends));
	for (int i = 0; i < 40; i++)
		EXPECT_CODE(TT_WITHIN(TT_US(100), tt_fd_poll(ends[0], POLLIN)), TT_ETIMEDOUT);
	test_close_pair(ends);
}

/* ---- arms ---- */

enum { ON_A, ON_B, ON_TIME };

static int select_two(tt_fd *a, tt_fd *b, int64_t timeout)
{
	return tt_select([ON_A] = TT_ON_READABLE(a), [ON_B] = TT_ON_READABLE(b), [ON_TIME] = TT_ON_TIMEOUT(timeout));
}

/* Law 4: the first of two descriptors and a timeout wins, and only it; losing arms leave their descriptors usable. */
TT_TEST(poll, select_over_two_descriptors)
{
	tt_fd *a[2], *b[2];
	char c;

	REQUIRE_OK(tt_pair(a));
	REQUIRE_OK(tt_pair(b));
	for (int i = 0; i < 20; i++) {
		const tt_child_options there = { .worker = nth_worker(i) };
		tt_fd **ready = i % 2 == 0 ? a : b;

		EXPECT_EQ(select_two(a[0], b[0], TT_US(100)), ON_TIME);
		TT_GROUP(g);
		tt_go_with(&g, &there, write_later, ready[1], TT_US(50));
		EXPECT_EQ(select_two(a[0], b[0], TT_SEC(10)), i % 2 == 0 ? ON_A : ON_B);
		/* Readiness takes nothing. */
		EXPECT_EQ(select_two(a[0], b[0], TT_SEC(10)), i % 2 == 0 ? ON_A : ON_B);
		EXPECT_EQ(tt_read(ready[0], &c, 1), 1);
		EXPECT_CODE(tt_try_read(a[0], &c, 1), TT_EAGAIN);
		EXPECT_CODE(tt_try_read(b[0], &c, 1), TT_EAGAIN);
		EXPECT_OK(tt_group_end(&g, 0));
	}
	test_close_pair(a);
	test_close_pair(b);
}

/* Of two that are ready both win in turn. */
TT_TEST(poll, select_is_fair)
{
	int wins[2] = { 0, 0 };
	tt_fd *a[2], *b[2];

	REQUIRE_OK(tt_pair(a));
	REQUIRE_OK(tt_pair(b));
	REQUIRE_EQ(tt_write(a[1], "x", 1), 1);
	REQUIRE_EQ(tt_write(b[1], "x", 1), 1);
	for (int i = 0; i < 60; i++)
		wins[tt_select(TT_ON_READABLE(a[0]), TT_ON_READABLE(b[0]))]++;
	EXPECT_GT(wins[0], 5);
	EXPECT_GT(wins[1], 5);
	test_close_pair(a);
	test_close_pair(b);
}

/* A biased select takes the first of two that are ready. */
TT_TEST_ON(poll, biased_select_takes_the_first, TT_ON_REAL, "a full queue of the simulator hides readiness")
{
	tt_fd *a[2], *b[2];

	REQUIRE_OK(tt_pair(a));
	REQUIRE_OK(tt_pair(b));
	REQUIRE_EQ(tt_write(a[1], "x", 1), 1);
	REQUIRE_EQ(tt_write(b[1], "x", 1), 1);
	for (int i = 0; i < 20; i++)
		EXPECT_EQ(tt_select_biased(TT_ON_READABLE(a[0]), TT_ON_READABLE(b[0])), 0);
	test_close_pair(a);
	test_close_pair(b);
}

/* Law 4: room to write is an arm as well, and a busy side is its error. */
TT_TEST(poll, writable_and_busy_arms)
{
	unsigned char buf[4096] = { 0 };
	tt_fd *ends[2];
	int rc = 1;

	REQUIRE_OK(tt_pair(ends));
	EXPECT_EQ(tt_select(TT_ON_WRITABLE(ends[0])), 0);
	EXPECT_EQ(tt_select(TT_ON_WRITABLE_RC(ends[0], &rc)), 0);
	EXPECT_EQ(rc, 0);
	while (tt_try_write(ends[0], buf, sizeof(buf)) > 0)
		;
	EXPECT_EQ(tt_select(TT_ON_WRITABLE(ends[0]), TT_ON_TIMEOUT(TT_US(100))), 1);
	while (tt_try_read(ends[1], buf, sizeof(buf)) > 0)
		;
	EXPECT_EQ(tt_select(TT_ON_WRITABLE(ends[0])), 0);
	EXPECT_CODE(tt_select(TT_ON_READABLE(ends[0]), TT_ON_READABLE(ends[0])), TT_EBUSY);
	test_close_pair(ends);
}

/* Law 4: bytes in the buffer make a reader ready at once; else the stream does. */
TT_TEST(poll, reader_arm)
{
	char buf[16], *text = NULL;
	size_t len = 0;
	tt_fd *ends[2];
	tt_reader r;
	int rc = 1;

	REQUIRE_OK(tt_pair(ends));
	tt_reader_init(&r, ends[0], buf, sizeof(buf));
	EXPECT_EQ(tt_select(TT_ON_READER(&r), TT_ON_TIMEOUT(TT_US(100))), 1);
	REQUIRE_EQ(tt_write(ends[1], "a\nb\n", 4), 4);
	EXPECT_EQ(tt_select(TT_ON_READER(&r)), 0);
	EXPECT_EQ(tt_read_until(&r, '\n', &text, &len), 1);
	EXPECT_CODE(tt_try_read(ends[0], buf + 8, 1), TT_EAGAIN);
	EXPECT_EQ(tt_select_biased(TT_ON_READER_RC(&r, &rc), TT_ON_TIMEOUT(0)), 0);
	EXPECT_EQ(rc, 0);
	EXPECT_EQ(tt_read_until(&r, '\n', &text, &len), 1);
	EXPECT_EQ(tt_select(TT_ON_READER(&r), TT_ON_TIMEOUT(TT_US(100))), 1);
	test_close_pair(ends);
}

static TT_TASK(select_then_end, (tt_fd *, a), (tt_fd *, b))
{
	int rc = select_two(a, b, TT_SEC(100));

	EXPECT_CODE(rc, TT_ECANCELED);
	return rc < 0 ? rc : 0;
}

/* Laws 1 and 4: a cancelled select takes its operations back before it returns: at once others may
 * use the descriptors. */
TT_TEST(poll, cancelled_select_takes_its_operations_back)
{
	tt_fd *a[2], *b[2];

	REQUIRE_OK(tt_pair(a));
	REQUIRE_OK(tt_pair(b));
	for (int i = 0; i < 20; i++) {
		const tt_child_options there = { .worker = nth_worker(i) };
		TT_GROUP(g);

		tt_go_with(&g, &there, select_then_end, a[0], b[0]);
		REQUIRE_OK(tt_test_wait_all_parked());
		tt_group_cancel(&g);
		EXPECT_OK(tt_group_end(&g, 0));
		EXPECT_CODE(TT_WITHIN(TT_US(50), tt_fd_poll(a[0], POLLIN)), TT_ETIMEDOUT);
		EXPECT_EQ(tt_fd_poll(b[0], POLLOUT), POLLOUT);
	}
	test_close_pair(a);
	test_close_pair(b);
}

/* ---- foreign descriptors ---- */

static TT_TASK(write_pipe_later, (int, fd))
{
	TT_TRY(tt_sleep(TT_MS(1)));
	EXPECT_EQ(write(fd, "x", 1), 1);
	return 0;
}

/* A pipe of somebody else's: readable once there are bytes, from any worker, many times. */
TT_TEST_ON(poll, foreign_pipe, TT_ON_REAL, "needs a descriptor that is not the runtime's")
{
	int p[2];
	char c;

	REQUIRE_EQ(pipe(p), 0);
	EXPECT_EQ(tt_wait_fd(p[1], POLLOUT), POLLOUT);
	for (int i = 0; i < 10; i++) {
		const tt_child_options there = { .worker = nth_worker(i) };
		TT_GROUP(g);

		tt_go_with(&g, &there, write_pipe_later, p[1]);
		EXPECT_EQ(tt_wait_fd(p[0], POLLIN), POLLIN);
		EXPECT_EQ(read(p[0], &c, 1), 1);
		EXPECT_OK(tt_group_end(&g, 0));
		EXPECT_CODE(TT_WITHIN(TT_US(200), tt_wait_fd(p[0], POLLIN)), TT_ETIMEDOUT);
	}
	close(p[1]);
	EXPECT_EQ(tt_wait_fd(p[0], POLLIN), POLLHUP);
	close(p[0]);
	EXPECT_CODE(tt_wait_fd(p[0], POLLIN), TT_EBADF);
	EXPECT_CODE(tt_wait_fd(-1, POLLIN), TT_EBADF);
	EXPECT_CODE(tt_wait_fd(0, 0), TT_EINVAL);
}

/* What is always ready is ready at once, whatever the driver makes of it; a wait for nothing
 * is refused. */
TT_TEST_ON(poll, foreign_file, TT_ON_REAL, "needs a descriptor that is not the runtime's")
{
	int fd = (int)tti_env_syscall(SYS_memfd_create, (long)"x", 0, 0, 0, 0, 0);

	REQUIRE_LT(2, fd);
	EXPECT_EQ(tt_wait_fd(fd, POLLIN), POLLIN);
	EXPECT_EQ(tt_wait_fd(fd, POLLIN | POLLOUT), POLLIN | POLLOUT);
	EXPECT_CODE(tt_wait_fd(fd, POLLIN | POLLRDHUP), TT_EINVAL);
	close(fd);
}

static TT_TASK(wait_forgotten, (int, fd), (unsigned, events))
{
	EXPECT_CODE(tt_wait_fd(fd, events), TT_EBADF);
	return 0;
}

/* Before its owner closes it, those who wait are told, wherever they are. */
TT_TEST_ON(poll, foreign_is_forgotten, TT_ON_REAL, "needs a descriptor that is not the runtime's")
{
	int p[2], s[2];
	char fill[4096] = { 0 };

	tt_fd_forget(1000);
	for (int i = 0; i < 20; i++) {
		const tt_child_options one = { .worker = nth_worker(i) }, two = { .worker = nth_worker(i + 1) };
		TT_GROUP(g);

		REQUIRE_EQ(pipe(p), 0);
		REQUIRE_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s), 0);
		while (write(s[0], fill, sizeof(fill)) > 0)
			;
		tt_go_with(&g, &one, wait_forgotten, p[0], (unsigned)POLLIN);
		tt_go_with(&g, &one, wait_forgotten, s[0], (unsigned)POLLIN);
		tt_go_with(&g, &two, wait_forgotten, s[0], (unsigned)POLLOUT);
		REQUIRE_OK(tt_test_wait_all_parked());
		EXPECT_CODE(tt_wait_fd(p[0], POLLIN), TT_EBUSY);
		tt_fd_forget(p[0]);
		tt_fd_forget(s[0]);
		EXPECT_OK(tt_group_end(&g, 0));
		for (int k = 0; k < 2; k++) {
			close(p[k]);
			close(s[k]);
		}
	}
}

static TT_TASK(wait_cancelled, (int, fd))
{
	int rc = tt_wait_fd(fd, POLLIN);

	EXPECT_TRUE(rc == TT_EBADF || rc == TT_ECANCELED);
	return 0;
}

/* A cancel and a forget at one moment: the wait ends once, and its frame outlives the news. */
TT_TEST_ON(poll, cancel_and_forget_together, TT_ON_REAL, "needs a descriptor that is not the runtime's")
{
	int p[2];

	REQUIRE_EQ(pipe(p), 0);
	for (int i = 0; i < 50; i++) {
		const tt_child_options there = { .worker = nth_worker(i) };
		TT_GROUP(g);

		tt_go_with(&g, &there, wait_cancelled, p[0]);
		REQUIRE_OK(tt_test_wait_all_parked());
		tt_group_cancel(&g);
		tt_fd_forget(p[0]);
		EXPECT_OK(tt_group_end(&g, 0));
	}
	close(p[0]);
	close(p[1]);
}

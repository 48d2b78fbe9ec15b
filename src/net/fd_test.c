/* SPDX-License-Identifier: MIT */
/*
 * fd_test.c - handles and closing: a stale handle reaches nobody, a side has one user at a
 * time, and a close drains what is in flight on every worker.
 */
#include <poll.h>
#include <sys/socket.h>

#include "net/net.h"
#include "net/net_testkit.h"

TT_TEST_MAIN()

/* Where a child goes; with one worker, here. */
static unsigned nth_worker(int i)
{
	return TT_WORKER(i % tt_worker_count());
}

/* A handle of a closed descriptor stays dead, although its number lives again. */
TT_TEST(fd, stale_handle_is_ebadf)
{
	tt_fd *old[2], *ends[2], *fd;
	char c, addr[40];

	REQUIRE_OK(tt_pair(old));
	test_close_pair(old);
	REQUIRE_OK(tt_pair(ends));
	REQUIRE_EQ(tt_write(ends[0], "x", 1), 1);
	for (int i = 0; i < 2; i++) {
		EXPECT_NE(old[i], ends[i]);
		EXPECT_CODE(tt_read(old[i], &c, 1), TT_EBADF);
		EXPECT_CODE(tt_write(old[i], &c, 1), TT_EBADF);
		EXPECT_CODE(tt_try_read(old[i], &c, 1), TT_EBADF);
		EXPECT_CODE(tt_try_write(old[i], &c, 1), TT_EBADF);
		EXPECT_CODE(tt_fd_poll(old[i], POLLIN), TT_EBADF);
		EXPECT_CODE(tt_fd_shutdown(old[i], SHUT_RDWR), TT_EBADF);
		EXPECT_CODE(tt_accept(old[i], &fd, NULL), TT_EBADF);
		EXPECT_CODE(tt_fd_peer_text(old[i], addr, sizeof(addr)), TT_EBADF);
		EXPECT_CODE(tt_fd_local_port(old[i]), TT_EBADF);
		EXPECT_CODE(tt_select(TT_ON_READABLE(old[i])), TT_EBADF);
	}
	EXPECT_EQ(tt_read(ends[1], &c, 1), 1);
	test_close_pair(ends);
	tt_fd_close(NULL);
	EXPECT_CODE(tt_read(NULL, &c, 1), TT_EBADF);
	EXPECT_CODE(tt_read((tt_fd *)(uintptr_t)UINT64_MAX, &c, 1), TT_EBADF);
}

/* Closing twice is a bug of the program's, and is named. */
TT_TEST(fd, closing_twice_aborts)
{
	tt_fd *ends[2];

	REQUIRE_OK(tt_pair(ends));
	tt_fd_close(ends[0]);
	EXPECT_ABORTS(tt_fd_close(ends[0]), "was closed already");
	tt_fd_close(ends[1]);
}

static TT_TASK(read_one, (tt_fd *, fd), (int, expected))
{
	char c;
	int rc = tt_read(fd, &c, 1);

	if (rc != expected)
		EXPECT_CODE(rc, expected);
	return 0;
}

/* One reader and one writer at a time; the two do not stand in each other's way. */
TT_TEST(fd, second_reader_is_ebusy)
{
	static unsigned char big[256];
	tt_fd *ends[2];
	char c;

	REQUIRE_OK(tt_pair(ends));
	TT_GROUP(g);
	tt_go(&g, read_one, ends[0], 1);
	REQUIRE_OK(tt_test_wait_all_parked());
	EXPECT_CODE(tt_read(ends[0], &c, 1), TT_EBUSY);
	EXPECT_CODE(tt_try_read(ends[0], &c, 1), TT_EBUSY);
	EXPECT_CODE(tt_read_exact(ends[0], &c, 1, NULL), TT_EBUSY);
	EXPECT_CODE(tt_fd_poll(ends[0], POLLIN), TT_EBUSY);
	EXPECT_CODE(tt_select(TT_ON_READABLE(ends[0])), TT_EBUSY);
	EXPECT_EQ(tt_fd_poll(ends[0], POLLOUT), POLLOUT);
	EXPECT_EQ(tt_write(ends[0], big, sizeof(big)), sizeof(big));
	EXPECT_EQ(tt_write(ends[1], "x", 1), 1);
	EXPECT_OK(tt_group_end(&g, 0));
	EXPECT_EQ(tt_write(ends[1], "y", 1), 1);
	EXPECT_EQ(tt_read(ends[0], &c, 1), 1);
	test_close_pair(ends);
}

static TT_TASK(fill_up, (tt_fd *, fd), (size_t, n), (int, expected), (size_t *, ret_done))
{
	static unsigned char big[16u << 20];

	EXPECT_CODE(tt_write_all(fd, big, n, ret_done), expected);
	return 0;
}

/* A composite write keeps the writing side for as long as it lasts. */
TT_TEST(fd, composite_keeps_its_side)
{
	static unsigned char back[1u << 20];
	size_t done = 0;
	tt_fd *ends[2];
	int rc = 0;

	REQUIRE_OK(tt_pair(ends));
	{
		TT_GROUP(g);
		tt_go(&g, fill_up, ends[0], sizeof(back), 0, &done);
		REQUIRE_OK(tt_test_wait_all_parked());
		for (size_t got = 0; got < sizeof(back); got += (size_t)rc) {
			if (got + 300000 < sizeof(back))
				EXPECT_CODE(tt_try_write(ends[0], "x", 1), TT_EBUSY);
			rc = tt_read(ends[1], back, 4096);
			REQUIRE_LT(0, rc);
		}
		EXPECT_OK(tt_group_end(&g, 0));
	}
	EXPECT_EQ(done, sizeof(back));
	test_close_pair(ends);
}

/* ---- closing ---- */

static int close_under_reader(unsigned worker)
{
	const tt_child_options there = { .worker = worker };
	tt_fd *ends[2];

	test_tcp_pair(ends);
	TT_GROUP(g);
	tt_go_with(&g, &there, read_one, ends[0], TT_EBADF);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_fd_close(ends[0]);
	EXPECT_EQ(TT_WITHIN(TT_SEC(1), tt_group_drain(&g)), 0);
	tt_fd_close(ends[1]);
	return tt_group_end(&g, 0);
}

/* Laws 5 and 10: closing ends the read of a task on this worker and of one on another; both get
 * EBADF, and only then the number is free. */
TT_TEST(fd, close_drains_readers_of_every_worker)
{
	for (int i = 0; i < 5; i++) {
		EXPECT_OK(close_under_reader(TT_WORKER_HERE));
		EXPECT_OK(close_under_reader(nth_worker(i)));
	}
	EXPECT_TASKS_ALIVE(1);
}

static TT_TASK(read_into, (tt_fd *, fd), (unsigned char *, buf), (size_t, n))
{
	EXPECT_CODE(tt_read(fd, buf, n), TT_EBADF);
	return 0;
}

/* Law 10: once close has returned nothing is written into the buffer of the read that was
 * pending, though the peer sends. */
TT_TEST(fd, nothing_arrives_after_close)
{
	unsigned char buf[64];
	tt_fd *ends[2];

	memset(buf, 0xaa, sizeof(buf));
	for (int i = 0; i < 10; i++) {
		REQUIRE_OK(tt_pair(ends));
		TT_GROUP(g);
		tt_go(&g, read_into, ends[0], buf, sizeof(buf));
		REQUIRE_OK(tt_test_wait_all_parked());
		tt_fd_close(ends[0]);
		TT_IGNORE(tt_write(ends[1], "late", 4));
		REQUIRE_OK(tt_sleep(TT_US(100)));
		for (size_t k = 0; k < sizeof(buf); k++)
			REQUIRE_EQ(buf[k], 0xaa);
		EXPECT_OK(tt_group_end(&g, 0));
		tt_fd_close(ends[1]);
	}
}

static TT_TASK(accept_one, (tt_fd *, fd))
{
	tt_fd *got;

	EXPECT_CODE(tt_accept(fd, &got, NULL), TT_EBADF);
	return 0;
}

static TT_TASK(poll_one, (tt_fd *, fd))
{
	EXPECT_CODE(tt_fd_poll(fd, POLLIN | POLLOUT), TT_EBADF);
	return 0;
}

static TT_TASK(select_one, (tt_fd *, fd))
{
	int rc = 1;

	EXPECT_EQ(tt_select(TT_ON_READABLE_RC(fd, &rc), TT_ON_TIMEOUT(TT_SEC(10))), 0);
	EXPECT_CODE(rc, TT_EBADF);
	return 0;
}

/* Laws 5 and 10: every kind of wait is ended by a close: accept, a write for room, a poll, an arm,
 * on any worker. */
TT_TEST(fd, close_ends_every_kind_of_wait)
{
	const tt_child_options other = { .worker = nth_worker(1) };
	tt_fd *listener, *ends[2], *more[2];
	char addr[32];
	size_t done = 0;

	listener = test_listener(addr, NULL);
	REQUIRE_OK(tt_pair(ends));
	REQUIRE_OK(tt_pair(more));
	TT_GROUP(g);
	tt_go_with(&g, &other, accept_one, listener);
	tt_go_with(&g, &other, fill_up, ends[0], 16u << 20, TT_EBADF, &done);
	tt_go_with(&g, &other, select_one, ends[0]);
	REQUIRE_OK(tt_test_wait_all_parked());
	tt_go(&g, select_one, more[0]);
	REQUIRE_OK(tt_test_wait_all_parked());
	tt_fd_close(listener);
	tt_fd_close(ends[0]);
	tt_fd_close(more[0]);
	EXPECT_OK(tt_group_end(&g, 0));
	EXPECT_GT(done, 0);
	tt_fd_close(ends[1]);
	tt_fd_close(more[1]);
}

/* Law 10: a poll for both directions waits only when neither is there; a close ends it. */
TT_TEST(fd, close_ends_poll_of_both_sides)
{
	tt_fd *ends[2];
	unsigned char buf[4096] = { 0 };

	REQUIRE_OK(tt_pair(ends));
	while (tt_try_write(ends[0], buf, sizeof(buf)) > 0)
		;
	TT_GROUP(g);
	tt_go(&g, poll_one, ends[0]);
	REQUIRE_OK(tt_test_wait_all_parked());
	EXPECT_CODE(tt_try_read(ends[0], buf, 1), TT_EBUSY);
	EXPECT_CODE(tt_try_write(ends[0], buf, 1), TT_EBUSY);
	tt_fd_close(ends[0]);
	EXPECT_OK(tt_group_end(&g, 0));
	tt_fd_close(ends[1]);
}

static TT_TASK(close_it, (tt_fd *, fd))
{
	tt_fd_close(fd);
	return 0;
}

static TT_TASK(read_until_closed, (tt_fd *, fd))
{
	char buf[16];
	int rc;

	while ((rc = tt_read(fd, buf, sizeof(buf))) > 0)
		;
	EXPECT_TRUE(rc == TT_EBADF || (rc == TT_ECANCELED && tt_checkpoint() == TT_ECANCELED));
	return 0;
}

static TT_TASK(write_until_closed, (tt_fd *, fd))
{
	int rc;

	while ((rc = tt_write(fd, "0123456789", 10)) > 0)
		;
	EXPECT_TRUE(rc == TT_EPIPE || rc == TT_ECONNRESET);
	return 0;
}

/* Laws 5 and 10: a close races with a busy reader on another worker: the reader sees bytes or EBADF,
 * never a stranger. */
TT_TEST(fd, close_races_with_traffic)
{
	for (int i = 0; i < 20; i++) {
		const tt_child_options a = { .worker = nth_worker(i) }, b = { .worker = nth_worker(i + 1) };
		tt_fd *ends[2];

		REQUIRE_OK(tt_pair(ends));
		TT_GROUP(g);
		tt_go_with(&g, &a, read_until_closed, ends[0]);
		tt_go_with(&g, &b, write_until_closed, ends[1]);
		REQUIRE_OK(tt_sleep(TT_US(100)));
		tt_go_with(&g, &b, close_it, ends[0]);
		EXPECT_OK(tt_group_end(&g, 0));
		tt_fd_close(ends[1]);
	}
}

/* Laws 1, 5 and 10: a task that is cancelled and whose descriptor is closed at the same moment ends
 * once, with either code. */
TT_TEST(fd, cancel_and_close_together)
{
	for (int i = 0; i < 20; i++) {
		const tt_child_options there = { .worker = nth_worker(i) };
		tt_fd *ends[2];

		REQUIRE_OK(tt_pair(ends));
		TT_GROUP(g);
		tt_go_with(&g, &there, read_until_closed, ends[0]);
		REQUIRE_OK(tt_test_wait_all_parked());
		tt_group_cancel(&g);
		tt_fd_close(ends[0]);
		TT_IGNORE(tt_group_end(&g, 0));
		tt_fd_close(ends[1]);
	}
}

static TT_TASK(leak_two)
{
	tt_fd *ends[2];

	return tt_pair(ends);
}

static TT_TASK(leak_nothing)
{
	tt_fd *ends[2];

	TT_TRY(tt_pair(ends));
	test_close_pair(ends);
	return 0;
}

/* What a program leaves open is closed at its end and counted, so that a test can ask. */
TT_TEST_PLAIN(fd, what_is_left_open_is_counted)
{
	tt_main_options o = { .workers = 1, .io = TT_IO_EPOLL };
	uint64_t before = tti_net_left_open();

	EXPECT_EQ(tt_main_with(&o, leak_nothing), 0);
	EXPECT_EQ(tti_net_left_open(), before);
	EXPECT_EQ(tt_main_with(&o, leak_two), 0);
	EXPECT_EQ(tti_net_left_open(), before + 2);
}

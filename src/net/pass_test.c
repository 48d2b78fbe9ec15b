/* SPDX-License-Identifier: MIT */
/*
 * pass_test.c - descriptors through Unix streams: they arrive with their bytes, work there, and
 * are neither lost nor left open whatever is cut short or closed.
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "env/env.h"
#include "io/driver.h"
#include "net/fd.h"
#include "net/net_testkit.h"

TT_TEST_MAIN()

/* The number behind a handle. */
static int number_of(tt_fd *fd)
{
	struct tti_fd_call c;

	REQUIRE_OK(tti_fd_enter(fd, TTI_NEITHER, &c));
	return (int)tti_fd_leave(&c, c.fd->number);
}

/* What arrives is the same open socket under a handle of its own; the sender keeps its own. */
TT_TEST(pass, a_descriptor_works_where_it_arrives)
{
	tt_fd *way[2], *ends[2], *got = NULL;
	char buf[8] = "";

	REQUIRE_OK(tt_pair(way));
	REQUIRE_OK(tt_pair(ends));
	EXPECT_EQ(tt_unix_send_fd(way[0], ends[1], "hi", 2), 2);
	EXPECT_EQ(tt_unix_recv_fd(way[1], buf, sizeof(buf), &got), 2);
	EXPECT_EQ(memcmp(buf, "hi", 2), 0);
	REQUIRE_TRUE(got != NULL);
	EXPECT_NE(got, ends[1]);
	EXPECT_EQ(tt_write(got, "a", 1), 1);
	EXPECT_EQ(tt_read(ends[0], buf, 1), 1);
	EXPECT_EQ(buf[0], 'a');
	tt_fd_close(ends[1]);
	/* The other one lives on. */
	EXPECT_EQ(tt_write(ends[0], "b", 1), 1);
	EXPECT_EQ(tt_read(got, buf, 1), 1);
	EXPECT_EQ(buf[0], 'b');
	tt_fd_close(got);
	EXPECT_EQ(tt_read(ends[0], buf, 1), 0);
	tt_fd_close(ends[0]);
	test_close_pair(way);
}

/* Bytes without one say so; a read ends where bytes with another one begin. */
TT_TEST(pass, each_comes_with_its_own_bytes)
{
	tt_fd *way[2], *ends[2], *got = NULL;
	char buf[8];

	REQUIRE_OK(tt_pair(way));
	REQUIRE_OK(tt_pair(ends));
	EXPECT_EQ(tt_write(way[0], "x", 1), 1);
	EXPECT_EQ(tt_unix_send_fd(way[0], ends[0], "y", 1), 1);
	EXPECT_EQ(tt_unix_send_fd(way[0], ends[1], "z", 1), 1);
	EXPECT_OK(tt_fd_shutdown(way[0], SHUT_WR));
	got = ends[0];
	EXPECT_EQ(tt_unix_recv_fd(way[1], buf, 1, &got), 1);
	EXPECT_EQ(buf[0], 'x');
	EXPECT_EQ(got, NULL);
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(tt_unix_recv_fd(way[1], buf, sizeof(buf), &got), 1);
		EXPECT_EQ(buf[0], 'y' + i);
		REQUIRE_TRUE(got != NULL);
		tt_fd_close(got);
	}
	EXPECT_EQ(tt_unix_recv_fd(way[1], buf, sizeof(buf), &got), 0);
	EXPECT_EQ(got, NULL);
	test_close_pair(ends);
	test_close_pair(way);
}

/* Law 1: a plain read takes the bytes and closes what came with them, without losing the bytes behind
 * or the news of them. */
TT_TEST(pass, a_plain_read_closes_it)
{
	tt_fd *way[2], *ends[2];
	char buf[8];

	REQUIRE_OK(tt_pair(way));
	REQUIRE_OK(tt_pair(ends));
	/* So that the descriptor is watched and the first read empties it. */
	EXPECT_CODE(TT_WITHIN(TT_MS(1), tt_read(way[1], buf, 8)), TT_ETIMEDOUT);
	EXPECT_EQ(tt_unix_send_fd(way[0], ends[1], "1", 1), 1);
	EXPECT_EQ(tt_write(way[0], "2", 1), 1);
	tt_fd_close(ends[1]);
	for (char c = '1'; c <= '2'; c++) {
		EXPECT_EQ(TT_WITHIN(TT_SEC(20), tt_read(way[1], buf, 1)), 1);
		EXPECT_EQ(buf[0], c);
	}
	EXPECT_EQ(tt_read(ends[0], buf, 1), 0);
	EXPECT_EQ(tt_unix_send_fd(way[0], way[0], "3", 1), 1);
	EXPECT_EQ(tt_write(way[0], "4", 1), 1);
	/* Both have been announced when the first is read. */
	REQUIRE_OK(tt_sleep(TT_MS(1)));
	EXPECT_EQ(tt_read(way[1], buf, 8), 1);
	EXPECT_EQ(buf[0], '3');
	EXPECT_EQ(TT_WITHIN(TT_SEC(20), tt_read(way[1], buf, 8)), 1);
	EXPECT_EQ(buf[0], '4');
	tt_fd_close(ends[0]);
	test_close_pair(way);
}

/* A listener travels too: a new program takes over the connections. */
TT_TEST(pass, a_listener_and_a_udp_socket_travel)
{
	tt_fd *way[2], *listener, *udp, *got, *client, *server;
	char addr[32], c;

	REQUIRE_OK(tt_pair(way));
	listener = test_listener(addr, NULL);
	EXPECT_EQ(tt_unix_send_fd(way[0], listener, "l", 1), 1);
	tt_fd_close(listener);
	EXPECT_EQ(tt_unix_recv_fd(way[1], &c, 1, &got), 1);
	REQUIRE_OK(tt_tcp_connect(addr, NULL, &client));
	REQUIRE_OK(tt_accept(got, &server, NULL));
	tt_fd_close(server);
	tt_fd_close(client);
	tt_fd_close(got);
	REQUIRE_OK(tt_udp_open("127.0.0.1:0", NULL, &udp));
	snprintf(addr, sizeof(addr), "127.0.0.1:%d", tt_fd_local_port(udp));
	EXPECT_EQ(tt_unix_send_fd(way[0], udp, "u", 1), 1);
	tt_fd_close(udp);
	EXPECT_EQ(tt_unix_recv_fd(way[1], &c, 1, &got), 1);
	REQUIRE_OK(tt_udp_connect(addr, NULL, &client));
	EXPECT_EQ(tt_udp_send(client, "d", 1, NULL), 1);
	EXPECT_EQ(tt_udp_recv(got, &c, 1, NULL), 1);
	EXPECT_EQ(c, 'd');
	tt_fd_close(client);
	tt_fd_close(got);
	test_close_pair(way);
}

/* It is not inherited by programs that are executed. */
TT_TEST_ON(pass, it_is_closed_on_exec, TT_ON_REAL, "asks the kernel")
{
	tt_fd *way[2], *got;
	char c;

	REQUIRE_OK(tt_pair(way));
	EXPECT_EQ(tt_unix_send_fd(way[0], way[0], "x", 1), 1);
	EXPECT_EQ(tt_unix_recv_fd(way[1], &c, 1, &got), 1);
	EXPECT_NE(fcntl(number_of(got), F_GETFD) & FD_CLOEXEC, 0);
	tt_fd_close(got);
	test_close_pair(way);
}

/* Sends n descriptors in one message, which this library never does. */
static void send_many(tt_fd *fd, int passed, size_t n)
{
	_Alignas(struct cmsghdr) char room[CMSG_SPACE(4 * sizeof(int))] = { 0 };
	struct iovec iov = { .iov_base = (char[]){ "m" }, .iov_len = 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct tti_driver *d = tti_home_here->driver;

	m.msg_control = room;
	m.msg_controllen = CMSG_SPACE(n * sizeof(int));
	*CMSG_FIRSTHDR(&m) = (struct cmsghdr){
		.cmsg_len = CMSG_LEN(n * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
	};
	for (size_t i = 0; i < n; i++)
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)) + i * sizeof(int), &passed, sizeof(int));
	while (d->ops->send_msg(d, number_of(fd), &m) == -EAGAIN)
		;
}

/* More than one with a message: none is kept. */
TT_TEST(pass, too_many_are_all_closed)
{
	tt_fd *way[2], *ends[2], *got = NULL;
	char c;

	REQUIRE_OK(tt_pair(way));
	for (size_t n = 2; n <= 4; n++) {
		REQUIRE_OK(tt_pair(ends));
		send_many(way[0], number_of(ends[1]), n);
		tt_fd_close(ends[1]);
		EXPECT_CODE(tt_unix_recv_fd(way[1], &c, 1, &got), TT_EPROTO);
		EXPECT_EQ(got, NULL);
		/* Nobody holds the other end any more. */
		EXPECT_EQ(tt_read(ends[0], &c, 1), 0);
		tt_fd_close(ends[0]);
	}
	EXPECT_EQ(tt_unix_send_fd(way[0], way[0], "x", 1), 1);
	EXPECT_EQ(tt_unix_recv_fd(way[1], &c, 1, &got), 1);
	REQUIRE_TRUE(got != NULL);
	tt_fd_close(got);
	test_close_pair(way);
}

TT_TEST(pass, refusals)
{
	tt_fd *way[2], *tcp[2], *got = NULL;
	char c = 0;

	REQUIRE_OK(tt_pair(way));
	test_tcp_pair(tcp);
	EXPECT_CODE(tt_unix_send_fd(way[0], way[1], &c, 0), TT_EINVAL);
	EXPECT_CODE(tt_unix_recv_fd(way[0], &c, 0, &got), TT_EINVAL);
	EXPECT_CODE(tt_unix_send_fd(tcp[0], way[1], &c, 1), TT_ENOTSUP);
	EXPECT_CODE(tt_unix_recv_fd(tcp[0], &c, 1, &got), TT_ENOTSUP);
	EXPECT_CODE(tt_unix_send_fd(way[0], NULL, &c, 1), TT_EBADF);
	test_close_pair(tcp);
	EXPECT_CODE(tt_unix_send_fd(way[0], tcp[0], &c, 1), TT_EBADF);
	EXPECT_CODE(tt_unix_send_fd(tcp[0], way[0], &c, 1), TT_EBADF);
	EXPECT_CODE(tt_unix_recv_fd(tcp[0], &c, 1, &got), TT_EBADF);
	EXPECT_EQ(got, NULL);
	test_close_pair(way);
}

/* Law 1: a receive that was cut short took neither bytes nor descriptor. */
TT_TEST(pass, a_cancelled_receive_took_nothing)
{
	tt_fd *way[2], *got = NULL;
	char c;

	REQUIRE_OK(tt_pair(way));
	EXPECT_CODE(TT_WITHIN(TT_MS(5), tt_unix_recv_fd(way[1], &c, 1, &got)), TT_ETIMEDOUT);
	EXPECT_EQ(tt_unix_send_fd(way[0], way[0], "x", 1), 1);
	EXPECT_CODE(TT_WITHIN(0, tt_unix_recv_fd(way[1], &c, 1, &got)), TT_ETIMEDOUT);
	EXPECT_CODE(TT_WITHIN(0, tt_unix_send_fd(way[0], way[0], "y", 1)), TT_ETIMEDOUT);
	EXPECT_EQ(got, NULL);
	EXPECT_EQ(tt_unix_recv_fd(way[1], &c, 1, &got), 1);
	REQUIRE_TRUE(got != NULL);
	tt_fd_close(got);
	EXPECT_CODE(TT_WITHIN(TT_MS(5), tt_unix_recv_fd(way[1], &c, 1, &got)), TT_ETIMEDOUT);
	test_close_pair(way);
}

static TT_TASK(send_until_closed, (tt_fd *, way), (tt_fd *, passed))
{
	static char big[1u << 16];
	int rc;

	do
		rc = tt_unix_send_fd(way, passed, big, sizeof(big));
	while (rc > 0);
	EXPECT_CODE(rc, TT_EBADF);
	return 0;
}

static TT_TASK(recv_until_closed, (tt_fd *, way))
{
	tt_fd *got;
	char c;

	EXPECT_CODE(tt_unix_recv_fd(way, &c, 1, &got), TT_EBADF);
	return 0;
}

/* A send that waits for room ends when either descriptor is closed, on whatever worker. */
TT_TEST(pass, closing_either_ends_a_send)
{
	/* laws 5, 10 */
	static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };
	tt_fd *way[2], *ends[2];

	for (int which = 0; which < 2; which++) {
		REQUIRE_OK(tt_pair(way));
		REQUIRE_OK(tt_pair(ends));
		TT_GROUP(g);
		tt_go_with(&g, &anywhere, send_until_closed, way[0], ends[0]);
		REQUIRE_OK(tt_test_wait_all_parked());
		tt_fd_close(which == 0 ? way[0] : ends[0]);
		EXPECT_OK(tt_group_end(&g, 0));
		tt_fd_close(which == 0 ? ends[0] : way[0]);
		tt_fd_close(ends[1]);
		tt_fd_close(way[1]);
	}
	REQUIRE_OK(tt_pair(way));
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, recv_until_closed, way[1]);
	REQUIRE_OK(tt_test_wait_all_parked());
	tt_fd_close(way[1]);
	EXPECT_OK(tt_group_end(&g, 0));
	tt_fd_close(way[0]);
}

static TT_TASK(pass_some, (tt_fd *, way), (int, n))
{
	tt_fd *ends[2];
	int rc = 0;

	for (int i = 0; i < n && rc >= 0; i++) {
		TT_TRY(tt_pair(ends));
		rc = tt_unix_send_fd(way, ends[0], "p", 1);
		test_close_pair(ends);
	}
	return rc < 0 ? rc : 0;
}

/* Laws 1 and 2: receives that are cut short at odd times get every descriptor once. */
TT_TEST(pass, cut_short_again_and_again_none_is_lost)
{
	static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };
	enum { N = 60 };
	tt_fd *way[2], *got;
	int received = 0;
	char c;

	REQUIRE_OK(tt_pair(way));
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, pass_some, way[0], N);
	for (int64_t t = 0; received < N; t++) {
		int rc = TT_WITHIN(TT_US(t % 40), tt_unix_recv_fd(way[1], &c, 1, &got));

		if (rc == TT_ETIMEDOUT)
			continue;
		REQUIRE_EQ(rc, 1);
		REQUIRE_TRUE(got != NULL);
		tt_fd_close(got);
		received++;
	}
	EXPECT_OK(tt_group_end(&g, 0));
	test_close_pair(way);
}

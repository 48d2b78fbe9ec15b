/* SPDX-License-Identifier: MIT */
/*
 * failure_calls_test.c - every refusal of the kernel in every place where a socket is made,
 * named, connected or accepted: the call fails with a code or copes, and nothing stays open.
 *
 * test-on: epoll1 epoll4 uring1 uring4
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "failure_kit.h"

static const struct refusal refusals[] = {
	{ SYS_socket, -EMFILE },      { SYS_socket, -EAFNOSUPPORT },  { SYS_socketpair, -EMFILE },
	{ SYS_bind, -EADDRINUSE },    { SYS_bind, -EADDRNOTAVAIL },   { SYS_listen, -EADDRINUSE },
	{ SYS_setsockopt, -EINVAL },  { SYS_getsockopt, -ENOTSOCK },  { SYS_getsockname, -ENOBUFS },
	{ SYS_getsockname, -ENOTSOCK }, { SYS_getpeername, -ENOTSOCK }, { SYS_getpeername, -ENOTCONN },
	{ SYS_accept4, -EINTR },      { SYS_accept4, -ECONNABORTED }, { SYS_accept4, -EMFILE },
	{ SYS_accept4, -ENFILE },     { SYS_accept4, -ENOBUFS },      { SYS_accept4, -ENOMEM },
	{ SYS_accept4, -ENETDOWN },   { SYS_accept4, -EPROTO },       { SYS_connect, -ECONNREFUSED },
	{ SYS_connect, -EAGAIN },     { SYS_connect, -EINTR },        { SYS_connect, -ENETUNREACH },
	{ SYS_connect, -EALREADY },   { SYS_connect, -EISCONN },      { SYS_sendmsg, -ENOBUFS },
	{ SYS_sendmsg, -EINTR },      { SYS_recvmsg, -EIO },          { SYS_recvmsg, -EINTR },
	{ SYS_shutdown, -ENOTCONN },  { SYS_ppoll, -ENOMEM },         { SYS_ppoll, -EINTR },
	{ SYS_fcntl, -EBADF },        { SYS_statx, -EACCES },         { SYS_epoll_ctl, -ENOMEM },
	{ SYS_epoll_ctl, -ENOSPC },   { SYS_recvfrom, -EINTR },       { SYS_recvfrom, -ECONNRESET },
	{ SYS_sendto, -EINTR },       { SYS_sendto, -EPIPE },         { SYS_unlinkat, -ENOENT },
};
#define REFUSALS (sizeof(refusals) / sizeof(refusals[0]))

static unsigned refuse_each(int (*scenario)(void))
{
	unsigned struck = 0;

	EXPECT_OK(scenario());
	for (size_t i = 0; i < REFUSALS; i++)
		struck += refuse_in_turn(scenario, &refusals[i]);
	tt_test_note("%u refusals", struck);
	return struck;
}

/* Of what a scenario opens; closed in reverse order, whatever of it there is. */
struct opened {
	tt_fd *fds[8];
	unsigned n;
};

/* The pointer, for the call that fills it may be an argument too. */
static int keep(struct opened *o, int rc, tt_fd *const *fd)
{
	if (rc == 0)
		o->fds[o->n++] = *fd;
	return rc;
}

static int close_all(struct opened *o, int rc)
{
	while (o->n > 0)
		tt_fd_close(o->fds[--o->n]);
	/* A wait for what the refused call would have brought. */
	return rc == TT_ETIMEDOUT ? 0 : rc;
}

#define PATIENCE TT_MS(300)

/* ---- streams ---- */

static int exchange(tt_fd *a, tt_fd *b)
{
	char got[4];
	int rc = tt_write_all(a, "ping", 4, NULL);

	if (rc == 0)
		rc = TT_WITHIN(PATIENCE, tt_read_exact(b, got, 4, NULL));
	if (rc == 0)
		EXPECT_MEM_EQ(got, "ping", 4);
	if (rc == 0)
		rc = tt_fd_shutdown(a, SHUT_WR);
	return rc;
}

static int meet(struct opened *o, tt_fd *listener, const char *addr, const tt_tcp_options *opts)
{
	char text[64];
	tt_addr peer;
	tt_fd *fd = NULL;
	int rc = keep(o, TT_WITHIN(PATIENCE, tt_tcp_connect(addr, opts, &fd)), &fd);

	if (rc == 0)
		rc = TT_WITHIN(PATIENCE, tt_accept(listener, &fd, &peer));
	rc = keep(o, rc, &fd);
	if (rc == 0)
		rc = tt_fd_peer_text(fd, text, sizeof(text));
	if (rc >= 0)
		rc = exchange(o->fds[o->n - 2], o->fds[o->n - 1]);
	return rc;
}

static int serve_tcp(const char *at, const tt_tcp_options *opts)
{
	struct opened o = { .n = 0 };
	tt_fd *listener = NULL;
	char addr[32];
	int rc = keep(&o, tt_tcp_listen(at, opts, &listener), &listener);

	if (rc == 0)
		rc = tt_fd_local_port(listener);
	if (rc > 0) {
		snprintf(addr, sizeof(addr), "127.0.0.1:%d", rc);
		rc = meet(&o, listener, addr, opts);
	}
	return close_all(&o, rc);
}

static int tcp_on_an_address(void)
{
	tt_tcp_options o = { .keepalive = TT_SEC(10), .reuse_port = true };

	return serve_tcp("127.0.0.1:0", &o);
}

static int tcp_on_every_address(void)
{
	return serve_tcp("*:0", &(tt_tcp_options){ .delay = true, .keepalive = INT64_MAX });
}

static int tcp_by_name(void)
{
	return serve_tcp("localhost:0", NULL);
}

TT_TEST_ON(failure_calls, tcp, TT_ON_EPOLL | TT_ON_URING, "the kernel's sockets")
{
	EXPECT_GT(refuse_each(tcp_on_an_address), 10u);
	EXPECT_GT(refuse_each(tcp_on_every_address), 10u);
	EXPECT_GT(refuse_each(tcp_by_name), 10u);
}

static char path[108];

static int unix_by_path(void)
{
	struct opened o = { .n = 0 };
	tt_fd *fd = NULL;
	int rc = keep(&o, tt_unix_listen(path, 0, &fd), &fd);

	if (rc == 0)
		rc = keep(&o, TT_WITHIN(PATIENCE, tt_unix_connect(path, &fd)), &fd);
	if (rc == 0)
		rc = keep(&o, TT_WITHIN(PATIENCE, tt_accept(o.fds[0], &fd, NULL)), &fd);
	if (rc == 0)
		rc = exchange(o.fds[1], o.fds[2]);
	rc = close_all(&o, rc);
	unlink(path);
	return rc;
}

/* The file of a server that was killed: nobody listens. */
static int unix_by_a_stale_path(void)
{
	struct sockaddr_un {
		sa_family_t family;
		char path[108];
	} a = { .family = AF_UNIX };
	int dead = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(a.path, path, sizeof(path));
	unlink(path);
	REQUIRE_EQ(bind(dead, (const struct sockaddr *)(const void *)&a, sizeof(a)), 0);
	close(dead);
	return unix_by_path();
}

TT_TEST_ON(failure_calls, unix_sockets, TT_ON_EPOLL | TT_ON_URING, "the kernel's sockets")
{
	snprintf(path, sizeof(path), "/tmp/tutti-failure-%d.sock", (int)getpid());
	EXPECT_GT(refuse_each(unix_by_path), 5u);
	EXPECT_GT(refuse_each(unix_by_a_stale_path), 5u);
}

static int pass_through(tt_fd *ends[2], tt_fd *what)
{
	tt_fd *got = NULL;
	char byte;
	int rc = tt_unix_send_fd(ends[0], what, "x", 1);

	if (rc >= 0)
		rc = TT_WITHIN(PATIENCE, tt_unix_recv_fd(ends[1], &byte, 1, &got));
	if (rc >= 0)
		tt_fd_close(got);
	return rc;
}

static int pass_numbers(void)
{
	struct opened o = { .n = 0 };
	tt_fd *ends[2], *fd = NULL;
	int rc = tt_pair(ends);

	if (rc < 0)
		return rc;
	o = (struct opened){ .fds = { ends[0], ends[1] }, .n = 2 };
	rc = keep(&o, tt_udp_open("127.0.0.1:0", NULL, &fd), &fd);
	if (rc == 0)
		rc = pass_through(ends, fd);
	if (rc >= 0)
		rc = pass_through(ends, ends[1]);
	return close_all(&o, rc < 0 ? rc : 0);
}

TT_TEST_ON(failure_calls, passed_descriptors, TT_ON_EPOLL | TT_ON_URING, "the kernel's sockets")
{
	EXPECT_GT(refuse_each(pass_numbers), 5u);
}

/* ---- datagrams ---- */

static int send_and_recv(tt_fd *from, tt_fd *to)
{
	tt_addr sender;
	char got[8];
	int rc = tt_udp_send(from, "word", 4, NULL);

	if (rc >= 0)
		rc = TT_WITHIN(PATIENCE, tt_udp_recv(to, got, sizeof(got), &sender));
	return rc;
}

static int udp(const char *at, const tt_udp_options *opts)
{
	struct opened o = { .n = 0 };
	tt_fd *fd = NULL;
	char addr[32];
	int rc = keep(&o, tt_udp_open(at, opts, &fd), &fd);

	if (rc == 0)
		rc = tt_fd_local_port(fd);
	if (rc > 0) {
		snprintf(addr, sizeof(addr), "127.0.0.1:%d", rc);
		rc = keep(&o, tt_udp_connect(addr, NULL, &fd), &fd);
	}
	if (rc == 0)
		rc = send_and_recv(fd, o.fds[0]);
	return close_all(&o, rc < 0 ? rc : 0);
}

static int udp_on_an_address(void)
{
	tt_udp_options o = { .broadcast = true, .reuse_port = true, .recv_bytes = 4096 };

	return udp("127.0.0.1:0", &o);
}

static int udp_on_every_address(void)
{
	return udp("*:0", &(tt_udp_options){ .broadcast = true, .recv_bytes = 4096 });
}

static int udp_by_default(void)
{
	return udp(NULL, NULL);
}

TT_TEST_ON(failure_calls, datagrams, TT_ON_EPOLL | TT_ON_URING, "the kernel's sockets")
{
	EXPECT_GT(refuse_each(udp_on_an_address), 5u);
	EXPECT_GT(refuse_each(udp_on_every_address), 5u);
	EXPECT_GT(refuse_each(udp_by_default), 5u);
}

/* ---- the fallback ---- */

static int listen_anywhere(void)
{
	tt_fd *fd;
	int rc = tt_tcp_listen("*:0", NULL, &fd);

	if (rc == 0)
		tt_fd_close(fd);
	return rc;
}

static int open_anywhere(void)
{
	tt_fd *fd;
	int rc = tt_udp_open("*:0", NULL, &fd);

	if (rc == 0)
		tt_fd_close(fd);
	return rc;
}

static int listen_on_ipv6(void)
{
	tt_fd *fd;
	int rc = tt_tcp_listen("*:0", &(tt_tcp_options){ .ipv6_only = true }, &fd);

	if (rc == 0)
		tt_fd_close(fd);
	return rc;
}

static int open_on_ipv6(void)
{
	tt_fd *fd;
	int rc = tt_udp_open("*:0", &(tt_udp_options){ .ipv6_only = true }, &fd);

	if (rc == 0)
		tt_fd_close(fd);
	return rc;
}

static int with_refusal(int (*scenario)(void), long nr, int code)
{
	int rc;

	refuse_nth(&(struct refusal){ nr, code }, 1);
	rc = scenario();
	EXPECT_TRUE(refuse_no_more());
	return rc;
}

/* Without IPv6 "*" is every IPv4 address; who wants IPv6 alone is told that there is none. */
TT_TEST_ON(failure_calls, every_address_without_ipv6, TT_ON_EPOLL | TT_ON_URING, "the kernel's sockets")
{
	EXPECT_CODE(with_refusal(listen_anywhere, SYS_socket, -EAFNOSUPPORT), 0);
	EXPECT_CODE(with_refusal(listen_anywhere, SYS_bind, TT_EADDRNOTAVAIL), 0);
	EXPECT_CODE(with_refusal(open_anywhere, SYS_socket, -EAFNOSUPPORT), 0);
	EXPECT_CODE(with_refusal(open_anywhere, SYS_bind, TT_EADDRNOTAVAIL), 0);
	EXPECT_CODE(with_refusal(listen_anywhere, SYS_socket, TT_EMFILE), TT_EMFILE);
	EXPECT_CODE(with_refusal(open_anywhere, SYS_socket, TT_EMFILE), TT_EMFILE);
	EXPECT_CODE(with_refusal(listen_on_ipv6, SYS_socket, -EAFNOSUPPORT), -EAFNOSUPPORT);
	EXPECT_CODE(with_refusal(open_on_ipv6, SYS_socket, -EAFNOSUPPORT), -EAFNOSUPPORT);
}

/* ---- readiness ---- */

static int wait_for_pipes(void)
{
	struct opened o = { .n = 0 };
	int numbers[2], rc;
	tt_fd *ends[2];

	REQUIRE_EQ(pipe(numbers), 0);
	rc = TT_WITHIN(PATIENCE, tt_wait_fd(numbers[1], POLLOUT));
	if (rc >= 0) {
		REQUIRE_EQ(write(numbers[1], "x", 1), 1);
		rc = TT_WITHIN(PATIENCE, tt_wait_fd(numbers[0], POLLIN));
	}
	tt_fd_forget(numbers[0]);
	tt_fd_forget(numbers[1]);
	close(numbers[0]);
	close(numbers[1]);
	if (rc < 0)
		return rc == TT_ETIMEDOUT ? 0 : rc;
	rc = tt_pair(ends);
	if (rc < 0)
		return rc;
	o = (struct opened){ .fds = { ends[0], ends[1] }, .n = 2 };
	rc = TT_WITHIN(PATIENCE, tt_fd_poll(ends[0], POLLOUT));
	if (rc >= 0)
		rc = TT_WITHIN(TT_MS(1), tt_fd_poll(ends[1], POLLIN));
	return close_all(&o, rc < 0 ? rc : 0);
}

TT_TEST_ON(failure_calls, readiness, TT_ON_EPOLL | TT_ON_URING, "the kernel's descriptors")
{
	EXPECT_GT(refuse_each(wait_for_pipes), 0u);
}

/* A close that was interrupted has closed. */
TT_TEST_ON(failure_calls, an_interrupted_close_is_one, TT_ON_EPOLL | TT_ON_URING, "the kernel's descriptors")
{
	int before = tti_test_open_descriptors();
	tt_fd *ends[2];

	REQUIRE_OK(tt_pair(ends));
	refuse_nth(&(struct refusal){ SYS_close, -EINTR }, 1);
	tt_fd_close(ends[0]);
	tt_fd_close(ends[1]);
	EXPECT_TRUE(refuse_no_more());
	/* The refused one was not made: the test's to close. */
	EXPECT_EQ(tti_test_open_descriptors(), before + 1);
	for (int fd = 3; fd < 64 && tti_test_open_descriptors() > before; fd++) {
		int type;
		socklen_t len = sizeof(type);

		if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &type, &len) == 0 && type == AF_UNIX)
			close(fd);
	}
	EXPECT_EQ(tti_test_open_descriptors(), before);
}

TT_TEST_MAIN()

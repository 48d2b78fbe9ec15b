/* SPDX-License-Identifier: MIT */
/*
 * failure_net_test.c - every refusal of the simulated network is the kernel's: one list of
 * misuses of sockets, below net/, with one list of answers for the simulator and for Linux.
 *
 * test-on: sim1 epoll4 uring4
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

#include "io/perform.h"

#define CLOSED 987                       /* a number that nobody has */

static struct tti_driver *driver(void)
{
	return tti_home_here->driver;
}

#define OPS (driver()->ops)

/* ---- addresses ---- */

union any {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
	struct sockaddr_storage room;
};

static union any at4(const char *host, int port)
{
	union any a = { .in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) } };

	REQUIRE_EQ(inet_pton(AF_INET, host, &a.in.sin_addr), 1);
	return a;
}

static union any at6(const char *host, int port)
{
	union any a = { .in6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) } };

	REQUIRE_EQ(inet_pton(AF_INET6, host, &a.in6.sin6_addr), 1);
	return a;
}

static uint32_t size_of(const union any *a)
{
	return a->any.sa_family == AF_INET ? sizeof(a->in) : a->any.sa_family == AF_INET6 ? sizeof(a->in6) : sizeof(a->un);
}

/* ---- calls ---- */

static int make(int family, int type)
{
	return OPS->socket(driver(), family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static int do_bind(int fd, union any a)
{
	return OPS->bind(driver(), fd, &a, size_of(&a));
}

static int set(int fd, int level, int option, int value)
{
	return OPS->set_option(driver(), fd, level, option, &value, sizeof(value));
}

static void end(int fd)
{
	EXPECT_EQ(OPS->close(driver(), fd), 0);
}

static int port_of(int fd)
{
	union any a;
	uint32_t len = sizeof(a);

	EXPECT_EQ(OPS->address(driver(), fd, false, &a, &len), 0);
	return ntohs(a.any.sa_family == AF_INET ? a.in.sin_port : a.in6.sin6_port);
}

static long perform(enum tti_io_kind kind, int fd, void *buf, size_t n, unsigned events)
{
	struct tti_io_wait io;

	tti_io_wait_init(&io, kind, "test", NULL);
	io.op.fd = fd;
	io.op.buf = buf;
	io.op.len = n;
	io.op.events = events;
	io.op.flags = TTI_IO_SOCKET;
	return tti_io_perform(&io);
}

/* Asks for the length of the peer's name, and has no room for it. */
static int accept_without_room(int fd)
{
	struct tti_io_wait io;
	uint32_t len = 77;
	int got;

	tti_io_wait_init(&io, TTI_IO_ACCEPT, "test", NULL);
	io.op.fd = fd;
	io.op.addr_len = &len;
	got = (int)tti_io_perform(&io);
	EXPECT_EQ(len, 0u);
	return got;
}

static long do_connect(int fd, union any a)
{
	return perform(TTI_IO_CONNECT, fd, &a, size_of(&a), 0);
}

static int listener(int family, int backlog)
{
	int fd = make(family, SOCK_STREAM);

	REQUIRE_EQ(do_bind(fd, family == AF_INET ? at4("127.0.0.1", 0) : at6("::1", 0)), 0);
	REQUIRE_EQ(OPS->listen(driver(), fd, backlog), 0);
	return fd;
}

/* ---- numbers ---- */

TT_TEST(net_refusals, of_a_number_that_is_not_open)
{
	union any a = at4("127.0.0.1", 0);
	struct iovec piece = { .iov_base = &a, .iov_len = 1 };
	struct msghdr m = { .msg_iov = &piece, .msg_iovlen = 1 };
	uint32_t len = sizeof(a);
	char byte = 0;

	EXPECT_EQ(do_bind(CLOSED, a), TT_EBADF);
	EXPECT_EQ(OPS->listen(driver(), CLOSED, 1), TT_EBADF);
	EXPECT_EQ(OPS->address(driver(), CLOSED, false, &a, &len), TT_EBADF);
	EXPECT_EQ(set(CLOSED, SOL_SOCKET, SO_REUSEADDR, 1), TT_EBADF);
	EXPECT_EQ(OPS->shutdown(driver(), CLOSED, SHUT_WR), TT_EBADF);
	EXPECT_EQ(OPS->close(driver(), CLOSED), TT_EBADF);
	EXPECT_EQ(OPS->read(driver(), CLOSED, &byte, 1, TTI_IO_SOCKET), TT_EBADF);
	EXPECT_EQ(OPS->write(driver(), CLOSED, &byte, 1, TTI_IO_SOCKET), TT_EBADF);
	EXPECT_EQ(OPS->send_msg(driver(), CLOSED, &m), TT_EBADF);
	EXPECT_EQ(perform(TTI_IO_RECV_MSG, CLOSED, &m, 0, 0), TT_EBADF);
	EXPECT_EQ(OPS->ready(driver(), CLOSED, POLLIN), TT_EBADF);
	EXPECT_EQ(perform(TTI_IO_READ, CLOSED, &byte, 1, 0), TT_EBADF);
	EXPECT_EQ(perform(TTI_IO_WRITE, CLOSED, &byte, 1, 0), TT_EBADF);
	EXPECT_EQ(perform(TTI_IO_ACCEPT, CLOSED, NULL, 0, 0), TT_EBADF);
	EXPECT_EQ(perform(TTI_IO_CONNECT, CLOSED, &a, sizeof(a.in), 0), TT_EBADF);
}

TT_TEST(net_refusals, of_a_kind_of_socket)
{
	EXPECT_EQ(make(AF_APPLETALK + 1000, SOCK_STREAM), -EAFNOSUPPORT);
	EXPECT_EQ(make(AF_INET, SOCK_SEQPACKET), -ESOCKTNOSUPPORT);
}

/* ---- names ---- */

TT_TEST(net_refusals, of_an_address)
{
	union any a = at4("127.0.0.1", 0), b = at6("::1", 0);
	int fd = make(AF_INET, SOCK_STREAM), six = make(AF_INET6, SOCK_STREAM);
	uint32_t len = sizeof(a);

	EXPECT_EQ(OPS->bind(driver(), fd, &a, 1), TT_EINVAL);
	EXPECT_EQ(OPS->bind(driver(), fd, &a, sizeof(a.in) - 1), TT_EINVAL);
	EXPECT_EQ(OPS->bind(driver(), fd, &a, sizeof(a) + 1), TT_EINVAL);
	EXPECT_EQ(OPS->bind(driver(), six, &b, sizeof(b.in6) - 5), TT_EINVAL);
	EXPECT_EQ(do_bind(fd, a), 0);
	EXPECT_EQ(do_bind(fd, a), TT_EINVAL);
	EXPECT_EQ(OPS->address(driver(), fd, true, &a, &len), TT_ENOTCONN);
	len = sizeof(b);
	EXPECT_EQ(OPS->address(driver(), six, false, &b, &len), 0);
	EXPECT_EQ(len, sizeof(b.in6));
	EXPECT_EQ(b.in6.sin6_port, 0);
	end(fd);
	end(six);
}

/* A port is taken once, unless both sides agree; IPv6's wildcard takes IPv4's port too. */
TT_TEST(net_refusals, of_a_port_that_is_taken)
{
	int a = listener(AF_INET, 4), port = port_of(a), b = make(AF_INET, SOCK_STREAM);
	int six = make(AF_INET6, SOCK_STREAM), dgram = make(AF_INET, SOCK_DGRAM);

	EXPECT_EQ(do_bind(b, at4("127.0.0.1", port)), TT_EADDRINUSE);
	EXPECT_EQ(do_bind(b, at4("0.0.0.0", port)), TT_EADDRINUSE);
	EXPECT_EQ(do_bind(six, at6("::", port)), TT_EADDRINUSE);
	EXPECT_EQ(set(six, IPPROTO_IPV6, IPV6_V6ONLY, 1), 0);
	EXPECT_EQ(do_bind(six, at6("::", port)), 0);
	EXPECT_EQ(do_bind(b, at4("127.0.0.2", port)), 0);
	EXPECT_EQ(OPS->listen(driver(), b, 1), 0);
	/* The ports of datagrams are others. */
	EXPECT_EQ(do_bind(dgram, at4("127.0.0.1", port)), 0);
	end(dgram);
	end(six);
	end(b);
	end(a);
}

TT_TEST(net_refusals, of_a_wildcard_that_is_taken)
{
	int six = make(AF_INET6, SOCK_STREAM), four = make(AF_INET, SOCK_STREAM), port;

	EXPECT_EQ(set(six, IPPROTO_IPV6, IPV6_V6ONLY, 0), 0);
	EXPECT_EQ(do_bind(six, at6("::", 0)), 0);
	EXPECT_EQ(OPS->listen(driver(), six, 1), 0);
	port = port_of(six);
	EXPECT_EQ(do_bind(four, at4("127.0.0.1", port)), TT_EADDRINUSE);
	EXPECT_EQ(do_bind(four, at4("0.0.0.0", port)), TT_EADDRINUSE);
	end(six);
	EXPECT_EQ(do_bind(four, at4("0.0.0.0", port)), 0);
	end(four);
}

/* Two that both ask for it share a port. */
TT_TEST(net_refusals, none_among_those_who_share)
{
	int a = make(AF_INET, SOCK_STREAM), b = make(AF_INET, SOCK_STREAM), c = make(AF_INET, SOCK_STREAM), port;

	EXPECT_EQ(set(a, SOL_SOCKET, SO_REUSEPORT, 1), 0);
	EXPECT_EQ(set(b, SOL_SOCKET, SO_REUSEPORT, 1), 0);
	EXPECT_EQ(do_bind(a, at4("127.0.0.1", 0)), 0);
	port = port_of(a);
	EXPECT_EQ(do_bind(b, at4("127.0.0.1", port)), 0);
	EXPECT_EQ(do_bind(c, at4("127.0.0.1", port)), TT_EADDRINUSE);
	EXPECT_EQ(OPS->listen(driver(), a, 1), 0);
	EXPECT_EQ(OPS->listen(driver(), b, 1), 0);
	end(a);
	end(b);
	end(c);
}

/* SO_REUSEADDR lets two bind; the second one's listen finds the first. */
TT_TEST(net_refusals, of_a_second_listener)
{
	int a = make(AF_INET, SOCK_STREAM), b = make(AF_INET, SOCK_STREAM), port;

	EXPECT_EQ(set(a, SOL_SOCKET, SO_REUSEADDR, 1), 0);
	EXPECT_EQ(set(b, SOL_SOCKET, SO_REUSEADDR, 1), 0);
	EXPECT_EQ(do_bind(a, at4("127.0.0.1", 0)), 0);
	port = port_of(a);
	EXPECT_EQ(do_bind(b, at4("127.0.0.1", port)), 0);
	EXPECT_EQ(OPS->listen(driver(), a, 1), 0);
	EXPECT_EQ(OPS->listen(driver(), b, 1), TT_EADDRINUSE);
	end(a);
	end(b);
}

/* ---- options ---- */

TT_TEST(net_refusals, of_an_option)
{
	int fd = make(AF_INET, SOCK_STREAM), six = make(AF_INET6, SOCK_STREAM), value = 1;
	struct linger l = { .l_onoff = 1, .l_linger = 5 };

	EXPECT_EQ(OPS->set_option(driver(), fd, SOL_SOCKET, SO_REUSEADDR, &value, 1), TT_EINVAL);
	EXPECT_EQ(OPS->set_option(driver(), fd, SOL_SOCKET, SO_LINGER, &l, 4), TT_EINVAL);
	EXPECT_EQ(OPS->set_option(driver(), fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)), 0);
	l.l_onoff = 0;
	EXPECT_EQ(OPS->set_option(driver(), fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)), 0);
	EXPECT_EQ(set(fd, SOL_SOCKET, 9999, 1), -ENOPROTOOPT);
	EXPECT_EQ(set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1), -ENOPROTOOPT);
	EXPECT_EQ(set(fd, IPPROTO_TCP, TCP_NODELAY, 1), 0);
	EXPECT_EQ(set(fd, SOL_SOCKET, SO_SNDBUF, 10), 0);
	EXPECT_EQ(set(fd, SOL_SOCKET, SO_RCVBUF, 10000), 0);
	EXPECT_EQ(set(fd, SOL_SOCKET, SO_KEEPALIVE, 1), 0);
	EXPECT_EQ(set(six, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 9), 0);
	end(fd);
	end(six);
}

/* ---- listening, connecting ---- */

TT_TEST(net_refusals, of_listening)
{
	int fd = make(AF_INET, SOCK_STREAM), un = make(AF_UNIX, SOCK_STREAM), l = listener(AF_INET, 4);
	int pair[2];

	EXPECT_EQ(OPS->listen(driver(), un, 1), TT_EINVAL);
	EXPECT_EQ(perform(TTI_IO_ACCEPT, fd, NULL, 0, 0), TT_EINVAL);
	EXPECT_EQ(OPS->listen(driver(), l, 9), 0); /* again: another bound */
	EXPECT_EQ(OPS->pair(driver(), pair), 0);
	EXPECT_EQ(OPS->listen(driver(), pair[0], 1), TT_EINVAL);
	EXPECT_EQ(OPS->ready(driver(), l, POLLIN), TT_EAGAIN);
	end(pair[0]);
	end(pair[1]);
	end(fd);
	end(un);
	end(l);
}

TT_TEST(net_refusals, of_connecting)
{
	int l = listener(AF_INET, 4), fd = make(AF_INET, SOCK_STREAM), got;
	union any to = at4("127.0.0.1", port_of(l));

	EXPECT_EQ(perform(TTI_IO_CONNECT, fd, &to, 3, 0), TT_EINVAL);
	EXPECT_EQ(do_connect(fd, at4("127.0.0.1", 0)), TT_ECONNREFUSED);
	EXPECT_EQ(do_connect(fd, to), 0);
	EXPECT_EQ(do_connect(fd, to), -EISCONN);
	got = accept_without_room(l);
	REQUIRE_LT(0, got);
	EXPECT_EQ(OPS->shutdown(driver(), got, 77), TT_EINVAL);
	EXPECT_EQ(OPS->listen(driver(), got, 1), TT_EINVAL);
	end(got);
	end(fd);
	end(l);
}

TT_TEST(net_refusals, of_one_that_is_not_connected)
{
	int fd = make(AF_INET, SOCK_STREAM), un = make(AF_UNIX, SOCK_STREAM);
	struct iovec piece = { .iov_base = (char[]){ "x" }, .iov_len = 1 };
	struct msghdr m = { .msg_iov = &piece, .msg_iovlen = 1 };
	char byte = 0;

	EXPECT_EQ(OPS->shutdown(driver(), fd, SHUT_WR), TT_ENOTCONN);
	EXPECT_EQ(OPS->write(driver(), fd, &byte, 1, TTI_IO_SOCKET), TT_EPIPE);
	EXPECT_EQ(OPS->write(driver(), un, &byte, 1, TTI_IO_SOCKET), TT_ENOTCONN);
	EXPECT_EQ(OPS->send_msg(driver(), fd, &m), TT_EPIPE);
	EXPECT_EQ(OPS->send_msg(driver(), un, &m), TT_ENOTCONN);
	EXPECT_EQ(OPS->read(driver(), fd, &byte, 1, TTI_IO_SOCKET), TT_ENOTCONN);
	EXPECT_EQ(perform(TTI_IO_RECV_MSG, fd, &m, 0, 0), TT_ENOTCONN);
	EXPECT_EQ(OPS->ready(driver(), fd, POLLIN | POLLOUT), POLLOUT | POLLHUP);
	end(fd);
	end(un);
}

/* ---- streams ---- */

TT_TEST(net_refusals, of_half_a_stream)
{
	int ends[2];
	char buf[4] = "abc";

	REQUIRE_EQ(OPS->pair(driver(), ends), 0);
	EXPECT_EQ(OPS->ready(driver(), ends[0], POLLIN | POLLOUT), POLLOUT);
	EXPECT_EQ(OPS->write(driver(), ends[0], buf, 0, TTI_IO_SOCKET), 0);
	EXPECT_EQ(OPS->write(driver(), ends[0], buf, 3, TTI_IO_SOCKET), 3);
	EXPECT_EQ(perform(TTI_IO_POLL, ends[1], NULL, 0, POLLIN), POLLIN);
	EXPECT_EQ(OPS->read(driver(), ends[1], buf, 3, TTI_IO_SOCKET), 3);
	EXPECT_EQ(OPS->read(driver(), ends[1], buf, 3, TTI_IO_SOCKET), TT_EAGAIN);
	EXPECT_EQ(OPS->shutdown(driver(), ends[0], SHUT_WR), 0);
	EXPECT_EQ(OPS->write(driver(), ends[0], buf, 3, TTI_IO_SOCKET), TT_EPIPE);
	EXPECT_EQ(OPS->shutdown(driver(), ends[1], SHUT_RD), 0);
	EXPECT_EQ(OPS->read(driver(), ends[1], buf, 3, TTI_IO_SOCKET), 0);
	EXPECT_EQ(OPS->shutdown(driver(), ends[1], SHUT_RDWR), 0);
	EXPECT_EQ(OPS->write(driver(), ends[1], buf, 3, TTI_IO_SOCKET), TT_EPIPE);
	end(ends[0]);
	end(ends[1]);
}

/* ---- datagrams ---- */

static int dgram(int family)
{
	int fd = make(family, SOCK_DGRAM);

	REQUIRE_EQ(do_bind(fd, family == AF_INET ? at4("127.0.0.1", 0) : at6("::1", 0)), 0);
	return fd;
}

static long send_to(int fd, const union any *to, size_t n)
{
	static char bytes[70000];
	struct iovec piece = { .iov_base = bytes, .iov_len = n };
	struct msghdr m = { .msg_iov = &piece, .msg_iovlen = 1 };

	if (to != NULL) {
		m.msg_name = (void *)(uintptr_t)to;
		m.msg_namelen = size_of(to);
	}
	return OPS->send_msg(driver(), fd, &m);
}

TT_TEST(net_refusals, of_a_datagram)
{
	int a = dgram(AF_INET), b = make(AF_INET, SOCK_DGRAM), six = make(AF_INET6, SOCK_DGRAM);
	union any to = at4("127.0.0.1", port_of(a)), nowhere = at4("127.0.0.1", 0), mapped;
	char buf[8];

	EXPECT_EQ(send_to(b, NULL, 3), -EDESTADDRREQ);
	EXPECT_EQ(send_to(b, &nowhere, 3), TT_EINVAL);
	EXPECT_EQ(send_to(b, &to, 66000), -EMSGSIZE);
	EXPECT_EQ(send_to(b, &to, 3), 3); /* its own name comes with the first */
	EXPECT_LT(0, port_of(b));
	EXPECT_EQ(perform(TTI_IO_POLL, a, NULL, 0, POLLIN), POLLIN);
	EXPECT_EQ(OPS->read(driver(), a, buf, sizeof(buf), TTI_IO_SOCKET), 3);
	EXPECT_EQ(OPS->read(driver(), a, buf, sizeof(buf), TTI_IO_SOCKET), TT_EAGAIN);
	EXPECT_EQ(OPS->ready(driver(), a, POLLIN | POLLOUT), POLLOUT);
	EXPECT_EQ(set(six, IPPROTO_IPV6, IPV6_V6ONLY, 1), 0);
	mapped = at6("::ffff:127.0.0.1", port_of(a));
	EXPECT_EQ(send_to(six, &mapped, 3), -ENETUNREACH);
	end(a);
	end(b);
	end(six);
}

TT_TEST(net_refusals, of_half_a_datagram_socket)
{
	int a = dgram(AF_INET), b = make(AF_INET, SOCK_DGRAM);
	union any to = at4("127.0.0.1", port_of(a)), peer;
	uint32_t len = sizeof(peer);
	char buf[8];

	EXPECT_EQ(OPS->address(driver(), b, true, &peer, &len), TT_ENOTCONN);
	EXPECT_EQ(do_connect(b, to), 0);
	EXPECT_EQ(OPS->address(driver(), b, true, &peer, &len), 0);
	EXPECT_EQ(peer.in.sin_port, to.in.sin_port);
	EXPECT_EQ(send_to(b, NULL, 2), 2);
	EXPECT_EQ(perform(TTI_IO_POLL, a, NULL, 0, POLLIN), POLLIN);
	EXPECT_EQ(OPS->read(driver(), a, buf, sizeof(buf), TTI_IO_SOCKET), 2);
	EXPECT_EQ(OPS->shutdown(driver(), b, SHUT_WR), 0);
	EXPECT_EQ(send_to(b, NULL, 2), TT_EPIPE);
	EXPECT_EQ(OPS->shutdown(driver(), b, SHUT_RD), 0);
	EXPECT_EQ(OPS->ready(driver(), b, POLLIN) & POLLIN, POLLIN);
	end(a);
	end(b);
}

/* Linux says no, and shuts it. */
TT_TEST(net_refusals, of_shutting_an_unconnected_datagram_socket)
{
	int a = dgram(AF_INET), b = make(AF_INET, SOCK_DGRAM);
	union any to = at4("127.0.0.1", port_of(a));

	EXPECT_EQ(OPS->shutdown(driver(), b, SHUT_RDWR), TT_ENOTCONN);
	EXPECT_EQ(send_to(b, &to, 2), TT_EPIPE);
	EXPECT_EQ(OPS->ready(driver(), b, POLLIN) & POLLIN, POLLIN);
	end(a);
	end(b);
}

/* What was sent to a port that is gone comes back as an error, once. */
TT_TEST(net_refusals, of_a_datagram_nobody_takes)
{
	int a = dgram(AF_INET), b = make(AF_INET, SOCK_DGRAM), port = port_of(a);
	char buf[8];

	EXPECT_EQ(do_connect(b, at4("127.0.0.1", port)), 0);
	end(a);
	EXPECT_EQ(send_to(b, NULL, 2), 2);
	EXPECT_GT(perform(TTI_IO_POLL, b, NULL, 0, POLLIN), 0);
	EXPECT_EQ(OPS->ready(driver(), b, POLLIN | POLLOUT) & POLLERR, POLLERR);
	EXPECT_EQ(OPS->read(driver(), b, buf, sizeof(buf), TTI_IO_SOCKET), TT_ECONNREFUSED);
	EXPECT_EQ(OPS->read(driver(), b, buf, sizeof(buf), TTI_IO_SOCKET), TT_EAGAIN);
	end(b);
}

/* Datagrams that nobody read go with the socket. */
TT_TEST(net_refusals, none_of_closing_with_datagrams_unread)
{
	int a = dgram(AF_INET6), b = make(AF_INET6, SOCK_DGRAM);
	union any to = at6("::1", port_of(a));

	for (int i = 0; i < 5; i++)
		EXPECT_EQ(send_to(b, &to, 100), 100);
	EXPECT_EQ(perform(TTI_IO_POLL, a, NULL, 0, POLLIN), POLLIN);
	end(a);
	end(b);
}

/* A receiver that does not read loses what is too much, and the sender does not notice. */
TT_TEST(net_refusals, none_of_more_than_the_receiver_keeps)
{
	int a = dgram(AF_INET), b = make(AF_INET, SOCK_DGRAM), got = 0;
	union any to = at4("127.0.0.1", port_of(a));
	static char buf[70000];

	for (int i = 0; i < 100; i++)
		EXPECT_EQ(send_to(b, &to, 60000), 60000);
	EXPECT_EQ(perform(TTI_IO_POLL, a, NULL, 0, POLLIN), POLLIN);
	EXPECT_OK(tt_sleep(TT_MS(20)));
	while (OPS->read(driver(), a, buf, sizeof(buf), TTI_IO_SOCKET) == 60000)
		got++;
	EXPECT_GT(got, 0);
	EXPECT_LT(got, 100);
	end(a);
	end(b);
}

/* ---- passing ---- */

static long send_number(int fd, int level, int type, int number)
{
	struct iovec piece = { .iov_base = (char[]){ "x" }, .iov_len = 1 };
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr m = { .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };

	memset(&control, 0, sizeof(control));
	control.h = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = level, .cmsg_type = type };
	memcpy(CMSG_DATA(&control.h), &number, sizeof(number));
	return OPS->send_msg(driver(), fd, &m);
}

TT_TEST(net_refusals, of_passing_a_number)
{
	int ends[2];

	REQUIRE_EQ(OPS->pair(driver(), ends), 0);
	EXPECT_EQ(send_number(ends[0], SOL_SOCKET, SCM_RIGHTS, CLOSED), TT_EBADF);
	EXPECT_EQ(send_number(ends[0], SOL_SOCKET, 77, ends[0]), TT_EINVAL);
	EXPECT_EQ(send_number(ends[0], SOL_SOCKET, SCM_RIGHTS, ends[0]), 1);
	/* Nobody takes it: it goes with the stream. */
	end(ends[0]);
	end(ends[1]);
}

TT_TEST_MAIN()

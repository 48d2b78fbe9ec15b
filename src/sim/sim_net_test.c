/* SPDX-License-Identifier: MIT */
/*
 * sim_net_test.c - the simulated network behaves as Linux does, and an operation that took
 * effect wins against its cancel. Below net/: raw descriptors and tti_io_perform().
 *
 * test-on: sim1 sim4
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

#include "io/perform.h"
#include "sim/sim.h"

#define ONLY_SIM "tests the simulated network itself"

static struct tti_driver *driver(void)
{
	return tti_home_here->driver;
}

/* ---- operations ---- */

static long perform(enum tti_io_kind kind, int fd, void *buf, size_t n, unsigned events)
{
	struct tti_io_wait io;
	uint32_t len = 0;

	tti_io_wait_init(&io, kind, "test", NULL);
	io.op.fd = fd;
	io.op.buf = buf;
	io.op.len = n;
	io.op.events = events;
	io.op.addr_len = kind == TTI_IO_ACCEPT ? &len : NULL;
	return tti_io_perform(&io);
}

static int do_read(int fd, void *buf, size_t n)
{
	return (int)perform(TTI_IO_READ, fd, buf, n, 0);
}

static int do_write(int fd, const void *buf, size_t n)
{
	return (int)perform(TTI_IO_WRITE, fd, (void *)(uintptr_t)buf, n, 0);
}

static int do_accept(int fd)
{
	struct sockaddr_storage peer;

	return (int)perform(TTI_IO_ACCEPT, fd, &peer, sizeof(peer), 0);
}

static int do_poll(int fd, unsigned events)
{
	return (int)perform(TTI_IO_POLL, fd, NULL, 0, events);
}

static struct sockaddr_in loopback(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

static int do_socket(void)
{
	return driver()->ops->socket(driver(), AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static int do_connect(int fd, int port)
{
	struct sockaddr_in a = loopback(port);

	return (int)perform(TTI_IO_CONNECT, fd, &a, sizeof(a), 0);
}

static int do_bind(int fd, int port)
{
	struct sockaddr_in a = loopback(port);

	return driver()->ops->bind(driver(), fd, &a, sizeof(a));
}

static int port_of(int fd)
{
	struct sockaddr_in a;
	uint32_t len = sizeof(a);

	EXPECT_EQ(driver()->ops->address(driver(), fd, false, &a, &len), 0);
	return ntohs(a.sin_port);
}

static void do_close(int fd)
{
	EXPECT_EQ(driver()->ops->close(driver(), fd), 0);
}

/* A listener on a port of its own. */
static int listener(int backlog)
{
	int fd = do_socket();

	EXPECT_EQ(do_bind(fd, 0), 0);
	EXPECT_EQ(driver()->ops->listen(driver(), fd, backlog), 0);
	return fd;
}

static void connected(int *ret_a, int *ret_b)
{
	int l = listener(8);

	*ret_a = do_socket();
	EXPECT_EQ(do_connect(*ret_a, port_of(l)), 0);
	*ret_b = do_accept(l);
	EXPECT_GT(*ret_b, 0);
	do_close(l);
}

static void set_linger_reset(int fd)
{
	struct linger on = { 1, 0 };

	EXPECT_EQ(driver()->ops->set_option(driver(), fd, SOL_SOCKET, SO_LINGER, &on, sizeof(on)), 0);
}

/* ---- connections ---- */

TT_TEST_ON(sim_net, bytes_come_in_order_and_then_the_end, TT_ON_SIM, ONLY_SIM)
{
	char buf[16] = "";
	int a, b;

	connected(&a, &b);
	EXPECT_EQ(do_write(a, "hello ", 6), 6);
	EXPECT_EQ(do_write(a, "world", 5), 5);
	EXPECT_EQ(driver()->ops->shutdown(driver(), a, SHUT_WR), 0);
	for (int got = 0; got < 11;) {
		int n = do_read(b, buf + got, sizeof(buf) - (size_t)got);

		REQUIRE_LT(0, n);
		got += n;
	}
	EXPECT_MEM_EQ(buf, "hello world", 11);
	EXPECT_EQ(do_read(b, buf, sizeof(buf)), 0);
	/* Half-closed: the other direction still works. */
	EXPECT_EQ(do_write(b, "x", 1), 1);
	EXPECT_EQ(do_read(a, buf, sizeof(buf)), 1);
	EXPECT_EQ(do_write(a, "y", 1), -EPIPE);
	do_close(a);
	do_close(b);
}

TT_TEST_ON(sim_net, nobody_listens_is_refused, TT_ON_SIM, ONLY_SIM)
{
	int fd = do_socket();

	EXPECT_EQ(do_connect(fd, 1), -ECONNREFUSED);
	do_close(fd);
}

TT_TEST_ON(sim_net, addresses_are_taken_once, TT_ON_SIM, ONLY_SIM)
{
	int l = listener(1), fd = do_socket(), on = 1;

	EXPECT_EQ(do_bind(fd, port_of(l)), -EADDRINUSE);
	EXPECT_EQ(driver()->ops->set_option(driver(), fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	EXPECT_EQ(do_bind(fd, port_of(l)), -EADDRINUSE);
	EXPECT_EQ(do_bind(fd, 0), 0);
	EXPECT_NE(port_of(fd), port_of(l));
	EXPECT_EQ(driver()->ops->listen(driver(), fd, 1), 0);
	do_close(l);
	do_close(fd);
}

TT_TEST_ON(sim_net, unread_bytes_make_a_close_a_reset, TT_ON_SIM, ONLY_SIM)
{
	char c;
	int a, b;

	connected(&a, &b);
	EXPECT_EQ(do_write(a, "lost", 4), 4);
	EXPECT_EQ(do_poll(b, POLLIN), POLLIN);
	do_close(b);
	EXPECT_EQ(do_read(a, &c, 1), -ECONNRESET);
	/* Told once; then the end, and a pipe nobody reads. */
	EXPECT_EQ(do_read(a, &c, 1), 0);
	EXPECT_EQ(do_write(a, "x", 1), -EPIPE);
	do_close(a);
}

TT_TEST_ON(sim_net, the_first_write_to_a_closed_end_succeeds_the_next_does_not, TT_ON_SIM, ONLY_SIM)
{
	int a, b;

	connected(&a, &b);
	do_close(b);
	EXPECT_OK(tt_sleep(TT_SEC(1)));
	EXPECT_EQ(do_write(a, "x", 1), 1);
	EXPECT_OK(tt_sleep(TT_SEC(1)));
	EXPECT_EQ(do_write(a, "y", 1), -EPIPE);
	do_close(a);
}

TT_TEST_ON(sim_net, linger_zero_resets, TT_ON_SIM, ONLY_SIM)
{
	char c;
	int a, b;

	connected(&a, &b);
	set_linger_reset(a);
	do_close(a);
	EXPECT_EQ(do_read(b, &c, 1), -ECONNRESET);
	do_close(b);
}

static TT_TASK(read_some, (int, fd), (size_t, n))
{
	char buf[512];

	while (n > 0) {
		int got = do_read(fd, buf, n < sizeof(buf) ? n : sizeof(buf));

		if (got <= 0)
			return got;
		n -= (size_t)got;
	}
	return 0;
}

TT_TEST_ON(sim_net, a_full_buffer_holds_the_writer, TT_ON_SIM, ONLY_SIM)
{
	static char block[1 << 20];
	int a, b, first, n;

	connected(&a, &b);
	first = do_write(a, block, sizeof(block));
	EXPECT_LT(first, (int)sizeof(block));
	EXPECT_EQ(driver()->ops->write(driver(), a, block, 1, 0), -EAGAIN);
	{
		TT_GROUP(g);
		tt_go(&g, read_some, b, (size_t)first + 10);
		for (n = 0; n < 10;) {
			int more = do_write(a, block, (size_t)(10 - n));

			REQUIRE_LT(0, more);
			n += more;
		}
		EXPECT_OK(tt_group_end(&g, 0));
	}
	do_close(a);
	do_close(b);
}

static TT_TASK(connect_and_close, (int, port))
{
	int fd = do_socket(), rc = do_connect(fd, port);

	do_close(fd);
	return rc;
}

TT_TEST_ON(sim_net, a_full_backlog_lets_the_connect_try_again, TT_ON_SIM, ONLY_SIM)
{
	int l = listener(1), taken = 0;

	{
		TT_GROUP(g);
		for (int i = 0; i < 5; i++)
			tt_go(&g, connect_and_close, port_of(l));
		while (taken < 5) {
			int fd;

			EXPECT_OK(tt_sleep(TT_MS(100)));
			fd = do_accept(l);
			EXPECT_GT(fd, 0);
			do_close(fd);
			taken++;
		}
		EXPECT_OK(tt_group_end(&g, 0));
	}
	do_close(l);
}

TT_TEST_ON(sim_net, a_closed_listener_resets_what_it_never_took, TT_ON_SIM, ONLY_SIM)
{
	int l = listener(4), fd = do_socket();
	char c;

	EXPECT_EQ(do_connect(fd, port_of(l)), 0);
	do_close(l);
	EXPECT_EQ(do_read(fd, &c, 1), -ECONNRESET);
	do_close(fd);
}

TT_TEST_ON(sim_net, pairs_have_no_wire_between, TT_ON_SIM, ONLY_SIM)
{
	int fds[2];
	char c;

	EXPECT_EQ(driver()->ops->pair(driver(), fds), 0);
	EXPECT_EQ(driver()->ops->write(driver(), fds[0], "x", 1, 0), 1);
	EXPECT_EQ(driver()->ops->read(driver(), fds[1], &c, 1, 0), 1);
	EXPECT_EQ(driver()->ops->read(driver(), fds[1], &c, 1, 0), -EAGAIN);
	do_close(fds[0]);
	EXPECT_EQ(driver()->ops->read(driver(), fds[1], &c, 1, 0), 0);
	EXPECT_EQ(driver()->ops->write(driver(), fds[1], "x", 1, 0), -EPIPE);
	do_close(fds[1]);
}

TT_TEST_ON(sim_net, unix_paths_are_names, TT_ON_SIM, ONLY_SIM)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX, .sun_path = "/run/test" };
	int l = driver()->ops->socket(driver(), AF_UNIX, SOCK_STREAM, 0), fd, accepted;

	fd = driver()->ops->socket(driver(), AF_UNIX, SOCK_STREAM, 0);
	EXPECT_EQ(perform(TTI_IO_CONNECT, fd, &un, sizeof(un), 0), -ENOENT);
	EXPECT_EQ(driver()->ops->bind(driver(), l, &un, sizeof(un)), 0);
	EXPECT_EQ(perform(TTI_IO_CONNECT, fd, &un, sizeof(un), 0), -ECONNREFUSED);
	EXPECT_EQ(driver()->ops->listen(driver(), l, 1), 0);
	EXPECT_EQ(perform(TTI_IO_CONNECT, fd, &un, sizeof(un), 0), 0);
	accepted = do_accept(l);
	EXPECT_GT(accepted, 0);
	do_close(accepted);
	do_close(fd);
	do_close(l);
	/* The name outlives its socket until it is removed. */
	l = driver()->ops->socket(driver(), AF_UNIX, SOCK_STREAM, 0);
	EXPECT_EQ(driver()->ops->bind(driver(), l, &un, sizeof(un)), -EADDRINUSE);
	EXPECT_EQ(tti_sim_unlink(tti_sim_here, "/run/test"), 0);
	EXPECT_EQ(driver()->ops->bind(driver(), l, &un, sizeof(un)), 0);
	do_close(l);
}

TT_TEST_ON(sim_net, descriptors_are_numbered_from_below_and_run_out, TT_ON_SIM, ONLY_SIM)
{
	int first = do_socket(), second = do_socket(), fd, last = -1;

	EXPECT_EQ(second, first + 1);
	do_close(first);
	EXPECT_EQ(do_socket(), first);
	while ((fd = do_socket()) >= 0)
		last = fd;
	EXPECT_EQ(fd, -EMFILE);
	for (fd = first; fd <= last; fd++)
		do_close(fd);
}

TT_TEST_ON(sim_net, names_end_in_sim, TT_ON_SIM, ONLY_SIM)
{
	struct sockaddr_storage addrs[4];

	EXPECT_EQ(tti_sim_lookup(tti_sim_here, "db.sim", "5432", addrs, 4), 1);
	EXPECT_EQ(addrs[0].ss_family, AF_INET);
	EXPECT_EQ(tti_sim_lookup(tti_sim_here, "dual.db.sim", "5432", addrs, 4), 2);
	EXPECT_EQ(addrs[0].ss_family, AF_INET6);
	EXPECT_EQ(tti_sim_lookup(tti_sim_here, "localhost", "1", addrs, 4), 1);
	EXPECT_EQ(tti_sim_lookup(tti_sim_here, "localhost", "https", addrs, 4), 1);
	EXPECT_EQ(((const struct sockaddr_in *)(const void *)&addrs[0])->sin_port, htons(443));
	EXPECT_EQ(tti_sim_lookup(tti_sim_here, "localhost", "no-such-service", addrs, 4), -EINVAL);
	EXPECT_EQ(tti_sim_lookup(tti_sim_here, "localhost", "65536", addrs, 4), -EINVAL);
	EXPECT_EQ(tti_sim_lookup(tti_sim_here, "nowhere.example", "1", addrs, 4), TT_ENOHOST);
	EXPECT_EQ(tti_sim_lookup(tti_sim_here, "h6a4a6.db.sim", "1", addrs, 4), 3);
	EXPECT_EQ(addrs[0].ss_family, AF_INET6);
	EXPECT_EQ(addrs[1].ss_family, AF_INET);
	EXPECT_EQ(tti_sim_lookup(tti_sim_here, "a4a4a4a4a4.db.sim", "1", addrs, 4), 4);
	EXPECT_EQ(tti_sim_lookup(tti_sim_here, "a4b4.db.sim", "1", addrs, 4), 1);
}

/* ---- datagrams ---- */

static int udp(int port)
{
	int fd = driver()->ops->socket(driver(), AF_INET, SOCK_DGRAM, 0);

	EXPECT_EQ(do_bind(fd, port), 0);
	return fd;
}

static long send_to(int fd, int port, const void *buf, size_t n)
{
	struct sockaddr_in to = loopback(port);
	struct iovec iov = { .iov_base = (void *)(uintptr_t)buf, .iov_len = n };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (port != 0) {
		m.msg_name = &to;
		m.msg_namelen = sizeof(to);
	}
	return perform(TTI_IO_SEND_MSG, fd, &m, 0, 0);
}

static long recv_from(int fd, void *buf, size_t n, int *ret_port)
{
	struct sockaddr_in from = { 0 };
	struct iovec iov = { .iov_base = buf, .iov_len = n };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	long rc;

	m.msg_name = &from;
	m.msg_namelen = sizeof(from);
	rc = perform(TTI_IO_RECV_MSG, fd, &m, 0, MSG_TRUNC);
	*ret_port = ntohs(from.sin_port);
	return rc;
}

TT_TEST_ON(sim_net, a_datagram_comes_whole_with_its_sender, TT_ON_SIM, ONLY_SIM)
{
	int a = udp(0), b = udp(0), port = 0;
	char buf[4];

	EXPECT_EQ(send_to(a, port_of(b), "abcdef", 6), 6);
	EXPECT_EQ(recv_from(b, buf, sizeof(buf), &port), 6);
	EXPECT_EQ(port, port_of(a));
	EXPECT_EQ(memcmp(buf, "abcd", 4), 0);
	EXPECT_EQ(send_to(a, port_of(b), buf, 0), 0);
	EXPECT_EQ(recv_from(b, buf, sizeof(buf), &port), 0);
	EXPECT_EQ(do_connect(a, port_of(b)), 0);
	EXPECT_EQ(send_to(a, 0, "x", 1), 1);
	EXPECT_EQ(do_poll(b, POLLIN), POLLIN);
	EXPECT_EQ(recv_from(b, buf, sizeof(buf), &port), 1);
	EXPECT_EQ(send_to(b, 0, "x", 1), -EDESTADDRREQ);
	EXPECT_EQ(send_to(a, 0, NULL, 70000), -EMSGSIZE);
	/* TCP has ports of its own. */
	do_close(listener(1));
	do_close(a);
	do_close(b);
}

TT_TEST_ON(sim_net, a_connected_socket_hears_of_nobody, TT_ON_SIM, ONLY_SIM)
{
	int a = udp(0), b = udp(0), stranger = udp(0), to = port_of(b), port = 0;
	char c;

	EXPECT_EQ(do_connect(a, to), 0);
	EXPECT_EQ(send_to(stranger, port_of(a), "s", 1), 1);
	EXPECT_EQ(send_to(b, port_of(a), "b", 1), 1);
	EXPECT_EQ(recv_from(a, &c, 1, &port), 1);
	EXPECT_EQ(c, 'b');
	do_close(b);
	EXPECT_EQ(send_to(a, 0, "x", 1), 1);
	EXPECT_EQ(recv_from(a, &c, 1, &port), -ECONNREFUSED);
	/* Once. */
	EXPECT_EQ(send_to(a, 0, "x", 1), 1);
	EXPECT_EQ(recv_from(a, &c, 1, &port), -ECONNREFUSED);
	do_close(a);
	do_close(stranger);
}

/* An accept of a peer without a name has the length Linux gives it. */
TT_TEST_ON(sim_net, an_unnamed_unix_peer_has_a_family, TT_ON_SIM, ONLY_SIM)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	struct sockaddr_storage peer = { .ss_family = AF_UNSPEC };
	int l = driver()->ops->socket(driver(), AF_UNIX, SOCK_STREAM, 0), fd, accepted;
	struct tti_io_wait io;
	uint32_t len = 99;

	memcpy(name.sun_path, "\0peer", 5);
	EXPECT_EQ(driver()->ops->bind(driver(), l, &name, 7), 0);
	EXPECT_EQ(driver()->ops->listen(driver(), l, 1), 0);
	fd = driver()->ops->socket(driver(), AF_UNIX, SOCK_STREAM, 0);
	EXPECT_EQ(perform(TTI_IO_CONNECT, fd, &name, 7, 0), 0);
	tti_io_wait_init(&io, TTI_IO_ACCEPT, "test", NULL);
	io.op.fd = l;
	io.op.buf = &peer;
	io.op.len = sizeof(peer);
	io.op.addr_len = &len;
	accepted = (int)tti_io_perform(&io);
	EXPECT_GE(accepted, 0);
	EXPECT_EQ(len, sizeof(sa_family_t));
	EXPECT_EQ(peer.ss_family, AF_UNIX);
	do_close(accepted);
	do_close(fd);
	do_close(l);
}

/* ---- cancels ---- */

TT_TEST_ON(sim_net, a_cancelled_read_took_nothing, TT_ON_SIM, ONLY_SIM)
{
	char c = 0;
	int a, b;

	TT_LAW(1);
	connected(&a, &b);
	EXPECT_CODE(TT_WITHIN(TT_MS(10), do_read(b, &c, 1)), TT_ETIMEDOUT);
	EXPECT_EQ(do_write(a, "z", 1), 1);
	EXPECT_EQ(do_read(b, &c, 1), 1);
	EXPECT_EQ(c, 'z');
	do_close(a);
	do_close(b);
}

struct race {
	int fd;
	unsigned sent, received, cancelled;
};

static TT_TASK(read_under_deadlines, (struct race *, r))
{
	char buf[64];

	for (int i = 0; i < 200; i++) {
		int rc = TT_WITHIN(TT_US(70), do_read(r->fd, buf, sizeof(buf)));

		if (rc > 0)
			r->received += (unsigned)rc;
		else if (rc == TT_ETIMEDOUT)
			r->cancelled++;
		else
			return rc;
	}
	return 0;
}

static TT_TASK(race, (struct race *, r))
{
	char buf[64];
	int a, b, n;

	connected(&a, &b);
	r->fd = b;
	{
		TT_GROUP(g);
		tt_go(&g, read_under_deadlines, r);
		for (int i = 0; i < 50; i++) {
			n = TT_WITHIN(TT_MS(1), do_write(a, "0123456789", 10));
			r->sent += n > 0 ? (unsigned)n : 0;
			TT_TRY_IN(&g, tt_sleep(TT_US(150)));
		}
		TT_IGNORE(tt_group_end(&g, 0));
	}
	EXPECT_EQ(driver()->ops->shutdown(driver(), a, SHUT_WR), 0);
	while ((n = do_read(b, buf, sizeof(buf))) > 0)
		r->received += (unsigned)n;
	do_close(a);
	do_close(b);
	return n;
}

/* Reads that lose against their deadline took nothing, reads that won it give what they
 * took: no byte is lost between effect, completion and cancel. */
TT_TEST_PLAIN(sim_net, completed_wins_against_the_cancel)
{
	unsigned cancelled = 0;

	TT_LAW(1);
	TT_LAW(2);
	for (unsigned i = 0; i < tt_test_seeds(100); i++) {
		tt_sim_options o = {
			.seed = tt_test_seed() + i, .workers = 1,
			.faults = TT_FAULTS_GENTLE & ~TT_FAULT_BIT(TT_FAULT_ACCEPT_EMFILE),
		};
		struct race r = { 0 };

		EXPECT_OK(tt_sim_run_with(&o, race, &r));
		EXPECT_EQ(r.received, r.sent);
		cancelled += r.cancelled;
	}
	EXPECT_GT(cancelled, 0);
}

/* ---- what must not be ---- */

static TT_TASK(leaves_a_descriptor)
{
	return do_socket() >= 0 ? 0 : -1;
}

static TT_TASK(makes_a_system_call)
{
	return (int)tti_env_syscall(39 /* getpid */, 0, 0, 0, 0, 0, 0);
}

static TT_TASK(closes_under_a_reader)
{
	int a, b;

	connected(&a, &b);
	{
		TT_GROUP(g);
		tt_go(&g, read_some, b, (size_t)1);
		TT_TRY_IN(&g, tt_test_wait_all_parked());
		do_close(b);
		return tt_group_end(&g, 0);
	}
}

static TT_TASK(waits_for_ever)
{
	char c;
	int a, b;

	connected(&a, &b);
	return do_read(a, &c, 1);
}

TT_TEST_PLAIN(sim_net, leaks_and_deadlocks_are_reported_with_their_seed)
{
	EXPECT_ABORTS(tt_sim_run(7, leaves_a_descriptor), "1 descriptors are left open");
	EXPECT_ABORTS(tt_sim_run(7, makes_a_system_call), "it would reach the real world");
	EXPECT_ABORTS(tt_sim_run(7, closes_under_a_reader), "with 1 operations under way");
	EXPECT_ABORTS(tt_sim_run(7, waits_for_ever), "deadlock");
	EXPECT_ABORTS(tt_sim_run(7, waits_for_ever), "waits_for_ever#1");
	EXPECT_ABORTS(tt_sim_run(7, waits_for_ever), "TUTTI_SEED=0x7");
}

TT_TEST_MAIN()

/* SPDX-License-Identifier: MIT */
/*
 * driver_test.c - claims of driver.h, made of each driver that runs on the real kernel.
 *
 * driver_test [part of a test's name, as uring.wake]
 * test-labels: wall
 * Deadlines are measured on the real clock; everything else waits for events only.
 */
#include "io/driver_testkit.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "io/direct.h"

#define S TTI_IO_SOCKET

/* ---- reading and writing ---- */

/* A read that waits gets what is written later; one that finds bytes gets them too. */
static void read_before_and_after_data(void)
{
	struct kit_op r;
	char buf[16];
	int fds[2];

	kit_pair(fds);
	kit_start(&r, TTI_IO_READ, fds[0], S, buf, sizeof(buf));
	kit_expect_quiet(&r);
	CHECK_EQ(kit_do(TTI_IO_WRITE, fds[1], S, "hello", 5), 5);
	CHECK_EQ(kit_finish(&r), 5);
	CHECK(memcmp(buf, "hello", 5) == 0);
	CHECK_EQ(kit_do(TTI_IO_WRITE, fds[1], S, "again", 5), 5);
	CHECK_EQ(kit_do(TTI_IO_READ, fds[0], S, buf, sizeof(buf)), 5);
	CHECK(memcmp(buf, "again", 5) == 0);
	kit_close(fds[0]);
	kit_close(fds[1]);
}

/* A read takes no more than it asked for; the rest is there for the next one. */
static void short_buffer_leaves_the_rest(void)
{
	char buf[16];
	int fds[2];

	kit_pair(fds);
	CHECK_EQ(kit_do(TTI_IO_WRITE, fds[1], S, "abcdef", 6), 6);
	CHECK_EQ(kit_do(TTI_IO_READ, fds[0], S, buf, 4), 4);
	CHECK_EQ(kit_do(TTI_IO_READ, fds[0], S, buf + 4, 4), 2);
	CHECK(memcmp(buf, "abcdef", 6) == 0);
	kit_close(fds[0]);
	kit_close(fds[1]);
}

/* The drained hint never loses a wake-up, right or wrong: bytes that arrived before, with
 * and after it was given are all found. */
static void drained_hint_loses_nothing(void)
{
	struct kit_op r;
	char buf[64];
	int fds[2];

	kit_pair_tcp(fds);
	for (int round = 0; round < 200; round++) {
		bool early = round % 2 == 0;

		if (early)
			CHECK_EQ(kit_do(TTI_IO_WRITE, fds[1], S, "x", 1), 1);
		kit_start(&r, TTI_IO_READ, fds[0], S | TTI_IO_DRAINED, buf, sizeof(buf));
		if (!early)
			CHECK_EQ(kit_do(TTI_IO_WRITE, fds[1], S, "x", 1), 1);
		CHECK_EQ(kit_finish(&r), 1);
		if (round % 3 == 0)
			CHECK_EQ(kit_ops->read(kit_driver, fds[0], buf, sizeof(buf), S), -EAGAIN);
	}
	kit_close(fds[0]);
	kit_close(fds[1]);
}

/* On datagrams the hint is wrong by nature: each read is short, and more is queued. */
static void drained_hint_may_be_wrong(void)
{
	struct kit_op r;
	char buf[64];
	int fds[2];

	CHECK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
	kit_start(&r, TTI_IO_READ, fds[0], S, buf, sizeof(buf));
	for (int i = 0; i < 5; i++)
		CHECK_EQ(kit_do(TTI_IO_WRITE, fds[1], S, "xyz", 3), 3);
	CHECK_EQ(kit_finish(&r), 3);
	for (int i = 1; i < 5; i++)
		CHECK_EQ(kit_do(TTI_IO_READ, fds[0], S | TTI_IO_DRAINED, buf, sizeof(buf)), 3);
	kit_close(fds[0]);
	kit_close(fds[1]);
}

/* A closed or shut peer is the end, 0, and stays so; it ends a read that waits. */
static void end_of_stream(void)
{
	struct kit_op r;
	char buf[8];
	int fds[2];

	kit_pair_tcp(fds);
	kit_start(&r, TTI_IO_READ, fds[0], S, buf, sizeof(buf));
	CHECK_EQ(kit_ops->write(kit_driver, fds[1], "bye", 3, S), 3);
	CHECK_EQ(kit_ops->shutdown(kit_driver, fds[1], SHUT_WR), 0);
	CHECK_EQ(kit_finish(&r), 3);
	CHECK_EQ(kit_do(TTI_IO_READ, fds[0], S | TTI_IO_DRAINED, buf, sizeof(buf)), 0);
	CHECK_EQ(kit_do(TTI_IO_READ, fds[0], S | TTI_IO_DRAINED, buf, sizeof(buf)), 0);
	/* The other direction still works. */
	CHECK_EQ(kit_do(TTI_IO_WRITE, fds[0], S, "ok", 2), 2);
	CHECK_EQ(kit_do(TTI_IO_READ, fds[1], S, buf, sizeof(buf)), 2);
	kit_close(fds[1]);
	kit_close(fds[0]);

	kit_pair(fds);
	kit_start(&r, TTI_IO_READ, fds[0], S, buf, sizeof(buf));
	kit_close(fds[1]);
	CHECK_EQ(kit_finish(&r), 0);
	kit_close(fds[0]);
}

/* A reset connection says so to a read that waits; a write to it fails without a signal. */
static void reset_and_broken_pipe(void)
{
	struct linger none = { .l_onoff = 1, .l_linger = 0 };
	struct kit_op r;
	char buf[8];
	int fds[2];

	kit_pair_tcp(fds);
	kit_start(&r, TTI_IO_READ, fds[0], S, buf, sizeof(buf));
	kit_expect_quiet(&r);
	CHECK_EQ(kit_ops->set_option(kit_driver, fds[1], SOL_SOCKET, SO_LINGER, &none, sizeof(none)), 0);
	kit_close(fds[1]);
	CHECK_EQ(kit_finish(&r), -ECONNRESET);
	CHECK_EQ(kit_do(TTI_IO_WRITE, fds[0], S, "x", 1), -EPIPE);
	CHECK_EQ(kit_ops->write(kit_driver, fds[0], "x", 1, S), -EPIPE);
	kit_close(fds[0]);
}

static size_t drain(int fd, unsigned char *expected)
{
	static unsigned char buf[65536];
	size_t total = 0;
	long n;

	while ((n = kit_ops->read(kit_driver, fd, buf, sizeof(buf), S)) > 0) {
		for (long i = 0; i < n; i++)
			CHECK_EQ(buf[i], (*expected)++);
		total += (size_t)n;
	}
	CHECK(n == -EAGAIN || n == 0);
	return total;
}

/* Writes until one waits, its bytes numbered in order. Returns what had been taken. */
static size_t fill(int fd, const unsigned char *numbered, size_t len, struct kit_op *w)
{
	size_t sent = 0;

	for (;;) {
		kit_start(w, TTI_IO_WRITE, fd, S, numbered + sent % 256, len);
		if (!w->ended)
			return sent;
		CHECK(w->op.result > 0);
		sent += (size_t)w->op.result;
	}
}

static unsigned char *numbered_bytes(size_t len)
{
	unsigned char *p = malloc(len + 256);

	CHECK(p != NULL);
	for (size_t i = 0; i < len + 256; i++)
		p[i] = (unsigned char)i;
	return p;
}

/* A full socket takes a part; the next write waits for room, and each count is true. */
static void write_waits_for_room(void)
{
	size_t len = 1 << 20, sent, got = 0;
	unsigned char *bytes = numbered_bytes(len), expected = 0;
	struct kit_op w;
	int fds[2];

	for (int tcp = 0; tcp < 2; tcp++) {
		if (tcp)
			kit_pair_tcp(fds);
		else
			kit_pair(fds);
		got = 0;
		expected = 0;
		sent = fill(fds[0], bytes, len, &w);
		kit_expect_quiet(&w);
		while (!w.ended) {
			got += drain(fds[1], &expected);
			kit_poll(TT_MS(1));
		}
		CHECK(w.op.result > 0);
		sent += (size_t)w.op.result;
		kit_ops->shutdown(kit_driver, fds[0], SHUT_WR);
		while (got < sent) {
			struct kit_op readable;

			kit_start_poll(&readable, fds[1], S, POLLIN);
			kit_finish(&readable);
			got += drain(fds[1], &expected);
		}
		CHECK_EQ(got, sent);
		kit_close(fds[0]);
		kit_close(fds[1]);
	}
	free(bytes);
}

/* A write that waits hears that its reader is gone, by a code and not by a signal. */
static void waiting_write_loses_its_reader(void)
{
	unsigned char *bytes = numbered_bytes(1 << 20);
	struct kit_op w;
	int fds[2];

	kit_pair(fds);
	fill(fds[0], bytes, 1 << 20, &w);
	kit_expect_quiet(&w);
	kit_close(fds[1]);
	CHECK_EQ(kit_finish(&w), -EPIPE);
	kit_close(fds[0]);
	free(bytes);
}

/* A read and a write of one descriptor wait side by side and do not disturb each other. */
static void both_directions_at_once(void)
{
	unsigned char *bytes = numbered_bytes(1 << 20), expected = 0;
	struct kit_op r, w;
	char buf[8];
	int fds[2];

	kit_pair(fds);
	fill(fds[0], bytes, 1 << 20, &w);
	kit_start(&r, TTI_IO_READ, fds[0], S, buf, sizeof(buf));
	kit_expect_quiet(&r);
	CHECK(!w.ended);
	CHECK_EQ(kit_do(TTI_IO_WRITE, fds[1], S, "x", 1), 1);
	CHECK_EQ(kit_finish(&r), 1);
	CHECK(!w.ended);
	drain(fds[1], &expected);
	CHECK(kit_finish(&w) > 0);
	free(bytes);
	kit_close(fds[0]);
	kit_close(fds[1]);
}

/* Two reads of one descriptor get a byte each; which gets the first is the kernel's
 * choice on a ring. */
static void two_reads_of_one_descriptor(void)
{
	struct kit_op a, b;
	char first[1], second[1];
	int fds[2];

	kit_pair(fds);
	kit_start(&a, TTI_IO_READ, fds[0], S, first, 1);
	kit_start(&b, TTI_IO_READ, fds[0], S, second, 1);
	kit_expect_quiet(&a);
	CHECK_EQ(kit_do(TTI_IO_WRITE, fds[1], S, "12", 2), 2);
	CHECK_EQ(kit_finish(&a), 1);
	CHECK_EQ(kit_finish(&b), 1);
	CHECK_EQ(first[0] + second[0], '1' + '2');
	CHECK(first[0] != second[0]);
	kit_close(fds[0]);
	kit_close(fds[1]);
}

/* ---- what is no socket ---- */

/* An inherited pipe in blocking mode never makes the worker wait, in either direction. */
static void blocking_pipe_does_not_block(void)
{
	size_t len = 1 << 20, sent = 0, got = 0;
	char *buf = calloc(1, len);
	struct kit_op k;
	int fds[2];

	CHECK(buf != NULL && pipe2(fds, O_CLOEXEC) == 0);
	kit_start(&k, TTI_IO_READ, fds[0], 0, buf, 16);
	kit_expect_quiet(&k);
	CHECK_EQ(kit_do(TTI_IO_WRITE, fds[1], 0, "pipe", 4), 4);
	CHECK_EQ(kit_finish(&k), 4);
	CHECK_EQ(kit_ops->read(kit_driver, fds[0], buf, 16, 0), -EAGAIN);
	for (;;) {
		kit_start(&k, TTI_IO_WRITE, fds[1], 0, buf, len);
		for (int i = 0; i < 3 && !k.ended; i++)
			kit_poll(TT_MS(1));
		if (!k.ended)
			break;
		CHECK(k.op.result > 0);
		sent += (size_t)k.op.result;
	}
	while (!k.ended || got < sent) {
		got += (size_t)kit_do(TTI_IO_READ, fds[0], 0, buf, 65536);
		kit_poll(0);
		if (k.ended && k.rank != 0) {
			sent += (size_t)k.op.result;
			k.rank = 0;
		}
	}
	CHECK_EQ(got, sent);
	CHECK_EQ(fcntl(fds[0], F_GETFL) & O_NONBLOCK, 0);
	kit_close(fds[1]);
	CHECK_EQ(kit_do(TTI_IO_READ, fds[0], 0, buf, 16), 0);
	kit_close(fds[0]);
	free(buf);
}

/* A pipe in non-blocking mode waits for events like a socket. */
static void nonblocking_pipe(void)
{
	struct kit_op r;
	char buf[8];
	int fds[2];

	CHECK(pipe2(fds, O_CLOEXEC | O_NONBLOCK) == 0);
	kit_start(&r, TTI_IO_READ, fds[0], 0, buf, sizeof(buf));
	kit_expect_quiet(&r);
	CHECK_EQ(kit_do(TTI_IO_WRITE, fds[1], 0, "a", 1), 1);
	CHECK_EQ(kit_finish(&r), 1);
	kit_start(&r, TTI_IO_READ, fds[0], TTI_IO_DRAINED, buf, sizeof(buf));
	kit_expect_quiet(&r);
	CHECK_EQ(kit_cancel_finish(&r), -ECANCELED);
	kit_close(fds[0]);
	kit_close(fds[1]);
}

/* A regular file is always ready: its bytes come in order, and then its end. */
static void regular_file(void)
{
	FILE *f = tmpfile();
	struct kit_op p;
	char buf[8];
	int fd;

	CHECK(f != NULL);
	fd = fileno(f);
	CHECK_EQ(kit_do(TTI_IO_WRITE, fd, 0, "file", 4), 4);
	CHECK(lseek(fd, 0, SEEK_SET) == 0);
	CHECK_EQ(kit_do(TTI_IO_READ, fd, TTI_IO_DRAINED, buf, 3), 3);
	CHECK_EQ(kit_do(TTI_IO_READ, fd, TTI_IO_DRAINED, buf, 3), 1);
	CHECK_EQ(kit_do(TTI_IO_READ, fd, 0, buf, 3), 0);
	kit_start_poll(&p, fd, 0, POLLIN);
	CHECK_EQ(kit_finish(&p), POLLIN);
	kit_start_poll(&p, fd, TTI_IO_FOREIGN, POLLIN | POLLOUT);
	CHECK_EQ(kit_finish(&p), POLLIN | POLLOUT);
	kit_ops->forget(kit_driver, fd, 1);
	fclose(f);
}

/* A terminal in its own blocking mode: a read waits for a line without blocking. */
static void terminal(void)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), fd;
	struct kit_op r;
	char buf[64];

	CHECK(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
	fd = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	CHECK(fd >= 0);
	kit_start(&r, TTI_IO_READ, fd, 0, buf, sizeof(buf));
	kit_expect_quiet(&r);
	CHECK(write(master, "one\ntwo\n", 8) == 8);
	CHECK_EQ(kit_finish(&r), 4);
	CHECK_EQ(kit_do(TTI_IO_READ, fd, TTI_IO_DRAINED, buf, sizeof(buf)), 4);
	CHECK(memcmp(buf, "two\n", 4) == 0);
	kit_start(&r, TTI_IO_READ, fd, 0, buf, sizeof(buf));
	kit_expect_quiet(&r);
	CHECK_EQ(kit_cancel_finish(&r), -ECANCELED);
	CHECK_EQ(kit_do(TTI_IO_WRITE, fd, 0, "out", 3), 3);
	kit_close(fd);
	close(master);
}

/* A number that is no descriptor, or the wrong kind, is an error and not a wait. */
static void bad_descriptors(void)
{
	struct kit_op k;
	char buf[8] = "";
	int fds[2];

	CHECK_EQ(kit_do(TTI_IO_READ, 4000, S, buf, 8), -EBADF);
	CHECK_EQ(kit_do(TTI_IO_WRITE, 4000, S, buf, 8), -EBADF);
	CHECK_EQ(kit_do(TTI_IO_READ, 4000, 0, buf, 8), -EBADF);
	CHECK_EQ(kit_do(TTI_IO_ACCEPT, 4000, S, NULL, 0), -EBADF);
	CHECK_EQ(kit_do(TTI_IO_READ, -1, S, buf, 8), -EBADF);
	kit_start_poll(&k, 4000, TTI_IO_FOREIGN, POLLIN);
	CHECK_EQ(kit_finish(&k), -EBADF);
	kit_pair(fds);
	CHECK_EQ(kit_do(TTI_IO_ACCEPT, fds[0], S, NULL, 0), -EINVAL);
	kit_close(fds[0]);
	kit_close(fds[1]);
}

/* ---- accept and connect ---- */

static void check_modes(int fd)
{
	CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
	CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

/* Accept waits for a connection and tells who it is; both ends are then usable. */
static void accept_and_connect_tcp(void)
{
	struct sockaddr_in addr, peer, local;
	uint32_t len = 0, local_len = sizeof(local);
	struct kit_op a;
	char buf[8];
	int listener = kit_listen_tcp(16, &addr), client, server;

	memset(&a, 0, sizeof(a));
	a.op = (struct tti_io_op){ .kind = TTI_IO_ACCEPT, .fd = listener, .generation = 1, .flags = S, .buf = &peer,
		                   .len = sizeof(peer), .addr_len = &len };
	kit_submit(&a);
	kit_expect_quiet(&a);
	CHECK_EQ(len, 0);
	client = kit_ops->socket(kit_driver, AF_INET, SOCK_STREAM, 0);
	check_modes(client);
	CHECK_EQ(kit_do(TTI_IO_CONNECT, client, S, &addr, sizeof(addr)), 0);
	server = (int)kit_finish(&a);
	CHECK(server >= 0);
	check_modes(server);
	CHECK_EQ(len, sizeof(peer));
	CHECK_EQ(kit_ops->address(kit_driver, client, false, &local, &local_len), 0);
	CHECK(peer.sin_port == local.sin_port && peer.sin_addr.s_addr == local.sin_addr.s_addr);
	CHECK_EQ(kit_do(TTI_IO_WRITE, client, S, "hi", 2), 2);
	CHECK_EQ(kit_do(TTI_IO_READ, server, S, buf, sizeof(buf)), 2);
	kit_close(client);
	kit_close(server);
	kit_close(listener);
}

static void accept_and_connect_unix(void)
{
	struct sockaddr_un addr;
	uint32_t len;
	int listener = kit_listen_unix(16, &addr, &len), client, server;
	struct kit_op a;
	char buf[8];

	kit_start(&a, TTI_IO_ACCEPT, listener, S, NULL, 0);
	kit_expect_quiet(&a);
	client = kit_ops->socket(kit_driver, AF_UNIX, SOCK_STREAM, 0);
	CHECK_EQ(kit_do(TTI_IO_CONNECT, client, S, &addr, len), 0);
	server = (int)kit_finish(&a);
	CHECK(server >= 0);
	check_modes(server);
	CHECK_EQ(kit_do(TTI_IO_WRITE, server, S, "hi", 2), 2);
	CHECK_EQ(kit_do(TTI_IO_READ, client, S, buf, sizeof(buf)), 2);
	kit_close(client);
	kit_close(server);
	kit_close(listener);
}

/* A burst of connections is handed to as many accepts, none twice and none lost. */
static void accept_burst(void)
{
	enum { N = 50 };
	struct sockaddr_in addr;
	int listener = kit_listen_tcp(N, &addr), clients[N];
	struct kit_op a[N], c[N];

	for (int i = 0; i < N / 2; i++)
		kit_start(&a[i], TTI_IO_ACCEPT, listener, S, NULL, 0);
	for (int i = 0; i < N; i++) {
		clients[i] = kit_ops->socket(kit_driver, AF_INET, SOCK_STREAM, 0);
		kit_start(&c[i], TTI_IO_CONNECT, clients[i], S, &addr, sizeof(addr));
	}
	for (int i = 0; i < N; i++)
		CHECK_EQ(kit_finish(&c[i]), 0);
	for (int i = N / 2; i < N; i++)
		kit_start(&a[i], TTI_IO_ACCEPT, listener, S | TTI_IO_DRAINED, NULL, 0);
	for (int i = 0; i < N; i++) {
		CHECK(kit_finish(&a[i]) >= 0);
		for (int j = 0; j < i; j++)
			CHECK(a[j].op.result != a[i].op.result);
	}
	for (int i = 0; i < N; i++) {
		kit_close(clients[i]);
		kit_close((int)a[i].op.result);
	}
	kit_close(listener);
}

/* Nobody listens: the refusal is the result, and the socket is left unconnected. */
static void connect_refused(void)
{
	struct sockaddr_in addr;
	struct sockaddr_un gone;
	uint32_t len;
	int fd;

	kit_close(kit_listen_tcp(1, &addr));
	fd = kit_ops->socket(kit_driver, AF_INET, SOCK_STREAM, 0);
	CHECK_EQ(kit_do(TTI_IO_CONNECT, fd, S, &addr, sizeof(addr)), -ECONNREFUSED);
	kit_close(fd);
	kit_close(kit_listen_unix(1, &gone, &len));
	fd = kit_ops->socket(kit_driver, AF_UNIX, SOCK_STREAM, 0);
	CHECK_EQ(kit_do(TTI_IO_CONNECT, fd, S, &gone, len), -ECONNREFUSED);
	kit_close(fd);
}

/* A unix listener with a full backlog makes a connect wait, until an accept makes room. */
static void connect_waits_for_a_full_backlog(void)
{
	struct sockaddr_un addr;
	uint32_t len;
	int listener = kit_listen_unix(0, &addr, &len), fds[3];
	struct kit_op c, cancelled;
	int server[2];

	for (int i = 0; i < 3; i++)
		fds[i] = kit_ops->socket(kit_driver, AF_UNIX, SOCK_STREAM, 0);
	CHECK_EQ(kit_do(TTI_IO_CONNECT, fds[0], S, &addr, len), 0);
	kit_start(&c, TTI_IO_CONNECT, fds[1], S, &addr, len);
	kit_start(&cancelled, TTI_IO_CONNECT, fds[2], S, &addr, len);
	kit_expect_quiet(&c);
	CHECK_EQ(kit_cancel_finish(&cancelled), -ECANCELED);
	server[0] = (int)kit_do(TTI_IO_ACCEPT, listener, S, NULL, 0);
	/* No deadline is needed to notice. */
	while (!c.ended)
		kit_ops->poll(kit_driver, TT_NEVER);
	CHECK_EQ(c.op.result, 0);
	server[1] = (int)kit_do(TTI_IO_ACCEPT, listener, S, NULL, 0);
	CHECK(server[0] >= 0 && server[1] >= 0);
	for (int i = 0; i < 3; i++)
		kit_close(fds[i]);
	kit_close(server[0]);
	kit_close(server[1]);
	kit_close(listener);
}

/* How often a driver turns in 50 ms for a connect that nobody makes room for. */
static void full_backlog_is_no_spin(void)
{
	struct sockaddr_un addr;
	uint32_t len;
	int listener = kit_listen_unix(0, &addr, &len), fds[2];
	int64_t until;
	struct kit_op c;

	for (int i = 0; i < 2; i++)
		fds[i] = kit_ops->socket(kit_driver, AF_UNIX, SOCK_STREAM, 0);
	CHECK_EQ(kit_do(TTI_IO_CONNECT, fds[0], S, &addr, len), 0);
	kit_start(&c, TTI_IO_CONNECT, fds[1], S, &addr, len);
	kit_inject(-1, 0, 0, 0);
	until = tti_env_now() + TT_MS(50);
	while (tti_env_now() < until)
		kit_ops->poll(kit_driver, until);
	CHECK(!c.ended);
	/* A try a millisecond, and the calls that wait in between. */
	CHECK(kit_fault.seen > 1);
	CHECK(kit_fault.seen < 300);
	tti_env_bind(NULL);
	CHECK_EQ(kit_cancel_finish(&c), -ECANCELED);
	kit_close(fds[0]);
	kit_close(fds[1]);
	kit_close(listener);
}

/* A cancelled accept takes no connection: the next accept gets it. */
static void cancelled_accept_takes_nothing(void)
{
	struct sockaddr_in addr;
	int listener = kit_listen_tcp(4, &addr), client, server;
	struct kit_op a;

	kit_start(&a, TTI_IO_ACCEPT, listener, S, NULL, 0);
	kit_expect_quiet(&a);
	CHECK_EQ(kit_cancel_finish(&a), -ECANCELED);
	client = kit_ops->socket(kit_driver, AF_INET, SOCK_STREAM, 0);
	CHECK_EQ(kit_do(TTI_IO_CONNECT, client, S, &addr, sizeof(addr)), 0);
	server = (int)kit_do(TTI_IO_ACCEPT, listener, S, NULL, 0);
	CHECK(server >= 0);
	kit_close(server);
	kit_close(client);
	kit_close(listener);
}

/* A cancel that comes with the connection loses neither: the accept that was cancelled
 * hands it over, or the next one does. */
static void cancel_races_accept(void)
{
	struct sockaddr_in addr;
	int listener = kit_listen_tcp(4, &addr);
	int cancelled = 0, by_cancelled = 0;

	for (int i = 0; i < 200; i++) {
		int client = kit_ops->socket(kit_driver, AF_INET, SOCK_STREAM, 0);
		struct kit_op a, c;
		long server;

		/* Sometimes the connection is there before the accept, which nobody polls for. */
		if (i % 4 == 3)
			kit_start(&c, TTI_IO_CONNECT, client, S, &addr, sizeof(addr)), kit_finish(&c);
		kit_start(&a, TTI_IO_ACCEPT, listener, S, NULL, 0);
		if (i % 2 == 0)
			kit_poll(0);
		if (i % 4 != 3)
			kit_start(&c, TTI_IO_CONNECT, client, S, &addr, sizeof(addr));
		for (int turns = i % 4 == 3 ? 0 : i % 3; turns > 0; turns--)
			kit_poll(0);
		cancelled += !a.ended;
		by_cancelled -= a.ended;
		server = kit_cancel_finish(&a);
		CHECK_EQ(kit_finish(&c), 0);
		by_cancelled += server >= 0;
		if (server == -ECANCELED)
			server = kit_do(TTI_IO_ACCEPT, listener, S, NULL, 0);
		CHECK(server >= 0);
		kit_close((int)server);
		kit_close(client);
	}
	printf("\t%d cancels, %d of them had a connection\n", cancelled, by_cancelled);
	kit_close(listener);
}

/* A connect that gets no answer ends by its cancel; one that was answered says so. */
static void cancelled_connect(void)
{
	struct sockaddr_in addr;
	int listener = kit_listen_tcp(0, &addr), fds[8];
	struct kit_op c[8];
	int waiting = 0;

	/* The backlog fills up; after that the kernel drops what asks to connect. */
	for (int i = 0; i < 8; i++) {
		fds[i] = kit_ops->socket(kit_driver, AF_INET, SOCK_STREAM, 0);
		kit_start(&c[i], TTI_IO_CONNECT, fds[i], S, &addr, sizeof(addr));
	}
	kit_poll(TT_MS(10));
	for (int i = 0; i < 8; i++) {
		if (c[i].ended) {
			CHECK_EQ(c[i].op.result, 0);
			continue;
		}
		waiting++;
		/* Completed wins: 0 when it succeeded between the poll and the cancel. */
		long rc = kit_cancel_finish(&c[i]);

		CHECK_EQ(rc, tti_direct_connected(fds[i]) ? 0 : -ECANCELED);
	}
	CHECK(waiting > 0 && waiting < 8);
	for (int i = 0; i < 8; i++)
		kit_close(fds[i]);
	kit_close(listener);
}

/* Law 2: a connection that the kernel made before the cancel is the result, although
 * nobody had looked. The kernel repeats a request that was dropped after a second. */
static void connected_before_its_cancel(void)
{
	struct sockaddr_in addr;
	int listener = kit_listen_tcp(0, &addr), fds[8], servers[8], n = 0, accepted = 0;
	int64_t limit = tti_env_now() + TT_SEC(20);
	tti_atomic_u32 never = { 0 };
	struct kit_op c[8];

	do {
		CHECK(n < 8);
		fds[n] = kit_ops->socket(kit_driver, AF_INET, SOCK_STREAM, 0);
		kit_start(&c[n], TTI_IO_CONNECT, fds[n], S, &addr, sizeof(addr));
		kit_poll(TT_MS(5));
	} while (c[n++].ended);
	/* By the system call, so that the driver learns of nothing. */
	while (!tti_direct_connected(fds[n - 1])) {
		long server = tti_direct_accept(listener, NULL, 0, NULL);

		if (server >= 0)
			servers[accepted++] = (int)server;
		CHECK(tti_env_now() < limit);
		tti_env_futex_wait(&never, 0, tti_env_now() + TT_MS(5));
	}
	CHECK(!c[n - 1].ended);
	CHECK_EQ(kit_cancel_finish(&c[n - 1]), 0);
	CHECK_EQ(kit_do(TTI_IO_WRITE, fds[n - 1], S, "x", 1), 1);
	for (int i = 0; i < n; i++)
		kit_close(fds[i]);
	for (int i = 0; i < accepted; i++)
		CHECK(close(servers[i]) == 0);
	kit_close(listener);
}

/* A process out of descriptors hears of it, and accepts again once it has some. */
static void accept_out_of_descriptors(void)
{
	struct rlimit before, low;
	struct sockaddr_in addr;
	int listener = kit_listen_tcp(4, &addr), client = kit_ops->socket(kit_driver, AF_INET, SOCK_STREAM, 0);
	int server;

	CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
	low = before;
	low.rlim_cur = (rlim_t)client + 1;
	CHECK_EQ(kit_do(TTI_IO_CONNECT, client, S, &addr, sizeof(addr)), 0);
	CHECK(setrlimit(RLIMIT_NOFILE, &low) == 0);
	CHECK_EQ(kit_do(TTI_IO_ACCEPT, listener, S, NULL, 0), -EMFILE);
	CHECK_EQ(kit_do(TTI_IO_ACCEPT, listener, S | TTI_IO_DRAINED, NULL, 0), -EMFILE);
	CHECK_EQ(kit_ops->socket(kit_driver, AF_INET, SOCK_STREAM, 0), -EMFILE);
	CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
	server = (int)kit_do(TTI_IO_ACCEPT, listener, S | TTI_IO_DRAINED, NULL, 0);
	CHECK(server >= 0);
	kit_close(server);
	kit_close(client);
	kit_close(listener);
}

/* Where nobody waits, an accept does not notice that there are no descriptors; it does when
 * a client comes, and takes it once there are some. */
static void accept_waits_without_descriptors(void)
{
	struct rlimit before, low;
	struct sockaddr_in addr;
	int listener = kit_listen_tcp(4, &addr), client = kit_ops->socket(kit_driver, AF_INET, SOCK_STREAM, 0);
	struct kit_op a;
	int server;

	CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
	low = before;
	low.rlim_cur = (rlim_t)client + 1;
	CHECK(setrlimit(RLIMIT_NOFILE, &low) == 0);
	kit_start(&a, TTI_IO_ACCEPT, listener, S, NULL, 0);
	kit_expect_quiet(&a);
	CHECK_EQ(kit_do(TTI_IO_CONNECT, client, S, &addr, sizeof(addr)), 0);
	CHECK_EQ(kit_finish(&a), -EMFILE);
	kit_start(&a, TTI_IO_ACCEPT, listener, S, NULL, 0);
	CHECK_EQ(kit_finish(&a), -EMFILE);
	CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
	server = (int)kit_do(TTI_IO_ACCEPT, listener, S, NULL, 0);
	CHECK(server >= 0);
	kit_close(server);
	kit_close(client);
	kit_close(listener);
}

/* ---- messages ---- */

/* A message of one piece, with room for a name and some descriptors. */
struct message {
	struct kit_op k;
	struct msghdr m;
	struct iovec iov;
	struct sockaddr_in name;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(4 * sizeof(int))];
};

static void message_start(struct message *g, enum tti_io_kind kind, int fd, void *buf, size_t n, int passed)
{
	memset(g, 0, sizeof(*g));
	g->iov = (struct iovec){ .iov_base = buf, .iov_len = n };
	g->m = (struct msghdr){ .msg_iov = &g->iov, .msg_iovlen = 1 };
	if (kind == TTI_IO_RECV_MSG) {
		g->m.msg_name = &g->name;
		g->m.msg_namelen = sizeof(g->name);
		g->m.msg_control = g->control;
		g->m.msg_controllen = sizeof(g->control);
		g->k.op.events = MSG_CMSG_CLOEXEC | MSG_TRUNC;
	} else if (passed >= 0) {
		g->m.msg_control = g->control;
		g->m.msg_controllen = CMSG_SPACE(sizeof(int));
		*CMSG_FIRSTHDR(&g->m) = (struct cmsghdr){
			.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
		};
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&g->m)), &passed, sizeof(passed));
	}
	g->k.op.kind = (uint8_t)kind;
	g->k.op.fd = fd;
	g->k.op.generation = 1;
	g->k.op.flags = S;
	g->k.op.buf = &g->m;
	kit_submit(&g->k);
}

static int udp_socket(struct sockaddr_in *ret_addr)
{
	int fd = kit_ops->socket(kit_driver, AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = { .sin_family = AF_INET };
	uint32_t len = sizeof(a);

	CHECK(fd >= 0);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK_EQ(kit_ops->bind(kit_driver, fd, &a, sizeof(a)), 0);
	CHECK_EQ(kit_ops->address(kit_driver, fd, false, &a, &len), 0);
	*ret_addr = a;
	return fd;
}

/* A datagram comes whole, with its sender and its true length; one of no bytes is one. */
static void datagrams(void)
{
	struct sockaddr_in a, b;
	int from = udp_socket(&a), to = udp_socket(&b);
	struct message recv, send;
	char buf[4];

	message_start(&recv, TTI_IO_RECV_MSG, to, buf, sizeof(buf), -1);
	kit_expect_quiet(&recv.k);
	CHECK_EQ(kit_do(TTI_IO_CONNECT, from, S, &b, sizeof(b)), 0);
	message_start(&send, TTI_IO_SEND_MSG, from, (char[]){ "abcdefg" }, 7, -1);
	CHECK_EQ(kit_finish(&send.k), 7);
	CHECK_EQ(kit_finish(&recv.k), 7);
	CHECK((recv.m.msg_flags & MSG_TRUNC) != 0);
	CHECK(memcmp(buf, "abcd", 4) == 0);
	CHECK_EQ(recv.m.msg_namelen, sizeof(a));
	CHECK_EQ(recv.name.sin_port, a.sin_port);
	message_start(&send, TTI_IO_SEND_MSG, from, buf, 0, -1);
	CHECK_EQ(kit_finish(&send.k), 0);
	message_start(&recv, TTI_IO_RECV_MSG, to, buf, sizeof(buf), -1);
	CHECK_EQ(kit_finish(&recv.k), 0);
	CHECK_EQ(recv.m.msg_flags & MSG_TRUNC, 0);
	message_start(&recv, TTI_IO_RECV_MSG, to, buf, sizeof(buf), -1);
	kit_expect_quiet(&recv.k);
	CHECK_EQ(kit_cancel_finish(&recv.k), -ECANCELED);
	kit_close(from);
	kit_close(to);
}

/* Where nobody listens, whoever is connected there is told, waiting or not. */
static void datagram_to_nobody(void)
{
	struct sockaddr_in a, b;
	int from = udp_socket(&a), to = udp_socket(&b);
	struct message recv, send;
	char c = 'x';

	kit_close(to);
	CHECK_EQ(kit_do(TTI_IO_CONNECT, from, S, &b, sizeof(b)), 0);
	message_start(&recv, TTI_IO_RECV_MSG, from, &c, 1, -1);
	kit_expect_quiet(&recv.k);
	message_start(&send, TTI_IO_SEND_MSG, from, &c, 1, -1);
	CHECK_EQ(kit_finish(&send.k), 1);
	CHECK_EQ(kit_finish(&recv.k), -ECONNREFUSED);
	kit_close(from);
}

/* A descriptor comes with its byte, and is not inherited by other programs. */
static void passed_descriptor(void)
{
	struct message recv, send;
	int fds[2], pipe_fds[2], got;
	char c;

	kit_pair(fds);
	CHECK(pipe(pipe_fds) == 0);
	message_start(&recv, TTI_IO_RECV_MSG, fds[1], &c, 1, -1);
	kit_expect_quiet(&recv.k);
	message_start(&send, TTI_IO_SEND_MSG, fds[0], (char[]){ "x" }, 1, pipe_fds[0]);
	CHECK_EQ(kit_finish(&send.k), 1);
	CHECK_EQ(kit_finish(&recv.k), 1);
	CHECK(CMSG_FIRSTHDR(&recv.m) != NULL);
	memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&recv.m)), sizeof(got));
	CHECK(got != pipe_fds[0]);
	CHECK((fcntl(got, F_GETFD) & FD_CLOEXEC) != 0);
	CHECK(write(pipe_fds[1], "p", 1) == 1);
	CHECK(read(got, &c, 1) == 1 && c == 'p');
	CHECK(close(got) == 0 && close(pipe_fds[0]) == 0 && close(pipe_fds[1]) == 0);
	kit_close(fds[0]);
	kit_close(fds[1]);
}

/* A message that has no room waits for some, and is then sent whole. */
static void message_waits_for_room(void)
{
	static char big[65536];
	struct message send, recv;
	int fds[2], at_once = 0, got = 0;

	kit_pair(fds);
	do
		message_start(&send, TTI_IO_SEND_MSG, fds[0], big, sizeof(big), -1);
	while (send.k.at_once && ++at_once < 100);
	CHECK(!send.k.ended);
	while (!send.k.ended || got < at_once) {
		message_start(&recv, TTI_IO_RECV_MSG, fds[1], big, sizeof(big), -1);
		CHECK(kit_finish(&recv.k) > 0);
		got++;
	}
	CHECK(send.k.op.result > 0);
	kit_close(fds[0]);
	kit_close(fds[1]);
}

/* ---- asking without waiting ---- */

static void ready_now(void)
{
	int fds[2];

	kit_pair(fds);
	CHECK_EQ(kit_ops->ready(kit_driver, fds[0], POLLIN), -EAGAIN);
	CHECK_EQ(kit_ops->ready(kit_driver, fds[0], POLLIN | POLLOUT), POLLOUT);
	CHECK_EQ(kit_ops->write(kit_driver, fds[1], "x", 1, S), 1);
	CHECK_EQ(kit_ops->ready(kit_driver, fds[0], POLLIN), POLLIN);
	CHECK_EQ(kit_ops->ready(kit_driver, 1000000, POLLIN), -EBADF);
	kit_close(fds[0]);
	kit_close(fds[1]);
}

/* A kind that is always ready, as a regular file, is ready at once with every driver. */
static void poll_of_a_file(void)
{
	int fd = memfd_create("x", MFD_CLOEXEC), null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct kit_op k;

	CHECK(fd >= 0 && null >= 0);
	kit_start_poll(&k, fd, TTI_IO_FOREIGN, POLLIN);
	CHECK_EQ(kit_finish(&k), POLLIN);
	kit_start_poll(&k, fd, TTI_IO_FOREIGN, POLLIN | POLLOUT);
	CHECK_EQ(kit_finish(&k), POLLIN | POLLOUT);
	kit_start_poll(&k, null, TTI_IO_FOREIGN, POLLOUT);
	CHECK_EQ(kit_finish(&k), POLLOUT);
	CHECK(close(fd) == 0 && close(null) == 0);
}

/* Whose file a refused connect makes stale, and whose not. */
static void stale_socket_files(void)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int listener = kit_ops->socket(kit_driver, AF_UNIX, SOCK_STREAM, 0), file;

	snprintf(un.sun_path, sizeof(un.sun_path), "driver_test.%d", (int)getpid());
	CHECK(!kit_ops->is_stale(kit_driver, un.sun_path, &un, sizeof(un)));
	CHECK_EQ(kit_ops->bind(kit_driver, listener, &un, sizeof(un)), 0);
	CHECK_EQ(kit_ops->listen(kit_driver, listener, 1), 0);
	CHECK(!kit_ops->is_stale(kit_driver, un.sun_path, &un, sizeof(un)));
	kit_close(listener);
	CHECK(kit_ops->is_stale(kit_driver, un.sun_path, &un, sizeof(un)));
	CHECK(unlink(un.sun_path) == 0);
	file = open(un.sun_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	CHECK(file >= 0);
	CHECK(!kit_ops->is_stale(kit_driver, un.sun_path, &un, sizeof(un)));
	CHECK(close(file) == 0 && unlink(un.sun_path) == 0);
}

/* ---- cancel ---- */

/* A cancelled read took nothing: what comes later is for the next read. */
static void cancelled_read_takes_nothing(void)
{
	struct kit_op r;
	char buf[8];
	int fds[2];

	kit_pair(fds);
	for (int polled = 0; polled < 2; polled++) {
		kit_start(&r, TTI_IO_READ, fds[0], S, buf, sizeof(buf));
		if (polled)
			kit_expect_quiet(&r);
		CHECK_EQ(kit_cancel_finish(&r), -ECANCELED);
		CHECK_EQ(kit_do(TTI_IO_WRITE, fds[1], S, "data", 4), 4);
		CHECK_EQ(kit_do(TTI_IO_READ, fds[0], S, buf, sizeof(buf)), 4);
	}
	kit_close(fds[0]);
	kit_close(fds[1]);
}

struct writer {
	pthread_t thread;
	int fd;
	size_t total;                        /* bytes written; the thread's until it is joined */
	tti_atomic_u32 stop;
};

/* Writes numbered bytes in pieces of random size until told to stop, and then the end. */
static void *writer_main(void *arg)
{
	struct writer *w = arg;
	unsigned char *bytes = numbered_bytes(4096);
	uint32_t seed = 77;

	/* relaxed: nothing else is handed over. */
	while (tti_load_relaxed(&w->stop) == 0) {
		size_t n = 1 + kit_random(&seed) % 300;
		struct pollfd p = { .fd = w->fd, .events = POLLOUT };
		ssize_t rc = send(w->fd, bytes + w->total % 256, n, MSG_DONTWAIT);

		if (rc > 0)
			w->total += (size_t)rc;
		else
			poll(&p, 1, 10);
		if (kit_random(&seed) % 4 == 0)
			sched_yield();
	}
	free(bytes);
	shutdown(w->fd, SHUT_WR);
	return NULL;
}

/* Law 2, completed wins: under 2,000 cancels that race the data, every byte arrives once
 * and in order, and a cancelled read says how many it had taken. */
static void cancel_races_read(void)
{
	struct writer w = { 0 };
	unsigned char buf[512], expected = 0;
	size_t got = 0;
	int cancels = 0, kept = 0, fds[2];
	uint32_t seed = 4711;

	kit_pair(fds);
	w.fd = fds[1];
	CHECK(pthread_create(&w.thread, NULL, writer_main, &w) == 0);
	for (;;) {
		struct kit_op r;
		long rc;

		kit_start(&r, TTI_IO_READ, fds[0], S | (kit_random(&seed) % 2 ? TTI_IO_DRAINED : 0), buf,
		          1 + kit_random(&seed) % sizeof(buf));
		for (uint32_t i = kit_random(&seed) % 3; i > 0 && !r.ended; i--)
			kit_poll(0);
		if (!r.ended && cancels < 2000) {
			/* relaxed: see writer_main(). */
			if (++cancels == 2000)
				tti_store_relaxed(&w.stop, 1);
			rc = kit_cancel_finish(&r);
			kept += rc > 0;
		} else {
			rc = kit_finish(&r);
		}
		if (rc == -ECANCELED)
			continue;
		if (rc == 0)
			break;
		CHECK(rc > 0);
		for (long i = 0; i < rc; i++)
			CHECK_EQ(buf[i], expected++);
		got += (size_t)rc;
	}
	pthread_join(w.thread, NULL);
	CHECK_EQ(got, w.total);
	CHECK_EQ(cancels, 2000);
	printf("\t%d cancels, %d of them had bytes\n", cancels, kept);
	kit_close(fds[0]);
	kit_close(fds[1]);
}

/* Law 2 for writes: what a cancelled write says it sent is what the peer receives. */
static void cancel_races_write(void)
{
	unsigned char *bytes = numbered_bytes(65536), expected = 0;
	size_t sent = 0, got = 0;
	uint32_t seed = 99;
	int cancels = 0, kept = 0, small = 16384, fds[2];

	kit_pair_tcp(fds);
	CHECK_EQ(kit_ops->set_option(kit_driver, fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	CHECK_EQ(kit_ops->set_option(kit_driver, fds[1], SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	while (cancels < 2000) {
		struct kit_op w;
		bool waits;
		long rc;

		kit_start(&w, TTI_IO_WRITE, fds[0], S, bytes + sent % 256, 1 + kit_random(&seed) % 65536);
		waits = !w.ended;
		if (waits && kit_random(&seed) % 2)
			kit_poll(0);
		/* Makes room, so that the kernel may be about to send when the cancel comes. */
		if (waits && kit_random(&seed) % 2)
			got += drain(fds[1], &expected);
		if (waits && kit_random(&seed) % 4 == 0)
			kit_poll(0);
		cancels += !w.ended;
		rc = kit_cancel_finish(&w);
		CHECK(rc > 0 || rc == -ECANCELED);
		if (rc > 0)
			sent += (size_t)rc;
		kept += waits && rc > 0;
	}
	CHECK_EQ(kit_ops->shutdown(kit_driver, fds[0], SHUT_WR), 0);
	while (got < sent) {
		struct kit_op p;

		kit_start_poll(&p, fds[1], S, POLLIN);
		kit_finish(&p);
		got += drain(fds[1], &expected);
	}
	CHECK_EQ(drain(fds[1], &expected), 0);
	CHECK_EQ(got, sent);
	printf("\t%d cancels; %d writes that had waited sent something\n", cancels, kept);
	free(bytes);
	kit_close(fds[0]);
	kit_close(fds[1]);
}

/* Law 11: a driver that has cancelled much owes nothing when it is destroyed; destroy()
 * asserts that every operation and every cancel was returned. */
static void cancels_are_accounted_for(void)
{
	enum { N = 100 };
	struct kit_op r[N];
	char buf[N];
	int fds[2];

	kit_pair(fds);
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < N; i++)
			kit_start(&r[i], TTI_IO_READ, fds[0], S, &buf[i], 1);
		if (round % 2)
			kit_poll(0);
		for (int i = 0; i < N; i++)
			kit_cancel(&r[i]);
		for (int i = 0; i < N; i++)
			CHECK_EQ(kit_finish(&r[i]), -ECANCELED);
	}
	/* Destroyed at once, while the last cancels may not have been answered. */
	kit_start(&r[0], TTI_IO_READ, fds[0], S, buf, 1);
	CHECK_EQ(kit_cancel_finish(&r[0]), -ECANCELED);
	kit_shut();
	kit_open(0);
	kit_close(fds[0]);
	kit_close(fds[1]);
}

/* ---- polling ---- */

/* Polls tell of readiness and take nothing; several live beside a read and a write. */
static void polls_beside_a_read(void)
{
	struct kit_op in, both, out, cancelled, r;
	char buf[8];
	int fds[2];

	kit_pair(fds);
	kit_start_poll(&out, fds[0], S, POLLOUT);
	CHECK_EQ(kit_finish(&out), POLLOUT);
	kit_start_poll(&in, fds[0], S, POLLIN);
	kit_start_poll(&cancelled, fds[0], S, POLLIN);
	kit_expect_quiet(&in);
	kit_start_poll(&both, fds[0], S, POLLIN | POLLOUT);
	CHECK_EQ(kit_finish(&both), POLLOUT);
	kit_start(&r, TTI_IO_READ, fds[0], S, buf, sizeof(buf));
	kit_expect_quiet(&r);
	CHECK_EQ(kit_cancel_finish(&cancelled), -ECANCELED);
	CHECK(!in.ended && !r.ended);
	CHECK_EQ(kit_do(TTI_IO_WRITE, fds[1], S, "abc", 3), 3);
	CHECK_EQ(kit_finish(&in), POLLIN);
	CHECK_EQ(kit_finish(&r), 3);
	/* The end of the peer is readable, and a hang-up. */
	kit_start_poll(&in, fds[0], S, POLLIN);
	kit_expect_quiet(&in);
	kit_close(fds[1]);
	CHECK_EQ(kit_finish(&in), POLLIN | POLLHUP);
	kit_close(fds[0]);
}

/* A foreign descriptor is polled by its owner's rules: level-triggered, several at once,
 * and nothing stays behind when it is closed without our knowledge. */
static void foreign_polls(void)
{
	struct kit_op a, b, c;
	char buf[8];
	int fds[2];

	for (int round = 0; round < 3; round++) {
		CHECK(pipe2(fds, O_CLOEXEC) == 0);
		kit_start_poll(&a, fds[0], TTI_IO_FOREIGN, POLLIN);
		kit_start_poll(&b, fds[0], TTI_IO_FOREIGN, POLLIN);
		kit_start_poll(&c, fds[0], TTI_IO_FOREIGN, POLLIN);
		kit_expect_quiet(&a);
		CHECK_EQ(kit_cancel_finish(&b), -ECANCELED);
		CHECK(write(fds[1], "x", 1) == 1);
		CHECK_EQ(kit_finish(&a), POLLIN);
		CHECK_EQ(kit_finish(&c), POLLIN);
		/* Still readable: told again. */
		kit_start_poll(&a, fds[0], TTI_IO_FOREIGN, POLLIN);
		CHECK_EQ(kit_finish(&a), POLLIN);
		CHECK(read(fds[0], buf, sizeof(buf)) == 1);
		kit_start_poll(&a, fds[0], TTI_IO_FOREIGN, POLLIN);
		kit_expect_quiet(&a);
		CHECK_EQ(kit_cancel_finish(&a), -ECANCELED);
		close(fds[0]);
		close(fds[1]);
	}
}

/* Two foreign polls for different events: the first event leaves the other waiting. */
static void foreign_polls_of_different_events(void)
{
	static char big[65536];
	struct kit_op in, out;
	int fds[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	while (send(fds[0], big, sizeof(big), MSG_DONTWAIT) > 0)
		;
	kit_start_poll(&in, fds[0], TTI_IO_FOREIGN, POLLIN);
	kit_start_poll(&out, fds[0], TTI_IO_FOREIGN, POLLOUT);
	kit_expect_quiet(&in);
	CHECK(!out.ended);
	while (recv(fds[1], big, sizeof(big), MSG_DONTWAIT) > 0)
		;
	CHECK_EQ(kit_finish(&out), POLLOUT);
	kit_expect_quiet(&in);
	CHECK(write(fds[1], "x", 1) == 1);
	CHECK_EQ(kit_finish(&in), POLLIN);
	close(fds[0]);
	close(fds[1]);
}

/* One of ours, polled as a foreign one by its number, serves both. */
static void foreign_poll_of_our_own(void)
{
	struct kit_op r, p;
	char buf[8];
	int fds[2];

	for (int poll_first = 0; poll_first < 2; poll_first++) {
		kit_pair(fds);
		if (poll_first)
			kit_start_poll(&p, fds[0], TTI_IO_FOREIGN, POLLIN);
		kit_start(&r, TTI_IO_READ, fds[0], S, buf, sizeof(buf));
		if (!poll_first)
			kit_start_poll(&p, fds[0], TTI_IO_FOREIGN, POLLIN);
		kit_expect_quiet(&p);
		CHECK_EQ(kit_do(TTI_IO_WRITE, fds[1], S, "x", 1), 1);
		CHECK_EQ(kit_finish(&p), POLLIN);
		CHECK_EQ(kit_finish(&r), 1);
		kit_start(&r, TTI_IO_READ, fds[0], S, buf, sizeof(buf));
		kit_expect_quiet(&r);
		CHECK_EQ(kit_do(TTI_IO_WRITE, fds[1], S, "y", 1), 1);
		CHECK_EQ(kit_finish(&r), 1);
		kit_close(fds[0]);
		kit_close(fds[1]);
	}
}

/* ---- numbers that are used again ---- */

static void start_with_generation(struct kit_op *k, int fd, uint32_t generation, void *buf, size_t len)
{
	memset(k, 0, sizeof(*k));
	k->op = (struct tti_io_op){ .kind = TTI_IO_READ, .fd = fd, .generation = generation, .flags = S, .buf = buf,
		                    .len = len };
	kit_submit(k);
}

/* A number with a new generation is a new descriptor, whatever was known of the old one:
 * also when the close happened elsewhere, and when a duplicate keeps the old file alive. */
static void reused_number(void)
{
	struct kit_op r, p;
	char buf[8];
	int at = -1;

	for (uint32_t g = 1; g <= 60; g++) {
		int fds[2], copy = -1;

		kit_pair(fds);
		if (at < 0)
			at = fds[0];
		CHECK_EQ(fds[0], at);
		start_with_generation(&r, fds[0], g, buf, sizeof(buf));
		kit_expect_quiet(&r);
		CHECK_EQ(kit_ops->write(kit_driver, fds[1], "x", 1, S), 1);
		CHECK_EQ(kit_finish(&r), 1);
		start_with_generation(&r, fds[0], g, buf, sizeof(buf));
		CHECK_EQ(kit_cancel_finish(&r), -ECANCELED);
		if (g % 3 == 0)
			copy = fcntl(fds[0], F_DUPFD_CLOEXEC, 100);
		if (g % 2 == 0)
			kit_ops->forget(kit_driver, fds[0], g);
		CHECK(close(fds[0]) == 0);
		if (copy >= 0) {
			int next[2];

			/* Events of the old file, while the number names another one. */
			kit_pair(next);
			CHECK_EQ(next[0], at);
			start_with_generation(&r, next[0], g + 1000, buf, sizeof(buf));
			p = r;
			p.op.kind = TTI_IO_POLL;
			p.op.events = POLLIN;
			kit_submit(&p);
			CHECK_EQ(kit_ops->write(kit_driver, fds[1], "old", 3, S), 3);
			kit_expect_quiet(&r);
			kit_expect_quiet(&p);
			CHECK_EQ(kit_ops->write(kit_driver, next[1], "new!", 4, S), 4);
			CHECK_EQ(kit_finish(&r), 4);
			CHECK_EQ(kit_finish(&p), POLLIN);
			close(copy);
			kit_ops->forget(kit_driver, next[0], g + 1000);
			close(next[0]);
			close(next[1]);
		}
		close(fds[1]);
	}
}

/* The same file under its old number again: the registration of before is taken over. */
static void number_of_the_same_file_again(void)
{
	struct kit_op r;
	char buf[8];
	int fds[2], copy;

	kit_pair(fds);
	start_with_generation(&r, fds[0], 1, buf, sizeof(buf));
	kit_expect_quiet(&r);
	CHECK_EQ(kit_cancel_finish(&r), -ECANCELED);
	copy = fcntl(fds[0], F_DUPFD_CLOEXEC, 100);
	close(fds[0]);
	CHECK(dup3(copy, fds[0], O_CLOEXEC) == fds[0]);
	start_with_generation(&r, fds[0], 2, buf, sizeof(buf));
	kit_expect_quiet(&r);
	CHECK_EQ(kit_ops->write(kit_driver, fds[1], "x", 1, S), 1);
	CHECK_EQ(kit_finish(&r), 1);
	kit_ops->forget(kit_driver, fds[0], 2);
	close(copy);
	close(fds[0]);
	close(fds[1]);
}

/* ---- many ---- */

/* A thousand descriptors wait at once; each gets its own bytes. */
static void thousand_descriptors(void)
{
	enum { N = 500 };
	static struct kit_op r[2 * N];
	static int fds[N][2], got[2 * N];

	for (int i = 0; i < N; i++) {
		kit_pair(fds[i]);
		for (int side = 0; side < 2; side++)
			kit_start(&r[2 * i + side], TTI_IO_READ, fds[i][side], S, &got[2 * i + side], sizeof(int));
	}
	kit_poll(0);
	for (int i = 0; i < 2 * N; i++) {
		CHECK(!r[i].ended);
		CHECK_EQ(kit_do(TTI_IO_WRITE, fds[i / 2][1 - i % 2], S, &i, sizeof(i)), sizeof(i));
	}
	for (int i = 0; i < 2 * N; i++) {
		CHECK_EQ(kit_finish(&r[i]), sizeof(int));
		CHECK_EQ(got[i], i);
	}
	for (int i = 0; i < N; i++) {
		kit_close(fds[i][0]);
		kit_close(fds[i][1]);
	}
}

/* ---- time and waking ---- */

/* A wait ends at its deadline: never before, and soon after. */
static void deadlines(void)
{
	int64_t worst = 0, best = TT_NEVER, sum = 0;
	struct kit_op r;
	char buf[8];
	int fds[2], n = 0;

	kit_pair(fds);
	kit_start(&r, TTI_IO_READ, fds[0], S, buf, sizeof(buf));
	for (int64_t wait = TT_US(50); wait < TT_MS(12); wait += TT_US(333), n++) {
		int64_t deadline = tti_env_now() + wait, late;

		kit_ops->poll(kit_driver, deadline);
		late = tti_env_now() - deadline;
		CHECK(late >= 0);
		sum += late;
		worst = late > worst ? late : worst;
		best = late < best ? late : best;
	}
	CHECK(!r.ended);
	/* Two cores shared with others: what they leave alone is the claim, the bound catches a hang. */
	CHECK(best < TT_MS(2));
	CHECK(worst < TT_SEC(1));
	printf("\tlate by %lld us on average, %lld at most\n", (long long)(sum / n / 1000), (long long)(worst / 1000));
	/* The past, and a moment ago, are no waits. */
	kit_ops->poll(kit_driver, 1);
	kit_ops->poll(kit_driver, tti_env_now());
	CHECK_EQ(kit_cancel_finish(&r), -ECANCELED);
	kit_close(fds[0]);
	kit_close(fds[1]);
}

static tti_atomic_u32 waker_go, waker_stop;

static void *waker_main(void *arg)
{
	uint32_t seen = 0;

	(void)arg;
	/* acquire: pairs with the releases in wake_from_a_thread(). */
	while (tti_load_acquire(&waker_stop) == 0) {
		uint32_t go = tti_load_acquire(&waker_go);

		if (go == seen) {
			sched_yield();
			continue;
		}
		seen = go;
		kit_ops->wake(kit_driver);
	}
	return NULL;
}

/* Another thread's wake ends a wait without deadline, each time. Law 7: it does so
 * without touching what belongs to the owner's thread. */
static void wake_from_a_thread(void)
{
	pthread_t thread;

	/* relaxed: the thread is started after this. */
	tti_store_relaxed(&waker_go, 0);
	tti_store_relaxed(&waker_stop, 0);
	CHECK(pthread_create(&thread, NULL, waker_main, NULL) == 0);
	for (uint32_t i = 1; i <= 2000; i++) {
		uint64_t before = kit_driver->wakes;

		/* release: pairs with the acquire in waker_main(). */
		tti_store_release(&waker_go, i);
		while (kit_driver->wakes == before)
			kit_ops->poll(kit_driver, TT_NEVER);
	}
	tti_store_release(&waker_stop, 1);
	pthread_join(thread, NULL);
}

/* A wake that came first makes the next wait return, once, however many they were. */
static void wakes_before_the_wait(void)
{
	uint64_t before = kit_driver->wakes;

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 1000; i++)
			kit_ops->wake(kit_driver);
		kit_ops->poll(kit_driver, TT_NEVER);
	}
	CHECK_EQ(kit_driver->wakes - before, 3);
	kit_poll(TT_MS(2));
	CHECK_EQ(kit_driver->wakes - before, 3);
}

static void on_alarm(int signo)
{
	(void)signo;
	kit_ops->wake(kit_driver);
}

static void on_nothing(int signo)
{
	(void)signo;
}

/* A signal handler wakes the thread it interrupted; a signal by itself does not end a
 * wait before its deadline. */
static void wake_from_a_signal_handler(void)
{
	struct sigaction wakes = { .sa_handler = on_alarm }, idle = { .sa_handler = on_nothing }, before;
	struct itimerspec every = { .it_value.tv_nsec = 1000000, .it_interval.tv_nsec = 1000000 };
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	int64_t deadline;
	timer_t timer;

	/* It holds signals back until the next libc call, and a waiting driver makes none. */
	if (KIT_TSAN)
		return;
	CHECK(sigaction(SIGUSR1, &wakes, &before) == 0);
	CHECK(timer_create(CLOCK_MONOTONIC, &ev, &timer) == 0);
	CHECK(timer_settime(timer, 0, &every, NULL) == 0);
	for (int i = 0; i < 20; i++)
		kit_ops->poll(kit_driver, TT_NEVER);
	CHECK(sigaction(SIGUSR1, &idle, NULL) == 0);
	kit_poll(TT_MS(1));
	deadline = tti_env_now() + TT_MS(10);
	kit_ops->poll(kit_driver, deadline);
	CHECK(tti_env_now() >= deadline);
	timer_delete(timer);
	CHECK(sigaction(SIGUSR1, &before, NULL) == 0);
}

/* A completion ends a wait without deadline. */
static void completion_ends_a_wait(void)
{
	struct writer w = { 0 };
	struct kit_op r;
	char buf[8];
	int fds[2];

	kit_pair(fds);
	w.fd = fds[1];
	kit_start(&r, TTI_IO_READ, fds[0], S, buf, sizeof(buf));
	CHECK(pthread_create(&w.thread, NULL, writer_main, &w) == 0);
	while (!r.ended)
		kit_ops->poll(kit_driver, TT_NEVER);
	CHECK(r.op.result > 0);
	/* relaxed: see writer_main(). */
	tti_store_relaxed(&w.stop, 1);
	pthread_join(w.thread, NULL);
	kit_close(fds[0]);
	kit_close(fds[1]);
}

/* A program we start inherits none of the driver's descriptors. */
static void nothing_is_inherited(void)
{
	int plain = 0, total = 0;

	for (int fd = 3; fd < 200; fd++) {
		int flags = fcntl(fd, F_GETFD);

		total += flags >= 0;
		plain += flags >= 0 && (flags & FD_CLOEXEC) == 0;
	}
	CHECK(total >= 2);
	/* Those that were open before the test began may be anything. */
	kit_shut();
	for (int fd = 3; fd < 200; fd++) {
		int flags = fcntl(fd, F_GETFD);

		plain -= flags >= 0 && (flags & FD_CLOEXEC) == 0;
	}
	CHECK_EQ(plain, 0);
	kit_open(0);
}

/* A child of the process leaves the parent's driver alone. */
static void fork_leaves_the_driver_alone(void)
{
	struct kit_op r;
	char buf[8];
	int fds[2], status;
	pid_t pid;

	kit_pair(fds);
	kit_start(&r, TTI_IO_READ, fds[0], S, buf, sizeof(buf));
	kit_expect_quiet(&r);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0)
		_exit(0);
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	CHECK_EQ(kit_do(TTI_IO_WRITE, fds[1], S, "x", 1), 1);
	CHECK_EQ(kit_finish(&r), 1);
	kit_close(fds[0]);
	kit_close(fds[1]);
}

/* done() may submit, cancel and close; the driver's lists stand it. */
static struct kit_op chain_next, chain_victim;
static char chain_buf[8];
static int chain_fds[2];

static void chain_done(struct tti_io_op *op)
{
	kit_done(op);
	kit_cancel(&chain_victim);
	kit_start(&chain_next, TTI_IO_READ, chain_fds[0], S, chain_buf, sizeof(chain_buf));
}

static void done_may_submit_and_cancel(void)
{
	struct kit_op p;

	kit_pair(chain_fds);
	memset(&p, 0, sizeof(p));
	p.op = (struct tti_io_op){ .kind = TTI_IO_POLL, .fd = chain_fds[0], .generation = 1, .flags = S,
		                   .events = POLLIN, .done = chain_done };
	tti_list_init(&p.op.link);
	CHECK_EQ(kit_ops->submit(kit_driver, &p.op), 0);
	/* Not ready with the first: it would end with it. */
	kit_start(&chain_victim, TTI_IO_READ, chain_fds[1], S, chain_buf, 1);
	kit_expect_quiet(&p);
	CHECK_EQ(kit_ops->write(kit_driver, chain_fds[1], "abc", 3, S), 3);
	CHECK_EQ(kit_finish(&p), POLLIN);
	CHECK_EQ(kit_finish(&chain_victim), -ECANCELED);
	CHECK_EQ(kit_finish(&chain_next), 3);
	kit_close(chain_fds[0]);
	kit_close(chain_fds[1]);
}

/* A driver that was never used can be destroyed, as one that was woken can. */
static void unused_driver(void)
{
	kit_open(0);
	kit_shut();
	kit_open(64);
	kit_ops->wake(kit_driver);
	kit_shut();
}

static const struct kit_test tests[] = {
	KIT_TEST(read_before_and_after_data),
	KIT_TEST(short_buffer_leaves_the_rest),
	KIT_TEST(drained_hint_loses_nothing),
	KIT_TEST(drained_hint_may_be_wrong),
	KIT_TEST(end_of_stream),
	KIT_TEST(reset_and_broken_pipe),
	KIT_TEST(write_waits_for_room),
	KIT_TEST(waiting_write_loses_its_reader),
	KIT_TEST(both_directions_at_once),
	KIT_TEST(two_reads_of_one_descriptor),
	KIT_TEST(blocking_pipe_does_not_block),
	KIT_TEST(nonblocking_pipe),
	KIT_TEST(regular_file),
	KIT_TEST(terminal),
	KIT_TEST(bad_descriptors),
	KIT_TEST(accept_and_connect_tcp),
	KIT_TEST(accept_and_connect_unix),
	KIT_TEST(accept_burst),
	KIT_TEST(connect_refused),
	KIT_TEST(connect_waits_for_a_full_backlog),
	KIT_TEST(full_backlog_is_no_spin),
	KIT_TEST(cancelled_accept_takes_nothing),
	KIT_TEST(cancel_races_accept),
	KIT_TEST(cancelled_connect),
	KIT_TEST(connected_before_its_cancel),
	KIT_TEST(accept_out_of_descriptors),
	KIT_TEST(accept_waits_without_descriptors),
	KIT_TEST(datagrams),
	KIT_TEST(datagram_to_nobody),
	KIT_TEST(passed_descriptor),
	KIT_TEST(message_waits_for_room),
	KIT_TEST(ready_now),
	KIT_TEST(poll_of_a_file),
	KIT_TEST(stale_socket_files),
	KIT_TEST(cancelled_read_takes_nothing),
	KIT_TEST(cancel_races_read),
	KIT_TEST(cancel_races_write),
	KIT_TEST(cancels_are_accounted_for),
	KIT_TEST(polls_beside_a_read),
	KIT_TEST(foreign_polls),
	KIT_TEST(foreign_polls_of_different_events),
	KIT_TEST(foreign_poll_of_our_own),
	KIT_TEST(reused_number),
	KIT_TEST(number_of_the_same_file_again),
	KIT_TEST(thousand_descriptors),
	KIT_TEST(deadlines),
	KIT_TEST(wake_from_a_thread),
	KIT_TEST(wakes_before_the_wait),
	KIT_TEST(wake_from_a_signal_handler),
	KIT_TEST(completion_ends_a_wait),
	KIT_TEST(nothing_is_inherited),
	KIT_TEST(fork_leaves_the_driver_alone),
	KIT_TEST(done_may_submit_and_cancel),
	KIT_BARE(unused_driver),
};

#define N_TESTS (sizeof(tests) / sizeof(tests[0]))

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : NULL;
	int rc;

	kit_run(&tti_driver_epoll, tests, N_TESTS, name);
	rc = kit_available(&tti_driver_uring);
	if (rc == 0)
		kit_run(&tti_driver_uring, tests, N_TESTS, name);
	else
		printf("uring: refused by this kernel (%d), its tests are skipped\n", rc);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * udp_test.c - datagrams: whole, with their sender and their true length, to one of many
 * receivers; what a peer that is not there does; and what a lossy network does.
 */
#include <poll.h>
#include <sys/socket.h>

#include "net/net_testkit.h"

TT_TEST_MAIN()

/* A socket on a loopback port, and where it is. */
static tt_fd *udp_at(const char *host, char addr[32])
{
	tt_fd *fd = NULL;
	char any[32];

	snprintf(any, sizeof(any), "%s:0", host);
	REQUIRE_OK(tt_udp_open(any, NULL, &fd));
	snprintf(addr, 32, "%s:%d", host, tt_fd_local_port(fd));
	return fd;
}

static void parse(const char *text, tt_addr *ret)
{
	REQUIRE_OK(tt_addr_parse(text, ret));
}

/* Message boundaries are kept, empty messages too; one that is too long says how long it was. */
TT_TEST(udp, a_datagram_is_whole_or_says_what_is_missing)
{
	char at[32], text[64], buf[4] = "";
	tt_fd *server = udp_at("127.0.0.1", at), *client;
	tt_addr from;

	REQUIRE_OK(tt_udp_connect(at, NULL, &client));
	EXPECT_EQ(tt_udp_send(client, "abc", 3, NULL), 3);
	EXPECT_EQ(tt_udp_recv(server, buf, sizeof(buf), &from), 3);
	EXPECT_EQ(memcmp(buf, "abc", 3), 0);
	tt_addr_text(&from, text, sizeof(text));
	EXPECT_EQ(strncmp(text, "127.0.0.1:", 10), 0);
	EXPECT_EQ(tt_udp_send(client, NULL, 0, NULL), 0);
	EXPECT_EQ(tt_udp_recv(server, buf, sizeof(buf), NULL), 0);
	EXPECT_EQ(tt_udp_send(client, "0123456789", 10, NULL), 10);
	EXPECT_EQ(tt_udp_recv(server, buf, sizeof(buf), NULL), 10);
	EXPECT_EQ(memcmp(buf, "0123", 4), 0);
	/* The rest of it is gone. */
	EXPECT_EQ(tt_udp_send(client, "z", 1, NULL), 1);
	EXPECT_EQ(tt_udp_recv(server, buf, sizeof(buf), NULL), 1);
	EXPECT_EQ(buf[0], 'z');
	tt_fd_close(client);
	tt_fd_close(server);
}

/* Whoever sent it can be answered, from a socket of any address and from one of both families. */
TT_TEST(udp, an_answer_reaches_the_sender)
{
	char at[32], c;
	tt_fd *server = NULL, *client;
	tt_addr to, from;

	REQUIRE_OK(tt_udp_open("*:0", NULL, &server));
	REQUIRE_OK(tt_udp_open(NULL, NULL, &client));
	snprintf(at, sizeof(at), "127.0.0.1:%d", tt_fd_local_port(server));
	parse(at, &to);
	EXPECT_EQ(tt_udp_send(client, "q", 1, &to), 1);
	EXPECT_EQ(tt_udp_recv(server, &c, 1, &from), 1);
	tt_addr_text(&from, at, sizeof(at));
	EXPECT_EQ(strncmp(at, "127.0.0.1:", 10), 0);
	EXPECT_EQ(tt_udp_send(server, "a", 1, &from), 1);
	EXPECT_EQ(tt_udp_recv(client, &c, 1, &from), 1);
	EXPECT_EQ(c, 'a');
	tt_addr_text(&from, at, sizeof(at));
	EXPECT_EQ(strncmp(at, "127.0.0.1:", 10), 0);
	tt_fd_close(client);
	tt_fd_close(server);
}

/* A connected socket hears its peer alone. */
TT_TEST(udp, strangers_are_not_heard)
{
	char at[32], mine[32], c;
	tt_fd *peer = udp_at("127.0.0.1", at), *stranger = udp_at("127.0.0.1", mine), *fd;
	tt_addr to;

	REQUIRE_OK(tt_udp_connect(at, NULL, &fd));
	snprintf(mine, sizeof(mine), "127.0.0.1:%d", tt_fd_local_port(fd));
	parse(mine, &to);
	EXPECT_EQ(tt_udp_send(stranger, "s", 1, &to), 1);
	EXPECT_EQ(tt_udp_send(peer, "p", 1, &to), 1);
	EXPECT_EQ(tt_udp_recv(fd, &c, 1, NULL), 1);
	EXPECT_EQ(c, 'p');
	tt_fd_close(fd);
	tt_fd_close(stranger);
	tt_fd_close(peer);
}

static TT_TASK(expect_refused, (tt_fd *, fd))
{
	char c;

	EXPECT_CODE(tt_udp_recv(fd, &c, 1, NULL), TT_ECONNREFUSED);
	return 0;
}

/* That nobody listens is told to who waits for an answer, and else to the next call. */
TT_TEST(udp, nobody_there_is_a_code)
{
	char at[32], c;
	tt_fd *gone = udp_at("127.0.0.1", at), *fd;

	REQUIRE_OK(tt_udp_connect(at, NULL, &fd));
	tt_fd_close(gone);
	{
		TT_GROUP(g);
		tt_go(&g, expect_refused, fd);
		REQUIRE_OK(tt_test_wait_all_parked());
		EXPECT_EQ(tt_udp_send(fd, "x", 1, NULL), 1);
		EXPECT_OK(tt_group_end(&g, 0));
	}
	EXPECT_EQ(tt_udp_send(fd, "x", 1, NULL), 1);
	EXPECT_CODE(TT_WITHIN(TT_SEC(30), tt_udp_recv(fd, &c, 1, NULL)), TT_ECONNREFUSED);
	tt_fd_close(fd);
}

static TT_TASK(take_one, (tt_fd *, fd), (unsigned *, ret_sum))
{
	unsigned char c;

	TT_TRY(tt_udp_recv(fd, &c, 1, NULL));
	__atomic_fetch_add(ret_sum, c, __ATOMIC_RELAXED); /* relaxed: read after the join */
	return 0;
}

static TT_TASK(give_one, (tt_fd *, fd), (const tt_addr *, to), (unsigned char, c))
{
	EXPECT_EQ(tt_udp_send(fd, &c, 1, to), 1);
	return 0;
}

/* Many tasks on many workers wait on one socket, and many send through another: each datagram
 * goes to exactly one. */
TT_TEST(udp, many_tasks_share_a_socket)
{
	static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };
	char at[32], mine[32];
	tt_fd *server = udp_at("127.0.0.1", at), *client = udp_at("127.0.0.1", mine);
	unsigned sum = 0;
	tt_addr to;

	parse(at, &to);
	TT_GROUP(g);
	for (int i = 0; i < 20; i++)
		tt_go_with(&g, &anywhere, take_one, server, &sum);
	REQUIRE_OK(tt_test_wait_all_parked());
	for (int i = 0; i < 20; i++)
		tt_go_with(&g, &anywhere, give_one, client, &to, (unsigned char)(i + 1));
	EXPECT_OK(tt_group_end(&g, 0));
	EXPECT_EQ(sum, 210);
	tt_fd_close(client);
	tt_fd_close(server);
}

/* Law 1: a receive that was cut short took nothing. */
TT_TEST(udp, a_cancelled_receive_took_nothing)
{
	char at[32], c = 0;
	tt_fd *server = udp_at("127.0.0.1", at), *client;

	REQUIRE_OK(tt_udp_connect(at, NULL, &client));
	EXPECT_CODE(TT_WITHIN(TT_MS(5), tt_udp_recv(server, &c, 1, NULL)), TT_ETIMEDOUT);
	EXPECT_EQ(tt_udp_send(client, "k", 1, NULL), 1);
	EXPECT_CODE(TT_WITHIN(0, tt_udp_recv(server, &c, 1, NULL)), TT_ETIMEDOUT);
	EXPECT_CODE(TT_WITHIN(0, tt_udp_send(client, "n", 1, NULL)), TT_ETIMEDOUT);
	EXPECT_EQ(tt_udp_recv(server, &c, 1, NULL), 1);
	EXPECT_EQ(c, 'k');
	EXPECT_CODE(TT_WITHIN(TT_MS(5), tt_udp_recv(server, &c, 1, NULL)), TT_ETIMEDOUT);
	tt_fd_close(client);
	tt_fd_close(server);
}

static TT_TASK(expect_closed, (tt_fd *, fd))
{
	char c;

	EXPECT_CODE(tt_udp_recv(fd, &c, 1, NULL), TT_EBADF);
	return 0;
}

/* A close ends every receive, on whatever worker. */
TT_TEST(udp, a_close_ends_all_receives)
{
	/* laws 5, 10 */
	static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };
	char at[32], c;
	tt_fd *fd = udp_at("127.0.0.1", at);

	TT_GROUP(g);
	for (int i = 0; i < 8; i++)
		tt_go_with(&g, &anywhere, expect_closed, fd);
	REQUIRE_OK(tt_test_wait_all_parked());
	tt_fd_close(fd);
	EXPECT_OK(tt_group_end(&g, 0));
	EXPECT_CODE(tt_udp_recv(fd, &c, 1, NULL), TT_EBADF);
	EXPECT_CODE(tt_udp_send(fd, &c, 1, NULL), TT_EBADF);
}

/* What cannot be sent or opened says so. */
TT_TEST(udp, refusals)
{
	static char big[70000];
	char at[32], six[32] = "[::1]:9", c = 0;
	tt_fd *fd = udp_at("127.0.0.1", at), *other = NULL, *ends[2];
	tt_addr to;

	EXPECT_CODE(tt_udp_send(fd, "x", 1, NULL), -EDESTADDRREQ);
	parse(at, &to);
	EXPECT_CODE(tt_udp_send(fd, big, sizeof(big), &to), -EMSGSIZE);
	parse(six, &to);
	EXPECT_CODE(tt_udp_send(fd, "x", 1, &to), -EAFNOSUPPORT);
	EXPECT_CODE(tt_udp_open(at, NULL, &other), TT_EADDRINUSE);
	EXPECT_CODE(tt_udp_open("x", NULL, &other), TT_EINVAL);
	EXPECT_CODE(tt_udp_connect("*:9", NULL, &other), TT_EINVAL);
	EXPECT_CODE(tt_udp_connect("no-such-host.invalid:9", NULL, &other), TT_ENOHOST);
	EXPECT_CODE(tt_fd_shutdown(fd, SHUT_RD), TT_ENOTSUP);
	EXPECT_CODE(tt_fd_shutdown(fd, SHUT_RDWR), TT_ENOTSUP);
	EXPECT_CODE(tt_addr_parse("localhost:9", &to), TT_EINVAL);
	EXPECT_CODE(tt_addr_parse(":9", &to), TT_EINVAL);
	EXPECT_EQ(other, NULL);
	REQUIRE_OK(tt_pair(ends));
	EXPECT_CODE(tt_udp_send(ends[0], "x", 1, NULL), TT_ENOTSUP);
	EXPECT_CODE(tt_udp_recv(ends[0], &c, 1, NULL), TT_ENOTSUP);
	EXPECT_CODE(tt_udp_recv(NULL, &c, 1, NULL), TT_EBADF);
	test_close_pair(ends);
	tt_fd_close(fd);
}

/* By name, with options; two sockets may share a port when both ask for it. */
TT_TEST(udp, names_and_options)
{
	const tt_udp_options shared = { .reuse_port = true, .broadcast = true, .recv_bytes = 65536 };
	tt_fd *a, *b, *client;
	char at[32], c;

	REQUIRE_OK(tt_udp_open("localhost:0", &shared, &a));
	snprintf(at, sizeof(at), "localhost:%d", tt_fd_local_port(a));
	REQUIRE_OK(tt_udp_open(at, &shared, &b));
	tt_fd_close(b);
	REQUIRE_OK(tt_udp_connect(at, &shared, &client));
	EXPECT_EQ(tt_udp_send(client, "n", 1, NULL), 1);
	EXPECT_EQ(tt_fd_poll(a, POLLIN), POLLIN);
	EXPECT_EQ(tt_udp_recv(a, &c, 1, NULL), 1);
	/* A datagram is read and written as a stream is, if its length does not matter. */
	EXPECT_EQ(tt_write(client, "w", 1), 1);
	EXPECT_EQ(tt_read(a, &c, 1), 1);
	EXPECT_EQ(c, 'w');
	tt_fd_close(client);
	tt_fd_close(a);
}

/* ---- a lossy network ---- */

enum { SENT = 60 };

struct seen {
	unsigned times[SENT];
	unsigned lost, doubled, overtaken;
};

static TT_TASK(send_all, (const char *, at))
{
	tt_fd *fd;

	TT_TRY(tt_udp_connect(at, NULL, &fd));
	for (unsigned char i = 0; i < SENT; i++) {
		unsigned char d[2] = { i, (unsigned char)~i };

		EXPECT_EQ(tt_udp_send(fd, d, 2, NULL), 2);
		TT_TRY(tt_sleep(TT_US(100)));
	}
	tt_fd_close(fd);
	return 0;
}

static TT_TASK(storm, (struct seen *, s))
{
	unsigned char d[4];
	char at[32];
	tt_fd *fd = udp_at("127.0.0.1", at);
	int rc, last = -1;

	TT_GROUP(g);
	tt_go(&g, send_all, at);
	while ((rc = TT_WITHIN(TT_SEC(5), tt_udp_recv(fd, d, sizeof(d), NULL))) == 2) {
		/* Never in part, never changed. */
		EXPECT_EQ(d[0] ^ d[1], 0xff);
		s->times[d[0]]++;
		s->overtaken += (int)d[0] < last;
		last = d[0];
	}
	EXPECT_CODE(rc, TT_ETIMEDOUT);
	rc = tt_group_end(&g, 0);
	tt_fd_close(fd);
	return rc;
}

static void storm_with(uint64_t faults, struct seen *s)
{
	for (unsigned i = 0; i < 20; i++) {
		tt_sim_options o = { .seed = tt_test_seed() + i, .faults = faults, .quiet = true };

		memset(s->times, 0, sizeof(s->times));
		EXPECT_OK(tt_sim_run_with(&o, storm, s));
		for (int k = 0; k < SENT; k++) {
			s->lost += s->times[k] == 0;
			s->doubled += s->times[k] == 2;
			EXPECT_LE(s->times[k], 2);
		}
	}
}

/* Law 1. Each kind of trouble happens if it was asked for, and only then. */
TT_TEST_PLAIN(udp, a_simulated_network_loses_doubles_and_overtakes)
{
	struct seen none = { .lost = 0 }, loss = none, twice = none, order = none;

	storm_with(TT_FAULTS_NONE, &none);
	EXPECT_EQ(none.lost + none.doubled + none.overtaken, 0);
	storm_with(TT_FAULT_BIT(TT_FAULT_UDP_LOSS), &loss);
	EXPECT_GT(loss.lost, 0);
	EXPECT_EQ(loss.doubled + loss.overtaken, 0);
	storm_with(TT_FAULT_BIT(TT_FAULT_UDP_DUPLICATE), &twice);
	EXPECT_GT(twice.doubled, 0);
	EXPECT_EQ(twice.lost, 0);
	storm_with(TT_FAULT_BIT(TT_FAULT_UDP_REORDER), &order);
	EXPECT_GT(order.overtaken, 0);
	EXPECT_EQ(order.lost + order.doubled, 0);
	tt_test_note("%u lost, %u doubled, %u overtaken", loss.lost, twice.doubled, order.overtaken);
}

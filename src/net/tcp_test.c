/* SPDX-License-Identifier: MIT */
/* tcp_test.c - listening, connecting by address and by name, accepting, and what goes wrong. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "env/env.h"
#include "io/driver.h"
#include "net/fd.h"
#include "net/net_testkit.h"

TT_TEST_MAIN()

static bool error_says(int rc, const char *part)
{
	char got[1000] = "";
	tt_error e;

	tt_error_take(&e, rc);
	tt_error_text(&e, got, sizeof(got));
	tt_error_fini(&e);
	return strstr(got, part) != NULL || EXPECT_STR_EQ(got, part);
}

static int port_text(char *buf, size_t n, const char *host, int port)
{
	return snprintf(buf, n, "%s:%d", host, port);
}

/* Both ends know each other by address. */
TT_TEST(tcp, both_ends_have_names)
{
	char addr[32], text[64], expected[64];
	tt_fd *listener, *client, *server;
	tt_addr peer;

	listener = test_listener(addr, NULL);
	REQUIRE_OK(tt_tcp_connect(addr, NULL, &client));
	REQUIRE_OK(tt_accept(listener, &server, &peer));
	tt_addr_text(&peer, text, sizeof(text));
	port_text(expected, sizeof(expected), "127.0.0.1", tt_fd_local_port(client));
	EXPECT_STR_EQ(text, expected);
	EXPECT_OK(tt_fd_peer_text(server, text, sizeof(text)));
	EXPECT_STR_EQ(text, expected);
	EXPECT_OK(tt_fd_peer_text(client, text, sizeof(text)));
	EXPECT_STR_EQ(text, addr);
	EXPECT_EQ(tt_fd_local_port(server), tt_fd_local_port(listener));
	EXPECT_CODE(tt_fd_peer_text(listener, text, sizeof(text)), TT_ENOTCONN);
	tt_fd_close(server);
	tt_fd_close(client);
	tt_fd_close(listener);
}

/* A second listener on the address is refused in words; nobody listening is a refusal too. */
TT_TEST(tcp, failures_say_what_and_where)
{
	tt_fd *listener, *fd = NULL;
	char addr[32];

	listener = test_listener(addr, NULL);
	EXPECT_CODE(tt_tcp_listen(addr, NULL, &fd), TT_EADDRINUSE);
	EXPECT_TRUE(error_says(TT_EADDRINUSE, "listen on 127.0.0.1:"));
	tt_fd_close(listener);
	EXPECT_CODE(tt_tcp_connect(addr, NULL, &fd), TT_ECONNREFUSED);
	EXPECT_TRUE(error_says(TT_ECONNREFUSED, "connect to 127.0.0.1:"));
	EXPECT_CODE(tt_tcp_connect("x", NULL, &fd), TT_EINVAL);
	EXPECT_TRUE(error_says(TT_EINVAL, "tt_tcp_connect: address \"x\": port missing"));
	EXPECT_CODE(tt_tcp_connect(":80", NULL, &fd), TT_EINVAL);
	EXPECT_TRUE(error_says(TT_EINVAL, "host missing"));
	EXPECT_CODE(tt_tcp_listen("nonsense", NULL, &fd), TT_EINVAL);
	EXPECT_TRUE(error_says(TT_EINVAL, "tt_tcp_listen: address \"nonsense\": port missing"));
	EXPECT_EQ(fd, NULL);
}

/* What accepts cannot read, and what reads cannot accept. */
TT_TEST(tcp, wrong_kind_of_descriptor)
{
	tt_fd *listener, *fd, *ends[2];
	char addr[32];
	char c;

	listener = test_listener(addr, NULL);
	REQUIRE_OK(tt_pair(ends));
	EXPECT_CODE(tt_read(listener, &c, 1), TT_ENOTCONN);
	EXPECT_CODE(tt_accept(ends[0], &fd, NULL), TT_EINVAL);
	EXPECT_CODE(tt_fd_local_port(ends[0]), TT_ENOTSUP);
	test_close_pair(ends);
	tt_fd_close(listener);
}

static int greet(tt_fd *listener, const char *addr)
{
	tt_fd *client, *server;
	char c = 0;

	TT_TRY(tt_tcp_connect(addr, NULL, &client));
	REQUIRE_OK(tt_accept(listener, &server, NULL));
	EXPECT_EQ(tt_write(client, "h", 1), 1);
	EXPECT_EQ(tt_read(server, &c, 1), 1);
	EXPECT_EQ(c, 'h');
	tt_fd_close(client);
	tt_fd_close(server);
	return 0;
}

/* By name: the simulated network and a real machine both know localhost. */
TT_TEST(tcp, connects_by_name)
{
	char addr[32];
	tt_fd *listener = test_listener(addr, NULL);

	port_text(addr, sizeof(addr), "localhost", tt_fd_local_port(listener));
	EXPECT_OK(greet(listener, addr));
	EXPECT_OK(greet(listener, addr));
	tt_fd_close(listener);
}

/* A name that nobody has. */
TT_TEST(tcp, unknown_name_is_enohost)
{
	tt_fd *fd = NULL;

	EXPECT_CODE(tt_tcp_connect("no-such-host.invalid:80", NULL, &fd), TT_ENOHOST);
	EXPECT_TRUE(error_says(TT_ENOHOST, "look up \"no-such-host.invalid\""));
	EXPECT_CODE(tt_tcp_listen("no-such-host.invalid:80", NULL, &fd), TT_ENOHOST);
	EXPECT_EQ(fd, NULL);
}

static TT_TASK(connect_and_close, (const char *, addr))
{
	tt_fd *fd;

	TT_TRY(tt_tcp_connect(addr, NULL, &fd));
	tt_fd_close(fd);
	return 0;
}

static TT_TASK(accept_and_close, (tt_fd *, listener), (int, n))
{
	tt_fd *fd;

	for (int i = 0; i < n; i++) {
		TT_TRY(tt_accept(listener, &fd, NULL));
		tt_fd_close(fd);
	}
	return 0;
}

/* Many tasks ask for one name at a time; some are cancelled meanwhile; the rest connect. */
TT_TEST(tcp, name_lookups_are_shared_and_abandoned)
{
	/* law 5 */
	static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };
	char addr[32];
	tt_fd *listener = test_listener(addr, NULL), *fd;

	port_text(addr, sizeof(addr), "localhost", tt_fd_local_port(listener));
	{
		TT_GROUP(g);
		tt_go(&g, accept_and_close, listener, 20);
		for (int i = 0; i < 20; i++)
			tt_go_with(&g, &anywhere, connect_and_close, addr);
		EXPECT_OK(tt_group_end(&g, 0));
	}
	for (int i = 0; i < 10; i++) {
		int rc = TT_WITHIN(0, tt_tcp_connect("localhost:1", NULL, &fd));

		EXPECT_CODE(rc, TT_ETIMEDOUT);
		rc = TT_WITHIN(TT_US(10 * i), tt_tcp_connect("localhost:1", NULL, &fd));
		EXPECT_TRUE(rc == TT_ETIMEDOUT || rc == TT_ECONNREFUSED);
	}
	EXPECT_TASKS_ALIVE(1);
	tt_fd_close(listener);
}

/* The address that listens is taken, and when none does the last refusal counts, with the
 * others beside it. */
TT_TEST_ON(tcp, all_addresses_of_a_name_are_tried, TT_ON_SIM, "needs a name with two addresses")
{
	tt_fd *listener, *fd, *server;
	char text[64];

	EXPECT_CODE(tt_tcp_connect("dual.host.sim:7", NULL, &fd), TT_ECONNREFUSED);
	EXPECT_TRUE(error_says(TT_ECONNREFUSED, "connect to dual.host.sim:7"));
	EXPECT_CODE(tt_tcp_connect("dual.host.sim:7", NULL, &fd), TT_ECONNREFUSED);
	EXPECT_TRUE(error_says(TT_ECONNREFUSED, "[::1]:7"));
	REQUIRE_OK(tt_tcp_listen("0.0.0.0:7", NULL, &listener));
	REQUIRE_OK(tt_tcp_connect("dual.host.sim:7", NULL, &fd));
	REQUIRE_OK(tt_accept(listener, &server, NULL));
	EXPECT_OK(tt_fd_peer_text(fd, text, sizeof(text)));
	EXPECT_EQ(memcmp(text, "10.", 3), 0);
	tt_fd_close(server);
	tt_fd_close(fd);
	tt_fd_close(listener);
}

/* Any address, and the other family. */
TT_TEST(tcp, any_address_takes_both_families)
{
	static const char *const forms[] = { ":0", "*:0" };
	char addr[64];
	tt_fd *listener;

	for (int i = 0; i < 2; i++) {
		REQUIRE_OK(tt_tcp_listen(forms[i], NULL, &listener));
		port_text(addr, sizeof(addr), "127.0.0.1", tt_fd_local_port(listener));
		EXPECT_OK(greet(listener, addr));
		tt_fd_close(listener);
	}
	if (tt_tcp_listen("[::1]:0", NULL, &listener) < 0)
		tt_test_skip("this machine has no IPv6");
	port_text(addr, sizeof(addr), "[::1]", tt_fd_local_port(listener));
	EXPECT_OK(greet(listener, addr));
	tt_fd_close(listener);
}

static int option_of(tt_fd *fd, int level, int option)
{
	uint32_t len = sizeof(int);
	struct tti_fd_call c;
	int value = -1;

	REQUIRE_OK(tti_fd_enter(fd, TTI_NEITHER, &c));
	EXPECT_EQ(tti_env_syscall(SYS_getsockopt, c.fd->number, level, option, (long)&value, (long)&len, 0), 0);
	return (int)tti_fd_leave(&c, value);
}

/* Nagle's algorithm is off on both ends unless it was asked for; keepalive comes with the listener. */
TT_TEST_ON(tcp, options_reach_both_ends, TT_ON_REAL, "asks the kernel")
{
	const tt_tcp_options slow = { .delay = true, .keepalive = TT_SEC(30) - 1 };
	tt_fd *listener, *client, *server;
	char addr[32];

	listener = test_listener(addr, NULL);
	REQUIRE_OK(tt_tcp_connect(addr, NULL, &client));
	REQUIRE_OK(tt_accept(listener, &server, NULL));
	EXPECT_NE(option_of(client, IPPROTO_TCP, TCP_NODELAY), 0);
	EXPECT_NE(option_of(server, IPPROTO_TCP, TCP_NODELAY), 0);
	EXPECT_EQ(option_of(server, SOL_SOCKET, SO_KEEPALIVE), 0);
	tt_fd_close(server);
	tt_fd_close(client);
	tt_fd_close(listener);
	listener = test_listener(addr, &slow);
	REQUIRE_OK(tt_tcp_connect(addr, &slow, &client));
	REQUIRE_OK(tt_accept(listener, &server, NULL));
	EXPECT_EQ(option_of(client, IPPROTO_TCP, TCP_NODELAY), 0);
	EXPECT_EQ(option_of(server, IPPROTO_TCP, TCP_NODELAY), 0);
	EXPECT_EQ(option_of(server, SOL_SOCKET, SO_KEEPALIVE), 1);
	EXPECT_EQ(option_of(server, IPPROTO_TCP, TCP_KEEPIDLE), 30);
	tt_fd_close(server);
	tt_fd_close(client);
	tt_fd_close(listener);
}

/* With reuse_port two listeners share an address. */
TT_TEST(tcp, reuse_port_shares_an_address)
{
	const tt_tcp_options o = { .reuse_port = true };
	char addr[32];
	tt_fd *one = test_listener(addr, &o), *two;

	REQUIRE_OK(tt_tcp_listen(addr, &o, &two));
	tt_fd_close(one);
	EXPECT_OK(greet(two, addr));
	tt_fd_close(two);
}

/* ---- cancels ---- */

/* Laws 1 and 2: an accept that times out took no connection, the next one gets it; one that
 * raced with a connection returns it. */
TT_TEST(tcp, cancelled_accept_loses_no_connection)
{
	tt_fd *listener, *client, *server;
	char addr[32];

	listener = test_listener(addr, NULL);
	for (int i = 0; i < 40; i++) {
		int rc;

		EXPECT_CODE(TT_WITHIN(TT_US(50), tt_accept(listener, &server, NULL)), TT_ETIMEDOUT);
		REQUIRE_OK(tt_tcp_connect(addr, NULL, &client));
		rc = TT_WITHIN(TT_US(i % 8), tt_accept(listener, &server, NULL));
		if (rc == TT_ETIMEDOUT)
			rc = tt_accept(listener, &server, NULL);
		REQUIRE_OK(rc);
		EXPECT_EQ(tt_write(client, "x", 1), 1);
		EXPECT_EQ(tt_read(server, addr + 31, 1), 1);
		addr[31] = '\0';
		tt_fd_close(client);
		tt_fd_close(server);
	}
	EXPECT_CODE(TT_WITHIN(TT_US(50), tt_accept(listener, &server, NULL)), TT_ETIMEDOUT);
	tt_fd_close(listener);
}

/* Law 1: a connect that times out leaves nothing open, whenever the time runs out. */
TT_TEST(tcp, cancelled_connect_leaves_nothing_open)
{
	tt_fd *listener, *fd;
	char addr[32];

	listener = test_listener(addr, NULL);
	for (int i = 0; i < 60; i++) {
		int rc = TT_WITHIN(TT_US(i % 30), tt_tcp_connect(addr, NULL, &fd));

		if (rc == 0)
			tt_fd_close(fd);
		else
			EXPECT_CODE(rc, TT_ETIMEDOUT);
	}
	tt_fd_close(listener);
}

/* ---- shortage ---- */

/* For want of descriptors accept waits, says so once, and goes on when there are some: here a
 * second passes with few wake-ups. */
TT_TEST_ON(tcp, accept_waits_out_emfile, TT_ON_REAL, "needs a real limit")
{
	struct rlimit before, low;
	tt_fd *listener, *client, *server;
	struct rusage usage;
	char addr[32];
	uint64_t tries;
	long sleeps;

	listener = test_listener(addr, NULL);
	REQUIRE_OK(tt_tcp_connect(addr, NULL, &client));
	REQUIRE_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
	low = before;
	low.rlim_cur = 3;
	REQUIRE_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
	getrusage(RUSAGE_THREAD, &usage);
	sleeps = usage.ru_nvcsw;
	tries = tti_home_here->driver->submits;
	EXPECT_CODE(TT_WITHIN(TT_SEC(1), tt_accept(listener, &server, NULL)), TT_ETIMEDOUT);
	getrusage(RUSAGE_THREAD, &usage);
	/* Ten tries; the timer wheel wakes once or twice more on the way to each. */
	EXPECT_LE(usage.ru_nvcsw - sleeps, 30);
	/* A loop that never sleeps has no sleeps to count. */
	EXPECT_LE(tti_home_here->driver->submits - tries, 15);
	REQUIRE_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
	REQUIRE_OK(tt_accept(listener, &server, NULL));
	tt_fd_close(server);
	tt_fd_close(client);
	tt_fd_close(listener);
}

static TT_TASK(starved_server)
{
	tt_fd *fds[8], *listener, *server;
	char addr[32];

	listener = test_listener(addr, NULL);
	for (int i = 0; i < 8; i++)
		TT_TRY(tt_tcp_connect(addr, NULL, &fds[i]));
	for (int i = 0; i < 8; i++) {
		TT_TRY(tt_accept(listener, &server, NULL));
		tt_fd_close(server);
		tt_fd_close(fds[i]);
	}
	tt_fd_close(listener);
	return 0;
}

/* The simulated network takes descriptors away in bursts; every connection comes through. */
TT_TEST_PLAIN(tcp, simulated_emfile_is_waited_out)
{
	uint64_t hits = 0;

	for (uint64_t seed = 1; seed <= 40; seed++) {
		const tt_sim_options o = { .seed = seed, .faults = TT_FAULT_BIT(TT_FAULT_ACCEPT_EMFILE) };
		tt_sim_report report;

		EXPECT_OK(tt_sim_run_with(&o, starved_server));
		tt_sim_report_last(&report);
		hits += report.faults[TT_FAULT_ACCEPT_EMFILE];
		/* Waited out, not spun out: every try in vain has its pause. */
		EXPECT_GE(report.virtual_ns, (int64_t)report.faults[TT_FAULT_ACCEPT_EMFILE] * TT_MS(100));
	}
	EXPECT_GT(hits, 0);
}

/* SPDX-License-Identifier: MIT */
/*
 * torture_net_test.c - datagrams, passed descriptors, names, and the race of a name's addresses,
 * cut short everywhere they can be; see torture_test.c.
 *
 * Conserved after every run: bytes of a file that a send reports, datagrams that a send reports (a calm network loses none),
 * descriptors that were passed (each is received once, or still in the stream), and, as the
 * simulator counts them, descriptors and tasks.
 *
 * test-on: sim2
 * test-timeout: 600
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <tutti/file.h>

#include "torture_kit.h"

TT_TEST_MAIN()

/* ---- datagrams ---- */

static TT_TASK(send_datagrams, (struct ledger *, l), (tt_fd *, fd), (const tt_addr *, to))
{
	static const char bytes[3] = "abc";
	int rc;

	for (size_t n = 1; n <= 3; n++) {
		rc = tt_udp_send(fd, bytes, n, to);
		if (rc < 0)
			return rc;
		l->sent += n;
	}
	return 0;
}

static TT_TASK(recv_datagrams, (struct ledger *, l), (tt_fd *, fd), (int, count))
{
	char buf[2];
	int rc;

	for (int i = 0; i < count; i++) {
		rc = tt_udp_recv(fd, buf, sizeof(buf), NULL);
		if (rc < 0)
			return rc;
		l->received += (size_t)rc;
	}
	return 0;
}

static int both_ways(struct ledger *l, tt_fd *server, tt_fd *client, const tt_addr *to)
{
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, recv_datagrams, l, server, 2);
	tt_go_with(&g, &anywhere, recv_datagrams, l, server, 1);
	tt_go_with(&g, &anywhere, send_datagrams, l, client, to);
	return tt_group_end(&g, 0);
}

/* What was sent and not received is in the socket, once the wire is quiet. */
static void take_the_rest(struct ledger *l, tt_fd *fd)
{
	char buf[8];
	int n;

	TT_IGNORE(TT_SHIELDED(TT_SEC(1), tt_sleep(TT_MS(1))));
	while ((n = UNREFUSED(tt_try_read(fd, buf, sizeof(buf)))) > 0)
		l->received += (size_t)n;
}

static int over_socket(struct ledger *l, tt_fd *server)
{
	tt_fd *client;
	tt_addr to;
	char at[32];
	int rc;

	snprintf(at, sizeof(at), "127.0.0.1:%d", tt_fd_local_port(server));
	TT_TRY(tt_addr_parse(at, &to));
	TT_TRY(tt_udp_open(NULL, NULL, &client));
	rc = both_ways(l, server, client, &to);
	tt_fd_close(client);
	return rc;
}

static int over_connected(struct ledger *l, tt_fd *server)
{
	tt_fd *client;
	char at[32];
	int rc;

	snprintf(at, sizeof(at), "localhost:%d", tt_fd_local_port(server));
	TT_TRY(tt_udp_connect(at, NULL, &client));
	rc = both_ways(l, server, client, NULL);
	tt_fd_close(client);
	return rc;
}

static int with_server(struct ledger *l, const char *at, int (*step)(struct ledger *, tt_fd *))
{
	tt_fd *server;
	int rc;

	TT_TRY(tt_udp_open(at, NULL, &server));
	rc = step(l, server);
	take_the_rest(l, server);
	tt_fd_close(server);
	return rc;
}

static TT_TASK(sends_to, (struct ledger *, l)) { return with_server(l, "*:0", over_socket); }
static TT_TASK(sends_connected, (struct ledger *, l)) { return with_server(l, "localhost:0", over_connected); }

TORTURE(tt_udp_open, sends_connected)
TORTURE(tt_udp_connect, sends_connected)
TORTURE(tt_udp_send, sends_to)
TORTURE(tt_udp_recv, sends_to)

/* ---- descriptors through a stream ---- */

static TT_TASK(pass_three, (struct ledger *, l), (tt_fd *, way))
{
	tt_fd *ends[2];
	int rc = 0;

	for (int i = 0; i < 3 && rc >= 0; i++) {
		rc = tt_pair(ends);
		if (rc < 0)
			break;
		rc = tt_unix_send_fd(way, ends[0], "fd", 2);
		if (rc > 0) {
			l->made++;
			l->sent += (size_t)rc;
		}
		tt_fd_close(ends[0]);
		tt_fd_close(ends[1]);
	}
	TT_IGNORE(tt_fd_shutdown(way, SHUT_WR));
	return rc < 0 ? rc : 0;
}

/* Until the end of the stream. */
static int take_fds(struct ledger *l, tt_fd *way)
{
	tt_fd *got;
	char buf[2];
	int rc;

	while ((rc = tt_unix_recv_fd(way, buf, sizeof(buf), &got)) > 0) {
		l->received += (size_t)rc;
		l->gone += got != NULL;
		tt_fd_close(got);
	}
	return rc;
}

static TT_TASK(take_three, (struct ledger *, l), (tt_fd *, way))
{
	return take_fds(l, way);
}

static int over_way(struct ledger *l, tt_fd *way[2])
{
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, pass_three, l, way[0]);
	tt_go_with(&g, &anywhere, take_three, l, way[1]);
	return tt_group_end(&g, 0);
}

static TT_TASK(passes_fds, (struct ledger *, l))
{
	tt_fd *way[2];
	int rc;

	TT_TRY(tt_pair(way));
	rc = over_way(l, way);
	TT_IGNORE(tt_fd_shutdown(way[0], SHUT_WR)); /* if nobody came to it */
	/* Longer than the hours by which a deadline is struck. */
	EXPECT_EQ(UNREFUSED(TT_SHIELDED(TT_SEC(1000000000), take_fds(l, way[1]))), 0);
	tt_fd_close(way[0]);
	tt_fd_close(way[1]);
	return rc;
}

TORTURE(tt_unix_send_fd, passes_fds)
TORTURE(tt_unix_recv_fd, passes_fds)

/* Whoever passes is stopped by the close of what it passes. */
static TT_TASK(pass_until_closed, (tt_fd *, way), (tt_fd *, passed))
{
	static char big[1u << 16];
	int rc;

	do
		rc = tt_unix_send_fd(way, passed, big, sizeof(big));
	while (rc > 0);
	return rc == TT_EBADF ? 0 : rc;
}

static int close_what_is_passed(tt_fd *way, tt_fd **passed)
{
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, pass_until_closed, way, *passed);
	TT_TRY_IN(&g, tt_sleep(TT_MS(1)));
	tt_fd_close(*passed);
	*passed = NULL;
	return tt_group_end(&g, 0);
}

static TT_TASK(closes_what_is_passed, (struct ledger *, l))
{
	tt_fd *way[2], *ends[2];
	int rc;

	(void)l;
	TT_TRY(tt_pair(way));
	rc = tt_pair(ends);
	if (rc == 0) {
		rc = close_what_is_passed(way[0], &ends[0]);
		tt_fd_close(ends[0]);
		tt_fd_close(ends[1]);
	}
	tt_fd_close(way[0]);
	tt_fd_close(way[1]);
	return rc;
}

TORTURE(tt_fd_close, closes_what_is_passed)

/* ---- names ---- */

static TT_TASK(look_up, (const char *, host))
{
	tt_addr a[4];
	int rc = tt_resolve(host, "https", a, 4);

	return rc < 0 ? rc : 0;
}

static TT_TASK(look_up_briefly, (const char *, host))
{
	tt_addr a;
	int rc = TT_WITHIN(TT_US(3), tt_resolve(host, "https", &a, 1));

	return rc < 0 && rc != TT_ETIMEDOUT ? rc : 0;
}

static TT_TASK(looks_up, (struct ledger *, l))
{
	(void)l;
	TT_GROUP(g);
	for (int i = 0; i < 2; i++) {
		tt_go_with(&g, &anywhere, look_up, "dual.name.sim");
		tt_go_with(&g, &anywhere, look_up_briefly, "dual.name.sim");
		tt_go_with(&g, &anywhere, look_up, "other.sim");
	}
	return tt_group_end(&g, 0);
}

TORTURE(tt_resolve, looks_up)

/* ---- a name of several addresses ---- */

static TT_TASK(connect_by_race, (const char *, addr))
{
	tt_fd *fd;

	TT_TRY(tt_tcp_connect(addr, NULL, &fd));
	tt_fd_close(fd);
	return 0;
}

static int accept_racers(tt_fd *listener, const char *addr, int n)
{
	tt_fd *fd;

	TT_GROUP(g);
	for (int i = 0; i < n; i++)
		tt_go_with(&g, &anywhere, connect_by_race, addr);
	for (int i = 0; i < n; i++) {
		TT_TRY_IN(&g, tt_accept(listener, &fd, NULL));
		tt_fd_close(fd);
	}
	return tt_group_end(&g, 0);
}

static TT_TASK(races, (struct ledger *, l))
{
	tt_fd *listener;
	int rc;

	(void)l;
	TT_TRY(tt_tcp_listen("0.0.0.0:7", NULL, &listener));
	rc = accept_racers(listener, "h6a4.name.sim:7", 2);
	tt_fd_close(listener);
	return rc;
}

TORTURE(tt_tcp_connect, races)

/* None answers: each is cut short with all its attempts under way. */
static TT_TASK(races_in_vain, (struct ledger *, l))
{
	tt_fd *fd = NULL;
	int rc;

	(void)l;
	rc = TT_WITHIN(TT_SEC(1), tt_tcp_connect("h6a4h4h6.name.sim:8", NULL, &fd));
	EXPECT_EQ(fd, NULL);
	return rc == TT_ETIMEDOUT ? 0 : rc;
}

TORTURE(tt_tcp_connect_in_vain, races_in_vain)

/* ---- a file through a stream ---- */

enum { FILE_BYTES = 200000 };

static int file_open(tt_fd **ret_fd)
{
	static unsigned char bytes[FILE_BYTES];
	int rc;

	TT_TRY(tt_file_open("torture_net_test.data", O_RDWR | O_CREAT | O_TRUNC, 0600, ret_fd));
	memset(bytes, 's', sizeof(bytes));
	rc = tt_file_pwrite_all(*ret_fd, bytes, sizeof(bytes), 0, NULL);
	if (rc < 0)
		tt_fd_close(*ret_fd);
	return rc;
}

static TT_TASK(read_to_the_end, (struct ledger *, l), (tt_fd *, fd))
{
	static char buf[30000];
	int rc;

	while ((rc = tt_read(fd, buf, sizeof(buf))) > 0)
		l->received += (size_t)rc;
	return rc;
}

static int send_and_read(struct ledger *l, tt_fd *ends[2], tt_fd *file)
{
	size_t done = 0;
	int rc;

	TT_GROUP(g);
	tt_go_with(&g, &anywhere, read_to_the_end, l, ends[1]);
	rc = tt_sendfile(ends[0], file, 10, SIZE_MAX, &done);
	l->sent += done;
	if (rc == 0)
		EXPECT_EQ(done, FILE_BYTES - 10);
	TT_IGNORE(tt_fd_shutdown(ends[0], SHUT_WR));
	return tt_group_end(&g, rc);
}

static int over_pair(struct ledger *l, tt_fd *file)
{
	char rest[4096];
	tt_fd *ends[2];
	int rc, n;

	TT_TRY(tt_pair(ends));
	rc = send_and_read(l, ends, file);
	while ((n = UNREFUSED(tt_try_read(ends[1], rest, sizeof(rest)))) > 0)
		l->received += (size_t)n;
	tt_fd_close(ends[0]);
	tt_fd_close(ends[1]);
	return rc;
}

static TT_TASK(sends_a_file, (struct ledger *, l))
{
	tt_fd *file;
	int rc;

	TT_TRY(file_open(&file));
	rc = over_pair(l, file);
	tt_fd_close(file);
	return rc;
}

TORTURE(tt_sendfile, sends_a_file)

/* SPDX-License-Identifier: MIT */
/*
 * 03_timeouts.c - a timeout around a call, and a cancel from elsewhere.
 *
 * fetch() takes no timeout: whoever calls it says how long all of it may take. It gives back
 * its connection as after any other failure. 03b_curl.c does the same with libcurl.
 */
#include <stdio.h>
#include <string.h>
#include <tutti/tutti.h>

/* Answers one line, "hello" at once and "slow" never. */
TT_TASK(serve, (tt_fd *, conn, tt_fd_close))
{
	char buf[64], *line;
	size_t len;
	tt_reader r;
	int rc;

	tt_reader_init(&r, conn, buf, sizeof(buf));
	rc = tt_read_until(&r, '\n', &line, &len);
	if (rc > 0 && strcmp(line, "slow") == 0)
		rc = tt_sleep(TT_NEVER);
	if (rc > 0)
		rc = tt_write_all(conn, "hello to you\n", 13, NULL);
	tt_fd_close(conn);
	return rc == TT_ECANCELED ? rc : 0; /* a client that went away is no failure of ours */
}

TT_TASK(server, (tt_fd *, listener))
{
	tt_fd *conn;
	int rc;

	TT_GROUP(g);
	while ((rc = tt_accept(listener, &conn, NULL)) == 0)
		tt_go(&g, serve, conn);
	return tt_group_end(&g, rc);
}

static int fetch(const char *addr, const char *what)
{
	char buf[64], *line;
	size_t len;
	tt_reader r;
	tt_fd *conn;
	int rc;

	TT_TRY(tt_tcp_connect(addr, NULL, &conn));
	tt_reader_init(&r, conn, buf, sizeof(buf));
	rc = tt_write_all(conn, what, strlen(what), NULL);
	if (rc == 0 && (rc = tt_read_until(&r, '\n', &line, &len)) > 0)
		printf("fetched: %s\n", line);
	tt_fd_close(conn);
	return rc;
}

TT_TASK(changes_its_mind, (tt_canceller *, c, tt_canceller_put))
{
	tt_cancel_with(c, TT_ESTOP, "nobody needs it any more");
	tt_canceller_put(c);
	return 0;
}

static int fetches(tt_group *g, const char *addr)
{
	int rc;

	TT_TRY(TT_WITHIN(TT_SEC(5), fetch(addr, "hello\n")));
	rc = TT_WITHIN(TT_MS(20), fetch(addr, "slow\n"));
	printf("too slow: %s\n", tt_error_name(rc));
	if (rc != TT_ETIMEDOUT)
		return rc;
	TT_SCOPE(s, TT_SEC(5)); /* this one another task cancels, and says why */
	tt_go(g, changes_its_mind, tt_scope_canceller(&s));
	rc = tt_scope_end(&s, fetch(addr, "slow\n"));
	printf("cancelled: %s\n", tt_strerror(rc));
	return rc == TT_ESTOP ? 0 : rc;
}

TT_TASK(app)
{
	static const tt_child_options daemon = { .daemon = true };
	tt_fd *listener;
	char addr[32];

	TT_TRY(tt_tcp_listen("127.0.0.1:0", NULL, &listener));
	TT_DEFER(tt_fd_close, listener);
	snprintf(addr, sizeof(addr), "127.0.0.1:%d", tt_fd_local_port(listener));
	TT_GROUP(g);
	tt_go_with(&g, &daemon, server, listener);
	TT_TRY_IN(&g, fetches(&g, addr));
	return tt_group_end(&g, 0); /* only the server is left: it is cancelled */
}

int main(void)
{
	return tt_main(app);
}

/* SPDX-License-Identifier: MIT */
/*
 * torture_obs_test.c - the watchers of obs/ that wait, cut short everywhere they can be.
 *
 * test-on: sim2
 * test-timeout: 600
 */
#include <signal.h>

#include "torture_kit.h"

static const tt_child_options daemon_child = { .worker = TT_WORKER_ANY, .daemon = true };

/* Reads the tree to its end; at least the line that counts the tasks. */
static int read_tree(tt_fd *fd, struct ledger *l)
{
	char buf[256];
	int n;

	(void)l;
	while ((n = tt_read(fd, buf, sizeof(buf))) > 0)
		;
	return n;
}

/* The listener is there once its task has run; until then nobody answers. */
static int connect_when_there(const char *path, tt_fd **ret_fd)
{
	int rc = TT_ECONNREFUSED;

	for (int i = 0; i < 100 && rc == TT_ECONNREFUSED; i++) {
		TT_TRY(tt_sleep(TT_MS(1)));
		rc = tt_unix_connect(path, ret_fd);
	}
	return rc;
}

static int ask(struct ledger *l, const char *path)
{
	tt_fd *fd;
	int rc;

	TT_TRY(connect_when_there(path, &fd));
	rc = read_tree(fd, l);
	tt_fd_close(fd);
	return rc;
}

static TT_TASK(serves_dumps, (struct ledger *, l))
{
	char buf[40];
	const char *name = own_name("@torture-dump", buf, sizeof(buf));
	int rc;

	TT_GROUP(g);
	tt_go_with(&g, &daemon_child, tt_dump_serve, name);
	rc = ask(l, name);
	return tt_group_end(&g, rc);
}

/* No signal comes: what it prints would be printed hundreds of times. */
static TT_TASK(waits_for_dump_signals, (struct ledger *, l))
{
	int rc;

	(void)l;
	TT_GROUP(g);
	tt_go_with(&g, &daemon_child, tt_dump_on_signal, SIGUSR1);
	rc = tt_sleep(TT_MS(1));
	return tt_group_end(&g, rc);
}

TORTURE(tt_dump_serve, serves_dumps)
TORTURE(tt_dump_on_signal, waits_for_dump_signals)

TT_TEST_MAIN()

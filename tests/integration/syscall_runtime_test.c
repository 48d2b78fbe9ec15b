/* SPDX-License-Identifier: MIT */
/*
 * syscall_runtime_test.c - a whole runtime while memory, calls and threads are refused: its start, its
 * stop, and work that goes through all of its workers, its pools and its timers. Each run is a process of
 * its own with a time limit; fail_real.c counts what it leaves behind.
 *
 * Whatever is refused: the start fails and says why, or the program runs and its code says
 * why, or nothing is the matter; and nothing is left, and nothing hangs.
 *
 * test-on: epoll1 epoll4 uring1 uring4
 * test-timeout: 3600
 * test-labels: slow children
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <tutti/file.h>
#include <tutti/testing.h>
#include <tutti/tutti.h>

#include "rings.h"
#include "testing/kit.h"

/* Thousands of processes take longer than a test usually has. */
__attribute__((constructor)) static void takes_long(void)
{
	tti_test_options.timeout = 900;
}

static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };

/* A quarter of the places, another one with each seed; at night all, and of a bare start always. */
static tt_torture_options options_for(const char *name)
{
	const char *mode = getenv("TT_CHECK_MODE");
	bool night = mode != NULL && strcmp(mode, "night") == 0, bare = strcmp(name, "starts_and_stops") == 0;

	return (tt_torture_options){
		.name = name, .seed = tt_test_seed(), .workers = tt_test_workers(),
		.sample = night || (bare && tt_test_workers() == 1) ? 100 : 25,
	};
}

#define REFUSE_EVERYTHING(scenario) \
	TT_TEST_PLAIN(memory, scenario) \
	{ \
		tt_torture_options o = options_for(#scenario); \
		tt_torture_result r; \
		skip_where_rings_are_few(); \
		EXPECT_EQ(TT_ALLOC_TORTURE(&o, &r, scenario), 0); \
		EXPECT_GT(r.cut, 0); \
		tt_test_note("memory %-16s %4llu places, %5llu runs, %5llu returned a code", #scenario, \
		             (unsigned long long)r.places, (unsigned long long)r.runs, (unsigned long long)r.cut); \
	} \
	TT_TEST_PLAIN(calls, scenario) \
	{ \
		tt_torture_options o = options_for(#scenario); \
		tt_torture_result r; \
		skip_where_rings_are_few(); \
		EXPECT_EQ(TT_SYSCALL_TORTURE(&o, &r, scenario), 0); \
		EXPECT_GT(r.cut, 0); \
		tt_test_note("calls  %-16s %4llu places, %5llu runs, %5llu returned a code", #scenario, \
		             (unsigned long long)r.places, (unsigned long long)r.runs, (unsigned long long)r.cut); \
	}

/* ---- start and stop, and nothing between ---- */

static TT_TASK(starts_and_stops)
{
	return 0;
}

REFUSE_EVERYTHING(starts_and_stops)

/* ---- tasks on every worker ---- */

static TT_TASK(leaf, (int, depth))
{
	TT_GROUP(g);
	for (int i = 0; i < 2 && depth > 0; i++)
		tt_go_with(&g, &anywhere, leaf, depth - 1);
	return tt_group_end(&g, tt_sleep(TT_US(100)));
}

static TT_TASK(spreads_tasks)
{
	TT_TRY(leaf(3));
	return tt_sleep(TT_MS(1));
}

REFUSE_EVERYTHING(spreads_tasks)

/* ---- a server and its clients ---- */

static TT_TASK(serve, (tt_fd *, fd, tt_fd_close))
{
	char buf[32];
	int n = 0, rc = 0;

	while (rc >= 0 && (n = tt_read(fd, buf, sizeof(buf))) > 0)
		rc = tt_write_all(fd, buf, (size_t)n, NULL);
	tt_fd_close(fd);
	return n < 0 ? n : rc;
}

static TT_TASK(ask, (const char *, addr))
{
	char buf[5];
	tt_fd *fd;
	int rc;

	TT_TRY(tt_tcp_connect(addr, NULL, &fd));
	rc = tt_write_all(fd, "hello", 5, NULL);
	if (rc >= 0)
		rc = tt_read_exact(fd, buf, 5, NULL);
	if (rc >= 0)
		EXPECT_MEM_EQ(buf, "hello", 5);
	tt_fd_close(fd);
	return rc < 0 ? rc : 0;
}

static int accept_some(tt_fd *listener, const char *addr, int clients)
{
	tt_fd *fd;

	TT_GROUP(g);
	for (int i = 0; i < clients; i++)
		tt_go_with(&g, &anywhere, ask, addr);
	for (int i = 0; i < clients; i++) {
		TT_TRY_IN(&g, tt_accept(listener, &fd, NULL));
		tt_go_with(&g, &anywhere, serve, fd);
	}
	return tt_group_end(&g, 0);
}

static TT_TASK(serves_clients)
{
	char addr[32];
	tt_fd *listener;
	int rc;

	TT_TRY(tt_tcp_listen("127.0.0.1:0", NULL, &listener));
	snprintf(addr, sizeof(addr), "127.0.0.1:%d", tt_fd_local_port(listener));
	rc = accept_some(listener, addr, 3);
	tt_fd_close(listener);
	return rc;
}

REFUSE_EVERYTHING(serves_clients)

/* ---- threads: blocking jobs, files, computing ---- */

static TT_TASK(job, (int, n))
{
	return n;
}

static TT_TASK(offload, (int, n))
{
	int rc = tt_blocking(job, n);

	if (rc >= 0)
		EXPECT_EQ(rc, n);
	return rc < 0 ? rc : 0;
}

static TT_TASK(uses_threads)
{
	TT_GROUP(g);
	for (int i = 0; i < 4; i++)
		tt_go_with(&g, &anywhere, offload, i);
	return tt_group_end(&g, 0);
}

REFUSE_EVERYTHING(uses_threads)

static TT_TASK(double_some, (size_t, first), (size_t, end), (int *, items))
{
	for (size_t i = first; i < end; i++)
		items[i] *= 2;
	return 0;
}

static TT_TASK(computes)
{
	int items[1000];

	for (int i = 0; i < 1000; i++)
		items[i] = i;
	TT_TRY(tt_par_for(1000, double_some, items));
	for (int i = 0; i < 1000; i++)
		EXPECT_EQ(items[i], 2 * i);
	return 0;
}

REFUSE_EVERYTHING(computes)

static TT_TASK(writes_files)
{
	char back[8];
	int rc;

	TT_TRY(tt_file_replace("f", "one", 3));
	TT_TRY(tt_file_replace("f", "three", 5));
	rc = tt_file_read_all("f", back, sizeof(back));
	if (rc >= 0)
		EXPECT_EQ(rc, 5);
	return rc < 0 ? rc : 0;
}

REFUSE_EVERYTHING(writes_files)

/* ---- children and signals ---- */

static TT_TASK(runs_programs)
{
	static const char *const argv[] = { "/bin/true", NULL };
	tt_process_options o = { .argv = argv };
	int status = -1, rc = tt_process_run(&o, NULL, &status);

	if (rc >= 0)
		EXPECT_EQ(status, 0);
	return rc < 0 ? rc : 0;
}

REFUSE_EVERYTHING(runs_programs)

static TT_TASK(takes_a_signal)
{
	static const int signals[] = { SIGUSR1 };
	tt_signals s;
	int signo, rc;

	TT_TRY(tt_signal_open(&s, signals, 1));
	raise(SIGUSR1);
	rc = TT_WITHIN(TT_SEC(5), tt_signal_next(&s, &signo));
	tt_signal_close(&s);
	return rc < 0 ? rc : 0;
}

REFUSE_EVERYTHING(takes_a_signal)

TT_TEST_MAIN()

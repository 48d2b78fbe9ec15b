/* SPDX-License-Identifier: MIT */
/*
 * main_test.c - tt_main(): the exit status, the chain on stderr, environment variables,
 * SIGTERM soft and hard. Each case is a process of its own, whose stderr is read. A plain
 * program, since the kit has a main() of its own.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tutti/tutti.h>

#include "testing/child_testkit.h"

static unsigned failures, checks;

static void check(bool ok, const char *what, const char *seen)
{
	checks++;
	if (ok)
		return;
	failures++;
	fprintf(stderr, "main_test: not true: %s; stderr was:\n%s\n", what, seen);
}

/* ---- root tasks ---- */

TT_TASK(returns, (int, rc))
{
	return rc;
}

TT_TASK(fails)
{
	return tt_wrap(tt_fail(-ECONNREFUSED, "connect to %s", "db"), "start");
}

TT_TASK(says_workers)
{
	return tt_worker_count();
}

/* Ends by itself once it is asked to stop, and says that it was. */
TT_TASK(stops_softly)
{
	int rc;

	raise(SIGTERM);
	rc = TT_UNTIL_STOP(tt_sleep(TT_SEC(20)));
	if (rc == TT_ESTOP && tt_stopping())
		rc = tt_sleep(TT_MS(1)); /* everything else still works */
	return rc == 0 ? 17 : 1;
}

/* Does not listen; the hard cancel ends it. */
TT_TASK(stops_hard)
{
	int rc;

	raise(SIGINT);
	rc = tt_sleep(TT_SEC(20));
	return rc == TT_ECANCELED ? 18 : 1;
}

/* Does not even listen to that: the second signal does what signals do. */
TT_TASK(stops_never)
{
	raise(SIGTERM);
	for (int i = 0; i < 200; i++)
		TT_IGNORE(TT_SHIELDED(TT_NEVER, tt_sleep(TT_MS(5))));
	return 1;
}

TT_TASK(signals_twice)
{
	raise(SIGTERM);
	TT_IGNORE(tt_sleep(TT_MS(20)));
	raise(SIGTERM);
	TT_IGNORE(tt_sleep(TT_SEC(20)));
	return 1;
}

/* Asks for a dump, and gives the watcher time to write it: until stderr has grown, or long. */
TT_TASK(is_dumped)
{
	TT_TRY(tt_sleep(TT_MS(1)));
	kill(getpid(), SIGUSR1);
	TT_TRY(tt_sleep(TT_MS(50)));
	return tt_fail(-EPIPE, "after the dump");
}

TT_TASK(rests)
{
	return tt_sleep(TT_MS(20));
}

/* Reads its own tree from the socket, and passes it on to stderr. */
static int read_own_tree(const char *path)
{
	char text[4096];
	tt_fd *fd;
	int n;

	TT_TRY(tt_sleep(TT_MS(1)));
	TT_TRY(tt_unix_connect(path, &fd));
	while ((n = tt_read(fd, text, sizeof(text))) > 0)
		TT_TRY(tt_write_all(tt_stderr(), text, (size_t)n, NULL));
	tt_fd_close(fd);
	return n < 0 ? n : 21;
}

TT_TASK(reads_own_tree, (const char *, path))
{
	return read_own_tree(path);
}

/* Nobody reads the other end. */
TT_TASK(writes_to_a_broken_pipe)
{
	return tt_write_all(tt_stdout(), "x", 1, NULL) == TT_EPIPE ? 19 : 1;
}

/* ---- running one ---- */

typedef int program(void);

static void run(program *p, const char *variable, const char *value, struct child *ret)
{
	if (child_begin(ret, CHILD_STDERR)) {
		unsetenv("TUTTI_STOP_BOUND");
		if (variable != NULL)
			setenv(variable, value, 1);
		alarm(30);
		_exit(p());
	}
	child_end(ret);
}

static bool exited_with(const struct child *o, int code)
{
	return WIFEXITED(o->status) && WEXITSTATUS(o->status) == code;
}

static int p_zero(void) { return tt_main(returns, 0); }
static int p_seven(void) { return tt_main(returns, 7); }
static int p_large(void) { return tt_main(returns, 0x1ff); }
static int p_fails(void) { return tt_main(fails); }
static int p_bare_code(void) { return tt_main(returns, -EPIPE); }
static int p_workers(void) { return tt_main(says_workers); }
static int p_three_workers(void)
{
	tt_main_options o = { .workers = 3 };

	return tt_main_with(&o, says_workers);
}
static int p_soft(void) { return tt_main(stops_softly); }
static int p_hard(void)
{
	tt_main_options o = { .stop_bound = TT_MS(20) };

	return tt_main_with(&o, stops_hard);
}
static int p_hard_by_environment(void) { return tt_main(stops_hard); }
static int p_never(void)
{
	tt_main_options o = { .stop_bound = TT_STOP_AT_ONCE };

	return tt_main_with(&o, stops_never);
}
static int p_twice(void) { return tt_main(signals_twice); }
static int p_broken_pipe(void)
{
	int fds[2];

	if (pipe(fds) != 0)
		return 1;
	dup2(fds[1], STDOUT_FILENO);
	close(fds[0]);
	close(fds[1]);
	return tt_main(writes_to_a_broken_pipe);
}
static int p_twice_in_a_row(void) { return tt_main(returns, 3) == 3 && tt_main(returns, 4) == 4 ? 5 : 1; }

static int p_dumped(void) { return tt_main(is_dumped); }
static int p_rests(void) { return tt_main(rests); }
static int p_reads_own_tree(void) { return tt_main(reads_own_tree, getenv("TUTTI_DUMP_SOCKET")); }

/* ---- claims ---- */

static void exit_status(void)
{
	struct child o;

	run(p_zero, NULL, NULL, &o);
	check(exited_with(&o, 0), "0 is exit status 0", o.text);
	run(p_seven, NULL, NULL, &o);
	check(exited_with(&o, 7), "7 is exit status 7", o.text);
	run(p_large, NULL, NULL, &o);
	check(exited_with(&o, 0xff), "the status is rc & 0xff", o.text);
	run(p_fails, NULL, NULL, &o);
	check(exited_with(&o, 1), "a failure is exit status 1", o.text);
	check(strstr(o.text, "error: start: Connection refused (ECONNREFUSED)\n  in fails, ") != NULL,
	      "its chain is on stderr", o.text);
	run(p_bare_code, NULL, NULL, &o);
	check(exited_with(&o, 1) && strstr(o.text, "Broken pipe (EPIPE)") != NULL, "a code without a chain too", o.text);
	run(p_broken_pipe, NULL, NULL, &o);
	check(exited_with(&o, 19), "a broken pipe is a code, not a signal", o.text);
	run(p_twice_in_a_row, NULL, NULL, &o);
	check(exited_with(&o, 5), "a process may run one runtime after the other", o.text);
}

static void environment(void)
{
	struct child o;

	run(p_workers, "TUTTI_WORKERS", "2", &o);
	check(exited_with(&o, 2), "TUTTI_WORKERS is obeyed", o.text);
	run(p_three_workers, "TUTTI_WORKERS", "2", &o);
	check(exited_with(&o, 3), "an option that is set wins over it", o.text);
	run(p_workers, "TUTTI_WORKERS", "two", &o);
	check(!WIFEXITED(o.status) && strstr(o.text, "TUTTI_WORKERS: \"two\" is not a number") != NULL,
	      "nonsense is refused, by name", o.text);
	run(p_zero, "TUTTI_IO", "kqueue", &o);
	check(!WIFEXITED(o.status) && strstr(o.text, "TUTTI_IO: \"kqueue\" is none of auto, epoll, uring") != NULL,
	      "so is an unknown driver", o.text);
	run(p_zero, "TUTTI_IO", "epoll", &o);
	check(exited_with(&o, 0), "epoll is a driver", o.text);
	run(p_zero, "TUTTI_STACK", "256K", &o);
	check(exited_with(&o, 0), "TUTTI_STACK takes K", o.text);
	run(p_zero, "TUTTI_STACK", "17592186044416M", &o);
	check(!WIFEXITED(o.status) && strstr(o.text, "is not a size") != NULL, "a size that overflows is none", o.text);
	run(p_workers, "TUTTI_WORKERS", "", &o);
	check(!WIFEXITED(o.status) && strstr(o.text, "TUTTI_WORKERS: \"\" is not a number") != NULL, "nor is nothing", o.text);
	run(p_workers, "TUTTI_WORKERS", "-1", &o);
	check(!WIFEXITED(o.status) && strstr(o.text, "TUTTI_WORKERS: \"-1\" is not a number") != NULL, "nor less", o.text);
	run(p_hard_by_environment, "TUTTI_STOP_BOUND", "10s", &o);
	check(!WIFEXITED(o.status) && strstr(o.text, "TUTTI_STOP_BOUND: \"10s\" is not a number") != NULL,
	      "nor is a number with a tail", o.text);
	run(p_zero, "TUTTI_STACK", "64G", &o);
	check(!WIFEXITED(o.status) && strstr(o.text, "TUTTI_STACK: \"64G\" is not a size") != NULL, "and no nonsense", o.text);
}

static void stopping(void)
{
	struct child o;

	run(p_soft, NULL, NULL, &o);
	check(exited_with(&o, 17), "SIGTERM is seen only where it is asked for", o.text);
	run(p_hard, NULL, NULL, &o);
	check(exited_with(&o, 18), "after the bound everything is cancelled", o.text);
	run(p_hard_by_environment, "TUTTI_STOP_BOUND", "10", &o);
	check(exited_with(&o, 18), "TUTTI_STOP_BOUND is that bound, in milliseconds", o.text);
	run(p_hard_by_environment, "TUTTI_STOP_BOUND", "0", &o);
	check(exited_with(&o, 18), "0: at once", o.text);
	run(p_never, NULL, NULL, &o);
	check(exited_with(&o, 1), "a shielded task ends in its own time", o.text);
	run(p_twice, NULL, NULL, &o);
	check(WIFSIGNALED(o.status) && WTERMSIG(o.status) == SIGTERM, "a second signal takes its default action", o.text);
}

/* The environment shows the tasks of a program that knows nothing of it, whose result stays. */
static void dumps(void)
{
	char path[64];
	struct child o;

	run(p_dumped, "TUTTI_DUMP_SIGNAL", "USR1", &o);
	check(exited_with(&o, 1), "a dump does not change how the program ends", o.text);
	check(strstr(o.text, "tutti: 2 tasks on ") != NULL && strstr(o.text, "is_dumped#1 parked") != NULL &&
	      strstr(o.text, "  tt_dump_on_signal#") != NULL, "the tree is on stderr", o.text);
	check(strstr(o.text, "error: after the dump: Broken pipe") != NULL, "and the program's own chain", o.text);
	run(p_zero, "TUTTI_DUMP_SIGNAL", "SIGUSR2", &o);
	check(exited_with(&o, 0), "a watched program still ends by itself", o.text);
	run(p_soft, "TUTTI_DUMP_SIGNAL", "USR1", &o);
	check(exited_with(&o, 17), "and stops softly", o.text);
	run(p_hard_by_environment, "TUTTI_DUMP_SIGNAL", "WINCH?", &o);
	check(!WIFEXITED(o.status) && strstr(o.text, "TUTTI_DUMP_SIGNAL: \"WINCH?\" is none of") != NULL, "nonsense is refused",
	      o.text);
	run(p_rests, "TUTTI_DUMP_SIGNAL", "9", &o);
	check(exited_with(&o, 0) && strstr(o.text, "task dumps on signal 9") != NULL,
	      "a signal that cannot be caught is reported, and the program runs", o.text);

	snprintf(path, sizeof(path), "@tutti-main-test-%d", (int)getpid());
	run(p_reads_own_tree, "TUTTI_DUMP_SOCKET", path, &o);
	check(exited_with(&o, 21), "a dump can be had over a socket", o.text);
	check(strstr(o.text, "reads_own_tree#1 parked") != NULL && strstr(o.text, "  tt_dump_serve#") != NULL,
	      "it is the tree", o.text);
	run(p_rests, "TUTTI_DUMP_SOCKET", "/nowhere/at/all", &o);
	check(exited_with(&o, 0) && strstr(o.text, "task dumps at /nowhere/at/all") != NULL,
	      "a socket that cannot be made is reported, and the program runs", o.text);
}

int main(void)
{
	exit_status();
	dumps();
	environment();
	stopping();
	printf("main_test: %u checks, %u failed\n", checks, failures);
	return failures > 0;
}

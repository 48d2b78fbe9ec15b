/* SPDX-License-Identifier: MIT */
/*
 * expect.c - expectations: what was expected, where, and what was there instead.
 *
 * Called from tests on any worker. A failure is one write to stderr, so that lines of
 * several workers do not mix. REQUIRE ends the test's process: no stack of a task could
 * be unwound from inside a helper.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tutti/error.h>
#include <tutti/time.h>

#include "fiber/fiber.h"
#include "base/panic.h"
#include "sim/sim.h"
#include "task/error.h"
#include "task/task.h"
#include "testing/kit.h"

#define ALIVE_PATIENCE TT_SEC(2)
#define ABORT_PATIENCE_S 20
#define FAILURES_SHOWN 20

static __thread int abort_pipe = -1;
static __thread pid_t abort_pid;

/* How many there were before. */
static uint32_t count_failure(void)
{
	/* relaxed: a count that the process reads when this one has ended. */
	return tti_fetch_add_relaxed(&tti_test_shared->failures, 1);
}

void tti_test_failed(bool require, const char *site, const char *fmt, ...)
{
	uint32_t before = count_failure();
	char line[1600];
	va_list ap;
	int n, m;

	if (before >= FAILURES_SHOWN && !require)
		return;
	n = snprintf(line, sizeof(line), "%s: ", site);
	va_start(ap, fmt);
	m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	va_end(ap);
	n += m < (int)sizeof(line) - n - 1 ? m : (int)sizeof(line) - n - 2;
	line[n++] = '\n';
	TT_IGNORE(write(STDERR_FILENO, line, (size_t)n));
	if (before == 0 || require)
		tti_sim_say_repeat();
	if (require)
		_exit(1);
}

bool tt_expect_true_(bool require, bool held, const char *text, const char *site)
{
	if (!held)
		tti_test_failed(require, site, "expected %s", text);
	return held;
}

bool tt_expect_compare_(bool require, bool held, const char *op, const char *a_text, const char *b_text, long long a,
                        long long b, const char *site)
{
	if (!held)
		tti_test_failed(require, site, "expected %s %s %s, but %lld and %lld", a_text, op, b_text, a, b);
	return held;
}

/* What the current task's chain says of a code. */
static const char *chain_text(int rc, char *buf, size_t n)
{
	const struct tti_error *e = tti_error_here();

	buf[0] = '\0';
	if (rc >= 0 || e == NULL || e->code != rc || e->head == NULL)
		return buf;
	buf[0] = '\n';
	TT_IGNORE(tt_error_text((const tt_error *)(const void *)e, buf + 1, n - 1));
	return buf;
}

bool tt_expect_ok_(bool require, const char *text, int rc, const char *site)
{
	char chain[1000];

	if (rc >= 0)
		return true;
	tti_test_failed(require, site, "expected %s to succeed, but %d (%s: %s)%s", text, rc, tt_error_name(rc),
	                tt_strerror(rc), chain_text(rc, chain, sizeof(chain)));
	return false;
}

bool tt_expect_code_(bool require, const char *text, int rc, int code, const char *site)
{
	char chain[1000];

	if (rc == code)
		return true;
	if (rc >= 0)
		tti_test_failed(require, site, "expected %s to give %s, but %d", text, tt_error_name(code), rc);
	else
		tti_test_failed(require, site, "expected %s to give %s, but %s%s", text,
		                code < 0 ? tt_error_name(code) : "a result", tt_error_name(rc),
		                chain_text(rc, chain, sizeof(chain)));
	return false;
}

bool tt_expect_str_(bool require, const char *a_text, const char *b_text, const char *a, const char *b, const char *site)
{
	if (a != NULL && b != NULL && strcmp(a, b) == 0)
		return true;
	if (a == b)
		return true;
	tti_test_failed(require, site, "expected %s == %s, but \"%s\" and \"%s\"", a_text, b_text, a != NULL ? a : "(null)",
	                b != NULL ? b : "(null)");
	return false;
}

bool tt_expect_mem_(bool require, const char *text, const void *a, const void *b, size_t n, const char *site)
{
	const unsigned char *x = a, *y = b;
	size_t i = 0;

	while (i < n && x[i] == y[i])
		i++;
	if (i == n)
		return true;
	tti_test_failed(require, site, "expected %s over %zu bytes, but byte %zu is 0x%02x and 0x%02x", text, n, i, x[i], y[i]);
	return false;
}

bool tt_expect_tasks_(bool require, size_t n, const char *site)
{
	int64_t until = tt_now() + ALIVE_PATIENCE;
	size_t alive;

	/* An exit from another worker takes a message or two to be seen here. */
	while ((alive = tt_test_tasks_alive()) != n && tt_now() < until)
		tti_home_here->ops->yield(tti_home_here);
	if (alive == n)
		return true;
	tti_test_failed(require, site, "expected %zu tasks alive, but %zu", n, alive);
	return false;
}

/* ---- EXPECT_ABORTS ---- */

/* TSan loses track of fibers in a forked child and reports races that are none, so there
 * the expectation is passed over; every other build checks it. */
#ifdef TTI_FIBER_TSAN
#define ABORTS_CANNOT_BE_SEEN 1
#else
#define ABORTS_CANNOT_BE_SEEN 0
#endif

int tt_abort_fork_(void)
{
	static const struct rlimit no_core = { 0, 0 };
	int fds[2];

	if (ABORTS_CANNOT_BE_SEEN)
		return 0;

	TT_REQUIRE(pipe2(fds, O_CLOEXEC) == 0, "EXPECT_ABORTS: no pipe");
	fflush(NULL);
	abort_pid = fork();
	TT_REQUIRE(abort_pid >= 0, "EXPECT_ABORTS: no process");
	if (abort_pid > 0) {
		close(fds[1]);
		abort_pipe = fds[0];
		return 0;
	}
	setrlimit(RLIMIT_CORE, &no_core);
	signal(SIGABRT, SIG_DFL);
	alarm(ABORT_PATIENCE_S);
	dup2(fds[1], STDERR_FILENO);
	return 1;
}

void tt_abort_child_(void)
{
	_exit(0);
}

/* Everything the child says, cut to fit. */
static void read_all(int fd, char *buf, size_t n)
{
	char piece[256];
	size_t len = 0;
	ssize_t got;

	while ((got = read(fd, piece, sizeof(piece))) > 0) {
		size_t keep = (size_t)got < n - 1 - len ? (size_t)got : n - 1 - len;

		memcpy(buf + len, piece, keep);
		len += keep;
	}
	buf[len] = '\0';
}

bool tt_abort_wait_(bool require, const char *expr, const char *text, const char *site)
{
	char said[4096];
	int status = 0;
	bool aborted;

	if (ABORTS_CANNOT_BE_SEEN)
		return true;
	read_all(abort_pipe, said, sizeof(said));
	close(abort_pipe);
	TT_IGNORE(waitpid(abort_pid, &status, 0));
	aborted = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
	if (aborted && strstr(said, text) != NULL)
		return true;
	if (aborted)
		tti_test_failed(require, site, "%s aborts, but does not say \"%s\"; it says:\n%s", expr, text, said);
	else
		tti_test_failed(require, site, "expected %s to abort with \"%s\"; wait status 0x%x, it says:\n%s", expr, text,
		                (unsigned)status, said);
	return false;
}

/* SPDX-License-Identifier: MIT */
/*
 * kit.c - the main() of a program of tests: options, a process and a time limit for each
 * test, TAP, counts.
 *
 * A test that crashes, hangs or leaks takes only its own process with it, and leaves no
 * state for the next. The order is that of the source.
 */
#include "testing/kit.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/panic.h"
#include "env/env.h"
#include "sim/sim.h"

#define EXIT_SKIPPED 77
#define TIMEOUT_DEFAULT 60
#define NS_PER_S 1000000000

struct tti_test_options tti_test_options = {
	.on = TT_ON_SIM, .workers = 0, .only = "", .timeout = TIMEOUT_DEFAULT,
};
struct tti_test_shared *tti_test_shared;

static struct tti_test_shared without_fork;
static tt_test *tests, **tests_end = &tests;
static const char *program;

struct counts {
	unsigned passed, failed, skipped;
};

void tt_test_register_(tt_test *t)
{
	*tests_end = t;
	tests_end = &t->next;
}

void tti_test_say(const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n >= (int)sizeof(line))
		n = (int)sizeof(line) - 1;
	TT_IGNORE(write(STDOUT_FILENO, line, (size_t)n));
}

/* ---- options ---- */

static const struct {
	const char *name;
	unsigned on;
} backends[] = { { "sim", TT_ON_SIM }, { "epoll", TT_ON_EPOLL }, { "uring", TT_ON_URING } };

static const char *backend_name(unsigned on)
{
	for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++)
		if (backends[i].on == on)
			return backends[i].name;
	return "?";
}

static TT_NORETURN void misuse(const char *what, const char *value)
{
	fprintf(stderr,
	        "%s: %s: %s\n"
	        "options: --on=sim|epoll|uring|auto --workers=N --only=TEXT --seed=S --seeds=N --timeout=SECONDS\n"
	        "         --list --no-fork\n",
	        program, what, value);
	exit(2);
}

static uint64_t number(const char *name, const char *text, uint64_t max)
{
	char *end;
	uint64_t n = strtoull(text, &end, 0);

	if (text[0] < '0' || text[0] > '9' || *end != '\0' || n > max)
		misuse(name, text);
	return n;
}

static unsigned backend(const char *text)
{
	for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++)
		if (strcmp(backends[i].name, text) == 0)
			return backends[i].on;
	misuse("no such backend", text);
}

/* auto: what epoll can do runs on whatever driver the runtime chooses by itself. */
static void set_backend(const char *text)
{
	tti_test_options.io_auto = strcmp(text, "auto") == 0;
	tti_test_options.on = tti_test_options.io_auto ? TT_ON_EPOLL : backend(text);
}

static void set_option(const char *name, const char *value)
{
	struct tti_test_options *o = &tti_test_options;

	if (strcmp(name, "--on") == 0)
		set_backend(value);
	else if (strcmp(name, "--workers") == 0)
		o->workers = (unsigned)number(name, value, 64);
	else if (strcmp(name, "--only") == 0)
		o->only = value;
	else if (strcmp(name, "--seed") == 0)
		o->seed = number(name, value, UINT64_MAX);
	else if (strcmp(name, "--seeds") == 0)
		o->seeds = (unsigned)number(name, value, 1000000000);
	else if (strcmp(name, "--timeout") == 0)
		o->timeout = (unsigned)number(name, value, 86400);
	else
		misuse("no such option", name);
}

static void parse(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		char *equals = strchr(argv[i], '=');

		if (strcmp(argv[i], "--list") == 0) {
			tti_test_options.list = true;
		} else if (strcmp(argv[i], "--no-fork") == 0) {
			tti_test_options.no_fork = true;
		} else if (equals != NULL) {
			*equals = '\0';
			set_option(argv[i], equals + 1);
		} else if (i + 1 < argc) {
			set_option(argv[i], argv[i + 1]);
			i++;
		} else {
			misuse("needs a value", argv[i]);
		}
	}
}

static void from_environment(void)
{
	const char *seed = tti_env_var("TUTTI_SEED"), *workers = tti_env_var("TUTTI_SIM_WORKERS");

	if (seed != NULL && seed[0] != '\0')
		tti_test_options.seed = number("TUTTI_SEED", seed, UINT64_MAX);
	if (tti_test_options.workers == 0 && workers != NULL && workers[0] != '\0')
		tti_test_options.workers = (unsigned)number("TUTTI_SIM_WORKERS", workers, 64);
	if (tti_test_options.workers == 0)
		tti_test_options.workers = 2;
}

/* ---- what a test asks ---- */

void tt_test_law(int n)
{
	TT_REQUIRE(n >= 1 && n <= 31, "TT_LAW: there is no law %d", n);
	if (tti_test_shared == NULL)
		return;
	for (;;) {
		/* relaxed: bits that only add up; the process that reads them waits for this one. */
		uint32_t seen = tti_load_relaxed(&tti_test_shared->laws);

		/* relaxed: as above. */
		if (tti_cas_relaxed(&tti_test_shared->laws, &seen, seen | 1u << n))
			return;
	}
}

uint64_t tt_test_seed(void)
{
	return tti_sim_here != NULL ? tti_sim_here->seed : tti_test_options.seed;
}

unsigned tt_test_seeds(unsigned otherwise)
{
	const char *one = tti_env_var("TUTTI_SEED");

	if (one != NULL && one[0] != '\0')
		return 1;
	return tti_test_options.seeds != 0 ? tti_test_options.seeds : otherwise;
}

unsigned tt_test_workers(void)
{
	return tti_test_options.workers;
}

void tt_test_note(const char *fmt, ...)
{
	char text[900];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	tti_test_say("# %s\n", text);
}

void tt_test_skip(const char *reason)
{
	if (tti_test_shared != NULL)
		snprintf(tti_test_shared->skip, sizeof(tti_test_shared->skip), "%s", reason);
	_exit(EXIT_SKIPPED);
}

/* ---- one test ---- */

static void full_name(const tt_test *t, char *buf, size_t n)
{
	snprintf(buf, n, "%s.%s", t->suite, t->name);
}

static bool is_chosen(const tt_test *t)
{
	char name[200];

	full_name(t, name, sizeof(name));
	return strstr(name, tti_test_options.only) != NULL;
}

/* NULL: it can run. */
static const char *why_not(const tt_test *t)
{
	if ((t->on & (TT_ON_PLAIN_ | tti_test_options.on)) != 0)
		return NULL;
	return t->reason;
}

static void set_repro_command(const tt_test *t)
{
	static char command[600];

	snprintf(command, sizeof(command), "%s --only=%s.%s", program, t->suite, t->name);
	tti_sim_repro_command = command;
}

static int body(const tt_test *t)
{
	int status;

	set_repro_command(t);
	status = tti_test_run_body(t);
	tti_test_shared->ended = true;
	return status;
}

static void kill_late(pid_t child)
{
	static const struct timespec grace = { .tv_sec = 2 };
	sigset_t set;

	/* abort() first: a core, a report of the sanitizer. */
	kill(child, SIGABRT);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	TT_IGNORE(sigtimedwait(&set, NULL, &grace));
	kill(child, SIGKILL);
}

/* Waits at most timeout seconds. False: the time was up, and the child was killed. */
static bool wait_for(pid_t child, int *ret_status)
{
	struct timespec left = { .tv_sec = tti_test_options.timeout };
	int64_t until = tti_env_now() + left.tv_sec * (int64_t)NS_PER_S;
	bool in_time = true;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	while (waitpid(child, ret_status, WNOHANG) != child) {
		int64_t ns = until - tti_env_now();

		if (ns <= 0) {
			in_time = false;
			kill_late(child);
			while (waitpid(child, ret_status, 0) < 0 && errno == EINTR)
				;
			break;
		}
		left = (struct timespec){ .tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S };
		TT_IGNORE(sigtimedwait(&set, NULL, &left));
	}
	return in_time;
}

/* A test ends with its runner, or one that spins would do so for ever. */
static void child_main(const tt_test *t, const sigset_t *mask, pid_t runner)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != runner)
		_exit(EXIT_SKIPPED); /* it has ended already */
	sigprocmask(SIG_SETMASK, mask, NULL);
	_exit(body(t));
}

/* A process that ended by itself: with status 0 at the end of its test, or by tt_test_skip(). */
static bool ended_well(int status)
{
	return (status == 0 && tti_test_shared->ended) || (status == EXIT_SKIPPED && tti_test_shared->skip[0] != '\0');
}

/* "" when it passed or was skipped, else what went wrong. */
static const char *verdict(bool in_time, int status, char *buf, size_t n)
{
	if (!in_time)
		snprintf(buf, n, "timed out after %u s", tti_test_options.timeout);
	else if (WIFSIGNALED(status))
		snprintf(buf, n, "died of signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (tti_test_shared->failures.v > 0)
		snprintf(buf, n, "%u expectations failed", tti_test_shared->failures.v);
	else if (!ended_well(WEXITSTATUS(status)))
		snprintf(buf, n, "exit status %d%s", WEXITSTATUS(status), WEXITSTATUS(status) == 0 ? " before its end" : "");
	else
		buf[0] = '\0';
	return buf;
}

static const char *run_forked(const tt_test *t, char *buf, size_t n)
{
	sigset_t chld, mask;
	pid_t child, runner = getpid();
	int status = 0;
	bool in_time;

	fflush(NULL);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, &mask);
	child = fork();
	if (child == 0)
		child_main(t, &mask, runner);
	if (child < 0) {
		sigprocmask(SIG_SETMASK, &mask, NULL);
		snprintf(buf, n, "fork: %s", strerror(errno));
		return buf;
	}
	in_time = wait_for(child, &status);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	return verdict(in_time, status, buf, n);
}

static const char *run_here(const tt_test *t, char *buf, size_t n)
{
	int status = body(t);

	buf[0] = '\0';
	if (status != 0 && status != EXIT_SKIPPED)
		snprintf(buf, n, "%u expectations failed", tti_test_shared->failures.v);
	return buf;
}

static void laws_text(uint32_t laws, char *buf, size_t n)
{
	size_t len = 0;

	buf[0] = '\0';
	for (int i = 1; i < 32; i++)
		if ((laws >> i & 1) != 0 && len < n)
			len += (size_t)snprintf(buf + len, n - len, "%s%d", len == 0 ? " # law " : ", ", i);
}

static void run_one(const tt_test *t, unsigned index, struct counts *counts)
{
	char name[200], text[200], laws[120];
	const char *failed, *skip = why_not(t);

	full_name(t, name, sizeof(name));
	memset(tti_test_shared, 0, sizeof(*tti_test_shared));
	tti_test_shared->seed = tti_test_options.seed;
	failed = skip != NULL ? "" : tti_test_options.no_fork ? run_here(t, text, sizeof(text)) :
	         run_forked(t, text, sizeof(text));
	if (tti_test_shared->skip[0] != '\0')
		skip = tti_test_shared->skip;
	laws_text(tti_test_shared->laws.v, laws, sizeof(laws));
	if (failed[0] != '\0') {
		counts->failed++;
		tti_test_say("not ok %u - %s # %s, seed 0x%llx%s\n", index, name, failed,
		             (unsigned long long)tti_test_shared->seed, laws);
	} else if (skip != NULL) {
		counts->skipped++;
		tti_test_say("ok %u - %s # SKIP %s\n", index, name, skip);
	} else {
		counts->passed++;
		tti_test_say("ok %u - %s%s\n", index, name, laws);
	}
}

/* ---- the program ---- */

static void list(void)
{
	for (const tt_test *t = tests; t != NULL; t = t->next)
		if (is_chosen(t))
			tti_test_say("%s.%s\t%s\n", t->suite, t->name, t->site);
}

static bool uring_is_refused(void)
{
	unsigned char params[120] = { 0 };
	long fd = tti_env_syscall(SYS_io_uring_setup, 1, (long)params, 0, 0, 0, 0);

	if (fd >= 0)
		close((int)fd);
	return fd == -ENOSYS || fd == -EPERM || fd == -EACCES;
}

static int run_all(void)
{
	const struct tti_test_options *o = &tti_test_options;
	struct counts counts = { 0, 0, 0 };
	unsigned n = 0, index = 0;

	for (const tt_test *t = tests; t != NULL; t = t->next)
		n += is_chosen(t);
	/* A name that was mistyped, or is no more, must not look like a pass. */
	if (n == 0 && o->only[0] != '\0')
		misuse("no test has this in its name", o->only);
	tti_test_say("1..%u\n", n);
	for (const tt_test *t = tests; t != NULL; t = t->next)
		if (is_chosen(t))
			run_one(t, ++index, &counts);
	tti_test_say("# %u passed, %u failed, %u skipped (%s, %u workers, seed 0x%llx)\n", counts.passed, counts.failed,
	             counts.skipped, o->io_auto ? "auto" : backend_name(o->on), o->workers, (unsigned long long)o->seed);
	if (counts.failed > 0)
		return 1;
	return n > 0 && counts.passed == 0 ? EXIT_SKIPPED : 0;
}

int tt_test_main_(int argc, char **argv)
{
	static const struct rlimit no_core = { 0, 0 };

	program = argc > 0 ? argv[0] : "test";
	from_environment();
	parse(argc, argv);
	if (tti_test_options.workers == 0)
		misuse("--workers", "0");
	if (tti_test_options.list) {
		list();
		return 0;
	}
	if (tti_test_options.on == TT_ON_URING && uring_is_refused()) {
		tti_test_say("1..0 # SKIP this system refuses io_uring\n");
		return EXIT_SKIPPED;
	}
	setrlimit(RLIMIT_CORE, &no_core);
	tti_test_shared = &without_fork;
	if (!tti_test_options.no_fork) {
		void *p = mmap(NULL, sizeof(*tti_test_shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

		TT_REQUIRE(p != MAP_FAILED, "no memory to share with tests");
		tti_test_shared = p;
	}
	return run_all();
}

/* SPDX-License-Identifier: MIT */
/*
 * fail_real.c - runs of a failure torture on real workers: each starts a runtime in a process
 * of its own, with its own folder and a time limit, and stops it again. Several are under way
 * at a time, because most of their time is sleep.
 *
 * Invariants  A slot without a process has pid 0. What a run found is in the slot's memory,
 *             which both processes share: when it hangs, that says what failed in it.
 * Counted     in the process of the run, when its threads have ended: descriptors, children, memory
 *             through env/, tasks (the runtime says so on stderr), the scenario's own check.
 * Rejected    Runs in one process: what one leaves behind would be the next one's failure,
 *             and a thread that hangs cannot be stopped.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tutti/error.h>
#include <tutti/runtime.h>

#include "base/panic.h"
#include "net/net.h"
#include "testing/fail.h"

#define SLOTS 8
#define TOGETHER 4
#define NS_PER_S 1000000000
/* The output of a run that is shown when it fails. */
#define OUTPUT_MAX 4096
/* Exit statuses of a run. */
enum { RUN_FINE = 0, RUN_FAILED = 1 };

/* In memory that the run shares. */
struct slot {
	struct tti_fail fail;
	struct tti_test_shared kit;          /* of the run: its expectations count here */
	const struct tti_failing *torture;
	uint32_t started;                    /* the scenario was reached */
	int rc;                              /* what it returned */
	uint64_t allocs_left, mapped_left;
	pid_t pid;                           /* 0: free; the runner's */
	int64_t until;
	int out;                             /* its stderr, or -1 */
	char dir[PATH_MAX];
};

int64_t tti_failing_time_limit = TT_SEC(20);

struct tti_failing_real {
	struct tti_failing *t;
	struct slot *slots;                  /* [SLOTS] */
	char dir[PATH_MAX - 16];             /* a slot's is below it */
	sigset_t mask;                       /* before SIGCHLD was blocked */
	uint64_t places;
	int together;                        /* slots in use, at most SLOTS */
};

/* Of the real kernel, whatever this thread is bound to. */
static long call(long nr, long a, long b, long c, long d)
{
	return tti_env_real.syscall(nr, a, b, c, d, 0, 0);
}

/* What the run said so far, ended by a zero. */
static void output_of(const struct slot *s, char buf[OUTPUT_MAX])
{
	long n = call(SYS_pread64, s->out, (long)buf, OUTPUT_MAX - 1, 0);

	buf[n > 0 ? n : 0] = '\0';
}

/* ---- the run's process ---- */

static TT_TASK(real_scenario, (struct slot *, s))
{
	const struct tti_failing *t = s->torture;

	s->started = 1;
	s->rc = tti_test_call(t->type, t->args, t->site);
	if (!tti_failing_may_return(t, &s->fail, s->rc))
		tti_test_failed(false, t->site, "%s returns %d (%s), whose chain does not say why", t->name, s->rc,
		                tt_error_name(s->rc));
	return 0;
}

static bool said(const struct slot *s, const char *text)
{
	char buf[OUTPUT_MAX];

	output_of(s, buf);
	return strstr(buf, text) != NULL;
}

/* Children of the run's process are the scenario's own: running, or zombies. */
static bool has_children(void)
{
	siginfo_t info;

	return call(SYS_waitid, P_ALL, 0, (long)&info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/* A runtime that cannot start says why; one that started runs its program to the end. */
static void check_status(const struct slot *s, int status)
{
	const struct tti_failing *t = s->torture;

	bool explained = status == 1 && (said(s, "tutti: cannot start") || said(s, "error: "));

	if (s->started == 0 && (s->fail.call[0] == '\0' || !explained))
		tti_test_failed(false, t->site, "%s was not started, and status %d says nothing of it", t->name, status);
	if (s->started != 0 && status != 0)
		tti_test_failed(false, t->site, "%s ran, and the runtime ends with status %d", t->name, status);
	if (said(s, "were not given back"))
		tti_test_failed(false, t->site, "%s: task handles are left", t->name);
}

static void check_nothing_left(struct slot *s, int descriptors)
{
	const struct tti_failing *t = s->torture;
	int now = tti_test_open_descriptors();

	/* relaxed: the threads have ended. */
	s->allocs_left = tti_load_relaxed(&s->fail.allocs);
	/* relaxed: likewise. */
	s->mapped_left = tti_load_relaxed(&s->fail.mapped);
	if (now != descriptors)
		tti_test_failed(false, t->site, "%s: %d descriptors are left", t->name, now - descriptors);
	if (has_children())
		tti_test_failed(false, t->site, "%s: child processes are left", t->name);
	if (tti_net_left_open() != 0)
		tti_test_failed(false, t->site, "%s: %llu descriptors were not closed with tt_fd_close", t->name,
		                (unsigned long long)tti_net_left_open());
	/* The process keeps a register of its stacks, which a start that failed may not have made. */
	if (s->fail.at != 0 && (s->allocs_left > t->allocs_before || s->mapped_left > t->mapped_before))
		tti_test_failed(false, t->site, "%s: %lld allocations and %lld mapped bytes are left", t->name,
		                (long long)(s->allocs_left - t->allocs_before),
		                (long long)(s->mapped_left - t->mapped_before));
}

static void redirect(const struct slot *s)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	dup2(s->out, STDERR_FILENO);
	if (null >= 0) {
		dup2(null, STDOUT_FILENO);
		close(null);
	}
}

static tt_main_options options_of(const struct tti_failing *t)
{
	return (tt_main_options){
		.workers = t->options->workers != 0 ? t->options->workers : tti_test_options.workers,
		.io = tti_test_options.io_auto ? TT_IO_AUTO : tti_test_options.on == TT_ON_URING ? TT_IO_URING : TT_IO_EPOLL,
	};
}

static TT_NORETURN void run(struct slot *s, pid_t runner, const sigset_t *mask)
{
	const struct tti_failing *t = s->torture;
	tt_main_options o = options_of(t);
	struct tt_args_real_scenario_ args = { s };
	const struct tti_env_ops *env;
	int descriptors, status;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != runner || call(SYS_chdir, (long)s->dir, 0, 0, 0) != 0)
		_exit(RUN_FAILED);
	sigprocmask(SIG_SETMASK, mask, NULL);
	redirect(s);
	tti_test_shared = &s->kit;
	descriptors = tti_test_open_descriptors();
	env = tti_env_bind(tti_inject_layer(&s->fail, &tti_env_real));
	/* relaxed: the threads come after. */
	tti_store_relaxed(&s->fail.armed, 1);
	status = (int)tt_verb_main_(&o, &tt_type_real_scenario_, &args, t->site);
	/* relaxed: the threads have ended. */
	tti_store_relaxed(&s->fail.armed, 0);
	tti_env_bind(env);
	check_status(s, status);
	check_nothing_left(s, descriptors);
	if (s->started != 0 && t->options->check != NULL)
		t->options->check(t->options->context, s->rc);
	/* relaxed: this process has no other thread. */
	_exit(tti_load_relaxed(&s->kit.failures) != 0 ? RUN_FAILED : RUN_FINE);
}

/* ---- the runner ---- */

static void show_output(const struct slot *s)
{
	char buf[OUTPUT_MAX];

	output_of(s, buf);
	TT_IGNORE(write(STDERR_FILENO, buf, strlen(buf)));
}

static void report(const struct slot *s, const char *what, int number)
{
	const struct tti_failing *t = s->torture;
	char hit[160];

	show_output(s);
	tti_fail_describe(&s->fail, hit, sizeof(hit));
	tti_test_failed(false, t->site, "%s (%s, %u workers): %s: %s %d", t->name,
	                tti_test_options.on == TT_ON_URING ? "uring" : "epoll",
	                t->options->workers != 0 ? t->options->workers : tti_test_options.workers, hit, what, number);
}

static void empty_folder(const char *path)
{
	char file[sizeof(((struct slot *)0)->dir) + NAME_MAX + 2];
	DIR *dir = opendir(path);
	const struct dirent *d;

	if (dir == NULL)
		return;
	while ((d = readdir(dir)) != NULL) {
		snprintf(file, sizeof(file), "%s/%s", path, d->d_name);
		call(SYS_unlinkat, AT_FDCWD, (long)file, 0, 0); /* but for . and .. */
	}
	closedir(dir);
}

static void count(struct tti_failing_real *r, const struct slot *s)
{
	struct tti_failing *t = r->t;
	/* relaxed: the run has ended. */
	uint64_t seen = tti_load_relaxed(&s->fail.seen);

	if (s->fail.at == 0) {
		t->allocs_before = s->allocs_left;
		t->mapped_before = s->mapped_left;
		r->places = seen;
	} else if (s->fail.call[0] != '\0') {
		t->result.runs++;
		t->result.cut += s->started == 0 || s->rc < 0;
	}
}

static void ended(struct tti_failing_real *r, struct slot *s, int status)
{
	if (WIFSIGNALED(status))
		report(s, "it dies of signal", WTERMSIG(status));
	else if (WEXITSTATUS(status) != RUN_FINE)
		report(s, "it ends with status", WEXITSTATUS(status));
	count(r, s);
	close(s->out);
	empty_folder(s->dir);
	s->pid = 0;
}

static void reap(struct tti_failing_real *r)
{
	for (int i = 0; i < SLOTS; i++) {
		struct slot *s = &r->slots[i];
		int status;

		if (s->pid == 0)
			continue;
		if (waitpid(s->pid, &status, WNOHANG) == s->pid) {
			ended(r, s, status);
		} else if (tti_env_now() >= s->until) {
			report(s, "it hangs; seconds it had:", (int)(tti_failing_time_limit / NS_PER_S));
			kill(s->pid, SIGKILL);
			while (waitpid(s->pid, &status, 0) < 0 && errno == EINTR)
				;
			count(r, s);
			close(s->out);
			s->pid = 0;
		}
	}
}

static void wait_a_little(void)
{
	static const struct timespec second = { .tv_sec = 1 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	TT_IGNORE(sigtimedwait(&set, NULL, &second));
}

static struct slot *free_slot(struct tti_failing_real *r)
{
	for (;;) {
		reap(r);
		for (int i = 0; i < r->together; i++)
			if (r->slots[i].pid == 0)
				return &r->slots[i];
		wait_a_little();
	}
}

void tti_failing_real_run(struct tti_failing_real *r, uint64_t at, unsigned way)
{
	struct slot *s = free_slot(r);
	pid_t runner = getpid(), child;

	s->fail = (struct tti_fail){ .kind = r->t->kind, .at = at, .way = way, .ways = at == 0 ? r->t->ways : NULL };
	memset(&s->kit, 0, sizeof(s->kit));
	s->torture = r->t;
	s->started = 0;
	s->rc = 0;
	s->out = (int)call(SYS_memfd_create, (long)"output", MFD_CLOEXEC, 0, 0);
	TT_REQUIRE(s->out >= 0, "torture: no descriptor for the output of a run");
	s->until = tti_env_now() + tti_failing_time_limit;
	fflush(NULL);
	child = fork();
	if (child == 0)
		run(s, runner, &r->mask);
	TT_REQUIRE(child > 0, "torture: fork: %s", strerror(errno));
	s->pid = child; /* by this process alone: the slot is the child's too */
}

void tti_failing_real_finish(struct tti_failing_real *r)
{
	for (;;) {
		bool busy = false;

		reap(r);
		for (int i = 0; i < SLOTS; i++)
			busy |= r->slots[i].pid != 0;
		if (!busy)
			return;
		wait_a_little();
	}
}

uint64_t tti_failing_real_places(const struct tti_failing_real *r)
{
	return r->places;
}

static TT_TASK(nothing)
{
	return 0;
}

/* What the process makes once and keeps is made here, not in each run. */
static void warm_up(const struct tti_failing *t)
{
	tt_main_options o = options_of(t);

	TT_IGNORE(tt_verb_main_(&o, &tt_type_nothing_, NULL, t->site));
}

static void make_folder(const char *path)
{
	long rc = call(SYS_mkdirat, AT_FDCWD, (long)path, 0700, 0);

	/* One of a process of this number that was killed. */
	TT_REQUIRE(rc == 0 || rc == TT_EEXIST, "torture: no folder %s: %s", path, tt_strerror((int)rc));
}

static void make_folders(struct tti_failing_real *r)
{
	const char *tmp = tti_env_var("TMPDIR");
	int n = snprintf(r->dir, sizeof(r->dir), "%s/tutti-torture.%d", tmp != NULL ? tmp : "/tmp", (int)getpid());

	TT_REQUIRE((size_t)n < sizeof(r->dir), "torture: TMPDIR is %zu bytes long", strlen(tmp != NULL ? tmp : ""));
	make_folder(r->dir);
	for (int i = 0; i < SLOTS; i++) {
		snprintf(r->slots[i].dir, sizeof(r->slots[i].dir), "%s/%d", r->dir, i);
		make_folder(r->slots[i].dir);
	}
}

struct tti_failing_real *tti_failing_real_new(struct tti_failing *t)
{
	struct tti_failing_real *r = tti_env_zalloc(sizeof(*r));
	sigset_t chld;
	void *p;

	p = mmap(NULL, SLOTS * sizeof(struct slot), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	TT_REQUIRE(r != NULL && p != MAP_FAILED, "no memory for torture");
	r->t = t;
	r->slots = p;
	r->together = t->options->together == 0 ? TOGETHER : t->options->together < SLOTS ? (int)t->options->together : SLOTS;
	warm_up(t);
	make_folders(r);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, &r->mask);
	return r;
}

void tti_failing_real_free(struct tti_failing_real *r)
{
	for (int i = 0; i < SLOTS; i++) {
		empty_folder(r->slots[i].dir);
		call(SYS_unlinkat, AT_FDCWD, (long)r->slots[i].dir, AT_REMOVEDIR, 0);
	}
	call(SYS_unlinkat, AT_FDCWD, (long)r->dir, AT_REMOVEDIR, 0);
	sigprocmask(SIG_SETMASK, &r->mask, NULL);
	munmap(r->slots, SLOTS * sizeof(struct slot));
	tti_env_free(r);
}

/* SPDX-License-Identifier: MIT */
/*
 * stacks_test.c - the promise about stacks, through the public API alone: 100,000 tasks of
 * an ordinary tt_go() are parked at once, and a task that overflows is named with the
 * line that spawned it. A plain program: it measures its own process and forks.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tutti/tutti.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifdef SANITIZED
#define PARKED 1000 /* a sanitizer keeps books on each stack */
#else
#define PARKED 100000
#endif
#define PARKED_OLD 30000 /* before Linux 6.13 a guard costs memory maps, of which there are 65,530 */
/* A page of stack and its record; the budget of the design is 4350 bytes. */
#define RSS_MAX 4700
#define OVERFLOWS 20

static void check(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "stacks: not true: %s\n", what);
	exit(1);
}

/* A line of /proc/self/status, in bytes. */
static double status_bytes(const char *name)
{
	char line[128];
	double kib = 0;
	FILE *f = fopen("/proc/self/status", "r");

	check(f != NULL, "/proc/self/status can be read");
	while (fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, name, strlen(name)) == 0)
			kib = strtod(line + strlen(name) + 1, NULL);
	fclose(f);
	return kib * 1024;
}

/* What this kernel can guard: whether it knows MADV_GUARD_INSTALL shows when it reads there. */
static int parked_here(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int ends[2], n = PARKED;

	check(p != MAP_FAILED && pipe(ends) == 0, "a page and a pipe are to be had");
	if ((madvise(p, page, 102) != 0 || write(ends[1], p, 1) == 1) && n > PARKED_OLD)
		n = PARKED_OLD;
	close(ends[0]);
	close(ends[1]);
	munmap(p, page);
	return n;
}

TT_TASK(wait_here, (tt_notify *, never), (long *, cancelled))
{
	int rc = tt_notify_wait(never);

	*cancelled += rc == TT_ECANCELED;
	return rc;
}

static int wait_until_parked(uint64_t n)
{
	tt_stats stats = { 0 };

	while (stats.tasks_parked < n) {
		TT_TRY(tt_sleep(TT_MS(1)));
		tt_stats_read(&stats);
		check(stats.tasks_live >= n, "no task ended for want of a stack");
	}
	return 0;
}

#ifndef SANITIZED
/* Once the program is idle its unused stacks go back to the system, bit by bit. */
static int wait_for_memory(double at_most)
{
	int tenths = 0;

	while (status_bytes("VmRSS:") > at_most && tenths++ < 300)
		TT_TRY(tt_sleep(TT_MS(100)));
	check(status_bytes("VmRSS:") <= at_most, "the stacks of tasks that have ended are given back");
	printf("stacks: %.0f MiB resident %d.%d s later\n", status_bytes("VmRSS:") / 1048576, tenths / 10, tenths % 10);
	return 0;
}
#endif

TT_TASK(park_many)
{
	double rss = status_bytes("VmRSS:"), tables = status_bytes("VmPTE:"), before = rss;
	long cancelled = 0;
	tt_notify never;
	int rc, parked = parked_here();

	(void)before;
	tt_notify_init(&never);
	TT_GROUP(g);
	for (int i = 0; i < parked; i++)
		tt_go(&g, wait_here, &never, &cancelled);
	rc = wait_until_parked((uint64_t)parked);
	rss = (status_bytes("VmRSS:") - rss) / parked;
	tables = (status_bytes("VmPTE:") - tables) / parked;
	printf("stacks: %d parked tasks, %.0f bytes resident and %.0f of page tables each\n", parked, rss, tables);
#ifndef SANITIZED
	check(rss < RSS_MAX, "a parked task costs about one page");
#endif
	tt_group_cancel(&g);
	rc = tt_group_end(&g, rc);
	check(cancelled == parked, "every one was told that it is cancelled");
#ifndef SANITIZED
	if (rc == 0)
		/* The records of tasks are kept, a fifth of what they cost while parked. */
		rc = wait_for_memory(before + parked * 1024.0);
#endif
	return rc;
}

/* ---- overflow; a sanitizer would report it first ---- */

#ifndef SANITIZED

static int __attribute__((noinline)) dig(volatile char *above, int depth)
{
	volatile char room[512];

	room[0] = (char)depth;
	room[511] = above[0];
	return depth > 100000 ? room[0] : dig(room, depth + 1) + room[511];
}

TT_TASK(digger, (int, depth))
{
	volatile char top = 1;

	return dig(&top, depth) & 0x7f;
}

/* Some neighbours, so that the one that overflows lies anywhere. */
TT_TASK(overflow_one, (int, among))
{
	tt_notify never;
	long unused = 0;

	tt_notify_init(&never);
	TT_GROUP(g);
	for (int i = 0; i < among; i++)
		tt_go(&g, wait_here, &never, &unused);
	tt_go(&g, digger, 0); /* SPAWNED HERE */
	return tt_group_end(&g, 0);
}

static int spawn_line(void)
{
	char line[256];
	int n = 0;
	FILE *f = fopen(__FILE__, "r");

	if (f == NULL)
		return 0; /* built elsewhere: only the file is checked */
	while (fgets(line, sizeof(line), f) != NULL) {
		n++;
		if (strstr(line, "tt_go(&g, digger") != NULL)
			break;
	}
	fclose(f);
	return n;
}

/* In a child process, whose stderr is read. */
static void overflow_is_named(int among)
{
	char report[4096] = "", want[128];
	int fds[2], status;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	check(pipe(fds) == 0, "a pipe");
	pid = fork();
	check(pid >= 0, "a child");
	if (pid == 0) {
		dup2(fds[1], STDERR_FILENO);
		close(fds[0]);
		close(fds[1]);
		_exit(tt_main(overflow_one, among));
	}
	close(fds[1]);
	while (len < sizeof(report) - 1 && (n = read(fds[0], report + len, sizeof(report) - 1 - len)) > 0)
		len += (size_t)n;
	close(fds[0]);
	check(waitpid(pid, &status, 0) == pid, "the child is reaped");
	check(WIFSIGNALED(status), "an overflow ends the process by its signal");
	check(strstr(report, "stack overflow in task digger#") != NULL || strstr(report, "digger#") != NULL,
	      "the report names the task");
	snprintf(want, sizeof(want), "stacks_test.c:%d", spawn_line());
	check(strstr(report, spawn_line() > 0 ? want : "stacks_test.c:") != NULL, "the report names the line that spawned it");
}

#endif

int main(void)
{
	int rc = tt_main(park_many);

	check(rc == 0, "100,000 parked tasks end in order");
#ifndef SANITIZED
	for (int i = 0; i < OVERFLOWS; i++)
		overflow_is_named(i * 37 % 500);
	printf("stacks: %d overflows, each named with its task and spawn site\n", OVERFLOWS);
#endif
	return rc;
}

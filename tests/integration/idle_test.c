/* SPDX-License-Identifier: MIT */
/*
 * idle_test.c - ten thousand connections that rest: what each costs as an idle child, and
 * that each still answers when it is asked. A plain program, since memory is measured.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
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

#define WANTED 10000
#define BYTES_MAX 320.0

static int failures;
static tt_fd *pairs[WANTED][2];

static void check(bool ok, const char *what)
{
	if (ok)
		return;
	failures++;
	fprintf(stderr, "idle_test: not true: %s\n", what);
}

static double resident(void)
{
	char line[256];
	double kib = 0;
	FILE *f = fopen("/proc/self/status", "r");

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "VmRSS:", 6) == 0)
			kib = strtod(line + 6, NULL);
	if (f != NULL)
		fclose(f);
	return kib * 1024;
}

/* One request of a connection, then back to rest. */
TT_TASK(answer, (tt_group *, g), (tt_fd *, fd), (long *, answered))
{
	char c;

	TT_TRY(tt_read_exact(fd, &c, 1, NULL));
	++*answered;
	TT_TRY(tt_write_all(fd, &c, 1, NULL));
	tt_go_when(g, TT_WHEN(.readable = { fd }), answer, g, fd, answered);
	return 0;
}

static int ask_all(int n)
{
	for (int i = 0; i < n; i++) {
		char c = (char)i, back = 0;

		TT_TRY(tt_write_all(pairs[i][1], &c, 1, NULL));
		TT_TRY(tt_read_exact(pairs[i][1], &back, 1, NULL));
		check(back == c, "the answer is the question");
	}
	return 0;
}

static int rest_and_answer(int n)
{
	tt_group_options shared = { .shared = true };
	long answered = 0;
	double each, before;
	tt_stats stats;
	int rc;

	TT_GROUP_WITH(g, &shared);
	before = resident();
	for (int i = 0; i < n; i++)
		tt_go_when(&g, TT_WHEN(.readable = { pairs[i][0] }, .timeout = TT_HOUR(1)), answer, &g, pairs[i][0], &answered);
	rc = tt_yield();
	each = (resident() - before) / n;
	tt_stats_read(&stats);
	printf("idle: %d connections at rest, %.0f bytes resident each, %llu task alive\n", n, each,
	       (unsigned long long)stats.tasks_live);
	check(stats.tasks_live == 1, "a connection at rest is no task");
#ifndef SANITIZED
	check(n < WANTED / 2 || each <= BYTES_MAX, "and costs at most 320 bytes");
#endif
	for (int round = 0; round < 2 && rc == 0; round++)
		rc = ask_all(n);
	check(answered == 2 * n, "each comes back to rest after a request");
	tt_group_cancel(&g);
	return tt_group_end(&g, rc);
}

/* What a driver keeps for a descriptor that was ever waited for is there before we measure:
 * it is the connection's, not the child's. */
static int open_pairs(void)
{
	int n = 0;

	while (n < WANTED && tt_pair(pairs[n]) == 0) {
		TT_IGNORE(TT_WITHIN(1, tt_fd_poll(pairs[n][0], POLLIN)));
		n++;
	}
	return n;
}

TT_TASK(app)
{
	int n = open_pairs(), rc = rest_and_answer(n);

	for (int i = 0; i < n; i++) {
		tt_fd_close(pairs[i][0]);
		tt_fd_close(pairs[i][1]);
	}
	return rc;
}

/* In a process of its own: memory that was used before would not count. */
static int run(enum tt_io io)
{
	tt_main_options o = { .workers = 1, .io = io };
	int status = 1;
	pid_t pid = fork();

	if (pid == 0) {
		int rc = tt_main_with(&o, app);

		fflush(NULL);
		_exit(rc != 0 || failures > 0);
	}
	waitpid(pid, &status, 0);
	return status;
}

int main(void)
{
	struct rlimit files;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max < 2 * WANTED + 100 ? files.rlim_max : 2 * WANTED + 100;
	setrlimit(RLIMIT_NOFILE, &files);
	check(run(TT_IO_AUTO) == 0, "it runs on the driver of this system");
	check(run(TT_IO_EPOLL) == 0, "it runs on epoll");
	return failures > 0;
}

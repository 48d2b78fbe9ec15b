/* SPDX-License-Identifier: MIT */
/*
 * kit_test.c - the test kit notices what it should. The subjects, tests that fail in every
 * way there is, are registered only in a second process of this program (--subjects), whose
 * output and exit status the real tests read.
 *
 * test-on: sim1 epoll4
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

/* ---- subjects ---- */

static void passes(void)
{
	int x = 3;

	TT_LAW(4);
	EXPECT_EQ(x, 3);
	EXPECT_OK(tt_sleep(TT_MS(1)));
	EXPECT_CODE(TT_WITHIN(TT_MS(1), tt_sleep(TT_SEC(1))), TT_ETIMEDOUT);
	EXPECT_TASKS_ALIVE(1);
}

static void fails_twice(void)
{
	EXPECT_EQ(1 + 1, 3);
	EXPECT_STR_EQ("left", "right");
}

static void requires(void)
{
	REQUIRE_OK(tt_fail(TT_EIO, "disk %d", 7));
	tt_test_note("never printed");
}

static void crashes(void)
{
	raise(SIGKILL); /* the one signal that no sanitizer handles */
}

static void hangs(void)
{
	TT_IGNORE(write(STDOUT_FILENO, "hangs\n", 6));
	for (;;)
		__asm__ volatile("");
}

static void skips(void)
{
	tt_test_skip("the moon is full");
}

static void leaks(void)
{
	tt_fd *fds[2];

	EXPECT_OK(tt_pair(fds));
	tt_fd_close(fds[0]);
}

static tt_test subjects[] = {
	{ "subject", "passes", TT_SITE, passes, TT_ON_ALL, "", NULL },
	{ "subject", "fails_twice", TT_SITE, fails_twice, TT_ON_ALL, "", NULL },
	{ "subject", "requires", TT_SITE, requires, TT_ON_ALL, "", NULL },
	{ "subject", "crashes", TT_SITE, crashes, TT_ON_ALL, "", NULL },
	{ "subject", "hangs", TT_SITE, hangs, TT_ON_ALL, "", NULL },
	{ "subject", "skips", TT_SITE, skips, TT_ON_ALL, "", NULL },
	{ "subject", "leaks", TT_SITE, leaks, TT_ON_ALL, "", NULL },
	{ "subject", "elsewhere", TT_SITE, passes, TT_ON_URING, "needs a ring", NULL },
};

/* ---- running them ---- */

static char output[8192];

/* The exit status; what the program said on both streams is in output. */
static int run(const char *a, const char *b)
{
	const char *argv[] = { "kit_test", "--subjects", "--timeout=1", "--workers=1", a, b, NULL };
	size_t len = 0;
	int fds[2], status;
	ssize_t n;
	pid_t child;

	REQUIRE_EQ(pipe(fds), 0);
	child = fork();
	REQUIRE_LT(-1, child);
	if (child == 0) {
		dup2(fds[1], STDOUT_FILENO);
		dup2(fds[1], STDERR_FILENO);
		close(fds[0]);
		close(fds[1]);
		unsetenv("TUTTI_SEED");
		setenv("TSAN_OPTIONS", "atexit_sleep_ms=0", 1); /* else each exit takes the whole second */
		execv("/proc/self/exe", (char *const *)(uintptr_t)argv);
		_exit(99);
	}
	close(fds[1]);
	while ((n = read(fds[0], output + len, sizeof(output) - 1 - len)) > 0)
		len += (size_t)n;
	output[len] = '\0';
	close(fds[0]);
	REQUIRE_EQ(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static bool says(const char *text)
{
	if (strstr(output, text) != NULL)
		return true;
	fprintf(stderr, "\"%s\" is missing in:\n%s\n", text, output);
	return false;
}

/* ---- the tests ---- */

TT_TEST_PLAIN(kit, a_passing_test_passes_everywhere)
{
	EXPECT_EQ(run("--only=subject.passes", "--on=sim"), 0);
	EXPECT_TRUE(says("ok 1 - subject.passes # law" " 4\n"));
	EXPECT_TRUE(says("# 1 passed, 0 failed, 0 skipped (sim, 1 workers, seed 0x0)\n"));
	EXPECT_EQ(run("--only=subject.passes", "--on=epoll"), 0);
	EXPECT_TRUE(says("# 1 passed, 0 failed, 0 skipped (epoll"));
}

/* A runner that is killed takes the test that it runs with it: none is left to spin. */
TT_TEST_PLAIN(kit, a_test_does_not_outlive_its_runner)
{
	const char *const argv[] = { "kit_test", "--subjects", "--timeout=20", "--only=subject.hangs", NULL };
	int fds[2], status, lines = 0;
	pid_t runner;
	char c;

	REQUIRE_EQ(pipe(fds), 0);
	runner = fork();
	REQUIRE_LT(-1, runner);
	if (runner == 0) {
		dup2(fds[1], STDOUT_FILENO);
		close(fds[0]);
		close(fds[1]);
		execv("/proc/self/exe", (char *const *)(uintptr_t)argv);
		_exit(99);
	}
	close(fds[1]);
	while (lines < 2 && read(fds[0], &c, 1) == 1) /* the plan, and what the test says */
		lines += c == '\n';
	REQUIRE_EQ(lines, 2);
	REQUIRE_EQ(kill(runner, SIGKILL), 0);
	REQUIRE_EQ(waitpid(runner, &status, 0), runner);
	EXPECT_EQ(read(fds[0], &c, 1), 0); /* the end: nobody has the pipe any more */
	close(fds[0]);
}

TT_TEST_PLAIN(kit, a_failed_expectation_says_where_and_what)
{
	EXPECT_EQ(run("--only=subject.fails_twice", "--seed=5"), 1);
	EXPECT_TRUE(says("kit_test.c:34: expected 1 + 1 == 3, but 2 and 3\n"));
	EXPECT_TRUE(says("expected \"left\" == \"right\""));
	EXPECT_TRUE(says("not ok 1 - subject.fails_twice # 2 expectations failed, seed 0x5"));
	EXPECT_TRUE(says("TUTTI_SEED=0x5 TUTTI_SIM_WORKERS=1"));
	EXPECT_TRUE(says("--only=subject.fails_twice"));
}

TT_TEST_PLAIN(kit, a_failed_requirement_ends_the_test_and_prints_the_chain)
{
	EXPECT_EQ(run("--only=subject.requires", "--on=epoll"), 1);
	EXPECT_TRUE(says("EIO"));
	EXPECT_TRUE(says("disk 7"));
	EXPECT_FALSE(strstr(output, "never printed") != NULL);
}

TT_TEST_PLAIN(kit, a_crash_and_a_hang_fail_one_test_each)
{
	EXPECT_EQ(run("--only=subject.", "--on=sim"), 1);
	EXPECT_TRUE(says("not ok 4 - subject.crashes # died of signal 9"));
	EXPECT_TRUE(says("not ok 5 - subject.hangs # timed out after 1 s"));
	EXPECT_TRUE(says("ok 6 - subject.skips # SKIP the moon is full\n"));
	EXPECT_TRUE(says("not ok 7 - subject.leaks"));
	EXPECT_TRUE(says("1 descriptors"));
	EXPECT_TRUE(says("ok 8 - subject.elsewhere # SKIP needs a ring\n"));
	EXPECT_TRUE(says("# 1 passed, 5 failed, 2 skipped"));
	EXPECT_EQ(run("--only=subject.leaks", "--on=epoll"), 1);
	EXPECT_TRUE(says("1 descriptors were not closed with tt_fd_close"));
}

TT_TEST_PLAIN(kit, nothing_run_is_not_a_pass)
{
	EXPECT_EQ(run("--only=subject.skips", "--on=sim"), 77);
	EXPECT_EQ(run("--only=subject.passes", "--workers=none"), 2);
	EXPECT_EQ(run("--list", "--only=subject.p"), 0);
	EXPECT_TRUE(says("subject.passes\t"));
}

static void stop(const char *text)
{
	fprintf(stderr, "the end: %s\n", text);
	abort();
}

TT_TEST_PLAIN(kit, an_abort_is_an_expectation_too)
{
	EXPECT_ABORTS(stop("broken"), "the end: broken");
}

/* ---- inside a runtime ---- */

static TT_TASK(nap, (int64_t, ns))
{
	return tt_sleep(ns);
}

/* Whoever was started is parked, on whatever worker. */
TT_TEST(kit, all_parked_means_all)
{
	static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };

	TT_GROUP(g);
	for (int i = 0; i < 20; i++)
		tt_go_with(&g, &anywhere, nap, TT_SEC(1000));
	EXPECT_OK(tt_test_wait_all_parked());
	EXPECT_TASKS_ALIVE(21);
	tt_group_cancel(&g);
	EXPECT_OK(tt_group_end(&g, 0));
	EXPECT_TASKS_ALIVE(1);
}

TT_TEST(kit, a_cancelled_task_does_not_wait_for_others)
{
	EXPECT_CODE(TT_WITHIN(-1, tt_test_wait_all_parked()), TT_ETIMEDOUT);
}

TT_TEST(kit, an_abort_in_a_task_is_an_expectation_too)
{
	EXPECT_ABORTS(stop("in a task"), "in a task");
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "--subjects") == 0) {
		for (size_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++)
			tt_test_register_(&subjects[i]);
		memmove(&argv[1], &argv[2], sizeof(argv[0]) * (size_t)(argc - 1));
		argc--;
	}
	return tt_test_main_(argc, argv);
}

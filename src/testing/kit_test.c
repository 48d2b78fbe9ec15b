/* SPDX-License-Identifier: MIT */
/*
 * kit_test.c - the test kit notices what it should. The subjects, tests that fail in every
 * way there is, are registered only in a second process of this program (--subjects), whose
 * output and exit status the real tests read.
 *
 * test-on: sim1 epoll4
 * test-labels: children
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

#include "fiber/fiber.h"
#include "testing/child_testkit.h"

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

static void fails_in_every_way(void)
{
	unsigned char a[] = { 1, 2, 3 }, b[] = { 1, 9, 3 };
	const char *none = NULL;

	EXPECT_TRUE(a[0] == b[1]);
	EXPECT_CODE(7, TT_EIO);
	EXPECT_CODE(TT_EPIPE, TT_EIO);
	EXPECT_CODE(tt_fail(TT_EPIPE, "with a word"), 0);
	EXPECT_STR_EQ(none, "right");
	EXPECT_STR_EQ("left", none);
	EXPECT_STR_EQ(none, none);
	EXPECT_MEM_EQ(a, b, 3);
	EXPECT_OK(TT_EPIPE);
}

static void expects_aborts_in_vain(void)
{
	EXPECT_ABORTS(TT_IGNORE(tt_now()), "no such word");
	EXPECT_ABORTS(abort(), "no such word");
	EXPECT_ABORTS(_exit(3), "no such word");
}

static void counts_tasks_wrongly(void)
{
	EXPECT_TASKS_ALIVE(2);
}

static void leaves_a_number(void)
{
	TT_IGNORE(dup(STDOUT_FILENO));
}

static void fails_often(void)
{
	for (int i = 0; i < 40; i++)
		EXPECT_EQ(i, -1);
}

static void tells_its_seeds(void)
{
	tt_test_note("seed %llu, %u seeds, %u workers", (unsigned long long)tt_test_seed(), tt_test_seeds(9),
	             tt_test_workers());
}

static void says_much(void)
{
	char line[2000];

	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	tt_test_note("%s", line);
	EXPECT_STR_EQ(line, "short");
}

static void exits_with_three(void)
{
	_exit(3);
}

static void ends_in_the_middle(void)
{
	_exit(0);
}

static void skips_in_silence(void)
{
	_exit(77);
}

/* Each has failed before it leaves. */
static void fails_and_skips(void)
{
	EXPECT_EQ(1, 2);
	tt_test_skip("too late");
}

static void fails_and_ends(void)
{
	EXPECT_EQ(1, 2);
	_exit(0);
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
	{ "every", "kind_of_failure", TT_SITE, fails_in_every_way, TT_ON_ALL, "", NULL },
	{ "every", "abort_that_is_none", TT_SITE, expects_aborts_in_vain, TT_ON_ALL, "", NULL },
	{ "every", "task_left", TT_SITE, counts_tasks_wrongly, TT_ON_ALL, "", NULL },
	{ "every", "number_left", TT_SITE, leaves_a_number, TT_ON_ALL, "", NULL },
	{ "plainly", "many_failures", TT_SITE, fails_often, TT_ON_PLAIN_, "", NULL },
	{ "plainly", "many_seeds", TT_SITE, tells_its_seeds, TT_ON_PLAIN_, "", NULL },
	{ "plainly", "a_long_line", TT_SITE, says_much, TT_ON_PLAIN_, "", NULL },
	{ "plainly", "a_wrong_exit", TT_SITE, exits_with_three, TT_ON_PLAIN_, "", NULL },
	{ "gone", "at_status_0", TT_SITE, ends_in_the_middle, TT_ON_PLAIN_, "", NULL },
	{ "gone", "without_a_reason", TT_SITE, skips_in_silence, TT_ON_PLAIN_, "", NULL },
	{ "gone", "failed_and_skipped", TT_SITE, fails_and_skips, TT_ON_PLAIN_, "", NULL },
	{ "gone", "failed_and_ended", TT_SITE, fails_and_ends, TT_ON_PLAIN_, "", NULL },
};

/* ---- running them ---- */

static struct child child;

static const char *seed_of_child, *workers_of_child;

static TT_NORETURN void become(const char *const *argv)
{
	execv("/proc/self/exe", (char *const *)(uintptr_t)argv);
	_exit(99);
}

/* The exit status; what the program said on both streams is in child.text. */
static int run_with(const char *const *argv)
{
	if (child_begin(&child, CHILD_STDOUT | CHILD_STDERR)) {
		unsetenv("TUTTI_SEED");
		if (seed_of_child != NULL)
			setenv("TUTTI_SEED", seed_of_child, 1);
		if (workers_of_child != NULL)
			setenv("TUTTI_SIM_WORKERS", workers_of_child, 1);
		setenv("TSAN_OPTIONS", "atexit_sleep_ms=0", 1); /* else each exit takes the whole second */
		become(argv);
	}
	child_end(&child);
	return child_code(&child);
}

static int run(const char *a, const char *b)
{
	const char *argv[] = { "kit_test", "--subjects", "--timeout=1", "--workers=1", a, b, NULL };

	return run_with(argv);
}

static bool says(const char *text)
{
	if (strstr(child.text, text) != NULL)
		return true;
	fprintf(stderr, "\"%s\" is missing in:\n%s\n", text, child.text);
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
	int status, lines = 0;
	char c;

	if (child_begin(&child, CHILD_STDOUT))
		become(argv);
	while (lines < 2 && read(child.from, &c, 1) == 1) /* the plan, and what the test says */
		lines += c == '\n';
	REQUIRE_EQ(lines, 2);
	REQUIRE_EQ(kill(child.pid, SIGKILL), 0);
	REQUIRE_EQ(waitpid(child.pid, &status, 0), child.pid);
	EXPECT_EQ(read(child.from, &c, 1), 0); /* the end: nobody has the pipe any more */
	close(child.from);
}

TT_TEST_PLAIN(kit, a_failed_expectation_says_where_and_what)
{
	EXPECT_EQ(run("--only=subject.fails_twice", "--seed=5"), 1);
	EXPECT_TRUE(says("kit_test.c:37: expected 1 + 1 == 3, but 2 and 3\n"));
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
	EXPECT_FALSE(strstr(child.text, "never printed") != NULL);
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
	EXPECT_EQ(run("--only=no.such.test", NULL), 2);
	EXPECT_TRUE(says("no test has this in its name: no.such.test"));
}

/* A test whose process leaves before its end has not passed, whatever its status says; and what
 * failed before a skip has failed. */
TT_TEST_PLAIN(kit, leaving_early_is_not_a_pass)
{
	EXPECT_EQ(run("--only=gone.", NULL), 1);
	EXPECT_TRUE(says("not ok 1 - gone.at_status_0 # exit status 0 before its end"));
	EXPECT_TRUE(says("not ok 2 - gone.without_a_reason # exit status 77"));
	EXPECT_TRUE(says("not ok 3 - gone.failed_and_skipped # 1 expectations failed"));
	EXPECT_TRUE(says("not ok 4 - gone.failed_and_ended # 1 expectations failed"));
	EXPECT_TRUE(says("# 0 passed, 4 failed, 0 skipped"));
}

static int run_plainly(const char *a, const char *b, const char *c, const char *d)
{
	const char *argv[] = { "kit_test", "--subjects", a, b, c, d, NULL };

	return run_with(argv);
}

/* Every kind of expectation says what it expected and what there was. */
TT_TEST_PLAIN(kit, each_failed_expectation_explains_itself)
{
	EXPECT_EQ(run("--only=every.kind", "--on=epoll"), 1);
	EXPECT_TRUE(says("expected a[0] == b[1]"));
	EXPECT_TRUE(says("expected 7 to give EIO, but 7"));
	EXPECT_TRUE(says("expected TT_EPIPE to give EIO, but EPIPE"));
	EXPECT_TRUE(says("to give a result, but EPIPE"));
	EXPECT_TRUE(says("with a word"));
	EXPECT_TRUE(says("\"(null)\" and \"right\""));
	EXPECT_TRUE(says("\"left\" and \"(null)\""));
	EXPECT_TRUE(says("over 3 bytes, but byte 1 is 0x02 and 0x09"));
	EXPECT_TRUE(says("not ok 1 - every.kind_of_failure # 8 expectations failed"));
#ifdef TTI_FIBER_TSAN
	/* There nobody looks: see expect.c. */
	EXPECT_EQ(run("--only=every.abort", "--on=epoll"), 0);
#else
	EXPECT_EQ(run("--only=every.abort", "--on=epoll"), 1);
	EXPECT_TRUE(says("wait status 0x0"));
	EXPECT_TRUE(says("aborts, but does not say \"no such word\""));
	EXPECT_TRUE(says("wait status 0x300"));
	EXPECT_TRUE(says("# 3 expectations failed"));
#endif
}

TT_TEST_PLAIN(kit, what_a_test_leaves_behind_fails_it)
{
	/* perhaps laws 5, 7, 9 */
	EXPECT_EQ(run_plainly("--only=every.task_left", "--on=epoll", "--timeout=30", NULL), 1);
	EXPECT_TRUE(says("expected 2 tasks alive, but 1"));
	EXPECT_EQ(run("--only=every.number_left", "--on=epoll"), 1);
	EXPECT_TRUE(says("1 descriptors are left open"));
	EXPECT_EQ(run("--only=plainly.a_wrong", "--on=epoll"), 1);
	EXPECT_TRUE(says("# exit status 3"));
}

/* The first few failures are shown; all are counted. A line that is too long is cut. */
TT_TEST_PLAIN(kit, much_is_cut)
{
	EXPECT_EQ(run("--only=plainly.many_failures", "--on=sim"), 1);
	EXPECT_TRUE(says("# 40 expectations failed"));
	EXPECT_EQ(strstr(child.text, "but 39 and -1") == NULL, true);
	EXPECT_EQ(run("--only=plainly.a_long_line", "--on=sim"), 1);
	EXPECT_TRUE(says("xxx"));
	EXPECT_TRUE(says("not ok 1 - plainly.a_long_line # 1 expectations failed"));
}

TT_TEST_PLAIN(kit, seeds_and_workers_come_from_options_or_the_environment)
{
	EXPECT_EQ(run_plainly("--only", "plainly.many_seeds", "--seeds", "4"), 0);
	EXPECT_TRUE(says("# seed 0, 4 seeds, 2 workers"));
	seed_of_child = "0x11";
	workers_of_child = "3";
	EXPECT_EQ(run_plainly("--only=plainly.many_seeds", "--on=auto", NULL, NULL), 0);
	EXPECT_TRUE(says("# seed 17, 1 seeds, 3 workers"));
	EXPECT_TRUE(says("(auto, 3 workers, seed 0x11)"));
	seed_of_child = workers_of_child = "";
	EXPECT_EQ(run_plainly("--only=plainly.many_seeds", "--workers=5", NULL, NULL), 0);
	EXPECT_TRUE(says("# seed 0, 9 seeds, 5 workers"));
	seed_of_child = workers_of_child = NULL;
}

/* Misuse is told from failure by its status. */
TT_TEST_PLAIN(kit, misuse_is_told)
{
	EXPECT_EQ(run("--on=moon", NULL), 2);
	EXPECT_TRUE(says("no such backend: moon"));
	EXPECT_EQ(run("--moon=1", NULL), 2);
	EXPECT_TRUE(says("no such option: --moon"));
	EXPECT_EQ(run("--seeds", NULL), 2);
	EXPECT_TRUE(says("needs a value: --seeds"));
	EXPECT_EQ(run("--seeds=5x", NULL), 2);
	EXPECT_EQ(run("--seeds=1000000001", NULL), 2);
	EXPECT_EQ(run("--seeds=", NULL), 2);
	EXPECT_EQ(run("--workers=0", "--on=sim"), 2);
	EXPECT_TRUE(says("--workers: 0"));
}

/* For a debugger: one process, the same outcome. */
TT_TEST_PLAIN(kit, without_processes_of_their_own)
{
	EXPECT_EQ(run("--no-fork", "--only=subject.passes"), 0);
	EXPECT_TRUE(says("ok 1 - subject.passes"));
	EXPECT_EQ(run("--no-fork", "--only=plainly.many_failures"), 1);
	EXPECT_TRUE(says("not ok 1 - plainly.many_failures # 40 expectations failed"));
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

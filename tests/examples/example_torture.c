/* SPDX-License-Identifier: MIT */
/*
 * example_torture.c - an example under cancel torture: its `app` run in the simulator once
 * for every place where a cancel can strike, cut exactly there; and once for each allocation and each
 * call that can be refused. It may end in any code, but nothing of it may be left. Compiled
 * once for each example, named by EXAMPLE_FILE.
 */
#include <stdio.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

/* What the example prints is checked elsewhere; here it is the same hundreds of times. */
__attribute__((format(printf, 1, 2))) static int say_nothing(const char *format, ...)
{
	(void)format;
	return 0;
}

/* A fortified libc may have made macros of them. */
#undef printf
#undef puts
#define main example_main
#define printf say_nothing
#define puts(text) say_nothing("%s", text)
#include EXAMPLE_FILE
#undef main
#undef printf
#undef puts

/* Nothing that a task started outlives it, wherever it was cut short. */
TT_TEST_PLAIN(example, every_cut_leaves_nothing_behind)
{
	tt_torture_options o = { .name = EXAMPLE_NAME, .seed = tt_test_seed(), .any_code = true };
	tt_torture_result r;

	(void)example_main;
	EXPECT_EQ(TT_CANCEL_TORTURE(&o, &r, app), 0);
	EXPECT_GT(r.checkpoints, 0);
	tt_test_note("k = %llu, %llu runs, %llu cut short", (unsigned long long)r.checkpoints,
	             (unsigned long long)r.runs, (unsigned long long)r.cut);
}

static void note_refusals(const char *what, const tt_torture_result *r)
{
	tt_test_note("%s: %llu places, %llu runs, %llu returned a code", what, (unsigned long long)r->places,
	             (unsigned long long)r->runs, (unsigned long long)r->cut);
}

/* Nor when memory runs out, for once or for good. */
TT_TEST_PLAIN(example, every_refused_allocation_leaves_nothing_behind)
{
	tt_torture_options o = { .name = EXAMPLE_NAME, .seed = tt_test_seed(), .any_code = true };
	tt_torture_result r;

	EXPECT_EQ(TT_ALLOC_TORTURE(&o, &r, app), 0);
	EXPECT_GT(r.runs, 0);
	note_refusals("memory", &r);
}

/* Nor when a call on a socket, a file or a mapping fails. */
TT_TEST_PLAIN(example, every_refused_call_leaves_nothing_behind)
{
	tt_torture_options o = { .name = EXAMPLE_NAME, .seed = tt_test_seed(), .any_code = true };
	tt_torture_result r;

	EXPECT_EQ(TT_SYSCALL_TORTURE(&o, &r, app), 0);
	note_refusals("calls", &r);
}

TT_TEST_MAIN()

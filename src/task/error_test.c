/* SPDX-License-Identifier: MIT */
/*
 * error_test.c - chains: what starts one, what extends it, what explains nothing; how it
 * reads as text and as JSON; that the code survives when the text does not.
 */
#include "task/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

#include "task/task.h"
#include "testing/child_testkit.h"
#include "testing/stderr_testkit.h"

#define APP_EVALIDATION (-20001)
#define APP_EQUOTA (-20002)

TT_ERROR_CODES(app, { APP_EVALIDATION, "Validation failed" }, { APP_EQUOTA, "Quota, \"used\" up" });

static int connect_fails(void)
{
	return tt_fail(-ECONNREFUSED, "connect to %s", "orders.internal:5432");
}

static int load(int id)
{
	return tt_wrap(connect_fails(), "load profile %d", id);
}

static void text_of(int rc, char *buf, size_t n)
{
	tt_error e;

	tt_error_take(&e, rc);
	tt_error_text(&e, buf, n);
	tt_error_fini(&e);
}

/* The outermost context comes first, the failure itself last, with its place and task. */
TT_TEST(error, chain_reads_from_the_outside_in)
{
	char text[1024];
	static const char first[] = "load profile 42: Connection refused (ECONNREFUSED)\n  in connect_fails, ";

	text_of(load(42), text, sizeof(text));
	EXPECT_TRUE(strncmp(text, first, sizeof(first) - 1) == 0);
	EXPECT_TRUE(strstr(text, "error_test.c:") != NULL);
	EXPECT_TRUE(strstr(text, ": connect to orders.internal:5432\n  task ") != NULL);
}

/* tt_wrap extends only the chain that explains its code; a swallowed error needs no clearing. */
TT_TEST(error, a_swallowed_error_does_not_leak_into_the_next)
{
	const tt_error_node *n;
	tt_error e;

	TT_IGNORE(connect_fails());
	tt_error_take(&e, tt_wrap(-EIO, "read index"));
	n = tt_error_first(&e);
	REQUIRE_TRUE(n != NULL);
	EXPECT_STR_EQ(tt_error_message(n), "read index");
	EXPECT_CODE(tt_error_code(n), -EIO);
	EXPECT_TRUE(tt_error_cause(n) == NULL);
	tt_error_fini(&e);
}

/* Success passes through tt_wrap, untouched and unformatted. */
TT_TEST(error, wrap_passes_success_through)
{
	EXPECT_EQ(tt_wrap(7, "never"), 7);
	EXPECT_EQ(tt_wrap(0, "never"), 0);
}

/* tt_fail takes negative codes only: a positive errno value is a mistake that is told. */
TT_TEST(error, fail_refuses_a_positive_code)
{
	EXPECT_ABORTS(TT_IGNORE(tt_fail(EIO, "oops")), "is not negative");
}

/* A kept chain is attached again later, with its code. */
TT_TEST(error, take_and_attach_keep_the_chain)
{
	char text[512];
	tt_error e;

	tt_error_take(&e, connect_fails());
	TT_IGNORE(tt_fail(-EIO, "something else meanwhile"));
	EXPECT_CODE(tt_error_attach(&e), -ECONNREFUSED);
	text_of(-ECONNREFUSED, text, sizeof(text));
	EXPECT_TRUE(strstr(text, "connect to orders.internal:5432") != NULL);
}

static TT_TASK(orders, (int, id))
{
	TT_TRY(tt_sleep(TT_MS(1)));
	return tt_wrap(connect_fails(), "orders of %d", id);
}

static TT_TASK(user, (int, id))
{
	(void)id;
	TT_IGNORE(tt_sleep(TT_SEC(5)));
	return tt_fail(APP_EVALIDATION, "name is empty");
}

static int load_profile(int id)
{
	int rc;

	TT_GROUP(g);
	tt_go(&g, user, id);
	tt_go(&g, orders, id);
	rc = tt_group_end(&g, 0);
	return tt_wrap(rc, "load profile %d", id);
}

/* The chain crosses the task and the group; a failure in cleanup is its sibling. */
TT_TEST(error, chain_crosses_tasks_with_siblings)
{
	const tt_error_node *first, *sibling;
	char text[2048];
	tt_error e;

	tt_error_take(&e, load_profile(42));
	tt_error_text(&e, text, sizeof(text));
	tt_test_note("%s", text);
	first = tt_error_first(&e);
	REQUIRE_TRUE(first != NULL);
	EXPECT_STR_EQ(tt_error_message(first), "load profile 42");
	REQUIRE_TRUE(tt_error_cause(first) != NULL);
	EXPECT_STR_EQ(tt_error_message(tt_error_cause(first)), "orders of 42");
	EXPECT_TRUE(strstr(text, "\n  task orders#") != NULL);
	EXPECT_TRUE(strstr(text, ", spawned at ") != NULL);
	EXPECT_TRUE(strstr(text, "\n  also failed: user#") != NULL);
	EXPECT_TRUE(strstr(text, "Validation failed: name is empty (APP_EVALIDATION)") != NULL);
	for (sibling = NULL; first != NULL && sibling == NULL; first = tt_error_cause(first))
		sibling = tt_error_sibling(first);
	REQUIRE_TRUE(sibling != NULL);
	EXPECT_CODE(tt_error_code(sibling), APP_EVALIDATION);
	tt_error_fini(&e);
}

/* JSON is well formed, whatever quotes and control bytes the texts hold. */
TT_TEST(error, json_escapes_what_it_must)
{
	char text[2048];
	tt_error e;

	tt_error_take(&e, tt_fail(APP_EQUOTA, "path \"C:\\x\"\n%c", 1));
	EXPECT_GT(tt_error_json(&e, text, sizeof(text)), 0);
	EXPECT_TRUE(strstr(text, "\"name\":\"APP_EQUOTA\",\"text\":\"Quota, \\\"used\\\" up\"") != NULL);
	EXPECT_TRUE(strstr(text, "\"message\":\"path \\\"C:\\\\x\\\"\\u000a\\u0001\"") != NULL);
	tt_error_fini(&e);
}

/* Like snprintf: the whole length comes back, and nothing is written past the buffer. */
TT_TEST(error, text_is_cut_to_the_buffer)
{
	char all[1024], some[16];
	tt_error e;
	int len;

	memset(some, '#', sizeof(some));
	tt_error_take(&e, load(7));
	len = tt_error_text(&e, all, sizeof(all));
	EXPECT_EQ(len, (int)strlen(all));
	EXPECT_EQ(tt_error_text(&e, some, 8), len);
	EXPECT_EQ(strlen(some), 7);
	EXPECT_EQ(some[8], '#');
	tt_error_fini(&e);
}

/* A failure of a hundred steps: the reserve runs out, the code and the first text stay, and
 * the rest is counted. */
TT_TEST(error, an_empty_reserve_costs_text_never_the_code)
{
	const size_t reserve = tti_home_here->free_nodes.len;
	char text[16384];
	tt_error e;
	int rc = connect_fails();

	for (size_t i = 0; i < reserve + 10; i++)
		rc = tt_wrap(rc, "step %zu", i);
	EXPECT_CODE(rc, -ECONNREFUSED);
	EXPECT_EQ(tti_home_here->free_nodes.len, 0);
	tt_error_take(&e, rc);
	tt_error_text(&e, text, sizeof(text));
	EXPECT_TRUE(strstr(text, "Connection refused (ECONNREFUSED)") != NULL);
	EXPECT_TRUE(strstr(text, "(10 more without room for their text)") != NULL);
	tt_error_fini(&e);
	EXPECT_EQ(tti_home_here->free_nodes.len, reserve);
}

static TT_TASK(job_fails, (bool, fails))
{
	int rc;

	if (!fails)
		return 0;
	rc = tt_wrap(tt_fail(-EPROTO, "bad magic"), "read header");
	return tt_wrap(rc, "open archive");
}

/* A chain crosses the thread pool with all its steps, and a job that succeeds leaves the task's
 * own chain alone. */
TT_TEST(error, chain_crosses_the_thread_pool)
{
	static const char *const steps[] = { "in the job", "open archive", "read header", "bad magic" };
	const tt_error_node *n;
	tt_error e;

	tt_error_take(&e, tt_wrap(tt_blocking(job_fails, true), "in the job"));
	n = tt_error_first(&e);
	for (int i = 0; i < 4; i++, n = tt_error_cause(n)) {
		REQUIRE_TRUE(n != NULL);
		EXPECT_STR_EQ(tt_error_message(n), steps[i]);
	}
	EXPECT_TRUE(n == NULL);
	EXPECT_CODE(tt_error_attach(&e), -EPROTO);
	EXPECT_OK(tt_blocking(job_fails, false));
	tt_error_take(&e, -EPROTO);
	EXPECT_TRUE(tt_error_first(&e) != NULL);
	tt_error_fini(&e);
}

static void begin(struct tti_error *e, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tti_error_begin(e, code, "here", "begin", fmt, ap);
	va_end(ap);
}

/* A failure with siblings that finds the reserve empty is lost whole: its nodes come back. */
TT_TEST(error, a_lost_sibling_gives_its_nodes_back)
{
	struct tti_stack *reserve = &tti_home_here->free_nodes, taken = { NULL, 0 };
	struct tti_error to, from, third;
	size_t before = reserve->len;

	tti_error_init(&to);
	tti_error_init(&from);
	tti_error_init(&third);
	begin(&to, -EIO, "first");
	begin(&from, -EPROTO, "second");
	begin(&third, -EPIPE, "beside the second");
	tti_error_add_sibling(&from, &third);
	while (reserve->len > 0)
		tti_stack_push(&taken, tti_stack_pop(reserve));
	tti_error_add_sibling(&to, &from);
	while (taken.len > 0)
		tti_stack_push(reserve, tti_stack_pop(&taken));
	EXPECT_EQ(to.dropped, 2u);
	EXPECT_EQ(to.code, -EIO);
	tti_error_clear(&to);
	EXPECT_EQ(reserve->len, before);
}

/* So many siblings and no more are kept: a thousand failures are counted, not stored. */
TT_TEST(error, siblings_are_bounded)
{
	struct tti_error to, from;
	const tt_error_node *n;
	uint32_t kept = 0;

	tti_error_init(&to);
	tti_error_init(&from);
	begin(&to, -EIO, "first");
	for (int i = 0; i < 1000; i++) {
		tti_home_refill_if_low(tti_home_here);
		begin(&from, -EPROTO, "sibling %d", i);
		tti_error_add_sibling(&to, &from);
		EXPECT_EQ(from.code, 0);
	}
	for (n = to.head->sibling; n != NULL; n = tt_error_sibling(n))
		kept++;
	EXPECT_EQ(kept, TTI_ERROR_SIBLINGS_MAX);
	EXPECT_EQ(to.dropped, 1000u - kept);
	tti_error_clear(&to);
}

__attribute__((noinline)) static int fails_deep_below(int depth)
{
	int rc = depth > 0 ? fails_deep_below(depth - 1) : tt_fail(-EPROTO, "at the bottom");

	__asm__ volatile("" ::: "memory"); /* no tail call */
	return rc;
}

static TT_TASK(fails_below)
{
	return fails_deep_below(5);
}

static int fail_in_a_child(void)
{
	TT_GROUP(g);
	tt_go(&g, fails_below);
	return tt_wrap(tt_group_end(&g, 0), "above");
}

/* Asked for, the frames above a failure are part of its chain, across the task's end; else none
 * is recorded. */
TT_TEST(error, frames_of_a_failure)
{
	static char text[8192], json[8192];
	tt_error e;

	tt_error_backtraces(true);
	tt_error_take(&e, fail_in_a_child());
	tt_error_backtraces(false);
	tt_error_text(&e, text, sizeof(text));
	tt_error_json(&e, json, sizeof(json));
	EXPECT_GE(count_of(text, "\n    at "), 7u); /* the six, and what called them */
	EXPECT_LE(count_of(text, "\n    at "), 12u);
#ifdef __x86_64__ /* elsewhere the tests run in an emulator, whose loader names the program otherwise */
	EXPECT_EQ(count_of(text, "error_test+0x") + count_of(text, "(error_test+0x") > 0, true);
#endif
	EXPECT_EQ(count_of(json, "\"trace\":["), 1u);
	tt_error_fini(&e);
	tt_error_take(&e, fail_in_a_child());
	tt_error_text(&e, text, sizeof(text));
	EXPECT_EQ(count_of(text, "\n    at "), 0u);
	tt_error_fini(&e);
}

/* Names: the system's, the library's, the application's, and of no known code. */
TT_TEST_PLAIN(error, every_code_has_a_name)
{
	EXPECT_STR_EQ(tt_error_name(-EPIPE), "EPIPE");
	EXPECT_STR_EQ(tt_error_name(TT_ETORN), "TT_ETORN");
	EXPECT_STR_EQ(tt_error_name(APP_EVALIDATION), "APP_EVALIDATION");
	EXPECT_STR_EQ(tt_strerror(APP_EVALIDATION), "Validation failed");
	EXPECT_STR_EQ(tt_error_name(-4095), "?");
}

/* Two applications in one program may not share a code. */
TT_TEST_PLAIN(error, overlapping_domains_abort)
{
	static const struct tt_error_code_ codes[] = { { APP_EQUOTA, "mine too" } };
	static const char *const names[] = { "OTHER_EQUOTA" };
	static const struct tt_error_domain_ other = { "other", codes, names, 1 };

	EXPECT_ABORTS(tt_error_register_(&other), "is taken by APP_EQUOTA");
}

/* ---- siblings ---- */

static void fail_beside(tt_error *e, int code, const char *text)
{
	tt_error_take(e, tt_wrap(tt_fail(code, "%s", text), "beside"));
}

/* Failures beside one another are all in the text and in the JSON; beyond a bound counted. */
TT_TEST(error, siblings_are_told_and_bounded)
{
	static char text[16384];
	tt_error e, more;

	tt_error_take(&e, tt_fail(TT_EIO, "the first"));
	for (int i = 0; i < TTI_ERROR_SIBLINGS_MAX + 3; i++) {
		fail_beside(&more, TT_EPIPE, "another");
		tti_error_add_sibling((struct tti_error *)(void *)&e, (struct tti_error *)(void *)&more);
	}
	tt_error_json(&e, text, sizeof(text));
	EXPECT_TRUE(strstr(text, "\"siblings\":[{\"code\":-32") != NULL);
	EXPECT_TRUE(strstr(text, "},{\"code\":-32") != NULL);
	EXPECT_TRUE(strstr(text, "\"dropped\":0}") == NULL);
	tt_error_text(&e, text, sizeof(text));
	EXPECT_TRUE(strstr(text, "also failed: ") != NULL);
	tt_error_fini(&e);
}

/* One that has nothing to say is still counted with the others. */
TT_TEST(error, a_bare_sibling)
{
	static char text[2048];
	tt_error e, bare;

	tt_error_take(&e, TT_EIO);
	tt_error_take(&bare, TT_EPIPE);
	tti_error_add_sibling((struct tti_error *)(void *)&e, (struct tti_error *)(void *)&bare);
	tt_error_json(&e, text, sizeof(text));
	EXPECT_TRUE(strstr(text, "\"code\":-5") != NULL);
	EXPECT_STR_EQ(tt_error_site(tt_error_first(&e)), "");
	tt_error_fini(&e);
	tt_error_fini(NULL);
	tt_error_take(&bare, 0);
	EXPECT_EQ(tt_error_attach(&bare), 0);
}

/* ---- outside of tasks ---- */

/* A plain thread has one text, of where it failed; codes go through all the same. */
TT_TEST_PLAIN(error, on_a_plain_thread)
{
	static char text[2048];
	tt_error e;
	int rc = tt_wrap(tt_fail(TT_EIO, "where it began"), "where it went");

	EXPECT_EQ(rc, TT_EIO);
	tt_error_take(&e, rc);
	tt_error_text(&e, text, sizeof(text));
	EXPECT_TRUE(strstr(text, "where it began") != NULL);
	EXPECT_TRUE(strstr(text, "where it went") == NULL);
	EXPECT_TRUE(strstr(text, "  task ") == NULL);
	tt_error_json(&e, text, sizeof(text));
	EXPECT_TRUE(strstr(text, "\"dropped\":1}") != NULL);
	EXPECT_TRUE(strstr(text, "\"task\"") == NULL);
	tt_error_fini(&e);
	EXPECT_STR_EQ(tt_strerror(0), "Success");
	EXPECT_STR_EQ(tt_strerror(-4095), "Unknown error");
	EXPECT_STR_EQ(tt_error_name(5), "?");
}

static int wrap_deep(int rc, int levels)
{
	for (int i = 0; i < levels; i++)
		rc = tt_wrap(rc, "level %d of a very long chain that goes on and on, as texts of this kind tend to", i);
	return rc;
}

/* A report is one write of bounded length, and ends its line. */
TT_TEST(error, a_long_report_is_cut)
{
	struct stderr_capture c = stderr_capture_begin();
	const char *said;
	int rc = wrap_deep(tt_fail(TT_EIO, "the first"), 60);

	tt_error_report(rc, "a report");
	said = stderr_capture_end(&c);
	EXPECT_LT(strlen(said), 4097u);
	EXPECT_GT(strlen(said), 3000u);
	EXPECT_EQ(said[strlen(said) - 1], '\n');
	c = stderr_capture_begin();
	tt_error_report(TT_EPIPE, "another");
	said = stderr_capture_end(&c);
	EXPECT_STR_EQ(said, "another: Broken pipe (EPIPE)\n");
}

/* ---- frames ---- */

static int deep(int levels)
{
	int rc = levels == 0 ? tt_fail(TT_EIO, "at the bottom") : deep(levels - 1);

	__asm__ volatile("" ::: "memory"); /* no tail call */
	return rc;
}

/* Of a deep stack the innermost frames are kept. */
TT_TEST(error, frames_are_bounded)
{
	static char text[16384];
	tt_error e;

	tt_error_backtraces(true);
	tt_error_take(&e, deep(100));
	tt_error_backtraces(false);
	tt_error_text(&e, text, sizeof(text));
	EXPECT_GE(count_of(text, "\n    at "), 10u);
	EXPECT_LT(count_of(text, "\n    at "), 100u);
	tt_error_fini(&e);
}

#ifdef __x86_64__ /* elsewhere the tests run in an emulator, which cannot start itself */

static unsigned frames_when_asked(const char *value)
{
	const char *argv[] = { "error_test", "--only=error.frames_by_the_environment", "--on=epoll", NULL };
	static struct child c;

	if (child_begin(&c, CHILD_STDOUT)) {
		setenv("TUTTI_BACKTRACE", value, 1);
		setenv("TUTTI_TEST_CHILD", "1", 1);
		execv("/proc/self/exe", (char *const *)(uintptr_t)argv);
		_exit(99);
	}
	child_end(&c);
	EXPECT_EQ(child_code(&c), 0);
	return count_of(c.text, "\n    at ");
}

/* TUTTI_BACKTRACE asks for frames; 0 and nothing do not. */
TT_TEST_PLAIN(error, frames_by_the_environment)
{
	static char text[4096];
	tt_error e;

	if (getenv("TUTTI_TEST_CHILD") != NULL) {
		tt_error_take(&e, deep(5));
		tt_error_text(&e, text, sizeof(text));
		printf("%s\n", text);
		fflush(stdout);
		tt_error_fini(&e);
		return;
	}
	EXPECT_GT(frames_when_asked("1"), 3u);
	EXPECT_EQ(frames_when_asked("0"), 0u);
	EXPECT_EQ(frames_when_asked(""), 0u);
}

#endif

TT_TEST_MAIN()

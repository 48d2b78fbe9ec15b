/* SPDX-License-Identifier: MIT */
/*
 * failure_dump_test.c - a task dump where writing fails, memory is short, names are long and
 * parents have gone; and a report of a task with a name longer than its line.
 *
 * test-on: epoll1 epoll4 uring4
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "testing/stderr_testkit.h"

#include "failure_kit.h"

static char text[65536];

/* What a dump writes, and what it returns. */
static int dump(size_t *ret_n)
{
	int ends[2], rc;
	ssize_t n;

	REQUIRE_EQ(pipe(ends), 0);
	rc = tt_dump_tasks(ends[1]);
	close(ends[1]);
	*ret_n = 0;
	while ((n = read(ends[0], text + *ret_n, sizeof(text) - 1 - *ret_n)) > 0)
		*ret_n += (size_t)n;
	text[*ret_n] = '\0';
	close(ends[0]);
	return rc;
}

static int refused_dump(long nr, int code, unsigned nth)
{
	size_t n;
	int rc;

	refuse_nth(&(struct refusal){ nr, code }, nth);
	rc = dump(&n);
	EXPECT_TRUE(refuse_no_more());
	return rc;
}

/* ---- writing ---- */

TT_TEST(failure_dump, the_first_failure_to_write_is_the_result)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	size_t n;

	REQUIRE_LT(-1, full);
	EXPECT_CODE(tt_dump_tasks(full), TT_ENOSPC);
	close(full);
	EXPECT_CODE(tt_dump_tasks(full), TT_EBADF);
	EXPECT_OK(dump(&n));
	EXPECT_GT(n, 20u);
}

/* With more workers the first write is a wake. */
TT_TEST(failure_dump, a_write_that_was_interrupted_goes_on)
{
	if (tt_test_workers() > 1)
		return;
	EXPECT_CODE(refused_dump(SYS_write, 0, 1), TT_EIO);
	EXPECT_CODE(refused_dump(SYS_write, -EINTR, 1), 0);
	EXPECT_TRUE(strstr(text, "test_body#") != NULL);
}

TT_TEST(failure_dump, without_memory_there_is_no_dump)
{
	EXPECT_CODE(refused_dump(REFUSE_ALLOC, 0, 1), TT_ENOMEM);
	EXPECT_CODE(refused_dump(REFUSE_ALLOC, 0, 2), TT_ENOMEM);
}

TT_TEST_PLAIN(failure_dump, only_tasks_dump)
{
	EXPECT_CODE(tt_dump_tasks(1), TT_EINVAL);
}

/* ---- who is shown ---- */

static TT_TASK(stays, (tt_notify *, never))
{
	return tt_notify_wait(never);
}

static TT_TASK(waits_without_a_site, (tt_notify *, never))
{
	return TT_UNTIL_STOP(tt_notify_wait(never));
}

static TT_TASK(adds_one_and_ends, (tt_group *, g), (tt_notify *, never))
{
	return tt_go(g, stays, never);
}

static int dump_orphans(tt_notify *never, size_t *ret_n)
{
	TT_GROUP_WITH(g, &(tt_group_options){ .shared = true });
	for (int i = 0; i < 70; i++)
		tt_go(&g, adds_one_and_ends, &g, never);
	TT_TRY_IN(&g, tt_yield());
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	TT_TRY_IN(&g, dump(ret_n));
	tt_group_cancel(&g);
	return tt_group_end(&g, 0);
}

/* Whose parent has ended is shown, once, beside the tree. */
TT_TEST(failure_dump, orphans_are_shown)
{
	tt_notify never;
	size_t n;

	tt_notify_init(&never);
	EXPECT_OK(dump_orphans(&never, &n));
	EXPECT_EQ(count_of(text, "stays#"), 70u);
	EXPECT_EQ(count_of(text, "adds_one_and_ends#"), 0u);
	EXPECT_TRUE(strstr(text, "tutti: 71 tasks on ") != NULL);
	tt_notify_fini(&never);
}

static int dump_long(tt_notify *never, const char *name, size_t *ret_n)
{
	TT_GROUP(g);
	for (int i = 0; i < 3; i++)
		tt_go_with(&g, &(tt_child_options){ .name = name }, waits_without_a_site, never);
	TT_TRY_IN(&g, tt_yield());
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	TT_TRY_IN(&g, dump(ret_n));
	tt_group_cancel(&g);
	return tt_group_end(&g, 0);
}

/* A name that does not fit is cut; what follows is whole. */
TT_TEST(failure_dump, long_names_are_cut)
{
	static char name[4000];
	tt_notify never;
	size_t n;

	memset(name, 'n', sizeof(name) - 1);
	tt_notify_init(&never);
	EXPECT_OK(dump_long(&never, name, &n));
	EXPECT_EQ(count_of(text, "nnnnnnnnnnnnnnnn") > 3, true);
	EXPECT_GT(n, 1000u);
	EXPECT_LT(n, 3 * sizeof(name));
	tt_notify_fini(&never);
}

/* ---- reports ---- */

static TT_TASK(goes_on, (const char **, said))
{
	struct stderr_capture c;

	TT_SCOPE(s, -1);
	c = stderr_capture_begin();
	for (int i = 0; i < 3000; i++)
		TT_IGNORE(tt_checkpoint());
	*said = stderr_capture_end(&c);
	return tt_scope_end(&s, 0);
}

static int go_on(const char *name, const char **said)
{
	TT_GROUP(g);
	tt_go_with(&g, &(tt_child_options){ .name = name }, goes_on, said);
	return tt_group_end(&g, 0);
}

TT_TEST(failure_dump, a_report_fits_its_line)
{
	static char name[700];
	const char *said = "";

	memset(name, 'n', sizeof(name) - 1);
	EXPECT_OK(go_on(name, &said));
	EXPECT_GT(strlen(said), 400u);
	EXPECT_LT(strlen(said), 600u);
	EXPECT_EQ(count_of(said, "tutti: task nnnn"), 1u);
}

TT_TEST_MAIN()

/* SPDX-License-Identifier: MIT */
/* dump_test.c - the task tree as text: who is there, under whom, waiting for what; counters. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

static TT_TASK(leaf, (tt_notify *, never))
{
	return tt_notify_wait(never);
}

static TT_TASK(branch, (tt_notify *, never), (int, leaves))
{
	tt_child_options elsewhere = { .worker = TT_WORKER_ANY };

	TT_GROUP(g);
	for (int i = 0; i < leaves; i++)
		tt_go_with(&g, &elsewhere, leaf, never);
	return tt_group_end(&g, 0);
}

/* The dump goes to a real descriptor; a file keeps it whatever its size. */
static size_t dump_to(char *buf, size_t size)
{
	FILE *f = tmpfile();
	size_t n;

	REQUIRE_TRUE(f != NULL);
	REQUIRE_OK(tt_dump_tasks(fileno(f)));
	rewind(f);
	n = fread(buf, 1, size - 1, f);
	buf[n] = '\0';
	fclose(f);
	return n;
}

static int count(const char *text, const char *what)
{
	int n = 0;

	for (; (text = strstr(text, what)) != NULL; text += strlen(what))
		n++;
	return n;
}

/* Every live task is there once, under its parent, with what it waits for and since when. */
TT_TEST_ON(dump, shows_the_live_tree, TT_ON_REAL, "writes to a descriptor of the kernel")
{
	static char text[262144];
	tt_notify never;
	const char *first_branch, *first_leaf;

	tt_notify_init(&never);
	TT_GROUP(g);
	tt_go(&g, branch, &never, 3);
	tt_go(&g, branch, &never, 40);
	EXPECT_OK(tt_test_wait_all_parked());
	dump_to(text, sizeof(text));
	EXPECT_TRUE(strncmp(text, "tutti: 46 tasks on ", 19) == 0);
	EXPECT_EQ(count(text, "leaf#"), 43);
	EXPECT_EQ(count(text, " parked on worker "), 45);
	EXPECT_EQ(count(text, ", notify 0x"), 43);
	EXPECT_EQ(count(text, ", children of group 0x"), 2);
	EXPECT_EQ(count(text, "spawned at src/obs/dump_test.c:"), 45);
	first_branch = strstr(text, "\n  branch#");
	first_leaf = strstr(text, "\n    leaf#");
	EXPECT_TRUE(first_branch != NULL && first_leaf != NULL && first_branch < first_leaf);
	tt_group_cancel(&g);
	EXPECT_OK(tt_group_end(&g, 0));
}

/* A descriptor that does not take it is an error, not a hang. */
TT_TEST_ON(dump, reports_a_bad_descriptor, TT_ON_REAL, "writes to a descriptor of the kernel")
{
	EXPECT_CODE(tt_dump_tasks(-1), TT_EBADF);
}

TT_TEST_PLAIN(dump, needs_a_runtime)
{
	EXPECT_CODE(tt_dump_tasks(2), TT_EINVAL);
}

/* The counters agree with what the test did. */
TT_TEST(stats, count_what_happened)
{
	/* law 5 */
	tt_stats before, after;
	tt_notify never;

	tt_notify_init(&never);
	tt_stats_read(&before);
	TT_GROUP(g);
	for (int i = 0; i < 10; i++)
		tt_go(&g, leaf, &never);
	EXPECT_OK(tt_test_wait_all_parked());
	tt_stats_read(&after);
	EXPECT_EQ(after.tasks_started - before.tasks_started, 10);
	EXPECT_EQ(after.tasks_live - before.tasks_live, 10);
	EXPECT_EQ(after.tasks_parked - before.tasks_parked, 10);
	EXPECT_GT(after.switches, before.switches);
	tt_group_cancel(&g);
	EXPECT_OK(tt_group_end(&g, 0));
	tt_stats_read(&after);
	EXPECT_EQ(after.tasks_live, before.tasks_live);
}

TT_TEST_MAIN()

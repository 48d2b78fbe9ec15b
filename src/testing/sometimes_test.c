/* SPDX-License-Identifier: MIT */
/*
 * sometimes_test.c - what TT_SOMETIMES() claims is counted, asked for and written.
 *
 * test-on: sim1 sim4 epoll4 uring4
 */
#undef NDEBUG
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

#include "testing/kit.h"

TT_TEST_MAIN()

#define CLAIM "a number is even"

static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };

static TT_TASK(looks, (int, n))
{
	TT_SOMETIMES(n % 2 == 0, CLAIM);
	return 0;
}

static int many_look(void)
{
	TT_GROUP(g);
	for (int i = 0; i < 100; i++)
		tt_go_with(&g, &anywhere, looks, i);
	return tt_group_end(&g, 0);
}

/* Each time that it holds is counted, from whatever worker; of others with the same claim too. */
TT_TEST(sometimes, counts_what_holds)
{
	uint64_t before = tt_test_sometimes(CLAIM); /* a simulated test runs several times */

	EXPECT_OK(many_look());
	TT_SOMETIMES(true, CLAIM);
	TT_SOMETIMES(false, CLAIM);
	EXPECT_EQ(tt_test_sometimes(CLAIM) - before, 51u);
	EXPECT_EQ(tt_test_sometimes("no place says this"), 0u);
}

/* The condition is evaluated once, whatever comes of it. */
TT_TEST(sometimes, evaluates_once)
{
	int n = 0;

	TT_SOMETIMES(n++ > 0, "a condition is evaluated once");
	EXPECT_EQ(n, 1);
	EXPECT_EQ(tt_test_sometimes("a condition is evaluated once"), 0u);
}

static void read_all(const char *path, char *buf, size_t n)
{
	FILE *f = fopen(path, "r");
	size_t got;

	REQUIRE_TRUE(f != NULL);
	got = fread(buf, 1, n - 1, f);
	buf[got] = '\0';
	fclose(f);
}

/* The file gets a line for each place that was reached, behind what is there. */
TT_TEST_PLAIN(sometimes, adds_to_the_file)
{
	char path[] = "/tmp/tutti-sometimes-XXXXXX", text[4096], line[200];
	int fd = mkstemp(path), first;

	REQUIRE_TRUE(fd >= 0);
	EXPECT_EQ(write(fd, "before\n", 7), 7);
	close(fd);
	for (int i = 0; i < 3; i++) {
		first = __LINE__ + 1;
		TT_SOMETIMES(true, "a loop comes round");
	}
	TT_SOMETIMES(false, "the loop is skipped");
	setenv("TUTTI_SOMETIMES", path, 1);
	tti_test_write_sometimes("plain");
	unsetenv("TUTTI_SOMETIMES");
	read_all(path, text, sizeof(text));
	snprintf(line, sizeof(line), "plain\t3\t%s:%d\ta loop comes round\n", __FILE__, first);
	EXPECT_EQ(strncmp(text, "before\n", 7), 0);
	EXPECT_TRUE(strstr(text, line) != NULL);
	EXPECT_TRUE(strstr(text, "skipped") == NULL);
	unlink(path);
}

/* A file that cannot be written fails the test: counts that are lost in silence prove nothing. */
TT_TEST_PLAIN(sometimes, a_file_that_takes_nothing_is_a_failure)
{
	static const char *const paths[] = { "/no/such/folder/at/all", "/dev/full" };

	TT_SOMETIMES(true, "something is to be written");
	for (size_t i = 0; i < 2; i++) {
		setenv("TUTTI_SOMETIMES", paths[i], 1);
		tti_test_write_sometimes("plain");
		unsetenv("TUTTI_SOMETIMES");
		/* relaxed: this process has no other thread. */
		EXPECT_EQ(tti_load_relaxed(&tti_test_shared->failures), i + 1);
	}
	/* relaxed: as above; they were what is tested. */
	tti_store_relaxed(&tti_test_shared->failures, 0);
}

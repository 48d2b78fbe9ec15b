/* SPDX-License-Identifier: MIT */
/*
 * retry_test.c - retries: how long between attempts, when to stop, and what is said then.
 *
 * test-on: sim1 sim4
 */
#include <string.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

TT_TEST_MAIN()

/* Between attempts a time from nothing to the doubled, capped first one; not always the same. */
TT_TEST(retry, waits_are_jittered_and_capped)
{
	static const int64_t caps_ms[] = { 10, 20, 40, 50, 50, 50 };
	int64_t shortest = TT_NEVER, longest = 0;

	for (int round = 0; round < 50; round++) {
		tt_retry r = tt_retry_jitter(TT_MS(10), TT_MS(50), 0);

		for (int i = 0; i < 6; i++) {
			int64_t before = tt_now(), took;

			EXPECT_OK(tt_retry_wait(&r, TT_EIO));
			took = tt_now() - before;
			EXPECT_LT(took, TT_MS(caps_ms[i]) + TT_US(200));
			if (i == 5 && took < shortest)
				shortest = took;
			if (i == 5 && took > longest)
				longest = took;
		}
	}
	EXPECT_LT(shortest, TT_MS(15));
	EXPECT_GT(longest, TT_MS(35));
}

/* The attempts count all of them; the code that is given back is the last failure's, and its
 * chain says that it was the last. */
TT_TEST(retry, gives_up_after_the_attempts)
{
	tt_retry r = tt_retry_jitter(TT_MS(1), TT_MS(1), 3);
	char text[512];
	tt_error e;
	int rc;

	EXPECT_OK(tt_retry_wait(&r, TT_EIO));
	EXPECT_OK(tt_retry_wait(&r, TT_EPIPE));
	rc = tt_retry_wait(&r, tt_fail(TT_EPIPE, "the third"));
	EXPECT_CODE(rc, TT_EPIPE);
	tt_error_take(&e, rc);
	EXPECT_GT(tt_error_text(&e, text, sizeof(text)), 0);
	EXPECT_TRUE(strstr(text, "gave up after 3 attempts") != NULL);
	EXPECT_TRUE(strstr(text, "the third") != NULL);
	tt_error_fini(&e);
}

static int retry_for_ever(tt_retry *r)
{
	for (;;)
		TT_TRY(tt_retry_wait(r, tt_fail(TT_ECONNREFUSED, "refused")));
}

/* A wait that would not end before the deadline is not begun: the failure is reported while
 * there is time left, and not as a timeout. */
TT_TEST(retry, stays_inside_the_deadline)
{
	for (int i = 0; i < 20; i++) {
		tt_retry r = tt_retry_jitter(TT_MS(100), TT_SEC(10), 0);
		int64_t before = tt_now();
		char text[512];
		tt_error e;
		int rc = TT_WITHIN(TT_MS(300), retry_for_ever(&r));

		EXPECT_CODE(rc, TT_ECONNREFUSED);
		EXPECT_LT(tt_now() - before, TT_MS(301));
		tt_error_take(&e, rc);
		EXPECT_GT(tt_error_text(&e, text, sizeof(text)), 0);
		EXPECT_TRUE(strstr(text, "before the deadline") != NULL);
		EXPECT_TRUE(strstr(text, "refused") != NULL);
		tt_error_fini(&e);
	}
}

static TT_TASK(retries_elsewhere)
{
	tt_retry r = tt_retry_jitter(TT_MS(100), TT_SEC(10), 0);

	return retry_for_ever(&r);
}

static int retry_on_another_worker(void)
{
	TT_GROUP(g);
	tt_go_with(&g, &(tt_child_options){ .worker = TT_WORKER(1) }, retries_elsewhere);
	return tt_group_end(&g, 0);
}

/* A deadline that was set on another worker counts as well: the task gives up by itself. */
TT_TEST(retry, a_deadline_of_another_worker_counts)
{
	EXPECT_CODE(TT_WITHIN(TT_MS(300), retry_on_another_worker()), TT_ECONNREFUSED);
}

/* The innermost deadline counts, and behind a shield only the shield's own. */
TT_TEST(retry, a_shield_hides_the_deadline_outside)
{
	tt_retry r = tt_retry_jitter(TT_MS(20), TT_MS(20), 0);

	for (int i = 0; i < 20; i++)
		EXPECT_OK(TT_WITHIN(TT_SEC(100), TT_WITHIN(TT_US(1), TT_SHIELDED(TT_SEC(1), tt_retry_wait(&r, TT_EIO)))));
}

/* What was cancelled, or asked to stop, is not tried again. */
TT_TEST(retry, never_after_a_cancel)
{
	tt_retry r = tt_retry_jitter(TT_SEC(1), TT_SEC(1), 0);
	int64_t before = tt_now();

	EXPECT_CODE(tt_retry_wait(&r, TT_ECANCELED), TT_ECANCELED);
	EXPECT_CODE(tt_retry_wait(&r, TT_ESTOP), TT_ESTOP);
	EXPECT_CODE(TT_WITHIN(0, tt_retry_wait(&r, TT_EIO)), TT_ETIMEDOUT);
	EXPECT_EQ(r.failed, 0u);
	EXPECT_LT(tt_now() - before, TT_MS(1));
}

/* Bounds: the doubling does not overflow, and misuse is named. */
TT_TEST(retry, bounds)
{
	tt_retry r = tt_retry_jitter(1, INT64_MAX, 0);

	r.failed = 200;
	EXPECT_CODE(TT_WITHIN(TT_MS(1), tt_retry_wait(&r, TT_EIO)), TT_EIO);
	EXPECT_ABORTS((void)tt_retry_jitter(0, 1, 1), "tt_retry_jitter: from 0 ns");
	EXPECT_ABORTS((void)tt_retry_jitter(2, 1, 1), "tt_retry_jitter: from 2 ns to 1 ns");
	EXPECT_ABORTS(TT_IGNORE(tt_retry_wait(&r, 0)), "tt_retry_wait: 0 is no failure");
}

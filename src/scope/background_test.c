/* SPDX-License-Identifier: MIT */
/*
 * background_test.c - groups that live in objects: who may start children in them, what ends
 * them, what their failures do, and that none is forgotten.
 */
#include <stdlib.h>
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

#include "env/env.h"
#include "testing/stderr_testkit.h"

static const tt_child_options elsewhere = { .worker = TT_WORKER(1) };

static tti_atomic_u32 started, ended, dropped;

static void count(tti_atomic_u32 *n)
{
	/* relaxed: a count. */
	tti_fetch_add_relaxed(n, 1);
}

static uint32_t counted(tti_atomic_u32 *n)
{
	/* relaxed: a count. */
	return tti_load_relaxed(n);
}

/* The simulator runs a test several times in one process. */
static void reset(void)
{
	/* relaxed: nobody counts now. */
	tti_store_relaxed(&started, 0);
	/* relaxed: as above. */
	tti_store_relaxed(&ended, 0);
	/* relaxed: as above. */
	tti_store_relaxed(&dropped, 0);
}

static TT_TASK(sleeps_for_ever)
{
	int rc;

	count(&started);
	rc = tt_sleep(TT_NEVER);
	count(&ended);
	return rc;
}

static TT_TASK(ends_slowly)
{
	count(&started);
	TT_IGNORE(tt_sleep(TT_NEVER));
	TT_IGNORE(TT_SHIELDED(TT_NEVER, tt_sleep(TT_MS(2))));
	count(&ended);
	return 0;
}

static TT_TASK(fails, (int, code))
{
	return tt_fail(code, "no luck");
}

static TT_TASK(adds, (tti_atomic_u32 *, n))
{
	count(n);
	return 0;
}

static void drop(tti_atomic_u32 *n)
{
	count(n);
}

static TT_TASK(owns, (tti_atomic_u32 *, n, drop))
{
	(void)n;
	return 0;
}

static TT_TASK(spawns_and_ends, (tt_background *, b), (int, n))
{
	for (int i = 0; i < n; i++)
		TT_TRY(tt_spawn_into(b, ends_slowly));
	return 0;
}

static int spawned_by_members(tt_background *b)
{
	TT_GROUP(g);
	tt_go(&g, spawns_and_ends, b, 3);
	tt_go_with(&g, &elsewhere, spawns_and_ends, b, 3);
	return tt_group_end(&g, 0);
}

/* Children started from any worker outlive those who started them; destroy cancels them and waits
 * for the slow ones. */
TT_TEST(background, children_live_as_long_as_the_object)
{
	tt_background *b;

	reset();
	REQUIRE_OK(tt_background_create(NULL, &b));
	EXPECT_OK(spawned_by_members(b));
	EXPECT_OK(tt_test_wait_all_parked());
	EXPECT_EQ(counted(&started), 6u);
	EXPECT_EQ(counted(&ended), 0u);
	tt_background_destroy(b);
	EXPECT_EQ(counted(&ended), 6u);
	EXPECT_TASKS_ALIVE(1);
}

static int made_in_a_scope(tt_background **ret)
{
	int rc;

	TT_SCOPE(s, TT_MS(1));
	rc = tt_background_create(NULL, ret);
	if (rc == 0)
		rc = tt_spawn_into(*ret, sleeps_for_ever);
	if (rc == 0)
		rc = tt_sleep(TT_NEVER);
	return tt_scope_end(&s, rc);
}

/* No deadline and no cancel of its creator reaches it. */
TT_TEST(background, outlives_the_scope_it_was_made_in)
{
	tt_background *b = NULL;

	reset();
	EXPECT_CODE(made_in_a_scope(&b), TT_ETIMEDOUT);
	EXPECT_OK(tt_sleep(TT_MS(1)));
	EXPECT_EQ(counted(&ended), 0u);
	tt_background_destroy(b);
	EXPECT_EQ(counted(&ended), counted(&started));
	EXPECT_TASKS_ALIVE(1);
}

static TT_TASK(destroys, (tt_background *, b))
{
	tt_background_destroy(b);
	return 0;
}

static int destroyed_by(const tt_child_options *who, tt_background *b)
{
	TT_GROUP(g);
	tt_go_with(&g, who, destroys, b);
	return tt_group_end(&g, 0);
}

/* Any task on any worker may destroy it, a cancelled one too: the join is never cut short. */
TT_TEST(background, any_task_destroys_it)
{
	/* law 5 */
	tt_background *b;

	reset();
	REQUIRE_OK(tt_background_create(NULL, &b));
	EXPECT_OK(tt_spawn_into_with(b, &elsewhere, ends_slowly));
	EXPECT_OK(tt_test_wait_all_parked());
	EXPECT_OK(destroyed_by(&elsewhere, b));
	REQUIRE_OK(tt_background_create(NULL, &b));
	EXPECT_OK(tt_spawn_into(b, ends_slowly));
	EXPECT_OK(tt_test_wait_all_parked());
	EXPECT_CODE(TT_WITHIN(0, (tt_background_destroy(b), tt_checkpoint())), TT_ETIMEDOUT);
	EXPECT_EQ(counted(&ended), 2u);
	tt_background_destroy(NULL);
	EXPECT_TASKS_ALIVE(1);
}

static TT_TASK(spawns_from_a_job, (tt_background *, b))
{
	return tt_spawn_into(b, adds, &started);
}

/* Pool jobs start children too. */
TT_TEST(background, a_pool_job_starts_children)
{
	tt_background *b;

	reset();
	REQUIRE_OK(tt_background_create(NULL, &b));
	for (int i = 0; i < 5; i++)
		EXPECT_OK(tt_blocking(spawns_from_a_job, b));
	while (counted(&started) < 5)
		EXPECT_OK(tt_sleep(TT_US(100)));
	tt_background_destroy(b);
	EXPECT_TASKS_ALIVE(1);
}

struct plain {
	struct tti_thread thread;
	tt_background *b;
	int spawned, closed;
};

static void plain_thread(void *arg)
{
	struct plain *p = arg;

	while (p->spawned + p->closed < 2000) {
		int rc = tt_spawn_into(p->b, adds, &started);

		if (rc == 0)
			p->spawned++;
		else if (rc == TT_ECLOSED)
			p->closed++;
		else
			return;
	}
}

static TT_TASK(joins, (struct plain *, p))
{
	tti_env_thread_join(&p->thread);
	return 0;
}

/* So do plain threads, as often as they like. */
TT_TEST_ON(background, a_plain_thread_starts_children, TT_ON_REAL, "makes a thread")
{
	struct plain p = { .spawned = 0 };

	reset();
	REQUIRE_OK(tt_background_create(NULL, &p.b));
	p.thread.fn = plain_thread;
	p.thread.arg = &p;
	REQUIRE_OK(tti_env_thread_start(&p.thread, "plain"));
	EXPECT_OK(tt_blocking(joins, &p));
	while (counted(&started) < 2000)
		EXPECT_OK(tt_sleep(TT_US(100)));
	tt_background_destroy(p.b);
	EXPECT_EQ(p.spawned, 2000);
	EXPECT_TASKS_ALIVE(1);
}

static TT_TASK(spawns_what_owns, (tt_background *, b), (int *, ret_rc))
{
	TT_IGNORE(tt_sleep(TT_NEVER));
	*ret_rc = tt_spawn_into(b, owns, &dropped);
	return 0;
}

/* Once destroy has begun nothing more comes in, and destructors run. */
TT_TEST(background, closed_to_children_once_destroy_has_begun)
{
	tt_background *b;
	int rc = 0;

	reset();
	REQUIRE_OK(tt_background_create(NULL, &b));
	EXPECT_OK(tt_spawn_into(b, spawns_what_owns, b, &rc));
	EXPECT_OK(tt_test_wait_all_parked());
	tt_background_destroy(b);
	EXPECT_CODE(rc, TT_ECLOSED);
	EXPECT_EQ(counted(&dropped), 1u);
	EXPECT_TASKS_ALIVE(1);
}

/* At max_children nobody waits: a code, and destructors run. */
TT_TEST(background, full)
{
	tt_group_options o = { .max_children = 2 };
	tt_background *b;

	reset();
	REQUIRE_OK(tt_background_create(&o, &b));
	EXPECT_OK(tt_spawn_into(b, sleeps_for_ever));
	EXPECT_OK(tt_spawn_into(b, sleeps_for_ever));
	EXPECT_CODE(tt_spawn_into(b, owns, &dropped), TT_EAGAIN);
	EXPECT_EQ(counted(&dropped), 1u);
	tt_background_destroy(b);
	EXPECT_TASKS_ALIVE(1);
}

/* What goes to stderr while fn runs; it fits a pipe. */
static const char *stderr_of(void (*fn)(void))
{
	struct stderr_capture c = stderr_capture_begin();

	fn();
	return stderr_capture_end(&c);
}

static void one_fails(void)
{
	tt_group_options o = { .name = "cache" };
	tt_background *b;

	REQUIRE_OK(tt_background_create(&o, &b));
	EXPECT_OK(tt_spawn_into(b, sleeps_for_ever));
	EXPECT_OK(tt_spawn_into(b, fails, TT_EPROTO));
	EXPECT_OK(tt_test_wait_all_parked());
	EXPECT_EQ(counted(&ended), counted(&started));
	EXPECT_CODE(tt_spawn_into(b, owns, &dropped), TT_ECANCELED);
	tt_background_destroy(b);
}

static void one_is_isolated(void)
{
	tt_group_options o = { .policy = TT_ISOLATE };
	tt_background *b;

	REQUIRE_OK(tt_background_create(&o, &b));
	EXPECT_OK(tt_spawn_into(b, fails, TT_EPROTO));
	EXPECT_OK(tt_test_wait_all_parked());
	EXPECT_OK(tt_spawn_into(b, adds, &started));
	EXPECT_OK(tt_test_wait_all_parked());
	EXPECT_EQ(counted(&started), 1u);
	tt_background_destroy(b);
}

/* A failure is reported with the chain; by the policy it cancels the others, or does not. */
TT_TEST(background, failure_is_reported)
{
	const char *text;

	reset();
	text = stderr_of(one_fails);
	EXPECT_TRUE(strstr(text, "tutti: cache, created at ") != NULL);
	EXPECT_TRUE(strstr(text, "background_test.c:") != NULL);
	EXPECT_TRUE(strstr(text, "no luck") != NULL);
	EXPECT_EQ(counted(&dropped), 1u);
}

TT_TEST(background, isolated_failure_is_reported_and_forgotten)
{
	reset();
	EXPECT_TRUE(strstr(stderr_of(one_is_isolated), "no luck") != NULL);
	EXPECT_TASKS_ALIVE(1);
}

static TT_TASK(destroys_its_own, (tt_background *, b))
{
	tt_background_destroy(b);
	return 0;
}

static void destroyed_inside(void)
{
	tt_background *b;

	REQUIRE_OK(tt_background_create(NULL, &b));
	EXPECT_OK(tt_spawn_into(b, destroys_its_own, b));
	EXPECT_OK(tt_sleep(TT_SEC(1)));
}

/* A child of it would wait for itself. */
TT_TEST(background, its_own_child_may_not_destroy_it)
{
	EXPECT_ABORTS(destroyed_inside(), "is inside of it (created at ");
}

static TT_TASK(leaks)
{
	tt_group_options o = { .name = "forgotten" };
	tt_background *b;

	TT_TRY(tt_background_create(&o, &b));
	return tt_spawn_into(b, ends_slowly);
}

static void leaking_run(void)
{
	EXPECT_OK(tt_sim_run(tt_test_seed(), leaks));
}

/* One that is left at the end of the root task is reported with its place, and joined. */
TT_TEST_PLAIN(background, leak_is_reported)
{
	const char *text = stderr_of(leaking_run);

	reset();
	EXPECT_TRUE(strstr(text, "tutti: forgotten, created at ") != NULL);
	EXPECT_TRUE(strstr(text, "background_test.c:") != NULL);
	EXPECT_TRUE(strstr(text, " was not destroyed") != NULL);
	EXPECT_EQ(counted(&ended), counted(&started));
}

static TT_TASK(destroys_at_the_end, (tt_background *, other))
{
	int rc = tt_sleep(TT_SEC(100));

	tt_background_destroy(other);
	return rc;
}

static TT_TASK(spawns_at_the_end, (tt_background *, other))
{
	int rc = tt_sleep(TT_SEC(100));

	EXPECT_CODE(tt_spawn_into(other, ends_slowly), TT_ECLOSED);
	return rc;
}

/* Two that are forgotten; children of one use the other when they are cancelled. */
static TT_TASK(leaks_two, (bool, older_uses_younger))
{
	tt_background *a, *b;

	TT_TRY(tt_background_create(NULL, &a));
	TT_TRY(tt_background_create(NULL, &b));
	for (int i = 0; i < 2; i++)
		TT_TRY(tt_spawn_into(i == 0 ? a : b, spawns_at_the_end, i == 0 ? b : a));
	if (older_uses_younger)
		TT_TRY(tt_spawn_into(a, destroys_at_the_end, b));
	else
		TT_TRY(tt_spawn_into(b, destroys_at_the_end, a));
	return tt_sleep(TT_MS(1));
}

static void leaking_two(void)
{
	for (unsigned seed = 0; seed < 20; seed++) /* as many reports as fit a pipe */
		EXPECT_OK(tt_sim_run(seed, leaks_two, seed % 2 == 0));
}

/* Until all of them have ended those that were forgotten may use each other. */
TT_TEST_PLAIN(background, forgotten_ones_end_together)
{
	/* law 9 */
	EXPECT_TRUE(strstr(stderr_of(leaking_two), " was not destroyed") != NULL);
}

static void destroyed_while_it_ends(void)
{
	tt_background *b;

	REQUIRE_OK(tt_background_create(NULL, &b));
	EXPECT_OK(tt_spawn_into(b, ends_slowly));
	EXPECT_OK(tt_test_wait_all_parked());
	EXPECT_OK(tt_spawn_into(b, fails, TT_EPROTO));
	EXPECT_OK(tt_test_wait_all_parked());
	tt_background_destroy(b);
}

/* A failure is ending it when destroy comes: that waits for the slow ones as well. */
TT_TEST(background, destroyed_while_a_failure_ends_it)
{
	reset();
	EXPECT_TRUE(strstr(stderr_of(destroyed_while_it_ends), "no luck") != NULL);
	EXPECT_EQ(counted(&ended), 1u);
	EXPECT_TASKS_ALIVE(1);
}

static TT_TASK(fails_in_time, (int64_t, after))
{
	TT_TRY(tt_sleep(after));
	return tt_fail(TT_EPROTO, "no luck");
}

static int destroys_in_time(int64_t after)
{
	tt_background *b;

	TT_TRY(tt_background_create(NULL, &b));
	TT_TRY(tt_spawn_into_with(b, &elsewhere, fails_in_time, after));
	TT_TRY(tt_sleep(TT_US(100)));
	tt_background_destroy(b);
	return 0;
}

static TT_TASK(destroys_many_in_time)
{
	for (int i = 0; i < 40; i++)
		TT_TRY(destroys_in_time(TT_US(98 + i % 4)));
	return 0;
}

/* The failure of a child and destroy reach the keeper in one turn, in either order: it is woken
 * once, and goes by the first. */
TT_TEST_PLAIN(background, failure_and_destroy_race)
{
	/* laws 4, 9 */
	for (unsigned seed = 0; seed < tt_test_seeds(10); seed++) {
		tt_sim_options o = { .seed = seed, .quiet = true };

		EXPECT_OK(tt_sim_run_with(&o, destroys_many_in_time));
	}
}

static const struct tti_env_ops *env_before;

static long no_map(long nr, long a, long b, long c, long d, long e, long f)
{
	return nr == SYS_mmap ? -ENOMEM : env_before->syscall(nr, a, b, c, d, e, f);
}

/* Their keepers use up the stacks that are mapped. */
#define CROWD_MAX 4096

/* Its keeper is a task: where no stack can be mapped there is none, and nothing is left of it. */
TT_TEST(background, without_a_stack_for_its_keeper)
{
	static tt_background *crowd[CROWD_MAX];
	struct tti_env_ops ops = *tti_env_here;
	unsigned n = 0;
	int rc = 0;

	env_before = tti_env_here;
	ops.syscall = no_map;
	tti_env_bind(&ops);
	while (n < CROWD_MAX && (rc = tt_background_create(NULL, &crowd[n])) == 0)
		n++;
	tti_env_bind(env_before);
	EXPECT_CODE(rc, TT_ENOMEM);
	EXPECT_TASKS_ALIVE(1 + n);
	while (n > 0)
		tt_background_destroy(crowd[--n]);
	EXPECT_TASKS_ALIVE(1);
}

/* Without memory nothing is made, and destructors run. */
TT_TEST(background, out_of_memory)
{
	tt_background *b = NULL;

	for (uint64_t n = 1; n < 10 && b == NULL; n++) {
		int rc;

		tt_test_fail_alloc_at(n);
		rc = tt_background_create(NULL, &b);
		tt_test_fail_nothing();
		EXPECT_TRUE(rc == 0 ? b != NULL : rc == TT_ENOMEM && b == NULL);
	}
	REQUIRE_TRUE(b != NULL);
	tt_background_destroy(b);
	EXPECT_TASKS_ALIVE(1);
}

TT_TEST_MAIN()

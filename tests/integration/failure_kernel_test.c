/* SPDX-License-Identifier: MIT */
/*
 * failure_kernel_test.c - the rare turns of the kernel of the library (tasks, scopes, groups,
 * channels, pools): arguments at and beyond their bounds, who ignores a cancel, what is left
 * open, children that start large.
 *
 * test-on: sim1 epoll4
 */
#include <stdint.h>
#include <string.h>

#include <tutti/lowlevel.h>

#include "scope/scope.h"
#include "sync/pool_testkit.h"
#include "testing/stderr_testkit.h"
#include "wait/wait.h"

TT_CHAN_TYPE(int_chan, int);

/* ---- tasks ---- */

struct large {
	unsigned char bytes[200];
};

static TT_TASK(sums, (struct large, l), (unsigned *, sum))
{
	for (size_t i = 0; i < sizeof(l.bytes); i++)
		*sum += l.bytes[i];
	return 0;
}

static int start_large(unsigned *sum)
{
	struct large l;

	memset(&l, 2, sizeof(l));
	TT_GROUP(g);
	tt_go(&g, sums, l, sum);
	memset(&l, 9, sizeof(l));
	return tt_group_end(&g, 0);
}

static int cancel_large(unsigned *sum)
{
	struct large l;

	memset(&l, 2, sizeof(l));
	TT_GROUP(g);
	tt_go(&g, sums, l, sum);
	tt_group_cancel(&g);
	return tt_group_end(&g, 0);
}

/* Arguments beyond the room in a task's record are copied all the same, and freed. */
TT_TEST(kernel, large_arguments_are_copied)
{
	unsigned sum = 0;

	EXPECT_OK(start_large(&sum));
	EXPECT_EQ(sum, 400u);
	EXPECT_OK(cancel_large(&sum));
	tt_task_put(NULL);
	EXPECT_TASKS_ALIVE(1);
}

static int start_without_memory(unsigned nth, unsigned *sum)
{
	struct large l;

	memset(&l, 2, sizeof(l));
	TT_GROUP(g);
	tt_test_fail_alloc_at(nth);
	tt_go(&g, sums, l, sum);
	tt_test_fail_nothing();
	return tt_group_end(&g, 0);
}

/* The record, or the room for its arguments: without either there is no child, and a code. */
TT_TEST(kernel, without_memory_for_its_arguments_there_is_no_child)
{
	unsigned sum = 0;

	EXPECT_CODE(start_without_memory(1, &sum), TT_ENOMEM);
	EXPECT_OK(start_large(&sum));
	EXPECT_CODE(start_without_memory(1, &sum), TT_ENOMEM);
	EXPECT_EQ(sum, 400u);
}

static TT_TASK(brief)
{
	return 0;
}

/* More than a worker keeps records of: FREE_TASKS_MAX of task.c. */
#define MANY_TASKS 4600

static int start_many(unsigned n)
{
	TT_GROUP(g);
	for (unsigned i = 0; i < n; i++)
		tt_go(&g, brief);
	return tt_group_end(&g, 0);
}

/* More records at once than a worker keeps for later: what is beyond goes back. */
TT_TEST(kernel, a_crowd_of_tasks_leaves_no_crowd_of_records)
{
	EXPECT_OK(start_many(MANY_TASKS));
	EXPECT_LT(tti_home_here->free_tasks.len, (size_t)MANY_TASKS);
	EXPECT_TASKS_ALIVE(1);
}

/* ---- who ignores its cancel ---- */

static const char *ignore_cancel(void)
{
	struct stderr_capture c = stderr_capture_begin();

	for (unsigned i = 0; i < 100000; i++)
		TT_IGNORE(tt_checkpoint());
	return stderr_capture_end(&c);
}

static TT_TASK(fails)
{
	return tt_fail(TT_EIO, "no");
}

static int ignore_a_failed_child(const char **said)
{
	TT_GROUP(g);
	tt_go(&g, fails);
	while (tt_checkpoint() == 0)
		TT_TRY_IN(&g, tt_yield());
	*said = ignore_cancel();
	return tt_group_end(&g, 0);
}

static int ignore_the_owner(const char **said)
{
	TT_GROUP(g);
	tt_group_cancel(&g);
	*said = ignore_cancel();
	return tt_group_end(&g, 0);
}

static int ignore_the_clock(const char **said)
{
	TT_SCOPE(s, -1);
	*said = ignore_cancel();
	return tt_scope_end(&s, 0);
}

static int ignores(const char **said)
{
	*said = ignore_cancel();
	return 0;
}

static int ignore_a_stop(const char **said)
{
	TT_GROUP(g);
	tti_scope_stop((struct tti_scope *)(void *)&g);
	EXPECT_OK(TT_UNTIL_STOP(ignores(said)));
	return tt_group_end(&g, 0);
}

/* It was asked to stop as well, but that is no cancel to whoever is not TT_UNTIL_STOP. */
static int ignore_the_clock_around_a_stop(const char **said)
{
	TT_SCOPE(s, -1);
	{
		TT_GROUP(g);
		tti_scope_stop((struct tti_scope *)(void *)&g);
		*said = ignore_cancel();
		EXPECT_OK(tt_group_end(&g, 0));
	}
	return tt_scope_end(&s, 0);
}

static TT_TASK(sleeps_and_ignores, (const char **, said))
{
	TT_IGNORE(tt_sleep(TT_NEVER));
	*said = ignore_cancel();
	return 0;
}

static void its_time_is_up(void *scope)
{
	struct tti_scope *s = scope;

	tti_wheel_cancel(tti_home_here->wheel, &s->timer);
	tti_wheel_arm(tti_home_here->wheel, &s->timer, tti_home_here->now);
}

/* The time is up when the child sleeps, however late it began to. */
static int ignored_by_a_child(const tt_child_options *where, const char **said)
{
	TT_SCOPE(s, TT_HOUR(1));
	{
		TT_GROUP(g);
		tt_go_with(&g, where, sleeps_and_ignores, said);
		EXPECT_OK(tt_test_wait_all_parked());
		its_time_is_up(&s);
		EXPECT_OK(tt_group_end(&g, 0));
	}
	return tt_scope_end(&s, 0);
}

/* The report names the block and says how it came about. Once a task, so in five of them. */
typedef int ignoring(const char **said);

static TT_TASK(reports, (ignoring *, how), (const char **, said))
{
	return how(said);
}

static int report_of(ignoring *how, const char **said)
{
	TT_GROUP(g);
	tt_go(&g, reports, how, said);
	return tt_group_end(&g, 0);
}

TT_TEST(kernel, who_ignores_its_cancel_is_told_why)
{
	const char *said = "";

	EXPECT_CODE(report_of(ignore_a_failed_child, &said), TT_EIO);
	EXPECT_TRUE(strstr(said, "ignores its cancel") != NULL);
	EXPECT_TRUE(strstr(said, "has a child that failed") != NULL);
	EXPECT_OK(report_of(ignore_the_owner, &said));
	EXPECT_TRUE(strstr(said, " was cancelled\n") != NULL);
	EXPECT_OK(report_of(ignore_the_clock, &said));
	EXPECT_TRUE(strstr(said, " ran out of time\n") != NULL);
	EXPECT_OK(report_of(ignore_a_stop, &said));
	EXPECT_TRUE(strstr(said, " was asked to stop\n") != NULL);
	EXPECT_OK(report_of(ignore_the_clock_around_a_stop, &said));
	EXPECT_TRUE(strstr(said, " ran out of time\n") != NULL);
}

/* Why is written on the worker of the block's owner, and read nowhere else. */
TT_TEST(kernel, who_ignores_a_cancel_from_another_worker_is_told_of_it)
{
	tt_child_options here = { .worker = TT_WORKER_HERE };
	tt_child_options next = { .worker = TT_WORKER((unsigned)tt_worker_index() + 1) };
	bool same = tt_worker_count() == 1;
	const char *said = "";

	EXPECT_OK(ignored_by_a_child(&here, &said));
	EXPECT_TRUE(strstr(said, " ran out of time\n") != NULL);
	EXPECT_OK(ignored_by_a_child(&next, &said));
	EXPECT_TRUE(strstr(said, same ? " ran out of time\n" : " was cancelled\n") != NULL);
}

static TT_TASK(counts_turns, (unsigned *, turns))
{
	for (;;) {
		++*turns;
		TT_TRY(tt_yield());
	}
}

static int ignore_where_waits_are_forbidden(unsigned *turns)
{
	const char *before;
	unsigned seen;

	TT_GROUP(g);
	tt_go(&g, counts_turns, turns);
	while (*turns == 0)
		TT_TRY_IN(&g, tt_yield());
	seen = *turns;
	before = tt_forbid_waits("a callback");
	{
		TT_SCOPE(s, -1);
		ignore_cancel();
		EXPECT_CODE(tt_scope_end(&s, TT_ECANCELED), TT_ETIMEDOUT);
	}
	tt_forbid_waits(before);
	EXPECT_EQ(*turns, seen);
	tt_group_cancel(&g);
	return tt_group_end(&g, 0);
}

/* One that ignores its cancel lets others run now and then, but not where nothing may. */
TT_TEST(kernel, no_other_runs_where_waits_are_forbidden)
{
	unsigned turns = 0;

	EXPECT_OK(ignore_where_waits_are_forbidden(&turns));
	EXPECT_GT(turns, 0u);
}

/* ---- scopes ---- */

static int leave_open(void)
{
	TT_SCOPE(s, TT_NEVER);
	return 0;
}

/* With the library's assertions on a block that was forgotten ends the program; without them
 * it is closed, and reported. */
TT_TEST(kernel, a_forgotten_block_is_told)
{
#ifndef TT_NO_ASSERT
	EXPECT_ABORTS(TT_IGNORE(leave_open()), "left without tt_scope_end");
#else
	struct stderr_capture c = stderr_capture_begin();
	const char *said;

	EXPECT_OK(leave_open());
	said = stderr_capture_end(&c);
	EXPECT_TRUE(strstr(said, "left without tt_scope_end") != NULL);
	EXPECT_OK(tt_checkpoint());
#endif
}

static int stop_twice(void)
{
	TT_GROUP(g);
	tti_scope_stop((struct tti_scope *)(void *)&g);
	EXPECT_TRUE(tt_stopping());
	tti_scope_stop((struct tti_scope *)(void *)&g);
	EXPECT_TRUE(tt_stopping());
	EXPECT_OK(tt_checkpoint());
	return tt_group_end(&g, 0);
}

TT_TEST(kernel, a_second_stop_changes_nothing)
{
	EXPECT_OK(stop_twice());
	EXPECT_FALSE(tt_stopping());
}

static int cancel_by_handle(tt_canceller *(*other)(tt_scope *))
{
	tt_canceller *c, *d;

	TT_SCOPE(s, TT_NEVER);
	c = tt_scope_canceller(&s);
	d = other(&s);
	tt_cancel_with(d, TT_EIO, "enough");
	tt_cancel_with(c, TT_EPIPE, "too late");
	tt_cancel(c);
	tt_canceller_put(c);
	tt_canceller_put(d);
	return tt_scope_end(&s, tt_checkpoint());
}

/* Handles of one scope are one: the first cancel counts. No handle cancels nothing. */
TT_TEST(kernel, the_first_canceller_counts)
{
	tt_cancel(NULL);
	tt_cancel_with(NULL, TT_EIO, "nobody");
	tt_canceller_put(NULL);
	EXPECT_OK(tt_checkpoint());
	EXPECT_CODE(cancel_by_handle(tt_scope_canceller), TT_EIO);
}

/* ---- a cancel within a cancel ---- */

struct chain {
	tt_canceller *own, *other;
	unsigned dropped;
	int rc[2];
};

/* Runs while a group's cancel goes round its children. */
static void cancel_others(struct chain *c)
{
	c->dropped++;
	tt_cancel(c->own);
	tt_cancel(c->other);
}

static TT_TASK(never_starts, (struct chain *, c, cancel_others))
{
	(void)c;
	return 0;
}

static TT_TASK(gives_its_handle, (tt_canceller **, ret), (int *, rc))
{
	TT_SCOPE(s, TT_NEVER);
	*ret = tt_scope_canceller(&s);
	*rc = tt_sleep(TT_SEC(1000));
	return tt_scope_end(&s, 0);
}

static int cancel_round(struct chain *c, tt_fd *quiet)
{
	TT_GROUP(outer);
	tt_go(&outer, gives_its_handle, &c->other, &c->rc[1]);
	{
		TT_GROUP(g);
		tt_go(&g, gives_its_handle, &c->own, &c->rc[0]);
		TT_TRY_IN(&outer, tt_go_when(&g, TT_WHEN(.readable = { quiet }), never_starts, c));
		while (c->own == NULL || c->other == NULL)
			TT_TRY_IN(&outer, tt_yield());
		tt_group_cancel(&g);
		TT_IGNORE(tt_group_end(&g, 0));
	}
	return tt_group_end(&outer, 0);
}

/* A destructor that runs while a cancel goes round may cancel too, whoever is being told. */
TT_TEST(kernel, a_cancel_from_within_a_cancel)
{
	struct chain c = { .own = NULL };
	tt_fd *ends[2];

	REQUIRE_OK(tt_pair(ends));
	EXPECT_OK(cancel_round(&c, ends[0]));
	EXPECT_EQ(c.dropped, 1u);
	EXPECT_CODE(c.rc[0], TT_ECANCELED);
	EXPECT_CODE(c.rc[1], TT_ECANCELED);
	tt_canceller_put(c.own);
	tt_canceller_put(c.other);
	tt_fd_close(ends[0]);
	tt_fd_close(ends[1]);
}

/* ---- groups ---- */

static TT_TASK(succeeds_slowly)
{
	TT_TRY(tt_sleep(TT_MS(1)));
	return 5;
}

static TT_TASK(never_ends)
{
	return tt_sleep(TT_SEC(1000));
}

static int first_success(int rc)
{
	TT_GROUP_WITH(g, &(tt_group_options){ .policy = TT_FIRST_SUCCESS });
	tt_go(&g, succeeds_slowly);
	tt_go(&g, never_ends);
	TT_IGNORE(tt_group_drain(&g));
	return tt_group_finish(&g, rc);
}

/* The success is the result unless the owner knows better. */
TT_TEST(kernel, a_success_and_the_owners_code)
{
	EXPECT_CODE(first_success(0), 5);
	EXPECT_CODE(first_success(TT_ECANCELED), 5);
	EXPECT_CODE(first_success(tt_fail(TT_EPROTO, "the owner's")), TT_EPROTO);
	EXPECT_CODE(first_success(3), 3);
}

static TT_TASK(succeeds_in_spite_of_it)
{
	TT_IGNORE(TT_SHIELDED(TT_NEVER, tt_sleep(TT_MS(2))));
	return 6;
}

static int two_successes(void)
{
	TT_GROUP_WITH(g, &(tt_group_options){ .policy = TT_FIRST_SUCCESS });
	tt_go(&g, succeeds_slowly);
	tt_go(&g, succeeds_in_spite_of_it);
	return tt_group_end(&g, 0);
}

static int no_success(int rc)
{
	TT_GROUP_WITH(g, &(tt_group_options){ .policy = TT_FIRST_SUCCESS });
	return tt_group_end(&g, rc);
}

/* The first success stays, whoever succeeds after it; without children the owner's code does. */
TT_TEST_ON(kernel, the_first_success_is_the_first, TT_ON_SIM, "one of two is slower")
{
	EXPECT_EQ(two_successes(), 5);
	EXPECT_OK(no_success(0));
	EXPECT_EQ(no_success(4), 4);
}

static int start_in_a_cancelled_block(unsigned max_children)
{
	TT_GROUP_WITH(g, &(tt_group_options){ .max_children = max_children });
	{
		TT_SCOPE(s, -1);
		TT_IGNORE(tt_go(&g, brief));
		EXPECT_CODE(tt_scope_end(&s, TT_ECANCELED), max_children > 0 ? TT_ECANCELED : TT_ETIMEDOUT);
	}
	return tt_group_end(&g, 0);
}

/* Where room has to be waited for, a cancel inside the group refuses the child, and the group,
 * which is not cancelled, has failed by that; where there is room for all nothing is refused. */
TT_TEST(kernel, a_child_refused_by_a_cancel_inside_its_group_has_failed)
{
	EXPECT_CODE(start_in_a_cancelled_block(2), TT_ECANCELED);
	EXPECT_OK(start_in_a_cancelled_block(0));
}

static TT_TASK(starts_without_memory, (tt_group *, g), (int *, ret_rc))
{
	unsigned sum = 0;
	struct large l;

	memset(&l, 2, sizeof(l));
	tt_test_fail_alloc_at(1);
	*ret_rc = tt_go(g, sums, l, &sum);
	tt_test_fail_nothing();
	return 0;
}

static int member_without_memory(int *ret_rc)
{
	TT_GROUP_WITH(g, &(tt_group_options){ .shared = true });
	tt_go(&g, starts_without_memory, &g, ret_rc);
	return tt_group_end(&g, 0);
}

/* What a member could not start is the member's own affair. */
TT_TEST(kernel, a_member_without_memory_does_not_fail_its_group)
{
	int rc = 0;

	EXPECT_OK(member_without_memory(&rc));
	EXPECT_CODE(rc, TT_ENOMEM);
}

struct runs {
	unsigned n, wanted;
};

static TT_TASK(fails_at_first, (struct runs *, r))
{
	return ++r->n < r->wanted ? tt_fail(TT_EIO, "run %u", r->n) : 0;
}

static int supervise(struct runs *r, const tt_backoff *b, enum tt_restart restart)
{
	TT_GROUP_WITH(g, &(tt_group_options){ .policy = TT_SUPERVISE, .restart = restart, .backoff = *b });
	tt_go(&g, fails_at_first, r);
	return tt_group_end(&g, 0);
}

static void supervised(const tt_backoff *b, enum tt_restart restart, unsigned wanted)
{
	struct runs r = { .wanted = wanted };
	struct stderr_capture c = stderr_capture_begin();

	EXPECT_OK(supervise(&r, b, restart));
	stderr_capture_end(&c);
	EXPECT_EQ(r.n, wanted);
}

/* Pauses that make no sense become ones that do. */
TT_TEST_ON(kernel, odd_backoffs_restart_too, TT_ON_SIM, "pauses of seconds")
{
	supervised(&(tt_backoff){ .min = 0 }, TT_RESTART_NEVER, 3);
	supervised(&(tt_backoff){ .min = -5, .max = -5 }, TT_RESTART_ON_FAILURE, 3);
	supervised(&(tt_backoff){ .min = TT_MS(10), .max = TT_MS(1) }, TT_RESTART_NEVER, 4);
	supervised(&(tt_backoff){ .min = TT_MS(10), .max = TT_MS(35), .jitter_percent = 300 }, TT_RESTART_NEVER, 9);
	supervised(&(tt_backoff){ .min = 1, .max = 1, .jitter_percent = 1 }, TT_RESTART_NEVER, 4);
	supervised(&(tt_backoff){ .min = TT_SEC(20), .max = TT_SEC(30) }, TT_RESTART_ON_FAILURE, 5);
}

static void count_drop(unsigned *n)
{
	++*n;
}

static TT_TASK(owns, (unsigned *, n, count_drop))
{
	(void)n;
	return 0;
}

static TT_TASK(calls_from_a_job, (unsigned *, n))
{
	return tt_call_on(0, owns, n);
}

/* A call that is refused drops what it was given. */
TT_TEST(kernel, a_refused_call_drops_its_arguments)
{
	unsigned n = 0;

	EXPECT_CODE(tt_blocking(calls_from_a_job, &n), TT_EWRONGCTX);
	EXPECT_EQ(n, 1u);
	EXPECT_CODE(TT_WITHIN(-1, tt_call_on(0, owns, &n)), TT_ETIMEDOUT);
	EXPECT_EQ(n, 2u);
}

/* ---- background ---- */

static TT_TASK(spawns_from_a_job, (tt_background *, b), (unsigned *, n))
{
	return tt_spawn_into(b, owns, n);
}

/* A record that was made and refused on a plain thread was never counted as a task's. */
TT_TEST(kernel, a_job_that_is_refused_leaves_the_count_of_tasks)
{
	struct stderr_capture c = stderr_capture_begin();
	tt_background *b;
	unsigned n = 0;

	REQUIRE_OK(tt_background_create(NULL, &b));
	EXPECT_OK(tt_spawn_into(b, fails));
	EXPECT_OK(tt_test_wait_all_parked());
	EXPECT_CODE(tt_blocking(spawns_from_a_job, b, &n), TT_ECANCELED);
	EXPECT_EQ(n, 1u);
	tt_background_destroy(b);
	stderr_capture_end(&c);
	EXPECT_TASKS_ALIVE(1);
}

static TT_TASK(fails_when_cancelled)
{
	int rc = tt_sleep(TT_SEC(1000));

	return rc == TT_ECANCELED ? tt_fail(TT_EIO, "the flush failed") : rc;
}

/* A child that fails on its way out is not lost with its group. */
TT_TEST(kernel, a_background_that_fails_at_its_end_is_reported)
{
	struct stderr_capture c;
	tt_background *b;
	const char *said;

	REQUIRE_OK(tt_background_create(NULL, &b));
	EXPECT_OK(tt_spawn_into(b, fails_when_cancelled));
	EXPECT_OK(tt_yield());
	EXPECT_OK(tt_test_wait_all_parked());
	c = stderr_capture_begin();
	tt_background_destroy(b);
	said = stderr_capture_end(&c);
	EXPECT_TRUE(strstr(said, "the flush failed") != NULL);
}

/* ---- channels ---- */

static size_t one(const void *item)
{
	(void)item;
	return 1;
}

/* Sizes that cannot be are refused, none is taken. */
TT_TEST_PLAIN(kernel, impossible_channels_are_refused)
{
	tt_chan ch;

	EXPECT_CODE(tt_chan_init_(&ch, 1, 0, NULL), TT_EINVAL);
	EXPECT_CODE(tt_chan_init_(&ch, SIZE_MAX / 2, 4, NULL), TT_EINVAL);
	EXPECT_CODE(tt_chan_init_(&ch, SIZE_MAX, 1, NULL), TT_EINVAL);
	EXPECT_CODE(tt_chan_init_bytes_(&ch, 0, 1, 1, NULL, one), TT_EINVAL);
	EXPECT_CODE(tt_chan_init_bytes_(&ch, 1, 0, 1, NULL, one), TT_EINVAL);
	EXPECT_CODE(tt_chan_init_bytes_(&ch, 1, SIZE_MAX, 1, NULL, one), TT_EINVAL);
	EXPECT_CODE(tt_chan_init_bytes_(&ch, 1, 1, 1, NULL, NULL), TT_EINVAL);
	EXPECT_CODE(tt_chan_init_bytes_(&ch, SIZE_MAX / 4, 1, 1, NULL, one), TT_EINVAL);
	EXPECT_CODE(tt_chan_init_bytes_(&ch, SIZE_MAX / 9, 1, 8, NULL, one), TT_EINVAL);
	(tt_chan_fini)(NULL);
	(tt_slot_drop)(NULL);
}

static TT_TASK(receives_many_in_a_job, (int_chan *, ch), (int *, got))
{
	return tt_recv_many(ch, got, 2, INT64_MAX);
}

TT_TEST(kernel, as_many_as_there_are)
{
	int got[4] = { 0 };
	int_chan ch;

	REQUIRE_OK(tt_chan_init(&ch, 4));
	for (int i = 0; i < 3; i++)
		EXPECT_OK(tt_send(&ch, &i));
	EXPECT_EQ(tt_try_recv_many(&ch, got, SIZE_MAX / sizeof(int)), 3);
	EXPECT_EQ(got[2], 2);
	EXPECT_CODE(tt_try_recv_many(&ch, got, 4), TT_EAGAIN);
	EXPECT_OK(tt_send(&ch, &(int){ 7 }));
	EXPECT_OK(tt_send(&ch, &(int){ 8 }));
	EXPECT_EQ(tt_blocking(receives_many_in_a_job, &ch, got), 2);
	EXPECT_EQ(got[0] + got[1], 15);
	EXPECT_OK(tt_send(&ch, &(int){ 9 }));
	tt_chan_close(&ch);
	/* What is left in it needs no destructor. */
	tt_chan_fini(&ch);
}

static void no_destructor(tt_chan *ch)
{
	REQUIRE_OK(tt_chan_init_(ch, 2, sizeof(int), NULL));
	EXPECT_OK((tt_try_send)(ch, &(int){ 1 }));
	EXPECT_OK((tt_try_send)(ch, &(int){ 2 }));
}

/* Items that need no end are forgotten; a select learns of the end of a channel. */
TT_TEST(kernel, a_channel_of_plain_items_ends_with_them)
{
	int_chan typed;
	tt_chan ch;
	int got;

	no_destructor(&ch);
	(tt_chan_fini)(&ch);
	no_destructor(&ch);
	EXPECT_EQ((tt_chan_drain)(&ch, &got), 2u);
	(tt_chan_fini)(&ch);
	REQUIRE_OK(tt_chan_init(&typed, 1));
	tt_chan_close(&typed);
	EXPECT_CODE(tt_select(TT_ON_RECV(&typed, &got), TT_ON_TIMEOUT(TT_SEC(1))), TT_ECLOSED);
	tt_chan_fini(&typed);
}

/* ---- pools ---- */

static unsigned ends;

static void note_end(void *ctx)
{
	(void)ctx;
	ends++;
}

/* From one item to more than there are buckets; times that never come. */
TT_TEST(kernel, pools_of_every_size)
{
	static const unsigned sizes[] = { 1, 2, 100, 5000, 2000000 };
	struct thing *item;

	ends = 0;
	for (unsigned i = 0; i < 5; i++) {
		struct shop s;
		thing_pool *p;
		tt_pool_options o;

		shop_init(&s);
		o = shop_options(&s, sizes[i]);
		o.destroyed = note_end;
		o.idle_max = INT64_MAX - 1;
		o.lifetime_max = INT64_MAX / 2 + 5;
		o.leak_after = -1;
		REQUIRE_OK(tt_pool_create(&o, &p));
		REQUIRE_OK(tt_pool_acquire(p, &item));
		tt_pool_release(p, item, TT_POOL_KEEP);
		tt_pool_destroy(p);
		shop_fini(&s);
	}
	EXPECT_EQ(ends, 5u);
}

static TT_TASK(a_borrower_whose_name_is_longer_than_what_a_report_of_a_pool_has_room_for, (thing_pool *, p))
{
	struct thing *item;

	TT_TRY(tt_pool_acquire(p, &item));
	TT_TRY(tt_sleep(TT_SEC(3)));
	tt_pool_release(p, item, TT_POOL_KEEP);
	return 0;
}

static int borrow_long(thing_pool *p)
{
	TT_GROUP(g);
	for (int i = 0; i < 6; i++)
		tt_go(&g, a_borrower_whose_name_is_longer_than_what_a_report_of_a_pool_has_room_for, p);
	return tt_group_end(&g, 0);
}

/* Slow acquires are told once a second; names are cut, not the line. */
TT_TEST_ON(kernel, a_slow_pool_says_who_has_it, TT_ON_SIM, "waits of seconds")
{
	struct stderr_capture c;
	struct shop s;
	thing_pool *p;
	tt_pool_options o;
	const char *said;

	shop_init(&s);
	o = shop_options(&s, 2); /* two are lent at the same time: one line */
	o.slow_acquire = TT_SEC(1);
	o.leak_after = TT_SEC(1);
	REQUIRE_OK(tt_pool_create(&o, &p));
	c = stderr_capture_begin();
	EXPECT_OK(borrow_long(p));
	said = stderr_capture_end(&c);
	EXPECT_TRUE(strstr(said, "a_borrower_whose_name_is_longer") != NULL);
	tt_pool_destroy(p);
	shop_fini(&s);
}

static TT_TASK(holds_for_a_while, (thing_pool *, p))
{
	struct thing *item;

	TT_TRY(tt_pool_acquire(p, &item));
	TT_IGNORE(TT_SHIELDED(TT_SEC(100), tt_sleep(TT_SEC(8))));
	tt_pool_release(p, item, TT_POOL_KEEP);
	return 0;
}

static int many_hold(thing_pool *p)
{
	TT_GROUP(g);
	for (int i = 0; i < 12; i++)
		tt_go(&g, holds_for_a_while, p);
	TT_TRY_IN(&g, tt_sleep(TT_SEC(1)));
	tt_pool_destroy(p);
	return tt_group_end(&g, 0);
}

/* Who ends a pool that many still hold is told of the first few, by name. */
TT_TEST_ON(kernel, an_end_waits_for_many_borrowers, TT_ON_SIM, "waits of seconds")
{
	struct stderr_capture c;
	struct shop s;
	thing_pool *p;
	tt_pool_options o;

	shop_init(&s);
	o = shop_options(&s, 12);
	REQUIRE_OK(tt_pool_create(&o, &p));
	c = stderr_capture_begin();
	EXPECT_OK(many_hold(p));
	EXPECT_GE(count_of(stderr_capture_end(&c), "holds_for_a_while"), 1u);
	shop_fini(&s);
}

static TT_TASK(gives_back_later, (thing_pool *, p), (struct thing *, item))
{
	TT_TRY(tt_sleep(TT_SEC(1)));
	tt_pool_release(p, item, TT_POOL_KEEP);
	return 0;
}

static int destroy_what_it_holds(thing_pool *p)
{
	struct thing *item;

	TT_GROUP(g);
	TT_TRY_IN(&g, tt_pool_acquire(p, &item));
	TT_TRY_IN(&g, tt_sleep(TT_SEC(3)));
	tt_go(&g, gives_back_later, p, item);
	tt_pool_destroy(p);
	return tt_group_end(&g, 0);
}

/* One that destroys a pool of which it holds an item is told at once, also when the item was
 * reported before as held too long. */
TT_TEST_ON(kernel, a_destroyer_that_holds_an_item_is_told, TT_ON_SIM, "waits of seconds")
{
	struct stderr_capture c;
	struct shop s;
	thing_pool *p;
	tt_pool_options o;

	shop_init(&s);
	o = shop_options(&s, 2);
	o.leak_after = TT_SEC(1);
	REQUIRE_OK(tt_pool_create(&o, &p));
	c = stderr_capture_begin();
	EXPECT_OK(destroy_what_it_holds(p));
	EXPECT_EQ(count_of(stderr_capture_end(&c), "who holds an item"), 1u);
	shop_fini(&s);
}

/* A server that is down for long is asked ever more rarely, but is asked. */
TT_TEST_ON(kernel, a_pool_outlasts_a_long_outage, TT_ON_SIM, "waits of seconds")
{
	struct shop s;
	thing_pool *p;
	tt_pool_options o;
	struct thing *item;

	shop_init(&s);
	s.open_rc = TT_ECONNREFUSED;
	s.fail_first = 14;
	o = shop_options(&s, 1);
	REQUIRE_OK(tt_pool_create(&o, &p));
	for (int i = 0; i < 20 && s.opens == 0; i++) {
		if (TT_WITHIN(TT_SEC(5), tt_pool_acquire(p, &item)) == 0)
			tt_pool_release(p, item, TT_POOL_KEEP);
	}
	EXPECT_EQ(s.failed, 14u);
	EXPECT_EQ(s.opens, 1u);
	tt_pool_destroy(p);
	shop_fini(&s);
}

TT_TEST_MAIN()

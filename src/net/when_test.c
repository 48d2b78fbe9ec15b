/* SPDX-License-Identifier: MIT */
/*
 * when_test.c - idle children: they start when their time comes and not before, are joined
 * and cancelled like any child, and leave nothing behind whatever ends them.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

TT_TEST_MAIN()

TT_CHAN_TYPE(int_chan, int);

/* What happened to the arguments of a child: exactly one of the two. */
struct fate {
	int started, dropped;
};

static void drop_fate(struct fate *f)
{
	f->dropped++;
}

static TT_TASK(counts, (struct fate *, f, drop_fate))
{
	f->started++;
	return 0;
}

static TT_TASK(reads_one, (struct fate *, f, drop_fate), (tt_fd *, fd))
{
	char c;

	f->started++;
	return tt_read(fd, &c, 1);
}

static void both_closed(tt_fd *pair[2])
{
	tt_fd_close(pair[0]);
	tt_fd_close(pair[1]);
}

/* It starts once there is something to read, not before, and the group waits for it. */
TT_TEST(when, starts_when_readable)
{
	struct fate f = { 0 };
	tt_fd *pair[2];

	REQUIRE_OK(tt_pair(pair));
	TT_GROUP(g);
	EXPECT_OK(tt_go_when(&g, TT_WHEN(.readable = { pair[0] }), reads_one, &f, pair[0]));
	EXPECT_OK(tt_sleep(TT_MS(2)));
	EXPECT_EQ(f.started, 0);
	EXPECT_TASKS_ALIVE(1); /* an idle child is no task */
	EXPECT_OK(tt_write_all(pair[1], "x", 1, NULL));
	EXPECT_OK(tt_group_end(&g, 0));
	EXPECT_EQ(f.started, 1);
	EXPECT_EQ(f.dropped, 0);
	both_closed(pair);
}

/* What is readable already starts it at once. */
TT_TEST(when, starts_at_once_when_readable_already)
{
	struct fate f = { 0 };
	tt_fd *pair[2];

	REQUIRE_OK(tt_pair(pair));
	EXPECT_OK(tt_write_all(pair[1], "x", 1, NULL));
	EXPECT_OK(tt_sleep(TT_MS(2))); /* on its way */
	TT_GROUP(g);
	tt_go_when(&g, TT_WHEN(.readable = { pair[0] }), reads_one, &f, pair[0]);
	EXPECT_OK(tt_group_end(&g, 0));
	EXPECT_EQ(f.started, 1);
	both_closed(pair);
}

/* The first of two descriptors starts it; the other one may be waited for by others then. */
TT_TEST(when, starts_for_either_of_two)
{
	/* law 1 */
	for (int i = 0; i < 2; i++) {
		struct fate f = { 0 };
		tt_fd *a[2], *b[2];

		REQUIRE_OK(tt_pair(a));
		REQUIRE_OK(tt_pair(b));
		{
			TT_GROUP(g);
			tt_go_when(&g, TT_WHEN(.readable = { a[0], b[0] }), counts, &f);
			EXPECT_OK(tt_write_all(i == 0 ? a[1] : b[1], "x", 1, NULL));
			EXPECT_OK(tt_group_end(&g, 0));
		}
		EXPECT_EQ(f.started, 1);
		EXPECT_CODE(TT_WITHIN(TT_MS(1), tt_fd_poll(i == 0 ? b[0] : a[0], 1)), TT_ETIMEDOUT);
		both_closed(a);
		both_closed(b);
	}
}

/* When the time passes it starts, or is dropped, as it was asked; nothing is left waiting. */
TT_TEST(when, the_timeout_starts_or_drops)
{
	struct fate starts = { 0 }, drops = { 0 }, alone = { 0 };
	tt_fd *a[2], *b[2];

	REQUIRE_OK(tt_pair(a));
	REQUIRE_OK(tt_pair(b));
	TT_GROUP(g);
	tt_go_when(&g, TT_WHEN(.readable = { a[0] }, .timeout = TT_MS(1)), counts, &starts);
	tt_go_when(&g, TT_WHEN(.readable = { b[0] }, .timeout = TT_MS(1), .on_timeout = TT_WHEN_DROP), counts, &drops);
	tt_go_when(&g, TT_WHEN(.timeout = TT_MS(1)), counts, &alone);
	EXPECT_OK(tt_group_end(&g, 0));
	EXPECT_EQ(starts.started, 1);
	EXPECT_EQ(drops.started, 0);
	EXPECT_EQ(drops.dropped, 1);
	EXPECT_EQ(alone.started, 1);
	both_closed(a);
	both_closed(b);
}

/* A cancel drops idle children: their destructors run, no function does, the group ends. */
TT_TEST(when, a_cancel_drops)
{
	struct fate f[20] = { { 0 } };
	tt_fd *pair[20][2];

	for (int i = 0; i < 20; i++)
		REQUIRE_OK(tt_pair(pair[i]));
	TT_GROUP(g);
	for (int i = 0; i < 20; i++)
		tt_go_when(&g, TT_WHEN(.readable = { pair[i][0] }, .timeout = TT_SEC(100)), counts, &f[i]);
	tt_group_cancel(&g);
	EXPECT_CODE(tt_go_when(&g, TT_WHEN(.timeout = 1), counts, &f[0]), TT_ECANCELED);
	EXPECT_OK(tt_group_end(&g, 0));
	for (int i = 0; i < 20; i++) {
		EXPECT_EQ(f[i].started, 0);
		EXPECT_EQ(f[i].dropped, i == 0 ? 2 : 1);
		both_closed(pair[i]);
	}
}

/* So does a deadline around the group, and the end says that something was cut short. */
TT_TEST(when, a_deadline_outside_drops)
{
	struct fate f = { 0 };
	tt_fd *pair[2];

	REQUIRE_OK(tt_pair(pair));
	TT_SCOPE(s, TT_MS(1));
	{
		TT_GROUP(g);
		tt_go_when(&g, TT_WHEN(.readable = { pair[0] }), counts, &f);
		EXPECT_CODE(tt_group_end(&g, 0), TT_ECANCELED);
	}
	EXPECT_CODE(tt_scope_end(&s, TT_ECANCELED), TT_ETIMEDOUT);
	EXPECT_EQ(f.dropped, 1);
	both_closed(pair);
}

/* A destructor may close the very descriptor that was waited for. */
static TT_TASK(owns, (tt_fd *, fd, tt_fd_close))
{
	tt_fd_close(fd);
	return 0;
}

TT_TEST(when, the_child_may_own_its_descriptor)
{
	tt_fd *dropped[2], *started[2];
	char c;

	REQUIRE_OK(tt_pair(dropped));
	REQUIRE_OK(tt_pair(started));
	{
		TT_GROUP(g);
		tt_go_when(&g, TT_WHEN(.readable = { dropped[0] }), owns, dropped[0]);
		tt_go_when(&g, TT_WHEN(.readable = { started[0] }), owns, started[0]);
		EXPECT_OK(tt_write_all(started[1], "x", 1, NULL));
		EXPECT_OK(tt_sleep(TT_MS(2)));
		tt_group_cancel(&g);
		EXPECT_OK(tt_group_end(&g, 0));
	}
	EXPECT_EQ(tt_read(dropped[1], &c, 1), 0); /* the end: it was closed */
	tt_fd_close(dropped[1]);
	tt_fd_close(started[1]);
}

static TT_TASK(asks_in_spite_of_it, (tt_group *, g), (struct fate *, f))
{
	EXPECT_CODE(tt_sleep(TT_NEVER), TT_ECANCELED);
	EXPECT_CODE(tt_go_when(g, TT_WHEN(.timeout = 1), counts, f), TT_ECANCELED);
	return 0;
}

static int cancelled_around(struct fate *f, int *ret_group)
{
	TT_SCOPE(s, TT_MS(1));
	{
		tt_group_options shared = { .shared = true };
		TT_GROUP_WITH(g, &shared);
		tt_go(&g, asks_in_spite_of_it, &g, f);
		*ret_group = tt_group_end(&g, 3);
	}
	return tt_scope_end(&s, 0);
}

/* What a member asked for in vain is nothing that the group's end would have cut short. */
TT_TEST(when, a_members_refusal_is_its_own_affair)
{
	struct fate f = { 0 };
	int group = 0;

	EXPECT_OK(cancelled_around(&f, &group));
	EXPECT_EQ(group, 3);
	EXPECT_EQ(f.started, 0);
	EXPECT_EQ(f.dropped, 1);
}

static TT_TASK(cancels_and_asks, (tt_group *, g), (tt_canceller *, c), (struct fate *, f))
{
	tt_cancel(c);
	EXPECT_OK(tt_go_when(g, TT_WHEN(.timeout = TT_SEC(100)), counts, f));
	return 0;
}

static int cancelled_from_elsewhere(struct fate *f)
{
	tt_group_options shared = { .shared = true };
	tt_child_options elsewhere = { .worker = TT_WORKER(1) };
	tt_canceller *c;
	int rc;

	TT_GROUP_WITH(g, &shared);
	c = tt_group_canceller(&g);
	tt_go_with(&g, &elsewhere, cancels_and_asks, &g, c, f);
	rc = tt_group_end(&g, 0);
	tt_canceller_put(c);
	return rc;
}

static TT_TASK(cancels_on_the_way)
{
	struct fate f = { 0 };

	EXPECT_CODE(cancelled_from_elsewhere(&f), TT_ECANCELED);
	EXPECT_EQ(f.started, 0);
	EXPECT_EQ(f.dropped, 1);
	return 0;
}

/* What a member on another worker asked for before the cancel was known there, and that arrives behind
 * it, is dropped on its arrival. */
TT_TEST_PLAIN(when, a_cancel_meets_it_on_its_way)
{
	/* laws 9, 11 */
	for (unsigned seed = 0; seed < tt_test_seeds(20); seed++)
		EXPECT_OK(tt_sim_run(seed, cancels_on_the_way));
}

/* A descriptor that is closed under it starts it: its own call says what happened. */
static TT_TASK(finds_it_closed, (struct fate *, f, drop_fate), (tt_fd *, fd))
{
	char c;

	f->started++;
	EXPECT_CODE(tt_read(fd, &c, 1), TT_EBADF);
	return 0;
}

TT_TEST(when, a_close_elsewhere_starts_it)
{
	/* law 10 */
	struct fate f = { 0 };
	tt_fd *pair[2];

	REQUIRE_OK(tt_pair(pair));
	TT_GROUP(g);
	tt_go_when(&g, TT_WHEN(.readable = { pair[0] }), finds_it_closed, &f, pair[0]);
	tt_fd_close(pair[0]);
	tt_go_when(&g, TT_WHEN(.readable = { pair[0] }), finds_it_closed, &f, pair[0]);
	EXPECT_OK(tt_group_end(&g, 0));
	EXPECT_EQ(f.started, 2);
	tt_fd_close(pair[1]);
}

/* ---- serving connections that come back to rest ---- */

static TT_TASK(echo, (tt_group *, g), (tt_fd *, fd, tt_fd_close), (int *, served))
{
	char c;
	int n = tt_read(fd, &c, 1);

	if (n <= 0 || (n = tt_write_all(fd, &c, 1, NULL)) < 0) {
		tt_fd_close(fd);
		return n == TT_ECANCELED ? n : 0;
	}
	__atomic_fetch_add(served, 1, __ATOMIC_RELAXED);
	tt_go_when(g, TT_WHEN(.readable = { fd }, .worker = TT_WORKER_ANY), echo, g, fd, served);
	return 0;
}

static TT_TASK(talk, (tt_fd *, fd, tt_fd_close), (int, times))
{
	int rc = 0;

	for (int i = 0; i < times && rc >= 0; i++) {
		char c = (char)i;

		rc = tt_write_all(fd, &c, 1, NULL);
		if (rc >= 0)
			rc = tt_read_exact(fd, &c, 1, NULL);
		EXPECT_TRUE(rc < 0 || c == (char)i);
	}
	tt_fd_close(fd);
	return rc < 0 ? rc : 0;
}

#define CONNECTIONS 12
#define TIMES 20

/* A connection that rests between requests costs no task, and comes back on any worker. */
TT_TEST(when, connections_go_back_to_rest)
{
	tt_group_options shared = { .shared = true };
	tt_child_options anywhere = { .worker = TT_WORKER_ANY };
	int served = 0;

	TT_GROUP_WITH(g, &shared);
	for (int i = 0; i < CONNECTIONS; i++) {
		tt_fd *pair[2];

		REQUIRE_OK(tt_pair(pair));
		tt_go_when(&g, TT_WHEN(.readable = { pair[0] }), echo, &g, pair[0], &served);
		tt_go_with(&g, &anywhere, talk, pair[1], TIMES);
	}
	EXPECT_OK(tt_group_end(&g, 0));
	EXPECT_EQ(served, CONNECTIONS * TIMES);
}

/* ---- the limit ---- */

static TT_TASK(takes_turns, (int *, inside), (int *, most), (int_chan *, order), (int, me))
{
	*most = ++*inside > *most ? *inside : *most;
	TT_TRY(tt_send(order, &me));
	TT_TRY(tt_sleep(TT_MS(1)));
	--*inside;
	return 0;
}

/* Idle children take no place under max_children; those whose time has come wait for one, in order. */
TT_TEST(when, the_limit_counts_running_children_only)
{
	tt_group_options one = { .max_children = 1 };
	int inside = 0, most = 0, who;
	int_chan order;

	REQUIRE_OK(tt_chan_init(&order, 20));
	TT_GROUP_WITH(g, &one);
	for (int i = 0; i < 10; i++)
		EXPECT_OK(tt_go_when(&g, TT_WHEN(.timeout = TT_MS(1 + i)), takes_turns, &inside, &most, &order, i));
	EXPECT_OK(tt_group_end(&g, 0));
	EXPECT_EQ(most, 1);
	for (int i = 0; i < 10; i++) {
		EXPECT_EQ(tt_recv(&order, &who), 1);
		EXPECT_EQ(who, i);
	}
	tt_chan_fini(&order);
}

static TT_TASK(parks, (tt_notify *, never))
{
	return tt_notify_wait(never);
}

static TT_TASK(sleeps_a_while)
{
	return tt_sleep(TT_MS(5));
}

static int owner_waits_for_a_daemons_place(struct fate *idle, struct fate *next)
{
	tt_group_options one = { .max_children = 1 };
	tt_child_options daemon = { .daemon = true };

	TT_GROUP_WITH(g, &one);
	tt_go_with(&g, &daemon, sleeps_a_while);
	tt_go_when(&g, TT_WHEN(.timeout = TT_MS(1), .on_timeout = TT_WHEN_DROP), counts, idle);
	EXPECT_OK(tt_go(&g, counts, next));
	return tt_group_end(&g, 0);
}

/* Its end, while the owner waits for a daemon's place, is not the end of the group. */
TT_TEST(when, its_end_does_not_end_a_group_that_waits_for_room)
{
	struct fate idle = { 0 }, next = { 0 };

	EXPECT_OK(owner_waits_for_a_daemons_place(&idle, &next));
	EXPECT_EQ(idle.dropped, 1);
	EXPECT_EQ(next.started, 1);
}

/* One whose time has come and that waits for a place is dropped by a cancel like the others. */
TT_TEST(when, a_cancel_drops_those_that_wait_for_a_place)
{
	tt_group_options one = { .max_children = 1 };
	struct fate waits = { 0 };
	tt_notify never;

	tt_notify_init(&never);
	TT_GROUP_WITH(g, &one);
	tt_go_when(&g, TT_WHEN(.timeout = 1), parks, &never);
	tt_go_when(&g, TT_WHEN(.timeout = TT_MS(1)), counts, &waits);
	EXPECT_OK(tt_sleep(TT_MS(3)));
	EXPECT_EQ(waits.started + waits.dropped, 0);
	tt_group_cancel(&g);
	EXPECT_OK(tt_group_end(&g, 0));
	EXPECT_EQ(waits.dropped, 1);
	tt_notify_fini(&never);
}

/* ---- misuse, memory ---- */

static TT_TASK(closes, (tt_fd *, fd, tt_fd_close))
{
	tt_fd_close(fd);
	return 0;
}

/* Its descriptor is in use: the destructor would wait for that in the midst of the cancel. */
static void cancelled_with_a_destructor_that_waits(void)
{
	struct fate f = { 0 };
	tt_fd *pair[2];

	REQUIRE_OK(tt_pair(pair));
	TT_GROUP(g);
	tt_go(&g, reads_one, &f, pair[0]);
	tt_go_when(&g, TT_WHEN(.timeout = TT_SEC(100)), closes, pair[0]);
	EXPECT_OK(tt_sleep(TT_MS(1)));
	tt_group_cancel(&g);
	TT_IGNORE(tt_group_end(&g, 0));
}

TT_TEST_ON(when, a_destructor_may_not_wait, TT_ON_SIM, "a forked process has no ring")
{
	/* law 10 */
	EXPECT_ABORTS(cancelled_with_a_destructor_that_waits(), "would wait inside the destructor of an idle child's argument");
}

TT_TEST(when, nothing_to_wait_for_is_refused)
{
	struct fate f = { 0 };

	TT_GROUP(g);
	EXPECT_CODE(tt_go_when(&g, TT_WHEN(.timeout = 0), counts, &f), TT_EINVAL);
	EXPECT_EQ(f.dropped, 1);
	EXPECT_OK(tt_group_end(&g, 0));
}

/* Without memory the destructors run, and the group fails as for any child. */
TT_TEST_ON(when, no_memory_is_the_childs_failure, TT_ON_SIM, "counts allocations")
{
	struct fate f = { 0 };
	int rc;

	TT_GROUP(g);
	tt_test_fail_alloc_at(1);
	rc = tt_go_when(&g, TT_WHEN(.timeout = 1), counts, &f);
	tt_test_fail_nothing();
	EXPECT_CODE(rc, TT_ENOMEM);
	EXPECT_EQ(f.dropped, 1);
	EXPECT_CODE(tt_group_end(&g, 0), TT_ENOMEM);
}

/* Nor may the task itself be had once the time has come. */
TT_TEST_ON(when, no_memory_for_the_task_is_the_childs_failure, TT_ON_SIM, "counts allocations")
{
	struct fate f = { 0 };

	TT_GROUP(g);
	EXPECT_OK(tt_go_when(&g, TT_WHEN(.timeout = TT_MS(1)), counts, &f));
	tt_test_fail_alloc_after(1);
	EXPECT_CODE(tt_sleep(TT_MS(3)), TT_ECANCELED);
	tt_test_fail_nothing();
	EXPECT_EQ(f.started + f.dropped, 1);
	EXPECT_CODE(tt_group_end(&g, 0), TT_ENOMEM);
}

static TT_TASK(is_brief)
{
	return 0;
}

static int starts_without_memory(void)
{
	TT_GROUP(g);
	EXPECT_OK(tt_go_when(&g, TT_WHEN(.timeout = TT_MS(1)), is_brief));
	tt_test_fail_alloc_after(1);
	EXPECT_CODE(tt_sleep(TT_MS(3)), TT_ECANCELED);
	tt_test_fail_nothing();
	return tt_group_end(&g, 0);
}

/* Whether there is a destructor to run or not. */
TT_TEST_ON(when, no_memory_for_a_task_without_arguments, TT_ON_SIM, "counts allocations")
{
	EXPECT_CODE(starts_without_memory(), TT_ENOMEM);
}

/* ---- cut short everywhere ---- */

static TT_TASK(answers, (tt_group *, g), (tt_fd *, fd, tt_fd_close), (int, left))
{
	char c;
	int rc = tt_read_exact(fd, &c, 1, NULL);

	if (rc >= 0)
		rc = tt_write_all(fd, &c, 1, NULL);
	if (rc >= 0 && left > 1)
		return tt_go_when(g, TT_WHEN(.readable = { fd }, .timeout = TT_SEC(1), .worker = TT_WORKER_ANY), answers, g, fd,
		                  left - 1);
	tt_fd_close(fd);
	return rc < 0 ? rc : 0;
}

static int ask_twice(tt_fd *fd)
{
	char c = 'q';

	for (int i = 0; i < 2; i++) {
		TT_TRY(tt_write_all(fd, &c, 1, NULL));
		TT_TRY(tt_read_exact(fd, &c, 1, NULL));
	}
	return 0;
}

static int rest_between(tt_fd *pair[2])
{
	tt_group_options shared = { .shared = true, .max_children = 2 };
	int rc;

	TT_GROUP_WITH(g, &shared);
	tt_go_when(&g, TT_WHEN(.readable = { pair[0] }, .timeout = TT_SEC(1)), answers, &g, pair[0], 2);
	rc = ask_twice(pair[1]);
	return tt_group_end(&g, rc);
}

static TT_TASK(rests_between)
{
	tt_fd *pair[2];
	int rc;

	TT_TRY(tt_pair(pair));
	rc = rest_between(pair);
	tt_fd_close(pair[1]);
	return rc;
}

/* Whatever is cut short, and where: no record, no descriptor and no argument is left. */
TT_TEST_PLAIN(when, torture)
{
	/* perhaps laws 1, 11 */
	for (uint64_t seed = 0; seed < tt_test_seeds(4); seed++) {
		tt_torture_options o = { .seed = seed };
		tt_torture_result r;

		EXPECT_EQ(TT_CANCEL_TORTURE(&o, &r, rests_between), 0);
		EXPECT_GT(r.cut, 0);
		EXPECT_EQ(TT_DEADLINE_TORTURE(&o, &r, rests_between), 0);
	}
}

/* In one slice: elsewhere the group cannot know of the cancel when it is asked. */
static TT_TASK(cancels_and_starts, (tt_group *, g), (tt_canceller *, c, tt_canceller_put), (struct fate *, f))
{
	int rc;

	tt_cancel(c);
	tt_canceller_put(c);
	rc = tt_go_when(g, TT_WHEN(.timeout = TT_SEC(100)), counts, f);
	EXPECT_TRUE(rc == 0 || rc == TT_ECANCELED);
	return 0;
}

static int starts_behind_a_cancel(const tt_child_options *where, struct fate *f)
{
	tt_group_options o = { .shared = true };

	TT_GROUP_WITH(g, &o);
	tt_go_with(&g, where, cancels_and_starts, &g, tt_group_canceller(&g), f);
	return tt_group_end(&g, tt_sleep(TT_NEVER));
}

/* One that comes from another worker to a group that is cancelled is dropped there, once. */
TT_TEST(when, what_comes_after_the_cancel_is_dropped)
{
	/* law 11 */
	for (unsigned worker = 1; worker <= 4; worker++) {
		int64_t before = tt_now();
		struct fate f = { 0 };

		EXPECT_CODE(starts_behind_a_cancel(&(tt_child_options){ .worker = worker }, &f), TT_ECANCELED);
		EXPECT_EQ(f.started, 0);
		EXPECT_EQ(f.dropped, 1);
		EXPECT_LT(tt_now() - before, TT_SEC(50));
	}
	EXPECT_TASKS_ALIVE(1);
}

static void cancel_and_put(tt_canceller *c)
{
	tt_cancel(c);
	tt_canceller_put(c);
}

static TT_TASK(cancels_when_dropped, (tt_canceller *, c, cancel_and_put))
{
	cancel_and_put(c);
	return 0;
}

static TT_TASK(sleeps_for_ever)
{
	return tt_sleep(TT_NEVER);
}

static int cancel_in_a_cancel(int *ret_inner)
{
	TT_GROUP(outer);
	tt_go(&outer, sleeps_for_ever);
	{
		TT_GROUP(inner);
		tt_go_when(&inner, TT_WHEN(.timeout = TT_SEC(100)), cancels_when_dropped, tt_group_canceller(&outer));
		tt_group_cancel(&inner);
		*ret_inner = tt_group_end(&inner, 0);
	}
	return tt_group_end(&outer, 0);
}

/* The destructor of an idle child's argument may cancel another group: the cancel that is on its
 * way through the tree goes on, and so does the new one. */
TT_TEST(when, a_destructor_may_cancel_another_group)
{
	int inner = 1;

	for (int i = 0; i < 3; i++) {
		EXPECT_CODE(cancel_in_a_cancel(&inner), TT_ECANCELED);
		EXPECT_OK(inner);
	}
	EXPECT_TASKS_ALIVE(1);
}

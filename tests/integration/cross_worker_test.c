/* SPDX-License-Identifier: MIT */
/*
 * cross_worker_test.c - two workers and plain threads: spawn, wake, cancel with its
 * acknowledgement, exits, chains and members across them. What must hold on real threads
 * however the machine schedules them runs in a runtime of its own, in a process with a time
 * limit, so that a lost wake-up is a failure and not a hang.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

#include "base/atomic.h"
#include "sched/worker.h"

TT_CHAN_TYPE(int_chan, int);

static const tt_child_options there = { .worker = TT_WORKER(1) };
static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };

static TT_TASK(sleeps_for_ever)
{
	return tt_sleep(TT_NEVER);
}

static TT_TASK(returns, (int, rc))
{
	return rc;
}

/* ---- chains ---- */

static TT_TASK(fails_deep, (int, depth), (int, code))
{
	int rc;

	if (depth == 0)
		return tt_fail(code, "at the bottom");
	TT_GROUP(g);
	tt_go_with(&g, depth % 2 == 0 ? &there : &(tt_child_options){ .worker = TT_WORKER(0) }, fails_deep, depth - 1, code);
	rc = tt_group_end(&g, 0);
	return tt_wrap(rc, "at depth %d", depth);
}

static bool chain_is_whole(const tt_error *e, int depth)
{
	const tt_error_node *n = tt_error_first(e);
	char text[32];

	for (; depth > 0; depth--, n = tt_error_cause(n)) {
		snprintf(text, sizeof(text), "at depth %d", depth);
		if (n == NULL || strcmp(tt_error_message(n), text) != 0)
			return false;
	}
	return n != NULL && strcmp(tt_error_message(n), "at the bottom") == 0 && tt_error_cause(n) == NULL;
}

/* A chain crosses tasks, groups and workers, with every step. */
TT_TEST(cross_worker, chains_cross_workers)
{
	tt_error e;

	EXPECT_CODE(fails_deep(6, TT_EPROTO), TT_EPROTO);
	tt_error_take(&e, TT_EPROTO);
	EXPECT_TRUE(chain_is_whole(&e, 6));
	tt_error_fini(&e);
}

static TT_TASK(fails_in_steps, (int, i))
{
	int rc = tt_fail(TT_EPROTO, "bottom of %d", i);

	rc = tt_wrap(rc, "middle");
	return tt_wrap(rc, "top");
}

static int fails_elsewhere(int i)
{
	TT_GROUP(g);
	tt_go_with(&g, &there, fails_in_steps, i);
	return tt_group_end(&g, 0);
}

/* The thousandth failure of a worker has as much to say as the first: nodes that go to
 * another worker with a chain do not leave theirs without. */
TT_TEST(cross_worker, chains_stay_whole_however_many_there_were)
{
	for (int i = 0; i < 300; i++) {
		const tt_error_node *n;
		tt_error e;

		EXPECT_CODE(fails_elsewhere(i), TT_EPROTO);
		tt_error_take(&e, TT_EPROTO);
		n = tt_error_first(&e);
		REQUIRE_TRUE(n != NULL);
		REQUIRE_STR_EQ(tt_error_message(n), "top");
		n = tt_error_cause(n);
		REQUIRE_TRUE(n != NULL);
		REQUIRE_TRUE(tt_error_cause(n) != NULL);
		tt_error_fini(&e);
	}
}

static TT_TASK(fails_with_many_siblings, (int, i))
{
	TT_IGNORE(tt_sleep(TT_NEVER));
	return tt_fail(TT_EIO, "sibling %d", i);
}

static int many_siblings(int n)
{
	TT_GROUP(g);
	for (int i = 0; i < n; i++)
		tt_go_with(&g, &anywhere, fails_with_many_siblings, i);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	return tt_group_end(&g, tt_fail(TT_EPROTO, "body"));
}

/* More siblings than the reserve has room for: the code stays, and nothing leaks or breaks. */
TT_TEST(cross_worker, more_siblings_than_there_is_room_for)
{
	char text[8192];
	tt_error e;

	for (int i = 0; i < 3; i++) {
		EXPECT_CODE(many_siblings(200), TT_EPROTO);
		tt_error_take(&e, TT_EPROTO);
		TT_IGNORE(tt_error_text(&e, text, sizeof(text)));
		EXPECT_TRUE(strstr(text, "body: ") == text);
		EXPECT_TRUE(strstr(text, "more without room for their text") != NULL);
		tt_error_fini(&e);
	}
	EXPECT_TASKS_ALIVE(1);
}

/* ---- cancel ---- */

static TT_TASK(counts_cancel, (int_chan *, done))
{
	int rc = tt_sleep(TT_NEVER);

	TT_IGNORE(TT_SHIELDED(TT_SEC(100), tt_send(done, &rc)));
	return rc;
}

static int cancel_everywhere(int n)
{
	int_chan done;
	int rc, codes = 0;

	TT_TRY(tt_chan_init(&done, (size_t)n));
	TT_DEFER(tt_chan_fini, &done);
	{
		TT_GROUP(g);
		for (int i = 0; i < n; i++)
			tt_go_with(&g, &anywhere, counts_cancel, &done);
		EXPECT_OK(tt_test_wait_all_parked());
		tt_group_cancel(&g);
		rc = tt_group_end(&g, 0);
	}
	EXPECT_OK(rc);
	for (int i = 0; i < n; i++)
		if (tt_try_recv(&done, &rc) == 1)
			codes += rc == TT_ECANCELED;
	return codes;
}

/* A cancel reaches every child on every worker, exactly once. */
TT_TEST(cross_worker, a_cancel_reaches_all_workers)
{
	for (int i = 0; i < 5; i++)
		EXPECT_EQ(cancel_everywhere(60), 60);
	EXPECT_TASKS_ALIVE(1);
}

static int cancel_while_they_end(int n)
{
	TT_GROUP(g);
	for (int i = 0; i < n; i++)
		tt_go_with(&g, &anywhere, returns, i);
	if (n % 3 == 0)
		TT_TRY_IN(&g, tt_yield());
	tt_group_cancel(&g);
	return tt_group_end(&g, n);
}

/* A cancel that crosses the exits of its children: each is joined once, whatever comes first. */
TT_TEST(cross_worker, cancels_cross_exits)
{
	for (int i = 1; i < 60; i++)
		EXPECT_EQ(cancel_while_they_end(i), i);
	EXPECT_TASKS_ALIVE(1);
}

static TT_TASK(cancels_twice, (tt_canceller *, a, tt_canceller_put), (tt_canceller *, b, tt_canceller_put))
{
	tt_cancel(a);
	tt_cancel(b);
	tt_canceller_put(a);
	tt_canceller_put(b);
	return 0;
}

static int two_causes(void)
{
	int rc;

	TT_GROUP(helpers);
	TT_GROUP(outer);
	TT_GROUP(inner);
	tt_go_with(&helpers, &there, cancels_twice, tt_group_canceller(&outer), tt_group_canceller(&inner));
	tt_go_with(&inner, &there, sleeps_for_ever);
	rc = tt_group_end(&inner, 0);
	rc = tt_group_end(&outer, rc);
	return tt_group_end(&helpers, rc == TT_ECANCELED ? 0 : rc);
}

/* Two cancels of nested groups overtake each other's acknowledgement: the child hears both,
 * and is joined once. */
TT_TEST(cross_worker, a_second_cause_before_the_acknowledgement)
{
	for (int i = 0; i < 50; i++)
		EXPECT_OK(two_causes());
	EXPECT_TASKS_ALIVE(1);
}

/* ---- members ---- */

static TT_TASK(spreads, (tt_group *, g), (int, depth), (tti_atomic_u32 *, count))
{
	/* relaxed: read after the join. */
	tti_fetch_add_relaxed(count, 1);
	if (depth == 0)
		return 0;
	tt_go_with(g, &anywhere, spreads, g, depth - 1, count);
	tt_go_with(g, &there, spreads, g, depth - 1, count);
	return 0;
}

static int spread(int depth, tti_atomic_u32 *count)
{
	tt_group_options o = { .shared = true };

	TT_GROUP_WITH(g, &o);
	tt_go_with(&g, &there, spreads, &g, depth, count);
	return tt_group_end(&g, 0);
}

/* Members that start members from every worker are all joined. */
TT_TEST(cross_worker, members_start_members)
{
	tti_atomic_u32 count = { 0 };

	EXPECT_OK(spread(8, &count));
	/* relaxed: after the join. */
	EXPECT_EQ(tti_load_relaxed(&count), 511u);
	EXPECT_TASKS_ALIVE(1);
}

/* ---- runtimes of their own ---- */

typedef int program(void);

/* In a process of its own, which is killed after some seconds. */
static bool ends_well(program *p)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		alarm(20);
		_exit(p());
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static const tt_main_options two_workers = { .workers = 2, .io = TT_IO_EPOLL };

static TT_TASK(echoes, (int_chan *, in), (int_chan *, out))
{
	int x, rc;

	while ((rc = tt_recv(in, &x)) > 0)
		TT_TRY(tt_send(out, &x));
	return rc;
}

static TT_TASK(ping_pong, (int, rounds))
{
	int_chan a, b;
	int x = 0, rc = 0;

	TT_TRY(tt_chan_init(&a, 1));
	TT_DEFER(tt_chan_fini, &a);
	TT_TRY(tt_chan_init(&b, 1));
	TT_DEFER(tt_chan_fini, &b);
	TT_GROUP(g);
	tt_go_with(&g, &there, echoes, &a, &b);
	for (int i = 0; i < rounds && rc >= 0; i++) {
		rc = tt_send(&a, &i);
		if (rc == 0)
			rc = tt_recv(&b, &x);
		if (rc == 1 && x != i)
			rc = TT_EPROTO;
	}
	tt_chan_close(&a);
	return tt_group_end(&g, rc < 0 ? rc : 0);
}

static int ping_pong_program(void)
{
	return tt_main_with(&two_workers, ping_pong, 30000);
}

/* Two workers that fall asleep after each message miss none, and each resumes its own task. */
TT_TEST_PLAIN(cross_worker, no_wake_is_lost_by_falling_asleep)
{
	/* perhaps laws 5, 7, 9: with real threads chance decides */
	EXPECT_TRUE(ends_well(ping_pong_program));
}

static tti_atomic_u32 thread_turn;

static void *thread_sends(void *arg)
{
	int_chan *ch = arg;

	for (int i = 0; i < 3000; i++)
		if (tt_send(ch, &i) < 0)
			return NULL;
	tt_chan_close(ch);
	/* release: pairs with the acquire in woken_by_a_thread(). */
	tti_store_release(&thread_turn, 1);
	return NULL;
}

static TT_TASK(woken_by_a_thread)
{
	pthread_t thread;
	int_chan ch;
	int x, rc, next = 0;

	TT_TRY(tt_chan_init(&ch, 0));
	if (pthread_create(&thread, NULL, thread_sends, &ch) != 0)
		return TT_EAGAIN;
	while ((rc = tt_recv(&ch, &x)) > 0)
		if (x != next++)
			return TT_EPROTO;
	/* acquire: pairs with the release in thread_sends(). */
	while (rc == 0 && tti_load_acquire(&thread_turn) == 0)
		rc = tt_yield();
	pthread_join(thread, NULL);
	tt_chan_fini(&ch);
	return rc == 0 && next == 3000 ? 0 : 1;
}

static int woken_by_a_thread_program(void)
{
	return tt_main_with(&two_workers, woken_by_a_thread);
}

/* A task that a plain thread wakes is resumed on its own thread, and not before it parked:
 * law 5. */
TT_TEST_PLAIN(cross_worker, a_wake_from_a_thread_resumes_at_home)
{
	/* perhaps laws 7, 9: with real threads chance decides */
	EXPECT_TRUE(ends_well(woken_by_a_thread_program));
}

static tti_atomic_u32 child_is_about_to_end;

static TT_TASK(says_it_ends)
{
	/* release: pairs with the acquire in cancel_meets_exit(). */
	tti_store_release(&child_is_about_to_end, 1);
	return 0;
}

/* Cancels a group when the exit of its child lies in the owner's mailbox, not yet read: the
 * cancel is under way to a child that is done, and its acknowledgement comes after the exit. */
static int cancel_meets_exit(void)
{
	/* relaxed: the child does not run yet. */
	tti_store_relaxed(&child_is_about_to_end, 0);
	TT_GROUP(g);
	tt_go_with(&g, &there, says_it_ends);
	/* acquire: pairs with the release in the child. */
	while (tti_load_acquire(&child_is_about_to_end) == 0)
		tti_cpu_relax();
	/* relaxed: a hint is all that is needed; nothing is taken. */
	while (tti_load_relaxed(&tti_worker_here()->inbox.newest) == NULL)
		tti_cpu_relax();
	tt_group_cancel(&g);
	return tt_group_end(&g, 0);
}

static TT_TASK(cancels_meet_exits)
{
	struct tti_home *here = tti_home_here;

	for (int i = 0; i < 2000; i++) {
		int64_t before = here->created - here->freed;

		TT_TRY(cancel_meets_exit());
		/* The record of a child goes when its exit and its acknowledgement are both in. */
		if (here->created - here->freed != before)
			return 1;
	}
	return 0;
}

static int cancels_meet_exits_program(void)
{
	return tt_main_with(&two_workers, cancels_meet_exits);
}

/* A child whose cancel and exit cross is given back exactly once, after both: law 11. The exit
 * comes while its reader is busy and about to sleep: law 9. */
TT_TEST_PLAIN(cross_worker, an_exit_waits_for_the_acknowledgement)
{
	/* perhaps law 7 */
	EXPECT_TRUE(ends_well(cancels_meet_exits_program));
}

TT_TEST_MAIN()

/* SPDX-License-Identifier: MIT */
/*
 * group_test.c - groups: no orphan, which code an end returns and with which chain, spawning
 * and its limits, daemons, policies, members of shared groups.
 */
#include <stdio.h>
#include <string.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

#include "env/env.h"
#include "task/task.h"

static const tt_child_options elsewhere = { .worker = TT_WORKER(1) };
static const tt_child_options nearby = { .worker = TT_WORKER_HERE };

/* A deadline that must pass after a child started, and not before, on a busy machine too. */
#define WHY_SIM "needs the virtual clock"

/* ---- children ---- */

static TT_TASK(returns, (int, rc))
{
	return rc;
}

static TT_TASK(sleeps_for_ever)
{
	return tt_sleep(TT_NEVER);
}

static TT_TASK(fails, (int, code), (const char *, text))
{
	return tt_fail(code, "%s", text);
}

static TT_TASK(fails_when_told, (tt_notify *, now), (int, code), (const char *, text))
{
	TT_TRY(tt_notify_wait(now));
	return tt_fail(code, "%s", text);
}

static TT_TASK(fails_in_cleanup, (int, code), (const char *, text))
{
	TT_IGNORE(tt_sleep(TT_NEVER));
	return tt_fail(code, "%s", text);
}

static TT_TASK(succeeds_all_the_same, (int, rc))
{
	TT_IGNORE(tt_sleep(TT_NEVER));
	return rc;
}

/* Takes its time although it is cancelled. */
static TT_TASK(finishes_slowly, (int *, ret_done))
{
	TT_IGNORE(tt_sleep(TT_NEVER));
	TT_IGNORE(TT_SHIELDED(TT_NEVER, tt_sleep(TT_MS(2))));
	*ret_done = 1;
	return 0;
}

static int dropped;

static void drop(int *counter)
{
	(*counter)++;
}

static TT_TASK(owns, (int *, counter, drop), (int, rc))
{
	(void)counter;
	return rc;
}

/* ---- what a chain says ---- */

static const tt_error_node *node_at(const tt_error *e, int depth)
{
	const tt_error_node *n = tt_error_first(e);

	while (n != NULL && depth-- > 0)
		n = tt_error_cause(n);
	return n;
}

static bool has_sibling(const tt_error *e, int code, const char *text)
{
	for (const tt_error_node *n = tt_error_first(e); n != NULL; n = tt_error_cause(n))
		for (const tt_error_node *s = tt_error_sibling(n); s != NULL; s = tt_error_sibling(s))
			if (tt_error_code(s) == code && strcmp(tt_error_message(s), text) == 0)
				return true;
	return false;
}

static size_t siblings(const tt_error *e)
{
	size_t count = 0;

	for (const tt_error_node *n = tt_error_first(e); n != NULL; n = tt_error_cause(n))
		for (const tt_error_node *s = tt_error_sibling(n); s != NULL; s = tt_error_sibling(s))
			count++;
	return count;
}

static bool starts_with(const tt_error *e, int code, const char *text)
{
	const tt_error_node *n = node_at(e, 0);

	return n != NULL && tt_error_code(n) == code && strcmp(tt_error_message(n), text) == 0;
}

/* ---- no memory ---- */

/* More than a task's record has room for, so that a go always has something to allocate. */
struct bulk {
	unsigned char bytes[400];
};

static TT_TASK(carries, (struct bulk, b))
{
	return b.bytes[0];
}

static int one_without_memory(enum tt_policy policy, int *ret_go)
{
	tt_group_options o = { .policy = policy };
	struct bulk b;

	memset(&b, 0, sizeof(b));
	TT_GROUP_WITH(g, &o);
	tt_go(&g, returns, 3);
	TT_TRY_IN(&g, tt_group_drain(&g));
	tt_test_fail_alloc_at(1);
	*ret_go = tt_go(&g, carries, b);
	tt_test_fail_nothing();
	return tt_group_end(&g, 0);
}

/* A child for which there is no memory has failed, whatever the group does with failures; only
 * isolation leaves it to the code that tt_go returned. */
TT_TEST(group, a_child_without_a_record_has_failed)
{
	static const struct {
		enum tt_policy policy;
		int rc;
	} cases[] = {
		{ TT_FAIL_FAST, TT_ENOMEM }, { TT_COLLECT_ALL, TT_ENOMEM }, { TT_SUPERVISE, TT_ENOMEM }, { TT_ISOLATE, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int go = 0;

		EXPECT_CODE(one_without_memory(cases[i].policy, &go), cases[i].rc);
		EXPECT_CODE(go, TT_ENOMEM);
	}
}

/* ---- the join ---- */

static int one_slow_child(const tt_child_options *where, int body_rc, int *ret_done)
{
	TT_GROUP(g);
	tt_go_with(&g, where, finishes_slowly, ret_done);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_group_cancel(&g);
	return tt_group_end(&g, body_rc);
}

/* No child outlives its group: the end waits even for one that takes its time to stop. */
TT_TEST(group, end_waits_for_a_slow_child)
{
	int done = 0;

	EXPECT_EQ(one_slow_child(&nearby, 7, &done), 7);
	EXPECT_EQ(done, 1);
	done = 0;
	EXPECT_EQ(one_slow_child(&elsewhere, 7, &done), 7);
	EXPECT_EQ(done, 1);
	EXPECT_TASKS_ALIVE(1);
}

static int end_at_once(const tt_child_options *where, int *ret_done)
{
	TT_GROUP(g);
	tt_go_with(&g, where, finishes_slowly, ret_done);
	return tt_group_end(&g, 7);
}

/* The join is never cut short: not by the deadline of a scope around it either. */
TT_TEST_ON(group, a_deadline_does_not_cut_the_join_short, TT_ON_SIM, WHY_SIM)
{
	int done = 0;

	EXPECT_EQ(TT_WITHIN(TT_MS(2), end_at_once(&nearby, &done)), 7);
	EXPECT_EQ(done, 1);
	done = 0;
	EXPECT_EQ(TT_WITHIN(TT_MS(2), end_at_once(&elsewhere, &done)), 7);
	EXPECT_EQ(done, 1);
	EXPECT_TASKS_ALIVE(1);
}

static int spawn_many(int n, const tt_child_options *where)
{
	TT_GROUP(g);
	for (int i = 0; i < n; i++)
		tt_go_with(&g, where, sleeps_for_ever);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_group_cancel(&g);
	return tt_group_end(&g, 0);
}

/* A group keeps nothing of a child that has ended: a thousand rounds leave one task. */
TT_TEST(group, leaves_no_task_behind)
{
	for (int i = 0; i < 10; i++) {
		EXPECT_OK(spawn_many(50, &nearby));
		EXPECT_OK(spawn_many(50, &elsewhere));
	}
	EXPECT_TASKS_ALIVE(1);
}

/* ---- the first cause decides the code ---- */

static int child_then_body(int child_code, int body_rc, const char *body_text)
{
	TT_GROUP(g);
	tt_go(&g, fails, child_code, "child");
	TT_IGNORE(tt_sleep(TT_NEVER));
	return tt_group_end(&g, body_text != NULL ? tt_fail(body_rc, "%s", body_text) : body_rc);
}

/* A child failed first: its code, whatever the body says; the echo of the cancel is dropped. */
TT_TEST(group, child_failed_first_gives_its_code)
{
	tt_error e;

	EXPECT_CODE(child_then_body(TT_EPROTO, TT_ECANCELED, NULL), TT_EPROTO);
	tt_error_take(&e, TT_EPROTO);
	EXPECT_TRUE(starts_with(&e, TT_EPROTO, "child"));
	EXPECT_EQ(siblings(&e), 0u);
	tt_error_fini(&e);
	EXPECT_CODE(child_then_body(TT_EPROTO, 5, NULL), TT_EPROTO);
}

/* A child failed first: another code of the body hangs beside it. */
TT_TEST(group, body_code_after_a_childs_failure_is_a_sibling)
{
	tt_error e;

	EXPECT_CODE(child_then_body(TT_EPROTO, TT_EIO, "body"), TT_EPROTO);
	tt_error_take(&e, TT_EPROTO);
	EXPECT_TRUE(starts_with(&e, TT_EPROTO, "child"));
	EXPECT_TRUE(has_sibling(&e, TT_EIO, "body"));
	EXPECT_EQ(siblings(&e), 1u);
	tt_error_fini(&e);
}

static int body_then_child(const tt_child_options *where, int body_code, int child_code)
{
	TT_GROUP(g);
	tt_go_with(&g, where, fails_in_cleanup, child_code, "cleanup");
	tt_go_with(&g, where, sleeps_for_ever);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	return tt_group_end(&g, tt_fail(body_code, "body"));
}

/* The body failed first: children are cancelled and joined, its rc is returned, failures of
 * cleanup are siblings. */
TT_TEST(group, body_failed_first_gives_its_code)
{
	const tt_child_options *where[] = { &nearby, &elsewhere };
	tt_error e;

	for (int i = 0; i < 2; i++) {
		EXPECT_CODE(body_then_child(where[i], TT_EIO, TT_EPROTO), TT_EIO);
		tt_error_take(&e, TT_EIO);
		EXPECT_TRUE(starts_with(&e, TT_EIO, "body"));
		EXPECT_TRUE(has_sibling(&e, TT_EPROTO, "cleanup"));
		EXPECT_EQ(siblings(&e), 1u);
		tt_error_fini(&e);
	}
	EXPECT_TASKS_ALIVE(1);
}

static int outside_then_child(const tt_child_options *where, int body_rc)
{
	TT_GROUP(g);
	tt_go_with(&g, where, fails_in_cleanup, TT_EPROTO, "cleanup");
	TT_IGNORE(tt_sleep(TT_NEVER));
	return tt_group_end(&g, body_rc);
}

static int cancelled_from_outside(const tt_child_options *where, int body_rc, tt_error *ret_e)
{
	int rc;

	TT_SCOPE(s, TT_MS(1));
	rc = outside_then_child(where, body_rc);
	tt_error_take(ret_e, rc);
	TT_IGNORE(tt_scope_end(&s, rc));
	return rc;
}

/* Cancelled from outside first: TT_ECANCELED; failures in cleanup are siblings. */
TT_TEST_ON(group, cancelled_from_outside_first_gives_ecanceled, TT_ON_SIM, WHY_SIM)
{
	const tt_child_options *where[] = { &nearby, &elsewhere };
	tt_error e;

	for (int i = 0; i < 2; i++) {
		EXPECT_CODE(cancelled_from_outside(where[i], 0, &e), TT_ECANCELED);
		EXPECT_TRUE(has_sibling(&e, TT_EPROTO, "cleanup"));
		EXPECT_EQ(siblings(&e), 1u);
		tt_error_fini(&e);
		EXPECT_CODE(cancelled_from_outside(where[i], TT_ECANCELED, &e), TT_ECANCELED);
		tt_error_fini(&e);
	}
}

static int outside_then_body(int rc)
{
	TT_GROUP(g);
	tt_go(&g, sleeps_for_ever);
	TT_IGNORE(tt_sleep(TT_NEVER));
	return tt_group_end(&g, tt_fail(rc, "body"));
}

/* Cancelled from outside first: a failure of the body's cleanup is a sibling with its text. */
TT_TEST_ON(group, cancelled_from_outside_first_keeps_what_the_body_says, TT_ON_SIM, WHY_SIM)
{
	tt_error e;
	int rc;

	TT_SCOPE(s, TT_MS(1));
	rc = outside_then_body(TT_EIO);
	EXPECT_CODE(rc, TT_ECANCELED);
	tt_error_take(&e, rc);
	EXPECT_TRUE(has_sibling(&e, TT_EIO, "body"));
	tt_error_fini(&e);
	EXPECT_CODE(tt_scope_end(&s, rc), TT_ETIMEDOUT);
}

static int outside_but_done(int child_rc, int body_rc)
{
	TT_GROUP(g);
	tt_go(&g, succeeds_all_the_same, child_rc);
	tt_go_with(&g, &elsewhere, succeeds_all_the_same, child_rc);
	TT_IGNORE(tt_sleep(TT_NEVER));
	return tt_group_end(&g, body_rc);
}

/* Cancelled from outside, but every child succeeded all the same: rc. */
TT_TEST_ON(group, cancelled_from_outside_but_all_succeeded_gives_rc, TT_ON_SIM, WHY_SIM)
{
	int rc;

	TT_SCOPE(s, TT_MS(1));
	rc = outside_but_done(0, 42);
	EXPECT_EQ(rc, 42);
	EXPECT_EQ(tt_scope_end(&s, rc), 42);
}

static int body_of_refused(int *ret_go)
{
	TT_GROUP(g);
	*ret_go = tt_go(&g, returns, 0);
	return tt_group_end(&g, 0);
}

/* A child that was refused because of a cancel did not succeed: the group cannot end well,
 * even when the result of tt_go was dropped. */
TT_TEST(group, a_refused_child_keeps_the_group_from_success)
{
	int go = 0;

	EXPECT_CODE(TT_WITHIN(0, body_of_refused(&go)), TT_ETIMEDOUT);
	EXPECT_CODE(go, TT_ECANCELED);
}

static int owner_cancels(int child_code, int rc)
{
	TT_GROUP(g);
	tt_go(&g, fails_in_cleanup, child_code, "cleanup");
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_group_cancel(&g);
	EXPECT_CODE(tt_checkpoint(), TT_ECANCELED);
	return tt_group_end(&g, rc);
}

/* A group its owner cancels ends with the owner's rc, and is the scope of the body too. */
TT_TEST(group, owner_cancel_gives_the_owners_rc)
{
	EXPECT_EQ(owner_cancels(TT_EPROTO, 3), 3);
	EXPECT_CODE(owner_cancels(TT_EPROTO, TT_EBUSY), TT_EBUSY);
	EXPECT_OK(tt_checkpoint());
}

static TT_TASK(cancels, (tt_canceller *, c, tt_canceller_put), (int, code))
{
	tt_cancel_with(c, code, "replaced by a newer configuration");
	tt_canceller_put(c);
	return 0;
}

static int cancelled_with(int body_rc, const tt_child_options *from)
{
	TT_GROUP(g);
	tt_go_with(&g, from, cancels, tt_group_canceller(&g), TT_EBUSY);
	tt_go_with(&g, &elsewhere, sleeps_for_ever);
	TT_IGNORE(tt_sleep(TT_NEVER));
	if (body_rc != TT_ECANCELED)
		body_rc = tt_fail(body_rc, "body");
	return tt_group_end(&g, body_rc);
}

/* tt_cancel_with(canceller, code, ...) makes the end return code, with the reason. The exit of
 * the child that asked for it crosses the cancel: law 11. */
TT_TEST(group, canceller_code_is_returned_with_its_reason)
{
	const tt_child_options *from[] = { &nearby, &elsewhere };
	tt_error e;

	for (int i = 0; i < 2; i++) {
		EXPECT_CODE(cancelled_with(TT_ECANCELED, from[i]), TT_EBUSY);
		tt_error_take(&e, TT_EBUSY);
		EXPECT_TRUE(starts_with(&e, TT_EBUSY, "replaced by a newer configuration"));
		tt_error_fini(&e);
		EXPECT_CODE(cancelled_with(TT_EIO, from[i]), TT_EBUSY);
		tt_error_take(&e, TT_EBUSY);
		EXPECT_TRUE(starts_with(&e, TT_EBUSY, "replaced by a newer configuration"));
		EXPECT_TRUE(has_sibling(&e, TT_EIO, "body"));
		tt_error_fini(&e);
	}
}

/* A child's TT_ECANCELED counts as cancelled only if its group was: else it is a failure. */
TT_TEST(group, ecanceled_of_a_child_that_was_not_cancelled_is_a_failure)
{
	int rc;
	TT_GROUP(g);

	tt_go(&g, returns, TT_ECANCELED);
	rc = tt_group_end(&g, 0);
	EXPECT_CODE(rc, TT_ECANCELED);
}

/* ---- ends and nesting ---- */

static int order[8];
static size_t order_len;

static TT_TASK(notes_its_end, (int, name))
{
	TT_IGNORE(tt_sleep(TT_NEVER));
	order[order_len++] = name;
	return 0;
}

static int three_open_blocks(int rc)
{
	TT_GROUP(outer);
	tt_go(&outer, notes_its_end, 1);
	TT_SCOPE(middle, TT_NEVER);
	TT_GROUP(inner);
	tt_go(&inner, notes_its_end, 2);
	TT_TRY_IN(&outer, tt_test_wait_all_parked());
	return tt_group_end(&outer, rc);
}

/* Ending a block first ends those opened inside it, innermost first, with the same rc. */
TT_TEST(group, end_ends_the_blocks_inside_first)
{
	order_len = 0;
	EXPECT_CODE(three_open_blocks(TT_EIO), TT_EIO);
	REQUIRE_EQ(order_len, 2u);
	EXPECT_EQ(order[0], 2);
	EXPECT_EQ(order[1], 1);
	EXPECT_TASKS_ALIVE(1);
}

static int early_return(int *ret_done)
{
	TT_GROUP(g);
	tt_go(&g, finishes_slowly, ret_done);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	TT_TRY_IN(&g, tt_fail(TT_EPROTO, "early"));
	return tt_group_end(&g, 0);
}

/* TT_TRY_IN is the early return: it goes through the end. */
TT_TEST(group, try_in_goes_through_the_end)
{
	int done = 0;

	EXPECT_CODE(early_return(&done), TT_EPROTO);
	EXPECT_EQ(done, 1);
}

enum { LEFT_OPEN_LINE = __LINE__ + 4 };

static int bare_return(int *ret_done)
{
	TT_GROUP(left_open);
#ifdef TT_NO_ASSERT
	tt_go(&left_open, finishes_slowly, ret_done);
	TT_IGNORE(tt_test_wait_all_parked());
#endif
	return ret_done != NULL ? 3 : 0;
}

static void end_twice(void)
{
	TT_GROUP(g);
	TT_IGNORE(tt_group_end(&g, 0));
	TT_IGNORE(tt_group_end(&g, 0));
}

/* A bare return aborts in debug, naming the line of the block; a release build reports it,
 * cancels and joins. A second end always aborts. */
TT_TEST(group, bare_return_aborts)
{
	int done = 0;
#ifndef TT_NO_ASSERT
	char line[80];

	snprintf(line, sizeof(line), "group_test.c:%d: this group was left without tt_group_end", LEFT_OPEN_LINE);
	EXPECT_ABORTS(bare_return(&done), line);
#else
	EXPECT_EQ(bare_return(&done), 3);
	EXPECT_EQ(done, 1);
#endif
	EXPECT_ABORTS(end_twice(), "tt_group_end: the block is not open");
}

static void spawns_after_the_end(void)
{
	TT_GROUP(g);
	TT_IGNORE(tt_group_end(&g, 0));
	tt_go(&g, returns, 0);
}

static void cancels_after_the_end(void)
{
	TT_GROUP(g);
	TT_IGNORE(tt_group_end(&g, 0));
	tt_group_cancel(&g);
}

static TT_TASK(ends_anothers_group, (tt_group *, g))
{
	return tt_group_end(g, 0);
}

static void lent_group(void)
{
	TT_GROUP(g);
	tt_go(&g, ends_anothers_group, &g);
	TT_IGNORE(tt_group_end(&g, 0));
}

static TT_TASK(leaves_a_block_open)
{
	static tt_group g;

	TT_IGNORE(tt_group_open_(&g, NULL, "nowhere.c:7") == NULL);
	return 0;
}

static void child_leaves_a_block(void)
{
	TT_GROUP(g);
	tt_go(&g, leaves_a_block_open);
	TT_IGNORE(tt_group_end(&g, 0));
}

#ifndef TT_NO_ASSERT
static TT_TASK(spawns_into, (tt_group *, g))
{
	tt_go(g, returns, 0);
	return 0;
}

/* A task that is not below the group of another one may find its frame gone. */
static void spawns_into_a_strangers_group(void)
{
	tt_group_options o = { .shared = true };

	TT_GROUP(outer);
	TT_GROUP_WITH(strangers, &o);
	tt_go(&outer, spawns_into, &strangers);
	TT_IGNORE(tt_group_drain(&outer));
	TT_IGNORE(tt_group_end(&outer, 0));
}
#endif

/* Spawning or cancelling after the end, ending what another task opened, leaving a task with a
 * block open, spawning into a stranger's group: each aborts with the places of both. */
TT_TEST(group, misuse_names_both_places)
{
	static const char opened[] = "group is not open (it was opened at src/scope/group_test.c:";

	EXPECT_ABORTS(spawns_after_the_end(), "tt_go at src/scope/group_test.c:");
	EXPECT_ABORTS(spawns_after_the_end(), opened);
	EXPECT_ABORTS(cancels_after_the_end(), "others use tt_group_canceller (it was opened at src/scope/group_test.c:");
	EXPECT_ABORTS(lent_group(), "the block is not open in task ends_anothers_group#");
	EXPECT_ABORTS(lent_group(), "another task's; it was opened at src/scope/group_test.c:");
	EXPECT_ABORTS(child_leaves_a_block(), "ended with the block of nowhere.c:7 still open");
	EXPECT_ABORTS(child_leaves_a_block(), "(spawned at src/scope/group_test.c:");
#ifndef TT_NO_ASSERT
	EXPECT_ABORTS(spawns_into_a_strangers_group(), "is not in the group, which may be gone (it was opened at ");
#endif
}

static int finish_with(int rc, int child_rc, bool child_fails)
{
	tt_notify now;

	tt_notify_init(&now);
	TT_GROUP(g);
	if (child_fails)
		tt_go(&g, fails_when_told, &now, child_rc, "late");
	else
		tt_go(&g, returns, child_rc);
	tt_notify_one(&now);
	return tt_group_finish(&g, rc);
}

/* tt_group_finish lets the children finish first, then returns rc, or their failure. */
TT_TEST(group, finish_lets_the_children_finish)
{
	tt_error e;

	EXPECT_CODE(finish_with(TT_EIO, 0, false), TT_EIO);
	EXPECT_EQ(finish_with(6, 0, false), 6);
	EXPECT_CODE(finish_with(0, TT_EPROTO, true), TT_EPROTO);
	EXPECT_CODE(finish_with(TT_EIO, TT_EPROTO, true), TT_EIO);
	tt_error_take(&e, TT_EIO);
	EXPECT_TRUE(has_sibling(&e, TT_EPROTO, "late"));
	tt_error_fini(&e);
}

/* tt_group_drain waits for all and leaves the group open. */
TT_TEST(group, drain_leaves_the_group_open)
{
	int rc;
	TT_GROUP(g);

	for (int i = 0; i < 3; i++) {
		tt_go(&g, returns, 1);
		tt_go_with(&g, &elsewhere, returns, 1);
		EXPECT_OK(tt_group_drain(&g));
		EXPECT_TASKS_ALIVE(1);
	}
	rc = tt_group_end(&g, 9);
	EXPECT_EQ(rc, 9);
}

static int drained_failure(void)
{
	TT_GROUP(g);
	tt_go(&g, fails, TT_EPROTO, "child");
	TT_TRY_IN(&g, tt_group_drain(&g));
	return tt_group_end(&g, 0);
}

/* A drain gives the code of the child that failed; that is no failure of the body's own, so
 * nothing hangs beside it. */
TT_TEST(group, drain_gives_a_childs_failure_once)
{
	tt_error e;

	EXPECT_CODE(drained_failure(), TT_EPROTO);
	tt_error_take(&e, TT_EPROTO);
	EXPECT_TRUE(starts_with(&e, TT_EPROTO, "child"));
	EXPECT_EQ(siblings(&e), 0u);
	tt_error_fini(&e);
}

/* ---- destructors ---- */

static int never_started(void)
{
	TT_GROUP(g);
	tt_go(&g, owns, &dropped, 0);
	return tt_group_end(&g, TT_EIO);
}

static int refused(int *ret_rc)
{
	TT_GROUP(g);
	tt_group_cancel(&g);
	*ret_rc = tt_go(&g, owns, &dropped, 0);
	return tt_group_end(&g, 0);
}

static int started(const tt_child_options *where)
{
	TT_GROUP(g);
	tt_go_with(&g, where, owns, &dropped, 0);
	return tt_group_end(&g, 0);
}

/* The destructor of an argument runs exactly when the function never starts. */
TT_TEST(group, destructors_run_exactly_when_the_function_never_starts)
{
	int rc = 0;

	dropped = 0;
	EXPECT_CODE(never_started(), TT_EIO);
	EXPECT_EQ(dropped, 1);
	EXPECT_OK(refused(&rc));
	EXPECT_CODE(rc, TT_ECANCELED);
	EXPECT_EQ(dropped, 2);
	EXPECT_OK(started(&nearby));
	EXPECT_OK(started(&elsewhere));
	EXPECT_EQ(dropped, 2);
}

/* ---- limits ---- */

static TT_TASK(counts, (int *, running), (int *, highest))
{
	int now = ++*running;

	if (now > *highest)
		*highest = now;
	TT_TRY(tt_yield());
	TT_TRY(tt_yield());
	--*running;
	return 0;
}

/* max_children parks the owner: never more than so many run. */
TT_TEST(group, max_children_parks_the_owner)
{
	tt_group_options o = { .max_children = 3 };
	int running = 0, highest = 0, rc;
	TT_GROUP_WITH(g, &o);

	for (int i = 0; i < 20; i++)
		EXPECT_OK(tt_go(&g, counts, &running, &highest));
	rc = tt_group_end(&g, 0);
	EXPECT_OK(rc);
	EXPECT_LE(highest, 3);
	EXPECT_EQ(running, 0);
}

static int full_group_in_a_timeout(int *ret_within, int *ret_go)
{
	tt_group_options o = { .max_children = 1 };

	TT_GROUP_WITH(g, &o);
	tt_go(&g, sleeps_for_ever);
	*ret_within = TT_WITHIN(TT_MS(1), *ret_go = tt_go(&g, owns, &dropped, 0));
	tt_group_cancel(&g);
	return tt_group_end(&g, 5);
}

/* A wait for room is a cancellable wait: nothing was started, destructors have run. What
 * tt_go returned is that child's failure, so that dropping it loses nothing: the group, which
 * was not cancelled, is now. */
TT_TEST(group, waiting_for_room_can_be_cancelled)
{
	int within = 0, go = 0;

	dropped = 0;
	EXPECT_CODE(full_group_in_a_timeout(&within, &go), TT_ECANCELED);
	EXPECT_CODE(within, TT_ECANCELED);
	EXPECT_CODE(go, TT_ECANCELED);
	EXPECT_EQ(dropped, 1);
}

static int go_with_room_in_no_time(int *ret_go)
{
	tt_group_options o = { .max_children = 2 };

	TT_GROUP_WITH(g, &o);
	TT_IGNORE(TT_WITHIN(0, *ret_go = tt_go(&g, owns, &dropped, 0)));
	return tt_group_end(&g, 0);
}

/* Where a limit may make the owner wait tt_go is a checkpoint, also while there is room: a cancel
 * by a block inside the group is seen, though the group itself was not cancelled. */
TT_TEST(group, with_a_limit_go_is_a_checkpoint)
{
	int go = 0;

	dropped = 0;
	EXPECT_CODE(go_with_room_in_no_time(&go), TT_ECANCELED);
	EXPECT_CODE(go, TT_ECANCELED);
	EXPECT_EQ(dropped, 1);
}

static TT_TASK(spawns_member, (tt_group *, g), (int *, ret_rc), (int, child_rc))
{
	*ret_rc = tt_go(g, returns, child_rc);
	return 0;
}

static int member_at_the_limit(const tt_child_options *where, int *ret_rc)
{
	tt_group_options o = { .max_children = 1, .shared = true };

	TT_GROUP_WITH(g, &o);
	tt_go_with(&g, where, spawns_member, &g, ret_rc, 0);
	return tt_group_end(&g, 0);
}

/* A member over the limit gets -EAGAIN; that is its own affair, not the group's failure. */
TT_TEST(group, member_over_the_limit_gets_eagain)
{
	int rc = 0;

	EXPECT_OK(member_at_the_limit(&nearby, &rc));
	EXPECT_CODE(rc, TT_EAGAIN);
	rc = 0;
	EXPECT_OK(member_at_the_limit(&elsewhere, &rc));
	EXPECT_CODE(rc, TT_EAGAIN);
}

static int members(const tt_child_options *where, int child_rc)
{
	tt_group_options o = { .shared = true };
	int rc = 1;

	TT_GROUP_WITH(g, &o);
	tt_go_with(&g, where, spawns_member, &g, &rc, child_rc);
	rc = tt_group_drain(&g);
	return tt_group_end(&g, rc);
}

/* Descendants spawn into a shared group: the group waits for what they start, and fails
 * with it. */
TT_TEST(group, shared_groups_take_members)
{
	EXPECT_OK(members(&nearby, 0));
	EXPECT_OK(members(&elsewhere, 0));
	EXPECT_CODE(members(&nearby, TT_EPROTO), TT_EPROTO);
	EXPECT_CODE(members(&elsewhere, TT_EPROTO), TT_EPROTO);
}

struct lot {
	int ran, dropped;
};

static void drop_lot(struct lot *l)
{
	l->dropped++;
}

static TT_TASK(takes_a_step, (struct lot *, l, drop_lot))
{
	l->ran++;
	return 0;
}

/* In one slice: elsewhere the group cannot know of the cancel when it is asked. */
static TT_TASK(cancels_and_spawns, (tt_group *, g), (tt_canceller *, c, tt_canceller_put), (struct lot *, l))
{
	int rc;

	tt_cancel(c);
	tt_canceller_put(c);
	rc = tt_go(g, takes_a_step, l);
	EXPECT_TRUE(rc == 0 || rc == TT_ECANCELED);
	return 0;
}

static int spawns_behind_a_cancel(const tt_child_options *where, struct lot *l)
{
	tt_group_options o = { .shared = true };

	TT_GROUP_WITH(g, &o);
	tt_go_with(&g, where, cancels_and_spawns, &g, tt_group_canceller(&g), l);
	return tt_group_end(&g, tt_sleep(TT_NEVER));
}

/* A child from another worker that comes to a group when it is cancelled is one of its children,
 * and ends without a step. */
TT_TEST(group, a_child_that_comes_after_the_cancel_does_not_run)
{
	/* law 11 */
	for (int i = 0; i < 4; i++) {
		struct lot l = { .ran = 0 };

		EXPECT_CODE(spawns_behind_a_cancel(i == 0 ? &nearby : &elsewhere, &l), TT_ECANCELED);
		EXPECT_EQ(l.ran, 0);
		EXPECT_EQ(l.dropped, 1);
		EXPECT_TASKS_ALIVE(1);
	}
}

static int not_shared(void)
{
	int rc = 0;

	TT_GROUP(g);
	tt_go(&g, spawns_member, &g, &rc, 0);
	return tt_group_end(&g, 0);
}

/* Only the owner spawns into a group that is not shared. */
TT_TEST(group, member_spawn_into_an_unshared_group_aborts)
{
	EXPECT_ABORTS(not_shared(), "is not the group's owner, and the group is not shared");
}

/* ---- daemons ---- */

static const tt_child_options daemon_here = { .daemon = true };
static const tt_child_options daemon_elsewhere = { .daemon = true, .worker = TT_WORKER(1) };

static int with_daemon(const tt_child_options *where, int rc)
{
	TT_GROUP(g);
	tt_go_with(&g, where, sleeps_for_ever);
	tt_go(&g, returns, 1);
	TT_TRY_IN(&g, tt_group_drain(&g));
	return tt_group_end(&g, rc);
}

/* A daemon is not waited for: it is cancelled when the group ends without others left. */
TT_TEST(group, daemons_are_cancelled_at_the_end)
{
	EXPECT_EQ(with_daemon(&daemon_here, 4), 4);
	EXPECT_EQ(with_daemon(&daemon_elsewhere, 4), 4);
	EXPECT_TASKS_ALIVE(1);
}

static int only_a_daemon(const tt_child_options *where)
{
	TT_GROUP(g);
	tt_go_with(&g, where, sleeps_for_ever);
	return tt_group_end(&g, 0);
}

TT_TEST(group, daemons_alone_do_not_hold_the_end)
{
	EXPECT_OK(only_a_daemon(&daemon_here));
	EXPECT_OK(only_a_daemon(&daemon_elsewhere));
}

static int failing_daemon(void)
{
	tt_notify now;

	tt_notify_init(&now);
	TT_GROUP(g);
	tt_go_with(&g, &daemon_here, fails_when_told, &now, TT_EPROTO, "daemon");
	tt_notify_one(&now);
	TT_IGNORE(tt_sleep(TT_NEVER));
	return tt_group_end(&g, 0);
}

/* A daemon that fails fails the group like any child. */
TT_TEST(group, a_failing_daemon_fails_the_group)
{
	EXPECT_CODE(failing_daemon(), TT_EPROTO);
}

static TT_TASK(spawns_a_daemon_when_told, (tt_group *, g), (tt_notify *, now))
{
	TT_TRY(tt_notify_wait(now));
	TT_TRY(tt_go_with(g, &daemon_here, sleeps_for_ever));
	return tt_sleep(TT_NEVER);
}

static TT_TASK(tells, (tt_notify *, now))
{
	tt_notify_one(now);
	return 0;
}

static int daemon_of_a_daemon(void)
{
	tt_group_options o = { .shared = true };
	tt_notify now;

	tt_notify_init(&now);
	TT_GROUP_WITH(g, &o);
	tt_go_with(&g, &daemon_elsewhere, spawns_a_daemon_when_told, &g, &now);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_go(&g, tells, &now);
	return tt_group_end(&g, 0);
}

/* A daemon that starts a daemon while the group ends does not hold the end for ever. (It is
 * woken from another worker, as in the tests of policies below: law 5.) */
TT_TEST(group, a_daemon_of_a_daemon_does_not_hold_the_end)
{
	for (int i = 0; i < 20; i++)
		EXPECT_OK(daemon_of_a_daemon());
}

/* ---- policies ---- */


struct told {
	tt_notify now;
	int rc;
	bool cancelled;
};

static TT_TASK(ends_when_told, (struct told *, t), (const char *, text))
{
	int rc = tt_notify_wait(&t->now);

	t->cancelled = rc < 0;
	if (rc < 0)
		return rc;
	return t->rc < 0 ? tt_fail(t->rc, "%s", text) : t->rc;
}

/* Two children, told to end one after the other. */
static int two_children(enum tt_policy policy, struct told *a, struct told *b, int rc)
{
	tt_group_options o = { .policy = policy };

	tt_notify_init(&a->now);
	tt_notify_init(&b->now);
	TT_GROUP_WITH(g, &o);
	tt_go(&g, ends_when_told, a, "first");
	tt_go_with(&g, &elsewhere, ends_when_told, b, "second");
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_notify_one(&a->now);
	TT_TRY_IN(&g, TT_SHIELDED(TT_NEVER, tt_test_wait_all_parked()));
	tt_notify_one(&b->now);
	return tt_group_end(&g, rc);
}

/* Fail-fast: the first failure cancels the others. */
TT_TEST(group, fail_fast_cancels_the_others)
{
	struct told a = { .rc = TT_EPROTO }, b = { .rc = 0 };

	EXPECT_CODE(two_children(TT_FAIL_FAST, &a, &b, 0), TT_EPROTO);
	EXPECT_TRUE(b.cancelled);
}

/* Collect-all: nobody is cancelled; the first failure is the code, the rest are siblings. law 5 */
TT_TEST(group, collect_all_keeps_every_failure)
{
	struct told a = { .rc = TT_EPROTO }, b = { .rc = TT_EIO };
	tt_error e;

	EXPECT_CODE(two_children(TT_COLLECT_ALL, &a, &b, 0), TT_EPROTO);
	EXPECT_FALSE(b.cancelled);
	tt_error_take(&e, TT_EPROTO);
	EXPECT_TRUE(starts_with(&e, TT_EPROTO, "first"));
	EXPECT_TRUE(has_sibling(&e, TT_EIO, "second"));
	tt_error_fini(&e);
}

/* First-success: the first success cancels the others and is the result. */
TT_TEST(group, first_success_is_the_result)
{
	struct told a = { .rc = 17 }, b = { .rc = 18 };

	EXPECT_EQ(two_children(TT_FIRST_SUCCESS, &a, &b, 0), 17);
	EXPECT_TRUE(b.cancelled);
}

static TT_TASK(succeeds_in_a_shield, (int, value))
{
	TT_IGNORE(TT_SHIELDED(TT_SEC(1), tt_sleep(TT_MS(1))));
	return value;
}

static int two_succeed(void)
{
	TT_GROUP_WITH(g, &(tt_group_options){ .policy = TT_FIRST_SUCCESS });
	tt_go_with(&g, &(tt_child_options){ .worker = TT_WORKER_ANY }, succeeds_in_a_shield, 18);
	tt_go_with(&g, &(tt_child_options){ .worker = TT_WORKER_HERE }, succeeds_in_a_shield, 18);
	TT_TRY_IN(&g, tt_group_drain(&g));
	tt_go(&g, succeeds_in_a_shield, 19); /* the group is cancelled by now */
	return tt_group_end(&g, 0);
}

/* First-success: of two that succeed the one that is seen first counts. */
TT_TEST(group, a_second_success_changes_nothing)
{
	EXPECT_EQ(two_succeed(), 18);
}

/* First-success: a failure before it changes nothing; if all fail, the first failure counts.
 * law 5 */
TT_TEST(group, first_success_survives_failures)
{
	struct told a = { .rc = TT_EIO }, b = { .rc = 18 };
	tt_error e;

	EXPECT_EQ(two_children(TT_FIRST_SUCCESS, &a, &b, 0), 18);
	b.rc = TT_EPROTO;
	EXPECT_CODE(two_children(TT_FIRST_SUCCESS, &a, &b, 0), TT_EIO);
	tt_error_take(&e, TT_EIO);
	EXPECT_TRUE(has_sibling(&e, TT_EPROTO, "second"));
	tt_error_fini(&e);
}

/* Isolate: a failure is forgotten, and the others go on. law 5 */
TT_TEST(group, isolate_forgets_failures)
{
	struct told a = { .rc = TT_EIO }, b = { .rc = 0 };

	EXPECT_EQ(two_children(TT_ISOLATE, &a, &b, 6), 6);
	EXPECT_FALSE(b.cancelled);
}

static int isolated_then_cancelled(void)
{
	tt_group_options o = { .policy = TT_ISOLATE };

	TT_GROUP_WITH(g, &o);
	tt_go(&g, returns, TT_EIO);
	TT_TRY_IN(&g, tt_group_drain(&g));
	tt_go(&g, succeeds_all_the_same, 0);
	TT_IGNORE(tt_sleep(TT_NEVER));
	return tt_group_end(&g, 11);
}

/* Isolate: what was forgotten does not spoil the success of those that a cancel met later. */
TT_TEST(group, isolate_forgets_failures_for_good)
{
	EXPECT_EQ(TT_WITHIN(TT_MS(2), isolated_then_cancelled()), 11);
}

/* ---- joining one task ---- */

static int joined(tt_task *t, int *ret_rc)
{
	*ret_rc = tt_task_join(t);
	return 0;
}

static TT_TASK(joins, (tt_task *, t, tt_task_put), (int *, ret_rc))
{
	int rc = joined(t, ret_rc);

	tt_task_put(t);
	return rc;
}

/* tt_task_join gives the task's code, from any worker, before and after its end. */
TT_TEST(group, task_join_gives_the_code)
{
	struct told told = { .rc = 33 };
	int there = 0, rc;
	tt_task *t, *t2, *t3;

	tt_notify_init(&told.now);
	TT_GROUP(g);
	REQUIRE_OK(tt_go_task(&g, &t, ends_when_told, &told, ""));
	REQUIRE_OK(tt_go_task(&g, &t2, returns, 1));
	REQUIRE_OK(tt_go_task(&g, &t3, returns, 1));
	tt_task_put(t2);
	tt_task_put(t3);
	EXPECT_STR_EQ(tt_task_name(t), "ends_when_told");
	EXPECT_NE(tt_task_id(t), 0u);
	EXPECT_CODE(TT_WITHIN(TT_MS(1), tt_task_join(t)), TT_ETIMEDOUT);
	tt_notify_one(&told.now);
	EXPECT_EQ(tt_task_join(t), 33);
	EXPECT_EQ(tt_task_join(t), 33);
	tt_go_with(&g, &elsewhere, joins, t, &there);
	rc = tt_group_end(&g, 0);
	EXPECT_OK(rc);
	EXPECT_EQ(there, 33);
}

static TT_TASK(job_spawns, (tt_group *, g))
{
	return tt_go(g, owns, &dropped, 0);
}

/* A pool job cannot start a child; what it handed over is destroyed. */
TT_TEST(group, a_pool_job_starts_no_child)
{
	int rc;

	dropped = 0;
	TT_GROUP(g);
	EXPECT_CODE(tt_blocking(job_spawns, &g), TT_EWRONGCTX);
	rc = tt_group_end(&g, 0);
	EXPECT_OK(rc);
	EXPECT_EQ(dropped, 1);
}

static int from_pointer(void *arg)
{
	/* relaxed: the group's end orders it for who reads it. */
	__atomic_fetch_add((int *)arg, 1, __ATOMIC_RELAXED);
	return 0;
}

/* tt_spawn is the plain form for bindings. */
TT_TEST(group, tt_spawn_starts_a_plain_function)
{
	int count = 0, rc;

	TT_GROUP(g);
	EXPECT_OK(tt_spawn(&g, from_pointer, &count, NULL));
	EXPECT_OK(tt_spawn(&g, from_pointer, &count, &elsewhere));
	rc = tt_group_end(&g, 0);
	EXPECT_OK(rc);
	EXPECT_EQ(count, 2);
}

static TT_TASK(recursive, (int, depth), (int *, leaves))
{
	if (depth == 0) {
		(*leaves)++;
		return 0;
	}
	TT_GROUP(g);
	tt_go(&g, recursive, depth - 1, leaves);
	tt_go(&g, recursive, depth - 1, leaves);
	return tt_group_end(&g, 0);
}

/* Groups nest without bound: a tree of tasks is joined whole. */
TT_TEST(group, trees_are_joined_whole)
{
	int leaves = 0;

	EXPECT_OK(recursive(8, &leaves));
	EXPECT_EQ(leaves, 256);
	EXPECT_TASKS_ALIVE(1);
}

static TT_TASK(chain_of_groups, (int, depth), (int *, cancelled))
{
	int rc;

	if (depth == 0) {
		rc = tt_sleep(TT_NEVER);
		*cancelled += rc == TT_ECANCELED;
		return rc;
	}
	TT_GROUP(g);
	tt_go_with(&g, depth % 2 == 0 ? &nearby : &elsewhere, chain_of_groups, depth - 1, cancelled);
	return tt_group_end(&g, 0);
}

static int cancel_deep_tree(int depth, int *cancelled)
{
	TT_GROUP(g);
	tt_go(&g, chain_of_groups, depth, cancelled);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_group_cancel(&g);
	return tt_group_end(&g, 1);
}

/* A cancel reaches the leaf of a tree deeper than any stack, over workers and back. */
TT_TEST(group, a_cancel_reaches_the_deepest_leaf)
{
	int cancelled = 0;

	EXPECT_EQ(cancel_deep_tree(300, &cancelled), 1);
	EXPECT_EQ(cancelled, 1);
	EXPECT_TASKS_ALIVE(1);
}

static void puts_it(void *arg)
{
	tt_task_put(arg);
}

static TT_TASK(joins_thread, (struct tti_thread *, t))
{
	tti_env_thread_join(t);
	return 0;
}

static int keeps_a_handle(struct tti_thread *t)
{
	tt_task *task;
	int rc;

	TT_GROUP(g);
	TT_TRY_IN(&g, tt_go_task(&g, &task, returns, 0));
	rc = tt_task_join(task);
	*t = (struct tti_thread){ .fn = puts_it, .arg = task };
	return tt_group_end(&g, rc);
}

/* A handle whose last use is on a plain thread counts as given back: the runtime reports those
 * that are not. */
TT_TEST_ON(group, handle_given_back_on_a_plain_thread, TT_ON_REAL, "makes a thread")
{
	int64_t before = tti_tasks_freed_elsewhere();
	struct tti_thread t;

	EXPECT_OK(keeps_a_handle(&t));
	REQUIRE_OK(tti_env_thread_start(&t, "plain"));
	EXPECT_OK(tt_blocking(joins_thread, &t));
	EXPECT_EQ(tti_tasks_freed_elsewhere(), before + 1);
}

TT_TEST_MAIN()

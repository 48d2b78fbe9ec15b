/* SPDX-License-Identifier: MIT */
/*
 * scope_test.c - timeouts, shields, soft cancel, cancellers, TT_DEFER: who is cancelled, by
 * what, and which code the end of a block makes of it.
 */
#include "scope/scope.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <tutti/lowlevel.h>
#include <tutti/testing.h>
#include <tutti/tutti.h>

#include "wait/wait.h"
#include "testing/stderr_testkit.h"

TT_CHAN_TYPE(int_chan, int);

static const tt_child_options elsewhere = { .worker = TT_WORKER(1) };
static const tt_child_options nearby = { .worker = TT_WORKER_HERE };

static TT_TASK(sleeps_for_ever)
{
	return tt_sleep(TT_NEVER);
}

/* ---- timeouts ---- */

/* A call under a timeout gives TT_ETIMEDOUT when it is cut short, else its value. */
TT_TEST(scope, within_gives_etimedout_or_the_value)
{
	EXPECT_CODE(TT_WITHIN(TT_MS(1), tt_sleep(TT_NEVER)), TT_ETIMEDOUT);
	EXPECT_EQ(TT_WITHIN(TT_SEC(100), tt_yield() + 5), 5);
	EXPECT_OK(tt_checkpoint());
}

/* Nested timeouts: the inner one that fires first says so, and the outer one goes on. */
TT_TEST(scope, inner_timeout_fires_first)
{
	int inner = 0;

	EXPECT_EQ(TT_WITHIN(TT_SEC(100), (inner = TT_WITHIN(TT_MS(1), tt_sleep(TT_NEVER)), 3)), 3);
	EXPECT_CODE(inner, TT_ETIMEDOUT);
}

/* Nested timeouts: when the outer one fires, the inner end leaves TT_ECANCELED to it. */
TT_TEST(scope, outer_timeout_is_told_by_the_outer_end)
{
	int inner = 0;

	EXPECT_CODE(TT_WITHIN(TT_MS(1), inner = TT_WITHIN(TT_SEC(100), tt_sleep(TT_NEVER))), TT_ETIMEDOUT);
	EXPECT_CODE(inner, TT_ECANCELED);
}

/* Both have passed: the deadline of the inner one is not told while the outer one is
 * cancelled. */
TT_TEST(scope, both_timeouts_passed)
{
	int inner = 0;

	EXPECT_CODE(TT_WITHIN(0, inner = TT_WITHIN(0, tt_sleep(TT_NEVER))), TT_ETIMEDOUT);
	EXPECT_CODE(inner, TT_ECANCELED);
}

/* A timeout of zero or less is over at once. */
TT_TEST(scope, zero_and_negative_timeouts_are_over_at_once)
{
	EXPECT_CODE(TT_WITHIN(0, tt_checkpoint()), TT_ETIMEDOUT);
	EXPECT_CODE(TT_WITHIN(-1, tt_sleep(TT_NEVER)), TT_ETIMEDOUT);
	EXPECT_CODE(TT_WITHIN(INT64_MIN, tt_yield()), TT_ETIMEDOUT);
	EXPECT_EQ(TT_WITHIN(0, 7), 7);
	EXPECT_OK(tt_checkpoint());
}

/* The largest timeouts do not overflow into the past. */
TT_TEST(scope, endless_timeouts_never_end)
{
	EXPECT_OK(TT_WITHIN(TT_NEVER, tt_checkpoint()));
	EXPECT_OK(TT_WITHIN(TT_NEVER - 1, tt_sleep(TT_US(1))));
}

static int in_a_scope_until(int64_t deadline)
{
	TT_SCOPE_UNTIL(s, deadline);
	return tt_scope_end(&s, tt_sleep(TT_NEVER));
}

/* A scope may end at a point in time. */
TT_TEST(scope, deadlines_are_absolute)
{
	int64_t begin = tt_now();

	EXPECT_CODE(in_a_scope_until(begin + TT_MS(2)), TT_ETIMEDOUT);
	EXPECT_GE(tt_now(), begin + TT_MS(2));
	EXPECT_CODE(in_a_scope_until(0), TT_ETIMEDOUT);
}

static int code_in_passed_scope(int rc)
{
	TT_SCOPE(s, 0);
	return tt_scope_end(&s, rc);
}

/* The end turns TT_ECANCELED into TT_ETIMEDOUT, and nothing else. */
TT_TEST(scope, only_ecanceled_becomes_etimedout)
{
	EXPECT_CODE(code_in_passed_scope(TT_EIO), TT_EIO);
	EXPECT_EQ(code_in_passed_scope(4), 4);
	EXPECT_CODE(code_in_passed_scope(TT_ECANCELED), TT_ETIMEDOUT);
}

static int ecanceled_in_time(void)
{
	TT_SCOPE(s, TT_SEC(100));
	return tt_scope_end(&s, TT_ECANCELED);
}

/* A TT_ECANCELED that the scope's deadline did not cause stays what it is. */
TT_TEST(scope, foreign_ecanceled_stays)
{
	EXPECT_CODE(ecanceled_in_time(), TT_ECANCELED);
}

static int several_checkpoints(void)
{
	int_chan ch;
	int i = 1;

	EXPECT_OK(TT_SHIELDED(TT_NEVER, tt_checkpoint()));
	TT_TRY(tt_chan_init(&ch, 1));
	TT_DEFER(tt_chan_fini, &ch);
	for (int round = 0; round < 3; round++) {
		EXPECT_CODE(tt_sleep(TT_NEVER), TT_ECANCELED);
		EXPECT_CODE(tt_sleep(0), TT_ECANCELED);
		EXPECT_CODE(tt_yield(), TT_ECANCELED);
		EXPECT_CODE(tt_checkpoint(), TT_ECANCELED);
		EXPECT_CODE(tt_send(&ch, &i), TT_ECANCELED);
		EXPECT_CODE(tt_recv(&ch, &i), TT_ECANCELED);
		EXPECT_CODE(tt_select(TT_ON_TIMEOUT(0)), TT_ECANCELED);
	}
	EXPECT_EQ(tt_chan_len(&ch), 0u);
	return TT_ECANCELED;
}

/* Level-triggered: inside a cancelled scope every checkpoint returns TT_ECANCELED until the
 * scope is left; after it, none does. */
TT_TEST(scope, cancellation_is_level_triggered)
{
	EXPECT_CODE(TT_WITHIN(0, several_checkpoints()), TT_ETIMEDOUT);
	EXPECT_OK(tt_checkpoint());
	EXPECT_OK(tt_yield());
}

static int64_t real_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * TT_SEC(1) + ts.tv_nsec;
}

static void compute(int64_t ns)
{
	for (int64_t until = real_ns() + ns; real_ns() < until;)
		;
}

/* A timeout counts from the moment it is set: what the task computed before, while the time
 * of the scheduler's turn stood still, is not charged to it. */
TT_TEST_ON(scope, computing_is_not_charged_to_a_timeout, TT_ON_REAL, "in a simulation computing takes no time")
{
	int64_t begin;
	int_chan ch;
	int x;

	compute(TT_MS(200));
	EXPECT_OK(TT_WITHIN(TT_MS(150), tt_sleep(TT_US(10))));
	compute(TT_MS(200));
	begin = real_ns();
	EXPECT_CODE(TT_WITHIN(TT_MS(30), tt_sleep(TT_NEVER)), TT_ETIMEDOUT);
	EXPECT_GE(real_ns() - begin, TT_MS(30));
	REQUIRE_OK(tt_chan_init(&ch, 1));
	compute(TT_MS(200));
	begin = real_ns();
	EXPECT_EQ(tt_select(TT_ON_RECV(&ch, &x), TT_ON_TIMEOUT(TT_MS(30))), 1);
	EXPECT_GE(real_ns() - begin, TT_MS(30));
	tt_chan_fini(&ch);
}

/* ---- shields ---- */

/* A shield hides a cancel from outside; behind it the cancel is there again. */
TT_TEST(scope, shield_hides_outer_cancels)
{
	int shielded = 1, after = 1;

	EXPECT_CODE(TT_WITHIN(0, (shielded = TT_SHIELDED(TT_SEC(100), tt_sleep(TT_US(1))), after = tt_checkpoint())),
	            TT_ETIMEDOUT);
	EXPECT_OK(shielded);
	EXPECT_CODE(after, TT_ECANCELED);
}

/* A cancel that comes while the shield is up does not pass it either. */
TT_TEST(scope, shield_hides_cancels_that_come_later)
{
	int shielded = 1;

	EXPECT_CODE(TT_WITHIN(TT_MS(1), (shielded = TT_SHIELDED(TT_SEC(100), tt_sleep(TT_MS(3))), tt_checkpoint())),
	            TT_ETIMEDOUT);
	EXPECT_OK(shielded);
}

/* A shield whose own bound fired gives TT_ETIMEDOUT, always: cancelled outside or not. */
TT_TEST(scope, shield_whose_bound_fired_gives_etimedout)
{
	int shielded = 0;

	EXPECT_CODE(TT_SHIELDED(TT_MS(1), tt_sleep(TT_NEVER)), TT_ETIMEDOUT);
	EXPECT_CODE(TT_WITHIN(0, shielded = TT_SHIELDED(TT_MS(1), tt_sleep(TT_NEVER))), TT_ETIMEDOUT);
	EXPECT_CODE(shielded, TT_ETIMEDOUT);
}

/* A timeout inside a shield works as it does outside. */
TT_TEST(scope, timeout_inside_a_shield)
{
	int inner = 0;

	EXPECT_CODE(TT_WITHIN(0, (TT_IGNORE(TT_SHIELDED(TT_SEC(100), inner = TT_WITHIN(TT_MS(1), tt_sleep(TT_NEVER)))),
	                          tt_checkpoint())),
	            TT_ETIMEDOUT);
	EXPECT_CODE(inner, TT_ETIMEDOUT);
}

static TT_TASK(sleeps_shielded, (int *, ret_rc))
{
	*ret_rc = TT_SHIELDED(TT_SEC(100), tt_sleep(TT_MS(2)));
	return tt_checkpoint();
}

static int group_in_cancelled_scope(const tt_child_options *where, int *ret_rc)
{
	TT_GROUP(g);
	tt_go_with(&g, where, sleeps_shielded, ret_rc);
	return tt_group_end(&g, 0);
}

/* Children take the group's scope; a shield of the child's own hides it there. */
TT_TEST_ON(scope, children_take_the_groups_scope, TT_ON_SIM, "compares two workers' sleeps, which only a virtual clock orders")
{
	int rc = 1;

	EXPECT_CODE(TT_WITHIN(TT_MS(1), group_in_cancelled_scope(&nearby, &rc)), TT_ETIMEDOUT);
	EXPECT_OK(rc);
	EXPECT_CODE(TT_WITHIN(TT_MS(1), group_in_cancelled_scope(&elsewhere, &rc)), TT_ETIMEDOUT);
	EXPECT_OK(rc);
}

static int group_in_shield(const tt_child_options *where)
{
	TT_SHIELD(s, TT_SEC(100));
	TT_GROUP(g);
	tt_go_with(&g, where, sleeps_for_ever);
	TT_TRY_IN(&s, tt_test_wait_all_parked());
	tt_group_cancel(&g);
	return tt_scope_end(&s, tt_group_end(&g, 2));
}

/* A group inside a shield starts and cancels children although all around is cancelled. */
TT_TEST(scope, groups_work_inside_a_shield)
{
	int rc = 0;

	EXPECT_CODE(TT_WITHIN(0, (rc = group_in_shield(&nearby), tt_checkpoint())), TT_ETIMEDOUT);
	EXPECT_EQ(rc, 2);
	EXPECT_CODE(TT_WITHIN(0, (rc = group_in_shield(&elsewhere), tt_checkpoint())), TT_ETIMEDOUT);
	EXPECT_EQ(rc, 2);
	EXPECT_TASKS_ALIVE(1);
}

/* ---- soft cancel ---- */

/* Asks the root of the calling task's tree to stop softly, as tt_main does on SIGTERM. */
static void stop_softly(void *unused)
{
	struct tti_scope *s = tti_home_here->current->scope;

	(void)unused;
	while (s->parent != NULL)
		s = s->parent;
	tti_scope_stop(s);
}

static TT_TASK(stops_the_root, (int64_t, after))
{
	TT_TRY(tt_sleep(after));
	stop_softly(NULL);
	return 0;
}

static TT_TASK(until_stop, (int *, ret_rc))
{
	*ret_rc = TT_UNTIL_STOP(tt_sleep(TT_NEVER));
	return 0;
}

static TT_TASK(waits_for_stop, (int *, ret_arm))
{
	int x;
	int_chan ch;

	TT_TRY(tt_chan_init(&ch, 1));
	*ret_arm = tt_select(TT_ON_RECV(&ch, &x), TT_ON_STOP(), TT_ON_TIMEOUT(TT_SEC(500)));
	tt_chan_fini(&ch);
	return tt_stopping() ? 0 : TT_EINVAL;
}

/* A soft cancel is seen only where asked for: inside TT_UNTIL_STOP, by tt_stopping() and by
 * the arm TT_ON_STOP(); all else runs on. */
TT_TEST(scope, soft_cancel_is_seen_only_where_asked_for)
{
	int a = 0, b = 0, arm_a = -1, arm_b = -1, rc;

	TT_GROUP(g);
	EXPECT_FALSE(tt_stopping());
	tt_go(&g, until_stop, &a);
	tt_go_with(&g, &elsewhere, until_stop, &b);
	tt_go(&g, waits_for_stop, &arm_a);
	tt_go_with(&g, &elsewhere, waits_for_stop, &arm_b);
	EXPECT_OK(tt_test_wait_all_parked());
	stop_softly(NULL);
	EXPECT_OK(tt_sleep(TT_MS(1)));
	EXPECT_OK(tt_checkpoint());
	EXPECT_TRUE(tt_stopping());
	rc = tt_group_end(&g, 0);
	EXPECT_OK(rc);
	EXPECT_CODE(a, TT_ESTOP);
	EXPECT_CODE(b, TT_ESTOP);
	EXPECT_EQ(arm_a, 1);
	EXPECT_EQ(arm_b, 1);
}

static TT_TASK(takes_or_stops, (int_chan *, ch), (int *, ret_arm), (int *, ret_item))
{
	*ret_arm = tt_select(TT_ON_RECV(ch, ret_item), TT_ON_STOP());
	return 0;
}

/* The stop is on its way to the other worker when the item claims the wait, and arrives before it. */
static int stop_and_send(int_chan *ch, int *ret_arm, int *ret_item)
{
	TT_GROUP(g);
	tt_go_with(&g, &elsewhere, takes_or_stops, ch, ret_arm, ret_item);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	stop_softly(NULL);
	TT_TRY_IN(&g, tt_try_send(ch, &(int){ 7 }));
	return tt_group_end(&g, 0);
}

static TT_TASK(stops_and_sends)
{
	int arm = -1, item = 0;
	int_chan ch;

	TT_TRY(tt_chan_init(&ch, 1));
	EXPECT_OK(stop_and_send(&ch, &arm, &item));
	EXPECT_EQ(arm, 0);
	EXPECT_EQ(item, 7);
	tt_chan_fini(&ch);
	return 0;
}

/* A stop that finds its wait claimed by an item changes nothing: the item is received. */
TT_TEST_PLAIN(scope, a_stop_leaves_an_item_that_was_handed_over)
{
	/* laws 4, 5, 9 */
	for (unsigned seed = 0; seed < tt_test_seeds(20); seed++)
		EXPECT_OK(tt_sim_run(seed, stops_and_sends));
}

static int group_of_one(void)
{
	TT_GROUP(g);
	tt_go(&g, sleeps_for_ever);
	tt_go_with(&g, &elsewhere, sleeps_for_ever);
	return tt_group_end(&g, 0);
}

/* TT_UNTIL_STOP around a group: its children are cancelled, the whole gives TT_ESTOP; and
 * after a stop it gives that at once. */
TT_TEST(scope, until_stop_reaches_children)
{
	int rc;

	TT_GROUP(g);
	tt_go(&g, stops_the_root, TT_MS(1));
	EXPECT_CODE(TT_UNTIL_STOP(group_of_one()), TT_ESTOP);
	EXPECT_CODE(TT_UNTIL_STOP(tt_checkpoint()), TT_ESTOP);
	EXPECT_EQ(TT_UNTIL_STOP(6), 6);
	EXPECT_EQ(tt_select(TT_ON_TIMEOUT(TT_SEC(500)), TT_ON_STOP()), 1);
	EXPECT_TASKS_ALIVE(1);
	rc = tt_group_end(&g, 0);
	EXPECT_OK(rc);
}

static int shielded_until_stop(void)
{
	return TT_UNTIL_STOP(TT_SHIELDED(TT_SEC(100), tt_sleep(TT_MS(2))));
}

/* A shield inside TT_UNTIL_STOP lets the cleanup finish. */
TT_TEST(scope, shield_inside_until_stop)
{
	int rc;

	TT_GROUP(g);
	tt_go(&g, stops_the_root, TT_US(10));
	EXPECT_OK(shielded_until_stop());
	rc = tt_group_end(&g, 0);
	EXPECT_OK(rc);
}

/* A timeout inside TT_UNTIL_STOP is still a timeout. */
TT_TEST(scope, timeout_inside_until_stop)
{
	EXPECT_CODE(TT_UNTIL_STOP(TT_WITHIN(TT_MS(1), tt_sleep(TT_NEVER))), TT_ETIMEDOUT);
}

/* ---- cancellers ---- */

static TT_TASK(cancels, (tt_canceller *, c, tt_canceller_put))
{
	tt_cancel(c);
	tt_cancel(c);
	tt_canceller_put(c);
	return 0;
}

static int scope_cancelled_by(tt_group *g, const tt_child_options *from, int64_t timeout)
{
	TT_SCOPE(s, timeout);
	tt_go_with(g, from, cancels, tt_scope_canceller(&s));
	return tt_scope_end(&s, tt_sleep(TT_NEVER));
}

/* Outsiders cancel through a canceller: from the same worker and from another. */
TT_TEST(scope, canceller_from_any_worker)
{
	int rc;

	TT_GROUP(g);
	EXPECT_CODE(scope_cancelled_by(&g, &nearby, TT_NEVER), TT_ECANCELED);
	EXPECT_CODE(scope_cancelled_by(&g, &elsewhere, TT_SEC(100)), TT_ECANCELED);
	rc = tt_group_end(&g, 0);
	EXPECT_OK(rc);
	EXPECT_OK(tt_checkpoint());
}

static TT_TASK(cancels_with, (tt_canceller *, c, tt_canceller_put), (int, code))
{
	tt_cancel_with(c, code, "moved to shard %d", 7);
	tt_canceller_put(c);
	return 0;
}

static int replaced(const tt_child_options *from, int body_rc)
{
	int rc;

	TT_GROUP(g);
	TT_SCOPE(s, TT_NEVER);
	tt_go_with(&g, from, cancels_with, tt_scope_canceller(&s), TT_EBUSY);
	rc = tt_sleep(TT_NEVER);
	rc = tt_scope_end(&s, body_rc != 0 ? body_rc : rc);
	return tt_group_end(&g, rc);
}

/* tt_cancel_with makes the end return its code, with its reason in the chain; a body that
 * says something else keeps its own. */
TT_TEST(scope, canceller_with_a_code_and_a_reason)
{
	const tt_child_options *from[] = { &nearby, &elsewhere };
	tt_error e;

	for (int i = 0; i < 2; i++) {
		EXPECT_CODE(replaced(from[i], 0), TT_EBUSY);
		tt_error_take(&e, TT_EBUSY);
		REQUIRE_TRUE(tt_error_first(&e) != NULL);
		EXPECT_STR_EQ(tt_error_message(tt_error_first(&e)), "moved to shard 7");
		tt_error_fini(&e);
		EXPECT_CODE(replaced(from[i], TT_EIO), TT_EIO);
		EXPECT_EQ(replaced(from[i], 8), 8);
	}
}

/* The text of the chain that explains code; the calling task has none afterwards. */
static const char *chain_of(int code)
{
	static char text[1024];
	tt_error e;

	tt_error_take(&e, code);
	tt_error_text(&e, text, sizeof(text));
	tt_error_fini(&e);
	return text;
}

/* Whether text has all the pieces, each after the one before. */
static bool has_in_order(const char *text, const char *const *pieces)
{
	const char *at = text;

	for (; *pieces != NULL; pieces++) {
		at = strstr(at, *pieces);
		if (at == NULL) {
			tt_test_note("no \"%s\" where it belongs in: %s", *pieces, text);
			return false;
		}
		at += strlen(*pieces);
	}
	return true;
}

#define HAS(text, ...) has_in_order(text, (const char *const[]){ __VA_ARGS__, NULL })

static int wrapped_sleep(void)
{
	return tt_wrap(tt_sleep(TT_NEVER), "load profile %d", 42);
}

enum { TIMEOUT_LINE = __LINE__ + 4 };

static int profile_within(int64_t timeout)
{
	return TT_WITHIN(timeout, wrapped_sleep());
}

static int sleep_within(int64_t timeout)
{
	return TT_WITHIN(timeout, tt_sleep(TT_NEVER));
}

/* TT_ETIMEDOUT's chain names the scope and its time, above what the way up had to say. */
TT_TEST(scope, timeout_names_its_scope_and_its_time)
{
	char site[64];

	EXPECT_CODE(sleep_within(TT_MS(2)), TT_ETIMEDOUT);
	EXPECT_TRUE(HAS(chain_of(TT_ETIMEDOUT), "timed out: 2 ms: ", "(ETIMEDOUT)", "in scope, ", "scope_test.c:"));
	EXPECT_CODE(sleep_within(TT_US(1500)), TT_ETIMEDOUT);
	EXPECT_TRUE(HAS(chain_of(TT_ETIMEDOUT), "timed out: 1500 us: "));
	EXPECT_CODE(sleep_within(0), TT_ETIMEDOUT);
	EXPECT_TRUE(HAS(chain_of(TT_ETIMEDOUT), "timed out: 0 s: "));
	EXPECT_CODE(in_a_scope_until(tt_now() + 1), TT_ETIMEDOUT);
	EXPECT_TRUE(HAS(chain_of(TT_ETIMEDOUT), "timed out: deadline: "));
	EXPECT_CODE(TT_SHIELDED(1, tt_sleep(TT_NEVER)), TT_ETIMEDOUT);
	EXPECT_TRUE(HAS(chain_of(TT_ETIMEDOUT), "timed out: 1 ns: ", "in shield, "));
	EXPECT_CODE(profile_within(TT_MS(2)), TT_ETIMEDOUT);
	snprintf(site, sizeof(site), "scope_test.c:%d", TIMEOUT_LINE);
	EXPECT_TRUE(HAS(chain_of(TT_ETIMEDOUT), "timed out: 2 ms, ", site, "(ETIMEDOUT)", "in wrapped_sleep, ",
	                "load profile 42"));
}

static int plainly_cancelled(tt_group *g, const tt_child_options *from)
{
	TT_SCOPE(s, TT_NEVER);
	tt_go_with(g, from, cancels, tt_scope_canceller(&s));
	return tt_scope_end(&s, wrapped_sleep());
}

/* Who cancelled is in the chain, with the reason if one was given. */
TT_TEST(scope, canceller_is_named)
{
	const tt_child_options *from[] = { &nearby, &elsewhere };
	int rc;

	for (int i = 0; i < 2; i++) {
		EXPECT_CODE(replaced(from[i], 0), TT_EBUSY);
		EXPECT_TRUE(HAS(chain_of(TT_EBUSY), "moved to shard 7: ", "(EBUSY)", "in cancel, ", "scope_test.c:",
		                "cancelled by cancels_with#"));
		TT_GROUP(g);
		EXPECT_CODE(plainly_cancelled(&g, from[i]), TT_ECANCELED);
		EXPECT_TRUE(HAS(chain_of(TT_ECANCELED), "cancelled by cancels#", "(ECANCELED)", "load profile 42"));
		rc = tt_group_end(&g, 0);
		EXPECT_OK(rc);
	}
}

/* Cancelling what was left does nothing; neither does a second cancel. */
TT_TEST(scope, cancel_after_the_scope_was_left)
{
	tt_canceller *c, *of_group;
	int rc;

	{
		TT_SCOPE(s, TT_NEVER);
		c = tt_scope_canceller(&s);
		TT_IGNORE(tt_scope_end(&s, 0));
	}
	{
		TT_GROUP(g);
		of_group = tt_group_canceller(&g);
		TT_IGNORE(tt_group_end(&g, 0));
	}
	tt_cancel(c);
	tt_cancel_with(of_group, TT_EIO, "late");
	EXPECT_OK(tt_checkpoint());
	{
		TT_GROUP(g);
		tt_go_with(&g, &elsewhere, cancels, c);
		tt_go_with(&g, &elsewhere, cancels, of_group);
		rc = tt_group_end(&g, 1);
	}
	EXPECT_EQ(rc, 1);
	tt_canceller_put(NULL);
}

/* No memory, no canceller; to use it all the same does nothing. */
TT_TEST(scope, without_memory_there_is_no_canceller)
{
	tt_canceller *c;

	TT_SCOPE(s, TT_NEVER);
	tt_test_fail_alloc_at(1);
	c = tt_scope_canceller(&s);
	tt_test_fail_nothing();
	EXPECT_EQ(c, NULL);
	tt_cancel(c);
	tt_cancel_with(c, TT_EIO, "nobody hears it");
	tt_canceller_put(c);
	EXPECT_OK(tt_checkpoint());
	EXPECT_OK(tt_scope_end(&s, 0));
}

/* A code that is not negative is misuse. */
TT_TEST(scope, cancel_with_a_positive_code_aborts)
{
	tt_canceller *c;

	TT_SCOPE(s, TT_NEVER);
	c = tt_scope_canceller(&s);
	EXPECT_ABORTS(tt_cancel_with(c, 1, "oops"), "tt_cancel_with: code 1 is not negative");
	tt_canceller_put(c);
	TT_IGNORE(tt_scope_end(&s, 0));
}

static void *thread_that_cancels(void *arg)
{
	tt_cancel_with(arg, TT_EPIPE, "from a thread");
	tt_canceller_put(arg);
	return NULL;
}

static TT_TASK(joins_thread, (pthread_t, t))
{
	return -pthread_join(t, NULL);
}

static int cancelled_by_a_thread(pthread_t *ret_thread)
{
	TT_SCOPE(s, TT_NEVER);
	TT_GROUP(g);
	tt_go(&g, sleeps_for_ever);
	tt_go_with(&g, &elsewhere, sleeps_for_ever);
	if (pthread_create(ret_thread, NULL, thread_that_cancels, tt_scope_canceller(&s)) != 0)
		abort();
	return tt_scope_end(&s, tt_group_end(&g, 0));
}

/* A plain thread may cancel. */
TT_TEST_ON(scope, canceller_from_a_plain_thread, TT_ON_REAL, "makes a thread")
{
	pthread_t thread;

	for (int i = 0; i < 50; i++) {
		EXPECT_CODE(cancelled_by_a_thread(&thread), TT_EPIPE);
		EXPECT_TRUE(HAS(chain_of(TT_EPIPE), "from a thread: ", "cancelled by a thread"));
		EXPECT_OK(tt_blocking(joins_thread, thread));
	}
	EXPECT_TASKS_ALIVE(1);
}

static pthread_t late_thread;
static tti_atomic_u32 runtime_has_ended;

static void *thread_that_cancels_late(void *arg)
{
	/* acquire: pairs with the release in the test. */
	while (tti_load_acquire(&runtime_has_ended) == 0)
		tti_cpu_relax();
	return thread_that_cancels(arg);
}

static TT_TASK(leaves_a_canceller_behind)
{
	TT_SCOPE(s, TT_NEVER);
	if (pthread_create(&late_thread, NULL, thread_that_cancels_late, tt_scope_canceller(&s)) != 0)
		abort();
	return tt_scope_end(&s, 0);
}

/* A canceller may outlive even the runtime. */
TT_TEST_PLAIN(scope, canceller_after_the_runtime_ended)
{
	/* perhaps law 7 */
	tt_main_options o = { .workers = 2, .io = TT_IO_EPOLL };

	EXPECT_EQ(tt_main_with(&o, leaves_a_canceller_behind), 0);
	/* release: pairs with the acquire in the thread. */
	tti_store_release(&runtime_has_ended, 1);
	pthread_join(late_thread, NULL);
}

/* ---- ends ---- */

enum { LEFT_OPEN_LINE = __LINE__ + 4 };

static int left_open(void)
{
	TT_SCOPE(s, TT_NEVER);
	return 0;
}

/* Every exit goes through the end: a bare return aborts in debug, naming the block. */
TT_TEST(scope, bare_return_aborts)
{
	char line[100];

	snprintf(line, sizeof(line), "scope_test.c:%d: this block was left without tt_scope_end", LEFT_OPEN_LINE);
#ifndef TT_NO_ASSERT
	EXPECT_ABORTS(left_open(), line);
#endif
	(void)left_open;
}

static int inner_timeout_outer_end(void)
{
	TT_SCOPE(outer, TT_SEC(100));
	TT_SCOPE(inner, TT_NEVER);
	TT_SCOPE(innermost, TT_NEVER);
	TT_TRY_IN(&outer, TT_EIO);
	return tt_scope_end(&outer, 0);
}

static int ended_by(int64_t outer_timeout, int64_t inner_timeout)
{
	TT_SCOPE(outer, outer_timeout);
	TT_SCOPE(inner, inner_timeout);
	TT_TRY_IN(&outer, tt_sleep(TT_NEVER));
	return tt_scope_end(&outer, 0);
}

static int shield_ended_by(int64_t outer_timeout)
{
	TT_SCOPE(outer, outer_timeout);
	TT_SHIELD(inner, TT_MS(2));
	TT_TRY_IN(&outer, tt_sleep(TT_NEVER));
	return tt_scope_end(&outer, 0);
}

/* An inner timeout that is ended from outside goes outwards as TT_ETIMEDOUT, not as the cancel
 * it was; so does an outer one, through an inner scope that knows nothing of it. */
TT_TEST(scope, inner_timeout_ended_from_outside)
{
	int inner = 0;

	EXPECT_CODE(ended_by(TT_SEC(100), TT_MS(1)), TT_ETIMEDOUT);
	EXPECT_CODE(ended_by(TT_MS(1), TT_SEC(100)), TT_ETIMEDOUT);
	EXPECT_CODE(ended_by(TT_NEVER, 0), TT_ETIMEDOUT);
	EXPECT_CODE(shield_ended_by(TT_SEC(100)), TT_ETIMEDOUT);
	/* Cancelled further out, neither of the two says more than that. */
	EXPECT_CODE(TT_WITHIN(0, inner = ended_by(TT_SEC(100), TT_MS(1))), TT_ETIMEDOUT);
	EXPECT_CODE(inner, TT_ECANCELED);
	EXPECT_OK(tt_checkpoint());
}

static TT_TASK(fails_with, (int, code))
{
	return tt_fail(code, "no luck");
}

static int child_fails_inside(void)
{
	TT_SCOPE(outer, TT_SEC(100));
	TT_GROUP(g);
	tt_go(&g, fails_with, TT_EPROTO);
	TT_TRY_IN(&outer, tt_sleep(TT_NEVER));
	return tt_scope_end(&outer, 0);
}

static int canceller_inside(tt_group *g)
{
	TT_SCOPE(outer, TT_SEC(100));
	TT_SCOPE(inner, TT_SEC(100));
	tt_go_with(g, &nearby, cancels_with, tt_scope_canceller(&inner), TT_EBUSY);
	TT_TRY_IN(&outer, tt_sleep(TT_NEVER));
	return tt_scope_end(&outer, 0);
}

static TT_TASK(gives, (int, value))
{
	return value;
}

static int success_inside(int value)
{
	tt_group_options first = { .policy = TT_FIRST_SUCCESS };

	TT_SCOPE(outer, TT_SEC(100));
	TT_GROUP_WITH(g, &first);
	tt_go(&g, gives, value);
	return tt_scope_end(&outer, 0);
}

/* The same for what else an inner end may know: a child that failed, a canceller's code. A
 * success of the body is nobody's echo. */
TT_TEST(scope, inner_causes_ended_from_outside)
{
	int rc;

	EXPECT_CODE(child_fails_inside(), TT_EPROTO);
	TT_GROUP(g);
	EXPECT_CODE(canceller_inside(&g), TT_EBUSY);
	rc = tt_group_end(&g, 0);
	EXPECT_OK(rc);
	EXPECT_CODE(success_inside(TT_EPROTO), TT_EPROTO);
	EXPECT_EQ(success_inside(7), 0);
}

/* Ending a block ends those inside it, whatever their kind, and the task goes on outside. */
TT_TEST(scope, end_ends_the_blocks_inside)
{
	EXPECT_CODE(inner_timeout_outer_end(), TT_EIO);
	EXPECT_EQ(tti_home_here->current->scope, tti_home_here->current->scope_base);
}

static char deferred[16];

static void append(const char *text)
{
	strcat(deferred, text);
}

static TT_TASK(appends_at_its_end, (const char *, text))
{
	TT_IGNORE(tt_sleep(TT_NEVER));
	append(text);
	return 0;
}

static int with_deferred(int rc)
{
	TT_DEFER(append, "d");
	TT_DEFER(append, "c");
	TT_GROUP(g);
	tt_go(&g, appends_at_its_end, "a");
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	append("b");
	TT_TRY_IN(&g, rc);
	tt_group_cancel(&g);
	return tt_group_end(&g, 0);
}

/* TT_DEFER runs when its C block is left, after the ends of the blocks below it, the last
 * first; on the early return too. */
TT_TEST(scope, defer_runs_after_the_ends_below)
{
	deferred[0] = '\0';
	EXPECT_OK(with_deferred(0));
	EXPECT_STR_EQ(deferred, "bacd");
	deferred[0] = '\0';
	EXPECT_CODE(with_deferred(TT_EIO), TT_EIO);
	EXPECT_STR_EQ(deferred, "bacd");
}

static TT_TASK(ends_anothers_scope, (tt_scope *, s))
{
	return tt_scope_end(s, 0);
}

static int lent_scope(void)
{
	TT_SCOPE(s, TT_NEVER);
	TT_GROUP(g);
	tt_go(&g, ends_anothers_scope, &s);
	return tt_scope_end(&s, tt_group_end(&g, 0));
}

/* Only the task that opened a block may end it. */
TT_TEST(scope, another_task_may_not_end_it)
{
	EXPECT_ABORTS(lent_scope(), "tt_scope_end: the block is not open in task ends_anothers_scope");
}

/* ---- those who ignore their cancel ---- */

/* What comes to stderr while fn runs; it fits a pipe. */
static const char *stderr_of(int (*fn)(unsigned), unsigned n, int *ret_rc)
{
	struct stderr_capture c = stderr_capture_begin();

	*ret_rc = fn(n);
	return stderr_capture_end(&c);
}

static int asks(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		EXPECT_CODE(i % 2 == 0 ? tt_checkpoint() : tt_yield(), TT_ECANCELED);
	return 0;
}

enum { IGNORED_LINE = __LINE__ + 4 };

static int ignores_its_timeout(unsigned n)
{
	return TT_WITHIN(0, TT_WITHIN(TT_SEC(100), asks(n)));
}

static int ignores_a_canceller(unsigned n)
{
	tt_canceller *c;

	TT_SCOPE(s, TT_SEC(100));
	c = tt_scope_canceller(&s);
	tt_cancel(c);
	tt_canceller_put(c);
	return tt_scope_end(&s, asks(n));
}

/* A task that answers its cancel with more calls is reported, once, with its name, where it
 * was spawned, and which block was cancelled. */
TT_TEST(scope, ignored_cancel_is_reported_once)
{
	char origin[80];
	int rc = 0;

	snprintf(origin, sizeof(origin), "scope_test.c:%d ran out of time", IGNORED_LINE);
	EXPECT_STR_EQ(stderr_of(ignores_its_timeout, TTI_IGNORED_MAX - 1, &rc), "");
	EXPECT_TRUE(HAS(stderr_of(ignores_its_timeout, TTI_IGNORED_MAX, &rc), "tutti: task test_body#", "(spawned at ",
	                "ignores its cancel: 1000 calls in a row", "the block of ", origin));
	EXPECT_OK(rc);
	EXPECT_STR_EQ(stderr_of(ignores_its_timeout, 5 * TTI_IGNORED_MAX, &rc), "");
}

TT_TEST(scope, ignored_canceller_is_reported)
{
	const char *text;
	int rc = 0;

	text = stderr_of(ignores_a_canceller, 3 * TTI_IGNORED_MAX, &rc);
	EXPECT_EQ(count_of(text, "ignores its cancel"), 1u);
	EXPECT_TRUE(HAS(text, "was cancelled by a canceller"));
}

static int polls(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		EXPECT_CODE(TT_WITHIN(0, tt_checkpoint()), TT_ETIMEDOUT);
	return 0;
}

static int cleans_up(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		EXPECT_CODE(asks(1), 0);
		EXPECT_OK(TT_SHIELDED(TT_SEC(1), tt_sleep(1)));
	}
	return 0;
}

static int cleans_up_cancelled(unsigned n)
{
	return TT_WITHIN(0, cleans_up(n));
}

/* Polling with a timeout of 0 ignores nothing: each scope was left. Neither does a cleanup
 * that waits, behind a shield. */
TT_TEST(scope, polling_and_cleaning_up_are_not_reported)
{
	int rc;

	EXPECT_STR_EQ(stderr_of(polls, 3 * TTI_IGNORED_MAX, &rc), "");
	EXPECT_STR_EQ(stderr_of(cleans_up_cancelled, TTI_IGNORED_MAX + 10, &rc), "");
}

static int computes_on(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		EXPECT_CODE(tt_checkpoint(), TT_ECANCELED);
		compute(TT_MS(60));
	}
	return 0;
}

static int computes_on_cancelled(unsigned n)
{
	return TT_WITHIN(0, computes_on(n));
}

/* A loop that computes between its checkpoints is reported by time, not by number. */
TT_TEST_ON(scope, ignored_for_a_second, TT_ON_REAL, "in a simulation computing takes no time")
{
	int rc;

	EXPECT_TRUE(HAS(stderr_of(computes_on_cancelled, 20, &rc), "ignores its cancel: "));
}

static TT_TASK(sets, (bool *, flag))
{
	*flag = true;
	return 0;
}

static int spins_until(const bool *flag)
{
	unsigned n = 0;

	while (!*flag && n < 100000) {
		TT_IGNORE(tt_checkpoint());
		n++;
	}
	return *flag ? 0 : TT_EIO;
}

/* It does not keep the others of its worker away either. */
TT_TEST(scope, ignored_cancel_lets_others_run)
{
	bool flag = false;
	int rc;

	TT_GROUP(g);
	tt_go_with(&g, &nearby, sets, &flag);
	EXPECT_OK(TT_WITHIN(0, spins_until(&flag)));
	rc = tt_group_end(&g, 0);
	EXPECT_OK(rc);
}

/* ---- no waits ---- */

static int waits_inside(int (*wait)(int_chan *))
{
	const char *before = tt_forbid_waits("a foreign callback");
	int_chan ch;
	int rc;

	TT_TRY(tt_chan_init(&ch, 1));
	rc = wait(&ch);
	tt_chan_fini(&ch);
	EXPECT_TRUE(before == NULL);
	EXPECT_STR_EQ(tt_forbid_waits(before), "a foreign callback");
	return rc;
}

static int receives(int_chan *ch)
{
	int x;

	return tt_recv(ch, &x);
}

static int yields(int_chan *ch)
{
	(void)ch;
	return tt_yield();
}

static int sleeps_0(int_chan *ch)
{
	(void)ch;
	return tt_sleep(0);
}

static int sends_and_asks(int_chan *ch)
{
	int x = 1;

	for (int i = 0; i < 1000; i++)
		TT_TRY(tt_checkpoint()); /* more than a slice's budget */
	TT_TRY(tt_send(ch, &x)); /* there is room */
	return tt_recv(ch, &x);
}

/* Where waits are forbidden a call that would wait or yield aborts and says so; one that
 * does not need to wait works, and the budget of a slice ends nothing. */
TT_TEST(scope, waits_may_be_forbidden)
{
	bool others_ran = false;
	int rc;

	TT_GROUP(g);
	tt_go_with(&g, &nearby, sets, &others_ran);
	EXPECT_ABORTS(waits_inside(receives), "recv would wait inside a foreign callback");
	EXPECT_ABORTS(waits_inside(yields), "tt_yield would wait inside a foreign callback");
	EXPECT_ABORTS(waits_inside(sleeps_0), "tt_sleep would wait inside a foreign callback");
	EXPECT_EQ(waits_inside(sends_and_asks), 1);
	EXPECT_FALSE(others_ran);
	EXPECT_OK(tt_group_drain(&g));
	EXPECT_TRUE(others_ran);
	rc = tt_group_end(&g, 0);
	EXPECT_OK(rc);
}

/* Outside of tasks there is nothing to open, and nothing to stop. */
TT_TEST_PLAIN(scope, outside_of_tasks)
{
	EXPECT_FALSE(tt_stopping());
	EXPECT_ABORTS(TT_IGNORE(TT_WITHIN(0, 1)), "opening a block: called outside a task");
}

TT_TEST_MAIN()

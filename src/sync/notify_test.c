/* SPDX-License-Identifier: MIT */
/*
 * notify_test.c - "something changed": the stored token, one, all, and that no wake-up is
 * lost to a cancel.
 */
#include <tutti/testing.h>
#include <tutti/tutti.h>

TT_TEST_MAIN()

static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };
static const tt_child_options nearby = { .worker = TT_WORKER_HERE };

/* Whether a token is stored; takes it. */
static bool take_token(tt_notify *n)
{
	return tt_select_biased(TT_ON_NOTIFY(n), TT_ON_TIMEOUT(0)) == 0;
}

static TT_TASK(wait_once, (tt_notify *, n), (int *, ret_rc))
{
	*ret_rc = tt_notify_wait(n);
	return 0;
}

static unsigned count_of(const int *rc, int n, int value)
{
	unsigned count = 0;

	for (int i = 0; i < n; i++)
		count += rc[i] == value;
	return count;
}

/* ---- the token ---- */

static tt_notify in_zeroed_storage;

/* With nobody waiting one token is stored, never more; static zeros need no init. */
TT_TEST(notify, a_token_is_stored_once)
{
	tt_notify *n = &in_zeroed_storage;

	tt_notify_fini(n);
	EXPECT_FALSE(take_token(n));
	tt_notify_one(n);
	tt_notify_one(n);
	tt_notify_one(n);
	EXPECT_CODE(tt_notify_wait(n), 0);
	EXPECT_FALSE(take_token(n));
	tt_notify_one(n);
	EXPECT_TRUE(take_token(n));
	EXPECT_FALSE(take_token(n));
	tt_notify_fini(n);
	tt_notify_fini(NULL);
}

/* tt_notify_all stores nothing, and leaves a stored token alone. */
TT_TEST(notify, all_stores_nothing)
{
	tt_notify n;

	tt_notify_init(&n);
	tt_notify_all(&n);
	EXPECT_FALSE(take_token(&n));
	tt_notify_one(&n);
	tt_notify_all(&n);
	EXPECT_TRUE(take_token(&n));
	tt_notify_fini(&n);
}

/* A wait is a checkpoint even when a token is stored, and a cancelled one leaves it. */
TT_TEST(notify, a_cancelled_wait_uses_nothing)
{
	tt_notify n;

	tt_notify_init(&n);
	tt_notify_one(&n);
	EXPECT_CODE(TT_WITHIN(0, tt_notify_wait(&n)), TT_ETIMEDOUT);
	EXPECT_TRUE(take_token(&n));
	tt_notify_fini(&n);
}

/* ---- waiters ---- */

static int one_by_one(tt_notify *n, int *rc)
{
	TT_GROUP(g);
	for (int i = 0; i < 4; i++) {
		tt_go_with(&g, &anywhere, wait_once, n, &rc[i]);
		TT_TRY_IN(&g, tt_test_wait_all_parked());
	}
	for (int i = 0; i < 4; i++) {
		tt_notify_one(n);
		TT_TRY_IN(&g, tt_test_wait_all_parked());
		for (int k = 0; k < 4; k++)
			EXPECT_EQ(rc[k], k <= i ? 0 : 9);
	}
	EXPECT_FALSE(take_token(n));
	return tt_group_end(&g, 0);
}

/* tt_notify_one wakes exactly one: the one that has waited longest. */
TT_TEST(notify, one_wakes_one_in_order)
{
	/* law 5 */
	int rc[4] = { 9, 9, 9, 9 };
	tt_notify n;

	tt_notify_init(&n);
	EXPECT_CODE(one_by_one(&n, rc), 0);
	tt_notify_fini(&n);
}

static int all_at_once(tt_notify *n, int *rc)
{
	TT_GROUP(g);
	for (int i = 0; i < 4; i++)
		tt_go_with(&g, &anywhere, wait_once, n, &rc[i]);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_notify_all(n);
	/* One that comes now is too late for it. */
	tt_go_with(&g, &nearby, wait_once, n, &rc[4]);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	EXPECT_EQ(count_of(rc, 4, 0), 4u);
	EXPECT_EQ(rc[4], 9);
	tt_notify_one(n);
	return tt_group_end(&g, 0);
}

/* tt_notify_all wakes everybody who waits, and nobody who comes later. */
TT_TEST(notify, all_wakes_those_present)
{
	/* law 5 */
	int rc[5] = { 9, 9, 9, 9, 9 };
	tt_notify n;

	tt_notify_init(&n);
	EXPECT_CODE(all_at_once(&n, rc), 0);
	EXPECT_EQ(rc[4], 0);
	EXPECT_FALSE(take_token(&n));
	tt_notify_fini(&n);
}

/* ---- cancels ---- */

static TT_TASK(wait_cancellable, (tt_notify *, n), (tt_canceller **, ret_c), (int *, ret_rc))
{
	TT_SCOPE(s, TT_NEVER);
	*ret_c = tt_scope_canceller(&s);
	*ret_rc = tt_notify_wait(n);
	return tt_scope_end(&s, 0);
}

static int cancel_the_first(tt_notify *n, bool with_second, int *rc)
{
	tt_canceller *c = NULL;

	TT_GROUP(g);
	tt_go_with(&g, &nearby, wait_cancellable, n, &c, &rc[0]);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	if (with_second)
		tt_go_with(&g, &nearby, wait_once, n, &rc[1]);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_cancel(c);
	tt_canceller_put(c);
	tt_notify_one(n);
	return tt_group_end(&g, 0);
}

/* A wake-up that a cancelled waiter could not use goes to the next, or is stored. */
TT_TEST(notify, a_cancelled_waiter_is_passed_over)
{
	/* law 4 */
	for (int with_second = 0; with_second < 2; with_second++) {
		int rc[2] = { 9, 9 };
		tt_notify n;

		tt_notify_init(&n);
		EXPECT_CODE(cancel_the_first(&n, with_second, rc), 0);
		EXPECT_CODE(rc[0], TT_ECANCELED);
		EXPECT_EQ(rc[1], with_second ? 0 : 9);
		EXPECT_EQ(take_token(&n), !with_second);
		tt_notify_fini(&n);
	}
}

#define WAITERS 6

static int race_with_cancel(tt_notify *n, int signals, int *rc)
{
	tt_canceller *c[WAITERS] = { NULL };

	TT_GROUP(g);
	for (int i = 0; i < WAITERS; i++)
		tt_go_with(&g, &anywhere, wait_cancellable, n, &c[i], &rc[i]);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	for (int i = 0; i < WAITERS; i += 2)
		tt_cancel(c[i]);
	for (int i = 0; i < signals; i++)
		tt_notify_one(n);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	for (int i = 1; i < WAITERS; i += 2)
		tt_cancel(c[i]);
	TT_TRY_IN(&g, tt_group_drain(&g));
	for (int i = 0; i < WAITERS; i++)
		tt_canceller_put(c[i]);
	return tt_group_end(&g, 0);
}

/* Half of the waiters are cancelled while wake-ups arrive from another worker: as many tasks
 * are woken as there were wake-ups, since enough others wait. */
TT_TEST(notify, wake_ups_are_conserved)
{
	/* laws 4, 5 */
	for (int round = 0; round < 60; round++) {
		int rc[WAITERS] = { 9, 9, 9, 9, 9, 9 }, signals = 1 + round % 3;
		tt_notify n;

		tt_notify_init(&n);
		EXPECT_CODE(race_with_cancel(&n, signals, rc), 0);
		EXPECT_EQ(count_of(rc, WAITERS, 0), (unsigned)signals);
		EXPECT_EQ(count_of(rc, WAITERS, TT_ECANCELED), (unsigned)(WAITERS - signals));
		EXPECT_FALSE(take_token(&n));
		tt_notify_fini(&n);
	}
}

struct mailbox {
	tt_mutex lock;
	tt_notify changed;
	int posted, seen;
};

static TT_TASK(post_mail, (struct mailbox *, m), (int, count))
{
	for (int i = 0; i < count; i++) {
		{
			TT_LOCK(&m->lock);
			m->posted++;
		}
		tt_notify_one(&m->changed);
		if (i % 5 == 0)
			TT_TRY(tt_yield());
	}
	return 0;
}

static int read_mail(struct mailbox *m)
{
	TT_LOCK(&m->lock);

	return m->seen = m->posted;
}

static int exchange_mail(struct mailbox *m, int count)
{
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, post_mail, m, count);
	tt_go_with(&g, &anywhere, post_mail, m, count);
	while (read_mail(m) < 2 * count)
		TT_TRY_IN(&g, tt_notify_wait(&m->changed));
	return tt_group_end(&g, 0);
}

/* What it is for: a look followed by a wait misses nothing. */
TT_TEST(notify, a_look_and_a_wait_miss_nothing)
{
	/* law 5 */
	struct mailbox m = { .posted = 0 };

	EXPECT_CODE(exchange_mail(&m, 300), 0);
	EXPECT_EQ(m.seen, 600);
	tt_notify_fini(&m.changed);
	tt_mutex_fini(&m.lock);
}

/* More than a task may spend before it has to let others run. */
#define MORE_THAN_A_SLICE 300

static TT_TASK(posts_once, (struct mailbox *, m))
{
	m->posted = 1;
	tt_notify_all(&m->changed);
	return 0;
}

/* The poster is ready to run, on this worker; it gets its turn at the wait, or at one of the calls
 * before it. */
static int look_and_wait(struct mailbox *m, int calls)
{
	TT_GROUP(g);
	tt_go_with(&g, &nearby, posts_once, m);
	for (int i = 0; i < calls; i++)
		TT_TRY_IN(&g, tt_checkpoint());
	while (m->posted == 0)
		TT_TRY_IN(&g, TT_WITHIN(TT_SEC(60), tt_notify_wait(&m->changed)));
	return tt_group_end(&g, 0);
}

/* Nobody else of this worker runs between a look and the wait, wherever the slice ends: else a
 * tt_notify_all() in between, which stores nothing, would be missed. */
TT_TEST(notify, a_slice_does_not_end_between_a_look_and_a_wait)
{
	for (int calls = 0; calls < MORE_THAN_A_SLICE; calls++) {
		struct mailbox m = { .posted = 0 };

		REQUIRE_OK(look_and_wait(&m, calls));
		tt_notify_fini(&m.changed);
	}
}

/* ---- misuse ---- */
/* ---- misuse ---- */

static int fini_under_a_waiter(tt_notify *n, int *ret_rc)
{
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, wait_once, n, ret_rc);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	EXPECT_ABORTS(tt_notify_fini(n), "tt_notify_fini: task wait_once#");
	tt_notify_one(n);
	return tt_group_end(&g, 0);
}

/* Fini under a task that waits names the task. */
TT_TEST(notify, fini_with_a_waiter_aborts)
{
	/* law 5 */
	int rc = 9;
	tt_notify n;

	tt_notify_init(&n);
	EXPECT_CODE(fini_under_a_waiter(&n, &rc), 0);
	tt_notify_fini(&n);
}

/* Outside of tasks a wait is named; notifying is for everybody. */
TT_TEST_PLAIN(notify, a_plain_thread_may_notify_only)
{
	tt_notify n;

	tt_notify_init(&n);
	tt_notify_one(&n);
	tt_notify_all(&n);
	EXPECT_ABORTS(TT_IGNORE(tt_notify_wait(&n)), "tt_notify_wait: called outside a task");
	tt_notify_fini(&n);
}

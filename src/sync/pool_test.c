/* SPDX-License-Identifier: MIT */
/*
 * pool_test.c - the resource pool: order, conservation, cancels, opens that fail, what comes
 * back dirty, resizing and the end. What needs exact time is in pool_time_test.c.
 */
#include <string.h>
#include <time.h>

#include "sched/worker.h"
#include "sync/pool_testkit.h"
#include "task/task.h"

TT_TEST_MAIN()

static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };
static const tt_child_options nearby = { .worker = TT_WORKER_HERE };

/* ---- one task ---- */

static int borrow_twice(thing_pool *p)
{
	struct thing *first;

	{
		TT_LEASE(t, p);
		TT_TRY(tt_pool_acquire(p, &t));
		EXPECT_EQ(t->number, 1);
		first = t;
	}
	TT_LEASE(t, p);
	TT_TRY(tt_pool_acquire(p, &t));
	EXPECT_EQ(t, first);
	return 0;
}

/* A lease ends with its C block, and the item is lent again: it was opened once. */
TT_TEST(pool, lends_again)
{
	/* law 5 */
	struct shop s;
	thing_pool *p;
	tt_pool_stats st;
	tt_pool_options o;

	shop_init(&s);
	o = shop_options(&s, 2);
	REQUIRE_OK(tt_pool_create(&o, &p));
	EXPECT_OK(borrow_twice(p));
	st = stats_of(p);
	EXPECT_EQ(st.acquired, 2u);
	EXPECT_EQ(st.waited, 1u);
	EXPECT_EQ(st.opened, 1u);
	EXPECT_EQ(st.idle, 1u);
	EXPECT_EQ(st.in_use, 0u);
	tt_pool_destroy(p);
	EXPECT_EQ(s.closes, 1u);
	shop_fini(&s);
	EXPECT_TASKS_ALIVE(1);
}

/* Several items; the one that came back last is lent first, so that surplus ones age. */
TT_TEST(pool, the_last_one_back_is_lent_first)
{
	/* law 5 */
	struct thing *a, *b, *again;
	struct shop s;
	thing_pool *p;
	tt_pool_options o;

	shop_init(&s);
	o = shop_options(&s, 3);
	REQUIRE_OK(tt_pool_create(&o, &p));
	REQUIRE_OK(tt_pool_acquire(p, &a));
	REQUIRE_OK(tt_pool_acquire(p, &b));
	EXPECT_NE(a, b);
	tt_pool_release(p, a, TT_POOL_KEEP);
	tt_pool_release(p, b, TT_POOL_KEEP);
	EXPECT_CODE(tt_pool_try_acquire(p, &again), 0);
	EXPECT_EQ(again, b);
	tt_pool_release(p, again, TT_POOL_KEEP);
	tt_pool_destroy(p);
	shop_fini(&s);
}

/* try_acquire takes only what is there. */
TT_TEST(pool, try_takes_what_is_free)
{
	/* law 5 */
	struct thing *t = NULL, *u = NULL;
	struct shop s;
	thing_pool *p;
	tt_pool_options o;

	shop_init(&s);
	o = shop_options(&s, 1);
	REQUIRE_OK(tt_pool_create(&o, &p));
	EXPECT_CODE(tt_pool_try_acquire(p, &t), TT_EAGAIN);
	EXPECT_EQ(t, NULL);
	REQUIRE_OK(tt_pool_acquire(p, &t));
	EXPECT_CODE(tt_pool_try_acquire(p, &u), TT_EAGAIN);
	tt_pool_release(p, t, TT_POOL_KEEP);
	EXPECT_CODE(tt_pool_try_acquire(p, &u), 0);
	tt_pool_release(p, u, TT_POOL_KEEP);
	tt_pool_close(p);
	EXPECT_CODE(tt_pool_try_acquire(p, &u), TT_ECLOSED);
	tt_pool_destroy(p);
	shop_fini(&s);
}

/* What cannot work is refused, and says why. */
TT_TEST(pool, options_are_checked)
{
	struct shop s;
	thing_pool *p = NULL;
	tt_pool_options o;

	shop_init(&s);
	o = shop_options(&s, 0);
	EXPECT_CODE(tt_pool_create(&o, &p), TT_EINVAL);
	o = shop_options(&s, 2);
	o.min_idle = 3;
	EXPECT_CODE(tt_pool_create(&o, &p), TT_EINVAL);
	o = shop_options(&s, 2);
	o.open = NULL;
	EXPECT_CODE(tt_pool_create(&o, &p), TT_EINVAL);
	o = shop_options(&s, 2);
	o.close = NULL;
	EXPECT_CODE(tt_pool_create(&o, &p), TT_EINVAL);
	EXPECT_EQ(p, NULL);
	tt_pool_destroy((thing_pool *)NULL);
	tt_mutex_fini(&s.lock);
}

static void release_twice(thing_pool *p)
{
	struct thing *t;

	if (tt_pool_acquire(p, &t) < 0)
		return;
	tt_pool_release(p, t, TT_POOL_KEEP);
	tt_pool_release(p, t, TT_POOL_KEEP);
}

/* An item is released once, to its own pool. */
TT_TEST(pool, misuse_aborts)
{
	/* law 5 */
	struct thing stranger, *t;
	struct shop s;
	thing_pool *p;
	tt_pool_options o;

	shop_init(&s);
	o = shop_options(&s, 1);
	REQUIRE_OK(tt_pool_create(&o, &p));
	REQUIRE_OK(tt_pool_acquire(p, &t)); /* in the child process only this task goes on */
	tt_pool_release(p, t, TT_POOL_KEEP);
	EXPECT_ABORTS(release_twice(p), "tt_pool_release: pool shop has not lent");
	EXPECT_ABORTS(tt_pool_release(p, &stranger, TT_POOL_KEEP), "tt_pool_release: pool shop has not lent");
	EXPECT_ABORTS(tt_pool_resize(p, 0), "tt_pool_resize: pool shop: to 0");
	EXPECT_ABORTS(TT_IGNORE(tt_pool_acquire((thing_pool *)NULL, &t)), "tt_pool_acquire: the pool is NULL");
	tt_pool_destroy(p);
	shop_fini(&s);
}

/* The untyped calls, as bindings make them. */
TT_TEST(pool, untyped)
{
	/* law 5 */
	struct shop s;
	tt_pool *p;
	void *item;
	tt_pool_options o;

	shop_init(&s);
	o = shop_options(&s, 1);
	REQUIRE_OK((tt_pool_create)(&o, &p));
	REQUIRE_OK((tt_pool_acquire)(p, &item));
	(tt_pool_release)(p, item, TT_POOL_KEEP);
	REQUIRE_OK((tt_pool_try_acquire)(p, &item));
	(tt_pool_release)(p, item, TT_POOL_CLOSE);
	tt_pool_destroy(p);
	shop_fini(&s);
}

/* ---- order ---- */

struct line {
	thing_pool *p;
	tt_mutex lock; /* guards order and n */
	int order[8], n;
};

static TT_TASK(stands_in_line, (struct line *, l), (int, me))
{
	TT_LEASE(t, l->p);
	TT_TRY(tt_pool_acquire(l->p, &t));
	take_hold(t);
	{
		TT_LOCK(&l->lock);
		l->order[l->n++] = me;
	}
	let_go(t);
	return 0;
}

static int served(struct line *l)
{
	TT_LOCK(&l->lock);
	return l->n;
}

static int serve_line(struct line *l)
{
	struct thing *t, *u;

	TT_TRY(tt_pool_acquire(l->p, &t));
	TT_GROUP(g);
	for (int i = 0; i < 8; i++) {
		tt_go_with(&g, &anywhere, stands_in_line, l, i);
		TT_TRY_IN(&g, tt_test_wait_all_parked());
	}
	EXPECT_EQ(stats_of(l->p).waiting, 8u);
	tt_pool_release(l->p, t, TT_POOL_KEEP);
	/* It went to the first in line: nobody gets in between; on other workers they may all have
	 * been served by now. */
	if (tt_pool_try_acquire(l->p, &u) != TT_EAGAIN) {
		EXPECT_EQ(served(l), 8);
		tt_pool_release(l->p, u, TT_POOL_KEEP);
	}
	return tt_group_end(&g, 0);
}

/* Waiters on all workers are served in the order they came, and nobody overtakes them. */
TT_TEST(pool, serves_in_order)
{
	/* law 5 */
	struct line l = { .n = 0 };
	struct shop s;
	tt_pool_options o;

	shop_init(&s);
	tt_mutex_init(&l.lock);
	o = shop_options(&s, 1);
	REQUIRE_OK(tt_pool_create(&o, &l.p));
	EXPECT_OK(serve_line(&l));
	EXPECT_EQ(l.n, 8);
	for (int i = 0; i < 8; i++)
		EXPECT_EQ(l.order[i], i);
	tt_pool_destroy(l.p);
	tt_mutex_fini(&l.lock);
	shop_fini(&s);
}

/* ---- cancels ---- */

static int cancelled_then_next(struct shop *s, tt_semaphore *gate, thing_pool *p)
{
	struct thing *t = NULL;

	EXPECT_CODE(TT_WITHIN(TT_MS(20), tt_pool_acquire(p, &t)), TT_ETIMEDOUT);
	EXPECT_EQ(t, NULL);
	EXPECT_EQ(stats_of(p).opening, 1u);
	EXPECT_EQ(stats_of(p).gave_up, 1u);
	/* Nobody waits: what was begun for the one who left is kept. */
	tt_semaphore_release(gate, 1);
	TT_TRY(tt_test_wait_all_parked());
	EXPECT_EQ(stats_of(p).idle, 1u);
	TT_TRY(tt_pool_acquire(p, &t));
	EXPECT_EQ(t->number, 1);
	EXPECT_EQ(s->opens, 1u);
	tt_pool_release(p, t, TT_POOL_KEEP);
	return 0;
}

/* A cancelled waiter wastes nothing: what is being opened goes to idle, or to the next one. */
TT_TEST(pool, cancelled_waiter_wastes_nothing)
{
	/* law 5 */
	tt_semaphore gate;
	struct shop s;
	thing_pool *p;
	tt_pool_options o;

	shop_init(&s);
	tt_semaphore_init(&gate, 0);
	s.gate = &gate;
	o = shop_options(&s, 4);
	REQUIRE_OK(tt_pool_create(&o, &p));
	EXPECT_OK(cancelled_then_next(&s, &gate, p));
	tt_pool_destroy(p);
	tt_semaphore_fini(&gate);
	shop_fini(&s);
}

static TT_TASK(waits_for_a_while, (thing_pool *, p))
{
	TT_LEASE(t, p);
	EXPECT_CODE(TT_WITHIN(TT_MS(10), tt_pool_acquire(p, &t)), TT_ETIMEDOUT);
	return 0;
}

static int next_in_line_gets_it(tt_semaphore *gate, thing_pool *p)
{
	struct line l = { .p = p };
	tt_task *first;
	int rc;

	tt_mutex_init(&l.lock);
	TT_DEFER(tt_mutex_fini, &l.lock);
	TT_GROUP(g);
	TT_TRY_IN(&g, tt_go_task(&g, &first, waits_for_a_while, p));
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_go_with(&g, &anywhere, stands_in_line, &l, 7);
	rc = tt_task_join(first);
	tt_task_put(first);
	TT_TRY_IN(&g, rc);
	tt_semaphore_release(gate, 1);
	rc = tt_group_end(&g, 0);
	EXPECT_EQ(l.n, 1);
	return rc;
}

TT_TEST(pool, what_was_opened_for_one_goes_to_the_next)
{
	/* law 5 */
	tt_semaphore gate;
	struct shop s;
	thing_pool *p;
	tt_pool_options o;

	shop_init(&s);
	tt_semaphore_init(&gate, 0);
	s.gate = &gate;
	o = shop_options(&s, 1);
	REQUIRE_OK(tt_pool_create(&o, &p));
	EXPECT_OK(next_in_line_gets_it(&gate, p));
	EXPECT_EQ(s.opens, 1u);
	tt_pool_destroy(p);
	tt_semaphore_fini(&gate);
	shop_fini(&s);
}

/* A waiter that gives up says in its chain how the pool stood. */
TT_TEST(pool, a_timeout_tells_how_the_pool_stood)
{
	/* law 5 */
	struct thing *t, *u;
	struct shop s;
	thing_pool *p;
	tt_error e;
	char text[1024];
	tt_pool_options o;
	int rc;

	shop_init(&s);
	o = shop_options(&s, 1);
	REQUIRE_OK(tt_pool_create(&o, &p));
	REQUIRE_OK(tt_pool_acquire(p, &t));
	rc = TT_WITHIN(TT_MS(5), tt_pool_acquire(p, &u));
	EXPECT_CODE(rc, TT_ETIMEDOUT);
	tt_error_take(&e, rc);
	tt_error_text(&e, text, sizeof(text));
	EXPECT_NE(strstr(text, "pool shop: none free: 1 of 1 lent, 0 others wait"), NULL);
	tt_error_fini(&e);
	tt_pool_release(p, t, TT_POOL_KEEP);
	tt_pool_destroy(p);
	shop_fini(&s);
}

/* ---- opens that fail ---- */

struct outcome {
	tt_mutex lock;
	int rc[4], n, with_text;
};

static TT_TASK(wants_one, (thing_pool *, p), (struct outcome *, out))
{
	char text[512];
	tt_error e;
	int rc;

	TT_LEASE(t, p);
	rc = tt_pool_acquire(p, &t);
	tt_error_take(&e, rc);
	tt_error_text(&e, text, sizeof(text));
	tt_error_fini(&e);
	TT_LOCK(&out->lock);
	out->rc[out->n++] = rc;
	out->with_text += strstr(text, "the shop is shut") != NULL && strstr(text, "pool shop: open") != NULL;
	return 0;
}

static int two_wait(thing_pool *p, tt_semaphore *gate, struct outcome *out)
{
	TT_GROUP(g);
	for (int i = 0; i < 2; i++) {
		tt_go_with(&g, &anywhere, wants_one, p, out);
		TT_TRY_IN(&g, tt_test_wait_all_parked());
	}
	tt_semaphore_release(gate, 2);
	return tt_group_end(&g, 0);
}

/* An open that fails tells the first in line, with its chain; the other one is served by the
 * next attempt. */
TT_TEST(pool, a_failed_open_is_told_to_the_first_in_line)
{
	/* law 5 */
	struct outcome out = { .n = 0 };
	tt_semaphore gate;
	struct shop s;
	thing_pool *p;
	tt_pool_options o;

	shop_init(&s);
	tt_mutex_init(&out.lock);
	tt_semaphore_init(&gate, 0);
	s.gate = &gate;
	s.open_rc = TT_ECONNREFUSED;
	s.fail_first = 1;
	o = shop_options(&s, 1);
	REQUIRE_OK(tt_pool_create(&o, &p));
	EXPECT_OK(two_wait(p, &gate, &out));
	EXPECT_EQ(out.n, 2);
	EXPECT_CODE(out.rc[0], TT_ECONNREFUSED);
	EXPECT_CODE(out.rc[1], 0);
	EXPECT_EQ(out.with_text, 1);
	EXPECT_EQ(stats_of(p).open_failed, 1u);
	tt_pool_destroy(p);
	tt_semaphore_fini(&gate);
	tt_mutex_fini(&out.lock);
	shop_fini(&s);
}

/* An open that takes too long has failed: the waiter is told so, and the time it had. */
TT_TEST(pool, an_open_has_a_time_limit)
{
	/* law 5 */
	struct shop s;
	thing_pool *p;
	struct thing *t;
	tt_pool_options o;

	shop_init(&s);
	s.open_takes = TT_HOUR(1);
	o = shop_options(&s, 1);
	o.open_max = TT_MS(10);
	REQUIRE_OK(tt_pool_create(&o, &p));
	EXPECT_CODE(tt_pool_acquire(p, &t), TT_ETIMEDOUT);
	EXPECT_EQ(stats_of(p).open_failed, 1u);
	tt_pool_destroy(p);
	shop_fini(&s);
}

static int gives_up(void *ctx, void **ret_item)
{
	(void)ctx;
	(void)ret_item;
	return TT_ECANCELED;
}

/* Only a waiter that was cancelled itself hears TT_ECANCELED. */
TT_TEST(pool, an_open_that_says_cancelled_is_an_error)
{
	/* law 5 */
	struct shop s;
	thing_pool *p;
	struct thing *t;
	tt_pool_options o;

	shop_init(&s);
	o = shop_options(&s, 1);
	o.open = gives_up;
	REQUIRE_OK(tt_pool_create(&o, &p));
	EXPECT_CODE(tt_pool_acquire(p, &t), TT_EIO);
	tt_pool_destroy(p);
	shop_fini(&s);
}

/* ---- what comes back, what is checked ---- */

static int fails_with_a_dirty_one(thing_pool *p)
{
	TT_LEASE(t, p);
	TT_TRY(tt_pool_acquire(p, &t));
	t->dirty = true;
	return tt_fail(TT_ERANGE, "the work went wrong");
}

/* The item's own state decides when it comes back, and its story does not replace the caller's. */
TT_TEST(pool, what_comes_back_dirty_is_closed)
{
	/* law 5 */
	struct shop s;
	thing_pool *p;
	struct thing *t;
	tt_error e;
	char text[512];
	tt_pool_options o;
	int rc;

	shop_init(&s);
	o = shop_options(&s, 1);
	o.returned = shop_returned;
	REQUIRE_OK(tt_pool_create(&o, &p));
	rc = fails_with_a_dirty_one(p);
	EXPECT_CODE(rc, TT_ERANGE);
	tt_error_take(&e, rc);
	tt_error_text(&e, text, sizeof(text));
	EXPECT_NE(strstr(text, "the work went wrong"), NULL);
	EXPECT_EQ(strstr(text, "left in the middle"), NULL);
	tt_error_fini(&e);
	REQUIRE_OK(tt_pool_acquire(p, &t));
	EXPECT_EQ(t->number, 2);
	EXPECT_EQ(stats_of(p).unclean, 1u);
	tt_pool_release(p, t, TT_POOL_KEEP);
	EXPECT_EQ(s.returns, 2u);
	/* Broken by the caller's own word: nobody is asked. */
	REQUIRE_OK(tt_pool_acquire(p, &t));
	EXPECT_EQ(t->number, 2);
	tt_pool_release(p, t, TT_POOL_CLOSE);
	EXPECT_EQ(s.returns, 2u);
	tt_pool_destroy(p);
	EXPECT_EQ(s.closes, 2u);
	shop_fini(&s);
}

static int returned_in_a_cancelled_scope(thing_pool *p)
{
	struct thing *t;

	TT_TRY(tt_pool_acquire(p, &t));
	TT_SCOPE(scope, 0);
	EXPECT_CODE(tt_checkpoint(), TT_ECANCELED);
	tt_pool_release(p, t, TT_POOL_KEEP);
	return tt_scope_end(&scope, 0);
}

/* A cancel does not reach the question whether an item is clean, and its time is bounded. */
TT_TEST(pool, returned_is_shielded_and_bounded)
{
	/* law 5 */
	struct shop s;
	thing_pool *p;
	tt_pool_options o;

	shop_init(&s);
	o = shop_options(&s, 1);
	o.returned = shop_returned;
	o.return_max = TT_MS(50);
	s.return_takes = TT_MS(1);
	REQUIRE_OK(tt_pool_create(&o, &p));
	EXPECT_OK(returned_in_a_cancelled_scope(p));
	EXPECT_EQ(s.returns, 1u);
	EXPECT_EQ(stats_of(p).unclean, 0u);
	s.return_takes = TT_HOUR(1);
	EXPECT_OK(returned_in_a_cancelled_scope(p));
	EXPECT_EQ(s.returns, 1u);
	EXPECT_EQ(stats_of(p).unclean, 1u);
	tt_pool_destroy(p);
	shop_fini(&s);
}

/* An item that does not pass its check is closed and replaced; nobody sees it. */
TT_TEST(pool, what_fails_its_check_is_replaced)
{
	/* law 5 */
	struct shop s;
	thing_pool *p;
	struct thing *t;
	tt_pool_options o;

	shop_init(&s);
	o = shop_options(&s, 1);
	o.check = shop_check;
	REQUIRE_OK(tt_pool_create(&o, &p));
	REQUIRE_OK(tt_pool_acquire(p, &t));
	tt_pool_release(p, t, TT_POOL_KEEP);
	EXPECT_EQ(s.checks, 0u); /* it was new, and nobody wanted it since */
	REQUIRE_OK(tt_pool_acquire(p, &t));
	EXPECT_EQ(t->number, 1);
	EXPECT_EQ(s.checks, 1u);
	t->broken = true;
	tt_pool_release(p, t, TT_POOL_KEEP);
	EXPECT_CODE(tt_pool_try_acquire(p, &t), TT_EAGAIN);
	/* The clock of another worker may be behind that of whoever released it. */
	tti_home_here->now--;
	EXPECT_CODE(tt_pool_try_acquire(p, &t), TT_EAGAIN);
	tti_home_here->now++;
	REQUIRE_OK(tt_pool_acquire(p, &t));
	EXPECT_EQ(t->number, 2);
	EXPECT_EQ(stats_of(p).check_failed, 1u);
	tt_pool_release(p, t, TT_POOL_KEEP);
	tt_pool_destroy(p);
	shop_fini(&s);
}

/* ---- select ---- */

static int selects_a_lease(thing_pool *p)
{
	enum { ON_LEASE, ON_TIME };
	struct thing *other = NULL;
	int rc = 0;

	TT_LEASE(t, p);
	EXPECT_EQ(tt_select([ON_LEASE] = TT_ON_LEASE(p, &t), [ON_TIME] = TT_ON_TIMEOUT(TT_SEC(100))), ON_LEASE);
	EXPECT_NE(t, NULL);
	EXPECT_EQ(tt_select([ON_LEASE] = TT_ON_LEASE(p, &other), [ON_TIME] = TT_ON_TIMEOUT(TT_MS(1))), ON_TIME);
	EXPECT_EQ(other, NULL);
	EXPECT_EQ(stats_of(p).waiting, 0u);
	EXPECT_EQ(stats_of(p).in_use, 1u);
	tt_pool_release(p, t, TT_POOL_KEEP);
	t = NULL;
	EXPECT_EQ(tt_select_biased(TT_ON_LEASE(p, &t), TT_ON_TIMEOUT(0)), ON_LEASE);
	tt_pool_close(p);
	EXPECT_CODE(tt_select(TT_ON_LEASE(p, &other), TT_ON_TIMEOUT(TT_SEC(100))), TT_ECLOSED);
	EXPECT_EQ(tt_select(TT_ON_LEASE_RC(p, &other, &rc), TT_ON_TIMEOUT(TT_SEC(100))), ON_LEASE);
	EXPECT_CODE(rc, TT_ECLOSED);
	return 0;
}

/* A lease is an arm: it takes an item, or leaves no trace. */
TT_TEST(pool, an_arm_of_a_select)
{
	/* law 5 */
	struct shop s;
	thing_pool *p;
	tt_pool_options o;

	shop_init(&s);
	o = shop_options(&s, 1);
	REQUIRE_OK(tt_pool_create(&o, &p));
	EXPECT_OK(selects_a_lease(p));
	tt_pool_destroy(p);
	shop_fini(&s);
}

/* ---- resizing ---- */

static int shrink_and_grow(struct shop *s, thing_pool *p)
{
	struct thing *t[4], *u;

	for (int i = 0; i < 4; i++)
		TT_TRY(tt_pool_acquire(p, &t[i]));
	tt_pool_release(p, t[3], TT_POOL_KEEP);
	EXPECT_EQ(stats_of(p).idle, 1u);
	tt_pool_resize(p, 2);
	TT_TRY(tt_test_wait_all_parked());
	EXPECT_EQ(s->closes, 1u); /* the free one, at once */
	tt_pool_release(p, t[2], TT_POOL_KEEP);
	TT_TRY(tt_test_wait_all_parked());
	EXPECT_EQ(s->closes, 2u); /* a lent one, when it came back */
	tt_pool_release(p, t[1], TT_POOL_KEEP);
	TT_TRY(tt_test_wait_all_parked());
	EXPECT_EQ(s->closes, 2u);
	EXPECT_EQ(stats_of(p).idle, 1u);
	TT_TRY(tt_pool_acquire(p, &t[1]));
	EXPECT_CODE(TT_WITHIN(TT_MS(2), tt_pool_acquire(p, &u)), TT_ETIMEDOUT);
	tt_pool_resize(p, 3);
	TT_TRY(tt_pool_acquire(p, &u));
	EXPECT_EQ(s->opens, 5u);
	tt_pool_release(p, u, TT_POOL_KEEP);
	tt_pool_release(p, t[1], TT_POOL_KEEP);
	tt_pool_release(p, t[0], TT_POOL_KEEP);
	return 0;
}

/* A smaller pool closes what is free at once and what is lent when it comes back; a larger one
 * opens more. */
TT_TEST(pool, resizes_under_load)
{
	/* law 5 */
	struct shop s;
	thing_pool *p;
	tt_pool_options o;

	shop_init(&s);
	o = shop_options(&s, 4);
	REQUIRE_OK(tt_pool_create(&o, &p));
	EXPECT_OK(shrink_and_grow(&s, p));
	tt_pool_destroy(p);
	EXPECT_EQ(s.live_max, 4u);
	shop_fini(&s);
}

static TT_TASK(grows, (thing_pool *, p))
{
	tt_pool_resize(p, 2);
	return 0;
}

static int waits_for_growth(thing_pool *p)
{
	struct thing *t, *u;
	int rc;

	TT_TRY(tt_pool_acquire(p, &t));
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, grows, p);
	rc = tt_pool_acquire(p, &u);
	if (rc == 0)
		tt_pool_release(p, u, TT_POOL_KEEP);
	tt_pool_release(p, t, TT_POOL_KEEP);
	return tt_group_end(&g, rc);
}

/* Who is in line when the pool grows is served. */
TT_TEST(pool, growing_serves_the_line)
{
	/* law 5 */
	struct shop s;
	thing_pool *p;
	tt_pool_options o;

	shop_init(&s);
	o = shop_options(&s, 1);
	REQUIRE_OK(tt_pool_create(&o, &p));
	EXPECT_OK(waits_for_growth(p));
	tt_pool_destroy(p);
	shop_fini(&s);
}

/* ---- the end ---- */

static TT_TASK(works, (thing_pool *, p), (tt_semaphore *, may_end))
{
	TT_LEASE(t, p);
	TT_TRY(tt_pool_acquire(p, &t));
	take_hold(t);
	TT_TRY(tt_semaphore_acquire(may_end, 1));
	let_go(t);
	return 0;
}

static TT_TASK(is_too_late, (thing_pool *, p))
{
	TT_LEASE(t, p);
	EXPECT_CODE(tt_pool_acquire(p, &t), TT_ECLOSED);
	return 0;
}

static int drained_under_load(struct shop *s, thing_pool *p, tt_semaphore *may_end)
{
	TT_GROUP(g);
	for (int i = 0; i < 3; i++)
		tt_go_with(&g, &anywhere, works, p, may_end);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_go_with(&g, &anywhere, is_too_late, p);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	EXPECT_CODE(TT_WITHIN(TT_MS(5), tt_pool_drain(p)), TT_ETIMEDOUT);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	EXPECT_EQ(stats_of(p).waiting, 0u);
	EXPECT_EQ(s->closes, 0u);
	tt_semaphore_release(may_end, 3);
	TT_TRY_IN(&g, tt_pool_drain(p));
	EXPECT_EQ(s->closes, 3u);
	return tt_group_end(&g, 0);
}

/* A drain refuses who waits, lets borrowers finish, and ends when everything is closed. */
TT_TEST(pool, drains_under_load)
{
	/* law 5 */
	tt_semaphore may_end;
	struct shop s;
	thing_pool *p;
	tt_pool_options o;

	shop_init(&s);
	tt_semaphore_init(&may_end, 0);
	o = shop_options(&s, 3);
	REQUIRE_OK(tt_pool_create(&o, &p));
	EXPECT_OK(drained_under_load(&s, p, &may_end));
	EXPECT_CODE(tt_pool_drain(p), 0);
	tt_pool_destroy(p);
	tt_semaphore_fini(&may_end);
	shop_fini(&s);
}

static TT_TASK(ends_them, (tt_semaphore *, may_end))
{
	TT_TRY(tt_test_wait_all_parked());
	tt_semaphore_release(may_end, 2);
	return 0;
}

static int destroyed_under_load(struct shop *s, thing_pool *p, tt_semaphore *may_end)
{
	TT_GROUP(g);
	for (int i = 0; i < 2; i++)
		tt_go_with(&g, &anywhere, works, p, may_end);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_go_with(&g, &anywhere, is_too_late, p);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_go(&g, ends_them, may_end);
	tt_pool_destroy(p);
	EXPECT_EQ(s->closes, 2u);
	return tt_group_end(&g, 0);
}

/* Destroy waits for borrowers, and refuses who waits. */
TT_TEST(pool, destroy_waits_for_borrowers)
{
	/* law 5 */
	tt_semaphore may_end;
	struct shop s;
	thing_pool *p;
	tt_pool_options o;

	shop_init(&s);
	tt_semaphore_init(&may_end, 0);
	o = shop_options(&s, 2);
	REQUIRE_OK(tt_pool_create(&o, &p));
	EXPECT_OK(destroyed_under_load(&s, p, &may_end));
	tt_semaphore_fini(&may_end);
	shop_fini(&s);
	EXPECT_TASKS_ALIVE(1);
}

struct busy {
	bool spins, destroyed; /* atomic */
	bool was_destroyed;    /* while the other worker was held */
};

/* Holds its worker, so that the one in line cannot leave, until destroy is through or 30 ms. */
static TT_TASK(holds_the_worker, (struct busy *, b))
{
	struct timespec ts;
	int64_t until = 0, now = 0;

	/* release: pairs with the acquire in destroyed_while_one_cannot_leave(). */
	__atomic_store_n(&b->spins, true, __ATOMIC_RELEASE);
	while (now <= until && !b->was_destroyed) {
		clock_gettime(CLOCK_MONOTONIC, &ts);
		now = TT_SEC(ts.tv_sec) + ts.tv_nsec;
		until = until == 0 ? now + TT_MS(30) : until;
		/* acquire: pairs with the release in destroyed_while_one_cannot_leave(). */
		b->was_destroyed = __atomic_load_n(&b->destroyed, __ATOMIC_ACQUIRE);
	}
	return 0;
}

static int destroyed_while_one_cannot_leave(thing_pool *p, struct busy *b)
{
	static const tt_child_options on_1 = { .worker = TT_WORKER(1) };

	TT_GROUP(g);
	tt_go_with(&g, &on_1, is_too_late, p);
	while (stats_of(p).waiting == 0)
		TT_TRY_IN(&g, tt_yield());
	tt_go_with(&g, &on_1, holds_the_worker, b);
	/* acquire: pairs with the release in holds_the_worker(). */
	while (!__atomic_load_n(&b->spins, __ATOMIC_ACQUIRE))
		TT_TRY_IN(&g, tt_yield());
	tt_pool_destroy(p);
	/* release: pairs with the acquire in holds_the_worker(). */
	__atomic_store_n(&b->destroyed, true, __ATOMIC_RELEASE);
	return tt_group_end(&g, 0);
}

static void destroy_with_one_in_line(void)
{
	struct busy b = { .spins = false };
	tt_semaphore gate;
	struct shop s;
	thing_pool *p;
	tt_pool_options o;

	shop_init(&s);
	tt_semaphore_init(&gate, 0);
	s.gate = &gate; /* nothing is opened: destroy cancels the attempt, and has nothing to close */
	o = shop_options(&s, 1);
	REQUIRE_OK(tt_pool_create(&o, &p));
	EXPECT_OK(destroyed_while_one_cannot_leave(p, &b));
	EXPECT_FALSE(b.was_destroyed);
	tt_semaphore_fini(&gate);
	shop_fini(&s);
}

/* Destroy lets who is in line leave before the pool is gone: their worker may be busy. Several
 * times, since the attempt to open may be on the busy worker too, and then waits for it. */
TT_TEST_ON(pool, destroy_lets_the_line_leave, TT_ON_REAL, "it holds a real worker")
{
	if (tt_test_workers() < 2)
		tt_test_skip("needs two workers");
	for (int i = 0; i < 10; i++)
		destroy_with_one_in_line();
}

/* What is still being opened when the pool is destroyed is not waited for: it is cancelled. */
TT_TEST(pool, destroy_cancels_opens)
{
	struct shop s;
	thing_pool *p;
	struct thing *t;
	tt_pool_options o;

	shop_init(&s);
	s.open_takes = TT_HOUR(1);
	o = shop_options(&s, 3);
	o.min_idle = 2;
	REQUIRE_OK(tt_pool_create(&o, &p));
	EXPECT_CODE(TT_WITHIN(TT_MS(5), tt_pool_acquire(p, &t)), TT_ETIMEDOUT);
	tt_pool_destroy(p);
	EXPECT_EQ(s.opens, 0u);
	shop_fini(&s);
}

/* Made and never used: the keeper ends as it began. */
TT_TEST(pool, nobody_used_it)
{
	struct shop s;
	thing_pool *p;
	tt_pool_options o;

	shop_init(&s);
	o = shop_options(&s, 3);
	REQUIRE_OK(tt_pool_create(&o, &p));
	tt_pool_destroy(p);
	EXPECT_TASKS_ALIVE(1);
	shop_fini(&s);
}

/* ---- memory ---- */

static void create_without_memory(uint64_t n)
{
	struct shop s;
	thing_pool *p = NULL;
	struct thing *t = NULL;
	tt_pool_options o;
	int rc;

	shop_init(&s);
	o = shop_options(&s, 2);
	o.check = shop_check;
	tt_test_fail_alloc_at(n);
	rc = tt_pool_create(&o, &p);
	if (rc == 0) {
		rc = tt_pool_acquire(p, &t);
		EXPECT_TRUE(rc == 0 || rc == TT_ENOMEM);
		if (rc == 0)
			tt_pool_release(p, t, TT_POOL_KEEP);
		rc = TT_WITHIN(TT_SEC(10), tt_pool_acquire(p, &t));
		EXPECT_TRUE(rc == 0 || rc == TT_ENOMEM);
		if (rc == 0)
			tt_pool_release(p, t, TT_POOL_CLOSE);
		tt_pool_destroy(p);
	} else {
		EXPECT_CODE(rc, TT_ENOMEM);
	}
	tt_test_fail_nothing();
	shop_fini(&s);
}

/* Whatever allocation fails, the call says so or does without, and nothing is lost. */
TT_TEST_ON(pool, every_allocation_may_fail, TT_ON_SIM, "there the allocations of all workers are counted")
{
	/* law 5 */
	for (uint64_t n = 1; n < 30; n++)
		create_without_memory(n);
}

static int out_of_memory_in_the_background(thing_pool *p)
{
	struct thing *t, *u;
	int rc;

	TT_TRY(tt_pool_acquire(p, &t));
	tt_test_fail_alloc_after(1);
	EXPECT_CODE(tt_pool_acquire(p, &u), TT_ENOMEM); /* no record for an open */
	tt_pool_release(p, t, TT_POOL_CLOSE);           /* perhaps no task to close it */
	rc = tt_pool_drain(p);
	tt_test_fail_nothing();
	return rc;
}

/* Without memory an open fails, and what is to be closed is closed all the same. */
TT_TEST_ON(pool, closes_without_memory, TT_ON_SIM, "there the allocations of all workers are counted")
{
	/* law 5 */
	struct shop s;
	thing_pool *p;
	tt_pool_options o;

	shop_init(&s);
	o = shop_options(&s, 2);
	REQUIRE_OK(tt_pool_create(&o, &p));
	EXPECT_OK(out_of_memory_in_the_background(p));
	tt_pool_destroy(p);
	shop_fini(&s);
}

static TT_TASK(never_ends)
{
	return tt_sleep(TT_HOUR(1000));
}

/* Until this worker has neither a record nor a stack left over: the next task needs memory. */
static int use_up_what_is_kept(tt_group *g)
{
	struct tti_worker *w = tti_worker_here();
	struct tti_stack_free *stacks = &w->fibers.classes[w->rt->stack_class];

	while (w->home.free_tasks.len > 0 || stacks->idle.len > 0 || !tti_list_empty(&stacks->open)) {
		tt_go_with(g, &nearby, never_ends);
		TT_TRY(tt_test_wait_all_parked());
	}
	return 0;
}

static int acquire_with_nothing_left(thing_pool *p, struct thing **ret)
{
	int rc;

	TT_GROUP(g);
	TT_TRY_IN(&g, use_up_what_is_kept(&g));
	tt_test_fail_alloc_after(1);
	rc = TT_WITHIN(TT_SEC(100), tt_pool_acquire(p, ret));
	tt_test_fail_nothing();
	tt_group_cancel(&g);
	TT_IGNORE(tt_group_end(&g, 0));
	return rc;
}

/* An item that is due for a check, and no memory for the task that would check it: it counts as
 * failed. None for the task that would close it either: the keeper does it. None for a new one:
 * who waits is told. */
TT_TEST_ON(pool, without_memory_for_a_check_the_item_is_closed, TT_ON_SIM, "all workers' allocations fail")
{
	/* law 5 */
	struct thing *t = NULL;
	struct shop s;
	thing_pool *p;
	tt_pool_stats st;
	tt_pool_options o;

	shop_init(&s);
	o = shop_options(&s, 1);
	o.check = shop_check;
	REQUIRE_OK(tt_pool_create(&o, &p));
	REQUIRE_OK(tt_pool_acquire(p, &t));
	tt_pool_release(p, t, TT_POOL_KEEP);
	EXPECT_CODE(acquire_with_nothing_left(p, &t), TT_ENOMEM);
	st = stats_of(p);
	EXPECT_EQ(st.check_failed, 1u);
	EXPECT_EQ(st.open_failed, 1u);
	EXPECT_EQ(st.closed, 1u);
	EXPECT_EQ(s.checks, 0u);
	EXPECT_EQ(s.closes, 1u);
	REQUIRE_OK(TT_WITHIN(TT_SEC(100), tt_pool_acquire(p, &t)));
	EXPECT_EQ(t->number, 2);
	tt_pool_release(p, t, TT_POOL_KEEP);
	tt_pool_destroy(p);
	shop_fini(&s);
}

static int acquire_without_a_keeper(thing_pool *p)
{
	struct thing *t = NULL;

	EXPECT_CODE(TT_WITHIN(TT_SEC(100), tt_pool_acquire(p, &t)), TT_ENOMEM);
	tt_test_fail_nothing();
	EXPECT_EQ(t, NULL);
	/* For good: nothing would ever be opened. */
	EXPECT_CODE(tt_pool_try_acquire(p, &t), TT_ENOMEM);
	EXPECT_CODE(TT_WITHIN(TT_SEC(100), tt_pool_acquire(p, &t)), TT_ENOMEM);
	return TT_WITHIN(TT_SEC(100), tt_pool_drain(p));
}

static int keeper_without_a_stack(const tt_pool_options *o)
{
	thing_pool *p;

	TT_GROUP(g);
	TT_TRY_IN(&g, use_up_what_is_kept(&g));
	TT_TRY_IN(&g, tt_pool_create(o, &p));
	tt_test_fail_alloc_after(1); /* the keeper has not begun yet */
	EXPECT_OK(acquire_without_a_keeper(p));
	tt_pool_destroy(p);
	tt_group_cancel(&g);
	return tt_group_end(&g, 0);
}

/* A pool whose keeper found no stack lends nothing: it says so to who waits and who comes, and
 * can be destroyed. */
TT_TEST_ON(pool, a_pool_without_a_keeper_refuses_all, TT_ON_SIM, "all workers' allocations fail")
{
	struct shop s;
	tt_pool_options o;

	shop_init(&s);
	o = shop_options(&s, 1);
	EXPECT_OK(keeper_without_a_stack(&o));
	EXPECT_EQ(s.live_max, 0u);
	shop_fini(&s);
	EXPECT_TASKS_ALIVE(1);
}

/* ---- all at once ---- */

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	return z ^ (z >> 27);
}

/* Borrows, waits a while or not at all, breaks some, gives up now and then. */
static TT_TASK(customer, (thing_pool *, p), (uint64_t, state))
{
	for (int i = 0; i < 12; i++) {
		int64_t patience = next_random(&state) % 3 == 0 ? (int64_t)(next_random(&state) % 300) * 1000 : TT_SEC(100);
		struct thing *t = NULL;
		int rc = TT_WITHIN(patience, tt_pool_acquire(p, &t));

		EXPECT_TRUE(rc == 0 || rc == TT_ETIMEDOUT || rc == TT_ECONNREFUSED || rc == TT_ECLOSED);
		if (rc < 0)
			continue;
		take_hold(t);
		if (next_random(&state) % 2 == 0)
			EXPECT_CODE(tt_sleep((int64_t)(next_random(&state) % 50) * 1000), 0);
		t->dirty = next_random(&state) % 8 == 0;
		t->broken = next_random(&state) % 8 == 0;
		let_go(t);
		tt_pool_release(p, t, next_random(&state) % 8 == 0 ? TT_POOL_CLOSE : TT_POOL_KEEP);
	}
	return 0;
}

static int busy_day(thing_pool *p, uint64_t seed)
{
	static const unsigned sizes[] = { 2, 5, 1, 3 };

	TT_GROUP(g);
	for (unsigned i = 0; i < 8; i++)
		tt_go_with(&g, &anywhere, customer, p, seed * 31 + i);
	for (unsigned i = 0; i < 4; i++) {
		TT_TRY_IN(&g, tt_sleep(TT_US(100)));
		tt_pool_resize(p, sizes[i]);
	}
	return tt_group_end(&g, 0);
}

/* Over seeds: never more than max, one holder each, everything opened is closed once. */
TT_TEST(pool, conserves)
{
	/* laws 4, 5 */
	uint64_t seed = tt_test_seed();
	struct shop s;
	thing_pool *p;
	tt_pool_stats st;
	tt_pool_options o;

	shop_init(&s);
	o = shop_options(&s, 5);
	o.min_idle = (unsigned)seed % 3;
	o.returned = shop_returned;
	o.check = seed % 2 == 0 ? shop_check : NULL;
	o.idle_max = TT_US(200);
	o.lifetime_max = TT_MS(2);
	s.open_takes = TT_US(20);
	s.close_takes = TT_US(10);
	s.check_takes = TT_US(5);
	s.open_rc = TT_ECONNREFUSED;
	s.fail_first = (unsigned)seed % 4 + 1;
	REQUIRE_OK(tt_pool_create(&o, &p));
	EXPECT_OK(busy_day(p, seed));
	st = stats_of(p);
	EXPECT_EQ(st.in_use, 0u);
	EXPECT_EQ(st.waiting, 0u);
	EXPECT_EQ(st.opened - st.closed, st.idle + st.closing);
	tt_pool_destroy(p);
	EXPECT_LE(s.live_max, 5u);
	shop_fini(&s);
	EXPECT_TASKS_ALIVE(1);
}

/* SPDX-License-Identifier: MIT */
/*
 * torture_pool_test.c - the calls of a resource pool that may wait, cut short everywhere they can
 * be: every item is closed once, nobody keeps one, and the pool ends. And small races of a pool
 * under every schedule within a bound.
 *
 * test-on: sim2
 * test-timeout: 600
 */
#include "explore_kit.h"
#include "torture_kit.h"

#include "sync/pool_testkit.h"

/* A pool of its own for each run; what it opened and closed goes into the ledger. */
static int in_a_shop(struct ledger *l, const tt_pool_options *how, int (*body)(struct ledger *, thing_pool *))
{
	static struct shop s;
	tt_pool_options o;
	thing_pool *p;
	int rc;

	shop_init(&s);
	s.open_takes = TT_US(5);
	s.close_takes = TT_US(2);
	s.return_takes = TT_US(1);
	s.check_takes = TT_US(1);
	o = *how;
	o.open = shop_open;
	o.close = shop_close;
	o.ctx = &s;
	rc = tt_pool_create(&o, &p);
	if (rc < 0)
		return rc;
	rc = body(l, p);
	tt_pool_destroy(p);
	l->made += s.opens;
	l->gone += s.closes;
	shop_fini(&s);
	return rc;
}

static int borrow(struct ledger *l, thing_pool *p)
{
	TT_LEASE(t, p);
	TT_TRY(tt_pool_acquire(p, &t));
	take_hold(t);
	__atomic_add_fetch(&l->permits_out, 1, __ATOMIC_RELAXED); /* relaxed: read when all have ended */
	TT_IGNORE(tt_yield());
	__atomic_sub_fetch(&l->permits_out, 1, __ATOMIC_RELAXED); /* relaxed: as above */
	let_go(t);
	return 0;
}

static TT_TASK(borrows, (struct ledger *, l), (thing_pool *, p))
{
	return borrow(l, p);
}

static int several_borrow(struct ledger *l, thing_pool *p)
{
	TT_GROUP(g);
	for (int i = 0; i < 3; i++)
		tt_go_with(&g, &anywhere, borrows, l, p);
	return tt_group_end(&g, borrow(l, p));
}

static TT_TASK(acquires, (struct ledger *, l))
{
	tt_pool_options o = { .max = 2, .check = shop_check };

	return in_a_shop(l, &o, several_borrow);
}

static TT_TASK(releases, (struct ledger *, l))
{
	tt_pool_options o = { .max = 1, .returned = shop_returned };

	return in_a_shop(l, &o, several_borrow);
}

static int drained(struct ledger *l, thing_pool *p)
{
	int rc;

	TT_GROUP(g);
	tt_go_with(&g, &anywhere, borrows, l, p);
	rc = tt_group_drain(&g);
	if (rc == 0)
		rc = tt_pool_drain(p);
	return tt_group_end(&g, rc);
}

static TT_TASK(drains, (struct ledger *, l))
{
	tt_pool_options o = { .max = 2, .min_idle = 1 };

	return in_a_shop(l, &o, drained);
}

static int leased_or_late(struct ledger *l, thing_pool *p)
{
	int arm;

	{
		TT_LEASE(t, p);
		arm = tt_select(TT_ON_LEASE(p, &t), TT_ON_TIMEOUT(TT_US(6)));
		EXPECT_EQ(t != NULL, arm == 0);
	}
	return arm < 0 ? arm : borrow(l, p);
}

static TT_TASK(selects, (struct ledger *, l))
{
	tt_pool_options o = { .max = 1 };

	return in_a_shop(l, &o, leased_or_late);
}

TORTURE(tt_pool_acquire, acquires)
TORTURE(tt_pool_release, releases)
TORTURE(tt_pool_drain, drains)
TORTURE(tt_pool_destroy, drains)
TORTURE(TT_ON_LEASE, selects)

/* ---- under every schedule ---- */

static int open_at_once(void *ctx, void **ret_item)
{
	struct ledger *l = ctx;

	*ret_item = ctx;
	return ++l->made - l->gone == 1 ? 0 : TT_EOVERFLOW;
}

static void close_at_once(void *ctx, void *item)
{
	struct ledger *l = ctx;

	(void)item;
	l->gone++;
}

static TT_TASK(borrows_raw, (tt_pool *, p), (struct ledger *, l))
{
	TT_LEASE(t, p);
	TT_TRY(tt_pool_acquire(p, &t));
	if (l->inside++ != 0)
		return TT_EBUSY;
	TT_TRY(tt_yield());
	l->inside--;
	return 0;
}

static int two_borrowers(tt_pool *p, struct ledger *l)
{
	TT_GROUP(g);
	tt_go_with(&g, &on_1, borrows_raw, p, l);
	tt_go_with(&g, &on_0, borrows_raw, p, l);
	return tt_group_end(&g, 0);
}

/* One item, two borrowers on two workers: never both, and it is closed in the end. */
static TT_TASK(one_item_two_borrowers)
{
	struct ledger l = { 0 };
	tt_pool_options o = { .open = open_at_once, .close = close_at_once, .ctx = &l, .max = 1 };
	tt_pool *p;
	int rc;

	TT_TRY(tt_pool_create(&o, &p));
	rc = two_borrowers(p, &l);
	tt_pool_destroy(p);
	return rc == 0 && l.made == l.gone ? 0 : TT_EIO;
}

/* In line already when the pool is destroyed: refused, and gone before the pool is. */
static TT_TASK(is_refused, (tt_pool *, p))
{
	TT_LEASE(t, p);
	return tt_pool_acquire(p, &t) == TT_ECLOSED ? 0 : TT_EIO;
}

static int destroyed_with_a_line(tt_pool *p, void *held)
{
	tt_pool_stats s;

	TT_GROUP(g);
	tt_go_with(&g, &on_1, is_refused, p);
	do {
		TT_TRY_IN(&g, tt_yield());
		tt_pool_stats_read(p, &s);
	} while (s.waiting == 0);
	tt_pool_release(p, held, TT_POOL_CLOSE);
	tt_pool_destroy(p);
	return tt_group_end(&g, 0);
}

static TT_TASK(a_line_at_the_end)
{
	struct ledger l = { 0 };
	tt_pool_options o = { .open = open_at_once, .close = close_at_once, .ctx = &l, .max = 1 };
	tt_pool *p;
	void *held;
	int rc;

	TT_TRY(tt_pool_create(&o, &p));
	TT_TRY(tt_pool_acquire(p, &held));
	rc = destroyed_with_a_line(p, held);
	return rc == 0 && l.made == l.gone ? 0 : TT_EIO;
}

EXPLORE(one_item_two_borrowers, 3, 500)
EXPLORE(a_line_at_the_end, 3, 500)

TT_TEST_MAIN()

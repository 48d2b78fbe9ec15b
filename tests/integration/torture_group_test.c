/* SPDX-License-Identifier: MIT */
/*
 * torture_group_test.c - children that are awaited, restarted, called elsewhere, and those of
 * background groups, cut short everywhere they can be: none is left, none is lost.
 *
 * test-on: sim2
 * test-timeout: 600
 */
#include "torture_kit.h"

static void lost(struct ledger *l)
{
	l->gone++;
}

static TT_TASK(becomes_ready, (struct ledger *, l))
{
	int rc;

	l->inside++;
	rc = tt_sleep(TT_US(10));
	if (rc == 0)
		rc = tt_ready();
	if (rc == 0)
		rc = tt_sleep(TT_US(10));
	l->inside--;
	return rc;
}

static TT_TASK(fails_at_once)
{
	TT_TRY(tt_yield());
	return TT_EPROTO;
}

/* A start that was cancelled has ended its child; one that failed has its code. */
static TT_TASK(starts, (struct ledger *, l))
{
	int rc;

	TT_GROUP(g);
	rc = TT_WITHIN(TT_SEC(100), tt_start_with(&g, &anywhere, becomes_ready, l));
	if (rc < 0)
		EXPECT_EQ(l->inside, 0);
	if (rc == 0) {
		rc = tt_start(&g, fails_at_once);
		EXPECT_TRUE(rc == TT_EPROTO || was_cut_short(rc));
		rc = rc == TT_EPROTO ? 0 : rc;
	}
	return tt_group_end(&g, rc);
}

static TT_TASK(start_of_an_owner, (struct ledger *, l, lost))
{
	l->gone++; /* from its first instruction it owns its argument */
	TT_TRY(tt_yield());
	return tt_ready();
}

/* Whether it started or not: its argument goes once. */
static TT_TASK(starts_owners, (struct ledger *, l))
{
	int rc = 0;

	TT_GROUP(g);
	for (int i = 0; i < 3 && rc == 0; i++) {
		l->made++;
		rc = tt_start_with(&g, &anywhere, start_of_an_owner, l);
	}
	return tt_group_end(&g, rc);
}

static TT_TASK(works_there, (struct ledger *, l))
{
	int rc;

	l->inside++;
	rc = tt_sleep(TT_US(20));
	l->inside--;
	return rc < 0 ? rc : 5;
}

/* A call that came back has left nothing there. */
static TT_TASK(calls, (struct ledger *, l))
{
	int rc = tt_call_on(TT_WORKER(1), works_there, l);

	EXPECT_EQ(l->inside, 0);
	EXPECT_TRUE(rc == 5 || was_cut_short(rc));
	if (rc == 5)
		rc = tt_call_on(TT_WORKER_ANY, fails_at_once);
	return rc == TT_EPROTO ? 0 : rc;
}

static TT_TASK(fails_twice, (struct ledger *, l), (int *, runs))
{
	int rc;

	l->inside++;
	rc = tt_sleep(TT_US(10));
	l->inside--;
	return rc < 0 ? rc : ++*runs < 3 ? TT_EPROTO : 0;
}

/* Restarted until it succeeds, or until somebody cancels: in a run or in a pause. */
static TT_TASK(supervises, (struct ledger *, l))
{
	tt_group_options o = { .policy = TT_SUPERVISE, .backoff = { .min = TT_US(50), .max = TT_US(200) } };
	int runs[2] = { 0, 0 }, rc;

	TT_GROUP_WITH(g, &o);
	tt_go_with(&g, &anywhere, fails_twice, l, &runs[0]);
	tt_go_with(&g, &anywhere, fails_twice, l, &runs[1]);
	rc = tt_group_end(&g, 0);
	if (rc == 0) {
		EXPECT_EQ(runs[0], 3);
		EXPECT_EQ(runs[1], 3);
	}
	return rc;
}

static TT_TASK(stays, (struct ledger *, l))
{
	int rc;

	l->inside++;
	rc = tt_sleep(TT_NEVER);
	l->inside--;
	return rc;
}

static int fill(struct ledger *l, tt_background *b)
{
	for (int i = 0; i < 3; i++)
		TT_TRY(tt_spawn_into_with(b, &anywhere, stays, l));
	return tt_sleep(TT_US(10));
}

/* However its creator ends: with the object go the children. */
static TT_TASK(backgrounds, (struct ledger *, l))
{
	tt_background *b;
	int rc;

	TT_TRY(tt_background_create(NULL, &b));
	rc = fill(l, b);
	tt_background_destroy(b);
	EXPECT_EQ(l->inside, 0);
	return rc;
}

TORTURE(tt_start, starts)
TORTURE(tt_start_with, starts_owners)
TORTURE(tt_call_on, calls)
TORTURE(restart, supervises)
TORTURE(tt_background_create, backgrounds)
TORTURE(tt_background_destroy, backgrounds)

TT_TEST_MAIN()

/* SPDX-License-Identifier: MIT */
/*
 * torture_scope_test.c - blocks that end others, cancellers with a reason, and cleanup behind a
 * shield, cut short everywhere they can be: each block is ended, each code is the right one.
 *
 * test-on: sim2
 * test-timeout: 600
 */
#include "torture_kit.h"

TT_CHAN_TYPE(int_chan, int);

static int ended_from_outside(struct ledger *l)
{
	int_chan ch;
	int rc, x;

	TT_TRY(tt_chan_init(&ch, 1));
	TT_DEFER(tt_chan_fini, &ch.tt_raw);
	TT_SCOPE(outer, TT_SEC(100));
	TT_SCOPE(inner, TT_MS(1));
	TT_GROUP(g);
	l->inside++;
	rc = tt_recv(&ch, &x);
	l->inside--;
	return tt_scope_end(&outer, rc);
}

/* The inner timeout goes outwards as such: TT_ECANCELED means that somebody else cancelled. */
static TT_TASK(nested_ends, (struct ledger *, l))
{
	int rc = ended_from_outside(l);

	EXPECT_TRUE(rc == TT_ETIMEDOUT || was_cut_short(rc));
	if (rc == TT_ECANCELED)
		EXPECT_CODE(tt_checkpoint(), TT_ECANCELED);
	return rc == TT_ETIMEDOUT ? 0 : rc;
}

static TT_TASK(cancels_with_reason, (tt_canceller *, c, tt_canceller_put))
{
	int rc = tt_sleep(TT_US(10));

	tt_cancel_with(c, TT_EBUSY, "moved to shard %d", 7);
	tt_canceller_put(c);
	return rc;
}

static TT_TASK(sleeps_for_ever)
{
	return tt_sleep(TT_NEVER);
}

static int cancelled_by_a_child(tt_group *g)
{
	TT_SCOPE(s, TT_SEC(100));
	tt_go_with(g, &anywhere, cancels_with_reason, tt_scope_canceller(&s));
	TT_GROUP(inner);
	tt_go_with(&inner, &anywhere, sleeps_for_ever);
	return tt_scope_end(&s, tt_group_drain(&inner));
}

/* A canceller's code, or the cancel from further out that came first. */
static TT_TASK(cancellers, (struct ledger *, l))
{
	int rc;

	(void)l;
	TT_GROUP(g);
	rc = cancelled_by_a_child(&g);
	EXPECT_TRUE(rc == TT_EBUSY || was_cut_short(rc));
	return tt_group_end(&g, rc == TT_EBUSY ? 0 : rc);
}

/* What is given back behind a shield is given back whatever happens. */
static TT_TASK(shielded_cleanup, (struct ledger *, l))
{
	tt_semaphore s;
	int rc;

	tt_semaphore_init(&s, 1);
	rc = tt_semaphore_acquire(&s, 1);
	if (rc == 0) {
		l->permits_out++;
		rc = TT_WITHIN(TT_MS(1), tt_sleep(TT_NEVER));
		EXPECT_OK(TT_SHIELDED(TT_NEVER, tt_sleep(TT_US(5)))); /* time itself is cut short here */
		tt_semaphore_release(&s, 1);
		l->permits_out--;
	}
	tt_semaphore_fini(&s);
	return rc == TT_ETIMEDOUT ? 0 : rc;
}

TORTURE(nested_ends, nested_ends)
TORTURE(tt_cancel_with, cancellers)
TORTURE(shielded_cleanup, shielded_cleanup)

TT_TEST_MAIN()

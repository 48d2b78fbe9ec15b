/* SPDX-License-Identifier: MIT */
/*
 * explore_end_test.c - who was let through by a latch, a barrier or a condition variable may end it
 * at once, while others who were let through have not run yet: under every schedule that
 * leaves the usual one at most so many times. The end takes the memory away, so that a touch after
 * it is a fault.
 *
 * test-on: sim2
 * test-timeout: 600
 */
#include <sys/mman.h>

#include "explore_kit.h"

#define PAGE 65536                           /* the largest there is */

/* What is met at, in a page of its own. */
static union meeting {
	tt_latch latch;
	tt_barrier barrier;
	tt_condvar condvar;
	unsigned char page[PAGE];
} meeting __attribute__((aligned(PAGE)));

static int through; /* so many were let through */

static void give_memory(void)
{
	REQUIRE_EQ(mprotect(&meeting, sizeof(meeting), PROT_READ | PROT_WRITE), 0);
	through = 0;
}

static void take_memory(void)
{
	REQUIRE_EQ(mprotect(&meeting, sizeof(meeting), PROT_NONE), 0);
}

/* ---- latch ---- */

static TT_TASK(waits_and_ends_the_latch)
{
	TT_TRY(tt_latch_wait(&meeting.latch));
	if (through++ == 0) {
		tt_latch_fini(&meeting.latch);
		take_memory();
	}
	return 0;
}

/* Two on one worker, one on the other, and whoever runs first. */
static TT_TASK(the_first_through_a_latch_ends_it)
{
	int rc;

	give_memory();
	tt_latch_init(&meeting.latch, 1);
	TT_GROUP(g);
	tt_go_with(&g, &on_1, waits_and_ends_the_latch);
	tt_go_with(&g, &on_1, waits_and_ends_the_latch);
	tt_go_with(&g, &on_0, waits_and_ends_the_latch);
	rc = tt_test_wait_all_parked();
	if (rc == 0)
		tt_latch_count_down(&meeting.latch);
	rc = tt_group_end(&g, rc);
	return rc == 0 && through != 3 ? TT_EIO : rc;
}

EXPLORE(the_first_through_a_latch_ends_it, 4, 200)

/* ---- barrier ---- */

static TT_TASK(meets_and_ends_the_barrier)
{
	TT_TRY(tt_barrier_wait(&meeting.barrier));
	if (through++ == 0) {
		tt_barrier_fini(&meeting.barrier);
		take_memory();
	}
	return 0;
}

/* One who comes last is let through without a wait; the others have waited. */
static TT_TASK(the_first_through_a_barrier_ends_it)
{
	int rc;

	give_memory();
	tt_barrier_init(&meeting.barrier, 3);
	TT_GROUP(g);
	tt_go_with(&g, &on_1, meets_and_ends_the_barrier);
	tt_go_with(&g, &on_1, meets_and_ends_the_barrier);
	tt_go_with(&g, &on_0, meets_and_ends_the_barrier);
	rc = tt_group_end(&g, 0);
	return rc == 0 && through != 3 ? TT_EIO : rc;
}

EXPLORE(the_first_through_a_barrier_ends_it, 5, 200)

/* ---- condition variable ---- */

static TT_TASK(waits_and_ends_the_condvar, (tt_mutex *, m))
{
	TT_LOCK(m);
	TT_TRY(tt_condvar_wait(&meeting.condvar, m));
	if (through++ == 0) {
		tt_condvar_fini(&meeting.condvar);
		take_memory();
	}
	return 0;
}

static TT_TASK(the_first_that_is_signalled_ends_the_condvar)
{
	tt_mutex m;
	int rc;

	give_memory();
	tt_mutex_init(&m);
	TT_DEFER(tt_mutex_fini, &m);
	tt_condvar_init(&meeting.condvar);
	TT_GROUP(g);
	tt_go_with(&g, &on_1, waits_and_ends_the_condvar, &m);
	tt_go_with(&g, &on_1, waits_and_ends_the_condvar, &m);
	tt_go_with(&g, &on_0, waits_and_ends_the_condvar, &m);
	rc = tt_test_wait_all_parked();
	if (rc == 0)
		tt_condvar_broadcast(&meeting.condvar);
	rc = tt_group_end(&g, rc);
	return rc == 0 && through != 3 ? TT_EIO : rc;
}

EXPLORE(the_first_that_is_signalled_ends_the_condvar, 4, 200)

TT_TEST_MAIN()

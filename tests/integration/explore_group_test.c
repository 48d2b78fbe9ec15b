/* SPDX-License-Identifier: MIT */
/*
 * explore_group_test.c - a start against its cancel, a restart against the end of its group, a spawn
 * against the destruction of a background group: under every schedule that leaves the usual
 * one at most so many times.
 *
 * test-on: sim2
 * test-timeout: 600
 */
#include <tutti/testing.h>
#include <tutti/tutti.h>

#include "explore_kit.h"

/* ---- start: ready or ended ---- */

struct start {
	int alive;
	bool said;
};

static TT_TASK(says_ready, (struct start *, s))
{
	int rc;

	s->alive++;
	rc = tt_yield();
	if (rc == 0)
		rc = tt_ready();
	s->said = rc == 0;
	if (rc == 0)
		rc = tt_sleep(TT_SEC(1000));
	s->alive--;
	return rc;
}

static TT_TASK(starts_it, (struct start *, s))
{
	int rc;

	TT_GROUP(g);
	rc = tt_start_with(&g, &on_1, says_ready, s);
	if (rc == 0 && !s->said)
		rc = TT_EIO;
	if (rc == TT_ECANCELED && s->alive != 0)
		rc = TT_EIO;
	tt_group_cancel(&g);
	return tt_group_end(&g, rc == TT_ECANCELED ? 0 : rc);
}

/* Whenever the cancel comes: a start says that its child is ready, or the child has ended. */
static TT_TASK(a_cancelled_start_is_ready_or_ended)
{
	struct start s = { .alive = 0 };
	int rc;

	TT_GROUP(g);
	tt_go_with(&g, &on_0, starts_it, &s);
	rc = tt_yield();
	if (rc == 0)
		rc = tt_yield();
	tt_group_cancel(&g);
	rc = tt_group_end(&g, rc);
	return rc == 0 && s.alive == 0 ? 0 : TT_EIO;
}

EXPLORE(a_cancelled_start_is_ready_or_ended, 6, 500)

/* ---- restart against the end of the group ---- */

static TT_TASK(fails_soon, (int *, alive))
{
	int rc;

	++*alive;
	rc = tt_yield();
	--*alive;
	return rc < 0 ? rc : TT_EPIPE;
}

static TT_TASK(a_cancel_ends_restarts)
{
	tt_group_options o = { .policy = TT_SUPERVISE, .backoff = { .min = 1, .max = TT_SEC(1) } };
	int alive = 0, rc;

	TT_GROUP_WITH(g, &o);
	tt_go_with(&g, &on_1, fails_soon, &alive);
	tt_go_with(&g, &on_0, fails_soon, &alive);
	rc = tt_yield();
	if (rc == 0)
		rc = tt_yield();
	tt_group_cancel(&g);
	rc = tt_group_end(&g, rc);
	return rc == 0 && alive == 0 ? 0 : TT_EIO;
}

EXPLORE(a_cancel_ends_restarts, 6, 500)

/* ---- background: spawned or refused, and joined ---- */

static TT_TASK(stays, (int *, alive))
{
	int rc;

	++*alive;
	rc = tt_sleep(TT_SEC(1000));
	--*alive;
	return rc;
}

static TT_TASK(spawns_more, (tt_background *, b), (int *, alive))
{
	int rc = tt_yield();

	if (rc == 0)
		rc = tt_spawn_into_with(b, &on_0, stays, alive);
	return rc == TT_ECLOSED ? 0 : rc;
}

static TT_TASK(destroy_joins_what_came_in)
{
	int alive = 0, rc;
	tt_background *b;

	TT_TRY(tt_background_create(NULL, &b));
	rc = tt_spawn_into_with(b, &on_1, spawns_more, b, &alive);
	if (rc == 0)
		rc = tt_spawn_into_with(b, &on_1, stays, &alive);
	if (rc == 0)
		rc = tt_yield();
	tt_background_destroy(b);
	return rc == 0 && alive == 0 ? 0 : TT_EIO;
}

EXPLORE(destroy_joins_what_came_in, 6, 500)

TT_TEST_MAIN()

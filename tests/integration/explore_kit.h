/* SPDX-License-Identifier: MIT */
/*
 * explore_kit.h - EXPLORE(scenario, delays, runs_min): a small scenario under every schedule that leaves
 * the usual one at most `delays` times, as a test of its own. Included by explore*_test.c and by those
 * torture_*_test.c that also explore.
 */
#ifndef TTI_EXPLORE_KIT_H
#define TTI_EXPLORE_KIT_H

#include <tutti/testing.h>
#include <tutti/tutti.h>

TT_UNUSED static const tt_child_options on_0 = { .worker = TT_WORKER(0) }, on_1 = { .worker = TT_WORKER(1) };

/* Never fewer runs than that, or the scenario has become too small to prove anything. */
#define EXPLORE(scenario, delays_, runs_min) \
	TT_TEST_PLAIN(explore, scenario) \
	{ \
		tt_explore_options o = { .delays = (delays_), .runs_max = 2000000 }; \
		tt_explore_result r; \
		EXPECT_OK(tt_sim_explore(&o, &r, scenario)); \
		EXPECT_TRUE(r.complete); \
		EXPECT_GE(r.runs, (runs_min)); \
		tt_test_note("%s, %d delays: %llu schedules of up to %zu choices", #scenario, (delays_), \
		             (unsigned long long)r.runs, r.choices_max); \
	}

#endif

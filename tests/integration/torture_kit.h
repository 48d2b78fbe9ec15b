/* SPDX-License-Identifier: MIT */
/*
 * torture_kit.h - the ledger and the TORTURE() entry of the torture tests: one scenario for
 * each public call that may wait, cut short everywhere it can be, by a cancel and by a
 * deadline. Included by torture_*_test.c; tidy wants an entry for every "Blocks     yes".
 *
 * Conserved after every run: items (made = taken or destroyed, once), bytes (what calls
 * say they moved = what was moved), permits, tasks, descriptors.
 */
#ifndef TTI_TORTURE_KIT_H
#define TTI_TORTURE_KIT_H

#include <tutti/testing.h>
#include <tutti/tutti.h>

#define SEEDS_DEFAULT 4

/* What must come out even at the end of each run. */
struct ledger {
	unsigned made, gone;             /* items */
	size_t sent, received;           /* bytes */
	unsigned permits_out;            /* taken and not given back */
	unsigned inside;                 /* of a critical section */
};

TT_UNUSED static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };

static void check_ledger(void *context, int rc)
{
	struct ledger *l = context;

	(void)rc;
	EXPECT_EQ(l->made, l->gone);
	EXPECT_EQ(l->sent, l->received);
	EXPECT_EQ(l->permits_out, 0);
	EXPECT_EQ(l->inside, 0);
	*l = (struct ledger){ 0 }; /* for the next run */
}

typedef int scenario_fn(struct ledger *l);

static TT_TASK(out_of_time, (scenario_fn *, fn), (struct ledger *, l), (int64_t, timeout))
{
	return TT_WITHIN(TT_SEC(1000), TT_WITHIN(timeout, fn(l)));
}

/* Deadlines that passed before the call, and one that passes at once inside another. */
static void run_late(scenario_fn *fn, const char *name)
{
	static const int64_t timeouts[] = { 0, -1, INT64_MIN, 1 };
	tt_sim_options o = { .seed = tt_test_seed(), .faults = TT_FAULTS_NONE };
	struct ledger l = { 0 };

	for (size_t i = 0; i < sizeof(timeouts) / sizeof(timeouts[0]); i++) {
		int rc = tt_sim_run_with(&o, out_of_time, fn, &l, timeouts[i]);

		if (rc < 0 && rc != TT_ETIMEDOUT)
			tt_test_note("%s within %lld ns", name, (long long)timeouts[i]);
		EXPECT_TRUE(rc >= 0 || rc == TT_ETIMEDOUT);
		check_ledger(&l, rc);
	}
}

/* The same scenario under cancels and under deadlines, with several seeds. */
#define TORTURE(function, scenario) \
	TT_TEST_PLAIN(torture, function) \
	{ \
		unsigned long long k = 0, wakes = 0, effects = 0, runs = 0, cut = 0; \
		for (unsigned i = 0; i < 2 * tt_test_seeds(SEEDS_DEFAULT); i++) { \
			struct ledger l = { 0 }; \
			tt_torture_options o = { \
				.name = #function, .seed = tt_test_seed() + i / 2, .check = check_ledger, .context = &l, \
			}; \
			tt_torture_result r; \
			if (i % 2 == 0) \
				TT_CANCEL_TORTURE(&o, &r, scenario, &l); \
			else \
				TT_DEADLINE_TORTURE(&o, &r, scenario, &l); \
			k = r.checkpoints > k ? r.checkpoints : k; \
			wakes = r.wakes > wakes ? r.wakes : wakes; \
			effects = r.effects > effects ? r.effects : effects; \
			runs += r.runs; \
			cut += r.cut; \
		} \
		EXPECT_GT(cut, 0); \
		run_late(scenario, #function); \
		tt_test_note("%-24s k = %3llu, %3llu outcomes, %3llu effects; %5llu runs, %5llu cut short", #function, k, wakes, \
		             effects, runs, cut); \
	}

#endif

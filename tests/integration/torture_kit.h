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

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* What a scenario looks at for itself is not refused (oom_*_test.c). */
#define UNREFUSED(expr) \
	__extension__({ \
		__typeof__(expr) unrefused_; \
		tt_test_torture_hold(true); \
		unrefused_ = (expr); \
		tt_test_torture_hold(false); \
		unrefused_; \
	})

/* It was cut short: by a cancel, or (oom_*_test.c) by what was refused. */
TT_UNUSED static bool was_cut_short(int rc)
{
#ifdef TORTURE_FAILURES
	return rc < 0;
#else
	return rc == TT_ECANCELED;
#endif
}

/* The name of a Unix socket: "@name" in the simulator, where all runs are alike, and one that no
 * other process has elsewhere. */
TT_UNUSED static const char *own_name(const char *name, char *buf, size_t n)
{
	if (tt_test_on() == TT_ON_SIM)
		return name;
	snprintf(buf, n, "%s-%d", name, (int)getpid());
	return buf;
}

/* At night everything is tried, and pairs. */
TT_UNUSED static bool torture_is_night(void)
{
	const char *mode = getenv("TT_CHECK_MODE");

	return mode != NULL && strcmp(mode, "night") == 0;
}

typedef int scenario_fn(struct ledger *l);

static TT_TASK(out_of_time, (scenario_fn *, fn), (struct ledger *, l), (int64_t, timeout))
{
	return TT_WITHIN(TT_SEC(1000), TT_WITHIN(timeout, fn(l)));
}

/* Deadlines that passed before the call, and one that passes at once inside another. */
TT_UNUSED static void run_late(scenario_fn *fn, const char *name)
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

#ifndef TORTURE_FAILURES
/* The same scenario under cancels and under deadlines, with several seeds. */
#define TORTURE(function, scenario) \
	TT_TEST_PLAIN(torture, function) \
	{ \
		unsigned long long k = 0, wakes = 0, effects = 0, runs = 0, cut = 0; \
		for (unsigned i = 0; i < 2 * tt_test_seeds(SEEDS_DEFAULT); i++) { \
			struct ledger l = { 0 }; \
			tt_torture_options o = { \
				.name = #function, .seed = tt_test_seed() + i / 2, .check = check_ledger, .context = &l, \
				.pairs = torture_is_night(), \
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

#else
/*
 * The same table in other programs (oom_*_test.c), which include a torture_*_test.c each: every
 * scenario once, with each allocation and with each call refused, on what --on= says. On real
 * workers there is one, because ledgers are plain numbers.
 */
/* Other tests of the included file belong to its own program. */
#undef TT_TEST_PLAIN
#define TT_TEST_PLAIN(suite, name) TT_UNUSED static void left_out_##suite##_##name(void)

#include "testing/kit.h"

/* Thousands of processes take longer than a test usually has. */
__attribute__((constructor)) static void torture_takes_long(void)
{
	tti_test_options.timeout = 900;
}

/* Scenarios that ask for names which only the simulator has: " races ". */
#ifndef TORTURE_SIMULATED
#define TORTURE_SIMULATED ""
#endif

/* Scenarios with a name that the whole machine knows: one run at a time. */
#ifndef TORTURE_ALONE
#define TORTURE_ALONE ""
#endif

/* What else a scenario of the file may return. */
#ifndef TORTURE_CODE
#define TORTURE_CODE 0
#endif

/* Several functions may share a scenario. */
static bool torture_is_new(const char *scenario)
{
	static const char *seen[256];
	unsigned i = 0;

	for (; seen[i] != NULL; i++)
		if (strcmp(seen[i], scenario) == 0)
			return false;
	seen[i] = scenario;
	return true;
}

/* On real workers a quarter of the places, another one with each seed; at night all, and pairs. */
static tt_torture_options torture_options(const char *scenario, struct ledger *l)
{
	char word[80];

	snprintf(word, sizeof(word), " %s ", scenario);
	if (tt_test_on() != TT_ON_SIM && strstr(TORTURE_SIMULATED, word) != NULL)
		tt_test_skip("the names it asks for are the simulator's");
	return (tt_torture_options){
		.name = scenario, .check = check_ledger, .context = l, .code = TORTURE_CODE,
		.sample = tt_test_on() == TT_ON_SIM || torture_is_night() ? 100 : 25,
		.pairs = torture_is_night(), .together = strstr(TORTURE_ALONE, word) != NULL ? 1 : 0,
		.workers = tt_test_on() == TT_ON_SIM ? tt_test_workers() : 1,
	};
}

static void torture_says(const char *what, const char *function, const tt_torture_result *r)
{
	tt_test_note("%-9s %-24s %4llu places, %5llu runs, %5llu returned a code", what, function,
	             (unsigned long long)r->places, (unsigned long long)r->runs, (unsigned long long)r->cut);
}

#define TORTURE_REGISTER_(suite, function, scenario) \
	static void suite##_##function(void); \
	static tt_test suite##_##function##_record = { \
		#suite, #function, TT_SITE, suite##_##function, TT_ON_PLAIN_, "", NULL \
	}; \
	__attribute__((constructor)) static void suite##_##function##_register(void) \
	{ \
		if (torture_is_new(#suite #scenario)) \
			tt_test_register_(&suite##_##function##_record); \
	} \
	static void suite##_##function(void)

#define TORTURE_SEEDS_(scenario, verb, what, function) \
	{ \
		tt_torture_result all = { 0 }, r; \
		struct ledger l = { 0 }; \
		tt_torture_options o = torture_options(#scenario, &l); \
		for (unsigned i = 0; i < (tt_test_on() == TT_ON_SIM ? tt_test_seeds(SEEDS_DEFAULT) : 1); i++) { \
			o.seed = tt_test_seed() + i; \
			verb(&o, &r, scenario, &l); \
			all.places = r.places > all.places ? r.places : all.places; \
			all.runs += r.runs; \
			all.cut += r.cut; \
		} \
		torture_says(what, #function, &all); \
	}

#define TORTURE(function, scenario) \
	TORTURE_REGISTER_(oom, function, scenario) \
	TORTURE_SEEDS_(scenario, TT_ALLOC_TORTURE, "memory", function) \
	TORTURE_REGISTER_(syscall, function, scenario) \
	TORTURE_SEEDS_(scenario, TT_SYSCALL_TORTURE, "calls", function)
#endif
#endif

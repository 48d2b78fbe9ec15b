/* SPDX-License-Identifier: MIT */
/*
 * torture.c - a scenario is run once to count where a cancel could strike, then once more
 * for each of those places, and struck exactly there.
 *
 * Places      a checkpoint; a wait, just enlisted; a wait whose outcome is decided and not
 *             seen (the completion is queued); an operation that took effect and has not
 *             completed. In a run of torture each call that looks for a cancel is a place,
 *             because the slices of the workers are one call long.
 * Repeatable  The same seed gives the same run up to the place, so that places can be
 *             counted in one run and found in another.
 * Pairs       With options.pairs also two strikes in one run, the second from further out: a cancel
 *             of the scope around the one that was struck first, while that is being left.
 * Checks      The simulator counts records, descriptors and operations after each run;
 *             the scenario's own check counts what it cares for.
 */
#include <stdio.h>

#include <tutti/error.h>
#include <tutti/scope.h>

#include "base/panic.h"
#include "scope/scope.h"
#include "sim/sim.h"
#include "testing/kit.h"

#define FAR TT_HOUR(1000)
/* Of all pairs so many are run; which ones says the seed. */
#define PAIRS_MAX 10000
#define FAULTS_DEFAULT (TT_FAULT_BIT(TT_FAULT_LATE_COMPLETION) | TT_FAULT_BIT(TT_FAULT_CANCEL_RACE))

struct torture {
	const tt_torture_options *options;
	const tt_task_type *type;
	const void *args;
	const char *site;
	const char *name;
	bool deadline;
	struct tti_scope *scope, *outer;     /* around the scenario, while it runs; around that */
	uint64_t second;                     /* the place of the second strike; 0: none */
	bool struck;                         /* once */
	struct tti_sim_setup setup;
	tt_torture_result result;
};

static TT_TASK(tortured, (struct torture *, t))
{
	int rc;

	TT_SCOPE(outer, TT_NEVER);
	TT_SCOPE(s, t->deadline ? FAR : TT_NEVER);
	t->outer = (struct tti_scope *)(void *)&outer;
	t->scope = (struct tti_scope *)(void *)&s;
	tti_sim_count_points(tti_sim_here, true);
	rc = tti_test_call(t->type, t->args, t->site);
	tti_sim_count_points(tti_sim_here, false);
	t->scope = NULL;
	return tt_scope_end(&outer, tt_scope_end(&s, rc));
}

static void cancel(struct tti_home *home, struct tti_scope *scope)
{
	tti_home_here = home;
	tti_scope_cancel(scope, TTI_CAUSE_CANCELLER, TT_ECANCELED);
	tti_home_here = NULL;
}

/* Between two turns, no worker at home. */
static void strike(struct tti_sim *sim, void *data)
{
	struct torture *t = data;
	struct tti_home *home;

	if (t->scope == NULL)
		return;
	home = t->scope->owner->home;
	sim->urgent = home->index + 1;
	if (t->struck) {
		cancel(home, t->outer);
		return;
	}
	t->struck = true;
	sim->strike_at = t->second;
	if (t->deadline) {
		/* Past the tick of the wheel that the deadline falls into. */
		sim->now = t->scope->timer.deadline + (INT64_C(1) << TTI_WHEEL_TICK_SHIFT);
		return;
	}
	cancel(home, t->scope);
}

static bool was_cut(int rc)
{
	return rc == TT_ECANCELED || rc == TT_ETIMEDOUT;
}

/* Places are counted in one run and found in another: both must be the same up to there. */
static void check_reached(const struct torture *t, uint64_t strike_at)
{
	uint64_t last = t->second != 0 ? t->second : strike_at;

	if (t->setup.ret_points_seen < last)
		tti_test_failed(false, t->site, "%s seed 0x%llx: place %llu is not reached, of %llu: it is not the same twice", t->name,
		                (unsigned long long)t->options->seed, (unsigned long long)last,
		                (unsigned long long)t->setup.ret_points_seen);
}

static int run_once(struct torture *t, uint64_t strike_at)
{
	const tt_torture_options *o = t->options;
	tt_sim_options sim = {
		.seed = o->seed, .workers = o->workers, .faults = o->faults != 0 ? o->faults : FAULTS_DEFAULT,
		.strategy = TT_SIM_RANDOM_WALK,
	};
	struct tt_args_tortured_ args = { t };
	char what[200];
	int rc;

	t->struck = false;
	snprintf(what, sizeof(what), "%s, %s at place %llu, cancelled at %llu,", t->name,
	         t->deadline ? "out of time" : "cancelled", (unsigned long long)strike_at, (unsigned long long)t->second);
	if (t->second == 0)
		snprintf(what, sizeof(what), "%s, %s at place %llu,", t->name, t->deadline ? "out of time" : "cancelled",
		         (unsigned long long)strike_at);
	t->setup = (struct tti_sim_setup){
		.strike_at = strike_at, .strike = strike, .data = t, .every_checkpoint = true, .name = what,
	};
	rc = tti_sim_run(&sim, &tt_type_tortured_, &args, t->site, &t->setup);
	check_reached(t, strike_at);
	t->result.runs++;
	t->result.cut += was_cut(rc);
	if (rc < 0 && !was_cut(rc) && rc != o->code && !o->any_code)
		tti_test_failed(false, t->site, "%s seed 0x%llx: returns %d (%s)", what, (unsigned long long)o->seed, rc,
		                tt_error_name(rc));
	if (strike_at == 0 && was_cut(rc))
		tti_test_failed(false, t->site, "%s seed 0x%llx: returns %s, and nothing was cut short", t->name,
		                (unsigned long long)o->seed, tt_error_name(rc));
	if (o->check != NULL)
		o->check(o->context, rc);
	return rc;
}

/* Struck at one place, and again at each that this run passes then. */
static void run_pairs(struct torture *t, uint64_t first, uint64_t places, uint32_t before)
{
	uint64_t last = t->setup.ret_points_seen, every = places * places / (2 * PAIRS_MAX) + 1;

	for (uint64_t i = first + 1; i <= last && tti_test_failures() == before; i++) {
		if ((first * places + i + t->options->seed) % every != 0)
			continue;
		t->second = i;
		run_once(t, first);
		t->second = 0;
	}
}

intptr_t tt_verb_torture_(void *on, const tt_task_type *type, const void *args, const char *site)
{
	static const tt_torture_options none;
	const tt_torture_ *request = on;
	struct torture t = {
		.options = request->options != NULL ? request->options : &none,
		.type = type, .args = args, .site = site, .deadline = request->deadline,
	};
	uint32_t before = tti_test_failures();
	uint64_t places;

	t.name = t.options->name != NULL ? t.options->name : type->name;
	run_once(&t, 0);
	places = t.setup.ret_points_seen;
	t.result.checkpoints = t.setup.ret_points[TTI_SIM_AT_CHECKPOINT] + t.setup.ret_points[TTI_SIM_AT_PARK];
	t.result.wakes = t.setup.ret_points[TTI_SIM_AT_WAKE];
	t.result.effects = t.setup.ret_points[TTI_SIM_AT_EFFECT];
	for (uint64_t i = 1; i <= places && tti_test_failures() == before; i++) {
		run_once(&t, i);
		if (t.options->pairs)
			run_pairs(&t, i, places, before);
	}
	if (request->ret_result != NULL)
		*request->ret_result = t.result;
	return tti_test_failures() != before ? 1 : 0;
}

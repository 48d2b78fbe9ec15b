/* SPDX-License-Identifier: MIT */
/*
 * explore.c - tt_sim_explore(): every schedule that leaves the usual one at most `delays`
 * times, one run each. For small scenarios, where it is a proof up to that bound.
 *
 * The usual schedule runs the oldest task and gives the workers their turns one after the
 * other; taking the k-th candidate instead costs k delays (delay bounding: Emmi, Qadeer and
 * Rakamaric, POPL 2011). Runs are numbered depth first: the last choice that can still be
 * moved is moved by one, and what follows it is usual again.
 *
 * What a scenario does must depend on its choices only; that a run replays is checked.
 */
#include <stdio.h>
#include <unistd.h>

#include "base/panic.h"
#include "sim/sim.h"

#define DELAYS_DEFAULT 2
#define RUNS_DEFAULT 100000

struct exploration {
	const tt_explore_options *options;
	tt_sim_options sim;
	const struct tt_task_type *type;
	const void *args;
	const char *site;
	uint32_t *prefix;                    /* the choices of the next run that are given */
	size_t prefix_len, prefix_room;
	unsigned delays;
	char record_path[128];
	tt_explore_result result;
};

static uint32_t cost_of(const struct tti_sim_choice *c)
{
	return c->picked >= c->usual ? c->picked - c->usual : c->picked + c->n - c->usual;
}

static void make_room(struct exploration *e, size_t n)
{
	if (n <= e->prefix_room)
		return;
	tti_env_real.free(e->prefix);
	e->prefix_room = n * 2;
	e->prefix = tti_sim_alloc(e->prefix_room * sizeof(*e->prefix));
}

/* The last choice that may be moved on within the bound, or -1; cost is of all choices. */
static long last_movable(const struct exploration *e, const struct tti_sim_schedule *s, uint32_t cost)
{
	for (size_t i = s->len; i-- > 0;) {
		const struct tti_sim_choice *c = &s->made[i];
		uint32_t own = cost_of(c);

		cost -= own;
		if (own + 1 < c->n && cost + own + 1 <= e->delays)
			return (long)i;
	}
	return -1;
}

/* False: all schedules within the bound have been run. */
static bool next_prefix(struct exploration *e, const struct tti_sim_schedule *s)
{
	uint32_t cost = 0;
	long at;

	for (size_t i = 0; i < s->len; i++)
		cost += cost_of(&s->made[i]);
	at = last_movable(e, s, cost);
	if (at < 0)
		return false;
	make_room(e, (size_t)at + 1);
	for (long i = 0; i <= at; i++)
		e->prefix[i] = s->made[i].picked;
	e->prefix[at] = (s->made[at].picked + 1) % s->made[at].n;
	e->prefix_len = (size_t)at + 1;
	return true;
}

/* The given choices were possible: a scenario that saw something else is not repeatable. */
static void check_replayed(const struct exploration *e, const struct tti_sim_schedule *s)
{
	for (size_t i = 0; i < e->prefix_len; i++)
		TT_REQUIRE(i < s->len && s->made[i].picked == e->prefix[i],
		           "tt_sim_explore at %s: choice %zu of a run could not be repeated; the scenario depends on more than "
		           "its schedule", e->site, i);
}

static int run_once(struct exploration *e, struct tti_sim_schedule *ret_schedule)
{
	struct tti_sim_setup setup = {
		.ret_schedule = ret_schedule, .record_path = e->record_path, .every_checkpoint = true,
	};

	e->sim.replay = e->prefix;
	e->sim.replay_len = e->prefix_len;
	e->result.runs++;
	return tti_sim_run(&e->sim, e->type, e->args, e->site, &setup);
}

static int explore(struct exploration *e)
{
	uint64_t runs_max = e->options->runs_max != 0 ? e->options->runs_max : RUNS_DEFAULT;
	const char *replay = tti_env_var("TUTTI_SIM_REPLAY"), *written;
	bool once = replay != NULL && replay[0] != '\0', more = true;
	struct tti_sim_schedule s;
	int rc = 0;

	while (more && rc >= 0 && e->result.runs < runs_max) {
		rc = run_once(e, &s);
		if (s.len > e->result.choices_max)
			e->result.choices_max = s.len;
		if (rc < 0) {
			written = tti_sim_schedule_write(&s);
			fprintf(stderr, "tt_sim_explore at %s: run %llu returns %s\nTUTTI_SIM_REPLAY=%s\n", e->site,
			        (unsigned long long)e->result.runs, tt_error_name(rc),
			        written != NULL ? written : "(its schedule could not be written)");
		}
		if (!once)
			check_replayed(e, &s);
		more = !once && next_prefix(e, &s);
		tti_sim_schedule_fini(&s);
	}
	e->result.complete = !more && !once;
	return rc < 0 ? rc : 0;
}

static void name_record(struct exploration *e)
{
	const char *asked = tti_env_var("TUTTI_SIM_RECORD"), *dir = tti_env_var("TMPDIR");

	if (asked != NULL && asked[0] != '\0')
		snprintf(e->record_path, sizeof(e->record_path), "%s", asked);
	else
		snprintf(e->record_path, sizeof(e->record_path), "%s/tutti-%s-%d.schedule", dir != NULL ? dir : "/tmp",
		         e->type->name, (int)getpid());
}

intptr_t tt_verb_explore_(void *on, const tt_task_type *type, const void *args, const char *site)
{
	static const tt_explore_options none;
	static const tt_sim_options no_sim;
	const tt_explore_ *request = on;
	struct exploration e = {
		.options = request->options != NULL ? request->options : &none, .type = type, .args = args, .site = site,
	};
	int rc;

	e.sim = e.options->sim != NULL ? *e.options->sim : no_sim;
	e.sim.strategy = TT_SIM_REPLAY;
	if (e.sim.faults == 0)
		e.sim.faults = TT_FAULTS_NONE;
	e.delays = e.options->delays != 0 ? e.options->delays : DELAYS_DEFAULT;
	name_record(&e);
	rc = explore(&e);
	tti_env_real.free(e.prefix);
	if (request->ret_result != NULL)
		*request->ret_result = e.result;
	return rc;
}

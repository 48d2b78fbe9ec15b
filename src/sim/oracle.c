/* SPDX-License-Identifier: MIT */
/*
 * oracle.c - who runs next. The scheduler asks for one of n; what it gets is recorded, so
 * that a run can be replayed and shortened.
 *
 * Random walk  every choice even.
 * PCT          each task and each worker has a random priority, the highest runs; at
 *              depth - 1 random choices the one that would run falls below all others
 *              (Burckhardt, Kothari, Musuvathi and Nagarakatte, ASPLOS 2010: finds a bug
 *              of depth d with probability 1 / (n k^(d-1))). Every 16th choice is even,
 *              or a task that polls by yielding would keep the others away for ever.
 * Replay       the recorded choices, then the usual: the oldest task, the next worker.
 */
#include <string.h>

#include "base/panic.h"
#include "sim/sim.h"

#define PCT_EVEN_EVERY 16

/* ---- PCT ---- */

static uint64_t priority_of(const struct tti_sim_oracle *o, uint64_t identity)
{
	for (uint32_t i = 0; i < o->n_lowered; i++)
		if (o->lowered[i] == identity)
			return o->n_lowered - i;
	return UINT64_C(1) << 63 | tti_mix64(identity ^ o->salt);
}

static uint64_t worker_identity(size_t index)
{
	return UINT64_C(1) << 63 | index;
}

/* The candidates of a pick, in the order in which the scheduler numbers them. */
static size_t best_task(struct tti_sim_oracle *o, uint64_t *ret_identity)
{
	const struct tti_worker *w = tti_worker_here();
	uint64_t best = 0, p;
	size_t i = 0, best_at = 0;

	for (const struct tti_link *n = w->ready.head; n != NULL; n = n->next, i++) {
		const struct tt_task *t = TTI_CONTAINER_OF(n, struct tt_task, ready_link);

		p = priority_of(o, t->id);
		if (p > best) {
			best = p;
			best_at = i;
			*ret_identity = t->id;
		}
	}
	TTI_LIST_FOR_EACH (n, &w->fresh) {
		const struct tt_task *t = TTI_CONTAINER_OF(n, struct tt_task, fresh_link);

		p = priority_of(o, t->id);
		if (p > best) {
			best = p;
			best_at = i;
			*ret_identity = t->id;
		}
		i++;
	}
	return best_at;
}

static size_t best_worker(struct tti_sim_oracle *o, size_t n, const unsigned *workers, uint64_t *ret_identity)
{
	uint64_t best = 0;
	size_t best_at = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t p = priority_of(o, worker_identity(workers[i]));

		if (p > best) {
			best = p;
			best_at = i;
			*ret_identity = worker_identity(workers[i]);
		}
	}
	return best_at;
}

static void maybe_lower(struct tti_sim_oracle *o, uint64_t identity)
{
	for (uint32_t i = 0; i < o->n_changes; i++) {
		if (o->change_at[i] != o->choices)
			continue;
		o->lowered[o->n_lowered++] = identity;
		return;
	}
}

static bool is_even_choice(struct tti_sim_oracle *o, const char *what)
{
	if (o->strategy != TT_SIM_PCT)
		return true;
	/* Other choices (a place, a ready arm) have no identities to rank. */
	if (strcmp(what, "ready") != 0 && strcmp(what, "turn") != 0)
		return true;
	return tti_rng_below(&o->rng, PCT_EVEN_EVERY) == 0;
}

/* ---- choices ---- */

static size_t replayed(const struct tti_sim_oracle *o, size_t n, size_t usual)
{
	const struct tti_sim_schedule *s = &o->sim->schedule;

	if (o->choices >= s->replay_len || s->replay[o->choices] == TTI_SIM_USUAL)
		return usual;
	return s->replay[o->choices] % n;
}

static size_t record(struct tti_sim_oracle *o, size_t n, const char *what, size_t usual, size_t picked)
{
	const tt_sim_options *options = o->sim->options;

	if (o->choices < options->record_max)
		options->record[o->choices] = (uint32_t)picked;
	tti_sim_schedule_note(&o->sim->schedule, what, n, usual, picked);
	o->choices++;
	tti_sim_trace(o->sim, TTI_SIM_CHOICE, what, n, picked);
	return picked;
}

static size_t choose(struct tti_oracle *base, size_t n, const char *what)
{
	struct tti_sim_oracle *o = (struct tti_sim_oracle *)(void *)base;
	uint64_t identity = 0;
	size_t picked;

	if (o->strategy == TT_SIM_REPLAY)
		return record(o, n, what, 0, replayed(o, n, 0));
	if (is_even_choice(o, what))
		return record(o, n, what, 0, (size_t)tti_rng_below(&o->rng, n));
	picked = best_task(o, &identity);
	TT_ASSERT(picked < n);
	maybe_lower(o, identity);
	return record(o, n, what, 0, picked);
}

/* The next in turn after the one that ran last; workers are in ascending order. */
static size_t next_in_turn(const struct tti_sim *sim, const unsigned *workers, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (workers[i] > sim->running)
			return i;
	return 0;
}

size_t tti_sim_choose_worker(struct tti_sim *sim, const unsigned *workers, size_t n)
{
	struct tti_sim_oracle *o = &sim->oracle;
	uint64_t identity = 0;
	size_t picked, usual;

	if (n == 1)
		return 0;
	usual = next_in_turn(sim, workers, n);
	if (o->strategy == TT_SIM_REPLAY)
		return record(o, n, "turn", usual, replayed(o, n, usual));
	if (is_even_choice(o, "turn"))
		return record(o, n, "turn", usual, (size_t)tti_rng_below(&o->rng, n));
	picked = best_worker(o, n, workers, &identity);
	maybe_lower(o, identity);
	return record(o, n, "turn", usual, picked);
}

static void event(struct tti_oracle *base, const char *what, uint64_t a, uint64_t b)
{
	struct tti_sim_oracle *o = (struct tti_sim_oracle *)(void *)base;

	if (what[0] == 'r')
		o->sim->switches++;
	tti_sim_trace(o->sim, TTI_SIM_EVENT, what, a, b);
}

static void plan_changes(struct tti_sim_oracle *o, unsigned depth)
{
	/* The length of a run is not known beforehand: its order of magnitude is drawn. */
	uint64_t length = UINT64_C(16) << tti_rng_below(&o->rng, 8);

	if (depth == 0)
		depth = 2 + (unsigned)tti_rng_below(&o->rng, 3);
	TT_REQUIRE(depth >= 2 && depth <= 8, "tt_sim_options.depth: %u is not from 2 to 8", depth);
	o->n_changes = depth - 1;
	for (uint32_t i = 0; i < o->n_changes; i++)
		o->change_at[i] = (uint32_t)tti_rng_below(&o->rng, length);
}

void tti_sim_oracle_init(struct tti_sim *sim)
{
	struct tti_sim_oracle *o = &sim->oracle;

	*o = (struct tti_sim_oracle){
		.base = { .choose = choose, .event = event },
		.sim = sim,
		.strategy = sim->schedule.loaded != NULL ? TT_SIM_REPLAY : sim->options->strategy,
	};
	tti_rng_init(&o->rng, sim->seed, 1);
	if (o->strategy == TT_SIM_ANY)
		o->strategy = tti_rng_below(&o->rng, 3) == 0 ? TT_SIM_PCT : TT_SIM_RANDOM_WALK;
	o->salt = tti_rng_next(&o->rng);
	if (o->strategy == TT_SIM_PCT)
		plan_changes(o, sim->options->depth);
}

/* SPDX-License-Identifier: MIT */
/*
 * program.c - programs from seeds, their runs, and what becomes of a failure.
 *
 * A run        The root task is the referee: it starts the program's tasks, and whenever all
 *              of them are parked it says so in the history. When time cannot move them either it
 *              cancels who is stuck: one, or all at once. So every program ends, and every
 *              call of the history has returned.
 * Seeds        LIN_SCHEDULES seeds in a row are one program under different schedules. In the
 *              simulator the seed of the run is the same number, so that TUTTI_SEED repeats it.
 * A failure    prints the program, the history as far as it can be explained, and the line that
 *              repeats it; then calls are left out one by one, as long as some schedule of what
 *              is left still fails, and what cannot be spared any more is printed.
 * A crash      prints program and history on the way out.
 */
#include "linear.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIN_SCHEDULES 4
#define PROGRAMS_USUAL 150
#define SHRINK_SCHEDULES 40
#define ROUNDS_MAX 2000

#define KINDS_MAX 16

struct totals {
	unsigned programs, runs, calls, waited, cancelled, timed_out, states_max;
	unsigned of_kind[KINDS_MAX];         /* calls */
};

static struct lin_run the_run;               /* one at a time in a process */

/* ---- programs ---- */

static unsigned below(struct tti_rng *r, unsigned n)
{
	return (unsigned)tti_rng_below(r, n);
}

static void plan_call(const struct lin_spec *spec, struct tti_rng *r, struct lin_plan *p, int unique)
{
	unsigned sum = 0, pick;
	const struct lin_kind *k;

	for (unsigned i = 0; i < spec->n_kinds; i++)
		sum += spec->kinds[i].weight;
	pick = below(r, sum);
	for (p->kind = 0; pick >= spec->kinds[p->kind].weight; p->kind++)
		pick -= spec->kinds[p->kind].weight;
	k = &spec->kinds[p->kind];
	p->arg = k->args == LIN_UNIQUE ? unique : k->args > 0 ? (int)below(r, k->args) : 0;
	p->timeout = TT_NEVER;
	if (k->waits && below(r, 12) == 0)
		p->timeout = 0;
	else if (k->waits && below(r, 4) == 0)
		p->timeout = TT_US(1 + below(r, 40));
}

static void plan_one(const struct lin_spec *spec, struct tti_rng *r, unsigned tasks, struct lin_plan *p, int unique)
{
	unsigned pause = below(r, 10);

	*p = (struct lin_plan){ .pause = pause < 5 ? LIN_NO_PAUSE : pause < 8 ? LIN_SLEEP : LIN_YIELD };
	p->pause_ns = TT_US(1 + below(r, 30));
	plan_call(spec, r, p, unique);
	if (below(r, 8) == 0) {
		p->cancels = true;
		p->arg = (int)below(r, tasks);
	}
}

/* 3 tasks of 4 calls, 2 of 6, 4 of 3. */
static struct lin_program make_program(const struct lin_spec *spec, uint64_t seed)
{
	static const unsigned shapes[][2] = { { 3, 4 }, { 3, 4 }, { 2, 6 }, { 4, 3 } };
	struct lin_program p = { .seed = seed };
	struct tti_rng r;
	unsigned shape;

	tti_rng_init(&r, seed / LIN_SCHEDULES, 100);
	shape = below(&r, sizeof(shapes) / sizeof(shapes[0]));
	p.tasks = shapes[shape][0];
	p.len = shapes[shape][1];
	if (spec->tasks != 0 && p.tasks > spec->tasks)
		p.tasks = spec->tasks;
	p.param = below(&r, spec->params);
	p.cancels_all = below(&r, 3) == 0;
	p.place = below(&r, 3) == 0 ? LIN_ANYWHERE : below(&r, LIN_TASKS);
	for (unsigned task = 0; task < p.tasks; task++)
		for (unsigned i = 0; i < p.len; i++)
			plan_one(spec, &r, p.tasks, &p.plan[task][i], (int)(1 + task * LIN_PLAN + i));
	return p;
}

/* ---- recording ---- */

void lin_log(struct lin_run *r, enum lin_event_kind kind, unsigned call, int what, int number)
{
	/* acq_rel: pairs with itself: one order of all events, in which a return that came before an
	 * invocation has the smaller number. */
	unsigned i = tti_fetch_add_acq_rel(&r->n_events, 1);

	if (i >= LIN_EVENTS)
		abort();
	r->history.events[i] = (struct lin_event){
		.kind = (uint8_t)kind, .call = (uint8_t)call, .what = (int16_t)what, .number = number,
	};
}

unsigned lin_call_index(const struct lin_run *r, const struct lin_call *c)
{
	return (unsigned)(c - r->history.calls);
}

static unsigned events_so_far(struct lin_run *r)
{
	/* acquire: pairs with the release of lin_log(). */
	return tti_load_acquire(&r->n_events);
}

static void count(tti_atomic_u32 *a, uint32_t by)
{
	/* acq_rel: pairs with the load of a_task_is_timed(): a task that is parked was counted. */
	tti_fetch_add_acq_rel(a, by);
}

int lin_sleep(struct lin_run *r, int64_t ns)
{
	int rc;

	count(&r->timed, 1);
	rc = tt_sleep(ns);
	count(&r->timed, UINT32_MAX);
	return rc;
}

/* ---- calls ---- */

/* False: the task waits in nothing that could be cancelled. */
static bool cancel_call_of(struct lin_run *r, unsigned task)
{
	/* acq_rel: pairs with the exchanges in call_in_scope(). */
	tt_canceller **c = tti_exchange_acq_rel(&r->waits_in[task], NULL);

	if (c == NULL)
		return false;
	lin_log(r, LIN_CANCEL, (unsigned)(c - r->cancellers), 0, 0);
	tt_cancel(*c);
	tt_canceller_put(*c);
	return true;
}

/* The wait of task `first`, or of the next that waits; false: nobody does. */
static bool cancel_somebody(struct lin_run *r, unsigned first)
{
	for (unsigned i = 0; i < r->program->tasks; i++)
		if (cancel_call_of(r, (first + i) % r->program->tasks))
			return true;
	return false;
}

static void call_in_scope(struct lin_run *r, struct lin_call *c)
{
	unsigned index = lin_call_index(r, c);
	tt_canceller **canceller = &r->cancellers[index];
	bool timed = c->timeout != TT_NEVER;
	int64_t began = tt_now();

	TT_SCOPE(s, c->timeout);
	*canceller = tt_scope_canceller(&s);
	count(&r->timed, timed);
	lin_log(r, LIN_INVOKE, index, 0, 0);
	/* acq_rel: pairs with the one in cancel_call_of(). */
	TT_IGNORE(tti_exchange_acq_rel(&r->waits_in[c->task], canceller) != NULL);
	r->spec->call(r, c);
	c->timed_out = timed && tt_now() - began >= c->timeout;
	lin_log(r, LIN_RETURN, index, 0, 0);
	/* acq_rel: as above. */
	if (tti_exchange_acq_rel(&r->waits_in[c->task], NULL) != NULL)
		tt_canceller_put(*canceller);
	count(&r->timed, timed ? UINT32_MAX : 0);
	TT_IGNORE(tt_scope_end(&s, c->rc));
}

static void perform(struct lin_run *r, const struct lin_call *wanted)
{
	/* relaxed: a number of its own for each; the run's end publishes all of it. */
	unsigned index = tti_fetch_add_relaxed(&r->n_calls, 1);
	struct lin_call *c = &r->history.calls[index];

	if (index >= LIN_CALLS)
		abort();
	*c = *wanted;
	if (r->spec->kinds[c->kind].waits) {
		call_in_scope(r, c);
		return;
	}
	lin_log(r, LIN_INVOKE, index, 0, 0);
	r->spec->call(r, c);
	lin_log(r, LIN_RETURN, index, 0, 0);
}

static void follow(struct lin_run *r, unsigned task, const struct lin_plan *p)
{
	struct lin_call c = { .kind = p->kind, .task = (uint8_t)task, .arg = p->arg, .timeout = p->timeout };

	if (p->pause == LIN_YIELD)
		TT_IGNORE(tt_yield());
	else if (p->pause == LIN_SLEEP)
		TT_IGNORE(lin_sleep(r, p->pause_ns));
	if (p->cancels)
		TT_IGNORE(cancel_somebody(r, (unsigned)p->arg));
	else if (r->spec->adapt == NULL || r->spec->adapt(r, &c))
		perform(r, &c);
}

static TT_TASK(lin_task, (struct lin_run *, r), (unsigned, task))
{
	struct lin_call c = { .task = (uint8_t)task, .timeout = TT_NEVER };

	if (r->spec->begin != NULL)
		r->spec->begin(r, task);
	for (unsigned i = 0; i < r->program->len; i++)
		if (!r->program->plan[task][i].dropped)
			follow(r, task, &r->program->plan[task][i]);
	while (r->spec->tidy_up != NULL && r->spec->tidy_up(r, &c)) {
		perform(r, &c);
		c = (struct lin_call){ .task = (uint8_t)task, .timeout = TT_NEVER };
	}
	count(&r->left, UINT32_MAX);
	return 0;
}

/* ---- the referee ---- */

/* Returns when all were parked at a moment since the last event; says so once. */
static void wait_until_quiet(struct lin_run *r, unsigned *said)
{
	unsigned before;

	do {
		before = events_so_far(r);
		REQUIRE_OK(tt_test_wait_all_parked());
	} while (events_so_far(r) != before);
	if (*said == before)
		return;
	lin_log(r, LIN_QUIET, 0, 0, 0);
	*said = before + 1;
}

static bool counts_any(tti_atomic_u32 *a)
{
	/* acquire: pairs with the release of count(). */
	return tti_load_acquire(a) != 0;
}

static void end_a_wait(struct lin_run *r, tt_group *g, struct tti_rng *rng)
{
	unsigned first = below(rng, r->program->tasks);

	if (!r->program->cancels_all && cancel_somebody(r, first))
		return;
	lin_log(r, LIN_CANCEL_ALL, 0, 0, 0);
	tt_group_cancel(g);
}

static void referee(struct lin_run *r, tt_group *g)
{
	unsigned said = UINT32_MAX;
	struct tti_rng rng;

	tti_rng_init(&rng, r->program->seed, 101);
	for (unsigned round = 0; round < ROUNDS_MAX; round++) {
		TT_IGNORE(TT_SHIELDED(TT_NEVER, (wait_until_quiet(r, &said), 0)));
		if (!counts_any(&r->left))
			return;
		if (counts_any(&r->timed))
			TT_IGNORE(TT_SHIELDED(TT_NEVER, tt_sleep(TT_US(1 + below(&rng, 20)))));
		else
			end_a_wait(r, g, &rng);
	}
}

static int run_tasks(struct lin_run *r)
{
	const struct lin_program *p = r->program;

	TT_GROUP(g);
	for (unsigned task = 0; task < p->tasks; task++) {
		tt_child_options o = { .worker = p->place == LIN_ANYWHERE ? TT_WORKER_ANY : TT_WORKER(task + p->place) };

		tt_go_with(&g, &o, lin_task, r, task);
	}
	referee(r, &g);
	return tt_group_end(&g, 0);
}

static TT_TASK(lin_root, (struct lin_run *, r))
{
	r->spec->open(r);
	TT_IGNORE(run_tasks(r));
	if (r->spec->close != NULL)
		r->spec->close(r);
	return 0;
}

static void begin_run(struct lin_run *r, const struct lin_spec *spec, const struct lin_program *p)
{
	memset(r, 0, sizeof(*r));
	r->spec = spec;
	r->program = p;
	r->history.tasks = p->tasks;
	r->left.v = p->tasks;
}

static void end_run(struct lin_run *r)
{
	r->history.n_calls = r->n_calls.v;
	r->history.n_events = r->n_events.v;
}

/* ---- failures ---- */

/* Whoever dies says what of. */
static void say_on_abort(int signo)
{
	struct lin_run *r = &the_run;

	if (r->program != NULL) {
		r->history.n_events = r->n_events.v;
		lin_print_program(r->spec, r->program);
		lin_print_history(r->spec, &r->history, NULL);
	}
	signal(signo, SIG_DFL);
	raise(signo);
}

static void print_failure(const struct lin_program *p, const struct lin_verdict *v)
{
	lin_print_program(the_run.spec, p);
	lin_print_history(the_run.spec, &the_run.history, v);
}

static struct lin_verdict run_simulated(const struct lin_spec *spec, const struct lin_program *p, uint64_t schedule)
{
	tt_sim_options o = { .seed = schedule, .workers = tt_test_workers(), .faults = TT_FAULTS_GENTLE, .quiet = true };

	begin_run(&the_run, spec, p);
	EXPECT_OK(tt_sim_run_with(&o, lin_root, &the_run));
	end_run(&the_run);
	return lin_check(spec, p->param, &the_run.history);
}

/* Some schedule of p fails: the_run and *ret are of that run. */
static bool fails_somehow(const struct lin_spec *spec, const struct lin_program *p, struct lin_verdict *ret)
{
	for (unsigned i = 0; i < SHRINK_SCHEDULES; i++) {
		*ret = run_simulated(spec, p, p->seed + i);
		if (!ret->ok)
			return true;
	}
	return false;
}

static bool drop_one(const struct lin_spec *spec, struct lin_program *p)
{
	struct lin_verdict v;

	for (unsigned task = 0; task < p->tasks; task++) {
		for (unsigned i = 0; i < p->len; i++) {
			struct lin_plan *plan = &p->plan[task][i];

			if (plan->dropped)
				continue;
			plan->dropped = true;
			if (fails_somehow(spec, p, &v))
				return true;
			plan->dropped = false;
		}
	}
	return false;
}

static void shrink(const struct lin_spec *spec, struct lin_program p)
{
	struct lin_verdict v;

	while (drop_one(spec, &p))
		continue;
	if (!fails_somehow(spec, &p, &v))
		return;
	fprintf(stderr, "what cannot be spared of it:\n");
	print_failure(&p, &v);
}

/* ---- many ---- */

static void count_run(struct totals *t, const struct lin_verdict *v)
{
	const struct lin_history *h = &the_run.history;

	t->runs++;
	t->calls += h->n_calls;
	if (v->states_max > t->states_max)
		t->states_max = v->states_max;
	for (unsigned i = 0; i < h->n_calls; i++) {
		t->of_kind[h->calls[i].kind]++;
		t->cancelled += h->calls[i].rc == TT_ECANCELED;
		t->timed_out += h->calls[i].rc == TT_ECANCELED && h->calls[i].timed_out;
	}
	for (unsigned i = 1; i < h->n_events; i++)
		t->waited += h->events[i].kind == LIN_QUIET && h->events[i - 1].kind == LIN_INVOKE;
}

static void say_totals(const struct lin_spec *spec, const struct totals *t)
{
	tt_test_note("%s: %u programs, %u runs, %u calls, %u cancelled (%u by time), %u times all parked in a call, at most %u states",
	             spec->name, t->programs, t->runs, t->calls, t->cancelled, t->timed_out, t->waited, t->states_max);
}

/* A generator that no longer reaches something would prove nothing about it. */
static void expect_all_kinds(const struct lin_spec *spec, const struct totals *t)
{
	REQUIRE_TRUE(spec->n_kinds <= KINDS_MAX);
	for (unsigned i = 0; i < spec->n_kinds; i++)
		if (!EXPECT_GT(t->of_kind[i], 0))
			tt_test_note("%s: %s is never called", spec->name, spec->kinds[i].name);
	EXPECT_GT(t->waited, 0);
	EXPECT_GT(t->cancelled, 0);
}

static void report(const struct lin_spec *spec, const struct lin_program *p, const struct lin_verdict *v)
{
	bool is_linearizable = v->ok;

	EXPECT_TRUE(is_linearizable);
	print_failure(p, v);
	shrink(spec, *p);
	fprintf(stderr, "to repeat: --on=sim --workers=%u --only=linear.%s --seed=%" PRIu64 " --seeds=1\n", tt_test_workers(),
	        spec->name, p->seed);
}

void lin_simulate(const struct lin_spec *spec)
{
	unsigned seeds = tt_test_seeds(LIN_SCHEDULES * PROGRAMS_USUAL);
	uint64_t first = tt_test_seed();
	struct totals t = { 0 };
	bool failed = false;

	signal(SIGABRT, say_on_abort);
	for (unsigned i = 0; i < seeds && !failed; i++) {
		struct lin_program p = make_program(spec, first + i);
		struct lin_verdict v = run_simulated(spec, &p, p.seed);

		t.programs += i == 0 || p.seed % LIN_SCHEDULES == 0;
		count_run(&t, &v);
		failed = !v.ok;
		if (failed)
			report(spec, &p, &v);
	}
	if (!failed && t.programs >= PROGRAMS_USUAL)
		expect_all_kinds(spec, &t);
	say_totals(spec, &t);
}

void lin_run_here(const struct lin_spec *spec, unsigned programs)
{
	uint64_t first = tt_test_seed();
	struct totals t = { .programs = programs };

	signal(SIGABRT, say_on_abort);
	for (unsigned i = 0; i < programs; i++) {
		struct lin_program p = make_program(spec, (first + i) * LIN_SCHEDULES);
		struct lin_verdict v;

		begin_run(&the_run, spec, &p);
		TT_IGNORE(lin_root(&the_run));
		end_run(&the_run);
		v = lin_check(spec, p.param, &the_run.history);
		count_run(&t, &v);
		if (EXPECT_TRUE(v.ok))
			continue;
		print_failure(&p, &v);
		break;
	}
	say_totals(spec, &t);
}

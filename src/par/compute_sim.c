/* SPDX-License-Identifier: MIT */
/*
 * compute_sim.c - a region in a simulation, where no thread may be made: its pool is its own,
 * and its threads are fibers that take turns.
 *
 * A turn is a job of the simulated blocking pool: the fiber that the oracle picks runs until a
 * place where another one may go on (a fork, a checkpoint, a wait), decided by the oracle as
 * well. Between two turns the simulation goes on, so a cancel can come in the middle, and one
 * seed is one order of everything. Whether the oldest job is shared is a choice at every fork:
 * what is rare elsewhere is half of all cases here.
 */
#include "par/compute.h"

#include "base/panic.h"
#include "base/sometimes.h"
#include "fiber/fiber.h"
#include "wait/wait.h"

#define VIRTUAL_THREADS 3
/* So many places are each a choice of two; later ones of many, or long loops would not end. */
#define EVEN_PLACES 48
#define LATER_CHOICES 256
/* A loop over a huge range would be split for ever. */
#define SHARES_MAX 1000

struct tti_compute_sim {
	struct tti_job turn;
	struct tti_waiter waiter;            /* the task's */
	struct tti_runtime *rt;
	struct tti_compute *pool;
	struct tt_par_share_ *region;
	struct tti_fiber_pool stacks;
	struct tti_fiber outside;            /* the simulation's own stack, during a turn */
	uint64_t places, shares;
	bool ended;                          /* the region has */
};

static size_t choose(struct tti_compute_sim *sim, size_t n)
{
	return n < 2 ? 0 : sim->rt->oracle->choose(sim->rt->oracle, n, "compute");
}

/* ---- on a fiber ---- */

static void step_aside(struct tti_compute_worker *w)
{
	tti_fiber_switch(w->fiber, &w->pool->sim->outside, false);
}

void tti_compute_sim_point(struct tti_compute_worker *w)
{
	struct tti_compute_sim *sim = w->pool->sim;

	if (choose(sim, sim->places++ < EVEN_PLACES ? 2 : LATER_CHOICES) == 0)
		step_aside(w);
}

bool tti_compute_sim_shares(struct tti_compute_worker *w)
{
	struct tti_compute_sim *sim = w->pool->sim;

	if (sim->shares == SHARES_MAX || choose(sim, sim->shares < EVEN_PLACES ? 2 : LATER_CHOICES / 16) != 0)
		return false;
	sim->shares++;
	return true;
}

void tti_compute_sim_wait(struct tti_compute_worker *w)
{
	w->waiting = true;
	step_aside(w);
	w->waiting = false;
}

static void fiber_main(void *arg)
{
	struct tti_compute_worker *w = arg;

	tti_compute_work(w);
	w->left = true;
	tti_fiber_switch(w->fiber, &w->pool->sim->outside, true);
	tti_panic("compute_sim.c", "a fiber that ended was resumed");
}

static void region_done(struct tt_par_share_ *s)
{
	struct tti_compute_sim *sim = s->owner;

	sim->ended = true;
	sim->pool->closing = true;
}

/* ---- turns ---- */

static bool can_run(struct tti_compute_worker *w)
{
	return !w->left && (!w->waiting || tti_compute_can_go_on(w));
}

static struct tti_compute_worker *pick(struct tti_compute_sim *sim)
{
	struct tti_compute_worker *able[VIRTUAL_THREADS];
	size_t n = 0;

	for (unsigned i = 0; i < sim->pool->n_workers; i++)
		if (can_run(&sim->pool->workers[i]))
			able[n++] = &sim->pool->workers[i];
	TT_REQUIRE(n > 0, "compute_sim.c: nobody can go on in %s", sim->region->why);
	return able[choose(sim, n)];
}

static void resume(struct tti_compute_sim *sim, struct tti_compute_worker *w)
{
	struct tti_error *before = tti_error_bind_thread(w->bound);

	tti_compute_enter(w);
	tti_fiber_switch(&sim->outside, w->fiber, false);
	tti_compute_enter(NULL);
	w->bound = tti_error_bind_thread(before);
}

/* The region is over: its threads leave their loops, one after the other. */
static void run_out(struct tti_compute_sim *sim)
{
	for (unsigned i = 0; i < sim->pool->n_workers; i++)
		while (!sim->pool->workers[i].left)
			resume(sim, &sim->pool->workers[i]);
}

/* Its jobs, on the simulation's own stack. */
static void turn_run(struct tti_job *j)
{
	struct tti_compute_sim *sim = TTI_CONTAINER_OF(j, struct tti_compute_sim, turn);

	tti_fiber_adopt_thread(&sim->outside);
	resume(sim, pick(sim));
	if (sim->ended)
		run_out(sim);
}

static void turn_back(struct tti_msg *m)
{
	struct tti_compute_sim *sim = TTI_CONTAINER_OF(m, struct tti_compute_sim, turn.msg);

	if (tti_claim(&sim->waiter))
		tti_wake(&sim->waiter);
}

/* The region ends first, though nothing of it may have begun. */
static void sim_abort(struct tti_waiter *w)
{
	struct tti_compute_sim *sim = TTI_CONTAINER_OF(w, struct tti_compute_sim, waiter);

	TTI_SOMETIMES(sim->places == 0, "a computation is cancelled before it begins");
	TTI_SOMETIMES(sim->places > 0, "a computation is cancelled in the middle");
	tti_compute_stop(sim->pool, sim->region);
}

/* ---- the region ---- */

static void close_pool(struct tti_compute_sim *sim)
{
	for (unsigned i = 0; i < sim->pool->n_workers; i++)
		if (sim->pool->workers[i].fiber != NULL)
			tti_fiber_release(&sim->stacks, sim->pool->workers[i].fiber);
	tti_compute_free(sim->pool);
	tti_fiber_pool_fini(&sim->stacks);
}

static int open_pool(struct tti_compute_sim *sim)
{
	int rc = tti_fiber_pool_init(&sim->stacks, &sim->rt->arena);

	if (rc < 0)
		return rc;
	sim->pool = tti_compute_new(VIRTUAL_THREADS, sim->rt->env);
	if (sim->pool == NULL) {
		tti_fiber_pool_fini(&sim->stacks);
		return TT_ENOMEM;
	}
	sim->pool->sim = sim;
	for (unsigned i = 0; i < VIRTUAL_THREADS && rc == 0; i++) {
		struct tti_compute_worker *w = &sim->pool->workers[i];

		w->open.beat.v = 1;
		rc = tti_fiber_acquire(&sim->stacks, TTI_STACK_1M, &w->fiber);
		if (rc == 0)
			tti_fiber_prepare(w->fiber, fiber_main, w);
	}
	if (rc < 0)
		close_pool(sim);
	return rc;
}

/* The task is woken after each turn, so that each is a place where a cancel can strike. */
static void take_turn(struct tti_compute_sim *sim, const char *site)
{
	int rc;

	tti_waiter_init(&sim->waiter, sim->region->why, NULL);
	sim->waiter.abort = sim_abort;
	sim->waiter.reason.site = site;
	rc = tti_job_submit(&sim->turn, TTI_JOB_USER);
	TT_ASSERT(rc == 0); /* a simulated job needs no thread */
	(void)rc;
	tti_park(&sim->waiter);
}

int tti_compute_sim_region(struct tti_runtime *rt, struct tt_par_share_ *s, const char *site)
{
	struct tti_compute_sim sim = { .rt = rt, .region = s };
	int rc = open_pool(&sim);

	if (rc < 0)
		return rc;
	s->owner = &sim;
	s->done = region_done;
	sim.turn.run = turn_run;
	sim.turn.msg.handle = turn_back;
	tti_compute_submit(sim.pool, s);
	while (!sim.ended)
		take_turn(&sim, site);
	close_pool(&sim);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * census_test.c - the count of tasks in testing/parked.c under the model: a task asks every worker
 * for a form, and the last one who fills his in wakes it; it reads all of them.
 *
 * parked.c is part of this file: what takes a census is static.
 */
/* model-sources: src/sched/sleep.c @worker */
#include "workers.h"

#include "testing/parked.c"

static struct tti_census taken;
static struct tti_msg stop_msgs[WORKERS];
static bool stopped[WORKERS];

static void setup_n(unsigned n)
{
	workers_setup(n, 1);
	memset(&taken, 0, sizeof(taken));
	for (unsigned i = 0; i < n; i++) {
		workers[i].slices = 1;
		stopped[i] = false;
	}
}

static void setup_2(void) { setup_n(2); }
static void setup_3(void) { setup_n(3); }

static void handle_stop(struct tti_msg *m)
{
	(void)m;
	stopped[tti_home_here->index] = true;
}

static void asker(void)
{
	worker_start();
	take_real(&taken);
	for (unsigned i = 1; i < runtime.n_workers; i++) {
		stop_msgs[i].handle = handle_stop;
		tti_worker_post(&workers[i], &stop_msgs[i]);
	}
}

static void asked(void)
{
	struct tti_worker *w = worker_start();

	while (!stopped[w->home.index]) {
		tti_worker_finish(w);
		if (!stopped[w->home.index])
			sleep_for_messages(w);
	}
}

static void check(void)
{
	MODEL_ASSERT(taken.alive == 0 && taken.busy == 0);
	MODEL_ASSERT(taken.slices == runtime.n_workers);
	workers_retire(runtime.n_workers);
}

static const struct model_scenario scenarios[] = {
	{ .name = "two", .claim = "A census waits for the other worker's form.", .setup = setup_2,
	  .threads = { asker, asked }, .check = check },
	{ .name = "three", .claim = "And for both of two.", .setup = setup_3, .threads = { asker, asked, asked },
	  .check = check, .executions = 60000, .partial = true },
	{ .name = NULL },
};

int main(int argc, char **argv)
{
	static const char *const files[] = { "src/testing/parked.c", NULL };
	static const struct model_harness h = { .name = "census", .scenarios = scenarios, .files = files };

	return model_main(argc, argv, &h);
}

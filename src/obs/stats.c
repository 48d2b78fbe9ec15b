/* SPDX-License-Identifier: MIT */
/* stats.c - tt_stats_read(): the counters of all workers, summed on each one's own thread. */
#include <string.h>

#include <tutti/trace.h>

#include "sched/worker.h"

struct sum {
	tt_stats stats;
	struct tti_worker *worker;           /* being visited */
};

static void add(void *arg)
{
	struct sum *s = arg;
	struct tti_worker *w = s->worker;

	s->stats.tasks_started += w->spawned;
	s->stats.switches += w->slices;
	s->stats.wakes_sent += w->home.driver->wakes;
	s->stats.errors_dropped += w->home.error_nodes_dropped;
	TTI_LIST_FOR_EACH (link, &w->home.tasks) {
		s->stats.tasks_live++;
		s->stats.tasks_parked += TTI_CONTAINER_OF(link, struct tt_task, all_link)->state == TTI_TASK_PARKED;
	}
}

void tt_stats_read(tt_stats *ret_stats)
{
	struct tti_worker *here = tti_worker_here();
	struct sum s;

	memset(&s, 0, sizeof(s));
	for (unsigned i = 0; here != NULL && here->home.current != NULL && i < here->rt->n_workers; i++) {
		s.worker = here->rt->workers[i];
		tti_worker_call(&s.worker->home, "stats", add, &s);
	}
	*ret_stats = s.stats;
}

/* SPDX-License-Identifier: MIT */
/*
 * runtime.c - threads of a real runtime: start, run, and the order in which it stops.
 *
 * Stop order  The root task has ended, so no task is left. (1) stopping is set and every
 *             worker leaves its loop; (2) the blocking pool is ended, its last messages
 *             are posted to drivers that are still open; (3) each worker handles them and
 *             closes on its own thread (law 7); (4) the threads are joined.
 */
#include "rt/runtime.h"

#include <stdio.h>
#include <string.h>

#include "base/panic.h"
#include "net/net.h"
#include "par/blocking.h"
#include "par/compute.h"
#include "rt/inspect.h"

/* Waits on a futex word until it is at least n. */
static void wait_at_least(tti_atomic_u32 *word, uint32_t n)
{
	uint32_t seen;

	/* acquire: pairs with the release in count_up(). */
	while ((seen = tti_load_acquire(word)) < n)
		tti_env_futex_wait(word, seen, TT_NEVER);
}

static void count_up(tti_atomic_u32 *word)
{
	/* release: pairs with the acquire in wait_at_least(). */
	tti_fetch_add_release(word, 1);
	tti_env_futex_wake(word, INT32_MAX);
}

static int worker_enter(struct tti_run *run, struct tti_worker *w)
{
	uint32_t none = 0;
	int rc;

	tti_env_bind(run->rt.env);
	rc = tti_overflow_thread_enter();
	if (rc == 0) {
		rc = tti_worker_open(w);
		if (rc < 0)
			tti_overflow_thread_leave();
	}
	if (rc < 0)
		/* relaxed: the count that follows releases it. */
		TT_IGNORE(tti_cas_relaxed(&run->open_rc, &none, (uint32_t)-rc));
	else
		tti_home_here = &w->home;
	return rc;
}

static void worker_leave(struct tti_worker *w)
{
	tti_worker_finish(w);
	tti_home_here = NULL;
	tti_worker_close(w);
	tti_overflow_thread_leave();
}

static void worker_main(void *arg)
{
	struct tti_worker *w = arg;
	struct tti_run *run = TTI_CONTAINER_OF(w->rt, struct tti_run, rt);
	int rc = worker_enter(run, w);

	count_up(&run->opened);
	if (rc < 0)
		return;
	tti_worker_run(w);
	count_up(&run->left);
	wait_at_least(&run->close_now, 1);
	worker_leave(w);
}

static void stop_workers(struct tti_runtime *rt)
{
	/* relaxed: nothing is passed on with it, and the nudge that follows orders it. */
	tti_store_relaxed(&rt->stopping, 1);
	for (unsigned i = 0; i < rt->n_workers; i++)
		if (rt->workers[i]->home.driver != NULL)
			tti_worker_nudge(rt->workers[i]);
}

static void root_done(struct tti_root *r)
{
	stop_workers(r->rt);
}

/* How many threads besides this one were started; fewer than asked for sets open_rc. */
static unsigned start_threads(struct tti_run *run)
{
	unsigned n = 0;

	for (unsigned i = 1; i < run->rt.n_workers; i++) {
		struct tti_worker *w = run->rt.workers[i];
		char name[32];
		int rc;

		snprintf(name, sizeof(name), "tt-worker-%u", i);
		w->thread.fn = worker_main;
		w->thread.arg = w;
		rc = tti_env_thread_start(&w->thread, name);
		if (rc < 0) {
			/* relaxed: this thread reads it again itself. */
			tti_store_relaxed(&run->open_rc, (uint32_t)-rc);
			break;
		}
		n++;
	}
	return n;
}

static int run_root(struct tti_run *run, const struct tt_task_type *type, const void *args, const char *site)
{
	int rc;

	run->root.on_done = root_done;
	rc = tti_root_start(&run->root, &run->rt, type, args, site);
	if (rc < 0) {
		stop_workers(&run->rt);
		return rc;
	}
	if (run->started != NULL)
		run->started(run);
	tti_worker_run(run->rt.workers[0]);
	if (run->stopped != NULL)
		run->stopped(run);
	return 0;
}

static void check_leaks(struct tti_runtime *rt)
{
	int64_t live = -tti_tasks_freed_elsewhere();

	for (unsigned i = 0; i < rt->n_workers; i++)
		live += rt->workers[i]->home.created - rt->workers[i]->home.freed;
	/* A tt_task handle that was not put is a leak of the program's. */
	if (live != 0)
		fprintf(stderr, "tutti: %lld task handles were not given back with tt_task_put\n", (long long)live);
}

/* Plain threads that posted may still be about to wake a worker. */
static void wait_for_posters(struct tti_runtime *rt)
{
	unsigned turns = 0;

	/* acquire: pairs with the release in tti_worker_post(). */
	while (tti_load_acquire(&rt->outside) != 0)
		tti_spin_pause(&turns);
}

static int run_workers(struct tti_run *run, const struct tt_task_type *type, const void *args, const char *site)
{
	struct tti_worker *first = run->rt.workers[0];
	unsigned threads = start_threads(run), opened;
	int rc;

	wait_at_least(&run->opened, threads);
	/* relaxed: the wait acquired what the threads that count had set. */
	rc = -(int)tti_load_relaxed(&run->open_rc);
	opened = 0;
	for (unsigned i = 1; i <= threads; i++)
		opened += run->rt.workers[i]->home.driver != NULL;
	if (rc == 0)
		rc = run_root(run, type, args, site);
	else
		stop_workers(&run->rt);
	wait_at_least(&run->left, opened);
	tti_compute_shutdown(&run->rt);
	tti_blocking_shutdown(&run->rt);
	tti_net_shutdown(&run->rt);
	wait_for_posters(&run->rt);
	count_up(&run->close_now);
	for (unsigned i = 1; i <= threads; i++)
		tti_env_thread_join(&run->rt.workers[i]->thread);
	worker_leave(first);
	return rc;
}

int tti_run(struct tti_run *run, const tt_main_options *o, const struct tt_task_type *type, const void *args,
            const char *site)
{
	struct tti_runtime *rt = &run->rt;
	const struct tti_env_ops *before = tti_env_here;
	struct tti_stack_options stacks = { .unguarded = o->unguarded };
	int rc;

	rt->env = before;
	rt->driver_ops = o->io == TT_IO_EPOLL ? &tti_driver_epoll : &tti_driver_uring;
	rt->fallback_ops = o->io == TT_IO_AUTO ? &tti_driver_epoll : NULL;
	while (rt->stack_class < TTI_STACK_CLASSES - 1 &&
	       tti_stack_class_size((enum tti_stack_class)rt->stack_class) < o->stack_size)
		rt->stack_class++;
	rc = tti_stack_arena_init(&rt->arena, &stacks);
	if (rc < 0)
		return rc;
	rc = tti_runtime_init(rt, o->workers);
	if (rc < 0)
		return rc;
	rc = worker_enter(run, rt->workers[0]);
	if (rc == 0) {
		tt_inspect_.runtime = rt;
		rc = run_workers(run, type, args, site);
		tt_inspect_.runtime = NULL;
		check_leaks(rt);
	}
	tti_runtime_fini(rt);
	return rc;
}

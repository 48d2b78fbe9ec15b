/* SPDX-License-Identifier: MIT */
/*
 * workers.h - workers for the harnesses of code that runs in tasks or sends messages.
 *
 * Thread i of the model is worker i - 1. Its home, inbox and messages are the runtime's
 * own (sched/worker.c); only the loop is here: a park handles messages and starts fresh
 * tasks until the task was made ready, and sleeps on a token as a worker does on its
 * driver's eventfd. A worker runs one task of the harness on the thread's own stack.
 *
 * Included once by a harness, which then names these sources as well:
 *	src/sched/worker.c src/task/task.c src/task/error.c src/task/error_text.c
 *	src/wait/wait.c src/timer/wheel.c src/base/spin.c src/env/env.c
 *	src/fiber/fiber.c src/fiber/guard.c src/fiber/slab.c src/fiber/overflow.c
 */
#ifndef TTI_TESTS_MODEL_WORKERS_H
#define TTI_TESTS_MODEL_WORKERS_H

#include "model.h"

#include "env/env.h"
#include "io/driver.h"
#include "sched/worker.h"
#include "task/task.h"
#include "wait/wait.h"

#include <string.h>

#define WORKERS MODEL_THREADS_MAX

struct model_driver { struct tti_driver base; struct model_parker eventfd; };

static struct tti_worker workers[WORKERS];
static struct tti_worker *worker_list[WORKERS];
static struct model_driver drivers[WORKERS];
static struct tti_runtime runtime;
static struct tt_task *tasks[WORKERS];       /* the one each worker runs; NULL: none */
static bool task_ready[WORKERS];             /* its worker only */

/* Runs a fresh task; set by harnesses that spawn. */
static TT_UNUSED void (*run_fresh_task)(struct tti_worker *w, struct tt_task *t);

static void *workers_alloc(size_t n)
{
	/* The reserve of error nodes is not wanted here. */
	return n == sizeof(struct tt_error_node) ? NULL : model_alloc(n);
}

static void workers_free(void *p)
{
	if (p != NULL)
		model_free(p);
}

static int64_t workers_now(void)
{
	return 1;
}

static const struct tti_env_ops workers_env = {
	.name = "model", .alloc = workers_alloc, .free = workers_free, .now = workers_now,
};

static void workers_wake(struct tti_driver *d)
{
	model_unpark(&TTI_CONTAINER_OF(d, struct model_driver, base)->eventfd);
}

static const struct tti_driver_ops workers_driver = { .name = "model", .wake = workers_wake };

static void workers_post(struct tti_home *h, struct tti_msg *m)
{
	tti_worker_post(tti_worker_of(h), m);
}

static void workers_ready(struct tt_task *t)
{
	tti_task_move(t, TTI_TASK_READY);
	task_ready[t->home->index] = true;
}

static void handle_work(struct tti_worker *w)
{
	struct tti_list *n;

	tti_worker_finish(w);
	while ((n = tti_list_pop_front(&w->fresh)) != NULL) {
		w->fresh_len--;
		tti_list_init(n);
		run_fresh_task(w, TTI_CONTAINER_OF(n, struct tt_task, fresh_link));
	}
}

static void sleep_for_messages(struct tti_worker *w)
{
	if (!tti_inbox_sleep(&w->inbox))
		return; /* a message is there: look again */
	model_park(&drivers[w->home.index].eventfd);
	tti_inbox_awake(&w->inbox);
}

static void workers_park(struct tti_home *h)
{
	struct tti_worker *w = tti_worker_of(h);
	struct tt_task *t = h->current;

	h->current = NULL;
	while (!task_ready[h->index]) {
		handle_work(w);
		if (!task_ready[h->index])
			sleep_for_messages(w);
	}
	task_ready[h->index] = false;
	tti_task_move(t, TTI_TASK_RUNNING);
	h->current = t;
}

static const struct tti_home_ops workers_home = {
	.ready = workers_ready, .post = workers_post, .park = workers_park,
};

static int workers_task_main(void *args)
{
	(void)args;
	return 0;
}

static const struct tt_task_type workers_task_type = {
	.name = "task", .site = "model", .size = 0, .align = 1, .run = workers_task_main,
};

static void worker_init(struct tti_worker *w, unsigned i, unsigned n)
{
	worker_list[i] = w;
	tti_home_init(&w->home, i, n);
	w->home.ops = &workers_home;
	w->home.wheel = &w->wheel;
	w->home.budget = 1000;
	drivers[i] = (struct model_driver){ .base.ops = &workers_driver };
	w->home.driver = &drivers[i].base;
	/* Full, by its count: every record freed goes back to env, and is seen to. */
	w->home.free_tasks.len = SIZE_MAX / 2;
	w->rt = &runtime;
	tti_list_init(&w->fresh);
	tti_inbox_init(&w->inbox);
	tti_wheel_init(&w->wheel, 0);
}

/* In setup(): n workers; the first n_tasks of them have a task that runs. */
static TT_UNUSED void workers_setup(unsigned n, unsigned n_tasks)
{
	tti_env_bind(&workers_env);
	memset(workers, 0, sizeof(workers));
	memset(&runtime, 0, sizeof(runtime));
	memset(tasks, 0, sizeof(tasks));
	memset(task_ready, 0, sizeof(task_ready));
	runtime.env = &workers_env;
	runtime.workers = worker_list;
	runtime.n_workers = n;
	tti_home_here = NULL;
	model_thread_local(&tti_home_here, sizeof(tti_home_here));
	tti_spin_held = 0;
	model_thread_local(&tti_spin_held, sizeof(tti_spin_held));
	for (unsigned i = 0; i < n; i++)
		worker_init(&workers[i], i, n);
	for (unsigned i = 0; i < n_tasks; i++) {
		tasks[i] = tti_task_create(&workers[i].home, &workers_task_type, NULL, "model");
		MODEL_ASSERT(tasks[i] != NULL);
		tasks[i]->home = &workers[i].home;
		tti_task_move(tasks[i], TTI_TASK_RUNNING);
		workers[i].home.current = tasks[i];
	}
}

/* First in every thread that is a worker. */
static TT_UNUSED struct tti_worker *worker_start(void)
{
	struct tti_worker *w = &workers[model_thread() - 1];

	tti_home_here = &w->home;
	return w;
}

/* In check(): what came after a worker's last look, then its task goes. */
static TT_UNUSED void workers_retire(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		tti_home_here = &workers[i].home;
		tti_worker_finish(&workers[i]);
	}
	for (unsigned i = 0; i < n; i++) {
		if (tasks[i] == NULL)
			continue;
		tti_home_here = &workers[i].home;
		workers[i].home.current = NULL;
		tti_task_move(tasks[i], TTI_TASK_DONE);
		tti_list_unlink(&tasks[i]->all_link);
		tti_task_put(tasks[i]);
	}
}

#endif

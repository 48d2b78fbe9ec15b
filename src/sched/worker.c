/* SPDX-License-Identifier: MIT */
/* worker.c - the loop of a worker; the picture is in worker.h. */
#include "sched/worker.h"

#include <string.h>

#include "base/sometimes.h"
#include "base/spin.h"
#include "wait/wait.h"

/* Of the two queues both non-empty, every 8th pick starts a new task. */
#define FRESH_EVERY 8
/* Of the unstarted tasks, every 64th picked is the oldest. */
#define OLDEST_EVERY 64

/* While tasks are runnable the driver is asked this often, or once a turn if that takes
 * longer: a system call for a microsecond of switching would be most of the cost. */
#define BUSY_POLL_EVERY TT_US(50)
#define TRIM_EVERY TT_SEC(1)
#define TRIM_AGAIN TT_MS(10)

static void fiber_main(void *arg);

/* ---- queues ---- */

static void ready_push(struct tti_worker *w, struct tt_task *t)
{
	tti_queue_push(&w->ready, &t->ready_link);
}

static struct tt_task *ready_pop(struct tti_worker *w)
{
	struct tti_link *n = tti_queue_pop(&w->ready);

	return n != NULL ? TTI_CONTAINER_OF(n, struct tt_task, ready_link) : NULL;
}

static struct tt_task *fresh_take(struct tti_worker *w, struct tti_list *n)
{
	tti_list_unlink(n);
	w->fresh_len--;
	return TTI_CONTAINER_OF(n, struct tt_task, fresh_link);
}

static struct tt_task *fresh_pop(struct tti_worker *w)
{
	struct tti_list *n;

	if (w->fresh_len == 0)
		return NULL;
	n = w->picks % OLDEST_EVERY == 0 ? tti_list_last(&w->fresh) : tti_list_first(&w->fresh);
	return fresh_take(w, n);
}

/* The simulator may run any runnable task next. */
static struct tt_task *pick_by_oracle(struct tti_worker *w)
{
	struct tti_oracle *o = w->rt->oracle;
	size_t n = w->ready.len + w->fresh_len, index = n > 1 ? o->choose(o, n, "ready") : 0;
	struct tti_list *link;

	if (n == 0)
		return NULL;
	if (index < w->ready.len)
		return TTI_CONTAINER_OF(tti_queue_take(&w->ready, index), struct tt_task, ready_link);
	index -= w->ready.len;
	for (link = w->fresh.next; index > 0; link = link->next)
		index--;
	return fresh_take(w, link);
}

static struct tt_task *pick(struct tti_worker *w)
{
	struct tt_task *t;

	if (__builtin_expect(w->rt->oracle != NULL, 0))
		return pick_by_oracle(w);
	w->picks++;
	if (w->fresh_len > 0 && w->picks % FRESH_EVERY == 0)
		return fresh_pop(w);
	t = ready_pop(w);
	return t != NULL ? t : fresh_pop(w);
}

/* A count that only the worker's own thread writes, and others read as a hint. */
static void own_count_add(tti_atomic_u32 *count, uint32_t n)
{
	/* relaxed: a hint for placement. */
	tti_store_relaxed(count, tti_load_relaxed(count) + n);
}

/* ---- slices ---- */

/* Runs on the stack that was switched to: the one left for good can be recycled now. */
static inline void after_switch(struct tti_worker *w)
{
	struct tti_fiber *dead = w->dead_fiber;

	if (__builtin_expect(dead != NULL, 0)) {
		w->dead_fiber = NULL;
		tti_fiber_release(&w->fibers, dead);
	}
}

static inline void begin_slice(struct tti_worker *w, struct tt_task *t)
{
	TT_ASSERT(t->home == &w->home);
	tti_task_move(t, TTI_TASK_RUNNING);
	w->home.current = t;
	w->home.budget = w->home.slice_budget;
	w->slices++;
	if (__builtin_expect(w->rt->oracle != NULL, 0))
		w->rt->oracle->event(w->rt->oracle, "run", t->id, 0);
}

static struct tti_fiber *home_fiber(struct tti_worker *w)
{
	w->home.current = NULL;
	return w->own_fiber;
}

/* Where to go when the current task stops running: straight to a task that has a stack,
 * else to the scheduler. */
static inline struct tti_fiber *next_fiber(struct tti_worker *w)
{
	struct tt_task *t;

	if (w->slices_left == 0 || w->rt->oracle != NULL || (w->picks + 1) % FRESH_EVERY == 0)
		return home_fiber(w);
	t = ready_pop(w);
	if (t == NULL)
		return home_fiber(w);
	w->picks++;
	w->slices_left--;
	begin_slice(w, t);
	return t->fiber;
}

static void leave(struct tti_worker *w, struct tt_task *t)
{
	struct tti_fiber *from = t->fiber, *to = next_fiber(w);

	tti_spin_assert_none_held();
	if (from == to)
		return;
	tti_fiber_switch(from, to, false);
	after_switch(w);
}

static void home_park(struct tti_home *h)
{
	leave(tti_worker_of(h), h->current);
}

static void home_yield(struct tti_home *h)
{
	struct tti_worker *w = tti_worker_of(h);
	struct tt_task *t = h->current;

	tti_task_move(t, TTI_TASK_READY);
	ready_push(w, t);
	leave(w, t);
}

static void home_ready(struct tt_task *t)
{
	struct tti_worker *w = tti_worker_of(t->home);

	TT_ASSERT(t->home == tti_home_here);
	tti_task_move(t, TTI_TASK_READY);
	ready_push(w, t);
}

static void home_post(struct tti_home *h, struct tti_msg *m)
{
	tti_worker_post(tti_worker_of(h), m);
}

static const struct tti_home_ops home_ops = {
	.ready = home_ready,
	.post = home_post,
	.park = home_park,
	.yield = home_yield,
};

/* Ends a task, on whatever stack; t may be freed when this returns. */
static void finish(struct tti_worker *w, struct tt_task *t)
{
	tti_task_move(t, TTI_TASK_DONE);
	tti_list_unlink(&t->all_link);
	own_count_add(&w->load, (uint32_t)-1);
	t->fiber = NULL;
	w->home.current = NULL;
	if (__builtin_expect(w->rt->oracle != NULL, 0))
		w->rt->oracle->event(w->rt->oracle, "end", t->id, (uint64_t)(int64_t)t->rc);
	t->life->exit(t);
}

/* An unstarted task that will not run: it was cancelled, or there is no stack for it. */
static void finish_unstarted(struct tti_worker *w, struct tt_task *t, int rc)
{
	t->rc = rc;
	tti_task_drop_args(t);
	finish(w, t);
}

/*
 * The first frame of every stack. A task that ends hands its stack straight to the next
 * unstarted task of its class, if that is what comes next; so a burst of short children
 * runs on one stack without a switch.
 */
static void fiber_main(void *arg)
{
	struct tti_worker *w = arg;
	struct tt_task *t = w->home.current;
	struct tti_fiber *f = t->fiber;

	after_switch(w);
	for (;;) {
		t->rc = tti_task_run(t);
		f->owner = NULL;
		finish(w, t);
		if (w->slices_left == 0 || w->rt->oracle != NULL || w->ready.len > 0)
			break;
		w->picks++;
		t = fresh_pop(w);
		if (t == NULL)
			break;
		if (t->stack_class != f->stack_class || !t->life->start(t)) {
			tti_list_push_front(&w->fresh, &t->fresh_link);
			w->fresh_len++;
			break;
		}
		w->slices_left--;
		t->fiber = f;
		f->owner = t;
		begin_slice(w, t);
	}
	if (TTI_LAW_BROKEN(6))
		/* Deliberately wrong: recycles the stack it runs on. */
		tti_fiber_release(&w->fibers, f);
	else
		w->dead_fiber = f;
	tti_fiber_switch(f, home_fiber(w), true);
	tti_panic(TT_SITE, "a dead fiber was resumed");
}

static void start_task(struct tti_worker *w, struct tt_task *t)
{
	struct tti_fiber *f;

	if (!t->life->start(t)) {
		finish_unstarted(w, t, t->rc);
		return;
	}
	if (tti_fiber_acquire(&w->fibers, (enum tti_stack_class)t->stack_class, &f) < 0) {
		TTI_SOMETIMES(true, "a task is to start, and there is no stack for it");
		finish_unstarted(w, t, TT_ENOMEM);
		return;
	}
	t->fiber = f;
	f->owner = t;
	tti_fiber_prepare(f, fiber_main, w);
	begin_slice(w, t);
	tti_fiber_switch(w->own_fiber, f, false);
	after_switch(w);
}

static void run_one(struct tti_worker *w, struct tt_task *t)
{
	if (t->state == TTI_TASK_UNSTARTED) {
		start_task(w, t);
	} else {
		begin_slice(w, t);
		tti_fiber_switch(w->own_fiber, t->fiber, false);
		after_switch(w);
	}
	w->home.current = NULL;
}

/* ---- turns ---- */

static bool handle_messages(struct tti_worker *w)
{
	struct tti_inbox_node *n = tti_inbox_take(&w->inbox), *next;
	bool any = n != NULL;

	for (; n != NULL; n = next) {
		struct tti_msg *m = TTI_CONTAINER_OF(n, struct tti_msg, node);

		next = n->next; /* the handler may free or post the message again */
		if (__builtin_expect(w->rt->oracle != NULL, 0))
			w->rt->oracle->event(w->rt->oracle, "message", w->home.index, 0);
		m->handle(m);
	}
	return any;
}

static size_t fire_timers(struct tti_worker *w)
{
	size_t fired = w->wheel.armed > 0 ? tti_wheel_advance(&w->wheel, w->home.now) : 0;

	if (__builtin_expect(w->rt->oracle != NULL && fired > 0, 0))
		w->rt->oracle->event(w->rt->oracle, "timers", w->home.index, fired);
	return fired;
}

bool tti_worker_turn(struct tti_worker *w)
{
	bool any;
	struct tt_task *t;

	TT_ASSERT(tti_home_here == &w->home);
	w->turns++;
	w->home.now = tti_env_now();
	any = handle_messages(w);
	if (fire_timers(w) > 0)
		any = true;
	tti_home_refill_if_low(&w->home);
	w->slices_left = w->rt->turn_slices;
	while (w->slices_left > 0 && (t = pick(w)) != NULL) {
		w->slices_left--;
		run_one(w, t);
		any = true;
	}
	return any;
}

static bool is_stopping(struct tti_worker *w)
{
	/* relaxed: nothing was passed on with it; a worker that sleeps is nudged after the store,
	 * and a driver's poll acquires what was before its wake. */
	return tti_load_relaxed(&w->rt->stopping) != 0;
}

static void poll_driver(struct tti_worker *w, int64_t deadline)
{
	w->home.driver->ops->poll(w->home.driver, tti_env_sleep_begins(deadline));
	tti_env_sleep_ends();
	w->polled_at = w->home.now;
}

/* Before a sleep: idle stacks beyond what the last second needed go back to the system, a
 * few at a time. Returns when to look again, TT_NEVER once none are left. */
static int64_t trim_stacks(struct tti_worker *w)
{
	int64_t now = w->home.now;

	if (w->fibers.cached == 0)
		return TT_NEVER;
	if (now >= w->trim_at)
		w->trim_at = now + (tti_fiber_pool_trim(&w->fibers) > 0 ? TRIM_AGAIN : TRIM_EVERY);
	return w->trim_at;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

void tti_worker_run(struct tti_worker *w)
{
	w->trim_at = tti_env_now() + TRIM_EVERY;
	while (!is_stopping(w)) {
		tti_worker_turn(w);
		if (w->ready.len > 0 || w->fresh_len > 0) {
			if (w->home.now - w->polled_at >= BUSY_POLL_EVERY)
				poll_driver(w, 0);
			continue;
		}
		if (!tti_inbox_sleep(&w->inbox))
			continue;
		if (!is_stopping(w))
			poll_driver(w, earlier(tti_wheel_next(&w->wheel), trim_stacks(w)));
		tti_inbox_awake(&w->inbox);
	}
	tti_env_signals_open();
}

void tti_worker_finish(struct tti_worker *w)
{
	while (handle_messages(w))
		;
}

void tti_worker_post(struct tti_worker *w, struct tti_msg *m)
{
	struct tti_runtime *rt = w->rt;
	bool outside = tti_home_here == NULL;

	/* A plain thread's message may be the last thing the runtime waited for: its end waits
	 * until the wake-up is done as well. Other workers are waited for anyhow.
	 * relaxed: the post below releases it to whoever handles the message. */
	if (outside)
		tti_fetch_add_relaxed(&rt->outside, 1);
	if (tti_inbox_post(&w->inbox, &m->node))
		w->home.driver->ops->wake(w->home.driver);
	if (outside)
		/* release: pairs with the acquire in wait_for_posters() of rt/runtime.c. */
		tti_fetch_sub_release(&rt->outside, 1);
}

void tti_worker_nudge(struct tti_worker *w)
{
	w->home.driver->ops->wake(w->home.driver);
}

/* ---- submission ---- */

static void queue_fresh(struct tti_worker *w, struct tt_task *t)
{
	own_count_add(&w->load, 1);
	tti_list_push_back(&w->home.tasks, &t->all_link);
	tti_list_push_front(&w->fresh, &t->fresh_link);
	w->fresh_len++;
	w->spawned++;
}

static void handle_start(struct tti_msg *m)
{
	struct tt_task *t = TTI_CONTAINER_OF(m, struct tt_task, life_msg);

	own_count_add(&tti_worker_of(t->home)->arrived, 1);
	queue_fresh(tti_worker_of(t->home), t);
}

void tti_worker_submit(struct tti_worker *to, struct tt_task *t)
{
	/* Written here and never again: the group's owner reads it to post a cancel. */
	t->home = &to->home;
	if (to == tti_worker_here()) {
		queue_fresh(to, t);
		return;
	}
	/* relaxed: a hint for placement. */
	tti_fetch_add_relaxed(&to->incoming, 1);
	t->life_msg.handle = handle_start;
	tti_worker_post(to, &t->life_msg);
}

uint64_t tti_worker_random(struct tti_worker *w)
{
	/* splitmix64 (Steele, Lea, Flood, OOPSLA 2014). */
	uint64_t z = w->random_state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static struct tti_worker *random_worker(struct tti_runtime *rt, struct tti_worker *here)
{
	if (rt->oracle != NULL)
		return rt->workers[rt->oracle->choose(rt->oracle, rt->n_workers, "place")];
	return rt->workers[tti_worker_random(here) % rt->n_workers];
}

/* Tasks there and on their way there. */
static uint32_t load_of(struct tti_worker *w)
{
	/* relaxed: a stale load costs balance, nothing else. */
	return tti_load_relaxed(&w->load) + tti_load_relaxed(&w->incoming) - tti_load_relaxed(&w->arrived);
}

struct tti_worker *tti_worker_any(struct tti_runtime *rt)
{
	struct tti_worker *here = tti_worker_here(), *a, *b;

	if (rt->n_workers == 1)
		return rt->workers[0];
	a = random_worker(rt, here);
	b = random_worker(rt, here);
	return load_of(b) < load_of(a) ? b : a;
}

/* ---- open and close ---- */

int tti_runtime_init(struct tti_runtime *rt, unsigned n_workers)
{
	rt->turn_slices = TTI_TURN_SLICES;
	rt->workers = tti_env_zalloc(n_workers * sizeof(struct tti_worker *));
	if (rt->workers == NULL)
		return TT_ENOMEM;
	for (rt->n_workers = 0; rt->n_workers < n_workers; rt->n_workers++) {
		struct tti_worker *w = tti_env_zalloc(sizeof(*w));

		if (w == NULL) {
			tti_runtime_fini(rt);
			return TT_ENOMEM;
		}
		rt->workers[rt->n_workers] = w;
		w->rt = rt;
		tti_inbox_init(&w->inbox);
	}
	return 0;
}

void tti_runtime_fini(struct tti_runtime *rt)
{
	for (unsigned i = 0; i < rt->n_workers; i++)
		tti_env_free(rt->workers[i]);
	tti_env_free(rt->workers);
	rt->workers = NULL;
	rt->n_workers = 0;
}

static unsigned index_of(const struct tti_worker *w)
{
	unsigned i = 0;

	while (w->rt->workers[i] != w)
		i++;
	return i;
}

int tti_worker_open(struct tti_worker *w)
{
	unsigned index = index_of(w);
	int rc;

	tti_home_init(&w->home, index, w->rt->n_workers);
	w->home.ops = &home_ops;
	w->home.slice_budget = TTI_SLICE_BUDGET;
	w->home.wheel = &w->wheel;
	w->home.now = tti_env_now();
	w->random_state = index;
	tti_list_init(&w->fresh);
	tti_wheel_init(&w->wheel, w->home.now);
	w->own_fiber = &w->own_fiber_storage;
	tti_fiber_adopt_thread(w->own_fiber);
	/* Only one that makes an arena of its own can fail. */
	TT_IGNORE(tti_fiber_pool_init(&w->fibers, &w->rt->arena));
	rc = w->rt->driver_ops->create(&w->home, 0, &w->home.driver);
	if (rc < 0 && w->rt->fallback_ops != NULL)
		rc = w->rt->fallback_ops->create(&w->home, 0, &w->home.driver);
	if (rc < 0) {
		tti_fiber_pool_fini(&w->fibers);
		tti_home_fini(&w->home);
	}
	return rc;
}

void tti_worker_close(struct tti_worker *w)
{
	TT_ASSERT(w->ready.len == 0);
	TT_ASSERT(w->fresh_len == 0);
	w->home.driver->ops->destroy(w->home.driver);
	tti_fiber_pool_fini(&w->fibers);
	tti_home_fini(&w->home);
}

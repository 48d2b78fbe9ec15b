/* SPDX-License-Identifier: MIT */
/*
 * worker.h - a worker: one thread's run queue, timers, driver, stacks and mailbox, and
 * the loop that turns them. The runtime owns an array of them.
 *
 * A turn      read the clock; handle the mailbox; fire timers; run up to TTI_TURN_SLICES
 *             slices; poll the driver. A slice is one task from its resume to its next
 *             park, yield or end. Tasks switch to each other directly while slices are
 *             left; the scheduler's own stack runs only between turns and to start tasks.
 * Order       Woken tasks oldest first. Unstarted ones newest first, so that a tree of
 *             children is walked depth first on few stacks; every 64th one is the oldest,
 *             so that none waits for ever.
 * Sleep       inside the driver's wait, after tti_inbox_sleep() said yes.
 *
 * Everything here is touched by the worker's own thread, but for the inbox, the three
 * counts behind placement, and the runtime's `stopping`.
 */
#ifndef TTI_SCHED_WORKER_H
#define TTI_SCHED_WORKER_H

#include "base/inbox.h"
#include "base/spin.h"
#include "env/env.h"
#include "fiber/fiber.h"
#include "io/driver.h"
#include "task/task.h"
#include "timer/wheel.h"

#define TTI_TURN_SLICES 61
#define TTI_SLICE_BUDGET 128

struct tti_runtime;
struct tti_job;
struct tti_file_ops;
struct tti_process_ops;
struct tt_interval;

/* Decides what the real world leaves open. NULL in a real runtime. */
struct tti_oracle {
	/* One of n >= 2 possibilities; what names the choice for the trace ("ready": the position
	 * in the run queue, unstarted tasks behind it; "place": a worker). */
	size_t (*choose)(struct tti_oracle *o, size_t n, const char *what);
	/* Something worth a line of the trace happened; a and b are never addresses. */
	void (*event)(struct tti_oracle *o, const char *what, uint64_t a, uint64_t b);
};

struct tti_worker {
	struct tti_home home;                /* first: a home is a worker */
	struct tti_runtime *rt;
	struct tti_queue ready;              /* woken and yielded tasks */
	struct tti_list fresh;               /* unstarted tasks, newest at the front */
	size_t fresh_len;
	unsigned picks;                      /* drives the rotation between the two queues */
	unsigned slices_left;                /* of this turn */
	int64_t polled_at;                   /* monotonic ns of the turn that last asked the driver */
	int64_t trim_at;                     /* monotonic ns: when idle stacks are given back next */
	struct tti_wheel wheel;
	struct tti_fiber_pool fibers;
	struct tti_fiber *own_fiber;         /* the thread's own stack: the scheduler */
	struct tti_fiber *dead_fiber;        /* left for good; released by whoever runs next (law 6) */
	struct tti_thread thread;            /* workers but the first */
	uint64_t random_state;               /* of tti_worker_random() */
	uint64_t slices, turns, spawned;
	struct tti_inbox inbox;
	tti_atomic_u32 load;                 /* tasks homed here; this thread writes, placement reads */
	tti_atomic_u32 incoming;             /* tasks posted to here so far; posters add */
	tti_atomic_u32 arrived;              /* of those; this thread writes */
	struct tti_fiber own_fiber_storage;
};

struct tti_runtime {
	struct tti_worker **workers;
	unsigned n_workers;
	const struct tti_env_ops *env;
	const struct tti_driver_ops *driver_ops;
	const struct tti_driver_ops *fallback_ops; /* for a worker whose kernel refuses the first; may be NULL */
	struct tti_oracle *oracle;
	/* Takes over pool jobs: the simulator runs them itself. NULL: threads (par/blocking.c). */
	void (*offload)(struct tti_runtime *rt, struct tti_job *job);
	bool (*withdraw)(struct tti_runtime *rt, struct tti_job *job);
	const struct tti_file_ops *file_ops; /* net/file_ops.h; a simulation's. NULL: the kernel's */
	const struct tti_process_ops *process_ops; /* net/process_ops.h; likewise */
	unsigned turn_slices;                /* TTI_TURN_SLICES; the simulator takes fewer, so that workers interleave */
	uint8_t stack_class;                 /* default of tasks, enum tti_stack_class */
	struct tti_stack_arena arena;        /* guard policy and budget, shared by the workers */
	tti_atomic_u32 stopping;             /* 1: workers leave their loop */
	tti_atomic_u32 outside;              /* plain threads inside tti_worker_post() */
	tti_atomic_ptr blocking_pool;        /* par/blocking.c; made on first use */
	tti_atomic_ptr fd_table;             /* net/fd.c; made on first use */
	tti_atomic_ptr signals;              /* net/signal.c; made on first use */
	struct tti_list backgrounds;         /* scope/background.c; zeros until the first */
	tti_spin backgrounds_lock;
	void *user;                          /* rt/ or sim/ */
};

static inline struct tti_worker *tti_worker_of(struct tti_home *h)
{
	return (struct tti_worker *)(void *)h;
}

/* The worker of the calling thread, or NULL. */
static inline struct tti_worker *tti_worker_here(void)
{
	return tti_worker_of(tti_home_here);
}

/* Memory for the array and the workers; drivers and stacks are made by tti_worker_open(),
 * on the thread that will run the worker. */
int tti_runtime_init(struct tti_runtime *rt, unsigned n_workers);
void tti_runtime_fini(struct tti_runtime *rt);

int tti_worker_open(struct tti_worker *w);
void tti_worker_close(struct tti_worker *w);

/* One turn without waiting; false when there was nothing to do. tti_home_here is w. */
bool tti_worker_turn(struct tti_worker *w);
/* Turns and sleeps until the runtime is stopping. */
void tti_worker_run(struct tti_worker *w);
/* Handles the messages that are left once nobody posts any more. */
void tti_worker_finish(struct tti_worker *w);
/* Posts from any thread and wakes the worker if it slept. */
void tti_worker_post(struct tti_worker *w, struct tti_msg *m);
/* Makes a sleeping worker look around, e.g. at `stopping`. Any thread, signal handlers. */
void tti_worker_nudge(struct tti_worker *w);

/* Queues an unstarted task on the calling worker, or posts it to another one. */
void tti_worker_submit(struct tti_worker *to, struct tt_task *t);
/* call.c: runs fn on h's thread, outside any task, and parks the calling task until it
 * returned; a cancel does not end the wait. fn must not wait. */
void tti_worker_call(struct tti_home *h, const char *verb, void (*fn)(void *arg), void *arg);

/* Spread, not secrecy: placement and the turn of a select. */
uint64_t tti_worker_random(struct tti_worker *w);
/* interval.c: a tick was given, when is the next? */
void tti_interval_advance(struct tt_interval *i);
/* What tt_checkpoint() says on a thread that runs pool jobs; set by the compute pool on its own
 * threads, NULL elsewhere: TT_EWRONGCTX. */
extern __thread int (*tti_job_checkpoint)(void);
/* sleep.c: parks until the deadline; a checkpoint. */
TT_MUST_USE int tti_sleep_until(int64_t deadline);
/* The same without one; a cancel wakes it only if it is abortable. */
int tti_pause_until(int64_t deadline, bool abortable);

/* The less loaded of two random workers. */
struct tti_worker *tti_worker_any(struct tti_runtime *rt);

#endif

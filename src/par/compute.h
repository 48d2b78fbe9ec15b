/* SPDX-License-Identifier: MIT */
/*
 * compute.h - the compute pool, as src/par/ sees it: its threads, the parts of a region that
 * were shared between them, and how a region begins and ends. The public half is
 * <tutti/parallel.h>.
 *
 * A fork whose right side nobody asked for is a job in its thread's own list, and nothing
 * here knows of it. Sharing one makes a record of it, a share, in the pool's queue:
 *
 *      QUEUED ----> TAKEN ----> DONE ----> back in the reserve of the thread that shared it
 *         \______ taken back by that thread, and run as if it had never been shared
 *
 * Context     A share also stands for the fork that it is the right side of, as seen from both
 *             sides: whatever runs inside either has it in its chain of contexts
 *             (worker->context, then ->outer up to the region's own share). Code is stopped
 *             when anything in its chain has failed. That chain is also what a waiting thread
 *             judges by: it may run what has the share it waits for in its chain, and nothing
 *             else, so no lock that a body holds across a nested call can be met again.
 */
#ifndef TTI_PAR_COMPUTE_H
#define TTI_PAR_COMPUTE_H

#include <tutti/parallel.h>

#include "base/list.h"
#include "base/spin.h"
#include "par/blocking.h"
#include "sched/worker.h"
#include "task/error.h"

enum tti_share_state { TTI_SHARE_QUEUED, TTI_SHARE_TAKEN, TTI_SHARE_DONE };

/* Who failed first; a region that is cancelled counts as one whose left side failed. */
enum tti_share_failed { TTI_FAILED_NOBODY, TTI_FAILED_LEFT, TTI_FAILED_RIGHT };

struct tt_par_share_ {
	struct tti_list link;                /* in the queue, or in its thread's reserve; pool's lock */
	struct tt_par_share_ *outer;         /* the context of the fork; NULL: the whole region */
	const tt_task_type *type;            /* the right side; args live in the forking frame */
	void *args;
	const char *why;                     /* "tt_par_for"; of the region's own share */
	tti_atomic_u32 state;                /* enum tti_share_state */
	tti_atomic_u32 failed;               /* enum tti_share_failed; set once */
	int rc;                              /* of the right side; read after DONE */
	struct tti_error err;                /* its chain, likewise */
	struct tti_compute_worker *waiter;   /* who sleeps until it is done; pool's lock */
	void (*done)(struct tt_par_share_ *s); /* of the region's own share, last; else NULL */
	void *owner;                         /* for done() */
};

struct tti_compute_worker {
	tt_par_worker_ open;                 /* first: what the inline half knows */
	struct tti_compute *pool;
	struct tt_par_share_ *context;       /* of what runs here; NULL between regions */
	struct tti_error *record;            /* what explains its codes; bound to the thread as well */
	int64_t shared_at;                   /* monotonic ns of the last share made here */
	struct tti_list reserve;             /* shares to use again; this thread only */
	struct tti_thread thread;
	struct tti_list sleep_link;          /* in pool->sleepers; pool's lock */
	const struct tt_par_share_ *waits_for; /* while asleep; NULL: for anything; pool's lock */
	tti_atomic_u32 word;                 /* futex: 1 once woken */
	/* In a simulation: a fiber instead of a thread, see compute_sim.c. */
	struct tti_fiber *fiber;
	struct tti_error *bound;             /* error record while it is switched out */
	bool waiting;                        /* until tti_compute_can_go_on() */
	bool left;                           /* its loop has ended */
};

/* The simulator's part of a pool; NULL in a real one. */
struct tti_compute_sim;

struct tti_compute {
	tti_spin lock;
	struct tti_list queue;               /* shares that nobody runs, oldest first */
	struct tti_list sleepers;            /* threads, latest first */
	unsigned regions;                    /* begun and not ended; guarded by the lock */
	bool closing;                        /* guarded by the lock */
	struct tti_compute_worker *asker;    /* the idle thread that wakes to ask; guarded by the lock */
	tti_atomic_u32 queued;               /* length of the queue; written under the lock */
	tti_atomic_u32 hungry;               /* threads with nothing to run */
	struct tti_compute_sim *sim;
	const struct tti_env_ops *env;
	unsigned n_workers;                  /* that have a thread, from the first on */
	struct tti_compute_worker workers[];
};

static inline struct tti_compute_worker *tti_compute_here(void)
{
	return (struct tti_compute_worker *)(void *)tt_par_here_;
}

/* A pool of n workers without threads; NULL: no memory. Freed by tti_compute_free(). */
struct tti_compute *tti_compute_new(unsigned n, const struct tti_env_ops *env);
void tti_compute_free(struct tti_compute *c);
/* The calling thread is w from now on; NULL: none. */
void tti_compute_enter(struct tti_compute_worker *w);
/* The body of its thread or fiber, until the pool is closing. */
void tti_compute_work(struct tti_compute_worker *w);
/* Opens and begins a region, whose share is the caller's; s->done() is called once on a pool
 * thread, as the last thing, and may free s. */
void tti_compute_submit(struct tti_compute *c, struct tt_par_share_ *s);
/* No further region comes: the threads leave their loops. */
void tti_compute_close(struct tti_compute *c);
/* True: no thread has begun it; it is the caller's again. */
TT_MUST_USE bool tti_compute_withdraw(struct tti_compute *c, struct tt_par_share_ *s);
/* The region stops as soon as its bodies notice. */
void tti_compute_stop(struct tti_compute *c, struct tt_par_share_ *s);
/* Under no lock: what a waiting worker waits for has come. */
bool tti_compute_can_go_on(struct tti_compute_worker *w);

/* ---- for loops (parallel.c), on a pool thread ---- */

/* 0, or TT_ECANCELED: something in the chain of contexts failed. */
TT_MUST_USE int tti_compute_check(struct tti_compute_worker *w);
/* The beat was seen: TT_ECANCELED; or 0, and then ret_wanted says whether the caller should
 * share half of what it has left. Older jobs of this thread are shared first. */
TT_MUST_USE int tti_compute_attend(struct tti_compute_worker *w, bool *ret_wanted);
/* Shares type(args) as the right side of a fork whose left side is what the caller does next,
 * until tti_compute_join(). NULL: no memory, nothing was shared. */
struct tt_par_share_ *tti_compute_share(struct tti_compute_worker *w, const tt_task_type *type, void *args);
/* rc: the left side's. The fork's code; its chain is in the thread's record. */
TT_MUST_USE int tti_compute_join(struct tti_compute_worker *w, struct tt_par_share_ *s, int rc);

/* Runs type(args) as a region of its own from a task, or in place on a pool thread. */
TT_MUST_USE int tti_compute_region(const tt_task_type *type, void *args, const char *call, const char *site);

/* Ends the threads; no region is under way. */
void tti_compute_shutdown(struct tti_runtime *rt);

/* ---- compute_sim.c ---- */

/* Runs the region s of the calling task in steps between which the simulation goes on. */
TT_MUST_USE int tti_compute_sim_region(struct tti_runtime *rt, struct tt_par_share_ *s, const char *site);
/* A place where another virtual thread may go on. */
void tti_compute_sim_point(struct tti_compute_worker *w);
/* Whether the oldest job is to be shared at this place. */
bool tti_compute_sim_shares(struct tti_compute_worker *w);
/* Leaves w until what it waits for has come. */
void tti_compute_sim_wait(struct tti_compute_worker *w);

/* For the model checker: turns that an idle thread spins, negative as it is outside. */
extern int tti_compute_spin_max;

#endif

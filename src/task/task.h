/* SPDX-License-Identifier: MIT */
/*
 * task.h - the task object: identity, state and its named moves, reference counting,
 * and the seam by which it reaches the worker it lives on (its home).
 *
 * Life of a record
 *
 *      tti_task_create          tti_task_start           park / unpark
 *   (nothing) ----> UNSTARTED ----> RUNNING <----> PARKED, READY ----> DONE ----> freed
 *                       \______________ cancelled before its start ______/
 *
 * A task may be moved between workers until it starts; from then on `home` is fixed, and
 * every field not marked otherwise is touched by the home worker's thread only. What
 * crosses threads: the messages (through an inbox), `refs`, and the claim word of the
 * wait it is parked in.
 *
 * The record is freed when its last reference goes: one is the group's, given up after
 * the exit was received and no cancel message is under way; others are tt_task handles.
 */
#ifndef TTI_TASK_TASK_H
#define TTI_TASK_TASK_H

#include <tutti/task.h>

#include "base/atomic.h"
#include "base/inbox.h"
#include "base/list.h"
#include "base/spin.h"
#include "env/env.h"
#include "fiber/fiber.h"
#include "task/error.h"

struct tti_home;
struct tti_wheel;
struct tti_waiter;
struct tti_scope;
struct tti_group;

/* Something for a worker to do, posted by any thread: an intrusive node of its inbox. */
struct tti_msg {
	struct tti_inbox_node node;          /* owned by the inbox while posted */
	void (*handle)(struct tti_msg *m);   /* on the receiving worker's thread, outside any task */
};

/* UNSTARTED -> RUNNING | DONE, RUNNING -> READY (yield) | PARKED | DONE,
 * PARKED -> READY, READY -> RUNNING, DONE -> UNSTARTED (a restart); checked by tti_task_move(). */
enum tti_task_state { TTI_TASK_UNSTARTED, TTI_TASK_READY, TTI_TASK_RUNNING, TTI_TASK_PARKED, TTI_TASK_DONE };

/* What a checkpoint may have to report; cached in the task, see scope/scope.h. */
#define TTI_CANCELLED 1u /* some scope around is cancelled, no shield between */
#define TTI_STOPPING 2u  /* a soft cancel was asked for, no shield between */

struct tt_task {
	/* Zeroed at creation, up to `home`. */
	uint32_t state;                      /* enum tti_task_state; tti_task_move() */
	uint32_t cancel_bits;                /* TTI_CANCELLED, TTI_STOPPING */
	struct tti_fiber *fiber;             /* bound at the first run; NULL before and after */
	struct tti_waiter *waiting;          /* the wait it is parked in, else NULL */
	union {
		int rc;                      /* written at exit, read after */
		unsigned worker;             /* where it shall start; until a group adopted it */
	};
	uint8_t cancel_posted;               /* enum tti_cancel_post; group owner's worker only */
	uint8_t stack_class;                 /* enum tti_stack_class */
	bool exit_received;                  /* group owner's worker only */
	bool daemon;
	bool cancel_queued;                  /* on the work list of a cancel walk */
	bool has_handle;                     /* set at spawn: somebody may wait for its end */
	bool ignoring_reported : 1;          /* that it goes on although it is cancelled */
	bool keeps_args : 1;                 /* they outlive a run: it may run again; set at spawn */
	bool ended;                          /* guarded by end_lock */
	tti_spin end_lock;
	uint32_t cancels_ignored;            /* calls in a row that told it of its cancel; see wait/wait.h */
	tti_atomic_u32 refs;
	/* A park ends the row of ignored cancels. */
	union {
		int64_t ignored_since;       /* monotonic ns of the first of them */
		int64_t parked_since;        /* monotonic ns; while PARKED */
	};
	void *extra;                         /* scope/child.h: for few children; freed with the record */

	/* Set by whoever creates it. */
	struct tti_home *home;               /* fixed once started */
	struct tti_scope *scope;             /* innermost open block, or the group's scope it was born in */
	struct tti_scope *scope_base;        /* scope at birth; belongs to the parent */
	struct tti_group *group;             /* whose child it is; NULL for a root task */
	const struct tti_life_ops *life;
	const struct tt_task_type *type;
	void *args;                          /* inline_args or an allocation of its own */
	uint64_t id, parent_id;
	const char *name, *parent_name;      /* static strings, as all names and sites */
	const char *spawn_site;

	/* Links. A task is unstarted or ready, never both. */
	union {
		struct tti_link ready_link;  /* in the run queue; in the home's store of records */
		struct tti_list fresh_link;  /* in the queue of unstarted tasks */
	};
	struct tti_list sibling;             /* in group->children; group owner's worker only */
	struct tti_list all_link;            /* in home->tasks, for dumps and leak checks */
	struct tti_error err;                /* chain of the last failure */
	_Alignas(16) unsigned char inline_args[48];

	/* Written before their first use. */
	struct tti_link cancel_link;         /* work list of a cancel that walks the tree */
	/* Never under way at once: a task is not parked before its start arrived, nor ends before
	 * its wake-up did. */
	union {
		struct tti_msg wake_msg;     /* the wake-up from another worker */
		struct tti_msg life_msg;     /* to its group, start at home, later exit to the group's owner */
	};
	struct tti_msg cancel_msg;           /* from the group's owner, and back as its acknowledgement */
	struct tti_list end_waiters;         /* nodes of those who wait for its end; guarded by end_lock */
};

/* A cancel message from the group's owner to a child elsewhere. */
enum tti_cancel_post {
	TTI_CANCEL_IDLE,
	TTI_CANCEL_POSTED,       /* under way, not acknowledged */
	TTI_CANCEL_POSTED_AGAIN, /* another cause arrived meanwhile: post once more when acknowledged */
};

/* What a worker offers to the layers below the scheduler. The first member of a worker. */
/* What the layer that made a task wants to hear of it; both on the home's thread. */
struct tti_life_ops {
	/* About to run for the first time. False: it is cancelled, t->rc is set, it must not
	 * run; its arguments are dropped and exit() follows. */
	bool (*start)(struct tt_task *t);
	/* Ended with t->rc and t->err; DONE. t may be freed by this call. */
	void (*exit)(struct tt_task *t);
};

struct tti_home_ops {
	/* PARKED -> READY, on the home's own thread. */
	void (*ready)(struct tt_task *t);
	/* Posts a message to this home from any thread. */
	void (*post)(struct tti_home *h, struct tti_msg *m);
	/* Leaves the current task until ready(); its state is PARKED already. */
	void (*park)(struct tti_home *h);
	/* Goes to the back of the run queue. */
	void (*yield)(struct tti_home *h);
};

struct tti_home {
	const struct tti_home_ops *ops;
	struct tt_task *current;             /* NULL while the scheduler itself runs */
	int64_t now;                         /* monotonic ns, read once a turn */
	int32_t budget;                      /* calls that did not park, left in this slice */
	int32_t slice_budget;                /* what a slice begins with */
	unsigned index;                      /* worker number */
	struct tti_wheel *wheel;
	struct tti_driver *driver;           /* see io/driver.h */
	struct tti_list tasks;               /* every started or locally queued task homed here */
	struct tti_stack free_tasks;         /* records to use again */
	struct tti_stack free_nodes;         /* error nodes kept in reserve */
	uint64_t error_nodes_dropped;        /* texts lost because the reserve was empty */
	struct tti_queue cancel_work;        /* tasks a cancel walk has still to visit */
	bool cancel_walking;                 /* a walk is under way on this home */
	uint64_t next_id, id_step;           /* ids are unique over the homes of a runtime */
	int64_t created, freed;              /* records; only their sum over all homes, less
	                                      * tti_tasks_freed_elsewhere(), means anything */
};

/* The worker of the calling thread, NULL on any other thread. Virtual workers share one
 * thread; the simulator switches this with them. */
extern __thread struct tti_home *tti_home_here;

/* now + timeout without overflow, for now is not negative; TT_NEVER stays, negative timeouts are the
 * past. Counts from the clock itself, not from the time of this turn: the task may have computed
 * since. */
static inline int64_t tti_deadline_after(const struct tti_home *h, int64_t timeout)
{
	int64_t now = timeout > 0 && timeout != TT_NEVER ? tti_env_now() : h->now, deadline;

	return __builtin_add_overflow(now, timeout, &deadline) ? TT_NEVER : deadline;
}

static inline struct tt_task *tti_current(void)
{
	return tti_home_here != NULL ? tti_home_here->current : NULL;
}

/* For calls that only tasks may make: the calling task, or, on a thread that runs a pool
 * job, NULL (the call then returns TT_EWRONGCTX). Panics naming the call elsewhere. */
struct tt_task *tti_current_or_panic(const char *call);

/* A record with a copy of args, or NULL when out of memory. The destructor of args runs
 * in tti_task_drop_args() unless the function started. h NULL: a plain thread makes it, and
 * tti_task_enroll() gives it a number on its first home. */
struct tt_task *tti_task_create(struct tti_home *h, const struct tt_task_type *type, const void *args,
                                const char *site);
void tti_task_enroll(struct tti_home *h, struct tt_task *t);
void tti_task_drop_args(struct tt_task *t);
/* The arguments stay the caller's: nothing is dropped. */
void tti_task_forget_args(struct tt_task *t);
/* Calls the function with its arguments and returns its code. */
int tti_task_run(struct tt_task *t);
/* DONE, its exit received, no message under way: to run again with the same arguments. */
void tti_task_again(struct tt_task *t);
/* Gives up one reference; the last one frees the record. */
void tti_task_put(struct tt_task *t);
/* Records whose last reference went on a plain thread, in this process. */
int64_t tti_tasks_freed_elsewhere(void);
static inline void tti_task_get(struct tt_task *t)
{
	/* relaxed: whoever copies a reference holds one. */
	tti_fetch_add_relaxed(&t->refs, 1);
}

/* Changes the state; a move that the picture above does not show is an assertion. */
void tti_task_move(struct tt_task *t, enum tti_task_state to);
const char *tti_task_state_name(enum tti_task_state s);

#ifndef TT_MODEL
/* Beside a parked task's page this is all it costs: a million of them are a machine's memory. */
_Static_assert(sizeof(struct tt_task) <= 528, "a task's record stays small");
#endif

#define TTI_ERROR_NODES_RESERVED 64

/* Fills the reserve; fini frees it. */
void tti_home_init(struct tti_home *h, unsigned index, unsigned n_homes);
void tti_home_fini(struct tti_home *h);
/* Chains carry nodes to other homes, which keep or free them: between slices, where allocating
 * harms nobody, the reserve is filled again. */
void tti_home_refill(struct tti_home *h);

static inline void tti_home_refill_if_low(struct tti_home *h)
{
	if (__builtin_expect(h->free_nodes.len < TTI_ERROR_NODES_RESERVED, 0))
		tti_home_refill(h);
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * blocking.h - the blocking pool: threads that run what would hold a worker. Called by
 * tt_blocking(), by the name lookup and the files of net/, and by a simulated region.
 *
 * A job is QUEUED, then RUNNING on a pool thread, then comes back to its home by message.
 * It may be withdrawn while it is queued, never after.
 */
#ifndef TTI_PAR_BLOCKING_H
#define TTI_PAR_BLOCKING_H

#include "sched/worker.h"
#include "task/error.h"

/* Each class has threads and a cap of its own, so that a hung name server or a dead file
 * system cannot starve the rest. */
enum tti_job_class { TTI_JOB_USER, TTI_JOB_FILES, TTI_JOB_DNS, TTI_JOB_CLASSES };

struct tti_job {
	struct tti_msg msg;                  /* back to home; handle is set by the submitter */
	struct tti_list link;                /* in the queue; guarded by the pool's lock */
	struct tti_home *home;               /* where the message goes; set by tti_job_submit */
	void (*run)(struct tti_job *j);      /* on a pool thread */
	uint8_t job_class;                   /* enum tti_job_class */
	bool queued;                         /* guarded by the pool's lock */
	struct tti_error err;                /* what tt_fail and tt_wrap write to while it runs */
};

/* Hands j over. The calling worker becomes its home. TT_EAGAIN or TT_ENOMEM: no thread
 * could be had and none will come; j was not taken. */
TT_MUST_USE int tti_job_submit(struct tti_job *j, enum tti_job_class c);
/* True: j was still queued, is the caller's again, and will not run. */
TT_MUST_USE bool tti_job_withdraw(struct tti_job *j);
/* Runs j on the calling thread and posts its message; for pool threads and the simulator. */
void tti_job_execute(struct tti_job *j);

/*
 * The whole call: checkpoint, hand-over, wait, chain. What the function returned, or a code
 * and the destructors of the arguments have run.
 *
 * TTI_WAIT     args are the caller's; a job that runs is waited for whatever happens.
 * TTI_ABANDON  args are copied, and a cancel returns at once: the job keeps its arguments and
 *              ends on its own, its result is dropped. No argument may point to the caller's.
 */
enum tti_job_cancel { TTI_WAIT, TTI_ABANDON };
TT_MUST_USE int tti_blocking_call(enum tti_job_class c, enum tti_job_cancel cancel, const struct tt_task_type *type,
                                  const void *args, const char *site);

/* Turns a pool thread spins for its next job at most before it sleeps; negative, as it is
 * outside the model checker: by the number of processors. */
extern int tti_blocking_spin_max;

/* Where the runtime keeps its compute pool (compute.c), beside these; NULL: no memory. */
tti_atomic_ptr *tti_compute_slot(struct tti_runtime *rt);
/* The same, NULL when neither pool was ever used. */
tti_atomic_ptr *tti_compute_slot_if_any(struct tti_runtime *rt);

/* Waits for running jobs and ends the threads. All jobs have come back, and the compute pool
 * was ended. */
void tti_blocking_shutdown(struct tti_runtime *rt);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * blocking.h - the blocking pool: threads that run what would hold a worker. Called by
 * tt_blocking() and by the name lookup of net/.
 *
 * A job is QUEUED, then RUNNING on a pool thread, then comes back to its home by message.
 * It may be withdrawn while it is queued, never after.
 */
#ifndef TTI_PAR_BLOCKING_H
#define TTI_PAR_BLOCKING_H

#include "sched/worker.h"
#include "task/error.h"

/* Each class has threads of its own, so that a hung name server cannot starve the rest. */
enum tti_job_class { TTI_JOB_USER, TTI_JOB_DNS, TTI_JOB_CLASSES };

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

/* Waits for running jobs and ends the threads. All jobs have come back. */
void tti_blocking_shutdown(struct tti_runtime *rt);

#endif

/* SPDX-License-Identifier: MIT */
/* runtime.h - a real runtime: its threads, from the first worker's open to the last one's close. */
#ifndef TTI_RT_RUNTIME_H
#define TTI_RT_RUNTIME_H

#include <tutti/runtime.h>

#include "rt/root.h"

struct tti_run {
	struct tti_runtime rt;
	struct tti_root root;
	tti_atomic_u32 opened;               /* workers whose open() came to an end; futex */
	tti_atomic_u32 open_rc;              /* the first failure of one of them, negated */
	tti_atomic_u32 left;                 /* workers that left their loop; futex */
	tti_atomic_u32 close_now;            /* 1: no more messages will come; futex */
	void (*started)(struct tti_run *run);  /* on worker 0, before the first turn; may be NULL */
	void (*stopped)(struct tti_run *run);  /* on worker 0, after the root task; may be NULL */
};

/* Runs type's function as root task on o->workers workers, the calling thread among them.
 * Returns 0 when it ran: its code is run->root.rc, its chain run->root.err (to be cleared
 * by the caller, while tti_home_here is NULL). Else why it could not start. */
TT_MUST_USE int tti_run(struct tti_run *run, const tt_main_options *o, const struct tt_task_type *type,
                        const void *args, const char *site);

/* Fills what o leaves open from the environment. Panics with a clear line for nonsense there. */
tt_main_options tti_options_resolve(const tt_main_options *o);

#endif

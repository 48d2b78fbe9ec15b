/* SPDX-License-Identifier: MIT */
/*
 * inspect.c - what a debugger needs to find the tasks of a process or of its core file,
 * also where the library has no debug information: the running runtime, and where fields lie. Read by
 * tools/gdb/tutti-gdb.py, and by nothing in the library.
 *
 * Invariants  runtime is set while tti_run() runs workers; the script checks magic.
 * Rejected    Debug information alone: distributions strip it. Offsets written into the
 *             script: they change with the build.
 */
#include "rt/inspect.h"

#include <stddef.h>

#include "sched/worker.h"
#include "wait/wait.h"

#define FIELD(type, field) { #type "." #field, offsetof(struct type, field) }

struct tti_inspect tt_inspect_ = {
	.magic = "tutti-1",
	.fields = {
		FIELD(tti_runtime, workers),
		FIELD(tti_runtime, n_workers),
		FIELD(tti_home, tasks),
		FIELD(tti_home, current),
		FIELD(tti_home, now),
		FIELD(tti_home, index),
		FIELD(tt_task, all_link),
		FIELD(tt_task, id),
		FIELD(tt_task, parent_id),
		FIELD(tt_task, name),
		FIELD(tt_task, spawn_site),
		FIELD(tt_task, state),
		FIELD(tt_task, cancel_bits),
		FIELD(tt_task, waiting),
		FIELD(tt_task, parked_since),
		FIELD(tt_task, fiber),
		FIELD(tti_waiter, reason.verb),
		FIELD(tti_waiter, reason.object),
		FIELD(tti_waiter, reason.site),
		FIELD(tti_fiber, ctx.sp),
		{ "", 0 },
	},
};

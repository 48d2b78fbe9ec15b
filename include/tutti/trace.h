/* SPDX-License-Identifier: MIT */
/*
 * trace.h - looking at a running program.
 */
#ifndef TUTTI_TRACE_H
#define TUTTI_TRACE_H

#include <tutti/base.h>

TT_BEGIN_DECLS

/*
 * tt_dump_tasks - write the live tree of tasks to a descriptor number: names, states, what
 * each waits for and since when.
 *
 * Blocks     no task, but the thread while the descriptor does not take the bytes
 * Returns    0
 * Errors     of writing; -EINVAL if there is no runtime here
 * Threads    any task
 */
TT_API int tt_dump_tasks(int fd);

/* Counters of the runtime since its start, summed over its workers. */
typedef struct tt_stats {
	uint64_t tasks_started;
	uint64_t tasks_live;     /* started or waiting to start, not ended; now */
	uint64_t tasks_parked;   /* waiting for something; now */
	uint64_t switches;       /* into a task */
	uint64_t wakes_sent;     /* system calls that woke another worker */
	uint64_t errors_dropped; /* steps of error chains whose text was lost */
} tt_stats;

/*
 * tt_stats_read - a snapshot of the counters; each is exact, together they may be of slightly
 * different moments. All 0 if there is no runtime here.
 *
 * Blocks     no
 * Threads    any task
 */
TT_API void tt_stats_read(tt_stats *ret_stats);

TT_END_DECLS

#endif

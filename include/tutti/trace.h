/* SPDX-License-Identifier: MIT */
/*
 * trace.h - looking at a running program.
 */
#ifndef TUTTI_TRACE_H
#define TUTTI_TRACE_H

#include <tutti/base.h>
#include <tutti/task.h>

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

/*
 * tt_dump_on_signal - a task that writes the tree to stderr each time the signal comes; for a
 * daemon child:
 *
 *	tt_go_with(&g, &(tt_child_options){ .daemon = true }, tt_dump_on_signal, SIGUSR1);
 *
 * The environment does it for any program: TUTTI_DUMP_SIGNAL=USR1 (or QUIT, USR2, a number).
 *
 * Blocks     yes, until it is cancelled; always a checkpoint
 * Returns    never 0
 * Cancelled  TT_ECANCELED
 * Errors     as tt_signal_open()
 * Threads    any task
 */
TT_API TT_MUST_USE int tt_dump_on_signal(int signo);

/*
 * tt_dump_serve - a task that listens on a Unix socket and sends the tree to everybody who
 * connects (`nc -U path`); for a daemon child. Who may connect is decided by the directory
 * that the path is in. A reader that takes longer than 5 s is dropped.
 *
 * The environment does it for any program: TUTTI_DUMP_SOCKET=path.
 *
 * Blocks     yes, until it is cancelled; always a checkpoint
 * Returns    never 0
 * Cancelled  TT_ECANCELED; the socket was removed
 * Errors     as tt_unix_listen() and tt_accept()
 * Ownership  path is lent for as long as it runs
 * Threads    any task
 */
TT_API TT_MUST_USE int tt_dump_serve(const char *path);

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

TT_TASK_DECLARE(tt_dump_on_signal, (int, signo));
TT_TASK_DECLARE(tt_dump_serve, (const char *, path));

#endif

/* SPDX-License-Identifier: MIT */
/*
 * process_ops.h - the calls on child processes that a runtime makes: the kernel's
 * (process_real.c) or a simulation's (sim/process.c). struct tti_runtime points to a table;
 * NULL: the kernel's.
 *
 * A child is named by a descriptor that is readable once it has ended. Results are 0 or a
 * negative errno value.
 */
#ifndef TTI_NET_PROCESS_OPS_H
#define TTI_NET_PROCESS_OPS_H

#include <tutti/process.h>

#include "env/spawn.h"

enum { TTI_STDIN, TTI_STDOUT, TTI_STDERR, TTI_STREAMS };

struct tti_process_start {
	struct tti_spawn spawn;
	int to[TTI_STREAMS];                 /* TT_TO_, or the number of a descriptor */
	bool given[TTI_STREAMS];             /* it is a number, although 0 would say TT_TO_INHERIT */
	/* Written by start(). */
	int our_ends[TTI_STREAMS];           /* of pipes; -1: none */
	int pid, pidfd;
	enum tti_spawn_step step;            /* that failed */
};

struct tti_process_ops {
	/* 0, or why no child can be started here, with its chain. On a worker. */
	int (*check)(void);
	/* 0: it runs, or has run; or a code with step, and nothing is left. Holds its thread: on the
	 * pool. */
	int (*start)(struct tti_process_start *s);
	/* Kills a child that has a number only, and takes it away. On the pool. */
	void (*discard)(int pid);
	/* How it ended: its exit status, or the signal that killed it, negative; -EAGAIN (TT_EAGAIN)
	 * while it runs, -ECHILD when it was taken away. `take` takes it. Never waits. */
	int (*status)(int pidfd, bool take, int *ret_status);
	int (*kill)(int pidfd, int sig);
	int (*kill_group)(int pid, int sig);
};

extern const struct tti_process_ops tti_process_real;

#endif

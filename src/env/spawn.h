/* SPDX-License-Identifier: MIT */
/* spawn.h - starting a child process; see spawn.c. Called by net/process.c. */
#ifndef TTI_ENV_SPAWN_H
#define TTI_ENV_SPAWN_H

#include <tutti/base.h>

struct tti_spawn {
	const char *const *argv;             /* argv[0] without a slash is looked for in PATH */
	const char *const *envp;             /* NULL: this process's own */
	const char *cwd;                     /* NULL: ours */
	int fds[3];                          /* what becomes 0, 1 and 2: 3 or more, or -1: as it is here */
	bool new_group;
};

/* What the child was at when it failed. */
enum tti_spawn_step { TTI_SPAWN_CLONE, TTI_SPAWN_GROUP, TTI_SPAWN_CWD, TTI_SPAWN_FDS, TTI_SPAWN_EXEC };

/* Holds the calling thread until the child runs its program or has failed to; 0, or a code with
 * *ret_step, and then there is no child. */
TT_MUST_USE int tti_env_spawn(const struct tti_spawn *s, int *ret_pid, int *ret_pidfd, enum tti_spawn_step *ret_step);

#endif

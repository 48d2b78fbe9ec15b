/* SPDX-License-Identifier: MIT */
/*
 * spawn.c - a child process, begun as vfork(2) does it: it borrows this process's memory, on a
 * stack of its own, while the calling thread stands still, until it runs its program or gives
 * up. Nothing is copied, however large the parent is, and a failure is left in plain memory.
 *
 * In the child  only raw system calls and bytes already there: other threads go on meanwhile and
 *               may hold any lock. Signals are blocked until every handler is gone from it, since
 *               one would run in the parent's memory.
 * It inherits   descriptors 0 to 2 and no others, whoever forgot to mark them close-on-exec; what
 *               is ignored here, but for SIGPIPE, which the library ignores for its own sake;
 *               and no blocked signals.
 * Rejected      fork(): copies the page tables, the more of them the larger the parent. posix_spawn(): gives no
 *               pidfd with the child, so that one could be had too late, or not at all for want of
 *               a number, with the child running already; and does not tell which step failed.
 */
#include "env/spawn.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arch/syscall.h"
#include "env/env.h"

#define STACK_BYTES 16384
#define SIGNALS 64
#define KERNEL_SIGSET 8                      /* bytes of the kernel's own signal set */
#define KERNEL_IGNORED 1                     /* SIG_IGN in it */

#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x1000
#endif

/* The sanitizers' own work has no place in a child that shares memory. */
#if defined(__clang__)
#define IN_CHILD __attribute__((no_sanitize("address", "memory", "thread", "undefined")))
#else
#define IN_CHILD __attribute__((no_sanitize_address, no_sanitize_undefined))
#endif

/* The thread sanitizer takes clone() for a fork() and starts anew in the child, in our memory:
 * the same function under libc's own name. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
extern __typeof__(clone) __clone;
#define clone __clone
#endif
#endif

/* Shared with the child, which runs while the parent waits. */
struct shared {
	const struct tti_spawn *s;
	const char *const *envp;
	const char *search;                  /* folders, or NULL: argv[0] is a path */
	volatile int rc;
	volatile int step;
	char path[PATH_MAX];
};

/* As the kernel knows it; the handler comes first on every architecture. */
struct kernel_action {
	unsigned long handler;
	unsigned long rest[15];
};

IN_CHILD static long child_call(long nr, long a, long b, long c, long d)
{
	return tti_syscall6(nr, a, b, c, d, 0, 0);
}

IN_CHILD static void reset_signals(void)
{
	struct kernel_action a, none = { 0 };

	for (long signo = 1; signo <= SIGNALS; signo++) {
		if (child_call(SYS_rt_sigaction, signo, 0, (long)&a, KERNEL_SIGSET) < 0)
			continue;
		if (a.handler != 0 && (a.handler != KERNEL_IGNORED || signo == SIGPIPE))
			child_call(SYS_rt_sigaction, signo, (long)&none, 0, KERNEL_SIGSET);
	}
}

struct entry {
	uint64_t inode, next;
	uint16_t len;
	uint8_t type;
	char name[];
};

/* Descriptors 3 and up, by the kernel's list of them; false where there is no /proc. The list goes by
 * number, so what is closed meanwhile does not disturb it. */
IN_CHILD static bool close_listed(void)
{
	char buf[1024] __attribute__((aligned(8)));
	long folder = child_call(SYS_openat, AT_FDCWD, (long)"/proc/self/fd", O_RDONLY | O_DIRECTORY, 0), n;

	if (folder < 0)
		return false;
	while ((n = child_call(SYS_getdents64, folder, (long)buf, sizeof(buf), 0)) > 0) {
		for (long at = 0; at < n;) {
			const struct entry *e = (const struct entry *)(const void *)(buf + at);
			long fd = 0;

			for (const char *c = e->name; *c >= '0' && *c <= '9'; c++)
				fd = fd * 10 + (*c - '0');
			if (fd > 2 && fd != folder)
				child_call(SYS_close, fd, 0, 0, 0);
			at += e->len;
		}
	}
	child_call(SYS_close, folder, 0, 0, 0);
	return n == 0;
}

/* Before Linux 5.9, and in sandboxes that do not know close_range(). */
IN_CHILD static void close_one_by_one(void)
{
	struct { uint64_t now, max; } limit = { 1024, 1024 };

	if (close_listed())
		return;
	child_call(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (long)&limit);
	for (uint64_t fd = 3; fd < limit.now && fd < INT_MAX; fd++)
		child_call(SYS_close, (long)fd, 0, 0, 0);
}

IN_CHILD static long set_streams(const struct tti_spawn *s)
{
	long rc = 0;

	for (int i = 0; i < 3 && rc >= 0; i++)
		if (s->fds[i] >= 0)
			rc = child_call(SYS_dup3, s->fds[i], i, 0, 0);
	if (rc >= 0 && child_call(SYS_close_range, 3, UINT_MAX, 0, 0) < 0)
		close_one_by_one();
	return rc;
}

IN_CHILD static long run_program(const struct shared *sh, const char *path)
{
	return child_call(SYS_execve, (long)path, (long)sh->s->argv, (long)sh->envp, 0);
}

/* The next folder of *at, with a slash and name behind it; false when it is too long. */
IN_CHILD static bool next_path(struct shared *sh, const char **at, const char *name)
{
	size_t n = 0;

	while (**at != '\0' && **at != ':' && n < PATH_MAX - 1)
		sh->path[n++] = *(*at)++;
	if (n > 0 && n < PATH_MAX - 1)
		sh->path[n++] = '/'; /* an empty one is the current folder */
	while (*name != '\0' && n < PATH_MAX - 1)
		sh->path[n++] = *name++;
	sh->path[n] = '\0';
	while (**at != '\0' && **at != ':')
		(*at)++;
	return *name == '\0';
}

/* Returns only on failure: -EACCES if one was found and may not be run. */
IN_CHILD static long search_program(struct shared *sh)
{
	const char *at = sh->search;
	long rc, worst = -ENOENT;

	for (;;) {
		rc = next_path(sh, &at, sh->s->argv[0]) ? run_program(sh, sh->path) : -ENAMETOOLONG;
		if (rc == -EACCES)
			worst = rc;
		else if (rc != -ENOENT && rc != -ENOTDIR && rc != -ENAMETOOLONG)
			return rc;
		if (*at == '\0')
			return worst;
		at++;
	}
}

IN_CHILD static long child_steps(struct shared *sh)
{
	const struct tti_spawn *s = sh->s;
	unsigned long none = 0;
	long rc = 0;

	reset_signals();
	sh->step = TTI_SPAWN_GROUP;
	if (s->new_group)
		rc = child_call(SYS_setpgid, 0, 0, 0, 0);
	if (rc >= 0 && s->cwd != NULL) {
		sh->step = TTI_SPAWN_CWD;
		rc = child_call(SYS_chdir, (long)s->cwd, 0, 0, 0);
	}
	if (rc >= 0) {
		sh->step = TTI_SPAWN_FDS;
		rc = set_streams(s);
	}
	if (rc < 0)
		return rc;
	sh->step = TTI_SPAWN_EXEC;
	child_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&none, 0, KERNEL_SIGSET);
	return sh->search != NULL ? search_program(sh) : run_program(sh, s->argv[0]);
}

IN_CHILD static int child_main(void *arg)
{
	struct shared *sh = arg;

	sh->rc = (int)child_steps(sh);
	child_call(SYS_exit_group, 127, 0, 0, 0);
	return 127;
}

/* The child is gone when this returns, or runs its program. */
static int clone_child(struct shared *sh, int *ret_pidfd)
{
	char stack[STACK_BYTES] __attribute__((aligned(16)));
	int pid = clone(child_main, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, sh, ret_pidfd);

	return pid < 0 ? -errno : pid;
}

static void reap(int pid, int pidfd)
{
	siginfo_t info;

	while (tti_env_syscall(SYS_waitid, P_PID, pid, (long)&info, WEXITED, 0, 0) == -EINTR)
		continue;
	tti_env_syscall(SYS_close, pidfd, 0, 0, 0, 0, 0);
}

int tti_env_spawn(const struct tti_spawn *s, int *ret_pid, int *ret_pidfd, enum tti_spawn_step *ret_step)
{
	struct shared sh = { .s = s };
	unsigned long all = ~0UL, before = 0;
	int pid, pidfd = -1;

	sh.envp = s->envp != NULL ? s->envp : (const char *const *)environ;
	if (strchr(s->argv[0], '/') == NULL) {
		sh.search = tti_env_var("PATH");
		if (sh.search == NULL)
			sh.search = "/usr/bin:/bin";
	}
	tti_env_syscall(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&before, KERNEL_SIGSET, 0, 0);
	pid = clone_child(&sh, &pidfd);
	tti_env_syscall(SYS_rt_sigprocmask, SIG_SETMASK, (long)&before, 0, KERNEL_SIGSET, 0, 0);
	if (pid < 0) {
		*ret_step = TTI_SPAWN_CLONE;
		return pid;
	}
	if (sh.rc < 0) {
		reap(pid, pidfd);
		*ret_step = (enum tti_spawn_step)sh.step;
		return sh.rc;
	}
	*ret_pid = pid;
	*ret_pidfd = pidfd;
	return 0;
}

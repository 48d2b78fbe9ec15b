/* SPDX-License-Identifier: MIT */
/*
 * process_real.c - children of the kernel, by raw system calls; see process_ops.h. Called by
 * process.c: start and discard on a thread of the pool, the others on a worker.
 *
 * Only status() with `take` takes a child out of the process table: until then its number, and
 * its group's, is nobody else's.
 */
#include "net/process_ops.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <tutti/error.h>

#include "base/atomic.h"
#include "env/env.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#define SYS_pidfd_send_signal 424
#endif

static long sys(long nr, long a, long b, long c, long d)
{
	return tti_env_syscall(nr, a, b, c, d, 0, 0);
}

static void close_number(int *number)
{
	if (*number >= 0)
		sys(SYS_close, *number, 0, 0, 0);
	*number = -1;
}

/* A copy that is 3 or more, so that the child can put it in place of 0, 1 and 2 in any order. */
static int raised(int number)
{
	return (int)sys(SYS_fcntl, number, F_DUPFD_CLOEXEC, 3, 0);
}

static int raise_end(int *number)
{
	int high;

	if (*number >= 3)
		return 0;
	high = raised(*number);
	if (high < 0)
		return high;
	close_number(number);
	*number = high;
	return 0;
}

/* ---- start ---- */

struct real_start {
	struct tti_process_start *start;
	int child_ends[TTI_STREAMS];         /* -1: none */
};

/* Ours does not block; the child's does, as programs expect. */
static int make_pipe(struct real_start *s, int i)
{
	int ends[2], rc = (int)sys(SYS_pipe2, (long)ends, O_CLOEXEC, 0, 0);

	if (rc < 0)
		return rc;
	s->start->our_ends[i] = ends[i == TTI_STDIN];
	s->child_ends[i] = ends[i != TTI_STDIN];
	rc = raise_end(&s->child_ends[i]);
	if (rc == 0)
		rc = (int)sys(SYS_fcntl, s->start->our_ends[i], F_SETFL, O_NONBLOCK, 0);
	return rc;
}

static int open_null(struct real_start *s, int i)
{
	int fd = (int)sys(SYS_openat, AT_FDCWD, (long)"/dev/null", (i == TTI_STDIN ? O_RDONLY : O_WRONLY) | O_CLOEXEC, 0);

	if (fd < 0)
		return fd;
	s->child_ends[i] = fd;
	return raise_end(&s->child_ends[i]);
}

/* What the child gets as stream i: child_ends[i], or -1 for what it inherits. */
static int make_stream(struct real_start *s, int i)
{
	int from = s->start->to[i];

	if (from == TT_TO_STDOUT)
		from = s->child_ends[TTI_STDOUT] >= 0 ? s->child_ends[TTI_STDOUT] : TTI_STDOUT;
	switch (from) {
	case TT_TO_INHERIT:
		if (!s->start->given[i])
			return 0;
		break;
	case TT_TO_NULL:
		return open_null(s, i);
	case TT_TO_PIPE:
		return make_pipe(s, i);
	default:
		break;
	}
	s->child_ends[i] = raised(from);
	return s->child_ends[i] < 0 ? s->child_ends[i] : 0;
}

static int real_start(struct tti_process_start *start)
{
	struct real_start s = { .start = start, .child_ends = { -1, -1, -1 } };
	int rc = 0;

	start->step = TTI_SPAWN_FDS;
	for (int i = 0; i < TTI_STREAMS && rc == 0; i++)
		rc = make_stream(&s, i);
	if (rc == 0) {
		memcpy(start->spawn.fds, s.child_ends, sizeof(start->spawn.fds));
		rc = tti_env_spawn(&start->spawn, &start->pid, &start->pidfd, &start->step);
	}
	for (int i = 0; i < TTI_STREAMS; i++) {
		close_number(&s.child_ends[i]);
		if (rc < 0)
			close_number(&start->our_ends[i]);
	}
	return rc;
}

static void real_discard(int pid)
{
	siginfo_t info;

	sys(SYS_kill, pid, SIGKILL, 0, 0);
	while (sys(SYS_waitid, P_PID, pid, (long)&info, WEXITED) == -EINTR)
		continue;
}

/* Linux has the calls we need, and nobody forbids them. */
static int real_check(void)
{
	static tti_atomic_u32 known;
	siginfo_t info;
	long self, rc;

	/* relaxed: whoever does not see it asks again. */
	if (tti_load_relaxed(&known) != 0)
		return 0;
	self = sys(SYS_pidfd_open, sys(SYS_getpid, 0, 0, 0, 0), 0, 0, 0);
	if (self == -ENOSYS || self == -EPERM)
		return tt_fail(TT_ENOSYS, "tt_process_start: this kernel, or its sandbox, has no pidfd_open (Linux 5.4)");
	if (self < 0)
		return (int)self;
	rc = sys(SYS_waitid, P_PIDFD, self, (long)&info, WEXITED | WNOHANG);
	sys(SYS_close, self, 0, 0, 0);
	if (rc == -EINVAL)
		return tt_fail(TT_ENOSYS, "tt_process_start: this kernel has no waitid for a pidfd (Linux 5.4)");
	/* relaxed: as above. */
	tti_store_relaxed(&known, 1);
	return 0;
}

/* ---- afterwards ---- */

static int real_status(int pidfd, bool take, int *ret_status)
{
	siginfo_t info;
	long rc;

	memset(&info, 0, sizeof(info));
	rc = sys(SYS_waitid, P_PIDFD, pidfd, (long)&info, WEXITED | WNOHANG | (take ? 0 : WNOWAIT));
	if (rc < 0)
		return (int)rc;
	if (info.si_pid == 0)
		return TT_EAGAIN;
	*ret_status = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
	return 0;
}

static int real_kill(int pidfd, int sig)
{
	return (int)sys(SYS_pidfd_send_signal, pidfd, sig, 0, 0);
}

static int real_kill_group(int pid, int sig)
{
	return (int)sys(SYS_kill, -pid, sig, 0, 0);
}

const struct tti_process_ops tti_process_real = {
	.check = real_check,
	.start = real_start,
	.discard = real_discard,
	.status = real_status,
	.kill = real_kill,
	.kill_group = real_kill_group,
};

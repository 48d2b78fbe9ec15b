/* SPDX-License-Identifier: MIT */
/*
 * written.c - what each of our system calls writes into its caller's memory; only in builds
 * under the memory sanitizer. A call that is missing here gives a false report, never a false
 * silence. io_uring is missing: its completions write when nobody looks, and so these builds
 * run on epoll.
 */
#include "env/written.h"

#ifdef TTI_ENV_MSAN

#include <poll.h>
#include <sanitizer/msan_interface.h>
#include <signal.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define KERNEL_SIGSET 8
#define ADDRESS_MAX sizeof(struct sockaddr_storage)

static void bytes(long at, size_t n)
{
	if (at != 0)
		__msan_unpoison((void *)at, n);
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* An address and, behind a pointer, its length, which may be longer than the room for it. */
static void address(long at, long len)
{
	if (at == 0 || len == 0)
		return;
	bytes(len, sizeof(socklen_t));
	bytes(at, smaller(*(socklen_t *)len, ADDRESS_MAX));
}

static void vector(const struct iovec *v, size_t n, size_t left)
{
	for (size_t i = 0; i < n && left > 0; i++) {
		size_t part = smaller(v[i].iov_len, left);

		bytes((long)v[i].iov_base, part);
		left -= part;
	}
}

static void message(struct msghdr *m, size_t n)
{
	bytes((long)m, sizeof(*m));
	bytes((long)m->msg_name, m->msg_namelen);
	bytes((long)m->msg_control, m->msg_controllen);
	vector(m->msg_iov, m->msg_iovlen, n);
}

/* False: none of the calls below. */
static int transferred(long nr, const long a[6], size_t n)
{
	switch (nr) {
	case SYS_read:
	case SYS_pread64:
	case SYS_getdents64:
		bytes(a[1], n);
		return 1;
	case SYS_getrandom:
		bytes(a[0], n);
		return 1;
	case SYS_preadv2:
		vector((const struct iovec *)a[1], (size_t)a[2], n);
		return 1;
	case SYS_recvfrom:
		/* Of a datagram that was cut off the result is the whole length. */
		bytes(a[1], smaller(n, (size_t)a[2]));
		address(a[4], a[5]);
		return 1;
	case SYS_recvmsg:
		message((struct msghdr *)a[1], n);
		return 1;
	case SYS_sched_getaffinity:
		bytes(a[2], n);
		return 1;
	case SYS_epoll_pwait:
	case SYS_epoll_pwait2:
		bytes(a[1], n * sizeof(struct epoll_event));
		return 1;
	}
	return 0;
}

void tti_env_written(long nr, const long a[6], long result)
{
	if (result < 0 || transferred(nr, a, (size_t)result))
		return;
	switch (nr) {
	case SYS_mmap:
		bytes(result, (size_t)a[1]);
		return;
	case SYS_accept4:
	case SYS_getsockname:
	case SYS_getpeername:
		address(a[1], a[2]);
		return;
	case SYS_getsockopt:
		address(a[3], a[4]);
		return;
	case SYS_pipe2:
		bytes(a[0], 2 * sizeof(int));
		return;
	case SYS_socketpair:
		bytes(a[3], 2 * sizeof(int));
		return;
	case SYS_statx:
		bytes(a[4], sizeof(struct statx));
		return;
	case SYS_ppoll:
		bytes(a[0], (size_t)a[1] * sizeof(struct pollfd));
		return;
	case SYS_waitid:
		bytes(a[2], sizeof(siginfo_t));
		return;
	case SYS_rt_sigprocmask:
		bytes(a[2], KERNEL_SIGSET);
		return;
	case SYS_sigaltstack:
		bytes(a[1], sizeof(stack_t));
		return;
	case SYS_prlimit64:
		bytes(a[3], sizeof(struct rlimit));
		return;
	default:
		return;
	}
}

#else

/* A file of C holds something. */
typedef int tti_env_written_unused;

#endif

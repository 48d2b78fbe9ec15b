/* SPDX-License-Identifier: MIT */
/*
 * direct.c - the calls of a driver that never wait, on the real kernel. Called by net/
 * through the tables of epoll.c and uring.c, and by those two for their first tries.
 *
 * Every call is tried again when a signal interrupted it. Sockets are made non-blocking
 * and close-on-exec, and are read and written with MSG_DONTWAIT all the same, because
 * the mode is a property of the open file that another process may hold too.
 *
 * What is no socket may be in blocking mode: a terminal or a pipe that was inherited.
 * Its mode is left alone, since the shell that shares it would suffer; it is asked first
 * whether it is ready. Another process that reads the same pipe can still take the bytes
 * between the question and the read; only sharing a descriptor so makes a worker wait.
 *
 * Rejected    O_NONBLOCK on inherited descriptors, for the reason above. preadv2() with
 *             RWF_NOWAIT: terminals refuse it, and -EAGAIN from a file that is not in
 *             the page cache is not to be told from an empty pipe.
 */
#include "io/direct.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/stat.h>
#include <linux/time_types.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "env/env.h"

/* accept(2) hands out errors of the connection that was waiting. Each try takes one of
 * them off the queue, so that no listener gets here by its backlog alone. */
#define ACCEPT_TRIES 4096

#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif

static long call(long nr, long a, long b, long c, long d, long e, long f)
{
	long rc;

	do
		rc = tti_env_syscall(nr, a, b, c, d, e, f);
	while (rc == -EINTR);
	return rc;
}

int tti_direct_socket(struct tti_driver *d, int family, int type, int protocol)
{
	(void)d;
	return (int)call(SYS_socket, family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol, 0, 0, 0);
}

int tti_direct_pair(struct tti_driver *d, int ret_fds[2])
{
	int fds[2], rc;

	(void)d;
	rc = (int)call(SYS_socketpair, AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, (long)fds, 0, 0);
	if (rc < 0)
		return rc;
	ret_fds[0] = fds[0];
	ret_fds[1] = fds[1];
	return 0;
}

int tti_direct_bind(struct tti_driver *d, int fd, const void *addr, uint32_t len)
{
	(void)d;
	return (int)call(SYS_bind, fd, (long)addr, (long)len, 0, 0, 0);
}

int tti_direct_listen(struct tti_driver *d, int fd, int backlog)
{
	(void)d;
	return (int)call(SYS_listen, fd, backlog, 0, 0, 0, 0);
}

int tti_direct_address(struct tti_driver *d, int fd, bool peer, void *addr, uint32_t *len)
{
	(void)d;
	return (int)call(peer ? SYS_getpeername : SYS_getsockname, fd, (long)addr, (long)len, 0, 0, 0);
}

int tti_direct_set_option(struct tti_driver *d, int fd, int level, int option, const void *value, uint32_t len)
{
	(void)d;
	return (int)call(SYS_setsockopt, fd, level, option, (long)value, (long)len, 0);
}

int tti_direct_shutdown(struct tti_driver *d, int fd, int how)
{
	(void)d;
	return (int)call(SYS_shutdown, fd, how, 0, 0, 0, 0);
}

int tti_direct_close(struct tti_driver *d, int fd)
{
	int rc;

	(void)d;
	/* Never twice: the number is free after the first call, whatever that returned. */
	rc = (int)tti_env_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
	return rc == -EINTR ? 0 : rc;
}

static bool is_regular(int fd)
{
	struct statx st;

	if (call(SYS_statx, fd, (long)"", AT_EMPTY_PATH, STATX_TYPE, (long)&st, 0) < 0)
		return false;
	return (st.stx_mode & S_IFMT) == S_IFREG;
}

/* 1: a read or write cannot wait. 0: it waits unless the descriptor is ready. */
static int never_waits(int fd)
{
	int mode = (int)call(SYS_fcntl, fd, F_GETFL, 0, 0, 0, 0);

	return mode < 0 ? mode : (mode & O_NONBLOCK) != 0;
}

long tti_direct_read(struct tti_driver *d, int fd, void *buf, size_t n, unsigned flags)
{
	long rc;

	(void)d;
	if (flags & TTI_IO_SOCKET)
		return call(SYS_recvfrom, fd, (long)buf, (long)n, MSG_DONTWAIT, 0, 0);
	rc = never_waits(fd);
	if (rc == 0)
		rc = tti_direct_ready(d, fd, POLLIN);
	if (rc < 0)
		return rc;
	return call(SYS_read, fd, (long)buf, (long)n, 0, 0, 0);
}

long tti_direct_write(struct tti_driver *d, int fd, const void *buf, size_t n, unsigned flags)
{
	long rc;

	(void)d;
	if (flags & TTI_IO_SOCKET)
		return call(SYS_sendto, fd, (long)buf, (long)n, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0);
	rc = never_waits(fd);
	if (rc == 0) {
		rc = tti_direct_ready(d, fd, POLLOUT);
		/* A pipe that is ready has room for so much; more would wait for a reader. */
		if (n > PIPE_BUF && !is_regular(fd))
			n = PIPE_BUF;
	}
	if (rc < 0)
		return rc;
	return call(SYS_write, fd, (long)buf, (long)n, 0, 0, 0);
}

long tti_direct_recv_msg(struct tti_driver *d, int fd, struct msghdr *m, unsigned flags)
{
	(void)d;
	return call(SYS_recvmsg, fd, (long)m, (long)(flags | MSG_DONTWAIT), 0, 0, 0);
}

long tti_direct_send_msg(struct tti_driver *d, int fd, const struct msghdr *m)
{
	(void)d;
	return call(SYS_sendmsg, fd, (long)m, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0, 0);
}

bool tti_direct_accept_starved(long rc)
{
	return rc == -EMFILE || rc == -ENFILE || rc == -ENOBUFS || rc == -ENOMEM;
}

bool tti_direct_accept_again(long rc)
{
	switch (rc) {
	case -EINTR:
	case -ECONNABORTED:
	case -ENETDOWN:
	case -EPROTO:
	case -ENOPROTOOPT:
	case -EHOSTDOWN:
	case -ENONET:
	case -EHOSTUNREACH:
	case -ENETUNREACH:
		return true;
	default:
		return false;
	}
}

long tti_direct_accept(int fd, void *addr, size_t len, uint32_t *ret_len)
{
	uint32_t got;
	long rc;
	int i;

	for (i = 0; i < ACCEPT_TRIES; i++) {
		got = (uint32_t)len;
		rc = call(SYS_accept4, fd, (long)addr, addr != NULL ? (long)&got : 0,
		          SOCK_NONBLOCK | SOCK_CLOEXEC, 0, 0);
		if (!tti_direct_accept_again(rc))
			break;
	}
	/* The kernel finds a number before it looks whether anybody waits. */
	if (tti_direct_accept_starved(rc) && tti_direct_ready(NULL, fd, POLLIN) == -EAGAIN)
		return -EAGAIN;
	if (rc >= 0 && ret_len != NULL)
		*ret_len = addr != NULL ? got : 0;
	return rc;
}

long tti_direct_connect(int fd, const void *addr, size_t len, bool *started)
{
	/* An interrupted connect goes on behind our back; asking again tells. */
	long rc = call(SYS_connect, fd, (long)addr, (long)len, 0, 0, 0);

	if (rc == -EINPROGRESS || rc == -EALREADY) {
		*started = true;
		return -EAGAIN;
	}
	if (rc == -EISCONN && *started)
		return 0;
	return rc == -EAGAIN ? -EBUSY : rc;
}

bool tti_direct_connected(int fd)
{
	struct sockaddr_storage peer;
	uint32_t len = sizeof(peer);

	return call(SYS_getpeername, fd, (long)&peer, (long)&len, 0, 0, 0) == 0;
}

long tti_direct_ready(struct tti_driver *d, int fd, unsigned events)
{
	struct pollfd p = { .fd = fd, .events = (short)events };
	struct __kernel_timespec none = { 0 };
	long rc = call(SYS_ppoll, (long)&p, 1, (long)&none, 0, 0, 0);

	(void)d;
	if (rc < 0)
		return rc;
	if (rc == 0)
		return -EAGAIN;
	return p.revents & POLLNVAL ? -EBADF : p.revents;
}

/* What is no socket refuses connects too, and is nobody's to remove. */
static bool is_socket_file(const char *path)
{
	struct statx st;

	if (call(SYS_statx, AT_FDCWD, (long)path, AT_SYMLINK_NOFOLLOW, STATX_TYPE, (long)&st, 0) < 0)
		return false;
	return (st.stx_mode & S_IFMT) == S_IFSOCK;
}

bool tti_direct_is_stale(struct tti_driver *d, const char *path, const void *addr, uint32_t len)
{
	bool started = false;
	long rc;
	int fd;

	if (!is_socket_file(path))
		return false;
	fd = tti_direct_socket(d, AF_UNIX, SOCK_STREAM, 0);
	if (fd < 0)
		return false;
	/* It does not wait: a full backlog answers too. */
	rc = tti_direct_connect(fd, addr, len, &started);
	tti_direct_close(d, fd);
	return rc == -ECONNREFUSED;
}

bool tti_direct_is_stream(int fd)
{
	int type = 0, domain = 0;
	uint32_t len = sizeof(type);

	if (call(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, (long)&type, (long)&len, 0) < 0 ||
	    call(SYS_getsockopt, fd, SOL_SOCKET, SO_DOMAIN, (long)&domain, (long)&len, 0) < 0)
		return false;
	/* A read of a Unix socket ends where bytes that brought a descriptor end. */
	return type == SOCK_STREAM && domain != AF_UNIX;
}

const void *tti_direct_thread(void)
{
	static __thread char here;

	return &here;
}

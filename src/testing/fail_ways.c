/* SPDX-License-Identifier: MIT */
/*
 * fail_ways.c - the ways in which the kernel can fail a system call that the library makes:
 * what its manual page lists, less what correct arguments exclude.
 *
 * Left out    calls that cannot fail here (munmap, shutdown of a connected socket, a write to
 *             an event counter that has room), and those whose failure would be a lie: a
 *             removal from an epoll set that still holds the number.
 * Close       has been done whatever it says, so it is done here too.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "testing/fail.h"

#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif

/* What a descriptor is; only calls that move bytes ask. */
enum { ANY = 0, SOCKET = 1, FILE_ = 2, OTHER = 4 };

struct row {
	short nr;
	uint8_t on;                          /* ANY, or one of those above */
	bool may_be_short;
	const char *name;
	short codes[8];                      /* errno values, ended by 0 */
};

static const struct row rows[] = {
	{ SYS_mmap, ANY, false, "mmap", { ENOMEM } },
	{ SYS_mprotect, ANY, false, "mprotect", { ENOMEM } },
	{ SYS_madvise, ANY, false, "madvise", { ENOMEM } },
	{ SYS_epoll_create1, ANY, false, "epoll_create1", { EMFILE, ENFILE, ENOMEM } },
	{ SYS_eventfd2, ANY, false, "eventfd2", { EMFILE, ENFILE, ENOMEM } },
	{ SYS_epoll_ctl, ANY, false, "epoll_ctl", { ENOMEM, ENOSPC } },
	{ SYS_epoll_pwait, ANY, false, "epoll_pwait", { EINTR } },
	{ SYS_epoll_pwait2, ANY, false, "epoll_pwait2", { EINTR, ENOSYS, EPERM } },
	{ SYS_io_uring_setup, ANY, false, "io_uring_setup", { ENOMEM, EMFILE, ENFILE, ENOSYS, EPERM, EINVAL } },
	{ SYS_io_uring_register, ANY, false, "io_uring_register", { ENOMEM, EINVAL, EACCES } },
	{ SYS_io_uring_enter, ANY, false, "io_uring_enter", { EINTR, EAGAIN, EBUSY } },
	{ SYS_socket, ANY, false, "socket", { EMFILE, ENFILE, ENOBUFS, ENOMEM, EACCES, EAFNOSUPPORT } },
	{ SYS_socketpair, ANY, false, "socketpair", { EMFILE, ENFILE, ENOMEM } },
	{ SYS_pipe2, ANY, false, "pipe2", { EMFILE, ENFILE } },
	{ SYS_bind, ANY, false, "bind", { EADDRINUSE, EACCES, ENOMEM } },
	{ SYS_listen, ANY, false, "listen", { EADDRINUSE } },
	{ SYS_accept4, ANY, false, "accept4", { EMFILE, ENFILE, ENOMEM, ENOBUFS, ECONNABORTED, EINTR } },
	{ SYS_connect, ANY, false, "connect", { ECONNREFUSED, ETIMEDOUT, ENETUNREACH, EHOSTUNREACH, EADDRNOTAVAIL, EINTR } },
	{ SYS_setsockopt, ANY, false, "setsockopt", { ENOMEM, ENOPROTOOPT } },
	{ SYS_recvfrom, ANY, true, "recvfrom", { ECONNRESET, EINTR, ENOMEM } },
	{ SYS_recvmsg, ANY, false, "recvmsg", { ECONNRESET, EINTR, ENOMEM } },
	{ SYS_sendto, ANY, true, "sendto", { EPIPE, ECONNRESET, EINTR, ENOBUFS } },
	{ SYS_sendmsg, ANY, false, "sendmsg", { EPIPE, ECONNRESET, EINTR, ENOBUFS } },
	{ SYS_read, FILE_, true, "read", { EIO, EINTR } },
	{ SYS_read, OTHER, true, "read", { EINTR } },
	{ SYS_write, FILE_, true, "write", { ENOSPC, EIO, EDQUOT, EINTR } },
	{ SYS_pread64, FILE_, true, "pread64", { EIO, EINTR } },
	{ SYS_preadv2, FILE_, false, "preadv2", { EIO, EINTR, EAGAIN, EOPNOTSUPP } },
	{ SYS_pwrite64, FILE_, true, "pwrite64", { ENOSPC, EIO, EDQUOT, EINTR } },
	{ SYS_pwritev2, FILE_, false, "pwritev2", { ENOSPC, EIO, EINTR, EAGAIN, EOPNOTSUPP } },
	{ SYS_openat, ANY, false, "openat", { EMFILE, ENFILE, ENOMEM, EACCES, ENOSPC, EINTR } },
	{ SYS_openat2, ANY, false, "openat2", { EMFILE, ENFILE, ENOMEM, EAGAIN, ENOSYS } },
	{ SYS_fsync, ANY, false, "fsync", { EIO, ENOSPC } },
	{ SYS_fdatasync, ANY, false, "fdatasync", { EIO, ENOSPC } },
	{ SYS_ftruncate, ANY, false, "ftruncate", { EIO, EINTR } },
	{ SYS_fchmod, ANY, false, "fchmod", { EPERM, EIO } },
	{ SYS_statx, ANY, false, "statx", { ENOMEM } },
	{ SYS_renameat2, ANY, false, "renameat2", { ENOSPC, EIO, EACCES } },
	{ SYS_unlinkat, ANY, false, "unlinkat", { EIO, EACCES } },
	{ SYS_inotify_init1, ANY, false, "inotify_init1", { EMFILE, ENOMEM } },
	{ SYS_inotify_add_watch, ANY, false, "inotify_add_watch", { ENOSPC, ENOMEM } },
	{ SYS_pidfd_open, ANY, false, "pidfd_open", { EMFILE, ENOMEM } },
	{ SYS_waitid, ANY, false, "waitid", { EINTR } },
	{ SYS_ppoll, ANY, false, "ppoll", { EINTR, ENOMEM } },
	{ SYS_fcntl, ANY, false, "fcntl", { EMFILE } },
};

static unsigned kind_of(const struct tti_env_ops *under, long fd)
{
	struct statx st;
	unsigned type;

	if (under->syscall(SYS_statx, fd, (long)"", AT_EMPTY_PATH, STATX_TYPE, (long)&st, 0) < 0)
		return 0;
	type = st.stx_mode & S_IFMT;
	if (type == S_IFSOCK)
		return SOCKET;
	/* An event counter and its like have no type at all. */
	return type == S_IFREG ? FILE_ : type == 0 ? 0 : OTHER;
}

static int socket_option(const struct tti_env_ops *under, long fd, int option)
{
	int value = -1;
	uint32_t len = sizeof(value);

	if (under->syscall(SYS_getsockopt, fd, SOL_SOCKET, option, (long)&value, (long)&len, 0) < 0)
		return -1; /* no socket */
	return value;
}

/* A datagram is whole. A read of TCP that gives less than asked for has emptied the socket, which
 * epoll(7) promises and the driver believes. */
static bool may_be_short(const struct tti_env_ops *under, const struct row *r, const long a[6])
{
	int type;

	if (!r->may_be_short || a[2] <= 1)
		return false;
	type = socket_option(under, a[0], SO_TYPE);
	if (type < 0)
		return true;
	return type == SOCK_STREAM && (r->nr != SYS_recvfrom || socket_option(under, a[0], SO_DOMAIN) == AF_UNIX);
}

static const struct row *row_of(const struct tti_env_ops *under, long nr, const long a[6])
{
	unsigned kind = ~0u;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].nr != nr)
			continue;
		if (rows[i].on == ANY)
			return &rows[i];
		if (kind == ~0u)
			kind = kind_of(under, a[0]);
		if (rows[i].on & kind)
			return &rows[i];
	}
	return NULL;
}

/* Of the row's codes, not this one, with these arguments. */
static bool is_excluded(long nr, const long a[6], int code)
{
	if (nr == SYS_openat && code == ENOSPC)
		return (a[2] & O_CREAT) == 0;
	if (nr == SYS_fcntl)
		return a[1] != F_DUPFD_CLOEXEC;
	if (nr == SYS_waitid)
		return (a[3] & WNOHANG) != 0; /* it does not wait, so that nothing interrupts it */
	return nr == SYS_epoll_ctl && a[1] == EPOLL_CTL_MOD && code == ENOSPC;
}

unsigned tti_fail_ways(const struct tti_env_ops *under, long nr, const long args[6], struct tti_fail_way *ret,
                       const char **ret_name)
{
	const struct row *r;
	unsigned n = 0;

	if (nr == SYS_close) {
		*ret_name = "close";
		ret[0] = (struct tti_fail_way){ TT_EINTR, TTI_FAIL_BEHIND };
		ret[1] = (struct tti_fail_way){ TT_EIO, TTI_FAIL_BEHIND };
		return 2;
	}
	if (nr == SYS_epoll_ctl && args[1] == EPOLL_CTL_DEL)
		return 0;
	r = row_of(under, nr, args);
	if (r == NULL)
		return 0;
	*ret_name = r->name;
	for (size_t i = 0; i < sizeof(r->codes) / sizeof(r->codes[0]) && r->codes[i] != 0; i++)
		if (!is_excluded(nr, args, r->codes[i]))
			ret[n++] = (struct tti_fail_way){ -r->codes[i], TTI_FAIL_INSTEAD };
	if (may_be_short(under, r, args))
		ret[n++] = (struct tti_fail_way){ 0, TTI_FAIL_SHORT };
	return n;
}

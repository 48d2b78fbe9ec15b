/* SPDX-License-Identifier: MIT */
/*
 * file_real.c - files of the kernel, by raw system calls; see file_ops.h. Called by file.c,
 * the _now calls and watch() on a worker, the others on a thread of the pool.
 *
 * What is opened gets O_NONBLOCK: a FIFO would else hold the pool's thread until its other
 * end comes, and no cancel could end that. Files do not care.
 *
 * Rejected    Operations of a file on the ring: the kernel hands what is not in memory to a
 *             thread of its own all the same, and then neither the cap of the FILES class nor
 *             an order among them holds.
 */
#include "net/file_ops.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <sys/inotify.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "env/env.h"

#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif

#define NS_PER_SEC 1000000000
#define OPEN_FLAGS (O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

static long call(long nr, long a, long b, long c, long d, long e, long f)
{
	long rc;

	do
		rc = tti_env_syscall(nr, a, b, c, d, e, f);
	while (rc == -EINTR);
	return rc;
}

static void real_close(int fd)
{
	TT_IGNORE((int)tti_env_syscall(SYS_close, fd, 0, 0, 0, 0, 0));
}

/* Gives fd back, or a code with fd closed. */
static long kind_of(long fd, bool *ret_file)
{
	struct statx st;
	unsigned type;
	long rc = call(SYS_statx, fd, (long)"", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, (long)&st, 0);

	if (rc < 0) {
		real_close((int)fd);
		return rc;
	}
	type = st.stx_mode & S_IFMT;
	*ret_file = type == S_IFREG || type == S_IFDIR || type == S_IFBLK;
	return fd;
}

static long real_open(const char *path, int flags, unsigned mode, bool *ret_file)
{
	long fd = call(SYS_openat, AT_FDCWD, (long)path, flags | OPEN_FLAGS, (long)mode, 0, 0);

	return fd < 0 ? fd : kind_of(fd, ret_file);
}

/* -EAGAIN: ask the disk; also where the kernel (before 5.12) or a sandbox does not know the call. */
static long real_open_now(const char *path, int flags, bool *ret_file)
{
	struct open_how how = { .flags = (uint64_t)(unsigned)(flags | OPEN_FLAGS), .resolve = RESOLVE_CACHED };
	long fd;

	if ((flags & (O_CREAT | O_TRUNC | O_TMPFILE)) != 0)
		return -EAGAIN;
	fd = call(SYS_openat2, AT_FDCWD, (long)path, (long)&how, sizeof(how), 0, 0);
	return fd < 0 ? -EAGAIN : kind_of(fd, ret_file);
}

/* RWF_NOWAIT is not known to every file system. */
static long or_again(long rc)
{
	return rc == -EOPNOTSUPP || rc == -ENOSYS || rc == -EPERM ? -EAGAIN : rc;
}

/* The offset's two words, low first; -1 in both is the position. */
static long transfer(long nr, int fd, void *buf, size_t n, int64_t offset, long flags)
{
	struct iovec iov = { .iov_base = buf, .iov_len = n };

	return call(nr, fd, (long)&iov, 1, (long)offset, offset < 0 ? -1 : 0, flags);
}

static long real_read(int fd, void *buf, size_t n, int64_t offset)
{
	return offset < 0 ? call(SYS_read, fd, (long)buf, (long)n, 0, 0, 0)
	                  : call(SYS_pread64, fd, (long)buf, (long)n, offset, 0, 0);
}

/* Linux 5.9 and 5.10 say 0 where the bytes have not come yet (preadv2(2), BUGS): its size tells. */
static bool at_end(int fd, int64_t offset)
{
	struct statx st;

	if (offset < 0)
		offset = call(SYS_lseek, fd, 0, SEEK_CUR, 0, 0, 0);
	return offset >= 0 &&
	       call(SYS_statx, fd, (long)"", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_SIZE, (long)&st, 0) == 0 &&
	       (uint64_t)offset >= st.stx_size;
}

static long real_read_now(int fd, void *buf, size_t n, int64_t offset)
{
	long rc = or_again(transfer(SYS_preadv2, fd, buf, n, offset, RWF_NOWAIT));

	return rc == 0 && n > 0 && !at_end(fd, offset) ? -EAGAIN : rc;
}

static long real_write(int fd, const void *buf, size_t n, int64_t offset)
{
	return offset < 0 ? call(SYS_write, fd, (long)buf, (long)n, 0, 0, 0)
	                  : call(SYS_pwrite64, fd, (long)buf, (long)n, offset, 0, 0);
}

static long real_write_now(int fd, const void *buf, size_t n, int64_t offset)
{
	return or_again(transfer(SYS_pwritev2, fd, (void *)(uintptr_t)buf, n, offset, RWF_NOWAIT));
}

static long real_sync(int fd, bool data_only)
{
	return call(data_only ? SYS_fdatasync : SYS_fsync, fd, 0, 0, 0, 0, 0);
}

static long real_truncate(int fd, uint64_t size)
{
	return call(SYS_ftruncate, fd, (long)size, 0, 0, 0, 0);
}

static int64_t in_ns(const struct statx_timestamp *t)
{
	int64_t ns;

	if (__builtin_mul_overflow(t->tv_sec, (int64_t)NS_PER_SEC, &ns) || __builtin_add_overflow(ns, (int64_t)t->tv_nsec, &ns))
		return t->tv_sec < 0 ? INT64_MIN : INT64_MAX;
	return ns;
}

static long real_stat(int fd, const char *path, tt_file_info *ret_info)
{
	const unsigned want = STATX_TYPE | STATX_MODE | STATX_SIZE | STATX_INO | STATX_MTIME;
	struct statx st;
	long rc = call(SYS_statx, path != NULL ? AT_FDCWD : fd, (long)(path != NULL ? path : ""),
	               path != NULL ? 0 : AT_EMPTY_PATH, want, (long)&st, 0);

	if (rc < 0)
		return rc;
	*ret_info = (tt_file_info){
		.size = st.stx_size,
		.device = (uint64_t)st.stx_dev_major << 32 | st.stx_dev_minor,
		.inode = st.stx_ino,
		.mode = st.stx_mode,
		.modified = in_ns(&st.stx_mtime),
	};
	return 0;
}

static long real_set_mode(int fd, unsigned mode)
{
	return call(SYS_fchmod, fd, (long)mode, 0, 0, 0, 0);
}

static long real_rename(const char *from, const char *to)
{
	return call(SYS_renameat2, AT_FDCWD, (long)from, AT_FDCWD, (long)to, 0, 0);
}

static long real_remove(const char *path)
{
	return call(SYS_unlinkat, AT_FDCWD, (long)path, 0, 0, 0, 0);
}

/* By way of /proc, so that a file is followed that was renamed or has no name any more. */
static int real_watch(int fd)
{
	char path[32];
	long watch, rc;

	watch = call(SYS_inotify_init1, IN_CLOEXEC | IN_NONBLOCK, 0, 0, 0, 0, 0);
	if (watch < 0)
		return (int)watch;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	rc = call(SYS_inotify_add_watch, watch, (long)path, IN_MODIFY, 0, 0, 0);
	if (rc < 0) {
		real_close((int)watch);
		return (int)rc;
	}
	return (int)watch;
}

static void real_watch_seen(int watch)
{
	char events[1024] __attribute__((aligned(8)));

	while (call(SYS_read, watch, (long)events, sizeof(events), 0, 0, 0) > 0)
		continue;
}

const struct tti_file_ops tti_file_real = {
	.open = real_open,
	.open_now = real_open_now,
	.read = real_read,
	.read_now = real_read_now,
	.write = real_write,
	.write_now = real_write_now,
	.sync = real_sync,
	.truncate = real_truncate,
	.stat = real_stat,
	.set_mode = real_set_mode,
	.rename = real_rename,
	.remove = real_remove,
	.close = real_close,
	.watch = real_watch,
	.watch_seen = real_watch_seen,
};

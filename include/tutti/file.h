/* SPDX-License-Identifier: MIT */
/*
 * file.h - files, without holding a worker: what the kernel has in memory is read at once, all
 * else runs on the blocking pool while the task parks.
 *
 *	TT_TRY(tt_file_open("data.log", O_RDONLY, 0, &fd));
 *	n = tt_file_pread(fd, buf, sizeof(buf), offset);
 *	tt_fd_close(fd);
 *
 * The calls of <tutti/net.h> work on files too: tt_read(), tt_write_all(), a tt_reader ... go on at
 * the open file's own position. Paths and flags are those of open(2) (<fcntl.h>).
 *
 * Invariants  A cancel that finds a call under way waits for it: the kernel has its buffer. The
 *             call then returns what it did.
 */
#ifndef TUTTI_FILE_H
#define TUTTI_FILE_H

#include <tutti/base.h>
#include <tutti/net.h>

TT_BEGIN_DECLS

typedef struct tt_file_info {
	uint64_t size;     /* bytes */
	uint64_t device, inode; /* the same pair: the same file */
	uint32_t mode;     /* type and permissions, as st_mode */
	int64_t modified;  /* wall clock, ns since 1970 */
} tt_file_info;

/*
 * tt_file_open - open a file, always close-on-exec. What is no file but a stream (a FIFO, a
 * terminal) is opened without waiting for its other end, for tt_read() and tt_write().
 *
 * Blocks     yes; always a checkpoint
 * Returns    0
 * Cancelled  TT_ECANCELED, and then nothing was opened or made
 * Errors     -ENOENT, -EACCES, -EEXIST, -EISDIR, -EMFILE, -ENOSPC, -EAGAIN (no thread), ...
 * Ownership  *ret_fd is the caller's, closed with tt_fd_close()
 * Threads    any task
 */
TT_API TT_MUST_USE int tt_file_open(const char *path, int flags, unsigned mode, tt_fd **ret_fd);

/*
 * tt_file_pread - read what is at an offset; the file's position stays.
 *
 * Blocks     yes; always a checkpoint
 * Returns    how many bytes, at least 1; 0 at the end (or if n is 0)
 * Cancelled  TT_ECANCELED, and then nothing was read
 * Errors     -EIO, -EISDIR, -ESPIPE, -EBADF (closed, or not open for reading), -EINVAL, ...
 * Threads    any tasks, many at a time
 */
TT_API TT_MUST_USE int tt_file_pread(tt_fd *fd, void *ret_buf, size_t n, uint64_t offset);

/*
 * tt_file_pwrite - write some of these bytes at an offset; the file's position stays. With
 * O_APPEND they go to the end whatever the offset.
 *
 * Blocks     yes; always a checkpoint
 * Returns    how many bytes, at least 1 (0 only if n is 0)
 * Cancelled  TT_ECANCELED, and then nothing was written
 * Errors     -ENOSPC, -EDQUOT, -EFBIG, -EIO, -ESPIPE, -EBADF, -EINVAL, ...
 * Threads    any tasks, many at a time
 */
TT_API TT_MUST_USE int tt_file_pwrite(tt_fd *fd, const void *buf, size_t n, uint64_t offset);

/*
 * tt_file_pread_exact - read exactly n bytes from an offset on.
 *
 * Blocks     yes; always a checkpoint
 * Returns    0: all were read
 * Cancelled  TT_ECANCELED; *ret_done says how many were read
 * Errors     TT_EEOF if the file ends before; as tt_file_pread(); *ret_done is set
 * Ownership  ret_done may be NULL
 * Threads    any tasks, many at a time
 */
TT_API TT_MUST_USE int tt_file_pread_exact(tt_fd *fd, void *ret_buf, size_t n, uint64_t offset, size_t *ret_done);

/*
 * tt_file_pwrite_all - write all n bytes from an offset on.
 *
 * Blocks     yes; always a checkpoint
 * Returns    0: all were written
 * Cancelled  TT_ECANCELED; *ret_done says how many were written
 * Errors     as tt_file_pwrite(); *ret_done is set
 * Ownership  ret_done may be NULL
 * Threads    any tasks, many at a time
 */
TT_API TT_MUST_USE int tt_file_pwrite_all(tt_fd *fd, const void *buf, size_t n, uint64_t offset, size_t *ret_done);

/*
 * tt_file_fsync - what was written, and what describes it, is on the disk. After an error nobody
 * knows what is: a second call may succeed all the same, so do not trust it.
 *
 * Blocks     yes; always a checkpoint
 * Returns    0
 * Cancelled  TT_ECANCELED, and then it was not begun
 * Errors     -EIO, -ENOSPC, -EDQUOT, -EBADF, -EINVAL (not a file), ...
 * Threads    any task
 */
TT_API TT_MUST_USE int tt_file_fsync(tt_fd *fd);

/*
 * tt_file_fdatasync - the same, without what is not needed to read the bytes back (times).
 *
 * Blocks     yes; always a checkpoint
 * Returns    0
 * Cancelled  TT_ECANCELED, and then it was not begun
 * Errors     as tt_file_fsync()
 * Threads    any task
 */
TT_API TT_MUST_USE int tt_file_fdatasync(tt_fd *fd);

/*
 * tt_file_truncate - make a file exactly so long: cut, or longer by zeros.
 *
 * Blocks     yes; always a checkpoint
 * Returns    0
 * Cancelled  TT_ECANCELED, and then nothing was changed
 * Errors     -EINVAL (not open for writing, not a file), -EFBIG, -EIO, -EBADF, ...
 * Threads    any task
 */
TT_API TT_MUST_USE int tt_file_truncate(tt_fd *fd, uint64_t size);

/*
 * tt_file_size - how long an open file is now.
 *
 * Blocks     yes; always a checkpoint
 * Returns    0
 * Cancelled  TT_ECANCELED
 * Errors     -EBADF, -EIO, ...
 * Threads    any task
 */
TT_API TT_MUST_USE int tt_file_size(tt_fd *fd, uint64_t *ret_size);

/*
 * tt_file_stat - describe an open file.
 *
 * Blocks     yes; always a checkpoint
 * Returns    0
 * Cancelled  TT_ECANCELED
 * Errors     -EBADF, -EIO, ...
 * Threads    any task
 */
TT_API TT_MUST_USE int tt_file_stat(tt_fd *fd, tt_file_info *ret_info);

/*
 * tt_file_stat_path - describe the file of this name, following symbolic links.
 *
 * Blocks     yes; always a checkpoint
 * Returns    0
 * Cancelled  TT_ECANCELED
 * Errors     -ENOENT, -ENOTDIR, -EACCES, -ELOOP, -EIO, ...
 * Threads    any task
 */
TT_API TT_MUST_USE int tt_file_stat_path(const char *path, tt_file_info *ret_info);

/*
 * tt_file_wait_growth - wait until an open file is longer than `size`: tail -f. Changes are
 * announced by the kernel; where they are not (another host's, on a network file system) the
 * file is looked at once a second.
 *
 * Blocks     yes; always a checkpoint
 * Returns    1 it is longer, 0 it is shorter than that: somebody cut it
 * Cancelled  TT_ECANCELED
 * Errors     -EBADF (closed meanwhile), -EIO, ...
 * Threads    any tasks, many at a time
 */
TT_API TT_MUST_USE int tt_file_wait_growth(tt_fd *fd, uint64_t size);

/*
 * tt_file_read_all - read a whole file of at most n bytes.
 *
 * Blocks     yes; always a checkpoint
 * Returns    how many bytes it has
 * Cancelled  TT_ECANCELED; what *ret_buf holds is not specified, then as after an error
 * Errors     -EFBIG if it is longer than n; as tt_file_open(), tt_file_pread()
 * Threads    any task
 */
TT_API TT_MUST_USE int tt_file_read_all(const char *path, void *ret_buf, size_t n);

/*
 * tt_file_replace - give the file of this name new contents, at once and for good: write a
 * temporary file beside it (.tt-*.tmp), sync it, rename it over the old one, sync the folder.
 * Whoever opens the name, and a machine that comes up after a power loss, finds all of the old
 * or all of the new. A new file takes over the permissions of the one it replaces (rwx; neither
 * its owner nor set-id bits); a symbolic link is replaced itself.
 *
 * Blocks     yes; always a checkpoint
 * Returns    0: it is replaced, on the disk too
 * Cancelled  TT_ECANCELED, and then the old file is as it was and the temporary one is gone
 * Errors     as tt_file_open(), tt_file_pwrite(), tt_file_fsync(), with the same promise; but if
 *            only the last step failed, which the chain names, the name has the new contents
 *            and a power loss may undo that
 * Threads    any task
 */
TT_API TT_MUST_USE int tt_file_replace(const char *path, const void *data, size_t n);

/*
 * tt_file_rename - rename a file; one that has the new name already is replaced.
 *
 * Blocks     yes; always a checkpoint
 * Returns    0
 * Cancelled  TT_ECANCELED, and then nothing was renamed
 * Errors     -ENOENT, -EACCES, -EXDEV, -EISDIR, -ENOTDIR, ...
 * Threads    any task
 */
TT_API TT_MUST_USE int tt_file_rename(const char *from, const char *to);

/*
 * tt_file_remove - remove the name of a file.
 *
 * Blocks     yes; always a checkpoint
 * Returns    0
 * Cancelled  TT_ECANCELED, and then nothing was removed
 * Errors     -ENOENT, -EACCES, -EISDIR, ...
 * Threads    any task
 */
TT_API TT_MUST_USE int tt_file_remove(const char *path);

TT_END_DECLS

#endif

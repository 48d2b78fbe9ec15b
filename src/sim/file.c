/* SPDX-License-Identifier: MIT */
/*
 * file.c - the calls on files of a simulation: descriptors, flags, faults. Called through
 * net/file_ops.h, on a worker for what must not wait and as a job of the pool else; closed by the
 * driver like every descriptor. What a name and its bytes are, and what of them outlasts a power
 * cut, is disk.c.
 *
 * Names       are told apart by their text; every folder exists, and none is listed. A file
 *             that lost its name lives until its last descriptor is closed.
 * Faults      FILE_SHORT, FILE_EIO, FILE_ENOSPC, FILE_SYNC_LOSS here; FILE_SLOW makes what was in
 *             memory ask the disk (here) and lets the job take its time (run.c); FILE_TORN is a power
 *             cut's (testing/crash.c). Half of what could be answered at once goes by way of the
 *             pool even so: which bytes are in memory is chance.
 */
#include "net/file_ops.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

#include "base/panic.h"
#include "sim/disk.h"

struct tti_sim_handle {
	struct tti_sim_inode *inode;         /* NULL with open: a folder */
	char *folder;                        /* that one's name */
	bool open;
	int flags;
	uint64_t position;
};

static long traced(const char *what, uint64_t a, uint64_t b, long result)
{
	tti_sim_traced(tti_sim_here, what, a, b, result);
	/* It happened; whoever waits for the job does not know yet. */
	tti_sim_point(tti_sim_here, TTI_SIM_AT_EFFECT);
	return result;
}

/* ---- descriptors ---- */

static struct tti_sim_handle *handle_of(struct tti_sim *sim, int fd)
{
	size_t index = (size_t)(fd - TTI_SIM_FILE_FIRST);

	if (!tti_sim_is_file(fd) || index >= sim->files.room || !sim->files.handles[index].open)
		return NULL;
	return &sim->files.handles[index];
}

static size_t free_index(struct tti_sim *sim)
{
	struct tti_sim_files *f = &sim->files;
	size_t i = 0, room;
	struct tti_sim_handle *more;

	while (i < f->room && f->handles[i].open)
		i++;
	if (i < f->room)
		return i;
	room = f->room * 2 + 8;
	more = tti_sim_alloc(room * sizeof(*more));
	memset(more, 0, room * sizeof(*more));
	if (f->room > 0)
		memcpy(more, f->handles, f->room * sizeof(*more));
	tti_env_real.free(f->handles);
	f->handles = more;
	f->room = room;
	return i;
}

/* i NULL: of a folder, whose name it takes. */
static int open_handle(struct tti_sim *sim, struct tti_sim_inode *i, char *folder, int flags)
{
	size_t index = free_index(sim);

	sim->files.handles[index] = (struct tti_sim_handle){ .inode = i, .folder = folder, .open = true, .flags = flags };
	if (i != NULL)
		i->opens++;
	sim->net.open_fds++;
	return TTI_SIM_FILE_FIRST + (int)index;
}

int tti_sim_file_close(struct tti_sim *sim, int fd)
{
	struct tti_sim_handle *h = handle_of(sim, fd);

	if (h == NULL)
		return -EBADF;
	h->open = false;
	sim->net.open_fds--;
	tti_env_real.free(h->folder);
	h->folder = NULL;
	if (h->inode != NULL)
		tti_sim_closed(sim, h->inode);
	return 0;
}

/* An open file of these flags, or a code. */
static long open_file(struct tti_sim *sim, const char *path, int flags, unsigned mode)
{
	struct tti_sim_inode *i = tti_sim_find(sim, path);

	if (sim->net.open_fds >= sim->net.fd_limit)
		return -EMFILE;
	if (i == NULL && (flags & O_DIRECTORY) != 0)
		return open_handle(sim, NULL, tti_sim_folder_name(path), flags);
	if ((flags & O_DIRECTORY) != 0)
		return -ENOTDIR;
	if (i != NULL && (flags & O_CREAT) != 0 && (flags & O_EXCL) != 0)
		return -EEXIST;
	if (i == NULL && (flags & O_CREAT) == 0)
		return -ENOENT;
	if (i == NULL && tti_sim_fault(sim, TT_FAULT_FILE_ENOSPC))
		return -ENOSPC;
	if (i == NULL)
		i = tti_sim_make(sim, path, mode);
	if ((flags & O_TRUNC) != 0 && (flags & O_ACCMODE) != O_RDONLY)
		TT_IGNORE((int)tti_sim_resize(sim, i, 0)); /* shorter always works */
	return open_handle(sim, i, NULL, flags);
}

/* ---- the table ---- */

/* Not in memory. */
static bool is_cold(struct tti_sim *sim)
{
	return tti_sim_fault(sim, TT_FAULT_FILE_SLOW) || tti_sim_roll(sim, 2) == 0;
}

static long sim_open(const char *path, int flags, unsigned mode, bool *ret_file)
{
	*ret_file = true;
	return traced("file open", strlen(path), (uint64_t)(unsigned)flags, open_file(tti_sim_here, path, flags, mode));
}

static long sim_open_now(const char *path, int flags, bool *ret_file)
{
	if ((flags & (O_CREAT | O_TRUNC | O_DIRECTORY)) != 0 || tti_sim_find(tti_sim_here, path) == NULL || is_cold(tti_sim_here))
		return -EAGAIN;
	return sim_open(path, flags, 0, ret_file);
}

/* The handle of an open file, fit for `mode`, or a code. */
static long usable(struct tti_sim *sim, int fd, int mode, struct tti_sim_handle **ret)
{
	struct tti_sim_handle *h = handle_of(sim, fd);

	if (h == NULL || ((h->flags & O_ACCMODE) != mode && (h->flags & O_ACCMODE) != O_RDWR))
		return -EBADF;
	if (h->inode == NULL)
		return -EISDIR;
	*ret = h;
	return 0;
}

static size_t maybe_less(struct tti_sim *sim, size_t n)
{
	return n > 1 && tti_sim_fault(sim, TT_FAULT_FILE_SHORT) ? 1 + (size_t)tti_sim_roll(sim, n - 1) : n;
}

static long read_file(struct tti_sim *sim, int fd, void *buf, size_t n, int64_t offset)
{
	struct tti_sim_handle *h;
	long rc = usable(sim, fd, O_RDONLY, &h);
	uint64_t from;

	if (rc < 0)
		return rc;
	if (tti_sim_fault(sim, TT_FAULT_FILE_EIO))
		return -EIO;
	from = offset < 0 ? h->position : (uint64_t)offset;
	if (from >= h->inode->len || n == 0)
		return 0;
	n = n < h->inode->len - from ? n : h->inode->len - (size_t)from;
	n = maybe_less(sim, n);
	memcpy(buf, h->inode->data + from, n);
	if (offset < 0)
		h->position += n;
	return (long)n;
}

/* A disk that fills up in the middle of a write takes its beginning, and then nothing. */
static long maybe_full(struct tti_sim *sim, size_t *n)
{
	bool was_filled = sim->files.filled;

	sim->files.filled = false;
	if (was_filled)
		return -ENOSPC;
	if (*n == 0 || !tti_sim_fault(sim, TT_FAULT_FILE_ENOSPC))
		return 0;
	if (*n == 1 || tti_sim_roll(sim, 2) == 0)
		return -ENOSPC;
	*n = 1 + (size_t)tti_sim_roll(sim, *n - 1);
	sim->files.filled = true;
	return 0;
}

static long write_file(struct tti_sim *sim, int fd, const void *buf, size_t n, int64_t offset)
{
	struct tti_sim_handle *h;
	long rc = usable(sim, fd, O_WRONLY, &h);
	uint64_t to;

	if (rc < 0)
		return rc;
	if (tti_sim_fault(sim, TT_FAULT_FILE_EIO))
		return -EIO;
	rc = maybe_full(sim, &n);
	if (rc < 0)
		return rc;
	n = maybe_less(sim, n);
	to = (h->flags & O_APPEND) != 0 ? h->inode->len : offset < 0 ? h->position : (uint64_t)offset;
	rc = tti_sim_put(sim, h->inode, buf, n, to);
	if (offset < 0 && rc > 0)
		h->position = to + (uint64_t)rc;
	return rc;
}

static long sim_read(int fd, void *buf, size_t n, int64_t offset)
{
	return traced("file read", (uint64_t)fd, n, read_file(tti_sim_here, fd, buf, n, offset));
}

static long sim_read_now(int fd, void *buf, size_t n, int64_t offset)
{
	return is_cold(tti_sim_here) ? -EAGAIN : sim_read(fd, buf, n, offset);
}

static long sim_write(int fd, const void *buf, size_t n, int64_t offset)
{
	return traced("file write", (uint64_t)fd, n, write_file(tti_sim_here, fd, buf, n, offset));
}

static long sim_write_now(int fd, const void *buf, size_t n, int64_t offset)
{
	return is_cold(tti_sim_here) ? -EAGAIN : sim_write(fd, buf, n, offset);
}

static long sync_file(struct tti_sim *sim, int fd, bool data_only)
{
	const struct tti_sim_handle *h = handle_of(sim, fd);

	if (h == NULL)
		return -EBADF;
	if (tti_sim_fault(sim, TT_FAULT_FILE_EIO))
		return -EIO;
	if (h->inode == NULL) {
		tti_sim_sync_folder(sim, h->folder);
		return 0;
	}
	if (tti_sim_is_dirty(h->inode) && tti_sim_fault(sim, TT_FAULT_FILE_SYNC_LOSS)) {
		tti_sim_lose(sim, h->inode);
		return -EIO;
	}
	tti_sim_sync(sim, h->inode, data_only);
	return 0;
}

static long sim_sync(int fd, bool data_only)
{
	return traced("file sync", (uint64_t)fd, data_only, sync_file(tti_sim_here, fd, data_only));
}

static long truncate_file(struct tti_sim *sim, int fd, uint64_t size)
{
	struct tti_sim_handle *h = NULL;
	long rc = usable(sim, fd, O_WRONLY, &h);

	if (rc < 0)
		return rc == -EBADF && handle_of(sim, fd) != NULL ? -EINVAL : rc;
	return tti_sim_resize(sim, h->inode, size);
}

static long sim_truncate(int fd, uint64_t size)
{
	return traced("file truncate", (uint64_t)fd, size, truncate_file(tti_sim_here, fd, size));
}

static long stat_file(struct tti_sim *sim, int fd, const char *path, tt_file_info *ret_info)
{
	const struct tti_sim_handle *h = path == NULL ? handle_of(sim, fd) : NULL;
	const struct tti_sim_inode *i = path != NULL ? tti_sim_find(sim, path) : h != NULL ? h->inode : NULL;

	if (i == NULL && h != NULL)
		*ret_info = (tt_file_info){ .mode = S_IFDIR | 0755u };
	else if (i != NULL)
		*ret_info = (tt_file_info){ .size = i->len, .inode = i->number, .mode = i->mode, .modified = i->modified };
	else
		return path != NULL ? -ENOENT : -EBADF;
	return 0;
}

static long sim_stat(int fd, const char *path, tt_file_info *ret_info)
{
	return traced("file stat", path != NULL ? strlen(path) : (uint64_t)fd, path != NULL,
	              stat_file(tti_sim_here, fd, path, ret_info));
}

static long sim_set_mode(int fd, unsigned mode)
{
	struct tti_sim_handle *h = handle_of(tti_sim_here, fd);

	if (h == NULL || h->inode == NULL)
		return -EBADF;
	tti_sim_set_mode(tti_sim_here, h->inode, mode);
	return traced("file mode", (uint64_t)fd, mode, 0);
}

static long remove_name(struct tti_sim *sim, const char *path)
{
	struct tti_sim_inode *i = tti_sim_find(sim, path);

	if (i == NULL)
		return -ENOENT;
	tti_sim_remove(sim, i);
	return 0;
}

static long sim_remove(const char *path)
{
	return traced("file remove", strlen(path), 0, remove_name(tti_sim_here, path));
}

static long rename_file(struct tti_sim *sim, const char *from, const char *to)
{
	struct tti_sim_inode *i = tti_sim_find(sim, from);

	if (i == NULL)
		return -ENOENT;
	if (strcmp(from, to) != 0)
		tti_sim_rename(sim, i, to);
	return 0;
}

static long sim_rename(const char *from, const char *to)
{
	return traced("file rename", strlen(from), strlen(to), rename_file(tti_sim_here, from, to));
}

static void sim_close(int fd)
{
	TT_IGNORE((int)traced("file close", (uint64_t)fd, 0, tti_sim_file_close(tti_sim_here, fd)));
}

const struct tti_file_ops tti_sim_file_ops = {
	.open = sim_open,
	.open_now = sim_open_now,
	.read = sim_read,
	.read_now = sim_read_now,
	.write = sim_write,
	.write_now = sim_write_now,
	.sync = sim_sync,
	.truncate = sim_truncate,
	.stat = sim_stat,
	.set_mode = sim_set_mode,
	.rename = sim_rename,
	.remove = sim_remove,
	.close = sim_close,
};

/* ---- the driver's part, and the world's ---- */

long tti_sim_file_operation(struct tti_sim *sim, const struct tti_io_op *op)
{
	if (handle_of(sim, op->fd) == NULL)
		return -EBADF;
	/* A file is ready for whatever was asked. */
	return op->kind == TTI_IO_POLL ? (long)(op->events & (POLLIN | POLLOUT)) : -ENOTSOCK;
}

void tti_sim_files_init(struct tti_sim *sim)
{
	tti_sim_mount(sim, sim->options->disk);
}

void tti_sim_files_fini(struct tti_sim *sim)
{
	tti_sim_unmount(sim, sim->options->disk);
	tti_env_real.free(sim->files.handles);
}

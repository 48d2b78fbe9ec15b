/* SPDX-License-Identifier: MIT */
/*
 * file.c - calls on one open file, or on one name. Called publicly, and by transfer.c for a file
 * behind tt_read() and its like; whole files are file_whole.c.
 *
 * A read is tried first where it cannot wait (RWF_NOWAIT: the bytes are in memory), likewise an
 * open; all else is a job of the FILES lane. A call that is listed on the descriptor keeps its number from
 * being closed, so that a close waits for the job that uses it; tt_file_wait_growth() waits
 * in an operation of the driver, which a close ends.
 *
 * Rejected    Making a queued job follow a close, as it follows a cancel: it ends on its own, and
 *             soon. Remembering which file systems refuse RWF_NOWAIT: a refusal took 0.4 to 0.7 us,
 *             the write on the pool behind it 8 to 17 (2 busy cores).
 */
#include <tutti/file.h>

#include <limits.h>
#include <poll.h>

#include <tutti/error.h>
#include <tutti/scope.h>

#include "base/sometimes.h"
#include "net/file_call.h"

#define TRANSFER_MAX 0x7ffff000u
/* How often a file is looked at that nobody announces the changes of. */
#define LOOK_EVERY TT_SEC(1)

const struct tti_file_ops *tti_file_ops(void)
{
	const struct tti_file_ops *ops = tti_worker_here()->rt->file_ops;

	return ops != NULL ? ops : &tti_file_real;
}

/* ---- a job ---- */

static void call_run(struct tti_job *j)
{
	struct tti_file_call *c = TTI_CONTAINER_OF(j, struct tti_file_call, job);

	c->run(c);
}

static void call_back(struct tti_msg *m)
{
	struct tti_file_call *c = TTI_CONTAINER_OF(m, struct tti_file_call, job.msg);

	if (tti_claim(&c->waiter))
		tti_wake(&c->waiter);
}

static void call_abort(struct tti_waiter *w)
{
	if (tti_job_withdraw(&TTI_CONTAINER_OF(w, struct tti_file_call, waiter)->job))
		tti_abort_by_claim(w);
}

static long submit_and_wait(struct tti_file_call *c, const char *verb, const void *object, bool abortable)
{
	int rc;

	c->job.run = call_run;
	c->job.msg.handle = call_back;
	tti_waiter_init(&c->waiter, verb, object);
	c->waiter.abort = abortable ? call_abort : NULL;
	rc = tti_job_submit(&c->job, TTI_JOB_FILES);
	if (rc < 0)
		return rc;
	tti_park(&c->waiter);
	TTI_SOMETIMES(c->waiter.winner == TTI_WINNER_CANCEL, "a call on a file is taken back before it began");
	if (c->waiter.winner == TTI_WINNER_CANCEL)
		return c->waiter.rc;
	tti_error_clear(&c->job.err);
	return c->result;
}

long tti_file_call(struct tti_file_call *c, const char *verb, const void *object)
{
	c->ops = tti_file_ops();
	return submit_and_wait(c, verb, object, true);
}

long tti_file_call_always(struct tti_file_call *c, const char *verb, const void *object)
{
	const long not_run = LONG_MIN;

	c->ops = tti_file_ops();
	c->result = not_run;
	TT_IGNORE((int)submit_and_wait(c, verb, object, false));
	if (c->result == not_run)
		c->run(c);
	return c->result;
}

static int check_in(const char *call)
{
	if (tti_current_or_panic(call) == NULL)
		return TT_EWRONGCTX;
	return tti_checkpoint();
}

/* Context for a code that somebody will read; a cancel explains itself. */
static int explain(long rc, const char *call, const char *path)
{
	return rc < 0 && rc != TT_ECANCELED ? tt_fail((int)rc, "%s \"%s\"", call, path) : (int)rc;
}

/* ---- open ---- */

static void run_open(struct tti_file_call *c)
{
	c->result = c->ops->open(c->path, c->flags, c->mode, &c->file);
}

int tt_file_open(const char *path, int flags, unsigned mode, tt_fd **ret_fd)
{
	struct tti_file_call c = { .run = run_open, .path = path, .flags = flags, .mode = mode };
	long number = check_in("tt_file_open");
	tt_fd *fd;
	int rc;

	if (number < 0)
		return (int)number;
	number = tti_file_ops()->open_now(path, flags, &c.file);
	if (number == -EAGAIN)
		number = tti_file_call(&c, "file open", NULL);
	if (number < 0)
		return explain(number, "tt_file_open", path);
	rc = tti_fd_adopt((int)number, false, &fd);
	if (rc < 0)
		return rc;
	tti_fd_slot((int)number, false)->file = c.file;
	*ret_fd = fd;
	return 0;
}

/* ---- bytes ---- */

static void run_read(struct tti_file_call *c)
{
	c->result = c->ops->read(c->fd, c->buf, c->n, c->offset);
}

static void run_write(struct tti_file_call *c)
{
	c->result = c->ops->write(c->fd, c->buf, c->n, c->offset);
}

static size_t bounded(size_t n)
{
	return n < TRANSFER_MAX ? n : TRANSFER_MAX;
}

long tti_file_read(struct tti_fd_call *c, void *ret_buf, size_t n, int64_t offset, bool now)
{
	struct tti_file_call f = { .run = run_read, .fd = c->fd->number, .buf = ret_buf, .n = bounded(n), .offset = offset };
	long rc = tti_file_ops()->read_now(f.fd, f.buf, f.n, offset);

	return rc == -EAGAIN && !now ? tti_file_call(&f, "file read", c->fd) : rc;
}

long tti_file_write(struct tti_fd_call *c, const void *buf, size_t n, int64_t offset, bool now)
{
	struct tti_file_call f = {
		.run = run_write, .fd = c->fd->number, .buf = (void *)(uintptr_t)buf, .n = bounded(n), .offset = offset,
	};
	long rc = tti_file_ops()->write_now(f.fd, f.buf, f.n, offset);

	return rc == -EAGAIN && !now ? tti_file_call(&f, "file write", c->fd) : rc;
}

/* Lists a call on a file; `otherwise` for what is a stream. */
static int enter_file(tt_fd *fd, const char *call, int otherwise, struct tti_fd_call *c)
{
	int rc = check_in(call);

	if (rc == 0)
		rc = tti_fd_enter(fd, TTI_NEITHER, c);
	if (rc == 0 && !c->fd->file)
		rc = (int)tti_fd_leave(c, otherwise);
	return rc;
}

/* The same for bytes from an offset on. */
static int enter_at(tt_fd *fd, const char *call, uint64_t offset, struct tti_fd_call *c)
{
	int rc = enter_file(fd, call, -ESPIPE, c);

	if (rc == 0 && offset > INT64_MAX)
		rc = (int)tti_fd_leave(c, TT_EINVAL);
	return rc;
}

int tt_file_pread(tt_fd *fd, void *ret_buf, size_t n, uint64_t offset)
{
	struct tti_fd_call c;
	int rc = enter_at(fd, "tt_file_pread", offset, &c);

	if (rc < 0)
		return rc;
	return (int)tti_fd_leave(&c, n > 0 ? tti_file_read(&c, ret_buf, n, (int64_t)offset, false) : 0);
}

int tt_file_pwrite(tt_fd *fd, const void *buf, size_t n, uint64_t offset)
{
	struct tti_fd_call c;
	int rc = enter_at(fd, "tt_file_pwrite", offset, &c);

	if (rc < 0)
		return rc;
	return (int)tti_fd_leave(&c, n > 0 ? tti_file_write(&c, buf, n, (int64_t)offset, false) : 0);
}

/* ---- all bytes ---- */

/* Between two transfers of a composite. */
static long go_on(struct tti_fd_call *c)
{
	return tti_fd_is_closing(c) ? TT_EBADF : tti_checkpoint();
}

static int finish(struct tti_fd_call *c, long rc, size_t done, size_t *ret_done)
{
	if (ret_done != NULL)
		*ret_done = done;
	return (int)tti_fd_leave(c, rc < 0 ? rc : 0);
}

static int refuse(int rc, size_t *ret_done)
{
	if (ret_done != NULL)
		*ret_done = 0;
	return rc;
}

int tt_file_pread_exact(tt_fd *fd, void *ret_buf, size_t n, uint64_t offset, size_t *ret_done)
{
	struct tti_fd_call c;
	size_t done = 0;
	long rc = enter_at(fd, "tt_file_pread_exact", offset, &c);

	if (rc < 0)
		return refuse((int)rc, ret_done);
	while (done < n && rc >= 0) {
		rc = tti_file_read(&c, (char *)ret_buf + done, n - done, (int64_t)(offset + done), false);
		if (rc == 0)
			rc = TT_EEOF;
		else if (rc > 0)
			done += (size_t)rc;
		if (rc > 0 && done < n)
			rc = go_on(&c);
	}
	return finish(&c, rc, done, ret_done);
}

int tt_file_pwrite_all(tt_fd *fd, const void *buf, size_t n, uint64_t offset, size_t *ret_done)
{
	struct tti_fd_call c;
	size_t done = 0;
	long rc = enter_at(fd, "tt_file_pwrite_all", offset, &c);

	if (rc < 0)
		return refuse((int)rc, ret_done);
	while (done < n && rc >= 0) {
		rc = tti_file_write(&c, (const char *)buf + done, n - done, (int64_t)(offset + done), false);
		if (rc == 0)
			rc = TT_EIO; /* a disk that takes nothing and says nothing */
		else if (rc > 0)
			done += (size_t)rc;
		if (rc > 0 && done < n)
			rc = go_on(&c);
	}
	return finish(&c, rc, done, ret_done);
}

/* ---- the file as a whole ---- */

static void run_sync(struct tti_file_call *c)
{
	c->result = c->ops->sync(c->fd, c->flags != 0);
}

static int sync_file(tt_fd *fd, const char *call, bool data_only)
{
	struct tti_file_call f = { .run = run_sync, .flags = data_only };
	struct tti_fd_call c;
	int rc = enter_file(fd, call, TT_EINVAL, &c);

	if (rc < 0)
		return rc;
	f.fd = c.fd->number;
	return (int)tti_fd_leave(&c, tti_file_call(&f, "file sync", c.fd));
}

int tt_file_fsync(tt_fd *fd)
{
	return sync_file(fd, "tt_file_fsync", false);
}

int tt_file_fdatasync(tt_fd *fd)
{
	return sync_file(fd, "tt_file_fdatasync", true);
}

static void run_truncate(struct tti_file_call *c)
{
	c->result = c->ops->truncate(c->fd, (uint64_t)c->offset);
}

int tt_file_truncate(tt_fd *fd, uint64_t size)
{
	struct tti_file_call f = { .run = run_truncate, .offset = (int64_t)size };
	struct tti_fd_call c;
	int rc = enter_file(fd, "tt_file_truncate", TT_EINVAL, &c);

	if (rc == 0 && size > INT64_MAX)
		rc = (int)tti_fd_leave(&c, TT_EINVAL);
	if (rc < 0)
		return rc;
	f.fd = c.fd->number;
	return (int)tti_fd_leave(&c, tti_file_call(&f, "file truncate", c.fd));
}

static void run_stat(struct tti_file_call *c)
{
	c->result = c->ops->stat(c->fd, c->path, &c->info);
}

static long stat_entered(struct tti_fd_call *c, tt_file_info *ret_info)
{
	struct tti_file_call f = { .run = run_stat, .fd = c->fd->number };
	long rc = tti_file_call(&f, "file stat", c->fd);

	if (rc == 0)
		*ret_info = f.info;
	return rc;
}

static int stat_file(tt_fd *fd, const char *call, tt_file_info *ret_info)
{
	struct tti_fd_call c;
	int rc = enter_file(fd, call, TT_EINVAL, &c);

	return rc < 0 ? rc : (int)tti_fd_leave(&c, stat_entered(&c, ret_info));
}

int tt_file_stat(tt_fd *fd, tt_file_info *ret_info)
{
	return stat_file(fd, "tt_file_stat", ret_info);
}

int tt_file_size(tt_fd *fd, uint64_t *ret_size)
{
	tt_file_info info = { 0 };
	int rc = stat_file(fd, "tt_file_size", &info);

	if (rc == 0)
		*ret_size = info.size;
	return rc;
}

/* ---- growth ---- */

static int wait_announced(struct tti_fd_call *c, int watch)
{
	struct tti_fd_io io;
	long rc;

	tti_fd_io_init(&io, c, TTI_IO_POLL, "file growth");
	io.wait.op.fd = watch;
	io.wait.op.generation = 0;
	io.wait.op.flags = TTI_IO_FOREIGN;
	io.wait.op.events = POLLIN;
	rc = tti_fd_perform(&io);
	return rc < 0 ? (int)rc : 0;
}

/* Until the file was changed, or it is time to look. */
static int wait_change(struct tti_fd_call *c, int watch)
{
	int rc;

	if (watch < 0) {
		rc = tti_sleep_until(tti_deadline_after(tti_home_here, LOOK_EVERY));
	} else {
		rc = TT_WITHIN(LOOK_EVERY, wait_announced(c, watch));
		tti_file_ops()->watch_seen(watch);
	}
	TTI_SOMETIMES(tti_fd_is_closing(c), "a file is closed while its growth is waited for");
	if (tti_fd_is_closing(c))
		return TT_EBADF;
	return rc == TT_ETIMEDOUT ? 0 : rc;
}

static int wait_growth(struct tti_fd_call *c, uint64_t size, int watch)
{
	tt_file_info info = { 0 };
	long rc;

	for (;;) {
		rc = stat_entered(c, &info);
		if (rc < 0)
			return (int)rc;
		if (info.size != size)
			return info.size > size;
		rc = wait_change(c, watch);
		if (rc < 0)
			return (int)rc;
	}
}

int tt_file_wait_growth(tt_fd *fd, uint64_t size)
{
	const struct tti_file_ops *ops;
	struct tti_fd_call c;
	int watch, rc = enter_file(fd, "tt_file_wait_growth", TT_EINVAL, &c);

	if (rc < 0)
		return rc;
	ops = tti_file_ops();
	/* Before the first look: what changes after it is announced. */
	watch = ops->watch != NULL ? ops->watch(c.fd->number) : -1;
	rc = wait_growth(&c, size, watch);
	if (watch >= 0)
		ops->close(watch);
	return (int)tti_fd_leave(&c, rc);
}

/* ---- names ---- */

int tt_file_stat_path(const char *path, tt_file_info *ret_info)
{
	struct tti_file_call f = { .run = run_stat, .path = path };
	int rc = check_in("tt_file_stat_path");

	if (rc < 0)
		return rc;
	rc = explain(tti_file_call(&f, "file stat", NULL), "tt_file_stat_path", path);
	if (rc == 0)
		*ret_info = f.info;
	return rc;
}

static void run_rename(struct tti_file_call *c)
{
	c->result = c->ops->rename(c->path, c->to);
}

int tt_file_rename(const char *from, const char *to)
{
	struct tti_file_call f = { .run = run_rename, .path = from, .to = to };
	int rc = check_in("tt_file_rename");

	return rc < 0 ? rc : explain(tti_file_call(&f, "file rename", NULL), "tt_file_rename", from);
}

static void run_remove(struct tti_file_call *c)
{
	c->result = c->ops->remove(c->path);
}

int tt_file_remove(const char *path)
{
	struct tti_file_call f = { .run = run_remove, .path = path };
	int rc = check_in("tt_file_remove");

	return rc < 0 ? rc : explain(tti_file_call(&f, "file remove", NULL), "tt_file_remove", path);
}

void tti_file_discard(const char *path)
{
	struct tti_file_call f = { .run = run_remove, .path = path };

	TT_IGNORE((int)tti_file_call_always(&f, "file remove", NULL));
}

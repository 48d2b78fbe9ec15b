/* SPDX-License-Identifier: MIT */
/*
 * transfer.c - bytes in and out of a descriptor, once or until all are through.
 *
 * A read is tried by system call first, unless the last one emptied the socket; what would
 * wait is submitted, with the hint that a second try is not worth it. A write is submitted
 * at once: each driver tries it itself before it waits.
 *
 * Law 2       The result of an operation is what the call returns, cancelled or not; only
 *             the check on entry, and an operation that had no effect, give TT_ECANCELED.
 * Composites  keep their call, and so their side, for all of their operations. A write that
 *             stopped half way leaves the stream torn.
 */
#include <string.h>
#include <sys/uio.h>

#include "base/sometimes.h"
#include "env/env.h"
#include "net/fd.h"
#include "net/file_call.h"

/* The kernel's own bound of one transfer; it also fits an int. */
#define TRANSFER_MAX 0x7ffff000u
/* Pieces of a writev that are smaller are put together here, in the frame, so that a header
 * and its body leave in one segment. */
#define GATHER_BYTES 4096
/* Pieces of a file that is sent; larger ones are no faster (docs/design/sendfile.md). */
#define SEND_BYTES (64u * 1024)

static size_t bounded(size_t n)
{
	return n < TRANSFER_MAX ? n : TRANSFER_MAX;
}

/* 0, or why this call cannot begin. */
static int check_in(const char *call)
{
	if (tti_current_or_panic(call) == NULL)
		return TT_EWRONGCTX;
	return tti_checkpoint();
}

/* ---- one operation, in a call ---- */

static long read_now(struct tti_fd_call *c, void *ret_buf, size_t n)
{
	struct tti_driver *d = tti_home_here->driver;
	long rc;

	if (c->fd->file)
		return tti_file_read(c, ret_buf, n, TTI_FILE_HERE, true);
	rc = d->ops->read(d, c->fd->number, ret_buf, n, c->fd->socket ? TTI_IO_SOCKET : 0);
	if (c->fd->socket && (rc > 0 || rc == TT_EAGAIN))
		c->fd->drained = rc < (long)n;
	return rc;
}

static long write_now(struct tti_fd_call *c, const void *buf, size_t n)
{
	struct tti_driver *d = tti_home_here->driver;

	if (c->fd->file)
		return tti_file_write(c, buf, n, TTI_FILE_HERE, true);
	return d->ops->write(d, c->fd->number, buf, n, c->fd->socket ? TTI_IO_SOCKET : 0);
}

static long read_waiting(struct tti_fd_call *c, void *ret_buf, size_t n)
{
	struct tti_fd_io io;
	long rc;

	tti_fd_io_init(&io, c, TTI_IO_READ, "read");
	io.wait.op.buf = ret_buf;
	io.wait.op.len = n;
	io.wait.op.flags |= TTI_IO_DRAINED;
	rc = tti_fd_perform(&io);
	if (c->fd->socket && rc > 0)
		c->fd->drained = (size_t)rc < n;
	return rc;
}

/* At least one byte; 0 at the end. n > 0. */
static long read_some(struct tti_fd_call *c, void *ret_buf, size_t n)
{
	long rc = TT_EAGAIN;

	n = bounded(n);
	if (c->fd->file)
		return tti_file_read(c, ret_buf, n, TTI_FILE_HERE, false);
	if (!c->fd->drained)
		rc = read_now(c, ret_buf, n);
	return rc == TT_EAGAIN ? read_waiting(c, ret_buf, n) : rc;
}

/* At least one byte. n > 0. */
static long write_some(struct tti_fd_call *c, const void *buf, size_t n)
{
	struct tti_fd_io io;

	if (c->fd->file)
		return tti_file_write(c, buf, n, TTI_FILE_HERE, false);
	tti_fd_io_init(&io, c, TTI_IO_WRITE, "write");
	io.wait.op.buf = (void *)(uintptr_t)buf;
	io.wait.op.len = bounded(n);
	return tti_fd_perform(&io);
}

/* ---- some bytes ---- */

/* Claims the writing side; TT_ETORN for a stream that is no use any more. */
static int enter_write(tt_fd *fd, struct tti_fd_call *c)
{
	int rc = tti_fd_enter(fd, TTI_WRITING, c);

	TTI_SOMETIMES(rc == 0 && c->fd->torn, "a torn stream is written to");
	if (rc == 0 && c->fd->torn)
		rc = (int)tti_fd_leave(c, TT_ETORN);
	return rc;
}

int tt_read(tt_fd *fd, void *ret_buf, size_t n)
{
	struct tti_fd_call c;
	int rc = check_in("tt_read");

	if (rc == 0)
		rc = tti_fd_enter(fd, TTI_READING, &c);
	if (rc < 0)
		return rc;
	return (int)tti_fd_leave(&c, n > 0 ? read_some(&c, ret_buf, n) : 0);
}

int tt_write(tt_fd *fd, const void *buf, size_t n)
{
	struct tti_fd_call c;
	int rc = check_in("tt_write");

	if (rc == 0)
		rc = enter_write(fd, &c);
	if (rc < 0)
		return rc;
	return (int)tti_fd_leave(&c, n > 0 ? write_some(&c, buf, n) : 0);
}

int tt_try_read(tt_fd *fd, void *ret_buf, size_t n)
{
	struct tti_fd_call c;
	int rc;

	if (tti_current_or_panic("tt_try_read") == NULL)
		return TT_EWRONGCTX;
	rc = tti_fd_enter(fd, TTI_READING, &c);
	if (rc < 0)
		return rc;
	return (int)tti_fd_leave(&c, n > 0 ? read_now(&c, ret_buf, bounded(n)) : 0);
}

int tt_try_write(tt_fd *fd, const void *buf, size_t n)
{
	struct tti_fd_call c;
	int rc;

	if (tti_current_or_panic("tt_try_write") == NULL)
		return TT_EWRONGCTX;
	rc = enter_write(fd, &c);
	if (rc < 0)
		return rc;
	return (int)tti_fd_leave(&c, n > 0 ? write_now(&c, buf, bounded(n)) : 0);
}

/* ---- all bytes ---- */

static int finish(struct tti_fd_call *c, long rc, size_t done, size_t *ret_done)
{
	if (ret_done != NULL)
		*ret_done = done;
	return (int)tti_fd_leave(c, rc);
}

/* Between two operations of a composite: a stream that never makes it wait must not hold
 * the worker, nor a close. */
static long go_on(struct tti_fd_call *c)
{
	return tti_fd_is_closing(c) ? TT_EBADF : tti_checkpoint();
}

/* Cannot begin: nothing was done. */
static int refuse(int rc, size_t *ret_done)
{
	if (ret_done != NULL)
		*ret_done = 0;
	return rc;
}

int tt_read_exact(tt_fd *fd, void *ret_buf, size_t n, size_t *ret_done)
{
	unsigned char *to = ret_buf;
	struct tti_fd_call c;
	size_t done = 0;
	long rc = check_in("tt_read_exact");

	if (rc == 0)
		rc = tti_fd_enter(fd, TTI_READING, &c);
	if (rc < 0)
		return refuse((int)rc, ret_done);
	while (done < n && rc >= 0) {
		rc = read_some(&c, to + done, n - done);
		if (rc == 0)
			rc = TT_EEOF;
		else if (rc > 0)
			done += (size_t)rc;
		if (rc > 0 && done < n)
			rc = go_on(&c);
	}
	TTI_SOMETIMES(rc == TT_EEOF && done > 0, "a stream ends in the middle of an item");
	TTI_SOMETIMES(rc == TT_ECANCELED && done > 0, "a cancel comes in the middle of an item");
	return finish(&c, rc < 0 ? rc : 0, done, ret_done);
}

/* One piece of a composite write. */
static long write_piece(struct tti_fd_call *c, const unsigned char *from, size_t n, size_t *done)
{
	size_t left = n;
	long rc = 0;

	while (left > 0 && rc >= 0) {
		rc = write_some(c, from + (n - left), left);
		if (rc > 0) {
			left -= (size_t)rc;
			*done += (size_t)rc;
		}
		if (rc > 0 && left > 0)
			rc = go_on(c);
	}
	return rc < 0 ? rc : 0;
}

static int finish_write(struct tti_fd_call *c, long rc, size_t done, size_t *ret_done)
{
	TTI_SOMETIMES(rc == TT_ECANCELED && done > 0, "a cancel comes in the middle of a composite write");
	TTI_SOMETIMES(rc == TT_EBADF && done > 0, "a close comes in the middle of a composite write");
	if (rc < 0 && done > 0)
		c->fd->torn = true;
	return finish(c, rc, done, ret_done);
}

int tt_write_all(tt_fd *fd, const void *buf, size_t n, size_t *ret_done)
{
	struct tti_fd_call c;
	size_t done = 0;
	long rc = check_in("tt_write_all");

	if (rc == 0)
		rc = enter_write(fd, &c);
	if (rc < 0)
		return refuse((int)rc, ret_done);
	rc = write_piece(&c, buf, n, &done);
	return finish_write(&c, rc, done, ret_done);
}

/* Small pieces on their way. */
struct gather {
	struct tti_fd_call *c;
	size_t *done;
	size_t len;
	unsigned char bytes[GATHER_BYTES];
};

static long gather_flush(struct gather *g)
{
	size_t len = g->len;

	g->len = 0;
	return write_piece(g->c, g->bytes, len, g->done);
}

static long gather_add(struct gather *g, const unsigned char *from, size_t n)
{
	size_t part;
	long rc = 0;

	while (n > 0 && rc == 0) {
		if (g->len == 0 && n >= GATHER_BYTES)
			return write_piece(g->c, from, n, g->done);
		part = n < GATHER_BYTES - g->len ? n : GATHER_BYTES - g->len;
		memcpy(g->bytes + g->len, from, part);
		g->len += part;
		from += part;
		n -= part;
		if (g->len == GATHER_BYTES)
			rc = gather_flush(g);
	}
	return rc;
}

int tt_writev_all(tt_fd *fd, const struct iovec *iov, int n, size_t *ret_done)
{
	struct tti_fd_call c;
	struct gather g;
	size_t done = 0;
	long rc = check_in("tt_writev_all");

	if (rc == 0 && n < 0)
		rc = TT_EINVAL;
	if (rc == 0)
		rc = enter_write(fd, &c);
	if (rc < 0)
		return refuse((int)rc, ret_done);
	g.c = &c;
	g.done = &done;
	g.len = 0;
	for (int i = 0; i < n && rc == 0; i++)
		rc = gather_add(&g, iov[i].iov_base, iov[i].iov_len);
	if (rc == 0)
		rc = gather_flush(&g);
	return finish_write(&c, rc, done, ret_done);
}

/* ---- a file ---- */

/* A piece of the file, 0 at its end. It is no call on the file while the stream is written: a
 * close of the file has no stranger's peer to wait for. */
static long read_piece(tt_fd *file, void *ret_buf, size_t n, uint64_t offset)
{
	struct tti_fd_call c;
	long rc = tti_fd_enter(file, TTI_NEITHER, &c);

	if (rc < 0)
		return rc;
	rc = c.fd->file ? tti_file_read(&c, ret_buf, n, (int64_t)offset, false) : TT_ENOTSUP;
	return tti_fd_leave(&c, rc);
}

static long send_pieces(struct tti_fd_call *c, tt_fd *file, uint64_t offset, size_t n, unsigned char *buf, size_t *done)
{
	long rc = 0;

	while (*done < n && rc >= 0) {
		size_t want = n - *done < SEND_BYTES ? n - *done : SEND_BYTES;

		rc = read_piece(file, buf, want, offset + *done);
		if (rc == 0)
			return 0;
		if (rc > 0)
			rc = write_piece(c, buf, (size_t)rc, done);
		if (rc >= 0 && *done < n)
			rc = go_on(c);
	}
	return rc;
}

int tt_sendfile(tt_fd *fd, tt_fd *file, uint64_t offset, size_t n, size_t *ret_done)
{
	unsigned char *buf;
	struct tti_fd_call c;
	size_t done = 0;
	long rc = check_in("tt_sendfile");

	if (rc == 0 && offset > INT64_MAX)
		rc = TT_EINVAL;
	if (rc == 0)
		rc = enter_write(fd, &c);
	if (rc < 0)
		return refuse((int)rc, ret_done);
	if (n > INT64_MAX - offset)
		n = (size_t)(INT64_MAX - offset);
	buf = tti_env_alloc(SEND_BYTES);
	rc = buf != NULL ? send_pieces(&c, file, offset, n, buf, &done) : TT_ENOMEM;
	tti_env_free(buf);
	return finish_write(&c, rc, done, ret_done);
}

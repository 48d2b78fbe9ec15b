/* SPDX-License-Identifier: MIT */
/*
 * writer.c - a buffer of the caller's over the writing side of a stream. Called publicly;
 * every byte goes out through tt_writev_all() or tt_write_all(), which do the waiting and the cancelling.
 *
 * Invariants  len <= cap. A write that failed before any byte went out leaves the buffer as
 *             it was; one that failed half way leaves it empty and the stream torn.
 */
#include <string.h>
#include <sys/uio.h>

#include <tutti/net.h>

#include "base/panic.h"

struct writer {
	tt_fd *fd;
	char *buf;
	size_t cap, len;
};

_Static_assert(sizeof(struct writer) <= sizeof(tt_writer), "tt_writer holds a writer");

static struct writer *from_public(tt_writer *w)
{
	return (struct writer *)(void *)w;
}

void tt_writer_init(tt_writer *storage, tt_fd *fd, char *buf, size_t n)
{
	TT_REQUIRE(n > 0, "tt_writer_init: a buffer of no bytes");
	*from_public(storage) = (struct writer){ .fd = fd, .buf = buf, .cap = n };
}

static int write_out(struct writer *w, const void *more, size_t n)
{
	struct iovec iov[2] = {
		{ .iov_base = w->buf, .iov_len = w->len },
		{ .iov_base = (void *)(uintptr_t)more, .iov_len = n },
	};
	size_t done = 0;
	int rc = tt_writev_all(w->fd, iov, 2, &done);

	if (rc == 0 || done > 0)
		w->len = 0;
	return rc;
}

int tt_writer_write(tt_writer *storage, const void *buf, size_t n)
{
	struct writer *w = from_public(storage);

	if (n > w->cap - w->len)
		return write_out(w, buf, n);
	if (n > 0)
		memcpy(w->buf + w->len, buf, n);
	w->len += n;
	return 0;
}

int tt_writer_flush(tt_writer *storage)
{
	struct writer *w = from_public(storage);
	size_t done = 0;
	int rc = tt_write_all(w->fd, w->buf, w->len, &done);

	if (rc == 0 || done > 0)
		w->len = 0;
	return rc;
}

/* SPDX-License-Identifier: MIT */
/*
 * reader.c - a buffer of the caller's over the reading side of a stream. Called publicly;
 * every byte comes through tt_read(), which does the waiting and the cancelling.
 *
 * Invariants  start <= end <= cap. Nothing is lost by a cancel: what was read is in the
 *             buffer, what was not is in the stream.
 *             Bytes move to the front only for a read that needs the room, so that a text
 *             given out stays where it is until the next call.
 */
#include "net/reader.h"

#include <string.h>

#include "base/panic.h"
#include "base/sometimes.h"
#include "wait/wait.h"

#define NO_DELIM (-1)

void tt_reader_init(tt_reader *storage, tt_fd *fd, char *buf, size_t n)
{
	TT_REQUIRE(n > 0, "tt_reader_init: a buffer of no bytes");
	*tti_reader_of(storage) = (struct tti_reader){ .fd = fd, .buf = buf, .cap = n, .delim = NO_DELIM };
}

static size_t held(const struct tti_reader *r)
{
	return r->end - r->start;
}

static void take(struct tti_reader *r, size_t n)
{
	r->start += n;
	if (r->start == r->end)
		r->start = r->end = 0;
	r->delim = NO_DELIM;
}

static void move_to_front(struct tti_reader *r)
{
	if (r->start == 0)
		return;
	memmove(r->buf, r->buf + r->start, held(r));
	if (r->delim != NO_DELIM)
		r->searched -= r->start;
	r->end -= r->start;
	r->start = 0;
}

/* One read into the free space, at the end while there is some. */
static int fill(struct tti_reader *r)
{
	int n;

	TTI_SOMETIMES(r->end == r->cap && r->start > 0, "a reader moves the beginning of an item to its front");
	if (r->end == r->cap)
		move_to_front(r);
	TTI_SOMETIMES(r->end == r->cap, "a reader is full without what it looks for");
	if (r->end == r->cap)
		return TT_ENOBUFS;
	n = tt_read(r->fd, r->buf + r->end, r->cap - r->end);
	if (n > 0)
		r->end += (size_t)n;
	return n;
}

/* The entry check for what is answered from the buffer: a task's call all the same. */
static int check_in(const char *call)
{
	return tti_current_or_panic(call) != NULL ? tti_checkpoint() : TT_EWRONGCTX;
}

int tt_reader_fill(tt_reader *storage)
{
	struct tti_reader *r = tti_reader_of(storage);
	int rc = check_in("tt_reader_fill");

	if (rc < 0)
		return rc;
	/* A parser that asks for more wants all the room there is. */
	move_to_front(r);
	return fill(r);
}

/* ---- reading through it ---- */

static size_t copy_out(struct tti_reader *r, char *to, size_t n)
{
	n = n < held(r) ? n : held(r);
	if (n > 0)
		memcpy(to, r->buf + r->start, n);
	take(r, n);
	return n;
}

int tt_reader_read(tt_reader *storage, void *ret_buf, size_t n)
{
	struct tti_reader *r = tti_reader_of(storage);
	int rc = check_in("tt_reader_read");

	if (rc < 0)
		return rc;
	/* A large read into an empty buffer gains nothing from passing through it. */
	if (held(r) == 0 && n >= r->cap)
		return tt_read(r->fd, ret_buf, n);
	if (held(r) == 0 && n > 0)
		rc = fill(r);
	if (rc < 0)
		return rc;
	return (int)copy_out(r, ret_buf, n < INT32_MAX ? n : INT32_MAX);
}

int tt_reader_read_exact(tt_reader *storage, void *ret_buf, size_t n, size_t *ret_done)
{
	struct tti_reader *r = tti_reader_of(storage);
	char *to = ret_buf;
	size_t done = 0, rest = 0;
	int rc = check_in("tt_reader_read_exact");

	if (rc == 0)
		done = copy_out(r, to, n);
	while (rc >= 0 && done < n && n - done < r->cap) {
		rc = fill(r);
		if (rc == 0)
			rc = TT_EEOF;
		else if (rc > 0)
			done += copy_out(r, to + done, n - done);
	}
	if (rc >= 0 && done < n)
		rc = tt_read_exact(r->fd, to + done, n - done, &rest);
	if (ret_done != NULL)
		*ret_done = done + rest;
	return rc < 0 ? rc : 0;
}

/* ---- up to a delimiter ---- */

/* Where it is, or NULL; what the last call looked at in vain is not looked at again. */
static char *find(struct tti_reader *r, int delim)
{
	size_t from = r->delim == delim ? r->searched : r->start;

	r->delim = delim;
	r->searched = r->end;
	return memchr(r->buf + from, delim, r->end - from);
}

int tt_read_until(tt_reader *storage, int delim, char **ret_text, size_t *ret_len)
{
	struct tti_reader *r = tti_reader_of(storage);
	char *at, *text;
	int rc = check_in("tt_read_until");

	delim = (unsigned char)delim;
	if (rc < 0)
		return rc;
	while ((at = find(r, delim)) == NULL) {
		rc = fill(r);
		if (rc == 0)
			return held(r) > 0 ? TT_EEOF : 0;
		if (rc < 0)
			return rc;
	}
	*at = '\0';
	text = r->buf + r->start;
	*ret_len = (size_t)(at - text);
	*ret_text = text;
	take(r, (size_t)(at - text) + 1);
	return 1;
}

/* ---- reading in place ---- */

size_t tt_reader_buffered(const tt_reader *storage, char **ret_data)
{
	const struct tti_reader *r = tti_reader_of(storage);

	*ret_data = r->buf + r->start;
	return held(r);
}

void tt_reader_consume(tt_reader *storage, size_t n)
{
	struct tti_reader *r = tti_reader_of(storage);

	TT_REQUIRE(n <= held(r), "tt_reader_consume: %zu bytes of %zu that are buffered", n, held(r));
	take(r, n);
}

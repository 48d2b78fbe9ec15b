/* SPDX-License-Identifier: MIT */
/*
 * reader.c - a buffer of the caller's over the reading side of a stream. Called publicly;
 * every byte comes through tt_read(), which does the waiting and the cancelling.
 *
 * Invariants  start <= end <= cap. Nothing is lost by a cancel: what was read is in the
 *             buffer, what was not is in the stream.
 */
#include "net/reader.h"

#include <string.h>

#include "base/panic.h"
#include "wait/wait.h"

_Static_assert(sizeof(struct tti_reader) <= sizeof(tt_reader), "tt_reader holds a tti_reader");

void tt_reader_init(tt_reader *storage, tt_fd *fd, char *buf, size_t n)
{
	TT_REQUIRE(n > 0, "tt_reader_init: a buffer of no bytes");
	*tti_reader_of(storage) = (struct tti_reader){ .fd = fd, .buf = buf, .cap = n };
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
}

/* Makes room at the end by moving what is held to the front. */
static void compact(struct tti_reader *r)
{
	if (r->start == 0 || r->end < r->cap)
		return;
	memmove(r->buf, r->buf + r->start, held(r));
	r->end -= r->start;
	r->start = 0;
}

int tt_reader_fill(tt_reader *storage)
{
	struct tti_reader *r = tti_reader_of(storage);
	int n;

	compact(r);
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

int tt_reader_read(tt_reader *storage, void *ret_buf, size_t n)
{
	struct tti_reader *r = tti_reader_of(storage);
	int rc;

	/* A large read into an empty buffer gains nothing from passing through it. */
	if (held(r) == 0 && n >= r->cap)
		return tt_read(r->fd, ret_buf, n);
	rc = held(r) > 0 || n == 0 ? check_in("tt_reader_read") : tt_reader_fill(storage);
	if (rc < 0)
		return rc;
	n = n < held(r) ? n : held(r);
	n = n < INT32_MAX ? n : INT32_MAX;
	memcpy(ret_buf, r->buf + r->start, n);
	take(r, n);
	return (int)n;
}

int tt_reader_read_exact(tt_reader *storage, void *ret_buf, size_t n, size_t *ret_done)
{
	struct tti_reader *r = tti_reader_of(storage);
	size_t done, rest = 0;
	int rc = check_in("tt_reader_read_exact");

	done = rc < 0 ? 0 : n < held(r) ? n : held(r);
	memcpy(ret_buf, r->buf + r->start, done);
	take(r, done);
	if (rc == 0 && done < n)
		rc = tt_read_exact(r->fd, (char *)ret_buf + done, n - done, &rest);
	if (ret_done != NULL)
		*ret_done = done + rest;
	return rc;
}

int tt_read_until(tt_reader *storage, int delim, char **ret_text, size_t *ret_len)
{
	struct tti_reader *r = tti_reader_of(storage);
	size_t seen = 0;
	int rc = check_in("tt_read_until");

	while (rc >= 0) {
		char *at = memchr(r->buf + r->start + seen, delim, held(r) - seen);

		if (at != NULL) {
			*at = '\0';
			*ret_text = r->buf + r->start;
			*ret_len = (size_t)(at - *ret_text);
			/* Not take(): the text stays where it is until the next call. */
			r->start += *ret_len + 1;
			return 1;
		}
		seen = held(r);
		rc = tt_reader_fill(storage);
		if (rc == 0)
			return seen > 0 ? TT_EEOF : 0;
	}
	return rc;
}

size_t tt_reader_buffered(const tt_reader *storage, char **ret_data)
{
	const struct tti_reader *r = (const struct tti_reader *)(const void *)storage;

	*ret_data = r->buf + r->start;
	return held(r);
}

void tt_reader_consume(tt_reader *storage, size_t n)
{
	struct tti_reader *r = tti_reader_of(storage);

	TT_REQUIRE(n <= held(r), "tt_reader_consume: %zu bytes of %zu that are buffered", n, held(r));
	r->start += n;
}

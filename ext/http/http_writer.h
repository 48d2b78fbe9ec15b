/* SPDX-License-Identifier: MIT */
/*
 * http_writer.h - the head of an answer, written into a caller's buffer, without I/O.
 *
 * Who calls it: http_server.c and the tests.
 *
 * The writer keeps its first error: begin, add lines, and look once at the result of end.
 *
 * Invariants  len <= cap; after an error nothing more is written.
 *             No byte of a name or value can end a line: they are checked, not escaped.
 */
#ifndef TT_HTTP_WRITER_H
#define TT_HTTP_WRITER_H

#include <tutti/ext/http.h>

typedef struct tt_http_writer {
	char  *buf; /* the caller's */
	size_t cap, len;
	int    rc; /* 0, or the first error */
} tt_http_writer;

/* Enough for every head that http_server.c writes. */
#define TT_HTTP_ANSWER_HEAD_MAX (512 + TT_HTTP_EXTRA_MAX)
#define TT_HTTP_CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"
#define TT_HTTP_DATE_LEN 29

/* Start with the status line of HTTP/1.1; a status outside 100..599 is -EINVAL. */
void tt_http_write_begin(tt_http_writer *w, char *buf, size_t cap, int status);
/* One field; -EINVAL for a name that is no token or a value with a control byte. */
void tt_http_write_field(tt_http_writer *w, const char *name, const char *value);
void tt_http_write_number(tt_http_writer *w, const char *name, uint64_t value);
/* Date: in the one format that may be sent; -EINVAL outside the years 0 to 9999. */
void tt_http_write_date(tt_http_writer *w, int64_t unix_seconds);
/* Lines written earlier by tt_http_add_header(). */
void tt_http_write_lines(tt_http_writer *w, const char *lines, size_t len);

/*
 * tt_http_write_end - the empty line.
 *
 * Returns    the length of the head
 * Errors     the first error since begin: -EINVAL, or -EMSGSIZE when the buffer was full
 */
TT_MUST_USE int tt_http_write_end(tt_http_writer *w);

#endif

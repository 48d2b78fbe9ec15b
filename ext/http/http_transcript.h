/* SPDX-License-Identifier: MIT */
/*
 * http_transcript.h - what a parser made of a byte stream, as one text, so that two ways
 * of feeding it can be compared.
 *
 * Who calls it: http_parser_test.c and http_fuzz.c.
 *
 * Invariants  Every feed is a fresh allocation of exactly the fed length, so that the address
 *             sanitizer sees any read beyond it.
 */
#ifndef TT_HTTP_TRANSCRIPT_H
#define TT_HTTP_TRANSCRIPT_H

#include "http_parser.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct transcript {
	char  *text; /* requests as in struct http_good, then the error if any */
	size_t len, cap;
	int    status; /* of the refusal, 0 if none */
	tt_http_error error;
	size_t requests;
	size_t taken; /* bytes of the stream taken when it ended */
};

static void transcript_add(struct transcript *t, const char *at, size_t len)
{
	if (len == 0)
		return;
	if (t->len + len > t->cap) {
		t->cap = 2 * (t->len + len);
		t->text = realloc(t->text, t->cap);
		if (t->text == NULL)
			abort();
	}
	memcpy(t->text + t->len, at, len);
	t->len += len;
}

static void transcript_add_text(struct transcript *t, const char *text)
{
	transcript_add(t, text, strlen(text));
}

static void transcript_add_request(struct transcript *t, const tt_http_request *r)
{
	static const char *const framings[] = { " none ", " len ", " chunked " };

	t->requests++;
	transcript_add(t, r->method_text.at, r->method_text.len);
	transcript_add_text(t, " ");
	transcript_add(t, r->path.at, r->path.len);
	if (r->query.at != NULL) {
		transcript_add_text(t, "?");
		transcript_add(t, r->query.at, r->query.len);
	}
	transcript_add_text(t, r->minor == 1 ? " 1" : " 0");
	transcript_add_text(t, r->keep_alive ? " keep" : " close");
	transcript_add_text(t, r->expects_continue ? " continue" : "");
	transcript_add_text(t, framings[r->framing]);
}

static void transcript_add_error(struct transcript *t, const tt_http_error *e)
{
	char line[192];

	t->status = e->status;
	t->error = *e;
	snprintf(line, sizeof(line), "%d %s [%llu]\n", e->status, e->text,
		 (unsigned long long)e->offset);
	transcript_add_text(t, line);
}

/* One allocation of exactly n bytes goes through the parser. Returns false once refused. */
static bool transcript_feed(struct transcript *t, tt_http_parser *p, const char *at, size_t n)
{
	char *copy = malloc(n > 0 ? n : 1);
	size_t done = 0;
	int event;

	if (copy == NULL)
		abort();
	if (n > 0)
		memcpy(copy, at, n);
	do {
		tt_http_text piece = { NULL, 0 };
		size_t used = 0;

		event = tt_http_parser_next(p, copy + done, n - done, &used, &piece);
		if (used > n - done)
			abort();
		done += used;
		if (event == TT_HTTP_REQUEST)
			transcript_add_request(t, &p->request);
		else if (event == TT_HTTP_BODY)
			transcript_add(t, piece.at, piece.len);
		else if (event == TT_HTTP_END)
			transcript_add_text(t, "\n");
		else if (event < 0)
			transcript_add_error(t, &p->error);
		else if (done != n)
			abort(); /* MORE must have taken everything */
	} while (event > TT_HTTP_MORE);
	t->taken += done;
	free(copy);
	return event >= 0;
}

/* Feed bytes in steps: 0 = whole, n = n at a time, -1 = 1, 2, 3, ... at a time. */
static struct transcript transcript_of(const tt_http_options *o, const char *bytes, size_t len,
				       int step)
{
	struct transcript t = { 0 };
	size_t cap = tt_http_head_bytes(o), at = 0, next = step < 0 ? 1 : (size_t)step;
	char *head = malloc(cap);
	tt_http_parser *p = malloc(sizeof(*p));

	if (head == NULL || p == NULL || tt_http_parser_init(p, o, head, cap) < 0)
		abort();
	while (at < len) {
		size_t n = step == 0 || next > len - at ? len - at : next;

		if (!transcript_feed(&t, p, bytes + at, n))
			break;
		at += n;
		next += step < 0;
	}
	if (t.status == 0 && tt_http_parser_eof(p) < 0)
		transcript_add_error(&t, &p->error);
	free(p);
	free(head);
	return t;
}

/* The words of the refusal, not of the body. */
static bool transcript_refused_as(const struct transcript *t, const char *words)
{
	return t->status != 0 && strstr(t->error.text, words) != NULL;
}

static bool transcript_same(const struct transcript *a, const struct transcript *b)
{
	return a->len == b->len && a->status == b->status &&
	       (a->len == 0 || memcmp(a->text, b->text, a->len) == 0);
}

#endif

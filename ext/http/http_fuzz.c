/* SPDX-License-Identifier: MIT */
/*
 * http_fuzz.c - fuzz target: requests out of any bytes.
 *
 * Who calls it: see fuzz.h. The first byte picks the limits, so that short inputs reach them
 * too; what begins with a method has the defaults. The tables of http_parser_test.c are
 * further seeds (http_parser_test --write-corpus DIR).
 *
 * Claims  Feeding whole, byte by byte, in threes and in growing pieces gives one transcript, and no
 *         feed is read beyond its end.
 *         The second parser never refuses what the scanner let pass: if it does, the scanner
 *         lacks a rule.
 *         An accepted request, written down in canonical form, is read as the same request; twice
 *         in a row it is read twice. So nobody behind us can read it differently by its spacing.
 *         Limits are exact: at its own size a request passes, one byte or field less refuses it
 *         with the limit's own status.
 */
#include "fuzz.h"
#include "http_transcript.h"

static const tt_http_options limits[] = {
	{ .line_max = 16, .header_max = 32, .fields_max = 2, .body_max = 8 },
	{ .line_max = 64, .header_max = 64, .fields_max = 4, .body_max = 64 },
	{ .body_max = 1 },
};

static void show(const char *name, const struct transcript *t)
{
	fprintf(stderr, "%s: %zu requests, status %d\n%.*s\n", name, t->requests, t->status, (int)t->len, t->text);
}

static void must_be_same(const struct transcript *a, const struct transcript *b, const char *what)
{
	if (transcript_same(a, b))
		return;
	fprintf(stderr, "not the same transcript: %s\n", what);
	show("first", a);
	show("second", b);
	abort();
}

/* ---- the first request of the bytes ---- */

struct first {
	size_t from, end; /* in the bytes, without an empty line before it */
	size_t line;      /* of line_max */
	size_t header;    /* of header_max */
	size_t fields;
	enum tt_http_framing framing;
	char *canonical;
	size_t canonical_len;
};

struct text {
	char *at;
	size_t len;
};

static void add(struct text *t, const char *at, size_t len)
{
	t->at = realloc(t->at, t->len + len + 1);
	MUST(t->at != NULL);
	if (len > 0)
		memcpy(t->at + t->len, at, len);
	t->len += len;
}

static void add_words(struct text *t, const char *words)
{
	add(t, words, strlen(words));
}

static void add_head(struct text *t, const tt_http_request *r)
{
	add(t, r->method_text.at, r->method_text.len);
	add_words(t, " ");
	add(t, r->target.at, r->target.len);
	add_words(t, r->minor == 1 ? " HTTP/1.1\r\n" : " HTTP/1.0\r\n");
	for (size_t i = 0; i < r->field_count; i++) {
		add(t, r->fields[i].name.at, r->fields[i].name.len);
		add_words(t, ": ");
		add(t, r->fields[i].value.at, r->fields[i].value.len);
		add_words(t, "\r\n");
	}
	add_words(t, "\r\n");
}

static void add_body(struct text *t, enum tt_http_framing framing, const struct text *body)
{
	char size[32];

	if (framing != TT_HTTP_CHUNKED) {
		add(t, body->at, body->len);
		return;
	}
	if (body->len > 0) {
		snprintf(size, sizeof(size), "%zx\r\n", body->len);
		add_words(t, size);
		add(t, body->at, body->len);
		add_words(t, "\r\n");
	}
	add_words(t, "0\r\n\r\n");
}

/* Where the head's parts end: the scanner accepts nothing but CRLF, so plain search finds it. */
static void measure(struct first *f, const char *bytes)
{
	const char *line, *head;

	f->from = bytes[0] == '\r' ? 2 : 0;
	line = memmem(bytes + f->from, f->end - f->from, "\r\n", 2);
	MUST(line != NULL);
	head = memmem(line, (size_t)(bytes + f->end - line), "\r\n\r\n", 4);
	MUST(head != NULL);
	f->line = (size_t)(line - bytes) - f->from;
	f->header = (size_t)(head - line);
}

/* False if the bytes do not begin with a request that is accepted. */
static bool first_of(const tt_http_options *o, const char *bytes, size_t len, struct first *ret)
{
	size_t cap = tt_http_head_bytes(o);
	char *head = fuzz_alloc(cap);
	tt_http_parser *p = fuzz_alloc(sizeof(*p));
	struct text body = { NULL, 0 }, text = { NULL, 0 };
	int event;

	*ret = (struct first){ 0 };
	MUST(tt_http_parser_init(p, o, head, cap) == 0);
	do {
		tt_http_text piece = { NULL, 0 };
		size_t used = 0;

		event = tt_http_parser_next(p, bytes + ret->end, len - ret->end, &used, &piece);
		ret->end += used;
		if (event == TT_HTTP_REQUEST) {
			add_head(&text, &p->request);
			ret->fields = p->request.field_count;
			ret->framing = p->request.framing;
		} else if (event == TT_HTTP_BODY) {
			add(&body, piece.at, piece.len);
		}
	} while (event > TT_HTTP_MORE && event != TT_HTTP_END);
	if (event == TT_HTTP_END) {
		measure(ret, bytes);
		add_body(&text, ret->framing, &body);
		ret->canonical = text.at;
		ret->canonical_len = text.len;
	} else {
		free(text.at);
	}
	free(body.at);
	free(p);
	free(head);
	return event == TT_HTTP_END;
}

/* ---- claims about it ---- */

/* Another spacing may need some more room: one space a field. */
static tt_http_options roomier(const tt_http_options *o)
{
	tt_http_options r = o != NULL ? *o : (tt_http_options){ 0 };

	r.header_max = (r.header_max > 0 ? r.header_max : 16384) + TT_HTTP_FIELDS_MAX;
	return r;
}

static void check_canonical(const tt_http_options *o, const struct first *f, const struct transcript *once)
{
	tt_http_options more = roomier(o);
	struct transcript again = transcript_of(&more, f->canonical, f->canonical_len, 0);

	must_be_same(once, &again, "a request and its canonical form");
	free(again.text);
}

static void check_twice(const tt_http_options *o, const char *at, size_t len, const struct transcript *once)
{
	struct text two = { NULL, 0 };
	struct transcript twice;

	add(&two, at, len);
	add(&two, at, len);
	twice = transcript_of(o, two.at, two.len, 0);
	if (twice.len != 2 * once->len || memcmp(twice.text, once->text, once->len) != 0 ||
	    memcmp(twice.text + once->len, once->text, once->len) != 0) {
		show("once", once);
		show("twice", &twice);
		abort();
	}
	free(two.at);
	free(twice.text);
}

static void must_give(const tt_http_options *o, const char *at, size_t len, int status)
{
	struct transcript t = transcript_of(o, at, len, 0);

	if (t.status != status) {
		fprintf(stderr, "status %d was to come\n", status);
		show("limited", &t);
		abort();
	}
	free(t.text);
}

/* A limit of 0 would be the default, and a trailer counts as well: neither is tried. */
static void check_limits(const char *at, size_t len, const struct first *f)
{
	if (f->framing == TT_HTTP_CHUNKED || f->fields == 0)
		return;
	must_give(&(tt_http_options){ .line_max = f->line, .header_max = f->header,
				      .fields_max = (unsigned)f->fields }, at, len, 0);
	must_give(&(tt_http_options){ .line_max = f->line - 1 }, at, len, 414);
	must_give(&(tt_http_options){ .header_max = f->header - 1 }, at, len, 431);
	if (f->fields > 1)
		must_give(&(tt_http_options){ .fields_max = (unsigned)f->fields - 1 }, at, len, 431);
}

static void check_body_limit(const char *at, size_t len, size_t body)
{
	if (body > 0)
		must_give(&(tt_http_options){ .body_max = body }, at, len, 0);
	if (body > 1)
		must_give(&(tt_http_options){ .body_max = body - 1 }, at, len, 413);
}

static void check_first(const tt_http_options *o, const char *bytes, size_t len)
{
	struct transcript once;
	struct first f;
	size_t n;

	if (!first_of(o, bytes, len, &f))
		return;
	n = f.end - f.from;
	once = transcript_of(o, bytes + f.from, n, 0);
	MUST(once.status == 0 && once.requests == 1);
	check_canonical(o, &f, &once);
	check_twice(o, bytes + f.from, n, &once);
	check_limits(bytes + f.from, n, &f);
	if (f.framing == TT_HTTP_LENGTH)
		check_body_limit(bytes + f.from, n, n - f.line - f.header - 4);
	free(once.text);
	free(f.canonical);
}

/* ---- any bytes ---- */

static void check_feeds(const tt_http_options *o, const char *bytes, size_t len)
{
	static const int steps[] = { 1, 3, -1 };
	struct transcript whole = transcript_of(o, bytes, len, 0);

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct transcript pieces = transcript_of(o, bytes, len, steps[i]);

		must_be_same(&whole, &pieces, "whole and in pieces");
		free(pieces.text);
	}
	MUST(!transcript_refused_as(&whole, "ambiguous"));
	MUST(whole.status == 0 || (whole.status >= 400 && whole.status <= 505));
	free(whole.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const tt_http_options *o = NULL;

	if (size > 0 && data[0] < sizeof(limits) / sizeof(limits[0])) {
		o = &limits[data[0]];
		data++;
		size--;
	}
	if (size == 0)
		return 0;
	check_feeds(o, (const char *)data, size);
	check_first(o, (const char *)data, size);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * http_parser.c - the strict scanner, and llhttp behind it.
 *
 * Who calls it: see http_parser.h. Grammar: RFC 9112 (messages), RFC 9110 (fields).
 *
 * States of the scanner, one request:
 *
 *   START -> (START_LF) -> METHOD -> TARGET -> VERSION -> LINE_LF
 *        -> FIELD -> NAME -> SPACE -> VALUE -> FIELD_LF -> FIELD ... -> HEAD_LF
 *        -> END                                        no body
 *        -> BODY -> END                                Content-Length
 *        -> SIZE_FIRST -> SIZE -> (EXTENSION_FIRST -> EXTENSION) -> SIZE_LF
 *             -> DATA -> DATA_CR -> DATA_LF -> SIZE_FIRST   a chunk
 *             -> FIELD ... HEAD_LF -> END                   the last one, and trailers
 *   any -> FAILED, for ever
 *
 * Invariants  offset counts every byte taken since START; head[0, head_len) is the request
 *             from its method on, complete up to the byte before.
 *             An error is raised at the first byte that makes the request wrong, so it does
 *             not depend on how the bytes were cut.
 */
#include "http_parser.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum scan {
	START,
	START_LF,
	METHOD,
	TARGET,
	VERSION,
	LINE_LF,
	FIELD,
	NAME,
	SPACE,
	VALUE,
	FIELD_LF,
	HEAD_LF,
	BODY,
	SIZE_FIRST,
	SIZE,
	EXTENSION_FIRST,
	EXTENSION,
	SIZE_LF,
	DATA,
	DATA_CR,
	DATA_LF,
	END,
	FAILED
};

enum {
	LINE_DEFAULT = 8 * 1024,
	HEADER_DEFAULT = 16 * 1024,
	BODY_DEFAULT = 1024 * 1024,
	METHOD_MAX = 24,       /* longer than any method we know */
	SIZE_DIGITS_MAX = 16,  /* hex digits of a 64-bit chunk size */
	EXTENSION_MAX = 1024,  /* of one request: nobody needs them, attackers pad with them */
	VERSION_LEN = 8,       /* "HTTP/1.1" */
	HEAD_STEP = 512        /* bytes copied at once: few of the next request's are copied twice */
};

/* ---- byte classes ---- */

enum { IS_TOKEN = 1, IS_VALUE = 2, IS_TARGET = 4, IS_HEX = 8, IS_HOST = 16 };

/* RFC 9110 5.6.2 tokens; 5.5 field values (obs-text let pass); RFC 3986 targets plus the
 * { } | ^ ` that browsers send unescaped; the bytes of a host. One row is 16 bytes. */
#define CTL 0
#define VAL IS_VALUE
#define TGT (IS_VALUE | IS_TARGET)
#define TKN (IS_VALUE | IS_TARGET | IS_TOKEN)
#define HST (IS_VALUE | IS_TARGET | IS_HOST)
#define ALL (IS_VALUE | IS_TARGET | IS_TOKEN | IS_HOST)
#define HEX (ALL | IS_HEX)
static const uint8_t byte_class[256] = {
	/* 00 */ CTL, CTL, CTL, CTL, CTL, CTL, CTL, CTL, CTL, VAL, CTL, CTL, CTL, CTL, CTL, CTL,
	/* 10 */ CTL, CTL, CTL, CTL, CTL, CTL, CTL, CTL, CTL, CTL, CTL, CTL, CTL, CTL, CTL, CTL,
	/*  !"#$%&'()*+,-./ */
	VAL, ALL, VAL, VAL | IS_TOKEN, ALL, ALL, ALL, ALL, HST, HST, ALL, ALL, TGT, ALL, ALL, TGT,
	/* 0-9:;<=>? */
	HEX, HEX, HEX, HEX, HEX, HEX, HEX, HEX, HEX, HEX, HST, HST, VAL, HST, VAL, TGT,
	/* @A-O */ TGT, HEX, HEX, HEX, HEX, HEX, HEX, ALL, ALL, ALL, ALL, ALL, ALL, ALL, ALL, ALL,
	/* P-Z[\]^_ */
	ALL, ALL, ALL, ALL, ALL, ALL, ALL, ALL, ALL, ALL, ALL, HST, VAL, HST, TKN, ALL,
	/* `a-o */ TKN, HEX, HEX, HEX, HEX, HEX, HEX, ALL, ALL, ALL, ALL, ALL, ALL, ALL, ALL, ALL,
	/* p-z{|}~ DEL */
	ALL, ALL, ALL, ALL, ALL, ALL, ALL, ALL, ALL, ALL, ALL, TGT, TKN, TGT, ALL, CTL,
	/* 80 */ VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL,
	/* 90 */ VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL,
	/* a0 */ VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL,
	/* b0 */ VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL,
	/* c0 */ VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL,
	/* d0 */ VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL,
	/* e0 */ VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL,
	/* f0 */ VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL, VAL,
};
#undef CTL
#undef VAL
#undef TGT
#undef TKN
#undef HST
#undef ALL
#undef HEX

static bool byte_is(unsigned char c, unsigned classes)
{
	return (byte_class[c] & classes) != 0;
}

static bool all_bytes_are(const char *at, size_t len, unsigned classes)
{
	for (size_t i = 0; i < len; i++) {
		if (!byte_is((unsigned char)at[i], classes))
			return false;
	}
	return true;
}

bool tt_http_is_token(const char *at, size_t len)
{
	return len > 0 && all_bytes_are(at, len, IS_TOKEN);
}

bool tt_http_is_value(const char *at, size_t len)
{
	return all_bytes_are(at, len, IS_VALUE);
}

static unsigned char to_lower(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c + ('a' - 'A')) : c;
}

static unsigned hex_digit(unsigned char c)
{
	return c <= '9' ? c - (unsigned)'0' : to_lower(c) - (unsigned)'a' + 10;
}

/* ---- errors ---- */

TT_PRINTF(3, 4)
static int refuse(tt_http_parser *p, int status, const char *fmt, ...)
{
	va_list args;
	int n;

	p->scan = FAILED;
	p->error.status = status;
	p->error.offset = p->offset;
	va_start(args, fmt);
	n = vsnprintf(p->error.text, sizeof(p->error.text), fmt, args);
	va_end(args);
	if (n >= 0 && (size_t)n < sizeof(p->error.text))
		snprintf(p->error.text + n, sizeof(p->error.text) - (size_t)n, " at byte %llu",
			 (unsigned long long)p->offset);
	return -EPROTO;
}

/* A byte that may not stand here; the usual suspects by name. */
static int refuse_byte(tt_http_parser *p, const char *where, unsigned char c)
{
	if (c == '\n')
		return refuse(p, 400, "LF without CR in %s", where);
	if (c == '\r')
		return refuse(p, 400, "CR without LF in %s", where);
	return refuse(p, 400, "byte 0x%02x in %s", c, where);
}

/* ---- the request line ---- */

static const struct {
	const char        *name;
	enum tt_http_method id;
} methods[] = {
	{ "GET", TT_HTTP_GET },
	{ "POST", TT_HTTP_POST },
	{ "HEAD", TT_HTTP_HEAD },
	{ "PUT", TT_HTTP_PUT },
	{ "DELETE", TT_HTTP_DELETE },
	{ "OPTIONS", TT_HTTP_OPTIONS },
	{ "PATCH", TT_HTTP_PATCH },
	{ "TRACE", TT_HTTP_TRACE },
};

static int scan_method(tt_http_parser *p, unsigned char c)
{
	if (byte_is(c, IS_TOKEN)) {
		if (p->method_len == METHOD_MAX)
			return refuse(p, 501, "method longer than %d bytes", METHOD_MAX);
		p->method_len++;
		return 0;
	}
	if (c != ' ' || p->method_len == 0)
		return refuse_byte(p, "the method", c);
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		if (strlen(methods[i].name) == p->method_len &&
		    memcmp(p->head, methods[i].name, p->method_len) == 0) {
			p->request.method = methods[i].id;
			p->target_at = p->method_len + 1;
			p->scan = TARGET;
			return 0;
		}
	}
	return refuse(p, 501, "unknown method");
}

static int scan_target(tt_http_parser *p, unsigned char c)
{
	if (byte_is(c, IS_TARGET)) {
		p->target_len++;
		return 0;
	}
	if (c == '\r')
		return refuse(p, 400, "no HTTP version after the target");
	if (c != ' ' || p->target_len == 0)
		return refuse_byte(p, "the target", c);
	p->scan = VERSION;
	return 0;
}

static int scan_version(tt_http_parser *p, unsigned char c)
{
	static const char shape[] = "HTTP/d.d";
	char want;

	if (p->version_len == VERSION_LEN) {
		if (c != '\r')
			return refuse_byte(p, "the HTTP version", c);
		p->scan = LINE_LF;
		return 0;
	}
	want = shape[p->version_len];
	if (want == 'd' ? (c < '0' || c > '9') : c != (unsigned char)want)
		return refuse_byte(p, "the HTTP version", c);
	p->version[p->version_len++] = c;
	return 0;
}

/* Every '%' is followed by two hex digits. */
static bool escapes_are_whole(tt_http_text t)
{
	for (size_t i = 0; i < t.len; i++) {
		if (t.at[i] != '%')
			continue;
		if (t.len - i < 3 || !byte_is((unsigned char)t.at[i + 1], IS_HEX) ||
		    !byte_is((unsigned char)t.at[i + 2], IS_HEX))
			return false;
		i += 2;
	}
	return true;
}

/* The authority's length in "http://authority/path", or 0 when this is no such target. */
static size_t absolute_prefix(tt_http_text t)
{
	static const char *const schemes[] = { "http://", "https://" };

	for (size_t s = 0; s < 2; s++) {
		size_t n = strlen(schemes[s]), i = n;

		if (t.len <= n || !tt_http_text_is((tt_http_text){ t.at, n }, schemes[s]))
			continue;
		while (i < t.len && t.at[i] != '/' && t.at[i] != '?')
			i++;
		return i > n && all_bytes_are(t.at + n, i - n, IS_HOST) ? i : 0;
	}
	return 0;
}

static int split_target(tt_http_parser *p)
{
	tt_http_request *r = &p->request;
	tt_http_text t = { p->head + p->target_at, p->target_len };
	const char *mark;

	r->method_text = (tt_http_text){ p->head, p->method_len };
	r->target = t;
	if (!escapes_are_whole(t))
		return refuse(p, 400, "broken percent-escape in the target");
	if (t.at[0] != '/' && !(t.len == 1 && t.at[0] == '*' && r->method == TT_HTTP_OPTIONS)) {
		size_t skip = absolute_prefix(t);

		if (skip == 0)
			return refuse(p, 400, "target is neither a path nor an http URL");
		t.at += skip;
		t.len -= skip;
	}
	mark = t.len > 0 ? memchr(t.at, '?', t.len) : NULL;
	r->path = (tt_http_text){ t.at, mark ? (size_t)(mark - t.at) : t.len };
	if (mark)
		r->query = (tt_http_text){ mark + 1, t.len - r->path.len - 1 };
	if (r->path.len == 0)
		r->path = (tt_http_text){ "/", 1 };
	return 0;
}

static int end_request_line(tt_http_parser *p, unsigned char c)
{
	if (c != '\n')
		return refuse(p, 400, "CR without LF in the request line");
	if (p->version[5] != '1' || p->version[7] > '1')
		return refuse(p, 505, "HTTP version is neither 1.0 nor 1.1");
	p->request.minor = (unsigned)(p->version[7] - '0');
	p->scan = FIELD;
	return split_target(p);
}

static int scan_line_byte(tt_http_parser *p, unsigned char c)
{
	if (p->scan == LINE_LF)
		return end_request_line(p, c);
	if (p->head_len == p->line_max && c != '\r')
		return refuse(p, 414, "request line longer than %zu bytes", p->line_max);
	if (p->scan == METHOD)
		return scan_method(p, c);
	if (p->scan == TARGET)
		return scan_target(p, c);
	return scan_version(p, c);
}

/* ---- the fields the framing depends on ---- */

static bool name_is(const tt_http_parser *p, const char *name)
{
	size_t n = strlen(name);

	return p->name_len == n && memcmp(p->name, name, n) == 0;
}

/* host [":" port], or "[v6]" [":" port]; may be empty (RFC 9112 3.2). */
static bool is_host(tt_http_text t)
{
	size_t i = 0;

	if (t.len > 0 && t.at[0] == '[') {
		while (i < t.len && t.at[i] != ']')
			i++;
		if (i < 3 || i == t.len)
			return false;
		i++;
	} else {
		while (i < t.len && t.at[i] != ':') {
			if (t.at[i] == '[' || t.at[i] == ']')
				return false;
			i++;
		}
	}
	if (!all_bytes_are(t.at, i, IS_HOST) || !escapes_are_whole((tt_http_text){ t.at, i }))
		return false;
	if (i == t.len)
		return true;
	if (i == 0 || t.at[i] != ':')
		return false;
	for (i++; i < t.len; i++) {
		if (t.at[i] < '0' || t.at[i] > '9')
			return false;
	}
	return true;
}

static int note_length(tt_http_parser *p, tt_http_text v)
{
	uint64_t n = 0;

	if (p->length_count++ > 0)
		return refuse(p, 400, "second Content-Length");
	if (v.len == 0)
		return refuse(p, 400, "empty Content-Length");
	for (size_t i = 0; i < v.len; i++) {
		unsigned digit = (unsigned char)v.at[i] - (unsigned)'0';

		if (digit > 9)
			return refuse(p, 400, "Content-Length is not a number");
		if (n > (UINT64_MAX - digit) / 10)
			return refuse(p, 400, "Content-Length does not fit in 64 bits");
		n = n * 10 + digit;
	}
	p->request.content_length = n;
	return 0;
}

static int note_coding(tt_http_parser *p, tt_http_text v)
{
	if (p->coding_count++ > 0)
		return refuse(p, 400, "second Transfer-Encoding");
	if (v.len != 7 || memcmp(v.at, "chunked", 7) != 0)
		return refuse(p, 400, "Transfer-Encoding is not \"chunked\"");
	return 0;
}

/* A list of options; those we do not know are the peer's business. */
static int note_connection(tt_http_parser *p, tt_http_text v)
{
	size_t i = 0;

	while (i < v.len) {
		tt_http_text word = { v.at + i, 0 };

		while (i < v.len && v.at[i] != ',')
			i++;
		word.len = (size_t)(v.at + i - word.at);
		i++;
		while (word.len > 0 && (word.at[0] == ' ' || word.at[0] == '\t'))
			word.at++, word.len--;
		while (word.len > 0 && (word.at[word.len - 1] == ' ' || word.at[word.len - 1] == '\t'))
			word.len--;
		if (word.len > 0 && !tt_http_is_token(word.at, word.len))
			return refuse(p, 400, "Connection is not a list of names");
		p->close_asked |= tt_http_text_is(word, "close");
		p->keep_alive_asked |= tt_http_text_is(word, "keep-alive");
	}
	return 0;
}

static int note_expect(tt_http_parser *p, tt_http_text v)
{
	if (!tt_http_text_is(v, "100-continue"))
		return refuse(p, 417, "Expect is not \"100-continue\"");
	p->continue_asked = true;
	return 0;
}

static int note_host(tt_http_parser *p, tt_http_text v)
{
	if (p->host_count++ > 0)
		return refuse(p, 400, "second Host");
	if (!is_host(v))
		return refuse(p, 400, "Host is not a host name and port");
	return 0;
}

static bool is_framing_name(const tt_http_parser *p)
{
	return name_is(p, "content-length") || name_is(p, "transfer-encoding");
}

/* At the CR LF of a field line; head_len stands on the LF. */
static int end_field(tt_http_parser *p)
{
	tt_http_text v = { p->head + p->value_at, p->value_len };

	p->scan = FIELD;
	if (p->trailer)
		return 0;
	if (is_framing_name(p) && p->head_len - 1 > p->value_at + p->value_len)
		return refuse(p, 400, "whitespace after the value of %.*s", (int)p->name_len, p->name);
	if (name_is(p, "content-length"))
		return note_length(p, v);
	if (name_is(p, "transfer-encoding"))
		return note_coding(p, v);
	if (name_is(p, "host"))
		return note_host(p, v);
	if (name_is(p, "connection"))
		return note_connection(p, v);
	if (name_is(p, "expect"))
		return note_expect(p, v);
	return 0;
}

/* ---- field lines, of the head and of the trailers ---- */

static int scan_name(tt_http_parser *p, unsigned char c)
{
	if (byte_is(c, IS_TOKEN)) {
		if (p->name_len < TT_HTTP_NAME_KEPT)
			p->name[p->name_len] = (char)to_lower(c);
		p->name_len++;
		return 0;
	}
	if (c == ':' && p->name_len == 0)
		return refuse(p, 400, "empty field name");
	if (c == ' ' || c == '\t')
		return refuse(p, 400, "whitespace in or after a field name");
	if (c != ':')
		return refuse_byte(p, "a field name", c);
	if (p->trailer && (is_framing_name(p) || name_is(p, "host")))
		return refuse(p, 400, "field of the head among the trailers");
	p->scan = SPACE;
	return 0;
}

static int begin_field(tt_http_parser *p, unsigned char c)
{
	if (c == '\r') {
		p->scan = HEAD_LF;
		return 0;
	}
	if (c == ' ' || c == '\t')
		return refuse(p, 400, "line begins with whitespace (folded field)");
	if (p->field_count == p->fields_max)
		return refuse(p, 431, "more than %u fields", p->fields_max);
	p->field_count++;
	p->name_len = 0;
	p->scan = NAME;
	return scan_name(p, c);
}

static int scan_value(tt_http_parser *p, unsigned char c)
{
	if (p->scan == SPACE) {
		if (c == ' ' || c == '\t')
			return 0;
		p->scan = VALUE;
		p->value_at = p->head_len;
		p->value_len = 0;
	}
	if (c == '\r') {
		p->scan = FIELD_LF;
		return 0;
	}
	if (!byte_is(c, IS_VALUE))
		return refuse_byte(p, "a field value", c);
	/* The length ends at the last byte that is not trailing whitespace. */
	if (c != ' ' && c != '\t' && !p->trailer)
		p->value_len = p->head_len - p->value_at + 1;
	return 0;
}

static int scan_field_byte(tt_http_parser *p, unsigned char c)
{
	if (p->scan == HEAD_LF) {
		if (c != '\n')
			return refuse(p, 400, "CR without LF after the fields");
		p->scan = END;
		return 0;
	}
	if (p->field_bytes == p->header_max && !(p->scan == FIELD && c == '\r'))
		return refuse(p, 431, "fields longer than %zu bytes", p->header_max);
	p->field_bytes += p->scan != FIELD || c != '\r';
	switch (p->scan) {
	case FIELD:
		return begin_field(p, c);
	case NAME:
		return scan_name(p, c);
	case FIELD_LF:
		if (c != '\n')
			return refuse(p, 400, "CR without LF in a field value");
		return end_field(p);
	default:
		return scan_value(p, c);
	}
}

/* Take the plain middle of a value or a target at once; the byte rules do the rest. */
static size_t scan_run(tt_http_parser *p, size_t at, size_t end)
{
	size_t i = at, bound;

	if (p->scan == TARGET) {
		bound = p->line_max < end ? p->line_max : end;
		while (i < bound && byte_is((unsigned char)p->head[i], IS_TARGET))
			i++;
		p->target_len += i - at;
	} else if (p->scan == VALUE && !p->trailer) {
		bound = p->header_max - p->field_bytes;
		bound = bound < end - at ? at + bound : end;
		while (i < bound && p->head[i] > ' ' && p->head[i] < 0x7f)
			i++;
		p->field_bytes += i - at;
		if (i > at)
			p->value_len = i - p->value_at;
	}
	return i - at;
}

/* ---- llhttp ---- */

static int ll_on_url(llhttp_t *ll, const char *at, size_t len)
{
	tt_http_parser *p = ll->data;

	if (p->ll_target.at == NULL)
		p->ll_target.at = at;
	p->ll_target.len = (size_t)(at - p->ll_target.at) + len;
	return 0;
}

static int ll_on_name(llhttp_t *ll, const char *at, size_t len)
{
	tt_http_parser *p = ll->data;
	tt_http_field *f;

	if (p->ll_head_done)
		return 0; /* a trailer */
	if (p->ll_in_value || p->ll_fields == 0) {
		if (p->ll_fields == TT_HTTP_FIELDS_MAX)
			return -1;
		p->ll_in_value = false;
		p->fields[p->ll_fields++] = (tt_http_field){ .name = { at, 0 } };
	}
	f = &p->fields[p->ll_fields - 1];
	f->name.len = (size_t)(at - f->name.at) + len;
	return 0;
}

static int ll_on_name_end(llhttp_t *ll)
{
	tt_http_parser *p = ll->data;

	p->ll_in_value = true;
	return 0;
}

static int ll_on_value(llhttp_t *ll, const char *at, size_t len)
{
	tt_http_parser *p = ll->data;
	tt_http_field *f;

	if (p->ll_head_done || p->ll_fields == 0)
		return 0;
	f = &p->fields[p->ll_fields - 1];
	if (f->value.at == NULL)
		f->value.at = at;
	f->value.len = (size_t)(at - f->value.at) + len;
	return 0;
}

static int ll_on_head_end(llhttp_t *ll)
{
	tt_http_parser *p = ll->data;

	p->ll_head_done = true;
	ll->upgrade = 0; /* we never switch protocols, so an Upgrade is ignored (RFC 9110 7.8) */
	return 0;
}

static int ll_on_body(llhttp_t *ll, const char *at, size_t len)
{
	tt_http_parser *p = ll->data;

	if (len == 0)
		return 0;
	if (p->ll_body.at != NULL)
		p->ll_confused = true; /* the scanner expects one piece at most */
	p->ll_body = (tt_http_text){ at, len };
	return 0;
}

static int ll_on_end(llhttp_t *ll)
{
	tt_http_parser *p = ll->data;

	p->ll_confused |= p->ll_done;
	p->ll_done = true;
	return 0;
}

static const llhttp_settings_t ll_settings = {
	.on_url = ll_on_url,
	.on_header_field = ll_on_name,
	.on_header_field_complete = ll_on_name_end,
	.on_header_value = ll_on_value,
	.on_headers_complete = ll_on_head_end,
	.on_body = ll_on_body,
	.on_message_complete = ll_on_end,
};

/* Let llhttp read what the scanner accepted, and compare what each found. The bytes are
 * counted in offset already. */
static int ll_read(tt_http_parser *p, const char *at, size_t len, tt_http_text expected)
{
	llhttp_errno_t rc;

	p->ll_body = (tt_http_text){ NULL, 0 };
	rc = llhttp_execute(&p->ll, at, len);
	if (rc != HPE_OK) {
		const char *why = llhttp_get_error_reason(&p->ll);
		const char *where = llhttp_get_error_pos(&p->ll);

		if (where >= at && where <= at + len)
			p->offset -= (size_t)(at + len - where);
		return refuse(p, 400, "llhttp: %.60s", why && *why ? why : llhttp_errno_name(rc));
	}
	if (p->ll_confused || p->ll_done != (p->scan == END) || p->ll_body.at != expected.at ||
	    p->ll_body.len != expected.len)
		return refuse(p, 400, "ambiguous body");
	return 0;
}

static tt_http_text trimmed(tt_http_text t)
{
	while (t.len > 0 && (t.at[t.len - 1] == ' ' || t.at[t.len - 1] == '\t'))
		t.len--;
	return t;
}

static int ll_read_head(tt_http_parser *p)
{
	const tt_http_request *r = &p->request;
	int rc;

	llhttp_init(&p->ll, HTTP_REQUEST, &ll_settings);
	p->ll.data = p;
	rc = ll_read(p, p->head, p->head_len, (tt_http_text){ NULL, 0 });
	if (rc < 0)
		return rc;
	if (!p->ll_head_done || p->ll_fields != p->field_count || p->ll.http_major != 1 ||
	    p->ll.http_minor != r->minor || p->ll_target.at != r->target.at ||
	    p->ll_target.len != r->target.len ||
	    ((p->ll.flags & F_CHUNKED) != 0) != (r->framing == TT_HTTP_CHUNKED) ||
	    (p->scan == BODY && p->ll.content_length != r->content_length))
		return refuse(p, 400, "ambiguous head");
	for (unsigned i = 0; i < p->ll_fields; i++)
		p->fields[i].value = trimmed(p->fields[i].value);
	return 0;
}

/* ---- the end of the head ---- */

/* Decides how the body's end is known (RFC 9112 6.3, less all its tolerance). */
static int choose_framing(tt_http_parser *p)
{
	tt_http_request *r = &p->request;

	if (p->coding_count > 0 && p->length_count > 0)
		return refuse(p, 400, "both Content-Length and Transfer-Encoding");
	if (p->coding_count > 0 && r->minor == 0)
		return refuse(p, 400, "Transfer-Encoding in HTTP/1.0");
	if (r->content_length > p->body_max)
		return refuse(p, 413, "body longer than %llu bytes", (unsigned long long)p->body_max);
	if (p->coding_count > 0) {
		r->framing = TT_HTTP_CHUNKED;
		p->scan = SIZE_FIRST;
	} else if (p->length_count > 0) {
		r->framing = TT_HTTP_LENGTH;
		p->left = r->content_length;
		p->scan = p->left > 0 ? BODY : END;
	} else {
		r->framing = TT_HTTP_NO_BODY;
		p->scan = END;
	}
	return 0;
}

static int end_head(tt_http_parser *p)
{
	tt_http_request *r = &p->request;
	int rc;

	if (r->minor == 1 && p->host_count == 0)
		return refuse(p, 400, "no Host");
	rc = choose_framing(p);
	if (rc == 0)
		rc = ll_read_head(p);
	if (rc < 0)
		return rc;
	r->keep_alive = !p->close_asked && (r->minor == 1 || p->keep_alive_asked);
	r->expects_continue = p->continue_asked && r->minor == 1 && p->scan != END;
	r->fields = p->fields;
	r->field_count = p->ll_fields;
	return 0;
}

/* ---- chunk lines ---- */

static int end_size(tt_http_parser *p, unsigned char c)
{
	if (c == '\r') {
		p->scan = SIZE_LF;
		return 0;
	}
	if (c != ';')
		return refuse_byte(p, "a chunk size", c);
	p->scan = EXTENSION_FIRST;
	return 0;
}

static int scan_size(tt_http_parser *p, unsigned char c)
{
	if (p->scan == SIZE_FIRST) {
		p->left = 0;
		p->size_digits = 0;
		if (!byte_is(c, IS_HEX))
			return refuse_byte(p, "a chunk size", c);
		p->scan = SIZE;
	}
	if (!byte_is(c, IS_HEX))
		return end_size(p, c);
	if (p->size_digits++ == SIZE_DIGITS_MAX)
		return refuse(p, 400, "chunk size does not fit in 64 bits");
	p->left = p->left << 4 | hex_digit(c);
	return 0;
}

static int scan_extension(tt_http_parser *p, unsigned char c)
{
	if (p->scan == EXTENSION_FIRST) {
		if (!byte_is(c, IS_TOKEN))
			return refuse_byte(p, "a chunk extension", c);
		p->extension_bytes++; /* the semicolon */
		p->scan = EXTENSION;
	}
	if (c == '\r') {
		p->scan = SIZE_LF;
		return 0;
	}
	if (!byte_is(c, IS_VALUE))
		return refuse_byte(p, "a chunk extension", c);
	if (p->extension_bytes++ >= EXTENSION_MAX)
		return refuse(p, 400, "chunk extensions longer than %d bytes", EXTENSION_MAX);
	return 0;
}

static int begin_chunk(tt_http_parser *p, unsigned char c)
{
	if (c != '\n')
		return refuse(p, 400, "CR without LF after a chunk size");
	if (p->left > p->body_max - p->body_bytes)
		return refuse(p, 413, "body longer than %llu bytes", (unsigned long long)p->body_max);
	p->body_bytes += p->left;
	p->trailer = p->left == 0;
	p->scan = p->trailer ? FIELD : DATA;
	return 0;
}

static int scan_chunk_byte(tt_http_parser *p, unsigned char c)
{
	switch (p->scan) {
	case SIZE_FIRST:
	case SIZE:
		return scan_size(p, c);
	case EXTENSION_FIRST:
	case EXTENSION:
		return scan_extension(p, c);
	case SIZE_LF:
		return begin_chunk(p, c);
	case DATA_CR:
		if (c != '\r')
			return refuse(p, 400, "chunk longer than its size");
		p->scan = DATA_LF;
		return 0;
	case DATA_LF:
		if (c != '\n')
			return refuse(p, 400, "CR without LF after a chunk");
		p->scan = SIZE_FIRST;
		return 0;
	default:
		return scan_field_byte(p, c);
	}
}

/* ---- feeding ---- */

static void begin_request(tt_http_parser *p)
{
	p->scan = START;
	p->offset = 0;
	p->head_len = 0;
	p->trailer = p->blank_seen = p->end_told = false;
	p->version_len = 0;
	p->method_len = p->target_at = p->target_len = 0;
	p->field_bytes = 0;
	p->field_count = 0;
	p->host_count = p->length_count = p->coding_count = 0;
	p->close_asked = p->keep_alive_asked = p->continue_asked = false;
	p->left = p->body_bytes = 0;
	p->extension_bytes = 0;
	p->ll_fields = 0;
	p->ll_in_value = p->ll_head_done = p->ll_done = p->ll_confused = false;
	p->ll_target = p->ll_body = (tt_http_text){ NULL, 0 };
	p->request = (tt_http_request){ 0 };
}

/* Bytes before the method: one empty line is what some clients send after a body. */
static int next_start(tt_http_parser *p, const char *data, size_t n, size_t *ret_used)
{
	size_t i;

	for (i = 0; i < n && p->scan != METHOD; i++) {
		char c = data[i];

		if (p->scan == START_LF) {
			if (c != '\n')
				return refuse(p, 400, "CR without LF before the request line");
			p->scan = START;
			p->blank_seen = true;
		} else if (c == '\r' && !p->blank_seen) {
			p->scan = START_LF;
		} else {
			p->scan = METHOD;
			break;
		}
		p->offset++;
	}
	*ret_used = i;
	return TT_HTTP_MORE;
}

/* The bytes stand at head[head_len]; take them up to the end of the head. */
static int scan_head(tt_http_parser *p, size_t n)
{
	size_t end = p->head_len + n;
	int rc = 0;

	while (p->head_len < end && p->scan != END && rc == 0) {
		unsigned char c;
		size_t run = scan_run(p, p->head_len, end);

		p->head_len += run;
		p->offset += run;
		if (p->head_len == end)
			break;
		c = (unsigned char)p->head[p->head_len];
		rc = p->scan < FIELD ? scan_line_byte(p, c) : scan_field_byte(p, c);
		if (rc == 0) {
			p->head_len++;
			p->offset++;
		}
	}
	return rc;
}

static int next_head(tt_http_parser *p, const char *data, size_t n, size_t *ret_used)
{
	size_t done = 0;

	while (done < n) {
		size_t was = p->head_len, step = n - done;
		int rc;

		if (step > HEAD_STEP)
			step = HEAD_STEP;
		if (step > p->head_cap - was)
			step = p->head_cap - was;
		memcpy(p->head + was, data + done, step);
		rc = scan_head(p, step);
		done += p->head_len - was;
		if (rc == 0 && p->scan == END) {
			rc = end_head(p);
			if (rc == 0)
				rc = TT_HTTP_REQUEST;
		}
		*ret_used = done;
		if (rc != 0)
			return rc;
	}
	return TT_HTTP_MORE;
}

/* A run of body bytes: of a length, or of one chunk. */
static int next_data(tt_http_parser *p, const char *data, size_t n, size_t *ret_used,
		     tt_http_text *ret_piece)
{
	tt_http_text piece = { data, n < p->left ? n : (size_t)p->left };
	int rc;

	if (piece.len == 0)
		return TT_HTTP_MORE;
	p->left -= piece.len;
	p->offset += piece.len;
	if (p->left == 0)
		p->scan = p->scan == BODY ? END : DATA_CR;
	rc = ll_read(p, piece.at, piece.len, piece);
	if (rc < 0)
		return rc;
	*ret_used += piece.len;
	*ret_piece = piece;
	return TT_HTTP_BODY;
}

static int next_chunked(tt_http_parser *p, const char *data, size_t n, size_t *ret_used,
			tt_http_text *ret_piece)
{
	const tt_http_text no_data = { NULL, 0 };
	size_t i;
	int rc = 0;

	for (i = 0; i < n && p->scan != DATA && p->scan != END; i++) {
		rc = scan_chunk_byte(p, (unsigned char)data[i]);
		if (rc < 0)
			break;
		p->offset++;
	}
	/* llhttp gets the bytes before a refused one too: had they come alone, it would have
	 * had the first word. */
	if (i > 0 && ll_read(p, data, i, no_data) < 0)
		return -EPROTO;
	if (rc < 0)
		return rc;
	*ret_used = i;
	if (p->scan == DATA)
		return next_data(p, data + i, n - i, ret_used, ret_piece);
	if (p->scan != END)
		return TT_HTTP_MORE;
	p->end_told = true;
	return TT_HTTP_END;
}

int tt_http_parser_next(tt_http_parser *p, const char *data, size_t n, size_t *ret_used,
			tt_http_text *ret_piece)
{
	size_t used = 0, more = 0;
	int rc = TT_HTTP_MORE;

	*ret_used = 0;
	if (p->scan == FAILED)
		return -EPROTO;
	if (p->scan == END && !p->end_told) {
		p->end_told = true;
		return TT_HTTP_END;
	}
	if (p->scan == END)
		begin_request(p);
	if (p->scan < METHOD) {
		rc = next_start(p, data, n, &used);
		if (rc < 0)
			return rc;
	}
	if (p->scan >= METHOD && p->scan <= HEAD_LF && !p->trailer)
		rc = next_head(p, data + used, n - used, &more);
	else if (p->scan == BODY)
		rc = next_data(p, data, n, &more, ret_piece);
	else if (p->scan > BODY || p->trailer)
		rc = next_chunked(p, data, n, &more, ret_piece);
	*ret_used = used + more;
	return rc;
}

bool tt_http_parser_idle(const tt_http_parser *p)
{
	return (p->scan == END && p->end_told) || (p->scan == START && p->offset == 0);
}

int tt_http_parser_eof(tt_http_parser *p)
{
	if (p->scan == FAILED)
		return -EPROTO;
	/* A lone empty line after a body is nothing lost. */
	if (p->scan == END || p->scan == START)
		return 0;
	if (p->scan < BODY && !p->trailer)
		return refuse(p, 400, "connection ended inside the head");
	return refuse(p, 400, "connection ended inside the body");
}

/* ---- setup ---- */

static size_t or_default(size_t value, size_t standard)
{
	return value > 0 ? value : standard;
}

size_t tt_http_head_bytes(const tt_http_options *o)
{
	size_t line = or_default(o ? o->line_max : 0, LINE_DEFAULT);
	size_t header = or_default(o ? o->header_max : 0, HEADER_DEFAULT);

	return line + 2 + header + 2;
}

int tt_http_parser_init(tt_http_parser *p, const tt_http_options *o, char *head, size_t head_cap)
{
	static const tt_http_options none;

	if (o == NULL)
		o = &none;
	if (o->fields_max > TT_HTTP_FIELDS_MAX || head_cap < tt_http_head_bytes(o))
		return -EINVAL;
	*p = (tt_http_parser){
		.line_max = or_default(o->line_max, LINE_DEFAULT),
		.header_max = or_default(o->header_max, HEADER_DEFAULT),
		.fields_max = (unsigned)or_default(o->fields_max, TT_HTTP_FIELDS_MAX),
		.body_max = or_default(o->body_max, BODY_DEFAULT),
		.head = head,
		.head_cap = head_cap,
	};
	begin_request(p);
	return 0;
}

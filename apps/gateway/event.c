/* SPDX-License-Identifier: MIT */
/*
 * event.c - the rules an event must keep, and the answer.
 *
 * Who calls it: see event.h.
 *
 * The JSON reader calls back with one field at a time; a small state on the stack collects
 * the event in hand, the batch its texts. The first broken rule is the event's error; the id
 * is still kept if it is a good one, so that the client can tell which event is meant.
 */
#include "event.h"
#include "rfc3339.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	EVENTS_MAX = 1000,
	BYTES_MAX = 4 * 1024 * 1024,
	BYTES_FIRST = 4096,
	EVENTS_FIRST = 16,
	KEY_SHOWN = 64, /* bytes of a stranger's key in an error */
	REASON_MAX = 200,
	ANSWER_FIRST = 1024
};

/* ---- the batch ---- */

void event_batch_init(struct event_batch *b)
{
	*b = (struct event_batch){ .bytes_max = BYTES_MAX };
}

void event_batch_fini(struct event_batch *b)
{
	if (b == NULL)
		return;
	free(b->events);
	free(b->bytes);
	event_batch_init(b);
}

static int grow(void **block, size_t *cap, size_t need, size_t first, size_t max, size_t size)
{
	size_t want = *cap > 0 ? *cap : first;
	void *bigger;

	if (need <= *cap)
		return 0;
	if (need > max)
		return -EMSGSIZE;
	while (want < need)
		want *= 2;
	if (want > max)
		want = max;
	bigger = realloc(*block, want * size);
	if (bigger == NULL)
		return -ENOMEM;
	*block = bigger;
	*cap = want;
	return 0;
}

static int add_text(struct event_batch *b, const char *at, size_t len, struct event_span *ret)
{
	void *block = b->bytes;
	size_t from = b->len > 0 ? b->len : 1; /* offset 0 is no text */
	int rc = grow(&block, &b->cap, from + len + 1, BYTES_FIRST, b->bytes_max, 1);

	b->bytes = block;
	if (rc < 0)
		return rc;
	b->bytes[0] = '\0';
	if (len > 0)
		memcpy(b->bytes + from, at, len);
	b->bytes[from + len] = '\0';
	b->len = from + len + 1;
	*ret = (struct event_span){ (uint32_t)from, (uint32_t)len };
	return 0;
}

const char *event_text(const struct event_batch *b, struct event_span s)
{
	return s.at > 0 ? b->bytes + s.at : "";
}

int event_set_verdict(struct event_batch *b, size_t i, enum event_verdict verdict,
		      const char *reason)
{
	struct event *e = &b->events[i];

	if (e->verdict == EVENT_PENDING)
		b->pending--;
	if (verdict == EVENT_PENDING)
		b->pending++;
	e->verdict = verdict;
	e->error = (struct event_span){ 0, 0 };
	if (reason == NULL)
		return 0;
	return add_text(b, reason, strnlen(reason, REASON_MAX), &e->error);
}

/* ---- one event ---- */

enum key { KEY_TYPE, KEY_ID, KEY_TS, KEY_TENANT, KEY_PROPS, KEY_COUNT };

static const char *const key_names[KEY_COUNT] = { "type", "id", "ts", "tenant", "props" };

struct parse {
	const struct event_input *in;
	struct event_batch       *batch;
	size_t                    events_max;
	unsigned                  seen; /* bits of enum key, of the event in hand */
};

static struct event *current(struct parse *p)
{
	return &p->batch->events[p->batch->count - 1];
}

/* The event in hand breaks a rule. Only the first one is told. */
static int reject(struct parse *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int reject(struct parse *p, const char *fmt, ...)
{
	struct event *e = current(p);
	char text[REASON_MAX];
	va_list args;
	int at, n;

	if (e->verdict == EVENT_REJECTED)
		return 0;
	e->verdict = EVENT_REJECTED;
	p->batch->pending--;
	at = snprintf(text, sizeof(text), "events[%zu]", p->batch->count - 1);
	va_start(args, fmt);
	n = vsnprintf(text + at, sizeof(text) - (size_t)at, fmt, args);
	va_end(args);
	n = at + n < (int)sizeof(text) ? at + n : (int)sizeof(text) - 1;
	return add_text(p->batch, text, (size_t)n, &current(p)->error);
}

static int begin_event(void *ctx)
{
	struct parse *p = ctx;
	struct event_batch *b = p->batch;
	void *block = b->events;
	int rc = grow(&block, &b->events_cap, b->count + 1, EVENTS_FIRST, p->events_max,
		      sizeof(*b->events));

	b->events = block;
	if (rc < 0)
		return rc == -EMSGSIZE ? -E2BIG : rc;
	b->events[b->count++] = (struct event){ .verdict = EVENT_PENDING };
	b->pending++;
	p->seen = 0;
	return 0;
}

static int not_an_object(void *ctx)
{
	int rc = begin_event(ctx);

	return rc < 0 ? rc : reject(ctx, ": not an object");
}

/* The length of text cut to at most max bytes between two characters. */
static size_t cut(const char *at, size_t len, size_t max)
{
	if (len <= max)
		return len;
	while (max > 0 && ((unsigned char)at[max] & 0xc0) == 0x80)
		max--;
	return max;
}

static const char *flaw_text(enum event_json_flaw flaw)
{
	switch (flaw) {
	case EVENT_JSON_NUL:
		return "contains U+0000";
	case EVENT_JSON_SURROGATE:
		return "contains half a surrogate pair";
	case EVENT_JSON_DEEP:
		return "nested deeper than 32";
	case EVENT_JSON_KEYS:
		return "more than 256 keys in one object";
	case EVENT_JSON_NUMBER:
		return "number out of range";
	default:
		return "duplicate key";
	}
}

/* A string field of 1 to max bytes. Returns 1 if it is one, 0 if it was rejected. */
static int check_string(struct parse *p, const char *name, const struct event_json_value *v,
			size_t min, size_t max)
{
	int rc;

	if (v->kind != EVENT_JSON_STRING)
		rc = reject(p, ".%s: not a string", name);
	else if (v->flaw != EVENT_JSON_SOUND)
		rc = reject(p, ".%s: %s", name, flaw_text(v->flaw));
	else if (v->text.len < min)
		rc = reject(p, ".%s: empty", name);
	else if (v->text.len > max)
		rc = reject(p, ".%s: longer than %zu bytes", name, max);
	else
		return 1;
	return rc;
}

static int take_string(struct parse *p, const char *name, const struct event_json_value *v,
		       size_t min, size_t max, struct event_span *(*where)(struct event *e))
{
	struct event_span s;
	int rc = check_string(p, name, v, min, max);

	if (rc <= 0)
		return rc;
	rc = add_text(p->batch, v->text.at, v->text.len, &s);
	if (rc == 0)
		*where(current(p)) = s;
	return rc;
}

static struct event_span *id_of(struct event *e)
{
	return &e->id;
}

static struct event_span *type_of(struct event *e)
{
	return &e->type;
}

static struct event_span *tenant_of(struct event *e)
{
	return &e->tenant;
}

static int take_ts(struct parse *p, const struct event_json_value *v)
{
	char text[RFC3339_SIZE];
	int n, rc = check_string(p, "ts", v, 1, SIZE_MAX);

	if (rc <= 0)
		return rc;
	n = rfc3339_normalise(v->text.at, v->text.len, text);
	if (n < 0)
		return reject(p, ".ts: not an RFC 3339 time");
	return add_text(p->batch, text, (size_t)n, &current(p)->ts);
}

static int take_props(struct parse *p, const struct event_json_value *v)
{
	size_t shown;

	if (v->kind != EVENT_JSON_OBJECT)
		return reject(p, ".props: not an object");
	if (v->flaw == EVENT_JSON_DUPLICATE) {
		shown = cut(v->which.at, v->which.len, KEY_SHOWN);
		/* A key with a flaw of its own was told before; this one holds no NUL. */
		return reject(p, ".props: duplicate key \"%.*s%s\"", (int)shown, v->which.at,
			      shown < v->which.len ? "..." : "");
	}
	if (v->flaw != EVENT_JSON_SOUND)
		return reject(p, ".props: %s", flaw_text(v->flaw));
	return add_text(p->batch, v->text.at, v->text.len, &current(p)->props);
}

static int unknown_key(struct parse *p, struct event_json_text key, enum event_json_flaw flaw)
{
	size_t shown = cut(key.at, key.len, KEY_SHOWN);

	if (flaw != EVENT_JSON_SOUND)
		return reject(p, ": key %s", flaw_text(flaw));
	return reject(p, ".%.*s%s: unknown key", (int)shown, key.at, shown < key.len ? "..." : "");
}

static int take_value(struct parse *p, enum key key, const struct event_json_value *v)
{
	switch (key) {
	case KEY_TYPE:
		return take_string(p, "type", v, 1, EVENT_TYPE_MAX, type_of);
	case KEY_ID:
		return take_string(p, "id", v, 1, EVENT_ID_MAX, id_of);
	case KEY_TENANT:
		return take_string(p, "tenant", v, 0, EVENT_TENANT_MAX, tenant_of);
	case KEY_TS:
		return take_ts(p, v);
	default:
		return take_props(p, v);
	}
}

static int field(void *ctx, struct event_json_text key, enum event_json_flaw key_flaw,
		 const struct event_json_value *v)
{
	struct parse *p = ctx;

	for (unsigned k = 0; k < KEY_COUNT; k++) {
		if (key_flaw != EVENT_JSON_SOUND || key.len != strlen(key_names[k]) ||
		    memcmp(key.at, key_names[k], key.len) != 0)
			continue;
		if (p->seen & 1u << k)
			return reject(p, ".%s: duplicate key", key_names[k]);
		p->seen |= 1u << k;
		if (current(p)->verdict == EVENT_REJECTED && k != KEY_ID)
			return 0;
		return take_value(p, (enum key)k, v);
	}
	return unknown_key(p, key, key_flaw);
}

static int make_id(struct parse *p)
{
	char text[EVENT_ID_LEN + 1];
	int rc = event_id_make(p->in->ids, p->in->now_ns / 1000000, text);

	return rc < 0 ? -EIO : add_text(p->batch, text, EVENT_ID_LEN, &current(p)->id);
}

static int end_event(void *ctx)
{
	struct parse *p = ctx;
	const char *received = p->batch->received_at;
	int rc = 0;

	if (!(p->seen & 1u << KEY_TYPE))
		rc = reject(p, ".type: missing");
	if (rc < 0 || current(p)->verdict == EVENT_REJECTED)
		return rc;
	if (!(p->seen & 1u << KEY_ID))
		rc = make_id(p);
	if (rc == 0 && !(p->seen & 1u << KEY_TS))
		rc = add_text(p->batch, received, strlen(received), &current(p)->ts);
	if (rc == 0 && !(p->seen & 1u << KEY_PROPS))
		rc = add_text(p->batch, "{}", 2, &current(p)->props);
	return rc;
}

static const struct event_json_sink sink = {
	.begin = begin_event,
	.field = field,
	.end = end_event,
	.not_an_object = not_an_object,
};

/* ---- the body ---- */

static int refuse(struct event_refusal *r, int status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int refuse(struct event_refusal *r, int status, const char *fmt, ...)
{
	va_list args;

	r->status = status;
	va_start(args, fmt);
	vsnprintf(r->text, sizeof(r->text), fmt, args);
	va_end(args);
	return -EBADMSG;
}

static size_t line_of(const char *body, size_t offset)
{
	size_t line = 1;

	for (size_t i = 0; i < offset; i++)
		line += body[i] == '\n';
	return line;
}

/* A code of the reader's or of ours that ends the whole body. */
static int refuse_for(struct parse *p, int rc, struct event_refusal *r)
{
	switch (rc) {
	case -E2BIG:
		return refuse(r, 413, "more than %zu events", p->events_max);
	case -EMSGSIZE:
		return refuse(r, 413, "events take more than %zu bytes", p->batch->bytes_max);
	case -EIO:
		return refuse(r, 503, "no id could be made");
	default:
		return refuse(r, 503, "out of memory");
	}
}

static int parse_document(struct event_json *json, struct parse *p, struct event_refusal *r)
{
	const struct event_input *in = p->in;
	struct event_json_error e;
	int rc = event_json_read(json, in->body, in->body_len, EVENT_JSON_DOCUMENT, &sink, p, &e);

	if (rc == -EBADMSG)
		return refuse(r, 400, "malformed JSON at byte %zu, line %zu: %s", e.offset,
			      line_of(in->body, e.offset), e.what);
	return rc < 0 ? refuse_for(p, rc, r) : 0;
}

static bool is_blank(const char *at, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (at[i] != ' ' && at[i] != '\t' && at[i] != '\r')
			return false;
	}
	return true;
}

/* What the reader had told of a broken line before it broke is dropped. */
static int parse_line(struct event_json *json, struct parse *p, const char *at, size_t len)
{
	size_t before = p->batch->count;
	struct event_json_error e;
	int rc = event_json_read(json, at, len, EVENT_JSON_LINE, &sink, p, &e);

	if (rc != -EBADMSG)
		return rc;
	if (p->batch->count == before) {
		rc = begin_event(p);
		if (rc < 0)
			return rc;
	} else if (current(p)->verdict == EVENT_REJECTED) {
		p->batch->pending++; /* reject() below counts it again */
	}
	*current(p) = (struct event){ .verdict = EVENT_PENDING };
	return reject(p, ": malformed JSON at byte %zu of the line: %s", e.offset, e.what);
}

static int parse_lines(struct event_json *json, struct parse *p, struct event_refusal *r)
{
	const char *at = p->in->body, *end = at + p->in->body_len;

	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t len = (size_t)((newline ? newline : end) - at);
		int rc = 0;

		if (!is_blank(at, len))
			rc = parse_line(json, p, at, len);
		if (rc < 0)
			return refuse_for(p, rc, r);
		at += len + 1;
	}
	return 0;
}

/* ---- the content type ---- */

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static bool is_word(const char *at, size_t len, const char *word)
{
	size_t i;

	for (i = 0; i < len && word[i] != '\0'; i++) {
		if (lower(at[i]) != word[i])
			return false;
	}
	return i == len && word[i] == '\0';
}

static void trim(const char **at, size_t *len)
{
	while (*len > 0 && (**at == ' ' || **at == '\t'))
		(*at)++, (*len)--;
	while (*len > 0 && ((*at)[*len - 1] == ' ' || (*at)[*len - 1] == '\t'))
		(*len)--;
}

/* The part up to the next ';', and what follows it. */
static bool next_part(const char **rest, size_t *rest_len, const char **ret_at, size_t *ret_len)
{
	const char *semicolon;

	if (*rest == NULL)
		return false;
	semicolon = memchr(*rest, ';', *rest_len);
	*ret_at = *rest;
	*ret_len = semicolon ? (size_t)(semicolon - *rest) : *rest_len;
	*rest_len -= semicolon ? *ret_len + 1 : *ret_len;
	*rest = semicolon ? semicolon + 1 : NULL;
	trim(ret_at, ret_len);
	return true;
}

/* A charset must be UTF-8; other parameters mean nothing to JSON. */
static bool parameter_is_fine(const char *at, size_t len)
{
	const char *equals = len > 0 ? memchr(at, '=', len) : NULL;
	const char *value;
	size_t value_len;

	if (equals == NULL || !is_word(at, (size_t)(equals - at), "charset"))
		return true;
	value = equals + 1;
	value_len = (size_t)(at + len - value);
	return is_word(value, value_len, "utf-8") || is_word(value, value_len, "\"utf-8\"");
}

enum form { FORM_JSON, FORM_LINES, FORM_OTHER };

static enum form form_of(const char *at, size_t len)
{
	const char *part;
	size_t part_len;
	enum form form;

	if (at == NULL || !next_part(&at, &len, &part, &part_len))
		return FORM_JSON;
	if (is_word(part, part_len, "application/json"))
		form = FORM_JSON;
	else if (is_word(part, part_len, "application/x-ndjson"))
		form = FORM_LINES;
	else
		return FORM_OTHER;
	while (next_part(&at, &len, &part, &part_len)) {
		if (!parameter_is_fine(part, part_len))
			return FORM_OTHER;
	}
	return form;
}

int event_parse_body(struct event_json *json, const struct event_input *in, struct event_batch *b,
		     struct event_refusal *ret_refusal)
{
	const struct event_limits *limits = in->limits;
	struct parse p = { .in = in, .batch = b, .events_max = EVENTS_MAX };
	enum form form = form_of(in->content_type, in->content_type_len);
	int rc;

	if (limits && limits->events_max > 0)
		p.events_max = limits->events_max;
	if (limits && limits->bytes_max > 0)
		b->bytes_max = limits->bytes_max < UINT32_MAX ? limits->bytes_max : UINT32_MAX;
	rfc3339_format(in->now_ns, 3, b->received_at);
	if (form == FORM_OTHER)
		rc = refuse(ret_refusal, 415,
			    "send application/json or application/x-ndjson, in UTF-8");
	else if (form == FORM_LINES)
		rc = parse_lines(json, &p, ret_refusal);
	else
		rc = parse_document(json, &p, ret_refusal);
	if (rc == 0 && b->count == 0)
		rc = refuse(ret_refusal, 400, "the body holds no event");
	if (rc < 0)
		event_batch_fini(b);
	return rc;
}

/* ---- answers ---- */

void event_out_init(struct event_out *o, size_t max)
{
	*o = (struct event_out){ .max = max };
}

void event_out_fini(struct event_out *o)
{
	if (o == NULL)
		return;
	free(o->at);
	event_out_init(o, o->max);
}

void event_out_add(struct event_out *o, const char *at, size_t len)
{
	void *block = o->at;

	if (o->rc < 0 || len == 0)
		return;
	o->rc = grow(&block, &o->cap, o->len + len, ANSWER_FIRST, o->max, 1);
	o->at = block;
	if (o->rc < 0)
		return;
	memcpy(o->at + o->len, at, len);
	o->len += len;
}

void event_out_text(struct event_out *o, const char *text)
{
	event_out_add(o, text, strlen(text));
}

void event_out_number(struct event_out *o, uint64_t value)
{
	char digits[20];
	size_t i = sizeof(digits);

	do {
		digits[--i] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	event_out_add(o, digits + i, sizeof(digits) - i);
}

static void add_escape(struct event_out *o, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	const char *letter = strchr("\"\"\\\\\bb\ff\nn\rr\tt", c);
	char text[] = "\\u0000";

	if (letter != NULL && c != '\0') {
		text[1] = letter[1];
		event_out_add(o, text, 2);
		return;
	}
	text[4] = hex[c >> 4];
	text[5] = hex[c & 15];
	event_out_add(o, text, 6);
}

void event_out_string(struct event_out *o, const char *at, size_t len)
{
	size_t from = 0;

	event_out_add(o, "\"", 1);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)at[i];

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		event_out_add(o, at + from, i - from);
		add_escape(o, c);
		from = i + 1;
	}
	event_out_add(o, at + from, len - from);
	event_out_add(o, "\"", 1);
}

static const char *verdict_name(enum event_verdict v)
{
	switch (v) {
	case EVENT_ACCEPTED:
		return "accepted";
	case EVENT_DUPLICATE:
		return "duplicate";
	case EVENT_REJECTED:
		return "rejected";
	default:
		return "unknown";
	}
}

static void add_result(struct event_out *o, const struct event_batch *b, const struct event *e)
{
	event_out_text(o, "{\"id\":");
	if (e->id.at > 0)
		event_out_string(o, event_text(b, e->id), e->id.len);
	else
		event_out_text(o, "null");
	event_out_text(o, ",\"status\":\"");
	event_out_text(o, verdict_name(e->verdict));
	event_out_text(o, "\"");
	if (e->error.at > 0) {
		event_out_text(o, ",\"error\":");
		event_out_string(o, event_text(b, e->error), e->error.len);
	}
	event_out_text(o, "}");
}

int event_answer(struct event_out *o, const struct event_batch *b)
{
	uint64_t counts[EVENT_UNKNOWN + 1] = { 0 };

	for (size_t i = 0; i < b->count; i++)
		counts[b->events[i].verdict]++;
	event_out_text(o, "{\"accepted\":");
	event_out_number(o, counts[EVENT_ACCEPTED]);
	event_out_text(o, ",\"duplicate\":");
	event_out_number(o, counts[EVENT_DUPLICATE]);
	event_out_text(o, ",\"rejected\":");
	event_out_number(o, counts[EVENT_REJECTED]);
	event_out_text(o, ",\"results\":[");
	for (size_t i = 0; i < b->count; i++) {
		if (i > 0)
			event_out_text(o, ",");
		add_result(o, b, &b->events[i]);
	}
	event_out_text(o, "]}");
	return o->rc;
}

int event_answer_error(struct event_out *o, const char *text)
{
	event_out_text(o, "{\"error\":");
	event_out_string(o, text, strlen(text));
	event_out_text(o, "}");
	return o->rc;
}

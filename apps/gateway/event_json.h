/* SPDX-License-Identifier: MIT */
/*
 * event_json.h - the C side of the JSON reader: events out of a document or a line.
 *
 * Who calls it: event.c, which decides what an event must be. Here it is only decided what
 * JSON is, and what no JSON of ours may hold however well-formed (see event_json_flaw).
 *
 * Invariants  No exception leaves; no recursion follows the input's depth; everything is in
 *             one handle on the heap, so a task's stack holds a few hundred bytes of it.
 *             One handle serves one task at a time: one per worker, never across a park.
 */
#ifndef GATEWAY_EVENT_JSON_H
#define GATEWAY_EVENT_JSON_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EVENT_DEPTH_MAX 32 /* of a value, itself counted */
#define EVENT_KEYS_MAX 256 /* of one object */

struct event_json;

struct event_json_text {
	const char *at;
	size_t      len;
};

enum event_json_kind {
	EVENT_JSON_STRING,
	EVENT_JSON_OBJECT,
	EVENT_JSON_OTHER /* array, number, true, false, null */
};

/* Well-formed, but refused. The first one found in a value is reported. */
enum event_json_flaw {
	EVENT_JSON_SOUND,
	EVENT_JSON_NUL,       /* U+0000, in a string or a key */
	EVENT_JSON_SURROGATE, /* half a surrogate pair, as an escape */
	EVENT_JSON_DEEP,      /* deeper than EVENT_DEPTH_MAX */
	EVENT_JSON_KEYS,      /* more than EVENT_KEYS_MAX keys in one object */
	EVENT_JSON_DUPLICATE, /* a key twice in one object; which */
	EVENT_JSON_NUMBER     /* beyond 64-bit integers and doubles */
};

struct event_json_value {
	enum event_json_kind   kind;
	enum event_json_flaw   flaw;
	struct event_json_text text;  /* a string's content, unescaped; an object as it was sent */
	struct event_json_text which; /* the key that EVENT_JSON_DUPLICATE means */
};

/* Texts are valid during the call only. A negative result ends the reading with it. */
struct event_json_sink {
	int (*begin)(void *ctx);
	int (*field)(void *ctx, struct event_json_text key, enum event_json_flaw key_flaw,
		     const struct event_json_value *value);
	int (*end)(void *ctx);
	int (*not_an_object)(void *ctx); /* in place of the three */
};

struct event_json_error {
	const char *what;
	size_t      offset;
};

enum event_json_form {
	EVENT_JSON_DOCUMENT, /* one object, or an array of them */
	EVENT_JSON_LINE      /* one object; anything else is not_an_object */
};

/* Returns 0, or -ENOMEM. */
int  event_json_create(struct event_json **ret_json);
void event_json_destroy(struct event_json *json);

/*
 * event_json_read - tell the sink the events of a text, in order.
 *
 * Returns    0
 * Errors     -EBADMSG: malformed, *ret_error says what and where (events told before it may
 *            have come from the same text); -ENOMEM; what the sink returned
 */
int event_json_read(struct event_json *json, const char *text, size_t len,
		    enum event_json_form form, const struct event_json_sink *sink, void *ctx,
		    struct event_json_error *ret_error);

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: MIT */
/*
 * event.h - what a client may send, checked once at the door, and the answer it gets.
 *
 * Who calls it: the request handler (event_parse_body, event_answer); the batcher reads the
 * events of a batch and sets their verdicts.
 *
 * Invariants  A batch owns every text in it; nothing points into the request.
 *             events[] is in input order, rejected ones included; every text is valid UTF-8
 *             without U+0000 and ends in a NUL that its length does not count.
 *             EVENT_PENDING means: sound, and no verdict yet.
 */
#ifndef GATEWAY_EVENT_H
#define GATEWAY_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event_id.h"
#include "event_json.h"

#define EVENT_TYPE_MAX 64 /* bytes */
#define EVENT_ID_MAX 128
#define EVENT_TENANT_MAX 64

/* A text of a batch, see event_text(). Offset 0 is no text. */
struct event_span {
	uint32_t at, len;
};

enum event_verdict {
	EVENT_PENDING,
	EVENT_ACCEPTED,
	EVENT_DUPLICATE,
	EVENT_REJECTED,
	EVENT_UNKNOWN /* the store's verdict did not come in time */
};

struct event {
	enum event_verdict verdict;
	struct event_span  id;     /* of a rejected event only if it had a good one */
	struct event_span  type;
	struct event_span  ts;     /* RFC 3339, UTC */
	struct event_span  tenant; /* none: offset 0 */
	struct event_span  props;  /* a JSON object, as it was sent */
	struct event_span  error;  /* with EVENT_REJECTED, and if given with EVENT_UNKNOWN */
};

struct event_batch {
	struct event *events;
	size_t        count, events_cap;
	size_t        pending; /* of count: sound ones, until verdicts are set */
	char         *bytes;   /* all texts; moves when it grows */
	size_t        len, cap;
	size_t        bytes_max;
	char          received_at[31]; /* RFC 3339 with milliseconds */
};

/* 0 in a field means its default. */
struct event_limits {
	size_t events_max; /* in one body: 1,000, then 413 */
	size_t bytes_max;  /* of a batch's texts: 4 MiB, then 413 */
};

struct event_input {
	const char                *content_type; /* NULL: the header is missing, which is JSON */
	size_t                     content_type_len;
	const char                *body;
	size_t                     body_len;
	int64_t                    now_ns; /* since 1970: received_at, missing ts, new ids */
	struct event_ids          *ids;
	const struct event_limits *limits; /* NULL: defaults */
};

/* The body as a whole was refused: nothing of it may be stored. */
struct event_refusal {
	int  status; /* 400, 413, 415, 503 */
	char text[160];
};

void event_batch_init(struct event_batch *b);
void event_batch_fini(struct event_batch *b);

/* The text of a span, ending in a NUL; "" for none. Valid until the batch grows. */
const char *event_text(const struct event_batch *b, struct event_span s);

/*
 * event_parse_body - read a body into an empty batch.
 *
 * An event that breaks a rule is in the batch as EVENT_REJECTED with an error like
 * "events[3].type: missing"; so is a broken line of NDJSON. Broken JSON refuses the body.
 *
 * Blocks     no; takes about 1 KiB of stack
 * Returns    0
 * Errors     -EBADMSG: refused, see *ret_refusal; the batch is empty then
 */
int event_parse_body(struct event_json *json, const struct event_input *in, struct event_batch *b,
		     struct event_refusal *ret_refusal);

/*
 * event_set_verdict - what became of event i. reason (NULL: none) is copied, cut at 200 bytes.
 *
 * Returns    0
 * Errors     -ENOMEM, -EMSGSIZE: set without its reason
 */
int event_set_verdict(struct event_batch *b, size_t i, enum event_verdict verdict,
		      const char *reason);

/* ---- answers ---- */

/* A text that grows up to max. The first error sticks. */
struct event_out {
	char  *at; /* from malloc; whoever takes it frees it */
	size_t len, cap, max;
	int    rc; /* 0, -ENOMEM, -EMSGSIZE */
};

void event_out_init(struct event_out *o, size_t max);
void event_out_fini(struct event_out *o);
void event_out_add(struct event_out *o, const char *at, size_t len);
void event_out_text(struct event_out *o, const char *text);
void event_out_number(struct event_out *o, uint64_t value);
/* A JSON string with its quotes; the bytes must be UTF-8. */
void event_out_string(struct event_out *o, const char *at, size_t len);

/* {"accepted":n,"duplicate":n,"rejected":n,"results":[...]} in input order. Pending events
 * are told as "unknown". Returns 0, or o->rc. */
int event_answer(struct event_out *o, const struct event_batch *b);

/* {"error":"..."}. Returns 0, or o->rc. */
int event_answer_error(struct event_out *o, const char *text);

#endif

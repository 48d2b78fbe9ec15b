/* SPDX-License-Identifier: MIT */
/*
 * event_id.h - ids for events that came without one: UUID version 7, so that they sort by
 * the time they were made.
 *
 * Who calls it: event.c; the gateway owns the generator and brings the entropy.
 *
 * Invariants  Of one generator each id is greater than the one before, as text too, even when
 *             the clock stands still or goes back.
 *             Two generators never make the same id but by chance: after a fresh millisecond
 *             74 bits are random, within one each step adds 32 random bits.
 * Locks       None: one generator serves one task at a time. Order across a process needs one
 *             generator and the caller's lock around event_id_make(), which never blocks.
 */
#ifndef GATEWAY_EVENT_ID_H
#define GATEWAY_EVENT_ID_H

#include <stddef.h>
#include <stdint.h>

#define EVENT_ID_LEN 36 /* "018f4e9c-7a1b-7c3d-9e2f-0123456789ab" */

/* Fills buf with n unpredictable bytes. Returns 0, or a negative code. */
typedef int event_entropy(void *ctx, void *buf, size_t n);

struct event_ids {
	event_entropy *entropy;
	void          *entropy_ctx;
	uint64_t       ms;   /* of the last id */
	uint64_t       high; /* its 12 bits after the version */
	uint64_t       low;  /* its 62 bits after the variant */
};

void event_ids_init(struct event_ids *ids, event_entropy *entropy, void *entropy_ctx);

/*
 * event_id_make - the next id.
 *
 * Returns    0; ret_text ends in a NUL
 * Errors     what entropy returned; -EOVERFLOW beyond the year 10889. No id was made then
 */
int event_id_make(struct event_ids *ids, int64_t unix_ms, char ret_text[EVENT_ID_LEN + 1]);

#endif

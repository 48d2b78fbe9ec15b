/* SPDX-License-Identifier: MIT */
/*
 * event_id.c - UUID version 7 (RFC 9562 section 5.7), monotonic by its section 6.2 method 2:
 * the random part is counted up by a random step while the millisecond stays.
 *
 * Who calls it: event.c.
 */
#include "event_id.h"

#include <errno.h>

#define HIGH_MAX ((UINT64_C(1) << 12) - 1)
#define LOW_MAX ((UINT64_C(1) << 62) - 1)
#define MS_MAX ((UINT64_C(1) << 48) - 1)

void event_ids_init(struct event_ids *ids, event_entropy *entropy, void *entropy_ctx)
{
	*ids = (struct event_ids){ .entropy = entropy, .entropy_ctx = entropy_ctx };
}

/* A new millisecond begins anywhere in its 74 bits, but for the top one: there must be room
 * above for the ids that follow. */
static int begin_ms(struct event_ids *ids, uint64_t ms)
{
	uint64_t random[2];
	int rc = ids->entropy(ids->entropy_ctx, random, sizeof(random));

	if (rc < 0)
		return rc;
	ids->ms = ms;
	ids->high = random[0] & HIGH_MAX >> 1;
	ids->low = random[1] & LOW_MAX;
	return 0;
}

/* The same millisecond: one to 2^32 further. Full, it borrows the next one. */
static int step(struct event_ids *ids)
{
	uint32_t random;
	uint64_t low;
	int rc = ids->entropy(ids->entropy_ctx, &random, sizeof(random));

	if (rc < 0)
		return rc;
	low = ids->low + random + 1;
	if (low <= LOW_MAX) {
		ids->low = low;
		return 0;
	}
	if (ids->high < HIGH_MAX) {
		ids->low = low & LOW_MAX;
		ids->high++;
		return 0;
	}
	return ids->ms < MS_MAX ? begin_ms(ids, ids->ms + 1) : -EOVERFLOW;
}

static char *put_hex(char *at, uint64_t value, int digits)
{
	for (int i = digits; i-- > 0; value >>= 4)
		at[i] = "0123456789abcdef"[value & 15];
	return at + digits;
}

int event_id_make(struct event_ids *ids, int64_t unix_ms, char ret_text[EVENT_ID_LEN + 1])
{
	uint64_t ms = unix_ms > 0 ? (uint64_t)unix_ms : 0;
	char *at = ret_text;
	int rc;

	if (ms > MS_MAX)
		return -EOVERFLOW;
	rc = ms > ids->ms ? begin_ms(ids, ms) : step(ids);
	if (rc < 0)
		return rc;
	at = put_hex(at, ids->ms >> 16, 8);
	*at++ = '-';
	at = put_hex(at, ids->ms & 0xffff, 4);
	*at++ = '-';
	at = put_hex(at, 0x7000 | ids->high, 4);
	*at++ = '-';
	at = put_hex(at, 0x8000 | ids->low >> 48, 4);
	*at++ = '-';
	at = put_hex(at, ids->low & 0xffffffffffff, 12);
	*at = '\0';
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * event_id_fuzz.c - fuzz target: ids under a clock that jumps and entropy that repeats or fails.
 *
 * Who calls it: see fuzz.h. Each id takes a byte that moves the clock (or eight for a time of
 * its own) and a byte for the entropy: its value fills the answer, 0xfe fails, 0xff is all ones.
 *
 * Claims  Each id is a UUID of version 7 and greater than the one before, as text, whatever
 *         clock and entropy do.
 *         An id is never earlier than the clock, and is of the clock's millisecond whenever the
 *         clock is ahead of the last id.
 *         A failure is the entropy's code or -EOVERFLOW, and the next id is as if it had not been.
 */
#include <ctype.h>
#include <errno.h>

#include "event_id.h"
#include "fuzz.h"

#define MS_MAX ((INT64_C(1) << 48) - 1)

static int entropy(void *ctx, void *buf, size_t n)
{
	const uint8_t *with = ctx;

	if (*with == 0xfe)
		return -EIO;
	memset(buf, *with, n);
	return 0;
}

static int64_t next_time(struct fuzz_input *in, int64_t now)
{
	uint8_t move = fuzz_byte(in);

	if (move == 0xff)
		return (int64_t)fuzz_u64(in);
	if (move == 0xfe)
		return MS_MAX - fuzz_byte(in);
	/* Mostly it stands still or creeps; now and then it goes back. */
	if (move < 128 && now < INT64_MAX - 4)
		return now + move % 4;
	return now > move ? now - move % 16 : now;
}

static uint64_t ms_of(const char *id)
{
	unsigned long long high, low;

	MUST(sscanf(id, "%8llx-%4llx", &high, &low) == 2);
	return high << 16 | low;
}

static void check_form(const char *id)
{
	MUST(strlen(id) == EVENT_ID_LEN);
	for (int i = 0; i < EVENT_ID_LEN; i++) {
		if (i == 8 || i == 13 || i == 18 || i == 23)
			MUST(id[i] == '-');
		else
			MUST(isdigit((unsigned char)id[i]) || (id[i] >= 'a' && id[i] <= 'f'));
	}
	MUST(id[14] == '7' && strchr("89ab", id[19]) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = fuzz_input_of(data, size);
	char last[EVENT_ID_LEN + 1] = "", id[EVENT_ID_LEN + 1];
	int64_t now = INT64_C(1750000000000);
	struct event_ids ids;
	uint8_t with = 0;

	event_ids_init(&ids, entropy, &with);
	while (in.left > 0) {
		int rc;

		now = next_time(&in, now);
		with = fuzz_byte(&in);
		rc = event_id_make(&ids, now, id);
		if (rc != 0) {
			MUST((rc == -EIO && with == 0xfe) || rc == -EOVERFLOW);
			continue;
		}
		check_form(id);
		MUST(strcmp(id, last) > 0);
		MUST(now < 0 || ms_of(id) >= (uint64_t)now);
		MUST(last[0] == '\0' || now < 0 || (uint64_t)now <= ms_of(last) || ms_of(id) == (uint64_t)now);
		memcpy(last, id, sizeof(last));
	}
	return 0;
}

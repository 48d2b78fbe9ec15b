/* SPDX-License-Identifier: MIT */
/*
 * event_id_test.c - ids have the form of the RFC, sort by their making, and never repeat.
 */
#include "event_id.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned long checks, failures;

#define CHECK(cond, ...)                                                             \
	do {                                                                         \
		checks++;                                                            \
		if (!(cond)) {                                                       \
			failures++;                                                  \
			fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #cond);   \
			fprintf(stderr, __VA_ARGS__);                                \
			fputc('\n', stderr);                                         \
		}                                                                    \
	} while (0)

struct source {
	uint64_t state;
	int      fixed; /* every byte, or -1 for random ones */
	int      rc;
};

static int entropy(void *ctx, void *buf, size_t n)
{
	struct source *s = ctx;
	unsigned char *at = buf;

	if (s->rc < 0)
		return s->rc;
	for (size_t i = 0; i < n; i++) {
		s->state = s->state * 6364136223846793005u + 1442695040888963407u;
		at[i] = s->fixed >= 0 ? (unsigned char)s->fixed : (unsigned char)(s->state >> 56);
	}
	return 0;
}

/* Time, version and variant stand where RFC 9562 puts them. */
static void form_is_version_7(void)
{
	struct source ones = { .fixed = 0xff }, zeros = { .fixed = 0 };
	struct event_ids ids;
	char id[EVENT_ID_LEN + 1];

	event_ids_init(&ids, entropy, &zeros);
	CHECK(event_id_make(&ids, 0x0123456789ab, id) == 0 &&
	      strcmp(id, "01234567-89ab-7000-8000-000000000000") == 0, "%s", id);
	event_ids_init(&ids, entropy, &ones);
	/* The top random bit is kept clear for the ids that follow. */
	CHECK(event_id_make(&ids, 0x0123456789ab, id) == 0 &&
	      strcmp(id, "01234567-89ab-77ff-bfff-ffffffffffff") == 0, "%s", id);
}

/* 200,000 ids with a clock that stands, jumps ahead and goes back: each is greater. */
static void ids_only_grow(void)
{
	struct source random = { .state = 7, .fixed = -1 };
	struct event_ids ids;
	char last[EVENT_ID_LEN + 1] = "", id[EVENT_ID_LEN + 1];
	int64_t ms = 1700000000000;

	event_ids_init(&ids, entropy, &random);
	for (int i = 0; i < 200000; i++) {
		if (i % 1000 == 0)
			ms += i % 3000 == 0 ? 5 : -2;
		CHECK(event_id_make(&ids, ms, id) == 0 && strcmp(last, id) < 0, "%s then %s", last, id);
		CHECK(strlen(id) == EVENT_ID_LEN && id[14] == '7' && strchr("89ab", id[19]), "%s", id);
		memcpy(last, id, sizeof(id));
	}
}

/* A full millisecond borrows from the next; the order holds. */
static void full_millisecond_carries(void)
{
	struct source zeros = { .fixed = 0 };
	struct event_ids ids;
	char id[EVENT_ID_LEN + 1];

	event_ids_init(&ids, entropy, &zeros);
	ids.ms = 5;
	ids.high = 0x7ff;
	ids.low = (UINT64_C(1) << 62) - 1;
	CHECK(event_id_make(&ids, 5, id) == 0 &&
	      strcmp(id, "00000000-0005-7800-8000-000000000000") == 0, "%s", id);
	ids.high = 0xfff;
	ids.low = (UINT64_C(1) << 62) - 1;
	CHECK(event_id_make(&ids, 5, id) == 0 &&
	      strcmp(id, "00000000-0006-7000-8000-000000000000") == 0, "%s", id);
	CHECK(event_id_make(&ids, 5, id) == 0 &&
	      strcmp(id, "00000000-0006-7000-8000-000000000001") == 0, "%s", id);
}

/* Without entropy there is no id, and the next one is as if nothing had happened. */
static void errors_change_nothing(void)
{
	struct source s = { .fixed = 0 };
	struct event_ids ids;
	char id[EVENT_ID_LEN + 1] = "untouched";

	event_ids_init(&ids, entropy, &s);
	s.rc = -EIO;
	CHECK(event_id_make(&ids, 9, id) == -EIO && strcmp(id, "untouched") == 0, "%s", id);
	s.rc = 0;
	CHECK(event_id_make(&ids, 9, id) == 0, "after");
	s.rc = -EIO;
	CHECK(event_id_make(&ids, 9, id) == -EIO, "same millisecond");
	s.rc = 0;
	CHECK(event_id_make(&ids, 9, id) == 0 &&
	      strcmp(id, "00000000-0009-7000-8000-000000000001") == 0, "%s", id);
	CHECK(event_id_make(&ids, INT64_C(1) << 48, id) == -EOVERFLOW, "too late");
	CHECK(event_id_make(&ids, -1, id) == 0, "a clock before 1970 goes on from the last id");
}

int main(void)
{
	form_is_version_7();
	ids_only_grow();
	full_millisecond_carries();
	errors_change_nothing();
	printf("event_id: %lu checks, %lu failed\n", checks, failures);
	return failures > 0 || checks == 0;
}

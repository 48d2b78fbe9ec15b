/* SPDX-License-Identifier: MIT */
/*
 * rfc3339_test.c - which times pass, as what they are kept, and how ours are written.
 */
#include "rfc3339.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static const struct {
	const char *text, *utc; /* utc NULL: refused */
} cases[] = {
	{ "2024-05-06T07:08:09Z", "2024-05-06T07:08:09Z" },
	{ "2024-05-06t07:08:09z", "2024-05-06T07:08:09Z" },
	{ "2024-05-06T07:08:09.5Z", "2024-05-06T07:08:09.5Z" },
	{ "2024-05-06T07:08:09.123456789Z", "2024-05-06T07:08:09.123456789Z" },
	{ "2024-05-06T07:08:09.000Z", "2024-05-06T07:08:09.000Z" },
	{ "2024-05-06T07:08:09.1234567890Z", NULL },
	{ "2024-05-06T07:08:09.Z", NULL },
	{ "2024-05-06T07:08:09,5Z", NULL },
	/* Offsets, across days, months, years and leap days. */
	{ "2024-05-06T07:08:09+00:00", "2024-05-06T07:08:09Z" },
	{ "2024-05-06T07:08:09-00:00", "2024-05-06T07:08:09Z" },
	{ "2024-05-06T07:08:09.25+02:30", "2024-05-06T04:38:09.25Z" },
	{ "2024-01-01T00:00:00+00:01", "2023-12-31T23:59:00Z" },
	{ "2023-12-31T23:59:00-00:01", "2024-01-01T00:00:00Z" },
	{ "2024-03-01T01:00:00+02:00", "2024-02-29T23:00:00Z" },
	{ "2023-03-01T01:00:00+02:00", "2023-02-28T23:00:00Z" },
	{ "2024-02-29T23:00:00-23:59", "2024-03-01T22:59:00Z" },
	{ "2024-05-31T20:00:00-05:00", "2024-06-01T01:00:00Z" },
	{ "2024-05-06T00:00:00+23:59", "2024-05-05T00:01:00Z" },
	{ "2024-05-06T07:08:09+24:00", NULL },
	{ "2024-05-06T07:08:09+23:60", NULL },
	{ "2024-05-06T07:08:09+0100", NULL },
	{ "2024-05-06T07:08:09+01", NULL },
	{ "2024-05-06T07:08:09+1:00", NULL },
	{ "2024-05-06T07:08:09", NULL },
	{ "2024-05-06T07:08:09 Z", NULL },
	{ "2024-05-06T07:08:09ZZ", NULL },
	{ "2024-05-06T07:08:09Z ", NULL },
	{ " 2024-05-06T07:08:09Z", NULL },
	{ "2024-05-06T07:08:09Z+00:00", NULL },
	/* Days. */
	{ "2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z" },
	{ "2023-02-29T00:00:00Z", NULL },
	{ "2000-02-29T00:00:00Z", "2000-02-29T00:00:00Z" },
	{ "1900-02-29T00:00:00Z", NULL },
	{ "2024-02-30T00:00:00Z", NULL },
	{ "2024-04-30T00:00:00Z", "2024-04-30T00:00:00Z" },
	{ "2024-04-31T00:00:00Z", NULL },
	{ "2024-12-31T00:00:00Z", "2024-12-31T00:00:00Z" },
	{ "2024-12-32T00:00:00Z", NULL },
	{ "2024-00-01T00:00:00Z", NULL },
	{ "2024-13-01T00:00:00Z", NULL },
	{ "2024-01-00T00:00:00Z", NULL },
	{ "2024-5-06T00:00:00Z", NULL },
	{ "24-05-06T00:00:00Z", NULL },
	{ "02024-05-06T00:00:00Z", NULL },
	{ "-2024-05-06T00:00:00Z", NULL },
	{ "2024-05-06", NULL },
	{ "2024-127T00:00:00Z", NULL },
	/* The ends of time. */
	{ "0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z" },
	{ "0000-01-01T00:00:00+00:01", NULL },
	{ "9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999999Z" },
	{ "9999-12-31T23:59:59-00:01", NULL },
	/* Hours, minutes, seconds. */
	{ "2024-05-06T23:59:59Z", "2024-05-06T23:59:59Z" },
	{ "2024-05-06T24:00:00Z", NULL },
	{ "2024-05-06T00:60:00Z", NULL },
	{ "2024-05-06T00:00:61Z", NULL },
	{ "2024-05-06T00:00Z", NULL },
	{ "2024-05-06 00:00:00Z", NULL },
	{ "2024-05-06T0:00:00Z", NULL },
	{ "2024/05/06T00:00:00Z", NULL },
	{ "2024-05-06T00.00.00Z", NULL },
	/* Leap seconds, where UTC has them. */
	{ "2016-12-31T23:59:60Z", "2016-12-31T23:59:60Z" },
	{ "2016-12-31T23:59:60.9Z", "2016-12-31T23:59:60.9Z" },
	{ "2016-12-31T18:59:60-05:00", "2016-12-31T23:59:60Z" },
	{ "2017-01-01T00:59:60+01:00", "2016-12-31T23:59:60Z" },
	{ "2016-12-31T23:59:60+01:00", NULL },
	{ "2016-12-31T23:58:60Z", NULL },
	{ "2016-12-31T12:00:60Z", NULL },
	/* Nothing like a time. */
	{ "", NULL },
	{ "Z", NULL },
	{ "now", NULL },
	{ "1715000000", NULL },
	{ "2024-05-06T07:08:0\xd9\xa9Z", NULL },
};

/* Each text is read as written in the table, from a buffer that ends where it ends. */
static void table_holds(void)
{
	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t len = strlen(cases[i].text);
		char *exact = malloc(len > 0 ? len : 1);
		char out[RFC3339_SIZE];
		int n;

		memcpy(exact, cases[i].text, len);
		n = rfc3339_normalise(exact, len, out);
		if (cases[i].utc == NULL)
			CHECK(n < 0, "%s became %s", cases[i].text, out);
		else
			CHECK(n == (int)strlen(cases[i].utc) && strcmp(out, cases[i].utc) == 0,
			      "%s: %d", cases[i].text, n);
		free(exact);
	}
}

/* No text with a NUL inside passes, wherever it stands. */
static void nul_is_refused(void)
{
	static const char good[] = "2024-05-06T07:08:09.5+02:30";

	for (size_t i = 0; i < sizeof(good) - 1; i++) {
		char text[sizeof(good)], out[RFC3339_SIZE];

		memcpy(text, good, sizeof(good));
		text[i] = '\0';
		CHECK(rfc3339_normalise(text, sizeof(good) - 1, out) < 0, "NUL at %zu", i);
		CHECK(rfc3339_normalise(good, i, out) < 0, "cut at %zu", i);
	}
}

/* What is written for a second agrees with the C library, from 1677 to 2262. */
static void format_agrees_with_gmtime(void)
{
	int64_t step = INT64_C(86413) * 1000000000 + 123456789;

	for (int64_t t = INT64_MIN; t < INT64_MAX - step; t += step) {
		int64_t second = t / 1000000000 - (t % 1000000000 < 0);
		time_t tt = (time_t)second;
		char want[40], out[RFC3339_SIZE];
		struct tm tm;
		int n;

		gmtime_r(&tt, &tm);
		strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%S", &tm);
		snprintf(want + strlen(want), 20, ".%09dZ", (int)((t % 1000000000 + 1000000000) % 1000000000));
		n = rfc3339_format(t, 9, out);
		CHECK(n == (int)strlen(want) && strcmp(out, want) == 0, "%s, wanted %s", out, want);
	}
}

/* Fractions are cut, not rounded, and what is written is read back unchanged. */
static void format_cuts(void)
{
	static const char *const want[] = {
		"2009-02-13T23:31:30Z",           "2009-02-13T23:31:30.9Z",
		"2009-02-13T23:31:30.98Z",        "2009-02-13T23:31:30.987Z",
		"2009-02-13T23:31:30.9876Z",      "2009-02-13T23:31:30.98765Z",
		"2009-02-13T23:31:30.987654Z",    "2009-02-13T23:31:30.9876543Z",
		"2009-02-13T23:31:30.98765432Z",  "2009-02-13T23:31:30.987654321Z",
		"2009-02-13T23:31:30.987654321Z",
	};

	for (unsigned digits = 0; digits < COUNT(want); digits++) {
		char out[RFC3339_SIZE], again[RFC3339_SIZE];
		int n = rfc3339_format(INT64_C(1234567890987654321), digits, out);

		CHECK(n == (int)strlen(want[digits]) && strcmp(out, want[digits]) == 0, "%s", out);
		CHECK(rfc3339_normalise(out, (size_t)n, again) == n && strcmp(out, again) == 0, "%s", out);
	}
}

int main(void)
{
	table_holds();
	nul_is_refused();
	format_agrees_with_gmtime();
	format_cuts();
	printf("rfc3339: %lu checks, %lu failed\n", checks, failures);
	return failures > 0 || checks == 0;
}

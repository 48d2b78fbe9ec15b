/* SPDX-License-Identifier: MIT */
/*
 * rfc3339_fuzz.c - fuzz target: times as text, against the C library.
 *
 * Who calls it: see fuzz.h. An input that begins with '#' is a number of nanoseconds and a
 * number of digits, to be written; any other is a text.
 *
 * Claims  A text is taken exactly if it has the form of RFC 3339 5.6, as a regular expression says
 *         it, and the C library's calendar has that day.
 *         What comes out is UTC, keeps the fraction's digits, names the same second as
 *         what went in, and is its own normal form.
 *         A time that is written is what the C library writes, and is in normal form.
 */
#include <errno.h>
#include <regex.h>
#include <time.h>

#include "fuzz.h"
#include "rfc3339.h"

/* ---- the same in other words ---- */

struct pieces {
	struct tm tm;
	int offset; /* seconds east */
	char fraction[16];
};

static const regex_t *form(void)
{
	static regex_t re;
	static bool made;

	if (!made) {
		MUST(regcomp(&re,
			     "^([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})"
			     "(\\.[0-9]{1,9})?([Zz]|([+-])([0-9]{2}):([0-9]{2}))$", REG_EXTENDED) == 0);
		made = true;
	}
	return &re;
}

static int number(const char *text, regmatch_t m)
{
	return (int)strtol(text + m.rm_so, NULL, 10);
}

static bool same_day(const struct tm *a, const struct tm *b)
{
	return a->tm_year == b->tm_year && a->tm_mon == b->tm_mon && a->tm_mday == b->tm_mday;
}

/* timegm() brings 31 February into March: then there is no such day. */
static bool day_exists(const struct tm *tm)
{
	struct tm day = { .tm_year = tm->tm_year, .tm_mon = tm->tm_mon, .tm_mday = tm->tm_mday };
	struct tm wanted = day;

	timegm(&day);
	return same_day(&day, &wanted);
}

static bool takes(const char *text, size_t len, struct pieces *ret)
{
	regmatch_t m[12];
	int hours, minutes;

	if (strlen(text) != len || regexec(form(), text, 12, m, 0) != 0)
		return false;
	*ret = (struct pieces){
		.tm = { .tm_year = number(text, m[1]) - 1900, .tm_mon = number(text, m[2]) - 1,
			.tm_mday = number(text, m[3]), .tm_hour = number(text, m[4]),
			.tm_min = number(text, m[5]), .tm_sec = number(text, m[6]) },
	};
	if (m[7].rm_so >= 0)
		snprintf(ret->fraction, sizeof(ret->fraction), "%.*s", (int)(m[7].rm_eo - m[7].rm_so), text + m[7].rm_so);
	if (m[9].rm_so >= 0) {
		hours = number(text, m[10]);
		minutes = number(text, m[11]);
		if (hours > 23 || minutes > 59)
			return false;
		ret->offset = (text[m[9].rm_so] == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
	}
	return ret->tm.tm_mon >= 0 && ret->tm.tm_mon < 12 && ret->tm.tm_mday > 0 && day_exists(&ret->tm) &&
	       ret->tm.tm_hour < 24 && ret->tm.tm_min < 60 && ret->tm.tm_sec <= 60;
}

/* The beginning of the minute, since 1970: a leap second has no number of its own. */
static time_t minute_of(const struct pieces *p)
{
	struct tm tm = p->tm;

	tm.tm_sec = 0;
	return timegm(&tm) - p->offset;
}

static bool is_sound(const struct pieces *p)
{
	time_t at = minute_of(p);
	struct tm utc;

	MUST(gmtime_r(&at, &utc) != NULL);
	if (utc.tm_year < -1900 || utc.tm_year > 9999 - 1900)
		return false;
	return p->tm.tm_sec < 60 || (utc.tm_hour == 23 && utc.tm_min == 59);
}

/* ---- claims ---- */

static void check_text(const uint8_t *data, size_t size)
{
	char *exact = fuzz_copy(data, size), *text = fuzz_string(fuzz_input_of(data, size));
	char out[RFC3339_SIZE], again[RFC3339_SIZE];
	struct pieces in = { .offset = 0 }, utc = { .offset = 0 };
	int n = rfc3339_normalise(exact, size, out);

	MUST((n > 0) == (takes(text, size, &in) && is_sound(&in)));
	MUST(n > 0 || n == -EINVAL);
	if (n > 0) {
		MUST((size_t)n == strlen(out) && out[n - 1] == 'Z' && out[10] == 'T');
		MUST(takes(out, (size_t)n, &utc) && utc.offset == 0);
		MUST(minute_of(&utc) == minute_of(&in) && utc.tm.tm_sec == in.tm.tm_sec);
		MUST(strcmp(utc.fraction, in.fraction) == 0);
		MUST(rfc3339_normalise(out, (size_t)n, again) == n && strcmp(out, again) == 0);
	}
	free(exact);
	free(text);
}

static void check_format(struct fuzz_input *in)
{
	int64_t ns = (int64_t)fuzz_u64(in), rest = ns % 1000000000;
	time_t seconds = (time_t)(ns / 1000000000);
	unsigned digits = fuzz_below(in, 12), shown = digits < 9 ? digits : 9;
	char out[RFC3339_SIZE], again[RFC3339_SIZE], date[32], fraction[16], want[64];
	struct tm tm;
	int n;

	if (rest < 0) {
		rest += 1000000000;
		seconds--;
	}
	MUST(gmtime_r(&seconds, &tm) != NULL);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(fraction, sizeof(fraction), ".%09lld", (long long)rest);
	snprintf(want, sizeof(want), "%s%.*sZ", date, shown > 0 ? (int)shown + 1 : 0, fraction);
	n = rfc3339_format(ns, digits, out);
	MUST(n == (int)strlen(want) && strcmp(out, want) == 0);
	MUST(rfc3339_normalise(out, (size_t)n, again) == n && strcmp(out, again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = fuzz_input_of(data, size);

	if (size > 0 && data[0] == '#') {
		fuzz_byte(&in);
		check_format(&in);
	} else {
		check_text(data, size);
	}
	return 0;
}

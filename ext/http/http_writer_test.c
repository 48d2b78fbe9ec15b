/* SPDX-License-Identifier: MIT */
/*
 * http_writer_test.c - heads of answers byte for byte, and what is refused in them.
 */
#include "http_check.h"
#include "http_writer.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A whole head, byte for byte. */
static void head_is_exact(void)
{
	static const char want[] = "HTTP/1.1 200 OK\r\n"
				   "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
				   "Content-Type: application/json\r\n"
				   "Content-Length: 18446744073709551615\r\n"
				   "Connection: close\r\n\r\n";
	char buf[sizeof(want)];
	tt_http_writer w;
	int n;

	tt_http_write_begin(&w, buf, sizeof(buf), 200);
	tt_http_write_date(&w, 784111777);
	tt_http_write_field(&w, "Content-Type", "application/json");
	tt_http_write_number(&w, "Content-Length", UINT64_MAX);
	tt_http_write_field(&w, "Connection", "close");
	n = tt_http_write_end(&w);
	CHECK(n == (int)sizeof(want) - 1 && memcmp(buf, want, sizeof(want) - 1) == 0, "%.*s", n, buf);
}

/* Whatever the buffer's size, the writer stays inside it and says when it did not fit. */
static void no_buffer_is_overrun(void)
{
	for (size_t cap = 0; cap < 100; cap++) {
		char *buf = malloc(cap > 0 ? cap : 1);
		tt_http_writer w;
		int n;

		tt_http_write_begin(&w, buf, cap, 404);
		tt_http_write_date(&w, 0);
		tt_http_write_number(&w, "N", 0);
		n = tt_http_write_end(&w);
		CHECK(w.len <= cap && n == (cap < 24 + 37 + 6 + 2 ? -EMSGSIZE : 69), "%zu: %d", cap, n);
		free(buf);
	}
}

static int rc_of_field(const char *name, const char *value)
{
	char buf[256];
	tt_http_writer w;

	tt_http_write_begin(&w, buf, sizeof(buf), 200);
	tt_http_write_field(&w, name, value);
	return tt_http_write_end(&w);
}

/* Nothing that a caller passes on can end a line or begin a new one. */
static void injection_is_refused(void)
{
	static const char *const names[] = { "", "X Y", "X:", "X\r\nY", "X\n", "\xc3\xa9", "X\x7f" };
	static const char *const values[] = { "a\r\nSet-Cookie: b", "a\nb", "a\rb", "\r\n", "\x01",
					      "\x1b[0m", "\x7f" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		CHECK(rc_of_field(names[i], "v") == -EINVAL, "%s", names[i]);
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		CHECK(rc_of_field("X", values[i]) == -EINVAL, "%s", values[i]);
	CHECK(rc_of_field("X", "") > 0 && rc_of_field("X", "a\tb \xc3\xa9") > 0, "plain values");
}

/* An error sticks: what follows is not written, and end reports the first one. */
static void first_error_is_kept(void)
{
	char buf[64];
	tt_http_writer w;

	tt_http_write_begin(&w, buf, sizeof(buf), 600);
	CHECK(w.rc == -EINVAL && w.len == 0, "status 600");
	tt_http_write_begin(&w, buf, sizeof(buf), 99);
	tt_http_write_field(&w, "X", "y");
	tt_http_write_lines(&w, "Z: z\r\n", 6);
	tt_http_write_date(&w, INT64_MAX);
	CHECK(w.len == 0 && tt_http_write_end(&w) == -EINVAL, "status 99");
	tt_http_write_begin(&w, buf, 10, 200);
	tt_http_write_field(&w, "X", "\n");
	CHECK(tt_http_write_end(&w) == -EMSGSIZE, "full before it was wrong");
}

/* The date agrees with the C library's over 10,000 years' worth of days. */
static void dates_agree_with_gmtime(void)
{
	for (int64_t t = -62167219200; t <= 253402300799; t += 86400 * 3 + 3607) {
		char buf[80], want[80];
		time_t tt = (time_t)t;
		struct tm tm;
		tt_http_writer w = { .buf = buf, .cap = sizeof(buf) };

		gmtime_r(&tt, &tm);
		/* %Y pads nothing below the year 1000 here. */
		strftime(want, sizeof(want), "Date: %a, %d %b ", &tm);
		snprintf(want + strlen(want), 40, "%04d %02d:%02d:%02d GMT\r\n",
			 (tm.tm_year + 1900) % 10000, tm.tm_hour, tm.tm_min, tm.tm_sec);
		tt_http_write_date(&w, t);
		CHECK(w.len == strlen(want) && memcmp(buf, want, w.len) == 0, "%lld: %.*s", (long long)t,
		      (int)w.len, buf);
	}
}

/* The years that have no four digits are refused. */
static void dates_have_four_digits(void)
{
	char buf[80];
	tt_http_writer w = { .buf = buf, .cap = sizeof(buf) };

	tt_http_write_date(&w, 253402300800);
	CHECK(w.rc == -EINVAL && w.len == 0, "10000");
	w.rc = 0;
	tt_http_write_date(&w, -62167219201);
	CHECK(w.rc == -EINVAL && w.len == 0, "-1");
}

/* Extra fields fill their room exactly; one that does not fit or is wrong adds nothing. */
static void extra_headers_are_bounded(void)
{
	tt_http_response res = { .status = 200 };
	char value[TT_HTTP_EXTRA_MAX + 1];

	CHECK(tt_http_add_header(&res, "Allow", "GET, POST") == 0 && res.extra_len == 18, "first");
	CHECK(tt_http_add_header(&res, "X", "a\r\nb") == -EINVAL && res.extra_len == 18, "injection");
	memset(value, 'v', sizeof(value));
	value[TT_HTTP_EXTRA_MAX - 18 - 5 + 1] = '\0';
	CHECK(tt_http_add_header(&res, "X", value) == -EMSGSIZE && res.extra_len == 18, "n+1");
	value[TT_HTTP_EXTRA_MAX - 18 - 5] = '\0';
	CHECK(tt_http_add_header(&res, "X", value) == 0 && res.extra_len == TT_HTTP_EXTRA_MAX, "n");
}

static int released;

static void count_release(void *body)
{
	(void)body;
	released++;
}

/* A body that is replaced is released once. */
static void replaced_body_is_released(void)
{
	tt_http_response res = { .status = 200 };

	tt_http_set_body(&res, "text/plain", "a", 1, count_release);
	CHECK(released == 0, "kept");
	tt_http_set_body(&res, NULL, "b", 1, NULL);
	CHECK(released == 1 && res.body[0] == 'b' && res.content_type == NULL, "replaced");
	tt_http_set_body(&res, NULL, NULL, 0, NULL);
	CHECK(released == 1, "not twice");
}

static int decode(const char *text, size_t room, const char *want)
{
	char buf[32];
	int n = tt_http_decode((tt_http_text){ text, strlen(text) }, buf, room);

	return n < 0 ? n : !(n == (int)strlen(want) && memcmp(buf, want, (size_t)n) == 0);
}

/* Paths are decoded whole or refused. */
static void escapes_are_decoded(void)
{
	CHECK(decode("", 0, "") == 0, "empty");
	CHECK(decode("a%20b%2Fc%c3%A9+", 32, "a b/c\xc3\xa9+") == 0, "plain");
	CHECK(decode("%", 32, "") == -EINVAL && decode("%4", 32, "") == -EINVAL &&
	      decode("%4g", 32, "") == -EINVAL && decode("%g4", 32, "") == -EINVAL, "broken");
	CHECK(decode("a%00", 32, "") == -EINVAL, "NUL");
	CHECK(decode("abc", 3, "abc") == 0 && decode("abcd", 3, "") == -EMSGSIZE &&
	      decode("ab%63", 3, "abc") == 0 && decode("abc%64", 3, "") == -EMSGSIZE, "room");
}

/* Words compare without ASCII case and to their whole length. */
static void words_compare_without_case(void)
{
	CHECK(tt_http_text_is((tt_http_text){ "ClOsE", 5 }, "close"), "case");
	CHECK(!tt_http_text_is((tt_http_text){ "clos", 4 }, "close"), "shorter");
	CHECK(!tt_http_text_is((tt_http_text){ "closed", 6 }, "close"), "longer");
	CHECK(tt_http_text_is((tt_http_text){ NULL, 0 }, ""), "empty");
	CHECK(!tt_http_text_is((tt_http_text){ "a\0", 2 }, "a"), "NUL");
}

/* Every status a server of ours sends has a name. */
static void statuses_have_names(void)
{
	static const int used[] = { 100, 200, 400, 404, 405, 408, 413, 414, 415, 417, 422, 431, 500,
				    501, 503, 505 };

	for (size_t i = 0; i < sizeof(used) / sizeof(used[0]); i++)
		CHECK(strcmp(tt_http_reason(used[i]), "Unknown") != 0, "%d", used[i]);
	CHECK(strcmp(tt_http_reason(299), "Unknown") == 0, "299");
}

int main(void)
{
	head_is_exact();
	no_buffer_is_overrun();
	injection_is_refused();
	first_error_is_kept();
	dates_agree_with_gmtime();
	dates_have_four_digits();
	extra_headers_are_bounded();
	replaced_body_is_released();
	escapes_are_decoded();
	words_compare_without_case();
	statuses_have_names();
	return check_report("http_writer");
}

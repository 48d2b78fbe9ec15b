/* SPDX-License-Identifier: MIT */
/*
 * event_test.c - which bodies pass, what is kept of them, and the exact words of every error.
 */
#include "event.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

/* A task has 64 KiB; a sanitizer's frames are larger, and its tasks have 256 KiB. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PARSE_STACK_MAX (48 * 1024)
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define PARSE_STACK_MAX (48 * 1024)
#endif
#endif
#ifndef PARSE_STACK_MAX
#define PARSE_STACK_MAX (12 * 1024)
#endif

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
#define NOW INT64_C(1234567890987654321)
#define NOW_TEXT "2009-02-13T23:31:30.987Z"
#define X16 "xxxxxxxxxxxxxxxx"
#define X63 X16 X16 X16 "xxxxxxxxxxxxxxx"
#define X64 X16 X16 X16 X16
#define X128 X64 X64

static struct event_json *json;

static int entropy(void *ctx, void *buf, size_t n)
{
	(void)ctx;
	memset(buf, 0x55, n);
	return 0;
}

static int no_entropy(void *ctx, void *buf, size_t n)
{
	(void)ctx;
	(void)buf;
	(void)n;
	return -EIO;
}

/* The body lies in an allocation that ends where it ends. */
static int parse(const char *type, const char *body, size_t len, const struct event_limits *limits,
		 event_entropy *source, struct event_batch *b, struct event_refusal *r)
{
	struct event_ids ids;
	struct event_input in = {
		.content_type = type,
		.content_type_len = type ? strlen(type) : 0,
		.body_len = len,
		.now_ns = NOW,
		.ids = &ids,
		.limits = limits,
	};
	char *exact = malloc(len > 0 ? len : 1);
	int rc;

	memcpy(exact, body, len);
	in.body = exact;
	event_ids_init(&ids, source, NULL);
	event_batch_init(b);
	rc = event_parse_body(json, &in, b, r);
	free(exact);
	return rc;
}

/* One line an event: "id|type|ts|tenant|props", or "!error" with "id!" before it if it has
 * one; a refusal is "status text". */
static void describe(int rc, const struct event_batch *b, const struct event_refusal *r, char *text,
		     size_t size)
{
	size_t at = 0;

	text[0] = '\0';
	if (rc < 0) {
		snprintf(text, size, "%d %s", r->status, r->text);
		return;
	}
	for (size_t i = 0; i < b->count && at < size; i++) {
		const struct event *e = &b->events[i];
		const char *between = i > 0 ? "\n" : "";

		if (e->verdict == EVENT_REJECTED)
			at += (size_t)snprintf(text + at, size - at, "%s%s!%s", between,
					       event_text(b, e->id), event_text(b, e->error));
		else
			at += (size_t)snprintf(text + at, size - at, "%s%s|%s|%s|%s|%s", between,
					       event_text(b, e->id), event_text(b, e->type),
					       event_text(b, e->ts), event_text(b, e->tenant),
					       event_text(b, e->props));
	}
}

static void check_body(const char *type, const char *body, size_t len, const char *want)
{
	struct event_batch b;
	struct event_refusal r = { 0, "" };
	char got[4096];
	size_t pending = 0;
	int rc = parse(type, body, len, NULL, entropy, &b, &r);

	describe(rc, &b, &r, got, sizeof(got));
	CHECK(strcmp(got, want) == 0, "%.*s\ngot  %s\nwant %s", (int)len, body, got, want);
	for (size_t i = 0; i < b.count; i++)
		pending += b.events[i].verdict == EVENT_PENDING;
	CHECK(b.pending == pending, "%zu pending, counted %zu: %.*s", pending, b.pending, (int)len, body);
	event_batch_fini(&b);
}

struct body_case {
	const char *body;
	size_t      len;
	const char *want;
};

#define BODY(body, want) { body, sizeof(body) - 1, want }
#define T "\"type\":\"t\",\"id\":\"i\",\"ts\":\"2024-01-01T00:00:00Z\""
#define TAIL "|t|2024-01-01T00:00:00Z|"
#define OK "i" TAIL "|{}"
#define MADE "011f71fb-082b-7555-9555-555555555555"
/* An object with props of this text, and what is kept of it. */
#define PROPS(text) BODY("{" T ",\"props\":" text "}", "i" TAIL "|" text)
#define PROPS_BAD(text, error) BODY("{" T ",\"props\":" text "}", "i!events[0].props: " error)

static const struct body_case json_cases[] = {
	/* One object, an array, and what is filled in. */
	BODY("{" T "}", OK),
	BODY("[{" T "}]", OK),
	BODY("[{" T "},{" T "}]", OK "\n" OK),
	BODY(" \r\n\t{ " T " } \n", OK),
	BODY("{\"type\":\"t\"}", MADE "|t|" NOW_TEXT "||{}"),
	BODY("{\"type\":\"t\",\"tenant\":\"acme\",\"props\":{\"a\":1}}",
	     MADE "|t|" NOW_TEXT "|acme|{\"a\":1}"),
	BODY("{\"type\":\"t\",\"tenant\":\"\"}", MADE "|t|" NOW_TEXT "||{}"),
	BODY("{\"type\":\"t\",\"id\":\"i\",\"ts\":\"2024-05-06T07:08:09.5+02:30\"}",
	     "i|t|2024-05-06T04:38:09.5Z||{}"),
	BODY("{\"t\\u0079pe\":\"t\",\"id\":\"i\",\"ts\":\"2024-01-01T00:00:00Z\"}", OK),
	/* Strings. */
	BODY("{\"type\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\",\"id\":\"i\","
	     "\"ts\":\"2024-01-01T00:00:00Z\"}",
	     "i|\"\\/\b\f\n\r\t\xc3\xa9\xf0\x9f\x98\x80|2024-01-01T00:00:00Z||{}"),
	BODY("{\"type\":\"\xc3\xa9\xf0\x9f\x98\x80\x7f\",\"id\":\"i\",\"ts\":\"2024-01-01T00:00:00Z\"}",
	     "i|\xc3\xa9\xf0\x9f\x98\x80\x7f|2024-01-01T00:00:00Z||{}"),
	/* Props stay as they were sent. */
	PROPS("{}"),
	PROPS("{ }"),
	PROPS("{ \"a\" : [ 1 , 2.50 , -0 , 1E+2 , true , false , null , \"\\u00e9\\/\" ] }"),
	PROPS("{\"a\":{\"b\":{\"c\":[[],{},[{}]]}}}"),
	PROPS("{\"\":\"\"}"),
	PROPS("{\"a\":1,\"A\":2,\"b\":{\"a\":3},\"c\":[{\"a\":4},{\"a\":5}]}"),
	PROPS("{\"a\":18446744073709551615,\"b\":-9223372036854775808,\"c\":1.7e308}"),
	PROPS("{\"a\":\"}]\\\"{[\"}"),
	BODY("{\"props\":{\"a\":1} , " T "}", "i" TAIL "|{\"a\":1}"),
	BODY("{\"props\":{\"a\":1}\n,\"type\":\"t\",\"id\":\"i\",\"ts\":\"2024-01-01T00:00:00Z\"}",
	     "i" TAIL "|{\"a\":1}"),
	/* Type. */
	BODY("{}", "!events[0].type: missing"),
	BODY("{\"id\":\"i\"}", "i!events[0].type: missing"),
	BODY("{\"type\":\"\"}", "!events[0].type: empty"),
	BODY("{\"type\":1}", "!events[0].type: not a string"),
	BODY("{\"type\":null}", "!events[0].type: not a string"),
	BODY("{\"type\":[\"t\"]}", "!events[0].type: not a string"),
	BODY("{\"type\":{\"a\":[1,{}]},\"id\":\"i\"}", "i!events[0].type: not a string"),
	BODY("{\"type\":\"" X63 "\",\"id\":\"i\"}", "i|" X63 "|" NOW_TEXT "||{}"),
	BODY("{\"type\":\"" X64 "\",\"id\":\"i\"}", "i|" X64 "|" NOW_TEXT "||{}"),
	BODY("{\"type\":\"" X64 "x\",\"id\":\"i\"}", "i!events[0].type: longer than 64 bytes"),
	BODY("{\"type\":\"" X63 "\xc3\xa9\",\"id\":\"i\"}", "i!events[0].type: longer than 64 bytes"),
	BODY("{\"type\":\"a\\u0000\"}", "!events[0].type: contains U+0000"),
	BODY("{\"type\":\"\\ud800\"}", "!events[0].type: contains half a surrogate pair"),
	BODY("{\"type\":\"\\udc00\"}", "!events[0].type: contains half a surrogate pair"),
	BODY("{\"type\":\"\\ud800\\ud800\"}", "!events[0].type: contains half a surrogate pair"),
	BODY("{\"type\":\"\\ud800\\n\"}", "!events[0].type: contains half a surrogate pair"),
	BODY("{\"type\":\"\\udc00\\ud800\"}", "!events[0].type: contains half a surrogate pair"),
	/* Id. */
	BODY("{\"type\":\"t\",\"id\":\"\"}", "!events[0].id: empty"),
	BODY("{\"type\":\"t\",\"id\":7}", "!events[0].id: not a string"),
	BODY("{\"type\":\"t\",\"id\":null}", "!events[0].id: not a string"),
	BODY("{\"type\":\"t\",\"id\":\"" X64 X63 "\"}", X64 X63 "|t|" NOW_TEXT "||{}"),
	BODY("{\"type\":\"t\",\"id\":\"" X128 "\"}", X128 "|t|" NOW_TEXT "||{}"),
	BODY("{\"type\":\"t\",\"id\":\"" X128 "x\"}", "!events[0].id: longer than 128 bytes"),
	BODY("{\"type\":\"t\",\"id\":\"\\u0000\"}", "!events[0].id: contains U+0000"),
	BODY("{\"type\":\"t\",\"id\":\"\\ud800\"}", "!events[0].id: contains half a surrogate pair"),
	/* Tenant. */
	BODY("{" T ",\"tenant\":\"" X64 "\"}", "i" TAIL X64 "|{}"),
	BODY("{" T ",\"tenant\":\"" X64 "x\"}", "i!events[0].tenant: longer than 64 bytes"),
	BODY("{" T ",\"tenant\":false}", "i!events[0].tenant: not a string"),
	BODY("{" T ",\"tenant\":\"\\u0000\"}", "i!events[0].tenant: contains U+0000"),
	/* Time. */
	BODY("{\"type\":\"t\",\"ts\":\"\"}", "!events[0].ts: empty"),
	BODY("{\"type\":\"t\",\"ts\":1}", "!events[0].ts: not a string"),
	BODY("{\"type\":\"t\",\"ts\":\"yesterday\"}", "!events[0].ts: not an RFC 3339 time"),
	BODY("{\"type\":\"t\",\"ts\":\"2023-02-29T00:00:00Z\"}", "!events[0].ts: not an RFC 3339 time"),
	BODY("{\"type\":\"t\",\"ts\":\"2024-01-01T00:00:00Z\\u0000\"}", "!events[0].ts: contains U+0000"),
	/* Props. */
	PROPS_BAD("[]", "not an object"),
	PROPS_BAD("\"{}\"", "not an object"),
	PROPS_BAD("null", "not an object"),
	PROPS_BAD("{\"a\":\"\\u0000\"}", "contains U+0000"),
	PROPS_BAD("{\"a\":[[\"x\\u0000y\"]]}", "contains U+0000"),
	PROPS_BAD("{\"a\\u0000\":1}", "contains U+0000"),
	PROPS_BAD("{\"a\":\"\\udead\"}", "contains half a surrogate pair"),
	PROPS_BAD("{\"a\":1,\"b\":2,\"a\":3}", "duplicate key \"a\""),
	PROPS_BAD("{\"a\":1,\"\\u0061\":3}", "duplicate key \"a\""),
	PROPS_BAD("{\"x\":{\"y\":[{\"a\":1,\"a\":3}]}}", "duplicate key \"a\""),
	PROPS_BAD("{\"" X64 "\":1,\"" X64 "\":1}", "duplicate key \"" X64 "\""),
	PROPS_BAD("{\"" X63 "\xc3\xa9\":1,\"" X63 "\xc3\xa9\":1}", "duplicate key \"" X63 "...\""),
	PROPS_BAD("{\"a\":18446744073709551616}", "number out of range"),
	PROPS_BAD("{\"a\":-9223372036854775809}", "number out of range"),
	PROPS_BAD("{\"a\":[1e400]}", "number out of range"),
	/* Keys. */
	BODY("{" T ",\"typo\":1}", "i!events[0].typo: unknown key"),
	BODY("{\"typo\":{\"a\":[]}," T "}", "i!events[0].typo: unknown key"),
	BODY("{\"\":1," T "}", "i!events[0].: unknown key"),
	BODY("{\"Type\":\"t\"}", "!events[0].Type: unknown key"),
	BODY("{\"types\":\"t\"}", "!events[0].types: unknown key"),
	BODY("{\"" X64 "\":1}", "!events[0]." X64 ": unknown key"),
	BODY("{\"" X64 "x\":1}", "!events[0]." X64 "...: unknown key"),
	BODY("{\"" X63 "\xc3\xa9\":1}", "!events[0]." X63 "...: unknown key"),
	BODY("{\"a\\u0000b\":1}", "!events[0]: key contains U+0000"),
	BODY("{\"type\\u0000\":\"t\"}", "!events[0]: key contains U+0000"),
	BODY("{\"\\ud800\":1}", "!events[0]: key contains half a surrogate pair"),
	BODY("{" T ",\"type\":\"t\"}", "i!events[0].type: duplicate key"),
	BODY("{" T ",\"id\":\"j\"}", "i!events[0].id: duplicate key"),
	BODY("{" T ",\"props\":{},\"props\":{}}", "i!events[0].props: duplicate key"),
	BODY("{" T ",\"t\\u0079pe\":\"t\"}", "i!events[0].type: duplicate key"),
	/* The first error is told; the id is kept even when it comes after it. */
	BODY("{\"type\":1,\"ts\":2,\"id\":\"i\"}", "i!events[0].type: not a string"),
	/* One bad event does not harm the others, and each is told by its place. */
	BODY("[{" T "},{\"id\":\"j\"},{" T "},7,\"x\",[{}],null,{" T ",\"x\":1}]",
	     OK "\nj!events[1].type: missing\n" OK "\n!events[3]: not an object\n"
	     "!events[4]: not an object\n!events[5]: not an object\n!events[6]: not an object\n"
	     "i!events[7].x: unknown key"),
	/* Broken JSON refuses the body. */
	BODY("", "400 malformed JSON at byte 0, line 1: nothing there"),
	BODY("  ", "400 malformed JSON at byte 0, line 1: nothing there"),
	BODY("[]", "400 the body holds no event"),
	BODY("7", "400 malformed JSON at byte 0, line 1: neither an object nor an array"),
	BODY("\"x\"", "400 malformed JSON at byte 0, line 1: neither an object nor an array"),
	BODY("null", "400 malformed JSON at byte 0, line 1: neither an object nor an array"),
	BODY("\xef\xbb\xbf{}", "400 malformed JSON at byte 0, line 1: neither an object nor an array"),
	BODY("{", "400 malformed JSON at byte 1, line 1: unclosed array or object"),
	BODY("[", "400 malformed JSON at byte 1, line 1: unclosed array or object"),
	BODY("[{" T "}", "400 malformed JSON at byte 50, line 1: unclosed array or object"),
	BODY("{\"type\":\"t\"", "400 malformed JSON at byte 11, line 1: unclosed array or object"),
	BODY("{\"type\":\"t", "400 malformed JSON at byte 10, line 1: unclosed string"),
	BODY("{\"type\":\"a\nb\"}", "400 malformed JSON at byte 10, line 1: control character in a string"),
	BODY("{\n\n\"type\":\"a\tb\"}", "400 malformed JSON at byte 12, line 3: control character in a string"),
	BODY("{\"type\":\"a\0b\"}", "400 malformed JSON at byte 10, line 1: control character in a string"),
	BODY("{\"type\":\"\xff\"}", "400 malformed JSON at byte 9, line 1: invalid UTF-8"),
	BODY("{\"type\":\"\xc3\"}", "400 malformed JSON at byte 9, line 1: invalid UTF-8"),
	BODY("{\"type\":\"\xc0\x80\"}", "400 malformed JSON at byte 9, line 1: invalid UTF-8"),
	BODY("{\"type\":\"\xed\xa0\x80\"}", "400 malformed JSON at byte 9, line 1: invalid UTF-8"),
	BODY("{\"type\":\"\xf4\x90\x80\x80\"}", "400 malformed JSON at byte 9, line 1: invalid UTF-8"),
	BODY("{" T ",\"props\":{\"\xe2\x82\":1}}", "400 malformed JSON at byte 59, line 1: invalid UTF-8"),
	BODY("{\"type\":\"\\x\"}", "400 malformed JSON at byte 9, line 1: bad escape in a string"),
	BODY("{\"type\":\"\\u12g4\"}", "400 malformed JSON at byte 9, line 1: bad escape in a string"),
	BODY("{\"type\":\"\\u12\"}", "400 malformed JSON at byte 9, line 1: bad escape in a string"),
	BODY("{\"\\q\":1}", "400 malformed JSON at byte 2, line 1: bad escape in a string"),
	BODY("{\"type\":tru}", "400 malformed JSON at byte 8, line 1: unexpected character"),
	BODY("{\"type\":TRUE}", "400 malformed JSON at byte 8, line 1: unexpected character"),
	BODY("{\"type\":nul}", "400 malformed JSON at byte 8, line 1: unexpected character"),
	BODY("{\"type\":truex}", "400 malformed JSON at byte 8, line 1: unexpected character"),
	BODY("{\"type\":01}", "400 malformed JSON at byte 8, line 1: unexpected character"),
	BODY("{\"type\":1.}", "400 malformed JSON at byte 8, line 1: unexpected character"),
	BODY("{\"type\":.5}", "400 malformed JSON at byte 8, line 1: unexpected character"),
	BODY("{\"type\":+1}", "400 malformed JSON at byte 8, line 1: unexpected character"),
	BODY("{\"type\":-}", "400 malformed JSON at byte 8, line 1: unexpected character"),
	BODY("{\"type\":1e}", "400 malformed JSON at byte 8, line 1: unexpected character"),
	BODY("{\"type\":0x10}", "400 malformed JSON at byte 8, line 1: unexpected character"),
	BODY("{\"type\":1 2}", "400 malformed JSON at byte 10, line 1: unexpected character"),
	BODY("{\"type\":NaN}", "400 malformed JSON at byte 8, line 1: unexpected character"),
	BODY("{\"type\":Infinity}", "400 malformed JSON at byte 8, line 1: unexpected character"),
	BODY("{\"type\":'t'}", "400 malformed JSON at byte 8, line 1: unexpected character"),
	BODY("{\"type\":}", "400 malformed JSON at byte 8, line 1: unexpected character"),
};

static const struct body_case broken_cases[] = {
	BODY("{type:\"t\"}", ""),
	BODY("{\"type\" \"t\"}", ""),
	BODY("{\"type\":\"t\",}", ""),
	BODY("{,\"type\":\"t\"}", ""),
	BODY("{\"type\":\"t\" \"id\":\"i\"}", ""),
	BODY("{\"type\"}", ""),
	BODY("{\"type\":}", ""),
	BODY("{:\"t\"}", ""),
	BODY("{1:2}", ""),
	BODY("{\"type\":\"t\"]", ""),
	BODY("[{\"type\":\"t\"}}", ""),
	BODY("[{\"type\":\"t\"},]", ""),
	BODY("[,{\"type\":\"t\"}]", ""),
	BODY("[{\"type\":\"t\"} {\"type\":\"t\"}]", ""),
	BODY("[{\"type\":\"t\"}", ""),
	BODY("{\"type\":\"t\"}}", ""),
	BODY("{\"type\":\"t\"}]", ""),
	BODY("{\"type\":\"t\"} {\"type\":\"t\"}", ""),
	BODY("{\"type\":\"t\"},", ""),
	BODY("{\"type\":\"t\"} x", ""),
	BODY("[1,2", ""),
	BODY("[1 2]", ""),
	BODY("[1:2]", ""),
	BODY("[tru]", ""),
	BODY("[[1]", ""),
	BODY("[[1,]]", ""),
	BODY("[\"a\" \"b\"]", ""),
	BODY("[\"a\":1]", ""),
	BODY("{\"type\":\"t\",\"props\":{\"a\":}}", ""),
	BODY("{\"type\":\"t\",\"props\":{\"a\"}}", ""),
	BODY("{\"type\":\"t\",\"props\":{\"a\":1,}}", ""),
	BODY("{\"type\":\"t\",\"props\":{\"a\":[1,]}}", ""),
	BODY("{\"type\":\"t\",\"props\":{\"a\":[1}}", ""),
	BODY("{\"type\":\"t\",\"props\":{\"a\":{]}}", ""),
	BODY("{\"type\":\"t\",\"props\":{\"a\":tru}}", ""),
	BODY("{\"type\":\"t\",\"props\":{\"a\":01}}", ""),
	BODY("{\"type\":\"t\",\"props\":{\"a\":\"\\x\"}}", ""),
	BODY("{\"type\":\"t\",\"props\":{\"\\x\":1}}", ""),
	BODY("{\"type\":\"t\",\"props\":{\"a\":\"b\":1}}", ""),
	BODY("{\"type\":\"t\",\"props\":{}", ""),
	BODY("{\"type\":\"t\",\"props\":{\"a\":[[[[[[]]]]]}}", ""),
	BODY("{\"type\":\"t\"//c\n}", ""),
	BODY("{\"type\":\"t\"/**/}", ""),
	BODY("{\"type\":\"t\"}\0", ""),
	BODY("{\"type\":\"t\"}\x0b", ""),
	BODY("\xa0{\"type\":\"t\"}", ""),
};

static const struct body_case line_cases[] = {
	BODY("{" T "}", OK),
	BODY("{" T "}\n", OK),
	BODY("{" T "}\r\n", OK),
	BODY("{" T "}\n{" T "}", OK "\n" OK),
	BODY("\n\r\n  \t\r\n{" T "}\n\n\n{" T "}\r\n\r\n", OK "\n" OK),
	BODY(" {" T "} \n", OK),
	BODY("", "400 the body holds no event"),
	BODY("\n\n", "400 the body holds no event"),
	BODY("{" T "}\nbroken\n{" T "}",
	     OK "\n!events[1]: malformed JSON at byte 0 of the line: unexpected character\n" OK),
	BODY("{" T "}\n{\"id\":\"j\",\"type\":\n{" T "}",
	     OK "\n!events[1]: malformed JSON at byte 17 of the line: unclosed array or object\n" OK),
	BODY("{\"x\":1,\"id\":\"j\",\"type\":}\n{" T "}",
	     "!events[0]: malformed JSON at byte 23 of the line: unexpected character\n" OK),
	BODY("{\"type\":\"\xff\"}\n{" T "}",
	     "!events[0]: malformed JSON at byte 9 of the line: invalid UTF-8\n" OK),
	BODY("{\"type\":\"a\n{" T "}",
	     "!events[0]: malformed JSON at byte 10 of the line: unclosed string\n" OK),
	BODY("{\"type\":\"a\0b\"}\n{" T "}",
	     "!events[0]: malformed JSON at byte 10 of the line: control character in a string\n" OK),
	BODY("{" T "}{" T "}\n", "!events[0]: malformed JSON at byte 49 of the line: more after the end"),
	BODY("[{" T "}]\n{" T "}", "!events[0]: not an object\n" OK),
	BODY(" 7\n\"x\\\"\" \nnull\n-1.5e3",
	     "!events[0]: not an object\n!events[1]: not an object\n!events[2]: not an object\n"
	     "!events[3]: not an object"),
	BODY("nul\n\"x\" 1\n7 7",
	     "!events[0]: malformed JSON at byte 0 of the line: unexpected character\n"
	     "!events[1]: malformed JSON at byte 0 of the line: unexpected character\n"
	     "!events[2]: malformed JSON at byte 0 of the line: unexpected character"),
	BODY("{\"typo\":1}\n", "!events[0].typo: unknown key"),
	BODY("{\"type\":\"t\"}\n{\"type\":\"t\"}", MADE "|t|" NOW_TEXT "||{}\n"
	     "011f71fb-082b-7555-9555-5555aaaaaaab|t|" NOW_TEXT "||{}"),
	/* A JSON text over several lines is several broken ones. */
	BODY("{\n\"type\":\"t\"\n}",
	     "!events[0]: malformed JSON at byte 1 of the line: unclosed array or object\n"
	     "!events[1]: malformed JSON at byte 0 of the line: unexpected character\n"
	     "!events[2]: malformed JSON at byte 0 of the line: unexpected character"),
};

static void tables_hold(void)
{
	for (size_t i = 0; i < COUNT(json_cases); i++)
		check_body("application/json", json_cases[i].body, json_cases[i].len, json_cases[i].want);
	for (size_t i = 0; i < COUNT(line_cases); i++)
		check_body("application/x-ndjson", line_cases[i].body, line_cases[i].len,
			   line_cases[i].want);
}

/* Whatever is wrong with the grammar, the whole body is refused, and the batch is empty. */
static void broken_bodies_are_refused(void)
{
	for (size_t i = 0; i < COUNT(broken_cases); i++) {
		const struct body_case *c = &broken_cases[i];
		struct event_batch b;
		struct event_refusal r = { 0, "" };
		int rc = parse(NULL, c->body, c->len, NULL, entropy, &b, &r);

		CHECK(rc == -EBADMSG && r.status == 400 &&
		      strncmp(r.text, "malformed JSON at byte ", 23) == 0 && b.count == 0 &&
		      b.bytes == NULL, "%s: %d %s", c->body, rc, r.text);
		event_batch_fini(&b);
	}
}

/* A good body cut anywhere is broken, never half accepted. */
static void cut_bodies_are_refused(void)
{
	static const char body[] = "[{" T ",\"props\":{\"a\":[1,-2.5e3,\"\\u00e9\",{\"b\":null}]}},{" T "}]";

	for (size_t n = 0; n < sizeof(body) - 1; n++) {
		struct event_batch b;
		struct event_refusal r = { 0, "" };

		CHECK(parse(NULL, body, n, NULL, entropy, &b, &r) == -EBADMSG && r.status == 400,
		      "cut at %zu", n);
		event_batch_fini(&b);
	}
}

/* Content types: two are known, without case, with parameters; a charset must be UTF-8. */
static void content_types_are_told_apart(void)
{
	static const struct {
		const char *type;
		int         status;
	} cases[] = {
		{ NULL, 0 },
		{ "application/json", 0 },
		{ "Application/JSON", 0 },
		{ "application/json;charset=utf-8", 0 },
		{ "application/json; charset=UTF-8", 0 },
		{ "application/json ; Charset=\"Utf-8\" ; x=y", 0 },
		{ "application/json;", 0 },
		{ "application/json; x", 0 },
		{ "application/x-ndjson", 0 },
		{ "APPLICATION/X-NDJSON; charset=utf-8", 0 },
		{ "application/json; charset=latin1", 415 },
		{ "application/json; charset=utf-16", 415 },
		{ "application/json; charset=", 415 },
		{ "application/jsonp", 415 },
		{ "application/jso", 415 },
		{ "application/json-seq", 415 },
		{ "text/json", 415 },
		{ "text/plain", 415 },
		{ "application/ndjson", 415 },
		{ "application/x-www-form-urlencoded", 415 },
		{ "application/json, application/json", 415 },
		{ "", 415 },
		{ ";", 415 },
		{ "*/*", 415 },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct event_batch b;
		struct event_refusal r = { 0, "" };
		int rc = parse(cases[i].type, "{" T "}", strlen("{" T "}"), NULL, entropy, &b, &r);

		CHECK((rc < 0 ? r.status : 0) == cases[i].status, "%s: %d", cases[i].type, r.status);
		event_batch_fini(&b);
	}
}

/* ---- limits: the last that passes, the first that does not ---- */

/* before, n times part (with comma between if asked), after. */
static char *repeated(const char *before, const char *part, size_t n, const char *between,
		      const char *after)
{
	size_t size = strlen(before) + n * (strlen(part) + strlen(between)) + strlen(after) + 1;
	char *s = malloc(size), *at = s;

	at += sprintf(at, "%s", before);
	for (size_t i = 0; i < n; i++)
		at += sprintf(at, "%s%s", i > 0 ? between : "", part);
	sprintf(at, "%s", after);
	return s;
}

static void check_count(const char *type, char *body, const struct event_limits *limits,
			size_t count, const char *refusal)
{
	struct event_batch b;
	struct event_refusal r = { 0, "" };
	int rc = parse(type, body, strlen(body), limits, entropy, &b, &r);
	char got[200];

	snprintf(got, sizeof(got), "%d %s", r.status, r.text);
	if (refusal)
		CHECK(rc == -EBADMSG && strcmp(got, refusal) == 0, "%.40s: %s", body, got);
	else
		CHECK(rc == 0 && b.count == count, "%.40s: %zu, %s", body, b.count, got);
	event_batch_fini(&b);
	free(body);
}

/* 1,000 events pass in either form, 1,001 do not. */
static void event_limit_is_exact(void)
{
	const char *nd = "application/x-ndjson", *e = "{\"type\":\"t\"}";
	const struct event_limits three = { .events_max = 3 };

	check_count(NULL, repeated("[", e, 999, ",", "]"), NULL, 999, NULL);
	check_count(NULL, repeated("[", e, 1000, ",", "]"), NULL, 1000, NULL);
	check_count(NULL, repeated("[", e, 1001, ",", "]"), NULL, 0, "413 more than 1000 events");
	check_count(nd, repeated("", e, 1000, "\n", "\n\n"), NULL, 1000, NULL);
	check_count(nd, repeated("", e, 1001, "\n", ""), NULL, 0, "413 more than 1000 events");
	check_count(nd, repeated("", "x", 1001, "\n", ""), NULL, 0, "413 more than 1000 events");
	check_count(NULL, repeated("[", "7", 1001, ",", "]"), NULL, 0, "413 more than 1000 events");
	check_count(NULL, repeated("[", e, 3, ",", "]"), &three, 3, NULL);
	check_count(NULL, repeated("[", e, 4, ",", "]"), &three, 0, "413 more than 3 events");
}

/* A batch takes so many bytes and not one more. */
static void byte_limit_is_exact(void)
{
	/* 1 reserved, then id, type, ts, props with their NULs. */
	size_t need = 1 + 2 + 2 + 21 + 3;
	const struct event_limits fits = { .bytes_max = need }, short_by_one = { .bytes_max = need - 1 };
	char *body = repeated("{", T, 1, "", "}");
	char text[100];

	snprintf(text, sizeof(text), "413 events take more than %zu bytes", need - 1);
	check_count(NULL, strdup(body), &fits, 1, NULL);
	check_count(NULL, body, &short_by_one, 0, text);
}

static char *nested(unsigned depth, const char *open, const char *close)
{
	char *inner = repeated("{" T ",\"props\":{\"a\":", open, depth, "", "1");
	char *outer = repeated(inner, close, depth, "", "}}");

	free(inner);
	return outer;
}

static void check_first(char *body, const char *error)
{
	struct event_batch b;
	struct event_refusal r = { 0, "" };
	int rc = parse(NULL, body, strlen(body), NULL, entropy, &b, &r);
	const char *got = rc == 0 ? event_text(&b, b.events[0].error) : r.text;

	CHECK(rc == 0 && strcmp(got, error) == 0, "%.60s: %s", body, got);
	event_batch_fini(&b);
	free(body);
}

/* Props may nest 32 deep, themselves counted; deeper ones are refused without recursion. */
static void depth_limit_is_exact(void)
{
	const char *error = "events[0].props: nested deeper than 32";

	check_first(nested(30, "[", "]"), "");
	check_first(nested(31, "[", "]"), "");
	check_first(nested(32, "[", "]"), error);
	check_first(nested(31, "{\"b\":", "}"), "");
	check_first(nested(32, "{\"b\":", "}"), error);
	check_first(nested(900, "[", "]"), error);
	check_first(nested(100000, "[", "]"), error);
	check_first(nested(100000, "{\"b\":", "}"), error);
}

static char *keyed(unsigned n)
{
	char *s = malloc(64 + 16 * (size_t)n), *at = s;

	at += sprintf(at, "{" T ",\"props\":{\"x\":[{");
	for (unsigned i = 0; i < n; i++)
		at += sprintf(at, "%s\"k%u\":1", i > 0 ? "," : "", i);
	sprintf(at, "}]}}");
	return s;
}

/* An object may have 256 keys. */
static void key_limit_is_exact(void)
{
	check_first(keyed(255), "");
	check_first(keyed(256), "");
	check_first(keyed(257), "events[0].props: more than 256 keys in one object");
	check_first(keyed(20000), "events[0].props: more than 256 keys in one object");
}

/* A hash collision is not a duplicate: these two differ and have one FNV-1a value. */
static void colliding_keys_differ(void)
{
	check_first(repeated("{" T ",\"props\":{\"costarring\":1,\"liquid\":2}", "}", 1, "", ""), "");
}

/* Without entropy no id is made, and the body is refused for now, not for ever. */
static void no_entropy_refuses(void)
{
	struct event_batch b;
	struct event_refusal r;
	int rc = parse(NULL, "{\"type\":\"t\"}", 12, NULL, no_entropy, &b, &r);

	CHECK(rc == -EBADMSG && r.status == 503 && strcmp(r.text, "no id could be made") == 0, "%s", r.text);
	event_batch_fini(&b);
	/* An event that brings its id needs none. */
	rc = parse(NULL, "{" T "}", strlen("{" T "}"), NULL, no_entropy, &b, &r);
	CHECK(rc == 0 && b.count == 1, "%d", rc);
	event_batch_fini(&b);
}

/* ---- the answer ---- */

static void check_out(struct event_out *o, const char *want)
{
	CHECK(o->rc == 0 && o->len == strlen(want) && memcmp(o->at, want, o->len) == 0,
	      "%d %.*s, wanted %s", o->rc, (int)o->len, o->at ? o->at : "", want);
	event_out_fini(o);
}

/* Every verdict in input order; ids and errors escaped; pending is told as unknown. */
static void answer_is_exact(void)
{
	static const char body[] = "{\"type\":\"t\",\"id\":\"a\\\"\\\\\\n\\u001f\xc3\xa9\"}\n"
				   "{\"type\":\"t\",\"id\":\"b\"}\n"
				   "{\"id\":\"c\"}\n"
				   "broken\n"
				   "{\"type\":\"t\",\"id\":\"d\"}\n"
				   "{\"type\":\"t\",\"id\":\"e\"}\n";
	struct event_batch b;
	struct event_refusal r;
	struct event_out o;

	CHECK(parse("application/x-ndjson", body, sizeof(body) - 1, NULL, entropy, &b, &r) == 0, "parse");
	CHECK(b.pending == 4, "%zu", b.pending);
	CHECK(event_set_verdict(&b, 0, EVENT_ACCEPTED, NULL) == 0, "accepted");
	CHECK(event_set_verdict(&b, 1, EVENT_DUPLICATE, NULL) == 0, "duplicate");
	CHECK(event_set_verdict(&b, 4, EVENT_UNKNOWN, "no verdict \"in\" time") == 0, "unknown");
	CHECK(b.pending == 1, "%zu", b.pending);
	event_out_init(&o, 1 << 20);
	CHECK(event_answer(&o, &b) == 0, "answer");
	check_out(&o, "{\"accepted\":1,\"duplicate\":1,\"rejected\":2,\"results\":["
		      "{\"id\":\"a\\\"\\\\\\n\\u001f\xc3\xa9\",\"status\":\"accepted\"},"
		      "{\"id\":\"b\",\"status\":\"duplicate\"},"
		      "{\"id\":\"c\",\"status\":\"rejected\",\"error\":\"events[2].type: missing\"},"
		      "{\"id\":null,\"status\":\"rejected\",\"error\":\"events[3]: malformed JSON at "
		      "byte 0 of the line: unexpected character\"},"
		      "{\"id\":\"d\",\"status\":\"unknown\",\"error\":\"no verdict \\\"in\\\" time\"},"
		      "{\"id\":\"e\",\"status\":\"unknown\"}]}");
	event_batch_fini(&b);
}

/* Every byte below 0x20 is escaped, the short way where JSON has one. */
static void strings_are_escaped(void)
{
	struct event_out o;
	char bytes[0x80];

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)i;
	event_out_init(&o, 1 << 20);
	event_out_string(&o, bytes, sizeof(bytes));
	check_out(&o, "\"\\u0000\\u0001\\u0002\\u0003\\u0004\\u0005\\u0006\\u0007\\b\\t\\n\\u000b\\f\\r"
		      "\\u000e\\u000f\\u0010\\u0011\\u0012\\u0013\\u0014\\u0015\\u0016\\u0017\\u0018"
		      "\\u0019\\u001a\\u001b\\u001c\\u001d\\u001e\\u001f !\\\"#$%&'()*+,-./0123456789"
		      ":;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\\\]^_`abcdefghijklmnopqrstuvwxyz{|}~\x7f\"");
	event_out_init(&o, 1 << 20);
	CHECK(event_answer_error(&o, "a \"b\"") == 0, "error");
	check_out(&o, "{\"error\":\"a \\\"b\\\"\"}");
	event_out_init(&o, 1 << 20);
	event_out_string(&o, "", 0);
	event_out_number(&o, UINT64_MAX);
	check_out(&o, "\"\"18446744073709551615");
}

/* An answer grows to its bound and no further; the first error sticks. */
static void answers_are_bounded(void)
{
	struct event_out o;

	event_out_init(&o, 5);
	event_out_text(&o, "12345");
	CHECK(o.rc == 0 && o.len == 5, "n");
	event_out_text(&o, "6");
	CHECK(o.rc == -EMSGSIZE && o.len == 5, "n+1");
	event_out_fini(&o);
	CHECK(o.rc == 0 && o.at == NULL, "fini");
}

/* The largest answer of the largest batch fits in what the gateway reserves. */
static void largest_answer_is_known(void)
{
	char *body = repeated("[", "{\"type\":\"t\",\"id\":\"" X128 "\",\"x\":1}", 1000, ",", "]");
	struct event_batch b;
	struct event_refusal r;
	struct event_out o;

	CHECK(parse(NULL, body, strlen(body), NULL, entropy, &b, &r) == 0, "parse");
	event_out_init(&o, 1 << 20);
	CHECK(event_answer(&o, &b) == 0 && o.len < 256 * 1024, "%zu", o.len);
	event_out_fini(&o);
	event_batch_fini(&b);
	free(body);
}

/* ---- stack ---- */

enum { STACK = 256 * 1024 };
static ucontext_t main_context, small_context;
static char *stack_body;

static void on_small_stack(void)
{
	struct event_batch b;
	struct event_refusal r;

	CHECK(parse(NULL, stack_body, strlen(stack_body), NULL, entropy, &b, &r) == 0, "%s", r.text);
	event_batch_fini(&b);
}

static size_t stack_used(const unsigned char *stack)
{
	size_t untouched = 0;

	while (untouched < STACK && stack[untouched] == 0xa5)
		untouched++;
	return STACK - untouched;
}

/* However deep the input nests, a parse takes a few KiB of stack: tasks have 64. */
static void stack_use_is_small(void)
{
	unsigned char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	stack_body = nested(100000, "[", "]");
	memset(stack, 0xa5, STACK);
	getcontext(&small_context);
	small_context.uc_stack.ss_sp = stack;
	small_context.uc_stack.ss_size = STACK;
	small_context.uc_link = &main_context;
	makecontext(&small_context, on_small_stack, 0);
	swapcontext(&main_context, &small_context);
	printf("stack of a parse: %zu bytes\n", stack_used(stack));
#ifdef __OPTIMIZE__
	CHECK(stack_used(stack) < PARSE_STACK_MAX, "%zu", stack_used(stack));
#endif
	free(stack_body);
	munmap(stack, STACK);
}

int main(void)
{
	CHECK(event_json_create(&json) == 0, "create");
	event_json_destroy(NULL);
	event_batch_fini(NULL);
	event_out_fini(NULL);
	tables_hold();
	broken_bodies_are_refused();
	cut_bodies_are_refused();
	content_types_are_told_apart();
	event_limit_is_exact();
	byte_limit_is_exact();
	depth_limit_is_exact();
	key_limit_is_exact();
	colliding_keys_differ();
	no_entropy_refuses();
	answer_is_exact();
	strings_are_escaped();
	answers_are_bounded();
	largest_answer_is_known();
	stack_use_is_small();
	event_json_destroy(json);
	printf("event: %lu checks, %lu failed\n", checks, failures);
	return failures > 0 || checks == 0;
}

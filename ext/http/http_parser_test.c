/* SPDX-License-Identifier: MIT */
/*
 * http_parser_test.c - the corpus, the limits, and what a request says about itself.
 *
 * With --write-corpus DIR the cases are written there, one file each, as seeds for
 * http_fuzz.c, and nothing is tested.
 */
#include "http_check.h"
#include "http_corpus.h"
#include "http_transcript.h"

static const int steps[] = { 0, 1, 2, 3, 7, -1 };

/* Whatever the pieces, the transcript is the same; the whole feed's is returned. */
static struct transcript feed_every_way(const tt_http_options *o, const char *bytes, size_t len,
					const char *what)
{
	struct transcript whole = transcript_of(o, bytes, len, 0);

	for (size_t i = 1; i < HTTP_COUNT(steps); i++) {
		struct transcript t = transcript_of(o, bytes, len, steps[i]);

		CHECK(transcript_same(&whole, &t), "%s, step %d:\n%.*s---\n%.*s", what, steps[i],
		      (int)whole.len, whole.text, (int)t.len, t.text);
		free(t.text);
	}
	return whole;
}

/* Every malformed or ambiguous request is refused with its status, however it is cut. */
static void bad_cases_are_refused(void)
{
	CHECK(HTTP_COUNT(http_bad_cases) >= 200, "%zu cases", HTTP_COUNT(http_bad_cases));
	for (size_t i = 0; i < HTTP_COUNT(http_bad_cases); i++) {
		const struct http_bad *c = &http_bad_cases[i];
		struct transcript t = feed_every_way(NULL, c->bytes, c->len, c->bytes);

		CHECK(t.status == c->status, "%d, wanted %d: %s\n%.*s", t.status, c->status,
		      c->bytes, (int)t.len, t.text);
		CHECK(!transcript_refused_as(&t, "connection ended"), "refused only for its end: %s", c->bytes);
		CHECK(!transcript_refused_as(&t, "llhttp") && !transcript_refused_as(&t, "ambiguous"),
		      "left to llhttp: %s %.*s", c->bytes, (int)t.len, t.text);
		free(t.text);
	}
}

/* Every well-formed request is understood, and ends where its framing says. */
static void good_cases_are_understood(void)
{
	CHECK(HTTP_COUNT(http_good_cases) >= 60, "%zu cases", HTTP_COUNT(http_good_cases));
	for (size_t i = 0; i < HTTP_COUNT(http_good_cases); i++) {
		const struct http_good *c = &http_good_cases[i];
		struct transcript t = feed_every_way(NULL, c->bytes, c->len, c->bytes);
		size_t want = strlen(c->what);

		if (memchr(c->bytes, '\0', c->len) != NULL)
			want = strlen(c->what) + 1 + strlen(c->what + strlen(c->what) + 1);
		CHECK(t.len == want && memcmp(t.text, c->what, want) == 0,
		      "%s\ngot  %.*s\nwant %s", c->bytes, (int)t.len, t.text, c->what);
		free(t.text);
	}
}

/* A good request cut short is never complete, at whatever byte the connection ends. */
static void cut_requests_are_incomplete(void)
{
	static const char bytes[] = CH "5\r\nhello\r\n0\r\nX: y\r\n\r\n";

	for (size_t n = 1; n < sizeof(bytes) - 1; n++) {
		struct transcript t = transcript_of(NULL, bytes, n, 0);

		CHECK(t.status == 400 && transcript_refused_as(&t, "connection ended inside the"),
		      "cut at %zu: %.*s", n, (int)t.len, t.text);
		free(t.text);
	}
}

/* ---- limits: the last length that passes, and the first that does not ---- */

static char *filled(const char *before, size_t n, const char *after, size_t *ret_len)
{
	size_t a = strlen(before), b = strlen(after);
	char *s = malloc(a + n + b + 1);

	if (s == NULL)
		abort();
	memcpy(s, before, a);
	memset(s + a, 'x', n);
	memcpy(s + a + n, after, b + 1);
	*ret_len = a + n + b;
	return s;
}

static void check_filled(const tt_http_options *o, const char *before, size_t n, const char *after,
			 int status)
{
	size_t len;
	char *s = filled(before, n, after, &len);
	struct transcript whole = transcript_of(o, s, len, 0);
	struct transcript bytes = transcript_of(o, s, len, 1);

	CHECK(whole.status == status, "%d, wanted %d: %.40s + %zu", whole.status, status, before, n);
	CHECK(transcript_same(&whole, &bytes), "%.40s + %zu", before, n);
	free(whole.text);
	free(bytes.text);
	free(s);
}

/* The request line may have 8,192 bytes without its CRLF. */
static void line_limit_is_exact(void)
{
	size_t rest = strlen("GET / HTTP/1.1");

	check_filled(NULL, "GET /", 8191 - rest, " HTTP/1.1\r\n" HO E, 0);
	check_filled(NULL, "GET /", 8192 - rest, " HTTP/1.1\r\n" HO E, 0);
	check_filled(NULL, "GET /", 8193 - rest, " HTTP/1.1\r\n" HO E, 414);
	check_filled(NULL, "GET /", 100000, "", 414);
	check_filled(&(tt_http_options){ .line_max = 20 }, "GET /", 20 - rest,
		     " HTTP/1.1\r\n" HO E, 0);
	check_filled(&(tt_http_options){ .line_max = 20 }, "GET /", 21 - rest,
		     " HTTP/1.1\r\n" HO E, 414);
}

/* Field lines may have 16,384 bytes with their CRLFs; the empty line is not counted. */
static void header_limit_is_exact(void)
{
	size_t rest = strlen(HO "X: \r\n");

	check_filled(NULL, GH "X: ", 16383 - rest, "\r\n" E, 0);
	check_filled(NULL, GH "X: ", 16384 - rest, "\r\n" E, 0);
	check_filled(NULL, GH "X: ", 16385 - rest, "\r\n" E, 431);
	check_filled(NULL, GH "X: ", 16386 - rest, "\r\n" E, 431);
	check_filled(NULL, GH "X: ", 100000, "", 431);
	check_filled(NULL, GH, 16384 - rest, ": X\r\n" E, 0);
	check_filled(NULL, GH, 16385 - rest, ": X\r\n" E, 431);
	check_filled(&(tt_http_options){ .header_max = 30 }, GH "X: ", 30 - rest, "\r\n" E, 0);
	check_filled(&(tt_http_options){ .header_max = 30 }, GH "X: ", 31 - rest, "\r\n" E, 431);
	/* One more whole line after a full header section. */
	check_filled(NULL, GH "X: ", 16384 - rest, "\r\nY: z\r\n" E, 431);
}

/* The longest line and the longest header section fit the head buffer together. */
static void both_limits_fit_the_buffer(void)
{
	size_t line, fields;
	char *a = filled("GET /", 8192 - strlen("GET / HTTP/1.1"), " HTTP/1.1\r\n", &line);
	char *b = filled(HO "X: ", 16384 - strlen(HO "X: \r\n"), "\r\n" E, &fields);
	char *all = malloc(line + fields);
	struct transcript t;

	if (all == NULL)
		abort();
	memcpy(all, a, line);
	memcpy(all + line, b, fields);
	t = feed_every_way(NULL, all, line + fields, "both limits");
	CHECK(t.status == 0 && t.requests == 1, "%.*s", (int)(t.len < 60 ? t.len : 60), t.text);
	free(t.text);
	free(all);
	free(a);
	free(b);
}

static int status_with_fields(const tt_http_options *o, unsigned n, const char *before,
			      const char *after)
{
	char *s = malloc(strlen(before) + 8 * (size_t)n + strlen(after) + 1);
	struct transcript t;
	int status;

	if (s == NULL)
		abort();
	strcpy(s, before);
	for (unsigned i = 0; i < n; i++)
		strcat(s, "X: y\r\n");
	strcat(s, after);
	t = feed_every_way(o, s, strlen(s), "fields");
	status = t.status;
	free(t.text);
	free(s);
	return status;
}

/* 100 fields pass, Host among them; trailers count with them. */
static void field_count_limit_is_exact(void)
{
	const tt_http_options three = { .fields_max = 3 };

	CHECK(status_with_fields(NULL, 98, GH, E) == 0, "99 fields");
	CHECK(status_with_fields(NULL, 99, GH, E) == 0, "100 fields");
	CHECK(status_with_fields(NULL, 100, GH, E) == 431, "101 fields");
	CHECK(status_with_fields(&three, 2, GH, E) == 0, "3 of 3");
	CHECK(status_with_fields(&three, 3, GH, E) == 431, "4 of 3");
	CHECK(status_with_fields(NULL, 98, CH "0\r\n", E) == 0, "98 trailers");
	CHECK(status_with_fields(NULL, 99, CH "0\r\n", E) == 431, "99 trailers");
}

/* Bodies may have 1 MiB, by length and by chunks; the refusal comes before the bytes. */
static void body_limit_is_exact(void)
{
	const tt_http_options ten = { .body_max = 10 };

	check_filled(NULL, PH "Content-Length: 1048575\r\n" E, 1048575, "", 0);
	check_filled(NULL, PH "Content-Length: 1048576\r\n" E, 1048576, "", 0);
	check_filled(NULL, PH "Content-Length: 1048577\r\n" E, 0, "", 413);
	check_filled(NULL, CH "100000\r\n", 1048576, "\r\n0\r\n\r\n", 0);
	check_filled(NULL, CH "100001\r\n", 0, "", 413);
	check_filled(&ten, CH "9\r\n", 9, "\r\n0\r\n\r\n", 0);
	check_filled(&ten, CH "9\r\n", 9, "\r\n1\r\nx\r\n0\r\n\r\n", 0);
	check_filled(&ten, CH "9\r\n", 9, "\r\n2\r\n", 413);
	check_filled(&ten, PH "Content-Length: 10\r\n" E, 10, "", 0);
	check_filled(&ten, PH "Content-Length: 11\r\n" E, 0, "", 413);
}

/* Chunk extensions of one request may have 1,024 bytes, their semicolons included. */
static void extension_limit_is_exact(void)
{
	check_filled(NULL, CH "1;", 1022, "\r\nx\r\n0\r\n\r\n", 0);
	check_filled(NULL, CH "1;", 1023, "\r\nx\r\n0\r\n\r\n", 0);
	check_filled(NULL, CH "1;", 1024, "\r\nx\r\n0\r\n\r\n", 400);
	check_filled(NULL, CH "1;", 1021, "\r\nx\r\n0;y\r\n\r\n", 0);
	check_filled(NULL, CH "1;", 1022, "\r\nx\r\n0;y\r\n\r\n", 400);
}

/* A method of 24 bytes is merely unknown; either way it is 501, never 414. */
static void method_limit_is_exact(void)
{
	check_filled(NULL, "", 23, " / HTTP/1.1\r\n" HO E, 501);
	check_filled(NULL, "", 24, " / HTTP/1.1\r\n" HO E, 501);
	check_filled(NULL, "", 25, " / HTTP/1.1\r\n" HO E, 501);
	check_filled(NULL, "", 100000, "", 501);
}

/* ---- what is said ---- */

/* The reason names what is wrong and at which byte. */
static void refusals_say_what_and_where(void)
{
	static const struct {
		const char *bytes, *text;
	} cases[] = {
		{ GH "X: a\r\n b\r\n" E, "400 line begins with whitespace (folded field) at byte 31 [31]\n" },
		{ GH "X: y\n", "400 LF without CR in a field value at byte 29 [29]\n" },
		{ GH "X : y\r\n", "400 whitespace in or after a field name at byte 26 [26]\n" },
		{ GH "X\x01: y\r\n", "400 byte 0x01 in a field name at byte 26 [26]\n" },
		{ G1 E, "400 no Host at byte 18 [18]\n" },
		{ "GET / HTTP/2.0\r\n", "505 HTTP version is neither 1.0 nor 1.1 at byte 15 [15]\n" },
		{ PH "Content-Length: 1\r\nContent-Length: 1\r\n",
		  "400 second Content-Length at byte 64 [64]\n" },
	};

	for (size_t i = 0; i < HTTP_COUNT(cases); i++) {
		struct transcript t = transcript_of(NULL, cases[i].bytes, strlen(cases[i].bytes), 0);

		CHECK(t.len == strlen(cases[i].text) && memcmp(t.text, cases[i].text, t.len) == 0,
		      "%.*s, wanted %s", (int)t.len, t.text, cases[i].text);
		free(t.text);
	}
}

/* Start a parser on this head and run to the end of the head. */
static tt_http_parser *parsed(const char *bytes, char *head, size_t cap)
{
	tt_http_parser *p = malloc(sizeof(*p));
	tt_http_text piece;
	size_t used;

	if (p == NULL || tt_http_parser_init(p, NULL, head, cap) < 0)
		abort();
	if (tt_http_parser_next(p, bytes, strlen(bytes), &used, &piece) != TT_HTTP_REQUEST)
		abort();
	return p;
}

static bool text_equals(const tt_http_text *t, const char *want)
{
	return t != NULL && t->len == strlen(want) && memcmp(t->at, want, t->len) == 0;
}

/* Fields are found without case, the first of a name wins, values come trimmed. */
static void fields_are_found(void)
{
	size_t cap = tt_http_head_bytes(NULL);
	char *head = malloc(cap);
	tt_http_parser *p = parsed(GH "Content-Type: \t text/x; a=b \t\r\nX-A:1\r\nx-a: 2\r\nEmpty:\r\n"
				      "Last: \xff\r\n" E, head, cap);
	const tt_http_request *r = &p->request;

	CHECK(r->field_count == 6, "%zu", r->field_count);
	CHECK(text_equals(tt_http_header(r, "content-type"), "text/x; a=b"), "trimmed");
	CHECK(text_equals(tt_http_header(r, "HOST"), "a"), "case");
	CHECK(text_equals(tt_http_header(r, "X-a"), "1"), "first wins");
	CHECK(text_equals(tt_http_header(r, "Empty"), ""), "empty is not missing");
	CHECK(text_equals(tt_http_header(r, "last"), "\xff"), "obs-text");
	CHECK(tt_http_header(r, "X-") == NULL && tt_http_header(r, "X-AB") == NULL, "no prefixes");
	free(p);
	free(head);
}

/* A refused connection stays refused; later bytes change nothing. */
static void refused_stays_refused(void)
{
	size_t cap = tt_http_head_bytes(NULL), used;
	char *head = malloc(cap);
	tt_http_parser *p = parsed(GH E, head, cap);
	tt_http_text piece;
	tt_http_error first;

	CHECK(tt_http_parser_next(p, "", 0, &used, &piece) == TT_HTTP_END, "end");
	CHECK(tt_http_parser_idle(p), "idle between requests");
	CHECK(tt_http_parser_next(p, "G\n", 2, &used, &piece) == -EPROTO, "refused");
	first = p->error;
	CHECK(tt_http_parser_next(p, GH E, strlen(GH E), &used, &piece) == -EPROTO, "again");
	CHECK(memcmp(&first, &p->error, sizeof(first)) == 0, "the first error is kept");
	CHECK(!tt_http_parser_idle(p) && tt_http_parser_eof(p) == -EPROTO, "not idle");
	free(p);
	free(head);
}

/* Bad options are refused before any byte. */
static void options_are_checked(void)
{
	tt_http_parser *p = malloc(sizeof(*p));
	char small[16];

	CHECK(tt_http_parser_init(p, &(tt_http_options){ .fields_max = 101 }, small, 1 << 20) ==
	      -EINVAL, "fields_max");
	CHECK(tt_http_parser_init(p, NULL, small, tt_http_head_bytes(NULL) - 1) == -EINVAL, "head");
	free(p);
}

/* Every byte, put at each of five places, is either allowed there by the RFC or refused. */
static void every_byte_has_its_place(void)
{
	static const char token[] = "!#$%&'*+-.^_`|~";

	for (int c = 0; c < 256; c++) {
		char bytes[128];
		bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		bool in_name = alnum || (c != 0 && strchr(token, c) != NULL);
		bool in_value = c == '\t' || (c >= ' ' && c != 0x7f);
		bool in_target = c > ' ' && c < 0x7f && strchr("\"#%<>\\", c) == NULL;
		int n;
		struct transcript t;

		n = snprintf(bytes, sizeof(bytes), GH "X%cY: z\r\n" E, c);
		t = transcript_of(NULL, bytes, (size_t)n, 0);
		CHECK((t.status == 0) == (in_name || c == ':'), "name byte %02x: %d", c, t.status);
		free(t.text);
		n = snprintf(bytes, sizeof(bytes), GH "X: y%cz\r\n" E, c);
		t = transcript_of(NULL, bytes, (size_t)n, 0);
		CHECK((t.status == 0) == in_value, "value byte %02x: %d", c, t.status);
		free(t.text);
		n = snprintf(bytes, sizeof(bytes), "GET /a%cb HTTP/1.1\r\n" HO E, c);
		t = transcript_of(NULL, bytes, (size_t)n, 0);
		CHECK((t.status == 0) == in_target, "target byte %02x: %d", c, t.status);
		free(t.text);
		n = snprintf(bytes, sizeof(bytes), CH "1;a%cb\r\nx\r\n0\r\n\r\n", c);
		t = transcript_of(NULL, bytes, (size_t)n, 0);
		CHECK(t.status == 400 || in_value, "extension byte %02x: %d", c, t.status);
		free(t.text);
		n = snprintf(bytes, sizeof(bytes), CH "1%c\r\nx\r\n0\r\n\r\n", c);
		t = transcript_of(NULL, bytes, (size_t)n, 0);
		CHECK(t.status == 400 || c == ';', "size byte %02x: %d", c, t.status);
		free(t.text);
	}
}

static int write_seed(const char *dir, const char *kind, size_t i, const char *bytes, size_t len)
{
	char path[4096];
	FILE *f;
	int rc;

	snprintf(path, sizeof(path), "%s/%s-%03zu", dir, kind, i);
	f = fopen(path, "wb");
	if (f == NULL)
		return 1;
	rc = fwrite(bytes, 1, len, f) != len;
	return fclose(f) != 0 || rc;
}

static int write_corpus(const char *dir)
{
	int rc = 0;

	for (size_t i = 0; i < HTTP_COUNT(http_bad_cases); i++)
		rc |= write_seed(dir, "bad", i, http_bad_cases[i].bytes, http_bad_cases[i].len);
	for (size_t i = 0; i < HTTP_COUNT(http_good_cases); i++)
		rc |= write_seed(dir, "good", i, http_good_cases[i].bytes, http_good_cases[i].len);
	return rc;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--write-corpus") == 0)
		return write_corpus(argv[2]);
	bad_cases_are_refused();
	good_cases_are_understood();
	cut_requests_are_incomplete();
	line_limit_is_exact();
	header_limit_is_exact();
	both_limits_fit_the_buffer();
	field_count_limit_is_exact();
	body_limit_is_exact();
	extension_limit_is_exact();
	method_limit_is_exact();
	refusals_say_what_and_where();
	fields_are_found();
	refused_stays_refused();
	options_are_checked();
	every_byte_has_its_place();
	printf("%zu refused, %zu understood\n", HTTP_COUNT(http_bad_cases),
	       HTTP_COUNT(http_good_cases));
	return check_report("http_parser");
}

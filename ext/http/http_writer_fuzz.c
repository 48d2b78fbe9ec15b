/* SPDX-License-Identifier: MIT */
/*
 * http_writer_fuzz.c - fuzz target: heads of answers, and percent-encoding.
 *
 * Who calls it: see fuzz.h. The first byte picks encoding ('%') or a head: its buffer's size,
 * its status, then lines: "Fname\nvalue\n", "X" for a field of a handler's, "N" and "D" with eight
 * bytes of a number or a date.
 *
 * Claims  A head is what a plain model of it says, byte for byte, or the first error of it; nothing
 *         is written beyond the buffer.
 *         llhttp reads a head as that status and those fields: no name or value, whatever is in
 *         it, becomes a line of its own.
 *         What is decoded has no NUL; encoding every byte and decoding gives it back; a buffer too
 *         small is told apart from a broken escape.
 */
#include <ctype.h>
#include <time.h>

#include "fuzz.h"
#include "http_parser.h"
#include "http_writer.h"

enum { FIELDS_MAX = 32, MODEL_MAX = 16384 };

/* ---- what a head should be ---- */

struct model {
	char text[MODEL_MAX];
	size_t len, cap; /* cap: of the real buffer */
	int rc;
	size_t fields;
	struct {
		const char *name, *value;
	} field[FIELDS_MAX];
};

static void model_add(struct model *m, const char *text)
{
	size_t len = strlen(text);

	if (m->rc < 0)
		return;
	if (m->len + len > m->cap) {
		m->rc = -EMSGSIZE;
		return;
	}
	memcpy(m->text + m->len, text, len);
	m->len += len;
}

/* RFC 9110 5.6.2 and 5.5, in other words than the parser's table. */
static bool is_token(const char *s)
{
	if (*s == '\0')
		return false;
	for (; *s != '\0'; s++)
		if (!isalnum((unsigned char)*s) && strchr("!#$%&'*+-.^_`|~", *s) == NULL)
			return false;
	return true;
}

static bool is_value(const char *s)
{
	for (; *s != '\0'; s++)
		if (*s != '\t' && iscntrl((unsigned char)*s))
			return false;
	return true;
}

static void model_line(struct model *m, const char *name, const char *value)
{
	model_add(m, name);
	model_add(m, ": ");
	model_add(m, value);
	model_add(m, "\r\n");
	if (m->rc == 0)
		m->field[m->fields].name = name, m->field[m->fields].value = value;
	m->fields += m->rc == 0;
}

static void model_field(struct model *m, const char *name, const char *value)
{
	if (m->rc == 0 && (!is_token(name) || !is_value(value)))
		m->rc = -EINVAL;
	model_line(m, name, value);
}

/* Lines that live as long as the head, for the model. */
static char *kept[FIELDS_MAX * 2];
static size_t n_kept;

static char *keep(char *text)
{
	kept[n_kept++] = text;
	return text;
}

static void free_kept(void)
{
	while (n_kept > 0)
		free(kept[--n_kept]);
}

/* ---- one line ---- */

static void do_field(struct fuzz_input *in, struct model *m, tt_http_writer *w)
{
	const char *name = keep(fuzz_string(fuzz_until(in, '\n')));
	const char *value = keep(fuzz_string(fuzz_until(in, '\n')));

	tt_http_write_field(w, name, value);
	model_field(m, name, value);
}

/* A handler's field goes through a buffer of its own, with a bound of its own. */
static void do_extra(struct fuzz_input *in, struct model *m, tt_http_writer *w)
{
	const char *name = keep(fuzz_string(fuzz_until(in, '\n')));
	const char *value = keep(fuzz_string(fuzz_until(in, '\n')));
	tt_http_response res = { .status = 200 };
	bool fine = is_token(name) && is_value(value);
	size_t need = strlen(name) + strlen(value) + 4;
	int rc = tt_http_add_header(&res, name, value);

	MUST(rc == (!fine ? -EINVAL : need > TT_HTTP_EXTRA_MAX ? -EMSGSIZE : 0));
	MUST(res.extra_len == (rc == 0 ? need : 0));
	if (rc < 0)
		return;
	tt_http_write_lines(w, res.extra, res.extra_len);
	/* The lines go in whole or not at all. */
	if (m->rc == 0 && m->len + need > m->cap)
		m->rc = -EMSGSIZE;
	model_line(m, name, value);
}

static void do_number(struct fuzz_input *in, struct model *m, tt_http_writer *w)
{
	uint64_t value = fuzz_u64(in);
	char *text = keep(fuzz_alloc(24));

	snprintf(text, 24, "%llu", (unsigned long long)value);
	tt_http_write_number(w, "X-Number", value);
	model_line(m, "X-Number", text);
}

static void do_date(struct fuzz_input *in, struct model *m, tt_http_writer *w)
{
	/* Half of the numbers lie where dates are. */
	int64_t seconds = (int64_t)fuzz_u64(in);
	char line[64] = "", *text = keep(fuzz_alloc(128));
	time_t time;
	struct tm tm;

	if (seconds % 2 == 0)
		seconds %= INT64_C(300000000000);
	tt_http_write_date(w, seconds);
	time = (time_t)seconds;
	if (seconds < INT64_C(-62167219200) || seconds > INT64_C(253402300799)) {
		m->rc = m->rc == 0 ? -EINVAL : m->rc;
		return;
	}
	MUST(gmtime_r(&time, &tm) != NULL);
	/* Not %Y, which drops the zeros of early years. */
	strftime(line, sizeof(line), "%a, %d %b ", &tm);
	snprintf(text, 128, "%.12s%04d %02d:%02d:%02d GMT", line, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
	/* The writer puts the line in whole or not at all. */
	if (m->rc == 0 && m->len + 6 + strlen(text) + 2 > m->cap)
		m->rc = -EMSGSIZE;
	model_line(m, "Date", text);
}

/* ---- llhttp as the judge ---- */

struct judge {
	const struct model *m;
	char name[MODEL_MAX], value[MODEL_MAX];
	size_t name_len, value_len, seen;
	bool in_value;
};

static void judge_field(struct judge *j)
{
	const char *want = j->m->field[j->seen].value;
	size_t len = strlen(want);

	MUST(j->seen < j->m->fields);
	MUST(j->name_len == strlen(j->m->field[j->seen].name));
	MUST(memcmp(j->name, j->m->field[j->seen].name, j->name_len) == 0);
	/* llhttp leaves out the whitespace before a value, and may keep what is behind it. */
	while (len > 0 && (*want == ' ' || *want == '\t'))
		want++, len--;
	while (len > 0 && (want[len - 1] == ' ' || want[len - 1] == '\t'))
		len--;
	while (j->value_len > 0 && (j->value[j->value_len - 1] == ' ' || j->value[j->value_len - 1] == '\t'))
		j->value_len--;
	MUST(j->value_len == len && memcmp(j->value, want, len) == 0);
	j->seen++;
	j->name_len = j->value_len = 0;
	j->in_value = false;
}

static int on_name(llhttp_t *ll, const char *at, size_t len)
{
	struct judge *j = ll->data;

	if (j->in_value)
		judge_field(j);
	memcpy(j->name + j->name_len, at, len);
	j->name_len += len;
	return 0;
}

static int on_value(llhttp_t *ll, const char *at, size_t len)
{
	struct judge *j = ll->data;

	j->in_value = true;
	memcpy(j->value + j->value_len, at, len);
	j->value_len += len;
	return 0;
}

static int on_value_end(llhttp_t *ll)
{
	((struct judge *)ll->data)->in_value = true;
	return 0;
}

static int on_head(llhttp_t *ll)
{
	struct judge *j = ll->data;

	if (j->in_value)
		judge_field(j);
	return HPE_PAUSED;
}

/* Fields that say where a message ends, or whose value a parser checks, are the server's own. */
static bool is_judged(const struct model *m)
{
	static const char *const own[] = { "content-length", "transfer-encoding", "connection", "proxy-connection",
					   "upgrade" };

	for (size_t i = 0; i < m->fields; i++)
		for (size_t k = 0; k < sizeof(own) / sizeof(own[0]); k++)
			if (strcasecmp(m->field[i].name, own[k]) == 0)
				return false;
	return true;
}

static void judge_head(const struct model *m, int status, const char *head, size_t len)
{
	static struct judge j;
	llhttp_settings_t settings;
	llhttp_t ll;

	if (!is_judged(m))
		return;
	memset(&j, 0, sizeof(j));
	j.m = m;
	llhttp_settings_init(&settings);
	settings.on_header_field = on_name;
	settings.on_header_value = on_value;
	settings.on_header_value_complete = on_value_end;
	settings.on_headers_complete = on_head;
	llhttp_init(&ll, HTTP_RESPONSE, &settings);
	ll.data = &j;
	llhttp_execute(&ll, head, len);
	MUST(ll.status_code == status);
	MUST(j.seen == m->fields);
}

/* ---- a head ---- */

static void check_head(struct fuzz_input *in)
{
	static struct model m;
	size_t cap = fuzz_below(in, 2048);
	int status = (int)fuzz_below(in, 700);
	char *buf = fuzz_alloc(cap), line[64];
	tt_http_writer w;
	int rc;

	memset(&m, 0, offsetof(struct model, field));
	m.cap = cap;
	tt_http_write_begin(&w, buf, cap, status);
	m.rc = status < 100 || status > 599 ? -EINVAL : 0;
	snprintf(line, sizeof(line), "HTTP/1.1 %d %s\r\n", status, tt_http_reason(status));
	model_add(&m, line);
	for (unsigned i = 0; i < FIELDS_MAX && in->left > 0; i++) {
		switch (fuzz_byte(in)) {
		case 'N': do_number(in, &m, &w); break;
		case 'D': do_date(in, &m, &w); break;
		case 'X': do_extra(in, &m, &w); break;
		default: do_field(in, &m, &w); break;
		}
	}
	rc = tt_http_write_end(&w);
	model_add(&m, "\r\n");
	MUST(rc == (m.rc < 0 ? m.rc : (int)m.len));
	MUST(w.len <= cap);
	if (rc > 0) {
		MUST(memcmp(buf, m.text, m.len) == 0);
		judge_head(&m, status, buf, (size_t)rc);
	}
	free_kept();
	free(buf);
}

/* ---- percent-encoding ---- */

static void check_decode(struct fuzz_input *in)
{
	size_t small = fuzz_below(in, 64);
	size_t len = in->left;
	char *text = fuzz_copy(in->at, len), *full = fuzz_alloc(len), *cut = fuzz_alloc(small);
	int n = tt_http_decode((tt_http_text){ text, len }, full, len);
	int few = tt_http_decode((tt_http_text){ text, len }, cut, small);

	MUST(n == -EINVAL || (n >= 0 && (size_t)n <= len));
	if (n >= 0) {
		MUST(few == ((size_t)n <= small ? n : -EMSGSIZE));
		MUST(few < 0 || memcmp(full, cut, (size_t)n) == 0);
		MUST(memchr(text, '%', len) != NULL || ((size_t)n == len && memcmp(full, text, len) == 0));
	} else {
		MUST(few == -EINVAL || few == -EMSGSIZE);
	}
	free(text);
	free(full);
	free(cut);
}

static void check_encode(struct fuzz_input *in)
{
	size_t len = in->left;
	char *back = fuzz_alloc(len), *text = fuzz_alloc(3 * len + 1);
	int n;

	for (size_t i = 0; i < len; i++)
		snprintf(text + 3 * i, 4, i % 2 == 0 ? "%%%02x" : "%%%02X", in->at[i]);
	n = tt_http_decode((tt_http_text){ text, 3 * len }, back, len);
	if (memchr(in->at, '\0', len) != NULL)
		MUST(n == -EINVAL);
	else
		MUST((size_t)n == len && memcmp(back, in->at, len) == 0);
	free(back);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = fuzz_input_of(data, size < 4096 ? size : 4096);

	if (size > 0 && data[0] == '%') {
		fuzz_byte(&in);
		if (in.left == 0)
			return 0;
		check_encode(&in);
		check_decode(&in);
		return 0;
	}
	check_head(&in);
	return 0;
}

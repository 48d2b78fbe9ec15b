/* SPDX-License-Identifier: MIT */
/*
 * event_json.cc - events out of JSON, by simdjson's on-demand reader.
 *
 * Who calls it: event.c through event_json.h; compiled without exceptions and RTTI.
 *
 * simdjson's first pass finds the tokens and proves UTF-8, quotes and the absence of raw
 * control bytes; its iterators then hand out tokens in order and check brackets, colons and
 * commas. They leave scalars unchecked that nobody asks for, so every one is checked here.
 *
 * Invariants  Every value is visited, except below EVENT_DEPTH_MAX, where the event is
 *             refused anyway.
 *             frames[0, depth) are the open containers, outermost first; the keys of frame i
 *             are keys[i * EVENT_KEYS_MAX ...].
 *             What is unescaped goes to a buffer of ours: the parser's own would be
 *             used without a check that it could be allocated.
 * Rejected    The DOM reader: it does not tell where a value stands in the text, so `props`
 *             could not be kept as sent. A recursive walk: 64 KiB stacks.
 */
#include "event_json.h"

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

#include <simdjson.h>

namespace ondemand = simdjson::ondemand;
using simdjson::error_code;

namespace {

struct frame {
	bool                      is_object;
	unsigned                  key_count;
	ondemand::object_iterator fields;
	ondemand::array_iterator  items;
};

struct finding {
	enum event_json_flaw   flaw;
	struct event_json_text which;
};

const size_t MIN_CAPACITY = 16 * 1024;

} // namespace

struct event_json {
	ondemand::parser       parser;
	ondemand::document     document;
	char                  *text;      /* a copy with padding behind it */
	uint8_t               *unescaped; /* as large */
	uint8_t               *unescaped_end;
	size_t                 capacity, len;
	frame                  frames[EVENT_DEPTH_MAX];
	uint32_t               hashes[EVENT_DEPTH_MAX * EVENT_KEYS_MAX];
	struct event_json_text keys[EVENT_DEPTH_MAX * EVENT_KEYS_MAX];
	struct event_json_error error;
};

namespace {

/* ---- errors ---- */

int malformed_at(event_json *j, const char *what, const char *at)
{
	size_t offset = at >= j->text && at <= j->text + j->len ? (size_t)(at - j->text) : j->len;

	j->error = { what, offset };
	return -EBADMSG;
}

/* The length of the well-formed UTF-8 sequence at p, 0 if there is none (Unicode, table 3-7). */
size_t utf8_sequence(const unsigned char *p, const unsigned char *end)
{
	static const struct { unsigned char first, last, low, high, len; } rows[] = {
		{ 0x00, 0x7f, 0, 0, 1 },       { 0xc2, 0xdf, 0x80, 0xbf, 2 },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};

	for (const auto &r : rows) {
		if (*p < r.first || *p > r.last)
			continue;
		if ((size_t)(end - p) < r.len)
			return 0;
		for (size_t i = 1; i < r.len; i++) {
			unsigned char low = i == 1 ? r.low : 0x80, high = i == 1 ? r.high : 0xbf;

			if (p[i] < low || p[i] > high)
				return 0;
		}
		return r.len;
	}
	return 0;
}

const char *find_bad_utf8(const event_json *j)
{
	const unsigned char *p = (const unsigned char *)j->text, *end = p + j->len;

	while (p < end) {
		size_t n = utf8_sequence(p, end);

		if (n == 0)
			break;
		p += n;
	}
	return (const char *)p;
}

/* The first raw control byte inside a string, or the end. */
const char *find_control(const event_json *j)
{
	const char *p = j->text, *end = p + j->len;
	bool inside = false;

	for (; p < end; p++) {
		if (inside && (unsigned char)*p < 0x20)
			break;
		if (*p == '"')
			inside = !inside;
		else if (inside && *p == '\\')
			p++;
	}
	return p < end ? p : end;
}

/* The next token, or nullptr when there is none. */
const char *here(event_json *j)
{
	const char *at;

	return j->document.current_location().get(at) ? nullptr : at;
}

/* Where simdjson gave up, in our words: its own change between versions and processors. */
int malformed(event_json *j, error_code code)
{
	switch (code) {
	case simdjson::MEMALLOC:
		return -ENOMEM;
	case simdjson::UTF8_ERROR:
		return malformed_at(j, "invalid UTF-8", find_bad_utf8(j));
	case simdjson::UNESCAPED_CHARS:
		return malformed_at(j, "control character in a string", find_control(j));
	case simdjson::UNCLOSED_STRING:
		return malformed_at(j, "unclosed string", j->text + j->len);
	case simdjson::EMPTY:
		return malformed_at(j, "nothing there", j->text);
	case simdjson::INCOMPLETE_ARRAY_OR_OBJECT:
		return malformed_at(j, "unclosed array or object", j->text + j->len);
	default:
		return malformed_at(j, "unexpected character", here(j));
	}
}

void note(finding *f, enum event_json_flaw flaw, event_json_text which = { nullptr, 0 })
{
	if (f->flaw == EVENT_JSON_SOUND)
		*f = { flaw, which };
}

/* ---- strings ---- */

int hex4(const char *p)
{
	int value = 0;

	for (int i = 0; i < 4; i++) {
		char c = p[i];
		int digit;

		if (c >= '0' && c <= '9')
			digit = c - '0';
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			digit = (c | 0x20) - 'a' + 10;
		else
			return -1;
		value = value << 4 | digit;
	}
	return value;
}

/* p stands behind "\u". Returns the bytes of the escape(s) that make one character, or 0. */
size_t scan_unicode_escape(const char *p, finding *f)
{
	int unit = hex4(p), low;

	if (unit < 0)
		return 0;
	if (unit == 0)
		note(f, EVENT_JSON_NUL);
	if (unit < 0xd800 || unit > 0xdfff)
		return 4;
	low = unit < 0xdc00 && p[4] == '\\' && p[5] == 'u' ? hex4(p + 6) : -1;
	if (low >= 0xdc00 && low <= 0xdfff)
		return 10;
	note(f, EVENT_JSON_SURROGATE);
	return 4;
}

/* From behind the opening quote to the closing one; nullptr for an escape that is none. The
 * first pass has proved that there is a closing quote, and padding follows the text. */
const char *scan_string(const char *p, bool *ret_escaped, finding *f)
{
	bool escaped = false;

	for (;; p++) {
		if (*p == '"')
			break;
		if (*p != '\\')
			continue;
		escaped = true;
		p++;
		if (*p == 'u') {
			size_t n = scan_unicode_escape(p + 1, f);

			if (n == 0)
				return nullptr;
			p += n;
		} else if (*p == '\0' || strchr("\"\\/bfnrt", *p) == nullptr) {
			return nullptr;
		}
	}
	*ret_escaped = escaped;
	return p;
}

/* The content of a string. A text with flaws stays as it is written. */
int read_string(event_json *j, ondemand::raw_json_string raw, event_json_text *ret, finding *f)
{
	const char *at = raw.raw(), *end;
	std::string_view plain;
	finding own = { EVENT_JSON_SOUND, { nullptr, 0 } };
	bool escaped = false;

	end = scan_string(at, &escaped, &own);
	if (end == nullptr)
		return malformed_at(j, "bad escape in a string", at);
	*ret = { at, (size_t)(end - at) };
	if (own.flaw != EVENT_JSON_SOUND)
		note(f, own.flaw);
	if (!escaped || own.flaw == EVENT_JSON_SURROGATE)
		return 0;
	if (j->parser.unescape(raw, j->unescaped_end).get(plain))
		return malformed_at(j, "bad escape in a string", at);
	*ret = { plain.data(), plain.size() };
	return 0;
}

/* ---- scalars ---- */

bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* RFC 8259 section 6, from end to end. */
bool is_number(const char *p, const char *end)
{
	p += p < end && *p == '-';
	if (p == end || !is_digit(*p))
		return false;
	if (*p++ != '0') {
		while (p < end && is_digit(*p))
			p++;
	}
	if (p < end && *p == '.') {
		if (++p == end || !is_digit(*p))
			return false;
		while (p < end && is_digit(*p))
			p++;
	}
	if (p < end && (*p | 0x20) == 'e') {
		p++;
		p += p < end && (*p == '+' || *p == '-');
		if (p == end || !is_digit(*p))
			return false;
		while (p < end && is_digit(*p))
			p++;
	}
	return p == end;
}

bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* A token that is neither string nor container. It is left for the iterator to skip. */
int read_scalar(event_json *j, ondemand::value &v, std::string_view token, finding *f)
{
	ondemand::number number;

	while (!token.empty() && is_space(token.back()))
		token.remove_suffix(1);
	if (token == "true" || token == "false" || token == "null")
		return 0;
	if (!is_number(token.data(), token.data() + token.size()))
		return malformed_at(j, "unexpected character", token.data());
	if (v.get_number().get(number))
		note(f, EVENT_JSON_NUMBER);
	return 0;
}

/* ---- keys ---- */

/* FNV-1a. Only a filter before the comparison, and at most EVENT_KEYS_MAX are compared, so
 * that chosen collisions gain nothing. */
uint32_t hash_of(event_json_text t)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < t.len; i++)
		h = (h ^ (unsigned char)t.at[i]) * 16777619u;
	return h;
}

void note_key(event_json *j, unsigned level, event_json_text key, finding *f)
{
	frame &fr = j->frames[level];
	size_t base = (size_t)level * EVENT_KEYS_MAX;
	uint32_t hash = hash_of(key);

	for (size_t i = base; i < base + fr.key_count; i++) {
		if (j->hashes[i] == hash && j->keys[i].len == key.len &&
		    memcmp(j->keys[i].at, key.at, key.len) == 0) {
			note(f, EVENT_JSON_DUPLICATE, key);
			return;
		}
	}
	if (fr.key_count == EVENT_KEYS_MAX) {
		note(f, EVENT_JSON_KEYS);
		return;
	}
	j->hashes[base + fr.key_count] = hash;
	j->keys[base + fr.key_count] = key;
	fr.key_count++;
}

/* ---- containers ---- */

int open_frame(event_json *j, unsigned level, ondemand::value &v, bool is_object)
{
	frame &f = j->frames[level];
	error_code code;

	f.is_object = is_object;
	f.key_count = 0;
	if (is_object) {
		ondemand::object object;

		code = v.get_object().get(object);
		if (!code)
			code = object.begin().get(f.fields);
	} else {
		ondemand::array array;

		code = v.get_array().get(array);
		if (!code)
			code = array.begin().get(f.items);
	}
	return code ? malformed(j, code) : 0;
}

/* simdjson's iterators have no end to compare with: any comparison asks whether the
 * container is still open. */
template <class Iterator> bool is_open(const Iterator &it)
{
	return it != it;
}

bool frame_has_more(frame &f)
{
	return f.is_object ? is_open(f.fields) : is_open(f.items);
}

void frame_advance(frame &f)
{
	if (f.is_object)
		++f.fields;
	else
		++f.items;
}

int frame_value(event_json *j, unsigned level, ondemand::value *ret, finding *found)
{
	frame &f = j->frames[level];
	error_code code;

	if (f.is_object) {
		ondemand::field field;
		event_json_text key;
		int rc;

		code = (*f.fields).get(field);
		if (code)
			return malformed(j, code);
		rc = read_string(j, field.key(), &key, found);
		if (rc < 0)
			return rc;
		note_key(j, level, key, found);
		*ret = field.value();
		return 0;
	}
	code = (*f.items).get(*ret);
	return code ? malformed(j, code) : 0;
}

bool is_container(std::string_view token)
{
	return token[0] == '{' || token[0] == '[';
}

/* One value inside a container. Returns 1 if it is a container to go into, at `level`. */
int visit(event_json *j, unsigned level, ondemand::value &v, finding *found)
{
	std::string_view token = v.raw_json_token();
	error_code code;
	int rc;

	if (token.empty())
		return malformed(j, simdjson::TAPE_ERROR);
	if (is_container(token)) {
		if (level == EVENT_DEPTH_MAX) {
			note(found, EVENT_JSON_DEEP);
			return 0; /* skipped by the iterator */
		}
		rc = open_frame(j, level, v, token[0] == '{');
		return rc < 0 ? rc : 1;
	}
	if (token[0] == '"') {
		ondemand::raw_json_string raw;
		event_json_text ignored;

		code = v.get_raw_json_string().get(raw);
		return code ? malformed(j, code) : read_string(j, raw, &ignored, found);
	}
	return read_scalar(j, v, token, found);
}

/* Check everything inside a container, without recursion. */
int walk(event_json *j, ondemand::value &v, bool is_object, finding *found)
{
	unsigned depth = 1;
	int rc = open_frame(j, 0, v, is_object);

	while (rc == 0 && depth > 0) {
		frame &f = j->frames[depth - 1];
		ondemand::value inner;

		if (!frame_has_more(f)) {
			if (--depth > 0)
				frame_advance(j->frames[depth - 1]);
			continue;
		}
		rc = frame_value(j, depth - 1, &inner, found);
		if (rc == 0)
			rc = visit(j, depth, inner, found);
		if (rc == 1) {
			depth++;
			rc = 0;
		} else if (rc == 0) {
			frame_advance(f);
		}
	}
	return rc;
}

/* ---- events ---- */

/* The text of a container that was just walked: from its token to the bracket before the
 * next token. */
int raw_text(event_json *j, const char *start, event_json_text *ret)
{
	const char *end = here(j);

	if (end == nullptr)
		return malformed_at(j, "unclosed array or object", j->text + j->len);
	while (end > start && is_space(end[-1]))
		end--;
	*ret = { start, (size_t)(end - start) };
	return 0;
}

int read_value(event_json *j, ondemand::value &v, event_json_value *ret)
{
	finding found = { EVENT_JSON_SOUND, { nullptr, 0 } };
	std::string_view token = v.raw_json_token();
	error_code code;
	int rc;

	*ret = { EVENT_JSON_OTHER, EVENT_JSON_SOUND, { nullptr, 0 }, { nullptr, 0 } };
	if (token.empty())
		return malformed(j, simdjson::TAPE_ERROR);
	if (is_container(token)) {
		if (token[0] == '{')
			ret->kind = EVENT_JSON_OBJECT;
		rc = walk(j, v, token[0] == '{', &found);
		if (rc == 0)
			rc = raw_text(j, token.data(), &ret->text);
	} else if (token[0] == '"') {
		ondemand::raw_json_string raw;

		ret->kind = EVENT_JSON_STRING;
		code = v.get_raw_json_string().get(raw);
		rc = code ? malformed(j, code) : read_string(j, raw, &ret->text, &found);
	} else {
		rc = read_scalar(j, v, token, &found);
	}
	ret->flaw = found.flaw;
	ret->which = found.which;
	return rc;
}

int read_event(event_json *j, ondemand::object object, const event_json_sink *sink, void *ctx)
{
	ondemand::object_iterator it;
	error_code code = object.begin().get(it);
	int rc = sink->begin(ctx);

	if (code)
		return malformed(j, code);
	for (; rc >= 0 && is_open(it); ++it) {
		finding key_flaw = { EVENT_JSON_SOUND, { nullptr, 0 } };
		ondemand::field field;
		event_json_text key;
		event_json_value value;

		code = (*it).get(field);
		if (code)
			return malformed(j, code);
		rc = read_string(j, field.key(), &key, &key_flaw);
		if (rc == 0)
			rc = read_value(j, field.value(), &value);
		if (rc == 0)
			rc = sink->field(ctx, key, key_flaw.flaw, &value);
	}
	return rc < 0 ? rc : sink->end(ctx);
}

int read_element(event_json *j, ondemand::value &v, const event_json_sink *sink, void *ctx)
{
	event_json_value ignored;
	ondemand::object object;
	std::string_view token = v.raw_json_token();
	error_code code;
	int rc;

	if (!token.empty() && token[0] == '{') {
		code = v.get_object().get(object);
		return code ? malformed(j, code) : read_event(j, object, sink, ctx);
	}
	rc = read_value(j, v, &ignored);
	return rc < 0 ? rc : sink->not_an_object(ctx);
}

int read_array(event_json *j, const event_json_sink *sink, void *ctx)
{
	ondemand::array array;
	ondemand::array_iterator it;
	error_code code = j->document.get_array().get(array);

	if (!code)
		code = array.begin().get(it);
	if (code)
		return malformed(j, code);
	for (; is_open(it); ++it) {
		ondemand::value v;
		int rc;

		code = (*it).get(v);
		if (code)
			return malformed(j, code);
		rc = read_element(j, v, sink, ctx);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int read_root(event_json *j, char first, const event_json_sink *sink, void *ctx)
{
	ondemand::object object;
	error_code code;
	int rc;

	if (first == '[') {
		rc = read_array(j, sink, ctx);
	} else {
		code = j->document.get_object().get(object);
		rc = code ? malformed(j, code) : read_event(j, object, sink, ctx);
	}
	if (rc == 0 && here(j) != nullptr)
		return malformed_at(j, "more after the end", here(j));
	return rc;
}

/* A line that is neither object nor array: some other JSON, or none at all. */
int read_bare(event_json *j, const event_json_sink *sink, void *ctx)
{
	finding ignored = { EVENT_JSON_SOUND, { nullptr, 0 } };
	const char *at = j->text, *end = j->text + j->len;
	std::string_view text;
	bool escaped;

	while (is_space(*at))
		at++;
	while (is_space(end[-1]))
		end--;
	text = { at, (size_t)(end - at) };
	if (*at == '"' ? scan_string(at + 1, &escaped, &ignored) != end - 1
		       : text != "true" && text != "false" && text != "null" && !is_number(at, end))
		return malformed_at(j, "unexpected character", at);
	return sink->not_an_object(ctx);
}

/* ---- memory ---- */

int reserve(event_json *j, size_t len)
{
	size_t capacity = j->capacity > 0 ? j->capacity : MIN_CAPACITY;
	char *text;
	uint8_t *unescaped;

	while (capacity < len)
		capacity *= 2;
	if (capacity == j->capacity)
		return 0;
	text = static_cast<char *>(malloc(capacity + simdjson::SIMDJSON_PADDING));
	unescaped = static_cast<uint8_t *>(malloc(capacity + simdjson::SIMDJSON_PADDING));
	if (text == nullptr || unescaped == nullptr || j->parser.allocate(capacity)) {
		free(text);
		free(unescaped);
		/* The parser may have dropped what it had: begin anew next time. */
		free(j->text);
		free(j->unescaped);
		j->text = nullptr;
		j->unescaped = nullptr;
		j->capacity = 0;
		return -ENOMEM;
	}
	free(j->text);
	free(j->unescaped);
	j->text = text;
	j->unescaped = unescaped;
	j->capacity = capacity;
	return 0;
}

char first_byte(const event_json *j)
{
	for (size_t i = 0; i < j->len; i++) {
		if (!is_space(j->text[i]))
			return j->text[i];
	}
	return '\0';
}

int begin_text(event_json *j, const char *text, size_t len)
{
	int rc = reserve(j, len);
	error_code code;

	if (rc < 0)
		return rc;
	memcpy(j->text, text, len);
	memset(j->text + len, 0, simdjson::SIMDJSON_PADDING);
	j->len = len;
	j->unescaped_end = j->unescaped;
	code = j->parser.iterate(j->text, len, len + simdjson::SIMDJSON_PADDING).get(j->document);
	return code ? malformed(j, code) : 0;
}

} // namespace

int event_json_create(struct event_json **ret_json)
{
	event_json *j = new (std::nothrow) event_json();

	if (j == nullptr)
		return -ENOMEM;
	*ret_json = j;
	return 0;
}

void event_json_destroy(struct event_json *json)
{
	if (json == nullptr)
		return;
	free(json->text);
	free(json->unescaped);
	delete json;
}

int event_json_read(struct event_json *json, const char *text, size_t len,
		    enum event_json_form form, const struct event_json_sink *sink, void *ctx,
		    struct event_json_error *ret_error)
{
	int rc = len > 0 ? begin_text(json, text, len) : -EBADMSG;
	char first;

	if (len == 0)
		json->error = { "nothing there", 0 };
	if (rc == 0) {
		first = first_byte(json);
		if (first == '{' || (first == '[' && form == EVENT_JSON_DOCUMENT))
			rc = read_root(json, first, sink, ctx);
		else if (first == '[')
			rc = sink->not_an_object(ctx);
		else if (form == EVENT_JSON_LINE)
			rc = read_bare(json, sink, ctx);
		else
			rc = malformed_at(json, "neither an object nor an array", json->text);
	}
	if (rc == -EBADMSG)
		*ret_error = json->error;
	return rc;
}

/* SPDX-License-Identifier: MIT */
/*
 * event_fuzz.cc - fuzz target: any body, with simdjson's other reader as the judge.
 *
 * Who calls it: see fuzz.h. The first byte picks the form: 'N' lines, 'T' a content type up to a
 * newline and then the body, 'E' the text of an error's answer, anything else one document.
 *
 * Claims  A document without flaws is one that the DOM reader accepts too, and one that it accepts
 *         is never called malformed. Of such a one exactly those events are kept that keep the rules,
 *         as they are written down here once more (is_sound()).
 *         Every kept text is in bounds, UTF-8 and free of NUL, and props are a document again.
 *         Kept events, written down as a document, are read as the same events.
 *         An array and its elements as lines give the same verdicts, texts and errors.
 *         The answer is JSON that counts right and lists the same ids; an error's answer holds
 *         its text again.
 *         Upper case in a content type changes nothing.
 */
#include <cerrno>
#include <set>
#include <string>

#include <simdjson.h>

#include "fuzz.h"

extern "C" {
#include "event.h"
#include "rfc3339.h"
}

namespace {

using simdjson::dom::element;

int fixed_entropy(void *, void *buf, size_t n)
{
	memset(buf, 7, n);
	return 0;
}

/* The root stays valid until the next call. */
bool dom_accepts(const char *at, size_t len, element *ret_root)
{
	static simdjson::dom::parser parser;

	return !parser.parse(at, len, true).get(*ret_root);
}

/* ---- reading ---- */

struct outcome {
	struct event_batch batch;
	struct event_refusal refusal;
	int rc;
};

void read_body(struct outcome *o, const std::string &type, const char *at, size_t len)
{
	static struct event_json *json;
	struct event_ids ids;
	struct event_input in = {};
	char *exact = fuzz_copy(at, len);

	if (json == nullptr && event_json_create(&json) < 0)
		abort();
	event_ids_init(&ids, fixed_entropy, nullptr);
	event_batch_init(&o->batch);
	o->refusal = {};
	in.content_type = type.empty() ? nullptr : type.data();
	in.content_type_len = type.size();
	in.body = exact;
	in.body_len = len;
	in.now_ns = 1700000000000000000;
	in.ids = &ids;
	o->rc = event_parse_body(json, &in, &o->batch, &o->refusal);
	free(exact);
	MUST(o->rc == 0 || o->rc == -EBADMSG);
	MUST(o->rc == 0 || (o->batch.count == 0 && o->refusal.text[0] != '\0'));
}

const char lines_type[] = "application/x-ndjson";

/* ---- one outcome ---- */

void check_span(const struct event_batch *b, struct event_span s)
{
	if (s.at == 0)
		return;
	MUST((size_t)s.at + s.len < b->len);
	MUST(strlen(b->bytes + s.at) == s.len);
	MUST(simdjson::validate_utf8(b->bytes + s.at, s.len));
}

void check_event(const struct event_batch *b, const struct event *e)
{
	element root;

	check_span(b, e->id);
	check_span(b, e->type);
	check_span(b, e->ts);
	check_span(b, e->tenant);
	check_span(b, e->props);
	check_span(b, e->error);
	MUST(e->verdict == EVENT_REJECTED || e->verdict == EVENT_PENDING);
	if (e->verdict == EVENT_REJECTED) {
		MUST(e->error.len > 0);
		/* A broken line may have told an id before it broke. */
		MUST(e->id.at == 0 ||
		     strncmp(strchr(event_text(b, e->error), ']'), "]: malformed JSON", 17) != 0);
		return;
	}
	MUST(e->error.at == 0);
	MUST(e->id.len > 0 && e->id.len <= EVENT_ID_MAX);
	MUST(e->type.len > 0 && e->type.len <= EVENT_TYPE_MAX);
	MUST(e->tenant.len <= EVENT_TENANT_MAX && e->ts.len > 0);
	MUST(dom_accepts(event_text(b, e->props), e->props.len, &root) && root.is_object());
}

size_t count_of(const struct event_batch *b, enum event_verdict v)
{
	size_t n = 0;

	for (size_t i = 0; i < b->count; i++)
		n += b->events[i].verdict == v;
	return n;
}

void check_answer(const struct event_batch *b)
{
	struct event_out o;
	element root, id;
	simdjson::dom::array results;
	std::string_view text;
	uint64_t n;
	size_t i = 0;

	event_out_init(&o, 64 << 20);
	MUST(event_answer(&o, b) == 0 && dom_accepts(o.at, o.len, &root));
	MUST(!root["rejected"].get(n) && n == count_of(b, EVENT_REJECTED));
	MUST(!root["accepted"].get(n) && n == 0);
	MUST(!root["results"].get(results) && results.size() == b->count);
	for (element result : results) {
		const struct event *e = &b->events[i++];

		MUST(!result["id"].get(id));
		MUST(id.is_null() == (e->id.at == 0));
		if (e->id.at > 0)
			MUST(!id.get(text) && text == std::string_view(event_text(b, e->id), e->id.len));
		MUST(!result["status"].get(text));
		MUST(text == (e->verdict == EVENT_REJECTED ? "rejected" : "unknown"));
	}
	event_out_fini(&o);
}

void check_outcome(const struct outcome *o)
{
	MUST(o->batch.pending == count_of(&o->batch, EVENT_PENDING));
	for (size_t i = 0; i < o->batch.count; i++)
		check_event(&o->batch, &o->batch.events[i]);
	if (o->rc == 0)
		check_answer(&o->batch);
}

/* ---- two outcomes ---- */

bool same_span(const struct event_batch *a, struct event_span x, const struct event_batch *b, struct event_span y)
{
	return (x.at == 0) == (y.at == 0) && x.len == y.len &&
	       memcmp(event_text(a, x), event_text(b, y), x.len) == 0;
}

void must_be_same(const struct event_batch *a, const struct event *x, const struct event_batch *b,
                  const struct event *y)
{
	MUST(x->verdict == y->verdict);
	MUST(same_span(a, x->id, b, y->id));
	MUST(same_span(a, x->error, b, y->error));
	if (x->verdict == EVENT_REJECTED)
		return;
	MUST(same_span(a, x->type, b, y->type));
	MUST(same_span(a, x->ts, b, y->ts));
	MUST(same_span(a, x->tenant, b, y->tenant));
	MUST(same_span(a, x->props, b, y->props));
}

void add_member(struct event_out *o, const char *name, const struct event_batch *b, struct event_span s)
{
	event_out_text(o, name);
	event_out_string(o, event_text(b, s), s.len);
}

void add_event(struct event_out *o, const struct event_batch *b, const struct event *e)
{
	event_out_text(o, o->len > 0 ? "," : "[");
	add_member(o, "{\"id\":", b, e->id);
	add_member(o, ",\"type\":", b, e->type);
	add_member(o, ",\"ts\":", b, e->ts);
	if (e->tenant.at > 0)
		add_member(o, ",\"tenant\":", b, e->tenant);
	event_out_text(o, ",\"props\":");
	event_out_add(o, event_text(b, e->props), e->props.len);
	event_out_text(o, "}");
}

/* The sound events of a batch once more, as one document. */
void check_written_again(const struct event_batch *b)
{
	struct outcome again;
	struct event_out o;
	size_t n = 0;

	if (b->pending == 0)
		return;
	event_out_init(&o, 64 << 20);
	for (size_t i = 0; i < b->count; i++)
		if (b->events[i].verdict == EVENT_PENDING)
			add_event(&o, b, &b->events[i]);
	event_out_text(&o, "]");
	read_body(&again, "", o.at, o.len);
	MUST(again.rc == 0 && again.batch.count == b->pending);
	for (size_t i = 0; i < b->count; i++)
		if (b->events[i].verdict == EVENT_PENDING)
			must_be_same(b, &b->events[i], &again.batch, &again.batch.events[n++]);
	event_batch_fini(&again.batch);
	event_out_fini(&o);
}

/* The elements of a valid array, one a line. Line ends stand outside of strings only. */
std::string lines_of(const char *at, size_t len)
{
	std::string lines;
	bool in_string = false;
	int depth = 0;

	for (size_t i = 0; i < len; i++) {
		char c = at[i];

		if (in_string && c == '\\') {
			lines += c;
			lines += at[++i];
			continue;
		}
		if (c == '"')
			in_string = !in_string;
		if (!in_string && (c == ']' || c == '}'))
			depth--;
		if (!in_string && c == ',' && depth == 1)
			lines += '\n';
		else if (depth > 0)
			lines += c == '\n' || c == '\r' ? ' ' : c;
		if (!in_string && (c == '[' || c == '{'))
			depth++;
	}
	return lines;
}

void check_as_lines(const char *at, size_t len)
{
	std::string flat(at, len), lines;
	struct outcome array, line;

	/* So that props, which are kept as they were sent, can be compared. */
	for (char &c : flat)
		c = c == '\n' || c == '\r' ? ' ' : c;
	lines = lines_of(at, len);
	read_body(&array, "", flat.data(), flat.size());
	read_body(&line, lines_type, lines.data(), lines.size());
	MUST(array.rc == line.rc && array.refusal.status == line.refusal.status);
	MUST(array.batch.count == line.batch.count);
	for (size_t i = 0; i < array.batch.count; i++)
		must_be_same(&array.batch, &array.batch.events[i], &line.batch, &line.batch.events[i]);
	event_batch_fini(&array.batch);
	event_batch_fini(&line.batch);
}

/* ---- the rules, by the DOM reader ---- */

bool holds_nul(std::string_view text)
{
	return text.find('\0') != text.npos;
}

bool is_sound_value(element v, int depth)
{
	simdjson::dom::array array;
	simdjson::dom::object object;
	std::set<std::string_view> keys;
	std::string_view text;
	bool sound = true;

	if (!v.get(text))
		return !holds_nul(text);
	if (!v.get(array)) {
		for (element e : array)
			sound = sound && is_sound_value(e, depth + 1);
		return sound && depth <= EVENT_DEPTH_MAX;
	}
	if (v.get(object))
		return true;
	for (auto member : object)
		sound = sound && !holds_nul(member.key) && keys.insert(member.key).second &&
		        is_sound_value(member.value, depth + 1);
	return sound && depth <= EVENT_DEPTH_MAX && keys.size() <= EVENT_KEYS_MAX;
}

bool is_text(element v, size_t min, size_t max)
{
	std::string_view text;

	return !v.get(text) && text.size() >= min && text.size() <= max && !holds_nul(text);
}

bool is_time(element v)
{
	char out[RFC3339_SIZE];
	std::string_view text;

	return !v.get(text) && rfc3339_normalise(text.data(), text.size(), out) > 0;
}

bool is_sound_member(std::string_view key, element v)
{
	if (key == "type")
		return is_text(v, 1, EVENT_TYPE_MAX);
	if (key == "id")
		return is_text(v, 1, EVENT_ID_MAX);
	if (key == "tenant")
		return is_text(v, 0, EVENT_TENANT_MAX);
	if (key == "ts")
		return is_time(v);
	return key == "props" && v.is_object() && is_sound_value(v, 1);
}

bool is_sound(element event)
{
	simdjson::dom::object object;
	std::set<std::string_view> keys;

	if (event.get(object))
		return false;
	for (auto member : object)
		if (!keys.insert(member.key).second || !is_sound_member(member.key, member.value))
			return false;
	return keys.count("type") == 1;
}

/* The parser's tree must not have been used for another text meanwhile. */
void check_rules(const struct event_batch *b, element root)
{
	simdjson::dom::array array;
	size_t i = 0;

	if (root.get(array)) {
		MUST(b->count == 1 && (b->events[0].verdict == EVENT_PENDING) == is_sound(root));
		return;
	}
	MUST(b->count == array.size());
	for (element e : array)
		MUST((b->events[i++].verdict == EVENT_PENDING) == is_sound(e));
}

/* ---- the forms ---- */

void check_document(const char *at, size_t len)
{
	struct outcome o;
	element root;
	bool accepted, array;

	read_body(&o, "", at, len);
	check_outcome(&o);
	accepted = dom_accepts(at, len, &root);
	array = accepted && root.is_array();
	if (o.rc == 0 && o.batch.pending == o.batch.count)
		MUST(accepted);
	if (accepted && (array || root.is_object()))
		MUST(strstr(o.refusal.text, "malformed") == nullptr);
	if (accepted && o.rc == 0)
		check_rules(&o.batch, root);
	check_written_again(&o.batch);
	event_batch_fini(&o.batch);
	if (array)
		check_as_lines(at, len);
}

void check_lines(const char *at, size_t len)
{
	struct outcome o;

	read_body(&o, lines_type, at, len);
	check_outcome(&o);
	check_written_again(&o.batch);
	event_batch_fini(&o.batch);
}

void check_type(struct fuzz_input in)
{
	struct fuzz_input piece = fuzz_until(&in, '\n');
	std::string type((const char *)piece.at, piece.left), upper = type;
	struct outcome a, b;

	for (char &c : upper)
		c = c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
	read_body(&a, type, (const char *)in.at, in.left);
	read_body(&b, upper, (const char *)in.at, in.left);
	check_outcome(&a);
	MUST(a.rc == b.rc && a.refusal.status == b.refusal.status && a.batch.count == b.batch.count);
	MUST(a.refusal.status != 415 || !type.empty());
	event_batch_fini(&a.batch);
	event_batch_fini(&b.batch);
}

void check_error(struct fuzz_input in)
{
	char *text = fuzz_string(in);
	struct event_out o;
	std::string_view again;
	element root;

	event_out_init(&o, 64 << 20);
	MUST(event_answer_error(&o, text) == 0);
	if (simdjson::validate_utf8(text, strlen(text)))
		MUST(dom_accepts(o.at, o.len, &root) && !root["error"].get(again) && again == text);
	event_out_fini(&o);
	free(text);
}

} // namespace

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = fuzz_input_of(data, size);

	if (size == 0)
		return 0;
	switch (fuzz_byte(&in)) {
	case 'N':
		check_lines((const char *)in.at, in.left);
		break;
	case 'T':
		check_type(in);
		break;
	case 'E':
		check_error(in);
		break;
	default:
		check_document((const char *)in.at, in.left);
	}
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * event_fuzz.cc - libFuzzer: any body, with simdjson's other reader as the judge.
 *
 * Who calls it: clang++ -fsanitize=fuzzer,address,undefined. The first byte picks the form.
 *
 * Claims  A document without flaws is one that the DOM reader accepts too.
 *         A document that the DOM reader accepts is never called malformed.
 *         Every kept text is in bounds, free of NUL, and props are a document again.
 *         The answer is JSON.
 */
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <simdjson.h>

extern "C" {
#include "event.h"
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
}

namespace {

int fixed_entropy(void *, void *buf, size_t n)
{
	memset(buf, 7, n);
	return 0;
}

void must(bool claim, const char *words)
{
	if (claim)
		return;
	fprintf(stderr, "broken claim: %s\n", words);
	abort();
}

bool dom_accepts(const char *at, size_t len, bool *ret_container)
{
	static simdjson::dom::parser parser;
	simdjson::dom::element root;

	if (parser.parse(at, len, true).get(root))
		return false;
	*ret_container = root.is_object() || root.is_array();
	return true;
}

void check_span(const struct event_batch *b, struct event_span s)
{
	if (s.at == 0)
		return;
	must((size_t)s.at + s.len < b->len, "in bounds");
	must(strlen(b->bytes + s.at) == s.len, "free of NUL");
	must(simdjson::validate_utf8(b->bytes + s.at, s.len), "UTF-8");
}

void check_events(const struct event_batch *b)
{
	bool container = false;

	for (size_t i = 0; i < b->count; i++) {
		const struct event *e = &b->events[i];

		check_span(b, e->id);
		check_span(b, e->type);
		check_span(b, e->ts);
		check_span(b, e->tenant);
		check_span(b, e->props);
		check_span(b, e->error);
		if (e->verdict == EVENT_REJECTED) {
			must(e->error.len > 0, "a reason");
			continue;
		}
		must(e->id.len > 0 && e->type.len > 0 && e->ts.len > 0, "complete");
		must(dom_accepts(event_text(b, e->props), e->props.len, &container), "props");
	}
}

void check_answer(const struct event_batch *b)
{
	struct event_out o;
	bool container = false;

	event_out_init(&o, 64 << 20);
	must(event_answer(&o, b) == 0 && dom_accepts(o.at, o.len, &container), "an answer in JSON");
	event_out_fini(&o);
}

} // namespace

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct event_json *json;
	struct event_ids ids;
	struct event_input in = {};
	struct event_batch b;
	struct event_refusal r = {};
	bool lines, container = false, accepted, sound = true;
	int rc;

	if (size == 0)
		return 0;
	if (json == nullptr && event_json_create(&json) < 0)
		abort();
	lines = data[0] == 'N';
	event_ids_init(&ids, fixed_entropy, nullptr);
	event_batch_init(&b);
	in.content_type = lines ? "application/x-ndjson" : nullptr;
	in.content_type_len = lines ? 20 : 0;
	in.body = (const char *)data + 1;
	in.body_len = size - 1;
	in.now_ns = 1700000000000000000;
	in.ids = &ids;
	rc = event_parse_body(json, &in, &b, &r);
	must(rc == 0 || rc == -EBADMSG, "0 or refused");
	if (rc == 0) {
		check_events(&b);
		check_answer(&b);
	}
	for (size_t i = 0; i < b.count; i++)
		sound = sound && b.events[i].verdict != EVENT_REJECTED;
	if (!lines) {
		accepted = dom_accepts(in.body, in.body_len, &container);
		if (rc == 0 && sound)
			must(accepted, "sound here is sound for the DOM reader");
		if (accepted && container && rc < 0)
			must(strstr(r.text, "malformed") == nullptr, "what the DOM reader accepts is JSON");
	}
	event_batch_fini(&b);
	return 0;
}

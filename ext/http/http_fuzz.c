/* SPDX-License-Identifier: MIT */
/*
 * http_fuzz.c - libFuzzer: any bytes, fed whole, byte by byte and in growing pieces, give
 * the same transcript; no feed is read beyond its end.
 *
 * Who calls it: clang -fsanitize=fuzzer,address,undefined, with the seeds of
 * http_parser_test --write-corpus DIR. The first byte picks the limits, so that they are
 * reached by short inputs as well; seeds begin with a method, which means the defaults.
 */
#include "http_transcript.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const tt_http_options limits[] = {
	{ .line_max = 16, .header_max = 32, .fields_max = 2, .body_max = 8 },
	{ .line_max = 64, .header_max = 64, .fields_max = 4, .body_max = 64 },
	{ .body_max = 1 },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const tt_http_options *o = NULL;
	struct transcript whole, bytes, pieces;

	if (size > 0 && data[0] < sizeof(limits) / sizeof(limits[0])) {
		o = &limits[data[0]];
		data++;
		size--;
	}
	whole = transcript_of(o, (const char *)data, size, 0);
	bytes = transcript_of(o, (const char *)data, size, 1);
	pieces = transcript_of(o, (const char *)data, size, -1);
	if (!transcript_same(&whole, &bytes) || !transcript_same(&whole, &pieces)) {
		fprintf(stderr, "whole:\n%.*s\nbytes:\n%.*s\npieces:\n%.*s\n", (int)whole.len,
			whole.text, (int)bytes.len, bytes.text, (int)pieces.len, pieces.text);
		abort();
	}
	/* The second parser found something the scanner let pass: worth a rule of its own. */
	if (transcript_refused_as(&whole, "ambiguous"))
		abort();
	free(whole.text);
	free(bytes.text);
	free(pieces.text);
	return 0;
}

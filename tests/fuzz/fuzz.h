/* SPDX-License-Identifier: MIT */
/*
 * fuzz.h - what fuzz targets share: a claim that ends the run, and an input taken apart.
 *
 * Who calls it: every X_fuzz.c. A target is one function, LLVMFuzzerTestOneInput(). Under
 * TT_FUZZ libFuzzer calls it; in every other build replay_main.c calls it with each file of
 * tests/fuzz/X/, so that gcc and a machine without clang run the corpora as well.
 *
 * Invariants  Behind its end an input goes on with zeros: any bytes mean something, and a
 *             prefix of an input means nearly the same.
 */
#ifndef TT_FUZZ_H
#define TT_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __cplusplus
extern "C" {
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#ifdef __cplusplus
}
#endif

/* What must hold for any input. Targets may point stderr elsewhere; this line goes to the real one. */
#define MUST(claim)                                                                                \
	do {                                                                                       \
		if (!(claim)) {                                                                    \
			dprintf(STDERR_FILENO, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #claim); \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

struct fuzz_input {
	const uint8_t *at;
	size_t left;
};

static inline struct fuzz_input fuzz_input_of(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };

	return in;
}

static inline uint8_t fuzz_byte(struct fuzz_input *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->at++;
}

/* [0, n), n > 0, of one byte or of two. */
static inline unsigned fuzz_below(struct fuzz_input *in, unsigned n)
{
	unsigned value = fuzz_byte(in);

	if (n > 256)
		value = value << 8 | fuzz_byte(in);
	return value % n;
}

static inline uint64_t fuzz_u64(struct fuzz_input *in)
{
	uint64_t value = 0;

	for (int i = 0; i < 8; i++)
		value = value << 8 | fuzz_byte(in);
	return value;
}

/* Up to the next byte `end`, which is passed over, or to the input's end. */
static inline struct fuzz_input fuzz_until(struct fuzz_input *in, int end)
{
	const uint8_t *found = in->left > 0 ? (const uint8_t *)memchr(in->at, end, in->left) : NULL;
	struct fuzz_input piece = { in->at, found != NULL ? (size_t)(found - in->at) : in->left };

	in->at += piece.left;
	in->left -= piece.left;
	if (found != NULL) {
		in->at++;
		in->left--;
	}
	return piece;
}

/* n bytes, or what is left. */
static inline struct fuzz_input fuzz_take(struct fuzz_input *in, size_t n)
{
	struct fuzz_input piece = { in->at, n < in->left ? n : in->left };

	if (piece.left > 0) /* an empty input may be nowhere */
		in->at += piece.left;
	in->left -= piece.left;
	return piece;
}

static inline void *fuzz_alloc(size_t n)
{
	void *block = malloc(n > 0 ? n : 1);

	MUST(block != NULL);
	return block;
}

/* A copy of exactly this length, so that the address sanitizer sees any step beyond it. */
static inline char *fuzz_copy(const void *at, size_t len)
{
	char *copy = (char *)fuzz_alloc(len);

	if (len > 0)
		memcpy(copy, at, len);
	return copy;
}

/* The bytes as a C string, which ends at the first NUL among them. */
static inline char *fuzz_string(struct fuzz_input piece)
{
	char *text = (char *)fuzz_alloc(piece.left + 1);

	if (piece.left > 0)
		memcpy(text, piece.at, piece.left);
	text[piece.left] = '\0';
	return text;
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * sometimes.h - claims about all runs of the tests together.
 *
 * An assertion says what holds in every run. Tests that never come to the hard part pass every
 * assertion; TT_SOMETIMES() says what has to happen in one run at least, and a test can ask
 * whether it did. (FoundationDB calls it a code probe, Antithesis a sometimes assertion.)
 */
#ifndef TUTTI_SOMETIMES_H
#define TUTTI_SOMETIMES_H

#include <tutti/base.h>

TT_BEGIN_DECLS

/* A place in a source; static, so that counting costs no search. */
struct tt_sometimes_place_ {
	const char *claim, *site;
	uint32_t times;
};

TT_API void tt_sometimes_(struct tt_sometimes_place_ *place);

#define TT_SOMETIMES_COUNT_(condition, claim_text) \
	do { \
		static struct tt_sometimes_place_ tt_place_ = { claim_text, TT_SITE, 0 }; \
		if (condition) \
			tt_sometimes_(&tt_place_); \
	} while (0)

/*
 * TT_SOMETIMES - count how often the condition holds here: TT_SOMETIMES(n == 0, "a batch is
 * empty"). The claim is a literal, and says what happens. Two places may claim the same.
 *
 * tt_test_sometimes() gives the count; TUTTI_SOMETIMES=FILE has the kit write all of them.
 * With NDEBUG nothing is evaluated and nothing is left in the program, as with assert().
 *
 * Blocks     no
 * Threads    any
 */
#ifdef NDEBUG
#define TT_SOMETIMES(condition, claim) ((void)sizeof(!(condition)))
#else
#define TT_SOMETIMES(condition, claim) TT_SOMETIMES_COUNT_(condition, claim)
#endif

TT_END_DECLS

#endif

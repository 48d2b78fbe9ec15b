/* SPDX-License-Identifier: MIT */
/*
 * panic.h - assertions. They are for our mistakes and for callers' misuse, never for
 * the world's behaviour.
 *
 * TT_REQUIRE      misuse by a caller: always on, the message names the call
 * TT_ASSERT       our own invariant: on except in release builds (TT_NO_ASSERT)
 * TT_ASSERT_SLOW  walks a structure: on with TT_VERIFY (sim, fuzz, model)
 * TTI_LAW_BROKEN  true in the build that breaks this law of DESIGN.md on purpose, so
 *                 that the tests citing the law can be seen to fail
 */
#ifndef TTI_BASE_PANIC_H
#define TTI_BASE_PANIC_H

#include <tutti/base.h>

/* Prints "tutti: site: text" to stderr, calls the hook if one is installed, aborts. */
TT_NORETURN TT_PRINTF(2, 3) void tti_panic(const char *site, const char *fmt, ...);

/* Called once by tti_panic before it aborts, to add what the lower layers cannot know
 * (which task, which worker). Installed by rt at start. */
extern void (*tti_panic_hook)(void);

#define TT_REQUIRE(cond, ...) \
	do { \
		if (__builtin_expect(!(cond), 0)) \
			tti_panic(TT_SITE, __VA_ARGS__); \
	} while (0)

#ifdef TT_NO_ASSERT
#define TT_ASSERT(cond) ((void)sizeof(!(cond)))
#else
#define TT_ASSERT(cond) TT_REQUIRE(cond, "assertion failed: %s", #cond)
#endif

#ifdef TT_VERIFY
#define TT_ASSERT_SLOW(cond) TT_ASSERT(cond)
#else
#define TT_ASSERT_SLOW(cond) ((void)sizeof(!(cond)))
#endif

#ifndef TT_BREAK_LAW
#define TT_BREAK_LAW 0
#endif
#define TTI_LAW_BROKEN(n) (TT_BREAK_LAW == (n))

#endif

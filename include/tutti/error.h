/* SPDX-License-Identifier: MIT */
/*
 * error.h - codes that keep their story.
 *
 * A code is an int; the chain that explains it travels beside it, across tasks, groups and
 * pool threads. tt_fail starts a chain where something went wrong, tt_wrap adds context on
 * the way up. A swallowed error needs no clearing: a chain counts only for the code it
 * explains.
 *
 * Invariants  The first error never allocates; the code survives even if the text is lost.
 */
#ifndef TUTTI_ERROR_H
#define TUTTI_ERROR_H

#include <tutti/base.h>

TT_BEGIN_DECLS

/* One step of a chain; valid as long as the tt_error it came from. */
typedef struct tt_error_node tt_error_node;

/* A kept chain: for an error that is looked at or passed on later. */
typedef struct tt_error {
	uint64_t tt_opaque_[40];
} tt_error;

/*
 * tt_error_take - keep the chain that explains rc; the calling task has none afterwards. If
 * no chain explains it, `e` holds the bare code.
 *
 * Blocks     no
 * Ownership  `e` is filled, whatever was in it; tt_error_fini() empties it
 * Threads    any
 */
TT_API void tt_error_take(tt_error *e, int rc);

/*
 * tt_error_attach - make a kept chain the calling task's current one again.
 *
 * Blocks     no
 * Returns    the code that was taken
 * Ownership  `e` is empty afterwards
 * Threads    any
 */
TT_API TT_MUST_USE int tt_error_attach(tt_error *e);

/*
 * tt_error_fini - drop a kept chain.
 *
 * Blocks     no
 * Ownership  NULL and an empty one are fine
 * Threads    any
 */
TT_API void tt_error_fini(tt_error *e);

/*
 * tt_error_report - log rc with its chain and this context to stderr, and go on.
 *
 * Blocks     no
 * Threads    any
 */
TT_API TT_PRINTF(2, 3) void tt_error_report(int rc, const char *fmt, ...);

/*
 * tt_error_text - the chain as people read it, several lines.
 *
 * Blocks     no
 * Returns    the length it has, as snprintf: more than n - 1 means it was cut
 * Threads    any, one at a time
 */
TT_API int tt_error_text(const tt_error *e, char *ret_buf, size_t n);

/*
 * tt_error_json - the chain as one JSON object.
 *
 * Blocks     no
 * Returns    the length it has, as snprintf: more than n - 1 means it was cut
 * Threads    any, one at a time
 */
TT_API int tt_error_json(const tt_error *e, char *ret_buf, size_t n);

/*
 * tt_error_first - the outermost step: the last context that was added.
 *
 * Blocks     no
 * Returns    NULL for an empty one
 */
TT_API const tt_error_node *tt_error_first(const tt_error *e);

/*
 * tt_error_cause - the step that this one wraps.
 *
 * Blocks     no
 * Returns    NULL where the story starts
 */
TT_API const tt_error_node *tt_error_cause(const tt_error_node *n);

/*
 * tt_error_sibling - the next failure that happened beside this one ("also failed").
 *
 * Blocks     no
 * Returns    NULL if there is none
 */
TT_API const tt_error_node *tt_error_sibling(const tt_error_node *n);

/*
 * tt_error_message - the text of one step, without the code's.
 *
 * Blocks     no
 * Returns    never NULL; "" if the text was lost
 */
TT_API const char *tt_error_message(const tt_error_node *n);

/*
 * tt_error_code - the code of one step.
 *
 * Blocks     no
 * Returns    the negative code
 */
TT_API int tt_error_code(const tt_error_node *n);

/*
 * tt_error_site - where one step was added: "src/orders.c:88".
 *
 * Blocks     no
 * Returns    never NULL; "" if it is not known
 */
TT_API const char *tt_error_site(const tt_error_node *n);

/*
 * tt_error_backtraces - record, from now on, the frames above each tt_fail() that starts a chain, and
 * print them with it. TUTTI_BACKTRACE=1 in the environment does it from the start. Off, it costs
 * nothing; on, a failure takes some microseconds and one allocation.
 *
 * Blocks     no
 * Threads    any
 */
TT_API void tt_error_backtraces(bool on);

/*
 * tt_strerror - what a code means: "Connection refused".
 *
 * Blocks     no
 * Returns    never NULL; static text
 * Threads    any
 */
TT_API const char *tt_strerror(int code);

/*
 * tt_error_name - how a code is called: "ECONNREFUSED", "TT_ECLOSED", "APP_EVALIDATION".
 *
 * Blocks     no
 * Returns    never NULL; static text
 * Threads    any
 */
TT_API const char *tt_error_name(int code);

/* ---- seams of the macros below ---- */

/* Starts a chain; gives code back. Aborts for a code that is not negative. */
TT_API TT_MUST_USE TT_PRINTF(4, 5) int tt_fail_(int code, const char *site, const char *func,
                                                const char *fmt, ...);
/* Extends the chain that explains rc, or starts one; gives rc back, rc >= 0 untouched. */
TT_API TT_MUST_USE TT_PRINTF(4, 5) int tt_wrap_(int rc, const char *site, const char *func,
                                                const char *fmt, ...);

struct tt_error_code_ {
	int code;
	const char *text;
};

/* All of it lives as long as the program. */
struct tt_error_domain_ {
	const char *name;
	const struct tt_error_code_ *codes;
	const char *const *names; /* of the codes, as the source spells them */
	size_t count;
};

/* Called before main(); aborts if a code is taken or above TT_ERROR_DOMAIN_FIRST. */
TT_API void tt_error_register_(const struct tt_error_domain_ *domain);

/* The next '{' outside of string literals, or the end. */
TT_UNUSED static inline char *tt_error_next_entry_(char *tt_s_)
{
	bool tt_quoted_ = false;

	for (; *tt_s_ != '\0' && (tt_quoted_ || *tt_s_ != '{'); tt_s_++) {
		if (tt_quoted_ && *tt_s_ == '\\')
			tt_s_++;
		else if (*tt_s_ == '"')
			tt_quoted_ = !tt_quoted_;
	}
	return tt_s_;
}

/* Splits "{A, "a"}, {B, "b"}" in place: names become "A", "B". */
TT_UNUSED static inline void tt_error_split_(char *tt_list_, const char **tt_names_, size_t tt_n_)
{
	char *tt_s_ = tt_list_;
	size_t tt_i_;

	for (tt_i_ = 0; tt_i_ < tt_n_; tt_i_++) {
		tt_s_ = tt_error_next_entry_(tt_s_);
		while (*tt_s_ == '{' || *tt_s_ == ' ')
			tt_s_++;
		tt_names_[tt_i_] = tt_s_;
		while (*tt_s_ != '\0' && *tt_s_ != ',' && *tt_s_ != ' ')
			tt_s_++;
		if (*tt_s_ != '\0')
			*tt_s_++ = '\0';
	}
}

TT_END_DECLS

/*
 * tt_fail(code, fmt, ...) - start a chain, where it happens: return tt_fail(-EPROTO, "...").
 *
 * Blocks     no
 * Returns    code
 * Errors     aborts for a code that is not negative
 * Threads    any
 */
#define tt_fail(code, ...) tt_fail_((code), TT_SITE, __func__, __VA_ARGS__)

/*
 * tt_wrap(rc, fmt, ...) - add context on the way up. rc is evaluated once; >= 0 passes through.
 *
 * Blocks     no
 * Returns    rc
 * Threads    any
 */
#define tt_wrap(rc, ...) tt_wrap_((rc), TT_SITE, __func__, __VA_ARGS__)

/*
 * TT_ERROR_CODES(name, {CODE, "text"}, ...) - at file scope, in one source file: register an
 * application's codes, all at or below TT_ERROR_DOMAIN_FIRST. Chains print the code's own
 * name. An overlap aborts at start.
 */
#define TT_ERROR_CODES(name, ...) \
	static const struct tt_error_code_ tt_codes_##name##_[] = { __VA_ARGS__ }; \
	__attribute__((__constructor__)) static void tt_register_##name##_(void) \
	{ \
		enum { tt_count_ = sizeof(tt_codes_##name##_) / sizeof(tt_codes_##name##_[0]) }; \
		static char tt_list_[] = #__VA_ARGS__; \
		static const char *tt_names_[tt_count_]; \
		static struct tt_error_domain_ tt_domain_ = { \
			#name, tt_codes_##name##_, tt_names_, tt_count_ \
		}; \
		tt_error_split_(tt_list_, tt_names_, tt_count_); \
		tt_error_register_(&tt_domain_); \
	} \
	struct tt_error_domain_

#endif

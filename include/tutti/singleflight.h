/* SPDX-License-Identifier: MIT */
/*
 * singleflight.h - calls for the same key at the same time are one call.
 *
 *	TT_FLIGHT_TYPE(user_flight, struct user);
 *
 *	TT_TRY(tt_flight_do(&app->users, tt_key_text(name), &user, load_user, app->db, name, &user));
 *
 * The first caller runs load_user; those that come with an equal key meanwhile wait for it, and
 * get its code and a copy of the value. Nothing is kept when it is over: the next call
 * runs again. A cache in front of a slow source needs this, or its every miss is a stampede.
 */
#ifndef TUTTI_SINGLEFLIGHT_H
#define TUTTI_SINGLEFLIGHT_H

#include <string.h>

#include <tutti/base.h>
#include <tutti/scope.h>
#include <tutti/task.h>

TT_BEGIN_DECLS

/* Without a value; TT_FLIGHT_TYPE adds its type. */
typedef struct tt_flight {
	uint64_t tt_opaque_[40];
} tt_flight;

/* Bytes that are compared; the caller's, for as long as the call takes. */
typedef struct tt_key {
	const void *data;
	size_t len;
} tt_key;

/*
 * tt_key_bytes - a key of so many bytes; NULL and 0 are fine.
 *
 * Blocks     no
 * Returns    the key
 * Ownership  the bytes stay the caller's
 * Threads    any
 */
TT_UNUSED static inline tt_key tt_key_bytes(const void *tt_data_, size_t tt_len_)
{
	tt_key tt_key_ = { tt_data_, tt_len_ };

	return tt_key_;
}

/*
 * tt_key_text - a string as a key, without its end.
 *
 * Blocks     no
 * Returns    the key
 * Ownership  the text stays the caller's
 * Threads    any
 */
TT_UNUSED static inline tt_key tt_key_text(const char *tt_text_)
{
	return tt_key_bytes(tt_text_, strlen(tt_text_));
}

/* The seams of the macros below. */
TT_API void tt_flight_init_(tt_flight *f);
TT_API void tt_flight_fini_(tt_flight *f);

typedef struct tt_flight_call_ {
	tt_flight *flight;
	tt_key key;
	void *ret_value;
	size_t size;
} tt_flight_call_;

TT_API tt_verb_ tt_verb_flight_; /* on: a tt_flight_call_ * */

TT_END_DECLS

/* TT_FLIGHT_TYPE(name, T) - the type of flights whose value is a T, copied byte by byte. */
#define TT_FLIGHT_TYPE(name, T) \
	typedef union name { \
		tt_flight tt_raw; \
		T *tt_elem; \
	} name

#ifdef __cplusplus
extern "C++" {
template <class F> inline tt_flight *tt_flight_any_(F *f)
{
	return &f->tt_raw;
}
template <class F, class T> inline tt_flight_call_ tt_flight_make_(F *f, tt_key key, T *ret_value)
{
	static_assert(tt_same_<decltype(f->tt_elem), T *>::value, "not a pointer to a value of this flight");
	static_assert(__is_trivially_copyable(T), "values are copied byte by byte");
	return { &f->tt_raw, key, ret_value, sizeof(T) };
}
}
#define TT_FLIGHT_CALL_(f, key, ret_value) (tt_temporary_(tt_flight_make_((f), (key), (ret_value))))
#define TT_FLIGHT_(f) (tt_flight_any_(f))
#else
#define TT_FLIGHT_CALL_(f, key, ret_value) \
	((void)sizeof(struct { \
		_Static_assert(__builtin_types_compatible_p(__typeof__((f)->tt_elem), \
		                                            __typeof__((void)0, (ret_value))), \
		               "not a pointer to a value of this flight"); \
		int tt_x_; \
	}), &(tt_flight_call_){ &(f)->tt_raw, (key), (ret_value), sizeof(*(ret_value)) })
#define TT_FLIGHT_(f) (&(f)->tt_raw)
#endif

/*
 * tt_flight_init(f) - make a flight in which nothing is under way. f points to a TT_FLIGHT_TYPE.
 *
 * Blocks     no
 */
#define tt_flight_init(f) tt_flight_init_(TT_FLIGHT_(f))

/*
 * tt_flight_fini(f) - it is no longer used.
 *
 * Blocks     no
 * Errors     aborts, naming the call, if one is under way
 * Ownership  one that was never initialised (zero) is fine
 */
#define tt_flight_fini(f) tt_flight_fini_(TT_FLIGHT_(f))

/*
 * tt_flight_do(f, key, ret_value, name, args...) - run the TT_TASK `name`, which fills *ret_value,
 * or wait for the one that runs for an equal key and get its result.
 *
 * Blocks     yes; always a checkpoint
 * Returns    what the one that ran returned; *ret_value is a copy of its value
 * Cancelled  TT_ECANCELED; if it was this caller's that ran, the first who waits runs its own
 * Errors     those of the one that ran, with its text, to all; -EDEADLK: the call asks for its own
 *            key
 * Ownership  the function's, from its first instruction; if it is not run for this caller, the
 *            arguments' destructors have run. *ret_value is the caller's, untouched on failure
 *            unless its own function wrote to it
 * Threads    any task
 */
#define tt_flight_do(f, key, ret_value, ...) \
	tt_must_result_(TT_CALL_(tt_verb_flight_, TT_FLIGHT_CALL_(f, key, ret_value), __VA_ARGS__))

#endif

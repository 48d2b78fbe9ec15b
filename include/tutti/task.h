/* SPDX-License-Identifier: MIT */
/*
 * task.h - tasks: how a function becomes one, and what can be asked of it.
 *
 *	TT_TASK(serve, (struct app *, app), (tt_fd *, conn, tt_fd_close))
 *	{
 *		...
 *	}
 *
 * defines an ordinary function `serve`, callable directly, that everything taking
 * `name, args...` can also start (tt_go, tt_blocking, tt_main, ...). The arguments
 * are copied at the start; a destructor (third place) runs only if the function
 * never starts: from its first instruction the function owns its arguments.
 *
 * Invariants  Every identifier a macro makes starts with tt_ and ends with _, so that
 *             no argument name of a user can meet it.
 * Rejected    A statement expression with a local argument struct at each call:
 *             -Wshadow as soon as calls nest. A `void *` argument only: no checks.
 */
#ifndef TUTTI_TASK_H
#define TUTTI_TASK_H

#include <tutti/base.h>

#ifdef __cplusplus
#define TT_STATIC_ASSERT_(cond, text) static_assert(cond, text)
#else
#define TT_STATIC_ASSERT_(cond, text) _Static_assert(cond, text)
#endif

TT_BEGIN_DECLS

/* A task that was started; counted, see tt_go_task(). */
typedef struct tt_task tt_task;

/*
 * tt_task_type - what TT_TASK knows of a function. Part of the macros, not for users.
 * run calls the function with the unpacked arguments, drop runs the arguments'
 * destructors (NULL: there are none), site is where TT_TASK stands.
 */
typedef struct tt_task_type {
	const char *name;
	const char *site;
	size_t size, align;
	int (*run)(void *args);
	void (*drop)(void *args);
} tt_task_type;

/*
 * tt_verb_ - the form of everything that starts a TT_TASK. `args` are the caller's
 * and last for the call only: a verb copies type->size bytes. The meaning of `on`
 * and of the result is the verb's own.
 */
typedef intptr_t tt_verb_(void *on, const tt_task_type *type, const void *args,
                          const char *site);

/*
 * tt_task_put - give back a counted task. It goes on running.
 *
 * Blocks     no
 * Ownership  takes the caller's count; NULL is fine
 * Threads    any
 */
TT_API void tt_task_put(tt_task *t);

/*
 * tt_task_id - the number that dumps and error chains print: `load_user#1870`.
 *
 * Blocks     no
 * Returns    a number never used twice in one run of the runtime
 * Threads    any
 */
TT_API uint64_t tt_task_id(const tt_task *t);

/*
 * tt_task_name - the name of the task's function, or the one its options gave.
 *
 * Blocks     no
 * Returns    never NULL
 * Ownership  valid while the caller holds its count
 * Threads    any
 */
TT_API const char *tt_task_name(const tt_task *t);

/*
 * tt_task_join - wait until a task has ended. Its group hears of its failure as well.
 *
 * Blocks     yes; always a checkpoint, even when the task has ended
 * Returns    what the task's function returned
 * Cancelled  TT_ECANCELED; the other task is not touched
 * Errors     the code the task failed with
 * Threads    any task; several may join the same one
 */
TT_API TT_MUST_USE int tt_task_join(tt_task *t);

/*
 * tt_yield - let the other ready tasks of this worker run first.
 *
 * Blocks     yes; always a checkpoint
 * Returns    0
 * Cancelled  TT_ECANCELED, without yielding
 */
TT_API TT_MUST_USE int tt_yield(void);

/*
 * tt_checkpoint - ask "am I cancelled?" in a long computation.
 *
 * Blocks     no; a checkpoint all the same
 * Returns    0
 * Cancelled  TT_ECANCELED
 */
TT_API TT_MUST_USE int tt_checkpoint(void);

TT_END_DECLS

/*
 * TT_TASK(name, (type, argument), (type, argument, destructor), ...) { body } - define a
 * function and make it startable. `static TT_TASK(...)` works. Array and function types are
 * given by a typedef.
 */
#define TT_TASK(...) \
	TT_TASK_DECLARE(__VA_ARGS__); \
	TT_TASK_PASTE_(TT_TASK_HEAD_, TT_TASK_ARITY_(__VA_ARGS__))(__VA_ARGS__)

/*
 * TT_TASK_DECLARE(name, parameters...) - make a function that is defined elsewhere, as
 * `int name(parameters)`, startable. For headers; up to eight parameters. Its
 * definition is then an ordinary one, without TT_TASK.
 */
#define TT_TASK_DECLARE(...) \
	TT_TASK_PASTE_(TT_TASK_DECLARE_, TT_TASK_ARITY_(__VA_ARGS__))(__VA_ARGS__)

/* ---- seams of the macros: nothing below is for users ---- */

/* 0 for a name alone, N for a name and up to eight parameters. */
#define TT_TASK_ARITY_(...) \
	TT_ARG_25_(__VA_ARGS__, TOO_MANY, TOO_MANY, TOO_MANY, TOO_MANY, TOO_MANY, TOO_MANY, \
	           TOO_MANY, TOO_MANY, TOO_MANY, TOO_MANY, TOO_MANY, TOO_MANY, TOO_MANY, \
	           TOO_MANY, TOO_MANY, N, N, N, N, N, N, N, N, 0, ~)
#define TT_ARG_25_(a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
                   a18, a19, a20, a21, a22, a23, a24, a25, ...) a25

/* f(1, a) f(2, b) ... with commas between, or as they are. */
#define TT_EACH_COUNT_(...) TT_ARG_9_(__VA_ARGS__, 8, 7, 6, 5, 4, 3, 2, 1, ~)
#define TT_ARG_9_(a1, a2, a3, a4, a5, a6, a7, a8, a9, ...) a9
#define TT_EACH_COMMA_(f, ...) \
	TT_EACH_PASTE_(TT_COMMA_, TT_EACH_COUNT_(__VA_ARGS__))(f, __VA_ARGS__)
#define TT_EACH_(f, ...) \
	TT_EACH_PASTE_(TT_PLAIN_, TT_EACH_COUNT_(__VA_ARGS__))(f, __VA_ARGS__)
#define TT_EACH_PASTE_(a, b) TT_EACH_PASTE_2_(a, b)
#define TT_EACH_PASTE_2_(a, b) a##b##_
#define TT_COMMA_1_(f, a) f(1, a)
#define TT_COMMA_2_(f, a, b) f(1, a), f(2, b)
#define TT_COMMA_3_(f, a, b, c) f(1, a), f(2, b), f(3, c)
#define TT_COMMA_4_(f, a, b, c, d) f(1, a), f(2, b), f(3, c), f(4, d)
#define TT_COMMA_5_(f, a, b, c, d, e) f(1, a), f(2, b), f(3, c), f(4, d), f(5, e)
#define TT_COMMA_6_(f, a, b, c, d, e, g) f(1, a), f(2, b), f(3, c), f(4, d), f(5, e), f(6, g)
#define TT_COMMA_7_(f, a, b, c, d, e, g, h) \
	f(1, a), f(2, b), f(3, c), f(4, d), f(5, e), f(6, g), f(7, h)
#define TT_COMMA_8_(f, a, b, c, d, e, g, h, i) \
	f(1, a), f(2, b), f(3, c), f(4, d), f(5, e), f(6, g), f(7, h), f(8, i)
#define TT_PLAIN_1_(f, a) f(1, a)
#define TT_PLAIN_2_(f, a, b) f(1, a) f(2, b)
#define TT_PLAIN_3_(f, a, b, c) f(1, a) f(2, b) f(3, c)
#define TT_PLAIN_4_(f, a, b, c, d) f(1, a) f(2, b) f(3, c) f(4, d)
#define TT_PLAIN_5_(f, a, b, c, d, e) f(1, a) f(2, b) f(3, c) f(4, d) f(5, e)
#define TT_PLAIN_6_(f, a, b, c, d, e, g) f(1, a) f(2, b) f(3, c) f(4, d) f(5, e) f(6, g)
#define TT_PLAIN_7_(f, a, b, c, d, e, g, h) \
	f(1, a) f(2, b) f(3, c) f(4, d) f(5, e) f(6, g) f(7, h)
#define TT_PLAIN_8_(f, a, b, c, d, e, g, h, i) \
	f(1, a) f(2, b) f(3, c) f(4, d) f(5, e) f(6, g) f(7, h) f(8, i)

/* A parameter is (type, name) or (type, name, destructor). */
#define TT_PARAM_TYPE_(...) TT_PARAM_TYPE_2_(__VA_ARGS__, ~)
#define TT_PARAM_TYPE_2_(type, ...) type
#define TT_PARAM_NAME_(...) TT_PARAM_NAME_2_(__VA_ARGS__, ~)
#define TT_PARAM_NAME_2_(type, name, ...) name
#define TT_PARAM_KIND_(...) TT_ARG_4_(__VA_ARGS__, OWNED, PLAIN, WITHOUT_NAME, ~)
#define TT_ARG_4_(a1, a2, a3, a4, ...) a4
#define TT_PARAM_PASTE_(a, b) TT_PARAM_PASTE_2_(a, b)
#define TT_PARAM_PASTE_2_(a, b) a##b##_

#define TT_PARAM_(k, p) TT_PARAM_TYPE_ p TT_PARAM_NAME_ p
#define TT_PARAM_HIDDEN_(k, p) TT_PARAM_TYPE_ p tt_##k##_
#define TT_PARAM_FIELD_(k, p) TT_DECAYED_(TT_PARAM_TYPE_ p) tt_##k##_;
#define TT_PARAM_VALUE_(k, p) tt_##k##_
#define TT_PARAM_UNPACK_(k, p) tt_args_->tt_##k##_
#define TT_PARAM_HAS_DROP_(k, p) | TT_PARAM_PASTE_(TT_HAS_DROP_, TT_PARAM_KIND_ p)
#define TT_HAS_DROP_PLAIN_ 0
#define TT_HAS_DROP_OWNED_ 1
#define TT_PARAM_DROP_(k, p) TT_PARAM_PASTE_(TT_DROP_, TT_PARAM_KIND_ p)(k, TT_PARAM_THIRD_ p)
#define TT_PARAM_THIRD_(...) TT_PARAM_THIRD_2_(__VA_ARGS__, ~, ~)
#define TT_PARAM_THIRD_2_(type, name, third, ...) third
#define TT_DROP_PLAIN_(k, destructor)
#define TT_DROP_OWNED_(k, destructor) TT_STRICT_((destructor)(tt_args_->tt_##k##_));

/*
 * The type a parameter of type T really has: arrays and functions decay.
 * TT_STRICT_ makes errors of what gcc and clang only warn of in C (C++ rejects it anyway).
 */
#ifdef __cplusplus
extern "C++" {
template <class T> struct tt_decay_ { typedef T type; };
template <class T> struct tt_decay_<T[]> { typedef T *type; };
template <class T, size_t N> struct tt_decay_<T[N]> { typedef T *type; };
template <class R, class... A> struct tt_decay_<R(A...)> { typedef R (*type)(A...); };
/* The address of a temporary, which lives to the end of the full expression. */
template <class T> inline T *tt_temporary_(T &&value) { return &value; }
}
#define TT_DECAYED_(T) tt_decay_<T>::type
#define TT_PLAIN_DATA_(T) \
	static_assert(__is_trivially_copyable(T), "a task's arguments are copied byte by byte")
#define TT_TEMPORARY_(T, ...) (tt_temporary_(T{ __VA_ARGS__ }))
#define TT_STRICT_(call) (call)
#else
#define TT_DECAYED_(T) __typeof__(((void)0, *(T *)0))
#define TT_PLAIN_DATA_(T) _Static_assert(sizeof(T) > 0, "")
#define TT_TEMPORARY_(T, ...) (&(T){ __VA_ARGS__ })
#ifdef __clang__
#define TT_STRICT_QUALIFIERS_ \
	_Pragma("GCC diagnostic error \"-Wincompatible-pointer-types-discards-qualifiers\"")
#else
#define TT_STRICT_QUALIFIERS_ _Pragma("GCC diagnostic error \"-Wdiscarded-qualifiers\"")
#endif
#define TT_STRICT_BEGIN_ \
	_Pragma("GCC diagnostic push") \
	_Pragma("GCC diagnostic error \"-Wincompatible-pointer-types\"") \
	_Pragma("GCC diagnostic error \"-Wint-conversion\"") \
	_Pragma("GCC diagnostic error \"-Wimplicit-function-declaration\"") \
	TT_STRICT_QUALIFIERS_
#define TT_STRICT_END_ _Pragma("GCC diagnostic pop")
#define TT_STRICT_(call) __extension__({ TT_STRICT_BEGIN_ call; TT_STRICT_END_ })
#endif

#define TT_TASK_PASTE_(a, b) TT_TASK_PASTE_2_(a, b)
#define TT_TASK_PASTE_2_(a, b) a##b##_
#define TT_TASK_HEAD_0_(name) int name(void)
#define TT_TASK_HEAD_N_(name, ...) int name(TT_EACH_COMMA_(TT_PARAM_, __VA_ARGS__))
#define TT_TASK_HEAD_TOO_MANY_(name, ...) int name(void)
#define TT_TASK_DECLARE_TOO_MANY_(name, ...) \
	TT_STATIC_ASSERT_(0, "a task has at most eight parameters")

/* No arguments: nothing is copied, nothing dropped. */
#define TT_TASK_DECLARE_0_(name) \
	int name(void); \
	TT_UNUSED static int tt_run_##name##_(void *tt_args_) \
	{ \
		(void)tt_args_; \
		return name(); \
	} \
	TT_UNUSED static const tt_task_type tt_type_##name##_ = { \
		#name, TT_SITE, 0, 1, tt_run_##name##_, NULL \
	}; \
	TT_UNUSED static inline intptr_t tt_call_##name##_(tt_verb_ *tt_start_, void *tt_on_, \
	                                                   const char *tt_site_) \
	{ \
		return tt_start_(tt_on_, &tt_type_##name##_, NULL, tt_site_); \
	} \
	struct tt_args_##name##_

#define TT_TASK_DECLARE_N_(name, ...) \
	int name(TT_EACH_COMMA_(TT_PARAM_, __VA_ARGS__)); \
	struct tt_args_##name##_ { \
		TT_EACH_(TT_PARAM_FIELD_, __VA_ARGS__) \
	}; \
	TT_PLAIN_DATA_(struct tt_args_##name##_); \
	TT_UNUSED static int tt_run_##name##_(void *tt_raw_) \
	{ \
		struct tt_args_##name##_ *tt_args_ = (struct tt_args_##name##_ *)tt_raw_; \
		return name(TT_EACH_COMMA_(TT_PARAM_UNPACK_, __VA_ARGS__)); \
	} \
	TT_UNUSED static void tt_drop_##name##_(void *tt_raw_) \
	{ \
		struct tt_args_##name##_ *tt_args_ = (struct tt_args_##name##_ *)tt_raw_; \
		(void)tt_args_; \
		TT_EACH_(TT_PARAM_DROP_, __VA_ARGS__) \
	} \
	TT_UNUSED static const tt_task_type tt_type_##name##_ = { \
		#name, TT_SITE, sizeof(struct tt_args_##name##_), \
		__alignof__(struct tt_args_##name##_), tt_run_##name##_, \
		(0 TT_EACH_(TT_PARAM_HAS_DROP_, __VA_ARGS__)) ? tt_drop_##name##_ : NULL \
	}; \
	TT_UNUSED static inline intptr_t tt_call_##name##_( \
		tt_verb_ *tt_start_, void *tt_on_, const char *tt_site_, \
		TT_EACH_COMMA_(TT_PARAM_HIDDEN_, __VA_ARGS__)) \
	{ \
		struct tt_args_##name##_ tt_args_ = { \
			TT_EACH_COMMA_(TT_PARAM_VALUE_, __VA_ARGS__) \
		}; \
		return tt_start_(tt_on_, &tt_type_##name##_, &tt_args_, tt_site_); \
	} \
	struct tt_args_##name##_

/*
 * TT_CALL_(verb, on, name, args...) - hand a task and its arguments to a verb; an intptr_t.
 * Arguments convert as in a call of the function; one of a wrong type is a compile error.
 * An argument may hold commas in braces: only "none" and "some" are told apart.
 */
#define TT_CALL_(verb, on, ...) \
	TT_CALL_PASTE_(TT_CALL_, TT_CALL_ARITY_(__VA_ARGS__))(verb, on, __VA_ARGS__)
#define TT_CALL_PASTE_(a, b) TT_CALL_PASTE_2_(a, b)
#define TT_CALL_PASTE_2_(a, b) a##b##_
#define TT_CALL_0_(verb, on, name) TT_STRICT_(tt_call_##name##_(verb, on, TT_SITE))
#define TT_CALL_N_(verb, on, name, ...) \
	TT_STRICT_(tt_call_##name##_(verb, on, TT_SITE, __VA_ARGS__))
#define TT_CALL_ARITY_(...) \
	TT_ARG_65_(__VA_ARGS__, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, \
	           N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, \
	           N, N, N, N, N, N, N, N, N, N, N, N, N, N, 0, ~)
#define TT_ARG_65_(a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
                   a18, a19, a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, \
                   a33, a34, a35, a36, a37, a38, a39, a40, a41, a42, a43, a44, a45, a46, a47, \
                   a48, a49, a50, a51, a52, a53, a54, a55, a56, a57, a58, a59, a60, a61, a62, \
                   a63, a64, a65, ...) a65

/* A verb's result as an int: one that may be dropped, and one that may not. */
TT_UNUSED static inline int tt_result_(intptr_t tt_value_)
{
	return (int)tt_value_;
}

TT_UNUSED TT_MUST_USE static inline int tt_must_result_(intptr_t tt_value_)
{
	return (int)tt_value_;
}

#endif

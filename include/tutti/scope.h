/* SPDX-License-Identifier: MIT */
/*
 * scope.h - timeouts, shields, and what runs when a block is left.
 *
 * A scope is the code between its opening and its end, with everything it calls and
 * every child started in it. Calls take no timeouts: they obey the scopes around them.
 * Every exit from an open block goes through its end; TT_TRY_IN is the early return.
 *
 * Invariants  Ending a block first ends those opened inside it, innermost first, with the same
 *             rc; a TT_ECANCELED goes outwards as what the inner end made of it: TT_ETIMEDOUT
 *             if the inner time ran out, the code of the child that failed, ...
 *             A timeout counts from the clock itself, so that what the task computed before
 *             is not charged to it.
 * Rejected    Timeout arguments on each call: they restart at each call of a sequence.
 */
#ifndef TUTTI_SCOPE_H
#define TUTTI_SCOPE_H

#include <tutti/base.h>
#include <tutti/task.h>

TT_BEGIN_DECLS

/* Storage of an open scope; lives in the frame that opened it. */
typedef struct tt_scope {
	uint64_t tt_opaque_[24];
} tt_scope;

/* Something another task or thread may cancel; counted. */
typedef struct tt_canceller tt_canceller;

/*
 * tt_scope_end - leave a scope or a shield, and every block opened inside it.
 *
 * Blocks     yes, if a group opened inside is still open; not a checkpoint
 * Returns    rc
 * Cancelled  goes on all the same
 * Errors     TT_ETIMEDOUT instead of TT_ECANCELED if it was this scope's time that ran out and
 *            no outer scope is cancelled; TT_ETIMEDOUT always for a shield whose time ran
 *            out; the code of tt_cancel_with() instead of TT_ECANCELED. The chain names the
 *            scope and its time, or the reason and who cancelled
 * Threads    the task that opened it
 */
TT_API TT_MUST_USE int tt_scope_end(tt_scope *s, int rc);

/*
 * tt_scope_canceller - what others need to cancel a scope that is open.
 *
 * Blocks     no
 * Returns    NULL when out of memory; cancelling a scope that was left does nothing
 * Ownership  the caller's count, given back with tt_canceller_put()
 * Threads    the task that opened the scope
 */
TT_API TT_MUST_USE tt_canceller *tt_scope_canceller(tt_scope *s);

/*
 * tt_canceller_put - give back a canceller.
 *
 * Blocks     no
 * Ownership  takes the caller's count; NULL is fine
 * Threads    any
 */
TT_API void tt_canceller_put(tt_canceller *c);

/*
 * tt_cancel - cancel what the canceller stands for: its checkpoints give TT_ECANCELED
 * from now on. Later cancels of the same scope change nothing. A task that goes on all the
 * same, a thousand such calls in a row without a wait, is reported once on stderr.
 *
 * Blocks     no
 * Threads    any
 */
TT_API void tt_cancel(tt_canceller *c);

/*
 * tt_cancel_with - cancel, and let the end of the scope or group return `code` with this
 * reason in its chain.
 *
 * Blocks     no
 * Errors     aborts for a code that is not negative
 * Threads    any
 */
TT_API TT_PRINTF(3, 4) void tt_cancel_with(tt_canceller *c, int code, const char *fmt, ...);

/*
 * tt_stopping - has a soft cancel been asked for?
 *
 * Blocks     no; not a checkpoint
 * Returns    false outside of tasks
 * Threads    any
 */
TT_API bool tt_stopping(void);

/* ---- seams of the macros below ---- */

enum {
	TT_SCOPE_PLAIN_,      /* a timeout */
	TT_SCOPE_SHIELD_,     /* hides outer cancels until its own time runs out */
	TT_SCOPE_UNTIL_STOP_, /* sees the soft cancel */
	TT_SCOPE_ABSOLUTE_ = 0x100 /* flag: the time is a deadline */
};

/* Opens; gives s back. A time of TT_NEVER has no end, one of 0 or less is over at once. */
TT_API tt_scope *tt_scope_open_(tt_scope *s, int64_t deadline_or_timeout,
                                unsigned kind_and_flags, const char *site);
/* The block was left: nothing to do after tt_scope_end(), misuse before. */
TT_API void tt_scope_leave_(tt_scope *s);
/* Ends the innermost open block of the calling task, which tt_scope_open_() opened. */
TT_API TT_MUST_USE int tt_scope_pop_(int rc);

/* tt_here_ names a different type inside a C block with an open tutti block. */
struct tt_no_block_;
struct tt_in_block_;
typedef struct tt_no_block_ tt_here_;

struct tt_defer_ {
	void (*fn)(void);
	void *arg;
};

TT_UNUSED static inline void tt_defer_run_(struct tt_defer_ *tt_d_)
{
	((void (*)(void *))tt_d_->fn)(tt_d_->arg);
}

TT_END_DECLS

#ifdef __cplusplus
extern "C++" {
template <class A, class B> struct tt_same_ { static constexpr bool value = false; };
template <class A> struct tt_same_<A, A> { static constexpr bool value = true; };
template <class T> struct tt_is_pointer_ { static constexpr bool value = false; };
template <class T> struct tt_is_pointer_<T *> { static constexpr bool value = true; };
template <class T> struct tt_is_pointer_<T *const> { static constexpr bool value = true; };
template <class F> struct tt_defer_cxx_ {
	F tt_fn_;
	~tt_defer_cxx_() { tt_fn_(); }
};
template <class F> tt_defer_cxx_<F> tt_defer_make_(F tt_fn_) { return { tt_fn_ }; }
}
#define TT_NO_BLOCK_HERE_ (tt_same_<tt_here_, struct tt_no_block_>::value)
#else
#define TT_NO_BLOCK_HERE_ __builtin_types_compatible_p(tt_here_ *, struct tt_no_block_ *)
#endif

#define TT_MARK_BLOCK_ \
	_Pragma("GCC diagnostic push") \
	_Pragma("GCC diagnostic ignored \"-Wshadow\"") \
	typedef struct tt_in_block_ tt_here_ TT_UNUSED; \
	_Pragma("GCC diagnostic pop")

#define TT_SCOPE_OPEN_(s, time, kind) \
	TT_MARK_BLOCK_ \
	tt_scope s __attribute__((__cleanup__(tt_scope_leave_), __unused__)), \
		*const tt_open_##s##_ TT_UNUSED = tt_scope_open_(&s, (time), (kind), TT_SITE)

/*
 * TT_SCOPE(s, timeout) - open a scope named s, from here to tt_scope_end(&s, rc). After a
 * case label it needs braces of its own; no label may stand below it in its C block.
 */
#define TT_SCOPE(s, timeout) TT_SCOPE_OPEN_(s, timeout, TT_SCOPE_PLAIN_)

/* TT_SCOPE_UNTIL(s, deadline) - the same, with a point in time. */
#define TT_SCOPE_UNTIL(s, deadline) \
	TT_SCOPE_OPEN_(s, deadline, TT_SCOPE_PLAIN_ | TT_SCOPE_ABSOLUTE_)

/* TT_SHIELD(s, timeout) - hide cancels from outside, for at most this long: for cleanup. */
#define TT_SHIELD(s, timeout) TT_SCOPE_OPEN_(s, timeout, TT_SCOPE_SHIELD_)

#define TT_SCOPED_(time, kind, expr) \
	((void)tt_scope_open_(TT_SCOPE_TEMPORARY_, (time), (kind), TT_SITE), \
	 tt_scope_pop_((expr)))
#ifdef __cplusplus
#define TT_SCOPE_TEMPORARY_ tt_temporary_(tt_scope())
#else
#define TT_SCOPE_TEMPORARY_ (&(tt_scope){ { 0 } })
#endif

/*
 * TT_WITHIN(timeout, expr) - one int expression under a timeout: TT_ETIMEDOUT if it was
 * cut short, else its value. May be nested and stand inside open blocks.
 */
#define TT_WITHIN(timeout, expr) TT_SCOPED_(timeout, TT_SCOPE_PLAIN_, expr)

/* TT_SHIELDED(timeout, expr) - one int expression that outer cancels do not reach. */
#define TT_SHIELDED(timeout, expr) TT_SCOPED_(timeout, TT_SCOPE_SHIELD_, expr)

/*
 * TT_UNTIL_STOP(expr) - one int expression that a soft cancel interrupts: its checkpoints
 * then give TT_ECANCELED, the whole gives TT_ESTOP.
 */
#define TT_UNTIL_STOP(expr) TT_SCOPED_(TT_NEVER, TT_SCOPE_UNTIL_STOP_, expr)

/*
 * TT_DEFER(fn, arg) - call fn(arg) when this C block is left, after the ends of the blocks
 * opened below. arg, a pointer, is evaluated now. Legal only above an open block.
 */
#ifdef __cplusplus
#define TT_DEFER(fn, arg_) \
	static_assert(TT_NO_BLOCK_HERE_, "TT_DEFER stands above the open block, not below it"); \
	auto TT_CAT(tt_defer_, __LINE__) TT_UNUSED = \
		tt_defer_make_([tt_arg_ = (arg_)] { \
			static_assert(tt_is_pointer_<decltype(tt_arg_)>::value, \
			              "TT_DEFER passes one pointer"); \
			fn(tt_arg_); \
		})
#else
#define TT_DEFER(fn, arg_) \
	_Static_assert(TT_NO_BLOCK_HERE_, "TT_DEFER stands above the open block, not below it"); \
	_Static_assert(__builtin_classify_type(arg_) == 5, "TT_DEFER passes one pointer"); \
	struct tt_defer_ TT_CAT(tt_defer_, __LINE__) \
		__attribute__((__cleanup__(tt_defer_run_), __unused__)) = { \
		((void)TT_STRICT_(sizeof((fn(arg_), 0))), (void (*)(void))(fn)), \
		(void *)(arg_) \
	}
#endif

#endif

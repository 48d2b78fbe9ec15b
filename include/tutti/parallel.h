/* SPDX-License-Identifier: MIT */
/*
 * parallel.h - computing on all processors: two calls at once, loops, maps, reductions and
 * sorts over data, on the threads of the compute pool.
 *
 *	TT_TASK(fib, (int, n), (long *, ret))
 *	{
 *		long a, b;
 *
 *		if (n < 2) {
 *			*ret = n;
 *			return 0;
 *		}
 *		TT_TRY(tt_fork2((fib, n - 1, &a), (fib, n - 2, &b)));
 *		*ret = a + b;
 *		return 0;
 *	}
 *
 * A fork costs little more than two calls, so there is no grain to choose: the second call
 * is shared only when a thread has nothing to do (heartbeat scheduling, after Acar,
 * Chargueraud, Guatto, Rainey and Sieczkowski, PLDI 2018).
 *
 * Regions     Every call here is a region: all of it has ended when the call returns, so its
 *             bodies may point into the caller's frame. Regions nest. A thread that waits for
 *             a part of its region runs only what belongs to that part, so a body may hold a
 *             lock across a nested call.
 * Failure     The first failure stops the region: parts that have not begun do not, the others
 *             hear of it from tt_checkpoint(). Its code and chain are the call's; failures of
 *             other parts are its siblings. What completed parts wrote stays.
 * Cancel      the same, with TT_ECANCELED.
 * Bodies      run on pool threads: calls marked "Blocks yes" give TT_EWRONGCTX there, but for
 *             tt_checkpoint() and the calls of this header.
 * Rejected    A deque per thread that every fork pushes to (Cilk, TBB, rayon): three to thirty
 *             times the cost of a fork that nobody takes.
 */
#ifndef TUTTI_PARALLEL_H
#define TUTTI_PARALLEL_H

#include <string.h>

#include <tutti/base.h>
#include <tutti/task.h>

/*
 * tt_fork2((name, args...), (name, args...)) - run two calls, perhaps at the same time. Alone
 * on its thread the left one runs first.
 *
 * Blocks     yes; always a checkpoint
 * Returns    0
 * Cancelled  TT_ECANCELED, after what had begun has ended
 * Errors     the first failure's; a call that has not begun by then does not, and its
 *            destructors run. -ENOMEM, -EAGAIN: no thread could be had
 * Ownership  each function's, from its first instruction
 * Threads    any task, and inside any region
 */
#define tt_fork2(left, right) tt_must_result_(TT_FORK_(TT_FORK_SIDE_ left, TT_FORK_SIDE_ right))

/*
 * tt_par_for(n, name, args...) - call the TT_TASK `name`, whose first two parameters are
 * (size_t, first), (size_t, end), for parts that together are 0 to n, each index once. `args`
 * are the parameters after these two, the same in every part; none may have a destructor.
 * The parts grow until each takes some microseconds, and are halved for idle threads.
 *
 * Blocks     yes; always a checkpoint
 * Returns    0
 * Cancelled  TT_ECANCELED, after what had begun has ended
 * Errors     the first failure's; -ENOMEM, -EAGAIN: no thread could be had
 * Threads    any task, and inside any region
 */
#define tt_par_for(n, ...) \
	tt_must_result_(TT_PAR_LOOP_(tt_verb_par_for_, TT_PAR_COUNT_(n), __VA_ARGS__))

/*
 * tt_par_map(n, in, out, name, args...) - call the TT_TASK `name`, whose first two parameters
 * are pointers to an element of `in` and of `out`, for each of n pairs: out[i] from in[i].
 *
 * Blocks     yes; always a checkpoint
 * Returns    0
 * Cancelled  TT_ECANCELED; which elements of `out` were written is not known
 * Errors     the first failure's; -ENOMEM, -EAGAIN: no thread could be had
 * Threads    any task, and inside any region
 */
#define tt_par_map(n, in, out, ...) \
	tt_must_result_(TT_PAR_MAP_(TT_PAR_SHAPE_(n, sizeof(*(in)), sizeof(*(out))), in, out, __VA_ARGS__))

/*
 * tt_par_reduce(n, acc, (fold, args...), (join, args...)) - fold 0 to n into *acc. What *acc
 * holds at the call is the neutral element: each part starts from a copy of its bytes.
 *
 *	TT_TASK(fold, (size_t, first), (size_t, end), (T *, acc), ...)    items into acc, in order
 *	TT_TASK(join, (T *, left), (T *, right), ...)                     right into left
 *
 * Parts are joined in the order of their indices, so join need be associative only.
 *
 * Blocks     yes; always a checkpoint
 * Returns    0
 * Cancelled  TT_ECANCELED; *acc is untouched
 * Errors     the first failure's, *acc is untouched; -ENOMEM, -EAGAIN: no thread could be had
 * Threads    any task, and inside any region
 */
#define tt_par_reduce(n, acc, fold, join) \
	tt_must_result_(TT_PAR_REDUCE_(TT_PAR_JOIN_(n, acc, TT_FORK_NAMES_ join), acc, TT_FORK_NAMES_ fold))

TT_BEGIN_DECLS

/* ---- seams of the macros: nothing below is for users ---- */

struct tt_par_share_;

/* One side of a fork: the function, and a copy of its arguments. */
typedef struct tt_par_call_ {
	const tt_task_type *type;
	void *args;
} tt_par_call_;

/* The right side of a fork, in the frame of the fork; nobody else knows of it until share is
 * set. All its fields belong to the thread that forked. */
typedef struct tt_par_job_ {
	struct tt_par_job_ *prev, *next;     /* from the oldest to the newest of this thread */
	const tt_task_type *type;
	void *args;
	struct tt_par_share_ *share;         /* once it was shared; NULL before */
} tt_par_job_;

/* What the inline part needs of a pool thread. */
typedef struct tt_par_worker_ {
	tt_par_job_ *tail;                   /* the newest job, or &oldest */
	struct tt_par_beat_ {
		uint32_t v;
	} beat;                              /* others set it: a thread is idle, or something stopped */
	tt_par_job_ oldest;                  /* stands before the oldest job */
} tt_par_worker_;

/* The shape of a loop over arrays. */
typedef struct tt_par_shape_ {
	size_t n, in_size, out_size;
} tt_par_shape_;

typedef struct tt_par_join_ {
	size_t n, size;
	const tt_par_call_ *join;
} tt_par_join_;

/* The calling pool thread; NULL on every other thread. */
extern TT_API __thread tt_par_worker_ *tt_par_here_ __attribute__((__tls_model__("initial-exec")));

TT_API tt_verb_ tt_verb_par_for_;    /* on: size_t; args begin with two size_t */
TT_API tt_verb_ tt_verb_par_map_;    /* on: tt_par_shape_; args begin with two pointers */
TT_API tt_verb_ tt_verb_par_reduce_; /* on: tt_par_join_; args begin with two size_t and a pointer */

/* The rare halves of a fork: it begins outside the pool; the beat was set (a code: it must not
 * run); the right side was shared, the left one failed, or the beat was set meanwhile. */
TT_API int tt_fork2_outside_(const tt_task_type *left, void *left_args, const tt_task_type *right,
                             void *right_args, const char *site);
TT_API int tt_fork2_beat_(tt_par_worker_ *w);
TT_API int tt_fork2_stopped_(tt_par_worker_ *w, tt_par_job_ *job, const tt_task_type *left,
                             void *left_args, int rc);
TT_API int tt_fork2_join_(tt_par_worker_ *w, tt_par_job_ *job, int rc);

TT_UNUSED static inline void tt_par_push_(tt_par_worker_ *tt_w_, tt_par_job_ *tt_job_,
                                          const tt_task_type *tt_type_, void *tt_args_)
{
	tt_job_->type = tt_type_;
	tt_job_->args = tt_args_;
	tt_job_->share = NULL;
	tt_job_->next = NULL;
	tt_job_->prev = tt_w_->tail;
	tt_w_->tail->next = tt_job_;
	tt_w_->tail = tt_job_;
}

TT_UNUSED static inline void tt_par_pop_(tt_par_worker_ *tt_w_, tt_par_job_ *tt_job_)
{
	tt_w_->tail = tt_job_->prev;
	tt_job_->prev->next = NULL;
}

/* The fork. Inlined early and with the functions as arguments of their own, so that both are
 * called directly, and may be inlined in turn. */
TT_UNUSED static inline __attribute__((__always_inline__)) int
tt_fork2_(const tt_task_type *tt_left_type_, int (*tt_left_run_)(void *), void *tt_left_args_,
          const tt_task_type *tt_type_, int (*tt_run_)(void *), void *tt_args_, const char *tt_site_)
{
	tt_par_worker_ *tt_w_ = tt_par_here_;
	tt_par_job_ tt_job_;
	int tt_rc_;

	if (__builtin_expect(tt_w_ == NULL, 0))
		return tt_fork2_outside_(tt_left_type_, tt_left_args_, tt_type_, tt_args_, tt_site_);
	tt_par_push_(tt_w_, &tt_job_, tt_type_, tt_args_);
	/* relaxed: a wish; what stands behind it is read after an exchange. */
	if (__builtin_expect(__atomic_load_n(&tt_w_->beat.v, __ATOMIC_RELAXED) != 0, 0)) {
		tt_rc_ = tt_fork2_beat_(tt_w_);
		if (tt_rc_ < 0)
			return tt_fork2_stopped_(tt_w_, &tt_job_, tt_left_type_, tt_left_args_, tt_rc_);
	}
	tt_rc_ = tt_left_run_(tt_left_args_);
	/* relaxed: as above. */
	if (__builtin_expect(tt_job_.share != NULL || tt_rc_ < 0 ||
	                     __atomic_load_n(&tt_w_->beat.v, __ATOMIC_RELAXED) != 0, 0))
		return tt_fork2_join_(tt_w_, &tt_job_, tt_rc_);
	tt_par_pop_(tt_w_, &tt_job_);
	tt_rc_ = tt_run_(tt_args_);
	return tt_rc_ < 0 ? tt_rc_ : 0;
}

/* on: a tt_par_call_ with room for the arguments behind it; it is the result. */
TT_UNUSED static inline intptr_t tt_verb_fork_hold_(void *tt_on_, const tt_task_type *tt_type_,
                                                    const void *tt_args_, const char *tt_site_)
{
	tt_par_call_ *tt_call_ = (tt_par_call_ *)tt_on_;
	/* Where the arguments stand behind it; an offset known while compiling. */
	size_t tt_at_ = (sizeof(tt_par_call_) + tt_type_->align - 1) / tt_type_->align * tt_type_->align;

	(void)tt_site_;
	if (tt_type_->size > 0)
		memcpy((char *)tt_call_ + tt_at_, tt_args_, tt_type_->size);
	tt_call_->type = tt_type_;
	tt_call_->args = (char *)tt_call_ + tt_at_;
	return (intptr_t)tt_call_;
}

#ifdef __cplusplus
/* on: the left side, held by tt_verb_fork_hold_. type and args are the right side's. */
TT_UNUSED static inline intptr_t tt_verb_fork2_(void *tt_on_, const tt_task_type *tt_type_,
                                                const void *tt_args_, const char *tt_site_)
{
	const tt_par_call_ *tt_left_ = (const tt_par_call_ *)tt_on_;

	return tt_fork2_(tt_left_->type, tt_left_->type->run, tt_left_->args, tt_type_, tt_type_->run,
	                 const_cast<void *>(tt_args_), tt_site_);
}

TT_UNUSED static inline size_t tt_par_count_(size_t tt_n_)
{
	return tt_n_;
}

TT_UNUSED static inline tt_par_shape_ tt_par_shape_of_(size_t tt_n_, size_t tt_in_, size_t tt_out_)
{
	tt_par_shape_ tt_shape_ = { tt_n_, tt_in_, tt_out_ };

	return tt_shape_;
}

TT_UNUSED static inline tt_par_join_ tt_par_join_of_(size_t tt_n_, size_t tt_size_, const void *tt_join_)
{
	tt_par_join_ tt_this_ = { tt_n_, tt_size_, static_cast<const tt_par_call_ *>(tt_join_) };

	return tt_this_;
}
#endif

TT_END_DECLS

#ifdef __cplusplus
extern "C++" {
template <class T> struct tt_par_room_ {
	tt_par_call_ tt_call_;
	T tt_args_;
};
template <class A, class B> struct tt_par_range_ {
	static_assert(sizeof(A) == 0, "the first two parameters are (size_t, first), (size_t, end)");
};
template <> struct tt_par_range_<size_t, size_t> {
	static const int ok = 0;
};
}
#define TT_FORK_ROOM_0_(name) tt_temporary_(tt_par_call_())
#define TT_FORK_ROOM_N_(name) \
	(&tt_temporary_(tt_par_room_<struct tt_args_##name##_>())->tt_call_)
/* Through tt_call_name_, since braces would refuse conversions that a call makes. */
#define TT_FORK_SIDE_(...) (__VA_ARGS__)
#define TT_FORK_(left, right) TT_FORK_2_(TT_FORK_LEFT_ left, TT_FORK_NAMES_ right)
#define TT_FORK_2_(left, ...) TT_CALL_(tt_verb_fork2_, left, __VA_ARGS__)
#define TT_PAR_COUNT_(n) tt_temporary_(tt_par_count_(n))
#define TT_PAR_SHAPE_(...) tt_temporary_(tt_par_shape_of_(__VA_ARGS__))
#define TT_PAR_JOIN_OF_(...) tt_temporary_(tt_par_join_of_(__VA_ARGS__))
#define TT_PAR_RANGE_(name) \
	static_cast<void>(tt_par_range_<decltype(tt_args_##name##_::tt_1_), \
	                                decltype(tt_args_##name##_::tt_2_)>::ok)
#else
#define TT_FORK_ROOM_0_(name) (&(tt_par_call_){ NULL, NULL })
#define TT_FORK_ROOM_N_(name) \
	(&(struct { \
		tt_par_call_ tt_call_; \
		struct tt_args_##name##_ tt_args_; \
	}){ .tt_call_ = { NULL, NULL } }.tt_call_)
/* The unevaluated call counts and checks the arguments: braces alone would take fewer. */
#define TT_FORK_SIDE_(...) \
	TT_CALL_PASTE_(TT_FORK_SIDE_, TT_CALL_ARITY_(__VA_ARGS__))(__VA_ARGS__)
#define TT_FORK_SIDE_0_(name) \
	&tt_type_##name##_, tt_run_##name##_, ((void)sizeof(name()), (void *)0)
#define TT_FORK_SIDE_N_(name, ...) \
	&tt_type_##name##_, tt_run_##name##_, \
		((void)sizeof(name(__VA_ARGS__)), (void *)&(struct tt_args_##name##_){ __VA_ARGS__ })
#define TT_FORK_(...) TT_STRICT_(tt_fork2_(__VA_ARGS__, TT_SITE))
#define TT_PAR_COUNT_(n) (&(size_t){ (n) })
#define TT_PAR_SHAPE_(...) (&(tt_par_shape_){ __VA_ARGS__ })
#define TT_PAR_JOIN_OF_(n, size, join) (&(tt_par_join_){ n, size, (const tt_par_call_ *)(join) })
#define TT_PAR_RANGE_(name) \
	((void)sizeof(struct { \
		_Static_assert( \
			__builtin_types_compatible_p( \
				__typeof__(((struct tt_args_##name##_ *)0)->tt_1_), size_t) && \
				__builtin_types_compatible_p( \
					__typeof__(((struct tt_args_##name##_ *)0)->tt_2_), size_t), \
			"the first two parameters are (size_t, first), (size_t, end)"); \
		int tt_x_; \
	}))
#endif

/* f(...) for a parenthesised `name` or `name, args...`. */
#define TT_FORK_NAMES_(...) __VA_ARGS__
/* Without TT_STRICT_, inside whose braces the room would end; the call around it is strict. */
#define TT_FORK_LEFT_(...) \
	((void *)TT_CALL_PASTE_(TT_FORK_HOLD_, TT_CALL_ARITY_(__VA_ARGS__))(__VA_ARGS__))
#define TT_FORK_HOLD_0_(name) \
	tt_call_##name##_(tt_verb_fork_hold_, TT_FORK_ROOM_0_(name), TT_SITE)
#define TT_FORK_HOLD_N_(name, ...) \
	tt_call_##name##_(tt_verb_fork_hold_, TT_FORK_ROOM_N_(name), TT_SITE, __VA_ARGS__)

#define TT_PAR_LOOP_(verb, on, ...) \
	TT_CALL_PASTE_(TT_PAR_LOOP_, TT_CALL_ARITY_(__VA_ARGS__))(verb, on, __VA_ARGS__)
#define TT_PAR_LOOP_0_(verb, on, name) \
	(TT_PAR_RANGE_(name), TT_CALL_(verb, on, name, (size_t)0, (size_t)0))
#define TT_PAR_LOOP_N_(verb, on, name, ...) \
	(TT_PAR_RANGE_(name), TT_CALL_(verb, on, name, (size_t)0, (size_t)0, __VA_ARGS__))

#define TT_PAR_MAP_(shape, in, out, ...) \
	TT_CALL_PASTE_(TT_PAR_MAP_, TT_CALL_ARITY_(__VA_ARGS__))(shape, in, out, __VA_ARGS__)
#define TT_PAR_MAP_0_(shape, in, out, name) TT_CALL_(tt_verb_par_map_, shape, name, in, out)
#define TT_PAR_MAP_N_(shape, in, out, name, ...) \
	TT_CALL_(tt_verb_par_map_, shape, name, in, out, __VA_ARGS__)

#define TT_PAR_REDUCE_(join, acc, ...) \
	TT_CALL_PASTE_(TT_PAR_REDUCE_, TT_CALL_ARITY_(__VA_ARGS__))(join, acc, __VA_ARGS__)
#define TT_PAR_REDUCE_0_(join, acc, name) TT_PAR_LOOP_N_(tt_verb_par_reduce_, join, name, acc)
#define TT_PAR_REDUCE_N_(join, acc, name, ...) \
	TT_PAR_LOOP_N_(tt_verb_par_reduce_, join, name, acc, __VA_ARGS__)
#define TT_PAR_JOIN_(n, acc, ...) \
	TT_CALL_PASTE_(TT_PAR_JOIN_, TT_CALL_ARITY_(__VA_ARGS__))(n, acc, __VA_ARGS__)
#define TT_PAR_JOIN_0_(n, acc, name) \
	TT_PAR_JOIN_OF_(n, sizeof(*(acc)), TT_FORK_LEFT_(name, acc, acc))
#define TT_PAR_JOIN_N_(n, acc, name, ...) \
	TT_PAR_JOIN_OF_(n, sizeof(*(acc)), TT_FORK_LEFT_(name, acc, acc, __VA_ARGS__))

#include <tutti/sort.h>

#endif

/* SPDX-License-Identifier: MIT */
/*
 * pool.h - a pool of things that are dear to open: connections, sessions, handles.
 *
 *	TT_POOL_TYPE(pg_pool, struct pg);
 *
 *	TT_LEASE(db, pool);                     struct pg *db, back at the end of the C block
 *	TT_TRY(tt_pool_acquire(pool, &db));
 *
 * Who waits is served in order, and obeys the deadlines around it. Opening is a child of the
 * pool, not of who waits: a waiter that is cancelled wastes nothing, what was being opened for
 * it goes to the next one. On its way back an item is asked for its own state: clean, or it is
 * closed. There are never more than `max` items, those being opened and closed included.
 *
 * Every call is a macro that checks the types, over an untyped function of the same name.
 *
 * Invariants  Every item that was opened is closed once, by the pool.
 */
#ifndef TUTTI_POOL_H
#define TUTTI_POOL_H

#include <tutti/base.h>
#include <tutti/task.h>

TT_BEGIN_DECLS

/* The untyped pool; only ever a pointer to one. The member carries the type for the macros. */
typedef union tt_pool {
	void *tt_item;
} tt_pool;

/*
 * What the pool needs to know. open and close are required, zero elsewhere is a good start.
 * The functions are called in tasks, on any worker, and may wait; several may run at once,
 * for different items. Times are in ns, 0: no limit, but for return_max.
 */
typedef struct tt_pool_options {
	const char *name;       /* for reports and chains; copied; NULL: "pool" */
	int (*open)(void *ctx, void **ret_item);     /* 0 and an item that is not NULL, or a code */
	int (*check)(void *ctx, void *item);         /* before it is lent: < 0 closes and replaces it */
	int (*returned)(void *ctx, void *item);      /* it came back: 0 clean, < 0 close it */
	void (*close)(void *ctx, void *item);        /* the last call for this item */
	void (*destroyed)(void *ctx);                /* the last call of all; may not wait */
	void *ctx;
	unsigned max;           /* items at a time; at least 1 */
	unsigned min_idle;      /* so many are kept open and free, as far as max allows */
	int64_t idle_max;       /* free for so long: closed, unless min_idle would not hold */
	int64_t lifetime_max;   /* since it was opened: not lent again; an eighth less by chance */
	int64_t open_max;       /* for one call of open or check */
	int64_t return_max;     /* for one call of returned or close; 0: 5 s */
	int64_t check_after;    /* check only what was free for longer than this */
	int64_t slow_acquire;   /* a wait that took longer is reported on stderr, one a second */
	int64_t leak_after;     /* an item lent for longer is reported on stderr, once, with its
	                         * borrower and the stack that acquired it */
} tt_pool_options;

enum tt_pool_verdict {
	TT_POOL_KEEP,  /* lend it again, if `returned` agrees */
	TT_POOL_CLOSE  /* it is broken */
};

typedef struct tt_pool_stats {
	unsigned max;
	unsigned in_use, idle;          /* lent (or on its way back); free (or being checked) */
	unsigned opening, closing;      /* in_use + idle + opening + closing <= max, but for a resize */
	unsigned waiting;               /* tasks in line */
	uint64_t acquired;              /* leases given */
	uint64_t waited;                /* of those, after a wait */
	uint64_t gave_up;               /* waits that a cancel or a timeout ended */
	uint64_t opened, open_failed;
	uint64_t check_failed, unclean; /* closed because check, because returned said so */
	uint64_t closed;
	uint64_t leaks_reported;
	int64_t wait_total, wait_max;   /* ns, of the leases that were waited for */
} tt_pool_stats;

/*
 * tt_pool_create - make a pool. Its keeper, a task of its own, lives as long as it does.
 *
 * Blocks     no; items are opened in the background and on demand
 * Returns    0
 * Errors     -ENOMEM; -EINVAL without open, close or max, or with min_idle above max
 * Ownership  *ret_pool is the caller's, undone by tt_pool_destroy(); options are copied, ctx lent
 * Threads    any task
 */
TT_API TT_MUST_USE int tt_pool_create(const tt_pool_options *o, tt_pool **ret_pool);

/*
 * tt_pool_destroy - close the pool, wait until every item is back and closed, and free it. Who
 * holds one is named on stderr after 5 s, and then every minute.
 *
 * Blocks     yes; waits through any cancel; not a checkpoint
 * Cancelled  no difference; what is still being opened is cancelled
 * Ownership  taken; NULL is fine. Nobody may call anything of the pool afterwards but the
 *            release of what is lent, and the calls that wait: those end with TT_ECLOSED
 * Threads    any task, once
 */
TT_API void tt_pool_destroy(tt_pool *p);

/*
 * tt_pool_acquire - borrow an item, waiting until one is free or could be opened.
 *
 * Blocks     yes; always a checkpoint, even when an item is free
 * Returns    0
 * Cancelled  TT_ECANCELED, and then nothing was taken; the chain says how the pool stood
 * Errors     what `open` failed with, with its chain: one attempt's failure goes to one waiter,
 *            the first in line; TT_ECLOSED; -ENOMEM
 * Ownership  *ret_item is lent until tt_pool_release()
 * Threads    any task on any worker; served in order
 */
TT_API TT_MUST_USE int tt_pool_acquire(tt_pool *p, void *ret_item);

/*
 * tt_pool_try_acquire - the same, if an item is free that needs no check and nobody waits.
 *
 * Blocks     no; not a checkpoint
 * Returns    0
 * Errors     -EAGAIN; TT_ECLOSED
 * Ownership  as tt_pool_acquire()
 * Threads    any task
 */
TT_API TT_MUST_USE int tt_pool_try_acquire(tt_pool *p, void *ret_item);

/*
 * tt_pool_release - give an item back. With TT_POOL_KEEP the pool asks `returned`, here, behind
 * a shield of return_max; then the next in line gets it, or it waits for one, or it is
 * closed. The caller's error chain is not touched.
 *
 * Blocks     yes, while `returned` does; waits through any cancel; not a checkpoint
 * Cancelled  no difference
 * Errors     aborts for an item that is not lent: released twice, or another pool's
 * Ownership  taken
 * Threads    any task; not necessarily the one that acquired it
 */
TT_API void tt_pool_release(tt_pool *p, void *item, enum tt_pool_verdict v);

/*
 * tt_pool_resize - change how many items there may be. What is too much is closed: free items
 * now, lent ones when they come back.
 *
 * Blocks     no
 * Errors     aborts for 0
 * Threads    any task
 */
TT_API void tt_pool_resize(tt_pool *p, unsigned max);

/*
 * tt_pool_close - lend nothing more: who waits, and who comes, gets TT_ECLOSED. Free items are
 * closed. Closing twice is fine.
 *
 * Blocks     no
 * Threads    any task
 */
TT_API void tt_pool_close(tt_pool *p);

/*
 * tt_pool_drain - tt_pool_close(), and wait until every item has come back and was closed.
 *
 * Blocks     yes; always a checkpoint, even when nothing is left
 * Returns    0
 * Cancelled  TT_ECANCELED; the pool is closed, items may still be out
 * Threads    any task
 */
TT_API TT_MUST_USE int tt_pool_drain(tt_pool *p);

/*
 * tt_pool_stats_read - how the pool stands just now, and what it did so far.
 *
 * Blocks     no
 * Threads    any task
 */
TT_API void tt_pool_stats_read(tt_pool *p, tt_pool_stats *ret_stats);

/* ---- seams of the macros below ---- */

/* ret_pool: where a pointer to a pool goes, whatever its type. */
TT_API TT_MUST_USE int tt_pool_create_(const tt_pool_options *o, void *ret_pool, const char *site);
TT_API TT_MUST_USE int tt_pool_acquire_(tt_pool *p, void *ret_item, const char *site);
TT_API TT_MUST_USE int tt_pool_try_acquire_(tt_pool *p, void *ret_item, const char *site);

/* The storage of TT_LEASE. */
typedef struct tt_lease_ {
	tt_pool *pool;
	void *item; /* the address of the variable */
} tt_lease_;

TT_API void tt_lease_leave_(tt_lease_ *l);

TT_END_DECLS

/* TT_POOL_TYPE(name, T) - declare the type `name` of pools whose items are T *. */
#define TT_POOL_TYPE(name, T) \
	typedef union name { \
		T *tt_item; \
	} name

#ifdef __cplusplus
extern "C++" {
template <class A, class B> struct tt_pool_match_ { static constexpr bool value = false; };
template <class A> struct tt_pool_match_<A, A> { static constexpr bool value = true; };
template <class A> struct tt_pool_match_<void *, A *> { static constexpr bool value = true; };
template <> struct tt_pool_match_<void *, void *> { static constexpr bool value = true; };

template <class P, class A> inline tt_pool *tt_pool_out_(P *p, A *)
{
	static_assert(tt_pool_match_<decltype(p->tt_item), A>::value,
	              "not a pointer to an item of this pool");
	return (tt_pool *)(void *)p;
}
template <class P, class A> inline tt_pool *tt_pool_in_(P *p, A *)
{
	static_assert(tt_pool_match_<decltype(p->tt_item), A *>::value, "not an item of this pool");
	return (tt_pool *)(void *)p;
}
template <class P> inline tt_pool *tt_pool_any_(P *p)
{
	(void)sizeof(p->tt_item);
	return (tt_pool *)(void *)p;
}
template <class P> inline void *tt_pool_ret_(P **ret)
{
	(void)sizeof((*ret)->tt_item);
	return ret;
}
}
#define TT_POOL_OUT_(p, ret) (tt_pool_out_((p), (ret)))
#define TT_POOL_IN_(p, item) (tt_pool_in_((p), (item)))
#define TT_POOL_(p) (tt_pool_any_(p))
#define TT_POOL_RET_(ret) (tt_pool_ret_(ret))
#else
#define TT_POOL_CHECK_(p, text, a, b) \
	(__extension__({ \
		 _Static_assert(__builtin_types_compatible_p(__typeof__((p)->tt_item), void *) || \
		                        __builtin_types_compatible_p(__typeof__(a), __typeof__(b)), \
		                text); \
	 }), \
	 (tt_pool *)(void *)(p))
#define TT_POOL_OUT_(p, ret) \
	TT_POOL_CHECK_(p, "not a pointer to an item of this pool", &(p)->tt_item, (ret))
#define TT_POOL_IN_(p, item) TT_POOL_CHECK_(p, "not an item of this pool", (p)->tt_item, (item))
#define TT_POOL_(p) ((void)sizeof((p)->tt_item), (tt_pool *)(void *)(p))
#define TT_POOL_RET_(ret) ((void)sizeof((*(ret))->tt_item), (void *)(ret))
#endif

/* The typed forms. */
#define tt_pool_create(options, ret) tt_pool_create_((options), TT_POOL_RET_(ret), TT_SITE)
#define tt_pool_destroy(p) (tt_pool_destroy)(TT_POOL_(p))
#define tt_pool_acquire(p, ret) tt_pool_acquire_(TT_POOL_OUT_(p, ret), (ret), TT_SITE)
#define tt_pool_try_acquire(p, ret) tt_pool_try_acquire_(TT_POOL_OUT_(p, ret), (ret), TT_SITE)
#define tt_pool_release(p, item, verdict) (tt_pool_release)(TT_POOL_IN_(p, item), (item), (verdict))
#define tt_pool_resize(p, max) (tt_pool_resize)(TT_POOL_(p), (max))
#define tt_pool_close(p) (tt_pool_close)(TT_POOL_(p))
#define tt_pool_drain(p) (tt_pool_drain)(TT_POOL_(p))
#define tt_pool_stats_read(p, ret) (tt_pool_stats_read)(TT_POOL_(p), (ret))

/*
 * TT_LEASE(item, pool) - declare a pointer `item`, NULL, for an item of the pool; what it holds
 * at the end of the C block is released with TT_POOL_KEEP: the item's own state decides. To
 * release it earlier, or to keep it longer, set it to NULL.
 */
#define TT_LEASE(item, p) \
	__typeof__((p)->tt_item) item = NULL; \
	tt_lease_ tt_lease_##item##_ __attribute__((__cleanup__(tt_lease_leave_), __unused__)) = { \
		TT_POOL_(p), (void *)&item \
	}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * watch.h - the latest value of something, and who wants to hear of changes.
 *
 *	TT_WATCH_TYPE(config_watch, struct config);
 *
 *	config_watch w;
 *	tt_watch_init(&w, &config);
 *
 *	uint64_t seen = 0;                               each reader's own: nothing seen yet
 *	while ((rc = tt_watch_changed(&w, &seen, &config)) > 0)
 *		...                                      the latest value, once for each change
 *
 * Values in between are not kept: a reader that is slow sees the last one. Values are copied
 * byte by byte; what they point to is the program's own concern.
 */
#ifndef TUTTI_WATCH_H
#define TUTTI_WATCH_H

#include <tutti/base.h>
#include <tutti/channel.h>

TT_BEGIN_DECLS

/* The untyped one; the value stands behind it. */
typedef struct tt_watch {
	uint64_t tt_opaque_[8];
} tt_watch;

/*
 * tt_watch_set - make a copy of *p the latest value, and tell everybody who waits.
 *
 * Blocks     no; not a checkpoint
 * Returns    0
 * Errors     TT_ECLOSED
 * Threads    any
 */
TT_API TT_MUST_USE int tt_watch_set(tt_watch *w, const void *p);

/*
 * tt_watch_get - the latest value.
 *
 * Blocks     no; not a checkpoint
 * Returns    the number of the value, from 1: what tt_watch_changed() takes as seen
 * Threads    any
 */
TT_API uint64_t tt_watch_get(tt_watch *w, void *ret_p);

/*
 * tt_watch_changed - wait for a value other than number *seen (0: none was seen), and take
 * the latest.
 *
 * Blocks     yes; always a checkpoint, even when there is a newer value
 * Returns    1: *ret_p is the latest value and *seen its number; 0 closed, nothing newer
 * Cancelled  TT_ECANCELED, and then *seen is as before
 * Threads    any, also plain threads; *seen is the caller's alone
 */
TT_API TT_MUST_USE int tt_watch_changed(tt_watch *w, uint64_t *seen, void *ret_p);

/*
 * tt_watch_close - the value will not change any more. Readers see the latest, then the end.
 *
 * Blocks     no
 * Threads    any
 */
TT_API void tt_watch_close(tt_watch *w);

/*
 * tt_watch_fini - the watch is no longer used.
 *
 * Blocks     no
 * Errors     aborts, naming the task, if one waits
 * Ownership  NULL and one that was never initialised are fine
 * Threads    the last user
 */
TT_API void tt_watch_fini(tt_watch *w);

/* ---- seams of the macros below ---- */

/* value: where the value is kept, behind w. */
TT_API void tt_watch_init_(tt_watch *w, void *value, size_t size, const void *first);

TT_END_DECLS

#ifdef __cplusplus
#define TT_WATCH_STRUCT_(name, ...) struct name { __VA_ARGS__ }
extern "C++" {
template <class P, class W> inline tt_watch *tt_watch_in_(W *w)
{
	static_assert(tt_same_<decltype(&w->tt_value), typename tt_unconst_<P>::type>::value,
	              "not a pointer to a value of this watch");
	return &w->tt_raw;
}
template <class P, class W> inline tt_watch *tt_watch_out_(W *w)
{
	static_assert(tt_same_<decltype(&w->tt_value), P>::value, "not a pointer to a value of this watch");
	return &w->tt_raw;
}
template <class W> inline void tt_watch_init_typed_(W *w, decltype(&((const W *)w)->tt_value) first)
{
	tt_watch_init_(&w->tt_raw, &w->tt_value, tt_chan_elem_size_(&w->tt_value), first);
}
}
#define TT_WATCH_IN_(w, ...) (tt_watch_in_<decltype(tt_pointer_(__VA_ARGS__))>(w))
#define TT_WATCH_OUT_(w, p) (tt_watch_out_<decltype(tt_pointer_(p))>(w))
#define TT_WATCH_INIT_(w, ...) tt_watch_init_typed_((w), (__VA_ARGS__))
#else
#define TT_WATCH_STRUCT_(name, ...) typedef struct name { __VA_ARGS__ } name
#define TT_WATCH_CHECK_(w, ...) \
	(__extension__({ \
		 _Static_assert(__VA_ARGS__, "not a pointer to a value of this watch"); \
	 }), \
	 &(w)->tt_raw)
#define TT_WATCH_IN_(w, ...) \
	TT_WATCH_CHECK_(w, (TT_SAME_(&(w)->tt_value, TT_POINTER_(__VA_ARGS__)) || \
	                    TT_SAME_((__typeof__((w)->tt_value) const *)NULL, TT_POINTER_(__VA_ARGS__))))
#define TT_WATCH_OUT_(w, p) TT_WATCH_CHECK_(w, TT_SAME_(&(w)->tt_value, TT_POINTER_(p)))
#define TT_WATCH_INIT_(w, ...) \
	tt_watch_init_(TT_WATCH_IN_(w, __VA_ARGS__), &(w)->tt_value, sizeof((w)->tt_value), __VA_ARGS__)
#endif

/*
 * TT_WATCH_TYPE(name, T) - declare the type `name` of a watch of a T. At file scope or in a
 * block. The value is inside, so that nothing is allocated.
 */
#define TT_WATCH_TYPE(name, T) TT_WATCH_STRUCT_(name, tt_watch tt_raw; T tt_value;)

/*
 * tt_watch_init(w, p) - make a watch whose first value is a copy of *p.
 *
 * Blocks     no
 * Ownership  undone by tt_watch_fini()
 */
#define tt_watch_init(w, ...) TT_WATCH_INIT_(w, __VA_ARGS__)

/* The typed forms. */
#define tt_watch_set(w, ...) (tt_watch_set)(TT_WATCH_IN_(w, __VA_ARGS__), __VA_ARGS__)
#define tt_watch_get(w, p) (tt_watch_get)(TT_WATCH_OUT_(w, p), (p))
#define tt_watch_changed(w, seen, p) (tt_watch_changed)(TT_WATCH_OUT_(w, p), (seen), (p))
#define tt_watch_close(w) (tt_watch_close)(&(w)->tt_raw)
#define tt_watch_fini(w) (tt_watch_fini)((tt_watch *)(void *)(w))

#endif

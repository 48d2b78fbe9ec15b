/* SPDX-License-Identifier: MIT */
/*
 * broadcast.h - every subscriber sees every item.
 *
 *	TT_BROADCAST_TYPE(news, struct item);            also makes the type news_sub
 *
 *	news n;
 *	news_sub sub;
 *	TT_TRY(tt_broadcast_init(&n, 64));
 *	tt_subscribe(&n, &sub);                          sees what is sent from now on
 *	while ((rc = tt_broadcast_recv(&sub, &item, &missed)) != 0)
 *		...                                      1 an item, TT_EOVERFLOW: fell behind
 *
 * A ring of the last `count` items. Sending never waits, so a subscriber that is slower than
 * that falls behind: it is told so, with the number of items it missed, and goes on with the
 * oldest one that is still there. Items are copied to each subscriber byte by byte; what
 * they point to is nobody's: counted references or plain values.
 *
 * Rejected    Waiting for the slowest subscriber: one that sleeps would stop all; where
 *             nothing may be missed, give each reader a channel of its own.
 */
#ifndef TUTTI_BROADCAST_H
#define TUTTI_BROADCAST_H

#include <tutti/base.h>
#include <tutti/channel.h>

TT_BEGIN_DECLS

/* The untyped ones. All members but the first only carry types for the macros. */
typedef union tt_broadcast {
	uint64_t tt_opaque_[12];
	void *tt_elem;
	void const *tt_celem;
} tt_broadcast;

typedef union tt_subscriber {
	uint64_t tt_opaque_[4];
	void *tt_elem;
} tt_subscriber;

/*
 * tt_broadcast_send - put a copy of *p where every subscriber finds it.
 *
 * Blocks     no; not a checkpoint
 * Returns    0, also without any subscriber
 * Errors     TT_ECLOSED
 * Threads    any
 */
TT_API TT_MUST_USE int tt_broadcast_send(tt_broadcast *b, const void *p);

/*
 * tt_subscribe - see everything that is sent from now on. Nothing has to be undone.
 *
 * Blocks     no
 * Threads    any; the subscriber is used by one task at a time
 */
TT_API void tt_subscribe(tt_broadcast *b, tt_subscriber *ret_sub);

/*
 * tt_broadcast_recv - take the next item, waiting until there is one.
 *
 * Blocks     yes; always a checkpoint, even when an item is ready
 * Returns    1 an item, 0 closed and all was seen
 * Cancelled  TT_ECANCELED, and then nothing was taken
 * Errors     TT_EOVERFLOW: *ret_missed items (NULL: not asked for) came and went before this
 *            subscriber took them; the next call gives the oldest that is there
 * Ownership  the copy is the caller's
 * Threads    any, also plain threads; one at a time for each subscriber
 */
TT_API TT_MUST_USE int tt_broadcast_recv(tt_subscriber *sub, void *ret_p, uint64_t *ret_missed);

/*
 * tt_broadcast_try_recv - the same, without waiting.
 *
 * Blocks     no; not a checkpoint
 * Returns    1 an item, 0 closed and all was seen
 * Errors     -EAGAIN when there is none; TT_EOVERFLOW
 * Ownership  the copy is the caller's
 * Threads    any; one at a time for each subscriber
 */
TT_API TT_MUST_USE int tt_broadcast_try_recv(tt_subscriber *sub, void *ret_p, uint64_t *ret_missed);

/*
 * tt_broadcast_missed - how many items this subscriber missed since it subscribed.
 *
 * Blocks     no
 * Returns    the sum of what TT_EOVERFLOW told
 * Threads    the subscriber's user
 */
TT_API uint64_t tt_broadcast_missed(const tt_subscriber *sub);

/*
 * tt_broadcast_close - no more sends. Subscribers see what is there, then the end.
 *
 * Blocks     no
 * Threads    any
 */
TT_API void tt_broadcast_close(tt_broadcast *b);

/*
 * tt_broadcast_fini - give back the memory. Its subscribers are not used any more.
 *
 * Blocks     no
 * Errors     aborts, naming the task, if one waits
 * Ownership  NULL and one that was never initialised are fine
 * Threads    the last user
 */
TT_API void tt_broadcast_fini(tt_broadcast *b);

/* ---- seams of the macros below ---- */

/* 0, -ENOMEM, or -EINVAL for a count of 0 and when the size overflows. */
TT_API TT_MUST_USE int tt_broadcast_init_(tt_broadcast *b, size_t count, size_t elem_size);

TT_END_DECLS

/*
 * TT_BROADCAST_TYPE(name, T) - declare the type `name` of a broadcast of items of type T, and
 * `name_sub`, that of its subscribers. At file scope or in a block.
 */
#ifdef __cplusplus
#define TT_BROADCAST_UNION_(name, raw, ...) union name { raw tt_raw; __VA_ARGS__ }
extern "C++" {
template <class B, class S> inline tt_subscriber *tt_sub_of_(B *b, S *sub)
{
	static_assert(tt_chan_match_<decltype(b->tt_elem), decltype(sub->tt_elem)>::value,
	              "a subscriber of another broadcast type");
	return (tt_subscriber *)(void *)sub;
}
template <class P, class S> inline tt_subscriber *tt_sub_out_(S *sub)
{
	static_assert(tt_chan_match_<decltype(sub->tt_elem), P>::value,
	              "not a pointer to an item of this broadcast");
	return (tt_subscriber *)(void *)sub;
}
template <class P, class B> inline tt_broadcast *tt_broadcast_in_(B *b)
{
	static_assert(tt_chan_match_<decltype(b->tt_elem), typename tt_unconst_<P>::type>::value,
	              "not a pointer to an item of this broadcast");
	return (tt_broadcast *)(void *)b;
}
template <class B> inline tt_broadcast *tt_broadcast_any_(B *b)
{
	(void)sizeof(b->tt_celem);
	return (tt_broadcast *)(void *)b;
}
template <class B> TT_MUST_USE inline int tt_broadcast_init_typed_(B *b, size_t count)
{
	static_assert(!tt_same_<B, tt_broadcast>::value, "tt_broadcast_init of an untyped broadcast");
	return tt_broadcast_init_(&b->tt_raw, count, tt_chan_elem_size_(decltype(b->tt_elem)()));
}
}
#define TT_BROADCAST_(b) (tt_broadcast_any_(b))
#define TT_BROADCAST_IN_(b, ...) (tt_broadcast_in_<decltype(tt_pointer_(__VA_ARGS__))>(b))
#define TT_SUB_OF_(b, sub) (tt_sub_of_((b), (sub)))
#define TT_SUB_OUT_(sub, p) (tt_sub_out_<decltype(tt_pointer_(p))>(sub))
#define TT_BROADCAST_INIT_(b, count) tt_broadcast_init_typed_((b), (count))
#else
#define TT_BROADCAST_UNION_(name, raw, ...) typedef union name { raw tt_raw; __VA_ARGS__ } name
#define TT_BROADCAST_(b) ((void)sizeof((b)->tt_celem), (tt_broadcast *)(void *)(b))
#define TT_BROADCAST_IN_(b, ...) \
	(__extension__({ \
		 _Static_assert(TT_CHAN_UNTYPED_(b) || TT_SAME_((b)->tt_elem, TT_POINTER_(__VA_ARGS__)) || \
		                        TT_SAME_((b)->tt_celem, TT_POINTER_(__VA_ARGS__)), \
		                "not a pointer to an item of this broadcast"); \
	 }), \
	 (tt_broadcast *)(void *)(b))
#define TT_SUB_OF_(b, sub) \
	(__extension__({ \
		 _Static_assert(TT_CHAN_UNTYPED_(b) || TT_SAME_((b)->tt_elem, (sub)->tt_elem), \
		                "a subscriber of another broadcast type"); \
	 }), \
	 (tt_subscriber *)(void *)(sub))
#define TT_SUB_OUT_(sub, p) \
	(__extension__({ \
		 _Static_assert(TT_CHAN_UNTYPED_(sub) || TT_SAME_((sub)->tt_elem, TT_POINTER_(p)), \
		                "not a pointer to an item of this broadcast"); \
	 }), \
	 (tt_subscriber *)(void *)(sub))
#define TT_BROADCAST_INIT_(b, count) \
	(__extension__({ \
		 _Static_assert(!TT_CHAN_UNTYPED_(b), "tt_broadcast_init of an untyped broadcast"); \
	 }), \
	 tt_broadcast_init_((tt_broadcast *)(void *)(b), (count), sizeof(*(b)->tt_elem)))
#endif
#define TT_BROADCAST_TYPE(name, T) \
	TT_BROADCAST_UNION_(name, tt_broadcast, T *tt_elem; T const *tt_celem;); \
	TT_BROADCAST_UNION_(name##_sub, tt_subscriber, T *tt_elem;)

/*
 * tt_broadcast_init(b, count) - make a broadcast that keeps the last `count` items.
 *
 * Blocks     no
 * Returns    0
 * Errors     -ENOMEM; -EINVAL for a count of 0 and when the size overflows
 * Ownership  undone by tt_broadcast_fini()
 */
#define tt_broadcast_init(b, count) TT_BROADCAST_INIT_(b, count)

/* The typed forms. */
#define tt_broadcast_send(b, ...) (tt_broadcast_send)(TT_BROADCAST_IN_(b, __VA_ARGS__), __VA_ARGS__)
#define tt_subscribe(b, sub) (tt_subscribe)(TT_BROADCAST_(b), TT_SUB_OF_(b, sub))
#define tt_broadcast_recv(sub, p, ret_missed) \
	(tt_broadcast_recv)(TT_SUB_OUT_(sub, p), (p), (ret_missed))
#define tt_broadcast_try_recv(sub, p, ret_missed) \
	(tt_broadcast_try_recv)(TT_SUB_OUT_(sub, p), (p), (ret_missed))
#define tt_broadcast_missed(sub) \
	((void)sizeof((sub)->tt_elem), (tt_broadcast_missed)((const tt_subscriber *)(const void *)(sub)))
#define tt_broadcast_close(b) (tt_broadcast_close)(TT_BROADCAST_(b))
#define tt_broadcast_fini(b) (tt_broadcast_fini)(TT_BROADCAST_(b))

#endif

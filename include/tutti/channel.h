/* SPDX-License-Identifier: MIT */
/*
 * channel.h - bounded typed channels.
 *
 *	TT_CHAN_TYPE(item_chan, struct item);
 *
 *	item_chan ch;
 *	TT_TRY(tt_chan_init(&ch, 64));
 *
 * An object with init and fini, embedded or static; the capacity is required, so an
 * unbounded queue cannot be written. Capacity 0 is a rendezvous. A wrong element type does
 * not compile. Either side may close: senders then fail with TT_ECLOSED, receivers drain
 * what is there first. A failed send leaves the item with the sender.
 *
 * Every call is a macro that checks the types, over an untyped function of the same name,
 * which bindings reach as (tt_send)(&ch.tt_raw, p).
 *
 * Threads     all calls, from any task on any worker and from plain threads, where the
 *             waiting ones block the thread. Both sides are served in order.
 */
#ifndef TUTTI_CHANNEL_H
#define TUTTI_CHANNEL_H

#include <tutti/base.h>
#include <tutti/scope.h>

TT_BEGIN_DECLS

/* The untyped channel. All members but the first only carry types for the macros. */
typedef union tt_chan {
	uint64_t tt_opaque_[24];
	void *tt_elem;
	void const *tt_celem;
	char (*tt_key)[1];
} tt_chan;

/*
 * tt_send - put a copy of *p at the end, waiting while the channel is full.
 *
 * Blocks     yes; always a checkpoint, even when there is room
 * Returns    0
 * Cancelled  TT_ECANCELED, and then nothing was sent
 * Errors     TT_ECLOSED
 * Ownership  on success the item is the channel's, else still the caller's
 * Threads    any; waiting senders are served in order
 */
TT_API TT_MUST_USE int tt_send(tt_chan *ch, const void *p);

/*
 * tt_try_send - the same, without waiting.
 *
 * Blocks     no; not a checkpoint
 * Returns    0
 * Errors     -EAGAIN when full; TT_ECLOSED
 * Ownership  on success the item is the channel's, else still the caller's
 * Threads    any
 */
TT_API TT_MUST_USE int tt_try_send(tt_chan *ch, const void *p);

/*
 * tt_give - tt_send(), but the item is gone whatever happens: a failed send destroys it.
 *
 * Blocks     yes; always a checkpoint, even when there is room
 * Returns    0
 * Cancelled  TT_ECANCELED; nothing was sent, the item was destroyed
 * Errors     TT_ECLOSED
 * Ownership  taken, always
 * Threads    any
 */
TT_API TT_MUST_USE int tt_give(tt_chan *ch, const void *p);

/*
 * tt_recv - take the oldest item, waiting until there is one.
 *
 * Blocks     yes; always a checkpoint, even when an item is ready
 * Returns    1 an item, 0 closed and empty
 * Cancelled  TT_ECANCELED, and then nothing was taken
 * Ownership  on success the item is the caller's
 * Threads    any; waiting receivers are served in order
 */
TT_API TT_MUST_USE int tt_recv(tt_chan *ch, void *ret_p);

/*
 * tt_try_recv - the same, without waiting.
 *
 * Blocks     no; not a checkpoint
 * Returns    1 an item, 0 closed and empty
 * Errors     -EAGAIN when empty
 * Ownership  on success the item is the caller's
 * Threads    any
 */
TT_API TT_MUST_USE int tt_try_recv(tt_chan *ch, void *ret_p);

/*
 * tt_recv_many - take up to max items: wait for the first, then at most `linger` for more.
 *
 * Blocks     yes; always a checkpoint, even when items are ready
 * Returns    how many, at least 1; 0 closed and empty
 * Cancelled  TT_ECANCELED, only if nothing was taken
 * Ownership  the items are the caller's
 * Threads    any
 * Units      linger in ns; 0: take what is there
 */
TT_API TT_MUST_USE int tt_recv_many(tt_chan *ch, void *ret_buf, size_t max, int64_t linger);

/*
 * tt_try_recv_many - take up to max items that are there.
 *
 * Blocks     no; not a checkpoint
 * Returns    how many, at least 1; 0 closed and empty
 * Errors     -EAGAIN when empty
 * Ownership  the items are the caller's
 * Threads    any
 */
TT_API TT_MUST_USE int tt_try_recv_many(tt_chan *ch, void *ret_buf, size_t max);

/*
 * tt_send_many - send n items in order, waiting for room as often as needed.
 *
 * Blocks     yes; always a checkpoint
 * Returns    0: all were sent
 * Cancelled  TT_ECANCELED; *ret_done says how many were sent
 * Errors     TT_ECLOSED; *ret_done says how many were sent
 * Ownership  the first *ret_done are the channel's, the others still the caller's
 * Threads    any; other senders may come in between
 */
TT_API TT_MUST_USE int tt_send_many(tt_chan *ch, const void *p, size_t n, size_t *ret_done);

/*
 * tt_chan_close - no more sends. Closing twice is fine.
 *
 * Blocks     no
 * Threads    any
 */
TT_API void tt_chan_close(tt_chan *ch);

/*
 * tt_chan_fini - destroy the items that are left, and give back the memory.
 *
 * Blocks     no
 * Errors     aborts, naming the task, if one waits on the channel
 * Ownership  NULL and one that was never initialised are fine
 * Threads    the last user
 */
TT_API void tt_chan_fini(tt_chan *ch);

/*
 * tt_chan_len - how many items are in it just now.
 *
 * Blocks     no
 * Returns    from 0 to the capacity
 * Threads    any; a snapshot
 */
TT_API size_t tt_chan_len(const tt_chan *ch);

/* ---- seams of the macros below ---- */

/* destroy may be NULL. 0, -ENOMEM, or -EINVAL when count * elem_size overflows. */
TT_API TT_MUST_USE int tt_chan_init_(tt_chan *ch, size_t count, size_t elem_size,
                                     void (*destroy)(void *elem));
/* Counts a producer; gives ch back. */
TT_API tt_chan *tt_chan_producer_(tt_chan *ch);
/* Discounts it; the last one closes. */
TT_API void tt_chan_producer_leave_(tt_chan **ch);

TT_END_DECLS

/*
 * TT_CHAN_TYPE(name, T) - declare the channel type `name` of items of type T. At file scope
 * or in a block.
 *
 * TT_CHAN_TYPE_WITH(name, T, destructor) - the same; destructor(item), by value like a
 * task's argument, is called for items that nobody took. At file scope.
 */
#ifdef __cplusplus
#define TT_CHAN_TYPE(name, T) \
	union name { \
		tt_chan tt_raw; \
		T *tt_elem; \
		T const *tt_celem; \
		static void (*tt_destroyer_(void))(void *) { return NULL; } \
	}
#define TT_CHAN_TYPE_WITH(name, T, destructor) \
	union name { \
		tt_chan tt_raw; \
		T *tt_elem; \
		T const *tt_celem; \
		static void tt_destroy_(void *tt_p_) { (destructor)(*(T *)tt_p_); } \
		static void (*tt_destroyer_(void))(void *) { return tt_destroy_; } \
	}

extern "C++" {
template <class A, class B> struct tt_chan_match_ { static constexpr bool value = false; };
template <class A> struct tt_chan_match_<A *, A *> { static constexpr bool value = true; };
template <class A> struct tt_chan_match_<void *, A *> { static constexpr bool value = true; };
template <> struct tt_chan_match_<void *, void *> { static constexpr bool value = true; };
template <class A> struct tt_unconst_ { typedef A type; };
template <class A> struct tt_unconst_<const A *> { typedef A *type; };
template <class P> P *tt_pointer_(P *);

template <class P, class C> inline tt_chan *tt_chan_in_(C *ch)
{
	static_assert(tt_chan_match_<decltype(ch->tt_elem), typename tt_unconst_<P>::type>::value,
	              "not a pointer to an item of this channel");
	return (tt_chan *)(void *)ch;
}
template <class P, class C> inline tt_chan *tt_chan_out_(C *ch)
{
	static_assert(tt_chan_match_<decltype(ch->tt_elem), P>::value,
	              "not a pointer to an item of this channel");
	return (tt_chan *)(void *)ch;
}
template <class C> inline tt_chan *tt_chan_any_(C *ch)
{
	(void)sizeof(ch->tt_elem);
	return (tt_chan *)(void *)ch;
}
template <class C> inline const tt_chan *tt_chan_any_(const C *ch)
{
	(void)sizeof(ch->tt_elem);
	return (const tt_chan *)(const void *)ch;
}
template <class T> constexpr size_t tt_chan_elem_size_(T *)
{
	static_assert(__is_trivially_copyable(T), "items are copied byte by byte");
	return sizeof(T);
}
template <class C> TT_MUST_USE inline int tt_chan_init_typed_(C *ch, size_t count)
{
	static_assert(!tt_same_<C, tt_chan>::value, "tt_chan_init of an untyped channel");
	return tt_chan_init_(&ch->tt_raw, count, tt_chan_elem_size_(decltype(ch->tt_elem)()),
	                     C::tt_destroyer_());
}
}
#define TT_CHAN_IN_(ch, ...) (tt_chan_in_<decltype(tt_pointer_(__VA_ARGS__))>(ch))
#define TT_CHAN_OUT_(ch, p) (tt_chan_out_<decltype(tt_pointer_(p))>(ch))
#define TT_CHAN_(ch) (tt_chan_any_(ch))
#define TT_CONST_CHAN_(ch) (tt_chan_any_(ch))
#define TT_CHAN_INIT_(ch, count) tt_chan_init_typed_((ch), (count))

#else /* C */

/*
 * A C type cannot carry a function, but it can carry a number: `key` is unique in this
 * translation unit and finds the destructor in the unit's own list, made before main().
 */
struct tt_destroyer_ {
	struct tt_destroyer_ *next;
	size_t key;
	void (*destroy)(void *elem);
};

TT_UNUSED static struct tt_destroyer_ *tt_destroyers_;

TT_UNUSED static inline void (*tt_destroyer_of_(size_t tt_key_))(void *)
{
	struct tt_destroyer_ *tt_d_;

	if (tt_key_ == 1)
		return NULL;
	for (tt_d_ = tt_destroyers_; tt_d_ != NULL; tt_d_ = tt_d_->next)
		if (tt_d_->key == tt_key_)
			return tt_d_->destroy;
	__builtin_trap(); /* tt_chan_init() in a constructor that ran too early */
}

#define TT_CHAN_TYPE(name, T) TT_CHAN_UNION_(name, T, 1)
#define TT_CHAN_UNION_(name, T, key) \
	typedef union name { \
		tt_chan tt_raw; \
		T *tt_elem; \
		T const *tt_celem; \
		char (*tt_key)[key]; \
	} name
#define TT_CHAN_TYPE_WITH(name, T, destructor) \
	TT_CHAN_TYPE_KEYED_(name, T, destructor, __COUNTER__ + 2)
#define TT_CHAN_TYPE_KEYED_(name, T, destructor, key_) \
	TT_CHAN_UNION_(name, T, key_); \
	TT_UNUSED static void tt_destroy_##name##_(void *tt_p_) \
	{ \
		(destructor)(*(T *)tt_p_); \
	} \
	__attribute__((constructor(101))) static void tt_enlist_##name##_(void) \
	{ \
		static struct tt_destroyer_ tt_d_ = { NULL, key_, tt_destroy_##name##_ }; \
		tt_d_.next = tt_destroyers_; \
		tt_destroyers_ = &tt_d_; \
	} \
	struct tt_destroyer_

#define TT_SAME_(a, ...) __builtin_types_compatible_p(__typeof__(a), __typeof__(__VA_ARGS__))
/* The conditional decays an array to a pointer. */
#define TT_POINTER_(...) (1 ? (__VA_ARGS__) : (__VA_ARGS__))
#define TT_CHAN_UNTYPED_(ch) __builtin_types_compatible_p(__typeof__((ch)->tt_elem), void *)
#define TT_CHAN_CHECK_(ch, ...) \
	(__extension__({ \
		 _Static_assert(TT_CHAN_UNTYPED_(ch) || __VA_ARGS__, \
		                "not a pointer to an item of this channel"); \
	 }), \
	 (tt_chan *)(void *)(ch))
#define TT_CHAN_IN_(ch, ...) \
	TT_CHAN_CHECK_(ch, (TT_SAME_((ch)->tt_elem, TT_POINTER_(__VA_ARGS__)) || \
	                    TT_SAME_((ch)->tt_celem, TT_POINTER_(__VA_ARGS__))))
#define TT_CHAN_OUT_(ch, p) TT_CHAN_CHECK_(ch, TT_SAME_((ch)->tt_elem, TT_POINTER_(p)))
#define TT_CHAN_(ch) ((void)sizeof((ch)->tt_elem), (tt_chan *)(void *)(ch))
#define TT_CONST_CHAN_(ch) ((void)sizeof((ch)->tt_elem), (const tt_chan *)(const void *)(ch))
#define TT_CHAN_INIT_(ch, count) \
	(__extension__({ \
		 _Static_assert(!TT_CHAN_UNTYPED_(ch), "tt_chan_init of an untyped channel"); \
	 }), \
	 tt_chan_init_((tt_chan *)(void *)(ch), (count), sizeof(*(ch)->tt_elem), \
	               tt_destroyer_of_(sizeof(*(ch)->tt_key))))
#endif

/*
 * tt_chan_init(ch, count) - make a channel for up to `count` items; 0: a rendezvous.
 *
 * Blocks     no
 * Returns    0
 * Errors     -ENOMEM; -EINVAL when the size overflows
 * Ownership  undone by tt_chan_fini()
 */
#define tt_chan_init(ch, count) TT_CHAN_INIT_(ch, count)

/* The typed forms. An item may be written in place, with commas in its braces (in C). */
#define tt_send(ch, ...) (tt_send)(TT_CHAN_IN_(ch, __VA_ARGS__), __VA_ARGS__)
#define tt_try_send(ch, ...) (tt_try_send)(TT_CHAN_IN_(ch, __VA_ARGS__), __VA_ARGS__)
#define tt_give(ch, ...) (tt_give)(TT_CHAN_IN_(ch, __VA_ARGS__), __VA_ARGS__)
#define tt_recv(ch, p) (tt_recv)(TT_CHAN_OUT_(ch, p), (p))
#define tt_try_recv(ch, p) (tt_try_recv)(TT_CHAN_OUT_(ch, p), (p))
#define tt_recv_many(ch, buf, max, linger) \
	(tt_recv_many)(TT_CHAN_OUT_(ch, buf), (buf), (max), (linger))
#define tt_try_recv_many(ch, buf, max) (tt_try_recv_many)(TT_CHAN_OUT_(ch, buf), (buf), (max))
#define tt_send_many(ch, p, n, ret_done) \
	(tt_send_many)(TT_CHAN_IN_(ch, p), (p), (n), (ret_done))
#define tt_chan_close(ch) (tt_chan_close)(TT_CHAN_(ch))
#define tt_chan_fini(ch) (tt_chan_fini)(TT_CHAN_(ch))
#define tt_chan_len(ch) (tt_chan_len)(TT_CONST_CHAN_(ch))

/*
 * TT_CLOSE_AT_END(ch) - count this C block as a producer until it is left; when the last one
 * is left, the channel is closed. Where producers start one by one, the owner that starts
 * them counts itself too, above its group: the channel cannot close between two of them.
 */
#define TT_CLOSE_AT_END(ch) \
	tt_chan *TT_CAT(tt_producer_, __LINE__) \
		__attribute__((cleanup(tt_chan_producer_leave_), unused)) = \
			tt_chan_producer_(TT_CHAN_(ch))

#endif

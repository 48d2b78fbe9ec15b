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
 * unbounded queue cannot be written. Capacity 0 is a rendezvous. Items of very different
 * sizes are bounded in bytes as well: TT_CHAN_TYPE_SIZED, tt_chan_init_bytes(). A wrong element type does
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
	char (*tt_sized)[1];
} tt_chan;

/* Room for one item that is the holder's: see tt_reserve(). Zero: empty. */
typedef struct tt_slot {
	tt_chan *tt_chan_;
	uint64_t tt_weight_;
} tt_slot;

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
 * tt_reserve - get a slot: room for one item, before the work that makes the item.
 *
 *	TT_SLOT(slot, ch);
 *	TT_TRY(tt_reserve(ch, &slot));
 *	...                              early returns give the room back
 *	tt_slot_send(&slot, &item);      never waits, never fails
 *
 * Blocks     yes; always a checkpoint, even when there is room
 * Returns    0
 * Cancelled  TT_ECANCELED, and then no room was taken
 * Errors     TT_ECLOSED; -EINVAL for a rendezvous, and for a channel bounded in bytes
 * Ownership  the slot is used by tt_slot_send() or given back by tt_slot_drop(); the channel
 *            may be closed meanwhile: receivers see its end only when every slot is back
 * Threads    any; served in order, in one line with waiting senders
 */
TT_API TT_MUST_USE int tt_reserve(tt_chan *ch, tt_slot *ret_slot);

/*
 * tt_reserve_bytes - the same for an item of at most so many bytes.
 *
 * Blocks     yes; always a checkpoint, even when there is room
 * Returns    0
 * Cancelled  TT_ECANCELED, and then no room was taken
 * Errors     TT_ECLOSED; -EINVAL for a rendezvous
 * Ownership  as tt_reserve()
 * Threads    any; served in order, in one line with waiting senders
 * Units      bytes, as the type's size function counts; no matter without a bound in bytes
 */
TT_API TT_MUST_USE int tt_reserve_bytes(tt_chan *ch, size_t bytes, tt_slot *ret_slot);

/*
 * tt_try_reserve - tt_reserve() without waiting.
 *
 * Blocks     no; not a checkpoint
 * Returns    0
 * Errors     -EAGAIN when full; else as tt_reserve()
 * Ownership  as tt_reserve()
 * Threads    any
 */
TT_API TT_MUST_USE int tt_try_reserve(tt_chan *ch, tt_slot *ret_slot);

/*
 * tt_try_reserve_bytes - tt_reserve_bytes() without waiting.
 *
 * Blocks     no; not a checkpoint
 * Returns    0
 * Errors     -EAGAIN when full; else as tt_reserve_bytes()
 * Ownership  as tt_reserve()
 * Threads    any
 * Units      bytes
 */
TT_API TT_MUST_USE int tt_try_reserve_bytes(tt_chan *ch, size_t bytes, tt_slot *ret_slot);

/*
 * tt_slot_send - put a copy of *p into the room that was reserved. The slot is empty then.
 *
 * Blocks     no; not a checkpoint
 * Errors     aborts for an empty slot, and for an item of more bytes than were reserved
 * Ownership  the item is the channel's, also when it was closed meanwhile
 * Threads    any, the slot's holder
 */
TT_API void tt_slot_send(tt_slot *slot, const void *p);

/*
 * tt_slot_drop - give the room back; the next in line gets it.
 *
 * Blocks     no
 * Ownership  NULL and an empty slot are fine
 * Threads    any, the slot's holder
 */
TT_API void tt_slot_drop(tt_slot *slot);

/*
 * tt_chan_close - no more sends. Closing twice is fine. A slot that was reserved before may
 * still be sent into.
 *
 * Blocks     no
 * Threads    any
 */
TT_API void tt_chan_close(tt_chan *ch);

/*
 * tt_chan_drain - take out and destroy what is there, senders that wait included. A reader
 * that leaves early closes first, so that nothing comes after it.
 *
 * Blocks     no; not a checkpoint
 * Returns    how many items it destroyed
 * Ownership  scratch: room for one item; the macro brings it
 * Threads    any
 */
TT_API size_t tt_chan_drain(tt_chan *ch, void *scratch);

/*
 * tt_chan_fini - destroy the items that are left, and give back the memory.
 *
 * Blocks     no
 * Errors     aborts, naming the task, if one waits on the channel; if a slot is still out
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
/* The same with a bound in bytes; -EINVAL also for a count or a bound of 0. */
TT_API TT_MUST_USE int tt_chan_init_bytes_(tt_chan *ch, size_t count, size_t bytes, size_t elem_size,
                                           void (*destroy)(void *elem),
                                           size_t (*size_of)(const void *elem));
/* What TT_SLOT does at the end of its block; slot: a typed slot. */
TT_API void tt_slot_leave_(void *slot);
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
 *
 * TT_CHAN_TYPE_SIZED(name, T, size_of), TT_CHAN_TYPE_SIZED_WITH(name, T, size_of, destructor) -
 * the same for items with a size: `size_t size_of(item)`, in bytes, is asked once for each item
 * when it is sent. For tt_chan_init_bytes(). At file scope.
 */
#ifdef __cplusplus
#define TT_CHAN_UNION_(name, T, ...) \
	union name { \
		tt_chan tt_raw; \
		T *tt_elem; \
		T const *tt_celem; \
		__VA_ARGS__ \
	}
#define TT_CHAN_NO_DESTROYER_ static void (*tt_destroyer_(void))(void *) { return NULL; }
#define TT_CHAN_DESTROYER_(T, destructor) \
	static void tt_destroy_(void *tt_p_) { (destructor)(*(T *)tt_p_); } \
	static void (*tt_destroyer_(void))(void *) { return tt_destroy_; }
#define TT_CHAN_SIZER_(T, size_of) \
	static size_t tt_size_(const void *tt_p_) { return (size_of)(*(T const *)tt_p_); }
#define TT_CHAN_TYPE(name, T) TT_CHAN_UNION_(name, T, TT_CHAN_NO_DESTROYER_)
#define TT_CHAN_TYPE_WITH(name, T, destructor) \
	TT_CHAN_UNION_(name, T, TT_CHAN_DESTROYER_(T, destructor))
#define TT_CHAN_TYPE_SIZED(name, T, size_of) \
	TT_CHAN_UNION_(name, T, TT_CHAN_NO_DESTROYER_ TT_CHAN_SIZER_(T, size_of))
#define TT_CHAN_TYPE_SIZED_WITH(name, T, size_of, destructor) \
	TT_CHAN_UNION_(name, T, TT_CHAN_DESTROYER_(T, destructor) TT_CHAN_SIZER_(T, size_of))

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
inline void *tt_slot_elem_(tt_slot *) { return NULL; }
template <class S> decltype(S::tt_elem) tt_slot_elem_(S *) { return NULL; }
template <class P, class S> inline tt_slot *tt_slot_in_(S *slot)
{
	static_assert(tt_chan_match_<decltype(tt_slot_elem_(slot)), typename tt_unconst_<P>::type>::value,
	              "not a pointer to an item of this channel");
	return (tt_slot *)(void *)slot;
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
template <class C, class = void> struct tt_chan_sizer_ { static constexpr bool known = false; };
template <class C> struct tt_chan_sizer_<C, decltype((void)C::tt_size_)> {
	static constexpr bool known = true;
};
template <class C>
TT_MUST_USE inline int tt_chan_init_bytes_typed_(C *ch, size_t count, size_t bytes)
{
	static_assert(tt_chan_sizer_<C>::known, "tt_chan_init_bytes needs a TT_CHAN_TYPE_SIZED");
	return tt_chan_init_bytes_(&ch->tt_raw, count, bytes, tt_chan_elem_size_(decltype(ch->tt_elem)()),
	                           C::tt_destroyer_(), C::tt_size_);
}
template <class T> struct tt_chan_scratch_ {};
template <class T> struct tt_chan_scratch_<T *> {
	alignas(T) unsigned char bytes[sizeof(T)];
};
template <class C> inline size_t tt_chan_drain_typed_(C *ch)
{
	static_assert(!tt_same_<C, tt_chan>::value, "tt_chan_drain of an untyped channel");
	tt_chan_scratch_<decltype(ch->tt_elem)> tt_scratch_;
	return (tt_chan_drain)(&ch->tt_raw, tt_scratch_.bytes);
}
template <class S, class C> inline tt_slot *tt_slot_for_(C *ch, S *slot)
{
	static_assert(tt_same_<S, tt_slot>::value || tt_same_<C, tt_chan>::value ||
	                      tt_chan_match_<decltype(ch->tt_elem), decltype(tt_slot_elem_(slot))>::value,
	              "a slot of another channel type");
	return (tt_slot *)(void *)slot;
}
}
#define TT_CHAN_IN_(ch, ...) (tt_chan_in_<decltype(tt_pointer_(__VA_ARGS__))>(ch))
#define TT_CHAN_OUT_(ch, p) (tt_chan_out_<decltype(tt_pointer_(p))>(ch))
#define TT_CHAN_(ch) (tt_chan_any_(ch))
#define TT_CONST_CHAN_(ch) (tt_chan_any_(ch))
#define TT_CHAN_INIT_(ch, count) tt_chan_init_typed_((ch), (count))
#define TT_CHAN_INIT_BYTES_(ch, count, bytes) tt_chan_init_bytes_typed_((ch), (count), (bytes))
#define TT_CHAN_DRAIN_(ch) tt_chan_drain_typed_(ch)
#define TT_SLOT_FOR_(ch, slot) (tt_slot_for_((ch), (slot)))
#define TT_SLOT_IN_(slot, ...) (tt_slot_in_<decltype(tt_pointer_(__VA_ARGS__))>(slot))
#define TT_SLOT_(slot) ((tt_slot *)(void *)(slot))

#else /* C */

/*
 * A C type cannot carry a function, but it can carry a number: `key` is unique in this
 * translation unit and finds the destructor in the unit's own list, made before main().
 */
struct tt_destroyer_ {
	struct tt_destroyer_ *next;
	size_t key;
	void (*destroy)(void *elem);
	size_t (*size_of)(const void *elem);
};

TT_UNUSED static struct tt_destroyer_ *tt_destroyers_;

TT_UNUSED static inline const struct tt_destroyer_ *tt_destroyer_of_(size_t tt_key_)
{
	static const struct tt_destroyer_ tt_none_ = { NULL, 1, NULL, NULL };
	const struct tt_destroyer_ *tt_d_;

	if (tt_key_ == 1)
		return &tt_none_;
	for (tt_d_ = tt_destroyers_; tt_d_ != NULL; tt_d_ = tt_d_->next)
		if (tt_d_->key == tt_key_)
			return tt_d_;
	__builtin_trap(); /* tt_chan_init() in a constructor that ran too early */
}

#define TT_CHAN_TYPE(name, T) TT_CHAN_UNION_(name, T, 1, 1)
#define TT_CHAN_UNION_(name, T, key, sized) \
	typedef union name { \
		tt_chan tt_raw; \
		T *tt_elem; \
		T const *tt_celem; \
		char (*tt_key)[key]; \
		char (*tt_sized)[sized]; \
	} name
#define TT_CHAN_TYPE_WITH(name, T, destructor) \
	TT_CHAN_DESTROYER_(name, T, destructor) \
	TT_CHAN_TYPE_KEYED_(name, T, __COUNTER__ + 2, 1, NULL, tt_destroy_##name##_)
#define TT_CHAN_TYPE_SIZED(name, T, size_of) \
	TT_CHAN_SIZER_(name, T, size_of) \
	TT_CHAN_TYPE_KEYED_(name, T, __COUNTER__ + 2, 2, tt_size_##name##_, NULL)
#define TT_CHAN_TYPE_SIZED_WITH(name, T, size_of, destructor) \
	TT_CHAN_SIZER_(name, T, size_of) \
	TT_CHAN_DESTROYER_(name, T, destructor) \
	TT_CHAN_TYPE_KEYED_(name, T, __COUNTER__ + 2, 2, tt_size_##name##_, tt_destroy_##name##_)
#define TT_CHAN_SIZER_(name, T, size_of) \
	TT_UNUSED static size_t tt_size_##name##_(const void *tt_p_) \
	{ \
		return (size_of)(*(T const *)tt_p_); \
	}
#define TT_CHAN_DESTROYER_(name, T, destructor) \
	TT_UNUSED static void tt_destroy_##name##_(void *tt_p_) \
	{ \
		(destructor)(*(T *)tt_p_); \
	}
#define TT_CHAN_TYPE_KEYED_(name, T, key_, sized, size_of_, destroy_) \
	TT_CHAN_UNION_(name, T, key_, sized); \
	__attribute__((__constructor__(101))) static void tt_enlist_##name##_(void) \
	{ \
		static struct tt_destroyer_ tt_d_ = { NULL, key_, destroy_, size_of_ }; \
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
#define TT_CHAN_TYPED_(ch, call) \
	(__extension__({ \
		_Static_assert(!TT_CHAN_UNTYPED_(ch), call " of an untyped channel"); \
	}))
#define TT_CHAN_INIT_(ch, count) \
	(TT_CHAN_TYPED_(ch, "tt_chan_init"), \
	 tt_chan_init_((tt_chan *)(void *)(ch), (count), sizeof(*(ch)->tt_elem), \
	               tt_destroyer_of_(sizeof(*(ch)->tt_key))->destroy))
#define TT_CHAN_INIT_BYTES_(ch, count, bytes) \
	(__extension__({ \
		 _Static_assert(sizeof(*(ch)->tt_sized) == 2, \
		                "tt_chan_init_bytes needs a TT_CHAN_TYPE_SIZED"); \
	 }), \
	 tt_chan_init_bytes_((tt_chan *)(void *)(ch), (count), (bytes), sizeof(*(ch)->tt_elem), \
	                     tt_destroyer_of_(sizeof(*(ch)->tt_key))->destroy, \
	                     tt_destroyer_of_(sizeof(*(ch)->tt_key))->size_of))
#define TT_CHAN_DRAIN_(ch) \
	(TT_CHAN_TYPED_(ch, "tt_chan_drain"), \
	 (tt_chan_drain)((tt_chan *)(void *)(ch), &(union { \
		 char tt_c_; \
		 __typeof__(*(ch)->tt_elem) tt_item_; \
	 }){ 0 }))
/* The types a slot of TT_SLOT carries; a bare tt_slot carries none. */
#define TT_SLOT_FOR_(ch, slot) \
	(__extension__({ \
		 _Static_assert(TT_SLOT_BARE_(slot) || TT_CHAN_UNTYPED_(ch) || \
		                        TT_SAME_((ch)->tt_elem, TT_SLOT_ELEM_(slot)->tt_elem), \
		                "a slot of another channel type"); \
	 }), \
	 (tt_slot *)(void *)(slot))
#define TT_SLOT_BARE_(slot) __builtin_types_compatible_p(__typeof__(*(slot)), tt_slot)
#define TT_SLOT_ELEM_(slot) \
	__builtin_choose_expr(TT_SLOT_BARE_(slot), (tt_chan *)NULL, (slot))
#define TT_SLOT_IN_(slot, ...) \
	(__extension__({ \
		 _Static_assert(TT_CHAN_UNTYPED_(TT_SLOT_ELEM_(slot)) || \
		                        TT_SAME_(TT_SLOT_ELEM_(slot)->tt_elem, TT_POINTER_(__VA_ARGS__)) || \
		                        TT_SAME_(TT_SLOT_ELEM_(slot)->tt_celem, TT_POINTER_(__VA_ARGS__)), \
		                "not a pointer to an item of this channel"); \
	 }), \
	 (tt_slot *)(void *)(slot))
#define TT_SLOT_(slot) ((tt_slot *)(void *)(slot))
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

/*
 * tt_chan_init_bytes(ch, count, bytes) - make a channel for up to `count` items of a sized type
 * that together have at most so many bytes. An item larger than that passes alone, when the
 * channel is empty. Who waits with a large item is not overtaken by small ones.
 *
 * Blocks     no
 * Returns    0
 * Errors     -ENOMEM; -EINVAL when the size overflows, and for a count or bytes of 0
 * Ownership  undone by tt_chan_fini()
 */
#define tt_chan_init_bytes(ch, count, bytes) TT_CHAN_INIT_BYTES_(ch, count, bytes)

/*
 * TT_SLOT(slot, ch) - declare an empty slot for ch's items; what it holds at the end of the C
 * block is given back.
 */
#define TT_SLOT(slot, ch) \
	union { \
		tt_slot tt_raw; \
		__typeof__((ch)->tt_elem) tt_elem; \
		__typeof__((ch)->tt_celem) tt_celem; \
	} slot __attribute__((__cleanup__(tt_slot_leave_), __unused__)) = { { NULL, 0 } }

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
#define tt_reserve(ch, slot) (tt_reserve)(TT_CHAN_(ch), TT_SLOT_FOR_(ch, slot))
#define tt_reserve_bytes(ch, bytes, slot) \
	(tt_reserve_bytes)(TT_CHAN_(ch), (bytes), TT_SLOT_FOR_(ch, slot))
#define tt_try_reserve(ch, slot) (tt_try_reserve)(TT_CHAN_(ch), TT_SLOT_FOR_(ch, slot))
#define tt_try_reserve_bytes(ch, bytes, slot) \
	(tt_try_reserve_bytes)(TT_CHAN_(ch), (bytes), TT_SLOT_FOR_(ch, slot))
#define tt_slot_send(slot, ...) (tt_slot_send)(TT_SLOT_IN_(slot, __VA_ARGS__), __VA_ARGS__)
#define tt_slot_drop(slot) (tt_slot_drop)(TT_SLOT_(slot))
#define tt_chan_drain(ch) TT_CHAN_DRAIN_(ch)
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
		__attribute__((__cleanup__(tt_chan_producer_leave_), __unused__)) = \
			tt_chan_producer_(TT_CHAN_(ch))

#endif

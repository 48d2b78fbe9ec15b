/* SPDX-License-Identifier: MIT */
/*
 * stream.h - what stands between two channels, and paces: rate limit, throttle, batch, merge,
 * map, retry.
 *
 *	TT_GROUP(g);
 *	tt_go(&g, read_lines, &lines);
 *	tt_go(&g, parse_lines, &events, &lines);         calls tt_map(&events, &lines, 4, parse)
 *	tt_go(&g, store, &batches);
 *	return tt_group_end(&g, tt_batch(&batches, &events, TT_MS(50)));
 *
 * A stage is a call that runs until its input is closed and empty. It counts as a producer of
 * its output (TT_CLOSE_AT_END): the end travels on. If the output is closed, the stage fails
 * with TT_ECLOSED and leaves the rest where it is. Throttle, batch and merge take an item
 * only when they hold a slot of the output for it, so that a cancel loses nothing: what they
 * did not pass on is still in the input. They hold that slot while they wait for input: an
 * output that several stages feed needs at least so many slots.
 */
#ifndef TUTTI_STREAM_H
#define TUTTI_STREAM_H

#include <tutti/base.h>
#include <tutti/channel.h>
#include <tutti/mutex.h>
#include <tutti/task.h>

TT_BEGIN_DECLS

/* ---- rate limit ---- */

/* So many permits in each period, and up to `burst` at once after a quiet time. */
typedef struct tt_rate {
	uint64_t tt_opaque_[20];
} tt_rate;

/*
 * tt_rate_init - allow `permits` in each `per`, and `burst` at once (GCRA). In any span of
 * time t no more than burst + t * permits / per are given, exactly: no rounding adds up.
 *
 * Blocks     no
 * Errors     aborts for permits, per or burst of 0
 * Units      per in ns
 */
TT_API void tt_rate_init(tt_rate *r, uint64_t permits, int64_t per, uint64_t burst);

/*
 * tt_rate_fini - the limiter is no longer used.
 *
 * Blocks     no
 * Errors     aborts, naming the task, if one waits
 * Ownership  NULL and one that was never initialised (zero) are fine
 */
TT_API void tt_rate_fini(tt_rate *r);

/*
 * tt_rate_acquire - wait until n permits may be used, and use them.
 *
 * Blocks     yes; always a checkpoint, even when the permits are free
 * Returns    0
 * Cancelled  TT_ECANCELED, and then none was used: those behind move up
 * Errors     -EINVAL if n is more than the burst: that would wait for ever
 * Threads    any task; waiters are served in order, whatever they ask for
 */
TT_API TT_MUST_USE int tt_rate_acquire(tt_rate *r, uint64_t n);

/*
 * tt_rate_try_acquire - use n permits if they are free now and nobody waits.
 *
 * Blocks     no; not a checkpoint
 * Returns    0
 * Errors     -EAGAIN; -EINVAL if n is more than the burst
 * Threads    any task
 */
TT_API TT_MUST_USE int tt_rate_try_acquire(tt_rate *r, uint64_t n);

/* ---- retry ---- */

/* A plain value, for one task. */
typedef struct tt_retry {
	int64_t first, max; /* ns */
	unsigned attempts;  /* in all; 0: no limit */
	unsigned failed;    /* so far */
} tt_retry;

/*
 * tt_retry_jitter - how to try again: before attempt k + 1 a random time between 0 and
 * min(max, first * 2^(k - 1)), "full jitter".
 *
 *	tt_retry r = tt_retry_jitter(TT_MS(50), TT_SEC(5), 6);
 *	while ((rc = fetch(url, &body)) < 0)
 *		TT_TRY(tt_retry_wait(&r, rc));
 *
 * Blocks     no
 * Returns    a plain value, for one row of attempts
 * Errors     aborts for a first of 0 or less, and for a max below it
 * Threads    any
 * Units      ns
 */
TT_API tt_retry tt_retry_jitter(int64_t first, int64_t max, unsigned attempts);

/*
 * tt_retry_wait - attempt failed with rc: wait before the next one, or give up.
 *
 * Blocks     yes; always a checkpoint
 * Returns    0: try again
 * Cancelled  TT_ECANCELED
 * Errors     rc, whose chain says why there is no further attempt: they are used up, or the
 *            wait would not end before the deadline around it; rc at once if it is
 *            TT_ECANCELED or TT_ESTOP; aborts for an rc that is no failure
 * Threads    the task that made it
 */
TT_API TT_MUST_USE int tt_retry_wait(tt_retry *r, int rc);

/* ---- stages: the untyped functions below the macros ---- */

/*
 * tt_throttle - pass on item by item, each with one permit of r.
 *
 * Blocks     yes; always a checkpoint
 * Returns    0: the input ended
 * Cancelled  TT_ECANCELED; an item that was waiting for its permit is passed on all the same
 * Errors     TT_ECLOSED: the output was closed; -EINVAL if it is a rendezvous
 * Ownership  every item is in the input or in the output
 * Threads    any task
 */
TT_API TT_MUST_USE int tt_throttle(tt_chan *out, tt_chan *in, tt_rate *r, size_t elem_size);

/*
 * tt_batch - collect items: a batch is passed on when it is full, or `linger` after its first
 * item. The output's items are of a type with `size_t n` and an array `items`.
 *
 * Blocks     yes; always a checkpoint
 * Returns    0: the input ended
 * Cancelled  TT_ECANCELED; a batch that was begun is passed on
 * Errors     TT_ECLOSED: the output was closed; -EINVAL if it is a rendezvous; -ENOMEM
 * Ownership  every item is in the input or in a batch of the output
 * Threads    any task
 * Units      linger in ns
 */
TT_API TT_MUST_USE int tt_batch(tt_chan *out, tt_chan *in, int64_t linger, size_t size,
                                size_t count_at, size_t items_at, size_t max);

/*
 * tt_merge - pass on what comes from any of n inputs (up to 15). The items of one input keep
 * their order; inputs that are ready have equal chances.
 *
 * Blocks     yes; always a checkpoint
 * Returns    0: all inputs ended
 * Cancelled  TT_ECANCELED
 * Errors     TT_ECLOSED: the output was closed; -EINVAL if it is a rendezvous, and for n of 0
 *            or more than 15
 * Ownership  every item is in its input or in the output
 * Threads    any task
 */
TT_API TT_MUST_USE int tt_merge(tt_chan *out, const void *in, unsigned n, size_t elem_size);

/* ---- seams of the macros below ---- */

typedef struct tt_map_ {
	tt_chan *out, *in;
	size_t out_size, in_size;
	unsigned n;
	bool ordered;
} tt_map_;

TT_API tt_verb_ tt_verb_map_; /* on: a tt_map_ *; args begin with two pointers */

TT_END_DECLS

#define TT_MERGE_MAX 15

#ifdef __cplusplus
extern "C++" {
template <class O, class I> inline tt_chan *tt_stage_out_(O *out, I *in)
{
	static_assert(tt_same_<decltype(out->tt_elem), decltype(in->tt_elem)>::value,
	              "the two channels have items of different types");
	(void)in;
	return (tt_chan *)(void *)out;
}
template <class T> struct tt_target_of_ {};
template <class T> struct tt_target_of_<T *> { typedef T type; };
template <class O, class I> inline tt_chan *tt_batch_out_(O *out, I *in)
{
	typedef typename tt_target_of_<decltype(out->tt_elem)>::type batch_;
	static_assert(tt_same_<decltype(((batch_ *)0)->n), size_t>::value,
	              "the output is not of a batch: size_t n and an array items");
	static_assert(tt_same_<decltype(&((batch_ *)0)->items[0]), decltype(&in->tt_elem[0])>::value,
	              "the batch is not of the input's items");
	return (tt_chan *)(void *)out;
}
}
#define TT_STAGE_OUT_(out, in) (tt_stage_out_((out), (in)))
#define TT_BATCH_OUT_(out, in) (tt_batch_out_((out), (in)))
#define TT_ELEM_OF_(ch) typename tt_target_of_<decltype((ch)->tt_elem)>::type
#define TT_BATCH_OFFSET_(out, member) offsetof(TT_ELEM_OF_(out), member)
#else
#define TT_STAGE_CHECK_(out, text, ...) \
	(__extension__({ _Static_assert(__VA_ARGS__, text); }), (tt_chan *)(void *)(out))
#define TT_STAGE_OUT_(out, in) \
	TT_STAGE_CHECK_(out, "the two channels have items of different types", \
	                TT_SAME_((out)->tt_elem, (in)->tt_elem))
#define TT_BATCH_OUT_(out, in) \
	TT_STAGE_CHECK_(out, "the batch is not of the input's items", \
	                TT_SAME_(&(out)->tt_elem->items[0], (in)->tt_elem) && \
	                        TT_SAME_((out)->tt_elem->n, (size_t)0))
#define TT_BATCH_OFFSET_(out, member) offsetof(__typeof__(*(out)->tt_elem), member)
#endif
#define TT_BATCH_SHAPE_(out) \
	sizeof(*(out)->tt_elem), TT_BATCH_OFFSET_(out, n), TT_BATCH_OFFSET_(out, items), \
		sizeof((out)->tt_elem->items) / sizeof((out)->tt_elem->items[0])
/* A NULL of the type of a pointer to ch's items. */
#define TT_ELEM_NULL_(ch) ((__typeof__((ch)->tt_elem))NULL)

/* The typed forms. */
#define tt_throttle(out, in, r) \
	(tt_throttle)(TT_STAGE_OUT_(out, in), TT_CHAN_(in), (r), sizeof(*(in)->tt_elem))
/* tt_batch(out, in, linger) */
#define tt_batch(out, in, linger) \
	(tt_batch)(TT_BATCH_OUT_(out, in), TT_CHAN_(in), (linger), TT_BATCH_SHAPE_(out))
/* tt_merge(out, in, n): `in` is an array of pointers to channels of out's type. */
#define tt_merge(out, in, n) \
	(tt_merge)(TT_STAGE_OUT_(out, *(in)), (in), (n), sizeof(*(*(in))->tt_elem))

/*
 * tt_map(out, in, n, name, args...) - call the TT_TASK `name`, whose first two parameters are
 * pointers to an item of `in` and to one of `out`, for each item, in n tasks of this worker at
 * a time. It owns the item; its result says whether it made one: 1 it did, and the item is
 * sent in the order of its input; 0 it did not, the item is left out; a code ends the stage.
 * `args` are the parameters after these two, none with a destructor.
 *
 * Blocks     yes; always a checkpoint
 * Returns    0: the input ended
 * Cancelled  TT_ECANCELED; items that were made and not sent are destroyed with out's destructor
 * Errors     the first failure's; TT_ECLOSED: the output was closed; -EINVAL for n of 0; -ENOMEM
 * Threads    any task
 */
#define tt_map(out, in, n, ...) tt_must_result_(TT_MAP_(out, in, n, true, __VA_ARGS__))

/*
 * tt_map_unordered(out, in, n, name, args...) - the same, but what is made first is sent first.
 *
 * Blocks     yes; always a checkpoint
 * Returns    0: the input ended
 * Cancelled  as tt_map()
 * Errors     as tt_map()
 * Threads    any task
 */
#define tt_map_unordered(out, in, n, ...) \
	tt_must_result_(TT_MAP_(out, in, n, false, __VA_ARGS__))

#define TT_MAP_(out, in, n, ordered, ...) \
	TT_CALL_PASTE_(TT_MAP_, TT_CALL_ARITY_(__VA_ARGS__))(out, in, n, ordered, __VA_ARGS__)
#define TT_MAP_SHAPE_(out, in, n, ordered) \
	TT_TEMPORARY_(tt_map_, TT_CHAN_(out), TT_CHAN_(in), sizeof(*(out)->tt_elem), \
	              sizeof(*(in)->tt_elem), (n), (ordered))
#define TT_MAP_0_(out, in, n, ordered, name) \
	TT_CALL_(tt_verb_map_, TT_MAP_SHAPE_(out, in, n, ordered), name, TT_ELEM_NULL_(in), \
	         TT_ELEM_NULL_(out))
#define TT_MAP_N_(out, in, n, ordered, name, ...) \
	TT_CALL_(tt_verb_map_, TT_MAP_SHAPE_(out, in, n, ordered), name, TT_ELEM_NULL_(in), \
	         TT_ELEM_NULL_(out), __VA_ARGS__)

#endif

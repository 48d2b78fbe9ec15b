/* SPDX-License-Identifier: MIT */
/*
 * select.h - wait for the first of several things.
 *
 *	enum { ON_MSG, ON_BEAT, ON_STOP };
 *	int arm = tt_select([ON_MSG] = TT_ON_RECV(inbox, &msg), [ON_BEAT] = TT_ON_TICK(&beat),
 *	                    [ON_STOP] = TT_ON_STOP());
 *
 * Exactly one arm takes effect: a losing send still owns its value, a losing recv took
 * nothing, a losing lock or permit was not acquired. The result is that arm's index, or a
 * code. In C++ the arms stand in plain order.
 *
 * Invariants  No allocation. Losers keep their place until the wait ends.
 */
#ifndef TUTTI_SELECT_H
#define TUTTI_SELECT_H

#include <tutti/barrier.h>
#include <tutti/base.h>
#include <tutti/broadcast.h>
#include <tutti/channel.h>
#include <tutti/mutex.h>
#include <tutti/net.h>
#include <tutti/notify.h>
#include <tutti/pool.h>
#include <tutti/process.h>
#include <tutti/semaphore.h>
#include <tutti/signal.h>
#include <tutti/task.h>
#include <tutti/time.h>
#include <tutti/watch.h>

TT_BEGIN_DECLS

#define TT_SELECT_ARMS_MAX 16

/* One thing to wait for; made by the TT_ON_ macros. ops NULL: never. */
struct tti_arm_ops;
typedef struct tt_arm {
	const struct tti_arm_ops *ops;
	void *object;
	void *value;
	int *rc; /* NULL: an error of the arm is the select's result */
	int64_t n;
} tt_arm;

/* ---- seams of the macros below ---- */

enum { TT_SELECT_FAIR_, TT_SELECT_BIASED_ };

/* The index of the arm that took effect, or a code. */
TT_API TT_MUST_USE int tt_select_(const tt_arm *arms, unsigned n, unsigned flags, const char *site);

TT_API TT_MUST_USE tt_arm tt_on_recv_(tt_chan *ch, void *ret_p, int *rc);
TT_API TT_MUST_USE tt_arm tt_on_send_(tt_chan *ch, const void *p, int *rc);
TT_API TT_MUST_USE tt_arm tt_on_reserve_(tt_chan *ch, size_t bytes, tt_slot *slot, int *rc);
TT_API TT_MUST_USE tt_arm tt_on_broadcast_(tt_subscriber *sub, void *ret_p, int *rc);
TT_API TT_MUST_USE tt_arm tt_on_watch_(tt_watch *w, uint64_t *seen, void *ret_p, int *rc);
TT_API TT_MUST_USE tt_arm tt_on_timeout_(int64_t timeout);
TT_API TT_MUST_USE tt_arm tt_on_deadline_(int64_t deadline);
TT_API TT_MUST_USE tt_arm tt_on_tick_(tt_interval *i);
TT_API TT_MUST_USE tt_arm tt_on_readable_(tt_fd *fd, int *rc);
TT_API TT_MUST_USE tt_arm tt_on_writable_(tt_fd *fd, int *rc);
TT_API TT_MUST_USE tt_arm tt_on_reader_(tt_reader *r, int *rc);
TT_API TT_MUST_USE tt_arm tt_on_task_end_(tt_task *t);
TT_API TT_MUST_USE tt_arm tt_on_lock_(tt_mutex *m);
TT_API TT_MUST_USE tt_arm tt_on_permit_(tt_semaphore *s, unsigned n, int *rc);
TT_API TT_MUST_USE tt_arm tt_on_latch_(tt_latch *l);
TT_API TT_MUST_USE tt_arm tt_on_notify_(tt_notify *n);
TT_API TT_MUST_USE tt_arm tt_on_lease_(tt_pool *p, void *ret_item, int *rc, const char *site);
TT_API TT_MUST_USE tt_arm tt_on_signal_(tt_signals *s, int *ret_signal);
TT_API TT_MUST_USE tt_arm tt_on_process_(tt_process *p, int *ret_status);
TT_API TT_MUST_USE tt_arm tt_on_stop_(void);

TT_UNUSED static inline tt_arm tt_on_never_(void)
{
	tt_arm tt_arm_ = { NULL, NULL, NULL, NULL, 0 };

	return tt_arm_;
}

TT_END_DECLS

#ifdef __cplusplus
extern "C++" {
template <class... A>
TT_MUST_USE inline int tt_select_pack_(unsigned tt_flags_, const char *tt_site_, A... tt_a_)
{
	static_assert(sizeof...(A) <= TT_SELECT_ARMS_MAX, "a select has at most 16 arms");
	const tt_arm tt_arms_[] = { tt_a_... };
	return tt_select_(tt_arms_, (unsigned)sizeof...(A), tt_flags_, tt_site_);
}
}
#define TT_SELECT_(flags, ...) tt_select_pack_((flags), TT_SITE, __VA_ARGS__)
#else
#define TT_ARMS_(...) ((const tt_arm[]){ __VA_ARGS__ })
#define TT_ARM_COUNT_(...) (sizeof(TT_ARMS_(__VA_ARGS__)) / sizeof(tt_arm))
#define TT_SELECT_(flags, ...) \
	tt_must_result_(TT_STRICT_( \
		_Static_assert(TT_ARM_COUNT_(__VA_ARGS__) <= TT_SELECT_ARMS_MAX, \
		               "a select has at most 16 arms"); \
		tt_select_(TT_ARMS_(__VA_ARGS__), (unsigned)TT_ARM_COUNT_(__VA_ARGS__), (flags), \
		           TT_SITE)))
#endif

/*
 * tt_select(arms...) - wait for the first of up to 16 arms; fair among those that are ready.
 * Holes between designated arms, and arms of TT_ON_IF that are off, never happen.
 *
 * Blocks     yes; always a checkpoint, even when an arm is ready
 * Returns    the index of the one arm that took effect
 * Cancelled  TT_ECANCELED, and then no arm did
 * Errors     the arm's, if it ended in one and is not written in its _RC form; -EINVAL if no
 *            arm is on
 * Threads    any task
 */
#define tt_select(...) TT_SELECT_(TT_SELECT_FAIR_, __VA_ARGS__)

/*
 * tt_select_biased(arms...) - the same, but of several that are ready the first in order wins.
 *
 * Blocks     yes; always a checkpoint, even when an arm is ready
 * Returns    the index of the one arm that took effect
 * Cancelled  TT_ECANCELED, and then no arm did
 * Errors     as tt_select()
 * Threads    any task
 */
#define tt_select_biased(...) TT_SELECT_(TT_SELECT_BIASED_, __VA_ARGS__)

/*
 * The arms. A _RC form never makes the select fail: its index is the result and *rc says how
 * the arm went (recv: 1, or 0 closed and empty; the others: 0 or a code).
 */
#define TT_ON_RECV(ch, p) tt_on_recv_(TT_CHAN_OUT_(ch, p), (p), NULL) /* TT_ECLOSED at the end */
#define TT_ON_RECV_RC(ch, p, rc) tt_on_recv_(TT_CHAN_OUT_(ch, p), (p), (rc))
#define TT_ON_SEND(ch, ...) tt_on_send_(TT_CHAN_IN_(ch, __VA_ARGS__), __VA_ARGS__, NULL)
#define TT_ON_SEND_RC(ch, p, rc) tt_on_send_(TT_CHAN_IN_(ch, p), (p), (rc))
#define TT_ON_RESERVE(ch, slot) \
	tt_on_reserve_(TT_CHAN_(ch), SIZE_MAX, TT_SLOT_FOR_(ch, slot), NULL)
#define TT_ON_RESERVE_RC(ch, slot, rc) \
	tt_on_reserve_(TT_CHAN_(ch), SIZE_MAX, TT_SLOT_FOR_(ch, slot), (rc))
#define TT_ON_RESERVE_BYTES(ch, bytes, slot) \
	tt_on_reserve_(TT_CHAN_(ch), (bytes), TT_SLOT_FOR_(ch, slot), NULL)
#define TT_ON_BROADCAST(sub, p) tt_on_broadcast_(TT_SUB_OUT_(sub, p), (p), NULL)
#define TT_ON_BROADCAST_RC(sub, p, rc) tt_on_broadcast_(TT_SUB_OUT_(sub, p), (p), (rc))
#define TT_ON_WATCH(w, seen, p) tt_on_watch_(TT_WATCH_OUT_(w, p), (seen), (p), NULL)
#define TT_ON_WATCH_RC(w, seen, p, rc) tt_on_watch_(TT_WATCH_OUT_(w, p), (seen), (p), (rc))
#define TT_ON_TIMEOUT(timeout) tt_on_timeout_(timeout)
#define TT_ON_DEADLINE(deadline) tt_on_deadline_(deadline)
#define TT_ON_TICK(interval) tt_on_tick_(interval)
#define TT_ON_READABLE(fd) tt_on_readable_((fd), NULL) /* bytes, the end, or an error to read */
#define TT_ON_READABLE_RC(fd, rc) tt_on_readable_((fd), (rc))
#define TT_ON_WRITABLE(fd) tt_on_writable_((fd), NULL)
#define TT_ON_WRITABLE_RC(fd, rc) tt_on_writable_((fd), (rc))
#define TT_ON_READER(reader) tt_on_reader_((reader), NULL) /* buffered bytes count */
#define TT_ON_READER_RC(reader, rc) tt_on_reader_((reader), (rc))
#define TT_ON_TASK_END(task) tt_on_task_end_(task) /* however it ended: see tt_task_join() */
#define TT_ON_LOCK(mutex) tt_on_lock_(mutex)
#define TT_ON_PERMIT(semaphore, n) tt_on_permit_((semaphore), (n), NULL) /* closed: TT_ECLOSED */
#define TT_ON_PERMIT_RC(semaphore, n, rc) tt_on_permit_((semaphore), (n), (rc))
#define TT_ON_LATCH(latch) tt_on_latch_(latch)
#define TT_ON_NOTIFY(notify) tt_on_notify_(notify)
#define TT_ON_LEASE(pool, ret) tt_on_lease_(TT_POOL_OUT_(pool, ret), (ret), NULL, TT_SITE)
#define TT_ON_LEASE_RC(pool, ret, rc) tt_on_lease_(TT_POOL_OUT_(pool, ret), (ret), (rc), TT_SITE)
#define TT_ON_SIGNAL(signals, ret_signal) tt_on_signal_((signals), (ret_signal))
#define TT_ON_PROCESS(process, ret_status) tt_on_process_((process), (ret_status)) /* it has ended */
#define TT_ON_STOP() tt_on_stop_() /* a soft cancel was asked for */

/* TT_ON_IF(cond, arm) - an arm that is on only if cond; else it is not even evaluated. */
#define TT_ON_IF(cond, arm) ((cond) ? (arm) : tt_on_never_())

#endif

/* SPDX-License-Identifier: MIT */
/*
 * notify.h - "something changed": wake one waiter, or all.
 *
 * Carries no data: the waiter looks for itself, in a loop. tt_notify_one() with nobody
 * waiting is remembered, once, so that a look followed by a wait misses nothing.
 */
#ifndef TUTTI_NOTIFY_H
#define TUTTI_NOTIFY_H

#include <tutti/base.h>

TT_BEGIN_DECLS

typedef struct tt_notify {
	uint64_t tt_opaque_[6];
} tt_notify;

/*
 * tt_notify_init - make one without a stored token; static zero storage needs no init.
 *
 * Blocks     no
 */
TT_API void tt_notify_init(tt_notify *n);

/*
 * tt_notify_fini - it is no longer used.
 *
 * Blocks     no
 * Errors     aborts, naming the task, if one waits
 * Ownership  NULL is fine
 */
TT_API void tt_notify_fini(tt_notify *n);

/*
 * tt_notify_one - wake the first waiter; without one, store one token (never more).
 *
 * Blocks     no
 * Threads    any
 */
TT_API void tt_notify_one(tt_notify *n);

/*
 * tt_notify_all - wake everybody who waits now. Stores nothing.
 *
 * Blocks     no
 * Threads    any
 */
TT_API void tt_notify_all(tt_notify *n);

/*
 * tt_notify_wait - wait for a wake-up, or take the stored token.
 *
 * Blocks     yes; always a checkpoint, even when a token is stored
 * Returns    0
 * Cancelled  TT_ECANCELED, and then no wake-up was used: another waiter gets it
 * Threads    any task; waiters are served in order
 */
TT_API TT_MUST_USE int tt_notify_wait(tt_notify *n);

TT_END_DECLS

#endif

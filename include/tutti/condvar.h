/* SPDX-License-Identifier: MIT */
/*
 * condvar.h - wait, with a mutex, until what it guards has changed.
 *
 *	TT_LOCK(&q->lock);
 *	while (q->len == 0)
 *		TT_TRY(tt_condvar_wait(&q->filled, &q->lock));
 *
 * Carries no data and stores nothing: the waiter looks for itself, in a loop. For most such
 * things a channel is shorter, and a tt_notify needs no mutex.
 */
#ifndef TUTTI_CONDVAR_H
#define TUTTI_CONDVAR_H

#include <tutti/base.h>
#include <tutti/mutex.h>

TT_BEGIN_DECLS

typedef struct tt_condvar {
	uint64_t tt_opaque_[4];
} tt_condvar;

/*
 * tt_condvar_init - make one; static zero storage needs no init.
 *
 * Blocks     no
 */
TT_API void tt_condvar_init(tt_condvar *c);

/*
 * tt_condvar_fini - it is no longer used.
 *
 * Blocks     no
 * Errors     aborts, naming the task, if one waits
 * Ownership  NULL is fine
 */
TT_API void tt_condvar_fini(tt_condvar *c);

/*
 * tt_condvar_wait - give up the mutex and wait for a signal, as one step; then get the mutex
 * again, waiting through cancels.
 *
 * Blocks     yes; always a checkpoint. Never returns without a signal
 * Returns    0
 * Cancelled  TT_ECANCELED: the mutex is held again, and no signal was used up: the next in line
 *            gets it
 * Errors     aborts if the caller does not hold the mutex; it is held however the call returns
 * Threads    any task; waiters are served in order
 */
TT_API TT_MUST_USE int tt_condvar_wait(tt_condvar *c, tt_mutex *m);

/*
 * tt_condvar_signal - wake the first who waits; without one nothing happens.
 *
 * Blocks     no
 * Threads    any. Who changed the condition under the mutex may signal before or after the unlock
 */
TT_API void tt_condvar_signal(tt_condvar *c);

/*
 * tt_condvar_broadcast - wake everybody who waits now.
 *
 * Blocks     no
 * Threads    any
 */
TT_API void tt_condvar_broadcast(tt_condvar *c);

TT_END_DECLS

#endif

/* SPDX-License-Identifier: MIT */
/*
 * mutex.h - a lock between tasks that parks instead of spinning.
 *
 * Fair: waiters get it in order. It may be held across anything that blocks. TT_LOCK never
 * fails and is no checkpoint, so that cleanup can lock; tt_mutex_lock() and TT_ON_LOCK are
 * the cancellable forms.
 */
#ifndef TUTTI_MUTEX_H
#define TUTTI_MUTEX_H

#include <tutti/base.h>

TT_BEGIN_DECLS

typedef struct tt_mutex {
	uint64_t tt_opaque_[6];
} tt_mutex;

/*
 * tt_mutex_init - make a mutex; static zero storage needs no init.
 *
 * Blocks     no
 */
TT_API void tt_mutex_init(tt_mutex *m);

/*
 * tt_mutex_fini - the mutex is no longer used.
 *
 * Blocks     no
 * Errors     aborts, naming the task, if it is held or waited for
 * Ownership  NULL is fine
 */
TT_API void tt_mutex_fini(tt_mutex *m);

/*
 * tt_mutex_lock - get the lock.
 *
 * Blocks     yes; always a checkpoint, even when the lock is free
 * Returns    0
 * Cancelled  TT_ECANCELED, and then it is not held
 * Errors     aborts if the caller holds it
 * Threads    any task; waiters are served in order
 */
TT_API TT_MUST_USE int tt_mutex_lock(tt_mutex *m);

/*
 * tt_mutex_try_lock - get the lock if it is free.
 *
 * Blocks     no; not a checkpoint
 * Returns    0
 * Errors     -EBUSY
 * Threads    any task
 */
TT_API TT_MUST_USE int tt_mutex_try_lock(tt_mutex *m);

/*
 * tt_mutex_unlock - give the lock to the first who waits.
 *
 * Blocks     no
 * Errors     aborts if the caller does not hold it
 * Threads    the task that holds it
 */
TT_API void tt_mutex_unlock(tt_mutex *m);

/* The seam of TT_LOCK: waits through cancels, cannot fail, gives m back. */
TT_API tt_mutex *tt_mutex_lock_shielded_(tt_mutex *m);

TT_UNUSED static inline void tt_mutex_leave_(tt_mutex **tt_m_)
{
	tt_mutex_unlock(*tt_m_);
}

TT_END_DECLS

/*
 * TT_LOCK(m) - hold the lock from here to the end of the C block. Never fails; waits through
 * cancels; no checkpoint.
 */
#define TT_LOCK(m) \
	tt_mutex *TT_CAT(tt_lock_, __LINE__) __attribute__((__cleanup__(tt_mutex_leave_), __unused__)) = \
		tt_mutex_lock_shielded_(m)

#endif

/* SPDX-License-Identifier: MIT */
/*
 * rwlock.h - many readers or one writer, for what is read much more often than written.
 *
 * Fair: tasks get in in the order they came, and neighbouring readers together. A writer that
 * waits stops later readers, so that neither side starves the other. A task that reads already
 * must therefore not ask to read again: a writer may stand between.
 */
#ifndef TUTTI_RWLOCK_H
#define TUTTI_RWLOCK_H

#include <tutti/base.h>

TT_BEGIN_DECLS

typedef struct tt_rwlock {
	uint64_t tt_opaque_[8];
} tt_rwlock;

/*
 * tt_rwlock_init - make a lock; static zero storage needs no init.
 *
 * Blocks     no
 */
TT_API void tt_rwlock_init(tt_rwlock *l);

/*
 * tt_rwlock_fini - the lock is no longer used.
 *
 * Blocks     no
 * Errors     aborts if it is held or waited for, naming a task that writes or waits
 * Ownership  NULL is fine
 */
TT_API void tt_rwlock_fini(tt_rwlock *l);

/*
 * tt_rwlock_read - get in beside other readers.
 *
 * Blocks     yes; always a checkpoint, even when nobody writes
 * Returns    0
 * Cancelled  TT_ECANCELED, and then it is not held
 * Errors     aborts if the caller writes
 * Threads    any task; served in order
 */
TT_API TT_MUST_USE int tt_rwlock_read(tt_rwlock *l);

/*
 * tt_rwlock_write - get in alone.
 *
 * Blocks     yes; always a checkpoint, even when it is free
 * Returns    0
 * Cancelled  TT_ECANCELED, and then it is not held, and those behind are served
 * Errors     aborts if the caller writes already
 * Threads    any task; served in order
 */
TT_API TT_MUST_USE int tt_rwlock_write(tt_rwlock *l);

/*
 * tt_rwlock_try_read - get in beside other readers, if nobody writes and nobody waits.
 *
 * Blocks     no; not a checkpoint
 * Returns    0
 * Errors     -EBUSY
 * Threads    any task
 */
TT_API TT_MUST_USE int tt_rwlock_try_read(tt_rwlock *l);

/*
 * tt_rwlock_try_write - get in alone, if nobody is in and nobody waits.
 *
 * Blocks     no; not a checkpoint
 * Returns    0
 * Errors     -EBUSY
 * Threads    any task
 */
TT_API TT_MUST_USE int tt_rwlock_try_write(tt_rwlock *l);

/*
 * tt_rwlock_unlock - leave, as the reader or the writer that one is.
 *
 * Blocks     no
 * Errors     aborts if nobody reads and the caller does not write
 * Threads    the task that writes; a task that reads
 */
TT_API void tt_rwlock_unlock(tt_rwlock *l);

/*
 * tt_rwlock_downgrade - go on as a reader, without a moment in which somebody else could
 * write. Readers that wait in front of the next writer get in, too.
 *
 * Blocks     no
 * Errors     aborts if the caller does not write
 * Threads    the task that writes
 */
TT_API void tt_rwlock_downgrade(tt_rwlock *l);

/* The seams of the block forms: wait through cancels, cannot fail, give l back. */
TT_API tt_rwlock *tt_rwlock_read_shielded_(tt_rwlock *l);
TT_API tt_rwlock *tt_rwlock_write_shielded_(tt_rwlock *l);

TT_UNUSED static inline void tt_rwlock_leave_(tt_rwlock **tt_l_)
{
	tt_rwlock_unlock(*tt_l_);
}

TT_END_DECLS

#define TT_RWLOCK_BLOCK_(take) \
	tt_rwlock *TT_CAT(tt_rwlock_, __LINE__) \
		__attribute__((__cleanup__(tt_rwlock_leave_), __unused__)) = take

/*
 * TT_READ_LOCK(l), TT_WRITE_LOCK(l) - hold the lock from here to the end of the C block. Never
 * fail; wait through cancels; no checkpoints.
 */
#define TT_READ_LOCK(l) TT_RWLOCK_BLOCK_(tt_rwlock_read_shielded_(l))
#define TT_WRITE_LOCK(l) TT_RWLOCK_BLOCK_(tt_rwlock_write_shielded_(l))

#endif

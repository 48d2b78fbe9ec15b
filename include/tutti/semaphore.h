/* SPDX-License-Identifier: MIT */
/*
 * semaphore.h - permits: how many may do something at once.
 *
 * Fair: waiters get permits in order, and a large request is not overtaken by small ones.
 */
#ifndef TUTTI_SEMAPHORE_H
#define TUTTI_SEMAPHORE_H

#include <tutti/base.h>
#include <tutti/group.h>

TT_BEGIN_DECLS

typedef struct tt_semaphore {
	uint64_t tt_opaque_[8];
} tt_semaphore;

/*
 * tt_semaphore_init - make a semaphore with so many free permits.
 *
 * Blocks     no
 */
TT_API void tt_semaphore_init(tt_semaphore *s, unsigned permits);

/*
 * tt_semaphore_fini - the semaphore is no longer used.
 *
 * Blocks     no
 * Errors     aborts, naming the task, if one waits for permits
 * Ownership  NULL and one that was never initialised (zero) are fine
 */
TT_API void tt_semaphore_fini(tt_semaphore *s);

/*
 * tt_semaphore_acquire - get n permits together.
 *
 * Blocks     yes; always a checkpoint, even when permits are free
 * Returns    0
 * Cancelled  TT_ECANCELED, and then none was taken
 * Errors     TT_ECLOSED: the semaphore was closed, and none was taken
 * Threads    any task; waiters are served in order
 */
TT_API TT_MUST_USE int tt_semaphore_acquire(tt_semaphore *s, unsigned n);

/*
 * tt_semaphore_try_acquire - get n permits if they are free and nobody waits.
 *
 * Blocks     no; not a checkpoint
 * Returns    0
 * Errors     -EAGAIN; TT_ECLOSED
 * Threads    any
 */
TT_API TT_MUST_USE int tt_semaphore_try_acquire(tt_semaphore *s, unsigned n);

/*
 * tt_semaphore_release - give n permits back, or add them.
 *
 * Blocks     no
 * Errors     aborts if the count overflows
 * Threads    any; not necessarily the one that acquired them
 */
TT_API void tt_semaphore_release(tt_semaphore *s, unsigned n);

/*
 * tt_semaphore_close - no more permits for anybody: who waits, and who comes, gets TT_ECLOSED.
 * Permits that are out are still given back. Closing twice is fine.
 *
 * Blocks     no; not a checkpoint
 * Threads    any
 */
TT_API void tt_semaphore_close(tt_semaphore *s);

/* The storage of TT_PERMIT: NULL until the permit was acquired. */
struct tt_permit_ {
	tt_semaphore *semaphore;
};

TT_UNUSED static inline void tt_permit_leave_(struct tt_permit_ *tt_p_)
{
	if (tt_p_->semaphore != NULL)
		tt_semaphore_release(tt_p_->semaphore, 1);
}

TT_UNUSED TT_MUST_USE static inline int tt_permit_take_(struct tt_permit_ *tt_p_,
                                                        tt_semaphore *tt_s_)
{
	int tt_rc_ = tt_semaphore_acquire(tt_s_, 1);

	if (tt_rc_ >= 0)
		tt_p_->semaphore = tt_s_;
	return tt_rc_;
}

TT_END_DECLS

#define TT_PERMIT_STORAGE_ \
	struct tt_permit_ TT_CAT(tt_permit_, __LINE__) \
		__attribute__((__cleanup__(tt_permit_leave_), __unused__)) = { NULL }

/*
 * TT_PERMIT(s) - acquire one permit through TT_TRY, and hold it to the end of the C block.
 *
 * TT_PERMIT_IN(&block, s) - the same inside an open group or scope, through TT_TRY_IN.
 */
#define TT_PERMIT(s) \
	TT_PERMIT_STORAGE_; \
	TT_TRY(tt_permit_take_(&TT_CAT(tt_permit_, __LINE__), (s)))
#define TT_PERMIT_IN(block, s) \
	TT_PERMIT_STORAGE_; \
	TT_TRY_IN(block, tt_permit_take_(&TT_CAT(tt_permit_, __LINE__), (s)))

#endif

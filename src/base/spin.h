/* SPDX-License-Identifier: MIT */
/*
 * spin.h - the short lock of a channel, a mutex, a descriptor slot. Held for tens of
 * nanoseconds, never across a context switch (law 8: the holder's count is checked at
 * each switch), never while another spinlock of the same rank is held.
 */
#ifndef TTI_BASE_SPIN_H
#define TTI_BASE_SPIN_H

#include "base/atomic.h"
#include "base/panic.h"

typedef struct tti_spin { tti_atomic_u32 word; } tti_spin;

/* Spinlocks the calling thread holds; maintained where assertions are on. */
extern __thread int tti_spin_held;

/* Offers the core to others; set by env/ before main(), since base/ makes no system call. */
extern void (*tti_spin_yield)(void);

/* One turn of a loop that waits for the next few instructions of another thread. That
 * thread may have lost its core: after so many turns it is offered ours. */
#define TTI_SPINS_PER_YIELD 128

static inline void tti_spin_pause(unsigned *turns)
{
	if (++*turns % TTI_SPINS_PER_YIELD == 0 && tti_spin_yield != NULL)
		tti_spin_yield();
	else
		tti_cpu_relax();
}

static inline void tti_spin_init(tti_spin *l)
{
	/* relaxed: nobody else can know the lock yet. */
	tti_store_relaxed(&l->word, 0);
}

static inline void tti_spin_lock(tti_spin *l)
{
	uint32_t free_word = 0;
	unsigned turns = 0;

	/* acquire: pairs with the release in tti_spin_unlock(). */
	while (!tti_cas_acquire(&l->word, &free_word, 1)) {
		free_word = 0;
		tti_spin_pause(&turns);
	}
#ifndef TT_NO_ASSERT
	tti_spin_held++;
#endif
}

static inline void tti_spin_unlock(tti_spin *l)
{
#ifndef TT_NO_ASSERT
	tti_spin_held--;
#endif
	/* release: pairs with the acquire in tti_spin_lock(). */
	tti_store_release(&l->word, 0);
}

/* Law 8: no context switch while an internal spinlock is held. */
static inline void tti_spin_assert_none_held(void)
{
	TT_ASSERT(tti_spin_held == 0);
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * steal_ring.h - unstarted tasks that a worker offers to others: one producer, its owner,
 * and many consumers, the owner among them. Header only; the scheduler does not use it yet.
 *
 * Head        One word holds two counters: `real`, where the next consumer takes, and `steal`,
 *             behind it while a thief copies out what lies between the two. Whoever moves
 *             `real` owns what it passed; nobody writes a slot before `steal` has passed it.
 *             One thief at a time: a second one finds the two apart and goes elsewhere.
 *
 *                   steal        real             tail
 *             ...free | being copied | to be had | free...
 *
 * Invariants  steal <= real <= tail <= steal + SLOTS, as unsigned differences. Counters run
 *             through all 32 bits and never go back: a compare-and-swap is fooled only by a
 *             thread that sleeps while 2^32 items pass.
 * Order       Oldest first for everybody. What shall run newest first stays in the owner's own
 *             list (worker.h) and is moved here when there is enough of it.
 * Rejected    Chase and Lev's deque ("Dynamic circular work-stealing deque", SPAA 2005; for C11
 *             by Le, Pop, Cohen and Zappa Nardelli, PPoPP 2013): its owner takes the newest
 *             without a compare-and-swap, which is only right while thieves take one item at
 *             a time, and pays a seq_cst fence for each. Norris and Demsky's CDSChecker (OOPSLA
 *             2013) found an order too weak in its published C11 form; tests/model/steal_test.c
 *             is why we believe this one.
 *             Copying first and claiming afterwards (Go's runqgrab): slots are then read while
 *             they are overwritten, so each has to be atomic, and a lost race copies in vain.
 */
#ifndef TTI_SCHED_STEAL_RING_H
#define TTI_SCHED_STEAL_RING_H

#include <stddef.h>

#include "base/atomic.h"
#include "base/panic.h"

/* A power of two; the model checker has fewer. */
#ifndef TTI_STEAL_RING_SLOTS
#define TTI_STEAL_RING_SLOTS 256u
#endif

_Static_assert((TTI_STEAL_RING_SLOTS & (TTI_STEAL_RING_SLOTS - 1)) == 0, "counters wrap where slots do");

struct tti_steal_ring {
	/* Written by every consumer. A cache line of its own. */
	_Alignas(64) tti_atomic_u64 head;    /* steal << 32 | real */
	/* Written by the owner. */
	_Alignas(64) tti_atomic_u32 tail;
	void *slots[TTI_STEAL_RING_SLOTS];
};

struct tti_steal_head { uint32_t steal, real; };

static inline struct tti_steal_head tti_steal_unpack(uint64_t word)
{
	return (struct tti_steal_head){ .steal = (uint32_t)(word >> 32), .real = (uint32_t)word };
}

static inline uint64_t tti_steal_pack(uint32_t steal, uint32_t real)
{
	return (uint64_t)steal << 32 | real;
}

static inline void **tti_steal_slot(struct tti_steal_ring *r, uint32_t at)
{
	return &r->slots[at & (TTI_STEAL_RING_SLOTS - 1)];
}

static inline void tti_steal_ring_init(struct tti_steal_ring *r)
{
	/* relaxed: nobody else knows the ring yet. */
	tti_store_relaxed(&r->head, 0);
	/* relaxed: as above. */
	tti_store_relaxed(&r->tail, 0);
}

/* About how many can be had. Any thread. */
static inline uint32_t tti_steal_ring_len(struct tti_steal_ring *r)
{
	/* relaxed: a hint; two counters are never of one moment. */
	uint32_t n = tti_load_relaxed(&r->tail) - tti_steal_unpack(tti_load_relaxed(&r->head)).real;

	return n <= TTI_STEAL_RING_SLOTS ? n : 0;
}

/* Owner. How many slots it may write from its tail on. */
static inline uint32_t tti_steal_ring_room(struct tti_steal_ring *r, uint32_t tail)
{
	/* acquire: pairs with the release in tti_steal_end(): a thief has read the slots that
	 * are about to be written again. */
	return TTI_STEAL_RING_SLOTS - (tail - tti_steal_unpack(tti_load_acquire(&r->head)).steal);
}

/* Owner. False: the ring is full, and item is the caller's. */
TT_MUST_USE static inline bool tti_steal_ring_push(struct tti_steal_ring *r, void *item)
{
	/* relaxed: only this thread writes it. */
	uint32_t tail = tti_load_relaxed(&r->tail);

	if (tti_steal_ring_room(r, tail) == 0)
		return false;
	TTI_PLAIN_WRITE(*tti_steal_slot(r, tail), item);
	/* release: the slot, and what the item points to. Pairs with the acquire in
	 * tti_steal_begin(). */
	tti_store_release(&r->tail, tail + 1);
	return true;
}

/* Owner. The oldest, or NULL. */
static inline void *tti_steal_ring_pop(struct tti_steal_ring *r)
{
	/* relaxed: only this thread writes it. */
	uint32_t tail = tti_load_relaxed(&r->tail);
	/* relaxed: the compare-and-swap below checks it; the slot was written by this thread. */
	uint64_t word = tti_load_relaxed(&r->head);
	struct tti_steal_head h;
	uint64_t next;

	do {
		h = tti_steal_unpack(word);
		if (h.real == tail)
			return NULL;
		next = tti_steal_pack(h.steal == h.real ? h.real + 1 : h.steal, h.real + 1);
		/* relaxed: nobody but this thread writes the slot again, and it passes on what a
		 * thief's release before it carried. */
	} while (!tti_cas_relaxed(&r->head, &word, next));
	return TTI_PLAIN_READ(*tti_steal_slot(r, h.real));
}

/* Thief. Claims the older half, rounded up, and at most max; returns how many, from *ret_first on.
 * tti_steal_end() must follow unless it is 0. */
static inline uint32_t tti_steal_begin(struct tti_steal_ring *r, uint32_t max, uint32_t *ret_first)
{
	/* relaxed: the compare-and-swap below checks it. */
	uint64_t word = tti_load_relaxed(&r->head);
	struct tti_steal_head h;
	uint32_t n;

	do {
		h = tti_steal_unpack(word);
		if (h.steal != h.real)
			return 0; /* somebody else steals here */
		/* acquire: pairs with the release of the tail by its owner: the slots below it. */
		n = tti_load_acquire(&r->tail) - h.real;
		/* A tail older than the head: they move, look elsewhere meanwhile. */
		if (n > TTI_STEAL_RING_SLOTS)
			return 0;
		n -= n / 2;
		if (n > max)
			n = max;
		if (n == 0)
			return 0;
		/* relaxed: what lies below the tail was acquired with it. */
	} while (!tti_cas_relaxed(&r->head, &word, tti_steal_pack(h.steal, h.real + n)));
	*ret_first = h.real;
	return n;
}

/* Thief. The claimed slots were read; the owner may have taken others meanwhile. */
static inline void tti_steal_end(struct tti_steal_ring *r)
{
	/* relaxed: the compare-and-swap below checks it. */
	uint64_t word = tti_load_relaxed(&r->head);
	struct tti_steal_head h;

	do {
		h = tti_steal_unpack(word);
		TT_ASSERT(h.steal != h.real);
		/* release: the slots were read. Pairs with the acquire in tti_steal_ring_room(). */
	} while (!tti_cas_release(&r->head, &word, tti_steal_pack(h.real, h.real)));
}

/* The owner of `to`, which is not `from`. Takes the older half of what `from` has: returns its
 * oldest and leaves the others in `to`, or NULL when there is nothing to be had right now. */
static inline void *tti_steal_ring_steal(struct tti_steal_ring *from, struct tti_steal_ring *to)
{
	/* relaxed: only this thread writes it. */
	uint32_t tail = tti_load_relaxed(&to->tail), first, n;
	void *item;

	n = tti_steal_begin(from, tti_steal_ring_room(to, tail) + 1, &first);
	if (n == 0)
		return NULL;
	item = TTI_PLAIN_READ(*tti_steal_slot(from, first));
	for (uint32_t i = 1; i < n; i++)
		TTI_PLAIN_WRITE(*tti_steal_slot(to, tail + i - 1), TTI_PLAIN_READ(*tti_steal_slot(from, first + i)));
	tti_steal_end(from);
	/* release: as in tti_steal_ring_push(). Pairs with the acquire in tti_steal_begin(). */
	tti_store_release(&to->tail, tail + n - 1);
	return item;
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * slab.h - where stacks come from: one mapping of equal slots, and the process-wide
 * registry in which a signal handler finds the slot an address belongs to.
 *
 * Called by fiber.c (takes and gives back slots) and overflow.c (looks up).
 *
 * A slot, upwards: guard, stack, struct tti_fiber, colour.
 */
#ifndef TTI_FIBER_SLAB_H
#define TTI_FIBER_SLAB_H

#include "fiber/fiber.h"

#define TTI_SLAB_SLOTS_MAX 1024
/* Guards are made for this many slots at a time, when the first of them is taken. */
#define TTI_SLAB_CHUNK 64

/* Never freed, so that the registry may be walked at any time; used again by the next
 * slab once unclaimed. */
struct tti_slab {
	struct tti_slab *registry_next; /* immutable once published */
	tti_atomic_u32 claimed;         /* 1: belongs to a pool */
	tti_atomic_u64 seq;             /* odd: base and shape describe a live mapping */
	tti_atomic_ptr base;            /* lowest address */
	tti_atomic_u64 shape;           /* class << 32 | slots */

	/* The pool's thread only. */
	struct tti_slab *pool_next;
	struct tti_list open_link;      /* in the class's open list while unused > 0 */
	size_t bytes;
	uint32_t slots, unused;
	uint8_t stack_class;
	uint16_t chunks_ready;          /* bit per chunk: its guards were made (or given up) */
	uint16_t chunks_unguarded;      /* bit per chunk: it has none */
	uint64_t unused_bits[TTI_SLAB_SLOTS_MAX / TTI_SLAB_CHUNK];
};

/* Where an address lies. */
struct tti_slab_hit {
	struct tti_fiber *fiber;  /* its memory is mapped; all zero if the slot was never used */
	char *guard_low;          /* lowest address of the slot */
	char *stack_low;
	char *slot_end;
	bool in_guard;
	uint8_t stack_class;
};

/* Maps a slab for about as many slots as the class has already. NULL when out of memory. */
struct tti_slab *tti_slab_create(struct tti_stack_free *cls, enum tti_stack_class c);
/* Unmaps it and gives its guards back to the arena's budget. */
void tti_slab_destroy(struct tti_slab *s, struct tti_stack_arena *a);

/* Takes an unused slot of an open slab: 0, or -ENOMEM when no guard is to be had. */
TT_MUST_USE int tti_slab_take(struct tti_slab *s, struct tti_stack_arena *a, uint32_t *ret_slot);
/* Puts a slot back, its pages returned to the system. */
TT_MUST_USE int tti_slab_give_back(struct tti_slab *s, uint32_t slot, struct tti_stack_free *cls);

/* The fiber that lives, or would live, in the slot. */
struct tti_fiber *tti_slab_fiber(const struct tti_slab *s, uint32_t slot);
char *tti_slab_stack_low(const struct tti_slab *s, uint32_t slot);
bool tti_slab_unguarded(const struct tti_slab *s, uint32_t slot);

/* Async-signal-safe; any thread. */
bool tti_slab_find(const void *addr, struct tti_slab_hit *ret_hit);

/* Bytes of the guard below each stack. */
size_t tti_slab_guard_size(void);

/* The end of the program: f used its unguarded stack up. Here because overflow.c knows
 * the owner's name. */
TT_NORETURN void tti_overflow_panic(const struct tti_fiber *f);

#endif

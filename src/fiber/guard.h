/* SPDX-License-Identifier: MIT */
/*
 * guard.h - what lies below a stack so that running over its end is a fault. Called by
 * slab.c for a chunk of stacks at a time.
 */
#ifndef TTI_FIBER_GUARD_H
#define TTI_FIBER_GUARD_H

#include "fiber/fiber.h"

/* tti_guard_install: no guards could be had, and the arena permits to go without. */
#define TTI_UNGUARDED 1

/* Makes the lowest bytes of n slots, which lie `stride` bytes apart from `low` on,
 * inaccessible: 0, TTI_UNGUARDED, or -ENOMEM and then none is left in place. */
TT_MUST_USE int tti_guard_install(struct tti_stack_arena *a, char *low, size_t stride, uint32_t n);

/* n mprotect guards are gone with their mapping. */
void tti_guard_refund(struct tti_stack_arena *a, uint64_t n);

#endif

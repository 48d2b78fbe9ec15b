/* SPDX-License-Identifier: MIT */
/*
 * wheel.h - a worker's timer wheel: arm and cancel in constant time at any depth.
 * Owner worker only; used by sleeps, scope deadlines, select timeouts, linger.
 *
 * Eight levels of 64 slots; a slot of level k spans 2^(16 + 6k) ns, so level 0 has a
 * tick of 65.5 us and the top one reaches past any int64 deadline anyone will see. A
 * timer sits in the level of the highest bit in which its tick differs from the
 * wheel's; it is moved down when the wheel reaches its slot (hashed hierarchical
 * wheels: Varghese and Lauck, SOSP 1987).
 *
 * Invariants  A timer fires on its owner's thread, never early, at most one tick late
 *             plus the time the worker was busy.
 *             A slot's bit in occupied[] is set exactly when its list is not empty.
 * Rejected    A heap for short timers beside a coarse wheel: a finer tick costs one or
 *             two moves more a timer and needs no second structure.
 */
#ifndef TTI_TIMER_WHEEL_H
#define TTI_TIMER_WHEEL_H

#include <tutti/base.h>

#include "base/list.h"

#define TTI_WHEEL_TICK_SHIFT 16
#define TTI_WHEEL_SLOT_BITS 6
#define TTI_WHEEL_SLOTS (1u << TTI_WHEEL_SLOT_BITS)
#define TTI_WHEEL_LEVELS 8

struct tti_timer {
	struct tti_list link;                /* in a slot, or unlinked */
	int64_t deadline;                    /* monotonic ns; set by tti_wheel_arm */
	void (*fire)(struct tti_timer *t);   /* on the owner's thread; may arm and cancel any timer */
	uint16_t slot;                       /* level * SLOTS + index; valid while linked */
};

struct tti_wheel {
	int64_t tick;                        /* every earlier tick has been fired */
	size_t armed;                        /* timers linked */
	bool firing;                         /* inside fire_current(): the current tick is spent */
	uint64_t occupied[TTI_WHEEL_LEVELS];
	struct tti_list slots[TTI_WHEEL_LEVELS * TTI_WHEEL_SLOTS];
	struct tti_list due;                 /* taken from their slot, about to fire */
};

void tti_wheel_init(struct tti_wheel *w, int64_t now);

static inline void tti_timer_init(struct tti_timer *t, void (*fire)(struct tti_timer *))
{
	tti_list_init(&t->link);
	t->fire = fire;
}

static inline bool tti_timer_armed(const struct tti_timer *t)
{
	return tti_list_linked(&t->link);
}

/* t is initialised and not armed. A deadline in the past fires at the next advance;
 * TT_NEVER arms nothing. */
void tti_wheel_arm(struct tti_wheel *w, struct tti_timer *t, int64_t deadline);
/* Idempotent. */
void tti_wheel_cancel(struct tti_wheel *w, struct tti_timer *t);
/* Fires what is due at now; returns how many fired. */
size_t tti_wheel_advance(struct tti_wheel *w, int64_t now);
/* When to wake next, TT_NEVER when nothing is armed: the tick of the earliest deadline, or,
 * among many, an earlier time at which some move down a level. */
int64_t tti_wheel_next(const struct tti_wheel *w);
bool tti_wheel_is_valid(const struct tti_wheel *w);

#endif

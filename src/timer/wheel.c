/* SPDX-License-Identifier: MIT */
/* wheel.c - the timer wheel; see wheel.h for its invariants. */
#include "timer/wheel.h"

#include "base/panic.h"
#include "base/sometimes.h"

/* How many timers of a slot are looked at for the earliest. */
#define NEXT_LOOKS_AT 8

/* The first tick at or after a time: a timer may be late, never early. */
static int64_t tick_after(int64_t ns)
{
	if (ns <= 0)
		return 0;
	return (int64_t)(((uint64_t)ns + (1u << TTI_WHEEL_TICK_SHIFT) - 1) >> TTI_WHEEL_TICK_SHIFT);
}

static unsigned level_of(uint64_t now_tick, uint64_t tick)
{
	uint64_t differ = now_tick ^ tick;
	unsigned level;

	if (differ < TTI_WHEEL_SLOTS)
		return 0;
	level = (63u - (unsigned)__builtin_clzll(differ)) / TTI_WHEEL_SLOT_BITS;
	return level < TTI_WHEEL_LEVELS ? level : TTI_WHEEL_LEVELS - 1;
}

static unsigned index_at(uint64_t tick, unsigned level)
{
	return (unsigned)(tick >> (level * TTI_WHEEL_SLOT_BITS)) & (TTI_WHEEL_SLOTS - 1);
}

void tti_wheel_init(struct tti_wheel *w, int64_t now)
{
	w->tick = now > 0 ? now >> TTI_WHEEL_TICK_SHIFT : 0;
	w->armed = 0;
	w->firing = false;
	for (unsigned i = 0; i < TTI_WHEEL_LEVELS; i++)
		w->occupied[i] = 0;
	for (unsigned i = 0; i < TTI_WHEEL_LEVELS * TTI_WHEEL_SLOTS; i++)
		tti_list_init(&w->slots[i]);
	tti_list_init(&w->due);
}

/* Files a timer under its tick. One in the past goes to the tick that fires next, which
 * while firing is the following one: a timer that re-arms itself cannot hold the loop. */
static void file(struct tti_wheel *w, struct tti_timer *t)
{
	int64_t tick = tick_after(t->deadline);
	int64_t first = w->tick + (w->firing ? 1 : 0);
	unsigned level, index;

	TTI_SOMETIMES(w->firing && tick < first, "a timer that fires arms one for now");
	if (tick < first)
		tick = first;
	level = level_of((uint64_t)w->tick, (uint64_t)tick);
	index = index_at((uint64_t)tick, level);
	t->slot = (uint16_t)(level * TTI_WHEEL_SLOTS + index);
	w->occupied[level] |= UINT64_C(1) << index;
	tti_list_push_back(&w->slots[t->slot], &t->link);
}

void tti_wheel_arm(struct tti_wheel *w, struct tti_timer *t, int64_t deadline)
{
	TT_ASSERT(!tti_timer_armed(t));
	t->deadline = deadline;
	if (deadline == TT_NEVER)
		return;
	w->armed++;
	file(w, t);
}

void tti_wheel_cancel(struct tti_wheel *w, struct tti_timer *t)
{
	unsigned level = t->slot / TTI_WHEEL_SLOTS, index = t->slot % TTI_WHEEL_SLOTS;

	if (!tti_timer_armed(t))
		return;
	TTI_SOMETIMES(w->firing, "a timer that fires cancels another");
	tti_list_unlink(&t->link);
	w->armed--;
	/* A timer on the due list has left its slot; the test then finds the slot as it is. */
	if (tti_list_empty(&w->slots[t->slot]))
		w->occupied[level] &= ~(UINT64_C(1) << index);
}

/* Empties a slot into list. */
static void take_slot(struct tti_wheel *w, unsigned level, unsigned index, struct tti_list *list)
{
	struct tti_list *slot = &w->slots[level * TTI_WHEEL_SLOTS + index], *n;

	w->occupied[level] &= ~(UINT64_C(1) << index);
	while ((n = tti_list_pop_front(slot)) != NULL)
		tti_list_push_back(list, n);
}

/* At the start of a slot of level k >= 1 its timers move to lower levels. */
static void cascade(struct tti_wheel *w)
{
	for (unsigned level = 1; level < TTI_WHEEL_LEVELS; level++) {
		unsigned index = index_at((uint64_t)w->tick, level);
		struct tti_list moved, *n;

		if ((w->occupied[level] >> index & 1) != 0) {
			tti_list_init(&moved);
			TTI_SOMETIMES(level > 1, "timers move down by two levels or more at once");
			take_slot(w, level, index, &moved);
			while ((n = tti_list_pop_front(&moved)) != NULL)
				file(w, TTI_CONTAINER_OF(n, struct tti_timer, link));
		}
		if (index != 0)
			break;
	}
}

static size_t fire_current(struct tti_wheel *w)
{
	unsigned index = index_at((uint64_t)w->tick, 0);
	size_t fired = 0;
	struct tti_list *n;

	if ((w->occupied[0] >> index & 1) == 0)
		return 0;
	take_slot(w, 0, index, &w->due);
	w->firing = true;
	while ((n = tti_list_pop_front(&w->due)) != NULL) {
		struct tti_timer *t = TTI_CONTAINER_OF(n, struct tti_timer, link);

		w->armed--;
		fired++;
		t->fire(t);
	}
	w->firing = false;
	return fired;
}

/* The next tick after w->tick at which a slot has to be fired or moved down, and that slot. */
static int64_t next_event(const struct tti_wheel *w, unsigned *ret_slot)
{
	for (unsigned level = 0; level < TTI_WHEEL_LEVELS; level++) {
		unsigned shift = level * TTI_WHEEL_SLOT_BITS;
		unsigned index = index_at((uint64_t)w->tick, level);
		uint64_t later = w->occupied[level] & ~((UINT64_C(2) << index) - 1);

		if (later != 0) {
			uint64_t base = ((uint64_t)w->tick >> shift) & ~(uint64_t)(TTI_WHEEL_SLOTS - 1);

			*ret_slot = level * TTI_WHEEL_SLOTS + (unsigned)__builtin_ctzll(later);
			return (int64_t)((base + (uint64_t)__builtin_ctzll(later)) << shift);
		}
	}
	return INT64_MAX;
}

size_t tti_wheel_advance(struct tti_wheel *w, int64_t now)
{
	int64_t target = now >> TTI_WHEEL_TICK_SHIFT;
	size_t fired = 0;
	unsigned slot;

	if (w->armed == 0) {
		if (target > w->tick)
			w->tick = target;
		return 0;
	}
	while (w->tick <= target) {
		int64_t next;

		fired += fire_current(w);
		next = next_event(w, &slot);
		if (next > target) {
			w->tick = target;
			break;
		}
		w->tick = next;
		cascade(w);
	}
	TT_ASSERT_SLOW(tti_wheel_is_valid(w));
	return fired;
}

/* The earliest deadline in a slot, for a slot of few; else the slot's own start, at which
 * its timers move down. So a lone timer costs one wake-up, and a crowd no search. */
static int64_t earliest_in(const struct tti_list *slot, int64_t slot_start)
{
	int64_t earliest = TT_NEVER;
	int seen = 0;

	TTI_LIST_FOR_EACH (n, slot) {
		const struct tti_timer *t = TTI_CONTAINER_OF(n, struct tti_timer, link);

		if (++seen > NEXT_LOOKS_AT)
			return slot_start;
		if (t->deadline < earliest)
			earliest = t->deadline;
	}
	return tick_after(earliest) << TTI_WHEEL_TICK_SHIFT;
}

int64_t tti_wheel_next(const struct tti_wheel *w)
{
	unsigned slot;
	int64_t next;

	if (w->armed == 0)
		return TT_NEVER;
	if ((w->occupied[0] >> index_at((uint64_t)w->tick, 0) & 1) != 0)
		return w->tick << TTI_WHEEL_TICK_SHIFT;
	next = next_event(w, &slot);
	if (next > INT64_MAX >> TTI_WHEEL_TICK_SHIFT)
		return TT_NEVER;
	return earliest_in(&w->slots[slot], next << TTI_WHEEL_TICK_SHIFT);
}

bool tti_wheel_is_valid(const struct tti_wheel *w)
{
	size_t linked = 0;

	for (unsigned i = 0; i < TTI_WHEEL_LEVELS * TTI_WHEEL_SLOTS; i++) {
		bool bit = (w->occupied[i / TTI_WHEEL_SLOTS] >> (i % TTI_WHEEL_SLOTS) & 1) != 0;

		if (bit == tti_list_empty(&w->slots[i]))
			return false;
		TTI_LIST_FOR_EACH (n, &w->slots[i]) {
			if (TTI_CONTAINER_OF(n, struct tti_timer, link)->slot != i)
				return false;
			linked++;
		}
	}
	TTI_LIST_FOR_EACH (n, &w->due)
		linked++;
	return linked == w->armed;
}

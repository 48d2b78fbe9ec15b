/* SPDX-License-Identifier: MIT */
/*
 * event.c - what happens at a later virtual time: a binary heap ordered by time, then by
 * the order of scheduling, so that equal times never depend on the heap's shape.
 *
 * Invariant   items[e->slot - 1] == e for every scheduled event.
 */
#include "base/panic.h"
#include "sim/sim.h"

static bool before(const struct tti_sim_event *a, const struct tti_sim_event *b)
{
	return a->at != b->at ? a->at < b->at : a->seq < b->seq;
}

static void put(struct tti_sim_heap *h, size_t i, struct tti_sim_event *e)
{
	h->items[i] = e;
	e->slot = i + 1;
}

static void sift_up(struct tti_sim_heap *h, size_t i, struct tti_sim_event *e)
{
	while (i > 0 && before(e, h->items[(i - 1) / 2])) {
		put(h, i, h->items[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	put(h, i, e);
}

static void sift_down(struct tti_sim_heap *h, size_t i, struct tti_sim_event *e)
{
	size_t child;

	while ((child = 2 * i + 1) < h->len) {
		if (child + 1 < h->len && before(h->items[child + 1], h->items[child]))
			child++;
		if (!before(h->items[child], e))
			break;
		put(h, i, h->items[child]);
		i = child;
	}
	put(h, i, e);
}

static void make_room(struct tti_sim_heap *h)
{
	size_t room = h->room > 0 ? 2 * h->room : 64;
	struct tti_sim_event **items;

	if (h->len < h->room)
		return;
	items = tti_sim_alloc(room * sizeof(struct tti_sim_event *));
	for (size_t i = 0; i < h->len; i++)
		items[i] = h->items[i];
	tti_env_real.free(h->items);
	h->items = items;
	h->room = room;
}

void tti_sim_unschedule(struct tti_sim *sim, struct tti_sim_event *e)
{
	struct tti_sim_heap *h = &sim->heap;
	size_t i = e->slot - 1;
	struct tti_sim_event *last;

	if (e->slot == 0)
		return;
	TT_ASSERT(i < h->len);
	TT_ASSERT(h->items[i] == e);
	e->slot = 0;
	last = h->items[--h->len];
	if (last == e)
		return;
	if (i > 0 && before(last, h->items[(i - 1) / 2]))
		sift_up(h, i, last);
	else
		sift_down(h, i, last);
}

void tti_sim_at(struct tti_sim *sim, struct tti_sim_event *e, int64_t at,
                void (*fire)(struct tti_sim *, struct tti_sim_event *))
{
	struct tti_sim_heap *h = &sim->heap;

	tti_sim_unschedule(sim, e);
	make_room(h);
	e->at = at;
	e->seq = h->next_seq++;
	e->fire = fire;
	h->len++;
	sift_up(h, h->len - 1, e);
}

struct tti_sim_event *tti_sim_next_event(const struct tti_sim *sim)
{
	return sim->heap.len > 0 ? sim->heap.items[0] : NULL;
}

size_t tti_sim_fire_due(struct tti_sim *sim)
{
	struct tti_sim_event *e;
	size_t fired = 0;

	while ((e = tti_sim_next_event(sim)) != NULL && e->at <= sim->now) {
		tti_sim_unschedule(sim, e);
		e->fire(sim, e);
		fired++;
	}
	return fired;
}

void tti_sim_heap_fini(struct tti_sim *sim)
{
	tti_env_real.free(sim->heap.items);
	sim->heap = (struct tti_sim_heap){ 0 };
}

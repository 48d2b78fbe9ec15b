/* SPDX-License-Identifier: MIT */
/*
 * memory.c - what an atomic operation may see: the C11 memory model as a machine.
 *
 * A location keeps all its stores in modification order. A thread carries a view (see
 * state.h); a load may read any store not before its view, a store may be put anywhere
 * after it, a read-modify-write goes directly after the store it reads. A releasing
 * store carries its thread's view; who acquires it joins that view. This is the
 * promise-free part of the machine of Kang, Hur, Lahav, Vafeiadis and Dreyer, "A
 * promising semantics for relaxed-memory concurrency" (2017).
 *
 * Release sequences  a read-modify-write passes on what the store it read carried
 *                    (C++20; the older rule that a thread's own later relaxed stores
 *                    continue the sequence is not granted, so code cannot lean on it).
 * seq_cst            the total order is the order of execution. An access may not see
 *                    past what earlier seq_cst accesses of the location saw or wrote,
 *                    nor past what was known at earlier seq_cst fences; a fence also
 *                    learns both of all locations (C++20, [atomics.order] 4).
 *
 * Not modelled   Load buffering: no operation reads from the future, so outcomes that
 *                need a cycle of program order and reads-from are missed. The total
 *                order always agrees with happens-before, as on the CPUs we support.
 *                A compare-and-swap never fails spuriously (atomic.h has strong ones
 *                only), but its failure may read an older store, as C11 allows.
 *                Accesses of different sizes to one address are an error.
 */
#include "state.h"

#include <stdio.h>
#include <string.h>

#define TABLE 256 /* a power of two, several times MODEL_LOCATIONS */

static struct { uintptr_t addr; uint32_t generation; int loc; } table[TABLE];

const char *const model_op_names[] = {
	"load", "store", "exchange", "fetch_add", "fetch_sub", "fetch_or", "fetch_and", "cas", "fence",
};

const char *model_order_name(unsigned op, unsigned order)
{
	static const char *const names[] = {
		"relaxed", "acquire", "release", "acq_rel", "?", "seq_cst", "seq_cst", "seq_cst",
	};

	/* The failure of a compare-and-swap is a load. */
	(void)op;
	return names[order & 7];
}

/* ---- Locations ---- */

void model_memory_reset(void)
{
	model.locations_n = 0;
	model.stores_n = 1;
	model.stores[0].pos = 0;
	model.stores[0].syncs = false;
}

static unsigned slot_of(uintptr_t addr)
{
	unsigned i = (unsigned)((addr >> 2) * 0x9e3779b1u) & (TABLE - 1);

	while (table[i].generation == model.generation && table[i].addr != addr)
		i = (i + 1) & (TABLE - 1);
	return i;
}

int model_find(const volatile void *p)
{
	unsigned i = slot_of((uintptr_t)p);

	return table[i].generation == model.generation ? table[i].loc : -1;
}

static uint64_t memory_get(uintptr_t addr, unsigned size)
{
	if (size == 4)
		return *(const uint32_t *)addr;
	return *(const uint64_t *)addr;
}

static void memory_set(uintptr_t addr, unsigned size, uint64_t x)
{
	if (size == 4)
		*(uint32_t *)addr = (uint32_t)x;
	else
		*(uint64_t *)addr = x;
}

static uint16_t store_new(unsigned loc, unsigned pos, uint64_t value)
{
	struct model_location *l = &model.locations[loc];
	uint16_t id = (uint16_t)model.stores_n;
	struct model_store *s = &model.stores[id];

	if (model.stores_n == MODEL_STORES || l->n == MODEL_HISTORY)
		model_fail("more stores than the checker has room for: an unbounded loop?");
	model.stores_n++;
	for (unsigned i = l->n; i > pos; i--) {
		l->order[i] = l->order[i - 1];
		model.stores[l->order[i]].pos = (uint16_t)i;
	}
	l->order[pos] = id;
	l->n++;
	s->value = value;
	s->pos = (uint16_t)pos;
	s->thread = (uint8_t)model.current;
	s->rmw = false;
	s->syncs = false;
	s->site = NULL;
	/* The memory itself shows the end of the modification order, for debuggers and for
	 * plain reads in check(). */
	memory_set(l->addr, l->size, model.stores[l->order[l->n - 1]].value);
	return id;
}

int model_locate(const volatile void *p, unsigned size)
{
	unsigned i = slot_of((uintptr_t)p);
	struct model_location *l;

	if (table[i].generation == model.generation) {
		l = &model.locations[table[i].loc];
		if (l->freed)
			model_fail("atomic access to freed memory (%s)", l->name != NULL ? l->name : "no name");
		if (l->size != size)
			model_fail("one address accessed with %u and %u bytes", l->size, size);
		return table[i].loc;
	}
	if (size != 4 && size != 8)
		model_fail("an atomic object of %u bytes", size);
	if (model.locations_n == MODEL_LOCATIONS)
		model_fail("more locations than the checker has room for");
	model_check_freed((uintptr_t)p, "atomic access");
	table[i].addr = (uintptr_t)p;
	table[i].generation = model.generation;
	table[i].loc = (int)model.locations_n++;
	l = &model.locations[table[i].loc];
	memset(l, 0, sizeof(*l));
	l->addr = (uintptr_t)p;
	l->size = size;
	store_new((unsigned)table[i].loc, 0, memory_get(l->addr, size));
	return table[i].loc;
}

void model_name_at(const volatile void *p, unsigned size, const char *name)
{
	model.locations[model_locate(p, size)].name = name;
}

/* ---- Views ---- */

static unsigned pos_of(uint16_t store)
{
	return model.stores[store].pos;
}

void model_raise(uint16_t *at, uint16_t store)
{
	if (pos_of(store) > pos_of(*at))
		*at = store;
}

void model_join(struct model_view *into, const struct model_view *from)
{
	for (unsigned i = 0; i < model.actors_n; i++)
		if (into->clock[i] < from->clock[i])
			into->clock[i] = from->clock[i];
	for (unsigned i = 0; i < model.locations_n; i++)
		if (from->at[i] != 0)
			model_raise(&into->at[i], from->at[i]);
}

/* The first position a step may read from or stand directly after. */
static unsigned floor_of(const struct model_actor *a, unsigned loc, unsigned order)
{
	const struct model_location *l = &model.locations[loc];
	unsigned floor = pos_of(a->now.at[loc]);

	if (order & TTI_MODEL_SC_BIT) {
		if (floor < pos_of(l->by_sc))
			floor = pos_of(l->by_sc);
		if (floor < pos_of(l->by_fence))
			floor = pos_of(l->by_fence);
	}
	if (a->newer_loc == (int)loc && floor < pos_of(a->newer_than) + 1)
		floor = pos_of(a->newer_than) + 1;
	return floor;
}

/* Whether a read-modify-write read the store at this position: nothing may come between. */
static bool is_taken(const struct model_location *l, unsigned pos)
{
	return pos + 1 < l->n && model.stores[l->order[pos + 1]].rmw;
}

static bool may_read(const struct model_actor *a, const struct model_step *s, unsigned pos)
{
	const struct model_location *l = &model.locations[s->loc];
	bool writes = s->kind == KIND_RMW;
	unsigned order = s->order;

	if (s->kind == KIND_CAS) {
		writes = model.stores[l->order[pos]].value == s->expected;
		order = writes ? s->order : s->fail_order;
	}
	if (writes && is_taken(l, pos))
		return false;
	return pos >= floor_of(a, (unsigned)s->loc, order);
}

unsigned model_readable(const struct model_actor *a, const struct model_step *s, uint16_t *ret_ids)
{
	const struct model_location *l = &model.locations[s->loc];
	unsigned first = floor_of(a, (unsigned)s->loc, TTI_MODEL_RELAXED);
	unsigned n = 0;

	for (unsigned pos = l->n; pos-- > first;) {
		if (l->order[pos] >= a->only_from && may_read(a, s, pos))
			ret_ids[n++] = l->order[pos];
	}
	return n;
}

bool model_newer(const struct model_read *r)
{
	return pos_of(r->store) + 1 < model.locations[r->loc].n;
}

/* ---- Operations ---- */

static struct model_actor *self(void)
{
	return &model.actors[model.current];
}

static void note_read(struct model_actor *a, int loc, uint16_t store)
{
	unsigned i;

	for (i = 0; i < a->reads_n; i++)
		if (a->reads[i].loc == loc)
			break;
	if (i == MODEL_READS) {
		a->reads_overflow = true;
		return;
	}
	a->reads[i] = (struct model_read){ loc, store };
	if (i == a->reads_n)
		a->reads_n++;
	if (a->newer_loc == loc)
		a->newer_loc = -1;
}

/* The rest of every read: what is learnt from the store. */
static void read_from(struct model_actor *a, int loc, uint16_t id, unsigned order)
{
	const struct model_store *s = &model.stores[id];
	struct model_location *l = &model.locations[loc];

	model_raise(&a->now.at[loc], id);
	if (s->syncs)
		model_join((order & TTI_MODEL_ACQUIRE) ? &a->now : &a->acquired, &s->sync);
	if (order & TTI_MODEL_SC_BIT)
		model_raise(&l->by_sc, id);
	note_read(a, loc, id);
}

/* The rest of every write: what the store carries. source is the store that a
 * read-modify-write read, 0 for a plain store. */
static void write_to(struct model_actor *a, int loc, uint16_t id, unsigned order, uint16_t source)
{
	struct model_store *s = &model.stores[id];
	struct model_location *l = &model.locations[loc];

	model_raise(&a->now.at[loc], id);
	if (order & TTI_MODEL_RELEASE) {
		s->sync = a->now;
		s->syncs = true;
	} else if (a->released_any) {
		s->sync = a->released;
		s->syncs = true;
	}
	if (source != 0 && model.stores[source].syncs) {
		if (s->syncs)
			model_join(&s->sync, &model.stores[source].sync);
		else
			s->sync = model.stores[source].sync;
		s->syncs = true;
	}
	if (order & TTI_MODEL_SC_BIT)
		model_raise(&l->by_sc, id);
}

static void step_begin(struct model_step *s, struct tti_model_site *site)
{
	site->reached = true;
	model_before(s);
	if (s->loc >= 0 && model.locations[s->loc].freed)
		model_fail("atomic access to freed memory");
}

static void step_end(struct model_step *s, bool wrote)
{
	struct model_actor *a = self();

	if (s->loc >= 0)
		model.locations[s->loc].touched[model.current] = a->now.clock[model.current];
	a->now.clock[model.current]++;
	model_after(s, wrote);
}

static void trace_op(const struct tti_model_site *site, const struct model_step *s, bool failed,
                     uint16_t read, uint16_t wrote)
{
	const struct model_location *l;
	unsigned order = failed ? site->fail_now : site->now;
	char text[256];
	size_t n = 0;

	if (!model.tracing)
		return;
	text[0] = 0;
	if (s->loc >= 0) {
		l = &model.locations[s->loc];
		if (l->name != NULL)
			n += (size_t)snprintf(text + n, sizeof(text) - n, " %s", l->name);
		else
			n += (size_t)snprintf(text + n, sizeof(text) - n, " [%d]", s->loc);
	}
	if (read != 0) {
		const struct model_store *r = &model.stores[read];

		n += (size_t)snprintf(text + n, sizeof(text) - n, " reads 0x%llx of ", (unsigned long long)r->value);
		if (r->site != NULL)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "T%u %s:%d", r->thread,
			                      strrchr(r->site->file, '/') ? strrchr(r->site->file, '/') + 1 : r->site->file,
			                      r->site->line);
		else
			n += (size_t)snprintf(text + n, sizeof(text) - n, "the start");
		if (r->pos + 1u < model.locations[s->loc].n && (wrote == 0 || r->pos + 2u < model.locations[s->loc].n))
			n += (size_t)snprintf(text + n, sizeof(text) - n, " (stale)");
	}
	if (wrote != 0) {
		n += (size_t)snprintf(text + n, sizeof(text) - n, " writes 0x%llx",
		                      (unsigned long long)model.stores[wrote].value);
		if (model.stores[wrote].pos + 1u < model.locations[s->loc].n)
			n += (size_t)snprintf(text + n, sizeof(text) - n, " (ordered before an earlier store)");
	}
	model_trace(site->file, site->line, "%-9s %-7s%s%s%s", model_op_names[site->op],
	            model_order_name(site->op, order), site->now != site->order ? " (weakened)" : "",
	            failed ? " fails" : "", text);
}

uint64_t tti_model_load(const volatile void *p, unsigned size, struct tti_model_site *site)
{
	struct model_step s = { .kind = KIND_LOAD, .order = site->now, .loc = model_locate(p, size) };
	struct model_actor *a = self();
	uint16_t ids[MODEL_HISTORY], id;

	step_begin(&s, site);
	id = ids[model_pick(model_readable(a, &s, ids))];
	read_from(a, s.loc, id, site->now);
	trace_op(site, &s, false, id, 0);
	step_end(&s, false);
	return model.stores[id].value;
}

/* Chooses where in the modification order a store goes; the last place comes first. */
static unsigned place_store(const struct model_actor *a, const struct model_step *s)
{
	const struct model_location *l = &model.locations[s->loc];
	unsigned floor = floor_of(a, (unsigned)s->loc, s->order);
	unsigned places[MODEL_HISTORY + 1], n = 0;

	for (unsigned pos = l->n; pos > floor; pos--)
		if (!is_taken(l, pos - 1))
			places[n++] = pos;
	return places[model_pick(n)];
}

static uint64_t truncate_to(uint64_t x, unsigned size)
{
	return size == 4 ? (uint32_t)x : x;
}

void tti_model_store(volatile void *p, unsigned size, uint64_t x, struct tti_model_site *site)
{
	struct model_step s = { .kind = KIND_STORE, .order = site->now, .loc = model_locate(p, size) };
	struct model_actor *a = self();
	uint16_t id;

	step_begin(&s, site);
	id = store_new((unsigned)s.loc, place_store(a, &s), truncate_to(x, size));
	model.stores[id].site = site;
	write_to(a, s.loc, id, site->now, 0);
	trace_op(site, &s, false, 0, id);
	step_end(&s, true);
}

static uint64_t apply(unsigned op, uint64_t old, uint64_t x)
{
	switch (op) {
	case TTI_MODEL_ADD: return old + x;
	case TTI_MODEL_SUB: return old - x;
	case TTI_MODEL_OR: return old | x;
	case TTI_MODEL_AND: return old & x;
	default: return x;
	}
}

static void replace(struct model_actor *a, const struct model_step *s, uint16_t from, uint64_t x,
                    struct tti_model_site *site)
{
	uint16_t id = store_new((unsigned)s->loc, pos_of(from) + 1, x);

	model.stores[id].site = site;
	model.stores[id].rmw = true;
	write_to(a, s->loc, id, site->now, from);
	trace_op(site, s, false, from, id);
}

uint64_t tti_model_rmw(volatile void *p, unsigned size, uint64_t x, struct tti_model_site *site)
{
	struct model_step s = { .kind = KIND_RMW, .order = site->now, .loc = model_locate(p, size) };
	struct model_actor *a = self();
	uint16_t ids[MODEL_HISTORY], id;
	uint64_t old;

	step_begin(&s, site);
	id = ids[model_pick(model_readable(a, &s, ids))];
	old = model.stores[id].value;
	read_from(a, s.loc, id, site->now);
	replace(a, &s, id, truncate_to(apply(site->op, old, x), size), site);
	step_end(&s, true);
	return old;
}

bool tti_model_cas(volatile void *p, unsigned size, void *expected, uint64_t x,
                   struct tti_model_site *site)
{
	uint64_t want = memory_get((uintptr_t)expected, size);
	struct model_step s = { .kind = KIND_CAS, .order = site->now, .fail_order = site->fail_now,
		.loc = model_locate(p, size), .expected = want };
	struct model_actor *a = self();
	uint16_t ids[MODEL_HISTORY], id;

	step_begin(&s, site);
	id = ids[model_pick(model_readable(a, &s, ids))];
	if (model.stores[id].value == want) {
		read_from(a, s.loc, id, site->now);
		replace(a, &s, id, truncate_to(x, size), site);
		step_end(&s, true);
		return true;
	}
	memory_set((uintptr_t)expected, size, model.stores[id].value);
	read_from(a, s.loc, id, site->fail_now);
	trace_op(site, &s, true, id, 0);
	step_end(&s, false);
	return false;
}

void tti_model_fence(struct tti_model_site *site)
{
	struct model_step s = { .kind = KIND_FENCE, .order = site->now, .loc = -1 };
	struct model_actor *a = self();

	step_begin(&s, site);
	if (site->now & TTI_MODEL_ACQUIRE)
		model_join(&a->now, &a->acquired);
	if (site->now & TTI_MODEL_SC_BIT) {
		for (unsigned i = 0; i < model.locations_n; i++) {
			struct model_location *l = &model.locations[i];

			model_raise(&a->now.at[i], l->by_fence);
			model_raise(&a->now.at[i], l->by_sc);
			model_raise(&l->by_fence, a->now.at[i]);
		}
	}
	if (site->now & TTI_MODEL_RELEASE) {
		a->released = a->now;
		a->released_any = true;
	}
	trace_op(site, &s, false, 0, 0);
	step_end(&s, false);
}

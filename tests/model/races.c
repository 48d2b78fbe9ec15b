/* SPDX-License-Identifier: MIT */
/*
 * races.c - plain data, blocks of memory, and the two things a thread may sleep on.
 *
 * Race        two accesses of plain data, one of them a write, neither of which happens
 *             before the other. Every thread's own count of operations is its clock; an
 *             access is ordered before us when our view has its thread's clock. This
 *             needs no particular interleaving to show.
 * Blocks      model_free() asks the same of every earlier access to the block, atomic
 *             ones included: a free that could come too early is found in any order.
 * Futex       wait compares and sleeps in one step, wakes come one by one in any order.
 *             As in the kernel, the calls on one word see it in one order (by_futex);
 *             they order nothing else. Waking a word in a freed block is allowed, as
 *             the kernel allows it.
 */
#include "state.h"

#include <stdio.h>
#include <string.h>

#define CELLS 512 /* a power of two */
#define BLOCKS 32
#define ARENA (64 * 1024)

struct cell {
	uintptr_t addr;
	size_t size;
	uint32_t generation;
	uint16_t wrote;                    /* clock of the last write, 0 for none */
	uint8_t writer;
	const char *write_file;
	int write_line;
	uint16_t read[MODEL_ACTORS];       /* clock of each thread's last read */
	const char *read_file[MODEL_ACTORS];
	int read_line[MODEL_ACTORS];
};

static struct cell cells[CELLS];
static uint16_t used[CELLS];           /* the cells of this execution */
static unsigned used_n;

static struct { uintptr_t addr; size_t size; bool freed; } blocks[BLOCKS];
static unsigned blocks_n;
static _Alignas(64) char arena[ARENA];
static size_t arena_used;

void model_races_reset(void)
{
	used_n = 0;
	blocks_n = 0;
	arena_used = 0;
}

static struct cell *cell_of(const volatile void *p, size_t size)
{
	uintptr_t addr = (uintptr_t)p;
	unsigned i = (unsigned)((addr >> 2) * 0x9e3779b1u) & (CELLS - 1);

	while (cells[i].generation == model.generation && cells[i].addr != addr)
		i = (i + 1) & (CELLS - 1);
	if (cells[i].generation == model.generation)
		return &cells[i];
	if (used_n == CELLS / 2)
		model_fail("more plain data than the checker has room for");
	memset(&cells[i], 0, sizeof(cells[i]));
	cells[i].addr = addr;
	cells[i].size = size;
	cells[i].generation = model.generation;
	used[used_n++] = (uint16_t)i;
	return &cells[i];
}

static struct model_view *now(void)
{
	return &model.actors[model.current].now;
}

static void check_write_seen(const struct cell *c, const char *what, const char *file, int line)
{
	if (c->wrote > now()->clock[c->writer])
		model_fail("data race: %s by T%u at %s:%d, write by T%u at %s:%d", what, model.current, file,
		           line, c->writer, c->write_file, c->write_line);
}

static void check_reads_seen(const struct cell *c, const char *what, const char *file, int line)
{
	for (unsigned i = 0; i < model.actors_n; i++)
		if (c->read[i] > now()->clock[i])
			model_fail("data race: %s by T%u at %s:%d, read by T%u at %s:%d", what, model.current,
			           file, line, i, c->read_file[i], c->read_line[i]);
}

static void count_step(void)
{
	if (++model.steps_n > MODEL_STEPS)
		model_fail("more than %d steps: an unbounded loop", MODEL_STEPS);
}

void *tti_model_plain_read(const volatile void *p, size_t size, const char *file, int line)
{
	struct cell *c;

	count_step();
	model_check_freed((uintptr_t)p, "plain read");
	c = cell_of(p, size);
	check_write_seen(c, "read", file, line);
	c->read[model.current] = now()->clock[model.current];
	c->read_file[model.current] = file;
	c->read_line[model.current] = line;
	model_trace(file, line, "plain read");
	return (void *)(uintptr_t)p;
}

void *tti_model_plain_write(const volatile void *p, size_t size, const char *file, int line)
{
	struct cell *c;

	count_step();
	model_check_freed((uintptr_t)p, "plain write");
	c = cell_of(p, size);
	check_write_seen(c, "write", file, line);
	check_reads_seen(c, "write", file, line);
	c->wrote = now()->clock[model.current];
	c->writer = (uint8_t)model.current;
	c->write_file = file;
	c->write_line = line;
	model_trace(file, line, "plain write");
	return (void *)(uintptr_t)p;
}

/* ---- Blocks ---- */

void *model_alloc(size_t size)
{
	size_t rounded = (size + 63) & ~(size_t)63;
	void *p = arena + arena_used;

	if (blocks_n == BLOCKS || rounded > ARENA - arena_used)
		model_fail("more memory than the checker has room for");
	arena_used += rounded;
	memset(p, 0, rounded);
	blocks[blocks_n].addr = (uintptr_t)p;
	blocks[blocks_n].size = rounded;
	blocks[blocks_n].freed = false;
	blocks_n++;
	return p;
}

void model_check_freed(uintptr_t addr, const char *what)
{
	for (unsigned i = 0; i < blocks_n; i++)
		if (addr - blocks[i].addr < blocks[i].size && blocks[i].freed)
			model_fail("%s by T%u in freed block %u", what, model.current, i);
}

static void check_atomics_quiet(uintptr_t addr, size_t size)
{
	for (unsigned k = 0; k < model.locations_n; k++) {
		struct model_location *l = &model.locations[k];

		if (l->addr - addr >= size)
			continue;
		for (unsigned i = 0; i < model.actors_n; i++)
			if (l->touched[i] > now()->clock[i])
				model_fail("T%u frees what T%u may still use: its atomic access does not happen before",
				           model.current, i);
		l->freed = true;
	}
}

static void check_plain_quiet(uintptr_t addr, size_t size)
{
	for (unsigned k = 0; k < used_n; k++) {
		struct cell *c = &cells[used[k]];

		if (c->addr - addr >= size)
			continue;
		check_write_seen(c, "free", "model_free", 0);
		check_reads_seen(c, "free", "model_free", 0);
	}
}

void model_free(void *p)
{
	for (unsigned i = 0; i < blocks_n; i++) {
		if (blocks[i].addr != (uintptr_t)p)
			continue;
		if (blocks[i].freed)
			model_fail("block %u freed twice", i);
		check_atomics_quiet(blocks[i].addr, blocks[i].size);
		check_plain_quiet(blocks[i].addr, blocks[i].size);
		blocks[i].freed = true;
		/* Whoever still looks finds nonsense, also by an access that nobody checks. */
		memset(p, 0xdd, blocks[i].size);
		model_note("frees block %u", i);
		return;
	}
	model_fail("free of what model_alloc() did not give");
}

void model_check_leaks(void)
{
	for (unsigned i = 0; i < blocks_n; i++)
		if (!blocks[i].freed)
			model_fail("leak: block %u (%zu bytes) was not freed", i, blocks[i].size);
}

/* ---- Futex ---- */

int model_futex_wait(tti_atomic_u32 *word, uint32_t expected)
{
	struct model_step s = { .kind = KIND_FUTEX_WAIT, .loc = model_locate(&word->v, 4) };
	struct model_actor *a = &model.actors[model.current];
	struct model_location *l = &model.locations[s.loc];
	uint16_t ids[MODEL_HISTORY], id;

	model_before(&s);
	model_raise(&a->now.at[s.loc], l->by_futex);
	id = ids[model_pick(model_readable(a, &s, ids))];
	model_raise(&a->now.at[s.loc], id);
	model_raise(&l->by_futex, id);
	l->touched[model.current] = a->now.clock[model.current]++;
	model_after(&s, false);
	if (model.stores[id].value != expected) {
		model_trace("futex", 0, "wait returns at once: 0x%x", (unsigned)model.stores[id].value);
		return -EAGAIN;
	}
	if (a->spurious < model.scenario->spurious && model_pick(2) == 1) {
		a->spurious++;
		model_trace("futex", 0, "wait returns spuriously");
		return -EINTR;
	}
	model_trace("futex", 0, "waits");
	a->next = (struct model_step){ .kind = KIND_FUTEX_BLOCKED, .loc = s.loc };
	model_leave();
	model_trace("futex", 0, "woken");
	return 0;
}

static bool wake_one(int loc)
{
	unsigned waiting[MODEL_ACTORS], n = 0;

	for (unsigned i = 1; i < model.actors_n; i++)
		if (model.actors[i].next.kind == KIND_FUTEX_BLOCKED && model.actors[i].next.loc == loc)
			waiting[n++] = i;
	if (n == 0)
		return false;
	model.actors[waiting[model_pick(n)]].next = (struct model_step){ .kind = KIND_LOCAL, .loc = -1 };
	return true;
}

int model_futex_wake(tti_atomic_u32 *word, int n)
{
	int loc = model_find(&word->v), woken = 0;
	struct model_step s = { .kind = KIND_FUTEX_WAKE, .loc = loc };
	struct model_actor *a = &model.actors[model.current];

	/* Never touched: then nobody waits, and the call can be told from no other. */
	if (loc < 0)
		return 0;
	model_before(&s);
	model_raise(&a->now.at[loc], model.locations[loc].by_futex);
	model_raise(&model.locations[loc].by_futex, a->now.at[loc]);
	a->now.clock[model.current]++;
	while (woken < n && wake_one(loc))
		woken++;
	model_trace("futex", 0, "wakes %d", woken);
	model_after(&s, false);
	return woken;
}

/* ---- Parker ---- */

void model_park(struct model_parker *p)
{
	struct model_step s = { .kind = KIND_PARK, .loc = -1, .parker = p };
	struct model_actor *a = &model.actors[model.current];

	model_before(&s);
	if (model.alone && !p->token)
		model_fail("setup and check may not wait");
	if (p->token) {
		p->token = false;
		model_trace("park", 0, "takes the token");
	} else {
		a->spurious++;
		model_trace("park", 0, "returns spuriously");
	}
	a->now.clock[model.current]++;
	model_after(&s, false);
}

void model_unpark(struct model_parker *p)
{
	struct model_step s = { .kind = KIND_UNPARK, .loc = -1, .parker = p };

	model_before(&s);
	p->token = true;
	model_trace("unpark", 0, "gives the token");
	model.actors[model.current].now.clock[model.current]++;
	model_after(&s, false);
}

/* SPDX-License-Identifier: MIT */
/*
 * slab_test.c - fiber/slab.c under the model: workers map and unmap slabs while a signal handler
 * looks up an address. What it finds is one slab's life, never the base of one with the shape
 * of another; records are whole when they are found, and used again by one worker at a time.
 *
 * The stacks themselves are shared by no two threads: a worker's pool is its own (fiber.h), so
 * the free list of stacks has no atomics to check. The registry of slabs is what is shared.
 *
 * slab.c is part of this file: its registry is static, and made anew for each execution. The
 * kernel here gives every mapping an address of its own, or, where a scenario says so, what was
 * unmapped to the next who asks.
 */
/* model-sources: src/fiber/guard.c src/env/env.c src/base/spin.c src/arch/x86_64/switch.S src/arch/aarch64/switch.S */
#include "model.h"

#include <string.h>

#include "base/spin.h"

#include "fiber/slab.c"

#include <errno.h>
#include <sys/syscall.h>

#define MAPS 8
#define THREADS 3
#define NOTHING TTI_STACK_CLASSES    /* a class whose slabs cannot be mapped */

struct map { uintptr_t base; unsigned owner; uint8_t stack_class; bool mapped; };

static struct map maps[MAPS];
static unsigned maps_n;
static tti_spin kernel;              /* guards maps[].mapped and maps_n, where mappings come again */
static bool maps_again;
static uint8_t wanted[THREADS + 1];  /* the class each thread makes a slab of */
static struct tti_stack_free pools[THREADS];
static struct tti_stack_arena arena;
static char *looked_for[2];          /* addresses that the handler asks about */

void tti_overflow_panic(const struct tti_fiber *f)
{
	(void)f;
	model_fail("no stack is used here");
}

static struct map *map_get(void)
{
	for (unsigned i = 0; maps_again && i < maps_n; i++)
		if (!maps[i].mapped)
			return &maps[i];
	MODEL_ASSERT(maps_n < MAPS);
	/* Far enough apart for the largest slab. */
	maps[maps_n].base = (uintptr_t)(maps_n + 1) << 40;
	return &maps[maps_n++];
}

/* The kernel's lock orders the two where a mapping comes again, as in reality. Nothing else may
 * lean on that lock, so it is not taken elsewhere. What a thread does with the mapping is plain. */
static void kernel_enter(void)
{
	if (maps_again)
		tti_spin_lock(&kernel);
}

static void kernel_leave(void)
{
	if (maps_again)
		tti_spin_unlock(&kernel);
}

static long model_mmap(void)
{
	struct map *m;

	if (wanted[model_thread()] == NOTHING)
		return -ENOMEM;
	kernel_enter();
	m = map_get();
	m->mapped = true;
	m->stack_class = wanted[model_thread()];
	kernel_leave();
	model_plain_write(m->owner, model_thread());
	return (long)m->base;
}

static long model_munmap(uintptr_t base)
{
	for (unsigned i = 0; i < maps_n; i++) {
		if (maps[i].base != base)
			continue;
		MODEL_ASSERT(model_plain_read(maps[i].owner) == model_thread());
		kernel_enter();
		MODEL_ASSERT(maps[i].mapped);
		maps[i].mapped = false;
		kernel_leave();
		return 0;
	}
	return -EINVAL;
}

static long model_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	(void)b;
	(void)c;
	(void)d;
	(void)e;
	(void)f;
	switch (nr) {
	case SYS_mmap:
		return model_mmap();
	case SYS_munmap:
		return model_munmap((uintptr_t)a);
	default:
		return 0;
	}
}

static void *model_env_alloc(size_t n) { return model_alloc(n); }
static void model_env_free(void *p) { model_free(p); }

static const struct tti_env_ops model_env = {
	.name = "model", .alloc = model_env_alloc, .free = model_env_free, .syscall = model_syscall,
};

static void setup(void)
{
	tti_env_bind(&model_env);
	tti_spin_init(&kernel);
	tti_spin_held = 0;
	model_thread_local(&tti_spin_held, sizeof(tti_spin_held));
	tti_store_relaxed(&registry, NULL); /* relaxed: setup runs alone. */
	model_name(&registry, "registry");
	memset(maps, 0, sizeof(maps));
	memset(&arena, 0, sizeof(arena));
	maps_n = 0;
	maps_again = false;
	for (unsigned i = 0; i < THREADS; i++) {
		pools[i] = (struct tti_stack_free){ 0 };
		tti_list_init(&pools[i].open);
	}
	/* In a slab of either class, in slots that begin elsewhere. */
	looked_for[0] = (char *)((uintptr_t)1 << 40) + slot_size(TTI_STACK_64K) * 3 + 1;
	looked_for[1] = (char *)((uintptr_t)2 << 40) + slot_size(TTI_STACK_64K) * 3 + 1;
}

static void setup_again(void)
{
	setup();
	maps_again = true;
}

static struct tti_slab *create(enum tti_stack_class c)
{
	struct tti_slab *s;

	wanted[model_thread()] = (uint8_t)c;
	s = tti_slab_create(&pools[model_thread() - 1], c);
	MODEL_ASSERT(s != NULL && s->unused == s->slots);
	return s;
}

static void destroy(struct tti_slab *s)
{
	tti_list_unlink(&s->open_link);
	tti_slab_destroy(s, &arena);
}

/* Two lives of different shapes. */
static void two_lives(void)
{
	destroy(create(TTI_STACK_64K));
	create(TTI_STACK_256K);
}

static void three_lives(void)
{
	destroy(create(TTI_STACK_64K));
	destroy(create(TTI_STACK_256K));
	create(TTI_STACK_64K);
}

static void one_life(void)
{
	destroy(create(TTI_STACK_256K));
}

/* The slot is one that the slab mapped there has. */
static void check_hit(const char *addr, const struct tti_slab_hit *hit)
{
	const struct map *m = &maps[((uintptr_t)addr >> 40) - 1];
	enum tti_stack_class c = (enum tti_stack_class)hit->stack_class;

	MODEL_ASSERT(c == (enum tti_stack_class)m->stack_class);
	MODEL_ASSERT(((uintptr_t)hit->guard_low - m->base) % slot_size(c) == 0);
	MODEL_ASSERT(hit->slot_end - hit->guard_low == (ptrdiff_t)slot_size(c));
	MODEL_ASSERT(addr >= hit->guard_low && addr < hit->slot_end);
}

/* A record is claimed, and given up for want of memory. */
static void no_memory(void)
{
	wanted[model_thread()] = NOTHING;
	MODEL_ASSERT(tti_slab_create(&pools[model_thread() - 1], TTI_STACK_8M) == NULL);
}

static void look(void)
{
	struct tti_slab_hit hit;

	for (unsigned i = 0; i < 2; i++)
		if (tti_slab_find(looked_for[i], &hit))
			check_hit(looked_for[i], &hit);
}

static void look_once(void)
{
	struct tti_slab_hit hit;

	if (tti_slab_find(looked_for[0], &hit))
		check_hit(looked_for[0], &hit);
}

/* Each record is found, and belongs to at most one pool. */
static void check(void)
{
	unsigned records = 0, claimed = 0;

	for (struct tti_slab *s = (struct tti_slab *)registry.v; s != NULL; s = s->registry_next) {
		records++;
		claimed += s->claimed.v;
		MODEL_ASSERT(s->claimed.v == (s->seq.v % 2 == 1 ? 1 : 0));
	}
	MODEL_ASSERT(records >= 1 && records <= 3);
	MODEL_ASSERT(claimed <= records);
}

static const struct model_scenario scenarios[] = {
	{ .name = "reuse", .claim = "A record is used again by one worker, whole.", .setup = setup,
	  .threads = { two_lives, one_life }, .check = check, .leaks = true },
	{ .name = "given_up", .claim = "A record that one claimed in vain is whole for the next.", .setup = setup,
	  .threads = { one_life, no_memory, one_life }, .check = check, .leaks = true, .executions = 200000,
	  .partial = true },
	{ .name = "map_again", .claim = "So where the kernel gives an address again.", .setup = setup_again,
	  .threads = { two_lives, one_life }, .check = check, .leaks = true },
	{ .name = "register", .claim = "A handler that finds a new record finds the ones behind it.", .setup = setup,
	  .threads = { one_life, one_life, look_once }, .check = check, .leaks = true, .executions = 200000,
	  .partial = true },
	{ .name = "lookup", .claim = "What a handler finds is one life of a record, not two halves.", .setup = setup,
	  .threads = { three_lives, look_once }, .check = check, .leaks = true },
	{ .name = "lookup_two", .claim = "So with two records that change hands.", .setup = setup,
	  .threads = { two_lives, one_life, look }, .check = check, .leaks = true, .executions = 200000, .partial = true },
	{ .name = NULL },
};

int main(int argc, char **argv)
{
	static const char *const files[] = { "src/fiber/slab.c", NULL };
	static const struct model_harness h = {
		.name = "slab", .scenarios = scenarios, .files = files,
	};

	return model_main(argc, argv, &h);
}

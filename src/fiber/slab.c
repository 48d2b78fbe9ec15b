/* SPDX-License-Identifier: MIT */
/*
 * slab.c - mappings of stacks, their guards, and the registry of both.
 *
 * Invariants  unused equals the bits set in unused_bits; a slab is in its class's open
 *             list exactly while unused > 0. A slot is taken only when its chunk is ready.
 *             guard_used never exceeds guard_budget.
 * Locks       None. The registry only grows; a record changes under a sequence number
 *             that is odd while the mapping lives.
 * Rejected    One mapping per stack: 3.4 us a cycle against 0.03 us, and a memory map
 *             each. Guards of the whole slab at once: a stall of 200 us or more.
 */
#include "fiber/slab.h"

#include <sys/auxv.h>
#include <sys/mman.h>
#ifdef TTI_FIBER_TSAN
#include <sanitizer/tsan_interface.h>
#endif

#include "env/env.h"
#include "fiber/guard.h"

/* Sanitizers and unoptimised code need several times the stack. */
#if defined(TTI_FIBER_SANITIZED) || !defined(__OPTIMIZE__)
#define FIRST_CLASS_BYTES (256u << 10)
#else
#define FIRST_CLASS_BYTES (64u << 10)
#endif

#define GUARD_BYTES (64u << 10) /* a frame can jump over a single page */
#define COLOURS 8u
#define COLOUR_BYTES 448u
/* Pages a stack has beyond its class, for colour, fiber and the first frames. Two, for
 * the sake of the TLB: with slots of 32, 33, 34 pages a ring of 1,000 fibers switches in
 * 4.3, 3.7, 3.4 ns and one of 10,000 in 5.7, 7.9, 5.9 ns. */
#define EXTRA_PAGES 2u

static const size_t class_bytes[TTI_STACK_CLASSES] = {
	[TTI_STACK_64K] = FIRST_CLASS_BYTES,
	[TTI_STACK_256K] = 256u << 10,
	[TTI_STACK_1M] = 1u << 20,
	[TTI_STACK_8M] = 8u << 20,
};

static const struct { uint32_t slots_min, slots_max; } class_growth[TTI_STACK_CLASSES] = {
	[TTI_STACK_64K] = { 64, 1024 },
	[TTI_STACK_256K] = { 32, 512 },
	[TTI_STACK_1M] = { 16, 128 },
	[TTI_STACK_8M] = { 4, 16 },
};

_Static_assert(COLOUR_BYTES % _Alignof(struct tti_fiber) == 0, "colouring keeps the fiber aligned");
_Static_assert((COLOURS - 1) * COLOUR_BYTES + sizeof(struct tti_fiber) <= 4096,
               "the pages added to each stack hold the colour and the fiber");
_Static_assert(TTI_SLAB_SLOTS_MAX / TTI_SLAB_CHUNK <= 16, "a bit per chunk");

static tti_atomic_ptr registry; /* struct tti_slab *, newest first */

/* The kernel may map for one thread what another has just unmapped, and orders the two; this
 * says so to the thread sanitizer, which does not see raw system calls. */
#ifdef TTI_FIBER_TSAN
static char unmapped;
static void note_mapped(void) { __tsan_acquire(&unmapped); }
static void note_unmapped(void) { __tsan_release(&unmapped); }
#else
static void note_mapped(void) { }
static void note_unmapped(void) { }
#endif

static size_t page_size(void)
{
	return (size_t)getauxval(AT_PAGESZ);
}

size_t tti_slab_guard_size(void)
{
	size_t page = page_size();

	return page > GUARD_BYTES ? page : GUARD_BYTES;
}

size_t tti_stack_class_size(enum tti_stack_class c)
{
	return class_bytes[c];
}

/* All of a slot but its guard. */
static size_t stack_span(enum tti_stack_class c)
{
	return class_bytes[c] + EXTRA_PAGES * page_size();
}

static size_t slot_size(enum tti_stack_class c)
{
	return tti_slab_guard_size() + stack_span(c);
}

static char *slab_base(const struct tti_slab *s)
{
	/* relaxed: the caller owns the slab and wrote this itself. */
	return tti_load_relaxed(&s->base);
}

static char *slot_low(const struct tti_slab *s, uint32_t slot)
{
	return slab_base(s) + slot * slot_size(s->stack_class);
}

/* The one place that knows where a slot keeps its fiber. */
static struct tti_fiber *fiber_below(char *slot_end, size_t slot)
{
	char *top = slot_end - (slot % COLOURS) * COLOUR_BYTES;

	return (struct tti_fiber *)(void *)(top - sizeof(struct tti_fiber));
}

struct tti_fiber *tti_slab_fiber(const struct tti_slab *s, uint32_t slot)
{
	return fiber_below(slot_low(s, slot) + slot_size(s->stack_class), slot);
}

char *tti_slab_stack_low(const struct tti_slab *s, uint32_t slot)
{
	return slot_low(s, slot) + tti_slab_guard_size();
}

bool tti_slab_unguarded(const struct tti_slab *s, uint32_t slot)
{
	return (s->chunks_unguarded >> (slot / TTI_SLAB_CHUNK) & 1) != 0;
}

/*
 * Registry
 */

static struct tti_slab *record_reuse(void)
{
	/* acquire: the record's registry_next. Pairs with the release in record_create(). */
	struct tti_slab *s = tti_load_acquire(&registry);

	for (; s != NULL; s = TTI_PLAIN_READ(s->registry_next)) {
		uint32_t unclaimed = 0;

		/* acquire: pairs with the release in tti_slab_destroy(). */
		if (tti_cas_acquire(&s->claimed, &unclaimed, 1))
			return s;
	}
	return NULL;
}

static struct tti_slab *record_create(void)
{
	struct tti_slab *s = tti_env_zalloc(sizeof(*s));
	void *head;

	if (s == NULL)
		return NULL;
	/* relaxed: not published yet. */
	tti_store_relaxed(&s->claimed, 1);
	/* relaxed: the compare-and-swap below checks it. */
	head = tti_load_relaxed(&registry);
	do {
		TTI_PLAIN_WRITE(s->registry_next, (struct tti_slab *)head);
		/* release: the record is whole. Pairs with the acquires of registry in
		 * record_reuse() and tti_slab_find(). */
	} while (!tti_cas_release(&registry, &head, s));
	return s;
}

static void record_publish(struct tti_slab *s, char *base)
{
	/* relaxed: only the claimant writes seq. */
	uint64_t seq = tti_load_relaxed(&s->seq);

	TT_ASSERT(seq % 2 == 0);
	/* release: whoever sees the new fields sees that the old sequence number is over.
	 * Pairs with the acquires in record_read(). */
	tti_store_release(&s->base, base);
	tti_store_release(&s->shape, (uint64_t)s->stack_class << 32 | s->slots);
	/* release: the fields come first. Pairs with the acquire in record_read(). */
	tti_store_release(&s->seq, seq + 1);
}

static void record_retire(struct tti_slab *s)
{
	/* relaxed: only the claimant writes seq. */
	uint64_t seq = tti_load_relaxed(&s->seq);

	TT_ASSERT(seq % 2 == 1);
	/* relaxed: ordered before the fields of the next life, which are releases; who reads one
	 * of those in record_read() sees this. */
	tti_store_relaxed(&s->seq, seq + 1);
}

/* A consistent copy of what the handler needs; false when the record is not live. */
static bool record_read(const struct tti_slab *s, char **ret_base, uint64_t *ret_shape)
{
	/* acquire: pairs with the releases in record_publish() and record_retire(). */
	uint64_t seq = tti_load_acquire(&s->seq);
	char *base;
	uint64_t shape;

	if (seq % 2 == 0)
		return false;
	/* acquire: keeps the second look at seq behind both. Pairs with the releases in
	 * record_publish(). */
	base = tti_load_acquire(&s->base);
	shape = tti_load_acquire(&s->shape);
	/* relaxed: the acquires above order it. */
	if (tti_load_relaxed(&s->seq) != seq)
		return false;
	*ret_base = base;
	*ret_shape = shape;
	return true;
}

static bool record_hit(const struct tti_slab *s, const char *addr, struct tti_slab_hit *ret_hit)
{
	size_t size, slot, guard = tti_slab_guard_size();
	uint64_t shape;
	char *base, *low;

	if (!record_read(s, &base, &shape))
		return false;
	size = slot_size((enum tti_stack_class)(shape >> 32));
	if (addr < base || (size_t)(addr - base) >= size * (uint32_t)shape)
		return false;
	slot = (size_t)(addr - base) / size;
	low = base + slot * size;
	*ret_hit = (struct tti_slab_hit){
		.fiber = fiber_below(low + size, slot),
		.guard_low = low,
		.stack_low = low + guard,
		.slot_end = low + size,
		.in_guard = addr < low + guard,
		.stack_class = (uint8_t)(shape >> 32),
	};
	return true;
}

bool tti_slab_find(const void *addr, struct tti_slab_hit *ret_hit)
{
	/* acquire: pairs with the release in record_create(). */
	const struct tti_slab *s = tti_load_acquire(&registry);

	for (; s != NULL; s = TTI_PLAIN_READ(s->registry_next)) {
		if (record_hit(s, addr, ret_hit))
			return true;
	}
	return false;
}

/*
 * Mapping
 */

static void *slab_map(size_t size, uint32_t *slots)
{
	void *p;

	/* Where memory is not overcommitted a large reservation fails and a small one may
	 * still succeed. */
	for (;; *slots /= 2) {
		p = tti_env_map(size * *slots);
		if (p != NULL || *slots == 1)
			break;
	}
	/* A kernel without huge pages refuses the advice, and needs none. */
	if (p != NULL)
		TT_IGNORE(tti_env_madvise(p, size * *slots, MADV_NOHUGEPAGE));
	return p;
}

static void slab_fill(struct tti_slab *s, uint32_t slots)
{
	s->slots = s->unused = slots;
	s->chunks_ready = s->chunks_unguarded = 0;
	for (uint32_t i = 0; i < TTI_SLAB_SLOTS_MAX / TTI_SLAB_CHUNK; i++) {
		uint32_t first = i * TTI_SLAB_CHUNK;

		if (slots >= first + TTI_SLAB_CHUNK)
			s->unused_bits[i] = UINT64_MAX;
		else
			s->unused_bits[i] = slots > first ? (UINT64_C(1) << (slots - first)) - 1 : 0;
	}
}

static uint32_t slots_wanted(const struct tti_stack_free *cls, enum tti_stack_class c)
{
	if (cls->slots < class_growth[c].slots_min)
		return class_growth[c].slots_min;
	if (cls->slots > class_growth[c].slots_max)
		return class_growth[c].slots_max;
	return (uint32_t)cls->slots;
}

struct tti_slab *tti_slab_create(struct tti_stack_free *cls, enum tti_stack_class c)
{
	uint32_t slots = slots_wanted(cls, c);
	struct tti_slab *s;
	char *base;

	s = record_reuse();
	if (s == NULL)
		s = record_create();
	if (s == NULL)
		return NULL;
	base = slab_map(slot_size(c), &slots);
	if (base == NULL)
		goto unclaim;
	note_mapped();
	s->stack_class = (uint8_t)c;
	TTI_PLAIN_WRITE(s->bytes, slot_size(c) * slots);
	slab_fill(s, slots);
	record_publish(s, base);
	s->pool_next = cls->slabs;
	cls->slabs = s;
	cls->slots += slots;
	tti_list_push_front(&cls->open, &s->open_link);
	return s;
unclaim:
	/* release: pairs with the acquire in record_reuse(). */
	tti_store_release(&s->claimed, 0);
	return NULL;
}

static uint32_t chunk_slots(const struct tti_slab *s, uint32_t chunk)
{
	uint32_t left = s->slots - chunk * TTI_SLAB_CHUNK;

	return left < TTI_SLAB_CHUNK ? left : TTI_SLAB_CHUNK;
}

void tti_slab_destroy(struct tti_slab *s, struct tti_stack_arena *a)
{
	uint64_t guards = 0;

	for (uint32_t i = 0; a->guard_mode == TTI_GUARD_MPROTECT && i * TTI_SLAB_CHUNK < s->slots; i++) {
		if ((s->chunks_ready & ~s->chunks_unguarded) >> i & 1)
			guards += chunk_slots(s, i);
	}
	record_retire(s);
	note_unmapped();
	TT_IGNORE(tti_env_unmap(slab_base(s), TTI_PLAIN_READ(s->bytes)));
	tti_guard_refund(a, guards);
	/* release: this life is over. Pairs with the acquire in record_reuse(). */
	tti_store_release(&s->claimed, 0);
}

/*
 * Slots
 */

static int chunk_make_ready(struct tti_slab *s, struct tti_stack_arena *a, uint32_t chunk)
{
	uint32_t first = chunk * TTI_SLAB_CHUNK;
	int rc;

	rc = tti_guard_install(a, slot_low(s, first), slot_size(s->stack_class), chunk_slots(s, chunk));
	if (rc < 0)
		return rc;
	if (rc == TTI_UNGUARDED)
		s->chunks_unguarded |= (uint16_t)(1u << chunk);
	s->chunks_ready |= (uint16_t)(1u << chunk);
	return 0;
}

int tti_slab_take(struct tti_slab *s, struct tti_stack_arena *a, uint32_t *ret_slot)
{
	uint32_t chunk = 0, bit;
	int rc;

	TT_ASSERT(s->unused > 0);
	while (s->unused_bits[chunk] == 0)
		chunk++;
	if ((s->chunks_ready >> chunk & 1) == 0) {
		rc = chunk_make_ready(s, a, chunk);
		if (rc < 0)
			return rc;
	}
	bit = (uint32_t)__builtin_ctzll(s->unused_bits[chunk]);
	s->unused_bits[chunk] &= s->unused_bits[chunk] - 1;
	if (--s->unused == 0)
		tti_list_unlink(&s->open_link);
	*ret_slot = chunk * TTI_SLAB_CHUNK + bit;
	return 0;
}

int tti_slab_give_back(struct tti_slab *s, uint32_t slot, struct tti_stack_free *cls)
{
	char *low = tti_slab_stack_low(s, slot);
	uint64_t bit = UINT64_C(1) << slot % TTI_SLAB_CHUNK;
	int rc;

	TT_ASSERT((s->unused_bits[slot / TTI_SLAB_CHUNK] & bit) == 0);
	rc = tti_env_madvise(low, stack_span(s->stack_class), MADV_DONTNEED);
	if (rc < 0)
		return rc;
	s->unused_bits[slot / TTI_SLAB_CHUNK] |= bit;
	if (s->unused++ == 0)
		tti_list_push_front(&cls->open, &s->open_link);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * fiber.c - a worker's stock of stacks: hand out, take back, trim; and, in sanitizer
 * builds, the switch that tells the sanitizers about itself.
 *
 * Invariants  live + idle + unused slots == slots, per class. Idle stacks keep their
 *             pages and are handed out newest first, because those are still in cache.
 * Rejected    Unmapping idle stacks: every munmap of a warm stack costs more than the
 *             70 reuses it saves memory for, and splits the mapping.
 */
#include "fiber/fiber.h"

#include <string.h>

#include "fiber/slab.h"

#ifdef TTI_FIBER_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif
#ifdef TTI_FIBER_MSAN
#include <sanitizer/msan_interface.h>
#endif
#ifdef TTI_FIBER_TSAN
#include <sanitizer/tsan_interface.h>
#endif
#ifdef TT_VALGRIND
#include <valgrind/valgrind.h>
#endif

/* Words at the low end of an unguarded stack that must still be zero. Zero costs no
 * page until something is written there, and a trim restores it. */
#define CANARY_WORDS 8

/* Stacks given back by one call of tti_fiber_pool_trim: 1.3 us each. */
#define TRIM_MAX 256

_Static_assert(offsetof(struct tti_context, sp) == 0, "switch.S stores sp at offset 0");
_Static_assert(offsetof(struct tti_fiber, ctx) == 0, "the context leads its cache line");
#if !defined(TTI_FIBER_SANITIZED) && !defined(TT_VALGRIND)
_Static_assert(sizeof(struct tti_fiber) == 64, "a fiber is one cache line");
#endif

static struct tti_fiber *fiber_of(struct tti_link *l)
{
	return TTI_CONTAINER_OF(l, struct tti_fiber, link);
}

/*
 * Tools that must know where stacks are. Each does nothing in a build without its tool.
 */

/* A new stack, or one whose pages came back as zero. */
static void tools_stack_made(struct tti_fiber *f)
{
#ifdef TT_VALGRIND
	f->valgrind_id = VALGRIND_STACK_REGISTER(f->stack_low, (char *)f);
#endif
#ifdef TTI_FIBER_MSAN
	__msan_unpoison(f->stack_low, f->stack_size);
#endif
	(void)f;
}

static void tools_stack_gone(struct tti_fiber *f)
{
#ifdef TT_VALGRIND
	VALGRIND_STACK_DEREGISTER(f->valgrind_id);
#else
	(void)f;
#endif
}

/* The leak checker looks for pointers in live stacks, parked ones included. */
static void tools_acquired(struct tti_fiber *f)
{
#ifdef TTI_FIBER_ASAN
	__lsan_register_root_region(f->stack_low, f->stack_size + sizeof(*f));
#endif
#ifdef TTI_FIBER_TSAN
	f->tsan_fiber = __tsan_create_fiber(0);
#endif
	(void)f;
}

/* The frames of a dead fiber never returned, so their red zones are still poisoned. */
static void tools_released(struct tti_fiber *f)
{
#ifdef TTI_FIBER_ASAN
	__lsan_unregister_root_region(f->stack_low, f->stack_size + sizeof(*f));
	ASAN_UNPOISON_MEMORY_REGION(f->stack_low, f->stack_size);
#endif
#ifdef TTI_FIBER_TSAN
	__tsan_destroy_fiber(f->tsan_fiber);
	f->tsan_fiber = NULL;
#endif
	(void)f;
}

/*
 * The pool
 */

int tti_fiber_pool_init(struct tti_fiber_pool *p, struct tti_stack_arena *shared)
{
	memset(p, 0, sizeof(*p));
	for (int c = 0; c < TTI_STACK_CLASSES; c++)
		tti_list_init(&p->classes[c].open);
	p->arena = shared;
	if (shared != NULL)
		return 0;
	p->arena = &p->own_arena;
	return tti_stack_arena_init(&p->own_arena, NULL);
}

void tti_fiber_pool_fini(struct tti_fiber_pool *p)
{
	if (p == NULL)
		return;
	TT_REQUIRE(p->live == 0, "tti_fiber_pool_fini: %zu fibers are still live", p->live);
	for (int c = 0; c < TTI_STACK_CLASSES; c++) {
		struct tti_stack_free *cls = &p->classes[c];
		struct tti_link *l;

		while ((l = tti_stack_pop(&cls->idle)) != NULL)
			tools_stack_gone(fiber_of(l));
		while (cls->slabs != NULL) {
			struct tti_slab *s = cls->slabs;

			cls->slabs = s->pool_next;
			tti_slab_destroy(s, p->arena);
		}
	}
	memset(p, 0, sizeof(*p));
}

static struct tti_fiber *fiber_make(struct tti_slab *s, uint32_t slot)
{
	struct tti_fiber *f = tti_slab_fiber(s, slot);

	*f = (struct tti_fiber){
		.stack_low = tti_slab_stack_low(s, slot),
		.slab = s,
		.slot = (uint16_t)slot,
		.stack_class = s->stack_class,
		.unguarded = tti_slab_unguarded(s, slot),
	};
	f->stack_size = (size_t)((char *)f - f->stack_low);
	tools_stack_made(f);
	return f;
}

/* A stack that nobody has used, or whose pages were given back. */
static int acquire_unused(struct tti_fiber_pool *p, enum tti_stack_class c, struct tti_fiber **ret)
{
	struct tti_stack_free *cls = &p->classes[c];
	struct tti_list *open = tti_list_first(&cls->open);
	struct tti_slab *s;
	uint32_t slot;
	int rc;

	if (open != NULL)
		s = TTI_CONTAINER_OF(open, struct tti_slab, open_link);
	else
		s = tti_slab_create(cls, c);
	if (s == NULL)
		return -ENOMEM;
	rc = tti_slab_take(s, p->arena, &slot);
	if (rc < 0)
		return rc;
	*ret = fiber_make(s, slot);
	p->created++;
	return 0;
}

static void count_acquired(struct tti_fiber_pool *p, struct tti_stack_free *cls)
{
	if (++cls->live > cls->live_peak)
		cls->live_peak = cls->live;
	if (++p->live > p->peak)
		p->peak = p->live;
}

int tti_fiber_acquire(struct tti_fiber_pool *p, enum tti_stack_class c, struct tti_fiber **ret)
{
	struct tti_stack_free *cls = &p->classes[c];
	struct tti_link *l = tti_stack_pop(&cls->idle);
	struct tti_fiber *f;
	int rc;

	if (l != NULL) {
		f = fiber_of(l);
		p->cached--;
	} else {
		rc = acquire_unused(p, c, &f);
		if (rc < 0)
			return rc;
	}
	TT_ASSERT(!f->live);
	f->live = true;
	f->owner = NULL;
	count_acquired(p, cls);
	tools_acquired(f);
	*ret = f;
	return 0;
}

TT_UNUSED static bool running_on(const struct tti_fiber *f)
{
	const char *sp = __builtin_frame_address(0);

	return sp >= f->stack_low && sp < f->stack_low + f->stack_size;
}

void tti_fiber_release(struct tti_fiber_pool *p, struct tti_fiber *f)
{
	struct tti_stack_free *cls = &p->classes[f->stack_class];

	/* Law 6: a stack is recycled only from another stack. */
	TT_ASSERT(TTI_LAW_BROKEN(6) || !running_on(f));
	TT_ASSERT(f->live);
	tools_released(f);
	f->live = false;
	f->owner = NULL;
	tti_stack_push(&cls->idle, &f->link);
	p->cached++;
	cls->live--;
	p->live--;
}

/* Splits off everything below the newest `keep`. */
static struct tti_link **idle_after(struct tti_stack_free *cls, size_t keep)
{
	struct tti_link **at = &cls->idle.head;

	while (keep-- > 0 && *at != NULL)
		at = &(*at)->next;
	return at;
}

static size_t class_trim(struct tti_fiber_pool *p, struct tti_stack_free *cls, size_t max)
{
	struct tti_link **at = idle_after(cls, cls->live_peak - cls->live);
	size_t n = 0;

	while (*at != NULL && n < max) {
		struct tti_fiber *f = fiber_of(*at);
		struct tti_link *next = f->link.next;

		tools_stack_gone(f);
		/* The fiber goes with its pages: it is read no more. A refusal leaves the
		 * stack idle, which is only memory. */
		if (tti_slab_give_back(f->slab, f->slot, cls) < 0)
			break;
		*at = next;
		cls->idle.len--;
		p->cached--;
		n++;
	}
	if (*at == NULL)
		cls->live_peak = cls->live;
	return n;
}

size_t tti_fiber_pool_trim(struct tti_fiber_pool *p)
{
	size_t n = 0;

	for (int c = 0; c < TTI_STACK_CLASSES; c++)
		n += class_trim(p, &p->classes[c], TRIM_MAX - n);
	return n;
}

static bool class_is_valid(const struct tti_stack_free *cls)
{
	size_t idle = 0, unused = 0, slots = 0;

	for (const struct tti_link *l = cls->idle.head; l != NULL; l = l->next)
		idle++;
	for (const struct tti_slab *s = cls->slabs; s != NULL; s = s->pool_next) {
		if ((s->unused > 0) != tti_list_linked(&s->open_link))
			return false;
		unused += s->unused;
		slots += s->slots;
	}
	return idle == cls->idle.len && slots == cls->slots && cls->live + idle + unused == slots &&
	       cls->live <= cls->live_peak;
}

bool tti_fiber_pool_is_valid(const struct tti_fiber_pool *p)
{
	size_t live = 0, cached = 0;

	for (int c = 0; c < TTI_STACK_CLASSES; c++) {
		if (!class_is_valid(&p->classes[c]))
			return false;
		live += p->classes[c].live;
		cached += p->classes[c].idle.len;
	}
	return live == p->live && cached == p->cached && live <= p->peak;
}

/*
 * Running
 */

void tti_fiber_check_canary(const struct tti_fiber *f)
{
	const uint64_t *word = (const uint64_t *)(const void *)f->stack_low;
	uint64_t seen = 0;

	for (int i = 0; i < CANARY_WORDS; i++)
		seen |= word[i];
	if (seen != 0)
		tti_overflow_panic(f);
}

#ifndef TTI_FIBER_SANITIZED

void tti_fiber_prepare(struct tti_fiber *f, void (*entry)(void *arg), void *arg)
{
	TT_ASSERT(f->live && f->slab != NULL);
	tti_context_init(&f->ctx, f, entry, arg);
}

void tti_fiber_adopt_thread(struct tti_fiber *f)
{
	*f = (struct tti_fiber){ .live = true };
}

#else

#if defined(__clang__)
#define UNINSTRUMENTED __attribute__((noinline, disable_sanitizer_instrumentation))
#else
#define UNINSTRUMENTED __attribute__((noinline, no_sanitize("address", "thread", "undefined")))
#endif

#if defined(TTI_FIBER_ASAN) || defined(TTI_FIBER_MSAN)
/* The fiber this thread is leaving; read on the other side of the switch. */
static __thread struct tti_fiber *leaving;

/* Whoever was left learns its bounds here: the only way to know those of a thread. */
UNINSTRUMENTED static void tools_arrived(struct tti_fiber *self)
{
	struct tti_fiber *from = leaving;

	(void)self;
#ifdef TTI_FIBER_ASAN
	__sanitizer_finish_switch_fiber(self->asan_fake_stack, &from->tool_low, &from->tool_size);
#else
	__msan_finish_switch_fiber(&from->tool_low, &from->tool_size);
#endif
}
#else
UNINSTRUMENTED static void tools_arrived(struct tti_fiber *self)
{
	(void)self;
}
#endif

UNINSTRUMENTED static void fiber_start(void *arg)
{
	struct tti_fiber *f = arg;

	tools_arrived(f);
#ifdef TTI_FIBER_MSAN
	/* What is known of arguments is from the last call that was instrumented. */
	__msan_unpoison_param(1);
#endif
	f->entry(f->arg);
	__builtin_trap();
}

void tti_fiber_prepare(struct tti_fiber *f, void (*entry)(void *arg), void *arg)
{
	TT_ASSERT(f->live && f->slab != NULL);
	f->entry = entry;
	f->arg = arg;
	f->asan_fake_stack = NULL;
	f->tool_low = f->stack_low;
	f->tool_size = f->stack_size;
	tti_context_init(&f->ctx, f, fiber_start, f);
}

void tti_fiber_adopt_thread(struct tti_fiber *f)
{
	*f = (struct tti_fiber){ .live = true };
#ifdef TTI_FIBER_TSAN
	f->tsan_fiber = __tsan_get_current_fiber();
#endif
}

UNINSTRUMENTED void tti_fiber_switch(struct tti_fiber *from, struct tti_fiber *to, bool from_is_dying)
{
	if (from->unguarded)
		tti_fiber_check_canary(from);
#ifdef TTI_FIBER_ASAN
	/* Without a place to save it, the sanitizer frees the fake stack of the dying. */
	leaving = from;
	__sanitizer_start_switch_fiber(from_is_dying ? NULL : &from->asan_fake_stack, to->tool_low, to->tool_size);
#endif
#ifdef TTI_FIBER_MSAN
	leaving = from;
	__msan_start_switch_fiber(to->tool_low, to->tool_size);
#endif
#ifdef TTI_FIBER_TSAN
	__tsan_switch_to_fiber(to->tsan_fiber, 0);
#endif
	(void)from_is_dying;
	tti_switch(&from->ctx, &to->ctx);
	tools_arrived(from);
}

#endif

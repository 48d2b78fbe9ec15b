/* SPDX-License-Identifier: MIT */
/*
 * fiber.h - a fiber is a stack and its saved registers; a pool hands them out.
 *
 * Called by task/ and sched/. A fiber knows nothing of tasks: its owner is an opaque
 * pointer that only the overflow report reads.
 *
 * Layout      A slab is one NORESERVE mapping of equal slots; a slot is, upwards, a
 *             guard, the stack, and the struct tti_fiber itself, so that a parked
 *             fiber costs one page. Tops are coloured: slot n lies (n mod 8) x 448
 *             bytes lower, which spreads the hot lines over the L1 sets.
 * Threads     A pool belongs to one thread; nothing in it is locked. The arena may be
 *             shared: it holds the guard policy and one atomic count.
 * Lifetime    Slabs stay mapped until tti_fiber_pool_fini, so the memory of a released
 *             fiber stays readable (it may read as zero after a trim).
 * Law 6       A stack is released only from another stack.
 * Not saved   C++ exception globals: a task must not wait inside a catch block.
 */
#ifndef TTI_FIBER_FIBER_H
#define TTI_FIBER_FIBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/switch.h"
#include "base/atomic.h"
#include "base/list.h"
#include "base/panic.h"

#if defined(__SANITIZE_ADDRESS__)
#define TTI_FIBER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TTI_FIBER_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define TTI_FIBER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TTI_FIBER_TSAN 1
#endif
#endif
#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#define TTI_FIBER_MSAN 1
#endif
#endif
#if defined(TTI_FIBER_ASAN) || defined(TTI_FIBER_TSAN) || defined(TTI_FIBER_MSAN)
#define TTI_FIBER_SANITIZED 1
#endif

/* Usable bytes. Sanitizer and -O0 builds of the library give the first class 256 KiB. */
enum tti_stack_class {
	TTI_STACK_64K,
	TTI_STACK_256K,
	TTI_STACK_1M,
	TTI_STACK_8M,
	TTI_STACK_CLASSES
};

struct tti_slab;

/* Lives at the top of its own stack (or, for an adopted thread, wherever the thread
 * put it). All fields belong to the thread that owns the pool. */
struct tti_fiber {
	struct tti_context ctx;
	struct tti_link link;   /* the pool's free list while released; free for use while live */
	char *stack_low;        /* lowest usable byte; NULL for an adopted thread */
	size_t stack_size;      /* bytes from stack_low up to where the first frame starts */
	void *owner;            /* whoever the overflow report should name; NULL: nobody */
	struct tti_slab *slab;  /* NULL for an adopted thread */
	uint16_t slot;          /* index in the slab */
	uint8_t stack_class;    /* enum tti_stack_class */
	bool live;              /* acquired and not yet released */
	bool unguarded;         /* no guard below: the canary is read at each switch away */
#ifdef TTI_FIBER_SANITIZED
	void (*entry)(void *arg);
	void *arg;
	void *asan_fake_stack;
	const void *tool_low;   /* bounds as the sanitizer sees them */
	size_t tool_size;
	void *tsan_fiber;
#endif
#ifdef TT_VALGRIND
	unsigned valgrind_id;
#endif
} __attribute__((aligned(64)));

struct tti_stack_options {
	bool unguarded;        /* permits stacks without a guard once no more can be had */
	bool no_guard_install; /* pretends that the kernel lacks MADV_GUARD_INSTALL */
	uint64_t map_count_max; /* memory maps the process may have; 0: ask the kernel */
	/* Called once per arena, when the first unguarded stack is made. May be NULL. */
	void (*warn)(const char *text);
};

enum tti_guard_mode {
	TTI_GUARD_INSTALL,  /* MADV_GUARD_INSTALL: no limit, no split mapping */
	TTI_GUARD_MPROTECT, /* two maps a stack, therefore within a budget */
	TTI_GUARD_NONE      /* neither worked */
};

/* What the pools of one runtime share. Immutable after init but for the atomics. */
struct tti_stack_arena {
	struct tti_stack_options options;
	enum tti_guard_mode guard_mode;
	uint64_t map_count_max;       /* maps */
	uint64_t guard_budget;        /* mprotect guards allowed at once */
	tti_atomic_u64 guard_used;    /* mprotect guards in place, over all pools */
	tti_atomic_u32 warned;
};

struct tti_stack_free {
	struct tti_stack idle;        /* released fibers, newest first */
	struct tti_slab *slabs;       /* of this class, newest first */
	struct tti_list open;         /* the slabs that have slots nobody uses */
	size_t slots;                 /* in all slabs */
	size_t live, live_peak;       /* live_peak since the last complete trim */
};

struct tti_fiber_pool {
	struct tti_stack_free classes[TTI_STACK_CLASSES];
	struct tti_stack_arena *arena;
	struct tti_stack_arena own_arena; /* used when none is shared */
	size_t live;     /* acquired now */
	size_t cached;   /* released, pages kept */
	size_t peak;     /* highest live ever */
	size_t created;  /* acquisitions that took an unused slot */
};

/* options may be NULL. Finds out by behaviour which guards this kernel gives. 0, or the
 * code with which the probe's mapping or event descriptor was refused. Nothing to undo. */
TT_MUST_USE int tti_stack_arena_init(struct tti_stack_arena *a, const struct tti_stack_options *options);

/* shared may be NULL: then the pool has an arena of its own with default options. The
 * pool may not move afterwards. */
TT_MUST_USE int tti_fiber_pool_init(struct tti_fiber_pool *p, struct tti_stack_arena *shared);

/* All fibers must have been released. Accepts a zeroed pool and NULL. */
void tti_fiber_pool_fini(struct tti_fiber_pool *p);

/* 0, or -ENOMEM: no memory map, or no guard to be had and unguarded not permitted. */
TT_MUST_USE int tti_fiber_acquire(struct tti_fiber_pool *p, enum tti_stack_class c, struct tti_fiber **ret);

/* The fiber is dead and the caller is on another stack (law 6). */
void tti_fiber_release(struct tti_fiber_pool *p, struct tti_fiber *f);

/* The first switch to f calls entry(arg), which must not return. */
void tti_fiber_prepare(struct tti_fiber *f, void (*entry)(void *arg), void *arg);

/* Wraps the calling thread's own stack, so that it can be switched from and back to. */
void tti_fiber_adopt_thread(struct tti_fiber *f);

/* Gives the pages of idle stacks back to the system, except for as many stacks as the
 * recent peak would need again. Does a bounded amount; returns how many stacks were
 * trimmed: 0 means nothing was left to do. */
size_t tti_fiber_pool_trim(struct tti_fiber_pool *p);

/* One line on how many stacks there can be and why; returns its length as snprintf. */
int tti_fiber_pool_limit_text(const struct tti_fiber_pool *p, char *buf, size_t n);

/* Usable bytes of a class in this build. */
size_t tti_stack_class_size(enum tti_stack_class c);

/* Debug: true when the pool's counts and lists agree. Walks everything. */
bool tti_fiber_pool_is_valid(const struct tti_fiber_pool *p);

/* Stops the program, naming the owner, when f has used its stack to the end. */
void tti_fiber_check_canary(const struct tti_fiber *f);

#ifdef TTI_FIBER_SANITIZED
void tti_fiber_switch(struct tti_fiber *from, struct tti_fiber *to, bool from_is_dying);
#else
/* Leaves from, which the caller runs on, and continues to. from_is_dying promises that
 * nobody switches back. Publishing from is up to whoever runs next (law 5). */
static inline __attribute__((always_inline)) void
tti_fiber_switch(struct tti_fiber *from, struct tti_fiber *to, bool from_is_dying)
{
	(void)from_is_dying;
	if (__builtin_expect(from->unguarded, 0))
		tti_fiber_check_canary(from);
	tti_switch(&from->ctx, &to->ctx);
}
#endif

/*
 * Overflow (overflow.c). The only place where the library touches signal dispositions;
 * a program that wants SIGSEGV for itself does not call tti_overflow_install.
 */

/* Takes SIGSEGV and SIGBUS, once for the process. A fault in a guard of ours prints
 * which task overflowed and then kills the process as the fault would have; any other
 * goes to the handler found before. describe must be async-signal-safe; it writes
 * something like `serve#17 (spawned at f.c:12)`. Calls nest; the latest describe counts. */
TT_MUST_USE int tti_overflow_install(void (*describe)(void *owner, char *buf, size_t n));

/* Puts the previous handlers back. */
void tti_overflow_uninstall(void);

/* Gives the calling thread a signal stack of its own and lets faults through its signal
 * mask; the stack it had comes back with leave, which must be called before the thread
 * ends. Calls nest. 0 or a negative code. */
TT_MUST_USE int tti_overflow_thread_enter(void);
void tti_overflow_thread_leave(void);

#endif

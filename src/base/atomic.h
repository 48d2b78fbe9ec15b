/* SPDX-License-Identifier: MIT */
/*
 * atomic.h - the only way the runtime touches memory that two threads share.
 *
 * The order is part of each name, so that a reader sees it at the call. The
 * wrapper structs keep a plain access from compiling by accident; they hold no
 * C11 _Atomic because public headers embed them and must compile as C++.
 *
 * Every use says with whom it pairs, or, when relaxed, why nobody needs to.
 * Orders on objects are preferred to fences: the thread sanitizer does not see
 * fences.
 *
 * Variant    with TT_MODEL the same names call the in-tree model checker. This
 *            is the one compile-time variant of the runtime.
 */
#ifndef TTI_BASE_ATOMIC_H
#define TTI_BASE_ATOMIC_H

#include <stdbool.h>
#include <stdint.h>

typedef struct tti_atomic_u32 { uint32_t v; } tti_atomic_u32;
typedef struct tti_atomic_u64 { uint64_t v; } tti_atomic_u64;
typedef struct tti_atomic_ptr { void *v; } tti_atomic_ptr;

#ifdef TT_MODEL
#include "atomic_model.h"
#else

#define tti_load_relaxed(a) __atomic_load_n(&(a)->v, __ATOMIC_RELAXED)
#define tti_load_acquire(a) __atomic_load_n(&(a)->v, __ATOMIC_ACQUIRE)
#define tti_load_seq_cst(a) __atomic_load_n(&(a)->v, __ATOMIC_SEQ_CST)

#define tti_store_relaxed(a, x) __atomic_store_n(&(a)->v, (x), __ATOMIC_RELAXED)
#define tti_store_release(a, x) __atomic_store_n(&(a)->v, (x), __ATOMIC_RELEASE)
#define tti_store_seq_cst(a, x) __atomic_store_n(&(a)->v, (x), __ATOMIC_SEQ_CST)

#define tti_exchange_relaxed(a, x) __atomic_exchange_n(&(a)->v, (x), __ATOMIC_RELAXED)
#define tti_exchange_acquire(a, x) __atomic_exchange_n(&(a)->v, (x), __ATOMIC_ACQUIRE)
#define tti_exchange_release(a, x) __atomic_exchange_n(&(a)->v, (x), __ATOMIC_RELEASE)
#define tti_exchange_acq_rel(a, x) __atomic_exchange_n(&(a)->v, (x), __ATOMIC_ACQ_REL)
#define tti_exchange_seq_cst(a, x) __atomic_exchange_n(&(a)->v, (x), __ATOMIC_SEQ_CST)

#define tti_fetch_add_relaxed(a, x) __atomic_fetch_add(&(a)->v, (x), __ATOMIC_RELAXED)
#define tti_fetch_add_release(a, x) __atomic_fetch_add(&(a)->v, (x), __ATOMIC_RELEASE)
#define tti_fetch_add_acq_rel(a, x) __atomic_fetch_add(&(a)->v, (x), __ATOMIC_ACQ_REL)
#define tti_fetch_add_seq_cst(a, x) __atomic_fetch_add(&(a)->v, (x), __ATOMIC_SEQ_CST)
#define tti_fetch_sub_acquire(a, x) __atomic_fetch_sub(&(a)->v, (x), __ATOMIC_ACQUIRE)
#define tti_fetch_sub_release(a, x) __atomic_fetch_sub(&(a)->v, (x), __ATOMIC_RELEASE)
#define tti_fetch_sub_acq_rel(a, x) __atomic_fetch_sub(&(a)->v, (x), __ATOMIC_ACQ_REL)
#define tti_fetch_or_acq_rel(a, x) __atomic_fetch_or(&(a)->v, (x), __ATOMIC_ACQ_REL)
#define tti_fetch_and_acq_rel(a, x) __atomic_fetch_and(&(a)->v, (x), __ATOMIC_ACQ_REL)

/* Strong compare-and-swap: true when *a held *expected and now holds x; else
 * *expected is what was seen. A failed attempt reads relaxed, except where the
 * name says acquire on both. */
#define tti_cas_relaxed(a, expected, x) \
	__atomic_compare_exchange_n(&(a)->v, (expected), (x), false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)
#define tti_cas_acquire(a, expected, x) \
	__atomic_compare_exchange_n(&(a)->v, (expected), (x), false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)
#define tti_cas_release(a, expected, x) \
	__atomic_compare_exchange_n(&(a)->v, (expected), (x), false, __ATOMIC_RELEASE, __ATOMIC_RELAXED)
#define tti_cas_acq_rel(a, expected, x) \
	__atomic_compare_exchange_n(&(a)->v, (expected), (x), false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
#define tti_cas_seq_cst(a, expected, x) \
	__atomic_compare_exchange_n(&(a)->v, (expected), (x), false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)

#define tti_fence_seq_cst() __atomic_thread_fence(__ATOMIC_SEQ_CST)

/* A hint to the core that this is a spin; no ordering. */
static inline void tti_cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* Plain data that the model checker watches for races; plain access elsewhere. */
#define TTI_PLAIN_READ(lvalue) (lvalue)
#define TTI_PLAIN_WRITE(lvalue, x) ((lvalue) = (x))

#endif /* TT_MODEL */
#endif

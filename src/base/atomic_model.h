/* SPDX-License-Identifier: MIT */
/*
 * atomic_model.h - the names of atomic.h, answered by the model checker.
 *
 * Included by atomic.h under -DTT_MODEL and by nothing else. Every use becomes a call
 * into tests/model, where the interleaving and the value read are chosen; the code
 * under test is otherwise compiled as it is.
 *
 * Sites       each use places a record in the section tti_model_sites, so that the
 *             checker knows every use that was compiled, reached or not, and can
 *             weaken the order of one at a time (`now` differs from `order` then).
 */
#ifndef TTI_BASE_ATOMIC_MODEL_H
#define TTI_BASE_ATOMIC_MODEL_H

#include <stddef.h>

/* An order is a set: what it acquires, what it releases, whether it is in the single
 * total order. A sequentially consistent load has no use for the release bit. */
enum {
	TTI_MODEL_RELAXED = 0,
	TTI_MODEL_ACQUIRE = 1,
	TTI_MODEL_RELEASE = 2,
	TTI_MODEL_ACQ_REL = 3,
	TTI_MODEL_SC_BIT = 4,
	TTI_MODEL_SC_LOAD = 5,
	TTI_MODEL_SC_STORE = 6,
	TTI_MODEL_SEQ_CST = 7,
};

enum tti_model_op {
	TTI_MODEL_LOAD,
	TTI_MODEL_STORE,
	TTI_MODEL_EXCHANGE,
	TTI_MODEL_ADD,
	TTI_MODEL_SUB,
	TTI_MODEL_OR,
	TTI_MODEL_AND,
	TTI_MODEL_CAS,
	TTI_MODEL_FENCE,
};

struct tti_model_site {
	const char *file, *func;
	int line;
	uint8_t op;          /* enum tti_model_op */
	uint8_t order;       /* as written; of success for a compare-and-swap */
	uint8_t fail_order;  /* of a failed compare-and-swap */
	uint8_t now;         /* in force; weaker than order in a mutant */
	uint8_t fail_now;
	bool reached;        /* by any execution of this process */
};

uint64_t tti_model_load(const volatile void *p, unsigned size, struct tti_model_site *site);
void tti_model_store(volatile void *p, unsigned size, uint64_t x, struct tti_model_site *site);
/* Returns the old value. */
uint64_t tti_model_rmw(volatile void *p, unsigned size, uint64_t x, struct tti_model_site *site);
static inline uint32_t tti_model_rmw_u32(volatile void *p, uint64_t x, struct tti_model_site *site)
{
	return (uint32_t)tti_model_rmw(p, 4, x, site);
}
static inline uint64_t tti_model_rmw_u64(volatile void *p, uint64_t x, struct tti_model_site *site)
{
	return tti_model_rmw(p, 8, x, site);
}
static inline void *tti_model_rmw_ptr(volatile void *p, uint64_t x, struct tti_model_site *site)
{
	return (void *)(uintptr_t)tti_model_rmw(p, sizeof(void *), x, site);
}
bool tti_model_cas(volatile void *p, unsigned size, void *expected, uint64_t x,
                   struct tti_model_site *site);
void tti_model_fence(struct tti_model_site *site);
void tti_model_relax(void);
/* Both return p, after the check for a race. */
void *tti_model_plain_read(const volatile void *p, size_t size, const char *file, int line);
void *tti_model_plain_write(const volatile void *p, size_t size, const char *file, int line);

/* The pointer, not the record, is in the section: an array of pointers has no padding
 * that a compiler could choose. */
#define TTI_MODEL_SITE(op_, order_, fail_) \
	(__extension__({ \
		static struct tti_model_site tti_site_ = { \
			.file = __FILE__, .func = __func__, .line = __LINE__, .op = (op_), \
			.order = (order_), .fail_order = (fail_), .now = (order_), .fail_now = (fail_), \
		}; \
		static struct tti_model_site *tti_site_ptr_ \
			__attribute__((section("tti_model_sites"), used)) = &tti_site_; \
		&tti_site_; \
	}))

#define TTI_MODEL_TYPE(a) __typeof__((a)->v)
/* The operand as the type of the object, then as bits. */
#define TTI_MODEL_BITS(a, x) ((uint64_t)(uintptr_t)(TTI_MODEL_TYPE(a))(x))

#define TTI_MODEL_LOAD_AS(a, order) \
	((TTI_MODEL_TYPE(a))(uintptr_t)tti_model_load(&(a)->v, sizeof((a)->v), \
		TTI_MODEL_SITE(TTI_MODEL_LOAD, order, 0)))
#define TTI_MODEL_STORE_AS(a, x, order) \
	tti_model_store(&(a)->v, sizeof((a)->v), TTI_MODEL_BITS(a, x), \
		TTI_MODEL_SITE(TTI_MODEL_STORE, order, 0))
/* A call, not a cast of one: the result may be ignored without a warning. */
#define TTI_MODEL_RMW_AS(a, op, x, order) \
	(_Generic((a)->v, uint32_t: tti_model_rmw_u32, uint64_t: tti_model_rmw_u64, void *: tti_model_rmw_ptr)( \
		&(a)->v, TTI_MODEL_BITS(a, x), TTI_MODEL_SITE(op, order, 0)))
/* The size is wrong, and so the array negative, when expected points to another type. */
#define TTI_MODEL_CAS_AS(a, expected, x, order, fail) \
	tti_model_cas(&(a)->v, sizeof((a)->v) + 0 * sizeof(char[sizeof(*(expected)) == sizeof((a)->v) ? 1 : -1]), \
		(expected), TTI_MODEL_BITS(a, x), TTI_MODEL_SITE(TTI_MODEL_CAS, order, fail))

#define tti_load_relaxed(a) TTI_MODEL_LOAD_AS(a, TTI_MODEL_RELAXED)
#define tti_load_acquire(a) TTI_MODEL_LOAD_AS(a, TTI_MODEL_ACQUIRE)
#define tti_load_seq_cst(a) TTI_MODEL_LOAD_AS(a, TTI_MODEL_SC_LOAD)

#define tti_store_relaxed(a, x) TTI_MODEL_STORE_AS(a, x, TTI_MODEL_RELAXED)
#define tti_store_release(a, x) TTI_MODEL_STORE_AS(a, x, TTI_MODEL_RELEASE)
#define tti_store_seq_cst(a, x) TTI_MODEL_STORE_AS(a, x, TTI_MODEL_SC_STORE)

#define tti_exchange_relaxed(a, x) TTI_MODEL_RMW_AS(a, TTI_MODEL_EXCHANGE, x, TTI_MODEL_RELAXED)
#define tti_exchange_acquire(a, x) TTI_MODEL_RMW_AS(a, TTI_MODEL_EXCHANGE, x, TTI_MODEL_ACQUIRE)
#define tti_exchange_release(a, x) TTI_MODEL_RMW_AS(a, TTI_MODEL_EXCHANGE, x, TTI_MODEL_RELEASE)
#define tti_exchange_acq_rel(a, x) TTI_MODEL_RMW_AS(a, TTI_MODEL_EXCHANGE, x, TTI_MODEL_ACQ_REL)
#define tti_exchange_seq_cst(a, x) TTI_MODEL_RMW_AS(a, TTI_MODEL_EXCHANGE, x, TTI_MODEL_SEQ_CST)

#define tti_fetch_add_relaxed(a, x) TTI_MODEL_RMW_AS(a, TTI_MODEL_ADD, x, TTI_MODEL_RELAXED)
#define tti_fetch_add_release(a, x) TTI_MODEL_RMW_AS(a, TTI_MODEL_ADD, x, TTI_MODEL_RELEASE)
#define tti_fetch_add_acq_rel(a, x) TTI_MODEL_RMW_AS(a, TTI_MODEL_ADD, x, TTI_MODEL_ACQ_REL)
#define tti_fetch_add_seq_cst(a, x) TTI_MODEL_RMW_AS(a, TTI_MODEL_ADD, x, TTI_MODEL_SEQ_CST)
#define tti_fetch_sub_acquire(a, x) TTI_MODEL_RMW_AS(a, TTI_MODEL_SUB, x, TTI_MODEL_ACQUIRE)
#define tti_fetch_sub_release(a, x) TTI_MODEL_RMW_AS(a, TTI_MODEL_SUB, x, TTI_MODEL_RELEASE)
#define tti_fetch_sub_acq_rel(a, x) TTI_MODEL_RMW_AS(a, TTI_MODEL_SUB, x, TTI_MODEL_ACQ_REL)
#define tti_fetch_or_acq_rel(a, x) TTI_MODEL_RMW_AS(a, TTI_MODEL_OR, x, TTI_MODEL_ACQ_REL)
#define tti_fetch_and_acq_rel(a, x) TTI_MODEL_RMW_AS(a, TTI_MODEL_AND, x, TTI_MODEL_ACQ_REL)

#define tti_cas_relaxed(a, expected, x) \
	TTI_MODEL_CAS_AS(a, expected, x, TTI_MODEL_RELAXED, TTI_MODEL_RELAXED)
#define tti_cas_acquire(a, expected, x) \
	TTI_MODEL_CAS_AS(a, expected, x, TTI_MODEL_ACQUIRE, TTI_MODEL_RELAXED)
#define tti_cas_release(a, expected, x) \
	TTI_MODEL_CAS_AS(a, expected, x, TTI_MODEL_RELEASE, TTI_MODEL_RELAXED)
#define tti_cas_acq_rel(a, expected, x) \
	TTI_MODEL_CAS_AS(a, expected, x, TTI_MODEL_ACQ_REL, TTI_MODEL_ACQUIRE)
#define tti_cas_seq_cst(a, expected, x) \
	TTI_MODEL_CAS_AS(a, expected, x, TTI_MODEL_SEQ_CST, TTI_MODEL_SC_LOAD)

#define tti_fence_seq_cst() tti_model_fence(TTI_MODEL_SITE(TTI_MODEL_FENCE, TTI_MODEL_SEQ_CST, 0))
#define tti_cpu_relax() tti_model_relax()

#define TTI_PLAIN_READ(lvalue) \
	(*(__typeof__(&(lvalue)))tti_model_plain_read(&(lvalue), sizeof(lvalue), __FILE__, __LINE__))
#define TTI_PLAIN_WRITE(lvalue, x) \
	(*(__typeof__(&(lvalue)))tti_model_plain_write(&(lvalue), sizeof(lvalue), __FILE__, __LINE__) = (x))

#endif

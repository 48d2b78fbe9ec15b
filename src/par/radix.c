/* SPDX-License-Identifier: MIT */
/*
 * radix.c - tt_par_sort_u64() and its like: one deal into buckets by the highest bits, which
 * is half of the comparisons of a sort, then each bucket in the cache.
 *
 * Rejected    Eight passes of eight bits from below: each moves all keys through memory, which
 *             there is least of when several processors sort.
 */
#include <string.h>

#include <tutti/tutti.h>

#include "base/panic.h"

#define BUCKET_BITS 10
#define BUCKETS (1 << BUCKET_BITS)
#define BLOCKS_MAX 64
#define BLOCK_MIN 4096
/* So many keys that the deal is worth its two passes. */
#define BUCKETS_PAY 32768
/* A bucket for two more passes: it and its room fit into a core's cache. */
#define DIGIT_BITS 8
#define PASSES_PAY 256
#define PASSES_MAX 65536

/* One level more, so that NAME() is expanded before it is pasted. */
#define DEFINE_SORT(...) TT_SORT(__VA_ARGS__)
#define SORT(...) tt_par_sort(__VA_ARGS__)

#define KEY uint64_t
#define BITS uint64_t
#define FLIP UINT64_C(0)
#define NAME(x) x##_u64
#include "par/radix.inc"
#undef KEY
#undef FLIP
#undef NAME

#define KEY int64_t
#define FLIP (UINT64_C(1) << 63)
#define NAME(x) x##_i64
#include "par/radix.inc"
#undef KEY
#undef BITS
#undef FLIP
#undef NAME

#define KEY uint32_t
#define BITS uint32_t
#define FLIP UINT32_C(0)
#define NAME(x) x##_u32
#include "par/radix.inc"
#undef KEY
#undef FLIP
#undef NAME

#define KEY int32_t
#define FLIP (UINT32_C(1) << 31)
#define NAME(x) x##_i32
#include "par/radix.inc"

int tt_par_sort_u64(uint64_t *items, size_t n)
{
	return tt_must_result_(TT_CALL_(tt_verb_par_run_, TT_SORT_CALL_("tt_par_sort_u64"), all_u64, items, n));
}

int tt_par_sort_i64(int64_t *items, size_t n)
{
	return tt_must_result_(TT_CALL_(tt_verb_par_run_, TT_SORT_CALL_("tt_par_sort_i64"), all_i64, items, n));
}

int tt_par_sort_u32(uint32_t *items, size_t n)
{
	return tt_must_result_(TT_CALL_(tt_verb_par_run_, TT_SORT_CALL_("tt_par_sort_u32"), all_u32, items, n));
}

int tt_par_sort_i32(int32_t *items, size_t n)
{
	return tt_must_result_(TT_CALL_(tt_verb_par_run_, TT_SORT_CALL_("tt_par_sort_i32"), all_i32, items, n));
}

/* SPDX-License-Identifier: MIT */
/*
 * sort_test.c - the sorts of <tutti/sort.h> against qsort() over thousands of inputs, stability,
 * the patterns that break quicksorts, the bound on comparisons, and what a cancelled or failed
 * sort leaves.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

#include "base/atomic.h"

TT_TEST_MAIN()

struct record {
	int key;
	int order;                           /* where it stood */
	char load[24];
};

TT_SORT(ints, int, a, b, *a < *b);
TT_SORT(downwards, int, a, b, *b < *a);
TT_SORT(records, struct record, a, b, a->key < b->key);

static uint64_t random_state;

static uint64_t next_random(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * UINT64_C(0x2545F4914F6CDD1D);
}

static int below(int n)
{
	return (int)(next_random() % (uint64_t)n);
}

/* ---- inputs ---- */

enum pattern { RANDOM, SORTED, REVERSED, EQUAL, ORGAN_PIPE, FEW_UNIQUE, SAW, NEARLY, LAST_FIRST, PATTERNS };

static int item_of(enum pattern p, int i, int n)
{
	switch (p) {
	case SORTED:
		return i;
	case REVERSED:
		return n - i;
	case EQUAL:
		return 7;
	case ORGAN_PIPE:
		return i < n / 2 ? i : n - i;
	case FEW_UNIQUE:
		return below(4);
	case SAW:
		return i % 17;
	case NEARLY:
		return below(50) == 0 ? below(n) : i;
	case LAST_FIRST:
		return i == n - 1 ? -1 : i;
	default:
		return below(INT_MAX);
	}
}

static int compare_ints(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

struct arrays {
	int *items, *expected;
	int n;
};

static void arrays_init(struct arrays *a, int n)
{
	a->n = n;
	a->items = malloc((size_t)(n + 1) * sizeof(int));
	a->expected = malloc((size_t)(n + 1) * sizeof(int));
	REQUIRE_TRUE(a->items != NULL && a->expected != NULL);
	random_state = tt_test_seed() * 2 + 88172645463325253ull;
}

static void arrays_fini(struct arrays *a)
{
	free(a->items);
	free(a->expected);
}

static void fill(struct arrays *a, enum pattern p, int n)
{
	for (int i = 0; i < n; i++)
		a->items[i] = a->expected[i] = item_of(p, i, n);
	qsort(a->expected, (size_t)n, sizeof(int), compare_ints);
}

static bool same(const struct arrays *a, int n)
{
	return memcmp(a->items, a->expected, (size_t)n * sizeof(int)) == 0;
}

/* ---- like the reference ---- */

static void check_all_patterns(struct arrays *a, int n)
{
	for (enum pattern p = RANDOM; p < PATTERNS; p++) {
		fill(a, p, n);
		EXPECT_CODE(tt_par_sort(ints, a->items, (size_t)n), 0);
		if (!same(a, n))
			tt_test_note("unstable: pattern %d, %d items", (int)p, n);
		EXPECT_TRUE(same(a, n));
		fill(a, p, n);
		EXPECT_CODE(tt_par_sort_stable(ints, a->items, (size_t)n), 0);
		EXPECT_TRUE(same(a, n));
		fill(a, p, n);
		EXPECT_CODE(tt_par_sort_i32(a->items, (size_t)n), 0);
		EXPECT_TRUE(same(a, n));
	}
}

/* Every length up to some, of every pattern. */
TT_TEST(sort, short_arrays)
{
	struct arrays a;

	arrays_init(&a, 64);
	for (int n = 0; n <= 64; n++)
		check_all_patterns(&a, n);
	arrays_fini(&a);
}

/* And longer ones, which are cut for several threads. */
TT_TEST(sort, long_arrays)
{
	struct arrays a;

	arrays_init(&a, 70000);
	for (int n = 100; n <= 70000; n = n * 9 / 2 + 1)
		check_all_patterns(&a, n);
	check_all_patterns(&a, 70000);
	arrays_fini(&a);
}

/* Thousands of random arrays of random lengths. */
static TT_TASK(random_arrays, (struct arrays *, a), (int, times))
{
	for (int i = 0; i < times; i++) {
		int n = below(600);

		fill(a, (enum pattern)below(PATTERNS), n);
		TT_TRY(tt_par_sort(ints, a->items, (size_t)n));
		if (!same(a, n))
			return tt_fail(TT_EPROTO, "unstable, %d items", n);
		fill(a, (enum pattern)below(PATTERNS), n);
		TT_TRY(tt_par_sort_stable(ints, a->items, (size_t)n));
		if (!same(a, n))
			return tt_fail(TT_EPROTO, "stable, %d items", n);
	}
	return 0;
}

/* In one region: sorts nest in it. */
TT_TEST(sort, thousands_of_random_arrays)
{
	struct arrays a, b;

	arrays_init(&b, 600);
	arrays_init(&a, 600);
	EXPECT_CODE(tt_fork2((random_arrays, &a, 3000), (random_arrays, &b, 0)), 0);
	arrays_fini(&a);
	arrays_fini(&b);
}

TT_TEST(sort, downwards)
{
	struct arrays a;

	arrays_init(&a, 5000);
	fill(&a, RANDOM, 5000);
	EXPECT_CODE(tt_par_sort(downwards, a.items, 5000u), 0);
	for (int i = 0; i < 5000; i++)
		if (a.items[i] != a.expected[4999 - i])
			EXPECT_EQ(i, -1);
	arrays_fini(&a);
}

/* ---- records, stability ---- */

static void fill_records(struct record *r, int n, int keys)
{
	random_state = tt_test_seed() * 2 + 12345;
	for (int i = 0; i < n; i++) {
		r[i].key = below(keys);
		r[i].order = i;
		memset(r[i].load, r[i].key % 100, sizeof(r[i].load));
	}
}

/* Every record is there, whole. */
static bool records_whole(const struct record *r, int n)
{
	uint64_t orders = 0;

	for (int i = 0; i < n; i++) {
		orders += (uint64_t)r[i].order;
		for (size_t k = 0; k < sizeof(r[i].load); k++)
			if (r[i].load[k] != r[i].key % 100)
				return false;
	}
	return orders == (uint64_t)n * (uint64_t)(n - 1) / 2;
}

static bool records_sorted(const struct record *r, int n, bool stable)
{
	for (int i = 1; i < n; i++)
		if (r[i].key < r[i - 1].key || (stable && r[i].key == r[i - 1].key && r[i].order < r[i - 1].order))
			return false;
	return true;
}

TT_TEST(sort, equal_records_keep_their_order)
{
	int n = 30000;
	struct record *r = malloc((size_t)n * sizeof(*r));

	REQUIRE_TRUE(r != NULL);
	for (int keys = 1; keys < 3000000; keys = keys * 13 + 1) {
		fill_records(r, n, keys);
		EXPECT_CODE(tt_par_sort_stable(records, r, (size_t)n), 0);
		EXPECT_TRUE(records_sorted(r, n, true));
		EXPECT_TRUE(records_whole(r, n));
		fill_records(r, n, keys);
		EXPECT_CODE(tt_par_sort(records, r, (size_t)n), 0);
		EXPECT_TRUE(records_sorted(r, n, false));
		EXPECT_TRUE(records_whole(r, n));
	}
	free(r);
}

struct vector { _Alignas(64) int key; };

static tti_atomic_u32 misaligned;

static bool vector_before(const struct vector *a, const struct vector *b)
{
	/* relaxed: read after the sort. */
	if (((uintptr_t)a | (uintptr_t)b) % _Alignof(struct vector) != 0)
		tti_store_relaxed(&misaligned, 1); /* relaxed: as above */
	return a->key < b->key;
}

TT_SORT(vectors, struct vector, a, b, vector_before(a, b));

/* Copies of the items are aligned as the items are. */
TT_TEST(sort, wide_items_stay_aligned)
{
	static struct vector v[4000];
	int n = 4000, wrong = 0;

	for (int i = 0; i < n; i++)
		v[i].key = i * 7 % n;
	EXPECT_CODE(tt_par_sort_stable(vectors, v, (size_t)n), 0);
	for (int i = 0; i < n; i++)
		wrong += v[i].key != i;
	EXPECT_EQ(wrong, 0);
	/* relaxed: the sort has ended. */
	EXPECT_EQ(tti_load_relaxed(&misaligned), 0u);
}

/* ---- integers ---- */

/* Signs, extremes, and keys that differ only far below or only far above. */
TT_TEST(sort, integers)
{
	static const uint64_t masks[] = { UINT64_MAX, 0xff, 0xff00000000000000u, 1, UINT64_C(1) << 63, 0x10010 };
	int n = 50000;
	uint64_t *u = malloc((size_t)n * sizeof(*u));

	REQUIRE_TRUE(u != NULL);
	random_state = tt_test_seed() * 2 + 99;
	for (size_t k = 0; k < sizeof(masks) / sizeof(masks[0]); k++) {
		for (int i = 0; i < n; i++)
			u[i] = next_random() & masks[k];
		EXPECT_CODE(tt_par_sort_u64(u, (size_t)n), 0);
		for (int i = 1; i < n; i++)
			if (u[i] < u[i - 1])
				EXPECT_EQ(i, 0);
		for (int i = 0; i < n; i++)
			u[i] = next_random() & masks[k];
		EXPECT_CODE(tt_par_sort_i64((int64_t *)u, (size_t)n), 0);
		for (int i = 1; i < n; i++)
			if ((int64_t)u[i] < (int64_t)u[i - 1])
				EXPECT_EQ(i, 0);
		for (int i = 0; i < n; i++)
			u[i] = next_random() & masks[k];
		EXPECT_CODE(tt_par_sort_u32((uint32_t *)u, (size_t)n), 0);
		for (int i = 1; i < n; i++)
			if (((uint32_t *)u)[i] < ((uint32_t *)u)[i - 1])
				EXPECT_EQ(i, 0);
	}
	free(u);
}

/* ---- the bound ---- */

static uint64_t comparisons;

static bool counted_less(int a, int b)
{
	__atomic_fetch_add(&comparisons, 1, __ATOMIC_RELAXED);
	return a < b;
}

TT_SORT(counting, int, a, b, counted_less(*a, *b));

/* McIlroy, "A Killer Adversary for Quicksort" (1999): items decide their values as late as they
 * can, so that each pivot is a bad one. */
static struct {
	int values[20000];
	int gas, solid, candidate;
} adversary;

static bool adverse_less(int a, int b)
{
	comparisons++;
	if (adversary.values[a] == adversary.gas && adversary.values[b] == adversary.gas)
		adversary.values[a == adversary.candidate ? a : b] = adversary.solid++;
	if (adversary.values[a] == adversary.gas)
		adversary.candidate = a;
	else if (adversary.values[b] == adversary.gas)
		adversary.candidate = b;
	return adversary.values[a] < adversary.values[b];
}

TT_SORT(adverse, int, a, b, adverse_less(*a, *b));

static uint64_t bound(int n)
{
	uint64_t log = 0;

	for (int k = n; k > 0; k /= 2)
		log++;
	return 4 * (uint64_t)n * log;
}

/* No pattern costs more than a small multiple of n log n. */
TT_TEST(sort, bounded_on_every_pattern)
{
	struct arrays a;

	arrays_init(&a, 20000);
	for (enum pattern p = RANDOM; p < PATTERNS; p++) {
		fill(&a, p, 20000);
		comparisons = 0;
		EXPECT_CODE(tt_par_sort(counting, a.items, 20000u), 0);
		EXPECT_TRUE(same(&a, 20000));
		EXPECT_LT(comparisons, bound(20000));
		if (p == SORTED || p == REVERSED || p == EQUAL)
			EXPECT_LT(comparisons, (uint64_t)50000);
	}
	arrays_fini(&a);
}

static TT_TASK(nothing)
{
	return 0;
}

static TT_TASK(sort_against_adversary, (int *, items), (size_t, n))
{
	/* Without the look whether it is sorted already, at which they would decide to be. */
	return tt_fork2((tt_quick_adverse_, items, n, (const int *)NULL, 17u), (nothing));
}

/* Nor does one made for it. A single thread sorts: the adversary has a memory. */
TT_TEST_PLAIN(sort, bounded_against_an_adversary)
{
	/* perhaps laws 7, 11 */
	static int items[20000];
	size_t n = 20000;

	adversary.gas = (int)n;
	for (size_t i = 0; i < n; i++) {
		items[i] = (int)i;
		adversary.values[i] = adversary.gas;
	}
	comparisons = 0;
	setenv("TUTTI_COMPUTE", "1", 1);
	EXPECT_EQ(tt_main(sort_against_adversary, items, n), 0);
	unsetenv("TUTTI_COMPUTE");
	EXPECT_LT(comparisons, bound((int)n));
	tt_test_note("%llu comparisons", (unsigned long long)comparisons);
}

/* ---- cut short ---- */

static bool slow_less(int a, int b)
{
	TT_IGNORE(tt_checkpoint());
	return a < b;
}

TT_SORT(slowly, int, a, b, slow_less(*a, *b));

/* A cancelled sort keeps every item; a stable one has not moved any. */
TT_TEST(sort, cancelled_in_the_middle)
{
	struct arrays a;
	int n = 20000, cut = 0;

	arrays_init(&a, n);
	for (int64_t timeout = TT_US(1); timeout < TT_MS(60); timeout *= 3) {
		int rc;

		fill(&a, RANDOM, n);
		rc = TT_WITHIN(timeout, tt_par_sort(slowly, a.items, (size_t)n));
		EXPECT_TRUE(rc == 0 || rc == TT_ETIMEDOUT);
		cut += rc < 0;
		qsort(a.items, (size_t)n, sizeof(int), compare_ints);
		EXPECT_TRUE(same(&a, n));
		fill(&a, RANDOM, n);
		memcpy(a.expected, a.items, (size_t)n * sizeof(int));
		rc = TT_WITHIN(timeout, tt_par_sort_stable(slowly, a.items, (size_t)n));
		EXPECT_TRUE(rc == 0 || rc == TT_ETIMEDOUT);
		if (rc < 0)
			EXPECT_TRUE(same(&a, n));
		fill(&a, RANDOM, n);
		rc = TT_WITHIN(timeout, tt_par_sort_i32(a.items, (size_t)n));
		EXPECT_TRUE(rc == 0 || rc == TT_ETIMEDOUT);
		qsort(a.items, (size_t)n, sizeof(int), compare_ints);
		EXPECT_TRUE(same(&a, n));
	}
	EXPECT_GT(cut, 0);
	arrays_fini(&a);
}

/* Without memory the unstable ones do without, the stable one says so. */
TT_TEST(sort, without_memory)
{
	struct arrays a;
	unsigned refused = 0;
	int n = 40000, rc;

	arrays_init(&a, n);
	for (;;) {
		fill(&a, RANDOM, n);
		tt_test_fail_alloc_at(refused + 1);
		rc = tt_par_sort_stable(ints, a.items, (size_t)n);
		tt_test_fail_nothing();
		if (rc == 0)
			break;
		REQUIRE_CODE(rc, TT_ENOMEM);
		refused++;
		REQUIRE_TRUE(refused < 50);
	}
	EXPECT_TRUE(same(&a, n));
	arrays_fini(&a);
}

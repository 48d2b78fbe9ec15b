/* SPDX-License-Identifier: MIT */
/*
 * torture_par_test.c - the calls of the compute pool and of the blocking pool, cut short
 * everywhere they can be: by a cancel and by a deadline, at each checkpoint, each wait, each
 * decided outcome that was not seen yet.
 *
 * Conserved after every run: items (made = taken or destroyed, once): an argument is one, and
 * so is each item of an array that is sorted.
 *
 * test-on: sim2
 * test-timeout: 600
 */
#include <string.h>

#include "base/atomic.h"
#include "torture_kit.h"

typedef struct ledger *owned;

static void owned_drop(owned l)
{
	l->gone++;
}

static owned owned_make(struct ledger *l)
{
	l->made++;
	return l;
}

static TT_TASK(consume, (owned, l, owned_drop), (int, rc))
{
	owned_drop(l);
	return rc;
}

/* ---- forks ---- */

static TT_TASK(pair_of, (struct ledger *, l), (int, rc))
{
	return tt_fork2((consume, owned_make(l), 0), (consume, owned_make(l), rc));
}

static TT_TASK(looks, (int, times))
{
	for (int i = 0; i < times; i++)
		TT_TRY(tt_checkpoint());
	return 0;
}

static TT_TASK(forks, (struct ledger *, l))
{
	int rc;

	TT_TRY(tt_fork2((consume, owned_make(l), 0), (looks, 3)));
	TT_TRY(tt_fork2((pair_of, l, 0), (pair_of, l, 0)));
	rc = tt_fork2((pair_of, l, TT_EIO), (looks, 2));
	return rc == TT_EIO ? 0 : rc;
}

TORTURE(tt_fork2, forks)

/* ---- loops: each item is inside at most once ---- */

struct items {
	struct ledger *l;
	unsigned char seen[40];
};

static TT_TASK(see, (size_t, first), (size_t, end), (struct items *, it))
{
	for (size_t i = first; i < end; i++)
		it->seen[i]++;
	return 0;
}

static int check_items(struct items *it, int rc)
{
	size_t n = 0;

	for (size_t i = 0; i < sizeof(it->seen); i++) {
		EXPECT_LE(it->seen[i], 1);
		n += it->seen[i];
	}
	if (rc == 0)
		EXPECT_EQ(n, sizeof(it->seen));
	return rc;
}

static TT_TASK(loops, (struct ledger *, l))
{
	struct items it = { .l = l };

	return check_items(&it, tt_par_for(sizeof(it.seen), see, &it));
}

TORTURE(tt_par_for, loops)

static TT_TASK(see_item, (const unsigned char *, in), (unsigned char *, out))
{
	*out = (unsigned char)(*out + *in);
	return 0;
}

static TT_TASK(maps, (struct ledger *, l))
{
	struct items it = { .l = l };
	unsigned char ones[sizeof(it.seen)];

	memset(ones, 1, sizeof(ones));
	return check_items(&it, tt_par_map(sizeof(ones), ones, it.seen, see_item));
}

TORTURE(tt_par_map, maps)

static TT_TASK(add_up, (size_t, first), (size_t, end), (uint64_t *, acc))
{
	for (size_t i = first; i < end; i++)
		*acc += i;
	return 0;
}

static TT_TASK(add, (uint64_t *, left), (uint64_t *, right))
{
	*left += *right;
	return 0;
}

static TT_TASK(reduces, (struct ledger *, l))
{
	uint64_t sum = 0;
	int rc = tt_par_reduce(100, &sum, (add_up), (add));

	(void)l;
	EXPECT_EQ(sum, rc == 0 ? 4950u : 0u);
	return rc;
}

TORTURE(tt_par_reduce, reduces)

/* ---- sorts: no item is lost ---- */

TT_SORT(ints, int, a, b, *a < *b);

#define SORTED 700

static void shuffle(int *items)
{
	for (int i = 0; i < SORTED; i++)
		items[i] = i * 389 % SORTED;
}

static void check_all_there(struct ledger *l, const int *items)
{
	unsigned char seen[SORTED] = { 0 };

	l->made += SORTED;
	for (int i = 0; i < SORTED; i++)
		l->gone += items[i] >= 0 && items[i] < SORTED && seen[items[i]]++ == 0;
}

static TT_TASK(sorts, (struct ledger *, l))
{
	int items[SORTED], rc;

	shuffle(items);
	rc = tt_par_sort(ints, items, (size_t)SORTED);
	check_all_there(l, items);
	return rc;
}

TORTURE(tt_par_sort, sorts)

static TT_TASK(sorts_stably, (struct ledger *, l))
{
	int items[SORTED], before[SORTED], rc;

	shuffle(items);
	shuffle(before);
	rc = tt_par_sort_stable(ints, items, (size_t)SORTED);
	check_all_there(l, items);
	if (rc < 0)
		EXPECT_EQ(memcmp(items, before, sizeof(items)), 0);
	return rc;
}

TORTURE(tt_par_sort_stable, sorts_stably)

/* Enough for the deal into buckets. */
static TT_TASK(sorts_integers, (struct ledger *, l))
{
	enum { N = 33000 };
	static uint32_t items[N];
	uint64_t sum = 0, expected = 0;
	int rc;

	for (uint32_t i = 0; i < N; i++) {
		items[i] = i * 2654435761u;
		expected += items[i];
	}
	rc = tt_par_sort_u32(items, N);
	for (uint32_t i = 0; i < N; i++)
		sum += items[i];
	l->made++;
	l->gone += sum == expected;
	return rc;
}

TORTURE(tt_par_sort_u32, sorts_integers)

static TT_TASK(sorts_long, (struct ledger *, l))
{
	uint64_t u[3] = { 3, 1, 2 };
	int64_t i[3] = { 3, -1, 2 };
	int32_t s[3] = { 3, -1, 2 };

	(void)l;
	TT_TRY(tt_par_sort_u64(u, 3));
	TT_TRY(tt_par_sort_i64(i, 3));
	TT_TRY(tt_par_sort_i32(s, 3));
	EXPECT_EQ(u[0] + (uint64_t)(i[0] + s[0]), UINT64_MAX); /* 1 - 1 - 1 */
	return 0;
}

TORTURE(tt_par_sort_u64, sorts_long)
TORTURE(tt_par_sort_i64, sorts_long)
TORTURE(tt_par_sort_i32, sorts_long)

/* ---- jobs that may be abandoned: the arguments go with the job ---- */

static TT_TASK(abandons, (struct ledger *, l))
{
	TT_TRY(tt_blocking_abandon(consume, owned_make(l), 0));
	return tt_blocking_abandon(consume, owned_make(l), 0);
}

/* One that was left behind ends before the run does, so the ledger is even by then. */
TORTURE(tt_blocking_abandon, abandons)

TT_TEST_MAIN()

/* SPDX-License-Identifier: MIT */
/*
 * compute_test.c - forks, loops, maps and reductions: every index once, orders, failures with
 * their chains, cancels in the middle, destructors, nesting, and what a body may call.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

#include "base/atomic.h"
#include "env/env.h"
#include "par/compute.h"

TT_TEST_MAIN()

static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };

/* A count that bodies share. */
static void count(tti_atomic_u32 *n)
{
	tti_fetch_add_acq_rel(n, 1); /* pairs with the load in counted() */
}

static unsigned counted(tti_atomic_u32 *n)
{
	return tti_load_acquire(n); /* pairs with the addition in count() */
}

/* ---- forks ---- */

TT_TASK_DECLARE(fib, (int, n), (long *, ret));

int fib(int n, long *ret)
{
	long a = 0, b = 0;

	if (n < 2) {
		*ret = n;
		return 0;
	}
	TT_TRY(tt_fork2((fib, n - 1, &a), (fib, n - 2, &b)));
	*ret = a + b;
	return 0;
}

/* A tree of forks gives what the calls alone would. */
TT_TEST(compute, a_tree_of_forks)
{
	static const long expected[] = { 0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144 };

	for (int n = 0; n < 13; n++) {
		long got = -1;

		EXPECT_CODE(tt_fork2((fib, n, &got), (fib, 0, &(long){ 0 })), 0);
		EXPECT_EQ(got, expected[n]);
	}
}

TT_TEST_ON(compute, a_large_tree_of_forks, TT_ON_REAL, "a simulated fork is a choice")
{
	long got = -1;

	EXPECT_CODE(tt_fork2((fib, 27, &got), (fib, 0, &(long){ 0 })), 0);
	EXPECT_EQ(got, 196418);
}

TT_TASK_DECLARE(chain, (int, depth), (tti_atomic_u32 *, leaves));

static TT_TASK(leaf, (tti_atomic_u32 *, leaves))
{
	count(leaves);
	return 0;
}

/* As uneven as a tree can be: a leaf and all the rest, on either side in turn. */
int chain(int depth, tti_atomic_u32 *leaves)
{
	if (depth == 0)
		return leaf(leaves);
	if (depth % 2 == 0)
		return tt_fork2((leaf, leaves), (chain, depth - 1, leaves));
	return tt_fork2((chain, depth - 1, leaves), (leaf, leaves));
}

TT_TEST(compute, an_uneven_tree)
{
	tti_atomic_u32 leaves = { 0 };

	EXPECT_CODE(tt_fork2((chain, 300, &leaves), (leaf, &leaves)), 0);
	EXPECT_EQ(counted(&leaves), 302u);
}

static tti_atomic_u32 bare_calls;

static TT_TASK(bare)
{
	count(&bare_calls);
	return 9;
}

/* Calls without arguments can be forked, and a result that is no failure is not one. */
TT_TEST(compute, forks_without_arguments)
{
	bare_calls.v = 0;
	EXPECT_EQ(tt_fork2((bare), (bare)), 0);
	EXPECT_EQ(counted(&bare_calls), 2u);
}

struct wide { _Alignas(16) char bytes[208]; };

static TT_TASK(fill, (struct wide, w), (struct wide *, ret))
{
	if ((uintptr_t)&w % 16 != 0)
		return tt_fail(TT_EINVAL, "misaligned");
	*ret = w;
	return 0;
}

/* Arguments arrive whole, however large and aligned they are. */
TT_TEST(compute, large_arguments)
{
	struct wide a, b, ret_a, ret_b;

	memset(&a, 'a', sizeof(a));
	memset(&b, 'b', sizeof(b));
	EXPECT_CODE(tt_fork2((fill, a, &ret_a), (fill, b, &ret_b)), 0);
	EXPECT_EQ(memcmp(&a, &ret_a, sizeof(a)), 0);
	EXPECT_EQ(memcmp(&b, &ret_b, sizeof(b)), 0);
}

/* ---- failures ---- */

static TT_TASK(fails, (int, code), (const char *, text))
{
	return tt_fail(code, "%s", text);
}

static TT_TASK(counts, (tti_atomic_u32 *, n))
{
	count(n);
	return 0;
}

static TT_TASK(wraps, (int, code))
{
	return tt_wrap(tt_fork2((fails, code, "below"), (bare)), "above");
}

/* The chain of a failure comes out of the region whole, from whatever depth. */
TT_TEST(compute, the_chain_comes_along)
{
	const tt_error_node *n;
	tt_error e;

	for (int side = 0; side < 2; side++) {
		int rc = side == 0 ? tt_fork2((wraps, TT_EIO), (bare)) : tt_fork2((bare), (wraps, TT_EIO));

		EXPECT_CODE(rc, TT_EIO);
		tt_error_take(&e, rc);
		n = tt_error_first(&e);
		REQUIRE_TRUE(n != NULL);
		EXPECT_STR_EQ(tt_error_message(n), "above");
		n = tt_error_cause(n);
		REQUIRE_TRUE(n != NULL);
		EXPECT_STR_EQ(tt_error_message(n), "below");
		tt_error_fini(&e);
	}
}

/* Fails, whatever it is told. */
static TT_TASK(fails_late, (int, code), (const char *, text))
{
	TT_IGNORE(tt_checkpoint());
	return tt_fail(code, "%s", text);
}

static TT_TASK(two_failures)
{
	return tt_fork2((fails_late, TT_EIO, "left"), (fails_late, TT_EPROTO, "right"));
}

struct seen_failures {
	unsigned lefts, rights, beside_left, beside_right;
};

static TT_TASK(fail_twice, (struct seen_failures *, seen))
{
	for (int i = 0; i < 10; i++) {
		const tt_error_node *n;
		int rc = two_failures();
		tt_error e;

		EXPECT_TRUE(rc == TT_EIO || rc == TT_EPROTO);
		seen->lefts += rc == TT_EIO;
		seen->rights += rc == TT_EPROTO;
		tt_error_take(&e, rc);
		n = tt_error_first(&e);
		REQUIRE_TRUE(n != NULL);
		EXPECT_STR_EQ(tt_error_message(n), rc == TT_EIO ? "left" : "right");
		n = tt_error_sibling(n);
		if (n != NULL) {
			seen->beside_left += rc == TT_EIO;
			seen->beside_right += rc == TT_EPROTO;
			EXPECT_STR_EQ(tt_error_message(n), rc == TT_EIO ? "right" : "left");
		}
		tt_error_fini(&e);
	}
	return 0;
}

/* Of two failures the first is the fork's; the other is beside it, or never began. */
TT_TEST(compute, the_first_failure_counts)
{
	struct seen_failures seen = { 0 };

	EXPECT_CODE(fail_twice(&seen), 0);
}

/* Where sides are shared at random each comes first now and then, with the other beside it. */
TT_TEST_PLAIN(compute, either_failure_may_be_first)
{
	struct seen_failures seen = { 0 };

	for (unsigned seed = 0; seed < 20; seed++)
		EXPECT_CODE(tt_sim_run(seed, fail_twice, &seen), 0);
	EXPECT_GT(seen.beside_left, 0u);
	EXPECT_GT(seen.beside_right, 0u);
	tt_test_note("%u left first, %u of them with a sibling; %u right first, %u", seen.lefts, seen.beside_left,
	             seen.rights, seen.beside_right);
}

static TT_TASK(swallows)
{
	TT_IGNORE(tt_fork2((fails, TT_EIO, "never mind"), (bare)));
	return tt_checkpoint();
}

/* A failure that a body swallows stops nothing around it. */
TT_TEST(compute, a_swallowed_failure)
{
	EXPECT_CODE(tt_fork2((swallows), (swallows)), 0);
}

struct owned { tti_atomic_u32 ran, dropped; };

static void drop(struct owned *o)
{
	count(&o->dropped);
}

static TT_TASK(owns, (struct owned *, o, drop))
{
	count(&o->ran);
	return 0;
}

static TT_TASK(fails_over, (struct owned *, o))
{
	return tt_fork2((fails, TT_EIO, "first"), (owns, o));
}

/* A side that does not begin has its arguments destroyed, once; one that begins owns them. */
TT_TEST(compute, destructors_run_when_a_side_does_not)
{
	struct owned o = { .ran.v = 0 };

	for (unsigned i = 1; i <= 30; i++) {
		EXPECT_CODE(fails_over(&o), TT_EIO);
		EXPECT_EQ(counted(&o.ran) + counted(&o.dropped), i);
	}
	EXPECT_CODE(TT_WITHIN(0, tt_fork2((owns, &o), (owns, &o))), TT_ETIMEDOUT);
	EXPECT_EQ(counted(&o.ran) + counted(&o.dropped), 32u);
}

/* ---- stopping ---- */

static TT_TASK(until_stopped, (tti_atomic_u32 *, rounds))
{
	int rc;

	do {
		count(rounds);
		rc = tt_checkpoint();
	} while (rc == 0);
	return rc;
}

static TT_TASK(forks_until_stopped, (struct owned *, o))
{
	int rc;

	do
		rc = tt_fork2((owns, o), (owns, o));
	while (rc == 0);
	return rc;
}

static TT_TASK(chunk_counts, (size_t, first), (size_t, end), (tti_atomic_u32 *, rounds))
{
	(void)first;
	(void)end;
	count(rounds);
	return 0;
}

static TT_TASK(loops_until_stopped, (tti_atomic_u32 *, rounds))
{
	int rc;

	do
		rc = tt_par_for(100, chunk_counts, rounds);
	while (rc == 0);
	return rc;
}

/* A cancel reaches bodies that look, by a checkpoint, a fork or a loop; the region has ended
 * when the call returns. */
TT_TEST(compute, cancelled_in_the_middle)
{
	struct owned o = { .ran.v = 0 };
	tti_atomic_u32 rounds = { 0 };
	unsigned before;

	EXPECT_CODE(TT_WITHIN(TT_MS(2), tt_fork2((until_stopped, &rounds), (until_stopped, &rounds))), TT_ETIMEDOUT);
	before = counted(&rounds);
	EXPECT_CODE(TT_WITHIN(TT_MS(2), tt_fork2((forks_until_stopped, &o), (forks_until_stopped, &o))), TT_ETIMEDOUT);
	EXPECT_EQ((counted(&o.ran) + counted(&o.dropped)) % 2, 0u);
	EXPECT_EQ(counted(&rounds), before);
	EXPECT_CODE(TT_WITHIN(TT_MS(2), tt_fork2((loops_until_stopped, &rounds), (loops_until_stopped, &rounds))),
	            TT_ETIMEDOUT);
	EXPECT_OK(tt_checkpoint());
}

static TT_TASK(fails_once_told, (tti_atomic_u32 *, rounds))
{
	while (counted(rounds) == 0)
		TT_TRY(tt_checkpoint());
	return tt_fail(TT_EIO, "enough");
}

/* And so does a failure elsewhere in the region; not to what stands outside it. */
TT_TEST(compute, a_failure_stops_the_others)
{
	const char *threads = getenv("TUTTI_COMPUTE");
	tti_atomic_u32 rounds = { 0 };

	if (threads != NULL ? atoi(threads) < 2 : tt_cpu_count() < 2)
		return; /* one thread would never come to the right side */
	EXPECT_CODE(tt_fork2((until_stopped, &rounds), (fails, TT_EIO, "x")), TT_EIO);
	rounds.v = 0;
	EXPECT_CODE(tt_fork2((fails_once_told, &rounds), (until_stopped, &rounds)), TT_EIO);
	EXPECT_OK(tt_checkpoint());
}

static TT_TASK(cancelled_region, (int64_t, timeout), (tti_atomic_u32 *, rounds), (int *, ret_rc))
{
	*ret_rc = TT_WITHIN(timeout, tt_fork2((until_stopped, rounds), (bare)));
	return 0;
}

/* More regions than threads, each cut short at another time. */
TT_TEST(compute, many_cancelled_regions)
{
	tti_atomic_u32 rounds = { 0 };
	int rc[12];

	{
		TT_GROUP(g);
		for (int i = 0; i < 12; i++)
			tt_go_with(&g, &anywhere, cancelled_region, TT_US(100) * i, &rounds, &rc[i]);
		EXPECT_CODE(tt_group_end(&g, 0), 0);
	}
	for (int i = 0; i < 12; i++)
		EXPECT_CODE(rc[i], TT_ETIMEDOUT);
}

/* ---- loops ---- */

static TT_TASK(mark, (size_t, first), (size_t, end), (unsigned char *, seen))
{
	for (size_t i = first; i < end; i++)
		seen[i]++;
	return 0;
}

/* Every index comes once, whatever the number. */
TT_TEST(compute, par_for_covers_each_index_once)
{
	static const size_t sizes[] = { 0, 1, 2, 3, 7, 16, 100, 1000, 4097, 50000 };
	unsigned char *seen = malloc(50000);

	REQUIRE_TRUE(seen != NULL);
	for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
		memset(seen, 0, 50000);
		EXPECT_CODE(tt_par_for(sizes[k], mark, seen), 0);
		for (size_t i = 0; i < 50000; i++)
			if (seen[i] != (i < sizes[k]))
				EXPECT_EQ(i, sizes[k]);
	}
	free(seen);
}

static TT_TASK(add_length, (size_t, first), (size_t, end), (tti_atomic_u64 *, sum), (tti_atomic_u32 *, parts))
{
	tti_fetch_add_relaxed(sum, (uint64_t)(end - first)); /* relaxed: read after the loop */
	count(parts);
	return 0;
}

/* The largest ranges are cut into few parts when their bodies are quick. */
TT_TEST(compute, par_for_over_huge_ranges)
{
	static const size_t sizes[] = { SIZE_MAX / 2, SIZE_MAX - 1, SIZE_MAX };

	for (size_t k = 0; k < 3; k++) {
		tti_atomic_u64 sum = { 0 };
		tti_atomic_u32 parts = { 0 };

		EXPECT_CODE(tt_par_for(sizes[k], add_length, &sum, &parts), 0);
		EXPECT_EQ(tti_load_relaxed(&sum), (uint64_t)sizes[k]); /* relaxed: the loop has ended */
		EXPECT_LT(counted(&parts), 200000u);
	}
}

static TT_TASK(fails_at, (size_t, first), (size_t, end), (size_t, bad), (tti_atomic_u32 *, after))
{
	if (first <= bad && bad < end)
		return tt_fail(TT_EIO, "item %zu", bad);
	count(after);
	return 5;
}

TT_TEST(compute, par_for_fails_with_the_item_that_failed)
{
	tti_atomic_u32 parts = { 0 };
	tt_error e;
	int rc;

	for (size_t bad = 0; bad < 2000; bad = bad * 2 + 1) {
		rc = tt_par_for(2000, fails_at, bad, &parts);
		EXPECT_CODE(rc, TT_EIO);
		tt_error_take(&e, rc);
		REQUIRE_TRUE(tt_error_first(&e) != NULL);
		EXPECT_CODE(tt_error_code(tt_error_first(&e)), TT_EIO);
		tt_error_fini(&e);
	}
	EXPECT_CODE(tt_par_for(2000, fails_at, 5000u, &parts), 0);
}

static TT_TASK(rows, (size_t, first), (size_t, end), (unsigned char *, seen), (size_t, width))
{
	for (size_t y = first; y < end; y++)
		TT_TRY(tt_par_for(width, mark, seen + y * width));
	return 0;
}

/* A loop inside a loop. */
TT_TEST(compute, nested_loops)
{
	static unsigned char seen[60 * 70];

	memset(seen, 0, sizeof(seen));
	EXPECT_CODE(tt_par_for(60, rows, seen, 70u), 0);
	for (size_t i = 0; i < sizeof(seen); i++)
		if (seen[i] != 1)
			EXPECT_EQ(i, 0u);
}

static TT_TASK(square, (const int *, in), (double *, out), (double, factor))
{
	if (*in < 0)
		return tt_fail(TT_ERANGE, "%d", *in);
	*out = factor * *in * *in;
	return 1;
}

TT_TEST(compute, par_map_writes_out_from_in)
{
	int in[500];
	double out[500];

	for (int i = 0; i < 500; i++)
		in[i] = i;
	EXPECT_CODE(tt_par_map(500, in, out, square, 2.0), 0);
	for (int i = 0; i < 500; i++)
		if (out[i] != 2.0 * i * i)
			EXPECT_EQ(i, -1);
	in[333] = -1;
	EXPECT_CODE(tt_par_map(500, in, out, square, 2.0), TT_ERANGE);
	EXPECT_CODE(tt_par_map(0, in, out, square, 2.0), 0);
}

/* ---- reductions ---- */

/* A list of runs: joining is associative, and says when an order was not kept. */
struct span { size_t first, end; bool broken; };

static TT_TASK(span_fold, (size_t, first), (size_t, end), (struct span *, acc))
{
	if (acc->first == SIZE_MAX)
		acc->first = first;
	else if (acc->end != first)
		acc->broken = true;
	acc->end = end;
	return 0;
}

static TT_TASK(span_join, (struct span *, left), (struct span *, right))
{
	if (left->first == SIZE_MAX || right->first == SIZE_MAX || left->end != right->first)
		left->broken = true;
	left->broken |= right->broken;
	left->end = right->end;
	return 0;
}

/* Parts are folded and joined in the order of their indices. */
TT_TEST(compute, par_reduce_keeps_the_order)
{
	for (size_t n = 1; n < 3000; n = n * 3 + 1) {
		struct span acc = { SIZE_MAX, 0, false };

		EXPECT_CODE(tt_par_reduce(n, &acc, (span_fold), (span_join)), 0);
		EXPECT_EQ(acc.first, 0u);
		EXPECT_EQ(acc.end, n);
		EXPECT_FALSE(acc.broken);
	}
}

struct big_sum { uint64_t sum; char pad[500]; };

static TT_TASK(big_fold, (size_t, first), (size_t, end), (struct big_sum *, acc), (size_t, bad))
{
	for (size_t i = first; i < end; i++) {
		if (i == bad)
			return tt_fail(TT_EIO, "item");
		acc->sum += i;
	}
	return 0;
}

static TT_TASK(big_join, (struct big_sum *, left), (struct big_sum *, right), (tti_atomic_u32 *, joins))
{
	count(joins);
	left->sum += right->sum;
	return 0;
}

/* As a vector of the widest kind wants it, and too large for a frame. */
struct vector_sum { _Alignas(64) uint64_t sum; char pad[300000]; };

static TT_TASK(vector_fold, (size_t, first), (size_t, end), (struct vector_sum *, acc))
{
	if ((uintptr_t)acc % _Alignof(struct vector_sum) != 0)
		return tt_fail(TT_EINVAL, "misaligned");
	acc->sum += end - first;
	return 0;
}

static TT_TASK(vector_join, (struct vector_sum *, left), (struct vector_sum *, right))
{
	left->sum += right->sum;
	return 0;
}

/* Each part's accumulator is aligned as the caller's is. */
TT_TEST(compute, par_reduce_aligns_the_parts)
{
	static struct vector_sum acc;

	acc.sum = 0;
	EXPECT_CODE(tt_par_reduce(300, &acc, (vector_fold), (vector_join)), 0);
	EXPECT_EQ(acc.sum, 300u);
}

/* A failed reduction leaves the accumulator as it was; an empty one too. */
TT_TEST(compute, par_reduce_all_or_nothing)
{
	tti_atomic_u32 joins = { 0 };
	struct big_sum acc = { .sum = 0 };

	EXPECT_CODE(tt_par_reduce(1000, &acc, (big_fold, SIZE_MAX), (big_join, &joins)), 0);
	EXPECT_EQ(acc.sum, 499500u);
	acc.sum = 77;
	EXPECT_CODE(tt_par_reduce(1000, &acc, (big_fold, 900u), (big_join, &joins)), TT_EIO);
	EXPECT_EQ(acc.sum, 77u);
	EXPECT_CODE(tt_par_reduce(0, &acc, (big_fold, 0u), (big_join, &joins)), 0);
	EXPECT_EQ(acc.sum, 77u);
	EXPECT_CODE(TT_WITHIN(0, tt_par_reduce(1000, &acc, (big_fold, SIZE_MAX), (big_join, &joins))), TT_ETIMEDOUT);
	EXPECT_EQ(acc.sum, 77u);
}

/* ---- waiting runs only what it waits for ---- */

struct held {
	tti_atomic_u32 met;
	int depth[64];                       /* of each thread of the pool, touched by it alone */
};

/* A thread in here that met another item of the outer loop would be inside twice. */
static TT_TASK(under_lock, (size_t, first), (size_t, end), (struct held *, h))
{
	int *depth = &h->depth[tti_compute_here() - tti_compute_here()->pool->workers];
	unsigned char seen[64] = { 0 };
	int rc = 0;

	for (size_t i = first; i < end && rc == 0; i++) {
		if ((*depth)++ != 0)
			count(&h->met);
		rc = tt_par_for(64, mark, seen);
		(*depth)--;
	}
	return rc;
}

TT_TEST(compute, a_waiting_thread_runs_only_its_own_parts)
{
	for (int i = 0; i < 20; i++) {
		struct held h = { .met.v = 0 };

		EXPECT_CODE(tt_par_for(400, under_lock, &h), 0);
		EXPECT_EQ(counted(&h.met), 0u);
	}
}

/* ---- what a body may call ---- */

static TT_TASK(misplaced_calls)
{
	EXPECT_CODE(tt_sleep(TT_MS(1)), TT_EWRONGCTX);
	EXPECT_CODE(tt_yield(), TT_EWRONGCTX);
	EXPECT_CODE(tt_blocking(bare), TT_EWRONGCTX);
	EXPECT_CODE(tt_blocking_abandon(bare), TT_EWRONGCTX);
	EXPECT_CODE(tt_checkpoint(), 0);
	EXPECT_EQ(tt_worker_index(), -1);
	return 0;
}

TT_TEST(compute, what_a_body_may_call)
{
	EXPECT_CODE(tt_fork2((misplaced_calls), (misplaced_calls)), 0);
}

static TT_TASK(forks_in_a_job)
{
	return tt_fork2((bare), (bare));
}

static TT_TASK(loops_in_a_job, (unsigned char *, seen), (size_t, n))
{
	return tt_par_for(n, mark, seen);
}

/* A blocking job is no place for a region: its thread is not of the pool. */
TT_TEST(compute, not_in_a_blocking_job)
{
	unsigned char seen[1];

	EXPECT_CODE(tt_blocking(forks_in_a_job), TT_EWRONGCTX);
	EXPECT_CODE(tt_blocking(loops_in_a_job, seen, 1u), TT_EWRONGCTX);
	EXPECT_CODE(tt_blocking(loops_in_a_job, seen, 0u), TT_EWRONGCTX);
}

TT_TEST_PLAIN(compute, not_on_a_plain_thread)
{
	unsigned char seen[1];

	EXPECT_ABORTS(TT_IGNORE(tt_fork2((bare), (bare))), "tt_fork2: called outside a task");
	EXPECT_ABORTS(TT_IGNORE(tt_par_for(1, mark, seen)), "tt_par_for: called outside a task");
}

static TT_TASK(owning_part, (size_t, first), (size_t, end), (struct owned *, o, drop))
{
	(void)first;
	(void)end;
	(void)o;
	return 0;
}

/* What is called many times cannot own its arguments each time. */
TT_TEST(compute, parts_own_nothing)
{
	struct owned o = { .ran.v = 0 };

	EXPECT_ABORTS(TT_IGNORE(tt_par_for(1, owning_part, &o)), "owning_part would own an argument in every part");
}

/* Every call is a checkpoint, an empty one too. */
TT_TEST(compute, is_a_checkpoint)
{
	unsigned char seen[1] = { 0 };

	EXPECT_CODE(TT_WITHIN(0, tt_par_for(1, mark, seen)), TT_ETIMEDOUT);
	EXPECT_CODE(TT_WITHIN(0, tt_par_for(0, mark, seen)), TT_ETIMEDOUT);
	EXPECT_EQ(seen[0], 0);
}

/* ---- several regions ---- */

static TT_TASK(one_of_many, (int, n), (long *, ret))
{
	for (int i = 0; i < 20; i++)
		TT_TRY(tt_fork2((fib, n, ret), (fib, 0, &(long){ 0 })));
	return 0;
}

/* Tasks of all workers compute at once. */
TT_TEST(compute, regions_of_several_tasks)
{
	long got[8];

	{
		TT_GROUP(g);
		for (int i = 0; i < 8; i++)
			tt_go_with(&g, &anywhere, one_of_many, 3 + i % 4, &got[i]);
		EXPECT_CODE(tt_group_end(&g, 0), 0);
	}
	for (int i = 0; i < 8; i++)
		EXPECT_EQ(got[i], ((const long[]){ 2, 3, 5, 8 })[i % 4]);
}

/* ---- when something cannot be had ---- */

/* Without memory a region fails and destructors have run, or it does with less. */
TT_TEST(compute, without_memory)
{
	struct owned o = { .ran.v = 0 };
	unsigned refused = 0;

	for (;;) {
		int rc;

		tt_test_fail_alloc_at(refused + 1);
		rc = tt_fork2((owns, &o), (owns, &o));
		tt_test_fail_nothing();
		if (rc == 0)
			break;
		REQUIRE_CODE(rc, TT_ENOMEM);
		refused++;
		EXPECT_EQ(counted(&o.dropped), 2 * refused);
	}
	EXPECT_EQ(counted(&o.ran), 2u);
}

static int no_thread(struct tti_thread *t, const char *name)
{
	(void)t;
	(void)name;
	return TT_EAGAIN;
}

static tti_atomic_u32 threads_given;

static int one_thread(struct tti_thread *t, const char *name)
{
	if (counted(&threads_given) > 0)
		return TT_EAGAIN;
	count(&threads_given);
	return tti_env_real.thread_start(t, name);
}

/* No thread: the call fails and the next one may work; a single one is enough. */
TT_TEST_ON(compute, without_threads, TT_ON_REAL, "a simulated region needs none")
{
	struct tti_env_ops ops = *tti_env_here;
	const struct tti_env_ops *before;
	struct owned o = { .ran.v = 0 };
	long got = -1;
	int rc;

	ops.thread_start = no_thread;
	before = tti_env_bind(&ops);
	rc = tt_fork2((owns, &o), (owns, &o));
	tti_env_bind(before);
	EXPECT_CODE(rc, TT_EAGAIN);
	EXPECT_EQ(counted(&o.dropped), 2u);
	ops.thread_start = one_thread;
	before = tti_env_bind(&ops);
	rc = tt_fork2((fib, 15, &got), (owns, &o));
	tti_env_bind(before);
	EXPECT_CODE(rc, 0);
	EXPECT_EQ(got, 610);
}

static TT_TASK(region_in_main, (unsigned char *, seen))
{
	return tt_par_for(10000, mark, seen);
}

/* TUTTI_COMPUTE says how many threads; one of them does it all. */
TT_TEST_PLAIN(compute, by_environment)
{
	/* perhaps laws 7, 11 */
	static unsigned char seen[10000];

	for (int n = 1; n < 6; n++) {
		char text[16];

		memset(seen, 0, sizeof(seen));
		snprintf(text, sizeof(text), "%d", n);
		setenv("TUTTI_COMPUTE", text, 1);
		EXPECT_EQ(tt_main(region_in_main, seen), 0);
		for (size_t i = 0; i < sizeof(seen); i++)
			if (seen[i] != 1)
				EXPECT_EQ(i, 0u);
	}
	setenv("TUTTI_COMPUTE", "many", 1);
	EXPECT_ABORTS(TT_IGNORE(tt_main(region_in_main, seen)), "TUTTI_COMPUTE: \"many\" is not a number");
	unsetenv("TUTTI_COMPUTE");
}

static TT_TASK(ends_well_once_told)
{
	while (tt_checkpoint() == 0)
		continue;
	return 0;
}

static TT_TASK(stopped_between_the_sides, (struct owned *, o))
{
	EXPECT_CODE(TT_WITHIN(TT_MS(2), tt_fork2((ends_well_once_told), (owns, o))), TT_ETIMEDOUT);
	return 0;
}

/* A cancel during the left side keeps the right one from beginning, also where no other thread
 * is there to take it. */
TT_TEST_PLAIN(compute, a_cancel_comes_between_the_sides)
{
	/* perhaps laws 7, 9, 11 */
	struct owned o = { .ran.v = 0 };

	setenv("TUTTI_COMPUTE", "1", 1);
	EXPECT_EQ(tt_main(stopped_between_the_sides, &o), 0);
	unsetenv("TUTTI_COMPUTE");
	EXPECT_EQ(counted(&o.ran), 0u);
	EXPECT_EQ(counted(&o.dropped), 1u);
}

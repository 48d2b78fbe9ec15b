/* SPDX-License-Identifier: MIT */
/*
 * stage_test.c - throttle, batch, merge, map: what goes in comes out, once, in its order,
 * wherever a stage is cut short.
 */
#include <string.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

#include "base/atomic.h"

TT_TEST_MAIN()

struct ledger {
	tti_atomic_u32 made, gone;
};

/* relaxed: counts; they are read when the tasks have been joined. */
#define COUNT(counter) ((void)tti_fetch_add_relaxed(&(counter), 1))
/* relaxed: as above. */
#define MADE(l) tti_load_relaxed(&(l)->made)
/* relaxed: as above. */
#define GONE(l) tti_load_relaxed(&(l)->gone)

typedef struct item {
	struct ledger *ledger;
	int id;
} item;

static void item_drop(item it)
{
	COUNT(it.ledger->gone);
}

TT_CHAN_TYPE_WITH(item_chan, item, item_drop);

typedef struct batch {
	size_t n;
	item items[4];
} batch;

static void batch_drop(batch b)
{
	for (size_t i = 0; i < b.n; i++)
		item_drop(b.items[i]);
}

TT_CHAN_TYPE_WITH(batch_chan, batch, batch_drop);

static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };

static int fill(item_chan *ch, struct ledger *l, int from, int count)
{
	for (int i = from; i < from + count; i++) {
		TT_TRY(tt_try_send(ch, &(item){ l, i }));
		COUNT(l->made);
	}
	return 0;
}

/* ---- throttle ---- */

/* One item for each permit, in order, and the end goes on to the output. */
TT_TEST_ON(throttle, paces, TT_ON_SIM, "needs exact times")
{
	struct ledger l = { { 0 }, { 0 } };
	item_chan in, out;
	int64_t before;
	tt_rate r;
	item it;

	tt_rate_init(&r, 100, TT_SEC(1), 1);
	REQUIRE_OK(tt_chan_init(&in, 5));
	REQUIRE_OK(tt_chan_init(&out, 8));
	EXPECT_OK(fill(&in, &l, 0, 5));
	tt_chan_close(&in);
	before = tt_now();
	EXPECT_CODE(tt_throttle(&out, &in, &r), 0);
	EXPECT_GE(tt_now() - before, TT_MS(40));
	EXPECT_LT(tt_now() - before, TT_MS(41));
	for (int i = 0; i < 5; i++) {
		EXPECT_EQ(tt_try_recv(&out, &it), 1);
		EXPECT_EQ(it.id, i);
	}
	EXPECT_EQ(tt_try_recv(&out, &it), 0);
	tt_chan_fini(&in);
	tt_chan_fini(&out);
	tt_rate_fini(&r);
}

/* Cut while it waits for a permit, it passes its item on; the others stay in the input. */
TT_TEST(throttle, a_cancel_loses_nothing)
{
	struct ledger l = { { 0 }, { 0 } };
	item_chan in, out, meeting;
	tt_rate r;

	tt_rate_init(&r, 1, TT_SEC(1000), 1);
	REQUIRE_OK(tt_chan_init(&in, 5));
	REQUIRE_OK(tt_chan_init(&out, 8));
	REQUIRE_OK(tt_chan_init(&meeting, 0));
	EXPECT_OK(fill(&in, &l, 0, 5));
	EXPECT_CODE(TT_WITHIN(TT_MS(5), tt_throttle(&out, &in, &r)), TT_ETIMEDOUT);
	EXPECT_EQ(tt_chan_len(&out), 2u);
	EXPECT_EQ(tt_chan_len(&in), 3u);
	EXPECT_CODE(tt_throttle(&out, &in, &r), TT_ECLOSED);
	EXPECT_CODE(tt_throttle(&meeting, &in, &r), TT_EINVAL);
	EXPECT_EQ(tt_chan_len(&in), 3u);
	EXPECT_EQ(GONE(&l), 0u);
	tt_chan_fini(&in);
	tt_chan_fini(&out);
	tt_chan_fini(&meeting);
	tt_rate_fini(&r);
	EXPECT_EQ(GONE(&l), MADE(&l));
}

/* ---- batch ---- */

/* Full batches, and what is left at the end. */
TT_TEST(batch, full_ones_and_the_rest)
{
	struct ledger l = { { 0 }, { 0 } };
	batch_chan out;
	item_chan in;
	int next = 0;
	batch b;

	REQUIRE_OK(tt_chan_init(&in, 10));
	REQUIRE_OK(tt_chan_init(&out, 10));
	EXPECT_OK(fill(&in, &l, 0, 10));
	tt_chan_close(&in);
	EXPECT_CODE(tt_batch(&out, &in, TT_SEC(100)), 0);
	for (int k = 0; k < 3; k++) {
		EXPECT_EQ(tt_try_recv(&out, &b), 1);
		EXPECT_EQ(b.n, k < 2 ? 4u : 2u);
		for (size_t i = 0; i < b.n; i++)
			EXPECT_EQ(b.items[i].id, next++);
	}
	EXPECT_EQ(tt_try_recv(&out, &b), 0);
	tt_chan_fini(&in);
	tt_chan_fini(&out);
}

/* A batch that does not fill up is passed on when its first item has waited long enough; a
 * cancel passes on what was collected. */
TT_TEST_ON(batch, lingers_no_longer, TT_ON_SIM, "needs exact times")
{
	struct ledger l = { { 0 }, { 0 } };
	batch_chan out;
	item_chan in;
	batch b;

	REQUIRE_OK(tt_chan_init(&in, 10));
	REQUIRE_OK(tt_chan_init(&out, 10));
	EXPECT_OK(fill(&in, &l, 0, 3));
	EXPECT_CODE(TT_WITHIN(TT_MS(25), tt_batch(&out, &in, TT_MS(10))), TT_ETIMEDOUT);
	EXPECT_EQ(tt_try_recv(&out, &b), 1);
	EXPECT_EQ(b.n, 3u);
	tt_chan_fini(&out);
	REQUIRE_OK(tt_chan_init(&out, 10));
	EXPECT_OK(fill(&in, &l, 0, 3));
	EXPECT_CODE(TT_WITHIN(TT_MS(5), tt_batch(&out, &in, TT_MS(10))), TT_ETIMEDOUT);
	EXPECT_EQ(tt_try_recv(&out, &b), 1);
	EXPECT_EQ(b.n, 3u);
	tt_chan_fini(&in);
	tt_chan_fini(&out);
}

/* ---- merge ---- */

static TT_TASK(produce, (item_chan *, ch), (struct ledger *, l), (int, from), (int, count))
{
	TT_CLOSE_AT_END(ch);

	for (int i = from; i < from + count; i++) {
		item it = { l, i };
		int rc;

		COUNT(l->made);
		rc = tt_send(ch, &it);
		if (rc < 0) {
			item_drop(it);
			return rc;
		}
	}
	return 0;
}

static TT_TASK(merge_three, (item_chan *, out), (item_chan *, in))
{
	item_chan *const all[3] = { &in[0], &in[1], &in[2] };

	return tt_merge(out, all, 3);
}

static int consume(item_chan *ch, int *next, int streams)
{
	item it;
	int rc, total = 0;

	while ((rc = tt_recv(ch, &it)) > 0) {
		int k = it.id / 1000;

		EXPECT_LT(k, streams);
		EXPECT_EQ(it.id, k * 1000 + next[k]);
		next[k]++;
		total++;
		item_drop(it);
	}
	return rc < 0 ? rc : total;
}

static int three_into_one(item_chan *in, item_chan *out, struct ledger *l)
{
	int next[3] = { 0 }, total;

	TT_GROUP(g);
	for (int i = 0; i < 3; i++)
		tt_go(&g, produce, &in[i], l, i * 1000, 50);
	tt_go_with(&g, &anywhere, merge_three, out, in);
	total = consume(out, next, 3);
	EXPECT_EQ(total, 150);
	return tt_group_end(&g, total);
}

/* All items of all inputs, each input's in its order, even through one slot; then the end. */
TT_TEST(merge, all_of_each_in_order)
{
	/* laws 4, 5 */
	struct ledger l = { { 0 }, { 0 } };
	item_chan in[3], out;

	for (size_t cap = 0; cap < 3; cap++)
		REQUIRE_OK(tt_chan_init(&in[cap], cap));
	REQUIRE_OK(tt_chan_init(&out, 1));
	EXPECT_CODE(three_into_one(in, &out, &l), 150);
	EXPECT_EQ(GONE(&l), MADE(&l));
	for (int i = 0; i < 3; i++)
		tt_chan_fini(&in[i]);
	tt_chan_fini(&out);
}

/* What it refuses, and that a closed output takes nothing from the inputs. */
TT_TEST(merge, refuses)
{
	struct ledger l = { { 0 }, { 0 } };
	item_chan in, out, *all[TT_MERGE_MAX + 1];

	REQUIRE_OK(tt_chan_init(&in, 4));
	REQUIRE_OK(tt_chan_init(&out, 4));
	for (int i = 0; i <= TT_MERGE_MAX; i++)
		all[i] = &in;
	EXPECT_OK(fill(&in, &l, 0, 2));
	{
		TT_CLOSE_AT_END(&out);
		EXPECT_CODE(tt_merge(&out, all, 0), TT_EINVAL);
		EXPECT_CODE(tt_merge(&out, all, TT_MERGE_MAX + 1), TT_EINVAL);
		EXPECT_CODE(TT_WITHIN(TT_MS(2), tt_merge(&out, all, TT_MERGE_MAX)), TT_ETIMEDOUT);
		EXPECT_EQ(tt_chan_len(&out), 2u);
	}
	EXPECT_OK(fill(&in, &l, 2, 2));
	EXPECT_CODE(tt_merge(&out, all, 1), TT_ECLOSED);
	EXPECT_EQ(tt_chan_len(&in), 2u);
	tt_chan_fini(&in);
	tt_chan_fini(&out);
	EXPECT_EQ(GONE(&l), MADE(&l));
}

/* ---- map ---- */

struct running {
	int now, max;
};

/* Ten times as much, after a time that puts neighbours out of order; every fifth makes nothing. */
static TT_TASK(times_ten, (item *, it), (item *, ret), (bool, filter), (struct running *, run))
{
	int rc;

	/* All children of a map are on one worker. */
	run->now++;
	if (run->now > run->max)
		run->max = run->now;
	rc = tt_sleep(it->id % 3 == 0 ? TT_US(300) : TT_US(20));
	run->now--;
	if (rc < 0 || (filter && it->id % 5 == 0)) {
		item_drop(*it);
		return rc;
	}
	*ret = (item){ it->ledger, it->id * 10 };
	return 1;
}

static TT_TASK(map_ordered, (item_chan *, out), (item_chan *, in), (unsigned, n), (bool, filter), (struct running *, run))
{
	return tt_map(out, in, n, times_ten, filter, run);
}

static TT_TASK(map_unordered, (item_chan *, out), (item_chan *, in), (unsigned, n), (bool, filter), (struct running *, run))
{
	return tt_map_unordered(out, in, n, times_ten, filter, run);
}

static int map_sixty(item_chan *out, item_chan *in, struct ledger *l, unsigned n, bool ordered, bool filter, int *ids)
{
	struct running run = { 0, 0 };
	int count = 0, rc;
	item it;

	TT_GROUP(g);
	tt_go(&g, produce, in, l, 0, 60);
	if (ordered)
		tt_go(&g, map_ordered, out, in, n, filter, &run);
	else
		tt_go(&g, map_unordered, out, in, n, filter, &run);
	while ((rc = tt_recv(out, &it)) > 0) {
		ids[count++] = it.id;
		item_drop(it);
	}
	EXPECT_EQ(run.max, (int)n);
	return tt_group_end(&g, rc < 0 ? rc : count);
}

/* In order, n at a time: what comes out stands as what went in did, left-out ones aside. */
TT_TEST(map, keeps_the_order)
{
	/* law 8 */
	for (unsigned n = 1; n < 9; n += 3) {
		struct ledger l = { { 0 }, { 0 } };
		item_chan in, out;
		int ids[60];

		REQUIRE_OK(tt_chan_init(&in, 2));
		REQUIRE_OK(tt_chan_init(&out, 1));
		EXPECT_CODE(map_sixty(&out, &in, &l, n, true, n > 1, ids), n > 1 ? 48 : 60);
		for (int i = 0, id = 0; i < (n > 1 ? 48 : 60); i++, id++) {
			if (n > 1 && id % 5 == 0)
				id++;
			EXPECT_EQ(ids[i], id * 10);
		}
		EXPECT_EQ(GONE(&l), MADE(&l));
		tt_chan_fini(&in);
		tt_chan_fini(&out);
	}
}

/* Unordered: each once, and a slow one holds nobody back. */
TT_TEST(map, unordered_gives_each_once)
{
	char seen[60] = { 0 };
	struct ledger l = { { 0 }, { 0 } };
	item_chan in, out;
	bool overtaken = false;
	int ids[60];

	REQUIRE_OK(tt_chan_init(&in, 2));
	REQUIRE_OK(tt_chan_init(&out, 1));
	EXPECT_CODE(map_sixty(&out, &in, &l, 4, false, false, ids), 60);
	for (int i = 0; i < 60; i++) {
		EXPECT_EQ(seen[ids[i] / 10], 0);
		seen[ids[i] / 10] = 1;
		overtaken |= i > 0 && ids[i] < ids[i - 1];
	}
	EXPECT_TRUE(overtaken);
	EXPECT_EQ(GONE(&l), MADE(&l));
	tt_chan_fini(&in);
	tt_chan_fini(&out);
}

static TT_TASK(fails_at, (item *, it), (item *, ret), (int, id))
{
	if (it->id != id) {
		*ret = *it;
		return 1;
	}
	item_drop(*it);
	return tt_fail(TT_EPROTO, "item %d", id);
}

/* A failure ends the stage with its code; what it cannot do, it says; all items are accounted
 * for, in the output, in the input, or destroyed. */
TT_TEST(map, a_failure_ends_it)
{
	/* laws 3, 4, 8 */
	for (int ordered = 0; ordered < 2; ordered++) {
		struct ledger l = { { 0 }, { 0 } };
		item_chan in, out;

		REQUIRE_OK(tt_chan_init(&in, 20));
		REQUIRE_OK(tt_chan_init(&out, 20));
		EXPECT_OK(fill(&in, &l, 0, 20));
		tt_chan_close(&in);
		EXPECT_CODE(ordered ? tt_map(&out, &in, 3, fails_at, 7) : tt_map_unordered(&out, &in, 3, fails_at, 7), TT_EPROTO);
		EXPECT_CODE(tt_map(&out, &in, 0, fails_at, 7), TT_EINVAL);
		EXPECT_CODE(tt_map(&out, &in, 2, fails_at, -1), TT_ECLOSED);
		tt_chan_fini(&in);
		tt_chan_fini(&out);
		EXPECT_EQ(GONE(&l), MADE(&l));
	}
}

/* Without memory the stage fails, and nothing was taken. */
TT_TEST(map, without_memory)
{
	struct ledger l = { { 0 }, { 0 } };
	item_chan in, out;
	int rc;

	REQUIRE_OK(tt_chan_init(&in, 2));
	REQUIRE_OK(tt_chan_init(&out, 2));
	EXPECT_OK(fill(&in, &l, 0, 2));
	tt_test_fail_alloc_at(1);
	rc = tt_map(&out, &in, 3, fails_at, 7);
	tt_test_fail_nothing();
	EXPECT_CODE(rc, TT_ENOMEM);
	EXPECT_EQ(tt_chan_len(&in), 2u);
	tt_chan_fini(&in);
	tt_chan_fini(&out);
}

/* ---- conservation over a pipeline ---- */

struct pipe {
	struct ledger l;
	item_chan in[3], merged, paced, mapped;
	batch_chan batches;
	tt_rate rate;
};

static TT_TASK(pace, (struct pipe *, p)) { return tt_throttle(&p->paced, &p->merged, &p->rate); }
static TT_TASK(work, (struct pipe *, p), (struct running *, run))
{
	return tt_map(&p->mapped, &p->paced, 3, times_ten, true, run);
}

static TT_TASK(pack, (struct pipe *, p)) { return tt_batch(&p->batches, &p->mapped, TT_US(100)); }

static TT_TASK(unpack, (struct pipe *, p))
{
	batch b;
	int rc;

	while ((rc = tt_recv(&p->batches, &b)) > 0)
		batch_drop(b);
	return rc;
}

static int run_pipe(struct pipe *p, struct running *run)
{
	TT_GROUP(g);
	for (int i = 0; i < 3; i++)
		tt_go_with(&g, &anywhere, produce, &p->in[i], &p->l, 0, 20);
	tt_go_with(&g, &anywhere, merge_three, &p->merged, p->in);
	tt_go_with(&g, &anywhere, pace, p);
	tt_go_with(&g, &anywhere, work, p, run);
	tt_go_with(&g, &anywhere, pack, p);
	tt_go_with(&g, &anywhere, unpack, p);
	return tt_group_end(&g, 0);
}

/* A pipeline of all stages, cut short at any time: each item that was made ends exactly once. */
TT_TEST(stages, a_pipeline_conserves_its_items)
{
	/* laws 4, 5, 8 */
	int ended = 0;

	for (int k = 0; k < 12; k++) {
		struct pipe p = { .l = { { 0 }, { 0 } } };
		struct running run = { 0, 0 };
		int rc;

		for (size_t i = 0; i < 3; i++)
			REQUIRE_OK(tt_chan_init(&p.in[i], i));
		REQUIRE_OK(tt_chan_init(&p.merged, 1));
		REQUIRE_OK(tt_chan_init(&p.paced, 2));
		REQUIRE_OK(tt_chan_init(&p.mapped, 1));
		REQUIRE_OK(tt_chan_init(&p.batches, 1));
		tt_rate_init(&p.rate, 100, TT_MS(1), 10);
		rc = TT_WITHIN(k == 11 ? TT_SEC(100) : TT_US(150 * k), run_pipe(&p, &run));
		EXPECT_TRUE(rc == 0 || rc == TT_ETIMEDOUT);
		ended += rc == 0;
		for (int i = 0; i < 3; i++)
			tt_chan_fini(&p.in[i]);
		tt_chan_fini(&p.merged);
		tt_chan_fini(&p.paced);
		tt_chan_fini(&p.mapped);
		tt_chan_fini(&p.batches);
		tt_rate_fini(&p.rate);
		EXPECT_EQ(MADE(&p.l), GONE(&p.l));
	}
	EXPECT_GT(ended, 0);
}

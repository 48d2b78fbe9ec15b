/* SPDX-License-Identifier: MIT */
/*
 * torture_stream_test.c - the calls of the streams that may wait, cut short everywhere they
 * can be: by a cancel and by a deadline, at each checkpoint, each wait, each decided outcome
 * that was not seen yet.
 *
 * Conserved after every run: items (made = taken or destroyed, once), the room of every
 * channel, permits, tasks.
 *
 * test-on: sim2
 * test-timeout: 600
 */
#include "torture_kit.h"

typedef struct item {
	struct ledger *ledger;
	size_t size;
} item;

static void item_drop(item it)
{
	it.ledger->gone++;
}

static size_t item_size(item it)
{
	return it.size;
}

TT_CHAN_TYPE_SIZED_WITH(item_chan, item, item_size, item_drop);

typedef struct batch {
	size_t n;
	item items[2];
} batch;

static void batch_drop(batch b)
{
	for (size_t i = 0; i < b.n; i++)
		item_drop(b.items[i]);
}

TT_CHAN_TYPE_WITH(batch_chan, batch, batch_drop);

static item item_make(struct ledger *l, size_t size)
{
	l->made++;
	return (item){ l, size };
}

typedef int side_fn(struct ledger *l, item_chan *in, item_chan *out);

static TT_TASK(side, (side_fn *, fn), (struct ledger *, l), (item_chan *, in), (item_chan *, out))
{
	return fn(l, in, out);
}

static int take_all(struct ledger *l, item_chan *in, item_chan *out)
{
	item it;
	int rc;

	(void)l, (void)out;
	while ((rc = tt_recv(in, &it)) > 0)
		item_drop(it);
	return rc;
}

/* ---- slots ---- */

static int by_reserve(struct ledger *l, item_chan *in, item_chan *out)
{
	(void)in;
	TT_CLOSE_AT_END(out);
	for (int i = 0; i < 3; i++) {
		TT_SLOT(slot, out);
		item it;

		TT_TRY(tt_reserve(out, &slot));
		it = item_make(l, 1);
		tt_slot_send(&slot, &it);
	}
	return 0;
}

static int by_reserve_bytes(struct ledger *l, item_chan *in, item_chan *out)
{
	(void)in;
	TT_CLOSE_AT_END(out);
	for (size_t i = 0; i < 4; i++) {
		TT_SLOT(slot, out);
		item it;

		if (i % 2 == 0)
			TT_TRY(tt_reserve_bytes(out, 7, &slot));
		else
			TT_TRY(tt_select(TT_ON_RESERVE_BYTES(out, 3 * i, &slot)));
		if (i == 2)
			continue; /* dropped with its block */
		it = item_make(l, i);
		tt_slot_send(&slot, &it);
	}
	return 0;
}

static int two_sides(struct ledger *l, item_chan *ch, side_fn *put, bool twice)
{
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, side, put, l, NULL, ch);
	if (twice)
		tt_go_with(&g, &anywhere, side, put, l, NULL, ch);
	tt_go_with(&g, &anywhere, side, take_all, l, ch, NULL);
	return tt_group_end(&g, 0);
}

static TT_TASK(reserves, (struct ledger *, l))
{
	item_chan ch;
	int rc;

	TT_TRY(tt_chan_init(&ch, 1));
	rc = two_sides(l, &ch, by_reserve, false);
	tt_chan_fini(&ch); /* aborts if a slot is out */
	return rc;
}

static TT_TASK(reserves_bytes, (struct ledger *, l))
{
	item_chan ch;
	int rc;

	TT_TRY(tt_chan_init_bytes(&ch, 2, 10));
	rc = two_sides(l, &ch, by_reserve_bytes, false);
	tt_chan_fini(&ch);
	return rc;
}

TORTURE(tt_reserve, reserves)
TORTURE(tt_reserve_bytes, reserves_bytes)

/* ---- broadcast, watch ---- */

TT_BROADCAST_TYPE(news, int);
TT_WATCH_TYPE(int_watch, int);

static TT_TASK(listens, (news_sub, sub), (struct ledger *, l))
{
	int got, rc, next = 0;

	(void)l;
	while ((rc = tt_broadcast_recv(&sub, &got, NULL)) > 0)
		if (got != next++)
			return tt_fail(TT_EIO, "an item was lost or doubled");
	return rc;
}

static TT_TASK(broadcasts, (struct ledger *, l))
{
	news n;
	news_sub sub;
	int rc;

	TT_TRY(tt_broadcast_init(&n, 8));
	TT_DEFER(tt_broadcast_fini, &n.tt_raw);
	tt_subscribe(&n, &sub);
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, listens, sub, l);
	tt_go_with(&g, &anywhere, listens, sub, l);
	for (int i = 0; i < 3; i++) {
		TT_TRY_IN(&g, tt_broadcast_send(&n, &i));
		TT_TRY_IN(&g, tt_yield());
	}
	rc = tt_sleep(TT_MS(1));
	tt_broadcast_close(&n);
	return tt_group_finish(&g, rc);
}

static TT_TASK(follows, (int_watch *, w))
{
	int got = 0, last = 0, rc;
	uint64_t seen = 0;

	while ((rc = tt_watch_changed(w, &seen, &got)) > 0) {
		if (got <= last)
			return tt_fail(TT_EIO, "an older value, or the same");
		last = got;
	}
	return rc;
}

static TT_TASK(watches, (struct ledger *, l))
{
	int_watch w;
	int rc = 0;

	(void)l;
	tt_watch_init(&w, &(int){ 1 });
	TT_DEFER(tt_watch_fini, &w.tt_raw);
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, follows, &w);
	tt_go_with(&g, &anywhere, follows, &w);
	for (int i = 2; i < 5 && rc >= 0; i++) {
		TT_TRY_IN(&g, tt_watch_set(&w, &i));
		rc = tt_yield();
	}
	tt_watch_close(&w);
	return tt_group_finish(&g, rc);
}

TORTURE(tt_broadcast_recv, broadcasts)
TORTURE(tt_watch_changed, watches)

/* ---- rate, retry ---- */

static TT_TASK(takes_three, (tt_rate *, r), (struct ledger *, l))
{
	(void)l;
	for (uint64_t n = 1; n <= 3; n++)
		TT_TRY(tt_rate_acquire(r, n));
	return 0;
}

static TT_TASK(limits, (struct ledger *, l))
{
	tt_rate r;

	tt_rate_init(&r, 1, TT_MS(1), 3);
	TT_DEFER(tt_rate_fini, &r);
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, takes_three, &r, l);
	tt_go_with(&g, &anywhere, takes_three, &r, l);
	return tt_group_end(&g, 0);
}

static TT_TASK(retries, (struct ledger *, l))
{
	tt_retry r = tt_retry_jitter(TT_US(10), TT_MS(1), 4);
	int rc;

	(void)l;
	do
		rc = tt_retry_wait(&r, TT_EIO);
	while (rc == 0);
	return rc == TT_EIO ? 0 : rc; /* no attempt left, or no time for one */
}

TORTURE(tt_rate_acquire, limits)
TORTURE(tt_retry_wait, retries)

/* ---- stages ---- */

static int make_items(struct ledger *l, item_chan *in, item_chan *out)
{
	(void)in;
	TT_CLOSE_AT_END(out);
	for (size_t i = 0; i < 4; i++) {
		item it = item_make(l, i);

		TT_TRY(tt_give(out, &it));
	}
	return 0;
}

static int throttled(struct ledger *l, item_chan *in, item_chan *out)
{
	tt_rate r;
	int rc;

	(void)l;
	tt_rate_init(&r, 1, TT_US(100), 1);
	rc = tt_throttle(out, in, &r);
	tt_rate_fini(&r);
	return rc;
}

static int merged(struct ledger *l, item_chan *in, item_chan *out)
{
	item_chan *const all[2] = { in, in + 1 };

	(void)l;
	return tt_merge(out, all, 2);
}

/* The function owns its item. */
static TT_TASK(pass, (item *, it), (item *, ret), (struct ledger *, l))
{
	int rc = tt_sleep(TT_US(50));

	(void)l;
	if (rc < 0 || it->size == 2) {
		item_drop(*it);
		return rc;
	}
	*ret = *it;
	return 1;
}

static int mapped(struct ledger *l, item_chan *in, item_chan *out)
{
	return tt_map(out, in, 2, pass, l);
}

static int mapped_unordered(struct ledger *l, item_chan *in, item_chan *out)
{
	return tt_map_unordered(out, in, 2, pass, l);
}

static int run_stage(struct ledger *l, side_fn *stage, item_chan *in, item_chan *out)
{
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, side, make_items, l, NULL, &in[0]);
	tt_go_with(&g, &anywhere, side, make_items, l, NULL, &in[1]);
	tt_go_with(&g, &anywhere, side, stage, l, in, out);
	if (stage != merged)
		tt_go_with(&g, &anywhere, side, take_all, l, &in[1], NULL);
	tt_go_with(&g, &anywhere, side, take_all, l, out, NULL);
	return tt_group_end(&g, 0);
}

static int with_channels(struct ledger *l, side_fn *stage)
{
	item_chan in[2], out;
	int rc;

	TT_TRY(tt_chan_init(&in[0], 1));
	rc = tt_chan_init(&in[1], 0);
	if (rc == 0)
		rc = tt_chan_init(&out, 1);
	if (rc == 0)
		rc = run_stage(l, stage, in, &out);
	tt_chan_fini(&in[0]);
	tt_chan_fini(&in[1]);
	tt_chan_fini(&out);
	return rc;
}

static TT_TASK(throttles, (struct ledger *, l)) { return with_channels(l, throttled); }
static TT_TASK(merges, (struct ledger *, l)) { return with_channels(l, merged); }
static TT_TASK(maps, (struct ledger *, l)) { return with_channels(l, mapped); }
static TT_TASK(maps_unordered, (struct ledger *, l)) { return with_channels(l, mapped_unordered); }

static TT_TASK(unpacks, (batch_chan *, in))
{
	batch b;
	int rc;

	while ((rc = tt_recv(in, &b)) > 0)
		batch_drop(b);
	return rc;
}

static TT_TASK(packs, (batch_chan *, out), (item_chan *, in))
{
	return tt_batch(out, in, TT_US(50));
}

static TT_TASK(batches, (struct ledger *, l))
{
	batch_chan out;
	item_chan in;

	TT_TRY(tt_chan_init(&in, 1));
	TT_DEFER(tt_chan_fini, &in.tt_raw);
	TT_TRY(tt_chan_init(&out, 1));
	TT_DEFER(tt_chan_fini, &out.tt_raw);
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, side, make_items, l, NULL, &in);
	tt_go_with(&g, &anywhere, packs, &out, &in);
	tt_go_with(&g, &anywhere, unpacks, &out);
	return tt_group_end(&g, 0);
}

TORTURE(tt_throttle, throttles)
TORTURE(tt_merge, merges)
TORTURE(tt_map, maps)
TORTURE(tt_map_unordered, maps_unordered)
TORTURE(tt_batch, batches)

TT_TEST_MAIN()

/* SPDX-License-Identifier: MIT */
/*
 * stage.c - throttle, batch, merge: from channel to channel.
 *
 * Each first gets a slot of its output and then takes from its input, so that between the
 * two there is no wait in which a cancel could lose an item: what was taken is passed on.
 *
 * Invariants  An item that is not in the output is in its input.
 *             The stage is a producer of its output as long as it runs.
 * Rejected    Taking first and sending then: a cancelled stage would have to destroy what is
 *             in its hand.
 */
#include <tutti/select.h>
#include <tutti/stream.h>

#include <string.h>

#include "base/panic.h"
#include "base/sometimes.h"
#include "env/env.h"
#include "sched/worker.h"
#include "wait/wait.h"

/* Room for one item in the stage's hand: on its stack when it fits. */
struct hand {
	_Alignas(16) unsigned char small[512];
	void *item;
};

static int hand_init(struct hand *h, size_t size)
{
	h->item = size <= sizeof(h->small) ? h->small : tti_env_alloc(size);
	return h->item != NULL ? 0 : TT_ENOMEM;
}

static void hand_fini(struct hand *h)
{
	if (h->item != h->small)
		tti_env_free(h->item);
}

/* ---- throttle ---- */

/* 1: an item was passed on; 0: the input ended. */
static int throttle_one(tt_chan *out, tt_chan *in, tt_rate *r, void *item)
{
	TT_SLOT(slot, out);
	int rc;

	TT_TRY(tt_reserve(out, &slot));
	rc = tt_recv(in, item);
	if (rc <= 0)
		return rc;
	rc = tt_rate_acquire(r, 1);
	TTI_SOMETIMES(rc < 0, "an item is passed on although its pace is cancelled");
	/* Cancelled or not: it was taken, so it is passed on. */
	tt_slot_send(&slot, item);
	return rc < 0 ? rc : 1;
}

int (tt_throttle)(tt_chan *out, tt_chan *in, tt_rate *r, size_t elem_size)
{
	struct hand h;
	int rc;

	TT_CLOSE_AT_END(out);
	TT_TRY(hand_init(&h, elem_size));
	do
		rc = throttle_one(out, in, r, h.item);
	while (rc > 0);
	hand_fini(&h);
	return rc;
}

/* ---- batch ---- */

/* What a batch looks like: its bytes, where its count and its items stand, how many fit. */
struct shape {
	size_t size, count_at, items_at, max;
};

static int batch_one(tt_chan *out, tt_chan *in, int64_t linger, const struct shape *shape, unsigned char *batch)
{
	TT_SLOT(slot, out);
	size_t count;
	int n;

	TT_TRY(tt_reserve(out, &slot));
	n = tt_recv_many(in, batch + shape->items_at, shape->max, linger);
	if (n <= 0)
		return n;
	count = (size_t)n;
	memcpy(batch + shape->count_at, &count, sizeof(count));
	tt_slot_send(&slot, batch);
	return 1;
}

int (tt_batch)(tt_chan *out, tt_chan *in, int64_t linger, size_t size, size_t count_at, size_t items_at, size_t max)
{
	const struct shape shape = { .size = size, .count_at = count_at, .items_at = items_at, .max = max };
	struct hand h;
	int rc;

	TT_CLOSE_AT_END(out);
	TT_TRY(hand_init(&h, size));
	memset(h.item, 0, size);
	do
		rc = batch_one(out, in, linger, &shape, h.item);
	while (rc > 0);
	hand_fini(&h);
	return rc;
}

/* ---- merge ---- */

/* 1: an item was passed on; 0: all inputs ended. */
static int merge_one(tt_chan *out, tt_arm *arms, unsigned n, unsigned *open)
{
	TT_SLOT(slot, out);
	int arm;

	TT_TRY(tt_reserve(out, &slot));
	while (*open > 0) {
		arm = tt_select_(arms, n, TT_SELECT_FAIR_, TT_SITE);
		if (arm < 0)
			return arm;
		if (*arms[arm].rc > 0) {
			tt_slot_send(&slot, arms[arm].value);
			return 1;
		}
		arms[arm].ops = NULL; /* this input ended */
		--*open;
		TTI_SOMETIMES(*open > 0, "one of several inputs ends");
	}
	return 0;
}

int (tt_merge)(tt_chan *out, const void *in, unsigned n, size_t elem_size)
{
	tt_arm arms[TT_MERGE_MAX];
	unsigned open = n;
	struct hand h;
	int rc, ended;

	TT_CLOSE_AT_END(out);
	if (n == 0 || n > TT_MERGE_MAX)
		return TT_EINVAL;
	TT_TRY(hand_init(&h, elem_size));
	for (unsigned i = 0; i < n; i++) {
		tt_chan *ch;

		/* An array of pointers to a typed channel: read as what it is, byte by byte. */
		memcpy(&ch, (const char *)in + i * sizeof(ch), sizeof(ch));
		arms[i] = tt_on_recv_(ch, h.item, &ended);
	}
	do
		rc = merge_one(out, arms, n, &open);
	while (rc > 0);
	hand_fini(&h);
	return rc;
}

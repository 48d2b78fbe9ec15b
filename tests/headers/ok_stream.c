/* SPDX-License-Identifier: MIT */
/*
 * Slots, sized channels, broadcast, watch, stages, rate and retry, in every compiler.
 */
#include <tutti/tutti.h>

struct line {
	size_t len;
	char *text;
};

struct lines {
	size_t n;
	struct line items[16];
};

static size_t line_size(struct line l)
{
	return l.len;
}

static void line_free(struct line l)
{
	(void)l;
}

TT_CHAN_TYPE_SIZED(line_chan, struct line, line_size);
TT_CHAN_TYPE_SIZED_WITH(owned_lines, struct line, line_size, line_free);
TT_CHAN_TYPE(lines_chan, struct lines);
TT_CHAN_TYPE(int_chan, int);
TT_BROADCAST_TYPE(news, struct line);
TT_WATCH_TYPE(limit_watch, int);

int slots(line_chan *ch, owned_lines *owned, struct line *l, const struct line *cl);
int slots(line_chan *ch, owned_lines *owned, struct line *l, const struct line *cl)
{
	TT_SLOT(slot, ch);
	TT_SLOT(other, owned);
	int rc = 0;

	TT_TRY(tt_chan_init_bytes(ch, 8, (size_t)1 << 20));
	TT_TRY(tt_chan_init_bytes(owned, 8, 4096));
	TT_TRY(tt_chan_init(owned, 8));
	TT_TRY(tt_reserve(ch, &slot));
	tt_slot_send(&slot, l);
	TT_TRY(tt_reserve_bytes(ch, 80, &slot));
	tt_slot_send(&slot, cl);
	TT_TRY(tt_try_reserve(owned, &other));
	tt_slot_drop(&other);
	TT_TRY(tt_try_reserve_bytes(owned, l->len, &other));
	TT_TRY(tt_select(TT_ON_RESERVE(ch, &slot), TT_ON_RESERVE_RC(owned, &other, &rc),
	                 TT_ON_RESERVE_BYTES(owned, 5, &other)));
	return tt_chan_drain(ch) + tt_chan_drain(owned) > 0;
}

int untyped_slots(tt_chan *raw, line_chan *ch, void *p);
int untyped_slots(tt_chan *raw, line_chan *ch, void *p)
{
	TT_SLOT(slot, raw);
	tt_slot bare = { NULL, 0 };

	TT_TRY(tt_reserve(raw, &slot));
	tt_slot_send(&slot, p);
	TT_TRY((tt_reserve)(&ch->tt_raw, &bare));
	(tt_slot_send)(&bare, p);
	TT_TRY(tt_reserve(ch, &bare));
	tt_slot_drop(&bare);
	return 0;
}

int hears(news *n, struct line *l, const struct line *cl);
int hears(news *n, struct line *l, const struct line *cl)
{
	uint64_t missed = 0;
	news_sub sub;
	int rc = 0;

	TT_TRY(tt_broadcast_init(n, 8));
	tt_subscribe(n, &sub);
	TT_TRY(tt_broadcast_send(n, l));
	TT_TRY(tt_broadcast_send(n, cl));
	TT_TRY(tt_broadcast_recv(&sub, l, &missed));
	TT_TRY(tt_broadcast_try_recv(&sub, l, NULL));
	TT_TRY(tt_select(TT_ON_BROADCAST(&sub, l), TT_ON_BROADCAST_RC(&sub, l, &rc)));
	tt_broadcast_close(n);
	missed += tt_broadcast_missed(&sub);
	tt_broadcast_fini(n);
	return missed > 0;
}

int follows(limit_watch *w, const int *first);
int follows(limit_watch *w, const int *first)
{
	uint64_t seen = 0;
	int limit = 1, rc = 0;

	tt_watch_init(w, first);
	tt_watch_init(w, &limit);
	TT_TRY(tt_watch_set(w, &limit));
	TT_TRY(tt_watch_set(w, first));
	seen = tt_watch_get(w, &limit);
	TT_TRY(tt_watch_changed(w, &seen, &limit));
	TT_TRY(tt_select(TT_ON_WATCH(w, &seen, &limit), TT_ON_WATCH_RC(w, &seen, &limit, &rc)));
	tt_watch_close(w);
	tt_watch_fini(w);
	return 0;
}

static TT_TASK(length, (struct line *, in), (int *, ret_len), (int, least))
{
	*ret_len = (int)in->len;
	return *ret_len >= least;
}

static TT_TASK(same, (struct line *, in), (struct line *, out))
{
	*out = *in;
	return 1;
}

int stages(line_chan *in[3], line_chan *out, lines_chan *batches, int_chan *lengths, tt_rate *r);
int stages(line_chan *in[3], line_chan *out, lines_chan *batches, int_chan *lengths, tt_rate *r)
{
	tt_retry retry = tt_retry_jitter(TT_MS(1), TT_SEC(1), 3);

	tt_rate_init(r, 10, TT_SEC(1), 5);
	TT_TRY(tt_rate_acquire(r, 1));
	TT_TRY(tt_rate_try_acquire(r, 1));
	TT_TRY(tt_merge(out, in, 3));
	TT_TRY(tt_throttle(out, in[0], r));
	TT_TRY(tt_batch(batches, out, TT_MS(5)));
	TT_TRY(tt_map(lengths, in[0], 4, length, 2));
	TT_TRY(tt_map_unordered(out, in[0], 4, same));
	TT_TRY(tt_retry_wait(&retry, TT_EIO));
	tt_rate_fini(r);
	return 0;
}

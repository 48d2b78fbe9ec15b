/* SPDX-License-Identifier: MIT */
/*
 * explore_stream_test.c - slots, broadcast and watch over two workers, under every schedule
 * that leaves the usual one at most so many times: what is checked holds in all of them.
 *
 * test-on: sim2
 * test-timeout: 600
 */
#include <tutti/testing.h>
#include <tutti/tutti.h>

#include "explore_kit.h"

TT_CHAN_TYPE(int_chan, int);
TT_BROADCAST_TYPE(news, int);
TT_WATCH_TYPE(int_watch, int);

/* ---- a slot against a close: what was sent into it is received, and then comes the end ---- */

struct slots {
	int_chan ch;
	int sent;
};

static TT_TASK(reserves_and_sends, (struct slots *, s), (int, id))
{
	int rc;

	TT_SLOT(slot, &s->ch);
	rc = TT_WITHIN(TT_US(100), tt_reserve(&s->ch, &slot));
	if (rc < 0)
		return rc == TT_ECLOSED || rc == TT_ETIMEDOUT ? 0 : rc;
	TT_IGNORE(tt_yield());
	if (id == 2)
		return 0; /* dropped */
	tt_slot_send(&slot, &id);
	s->sent++;
	return 0;
}

static TT_TASK(closes, (struct slots *, s))
{
	TT_TRY(tt_yield());
	tt_chan_close(&s->ch);
	return 0;
}

static TT_TASK(slots_against_a_close)
{
	struct slots s = { .sent = 0 };
	int rc, x, got = 0;

	TT_TRY(tt_chan_init(&s.ch, 1));
	TT_DEFER(tt_chan_fini, &s.ch.tt_raw);
	TT_GROUP(g);
	tt_go_with(&g, &on_1, reserves_and_sends, &s, 1);
	tt_go_with(&g, &on_0, reserves_and_sends, &s, 2);
	tt_go_with(&g, &on_1, reserves_and_sends, &s, 3);
	tt_go_with(&g, &on_1, closes, &s);
	while ((rc = tt_recv(&s.ch, &x)) > 0)
		got++;
	if (rc == 0)
		rc = tt_group_drain(&g);
	if (rc == 0 && got != s.sent)
		rc = TT_EIO;
	return tt_group_end(&g, rc);
}

EXPLORE(slots_against_a_close, 5, 500)

/* ---- broadcast: each subscriber sees all, or is told how many it missed ---- */

static TT_TASK(hears_three, (news_sub, sub))
{
	int x = 0, next = 0, rc;
	uint64_t missed;

	while ((rc = tt_broadcast_recv(&sub, &x, &missed)) != 0) {
		if (rc == TT_EOVERFLOW)
			next += (int)missed;
		else if (rc < 0)
			return rc;
		else if (x != next++)
			return TT_EIO;
	}
	return next == 3 ? 0 : TT_EIO;
}

static TT_TASK(everybody_hears)
{
	news n;
	news_sub sub;
	int rc = 0;

	TT_TRY(tt_broadcast_init(&n, 1));
	TT_DEFER(tt_broadcast_fini, &n.tt_raw);
	tt_subscribe(&n, &sub);
	TT_GROUP(g);
	tt_go_with(&g, &on_0, hears_three, sub);
	tt_go_with(&g, &on_1, hears_three, sub);
	for (int i = 0; i < 3 && rc == 0; i++) {
		rc = tt_broadcast_send(&n, &i);
		if (rc == 0)
			rc = tt_yield();
	}
	tt_broadcast_close(&n);
	return tt_group_finish(&g, rc);
}

EXPLORE(everybody_hears, 5, 500)

/* ---- watch: always forward, and the last value is seen ---- */

static TT_TASK(sees_the_last, (int_watch *, w))
{
	uint64_t seen = 0;
	int x = 0, last = 0, rc;

	while ((rc = tt_watch_changed(w, &seen, &x)) > 0) {
		if (x <= last)
			return TT_EIO;
		last = x;
	}
	return rc < 0 ? rc : last == 3 ? 0 : TT_EIO;
}

static TT_TASK(the_last_is_seen)
{
	int_watch w;
	int rc = 0;

	tt_watch_init(&w, &(int){ 1 });
	TT_DEFER(tt_watch_fini, &w.tt_raw);
	TT_GROUP(g);
	tt_go_with(&g, &on_0, sees_the_last, &w);
	tt_go_with(&g, &on_1, sees_the_last, &w);
	for (int i = 2; i <= 3 && rc == 0; i++) {
		rc = tt_watch_set(&w, &i);
		if (rc == 0)
			rc = tt_yield();
	}
	tt_watch_close(&w);
	return tt_group_finish(&g, rc);
}

EXPLORE(the_last_is_seen, 5, 500)

TT_TEST_MAIN()

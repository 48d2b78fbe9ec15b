/* SPDX-License-Identifier: MIT */
/*
 * threads_test.c - slots, broadcast and watch between plain threads, without any runtime: a
 * call that waits blocks the thread.
 */
#include <pthread.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

TT_TEST_MAIN()

TT_CHAN_TYPE(int_chan, int);
TT_BROADCAST_TYPE(news, int);
TT_WATCH_TYPE(int_watch, int);

#define ITEMS 2000

static void *reserve_all(void *arg)
{
	int_chan *ch = arg;

	for (int i = 0; i < ITEMS; i++) {
		TT_SLOT(slot, ch);

		EXPECT_CODE(tt_reserve(ch, &slot), 0);
		if (i % 7 != 0) {
			tt_slot_send(&slot, &i);
			continue;
		}
		tt_slot_drop(&slot);
		EXPECT_CODE(tt_send(ch, &i), 0);
	}
	tt_chan_close(ch);
	return NULL;
}

/* A thread reserves and sends, another receives: all, in order. */
TT_TEST_PLAIN(threads, slots)
{
	pthread_t other;
	int got, next = 0, rc;
	int_chan ch;

	REQUIRE_OK(tt_chan_init(&ch, 2));
	REQUIRE_EQ(pthread_create(&other, NULL, reserve_all, &ch), 0);
	while ((rc = tt_recv(&ch, &got)) == 1)
		EXPECT_EQ(got, next++);
	EXPECT_EQ(rc, 0);
	EXPECT_EQ(next, ITEMS);
	pthread_join(other, NULL);
	tt_chan_fini(&ch);
}

static void *hear_all(void *arg)
{
	news_sub *sub = arg;
	uint64_t missed = 0;
	int got = 0, next = 0, rc;

	while ((rc = tt_broadcast_recv(sub, &got, &missed)) != 0) {
		if (rc == TT_EOVERFLOW) {
			next += (int)missed;
			continue;
		}
		EXPECT_EQ(rc, 1);
		EXPECT_EQ(got, next++);
	}
	EXPECT_EQ(next, ITEMS);
	return NULL;
}

/* Two threads hear a third, or are told what they missed. */
TT_TEST_PLAIN(threads, broadcast)
{
	pthread_t others[2];
	news_sub subs[2];
	news n;

	REQUIRE_OK(tt_broadcast_init(&n, 4));
	for (int i = 0; i < 2; i++) {
		tt_subscribe(&n, &subs[i]);
		REQUIRE_EQ(pthread_create(&others[i], NULL, hear_all, &subs[i]), 0);
	}
	for (int i = 0; i < ITEMS; i++)
		EXPECT_CODE(tt_broadcast_send(&n, &i), 0);
	tt_broadcast_close(&n);
	for (int i = 0; i < 2; i++)
		pthread_join(others[i], NULL);
	tt_broadcast_fini(&n);
}

static void *follow(void *arg)
{
	int_watch *w = arg;
	uint64_t seen = 0;
	int got = 0, last = 0;

	while (tt_watch_changed(w, &seen, &got) > 0) {
		EXPECT_GT(got, last);
		last = got;
	}
	EXPECT_EQ(last, ITEMS);
	return NULL;
}

/* A thread follows what another sets, forward and up to the last. */
TT_TEST_PLAIN(threads, watch)
{
	pthread_t other;
	int_watch w;

	tt_watch_init(&w, &(int){ 1 });
	REQUIRE_EQ(pthread_create(&other, NULL, follow, &w), 0);
	for (int i = 2; i <= ITEMS; i++)
		EXPECT_CODE(tt_watch_set(&w, &i), 0);
	tt_watch_close(&w);
	pthread_join(other, NULL);
	tt_watch_fini(&w);
}

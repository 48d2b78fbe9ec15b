/* SPDX-License-Identifier: MIT */
/*
 * channel_test.c - channels: order, waiting, closing, many items at once; that nothing is
 * lost or doubled whatever is cancelled; and misuse.
 */
#include <string.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

TT_TEST_MAIN()

TT_CHAN_TYPE(int_chan, int);

static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };
static const tt_child_options nearby = { .worker = TT_WORKER_HERE };

/* ---- helpers ---- */

static TT_TASK(send_one, (int_chan *, ch), (int, v), (int *, ret_rc))
{
	*ret_rc = tt_send(ch, &v);
	return 0;
}

static TT_TASK(recv_one, (int_chan *, ch), (int *, ret_v), (int *, ret_rc))
{
	*ret_rc = tt_recv(ch, ret_v);
	return 0;
}

static TT_TASK(send_one_cancellable, (int_chan *, ch), (int, v), (tt_canceller **, ret_c), (int *, ret_rc))
{
	TT_SCOPE(s, TT_NEVER);
	*ret_c = tt_scope_canceller(&s);
	*ret_rc = tt_send(ch, &v);
	return tt_scope_end(&s, 0);
}

static TT_TASK(recv_one_cancellable, (int_chan *, ch), (int *, ret_v), (tt_canceller **, ret_c), (int *, ret_rc))
{
	TT_SCOPE(s, TT_NEVER);
	*ret_c = tt_scope_canceller(&s);
	*ret_rc = tt_recv(ch, ret_v);
	return tt_scope_end(&s, 0);
}

static void cancel_and_put(tt_canceller *c)
{
	tt_cancel(c);
	tt_canceller_put(c);
}

static uint64_t next_random(uint64_t *state)
{
	/* xorshift64 (Marsaglia, 2003). */
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static uint64_t random_of(unsigned id)
{
	return (tt_test_seed() + 1) * UINT64_C(0x9e3779b97f4a7c15) + id * UINT64_C(0xbf58476d1ce4e5b9) + 1;
}

/* ---- one task, no waiting ---- */

/* Items come out in the order they went in, also around the end of the ring. */
TT_TEST(channel, keeps_order_around_the_ring)
{
	int_chan ch;
	int in = 0, out = 0, got = -1;

	REQUIRE_OK(tt_chan_init(&ch, 3));
	for (int round = 0; round < 20; round++) {
		for (int n = 1 + round % 3; n > 0; n--, in++)
			EXPECT_CODE(tt_send(&ch, &in), 0);
		EXPECT_EQ(tt_chan_len(&ch), (size_t)(in - out));
		for (; out < in; out++) {
			EXPECT_EQ(tt_recv(&ch, &got), 1);
			EXPECT_EQ(got, out);
		}
	}
	EXPECT_EQ(tt_chan_len(&ch), 0u);
	tt_chan_fini(&ch);
}

/* The try forms take effect at once or say -EAGAIN, and touch no output then. */
TT_TEST(channel, try_forms)
{
	int_chan ch;
	int got = -1, buf[4] = { -1, -1, -1, -1 };

	REQUIRE_OK(tt_chan_init(&ch, 2));
	EXPECT_CODE(tt_try_recv(&ch, &got), TT_EAGAIN);
	EXPECT_CODE(tt_try_recv_many(&ch, buf, 4), TT_EAGAIN);
	EXPECT_EQ(got, -1);
	EXPECT_EQ(buf[0], -1);
	EXPECT_CODE(tt_try_send(&ch, &(int){ 1 }), 0);
	EXPECT_CODE(tt_try_send(&ch, &(int){ 2 }), 0);
	EXPECT_CODE(tt_try_send(&ch, &(int){ 3 }), TT_EAGAIN);
	EXPECT_EQ(tt_try_recv(&ch, &got), 1);
	EXPECT_EQ(got, 1);
	tt_chan_close(&ch);
	EXPECT_CODE(tt_try_send(&ch, &(int){ 4 }), TT_ECLOSED);
	EXPECT_EQ(tt_try_recv(&ch, &got), 1);
	EXPECT_EQ(got, 2);
	EXPECT_EQ(tt_try_recv(&ch, &got), 0);
	EXPECT_EQ(tt_try_recv_many(&ch, buf, 4), 0);
	EXPECT_EQ(got, 2);
	tt_chan_fini(&ch);
}

/* tt_try_recv_many takes what is there, up to max, in order. */
TT_TEST(channel, try_recv_many_takes_up_to_max)
{
	int_chan ch;
	int buf[8] = { 0 };

	REQUIRE_OK(tt_chan_init(&ch, 5));
	for (int i = 1; i <= 5; i++)
		EXPECT_CODE(tt_try_send(&ch, &i), 0);
	EXPECT_EQ(tt_try_recv_many(&ch, buf, 3), 3);
	EXPECT_MEM_EQ(buf, ((int[]){ 1, 2, 3 }), sizeof(int[3]));
	EXPECT_EQ(buf[3], 0);
	EXPECT_EQ(tt_try_recv_many(&ch, buf, 8), 2);
	EXPECT_MEM_EQ(buf, ((int[]){ 4, 5 }), sizeof(int[2]));
	tt_chan_fini(&ch);
}

struct wide {
	char text[37];
};
TT_CHAN_TYPE(wide_chan, struct wide);

/* An item is copied whole, whatever its size. */
TT_TEST(channel, items_of_an_odd_size)
{
	struct wide in, out;
	wide_chan ch;

	REQUIRE_OK(tt_chan_init(&ch, 2));
	for (int i = 0; i < 5; i++) {
		memset(&in, 'a' + i, sizeof(in));
		memset(&out, 0, sizeof(out));
		EXPECT_CODE(tt_send(&ch, &in), 0);
		EXPECT_EQ(tt_recv(&ch, &out), 1);
		EXPECT_MEM_EQ(&in, &out, sizeof(in));
	}
	tt_chan_fini(&ch);
}

/* A capacity whose size overflows is refused, and such a channel needs no fini but may have
 * one. */
TT_TEST(channel, init_refuses_what_overflows)
{
	wide_chan ch;

	memset(&ch, 0, sizeof(ch));
	EXPECT_CODE(tt_chan_init(&ch, SIZE_MAX / 2), TT_EINVAL);
	tt_chan_fini(&ch);
	tt_chan_fini((wide_chan *)NULL);
}

/* No memory for the ring: -ENOMEM, and nothing is left to undo. */
TT_TEST(channel, init_without_memory)
{
	int_chan ch;
	int rc;

	memset(&ch, 0, sizeof(ch));
	tt_test_fail_alloc_at(1);
	rc = tt_chan_init(&ch, 4);
	tt_test_fail_nothing();
	EXPECT_CODE(rc, TT_ENOMEM);
	tt_chan_fini(&ch);
}

/* ---- waiting ---- */

static int five_receivers(int_chan *ch, int *got, int *rc)
{
	TT_GROUP(g);
	for (int i = 0; i < 5; i++) {
		tt_go_with(&g, &anywhere, recv_one, ch, &got[i], &rc[i]);
		TT_TRY_IN(&g, tt_test_wait_all_parked());
	}
	for (int i = 0; i < 5; i++)
		TT_TRY_IN(&g, tt_try_send(ch, &i));
	return tt_group_end(&g, 0);
}

/* Waiting receivers are served in the order they came, whichever worker they are on; a try
 * send serves them too, even through a rendezvous. */
TT_TEST(channel, receivers_are_served_in_order)
{
	/* law 5 */
	for (size_t capacity = 0; capacity < 3; capacity++) {
		int got[5] = { -1, -1, -1, -1, -1 }, rc[5] = { 0 };
		int_chan ch;

		REQUIRE_OK(tt_chan_init(&ch, capacity));
		EXPECT_CODE(five_receivers(&ch, got, rc), 0);
		for (int i = 0; i < 5; i++) {
			EXPECT_EQ(rc[i], 1);
			EXPECT_EQ(got[i], i);
		}
		tt_chan_fini(&ch);
	}
}

static int five_senders(int_chan *ch, size_t capacity, int *rc)
{
	int got = -1;

	TT_GROUP(g);
	for (int i = 0; i < (int)capacity; i++)
		TT_TRY_IN(&g, tt_try_send(ch, &i));
	for (int i = 0; i < 5; i++) {
		tt_go_with(&g, &anywhere, send_one, ch, (int)capacity + i, &rc[i]);
		TT_TRY_IN(&g, tt_test_wait_all_parked());
	}
	for (int i = 0; i < (int)capacity + 5; i++) {
		EXPECT_EQ(tt_try_recv(ch, &got), 1);
		EXPECT_EQ(got, i);
	}
	EXPECT_CODE(tt_try_recv(ch, &got), TT_EAGAIN);
	return tt_group_end(&g, 0);
}

/* Waiting senders are served in order, behind what is in the ring: items keep their order
 * whether their senders had to wait or not. */
TT_TEST(channel, senders_are_served_in_order)
{
	/* law 5 */
	for (size_t capacity = 0; capacity < 4; capacity++) {
		int rc[5] = { -1, -1, -1, -1, -1 };
		int_chan ch;

		REQUIRE_OK(tt_chan_init(&ch, capacity));
		EXPECT_CODE(five_senders(&ch, capacity, rc), 0);
		for (int i = 0; i < 5; i++)
			EXPECT_CODE(rc[i], 0);
		tt_chan_fini(&ch);
	}
}

static int meet(int_chan *ch)
{
	int rc = 1, got = -1;

	TT_GROUP(g);
	EXPECT_CODE(tt_try_send(ch, &(int){ 3 }), TT_EAGAIN);
	tt_go_with(&g, &anywhere, send_one, ch, 7, &rc);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	EXPECT_EQ(rc, 1);
	EXPECT_EQ(tt_chan_len(ch), 0u);
	EXPECT_EQ(tt_recv(ch, &got), 1);
	EXPECT_EQ(got, 7);
	TT_TRY_IN(&g, tt_group_drain(&g));
	EXPECT_EQ(rc, 0);
	return tt_group_end(&g, 0);
}

/* A channel of capacity 0 holds nothing: a send ends only when a receiver took the item. */
TT_TEST(channel, capacity_0_is_a_rendezvous)
{
	/* law 5 */
	int_chan ch;

	REQUIRE_OK(tt_chan_init(&ch, 0));
	EXPECT_CODE(meet(&ch), 0);
	tt_chan_fini(&ch);
}

static TT_TASK(send_range, (int_chan *, ch), (int, from), (int, to))
{
	TT_CLOSE_AT_END(ch);

	for (int i = from; i < to; i++)
		TT_TRY(tt_send(ch, &i));
	return 0;
}

static int stream(int_chan *ch, int count)
{
	int got, next = 0, rc;

	TT_GROUP(g);
	tt_go_with(&g, &anywhere, send_range, ch, 0, count);
	while ((rc = tt_recv(ch, &got)) == 1) {
		EXPECT_EQ(got, next);
		next++;
	}
	EXPECT_EQ(next, count);
	return tt_group_end(&g, rc);
}

/* A stream from one task to another, on whatever worker, arrives whole and in order. */
TT_TEST(channel, a_stream_keeps_its_order)
{
	/* law 5 */
	for (size_t capacity = 0; capacity < 6; capacity += 2) {
		int_chan ch;

		REQUIRE_OK(tt_chan_init(&ch, capacity));
		EXPECT_CODE(stream(&ch, 500), 0);
		tt_chan_fini(&ch);
	}
}

/* ---- close ---- */

/* Closing twice is fine; receivers drain what is there first, senders fail. */
TT_TEST(channel, close_lets_receivers_drain)
{
	int_chan ch;
	int got = -1, buf[4];

	REQUIRE_OK(tt_chan_init(&ch, 4));
	for (int i = 1; i <= 4; i++)
		EXPECT_CODE(tt_send(&ch, &i), 0);
	tt_chan_close(&ch);
	tt_chan_close(&ch);
	EXPECT_CODE(tt_send(&ch, &(int){ 5 }), TT_ECLOSED);
	EXPECT_CODE(tt_give(&ch, &(int){ 5 }), TT_ECLOSED);
	EXPECT_EQ(tt_recv(&ch, &got), 1);
	EXPECT_EQ(got, 1);
	EXPECT_EQ(tt_recv_many(&ch, buf, 4, TT_SEC(1000)), 3);
	EXPECT_MEM_EQ(buf, ((int[]){ 2, 3, 4 }), sizeof(int[3]));
	EXPECT_EQ(tt_recv(&ch, &got), 0);
	EXPECT_EQ(tt_recv_many(&ch, buf, 4, TT_SEC(1000)), 0);
	EXPECT_EQ(got, 1);
	tt_chan_fini(&ch);
}

static int close_on_waiting_receivers(int_chan *ch, int *got, int *rc)
{
	TT_GROUP(g);
	for (int i = 0; i < 3; i++)
		tt_go_with(&g, &anywhere, recv_one, ch, &got[i], &rc[i]);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_chan_close(ch);
	return tt_group_end(&g, 0);
}

/* Close wakes every receiver that waits: there will be nothing. */
TT_TEST(channel, close_wakes_receivers)
{
	/* law 5 */
	for (size_t capacity = 0; capacity < 2; capacity++) {
		int got[3] = { -1, -1, -1 }, rc[3] = { -1, -1, -1 };
		int_chan ch;

		REQUIRE_OK(tt_chan_init(&ch, capacity));
		EXPECT_CODE(close_on_waiting_receivers(&ch, got, rc), 0);
		for (int i = 0; i < 3; i++) {
			EXPECT_EQ(rc[i], 0);
			EXPECT_EQ(got[i], -1);
		}
		tt_chan_fini(&ch);
	}
}

static int close_on_waiting_senders(int_chan *ch, int *rc)
{
	TT_GROUP(g);
	for (int i = 0; i < 3; i++)
		tt_go_with(&g, &anywhere, send_one, ch, i, &rc[i]);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_chan_close(ch);
	return tt_group_end(&g, 0);
}

/* Close wakes every sender that waits with TT_ECLOSED; what was in before is still received. */
TT_TEST(channel, close_wakes_senders)
{
	/* law 5 */
	for (size_t capacity = 0; capacity < 2; capacity++) {
		int rc[3] = { 1, 1, 1 }, got = -1;
		int_chan ch;

		REQUIRE_OK(tt_chan_init(&ch, capacity));
		for (size_t i = 0; i < capacity; i++)
			EXPECT_CODE(tt_try_send(&ch, &(int){ 100 }), 0);
		EXPECT_CODE(close_on_waiting_senders(&ch, rc), 0);
		for (int i = 0; i < 3; i++)
			EXPECT_CODE(rc[i], TT_ECLOSED);
		for (size_t i = 0; i < capacity; i++) {
			EXPECT_EQ(tt_recv(&ch, &got), 1);
			EXPECT_EQ(got, 100);
		}
		EXPECT_EQ(tt_recv(&ch, &got), 0);
		tt_chan_fini(&ch);
	}
}

static TT_TASK(three_producers, (int_chan *, ch))
{
	TT_CLOSE_AT_END(ch);

	TT_GROUP(g);
	for (int i = 0; i < 3; i++)
		tt_go_with(&g, &anywhere, send_range, ch, 30 * i, 30 * (i + 1));
	return tt_group_end(&g, 0);
}

static int consume_ninety(int_chan *ch)
{
	char seen[90] = { 0 };
	int got, count = 0, rc;

	TT_GROUP(g);
	tt_go_with(&g, &anywhere, three_producers, ch);
	while ((rc = tt_recv(ch, &got)) == 1) {
		EXPECT_EQ(seen[got], 0);
		seen[got] = 1;
		count++;
	}
	EXPECT_EQ(count, 90);
	return tt_group_end(&g, rc);
}

/* TT_CLOSE_AT_END: the last producer closes, no earlier one does. */
TT_TEST(channel, last_producer_closes)
{
	/* law 5 */
	int_chan ch;

	REQUIRE_OK(tt_chan_init(&ch, 2));
	EXPECT_CODE(consume_ninety(&ch), 0);
	EXPECT_CODE(tt_send(&ch, &(int){ 1 }), TT_ECLOSED);
	tt_chan_fini(&ch);
}

/* ---- cancels ---- */

/* Each call is a checkpoint even when it would not wait, and a cancelled one did nothing; a
 * try form is none. */
TT_TEST(channel, a_cancelled_call_did_nothing)
{
	/* law 3 */
	int_chan ch;
	int got = -1, buf[2] = { -1, -1 };
	size_t done = 9;

	REQUIRE_OK(tt_chan_init(&ch, 4));
	EXPECT_CODE(tt_send(&ch, &(int){ 1 }), 0);
	EXPECT_CODE(TT_WITHIN(0, tt_send(&ch, &(int){ 2 })), TT_ETIMEDOUT);
	EXPECT_EQ(tt_chan_len(&ch), 1u);
	EXPECT_CODE(TT_WITHIN(0, tt_send_many(&ch, ((int[]){ 2, 3 }), 2, &done)), TT_ETIMEDOUT);
	EXPECT_EQ(done, 0u);
	EXPECT_EQ(tt_chan_len(&ch), 1u);
	EXPECT_CODE(TT_WITHIN(0, tt_recv(&ch, &got)), TT_ETIMEDOUT);
	EXPECT_CODE(TT_WITHIN(0, tt_recv_many(&ch, buf, 2, 0)), TT_ETIMEDOUT);
	EXPECT_EQ(tt_chan_len(&ch), 1u);
	EXPECT_EQ(got, -1);
	EXPECT_EQ(buf[0], -1);
	EXPECT_CODE(TT_WITHIN(0, tt_try_send(&ch, &(int){ 2 })), 0);
	EXPECT_EQ(TT_WITHIN(0, tt_try_recv(&ch, &got)), 1);
	EXPECT_EQ(got, 1);
	tt_chan_fini(&ch);
}

/* tt_send_many of nothing is a checkpoint all the same. */
TT_TEST(channel, send_many_of_nothing_is_a_checkpoint)
{
	int_chan ch;
	int none[1] = { 0 };
	size_t done = 9;

	REQUIRE_OK(tt_chan_init(&ch, 1));
	EXPECT_CODE(tt_send_many(&ch, none, 0, &done), 0);
	EXPECT_EQ(done, 0u);
	EXPECT_CODE(TT_WITHIN(0, tt_send_many(&ch, none, 0, &done)), TT_ETIMEDOUT);
	tt_chan_fini(&ch);
}

static int cancel_first_of_two_senders(int_chan *ch, int *rc)
{
	tt_canceller *c = NULL;
	int got = -1;

	TT_GROUP(g);
	tt_go_with(&g, &nearby, send_one_cancellable, ch, 1, &c, &rc[0]);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_go_with(&g, &nearby, send_one, ch, 2, &rc[1]);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	cancel_and_put(c);
	/* The first has not run since: its place in the line is still taken. */
	EXPECT_EQ(tt_try_recv(ch, &got), 1);
	EXPECT_EQ(got, 0);
	TT_TRY_IN(&g, tt_group_drain(&g));
	EXPECT_EQ(tt_try_recv(ch, &got), 1);
	EXPECT_EQ(got, 2);
	return tt_group_end(&g, 0);
}

/* Room that comes free just after the first waiting sender was cancelled goes to the next. */
TT_TEST(channel, a_cancelled_sender_is_passed_over)
{
	/* law 4 */
	int_chan ch;
	int rc[2] = { 1, 1 };

	REQUIRE_OK(tt_chan_init(&ch, 1));
	EXPECT_CODE(tt_send(&ch, &(int){ 0 }), 0);
	EXPECT_CODE(cancel_first_of_two_senders(&ch, rc), 0);
	EXPECT_CODE(rc[0], TT_ECANCELED);
	EXPECT_CODE(rc[1], 0);
	tt_chan_fini(&ch);
}

static int cancel_first_of_two_receivers(int_chan *ch, int *got, int *rc)
{
	tt_canceller *c = NULL;

	TT_GROUP(g);
	tt_go_with(&g, &nearby, recv_one_cancellable, ch, &got[0], &c, &rc[0]);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_go_with(&g, &nearby, recv_one, ch, &got[1], &rc[1]);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	cancel_and_put(c);
	TT_TRY_IN(&g, tt_try_send(ch, &(int){ 5 }));
	return tt_group_end(&g, 0);
}

/* So does an item. */
TT_TEST(channel, a_cancelled_receiver_is_passed_over)
{
	/* law 4 */
	for (size_t capacity = 0; capacity < 2; capacity++) {
		int got[2] = { -1, -1 }, rc[2] = { 9, 9 };
		int_chan ch;

		REQUIRE_OK(tt_chan_init(&ch, capacity));
		EXPECT_CODE(cancel_first_of_two_receivers(&ch, got, rc), 0);
		EXPECT_CODE(rc[0], TT_ECANCELED);
		EXPECT_EQ(got[0], -1);
		EXPECT_EQ(rc[1], 1);
		EXPECT_EQ(got[1], 5);
		tt_chan_fini(&ch);
	}
}

static int serve_then_cancel(int_chan *ch, int *got, int *rc)
{
	tt_canceller *c = NULL;

	TT_GROUP(g);
	tt_go_with(&g, &nearby, recv_one_cancellable, ch, got, &c, rc);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	TT_TRY_IN(&g, tt_try_send(ch, &(int){ 5 }));
	cancel_and_put(c);
	return tt_group_end(&g, 0);
}

/* An item that was handed over before the cancel is received: an effect is reported. */
TT_TEST(channel, an_item_handed_over_beats_a_later_cancel)
{
	int_chan ch;
	int got = -1, rc = 9;

	REQUIRE_OK(tt_chan_init(&ch, 0));
	EXPECT_CODE(serve_then_cancel(&ch, &got, &rc), 0);
	EXPECT_EQ(rc, 1);
	EXPECT_EQ(got, 5);
	tt_chan_fini(&ch);
}

/* ---- owned items ---- */

#define ITEMS 600

struct ledger {
	unsigned char received[ITEMS], kept[ITEMS], destroyed[ITEMS];
};

struct parcel {
	struct ledger *ledger;
	int id;
};

static void destroy_parcel(struct parcel p)
{
	p.ledger->destroyed[p.id]++;
}

TT_CHAN_TYPE_WITH(parcel_chan, struct parcel, destroy_parcel);

/* A failed send leaves the item with the sender; tt_give destroys it; both only then. */
TT_TEST(channel, who_owns_a_failed_item)
{
	struct ledger l = { { 0 }, { 0 }, { 0 } };
	struct parcel p;
	parcel_chan ch;

	REQUIRE_OK(tt_chan_init(&ch, 3));
	EXPECT_CODE(tt_send(&ch, &(struct parcel){ &l, 0 }), 0);
	EXPECT_CODE(tt_give(&ch, &(struct parcel){ &l, 1 }), 0);
	EXPECT_CODE(TT_WITHIN(0, tt_send(&ch, &(struct parcel){ &l, 2 })), TT_ETIMEDOUT);
	EXPECT_CODE(TT_WITHIN(0, tt_give(&ch, &(struct parcel){ &l, 3 })), TT_ETIMEDOUT);
	tt_chan_close(&ch);
	EXPECT_CODE(tt_send(&ch, &(struct parcel){ &l, 4 }), TT_ECLOSED);
	EXPECT_CODE(tt_give(&ch, &(struct parcel){ &l, 5 }), TT_ECLOSED);
	EXPECT_MEM_EQ(l.destroyed, ((unsigned char[]){ 0, 0, 0, 1, 0, 1 }), 6);
	EXPECT_EQ(tt_recv(&ch, &p), 1);
	EXPECT_EQ(p.id, 0);
	tt_chan_fini(&ch);
	EXPECT_MEM_EQ(l.destroyed, ((unsigned char[]){ 0, 1, 0, 1, 0, 1 }), 6);
}

/* Fini destroys exactly what nobody took, also where the ring wraps, and may be repeated. */
TT_TEST(channel, fini_destroys_what_is_left)
{
	struct ledger l = { { 0 }, { 0 }, { 0 } };
	struct parcel p;
	parcel_chan ch;

	REQUIRE_OK(tt_chan_init(&ch, 4));
	for (int i = 0; i < 4; i++)
		EXPECT_CODE(tt_send(&ch, &(struct parcel){ &l, i }), 0);
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(tt_recv(&ch, &p), 1);
	EXPECT_CODE(tt_send(&ch, &(struct parcel){ &l, 4 }), 0);
	tt_chan_fini(&ch);
	tt_chan_fini(&ch);
	EXPECT_MEM_EQ(l.destroyed, ((unsigned char[]){ 0, 0, 1, 1, 1, 0 }), 6);
}

/* ---- many items ---- */

static TT_TASK(send_at, (int_chan *, ch), (int64_t, first), (int64_t, period), (int, count))
{
	TT_TRY(tt_sleep(first));
	for (int i = 0; i < count; i++) {
		TT_TRY(tt_send(ch, &i));
		TT_TRY(tt_sleep(period));
	}
	return 0;
}

static int linger(int_chan *ch, int *buf, size_t max, int64_t time, int *ret_n, int64_t *ret_took)
{
	int64_t before;

	TT_GROUP(g);
	tt_go(&g, send_at, ch, TT_MS(5), TT_MS(4), 6);
	before = tt_now();
	*ret_n = tt_recv_many(ch, buf, max, time);
	*ret_took = tt_now() - before;
	tt_group_cancel(&g);
	return tt_group_end(&g, 0);
}

/* tt_recv_many waits for the first item without limit, then lingers for more, and no longer
 * than that; it ends early when it has max. */
TT_TEST_ON(channel, recv_many_lingers, TT_ON_SIM, "needs exact times")
{
	int_chan ch;
	int buf[16], n;
	int64_t took;

	REQUIRE_OK(tt_chan_init(&ch, 0));
	EXPECT_CODE(linger(&ch, buf, 16, 0, &n, &took), 0);
	EXPECT_EQ(n, 1);
	EXPECT_GE(took, TT_MS(5));
	EXPECT_LT(took, TT_MS(6));
	EXPECT_CODE(linger(&ch, buf, 16, TT_MS(10), &n, &took), 0); /* at 5, 9, 13 ms */
	EXPECT_EQ(n, 3);
	EXPECT_MEM_EQ(buf, ((int[]){ 0, 1, 2 }), sizeof(int[3]));
	EXPECT_GE(took, TT_MS(15));
	EXPECT_LT(took, TT_MS(16));
	EXPECT_CODE(linger(&ch, buf, 2, TT_MS(10), &n, &took), 0);
	EXPECT_EQ(n, 2);
	EXPECT_LT(took, TT_MS(10));
	tt_chan_fini(&ch);
}

/* Lingering for ever ends with max items. */
TT_TEST(channel, recv_many_may_linger_for_ever)
{
	int_chan ch;
	int buf[3], n = 0;
	int64_t took;

	REQUIRE_OK(tt_chan_init(&ch, 1));
	EXPECT_CODE(linger(&ch, buf, 3, TT_NEVER, &n, &took), 0);
	EXPECT_EQ(n, 3);
	EXPECT_MEM_EQ(buf, ((int[]){ 0, 1, 2 }), sizeof(int[3]));
	tt_chan_fini(&ch);
}

static TT_TASK(recv_many_cancellable, (int_chan *, ch), (tt_canceller **, ret_c), (int *, ret_buf), (int *, ret_n))
{
	TT_SCOPE(s, TT_NEVER);
	*ret_c = tt_scope_canceller(&s);
	*ret_n = tt_recv_many(ch, ret_buf, 8, TT_NEVER);
	return tt_scope_end(&s, 0);
}

static int cut_the_linger(int_chan *ch, bool by_close, int *ret_buf, int *ret_n)
{
	tt_canceller *c = NULL;

	TT_GROUP(g);
	tt_go_with(&g, &anywhere, recv_many_cancellable, ch, &c, ret_buf, ret_n);
	TT_TRY_IN(&g, tt_send_many(ch, ((int[]){ 4, 5 }), 2, NULL));
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	if (by_close)
		tt_chan_close(ch);
	else
		tt_cancel(c);
	TT_TRY_IN(&g, tt_group_drain(&g));
	tt_canceller_put(c);
	return tt_group_end(&g, 0);
}

/* A linger that is cancelled, or sees the end, delivers what it has. */
TT_TEST(channel, recv_many_never_drops_items)
{
	/* law 5 */
	for (int by_close = 0; by_close < 2; by_close++) {
		int buf[8] = { 0 }, n = -1;
		int_chan ch;

		REQUIRE_OK(tt_chan_init(&ch, 1));
		EXPECT_CODE(cut_the_linger(&ch, by_close, buf, &n), 0);
		EXPECT_EQ(n, 2);
		EXPECT_MEM_EQ(buf, ((int[]){ 4, 5 }), sizeof(int[2]));
		tt_chan_fini(&ch);
	}
}

static TT_TASK(send_seven, (int_chan *, ch), (tt_canceller **, ret_c), (size_t *, ret_done), (int *, ret_rc))
{
	TT_SCOPE(s, TT_NEVER);
	*ret_c = tt_scope_canceller(&s);
	*ret_rc = tt_send_many(ch, ((int[]){ 0, 1, 2, 3, 4, 5, 6 }), 7, ret_done);
	return tt_scope_end(&s, 0);
}

enum cut { CUT_NOT, CUT_BY_CANCEL, CUT_BY_CLOSE };

static int cut_after_two(int_chan *ch, enum cut cut, size_t *ret_done, int *ret_rc)
{
	tt_canceller *c = NULL;
	int got = -1;

	TT_GROUP(g);
	tt_go_with(&g, &anywhere, send_seven, ch, &c, ret_done, ret_rc);
	for (int i = 0; i < (cut == CUT_NOT ? 7 : 2); i++) {
		EXPECT_EQ(tt_recv(ch, &got), 1);
		EXPECT_EQ(got, i);
	}
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	if (cut == CUT_BY_CANCEL)
		tt_cancel(c);
	if (cut == CUT_BY_CLOSE)
		tt_chan_close(ch);
	TT_TRY_IN(&g, tt_group_drain(&g));
	tt_canceller_put(c);
	return tt_group_end(&g, 0);
}

/* tt_send_many says how many it sent: those two taken and the three in the ring. */
TT_TEST(channel, send_many_reports_progress)
{
	/* law 5 */
	static const struct {
		enum cut cut;
		int rc;
		size_t done;
	} cases[] = { { CUT_NOT, 0, 7 }, { CUT_BY_CANCEL, TT_ECANCELED, 5 }, { CUT_BY_CLOSE, TT_ECLOSED, 5 } };

	for (int i = 0; i < 3; i++) {
		size_t done = 99;
		int rc = 9;
		int_chan ch;

		REQUIRE_OK(tt_chan_init(&ch, 3));
		EXPECT_CODE(cut_after_two(&ch, cases[i].cut, &done, &rc), 0);
		EXPECT_EQ(rc, cases[i].rc);
		EXPECT_EQ(done, cases[i].done);
		tt_chan_fini(&ch);
	}
}

/* ---- conservation ---- */

#define PRODUCERS 6
#define CONSUMERS 4

static int send_either_way(parcel_chan *ch, struct ledger *l, int id, int64_t patience)
{
	struct parcel p = { l, id };
	int rc;

	if (id % 2 == 0)
		return TT_WITHIN(patience, tt_give(ch, &p));
	rc = TT_WITHIN(patience, tt_send(ch, &p));
	if (rc < 0)
		l->kept[id]++;
	return rc;
}

static TT_TASK(hasty_producer, (parcel_chan *, ch), (struct ledger *, l), (unsigned, id))
{
	uint64_t r = random_of(id);

	TT_CLOSE_AT_END(ch);

	for (int i = (int)id; i < ITEMS; i += PRODUCERS) {
		int rc = send_either_way(ch, l, i, (int64_t)(next_random(&r) % 60) * TT_US(1));

		if (rc < 0 && rc != TT_ETIMEDOUT)
			return rc;
		if (next_random(&r) % 8 == 0)
			TT_TRY(tt_sleep((int64_t)(next_random(&r) % 40) * TT_US(1)));
	}
	return 0;
}

static int recv_some(parcel_chan *ch, struct parcel *buf, uint64_t *r)
{
	switch (next_random(r) % 3) {
	case 0: return tt_recv_many(ch, buf, 4, (int64_t)(next_random(r) % 2) * TT_US(20));
	case 1: return tt_try_recv_many(ch, buf, 4);
	default: return tt_recv(ch, buf);
	}
}

static TT_TASK(hasty_consumer, (parcel_chan *, ch), (unsigned, id))
{
	uint64_t r = random_of(100 + id);
	struct parcel buf[4];
	int n;

	for (;;) {
		n = TT_WITHIN((int64_t)(next_random(&r) % 60) * TT_US(1), recv_some(ch, buf, &r));
		if (n == 0)
			return 0;
		for (int i = 0; i < n; i++)
			buf[i].ledger->received[buf[i].id]++;
		if (n < 0 && n != TT_ETIMEDOUT && n != TT_EAGAIN)
			return n;
		if (next_random(&r) % 4 == 0)
			TT_TRY(tt_sleep((int64_t)(next_random(&r) % 40) * TT_US(1)));
	}
}

static TT_TASK(hasty_producers, (parcel_chan *, ch), (struct ledger *, l))
{
	TT_CLOSE_AT_END(ch);

	TT_GROUP(g);
	for (unsigned i = 0; i < PRODUCERS; i++)
		tt_go_with(&g, &anywhere, hasty_producer, ch, l, i);
	return tt_group_end(&g, 0);
}

static int haste(parcel_chan *ch, struct ledger *l)
{
	TT_GROUP(g);
	tt_go(&g, hasty_producers, ch, l);
	for (unsigned i = 0; i < CONSUMERS; i++)
		tt_go_with(&g, &anywhere, hasty_consumer, ch, i);
	return tt_group_end(&g, 0);
}

/* Each item ends in exactly one place - received, kept by its sender, destroyed - however
 * many sends and receives are cut short on several workers at once. */
TT_TEST(channel, nothing_is_lost_or_doubled_by_cancels)
{
	/* laws 3, 4, 5 */
	static const size_t capacities[] = { 0, 1, 3, 16 };

	for (int c = 0; c < 4; c++) {
		struct ledger l = { { 0 }, { 0 }, { 0 } };
		int received = 0, cut = 0;
		parcel_chan ch;

		REQUIRE_OK(tt_chan_init(&ch, capacities[c]));
		EXPECT_CODE(haste(&ch, &l), 0);
		EXPECT_EQ(tt_chan_len(&ch), 0u);
		tt_chan_fini(&ch);
		for (int i = 0; i < ITEMS; i++) {
			EXPECT_EQ(l.received[i] + l.kept[i] + l.destroyed[i], 1);
			received += l.received[i];
			cut += l.kept[i] + l.destroyed[i];
		}
		/* Or else the test shows nothing. */
		EXPECT_GT(received, 0);
		EXPECT_GT(cut, 0);
	}
}

/* ---- misuse ---- */

static int_chan never_initialised;

/* Storage that was never initialised is named together with the call that met it. */
TT_TEST(channel, uninitialised_storage_aborts)
{
	int_chan *ch = &never_initialised;
	int v = 0;
	size_t n;

	EXPECT_ABORTS(TT_IGNORE(tt_send(ch, &v)), "tt_send: the channel is not initialised");
	EXPECT_ABORTS(TT_IGNORE(tt_try_send(ch, &v)), "tt_try_send: the channel is not initialised");
	EXPECT_ABORTS(TT_IGNORE(tt_give(ch, &v)), "tt_give: the channel is not initialised");
	EXPECT_ABORTS(TT_IGNORE(tt_recv(ch, &v)), "tt_recv: the channel is not initialised");
	EXPECT_ABORTS(TT_IGNORE(tt_try_recv(ch, &v)), "tt_try_recv: the channel is not initialised");
	EXPECT_ABORTS(TT_IGNORE(tt_recv_many(ch, &v, 1, 0)), "tt_recv_many: the channel is not initialised");
	EXPECT_ABORTS(TT_IGNORE(tt_try_recv_many(ch, &v, 1)), "tt_try_recv_many: the channel is not initialised");
	EXPECT_ABORTS(TT_IGNORE(tt_send_many(ch, &v, 1, &n)), "tt_send_many: the channel is not initialised");
	EXPECT_ABORTS(tt_chan_close(ch), "tt_chan_close: the channel is not initialised");
	EXPECT_ABORTS(TT_IGNORE((int)tt_chan_len(ch)), "tt_chan_len: the channel is not initialised");
	EXPECT_ABORTS(TT_IGNORE(tt_select(TT_ON_RECV(ch, &v))), "TT_ON_RECV: the channel is not initialised");
	EXPECT_ABORTS(TT_IGNORE(tt_select(TT_ON_SEND(ch, &v))), "TT_ON_SEND: the channel is not initialised");
	tt_chan_fini(ch);
}

/* A finished channel is an uninitialised one. */
TT_TEST(channel, use_after_fini_aborts)
{
	int_chan ch;

	REQUIRE_OK(tt_chan_init(&ch, 1));
	tt_chan_fini(&ch);
	EXPECT_ABORTS(TT_IGNORE(tt_send(&ch, &(int){ 1 })), "tt_send: the channel is not initialised");
}

static int fini_under_a_waiter(int_chan *ch, bool receiver)
{
	int v = 0, rc;

	TT_GROUP(g);
	if (receiver)
		tt_go_with(&g, &anywhere, recv_one, ch, &v, &rc);
	else
		tt_go_with(&g, &anywhere, send_one, ch, 1, &rc);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	if (receiver)
		EXPECT_ABORTS(tt_chan_fini(ch), "tt_chan_fini: task recv_one#");
	else
		EXPECT_ABORTS(tt_chan_fini(ch), "tt_chan_fini: task send_one#");
	tt_group_cancel(&g);
	return tt_group_end(&g, 0);
}

/* Fini under a task that waits names the task. */
TT_TEST(channel, fini_with_a_waiter_aborts)
{
	int_chan ch;

	REQUIRE_OK(tt_chan_init(&ch, 0));
	EXPECT_CODE(fini_under_a_waiter(&ch, true), 0);
	EXPECT_CODE(fini_under_a_waiter(&ch, false), 0);
	tt_chan_fini(&ch);
}

/* A buffer for no items is a mistake of the caller, not the end of the stream. */
TT_TEST(channel, recv_many_of_nothing_aborts)
{
	int_chan ch;
	int v;

	REQUIRE_OK(tt_chan_init(&ch, 1));
	EXPECT_ABORTS(TT_IGNORE(tt_recv_many(&ch, &v, 0, 0)), "tt_recv_many: max is 0");
	tt_chan_fini(&ch);
}

/* ---- slots ---- */

static TT_TASK(reserve_one, (int_chan *, ch), (int, v), (int *, ret_rc))
{
	TT_SLOT(slot, ch);

	*ret_rc = tt_reserve(ch, &slot);
	if (*ret_rc == 0)
		tt_slot_send(&slot, &v);
	return 0;
}

/* A slot is room that nobody else gets: used, it holds the item; dropped or left behind at the
 * end of its block, it goes back. */
TT_TEST(channel, a_slot_is_room)
{
	int_chan ch;
	int got = -1;

	REQUIRE_OK(tt_chan_init(&ch, 2));
	for (int round = 0; round < 3; round++) {
		TT_SLOT(a, &ch);
		TT_SLOT(b, &ch);
		TT_SLOT(c, &ch);

		EXPECT_CODE(tt_reserve(&ch, &a), 0);
		EXPECT_CODE(tt_try_reserve(&ch, &b), 0);
		EXPECT_EQ(tt_chan_len(&ch), 0u);
		EXPECT_CODE(tt_try_reserve(&ch, &c), TT_EAGAIN);
		EXPECT_CODE(tt_try_send(&ch, &(int){ 9 }), TT_EAGAIN);
		tt_slot_drop(&a);
		tt_slot_drop(&a);
		EXPECT_CODE(tt_try_send(&ch, &(int){ 5 }), 0);
		tt_slot_send(&b, &(int){ 6 });
		EXPECT_CODE(tt_try_reserve(&ch, &c), TT_EAGAIN);
		EXPECT_EQ(tt_recv(&ch, &got), 1);
		EXPECT_EQ(got, 5);
		EXPECT_CODE(tt_try_reserve(&ch, &c), 0);
		EXPECT_EQ(tt_recv(&ch, &got), 1);
		EXPECT_EQ(got, 6);
	}
	EXPECT_CODE(tt_try_send(&ch, &(int){ 1 }), 0);
	EXPECT_CODE(tt_try_send(&ch, &(int){ 2 }), 0);
	tt_chan_fini(&ch);
}

/* Reserving is a checkpoint, and a cancelled one took no room; a rendezvous has none. */
TT_TEST(channel, a_cancelled_reserve_took_no_room)
{
	int_chan ch, meeting;

	REQUIRE_OK(tt_chan_init(&ch, 1));
	REQUIRE_OK(tt_chan_init(&meeting, 0));
	{
		TT_SLOT(slot, &ch);
		int rc = 9;

		EXPECT_CODE(TT_WITHIN(0, tt_reserve(&ch, &slot)), TT_ETIMEDOUT);
		EXPECT_CODE(tt_reserve(&meeting, &slot), TT_EINVAL);
		EXPECT_CODE(tt_try_reserve(&meeting, &slot), TT_EINVAL);
		EXPECT_CODE(tt_select(TT_ON_RESERVE(&meeting, &slot)), TT_EINVAL);
		EXPECT_CODE(tt_select(TT_ON_RESERVE_RC(&meeting, &slot, &rc)), 0);
		EXPECT_EQ(rc, TT_EINVAL);
		EXPECT_CODE(tt_try_send(&ch, &(int){ 1 }), 0);
		EXPECT_CODE(TT_WITHIN(TT_MS(1), tt_reserve(&ch, &slot)), TT_ETIMEDOUT);
		EXPECT_EQ(tt_try_recv(&ch, &rc), 1);
		EXPECT_CODE(tt_try_send(&ch, &(int){ 2 }), 0);
	}
	tt_chan_fini(&ch);
	tt_chan_fini(&meeting);
}

/* No slot comes from a closed channel: a select that waits for one hears of it. */
TT_TEST(channel, a_select_hears_that_no_slot_comes)
{
	int_chan ch;

	REQUIRE_OK(tt_chan_init(&ch, 1));
	tt_chan_close(&ch);
	{
		TT_SLOT(slot, &ch);
		int rc = 9;

		EXPECT_CODE(tt_select(TT_ON_RESERVE(&ch, &slot), TT_ON_TIMEOUT(TT_SEC(100))), TT_ECLOSED);
		EXPECT_CODE(tt_select(TT_ON_RESERVE_RC(&ch, &slot, &rc), TT_ON_TIMEOUT(TT_SEC(100))), 0);
		EXPECT_CODE(rc, TT_ECLOSED);
	}
	tt_chan_fini(&ch); /* aborts while a slot is out */
}

static int senders_and_reservers(int_chan *ch, int *rc)
{
	int got = -1;

	TT_GROUP(g);
	TT_TRY_IN(&g, tt_try_send(ch, &(int){ 0 }));
	for (int i = 1; i <= 6; i++) {
		if (i % 2 == 0)
			tt_go_with(&g, &anywhere, send_one, ch, i, &rc[i]);
		else
			tt_go_with(&g, &anywhere, reserve_one, ch, i, &rc[i]);
		TT_TRY_IN(&g, tt_test_wait_all_parked());
	}
	for (int i = 0; i <= 6; i++) {
		EXPECT_EQ(tt_recv(ch, &got), 1);
		EXPECT_EQ(got, i);
		TT_TRY_IN(&g, tt_test_wait_all_parked());
	}
	return tt_group_end(&g, 0);
}

/* Who reserves stands in one line with who sends. */
TT_TEST(channel, reserving_waits_in_the_senders_line)
{
	/* law 5 */
	int rc[7] = { 0, 9, 9, 9, 9, 9, 9 };
	int_chan ch;

	REQUIRE_OK(tt_chan_init(&ch, 1));
	EXPECT_CODE(senders_and_reservers(&ch, rc), 0);
	for (int i = 1; i <= 6; i++)
		EXPECT_CODE(rc[i], 0);
	tt_chan_fini(&ch);
}

static int drop_under_a_waiter(int_chan *ch, bool by_select)
{
	TT_SLOT(slot, ch);
	int rc = 9, got = -1;

	if (by_select)
		EXPECT_CODE(tt_select(TT_ON_RESERVE(ch, &slot)), 0);
	else
		EXPECT_CODE(tt_reserve(ch, &slot), 0);
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, send_one, ch, 3, &rc);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_slot_drop(&slot);
	EXPECT_EQ(tt_recv(ch, &got), 1);
	EXPECT_EQ(got, 3);
	TT_TRY_IN(&g, tt_group_drain(&g));
	EXPECT_CODE(rc, 0);
	return tt_group_end(&g, 0);
}

/* The room of a slot that is dropped goes to who waits for it. */
TT_TEST(channel, a_dropped_slot_serves_the_next_in_line)
{
	/* law 5 */
	int_chan ch;

	REQUIRE_OK(tt_chan_init(&ch, 1));
	EXPECT_CODE(drop_under_a_waiter(&ch, false), 0);
	EXPECT_CODE(drop_under_a_waiter(&ch, true), 0);
	tt_chan_fini(&ch);
}

static int close_under_a_slot(int_chan *ch, bool use)
{
	TT_SLOT(slot, ch);
	TT_SLOT(late, ch);
	int rc = 9, got = -1;

	EXPECT_CODE(tt_reserve(ch, &slot), 0);
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, recv_one, ch, &got, &rc);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_chan_close(ch);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	EXPECT_EQ(rc, 9);
	EXPECT_CODE(tt_try_recv(ch, &got), TT_EAGAIN);
	EXPECT_CODE(tt_reserve(ch, &late), TT_ECLOSED);
	EXPECT_CODE(tt_try_reserve(ch, &late), TT_ECLOSED);
	if (use)
		tt_slot_send(&slot, &(int){ 4 });
	else
		tt_slot_drop(&slot);
	TT_TRY_IN(&g, tt_group_drain(&g));
	EXPECT_EQ(rc, use ? 1 : 0);
	EXPECT_EQ(got, use ? 4 : -1);
	EXPECT_EQ(tt_try_recv(ch, &got), 0);
	return tt_group_end(&g, 0);
}

/* A slot outlives the close: the item still gets through, and the end comes after it. */
TT_TEST(channel, a_slot_may_be_used_after_the_close)
{
	/* law 5 */
	for (int use = 0; use < 2; use++) {
		int_chan ch;

		REQUIRE_OK(tt_chan_init(&ch, 2));
		EXPECT_CODE(close_under_a_slot(&ch, use), 0);
		tt_chan_fini(&ch);
	}
}

static int close_on_waiting_reservers(int_chan *ch, int *rc)
{
	TT_GROUP(g);
	TT_TRY_IN(&g, tt_try_send(ch, &(int){ 0 }));
	for (int i = 0; i < 2; i++)
		tt_go_with(&g, &anywhere, reserve_one, ch, i, &rc[i]);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_chan_close(ch);
	return tt_group_end(&g, 0);
}

/* Close wakes who waits for a slot. */
TT_TEST(channel, close_wakes_reservers)
{
	/* law 5 */
	int rc[2] = { 9, 9 };
	int_chan ch;

	REQUIRE_OK(tt_chan_init(&ch, 1));
	EXPECT_CODE(close_on_waiting_reservers(&ch, rc), 0);
	EXPECT_CODE(rc[0], TT_ECLOSED);
	EXPECT_CODE(rc[1], TT_ECLOSED);
	tt_chan_fini(&ch);
}

/* Mistakes with slots are named. */
TT_TEST(channel, slot_misuse_aborts)
{
	int_chan ch;

	REQUIRE_OK(tt_chan_init(&ch, 2));
	{
		TT_SLOT(slot, &ch);

		EXPECT_ABORTS(tt_slot_send(&slot, &(int){ 1 }), "tt_slot_send: the slot is empty");
		EXPECT_CODE(tt_reserve(&ch, &slot), 0);
		EXPECT_ABORTS(TT_IGNORE(tt_reserve(&ch, &slot)), "tt_reserve: the slot is one already");
		EXPECT_ABORTS(tt_chan_fini(&ch), "tt_chan_fini: 1 slots are still out");
	}
	EXPECT_ABORTS(TT_IGNORE((tt_reserve)(&never_initialised.tt_raw, &(tt_slot){ NULL, 0 })),
	              "tt_reserve: the channel is not initialised");
	tt_chan_fini(&ch);
}

/* ---- a bound in bytes ---- */

struct blob {
	struct ledger *ledger;
	size_t size;
	int id;
};

static size_t blob_size(struct blob b)
{
	return b.size;
}

static void destroy_blob(struct blob b)
{
	b.ledger->destroyed[b.id]++;
}

TT_CHAN_TYPE_SIZED_WITH(blob_chan, struct blob, blob_size, destroy_blob);

static size_t itself(size_t size)
{
	return size;
}

TT_CHAN_TYPE_SIZED(size_chan, size_t, itself);

/* Items go in while their bytes fit, and one that is larger than the bound passes alone. */
TT_TEST(channel, bytes_bound_what_is_in)
{
	size_chan ch;
	size_t got = 0;

	REQUIRE_OK(tt_chan_init_bytes(&ch, 10, 100));
	EXPECT_CODE(tt_try_send(&ch, &(size_t){ 60 }), 0);
	EXPECT_CODE(tt_try_send(&ch, &(size_t){ 41 }), TT_EAGAIN);
	EXPECT_CODE(tt_try_send(&ch, &(size_t){ 40 }), 0);
	EXPECT_CODE(tt_try_send(&ch, &(size_t){ 1 }), TT_EAGAIN);
	EXPECT_CODE(tt_try_send(&ch, &(size_t){ 0 }), 0);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(tt_try_recv(&ch, &got), 1);
	EXPECT_CODE(tt_try_send(&ch, &(size_t){ 5000 }), 0);
	EXPECT_CODE(tt_try_send(&ch, &(size_t){ 0 }), TT_EAGAIN);
	EXPECT_EQ(tt_recv(&ch, &got), 1);
	EXPECT_EQ(got, 5000u);
	for (size_t i = 0; i < 10; i++)
		EXPECT_CODE(tt_try_send(&ch, &(size_t){ 1 }), 0);
	EXPECT_CODE(tt_try_send(&ch, &(size_t){ 1 }), TT_EAGAIN);
	tt_chan_fini(&ch);
	EXPECT_CODE(tt_chan_init_bytes(&ch, 0, 100), TT_EINVAL);
	EXPECT_CODE(tt_chan_init_bytes(&ch, 1, 0), TT_EINVAL);
	EXPECT_CODE(tt_chan_init_bytes(&ch, SIZE_MAX / 8, 100), TT_EINVAL);
}

static TT_TASK(send_size, (size_chan *, ch), (size_t, size), (int *, ret_rc))
{
	*ret_rc = tt_send(ch, &size);
	return 0;
}

static TT_TASK(send_size_cancellable, (size_chan *, ch), (size_t, size), (tt_canceller **, ret_c), (int *, ret_rc))
{
	TT_SCOPE(s, TT_NEVER);
	*ret_c = tt_scope_canceller(&s);
	*ret_rc = tt_send(ch, &size);
	return tt_scope_end(&s, 0);
}

static int large_before_small(size_chan *ch, int *rc)
{
	size_t got = 0;

	TT_GROUP(g);
	TT_TRY_IN(&g, tt_try_send(ch, &(size_t){ 50 }));
	TT_TRY_IN(&g, tt_try_send(ch, &(size_t){ 50 }));
	tt_go_with(&g, &anywhere, send_size, ch, (size_t)90, &rc[0]);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_go_with(&g, &anywhere, send_size, ch, (size_t)10, &rc[1]);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	EXPECT_EQ(tt_recv(ch, &got), 1);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	/* There is room for 50, and the first in line wants 90: nobody passes it. */
	EXPECT_EQ(rc[1], 9);
	EXPECT_CODE(tt_try_send(ch, &(size_t){ 1 }), TT_EAGAIN);
	EXPECT_EQ(tt_recv(ch, &got), 1);
	/* Now both fit, in order. */
	EXPECT_EQ(tt_recv(ch, &got), 1);
	EXPECT_EQ(got, 90u);
	EXPECT_EQ(tt_recv(ch, &got), 1);
	EXPECT_EQ(got, 10u);
	return tt_group_end(&g, 0);
}

/* A large item is not overtaken by small ones. */
TT_TEST(channel, a_large_item_keeps_its_place)
{
	/* law 5 */
	int rc[2] = { 9, 9 };
	size_chan ch;

	REQUIRE_OK(tt_chan_init_bytes(&ch, 8, 100));
	EXPECT_CODE(large_before_small(&ch, rc), 0);
	EXPECT_CODE(rc[0], 0);
	EXPECT_CODE(rc[1], 0);
	tt_chan_fini(&ch);
}

static int cancel_the_large_one(size_chan *ch, int *rc)
{
	tt_canceller *c = NULL;

	TT_GROUP(g);
	TT_TRY_IN(&g, tt_try_send(ch, &(size_t){ 50 }));
	tt_go_with(&g, &anywhere, send_size_cancellable, ch, (size_t)90, &c, &rc[0]);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_go_with(&g, &anywhere, send_size, ch, (size_t)10, &rc[1]);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	EXPECT_EQ(rc[1], 9);
	cancel_and_put(c);
	TT_TRY_IN(&g, tt_group_drain(&g));
	return tt_group_end(&g, 0);
}

/* A large one that gives up lets those behind it in. */
TT_TEST(channel, a_cancelled_large_item_uncovers_a_small_one)
{
	/* law 5 */
	int rc[2] = { 9, 9 };
	size_chan ch;

	REQUIRE_OK(tt_chan_init_bytes(&ch, 8, 100));
	EXPECT_CODE(cancel_the_large_one(&ch, rc), 0);
	EXPECT_CODE(rc[0], TT_ECANCELED);
	EXPECT_CODE(rc[1], 0);
	EXPECT_EQ(tt_chan_len(&ch), 2u);
	tt_chan_fini(&ch);
}

/* A slot holds bytes too; what the item does not need goes back with it. */
TT_TEST(channel, a_slot_of_bytes)
{
	size_chan ch;

	REQUIRE_OK(tt_chan_init_bytes(&ch, 4, 100));
	{
		TT_SLOT(slot, &ch);
		TT_SLOT(other, &ch);

		EXPECT_CODE(tt_reserve(&ch, &slot), TT_EINVAL);
		EXPECT_CODE(tt_reserve_bytes(&ch, 80, &slot), 0);
		EXPECT_CODE(tt_try_send(&ch, &(size_t){ 30 }), TT_EAGAIN);
		EXPECT_CODE(tt_try_reserve_bytes(&ch, 30, &other), TT_EAGAIN);
		EXPECT_ABORTS(tt_slot_send(&slot, &(size_t){ 81 }), "an item of 81 bytes, and 80 are reserved");
		tt_slot_send(&slot, &(size_t){ 10 });
		EXPECT_CODE(tt_select(TT_ON_RESERVE_BYTES(&ch, 90, &other)), 0);
		EXPECT_CODE(tt_try_send(&ch, &(size_t){ 1 }), TT_EAGAIN);
	}
	EXPECT_CODE(tt_try_send(&ch, &(size_t){ 90 }), 0);
	tt_chan_fini(&ch);
}

/* Drain destroys what is in, and says how much. */
TT_TEST(channel, drain_destroys_what_is_there)
{
	struct ledger l = { { 0 }, { 0 }, { 0 } };
	blob_chan ch;

	REQUIRE_OK(tt_chan_init_bytes(&ch, 4, 100));
	EXPECT_EQ(tt_chan_drain(&ch), 0u);
	for (int i = 0; i < 3; i++)
		EXPECT_CODE(tt_send(&ch, &(struct blob){ &l, 10, i }), 0);
	tt_chan_close(&ch);
	EXPECT_EQ(tt_chan_drain(&ch), 3u);
	EXPECT_EQ(tt_chan_len(&ch), 0u);
	EXPECT_MEM_EQ(l.destroyed, ((unsigned char[]){ 1, 1, 1, 0 }), 4);
	tt_chan_fini(&ch);
}

/* ---- conservation with slots and bytes ---- */

#define BLOBS 200

/* One of the three ways in; who keeps an item says so. */
static int put_blob(blob_chan *ch, struct ledger *l, int id, uint64_t *r)
{
	struct blob b = { l, (size_t)(next_random(r) % 50), id };
	int64_t patience = (int64_t)(next_random(r) % 60) * TT_US(1);
	uint64_t way = next_random(r) % 3;
	int rc;

	TT_SLOT(slot, ch);
	if (way == 0)
		return TT_WITHIN(patience, tt_give(ch, &b));
	if (way == 1)
		rc = TT_WITHIN(patience, tt_send(ch, &b));
	else
		rc = TT_WITHIN(patience, tt_reserve_bytes(ch, 60, &slot));
	if (way == 2 && rc == 0 && next_random(r) % 4 != 0) {
		tt_slot_send(&slot, &b);
		return 0;
	}
	if (rc < 0 || way == 2)
		l->kept[id]++;
	return rc;
}

static TT_TASK(put_blobs, (blob_chan *, ch), (struct ledger *, l), (unsigned, id))
{
	uint64_t r = random_of(id);

	TT_CLOSE_AT_END(ch);
	for (int i = (int)id; i < BLOBS; i += 4) {
		int rc = put_blob(ch, l, i, &r);

		if (rc < 0 && rc != TT_ETIMEDOUT)
			return rc;
		if (next_random(&r) % 8 == 0)
			TT_TRY(tt_sleep((int64_t)(next_random(&r) % 40) * TT_US(1)));
	}
	return 0;
}

static TT_TASK(take_blobs, (blob_chan *, ch), (unsigned, id))
{
	uint64_t r = random_of(100 + id);
	struct blob b;
	int rc;

	for (;;) {
		rc = TT_WITHIN((int64_t)(next_random(&r) % 60) * TT_US(1), tt_recv(ch, &b));
		if (rc == 0)
			return 0;
		if (rc == 1)
			b.ledger->received[b.id]++;
		else if (rc != TT_ETIMEDOUT)
			return rc;
		if (next_random(&r) % 4 == 0)
			TT_TRY(tt_sleep((int64_t)(next_random(&r) % 40) * TT_US(1)));
	}
}

static TT_TASK(all_put_blobs, (blob_chan *, ch), (struct ledger *, l))
{
	TT_CLOSE_AT_END(ch);

	TT_GROUP(g);
	for (unsigned i = 0; i < 4; i++)
		tt_go_with(&g, &anywhere, put_blobs, ch, l, i);
	return tt_group_end(&g, 0);
}

static int blobs_in_and_out(blob_chan *ch, struct ledger *l)
{
	TT_GROUP(g);
	tt_go(&g, all_put_blobs, ch, l);
	for (unsigned i = 0; i < 2; i++)
		tt_go_with(&g, &anywhere, take_blobs, ch, i);
	return tt_group_end(&g, 0);
}

/* With slots, drops, sizes and cancels on several workers each item ends in one place, and all
 * room and all bytes come back. */
TT_TEST(channel, room_and_bytes_are_conserved)
{
	/* laws 3, 4, 5 */
	struct ledger l = { { 0 }, { 0 }, { 0 } };
	int received = 0;
	blob_chan ch;

	REQUIRE_OK(tt_chan_init_bytes(&ch, 3, 100));
	EXPECT_CODE(blobs_in_and_out(&ch, &l), 0);
	EXPECT_EQ(tt_chan_len(&ch), 0u);
	tt_chan_fini(&ch);
	for (int i = 0; i < BLOBS; i++) {
		EXPECT_EQ(l.received[i] + l.kept[i] + l.destroyed[i], 1);
		received += l.received[i];
	}
	EXPECT_GT(received, 0);
}

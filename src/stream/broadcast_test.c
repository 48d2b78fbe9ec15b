/* SPDX-License-Identifier: MIT */
/*
 * broadcast_test.c - broadcast: everybody sees everything, who falls behind is told; checked
 * against a model that keeps every item ever sent.
 */
#include <string.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

TT_TEST_MAIN()

TT_BROADCAST_TYPE(news, int);

static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };

static uint64_t next_random(uint64_t *state)
{
	/* xorshift64 (Marsaglia, 2003). */
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Each subscriber sees each item, from when it subscribed, in order; one that came later sees
 * only what was sent later. */
TT_TEST(broadcast, everybody_sees_everything)
{
	news n;
	news_sub a, b;
	int got = -1;

	REQUIRE_OK(tt_broadcast_init(&n, 4));
	EXPECT_CODE(tt_broadcast_send(&n, &(int){ 0 }), 0);
	tt_subscribe(&n, &a);
	EXPECT_CODE(tt_broadcast_try_recv(&a, &got, NULL), TT_EAGAIN);
	EXPECT_CODE(tt_broadcast_send(&n, &(int){ 1 }), 0);
	tt_subscribe(&n, &b);
	EXPECT_CODE(tt_broadcast_send(&n, &(int){ 2 }), 0);
	EXPECT_EQ(tt_broadcast_recv(&a, &got, NULL), 1);
	EXPECT_EQ(got, 1);
	EXPECT_EQ(tt_broadcast_recv(&a, &got, NULL), 1);
	EXPECT_EQ(got, 2);
	EXPECT_EQ(tt_broadcast_recv(&b, &got, NULL), 1);
	EXPECT_EQ(got, 2);
	EXPECT_CODE(tt_broadcast_try_recv(&b, &got, NULL), TT_EAGAIN);
	tt_broadcast_close(&n);
	EXPECT_CODE(tt_broadcast_send(&n, &(int){ 3 }), TT_ECLOSED);
	EXPECT_EQ(tt_broadcast_recv(&a, &got, NULL), 0);
	EXPECT_EQ(got, 2);
	tt_broadcast_fini(&n);
}

/* Who falls behind is told how many it missed, goes on with the oldest that is left, and loses
 * no more than that. */
TT_TEST(broadcast, falling_behind_is_told)
{
	uint64_t missed = 99;
	int got = -1, rc = 9;
	news n;
	news_sub sub;

	REQUIRE_OK(tt_broadcast_init(&n, 3));
	tt_subscribe(&n, &sub);
	for (int i = 0; i < 3; i++)
		EXPECT_CODE(tt_broadcast_send(&n, &i), 0);
	EXPECT_EQ(tt_broadcast_recv(&sub, &got, &missed), 1);
	EXPECT_EQ(got, 0);
	EXPECT_EQ(missed, 99u);
	for (int i = 3; i < 8; i++)
		EXPECT_CODE(tt_broadcast_send(&n, &i), 0);
	EXPECT_CODE(tt_broadcast_recv(&sub, &got, &missed), TT_EOVERFLOW);
	EXPECT_EQ(missed, 4u);
	EXPECT_EQ(got, 0);
	for (int i = 5; i < 8; i++) {
		EXPECT_EQ(tt_broadcast_try_recv(&sub, &got, &missed), 1);
		EXPECT_EQ(got, i);
	}
	for (int i = 0; i < 4; i++)
		EXPECT_CODE(tt_broadcast_send(&n, &i), 0);
	EXPECT_CODE(tt_select(TT_ON_BROADCAST(&sub, &got)), TT_EOVERFLOW);
	EXPECT_EQ(tt_broadcast_missed(&sub), 5u);
	EXPECT_CODE(tt_select(TT_ON_BROADCAST_RC(&sub, &got, &rc)), 0);
	EXPECT_EQ(rc, 1);
	EXPECT_EQ(got, 1);
	tt_broadcast_close(&n);
	EXPECT_EQ(tt_broadcast_recv(&sub, &got, NULL), 1);
	EXPECT_EQ(tt_broadcast_recv(&sub, &got, NULL), 1);
	EXPECT_CODE(tt_select(TT_ON_BROADCAST(&sub, &got)), TT_ECLOSED);
	tt_broadcast_fini(&n);
}

static TT_TASK(recv_one, (news_sub, sub), (int *, ret_v), (int *, ret_rc))
{
	*ret_rc = tt_broadcast_recv(&sub, ret_v, NULL);
	return 0;
}

static int five_wait(news *n, bool close, int *got, int *rc)
{
	news_sub sub;

	tt_subscribe(n, &sub);
	TT_GROUP(g);
	for (int i = 0; i < 5; i++)
		tt_go_with(&g, &anywhere, recv_one, sub, &got[i], &rc[i]);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	if (close)
		tt_broadcast_close(n);
	else
		TT_TRY_IN(&g, tt_broadcast_send(n, &(int){ 7 }));
	return tt_group_end(&g, 0);
}

/* Everybody who waits gets the item, or hears of the end. */
TT_TEST(broadcast, wakes_everybody)
{
	/* law 5 */
	for (int close = 0; close < 2; close++) {
		int got[5] = { 0 }, rc[5] = { 9, 9, 9, 9, 9 };
		news n;

		REQUIRE_OK(tt_broadcast_init(&n, 1));
		EXPECT_CODE(five_wait(&n, close, got, rc), 0);
		for (int i = 0; i < 5; i++) {
			EXPECT_EQ(rc[i], !close);
			EXPECT_EQ(got[i], close ? 0 : 7);
		}
		tt_broadcast_fini(&n);
	}
}

/* A cancelled receive took nothing: the item is still to come. */
TT_TEST(broadcast, a_cancelled_recv_took_nothing)
{
	news n;
	news_sub sub;
	int got = -1;

	REQUIRE_OK(tt_broadcast_init(&n, 2));
	tt_subscribe(&n, &sub);
	EXPECT_CODE(TT_WITHIN(TT_MS(1), tt_broadcast_recv(&sub, &got, NULL)), TT_ETIMEDOUT);
	EXPECT_CODE(tt_broadcast_send(&n, &(int){ 5 }), 0);
	EXPECT_CODE(TT_WITHIN(0, tt_broadcast_recv(&sub, &got, NULL)), TT_ETIMEDOUT);
	EXPECT_EQ(got, -1);
	EXPECT_EQ(tt_broadcast_recv(&sub, &got, NULL), 1);
	EXPECT_EQ(got, 5);
	tt_broadcast_fini(&n);
}

/* What cannot be made is refused; no memory is -ENOMEM. */
TT_TEST(broadcast, init_refuses)
{
	news n;
	int rc;

	EXPECT_CODE(tt_broadcast_init(&n, 0), TT_EINVAL);
	EXPECT_CODE(tt_broadcast_init(&n, SIZE_MAX / 2), TT_EINVAL);
	tt_test_fail_alloc_at(1);
	rc = tt_broadcast_init(&n, 4);
	tt_test_fail_nothing();
	EXPECT_CODE(rc, TT_ENOMEM);
	tt_broadcast_fini(&n);
	tt_broadcast_fini((news *)NULL);
}

static int fini_under_a_waiter(news *n)
{
	news_sub sub;
	int got, rc;

	tt_subscribe(n, &sub);
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, recv_one, sub, &got, &rc);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	EXPECT_ABORTS(tt_broadcast_fini(n), "tt_broadcast_fini: task recv_one#");
	tt_group_cancel(&g);
	return tt_group_end(&g, 0);
}

/* Misuse is named. */
TT_TEST(broadcast, misuse_aborts)
{
	static news never;
	static news_sub nobody;
	news n;
	int got;

	EXPECT_ABORTS(TT_IGNORE(tt_broadcast_send(&never, &got)), "tt_broadcast_send: the broadcast is not initialised");
	EXPECT_ABORTS(TT_IGNORE(tt_broadcast_recv(&nobody, &got, NULL)), "tt_broadcast_recv: not subscribed");
	REQUIRE_OK(tt_broadcast_init(&n, 1));
	EXPECT_CODE(fini_under_a_waiter(&n), 0);
	tt_broadcast_fini(&n);
}

/* ---- against a model ---- */

#define ITEMS 300

/* The model: items carry their number, so that what a subscriber sees tells what it missed.
 * It must see a rising sequence without gaps, but for those it was told of. */
static TT_TASK(listen, (news_sub, sub), (unsigned, id), (int *, ret_end))
{
	uint64_t r = (tt_test_seed() + 1) * UINT64_C(0x9e3779b97f4a7c15) + id;
	int next = 0, got = -1, rc, seen_end = 0;

	while (!seen_end) {
		uint64_t missed = 0;

		rc = TT_WITHIN((int64_t)(next_random(&r) % 60) * TT_US(1), tt_broadcast_recv(&sub, &got, &missed));
		switch (rc) {
		case 1:
			EXPECT_EQ(got, next);
			next = got + 1;
			break;
		case TT_EOVERFLOW:
			EXPECT_GT(missed, 0u);
			next += (int)missed;
			break;
		case 0:
			seen_end = 1;
			break;
		default:
			TT_TRY(rc == TT_ETIMEDOUT ? 0 : rc);
		}
		if (next_random(&r) % 4 == 0)
			TT_TRY(tt_sleep((int64_t)(next_random(&r) % 90) * TT_US(1)));
	}
	*ret_end = next;
	return 0;
}

static int speak(news *n, uint64_t *r)
{
	for (int i = 0; i < ITEMS; i++) {
		TT_TRY(tt_broadcast_send(n, &i));
		if (next_random(r) % 3 == 0)
			TT_TRY(tt_sleep((int64_t)(next_random(r) % 40) * TT_US(1)));
	}
	tt_broadcast_close(n);
	return 0;
}

static int listeners_and_speaker(news *n, int *ends)
{
	uint64_t r = (tt_test_seed() + 1) * UINT64_C(0xbf58476d1ce4e5b9);
	news_sub sub;
	int rc;

	tt_subscribe(n, &sub);
	TT_GROUP(g);
	for (unsigned i = 0; i < 4; i++)
		tt_go_with(&g, &anywhere, listen, sub, i, &ends[i]);
	rc = speak(n, &r);
	return tt_group_finish(&g, rc);
}

/* With cancels, lag and several workers, each subscriber sees exactly the items that it was
 * not told it missed, in order, up to the last one. */
TT_TEST(broadcast, agrees_with_the_model)
{
	/* laws 4, 5 */
	static const size_t counts[] = { 1, 3, 64 };

	for (int c = 0; c < 3; c++) {
		int ends[4] = { -1, -1, -1, -1 };
		news n;

		REQUIRE_OK(tt_broadcast_init(&n, counts[c]));
		EXPECT_CODE(listeners_and_speaker(&n, ends), 0);
		for (int i = 0; i < 4; i++)
			EXPECT_EQ(ends[i], ITEMS);
		tt_broadcast_fini(&n);
	}
}

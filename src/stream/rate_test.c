/* SPDX-License-Identifier: MIT */
/*
 * rate_test.c - the rate limiter in virtual time: the bound holds in every span, waiters are
 * served in order, one that gives up holds nobody back.
 *
 * test-on: sim1 sim4
 */
#include <tutti/testing.h>
#include <tutti/tutti.h>

TT_TEST_MAIN()

static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };

/* A burst at once, then one by one as they come due. */
TT_TEST(rate, a_burst_then_the_pace)
{
	int64_t start;
	tt_rate r;

	tt_rate_init(&r, 100, TT_SEC(1), 3);
	start = tt_now();
	for (int i = 0; i < 3; i++)
		EXPECT_OK(tt_rate_try_acquire(&r, 1));
	EXPECT_CODE(tt_rate_try_acquire(&r, 1), TT_EAGAIN);
	for (int i = 1; i <= 5; i++) {
		EXPECT_OK(tt_rate_acquire(&r, 1));
		EXPECT_GE(tt_now() - start, i * TT_MS(10));
		EXPECT_LT(tt_now() - start, i * TT_MS(10) + TT_MS(1));
	}
	EXPECT_OK(tt_sleep(TT_SEC(100)));
	EXPECT_OK(tt_rate_try_acquire(&r, 3)); /* no more than the burst was saved */
	EXPECT_CODE(tt_rate_try_acquire(&r, 1), TT_EAGAIN);
	tt_rate_fini(&r);
}

/* More than the burst would wait for ever: refused at once. None is always free. */
TT_TEST(rate, more_than_the_burst_is_refused)
{
	tt_rate r;

	tt_rate_init(&r, 1, TT_SEC(1), 5);
	EXPECT_CODE(tt_rate_acquire(&r, 6), TT_EINVAL);
	EXPECT_CODE(tt_rate_try_acquire(&r, 6), TT_EINVAL);
	EXPECT_OK(tt_rate_acquire(&r, 5));
	EXPECT_OK(tt_rate_acquire(&r, 0));
	EXPECT_CODE(TT_WITHIN(0, tt_rate_acquire(&r, 0)), TT_ETIMEDOUT);
	tt_rate_fini(&r);
}

#define GRANTS 60

struct log {
	int64_t at[GRANTS];
	uint64_t n[GRANTS];
	int who[GRANTS], len;
};

static TT_TASK(takes, (tt_rate *, r), (struct log *, l), (int, who), (uint64_t, n), (int64_t, patience))
{
	int rc = TT_WITHIN(patience, tt_rate_acquire(r, n));

	if (rc < 0)
		return rc == TT_ETIMEDOUT ? 0 : rc;
	l->at[l->len] = tt_now();
	l->n[l->len] = n;
	l->who[l->len++] = who;
	return 0;
}

static int queue_up(tt_rate *r, struct log *l)
{
	TT_GROUP(g);
	TT_TRY_IN(&g, tt_rate_acquire(r, 4));
	/* A large one first, and one in the middle that gives up. */
	for (int i = 0; i < 6; i++) {
		tt_go(&g, takes, r, l, i, (uint64_t)(i == 0 ? 4 : 1), i == 2 ? TT_MS(15) : TT_SEC(100));
		TT_TRY_IN(&g, tt_test_wait_all_parked());
	}
	EXPECT_CODE(tt_rate_try_acquire(r, 1), TT_EAGAIN);
	return tt_group_finish(&g, 0);
}

/* In order, the large one not overtaken; who gave up costs those behind it nothing. */
TT_TEST(rate, waiters_in_order_and_a_cancelled_one_gives_its_time_back)
{
	/* law 8 */
	static const int order[] = { 0, 1, 3, 4, 5 };
	static const int64_t ms[] = { 40, 50, 60, 70, 80 };
	int64_t start = tt_now();
	struct log l = { .len = 0 };
	tt_rate r;

	tt_rate_init(&r, 100, TT_SEC(1), 4);
	EXPECT_OK(queue_up(&r, &l));
	EXPECT_EQ(l.len, 5);
	for (int i = 0; i < 5; i++) {
		EXPECT_EQ(l.who[i], order[i]);
		EXPECT_GE(l.at[i] - start, TT_MS(ms[i]));
		EXPECT_LT(l.at[i] - start, TT_MS(ms[i] + 1));
	}
	tt_rate_fini(&r);
}

static int hand_on_the_head(tt_rate *r, struct log *l)
{
	TT_GROUP(g);
	TT_TRY_IN(&g, tt_rate_acquire(r, 4));
	tt_go(&g, takes, r, l, 0, (uint64_t)4, TT_MS(15)); /* due at 40 ms, gives up at 15 */
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_go(&g, takes, r, l, 1, (uint64_t)1, TT_SEC(100));
	return tt_group_finish(&g, 0);
}

/* The first in line gives up: the next is due by its own count. */
TT_TEST(rate, a_cancelled_head_lets_the_next_in)
{
	/* law 8 */
	int64_t start = tt_now();
	struct log l = { .len = 0 };
	tt_rate r;

	tt_rate_init(&r, 100, TT_SEC(1), 4);
	EXPECT_OK(hand_on_the_head(&r, &l));
	EXPECT_EQ(l.len, 1);
	EXPECT_EQ(l.who[0], 1);
	EXPECT_LT(l.at[0] - start, TT_MS(17));
	tt_rate_fini(&r);
}

static TT_TASK(takes_some, (tt_rate *, r), (tt_chan *, log), (unsigned, id))
{
	uint64_t x = (tt_test_seed() + 1) * UINT64_C(0x9e3779b97f4a7c15) + id;

	for (int i = 0; i < 12; i++) {
		uint64_t n = 1 + (x >> 40) % 3;
		int rc = TT_WITHIN((int64_t)((x >> 20) % 300) * TT_MS(1), tt_rate_acquire(r, n));

		if (rc == 0)
			TT_TRY(tt_send(log, &(int64_t[2]){ tt_now(), (int64_t)n }));
		else if (rc != TT_ETIMEDOUT)
			return rc;
		if ((x >> 50) % 4 == 0)
			TT_TRY(tt_sleep((int64_t)((x >> 30) % 40) * TT_MS(1)));
		x = x * UINT64_C(6364136223846793005) + 1;
	}
	return 0;
}

static int many_take(tt_rate *r, tt_chan *log)
{
	TT_GROUP(g);
	for (unsigned i = 0; i < 5; i++)
		tt_go_with(&g, &anywhere, takes_some, r, log, i);
	return tt_group_end(&g, 0);
}

/* The oracle of GCRA: in any span t no more than burst + t * permits / per, whoever asks from
 * wherever, and however many give up. Times are read after the grant, so a span may look one
 * tick of the timer wheel longer than it was: that is the tolerance. */
TT_TEST(rate, the_bound_holds_in_every_span)
{
	/* laws 4, 5, 8 */
	int64_t at[60][2];
	int len = 0;
	tt_chan log;
	tt_rate r;

	REQUIRE_OK(tt_chan_init_(&log, 60, sizeof(at[0]), NULL));
	tt_rate_init(&r, 3, TT_MS(100), 4); /* a third of 100 ms is no whole number of ns */
	EXPECT_OK(many_take(&r, &log));
	while (tt_try_recv(&log, &at[len]) == 1)
		len++;
	EXPECT_GT(len, 20);
	for (int i = 0; i < len; i++) {
		int64_t used = 0;

		for (int k = i; k < len; k++) {
			used += at[k][1];
			EXPECT_LE((used - 4) * TT_MS(100), (at[k][0] - at[i][0] + TT_US(200)) * 3);
		}
	}
	tt_chan_fini(&log);
	tt_rate_fini(&r);
}

static int fini_under_a_waiter(tt_rate *r)
{
	struct log l = { .len = 0 };

	TT_GROUP(g);
	TT_TRY_IN(&g, tt_rate_acquire(r, 1));
	tt_go(&g, takes, r, &l, 0, (uint64_t)1, TT_SEC(100));
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	EXPECT_ABORTS(tt_rate_fini(r), "task takes#");
	tt_group_cancel(&g);
	return tt_group_end(&g, 0);
}

/* Misuse is named. */
TT_TEST(rate, misuse_aborts)
{
	static tt_rate never;
	tt_rate r;

	EXPECT_ABORTS(tt_rate_init(&r, 0, TT_SEC(1), 1), "tt_rate_init: 0 permits");
	EXPECT_ABORTS(tt_rate_init(&r, 1, 0, 1), "tt_rate_init: 1 permits each 0 ns");
	EXPECT_ABORTS(tt_rate_init(&r, 1, 1, 0), "burst 0");
	EXPECT_ABORTS(TT_IGNORE(tt_rate_acquire(&never, 1)), "tt_rate_acquire: the rate limiter is not initialised");
	tt_rate_init(&r, 1, TT_SEC(1), 1);
	EXPECT_OK(fini_under_a_waiter(&r));
	tt_rate_fini(&r);
	tt_rate_fini(&never);
	tt_rate_fini(NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * watch_test.c - watch: the latest value, once for each change; never torn, never an older one.
 */
#include <tutti/testing.h>
#include <tutti/tutti.h>

TT_TEST_MAIN()

/* Wide enough to be torn: all four agree in a whole value. */
struct value {
	uint64_t part[4];
};
TT_WATCH_TYPE(value_watch, struct value);

static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };

static struct value value_of(uint64_t n)
{
	return (struct value){ { n, n, n, n } };
}

static bool is_whole(const struct value *v)
{
	return v->part[0] == v->part[1] && v->part[1] == v->part[2] && v->part[2] == v->part[3];
}

/* A reader that has seen nothing gets the first value at once; one that has seen the latest
 * waits; one that was slow gets the last of several. */
TT_TEST(watch, the_latest_value_once)
{
	uint64_t seen = 0, other = 0;
	struct value v = value_of(7);
	value_watch w;

	tt_watch_init(&w, &v);
	v = value_of(0);
	EXPECT_EQ(tt_watch_changed(&w, &seen, &v), 1);
	EXPECT_EQ(v.part[3], 7u);
	EXPECT_CODE(TT_WITHIN(TT_MS(1), tt_watch_changed(&w, &seen, &v)), TT_ETIMEDOUT);
	for (uint64_t i = 1; i <= 3; i++) {
		struct value next = value_of(i);

		EXPECT_CODE(tt_watch_set(&w, &next), 0);
	}
	EXPECT_CODE(TT_WITHIN(0, tt_watch_changed(&w, &seen, &v)), TT_ETIMEDOUT);
	EXPECT_EQ(v.part[0], 7u);
	EXPECT_EQ(tt_watch_changed(&w, &seen, &v), 1);
	EXPECT_EQ(v.part[0], 3u);
	EXPECT_EQ(tt_watch_get(&w, &v), seen);
	EXPECT_CODE(tt_select(TT_ON_WATCH(&w, &other, &v)), 0);
	EXPECT_EQ(other, seen);
	tt_watch_fini(&w);
}

/* After the close the latest is still seen, then the end; a set fails. */
TT_TEST(watch, close_comes_after_the_latest)
{
	struct value v = value_of(1);
	uint64_t seen = 0;
	value_watch w;
	int rc = 9;

	tt_watch_init(&w, &v);
	tt_watch_close(&w);
	v = value_of(2);
	EXPECT_CODE(tt_watch_set(&w, &v), TT_ECLOSED);
	EXPECT_EQ(tt_watch_changed(&w, &seen, &v), 1);
	EXPECT_EQ(v.part[0], 1u);
	EXPECT_EQ(tt_watch_changed(&w, &seen, &v), 0);
	EXPECT_CODE(tt_select(TT_ON_WATCH(&w, &seen, &v)), TT_ECLOSED);
	EXPECT_CODE(tt_select(TT_ON_WATCH_RC(&w, &seen, &v, &rc)), 0);
	EXPECT_EQ(rc, 0);
	tt_watch_fini(&w);
}

static TT_TASK(wait_change, (value_watch *, w), (uint64_t, seen), (uint64_t *, ret_v), (int *, ret_rc))
{
	struct value v = value_of(0);

	*ret_rc = tt_watch_changed(w, &seen, &v);
	*ret_v = v.part[0];
	return 0;
}

static int five_wait(value_watch *w, bool close, uint64_t *got, int *rc)
{
	struct value v;
	uint64_t seen = tt_watch_get(w, &v);

	TT_GROUP(g);
	for (int i = 0; i < 5; i++)
		tt_go_with(&g, &anywhere, wait_change, w, seen, &got[i], &rc[i]);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	v = value_of(4);
	if (close)
		tt_watch_close(w);
	else
		TT_TRY_IN(&g, tt_watch_set(w, &v));
	return tt_group_end(&g, 0);
}

/* A change, or the close, wakes everybody who waits. */
TT_TEST(watch, wakes_everybody)
{
	/* law 5 */
	for (int close = 0; close < 2; close++) {
		struct value v = value_of(1);
		uint64_t got[5] = { 0 };
		int rc[5] = { 9, 9, 9, 9, 9 };
		value_watch w;

		tt_watch_init(&w, &v);
		EXPECT_CODE(five_wait(&w, close, got, rc), 0);
		for (int i = 0; i < 5; i++) {
			EXPECT_EQ(rc[i], !close);
			EXPECT_EQ(got[i], close ? 0u : 4u);
		}
		tt_watch_fini(&w);
	}
}

static int fini_under_a_waiter(value_watch *w)
{
	uint64_t got;
	int rc;

	TT_GROUP(g);
	tt_go_with(&g, &anywhere, wait_change, w, (uint64_t)1, &got, &rc);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	EXPECT_ABORTS(tt_watch_fini(w), "tt_watch_fini: task wait_change#");
	tt_group_cancel(&g);
	return tt_group_end(&g, 0);
}

/* Misuse is named. */
TT_TEST(watch, misuse_aborts)
{
	static value_watch never;
	struct value v = value_of(1);
	value_watch w;

	EXPECT_ABORTS(TT_IGNORE(tt_watch_set(&never, &v)), "tt_watch_set: the watch is not initialised");
	tt_watch_init(&w, &v);
	EXPECT_CODE(fini_under_a_waiter(&w), 0);
	tt_watch_fini(&w);
	tt_watch_fini(&w);
	tt_watch_fini((value_watch *)NULL);
}

/* ---- against a model ---- */

#define CHANGES 300

/* The model of a watch is one register: what a reader sees rises strictly and is whole, each
 * value has the number of its set, and the last value is always seen. */
static TT_TASK(follow, (value_watch *, w), (unsigned, id), (uint64_t *, ret_last))
{
	uint64_t seen = 0, last = 0, turn = id;
	struct value v = value_of(0);
	int rc;

	for (;;) {
		rc = TT_WITHIN((int64_t)(turn++ * 7 % 50) * TT_US(1), tt_watch_changed(w, &seen, &v));
		if (rc == 0)
			break;
		if (rc == TT_ETIMEDOUT)
			continue;
		TT_TRY(rc);
		EXPECT_TRUE(is_whole(&v));
		EXPECT_GT(v.part[0], last);
		EXPECT_EQ(v.part[0], seen);
		last = v.part[0];
		if (turn % 3 == 0)
			TT_TRY(tt_sleep((int64_t)(turn * 13 % 60) * TT_US(1)));
	}
	*ret_last = last;
	return 0;
}

static int followers_and_setter(value_watch *w, uint64_t *lasts)
{
	TT_GROUP(g);
	for (unsigned i = 0; i < 4; i++)
		tt_go_with(&g, &anywhere, follow, w, i, &lasts[i]);
	for (uint64_t n = 2; n <= CHANGES; n++) {
		struct value v = value_of(n);

		TT_TRY_IN(&g, tt_watch_set(w, &v));
		if (n % 3 == 0)
			TT_TRY_IN(&g, tt_sleep((int64_t)(n * 11 % 40) * TT_US(1)));
	}
	tt_watch_close(w);
	return tt_group_finish(&g, 0);
}

/* Readers on several workers, some of their waits cut short, agree with the register. */
TT_TEST(watch, agrees_with_the_model)
{
	/* laws 4, 5 */
	struct value v = value_of(1);
	uint64_t lasts[4] = { 0 };
	value_watch w;

	tt_watch_init(&w, &v);
	EXPECT_CODE(followers_and_setter(&w, lasts), 0);
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(lasts[i], (uint64_t)CHANGES);
	tt_watch_fini(&w);
}

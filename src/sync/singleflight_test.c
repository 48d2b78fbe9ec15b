/* SPDX-License-Identifier: MIT */
/*
 * singleflight_test.c - calls for equal keys share one execution, its code and its value.
 */
#include <string.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

TT_TEST_MAIN()

static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };
static const tt_child_options nearby = { .worker = TT_WORKER_HERE };

struct user {
	int id;
	char name[40];
};

TT_FLIGHT_TYPE(user_flight, struct user);

struct store {
	user_flight flight;
	tt_mutex lock; /* guards what follows */
	unsigned runs, good, failed, cancelled, dropped;
	bool fails;
	int64_t takes;
	char text[1024];
};

static void store_init(struct store *s)
{
	*s = (struct store){ .takes = TT_MS(5) };
	tt_flight_init(&s->flight);
	tt_mutex_init(&s->lock);
}

static void store_fini(struct store *s)
{
	tt_flight_fini(&s->flight);
	tt_mutex_fini(&s->lock);
}

static struct store *dropped_in;

static void drop_number(int n)
{
	TT_LOCK(&dropped_in->lock);

	EXPECT_EQ(n, 7);
	dropped_in->dropped++;
}

static TT_TASK(load, (struct store *, s), (const char *, name), (struct user *, ret), (int, n, drop_number))
{
	drop_number(n);
	tt_mutex_lock_shielded_(&s->lock);
	s->runs++;
	tt_mutex_unlock(&s->lock);
	TT_TRY(tt_sleep(s->takes));
	if (s->fails)
		return tt_fail(TT_EPROTO, "no user %s", name);
	ret->id = 5;
	strcpy(ret->name, name);
	return 3;
}

static void count(struct store *s, int rc)
{
	TT_LOCK(&s->lock);

	s->good += rc == 3;
	s->failed += rc == TT_EPROTO;
	s->cancelled += rc == TT_ECANCELED || rc == TT_ETIMEDOUT;
}

static int get(struct store *s, const char *name)
{
	struct user u = { .id = 0 };
	char key[40];
	int rc;

	strcpy(key, name); /* each caller's key is its own memory */
	rc = tt_flight_do(&s->flight, tt_key_text(key), &u, load, s, name, &u, 7);
	if (rc >= 0) {
		EXPECT_EQ(u.id, 5);
		EXPECT_STR_EQ(u.name, name);
	} else {
		EXPECT_EQ(u.id, 0);
	}
	return rc;
}

static TT_TASK(gets, (struct store *, s), (const char *, name))
{
	count(s, get(s, name));
	return 0;
}

static int many_get(struct store *s)
{
	TT_GROUP(g);
	for (int i = 0; i < 6; i++)
		tt_go_with(&g, &anywhere, gets, s, i % 2 == 0 ? "ann" : "bob");
	return tt_group_end(&g, 0);
}

/* Equal keys in flight share one execution and its value; different ones do not; later calls
 * run again. Arguments end once for each caller. */
TT_TEST(flight, equal_keys_share)
{
	/* law 5 */
	struct store s;

	store_init(&s);
	dropped_in = &s;
	s.takes = TT_MS(300); /* longer than a busy machine needs to start them all */
	EXPECT_CODE(many_get(&s), 0);
	EXPECT_EQ(s.runs, 2u);
	EXPECT_EQ(s.good, 6u);
	EXPECT_EQ(s.dropped, 6u);
	EXPECT_CODE(get(&s, "ann"), 3);
	EXPECT_EQ(s.runs, 3u);
	store_fini(&s);
}

/* Keys are bytes: of equal length and content, the empty one too. */
TT_TEST(flight, keys_are_bytes)
{
	struct store s;
	struct user u;

	store_init(&s);
	dropped_in = &s;
	s.takes = 0;
	EXPECT_CODE(tt_flight_do(&s.flight, tt_key_bytes(NULL, 0), &u, load, &s, "x", &u, 7), 3);
	EXPECT_CODE(tt_flight_do(&s.flight, tt_key_bytes("a\0b", 3), &u, load, &s, "y", &u, 7), 3);
	EXPECT_STR_EQ(u.name, "y");
	store_fini(&s);
}

/* ---- many that wait, by an event rather than by the clock ---- */

struct gated {
	user_flight flight;
	tt_semaphore gate;
	tt_canceller *victim;
	unsigned runs;
	int load_rc;
	int rc[4];
	struct user user[4];
};

static void gated_init(struct gated *s, int load_rc)
{
	*s = (struct gated){ .load_rc = load_rc };
	tt_flight_init(&s->flight);
	tt_semaphore_init(&s->gate, 0);
}

static void gated_fini(struct gated *s)
{
	tt_flight_fini(&s->flight);
	tt_semaphore_fini(&s->gate);
}

static TT_TASK(load_gated, (struct gated *, s), (struct user *, ret))
{
	s->runs++;
	TT_TRY(tt_semaphore_acquire(&s->gate, 1));
	if (s->victim != NULL)
		tt_cancel(s->victim); /* on this worker, so that it is in line still when this returns */
	ret->id = 5;
	return s->load_rc;
}

static TT_TASK(gets_gated, (struct gated *, s), (unsigned, i), (tt_key, key))
{
	s->rc[i] = tt_flight_do(&s->flight, key, &s->user[i], load_gated, s, &s->user[i]);
	return 0;
}

static int all_get(struct gated *s, const tt_key keys[4])
{
	TT_GROUP(g);
	for (unsigned i = 0; i < 4; i++) {
		tt_go_with(&g, &nearby, gets_gated, s, i, keys[i]);
		TT_TRY_IN(&g, tt_test_wait_all_parked());
	}
	tt_semaphore_release(&s->gate, s->runs);
	return tt_group_end(&g, 0);
}

/* The empty key is one like others. */
TT_TEST(flight, empty_keys_share)
{
	const tt_key keys[4] = { { NULL, 0 }, { "", 0 }, { "x", 0 }, { NULL, 0 } };
	struct gated s;

	gated_init(&s, 3);
	EXPECT_CODE(all_get(&s, keys), 0);
	EXPECT_EQ(s.runs, 1u);
	for (unsigned i = 0; i < 4; i++) {
		EXPECT_EQ(s.rc[i], 3);
		EXPECT_EQ(s.user[i].id, 5);
	}
	gated_fini(&s);
}

/* Keys that differ do not share, though they may have one hash: that of each of these is 0. */
TT_TEST(flight, keys_of_one_hash_do_not_share)
{
	static const char zero[10] = "\xd5\x6b\xb9\x53\x42\x87\x08\x36";
	const tt_key keys[4] = { { zero, 8 }, { zero, 9 }, { zero, 10 }, { "!0IC=VloaY", 10 } };
	struct gated s;

	gated_init(&s, 3);
	EXPECT_CODE(all_get(&s, keys), 0);
	EXPECT_EQ(s.runs, 4u);
	for (unsigned i = 0; i < 4; i++)
		EXPECT_EQ(s.user[i].id, 5);
	gated_fini(&s);
}

/* "Cancelled", said by one that was not, is a result like any other: nobody takes over. */
TT_TEST(flight, cancelled_is_a_result_of_who_was_not)
{
	const tt_key keys[4] = { { "a", 1 }, { "a", 1 }, { "a", 1 }, { "a", 1 } };
	struct gated s;

	gated_init(&s, TT_ECANCELED);
	EXPECT_CODE(all_get(&s, keys), 0);
	EXPECT_EQ(s.runs, 1u);
	for (unsigned i = 0; i < 4; i++)
		EXPECT_CODE(s.rc[i], TT_ECANCELED);
	gated_fini(&s);
}

static __attribute__((noinline)) bool stack_stays_zero(void)
{
	volatile unsigned char area[2048];
	bool zero = true;

	for (size_t i = 0; i < sizeof(area); i++)
		area[i] = 0;
	if (tt_test_wait_all_parked() < 0)
		return false;
	for (size_t i = 0; i < sizeof(area); i++)
		zero = zero && area[i] == 0;
	return zero;
}

/* The one that runs; when it has returned, nobody may write to where its call was. */
static TT_TASK(gets_and_looks, (struct gated *, s), (bool *, ret_untouched))
{
	TT_IGNORE(gets_gated(s, 0, tt_key_text("a")));
	*ret_untouched = stack_stays_zero();
	return 0;
}

static TT_TASK(gets_as_victim, (struct gated *, s))
{
	TT_SCOPE(sc, TT_NEVER);
	s->victim = tt_scope_canceller(&sc);
	TT_IGNORE(gets_gated(s, 1, tt_key_text("a")));
	return tt_scope_end(&sc, 0);
}

static int get_with_a_victim(struct gated *s, bool *ret_untouched)
{
	TT_GROUP(g);
	tt_go_with(&g, &nearby, gets_and_looks, s, ret_untouched);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_go_with(&g, &nearby, gets_as_victim, s);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_go_with(&g, &nearby, gets_gated, s, 2, tt_key_text("a"));
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_semaphore_release(&s->gate, 1);
	return tt_group_end(&g, 0);
}

/* One that is cancelled while the call ends gets nothing of it, and leaves by itself: from a line
 * that is gone with the call. */
TT_TEST(flight, cancelled_as_the_call_ends)
{
	/* law 4 */
	bool untouched = false;
	struct gated s;

	gated_init(&s, 3);
	EXPECT_CODE(get_with_a_victim(&s, &untouched), 0);
	EXPECT_TRUE(untouched);
	EXPECT_EQ(s.rc[0], 3);
	EXPECT_CODE(s.rc[1], TT_ECANCELED);
	EXPECT_EQ(s.user[1].id, 0);
	EXPECT_EQ(s.rc[2], 3);
	EXPECT_EQ(s.user[2].id, 5);
	EXPECT_EQ(s.runs, 1u);
	tt_canceller_put(s.victim);
	gated_fini(&s);
}

static int all_give_up(struct gated *s)
{
	TT_GROUP(g);
	for (unsigned i = 0; i < 3; i++) {
		tt_go_with(&g, &nearby, gets_gated, s, i, tt_key_text("a"));
		TT_TRY_IN(&g, tt_test_wait_all_parked());
	}
	tt_group_cancel(&g);
	return tt_group_end(&g, 0);
}

/* Nobody is left to take over: the call ends, and the key is free. */
TT_TEST(flight, all_are_cancelled_at_once)
{
	/* law 4 */
	const tt_key keys[4] = { { "a", 1 }, { "a", 1 }, { "a", 1 }, { "a", 1 } };
	struct gated s;

	gated_init(&s, 3);
	TT_IGNORE(all_give_up(&s));
	for (unsigned i = 0; i < 3; i++)
		EXPECT_CODE(s.rc[i], TT_ECANCELED);
	EXPECT_EQ(s.runs, 1u);
	s.runs = 0;
	EXPECT_CODE(all_get(&s, keys), 0);
	EXPECT_EQ(s.runs, 1u);
	EXPECT_EQ(s.rc[3], 3);
	gated_fini(&s);
}

/* A failure is everybody's, with its text. */
TT_TEST(flight, a_failure_is_shared_with_its_text)
{
	/* law 5 */
	struct store s;

	store_init(&s);
	dropped_in = &s;
	s.fails = true;
	s.takes = TT_MS(300);
	EXPECT_CODE(many_get(&s), 0);
	EXPECT_EQ(s.runs, 2u);
	EXPECT_EQ(s.failed, 6u);
	EXPECT_EQ(s.dropped, 6u);
	store_fini(&s);
}

static TT_TASK(gets_and_tells, (struct store *, s))
{
	tt_error e;
	int rc = get(s, "ann");

	tt_error_take(&e, rc);
	tt_error_text(&e, s->text, sizeof(s->text));
	tt_error_fini(&e);
	return 0;
}

static int two_get(struct store *s)
{
	TT_GROUP(g);
	tt_go_with(&g, &nearby, gets, s, "ann");
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_go_with(&g, &anywhere, gets_and_tells, s);
	return tt_group_end(&g, 0);
}

TT_TEST(flight, the_text_says_who_failed_and_where)
{
	/* law 5 */
	struct store s;

	store_init(&s);
	dropped_in = &s;
	s.fails = true;
	s.takes = TT_MS(30);
	EXPECT_CODE(two_get(&s), 0);
	EXPECT_EQ(s.runs, 1u);
	EXPECT_TRUE(strstr(s.text, "failed in task gets#") != NULL);
	EXPECT_TRUE(strstr(s.text, "in load, src/sync/singleflight_test.c:") != NULL);
	EXPECT_TRUE(strstr(s.text, "no user ann") != NULL);
	store_fini(&s);
}

/* ---- cancels ---- */

static TT_TASK(gets_cancellable, (struct store *, s), (tt_canceller **, ret_c))
{
	TT_SCOPE(sc, TT_NEVER);
	*ret_c = tt_scope_canceller(&sc);
	count(s, get(s, "ann"));
	return tt_scope_end(&sc, 0);
}

static int the_first_gives_up(struct store *s, bool second_too)
{
	tt_canceller *first = NULL, *second = NULL;

	TT_GROUP(g);
	tt_go_with(&g, &nearby, gets_cancellable, s, &first);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_go_with(&g, &nearby, gets_cancellable, s, &second);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_go_with(&g, &anywhere, gets, s, "ann");
	tt_go_with(&g, &anywhere, gets, s, "ann");
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_cancel(first);
	if (second_too)
		tt_cancel(second);
	tt_canceller_put(first);
	tt_canceller_put(second);
	return tt_group_end(&g, 0);
}

/* The one that ran is cancelled: one that waits takes over, and serves the others. */
TT_TEST(flight, a_cancelled_one_hands_over)
{
	/* laws 4, 5 */
	struct store s;

	store_init(&s);
	dropped_in = &s;
	s.takes = TT_MS(500); /* longer than a busy machine needs until all are parked */
	EXPECT_CODE(the_first_gives_up(&s, false), 0);
	EXPECT_EQ(s.runs, 2u);
	EXPECT_EQ(s.cancelled, 1u);
	EXPECT_EQ(s.good, 3u);
	EXPECT_CODE(the_first_gives_up(&s, true), 0);
	EXPECT_EQ(s.cancelled, 3u);
	EXPECT_EQ(s.good, 5u);
	EXPECT_EQ(s.dropped, 8u);
	store_fini(&s);
}

/* A cancelled caller does not start it; one that waits alone leaves it without a trace. */
TT_TEST(flight, a_cancelled_caller_had_no_effect)
{
	struct store s;

	store_init(&s);
	dropped_in = &s;
	EXPECT_CODE(TT_WITHIN(0, get(&s, "ann")), TT_ETIMEDOUT);
	EXPECT_EQ(s.runs, 0u);
	EXPECT_EQ(s.dropped, 1u);
	EXPECT_CODE(TT_WITHIN(TT_MS(1), get(&s, "ann")), TT_ETIMEDOUT);
	EXPECT_EQ(s.runs, 1u);
	EXPECT_CODE(get(&s, "ann"), 3);
	store_fini(&s);
}

/* ---- misuse ---- */

static TT_TASK(load_again, (struct store *, s), (struct user *, ret))
{
	return tt_flight_do(&s->flight, tt_key_text("ann"), ret, load, s, "ann", ret, 7);
}

static int fini_in_flight(struct store *s)
{
	TT_GROUP(g);
	tt_go(&g, gets, s, "ann");
	TT_TRY_IN(&g, tt_yield());
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	EXPECT_ABORTS(tt_flight_fini(&s->flight), "load runs since src/sync/singleflight_test.c:");
	return tt_group_end(&g, 0);
}

static user_flight no_flight;

/* Asking for its own key is an error, ending it in flight aborts. */
TT_TEST(flight, misuse)
{
	struct store s;
	struct user u = { .id = 0 };

	store_init(&s);
	dropped_in = &s;
	EXPECT_CODE(tt_flight_do(&s.flight, tt_key_text("ann"), &u, load_again, &s, &u), TT_EDEADLK);
	EXPECT_EQ(s.runs, 0u);
	s.takes = TT_MS(50);
	EXPECT_CODE(fini_in_flight(&s), 0);
	EXPECT_ABORTS(TT_IGNORE(tt_flight_do(&no_flight, tt_key_text("ann"), &u, load_again, &s, &u)),
	              "the flight is not initialised");
	tt_flight_fini(&no_flight);
	tt_flight_fini_(NULL);
	store_fini(&s);
}

/* SPDX-License-Identifier: MIT */
/*
 * barrier_test.c - rounds, leaders, breakage; and the latch.
 */
#include <tutti/testing.h>
#include <tutti/tutti.h>

#include <sys/mman.h>

TT_TEST_MAIN()

#define PAGE 4096

static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };

struct meeting {
	tt_barrier b;
	tt_mutex lock; /* guards the counts */
	unsigned leaders, followers, broken, cancelled, rounds_seen[8];
};

static void meeting_init(struct meeting *m, unsigned parties)
{
	*m = (struct meeting){ .leaders = 0 };
	tt_barrier_init(&m->b, parties);
	tt_mutex_init(&m->lock);
}

static void meeting_fini(struct meeting *m)
{
	tt_barrier_fini(&m->b);
	tt_mutex_fini(&m->lock);
}

static void count(struct meeting *m, int rc)
{
	TT_LOCK(&m->lock);

	m->leaders += rc == 1;
	m->followers += rc == 0;
	m->broken += rc == TT_EBROKEN;
	m->cancelled += rc == TT_ECANCELED || rc == TT_ETIMEDOUT;
}

/* ---- rounds ---- */

#define PARTIES 4
#define ROUNDS 6

static TT_TASK(party, (struct meeting *, m), (unsigned, id))
{
	for (unsigned round = 0; round < ROUNDS; round++) {
		int rc;

		if (id % 2 == 0)
			TT_TRY(tt_sleep(TT_US(id)));
		tt_mutex_lock_shielded_(&m->lock);
		m->rounds_seen[round]++;
		tt_mutex_unlock(&m->lock);
		rc = tt_barrier_wait(&m->b);
		count(m, rc);
		if (rc < 0)
			return rc;
		/* Nobody is through before all have come. */
		tt_mutex_lock_shielded_(&m->lock);
		EXPECT_EQ(m->rounds_seen[round], (unsigned)PARTIES);
		tt_mutex_unlock(&m->lock);
	}
	return 0;
}

static int all_parties(struct meeting *m)
{
	TT_GROUP(g);
	for (unsigned i = 0; i < PARTIES; i++)
		tt_go_with(&g, &anywhere, party, m, i);
	return tt_group_end(&g, 0);
}

/* Nobody goes on before all have arrived, in every round, and each round has one leader. */
TT_TEST(barrier, rounds_complete_with_one_leader_each)
{
	/* law 5 */
	struct meeting m;

	meeting_init(&m, PARTIES);
	EXPECT_CODE(all_parties(&m), 0);
	EXPECT_EQ(m.leaders, (unsigned)ROUNDS);
	EXPECT_EQ(m.followers, (unsigned)ROUNDS * (PARTIES - 1));
	EXPECT_FALSE(tt_barrier_is_broken(&m.b));
	meeting_fini(&m);
}

/* A barrier of one is always complete, and its party the leader. */
TT_TEST(barrier, one_party_leads_itself)
{
	tt_barrier b;

	tt_barrier_init(&b, 1);
	for (int i = 0; i < 3; i++)
		EXPECT_CODE(tt_barrier_wait(&b), 1);
	tt_barrier_fini(&b);
}

/* ---- breakage ---- */

static TT_TASK(arrives, (struct meeting *, m))
{
	count(m, tt_barrier_wait(&m->b));
	return 0;
}

static TT_TASK(arrives_for_a_while, (struct meeting *, m))
{
	count(m, TT_WITHIN(TT_MS(1), tt_barrier_wait(&m->b)));
	return 0;
}

static int one_gives_up(struct meeting *m)
{
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, arrives, m);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_go_with(&g, &anywhere, arrives_for_a_while, m);
	return tt_group_end(&g, 0);
}

/* A party whose time runs out breaks the barrier for those who wait, and for those who come. */
TT_TEST(barrier, a_cancelled_party_breaks_it)
{
	/* law 5 */
	struct meeting m;

	meeting_init(&m, 3);
	EXPECT_CODE(one_gives_up(&m), 0);
	EXPECT_EQ(m.cancelled, 1u);
	EXPECT_EQ(m.broken, 1u);
	EXPECT_TRUE(tt_barrier_is_broken(&m.b));
	EXPECT_CODE(tt_barrier_wait(&m.b), TT_EBROKEN);
	EXPECT_STR_EQ(tt_error_name(TT_EBROKEN), "TT_EBROKEN");
	EXPECT_STR_EQ(tt_strerror(TT_EBROKEN), "Barrier is broken: a party was cancelled or failed");
	meeting_fini(&m);
}

static int one_is_cancelled_before(struct meeting *m)
{
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, arrives, m);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	EXPECT_CODE(TT_WITHIN(0, tt_barrier_wait(&m->b)), TT_ETIMEDOUT);
	return tt_group_end(&g, 0);
}

/* One that is cancelled when it comes breaks it as well: it will not be there. */
TT_TEST(barrier, a_party_cancelled_on_entry_breaks_it)
{
	/* law 5 */
	struct meeting m;

	meeting_init(&m, 3);
	EXPECT_CODE(one_is_cancelled_before(&m), 0);
	EXPECT_EQ(m.broken, 1u);
	meeting_fini(&m);
}

static int broken_by_a_failed_party(struct meeting *m)
{
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, arrives, m);
	tt_go_with(&g, &anywhere, arrives, m);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_barrier_break(&m->b);
	tt_barrier_break(&m->b);
	return tt_group_end(&g, 0);
}

/* tt_barrier_break tells all who wait; after a reset the barrier is as new. */
TT_TEST(barrier, break_and_reset)
{
	/* law 5 */
	struct meeting m;

	meeting_init(&m, 4);
	EXPECT_CODE(broken_by_a_failed_party(&m), 0);
	EXPECT_EQ(m.broken, 2u);
	EXPECT_CODE(tt_barrier_wait(&m.b), TT_EBROKEN);
	tt_barrier_reset(&m.b);
	EXPECT_FALSE(tt_barrier_is_broken(&m.b));
	EXPECT_CODE(all_parties(&m), 0);
	EXPECT_EQ(m.leaders, (unsigned)ROUNDS);
	meeting_fini(&m);
}

static int reset_with_waiters(struct meeting *m)
{
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, arrives, m);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_barrier_reset(&m->b);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	EXPECT_EQ(m->broken, 1u);
	tt_go_with(&g, &anywhere, arrives, m);
	tt_go_with(&g, &anywhere, arrives, m);
	return tt_group_end(&g, 0);
}

/* Who waits when it is reset does not count for the next round. */
TT_TEST(barrier, reset_ends_the_round_for_those_who_wait)
{
	/* law 5 */
	struct meeting m;

	meeting_init(&m, 2);
	EXPECT_CODE(reset_with_waiters(&m), 0);
	EXPECT_EQ(m.broken, 1u);
	EXPECT_EQ(m.leaders, 1u);
	EXPECT_EQ(m.followers, 1u);
	meeting_fini(&m);
}

/* ---- a cancel in the moment between ---- */

static TT_TASK(arrives_cancellable, (struct meeting *, m), (tt_canceller **, ret_c), (int *, ret_rc))
{
	TT_SCOPE(s, TT_NEVER);
	*ret_c = tt_scope_canceller(&s);
	*ret_rc = tt_barrier_wait(&m->b);
	return tt_scope_end(&s, 0);
}

static const tt_child_options nearby = { .worker = TT_WORKER_HERE };

static int completed_then_cancelled(struct meeting *m, bool cancel_first, int *ret_other, int *ret_mine)
{
	tt_canceller *c = NULL;

	TT_GROUP(g);
	tt_go_with(&g, &nearby, arrives_cancellable, m, &c, ret_other);
	tt_go_with(&g, &nearby, arrives, m);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	if (cancel_first)
		tt_cancel(c);
	*ret_mine = tt_barrier_wait(&m->b);
	if (!cancel_first)
		tt_cancel(c);
	tt_canceller_put(c);
	return tt_group_end(&g, 0);
}

/* A party whose round was complete before the cancel came is through. */
TT_TEST(barrier, a_complete_round_is_not_cancelled)
{
	struct meeting m;
	int other = 9, mine = 9;

	meeting_init(&m, 3);
	EXPECT_CODE(completed_then_cancelled(&m, false, &other, &mine), 0);
	EXPECT_CODE(other, 0);
	EXPECT_CODE(mine, 1);
	EXPECT_EQ(m.followers, 1u);
	EXPECT_FALSE(tt_barrier_is_broken(&m.b));
	meeting_fini(&m);
}

/* The last party comes when another one was just cancelled and has not run yet: nobody is told
 * that all were there. */
TT_TEST(barrier, a_round_is_complete_for_all_or_for_nobody)
{
	/* law 4 */
	struct meeting m;
	int other = 9, mine = 9;

	meeting_init(&m, 3);
	EXPECT_CODE(completed_then_cancelled(&m, true, &other, &mine), 0);
	EXPECT_CODE(other, TT_ECANCELED);
	EXPECT_CODE(mine, TT_EBROKEN);
	EXPECT_EQ(m.broken, 1u);
	EXPECT_EQ(m.leaders + m.followers, 0u);
	meeting_fini(&m);
}

static int reset_past_a_cancelled_one(struct meeting *m)
{
	tt_canceller *c = NULL;
	int rc = 9;

	TT_GROUP(g);
	tt_go_with(&g, &nearby, arrives_cancellable, m, &c, &rc);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_cancel(c);
	tt_canceller_put(c);
	tt_barrier_reset(&m->b);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	EXPECT_CODE(rc, TT_ECANCELED);
	EXPECT_FALSE(tt_barrier_is_broken(&m->b));
	return tt_group_end(&g, 0);
}

/* One that is still on its way out of an earlier round does not break the next. */
TT_TEST(barrier, a_cancelled_one_breaks_its_own_round_only)
{
	/* law 4 */
	struct meeting m;

	meeting_init(&m, 2);
	EXPECT_CODE(reset_past_a_cancelled_one(&m), 0);
	meeting_fini(&m);
}

/* ---- misuse ---- */

static tt_barrier no_barrier;
static tt_latch no_latch;

static int fini_with_a_waiter(struct meeting *m)
{
	TT_GROUP(g);
	tt_go(&g, arrives, m);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	EXPECT_ABORTS(tt_barrier_fini(&m->b), "tt_barrier_fini: task arrives#");
	tt_barrier_break(&m->b);
	return tt_group_end(&g, 0);
}

TT_TEST(barrier, misuse_aborts)
{
	struct meeting m;

	meeting_init(&m, 2);
	EXPECT_CODE(fini_with_a_waiter(&m), 0);
	meeting_fini(&m);
	tt_barrier_fini(NULL);
	tt_barrier_fini(&no_barrier);
	EXPECT_ABORTS(tt_barrier_init(&m.b, 0), "tt_barrier_init: no parties");
	EXPECT_ABORTS(TT_IGNORE(tt_barrier_wait(&no_barrier)), "tt_barrier_wait: the barrier is not initialised");
	EXPECT_ABORTS(tt_barrier_break(&no_barrier), "tt_barrier_break: the barrier is not initialised");
	EXPECT_ABORTS(tt_barrier_reset(&no_barrier), "tt_barrier_reset: the barrier is not initialised");
}

static TT_TASK(waits_in_a_pool_job, (tt_barrier *, b), (tt_latch *, l))
{
	EXPECT_CODE(tt_barrier_wait(b), TT_EWRONGCTX);
	return tt_latch_wait(l);
}

/* A pool job is no party. */
TT_TEST(barrier, pool_jobs_get_a_code)
{
	tt_barrier b;
	tt_latch l;

	tt_barrier_init(&b, 2);
	tt_latch_init(&l, 1);
	EXPECT_CODE(tt_blocking(waits_in_a_pool_job, &b, &l), TT_EWRONGCTX);
	EXPECT_FALSE(tt_barrier_is_broken(&b));
	tt_latch_fini(&l);
	tt_barrier_fini(&b);
}

/* ---- latch ---- */

struct door {
	tt_latch l;
	tt_mutex lock;
	unsigned through;
};

static TT_TASK(walks_through, (struct door *, d))
{
	TT_TRY(tt_latch_wait(&d->l));
	TT_LOCK(&d->lock);
	d->through++;
	return 0;
}

static int opens_after_two(struct door *d)
{
	TT_GROUP(g);
	for (int i = 0; i < 3; i++)
		tt_go_with(&g, &anywhere, walks_through, d);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_latch_count_down(&d->l);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	EXPECT_EQ(d->through, 0u);
	EXPECT_CODE(tt_latch_try_wait(&d->l), TT_EAGAIN);
	EXPECT_CODE(TT_WITHIN(TT_MS(1), tt_latch_wait(&d->l)), TT_ETIMEDOUT);
	tt_latch_count_down(&d->l);
	return tt_group_end(&g, 0);
}

/* The last count down lets everybody through, then and later. */
TT_TEST(latch, opens_once_for_all)
{
	/* law 5 */
	struct door d = { .through = 0 };

	tt_latch_init(&d.l, 2);
	tt_mutex_init(&d.lock);
	EXPECT_CODE(opens_after_two(&d), 0);
	EXPECT_EQ(d.through, 3u);
	EXPECT_CODE(tt_latch_try_wait(&d.l), 0);
	EXPECT_CODE(tt_latch_wait(&d.l), 0);
	EXPECT_CODE(TT_WITHIN(0, tt_latch_wait(&d.l)), TT_ETIMEDOUT);
	EXPECT_ABORTS(tt_latch_count_down(&d.l), "tt_latch_count_down: the latch is open already");
	tt_latch_fini(&d.l);
	tt_mutex_fini(&d.lock);
}

static TT_TASK(ends_it, (tt_latch *, l))
{
	TT_TRY(tt_latch_wait(l));
	tt_latch_fini(l);
	EXPECT_EQ(mprotect(l, PAGE, PROT_NONE), 0);
	return 0;
}

static TT_TASK(goes_through, (tt_latch *, l))
{
	return tt_latch_wait(l);
}

static int ended_by_the_first(tt_latch *l)
{
	TT_GROUP(g);
	tt_go(&g, ends_it, l);
	tt_go(&g, goes_through, l);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_latch_count_down(l);
	return tt_group_end(&g, 0);
}

/* Who was let through may end the latch, though others that were have not run yet. */
TT_TEST(latch, is_ended_by_the_first_through)
{
	tt_latch *l = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	EXPECT_TRUE(l != MAP_FAILED);
	tt_latch_init(l, 1);
	EXPECT_CODE(ended_by_the_first(l), 0);
	munmap(l, PAGE);
}

static TT_TASK(follows, (tt_barrier *, b))
{
	return tt_barrier_wait(b);
}

static int led_to_the_end(tt_barrier *b)
{
	TT_GROUP(g);
	tt_go(&g, follows, b);
	tt_go(&g, follows, b);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	EXPECT_EQ(tt_barrier_wait(b), 1);
	tt_barrier_fini(b);
	EXPECT_EQ(mprotect(b, PAGE, PROT_NONE), 0);
	return tt_group_end(&g, 0);
}

/* The leader may end the barrier, though its followers have not run yet. */
TT_TEST(barrier, is_ended_by_its_leader)
{
	tt_barrier *b = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	EXPECT_TRUE(b != MAP_FAILED);
	tt_barrier_init(b, 3);
	EXPECT_CODE(led_to_the_end(b), 0);
	munmap(b, PAGE);
}

static TT_TASK(counts_down, (tt_latch *, l))
{
	tt_latch_count_down(l);
	return 0;
}

static int select_on_a_latch(tt_latch *l)
{
	int first, second;

	TT_GROUP(g);
	first = tt_select_biased(TT_ON_LATCH(l), TT_ON_TIMEOUT(TT_MS(1)));
	tt_go_with(&g, &anywhere, counts_down, l);
	second = tt_select_biased(TT_ON_LATCH(l), TT_ON_TIMEOUT(TT_SEC(100)));
	EXPECT_EQ(first, 1);
	EXPECT_EQ(second, 0);
	return tt_group_end(&g, 0);
}

/* A select waits for a latch as for anything else. */
TT_TEST(latch, is_an_arm_of_select)
{
	/* law 5 */
	tt_latch l;

	tt_latch_init(&l, 1);
	EXPECT_CODE(select_on_a_latch(&l), 0);
	tt_latch_fini(&l);
	tt_latch_init(&l, 0);
	EXPECT_CODE(tt_latch_try_wait(&l), 0);
	tt_latch_fini(&l);
}

static int latch_fini_with_a_waiter(struct door *d)
{
	TT_GROUP(g);
	tt_go(&g, walks_through, d);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	EXPECT_ABORTS(tt_latch_fini(&d->l), "tt_latch_fini: task walks_through#");
	tt_latch_count_down(&d->l);
	return tt_group_end(&g, 0);
}

TT_TEST(latch, misuse_aborts)
{
	struct door d = { .through = 0 };

	tt_latch_init(&d.l, 1);
	tt_mutex_init(&d.lock);
	EXPECT_CODE(latch_fini_with_a_waiter(&d), 0);
	tt_latch_fini(&d.l);
	tt_mutex_fini(&d.lock);
	tt_latch_fini(NULL);
	tt_latch_fini(&no_latch);
	EXPECT_ABORTS(TT_IGNORE(tt_latch_wait(&no_latch)), "tt_latch_wait: the latch is not initialised");
	EXPECT_ABORTS(TT_IGNORE(tt_latch_try_wait(&no_latch)), "tt_latch_try_wait: the latch is not initialised");
}

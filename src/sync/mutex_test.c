/* SPDX-License-Identifier: MIT */
/*
 * mutex_test.c - the lock between tasks: exclusion, order, cancels, misuse.
 */
#include <tutti/testing.h>
#include <tutti/tutti.h>

TT_TEST_MAIN()

static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };
static const tt_child_options nearby = { .worker = TT_WORKER_HERE };

/* ---- exclusion ---- */

struct guarded {
	tt_mutex lock;
	int inside;
	long sum;
};

static int visit(struct guarded *s, int i)
{
	EXPECT_EQ(s->inside, 0);
	s->inside++;
	s->sum++;
	if (i % 3 == 0)
		TT_IGNORE(tt_yield());
	if (i % 7 == 0)
		TT_IGNORE(tt_sleep(TT_US(10)));
	s->inside--;
	return 0;
}

static TT_TASK(visitor, (struct guarded *, s), (int, times))
{
	for (int i = 0; i < times; i++) {
		if (i % 2 == 0) {
			TT_LOCK(&s->lock);
			visit(s, i);
		} else {
			TT_TRY(tt_mutex_lock(&s->lock));
			visit(s, i);
			tt_mutex_unlock(&s->lock);
		}
	}
	return 0;
}

static int visitors(struct guarded *s)
{
	TT_GROUP(g);
	for (int i = 0; i < 8; i++)
		tt_go_with(&g, &anywhere, visitor, s, 60);
	return tt_group_end(&g, 0);
}

/* One task at a time is inside, also when it parks there. */
TT_TEST(mutex, excludes)
{
	/* laws 5, 8 */
	struct guarded s = { .inside = 0 };

	tt_mutex_init(&s.lock);
	EXPECT_CODE(visitors(&s), 0);
	EXPECT_EQ(s.sum, 8 * 60);
	tt_mutex_fini(&s.lock);
}

static struct guarded in_zeroed_storage;

/* Static storage of zeros is a mutex without an init. */
TT_TEST(mutex, zeroed_static_storage_works)
{
	/* laws 5, 8 */
	struct guarded *s = &in_zeroed_storage;

	tt_mutex_fini(&s->lock);
	s->sum = 0;
	EXPECT_CODE(visitors(s), 0);
	EXPECT_EQ(s->sum, 8 * 60);
	tt_mutex_fini(&s->lock);
	tt_mutex_fini(NULL);
}

/* ---- order ---- */

struct line {
	tt_mutex lock;
	int order[8], n;
};

static TT_TASK(stand_in_line, (struct line *, l), (int, me))
{
	TT_LOCK(&l->lock);

	l->order[l->n++] = me;
	return 0;
}

static int line_up(struct line *l, const tt_child_options *where)
{
	TT_GROUP(g);
	EXPECT_CODE(tt_mutex_lock(&l->lock), 0);
	for (int i = 0; i < 5; i++) {
		tt_go_with(&g, where, stand_in_line, l, i);
		TT_TRY_IN(&g, tt_test_wait_all_parked());
	}
	tt_mutex_unlock(&l->lock);
	/* Handed over already, though the first has not run yet: who unlocked cannot overtake. */
	if (where == &nearby)
		EXPECT_CODE(tt_mutex_try_lock(&l->lock), TT_EBUSY);
	return tt_group_end(&g, 0);
}

/* Waiters get the lock in the order they came; an unlock hands it over, so nobody overtakes. */
TT_TEST(mutex, is_handed_over_in_order)
{
	/* laws 5, 8 */
	struct line l = { .n = 0 };

	tt_mutex_init(&l.lock);
	for (int round = 0; round < 5; round++) {
		l.n = 0;
		EXPECT_CODE(line_up(&l, round % 2 == 0 ? &nearby : &anywhere), 0);
		EXPECT_EQ(l.n, 5);
		for (int i = 0; i < 5; i++)
			EXPECT_EQ(l.order[i], i);
	}
	tt_mutex_fini(&l.lock);
}

static TT_TASK(try_lock_only, (tt_mutex *, m), (int *, ret_rc))
{
	*ret_rc = tt_mutex_try_lock(m);
	if (*ret_rc == 0)
		tt_mutex_unlock(m);
	return 0;
}

static int try_from_outside(tt_mutex *m, int *ret_rc)
{
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, try_lock_only, m, ret_rc);
	return tt_group_end(&g, 0);
}

/* A try takes a free lock and reports a held one, its own too. */
TT_TEST(mutex, try_lock)
{
	int rc = 9;
	tt_mutex m;

	tt_mutex_init(&m);
	EXPECT_CODE(tt_mutex_try_lock(&m), 0);
	EXPECT_CODE(tt_mutex_try_lock(&m), TT_EBUSY);
	EXPECT_CODE(try_from_outside(&m, &rc), 0);
	EXPECT_CODE(rc, TT_EBUSY);
	tt_mutex_unlock(&m);
	EXPECT_CODE(try_from_outside(&m, &rc), 0);
	EXPECT_CODE(rc, 0);
	/* A try form is no checkpoint. */
	EXPECT_CODE(TT_WITHIN(0, tt_mutex_try_lock(&m)), 0);
	tt_mutex_unlock(&m);
	tt_mutex_fini(&m);
}

/* ---- cancels ---- */

/* tt_mutex_lock is a checkpoint even when the lock is free, and then does not hold it. */
TT_TEST(mutex, a_cancelled_lock_is_not_held)
{
	tt_mutex m;

	tt_mutex_init(&m);
	EXPECT_CODE(TT_WITHIN(0, tt_mutex_lock(&m)), TT_ETIMEDOUT);
	EXPECT_CODE(tt_mutex_try_lock(&m), 0);
	tt_mutex_unlock(&m);
	tt_mutex_fini(&m);
}

static TT_TASK(lock_in_cleanup, (struct line *, l))
{
	int rc = tt_sleep(TT_NEVER);

	EXPECT_CODE(rc, TT_ECANCELED);
	{
		TT_LOCK(&l->lock);

		/* Still cancelled: waiting for the lock was no checkpoint, and hid nothing. */
		EXPECT_CODE(tt_checkpoint(), TT_ECANCELED);
		l->order[l->n++] = 7;
	}
	return rc;
}

static int cleanup_waits(struct line *l)
{
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, lock_in_cleanup, l);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	EXPECT_CODE(tt_mutex_lock(&l->lock), 0);
	tt_group_cancel(&g);
	/* The rest of the block is cancelled too, so it waits inside a shield. */
	EXPECT_CODE(TT_SHIELDED(TT_NEVER, tt_test_wait_all_parked()), 0);
	EXPECT_EQ(l->n, 0);
	tt_mutex_unlock(&l->lock);
	return tt_group_end(&g, 3);
}

/* TT_LOCK inside a cancelled scope waits, locks, and does not fail. */
TT_TEST(mutex, cleanup_can_lock)
{
	/* laws 5, 8 */
	struct line l = { .n = 0 };

	tt_mutex_init(&l.lock);
	EXPECT_EQ(cleanup_waits(&l), 3);
	EXPECT_EQ(l.n, 1);
	EXPECT_EQ(l.order[0], 7);
	tt_mutex_fini(&l.lock);
}

static TT_TASK(lock_cancellable, (tt_mutex *, m), (tt_canceller **, ret_c), (int *, ret_rc))
{
	TT_SCOPE(s, TT_NEVER);
	*ret_c = tt_scope_canceller(&s);
	*ret_rc = tt_mutex_lock(m);
	if (*ret_rc == 0)
		tt_mutex_unlock(m);
	return tt_scope_end(&s, 0);
}

static int cancel_the_first(struct line *l, const tt_child_options *where, int *ret_rc)
{
	tt_canceller *c = NULL;

	TT_GROUP(g);
	EXPECT_CODE(tt_mutex_lock(&l->lock), 0);
	tt_go_with(&g, where, lock_cancellable, &l->lock, &c, ret_rc);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_go_with(&g, where, stand_in_line, l, 1);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_cancel(c);
	tt_canceller_put(c);
	tt_mutex_unlock(&l->lock);
	return tt_group_end(&g, 0);
}

/* A waiter that was cancelled just before the unlock is passed over, and the next one gets
 * the lock. */
TT_TEST(mutex, a_cancelled_waiter_is_passed_over)
{
	/* laws 4, 5, 8 */
	struct line l = { .n = 0 };
	int rc = 9;

	tt_mutex_init(&l.lock);
	EXPECT_CODE(cancel_the_first(&l, &nearby, &rc), 0);
	EXPECT_CODE(rc, TT_ECANCELED);
	EXPECT_EQ(l.n, 1);
	/* From another worker cancel and hand-over race; either way nobody is forgotten. */
	for (int i = 0; i < 50; i++) {
		l.n = 0;
		rc = 9;
		EXPECT_CODE(cancel_the_first(&l, &anywhere, &rc), 0);
		EXPECT_TRUE(rc == TT_ECANCELED || rc == 0);
		EXPECT_EQ(l.n, 1);
	}
	tt_mutex_fini(&l.lock);
}

static TT_TASK(hasty_visitor, (struct guarded *, s), (int, id), (int, times), (int *, ret_got))
{
	for (int i = 0; i < times; i++) {
		int rc = TT_WITHIN((int64_t)((i * 13 + id * 7) % 40) * TT_US(1), tt_mutex_lock(&s->lock));

		if (rc == 0) {
			visit(s, i);
			tt_mutex_unlock(&s->lock);
			(*ret_got)++;
		} else if (rc != TT_ETIMEDOUT) {
			return rc;
		}
	}
	return 0;
}

static int hasty_visitors(struct guarded *s, int *got)
{
	TT_GROUP(g);
	for (int i = 0; i < 8; i++)
		tt_go_with(&g, &anywhere, hasty_visitor, s, i, 100, &got[i]);
	return tt_group_end(&g, 0);
}

/* However many waits are cut short: each success was alone inside, and the lock is free at
 * the end. */
TT_TEST(mutex, excludes_under_cancels)
{
	/* laws 4, 5, 8 */
	struct guarded s = { .inside = 0 };
	int got[8] = { 0 };
	long sum = 0;

	tt_mutex_init(&s.lock);
	EXPECT_CODE(hasty_visitors(&s, got), 0);
	for (int i = 0; i < 8; i++)
		sum += got[i];
	EXPECT_EQ(s.sum, sum);
	EXPECT_GT(sum, 0);
	EXPECT_LT(sum, 800);
	EXPECT_CODE(tt_mutex_try_lock(&s.lock), 0);
	tt_mutex_unlock(&s.lock);
	tt_mutex_fini(&s.lock);
}

/* ---- misuse ---- */

/* Locking what one holds is a mistake that is named, not a deadlock. */
TT_TEST(mutex, relock_aborts)
{
	tt_mutex m;

	tt_mutex_init(&m);
	EXPECT_CODE(tt_mutex_lock(&m), 0);
	EXPECT_ABORTS(({ TT_LOCK(&m); }), "TT_LOCK: task ");
	EXPECT_ABORTS(tt_mutex_fini(&m), "tt_mutex_fini: task ");
	tt_mutex_unlock(&m);
	EXPECT_ABORTS(tt_mutex_unlock(&m), "tt_mutex_unlock: the caller does not hold this mutex");
	tt_mutex_fini(&m);
}

/* And for an arm of a select. */
TT_TEST_ON(mutex, relock_by_a_select_aborts, TT_ON_REAL, "a simulated select may switch fibers, which tsan loses in a fork")
{
	tt_mutex m;

	tt_mutex_init(&m);
	EXPECT_CODE(tt_mutex_lock(&m), 0);
	EXPECT_ABORTS(TT_IGNORE(tt_select(TT_ON_LOCK(&m), TT_ON_TIMEOUT(TT_SEC(1)))), "TT_ON_LOCK: task ");
	tt_mutex_unlock(&m);
	tt_mutex_fini(&m);
}

static int fini_beside_a_cancelled_one(tt_mutex *m, int *ret_rc)
{
	tt_canceller *c = NULL;

	TT_GROUP(g);
	EXPECT_CODE(tt_mutex_lock(m), 0);
	tt_go_with(&g, &nearby, lock_cancellable, m, &c, ret_rc);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_cancel(c);
	tt_mutex_unlock(m);
	EXPECT_ABORTS(tt_mutex_fini(m), "tt_mutex_fini: task lock_cancellable#");
	tt_canceller_put(c);
	return tt_group_end(&g, 0);
}

/* Free, with one in its line who was cancelled and has not left yet. */
TT_TEST(mutex, fini_before_a_cancelled_one_has_left_aborts)
{
	/* laws 4, 8 */
	tt_mutex m;
	int rc = 9;

	tt_mutex_init(&m);
	EXPECT_OK(fini_beside_a_cancelled_one(&m, &rc));
	EXPECT_CODE(rc, TT_ECANCELED);
	tt_mutex_fini(&m);
}

/* The same for the form that is a checkpoint. */
TT_TEST_ON(mutex, relock_at_a_checkpoint_aborts, TT_ON_REAL,
           "a simulated checkpoint may switch fibers, which tsan loses in a fork")
{
	tt_mutex m;

	tt_mutex_init(&m);
	EXPECT_CODE(tt_mutex_lock(&m), 0);
	EXPECT_ABORTS(TT_IGNORE(tt_mutex_lock(&m)), "tt_mutex_lock: task ");
	tt_mutex_unlock(&m);
	tt_mutex_fini(&m);
}

static TT_TASK(unlock_what_others_hold, (tt_mutex *, m))
{
	EXPECT_ABORTS(tt_mutex_unlock(m), "tt_mutex_unlock: the caller does not hold this mutex");
	return 0;
}

static int unlock_by_a_stranger(tt_mutex *m)
{
	TT_GROUP(g);
	EXPECT_CODE(tt_mutex_lock(m), 0);
	tt_go_with(&g, &anywhere, unlock_what_others_hold, m);
	TT_TRY_IN(&g, tt_group_drain(&g));
	tt_mutex_unlock(m);
	return tt_group_end(&g, 0);
}

/* Only the task that holds it may unlock. */
TT_TEST(mutex, unlock_by_a_stranger_aborts)
{
	tt_mutex m;

	tt_mutex_init(&m);
	EXPECT_CODE(unlock_by_a_stranger(&m), 0);
	tt_mutex_fini(&m);
}

/* Outside of tasks nobody could be parked: the call is named. */
TT_TEST_PLAIN(mutex, a_plain_thread_may_not_lock)
{
	static tt_mutex m;

	EXPECT_ABORTS(TT_IGNORE(tt_mutex_lock(&m)), "tt_mutex_lock: called outside a task");
	EXPECT_ABORTS(TT_IGNORE(tt_mutex_try_lock(&m)), "tt_mutex_try_lock: called outside a task");
	EXPECT_ABORTS(({ TT_LOCK(&m); }), "TT_LOCK: called outside a task");
}

/* SPDX-License-Identifier: MIT */
/*
 * condvar_test.c - waiting for a change under a mutex: no lost wake-up, order, cancels.
 */
#include <sys/mman.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

TT_TEST_MAIN()

static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };
static const tt_child_options nearby = { .worker = TT_WORKER_HERE };

struct queue {
	tt_mutex lock; /* guards what follows */
	tt_condvar filled;
	int len, taken, order[8], rc[2];
	bool held[2];
};

static void queue_init(struct queue *q)
{
	*q = (struct queue){ .len = 0 };
	tt_mutex_init(&q->lock);
	tt_condvar_init(&q->filled);
}

static void queue_fini(struct queue *q)
{
	tt_condvar_fini(&q->filled);
	tt_mutex_fini(&q->lock);
}

static TT_TASK(take, (struct queue *, q), (int, me))
{
	TT_LOCK(&q->lock);

	while (q->len == 0)
		TT_TRY(tt_condvar_wait(&q->filled, &q->lock));
	q->len--;
	if (q->taken < 8)
		q->order[q->taken] = me;
	q->taken++;
	return 0;
}

static void put(struct queue *q, int n)
{
	TT_LOCK(&q->lock);

	q->len += n;
}

static int one_by_one(struct queue *q)
{
	TT_GROUP(g);
	for (int i = 0; i < 4; i++) {
		tt_go_with(&g, &anywhere, take, q, i);
		TT_TRY_IN(&g, tt_test_wait_all_parked());
	}
	for (int i = 0; i < 4; i++) {
		EXPECT_EQ(q->taken, i);
		put(q, 1);
		tt_condvar_signal(&q->filled);
		TT_TRY_IN(&g, tt_test_wait_all_parked());
	}
	return tt_group_end(&g, 0);
}

/* A signal wakes one, the first that waits. */
TT_TEST(condvar, signals_in_order)
{
	/* law 5 */
	struct queue q;

	queue_init(&q);
	tt_condvar_signal(&q.filled); /* nobody waits: nothing happens, now or later */
	EXPECT_CODE(one_by_one(&q), 0);
	EXPECT_EQ(q.taken, 4);
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(q.order[i], i);
	queue_fini(&q);
}

static int all_at_once(struct queue *q)
{
	TT_GROUP(g);
	for (int i = 0; i < 4; i++)
		tt_go_with(&g, &anywhere, take, q, i);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	put(q, 4);
	tt_condvar_broadcast(&q->filled);
	return tt_group_end(&g, 0);
}

/* A broadcast wakes all. */
TT_TEST(condvar, broadcast_wakes_all)
{
	/* law 5 */
	struct queue q;

	queue_init(&q);
	EXPECT_CODE(all_at_once(&q), 0);
	EXPECT_EQ(q.taken, 4);
	queue_fini(&q);
}

static TT_TASK(produce, (struct queue *, q), (int, n))
{
	for (int i = 0; i < n; i++) {
		put(q, 1);
		tt_condvar_signal(&q->filled);
		TT_TRY(tt_yield());
	}
	return 0;
}

static TT_TASK(consume, (struct queue *, q), (int, n))
{
	for (int i = 0; i < n; i++)
		TT_TRY(take(q, i));
	return 0;
}

static int producers_and_consumers(struct queue *q)
{
	TT_GROUP(g);
	for (int i = 0; i < 3; i++) {
		tt_go_with(&g, &anywhere, consume, q, 50);
		tt_go_with(&g, &anywhere, produce, q, 50);
	}
	return tt_group_end(&g, 0);
}

/* Looks and waits on several workers miss no signal. */
TT_TEST(condvar, loses_no_wake_up)
{
	/* laws 5, 8 */
	struct queue q;

	queue_init(&q);
	EXPECT_CODE(producers_and_consumers(&q), 0);
	EXPECT_EQ(q.taken, 150);
	EXPECT_EQ(q.len, 0);
	queue_fini(&q);
}

/* ---- cancels ---- */

static int waits_for_a_while(struct queue *q, int i)
{
	TT_LOCK(&q->lock);

	q->rc[i] = TT_WITHIN(TT_MS(1), tt_condvar_wait(&q->filled, &q->lock));
	q->held[i] = tt_mutex_try_lock(&q->lock) == TT_EBUSY;
	return 0;
}

/* However the wait ends, the mutex is held again. */
TT_TEST(condvar, a_cancelled_waiter_holds_the_mutex)
{
	struct queue q;

	queue_init(&q);
	EXPECT_CODE(waits_for_a_while(&q, 0), 0);
	EXPECT_CODE(q.rc[0], TT_ETIMEDOUT);
	EXPECT_TRUE(q.held[0]);
	EXPECT_CODE(tt_mutex_try_lock(&q.lock), 0);
	EXPECT_CODE(TT_WITHIN(0, tt_condvar_wait(&q.filled, &q.lock)), TT_ETIMEDOUT);
	tt_mutex_unlock(&q.lock);
	queue_fini(&q);
}

static TT_TASK(waits_cancellable, (struct queue *, q), (tt_canceller **, ret_c))
{
	TT_SCOPE(s, TT_NEVER);
	*ret_c = tt_scope_canceller(&s);
	tt_mutex_lock_shielded_(&q->lock);
	q->rc[0] = tt_condvar_wait(&q->filled, &q->lock);
	tt_mutex_unlock(&q->lock);
	return tt_scope_end(&s, 0);
}

static int signal_and_cancel(struct queue *q, bool cancel_first)
{
	tt_canceller *c = NULL;

	TT_GROUP(g);
	tt_go_with(&g, &nearby, waits_cancellable, q, &c);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_go_with(&g, &nearby, take, q, 1);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	put(q, 1);
	if (cancel_first)
		tt_cancel(c);
	tt_condvar_signal(&q->filled);
	if (!cancel_first) {
		tt_cancel(c);
		tt_condvar_signal(&q->filled);
	}
	tt_canceller_put(c);
	return tt_group_end(&g, 0);
}

/* A signal after a cancel goes to the next who waits; one before it is the waiter's, which says so. */
TT_TEST(condvar, a_cancelled_waiter_uses_no_signal)
{
	/* law 4 */
	struct queue q;

	queue_init(&q);
	EXPECT_CODE(signal_and_cancel(&q, true), 0);
	EXPECT_CODE(q.rc[0], TT_ECANCELED);
	EXPECT_EQ(q.taken, 1);
	EXPECT_CODE(signal_and_cancel(&q, false), 0);
	EXPECT_CODE(q.rc[0], 0);
	EXPECT_EQ(q.taken, 2);
	queue_fini(&q);
}

/* ---- misuse ---- */

static tt_condvar still;

static int fini_with_a_waiter(struct queue *q)
{
	TT_GROUP(g);
	tt_go(&g, take, q, 0);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	EXPECT_ABORTS(tt_condvar_fini(&q->filled), "tt_condvar_fini: task take#");
	put(q, 1);
	tt_condvar_broadcast(&q->filled);
	return tt_group_end(&g, 0);
}

/* ---- the end of one that others leave ---- */

#define PAGE 4096

struct shared {
	tt_mutex lock;
	tt_condvar *changed; /* a page of its own */
	bool ended;          /* guarded by lock */
};

static TT_TASK(ends_it_if_first, (struct shared *, s))
{
	TT_LOCK(&s->lock);

	TT_TRY(tt_condvar_wait(s->changed, &s->lock));
	if (!s->ended) {
		s->ended = true;
		tt_condvar_fini(s->changed);
		EXPECT_EQ(mprotect(s->changed, PAGE, PROT_NONE), 0);
	}
	return 0;
}

static int ended_by_the_first(struct shared *s)
{
	TT_GROUP(g);
	tt_go(&g, ends_it_if_first, s);
	tt_go(&g, ends_it_if_first, s);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_condvar_broadcast(s->changed);
	return tt_group_end(&g, 0);
}

/* Who was woken may end the condvar, though others that were have not run yet. */
TT_TEST(condvar, is_ended_by_the_first_that_is_woken)
{
	struct shared s = { .ended = false };

	s.changed = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE_TRUE(s.changed != MAP_FAILED);
	tt_mutex_init(&s.lock);
	tt_condvar_init(s.changed);
	EXPECT_OK(ended_by_the_first(&s));
	EXPECT_TRUE(s.ended);
	tt_mutex_fini(&s.lock);
	munmap(s.changed, PAGE);
}

TT_TEST(condvar, misuse_aborts)
{
	struct queue q;

	queue_init(&q);
	EXPECT_CODE(fini_with_a_waiter(&q), 0);
	EXPECT_ABORTS(TT_IGNORE(tt_condvar_wait(&q.filled, &q.lock)), "tt_condvar_wait: the caller does not hold the mutex");
	queue_fini(&q);
	tt_condvar_fini(NULL);
	tt_condvar_broadcast(&still);
	tt_condvar_fini(&still);
}

/* SPDX-License-Identifier: MIT */
/*
 * foreign_thread_test.c - plain threads beside a runtime: channels both ways, where the
 * thread blocks; wake-ups; cancels. What the library promises to "any thread".
 * test-on: epoll1 epoll4 uring1 uring4
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

#include "base/atomic.h"

TT_TEST_MAIN()

TT_CHAN_TYPE(int_chan, int);

static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };

/* ---- threads ---- */

static pthread_t start(void *(*fn)(void *), void *arg)
{
	pthread_t t;

	REQUIRE_EQ(pthread_create(&t, NULL, fn, arg), 0);
	return t;
}

static TT_TASK(join_thread, (pthread_t, t))
{
	return pthread_join(t, NULL);
}

/* Joins without holding the worker: the thread may still need it. */
static void join(pthread_t t)
{
	EXPECT_EQ(tt_blocking(join_thread, t), 0);
}

/* ---- channels ---- */

#define ITEMS 2000

struct stream {
	int_chan ch;
	int base, errors;
};

static void *thread_sends(void *arg)
{
	struct stream *s = arg;

	for (int i = 0; i < ITEMS; i++) {
		int v = s->base + i;

		s->errors += tt_send(&s->ch, &v) != 0;
	}
	tt_chan_close(&s->ch);
	s->errors += tt_send(&s->ch, &(int){ 1 }) != TT_ECLOSED;
	return NULL;
}

/* A thread sends to a task, in order; it blocks while the channel is full. */
TT_TEST_ON(foreign_thread, sends_to_a_task, TT_ON_REAL, "needs threads")
{
	static const size_t capacities[] = { 0, 1, 7 };

	for (int c = 0; c < 3; c++) {
		struct stream s = { .base = 100 };
		int v = -1, next = 100, rc;
		pthread_t t;

		REQUIRE_OK(tt_chan_init(&s.ch, capacities[c]));
		t = start(thread_sends, &s);
		while ((rc = tt_recv(&s.ch, &v)) == 1)
			EXPECT_EQ(v, next++);
		EXPECT_EQ(rc, 0);
		EXPECT_EQ(next, 100 + ITEMS);
		join(t);
		EXPECT_EQ(s.errors, 0);
		tt_chan_fini(&s.ch);
	}
}

static void *thread_receives(void *arg)
{
	struct stream *s = arg;
	int v = -1, next = 0, rc;

	while ((rc = tt_recv(&s->ch, &v)) == 1)
		s->errors += v != next++;
	s->errors += rc != 0 || next != ITEMS;
	return NULL;
}

/* A task sends to a thread, which blocks while the channel is empty. */
TT_TEST_ON(foreign_thread, receives_from_a_task, TT_ON_REAL, "needs threads")
{
	static const size_t capacities[] = { 0, 1, 7 };

	for (int c = 0; c < 3; c++) {
		struct stream s = { .errors = 0 };
		pthread_t t;

		REQUIRE_OK(tt_chan_init(&s.ch, capacities[c]));
		t = start(thread_receives, &s);
		for (int i = 0; i < ITEMS; i++)
			EXPECT_CODE(tt_send(&s.ch, &i), 0);
		tt_chan_close(&s.ch);
		join(t);
		EXPECT_EQ(s.errors, 0);
		tt_chan_fini(&s.ch);
	}
}

static void *thread_receives_many(void *arg)
{
	struct stream *s = arg;
	int buf[16], next = 0, n;

	while ((n = tt_recv_many(&s->ch, buf, 16, TT_US(200))) > 0)
		for (int i = 0; i < n; i++)
			s->errors += buf[i] != next++;
	s->errors += n != 0 || next != ITEMS;
	return NULL;
}

/* A thread takes many at once, lingering for more; and nothing is lost where the linger
 * ends and an item arrives at the same moment. */
TT_TEST_ON(foreign_thread, receives_many, TT_ON_REAL, "needs threads")
{
	struct stream s = { .errors = 0 };
	pthread_t t;

	REQUIRE_OK(tt_chan_init(&s.ch, 4));
	t = start(thread_receives_many, &s);
	for (int i = 0; i < ITEMS; i++) {
		EXPECT_CODE(tt_send(&s.ch, &i), 0);
		if (i % 64 == 0)
			EXPECT_CODE(tt_sleep(TT_US(150 + i % 7 * 20)), 0);
	}
	tt_chan_close(&s.ch);
	join(t);
	EXPECT_EQ(s.errors, 0);
	tt_chan_fini(&s.ch);
}

static void *thread_lingers(void *arg)
{
	struct stream *s = arg;
	struct timespec from, to;
	int buf[4];

	clock_gettime(CLOCK_MONOTONIC, &from);
	s->errors += tt_recv_many(&s->ch, buf, 4, TT_MS(5)) != 1 || buf[0] != 3;
	clock_gettime(CLOCK_MONOTONIC, &to);
	s->errors += TT_SEC(to.tv_sec - from.tv_sec) + to.tv_nsec - from.tv_nsec < TT_MS(5);
	return NULL;
}

/* The linger of a thread ends, and not early. */
TT_TEST_ON(foreign_thread, lingers, TT_ON_REAL, "needs threads")
{
	struct stream s = { .errors = 0 };

	REQUIRE_OK(tt_chan_init(&s.ch, 4));
	EXPECT_CODE(tt_send(&s.ch, &(int){ 3 }), 0);
	join(start(thread_lingers, &s));
	EXPECT_EQ(s.errors, 0);
	tt_chan_fini(&s.ch);
}

#define CLOSE_CALLS 1000

struct close_call {
	int_chan ch;
	tti_atomic_u32 delay_us; /* moves to where half of the second items come too late */
	int errors;
};

static void *thread_lingers_often(void *arg)
{
	struct close_call *c = arg;
	int buf[2], next = 0, n;

	while ((n = tt_recv_many(&c->ch, buf, 2, TT_US(60))) > 0) {
		/* relaxed: a hint; only this thread writes it. */
		uint32_t delay = tti_load_relaxed(&c->delay_us);

		if (n == 2)
			delay += 5;
		else if (buf[0] % 2 == 0 && delay > 5)
			delay -= 5;
		/* relaxed: as above. */
		tti_store_relaxed(&c->delay_us, delay);
		for (int i = 0; i < n; i++)
			c->errors += buf[i] != next++;
	}
	c->errors += n != 0 || next != 2 * CLOSE_CALLS;
	return NULL;
}

static void let_pass(int64_t time)
{
	struct timespec from, now;

	clock_gettime(CLOCK_MONOTONIC, &from);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while (TT_SEC(now.tv_sec - from.tv_sec) + now.tv_nsec - from.tv_nsec < time);
}

/* An item that arrives just as the linger ends is received: now, or by the next call. */
TT_TEST_ON(foreign_thread, loses_nothing_as_a_linger_ends, TT_ON_REAL, "needs threads")
{
	struct close_call c = { .delay_us.v = 60 };
	pthread_t t;

	REQUIRE_OK(tt_chan_init(&c.ch, 0));
	t = start(thread_lingers_often, &c);
	for (int i = 0; i < CLOSE_CALLS; i++) {
		EXPECT_CODE(tt_send(&c.ch, &(int){ 2 * i }), 0);
		/* relaxed: a hint. */
		let_pass(TT_US(tti_load_relaxed(&c.delay_us)));
		EXPECT_CODE(tt_send(&c.ch, &(int){ 2 * i + 1 }), 0);
	}
	tt_chan_close(&c.ch);
	join(t);
	EXPECT_EQ(c.errors, 0);
	tt_chan_fini(&c.ch);
}

#define CROWD_ITEMS 600

struct crowd {
	int_chan ch;
	int base; /* of the next thread */
	unsigned char seen[4 * CROWD_ITEMS];
};

struct part {
	struct crowd *crowd;
	int base;
};

static void *crowd_thread_sends(void *arg)
{
	struct part *p = arg;

	for (int i = 0; i < CROWD_ITEMS; i++) {
		int v = p->base + i;

		/* Now and then by trying, as a thread that must not block would. */
		if (i % 3 != 0) {
			if (tt_send(&p->crowd->ch, &v) != 0)
				abort();
			continue;
		}
		while (tt_try_send(&p->crowd->ch, &v) == TT_EAGAIN)
			sched_yield();
	}
	return NULL;
}

static void *crowd_thread_receives(void *arg)
{
	struct part *p = arg;
	int v;

	while (tt_recv(&p->crowd->ch, &v) == 1)
		p->crowd->seen[v]++;
	return NULL;
}

static TT_TASK(crowd_task_sends, (struct crowd *, c), (int, base))
{
	for (int i = 0; i < CROWD_ITEMS; i++)
		TT_TRY(tt_send(&c->ch, &(int){ base + i }));
	return 0;
}

static TT_TASK(crowd_task_receives, (struct crowd *, c))
{
	int v, rc;

	for (;;) {
		rc = TT_WITHIN(TT_US(50), tt_recv(&c->ch, &v));
		if (rc == 1)
			c->seen[v]++;
		else if (rc != TT_ETIMEDOUT)
			return rc;
	}
}

static int mingle(struct crowd *c)
{
	struct part parts[4] = { { c, 0 }, { c, CROWD_ITEMS }, { c, 0 }, { c, 0 } };
	pthread_t t[4];

	TT_GROUP(g);
	for (int i = 0; i < 4; i++)
		t[i] = start(i < 2 ? crowd_thread_sends : crowd_thread_receives, &parts[i]);
	tt_go_with(&g, &anywhere, crowd_task_receives, c);
	tt_go_with(&g, &anywhere, crowd_task_receives, c);
	TT_TRY_IN(&g, crowd_task_sends(c, 2 * CROWD_ITEMS));
	TT_TRY_IN(&g, crowd_task_sends(c, 3 * CROWD_ITEMS));
	join(t[0]);
	join(t[1]);
	tt_chan_close(&c->ch);
	join(t[2]);
	join(t[3]);
	return tt_group_end(&g, 0);
}

/* Threads and tasks on both sides of one channel, with receives cut short: each item arrives
 * exactly once. */
TT_TEST_ON(foreign_thread, a_mixed_crowd_loses_nothing, TT_ON_REAL, "needs threads")
{
	for (size_t capacity = 0; capacity < 5; capacity += 2) {
		struct crowd c = { .base = 0 };

		REQUIRE_OK(tt_chan_init(&c.ch, capacity));
		EXPECT_CODE(mingle(&c), 0);
		for (int i = 0; i < 4 * CROWD_ITEMS; i++)
			EXPECT_EQ(c.seen[i], 1);
		tt_chan_fini(&c.ch);
	}
}

/* ---- select ---- */

static void *thread_feeds_two(void *arg)
{
	struct stream *s = arg;

	for (int i = 0; i < ITEMS; i++)
		if (tt_send(&s[i % 2].ch, &i) != 0)
			abort();
	return NULL;
}

/* A task that selects meets a thread that blocks in a send. */
TT_TEST_ON(foreign_thread, meets_a_select, TT_ON_REAL, "needs threads")
{
	struct stream s[2] = { { .errors = 0 }, { .errors = 0 } };
	pthread_t t;

	REQUIRE_OK(tt_chan_init(&s[0].ch, 0));
	REQUIRE_OK(tt_chan_init(&s[1].ch, 1));
	t = start(thread_feeds_two, s);
	for (int i = 0; i < ITEMS;) {
		int v[2] = { -1, -1 };
		int arm = tt_select(TT_ON_RECV(&s[0].ch, &v[0]), TT_ON_RECV(&s[1].ch, &v[1]), TT_ON_TIMEOUT(TT_US(20)));

		REQUIRE_TRUE(arm >= 0);
		if (arm == 2)
			continue;
		EXPECT_EQ(v[arm] % 2, arm);
		EXPECT_EQ(v[1 - arm], -1);
		i++;
	}
	join(t);
	tt_chan_fini(&s[0].ch);
	tt_chan_fini(&s[1].ch);
}

/* ---- wake-ups, permits, cancels ---- */

struct signals {
	tt_notify ping;
	tt_semaphore pong;
};

static void *thread_notifies(void *arg)
{
	struct signals *s = arg;

	for (int i = 0; i < 300; i++) {
		while (tt_semaphore_try_acquire(&s->pong, 1) != 0)
			sched_yield();
		tt_notify_one(&s->ping);
	}
	return NULL;
}

/* A thread notifies a task, and sees the permits that a task releases. */
TT_TEST_ON(foreign_thread, notifies_a_task, TT_ON_REAL, "needs threads")
{
	struct signals s;
	pthread_t t;

	tt_notify_init(&s.ping);
	tt_semaphore_init(&s.pong, 0);
	t = start(thread_notifies, &s);
	for (int i = 0; i < 300; i++) {
		tt_semaphore_release(&s.pong, 1);
		EXPECT_CODE(tt_notify_wait(&s.ping), 0);
	}
	join(t);
	tt_notify_fini(&s.ping);
	tt_semaphore_fini(&s.pong);
}

static void *thread_cancels(void *arg)
{
	tt_cancel(arg);
	tt_canceller_put(arg);
	return NULL;
}

static TT_TASK(sleep_for_ever)
{
	return tt_sleep(TT_NEVER);
}

static int cancelled_from_outside(void)
{
	tt_canceller *c;
	pthread_t t;

	TT_GROUP(g);
	for (int i = 0; i < 4; i++)
		tt_go_with(&g, &anywhere, sleep_for_ever);
	c = tt_group_canceller(&g);
	t = start(thread_cancels, c);
	TT_IGNORE(TT_SHIELDED(TT_NEVER, tt_blocking(join_thread, t)));
	return tt_group_end(&g, tt_sleep(TT_NEVER));
}

/* A thread cancels a group, whose children are on any worker. */
TT_TEST_ON(foreign_thread, cancels_a_group, TT_ON_REAL, "needs threads")
{
	for (int i = 0; i < 20; i++)
		EXPECT_CODE(cancelled_from_outside(), TT_ECANCELED);
}

static int cancelled_late(tt_canceller **ret_c)
{
	TT_SCOPE(s, TT_NEVER);
	*ret_c = tt_scope_canceller(&s);
	return tt_scope_end(&s, 0);
}

/* A canceller may outlive its scope: used from a thread then, it does nothing. */
TT_TEST_ON(foreign_thread, cancels_too_late, TT_ON_REAL, "needs threads")
{
	tt_canceller *c = NULL;

	EXPECT_CODE(cancelled_late(&c), 0);
	join(start(thread_cancels, c));
	EXPECT_CODE(tt_checkpoint(), 0);
}

/* ---- without any runtime ---- */

static void *thread_echoes(void *arg)
{
	struct stream *s = arg;
	int v;

	while (tt_recv(&s[0].ch, &v) == 1)
		if (tt_send(&s[1].ch, &v) != 0)
			abort();
	tt_chan_close(&s[1].ch);
	return NULL;
}

/* Channels work between threads alone. */
TT_TEST_PLAIN(foreign_thread, two_threads_without_a_runtime)
{
	struct stream s[2] = { { .errors = 0 }, { .errors = 0 } };
	int v = -1;
	pthread_t t;

	REQUIRE_OK(tt_chan_init(&s[0].ch, 0));
	REQUIRE_OK(tt_chan_init(&s[1].ch, 1));
	t = start(thread_echoes, s);
	for (int i = 0; i < ITEMS; i++) {
		EXPECT_CODE(tt_send(&s[0].ch, &i), 0);
		EXPECT_EQ(tt_recv(&s[1].ch, &v), 1);
		EXPECT_EQ(v, i);
	}
	tt_chan_close(&s[0].ch);
	EXPECT_EQ(tt_recv(&s[1].ch, &v), 0);
	EXPECT_EQ(pthread_join(t, NULL), 0);
	tt_chan_fini(&s[0].ch);
	tt_chan_fini(&s[1].ch);
}

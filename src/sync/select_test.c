/* SPDX-License-Identifier: MIT */
/*
 * select_test.c - waiting for the first of several things: each kind of arm, which one wins,
 * and that exactly one takes effect whatever happens at the same moment.
 */
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

#include "base/atomic.h"

TT_TEST_MAIN()

TT_CHAN_TYPE(int_chan, int);

static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };
static const tt_child_options nearby = { .worker = TT_WORKER_HERE };

/* ---- helpers ---- */

/* Two of everything that an arm may wait for. */
struct things {
	int_chan empty, full; /* capacity 1 */
	tt_mutex mutex;
	tt_semaphore semaphore;
	tt_notify notify;
};

static void things_init(struct things *t)
{
	REQUIRE_OK(tt_chan_init(&t->empty, 1));
	REQUIRE_OK(tt_chan_init(&t->full, 1));
	REQUIRE_OK(tt_send(&t->full, &(int){ 41 }));
	tt_mutex_init(&t->mutex);
	tt_semaphore_init(&t->semaphore, 0);
	tt_notify_init(&t->notify);
}

static void things_fini(struct things *t)
{
	tt_chan_fini(&t->empty);
	tt_chan_fini(&t->full);
	tt_mutex_fini(&t->mutex);
	tt_semaphore_fini(&t->semaphore);
	tt_notify_fini(&t->notify);
}

static TT_TASK(sleep_for_ever)
{
	return tt_sleep(TT_NEVER);
}

static TT_TASK(returns, (int, rc))
{
	return rc;
}

/* ---- each kind of arm, ready ---- */

/* A recv arm takes an item, a send arm puts one. */
TT_TEST(select, recv_and_send)
{
	struct things t;
	int v = -1, rc = 9;

	things_init(&t);
	EXPECT_EQ(tt_select(TT_ON_RECV(&t.empty, &v), TT_ON_RECV(&t.full, &v)), 1);
	EXPECT_EQ(v, 41);
	EXPECT_EQ(tt_chan_len(&t.full), 0u);
	EXPECT_EQ(tt_select(TT_ON_RECV(&t.empty, &v), TT_ON_SEND(&t.full, &(int){ 42 })), 1);
	EXPECT_EQ(tt_select(TT_ON_SEND_RC(&t.full, &(int){ 43 }, &rc), TT_ON_RECV(&t.full, &v)), 1);
	EXPECT_EQ(v, 42);
	EXPECT_EQ(rc, 9);
	EXPECT_EQ(tt_select(TT_ON_SEND_RC(&t.full, &(int){ 43 }, &rc)), 0);
	EXPECT_EQ(rc, 0);
	EXPECT_EQ(tt_select(TT_ON_RECV_RC(&t.full, &v, &rc)), 0);
	EXPECT_EQ(rc, 1);
	EXPECT_EQ(v, 43);
	things_fini(&t);
}

/* On a closed channel a plain arm makes select fail, an _RC form reports: 0 at the end of a
 * recv, TT_ECLOSED for a send. */
TT_TEST(select, closed_channels)
{
	struct things t;
	int v = -1, rc = 9;

	things_init(&t);
	tt_chan_close(&t.empty);
	EXPECT_CODE(tt_select(TT_ON_RECV(&t.empty, &v), TT_ON_NOTIFY(&t.notify)), TT_ECLOSED);
	EXPECT_CODE(tt_select(TT_ON_NOTIFY(&t.notify), TT_ON_SEND(&t.empty, &v)), TT_ECLOSED);
	EXPECT_EQ(tt_select(TT_ON_NOTIFY(&t.notify), TT_ON_RECV_RC(&t.empty, &v, &rc)), 1);
	EXPECT_EQ(rc, 0);
	EXPECT_EQ(tt_select(TT_ON_NOTIFY(&t.notify), TT_ON_SEND_RC(&t.empty, &v, &rc)), 1);
	EXPECT_CODE(rc, TT_ECLOSED);
	EXPECT_EQ(v, -1);
	tt_chan_close(&t.full);
	EXPECT_EQ(tt_select(TT_ON_RECV(&t.full, &v)), 0);
	EXPECT_EQ(v, 41);
	things_fini(&t);
}

/* A timeout is relative, a deadline absolute; neither comes early, and one that is past is
 * ready. */
TT_TEST(select, timeout_and_deadline)
{
	struct things t;
	int v = -1;
	int64_t before;

	things_init(&t);
	before = tt_now();
	EXPECT_EQ(tt_select(TT_ON_RECV(&t.empty, &v), TT_ON_TIMEOUT(TT_MS(2))), 1);
	EXPECT_GE(tt_now() - before, TT_MS(2));
	before = tt_now();
	EXPECT_EQ(tt_select(TT_ON_DEADLINE(before + TT_MS(3)), TT_ON_TIMEOUT(TT_SEC(100))), 0);
	EXPECT_GE(tt_now() - before, TT_MS(3));
	EXPECT_EQ(tt_select(TT_ON_RECV(&t.empty, &v), TT_ON_TIMEOUT(0)), 1);
	EXPECT_EQ(tt_select(TT_ON_TIMEOUT(-1), TT_ON_TIMEOUT(TT_NEVER)), 0);
	EXPECT_EQ(tt_select(TT_ON_DEADLINE(0), TT_ON_DEADLINE(TT_NEVER)), 0);
	things_fini(&t);
}

/* A tick that wins advances its interval; one that loses is still to come. */
TT_TEST(select, tick)
{
	tt_interval pace = tt_interval_every(TT_MS(5));
	int64_t first = pace.next;
	struct things t;
	int v = -1;

	things_init(&t);
	EXPECT_EQ(tt_select_biased(TT_ON_RECV(&t.full, &v), TT_ON_TICK(&pace)), 0);
	EXPECT_EQ(pace.next, first);
	EXPECT_EQ(tt_select(TT_ON_RECV(&t.empty, &v), TT_ON_TICK(&pace)), 1);
	EXPECT_GE(tt_now(), first);
	EXPECT_GT(pace.next, first);
	EXPECT_EQ((pace.next - first) % TT_MS(5), 0);
	things_fini(&t);
}

static TT_TASK(write_later, (tt_fd *, fd))
{
	TT_TRY(tt_test_wait_all_parked());
	return tt_write_all(fd, "x", 1, NULL);
}

static int read_when_ready(tt_fd *ends[2], struct things *t)
{
	char buf[16];
	tt_reader r;
	int v, rc = 9;

	TT_GROUP(g);
	EXPECT_EQ(tt_select(TT_ON_READABLE(ends[0]), TT_ON_WRITABLE(ends[0])), 1);
	EXPECT_EQ(tt_select(TT_ON_WRITABLE_RC(ends[0], &rc), TT_ON_RECV(&t->empty, &v)), 0);
	EXPECT_EQ(rc, 0);
	tt_go_with(&g, &anywhere, write_later, ends[1]);
	EXPECT_EQ(tt_select(TT_ON_RECV(&t->empty, &v), TT_ON_READABLE(ends[0])), 1);
	rc = 9;
	EXPECT_EQ(tt_select(TT_ON_READABLE_RC(ends[0], &rc), TT_ON_RECV(&t->empty, &v)), 0);
	EXPECT_EQ(rc, 0);
	/* Buffered bytes count, though the descriptor has none any more. */
	tt_reader_init(&r, ends[0], buf, sizeof(buf));
	EXPECT_EQ(tt_reader_fill(&r), 1);
	EXPECT_EQ(tt_select(TT_ON_READABLE(ends[0]), TT_ON_READER(&r)), 1);
	tt_reader_consume(&r, 1);
	EXPECT_EQ(tt_select(TT_ON_READER(&r), TT_ON_TIMEOUT(TT_MS(1))), 1);
	return tt_group_end(&g, 0);
}

/* Descriptors: writable at once, readable when bytes come, a reader also by what it holds. */
TT_TEST(select, descriptors)
{
	/* law 4 */
	struct things t;
	tt_fd *ends[2];

	things_init(&t);
	REQUIRE_OK(tt_pair(ends));
	EXPECT_CODE(read_when_ready(ends, &t), 0);
	tt_fd_close(ends[0]);
	tt_fd_close(ends[1]);
	things_fini(&t);
}

static int on_task_end(struct things *t)
{
	tt_task *quick = NULL, *slow = NULL;
	int v;

	TT_GROUP(g);
	TT_TRY_IN(&g, tt_go_task(&g, &quick, returns, 7));
	TT_TRY_IN(&g, tt_go_task(&g, &slow, sleep_for_ever));
	EXPECT_EQ(tt_select(TT_ON_RECV(&t->empty, &v), TT_ON_TASK_END(slow), TT_ON_TASK_END(quick)), 2);
	EXPECT_EQ(tt_task_join(quick), 7);
	/* It has ended for good: the arm is ready again. */
	EXPECT_EQ(tt_select(TT_ON_TASK_END(slow), TT_ON_TASK_END(quick)), 1);
	EXPECT_EQ(tt_select(TT_ON_TASK_END(slow), TT_ON_TIMEOUT(TT_MS(1))), 1);
	tt_group_cancel(&g);
	tt_task_put(quick);
	tt_task_put(slow);
	return tt_group_end(&g, 0);
}

/* The end of a task, which stays one. */
TT_TEST(select, task_end)
{
	struct things t;

	things_init(&t);
	EXPECT_CODE(on_task_end(&t), 0);
	things_fini(&t);
}

/* Lock, permit and wake-up are acquired by the winning arm, and only by it. */
TT_TEST(select, lock_permit_notify)
{
	struct things t;

	things_init(&t);
	EXPECT_EQ(tt_select(TT_ON_LOCK(&t.mutex), TT_ON_PERMIT(&t.semaphore, 1)), 0);
	EXPECT_CODE(tt_mutex_try_lock(&t.mutex), TT_EBUSY);
	tt_mutex_unlock(&t.mutex);
	tt_semaphore_release(&t.semaphore, 3);
	EXPECT_EQ(tt_select(TT_ON_NOTIFY(&t.notify), TT_ON_PERMIT(&t.semaphore, 2)), 1);
	EXPECT_CODE(tt_semaphore_try_acquire(&t.semaphore, 2), TT_EAGAIN);
	EXPECT_EQ(tt_select(TT_ON_NOTIFY(&t.notify), TT_ON_PERMIT(&t.semaphore, 1)), 1);
	tt_notify_one(&t.notify);
	EXPECT_EQ(tt_select(TT_ON_NOTIFY(&t.notify), TT_ON_PERMIT(&t.semaphore, 1)), 0);
	EXPECT_EQ(tt_select(TT_ON_NOTIFY(&t.notify), TT_ON_TIMEOUT(0)), 1);
	things_fini(&t);
}

static TT_TASK(kill_later, (int, signal))
{
	TT_TRY(tt_test_wait_all_parked());
	return kill(getpid(), signal);
}

static int stop_while_waiting(struct things *t)
{
	int v;

	TT_GROUP(g);
	EXPECT_EQ(tt_select(TT_ON_STOP(), TT_ON_TIMEOUT(0)), 1);
	tt_go_with(&g, &anywhere, kill_later, SIGTERM);
	EXPECT_EQ(tt_select(TT_ON_RECV(&t->empty, &v), TT_ON_STOP()), 1);
	EXPECT_TRUE(tt_stopping());
	EXPECT_EQ(tt_select(TT_ON_RECV(&t->empty, &v), TT_ON_STOP()), 1);
	/* Nothing else sees it. */
	EXPECT_CODE(tt_checkpoint(), 0);
	return tt_group_end(&g, 0);
}

/* A soft cancel fires the stop arm, of a wait under way and of later ones. */
TT_TEST_ON(select, stop, TT_ON_REAL, "needs a signal")
{
	struct things t;

	things_init(&t);
	EXPECT_CODE(stop_while_waiting(&t), 0);
	things_fini(&t);
}

/* ---- each kind of arm, after waiting ---- */

static TT_TASK(make_ready, (struct things *, t), (int, which))
{
	int v;

	TT_TRY(tt_test_wait_all_parked());
	switch (which) {
	case 0: return tt_send(&t->empty, &(int){ 5 });
	case 1:
		TT_TRY(tt_recv(&t->full, &v));
		EXPECT_EQ(v, 41);
		return 0;
	case 2: tt_semaphore_release(&t->semaphore, 2); return 0;
	default: tt_notify_one(&t->notify); return 0;
	}
}

static int wait_for(struct things *t, int which, const tt_child_options *where)
{
	int v = -1, out = 77, arm;

	TT_GROUP(g);
	tt_go_with(&g, where, make_ready, t, which);
	arm = tt_select(TT_ON_RECV(&t->empty, &v), TT_ON_SEND(&t->full, &out), TT_ON_PERMIT(&t->semaphore, 2),
	                TT_ON_NOTIFY(&t->notify));
	EXPECT_EQ(arm, which);
	EXPECT_EQ(v, which == 0 ? 5 : -1);
	return tt_group_end(&g, 0);
}

/* Of four arms that wait, the one that becomes ready takes effect and the others do not. */
TT_TEST(select, the_arm_that_becomes_ready_wins)
{
	/* law 5 */
	for (int round = 0; round < 8; round++) {
		int which = round % 4, v = -1;
		struct things t;

		things_init(&t);
		EXPECT_CODE(wait_for(&t, which, round < 4 ? &nearby : &anywhere), 0);
		EXPECT_EQ(tt_chan_len(&t.empty), 0u);
		EXPECT_EQ(tt_try_recv(&t.full, &v), 1);
		EXPECT_EQ(v, which == 1 ? 77 : 41);
		EXPECT_CODE(tt_semaphore_try_acquire(&t.semaphore, 1), TT_EAGAIN);
		EXPECT_EQ(tt_select(TT_ON_NOTIFY(&t.notify), TT_ON_TIMEOUT(0)), 1);
		things_fini(&t);
	}
}

static int release_the_lock(struct things *t)
{
	int v = -1;

	TT_GROUP(g);
	EXPECT_CODE(tt_mutex_lock(&t->mutex), 0);
	tt_go_with(&g, &anywhere, make_ready, t, 0);
	EXPECT_EQ(tt_select(TT_ON_RECV(&t->empty, &v), TT_ON_NOTIFY(&t->notify)), 0);
	tt_mutex_unlock(&t->mutex);
	return tt_group_end(&g, 0);
}

static TT_TASK(lock_by_select, (struct things *, t), (int *, ret_arm))
{
	int v;

	*ret_arm = tt_select(TT_ON_LOCK(&t->mutex), TT_ON_RECV(&t->empty, &v));
	if (*ret_arm == 0)
		tt_mutex_unlock(&t->mutex);
	return 0;
}

static int lose_the_lock(struct things *t, bool message_first, int *ret_arm)
{
	TT_GROUP(g);
	EXPECT_CODE(tt_mutex_lock(&t->mutex), 0);
	tt_go_with(&g, &nearby, lock_by_select, t, ret_arm);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	/* Both at once: the first wins, though the task has not run in between. */
	if (message_first)
		EXPECT_CODE(tt_try_send(&t->empty, &(int){ 1 }), 0);
	tt_mutex_unlock(&t->mutex);
	if (!message_first)
		EXPECT_CODE(tt_try_send(&t->empty, &(int){ 1 }), 0);
	EXPECT_CODE(tt_mutex_try_lock(&t->mutex), message_first ? 0 : TT_EBUSY);
	if (message_first)
		tt_mutex_unlock(&t->mutex);
	return tt_group_end(&g, 0);
}

/* A losing lock arm is not handed the lock; a losing recv arm took nothing. */
TT_TEST(select, losers_took_nothing)
{
	/* laws 4, 8 */
	for (int message_first = 0; message_first < 2; message_first++) {
		struct things t;
		int arm = 9;

		things_init(&t);
		EXPECT_CODE(lose_the_lock(&t, message_first, &arm), 0);
		EXPECT_EQ(arm, message_first);
		EXPECT_EQ(tt_chan_len(&t.empty), message_first ? 0u : 1u);
		things_fini(&t);
	}
}

/* A select may wait while the caller holds another lock. */
TT_TEST(select, may_be_called_with_a_lock_held)
{
	/* law 5 */
	struct things t;

	things_init(&t);
	EXPECT_CODE(release_the_lock(&t), 0);
	things_fini(&t);
}

static int close_under_a_select(struct things *t, int *ret_rc)
{
	tt_task *waiter = NULL;

	TT_GROUP(g);
	TT_TRY_IN(&g, tt_go_task(&g, &waiter, lock_by_select, t, ret_rc));
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_chan_close(&t->empty);
	TT_TRY_IN(&g, tt_group_drain(&g));
	tt_task_put(waiter);
	return tt_group_end(&g, 0);
}

/* A close reaches a select that waits. */
TT_TEST(select, close_wakes_a_select)
{
	/* law 8 */
	struct things t;
	int rc = 9;

	things_init(&t);
	EXPECT_CODE(tt_mutex_lock(&t.mutex), 0);
	EXPECT_CODE(close_under_a_select(&t, &rc), 0);
	EXPECT_CODE(rc, TT_ECLOSED);
	tt_mutex_unlock(&t.mutex);
	things_fini(&t);
}

static TT_TASK(select_cancellable, (struct things *, t), (tt_canceller **, ret_c), (int *, ret_rc))
{
	int v = -1;

	TT_SCOPE(s, TT_NEVER);
	*ret_c = tt_scope_canceller(&s);
	*ret_rc = tt_select(TT_ON_RECV(&t->empty, &v), TT_ON_SEND(&t->full, &(int){ 6 }), TT_ON_LOCK(&t->mutex),
	                    TT_ON_PERMIT(&t->semaphore, 1), TT_ON_NOTIFY(&t->notify), TT_ON_TIMEOUT(TT_SEC(1000)));
	EXPECT_EQ(v, -1);
	return tt_scope_end(&s, 0);
}

static int cancel_a_select(struct things *t, int *ret_rc)
{
	tt_canceller *c = NULL;
	int v = -1;

	TT_GROUP(g);
	EXPECT_CODE(tt_mutex_lock(&t->mutex), 0);
	tt_go_with(&g, &nearby, select_cancellable, t, &c, ret_rc);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_cancel(c);
	tt_canceller_put(c);
	/* It is cancelled and has not run: all its nodes are still in place. */
	EXPECT_CODE(tt_try_send(&t->empty, &(int){ 1 }), 0);
	EXPECT_EQ(tt_try_recv(&t->full, &v), 1);
	EXPECT_EQ(v, 41);
	tt_mutex_unlock(&t->mutex);
	tt_semaphore_release(&t->semaphore, 1);
	tt_notify_one(&t->notify);
	return tt_group_end(&g, 0);
}

/* A cancelled select took nothing, put nothing, and acquired nothing. */
TT_TEST(select, a_cancelled_select_did_nothing)
{
	/* laws 4, 8 */
	struct things t;
	int rc = 9;

	things_init(&t);
	EXPECT_CODE(cancel_a_select(&t, &rc), 0);
	EXPECT_CODE(rc, TT_ECANCELED);
	EXPECT_EQ(tt_chan_len(&t.empty), 1u);
	EXPECT_EQ(tt_chan_len(&t.full), 0u);
	EXPECT_CODE(tt_mutex_try_lock(&t.mutex), 0);
	tt_mutex_unlock(&t.mutex);
	EXPECT_CODE(tt_semaphore_try_acquire(&t.semaphore, 1), 0);
	EXPECT_EQ(tt_select_biased(TT_ON_NOTIFY(&t.notify), TT_ON_TIMEOUT(0)), 0);
	/* And a select is a checkpoint even when an arm is ready. */
	EXPECT_CODE(TT_WITHIN(0, tt_select(TT_ON_RECV(&t.empty, &rc))), TT_ETIMEDOUT);
	EXPECT_EQ(tt_chan_len(&t.empty), 1u);
	things_fini(&t);
}

/* ---- arms that are off ---- */

static tt_arm never_called(int *calls)
{
	(*calls)++;
	return TT_ON_TIMEOUT(0);
}

/* TT_ON_IF: an arm that is off is not waited for and not even evaluated; all off is an error. */
TT_TEST(select, disabled_arms)
{
	struct things t;
	int v = -1, calls = 0;

	things_init(&t);
	for (int i = 0; i < 20; i++)
		EXPECT_EQ(tt_select(TT_ON_IF(false, never_called(&calls)), TT_ON_IF(true, TT_ON_TIMEOUT(0))), 1);
	EXPECT_EQ(tt_select([3] = TT_ON_RECV(&t.full, &v)), 3);
	EXPECT_CODE(tt_select(TT_ON_IF(false, never_called(&calls)), TT_ON_IF(false, never_called(&calls))), TT_EINVAL);
	EXPECT_EQ(calls, 0);
	things_fini(&t);
}

/* ---- which of several ---- */

/* Biased: the first in order wins each time. */
TT_TEST(select, biased_takes_the_first)
{
	struct things t;
	int v;

	things_init(&t);
	for (int i = 0; i < 50; i++) {
		EXPECT_EQ(tt_select_biased(TT_ON_RECV(&t.empty, &v), TT_ON_RECV(&t.full, &v), TT_ON_TIMEOUT(0)), 1);
		EXPECT_EQ(tt_select_biased(TT_ON_SEND(&t.full, &v), TT_ON_TIMEOUT(0), TT_ON_RECV(&t.full, &v)), 0);
	}
	things_fini(&t);
}

#define TURNS 3000

/* Fair: of three arms that are always ready each gets about a third of the turns. */
TT_TEST(select, fair_serves_all)
{
	int wins[3] = { 0 }, v = 1;
	int_chan a, b, c;

	REQUIRE_OK(tt_chan_init(&a, 1));
	REQUIRE_OK(tt_chan_init(&b, 1));
	REQUIRE_OK(tt_chan_init(&c, 1));
	REQUIRE_OK(tt_send(&a, &v));
	REQUIRE_OK(tt_send(&b, &v));
	REQUIRE_OK(tt_send(&c, &v));
	for (int i = 0; i < TURNS; i++) {
		int_chan *const chans[] = { &a, &b, &c };
		int arm = tt_select(TT_ON_RECV(&a, &v), TT_ON_RECV(&b, &v), TT_ON_RECV(&c, &v));

		REQUIRE_TRUE(arm >= 0 && arm < 3);
		wins[arm]++;
		EXPECT_CODE(tt_try_send(chans[arm], &v), 0);
	}
	for (int i = 0; i < 3; i++) {
		EXPECT_GE(wins[i], TURNS * 20 / 100);
		EXPECT_LE(wins[i], TURNS * 47 / 100);
	}
	tt_chan_fini(&a);
	tt_chan_fini(&b);
	tt_chan_fini(&c);
}

/* Fair is also fair past silent arms: the one behind two that never come wins no more for it. */
TT_TEST_ON(select, silent_arms_make_nobody_lucky, TT_ON_REAL, "counts on even odds")
{
	int wins[6] = { 0 }, v = 1;
	int_chan never;

	REQUIRE_OK(tt_chan_init(&never, 1));
	for (int i = 0; i < TURNS; i++) {
		int arm = tt_select([0] = TT_ON_DEADLINE(0), [2] = TT_ON_RECV(&never, &v), [3] = TT_ON_RECV(&never, &v),
		                    [4] = TT_ON_DEADLINE(0), [5] = TT_ON_DEADLINE(0));

		REQUIRE_TRUE(arm >= 0 && arm < 6);
		wins[arm]++;
	}
	EXPECT_EQ(wins[0] + wins[4] + wins[5], TURNS);
	for (int i = 0; i < 6; i += i == 0 ? 4 : 1) {
		EXPECT_GE(wins[i], TURNS * 28 / 100);
		EXPECT_LE(wins[i], TURNS * 39 / 100);
	}
	tt_chan_fini(&never);
}

/* ---- exactly one effect ---- */

/* What happened to one side in a round: its arm, and the value it got. */
struct turn {
	int arm, value;
};

struct faces {
	int_chan a, b;
	tti_atomic_u32 here[2]; /* the round each side has reached */
	int rounds;
	bool together; /* both begin a round at the same moment */
	bool apart;    /* they are on different threads */
};

/* Meets the other side before a round, on another thread if there is one. */
static int meet(struct faces *f, int me, int round)
{
	/* release: pairs with the load below. */
	tti_store_release(&f->here[me], (uint32_t)round + 1);
	for (int spins = 1; f->together; spins++) {
		/* acquire: pairs with the store above. */
		if (tti_load_acquire(&f->here[1 - me]) > (uint32_t)round)
			break;
		if (f->apart && spins % 200 != 0)
			continue;
		if (f->apart)
			sched_yield(); /* its thread may need this core */
		TT_TRY(tt_yield());
	}
	return 0;
}

static TT_TASK(face_left, (struct faces *, f), (struct turn *, turns))
{
	for (int i = 0; i < f->rounds; i++) {
		TT_TRY(meet(f, 0, i));
		turns[i].value = -1;
		turns[i].arm = tt_select(TT_ON_SEND(&f->a, &i), TT_ON_RECV(&f->b, &turns[i].value));
		TT_TRY(turns[i].arm);
	}
	return 0;
}

static TT_TASK(face_right, (struct faces *, f), (struct turn *, turns))
{
	for (int i = 0; i < f->rounds; i++) {
		int v = i + f->rounds;

		TT_TRY(meet(f, 1, i));
		turns[i].value = -1;
		turns[i].arm = tt_select(TT_ON_RECV(&f->a, &turns[i].value), TT_ON_SEND(&f->b, &v));
		TT_TRY(turns[i].arm);
	}
	return 0;
}

static int face_each_other(struct faces *f, struct turn *left, struct turn *right)
{
	static const tt_child_options first = { .worker = TT_WORKER(0) }, last = { .worker = TT_WORKER(3) };

	TT_GROUP(g);
	tt_go_with(&g, &first, face_left, f, left);
	tt_go_with(&g, &last, face_right, f, right);
	return tt_group_end(&g, 0);
}

static struct turn left_turns[20000], right_turns[20000];

static void check_faces(int rounds, bool together)
{
	struct faces f = { .rounds = rounds, .together = together, .apart = tt_test_workers() > 1 };

	REQUIRE_OK(tt_chan_init(&f.a, 0));
	REQUIRE_OK(tt_chan_init(&f.b, 0));
	EXPECT_CODE(face_each_other(&f, left_turns, right_turns), 0);
	for (int i = 0; i < rounds; i++) {
		const struct turn *l = &left_turns[i], *r = &right_turns[i];

		/* Both went through the same channel, and the value crossed once. */
		EXPECT_EQ(l->arm, r->arm);
		EXPECT_EQ(l->value, l->arm == 0 ? -1 : i + rounds);
		EXPECT_EQ(r->value, r->arm == 0 ? i : -1);
	}
	tt_chan_fini(&f.a);
	tt_chan_fini(&f.b);
}

/* Two selects face each other over two channels, from two workers: each round one value
 * crosses, one way, and both sides agree on which. */
TT_TEST_ON(select, facing_selects_agree, TT_ON_REAL, "many rounds; facing_selects_agree_simulated")
{
	int64_t enough = tt_now() + TT_SEC(4);

	check_faces(20000, false);
	/* On a busy machine a meeting takes as long as somebody else's time slice. */
	for (int i = 0; i < 60 && tt_now() < enough; i++)
		check_faces(1000, true);
}

TT_TEST_ON(select, facing_selects_agree_simulated, TT_ON_SIM, "fewer rounds, all orders")
{
	/* law 5 */
	check_faces(1000, false);
}

#define PEERS      5
#define PEER_ITEMS 200

struct crowd {
	int_chan chans[2];
	tt_notify all_here;
	tt_mutex lock; /* guards received */
	int received;
	unsigned char seen[PEERS * PEER_ITEMS];
};

static void count_item(struct crowd *c, int v)
{
	TT_LOCK(&c->lock);

	c->seen[v]++;
	if (++c->received == PEERS * PEER_ITEMS) {
		tt_chan_close(&c->chans[0]);
		tt_chan_close(&c->chans[1]);
	}
}

/* Sends and receives through both channels at once, until everybody has everything. */
static TT_TASK(peer, (struct crowd *, c), (int, id))
{
	int next = id * PEER_ITEMS, end = next + PEER_ITEMS;

	for (;;) {
		int v[2] = { -1, -1 }, rc[2] = { 0, 0 }, arm;
		bool more = next < end;

		arm = tt_select(TT_ON_RECV_RC(&c->chans[0], &v[0], &rc[0]), TT_ON_RECV_RC(&c->chans[1], &v[1], &rc[1]),
		                TT_ON_IF(more, TT_ON_SEND(&c->chans[0], &next)),
		                TT_ON_IF(more, TT_ON_SEND(&c->chans[1], &next)), TT_ON_TIMEOUT(TT_US(30 + 10 * id)));
		TT_TRY(arm);
		if (arm == 2 || arm == 3)
			next++;
		if (arm >= 2)
			continue;
		if (rc[arm] == 0)
			return more ? TT_EIO : 0;
		EXPECT_EQ(v[1 - arm], -1);
		count_item(c, v[arm]);
	}
}

static int gather(struct crowd *c)
{
	TT_GROUP(g);
	for (int i = 0; i < PEERS; i++)
		tt_go_with(&g, &anywhere, peer, c, i);
	return tt_group_end(&g, 0);
}

/* A crowd of tasks each sends and receives over the same two channels in one select, with
 * timeouts in between: each item arrives exactly once. */
TT_TEST(select, a_crowd_loses_and_doubles_nothing)
{
	/* laws 4, 5 */
	for (size_t capacity = 0; capacity < 3; capacity++) {
		static struct crowd c;

		c = (struct crowd){ .received = 0 };
		REQUIRE_OK(tt_chan_init(&c.chans[0], 0));
		REQUIRE_OK(tt_chan_init(&c.chans[1], capacity));
		EXPECT_CODE(gather(&c), 0);
		for (int i = 0; i < PEERS * PEER_ITEMS; i++)
			EXPECT_EQ(c.seen[i], 1);
		tt_chan_fini(&c.chans[0]);
		tt_chan_fini(&c.chans[1]);
	}
}

/* A task cannot meet itself: its own send arm is no partner for its own recv arm. */
TT_TEST(select, a_select_does_not_meet_itself)
{
	int v = -1;
	int_chan ch;

	REQUIRE_OK(tt_chan_init(&ch, 0));
	EXPECT_EQ(tt_select(TT_ON_SEND(&ch, &(int){ 1 }), TT_ON_RECV(&ch, &v), TT_ON_TIMEOUT(TT_MS(1))), 2);
	EXPECT_EQ(v, -1);
	tt_chan_fini(&ch);
}

/* Lock and permit arms that lose on another worker at the same moment are given on: both can
 * be had in the end. */
static TT_TASK(grab_one_of_two, (struct things *, t), (int, times), (int *, ret_got))
{
	for (int i = 0; i < times; i++) {
		int arm =
			tt_select(TT_ON_LOCK(&t->mutex), TT_ON_PERMIT(&t->semaphore, 1), TT_ON_TIMEOUT(TT_US(i % 20)));

		TT_TRY(arm);
		if (arm == 2)
			continue;
		(*ret_got)++;
		TT_TRY(tt_yield());
		if (arm == 0)
			tt_mutex_unlock(&t->mutex);
		else
			tt_semaphore_release(&t->semaphore, 1);
	}
	return 0;
}

static int grab(struct things *t, int *got)
{
	TT_GROUP(g);
	for (int i = 0; i < 6; i++)
		tt_go_with(&g, &anywhere, grab_one_of_two, t, 150, &got[i]);
	return tt_group_end(&g, 0);
}

TT_TEST(select, losing_locks_and_permits_are_given_on)
{
	/* laws 4, 5, 8 */
	int got[6] = { 0 };
	struct things t;

	things_init(&t);
	tt_semaphore_release(&t.semaphore, 1);
	EXPECT_CODE(grab(&t, got), 0);
	for (int i = 0; i < 6; i++)
		EXPECT_GT(got[i], 0);
	EXPECT_CODE(tt_mutex_try_lock(&t.mutex), 0);
	EXPECT_CODE(tt_semaphore_try_acquire(&t.semaphore, 1), 0);
	EXPECT_CODE(tt_semaphore_try_acquire(&t.semaphore, 1), TT_EAGAIN);
	tt_mutex_unlock(&t.mutex);
	things_fini(&t);
}

/* ---- misuse ---- */

/* Only tasks select. */
TT_TEST_PLAIN(select, a_plain_thread_may_not_select)
{
	static tt_mutex m;

	EXPECT_ABORTS(TT_IGNORE(tt_select(TT_ON_LOCK(&m))), "tt_select: called outside a task");
	EXPECT_ABORTS(TT_IGNORE(tt_select(TT_ON_TIMEOUT(0))), "tt_select: called outside a task");
}

/* SPDX-License-Identifier: MIT */
/*
 * blocking_test.c - tt_blocking(): results and chains, cancels before and after a job began,
 * what a job may call, more jobs than threads, and threads that cannot be had.
 */
#include <limits.h>
#include <string.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

#include "base/atomic.h"
#include "env/env.h"

TT_TEST_MAIN()

TT_CHAN_TYPE(int_chan, int);

static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };
static const tt_child_options nearby = { .worker = TT_WORKER_HERE };

/* A count that jobs and tasks share. */
static void count(tti_atomic_u32 *n)
{
	tti_fetch_add_acq_rel(n, 1); /* pairs with the load in counted() */
}

static unsigned counted(tti_atomic_u32 *n)
{
	return tti_load_acquire(n); /* pairs with the addition in count() */
}

/* ---- results ---- */

static TT_TASK(add, (int, a), (int, b), (uintptr_t *, ret_stack))
{
	*ret_stack = (uintptr_t)__builtin_frame_address(0);
	return a + b;
}

/* The function's result is the call's, and it ran on another stack. */
TT_TEST(blocking, gives_the_result)
{
	uintptr_t there = 0, here = (uintptr_t)__builtin_frame_address(0);

	for (int i = 0; i < 5; i++) {
		EXPECT_EQ(tt_blocking(add, i, 40, &there), 40 + i);
		EXPECT_GT(there > here ? there - here : here - there, (uintptr_t)32768);
	}
}

static TT_TASK(fails, (const char *, name))
{
	return tt_fail(TT_EIO, "read %s", name);
}

static TT_TASK(swallows_a_failure)
{
	TT_IGNORE(tt_fail(TT_EIO, "never mind"));
	return 3;
}

/* The error chain of a job becomes the caller's; a failure the job swallowed does not. */
TT_TEST(blocking, the_chain_comes_along)
{
	const tt_error_node *n;
	tt_error e;
	int rc;

	rc = tt_wrap(tt_blocking(fails, "a file"), "start");
	EXPECT_CODE(rc, TT_EIO);
	tt_error_take(&e, rc);
	n = tt_error_first(&e);
	REQUIRE_TRUE(n != NULL);
	EXPECT_STR_EQ(tt_error_message(n), "start");
	n = tt_error_cause(n);
	REQUIRE_TRUE(n != NULL);
	EXPECT_STR_EQ(tt_error_message(n), "read a file");
	EXPECT_TRUE(tt_error_cause(n) == NULL);
	tt_error_fini(&e);
	EXPECT_EQ(tt_blocking(swallows_a_failure), 3);
	EXPECT_EQ(tt_blocking(add, 1, 1, &(uintptr_t){ 0 }), 2);
}

/* ---- cancels ---- */

struct tally {
	tti_atomic_u32 ran, dropped;
};

static void drop(struct tally *t)
{
	count(&t->dropped);
}

static TT_TASK(owning_job, (struct tally *, t, drop))
{
	count(&t->ran);
	return 7;
}

/* A cancelled call does not begin: destructors have run. */
TT_TEST(blocking, is_a_checkpoint)
{
	struct tally t = { .ran.v = 0 };

	EXPECT_CODE(TT_WITHIN(0, tt_blocking(owning_job, &t)), TT_ETIMEDOUT);
	EXPECT_EQ(counted(&t.ran), 0u);
	EXPECT_EQ(counted(&t.dropped), 1u);
	EXPECT_EQ(tt_blocking(owning_job, &t), 7);
	EXPECT_EQ(counted(&t.ran), 1u);
	EXPECT_EQ(counted(&t.dropped), 1u);
}

static TT_TASK(hasty_caller, (struct tally *, t), (int, id), (int, times), (unsigned *, ret_done))
{
	for (int i = 0; i < times; i++) {
		int rc = TT_WITHIN((int64_t)((i * 37 + id * 11) % 130) * TT_US(1), tt_blocking(owning_job, t));

		if (rc == 7)
			(*ret_done)++;
		else if (rc != TT_ETIMEDOUT)
			return rc;
	}
	return 0;
}

static int hasty_callers(struct tally *t, unsigned *done)
{
	TT_GROUP(g);
	for (int i = 0; i < 6; i++)
		tt_go_with(&g, &anywhere, hasty_caller, t, i, 40, &done[i]);
	return tt_group_end(&g, 0);
}

/* Cancelled while it is queued, or just as it begins: it ran and the caller has its result,
 * or it did not and its arguments were destroyed. */
TT_TEST(blocking, runs_or_is_withdrawn)
{
	unsigned done[6] = { 0 }, all = 0;
	struct tally t = { .ran.v = 0 };

	EXPECT_CODE(hasty_callers(&t, done), 0);
	for (int i = 0; i < 6; i++)
		all += done[i];
	EXPECT_EQ(all, counted(&t.ran));
	EXPECT_EQ(counted(&t.ran) + counted(&t.dropped), 240u);
	EXPECT_GT(counted(&t.dropped), 0u);
}

static TT_TASK(cancelled_at_once, (struct tally *, t), (tt_notify *, begun))
{
	tt_notify_one(begun);
	return tt_blocking(owning_job, t);
}

static int cancel_before_it_begins(struct tally *t)
{
	tt_notify begun;

	tt_notify_init(&begun);
	TT_GROUP(g);
	tt_go_with(&g, &nearby, cancelled_at_once, t, &begun);
	TT_TRY_IN(&g, tt_notify_wait(&begun));
	tt_group_cancel(&g);
	return tt_group_end(&g, 1);
}

static TT_TASK(one_cancelled_job, (struct tally *, t))
{
	return cancel_before_it_begins(t);
}

/* Where jobs start late, a cancel finds them queued. */
TT_TEST_PLAIN(blocking, a_late_job_is_withdrawn)
{
	unsigned withdrawn = 0, ran = 0;

	for (unsigned seed = 0; seed < 40; seed++) {
		struct tally t = { .ran.v = 0 };
		tt_sim_options o = { .seed = seed, .faults = TT_FAULT_BIT(TT_FAULT_POOL_DELAY) };

		EXPECT_EQ(tt_sim_run_with(&o, one_cancelled_job, &t), 1);
		EXPECT_EQ(counted(&t.ran) + counted(&t.dropped), 1u);
		withdrawn += counted(&t.dropped);
		ran += counted(&t.ran);
	}
	EXPECT_GT(withdrawn, 0u);
	tt_test_note("%u jobs were withdrawn, %u ran", withdrawn, ran);
}

/* ---- gated jobs: real threads only ---- */

struct gate {
	tti_atomic_u32 running, open, left, dropped, cancelled;
};

static void drop_gate(struct gate *gate)
{
	count(&gate->dropped);
}

static void open_gate(struct gate *gate)
{
	count(&gate->open);
	tti_env_futex_wake(&gate->open, INT_MAX);
}

static TT_TASK(wait_at_gate, (struct gate *, gate, drop_gate), (int *, lent))
{
	count(&gate->running);
	while (counted(&gate->open) == 0)
		tti_env_futex_wait(&gate->open, 0, TT_NEVER);
	(*lent)++;
	count(&gate->left);
	return 5;
}

static TT_TASK(call_gated, (struct gate *, gate), (int *, ret_rc))
{
	int lent = 0; /* the job writes here: it must find the frame in place */

	*ret_rc = tt_blocking(wait_at_gate, gate, &lent);
	if (*ret_rc == 5)
		EXPECT_EQ(lent, 1);
	if (*ret_rc == TT_ECANCELED)
		count(&gate->cancelled);
	return 0;
}

static int wait_for_count(tti_atomic_u32 *n, unsigned target)
{
	while (counted(n) < target)
		TT_TRY(tt_sleep(TT_MS(1)));
	return 0;
}

static int cancel_a_running_job(struct gate *gate, int *ret_rc)
{
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, call_gated, gate, ret_rc);
	TT_TRY_IN(&g, wait_for_count(&gate->running, 1));
	tt_group_cancel(&g);
	EXPECT_CODE(TT_SHIELDED(TT_NEVER, tt_sleep(TT_MS(3))), 0);
	EXPECT_EQ(*ret_rc, 9);
	open_gate(gate);
	return tt_group_end(&g, 0);
}

/* A job that runs is waited for, cancelled or not, and its result is the call's. */
TT_TEST_ON(blocking, a_running_job_is_waited_for, TT_ON_REAL, "a simulated job runs in no time")
{
	struct gate gate = { .open.v = 0 };
	int rc = 9;

	EXPECT_CODE(cancel_a_running_job(&gate, &rc), 0);
	EXPECT_EQ(rc, 5);
	EXPECT_EQ(counted(&gate.left), 1u);
	EXPECT_EQ(counted(&gate.dropped), 0u);
}

#define JOBS 600
#define CAP  512 /* threads that the class of users' jobs may have */

static int crowd(struct gate *gate, int *rc)
{
	TT_GROUP(g);
	for (int i = 0; i < JOBS; i++)
		tt_go_with(&g, &anywhere, call_gated, gate, &rc[i]);
	TT_TRY_IN(&g, wait_for_count(&gate->running, CAP));
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	EXPECT_EQ(counted(&gate->running), (unsigned)CAP);
	tt_group_cancel(&g);
	EXPECT_CODE(TT_SHIELDED(TT_NEVER, wait_for_count(&gate->cancelled, JOBS - CAP)), 0);
	EXPECT_EQ(counted(&gate->dropped), (unsigned)(JOBS - CAP));
	EXPECT_EQ(counted(&gate->left), 0u);
	open_gate(gate);
	return tt_group_end(&g, 0);
}

/* 600 jobs that all block: 512 run at once, the others are queued, and only those are taken
 * back by a cancel. */
TT_TEST_ON(blocking, more_jobs_than_threads, TT_ON_REAL, "a simulated job runs in no time")
{
	static int rc[JOBS];
	struct gate gate = { .open.v = 0 };
	unsigned ran = 0, cancelled = 0;

	for (int i = 0; i < JOBS; i++)
		rc[i] = 9;
	/* The bound is exact once a thread has come to life. */
	EXPECT_EQ(tt_blocking(add, 1, 1, &(uintptr_t){ 0 }), 2);
	EXPECT_CODE(crowd(&gate, rc), 0);
	for (int i = 0; i < JOBS; i++) {
		ran += rc[i] == 5;
		cancelled += rc[i] == TT_ECANCELED;
	}
	EXPECT_EQ(ran, (unsigned)CAP);
	EXPECT_EQ(cancelled, (unsigned)(JOBS - CAP));
	EXPECT_EQ(counted(&gate.left), (unsigned)CAP);
}

static TT_TASK(call_once, (struct tally *, t), (int *, ret_rc))
{
	*ret_rc = tt_blocking(owning_job, t);
	return 0;
}

static int all_at_once(struct tally *t, int *rc)
{
	TT_GROUP(g);
	for (int i = 0; i < JOBS; i++)
		tt_go_with(&g, &anywhere, call_once, t, &rc[i]);
	return tt_group_end(&g, 0);
}

/* 600 jobs at once all run, each once. */
TT_TEST(blocking, many_jobs_at_once)
{
	static int rc[JOBS];
	struct tally t = { .ran.v = 0 };

	memset(rc, 0, sizeof(rc));
	EXPECT_CODE(all_at_once(&t, rc), 0);
	for (int i = 0; i < JOBS; i++)
		EXPECT_EQ(rc[i], 7);
	EXPECT_EQ(counted(&t.ran), (unsigned)JOBS);
	EXPECT_EQ(counted(&t.dropped), 0u);
}

/* ---- what a job may call ---- */

struct toolbox {
	int_chan ch;
	tt_mutex mutex;
	tt_semaphore semaphore;
	tt_notify notify;
	tt_interval pace;
	struct tally tally;
	tt_canceller *canceller;
};

static TT_TASK(misplaced_calls, (struct toolbox *, t))
{
	int v;

	EXPECT_CODE(tt_sleep(1), TT_EWRONGCTX);
	EXPECT_CODE(tt_yield(), TT_EWRONGCTX);
	EXPECT_CODE(tt_checkpoint(), TT_EWRONGCTX);
	EXPECT_CODE(tt_interval_tick(&t->pace), TT_EWRONGCTX);
	EXPECT_CODE(tt_mutex_lock(&t->mutex), TT_EWRONGCTX);
	EXPECT_CODE(tt_mutex_try_lock(&t->mutex), TT_EWRONGCTX);
	EXPECT_CODE(tt_semaphore_acquire(&t->semaphore, 1), TT_EWRONGCTX);
	EXPECT_CODE(tt_notify_wait(&t->notify), TT_EWRONGCTX);
	EXPECT_CODE(tt_select(TT_ON_RECV(&t->ch, &v), TT_ON_TIMEOUT(0)), TT_EWRONGCTX);
	EXPECT_CODE(tt_blocking(owning_job, &t->tally), TT_EWRONGCTX);
	EXPECT_EQ(counted(&t->tally.dropped), 1u);
	EXPECT_EQ(counted(&t->tally.ran), 0u);
	EXPECT_ABORTS(({ TT_LOCK(&t->mutex); }), "TT_LOCK: called from a pool job");
	return 0;
}

static TT_TASK(rightful_calls, (struct toolbox *, t))
{
	int v = -1;

	EXPECT_FALSE(tt_stopping());
	EXPECT_EQ(tt_worker_index(), -1);
	EXPECT_GT(tt_now(), 0);
	TT_TRY(tt_send(&t->ch, &(int){ 1 }));
	TT_TRY(tt_try_send(&t->ch, &(int){ 2 }));
	EXPECT_EQ(tt_recv(&t->ch, &v), 1);
	EXPECT_EQ(v, 1);
	TT_TRY(tt_semaphore_try_acquire(&t->semaphore, 1));
	tt_semaphore_release(&t->semaphore, 2);
	tt_notify_one(&t->notify);
	tt_cancel(t->canceller);
	return 8;
}

static int use_tools(struct toolbox *t)
{
	int rc;

	TT_SCOPE(s, TT_NEVER);
	t->canceller = tt_scope_canceller(&s);
	EXPECT_CODE(tt_blocking(misplaced_calls, t), 0);
	EXPECT_EQ(tt_blocking(rightful_calls, t), 8);
	/* The cancel is a message of its own to this worker. */
	for (rc = 0; rc == 0;)
		rc = tt_yield();
	tt_canceller_put(t->canceller);
	return tt_scope_end(&s, rc);
}

/* What waits like a task gives TT_EWRONGCTX; channels, permits, wake-ups and cancels are for
 * every thread. */
TT_TEST(blocking, what_a_job_may_call)
{
	struct toolbox t = { .pace = tt_interval_every(TT_SEC(1)) };
	int v = -1;

	REQUIRE_OK(tt_chan_init(&t.ch, 2));
	tt_mutex_init(&t.mutex);
	tt_semaphore_init(&t.semaphore, 1);
	tt_notify_init(&t.notify);
	EXPECT_CODE(use_tools(&t), TT_ECANCELED);
	EXPECT_CODE(tt_notify_wait(&t.notify), 0);
	EXPECT_CODE(tt_semaphore_acquire(&t.semaphore, 2), 0);
	EXPECT_EQ(tt_try_recv(&t.ch, &v), 1);
	EXPECT_EQ(v, 2);
	tt_chan_fini(&t.ch);
	tt_mutex_fini(&t.mutex);
	tt_semaphore_fini(&t.semaphore);
	tt_notify_fini(&t.notify);
}

static TT_TASK(send_numbers, (int_chan *, ch), (int, n))
{
	TT_CLOSE_AT_END(ch);

	for (int i = 0; i < n; i++)
		TT_TRY(tt_send(ch, &i));
	return n;
}

static TT_TASK(send_from_a_job, (int_chan *, ch), (int, n), (int *, ret_rc))
{
	*ret_rc = tt_blocking(send_numbers, ch, n);
	return 0;
}

static int drain(int_chan *ch, int n)
{
	int v = -1, rc, got = 0, sent = 0;

	TT_GROUP(g);
	tt_go_with(&g, &anywhere, send_from_a_job, ch, n, &sent);
	while ((rc = tt_recv(ch, &v)) == 1)
		EXPECT_EQ(v, got++);
	EXPECT_EQ(rc, 0);
	TT_TRY_IN(&g, tt_group_drain(&g));
	EXPECT_EQ(got, n);
	EXPECT_EQ(sent, n);
	return tt_group_end(&g, 0);
}

/* A job feeds a task through a channel with room enough, whether the task waits already or
 * not. */
TT_TEST(blocking, a_job_sends_to_a_task)
{
	/* law 5 */
	int_chan ch;

	REQUIRE_OK(tt_chan_init(&ch, 100));
	EXPECT_CODE(drain(&ch, 100), 0);
	tt_chan_fini(&ch);
}

/* And through one without: its thread waits for the task. */
TT_TEST_ON(blocking, a_job_waits_for_a_task, TT_ON_REAL, "a simulated job cannot wait")
{
	for (size_t capacity = 0; capacity < 3; capacity++) {
		int_chan ch;

		REQUIRE_OK(tt_chan_init(&ch, capacity));
		EXPECT_CODE(drain(&ch, 500), 0);
		tt_chan_fini(&ch);
	}
}

/* Only tasks may hand jobs over. */
TT_TEST_PLAIN(blocking, a_plain_thread_may_not)
{
	struct tally t = { .ran.v = 0 };

	EXPECT_ABORTS(TT_IGNORE(tt_blocking(owning_job, &t)), "tt_blocking: called outside a task");
}

/* ---- jobs that may be left behind ---- */

/* Shared by a caller and its job, freed by whoever lets go last: what an owned argument is. */
struct answer {
	tti_atomic_u32 refs, open, running;
	int value;
};

static tti_atomic_u32 answers_freed;

static struct answer *answer_new(void)
{
	struct answer *a = tti_env_zalloc(sizeof(*a));

	REQUIRE_TRUE(a != NULL);
	a->refs.v = 2;
	return a;
}

static void answer_put(struct answer *a)
{
	/* pairs with itself: the last one frees what the other wrote. */
	if (tti_fetch_sub_acq_rel(&a->refs, 1) != 1)
		return;
	tti_env_free(a);
	count(&answers_freed);
}

static TT_TASK(find_answer, (struct answer *, a, answer_put), (int, value))
{
	int rc = value;

	count(&a->running);
	if (value < 0)
		rc = tt_fail(TT_EIO, "no answer");
	a->value = value;
	answer_put(a);
	return rc;
}

/* An abandonable call that is not cancelled is like any other: result, chain, checkpoint. */
TT_TEST(blocking, abandonable_calls_give_the_result)
{
	unsigned before = counted(&answers_freed);
	struct answer *a = answer_new();
	tt_error e;
	int rc;

	EXPECT_EQ(tt_blocking_abandon(find_answer, a, 42), 42);
	EXPECT_EQ(a->value, 42);
	answer_put(a);
	a = answer_new();
	rc = tt_blocking_abandon(find_answer, a, -1);
	EXPECT_CODE(rc, TT_EIO);
	tt_error_take(&e, rc);
	REQUIRE_TRUE(tt_error_first(&e) != NULL);
	EXPECT_STR_EQ(tt_error_message(tt_error_first(&e)), "no answer");
	tt_error_fini(&e);
	answer_put(a);
	for (int i = 0; i < 200; i++) {
		a = answer_new();
		EXPECT_CODE(TT_WITHIN(0, tt_blocking_abandon(find_answer, a, 1)), TT_ETIMEDOUT);
		EXPECT_EQ(counted(&a->refs), 1u);
		EXPECT_EQ(counted(&a->running), 0u);
		answer_put(a);
	}
	EXPECT_EQ(counted(&answers_freed), before + 202);
}

static TT_TASK(abandons, (int64_t, timeout), (unsigned *, ret_done))
{
	struct answer *a = answer_new();
	int rc = TT_WITHIN(timeout, tt_blocking_abandon(find_answer, a, 5));

	*ret_done += rc == 5;
	answer_put(a);
	return rc == 5 || rc == TT_ETIMEDOUT ? 0 : rc;
}

/* Cut short at any time: the arguments end with the job or with the call, once. */
TT_TEST(blocking, abandoned_at_any_time)
{
	unsigned before = counted(&answers_freed), done = 0;

	{
		TT_GROUP(g);
		for (int i = 0; i < 150; i++)
			tt_go_with(&g, &nearby, abandons, TT_US(1) * i, &done);
		EXPECT_CODE(tt_group_end(&g, 0), 0);
	}
	/* The last jobs end on their own. */
	while (counted(&answers_freed) != before + 150)
		REQUIRE_CODE(tt_sleep(TT_US(100)), 0);
	tt_test_note("%u of 150 were in time", done);
}

static TT_TASK(held_answer, (struct answer *, a, answer_put))
{
	count(&a->running);
	while (counted(&a->open) == 0)
		tti_env_futex_wait(&a->open, 0, TT_NEVER);
	answer_put(a);
	return 1;
}

static TT_TASK(asks_for_held, (struct answer *, a), (int *, ret_rc))
{
	*ret_rc = tt_blocking_abandon(held_answer, a);
	return 0;
}

static int leave_it_behind(struct answer *a, int *ret_rc)
{
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, asks_for_held, a, ret_rc);
	TT_TRY_IN(&g, wait_for_count(&a->running, 1));
	tt_group_cancel(&g);
	return tt_group_end(&g, 0);
}

/* A cancel does not wait for a job that hangs; it has its arguments as long as it runs. */
TT_TEST_ON(blocking, a_cancel_leaves_a_running_job, TT_ON_REAL, "a simulated job cannot wait")
{
	unsigned before = counted(&answers_freed);
	struct answer *a = answer_new();
	int rc = 9;

	EXPECT_CODE(leave_it_behind(a, &rc), 0);
	EXPECT_CODE(rc, TT_ECANCELED);
	EXPECT_EQ(counted(&answers_freed), before);
	count(&a->open);
	tti_env_futex_wake(&a->open, INT_MAX);
	answer_put(a);
	while (counted(&answers_freed) != before + 1)
		REQUIRE_CODE(tt_sleep(TT_US(100)), 0);
}

/* The end of the runtime waits for what was left behind. */
static TT_TASK(leaves_one_behind, (struct answer *, a))
{
	struct answer *mine = a;

	TT_IGNORE(TT_WITHIN(TT_MS(1), tt_blocking_abandon(find_answer, mine, 3)));
	return 0;
}

TT_TEST_PLAIN(blocking, the_runtime_waits_for_abandoned_jobs)
{
	/* perhaps laws 7, 11 */
	unsigned before = counted(&answers_freed);

	for (int i = 0; i < 20; i++) {
		struct answer *a = answer_new();

		EXPECT_EQ(tt_main(leaves_one_behind, a), 0);
		answer_put(a);
	}
	EXPECT_EQ(counted(&answers_freed), before + 20);
}

/* ---- when something cannot be had ---- */

/* Without memory for a thread the call fails and destructors have run; with it, it works. */
TT_TEST(blocking, without_memory)
{
	struct tally t = { .ran.v = 0 };
	unsigned refused = 0;
	int rc;

	for (;;) {
		tt_test_fail_alloc_at(refused + 1);
		rc = tt_blocking(owning_job, &t);
		tt_test_fail_nothing();
		if (rc == 7)
			break;
		REQUIRE_CODE(rc, TT_ENOMEM);
		refused++;
		EXPECT_EQ(counted(&t.dropped), refused);
	}
	EXPECT_EQ(counted(&t.ran), 1u);
	EXPECT_EQ(counted(&t.dropped), refused);
}

static int no_thread(struct tti_thread *t, const char *name)
{
	(void)t;
	(void)name;
	return TT_EAGAIN;
}

/* No thread at all: the call fails, and the next one may work. */
TT_TEST_ON(blocking, without_any_thread, TT_ON_REAL, "a simulated job needs no thread")
{
	const struct tti_env_ops *before;
	struct tti_env_ops ops = *tti_env_here;
	struct tally t = { .ran.v = 0 };
	int rc;

	ops.thread_start = no_thread;
	before = tti_env_bind(&ops);
	rc = tt_blocking(owning_job, &t);
	tti_env_bind(before);
	EXPECT_CODE(rc, TT_EAGAIN);
	EXPECT_EQ(counted(&t.dropped), 1u);
	EXPECT_EQ(counted(&t.ran), 0u);
	EXPECT_EQ(tt_blocking(owning_job, &t), 7);
}

static int share_a_thread(struct gate *gate, struct tally *t, const struct tti_env_ops *ops, int *rc)
{
	const struct tti_env_ops *before;

	TT_GROUP(g);
	tt_go_with(&g, &nearby, call_gated, gate, &rc[0]);
	TT_TRY_IN(&g, wait_for_count(&gate->running, 1));
	before = tti_env_bind(ops);
	for (int i = 1; i < 4; i++)
		tt_go_with(&g, &nearby, call_once, t, &rc[i]);
	TT_IGNORE(tt_test_wait_all_parked());
	tti_env_bind(before);
	EXPECT_EQ(counted(&t->ran), 0u);
	open_gate(gate);
	return tt_group_end(&g, 0);
}

/* No further thread: jobs wait for the one that runs. */
TT_TEST_ON(blocking, without_another_thread, TT_ON_REAL, "a simulated job needs no thread")
{
	struct tti_env_ops ops = *tti_env_here;
	struct gate gate = { .open.v = 0 };
	struct tally t = { .ran.v = 0 };
	int rc[4] = { 9, 9, 9, 9 };

	ops.thread_start = no_thread;
	EXPECT_CODE(share_a_thread(&gate, &t, &ops, rc), 0);
	EXPECT_EQ(rc[0], 5);
	for (int i = 1; i < 4; i++)
		EXPECT_EQ(rc[i], 7);
	EXPECT_EQ(counted(&t.ran), 3u);
	EXPECT_EQ(counted(&t.dropped), 0u);
}

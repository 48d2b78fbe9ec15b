/* SPDX-License-Identifier: MIT */
/*
 * wait_test.c - the claim word: one winner, pairs that commit together or not at all, plain
 * threads that wait, and what a fini says of those who still wait. The orders are proved in
 * tests/model; here are the outcomes.
 */
#include "wait/wait.h"

#include <pthread.h>
#include <string.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

#include "env/env.h"

TT_CHAN_TYPE(int_chan, int);

static uint32_t claim_of(struct tti_waiter *w)
{
	/* relaxed: the threads of the test have been joined. */
	return tti_load_relaxed(&w->claim);
}

/* A wait is claimed once: law 4. */
TT_TEST_PLAIN(wait, is_claimed_once)
{
	struct tti_waiter w;

	tti_waiter_init(&w, "test", NULL);
	EXPECT_TRUE(tti_waiter_is_waiting(&w));
	EXPECT_TRUE(tti_claim(&w));
	EXPECT_FALSE(tti_claim(&w));
	EXPECT_FALSE(tti_claim_self(&w));
	EXPECT_FALSE(tti_waiter_is_waiting(&w));
	tti_waiter_init(&w, "test", NULL);
	EXPECT_TRUE(tti_claim_self(&w));
	EXPECT_FALSE(tti_claim(&w));
}

/* A pair is claimed together or not at all. */
TT_TEST_PLAIN(wait, pairs_are_claimed_together)
{
	struct tti_waiter a, b;

	tti_waiter_init(&a, "test", NULL);
	tti_waiter_init(&b, "test", NULL);
	EXPECT_EQ(tti_claim_pair(&a, &b), TTI_PAIR_BOTH);
	EXPECT_EQ(claim_of(&a), TTI_CLAIMED);
	EXPECT_EQ(claim_of(&b), TTI_CLAIMED);
	tti_waiter_init(&a, "test", NULL);
	EXPECT_EQ(tti_claim_pair(&a, &b), TTI_PAIR_PARTNER_GONE);
	EXPECT_EQ(claim_of(&a), TTI_WAITING);
	tti_waiter_init(&b, "test", NULL);
	EXPECT_TRUE(tti_claim(&a));
	EXPECT_EQ(tti_claim_pair(&a, &b), TTI_PAIR_SELF_TAKEN);
	EXPECT_EQ(claim_of(&b), TTI_WAITING);
	EXPECT_EQ(tti_claim_pair(NULL, &b), TTI_PAIR_BOTH);
	EXPECT_EQ(claim_of(&b), TTI_CLAIMED);
}

#define ROUNDS 20000

static struct tti_waiter many[ROUNDS], partners[ROUNDS];
static tti_atomic_u32 at_start;

static void start_together(uint32_t n)
{
	/* acq_rel: pairs with itself. */
	tti_fetch_add_acq_rel(&at_start, 1);
	/* acquire: pairs with the above. */
	while (tti_load_acquire(&at_start) < n)
		tti_cpu_relax();
}

static void *claims_all(void *arg)
{
	uint32_t *won = arg;

	start_together(3);
	for (int i = 0; i < ROUNDS; i++)
		*won += tti_claim(&many[i]) ? 1 : 0;
	return NULL;
}

static void init_waiters(void)
{
	for (int i = 0; i < ROUNDS; i++) {
		tti_waiter_init(&many[i], "test", NULL);
		tti_waiter_init(&partners[i], "test", NULL);
	}
	/* relaxed: no thread runs yet. */
	tti_store_relaxed(&at_start, 0);
}

/* Three threads claim the same waits: each has one winner. law 4 */
TT_TEST_PLAIN(wait, one_of_many_threads_wins)
{
	pthread_t threads[3];
	uint32_t won[3] = { 0 };

	init_waiters();
	for (int i = 0; i < 3; i++)
		REQUIRE_EQ(pthread_create(&threads[i], NULL, claims_all, &won[i]), 0);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	EXPECT_EQ(won[0] + won[1] + won[2], (uint32_t)ROUNDS);
}

static enum tti_pair outcomes[2][ROUNDS];

static void *pairs_forwards(void *arg)
{
	(void)arg;
	start_together(2);
	for (int i = 0; i < ROUNDS; i++)
		outcomes[0][i] = tti_claim_pair(&many[i], &partners[i]);
	return NULL;
}

static void *pairs_backwards(void *arg)
{
	(void)arg;
	start_together(2);
	for (int i = 0; i < ROUNDS; i++)
		outcomes[1][i] = tti_claim_pair(&partners[i], &many[i]);
	return NULL;
}

/* Two threads commit the same pair from opposite ends: one succeeds, the other learns that it
 * was taken itself, and neither takes the partner for gone. */
TT_TEST_PLAIN(wait, pairs_from_opposite_ends)
{
	pthread_t a, b;

	init_waiters();
	REQUIRE_EQ(pthread_create(&a, NULL, pairs_forwards, NULL), 0);
	REQUIRE_EQ(pthread_create(&b, NULL, pairs_backwards, NULL), 0);
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	for (int i = 0; i < ROUNDS; i++) {
		REQUIRE_TRUE(outcomes[0][i] == TTI_PAIR_BOTH || outcomes[1][i] == TTI_PAIR_BOTH);
		REQUIRE_TRUE(outcomes[0][i] == TTI_PAIR_SELF_TAKEN || outcomes[1][i] == TTI_PAIR_SELF_TAKEN);
	}
}

/* ---- plain threads ---- */

static void *sends_now_and_then(void *arg)
{
	int_chan *ch = arg;

	for (int i = 0; i < 3000; i++)
		if (tt_send(ch, &i) < 0)
			return NULL;
	tt_chan_close(ch);
	return NULL;
}

/* A plain thread that lingers in tt_recv_many waits, and no longer than it said; what comes at
 * that moment is not lost. */
TT_TEST_PLAIN(wait, plain_thread_waits_with_a_deadline)
{
	int buf[8], next = 0, rc;
	pthread_t thread;
	int64_t begin;
	int_chan ch;

	REQUIRE_OK(tt_chan_init(&ch, 1));
	EXPECT_OK(tt_send(&ch, &(int){ 5 }));
	begin = tt_now();
	EXPECT_EQ(tt_recv_many(&ch, buf, 8, TT_MS(2)), 1);
	EXPECT_GE(tt_now(), begin + TT_MS(2));
	REQUIRE_EQ(pthread_create(&thread, NULL, sends_now_and_then, &ch), 0);
	while ((rc = tt_recv_many(&ch, buf, 8, TT_US(1 + next % 50))) > 0)
		for (int i = 0; i < rc; i++)
			REQUIRE_EQ(buf[i], next++);
	EXPECT_EQ(rc, 0);
	EXPECT_EQ(next, 3000);
	pthread_join(thread, NULL);
	tt_chan_fini(&ch);
}

/* ---- misuse ---- */

/* A fini of something that is waited for names the task, or says that a thread waits. */
TT_TEST(wait, fini_names_who_waits)
{
	struct tti_waiter w;
	struct tti_wait_node n;
	struct tti_list nodes;

	tti_list_init(&nodes);
	tti_require_nobody_waits(&nodes, "tt_thing_fini");
	memset(&nodes, 0, sizeof(nodes));
	tti_require_nobody_waits(&nodes, "tt_thing_fini");
	tti_list_init(&nodes);
	tti_waiter_init(&w, "test", NULL);
	tti_node_init(&n, &w, 0);
	tti_list_push_back(&nodes, &n.link);
	EXPECT_ABORTS(tti_require_nobody_waits(&nodes, "tt_thing_fini"), "tt_thing_fini: task test_body#");
	w.task = NULL;
	EXPECT_ABORTS(tti_require_nobody_waits(&nodes, "tt_thing_fini"), "tt_thing_fini: a thread waits for it");
}

/* Calls that are for tasks say so on a thread, by name. */
TT_TEST_PLAIN(wait, calls_for_tasks_abort_on_a_thread)
{
	static tt_notify notify;

	EXPECT_ABORTS(TT_IGNORE(tt_sleep(1)), "tt_sleep: called outside a task");
	EXPECT_ABORTS(TT_IGNORE(tt_yield()), "tt_yield: called outside a task");
	EXPECT_ABORTS(TT_IGNORE(tt_checkpoint()), "tt_checkpoint: called outside a task");
	EXPECT_ABORTS(TT_IGNORE(tt_notify_wait(&notify)), "tt_notify_wait: called outside a task");
	EXPECT_ABORTS(TT_IGNORE(tt_select(TT_ON_TIMEOUT(0))), "tt_select: called outside a task");
}

/* ---- the moment between two instructions of another thread ---- */

static struct tti_waiter *stuck;
static uint32_t comes_next;
static unsigned yields;

/* The thread that was CLAIMING goes on. */
static void other_goes_on(void)
{
	if (++yields == 2)
		/* relaxed: one thread plays both. */
		tti_store_relaxed(&stuck->claim, comes_next);
}

static void begin_stuck(struct tti_waiter *w, uint32_t next)
{
	tti_waiter_init(w, "test", NULL);
	/* relaxed: as above. */
	tti_store_relaxed(&w->claim, TTI_CLAIMING);
	stuck = w;
	comes_next = next;
	yields = 0;
}

/* A waiter that is CLAIMING is waited out, whichever way it goes. */
TT_TEST_PLAIN(wait, a_claim_waits_for_one_that_looks_at_its_partner)
{
	/* law 4 */
	void (*before)(void) = tti_spin_yield;
	struct tti_waiter w[2];

	tti_spin_yield = other_goes_on;
	begin_stuck(&w[0], TTI_WAITING);
	EXPECT_TRUE(tti_claim(&w[0]));
	begin_stuck(&w[0], TTI_CLAIMED);
	EXPECT_FALSE(tti_claim(&w[0]));
	EXPECT_EQ(yields, 2u);
	/* The lower address waits for the higher one, ... */
	begin_stuck(&w[1], TTI_WAITING);
	tti_waiter_init(&w[0], "test", NULL);
	EXPECT_EQ(tti_claim_pair(&w[0], &w[1]), TTI_PAIR_BOTH);
	EXPECT_EQ(yields, 2u);
	/* ... which steps back meanwhile, ... */
	begin_stuck(&w[0], TTI_CLAIMED);
	tti_waiter_init(&w[1], "test", NULL);
	EXPECT_EQ(tti_claim_pair(&w[1], &w[0]), TTI_PAIR_PARTNER_GONE);
	EXPECT_TRUE(tti_waiter_is_waiting(&w[1]));
	begin_stuck(&w[0], TTI_WAITING);
	tti_waiter_init(&w[1], "test", NULL);
	EXPECT_EQ(tti_claim_pair(&w[1], &w[0]), TTI_PAIR_BOTH);
	EXPECT_EQ(yields, 2u);
	tti_spin_yield = before;
}

/* The node of a wait that was decided stays where it is, and its outcome as it was. */
TT_TEST_PLAIN(wait, a_decided_node_is_not_settled)
{
	/* law 4 */
	struct tti_list woken;
	struct tti_wait_node n;
	struct tti_waiter w;

	tti_list_init(&woken);
	tti_waiter_init(&w, "test", NULL);
	tti_node_init(&n, &w, 1);
	REQUIRE_TRUE(tti_claim(&w));
	EXPECT_FALSE(tti_claim_node(&n, 5, &woken));
	EXPECT_EQ(tti_claim_own_node(&n, 5), TTI_ARM_TAKEN);
	EXPECT_TRUE(tti_list_empty(&woken));
	EXPECT_EQ(w.rc, 0);
	EXPECT_EQ(w.winner, 0u);
	tti_abort_by_claim(&w);
	EXPECT_EQ(w.rc, 0);
}

/* ---- a thread whose time is up when its wake is on the way ---- */

static struct tti_waiter *slow_waiter;
static unsigned futex_waits;

static int keep_waiter(const tt_arm *arm, struct tti_wait_node *n, bool may_link)
{
	(void)arm;
	(void)may_link;
	slow_waiter = n->waiter;
	return TTI_ARM_LINKED;
}

static void drop_waiter(const tt_arm *arm, struct tti_wait_node *n)
{
	(void)arm;
	EXPECT_TRUE(n->waiter == slow_waiter);
}

static const struct tti_arm_ops slow_arm = { .verb = "slow", .enlist = keep_waiter, .delist = drop_waiter };

/* The waker has claimed it, and wakes it only when its time is up. */
static int late_futex(tti_atomic_u32 *word, uint32_t expected, int64_t deadline)
{
	(void)word;
	(void)expected;
	switch (++futex_waits) {
	case 1:
		EXPECT_EQ(deadline, 77);
		REQUIRE_TRUE(tti_claim(slow_waiter));
		slow_waiter->rc = 9;
		return TT_ETIMEDOUT;
	case 2:
		EXPECT_EQ(deadline, TT_NEVER);
		return TT_EINTR;
	default:
		tti_wake(slow_waiter);
		return 0;
	}
}

/* Then it waits for that wake, and has what it brings: nobody touches a frame that is gone. */
TT_TEST_PLAIN(wait, a_thread_that_was_claimed_in_time_is_not_late)
{
	struct tti_env_ops ops = tti_env_real;
	const struct tti_env_ops *before;
	tt_arm arm = { .ops = &slow_arm };

	ops.futex_wait = late_futex;
	before = tti_env_bind(&ops);
	EXPECT_EQ(tti_thread_wait_arm(&arm, 77), 9);
	tti_env_bind(before);
	EXPECT_EQ(futex_waits, 3u);
}

TT_TEST_MAIN()

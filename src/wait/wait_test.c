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

TT_TEST_MAIN()

/* SPDX-License-Identifier: MIT */
/*
 * inbox_test.c - the mailbox: order, one waker, nothing lost. Its orders are proved in
 * tests/model; here are the rules of use, and threads.
 */
#include "base/inbox.h"

#include <pthread.h>
#include <string.h>

#include <tutti/testing.h>

#include "env/env.h"

struct message {
	struct tti_inbox_node node;
	int sender, number;
};

static struct tti_inbox inbox;

/* Everything posted is taken, once, oldest first. */
TT_TEST_PLAIN(inbox, takes_everything_oldest_first)
{
	struct message m[5];
	struct tti_inbox_node *n;
	int i = 0;

	tti_inbox_init(&inbox);
	EXPECT_TRUE(tti_inbox_take(&inbox) == NULL);
	for (i = 0; i < 5; i++) {
		m[i].number = i;
		EXPECT_FALSE(tti_inbox_post(&inbox, &m[i].node));
	}
	i = 0;
	for (n = tti_inbox_take(&inbox); n != NULL; n = n->next)
		EXPECT_EQ(((struct message *)(void *)n)->number, i++);
	EXPECT_EQ(i, 5);
	EXPECT_TRUE(tti_inbox_take(&inbox) == NULL);
}

/* The first who posts to a sleeper must wake it, and nobody else. */
TT_TEST_PLAIN(inbox, one_sender_wakes_the_sleeper)
{
	struct message m[3];

	tti_inbox_init(&inbox);
	EXPECT_TRUE(tti_inbox_sleep(&inbox));
	EXPECT_TRUE(tti_inbox_post(&inbox, &m[0].node));
	EXPECT_FALSE(tti_inbox_post(&inbox, &m[1].node));
	tti_inbox_awake(&inbox);
	EXPECT_FALSE(tti_inbox_post(&inbox, &m[2].node));
	EXPECT_TRUE(tti_inbox_take(&inbox) == &m[0].node);
	EXPECT_TRUE(m[0].node.next == &m[1].node);
	EXPECT_TRUE(m[1].node.next == &m[2].node);
}

/* With a message waiting there is no sleep. */
TT_TEST_PLAIN(inbox, no_sleep_over_a_message)
{
	struct message m;

	tti_inbox_init(&inbox);
	TT_IGNORE(tti_inbox_post(&inbox, &m.node));
	EXPECT_FALSE(tti_inbox_sleep(&inbox));
	EXPECT_TRUE(tti_inbox_take(&inbox) == &m.node);
	EXPECT_TRUE(tti_inbox_sleep(&inbox));
	tti_inbox_awake(&inbox);
	EXPECT_TRUE(tti_inbox_take(&inbox) == NULL);
}

#define SENDERS 3
#define MESSAGES 20000

static struct message sent[SENDERS][MESSAGES];
static tti_atomic_u32 bell;             /* futex: 1 rung */

static void *sender_main(void *arg)
{
	int sender = (int)(intptr_t)arg;

	for (int i = 0; i < MESSAGES; i++) {
		sent[sender][i].sender = sender;
		sent[sender][i].number = i;
		if (!tti_inbox_post(&inbox, &sent[sender][i].node))
			continue;
		/* release: pairs with the acquire in sleep_until_rung(). */
		tti_store_release(&bell, 1);
		tti_env_futex_wake(&bell, 1);
	}
	return NULL;
}

/* False: nobody rang within a second, although the owner slept. */
static bool sleep_until_rung(void)
{
	int64_t until = tti_env_now() + TT_SEC(1);

	/* acquire: pairs with the release in sender_main(). */
	while (tti_load_acquire(&bell) == 0)
		if (tti_env_futex_wait(&bell, 0, until) == TT_ETIMEDOUT)
			return false;
	/* relaxed: the one who rings next sees ASLEEP first, which is set after this. */
	tti_store_relaxed(&bell, 0);
	return true;
}

/* Three threads post, the owner sleeps whenever it may: no message is lost, none sleeps, and
 * those of one sender stay in order. */
TT_TEST_PLAIN(inbox, nothing_is_lost_between_threads)
{
	pthread_t threads[SENDERS];
	int next[SENDERS] = { 0 }, left = SENDERS * MESSAGES;

	tti_inbox_init(&inbox);
	for (intptr_t s = 0; s < SENDERS; s++)
		REQUIRE_EQ(pthread_create(&threads[s], NULL, sender_main, (void *)s), 0);
	while (left > 0) {
		struct tti_inbox_node *n = tti_inbox_take(&inbox), *after;

		for (; n != NULL; n = after, left--) {
			struct message *m = (struct message *)(void *)n;

			after = n->next;
			REQUIRE_EQ(m->number, next[m->sender]);
			next[m->sender]++;
		}
		if (left > 0 && tti_inbox_sleep(&inbox)) {
			REQUIRE_TRUE(sleep_until_rung());
			tti_inbox_awake(&inbox);
		}
	}
	for (int s = 0; s < SENDERS; s++)
		pthread_join(threads[s], NULL);
}

TT_TEST_MAIN()

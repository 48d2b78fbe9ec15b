/* SPDX-License-Identifier: MIT */
/*
 * steal_ring_test.c - the ring that others steal from: order, room, halves. Its orders are
 * proved in tests/model; here are the rules of use, and threads.
 */
#include "sched/steal_ring.h"

#include <pthread.h>
#include <string.h>

#include <tutti/testing.h>

#include "base/spin.h"

static struct tti_steal_ring ring, other;
static int items[4 * TTI_STEAL_RING_SLOTS];

static void begin(void)
{
	tti_steal_ring_init(&ring);
	tti_steal_ring_init(&other);
}

static void push(int first, int n)
{
	for (int i = first; i < first + n; i++)
		REQUIRE_TRUE(tti_steal_ring_push(&ring, &items[i]));
}

/* The owner takes the oldest first, and then there is nothing. */
TT_TEST_PLAIN(steal_ring, owner_takes_oldest_first)
{
	begin();
	EXPECT_TRUE(tti_steal_ring_pop(&ring) == NULL);
	push(0, 5);
	EXPECT_EQ(tti_steal_ring_len(&ring), 5);
	for (int i = 0; i < 5; i++)
		EXPECT_TRUE(tti_steal_ring_pop(&ring) == &items[i]);
	EXPECT_TRUE(tti_steal_ring_pop(&ring) == NULL);
	EXPECT_EQ(tti_steal_ring_len(&ring), 0);
}

/* A full ring takes nothing more, and what it holds is unharmed. */
TT_TEST_PLAIN(steal_ring, full_ring_refuses)
{
	begin();
	push(0, TTI_STEAL_RING_SLOTS);
	EXPECT_FALSE(tti_steal_ring_push(&ring, &items[TTI_STEAL_RING_SLOTS]));
	EXPECT_TRUE(tti_steal_ring_pop(&ring) == &items[0]);
	push(TTI_STEAL_RING_SLOTS, 1);
	for (unsigned i = 1; i <= TTI_STEAL_RING_SLOTS; i++)
		EXPECT_TRUE(tti_steal_ring_pop(&ring) == &items[i]);
	EXPECT_TRUE(tti_steal_ring_pop(&ring) == NULL);
}

/* A thief gets the older half, rounded up: one to run now, the others in its own ring. */
TT_TEST_PLAIN(steal_ring, thief_takes_older_half)
{
	begin();
	push(0, 7);
	EXPECT_TRUE(tti_steal_ring_steal(&ring, &other) == &items[0]);
	for (int i = 1; i < 4; i++)
		EXPECT_TRUE(tti_steal_ring_pop(&other) == &items[i]);
	EXPECT_TRUE(tti_steal_ring_pop(&other) == NULL);
	for (int i = 4; i < 7; i++)
		EXPECT_TRUE(tti_steal_ring_pop(&ring) == &items[i]);
}

/* The last item can be stolen; from an empty ring nothing can. */
TT_TEST_PLAIN(steal_ring, last_item_is_stolen)
{
	begin();
	push(0, 1);
	EXPECT_TRUE(tti_steal_ring_steal(&ring, &other) == &items[0]);
	EXPECT_TRUE(tti_steal_ring_steal(&ring, &other) == NULL);
	EXPECT_TRUE(tti_steal_ring_pop(&other) == NULL);
}

/* A thief takes no more than its own ring has room for. */
TT_TEST_PLAIN(steal_ring, thief_without_room_takes_one)
{
	begin();
	push(0, 8);
	for (unsigned i = 0; i < TTI_STEAL_RING_SLOTS; i++)
		REQUIRE_TRUE(tti_steal_ring_push(&other, &items[8 + i]));
	EXPECT_TRUE(tti_steal_ring_steal(&ring, &other) == &items[0]);
	EXPECT_EQ(tti_steal_ring_len(&other), TTI_STEAL_RING_SLOTS);
	EXPECT_TRUE(tti_steal_ring_pop(&other) == &items[8]);
	EXPECT_TRUE(tti_steal_ring_steal(&ring, &other) == &items[1]);
	EXPECT_EQ(tti_steal_ring_len(&other), TTI_STEAL_RING_SLOTS);
}

/* While one thief copies, a second one goes away, the owner takes what is left, and no slot that
 * is being copied is written. */
TT_TEST_PLAIN(steal_ring, slots_being_copied_are_left_alone)
{
	uint32_t first = 0, n;

	begin();
	push(0, TTI_STEAL_RING_SLOTS);
	n = tti_steal_begin(&ring, TTI_STEAL_RING_SLOTS, &first);
	EXPECT_EQ(n, TTI_STEAL_RING_SLOTS / 2);
	EXPECT_EQ(first, 0);
	EXPECT_TRUE(tti_steal_ring_steal(&ring, &other) == NULL);
	EXPECT_TRUE(tti_steal_ring_pop(&ring) == &items[n]);
	EXPECT_FALSE(tti_steal_ring_push(&ring, &items[0]));
	tti_steal_end(&ring);
	for (uint32_t i = 0; i <= n; i++)
		EXPECT_TRUE(tti_steal_ring_push(&ring, &items[i]));
	EXPECT_FALSE(tti_steal_ring_push(&ring, &items[0]));
}

/* The counters run through all 32 bits. */
TT_TEST_PLAIN(steal_ring, counters_wrap)
{
	begin();
	/* relaxed: no thread yet. */
	tti_store_relaxed(&ring.head, tti_steal_pack(UINT32_MAX - 2, UINT32_MAX - 2));
	/* relaxed: as above. */
	tti_store_relaxed(&ring.tail, UINT32_MAX - 2);
	push(0, TTI_STEAL_RING_SLOTS);
	EXPECT_FALSE(tti_steal_ring_push(&ring, &items[0]));
	EXPECT_TRUE(tti_steal_ring_steal(&ring, &other) == &items[0]);
	EXPECT_EQ(tti_steal_ring_len(&ring), TTI_STEAL_RING_SLOTS / 2);
	for (unsigned i = TTI_STEAL_RING_SLOTS / 2; i < TTI_STEAL_RING_SLOTS; i++)
		EXPECT_TRUE(tti_steal_ring_pop(&ring) == &items[i]);
}

#define THIEVES 2
#define MANY 100000

struct work { unsigned number, taken; };

static struct work work[MANY];
static struct tti_steal_ring kept[THIEVES];
static tti_atomic_u32 taken_n;

static void take(void *p)
{
	struct work *w = p;

	/* Plain: who took it is the only one, and sees what was written before it was pushed. */
	EXPECT_EQ(w->number, (unsigned)(w - work));
	w->taken++;
	/* relaxed: a count. */
	tti_fetch_add_relaxed(&taken_n, 1);
}

static bool all_taken(void)
{
	/* relaxed: a count; the threads are joined before more is looked at. */
	return tti_load_relaxed(&taken_n) == MANY;
}

/* Steals from the owner, or from the other thief. */
static void *thief_main(void *arg)
{
	struct tti_steal_ring *own = arg, *its = own == &kept[0] ? &kept[1] : &kept[0];

	for (unsigned round = 0; !all_taken(); round++) {
		void *p = tti_steal_ring_pop(own);

		if (p == NULL)
			p = tti_steal_ring_steal(round % 2 == 0 ? &ring : its, own);
		if (p != NULL)
			take(p);
		else if (tti_spin_yield != NULL)
			tti_spin_yield();
	}
	return NULL;
}

static void push_all(void)
{
	for (unsigned i = 0; i < MANY; i++) {
		work[i].number = i;
		while (!tti_steal_ring_push(&ring, &work[i])) {
			void *p = tti_steal_ring_pop(&ring);

			if (p != NULL)
				take(p);
		}
	}
}

/* An owner and two thieves, who also steal from each other: each item is taken once. */
TT_TEST_PLAIN(steal_ring, nothing_is_lost_or_doubled_between_threads)
{
	pthread_t threads[THIEVES];

	begin();
	for (intptr_t i = 0; i < THIEVES; i++) {
		tti_steal_ring_init(&kept[i]);
		REQUIRE_EQ(pthread_create(&threads[i], NULL, thief_main, &kept[i]), 0);
	}
	push_all();
	while (!all_taken()) {
		void *p = tti_steal_ring_pop(&ring);

		if (p != NULL)
			take(p);
		else if (tti_spin_yield != NULL)
			tti_spin_yield();
	}
	for (int i = 0; i < THIEVES; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < MANY; i++)
		REQUIRE_EQ(work[i].taken, 1);
}

TT_TEST_MAIN()

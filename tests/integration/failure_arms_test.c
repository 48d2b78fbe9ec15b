/* SPDX-License-Identifier: MIT */
/*
 * failure_arms_test.c - an arm of a select that another arm, a cancel or a deadline has
 * decided meanwhile takes nothing, however ready its object is; and an arm that may not wait
 * leaves no trace. Two threads meet there once in a million selects; here the waiter is
 * claimed first, so that it is each time.
 *
 * test-on: sim1 epoll4 uring4
 */
#include <signal.h>
#include <string.h>

#include "sync/pool_testkit.h"
#include "wait/wait.h"

TT_CHAN_TYPE(int_chan, int);
TT_BROADCAST_TYPE(int_broadcast, int);
TT_WATCH_TYPE(int_watch, int);

struct attempt {
	struct tti_waiter waiter;
	struct tti_wait_node node;
};

static void begin(struct attempt *a, const tt_arm *arm)
{
	tti_waiter_init(&a->waiter, "test", arm->object);
	tti_node_init(&a->node, &a->waiter, 3);
	a->node.value = arm->value;
	a->node.n = (uint64_t)arm->n;
}

static int enlist_decided(tt_arm arm, bool may_link)
{
	struct attempt a;
	int rc;

	begin(&a, &arm);
	REQUIRE_TRUE(tti_claim(&a.waiter));
	rc = arm.ops->enlist(&arm, &a.node, may_link);
	EXPECT_FALSE(tti_list_linked(&a.node.link));
	EXPECT_NE(a.waiter.winner, 3u);
	return rc;
}

/* What an arm does whose select has been decided, on an object that has something for it. */
static int decided(tt_arm arm)
{
	return enlist_decided(arm, true);
}

/* What an arm does that is only tried, on an object that has nothing for it. */
static int tried(tt_arm arm)
{
	struct attempt a;
	int rc;

	begin(&a, &arm);
	rc = arm.ops->enlist(&arm, &a.node, false);
	EXPECT_FALSE(tti_list_linked(&a.node.link));
	EXPECT_TRUE(tti_waiter_is_waiting(&a.waiter));
	return rc;
}

/* What an arm does whose select is still open, on an object that has something for it. */
static int open_arm(tt_arm arm, int *ret_rc)
{
	struct attempt a;
	int rc;

	begin(&a, &arm);
	rc = arm.ops->enlist(&arm, &a.node, true);
	EXPECT_FALSE(tti_list_linked(&a.node.link));
	EXPECT_FALSE(tti_waiter_is_waiting(&a.waiter));
	*ret_rc = a.waiter.rc;
	return rc;
}

/* ---- channels ---- */

TT_TEST(arms, a_decided_send_leaves_the_room)
{
	int_chan ch;
	int got = 0;
	tt_slot slot = { 0 };

	REQUIRE_OK(tt_chan_init(&ch, 1));
	EXPECT_EQ(decided(TT_ON_SEND(&ch, &(int){ 1 })), TTI_ARM_TAKEN);
	EXPECT_EQ(decided(TT_ON_RESERVE(&ch, &slot)), TTI_ARM_TAKEN);
	EXPECT_OK(tt_try_send(&ch, &(int){ 2 }));
	EXPECT_EQ(tried(TT_ON_SEND(&ch, &(int){ 3 })), TTI_ARM_LINKED);
	EXPECT_EQ(tried(TT_ON_RESERVE(&ch, &slot)), TTI_ARM_LINKED);
	EXPECT_EQ(tt_try_recv(&ch, &got), 1);
	EXPECT_EQ(got, 2);
	tt_chan_close(&ch);
	EXPECT_EQ(decided(TT_ON_SEND(&ch, &(int){ 4 })), TTI_ARM_TAKEN);
	EXPECT_EQ(decided(TT_ON_RESERVE(&ch, &slot)), TTI_ARM_TAKEN);
	tt_chan_fini(&ch);
}

TT_TEST(arms, a_decided_recv_leaves_the_item)
{
	int_chan ch;
	int got = 0, rc;

	REQUIRE_OK(tt_chan_init(&ch, 1));
	EXPECT_EQ(tried(TT_ON_RECV(&ch, &got)), TTI_ARM_LINKED);
	EXPECT_OK(tt_try_send(&ch, &(int){ 2 }));
	EXPECT_EQ(decided(TT_ON_RECV(&ch, &got)), TTI_ARM_TAKEN);
	EXPECT_EQ(tt_chan_len(&ch), 1u);
	EXPECT_EQ(tt_try_recv(&ch, &got), 1);
	tt_chan_close(&ch);
	EXPECT_EQ(decided(TT_ON_RECV(&ch, &got)), TTI_ARM_TAKEN);
	EXPECT_EQ(got, 2);
	EXPECT_EQ(open_arm(TT_ON_RECV(&ch, &got), &rc), TTI_ARM_DONE);
	EXPECT_EQ(rc, 0);
	EXPECT_EQ(open_arm(TT_ON_SEND(&ch, &got), &rc), TTI_ARM_DONE);
	EXPECT_EQ(rc, TT_ECLOSED);
	tt_chan_fini(&ch);
}

static TT_TASK(sends, (int_chan *, ch))
{
	return tt_send(ch, &(int){ 9 });
}

static TT_TASK(receives, (int_chan *, ch), (int *, got))
{
	return tt_recv(ch, got) == 1 ? 0 : TT_EIO;
}

static int meet_a_waiter(int_chan *ch, int *got)
{
	TT_GROUP(g);
	TT_TRY_IN(&g, tt_go(&g, receives, ch, got));
	TT_TRY_IN(&g, tt_yield());
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	EXPECT_EQ(decided(TT_ON_SEND(ch, &(int){ 1 })), TTI_ARM_TAKEN);
	TT_TRY_IN(&g, tt_send(ch, &(int){ 5 }));
	return tt_group_end(&g, 0);
}

static int meet_a_sender(int_chan *ch, int *got)
{
	TT_GROUP(g);
	TT_TRY_IN(&g, tt_send(ch, &(int){ 7 }));
	TT_TRY_IN(&g, tt_go(&g, sends, ch));
	TT_TRY_IN(&g, tt_yield());
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	EXPECT_EQ(decided(TT_ON_RECV(ch, got)), TTI_ARM_TAKEN);
	EXPECT_EQ(tt_recv(ch, got), 1);
	EXPECT_EQ(*got, 7);
	EXPECT_EQ(tt_recv(ch, got), 1);
	return tt_group_end(&g, 0);
}

/* Nothing lies in a channel without room: the sender itself is the item. */
static int meet_at_a_rendezvous(int_chan *ch, int *got)
{
	TT_GROUP(g);
	TT_TRY_IN(&g, tt_go(&g, sends, ch));
	TT_TRY_IN(&g, tt_yield());
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	EXPECT_EQ(decided(TT_ON_RECV(ch, got)), TTI_ARM_TAKEN);
	EXPECT_EQ(*got, 0);
	EXPECT_EQ(tt_recv(ch, got), 1);
	return tt_group_end(&g, 0);
}

TT_TEST(arms, a_decided_recv_leaves_the_sender_waiting)
{
	int_chan ch;
	int got = 0;

	REQUIRE_OK(tt_chan_init(&ch, 0));
	EXPECT_OK(meet_at_a_rendezvous(&ch, &got));
	EXPECT_EQ(got, 9);
	tt_chan_fini(&ch);
}

/* A partner that waits is not taken along either: the next one meets it. */
TT_TEST(arms, a_decided_arm_leaves_its_partner_waiting)
{
	int_chan ch;
	int got = 0;

	REQUIRE_OK(tt_chan_init(&ch, 1));
	EXPECT_OK(meet_a_waiter(&ch, &got));
	EXPECT_EQ(got, 5);
	EXPECT_OK(meet_a_sender(&ch, &got));
	EXPECT_EQ(got, 9);
	tt_chan_fini(&ch);
}

/* ---- broadcast, watch ---- */

TT_TEST(arms, a_decided_subscriber_misses_nothing)
{
	int_broadcast b;
	int_watch w;
	int_broadcast_sub sub;
	uint64_t seen = 0;
	int got = 0;

	REQUIRE_OK(tt_broadcast_init(&b, 4));
	tt_subscribe(&b, &sub);
	EXPECT_EQ(tried(TT_ON_BROADCAST(&sub, &got)), TTI_ARM_LINKED);
	EXPECT_OK(tt_broadcast_send(&b, &(int){ 6 }));
	EXPECT_EQ(decided(TT_ON_BROADCAST(&sub, &got)), TTI_ARM_TAKEN);
	EXPECT_EQ(tt_broadcast_try_recv(&sub, &got, NULL), 1);
	EXPECT_EQ(got, 6);
	tt_broadcast_fini(&b);

	tt_watch_init(&w, &(int){ 1 });
	EXPECT_EQ(decided(TT_ON_WATCH(&w, &seen, &got)), TTI_ARM_TAKEN);
	EXPECT_EQ(seen, 0u);
	seen = tt_watch_get(&w, &got);
	EXPECT_EQ(tried(TT_ON_WATCH(&w, &seen, &got)), TTI_ARM_LINKED);
	tt_watch_fini(&w);
}

/* ---- locks, permits, wake-ups ---- */

TT_TEST(arms, a_decided_lock_is_not_taken)
{
	tt_mutex m;

	tt_mutex_init(&m);
	EXPECT_EQ(decided(TT_ON_LOCK(&m)), TTI_ARM_TAKEN);
	EXPECT_OK(tt_mutex_try_lock(&m));
	tt_mutex_unlock(&m);
	tt_mutex_fini(&m);
}

TT_TEST(arms, a_decided_permit_is_not_taken)
{
	tt_semaphore s;

	tt_semaphore_init(&s, 1);
	EXPECT_EQ(decided(TT_ON_PERMIT(&s, 1)), TTI_ARM_TAKEN);
	EXPECT_OK(tt_semaphore_try_acquire(&s, 1));
	EXPECT_EQ(tried(TT_ON_PERMIT(&s, 1)), TTI_ARM_LINKED);
	tt_semaphore_release(&s, 1);
	tt_semaphore_fini(&s);
}

TT_TEST(arms, a_decided_wait_keeps_the_wake_up)
{
	tt_notify n;
	tt_latch l;

	tt_notify_init(&n);
	EXPECT_EQ(tried(TT_ON_NOTIFY(&n)), TTI_ARM_LINKED);
	tt_notify_one(&n);
	EXPECT_EQ(decided(TT_ON_NOTIFY(&n)), TTI_ARM_TAKEN);
	EXPECT_OK(TT_WITHIN(TT_SEC(1), tt_notify_wait(&n)));
	tt_notify_fini(&n);

	tt_latch_init(&l, 1);
	EXPECT_EQ(tried(TT_ON_LATCH(&l)), TTI_ARM_LINKED);
	tt_latch_count_down(&l);
	EXPECT_EQ(decided(TT_ON_LATCH(&l)), TTI_ARM_TAKEN);
	tt_latch_fini(&l);
}

/* ---- pools ---- */

TT_TEST(arms, a_decided_lease_leaves_the_item)
{
	struct thing *item = NULL, *other = NULL;
	struct shop s;
	thing_pool *p;
	tt_pool_options o;
	tt_pool_stats st;

	shop_init(&s);
	o = shop_options(&s, 1);
	REQUIRE_OK(tt_pool_create(&o, &p));
	REQUIRE_OK(tt_pool_acquire(p, &item));
	EXPECT_EQ(tried(TT_ON_LEASE(p, &other)), TTI_ARM_LINKED);
	tt_pool_release(p, item, TT_POOL_KEEP);
	EXPECT_OK(TT_WITHIN(TT_SEC(1), tt_test_wait_all_parked()));
	EXPECT_EQ(decided(TT_ON_LEASE(p, &other)), TTI_ARM_TAKEN);
	EXPECT_TRUE(other == NULL);
	REQUIRE_OK(tt_pool_acquire(p, &item));
	tt_pool_release(p, item, TT_POOL_KEEP);
	tt_pool_stats_read(p, &st);
	EXPECT_EQ(st.acquired, 2u);
	EXPECT_EQ(st.in_use, 0u);
	tt_pool_close(p);
	EXPECT_EQ(decided(TT_ON_LEASE(p, &other)), TTI_ARM_TAKEN);
	tt_pool_destroy(p);
	shop_fini(&s);
}

/* ---- tasks ---- */

static TT_TASK(ends_at_once)
{
	return 3;
}

static int end_of_a_child(void)
{
	tt_task *t = NULL;

	TT_GROUP(g);
	TT_TRY_IN(&g, tt_go_task(&g, &t, ends_at_once));
	EXPECT_EQ(tried(TT_ON_TASK_END(t)), TTI_ARM_LINKED);
	EXPECT_EQ(tt_task_join(t), 3);
	EXPECT_EQ(decided(TT_ON_TASK_END(t)), TTI_ARM_TAKEN);
	EXPECT_EQ(tt_task_join(t), 3);
	tt_task_put(t);
	return tt_group_end(&g, 0);
}

TT_TEST(arms, the_end_of_a_task_can_be_asked_for_again)
{
	EXPECT_OK(end_of_a_child());
}

/* ---- time ---- */

TT_TEST(arms, a_decided_timer_is_not_armed)
{
	tt_interval pace = tt_interval_every(TT_MS(1));

	EXPECT_EQ(decided(TT_ON_TIMEOUT(0)), TTI_ARM_TAKEN);
	EXPECT_EQ(decided(TT_ON_DEADLINE(tt_now() - 1)), TTI_ARM_TAKEN);
	EXPECT_OK(tt_sleep(TT_MS(3)));
	EXPECT_EQ(decided(TT_ON_TICK(&pace)), TTI_ARM_TAKEN);
	EXPECT_EQ(tried(TT_ON_STOP()), TTI_ARM_LINKED);
}

/* ---- descriptors ---- */

TT_TEST(arms, a_decided_wait_for_a_descriptor_is_over)
{
	tt_fd *ends[2];
	char room[8], got;
	tt_reader r;

	REQUIRE_OK(tt_pair(ends));
	tt_reader_init(&r, ends[1], room, sizeof(room));
	EXPECT_EQ(tried(TT_ON_READABLE(ends[1])), TTI_ARM_LINKED);
	EXPECT_EQ(tried(TT_ON_READER(&r)), TTI_ARM_LINKED);
	EXPECT_OK(tt_write_all(ends[0], "ab", 2, NULL));
	EXPECT_OK(TT_WITHIN(TT_SEC(1), tt_reader_fill(&r)));
	EXPECT_EQ(decided(TT_ON_READER(&r)), TTI_ARM_TAKEN);
	EXPECT_EQ(tt_reader_read(&r, &got, 1), 1);
	EXPECT_EQ(got, 'a');
	tt_fd_close(ends[0]);
	tt_fd_close(ends[1]);
	EXPECT_EQ(decided(TT_ON_READABLE(ends[1])), TTI_ARM_TAKEN);
	EXPECT_EQ(decided(TT_ON_WRITABLE(ends[1])), TTI_ARM_TAKEN);
}

TT_TEST_ON(arms, a_decided_wait_for_a_signal_leaves_it, TT_ON_EPOLL | TT_ON_URING, "the process's signals")
{
	int signals[] = { SIGUSR1 }, got = 0;
	tt_signals s;

	REQUIRE_OK(tt_signal_open(&s, signals, 1));
	EXPECT_EQ(tried(TT_ON_SIGNAL(&s, &got)), TTI_ARM_LINKED);
	raise(SIGUSR1);
	/* A worker hands it over: until then there is nothing to decide about. */
	while (enlist_decided(TT_ON_SIGNAL(&s, &got), false) == TTI_ARM_LINKED)
		EXPECT_OK(tt_yield());
	EXPECT_EQ(decided(TT_ON_SIGNAL(&s, &got)), TTI_ARM_TAKEN);
	EXPECT_EQ(got, 0);
	EXPECT_OK(TT_WITHIN(TT_SEC(1), tt_signal_next(&s, &got)));
	EXPECT_EQ(got, SIGUSR1);
	tt_signal_close(&s);
}

TT_TEST_MAIN()

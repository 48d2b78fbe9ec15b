/* SPDX-License-Identifier: MIT */
/*
 * found_test.c - what the generated programs found, each as a test of its own.
 */
#include <tutti/testing.h>
#include <tutti/tutti.h>

/* ---- who was cancelled in line keeps nobody out, even before it has run again ---- */

static TT_TASK(acquires_two, (tt_semaphore *, s))
{
	return tt_semaphore_acquire(s, 2);
}

TT_TEST(linear_found, a_cancelled_acquire_keeps_nobody_out)
{
	tt_semaphore s;

	tt_semaphore_init(&s, 1);
	TT_GROUP(g);
	tt_go(&g, acquires_two, &s);
	EXPECT_OK(tt_test_wait_all_parked());
	EXPECT_EQ(tt_semaphore_try_acquire(&s, 1), TT_EAGAIN); /* it waits in front */
	tt_group_cancel(&g);
	EXPECT_OK(tt_semaphore_try_acquire(&s, 1));
	EXPECT_OK(tt_group_end(&g, 0));
	EXPECT_EQ(tt_semaphore_try_acquire(&s, 1), TT_EAGAIN);
	tt_semaphore_fini(&s);
}

static TT_TASK(writes, (tt_rwlock *, l))
{
	return tt_rwlock_write(l);
}

TT_TEST(linear_found, a_cancelled_writer_keeps_no_reader_out)
{
	tt_rwlock l;

	tt_rwlock_init(&l);
	EXPECT_OK(tt_rwlock_read(&l));
	TT_GROUP(g);
	tt_go(&g, writes, &l);
	EXPECT_OK(tt_test_wait_all_parked());
	EXPECT_EQ(tt_rwlock_try_read(&l), TT_EBUSY); /* it waits in front */
	tt_group_cancel(&g);
	EXPECT_OK(tt_rwlock_try_read(&l));
	EXPECT_OK(tt_group_end(&g, 0));
	tt_rwlock_unlock(&l);
	tt_rwlock_unlock(&l);
	tt_rwlock_fini(&l);
}

TT_POOL_TYPE(cup_pool, int);

static int open_cup(void *ctx, void **ret)
{
	*ret = ctx;
	return 0;
}

static void close_cup(void *ctx, void *item)
{
	(void)ctx;
	(void)item;
}

static TT_TASK(borrows, (cup_pool *, pool))
{
	int *cup;

	return tt_pool_acquire(pool, &cup);
}

TT_TEST(linear_found, a_cancelled_borrower_keeps_nobody_out)
{
	int only, *cup = NULL, *again = NULL;
	tt_pool_options o = { .open = open_cup, .close = close_cup, .ctx = &only, .max = 1 };
	cup_pool *pool;

	REQUIRE_OK(tt_pool_create(&o, &pool));
	EXPECT_OK(tt_pool_acquire(pool, &cup));
	TT_GROUP(g);
	tt_go(&g, borrows, pool);
	EXPECT_OK(tt_test_wait_all_parked());
	tt_group_cancel(&g);
	tt_pool_release(pool, cup, TT_POOL_KEEP);
	EXPECT_OK(tt_pool_try_acquire(pool, &again));
	EXPECT_OK(tt_group_end(&g, 0));
	tt_pool_release(pool, again, TT_POOL_KEEP);
	tt_pool_destroy(pool);
}

TT_TEST_MAIN()

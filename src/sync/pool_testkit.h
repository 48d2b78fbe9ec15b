/* SPDX-License-Identifier: MIT */
/*
 * pool_testkit.h - items that count how they are treated, for pool_test.c, pool_time_test.c and
 * tests/integration/torture_pool_test.c.
 */
#ifndef TTI_SYNC_POOL_TESTKIT_H
#define TTI_SYNC_POOL_TESTKIT_H

#include <string.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

struct thing {
	int number;                      /* of its open, from 1 */
	int64_t opened_at;               /* monotonic ns */
	unsigned holders;                /* 0 or 1 */
	unsigned closes;
	bool dirty, broken;              /* what returned, what check will say */
};

TT_POOL_TYPE(thing_pool, struct thing);

#define THINGS_MAX 512

struct shop {
	tt_mutex lock;
	unsigned opening, live, live_max; /* live: opened and not closed, those being opened included */
	unsigned opens, failed, closes, checks, returns;
	int open_rc;                     /* what open fails with; 0: it does not */
	unsigned fail_first;             /* so many opens fail with open_rc, the others not; 0: all */
	int64_t open_takes, check_takes, return_takes, close_takes; /* ns, slept */
	tt_semaphore *gate;              /* an open needs a permit of it, if there is one */
	struct thing things[THINGS_MAX];
};

TT_UNUSED static void shop_init(struct shop *s)
{
	memset(s, 0, sizeof(*s));
	tt_mutex_init(&s->lock);
}

/* Whatever was opened was closed, once. */
TT_UNUSED static void shop_fini(struct shop *s)
{
	EXPECT_EQ(s->live, 0u);
	EXPECT_EQ(s->opening, 0u);
	EXPECT_EQ(s->opens, s->closes);
	for (unsigned i = 0; i < s->opens; i++) {
		EXPECT_EQ(s->things[i].closes, 1u);
		EXPECT_EQ(s->things[i].holders, 0u);
	}
	tt_mutex_fini(&s->lock);
}

static int open_slowly(struct shop *s)
{
	if (s->gate != NULL)
		TT_TRY(tt_semaphore_acquire(s->gate, 1));
	if (s->open_takes > 0)
		TT_TRY(tt_sleep(s->open_takes));
	TT_LOCK(&s->lock);
	if (s->open_rc < 0 && (s->fail_first == 0 || s->failed < s->fail_first)) {
		s->failed++;
		return tt_fail(s->open_rc, "the shop is shut");
	}
	return 0;
}

TT_UNUSED static int shop_open(void *ctx, void **ret_item)
{
	struct shop *s = ctx;
	struct thing *t;
	int rc;

	{
		TT_LOCK(&s->lock);
		s->opening++;
		s->live++;
		s->live_max = s->live > s->live_max ? s->live : s->live_max;
	}
	rc = open_slowly(s);
	TT_LOCK(&s->lock);
	s->opening--;
	if (rc < 0) {
		s->live--;
		return rc;
	}
	REQUIRE_LT(s->opens, (unsigned)THINGS_MAX);
	t = &s->things[s->opens++];
	*t = (struct thing){ .number = (int)s->opens, .opened_at = tt_now() };
	*ret_item = t;
	return 0;
}

TT_UNUSED static int shop_check(void *ctx, void *item)
{
	struct shop *s = ctx;
	struct thing *t = item;

	if (s->check_takes > 0)
		TT_TRY(tt_sleep(s->check_takes));
	TT_LOCK(&s->lock);
	EXPECT_EQ(t->holders, 0u);
	s->checks++;
	return t->broken ? TT_EPIPE : 0;
}

TT_UNUSED static int shop_returned(void *ctx, void *item)
{
	struct shop *s = ctx;
	struct thing *t = item;

	if (s->return_takes > 0)
		TT_TRY(tt_sleep(s->return_takes));
	TT_LOCK(&s->lock);
	s->returns++;
	return t->dirty ? tt_fail(TT_EPROTO, "left in the middle") : 0;
}

TT_UNUSED static void shop_close(void *ctx, void *item)
{
	struct shop *s = ctx;
	struct thing *t = item;

	if (s->close_takes > 0)
		TT_IGNORE(tt_sleep(s->close_takes));
	TT_LOCK(&s->lock);
	EXPECT_EQ(t->holders, 0u);
	EXPECT_EQ(t->closes, 0u);
	t->closes++;
	s->closes++;
	s->live--;
}

TT_UNUSED static tt_pool_options shop_options(struct shop *s, unsigned max)
{
	tt_pool_options o = { .name = "shop", .open = shop_open, .close = shop_close, .max = max };

	o.ctx = s;
	return o;
}

/* Between acquire and release: one holder at a time. */
TT_UNUSED static void take_hold(struct thing *t)
{
	EXPECT_EQ(__atomic_add_fetch(&t->holders, 1, __ATOMIC_SEQ_CST), 1u); /* pairs with let_go(), if it was not alone */
	EXPECT_EQ(t->closes, 0u);
}

TT_UNUSED static void let_go(struct thing *t)
{
	EXPECT_EQ(__atomic_sub_fetch(&t->holders, 1, __ATOMIC_SEQ_CST), 0u); /* pairs with take_hold() */
}

TT_UNUSED static tt_pool_stats stats_of(thing_pool *p)
{
	tt_pool_stats s;

	tt_pool_stats_read(p, &s);
	return s;
}

#endif

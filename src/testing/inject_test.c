/* SPDX-License-Identifier: MIT */
/*
 * inject_test.c - fault injection fails what it was told to, and the library copes: every
 * allocation and every system call of a scenario fails once, in turn, and for ever.
 *
 * test-on: sim1 epoll4
 */
#include <tutti/testing.h>
#include <tutti/tutti.h>

#include "env/env.h"

TT_CHAN_TYPE(int_chan, int);

/* ---- counting and failing ---- */

TT_TEST_PLAIN(inject, the_nth_allocation_fails_and_no_other)
{
	void *p[4];

	tt_test_fail_alloc_at(3);
	for (int i = 0; i < 4; i++)
		p[i] = tti_env_alloc(10);
	EXPECT_EQ(tt_test_allocs(), 4);
	tt_test_fail_nothing();
	for (int i = 0; i < 4; i++) {
		EXPECT_EQ(p[i] == NULL, i == 2);
		tti_env_free(p[i]);
	}
}

TT_TEST_PLAIN(inject, from_the_nth_allocation_on_all_fail)
{
	void *first;

	tt_test_fail_alloc_after(2);
	first = tti_env_alloc(10);
	EXPECT_TRUE(first != NULL);
	for (int i = 0; i < 5; i++)
		EXPECT_TRUE(tti_env_alloc(10) == NULL);
	tt_test_fail_nothing();
	tti_env_free(first);
}

TT_TEST_PLAIN(inject, the_nth_system_call_fails_with_the_code)
{
	void *p[3];

	tt_test_fail_syscall_at(2, TT_ENOMEM);
	for (int i = 0; i < 3; i++)
		p[i] = tti_env_map(4096);
	EXPECT_EQ(tt_test_syscalls(), 3);
	tt_test_fail_nothing();
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(p[i] == NULL, i == 1);
		if (p[i] != NULL)
			EXPECT_EQ(tti_env_unmap(p[i], 4096), 0);
	}
}

/* ---- out of memory ---- */

struct totals {
	unsigned started, dropped, ended;
};

static void drop(struct totals *t)
{
	t->dropped++;
}

static TT_TASK(child, (struct totals *, t, drop), (int_chan *, ch), (int, n))
{
	int rc;

	t->started++;
	rc = tt_send(ch, &n);
	t->ended++;
	return rc;
}

static int run_children(struct totals *t, int_chan *ch, unsigned *ret_asked)
{
	int item;

	TT_GROUP(g);
	for (int i = 0; i < 6; i++) {
		++*ret_asked;
		tt_go(&g, child, t, ch, i);
	}
	for (int i = 0; i < 6; i++)
		TT_TRY_IN(&g, tt_recv(ch, &item) > 0 ? 0 : TT_ECANCELED);
	return tt_group_end(&g, 0);
}

static int scenario(struct totals *t, unsigned *ret_asked)
{
	int_chan ch;
	int rc;

	TT_TRY(tt_chan_init(&ch, 2));
	rc = run_children(t, &ch, ret_asked);
	tt_chan_fini(&ch);
	return rc;
}

static void check(const struct totals *t, unsigned asked, int rc)
{
	/* Each child either ran to its end or had its argument destroyed. */
	EXPECT_EQ(t->started, t->ended);
	EXPECT_EQ(t->started + t->dropped, asked);
	if (rc < 0)
		EXPECT_CODE(rc, TT_ENOMEM);
	EXPECT_TASKS_ALIVE(1);
}

/* The first run may use memory that earlier runs left behind, so it is a fresh one. */
TT_TEST(inject, every_allocation_may_fail)
{
	unsigned failed = 0;

	for (uint64_t n = 1; n <= 40; n++) {
		struct totals t = { 0, 0, 0 };
		unsigned asked = 0;
		int rc;

		if (n % 2 == 0)
			tt_test_fail_alloc_at(n / 2);
		else
			tt_test_fail_alloc_after((n + 1) / 2);
		rc = scenario(&t, &asked);
		tt_test_fail_nothing();
		check(&t, asked, rc);
		failed += rc < 0;
	}
	EXPECT_GT(failed, 0);
}

/* A stack that cannot be mapped fails its task, nothing else. */
TT_TEST(inject, every_system_call_of_a_spawn_may_fail)
{
	for (uint64_t n = 1; n <= 10; n++) {
		struct totals t = { 0, 0, 0 };
		unsigned asked = 0;
		int rc;

		tt_test_fail_syscall_at(n, TT_ENOMEM);
		rc = scenario(&t, &asked);
		tt_test_fail_nothing();
		check(&t, asked, rc);
	}
}

TT_TEST_MAIN()

/* SPDX-License-Identifier: MIT */
/* local_test.c - values in force in a task and in the children it starts. */
#include <tutti/testing.h>
#include <tutti/tutti.h>

struct request {
	int id;
};

TT_LOCAL_TYPE(request_local, struct request);
TT_LOCAL_DEFINE(request_local);
TT_LOCAL_TYPE(tenant_local, char);
TT_LOCAL_DEFINE(tenant_local);

static const tt_child_options elsewhere = { .worker = TT_WORKER(1) };

static int id_here(void)
{
	const struct request *r = tt_local(request_local);

	return r != NULL ? r->id : -1;
}

static int with(int id, int (*fn)(void))
{
	struct request r = { .id = id };
	TT_WITH_LOCAL(request_local, &r);

	return fn();
}

static int nested(void)
{
	int inner = with(8, id_here), hidden;

	{
		TT_WITH_LOCAL(request_local, NULL);
		hidden = id_here();
	}
	return hidden == -1 && inner == 8 ? id_here() : -2;
}

/* A value is in force to the end of its C block, the innermost one wins, and NULL hides. */
TT_TEST(local, innermost_wins)
{
	EXPECT_EQ(id_here(), -1);
	EXPECT_EQ(with(7, id_here), 7);
	EXPECT_EQ(with(7, nested), 7);
	EXPECT_EQ(id_here(), -1);
}

static TT_TASK(tells, (int *, ret))
{
	TT_TRY(tt_yield());
	*ret = id_here();
	EXPECT_STR_EQ(tt_local(tenant_local), "acme");
	return 0;
}

static TT_TASK(passes_on, (int *, ret))
{
	TT_GROUP(g);
	tt_go_with(&g, &elsewhere, tells, ret);
	return tt_group_end(&g, 0);
}

static int children_tell(void)
{
	int a = 0, b = 0, c = 0, rc;

	TT_GROUP(g);
	tt_go(&g, tells, &a);
	tt_go_with(&g, &elsewhere, tells, &b);
	tt_go(&g, passes_on, &c);
	rc = tt_group_end(&g, 0);
	return rc == 0 && a == b && b == c ? a : -2;
}

/* Children inherit it, and theirs, on every worker. */
TT_TEST(local, children_inherit)
{
	TT_WITH_LOCAL(tenant_local, "acme");

	EXPECT_EQ(with(42, children_tell), 42);
	EXPECT_EQ(with(43, children_tell), 43);
}

static TT_TASK(tells_plainly, (int *, ret))
{
	*ret = id_here();
	return 0;
}

static int set_below_the_group(int *ret)
{
	struct request r = { .id = 9 };
	int rc;

	TT_GROUP(g);
	{
		TT_WITH_LOCAL(request_local, &r);
		EXPECT_EQ(id_here(), 9);
		tt_go(&g, tells_plainly, ret);
	}
	EXPECT_EQ(id_here(), -1);
	rc = tt_group_end(&g, 0);
	return rc;
}

/* What is set below the opening of the group its children do not see: it ends before them. */
TT_TEST(local, set_below_the_group_is_not_seen)
{
	int seen = 0;

	EXPECT_OK(set_below_the_group(&seen));
	EXPECT_EQ(seen, -1);
}

static int ended_from_above(void)
{
	struct request r = { .id = 5 };

	TT_GROUP(g);
	TT_WITH_LOCAL(request_local, &r);
	TT_TRY_IN(&g, -id_here());
	return tt_group_end(&g, 0);
}

/* The end of a group opened above it ends it too. */
TT_TEST(local, group_end_ends_it)
{
	EXPECT_EQ(ended_from_above(), -5);
	EXPECT_EQ(id_here(), -1);
}

static void leaves_a_scope_open(void)
{
	static tt_scope s;
	struct request r = { .id = 5 };
	TT_WITH_LOCAL(request_local, &r);

	tt_scope_open_(&s, TT_NEVER, TT_SCOPE_PLAIN_, TT_SITE);
}

/* A block left open inside it is told, with both places. */
TT_TEST(local, misnesting_aborts)
{
	EXPECT_ABORTS(leaves_a_scope_open(), "TT_WITH_LOCAL(request_local) is left while the block opened inside it at ");
}

static int finds_a_thousand_times(void)
{
	int sum = 0;

	for (int i = 0; i < 1000; i++)
		sum += with(1, id_here);
	return sum;
}

/* Nothing is allocated. */
TT_TEST(local, allocates_nothing)
{
	tt_test_fail_alloc_at(UINT64_MAX);
	EXPECT_EQ(finds_a_thousand_times(), 1000);
	EXPECT_EQ(tt_test_allocs(), 0u);
	tt_test_fail_nothing();
}

/* Outside of tasks there is none. */
TT_TEST_PLAIN(local, outside_of_tasks)
{
	EXPECT_TRUE(tt_local(request_local) == NULL);
	EXPECT_ABORTS(with(1, id_here), "opening a block: called outside a task");
}

TT_TEST_MAIN()

/* SPDX-License-Identifier: MIT */
/*
 * Starting, calling elsewhere, background groups and locals, in every compiler.
 */
#include <tutti/tutti.h>

struct user {
	int id;
};

TT_LOCAL_TYPE(who, struct user);
TT_LOCAL_DEFINE(who);
TT_LOCAL_TYPE(tenant, char);
TT_LOCAL_DEFINE(tenant);

static TT_TASK(nothing)
{
	return tt_ready();
}

static TT_TASK(load, (struct user *, u), (int, id))
{
	const struct user *asks = tt_local(who);

	u->id = id;
	return asks != NULL ? asks->id : 0;
}

int starts(const tt_child_options *o, struct user *u);
int starts(const tt_child_options *o, struct user *u)
{
	tt_child_options mine = *o;

	mine.restart = TT_RESTART_ON_FAILURE;
	TT_GROUP(g);
	TT_TRY_IN(&g, tt_start(&g, nothing));
	TT_TRY_IN(&g, tt_start(&g, load, u, 1));
	TT_TRY_IN(&g, tt_start_with(&g, o, nothing));
	TT_TRY_IN(&g, tt_start_with(&g, &mine, load, u, 1));
	return tt_group_end(&g, 0);
}

int calls(struct user *u, unsigned worker);
int calls(struct user *u, unsigned worker)
{
	struct user me = { 1 };
	const struct user *other = &me;

	TT_WITH_LOCAL(who, &me);
	TT_WITH_LOCAL(who, other);
	TT_WITH_LOCAL(who, NULL);
	TT_WITH_LOCAL(tenant, "acme");
	TT_TRY(tt_call_on(TT_WORKER(1), nothing));
	TT_TRY(tt_call_on(worker, load, u, 2));
	return tt_call_on(TT_WORKER_ANY, load, u, 3);
}

int background(tt_background **b, const tt_group_options *g, const tt_child_options *o, struct user *u);
int background(tt_background **b, const tt_group_options *g, const tt_child_options *o, struct user *u)
{
	TT_TRY(tt_background_create(NULL, b));
	TT_TRY(tt_background_create(g, b));
	TT_TRY(tt_spawn_into(*b, nothing));
	TT_TRY(tt_spawn_into(*b, load, u, 1));
	TT_TRY(tt_spawn_into_with(*b, o, load, u, 1));
	tt_background_destroy(*b);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * 01_task_group.c - a group starts children and ends when all of them have ended: with their
 * results in place, with the failure of one, or cancelled. A supervisor restarts one.
 */
#include <stdio.h>
#include <tutti/tutti.h>

struct profile {
	int user, orders;
};

/* Who asks is known to every task below, without being passed on. */
TT_LOCAL_TYPE(request_id, int);
TT_LOCAL_DEFINE(request_id);

TT_TASK(load_user, (int, id), (int *, ret))
{
	TT_TRY(tt_sleep(TT_MS(2)));
	*ret = id * 100 + *tt_local(request_id);
	return 0;
}

TT_TASK(load_orders, (int, id), (int *, ret))
{
	TT_TRY(tt_sleep(TT_MS(1)));
	if (id == 13)
		return tt_fail(TT_ECONNREFUSED, "orders of %d", id);
	*ret = 3;
	return 0;
}

static int load_profile(int id, struct profile *ret)
{
	const int request = 7;
	TT_WITH_LOCAL(request_id, &request);

	TT_GROUP(g);
	tt_go(&g, load_user, id, &ret->user);
	tt_go(&g, load_orders, id, &ret->orders);
	return tt_group_end(&g, 0);
}

TT_TASK(listens, (int *, restarts))
{
	TT_TRY(tt_sleep(TT_MS(1))); /* until now a failure is the starter's */
	TT_TRY(tt_ready());
	if (++*restarts < 3)
		return tt_fail(TT_EPIPE, "lost my connection");
	return 0;
}

static int supervise(int *restarts)
{
	tt_group_options o = { .policy = TT_SUPERVISE, .backoff = { .min = TT_MS(1), .max = TT_MS(10) } };

	TT_GROUP_WITH(g, &o);
	TT_TRY_IN(&g, tt_start(&g, listens, restarts));
	return tt_group_end(&g, 0);
}

TT_TASK(app)
{
	struct profile p = { 0, 0 };
	int rc, runs = 0;

	TT_TRY(load_profile(1, &p));
	printf("loaded: user %d, %d orders\n", p.user, p.orders);

	rc = load_profile(13, &p); /* load_user is cancelled, and has ended here */
	printf("failed: %s\n", tt_error_name(rc));
	if (rc != TT_ECONNREFUSED)
		return rc;

	rc = TT_WITHIN(TT_US(500), load_profile(2, &p));
	printf("cancelled: %s\n", tt_error_name(rc));
	if (rc != TT_ETIMEDOUT)
		return rc;

	TT_TRY(supervise(&runs));
	printf("supervised: ended well in run %d\n", runs);
	return 0;
}

int main(void)
{
	return tt_main(app);
}

/* SPDX-License-Identifier: MIT */
/* expect: tt_task */
/* expect-c: incompatible pointer type */
/* tt_go_task with a tt_task * instead of its address. */
#include <tutti/tutti.h>

struct user {
	int id;
};

struct order {
	int id;
};

static TT_TASK(load, (struct user *, out), (int, id))
{
	return id + (out != NULL);
}

int wrong(tt_group *g, struct user *u, tt_task *t);
int wrong(tt_group *g, struct user *u, tt_task *t)
{
	return tt_go_task(g, t, load, u, 1);
}

/* SPDX-License-Identifier: MIT */
/* expect: order */
/* expect-c: incompatible pointer type */
/* tt_fork2 checks both sides as a call does. */
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

int wrong(struct user *u, struct order *o);
int wrong(struct user *u, struct order *o)
{
	return tt_fork2((load, u, 1), (load, o, 2));
}

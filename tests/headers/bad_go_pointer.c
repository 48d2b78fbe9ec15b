/* SPDX-License-Identifier: MIT */
/* expect: order */
/* expect-c: incompatible pointer type */
/* tt_go with a pointer of another type. */
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

int wrong(tt_group *g, struct order *o);
int wrong(tt_group *g, struct order *o)
{
	return tt_go(g, load, o, 1);
}

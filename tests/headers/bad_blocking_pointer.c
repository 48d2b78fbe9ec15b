/* SPDX-License-Identifier: MIT */
/* expect: order */
/* expect-c: incompatible pointer type */
/* tt_blocking checks as tt_go does. */
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

int wrong(struct order *o);
int wrong(struct order *o)
{
	return tt_blocking(load, o, 1);
}

/* SPDX-License-Identifier: MIT */
/* expect: int */
/* expect-c: int-conversion */
/* tt_go with an integer for a pointer. */
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

int wrong(tt_group *g);
int wrong(tt_group *g)
{
	return tt_go(g, load, 7, 1);
}

/* SPDX-License-Identifier: MIT */
/* expect: argument */
/* expect-c: too few arguments */
/* expect-cxx: tt_call_load_ */
/* tt_go with an argument too few. */
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

int wrong(tt_group *g, struct user *u);
int wrong(tt_group *g, struct user *u)
{
	return tt_go(g, load, u);
}

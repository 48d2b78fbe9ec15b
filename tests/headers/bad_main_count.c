/* SPDX-License-Identifier: MIT */
/* expect: argument */
/* expect-c: too few arguments */
/* expect-cxx: tt_call_load_ */
/* tt_main checks as tt_go does. */
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

int wrong(struct user *u);
int wrong(struct user *u)
{
	return tt_main(load, u);
}

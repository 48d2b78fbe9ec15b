/* SPDX-License-Identifier: MIT */
/* expect: tt_group_options */
/* tt_main_with with a group's options. */
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

int wrong(tt_group_options *o, struct user *u);
int wrong(tt_group_options *o, struct user *u)
{
	return tt_main_with(o, load, u, 1);
}

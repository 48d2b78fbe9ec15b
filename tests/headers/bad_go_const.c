/* SPDX-License-Identifier: MIT */
/* expect: const */
/* tt_go lends a const object to a task that may write it. */
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

int wrong(tt_group *g, const struct user *u);
int wrong(tt_group *g, const struct user *u)
{
	return tt_go(g, load, u, 1);
}

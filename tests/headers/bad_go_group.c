/* SPDX-License-Identifier: MIT */
/* expect: tt_scope */
/* tt_go into a scope. */
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

int wrong(tt_scope *s, struct user *u);
int wrong(tt_scope *s, struct user *u)
{
	return tt_go(s, load, u, 1);
}

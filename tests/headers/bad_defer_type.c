/* SPDX-License-Identifier: MIT */
/* expect: order */
/* expect-c: incompatible pointer type */
/* TT_DEFER of a function that takes something else. */
#include <tutti/tutti.h>

struct user {
	int id;
};

struct order {
	int id;
};

static void undo(struct user *u)
{
	u->id = 0;
}

int wrong(struct order *o);
int wrong(struct order *o)
{
	TT_DEFER(undo, o);
	return 0;
}

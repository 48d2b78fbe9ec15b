/* SPDX-License-Identifier: MIT */
/* expect: close_order */
/* expect-c: incompatible pointer type */
/* A destructor of another type than its argument. */
#include <tutti/tutti.h>

struct user {
	int id;
};

struct order {
	int id;
};

static void close_order(struct order *o)
{
	o->id = 0;
}

TT_TASK(owner, (struct user *, u, close_order))
{
	return u->id;
}

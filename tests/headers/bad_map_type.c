/* SPDX-License-Identifier: MIT */
/* expect: user */
/* expect-c: incompatible pointer type */
/* A function over items of another type. */
#include <tutti/tutti.h>

struct user {
	int id;
};

struct order {
	int id;
};

TT_CHAN_TYPE(user_chan, struct user);

static TT_TASK(bill, (struct order *, o), (struct user *, u))
{
	u->id = o->id;
	return 1;
}

int wrong(user_chan *out, user_chan *in);
int wrong(user_chan *out, user_chan *in)
{
	return tt_map(out, in, 2, bill);
}

/* SPDX-License-Identifier: MIT */
/* expect: order_chan */
/* expect-c: incompatible pointer type */
/* A channel of another type as a task's argument. */
#include <tutti/tutti.h>

struct user {
	int id;
};

struct order {
	int id;
};

TT_CHAN_TYPE(user_chan, struct user);
TT_CHAN_TYPE(order_chan, struct order);

static TT_TASK(produce, (user_chan *, out))
{
	tt_chan_close(out);
	return 0;
}

int wrong(tt_group *g, order_chan *ch);
int wrong(tt_group *g, order_chan *ch)
{
	return tt_go(g, produce, ch);
}

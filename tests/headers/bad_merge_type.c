/* SPDX-License-Identifier: MIT */
/* expect: items of different types */
/* Merging into a channel of another type. */
#include <tutti/tutti.h>

struct user {
	int id;
};

struct order {
	int id;
};

TT_CHAN_TYPE(user_chan, struct user);
TT_CHAN_TYPE(order_chan, struct order);

int wrong(user_chan *out, order_chan **in);
int wrong(user_chan *out, order_chan **in)
{
	return tt_merge(out, in, 2);
}

/* SPDX-License-Identifier: MIT */
/* expect: the batch is not of the input */
/* A batch of other items. */
#include <tutti/tutti.h>

struct user {
	int id;
};

struct order {
	int id;
};

struct users {
	size_t n;
	struct user items[4];
};

TT_CHAN_TYPE(users_chan, struct users);
TT_CHAN_TYPE(order_chan, struct order);

int wrong(users_chan *out, order_chan *in);
int wrong(users_chan *out, order_chan *in)
{
	return tt_batch(out, in, 0);
}

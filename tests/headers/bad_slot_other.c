/* SPDX-License-Identifier: MIT */
/* expect: a slot of another channel type */
/* A slot for one type of channel, reserved in another. */
#include <tutti/tutti.h>

struct user {
	int id;
};

struct order {
	int id;
};

TT_CHAN_TYPE(user_chan, struct user);
TT_CHAN_TYPE(order_chan, struct order);

int wrong(user_chan *users, order_chan *orders);
int wrong(user_chan *users, order_chan *orders)
{
	TT_SLOT(slot, users);

	return tt_reserve(orders, &slot);
}

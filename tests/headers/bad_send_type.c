/* SPDX-License-Identifier: MIT */
/* expect: not a pointer to an item of this channel */
/* A send of another element type. */
#include <tutti/tutti.h>

struct user {
	int id;
};

struct order {
	int id;
};

TT_CHAN_TYPE(user_chan, struct user);

int wrong(user_chan *ch, struct order *o);
int wrong(user_chan *ch, struct order *o)
{
	return tt_send(ch, o);
}

/* SPDX-License-Identifier: MIT */
/* expect: not a pointer to an item of this channel */
/* A send of a void pointer into a typed channel. */
#include <tutti/tutti.h>

struct user {
	int id;
};

struct order {
	int id;
};

TT_CHAN_TYPE(user_chan, struct user);

int wrong(user_chan *ch, void *p);
int wrong(user_chan *ch, void *p)
{
	return tt_send(ch, p);
}

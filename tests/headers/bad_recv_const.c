/* SPDX-License-Identifier: MIT */
/* expect: not a pointer to an item of this channel */
/* A receive into a const item. */
#include <tutti/tutti.h>

struct user {
	int id;
};

struct order {
	int id;
};

TT_CHAN_TYPE(user_chan, struct user);

int wrong(user_chan *ch, const struct user *u);
int wrong(user_chan *ch, const struct user *u)
{
	return tt_recv(ch, u);
}

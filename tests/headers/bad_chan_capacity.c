/* SPDX-License-Identifier: MIT */
/* expect: tt_chan_init */
/* A channel without a capacity cannot be written. */
#include <tutti/tutti.h>

struct user {
	int id;
};

struct order {
	int id;
};

TT_CHAN_TYPE(user_chan, struct user);

int wrong(user_chan *ch);
int wrong(user_chan *ch)
{
	return tt_chan_init(ch);
}

/* SPDX-License-Identifier: MIT */
/* expect: needs a TT_CHAN_TYPE_SIZED */
/* A bound in bytes for items whose size is not known. */
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
	return tt_chan_init_bytes(ch, 4, 100);
}

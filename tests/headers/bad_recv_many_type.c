/* SPDX-License-Identifier: MIT */
/* expect: not a pointer to an item of this channel */
/* A batch of another element type. */
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
	struct order batch[4];

	return tt_recv_many(ch, batch, 4, 0);
}

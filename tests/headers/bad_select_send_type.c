/* SPDX-License-Identifier: MIT */
/* expect: not a pointer to an item of this channel */
/* A send arm of another element type. */
#include <tutti/tutti.h>

struct user {
	int id;
};

struct order {
	int id;
};

TT_CHAN_TYPE(user_chan, struct user);

int wrong(user_chan *ch, struct order *o, int *rc);
int wrong(user_chan *ch, struct order *o, int *rc)
{
	return tt_select(TT_ON_STOP(), TT_ON_SEND_RC(ch, o, rc));
}

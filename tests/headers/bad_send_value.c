/* SPDX-License-Identifier: MIT */
/* expect: user */
/* expect-cxx: tt_pointer_ */
/* A send of the item instead of its address. */
#include <tutti/tutti.h>

struct user {
	int id;
};

struct order {
	int id;
};

TT_CHAN_TYPE(user_chan, struct user);

int wrong(user_chan *ch, struct user u);
int wrong(user_chan *ch, struct user u)
{
	return tt_send(ch, u);
}

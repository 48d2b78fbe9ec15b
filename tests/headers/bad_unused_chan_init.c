/* SPDX-License-Identifier: MIT */
/* expect: unused-result */
/* A channel's init whose result is lost. */
#include <tutti/tutti.h>

#pragma GCC diagnostic error "-Wunused-result"

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
	tt_chan_init(ch, 4);
	return 0;
}

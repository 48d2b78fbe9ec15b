/* SPDX-License-Identifier: MIT */
/* expect: unused-result */
/* A send whose result is lost. */
#include <tutti/tutti.h>

#pragma GCC diagnostic error "-Wunused-result"

struct user {
	int id;
};

struct order {
	int id;
};

TT_CHAN_TYPE(user_chan, struct user);

int wrong(user_chan *ch, struct user *u);
int wrong(user_chan *ch, struct user *u)
{
	tt_send(ch, u);
	return 0;
}

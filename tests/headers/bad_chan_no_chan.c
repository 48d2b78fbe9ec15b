/* SPDX-License-Identifier: MIT */
/* expect: tt_elem */
/* A channel call on what is no channel. */
#include <tutti/tutti.h>

struct user {
	int id;
};

struct order {
	int id;
};

int wrong(struct user *u);
int wrong(struct user *u)
{
	tt_chan_close(u);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* expect: not a pointer to an item of this broadcast */
/* An item of another type into a broadcast. */
#include <tutti/tutti.h>

struct user {
	int id;
};

struct order {
	int id;
};

TT_BROADCAST_TYPE(user_news, struct user);

int wrong(user_news *n, struct order *o);
int wrong(user_news *n, struct order *o)
{
	return tt_broadcast_send(n, o);
}

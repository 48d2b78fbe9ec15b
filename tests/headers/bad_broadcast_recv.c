/* SPDX-License-Identifier: MIT */
/* expect: not a pointer to an item of this broadcast */
/* A broadcast item into another type. */
#include <tutti/tutti.h>

struct user {
	int id;
};

struct order {
	int id;
};

TT_BROADCAST_TYPE(user_news, struct user);

int wrong(user_news_sub *sub, struct order *o);
int wrong(user_news_sub *sub, struct order *o)
{
	return tt_broadcast_recv(sub, o, NULL);
}

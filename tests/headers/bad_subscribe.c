/* SPDX-License-Identifier: MIT */
/* expect: a subscriber of another broadcast type */
/* Subscribing to a broadcast of another type. */
#include <tutti/tutti.h>

struct user {
	int id;
};

struct order {
	int id;
};

TT_BROADCAST_TYPE(user_news, struct user);
TT_BROADCAST_TYPE(order_news, struct order);

void wrong(user_news *n, order_news_sub *sub);
void wrong(user_news *n, order_news_sub *sub)
{
	tt_subscribe(n, sub);
}

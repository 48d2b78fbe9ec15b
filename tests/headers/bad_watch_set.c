/* SPDX-License-Identifier: MIT */
/* expect: not a pointer to a value of this watch */
/* A value of another type into a watch. */
#include <tutti/tutti.h>

struct user {
	int id;
};

struct order {
	int id;
};

TT_WATCH_TYPE(user_watch, struct user);

int wrong(user_watch *w, struct order *o);
int wrong(user_watch *w, struct order *o)
{
	return tt_watch_set(w, o);
}

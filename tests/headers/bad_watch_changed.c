/* SPDX-License-Identifier: MIT */
/* expect: not a pointer to a value of this watch */
/* A watch value into a const. */
#include <tutti/tutti.h>

struct user {
	int id;
};

struct order {
	int id;
};

TT_WATCH_TYPE(user_watch, struct user);

int wrong(user_watch *w, uint64_t *seen, const struct user *u);
int wrong(user_watch *w, uint64_t *seen, const struct user *u)
{
	return tt_watch_changed(w, seen, u);
}

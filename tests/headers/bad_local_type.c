/* SPDX-License-Identifier: MIT */
/* expect-c: struct order */
/* expect-cxx: static_cast */
/* TT_WITH_LOCAL with a value of another type. */
#include <tutti/tutti.h>

struct user {
	int id;
};

struct order {
	int id;
};

TT_LOCAL_TYPE(who, struct user);

int wrong(struct order *o);
int wrong(struct order *o)
{
	TT_WITH_LOCAL(who, o);
	return tt_checkpoint();
}

/* SPDX-License-Identifier: MIT */
/* expect: order */
/* expect-c: incompatible pointer type */
/* Items of another type than the sort's. */
#include <tutti/tutti.h>

struct user {
	int id;
};

struct order {
	int id;
};

TT_SORT(by_id, struct user, a, b, a->id < b->id);

int wrong(struct order *o);
int wrong(struct order *o)
{
	return tt_par_sort(by_id, o, 3u);
}

/* SPDX-License-Identifier: MIT */
/* expect: tt_call_ordinary_ */
/* tt_go of a function that is no TT_TASK. */
#include <tutti/tutti.h>

static int ordinary(int x)
{
	return x;
}

int wrong(tt_group *g);
int wrong(tt_group *g)
{
	return tt_go(g, ordinary, ordinary(1));
}

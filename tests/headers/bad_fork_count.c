/* SPDX-License-Identifier: MIT */
/* expect: add */
/* expect-c: too few arguments */
/* A side of a fork without one of its arguments. */
#include <tutti/tutti.h>

static TT_TASK(add, (int, a), (int, b))
{
	return a + b;
}

int wrong(void);
int wrong(void)
{
	return tt_fork2((add, 1, 2), (add, 1));
}

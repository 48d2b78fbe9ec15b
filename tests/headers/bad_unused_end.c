/* SPDX-License-Identifier: MIT */
/* expect: unused-result */
/* A group's end whose result is lost. */
#include <tutti/tutti.h>

#pragma GCC diagnostic error "-Wunused-result"

int wrong(void);
int wrong(void)
{
	TT_GROUP(g);

	tt_group_end(&g, 0);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* expect: unused-result */
/* A fork whose result is lost. */
#include <tutti/tutti.h>

#pragma GCC diagnostic error "-Wunused-result"

static TT_TASK(ping)
{
	return 0;
}

int wrong(void);
int wrong(void)
{
	tt_fork2((ping), (ping));
	return 0;
}

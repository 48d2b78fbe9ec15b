/* SPDX-License-Identifier: MIT */
/* expect: unused-result */
/* A blocking call whose result is lost. */
#include <tutti/tutti.h>

#pragma GCC diagnostic error "-Wunused-result"

static TT_TASK(ping)
{
	return 0;
}

int wrong(void);
int wrong(void)
{
	tt_blocking(ping);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* expect: unused-result */
/* A sleep whose result is lost. */
#include <tutti/tutti.h>

#pragma GCC diagnostic error "-Wunused-result"

int wrong(void);
int wrong(void)
{
	tt_sleep(1);
	return 0;
}

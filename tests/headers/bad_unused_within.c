/* SPDX-License-Identifier: MIT */
/* expect: unused-result */
/* A call under a timeout whose result is lost. */
#include <tutti/tutti.h>

#pragma GCC diagnostic error "-Wunused-result"

int wrong(void);
int wrong(void)
{
	TT_WITHIN(TT_SEC(1), tt_sleep(1));
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* expect: unused-result */
/* A select whose result is lost. */
#include <tutti/tutti.h>

#pragma GCC diagnostic error "-Wunused-result"

int wrong(void);
int wrong(void)
{
	tt_select(TT_ON_STOP());
	return 0;
}

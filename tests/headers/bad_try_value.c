/* SPDX-License-Identifier: MIT */
/* expect: return */
/* TT_TRY in a function that returns nothing. */
#include <tutti/tutti.h>

#ifndef __cplusplus
#pragma GCC diagnostic error "-Wreturn-type"
#endif

void wrong(void);
void wrong(void)
{
	TT_TRY(tt_sleep(1));
}

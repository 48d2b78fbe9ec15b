/* SPDX-License-Identifier: MIT */
/* expect: unused-result */
/* A failure that is only made, not returned. */
#include <tutti/tutti.h>

#pragma GCC diagnostic error "-Wunused-result"

int wrong(void);
int wrong(void)
{
	tt_fail(TT_EPROTO, "lost");
	return 0;
}

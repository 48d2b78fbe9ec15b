/* SPDX-License-Identifier: MIT */
/* expect: at most 16 arms */
/* A select of seventeen arms. */
#include <tutti/tutti.h>

int wrong(void);
int wrong(void)
{
	return tt_select(TT_ON_STOP(), TT_ON_STOP(), TT_ON_STOP(), TT_ON_STOP(), TT_ON_STOP(),
	                 TT_ON_STOP(), TT_ON_STOP(), TT_ON_STOP(), TT_ON_STOP(), TT_ON_STOP(),
	                 TT_ON_STOP(), TT_ON_STOP(), TT_ON_STOP(), TT_ON_STOP(), TT_ON_STOP(),
	                 TT_ON_STOP(), TT_ON_STOP());
}

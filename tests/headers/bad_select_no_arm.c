/* SPDX-License-Identifier: MIT */
/* expect: tti_arm_ops */
/* A select of what is no arm. */
#include <tutti/tutti.h>

int wrong(void);
int wrong(void)
{
	return tt_select(TT_ON_STOP(), 7);
}

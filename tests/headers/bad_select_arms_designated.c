/* SPDX-License-Identifier: MIT */
/* expect: at most 16 arms */
/* only: c */
/* A select whose highest arm is the seventeenth. */
#include <tutti/tutti.h>

int wrong(void);
int wrong(void)
{
	return tt_select([16] = TT_ON_STOP());
}

/* SPDX-License-Identifier: MIT */
/* expect: inside an open block use TT_TRY_IN */
/* Plain TT_TRY inside an open group: the group would be left without its end. */
#include <tutti/tutti.h>

int wrong(void);
int wrong(void)
{
	TT_GROUP(g);

	TT_TRY(tt_sleep(1));
	return tt_group_end(&g, 0);
}

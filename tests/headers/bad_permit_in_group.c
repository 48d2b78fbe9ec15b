/* SPDX-License-Identifier: MIT */
/* expect: inside an open block use TT_TRY_IN */
/* TT_PERMIT inside an open group: TT_PERMIT_IN. */
#include <tutti/tutti.h>

int wrong(tt_semaphore *s);
int wrong(tt_semaphore *s)
{
	TT_GROUP(g);
	TT_PERMIT(s);

	return tt_group_end(&g, 0);
}

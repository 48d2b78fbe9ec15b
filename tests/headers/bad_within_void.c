/* SPDX-License-Identifier: MIT */
/* expect: void */
/* TT_WITHIN of a call without a result. */
#include <tutti/tutti.h>

int wrong(tt_mutex *m);
int wrong(tt_mutex *m)
{
	return TT_WITHIN(TT_SEC(1), tt_mutex_unlock(m));
}

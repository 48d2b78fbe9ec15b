/* SPDX-License-Identifier: MIT */
/* expect: tt_mutex */
/* A tick arm of what is no interval. */
#include <tutti/tutti.h>

int wrong(tt_mutex *m);
int wrong(tt_mutex *m)
{
	return tt_select(TT_ON_TICK(m), TT_ON_STOP());
}

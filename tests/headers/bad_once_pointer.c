/* SPDX-License-Identifier: MIT */
/* expect-c: _Generic */
/* expect-cxx: tt_once */
/* tt_once_do with something that is no once. */
#include <tutti/tutti.h>

TT_TASK_DECLARE(init, (int, n));

int wrong(tt_mutex *m);
int wrong(tt_mutex *m)
{
	return tt_once_do(m, init, 3);
}

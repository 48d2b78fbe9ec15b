/* SPDX-License-Identifier: MIT */
/* expect: at most eight parameters */
/* A task with nine parameters. */
#include <tutti/tutti.h>

TT_TASK(nine, (int, a), (int, b), (int, c), (int, d), (int, e), (int, f), (int, g), (int, h),
        (int, i))
{
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* expect: unused-result */
/* Nobody looks whether the initialiser succeeded. */
#include <tutti/tutti.h>

#pragma GCC diagnostic error "-Wunused-result"

TT_TASK_DECLARE(init, (int, n));

static tt_once once = TT_ONCE_INIT;

void wrong(void);
void wrong(void)
{
	tt_once_do(&once, init, 3);
}

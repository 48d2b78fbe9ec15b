/* SPDX-License-Identifier: MIT */
/* expect: int */
/* The initialiser's argument is of another type. */
#include <tutti/tutti.h>

TT_TASK_DECLARE(init, (int *, p));

static tt_once once = TT_ONCE_INIT;

int wrong(const char *text);
int wrong(const char *text)
{
	return tt_once_do(&once, init, text);
}

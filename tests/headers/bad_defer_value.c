/* SPDX-License-Identifier: MIT */
/* expect: TT_DEFER passes one pointer */
/* TT_DEFER passes one pointer, not a number. */
#include <tutti/tutti.h>

static void undo(int fd)
{
	(void)fd;
}

int wrong(int fd);
int wrong(int fd)
{
	TT_DEFER(undo, fd);
	return 0;
}

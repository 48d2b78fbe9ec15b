/* SPDX-License-Identifier: MIT */
/* expect: int */
/* expect-c: int-conversion */
/* A readable arm of a descriptor number: it takes a tt_fd *. */
#include <tutti/tutti.h>

int wrong(int fd);
int wrong(int fd)
{
	return tt_select(TT_ON_READABLE(fd), TT_ON_STOP());
}

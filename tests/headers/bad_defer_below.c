/* SPDX-License-Identifier: MIT */
/* expect: TT_DEFER stands above the open block */
/* TT_DEFER below an open block: it would run before the block's end. */
#include <tutti/tutti.h>

static void undo(int *p)
{
	*p = 0;
}

int wrong(int *p);
int wrong(int *p)
{
	TT_GROUP(g);
	TT_DEFER(undo, p);

	return tt_group_end(&g, 0);
}

/* SPDX-License-Identifier: MIT */
/* expect: tt_child_options */
/* TT_GROUP_WITH with a child's options. */
#include <tutti/tutti.h>

int wrong(tt_child_options *o);
int wrong(tt_child_options *o)
{
	TT_GROUP_WITH(g, o);

	return tt_group_end(&g, 0);
}

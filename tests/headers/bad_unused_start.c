/* SPDX-License-Identifier: MIT */
/* expect: tt_must_result_ */
/* Whether a child is ready may not be dropped. */
#include <tutti/tutti.h>

static TT_TASK(serve)
{
	return 0;
}

void wrong(tt_group *g);
void wrong(tt_group *g)
{
	tt_start(g, serve);
}

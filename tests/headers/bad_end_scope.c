/* SPDX-License-Identifier: MIT */
/* expect: tt_scope */
/* expect-c: incompatible pointer type */
/* tt_group_end of a scope. */
#include <tutti/tutti.h>

#ifndef __cplusplus
#pragma GCC diagnostic error "-Wincompatible-pointer-types"
#endif

int wrong(void);
int wrong(void)
{
	TT_SCOPE(s, TT_SEC(1));

	return tt_group_end(&s, 0);
}

/* SPDX-License-Identifier: MIT */
/* expect: inside an open block use TT_TRY_IN */
/* Plain TT_TRY inside a shield. */
#include <tutti/tutti.h>

int wrong(void);
int wrong(void)
{
	TT_SHIELD(s, TT_SEC(1));

	TT_TRY(tt_sleep(1));
	return tt_scope_end(&s, 0);
}

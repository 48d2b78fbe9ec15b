/* SPDX-License-Identifier: MIT */
/* expect: inside an open block use TT_TRY_IN */
/* Plain TT_TRY inside an open scope, in an inner C block. */
#include <tutti/tutti.h>

int wrong(void);
int wrong(void)
{
	TT_SCOPE(s, TT_SEC(1));

	while (!tt_stopping()) {
		TT_TRY(tt_sleep(1));
	}
	return tt_scope_end(&s, 0);
}

/* SPDX-License-Identifier: MIT */
/* expect: TT_BLOCK_END_ */
/* TT_TRY_IN names what is no block. */
#include <tutti/tutti.h>

int wrong(int *x);
int wrong(int *x)
{
	TT_TRY_IN(x, tt_sleep(1));
	return 0;
}

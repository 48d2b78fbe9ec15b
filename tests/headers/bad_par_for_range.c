/* SPDX-License-Identifier: MIT */
/* expect: the first two parameters are (size_t, first), (size_t, end) */
/* A loop's body that counts in int. */
#include <tutti/tutti.h>

static TT_TASK(body, (int, first), (int, end))
{
	return first < end ? 0 : 1;
}

int wrong(void);
int wrong(void)
{
	return tt_par_for(10, body);
}

/* SPDX-License-Identifier: MIT */
/* expect: double */
/* expect-c: incompatible pointer type */
/* An accumulator that the fold does not fold into. */
#include <tutti/tutti.h>

static TT_TASK(sum, (size_t, first), (size_t, end), (double *, acc))
{
	*acc += (double)(end - first);
	return 0;
}

static TT_TASK(join, (double *, left), (double *, right))
{
	*left += *right;
	return 0;
}

int wrong(void);
int wrong(void)
{
	int acc = 0;

	return tt_par_reduce(10, &acc, (sum), (join));
}

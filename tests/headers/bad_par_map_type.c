/* SPDX-License-Identifier: MIT */
/* expect: double */
/* expect-c: incompatible pointer type */
/* An output array of other elements than the body writes. */
#include <tutti/tutti.h>

static TT_TASK(widen, (const int *, in), (double *, out))
{
	*out = *in;
	return 0;
}

int wrong(int *in, float *out);
int wrong(int *in, float *out)
{
	return tt_par_map(10, in, out, widen);
}

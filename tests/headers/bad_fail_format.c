/* SPDX-License-Identifier: MIT */
/* expect: format */
/* The arguments of a message are checked against its format. */
#include <tutti/tutti.h>

#pragma GCC diagnostic error "-Wformat"

int wrong(long n);
int wrong(long n)
{
	return tt_fail(TT_EPROTO, "%s", n);
}

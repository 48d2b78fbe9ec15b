/* SPDX-License-Identifier: MIT */
/* expect: unused-result */
/* A wait whose code is lost: the barrier may be broken. */
#include <tutti/tutti.h>

#pragma GCC diagnostic error "-Wunused-result"

void wrong(tt_barrier *b);
void wrong(tt_barrier *b)
{
	tt_barrier_wait(b);
}

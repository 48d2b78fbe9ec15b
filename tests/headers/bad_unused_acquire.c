/* SPDX-License-Identifier: MIT */
/* expect: unused-result */
/* An acquire whose result is lost. */
#include <tutti/tutti.h>

#pragma GCC diagnostic error "-Wunused-result"

struct pg;

TT_POOL_TYPE(pg_pool, struct pg);

int wrong(pg_pool *pool, struct pg **ret);
int wrong(pg_pool *pool, struct pg **ret)
{
	tt_pool_acquire(pool, ret);
	return 0;
}

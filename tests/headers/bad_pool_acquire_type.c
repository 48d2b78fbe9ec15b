/* SPDX-License-Identifier: MIT */
/* expect: not a pointer to an item of this pool */
/* An item of another type. */
#include <tutti/tutti.h>

struct pg;
struct redis;

TT_POOL_TYPE(pg_pool, struct pg);

int wrong(pg_pool *pool, struct redis **ret);
int wrong(pg_pool *pool, struct redis **ret)
{
	return tt_pool_acquire(pool, ret);
}

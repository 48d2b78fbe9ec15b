/* SPDX-License-Identifier: MIT */
/* expect: not an item of this pool */
/* An item that goes back to another pool. */
#include <tutti/tutti.h>

struct pg;
struct redis;

TT_POOL_TYPE(pg_pool, struct pg);

void wrong(pg_pool *pool, struct redis *item);
void wrong(pg_pool *pool, struct redis *item)
{
	tt_pool_release(pool, item, TT_POOL_KEEP);
}

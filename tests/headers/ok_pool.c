/* SPDX-License-Identifier: MIT */
/* A pool: typed and untyped, with a lease and without, as an arm. */
#include <tutti/tutti.h>

struct pg;

TT_POOL_TYPE(pg_pool, struct pg);

int pg_query(struct pg *db);
int typed(pg_pool *pool);
int untyped(tt_pool *pool);
int make(const tt_pool_options *o, pg_pool **ret, tt_pool **ret_raw);

int typed(pg_pool *pool)
{
	struct pg *session;
	tt_pool_stats s;
	int rc = 0;

	TT_LEASE(db, pool);
	TT_TRY(tt_pool_acquire(pool, &db));
	TT_TRY(pg_query(db));
	tt_pool_release(pool, db, TT_POOL_KEEP);
	db = NULL;
	TT_TRY(tt_pool_try_acquire(pool, &session));
	tt_pool_release(pool, session, TT_POOL_CLOSE);
	TT_TRY(tt_select(TT_ON_LEASE(pool, &db), TT_ON_LEASE_RC(pool, &session, &rc), TT_ON_TIMEOUT(1)));
	tt_pool_resize(pool, 7);
	tt_pool_stats_read(pool, &s);
	tt_pool_close(pool);
	return tt_pool_drain(pool);
}

int untyped(tt_pool *pool)
{
	struct pg *typed_item;
	void *item;

	TT_LEASE(any, pool);
	TT_TRY(tt_pool_acquire(pool, &any));
	TT_TRY(tt_pool_acquire(pool, &item));
	TT_TRY(tt_pool_acquire(pool, &typed_item));
	tt_pool_release(pool, item, TT_POOL_KEEP);
	tt_pool_release(pool, typed_item, TT_POOL_KEEP);
	return (tt_pool_drain)(pool);
}

int make(const tt_pool_options *o, pg_pool **ret, tt_pool **ret_raw)
{
	TT_TRY(tt_pool_create(o, ret));
	TT_TRY(tt_pool_create(o, ret_raw));
	tt_pool_destroy(*ret_raw);
	tt_pool_destroy(*ret);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * 04_pool.c - database connections that tasks share: a pool of SQLite connections.
 *
 * A lease is a variable that gives its connection back at the end of its C block, however the
 * block is left. What a task leaves half done is undone before the next one gets the connection.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <tutti/ext/sqlite.h>
#include <tutti/tutti.h>

/* A function of tt_sqlite_call() runs on a thread, and uses SQLite's own calls. */
static TT_TASK(sum_of, (tt_sqlite *, db), (int *, ret))
{
	sqlite3_stmt *stmt;
	int rc = sqlite3_prepare_v2(tt_sqlite_handle(db), "SELECT sum(amount) FROM t", -1, &stmt, NULL);

	if (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
		*ret = sqlite3_column_int(stmt, 0);
	sqlite3_finalize(stmt);
	return rc == SQLITE_ROW ? 0 : tt_sqlite_fail(db, rc);
}

static TT_TASK(deposit, (tt_sqlite_pool *, pool), (int, amount))
{
	char sql[64];

	snprintf(sql, sizeof(sql), "INSERT INTO t VALUES (%d)", amount);
	TT_LEASE(db, pool);
	TT_TRY(tt_pool_acquire(pool, &db));
	return tt_sqlite_exec(db, sql);
}

/* Success: twenty tasks, two connections. */
static int deposits(tt_sqlite_pool *pool)
{
	TT_GROUP(g);
	for (int i = 1; i <= 20; i++)
		tt_go(&g, deposit, pool, i);
	return tt_group_end(&g, 0);
}

/* Failure: the second statement is refused, and the function returns. The pool rolls back. */
static int transfer(tt_sqlite_pool *pool)
{
	TT_LEASE(db, pool);
	TT_TRY(tt_pool_acquire(pool, &db));
	TT_TRY(tt_sqlite_exec(db, "BEGIN; INSERT INTO t VALUES (1000)"));
	TT_TRY(tt_sqlite_exec(db, "INSERT INTO t VALUES (-1)"));
	return tt_sqlite_exec(db, "COMMIT");
}

/* Cancellation: both connections are lent, and who waits for a third gives up in time. */
static int use(tt_sqlite_pool *pool)
{
	int rc, sum = 0;

	TT_TRY(deposits(pool));
	rc = transfer(pool);
	printf("transfer: %s\n", tt_error_name(rc));
	TT_LEASE(one, pool);
	TT_LEASE(two, pool);
	TT_LEASE(three, pool);
	TT_TRY(tt_pool_acquire(pool, &one));
	TT_TRY(tt_sqlite_call(one, sum_of, one, &sum));
	printf("the sum is %d\n", sum);
	TT_TRY(tt_pool_acquire(pool, &two));
	rc = TT_WITHIN(TT_MS(20), tt_pool_acquire(pool, &three));
	printf("no third connection: %s\n", tt_error_name(rc));
	return rc == TT_ETIMEDOUT ? 0 : rc;
}

TT_TASK(app)
{
	tt_sqlite_options options = {
		.pool = { .name = "accounts", .max = 2 },
		.setup = "CREATE TABLE IF NOT EXISTS t (amount INTEGER CHECK (amount >= 0))",
	};
	char path[] = "/tmp/04_pool-XXXXXX";
	tt_sqlite_pool *pool = NULL;
	int fd = mkstemp(path), rc;

	if (fd < 0)
		return tt_fail(TT_EIO, "no file at %s", path);
	close(fd);
	rc = tt_sqlite_pool_create(path, &options, &pool);
	if (rc == 0)
		rc = use(pool);
	tt_pool_destroy(pool); /* every connection is back, and closed */
	unlink(path);
	return rc;
}

int main(void)
{
	return tt_main(app);
}

/* SPDX-License-Identifier: MIT */
/*
 * sqlite_test.c - pools of real SQLite connections, on files in a folder of their own: settings,
 * errors, serial calls, cancels, what a connection is like when it is lent again.
 *
 * In a simulation the files are real too; only threads and time are not.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tutti/ext/sqlite.h>
#include <tutti/testing.h>
#include <tutti/tutti.h>

TT_TEST_MAIN()

static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };

struct base {
	char folder[64], path[96];
	tt_sqlite_pool *pool;
};

static void base_open(struct base *b, const tt_sqlite_options *o)
{
	snprintf(b->folder, sizeof(b->folder), "/tmp/tutti-sqlite-XXXXXX");
	REQUIRE_NE(mkdtemp(b->folder), NULL);
	snprintf(b->path, sizeof(b->path), "%s/app.db", b->folder);
	REQUIRE_OK(tt_sqlite_pool_create(b->path, o, &b->pool));
}

static void base_close(struct base *b)
{
	tt_pool_destroy(b->pool);
	unlink(b->path);
	/* The last connection has written the log back and taken it away: the folder is empty. */
	EXPECT_EQ(rmdir(b->folder), 0);
	EXPECT_TASKS_ALIVE(1);
}

/* The first column of the first row. */
static TT_TASK(query_int, (tt_sqlite *, db), (const char *, sql), (int *, ret))
{
	sqlite3_stmt *stmt;
	int rc = sqlite3_prepare_v2(tt_sqlite_handle(db), sql, -1, &stmt, NULL);

	if (rc != SQLITE_OK)
		return tt_sqlite_fail(db, rc);
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW)
		*ret = sqlite3_column_int(stmt, 0);
	sqlite3_finalize(stmt);
	return rc == SQLITE_ROW ? 0 : tt_sqlite_fail(db, rc == SQLITE_DONE ? SQLITE_NOTFOUND : rc);
}

static int ask(tt_sqlite *db, const char *sql)
{
	int n = -1;

	EXPECT_OK(tt_sqlite_call(db, query_int, db, sql, &n));
	return n;
}

static TT_TASK(query_text, (tt_sqlite *, db), (const char *, sql), (char *, ret), (size_t, n))
{
	sqlite3_stmt *stmt;
	int rc = sqlite3_prepare_v2(tt_sqlite_handle(db), sql, -1, &stmt, NULL);

	if (rc != SQLITE_OK)
		return tt_sqlite_fail(db, rc);
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW)
		snprintf(ret, n, "%s", (const char *)sqlite3_column_text(stmt, 0));
	sqlite3_finalize(stmt);
	return 0;
}

/* ---- settings ---- */

static int settings(struct base *b)
{
	char mode[16] = "";

	TT_LEASE(db, b->pool);
	TT_TRY(tt_pool_acquire(b->pool, &db));
	TT_TRY(tt_sqlite_call(db, query_text, db, "PRAGMA journal_mode", mode, sizeof(mode)));
	EXPECT_STR_EQ(mode, "wal");
	EXPECT_EQ(ask(db, "PRAGMA synchronous"), 2);
	EXPECT_EQ(ask(db, "PRAGMA foreign_keys"), 1);
	EXPECT_EQ(ask(db, "SELECT n FROM temp.one"), 1);
	return 0;
}

/* A connection writes ahead, syncs each commit and enforces foreign keys; each one is set up. */
TT_TEST(sqlite, settings)
{
	tt_sqlite_options o = { .setup = "CREATE TEMP TABLE one AS SELECT 1 AS n" };
	struct base b;

	base_open(&b, &o);
	EXPECT_OK(settings(&b));
	base_close(&b);
}

/* What is wrong with the file is told to who acquires, in SQLite's words. */
TT_TEST(sqlite, a_file_that_cannot_be_opened)
{
	tt_sqlite_pool *p;
	tt_sqlite *db = NULL;
	char text[512];
	tt_error e;
	int rc;

	REQUIRE_OK(tt_sqlite_pool_create("/nonexistent/folder/app.db", NULL, &p));
	rc = tt_pool_acquire(p, &db);
	EXPECT_CODE(rc, TT_SQLITE_CODE(SQLITE_CANTOPEN));
	tt_error_take(&e, rc);
	tt_error_text(&e, text, sizeof(text));
	EXPECT_NE(strstr(text, "unable to open database file"), NULL);
	EXPECT_NE(strstr(text, "/nonexistent/folder/app.db"), NULL);
	EXPECT_NE(strstr(text, "pool sqlite: open"), NULL);
	tt_error_fini(&e);
	tt_pool_destroy(p);
}

/* ---- errors ---- */

static int duplicate_key(struct base *b)
{
	char text[512];
	tt_error e;
	int rc;

	TT_LEASE(db, b->pool);
	TT_TRY(tt_pool_acquire(b->pool, &db));
	TT_TRY(tt_sqlite_exec(db, "CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)"));
	rc = tt_sqlite_exec(db, "INSERT INTO t VALUES (1)");
	EXPECT_CODE(rc, TT_SQLITE_CODE(SQLITE_CONSTRAINT));
	tt_error_take(&e, rc);
	tt_error_text(&e, text, sizeof(text));
	EXPECT_NE(strstr(text, "UNIQUE constraint failed: t.id"), NULL);
	EXPECT_NE(strstr(text, "SQLITE_CONSTRAINT"), NULL);
	tt_error_fini(&e);
	EXPECT_CODE(tt_sqlite_exec(db, "SELEKT 1"), TT_SQLITE_CODE(SQLITE_ERROR));
	EXPECT_EQ(ask(db, "SELECT count(*) FROM t"), 1);
	return 0;
}

/* An error carries SQLite's text and code, and the connection goes on. */
TT_TEST(sqlite, errors_tell_their_story)
{
	struct base b;

	base_open(&b, NULL);
	EXPECT_OK(duplicate_key(&b));
	base_close(&b);
}

/* ---- what a connection is like when it is lent again ---- */

static TT_TASK(begin_and_leave, (tt_sqlite *, db))
{
	sqlite3_stmt *stmt;
	int rc = sqlite3_prepare_v2(tt_sqlite_handle(db), "SELECT id FROM t", -1, &stmt, NULL);

	/* Half way through a query; the statement is left behind, as a careless cache would. */
	if (rc != SQLITE_OK || sqlite3_step(stmt) != SQLITE_ROW)
		return tt_sqlite_fail(db, rc != SQLITE_OK ? rc : SQLITE_ERROR);
	return 0;
}

static int leaves_a_mess(struct base *b, bool transaction)
{
	TT_LEASE(db, b->pool);
	TT_TRY(tt_pool_acquire(b->pool, &db));
	if (transaction)
		TT_TRY(tt_sqlite_exec(db, "BEGIN IMMEDIATE; INSERT INTO t VALUES (2)"));
	return tt_sqlite_call(db, begin_and_leave, db);
}

static int finds_it_clean(struct base *b)
{
	TT_LEASE(db, b->pool);
	TT_TRY(tt_pool_acquire(b->pool, &db));
	EXPECT_EQ(sqlite3_get_autocommit(tt_sqlite_handle(db)), 1);
	EXPECT_FALSE(sqlite3_stmt_busy(sqlite3_next_stmt(tt_sqlite_handle(db), NULL)));
	EXPECT_EQ(ask(db, "SELECT count(*) FROM t"), 1);
	return 0;
}

static int make_table(struct base *b)
{
	TT_LEASE(db, b->pool);
	TT_TRY(tt_pool_acquire(b->pool, &db));
	return tt_sqlite_exec(db, "CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)");
}

/* A transaction that was left open is rolled back, a query half way is ended: the same connection
 * is lent again, clean. */
TT_TEST(sqlite, lent_again_clean)
{
	tt_sqlite_options o = { .pool = { .max = 1 } };
	tt_pool_stats st;
	struct base b;

	base_open(&b, &o);
	EXPECT_OK(make_table(&b));
	EXPECT_OK(leaves_a_mess(&b, true));
	EXPECT_OK(finds_it_clean(&b));
	EXPECT_OK(leaves_a_mess(&b, false));
	EXPECT_OK(finds_it_clean(&b));
	tt_pool_stats_read(b.pool, &st);
	EXPECT_EQ(st.opened, 1u);
	EXPECT_EQ(st.unclean, 0u);
	base_close(&b);
}

/* ---- serial ---- */

struct serial {
	int inside, most;
};

static TT_TASK(count_inside, (tt_sqlite *, db), (struct serial *, s))
{
	int now = __atomic_add_fetch(&s->inside, 1, __ATOMIC_SEQ_CST); /* pairs with the next job's */

	if (now > s->most)
		s->most = now;
	TT_IGNORE(sqlite3_exec(tt_sqlite_handle(db), "SELECT 1", NULL, NULL, NULL));
	sqlite3_sleep(1); /* a job's own time: others would come in now */
	__atomic_sub_fetch(&s->inside, 1, __ATOMIC_SEQ_CST); /* pairs with the next job's */
	return 0;
}

static TT_TASK(calls_often, (tt_sqlite *, db), (struct serial *, s))
{
	for (int i = 0; i < 10; i++)
		TT_TRY(tt_sqlite_call(db, count_inside, db, s));
	return 0;
}

static int shared_connection(struct base *b, struct serial *s)
{
	TT_LEASE(db, b->pool);
	TT_TRY(tt_pool_acquire(b->pool, &db));
	TT_GROUP(g);
	for (int i = 0; i < 4; i++)
		tt_go_with(&g, &anywhere, calls_often, db, s);
	return tt_group_end(&g, 0);
}

/* Children may share a connection: its calls run one after the other. */
TT_TEST(sqlite, calls_of_a_connection_are_serial)
{
	struct serial s = { 0, 0 };
	struct base b;

	base_open(&b, NULL);
	EXPECT_OK(shared_connection(&b, &s));
	EXPECT_EQ(s.most, 1);
	base_close(&b);
}

static TT_TASK(inserts, (struct base *, b), (int, first))
{
	char sql[80];

	for (int i = 0; i < 5; i++) {
		TT_LEASE(db, b->pool);
		TT_TRY(tt_pool_acquire(b->pool, &db));
		snprintf(sql, sizeof(sql), "INSERT INTO t VALUES (%d)", first + i);
		TT_TRY(tt_sqlite_exec(db, sql));
	}
	return 0;
}

static int many_writers(struct base *b)
{
	TT_GROUP(g);
	for (int i = 0; i < 6; i++)
		tt_go_with(&g, &anywhere, inserts, b, 100 * (i + 1));
	return tt_group_end(&g, 0);
}

static int count_rows(struct base *b)
{
	TT_LEASE(db, b->pool);
	TT_TRY(tt_pool_acquire(b->pool, &db));
	return ask(db, "SELECT count(*) FROM t");
}

/* Connections wait for each other's locks: no writer fails, no row is lost. */
TT_TEST(sqlite, writers_wait_for_each_other)
{
	tt_sqlite_options o = { .pool = { .max = 3 }, .synchronous = TT_SQLITE_OFF, .busy_max = TT_SEC(30) };
	struct base b;

	base_open(&b, &o);
	EXPECT_OK(make_table(&b));
	EXPECT_OK(many_writers(&b));
	EXPECT_EQ(count_rows(&b), 31);
	base_close(&b);
}

/* ---- cancels ---- */

static const char endless[] = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

static int interrupted(struct base *b)
{
	int64_t before;

	TT_LEASE(db, b->pool);
	TT_TRY(tt_pool_acquire(b->pool, &db));
	TT_TRY(tt_sqlite_exec(db, "BEGIN IMMEDIATE; INSERT INTO t VALUES (2)"));
	before = tt_now();
	EXPECT_CODE(TT_WITHIN(TT_MS(30), tt_sqlite_exec(db, endless)), TT_ETIMEDOUT);
	EXPECT_LT(tt_now() - before, TT_SEC(10));
	EXPECT_EQ(ask(db, "SELECT 41 + 1"), 42); /* the connection goes on */
	return 0;
}

/* A cancel interrupts the running statement, and the transaction is rolled back on return. */
TT_TEST_ON(sqlite, a_cancel_interrupts_the_statement, TT_ON_REAL, "a simulated job runs in one piece")
{
	tt_sqlite_options o = { .pool = { .max = 1 } };
	struct base b;

	base_open(&b, &o);
	EXPECT_OK(make_table(&b));
	EXPECT_OK(interrupted(&b));
	EXPECT_EQ(count_rows(&b), 1);
	base_close(&b);
}

static TT_TASK(never_to_begin, (tt_sqlite *, db), (int *, dropped))
{
	(void)db;
	(void)dropped;
	tt_test_note("began");
	return 0;
}

static int cancelled_before(struct base *b)
{
	int unused = 0;

	TT_LEASE(db, b->pool);
	TT_TRY(tt_pool_acquire(b->pool, &db));
	EXPECT_CODE(TT_WITHIN(0, tt_sqlite_call(db, never_to_begin, db, &unused)), TT_ETIMEDOUT);
	EXPECT_CODE(TT_WITHIN(TT_SEC(100), tt_sqlite_exec(db, "SELECT 1")), 0);
	return 0;
}

/* A call that was cancelled before it began did nothing. */
TT_TEST(sqlite, cancelled_before_it_began)
{
	struct base b;

	base_open(&b, NULL);
	EXPECT_OK(cancelled_before(&b));
	base_close(&b);
}

static int locked_out(struct base *b)
{
	TT_LEASE(one, b->pool);
	TT_LEASE(two, b->pool);
	TT_TRY(tt_pool_acquire(b->pool, &one));
	TT_TRY(tt_pool_acquire(b->pool, &two));
	TT_TRY(tt_sqlite_exec(one, "BEGIN IMMEDIATE"));
	EXPECT_CODE(tt_sqlite_exec(two, "INSERT INTO t VALUES (5)"), TT_SQLITE_CODE(SQLITE_BUSY));
	TT_TRY(tt_sqlite_exec(one, "ROLLBACK"));
	return tt_sqlite_exec(two, "INSERT INTO t VALUES (5)");
}

/* The wait for another connection's lock is bounded. */
TT_TEST(sqlite, the_wait_for_a_lock_is_bounded)
{
	tt_sqlite_options o = { .busy_max = TT_MS(20) };
	struct base b;

	base_open(&b, &o);
	EXPECT_OK(make_table(&b));
	EXPECT_OK(locked_out(&b));
	base_close(&b);
}

static int cancelled_in_line_for_a_lock(struct base *b)
{
	int64_t before;

	TT_LEASE(one, b->pool);
	TT_LEASE(two, b->pool);
	TT_TRY(tt_pool_acquire(b->pool, &one));
	TT_TRY(tt_pool_acquire(b->pool, &two));
	TT_TRY(tt_sqlite_exec(one, "BEGIN IMMEDIATE"));
	before = tt_now();
	EXPECT_CODE(TT_WITHIN(TT_MS(30), tt_sqlite_exec(two, "INSERT INTO t VALUES (5)")), TT_ETIMEDOUT);
	EXPECT_LT(tt_now() - before, TT_SEC(10));
	return 0;
}

/* And a cancel ends it. */
TT_TEST_ON(sqlite, a_cancel_ends_the_wait_for_a_lock, TT_ON_REAL, "a simulated job runs in one piece")
{
	tt_sqlite_options o = { .busy_max = TT_SEC(50) };
	struct base b;

	base_open(&b, &o);
	EXPECT_OK(make_table(&b));
	EXPECT_OK(cancelled_in_line_for_a_lock(&b));
	base_close(&b);
}

static int interrupts_nothing(struct base *b)
{
	TT_LEASE(db, b->pool);
	TT_TRY(tt_pool_acquire(b->pool, &db));
	TT_TRY(tt_sqlite_exec(db, "INSERT INTO t VALUES (7)"));
	sqlite3_interrupt(tt_sqlite_handle(db));
	return 0;
}

/* An interrupt that came when nothing ran does not keep the close from taking the log away. */
TT_TEST(sqlite, an_interrupt_that_hit_nothing)
{
	tt_sqlite_options o = { .pool = { .max = 1 } };
	struct base b;

	base_open(&b, &o);
	EXPECT_OK(make_table(&b));
	EXPECT_OK(interrupts_nothing(&b));
	base_close(&b);
}

/* ---- options ---- */

/* What a pool refuses is refused here too, and nothing is left. */
TT_TEST(sqlite, options_are_checked)
{
	tt_sqlite_options o = { .pool = { .max = 1, .min_idle = 2 } };
	tt_sqlite_pool *p = NULL;

	EXPECT_CODE(tt_sqlite_pool_create(":memory:", &o, &p), TT_EINVAL);
	EXPECT_EQ(p, NULL);
}

static int writes_to_read_only(struct base *b)
{
	tt_sqlite_options o = { .read_only = true };
	tt_sqlite_pool *p;
	tt_sqlite *db;

	TT_TRY(tt_sqlite_pool_create(b->path, &o, &p));
	TT_DEFER((tt_pool_destroy), (tt_pool *)(void *)p);
	TT_TRY(tt_pool_acquire(p, &db));
	EXPECT_EQ(ask(db, "SELECT count(*) FROM t"), 1);
	EXPECT_CODE(tt_sqlite_exec(db, "DELETE FROM t"), TT_SQLITE_CODE(SQLITE_READONLY));
	tt_pool_release(p, db, TT_POOL_KEEP);
	return 0;
}

TT_TEST(sqlite, read_only)
{
	struct base b;

	base_open(&b, NULL);
	EXPECT_OK(make_table(&b));
	EXPECT_OK(writes_to_read_only(&b));
	base_close(&b);
}

static void fail_with_ok(tt_sqlite *db)
{
	TT_IGNORE(tt_sqlite_fail(db, SQLITE_DONE));
}

TT_TEST(sqlite, success_is_no_failure)
{
	tt_sqlite_pool *p;
	tt_sqlite *db;

	REQUIRE_OK(tt_sqlite_pool_create(":memory:", NULL, &p));
	REQUIRE_OK(tt_pool_acquire(p, &db));
	EXPECT_ABORTS(fail_with_ok(db), "is not a failure");
	tt_pool_release(p, db, TT_POOL_CLOSE);
	tt_pool_destroy(p);
}

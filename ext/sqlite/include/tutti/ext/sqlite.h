/* SPDX-License-Identifier: MIT */
/*
 * sqlite.h - SQLite connections in a pool: a statement suspends the task instead of the thread.
 *
 *	tt_sqlite_pool *pool;
 *	TT_TRY(tt_sqlite_pool_create("app.db", NULL, &pool));
 *
 *	static TT_TASK(insert, (tt_sqlite *, db), (const char *, name)) { ... sqlite3_step ... }
 *
 *	TT_LEASE(db, pool);
 *	TT_TRY(tt_pool_acquire(pool, &db));
 *	TT_TRY(tt_sqlite_call(db, insert, db, "Ada"));
 *
 * SQLite's own calls block a thread, so they are made inside a function that tt_sqlite_call()
 * runs on the blocking pool, one at a time for each connection. What a borrower leaves open is
 * undone when the connection comes back: statements are reset, a transaction is rolled back.
 */
#ifndef TUTTI_EXT_SQLITE_H
#define TUTTI_EXT_SQLITE_H

#include <sqlite3.h>

#include <tutti/base.h>
#include <tutti/error.h>
#include <tutti/pool.h>
#include <tutti/task.h>

TT_BEGIN_DECLS

/* One connection. */
typedef struct tt_sqlite tt_sqlite;

/* The macros of <tutti/pool.h> take it: its items are tt_sqlite *. */
TT_POOL_TYPE(tt_sqlite_pool, tt_sqlite);

/* SQLite's primary result code as a code of ours: TT_SQLITE_CODE(SQLITE_CONSTRAINT). */
#define TT_SQLITE_CODE(rc) (-25000 - ((rc) & 0xff))

enum tt_sqlite_sync {
	TT_SQLITE_FULL,   /* what was committed survives a power cut */
	TT_SQLITE_NORMAL, /* ... or the last commits are lost, the file stays sound */
	TT_SQLITE_OFF     /* for what can be made again */
};

/* All zero is a good start. */
typedef struct tt_sqlite_options {
	tt_pool_options pool;      /* name, sizes and times; its functions and ctx are not used; max 0: 4 */
	enum tt_sqlite_sync synchronous;
	bool read_only;
	bool no_wal;               /* leave the journal mode of the file as it is */
	bool no_foreign_keys;      /* do not enforce them */
	int64_t busy_max;          /* ns a statement waits for another connection's lock; 0: 5 s */
	const char *setup;         /* SQL for each new connection; copied; may be NULL */
} tt_sqlite_options;

/*
 * tt_sqlite_pool_create - a pool of connections to one file. It is destroyed as every pool is, with
 * tt_pool_destroy(). ":memory:" gives each connection a database of its own.
 *
 * Blocks     no; connections are opened in the background and on demand
 * Returns    0
 * Errors     -ENOMEM; -EINVAL as tt_pool_create(). What is wrong with the file is told to those
 *            who acquire
 * Ownership  *ret_pool is the caller's; path and options are copied
 * Threads    any task
 */
TT_API TT_MUST_USE int tt_sqlite_pool_create(const char *path, const tt_sqlite_options *o,
                                             tt_sqlite_pool **ret_pool);

/*
 * tt_sqlite_handle - SQLite's own handle, for use inside a function of tt_sqlite_call().
 *
 * Blocks     no
 * Returns    never NULL
 * Ownership  the connection's: it is not closed by the caller
 * Threads    those that run such a function
 */
TT_API sqlite3 *tt_sqlite_handle(tt_sqlite *db);

/*
 * tt_sqlite_exec - run SQL without results, several statements if need be.
 *
 * Blocks     yes; always a checkpoint
 * Returns    0
 * Cancelled  as tt_sqlite_call()
 * Errors     TT_SQLITE_CODE(...), SQLite's own text in the chain
 * Threads    any task that was lent the connection, and its children
 */
TT_API TT_MUST_USE int tt_sqlite_exec(tt_sqlite *db, const char *sql);

/*
 * tt_sqlite_fail - begin a chain with what SQLite says of the connection's last failure. For
 * functions of tt_sqlite_call().
 *
 * Blocks     no
 * Returns    TT_SQLITE_CODE(rc)
 * Errors     aborts for SQLITE_OK, SQLITE_ROW and SQLITE_DONE, which are none
 * Threads    as tt_sqlite_handle()
 */
TT_API TT_MUST_USE int tt_sqlite_fail_(tt_sqlite *db, int rc, const char *site, const char *func);

/* on: a tt_sqlite *; what the function returned, or a code */
TT_API tt_verb_ tt_verb_sqlite_call_;

TT_END_DECLS

#define tt_sqlite_fail(db, rc) tt_sqlite_fail_((db), (rc), TT_SITE, __func__)

#ifdef __cplusplus
extern "C++" {
static inline tt_sqlite *tt_sqlite_check_(tt_sqlite *db) { return db; }
}
#define TT_IS_SQLITE_(db) (tt_sqlite_check_(db))
#else
#define TT_IS_SQLITE_(db) (_Generic((db), tt_sqlite *: (db)))
#endif

/*
 * tt_sqlite_call(db, name, args...) - call the TT_TASK `name` on a thread of the blocking pool,
 * with the connection to itself: calls of one connection run one after the other, in the order
 * they came. Inside, SQLite's functions may be used as they are; calls marked "Blocks yes" give
 * TT_EWRONGCTX or abort.
 *
 * Blocks     yes; always a checkpoint
 * Returns    what the function returned
 * Cancelled  TT_ECANCELED. If the function had not begun, its destructors have run and nothing
 *            else happened. If it had, the running statement is interrupted, and every later
 *            one that runs long; the call waits until the function returns. A function
 *            that succeeded all the same gives its result. What was done before the interrupt stays
 *            in the open transaction, until the connection comes back and is rolled back
 * Errors     the function's, with its chain; -ENOMEM, -EAGAIN, and destructors have run
 * Ownership  the arguments are the function's, from its first instruction
 * Threads    any task that was lent the connection, and its children
 */
#define tt_sqlite_call(db, ...) \
	tt_must_result_(TT_CALL_(tt_verb_sqlite_call_, TT_IS_SQLITE_(db), __VA_ARGS__))

#endif

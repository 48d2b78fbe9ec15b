/* SPDX-License-Identifier: MIT */
/*
 * sqlite.c - SQLite connections as items of a pool, and calls on the blocking pool.
 *
 * Serial      A connection is opened without SQLite's own mutex. Its tt_mutex is held over each
 *             call, so its jobs never overlap, whatever thread runs them.
 * Cancel      A call is a group: the caller waits for the job, which cannot be left, and a
 *             daemon child beside it waits for a cancel. When one comes the child sets
 *             `interrupted` and interrupts SQLite. The flag is also looked at by the
 *             progress handler, every few thousand steps of a statement, and by the busy
 *             handler: sqlite3_interrupt() alone does nothing if it comes between two
 *             statements.
 * Clean       A connection that comes back is asked for its own state: no transaction is
 *             open, no statement is half way. Only if one is, a job cleans up.
 * Rejected    A thread for each connection: an idle pool would keep as many threads, and in a
 *             simulation there are none. The blocking pool's threads are warm and shared.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tutti/ext/sqlite.h>
#include <tutti/tutti.h>

#define MAX_DEFAULT 4
#define BUSY_MAX_DEFAULT TT_SEC(5)
#define STEPS_PER_LOOK 4000
#define BUSY_STEP_MAX 20 /* ms */

/* SQLite's primary result codes, but for those of success and of notices. */
#define CODES(x) \
	x(ERROR) x(INTERNAL) x(PERM) x(ABORT) x(BUSY) x(LOCKED) x(NOMEM) x(READONLY) \
	x(INTERRUPT) x(IOERR) x(CORRUPT) x(NOTFOUND) x(FULL) x(CANTOPEN) x(PROTOCOL) x(EMPTY) \
	x(SCHEMA) x(TOOBIG) x(CONSTRAINT) x(MISMATCH) x(MISUSE) x(NOLFS) x(AUTH) x(FORMAT) \
	x(RANGE) x(NOTADB)

#define CODE(name) { TT_SQLITE_CODE(SQLITE_##name), NULL },
#define NAME(name) "SQLITE_" #name,

static struct tt_error_code_ codes[] = { CODES(CODE) };
static const char *const names[] = { CODES(NAME) };

enum { N_CODES = sizeof(codes) / sizeof(codes[0]) };

/* TT_ERROR_CODES() wants its texts at compile time; these are SQLite's. */
__attribute__((constructor)) static void register_codes(void)
{
	static const struct tt_error_domain_ domain = { "sqlite", codes, names, N_CODES };

	for (int i = 0; i < N_CODES; i++)
		codes[i].text = sqlite3_errstr(TT_SQLITE_CODE(0) - codes[i].code);
	tt_error_register_(&domain);
}

/* What all connections of a pool share; the pool's ctx, freed when the pool was destroyed. */
struct source {
	tt_sqlite_options o;
	char *path, *setup;                  /* copies; setup may be NULL */
	tt_mutex closing;                    /* held over each close */
};

struct tt_sqlite {
	sqlite3 *handle;                     /* one job at a time: whose task holds lock */
	tt_mutex lock;                       /* held over each call */
	const struct source *source;
	bool interrupted;                    /* this call was cancelled; atomic: a task sets it, a job reads */
	int waited_ms;                       /* for the lock this statement wants; the job only */
};

/* Both relaxed: it hurries a job up, and orders nothing. */
static void set_interrupted(tt_sqlite *db, bool value)
{
	__atomic_store_n(&db->interrupted, value, __ATOMIC_RELAXED);
}

static bool is_interrupted(const tt_sqlite *db)
{
	/* relaxed: as above. */
	return __atomic_load_n(&db->interrupted, __ATOMIC_RELAXED);
}

/* ---- errors ---- */

int tt_sqlite_fail_(tt_sqlite *db, int rc, const char *site, const char *func)
{
	int extended = sqlite3_extended_errcode(db->handle);
	const char *text = sqlite3_errmsg(db->handle);

	if (rc == SQLITE_OK || rc == SQLITE_ROW || rc == SQLITE_DONE) {
		fprintf(stderr, "tutti: tt_sqlite_fail at %s: %d is not a failure\n", site, rc);
		abort();
	}
	/* What the handle remembers may be another call's. */
	if ((extended & 0xff) != (rc & 0xff))
		return tt_fail_(TT_SQLITE_CODE(rc), site, func, "%s", sqlite3_errstr(rc));
	if (extended == (extended & 0xff))
		return tt_fail_(TT_SQLITE_CODE(rc), site, func, "%s", text);
	return tt_fail_(TT_SQLITE_CODE(rc), site, func, "%s (%d)", text, extended);
}

/* ---- in jobs ---- */

static int look_for_interrupt(void *arg)
{
	return is_interrupted(arg);
}

/* Another connection has the lock: waits 1 ms, 2 ms, ... up to 20 ms at a time. */
static int wait_for_lock(void *arg, int times)
{
	tt_sqlite *db = arg;
	int ms = times < BUSY_STEP_MAX ? times + 1 : BUSY_STEP_MAX;

	if (times == 0)
		db->waited_ms = 0;
	if (is_interrupted(db) || db->waited_ms >= db->source->o.busy_max / TT_MS(1))
		return 0;
	sqlite3_sleep(ms);
	db->waited_ms += ms;
	return 1;
}

static int run_sql(tt_sqlite *db, const char *sql)
{
	int rc = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);

	return rc != SQLITE_OK ? tt_sqlite_fail(db, rc) : 0;
}

/* SQLite asks no busy handler when two connections change the journal of a new file at once. */
static int use_wal(tt_sqlite *db)
{
	int times = 0, rc;

	while ((rc = sqlite3_exec(db->handle, "PRAGMA journal_mode=WAL", NULL, NULL, NULL)) == SQLITE_BUSY)
		if (wait_for_lock(db, times++) == 0)
			break;
	return rc != SQLITE_OK ? tt_sqlite_fail(db, rc) : 0;
}

static int set_up(tt_sqlite *db)
{
	static const char *const synchronous[] = {
		[TT_SQLITE_FULL] = "PRAGMA synchronous=FULL",
		[TT_SQLITE_NORMAL] = "PRAGMA synchronous=NORMAL",
		[TT_SQLITE_OFF] = "PRAGMA synchronous=OFF",
	};
	const tt_sqlite_options *o = &db->source->o;

	if (!o->no_wal && !o->read_only)
		TT_TRY(use_wal(db));
	TT_TRY(run_sql(db, synchronous[o->synchronous]));
	TT_TRY(run_sql(db, o->no_foreign_keys ? "PRAGMA foreign_keys=OFF" : "PRAGMA foreign_keys=ON"));
	return db->source->setup != NULL ? run_sql(db, db->source->setup) : 0;
}

static TT_TASK(close_file, (tt_sqlite *, db))
{
	sqlite3_stmt *stmt;

	/* An interrupt that hit nothing lies in wait, and would keep the close from writing the log back
	 * into the file; a statement's start takes it away. */
	TT_IGNORE(sqlite3_exec(db->handle, "SELECT 1", NULL, NULL, NULL));
	while ((stmt = sqlite3_next_stmt(db->handle, NULL)) != NULL)
		sqlite3_finalize(stmt);
	return sqlite3_close(db->handle) == SQLITE_OK ? 0 : TT_EBUSY;
}

static TT_TASK(open_file, (tt_sqlite *, db))
{
	int access = db->source->o.read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
	int rc = sqlite3_open_v2(db->source->path, &db->handle, access | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);

	if (db->handle == NULL)
		return tt_fail(TT_ENOMEM, "sqlite3_open_v2");
	if (rc == SQLITE_OK) {
		sqlite3_busy_handler(db->handle, wait_for_lock, db);
		sqlite3_progress_handler(db->handle, STEPS_PER_LOOK, look_for_interrupt, db);
		rc = set_up(db);
	} else {
		rc = tt_sqlite_fail(db, rc);
	}
	if (rc < 0)
		TT_IGNORE(close_file(db));
	return tt_wrap(rc, "%s", db->source->path);
}

static bool is_clean(tt_sqlite *db)
{
	sqlite3_stmt *stmt = NULL;

	if (!sqlite3_get_autocommit(db->handle))
		return false;
	while ((stmt = sqlite3_next_stmt(db->handle, stmt)) != NULL)
		if (sqlite3_stmt_busy(stmt))
			return false;
	return true;
}

static TT_TASK(clean_up, (tt_sqlite *, db))
{
	sqlite3_stmt *stmt = NULL;

	while ((stmt = sqlite3_next_stmt(db->handle, stmt)) != NULL)
		sqlite3_reset(stmt); /* its result is that of the step before: nobody asked */
	return sqlite3_get_autocommit(db->handle) ? 0 : run_sql(db, "ROLLBACK");
}

static TT_TASK(exec_sql, (tt_sqlite *, db), (const char *, sql))
{
	return run_sql(db, sql);
}

/* ---- what the pool asks for ---- */

static int sqlite_open(void *ctx, void **ret_item)
{
	tt_sqlite *db = calloc(1, sizeof(*db));
	int rc;

	if (db == NULL)
		return TT_ENOMEM;
	db->source = ctx;
	tt_mutex_init(&db->lock);
	rc = tt_blocking(open_file, db);
	if (rc < 0) {
		tt_mutex_fini(&db->lock);
		free(db);
		return rc;
	}
	*ret_item = db;
	return 0;
}

/* After one of these the connection is not worth keeping. */
static bool is_broken(tt_sqlite *db)
{
	int code = sqlite3_errcode(db->handle) & 0xff;

	return code == SQLITE_IOERR || code == SQLITE_CORRUPT || code == SQLITE_NOTADB || code == SQLITE_NOMEM;
}

static int sqlite_returned(void *ctx, void *item)
{
	tt_sqlite *db = item;

	(void)ctx;
	TT_LOCK(&db->lock); /* a child may still be in a call */
	set_interrupted(db, false);
	if (is_broken(db))
		return TT_SQLITE_CODE(sqlite3_errcode(db->handle));
	return is_clean(db) ? 0 : tt_blocking(clean_up, db);
}

/* It may write the log back into the file, which takes as long as it takes. Where no thread is to
 * be had it is done right here. Two that close at once each find the other still there: neither
 * would be the last, who takes the log away. */
static void sqlite_close(void *ctx, void *item)
{
	struct source *s = ctx;
	tt_sqlite *db = item;
	int rc;

	TT_LOCK(&s->closing);
	set_interrupted(db, false);
	rc = TT_SHIELDED(TT_NEVER, tt_blocking(close_file, db));
	if (rc == TT_ENOMEM || rc == TT_EAGAIN)
		TT_IGNORE(close_file(db));
	tt_mutex_fini(&db->lock);
	free(db);
}

static void sqlite_destroyed(void *ctx)
{
	struct source *s = ctx;

	tt_mutex_fini(&s->closing);
	free(s->path);
	free(s->setup);
	free(s);
}

static struct source *make_source(const char *path, const tt_sqlite_options *o)
{
	struct source *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	if (o != NULL)
		s->o = *o;
	if (s->o.busy_max <= 0)
		s->o.busy_max = BUSY_MAX_DEFAULT;
	s->path = strdup(path);
	s->setup = s->o.setup != NULL ? strdup(s->o.setup) : NULL;
	if (s->path != NULL && (s->o.setup == NULL || s->setup != NULL))
		return s;
	sqlite_destroyed(s);
	return NULL;
}

int tt_sqlite_pool_create(const char *path, const tt_sqlite_options *o, tt_sqlite_pool **ret_pool)
{
	struct source *s = make_source(path, o);
	tt_pool_options po;
	int rc;

	if (s == NULL)
		return TT_ENOMEM;
	po = s->o.pool;
	po.name = po.name != NULL ? po.name : "sqlite";
	po.max = po.max > 0 ? po.max : MAX_DEFAULT;
	po.open = sqlite_open;
	po.check = NULL;
	po.returned = sqlite_returned;
	po.close = sqlite_close;
	po.destroyed = sqlite_destroyed;
	po.ctx = s;
	rc = tt_pool_create(&po, ret_pool);
	if (rc < 0)
		sqlite_destroyed(s);
	return rc;
}

/* ---- calls ---- */

/* In the caller's frame; the watcher is on the same worker. */
struct watch {
	tt_sqlite *db;
	bool done;                           /* the job came back: a cancel changes nothing any more */
	bool hit;                            /* a cancel came before */
};

static void interrupt_job(struct watch *w)
{
	if (w->done)
		return;
	w->hit = true;
	set_interrupted(w->db, true);
	sqlite3_interrupt(w->db->handle);
}

/* Waits for a cancel beside the call; one that comes before its first instruction counts too. */
static TT_TASK(watch_for_cancel, (struct watch *, w, interrupt_job))
{
	int rc = tt_sleep(TT_NEVER);

	interrupt_job(w);
	return rc;
}

static int call_watched(tt_sqlite *db, const tt_task_type *type, const void *args, const char *site)
{
	static const tt_child_options daemon = { .daemon = true };
	struct watch w = { .db = db };
	int rc;

	TT_GROUP(g);
	rc = tt_go_with(&g, &daemon, watch_for_cancel, &w);
	if (rc == 0)
		rc = (int)tt_verb_blocking_(NULL, type, args, site);
	else if (type->drop != NULL)
		type->drop((void *)(uintptr_t)args);
	w.done = true;
	if (w.hit && (rc == TT_SQLITE_CODE(SQLITE_INTERRUPT) || rc == TT_SQLITE_CODE(SQLITE_BUSY)))
		rc = TT_ECANCELED;
	return tt_group_end(&g, rc);
}

intptr_t tt_verb_sqlite_call_(void *on, const tt_task_type *type, const void *args, const char *site)
{
	tt_sqlite *db = on;
	int rc = tt_mutex_lock(&db->lock);

	if (rc < 0) {
		if (type->drop != NULL)
			type->drop((void *)(uintptr_t)args);
		return rc;
	}
	set_interrupted(db, false);
	rc = call_watched(db, type, args, site);
	tt_mutex_unlock(&db->lock);
	return rc;
}

int tt_sqlite_exec(tt_sqlite *db, const char *sql)
{
	return tt_sqlite_call(db, exec_sql, db, sql);
}

sqlite3 *tt_sqlite_handle(tt_sqlite *db)
{
	return db->handle;
}

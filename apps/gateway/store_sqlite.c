/* SPDX-License-Identifier: MIT */
/*
 * store_sqlite.c - the events table in an SQLite file: group commit, repair, lookups.
 *
 * Who calls it: store.h, through store_sqlite_ops.
 *
 * How a commit is durable: write-ahead log with synchronous=FULL, so COMMIT returns after the
 * log was synced. Three gaps remain around it, and this file closes them:
 *   - A process killed between write and sync leaves transactions that the next process sees
 *     but no disk holds; a re-sent event would be called a duplicate of something a power
 *     loss still takes. So opening makes all it sees durable first (settle()).
 *   - A failed sync may lose the pages while a second sync succeeds. After a COMMIT of unknown
 *     outcome the connection is opened again, and settle() writes afresh before it syncs.
 *   - The file may be moved away under an open descriptor. Each commit looks.
 *
 * Invariants  No transaction is open between calls (sqlite3_get_autocommit), or the link is
 *             LINK_SUSPECT and is reopened before its next use.
 *             Verdicts are collected in outcomes[] and copied out after COMMIT only.
 * Threads     One at a time per store; connections are opened with NOMUTEX.
 * Rejected    INSERT OR IGNORE: it also swallows NOT NULL, and would count a broken row as a
 *             duplicate. ON CONFLICT without (id): the same for a user's own UNIQUE index.
 *             wal_autocheckpoint: it runs inside COMMIT, before the verdicts are given, and
 *             only ever passively; upkeep() runs after they are, and insists in time.
 *             WITHOUT ROWID: the same with time-ordered ids (383,000 events/s in batches of
 *             1,000, against 378,000) and half as fast with random ones (30,000 against
 *             76,000; store_sqlite_test --bench, 300-byte props): rows live in the key's
 *             tree there, so a random id moves a page of rows instead of a page of keys.
 */
#include "store.h"

#include <limits.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define APPLICATION_ID 0x54754777 /* "TuGw": in the file's header, so that file(1) knows it */
#define SCHEMA_VERSION 1
#define BUSY_MS 2000
#define BUSY_STEP_MS 5     /* how often a lock is tried again */
#define INSIST_BUSY_MS 100 /* how long upkeep may wait for readers to leave the log */
#define WAL_PAGES 1000
#define INSIST_FACTOR 8    /* at so many times wal_pages readers are waited for */
#define CACHE_KIB 16384

#define STR_(x) #x
#define STR(x) STR_(x)

enum statement {
	DO_BEGIN,
	DO_COMMIT,
	DO_ROLLBACK,
	DO_INSERT,
	DO_EXISTS,
	DO_FIND,
	DO_PING,
	STATEMENTS
};

static const char *const sql_of[STATEMENTS] = {
	[DO_BEGIN] = "BEGIN IMMEDIATE",
	[DO_COMMIT] = "COMMIT",
	[DO_ROLLBACK] = "ROLLBACK",
	[DO_INSERT] = ("INSERT INTO events(id, type, ts, tenant, props, received_at)"
	               " VALUES(?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT(id) DO NOTHING"),
	[DO_EXISTS] = "SELECT 1 FROM events WHERE id = ?1",
	[DO_FIND] = "SELECT id, type, ts, tenant, props, received_at FROM events WHERE id = ?1",
	[DO_PING] = "SELECT 1 FROM events LIMIT 1",
};

static const char schema_sql[] =
	"CREATE TABLE events("
	" id TEXT PRIMARY KEY NOT NULL,"
	" type TEXT NOT NULL,"
	" ts TEXT NOT NULL,"
	" tenant TEXT,"
	" props TEXT NOT NULL CHECK(json_valid(props)),"
	" received_at TEXT NOT NULL"
	") STRICT;"
	"PRAGMA application_id = " STR(APPLICATION_ID) ";"
	"PRAGMA user_version = " STR(SCHEMA_VERSION) ";";

/*
 * CLOSED -> READY by link_open(); READY -> SUSPECT by distrust(); SUSPECT -> CLOSED by
 * link_close(), which the next use does first.
 */
enum link { LINK_CLOSED, LINK_READY, LINK_SUSPECT };

/* Where a failure is put into words: the caller's ret_error. */
struct report {
	char  *text;
	size_t size;
};

/* The log's file methods, with the crash points of a commit in between. */
struct wal_tap {
	sqlite3_io_methods        methods; /* a copy of *below, two of them ours; first */
	const sqlite3_io_methods *below;
	bool                      committing, wrote;
};

struct outcome {
	enum store_verdict verdict;
	const char        *reason;
};

struct sqlite_store {
	struct store         base; /* first */
	struct store_options options;
	char                *path; /* ours; absolute once opened */
	char                *vfs;  /* ours, or NULL */
	enum link            link;
	bool                 opened_once; /* never make a new file in place of a vanished one */
	sqlite3             *db;          /* NULL when CLOSED */
	sqlite3_stmt        *statements[STATEMENTS];
	int                  wal_frames;  /* in the log at the last commit */
	int                  busy_ms;     /* that another's lock is waited for just now ... */
	int64_t              busy_since;  /* ... from this ms of the monotonic clock on */
	int                  upkeep_at;   /* frames at which upkeep() is due */
	struct outcome      *outcomes;    /* of the batch under way */
	size_t               outcomes_cap;
	struct wal_tap       tap;
};

void (*store_crash_hook)(const char *point);
int store_give_up;

static void crash_point(const char *point)
{
	if (store_crash_hook != NULL)
		store_crash_hook(point);
}

/* ---- failures: one code, one sentence with path and cause ---- */

static bool is_no_space(int system_errno)
{
	return system_errno == ENOSPC || system_errno == EDQUOT || system_errno == EFBIG;
}

static int code_of(int rc, int system_errno)
{
	switch (rc & 0xff) {
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_FORMAT:
		return -EBADMSG;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	case SQLITE_CANTOPEN:
		return system_errno > 0 ? -system_errno : -EIO;
	default:
		if (rc == SQLITE_IOERR_NOMEM)
			return -ENOMEM;
		if ((rc & 0xff) == SQLITE_IOERR && is_no_space(system_errno))
			return -ENOSPC;
		return -EIO;
	}
}

/* Call it before anything else happens on the connection: it reads the connection's error. */
static int fail(struct sqlite_store *self, struct report *why, int rc, const char *doing)
{
	int system_errno = self->db != NULL ? sqlite3_system_errno(self->db) : 0;
	bool has_cause = (rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN;
	const char *text = sqlite3_errstr(rc);

	if (self->db != NULL && sqlite3_extended_errcode(self->db) == rc)
		text = sqlite3_errmsg(self->db);
	if (has_cause && system_errno > 0)
		snprintf(why->text, why->size, "sqlite %s: %s: %s (%s)", self->path, doing, text,
		         strerrordesc_np(system_errno));
	else
		snprintf(why->text, why->size, "sqlite %s: %s: %s", self->path, doing, text);
	return code_of(rc, system_errno);
}

static int refuse(struct sqlite_store *self, struct report *why, int code, const char *cause)
{
	snprintf(why->text, why->size, "sqlite %s: %s", self->path, cause);
	return code;
}

/* READY -> SUSPECT. */
static void distrust(struct sqlite_store *self)
{
	if (self->link == LINK_READY)
		self->link = LINK_SUSPECT;
}

/* A full disk, a lock or a broken row leaves a connection sound; these do not. */
static bool is_doubtful(int rc, int code)
{
	switch (rc & 0xff) {
	case SQLITE_FULL:
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_CONSTRAINT:
	case SQLITE_TOOBIG:
	case SQLITE_MISMATCH:
		return false;
	default:
		return code != -ENOSPC;
	}
}

/* ---- the path ---- */

static void folder_of(const char *path, char *ret_folder, size_t size)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		snprintf(ret_folder, size, ".");
	else
		snprintf(ret_folder, size, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

/* SQLite says "unable to open database file"; say which of the usual causes it is. */
static int explain_folder(struct sqlite_store *self, struct report *why)
{
	char folder[PATH_MAX];
	struct stat st;
	int error;

	folder_of(self->path, folder, sizeof(folder));
	if (stat(folder, &st) == 0 && !S_ISDIR(st.st_mode))
		errno = ENOTDIR;
	else if (access(folder, W_OK | X_OK) == 0)
		return 0;
	error = errno;
	snprintf(why->text, why->size, "sqlite %s: its folder %s %s: %s", self->path, folder,
	         error == ENOENT ? "is missing" : "cannot be written to", strerrordesc_np(error));
	return -error;
}

static int explain_path(struct sqlite_store *self, struct report *why, int otherwise)
{
	struct stat st;
	int rc;

	if (self->vfs != NULL)
		return otherwise;
	if (stat(self->path, &st) == 0) {
		if (S_ISDIR(st.st_mode))
			return refuse(self, why, -EISDIR, "is a directory, not a database file");
		if (access(self->path, self->options.read_only ? R_OK : R_OK | W_OK) != 0) {
			rc = errno == EROFS ? -EROFS : -EACCES;
			return refuse(self, why, rc, "this user may not read and write it");
		}
	} else if (errno == ENOENT && (self->opened_once || self->options.read_only)) {
		return refuse(self, why, -ENOENT, "the file does not exist");
	}
	rc = explain_folder(self, why);
	return rc < 0 ? rc : otherwise;
}

static int check_location(const char *location, struct report *why)
{
	const char *cause = NULL;

	if (location[0] == '\0')
		cause = "no path; write sqlite:PATH";
	else if (strcmp(location, ":memory:") == 0)
		cause = "':memory:' is refused: a 2xx must mean committed, and memory is not";
	else if (strncmp(location, "file:", 5) == 0)
		cause = "file: URIs are refused (they can switch locking or storage off); "
		        "write a plain path, ./file:... if it is one";
	if (cause == NULL)
		return 0;
	snprintf(why->text, why->size, "sqlite: %s", cause);
	return -EINVAL;
}

/* ---- the connection ---- */

static int wal_grew(void *arg, sqlite3 *db, const char *schema, int frames)
{
	struct sqlite_store *self = arg;

	(void)db;
	(void)schema;
	if (frames < self->wal_frames)
		self->upkeep_at = (int)self->options.wal_pages; /* the log began anew */
	self->wal_frames = frames;
	return SQLITE_OK;
}

static int execute(struct sqlite_store *self, struct report *why, const char *sql,
                   const char *doing)
{
	int rc = sqlite3_exec(self->db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : fail(self, why, rc, doing);
}

/* One row, one column. */
static int query_int(struct sqlite_store *self, struct report *why, const char *sql, int *ret_value)
{
	sqlite3_stmt *query = NULL;
	int rc, code = 0;

	rc = sqlite3_prepare_v2(self->db, sql, -1, &query, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(query);
	if (rc == SQLITE_ROW)
		*ret_value = sqlite3_column_int(query, 0);
	else
		code = fail(self, why, rc, "read the schema");
	sqlite3_finalize(query);
	return code;
}

/* Is this file ours, empty, or somebody else's? Reads only: a stranger's file stays as it is. */
static int identify(struct sqlite_store *self, struct report *why, bool *ret_empty)
{
	int application = 0, version = 0, objects = 0, code;

	code = query_int(self, why, "PRAGMA application_id", &application);
	if (code == 0)
		code = query_int(self, why, "PRAGMA user_version", &version);
	if (code == 0)
		code = query_int(self, why, "SELECT count(*) FROM sqlite_schema", &objects);
	if (code < 0)
		return code;
	*ret_empty = application == 0 && version == 0 && objects == 0;
	if (*ret_empty)
		return 0;
	if (application != APPLICATION_ID) {
		snprintf(why->text, why->size, "sqlite %s: is the database of another program"
		         " (application_id 0x%08x, %d tables and indexes); left untouched",
		         self->path, (unsigned)application, objects);
		return -ENOTSUP;
	}
	if (version == SCHEMA_VERSION)
		return 0;
	snprintf(why->text, why->size, "sqlite %s: has schema version %d, this program knows %d: %s",
	         self->path, version, SCHEMA_VERSION,
	         version > SCHEMA_VERSION ? "written by a newer tutti-gateway; use that one"
	                                  : "no such version was ever released");
	return -ENOTSUP;
}

static int use_wal(struct sqlite_store *self, struct report *why)
{
	sqlite3_stmt *pragma = NULL;
	bool is_wal = false;
	int rc, code = 0;

	rc = sqlite3_prepare_v2(self->db, "PRAGMA journal_mode = WAL", -1, &pragma, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(pragma);
	if (rc == SQLITE_ROW)
		is_wal = strcmp((const char *)sqlite3_column_text(pragma, 0), "wal") == 0;
	else
		code = fail(self, why, rc, "switch to the write-ahead log");
	sqlite3_finalize(pragma);
	if (code == 0 && !is_wal)
		return refuse(self, why, -ENOTSUP,
		              "no write-ahead log here (a network file system?)");
	return code;
}

/* Two processes may both have found it empty: look again under the write lock. */
static int create_schema(struct sqlite_store *self, struct report *why)
{
	bool empty = false;
	int code;

	code = execute(self, why, sql_of[DO_BEGIN], "create the schema");
	if (code < 0)
		return code;
	code = identify(self, why, &empty);
	if (code == 0 && empty)
		code = execute(self, why, schema_sql, "create the schema");
	if (code == 0)
		code = execute(self, why, sql_of[DO_COMMIT], "create the schema");
	return code; /* on failure the connection is closed, which rolls back */
}

static sqlite3_file *wal_file(struct sqlite_store *self)
{
	sqlite3_file *file = NULL;

	if (sqlite3_file_control(self->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file) != SQLITE_OK)
		return NULL;
	return file != NULL && file->pMethods != NULL ? file : NULL;
}

/*
 * Writes the log over itself, byte for byte, and syncs it. A plain sync would not do: pages
 * that an earlier, failed sync gave up are clean in memory and missing on disk. Whatever is
 * appended behind such a hole is unreachable after a power loss; and a checkpoint past
 * it would meet the log's older half again, replayed over newer pages.
 */
static int rewrite_log(sqlite3_file *log)
{
	static const int piece = 64 * 1024;
	sqlite3_int64 size = 0;
	char *buffer = malloc((size_t)piece);
	int rc;

	if (buffer == NULL)
		return SQLITE_NOMEM;
	rc = log->pMethods->xFileSize(log, &size);
	for (sqlite3_int64 at = 0; rc == SQLITE_OK && at < size; at += piece) {
		int len = size - at < piece ? (int)(size - at) : piece;

		rc = log->pMethods->xRead(log, buffer, len, at);
		if (rc == SQLITE_OK)
			rc = log->pMethods->xWrite(log, buffer, len, at);
	}
	if (rc == SQLITE_OK)
		rc = log->pMethods->xSync(log, SQLITE_SYNC_NORMAL);
	free(buffer);
	return rc;
}

/*
 * Makes everything this connection can see durable, under the write lock, so that nobody
 * appends to the log or begins it anew meanwhile. Then the log is emptied if that is
 * possible: a reader elsewhere or a full disk may be in the way, and no harm is done.
 */
static int settle(struct sqlite_store *self, struct report *why)
{
	sqlite3_file *log;
	int rc, code;

	code = execute(self, why, sql_of[DO_BEGIN], "lock the log");
	if (code < 0)
		return code;
	log = wal_file(self);
	rc = log != NULL ? rewrite_log(log) : SQLITE_OK; /* no log, nothing unsynced */
	if (rc != SQLITE_OK)
		return fail(self, why, rc, "make the log durable");
	code = execute(self, why, sql_of[DO_ROLLBACK], "unlock the log");
	if (code < 0)
		return code;
	rc = sqlite3_wal_checkpoint_v2(self->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	if (rc == SQLITE_OK)
		return 0;
	code = fail(self, why, rc, "copy the log into the database");
	return code == -EBUSY || code == -ENOSPC ? 0 : code;
}

/* ---- the crash points inside a commit ---- */

static struct wal_tap *tap_of(sqlite3_file *file)
{
	return (struct wal_tap *)(uintptr_t)file->pMethods;
}

static int tap_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 offset)
{
	struct wal_tap *tap = tap_of(file);
	int rc = tap->below->xWrite(file, data, len, offset);

	if (tap->committing && !tap->wrote) {
		tap->wrote = true;
		crash_point("in_commit");
	}
	return rc;
}

static int tap_sync(sqlite3_file *file, int flags)
{
	struct wal_tap *tap = tap_of(file);
	int rc;

	if (tap->committing)
		crash_point("in_commit");
	rc = tap->below->xSync(file, flags);
	if (tap->committing && rc == SQLITE_OK)
		crash_point("in_commit");
	return rc;
}

/* The log stays open as long as the connection, so its methods are replaced once. */
static void tap_wal(struct sqlite_store *self)
{
	sqlite3_file *file = wal_file(self);

	if (store_crash_hook == NULL || file == NULL)
		return;
	self->tap.below = file->pMethods;
	self->tap.methods = *file->pMethods;
	self->tap.methods.xWrite = tap_write;
	self->tap.methods.xSync = tap_sync;
	file->pMethods = &self->tap.methods;
}

static int prepare(struct sqlite_store *self, struct report *why)
{
	for (int i = 0; i < STATEMENTS; i++) {
		bool reads = i == DO_FIND || i == DO_PING;
		int rc;

		if (self->options.read_only && !reads)
			continue;
		rc = sqlite3_prepare_v3(self->db, sql_of[i], -1, SQLITE_PREPARE_PERSISTENT,
		                        &self->statements[i], NULL);
		if (rc != SQLITE_OK)
			return fail(self, why, rc, "the events table is not as expected");
	}
	return 0;
}

static int64_t monotonic_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* SQLite asks, after count refusals of one lock, whether to try again. Its own handler cannot
 * be told to hurry, and adds up what it meant to sleep: long, on a busy machine. */
static int wait_for_lock(void *arg, int count)
{
	struct sqlite_store *self = arg;
	int64_t now = monotonic_ms();

	if (count == 0)
		self->busy_since = now;
	/* relaxed: the next step sees it. */
	if (__atomic_load_n(&store_give_up, __ATOMIC_RELAXED) || now - self->busy_since >= self->busy_ms)
		return 0;
	sqlite3_sleep(BUSY_STEP_MS);
	return 1;
}

static int configure(struct sqlite_store *self, struct report *why)
{
	static const char *const sync_sql[] = {
		[STORE_SYNC_FULL] = "PRAGMA synchronous = FULL",
		[STORE_SYNC_NORMAL] = "PRAGMA synchronous = NORMAL",
		[STORE_SYNC_OFF] = "PRAGMA synchronous = OFF",
	};
	char sql[160];
	int code;

	sqlite3_extended_result_codes(self->db, 1);
	self->busy_ms = (int)self->options.busy_ms;
	sqlite3_busy_handler(self->db, wait_for_lock, self);
	sqlite3_db_config(self->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	/* Not trusted_schema = OFF: SQLite 3.40 then refuses json_valid() in our own CHECK. */
	snprintf(sql, sizeof(sql), "PRAGMA cache_size = -%d; PRAGMA journal_size_limit = %u",
	         CACHE_KIB, self->options.wal_pages * 4096u);
	code = execute(self, why, sql, "configure");
	if (code == 0)
		code = execute(self, why, sync_sql[self->options.sync], "configure");
	return code;
}

static int set_up(struct sqlite_store *self, struct report *why)
{
	bool empty = false;
	int code;

	code = configure(self, why);
	if (code == 0)
		code = identify(self, why, &empty);
	if (code == 0 && self->options.read_only) {
		if (empty)
			return refuse(self, why, -ENOENT, "holds no events table yet");
		return prepare(self, why);
	}
	if (code == 0 && sqlite3_db_readonly(self->db, "main") == 1)
		return refuse(self, why, -EROFS, "the file can be read but not written");
	if (code == 0)
		code = use_wal(self, why);
	if (code == 0 && empty)
		code = create_schema(self, why);
	if (code == 0)
		code = settle(self, why);
	if (code == 0)
		code = prepare(self, why);
	if (code == 0)
		tap_wal(self);
	return code;
}

/* Any state -> CLOSED. */
static void link_close(struct sqlite_store *self)
{
	for (int i = 0; i < STATEMENTS; i++) {
		sqlite3_finalize(self->statements[i]);
		self->statements[i] = NULL;
	}
	sqlite3_close_v2(self->db);
	self->db = NULL;
	self->link = LINK_CLOSED;
}

/* A relative path must mean the same file when it is opened again. */
static int keep_full_path(struct sqlite_store *self, struct report *why)
{
	char *full = strdup(sqlite3_db_filename(self->db, "main"));

	if (full == NULL)
		return refuse(self, why, -ENOMEM, "out of memory");
	free(self->path);
	self->path = full;
	return 0;
}

/* CLOSED -> READY, or still CLOSED. */
static int link_open(struct sqlite_store *self, struct report *why)
{
	int flags = self->options.read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
	int rc, code;

	if (!self->options.read_only && !self->opened_once)
		flags |= SQLITE_OPEN_CREATE;
	rc = sqlite3_open_v2(self->path, &self->db, flags | SQLITE_OPEN_NOMUTEX, self->vfs);
	if (rc != SQLITE_OK)
		code = fail(self, why, sqlite3_extended_errcode(self->db), "open");
	else
		code = set_up(self, why);
	if (code == 0 && !self->opened_once)
		code = keep_full_path(self, why);
	if (code < 0) {
		link_close(self);
		if (code != -ENOTSUP && code != -EBADMSG && code != -EBUSY && code != -ENOSPC)
			code = explain_path(self, why, code);
		return code;
	}
	self->wal_frames = 0;
	self->upkeep_at = (int)self->options.wal_pages;
	if (!self->options.read_only)
		sqlite3_wal_hook(self->db, wal_grew, self);
	self->opened_once = true;
	self->link = LINK_READY;
	return 0;
}

static int store_is_moved(struct sqlite_store *self)
{
	int moved = 0;

	if (sqlite3_file_control(self->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) != SQLITE_OK)
		return 0; /* a VFS that cannot say */
	return moved;
}

/* Every operation begins here: a link in doubt is closed and opened again. */
static int ready(struct sqlite_store *self, struct report *why)
{
	if (self->link == LINK_READY && store_is_moved(self)) {
		/* What is in the log belongs to the file that was moved: give it along. */
		if (!self->options.read_only)
			sqlite3_wal_checkpoint_v2(self->db, NULL, SQLITE_CHECKPOINT_TRUNCATE,
			                          NULL, NULL);
		link_close(self);
		return refuse(self, why, -ESTALE, "the file was moved, replaced or deleted");
	}
	if (self->link == LINK_SUSPECT)
		link_close(self);
	return self->link == LINK_CLOSED ? link_open(self, why) : 0;
}

/* ---- upkeep ---- */

/*
 * Copies the log back into the database file when it has grown by wal_pages. A passive
 * checkpoint waits for nobody, so readers that always overlap could keep the log growing:
 * past INSIST_FACTOR they are waited for, briefly. New readers then start on the database
 * file, so the wait ends. A failure costs nothing that was promised - the log is
 * synced - but an I/O error puts the connection in doubt.
 */
static void upkeep(struct sqlite_store *self)
{
	int limit = (int)self->options.wal_pages;
	bool insist = self->wal_frames >= INSIST_FACTOR * limit;
	int rc;

	if (self->wal_frames < self->upkeep_at)
		return;
	self->upkeep_at = self->wal_frames + limit;
	if (insist)
		self->busy_ms = INSIST_BUSY_MS;
	rc = sqlite3_wal_checkpoint_v2(self->db, NULL,
	                               insist ? SQLITE_CHECKPOINT_TRUNCATE
	                                      : SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	if (insist)
		self->busy_ms = (int)self->options.busy_ms;
	if (rc != SQLITE_OK && is_doubtful(rc, code_of(rc, sqlite3_system_errno(self->db))))
		distrust(self);
}

/* ---- commit ---- */

static int step(struct sqlite_store *self, enum statement which)
{
	int rc = sqlite3_step(self->statements[which]);

	sqlite3_reset(self->statements[which]);
	return rc;
}

/* Ends the transaction whatever happened to it; the failure is in *why already. */
static void abandon(struct sqlite_store *self, int rc, int code)
{
	if (!sqlite3_get_autocommit(self->db))
		step(self, DO_ROLLBACK);
	if (!sqlite3_get_autocommit(self->db) || is_doubtful(rc, code))
		distrust(self);
}

static const char *reason_of(int rc)
{
	switch (rc) {
	case SQLITE_CONSTRAINT_CHECK:
		return "props is not valid JSON";
	case SQLITE_CONSTRAINT_NOTNULL:
	case SQLITE_CONSTRAINT_PRIMARYKEY:
		return "a required field is missing";
	case SQLITE_CONSTRAINT_TRIGGER:
		return "refused by a trigger of the database";
	case SQLITE_TOOBIG:
		return "larger than the database takes";
	default:
		return "refused by a constraint of the database";
	}
}

static bool is_row_error(int rc)
{
	int primary = rc & 0xff;

	return primary == SQLITE_CONSTRAINT || primary == SQLITE_TOOBIG || primary == SQLITE_MISMATCH;
}

static int bind_text(sqlite3_stmt *insert, int index, const char *text, size_t len)
{
	if (text == NULL)
		return sqlite3_bind_null(insert, index);
	return sqlite3_bind_text64(insert, index, text, len, SQLITE_STATIC, SQLITE_UTF8);
}

static int bind_event(sqlite3_stmt *insert, const struct store_event *e, const char *now)
{
	const char *received_at = e->received_at != NULL ? e->received_at : now;
	size_t received_len = e->received_at != NULL ? e->received_at_len : strlen(now);
	int rc;

	rc = bind_text(insert, 1, e->id, e->id_len);
	if (rc == SQLITE_OK)
		rc = bind_text(insert, 2, e->type, e->type_len);
	if (rc == SQLITE_OK)
		rc = bind_text(insert, 3, e->ts, e->ts_len);
	if (rc == SQLITE_OK)
		rc = bind_text(insert, 4, e->tenant, e->tenant_len);
	if (rc == SQLITE_OK)
		rc = bind_text(insert, 5, e->props, e->props_len);
	if (rc == SQLITE_OK)
		rc = bind_text(insert, 6, received_at, received_len);
	return rc;
}

static bool text_has_nul(const char *text, size_t len)
{
	return text != NULL && len > 0 && memchr(text, '\0', len) != NULL;
}

/* SQL functions stop at a NUL, json_valid() included: what follows would go in unchecked. */
static bool event_has_nul(const struct store_event *e)
{
	return text_has_nul(e->id, e->id_len) || text_has_nul(e->type, e->type_len)
	       || text_has_nul(e->ts, e->ts_len) || text_has_nul(e->tenant, e->tenant_len)
	       || text_has_nul(e->props, e->props_len)
	       || text_has_nul(e->received_at, e->received_at_len);
}

/*
 * Nothing was inserted, so the row should be there. A trigger of the user's (RAISE(IGNORE))
 * can also drop a row, and "duplicate" would then be a lie: look.
 */
static int judge_unchanged(struct sqlite_store *self, const struct store_event *e,
                           struct outcome *ret_outcome)
{
	int rc = bind_text(self->statements[DO_EXISTS], 1, e->id, e->id_len);

	if (rc == SQLITE_OK)
		rc = step(self, DO_EXISTS);
	if (rc == SQLITE_ROW)
		*ret_outcome = (struct outcome){ STORE_DUPLICATE, NULL };
	else if (rc == SQLITE_DONE)
		*ret_outcome = (struct outcome){ STORE_REJECTED,
		                                 "ignored by a trigger of the database" };
	else
		return rc;
	return SQLITE_OK;
}

/* SQLITE_OK and an outcome, or the error of the whole batch. */
static int insert_one(struct sqlite_store *self, const struct store_event *e, const char *now,
                      struct outcome *ret_outcome)
{
	int rc;

	if (event_has_nul(e)) {
		*ret_outcome = (struct outcome){ STORE_REJECTED, "a text contains a NUL byte" };
		return SQLITE_OK;
	}
	rc = bind_event(self->statements[DO_INSERT], e, now);
	if (rc == SQLITE_OK)
		rc = step(self, DO_INSERT);
	if (is_row_error(rc) && !sqlite3_get_autocommit(self->db)) {
		*ret_outcome = (struct outcome){ STORE_REJECTED, reason_of(rc) };
		return SQLITE_OK;
	}
	if (rc != SQLITE_DONE)
		return rc;
	if (sqlite3_changes(self->db) == 0)
		return judge_unchanged(self, e, ret_outcome);
	*ret_outcome = (struct outcome){ STORE_ACCEPTED, NULL };
	return SQLITE_OK;
}

static void format_now(char *ret_text, size_t size)
{
	struct timespec now;
	struct tm utc;
	size_t len;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	len = strftime(ret_text, size, "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(ret_text + len, size - len, ".%03dZ", (int)(now.tv_nsec / 1000000));
}

static int insert_all(struct sqlite_store *self, struct store_event *const *events, size_t n,
                      struct report *why)
{
	char now[40];
	int rc, code;

	format_now(now, sizeof(now));
	for (size_t i = 0; i < n; i++) {
		rc = insert_one(self, events[i], now, &self->outcomes[i]);
		if (rc == SQLITE_OK)
			continue;
		code = fail(self, why, rc, "insert");
		abandon(self, rc, code);
		return code;
	}
	return 0;
}

/*
 * A failed write or a missing lock leaves no commit record in the log (it is the last thing
 * written), so the batch is certainly not stored. After any other failure - of a sync above
 * all - the record may be there.
 */
static bool is_commit_unknown(int rc)
{
	int primary = rc & 0xff;

	return primary != SQLITE_BUSY && primary != SQLITE_FULL && primary != SQLITE_CONSTRAINT
	       && rc != SQLITE_IOERR_WRITE;
}

static int finish_commit(struct sqlite_store *self, struct report *why)
{
	int rc, code;

	crash_point("before_commit");
	self->tap.wrote = false;
	self->tap.committing = true;
	rc = step(self, DO_COMMIT);
	self->tap.committing = false;
	if (rc == SQLITE_DONE && sqlite3_get_autocommit(self->db)) {
		crash_point("after_commit");
		return 0;
	}
	code = fail(self, why, rc, "commit");
	abandon(self, rc, code);
	if (!is_commit_unknown(rc))
		return code;
	distrust(self); /* the next use reopens, and settles it */
	return STORE_EUNKNOWN;
}

static int reserve_outcomes(struct sqlite_store *self, size_t n, struct report *why)
{
	struct outcome *larger;

	if (n <= self->outcomes_cap)
		return 0;
	larger = reallocarray(self->outcomes, n, sizeof(*larger));
	if (larger == NULL)
		return refuse(self, why, -ENOMEM, "out of memory");
	self->outcomes = larger;
	self->outcomes_cap = n;
	return 0;
}

static int begin(struct sqlite_store *self, struct report *why)
{
	int rc = step(self, DO_BEGIN);
	int code;

	if (rc == SQLITE_DONE)
		return 0;
	code = fail(self, why, rc, "begin");
	abandon(self, rc, code);
	return code;
}

static int sqlite_commit(struct store *base, struct store_event *const *events, size_t n,
                         enum store_verdict *ret_verdicts, char *ret_error, size_t error_size)
{
	struct sqlite_store *self = (struct sqlite_store *)base;
	struct report why = { ret_error, error_size };
	int code;

	if (self->options.read_only)
		return refuse(self, &why, -EROFS, "this store was opened to read");
	if (n == 0)
		return 0;
	code = reserve_outcomes(self, n, &why);
	if (code == 0)
		code = ready(self, &why);
	if (code < 0)
		return code;
	upkeep(self);
	if (self->link != LINK_READY)
		code = ready(self, &why);
	if (code == 0)
		code = begin(self, &why);
	if (code == 0)
		code = insert_all(self, events, n, &why);
	if (code == 0)
		code = finish_commit(self, &why);
	if (code < 0)
		return code;
	for (size_t i = 0; i < n; i++) {
		ret_verdicts[i] = self->outcomes[i].verdict;
		events[i]->reason = self->outcomes[i].reason;
	}
	return 0;
}

/* ---- find, ping, open, close ---- */

static void copy_column(sqlite3_stmt *row, int column, char **cursor, const char **ret_text,
                        size_t *ret_len)
{
	const void *text = sqlite3_column_text(row, column);
	size_t len = (size_t)sqlite3_column_bytes(row, column);

	*ret_text = NULL;
	*ret_len = 0;
	if (text == NULL)
		return;
	memcpy(*cursor, text, len);
	(*cursor)[len] = '\0';
	*ret_text = *cursor;
	*ret_len = len;
	*cursor += len + 1;
}

static int copy_row(sqlite3_stmt *row, struct store_found *ret_found)
{
	struct store_event e = { .reason = NULL };
	size_t size = 0;
	char *block, *cursor;

	for (int i = 0; i < 6; i++) {
		if (sqlite3_column_text(row, i) == NULL && sqlite3_column_type(row, i) != SQLITE_NULL)
			return -ENOMEM; /* SQLite could not load an overflowing text */
		size += (size_t)sqlite3_column_bytes(row, i) + 1;
	}
	block = malloc(size);
	if (block == NULL)
		return -ENOMEM;
	cursor = block;
	copy_column(row, 0, &cursor, &e.id, &e.id_len);
	copy_column(row, 1, &cursor, &e.type, &e.type_len);
	copy_column(row, 2, &cursor, &e.ts, &e.ts_len);
	copy_column(row, 3, &cursor, &e.tenant, &e.tenant_len);
	copy_column(row, 4, &cursor, &e.props, &e.props_len);
	copy_column(row, 5, &cursor, &e.received_at, &e.received_at_len);
	*ret_found = (struct store_found){ e, block };
	return 1;
}

static int sqlite_find(struct store *base, const char *id, size_t id_len,
                       struct store_found *ret_found, char *ret_error, size_t error_size)
{
	struct sqlite_store *self = (struct sqlite_store *)base;
	struct report why = { ret_error, error_size };
	sqlite3_stmt *find;
	int rc, code;

	code = ready(self, &why);
	if (code < 0)
		return code;
	find = self->statements[DO_FIND];
	rc = bind_text(find, 1, id, id_len);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(find);
	if (rc == SQLITE_ROW) {
		code = copy_row(find, ret_found);
		if (code < 0)
			refuse(self, &why, code, "find: out of memory");
	} else if (rc != SQLITE_DONE && rc != SQLITE_TOOBIG) {
		code = fail(self, &why, rc, "find");
	}
	sqlite3_reset(find); /* or its read lock would keep the log from being reused */
	sqlite3_clear_bindings(find);
	if (code < 0 && is_doubtful(rc, code))
		distrust(self);
	return code;
}

static int sqlite_ping(struct store *base, char *ret_error, size_t error_size)
{
	struct sqlite_store *self = (struct sqlite_store *)base;
	struct report why = { ret_error, error_size };
	int rc, code;

	code = ready(self, &why);
	if (code < 0)
		return code;
	rc = step(self, DO_PING);
	if (rc == SQLITE_ROW || rc == SQLITE_DONE) {
		if (!self->options.read_only)
			upkeep(self);
		return 0;
	}
	code = fail(self, &why, rc, "ping");
	if (is_doubtful(rc, code))
		distrust(self);
	return code;
}

static void sqlite_close(struct store *base)
{
	struct sqlite_store *self = (struct sqlite_store *)base;

	link_close(self);
	free(self->outcomes);
	free(self->path);
	free(self->vfs);
	free(self);
}

static int sqlite_open(const char *location, const struct store_options *options,
                       struct store **ret_store, char *ret_error, size_t error_size)
{
	struct report why = { ret_error, error_size };
	struct sqlite_store *self;
	int code;

	code = check_location(location, &why);
	if (code < 0)
		return code;
	self = calloc(1, sizeof(*self));
	if (self == NULL)
		return -ENOMEM;
	self->base.ops = &store_sqlite_ops;
	if (options != NULL)
		self->options = *options;
	if (self->options.busy_ms == 0)
		self->options.busy_ms = BUSY_MS;
	if (self->options.wal_pages == 0)
		self->options.wal_pages = WAL_PAGES;
	self->path = strdup(location);
	self->vfs = self->options.vfs != NULL ? strdup(self->options.vfs) : NULL;
	self->options.vfs = self->vfs;
	if (self->path == NULL || (options != NULL && options->vfs != NULL && self->vfs == NULL)) {
		snprintf(ret_error, error_size, "sqlite %s: out of memory", location);
		code = -ENOMEM;
	} else {
		code = link_open(self, &why);
	}
	if (code < 0) {
		sqlite_close(&self->base);
		return code;
	}
	*ret_store = &self->base;
	return 0;
}

const struct store_ops store_sqlite_ops = {
	.scheme = "sqlite",
	.open = sqlite_open,
	.commit = sqlite_commit,
	.find = sqlite_find,
	.ping = sqlite_ping,
	.close = sqlite_close,
};

/* SPDX-License-Identifier: MIT */
/*
 * store_sqlite_test.c - claims about store.h as the SQLite store keeps it.
 *
 * A plain program: exits 0 when every claim holds. What needs a failing disk or a power loss
 * is in tests/durability. "--bench FOLDER" measures group commit instead; it takes a minute
 * and is not part of any check.
 */
#include "store.h"

#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK(cond) \
	do { \
		if (!(cond)) { \
			fprintf(stderr, "%s:%d: failed: %s (last error: %s)\n", __FILE__, __LINE__, \
			        #cond, error); \
			exit(1); \
		} \
	} while (0)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static char error[512];
static char folder[PATH_MAX / 2];

/* ---- helpers ---- */

static const char *path_of(const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static const char *url_of(const char *name)
{
	static char url[PATH_MAX + 8];

	snprintf(url, sizeof(url), "sqlite:%s/%s", folder, name);
	return url;
}

static struct store *open_with(const char *name, const struct store_options *options)
{
	struct store *s = NULL;

	CHECK(store_open(url_of(name), options, &s, error, sizeof(error)) == 0);
	return s;
}

static struct store_event event_of(const char *id, const char *type, const char *props)
{
	struct store_event e = { .id = id, .type = type, .ts = "2026-01-02T03:04:05Z", .props = props };

	e.id_len = id != NULL ? strlen(id) : 0;
	e.type_len = type != NULL ? strlen(type) : 0;
	e.ts_len = strlen(e.ts);
	e.props_len = props != NULL ? strlen(props) : 0;
	return e;
}

static int commit_one(struct store *s, const char *id, enum store_verdict *ret_verdict)
{
	struct store_event e = event_of(id, "click", "{}");
	struct store_event *events[] = { &e };

	return store_commit(s, events, 1, ret_verdict, error, sizeof(error));
}

static bool holds(struct store *s, const char *id)
{
	struct store_found found;
	int rc = store_find(s, id, strlen(id), &found, error, sizeof(error));

	CHECK(rc >= 0);
	if (rc == 1)
		store_found_fini(&found);
	return rc == 1;
}

static void raw(const char *name, const char *sql)
{
	sqlite3 *db = NULL;

	CHECK(sqlite3_open(path_of(name), &db) == SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		snprintf(error, sizeof(error), "%s", sqlite3_errmsg(db));
	CHECK(sqlite3_errcode(db) == SQLITE_OK);
	sqlite3_close(db);
}

static void expect_open_error(const char *url, const struct store_options *options, int code,
                              const char *words)
{
	struct store *s = NULL;
	int rc = store_open(url, options, &s, error, sizeof(error));

	if (rc != code)
		fprintf(stderr, "store_open(%s): %d, expected %d\n", url, rc, code);
	CHECK(rc == code);
	CHECK(strstr(error, words) != NULL);
	CHECK(s == NULL);
}

static void write_file(const char *name, const char *text)
{
	FILE *f = fopen(path_of(name), "w");

	CHECK(f != NULL);
	CHECK(fputs(text, f) >= 0);
	CHECK(fclose(f) == 0);
}

static long long size_of(const char *name)
{
	struct stat st;

	return stat(path_of(name), &st) == 0 ? (long long)st.st_size : -1;
}

static void commit_block(struct store *s, int first, int n, size_t props_len)
{
	struct store_event e[100], *events[100] = { NULL };
	enum store_verdict v[100];
	char ids[100][24], props[2048];

	CHECK(n <= 100 && props_len < sizeof(props));
	memset(props, 'x', props_len);
	props[0] = props[props_len - 1] = '"';
	for (int i = 0; i < n; i++) {
		snprintf(ids[i], sizeof(ids[i]), "%d", first + i);
		e[i] = event_of(ids[i], "t", "{}");
		e[i].props = props;
		e[i].props_len = props_len;
		events[i] = &e[i];
	}
	CHECK(store_commit(s, events, (size_t)n, v, error, sizeof(error)) == 0);
	for (int i = 0; i < n; i++)
		CHECK(v[i] == STORE_ACCEPTED);
}

/* ---- what a commit says ---- */

/* What went in comes out, byte by byte, and a missing tenant stays missing. */
static void test_round_trip(void)
{
	struct store *s = open_with("round.db", NULL);
	struct store_event a = event_of("a", "purchase \xc3\xa9", "{\"n\":1.50,\"u\":\"\\u0000\"}");
	struct store_event b = event_of("b", "t", "{}");
	struct store_event *events[] = { &a, &b };
	enum store_verdict verdicts[2] = { STORE_PENDING, STORE_PENDING };
	struct store_found found;

	a.tenant = "acme-and-more";
	a.tenant_len = 4;
	b.received_at = "2020-01-01T00:00:00Z";
	b.received_at_len = 20;
	CHECK(store_commit(s, events, 2, verdicts, error, sizeof(error)) == 0);
	CHECK(verdicts[0] == STORE_ACCEPTED && verdicts[1] == STORE_ACCEPTED);

	CHECK(store_find(s, "a", 1, &found, error, sizeof(error)) == 1);
	CHECK(found.event.id_len == 1 && strcmp(found.event.id, "a") == 0);
	CHECK(strcmp(found.event.type, a.type) == 0);
	CHECK(strcmp(found.event.ts, a.ts) == 0);
	CHECK(found.event.tenant_len == 4 && strcmp(found.event.tenant, "acme") == 0);
	CHECK(found.event.props_len == a.props_len && strcmp(found.event.props, a.props) == 0);
	CHECK(found.event.received_at_len == strlen("2026-01-02T03:04:05.678Z"));
	CHECK(found.event.received_at[10] == 'T' && found.event.received_at[23] == 'Z');
	store_found_fini(&found);

	CHECK(store_find(s, "b", 1, &found, error, sizeof(error)) == 1);
	CHECK(found.event.tenant == NULL && found.event.tenant_len == 0);
	CHECK(strcmp(found.event.received_at, b.received_at) == 0);
	store_found_fini(&found);
	CHECK(store_find(s, "c", 1, &found, error, sizeof(error)) == 0);
	store_close(s);
}

/* The second copy is a duplicate in the same batch, in the next one, and after a restart. */
static void test_duplicates(void)
{
	struct store *s = open_with("dup.db", NULL);
	struct store_event a = event_of("a", "t", "{\"copy\":1}"), b = event_of("b", "t", "{}");
	struct store_event again = event_of("a", "t", "{\"copy\":2}");
	struct store_event *events[] = { &a, &b, &again };
	enum store_verdict v[3];
	struct store_found found;

	CHECK(store_commit(s, events, 3, v, error, sizeof(error)) == 0);
	CHECK(v[0] == STORE_ACCEPTED && v[1] == STORE_ACCEPTED && v[2] == STORE_DUPLICATE);
	CHECK(store_commit(s, events, 3, v, error, sizeof(error)) == 0);
	CHECK(v[0] == STORE_DUPLICATE && v[1] == STORE_DUPLICATE && v[2] == STORE_DUPLICATE);
	store_close(s);
	s = open_with("dup.db", NULL);
	CHECK(commit_one(s, "a", &v[0]) == 0 && v[0] == STORE_DUPLICATE);
	CHECK(store_find(s, "a", 1, &found, error, sizeof(error)) == 1);
	CHECK(strcmp(found.event.props, "{\"copy\":1}") == 0);
	store_found_fini(&found);
	CHECK(store_commit(s, NULL, 0, NULL, error, sizeof(error)) == 0);
	store_close(s);
}

/* A broken row is rejected with its reason; the rows around it are stored. */
static void test_broken_rows_fall_alone(void)
{
	static const char nul_props[] = "{}\0garbage";
	struct store *s = open_with("rows.db", NULL);
	struct store_event e[] = {
		event_of("ok1", "t", "{}"),      event_of("json", "t", "{\"a\":"),
		event_of("type", NULL, "{}"),    event_of(NULL, "t", "{}"),
		event_of("props", "t", NULL),    event_of("nul", "t", "{}"),
		event_of("json", "t", "[1]"),    event_of("ok1", "t", "not json"),
		event_of("ok2", "t", "{}"),
	};
	static const enum store_verdict expected[] = {
		STORE_ACCEPTED, STORE_REJECTED, STORE_REJECTED, STORE_REJECTED, STORE_REJECTED,
		STORE_REJECTED, STORE_ACCEPTED, STORE_REJECTED, STORE_ACCEPTED,
	};
	struct store_event *events[COUNT(e)];
	enum store_verdict v[COUNT(e)];

	e[5].props = nul_props;
	e[5].props_len = sizeof(nul_props) - 1;
	for (size_t i = 0; i < COUNT(e); i++)
		events[i] = &e[i];
	CHECK(store_commit(s, events, COUNT(e), v, error, sizeof(error)) == 0);
	for (size_t i = 0; i < COUNT(e); i++) {
		CHECK(v[i] == expected[i]);
		CHECK((e[i].reason != NULL) == (v[i] == STORE_REJECTED));
	}
	CHECK(strstr(e[1].reason, "JSON") != NULL && strstr(e[2].reason, "missing") != NULL);
	CHECK(strstr(e[5].reason, "NUL") != NULL);
	CHECK(holds(s, "ok1") && holds(s, "ok2") && holds(s, "json"));
	CHECK(!holds(s, "type") && !holds(s, "nul"));
	store_close(s);
}

/* A megabyte of props goes in and out whole. */
static void test_large_props(void)
{
	struct store *s = open_with("large.db", NULL);
	size_t len = 1u << 20;
	char *props = malloc(len + 1);
	struct store_event e = event_of("big", "t", "{}");
	struct store_event *events[] = { &e };
	enum store_verdict v = STORE_PENDING;
	struct store_found found;

	CHECK(props != NULL);
	memset(props, 'x', len);
	props[0] = '"';
	props[len - 1] = '"';
	props[len] = '\0';
	e.props = props;
	e.props_len = len;
	CHECK(store_commit(s, events, 1, &v, error, sizeof(error)) == 0 && v == STORE_ACCEPTED);
	CHECK(store_find(s, "big", 3, &found, error, sizeof(error)) == 1);
	CHECK(found.event.props_len == len && memcmp(found.event.props, props, len) == 0);
	store_found_fini(&found);
	free(props);
	store_close(s);
}

/* What the user's own triggers and indexes drop is rejected and never called a duplicate. */
static void test_triggers_do_not_make_duplicates(void)
{
	struct store *s = open_with("trigger.db", NULL);
	struct store_event e[] = { event_of("1", "ignored", "{}"), event_of("2", "aborted", "{}"),
	                           event_of("3", "once", "{}"), event_of("4", "once", "{}") };
	struct store_event *events[] = { &e[0], &e[1], &e[2], &e[3] };
	enum store_verdict v[4];

	store_close(s);
	raw("trigger.db", "CREATE TRIGGER a BEFORE INSERT ON events WHEN new.type = 'ignored'"
	    " BEGIN SELECT RAISE(IGNORE); END;"
	    "CREATE TRIGGER b BEFORE INSERT ON events WHEN new.type = 'aborted'"
	    " BEGIN SELECT RAISE(ABORT, 'no'); END;"
	    "CREATE TRIGGER c BEFORE INSERT ON events WHEN new.type = 'rollback'"
	    " BEGIN SELECT RAISE(ROLLBACK, 'all of it'); END;"
	    "CREATE UNIQUE INDEX u ON events(type) WHERE type = 'once';");
	s = open_with("trigger.db", NULL);
	CHECK(store_commit(s, events, 4, v, error, sizeof(error)) == 0);
	CHECK(v[0] == STORE_REJECTED && v[1] == STORE_REJECTED);
	CHECK(v[2] == STORE_ACCEPTED && v[3] == STORE_REJECTED);

	/* One that ends the transaction fails the batch, gives no verdict, and is survived. */
	e[1].type = "rollback";
	e[1].type_len = strlen("rollback");
	e[0].type = "fine";
	e[0].type_len = strlen("fine");
	v[0] = v[1] = STORE_PENDING;
	CHECK(store_commit(s, events, 2, v, error, sizeof(error)) == -EIO);
	CHECK(v[0] == STORE_PENDING && v[1] == STORE_PENDING);
	CHECK(strstr(error, "all of it") != NULL && !holds(s, "1"));
	CHECK(store_commit(s, events, 1, v, error, sizeof(error)) == 0 && v[0] == STORE_ACCEPTED);
	store_close(s);
}

/* ---- failures of the store ---- */

/* A lock held elsewhere fails the batch after busy_ms; once released, the same store works. */
static void test_locked(void)
{
	struct store *s = open_with("lock.db", &(struct store_options){ .busy_ms = 20 });
	enum store_verdict v = STORE_PENDING;
	sqlite3 *other = NULL;

	CHECK(sqlite3_open(path_of("lock.db"), &other) == SQLITE_OK);
	CHECK(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK);
	CHECK(commit_one(s, "a", &v) == -EBUSY);
	CHECK(v == STORE_PENDING && strstr(error, "lock.db") && strstr(error, "locked"));
	CHECK(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL) == SQLITE_OK);
	CHECK(commit_one(s, "a", &v) == 0 && v == STORE_ACCEPTED);
	sqlite3_close(other);
	store_close(s);
}

/* Two writers on one file take turns; an event of one is a duplicate for the other. */
static void test_two_writers(void)
{
	struct store *a = open_with("two.db", NULL), *b = open_with("two.db", NULL);
	enum store_verdict v;

	for (int i = 0; i < 50; i++) {
		char id[16];

		snprintf(id, sizeof(id), "%d", i);
		CHECK(commit_one(i % 2 ? a : b, id, &v) == 0 && v == STORE_ACCEPTED);
		CHECK(commit_one(i % 2 ? b : a, id, &v) == 0 && v == STORE_DUPLICATE);
	}
	store_close(a);
	store_close(b);
}

/* A snapshot, from the first read after BEGIN to the next renewal. */
static void renew_snapshot(sqlite3 *db)
{
	sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
	CHECK(sqlite3_exec(db, "BEGIN; SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL)
	      == SQLITE_OK);
}

/* Opening does not wait for ever for an old snapshot that keeps the log from being copied. */
static void test_opens_beside_an_old_reader(void)
{
	const struct store_options hasty = { .busy_ms = 20 };
	struct store *a = open_with("old.db", NULL), *b;
	sqlite3 *reader = NULL;
	enum store_verdict v;

	CHECK(sqlite3_open(path_of("old.db"), &reader) == SQLITE_OK);
	CHECK(commit_one(a, "before", &v) == 0);
	renew_snapshot(reader);
	CHECK(commit_one(a, "after", &v) == 0);
	b = open_with("old.db", &hasty);
	CHECK(commit_one(b, "after", &v) == 0 && v == STORE_DUPLICATE);
	CHECK(commit_one(b, "new", &v) == 0 && v == STORE_ACCEPTED);
	store_close(b);
	store_close(a);
	sqlite3_close(reader);
}

/* A reading store sees what the writing one has committed, and refuses to write. */
static void test_read_only(void)
{
	const struct store_options reads = { .read_only = true };
	struct store *writer, *reader;
	enum store_verdict v = STORE_PENDING;

	expect_open_error(url_of("ro.db"), &reads, -ENOENT, "does not exist");
	writer = open_with("ro.db", NULL);
	reader = open_with("ro.db", &reads);
	CHECK(!holds(reader, "a"));
	CHECK(commit_one(writer, "a", &v) == 0);
	CHECK(holds(reader, "a"));
	CHECK(commit_one(reader, "b", &v) == -EROFS);
	CHECK(store_ping(reader, error, sizeof(error)) == 0);
	CHECK(store_ping(writer, error, sizeof(error)) == 0);
	store_close(reader);
	store_close(writer);
}

/* A file moved away is noticed before the next 2xx; it took its log along; it may come back. */
static void test_moved(void)
{
	struct store *s = open_with("moved.db", NULL);
	char from[PATH_MAX], to[PATH_MAX];
	enum store_verdict v = STORE_PENDING;

	snprintf(from, sizeof(from), "%s", path_of("moved.db"));
	snprintf(to, sizeof(to), "%s", path_of("elsewhere.db"));
	CHECK(commit_one(s, "a", &v) == 0);
	CHECK(rename(from, to) == 0);
	v = STORE_PENDING;
	CHECK(commit_one(s, "b", &v) == -ESTALE);
	CHECK(v == STORE_PENDING);
	CHECK(commit_one(s, "b", &v) == -ENOENT); /* and no empty file takes its place */
	CHECK(store_ping(s, error, sizeof(error)) == -ENOENT);
	CHECK(size_of("moved.db") == -1);
	CHECK(rename(to, from) == 0);
	CHECK(commit_one(s, "b", &v) == 0 && v == STORE_ACCEPTED);
	CHECK(holds(s, "a") && holds(s, "b"));
	store_close(s);
}

/* Damage is reported as such and never acknowledged over. */
static void test_corrupt(void)
{
	struct store *s = open_with("bad.db", NULL);
	enum store_verdict v = STORE_PENDING;
	char noise[8192];
	int fd, rc;

	for (int i = 0; i < 400; i += 100)
		commit_block(s, i, 100, 100);
	store_close(s);
	memset(noise, 0x5a, sizeof(noise));
	fd = open(path_of("bad.db"), O_WRONLY);
	CHECK(fd >= 0);
	for (off_t at = 4096; at < size_of("bad.db"); at += (off_t)sizeof(noise))
		CHECK(pwrite(fd, noise, sizeof(noise), at) == sizeof(noise));
	close(fd);
	s = open_with("bad.db", NULL);
	v = STORE_PENDING;
	rc = commit_one(s, "new", &v);
	CHECK(rc == -EBADMSG);
	CHECK(v == STORE_PENDING && strstr(error, "malformed") != NULL);
	store_close(s);
}

/* ---- opening ---- */

/* Every way to name no durable file is refused with its reason. */
static void test_urls(void)
{
	expect_open_error("sqlite::memory:", NULL, -EINVAL, "2xx must mean committed");
	expect_open_error("sqlite:", NULL, -EINVAL, "no path");
	expect_open_error("sqlite:file:x?mode=memory", NULL, -EINVAL, "URIs are refused");
	expect_open_error("postgres:x", NULL, -EINVAL, "sqlite:PATH");
	expect_open_error("sqlite", NULL, -EINVAL, "sqlite:PATH");
}

/* A path that cannot work is named together with what is wrong with it. */
static void test_paths(void)
{
	struct store *s = NULL;

	expect_open_error(url_of("none/x.db"), NULL, -ENOENT, "/none is missing");
	CHECK(mkdir(path_of("dir.db"), 0700) == 0);
	expect_open_error(url_of("dir.db"), NULL, -EISDIR, "is a directory");
	write_file("text.db", "This is not an SQLite file, and it is long enough to be looked at: "
	           "the header has a hundred bytes, so a hundred bytes are needed here.");
	expect_open_error(url_of("text.db"), NULL, -EBADMSG, "not a database");
	expect_open_error(url_of("text.db/x.db"), NULL, -ENOTDIR, "Not a directory");
	write_file("empty.db", "");
	CHECK(store_open(url_of("empty.db"), NULL, &s, error, sizeof(error)) == 0);
	store_close(s);
}

/* Permissions, as an ordinary user: folder and file each say what is missing. */
static void test_permissions(void)
{
	struct store *s = open_with("perm.db", NULL);
	int status;
	pid_t child;

	store_close(s);
	CHECK(chmod(path_of("perm.db"), 0444) == 0);
	CHECK(mkdir(path_of("closed"), 0700) == 0 && chmod(path_of("closed"), 0555) == 0);
	CHECK(chmod(folder, 0755) == 0);
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		if (geteuid() == 0)
			CHECK(setgroups(0, NULL) == 0 && setgid(65534) == 0 && setuid(65534) == 0);
		expect_open_error(url_of("perm.db"), NULL, -EACCES, "may not read and write");
		expect_open_error(url_of("closed/x.db"), NULL, -EACCES, "cannot be written to");
		exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	CHECK(chmod(path_of("closed"), 0700) == 0);
}

/* Somebody else's database, or a newer one of ours, is refused and keeps every byte. */
static void test_schema_is_checked(void)
{
	struct stat before, after;

	raw("foreign.db", "CREATE TABLE customers(name)");
	CHECK(stat(path_of("foreign.db"), &before) == 0);
	expect_open_error(url_of("foreign.db"), NULL, -ENOTSUP, "another program");
	CHECK(stat(path_of("foreign.db"), &after) == 0);
	CHECK(before.st_size == after.st_size && before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
	CHECK(size_of("foreign.db-wal") == -1);

	store_close(open_with("newer.db", NULL));
	raw("newer.db", "PRAGMA user_version = 2");
	expect_open_error(url_of("newer.db"), NULL, -ENOTSUP, "newer tutti-gateway");

	store_close(open_with("odd.db", NULL));
	raw("odd.db", "ALTER TABLE events RENAME COLUMN props TO body");
	expect_open_error(url_of("odd.db"), NULL, -EIO, "not as expected");
}

/* ---- the log ---- */

/* A process in which one of two snapshots is open at every moment, until it is killed. */
static pid_t start_readers(const char *name)
{
	sqlite3 *readers[2];
	pid_t parent = getpid(), child = fork();

	CHECK(child >= 0);
	if (child > 0)
		return child;
	for (int i = 0; i < 2; i++) {
		CHECK(sqlite3_open(path_of(name), &readers[i]) == SQLITE_OK);
		sqlite3_busy_timeout(readers[i], 5000);
		renew_snapshot(readers[i]);
	}
	for (unsigned turn = 0; getppid() == parent; turn++)
		renew_snapshot(readers[turn % 2]);
	_exit(0);
}

/*
 * Readers whose snapshots always overlap keep the log in use for ever, and passive
 * checkpoints alone would let it grow for ever. It stays within a few times the threshold,
 * and once they have gone, near it.
 */
static void test_log_stays_bounded(void)
{
	struct store *s = open_with("wal.db", &(struct store_options){ .wal_pages = 100 });
	long long largest = 0, written;
	int next = 0, status;
	pid_t child = start_readers("wal.db");

	for (int round = 0; round < 200; round++, next += 100) {
		commit_block(s, next, 100, 1000);
		if (size_of("wal.db-wal") > largest)
			largest = size_of("wal.db-wal");
	}
	CHECK(kill(child, SIGKILL) == 0 && waitpid(child, &status, 0) == child);
	CHECK(WIFSIGNALED(status)); /* it read to the end */
	written = (long long)next * 1000;
	printf("log: %lld KiB of events through a log of at most %lld KiB\n", written / 1024,
	       largest / 1024);
	CHECK(largest < 16LL * 100 * 4096);
	CHECK(written > 2 * largest);
	for (int i = 0; i < 20; i++, next += 50)
		commit_block(s, next, 50, 1000);
	CHECK(store_ping(s, error, sizeof(error)) == 0);
	CHECK(size_of("wal.db-wal") < 4LL * 100 * 4096);
	store_close(s);
	CHECK(size_of("wal.db-wal") == -1);
}

/* ---- the crash points ---- */

static char points[256];

static void note_point(const char *point)
{
	size_t len = strlen(points);

	snprintf(points + len, sizeof(points) - len, "%s ", point);
}

/* The points come in their order, the inner three only around a log that is written. */
static void test_crash_points(void)
{
	struct store *s;
	enum store_verdict v;

	store_crash_hook = note_point;
	s = open_with("points.db", NULL);
	CHECK(commit_one(s, "first", &v) == 0); /* begins the log: one sync more */
	points[0] = '\0';
	CHECK(commit_one(s, "a", &v) == 0 && v == STORE_ACCEPTED);
	CHECK(strcmp(points, "before_commit in_commit in_commit in_commit after_commit ") == 0);
	points[0] = '\0';
	CHECK(commit_one(s, "a", &v) == 0 && v == STORE_DUPLICATE);
	CHECK(strcmp(points, "before_commit after_commit ") == 0);
	store_close(s);
	store_crash_hook = NULL;
}

/* ---- bench ---- */

static double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* xorshift64*: fixed seed, so every run stores the same ids. */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

static void bench_batches(struct store *s, int batch, int commits, bool random_ids)
{
	static struct store_event e[1000];
	static struct store_event *events[1000];
	static enum store_verdict v[1000];
	static char ids[1000][40];
	static uint64_t state = 88172645463325252ull, clock_ms = 1760000000000ull;
	char props[300];
	double begun, took;

	memset(props, 'x', sizeof(props));
	props[0] = props[sizeof(props) - 1] = '"';
	begun = seconds_now();
	for (int c = 0; c < commits; c++) {
		for (int i = 0; i < batch; i++) {
			uint64_t high = random_ids ? next_random(&state) : clock_ms++;

			snprintf(ids[i], sizeof(ids[i]), "%016llx%016llx", (unsigned long long)high,
			         (unsigned long long)next_random(&state));
			e[i] = event_of(ids[i], "purchase", "{}");
			e[i].props = props;
			e[i].props_len = sizeof(props);
			events[i] = &e[i];
		}
		CHECK(store_commit(s, events, (size_t)batch, v, error, sizeof(error)) == 0);
	}
	took = seconds_now() - begun;
	printf("batch %4d: %8.0f commits/s %9.0f events/s\n", batch, commits / took,
	       (double)batch * commits / took);
	fflush(stdout);
}

/* Lays the table out before the store sees the file, which then takes it as its own. */
static void prepare_layout(const char *name, bool without_rowid)
{
	char sql[512];

	snprintf(sql, sizeof(sql), "CREATE TABLE events(id TEXT PRIMARY KEY NOT NULL, type TEXT NOT"
	         " NULL, ts TEXT NOT NULL, tenant TEXT, props TEXT NOT NULL"
	         " CHECK(json_valid(props)), received_at TEXT NOT NULL) STRICT%s;"
	         "PRAGMA application_id = 0x54754777; PRAGMA user_version = 1;",
	         without_rowid ? ", WITHOUT ROWID" : "");
	raw(name, sql);
}

static int bench(const char *where)
{
	static const struct {
		int batch, commits;
	} sizes[] = { { 1, 2000 }, { 10, 1000 }, { 100, 400 }, { 1000, 100 } };
	char name[64];

	snprintf(folder, sizeof(folder), "%s", where);
	for (int without = 0; without < 2; without++) {
		for (int random_ids = 0; random_ids < 2; random_ids++) {
			struct store *s;

			snprintf(name, sizeof(name), "bench-%d-%d-%d.db", (int)getpid(), without,
			         random_ids);
			prepare_layout(name, without != 0);
			s = open_with(name, NULL);
			printf("%s, %s ids\n", without ? "WITHOUT ROWID" : "rowid table",
			       random_ids ? "random" : "time-ordered");
			for (size_t i = 0; i < COUNT(sizes); i++)
				bench_batches(s, sizes[i].batch, sizes[i].commits, random_ids != 0);
			printf("then 300 more:\n");
			bench_batches(s, 1000, 300, random_ids != 0);
			store_close(s);
			CHECK(unlink(path_of(name)) == 0);
		}
	}
	return 0;
}

static void remove_folder(void)
{
	char command[PATH_MAX];

	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	if (system(command) != 0)
		fprintf(stderr, "could not remove %s\n", folder);
}

int main(int argc, char **argv)
{
	const char *tmp = getenv("TMPDIR");

	if (argc == 3 && strcmp(argv[1], "--bench") == 0)
		return bench(argv[2]);
	snprintf(folder, sizeof(folder), "%s/tutti-store-XXXXXX", tmp != NULL ? tmp : "/tmp");
	CHECK(mkdtemp(folder) != NULL);
	test_round_trip();
	test_duplicates();
	test_broken_rows_fall_alone();
	test_large_props();
	test_triggers_do_not_make_duplicates();
	test_locked();
	test_two_writers();
	test_opens_beside_an_old_reader();
	test_read_only();
	test_moved();
	test_corrupt();
	test_urls();
	test_paths();
	test_permissions();
	test_schema_is_checked();
	test_log_stays_bounded();
	test_crash_points();
	remove_folder();
	printf("store_sqlite: 17 tests passed\n");
	return 0;
}

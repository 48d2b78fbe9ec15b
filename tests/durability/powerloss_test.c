/* SPDX-License-Identifier: MIT */
/*
 * powerloss_test.c - what the gateway has acknowledged survives a power loss, at every point.
 *
 * The real apps/gateway/store_sqlite.c commits batches onto the disk of powerloss_vfs.c and
 * keeps a ledger of what it was told. A fault strikes at one operation of the disk; then the
 * survivors are opened and compared with the ledger: each acknowledged event is there once,
 * unchanged, and SQLite finds the file sound. Every point is a run of its own; the seed of a
 * run is printed when it fails.
 *
 *   cut     nothing unsynced survives          torn   some sectors of it do
 *   kill    the process dies and all survives, unsynced; another one is told the rest
 *           again, acknowledges it, and then the power goes
 *           (also: the kill comes with a sync that failed and whose pages are forgotten)
 *   fault   a full disk, a failed write, a failed sync: the batch is refused, sent again and
 *           acknowledged, and then the power goes
 *
 * The gate itself is checked: with synchronous=OFF the same points must lose events.
 *
 * TT_POWERLOSS_POINTS  points for each of these (default 120; night 1,000)
 * TT_POWERLOSS_SEED    moves all points (default 1)
 */
#include "powerloss_vfs.h"
#include "store.h"

#include <sqlite3.h>

/* test-timeout: 600 */

#define EVENTS 1200    /* distinct ids of a run */
#define BATCHES 28
#define BATCH_MAX 60
#define WAL_PAGES 24   /* small, so that checkpoints and fresh logs are among the points */
#define RETRIES 3
#define PATH "sqlite:/events.db"

#define CHECK(cond) \
	do { \
		if (!(cond)) { \
			fprintf(stderr, "%s:%d: failed: %s (%s; last error: %s)\n", __FILE__, \
			        __LINE__, #cond, where, error); \
			exit(1); \
		} \
	} while (0)

enum fate { UNSENT, SENT, ACKNOWLEDGED };

/* One run: a store, what was sent to it, and what it promised. */
struct run {
	uint64_t        state; /* of the random numbers that shape the load */
	enum store_sync sync;
	struct store   *store, *reader;
	enum fate       fates[EVENTS];
	int             next; /* lowest id not sent yet */
	int             refused, full, unknown; /* commits; refused counts the others too */
};

/* What a look at the survivors found. */
struct damage {
	int  lost, changed;
	bool unsound;
};

/* Of all points. */
struct totals {
	int acknowledged;
	int refused, full, unknown; /* fault points where a commit was (so) refused */
	int bitten;                 /* points where synchronous=OFF did damage */
};

static char error[512];
static char where[128] = "setup";

static uint64_t draw(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ull); /* splitmix64 */

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static uint64_t pick(uint64_t *state, uint64_t n)
{
	return draw(state) % n;
}

/* ---- events: everything about one follows from its number ---- */

static void format_id(int number, char ret_id[24])
{
	/* Scattered, so that a batch touches many pages of the index. */
	snprintf(ret_id, 24, "%08x-%d", (unsigned)number * 2654435761u, number);
}

static size_t format_props(int number, char *ret_props, size_t size)
{
	size_t pad = (size_t)(number * 37 % 700), len;

	if (number % 97 == 0)
		pad = 9000; /* overflow pages */
	len = (size_t)snprintf(ret_props, size, "{\"n\":%d,\"pad\":\"", number);
	memset(ret_props + len, 'a' + number % 26, pad);
	memcpy(ret_props + len + pad, "\"}", 3);
	return len + pad + 2;
}

struct batch {
	int                 n, numbers[BATCH_MAX];
	struct store_event  events[BATCH_MAX], *pointers[BATCH_MAX];
	enum store_verdict  verdicts[BATCH_MAX];
	char                ids[BATCH_MAX][24], props[BATCH_MAX][10000];
};

static struct batch batch;

static void batch_add(int number)
{
	struct store_event *e = &batch.events[batch.n];

	batch.numbers[batch.n] = number;
	format_id(number, batch.ids[batch.n]);
	*e = (struct store_event){ .id = batch.ids[batch.n], .type = "t", .type_len = 1,
	                           .ts = "2026-01-02T03:04:05Z", .ts_len = 20 };
	e->id_len = strlen(e->id);
	e->props = batch.props[batch.n];
	e->props_len = format_props(number, batch.props[batch.n], sizeof(batch.props[0]));
	batch.pointers[batch.n] = e;
	batch.verdicts[batch.n++] = STORE_PENDING;
}

/* New events, one in eight of them an id that was sent before (or earlier in this batch). */
static void batch_fill(struct run *r)
{
	int n = 1 + (int)pick(&r->state, pick(&r->state, 4) == 0 ? BATCH_MAX : 12);

	batch.n = 0;
	while (batch.n < n && r->next < EVENTS) {
		if (r->next > 0 && pick(&r->state, 8) == 0)
			batch_add((int)pick(&r->state, (uint64_t)r->next));
		else
			batch_add(r->next++);
	}
}

/* ---- a run ---- */

static int run_open(struct run *r)
{
	struct store_options options = { .sync = r->sync, .wal_pages = WAL_PAGES, .busy_ms = 50,
	                                 .vfs = "powerloss" };
	int rc;

	rc = store_open(PATH, &options, &r->store, error, sizeof(error));
	if (rc < 0)
		return rc;
	options.read_only = true;
	return store_open(PATH, &options, &r->reader, error, sizeof(error));
}

static void run_close(struct run *r)
{
	store_close(r->reader);
	store_close(r->store);
	r->reader = r->store = NULL;
}

/* Verdicts enter the ledger; each must fit what the ledger knew. */
static void run_acknowledge(struct run *r)
{
	for (int i = 0; i < batch.n; i++) {
		int number = batch.numbers[i];

		if (batch.verdicts[i] == STORE_ACCEPTED)
			CHECK(r->fates[number] != ACKNOWLEDGED);
		else
			CHECK(batch.verdicts[i] == STORE_DUPLICATE && r->fates[number] != UNSENT);
		r->fates[number] = ACKNOWLEDGED;
	}
}

static void mark_sent(struct run *r)
{
	for (int i = 0; i < batch.n; i++)
		if (r->fates[batch.numbers[i]] == UNSENT)
			r->fates[batch.numbers[i]] = SENT;
}

/* Returns what the store returned. A refused batch must have left the verdicts alone. */
static int run_commit(struct run *r)
{
	int rc;

	/* Sent before it is committed: a first copy counts for a second in the same batch. */
	mark_sent(r);
	rc = store_commit(r->store, batch.pointers, (size_t)batch.n, batch.verdicts, error,
	                  sizeof(error));
	if (rc == 0) {
		run_acknowledge(r);
		return 0;
	}
	r->refused++;
	r->full += rc == -ENOSPC;
	r->unknown += rc == STORE_EUNKNOWN;
	for (int i = 0; i < batch.n; i++)
		CHECK(batch.verdicts[i] == STORE_PENDING);
	return rc;
}

/* As a client would: send again what was refused. Gives up when the machine is dead. */
static int run_commit_stubbornly(struct run *r)
{
	int rc = run_commit(r);

	if (rc == 0)
		return 0;
	rc = run_commit(r); /* the fault may last: a full disk stays full */
	powerloss_calm();
	for (int i = 0; rc < 0 && i < RETRIES; i++)
		rc = run_commit(r);
	return rc;
}

static int run_find(struct run *r)
{
	struct store_found found;
	char id[24];
	int number = (int)pick(&r->state, (uint64_t)(r->next > 0 ? r->next : 1)), rc;

	format_id(number, id);
	rc = store_find(r->reader, id, strlen(id), &found, error, sizeof(error));
	if (rc < 0)
		return rc;
	if (rc == 0)
		CHECK(r->fates[number] != ACKNOWLEDGED);
	else
		store_found_fini(&found);
	return 0;
}

/* The load; stops at the first failure that sending again does not cure. */
static int run_load(struct run *r, bool stubborn)
{
	for (int b = 0; b < BATCHES; b++) {
		int rc;

		batch_fill(r);
		if (batch.n == 0)
			return 0;
		rc = stubborn ? run_commit_stubbornly(r) : run_commit(r);
		if (rc == 0 && b % 5 == 2) {
			rc = run_find(r);
			if (rc < 0 && stubborn)
				rc = run_find(r);
		}
		if (rc == 0 && b == BATCHES / 2) {
			run_close(r);
			rc = run_open(r);
			if (rc < 0 && stubborn) {
				powerloss_calm();
				run_close(r);
				rc = run_open(r);
			}
		}
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Sends all again that was never acknowledged, by several batches. */
static int run_resend(struct run *r)
{
	int number = 0;

	while (number < r->next) {
		int rc;

		batch.n = 0;
		for (; number < r->next && batch.n < BATCH_MAX; number++)
			if (r->fates[number] != ACKNOWLEDGED)
				batch_add(number);
		rc = batch.n > 0 ? run_commit(r) : 0;
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- the survivors ---- */

static void look_for_events(const struct run *r, struct damage *d)
{
	for (int number = 0; number < EVENTS; number++) {
		struct store_found found;
		char id[24], props[10000];
		size_t len;
		int rc;

		format_id(number, id);
		rc = store_find(r->store, id, strlen(id), &found, error, sizeof(error));
		if (rc == 0) {
			d->lost += r->fates[number] == ACKNOWLEDGED;
			continue;
		}
		if (rc < 0) {
			d->unsound = true;
			return;
		}
		len = format_props(number, props, sizeof(props));
		d->changed += r->fates[number] == UNSENT || found.event.props_len != len
		              || memcmp(found.event.props, props, len) != 0;
		store_found_fini(&found);
	}
}

/* SQLite's own opinion, and a count that does not go by the index. */
static bool is_sound(void)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *q = NULL;
	bool sound = false;

	if (sqlite3_open_v2("/events.db", &db, SQLITE_OPEN_READWRITE, "powerloss") == SQLITE_OK
	    && sqlite3_prepare_v2(db, "SELECT (SELECT integrity_check FROM pragma_integrity_check"
	                          " LIMIT 1) = 'ok' AND (SELECT count(*) FROM events NOT INDEXED)"
	                          " = (SELECT count(DISTINCT id) FROM events)", -1, &q, NULL)
	           == SQLITE_OK
	    && sqlite3_step(q) == SQLITE_ROW)
		sound = sqlite3_column_int(q, 0) == 1;
	sqlite3_finalize(q);
	sqlite3_close(db);
	return sound;
}

static struct damage inspect(struct run *r)
{
	struct damage d = { 0, 0, false };

	if (run_open(r) < 0) {
		run_close(r);
		d.unsound = true;
		return d;
	}
	look_for_events(r, &d);
	run_close(r);
	if (!is_sound())
		d.unsound = true;
	return d;
}

static bool is_damaged(const struct damage *d)
{
	return d->lost > 0 || d->changed > 0 || d->unsound;
}

static void expect_sound(struct run *r)
{
	struct damage d = inspect(r);

	if (is_damaged(&d))
		fprintf(stderr, "%s: lost %d, changed %d, %s\n", where, d.lost, d.changed,
		        d.unsound ? "unsound" : "sound");
	CHECK(!is_damaged(&d));
}

static int count_acknowledged(const struct run *r)
{
	int n = 0;

	for (int i = 0; i < EVENTS; i++)
		n += r->fates[i] == ACKNOWLEDGED;
	return n;
}

/* ---- the points ---- */

static struct run current;

static struct run *start_run(enum store_sync sync)
{
	powerloss_reset();
	memset(&current, 0, sizeof(current));
	current.state = 42; /* the same load in every run */
	current.sync = sync;
	return &current;
}

/* How many operations a run without faults has, from the empty disk to the last close. */
static uint64_t count_ops(void)
{
	struct run *r = start_run(STORE_SYNC_FULL);

	CHECK(run_open(r) == 0);
	CHECK(run_load(r, false) == 0);
	run_close(r);
	CHECK(count_acknowledged(r) == r->next && r->next > 200);
	return powerloss_ops();
}

static void strike(struct run *r, enum powerloss_fault fault, uint64_t op, uint64_t seed)
{
	snprintf(where, sizeof(where), "fault %d at operation %llu, seed %llu", (int)fault,
	         (unsigned long long)op, (unsigned long long)seed);
	powerloss_arm(fault, op, seed);
	if (run_open(r) == 0)
		run_load(r, false);
	run_close(r);
}

/* Lost at the first cut? The rest is sent again, the power goes once more, all is there. */
static void point_of_cut(enum powerloss_fault fault, uint64_t op, uint64_t seed,
                         struct totals *totals)
{
	struct run *r = start_run(STORE_SYNC_FULL);
	uint64_t state = seed;

	strike(r, fault, op, seed);
	CHECK(powerloss_struck());
	totals->acknowledged += count_acknowledged(r);
	powerloss_restart();
	expect_sound(r);
	powerloss_arm(POWERLOSS_TORN, powerloss_ops() + 1 + pick(&state, 60), seed + 1);
	if (run_open(r) == 0)
		run_resend(r);
	run_close(r);
	powerloss_restart();
	expect_sound(r);
}

/* Another process, reading before ours starts: the log cannot be truncated while it does. */
static sqlite3 *foreign_reader(void)
{
	sqlite3 *db = NULL;

	CHECK(sqlite3_open_v2("/events.db", &db, SQLITE_OPEN_READWRITE, "powerloss") == SQLITE_OK);
	sqlite3_exec(db, "BEGIN; SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL);
	return db;
}

/* The next process acknowledges the rest; then the power goes before it can do any more. */
static void resend_and_cut(struct run *r, bool with_reader, uint64_t seed)
{
	/* Before the first commit the file may not use a log yet, and a reader is in the way. */
	sqlite3 *reader = with_reader && count_acknowledged(r) > 0 ? foreign_reader() : NULL;

	CHECK(run_open(r) == 0);
	CHECK(run_resend(r) == 0);
	CHECK(count_acknowledged(r) == r->next);
	powerloss_arm(POWERLOSS_CUT, powerloss_ops() + 1, seed);
	run_close(r); /* its first operation is the last */
	sqlite3_close(reader);
	powerloss_restart();
	expect_sound(r);
}

/*
 * The process is killed with unsynced transactions in the system's memory. The next one
 * sees them. What it calls a duplicate must be as durable as what it accepts, though
 * a reader may keep it from cleaning up.
 */
static void point_of_kill(uint64_t op, uint64_t seed, struct totals *totals)
{
	struct run *r = start_run(STORE_SYNC_FULL);

	strike(r, POWERLOSS_KILL, op, seed);
	CHECK(powerloss_struck());
	powerloss_restart();
	resend_and_cut(r, seed & 1, seed);
	totals->acknowledged += r->next;
}

/*
 * A sync fails and forgets; before the store can do anything about it, the process is killed.
 * The next one sees the transaction, and no sync of the log will ever bring it to disk.
 */
static void point_of_failed_sync_and_kill(uint64_t op, uint64_t seed,
                                          struct totals *totals)
{
	struct run *r = start_run(STORE_SYNC_FULL);

	strike(r, POWERLOSS_SYNC_KILL, op, seed);
	powerloss_restart();
	resend_and_cut(r, seed & 1, seed);
	totals->acknowledged += r->next;
}

/* One fault, then the disk is well again: nothing is refused for long, nothing is lost. */
static void point_of_fault(enum powerloss_fault fault, uint64_t op, uint64_t seed,
                           struct totals *totals)
{
	struct run *r = start_run(STORE_SYNC_FULL);

	snprintf(where, sizeof(where), "fault %d at operation %llu, seed %llu", (int)fault,
	         (unsigned long long)op, (unsigned long long)seed);
	powerloss_arm(fault, op, seed);
	if (run_open(r) < 0) {
		run_close(r);
		powerloss_calm();
		CHECK(run_open(r) == 0);
	}
	CHECK(run_load(r, true) == 0);
	CHECK(count_acknowledged(r) == r->next);
	totals->acknowledged += r->next;
	totals->refused += r->refused > 0;
	totals->full += r->full > 0;
	totals->unknown += r->unknown > 0;
	powerloss_arm(POWERLOSS_CUT, powerloss_ops() + 1, seed);
	run_close(r);
	powerloss_restart();
	expect_sound(r);
}

/* With synchronous=OFF: does the disk take what was acknowledged? */
static int point_without_sync(enum powerloss_fault fault, uint64_t op, uint64_t seed)
{
	struct run *r = start_run(STORE_SYNC_OFF);
	struct damage d;

	strike(r, fault, op, seed);
	if (!powerloss_struck())
		return 0; /* it has fewer operations */
	powerloss_restart();
	d = inspect(r);
	return is_damaged(&d);
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text != NULL && *text != '\0' ? strtoull(text, NULL, 10) : otherwise;
}

static void run_points(uint64_t points, uint64_t seed, uint64_t ops)
{
	static const enum powerloss_fault faults[] = { POWERLOSS_FULL, POWERLOSS_FULL_SHORT,
	                                               POWERLOSS_WRITE_ERROR, POWERLOSS_SYNC_ERROR };
	struct totals t = { 0, 0, 0, 0, 0 };

	for (uint64_t p = 0; p < points; p++) {
		/* One point in each of `points` equal stretches of the run. */
		uint64_t state = seed * 1000003 + p;
		uint64_t low = ops * p / points, high = ops * (p + 1) / points;
		uint64_t op = 1 + low + (high > low ? pick(&state, high - low) : 0);

		point_of_cut(POWERLOSS_CUT, op, state, &t);
		point_of_cut(POWERLOSS_TORN, op, state, &t);
		point_of_kill(op, state, &t);
		point_of_failed_sync_and_kill(op, state, &t);
		point_of_fault(faults[p % 4], op, state, &t);
		t.bitten += point_without_sync(p % 2 ? POWERLOSS_CUT : POWERLOSS_TORN, op, state);
	}
	snprintf(where, sizeof(where), "summary");
	printf("powerloss: points %llu x (cut, torn, kill, failed sync and kill, fault) over %llu "
	       "operations: acknowledged %d lost 0; refused at %d (disk full %d, unknown %d); "
	       "synchronous=OFF damaged at %d of %llu\n",
	       (unsigned long long)points, (unsigned long long)ops, t.acknowledged, t.refused, t.full,
	       t.unknown, t.bitten, (unsigned long long)points);
	CHECK(t.full > 0 && t.unknown > 0);
	CHECK((uint64_t)t.bitten > points / 2);
}

int main(void)
{
	uint64_t points = number_from("TT_POWERLOSS_POINTS", 120);
	uint64_t seed = number_from("TT_POWERLOSS_SEED", 1);

	CHECK(points > 0);
	CHECK(powerloss_register() == 0);
	run_points(points, seed, count_ops());
	powerloss_reset();
	return 0;
}

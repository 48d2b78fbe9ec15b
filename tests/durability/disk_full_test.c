/* SPDX-License-Identifier: MIT */
/*
 * disk_full_test.c - a full disk refuses batches and harms none, on the kernel's file systems.
 *
 * Twice: under a file size limit (any user; the kernel then answers EFBIG), and on a tmpfs of
 * 2 MiB in a mount namespace of its own (ENOSPC; where the kernel allows one, else this half
 * says that it was left out). The disk with faults at every operation is in powerloss_test.c.
 */
#include "store.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BATCH 20
#define PROPS_LEN 2000
#define BATCHES_MAX 400 /* 16 MB: far more than fits */
#define CHECK(cond) \
	do { \
		if (!(cond)) { \
			fprintf(stderr, "%s:%d: failed: %s (last error: %s)\n", __FILE__, __LINE__, \
			        #cond, error); \
			exit(1); \
		} \
	} while (0)

static char error[512];
static char folder[PATH_MAX / 2];
static char props[PROPS_LEN + 1];

static struct store *open_store(void)
{
	char url[PATH_MAX];
	struct store *s = NULL;

	snprintf(url, sizeof(url), "sqlite:%s/events.db", folder);
	CHECK(store_open(url, &(struct store_options){ .wal_pages = 50 }, &s, error, sizeof(error))
	      == 0);
	return s;
}

/* Batch number b; the verdicts are checked to be all of the kind, or untouched on failure. */
static int commit_batch(struct store *s, int b, enum store_verdict expected)
{
	struct store_event e[BATCH], *events[BATCH];
	enum store_verdict v[BATCH];
	char ids[BATCH][32];
	int rc;

	for (int i = 0; i < BATCH; i++) {
		snprintf(ids[i], sizeof(ids[i]), "%d-%d", b, i);
		e[i] = (struct store_event){ .id = ids[i], .type = "t", .type_len = 1,
		                             .ts = "2026-01-02T03:04:05Z", .ts_len = 20,
		                             .props = props, .props_len = PROPS_LEN };
		e[i].id_len = strlen(ids[i]);
		events[i] = &e[i];
		v[i] = STORE_PENDING;
	}
	rc = store_commit(s, events, BATCH, v, error, sizeof(error));
	for (int i = 0; i < BATCH; i++)
		CHECK(v[i] == (rc == 0 ? expected : STORE_PENDING));
	return rc;
}

static int count_rows(void)
{
	char path[PATH_MAX];
	sqlite3 *db = NULL;
	sqlite3_stmt *q = NULL;
	int n = -1;

	snprintf(path, sizeof(path), "%s/events.db", folder);
	CHECK(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK);
	CHECK(sqlite3_prepare_v2(db, "SELECT count(*), (SELECT integrity_check FROM"
	                         " pragma_integrity_check LIMIT 1) = 'ok' FROM events", -1, &q, NULL)
	      == SQLITE_OK);
	CHECK(sqlite3_step(q) == SQLITE_ROW);
	CHECK(sqlite3_column_int(q, 1) == 1);
	n = sqlite3_column_int(q, 0);
	sqlite3_finalize(q);
	sqlite3_close(db);
	return n;
}

static double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/*
 * Fills until a batch is refused; refuses again as long as the disk is full; keeps answering
 * lookups meanwhile; and takes the same batch within a second once there is room.
 */
static void fill_and_recover(const char *name, void (*make_room)(void))
{
	struct store *s = open_store();
	struct store_found found;
	int stored = 0, rc = 0;
	double begun;

	while (stored < BATCHES_MAX && (rc = commit_batch(s, stored, STORE_ACCEPTED)) == 0)
		stored++;
	CHECK(stored > 2 && stored < BATCHES_MAX);
	CHECK(rc == -ENOSPC);
	CHECK(strstr(error, "events.db") != NULL);
	for (int i = 0; i < 5; i++)
		CHECK(commit_batch(s, stored, STORE_ACCEPTED) == -ENOSPC);
	CHECK(store_find(s, "0-0", 3, &found, error, sizeof(error)) == 1);
	store_found_fini(&found);

	/* A restart on the full disk keeps everything and can still be read. */
	store_close(s);
	CHECK(count_rows() == stored * BATCH);
	s = open_store();
	CHECK(commit_batch(s, 0, STORE_DUPLICATE) == 0);

	make_room();
	begun = seconds_now();
	CHECK(commit_batch(s, stored, STORE_ACCEPTED) == 0);
	CHECK(seconds_now() - begun < 1.0);
	store_close(s);
	CHECK(count_rows() == (stored + 1) * BATCH);
	printf("disk full (%s): %d acknowledged, 6 batches refused, lost 0\n", name, stored * BATCH);
	fflush(stdout);
}

static void raise_limit(void)
{
	CHECK(setrlimit(RLIMIT_FSIZE, &(struct rlimit){ RLIM_INFINITY, RLIM_INFINITY }) == 0);
}

static void test_size_limit(void)
{
	signal(SIGXFSZ, SIG_IGN);
	CHECK(setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 2u << 20, RLIM_INFINITY }) == 0);
	fill_and_recover("file size limit", raise_limit);
}

static void remove_ballast(void)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/ballast", folder);
	CHECK(unlink(path) == 0);
}

static void write_line(const char *path, const char *line)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0)
		return;
	if (write(fd, line, strlen(line)) < 0)
		fprintf(stderr, "%s: not written\n", path);
	close(fd);
}

static bool enter_namespace(void)
{
	uid_t uid = geteuid();
	char map[32];

	if (unshare(CLONE_NEWNS) == 0)
		return true;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
		return false;
	snprintf(map, sizeof(map), "0 %u 1", (unsigned)uid);
	write_line("/proc/self/uid_map", map);
	return true;
}

static void test_tmpfs(void)
{
	char path[PATH_MAX];
	int fd;

	if (!enter_namespace() || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0
	    || mount("tutti", folder, "tmpfs", 0, "size=2m") != 0) {
		printf("disk full (tmpfs): left out, no mount namespace for this user\n");
		return;
	}
	snprintf(path, sizeof(path), "%s/ballast", folder);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	CHECK(fd >= 0 && posix_fallocate(fd, 0, 1 << 20) == 0);
	close(fd);
	fill_and_recover("tmpfs", remove_ballast);
}

/* Limits and namespaces stay with a process: each half has its own. */
static void run_apart(void (*test)(void))
{
	pid_t child;
	int status;

	fflush(stdout);
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		test();
		exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void remove_folder(void)
{
	static const char *const names[] = { "events.db", "events.db-wal", "events.db-shm" };
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		unlink(path);
	}
	CHECK(rmdir(folder) == 0);
}

int main(void)
{
	static void (*const tests[])(void) = { test_size_limit, test_tmpfs };
	const char *tmp = getenv("TMPDIR");

	memset(props, 'x', PROPS_LEN);
	props[0] = props[PROPS_LEN - 1] = '"';
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		snprintf(folder, sizeof(folder), "%s/tutti-full-XXXXXX", tmp != NULL ? tmp : "/tmp");
		CHECK(mkdtemp(folder) != NULL);
		run_apart(tests[i]);
		remove_folder();
	}
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * crash_torture_test.c - TT_CRASH_TORTURE() itself: which places it takes, what recovery and check are
 * given there, and that what it finds is reported and can be found again.
 *
 * test-on: sim2
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

#include "testing/kit.h"

TT_TEST_MAIN()

static int sync_folder(void)
{
	tt_fd *fd;
	int rc;

	TT_TRY(tt_file_open(".", O_RDONLY | O_DIRECTORY, 0, &fd));
	rc = tt_file_fsync(fd);
	tt_fd_close(fd);
	return rc;
}

/* ---- places and notes ---- */

struct notes {
	unsigned done;                       /* steps */
	bool begun_anew;                     /* the disk was as it should be at the start */
};

#define STEPS 8

static int steps(struct notes *n, tt_fd *fd)
{
	n->done++; /* the file was made */
	TT_TRY(tt_file_pwrite_all(fd, "abcdef", 6, 0, NULL));
	n->done++;
	TT_TRY(tt_file_truncate(fd, 3));
	n->done++;
	TT_TRY(tt_file_truncate(fd, 3)); /* changes nothing */
	TT_TRY(tt_file_fdatasync(fd));
	n->done++;
	TT_TRY(tt_file_rename("a", "b"));
	n->done++;
	TT_TRY(sync_folder());
	n->done++;
	TT_TRY(tt_file_remove("b"));
	n->done++;
	TT_TRY(tt_file_fsync(fd));
	n->done++;
	return 0;
}

static TT_TASK(eight_steps, (struct notes *, n))
{
	tt_file_info info;
	tt_fd *fd;
	int rc;

	n->begun_anew = tt_file_stat_path("start", &info) == 0 && tt_file_stat_path("a", &info) == TT_ENOENT;
	TT_TRY(tt_file_open("a", O_RDWR | O_CREAT, 0600, &fd));
	rc = steps(n, fd);
	tt_fd_close(fd);
	return rc;
}

static uint32_t steps_seen;
static unsigned judged_synced;           /* disks of the place before which all was synced */

static void see_steps(void *context, const tt_sim_disk *disk, int rc)
{
	const struct notes *n = context;
	char back[8];
	int len = tt_sim_disk_get(disk, "b", back, sizeof(back));

	EXPECT_EQ(rc, 0);
	EXPECT_TRUE(n->begun_anew);
	EXPECT_EQ(tt_sim_disk_get(disk, "start", back, sizeof(back)), 1);
	if (n->done == 6)
		EXPECT_EQ(len, 3);
	judged_synced += n->done == 6;
	if (n->done < 4)
		EXPECT_CODE(len, TT_ENOENT);
	steps_seen |= 1u << n->done;
}

static void run_eight_steps(uint64_t seed, tt_crash_result *ret)
{
	struct notes n = { 0 };
	tt_crash_options o = { .seed = seed, .check = see_steps, .context = &n, .context_size = sizeof(n) };
	tt_sim_disk *disk = tt_sim_disk_create();

	tt_sim_disk_put(disk, "start", "s", 1);
	o.disk = disk;
	EXPECT_EQ(TT_CRASH_TORTURE(&o, ret, eight_steps, &n), 0);
	EXPECT_EQ(n.done, STEPS); /* as the scenario left it */
	tt_sim_disk_destroy(disk);
}

/* A place before each change and each sync and one at the end; the context is as it was there. */
TT_TEST_PLAIN(crash_torture, each_change_and_each_sync_is_a_place)
{
	for (unsigned i = 0; i < 20; i++) {
		tt_crash_result first, again;

		steps_seen = judged_synced = 0;
		run_eight_steps(i, &first);
		EXPECT_EQ(judged_synced, 1); /* equal disks are judged once */
		EXPECT_EQ(first.places, STEPS + 1);
		EXPECT_EQ(steps_seen, (1u << (STEPS + 1)) - 1);
		EXPECT_EQ(first.runs, 1);
		run_eight_steps(i, &again);
		EXPECT_MEM_EQ(&first, &again, sizeof(first));
	}
}

/* ---- disks too large to be held all at once ---- */

#define LARGE (6u << 20)
#define LARGE_STEPS 6

static unsigned begun;
static bool differs;

static int write_large(unsigned *done, tt_fd *fd)
{
	for (unsigned i = 0; i < LARGE_STEPS; i++) {
		TT_TRY(tt_file_pwrite_all(fd, &(char){ (char)('a' + i) }, 1, LARGE - 1, NULL));
		if (differs && begun > 1)
			TT_TRY(tt_sleep(TT_MS(1)));
		++*done;
	}
	return 0;
}

static TT_TASK(large, (unsigned *, done))
{
	tt_fd *fd;
	int rc;

	begun++;
	TT_TRY(tt_file_open("large", O_RDWR, 0, &fd));
	rc = write_large(done, fd);
	tt_fd_close(fd);
	return rc;
}

static void see_large(void *context, const tt_sim_disk *disk, int rc)
{
	const unsigned *done = context;

	(void)disk;
	(void)rc;
	steps_seen |= 1u << *done;
}

static int torture_large(tt_crash_result *ret)
{
	unsigned done = 0;
	char *zeros = calloc(1, LARGE);
	tt_crash_options o = { .check = see_large, .context = &done, .context_size = sizeof(done), .images = 2 };
	tt_sim_disk *disk = tt_sim_disk_create();
	int failed;

	tt_sim_disk_put(disk, "large", zeros, LARGE);
	free(zeros);
	o.disk = disk;
	begun = 0;
	failed = TT_CRASH_TORTURE(&o, ret, large, &done);
	tt_sim_disk_destroy(disk);
	return failed;
}

/* The same run is then made again for the places that are left: none is missed. */
TT_TEST_PLAIN(crash_torture, large_disks_take_several_runs)
{
	tt_crash_result r;

	steps_seen = 0;
	differs = false;
	EXPECT_EQ(torture_large(&r), 0);
	EXPECT_EQ(r.places, LARGE_STEPS + 1);
	EXPECT_EQ(steps_seen, (1u << (LARGE_STEPS + 1)) - 1);
	EXPECT_GT(r.runs, 1);
	EXPECT_EQ(r.runs, begun);
}

/* And a scenario that is another one then is no scenario. */
TT_TEST_PLAIN(crash_torture, a_scenario_that_is_not_the_same_twice)
{
	tt_crash_result r;

	differs = true;
	EXPECT_ABORTS(torture_large(&r), "not the same twice");
}

/* ---- what is found ---- */

static TT_TASK(rename_unsynced)
{
	tt_fd *fd;
	int rc;

	TT_TRY(tt_file_open("temp", O_RDWR | O_CREAT, 0600, &fd));
	rc = tt_file_pwrite_all(fd, "new", 3, 0, NULL);
	tt_fd_close(fd);
	TT_TRY(rc);
	return tt_file_rename("temp", "state");
}

static void expect_whole(void *context, const tt_sim_disk *disk, int rc)
{
	char back[4];
	int n = tt_sim_disk_get(disk, "state", back, sizeof(back));

	(void)context;
	(void)rc;
	EXPECT_TRUE(n == TT_ENOENT || (n == 3 && memcmp(back, "new", 3) == 0));
}

static int recover_badly(void *context)
{
	(void)context;
	return TT_EIO;
}

static TT_TASK(fails)
{
	return TT_EIO;
}

/* In a process that is to abort: what fails there is no failure of this test. */
static void abort_if_failed(const tt_crash_options *o, bool scenario_fails)
{
	static struct tti_test_shared own;
	int failed;

	tti_test_shared = &own;
	failed = scenario_fails ? TT_CRASH_TORTURE(o, NULL, fails) : TT_CRASH_TORTURE(o, NULL, rename_unsynced);
	if (failed == 1)
		abort();
}

/* A failure says at which place, before what, and what was left on the disk. */
TT_TEST_PLAIN(crash_torture, a_failure_names_its_place)
{
	const tt_crash_options checked = { .seed = 5, .name = "saving", .check = expect_whole };
	const tt_crash_options unrecovered = { .recover = recover_badly };

	EXPECT_ABORTS(abort_if_failed(&checked, false), "saving, seed 0x5: that was power cut 1, at place ");
	EXPECT_ABORTS(abort_if_failed(&checked, false), "before \"the end\": names kept");
	EXPECT_ABORTS(abort_if_failed(&checked, false), "; left: state: ");
	EXPECT_ABORTS(abort_if_failed(&unrecovered, false), "recovery of rename_unsynced returns ");
	EXPECT_ABORTS(abort_if_failed(NULL, true), "fails seed 0x0: returns ");
}

/* ---- cut again while it recovers ---- */

struct sum {
	int found;
};

/* A sum that is owed one: it is added, and then the note is removed. */
static TT_TASK(owe_one)
{
	TT_TRY(tt_file_replace("sum", "1", 1));
	return tt_file_replace("owed", "+", 1);
}

static int read_digit(const char *path)
{
	char digit;
	int n = tt_file_read_all(path, &digit, 1);

	return n == 1 ? digit - '0' : n;
}

static int pay(void *context)
{
	struct sum *s = context;
	tt_file_info info;
	int n = read_digit("sum");

	if (n >= 0 && tt_file_stat_path("owed", &info) == 0) {
		TT_TRY(tt_file_replace("sum", &(char){ (char)('1' + n) }, 1));
		TT_TRY(tt_file_remove("owed"));
		TT_TRY(sync_folder());
		n++;
	}
	s->found = n == TT_ENOENT ? 0 : n;
	return n == TT_ENOENT ? 0 : n;
}

static int largest;

static void see_sum(void *context, const tt_sim_disk *disk, int rc)
{
	const struct sum *s = context;

	(void)disk;
	EXPECT_OK(rc);
	EXPECT_EQ(s->found, rc);
	largest = s->found > largest ? s->found : largest;
}

static void pay_with_cuts(unsigned cuts, tt_crash_result *ret)
{
	struct sum s = { 0 };
	tt_crash_options o = {
		.cuts = cuts, .recover = pay, .check = see_sum, .context = &s, .context_size = sizeof(s),
	};

	largest = 0;
	EXPECT_EQ(TT_CRASH_TORTURE(&o, ret, owe_one), 0);
}

/* A recovery that is sound once and not twice is found by the second cut, and only by it. */
TT_TEST_PLAIN(crash_torture, recovery_is_cut_too)
{
	tt_crash_result once, twice, thrice;

	pay_with_cuts(1, &once);
	EXPECT_EQ(largest, 2);
	pay_with_cuts(2, &twice);
	EXPECT_EQ(largest, 3);
	pay_with_cuts(3, &thrice);
	EXPECT_EQ(largest, 4);
	EXPECT_EQ(once.places, twice.places);
	EXPECT_GT(twice.disks, once.disks);
	EXPECT_GT(thrice.disks, twice.disks);
}

/* ---- several at a time ---- */

struct pair {
	unsigned synced[2];
};

static TT_TASK(write_own, (const char *, path), (unsigned *, synced))
{
	char block[3000];
	tt_fd *fd;
	int rc = 0;

	TT_TRY(tt_file_open(path, O_RDWR | O_CREAT, 0600, &fd));
	for (unsigned i = 1; i <= 3 && rc == 0; i++) {
		memset(block, (int)i, sizeof(block));
		rc = tt_file_pwrite_all(fd, block, sizeof(block), (i - 1) * sizeof(block), NULL);
		if (rc == 0)
			rc = tt_file_fsync(fd);
		if (rc == 0 && i == 1)
			rc = sync_folder();
		if (rc == 0)
			*synced = i;
	}
	tt_fd_close(fd);
	return rc;
}

static TT_TASK(two_writers, (struct pair *, p))
{
	const tt_child_options anywhere = { .worker = TT_WORKER_ANY };

	TT_GROUP(g);
	tt_go_with(&g, &anywhere, write_own, "a", &p->synced[0]);
	tt_go_with(&g, &anywhere, write_own, "b", &p->synced[1]);
	return tt_group_end(&g, 0);
}

static bool holds_synced(const tt_sim_disk *disk, const char *path, unsigned synced)
{
	static char bytes[9001];
	int n = tt_sim_disk_get(disk, path, bytes, sizeof(bytes));

	for (unsigned i = 0; i < synced * 3000; i++)
		if ((int)i >= n || bytes[i] != (char)(1 + i / 3000))
			return false;
	return true;
}

static void see_pair(void *context, const tt_sim_disk *disk, int rc)
{
	const struct pair *p = context;

	(void)rc;
	EXPECT_TRUE(holds_synced(disk, "a", p->synced[0]));
	EXPECT_TRUE(holds_synced(disk, "b", p->synced[1]));
}

/* Tasks on several workers, each with its own acknowledged bytes; torn only if that is allowed. */
TT_TEST_PLAIN(crash_torture, tasks_on_several_workers)
{
	/* law 9 */
	unsigned long long places = 0, disks = 0, torn = 0;

	for (unsigned i = 0; i < tt_test_seeds(20); i++) {
		struct pair p = { { 0 } };
		tt_crash_options o = {
			.seed = tt_test_seed() + i, .workers = 4, .check = see_pair, .context = &p, .context_size = sizeof(p),
		};
		tt_sim_report report;
		tt_crash_result r;

		o.faults = i % 2 == 0 ? TT_FAULTS_GENTLE : TT_FAULTS_NONE;
		EXPECT_EQ(TT_CRASH_TORTURE(&o, &r, two_writers, &p), 0);
		places += r.places;
		disks += r.disks;
		torn += r.torn;
		tt_sim_report_last(&report);
		EXPECT_EQ(report.faults[TT_FAULT_FILE_TORN], r.torn);
		if (i % 2 == 1)
			EXPECT_EQ(r.torn, 0);
	}
	tt_test_note("%llu places, %llu disks, %llu torn", places, disks, torn);
	EXPECT_GT(torn, 0);
}

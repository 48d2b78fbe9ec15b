/* SPDX-License-Identifier: MIT */
/*
 * crash_replace_test.c - tt_file_replace() when the power is cut: at each place of it the name has
 * all of the old contents or all of the new, and after it returned 0 the new ones. The usual ways
 * to do the same with less, and a log that trusts a second sync, are each caught.
 *
 * test-on: sim2
 */
#include <fcntl.h>
#include <string.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

TT_TEST_MAIN()

#define SEEDS_DEFAULT 50
/* Pages and sectors, and a part of one. */
#define LEN 9300

enum holds { HOLDS_NOTHING, HOLDS_OLD, HOLDS_NEW, HOLDS_RUBBISH };

struct notes {
	char path[24];
	bool had_old;                        /* there is an old file, on the disk */
	bool replaced;                       /* the call has returned 0 */
	bool ended;
	unsigned mode;                       /* that recovery found; 0: no file */
	bool is_old;                         /* it has returned a code, and the name is as it was */
};

static unsigned char old_bytes[LEN - 700], new_bytes[LEN];

static void fill_contents(void)
{
	for (size_t i = 0; i < sizeof(old_bytes); i++)
		old_bytes[i] = (unsigned char)('a' + i / 512 % 26);
	for (size_t i = 0; i < sizeof(new_bytes); i++)
		new_bytes[i] = (unsigned char)('A' + i / 512 % 26);
}

static enum holds what_it_holds(const tt_sim_disk *disk, const char *path)
{
	static unsigned char back[LEN + 1];
	int n = tt_sim_disk_get(disk, path, back, sizeof(back));

	if (n == TT_ENOENT)
		return HOLDS_NOTHING;
	if (n == (int)sizeof(old_bytes) && memcmp(back, old_bytes, sizeof(old_bytes)) == 0)
		return HOLDS_OLD;
	return n == LEN && memcmp(back, new_bytes, LEN) == 0 ? HOLDS_NEW : HOLDS_RUBBISH;
}

static bool is_sound(const struct notes *n, enum holds holds)
{
	if (!n->is_old && holds == HOLDS_NEW)
		return true;
	return !n->replaced && holds == (n->had_old ? HOLDS_OLD : HOLDS_NOTHING);
}

static void expect_sound(void *context, const tt_sim_disk *disk, int rc)
{
	const struct notes *n = context;

	(void)rc;
	EXPECT_TRUE(is_sound(n, what_it_holds(disk, n->path)));
	if (n->had_old && n->mode != 0)
		EXPECT_EQ(n->mode & 0777u, 0644);
}

static int find_mode(void *context)
{
	struct notes *n = context;
	tt_file_info info = { 0 };
	int rc = tt_file_stat_path(n->path, &info);

	n->mode = info.mode;
	return rc == TT_ENOENT ? 0 : rc;
}

/* How often a way of replacing was caught; for ways that must be. */
static struct {
	unsigned rubbish, lost, undone;
} caught;

static void count_unsound(void *context, const tt_sim_disk *disk, int rc)
{
	const struct notes *n = context;
	enum holds holds = what_it_holds(disk, n->path);

	(void)rc;
	caught.rubbish += holds == HOLDS_RUBBISH;
	caught.lost += n->had_old && holds == HOLDS_NOTHING;
	caught.undone += n->replaced && holds == HOLDS_OLD;
}

typedef int way(struct notes *n);

/* Only the last step fails behind the rename; by the lengths, because the disk may fail a read. */
static bool is_still_old(const struct notes *n)
{
	tt_file_info info = { 0 };
	int rc = tt_file_stat_path(n->path, &info);

	return n->had_old ? rc == 0 && info.size == sizeof(old_bytes) : rc == TT_ENOENT;
}

static TT_TASK(one_way, (way *, replace), (struct notes *, n))
{
	int rc = replace(n);

	n->replaced = rc == 0;
	n->is_old = rc < 0 && is_still_old(n);
	n->ended = true;
	return rc;
}

static unsigned given_up, late;

/* Every seed; sums up. */
static void torture(way *replace, tt_crash_options o, const char *path, bool with_old, tt_crash_result *sum)
{
	tt_sim_disk *disk = tt_sim_disk_create();

	fill_contents();
	if (with_old)
		tt_sim_disk_put(disk, path, old_bytes, sizeof(old_bytes));
	o.disk = disk;
	for (unsigned i = 0; i < tt_test_seeds(SEEDS_DEFAULT); i++) {
		struct notes n = { .had_old = with_old };
		tt_crash_result r = { 0 };

		memcpy(n.path, path, strlen(path));
		o.seed = tt_test_seed() + i;
		o.context = &n;
		o.context_size = sizeof(n);
		EXPECT_EQ(TT_CRASH_TORTURE(&o, &r, one_way, replace, &n), 0);
		EXPECT_TRUE(n.replaced || o.any_code);
		given_up += n.is_old;
		late += n.ended && !n.is_old && !n.replaced;
		sum->places += r.places;
		sum->disks += r.disks;
		sum->torn += r.torn;
		sum->runs += r.runs;
	}
	tt_sim_disk_destroy(disk);
}

static void say(const char *what, const tt_crash_result *r)
{
	tt_test_note("%s: %llu places, %llu disks, %llu torn, %llu runs", what, (unsigned long long)r->places,
	             (unsigned long long)r->disks, (unsigned long long)r->torn, (unsigned long long)r->runs);
}

/* ---- the right way ---- */

static int with_replace(struct notes *n)
{
	return tt_file_replace(n->path, new_bytes, sizeof(new_bytes));
}

/* Old or new wherever the power is cut, new once it has returned, always with the permissions of the
 * old one; in this folder and in another. */
TT_TEST_PLAIN(crash, a_replacement_is_whole_and_lasts)
{
	const tt_crash_options o = { .recover = find_mode, .check = expect_sound, .images = 40 };
	tt_crash_result r = { 0 };

	torture(with_replace, o, "f", true, &r);
	torture(with_replace, o, "state/of/it", true, &r);
	torture(with_replace, o, "f", false, &r);
	say("tt_file_replace", &r);
	EXPECT_GT(r.places, 3 * 5 * tt_test_seeds(SEEDS_DEFAULT) - 1);
	EXPECT_GT(r.torn, 0);
}

/* Also while the disk fails and fills up: what returned 0 lasts, what failed left the old one. */
TT_TEST_PLAIN(crash, a_replacement_on_a_broken_disk_is_whole_and_lasts)
{
	const tt_crash_options o = { .check = expect_sound, .faults = TT_FAULTS_FILES, .any_code = true, .images = 16 };
	tt_crash_result r = { 0 };

	for (unsigned i = 0; i < 4; i++)
		torture(with_replace, o, "f", i % 2 == 0, &r);
	say("tt_file_replace, with errors", &r);
	tt_test_note("    %u left the old file, %u failed after the rename", given_up, late);
	if (tt_test_seeds(SEEDS_DEFAULT) < SEEDS_DEFAULT)
		return;
	EXPECT_GT(given_up, 0);
	EXPECT_GT(late, 0);
}

static int within_some_time(struct notes *n)
{
	/* From before its first step to after its last one. */
	return TT_WITHIN(TT_US(20) * (int64_t)(1 + tt_test_seed() % 64), with_replace(n));
}

/* And when its time is up somewhere: a replacement that did not happen does not happen later. */
TT_TEST_PLAIN(crash, a_replacement_that_is_cut_short_leaves_the_old_file)
{
	const tt_crash_options o = { .check = expect_sound, .any_code = true };
	tt_crash_result r = { 0 };

	given_up = late = 0;
	torture(within_some_time, o, "f", true, &r);
	say("tt_file_replace, in time or not", &r);
	tt_test_note("    %u left the old file", given_up);
	EXPECT_EQ(late, 0);
	if (tt_test_seeds(SEEDS_DEFAULT) >= SEEDS_DEFAULT)
		EXPECT_GT(given_up, 0);
}

struct race {
	bool begun[2], replaced[2];
};

static TT_TASK(replace_too, (struct race *, x), (unsigned, i))
{
	x->begun[i] = true;
	TT_TRY(tt_file_replace("f", i == 0 ? "first" : "second", i == 0 ? 5 : 6));
	x->replaced[i] = true;
	return 0;
}

static TT_TASK(two_replace, (struct race *, x))
{
	const tt_child_options anywhere = { .worker = TT_WORKER_ANY };

	TT_GROUP(g);
	for (unsigned i = 0; i < 2; i++)
		tt_go_with(&g, &anywhere, replace_too, x, i);
	return tt_group_end(&g, 0);
}

static void expect_one_of_both(void *context, const tt_sim_disk *disk, int rc)
{
	const struct race *x = context;
	char back[8];
	int n = tt_sim_disk_get(disk, "f", back, sizeof(back));
	bool first = n == 5 && memcmp(back, "first", 5) == 0, second = n == 6 && memcmp(back, "second", 6) == 0;

	(void)rc;
	EXPECT_TRUE((first && x->begun[0]) || (second && x->begun[1]) || (n == TT_ENOENT && !x->replaced[0] && !x->replaced[1]));
}

/* Two at a time: the one or the other, and one of them once either has returned. */
TT_TEST_PLAIN(crash, two_replacements_at_a_time)
{
	unsigned long long disks = 0;

	for (unsigned i = 0; i < tt_test_seeds(SEEDS_DEFAULT); i++) {
		struct race x = { .begun = { false } };
		tt_crash_options o = {
			.seed = tt_test_seed() + i, .check = expect_one_of_both, .context = &x, .context_size = sizeof(x),
		};
		tt_crash_result r;

		EXPECT_EQ(TT_CRASH_TORTURE(&o, &r, two_replace, &x), 0);
		disks += r.disks;
	}
	tt_test_note("%llu disks", disks);
}

/* ---- the usual wrong ways ---- */

static int write_file(const char *path, int flags, bool sync)
{
	tt_fd *fd;
	int rc;

	TT_TRY(tt_file_open(path, O_WRONLY | O_CREAT | flags, 0600, &fd));
	rc = tt_file_pwrite_all(fd, new_bytes, sizeof(new_bytes), 0, NULL);
	if (rc == 0 && sync)
		rc = tt_file_fsync(fd);
	tt_fd_close(fd);
	return rc;
}

static int sync_folder(const char *path)
{
	tt_fd *fd;
	int rc;

	TT_TRY(tt_file_open(path, O_RDONLY | O_DIRECTORY, 0, &fd));
	rc = tt_file_fsync(fd);
	tt_fd_close(fd);
	return rc;
}

static int in_place(struct notes *n)
{
	return write_file(n->path, O_TRUNC, true);
}

static int rename_without_sync(struct notes *n)
{
	TT_TRY(write_file("temp", O_EXCL, false));
	TT_TRY(tt_file_rename("temp", n->path));
	return sync_folder(".");
}

static int rename_without_folder(struct notes *n)
{
	TT_TRY(write_file("temp", O_EXCL, true));
	return tt_file_rename("temp", n->path);
}

static int rename_and_wrong_folder(struct notes *n)
{
	TT_TRY(write_file("temp", O_EXCL, true));
	TT_TRY(tt_file_rename("temp", n->path));
	return sync_folder("elsewhere");
}

static int remove_first(struct notes *n)
{
	TT_TRY(write_file("temp", O_EXCL, true));
	TT_TRY(tt_file_remove(n->path));
	TT_TRY(tt_file_rename("temp", n->path));
	return sync_folder(".");
}

/* Again until it says yes: it does, and what the first one dropped is not there. */
static int sync_until_it_works(struct notes *n)
{
	tt_fd *fd;
	int rc;

	TT_TRY(tt_file_open("temp", O_WRONLY | O_CREAT | O_TRUNC, 0600, &fd));
	rc = tt_file_pwrite_all(fd, new_bytes, sizeof(new_bytes), 0, NULL);
	if (rc == 0)
		do
			rc = tt_file_fsync(fd);
		while (rc == TT_EIO);
	tt_fd_close(fd);
	if (rc == 0)
		rc = tt_file_rename("temp", n->path);
	return rc == 0 ? sync_folder(".") : rc;
}

static void catch(const char *what, way *replace, uint64_t faults)
{
	const tt_crash_options o = { .check = count_unsound, .faults = faults, .images = 16 };
	tt_crash_result r = { 0 };

	memset(&caught, 0, sizeof(caught));
	torture(replace, o, "f", true, &r);
	say(what, &r);
	tt_test_note("    rubbish %u, nothing %u, undone %u", caught.rubbish, caught.lost, caught.undone);
}

/* Each way that leaves out a step is seen to lose the file, in the way that it does. */
TT_TEST_PLAIN(crash, replacing_with_less_is_caught)
{
	catch("in place", in_place, 0);
	EXPECT_GT(caught.rubbish, 0);
	catch("a rename without a sync", rename_without_sync, 0);
	EXPECT_GT(caught.rubbish, 0);
	catch("a rename without its folder", rename_without_folder, 0);
	EXPECT_EQ(caught.rubbish, 0);
	EXPECT_GT(caught.undone, 0);
	catch("a rename and the wrong folder", rename_and_wrong_folder, 0);
	EXPECT_EQ(caught.rubbish, 0);
	EXPECT_GT(caught.undone, 0);
	catch("the old one removed first", remove_first, 0);
	EXPECT_EQ(caught.rubbish, 0);
	EXPECT_GT(caught.lost, 0);
}

/* A sync that succeeds after one that failed proves nothing. */
TT_TEST_PLAIN(crash, trusting_the_second_sync_is_caught)
{
	catch("sync until it works, no loss", sync_until_it_works, TT_FAULT_BIT(TT_FAULT_FILE_TORN));
	EXPECT_EQ(caught.rubbish, 0);
	catch("sync until it works", sync_until_it_works, TT_FAULT_BIT(TT_FAULT_FILE_SYNC_LOSS));
	if (tt_test_seeds(SEEDS_DEFAULT) >= SEEDS_DEFAULT)
		EXPECT_GT(caught.rubbish, 0);
}

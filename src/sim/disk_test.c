/* SPDX-License-Identifier: MIT */
/*
 * disk_test.c - what a power cut may leave of a simulated disk, and what it may not. For small
 * programs the disks that are left are compared with the whole list of those the model allows:
 * each of them comes up, and no other. For random programs every disk is held against a second,
 * simpler account of what each name, length and byte has been since its last sync.
 *
 * test-on: sim2
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

#include "sim/disk.h"

TT_TEST_MAIN()

#define SEEDS_DEFAULT 40
#define SECTOR TTI_SIM_SECTOR
#define SECTORS_MAX 8

/* ---- the disks that were left, in short words ---- */

/* "a=AB:C b=+": a letter for each sector of a file, '.' for zeros, '#' for garbage; ':' and another
 * letter for a sector that ends otherwise, '+' for a last one that is not whole. "-": no files. */
struct outcomes {
	char text[64][48];
	unsigned n;
};

static struct outcomes seen;

static char letter(unsigned char byte)
{
	return (char)(byte == 0 ? '.' : byte == 0xa5 ? '#' : byte);
}

static size_t add_sector(char *text, size_t at, const unsigned char *bytes, size_t n)
{
	text[at++] = letter(bytes[0]);
	if (bytes[n - 1] != bytes[0]) {
		text[at++] = ':';
		text[at++] = letter(bytes[n - 1]);
	}
	if (n < SECTOR)
		text[at++] = '+';
	return at;
}

static void add_word(const tt_sim_disk *disk, const char *path, char *text, size_t n)
{
	static unsigned char bytes[SECTORS_MAX * SECTOR];
	int len = tt_sim_disk_get(disk, path, bytes, sizeof(bytes));
	size_t at = strlen(text), left;

	if (len < 0)
		return;
	at += (size_t)snprintf(text + at, n - at, "%s%s=", at > 0 ? " " : "", path);
	for (size_t i = 0; i < (size_t)len; i += SECTOR) {
		left = (size_t)len - i;
		at = add_sector(text, at, bytes + i, left < SECTOR ? left : SECTOR);
	}
	text[at] = '\0';
}

static bool was_seen(const char *text)
{
	for (unsigned i = 0; i < seen.n; i++)
		if (strcmp(seen.text[i], text) == 0)
			return true;
	return false;
}

static void note_outcome(void *context, const tt_sim_disk *disk, int rc)
{
	static const char *const names[] = { "a", "b", "c", "d/a", "d/b", "e/a" };
	char text[sizeof(seen.text[0])] = "";

	(void)context;
	(void)rc;
	if (tti_list_empty(&disk->files))
		snprintf(text, sizeof(text), "-");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		add_word(disk, names[i], text, sizeof(text));
	if (was_seen(text))
		return;
	REQUIRE_LT(seen.n, sizeof(seen.text) / sizeof(seen.text[0]));
	memcpy(seen.text[seen.n++], text, sizeof(text));
}

/* All of these, separated by " | ", and no other. */
static void expect_outcomes(const char *list, const char *site)
{
	char text[1024], *at = text, *next;
	unsigned n = 0;

	snprintf(text, sizeof(text), "%s", list);
	for (; at != NULL; at = next, n++) {
		next = strstr(at, " | ");
		if (next != NULL) {
			*next = '\0';
			next += 3;
		}
		tt_expect_true_(false, was_seen(at), at, site);
	}
	EXPECT_EQ(seen.n, n);
	if (seen.n != n)
		for (unsigned i = 0; i < seen.n; i++)
			tt_test_note("%s: seen \"%s\"", site, seen.text[i]);
}

/* ---- small programs ---- */

/* Steps of a program, a letter and what it is done to, separated by spaces:
 *	wNxK  write K sectors of the letter x to a at sector N    WNxK the same to b
 *	tN    make a N sectors long    h  make it half a sector long
 *	u     remove a    r rename a to b    R rename d/a to e/a    N make d/a
 *	s     sync a    y fdatasync a    S sync b    f sync folder "."    d sync "d"    e sync "e" */
static const char *program;

static int sync_folder(const char *path)
{
	tt_fd *fd;
	int rc;

	TT_TRY(tt_file_open(path, O_RDONLY | O_DIRECTORY, 0, &fd));
	rc = tt_file_fsync(fd);
	tt_fd_close(fd);
	return rc;
}

static int make(const char *path)
{
	tt_fd *fd;

	TT_TRY(tt_file_open(path, O_WRONLY | O_CREAT | O_EXCL, 0600, &fd));
	tt_fd_close(fd);
	return 0;
}

static int write_letters(tt_fd *fd, const char *step)
{
	unsigned char bytes[SECTORS_MAX * SECTOR];
	size_t sectors = (size_t)(step[3] - '0');

	memset(bytes, step[2], sizeof(bytes));
	return tt_file_pwrite_all(fd, bytes, sectors * SECTOR, (uint64_t)(step[1] - '0') * SECTOR, NULL);
}

static int on_file(const char *path, const char *step)
{
	tt_fd *fd;
	int rc;

	TT_TRY(tt_file_open(path, O_WRONLY | O_CREAT, 0600, &fd));
	switch (step[0]) {
	case 'w':
	case 'W':
		rc = write_letters(fd, step);
		break;
	case 't':
		rc = tt_file_truncate(fd, (uint64_t)(step[1] - '0') * SECTOR);
		break;
	case 'h':
		rc = tt_file_truncate(fd, 256);
		break;
	case 'y':
		rc = tt_file_fdatasync(fd);
		break;
	default:
		rc = tt_file_fsync(fd);
		break;
	}
	tt_fd_close(fd);
	return rc;
}

static int one_step(const char *step)
{
	switch (step[0]) {
	case 'W':
	case 'S':
		return on_file("b", step);
	case 'r':
		return tt_file_rename("a", "b");
	case 'u':
		return tt_file_remove("a");
	case 'R':
		return tt_file_rename("d/a", "e/a");
	case 'N':
		return make("d/a");
	case 'f':
		return sync_folder(".");
	case 'd':
		return sync_folder("d/");
	case 'e':
		return sync_folder("e");
	default:
		return on_file("a", step);
	}
}

static TT_TASK(run_program)
{
	for (const char *step = program; step != NULL; step = strchr(step, ' ')) {
		step += *step == ' ';
		TT_TRY(one_step(step));
	}
	return 0;
}

/* What may be left at the end of a program: the cuts of its last place. */
static struct {
	bool ended;
} at_end;

static TT_TASK(run_to_its_end)
{
	int rc = run_program();

	at_end.ended = true;
	return rc;
}

static void note_if_ended(void *context, const tt_sim_disk *disk, int rc)
{
	if (at_end.ended)
		note_outcome(context, disk, rc);
}

/* `a` has the sectors of this text at the start, synced. */
static void expect_left(const char *a, const char *steps, const char *outcomes, const char *site)
{
	tt_sim_disk *disk = tt_sim_disk_create();
	unsigned char bytes[SECTORS_MAX * SECTOR];

	for (size_t i = 0; a != NULL && i < strlen(a); i++)
		memset(bytes + i * SECTOR, a[i], SECTOR);
	if (a != NULL)
		tt_sim_disk_put(disk, "a", bytes, strlen(a) * SECTOR);
	program = steps;
	seen.n = 0;
	for (unsigned i = 0; i < 8; i++) {
		tt_crash_options o = {
			.seed = i, .disk = disk, .images = 200, .check = note_if_ended, .context = &at_end, .context_size = sizeof(at_end),
		};

		at_end.ended = false;
		EXPECT_EQ(TT_CRASH_TORTURE(&o, NULL, run_to_its_end), 0);
	}
	expect_outcomes(outcomes, site);
	tt_sim_disk_destroy(disk);
}

#define EXPECT_LEFT(a, steps, outcomes) expect_left(a, steps, outcomes, TT_SITE)

/* Sectors are written back in any order, each as it was at some moment. */
TT_TEST_PLAIN(disk, unsynced_sectors_last_one_by_one)
{
	EXPECT_LEFT("xx", "w0A1 w1B1", "a=xx | a=Ax | a=xB | a=AB");
	EXPECT_LEFT("xx", "w0A2", "a=xx | a=Ax | a=xA | a=AA");
	EXPECT_LEFT("x", "w0A1 w0B1", "a=x | a=A | a=B");
	EXPECT_LEFT("xx", "w0A2 s", "a=AA");
	EXPECT_LEFT("xx", "w0A2 y", "a=AA");
	EXPECT_LEFT("xx", "w0A1 s w1B1", "a=Ax | a=AB");
}

/* A length may last before the bytes up to it: they are zeros then, or garbage. */
TT_TEST_PLAIN(disk, a_length_lasts_without_its_bytes)
{
	EXPECT_LEFT("x", "w1A1", "a=x | a=x. | a=x# | a=xA");
	EXPECT_LEFT("x", "w1A1 y", "a=xA");
	EXPECT_LEFT("x", "t3", "a=x | a=x..");
	EXPECT_LEFT("x", "t3 y", "a=x..");
	EXPECT_LEFT("x", "w2A1", "a=x | a=x.. | a=x.# | a=x.A");
}

/* What was cut off does not come back under a length from after the cut. */
TT_TEST_PLAIN(disk, a_cut_takes_its_bytes_with_it)
{
	EXPECT_LEFT("xy", "t1", "a=xy | a=x");
	EXPECT_LEFT("xy", "t1 y", "a=x");
	EXPECT_LEFT("xy", "t1 t2", "a=xy | a=x | a=x.");
	EXPECT_LEFT("xy", "t0 w0A1", "a=xy | a= | a=. | a=# | a=A");
	EXPECT_LEFT("xy", "w1B1 t1 w1A1", "a=xy | a=xB | a=x | a=x. | a=x# | a=xA");
	EXPECT_LEFT("x", "h", "a=x | a=x+ | a=x:.");
	EXPECT_LEFT("x", "h s", "a=x+");
	/* The rest of its sector is zeros, whoever makes it longer. */
	EXPECT_LEFT("x", "h s t1 s", "a=x:.");
}

/* A new name needs the sync of its folder; that of the file is not enough. */
TT_TEST_PLAIN(disk, names_last_with_their_folder)
{
	EXPECT_LEFT(NULL, "w0A1 s", "- | a=A");
	EXPECT_LEFT(NULL, "w0A1 s f", "a=A");
	EXPECT_LEFT(NULL, "w0A1 f", "a= | a=. | a=# | a=A");
	EXPECT_LEFT(NULL, "w0A1 s W0B1 S", "- | a=A | b=B | a=A b=B");
	EXPECT_LEFT("x", "u", "a=x | -");
	EXPECT_LEFT("x", "u f", "-");
	EXPECT_LEFT("x", "w0A1 u", "a=x | a=A | -");
}

/* A rename is whole or not at all, and stands on what was done to its names before. */
TT_TEST_PLAIN(disk, a_rename_is_whole)
{
	EXPECT_LEFT("x", "r", "a=x | b=x");
	EXPECT_LEFT("x", "W0B1 S f r", "a=x b=B | b=x");
	EXPECT_LEFT(NULL, "w0A1 s r", "- | a=A | b=A");
	EXPECT_LEFT("x", "r f", "b=x");
	EXPECT_LEFT("x", "u w0A1 s", "a=x | - | a=A");
	EXPECT_LEFT("x", "r w0A1 s", "a=x | b=x | a=A b=x");
}

/* It lasts with the folder it leads to, and takes with it what it stands on. */
TT_TEST_PLAIN(disk, a_rename_between_folders)
{
	EXPECT_LEFT(NULL, "N d R", "d/a= | e/a=");
	EXPECT_LEFT(NULL, "N d R d", "d/a= | e/a=");
	EXPECT_LEFT(NULL, "N d R e", "e/a=");
	EXPECT_LEFT(NULL, "N R e", "e/a=");
	EXPECT_LEFT(NULL, "N d R N d", "d/a= e/a=");
	EXPECT_LEFT(NULL, "N f", "- | d/a=");
}

/* ---- random programs, held against a second account ---- */

#define ACCOUNT_LEN 1100
#define ACCOUNT_SECTORS 3
#define ACCOUNT_FILES 8
#define ACCOUNT_NAMES 3
#define STEPS 24
#define ABSENT (UINT32_C(1) << 31)
#define GARBAGE (UINT32_C(1) << 31)
#define ZERO UINT32_C(1)

/* One file: what each byte may be after a power cut (bit n: the n-th step wrote it), and each length. */
struct account_file {
	uint64_t number;
	uint32_t may[ACCOUNT_LEN];
	uint8_t live[ACCOUNT_LEN];
	uint16_t len;
	uint16_t lengths[STEPS + 1];
	unsigned n_lengths;
	bool written[ACCOUNT_SECTORS], is_new[ACCOUNT_SECTORS];
};

struct account {
	struct account_file files[ACCOUNT_FILES];
	unsigned n_files;
	int live[ACCOUNT_NAMES];             /* which file has the name; -1: none */
	uint32_t may[ACCOUNT_NAMES];         /* likewise since the folder's sync: a bit for each */
	uint64_t random;
};

static const char *const account_names[ACCOUNT_NAMES] = { "a", "b", "c" };

static unsigned draw(struct account *x, unsigned n)
{
	x->random = x->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(x->random >> 33) % n;
}

static void account_name(struct account *x, unsigned name, int file)
{
	x->live[name] = file;
	x->may[name] |= file < 0 ? ABSENT : UINT32_C(1) << file;
}

static void account_length(struct account_file *f, unsigned len)
{
	for (unsigned i = f->len; i < len; i++)
		f->may[i] |= ZERO;
	for (unsigned i = len; i < f->len; i++) {
		f->may[i] |= ZERO;
		f->live[i] = 0;
	}
	for (unsigned s = (len + SECTOR - 1) / SECTOR; s < ACCOUNT_SECTORS && len < f->len; s++) {
		f->is_new[s] = true;
		f->written[s] = false;
	}
	if (len != f->len)
		f->lengths[f->n_lengths++] = (uint16_t)len;
	f->len = (uint16_t)len;
}

static void account_write(struct account_file *f, unsigned from, unsigned n, unsigned step)
{
	if (from + n > f->len)
		account_length(f, from + n);
	for (unsigned i = from / SECTOR * SECTOR; i < ACCOUNT_LEN && i < (from + n + SECTOR - 1) / SECTOR * SECTOR; i++)
		if (f->is_new[i / SECTOR])
			f->may[i] |= ZERO | GARBAGE;
	for (unsigned i = from; i < from + n; i++) {
		f->may[i] |= UINT32_C(1) << step;
		f->live[i] = (uint8_t)step;
		f->written[i / SECTOR] = true;
	}
}

static void account_sync(struct account_file *f)
{
	for (unsigned i = 0; i < ACCOUNT_LEN; i++)
		f->may[i] = i < f->len ? UINT32_C(1) << f->live[i] : 0;
	for (unsigned s = 0; s < ACCOUNT_SECTORS; s++)
		f->is_new[s] = !f->written[s];
	f->lengths[0] = f->len;
	f->n_lengths = 1;
}

static void account_made(struct account *x, unsigned name, uint64_t number)
{
	struct account_file *f = &x->files[x->n_files];

	*f = (struct account_file){ .number = number, .n_lengths = 1 };
	for (unsigned s = 0; s < ACCOUNT_SECTORS; s++)
		f->is_new[s] = true;
	account_name(x, name, (int)x->n_files++);
}

/* A step on one file that has, or gets, this name. */
static int step_on_file(struct account *x, unsigned name, unsigned step)
{
	unsigned from = draw(x, ACCOUNT_LEN), n = 1 + draw(x, ACCOUNT_LEN - from), what = draw(x, 8);
	bool is_there = x->live[name] >= 0;
	static unsigned char bytes[ACCOUNT_LEN];
	struct account_file *f;
	tt_file_info info;
	tt_fd *fd;
	int rc;

	if (!is_there && x->n_files == ACCOUNT_FILES)
		return 0;
	TT_TRY(tt_file_open(account_names[name], O_RDWR | (is_there ? 0 : O_CREAT | O_EXCL), 0600, &fd));
	rc = tt_file_stat(fd, &info);
	if (rc == 0 && !is_there)
		account_made(x, name, info.inode);
	f = &x->files[x->live[name]];
	memset(bytes, (int)step, sizeof(bytes));
	if (rc == 0 && what < 4)
		rc = tt_file_pwrite_all(fd, bytes, n, from, NULL);
	else if (rc == 0 && what < 6)
		rc = tt_file_truncate(fd, from);
	else if (rc == 0)
		rc = what == 6 ? tt_file_fsync(fd) : tt_file_fdatasync(fd);
	if (rc == 0 && what < 4)
		account_write(f, from, n, step);
	else if (rc == 0 && what < 6)
		account_length(f, from);
	else if (rc == 0)
		account_sync(f);
	tt_fd_close(fd);
	return rc;
}

static int step_on_names(struct account *x, unsigned name)
{
	unsigned other = (name + 1 + draw(x, ACCOUNT_NAMES - 1)) % ACCOUNT_NAMES, what = draw(x, 3);

	if (what == 0) {
		TT_TRY(sync_folder("."));
		for (unsigned i = 0; i < ACCOUNT_NAMES; i++) {
			x->may[i] = 0;
			account_name(x, i, x->live[i]);
		}
	} else if (x->live[name] >= 0 && what == 1) {
		TT_TRY(tt_file_remove(account_names[name]));
		account_name(x, name, -1);
	} else if (x->live[name] >= 0) {
		TT_TRY(tt_file_rename(account_names[name], account_names[other]));
		account_name(x, other, x->live[name]);
		account_name(x, name, -1);
	}
	return 0;
}

static TT_TASK(random_program, (struct account *, x))
{
	for (unsigned step = 1; step <= STEPS; step++) {
		unsigned name = draw(x, ACCOUNT_NAMES);

		TT_TRY(draw(x, 3) > 0 ? step_on_file(x, name, step) : step_on_names(x, name));
	}
	return 0;
}

static bool length_may_be(const struct account_file *f, size_t len)
{
	for (unsigned i = 0; i < f->n_lengths; i++)
		if (f->lengths[i] == len)
			return true;
	return false;
}

static void expect_file_may_be(const struct account_file *f, const struct tti_sim_file *left)
{
	bool held = true;

	EXPECT_TRUE(length_may_be(f, left->len));
	for (size_t i = 0; i < left->len && held; i++)
		held = (f->may[i] >> (left->data[i] == 0xa5 ? 31 : left->data[i]) & 1) != 0;
	EXPECT_TRUE(held);
}

static void expect_may_be(void *context, const tt_sim_disk *disk, int rc)
{
	const struct account *x = context;
	unsigned found = 0, files = 0;

	(void)rc;
	TTI_LIST_FOR_EACH (n, &disk->files) {
		const struct tti_sim_file *left = TTI_CONTAINER_OF(n, struct tti_sim_file, link);
		unsigned name = (unsigned)(left->path[0] - 'a');

		for (unsigned i = 0; i < x->n_files; i++) {
			if (x->files[i].number != left->number)
				continue;
			EXPECT_TRUE((x->may[name] >> i & 1) != 0);
			EXPECT_EQ(files >> i & 1, 0);
			files |= 1u << i;
			expect_file_may_be(&x->files[i], left);
		}
		EXPECT_EQ(found >> name & 1, 0);
		found |= 1u << name;
	}
	for (unsigned i = 0; i < ACCOUNT_NAMES; i++)
		EXPECT_TRUE((found >> i & 1) != 0 || (x->may[i] & ABSENT) != 0);
}

/* No disk that is left has a name, a length or a byte that was not there since its last sync. */
TT_TEST_PLAIN(disk, random_programs_leave_what_they_may)
{
	static struct account x;
	unsigned long long places = 0, disks = 0;

	for (unsigned i = 0; i < tt_test_seeds(SEEDS_DEFAULT); i++) {
		tt_crash_options o = {
			.seed = tt_test_seed() + i, .images = 24, .check = expect_may_be, .context = &x, .context_size = sizeof(x),
		};
		tt_crash_result r;

		memset(&x, 0, sizeof(x));
		x.random = o.seed * 77 + 1;
		for (unsigned k = 0; k < ACCOUNT_NAMES; k++) {
			x.live[k] = -1;
			x.may[k] = ABSENT;
		}
		EXPECT_EQ(TT_CRASH_TORTURE(&o, &r, random_program, &x), 0);
		places += r.places;
		disks += r.disks;
	}
	tt_test_note("%llu places, %llu disks", places, disks);
	EXPECT_GT(disks, places);
}

/* ---- disks between runs ---- */

static TT_TASK(append_letter, (char, letter))
{
	tt_fd *fd;
	int rc;

	TT_TRY(tt_file_open("a", O_WRONLY | O_CREAT | O_APPEND, 0600, &fd));
	rc = tt_file_pwrite(fd, &letter, 1, 0);
	tt_fd_close(fd);
	return rc < 0 ? rc : 0;
}

/* What one run leaves the next one finds, synced or not: it ended in an orderly way. */
TT_TEST_PLAIN(disk, outlasts_its_runs)
{
	tt_sim_options o = { .faults = TT_FAULTS_NONE, .disk = tt_sim_disk_create() };
	char back[4];

	EXPECT_CODE(tt_sim_disk_get(o.disk, "a", back, sizeof(back)), TT_ENOENT);
	tt_sim_disk_put(o.disk, "b", "old", 3);
	tt_sim_disk_put(o.disk, "b", "bbbb", 4);
	for (char c = 'x'; c <= 'z'; c++)
		EXPECT_OK(tt_sim_run_with(&o, append_letter, c));
	EXPECT_EQ(tt_sim_disk_get(o.disk, "a", back, sizeof(back)), 3);
	EXPECT_MEM_EQ(back, "xyz", 3);
	EXPECT_EQ(tt_sim_disk_get(o.disk, "b", back, sizeof(back)), 4);
	EXPECT_CODE(tt_sim_disk_get(o.disk, "b", back, 3), -EFBIG);
	EXPECT_ABORTS(tt_sim_disk_put(o.disk, "b", "", (size_t)TTI_SIM_DISK_BYTES - 2), "no room");
	tt_sim_disk_destroy(o.disk);
	tt_sim_disk_destroy(NULL);
}

static TT_TASK(destroy_it, (tt_sim_disk *, d))
{
	tt_sim_disk_destroy(d);
	return 0;
}

/* A disk belongs to its run until that ends. */
TT_TEST_PLAIN(disk, belongs_to_its_run)
{
	tt_sim_options o = { .disk = tt_sim_disk_create() };

	EXPECT_ABORTS(tt_sim_run_with(&o, destroy_it, o.disk), "a run has the disk");
	tt_sim_disk_destroy(o.disk);
}

/* ---- syncs that fail, disks that fill up ---- */

struct lossy {
	unsigned failed;                     /* syncs */
	bool old_in_memory;                  /* after which a read gave the old bytes */
	bool ended;
};

static struct {
	unsigned failed, in_memory, on_disk;
} old_bytes;

static int sync_until_it_works(tt_fd *fd, struct lossy *l)
{
	unsigned char byte;
	int rc = tt_file_fsync(fd);

	while (rc == TT_EIO) {
		l->failed++;
		TT_TRY(tt_file_pread_exact(fd, &byte, 1, 0, NULL));
		l->old_in_memory = byte == 'o';
		rc = tt_file_fsync(fd);
	}
	return rc;
}

static TT_TASK(overwrite, (struct lossy *, l))
{
	unsigned char bytes[SECTOR];
	tt_fd *fd;
	int rc;

	TT_TRY(tt_file_open("a", O_RDWR, 0, &fd));
	memset(bytes, 'N', sizeof(bytes));
	rc = tt_file_pwrite_all(fd, bytes, sizeof(bytes), 0, NULL);
	if (rc == 0)
		rc = sync_until_it_works(fd, l);
	tt_fd_close(fd);
	l->ended = true;
	return rc;
}

static void count_old(void *context, const tt_sim_disk *disk, int rc)
{
	const struct lossy *l = context;
	static unsigned char bytes[SECTOR];

	(void)rc;
	REQUIRE_EQ(tt_sim_disk_get(disk, "a", bytes, sizeof(bytes)), (int)SECTOR);
	EXPECT_TRUE(bytes[0] == 'o' || bytes[0] == 'N');
	EXPECT_TRUE(!l->ended || l->failed > 0 || bytes[0] == 'N');
	old_bytes.on_disk += l->ended && bytes[0] == 'o';
}

/* A failed sync drops bytes and the next one succeeds all the same; memory may have them still. */
TT_TEST_PLAIN(disk, a_failed_sync_loses_what_it_was_to_write)
{
	unsigned char old[SECTOR];
	tt_sim_disk *disk = tt_sim_disk_create();

	memset(old, 'o', sizeof(old));
	tt_sim_disk_put(disk, "a", old, sizeof(old));
	for (unsigned i = 0; i < tt_test_seeds(200); i++) {
		struct lossy l = { 0 };
		tt_crash_options o = {
			.seed = tt_test_seed() + i, .faults = TT_FAULT_BIT(TT_FAULT_FILE_SYNC_LOSS), .disk = disk,
			.check = count_old, .context = &l, .context_size = sizeof(l),
		};
		tt_sim_report r;

		EXPECT_EQ(TT_CRASH_TORTURE(&o, NULL, overwrite, &l), 0);
		tt_sim_report_last(&r);
		EXPECT_EQ(r.faults[TT_FAULT_FILE_SYNC_LOSS], l.failed);
		EXPECT_TRUE(l.ended);
		old_bytes.failed += l.failed > 0;
		old_bytes.in_memory += l.old_in_memory;
	}
	tt_sim_disk_destroy(disk);
	tt_test_note("%u runs with failed syncs; old bytes in memory in %u, on the disk in %u", old_bytes.failed,
	             old_bytes.in_memory, old_bytes.on_disk);
	if (tt_test_seeds(200) < 200)
		return;
	EXPECT_GT(old_bytes.in_memory, 0);
	EXPECT_GT(old_bytes.on_disk, old_bytes.in_memory);
}

static TT_TASK(fill_up, (unsigned *, ret_short), (unsigned *, ret_full))
{
	static const unsigned char bytes[1000];
	tt_fd *fd;
	bool was_short = false;

	TT_TRY(tt_file_open("a", O_RDWR | O_CREAT, 0600, &fd));
	for (unsigned i = 0; i < 20; i++) {
		int n = tt_file_pwrite(fd, bytes, sizeof(bytes), 0);

		EXPECT_TRUE(n == TT_ENOSPC || n > 0);
		EXPECT_TRUE(!was_short || n == TT_ENOSPC);
		*ret_full += n == TT_ENOSPC && was_short;
		was_short = n > 0 && n < (int)sizeof(bytes);
		*ret_short += was_short;
	}
	tt_fd_close(fd);
	return 0;
}

/* A disk that fills up in the middle of a write takes its beginning; the next one gets ENOSPC. */
TT_TEST_PLAIN(disk, a_full_disk_takes_a_part_first)
{
	unsigned shorts = 0, fulls = 0;

	for (unsigned i = 0; i < 100; i++) {
		tt_sim_options o = { .seed = i, .faults = TT_FAULT_BIT(TT_FAULT_FILE_ENOSPC) };
		int rc = tt_sim_run_with(&o, fill_up, &shorts, &fulls);

		EXPECT_TRUE(rc == 0 || rc == TT_ENOSPC); /* of the open */
	}
	tt_test_note("%u short, then full", shorts);
	EXPECT_GT(fulls, 0);
}

/* So does one whose last bytes are used, by what really is on it. */
static TT_TASK(use_the_last_bytes)
{
	static const unsigned char bytes[1000];
	const uint64_t others = TTI_SIM_DISK_BYTES - 700;
	tt_fd *fd;
	size_t done = 0;

	TT_TRY(tt_file_open("a", O_RDWR | O_CREAT, 0600, &fd));
	tti_sim_here->files.bytes += others;
	EXPECT_EQ(tt_file_pwrite(fd, bytes, sizeof(bytes), 0), 700);
	EXPECT_CODE(tt_file_pwrite(fd, bytes, 1, 700), TT_ENOSPC);
	EXPECT_EQ(tt_file_pwrite(fd, bytes, sizeof(bytes), 0), 700);
	EXPECT_CODE(tt_file_truncate(fd, 701), TT_ENOSPC);
	EXPECT_OK(tt_file_truncate(fd, 100));
	EXPECT_CODE(tt_file_pwrite_all(fd, bytes, sizeof(bytes), 100, &done), TT_ENOSPC);
	EXPECT_EQ(done, 600);
	tti_sim_here->files.bytes -= others;
	tt_fd_close(fd);
	return 0;
}

TT_TEST_PLAIN(disk, the_last_bytes_are_used)
{
	tt_sim_options o = { .faults = TT_FAULTS_NONE };

	EXPECT_OK(tt_sim_run_with(&o, use_the_last_bytes));
}

/* ---- bounds ---- */

static TT_TASK(never_sync)
{
	static unsigned char bytes[64 * SECTOR];
	const struct tti_sim_inode *i;
	tt_fd *fd;

	TT_TRY(tt_file_open("a", O_RDWR | O_CREAT, 0600, &fd));
	i = tti_sim_find(tti_sim_here, "a");
	for (unsigned n = 0; n < 1200; n++) {
		memset(bytes, (int)n, sizeof(bytes));
		TT_TRY(tt_file_pwrite_all(fd, bytes, sizeof(bytes), n % 3 * sizeof(bytes), NULL));
		EXPECT_LT(i->versions, 40000);
	}
	for (unsigned n = 0; n < 10000; n++)
		TT_TRY(tt_file_truncate(fd, n % 2000));
	EXPECT_LT(i->n_lengths, 5000);
	for (unsigned n = 0; n < 3000; n++)
		TT_TRY(tt_file_rename(n % 2 == 0 ? "a" : "b", n % 2 == 0 ? "b" : "a"));
	EXPECT_LT(tti_sim_here->files.n_changes, 1100);
	tt_fd_close(fd);
	return 0;
}

/* A program that never syncs is written back in the background: what is kept stays bounded. */
TT_TEST_PLAIN(disk, what_is_kept_is_bounded)
{
	tt_sim_options o = { .faults = TT_FAULTS_NONE };

	EXPECT_OK(tt_sim_run_with(&o, never_sync));
}

static TT_TASK(make_and_remove, (unsigned, times))
{
	for (unsigned i = 0; i < times; i++) {
		TT_TRY(make("a"));
		TT_TRY(tt_file_remove("a"));
		TT_TRY(sync_folder("."));
	}
	EXPECT_TRUE(tti_list_empty(&tti_sim_here->files.inodes));
	EXPECT_TRUE(tti_list_empty(&tti_sim_here->files.ghosts));
	EXPECT_EQ(tti_sim_here->files.bytes, 0);
	return 0;
}

/* A file whose removal is on the disk is gone altogether. */
TT_TEST_PLAIN(disk, nothing_is_kept_of_what_is_gone)
{
	EXPECT_OK(tt_sim_run(1, make_and_remove, 20));
}

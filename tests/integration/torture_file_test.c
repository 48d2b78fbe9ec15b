/* SPDX-License-Identifier: MIT */
/*
 * torture_file_test.c - files, cut short everywhere they can be; see torture_test.c.
 *
 * Conserved after every run: bytes (what a write reports is in the file, a file that was
 * replaced has all of the old or all of the new), names (none is left), descriptors.
 *
 * test-on: sim2
 * test-timeout: 600
 */
#include <fcntl.h>
#include <string.h>

#include "torture_kit.h"

TT_TEST_MAIN()

/* For what counts up after a run: longer than the hours by which a deadline is struck. */
#define UNCUT(expr) UNREFUSED(TT_SHIELDED(TT_SEC(1000000000), expr))

/* ---- one open file ---- */

/* The steps of one task on an open file. The code is the first that failed. */
static int work_on(struct ledger *l, tt_fd *fd)
{
	char back[12];
	size_t done = 0;
	tt_file_info info;
	uint64_t size;
	int rc;

	rc = tt_file_pwrite(fd, "abc", 3, 0);
	if (rc < 0)
		return rc;
	l->sent = (size_t)rc;
	rc = tt_file_pwrite_all(fd, "defghi", 6, l->sent, &done);
	l->sent += done;
	if (rc < 0)
		return rc;
	TT_TRY(tt_file_fdatasync(fd));
	TT_TRY(tt_file_fsync(fd));
	TT_TRY(tt_file_pread(fd, back, 4, 0));
	TT_TRY(tt_file_pread_exact(fd, back, 9, 0, NULL));
	EXPECT_MEM_EQ(back, "abcdefghi", 9);
	TT_TRY(tt_file_size(fd, &size));
	TT_TRY(tt_file_stat(fd, &info));
	EXPECT_EQ(size, info.size);
	rc = tt_file_truncate(fd, 5);
	if (rc == 0)
		l->sent = 5;
	return rc;
}

/* What the file holds is what was reported. */
static TT_TASK(one_file, (struct ledger *, l))
{
	uint64_t size = 0;
	tt_fd *fd;
	int rc;

	TT_TRY(tt_file_open("f", O_RDWR | O_CREAT | O_EXCL, 0600, &fd));
	rc = work_on(l, fd);
	EXPECT_OK(UNCUT(tt_file_size(fd, &size)));
	l->received = size;
	tt_fd_close(fd);
	return rc;
}

TORTURE(tt_file_pread, one_file)
TORTURE(tt_file_pwrite, one_file)
TORTURE(tt_file_pread_exact, one_file)
TORTURE(tt_file_pwrite_all, one_file)
TORTURE(tt_file_fsync, one_file)
TORTURE(tt_file_fdatasync, one_file)
TORTURE(tt_file_truncate, one_file)
TORTURE(tt_file_size, one_file)
TORTURE(tt_file_stat, one_file)

/* ---- names ---- */

/* A file that was made is there, one that was not is not: an open that was cut short made none. */
static int open_new(struct ledger *l)
{
	tt_file_info info;
	tt_fd *fd = NULL;
	int rc = tt_file_open("f", O_WRONLY | O_CREAT | O_EXCL, 0600, &fd);

	/* One that found no memory for its handle has made the file all the same. */
	if (rc != TT_ENOMEM)
		EXPECT_CODE(UNCUT(tt_file_stat_path("f", &info)), rc == 0 ? 0 : TT_ENOENT);
	l->made += rc == 0;
	tt_fd_close(fd);
	return rc;
}

/* Where the file is afterwards is where the code says. */
static int rename_and_look(void)
{
	tt_file_info info;
	int rc = tt_file_rename("f", "g");

	EXPECT_CODE(UNCUT(tt_file_stat_path("g", &info)), rc == 0 ? 0 : TT_ENOENT);
	EXPECT_CODE(UNCUT(tt_file_stat_path("f", &info)), rc == 0 ? TT_ENOENT : 0);
	return rc;
}

static int remove_and_look(struct ledger *l, const char *path)
{
	tt_file_info info;
	int rc = tt_file_remove(path);

	EXPECT_CODE(UNCUT(tt_file_stat_path(path, &info)), rc == 0 ? TT_ENOENT : 0);
	if (rc != 0)
		EXPECT_OK(UNCUT(tt_file_remove(path)));
	l->gone++;
	return rc;
}

static TT_TASK(names, (struct ledger *, l))
{
	tt_file_info info;
	int rc, removed;

	TT_TRY(open_new(l));
	rc = tt_file_stat_path("f", &info);
	if (rc == 0)
		rc = rename_and_look();
	removed = remove_and_look(l, rc == 0 ? "g" : "f");
	return rc < 0 ? rc : removed;
}

TORTURE(tt_file_open, names)
TORTURE(tt_file_stat_path, names)
TORTURE(tt_file_rename, names)
TORTURE(tt_file_remove, names)

/* ---- whole files ---- */

static bool holds(const char *text)
{
	char back[64];
	int n = UNCUT(tt_file_read_all("f", back, sizeof(back)));

	return n == (int)strlen(text) && memcmp(back, text, strlen(text)) == 0;
}

/* Either the old contents or the new ones, as the code says. */
static TT_TASK(replaced, (struct ledger *, l))
{
	char back[64];
	int rc;

	(void)l;
	TT_TRY(tt_file_replace("f", "the old contents", 16));
	rc = tt_file_replace("f", "new", 3);
	if (rc == 0 || rc == TT_ECANCELED)
		EXPECT_TRUE(holds(rc == 0 ? "new" : "the old contents"));
	else /* the last step, which makes it last, may be the one that failed */
		EXPECT_TRUE(holds("new") || holds("the old contents"));
	if (rc < 0)
		return rc;
	rc = tt_file_read_all("f", back, sizeof(back));
	return rc < 0 ? rc : 0;
}

TORTURE(tt_file_replace, replaced)
TORTURE(tt_file_read_all, replaced)

/* ---- growth ---- */

static TT_TASK(follow, (struct ledger *, l), (tt_fd *, fd))
{
	uint64_t size = 0;

	while (size < 4) {
		TT_TRY(tt_file_wait_growth(fd, size));
		TT_TRY(tt_file_size(fd, &size));
	}
	l->received = size;
	return 0;
}

static TT_TASK(append, (struct ledger *, l), (tt_fd *, fd))
{
	for (int i = 0; i < 4; i++) {
		TT_TRY(tt_write_all(fd, "x", 1, NULL));
		TT_TRY(tt_sleep(TT_MS(1)));
	}
	l->sent = 4;
	return 0;
}

static int grow(struct ledger *l, tt_fd *fd)
{
	int rc;
	{
		TT_GROUP(g);
		tt_go_with(&g, &anywhere, append, l, fd);
		tt_go_with(&g, &anywhere, follow, l, fd);
		rc = tt_group_end(&g, 0);
	}
	if (rc < 0)
		l->sent = l->received = 0; /* both must have ended for the sums to agree */
	return rc;
}

static TT_TASK(grows, (struct ledger *, l))
{
	tt_fd *fd;
	int rc;

	TT_TRY(tt_file_open("f", O_RDWR | O_CREAT, 0600, &fd));
	rc = grow(l, fd);
	tt_fd_close(fd);
	return rc;
}

TORTURE(tt_file_wait_growth, grows)

/* A close under those who read, write and wait for growth. */
static TT_TASK(until_closed, (tt_fd *, fd), (bool, wait))
{
	char c;
	int rc;

	do
		rc = wait ? tt_file_wait_growth(fd, 1) : tt_file_pread(fd, &c, 1, 0);
	while (rc >= 0);
	return rc == TT_EBADF ? 0 : rc;
}

static int close_under_way(tt_fd *fd)
{
	int rc;

	TT_GROUP(g);
	tt_go_with(&g, &anywhere, until_closed, fd, true);
	tt_go_with(&g, &anywhere, until_closed, fd, false);
	rc = tt_sleep(TT_MS(1));
	tt_fd_close(fd);
	return tt_group_end(&g, rc);
}

static TT_TASK(closes, (struct ledger *, l))
{
	tt_fd *fd;
	int rc;

	(void)l;
	TT_TRY(tt_file_open("f", O_RDWR | O_CREAT, 0600, &fd));
	rc = tt_file_pwrite(fd, "x", 1, 0);
	if (rc == 1)
		return close_under_way(fd);
	tt_fd_close(fd);
	return rc;
}

TORTURE(tt_fd_close, closes)

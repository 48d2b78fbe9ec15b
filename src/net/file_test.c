/* SPDX-License-Identifier: MIT */
/*
 * file_test.c - files: bytes at offsets and in a row, whole files, growth, and what a cancel, a
 * close, a full disk or a broken one leaves. In a simulation on files in memory, else in a
 * folder of its own under /tmp.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/net_testkit.h"
#include "par/blocking.h"
#include "sim/sim.h"

TT_TEST_MAIN()

#define WHY_REAL "needs the kernel's files"

static char folder[64];

/* A path in this test's folder; four may be in use at a time. */
static const char *in_folder(const char *name)
{
	static char paths[4][128];
	static unsigned turn;
	char *path = paths[turn++ % 4];

	if (folder[0] == '\0' && tti_sim_here == NULL) {
		snprintf(folder, sizeof(folder), "/tmp/tutti-file-XXXXXX");
		REQUIRE_TRUE(mkdtemp(folder) != NULL);
	}
	snprintf(path, 128, "%s/%s", folder, name);
	return path;
}

/* Everything in it was removed by the test: a temporary file that was left would fail this. */
static void remove_folder(void)
{
	if (tti_sim_here == NULL)
		EXPECT_EQ(rmdir(folder), 0);
	else
		EXPECT_TRUE(tti_list_empty(&tti_sim_here->files.inodes));
}

static tt_fd *make_file(const char *name, const void *bytes, size_t n)
{
	tt_fd *fd = NULL;

	REQUIRE_OK(tt_file_open(in_folder(name), O_RDWR | O_CREAT | O_TRUNC, 0640, &fd));
	if (n > 0)
		REQUIRE_OK(tt_file_pwrite_all(fd, bytes, n, 0, NULL));
	return fd;
}

static void drop_file(tt_fd *fd, const char *name)
{
	tt_fd_close(fd);
	EXPECT_OK(tt_file_remove(in_folder(name)));
	remove_folder();
}

/* ---- bytes ---- */

/* What is written at an offset is read there, also in parts and behind a hole; the end is 0. */
TT_TEST(file, bytes_at_offsets)
{
	static unsigned char big[200000], back[200000];
	tt_fd *fd = make_file("a", NULL, 0);
	size_t done = 77;
	uint64_t size = 0;

	test_fill(big, 0, sizeof(big));
	EXPECT_OK(tt_file_pwrite_all(fd, big, sizeof(big), 1000, &done));
	EXPECT_EQ(done, sizeof(big));
	EXPECT_OK(tt_file_size(fd, &size));
	EXPECT_EQ(size, sizeof(big) + 1000);
	EXPECT_OK(tt_file_pread_exact(fd, back, sizeof(back), 1000, &done));
	EXPECT_EQ(done, sizeof(back));
	EXPECT_TRUE(test_matches(back, 0, sizeof(back)));
	EXPECT_OK(tt_file_pread_exact(fd, back, 1000, 0, NULL));
	EXPECT_EQ(back[0] | back[999], 0);
	EXPECT_EQ(tt_file_pread(fd, back, 10, 1000 + sizeof(big) - 1), 1);
	EXPECT_EQ(tt_file_pread(fd, back, 10, 1000 + sizeof(big)), 0);
	EXPECT_EQ(tt_file_pread(fd, back, 10, INT64_MAX - 100), 0);
	EXPECT_EQ(tt_file_pread(fd, back, 0, 0), 0);
	EXPECT_EQ(tt_file_pwrite(fd, back, 0, 0), 0);
	EXPECT_CODE(tt_file_pread_exact(fd, back, 100, 1000 + sizeof(big) - 60, &done), TT_EEOF);
	EXPECT_EQ(done, 60);
	EXPECT_OK(tt_file_fsync(fd));
	EXPECT_OK(tt_file_fdatasync(fd));
	drop_file(fd, "a");
}

/* The calls of streams go on at the file's own position; offsets do not move it. */
TT_TEST(file, a_file_is_a_stream_too)
{
	tt_fd *fd = make_file("a", NULL, 0);
	char back[64], buf[8], *line;
	tt_reader r;
	size_t len;

	EXPECT_OK(tt_write_all(fd, "one\n", 4, NULL));
	EXPECT_EQ(tt_write(fd, "second\n", 7), 7);
	EXPECT_EQ(tt_file_pread(fd, back, sizeof(back), 4), 7);
	EXPECT_EQ(tt_read(fd, back, sizeof(back)), 0);
	tt_fd_close(fd);
	REQUIRE_OK(tt_file_open(in_folder("a"), O_RDONLY, 0, &fd));
	tt_reader_init(&r, fd, buf, sizeof(buf));
	EXPECT_EQ(tt_read_until(&r, '\n', &line, &len), 1);
	EXPECT_STR_EQ(line, "one");
	EXPECT_EQ(tt_read_until(&r, '\n', &line, &len), 1);
	EXPECT_STR_EQ(line, "second");
	EXPECT_EQ(tt_read_until(&r, '\n', &line, &len), 0);
	EXPECT_CODE(tt_read_exact(fd, back, 1, &len), TT_EEOF);
	EXPECT_GT(tt_fd_poll(fd, POLLIN), 0);
	drop_file(fd, "a");
}

/* A try never waits: it gives bytes, the end, or -EAGAIN. */
TT_TEST(file, tries)
{
	tt_fd *fd = make_file("a", "abc", 3);
	char c;
	int rc, got = 0;

	for (int i = 0; i < 100 && got < 3; i++) {
		rc = tt_try_read(fd, &c, 1);
		EXPECT_TRUE(rc == 1 || rc == TT_EAGAIN);
		if (rc == TT_EAGAIN)
			rc = tt_read(fd, &c, 1);
		REQUIRE_EQ(rc, 1);
		EXPECT_EQ(c, "abc"[got]);
		got++;
	}
	EXPECT_EQ(got, 3);
	rc = tt_try_write(fd, "d", 1);
	EXPECT_TRUE(rc == 1 || rc == TT_EAGAIN);
	drop_file(fd, "a");
}

/* O_APPEND, O_EXCL and O_TRUNC mean what they say. */
TT_TEST(file, open_flags)
{
	tt_fd *fd = make_file("a", "0123456789", 10), *more = NULL;
	char back[32];

	EXPECT_CODE(tt_file_open(in_folder("a"), O_WRONLY | O_CREAT | O_EXCL, 0600, &more), TT_EEXIST);
	EXPECT_EQ(more, NULL);
	REQUIRE_OK(tt_file_open(in_folder("a"), O_WRONLY | O_APPEND, 0, &more));
	EXPECT_EQ(tt_file_pwrite(more, "xy", 2, 0), 2);
	EXPECT_CODE(tt_file_pread(more, back, 1, 0), TT_EBADF);
	tt_fd_close(more);
	EXPECT_EQ(tt_file_pread(fd, back, sizeof(back), 0), 12);
	EXPECT_MEM_EQ(back, "0123456789xy", 12);
	REQUIRE_OK(tt_file_open(in_folder("a"), O_WRONLY | O_TRUNC, 0, &more));
	EXPECT_EQ(tt_file_pread(fd, back, sizeof(back), 0), 0);
	tt_fd_close(more);
	REQUIRE_OK(tt_file_open(in_folder("a"), O_RDONLY, 0, &more));
	EXPECT_CODE(tt_file_pwrite(more, "x", 1, 0), TT_EBADF);
	EXPECT_CODE(tt_file_truncate(more, 1), TT_EINVAL);
	tt_fd_close(more);
	drop_file(fd, "a");
}

/* Cut and made longer, described, renamed over another and removed while it is open. */
TT_TEST(file, the_file_as_a_whole)
{
	tt_fd *fd = make_file("a", "0123456789", 10), *other = make_file("b", "bb", 2);
	tt_file_info by_fd = { 0 }, by_path = { 0 };
	char back[16];

	EXPECT_OK(tt_file_truncate(fd, 4));
	EXPECT_OK(tt_file_truncate(fd, 6));
	EXPECT_EQ(tt_file_pread(fd, back, sizeof(back), 0), 6);
	EXPECT_MEM_EQ(back, "0123\0\0", 6);
	EXPECT_OK(tt_file_stat(fd, &by_fd));
	EXPECT_OK(tt_file_stat_path(in_folder("a"), &by_path));
	EXPECT_EQ(by_fd.size, 6);
	EXPECT_EQ(by_fd.inode, by_path.inode);
	EXPECT_EQ(by_fd.device, by_path.device);
	EXPECT_TRUE(S_ISREG(by_fd.mode));
	EXPECT_EQ(by_fd.mode & 0700u, 0600u);
	EXPECT_GT(by_fd.modified, TT_SEC(1700000000));
	EXPECT_OK(tt_file_rename(in_folder("a"), in_folder("b")));
	EXPECT_CODE(tt_file_stat_path(in_folder("a"), &by_path), TT_ENOENT);
	EXPECT_OK(tt_file_stat_path(in_folder("b"), &by_path));
	EXPECT_EQ(by_fd.inode, by_path.inode);
	EXPECT_EQ(tt_file_pread(other, back, sizeof(back), 0), 2);
	tt_fd_close(other);
	EXPECT_OK(tt_file_remove(in_folder("b")));
	EXPECT_CODE(tt_file_remove(in_folder("b")), TT_ENOENT);
	EXPECT_CODE(tt_file_rename(in_folder("b"), in_folder("c")), TT_ENOENT);
	EXPECT_EQ(tt_file_pread(fd, back, sizeof(back), 0), 6);
	tt_fd_close(fd);
	remove_folder();
}

/* Each wrong use has its code, and the output stays untouched. */
TT_TEST(file, refusals)
{
	tt_fd *fd = make_file("a", "x", 1), *none = (tt_fd *)8, *ends[2];
	tt_file_info info;
	uint64_t size = 5;
	size_t done = 9;
	char c;

	EXPECT_CODE(tt_file_open(in_folder("none"), O_RDONLY, 0, &none), TT_ENOENT);
	EXPECT_EQ(none, (tt_fd *)8);
	EXPECT_CODE(tt_file_stat_path(in_folder("none"), &info), TT_ENOENT);
	EXPECT_CODE(tt_file_pread(fd, &c, 1, (uint64_t)INT64_MAX + 1), TT_EINVAL);
	EXPECT_CODE(tt_file_pwrite_all(fd, &c, 1, UINT64_MAX, &done), TT_EINVAL);
	EXPECT_EQ(done, 0);
	EXPECT_CODE(tt_file_truncate(fd, UINT64_MAX), TT_EINVAL);
	EXPECT_CODE(tt_file_pread(NULL, &c, 1, 0), TT_EBADF);
	EXPECT_CODE(tt_file_fsync(NULL), TT_EBADF);
	REQUIRE_OK(tt_pair(ends));
	EXPECT_CODE(tt_file_pread(ends[0], &c, 1, 0), -ESPIPE);
	EXPECT_CODE(tt_file_pwrite(ends[0], &c, 1, 0), -ESPIPE);
	EXPECT_CODE(tt_file_fsync(ends[0]), TT_EINVAL);
	EXPECT_CODE(tt_file_size(ends[0], &size), TT_EINVAL);
	EXPECT_EQ(size, 5);
	EXPECT_CODE(tt_file_wait_growth(ends[0], 0), TT_EINVAL);
	test_close_pair(ends);
	tt_fd_close(fd);
	EXPECT_CODE(tt_file_pread(fd, &c, 1, 0), TT_EBADF);
	EXPECT_OK(tt_file_remove(in_folder("a")));
	remove_folder();
}

static TT_TASK(every_call_cancelled, (tt_fd *, fd))
{
	tt_file_info info;
	tt_fd *none = NULL;
	uint64_t size = 3;
	char c = 'c';

	EXPECT_CODE(tt_sleep(0), TT_ECANCELED);
	EXPECT_CODE(tt_file_open(in_folder("a"), O_RDONLY, 0, &none), TT_ECANCELED);
	EXPECT_CODE(tt_file_pread(fd, &c, 1, 0), TT_ECANCELED);
	EXPECT_CODE(tt_file_pwrite(fd, "y", 1, 0), TT_ECANCELED);
	EXPECT_CODE(tt_file_pread_exact(fd, &c, 1, 0, NULL), TT_ECANCELED);
	EXPECT_CODE(tt_file_pwrite_all(fd, "y", 1, 0, NULL), TT_ECANCELED);
	EXPECT_CODE(tt_file_fsync(fd), TT_ECANCELED);
	EXPECT_CODE(tt_file_fdatasync(fd), TT_ECANCELED);
	EXPECT_CODE(tt_file_truncate(fd, 0), TT_ECANCELED);
	EXPECT_CODE(tt_file_size(fd, &size), TT_ECANCELED);
	EXPECT_CODE(tt_file_stat(fd, &info), TT_ECANCELED);
	EXPECT_CODE(tt_file_stat_path(in_folder("a"), &info), TT_ECANCELED);
	EXPECT_CODE(tt_file_wait_growth(fd, 0), TT_ECANCELED);
	EXPECT_CODE(tt_file_read_all(in_folder("a"), &c, 1), TT_ECANCELED);
	EXPECT_CODE(tt_file_replace(in_folder("a"), "y", 1), TT_ECANCELED);
	EXPECT_CODE(tt_file_rename(in_folder("a"), in_folder("b")), TT_ECANCELED);
	EXPECT_CODE(tt_file_remove(in_folder("a")), TT_ECANCELED);
	EXPECT_EQ(none, NULL);
	EXPECT_EQ(c, 'c');
	EXPECT_EQ(size, 3);
	return 0;
}

/* Each call looks for a cancel when it is entered, and then has no effect. */
TT_TEST(file, entry_is_a_checkpoint)
{
	tt_fd *fd = make_file("a", "x", 1);
	char c[4];

	{
		TT_SCOPE(s, 0);
		EXPECT_OK(every_call_cancelled(fd));
		EXPECT_CODE(tt_scope_end(&s, 0), 0);
	}
	EXPECT_EQ(tt_file_read_all(in_folder("a"), c, sizeof(c)), 1);
	EXPECT_EQ(c[0], 'x');
	drop_file(fd, "a");
}

/* ---- many at a time ---- */

static TT_TASK(write_and_check, (tt_fd *, fd), (unsigned, i))
{
	unsigned char block[512], back[512];

	for (int turn = 0; turn < 4; turn++) {
		test_fill(block, i * 512 + (unsigned)turn, sizeof(block));
		TT_TRY(tt_file_pwrite_all(fd, block, sizeof(block), i * 512, NULL));
		TT_TRY(tt_file_pread_exact(fd, back, sizeof(back), i * 512, NULL));
		if (memcmp(block, back, sizeof(block)) != 0)
			return TT_EIO;
	}
	return 0;
}

/* One file has any number of readers and writers, on every worker. */
TT_TEST(file, many_at_a_time)
{
	const tt_child_options anywhere = { .worker = TT_WORKER_ANY };
	tt_fd *fd = make_file("a", NULL, 0);

	{
		TT_GROUP(g);
		for (unsigned i = 0; i < 64; i++)
			tt_go_with(&g, &anywhere, write_and_check, fd, i);
		EXPECT_OK(tt_group_end(&g, 0));
	}
	drop_file(fd, "a");
}

/* ---- whole files ---- */

static void expect_contents(const char *name, const char *text)
{
	char back[64];
	int n = tt_file_read_all(in_folder(name), back, sizeof(back));

	REQUIRE_EQ(n, (int)strlen(text));
	EXPECT_MEM_EQ(back, text, strlen(text));
}

/* A whole file is read if it fits; one byte more is an error, not a cut. */
TT_TEST(file, read_all)
{
	static unsigned char big[100000], back[100001];
	tt_fd *fd;
	char c;

	test_fill(big, 0, sizeof(big));
	fd = make_file("a", big, sizeof(big));
	EXPECT_EQ(tt_file_read_all(in_folder("a"), back, sizeof(back)), (int)sizeof(big));
	EXPECT_TRUE(test_matches(back, 0, sizeof(big)));
	EXPECT_EQ(tt_file_read_all(in_folder("a"), back, sizeof(big)), (int)sizeof(big));
	EXPECT_CODE(tt_file_read_all(in_folder("a"), back, sizeof(big) - 1), -EFBIG);
	EXPECT_CODE(tt_file_read_all(in_folder("a"), &c, 0), -EFBIG);
	EXPECT_CODE(tt_file_read_all(in_folder("none"), &c, 1), TT_ENOENT);
	EXPECT_OK(tt_file_truncate(fd, 0));
	EXPECT_EQ(tt_file_read_all(in_folder("a"), &c, 0), 0);
	drop_file(fd, "a");
}

/* A replaced file has the new contents and the old permissions; who had it open keeps the old. */
TT_TEST(file, replace)
{
	tt_fd *fd = make_file("a", "old", 3);
	tt_file_info before = { 0 }, after = { 0 };
	char back[8];

	EXPECT_OK(tt_file_stat(fd, &before));
	EXPECT_OK(tt_file_replace(in_folder("a"), "the new one", 11));
	expect_contents("a", "the new one");
	EXPECT_OK(tt_file_stat_path(in_folder("a"), &after));
	EXPECT_EQ(after.mode, before.mode);
	EXPECT_NE(after.inode, before.inode);
	EXPECT_EQ(tt_file_pread(fd, back, sizeof(back), 0), 3);
	EXPECT_OK(tt_file_replace(in_folder("a"), NULL, 0));
	expect_contents("a", "");
	EXPECT_OK(tt_file_replace(in_folder("fresh"), "f", 1));
	expect_contents("fresh", "f");
	EXPECT_OK(tt_file_remove(in_folder("fresh")));
	EXPECT_CODE(tt_file_replace("", "f", 1), TT_ENOENT);
	EXPECT_CODE(tt_file_replace(in_folder("a/"), "f", 1), -EISDIR);
	drop_file(fd, "a");
}

/* Its owner is the caller: whom a program runs as is not taken over with it. */
TT_TEST_ON(file, a_replacement_runs_as_nobody_else, TT_ON_REAL, WHY_REAL)
{
	tt_fd *fd = make_file("a", "old", 3);
	tt_file_info after = { 0 };

	REQUIRE_OK(chmod(in_folder("a"), 06751));
	EXPECT_OK(tt_file_replace(in_folder("a"), "new", 3));
	EXPECT_OK(tt_file_stat_path(in_folder("a"), &after));
	EXPECT_EQ(after.mode & 07777u, 0751u);
	drop_file(fd, "a");
}

/* A time that no count of ns from 1970 can say is the last one, or the first. */
TT_TEST_ON(file, times_out_of_range, TT_ON_REAL, WHY_REAL)
{
	const struct timespec late[2] = { { .tv_sec = 14000000000 }, { .tv_sec = 14000000000 } };
	tt_fd *fd = make_file("a", "x", 1);
	tt_file_info info = { 0 };
	struct stat st;

	REQUIRE_OK(utimensat(AT_FDCWD, in_folder("a"), late, 0));
	REQUIRE_OK(stat(in_folder("a"), &st));
	EXPECT_OK(tt_file_stat(fd, &info));
	if (st.st_mtim.tv_sec == late[1].tv_sec) /* else the file system cannot say it either */
		EXPECT_EQ(info.modified, INT64_MAX);
	drop_file(fd, "a");
}

/* What the file system refuses comes back by its name, and leaves nothing behind. */
TT_TEST_ON(file, failures_of_the_system, TT_ON_REAL, WHY_REAL)
{
	tt_fd *fd = make_file("a", "old", 3), *none = NULL;
	char c;

	EXPECT_CODE(tt_file_open(in_folder("none/a"), O_WRONLY | O_CREAT, 0600, &none), TT_ENOENT);
	EXPECT_CODE(tt_file_open(in_folder("a/b"), O_RDONLY, 0, &none), -ENOTDIR);
	EXPECT_CODE(tt_file_open(folder, O_WRONLY, 0, &none), -EISDIR);
	REQUIRE_OK(tt_file_open(folder, O_RDONLY | O_DIRECTORY, 0, &none));
	EXPECT_CODE(tt_file_pread(none, &c, 1, 0), -EISDIR);
	EXPECT_OK(tt_file_fsync(none));
	tt_fd_close(none);
	EXPECT_CODE(tt_file_replace(in_folder("none/a"), "x", 1), TT_ENOENT);
	EXPECT_CODE(tt_file_replace(folder, "x", 1), -EISDIR);
	EXPECT_CODE(tt_file_rename(in_folder("a"), in_folder("none/a")), TT_ENOENT);
	EXPECT_CODE(tt_file_remove(folder), -EISDIR);
	if (geteuid() != 0) {
		chmod(folder, 0500);
		EXPECT_CODE(tt_file_replace(in_folder("a"), "x", 1), TT_EACCES);
		EXPECT_CODE(tt_file_remove(in_folder("a")), TT_EACCES);
		chmod(folder, 0700);
	}
	expect_contents("a", "old");
	drop_file(fd, "a");
}

/* A replacement that is too large for the limit, or for the disk, leaves the old file. */
TT_TEST_ON(file, a_failed_replacement_leaves_the_old_file, TT_ON_REAL, WHY_REAL)
{
	static unsigned char big[300000];
	struct rlimit limit, before;
	tt_fd *fd = make_file("a", "old", 3);
	size_t done = 0;

	if (mount("tutti", folder, "tmpfs", 0, "size=131072") == 0) {
		tt_fd *there = make_file("a", "old", 3);

		EXPECT_CODE(tt_file_pwrite_all(there, big, sizeof(big), 0, &done), TT_ENOSPC);
		EXPECT_GT(done, 0);
		EXPECT_OK(tt_file_truncate(there, 3));
		EXPECT_CODE(tt_file_replace(in_folder("a"), big, sizeof(big)), TT_ENOSPC);
		tt_fd_close(there);
		EXPECT_EQ(tt_file_read_all(in_folder("a"), big, sizeof(big)), 3);
		EXPECT_EQ(umount(folder), 0);
	} else {
		tt_test_note("no tmpfs may be mounted here: the full disk is left out");
	}
	signal(SIGXFSZ, SIG_IGN);
	REQUIRE_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = (struct rlimit){ 100000, before.rlim_max };
	REQUIRE_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
	EXPECT_CODE(tt_file_pwrite_all(fd, big, sizeof(big), 3, &done), -EFBIG);
	EXPECT_EQ(done, 100000 - 3);
	EXPECT_OK(tt_file_truncate(fd, 3));
	EXPECT_CODE(tt_file_replace(in_folder("a"), big, sizeof(big)), -EFBIG);
	REQUIRE_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
	expect_contents("a", "old");
	drop_file(fd, "a");
}

/* Memory runs out at each step, also when the temporary file's number is the first of its kind. */
TT_TEST_ON(file, replacement_without_memory, TT_ON_REAL, WHY_REAL)
{
	tt_fd *fd = make_file("a", "old", 3);
	int rc = TT_ENOMEM, failed = 0, taken[300], n = 0;

	while (n < 300 && (n == 0 || taken[n - 1] < 255))
		REQUIRE_TRUE((taken[n++] = dup(0)) >= 0);
	/* From each on: whether the pool wants one for a thread depends on how busy it is. */
	for (uint64_t at = 1; at < 40 && rc != 0; at++) {
		tt_test_fail_alloc_after(at);
		rc = tt_file_replace(in_folder("a"), "new", 3);
		tt_test_fail_nothing();
		failed += rc == TT_ENOMEM;
	}
	EXPECT_OK(rc);
	EXPECT_GT(failed, 1);
	expect_contents("a", "new");
	while (n > 0)
		close(taken[--n]);
	drop_file(fd, "a");
}

/* A FIFO is opened without its other end, and is a stream. */
TT_TEST_ON(file, a_fifo_is_a_stream, TT_ON_REAL, WHY_REAL)
{
	tt_fd *r, *w;
	char back[4];

	in_folder("");
	REQUIRE_EQ(mkfifo(in_folder("p"), 0600), 0);
	EXPECT_CODE(tt_file_open(in_folder("p"), O_WRONLY, 0, &w), -ENXIO);
	REQUIRE_OK(tt_file_open(in_folder("p"), O_RDONLY, 0, &r));
	REQUIRE_OK(tt_file_open(in_folder("p"), O_WRONLY, 0, &w));
	EXPECT_EQ(tt_write(w, "abc", 3), 3);
	EXPECT_EQ(tt_read(r, back, sizeof(back)), 3);
	EXPECT_CODE(TT_WITHIN(TT_MS(1), tt_read(r, back, 1)), TT_ETIMEDOUT);
	EXPECT_CODE(tt_file_pread(r, back, 1, 0), -ESPIPE);
	tt_fd_close(r);
	drop_file(w, "p");
}

/* Nothing that is opened reaches a child process. */
TT_TEST_ON(file, descriptors_are_close_on_exec, TT_ON_REAL, WHY_REAL)
{
	tt_fd *fd = make_file("a", "x", 1);
	int found = 0;

	for (int i = 3; i < 100; i++) {
		int flags = fcntl(i, F_GETFD);
		struct stat st;

		if (flags < 0 || fstat(i, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size != 1)
			continue;
		found++;
		EXPECT_EQ(flags & FD_CLOEXEC, FD_CLOEXEC);
	}
	EXPECT_GE(found, 1);
	drop_file(fd, "a");
}

/* ---- growth ---- */

static TT_TASK(expect_growth, (tt_fd *, fd), (uint64_t, size), (int, expected))
{
	int rc = tt_file_wait_growth(fd, size);

	EXPECT_CODE(rc, expected);
	return 0;
}

/* tail -f: it waits for what is written later, and says when the file was cut instead. */
TT_TEST(file, wait_for_growth)
{
	tt_fd *fd = make_file("a", "0123", 4), *writer;

	REQUIRE_OK(tt_file_open(in_folder("a"), O_WRONLY | O_APPEND, 0, &writer));
	EXPECT_EQ(tt_file_wait_growth(fd, 3), 1);
	EXPECT_EQ(tt_file_wait_growth(fd, 5), 0);
	EXPECT_CODE(TT_WITHIN(TT_MS(5), tt_file_wait_growth(fd, 4)), TT_ETIMEDOUT);
	for (uint64_t size = 4; size < 8; size++) {
		TT_GROUP(g);
		tt_go(&g, expect_growth, fd, size, 1);
		tt_go(&g, expect_growth, fd, size, 1);
		REQUIRE_OK(tt_sleep(TT_MS(1)));
		EXPECT_OK(tt_write_all(writer, "x", 1, NULL));
		EXPECT_OK(tt_group_end(&g, 0));
	}
	{
		TT_GROUP(g);
		tt_go(&g, expect_growth, fd, (uint64_t)8, 0);
		REQUIRE_OK(tt_sleep(TT_MS(1)));
		EXPECT_OK(tt_file_truncate(writer, 2));
		EXPECT_OK(tt_group_end(&g, 0));
	}
	tt_fd_close(writer);
	drop_file(fd, "a");
}

/* A change is announced, not found by the look once a second. */
TT_TEST_ON(file, growth_is_announced, TT_ON_REAL, WHY_REAL)
{
	tt_fd *fd = make_file("a", NULL, 0);
	int64_t start = tt_now();

	for (uint64_t size = 0; size < 5; size++) {
		TT_GROUP(g);
		tt_go(&g, expect_growth, fd, size, 1);
		REQUIRE_OK(tt_sleep(TT_MS(2)));
		EXPECT_OK(tt_file_pwrite_all(fd, "x", 1, size, NULL));
		EXPECT_OK(tt_group_end(&g, 0));
	}
	EXPECT_LT(tt_now() - start, TT_SEC(3)); /* five looks are five seconds */
	drop_file(fd, "a");
}

/* A close ends the wait for growth; it waits for what the pool still does. */
TT_TEST(file, close_drains)
{
	/* law 5 */
	const tt_child_options there = { .worker = TT_WORKER(tt_worker_count() - 1) };
	tt_fd *fd = make_file("a", "0123", 4);

	{
		TT_GROUP(g);
		tt_go(&g, expect_growth, fd, (uint64_t)4, TT_EBADF);
		tt_go_with(&g, &there, expect_growth, fd, (uint64_t)4, TT_EBADF);
		REQUIRE_OK(tt_test_wait_all_parked());
		tt_fd_close(fd);
		EXPECT_OK(tt_group_end(&g, 0));
	}
	EXPECT_OK(tt_file_remove(in_folder("a")));
	remove_folder();
}

static TT_TASK(read_somewhere, (tt_fd *, fd), (unsigned char *, buf))
{
	int rc = tt_file_pread(fd, buf, 4096, 0);

	EXPECT_TRUE(rc == TT_EBADF || rc > 0);
	return 0;
}

/* After a close nobody writes into the buffers of those who read. */
TT_TEST(file, close_under_readers)
{
	/* law 5 */
	static unsigned char bytes[4096], buf[8][4096];
	const tt_child_options anywhere = { .worker = TT_WORKER_ANY };
	tt_fd *fd;

	memset(bytes, 0xee, sizeof(bytes));
	fd = make_file("a", bytes, sizeof(bytes));
	{
		TT_GROUP(g);
		for (int i = 0; i < 8; i++)
			tt_go_with(&g, &anywhere, read_somewhere, fd, buf[i]);
		TT_IGNORE(tt_yield());
		tt_fd_close(fd);
		EXPECT_OK(tt_group_end(&g, 0));
	}
	EXPECT_OK(tt_file_remove(in_folder("a")));
	remove_folder();
}

/* ---- out of threads and memory ---- */

/* The first call of all finds no memory for a thread, says so, and the next one works. */
TT_TEST_ON(file, no_memory_for_a_thread, TT_ON_REAL, "in a simulation jobs need no thread")
{
	tt_fd *fd = NULL;
	uint64_t tries = 0;
	int rc = TT_ENOMEM;

	in_folder("a");
	for (; rc == TT_ENOMEM && tries < 20; tries++) {
		tt_test_fail_alloc_at(tries + 1);
		rc = tt_file_open(in_folder("a"), O_RDWR | O_CREAT, 0600, &fd);
		tt_test_fail_nothing();
		EXPECT_TRUE(rc == 0 || rc == TT_ENOMEM);
	}
	EXPECT_GT(tries, 1);
	REQUIRE_OK(rc);
	drop_file(fd, "a");
}

/* ---- a broken disk, and cancels everywhere: in simulations ---- */

static int contents_are(const char *path, const char *a, const char *b)
{
	char back[64];
	int n = TT_SHIELDED(TT_HOUR(1000000), tt_file_read_all(path, back, sizeof(back)));

	if (n == (int)strlen(a) && memcmp(back, a, strlen(a)) == 0)
		return 'a';
	return n == (int)strlen(b) && memcmp(back, b, strlen(b)) == 0 ? 'b' : n < 0 ? n : '?';
}

static size_t names(void)
{
	size_t n = 0;

	TTI_LIST_FOR_EACH (i, &tti_sim_here->files.inodes)
		n++;
	return n;
}

/* Whatever became of the replacement: all of the old or all of the new, and no temporary file. */
static TT_TASK(replace_once, (unsigned *, ret_replaced))
{
	int rc, found;

	rc = tt_file_replace("f", "old", 3);
	if (rc < 0)
		return rc == TT_ECANCELED || rc == TT_ETIMEDOUT ? rc : 0;
	rc = tt_file_replace("f", "the new contents", 16);
	found = contents_are("f", "old", "the new contents");
	if (found != TT_EIO)
		EXPECT_TRUE(found == 'a' || found == 'b');
	EXPECT_EQ(names(), 1);
	if (rc == 0 && found != TT_EIO)
		EXPECT_EQ(found, 'b');
	if (rc == TT_ECANCELED && found != TT_EIO)
		EXPECT_EQ(found, 'a');
	*ret_replaced += rc == 0;
	return rc == TT_ECANCELED || rc == TT_ETIMEDOUT ? rc : 0;
}

/* The old file is intact whatever step of a replacement the disk fails. */
TT_TEST_PLAIN(file, replacement_on_a_broken_disk)
{
	unsigned replaced = 0, short_ones = 0, slow = 0, eio = 0, full = 0;
	const unsigned seeds = tt_test_seeds(300);

	for (unsigned i = 0; i < seeds; i++) {
		tt_sim_options o = { .seed = tt_test_seed() + i, .faults = TT_FAULTS_FILES };
		tt_sim_report r;

		EXPECT_OK(tt_sim_run_with(&o, replace_once, &replaced));
		tt_sim_report_last(&r);
		short_ones += r.faults[TT_FAULT_FILE_SHORT] > 0;
		slow += r.faults[TT_FAULT_FILE_SLOW] > 0;
		eio += r.faults[TT_FAULT_FILE_EIO] > 0;
		full += r.faults[TT_FAULT_FILE_ENOSPC] > 0;
	}
	tt_test_note("%u of %u replaced; runs with short transfers %u, slow %u, EIO %u, full %u", replaced, seeds, short_ones,
	             slow, eio, full);
	if (seeds < 300)
		return;
	EXPECT_GT(replaced, 50);
	EXPECT_GT(short_ones, 20);
	EXPECT_GT(slow, 20);
	EXPECT_GT(eio, 20);
	EXPECT_GT(full, 10);
}

/* The old file is intact wherever a replacement is cancelled; a rename that happened is returned. */
TT_TEST_PLAIN(file, replacement_cancelled_everywhere)
{
	unsigned long long runs = 0, cut = 0;
	unsigned replaced = 0;

	for (unsigned i = 0; i < tt_test_seeds(6); i++) {
		tt_torture_options o = { .name = "replace", .seed = tt_test_seed() + i };
		tt_torture_result r;

		EXPECT_EQ(TT_CANCEL_TORTURE(&o, &r, replace_once, &replaced), 0);
		runs += r.runs;
		cut += r.cut;
	}
	EXPECT_GT(cut, 20);
	EXPECT_GT(replaced, 6);
	tt_test_note("%llu runs, %llu cut short, %u replaced", runs, cut, replaced);
}

/* The same run is the same run, files and their faults included. */
TT_TEST_PLAIN(file, a_seed_repeats_its_faults)
{
	for (unsigned i = 0; i < tt_test_seeds(20); i++) {
		tt_sim_options o = { .seed = tt_test_seed() + i, .faults = TT_FAULTS_FILES };
		tt_sim_report first, second;
		unsigned replaced = 0;

		EXPECT_OK(tt_sim_run_with(&o, replace_once, &replaced));
		tt_sim_report_last(&first);
		EXPECT_OK(tt_sim_run_with(&o, replace_once, &replaced));
		tt_sim_report_last(&second);
		EXPECT_EQ(first.trace_hash, second.trace_hash);
	}
}

static TT_TASK(leaves_a_file_open)
{
	tt_fd *fd;

	return tt_file_open("f", O_RDWR | O_CREAT, 0600, &fd);
}

static TT_TASK(too_many_files)
{
	tt_fd *fds[4] = { NULL };
	int rc = 0;

	for (int i = 0; i < 4 && rc == 0; i++)
		rc = tt_file_open("f", O_RDWR | O_CREAT, 0600, &fds[i]);
	for (int i = 0; i < 4; i++)
		tt_fd_close(fds[i]);
	return rc;
}

/* Files count as descriptors: a leak is reported, and the limit holds. */
TT_TEST_PLAIN(file, simulated_descriptors_are_counted)
{
	tt_sim_options o = { .max_fds = 3, .faults = TT_FAULTS_NONE };

	EXPECT_CODE(tt_sim_run_with(&o, too_many_files), TT_EMFILE);
	EXPECT_ABORTS(tt_sim_run(1, leaves_a_file_open), "1 descriptors are left open");
}

static void outside(void)
{
	char c;

	TT_IGNORE(tt_file_read_all("f", &c, 1));
}

/* Outside of tasks a call names itself and aborts. */
TT_TEST_PLAIN(file, outside_of_tasks)
{
	EXPECT_ABORTS(outside(), "tt_file_open");
}

/* SPDX-License-Identifier: MIT */
/*
 * failure_files_test.c - every refusal of the kernel in every place of work on files and
 * child processes, which happens on threads of the pool too: the call fails with a code or
 * copes, nothing stays open and no child stays behind.
 *
 * test-on: epoll1 epoll4 uring4
 * test-labels: children
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "failure_kit.h"

static unsigned refuse_each(int (*scenario)(void), const struct refusal *refusals, size_t n)
{
	unsigned struck = 0;

	EXPECT_OK(scenario());
	for (size_t i = 0; i < n; i++)
		struck += refuse_in_turn(scenario, &refusals[i]);
	tt_test_note("%u refusals", struck);
	return struck;
}

#define REFUSE_EACH(scenario, refusals) \
	refuse_each(scenario, refusals, sizeof(refusals) / sizeof((refusals)[0]))

/* ---- files ---- */

static const struct refusal of_files[] = {
	{ SYS_openat, -EMFILE },       { SYS_openat, -EINTR },        { SYS_openat2, -ENOSYS },
	{ SYS_openat2, -EAGAIN },      { SYS_statx, -EACCES },        { SYS_statx, -EINTR },
	{ SYS_pread64, -EIO },         { SYS_pread64, -EINTR },       { SYS_preadv2, -EIO },
	{ SYS_preadv2, -EOPNOTSUPP },  { SYS_preadv2, -ENOSYS },      { SYS_preadv2, -EPERM },
	{ SYS_preadv2, 0 },            { SYS_pwritev2, -ENOSPC },     { SYS_pwritev2, -EOPNOTSUPP },
	{ SYS_pwrite64, -ENOSPC },     { SYS_pwrite64, -EINTR },      { SYS_fsync, -EIO },
	{ SYS_fdatasync, -EIO },       { SYS_fsync, -EINVAL },        { SYS_ftruncate, -EFBIG },
	{ SYS_renameat2, -EXDEV },     { SYS_unlinkat, -EBUSY },      { SYS_fchmod, -EPERM },
	{ SYS_lseek, -ESPIPE },        { SYS_inotify_init1, -EMFILE }, { SYS_inotify_add_watch, -ENOSPC },
};

static char folder[64], path[96], other[96];

static int read_back(tt_fd *fd)
{
	char got[16];
	size_t done;
	int rc = tt_file_pread_exact(fd, got, 5, 0, &done);

	if (rc == 0)
		EXPECT_MEM_EQ(got, "hello", 5);
	if (rc == 0)
		rc = tt_file_pread(fd, got, sizeof(got), 5);
	if (rc >= 0)
		EXPECT_EQ(rc, 0);
	return rc;
}

static int use_file(tt_fd *fd)
{
	tt_file_info info;
	uint64_t size;

	TT_TRY(tt_file_pwrite_all(fd, "hello, all", 10, 0, NULL));
	TT_TRY(tt_file_truncate(fd, 5));
	TT_TRY(tt_file_fdatasync(fd));
	TT_TRY(tt_file_fsync(fd));
	TT_TRY(tt_file_size(fd, &size));
	EXPECT_EQ(size, 5u);
	TT_TRY(tt_file_stat(fd, &info));
	EXPECT_EQ(info.size, 5u);
	return read_back(fd);
}

static int one_file(void)
{
	tt_fd *fd;
	int rc;

	TT_TRY(tt_file_open(path, O_RDWR | O_CREAT, 0600, &fd));
	rc = use_file(fd);
	tt_fd_close(fd);
	return rc;
}

static int whole_files(void)
{
	tt_file_info info;
	char got[16];
	int rc;

	TT_TRY(tt_file_replace(path, "whole", 5));
	TT_TRY(tt_file_stat_path(path, &info));
	rc = tt_file_read_all(path, got, sizeof(got));
	if (rc < 0)
		return rc;
	EXPECT_EQ(rc, 5);
	TT_TRY(tt_file_rename(path, other));
	return tt_file_remove(other);
}

static int positions(void)
{
	char got[8];
	tt_fd *fd;
	int rc;

	TT_TRY(tt_file_open(path, O_RDWR | O_CREAT | O_TRUNC, 0600, &fd));
	rc = tt_write_all(fd, "words", 5, NULL);
	if (rc == 0)
		rc = tt_read(fd, got, sizeof(got));
	tt_fd_close(fd);
	return rc;
}

static int wait_for_growth(void)
{
	tt_fd *fd;
	int rc;

	TT_TRY(tt_file_open(path, O_RDWR | O_CREAT | O_TRUNC, 0600, &fd));
	rc = TT_WITHIN(TT_MS(2), tt_file_wait_growth(fd, 0));
	tt_fd_close(fd);
	return rc == TT_ETIMEDOUT ? 0 : rc < 0 ? rc : 0;
}

/* A failed attempt may leave the file under either name; none is left at the end. */
static void forget_files(void)
{
	char line[200];

	snprintf(line, sizeof(line), "rm -rf %s", folder);
	EXPECT_EQ(system(line), 0);
}

static void refuse_files(void)
{
	EXPECT_GT(REFUSE_EACH(one_file, of_files), 10u);
	EXPECT_GT(REFUSE_EACH(positions, of_files), 3u);
	EXPECT_GT(REFUSE_EACH(wait_for_growth, of_files), 3u);
}

TT_TEST_PLAIN(failure_files, one_file)
{
	snprintf(folder, sizeof(folder), "/tmp/tutti-failure-XXXXXX");
	REQUIRE_TRUE(mkdtemp(folder) != NULL);
	snprintf(path, sizeof(path), "%s/a", folder);
	refuse_everywhere(refuse_files);
	forget_files();
}

/* Where the replacement failed the old content is still there, all of it. */
static int replace_old(void)
{
	char got[16];
	int rc;

	rc = tt_file_replace(path, "new", 3);
	if (rc < 0) {
		FILE *f = fopen(path, "r");

		REQUIRE_TRUE(f != NULL);
		got[fread(got, 1, 15, f)] = '\0';
		fclose(f);
		EXPECT_TRUE(strcmp(got, "new") == 0 || strcmp(got, "old!") == 0);
	} else {
		FILE *f = fopen(path, "w");

		REQUIRE_TRUE(f != NULL);
		fputs("old!", f);
		fclose(f);
	}
	return rc;
}

static void refuse_replace(void)
{
	FILE *f = fopen(path, "w");

	REQUIRE_TRUE(f != NULL);
	fputs("old!", f);
	fclose(f);
	EXPECT_GT(REFUSE_EACH(replace_old, of_files), 5u);
}

TT_TEST_PLAIN(failure_files, a_replacement_is_whole_or_none)
{
	snprintf(folder, sizeof(folder), "/tmp/tutti-failure-XXXXXX");
	REQUIRE_TRUE(mkdtemp(folder) != NULL);
	snprintf(path, sizeof(path), "%s/a", folder);
	refuse_everywhere(refuse_replace);
	forget_files();
}

static void refuse_whole_files(void)
{
	static const struct refusal some[] = {
		{ SYS_openat, -EINTR }, { SYS_statx, -EINTR }, { SYS_openat2, -ENOSYS }, { SYS_preadv2, -ENOSYS },
		{ SYS_pwritev2, -EOPNOTSUPP }, { SYS_fchmod, -EPERM }, { SYS_renameat2, -EIO }, { SYS_statx, -EIO },
	};

	EXPECT_GT(REFUSE_EACH(whole_files, some), 3u);
}

TT_TEST_PLAIN(failure_files, whole_files)
{
	snprintf(folder, sizeof(folder), "/tmp/tutti-failure-XXXXXX");
	REQUIRE_TRUE(mkdtemp(folder) != NULL);
	snprintf(path, sizeof(path), "%s/a", folder);
	snprintf(other, sizeof(other), "%s/b", folder);
	refuse_everywhere(refuse_whole_files);
	forget_files();
}

/* ---- processes ---- */

static const struct refusal of_processes[] = {
	{ SYS_pipe2, -EMFILE },  { SYS_fcntl, -EMFILE },   { SYS_openat, -EMFILE }, { SYS_pidfd_open, -EMFILE },
	{ SYS_pidfd_send_signal, -EPERM }, { SYS_rt_sigprocmask, -EINVAL },
};

/* The child that could not run the program is taken back by a wait that sleeps. */
static const struct refusal of_waits[] = { { SYS_waitid, -EINTR } };

static int run_cat(void)
{
	const char *argv[] = { "cat", NULL };
	tt_process_options o = { .argv = argv };
	char out[16];
	tt_process_io io = { .input = "meow", .input_n = 4, .out = out, .out_max = sizeof(out) };
	int status = -1, rc = tt_process_run(&o, &io, &status);

	if (rc == 0)
		EXPECT_EQ(status, 0);
	return rc;
}

static int run_quietly(void)
{
	const char *argv[] = { "true", NULL };
	tt_process_options o = { .argv = argv, .stdin_to = TT_TO_NULL, .stdout_to = TT_TO_NULL, .stderr_to = TT_TO_STDOUT };
	int status = -1, rc = tt_process_run(&o, NULL, &status);

	if (rc == 0)
		EXPECT_EQ(status, 0);
	return rc;
}

static int kill_one(void)
{
	const char *argv[] = { "sleep", "1000", NULL };
	tt_process_options o = { .argv = argv, .new_group = true };
	tt_process *p;
	int status = 0, rc;

	TT_TRY(tt_process_start(&o, &p));
	rc = tt_process_kill(p, SIGTERM, TT_PROCESS_ALONE);
	if (rc < 0)
		EXPECT_OK(tt_process_kill(p, SIGKILL, TT_PROCESS_GROUP));
	EXPECT_OK(tt_process_wait(p, &status));
	EXPECT_TRUE(status == -SIGTERM || (rc < 0 && status == -SIGKILL));
	tt_process_close(p);
	return rc;
}

static int no_such_program(void)
{
	const char *argv[] = { "/bin/no-such-program-anywhere", NULL };
	tt_process_options o = { .argv = argv };
	tt_process *p;
	int rc = tt_process_start(&o, &p);

	return rc == TT_ENOENT ? 0 : rc;
}

static void refuse_processes(void)
{
	EXPECT_GT(REFUSE_EACH(run_cat, of_processes), 3u);
	EXPECT_GT(REFUSE_EACH(run_quietly, of_processes), 1u);
	EXPECT_GT(REFUSE_EACH(kill_one, of_processes), 1u);
	EXPECT_EQ(REFUSE_EACH(no_such_program, of_waits), 1u);
}

TT_TEST_PLAIN(failure_files, processes)
{
	refuse_everywhere(refuse_processes);
	EXPECT_EQ(waitpid(-1, NULL, WNOHANG), -1);
	EXPECT_EQ(errno, ECHILD);
}

/* A read of a pipe that waits is given up, and took nothing: the next one reads. */
TT_TEST_ON(failure_files, a_given_up_read_of_a_pipe_took_nothing, TT_ON_EPOLL | TT_ON_URING, "starts a process")
{
	const char *argv[] = { "cat", NULL };
	tt_process_options o = { .argv = argv, .stdin_to = TT_TO_PIPE, .stdout_to = TT_TO_PIPE };
	char got[8];
	int status;
	tt_process *p;

	REQUIRE_OK(tt_process_start(&o, &p));
	for (int i = 0; i < 3; i++) {
		EXPECT_CODE(TT_WITHIN(TT_MS(2), tt_read(tt_process_stdout(p), got, sizeof(got))), TT_ETIMEDOUT);
		EXPECT_OK(tt_write_all(tt_process_stdin(p), "meow", 4, NULL));
		EXPECT_OK(tt_read_exact(tt_process_stdout(p), got, 4, NULL));
		EXPECT_MEM_EQ(got, "meow", 4);
	}
	tt_fd_close(tt_process_stdin(p));
	EXPECT_EQ(tt_read(tt_process_stdout(p), got, sizeof(got)), 0);
	EXPECT_OK(tt_process_wait(p, &status));
	tt_process_close(p);
}

TT_TEST_MAIN()

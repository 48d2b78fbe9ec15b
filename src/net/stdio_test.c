/* SPDX-License-Identifier: MIT */
/* stdio_test.c - the standard streams: adopted as they are, never changed, never closed. */
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/net_testkit.h"

TT_TEST_MAIN()

/* Puts fd where number was; the old one is given back by restore(). */
static int replace(int number, int fd)
{
	int old = dup(number);

	REQUIRE_LT(2, old);
	REQUIRE_EQ(dup2(fd, number), number);
	close(fd);
	return old;
}

static void restore(int number, int old)
{
	dup2(old, number);
	close(old);
}

static TT_TASK(write_pipe, (int, fd))
{
	TT_TRY(tt_sleep(TT_MS(1)));
	EXPECT_EQ(write(fd, "abc", 3), 3);
	close(fd);
	return 0;
}

/* Reading a pipe that is the standard input waits without holding the worker, and leaves its
 * mode alone. */
TT_TEST_ON(stdio, reads_an_inherited_pipe, TT_ON_REAL, "needs a process's own descriptors")
{
	char buf[16];
	int p[2], old;

	REQUIRE_EQ(pipe(p), 0);
	old = replace(0, p[0]);
	{
		TT_GROUP(g);
		EXPECT_EQ(tt_stdin(), tt_stdin());
		tt_go(&g, write_pipe, p[1]);
		EXPECT_EQ(tt_read(tt_stdin(), buf, sizeof(buf)), 3);
		EXPECT_MEM_EQ(buf, "abc", 3);
		EXPECT_EQ(tt_read(tt_stdin(), buf, sizeof(buf)), 0);
		EXPECT_OK(tt_group_end(&g, 0));
	}
	EXPECT_EQ(fcntl(0, F_GETFL) & O_NONBLOCK, 0);
	restore(0, old);
}

static TT_TASK(drain_pipe, (int, fd), (size_t, total))
{
	static char buf[65536];

	for (size_t got = 0; got < total;) {
		ssize_t n;

		TT_TRY(tt_wait_fd(fd, 1));
		n = read(fd, buf, sizeof(buf));
		REQUIRE_LT(0, n);
		got += (size_t)n;
	}
	return 0;
}

/* More than a pipe holds goes out while another task of this worker reads it. */
TT_TEST_ON(stdio, writes_more_than_a_pipe_holds, TT_ON_REAL, "needs a process's own descriptors")
{
	static char big[300000];
	int p[2], old;

	REQUIRE_EQ(pipe(p), 0);
	old = replace(1, p[1]);
	{
		TT_GROUP(g);
		tt_go(&g, drain_pipe, p[0], sizeof(big));
		EXPECT_OK(tt_write_all(tt_stdout(), big, sizeof(big), NULL));
		EXPECT_OK(tt_group_end(&g, 0));
	}
	EXPECT_EQ(fcntl(1, F_GETFL) & O_NONBLOCK, 0);
	restore(1, old);
	close(p[0]);
}

/* A file is read and written at its own position. */
TT_TEST_ON(stdio, files_work_too, TT_ON_REAL, "needs a process's own descriptors")
{
	char buf[16] = "";
	FILE *f = tmpfile();
	int old;

	REQUIRE_TRUE(f != NULL);
	old = replace(0, dup(fileno(f)));
	EXPECT_OK(tt_write_all(tt_stdin(), "hello", 5, NULL));
	EXPECT_EQ(lseek(0, 0, SEEK_SET), 0);
	EXPECT_EQ(tt_read(tt_stdin(), buf, 3), 3);
	EXPECT_EQ(tt_read(tt_stdin(), buf + 3, 13), 2);
	EXPECT_STR_EQ(buf, "hello");
	EXPECT_EQ(tt_read(tt_stdin(), buf, 3), 0);
	restore(0, old);
	fclose(f);
}

/* They cannot be closed, and one that is not open is no stream. */
TT_TEST_ON(stdio, never_closed_and_never_guessed, TT_ON_REAL, "needs a process's own descriptors")
{
	int old = dup(0);
	tt_fd *ends[2];

	REQUIRE_LT(2, old);
	close(0);
	EXPECT_EQ(tt_stdin(), NULL);
	REQUIRE_OK(tt_pair(ends));
	/* The number is somebody else's now. */
	EXPECT_EQ(tt_stdin(), NULL);
	test_close_pair(ends);
	restore(0, old);
	EXPECT_NE(tt_stdin(), NULL);
	EXPECT_NE(tt_stderr(), NULL);
	EXPECT_ABORTS(tt_fd_close(tt_stderr()), "standard stream");
}

/* A simulated process has none. */
TT_TEST_ON(stdio, not_in_a_simulation, TT_ON_SIM, "says what the simulator does")
{
	EXPECT_EQ(tt_stdin(), NULL);
	EXPECT_EQ(tt_stdout(), NULL);
}

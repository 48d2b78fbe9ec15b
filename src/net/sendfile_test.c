/* SPDX-License-Identifier: MIT */
/*
 * sendfile_test.c - parts of a file through a stream: all of it, up to the file's end, and what
 * a cancel, a close or a peer that leaves makes of it.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tutti/file.h>

#include "net/net_testkit.h"

TT_TEST_MAIN()

#define FILE_BYTES (300u * 1024 + 7)

/* A file of recognisable bytes, with no name left on a real machine. */
static tt_fd *test_file(size_t n)
{
	unsigned char *bytes = malloc(n);
	char path[64];
	tt_fd *fd = NULL;

	REQUIRE_TRUE(bytes != NULL);
	test_fill(bytes, 0, n);
	snprintf(path, sizeof(path), "sendfile_test.%d", (int)getpid());
	REQUIRE_OK(tt_file_open(path, O_RDWR | O_CREAT | O_TRUNC, 0600, &fd));
	REQUIRE_OK(tt_file_pwrite_all(fd, bytes, n, 0, NULL));
	REQUIRE_OK(tt_file_remove(path));
	free(bytes);
	return fd;
}

static TT_TASK(expect_bytes, (tt_fd *, fd), (size_t, from), (size_t, n))
{
	static unsigned char buf[FILE_BYTES];
	char c;

	EXPECT_OK(tt_read_exact(fd, buf, n, NULL));
	EXPECT_TRUE(test_matches(buf, from, n));
	EXPECT_EQ(tt_read(fd, &c, 1), 0);
	return 0;
}

static void send_part(tt_fd *file, uint64_t offset, size_t n, size_t expected)
{
	size_t done = 99;
	tt_fd *ends[2];

	test_tcp_pair(ends);
	TT_GROUP(g);
	tt_go(&g, expect_bytes, ends[1], (size_t)offset, expected);
	EXPECT_EQ(tt_sendfile(ends[0], file, offset, n, &done), 0);
	EXPECT_EQ(done, expected);
	EXPECT_OK(tt_fd_shutdown(ends[0], SHUT_WR));
	EXPECT_OK(tt_group_end(&g, 0));
	test_close_pair(ends);
}

/* Every byte arrives, from any offset; a file that ends first is no error, the count tells. */
TT_TEST(sendfile, sends_parts_and_stops_at_the_end)
{
	tt_fd *file = test_file(FILE_BYTES);

	send_part(file, 0, FILE_BYTES, FILE_BYTES);
	send_part(file, 65535, 70000, 70000);
	send_part(file, FILE_BYTES - 10, SIZE_MAX, 10);
	send_part(file, FILE_BYTES, 10, 0);
	send_part(file, FILE_BYTES + 1000, 10, 0);
	send_part(file, 5, 0, 0);
	tt_fd_close(file);
}

/* To a file too: a copy. */
TT_TEST(sendfile, copies_a_file)
{
	static unsigned char buf[FILE_BYTES];
	tt_fd *from = test_file(FILE_BYTES), *to = test_file(1);
	size_t done = 0;

	EXPECT_EQ(tt_sendfile(to, from, 0, SIZE_MAX, &done), 0);
	EXPECT_EQ(done, FILE_BYTES);
	EXPECT_OK(tt_file_pread_exact(to, buf, FILE_BYTES, 0, NULL));
	EXPECT_TRUE(test_matches(buf, 0, FILE_BYTES));
	tt_fd_close(from);
	tt_fd_close(to);
}

/* Law 1. A peer that reads nothing: the cancel says how much went out, and the stream is torn. */
TT_TEST(sendfile, cut_short_it_tears_the_stream)
{
	static unsigned char buf[8u << 20];
	tt_fd *file = test_file(sizeof(buf)), *ends[2];
	size_t done = 0, got = 0;
	int rc;

	REQUIRE_OK(tt_pair(ends));
	EXPECT_CODE(TT_WITHIN(TT_MS(20), tt_sendfile(ends[0], file, 0, sizeof(buf), &done)), TT_ETIMEDOUT);
	EXPECT_GT(done, 0);
	EXPECT_LT(done, sizeof(buf));
	EXPECT_CODE(tt_write(ends[0], "x", 1), TT_ETORN);
	EXPECT_CODE(tt_sendfile(ends[0], file, 0, 1, &done), TT_ETORN);
	EXPECT_EQ(done, 0);
	EXPECT_OK(tt_fd_shutdown(ends[0], SHUT_WR));
	while ((rc = tt_read(ends[1], buf + got, sizeof(buf) - got)) > 0)
		got += (size_t)rc;
	EXPECT_TRUE(test_matches(buf, 0, got));
	EXPECT_GT(got, 0);
	/* A call that never began tore nothing. */
	test_close_pair(ends);
	REQUIRE_OK(tt_pair(ends));
	EXPECT_CODE(TT_WITHIN(0, tt_sendfile(ends[0], file, 0, 1, &done)), TT_ETIMEDOUT);
	EXPECT_EQ(done, 0);
	EXPECT_EQ(tt_write(ends[0], "x", 1), 1);
	test_close_pair(ends);
	tt_fd_close(file);
}

static TT_TASK(send_until, (tt_fd *, fd), (tt_fd *, file), (int, expected))
{
	EXPECT_CODE(tt_sendfile(fd, file, 0, SIZE_MAX, NULL), expected);
	return 0;
}

/* Law 1: a close of the stream ends it; a close of the file does not wait for the peer. */
TT_TEST(sendfile, closing_either_ends_it)
{
	/* law 10 */
	static unsigned char buf[1u << 16];
	tt_fd *file = test_file(8u << 20), *ends[2];
	int rc;

	REQUIRE_OK(tt_pair(ends));
	{
		TT_GROUP(g);
		tt_go(&g, send_until, ends[0], file, TT_EBADF);
		REQUIRE_OK(tt_sleep(TT_MS(20)));
		tt_fd_close(ends[0]);
		EXPECT_OK(tt_group_end(&g, 0));
	}
	tt_fd_close(ends[1]);
	REQUIRE_OK(tt_pair(ends));
	{
		TT_GROUP(g);
		tt_go(&g, send_until, ends[0], file, TT_EBADF);
		REQUIRE_OK(tt_sleep(TT_MS(20)));
		tt_fd_close(file);
		while ((rc = TT_WITHIN(TT_MS(200), tt_read(ends[1], buf, sizeof(buf)))) > 0)
			;
		EXPECT_OK(tt_group_end(&g, 0));
	}
	test_close_pair(ends);
}

TT_TEST(sendfile, refusals)
{
	tt_fd *file = test_file(10), *ends[2];
	size_t done = 99;

	REQUIRE_OK(tt_pair(ends));
	EXPECT_CODE(tt_sendfile(ends[0], ends[1], 0, 1, &done), TT_ENOTSUP);
	EXPECT_CODE(tt_sendfile(ends[0], file, UINT64_MAX, 1, &done), TT_EINVAL);
	EXPECT_CODE(tt_sendfile(ends[0], NULL, 0, 1, &done), TT_EBADF);
	EXPECT_CODE(tt_sendfile(NULL, file, 0, 1, &done), TT_EBADF);
	EXPECT_EQ(done, 0);
	tt_fd_close(ends[1]);
	EXPECT_CODE(tt_sendfile(ends[0], file, 0, 10, &done), TT_EPIPE);
	tt_fd_close(ends[0]);
	tt_fd_close(file);
}

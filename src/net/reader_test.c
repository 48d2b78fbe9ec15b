/* SPDX-License-Identifier: MIT */
/* reader_test.c - buffered reading: texts at every position of the buffer, ends, cuts. */
#include <sys/socket.h>

#include "net/net_testkit.h"

TT_TEST_MAIN()

static TT_TASK(send_in_pieces, (tt_fd *, fd), (const char *, bytes), (size_t, n), (size_t, piece))
{
	for (size_t at = 0; at < n; at += piece) {
		size_t part = n - at < piece ? n - at : piece;

		TT_TRY(tt_write_all(fd, bytes + at, part, NULL));
		TT_TRY(tt_yield());
	}
	return tt_fd_shutdown(fd, SHUT_WR);
}

static int expect_lines(tt_reader *r)
{
	char *text = NULL, expected[16];
	size_t len = 0;
	int rc;

	for (int i = 0; i < 60; i++) {
		TT_TRY(rc = tt_read_until(r, '\n', &text, &len));
		REQUIRE_EQ(rc, 1);
		memset(expected, 'a' + i % 26, sizeof(expected));
		expected[i % 8] = '\0';
		REQUIRE_STR_EQ(text, expected);
		REQUIRE_EQ(len, (size_t)(i % 8));
	}
	REQUIRE_EQ(tt_read_until(r, '\n', &text, &len), 0);
	return tt_read_until(r, '\n', &text, &len);
}

static int lines_through(size_t room, size_t piece)
{
	char bytes[600], buf[64];
	size_t n = 0;
	tt_fd *ends[2];
	tt_reader r;

	for (int i = 0; i < 60; i++) {
		memset(bytes + n, 'a' + i % 26, (size_t)(i % 8));
		n += (size_t)(i % 8);
		bytes[n++] = '\n';
	}
	REQUIRE_OK(tt_pair(ends));
	TT_DEFER(tt_fd_close, ends[0]);
	TT_DEFER(tt_fd_close, ends[1]);
	tt_reader_init(&r, ends[1], buf, room);
	TT_GROUP(g);
	tt_go(&g, send_in_pieces, ends[0], bytes, n, piece);
	return tt_group_end(&g, expect_lines(&r));
}

/* Lines of 0 to 7 bytes through buffers of 8 to 40 bytes, sent in pieces of 1 to 20: a
 * delimiter stands at every place of the buffer, its edges too. */
TT_TEST(reader, lines_meet_every_edge_of_the_buffer)
{
	for (size_t room = 8; room <= 40; room += 4)
		for (size_t piece = 1; piece <= 20; piece += 3)
			EXPECT_EQ(lines_through(room, piece), 0);
}

static void reader_over(tt_fd *ends[2], tt_reader *r, char *buf, size_t room, const char *bytes)
{
	REQUIRE_OK(tt_pair(ends));
	REQUIRE_OK(tt_write_all(ends[0], bytes, strlen(bytes), NULL));
	tt_fd_close(ends[0]);
	tt_reader_init(r, ends[1], buf, room);
}

/* A line that fills the buffer to its last byte is given; one byte more is a code, and the
 * bytes are still there. */
TT_TEST(reader, too_long_line_is_enobufs)
{
	char buf[8], *text = NULL, *data;
	size_t len = 0;
	tt_fd *ends[2];
	tt_reader r;

	reader_over(ends, &r, buf, sizeof(buf), "1234567\n12345678\n");
	REQUIRE_EQ(tt_read_until(&r, '\n', &text, &len), 1);
	EXPECT_STR_EQ(text, "1234567");
	EXPECT_CODE(tt_read_until(&r, '\n', &text, &len), TT_ENOBUFS);
	EXPECT_CODE(tt_reader_fill(&r), TT_ENOBUFS);
	EXPECT_EQ(tt_reader_buffered(&r, &data), 8);
	EXPECT_MEM_EQ(data, "12345678", 8);
	tt_reader_consume(&r, 3);
	EXPECT_EQ(tt_read_until(&r, '\n', &text, &len), 1);
	EXPECT_STR_EQ(text, "45678");
	EXPECT_EQ(tt_read_until(&r, '\n', &text, &len), 0);
	tt_fd_close(ends[1]);
}

/* The end before the delimiter is a code; what came stays to be looked at. */
TT_TEST(reader, end_inside_a_line_is_eeof)
{
	char buf[16], *text = NULL, *data;
	size_t len = 0;
	tt_fd *ends[2];
	tt_reader r;

	reader_over(ends, &r, buf, sizeof(buf), "whole\npart");
	EXPECT_EQ(tt_read_until(&r, '\n', &text, &len), 1);
	EXPECT_CODE(tt_read_until(&r, '\n', &text, &len), TT_EEOF);
	EXPECT_EQ(tt_reader_buffered(&r, &data), 4);
	EXPECT_MEM_EQ(data, "part", 4);
	EXPECT_EQ(tt_reader_fill(&r), 0);
	tt_reader_consume(&r, 4);
	EXPECT_EQ(tt_read_until(&r, '\n', &text, &len), 0);
	EXPECT_ABORTS(tt_reader_consume(&r, 1), "1 bytes of 0 that are buffered");
	tt_fd_close(ends[1]);
}

/* Another delimiter than the last call's is found where that one searched already; 0 and 255
 * are delimiters like any other. */
TT_TEST(reader, delimiters_may_change)
{
	char buf[32], *text = NULL;
	size_t len = 0;
	tt_fd *ends[2];
	tt_reader r;

	reader_over(ends, &r, buf, sizeof(buf), "a,b;c\xff" "d");
	EXPECT_CODE(tt_read_until(&r, '\n', &text, &len), TT_EEOF);
	EXPECT_EQ(tt_read_until(&r, ',', &text, &len), 1);
	EXPECT_STR_EQ(text, "a");
	EXPECT_CODE(tt_read_until(&r, ',', &text, &len), TT_EEOF);
	EXPECT_EQ(tt_read_until(&r, ';', &text, &len), 1);
	EXPECT_STR_EQ(text, "b");
	EXPECT_EQ(tt_read_until(&r, 0xff, &text, &len), 1);
	EXPECT_STR_EQ(text, "c");
	EXPECT_CODE(tt_read_until(&r, '\0', &text, &len), TT_EEOF);
	tt_fd_close(ends[1]);
}

/* Reads through the buffer take what it holds before they go to the stream. */
TT_TEST(reader, reads_take_the_buffer_first)
{
	char buf[8], out[64];
	size_t done = 0;
	tt_fd *ends[2];
	tt_reader r;
	char *data;

	reader_over(ends, &r, buf, sizeof(buf), "0123456789abcdefghijklmnopqrstuvwxyz");
	EXPECT_EQ(tt_reader_read(&r, out, 3), 3);
	EXPECT_MEM_EQ(out, "012", 3);
	EXPECT_EQ(tt_reader_read(&r, out, 64), 5);
	EXPECT_MEM_EQ(out, "34567", 5);
	EXPECT_EQ(tt_reader_read(&r, out, 0), 0);
	EXPECT_EQ(tt_reader_read(&r, out, 10), 10);
	EXPECT_MEM_EQ(out, "89abcdefgh", 10);
	EXPECT_OK(tt_reader_read_exact(&r, out, 2, &done));
	EXPECT_EQ(done, 2);
	EXPECT_EQ(tt_reader_buffered(&r, &data), 6);
	EXPECT_OK(tt_reader_read_exact(&r, out, 15, &done));
	EXPECT_MEM_EQ(out, "klmnopqrstuvwxy", 15);
	EXPECT_CODE(tt_reader_read_exact(&r, out, 2, &done), TT_EEOF);
	EXPECT_EQ(done, 1);
	EXPECT_EQ(out[0], 'z');
	EXPECT_CODE(tt_reader_read_exact(&r, out, 20, &done), TT_EEOF);
	EXPECT_EQ(done, 0);
	EXPECT_EQ(tt_reader_read(&r, out, 1), 0);
	tt_fd_close(ends[1]);
}

/* Law 1: a read_until that is cut short has taken nothing: the line comes whole later. */
TT_TEST(reader, cut_read_until_keeps_what_came)
{
	char buf[64], *text = NULL;
	size_t len = 0;
	tt_fd *ends[2];
	tt_reader r;

	REQUIRE_OK(tt_pair(ends));
	tt_reader_init(&r, ends[1], buf, sizeof(buf));
	for (int i = 0; i < 40; i++)  {
		REQUIRE_EQ(tt_write(ends[0], "x", 1), 1);
		EXPECT_CODE(TT_WITHIN(TT_US(100), tt_read_until(&r, '\n', &text, &len)), TT_ETIMEDOUT);
	}
	EXPECT_EQ(text, NULL);
	REQUIRE_EQ(tt_write(ends[0], "\n", 1), 1);
	EXPECT_EQ(tt_read_until(&r, '\n', &text, &len), 1);
	EXPECT_EQ(len, 40);
	EXPECT_EQ(strspn(text, "x"), 40);
	EXPECT_CODE(TT_WITHIN(0, tt_reader_read(&r, buf, 1)), TT_ETIMEDOUT);
	test_close_pair(ends);
}

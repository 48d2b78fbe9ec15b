/* SPDX-License-Identifier: MIT */
/* writer_test.c - buffered writing: nothing leaves before it must, all of it in order. */
#include <sys/socket.h>

#include "net/net_testkit.h"

TT_TEST_MAIN()

static int wrote(tt_writer *w, size_t from, size_t n)
{
	unsigned char bytes[300];

	test_fill(bytes, from, n);
	return tt_writer_write(w, bytes, n);
}

/* What fits stays; what does not takes all before it along. */
TT_TEST(writer, leaves_when_full_or_flushed)
{
	unsigned char back[300];
	char buf[16];
	tt_fd *ends[2];
	tt_writer w;

	REQUIRE_OK(tt_pair(ends));
	tt_writer_init(&w, ends[0], buf, sizeof(buf));
	EXPECT_OK(wrote(&w, 0, 10));
	EXPECT_OK(wrote(&w, 10, 6));
	EXPECT_CODE(tt_try_read(ends[1], back, sizeof(back)), TT_EAGAIN);
	EXPECT_OK(wrote(&w, 16, 1));
	EXPECT_OK(tt_read_exact(ends[1], back, 17, NULL));
	EXPECT_TRUE(test_matches(back, 0, 17));
	EXPECT_OK(wrote(&w, 17, 3));
	EXPECT_OK(wrote(&w, 20, 200));
	EXPECT_OK(tt_read_exact(ends[1], back, 203, NULL));
	EXPECT_TRUE(test_matches(back, 17, 203));
	EXPECT_OK(wrote(&w, 220, 4));
	EXPECT_OK(wrote(&w, 224, 0));
	EXPECT_OK(tt_writer_flush(&w));
	EXPECT_OK(tt_writer_flush(&w));
	EXPECT_EQ(tt_read(ends[1], back, sizeof(back)), 4);
	EXPECT_TRUE(test_matches(back, 220, 4));
	test_close_pair(ends);
}

/* A flush that is cancelled before its first byte keeps the buffer for the next one. */
TT_TEST(writer, flush_cut_at_entry_can_be_repeated)
{
	char buf[16], back[16];
	tt_fd *ends[2];
	tt_writer w;

	REQUIRE_OK(tt_pair(ends));
	tt_writer_init(&w, ends[0], buf, sizeof(buf));
	EXPECT_OK(tt_writer_write(&w, "hello", 5));
	EXPECT_CODE(TT_WITHIN(0, tt_writer_flush(&w)), TT_ETIMEDOUT);
	EXPECT_CODE(TT_WITHIN(0, tt_writer_write(&w, buf, 16)), TT_ETIMEDOUT);
	EXPECT_OK(tt_writer_flush(&w));
	EXPECT_EQ(tt_read(ends[1], back, sizeof(back)), 5);
	EXPECT_MEM_EQ(back, "hello", 5);
	test_close_pair(ends);
}

/* Law 1: one that was cut half way tore the stream, and every later call says so. */
TT_TEST(writer, cut_write_is_torn)
{
	static unsigned char big[8u << 20];
	char buf[16];
	tt_fd *ends[2];
	tt_writer w;

	for (int i = 0; i < 20; i++) {
		REQUIRE_OK(tt_pair(ends));
		tt_writer_init(&w, ends[0], buf, sizeof(buf));
		EXPECT_OK(tt_writer_write(&w, "first", 5));
		EXPECT_CODE(TT_WITHIN(TT_US(200), tt_writer_write(&w, big, sizeof(big))), TT_ETIMEDOUT);
		EXPECT_CODE(tt_writer_flush(&w), TT_ETORN);
		EXPECT_CODE(tt_writer_write(&w, big, 100), TT_ETORN);
		test_close_pair(ends);
	}
}

/* The peer has gone: a code, not a signal. */
TT_TEST(writer, broken_pipe_is_a_code)
{
	char buf[16];
	tt_fd *ends[2];
	tt_writer w;

	REQUIRE_OK(tt_pair(ends));
	tt_fd_close(ends[1]);
	tt_writer_init(&w, ends[0], buf, sizeof(buf));
	EXPECT_OK(tt_writer_write(&w, "x", 1));
	EXPECT_CODE(tt_writer_flush(&w), TT_EPIPE);
	tt_fd_close(ends[0]);
}

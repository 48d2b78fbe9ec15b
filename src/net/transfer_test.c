/* SPDX-License-Identifier: MIT */
/*
 * transfer_test.c - bytes through connected streams: all of them arrive, in order, whatever
 * is cancelled, shut or reset meanwhile.
 */
#include <sys/socket.h>
#include <sys/uio.h>

#include "net/net_testkit.h"

TT_TEST_MAIN()

#define MIB (1024u * 1024)

static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };

/* ---- echo ---- */

static TT_TASK(echo, (tt_fd *, fd))
{
	unsigned char buf[8192];
	int n;

	while ((n = tt_read(fd, buf, sizeof(buf))) > 0)
		TT_TRY(tt_write_all(fd, buf, (size_t)n, NULL));
	TT_TRY(n);
	return tt_fd_shutdown(fd, SHUT_WR);
}

static TT_TASK(send_chunks, (tt_fd *, fd), (size_t, total), (size_t, chunk))
{
	unsigned char buf[16384];

	for (size_t sent = 0; sent < total;) {
		size_t n = total - sent < chunk ? total - sent : chunk;

		if (n > sizeof(buf))
			n = sizeof(buf);
		test_fill(buf, sent, n);
		TT_TRY(tt_write_all(fd, buf, n, NULL));
		sent += n;
	}
	return tt_fd_shutdown(fd, SHUT_WR);
}

static int receive_all(tt_fd *fd, size_t total)
{
	unsigned char buf[10000];
	size_t got = 0;
	int n;

	while ((n = tt_read(fd, buf, sizeof(buf))) > 0) {
		REQUIRE_TRUE(test_matches(buf, got, (size_t)n));
		got += (size_t)n;
	}
	EXPECT_EQ(got, total);
	return n;
}

static int echo_of(tt_fd *ends[2], size_t total, size_t chunk)
{
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, echo, ends[1]);
	tt_go_with(&g, &anywhere, send_chunks, ends[0], total, chunk);
	return tt_group_end(&g, receive_all(ends[0], total));
}

/* A mebibyte comes back as it went, through a pair and through TCP, in chunks of any size,
 * the three tasks on any workers. */
TT_TEST(transfer, echo_returns_every_byte_in_order)
{
	static const struct { size_t total, chunk; } cases[] = {
		{ 3000, 1 }, { 70000, 97 }, { MIB, 4096 }, { MIB, 65536 },
	};
	tt_fd *ends[2];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		REQUIRE_OK(tt_pair(ends));
		EXPECT_OK(echo_of(ends, cases[i].total, cases[i].chunk));
		test_close_pair(ends);
		test_tcp_pair(ends);
		EXPECT_OK(echo_of(ends, cases[i].total, cases[i].chunk));
		test_close_pair(ends);
	}
	EXPECT_TASKS_ALIVE(1);
}

/* ---- ends ---- */

/* After half closing, the other direction goes on. */
TT_TEST(transfer, half_close_ends_one_direction_only)
{
	tt_fd *ends[2];
	char c = 0;

	test_tcp_pair(ends);
	EXPECT_OK(tt_fd_shutdown(ends[0], SHUT_WR));
	EXPECT_EQ(tt_read(ends[1], &c, 1), 0);
	EXPECT_EQ(tt_write(ends[1], "x", 1), 1);
	EXPECT_EQ(tt_read(ends[0], &c, 1), 1);
	EXPECT_EQ(c, 'x');
	EXPECT_CODE(tt_write(ends[0], "y", 1), TT_EPIPE);
	test_close_pair(ends);
}

static TT_TASK(read_end, (tt_fd *, fd))
{
	char c;

	return tt_read(fd, &c, 1);
}

/* Shutting wakes a reader of this side and one of the other; both see the end. */
TT_TEST(transfer, shutdown_wakes_readers)
{
	tt_fd *ends[2];

	REQUIRE_OK(tt_pair(ends));
	{
		TT_GROUP(g);
		tt_go_with(&g, &anywhere, read_end, ends[0]);
		tt_go_with(&g, &anywhere, read_end, ends[1]);
		EXPECT_OK(tt_test_wait_all_parked());
		EXPECT_OK(tt_fd_shutdown(ends[0], SHUT_RDWR));
		EXPECT_OK(tt_group_end(&g, 0));
	}
	EXPECT_CODE(tt_fd_shutdown(ends[0], 77), TT_EINVAL);
	test_close_pair(ends);
}

/* A peer that closed with bytes unread is a reset: a code, once, then the end. */
TT_TEST(transfer, reset_is_a_code)
{
	tt_fd *ends[2];
	char c;

	test_tcp_pair(ends);
	REQUIRE_EQ(tt_write(ends[0], "unread", 6), 6);
	REQUIRE_EQ(tt_fd_poll(ends[1], 1), 1);
	tt_fd_close(ends[1]);
	EXPECT_CODE(tt_read(ends[0], &c, 1), TT_ECONNRESET);
	EXPECT_EQ(tt_read(ends[0], &c, 1), 0);
	EXPECT_CODE(tt_write(ends[0], "x", 1), TT_EPIPE);
	tt_fd_close(ends[0]);
}

/* Reading nothing and writing nothing is nothing, but a closed handle is still noticed. */
TT_TEST(transfer, zero_bytes)
{
	tt_fd *ends[2];
	char c;

	REQUIRE_OK(tt_pair(ends));
	EXPECT_EQ(tt_read(ends[0], &c, 0), 0);
	EXPECT_EQ(tt_write(ends[0], &c, 0), 0);
	EXPECT_EQ(tt_try_read(ends[0], &c, 0), 0);
	EXPECT_EQ(tt_try_write(ends[0], &c, 0), 0);
	EXPECT_EQ(tt_read_exact(ends[0], &c, 0, NULL), 0);
	EXPECT_EQ(tt_write_all(ends[0], &c, 0, NULL), 0);
	EXPECT_EQ(tt_writev_all(ends[0], NULL, 0, NULL), 0);
	tt_fd_close(ends[0]);
	EXPECT_CODE(tt_read(ends[0], &c, 0), TT_EBADF);
	EXPECT_CODE(tt_write_all(ends[0], &c, 0, NULL), TT_EBADF);
	tt_fd_close(ends[1]);
}

/* The try forms never wait. */
TT_TEST(transfer, tries_say_eagain)
{
	unsigned char buf[4096] = { 0 };
	tt_fd *ends[2];
	size_t put = 0, got = 0;
	int n;

	REQUIRE_OK(tt_pair(ends));
	EXPECT_CODE(tt_try_read(ends[0], buf, sizeof(buf)), TT_EAGAIN);
	while ((n = tt_try_write(ends[0], buf, sizeof(buf))) > 0)
		put += (size_t)n;
	EXPECT_CODE(n, TT_EAGAIN);
	while ((n = tt_try_read(ends[1], buf, sizeof(buf))) > 0)
		got += (size_t)n;
	EXPECT_CODE(n, TT_EAGAIN);
	EXPECT_EQ(put, got);
	tt_fd_close(ends[0]);
	EXPECT_EQ(tt_try_read(ends[1], buf, sizeof(buf)), 0);
	EXPECT_CODE(tt_try_write(ends[1], buf, sizeof(buf)), TT_EPIPE);
	tt_fd_close(ends[1]);
}

/* ---- composites ---- */

static TT_TASK(write_slowly, (tt_fd *, fd), (size_t, total), (size_t, chunk))
{
	unsigned char buf[64];

	for (size_t sent = 0; sent < total; sent += chunk) {
		test_fill(buf, sent, chunk);
		TT_TRY(tt_write_all(fd, buf, chunk, NULL));
		TT_TRY(tt_sleep(TT_US(50)));
	}
	return 0;
}

/* All n bytes, however they come; the end before that is a code, and progress is told. */
TT_TEST(transfer, read_exact_is_all_or_a_code)
{
	unsigned char buf[640];
	size_t done = 99;
	tt_fd *ends[2];

	REQUIRE_OK(tt_pair(ends));
	{
		TT_GROUP(g);
		tt_go_with(&g, &anywhere, write_slowly, ends[0], sizeof(buf), 32);
		EXPECT_OK(tt_read_exact(ends[1], buf, sizeof(buf), &done));
		EXPECT_EQ(done, sizeof(buf));
		EXPECT_TRUE(test_matches(buf, 0, sizeof(buf)));
		EXPECT_OK(tt_group_end(&g, 0));
	}
	REQUIRE_EQ(tt_write(ends[0], "abc", 3), 3);
	tt_fd_close(ends[0]);
	EXPECT_CODE(tt_read_exact(ends[1], buf, 4, &done), TT_EEOF);
	EXPECT_EQ(done, 3);
	EXPECT_CODE(tt_read_exact(ends[1], buf, 1, &done), TT_EEOF);
	EXPECT_EQ(done, 0);
	tt_fd_close(ends[1]);
}

/* Law 1: the deadline cuts a read_exact short; what it read it tells, and leaves its buffer. */
TT_TEST(transfer, read_exact_tells_progress_when_cut)
{
	unsigned char buf[100];
	size_t done = 99;
	tt_fd *ends[2];

	REQUIRE_OK(tt_pair(ends));
	for (int i = 0; i < 40; i++) {
		REQUIRE_EQ(tt_write(ends[0], "abc", 3), 3);
		EXPECT_CODE(TT_WITHIN(TT_US(500), tt_read_exact(ends[1], buf, sizeof(buf), &done)), TT_ETIMEDOUT);
		EXPECT_EQ(done, 3);
		memset(buf, 0, sizeof(buf));
	}
	test_close_pair(ends);
}

/* Pieces of all sizes, empty ones too, arrive as one run of bytes. */
TT_TEST(transfer, writev_joins_pieces)
{
	static unsigned char all[60000], back[60000];
	static const size_t sizes[] = { 1, 0, 4095, 1, 4096, 3, 20000, 0, 5000, 8192, 7, 4089 };
	struct iovec iov[12];
	size_t at = 0, done = 0;
	tt_fd *ends[2];

	test_fill(all, 0, sizeof(all));
	for (size_t i = 0; i < 12; i++) {
		iov[i] = (struct iovec){ all + at, sizes[i] };
		at += sizes[i];
	}
	REQUIRE_OK(tt_pair(ends));
	{
		TT_GROUP(g);
		tt_go_with(&g, &anywhere, send_chunks, ends[0], (size_t)10, (size_t)10);
		REQUIRE_OK(tt_read_exact(ends[1], back, 10, NULL));
		EXPECT_OK(tt_group_end(&g, 0));
	}
	test_close_pair(ends);
	REQUIRE_OK(tt_pair(ends));
	{
		TT_GROUP(g);
		tt_go_with(&g, &anywhere, echo, ends[1]);
		EXPECT_OK(tt_writev_all(ends[0], iov, 12, &done));
		EXPECT_EQ(done, at);
		EXPECT_OK(tt_fd_shutdown(ends[0], SHUT_WR));
		EXPECT_OK(tt_read_exact(ends[0], back, at, NULL));
		EXPECT_MEM_EQ(back, all, at);
		EXPECT_OK(tt_group_end(&g, 0));
	}
	EXPECT_CODE(tt_writev_all(ends[0], iov, -1, &done), TT_EINVAL);
	EXPECT_EQ(done, 0);
	test_close_pair(ends);
}

/* Law 1: a composite write cut half way tears the stream: every later write says so, reads go on. */
TT_TEST(transfer, cut_write_all_tears_the_stream)
{
	static unsigned char big[8 * MIB];
	size_t done = 0;
	tt_fd *ends[2];

	for (int i = 0; i < 20; i++) {
		REQUIRE_OK(tt_pair(ends));
		EXPECT_CODE(TT_WITHIN(TT_US(500), tt_write_all(ends[0], big, sizeof(big), &done)), TT_ETIMEDOUT);
		EXPECT_GT(done, 0);
		EXPECT_LT(done, sizeof(big));
		EXPECT_CODE(tt_write(ends[0], "x", 1), TT_ETORN);
		EXPECT_CODE(tt_try_write(ends[0], "x", 1), TT_ETORN);
		EXPECT_CODE(tt_write_all(ends[0], "x", 1, &done), TT_ETORN);
		EXPECT_EQ(done, 0);
		EXPECT_EQ(tt_write(ends[1], "y", 1), 1);
		EXPECT_EQ(tt_read(ends[0], big, 1), 1);
		test_close_pair(ends);
	}
}

/* A composite write that was cut before its first byte tears nothing. */
TT_TEST(transfer, write_all_cut_at_entry_does_not_tear)
{
	size_t done = 99;
	tt_fd *ends[2];

	REQUIRE_OK(tt_pair(ends));
	EXPECT_CODE(TT_WITHIN(0, tt_write_all(ends[0], "x", 1, &done)), TT_ETIMEDOUT);
	EXPECT_EQ(done, 0);
	EXPECT_EQ(tt_write(ends[0], "x", 1), 1);
	test_close_pair(ends);
}

/* ---- cancels ---- */

/* The check comes first: in a cancelled scope nothing is taken, though bytes wait. */
TT_TEST(transfer, entry_check_takes_nothing)
{
	tt_fd *ends[2];
	char c = 0;

	REQUIRE_OK(tt_pair(ends));
	REQUIRE_EQ(tt_write(ends[0], "x", 1), 1);
	EXPECT_CODE(TT_WITHIN(-1, tt_read(ends[1], &c, 1)), TT_ETIMEDOUT);
	EXPECT_CODE(TT_WITHIN(-1, tt_write(ends[0], "y", 1)), TT_ETIMEDOUT);
	EXPECT_EQ(tt_read(ends[1], &c, 1), 1);
	EXPECT_EQ(c, 'x');
	EXPECT_CODE(tt_try_read(ends[1], &c, 1), TT_EAGAIN);
	test_close_pair(ends);
}

static int cut_read(tt_fd *fd)
{
	volatile unsigned char buf[512];
	int rc;

	memset((void *)(uintptr_t)buf, 0xaa, sizeof(buf));
	rc = TT_WITHIN(TT_US(100), tt_read(fd, (void *)(uintptr_t)buf, sizeof(buf)));
	for (size_t i = 0; rc == TT_ETIMEDOUT && i < sizeof(buf); i++)
		REQUIRE_EQ(buf[i], 0xaa);
	return rc;
}

static int use_stack(void)
{
	volatile unsigned char other[2048];

	memset((void *)(uintptr_t)other, 0x55, sizeof(other));
	if (tt_sleep(TT_US(50)) < 0)
		return -1;
	for (size_t i = 0; i < sizeof(other); i++)
		REQUIRE_EQ(other[i], 0x55);
	return 0;
}

/* Law 1: when a cancelled read has returned, nobody writes into its frame any more, though
 * bytes arrive. */
TT_TEST(transfer, cancelled_read_leaves_its_buffer_alone)
{
	tt_fd *ends[2];
	char c;

	test_tcp_pair(ends);
	for (int i = 0; i < 50; i++) {
		EXPECT_CODE(cut_read(ends[1]), TT_ETIMEDOUT);
		REQUIRE_EQ(tt_write(ends[0], "z", 1), 1);
		EXPECT_OK(use_stack());
		REQUIRE_EQ(tt_read(ends[1], &c, 1), 1);
		EXPECT_EQ(c, 'z');
	}
	test_close_pair(ends);
}

#define RACED_BYTES 4000u

static TT_TASK(write_with_deadlines, (tt_fd *, fd))
{
	uint64_t random = tt_test_seed() + 1;
	unsigned char buf[16];
	size_t sent = 0;

	while (sent < RACED_BYTES) {
		size_t n = 1 + test_random(&random, sizeof(buf));
		int rc;

		n = n < RACED_BYTES - sent ? n : RACED_BYTES - sent;
		test_fill(buf, sent, n);
		rc = TT_WITHIN(TT_US(test_random(&random, 12)), tt_write(fd, buf, n));
		if (rc == TT_ETIMEDOUT)
			continue;
		TT_TRY(rc);
		sent += (size_t)rc;
		TT_TRY(tt_sleep(TT_US(test_random(&random, 12))));
	}
	return tt_fd_shutdown(fd, SHUT_WR);
}

static int read_with_deadlines(tt_fd *fd, unsigned *ret_cut)
{
	uint64_t random = tt_test_seed() + 2;
	unsigned char buf[16];
	size_t got = 0;

	for (*ret_cut = 0;;) {
		int rc = TT_WITHIN(TT_US(test_random(&random, 12)), tt_read(fd, buf, sizeof(buf)));

		if (rc == TT_ETIMEDOUT) {
			++*ret_cut;
			memset(buf, 0, sizeof(buf));
			continue;
		}
		TT_TRY(rc);
		if (rc == 0)
			break;
		REQUIRE_TRUE(test_matches(buf, got, (size_t)rc));
		got += (size_t)rc;
	}
	EXPECT_EQ(got, RACED_BYTES);
	return 0;
}

/* Laws 1 and 2: deadlines that race with bytes on their way in and out lose none and invent
 * none. */
TT_TEST(transfer, deadlines_conserve_bytes)
{
	unsigned cut = 0;
	tt_fd *ends[2];

	test_tcp_pair(ends);
	{
		TT_GROUP(g);
		tt_go_with(&g, &anywhere, write_with_deadlines, ends[0]);
		EXPECT_OK(tt_group_end(&g, read_with_deadlines(ends[1], &cut)));
	}
	EXPECT_GT(cut, 10);
	test_close_pair(ends);
}

/* Law 1: a writer that waits for room leaves at its deadline with nothing written. */
TT_TEST(transfer, write_obeys_its_deadline)
{
	static unsigned char buf[4096];
	size_t put = 0, got = 0;
	tt_fd *ends[2];
	int n;

	REQUIRE_OK(tt_pair(ends));
	while ((n = tt_try_write(ends[0], buf, sizeof(buf))) > 0)
		put += (size_t)n;
	for (int i = 0; i < 40; i++)
		EXPECT_CODE(TT_WITHIN(TT_US(100), tt_write(ends[0], buf, sizeof(buf))), TT_ETIMEDOUT);
	while ((n = tt_try_read(ends[1], buf, sizeof(buf))) > 0)
		got += (size_t)n;
	EXPECT_EQ(put, got);
	test_close_pair(ends);
}

/* ---- a close between two parts ---- */

struct cut {
	tt_fd *ends[2];
	size_t sent, received;
	int rc;
	bool closing;
};

static TT_TASK(writes_much, (struct cut *, c))
{
	static unsigned char much[20000];

	test_fill(much, 0, sizeof(much));
	c->rc = tt_write_all(c->ends[0], much, sizeof(much), &c->sent);
	return 0;
}

static TT_TASK(reads_much, (struct cut *, c))
{
	unsigned char buf[100];
	int n;

	while ((n = tt_read(c->ends[1], buf, sizeof(buf))) > 0) {
		EXPECT_TRUE(test_matches(buf, c->received, (size_t)n));
		c->received += (size_t)n;
		if (c->closing)
			TT_TRY(tt_sleep(TT_SEC(1))); /* a close does not wait for who reads */
	}
	return n;
}

static TT_TASK(closes_after, (struct cut *, c), (unsigned, turns))
{
	int64_t before;

	for (unsigned i = 0; i < turns; i++)
		TT_TRY(tt_yield());
	before = tt_now();
	c->closing = true;
	tt_fd_close(c->ends[0]);
	EXPECT_LT(tt_now() - before, TT_MS(500));
	return 0;
}

static int cut_after(unsigned turns, int *ret_cut)
{
	struct cut c = { .rc = 1 };
	int rc;

	TT_TRY(tt_pair(c.ends));
	{
		TT_GROUP(g);
		tt_go_with(&g, &anywhere, reads_much, &c);
		tt_go_with(&g, &anywhere, writes_much, &c);
		tt_go_with(&g, &anywhere, closes_after, &c, turns);
		rc = tt_group_end(&g, 0);
	}
	EXPECT_TRUE(c.rc == 0 || c.rc == TT_EBADF);
	EXPECT_EQ(c.received, c.sent);
	*ret_cut += c.rc == TT_EBADF && c.sent > 0;
	tt_fd_close(c.ends[1]);
	return rc;
}

static TT_TASK(is_cut_anywhere, (int *, ret_cut))
{
	for (unsigned turns = 0; turns < 60; turns++)
		TT_TRY(cut_after(turns, ret_cut));
	return 0;
}

static TT_TASK(reads_for_ever, (struct cut *, c))
{
	static unsigned char room[1 << 20];

	c->rc = tt_read_exact(c->ends[0], room, sizeof(room), &c->received);
	return 0;
}

/* Small pieces, one in a turn, so that the reader finds nothing now and then; none any more when
 * the close has come. */
static TT_TASK(writes_a_little, (struct cut *, c))
{
	int rc = 0;

	while (!c->closing && rc == 0) {
		rc = tt_write_all(c->ends[1], "abcdefg", 7, NULL);
		TT_TRY(tt_yield());
	}
	return rc == TT_EPIPE || rc == TT_ECONNRESET ? 0 : rc;
}

static int silent_after(unsigned turns, int *ret_cut)
{
	struct cut c = { .rc = 1 };
	int rc;

	TT_TRY(tt_pair(c.ends));
	{
		TT_GROUP(g);
		tt_go_with(&g, &anywhere, reads_for_ever, &c);
		tt_go_with(&g, &anywhere, writes_a_little, &c);
		tt_go_with(&g, &anywhere, closes_after, &c, turns);
		rc = tt_group_end(&g, 0);
	}
	EXPECT_CODE(c.rc, TT_EBADF);
	*ret_cut += c.received > 0;
	tt_fd_close(c.ends[1]);
	return rc;
}

static TT_TASK(is_closed_anywhere, (int *, ret_cut))
{
	for (unsigned turns = 0; turns < 300; turns++)
		TT_TRY(silent_after(turns, ret_cut));
	return 0;
}

/* A close comes at any moment of a composite read whose peer falls silent: what it did not find
 * under way does not begin, or the close would wait for it. */
TT_TEST_PLAIN(transfer, a_close_comes_before_a_read_waits)
{
	/* laws 5, 10 */
	int cut = 0;

	for (unsigned i = 0; i < tt_test_seeds(20); i++) {
		tt_sim_options o = { .seed = tt_test_seed() + i, .workers = 1 + i % 3, .quiet = true };

		o.faults = TT_FAULT_BIT(TT_FAULT_PARTIAL_READ) | TT_FAULT_BIT(TT_FAULT_RETRY);
		EXPECT_OK(tt_sim_run_with(&o, is_closed_anywhere, &cut));
	}
	EXPECT_GT(cut, 0);
	tt_test_note("%d cut", cut);
}

/* A close comes at any moment of a composite write, also when nothing is under way: what was
 * counted as sent arrives, and no more is written. */
TT_TEST_PLAIN(transfer, a_close_comes_between_two_parts)
{
	/* laws 2, 5, 10 */
	int cut = 0;

	for (unsigned i = 0; i < tt_test_seeds(20); i++) {
		tt_sim_options o = { .seed = tt_test_seed() + i, .workers = 1 + i % 3, .quiet = true };

		o.faults = TT_FAULT_BIT(TT_FAULT_PARTIAL_WRITE) | TT_FAULT_BIT(TT_FAULT_SMALL_BUFFERS);
		EXPECT_OK(tt_sim_run_with(&o, is_cut_anywhere, &cut));
	}
	EXPECT_GT(cut, 0);
	tt_test_note("%d cut", cut);
}

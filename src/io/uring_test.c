/* SPDX-License-Identifier: MIT */
/*
 * uring_test.c - claims about the io_uring driver that the other drivers do not share:
 * that the ring does the work, what it owes, full queues, and what create() answers.
 *
 * uring_test [part of a test's name]
 */
#include "io/driver_testkit.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "io/uring.h"
#include "io/uring_abi.h"

#define S TTI_IO_SOCKET

static uint64_t reaped(unsigned opcode)
{
	return tti_uring_reaped(kit_driver, opcode);
}

/* Receives, sends, accepts and connects are operations of the ring itself: each one's
 * completion is that of its own opcode, and none is a readiness poll in disguise. */
static void the_ring_does_the_work(void)
{
	static char big[1 << 20], buf[1 << 16];
	struct sockaddr_in addr;
	int listener = kit_listen_tcp(8, &addr), client = kit_ops->socket(kit_driver, AF_INET, SOCK_STREAM, 0);
	struct kit_op a, w;
	int server;

	kit_start(&a, TTI_IO_ACCEPT, listener, S, NULL, 0);
	CHECK_EQ(kit_do(TTI_IO_CONNECT, client, S, &addr, sizeof(addr)), 0);
	server = (int)kit_finish(&a);
	CHECK(server >= 0);
	CHECK_EQ(reaped(IORING_OP_CONNECT), 1);
	CHECK_EQ(reaped(IORING_OP_ACCEPT), 1);
	/* A send that has room goes by system call; one that waits is the ring's. */
	do
		kit_start(&w, TTI_IO_WRITE, client, S, big, sizeof(big));
	while (w.at_once);
	CHECK_EQ(reaped(IORING_OP_SEND), 0);
	for (uint64_t n = 1; !w.ended; n++) {
		CHECK(kit_do(TTI_IO_READ, server, S, buf, sizeof(buf)) > 0);
		CHECK_EQ(reaped(IORING_OP_RECV), n);
	}
	CHECK(w.op.result > 0);
	CHECK_EQ(reaped(IORING_OP_SEND), 1);
	CHECK_EQ(reaped(IORING_OP_POLL_ADD), 0);
	CHECK_EQ(kit_driver->completions[TTI_IO_WRITE], 1);
	CHECK_EQ(kit_driver->completions[TTI_IO_ACCEPT], 1);
	CHECK_EQ(kit_driver->completions[TTI_IO_CONNECT], 1);
	CHECK_EQ(kit_driver->completions[TTI_IO_READ], reaped(IORING_OP_RECV));
	kit_close(server);
	kit_close(client);
	kit_close(listener);
}

/* A connect to a full backlog is tried again by time, not when a poll says that it can be
 * written to, which it always can. */
static void full_backlog_is_retried_by_time(void)
{
	struct sockaddr_un addr;
	uint32_t len;
	int listener = kit_listen_unix(0, &addr, &len), fds[2];
	int64_t until;
	struct kit_op c;

	for (int i = 0; i < 2; i++)
		fds[i] = kit_ops->socket(kit_driver, AF_UNIX, SOCK_STREAM, 0);
	CHECK_EQ(kit_do(TTI_IO_CONNECT, fds[0], S, &addr, len), 0);
	kit_start(&c, TTI_IO_CONNECT, fds[1], S, &addr, len);
	until = tti_env_now() + TT_MS(20);
	while (tti_env_now() < until)
		kit_ops->poll(kit_driver, until);
	CHECK(!c.ended);
	CHECK_EQ(reaped(IORING_OP_POLL_ADD), 0);
	CHECK(reaped(IORING_OP_CONNECT) > 1);
	CHECK(reaped(IORING_OP_CONNECT) < 30);
	CHECK_EQ(kit_cancel_finish(&c), -ECANCELED);
	kit_close(fds[0]);
	kit_close(fds[1]);
	kit_close(listener);
}

/* Messages are received and sent by the ring itself, each by its own opcode. */
static void messages_by_the_ring(void)
{
	static char big[65536];
	struct iovec iov = { .iov_base = big, .iov_len = sizeof(big) };
	struct msghdr in = { .msg_iov = &iov, .msg_iovlen = 1 }, out = in;
	struct kit_op w;
	uint64_t n = 0;
	int fds[2], at_once = -1;

	kit_pair(fds);
	/* A send that has room goes by system call; one that waits is the ring's. */
	do {
		kit_start(&w, TTI_IO_SEND_MSG, fds[0], S, &out, 0);
		at_once++;
	} while (w.at_once);
	CHECK(at_once > 0);
	CHECK_EQ(reaped(IORING_OP_SENDMSG), 0);
	while (!w.ended) {
		CHECK(kit_do(TTI_IO_RECV_MSG, fds[1], S, &in, 0) > 0);
		CHECK_EQ(reaped(IORING_OP_RECVMSG), ++n);
	}
	CHECK(w.op.result > 0);
	CHECK_EQ(reaped(IORING_OP_SENDMSG), 1);
	CHECK_EQ(reaped(IORING_OP_POLL_ADD), 0);
	CHECK_EQ(kit_driver->completions[TTI_IO_RECV_MSG], n);
	CHECK_EQ(kit_driver->completions[TTI_IO_SEND_MSG], 1);
	kit_close(fds[0]);
	kit_close(fds[1]);
}

/* What is no socket is read and written by the ring too, at the file's position. */
static void files_and_pipes_by_the_ring(void)
{
	char buf[8];
	int fds[2];

	CHECK(pipe2(fds, O_CLOEXEC) == 0);
	CHECK_EQ(kit_do(TTI_IO_WRITE, fds[1], 0, "x", 1), 1);
	CHECK_EQ(kit_do(TTI_IO_READ, fds[0], 0, buf, 8), 1);
	CHECK_EQ(reaped(IORING_OP_WRITE), 1);
	CHECK_EQ(reaped(IORING_OP_READ), 1);
	kit_close(fds[0]);
	kit_close(fds[1]);
}

/* Law 11: the kernel owes one completion for each entry, cancels included. When all have
 * come in, it owes the wake-up poll alone. */
static void every_entry_is_returned_once(void)
{
	enum { N = 40 };
	struct kit_op r[N];
	char buf[N];
	int fds[2];

	kit_pair(fds);
	CHECK_EQ(tti_uring_in_flight(kit_driver), 1);
	for (int i = 0; i < N; i++)
		kit_start(&r[i], TTI_IO_READ, fds[0], S, &buf[i], 1);
	CHECK_EQ(tti_uring_in_flight(kit_driver), N + 1);
	kit_poll(0);
	for (int i = 0; i < N; i += 2)
		kit_cancel(&r[i]);
	CHECK_EQ(tti_uring_in_flight(kit_driver), N + N / 2 + 1);
	for (int i = 0; i < N; i += 2)
		CHECK_EQ(kit_finish(&r[i]), -ECANCELED);
	kit_poll(0);
	CHECK_EQ(tti_uring_in_flight(kit_driver), N / 2 + 1);
	CHECK_EQ(reaped(IORING_OP_ASYNC_CANCEL), N / 2);
	for (int i = 1; i < N; i += 2) {
		CHECK_EQ(kit_ops->write(kit_driver, fds[1], "x", 1, S), 1);
		kit_poll(0);
	}
	for (int i = 1; i < N; i += 2)
		CHECK_EQ(kit_finish(&r[i]), 1);
	CHECK_EQ(tti_uring_in_flight(kit_driver), 1);
	kit_close(fds[0]);
	kit_close(fds[1]);
}

/* Law 1: the completion of a cancel does not end the operation; it ends by its own, also
 * when the cancel came too late, and the frame may then be used for another one. */
static void cancel_completion_is_not_terminal(void)
{
	struct kit_op r;
	char buf[8];
	int fds[2];

	kit_pair(fds);
	for (int round = 0; round < 100; round++) {
		/* The byte is there: the entry completes before its cancel is looked at. */
		CHECK_EQ(kit_ops->write(kit_driver, fds[1], "x", 1, S), 1);
		kit_start(&r, TTI_IO_READ, fds[0], S, buf, 1);
		kit_cancel(&r);
		CHECK(!r.ended);
		CHECK_EQ(kit_finish(&r), 1);
		/* The same address again: the old cancel does not reach it. */
		kit_start(&r, TTI_IO_READ, fds[0], S, buf, 1);
		kit_expect_quiet(&r);
		CHECK_EQ(kit_cancel_finish(&r), -ECANCELED);
	}
	CHECK_EQ(tti_uring_in_flight(kit_driver), 1);
	kit_close(fds[0]);
	kit_close(fds[1]);
}

/* More operations than entries: all get their turn, and cancels find theirs. */
static void full_submission_queue(void)
{
	enum { N = 1000 };
	static struct kit_op r[N];
	static char buf[N];
	uint32_t cq;
	int fds[2];

	kit_open(32);
	CHECK_EQ(tti_uring_entries(kit_driver, &cq), 32);
	kit_pair(fds);
	for (int i = 0; i < N; i++)
		kit_start(&r[i], TTI_IO_READ, fds[0], S, &buf[i], 1);
	for (int i = 0; i < N; i += 2)
		kit_cancel(&r[i]);
	for (int i = 0; i < N; i += 2)
		CHECK_EQ(kit_finish(&r[i]), -ECANCELED);
	CHECK_EQ(kit_ops->write(kit_driver, fds[1], buf, N / 2, S), N / 2);
	for (int i = 1; i < N; i += 2)
		CHECK_EQ(kit_finish(&r[i]), 1);
	kit_close(fds[0]);
	kit_close(fds[1]);
	kit_shut();
}

/* While the kernel takes no entries, operations and cancels wait in order, and lose
 * nothing: an operation that it has not heard of is cancelled on the spot. */
static void kernel_takes_no_entries(void)
{
	static const long refusals[] = { -EBUSY, -EAGAIN, -ENOMEM };
	enum { N = 100 };
	static struct kit_op r[N];
	static char buf[N];

	for (int k = 0; k < 3; k++) {
		int at_once = 0, fds[2];

		kit_open(32);
		kit_pair(fds);
		for (int i = 0; i < 20; i++)
			kit_start(&r[i], TTI_IO_READ, fds[0], S, &buf[i], 1);
		kit_poll(0);
		kit_inject(SYS_io_uring_enter, 0, -1, refusals[k]);
		for (int i = 20; i < N; i++)
			kit_start(&r[i], TTI_IO_READ, fds[0], S, &buf[i], 1);
		/* A wait neither ends early nor hangs. */
		int64_t deadline = tti_env_now() + TT_MS(3);

		kit_ops->poll(kit_driver, deadline);
		CHECK(tti_env_now() >= deadline);
		for (int i = 0; i < N; i++)
			kit_cancel(&r[i]);
		for (int i = 0; i < N; i++)
			at_once += r[i].at_once;
		/* 28 of 32 entries are for operations. */
		CHECK_EQ(at_once, N - 20 - 28);
		CHECK(kit_fault.hits > 0);
		tti_env_bind(NULL);
		for (int i = 0; i < N; i++)
			CHECK_EQ(kit_finish(&r[i]), -ECANCELED);
		kit_close(fds[0]);
		kit_close(fds[1]);
		kit_shut();
	}
}

/* The operation completes while its cancel waits for an entry: the cancel is dropped, and
 * cannot hit whatever is at that address later. */
static void completion_overtakes_a_waiting_cancel(void)
{
	enum { N = 40, ASKED = 32 };
	static struct kit_op r[N];
	static char buf[N];
	static int fds[N][2];

	kit_open(ASKED);
	for (int i = 0; i < N; i++) {
		kit_pair(fds[i]);
		kit_start(&r[i], TTI_IO_READ, fds[i][0], S, &buf[i], 1);
		kit_poll(0);
	}
	/* No entry is taken: the queue fills with cancels, and the last ones get none. */
	kit_inject(SYS_io_uring_enter, 0, -1, -EAGAIN);
	for (int i = 0; i < N; i++)
		kit_cancel(&r[i]);
	tti_env_bind(NULL);
	for (int i = ASKED; i < N; i++)
		CHECK_EQ(kit_ops->write(kit_driver, fds[i][1], "x", 1, S), 1);
	/* Two more refusals, and then a wait that takes no entries but sees completions. */
	kit_inject(SYS_io_uring_enter, 0, 2, -EAGAIN);
	kit_poll(TT_SEC(1));
	CHECK_EQ(kit_fault.hits, 2);
	tti_env_bind(NULL);
	for (int i = ASKED; i < N; i++) {
		CHECK(r[i].ended);
		CHECK_EQ(r[i].op.result, 1);
	}
	for (int i = 0; i < ASKED; i++)
		CHECK_EQ(kit_finish(&r[i]), -ECANCELED);
	kit_poll(0);
	CHECK_EQ(tti_uring_in_flight(kit_driver), 1);
	CHECK_EQ(reaped(IORING_OP_ASYNC_CANCEL), ASKED);
	for (int i = 0; i < N; i++) {
		kit_close(fds[i][0]);
		kit_close(fds[i][1]);
	}
	kit_shut();
}

static struct tti_env_ops eager_env;
static struct io_uring_sqe *eager_sqes;
static int eager_left;

/* Makes the kernel give receives back with -EAGAIN, which it does by itself only when it
 * cannot park them: the entries are marked on their way. */
static long eager_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	long rc;

	for (int i = 0; nr == SYS_io_uring_enter && b > 0 && i < 32 && eager_left > 0; i++) {
		if (eager_sqes[i].opcode != IORING_OP_RECV || (eager_sqes[i].msg_flags & MSG_DONTWAIT) != 0)
			continue;
		eager_sqes[i].msg_flags |= MSG_DONTWAIT;
		eager_left--;
	}
	rc = tti_env_real.syscall(nr, a, b, c, d, e, f);
	if (nr == SYS_mmap && f == (long)IORING_OFF_SQES)
		eager_sqes = (struct io_uring_sqe *)rc;
	/* What the kernel has taken is not met again. */
	for (int i = 0; nr == SYS_io_uring_enter && b > 0 && rc == b && i < 32; i++)
		eager_sqes[i].opcode = IORING_OP_NOP;
	return rc;
}

/* What the kernel gives back without an outcome is polled and asked for again; a cancel
 * at any moment in between ends it. */
static void what_the_kernel_gives_back_is_polled(void)
{
	struct kit_op r;
	char buf[8];
	int fds[2];

	eager_env = tti_env_real;
	eager_env.syscall = eager_syscall;
	tti_env_bind(&eager_env);
	kit_open(32);
	kit_pair(fds);
	eager_left = 1;
	kit_start(&r, TTI_IO_READ, fds[0], S, buf, sizeof(buf));
	kit_expect_quiet(&r);
	CHECK_EQ(eager_left, 0);
	CHECK_EQ(reaped(IORING_OP_RECV), 1);
	CHECK_EQ(kit_ops->write(kit_driver, fds[1], "abc", 3, S), 3);
	CHECK_EQ(kit_finish(&r), 3);
	CHECK_EQ(reaped(IORING_OP_POLL_ADD), 1);
	CHECK_EQ(reaped(IORING_OP_RECV), 2);
	/* Cancelled before the kernel has heard of it, before the poll has an entry that it
	 * knows, and while it is polled. */
	for (int turns = 0; turns < 3; turns++) {
		eager_left = 1;
		kit_start(&r, TTI_IO_READ, fds[0], S, buf, sizeof(buf));
		for (int i = 0; i < turns; i++)
			kit_poll(0);
		CHECK_EQ(eager_left, turns == 0);
		kit_cancel(&r);
		for (int i = 0; i < 3; i++)
			kit_poll(0);
		CHECK(r.ended);
		CHECK_EQ(r.op.result, -ECANCELED);
	}
	CHECK_EQ(tti_uring_in_flight(kit_driver), 1);
	kit_close(fds[0]);
	kit_close(fds[1]);
	kit_shut();
	tti_env_bind(NULL);
}

/* ---- results that the kernel gives seldom ---- */

static struct {
	struct tti_env_ops env;
	struct io_uring_params params;       /* of the ring made last */
	char *rings;
	const struct tti_io_op *op;          /* whose next completion says: */
	long res;
	long was;                            /* what it had said */
	bool done;
} forge;

static void forge_completion(void)
{
	tti_atomic_u32 *head = (tti_atomic_u32 *)(void *)(forge.rings + forge.params.cq_off.head);
	tti_atomic_u32 *tail = (tti_atomic_u32 *)(void *)(forge.rings + forge.params.cq_off.tail);
	struct io_uring_cqe *cqes = (struct io_uring_cqe *)(void *)(forge.rings + forge.params.cq_off.cqes);

	/* acquire: pairs with the kernel's release of completions that it has written.
	 * relaxed: the head is written by this thread only. */
	for (uint32_t i = tti_load_relaxed(head), end = tti_load_acquire(tail); i != end; i++) {
		struct io_uring_cqe *c = &cqes[i & (forge.params.cq_entries - 1)];

		if (forge.done || c->user_data != (uintptr_t)forge.op)
			continue;
		forge.was = c->res;
		c->res = (int)forge.res;
		forge.done = true;
	}
}

static long forging_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	long rc = tti_env_real.syscall(nr, a, b, c, d, e, f);

	if (nr == SYS_io_uring_setup && rc >= 0)
		forge.params = *(struct io_uring_params *)b;
	else if (nr == SYS_mmap && f == (long)IORING_OFF_SQ_RING)
		forge.rings = (char *)rc;
	else if (nr == SYS_io_uring_enter && forge.op != NULL)
		forge_completion();
	return rc;
}

static void forge_open(void)
{
	memset(&forge, 0, sizeof(forge));
	forge.env = tti_env_real;
	forge.env.syscall = forging_syscall;
	tti_env_bind(&forge.env);
	kit_open(32);
}

static void forge_shut(void)
{
	CHECK_EQ(tti_uring_in_flight(kit_driver), 1);
	kit_shut();
	tti_env_bind(NULL);
}

/* The operation's next completion says res; call forged() once it had one. */
static void forge_next(const struct kit_op *k, long res)
{
	forge.op = &k->op;
	forge.res = res;
	forge.done = false;
}

static long forged(void)
{
	int64_t limit = tti_env_now() + TT_SEC(20);

	while (!forge.done) {
		kit_poll(TT_MS(50));
		CHECK(tti_env_now() < limit);
	}
	forge.op = NULL;
	return forge.was;
}

static void give(int fd, const char *byte)
{
	CHECK_EQ(kit_ops->write(kit_driver, fd, byte, 1, S), 1);
}

/* A receive that the ring holds, and whose completion will say res instead. */
static void receive_forged(struct kit_op *r, const int fds[2], char *buf, long res)
{
	kit_start(r, TTI_IO_READ, fds[0], S, buf, 1);
	forge_next(r, res);
	give(fds[1], "x");
	CHECK_EQ(forged(), 1);
	CHECK(!r->ended);
}

/* Interrupted is not ended: the same is asked for again, without a poll before. */
static void interrupted_operations_are_repeated(void)
{
	struct sockaddr_in addr;
	struct kit_op r;
	int fds[2], listener, client, server;
	char buf;

	forge_open();
	kit_pair(fds);
	receive_forged(&r, fds, &buf, -EINTR);
	give(fds[1], "y");
	CHECK_EQ(kit_finish(&r), 1);
	CHECK_EQ(buf, 'y');
	CHECK_EQ(reaped(IORING_OP_RECV), 2);
	/* A client that is gone before it was taken is nothing that an accept ends with. */
	listener = kit_listen_tcp(8, &addr);
	for (int i = 0; i < 2; i++) {
		client = kit_ops->socket(kit_driver, AF_INET, SOCK_STREAM, 0);
		if (i == 0) {
			kit_start(&r, TTI_IO_ACCEPT, listener, S, NULL, 0);
			forge_next(&r, -ECONNABORTED);
		}
		CHECK_EQ(kit_do(TTI_IO_CONNECT, client, S, &addr, sizeof(addr)), 0);
		server = (int)(i == 0 ? forged() : kit_finish(&r));
		CHECK(server >= 0);
		CHECK_EQ(r.ended, i == 1);
		kit_close(server);
		kit_close(client);
	}
	CHECK_EQ(reaped(IORING_OP_ACCEPT), 2);
	CHECK_EQ(reaped(IORING_OP_POLL_ADD), 0);
	kit_close(listener);
	kit_close(fds[0]);
	kit_close(fds[1]);
	forge_shut();
}

/* What could not be parked waits for what it needs, a send for room; and a poll for what it was
 * to wait for. */
static void each_is_polled_for_its_own_direction(void)
{
	static char big[1 << 20], buf[1 << 16];
	struct kit_op w;
	int fds[2];

	forge_open();
	kit_pair(fds);
	do
		kit_start(&w, TTI_IO_WRITE, fds[0], S, big, sizeof(big));
	while (w.at_once);
	forge_next(&w, -EAGAIN);
	while (!forge.done)
		CHECK(kit_do(TTI_IO_READ, fds[1], S, buf, sizeof(buf)) > 0);
	CHECK(forged() > 0);
	/* Nothing that could be read brings it on, but room. */
	while (!w.ended)
		CHECK(kit_do(TTI_IO_READ, fds[1], S, buf, sizeof(buf)) > 0);
	CHECK(w.op.result > 0);
	CHECK_EQ(reaped(IORING_OP_SEND), 2);
	CHECK_EQ(reaped(IORING_OP_POLL_ADD), 1);
	kit_close(fds[0]);
	kit_close(fds[1]);
	kit_pair(fds);
	kit_start_poll(&w, fds[0], S, POLLOUT);
	forge_next(&w, -EAGAIN);
	CHECK_EQ(forged(), POLLOUT);
	CHECK_EQ(kit_finish(&w), POLLOUT);
	CHECK_EQ(reaped(IORING_OP_POLL_ADD), 3);
	kit_close(fds[0]);
	kit_close(fds[1]);
	forge_shut();
}

/* Law 2, in the turn from the poll to its retry: the poll ended well, and the operation has been
 * cancelled; it is not asked for again, and takes nothing. */
static void a_cancel_between_a_poll_and_its_retry(void)
{
	struct kit_op r;
	char buf = '-';
	int fds[2];

	forge_open();
	kit_pair(fds);
	receive_forged(&r, fds, &buf, -EAGAIN);
	kit_poll(0);
	kit_cancel(&r);
	forge_next(&r, POLLIN);
	CHECK_EQ(forged(), -ECANCELED);
	CHECK(r.ended);
	CHECK_EQ(r.op.result, -ECANCELED);
	CHECK_EQ(reaped(IORING_OP_RECV), 1);
	give(fds[1], "y");
	kit_poll(0);
	CHECK_EQ(kit_do(TTI_IO_READ, fds[0], S, &buf, 1), 1);
	CHECK_EQ(buf, 'y');
	kit_close(fds[0]);
	kit_close(fds[1]);
	forge_shut();
}

/* A poll that the kernel refuses is the operation's outcome: there is nothing to go on with. */
static void a_refused_poll_ends_the_operation(void)
{
	struct kit_op r;
	char buf;
	int fds[2];

	forge_open();
	kit_pair(fds);
	receive_forged(&r, fds, &buf, -EAGAIN);
	forge_next(&r, -ENOMEM);
	give(fds[1], "y");
	CHECK(forged() & POLLIN);
	CHECK(r.ended);
	CHECK_EQ(r.op.result, -ENOMEM);
	kit_close(fds[0]);
	kit_close(fds[1]);
	forge_shut();
}

/* More completions than the queue holds are kept by the kernel, and all handed out. */
static void completion_queue_overflows(void)
{
	enum { N = 3000 };
	static struct kit_op p[N];
	uint32_t cq;
	int fds[2];

	kit_open(32);
	tti_uring_entries(kit_driver, &cq);
	CHECK(cq < N / 2);
	kit_pair(fds);
	CHECK_EQ(kit_ops->write(kit_driver, fds[1], "x", 1, S), 1);
	/* Ready already: each completes when its entry is taken, and none is reaped yet. */
	for (int i = 0; i < N; i++)
		kit_start_poll(&p[i], fds[0], S, POLLIN);
	/* A full queue ends the standing poll of wake(), which is then made anew. */
	kit_ops->wake(kit_driver);
	kit_poll(0);
	for (int i = 0; i < N; i++) {
		CHECK(p[i].ended);
		CHECK_EQ(p[i].op.result, POLLIN);
	}
	while (kit_driver->wakes == 0)
		kit_ops->poll(kit_driver, TT_NEVER);
	for (int i = 0; i < 3; i++) {
		kit_ops->wake(kit_driver);
		kit_ops->poll(kit_driver, TT_NEVER);
	}
	kit_poll(0);
	CHECK_EQ(tti_uring_in_flight(kit_driver), 1);
	kit_close(fds[0]);
	kit_close(fds[1]);
	kit_shut();
}

/* A turn enters the kernel only for a reason: entries, deferred work, or a wait. */
static void idle_turn_is_free(void)
{
	struct kit_op r;
	char buf[8];
	int fds[2];

	kit_pair(fds);
	kit_start(&r, TTI_IO_READ, fds[0], S, buf, sizeof(buf));
	kit_poll(0);
	CHECK_EQ(tti_uring_enters(kit_driver), 1);
	kit_inject(-1, 0, 0, 0);
	for (int i = 0; i < 10; i++)
		kit_poll(0);
	CHECK_EQ(kit_fault.seen, 0);
	CHECK_EQ(kit_ops->write(kit_driver, fds[1], "x", 1, S), 1);
	kit_poll(0);
	CHECK(r.ended);
	/* The write, and one enter to run the deferred receive. */
	CHECK_EQ(kit_fault.seen, 2);
	CHECK_EQ(tti_uring_enters(kit_driver), 2);
	tti_env_bind(NULL);
	kit_close(fds[0]);
	kit_close(fds[1]);
}

/* A system call per turn: submitting, reaping and waiting are the same one. */
static void one_enter_a_turn(void)
{
	enum { N = 20 };
	struct kit_op r[N];
	char buf[N];
	int fds[2];

	kit_pair(fds);
	for (int i = 0; i < N; i++) {
		CHECK_EQ(kit_ops->write(kit_driver, fds[1], "x", 1, S), 1);
		kit_start(&r[i], TTI_IO_READ, fds[0], S, &buf[i], 1);
	}
	kit_ops->poll(kit_driver, TT_NEVER);
	CHECK_EQ(tti_uring_enters(kit_driver), 1);
	for (int i = 0; i < N; i++)
		CHECK(r[i].ended);
	kit_close(fds[0]);
	kit_close(fds[1]);
}

/* An interrupted wait goes on until its deadline. */
static void interruptions_are_not_seen(void)
{
	int64_t deadline = tti_env_now() + TT_MS(2);

	kit_inject(SYS_io_uring_enter, 0, 3, -EINTR);
	kit_ops->poll(kit_driver, deadline);
	CHECK(tti_env_now() >= deadline);
	CHECK_EQ(kit_fault.hits, 3);
	tti_env_bind(NULL);
}

/* An ordinary user may be allowed too little locked memory for full-sized queues. */
static bool has_locked_memory(void)
{
	struct rlimit limit;

	return getuid() == 0 || (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur >= 4 << 20);
}

/* create() answers what the kernel does: EPERM in a container, ENOSYS on an old kernel,
 * also on one that has io_uring without what is needed here. */
static void create_is_refused(void)
{
	static const struct { long nr, rc, code; } cases[] = {
		{ SYS_io_uring_setup, -EPERM, -EPERM },   { SYS_io_uring_setup, -ENOSYS, -ENOSYS },
		{ SYS_io_uring_setup, -EINVAL, -ENOSYS }, { SYS_io_uring_setup, -EMFILE, -EMFILE },
		{ SYS_io_uring_setup, -ENOMEM, -ENOMEM }, { SYS_io_uring_register, -EPERM, -EPERM },
		{ SYS_io_uring_register, -EINVAL, -ENOSYS }, { SYS_mmap, -EPERM, -EPERM },
		{ SYS_mmap, -ENOMEM, -ENOMEM },           { SYS_eventfd2, -EMFILE, -EMFILE },
	};
	struct tti_driver *d = NULL;

	if (!has_locked_memory())
		return;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		kit_inject(cases[i].nr, 0, -1, cases[i].rc);
		CHECK_EQ(kit_ops->create(&kit_home, 0, &d), cases[i].code);
		CHECK(d == NULL);
		CHECK(kit_fault.hits > 0);
		tti_env_bind(NULL);
	}
	/* The second of two mappings fails: the first is undone. */
	kit_inject(SYS_mmap, 1, -1, -EPERM);
	CHECK_EQ(kit_ops->create(&kit_home, 0, &d), -EPERM);
	tti_env_bind(NULL);
}

/* A kernel of before 6.6 wants the array of indices; the ring works with it. */
static void kernel_with_an_index_array(void)
{
	static char buf[8];
	uint32_t cq;
	int fds[2];

	/* The first attempt, with the newer flag, is refused. */
	kit_inject(SYS_io_uring_setup, 0, 1, -EINVAL);
	kit_open(0);
	CHECK_EQ(kit_fault.hits, 1);
	tti_env_bind(NULL);
	CHECK(!has_locked_memory() || tti_uring_entries(kit_driver, &cq) == 256);
	kit_pair(fds);
	for (int i = 0; i < 1000; i++) {
		struct kit_op r;

		kit_start(&r, TTI_IO_READ, fds[0], S, buf, 8);
		CHECK_EQ(kit_ops->write(kit_driver, fds[1], "x", 1, S), 1);
		CHECK_EQ(kit_finish(&r), 1);
	}
	kit_close(fds[0]);
	kit_close(fds[1]);
	kit_shut();
}

/* The queues are halved until the memory suffices, and not below 32 entries. */
static void queues_are_halved(void)
{
	struct tti_driver *d = NULL;
	uint32_t cq;

	if (!has_locked_memory())
		return;
	for (uint32_t refused = 0; refused <= 3; refused++) {
		kit_inject(SYS_io_uring_setup, 0, refused, -ENOMEM);
		kit_open(0);
		CHECK_EQ(tti_uring_entries(kit_driver, &cq), 256u >> refused);
		tti_env_bind(NULL);
		kit_shut();
	}
	kit_inject(SYS_io_uring_setup, 0, 4, -ENOMEM);
	CHECK_EQ(kit_ops->create(&kit_home, 0, &d), -ENOMEM);
	tti_env_bind(NULL);
	kit_open(1);
	CHECK_EQ(tti_uring_entries(kit_driver, &cq), 32);
	kit_shut();
	kit_open(300);
	CHECK_EQ(tti_uring_entries(kit_driver, &cq), 512);
	kit_shut();
}

/* A ring of eight entries and eight completions overflows at every burst, and loses nothing. */
static void tiny_queues(void)
{
	enum { N = 100 };
	static struct kit_op p[N];
	uint32_t cq;
	int fds[2];

	setenv("TUTTI_RING_TINY", "1", 1);
	kit_open(0);
	unsetenv("TUTTI_RING_TINY");
	CHECK_EQ(tti_uring_entries(kit_driver, &cq), 8);
	CHECK_EQ(cq, 8);
	kit_pair(fds);
	for (int i = 0; i < N; i++)
		kit_start_poll(&p[i], fds[0], S, POLLIN);
	/* A cancel among them finds the queue as full as they do. */
	kit_cancel(&p[N - 1]);
	CHECK_EQ(kit_ops->write(kit_driver, fds[1], "x", 1, S), 1);
	kit_poll(0);
	for (int i = 0; i < 50 && !p[N - 1].ended; i++)
		kit_poll(0);
	for (int i = 0; i < N - 1; i++) {
		CHECK(p[i].ended);
		CHECK_EQ(p[i].op.result, POLLIN);
	}
	CHECK(p[N - 1].ended);
	CHECK(p[N - 1].op.result == -ECANCELED || p[N - 1].op.result == POLLIN);
	CHECK_EQ(tti_uring_in_flight(kit_driver), 1);
	kit_close(fds[0]);
	kit_close(fds[1]);
	kit_shut();
}

/* An ordinary user with 64 KiB of locked memory gets a ring, if a smaller one. */
static void small_locked_memory(void)
{
	struct rlimit limit = { 65536, 65536 };
	uint32_t cq, sq;
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	CHECK(pid >= 0);
	if (pid != 0) {
		CHECK(waitpid(pid, &status, 0) == pid && status == 0);
		return;
	}
	CHECK(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
	/* A user of nobody else: rings of others count against the same limit. */
	if (getuid() == 0)
		CHECK(setgid(54321) == 0 && setuid(54321) == 0);
	kit_open(0);
	sq = tti_uring_entries(kit_driver, &cq);
	CHECK(sq >= 32 && sq <= 256);
	printf("\t%u entries, %u completions\n", sq, cq);
	fflush(stdout);
	kit_ops->wake(kit_driver);
	kit_ops->poll(kit_driver, TT_NEVER);
	kit_shut();
	_exit(0);
}

/* Memory that runs out while the driver is made leaves nothing behind. */
static void *no_alloc(size_t n)
{
	(void)n;
	return NULL;
}

static void out_of_memory(void)
{
	struct tti_env_ops none = tti_env_real;
	struct tti_driver *d = NULL;

	none.alloc = no_alloc;
	tti_env_bind(&none);
	CHECK_EQ(kit_ops->create(&kit_home, 0, &d), -ENOMEM);
	CHECK(d == NULL);
	tti_env_bind(NULL);
}

static const struct kit_test tests[] = {
	KIT_TEST(the_ring_does_the_work),
	KIT_TEST(messages_by_the_ring),
	KIT_TEST(full_backlog_is_retried_by_time),
	KIT_TEST(files_and_pipes_by_the_ring),
	KIT_TEST(every_entry_is_returned_once),
	KIT_TEST(cancel_completion_is_not_terminal),
	KIT_BARE(full_submission_queue),
	KIT_BARE(kernel_takes_no_entries),
	KIT_BARE(completion_overtakes_a_waiting_cancel),
	KIT_BARE(what_the_kernel_gives_back_is_polled),
	KIT_BARE(interrupted_operations_are_repeated),
	KIT_BARE(each_is_polled_for_its_own_direction),
	KIT_BARE(a_cancel_between_a_poll_and_its_retry),
	KIT_BARE(a_refused_poll_ends_the_operation),
	KIT_BARE(completion_queue_overflows),
	KIT_TEST(idle_turn_is_free),
	KIT_TEST(one_enter_a_turn),
	KIT_TEST(interruptions_are_not_seen),
	KIT_BARE(create_is_refused),
	KIT_BARE(kernel_with_an_index_array),
	KIT_BARE(queues_are_halved),
	KIT_BARE(tiny_queues),
	KIT_BARE(small_locked_memory),
	KIT_BARE(out_of_memory),
};

int main(int argc, char **argv)
{
	int rc = kit_available(&tti_driver_uring);

	if (rc < 0) {
		/* Only a kernel that refuses may make this test skip itself. */
		printf("io_uring is refused here: %s\n", strerror(-rc));
		CHECK(rc == -EPERM || rc == -ENOSYS);
		return 77;
	}
	kit_run(&tti_driver_uring, tests, sizeof(tests) / sizeof(tests[0]), argc > 1 ? argv[1] : NULL);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * uring.c - the driver on io_uring, on raw system calls; Linux 6.1 and later. Called by
 * its worker's thread only (law 7; the kernel enforces it: SINGLE_ISSUER), but for wake().
 *
 * An operation becomes one entry of the submission queue, whose user data is its
 * address, and ends with that entry's completion. Sends are tried by system call first
 * and come here when they would block. poll() makes one io_uring_enter that submits what
 * gathered, runs the kernel's deferred work, and waits if asked to; it makes none when
 * there is nothing to submit and the kernel's flags say that nothing is pending.
 *
 * Cancel      An ASYNC_CANCEL entry by user data. Its own completion only ends itself;
 *             the operation ends with its own, whatever that says (laws 1 and 2). An
 *             eighth of the queue is kept for cancels, and one that finds the queue full
 *             all the same waits in `unasked`, so that a cancel cannot fail. A frame may
 *             be gone, and its address in use again, before a cancel's completion comes:
 *             that completion is never followed to the operation. The cancel itself
 *             cannot hit the successor, since entries are taken in order.
 * Retries     What the kernel ends with -EAGAIN (a non-blocking file that it cannot
 *             park) is polled and submitted again, unless it was cancelled meanwhile.
 *             A connect to a unix listener with a full backlog ends so too, and no poll
 *             tells when there is room: it is tried again by time, from `busy`. An accept
 *             that found no descriptor has not looked whether anybody waits: if nobody
 *             does, it is polled like the others.
 *
 * Invariants  in_flight = entries made, minus final completions seen (law 11): operations
 *             in the kernel, cancels, and the poll of event_fd.
 *             An operation's link is in `waiting` while it has no entry, in `busy` while
 *             it is to be tried again later, in `unasked` while its cancel has no entry,
 *             and unlinked else.
 * Memory      The queues count against RLIMIT_MEMLOCK of an ordinary user; they are
 *             halved until they fit.
 * Rejected    SQPOLL (a kernel thread per ring that burns a core). LINK_TIMEOUT: deadlines
 *             live in the worker's wheel. Waiting with a zero timeout: it sleeps 20 us.
 *             MSG_RING for wake(): the caller may be no ring's owner, and a signal
 *             handler could interrupt the owner inside its queue.
 *             Resizing the queues: what overflows the kernel keeps for us (NODROP).
 */
#include "io/uring.h"

#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/atomic.h"
#include "base/panic.h"
#include "env/env.h"
#include "io/direct.h"
#include "io/uring_abi.h"

#define ENTRIES_DEFAULT 256u
#define ENTRIES_MIN 32u
#define ENTRIES_MAX 4096u
/* Both queues under TUTTI_RING_TINY, which is for tests: what befalls others seldom, a full
 * queue and one that overflows, happens to such a ring all the time. */
#define ENTRIES_TINY 8u
/* Completions come in bursts: many descriptors are armed at a time. */
#define COMPLETIONS_PER_ENTRY 16u
#define LENGTH_MAX 0x7ffff000u           /* the kernel's own bound of one transfer */
#define NS_PER_SEC 1000000000
/* How long destroy() waits for the kernel to return what it owes; it needs microseconds. */
#define DRAIN_MAX TT_SEC(5)
/* How soon a submission is tried again for which the kernel had no memory. */
#define SUBMIT_RETRY TT_MS(1)
/* How often a connect to a unix listener with a full backlog is tried again. */
#define BUSY_RETRY TT_MS(1)

#define SETUP_FLAGS \
	(IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | \
	 IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG)
#define FEATURES (IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG | IORING_FEAT_FAST_POLL)

/* The low bits of user data: whose completion it is. Operations are aligned to 8. */
enum { TAG_OP, TAG_CANCEL, TAG_WAKE, TAG_MASK = 7 };

/* The use of tti_io_op.driver_data. */
enum {
	DATA_OPCODE,                         /* IORING_OP_ of the entry in flight */
	DATA_ADDR_LEN,                       /* ACCEPT: a socklen_t the kernel writes */
};

struct uring {
	struct tti_driver base;
	const void *owner;                   /* tti_direct_thread() of the worker */
	int fd;                              /* -1 until made; likewise event_fd */
	int event_fd;
	bool wake_armed;                     /* the poll of event_fd has an entry */
	bool closing;                        /* in destroy(): it gets none again */
	tti_atomic_u32 woken;                /* 1: event_fd was written and not yet seen */

	/* The submission queue. Entries up to sq_next are made, up to *sq_tail published, up to
	 * *sq_head taken by the kernel. */
	tti_atomic_u32 *sq_head, *sq_tail, *sq_flags;
	uint32_t sq_next, sq_mask, sq_entries;
	struct io_uring_sqe *sqes;

	tti_atomic_u32 *cq_head, *cq_tail;
	uint32_t cq_mask, cq_entries;
	struct io_uring_cqe *cqes;

	void *queues;                        /* both queues; NULL until mapped */
	size_t queues_len, sqes_len;

	struct tti_list waiting, unasked;    /* see above */
	struct tti_list busy;                /* likewise */
	int64_t busy_until;                  /* when busy is tried again, monotonic ns */
	size_t ops;                          /* submitted and not done() */
	size_t in_flight;
	uint64_t enters;
	uint64_t reaped[TTI_URING_OPCODES];
};

static void wake_arm(struct uring *u);

static struct uring *uring_of(const struct tti_driver *d)
{
	return (struct uring *)(uintptr_t)d;
}

/* Law 7. */
static void check_owner(const struct uring *u)
{
	TT_ASSERT(u->owner == tti_direct_thread());
}

/* ---- the submission queue ---- */

static uint32_t sq_used(const struct uring *u)
{
	/* acquire: pairs with the kernel's release of entries that it has copied. */
	return u->sq_next - tti_load_acquire(u->sq_head);
}

static uint32_t sq_pending_flags(const struct uring *u)
{
	/* relaxed: the kernel's request to be entered; what it announces is read after that
	 * system call. */
	return tti_load_relaxed(u->sq_flags);
}

static long enter(struct uring *u, uint32_t submit, unsigned min_complete, unsigned flags,
                  const struct io_uring_getevents_arg *arg)
{
	u->enters++;
	return tti_env_syscall(SYS_io_uring_enter, u->fd, (long)submit, (long)min_complete, (long)flags, (long)arg,
	                       arg != NULL ? sizeof(*arg) : 0);
}

/* How many entries the kernel has to take; they are published. */
static uint32_t sq_publish(struct uring *u)
{
	/* release: pairs with the kernel's acquire of the tail: the entries are written. */
	tti_store_release(u->sq_tail, u->sq_next);
	return sq_used(u);
}

/* A clean entry, or NULL when all but `reserve` are in use even after the kernel took
 * what it would. */
static struct io_uring_sqe *sqe_get(struct uring *u, uint32_t reserve)
{
	struct io_uring_sqe *sqe;

	check_owner(u);
	if (u->sq_entries - sq_used(u) <= reserve) {
		/* What goes wrong is tried again at the next poll. */
		TT_IGNORE(enter(u, sq_publish(u), 0, 0, NULL));
		if (u->sq_entries - sq_used(u) <= reserve)
			return NULL;
	}
	sqe = &u->sqes[u->sq_next++ & u->sq_mask];
	TTI_PLAIN_WRITE(*sqe, (struct io_uring_sqe){ 0 });
	u->in_flight++;
	return sqe;
}

static uint32_t length_of(const struct tti_io_op *op)
{
	return op->len < LENGTH_MAX ? (uint32_t)op->len : LENGTH_MAX;
}

static void prepare_transfer(struct io_uring_sqe *sqe, const struct tti_io_op *op)
{
	bool read = op->kind == TTI_IO_READ;

	sqe->addr = (uintptr_t)op->buf;
	sqe->len = length_of(op);
	if ((op->flags & TTI_IO_SOCKET) == 0) {
		sqe->opcode = read ? IORING_OP_READ : IORING_OP_WRITE;
		sqe->off = UINT64_MAX;               /* at the file's own position */
	} else if (read) {
		sqe->opcode = IORING_OP_RECV;
		if (op->flags & TTI_IO_DRAINED)
			sqe->ioprio = IORING_RECVSEND_POLL_FIRST;
	} else {
		sqe->opcode = IORING_OP_SEND;
		sqe->msg_flags = MSG_NOSIGNAL;
	}
}

static void prepare_message(struct io_uring_sqe *sqe, const struct tti_io_op *op)
{
	bool recv = op->kind == TTI_IO_RECV_MSG;

	sqe->opcode = recv ? IORING_OP_RECVMSG : IORING_OP_SENDMSG;
	sqe->addr = (uintptr_t)op->buf;
	sqe->len = 1;
	sqe->msg_flags = recv ? op->events : MSG_NOSIGNAL;
	if (recv && (op->flags & TTI_IO_DRAINED))
		sqe->ioprio = IORING_RECVSEND_POLL_FIRST;
}

static void prepare_accept(struct io_uring_sqe *sqe, struct tti_io_op *op)
{
	uint32_t len = (uint32_t)op->len;

	sqe->opcode = IORING_OP_ACCEPT;
	sqe->accept_flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
	if (op->buf == NULL)
		return;
	memcpy(&op->driver_data[DATA_ADDR_LEN], &len, sizeof(len));
	sqe->addr = (uintptr_t)op->buf;
	sqe->addr2 = (uintptr_t)&op->driver_data[DATA_ADDR_LEN];
}

static void prepare_poll(struct io_uring_sqe *sqe, unsigned events)
{
	sqe->opcode = IORING_OP_POLL_ADD;
	sqe->poll32_events = events;
}

/* The entry that does the operation itself. */
static void prepare(struct io_uring_sqe *sqe, struct tti_io_op *op)
{
	switch ((enum tti_io_kind)op->kind) {
	case TTI_IO_READ:
	case TTI_IO_WRITE:
		prepare_transfer(sqe, op);
		return;
	case TTI_IO_RECV_MSG:
	case TTI_IO_SEND_MSG:
		prepare_message(sqe, op);
		return;
	case TTI_IO_ACCEPT:
		prepare_accept(sqe, op);
		return;
	case TTI_IO_CONNECT:
		sqe->opcode = IORING_OP_CONNECT;
		sqe->addr = (uintptr_t)op->buf;
		sqe->off = op->len;
		return;
	case TTI_IO_POLL:
		prepare_poll(sqe, op->events);
		return;
	case TTI_IO_KINDS:
		break;
	}
	TT_REQUIRE(false, "an I/O operation of no kind");
}

/* DATA_OPCODE says POLL_ADD when an operation of another kind first waits to be ready. */
static bool op_enqueue(struct uring *u, struct tti_io_op *op)
{
	struct io_uring_sqe *sqe = sqe_get(u, u->sq_entries / 8);

	if (sqe == NULL)
		return false;
	if (op->driver_data[DATA_OPCODE] == IORING_OP_POLL_ADD)
		prepare_poll(sqe, op->kind == TTI_IO_POLL ? op->events : op->direction == 0 ? POLLIN : POLLOUT);
	else
		prepare(sqe, op);
	sqe->fd = op->fd;
	sqe->user_data = (uintptr_t)op | TAG_OP;
	op->driver_data[DATA_OPCODE] = sqe->opcode;
	return true;
}

static void op_start(struct uring *u, struct tti_io_op *op)
{
	/* Whoever waits already goes first. */
	if (!tti_list_empty(&u->waiting) || !op_enqueue(u, op))
		tti_list_push_back(&u->waiting, &op->link);
}

static bool cancel_enqueue(struct uring *u, uint64_t user_data)
{
	struct io_uring_sqe *sqe = sqe_get(u, 0);

	if (sqe == NULL)
		return false;
	sqe->opcode = IORING_OP_ASYNC_CANCEL;
	sqe->fd = -1;
	sqe->addr = user_data;
	sqe->user_data = (user_data & ~(uint64_t)TAG_MASK) | TAG_CANCEL;
	return true;
}

/* Entries for those who found none: cancels first. */
static void enqueue_waiting(struct uring *u)
{
	struct tti_list *n;

	while ((n = tti_list_first(&u->unasked)) != NULL) {
		if (!cancel_enqueue(u, (uintptr_t)TTI_CONTAINER_OF(n, struct tti_io_op, link)))
			return;
		tti_list_unlink(n);
	}
	while ((n = tti_list_first(&u->waiting)) != NULL) {
		if (!op_enqueue(u, TTI_CONTAINER_OF(n, struct tti_io_op, link)))
			return;
		tti_list_unlink(n);
	}
	if (!u->wake_armed && !u->closing)
		wake_arm(u);
}

/* ---- operations ---- */

/* Sends by system call what has room; -EAGAIN for all else. */
static long send_now(struct tti_driver *d, const struct tti_io_op *op)
{
	if (op->kind == TTI_IO_SEND_MSG)
		return tti_direct_send_msg(d, op->fd, op->buf);
	if (op->kind == TTI_IO_WRITE && (op->flags & TTI_IO_SOCKET))
		return tti_direct_write(d, op->fd, op->buf, op->len, op->flags);
	return -EAGAIN;
}

static int driver_submit(struct tti_driver *d, struct tti_io_op *op)
{
	struct uring *u = uring_of(d);
	long rc;

	check_owner(u);
	TT_ASSERT(((uintptr_t)op & TAG_MASK) == 0);
	TT_ASSERT((op->flags & TTI_IO_FOREIGN) == 0 || op->kind == TTI_IO_POLL);
	rc = send_now(d, op);
	if (rc != -EAGAIN) {
		op->result = rc;
		return 1;
	}
	op->direction = tti_io_is_write(op->kind);
	op->driver_data[DATA_OPCODE] = IORING_OP_NOP;
	tti_list_init(&op->link);
	u->ops++;
	op_start(u, op);
	return 0;
}

static int driver_cancel(struct tti_driver *d, struct tti_io_op *op)
{
	struct uring *u = uring_of(d);

	check_owner(u);
	TT_ASSERT(u->ops > 0);
	op->cancelled = true;
	if (tti_list_linked(&op->link)) {
		/* The kernel has not heard of it. */
		tti_list_unlink(&op->link);
		u->ops--;
		op->result = -ECANCELED;
		return 1;
	}
	if (!cancel_enqueue(u, (uintptr_t)op))
		tti_list_push_back(&u->unasked, &op->link);
	return 0;
}

/* To be tried again after a while. */
static void busy_add(struct uring *u, struct tti_io_op *op)
{
	op->driver_data[DATA_OPCODE] = IORING_OP_NOP;
	if (tti_list_empty(&u->busy))
		u->busy_until = tti_env_now() + BUSY_RETRY;
	tti_list_push_back(&u->busy, &op->link);
}

static void busy_retry(struct uring *u)
{
	struct tti_list *n;

	if (tti_list_empty(&u->busy) || tti_env_now() < u->busy_until)
		return;
	while ((n = tti_list_pop_front(&u->busy)) != NULL)
		op_start(u, TTI_CONTAINER_OF(n, struct tti_io_op, link));
}

static void op_finish(struct uring *u, struct tti_io_op *op, long result)
{
	TT_ASSERT(u->ops > 0);
	u->ops--;
	u->base.completions[op->kind]++;
	op->result = result;
	op->done(op);
}

/* Where the kernel ended an operation without an outcome, the opcode to go on with. */
static int next_opcode(const struct tti_io_op *op, long res)
{
	if (op->driver_data[DATA_OPCODE] == IORING_OP_POLL_ADD && op->kind != TTI_IO_POLL)
		return res >= 0 ? IORING_OP_NOP : -1;
	if (res == -EAGAIN)
		return IORING_OP_POLL_ADD;
	if (op->kind == TTI_IO_ACCEPT && tti_direct_accept_starved(res) && tti_direct_ready(NULL, op->fd, POLLIN) == -EAGAIN)
		return IORING_OP_POLL_ADD;
	if (res == -EINTR || (op->kind == TTI_IO_ACCEPT && tti_direct_accept_again(res)))
		return IORING_OP_NOP;
	return -1;
}

/* A connect by time, since no poll tells when there is room; all others at once. */
static void op_again(struct uring *u, struct tti_io_op *op, int opcode)
{
	if (op->kind == TTI_IO_CONNECT) {
		busy_add(u, op);
		return;
	}
	op->driver_data[DATA_OPCODE] = (uint64_t)opcode;
	op_start(u, op);
}

static void op_complete(struct uring *u, struct tti_io_op *op, long res)
{
	int next = next_opcode(op, res);

	u->reaped[op->driver_data[DATA_OPCODE]]++;
	/* Its cancel was still to be asked for. */
	tti_list_unlink(&op->link);
	if (next >= 0 && !op->cancelled) {
		op_again(u, op, next);
		return;
	}
	if (next >= 0)
		res = -ECANCELED;
	/* Law 2: the kernel connects on its own, and may have done so. */
	if (res == -ECANCELED && op->kind == TTI_IO_CONNECT && tti_direct_connected(op->fd))
		res = 0;
	if (res > 0 && op->kind == TTI_IO_POLL)
		res &= (long)(op->events | POLLERR | POLLHUP);
	if (res >= 0 && op->kind == TTI_IO_ACCEPT && op->addr_len != NULL) {
		uint32_t len = 0;

		if (op->buf != NULL)
			memcpy(&len, &op->driver_data[DATA_ADDR_LEN], sizeof(len));
		*op->addr_len = len;
	}
	op_finish(u, op, res);
}

/* ---- completions ---- */

static void wake_seen(struct uring *u, bool last)
{
	u->base.wakes++;
	/* acquire: pairs with the exchange in driver_wake(): what a thread did before its wake is
	 * seen after this poll. */
	TT_IGNORE(tti_exchange_acquire(&u->woken, 0));
	if (last)
		u->wake_armed = false;
}

static void completion_handle(struct uring *u, uint64_t user_data, long res, uint32_t flags)
{
	unsigned tag = user_data & TAG_MASK;
	bool last = (flags & IORING_CQE_F_MORE) == 0;

	/* Law 11: a cancel's completion is returned too. Broken on purpose, it is not. */
	if (last && !(TTI_LAW_BROKEN(11) && tag == TAG_CANCEL)) {
		TT_ASSERT(u->in_flight > 0);
		u->in_flight--;
	}
	TT_REQUIRE(tag <= TAG_WAKE, "io_uring: a completion of nothing that was submitted");
	if (tag == TAG_OP)
		op_complete(u, (struct tti_io_op *)(uintptr_t)user_data, res);
	else if (tag == TAG_CANCEL)
		u->reaped[IORING_OP_ASYNC_CANCEL]++;
	else
		wake_seen(u, last);
}

static uint32_t cq_ready(const struct uring *u)
{
	/* acquire: pairs with the kernel's release of completions that it has written.
	 * relaxed: the head is written by this thread only. */
	return tti_load_acquire(u->cq_tail) - tti_load_relaxed(u->cq_head);
}

/* Hands out what is there now; what done() brings about comes with the next poll. */
static uint32_t reap(struct uring *u)
{
	uint32_t n = cq_ready(u);

	for (uint32_t i = 0; i < n; i++) {
		/* relaxed: the head is written by this thread only. */
		uint32_t head = tti_load_relaxed(u->cq_head);
		struct io_uring_cqe cqe = TTI_PLAIN_READ(u->cqes[head & u->cq_mask]);

		/* release: pairs with the kernel's acquire of the head: the slot was read. */
		tti_store_release(u->cq_head, head + 1);
		completion_handle(u, cqe.user_data, cqe.res, cqe.flags);
	}
	return n;
}

/* Runs deferred work, and waits for one completion until the deadline. */
static long enter_wait(struct uring *u, uint32_t submit, int64_t deadline)
{
	int64_t left = deadline == TT_NEVER ? TT_NEVER : deadline - tti_env_now();
	struct __kernel_timespec ts = { .tv_sec = left / NS_PER_SEC, .tv_nsec = left % NS_PER_SEC };
	struct io_uring_getevents_arg arg = { .ts = deadline == TT_NEVER ? 0 : (uintptr_t)&ts };

	if (left <= 0)
		return enter(u, submit, 0, IORING_ENTER_GETEVENTS, NULL);
	return enter(u, submit, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg);
}

/* One system call: submits, runs deferred work, and waits if asked to. */
static long enter_turn(struct uring *u, bool wait, int64_t deadline)
{
	uint32_t submit = sq_publish(u);
	long rc;

	if (!wait)
		rc = enter(u, submit, 0, IORING_ENTER_GETEVENTS, NULL);
	else
		rc = enter_wait(u, submit, deadline);
	if (rc < 0 && rc != -EINTR && rc != -ETIME && wait) {
		/* It found no memory to submit, and did not wait: go on without, but not at once. */
		int64_t soon = tti_env_now() + SUBMIT_RETRY;

		rc = enter_wait(u, 0, soon < deadline ? soon : deadline);
	}
	/* Not even NODROP can keep a completion that the kernel finds no memory for, and an
	 * operation without its completion never ends. */
	TT_REQUIRE(rc != -EBADR, "io_uring: the kernel lost a completion for want of memory");
	return rc;
}

static bool is_over(int64_t deadline)
{
	return deadline <= 0 || (deadline != TT_NEVER && tti_env_now() >= deadline);
}

/* True when something was handed out. */
static bool turn(struct uring *u, bool wait, int64_t deadline)
{
	uint32_t n;

	busy_retry(u);
	enqueue_waiting(u);
	if (wait || sq_used(u) > 0 || (sq_pending_flags(u) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0)
		TT_IGNORE(enter_turn(u, wait && cq_ready(u) == 0, deadline));
	n = reap(u);
	/* What did not fit, in order behind what did. */
	while (sq_pending_flags(u) & IORING_SQ_CQ_OVERFLOW) {
		if (enter_turn(u, false, 0) < 0)
			break;
		n += reap(u);
	}
	return n > 0;
}

/* Those that are to be tried again must not wait for an event. */
static int64_t next_deadline(const struct uring *u, int64_t deadline)
{
	return tti_list_empty(&u->busy) || deadline <= u->busy_until ? deadline : u->busy_until;
}

static void driver_poll(struct tti_driver *d, int64_t deadline)
{
	struct uring *u = uring_of(d);

	check_owner(u);
	d->polls++;
	/* A wait may end early, by a signal or because it submitted something. */
	while (!turn(u, deadline > 0, next_deadline(u, deadline)) && !is_over(deadline))
		;
}

/* ---- waking ---- */

static void wake_arm(struct uring *u)
{
	struct io_uring_sqe *sqe = sqe_get(u, 0);

	if (sqe == NULL)
		return;
	prepare_poll(sqe, POLLIN);
	sqe->len = IORING_POLL_ADD_MULTI;
	sqe->fd = u->event_fd;
	sqe->user_data = TAG_WAKE;
	u->wake_armed = true;
}

static void driver_wake(struct tti_driver *d)
{
	struct uring *u = uring_of(d);
	uint64_t one = 1;

	if (TTI_LAW_BROKEN(7))
		/* Deliberately wrong: makes an entry on a ring that may be another thread's. */
		TT_IGNORE(cancel_enqueue(u, TAG_MASK));
	/* release: pairs with the exchange in completion_handle(). Whoever finds 1 leaves the
	 * write to the thread that set it. */
	if (tti_exchange_release(&u->woken, 1) != 0)
		return;
	/* Every write causes a completion of the armed poll, so that nobody needs to read the
	 * counter; it cannot reach its end. A signal handler may run here: no errno is
	 * touched. */
	TT_IGNORE(tti_env_syscall(SYS_write, u->event_fd, (long)&one, sizeof(one), 0, 0, 0));
}

/* The ring remembers nothing of a descriptor beyond its operations. */
static void driver_forget(struct tti_driver *d, int fd, uint32_t generation)
{
	(void)fd;
	(void)generation;
	check_owner(uring_of(d));
}

/* ---- life ---- */

static bool is_map_error(long p)
{
	return p < 0 && p > -4096;
}

static long ring_map(int fd, size_t len, uint64_t offset)
{
	long p = tti_env_syscall(SYS_mmap, 0, (long)len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
	                         (long)offset);

	/* A child shares the queues if it inherits them, and could only break them. */
	if (!is_map_error(p))
		TT_IGNORE(tti_env_madvise((void *)p, len, MADV_DONTFORK));
	return p;
}

static tti_atomic_u32 *word_at(void *base, uint32_t offset)
{
	return (tti_atomic_u32 *)(void *)((char *)base + offset);
}

static size_t size_max(size_t a, size_t b)
{
	return a > b ? a : b;
}

static int uring_map(struct uring *u, const struct io_uring_params *p)
{
	bool array = (p->flags & IORING_SETUP_NO_SQARRAY) == 0;
	size_t sq_len = array ? p->sq_off.array + p->sq_entries * sizeof(uint32_t) : 0;
	size_t cq_len = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
	long at;

	u->queues_len = size_max(sq_len, cq_len);
	at = ring_map(u->fd, u->queues_len, IORING_OFF_SQ_RING);
	if (is_map_error(at))
		return (int)at;
	u->queues = (void *)at;
	u->sqes_len = p->sq_entries * sizeof(struct io_uring_sqe);
	at = ring_map(u->fd, u->sqes_len, IORING_OFF_SQES);
	if (is_map_error(at))
		return (int)at;
	u->sqes = (struct io_uring_sqe *)at;
	u->sq_head = word_at(u->queues, p->sq_off.head);
	u->sq_tail = word_at(u->queues, p->sq_off.tail);
	u->sq_flags = word_at(u->queues, p->sq_off.flags);
	u->sq_entries = p->sq_entries;
	u->sq_mask = p->sq_entries - 1;
	u->cq_head = word_at(u->queues, p->cq_off.head);
	u->cq_tail = word_at(u->queues, p->cq_off.tail);
	u->cqes = (struct io_uring_cqe *)(void *)((char *)u->queues + p->cq_off.cqes);
	u->cq_entries = p->cq_entries;
	u->cq_mask = p->cq_entries - 1;
	/* relaxed: the kernel reads the indices when it is entered. */
	for (uint32_t i = 0; array && i < p->sq_entries; i++)
		tti_store_relaxed(word_at(u->queues, p->sq_off.array + i * (uint32_t)sizeof(uint32_t)), i);
	return 0;
}

/* -ENOSYS for a kernel that is too old. */
static int uring_setup(struct uring *u, unsigned entries, struct io_uring_params *ret_params)
{
	unsigned flags = SETUP_FLAGS | IORING_SETUP_NO_SQARRAY;
	long rc;

	for (;;) {
		memset(ret_params, 0, sizeof(*ret_params));
		ret_params->flags = flags;
		ret_params->cq_entries = entries <= ENTRIES_TINY ? entries : entries * COMPLETIONS_PER_ENTRY;
		rc = tti_env_syscall(SYS_io_uring_setup, (long)entries, (long)ret_params, 0, 0, 0, 0);
		if (rc != -EINVAL || flags == SETUP_FLAGS)
			break;
		flags = SETUP_FLAGS;
	}
	if (rc < 0)
		return rc == -EINVAL ? -ENOSYS : (int)rc;
	u->fd = (int)rc;
	return (ret_params->features & FEATURES) == FEATURES ? 0 : -ENOSYS;
}

static void uring_unmap(struct uring *u)
{
	if (u->sqes != NULL)
		tti_env_unmap(u->sqes, u->sqes_len);
	if (u->queues != NULL)
		tti_env_unmap(u->queues, u->queues_len);
	if (u->fd >= 0)
		tti_direct_close(&u->base, u->fd);
	u->sqes = NULL;
	u->queues = NULL;
	u->fd = -1;
}

static int uring_open(struct uring *u, unsigned entries)
{
	struct io_uring_params p;
	int rc;

	for (;; entries /= 2) {
		rc = uring_setup(u, entries, &p);
		if (rc == 0)
			rc = uring_map(u, &p);
		if (rc == 0)
			return 0;
		uring_unmap(u);
		if (rc != -ENOMEM || entries <= ENTRIES_MIN)
			return rc;
	}
}

/* A sandbox may filter operations: a missing one means that this ring is of no use. */
static int uring_probe(const struct uring *u)
{
	static const uint8_t needed[] = {
		IORING_OP_ACCEPT, IORING_OP_CONNECT, IORING_OP_RECV, IORING_OP_SEND, IORING_OP_READ,
		IORING_OP_WRITE, IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL, IORING_OP_RECVMSG, IORING_OP_SENDMSG,
	};
	union {
		struct io_uring_probe probe;
		char room[sizeof(struct io_uring_probe) + TTI_URING_OPCODES * sizeof(struct io_uring_probe_op)];
	} answer;
	struct io_uring_probe_op op;
	long rc;

	memset(&answer, 0, sizeof(answer));
	rc = tti_env_syscall(SYS_io_uring_register, u->fd, IORING_REGISTER_PROBE, (long)&answer, TTI_URING_OPCODES,
	                     0, 0);
	if (rc < 0)
		return rc == -EINVAL ? -ENOSYS : (int)rc;
	for (size_t i = 0; i < sizeof(needed); i++) {
		memcpy(&op, answer.room + sizeof(answer.probe) + needed[i] * sizeof(op), sizeof(op));
		if (needed[i] > answer.probe.last_op || (op.flags & IO_URING_OP_SUPPORTED) == 0)
			return -ENOSYS;
	}
	return 0;
}

/* Accepts what create made so far. */
static void uring_free(struct uring *u)
{
	uring_unmap(u);
	if (u->event_fd >= 0)
		tti_direct_close(&u->base, u->event_fd);
	tti_env_free(u);
}

/* Law 11: nothing is in flight when the ring goes. */
static void uring_drain(struct uring *u)
{
	int64_t deadline = tti_env_now() + DRAIN_MAX;

	u->closing = true;
	if (u->wake_armed && !cancel_enqueue(u, TAG_WAKE))
		return;
	while (u->in_flight > 0 && !is_over(deadline))
		turn(u, true, deadline);
	TT_ASSERT(u->in_flight == 0);
}

static void driver_destroy(struct tti_driver *d)
{
	struct uring *u = uring_of(d);

	check_owner(u);
	TT_ASSERT(u->ops == 0);
	uring_drain(u);
	uring_free(u);
}

static unsigned entries_from(unsigned hint)
{
	unsigned n = ENTRIES_MIN;

	if (tti_env_var("TUTTI_RING_TINY") != NULL)
		return ENTRIES_TINY;
	if (hint == 0)
		return ENTRIES_DEFAULT;
	while (n < hint && n < ENTRIES_MAX)
		n *= 2;
	return n;
}

static int driver_create(struct tti_home *home, unsigned entries, struct tti_driver **ret_driver)
{
	struct uring *u = tti_env_zalloc(sizeof(*u));
	int rc;

	if (u == NULL)
		return -ENOMEM;
	u->base.ops = &tti_driver_uring;
	u->base.home = home;
	u->owner = tti_direct_thread();
	u->fd = u->event_fd = -1;
	tti_list_init(&u->waiting);
	tti_list_init(&u->unasked);
	tti_list_init(&u->busy);
	rc = uring_open(u, entries_from(entries));
	if (rc == 0)
		rc = uring_probe(u);
	if (rc == 0) {
		u->event_fd = (int)tti_env_syscall(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK, 0, 0, 0, 0);
		rc = u->event_fd < 0 ? u->event_fd : 0;
	}
	if (rc < 0) {
		uring_free(u);
		return rc;
	}
	wake_arm(u);
	*ret_driver = &u->base;
	return 0;
}

/* ---- for the tests ---- */

uint64_t tti_uring_reaped(const struct tti_driver *d, unsigned opcode)
{
	return uring_of(d)->reaped[opcode];
}

size_t tti_uring_in_flight(const struct tti_driver *d)
{
	return uring_of(d)->in_flight;
}

uint32_t tti_uring_entries(const struct tti_driver *d, uint32_t *ret_completions)
{
	*ret_completions = uring_of(d)->cq_entries;
	return uring_of(d)->sq_entries;
}

uint64_t tti_uring_enters(const struct tti_driver *d)
{
	return uring_of(d)->enters;
}

const struct tti_driver_ops tti_driver_uring = {
	.name = "uring",
	.create = driver_create,
	.destroy = driver_destroy,
	.submit = driver_submit,
	.cancel = driver_cancel,
	.poll = driver_poll,
	.wake = driver_wake,
	.forget = driver_forget,
	.socket = tti_direct_socket,
	.pair = tti_direct_pair,
	.bind = tti_direct_bind,
	.listen = tti_direct_listen,
	.address = tti_direct_address,
	.set_option = tti_direct_set_option,
	.shutdown = tti_direct_shutdown,
	.close = tti_direct_close,
	.read = tti_direct_read,
	.write = tti_direct_write,
	.send_msg = tti_direct_send_msg,
	.ready = tti_direct_ready,
	.is_stale = tti_direct_is_stale,
};

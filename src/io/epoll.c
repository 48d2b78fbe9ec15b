/* SPDX-License-Identifier: MIT */
/*
 * epoll.c - the driver on epoll: what containers run, where io_uring is refused. Called
 * by its worker's thread only (law 7), but for wake().
 *
 * An operation is tried; what would wait is parked in the record of its descriptor's
 * number and tried again when an event says so. A parked operation has had no effect, so
 * that a cancel takes it out there and then.
 *
 * A descriptor of ours is registered once, edge-triggered and for both directions, at
 * its first miss. What the edges have told is kept in the record, so that a read of a
 * socket that the last read emptied is not tried for nothing:
 *
 *      UNKNOWN --event--> READY --short read of a stream--> SHORT --event--> READY
 *         \____________________\_______ -EAGAIN ______________\---> EMPTY --event--> READY
 *
 * EMPTY parks; READY tries; UNKNOWN and SHORT try unless the caller knows better
 * (TTI_IO_DRAINED). SHORT is for TCP alone: a datagram, a line of a terminal, bytes of a
 * Unix stream that brought a descriptor are short although more is waiting, and no edge
 * would announce it. So a wrong hint costs a try, not the wake-up.
 *
 * A foreign descriptor (POLL only) is registered one-shot while an operation is parked on
 * it and leaves no trace afterwards.
 *
 * Invariants  An event carries its number and the serial of its registration; one whose
 *             serial is not the record's belongs to an earlier file and is dropped.
 *             parked counts the operations in all lists.
 * Memory      Records are made in blocks when a number is first seen and live as long as
 *             the driver, so that they may be pointed at.
 * Rejected    Level-triggered: each event would cost a change of the interest set.
 *             Skipping EPOLL_CTL_DEL before a close: where a duplicate of the descriptor
 *             lives on, its events would wake the worker for ever, and by then its
 *             number names something else.
 */
#include <limits.h>
#include <linux/time_types.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

#include "base/atomic.h"
#include "base/panic.h"
#include "env/env.h"
#include "io/direct.h"
#include "io/driver.h"

#define EVENTS_PER_POLL 256
#define RECORDS_PER_BLOCK 64
/* How often a connect to a unix listener with a full backlog is tried again. */
#define BUSY_RETRY TT_MS(1)
#define NS_PER_MS 1000000
#define NS_PER_SEC 1000000000

#define EDGE_EVENTS ((uint32_t)EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)
/* The data of the event that wake() causes; no descriptor has this number. */
#define WAKE_DATA UINT64_MAX

_Static_assert(EPOLLIN == POLLIN && EPOLLOUT == POLLOUT && EPOLLERR == POLLERR && EPOLLHUP == POLLHUP,
               "the sets of POLL operations are those of epoll");

enum registration {
	REG_NONE,
	REG_EDGE,                            /* ours */
	REG_ONESHOT,                         /* foreign; only POLL operations are parked */
	REG_REFUSED,                         /* ours, a regular file: always ready */
};

enum known { UNKNOWN, EMPTY, SHORT, READY };

/* What is remembered of a descriptor's number. */
struct record {
	int fd;
	uint32_t generation;                 /* whose descriptor of ours the rest is about */
	uint32_t serial;                     /* of the registration */
	uint8_t registration;                /* enum registration */
	uint8_t in, out;                     /* enum known */
	bool stream;                         /* in may become SHORT; set when registered */
	bool hung_up;                        /* an end or an error was announced: reads are tried */
	struct tti_list reads;               /* READ, ACCEPT, RECV_MSG; oldest first */
	struct tti_list writes;              /* WRITE, CONNECT, SEND_MSG */
	struct tti_list polls;               /* POLL */
};

struct block {
	struct record records[RECORDS_PER_BLOCK];
};

struct epoll {
	struct tti_driver base;
	const void *owner;                   /* tti_direct_thread() of the worker */
	int fd;
	int event_fd;                        /* -1 until made */
	bool no_pwait2;                      /* the kernel lacks it: whole milliseconds */
	tti_atomic_u32 woken;                /* 1: event_fd was written and not yet seen */
	struct block **blocks;               /* by number; NULL where nothing was seen */
	size_t n_blocks;
	size_t parked;
	bool told;                           /* this poll() handed something out, or was woken */
	struct tti_list busy;                /* CONNECT that no event will tell about */
	struct epoll_event events[EVENTS_PER_POLL];
};

static struct epoll *epoll_of(struct tti_driver *d)
{
	return (struct epoll *)(void *)d;
}

/* Law 7. */
static void check_owner(const struct epoll *e)
{
	TT_ASSERT(e->owner == tti_direct_thread());
}

/* ---- records ---- */

static int blocks_grow(struct epoll *e, size_t at_least)
{
	size_t n = e->n_blocks > 0 ? e->n_blocks : 4;
	struct block **blocks;

	while (n < at_least)
		n *= 2;
	blocks = tti_env_zalloc(n * sizeof(*blocks));
	if (blocks == NULL)
		return -ENOMEM;
	if (e->n_blocks > 0)
		memcpy(blocks, e->blocks, e->n_blocks * sizeof(*blocks));
	tti_env_free(e->blocks);
	e->blocks = blocks;
	e->n_blocks = n;
	return 0;
}

static struct block *block_new(size_t index)
{
	struct block *b = tti_env_zalloc(sizeof(*b));

	if (b == NULL)
		return NULL;
	for (size_t i = 0; i < RECORDS_PER_BLOCK; i++) {
		b->records[i].fd = (int)(index * RECORDS_PER_BLOCK + i);
		tti_list_init(&b->records[i].reads);
		tti_list_init(&b->records[i].writes);
		tti_list_init(&b->records[i].polls);
	}
	return b;
}

/* NULL for a number that was never seen. */
static struct record *record_find(const struct epoll *e, int fd)
{
	size_t index = (size_t)fd / RECORDS_PER_BLOCK;

	if (fd < 0 || index >= e->n_blocks || e->blocks[index] == NULL)
		return NULL;
	return &e->blocks[index]->records[(size_t)fd % RECORDS_PER_BLOCK];
}

static int record_get(struct epoll *e, int fd, struct record **ret_record)
{
	size_t index = (size_t)fd / RECORDS_PER_BLOCK;

	if (fd < 0)
		return -EBADF;
	if (index >= e->n_blocks && blocks_grow(e, index + 1) < 0)
		return -ENOMEM;
	if (e->blocks[index] == NULL)
		e->blocks[index] = block_new(index);
	if (e->blocks[index] == NULL)
		return -ENOMEM;
	*ret_record = record_find(e, fd);
	return 0;
}

static void record_reset(struct record *r)
{
	r->registration = REG_NONE;
	r->in = r->out = UNKNOWN;
	r->stream = r->hung_up = false;
}

/* The number names another descriptor than the record remembers: it was closed, maybe on
 * another worker, which removed the registration. */
static void record_adopt(struct record *r, uint32_t generation)
{
	if (r->generation == generation)
		return;
	/* Law 10: a close drains first. A foreign POLL on the number may be left over. */
	TT_ASSERT(tti_list_empty(&r->reads));
	TT_ASSERT(tti_list_empty(&r->writes));
	if (r->registration != REG_ONESHOT)
		record_reset(r);
	r->generation = generation;
}

/* ---- registration ---- */

static int control(struct epoll *e, int what, struct record *r, uint32_t events)
{
	struct epoll_event ev = { .events = events };

	ev.data.u64 = (uint64_t)r->serial << 32 | (uint32_t)r->fd;
	return (int)tti_env_syscall(SYS_epoll_ctl, e->fd, what, r->fd, (long)&ev, 0, 0);
}

/* Adds or changes, whichever the kernel's set calls for: the record can be wrong about
 * that when the number was closed elsewhere. */
static int control_set(struct epoll *e, struct record *r, uint32_t events)
{
	int rc;

	r->serial++;
	rc = control(e, EPOLL_CTL_ADD, r, events);
	return rc == -EEXIST ? control(e, EPOLL_CTL_MOD, r, events) : rc;
}

/* 0 registered, -EPERM for what epoll refuses because it is always ready. */
static int watch_edge(struct epoll *e, struct record *r, const struct tti_io_op *op)
{
	int rc;

	if (r->registration == REG_EDGE)
		return 0;
	rc = control_set(e, r, EDGE_EVENTS);
	if (rc == 0) {
		r->registration = REG_EDGE;
		r->stream = (op->flags & TTI_IO_SOCKET) && tti_direct_is_stream(op->fd);
	} else if (rc == -EPERM) {
		r->registration = REG_REFUSED;
	}
	return rc;
}

static uint32_t wanted_events(const struct record *r)
{
	uint32_t events = 0;

	TTI_LIST_FOR_EACH(n, &r->polls)
		events |= TTI_CONTAINER_OF(n, struct tti_io_op, link)->events;
	return events;
}

static int watch_foreign(struct epoll *e, struct record *r, const struct tti_io_op *op)
{
	uint32_t events = wanted_events(r) | op->events | EPOLLONESHOT;
	int rc;

	if (r->registration == REG_ONESHOT)
		return control_set(e, r, events);
	r->serial++;
	rc = control(e, EPOLL_CTL_ADD, r, events);
	if (rc == -EEXIST) {
		/* It is one of ours, polled under its number: the edges tell about it too. */
		rc = control(e, EPOLL_CTL_MOD, r, EDGE_EVENTS);
		if (rc == 0)
			r->registration = REG_EDGE;
	} else if (rc == 0) {
		record_reset(r);
		r->registration = REG_ONESHOT;
	}
	return rc;
}

/* After a foreign operation ended. Errors mean that the descriptor is gone already. */
static void unwatch_foreign(struct epoll *e, struct record *r)
{
	if (r->registration != REG_ONESHOT)
		return;
	if (tti_list_empty(&r->polls)) {
		TT_IGNORE(control(e, EPOLL_CTL_DEL, r, 0));
		r->registration = REG_NONE;
	} else {
		TT_IGNORE(control_set(e, r, wanted_events(r) | EPOLLONESHOT));
	}
}

/* ---- trying ---- */

static void note_read(struct record *r, long rc, size_t len)
{
	if (rc == -EAGAIN) {
		/* Without a registration no edge will correct this. */
		r->in = r->registration == REG_EDGE ? EMPTY : UNKNOWN;
		r->hung_up = false;
	} else if (rc > 0 && (size_t)rc < len && r->stream) {
		r->in = SHORT;
	}
}

static void note_write(struct record *r, long rc)
{
	if (rc == -EAGAIN)
		r->out = r->registration == REG_EDGE ? EMPTY : UNKNOWN;
}

static long try_connect(struct tti_io_op *op)
{
	bool started = op->driver_data[0] != 0;
	long rc = tti_direct_connect(op->fd, op->buf, op->len, &started);

	op->driver_data[0] = started;
	return rc;
}

/* The result, or -EAGAIN; -EBUSY for a connect that goes to the busy list. */
static long try_op(struct record *r, struct tti_io_op *op)
{
	long rc;

	switch ((enum tti_io_kind)op->kind) {
	case TTI_IO_READ:
		rc = tti_direct_read(NULL, op->fd, op->buf, op->len, op->flags);
		note_read(r, rc, op->len);
		return rc;
	case TTI_IO_WRITE:
		rc = tti_direct_write(NULL, op->fd, op->buf, op->len, op->flags);
		note_write(r, rc);
		return rc;
	case TTI_IO_ACCEPT:
		rc = tti_direct_accept(op->fd, op->buf, op->len, op->addr_len);
		note_read(r, rc, 0);
		return rc;
	case TTI_IO_CONNECT:
		return try_connect(op);
	case TTI_IO_RECV_MSG:
		rc = tti_direct_recv_msg(NULL, op->fd, op->buf, op->events);
		note_read(r, rc, 0);
		return rc;
	case TTI_IO_SEND_MSG:
		rc = tti_direct_send_msg(NULL, op->fd, op->buf);
		note_write(r, rc);
		return rc;
	case TTI_IO_POLL:
		return tti_direct_ready(NULL, op->fd, op->events);
	case TTI_IO_KINDS:
		break;
	}
	return -EINVAL;
}

static bool is_worth_trying(const struct record *r, const struct tti_io_op *op)
{
	if (r->registration == REG_REFUSED)
		return true;
	switch ((enum tti_io_kind)op->kind) {
	case TTI_IO_READ:
	case TTI_IO_ACCEPT:
	case TTI_IO_RECV_MSG:
		if (r->in == READY || r->hung_up)
			return true;
		return r->in != EMPTY && (op->flags & TTI_IO_DRAINED) == 0;
	case TTI_IO_WRITE:
	case TTI_IO_SEND_MSG:
		return r->out != EMPTY;
	default:
		return true;
	}
}

static struct tti_list *list_for(struct record *r, const struct tti_io_op *op)
{
	if (op->kind == TTI_IO_POLL)
		return &r->polls;
	return op->direction == 0 ? &r->reads : &r->writes;
}

static void park(struct epoll *e, struct tti_list *list, struct tti_io_op *op)
{
	tti_list_push_back(list, &op->link);
	e->parked++;
}

static int ended(struct tti_io_op *op, long result)
{
	op->result = result;
	return 1;
}

/* ---- operations ---- */

static int driver_submit(struct tti_driver *d, struct tti_io_op *op)
{
	struct epoll *e = epoll_of(d);
	bool foreign = (op->flags & TTI_IO_FOREIGN) != 0;
	struct record *r;
	long rc;

	check_owner(e);
	TT_ASSERT(!foreign || op->kind == TTI_IO_POLL);
	rc = record_get(e, op->fd, &r);
	if (rc < 0)
		return ended(op, rc);
	if (!foreign)
		record_adopt(r, op->generation);
	op->direction = tti_io_is_write(op->kind);
	op->driver_data[0] = 0;
	rc = is_worth_trying(r, op) ? try_op(r, op) : -EAGAIN;
	if (rc == -EBUSY && op->kind == TTI_IO_CONNECT) {
		park(e, &e->busy, op);
		return 0;
	}
	if (rc != -EAGAIN || r->registration == REG_REFUSED)
		return ended(op, rc);
	rc = foreign ? watch_foreign(e, r, op) : watch_edge(e, r, op);
	if (rc == -EPERM)
		return ended(op, try_op(r, op));
	if (rc < 0)
		return ended(op, rc);
	park(e, list_for(r, op), op);
	return 0;
}

static int driver_cancel(struct tti_driver *d, struct tti_io_op *op)
{
	struct epoll *e = epoll_of(d);

	check_owner(e);
	TT_ASSERT(tti_list_linked(&op->link));
	op->cancelled = true;
	tti_list_unlink(&op->link);
	e->parked--;
	if (op->flags & TTI_IO_FOREIGN)
		unwatch_foreign(e, record_find(e, op->fd));
	/* Law 2: the kernel connects on its own, and may have done so. */
	if (op->kind == TTI_IO_CONNECT && op->driver_data[0] != 0 && tti_direct_connected(op->fd))
		return ended(op, 0);
	return ended(op, -ECANCELED);
}

static void finish(struct epoll *e, struct tti_io_op *op, long result)
{
	tti_list_unlink(&op->link);
	e->parked--;
	e->told = true;
	e->base.completions[op->kind]++;
	op->result = result;
	op->done(op);
}

/* Oldest first, until one would wait. done() may cancel and submit others. */
static void serve(struct epoll *e, struct record *r, struct tti_list *list)
{
	struct tti_list *n;

	while ((n = tti_list_first(list)) != NULL) {
		struct tti_io_op *op = TTI_CONTAINER_OF(n, struct tti_io_op, link);
		long rc = try_op(r, op);

		if (rc == -EAGAIN)
			return;
		finish(e, op, rc);
	}
}

static void serve_polls(struct epoll *e, struct record *r, uint32_t events)
{
	struct tti_list todo, *n;

	/* Those not served, and those that done() submits, go to the list anew. */
	tti_list_init(&todo);
	while ((n = tti_list_pop_front(&r->polls)) != NULL)
		tti_list_push_back(&todo, n);
	while ((n = tti_list_pop_front(&todo)) != NULL) {
		struct tti_io_op *op = TTI_CONTAINER_OF(n, struct tti_io_op, link);
		uint32_t ready = events & (op->events | EPOLLERR | EPOLLHUP);

		if (ready != 0)
			finish(e, op, (long)ready);
		else
			tti_list_push_back(&r->polls, n);
	}
	unwatch_foreign(e, r);
}

static void handle_event(struct epoll *e, const struct epoll_event *ev)
{
	struct record *r = record_find(e, (int)(uint32_t)ev->data.u64);
	uint32_t events = ev->events;

	if (r == NULL || r->registration == REG_NONE || r->serial != (uint32_t)(ev->data.u64 >> 32))
		return;
	/* What takes nothing goes first: it was ready. */
	if (!tti_list_empty(&r->polls))
		serve_polls(e, r, events);
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		r->hung_up = true;
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
		r->in = READY;
		serve(e, r, &r->reads);
	}
	if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
		r->out = READY;
		serve(e, r, &r->writes);
	}
}

static void retry_busy(struct epoll *e)
{
	struct tti_list todo, *n;

	tti_list_init(&todo);
	while ((n = tti_list_pop_front(&e->busy)) != NULL)
		tti_list_push_back(&todo, n);
	while ((n = tti_list_pop_front(&todo)) != NULL) {
		struct tti_io_op *op = TTI_CONTAINER_OF(n, struct tti_io_op, link);
		long rc = try_connect(op);

		if (rc == -EBUSY)
			tti_list_push_back(&e->busy, n);
		else
			finish(e, op, rc);
	}
}

/* ---- waiting ---- */

/* Nanoseconds, rounded up to whole milliseconds where the kernel knows no better;
 * negative: without end. */
static long wait_once(struct epoll *e, int64_t timeout)
{
	struct __kernel_timespec ts = { .tv_sec = timeout / NS_PER_SEC, .tv_nsec = timeout % NS_PER_SEC };
	int64_t ms;
	long rc;

	if (!e->no_pwait2 && timeout != 0) {
		rc = tti_env_syscall(SYS_epoll_pwait2, e->fd, (long)e->events, EVENTS_PER_POLL,
		                     timeout < 0 ? 0 : (long)&ts, 0, 0);
		/* Old sandboxes answer EPERM to a call they do not know. */
		if (rc != -ENOSYS && rc != -EPERM)
			return rc;
		e->no_pwait2 = true;
	}
	ms = timeout < 0 ? -1 : timeout / NS_PER_MS + (timeout % NS_PER_MS != 0);
	if (ms > INT_MAX)
		ms = INT_MAX;
	return tti_env_syscall(SYS_epoll_pwait, e->fd, (long)e->events, EVENTS_PER_POLL, (long)ms, 0, 0);
}

static int64_t time_left(const struct epoll *e, int64_t deadline)
{
	int64_t left;

	if (deadline == TT_NEVER && tti_list_empty(&e->busy))
		return -1;
	if (deadline <= 0)
		return 0;
	left = deadline - tti_env_now();
	if (left > BUSY_RETRY && !tti_list_empty(&e->busy))
		left = BUSY_RETRY;
	return left > 0 ? left : 0;
}

static size_t wait_events(struct epoll *e, int64_t deadline)
{
	long rc;

	/* Whoever wants attention after a signal calls wake(). */
	do
		rc = wait_once(e, time_left(e, deadline));
	while (rc == -EINTR);
	TT_ASSERT(rc != -EBADF);
	return rc > 0 ? (size_t)rc : 0;
}

static void note_wake(struct epoll *e)
{
	/* acquire: pairs with the exchange in driver_wake(): what a thread did before its
	 * wake is seen after this poll. */
	TT_IGNORE(tti_exchange_acquire(&e->woken, 0));
	e->base.wakes++;
	e->told = true;
}

static void poll_once(struct epoll *e, int64_t deadline)
{
	size_t n = wait_events(e, deadline);

	for (size_t i = 0; i < n; i++) {
		if (e->events[i].data.u64 == WAKE_DATA)
			note_wake(e);
		else
			handle_event(e, &e->events[i]);
	}
	if (!tti_list_empty(&e->busy))
		retry_busy(e);
}

static void driver_poll(struct tti_driver *d, int64_t deadline)
{
	struct epoll *e = epoll_of(d);

	check_owner(e);
	d->polls++;
	/* Nobody waits for an event: those that came keep until somebody does. */
	if (e->parked == 0 && deadline <= 0)
		return;
	/* Most events of a new registration tell what was known: it can be written to. */
	e->told = false;
	do
		poll_once(e, deadline);
	while (!e->told && time_left(e, deadline) != 0);
}

static void driver_wake(struct tti_driver *d)
{
	struct epoll *e = epoll_of(d);
	uint64_t one = 1;

	if (TTI_LAW_BROKEN(7))
		/* Deliberately wrong: looks after the parked operations from any thread. */
		check_owner(e);
	/* release: pairs with the exchange in note_wake(). Whoever finds 1 leaves the write
	 * to the thread that set it. */
	if (tti_exchange_release(&e->woken, 1) != 0)
		return;
	/* The event is edge-triggered, so that nobody needs to read the counter; it cannot
	 * reach its end. A signal handler may run here: no errno is touched. */
	TT_IGNORE(tti_env_syscall(SYS_write, e->event_fd, (long)&one, sizeof(one), 0, 0, 0));
}

static void driver_forget(struct tti_driver *d, int fd, uint32_t generation)
{
	struct epoll *e = epoll_of(d);
	struct record *r = record_find(e, fd);

	check_owner(e);
	if (r == NULL || r->generation != generation)
		return;
	/* Law 10. */
	TT_ASSERT(tti_list_empty(&r->reads));
	TT_ASSERT(tti_list_empty(&r->writes));
	if (r->registration == REG_EDGE)
		TT_IGNORE(control(e, EPOLL_CTL_DEL, r, 0));
	if (r->registration != REG_ONESHOT)
		record_reset(r);
}

static long driver_read(struct tti_driver *d, int fd, void *buf, size_t n, unsigned flags)
{
	struct record *r = record_find(epoll_of(d), fd);
	long rc = tti_direct_read(d, fd, buf, n, flags);

	if (r != NULL)
		note_read(r, rc, n);
	return rc;
}

static long driver_write(struct tti_driver *d, int fd, const void *buf, size_t n, unsigned flags)
{
	struct record *r = record_find(epoll_of(d), fd);
	long rc = tti_direct_write(d, fd, buf, n, flags);

	if (r != NULL)
		note_write(r, rc);
	return rc;
}

static long driver_send_msg(struct tti_driver *d, int fd, const struct msghdr *m)
{
	struct record *r = record_find(epoll_of(d), fd);
	long rc = tti_direct_send_msg(d, fd, m);

	if (r != NULL)
		note_write(r, rc);
	return rc;
}

/* ---- life ---- */

/* Accepts what create made so far. */
static void epoll_free(struct epoll *e)
{
	for (size_t i = 0; i < e->n_blocks; i++)
		tti_env_free(e->blocks[i]);
	tti_env_free(e->blocks);
	if (e->event_fd >= 0)
		tti_direct_close(&e->base, e->event_fd);
	if (e->fd >= 0)
		tti_direct_close(&e->base, e->fd);
	tti_env_free(e);
}

static void driver_destroy(struct tti_driver *d)
{
	struct epoll *e = epoll_of(d);

	check_owner(e);
	TT_ASSERT(e->parked == 0);
	epoll_free(e);
}

static int open_descriptors(struct epoll *e)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };

	e->fd = (int)tti_env_syscall(SYS_epoll_create1, EPOLL_CLOEXEC, 0, 0, 0, 0, 0);
	if (e->fd < 0)
		return e->fd;
	e->event_fd = (int)tti_env_syscall(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK, 0, 0, 0, 0);
	if (e->event_fd < 0)
		return e->event_fd;
	ev.data.u64 = WAKE_DATA;
	return (int)tti_env_syscall(SYS_epoll_ctl, e->fd, EPOLL_CTL_ADD, e->event_fd, (long)&ev, 0, 0);
}

static int driver_create(struct tti_home *home, unsigned entries, struct tti_driver **ret_driver)
{
	struct epoll *e = tti_env_zalloc(sizeof(*e));
	int rc;

	(void)entries;
	if (e == NULL)
		return -ENOMEM;
	e->base.ops = &tti_driver_epoll;
	e->base.home = home;
	e->owner = tti_direct_thread();
	e->fd = e->event_fd = -1;
	tti_list_init(&e->busy);
	rc = open_descriptors(e);
	if (rc < 0) {
		epoll_free(e);
		return rc;
	}
	*ret_driver = &e->base;
	return 0;
}

const struct tti_driver_ops tti_driver_epoll = {
	.name = "epoll",
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
	.read = driver_read,
	.write = driver_write,
	.send_msg = driver_send_msg,
	.ready = tti_direct_ready,
	.is_stale = tti_direct_is_stale,
};

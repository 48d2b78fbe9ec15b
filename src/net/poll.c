/* SPDX-License-Identifier: MIT */
/*
 * poll.c - waiting until a descriptor is ready: tt_fd_poll(), and arms of a select.
 *
 * An arm keeps its operation in its node. Enlisting submits it; its done() claims the
 * select; delisting asks the driver to end one that lost, and waits for that (law 1). It is
 * listed as a call on the descriptor like any other, so that a close ends it: the arm then
 * fails with TT_EBADF. Readiness takes nothing, so that a loser has nothing to give back.
 */
#include <poll.h>

#include <tutti/select.h>

#include "base/sometimes.h"
#include "net/fd.h"
#include "net/reader.h"

static unsigned sides_of(unsigned events)
{
	return ((events & POLLIN) != 0 ? TTI_READING : 0u) | ((events & POLLOUT) != 0 ? TTI_WRITING : 0u);
}

int tt_fd_poll(tt_fd *fd, unsigned events)
{
	struct tti_fd_call c;
	struct tti_fd_io io;
	int rc;

	if (tti_current_or_panic("tt_fd_poll") == NULL)
		return TT_EWRONGCTX;
	rc = tti_checkpoint();
	if (rc == 0 && (sides_of(events) == 0 || (events & ~(unsigned)(POLLIN | POLLOUT)) != 0))
		rc = TT_EINVAL;
	if (rc == 0)
		rc = tti_fd_enter(fd, sides_of(events), &c);
	if (rc < 0)
		return rc;
	tti_fd_io_init(&io, &c, TTI_IO_POLL, "poll");
	io.wait.op.events = events;
	return (int)tti_fd_leave(&c, tti_fd_perform(&io));
}

/* ---- arms ---- */

/* In the node's scratch. */
struct ready_arm {
	struct tti_fd_call call;
	struct tti_io_op op;
	struct tti_wait_node *node;
	struct tti_waiter *drainer;          /* who waits for op's end, if anybody */
};

_Static_assert(sizeof(struct ready_arm) <= sizeof(uint64_t) * TTI_NODE_SCRATCH_WORDS, "an operation fits a node");

static struct ready_arm *arm_in(struct tti_wait_node *n)
{
	return (struct ready_arm *)(void *)n->scratch;
}

/* The arm's outcome: an error of the descriptor itself is ready too, the next call says it. */
static int rc_of(struct ready_arm *a, long result)
{
	if (result >= 0)
		return 0;
	return result == TT_ECANCELED && tti_fd_is_closing(&a->call) ? TT_EBADF : (int)result;
}

static void ready_done(struct tti_io_op *op)
{
	struct ready_arm *a = TTI_CONTAINER_OF(op, struct ready_arm, op);
	struct tti_wait_node *n = a->node;

	a->call.op = NULL;
	if (tti_claim(n->waiter)) {
		n->waiter->winner = n->arm;
		n->waiter->rc = rc_of(a, op->result);
		tti_wake(n->waiter);
	} else if (a->drainer != NULL && tti_claim(a->drainer)) {
		tti_wake(a->drainer);
	}
}

/* 1: ended at once, with op.result set. */
static int ready_submit(struct ready_arm *a, struct tti_wait_node *n, unsigned events)
{
	int rc;

	a->node = n;
	a->drainer = NULL;
	tti_io_op_init(&a->op, TTI_IO_POLL, ready_done);
	tti_fd_aim(&a->call, &a->op);
	a->op.events = events;
	a->call.op = &a->op;
	rc = tti_io_submit(&a->op);
	if (rc == 1)
		a->call.op = NULL;
	return rc;
}

/* Ends the operation if it is under way. */
static void ready_drain(struct ready_arm *a)
{
	struct tti_waiter w;

	if (a->call.op != NULL)
		tti_io_ask_cancel(a->call.op);
	if (a->call.op == NULL)
		return;
	TTI_SOMETIMES(true, "a select ends, and what it had under way for a descriptor does not yet");
	tti_waiter_init(&w, "poll", a->call.fd);
	w.abort = NULL;
	a->drainer = &w;
	tti_park(&w);
}

/* What is ready now, or TT_EAGAIN. */
static long ready_now(const struct ready_arm *a, unsigned events)
{
	struct tti_driver *d = tti_home_here->driver;

	return d->ops->ready(d, a->call.fd->number, events);
}

static int ready_enlist(tt_fd *fd, unsigned events, struct tti_wait_node *n, bool may_link)
{
	struct ready_arm *a = arm_in(n);
	long rc = tti_fd_enter(fd, sides_of(events), &a->call);

	if (rc < 0)
		return tti_claim_own_node(n, (int)rc);
	if (may_link && ready_submit(a, n, events) == 0)
		return TTI_ARM_LINKED;
	rc = tti_fd_leave(&a->call, may_link ? a->op.result : ready_now(a, events));
	if (!may_link && rc == TT_EAGAIN)
		return TTI_ARM_LINKED;
	return tti_claim_own_node(n, rc < 0 ? (int)rc : 0);
}

static void ready_delist(const tt_arm *arm, struct tti_wait_node *n)
{
	struct ready_arm *a = arm_in(n);

	(void)arm;
	ready_drain(a);
	TT_IGNORE((int)tti_fd_leave(&a->call, 0));
}

static int fd_enlist(const tt_arm *arm, struct tti_wait_node *n, bool may_link)
{
	return ready_enlist(arm->object, (unsigned)arm->n, n, may_link);
}

static int reader_enlist(const tt_arm *arm, struct tti_wait_node *n, bool may_link)
{
	const struct tti_reader *r = arm->object;

	if (r->end > r->start)
		return tti_claim_own_node(n, 0);
	return ready_enlist(r->fd, POLLIN, n, may_link);
}

static const struct tti_arm_ops readable_arm = { .verb = "readable", .enlist = fd_enlist, .delist = ready_delist };
static const struct tti_arm_ops writable_arm = { .verb = "writable", .enlist = fd_enlist, .delist = ready_delist };
static const struct tti_arm_ops reader_arm = { .verb = "reader", .enlist = reader_enlist, .delist = ready_delist };

tt_arm tt_on_readable_(tt_fd *fd, int *rc)
{
	return (tt_arm){ .ops = &readable_arm, .object = fd, .rc = rc, .n = POLLIN };
}

tt_arm tt_on_writable_(tt_fd *fd, int *rc)
{
	return (tt_arm){ .ops = &writable_arm, .object = fd, .rc = rc, .n = POLLOUT };
}

tt_arm tt_on_reader_(tt_reader *r, int *rc)
{
	return (tt_arm){ .ops = &reader_arm, .object = tti_reader_of(r), .rc = rc };
}

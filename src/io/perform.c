/* SPDX-License-Identifier: MIT */
/*
 * perform.c - one I/O operation of one task: submit, park, retire. Called by net/ for
 * every transfer. Laws 1 and 2 live here.
 *
 * The operation and its waiter sit in the calling frame until done() was called; a
 * cancel asks the driver once and then still waits for that.
 */
#include "io/perform.h"

#include "base/panic.h"
#include "base/sometimes.h"

static void io_done(struct tti_io_op *op)
{
	struct tti_io_wait *io = TTI_CONTAINER_OF(op, struct tti_io_wait, op);
	bool mine = tti_claim(&io->waiter);

	/* Nobody else may claim an I/O wait: its abort only asks the driver. */
	TT_ASSERT(mine || TTI_LAW_BROKEN(1));
	if (mine)
		tti_wake(&io->waiter);
}

void tti_io_ask_cancel(struct tti_io_op *op)
{
	struct tti_driver *d = tti_home_here->driver;

	TTI_SOMETIMES(op->cancelled, "an operation is cancelled a second time");
	if (op->cancelled)
		return;
	d->cancels++;
	if (d->ops->cancel(d, op) == 1)
		op->done(op);
}

static void io_abort(struct tti_waiter *w)
{
	struct tti_io_wait *io = TTI_CONTAINER_OF(w, struct tti_io_wait, waiter);

	tti_io_ask_cancel(&io->op);
	if (TTI_LAW_BROKEN(1))
		/* Deliberately wrong: returns while the kernel may still own the buffer. */
		tti_abort_by_claim(w);
}

void tti_io_op_init(struct tti_io_op *op, enum tti_io_kind kind, void (*done)(struct tti_io_op *op))
{
	*op = (struct tti_io_op){ .kind = (uint8_t)kind, .done = done };
	tti_list_init(&op->link);
	op->direction = tti_io_is_write(kind);
}

void tti_io_wait_init(struct tti_io_wait *io, enum tti_io_kind kind, const char *verb, const void *object)
{
	tti_waiter_init(&io->waiter, verb, object);
	io->waiter.abort = io_abort;
	tti_io_op_init(&io->op, kind, io_done);
}

int tti_io_submit(struct tti_io_op *op)
{
	struct tti_driver *d = tti_home_here->driver;

	d->submits++;
	return d->ops->submit(d, op);
}

long tti_io_perform(struct tti_io_wait *io)
{
	if (tti_io_submit(&io->op) == 0)
		tti_park(&io->waiter);
	if (TTI_LAW_BROKEN(1) && io->waiter.winner == TTI_WINNER_CANCEL)
		return TT_ECANCELED;
	if (TTI_LAW_BROKEN(2) && io->op.cancelled)
		/* Deliberately wrong: forgets what the operation did. */
		return TT_ECANCELED;
	TTI_SOMETIMES(io->op.cancelled && io->op.result > 0, "an operation that was cancelled has done its work");
	return io->op.result;
}

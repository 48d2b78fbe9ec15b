/* SPDX-License-Identifier: MIT */
/* perform.h - see perform.c; used by net/. */
#ifndef TTI_IO_PERFORM_H
#define TTI_IO_PERFORM_H

#include "io/driver.h"
#include "wait/wait.h"

/* In the frame of the task that performs it. */
struct tti_io_wait {
	struct tti_waiter waiter;
	struct tti_io_op op;
};

void tti_io_op_init(struct tti_io_op *op, enum tti_io_kind kind, void (*done)(struct tti_io_op *op));
void tti_io_wait_init(struct tti_io_wait *io, enum tti_io_kind kind, const char *verb, const void *object);

/* To the calling worker's driver: 1 ended at once, 0 done() comes later. */
TT_MUST_USE int tti_io_submit(struct tti_io_op *op);

/*
 * Submits io->op for the calling task, parks until its terminal event and returns its
 * result. The caller has initialised it and set descriptor, buffer and flags. A cancel
 * asks the driver for an early end once; TT_ECANCELED comes back only if the operation
 * had no effect.
 */
long tti_io_perform(struct tti_io_wait *io);

/* Asks for an early end, once; the operation's own result still decides. On the worker
 * that submitted it. */
void tti_io_ask_cancel(struct tti_io_op *op);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * fd.h - descriptors: the table behind tt_fd handles, and the operations under way on
 * each. Used by the rest of net/.
 *
 * A handle is a number and a generation packed in a pointer that is never followed; a
 * handle of a closed descriptor is recognised by its generation, whatever the kernel has
 * made of the number since.
 *
 *   FREE --adopt--> OPEN --close--> CLOSING --last operation drained--> FREE (generation + 1)
 *
 * Lock        fd.lock guards state, generation, the operations and the claims of the two
 *             sides. An operation itself belongs to the worker of the task that began it.
 * Law 10      A close first cancels every operation on each worker that has one, and
 *             waits until the last was drained: the kernel writes into the buffer of a
 *             pending receive even after close().
 */
#ifndef TTI_NET_FD_H
#define TTI_NET_FD_H

#include <tutti/net.h>

#include "base/spin.h"
#include "io/perform.h"
#include "sched/worker.h"

enum tti_fd_state { TTI_FD_FREE, TTI_FD_OPEN, TTI_FD_CLOSING };

enum tti_side { TTI_SIDE_READ, TTI_SIDE_WRITE, TTI_SIDES };

struct tti_fd {
	tti_spin lock;
	int number;
	uint32_t generation;                 /* of the handle that is valid now */
	uint8_t state;                       /* enum tti_fd_state */
	bool socket;
	bool busy[TTI_SIDES];                /* a call is reading, or writing */
	bool torn;                           /* a composite write stopped half way; the writing side only */
	bool drained;                        /* the last read emptied it; the reading side only */
	struct tti_list ops;                 /* tti_fd_op under way, on any worker */
	struct tti_waiter *closer;           /* waits for ops to become empty */
};

/* One operation under way; in the frame of whoever waits for it. */
struct tti_fd_op {
	struct tti_list link;                /* in fd->ops; guarded by fd->lock */
	struct tti_fd *fd;
	struct tti_home *home;               /* worker that submitted it */
	struct tti_io_op *op;
};

/* Takes number into the table. TT_ENOMEM: it was closed. */
TT_MUST_USE int tti_fd_adopt(int number, bool socket, tt_fd **ret_fd);

/* The descriptor of a handle; TT_EBADF when it was closed. The answer holds while a side
 * is claimed or an operation is listed. */
TT_MUST_USE int tti_fd_claim(tt_fd *handle, enum tti_side side, struct tti_fd **ret_fd);
void tti_fd_unclaim(struct tti_fd *fd, enum tti_side side);

/* Lists and unlists an operation. begin fails with TT_EBADF once the handle was closed;
 * end drains the last one for a closer. */
TT_MUST_USE int tti_fd_begin(tt_fd *handle, struct tti_fd_op *o, struct tti_io_op *op);
/* Returns result, or TT_EBADF when it was cut short by a close. */
long tti_fd_end(struct tti_fd_op *o, long result);

/* Performs io on a claimed descriptor for the calling task. */
long tti_fd_perform(tt_fd *handle, struct tti_io_wait *io);

/* The number behind an open handle, for calls that do not wait; TT_EBADF. */
TT_MUST_USE int tti_fd_number(tt_fd *handle);

#endif

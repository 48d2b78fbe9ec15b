/* SPDX-License-Identifier: MIT */
/*
 * fd.h - descriptors: the table behind tt_fd handles, and the calls under way on each.
 * Used by the rest of net/.
 *
 * A handle is a number and a generation packed in a pointer that is never followed; a
 * handle of a closed descriptor is recognised by its generation, whatever the kernel has
 * made of the number since.
 *
 *   FREE --adopt--> OPEN --close--> CLOSING --last call left--> FREE (generation + 1)
 *
 * Calls       Whoever uses the number enters a call first and leaves it afterwards; while
 *             one is listed the number cannot be closed, so that it never means a
 *             stranger's. A call may claim the reading side, the writing side or both; a
 *             composite keeps its call for all of its operations.
 * Lock        fd.lock guards state, generation, busy, calls and closer. torn belongs to
 *             whoever claimed the writing side, drained and starved to the reading side.
 *             Which operation of a call is under way is known to its worker's thread only.
 * Law 10      A close first cancels the operation of every call, on the worker it belongs
 *             to, and waits until the last call was left: the kernel writes into the
 *             buffer of a pending receive even after close().
 * Rejected    Draining operations instead of calls: between its check and its system call
 *             a try on one worker could meet a number that another had closed and reused.
 */
#ifndef TTI_NET_FD_H
#define TTI_NET_FD_H

#include <tutti/net.h>

#include "base/spin.h"
#include "io/perform.h"
#include "sched/worker.h"

enum tti_fd_state { TTI_FD_FREE, TTI_FD_OPEN, TTI_FD_CLOSING };

/* What a call claims. */
enum { TTI_NEITHER = 0, TTI_READING = 1, TTI_WRITING = 2 };

struct tti_fd {
	tti_spin lock;
	int number;
	uint32_t generation;                 /* of the handle that is valid now */
	uint8_t state;                       /* enum tti_fd_state */
	uint8_t busy;                        /* sides that are claimed */
	bool socket;                         /* set at adoption */
	bool file;                           /* file.c reads and writes it; set before others know it */
	bool standard;                       /* descriptor 0, 1 or 2 as the process got it: never closed */
	uint8_t family;                      /* AF_ of a datagram socket; 0: not known; set once, before others know it */
	bool torn;                           /* a composite write stopped half way */
	bool drained;                        /* the last read emptied the socket */
	bool starved;                        /* accepts fail for want of descriptors or memory; reported */
	struct tti_list calls;               /* struct tti_fd_call, on any worker */
	struct tti_list foreign;             /* waits of tt_wait_fd() for this number; foreign.c, under lock */
	struct tti_waiter *closer;           /* waits for calls to become empty */
	char *path;                          /* of a Unix listener: removed at its close; may be NULL */
};

/* In the frame of the task that makes the call. */
struct tti_fd_call {
	struct tti_list link;                /* in fd->calls; guarded by fd->lock */
	struct tti_fd *fd;
	struct tti_home *home;
	struct tti_io_op *op;                /* under way: submitted and not done; home's thread only */
	uint8_t sides;
};

/* One operation of a call, and the wait for it. */
struct tti_fd_io {
	struct tti_io_wait wait;             /* what the caller fills in is wait.op */
	struct tti_fd_call *call;
	void (*done)(struct tti_io_op *op);  /* of the wait */
};

/* Takes number into the table. TT_ENOMEM: it was closed. */
TT_MUST_USE int tti_fd_adopt(int number, bool socket, tt_fd **ret_fd);
/* For who does not know whether the handle's user has closed it; NULL is fine. */
void tti_fd_close_if_open(tt_fd *handle);
/* The handle of descriptor 0, 1 or 2, adopted at its first use. TT_EBADF: not open, or the
 * number belongs to something opened later. */
TT_MUST_USE int tti_fd_standard(int number, tt_fd **ret_fd);

/* Lists a call of the calling task. TT_EBADF: the handle was closed; TT_EBUSY: a side is
 * claimed by another call. */
TT_MUST_USE int tti_fd_enter(tt_fd *handle, unsigned sides, struct tti_fd_call *c);
/* Ends the call. Returns rc, or TT_EBADF for a TT_ECANCELED that is a close's doing. */
long tti_fd_leave(struct tti_fd_call *c, long rc);

/* Names the descriptor in an operation that the caller submits itself. */
void tti_fd_aim(const struct tti_fd_call *c, struct tti_io_op *op);
/* A close waits for this call: no operation may be begun any more. */
bool tti_fd_is_closing(struct tti_fd_call *c);

void tti_fd_io_init(struct tti_fd_io *io, struct tti_fd_call *c, enum tti_io_kind kind, const char *verb);
/* Submits, parks until the operation is over and gives its result. */
long tti_fd_perform(struct tti_fd_io *io);

/* The slot of a number, made when need be; NULL when out of memory or range. For foreign.c. */
struct tti_fd *tti_fd_slot(int number, bool make);

#endif

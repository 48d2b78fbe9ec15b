/* SPDX-License-Identifier: MIT */
/*
 * file_call.h - one call on a file that may hold its thread, made on the FILES lane of the
 * blocking pool. In the frame of the task that waits. Used by file.c, file_whole.c, transfer.c
 * and process.c.
 *
 * Cancel      withdraws a call that is still queued; one that a thread has begun is waited for,
 *             because it has the caller's buffer, and its result counts (laws 1, 2, 3).
 */
#ifndef TTI_NET_FILE_CALL_H
#define TTI_NET_FILE_CALL_H

#include "net/fd.h"
#include "net/file_ops.h"
#include "par/blocking.h"

struct tti_file_call {
	struct tti_job job;
	struct tti_waiter waiter;
	const struct tti_file_ops *ops;
	void (*run)(struct tti_file_call *c);        /* on a pool thread: sets result */
	long result;
	/* What run uses of these. */
	int fd, flags;
	unsigned mode;
	const char *path, *to;
	void *buf;
	size_t n;
	int64_t offset;
	bool file;
	tt_file_info info;
};

/* The table of the calling worker's runtime. */
const struct tti_file_ops *tti_file_ops(void);

/* Makes the call and gives its result. TT_ECANCELED: it was not begun. TT_EAGAIN, TT_ENOMEM: no
 * thread could be had. No entry check. */
long tti_file_call(struct tti_file_call *c, const char *verb, const void *object);
/* The same for cleaning up: no cancel ends it, and without a thread it runs here. */
long tti_file_call_always(struct tti_file_call *c, const char *verb, const void *object);

/* Bytes of a file in a call on its descriptor, at an offset or TTI_FILE_HERE; at most TRANSFER_MAX
 * of them. now: -EAGAIN instead of waiting. */
long tti_file_read(struct tti_fd_call *c, void *ret_buf, size_t n, int64_t offset, bool now);
long tti_file_write(struct tti_fd_call *c, const void *buf, size_t n, int64_t offset, bool now);

/* tt_file_remove() that neither fails nor is cancelled. */
void tti_file_discard(const char *path);

#endif

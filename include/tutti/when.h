/* SPDX-License-Identifier: MIT */
/*
 * when.h - children that hold no stack while nothing happens: a connection that waits for
 * its next request is a record of some 300 bytes instead of a task.
 *
 *	TT_TASK(serve, (tt_group *, g), (tt_fd *, conn, tt_fd_close))
 *	{
 *		... one request ...
 *		tt_go_when(g, TT_WHEN(.readable = { conn }, .timeout = TT_SEC(60),
 *		                      .on_timeout = TT_WHEN_DROP), serve, g, conn);
 *		return 0;
 *	}
 *
 * The group has to be .shared for that: members start members. An idle child is a child
 * like any other: the group waits for it, and a cancel ends it.
 */
#ifndef TUTTI_WHEN_H
#define TUTTI_WHEN_H

#include <tutti/base.h>
#include <tutti/group.h>
#include <tutti/net.h>

TT_BEGIN_DECLS

/* What the passing of the timeout does. */
enum tt_on_timeout {
	TT_WHEN_START, /* the child starts, as if a descriptor were readable */
	TT_WHEN_DROP   /* it never starts: its arguments' destructors run */
};

/* What an idle child waits for; the first of these. */
typedef struct tt_when {
	tt_fd *readable[2]; /* bytes, the end of the stream, or an error to read; NULL: none */
	int64_t timeout;    /* ns; 0: none */
	enum tt_on_timeout on_timeout;
	unsigned worker; /* where it starts: TT_WORKER_HERE (the group owner's), _ANY or TT_WORKER(n) */
} tt_when;

/* ---- seams of the macro below ---- */

typedef struct tt_go_when_ {
	tt_group *group;
	const tt_when *when;
} tt_go_when_;

TT_API tt_verb_ tt_verb_go_when_; /* on: a struct tt_go_when_ *; 0 or a code */

TT_END_DECLS

/*
 * TT_WHEN(fields...) - the address of a tt_when with these fields, for one call. (Commas in
 * braces would end a macro's argument.) In C++17 the fields stand in their order.
 */
#define TT_WHEN(...) TT_TEMPORARY_(tt_when, __VA_ARGS__)

/*
 * tt_go_when(g, &when, name, args...) - start the TT_TASK `name` once a descriptor is
 * readable or the time has passed. Until then it holds no stack, and no place under
 * max_children: when its time comes and the group is full, it waits for its turn.
 *
 * A descriptor that is closed meanwhile starts it too: its own call then says -EBADF.
 *
 * Blocks     no; not a checkpoint
 * Returns    0
 * Cancelled  TT_ECANCELED if the group is; destructors have run. Later a cancel of the group
 *            drops it: destructors run
 * Errors     -ENOMEM, recorded as that child's failure if the owner called, so the result may
 *            be dropped; destructors have run. -EINVAL: there is nothing to wait for
 * Ownership  as tt_go(); the descriptors are lent until it starts, each for reading
 * Threads    the owner; with .shared its descendants too
 */
#define tt_go_when(g, when, ...) \
	tt_result_(TT_CALL_(tt_verb_go_when_, TT_TEMPORARY_(tt_go_when_, TT_IS_GROUP_(g), (when)), \
	                    __VA_ARGS__))

#endif

/* SPDX-License-Identifier: MIT */
/*
 * start.h - children that somebody waits for: until they are ready, or for their result on
 * another worker.
 *
 *	TT_TASK(serve, (const char *, addr))
 *	{
 *		TT_TRY(tt_tcp_listen(addr, NULL, &listener));
 *		TT_TRY(tt_ready());
 *		... accept ...
 *	}
 *
 *	TT_TRY_IN(&g, tt_start(&g, serve, "[::]:80"));   now it listens, or here is why not
 */
#ifndef TUTTI_START_H
#define TUTTI_START_H

#include <tutti/base.h>
#include <tutti/group.h>
#include <tutti/task.h>

TT_BEGIN_DECLS

/*
 * tt_ready - tell who started this task by tt_start() that it is ready. For any other task, or
 * said again, it does nothing.
 *
 * Blocks     no; a checkpoint
 * Returns    0
 * Cancelled  TT_ECANCELED, and it was not said: the starter may have given up
 * Threads    the task itself
 */
TT_API TT_MUST_USE int tt_ready(void);

/* ---- seams of the macros below ---- */

typedef struct tt_start_request_ {
	tt_group *group;
	const tt_child_options *options;
} tt_start_request_;

TT_API tt_verb_ tt_verb_start_;   /* on: a struct tt_start_request_ *; 0 or a code */
TT_API tt_verb_ tt_verb_call_on_; /* on: a const unsigned *, the worker; what the task returned */

TT_END_DECLS

/*
 * tt_start(g, name, args...) - tt_go(), and wait until the child called tt_ready(). One that
 * ends well without having said it counts as ready.
 *
 * A child that fails before it is ready gives its code, with its chain, to the starter alone:
 * the group hears nothing of it, and it is not restarted. What it fails with after its starter
 * was cancelled is the group's: nobody else is there to hear of it.
 *
 * Blocks     yes; a checkpoint
 * Returns    0: it is ready, and goes on
 * Cancelled  TT_ECANCELED; the child was cancelled, alone, and has ended
 * Errors     the child's code; as tt_go(), and the owner's are recorded too
 * Ownership  as tt_go()
 * Threads    as tt_go()
 */
#define tt_start(g, ...) \
	tt_must_result_(TT_CALL_(tt_verb_start_, \
	                         TT_TEMPORARY_(tt_start_request_, TT_IS_GROUP_(g), NULL), __VA_ARGS__))

/*
 * tt_start_with(g, &options, name, args...) - the same, with tt_child_options.
 *
 * Blocks     yes; a checkpoint
 * Returns    0: it is ready, and goes on
 * Cancelled  TT_ECANCELED; the child was cancelled, alone, and has ended
 * Errors     as tt_start()
 * Ownership  as tt_go()
 * Threads    as tt_go()
 */
#define tt_start_with(g, options, ...) \
	tt_must_result_(TT_CALL_(tt_verb_start_, \
	                         TT_TEMPORARY_(tt_start_request_, TT_IS_GROUP_(g), \
	                                       TT_IS_CHILD_OPTIONS_(options)), \
	                         __VA_ARGS__))

/*
 * tt_call_on(worker, name, args...) - run the TT_TASK `name` on another worker, TT_WORKER(n) or
 * TT_WORKER_ANY, as a child of this call, and wait for its result.
 *
 * Blocks     yes; always a checkpoint
 * Returns    what the task returned
 * Cancelled  TT_ECANCELED, once the task, cancelled too, has ended; its result, if it has one
 * Errors     the code the task failed with, and its chain; -ENOMEM
 * Ownership  as tt_go(); arguments may point into the caller's frame
 * Threads    any task
 */
#define tt_call_on(worker, ...) \
	tt_must_result_(TT_CALL_(tt_verb_call_on_, TT_TEMPORARY_(unsigned, (worker)), __VA_ARGS__))

#endif

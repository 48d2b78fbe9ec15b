/* SPDX-License-Identifier: MIT */
/*
 * blocking.h - run what blocks a thread on a pool thread, while the task parks.
 */
#ifndef TUTTI_BLOCKING_H
#define TUTTI_BLOCKING_H

#include <tutti/base.h>
#include <tutti/task.h>

TT_BEGIN_DECLS

/* on: NULL; what the function returned, or a code */
TT_API tt_verb_ tt_verb_blocking_, tt_verb_blocking_abandon_;

TT_END_DECLS

/*
 * tt_blocking(name, args...) - call the TT_TASK `name` on a thread of the blocking pool. Its
 * error chain comes along. Inside, calls marked "Blocks yes" give TT_EWRONGCTX or abort.
 *
 * Blocks     yes; a checkpoint before the call is handed over, and none later
 * Returns    what the function returned
 * Cancelled  TT_ECANCELED if it had not started: destructors have run. Once it has started
 *            it is waited for, so that arguments may point into the caller's frame
 * Errors     the function's; -ENOMEM, -EAGAIN: no thread could be had and none runs, and
 *            destructors have run
 * Ownership  the function's, from its first instruction
 * Threads    any task
 */
#define tt_blocking(...) tt_must_result_(TT_CALL_(tt_verb_blocking_, NULL, __VA_ARGS__))

/*
 * tt_blocking_abandon(name, args...) - the same for what may hang: a cancel does not wait for it.
 * The job then goes on alone, its result is dropped; the end of the runtime waits for it.
 *
 * Every argument must be owned: a value, or a pointer with a destructor in its TT_TASK. One
 * that points into the caller's frame, as tt_blocking's may, would outlive it.
 *
 * Blocks     yes; always a checkpoint
 * Returns    what the function returned
 * Cancelled  TT_ECANCELED at once. If it had not started, destructors have run; if it had, it
 *            has its arguments and ends on its own
 * Errors     the function's; -ENOMEM, -EAGAIN: no thread or no memory, and destructors have run
 * Ownership  the function's, from its first instruction
 * Threads    any task
 */
#define tt_blocking_abandon(...) \
	tt_must_result_(TT_CALL_(tt_verb_blocking_abandon_, NULL, __VA_ARGS__))

#endif

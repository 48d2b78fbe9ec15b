/* SPDX-License-Identifier: MIT */
/*
 * signal.h - signals as a stream. The library itself touches no dispositions; an open stream
 * takes its signals over from tt_main()'s soft cancel until it is closed.
 *
 * It gets the signals of the process: kill(), the terminal, a supervisor. raise() and
 * pthread_kill() name one thread, and the threads of the library but the first block all
 * signals: sent so from a task of another worker they wait for ever. kill(getpid(), signo) is
 * what a task means.
 */
#ifndef TUTTI_SIGNAL_H
#define TUTTI_SIGNAL_H

#include <tutti/base.h>

TT_BEGIN_DECLS

typedef struct tt_signals {
	uint64_t tt_opaque_[8];
} tt_signals;

/*
 * tt_signal_open - from now on these signals of the process are kept for this stream.
 *
 * Blocks     no
 * Returns    0
 * Errors     -EINVAL (not a signal that can be caught), -EBUSY (another stream has one of
 *            them), -EMFILE, -ENOMEM
 * Ownership  closed with tt_signal_close()
 * Threads    any task
 */
TT_API TT_MUST_USE int tt_signal_open(tt_signals *s, const int *signals, size_t n);

/*
 * tt_signal_next - wait for the next signal; several of one kind may come as one.
 *
 * Blocks     yes; always a checkpoint, even when a signal waits
 * Returns    0; *ret_signal was set
 * Cancelled  TT_ECANCELED, and then no signal was taken
 * Errors     -EBUSY: another task waits on it
 * Threads    any task, one at a time
 */
TT_API TT_MUST_USE int tt_signal_next(tt_signals *s, int *ret_signal);

/*
 * tt_signal_close - give the signals back their former meaning.
 *
 * Blocks     no
 * Errors     aborts, naming the task, if one waits
 * Ownership  NULL and one that is not open (zero, or closed) are fine
 * Threads    any task
 */
TT_API void tt_signal_close(tt_signals *s);

TT_END_DECLS

#endif

/* SPDX-License-Identifier: MIT */
/*
 * process.h - child processes: started without holding a worker, waited for like anything else,
 * and never left behind.
 *
 *	const char *argv[] = { "sort", "-u", NULL };
 *	tt_process_options o = { .argv = argv, .stdin_to = TT_TO_PIPE, .stdout_to = TT_TO_PIPE };
 *	TT_TRY(tt_process_start(&o, &p));
 *
 * A child is named by a pidfd, so that no signal ever reaches a stranger that got its number.
 * Linux 5.4 and later; -ENOSYS elsewhere. In a simulation TT_SIM_PROGRAM() says what a program
 * does (testing.h).
 *
 * Invariants  A child that was started is closed with tt_process_close(), which kills what still
 *             runs and takes it out of the process table.
 *             It inherits descriptors 0, 1 and 2 and no others.
 */
#ifndef TUTTI_PROCESS_H
#define TUTTI_PROCESS_H

#include <tutti/base.h>
#include <tutti/net.h>

TT_BEGIN_DECLS

typedef struct tt_process tt_process;

/* Where a child's stream goes; a number from 1 up is a descriptor of this process. */
enum {
	TT_TO_INHERIT = 0, /* where ours goes */
	TT_TO_NULL = -1,   /* /dev/null */
	TT_TO_PIPE = -2,   /* to and from us: tt_process_stdin(), _stdout(), _stderr() */
	TT_TO_STDOUT = -3  /* the child's standard error only: where its standard output goes */
};

/* All zero but argv is a good start. */
typedef struct tt_process_options {
	const char *const *argv;  /* NULL at its end; argv[0] without a slash is looked for in PATH */
	const char *const *envp;  /* NULL at its end; NULL: our environment */
	const char *cwd;          /* NULL: ours; a relative argv[0] starts from here */
	int stdin_to, stdout_to, stderr_to;
	tt_fd *stdin_fd, *stdout_fd, *stderr_fd; /* not NULL: this one instead; it stays the caller's */
	bool new_group;           /* a process group of its own, to be killed with all it starts */
} tt_process_options;

/* Whom a signal is for. */
enum { TT_PROCESS_ALONE, TT_PROCESS_GROUP };

/*
 * tt_process_start - run a program as a child. When this returns 0 the program runs: a missing
 * one is an error here, not an exit status later.
 *
 * Blocks     yes; always a checkpoint
 * Returns    0
 * Cancelled  TT_ECANCELED, and then no child was started
 * Errors     -ENOENT, -EACCES, -ENOEXEC (of the program or cwd, as the chain says), -EMFILE, -EAGAIN,
 *            -ENOMEM, -EINVAL (no argv, group options, a stream), -EBADF, -ENOSYS
 * Ownership  *ret_p is the caller's, ended with tt_process_close(); options are read only now
 * Threads    any task
 */
TT_API TT_MUST_USE int tt_process_start(const tt_process_options *o, tt_process **ret_p);

/*
 * tt_process_wait - wait for the end of a child. It may be asked again, by any number of tasks.
 *
 * Blocks     yes; always a checkpoint
 * Returns    0; *ret_status is what it exited with (0 to 255), or -N if signal N ended it
 * Cancelled  TT_ECANCELED; the child goes on
 * Errors     -ECHILD (its status was taken by somebody else, or SIGCHLD is ignored), -EBADF
 * Ownership  ret_status may be NULL
 * Threads    any tasks, many at a time
 */
TT_API TT_MUST_USE int tt_process_wait(tt_process *p, int *ret_status);

/*
 * tt_process_kill - send a signal to a child, or to its group if it was started with one: that
 * reaches what it started too, even after it has ended itself.
 *
 * Blocks     no
 * Returns    0
 * Errors     -ESRCH (it has ended), -EINVAL (no such signal, or no group of its own), -EPERM
 * Threads    any task
 */
TT_API TT_MUST_USE int tt_process_kill(tt_process *p, int sig, int whom);

/*
 * tt_process_pid - the child's number, for logs.
 *
 * Blocks     no
 * Returns    > 0; nobody else's until tt_process_close()
 * Threads    any
 */
TT_API int tt_process_pid(const tt_process *p);

/*
 * tt_process_stdin, tt_process_stdout, tt_process_stderr - our end of a TT_TO_PIPE.
 *
 * Blocks     no
 * Returns    NULL if that stream is no pipe
 * Ownership  the process's; tt_fd_close() may come before its: so the child sees the end of its input
 * Threads    any
 */
TT_API tt_fd *tt_process_stdin(const tt_process *p);
TT_API tt_fd *tt_process_stdout(const tt_process *p);
TT_API tt_fd *tt_process_stderr(const tt_process *p);

/*
 * tt_process_close - end it: kills the child if it still runs (its group too, if it has one), takes
 * it out of the process table, closes its streams. To let it end by itself, wait before.
 *
 * Blocks     yes, for as long as a killed child needs to die; not a checkpoint
 * Cancelled  goes on all the same
 * Errors     aborts outside tasks
 * Ownership  taken; NULL is fine
 * Threads    any task
 */
TT_API void tt_process_close(tt_process *p);

/* What tt_process_run() feeds and collects. A NULL buffer leaves that stream as the options say. */
typedef struct tt_process_io {
	const void *input;        /* all of it is fed to its standard input, which then ends */
	size_t input_n;
	void *out, *err;          /* what it writes, the first *_max bytes; the rest is dropped */
	size_t out_max, err_max;
	size_t out_n, err_n;      /* set: how many bytes came; more than *_max: some were dropped */
} tt_process_io;

/*
 * tt_process_run - run a program to its end: start it, feed it, collect what it writes, wait. A
 * cancel or a deadline kills it. It has ended only when its streams have: a grandchild that
 * keeps them open keeps the call.
 *
 * Blocks     yes; always a checkpoint
 * Returns    0, whatever its status: *ret_status is as of tt_process_wait()
 * Cancelled  TT_ECANCELED, and then it was killed; io's counts say what had come
 * Errors     as tt_process_start(), tt_process_wait(); -EINVAL: TT_TO_PIPE without a buffer
 * Ownership  io and ret_status may be NULL
 * Threads    any task
 */
TT_API TT_MUST_USE int tt_process_run(const tt_process_options *o, tt_process_io *io, int *ret_status);

TT_END_DECLS

#endif

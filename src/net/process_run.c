/* SPDX-License-Identifier: MIT */
/*
 * process_run.c - run a program to its end: a group of one task per stream around a wait. What
 * the group cannot end in time, the close of the process does. Called publicly.
 */
#include <tutti/process.h>

#include <string.h>

#include <tutti/error.h>
#include <tutti/group.h>

#include "base/sometimes.h"
#include "task/task.h"

/* Taken at once while it is dropped. */
#define DROP_BYTES 2048

/* A program that does not want its input has a right to. */
static TT_TASK(feed, (tt_fd *, to), (const void *, input), (size_t, n))
{
	int rc = tt_write_all(to, input, n, NULL);

	if (rc == TT_ECANCELED)
		return rc;
	tt_fd_close(to);
	TTI_SOMETIMES(rc == TT_EPIPE, "a program ends without reading its input");
	return rc == TT_EPIPE ? 0 : rc;
}

static TT_TASK(collect, (tt_fd *, from), (void *, ret_buf), (size_t, max), (size_t *, ret_n))
{
	char drop[DROP_BYTES];
	size_t n = 0;
	int rc;

	do {
		rc = n < max ? tt_read(from, (char *)ret_buf + n, max - n) : tt_read(from, drop, sizeof(drop));
		TTI_SOMETIMES(n >= max && rc > 0, "a program writes more than there is room for");
		if (rc > 0)
			n += (size_t)rc;
		*ret_n = n;
	} while (rc > 0);
	return rc;
}

static int serve(tt_process *p, tt_process_io *io, int *ret_status)
{
	int rc;

	TT_GROUP(g);
	if (io->input != NULL)
		tt_go(&g, feed, tt_process_stdin(p), io->input, io->input_n);
	if (io->out != NULL)
		tt_go(&g, collect, tt_process_stdout(p), io->out, io->out_max, &io->out_n);
	if (io->err != NULL)
		tt_go(&g, collect, tt_process_stderr(p), io->err, io->err_max, &io->err_n);
	rc = tt_process_wait(p, ret_status);
	return tt_group_end(&g, rc);
}

/* A pipe that nobody feeds or empties keeps the child, and so the call, for ever. */
static bool has_idle_pipe(const tt_process_options *o, const tt_process_io *io)
{
	return (io->input == NULL && o->stdin_fd == NULL && o->stdin_to == TT_TO_PIPE) ||
	       (io->out == NULL && o->stdout_fd == NULL && o->stdout_to == TT_TO_PIPE) ||
	       (io->err == NULL && o->stderr_fd == NULL && o->stderr_to == TT_TO_PIPE);
}

int tt_process_run(const tt_process_options *options, tt_process_io *io, int *ret_status)
{
	tt_process_options o = *options;
	tt_process_io none = { 0 };
	tt_process *p;
	int status = 0, rc;

	if (io == NULL)
		io = &none;
	io->out_n = io->err_n = 0;
	if (has_idle_pipe(options, io))
		return tt_fail(TT_EINVAL, "tt_process_run: TT_TO_PIPE without a buffer");
	if (io->input != NULL) {
		o.stdin_to = TT_TO_PIPE;
		o.stdin_fd = NULL;
	}
	if (io->out != NULL) {
		o.stdout_to = TT_TO_PIPE;
		o.stdout_fd = NULL;
	}
	if (io->err != NULL) {
		o.stderr_to = TT_TO_PIPE;
		o.stderr_fd = NULL;
	}
	rc = tt_process_start(&o, &p);
	if (rc < 0)
		return rc;
	rc = serve(p, io, &status);
	tt_process_close(p);
	if (rc == 0 && ret_status != NULL)
		*ret_status = status;
	return rc;
}

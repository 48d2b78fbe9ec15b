/* SPDX-License-Identifier: MIT */
/*
 * stdio.c - the three descriptors a process is born with, as streams; called publicly.
 *
 * They are adopted at their first use and never closed. Their mode is left as it is: other
 * processes, the shell first of all, share the open file and would find it changed.
 */
#include "net/fd.h"

static tt_fd *standard(int number, const char *call)
{
	tt_fd *fd;

	if (tti_current_or_panic(call) == NULL)
		return NULL;
	return tti_fd_standard(number, &fd) == 0 ? fd : NULL;
}

tt_fd *tt_stdin(void)
{
	return standard(0, "tt_stdin");
}

tt_fd *tt_stdout(void)
{
	return standard(1, "tt_stdout");
}

tt_fd *tt_stderr(void)
{
	return standard(2, "tt_stderr");
}

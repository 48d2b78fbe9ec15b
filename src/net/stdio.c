/* SPDX-License-Identifier: MIT */
/* stdio.c - the standard streams as descriptors; adopted at first use, never closed. */
#include <tutti/net.h>

#include "net/fd.h"

static tt_fd *standard(int number)
{
	tt_fd *fd;

	return tti_fd_standard(number, &fd) == 0 ? fd : NULL;
}

tt_fd *tt_stdin(void)
{
	return standard(0);
}

tt_fd *tt_stdout(void)
{
	return standard(1);
}

tt_fd *tt_stderr(void)
{
	return standard(2);
}

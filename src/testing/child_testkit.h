/* SPDX-License-Identifier: MIT */
/*
 * child_testkit.h - what a child of a test says, and how it ends. Included by *_test.c of tests that
 * fork: to see a process die, or to start themselves again with other options.
 *
 *	if (child_begin(&c, CHILD_STDERR))
 *		_exit(what_the_child_does());
 *	child_end(&c);
 *
 * Bound       What goes beyond the text's room is read and dropped: no child waits for a full pipe.
 */
#ifndef TTI_TESTING_CHILD_TESTKIT_H
#define TTI_TESTING_CHILD_TESTKIT_H

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tutti/base.h>

enum { CHILD_STDOUT = 1, CHILD_STDERR = 2 };

struct child {
	pid_t pid;
	int from;                            /* the reading end of its streams' pipe */
	int status;                          /* of waitpid(), after child_end() */
	char text[8192];                     /* what it said; after child_end() */
};

/* True in the child, whose streams of these are the pipe. */
TT_UNUSED static bool child_begin(struct child *c, unsigned streams)
{
	int fds[2];

	fflush(NULL);
	if (pipe(fds) != 0 || (c->pid = fork()) < 0)
		abort();
	if (c->pid != 0) {
		close(fds[1]);
		c->from = fds[0];
		return false;
	}
	if (((streams & CHILD_STDOUT) != 0 && dup2(fds[1], STDOUT_FILENO) < 0) ||
	    ((streams & CHILD_STDERR) != 0 && dup2(fds[1], STDERR_FILENO) < 0))
		abort();
	close(fds[0]);
	close(fds[1]);
	return true;
}

/* In the parent: to the end of what it says, and its own. */
TT_UNUSED static void child_end(struct child *c)
{
	char piece[256];
	size_t len = 0;
	ssize_t n;

	while ((n = read(c->from, piece, sizeof(piece))) > 0 || (n < 0 && errno == EINTR)) {
		size_t room = sizeof(c->text) - 1 - len, keep = n < 0 ? 0 : (size_t)n < room ? (size_t)n : room;

		memcpy(c->text + len, piece, keep);
		len += keep;
	}
	c->text[len] = '\0';
	close(c->from);
	while (waitpid(c->pid, &c->status, 0) < 0)
		if (errno != EINTR)
			abort();
}

/* Its exit status; a signal's number is negative. */
TT_UNUSED static int child_code(const struct child *c)
{
	return WIFEXITED(c->status) ? WEXITSTATUS(c->status) : -WTERMSIG(c->status);
}

#endif

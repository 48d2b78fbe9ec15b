/* SPDX-License-Identifier: MIT */
/*
 * stderr_testkit.h - what the library says on stderr, for tests that look at it. Included by
 * *_test.c; one capture at a time, of no more than fits a pipe.
 */
#ifndef TTI_TESTING_STDERR_TESTKIT_H
#define TTI_TESTING_STDERR_TESTKIT_H

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tutti/base.h>

struct stderr_capture {
	int before, from; /* stderr as it was; the reading end of the pipe that stands in for it */
};

TT_UNUSED static struct stderr_capture stderr_capture_begin(void)
{
	struct stderr_capture c = { .before = dup(2) };
	int fds[2];

	if (c.before < 0 || pipe(fds) < 0 || dup2(fds[1], 2) < 0)
		abort();
	close(fds[1]);
	c.from = fds[0];
	return c;
}

/* Puts stderr back. The text is valid until the next capture ends. */
TT_UNUSED static const char *stderr_capture_end(struct stderr_capture *c)
{
	static char text[16384];
	ssize_t len;

	if (dup2(c->before, 2) < 0)
		abort();
	close(c->before);
	len = read(c->from, text, sizeof(text) - 1);
	close(c->from);
	text[len > 0 ? len : 0] = '\0';
	return text;
}

TT_UNUSED static unsigned count_of(const char *text, const char *word)
{
	unsigned n = 0;

	for (; (text = strstr(text, word)) != NULL; text += strlen(word))
		n++;
	return n;
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * refused.h - for targets whose subject refuses an input by ending the process: the call is made
 * in a child, which must die of abort() with words on stderr.
 *
 * Who calls it: environment_fuzz.c, schedule_fuzz.c.
 *
 * A child costs some milliseconds, so under the fuzzer only one input of sixteen goes this way,
 * chosen by its bytes: an input always does the same.
 */
#ifndef TT_FUZZ_REFUSED_H
#define TT_FUZZ_REFUSED_H

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"

static inline bool refused_is_tried(const uint8_t *data, size_t size)
{
#ifdef TT_FUZZ_REPLAY
	(void)data;
	(void)size;
	return true;
#else
	uint32_t sum = 2166136261u;

	for (size_t i = 0; i < size; i++)
		sum = (sum ^ data[i]) * 16777619u;
	return (sum >> 16) % 16 == 0;
#endif
}

static inline void refused_child(void (*call)(void *), void *arg, int err)
{
	struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	signal(SIGABRT, SIG_DFL);
	dup2(err, STDERR_FILENO);
	call(arg);
	_exit(0);
}

static inline void must_be_refused(void (*call)(void *), void *arg, const char *words)
{
	char text[2048];
	size_t len = 0;
	int ends[2], status;
	ssize_t n;
	pid_t pid;

	MUST(pipe(ends) == 0);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0)
		refused_child(call, arg, ends[1]);
	close(ends[1]);
	/* The fuzzer's own timer interrupts now and then. */
	while ((n = read(ends[0], text + len, sizeof(text) - 1 - len)) > 0 || (n < 0 && errno == EINTR))
		len += n > 0 ? (size_t)n : 0;
	text[len] = '\0';
	close(ends[0]);
	while (waitpid(pid, &status, 0) != pid)
		MUST(errno == EINTR);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT || strstr(text, words) == NULL) {
		fprintf(stderr, "status 0x%x, and not \"%s\": %s\n", (unsigned)status, words, text);
		abort();
	}
}

#endif

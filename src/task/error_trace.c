/* SPDX-License-Identifier: MIT */
/*
 * error_trace.c - where a failure was: the frames above tt_fail(), recorded when that is asked
 * for (TUTTI_BACKTRACE=1, tt_error_backtraces()), named only when somebody prints the chain.
 *
 * The unwinder goes by the frame descriptions of the code, which end at a task's first frame:
 * it never leaves the task's stack. It loads itself at its first use, which may allocate, so
 * that happens when recording is turned on. A record is an allocation of its own; without
 * memory there is none.
 */
#include <string.h>

#include "base/atomic.h"
#include "env/env.h"
#include "env/frames.h"
#include "task/error.h"

/* No more than so many lie below the caller's: of env/frames.c, of this file and of error.c. How
 * many there are is up to the compiler. */
#define OWN_FRAMES_MAX 8

static tti_atomic_u32 recording;

void tt_error_backtraces(bool on)
{
	void *frame;

	if (on)
		TT_IGNORE(tti_env_frames(&frame, 1) < 0);
	/* relaxed: a failure meanwhile has its frames or not. */
	tti_store_relaxed(&recording, on);
}

__attribute__((constructor)) static void ask_environment(void)
{
	const char *s = tti_env_var("TUTTI_BACKTRACE");

	if (s != NULL && strcmp(s, "0") != 0 && s[0] != '\0')
		tt_error_backtraces(true);
}

struct tti_trace *tti_trace_capture(const void *caller)
{
	void *all[TTI_TRACE_MAX + OWN_FRAMES_MAX];
	struct tti_trace *t;
	int n, own = 0;

	/* relaxed: see above. */
	if (__builtin_expect(tti_load_relaxed(&recording) == 0, 1))
		return NULL;
	n = tti_env_frames(all, TTI_TRACE_MAX + OWN_FRAMES_MAX);
	while (own < n && all[own] != caller)
		own++;
	t = own < n ? tti_env_alloc(sizeof(*t)) : NULL;
	if (t == NULL)
		return NULL;
	t->n = (unsigned)(n - own < TTI_TRACE_MAX ? n - own : TTI_TRACE_MAX);
	memcpy(t->frames, all + own, t->n * sizeof(all[0]));
	return t;
}

void tti_trace_free(struct tti_trace *t)
{
	if (t != NULL)
		tti_env_free(t);
}

void tti_trace_text(const void *frame, char *ret_buf, size_t n)
{
	tti_env_frame_text(frame, ret_buf, n);
}

/* SPDX-License-Identifier: MIT */
/*
 * pool_report.c - what a resource pool says on stderr: who waits long, who keeps an item, and the
 * stack that acquired it. Called by pool.c, pool_life.c and the keeper.
 *
 * Rejected    The unwinder of env/frames.h for that stack: it is taken at each lease, where
 *             following frame pointers costs a tenth, and never asks for memory.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <sys/syscall.h>

#include "base/panic.h"
#include "env/env.h"
#include "env/frames.h"
#include "sync/pool.h"

/* The caller's frames, by frame pointers within its stack; see obs/dump.c. Ours come first; what
 * is in the pointer of a program that was built without them may be anything. */
TTI_READS_FRAMES static unsigned own_frames(void **ret_frames, unsigned max)
{
	const struct tti_fiber *f = tti_current()->fiber;
	uintptr_t low = (uintptr_t)f->stack_low, high = low + f->stack_size;
	uintptr_t fp = (uintptr_t)__builtin_frame_address(0);
	unsigned n = 0;

	TT_ASSERT(fp >= low); /* and from here on it only grows */
	while (n < max && fp <= high - 2 * sizeof(uintptr_t) && fp % sizeof(uintptr_t) == 0) {
		const uintptr_t *frame = (const uintptr_t *)fp;

		if (frame[1] == 0)
			break;
		ret_frames[n++] = (void *)frame[1];
		if (frame[0] <= fp)
			break;
		fp = frame[0];
	}
	return n;
}

void tti_pool_note_stack(struct tti_item *it)
{
	struct tti_pool *p = it->pool;
	void *frames[TTI_POOL_FRAMES_MAX];
	unsigned n;

	if (p->o.leak_after == TT_NEVER)
		return;
	n = own_frames(frames, TTI_POOL_FRAMES_MAX);
	tti_spin_lock(&p->lock);
	memcpy(it->borrower.frames, frames, n * sizeof(frames[0]));
	it->borrower.n_frames = n;
	tti_spin_unlock(&p->lock);
}

struct text {
	char buf[2048];
	size_t len;
};

static void put_list(struct text *t, const char *fmt, va_list ap)
{
	size_t room = sizeof(t->buf) - t->len;
	int n = vsnprintf(t->buf + t->len, room, fmt, ap);

	TT_ASSERT(n >= 0); /* no wide characters, which alone it may refuse */
	t->len += (size_t)n < room ? (size_t)n : room - 1;
}

TT_PRINTF(2, 3) static void put(struct text *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put_list(t, fmt, ap);
	va_end(ap);
}

static void put_frame(struct text *t, unsigned i, const void *frame)
{
	char name[256];

	tti_env_frame_text(frame, name, sizeof(name));
	put(t, "    #%u %s\n", i, name);
}

void tti_pool_say(const struct tti_pool *p, void *const *frames, unsigned n, const char *fmt, ...)
{
	struct text t;
	va_list ap;

	t.len = 0;
	put(&t, "tutti: pool %s: ", p->name);
	va_start(ap, fmt);
	put_list(&t, fmt, ap);
	va_end(ap);
	put(&t, "\n");
	for (unsigned i = 0; i < n; i++)
		put_frame(&t, i, frames[i]);
	t.buf[t.len - 1] = '\n'; /* also where the text was cut */
	tti_env_syscall(SYS_write, 2, (long)t.buf, (long)t.len, 0, 0, 0);
}

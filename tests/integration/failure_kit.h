/* SPDX-License-Identifier: MIT */
/*
 * failure_kit.h - one kind of system call fails, its n-th time: what
 * tt_test_fail_syscall_at() does to all kinds. For the tests of error paths that only a
 * certain refusal of the kernel reaches.
 *
 * In a TT_TEST calls of the task's own worker are refused. refuse_everywhere() runs a task in
 * a runtime of its own, of which every worker and every thread of the pool is refused.
 */
#ifndef TTI_TESTS_FAILURE_KIT_H
#define TTI_TESTS_FAILURE_KIT_H

#include <tutti/testing.h>
#include <tutti/tutti.h>

#include "env/env.h"
#include "testing/kit.h"

enum { REFUSE_ALLOC = -1, REFUSE_THREAD = -2 };

struct refusal {
	long nr;                             /* SYS_..., or one of those above */
	int code;                            /* what it gives instead */
};

static struct {
	struct tti_env_ops ops;              /* ours, over: */
	const struct tti_env_ops *under;     /* of the whole runtime, or of one thread */
	bool everywhere;
	tti_atomic_u32 nr, code;             /* of the refusal, as uint32_t */
	tti_atomic_u32 made, at;             /* calls of this kind; the one that fails, 0: none */
} refusing;

static bool is_refused(long nr)
{
	/* relaxed: numbers; a worker that idles meanwhile may see old ones with new ones, and what
	 * it calls then is none of the scenario's. */
	if ((uint32_t)nr != tti_load_relaxed(&refusing.nr) || tti_load_relaxed(&refusing.at) == 0)
		return false;
	/* relaxed: as above. */
	return tti_fetch_add_relaxed(&refusing.made, 1) + 1 == tti_load_relaxed(&refusing.at);
}

static int refused_code(void)
{
	/* relaxed: as above. */
	return (int)tti_load_relaxed(&refusing.code);
}

static long refusing_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	return is_refused(nr) ? refused_code() : refusing.under->syscall(nr, a, b, c, d, e, f);
}

static void *refusing_alloc(size_t n)
{
	return is_refused(REFUSE_ALLOC) ? NULL : refusing.under->alloc(n);
}

static int refusing_thread(struct tti_thread *t, const char *name)
{
	return is_refused(REFUSE_THREAD) ? refused_code() : refusing.under->thread_start(t, name);
}

static const struct tti_env_ops *refuse_install(void)
{
	refusing.under = tti_env_here;
	refusing.ops = *refusing.under;
	refusing.ops.syscall = refusing_syscall;
	refusing.ops.alloc = refusing_alloc;
	refusing.ops.thread_start = refusing_thread;
	return tti_env_bind(&refusing.ops);
}

static void refuse_nth(const struct refusal *r, unsigned n)
{
	if (!refusing.everywhere)
		refuse_install();
	/* relaxed: as above. */
	tti_store_relaxed(&refusing.nr, (uint32_t)r->nr);
	/* relaxed: as above. */
	tti_store_relaxed(&refusing.code, (uint32_t)r->code);
	/* relaxed: as above. */
	tti_store_relaxed(&refusing.made, 0);
	/* relaxed: as above. */
	tti_store_relaxed(&refusing.at, n);
}

/* True: there were so many calls that one was refused. */
static bool refuse_no_more(void)
{
	/* relaxed: as above. */
	bool struck = tti_load_relaxed(&refusing.made) >= tti_load_relaxed(&refusing.at);

	/* relaxed: as above. */
	tti_store_relaxed(&refusing.at, 0);
	if (!refusing.everywhere)
		tti_env_bind(refusing.under);
	return struck;
}

typedef void refused_fn(void);

static TT_TASK(refused_body, (refused_fn *, body))
{
	body();
	return 0;
}

/* On a plain thread. */
TT_UNUSED static void refuse_everywhere(refused_fn *body)
{
	tt_main_options o = { .workers = tt_test_workers(),
		              .io = tti_test_options.on == TT_ON_URING ? TT_IO_URING : TT_IO_EPOLL };
	const struct tti_env_ops *before = refuse_install();

	refusing.everywhere = true;
	EXPECT_EQ(tt_main_with(&o, refused_body, body), 0);
	refusing.everywhere = false;
	tti_env_bind(before);
}

/*
 * Runs a scenario with the first, the second, ... call of a kind refused, until it makes no
 * more of them; returns how often one was. Each time it fails with a code or copes, leaves no
 * descriptor open, and works when asked again.
 */
TT_UNUSED static unsigned refuse_in_turn(int (*scenario)(void), const struct refusal *r)
{
	unsigned n = 0;
	bool struck;

	do {
		int before = tti_test_open_descriptors(), rc, again;

		refuse_nth(r, ++n);
		rc = scenario();
		struck = refuse_no_more();
		if (!struck)
			EXPECT_OK(rc);
		EXPECT_LE(rc, 0);
		EXPECT_EQ(tti_test_open_descriptors(), before);
		again = scenario();
		EXPECT_OK(again);
		EXPECT_EQ(tti_test_open_descriptors(), before);
		if (rc > 0 || again < 0 || tti_test_open_descriptors() != before) {
			tt_test_note("system call %ld, number %u, refused with %s", r->nr, n, tt_error_name(r->code));
			break;
		}
	} while (struck && n < 1000);
	return n - 1;
}

#endif

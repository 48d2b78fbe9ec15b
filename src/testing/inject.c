/* SPDX-License-Identifier: MIT */
/*
 * inject.c - a layer over the env/ of a thread that lets the n-th allocation or system call
 * fail: for a test that says which (tt_test_fail_...), and for torture, which has a record.
 *
 * One for the process: bound by a task, it counts the calls of that worker's thread; bound
 * by a plain thread, a runtime that is started there takes it to all its threads, because
 * they bind what their starter had.
 */
#include <string.h>
#include <sys/syscall.h>

#include "base/panic.h"
#include "env/env.h"
#include "testing/fail.h"

static struct {
	struct tti_env_ops ops;              /* ours, over: */
	const struct tti_env_ops *under;     /* what it lies over */
	tti_atomic_u64 allocs, syscalls;     /* made since the last setting */
	uint64_t alloc_at, syscall_at;       /* the one that fails; 0: none */
	bool alloc_for_ever;
	int syscall_code;
	struct tti_fail *fail;               /* torture's record while it is on, or NULL */
} inject;

static uint64_t count_up(tti_atomic_u64 *n)
{
	/* relaxed: a number; whoever gets the one that fails needs nobody else for it. */
	return tti_fetch_add_relaxed(n, 1) + 1;
}

static bool alloc_fails(void)
{
	uint64_t n = count_up(&inject.allocs);

	if (inject.alloc_at == 0)
		return false;
	return n == inject.alloc_at || (inject.alloc_for_ever && n > inject.alloc_at);
}

/* What is made and not given back, counted for torture. */
static void count_live(tti_atomic_u64 *n, uint64_t by)
{
	/* relaxed: read when the threads that count have ended. */
	tti_fetch_add_relaxed(n, by);
}

static void *inject_alloc(size_t n)
{
	void *p;

	if (alloc_fails() || (inject.fail != NULL && tti_fail_memory_here(inject.fail, "malloc")))
		return NULL;
	p = inject.under->alloc(n);
	if (p != NULL && inject.fail != NULL)
		count_live(&inject.fail->allocs, 1);
	return p;
}

static void inject_free(void *p)
{
	if (p != NULL && inject.fail != NULL)
		count_live(&inject.fail->allocs, UINT64_MAX);
	inject.under->free(p);
}

/* ---- torture's system calls ---- */

static long memory_call(struct tti_fail *f, long nr, const long a[6])
{
	long rc;

	if (nr == SYS_mmap && f->kind == TTI_FAIL_ALLOC && tti_fail_memory_here(f, "mmap"))
		return TT_ENOMEM;
	rc = inject.under->syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (nr == SYS_mmap && (rc >= 0 || rc < -4095))
		count_live(&f->mapped, (uint64_t)a[1]);
	if (nr == SYS_munmap && rc == 0)
		count_live(&f->mapped, (uint64_t)0 - (uint64_t)a[1]);
	return rc;
}

static long failing_call(struct tti_fail *f, long nr, long a[6])
{
	struct tti_fail_way ways[TTI_FAIL_WAYS_MAX], way;
	const char *name;
	unsigned n;

	/* relaxed: set before the run, cleared after it. */
	if (f->kind != TTI_FAIL_CALL || tti_load_relaxed(&f->armed) == 0)
		return memory_call(f, nr, a);
	n = f->simulated && nr != SYS_mmap ? 0 : tti_fail_ways(inject.under, nr, a, ways, &name);
	if (n == 0 || !tti_fail_here(f, name, a[0], ways, n, &way))
		return memory_call(f, nr, a);
	if (way.how == TTI_FAIL_SHORT) {
		a[2] = 1;
		return memory_call(f, nr, a);
	}
	if (way.how == TTI_FAIL_BEHIND)
		TT_IGNORE(memory_call(f, nr, a));
	return way.code;
}

static long inject_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	long args[6] = { a, b, c, d, e, f };

	if (count_up(&inject.syscalls) == inject.syscall_at)
		return inject.syscall_code;
	if (inject.fail != NULL)
		return failing_call(inject.fail, nr, args);
	return inject.under->syscall(nr, a, b, c, d, e, f);
}

static int inject_futex_wait(tti_atomic_u32 *word, uint32_t expected, int64_t deadline)
{
	static const struct tti_fail_way ways[] = { { TT_EINTR, TTI_FAIL_INSTEAD }, { TT_EAGAIN, TTI_FAIL_INSTEAD } };
	struct tti_fail_way way;

	if (inject.fail != NULL && tti_fail_here(inject.fail, "futex", 0, ways, 2, &way))
		return way.code;
	return inject.under->futex_wait(word, expected, deadline);
}

static int inject_thread_start(struct tti_thread *t, const char *name)
{
	static const struct tti_fail_way ways[] = { { TT_EAGAIN, TTI_FAIL_INSTEAD }, { TT_ENOMEM, TTI_FAIL_INSTEAD } };
	struct tti_fail_way way;

	if (inject.fail != NULL && tti_fail_here(inject.fail, name, 0, ways, 2, &way))
		return way.code;
	return inject.under->thread_start(t, name);
}

/* ---- on and off ---- */

static void set_layer(const struct tti_env_ops *under)
{
	inject.under = under;
	inject.ops = *under;
	inject.ops.alloc = inject_alloc;
	inject.ops.free = inject_free;
	inject.ops.syscall = inject_syscall;
	inject.ops.futex_wait = inject_futex_wait;
	inject.ops.thread_start = inject_thread_start;
	inject.alloc_at = inject.syscall_at = 0;
	inject.alloc_for_ever = false;
	/* relaxed: no other thread counts yet. */
	tti_store_relaxed(&inject.allocs, 0);
	/* relaxed: likewise. */
	tti_store_relaxed(&inject.syscalls, 0);
}

const struct tti_env_ops *tti_inject_layer(struct tti_fail *f, const struct tti_env_ops *under)
{
	set_layer(under);
	inject.fail = f;
	return &inject.ops;
}

static void install(void)
{
	if (tti_env_here == &inject.ops)
		return;
	/* A simulation that ended meanwhile has put its own table back: start anew. */
	set_layer(tti_env_here);
	inject.fail = NULL;
	tti_env_bind(&inject.ops);
}

static void fail_alloc(uint64_t n, bool for_ever)
{
	install();
	inject.alloc_at = n;
	inject.alloc_for_ever = for_ever;
	/* relaxed: counts of calls by other threads begin when they do. */
	tti_store_relaxed(&inject.allocs, 0);
}

void tt_test_fail_alloc_at(uint64_t n)
{
	TT_REQUIRE(n >= 1, "tt_test_fail_alloc_at: counts from 1");
	fail_alloc(n, false);
}

void tt_test_fail_alloc_after(uint64_t n)
{
	TT_REQUIRE(n >= 1, "tt_test_fail_alloc_after: counts from 1");
	fail_alloc(n, true);
}

void tt_test_fail_syscall_at(uint64_t n, int code)
{
	TT_REQUIRE(n >= 1, "tt_test_fail_syscall_at: counts from 1");
	TT_REQUIRE(code < 0, "tt_test_fail_syscall_at: code %d is not negative", code);
	install();
	inject.syscall_code = code;
	inject.syscall_at = n;
	/* relaxed: counts of calls by other threads begin when they do. */
	tti_store_relaxed(&inject.syscalls, 0);
}

void tt_test_fail_nothing(void)
{
	inject.alloc_at = inject.syscall_at = 0;
	/* Threads of a runtime that was started under the layer stay on it. */
	if (tti_env_here == &inject.ops)
		tti_env_bind(inject.under);
}

uint64_t tt_test_allocs(void)
{
	/* relaxed: exact once the threads that count have ended. */
	return tti_load_relaxed(&inject.allocs);
}

uint64_t tt_test_syscalls(void)
{
	/* relaxed: exact once the threads that count have ended. */
	return tti_load_relaxed(&inject.syscalls);
}

void tt_test_torture_hold(bool hold)
{
	/* relaxed: whoever passes a place just now counts it or does not. */
	if (inject.fail != NULL)
		tti_store_relaxed(&inject.fail->armed, !hold);
}

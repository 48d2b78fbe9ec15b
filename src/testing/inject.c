/* SPDX-License-Identifier: MIT */
/*
 * inject.c - lets the n-th allocation or system call fail: a layer over whatever env/ the
 * calling thread is bound to.
 */
#include "base/panic.h"
#include "env/env.h"
#include "testing/kit.h"

static __thread struct {
	struct tti_env_ops ops;              /* ours, over: */
	const struct tti_env_ops *under;     /* NULL: not installed */
	uint64_t allocs, alloc_at;           /* made; the one that fails, 0: none */
	bool alloc_for_ever;
	uint64_t syscalls, syscall_at;
	int syscall_code;
} inject;

static void *inject_alloc(size_t n)
{
	inject.allocs++;
	if (inject.allocs == inject.alloc_at || (inject.alloc_for_ever && inject.allocs > inject.alloc_at))
		return NULL;
	return inject.under->alloc(n);
}

static long inject_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	if (++inject.syscalls == inject.syscall_at)
		return inject.syscall_code;
	return inject.under->syscall(nr, a, b, c, d, e, f);
}

static void install(void)
{
	if (tti_env_here == &inject.ops)
		return;
	/* A simulation that ended meanwhile has put its own table back: start anew. */
	inject.under = tti_env_here;
	inject.ops = *inject.under;
	inject.ops.alloc = inject_alloc;
	inject.ops.syscall = inject_syscall;
	inject.alloc_at = inject.syscall_at = 0;
	inject.allocs = inject.syscalls = 0;
	tti_env_bind(&inject.ops);
}

static void fail_alloc(uint64_t n, bool for_ever)
{
	install();
	inject.allocs = 0;
	inject.alloc_at = n;
	inject.alloc_for_ever = for_ever;
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
	inject.syscalls = 0;
	inject.syscall_at = n;
	inject.syscall_code = code;
}

void tt_test_fail_nothing(void)
{
	if (tti_env_here == &inject.ops)
		tti_env_bind(inject.under);
	inject.under = NULL;
}

uint64_t tt_test_allocs(void)
{
	return inject.allocs;
}

uint64_t tt_test_syscalls(void)
{
	return inject.syscalls;
}

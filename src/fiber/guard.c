/* SPDX-License-Identifier: MIT */
/*
 * guard.c - three kinds of guard, and finding out which one this kernel really gives.
 *
 * MADV_GUARD_INSTALL (Linux 6.13) marks page-table entries: no limit, 0.2-0.3 us each.
 * mprotect splits the mapping, so a stack costs two of the process's memory maps and
 * the arena keeps to a budget; the rest of the program needs maps too. Without either,
 * and only where the program permits it, stacks go unguarded and a canary is read at
 * each switch.
 *
 * Believing   No return value: an emulator accepts any advice and does nothing. A
 *             system call that reads from the probe's guard must answer EFAULT.
 * Rejected    process_madvise for many guards at once: saves 0.1 us of the 2.3 us that
 *             a new stack costs, and valgrind complains of each call.
 */
#include "fiber/guard.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "env/env.h"
#include "fiber/slab.h"

/* MADV_GUARD_INSTALL; the reference machine's headers do not have it yet. */
#define ADVICE_GUARD_INSTALL 102

#define MAPS_DEFAULT 65530u /* vm.max_map_count where nobody changed it */

/* A mapping of guard, page, guard, and something to write from it to. */
struct probe {
	char *map;
	size_t guard, page;
	long eventfd;
};

/* Whether the kernel refuses to read 8 bytes at p. Should it read them, fresh memory
 * adds zero to the event counter. */
static bool kernel_faults_at(const struct probe *pr, size_t at)
{
	return tti_env_syscall(SYS_write, pr->eventfd, (long)(pr->map + at), 8, 0, 0, 0) == -EFAULT;
}

static int install_advised(char *low, size_t stride, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		int rc = tti_env_madvise(low + i * stride, tti_slab_guard_size(), ADVICE_GUARD_INSTALL);

		if (rc < 0)
			return -ENOMEM;
	}
	return 0;
}

static bool budget_take(struct tti_stack_arena *a, uint64_t n)
{
	/* relaxed: a count; it orders nothing. */
	uint64_t used = tti_load_relaxed(&a->guard_used);

	do {
		if (n > a->guard_budget - used)
			return false;
		/* relaxed: a count; it orders nothing. */
	} while (!tti_cas_relaxed(&a->guard_used, &used, used + n));
	return true;
}

void tti_guard_refund(struct tti_stack_arena *a, uint64_t n)
{
	/* relaxed: a count; it orders nothing. */
	tti_fetch_add_relaxed(&a->guard_used, (uint64_t)0 - n);
}

static int install_mprotect(struct tti_stack_arena *a, char *low, size_t stride, uint32_t n)
{
	size_t size = tti_slab_guard_size();
	uint32_t i;

	if (!budget_take(a, n))
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		if (tti_env_mprotect(low + i * stride, size, PROT_NONE) < 0)
			goto undo;
	}
	return 0;
undo:
	while (i-- > 0)
		TT_IGNORE(tti_env_mprotect(low + i * stride, size, PROT_READ | PROT_WRITE));
	tti_guard_refund(a, n);
	return -ENOMEM;
}

static void warn_unguarded(struct tti_stack_arena *a)
{
	uint32_t no = 0;

	/* relaxed: only one caller gets to warn; nothing else depends on it. */
	if (!tti_cas_relaxed(&a->warned, &no, 1) || a->options.warn == NULL)
		return;
	a->options.warn("no more stack guards to be had: further stacks are unguarded, "
	                "an overflow is noticed only when the task waits");
}

int tti_guard_install(struct tti_stack_arena *a, char *low, size_t stride, uint32_t n)
{
	int rc = -ENOMEM;

	if (a->guard_mode == TTI_GUARD_INSTALL)
		return install_advised(low, stride, n);
	if (a->guard_mode == TTI_GUARD_MPROTECT)
		rc = install_mprotect(a, low, stride, n);
	if (rc == 0 || !a->options.unguarded)
		return rc;
	warn_unguarded(a);
	return TTI_UNGUARDED;
}

/*
 * The arena: which kind works here
 */

static uint64_t kernel_map_count_max(void)
{
	char text[32];
	uint64_t value = 0;
	long fd, n;

	fd = tti_env_syscall(SYS_openat, AT_FDCWD, (long)"/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC, 0, 0, 0);
	if (fd < 0)
		return MAPS_DEFAULT;
	n = tti_env_syscall(SYS_read, fd, (long)text, sizeof(text), 0, 0, 0);
	TT_IGNORE(tti_env_syscall(SYS_close, fd, 0, 0, 0, 0, 0));
	for (long i = 0; i < n && text[i] >= '0' && text[i] <= '9'; i++)
		value = value * 10 + (uint64_t)(text[i] - '0');
	return value > 0 ? value : MAPS_DEFAULT;
}

/* Both guards must fault, from their first bytes to their last, and the page between
 * them must not. */
static bool probe_faults(const struct probe *pr)
{
	return kernel_faults_at(pr, 0) && kernel_faults_at(pr, pr->guard - 8) && !kernel_faults_at(pr, pr->guard) &&
	       kernel_faults_at(pr, pr->guard + pr->page);
}

static enum tti_guard_mode probe_mode(struct tti_stack_arena *a, const struct probe *pr)
{
	size_t stride = pr->guard + pr->page;

	if (!a->options.no_guard_install && install_advised(pr->map, stride, 2) == 0 && probe_faults(pr))
		return TTI_GUARD_INSTALL;
	if (install_mprotect(a, pr->map, stride, 2) < 0)
		return TTI_GUARD_NONE;
	tti_guard_refund(a, 2);
	return probe_faults(pr) ? TTI_GUARD_MPROTECT : TTI_GUARD_NONE;
}

static int probe_run(struct tti_stack_arena *a)
{
	struct probe pr = { .guard = tti_slab_guard_size(), .page = (size_t)getauxval(AT_PAGESZ) };
	size_t len = 2 * pr.guard + pr.page;

	pr.map = tti_env_map(len);
	if (pr.map == NULL)
		return -ENOMEM;
	pr.eventfd = tti_env_syscall(SYS_eventfd2, 0, O_CLOEXEC | O_NONBLOCK, 0, 0, 0, 0);
	if (pr.eventfd >= 0) {
		a->guard_mode = probe_mode(a, &pr);
		TT_IGNORE(tti_env_syscall(SYS_close, pr.eventfd, 0, 0, 0, 0, 0));
	}
	TT_IGNORE(tti_env_unmap(pr.map, len));
	return pr.eventfd >= 0 ? 0 : (int)pr.eventfd;
}

int tti_stack_arena_init(struct tti_stack_arena *a, const struct tti_stack_options *options)
{
	*a = (struct tti_stack_arena){ 0 };
	if (options != NULL)
		a->options = *options;
	a->map_count_max = a->options.map_count_max;
	if (a->map_count_max == 0)
		a->map_count_max = kernel_map_count_max();
	/* Two maps a guarded stack; a thirty-second part stays for the rest of the program. */
	a->guard_budget = (a->map_count_max - a->map_count_max / 32) / 2;
	return probe_run(a);
}

int tti_fiber_pool_limit_text(const struct tti_fiber_pool *p, char *buf, size_t n)
{
	const struct tti_stack_arena *a = p->arena;
	/* relaxed: a figure for people. */
	uint64_t used = tti_load_relaxed(&a->guard_used);

	if (a->guard_mode == TTI_GUARD_INSTALL)
		return snprintf(buf, n, "stacks: %zu live; guards by MADV_GUARD_INSTALL, no limit but memory", p->live);
	if (a->guard_mode == TTI_GUARD_NONE)
		return snprintf(buf, n, "stacks: %zu live; this kernel gives no stack guards%s", p->live,
		                a->options.unguarded ? "; all are unguarded" : " and unguarded is not set");
	return snprintf(buf, n,
	                "stacks: %zu live; this kernel has no MADV_GUARD_INSTALL (Linux 6.13), so at most %llu can be "
	                "guarded (%llu are; vm.max_map_count = %llu): raise it%s",
	                p->live, (unsigned long long)a->guard_budget, (unsigned long long)used,
	                (unsigned long long)a->map_count_max,
	                a->options.unguarded ? "; stacks beyond are unguarded" : " or set unguarded");
}

/* SPDX-License-Identifier: MIT */
/*
 * env.c - the seam of env/ inside a simulation. Time and entropy are the world's; memory
 * is the real one; whatever else would reach the real world aborts, so that a leak of
 * nondeterminism is found where it happens.
 */
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/panic.h"
#include "sim/sim.h"


__thread struct tti_sim *tti_sim_here;

static int64_t sim_now(void)
{
	return tti_sim_here->now;
}

static int64_t sim_wall(void)
{
	return tti_sim_here->now + tti_sim_here->clock_skew;
}

static void sim_entropy(void *buf, size_t n)
{
	struct tti_sim *sim = tti_sim_here;
	unsigned char *p = buf;

	tti_sim_trace(sim, TTI_SIM_ENTROPY, "", n, 0);
	while (n > 0) {
		uint64_t word = tti_rng_next(&sim->entropy);
		size_t k = n < sizeof(word) ? n : sizeof(word);

		for (size_t i = 0; i < k; i++)
			p[i] = (unsigned char)(word >> (8 * i));
		p += k;
		n -= k;
	}
}

static void *sim_alloc(size_t n)
{
	struct tti_sim *sim = tti_sim_here;

	if (sim->started && tti_sim_fault(sim, TT_FAULT_ALLOCATION))
		return NULL;
	return tti_env_real.alloc(n);
}

static void sim_free(void *p)
{
	tti_env_real.free(p);
}

/* As many processors as workers, so that no decision depends on this machine. */
static long fake_affinity(struct tti_sim *sim, void *mask, size_t n)
{
	unsigned char *bits = mask;

	memset(bits, 0, n);
	for (unsigned i = 0; i < sim->workers && i < 8 * n; i++)
		bits[i / 8] = (unsigned char)(bits[i / 8] | 1u << (i % 8));
	return (long)n;
}

static long unlink_path(struct tti_sim *sim, const char *path)
{
	long rc = tti_sim_unlink(sim, path);

	tti_sim_trace(sim, TTI_SIM_CALL, "unlink", strlen(path), (uint64_t)rc);
	return rc;
}

static bool maps_memory(long nr)
{
	return nr == SYS_mmap || nr == SYS_munmap || nr == SYS_mprotect || nr == SYS_madvise || nr == SYS_process_madvise;
}

static long sim_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	struct tti_sim *sim = tti_sim_here;

	if (maps_memory(nr))
		return tti_env_real.syscall(nr, a, b, c, d, e, f);
	if (nr == SYS_write && (a == STDERR_FILENO || a == STDOUT_FILENO)) /* reports, dumps */
		return sim->mute ? c : tti_env_real.syscall(nr, a, b, c, d, e, f);
	if (nr == SYS_sched_getaffinity)
		return fake_affinity(sim, (void *)c, (size_t)b);
	if (nr == SYS_openat)
		return -ENOENT; /* what the system's files say (a CPU quota) must not decide anything here */
	if (nr == SYS_unlinkat && c == 0)
		return unlink_path(sim, (const char *)b);
#ifdef SYS_unlink
	if (nr == SYS_unlink)
		return unlink_path(sim, (const char *)a);
#endif
	tti_panic("simulator", "system call %ld inside a simulation (seed 0x%llx): it would reach the real world", nr,
	          (unsigned long long)sim->seed);
}

static int sim_futex_wait(tti_atomic_u32 *word, uint32_t expected, int64_t deadline)
{
	(void)deadline;
	/* relaxed: a simulation runs on one thread. */
	if (tti_load_relaxed(word) != expected)
		return -EAGAIN;
	tti_sim_fail(tti_sim_here, "a thread waits, and inside a simulation there is no other one to wake it");
}

static void sim_futex_wake(tti_atomic_u32 *word, int n)
{
	(void)word;
	(void)n;
}

static int sim_thread_start(struct tti_thread *t, const char *name)
{
	(void)t;
	tti_panic("simulator", "a real thread (%s) inside a simulation", name);
}

static void sim_thread_join(struct tti_thread *t)
{
	(void)t;
	tti_panic("simulator", "a thread is joined inside a simulation, where none can be");
}

const struct tti_env_ops tti_sim_env = {
	.name = "sim",
	.now = sim_now,
	.wall = sim_wall,
	.entropy = sim_entropy,
	.alloc = sim_alloc,
	.free = sim_free,
	.syscall = sim_syscall,
	.futex_wait = sim_futex_wait,
	.futex_wake = sim_futex_wake,
	.thread_start = sim_thread_start,
	.thread_join = sim_thread_join,
};

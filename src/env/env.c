/* SPDX-License-Identifier: MIT */
/*
 * env.c - the real environment: libc for memory, threads and the vDSO clock, raw
 * system calls for the rest.
 *
 * Rejected    libc's system-call wrappers: they report through errno, whose address a
 *             compiler may keep in a register across a task switch.
 */
#include "env/env.h"

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include "arch/syscall.h"
#include "base/panic.h"
#include "base/spin.h"
#include "env/written.h"

#define NS_PER_SEC 1000000000

static int64_t clock_read(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
}

static int64_t real_now(void)
{
	return clock_read(CLOCK_MONOTONIC);
}

static int64_t real_wall(void)
{
	return clock_read(CLOCK_REALTIME);
}

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HOLDS_SIGNALS 1
#define HOLD_MAX INT64_C(100000000) /* ns */
#endif
#endif

/* The thread sanitizer keeps a signal back until its thread calls into libc, and a thread
 * that waits in a raw system call does not: any call that it intercepts lets it through. What it
 * keeps it keeps with the fiber that was running, and loses it with that. */
static void let_signals_through(void)
{
#ifdef HOLDS_SIGNALS
	static size_t (*volatile call)(const char *) = strlen;

	(void)call("");
#endif
}

int64_t tti_env_sleep_begins(int64_t deadline)
{
#ifdef HOLDS_SIGNALS
	/* One that comes between the look and the wait is kept back for as long as the wait takes. */
	int64_t soon = real_now() + HOLD_MAX;

	tti_env_signals_open();
	if (tti_env_here == &tti_env_real && soon < deadline)
		return soon;
#endif
	return deadline;
}

#ifdef HOLDS_SIGNALS
static __thread bool closed;
static __thread sigset_t mask_before;
#endif

void tti_env_sleep_ends(void)
{
#ifdef HOLDS_SIGNALS
	static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS };
	sigset_t all;

	let_signals_through();
	sigfillset(&all);
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		sigdelset(&all, faults[i]);
	pthread_sigmask(SIG_BLOCK, &all, &mask_before);
	closed = true;
#endif
}

void tti_env_signals_open(void)
{
#ifdef HOLDS_SIGNALS
	if (closed)
		pthread_sigmask(SIG_SETMASK, &mask_before, NULL);
	closed = false;
#endif
}

static long real_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	long result;

	let_signals_through();
	result = tti_syscall6(nr, a, b, c, d, e, f);
#ifdef TTI_ENV_MSAN
	tti_env_written(nr, (const long[6]){ a, b, c, d, e, f }, result);
#endif
	let_signals_through();
	return result;
}

static void real_entropy(void *buf, size_t n)
{
	char *p = buf;

	while (n > 0) {
		long got = tti_syscall6(SYS_getrandom, (long)p, (long)n, 0, 0, 0, 0);

		if (got == -EINTR)
			continue;
		TT_REQUIRE(got > 0, "getrandom: %s", strerror((int)-got));
		p += got;
		n -= (size_t)got;
	}
}

static void *real_alloc(size_t n)
{
	return malloc(n);
}

static void real_free(void *p)
{
	free(p);
}

static int real_futex_wait(tti_atomic_u32 *word, uint32_t expected, int64_t deadline)
{
	struct timespec ts = { .tv_sec = deadline / NS_PER_SEC, .tv_nsec = deadline % NS_PER_SEC };

	/* WAIT_BITSET takes an absolute monotonic deadline; plain WAIT a relative one. */
	return (int)tti_syscall6(SYS_futex, (long)&word->v, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, (long)expected,
	                         deadline == TT_NEVER ? 0 : (long)&ts, 0, (long)FUTEX_BITSET_MATCH_ANY);
}

static void real_futex_wake(tti_atomic_u32 *word, int n)
{
	tti_syscall6(SYS_futex, (long)&word->v, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, n, 0, 0, 0);
}

static void *thread_main(void *arg)
{
	struct tti_thread *t = arg;

	t->fn(t->arg);
	return NULL;
}

static int real_thread_start(struct tti_thread *t, const char *name)
{
	sigset_t all, before;
	pthread_t handle;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&handle, NULL, thread_main, t);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0)
		return -rc;
	pthread_setname_np(handle, name);
	_Static_assert(sizeof(handle) <= sizeof(t->handle), "pthread_t fits");
	memcpy(t->handle, &handle, sizeof(handle));
	return 0;
}

static void real_thread_join(struct tti_thread *t)
{
	pthread_t handle;

	memcpy(&handle, t->handle, sizeof(handle));
	pthread_join(handle, NULL);
}

static void offer_core(void)
{
	tti_syscall6(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
}

__attribute__((constructor)) static void install_yield(void)
{
	tti_spin_yield = offer_core;
}

const struct tti_env_ops tti_env_real = {
	.name = "real",
	.now = real_now,
	.wall = real_wall,
	.entropy = real_entropy,
	.alloc = real_alloc,
	.free = real_free,
	.syscall = real_syscall,
	.futex_wait = real_futex_wait,
	.futex_wake = real_futex_wake,
	.thread_start = real_thread_start,
	.thread_join = real_thread_join,
};

__thread const struct tti_env_ops *tti_env_here = &tti_env_real;

const struct tti_env_ops *tti_env_bind(const struct tti_env_ops *ops)
{
	const struct tti_env_ops *before = tti_env_here;

	tti_env_here = ops != NULL ? ops : &tti_env_real;
	return before;
}

void *tti_env_zalloc(size_t n)
{
	void *p = tti_env_alloc(n);

	if (p != NULL)
		memset(p, 0, n);
	return p;
}

void *tti_env_map(size_t len)
{
	long p = tti_env_syscall(SYS_mmap, 0, (long)len, PROT_READ | PROT_WRITE,
	                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p < 0 && p > -4096 ? NULL : (void *)p;
}

int tti_env_unmap(void *p, size_t len)
{
	return (int)tti_env_syscall(SYS_munmap, (long)p, (long)len, 0, 0, 0, 0);
}

int tti_env_mprotect(void *p, size_t len, int prot)
{
	return (int)tti_env_syscall(SYS_mprotect, (long)p, (long)len, prot, 0, 0, 0);
}

int tti_env_madvise(void *p, size_t len, int advice)
{
	return (int)tti_env_syscall(SYS_madvise, (long)p, (long)len, advice, 0, 0, 0);
}

static struct sigaction signals_before[NSIG];

int tti_env_signal_catch(int signo, void (*handler)(int))
{
	struct sigaction sa = { .sa_handler = handler, .sa_flags = SA_RESTART | SA_ONSTACK };

	sigfillset(&sa.sa_mask);
	return sigaction(signo, &sa, &signals_before[signo]) == 0 ? 0 : -EINVAL;
}

int tti_env_signal_ignore(int signo)
{
	struct sigaction sa = { .sa_handler = SIG_IGN };

	if (sigaction(signo, NULL, &signals_before[signo]) != 0)
		return -EINVAL;
	if (signals_before[signo].sa_handler != SIG_DFL || (signals_before[signo].sa_flags & SA_SIGINFO) != 0)
		return 0;
	return sigaction(signo, &sa, NULL) == 0 ? 0 : -EINVAL;
}

void tti_env_signal_default(int signo)
{
	struct sigaction sa = { .sa_handler = SIG_DFL };

	sigaction(signo, &sa, NULL);
}

void tti_env_signal_restore(int signo)
{
	sigaction(signo, &signals_before[signo], NULL);
}

const char *tti_env_var(const char *name)
{
	return getenv(name);
}

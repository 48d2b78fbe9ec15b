/* SPDX-License-Identifier: MIT */
/*
 * env.h - the only door to the outside: clock, entropy, memory, threads, futex and
 * system calls. Every other folder of the library comes through here.
 *
 * A thread is bound to one table of operations (tti_env_here). The real one is the
 * default; the simulator binds its own for the duration of a run, and the fault
 * injector of <tutti/testing.h> wraps whichever is bound. That is a choice made when a
 * runtime starts, in the same binary: never a link-time or #ifdef choice.
 *
 * Results are 0 or positive on success and the kernel's negative errno value else.
 */
#ifndef TTI_ENV_ENV_H
#define TTI_ENV_ENV_H

#include <tutti/base.h>

#include "base/atomic.h"

struct tti_thread {
	uint64_t handle[2];  /* pthread_t; written by thread_start, read by thread_join */
	void (*fn)(void *);
	void *arg;
};

struct tti_env_ops {
	const char *name;
	int64_t (*now)(void);                         /* monotonic ns */
	int64_t (*wall)(void);                        /* ns since the epoch */
	void (*entropy)(void *buf, size_t n);
	void *(*alloc)(size_t n);                     /* NULL when out of memory; n > 0 */
	void (*free)(void *p);
	long (*syscall)(long nr, long a, long b, long c, long d, long e, long f);
	int (*futex_wait)(tti_atomic_u32 *word, uint32_t expected, int64_t deadline);
	void (*futex_wake)(tti_atomic_u32 *word, int n);
	int (*thread_start)(struct tti_thread *t, const char *name);
	void (*thread_join)(struct tti_thread *t);
};

extern const struct tti_env_ops tti_env_real;

/* The table of the calling thread; never NULL. The address of a thread-local does not
 * change under a task, because a started task stays on its worker. */
extern __thread const struct tti_env_ops *tti_env_here;

/* Binds ops to the calling thread; NULL means the real ones. Returns what was bound. */
const struct tti_env_ops *tti_env_bind(const struct tti_env_ops *ops);

/* Around a worker's look for events, which may sleep until the deadline that the first one returns,
 * monotonic ns; the last one before its thread goes its own way. They do something under the thread
 * sanitizer only: signals come in while the worker sleeps, not while a task runs. See env.c. */
int64_t tti_env_sleep_begins(int64_t deadline);
void tti_env_sleep_ends(void);
void tti_env_signals_open(void);
static inline int64_t tti_env_now(void) { return tti_env_here->now(); }
static inline int64_t tti_env_wall(void) { return tti_env_here->wall(); }
static inline void tti_env_entropy(void *buf, size_t n) { tti_env_here->entropy(buf, n); }
static inline void *tti_env_alloc(size_t n) { return tti_env_here->alloc(n); }
/* NULL is fine. */
static inline void tti_env_free(void *p) { tti_env_here->free(p); }
/* As tti_env_alloc, filled with zeros. */
void *tti_env_zalloc(size_t n);

static inline long tti_env_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	return tti_env_here->syscall(nr, a, b, c, d, e, f);
}

/* Private anonymous memory, reserved but not committed; NULL when there is none. */
void *tti_env_map(size_t len);
int tti_env_unmap(void *p, size_t len);
int tti_env_mprotect(void *p, size_t len, int prot);
int tti_env_madvise(void *p, size_t len, int advice);

/* Waits until *word is no longer expected, a wake, or the deadline: 0, -EAGAIN (it was
 * different already), -EINTR or -ETIMEDOUT. Spurious returns happen: call in a loop. */
static inline int tti_env_futex_wait(tti_atomic_u32 *word, uint32_t expected, int64_t deadline)
{
	return tti_env_here->futex_wait(word, expected, deadline);
}
static inline void tti_env_futex_wake(tti_atomic_u32 *word, int n)
{
	tti_env_here->futex_wake(word, n);
}

/* t->fn and t->arg are set by the caller; t stays valid until the join. The thread
 * starts with all signals blocked, so that they reach the program's own threads. */
static inline int tti_env_thread_start(struct tti_thread *t, const char *name)
{
	return tti_env_here->thread_start(t, name);
}
static inline void tti_env_thread_join(struct tti_thread *t) { tti_env_here->thread_join(t); }

/* Catches a signal of the process with handler (SA_RESTART, on the signal stack), keeping
 * the disposition found before, until restore gives that back. default_ gives SIG_DFL until
 * restore. Process-wide state; one caller (net/signal_hub.c). */
int tti_env_signal_catch(int signo, void (*handler)(int));
void tti_env_signal_default(int signo);
/* Ignores a signal that nobody has given a handler, until restore. */
int tti_env_signal_ignore(int signo);
void tti_env_signal_restore(int signo);

/* Processors this process may use, by affinity and by the quota of its control group; at
 * least 1. See cpus.c. */
unsigned tti_env_cpu_count(void);
/* NULL when unset. The string belongs to the environment. */
const char *tti_env_var(const char *name);

#endif

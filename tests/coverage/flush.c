/* SPDX-License-Identifier: MIT */
/*
 * flush.c - the counters of a coverage build are written however a process ends.
 *
 * The compiler's runtime writes them at exit(); a test leaves by _exit() and what misuses
 * the library by abort(), or by the signal of a fault once its default action is back. The coverage
 * build links every program with --wrap for these (cmake/Flags.cmake), so neither the kit
 * nor the library knows of it.
 *
 * Stack     A task may abort with a few KiB left, the writer needs more: it runs on a
 *           stack of its own.
 * Lost      What is killed, or faults before the library has its handlers.
 * Rejected  A hook in the kit: the tests that fork by themselves would not have it.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/types.h>
#include <ucontext.h>
#include <unistd.h>

void __wrap_abort(void) __attribute__((noreturn));
void __wrap__exit(int status) __attribute__((noreturn));
int __wrap_sigaction(int sig, const struct sigaction *act, struct sigaction *old);
int __real_sigaction(int sig, const struct sigaction *act, struct sigaction *old);
void __real_abort(void) __attribute__((noreturn));
void __real__exit(int status) __attribute__((noreturn));

#ifdef __clang__
int __llvm_profile_write_file(void);

static void write_counters(void)
{
	(void)__llvm_profile_write_file();
}
#else
pid_t __wrap___gcov_fork(void);
void __gcov_dump(void);
void __gcov_reset(void);

static void write_counters(void)
{
	__gcov_dump();
}

/* What gcc calls for fork(): its own writes all counters at each, which here only costs
 * time. The child starts from nothing. */
pid_t __wrap___gcov_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		__gcov_reset();
	return pid;
}
#endif

/* The first thread that leaves writes for the process; others wait for the end that it brings,
 * or they would bring it in the middle of a file. */
static int leaving;
static __thread int writing;

static void write_on_own_stack(void)
{
	static char stack[256 << 10] __attribute__((aligned(64)));
	static ucontext_t here, there;

	if (writing)
		return; /* a fault on the way out */
	writing = 1;
	while (__atomic_exchange_n(&leaving, 1, __ATOMIC_SEQ_CST) != 0)
		pause();
	getcontext(&there);
	there.uc_stack.ss_sp = stack;
	there.uc_stack.ss_size = sizeof(stack);
	there.uc_link = &here;
	makecontext(&there, write_counters, 0);
	swapcontext(&here, &there);
}

void __wrap_abort(void)
{
	write_on_own_stack();
	__real_abort();
}

void __wrap__exit(int status)
{
	write_on_own_stack();
	__real__exit(status);
}

/* Pending until this handler returns, then the end. */
static void on_fault(int sig)
{
	static const struct sigaction dfl = { .sa_handler = SIG_DFL };

	write_on_own_stack();
	__real_sigaction(sig, &dfl, NULL);
	raise(sig);
}

/* Who gives a fault its default action back expects to die of it. */
int __wrap_sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	static const struct sigaction last = { .sa_handler = on_fault, .sa_flags = SA_ONSTACK };
	int rc;

	if ((sig == SIGSEGV || sig == SIGBUS) && act != NULL && act->sa_handler == SIG_DFL)
		act = &last;
	rc = __real_sigaction(sig, act, old);
	if (rc == 0 && old != NULL && old->sa_handler == on_fault)
		old->sa_handler = SIG_DFL;
	return rc;
}

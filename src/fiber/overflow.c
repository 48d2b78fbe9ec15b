/* SPDX-License-Identifier: MIT */
/*
 * overflow.c - a stack overflow says whose it is before the process dies of it.
 *
 * The kernel cannot deliver a signal onto a stack that has just run out, so each worker
 * has a signal stack of its own. The handler finds the slot of the faulting address in
 * the slab registry, asks `describe` for the owner's name, writes one line, restores
 * the default action and returns: the same instruction faults again and the process
 * ends as it would have, its core dump showing the frame that overflowed.
 *
 * Signal-safe  Everything below the handler: no libc call but getauxval and sigaction,
 *              no lock; text is put together by hand.
 * Limits       A frame larger than the guard can step over it; programs are built with
 *              -fstack-clash-protection against that. The signal mask of a handler we
 *              pass a foreign fault to is not applied.
 */
#include "fiber/fiber.h"

#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "arch/syscall.h"
#include "base/spin.h"
#include "env/env.h"
#include "fiber/slab.h"

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

#define SIGNAL_STACK_BYTES (64u << 10)
/* What our handler, and one we pass a fault to, may need beside the kernel's frame. */
#define HANDLER_BYTES (32u << 10)

/* A signal stack, and what the thread had before. */
struct signal_stack {
	char *map;
	size_t len;
	stack_t before;
	unsigned depth; /* enters not yet left */
};

static __thread struct signal_stack mine;

typedef void (*describe_fn)(void *owner, char *buf, size_t n);

static tti_spin install_lock;  /* guards what follows, but for the handler's reading */
static unsigned install_count;
static tti_atomic_ptr describe_owner; /* describe_fn */
static struct sigaction before_segv, before_bus; /* read by the handler, set before it is */

/*
 * Text without libc
 */

struct text {
	char buf[512];
	size_t len;
};

static void text_add(struct text *t, const char *s)
{
	while (*s != '\0' && t->len < sizeof(t->buf))
		t->buf[t->len++] = *s++;
}

static void text_add_number(struct text *t, uint64_t v, unsigned base)
{
	char digits[24];
	size_t i = sizeof(digits) - 1;

	digits[i] = '\0';
	do {
		digits[--i] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v > 0);
	text_add(t, digits + i);
}

static void text_add_owner(struct text *t, void *owner)
{
	/* relaxed: a function; there is nothing behind it that was written before. */
	describe_fn describe = (describe_fn)tti_load_relaxed(&describe_owner);
	char name[256] = "";

	if (owner == NULL || describe == NULL) {
		text_add(t, "a stack that no task owns");
		return;
	}
	describe(owner, name, sizeof(name));
	name[sizeof(name) - 1] = '\0';
	text_add(t, "task ");
	text_add(t, name);
}

/*
 * The handler
 */

static const char *stack_pointer_of(const void *context)
{
	const ucontext_t *uc = context;

#if defined(__x86_64__)
	return (const char *)uc->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
	return (const char *)uc->uc_mcontext.sp;
#endif
}

/* Did the stack run over, or did a stray pointer hit its guard? The stack pointer tells.
 * The fiber may be another thread's; a dying process reads its owner all the same. */
__attribute__((no_sanitize("thread"))) static void
report(const struct tti_slab_hit *hit, const char *addr, const char *sp)
{
	bool overflow = sp >= hit->guard_low && sp < hit->slot_end;
	struct text t = { .len = 0 };

	text_add(&t, overflow ? "tutti: stack overflow in " : "tutti: stray access to the stack guard of ");
	text_add_owner(&t, hit->fiber->owner);
	text_add(&t, ": stack ");
	text_add_number(&t, tti_stack_class_size(hit->stack_class) >> 10, 10);
	text_add(&t, " KiB, fault at 0x");
	text_add_number(&t, (uint64_t)(uintptr_t)addr, 16);
	text_add(&t, ", ");
	text_add_number(&t, (uint64_t)(hit->stack_low - addr), 10);
	text_add(&t, " bytes below its end\n");
	TT_IGNORE(tti_syscall6(SYS_write, STDERR_FILENO, (long)t.buf, (long)t.len, 0, 0, 0));
}

/* The next delivery ends the process. */
static void restore_default(int sig)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };

	sigemptyset(&dfl.sa_mask);
	sigaction(sig, &dfl, NULL);
}

/* A fault repeats itself when the handler returns; a signal that somebody sent does not. */
static void die_by(int sig, const siginfo_t *si)
{
	restore_default(sig);
	if (si->si_code <= 0)
		raise(sig);
}

static void pass_on(int sig, siginfo_t *si, void *context)
{
	const struct sigaction *before = sig == SIGSEGV ? &before_segv : &before_bus;

	if ((before->sa_flags & SA_SIGINFO) != 0)
		before->sa_sigaction(sig, si, context);
	else if (before->sa_handler == SIG_DFL)
		die_by(sig, si);
	else if (before->sa_handler != SIG_IGN)
		before->sa_handler(sig);
	else if (si->si_code > 0)
		restore_default(sig); /* the kernel does not let a fault be ignored either */
}

static void on_fault(int sig, siginfo_t *si, void *context)
{
	struct tti_slab_hit hit;

	if (si->si_code > 0 && tti_slab_find(si->si_addr, &hit) && hit.in_guard) {
		report(&hit, si->si_addr, stack_pointer_of(context));
		restore_default(sig);
		return;
	}
	pass_on(sig, si, context);
}

void tti_overflow_panic(const struct tti_fiber *f)
{
	struct text t = { .len = 0 };

	text_add_owner(&t, f->owner);
	tti_panic(TT_SITE, "stack overflow in %.*s: unguarded stack of %zu KiB was used to its end", (int)t.len, t.buf,
	          tti_stack_class_size(f->stack_class) >> 10);
}

/*
 * Installing
 */

static int handlers_set(void)
{
	struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	sigemptyset(&sa.sa_mask);
	if (sigaction(SIGSEGV, &sa, &before_segv) < 0)
		return -errno;
	if (sigaction(SIGBUS, &sa, &before_bus) < 0) {
		int rc = -errno;

		sigaction(SIGSEGV, &before_segv, NULL);
		return rc;
	}
	return 0;
}

int tti_overflow_install(void (*describe)(void *owner, char *buf, size_t n))
{
	int rc = 0;

	tti_spin_lock(&install_lock);
	/* relaxed: see text_add_owner(). */
	tti_store_relaxed(&describe_owner, (void *)describe);
	if (install_count == 0)
		rc = handlers_set();
	if (rc == 0)
		install_count++;
	tti_spin_unlock(&install_lock);
	return rc;
}

/* Somebody may have put a handler over ours that calls it: then ours stays. */
static void handler_unset(int sig, const struct sigaction *before)
{
	struct sigaction now;

	if (sigaction(sig, NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == on_fault)
		sigaction(sig, before, NULL);
}

void tti_overflow_uninstall(void)
{
	tti_spin_lock(&install_lock);
	TT_ASSERT(install_count > 0);
	if (--install_count == 0) {
		handler_unset(SIGSEGV, &before_segv);
		handler_unset(SIGBUS, &before_bus);
	}
	tti_spin_unlock(&install_lock);
}

/* The kernel's frame grows with the processor's vector state; SIGSTKSZ is too small. */
static size_t signal_stack_bytes(size_t page)
{
	size_t n = (size_t)getauxval(AT_MINSIGSTKSZ) + HANDLER_BYTES;

	if (n < SIGNAL_STACK_BYTES)
		n = SIGNAL_STACK_BYTES;
	return (n + page - 1) / page * page;
}

static int signal_stack_set(struct signal_stack *s, size_t page)
{
	stack_t ss = { .ss_sp = s->map + page, .ss_size = s->len - page };
	uint64_t faults = UINT64_C(1) << (SIGSEGV - 1) | UINT64_C(1) << (SIGBUS - 1);
	int rc;

	/* The lowest page is its guard. */
	rc = tti_env_mprotect(s->map, page, PROT_NONE);
	if (rc < 0)
		return rc;
	/* Our threads start with every signal blocked, and a fault that is blocked kills
	 * without a word. */
	rc = (int)tti_env_syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, (long)&faults, 0, sizeof(faults), 0, 0);
	if (rc < 0)
		return rc;
	return (int)tti_env_syscall(SYS_sigaltstack, (long)&ss, (long)&s->before, 0, 0, 0, 0);
}

int tti_overflow_thread_enter(void)
{
	size_t page = (size_t)getauxval(AT_PAGESZ);
	struct signal_stack *s = &mine;
	int rc;

	if (s->depth > 0) {
		s->depth++;
		return 0;
	}
	s->len = page + signal_stack_bytes(page);
	s->map = tti_env_map(s->len);
	if (s->map == NULL)
		return -ENOMEM;
	rc = signal_stack_set(s, page);
	if (rc < 0) {
		TT_IGNORE(tti_env_unmap(s->map, s->len));
		return rc;
	}
	s->depth = 1;
	return 0;
}

void tti_overflow_thread_leave(void)
{
	struct signal_stack *s = &mine;

	if (s->depth == 0 || --s->depth > 0)
		return;
	TT_IGNORE(tti_env_syscall(SYS_sigaltstack, (long)&s->before, 0, 0, 0, 0, 0));
	TT_IGNORE(tti_env_unmap(s->map, s->len));
}

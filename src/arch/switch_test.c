/* SPDX-License-Identifier: MIT */
/*
 * switch_test.c - claims about the register contract of arch/switch.h.
 *
 * Below fiber/, so the stacks here are plain arrays. Backtraces are taken with the
 * unwinder that gdb and C++ exceptions share rules with.
 */
#include "arch/switch.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <unwind.h>

#include "arch/syscall.h"
#include <sys/syscall.h>

#define CHECK(cond) \
	do { \
		if (!(cond)) { \
			fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #cond); \
			exit(1); \
		} \
	} while (0)

#define STACK_BYTES (256u << 10)

static _Alignas(64) char stack_a[STACK_BYTES], stack_b[STACK_BYTES];
static struct tti_context main_ctx, a_ctx, b_ctx;

/*
 * probe_registers(from, to, values): loads every callee-saved register from values,
 * switches, and stores what is in them afterwards to values + PROBED.
 */
#if defined(__x86_64__)
#define PROBED 6
__asm__(".text\n"
	".type probe_registers, @function\n"
	"probe_registers:\n"
	"	endbr64\n"
	"	push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15\n"
	"	push %rdx\n"
	"	mov 0(%rdx), %rbp; mov 8(%rdx), %rbx; mov 16(%rdx), %r12\n"
	"	mov 24(%rdx), %r13; mov 32(%rdx), %r14; mov 40(%rdx), %r15\n"
	"	call tti_switch\n"
	"	pop %rdx\n"
	"	mov %rbp, 48(%rdx); mov %rbx, 56(%rdx); mov %r12, 64(%rdx)\n"
	"	mov %r13, 72(%rdx); mov %r14, 80(%rdx); mov %r15, 88(%rdx)\n"
	"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp\n"
	"	ret\n");
#elif defined(__aarch64__)
#define PROBED 19 /* x19-x29, d8-d15 */
__asm__(".text\n"
	".type probe_registers, %function\n"
	"probe_registers:\n"
	"	hint #34\n"
	"	sub sp, sp, #176\n"
	"	stp x19, x20, [sp, #0]; stp x21, x22, [sp, #16]; stp x23, x24, [sp, #32]\n"
	"	stp x25, x26, [sp, #48]; stp x27, x28, [sp, #64]; stp x29, x30, [sp, #80]\n"
	"	stp d8, d9, [sp, #96]; stp d10, d11, [sp, #112]\n"
	"	stp d12, d13, [sp, #128]; stp d14, d15, [sp, #144]\n"
	"	str x2, [sp, #160]\n"
	"	ldp x19, x20, [x2, #0]; ldp x21, x22, [x2, #16]; ldp x23, x24, [x2, #32]\n"
	"	ldp x25, x26, [x2, #48]; ldp x27, x28, [x2, #64]; ldr x29, [x2, #80]\n"
	"	ldp d8, d9, [x2, #88]; ldp d10, d11, [x2, #104]\n"
	"	ldp d12, d13, [x2, #120]; ldp d14, d15, [x2, #136]\n"
	"	bl tti_switch\n"
	"	ldr x2, [sp, #160]\n"
	"	add x2, x2, #152\n"
	"	stp x19, x20, [x2, #0]; stp x21, x22, [x2, #16]; stp x23, x24, [x2, #32]\n"
	"	stp x25, x26, [x2, #48]; stp x27, x28, [x2, #64]; str x29, [x2, #80]\n"
	"	stp d8, d9, [x2, #88]; stp d10, d11, [x2, #104]\n"
	"	stp d12, d13, [x2, #120]; stp d14, d15, [x2, #136]\n"
	"	ldp x19, x20, [sp, #0]; ldp x21, x22, [sp, #16]; ldp x23, x24, [sp, #32]\n"
	"	ldp x25, x26, [sp, #48]; ldp x27, x28, [sp, #64]; ldp x29, x30, [sp, #80]\n"
	"	ldp d8, d9, [sp, #96]; ldp d10, d11, [sp, #112]\n"
	"	ldp d12, d13, [sp, #128]; ldp d14, d15, [sp, #144]\n"
	"	add sp, sp, #176\n"
	"	ret\n");
#endif

void probe_registers(struct tti_context *from, struct tti_context *to, uint64_t *values);

static void fill(uint64_t *values, uint64_t seed)
{
	for (int i = 0; i < PROBED; i++)
		values[i] = seed * 0x9e3779b97f4a7c15u + (uint64_t)i;
	memset(values + PROBED, 0, PROBED * sizeof(*values));
}

static void scramble(void *arg)
{
	uint64_t values[2 * PROBED];

	(void)arg;
	for (uint64_t seed = 1000;; seed++) {
		fill(values, seed);
		probe_registers(&a_ctx, &main_ctx, values);
		CHECK(memcmp(values, values + PROBED, PROBED * sizeof(*values)) == 0);
	}
}

/* Each side finds its callee-saved registers as it left them, whatever the other did. */
static void switch_preserves_callee_saved_registers(void)
{
	uint64_t values[2 * PROBED];

	tti_context_init(&a_ctx, stack_a + STACK_BYTES, scramble, NULL);
	for (uint64_t seed = 1; seed < 100; seed++) {
		fill(values, seed);
		probe_registers(&main_ctx, &a_ctx, values);
		CHECK(memcmp(values, values + PROBED, PROBED * sizeof(*values)) == 0);
	}
}

static void *seen_arg;
static uintptr_t seen_misalignment;

__attribute__((noinline)) static void note_alignment(void *arg)
{
	_Alignas(16) volatile char aligned[16];

	/* The compiler relies on the convention for this variable; ask the frame itself. */
	aligned[0] = 0;
	seen_misalignment = (uintptr_t)aligned % 16 + (uintptr_t)__builtin_frame_address(0) % 16;
	seen_arg = arg;
	tti_switch(&a_ctx, &main_ctx);
}

/* entry gets its argument on a stack aligned to 16, whatever top it was given. */
static void entry_gets_argument_on_aligned_stack(void)
{
	for (uintptr_t off = 0; off < 64; off++) {
		seen_arg = NULL;
		seen_misalignment = 99;
		tti_context_init(&a_ctx, stack_a + STACK_BYTES - off, note_alignment, &seen_arg);
		tti_switch(&main_ctx, &a_ctx);
		CHECK(seen_arg == &seen_arg);
		CHECK(seen_misalignment == 0);
	}
}

static uint64_t count_a, count_b;

static void count_and_pass(void *arg)
{
	(void)arg;
	for (;;) {
		count_a++;
		tti_switch(&a_ctx, &b_ctx);
	}
}

static void count_and_return(void *arg)
{
	(void)arg;
	for (;;) {
		count_b++;
		tti_switch(&b_ctx, count_b < 500000 ? &a_ctx : &main_ctx);
	}
}

/* A million switches between two contexts lose none. */
static void million_switches(void)
{
	tti_context_init(&a_ctx, stack_a + STACK_BYTES, count_and_pass, NULL);
	tti_context_init(&b_ctx, stack_b + STACK_BYTES, count_and_return, NULL);
	tti_switch(&main_ctx, &a_ctx);
	CHECK(count_a == 500000 && count_b == 500000);
}

struct trace {
	int frames;
	int foreign; /* frames that belong to main's stack */
};

static _Unwind_Reason_Code note_frame(struct _Unwind_Context *uc, void *arg)
{
	struct trace *t = arg;
	uintptr_t cfa = _Unwind_GetCFA(uc);

	t->frames++;
	if (cfa < (uintptr_t)stack_a || cfa > (uintptr_t)stack_a + STACK_BYTES)
		t->foreign++;
	return t->frames < 100 ? _URC_NO_REASON : _URC_NORMAL_STOP;
}

static struct trace trace;
static _Unwind_Reason_Code trace_end;

__attribute__((noinline)) static void unwind_here(int depth)
{
	if (depth > 0)
		unwind_here(depth - 1);
	else
		trace_end = _Unwind_Backtrace(note_frame, &trace);
	__asm__ volatile("" ::: "memory"); /* no tail call: the frame must exist */
}

static void unwind_entry(void *arg)
{
	(void)arg;
	tti_switch(&a_ctx, &main_ctx);
	unwind_here(3);
	tti_switch(&a_ctx, &main_ctx);
}

/* An unwinder that starts in a context reaches its first frame, stops there without an
 * error, and has seen no frame of the stack it was switched from. */
static void unwinding_stops_at_the_first_frame(void)
{
	tti_context_init(&a_ctx, stack_a + STACK_BYTES, unwind_entry, NULL);
	tti_switch(&main_ctx, &a_ctx);
	tti_switch(&main_ctx, &a_ctx);
	CHECK(trace_end == _URC_END_OF_STACK);
	CHECK(trace.frames >= 5 && trace.frames <= 8);
	CHECK(trace.foreign == 0);
}

static void return_at_once(void *arg)
{
	(void)arg;
}

/* An entry that returns traps instead of running into whatever lies above. */
static void returning_from_entry_traps(void)
{
	int status;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		tti_context_init(&a_ctx, stack_a + STACK_BYTES, return_at_once, NULL);
		tti_switch(&main_ctx, &a_ctx);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(!(WIFEXITED(status) && WEXITSTATUS(status) == 0));
}

/* A raw system call returns the kernel's value, or its negative errno. */
static void raw_system_call(void)
{
	int fds[2];
	char byte = 0;

	CHECK(tti_syscall6(SYS_getpid, 0, 0, 0, 0, 0, 0) == getpid());
	CHECK(tti_syscall6(SYS_close, -1, 0, 0, 0, 0, 0) == -9);
	CHECK(tti_syscall6(SYS_pipe2, (long)fds, 0, 0, 0, 0, 0) == 0);
	CHECK(tti_syscall6(SYS_write, fds[1], (long)"x", 1, 0, 0, 0) == 1);
	CHECK(tti_syscall6(SYS_read, fds[0], (long)&byte, 1, 0, 0, 0) == 1);
	CHECK(byte == 'x');
}

int main(void)
{
	switch_preserves_callee_saved_registers();
	entry_gets_argument_on_aligned_stack();
	million_switches();
	unwinding_stops_at_the_first_frame();
	returning_from_entry_traps();
	raw_system_call();
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * switch.h - the register contract between stacks: what one CPU has to implement
 * (x86_64/switch.S, aarch64/switch.S). Called by fiber/ only.
 *
 * Saved       the callee-saved registers of the platform's C calling convention, on
 *             the stack that is left; the context holds nothing but the stack pointer.
 *             The compiler has saved the others, because to it this is a call.
 * Not saved   MXCSR, the x87 control word, FPCR: 1.9 ns a switch for a setting that
 *             belongs to the worker. A task that changes the rounding mode restores
 *             it before it waits.
 * Prediction  A call here is matched by a return here, so the processor's stack of
 *             return addresses stays level. Everybody must switch from few places and
 *             at call depth 1: a return that leads elsewhere than predicted costs 8 ns.
 * Unwinding   Full call frame information; the first frame of a context says that its
 *             caller is undefined, where gdb, perf and C++ stop.
 * Rejected    Popping the return address and jumping: 10, 17, 23 ns where 1, 2, 3 frames
 *             return after the switch, against 2.4, 3.0, 4.2 here. Inline assembly with
 *             clobbers: the same as here, but 1.2 where nothing returns (2.3 here), for a
 *             list of clobbers that must be complete. setjmp/longjmp: aborts across
 *             stacks under FORTIFY. swapcontext: a system call, 180 ns.
 * Shadow stacks  Not supported: the objects do not carry the SHSTK property, so the
 *             linker drops it from the program and the kernel leaves it off.
 */
#ifndef TTI_ARCH_SWITCH_H
#define TTI_ARCH_SWITCH_H

struct tti_context {
	void *sp; /* of the saved registers; meaningless while the context runs */
};

/* Saves the caller in from and continues to, which returns from its own call of
 * tti_switch (or starts its entry). */
void tti_switch(struct tti_context *from, struct tti_context *to);

/* Makes a context whose first switch calls entry(arg) on the stack that ends below
 * stack_top, aligned to 16 bytes. entry must not return; the CPU traps if it does. */
void tti_context_init(struct tti_context *c, void *stack_top, void (*entry)(void *arg), void *arg);

/* Where a saved context will go on: its frame pointer and its program counter. For
 * walking the stacks of parked tasks. */
static inline void tti_context_frame(const struct tti_context *c, void **ret_fp, void **ret_pc)
{
	void **sp = (void **)c->sp;

#if defined(__x86_64__)
	*ret_fp = sp[5];
	*ret_pc = sp[6];
#elif defined(__aarch64__)
	*ret_fp = sp[10];
	*ret_pc = sp[11];
#endif
}

#endif

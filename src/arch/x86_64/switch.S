/* SPDX-License-Identifier: MIT */
/*
 * x86_64/switch.S - arch/switch.h for the System V calling convention.
 *
 * A saved context, upwards from its sp: r15 r14 r13 r12 rbx rbp, return address.
 */
#if defined(__x86_64__)

/* The counterpart of -fvisibility=hidden, which does not reach assembly. Libraries made
 * for tests of the insides define TT_INTERNAL_VISIBLE. */
#ifdef TT_INTERNAL_VISIBLE
#define INTERNAL(name)
#else
#define INTERNAL(name) .hidden name
#endif

	.text

	.globl	tti_switch
	INTERNAL(tti_switch)
	.type	tti_switch, @function
	.p2align 6
tti_switch:
	.cfi_startproc
	endbr64
	pushq	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbp, 0
	pushq	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbx, 0
	pushq	%r12
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r12, 0
	pushq	%r13
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r13, 0
	pushq	%r14
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r14, 0
	pushq	%r15
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r15, 0
	movq	%rsp, (%rdi)
	/* Both stacks have the same layout here, so the frame information holds for the
	 * new one as it did for the old. */
	movq	(%rsi), %rsp
	popq	%r15
	.cfi_adjust_cfa_offset -8
	.cfi_restore r15
	popq	%r14
	.cfi_adjust_cfa_offset -8
	.cfi_restore r14
	popq	%r13
	.cfi_adjust_cfa_offset -8
	.cfi_restore r13
	popq	%r12
	.cfi_adjust_cfa_offset -8
	.cfi_restore r12
	popq	%rbx
	.cfi_adjust_cfa_offset -8
	.cfi_restore rbx
	popq	%rbp
	.cfi_adjust_cfa_offset -8
	.cfi_restore rbp
	ret
	.cfi_endproc
	.size	tti_switch, . - tti_switch

	/* The first frame of every context: r12 holds entry, r13 its argument. */
	.type	context_start, @function
	.p2align 4
context_start_proc:
	.cfi_startproc
	.cfi_undefined rip
	/* Unwinders look one byte before a return address: keep that inside. */
	nop
context_start:
	movq	%r13, %rdi
	callq	*%r12
	ud2
	.cfi_endproc
	.size	context_start, . - context_start

	/* void tti_context_init(rdi: context, rsi: stack_top, rdx: entry, rcx: arg) */
	.globl	tti_context_init
	INTERNAL(tti_context_init)
	.type	tti_context_init, @function
	.p2align 4
tti_context_init:
	.cfi_startproc
	endbr64
	andq	$-16, %rsi
	xorl	%r8d, %r8d
	leaq	context_start(%rip), %rax
	/* Two zero words end the chain for whoever walks frame pointers, and leave the
	 * stack aligned when context_start makes its call. */
	movq	%r8, -8(%rsi)
	movq	%r8, -16(%rsi)
	movq	%rax, -24(%rsi)
	movq	%r8, -32(%rsi)		/* rbp */
	movq	%r8, -40(%rsi)		/* rbx */
	movq	%rdx, -48(%rsi)		/* r12 */
	movq	%rcx, -56(%rsi)		/* r13 */
	movq	%r8, -64(%rsi)		/* r14 */
	movq	%r8, -72(%rsi)		/* r15 */
	leaq	-72(%rsi), %rax
	movq	%rax, (%rdi)
	ret
	.cfi_endproc
	.size	tti_context_init, . - tti_context_init

	/* Indirect branch tracking yes, shadow stack no: see arch/switch.h. */
	.section .note.gnu.property, "a", @note
	.p2align 3
	.long	4, 16, 5
	.asciz	"GNU"
	.long	0xc0000002, 4, 1, 0

#endif
	.section .note.GNU-stack, "", %progbits

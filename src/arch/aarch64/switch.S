/* SPDX-License-Identifier: MIT */
/*
 * aarch64/switch.S - arch/switch.h for the AAPCS64 calling convention.
 *
 * A saved context, upwards from its sp: x19-x28, x29, x30, d8-d15 (160 bytes).
 */
#if defined(__aarch64__)

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
	.type	tti_switch, %function
	.p2align 6
tti_switch:
	.cfi_startproc
	hint	#34			/* bti c */
	sub	sp, sp, #160
	.cfi_adjust_cfa_offset 160
	stp	x19, x20, [sp, #0]
	stp	x21, x22, [sp, #16]
	stp	x23, x24, [sp, #32]
	stp	x25, x26, [sp, #48]
	stp	x27, x28, [sp, #64]
	stp	x29, x30, [sp, #80]
	stp	d8, d9, [sp, #96]
	stp	d10, d11, [sp, #112]
	stp	d12, d13, [sp, #128]
	stp	d14, d15, [sp, #144]
	.cfi_rel_offset x19, 0
	.cfi_rel_offset x20, 8
	.cfi_rel_offset x21, 16
	.cfi_rel_offset x22, 24
	.cfi_rel_offset x23, 32
	.cfi_rel_offset x24, 40
	.cfi_rel_offset x25, 48
	.cfi_rel_offset x26, 56
	.cfi_rel_offset x27, 64
	.cfi_rel_offset x28, 72
	.cfi_rel_offset x29, 80
	.cfi_rel_offset x30, 88
	.cfi_rel_offset d8, 96
	.cfi_rel_offset d9, 104
	.cfi_rel_offset d10, 112
	.cfi_rel_offset d11, 120
	.cfi_rel_offset d12, 128
	.cfi_rel_offset d13, 136
	.cfi_rel_offset d14, 144
	.cfi_rel_offset d15, 152
	mov	x9, sp
	str	x9, [x0]
	/* Both stacks have the same layout here, so the frame information holds for the
	 * new one as it did for the old. */
	ldr	x9, [x1]
	mov	sp, x9
	ldp	x19, x20, [sp, #0]
	ldp	x21, x22, [sp, #16]
	ldp	x23, x24, [sp, #32]
	ldp	x25, x26, [sp, #48]
	ldp	x27, x28, [sp, #64]
	ldp	x29, x30, [sp, #80]
	ldp	d8, d9, [sp, #96]
	ldp	d10, d11, [sp, #112]
	ldp	d12, d13, [sp, #128]
	ldp	d14, d15, [sp, #144]
	add	sp, sp, #160
	.cfi_adjust_cfa_offset -160
	.cfi_restore x19
	.cfi_restore x20
	.cfi_restore x21
	.cfi_restore x22
	.cfi_restore x23
	.cfi_restore x24
	.cfi_restore x25
	.cfi_restore x26
	.cfi_restore x27
	.cfi_restore x28
	.cfi_restore x29
	.cfi_restore x30
	.cfi_restore d8
	.cfi_restore d9
	.cfi_restore d10
	.cfi_restore d11
	.cfi_restore d12
	.cfi_restore d13
	.cfi_restore d14
	.cfi_restore d15
	ret
	.cfi_endproc
	.size	tti_switch, . - tti_switch

	/* The first frame of every context: x19 holds entry, x20 its argument. */
	.type	context_start, %function
	.p2align 4
context_start_proc:
	.cfi_startproc
	.cfi_undefined x30
	/* Unwinders look one byte before a return address: keep that inside. */
	nop
context_start:
	mov	x0, x20
	blr	x19
	brk	#1
	.cfi_endproc
	.size	context_start, . - context_start

	/* void tti_context_init(x0: context, x1: stack_top, x2: entry, x3: arg) */
	.globl	tti_context_init
	INTERNAL(tti_context_init)
	.type	tti_context_init, %function
	.p2align 4
tti_context_init:
	.cfi_startproc
	hint	#34			/* bti c */
	and	x1, x1, #-16
	/* A zero pair ends the chain for whoever walks frame pointers. */
	stp	xzr, xzr, [x1, #-16]!
	sub	x1, x1, #160
	adr	x9, context_start
	stp	x2, x3, [x1, #0]
	stp	xzr, xzr, [x1, #16]
	stp	xzr, xzr, [x1, #32]
	stp	xzr, xzr, [x1, #48]
	stp	xzr, xzr, [x1, #64]
	stp	xzr, x9, [x1, #80]
	stp	xzr, xzr, [x1, #96]
	stp	xzr, xzr, [x1, #112]
	stp	xzr, xzr, [x1, #128]
	stp	xzr, xzr, [x1, #144]
	str	x1, [x0]
	ret
	.cfi_endproc
	.size	tti_context_init, . - tti_context_init

	/* Branch target identification, without pointer authentication. */
	.section .note.gnu.property, "a", %note
	.p2align 3
	.long	4, 16, 5
	.asciz	"GNU"
	.long	0xc0000000, 4, 1, 0

#endif
	.section .note.GNU-stack, "", %progbits

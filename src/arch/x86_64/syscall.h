/* SPDX-License-Identifier: MIT */
/*
 * x86_64/syscall.h - the system call instruction; include arch/syscall.h instead.
 */
#ifndef TTI_ARCH_X86_64_SYSCALL_H
#define TTI_ARCH_X86_64_SYSCALL_H

static inline long tti_syscall6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	/* The instruction overwrites rcx and r11; the kernel may read and write any memory. */
	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory", "cc");
	return ret;
}

#endif

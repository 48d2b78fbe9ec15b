/* SPDX-License-Identifier: MIT */
/*
 * syscall.h - tti_syscall6: one raw system call. Called by env/ only.
 *
 * Returns what the kernel returns: a value, or the negative errno. It exists because
 * libc's wrapper speaks through errno, whose address a compiler may keep across a
 * switch, and because io_uring has no wrapper.
 */
#ifndef TTI_ARCH_SYSCALL_H
#define TTI_ARCH_SYSCALL_H

#if defined(__x86_64__)
#include "arch/x86_64/syscall.h"
#elif defined(__aarch64__)
#include "arch/aarch64/syscall.h"
#else
#error "tutti runs on x86-64 and aarch64"
#endif

#endif

/* SPDX-License-Identifier: MIT */
/*
 * written.h - tells the memory sanitizer what the kernel wrote. A raw system call is invisible
 * to it: bytes that read() brought would count as never set. Called by env.c after each system
 * call; nothing in every other build.
 *
 * Rejected    the sanitizer's own header of hooks (linux_syscall_hooks.h): it knows neither
 *             epoll_pwait2 nor preadv2 nor statx, and reads the arguments of those that it knows.
 */
#ifndef TTI_ENV_WRITTEN_H
#define TTI_ENV_WRITTEN_H

#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#define TTI_ENV_MSAN 1
#endif
#endif

#ifdef TTI_ENV_MSAN
void tti_env_written(long nr, const long args[6], long result);
#endif

#endif

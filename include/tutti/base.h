/* SPDX-License-Identifier: MIT */
/*
 * base.h - the vocabulary of every other header: attributes, times, codes.
 *
 * Calls return int: >= 0 success, negative a code. Every code the library
 * returns has a name here; errno is never part of the interface.
 */
#ifndef TUTTI_BASE_H
#define TUTTI_BASE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define TT_BEGIN_DECLS extern "C" {
#define TT_END_DECLS }
#else
#define TT_BEGIN_DECLS
#define TT_END_DECLS
#endif

#define TT_VERSION_MAJOR 0
#define TT_VERSION_MINOR 1
#define TT_VERSION_PATCH 0
#define TT_VERSION "0.1.0"

#define TT_API __attribute__((__visibility__("default")))
#define TT_MUST_USE __attribute__((__warn_unused_result__))
#define TT_PRINTF(fmt, first) __attribute__((__format__(__printf__, fmt, first)))
#define TT_NORETURN __attribute__((__noreturn__))
#define TT_UNUSED __attribute__((__unused__))

/* The one way to drop a result on purpose: (void)call() does not silence gcc. */
#define TT_IGNORE(expr) ((void)!(expr))

#define TT_STR_(x) #x
#define TT_STR(x) TT_STR_(x)
/* Where a macro was used: "src/orders.c:88". */
#define TT_SITE __FILE__ ":" TT_STR(__LINE__)
#define TT_CAT_(a, b) a##b
#define TT_CAT(a, b) TT_CAT_(a, b)

/* Times are int64_t nanoseconds. A timeout is relative, a deadline absolute on
 * the monotonic clock. */
#define TT_US(n) ((int64_t)(n) * 1000)
#define TT_MS(n) ((int64_t)(n) * 1000000)
#define TT_SEC(n) ((int64_t)(n) * 1000000000)
#define TT_MIN(n) (TT_SEC(60) * (int64_t)(n))
#define TT_HOUR(n) (TT_SEC(3600) * (int64_t)(n))
/* As a timeout or a deadline: without end. */
#define TT_NEVER INT64_MAX

/* Codes of the system, under the library's names. */
#define TT_EACCES (-EACCES)
#define TT_EADDRINUSE (-EADDRINUSE)
#define TT_EADDRNOTAVAIL (-EADDRNOTAVAIL)
#define TT_EAGAIN (-EAGAIN)
#define TT_EBADF (-EBADF)
#define TT_EBUSY (-EBUSY)
#define TT_ECANCELED (-ECANCELED)
#define TT_ECONNABORTED (-ECONNABORTED)
#define TT_ECONNREFUSED (-ECONNREFUSED)
#define TT_ECONNRESET (-ECONNRESET)
#define TT_EDEADLK (-EDEADLK)
#define TT_EEXIST (-EEXIST)
#define TT_EINTR (-EINTR)
#define TT_EINVAL (-EINVAL)
#define TT_EIO (-EIO)
#define TT_EMFILE (-EMFILE)
#define TT_EMSGSIZE (-EMSGSIZE)
#define TT_ENAMETOOLONG (-ENAMETOOLONG)
#define TT_ENFILE (-ENFILE)
#define TT_ENOBUFS (-ENOBUFS)
#define TT_ENOENT (-ENOENT)
#define TT_ENOMEM (-ENOMEM)
#define TT_ENOSPC (-ENOSPC)
#define TT_ENOSYS (-ENOSYS)
#define TT_ENOTCONN (-ENOTCONN)
#define TT_ENOTSUP (-ENOTSUP)
#define TT_EOVERFLOW (-EOVERFLOW)
#define TT_EPERM (-EPERM)
#define TT_EPIPE (-EPIPE)
#define TT_EPROTO (-EPROTO)
#define TT_ERANGE (-ERANGE)
#define TT_ETIMEDOUT (-ETIMEDOUT)

/* Codes of our own, only where errno has none: -(10000 + n). */
#define TT_ECLOSED (-10001)   /* a channel, pool or stream was closed */
#define TT_ETORN (-10002)     /* an earlier composite write stopped half way on this stream */
#define TT_ESTOP (-10003)     /* TT_UNTIL_STOP: a soft cancel was asked for */
#define TT_EWRONGCTX (-10004) /* a task's call, made from a pool job */
#define TT_ENOHOST (-10005)   /* a name did not resolve */
#define TT_EEOF (-10006)      /* the stream ended before all bytes had come */
#define TT_EBROKEN (-10007)   /* a barrier: a party was cancelled or failed */

/* Application codes are at or below this, registered with TT_ERROR_CODES. */
#define TT_ERROR_DOMAIN_FIRST (-20000)

#endif

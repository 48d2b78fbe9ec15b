/* SPDX-License-Identifier: MIT */
/*
 * uring_abi.h - what the kernel's <linux/io_uring.h> of 6.1 does not name yet. Included
 * by uring.c and its tests.
 *
 * The values are the kernel's and cannot change; whether the running kernel knows them
 * is asked at run time.
 */
#ifndef TTI_IO_URING_ABI_H
#define TTI_IO_URING_ABI_H

#include <linux/io_uring.h>
#include <linux/time_types.h>

/* 6.6: the submission queue holds the entries themselves, without indices to them. */
#ifndef IORING_SETUP_NO_SQARRAY
#define IORING_SETUP_NO_SQARRAY (1U << 16)
#endif

/* Opcodes are bytes; a probe answers for all of them. */
#define TTI_URING_OPCODES 256

#endif

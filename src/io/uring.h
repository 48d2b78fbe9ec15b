/* SPDX-License-Identifier: MIT */
/* uring.h - what the tests of uring.c may ask it beyond driver.h; owner thread only. */
#ifndef TTI_IO_URING_H
#define TTI_IO_URING_H

#include "io/driver.h"

/* Completions that operations submitted with this IORING_OP_ have had. */
uint64_t tti_uring_reaped(const struct tti_driver *d, unsigned opcode);
/* Completions the kernel still owes: of operations, of cancels, and one for wake(). */
size_t tti_uring_in_flight(const struct tti_driver *d);
/* Entries of the submission queue and of the completion queue. */
uint32_t tti_uring_entries(const struct tti_driver *d, uint32_t *ret_completions);
/* Calls of io_uring_enter so far. */
uint64_t tti_uring_enters(const struct tti_driver *d);

#endif

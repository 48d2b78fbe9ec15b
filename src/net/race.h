/* SPDX-License-Identifier: MIT */
/* race.h - connecting to one of several addresses; see race.c. Used by tcp.c. */
#ifndef TTI_NET_RACE_H
#define TTI_NET_RACE_H

#include "net/address.h"
#include "task/error.h"

/* An address's turn: a socket of its family, set up and not connected, or a code. */
typedef int tti_race_open_fn(const struct tti_addr *a, const void *options);

/*
 * Connects to whichever of n addresses answers first; n is at most TTI_ADDRS_MAX. TT_ECANCELED,
 * or the code of the one that failed last: the calling task's error is then that failure, and
 * *failures (initialised, empty) holds those before it.
 */
TT_MUST_USE int tti_race(const struct tti_addr *addrs, int n, tti_race_open_fn *open, const void *options,
                         tt_fd **ret_fd, struct tti_error *failures);

#endif

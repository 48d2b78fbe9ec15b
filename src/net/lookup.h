/* SPDX-License-Identifier: MIT */
/* lookup.h - see lookup.c; used by resolve.c. */
#ifndef TTI_NET_LOOKUP_H
#define TTI_NET_LOOKUP_H

#include "net/address.h"

/* How many addresses, at least 1, with the port of the service ("": 0); or TT_ENOHOST, TT_EAGAIN (no
 * server answered), TT_EINVAL (no such service), TT_ENOMEM or a code of the system, with *ret_why a
 * static text. On a pool thread: blocks for seconds. */
int tti_lookup(const char *host, const char *service, struct tti_addr *ret_addrs, size_t max, const char **ret_why);

/* A code of getaddrinfo(), and errno where it means that, as one of those. */
int tti_lookup_code(int eai, int system_error, const char **ret_why);

#endif

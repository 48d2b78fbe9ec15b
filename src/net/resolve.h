/* SPDX-License-Identifier: MIT */
/* resolve.h - from a name to addresses; see resolve.c. Used by tcp.c and udp.c. */
#ifndef TTI_NET_RESOLVE_H
#define TTI_NET_RESOLVE_H

#include "net/address.h"

#define TTI_ADDRS_MAX 16

struct tti_runtime;

/* How many addresses of host, at least 1, in the order to try them; or TT_ENOHOST with a
 * text, TT_ECANCELED, TT_ENOMEM, TT_EAGAIN. Parks, except for addresses in digits. No entry
 * check. */
TT_MUST_USE int tti_resolve(const char *host, uint16_t port, struct tti_addr ret_addrs[TTI_ADDRS_MAX]);

/* The runtime ends: what the simulation still looks up for nobody is dropped. */
void tti_resolve_shutdown(struct tti_runtime *rt);

/* Lookups under way for the calling worker's runtime; for tests. */
size_t tti_resolve_under_way(void);

#endif

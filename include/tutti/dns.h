/* SPDX-License-Identifier: MIT */
/*
 * dns.h - from names to addresses, without holding a worker.
 *
 *	tt_addr addrs[8];
 *	int n = tt_resolve("db.internal", "postgresql", addrs, 8);
 *
 * Names are looked up by the system (so /etc/hosts, nsswitch.conf and resolv.conf count) on
 * threads of their own, at most eight at a time. Tasks that ask for one name meanwhile share
 * one lookup, on whatever worker they are. tt_tcp_connect() and the others do this by
 * themselves.
 *
 * Rejected    A cache: how long an answer holds only the system's resolver knows. Run one
 *             (nscd, systemd-resolved, unbound) where lookups cost too much.
 */
#ifndef TUTTI_DNS_H
#define TUTTI_DNS_H

#include <tutti/base.h>
#include <tutti/net.h>

TT_BEGIN_DECLS

/*
 * tt_resolve - the addresses of a host, in the order in which to try them. A host in digits
 * is its own address; a service is a port in digits, a name ("https"), or NULL for port 0.
 *
 * Blocks     yes, if host or service is a name; always a checkpoint
 * Returns    how many addresses were written: at least 1, at most max
 * Cancelled  TT_ECANCELED; the answer goes to those who still wait for it, or to nobody
 * Errors     TT_ENOHOST (no such name, or it has no address), -EAGAIN (no name server answered:
 *            it may later), -EINVAL (no such service, not a name, max is 0), -EAGAIN and
 *            -ENOMEM (no thread for the lookup), ...
 * Ownership  host and service are copied; ret_addrs has room for max
 * Threads    any task
 */
TT_API TT_MUST_USE int tt_resolve(const char *host, const char *service, tt_addr *ret_addrs, size_t max);

TT_END_DECLS

#endif

/* SPDX-License-Identifier: MIT */
/*
 * tcp.c - listening on and connecting to "host:port".
 *
 * Addresses in digits are used as they are; names are looked up (resolve.c) and connected to
 * at whichever of their addresses answers first (race.c).
 * TCP_NODELAY and keepalive are set on the listener: what it accepts inherits them, without
 * a system call each (Linux copies them in its clone of the listening socket).
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>

#include <tutti/error.h>

#include "net/fd.h"
#include "net/race.h"
#include "net/resolve.h"
#include "net/socket.h"
#include "task/error.h"
#include "wait/wait.h"

#define NS_PER_SEC TT_SEC(1)

/* ---- options ---- */

static int seconds_up(int64_t ns)
{
	int64_t s = ns / NS_PER_SEC + (ns % NS_PER_SEC != 0);

	return s < INT16_MAX ? (int)s : INT16_MAX; /* the kernel's own bound */
}

static int set_stream_options(int number, const tt_tcp_options *o)
{
	int rc = 0;

	if (!o->delay)
		rc = tti_socket_set(number, IPPROTO_TCP, TCP_NODELAY, 1);
	if (rc == 0 && o->keepalive > 0)
		rc = tti_socket_set(number, SOL_SOCKET, SO_KEEPALIVE, 1);
	if (rc == 0 && o->keepalive > 0)
		rc = tti_socket_set(number, IPPROTO_TCP, TCP_KEEPIDLE, seconds_up(o->keepalive));
	return rc;
}

static int set_listener_options(int number, int family, const tt_tcp_options *o)
{
	int rc = tti_socket_set(number, SOL_SOCKET, SO_REUSEADDR, 1);

	if (rc == 0 && o->reuse_port)
		rc = tti_socket_set(number, SOL_SOCKET, SO_REUSEPORT, 1);
	if (rc == 0 && family == AF_INET6)
		rc = tti_socket_set(number, IPPROTO_IPV6, IPV6_V6ONLY, o->ipv6_only);
	return rc < 0 ? rc : set_stream_options(number, o);
}

/* ---- listening ---- */

static int listen_on(const struct tti_addr *a, const tt_tcp_options *o, tt_fd **ret_listener)
{
	int number = tti_socket_new(a->room.ss_family, SOCK_STREAM), rc;

	if (number < 0)
		return number;
	rc = set_listener_options(number, a->room.ss_family, o);
	if (rc < 0) {
		tti_socket_drop(number);
		return rc;
	}
	return tti_socket_listen(number, a, o->backlog, ret_listener);
}

/* "*:80": both families through one socket; where there is no IPv6, the other alone. */
static int listen_on_any(uint16_t port, const tt_tcp_options *o, tt_fd **ret_listener)
{
	struct tti_addr a;
	int rc;

	tti_addr_any(AF_INET6, port, &a);
	rc = listen_on(&a, o, ret_listener);
	if (o->ipv6_only || (rc != -EAFNOSUPPORT && rc != TT_EADDRNOTAVAIL))
		return rc;
	tti_addr_any(AF_INET, port, &a);
	return listen_on(&a, o, ret_listener);
}

static int listen_on_name(const struct tti_host_port *at, const tt_tcp_options *o, tt_fd **ret_listener)
{
	struct tti_addr addrs[TTI_ADDRS_MAX];
	int n = tti_resolve(at->host, at->port, addrs), rc = n;

	for (int i = 0; i < n; i++) {
		rc = listen_on(&addrs[i], o, ret_listener);
		if (rc == 0)
			return 0;
	}
	return rc;
}

int tt_tcp_listen(const char *addr, const tt_tcp_options *o, tt_fd **ret_listener)
{
	static const tt_tcp_options defaults;
	struct tti_host_port at;
	int rc;

	if (tti_current_or_panic("tt_tcp_listen") == NULL)
		return TT_EWRONGCTX;
	rc = tti_checkpoint();
	if (rc < 0)
		return rc;
	rc = tti_host_port_parse("tt_tcp_listen", addr, &at);
	if (rc < 0)
		return rc;
	o = o != NULL ? o : &defaults;
	rc = at.any ? listen_on_any(at.port, o, ret_listener) : listen_on_name(&at, o, ret_listener);
	return rc != TT_ECANCELED ? tt_wrap(rc, "listen on %s", addr) : rc;
}

/* ---- connecting ---- */

static int open_for(const struct tti_addr *a, const void *options)
{
	int number = tti_socket_new(a->room.ss_family, SOCK_STREAM), rc;

	if (number < 0)
		return number;
	rc = set_stream_options(number, options);
	if (rc < 0) {
		tti_socket_drop(number);
		return rc;
	}
	return number;
}

/* Of several addresses the last failure counts; those before it are its siblings. */
static int connect_to_any(const char *addr, const struct tti_addr *addrs, int n, const tt_tcp_options *o, tt_fd **ret_fd)
{
	struct tti_error failures;
	int rc;

	tti_error_init(&failures);
	rc = tti_race(addrs, n, open_for, o, ret_fd, &failures);
	if (rc < 0 && rc != TT_ECANCELED) {
		rc = tt_wrap(rc, "connect to %s", addr);
		if (failures.code != 0)
			tti_error_add_sibling(tti_error_here(), &failures);
	}
	tti_error_clear(&failures);
	return rc;
}

int tt_tcp_connect(const char *addr, const tt_tcp_options *o, tt_fd **ret_fd)
{
	static const tt_tcp_options defaults;
	struct tti_addr addrs[TTI_ADDRS_MAX];
	struct tti_host_port to;
	int rc;

	if (tti_current_or_panic("tt_tcp_connect") == NULL)
		return TT_EWRONGCTX;
	rc = tti_checkpoint();
	if (rc < 0)
		return rc;
	rc = tti_host_port_parse("tt_tcp_connect", addr, &to);
	if (rc < 0)
		return rc;
	if (to.any)
		return tt_fail(TT_EINVAL, "tt_tcp_connect: address \"%s\": host missing", addr);
	rc = tti_resolve(to.host, to.port, addrs);
	if (rc > 0)
		return connect_to_any(addr, addrs, rc, o != NULL ? o : &defaults, ret_fd);
	return rc != TT_ECANCELED ? tt_wrap(rc, "connect to %s", addr) : rc;
}

/* SPDX-License-Identifier: MIT */
/*
 * tcp.c - listening on and connecting to "host:port".
 *
 * Addresses in digits are used as they are; names are looked up (resolve.c) and their
 * addresses tried in order, the last failure deciding, the others its siblings.
 * TCP_NODELAY and keepalive are set on the listener: what it accepts inherits them, without
 * a system call each (Linux copies them in its clone of the listening socket).
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>

#include <tutti/error.h>

#include "net/fd.h"
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
	int number = tti_socket_new(a->room.ss_family), rc;

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

static int connect_to(const struct tti_addr *a, const tt_tcp_options *o, tt_fd **ret_fd)
{
	int number, rc = tti_checkpoint();

	if (rc < 0)
		return rc;
	number = tti_socket_new(a->room.ss_family);
	if (number < 0)
		return number;
	rc = set_stream_options(number, o);
	if (rc < 0) {
		tti_socket_drop(number);
		return rc;
	}
	return tti_socket_connect(number, a, ret_fd);
}

/* The calling task's error joins those kept from before. */
static void keep_failure(struct tti_error *earlier)
{
	if (earlier->code == 0)
		tti_error_move(earlier, tti_error_here());
	else
		tti_error_add_sibling(earlier, tti_error_here());
}

static int fail_address(const struct tti_addr *a, int rc)
{
	char text[TTI_ADDR_TEXT_MAX];

	tti_addr_text(a, text, sizeof(text));
	return tt_fail(rc, "%s", text);
}

/* Of several addresses the last one's failure counts; the others are its siblings. */
static int connect_in_turn(const char *addr, const struct tti_addr *addrs, int n, const tt_tcp_options *o,
                           tt_fd **ret_fd)
{
	struct tti_error earlier;
	int rc = TT_ENOHOST;

	tti_error_init(&earlier);
	for (int i = 0; i < n; i++) {
		rc = connect_to(&addrs[i], o, ret_fd);
		if (rc >= 0 || rc == TT_ECANCELED)
			break;
		if (n > 1)
			rc = fail_address(&addrs[i], rc);
		if (i + 1 < n)
			keep_failure(&earlier);
	}
	if (rc < 0 && rc != TT_ECANCELED) {
		rc = tt_wrap(rc, "connect to %s", addr);
		if (earlier.code != 0)
			tti_error_add_sibling(tti_error_here(), &earlier);
	}
	tti_error_clear(&earlier);
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
		return connect_in_turn(addr, addrs, rc, o != NULL ? o : &defaults, ret_fd);
	return rc != TT_ECANCELED ? tt_wrap(rc, "connect to %s", addr) : rc;
}

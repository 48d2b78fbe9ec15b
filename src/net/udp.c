/* SPDX-License-Identifier: MIT */
/*
 * udp.c - datagrams to and from "host:port".
 *
 * A datagram is moved whole by one system call, so that any number of tasks may send and
 * receive on one socket: their calls are listed, for a close to end them, but claim no side.
 *
 * Families    A socket on any address is one of IPv6 that takes IPv4 too; the mapped addresses
 *             it has for those (::ffff:a.b.c.d) never leave this file.
 * Rejected    A truncated datagram as an error: its head may be all one wants, and an error
 *             could not hand it out. The length tells.
 */
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <tutti/error.h>

#include "base/sometimes.h"
#include "net/fd.h"
#include "net/resolve.h"
#include "net/socket.h"
#include "wait/wait.h"

/* ---- options ---- */

static int set_options(int number, int family, const tt_udp_options *o)
{
	int rc = 0;

	if (o->reuse_port)
		rc = tti_socket_set(number, SOL_SOCKET, SO_REUSEPORT, 1);
	if (rc == 0 && family == AF_INET6)
		rc = tti_socket_set(number, IPPROTO_IPV6, IPV6_V6ONLY, o->ipv6_only);
	if (rc == 0 && o->broadcast)
		rc = tti_socket_set(number, SOL_SOCKET, SO_BROADCAST, 1);
	if (rc == 0 && o->recv_bytes > 0)
		rc = tti_socket_set(number, SOL_SOCKET, SO_RCVBUF, o->recv_bytes);
	return rc;
}

static int new_socket(int family, const tt_udp_options *o)
{
	int number = tti_socket_new(family, SOCK_DGRAM), rc;

	if (number < 0)
		return number;
	rc = set_options(number, family, o);
	if (rc < 0) {
		tti_socket_drop(number);
		return rc;
	}
	return number;
}

/* Nobody else has the handle yet. */
static int remember_family(tt_fd *fd, int family)
{
	struct tti_fd_call c;
	int rc = tti_fd_enter(fd, TTI_NEITHER, &c);

	if (rc < 0)
		return rc;
	c.fd->family = (uint8_t)family;
	return (int)tti_fd_leave(&c, 0);
}

/* ---- opening ---- */

static int open_on(const struct tti_addr *a, const tt_udp_options *o, tt_fd **ret_fd)
{
	struct tti_driver *d = tti_home_here->driver;
	int number = new_socket(a->room.ss_family, o), rc;
	tt_fd *fd;

	if (number < 0)
		return number;
	rc = d->ops->bind(d, number, &a->room, a->len);
	if (rc < 0) {
		tti_socket_drop(number);
		return rc;
	}
	rc = tti_fd_adopt(number, true, &fd);
	if (rc == 0)
		rc = remember_family(fd, a->room.ss_family);
	if (rc == 0)
		*ret_fd = fd;
	return rc;
}

/* Both families through one socket; where there is no IPv6, the other alone. */
static int open_on_any(uint16_t port, const tt_udp_options *o, tt_fd **ret_fd)
{
	struct tti_addr a;
	int rc;

	tti_addr_any(AF_INET6, port, &a);
	rc = open_on(&a, o, ret_fd);
	if (o->ipv6_only || (rc != -EAFNOSUPPORT && rc != TT_EADDRNOTAVAIL))
		return rc;
	tti_addr_any(AF_INET, port, &a);
	return open_on(&a, o, ret_fd);
}

static int open_on_text(const char *addr, const tt_udp_options *o, tt_fd **ret_fd)
{
	struct tti_addr addrs[TTI_ADDRS_MAX];
	struct tti_host_port at;
	int rc = tti_host_port_parse("tt_udp_open", addr, &at), n;

	if (rc < 0)
		return rc;
	if (at.any)
		return open_on_any(at.port, o, ret_fd);
	n = rc = tti_resolve(at.host, at.port, addrs);
	for (int i = 0; i < n; i++) {
		rc = open_on(&addrs[i], o, ret_fd);
		if (rc == 0)
			return 0;
	}
	return rc;
}

int tt_udp_open(const char *addr, const tt_udp_options *o, tt_fd **ret_fd)
{
	static const tt_udp_options defaults;
	int rc;

	if (tti_current_or_panic("tt_udp_open") == NULL)
		return TT_EWRONGCTX;
	rc = tti_checkpoint();
	if (rc < 0)
		return rc;
	o = o != NULL ? o : &defaults;
	rc = addr != NULL ? open_on_text(addr, o, ret_fd) : open_on_any(0, o, ret_fd);
	return rc != TT_ECANCELED ? tt_wrap(rc, "datagrams on %s", addr != NULL ? addr : "any address") : rc;
}

/* ---- connecting: no datagram is sent ---- */

static int connect_to(const struct tti_addr *a, const tt_udp_options *o, tt_fd **ret_fd)
{
	int number = new_socket(a->room.ss_family, o), rc;
	tt_fd *fd;

	if (number < 0)
		return number;
	rc = tti_socket_connect(number, a, &fd);
	if (rc == 0)
		rc = remember_family(fd, a->room.ss_family);
	if (rc == 0)
		*ret_fd = fd;
	return rc;
}

int tt_udp_connect(const char *addr, const tt_udp_options *o, tt_fd **ret_fd)
{
	static const tt_udp_options defaults;
	struct tti_addr addrs[TTI_ADDRS_MAX];
	struct tti_host_port to;
	int rc, n;

	if (tti_current_or_panic("tt_udp_connect") == NULL)
		return TT_EWRONGCTX;
	rc = tti_checkpoint();
	if (rc < 0)
		return rc;
	rc = tti_host_port_parse("tt_udp_connect", addr, &to);
	if (rc < 0)
		return rc;
	if (to.any)
		return tt_fail(TT_EINVAL, "tt_udp_connect: address \"%s\": host missing", addr);
	n = rc = tti_resolve(to.host, to.port, addrs);
	for (int i = 0; i < n; i++) {
		rc = connect_to(&addrs[i], o != NULL ? o : &defaults, ret_fd);
		if (rc == 0 || rc == TT_ECANCELED)
			return rc;
	}
	return rc != TT_ECANCELED ? tt_wrap(rc, "datagrams to %s", addr) : rc;
}

/* ---- datagrams ---- */

/* 0, and the call is listed. */
static int enter(const char *call, tt_fd *fd, struct tti_fd_call *c)
{
	int rc;

	if (tti_current_or_panic(call) == NULL)
		return TT_EWRONGCTX;
	rc = tti_checkpoint();
	if (rc == 0)
		rc = tti_fd_enter(fd, TTI_NEITHER, c);
	if (rc == 0 && c->fd->family == 0)
		rc = (int)tti_fd_leave(c, TT_ENOTSUP);
	return rc;
}

int tt_udp_recv(tt_fd *fd, void *ret_buf, size_t n, tt_addr *ret_from)
{
	struct iovec iov = { .iov_base = ret_buf, .iov_len = n };
	struct tti_addr from = { .len = 0 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct tti_fd_call c;
	struct tti_fd_io io;
	long rc = enter("tt_udp_recv", fd, &c);

	if (rc < 0)
		return (int)rc;
	m.msg_name = &from.room;
	m.msg_namelen = sizeof(from.room);
	tti_fd_io_init(&io, &c, TTI_IO_RECV_MSG, "udp recv");
	io.wait.op.buf = &m;
	io.wait.op.events = MSG_TRUNC;
	rc = tti_fd_perform(&io);
	TTI_SOMETIMES(rc > (long)n, "a datagram is larger than the room for it");
	TTI_SOMETIMES(rc == TT_ECONNREFUSED, "a refusal of what was sent is told to who receives");
	if (rc >= 0 && ret_from != NULL) {
		from.len = m.msg_namelen;
		tti_addr_unmap(&from);
		*tti_addr_of(ret_from) = from;
	}
	return (int)tti_fd_leave(&c, rc);
}

int tt_udp_send(tt_fd *fd, const void *buf, size_t n, const tt_addr *to)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)buf, .iov_len = n };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct tti_fd_call c;
	struct tti_fd_io io;
	struct tti_addr a;
	long rc = enter("tt_udp_send", fd, &c);

	if (rc < 0)
		return (int)rc;
	if (to != NULL) {
		a = *(const struct tti_addr *)(const void *)to;
		if (c.fd->family == AF_INET6)
			tti_addr_map(&a);
		m.msg_name = &a.room;
		m.msg_namelen = a.len;
	}
	tti_fd_io_init(&io, &c, TTI_IO_SEND_MSG, "udp send");
	io.wait.op.buf = &m;
	return (int)tti_fd_leave(&c, tti_fd_perform(&io));
}

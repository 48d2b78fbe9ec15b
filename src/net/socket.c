/* SPDX-License-Identifier: MIT */
/*
 * socket.c - what TCP and Unix sockets have in common: making, listening, connecting,
 * accepting, names of both ends, half closing. Called by tcp.c and unix.c, and publicly.
 *
 * A number is set up before it enters the table: until then nobody else can know it.
 */
#include "net/socket.h"

#include <sys/socket.h>

#include <tutti/error.h>

#include "net/fd.h"
#include "wait/wait.h"

/* How long an accept waits that found no descriptor or no memory. */
#define STARVED_WAIT TT_MS(100)

int tti_socket_new(int family, int type)
{
	struct tti_driver *d = tti_home_here->driver;

	return d->ops->socket(d, family, type, 0);
}

void tti_socket_drop(int number)
{
	struct tti_driver *d = tti_home_here->driver;

	d->ops->close(d, number);
}

int tti_socket_set(int number, int level, int option, int value)
{
	struct tti_driver *d = tti_home_here->driver;

	return d->ops->set_option(d, number, level, option, &value, sizeof(value));
}

int tti_socket_listen(int number, const struct tti_addr *a, int backlog, tt_fd **ret_listener)
{
	struct tti_driver *d = tti_home_here->driver;
	int rc = d->ops->bind(d, number, &a->room, a->len);

	if (rc == 0)
		rc = d->ops->listen(d, number, backlog > 0 ? backlog : TTI_BACKLOG_DEFAULT);
	if (rc < 0) {
		tti_socket_drop(number);
		return rc;
	}
	return tti_fd_adopt(number, true, ret_listener);
}

static int connect_handle(tt_fd *handle, const struct tti_addr *a)
{
	struct tti_fd_call c;
	struct tti_fd_io io;
	int rc = tti_fd_enter(handle, TTI_WRITING, &c);

	if (rc < 0)
		return rc;
	tti_fd_io_init(&io, &c, TTI_IO_CONNECT, "connect");
	io.wait.op.buf = (void *)(uintptr_t)&a->room;
	io.wait.op.len = a->len;
	return (int)tti_fd_leave(&c, tti_fd_perform(&io));
}

int tti_socket_connect(int number, const struct tti_addr *a, tt_fd **ret_fd)
{
	tt_fd *handle;
	int rc = tti_fd_adopt(number, true, &handle);

	if (rc < 0)
		return rc;
	rc = connect_handle(handle, a);
	if (rc < 0) {
		tt_fd_close(handle);
		return rc;
	}
	*ret_fd = handle;
	return 0;
}

/* ---- accept ---- */

/* For want of something that others may give back; no event will tell when. */
static bool is_starved(long rc)
{
	return rc == TT_EMFILE || rc == TT_ENFILE || rc == TT_ENOBUFS || rc == TT_ENOMEM;
}

/* What was wrong with the connection that waited, not with the listener. */
static bool is_passed_over(long rc)
{
	return rc == TT_ECONNABORTED || rc == TT_EPROTO || rc == TT_EINTR || rc == TT_EAGAIN;
}

static long accept_once(tt_fd *listener, struct tti_addr *ret_peer, bool starved_before, bool *ret_report)
{
	struct tti_fd_call c;
	struct tti_fd_io io;
	long rc = tti_fd_enter(listener, TTI_READING, &c);

	if (rc < 0)
		return rc;
	ret_peer->len = 0;
	tti_fd_io_init(&io, &c, TTI_IO_ACCEPT, "accept");
	io.wait.op.buf = &ret_peer->room;
	io.wait.op.len = sizeof(ret_peer->room);
	io.wait.op.addr_len = &ret_peer->len;
	rc = tti_fd_perform(&io);
	if (rc >= 0 && ret_peer->len == 0)
		tti_addr_unnamed(ret_peer);
	/* An episode ends with an accept that did not have to wait for it. */
	*ret_report = is_starved(rc) && !c.fd->starved;
	if (is_starved(rc))
		c.fd->starved = true;
	else if (rc >= 0 && !starved_before)
		c.fd->starved = false;
	return tti_fd_leave(&c, rc);
}

/* The next connection's number or what the listener says of it; waits out a shortage. */
static long accept_number(tt_fd *listener, struct tti_addr *ret_peer)
{
	bool starved = false, report = false;
	long rc;

	for (;;) {
		rc = accept_once(listener, ret_peer, starved, &report);
		if (report)
			tt_error_report((int)rc, "tt_accept: no connection can be taken; trying every 100 ms");
		if (is_starved(rc)) {
			starved = true;
			rc = tti_sleep_until(tti_deadline_after(tti_home_here, STARVED_WAIT));
		} else if (is_passed_over(rc)) {
			rc = tti_checkpoint();
		} else {
			return rc;
		}
		if (rc < 0)
			return rc;
	}
}

int tt_accept(tt_fd *listener, tt_fd **ret_fd, tt_addr *ret_peer)
{
	struct tti_addr peer;
	tt_fd *handle;
	long rc;

	if (tti_current_or_panic("tt_accept") == NULL)
		return TT_EWRONGCTX;
	rc = tti_checkpoint();
	if (rc < 0)
		return (int)rc;
	rc = accept_number(listener, &peer);
	if (rc < 0)
		return (int)rc;
	rc = tti_fd_adopt((int)rc, true, &handle);
	if (rc < 0)
		return (int)rc;
	*ret_fd = handle;
	if (ret_peer != NULL)
		*tti_addr_of(ret_peer) = peer;
	return 0;
}

/* ---- what does not wait ---- */

int tt_pair(tt_fd *ret_fds[2])
{
	struct tti_driver *d;
	tt_fd *first, *second;
	int numbers[2], rc;

	if (tti_current_or_panic("tt_pair") == NULL)
		return TT_EWRONGCTX;
	d = tti_home_here->driver;
	rc = d->ops->pair(d, numbers);
	if (rc < 0)
		return rc;
	rc = tti_fd_adopt(numbers[0], true, &first);
	if (rc < 0) {
		tti_socket_drop(numbers[1]);
		return rc;
	}
	rc = tti_fd_adopt(numbers[1], true, &second);
	if (rc < 0) {
		tt_fd_close(first);
		return rc;
	}
	ret_fds[0] = first;
	ret_fds[1] = second;
	return 0;
}

int tt_fd_shutdown(tt_fd *fd, int how)
{
	struct tti_driver *d;
	struct tti_fd_call c;
	int rc;

	if (tti_current_or_panic("tt_fd_shutdown") == NULL)
		return TT_EWRONGCTX;
	rc = tti_fd_enter(fd, TTI_NEITHER, &c);
	if (rc < 0)
		return rc;
	/* A datagram socket that is shut for reading is ready to read for ever, and gives nothing. */
	if (c.fd->family != 0 && how != SHUT_WR)
		return (int)tti_fd_leave(&c, TT_ENOTSUP);
	d = tti_home_here->driver;
	return (int)tti_fd_leave(&c, d->ops->shutdown(d, c.fd->number, how));
}

static int address_of(tt_fd *fd, bool peer, struct tti_addr *ret)
{
	struct tti_driver *d = tti_home_here->driver;
	struct tti_fd_call c;
	int rc = tti_fd_enter(fd, TTI_NEITHER, &c);

	if (rc < 0)
		return rc;
	ret->len = sizeof(ret->room);
	return (int)tti_fd_leave(&c, d->ops->address(d, c.fd->number, peer, &ret->room, &ret->len));
}

int tt_fd_peer_text(tt_fd *fd, char *ret_buf, size_t n)
{
	struct tti_addr a;
	int rc;

	if (tti_current_or_panic("tt_fd_peer_text") == NULL)
		return TT_EWRONGCTX;
	rc = address_of(fd, true, &a);
	if (rc == -ENOTSOCK)
		return TT_ENOTCONN;
	return rc < 0 ? rc : tti_addr_text(&a, ret_buf, n);
}

int tt_fd_local_port(tt_fd *fd)
{
	struct tti_addr a;
	int rc;

	if (tti_current_or_panic("tt_fd_local_port") == NULL)
		return TT_EWRONGCTX;
	rc = address_of(fd, false, &a);
	if (rc == -ENOTSOCK)
		return TT_ENOTSUP;
	return rc < 0 ? rc : tti_addr_port(&a);
}

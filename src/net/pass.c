/* SPDX-License-Identifier: MIT */
/*
 * pass.c - descriptors through Unix streams: tt_unix_send_fd(), tt_unix_recv_fd().
 *
 * A send is a call on both descriptors, so that closing either ends it: the number of the one
 * that is passed must stay its own until the kernel has taken it. Law 2: a descriptor that the
 * kernel has handed over is returned, whatever was cancelled meanwhile.
 *
 * One descriptor a message, which is what the room for control data allows; the kernel closes
 * what does not fit and says so.
 */
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <tutti/error.h>

#include "base/sometimes.h"
#include "net/fd.h"
#include "net/socket.h"
#include "wait/wait.h"

/* The kernel's own bound of one transfer; it also fits an int. */
#define TRANSFER_MAX 0x7ffff000u

/* A message of one piece with room for one descriptor. */
struct message {
	struct msghdr m;
	struct iovec iov;
	union {
		struct cmsghdr header;           /* for its alignment */
		char room[CMSG_SPACE(sizeof(int))];
	} control;
};

static void message_init(struct message *g, const void *buf, size_t n)
{
	memset(g, 0, sizeof(*g));
	g->iov.iov_base = (void *)(uintptr_t)buf;
	g->iov.iov_len = n < TRANSFER_MAX ? n : TRANSFER_MAX;
	g->m.msg_iov = &g->iov;
	g->m.msg_iovlen = 1;
	g->m.msg_control = &g->control;
	/* Not CMSG_SPACE: its padding would hold a second one. */
	g->m.msg_controllen = CMSG_LEN(sizeof(int));
}

static bool is_unix(const struct tti_fd_call *c)
{
	struct tti_driver *d = tti_home_here->driver;
	struct sockaddr_storage a = { .ss_family = AF_UNSPEC };
	uint32_t len = sizeof(a);

	return c->fd->socket && d->ops->address(d, c->fd->number, false, &a, &len) == 0 && a.ss_family == AF_UNIX;
}

/* Claims a side of a Unix socket. */
static int enter(const char *call, tt_fd *fd, unsigned side, size_t n, struct tti_fd_call *c)
{
	int rc;

	if (tti_current_or_panic(call) == NULL)
		return TT_EWRONGCTX;
	rc = tti_checkpoint();
	if (rc < 0)
		return rc;
	if (n == 0)
		return TT_EINVAL;
	rc = tti_fd_enter(fd, side, c);
	if (rc == 0 && !is_unix(c))
		rc = (int)tti_fd_leave(c, TT_ENOTSUP);
	return rc;
}

/* ---- sending ---- */

struct passing {
	struct tti_fd_call to, what;
	struct tti_fd_io io;
	void (*done)(struct tti_io_op *op);  /* of io */
};

static void passing_is_done(struct tti_io_op *op)
{
	struct passing *p = TTI_CONTAINER_OF(op, struct passing, io.wait.op);

	p->what.op = NULL;
	p->done(op);
}

/* Both calls are listed. */
static long pass(struct passing *p, const void *buf, size_t n)
{
	struct message g;
	long rc;

	if (tti_fd_is_closing(&p->what))
		return TT_EBADF;
	message_init(&g, buf, n);
	g.control.header = (struct cmsghdr){
		.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
	};
	memcpy(CMSG_DATA(&g.control.header), &p->what.fd->number, sizeof(int));
	tti_fd_io_init(&p->io, &p->to, TTI_IO_SEND_MSG, "send fd");
	p->done = p->io.wait.op.done;
	p->io.wait.op.done = passing_is_done;
	p->io.wait.op.buf = &g.m;
	p->what.op = &p->io.wait.op;
	rc = tti_fd_perform(&p->io);
	p->what.op = NULL; /* it may have ended at once */
	return rc;
}

int tt_unix_send_fd(tt_fd *fd, tt_fd *passed, const void *buf, size_t n)
{
	struct passing p;
	long rc = enter("tt_unix_send_fd", fd, TTI_WRITING, n, &p.to);

	if (rc < 0)
		return (int)rc;
	rc = p.to.fd->torn ? TT_ETORN : tti_fd_enter(passed, TTI_NEITHER, &p.what);
	if (rc == 0)
		rc = tti_fd_leave(&p.what, pass(&p, buf, n));
	return (int)tti_fd_leave(&p.to, rc);
}

/* ---- receiving ---- */

static int adopt(int number, tt_fd **ret_fd)
{
	struct tti_driver *d = tti_home_here->driver;
	struct sockaddr_storage a = { .ss_family = AF_UNSPEC };
	uint32_t len = sizeof(a);
	bool socket = d->ops->address(d, number, false, &a, &len) == 0;
	struct tti_fd_call c;
	int rc = tti_fd_adopt(number, socket, ret_fd);

	if (rc < 0 || (a.ss_family != AF_INET && a.ss_family != AF_INET6))
		return rc;
	/* It may be one of datagrams; nobody else has the handle yet. */
	rc = tti_fd_enter(*ret_fd, TTI_NEITHER, &c);
	if (rc < 0)
		return rc;
	c.fd->family = (uint8_t)a.ss_family;
	return (int)tti_fd_leave(&c, 0);
}

/* What came with n bytes. */
static long take(struct message *g, long n, tt_fd **ret_fd)
{
	struct cmsghdr *h = CMSG_FIRSTHDR(&g->m);
	int number = -1, rc;

	if (h != NULL && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS)
		memcpy(&number, CMSG_DATA(h), sizeof(number));
	if (g->m.msg_flags & MSG_CTRUNC) {
		if (number >= 0)
			tti_socket_drop(number);
		return number >= 0 ? TT_EPROTO : TT_EMFILE;
	}
	*ret_fd = NULL;
	TTI_SOMETIMES(number < 0, "bytes come without a descriptor where one is received");
	if (number < 0)
		return n;
	rc = adopt(number, ret_fd);
	return rc < 0 ? rc : n;
}

int tt_unix_recv_fd(tt_fd *fd, void *ret_buf, size_t n, tt_fd **ret_fd)
{
	struct tti_fd_call c;
	struct tti_fd_io io;
	struct message g;
	long rc = enter("tt_unix_recv_fd", fd, TTI_READING, n, &c);

	if (rc < 0)
		return (int)rc;
	message_init(&g, ret_buf, n);
	tti_fd_io_init(&io, &c, TTI_IO_RECV_MSG, "recv fd");
	io.wait.op.buf = &g.m;
	io.wait.op.events = MSG_CMSG_CLOEXEC;
	rc = tti_fd_perform(&io);
	if (rc > 0)
		c.fd->drained = false;
	if (rc >= 0)
		rc = take(&g, rc, ret_fd);
	return (int)tti_fd_leave(&c, rc);
}

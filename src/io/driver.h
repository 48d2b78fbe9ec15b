/* SPDX-License-Identifier: MIT */
/*
 * driver.h - the narrow interface between the runtime and the kernel's I/O. Three
 * implementations of equal standing: epoll.c, uring.c, and sim/ (a simulated network).
 * One driver per worker; only that worker's thread calls it (law 7), except wake().
 *
 * Operations are completion-shaped: submit, then exactly one done(). Law 1: the frame
 * that owns the operation and its buffer waits for that done(), whatever else happens.
 * A cancel only asks for an early end; the operation's own result decides (law 2).
 *
 * A descriptor is named by its number and a generation that changes with every close,
 * so that what a driver remembers of a number cannot be taken for its successor.
 */
#ifndef TTI_IO_DRIVER_H
#define TTI_IO_DRIVER_H

#include <tutti/base.h>

#include "base/list.h"

struct msghdr;
struct tti_home;
struct tti_driver;

enum tti_io_kind {
	TTI_IO_READ,     /* buf, len: at least one byte, 0 at the end; recv on a socket */
	TTI_IO_WRITE,    /* buf, len: as much as fits, at least one byte; send on a socket, no SIGPIPE */
	TTI_IO_ACCEPT,   /* result: the new descriptor, non-blocking and close-on-exec; peer in buf (len bytes), its length in *addr_len */
	TTI_IO_CONNECT,  /* address in buf, len */
	TTI_IO_POLL,     /* events: POLLIN, POLLOUT; result: the ready set */
	TTI_IO_RECV_MSG, /* buf: a struct msghdr, filled in on success only; events: MSG_ flags; as recvmsg(2) */
	TTI_IO_SEND_MSG, /* buf: a struct msghdr; no SIGPIPE; as sendmsg(2) */
	TTI_IO_KINDS,
};

enum {
	TTI_IO_SOCKET = 1,       /* the descriptor is a socket */
	TTI_IO_FOREIGN = 2,      /* not ours: keep no registration once the operation ended */
	TTI_IO_DRAINED = 4,      /* a hint: the last read emptied it, do not try first */
};

struct tti_io_op {
	struct tti_list link;            /* for the driver's use while it is under way */
	uint8_t kind;                    /* enum tti_io_kind */
	uint8_t flags;                   /* TTI_IO_* above */
	bool cancelled;                  /* cancel() was called; kept by the driver */
	uint8_t direction;               /* 0 read side, 1 write side; for the driver's use */
	int fd;
	uint32_t generation;
	unsigned events;                 /* POLL, RECV_MSG */
	void *buf;
	size_t len;
	uint32_t *addr_len;              /* ACCEPT: written on success; may be NULL */
	long result;                     /* >= 0, or the kernel's negative errno value */
	/* Terminal, on the owner's thread, from poll(), outside any task. The operation may be
	 * gone when this returns. */
	void (*done)(struct tti_io_op *op);
	uint64_t driver_data[3];         /* for the driver's use */
};

/* Which of a descriptor's two sides an operation uses; a poll may use both and says read. */
static inline bool tti_io_is_write(unsigned kind)
{
	return kind == TTI_IO_WRITE || kind == TTI_IO_CONNECT || kind == TTI_IO_SEND_MSG;
}

/* A name that a driver is asked for; part of whoever asks, who keeps it until the answer. */
struct tti_name_query {
	const char *host, *service;      /* service: a number, a name, or "" */
	void *ret_addrs;                 /* struct sockaddr_storage[max], ports set */
	size_t max;
	int rc;                          /* how many there are, or a code */
	void (*answered)(struct tti_name_query *q);   /* outside of any worker */
	void *driver_data;               /* for the driver's use */
};

struct tti_driver_ops {
	const char *name;                /* "epoll" */
	/* entries: a hint for queue sizes. -ENOSYS or -EPERM when the kernel refuses. */
	int (*create)(struct tti_home *home, unsigned entries, struct tti_driver **ret_driver);
	/* No operation is under way. */
	void (*destroy)(struct tti_driver *d);
	/* 0: done() will be called from a later poll(). 1: ended at once, result is set and
	 * done() is not called. */
	int (*submit)(struct tti_driver *d, struct tti_io_op *op);
	/* At most once an operation. 1: ended at once, with result set, done() not called;
	 * 0: done() comes later, with whatever result the operation then has. */
	int (*cancel)(struct tti_driver *d, struct tti_io_op *op);
	/* Hands out completions. Waits for one, a wake() or the deadline; a deadline of 0
	 * never waits. */
	void (*poll)(struct tti_driver *d, int64_t deadline);
	/* Makes a poll() that waits, or the next one, return. Any thread, any signal handler. */
	void (*wake)(struct tti_driver *d);
	/* The descriptor's number is about to be closed: forget what is registered for it. */
	void (*forget)(struct tti_driver *d, int fd, uint32_t generation);

	/* Calls that never wait. Results as the system calls of these names, negative errno
	 * values for failures. read and write are the non-blocking tries (-EAGAIN). */
	int (*socket)(struct tti_driver *d, int family, int type, int protocol);
	int (*pair)(struct tti_driver *d, int ret_fds[2]);
	int (*bind)(struct tti_driver *d, int fd, const void *addr, uint32_t len);
	int (*listen)(struct tti_driver *d, int fd, int backlog);
	int (*address)(struct tti_driver *d, int fd, bool peer, void *addr, uint32_t *len);
	int (*set_option)(struct tti_driver *d, int fd, int level, int option, const void *value, uint32_t len);
	int (*shutdown)(struct tti_driver *d, int fd, int how);
	int (*close)(struct tti_driver *d, int fd);
	long (*read)(struct tti_driver *d, int fd, void *buf, size_t n, unsigned flags);
	long (*write)(struct tti_driver *d, int fd, const void *buf, size_t n, unsigned flags);
	long (*send_msg)(struct tti_driver *d, int fd, const struct msghdr *m);
	/* Which of events hold now, with POLLERR and POLLHUP; -EAGAIN when none. */
	long (*ready)(struct tti_driver *d, int fd, unsigned events);
	/* True when path, whose address is addr, is the file of a socket to which nobody listens. */
	bool (*is_stale)(struct tti_driver *d, const char *path, const void *addr, uint32_t len);

	/* NULL: names are looked up on the blocking pool. Else begins to look q up. */
	void (*resolve)(struct tti_driver *d, struct tti_name_query *q);
	/* True: q is the asker's again and will not be answered. False: it is under way, which may be
	 * forced to end, or was answered. Any worker's thread. */
	bool (*unresolve)(struct tti_driver *d, struct tti_name_query *q, bool force);
};

/* The first member of each driver's own structure. */
struct tti_driver {
	const struct tti_driver_ops *ops;
	struct tti_home *home;
	uint64_t completions[TTI_IO_KINDS];  /* done(), per kind */
	uint64_t submits, cancels, polls, wakes;
};

extern const struct tti_driver_ops tti_driver_epoll;
extern const struct tti_driver_ops tti_driver_uring;

#endif

/* SPDX-License-Identifier: MIT */
/*
 * direct.h - the calls of a driver that never wait, on the real kernel; see direct.c.
 * Shared by epoll.c and uring.c, whose operation tables point at most of them.
 */
#ifndef TTI_IO_DIRECT_H
#define TTI_IO_DIRECT_H

#include "io/driver.h"

int tti_direct_socket(struct tti_driver *d, int family, int type, int protocol);
int tti_direct_pair(struct tti_driver *d, int ret_fds[2]);
int tti_direct_bind(struct tti_driver *d, int fd, const void *addr, uint32_t len);
int tti_direct_listen(struct tti_driver *d, int fd, int backlog);
int tti_direct_address(struct tti_driver *d, int fd, bool peer, void *addr, uint32_t *len);
int tti_direct_set_option(struct tti_driver *d, int fd, int level, int option, const void *value, uint32_t len);
int tti_direct_shutdown(struct tti_driver *d, int fd, int how);
int tti_direct_close(struct tti_driver *d, int fd);
long tti_direct_read(struct tti_driver *d, int fd, void *buf, size_t n, unsigned flags);
long tti_direct_write(struct tti_driver *d, int fd, const void *buf, size_t n, unsigned flags);
long tti_direct_recv_msg(struct tti_driver *d, int fd, struct msghdr *m, unsigned flags);
long tti_direct_send_msg(struct tti_driver *d, int fd, const struct msghdr *m);
long tti_direct_ready(struct tti_driver *d, int fd, unsigned events);
bool tti_direct_is_stale(struct tti_driver *d, const char *path, const void *addr, uint32_t len);

/* The new descriptor, or -EAGAIN. addr may be NULL; ret_len (may be NULL too) is the
 * length of what was written there. */
long tti_direct_accept(int fd, void *addr, size_t len, uint32_t *ret_len);
/* An accept that failed with this says nothing about the listener: accept again. */
bool tti_direct_accept_again(long rc);
/* It failed for want of descriptors or memory, whether or not a connection waits. */
bool tti_direct_accept_starved(long rc);
/* Starts to connect, or tells how far it is: 0, -EAGAIN while under way, or why it
 * failed. *started says whether an earlier call began it. -EBUSY: a unix listener's
 * backlog is full, and no event will tell when it is not. */
long tti_direct_connect(int fd, const void *addr, size_t len, bool *started);
/* The peer is there: a connect that was cancelled had succeeded before. */
bool tti_direct_connected(int fd);
/* A stream of which a short read leaves nothing behind: TCP. */
bool tti_direct_is_stream(int fd);

/* Names the calling thread; two live threads never share a name. */
const void *tti_direct_thread(void);

#endif

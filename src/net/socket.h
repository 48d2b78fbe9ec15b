/* SPDX-License-Identifier: MIT */
/* socket.h - what TCP and Unix sockets have in common; see socket.c. Used by net/. */
#ifndef TTI_NET_SOCKET_H
#define TTI_NET_SOCKET_H

#include "net/address.h"

#define TTI_BACKLOG_DEFAULT 1024

/* A socket's number, not yet in the table: the caller closes or adopts it. type: SOCK_. */
TT_MUST_USE int tti_socket_new(int family, int type);
void tti_socket_drop(int number);
int tti_socket_set(int number, int level, int option, int value);
/* Binds, listens and adopts; number is closed when that fails. */
TT_MUST_USE int tti_socket_listen(int number, const struct tti_addr *a, int backlog, tt_fd **ret_listener);
/* Adopts and connects; number is closed when that fails. No entry check. */
TT_MUST_USE int tti_socket_connect(int number, const struct tti_addr *a, tt_fd **ret_fd);

#endif

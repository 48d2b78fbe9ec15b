/* SPDX-License-Identifier: MIT */
/* net.h - sockets and connections of the simulated network, shared by net.c, stream.c,
 * dgram.c and driver.c. */
#ifndef TTI_SIM_NET_H
#define TTI_SIM_NET_H

#include <sys/socket.h>
#include <sys/un.h>

#include "sim/sim.h"

struct tti_sim_addr {
	union {
		struct sockaddr any;
		struct sockaddr_storage room;
		struct sockaddr_un un;
	} u;
	uint32_t len;                        /* 0: none */
};

/* Descriptors that travel with bytes: the receiver of the first of them gets them. */
#define TTI_SIM_RIGHTS_MAX 8
struct tti_sim_rights {
	struct tti_list link;                /* dir->rights, in the order of the bytes */
	uint64_t at, upto;                   /* the bytes they were written with; a read stops at either */
	unsigned n;
	struct tti_sim_sock *socks[TTI_SIM_RIGHTS_MAX]; /* a count held on each */
};

/* One direction: a ring of bytes with three marks, consumed <= arrived <= written. */
struct tti_sim_dir {
	uint8_t *ring;
	uint32_t cap;                        /* bytes the two kernels keep together */
	uint64_t written, arrived, consumed;
	int64_t last_at;                     /* segments of a direction stay in order */
	struct tti_list rights;              /* struct tti_sim_rights */
	bool fin_sent, fin_arrived;
};

struct tti_sim_end {
	struct tti_sim_conn *conn;
	struct tti_sim_sock *sock;           /* NULL: not accepted yet, or closed */
	struct tti_list queue_link;          /* in the listener's backlog */
	struct tti_sim_addr local, remote;
	struct tti_sim_dir out;              /* what this end wrote */
	uint8_t side;
	bool closed;                         /* nobody reads or writes here any more */
	bool dead;                           /* reset or timed out */
	bool read_shut, write_shut;
	bool timeout_armed;                  /* half-open: the retransmissions will give up */
	int error;                           /* reported once, then forgotten; negative */
};

struct tti_sim_conn {
	struct tti_list link;                /* net->conns */
	struct tti_sim_end ends[2];          /* 0 connected, 1 accepted */
	struct tti_sim_event trouble;        /* a reset, a vanishing */
	unsigned in_flight;                  /* segments scheduled */
	bool local;                          /* a pair or a Unix socket: no wire between */
	bool pipe;                           /* closing with unread bytes is no reset */
	bool black_hole;                     /* nothing gets through any more */
};

enum tti_sock_kind { TTI_SOCK_FRESH, TTI_SOCK_LISTENER, TTI_SOCK_CONNECTING, TTI_SOCK_STREAM, TTI_SOCK_DATAGRAM, TTI_SOCK_EVENT };

struct tti_sim_sock {
	struct tti_list link;                /* net->socks */
	int fd;                              /* its first number */
	unsigned refs;                       /* numbers, and messages that carry it */
	int family;
	enum tti_sock_kind kind;
	bool reuse_addr, reuse_port, linger_reset;
	bool v6_only;                        /* else a wildcard of IPv6 is one of IPv4 too */
	uint32_t buffer;                     /* asked for by SO_SNDBUF or SO_RCVBUF; 0: default */
	struct tti_sim_addr local, remote;
	struct tti_sim_end *end;             /* STREAM */
	struct tti_list backlog;             /* LISTENER: ends nobody accepted yet */
	unsigned queued, queued_max;
	struct tti_sim_event event;          /* CONNECTING: the next step of the handshake */
	struct tti_sim_end *made;            /* CONNECTING: the end it will get */
	unsigned tries;
	bool set;                            /* EVENT */
	bool refused;                        /* CONNECTING: a fault drawn at the start */
	bool connect_done;
	int connect_result;
	struct tti_list inbox;               /* DATAGRAM: what arrived; dgram.c */
	size_t inbox_bytes;
	int64_t last_at;                     /* DATAGRAM: what it sent arrives in order */
	bool read_shut, write_shut;          /* DATAGRAM */
	int error;                           /* DATAGRAM: of the peer, reported once; negative */
	struct tti_list waiting;             /* operations, oldest first; driver.c */
	unsigned ops;                        /* operations not handed out yet; driver.c */
	bool busy, again;                    /* its waiting list is being walked; driver.c */
};

/* NULL when the descriptor is not open. */
struct tti_sim_sock *tti_sim_sock(const struct tti_sim *sim, int fd);

static inline struct tti_sim_end *tti_sim_peer(struct tti_sim_end *end)
{
	return &end->conn->ends[1 - end->side];
}

/* Another number for s: the lowest that is free, or -EMFILE. */
int tti_sim_sock_number(struct tti_sim *sim, struct tti_sim_sock *s);
/* A message carries s, or no longer does. */
void tti_sim_sock_hold(struct tti_sim_sock *s);
void tti_sim_sock_put(struct tti_sim *sim, struct tti_sim_sock *s);

/* ---- addresses: net.c ---- */

uint16_t tti_sim_port(const struct tti_sim_addr *a);
bool tti_sim_same_peer(const struct tti_sim_addr *a, const struct tti_sim_addr *b);
int tti_sim_addr_copy(struct tti_sim_addr *to, int family, const void *addr, size_t len);
/* In the words of a family: an address of IPv4 as one of IPv6, and back. */
struct tti_sim_addr tti_sim_addr_as(const struct tti_sim_addr *a, int family);
/* A socket bound to s's address takes what is sent to `to`. */
bool tti_sim_takes(const struct tti_sim_sock *s, const struct tti_sim_addr *to);
/* Binds to a port of the system's choice, at to's host or, for NULL, at any. */
int tti_sim_autobind(struct tti_sim *sim, struct tti_sim_sock *s, const struct tti_sim_addr *to);
/* Nothing comes back from there: 192.0.2.0/24 and 2001:db8::/32, the networks of examples. */
bool tti_sim_is_hole(const struct tti_sim_addr *a);

/* ---- dgram.c ---- */

int tti_sim_dgram_connect(struct tti_sim *sim, struct tti_sim_sock *s, const void *addr, size_t len);
long tti_sim_dgram_send(struct tti_sim *sim, struct tti_sim_sock *s, const struct msghdr *m);
long tti_sim_dgram_recv(struct tti_sim *sim, struct tti_sim_sock *s, struct msghdr *m, unsigned flags);
int tti_sim_dgram_shutdown(struct tti_sim *sim, struct tti_sim_sock *s, int how);
unsigned tti_sim_dgram_ready(const struct tti_sim_sock *s);
void tti_sim_dgram_drop_inbox(struct tti_sim_sock *s);

/* ---- messages: net.c, for driver.c ---- */

long tti_sim_try_recv_msg(struct tti_sim *sim, int fd, struct msghdr *m, unsigned flags);
long tti_sim_try_send_msg(struct tti_sim *sim, int fd, const struct msghdr *m);
bool tti_sim_is_stale(struct tti_sim *sim, const void *addr, uint32_t len);

/* ---- stream.c ---- */

/* One way of this connection, drawn anew each time. */
int64_t tti_sim_latency(struct tti_sim *sim, bool local);
struct tti_sim_conn *tti_sim_conn_new(struct tti_sim *sim, bool local, uint32_t buffer);
void tti_sim_conn_free(struct tti_sim *sim, struct tti_sim_conn *c);
void tti_sim_end_close(struct tti_sim *sim, struct tti_sim_end *end, bool reset);
int tti_sim_end_shutdown(struct tti_sim *sim, struct tti_sim_end *end, int how);
long tti_sim_end_read(struct tti_sim *sim, struct tti_sim_end *end, void *buf, size_t n);
long tti_sim_end_write(struct tti_sim *sim, struct tti_sim_end *end, const void *buf, size_t n);
/* The same with descriptors: what a read takes off is the caller's (NULL: none came), what a
 * write is given is the stream's if it wrote anything. */
long tti_sim_end_read_rights(struct tti_sim *sim, struct tti_sim_end *end, void *buf, size_t n,
                             struct tti_sim_rights **ret_rights);
long tti_sim_end_write_rights(struct tti_sim *sim, struct tti_sim_end *end, const void *buf, size_t n,
                              struct tti_sim_rights *rights);
void tti_sim_rights_drop(struct tti_sim *sim, struct tti_sim_rights *rights);
void tti_sim_end_drop_rights(struct tti_sim *sim, struct tti_sim_end *end);
unsigned tti_sim_end_ready(struct tti_sim_end *end);

/* ---- driver.c: something changed here, try what waits ---- */

void tti_sim_sock_retry(struct tti_sim *sim, struct tti_sim_sock *s);

#endif

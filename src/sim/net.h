/* SPDX-License-Identifier: MIT */
/* net.h - sockets and connections of the simulated network, shared by net.c, stream.c and
 * driver.c. */
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

/* One direction: a ring of bytes with three marks, consumed <= arrived <= written. */
struct tti_sim_dir {
	uint8_t *ring;
	uint32_t cap;                        /* bytes the two kernels keep together */
	uint64_t written, arrived, consumed;
	int64_t last_at;                     /* segments of a direction stay in order */
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
	bool black_hole;                     /* nothing gets through any more */
};

enum tti_sock_kind { TTI_SOCK_FRESH, TTI_SOCK_LISTENER, TTI_SOCK_CONNECTING, TTI_SOCK_STREAM };

struct tti_sim_sock {
	struct tti_list link;                /* net->socks */
	int fd;
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
	bool refused;                        /* CONNECTING: a fault drawn at the start */
	bool connect_done;
	int connect_result;
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

/* ---- stream.c ---- */

/* One way of this connection, drawn anew each time. */
int64_t tti_sim_latency(struct tti_sim *sim, bool local);
struct tti_sim_conn *tti_sim_conn_new(struct tti_sim *sim, bool local, uint32_t buffer);
void tti_sim_conn_free(struct tti_sim *sim, struct tti_sim_conn *c);
void tti_sim_end_close(struct tti_sim *sim, struct tti_sim_end *end, bool reset);
int tti_sim_end_shutdown(struct tti_sim *sim, struct tti_sim_end *end, int how);
long tti_sim_end_read(struct tti_sim *sim, struct tti_sim_end *end, void *buf, size_t n);
long tti_sim_end_write(struct tti_sim *sim, struct tti_sim_end *end, const void *buf, size_t n);
unsigned tti_sim_end_ready(struct tti_sim_end *end);

/* ---- driver.c: something changed here, try what waits ---- */

void tti_sim_sock_retry(struct tti_sim *sim, struct tti_sim_sock *s);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * dgram.c - datagrams of the simulated network: what is sent may be lost, overtaken or
 * doubled on its way, but never arrives changed or in pieces.
 *
 * As Linux does it  A socket without an address gets one at its first send. One that is
 * connected hears from its peer alone, and is told once when nobody listens there; one
 * that is not is told nothing. What does not fit into the receiver's inbox is dropped.
 * Order       What one socket sends arrives in order, unless a fault lets it be overtaken.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>

#include "base/panic.h"
#include "base/sometimes.h"
#include "sim/net.h"

#define INBOX_BYTES_MAX 212992u              /* the usual net.core.rmem_default */
#define PAYLOAD_MAX4 65507u
#define PAYLOAD_MAX6 65527u
#define OVERTAKEN_MAX TT_MS(20)

/* On its way, then in an inbox. */
struct datagram {
	struct tti_sim_event event;          /* first */
	struct tti_list link;                /* in the inbox */
	struct tti_sim_addr from, to;
	size_t len;
	unsigned char bytes[];
};

/* Nobody was there: the news on its way back. */
struct refusal {
	struct tti_sim_event event;          /* first */
	struct tti_sim_addr from, to;        /* of the datagram */
};

/* Addresses are compared as what they mean: of IPv4 where they can be. */
static bool same_meaning(const struct tti_sim_addr *a, const struct tti_sim_addr *b)
{
	struct tti_sim_addr x = tti_sim_addr_as(a, AF_INET), y = tti_sim_addr_as(b, AF_INET);

	return tti_sim_same_peer(&x, &y);
}

static bool is_any(const struct tti_sim_addr *a)
{
	if (a->u.any.sa_family == AF_INET)
		return ((const struct sockaddr_in *)(const void *)&a->u)->sin_addr.s_addr == 0;
	return IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)(const void *)&a->u)->sin6_addr);
}

/* ---- arriving ---- */

/* Who is connected to the sender goes before who listens to everybody. */
static struct tti_sim_sock *find_receiver(struct tti_sim *sim, const struct datagram *d)
{
	struct tti_sim_sock *found = NULL;

	TTI_LIST_FOR_EACH (n, &sim->net.socks) {
		struct tti_sim_sock *s = TTI_CONTAINER_OF(n, struct tti_sim_sock, link);

		if (s->kind != TTI_SOCK_DATAGRAM || s->local.len == 0 || !tti_sim_takes(s, &d->to))
			continue;
		if (s->remote.len == 0 && found == NULL)
			found = s;
		if (s->remote.len != 0 && same_meaning(&s->remote, &d->from))
			return s;
	}
	return found;
}

/* To whoever is still connected to the place that refused. */
static void refusal_arrives(struct tti_sim *sim, struct tti_sim_event *e)
{
	struct refusal *r = TTI_CONTAINER_OF(e, struct refusal, event);

	TTI_LIST_FOR_EACH (n, &sim->net.socks) {
		struct tti_sim_sock *s = TTI_CONTAINER_OF(n, struct tti_sim_sock, link);

		if (s->kind != TTI_SOCK_DATAGRAM || s->remote.len == 0 || !same_meaning(&s->remote, &r->to) ||
		    tti_sim_port(&s->local) != tti_sim_port(&r->from))
			continue;
		s->error = -ECONNREFUSED;
		tti_sim_sock_retry(sim, s);
		break;
	}
	tti_env_real.free(r);
}

static void refuse(struct tti_sim *sim, const struct datagram *d)
{
	struct refusal *r = tti_sim_zalloc(sizeof(*r));

	r->from = d->from;
	r->to = d->to;
	tti_sim_at(sim, &r->event, sim->now + tti_sim_latency(sim, false), refusal_arrives);
}

static void arrives(struct tti_sim *sim, struct tti_sim_event *e)
{
	struct datagram *d = TTI_CONTAINER_OF(e, struct datagram, event);
	struct tti_sim_sock *s = find_receiver(sim, d);

	if (s == NULL) {
		refuse(sim, d);
		tti_env_real.free(d);
		return;
	}
	if (s->inbox_bytes + d->len + sizeof(*d) > INBOX_BYTES_MAX) {
		TTI_SOMETIMES(true, "a datagram comes to a socket that has no room");
		tti_env_real.free(d);
		return;
	}
	s->inbox_bytes += d->len + sizeof(*d);
	tti_list_push_back(&s->inbox, &d->link);
	tti_sim_sock_retry(sim, s);
}

void tti_sim_dgram_drop_inbox(struct tti_sim_sock *s)
{
	struct tti_list *n;

	while ((n = tti_list_pop_front(&s->inbox)) != NULL)
		tti_env_real.free(TTI_CONTAINER_OF(n, struct datagram, link));
	s->inbox_bytes = 0;
}

/* ---- sending ---- */

static void launch(struct tti_sim *sim, const struct datagram *d, int64_t at)
{
	struct datagram *copy = tti_sim_zalloc(sizeof(*d) + d->len);

	memcpy(copy, d, sizeof(*d) + d->len);
	copy->event = (struct tti_sim_event){ 0 };
	tti_list_init(&copy->link);
	tti_sim_at(sim, &copy->event, at, arrives);
}

/* The way of one datagram, with what may happen to it there. */
static void transmit(struct tti_sim *sim, struct tti_sim_sock *s, const struct datagram *d)
{
	int64_t at = sim->now + tti_sim_latency(sim, false);

	if (tti_sim_is_hole(&d->to) || tti_sim_fault(sim, TT_FAULT_UDP_LOSS))
		return;
	if (tti_sim_fault(sim, TT_FAULT_UDP_DUPLICATE))
		launch(sim, d, at + (int64_t)tti_sim_roll(sim, (uint64_t)OVERTAKEN_MAX));
	if (tti_sim_fault(sim, TT_FAULT_UDP_REORDER)) {
		launch(sim, d, at + (int64_t)tti_sim_roll(sim, (uint64_t)OVERTAKEN_MAX));
		return;
	}
	s->last_at = at > s->last_at ? at : s->last_at;
	launch(sim, d, s->last_at);
}

static int destination(const struct tti_sim_sock *s, const struct msghdr *m, struct tti_sim_addr *ret)
{
	struct tti_sim_addr a;
	int rc;

	if (m->msg_name == NULL) {
		*ret = tti_sim_addr_as(&s->remote, AF_INET);
		return s->remote.len != 0 ? 0 : -EDESTADDRREQ;
	}
	rc = tti_sim_addr_copy(&a, s->family, m->msg_name, m->msg_namelen);
	if (rc < 0)
		return rc;
	*ret = tti_sim_addr_as(&a, AF_INET);
	if (s->v6_only && ret->u.any.sa_family == AF_INET)
		return -ENETUNREACH;
	return tti_sim_port(ret) != 0 ? 0 : -EINVAL;
}

/* Every address is this host's: the sender's is the one it sends to. */
static struct tti_sim_addr source(const struct tti_sim_sock *s, const struct tti_sim_addr *to)
{
	struct tti_sim_addr from = is_any(&s->local) ? *to : tti_sim_addr_as(&s->local, AF_INET);

	if (from.u.any.sa_family == AF_INET)
		((struct sockaddr_in *)(void *)&from.u)->sin_port = htons(tti_sim_port(&s->local));
	else
		((struct sockaddr_in6 *)(void *)&from.u)->sin6_port = htons(tti_sim_port(&s->local));
	return from;
}

static int take_error(struct tti_sim_sock *s)
{
	int error = s->error;

	s->error = 0;
	return error;
}

static int may_send(struct tti_sim *sim, struct tti_sim_sock *s, const struct msghdr *m, struct tti_sim_addr *ret_to)
{
	size_t len = m->msg_iov->iov_len;
	int rc = take_error(s);

	if (rc == 0 && s->write_shut)
		rc = -EPIPE;
	if (rc == 0)
		rc = destination(s, m, ret_to);
	if (rc == 0 && len > (ret_to->u.any.sa_family == AF_INET ? PAYLOAD_MAX4 : PAYLOAD_MAX6))
		rc = -EMSGSIZE;
	if (rc == 0 && s->local.len == 0)
		rc = tti_sim_autobind(sim, s, NULL);
	return rc;
}

long tti_sim_dgram_send(struct tti_sim *sim, struct tti_sim_sock *s, const struct msghdr *m)
{
	size_t len = m->msg_iov->iov_len;
	struct tti_sim_addr to;
	struct datagram *d;
	int rc = may_send(sim, s, m, &to);

	if (rc < 0)
		return rc;
	d = tti_sim_zalloc(sizeof(*d) + len);
	d->to = to;
	d->from = source(s, &to);
	d->len = len;
	if (len > 0)
		memcpy(d->bytes, m->msg_iov->iov_base, len);
	transmit(sim, s, d);
	tti_env_real.free(d);
	return (long)len;
}

/* ---- receiving ---- */

/* In the words of the receiver's family. */
static void put_sender(const struct tti_sim_sock *s, const struct datagram *d, struct msghdr *m)
{
	struct tti_sim_addr from = tti_sim_addr_as(&d->from, s->family);

	if (m->msg_name != NULL)
		memcpy(m->msg_name, &from.u, m->msg_namelen < from.len ? m->msg_namelen : from.len);
	m->msg_namelen = from.len;
}

long tti_sim_dgram_recv(struct tti_sim *sim, struct tti_sim_sock *s, struct msghdr *m, unsigned flags)
{
	struct tti_list *first = tti_list_first(&s->inbox);
	size_t room = m->msg_iov->iov_len, n;
	struct datagram *d;
	long rc;

	(void)sim;
	if (s->error != 0)
		return take_error(s);
	if (first == NULL)
		return s->read_shut ? 0 : -EAGAIN;
	d = TTI_CONTAINER_OF(first, struct datagram, link);
	n = d->len < room ? d->len : room;
	if (n > 0)
		memcpy(m->msg_iov->iov_base, d->bytes, n);
	m->msg_flags = d->len > room ? MSG_TRUNC : 0;
	m->msg_controllen = 0;
	put_sender(s, d, m);
	rc = (long)(flags & MSG_TRUNC ? d->len : n);
	s->inbox_bytes -= d->len + sizeof(*d);
	tti_list_unlink(&d->link);
	tti_env_real.free(d);
	return rc;
}

/* ---- the rest ---- */

int tti_sim_dgram_connect(struct tti_sim *sim, struct tti_sim_sock *s, const void *addr, size_t len)
{
	struct tti_sim_addr to;
	int rc = tti_sim_addr_copy(&to, s->family, addr, len);

	if (rc == 0 && s->local.len == 0)
		rc = tti_sim_autobind(sim, s, &to);
	if (rc == 0)
		s->remote = to;
	return rc;
}

int tti_sim_dgram_shutdown(struct tti_sim *sim, struct tti_sim_sock *s, int how)
{
	/* As Linux does it: one that is not connected is shut all the same. */
	s->read_shut = s->read_shut || how != SHUT_WR;
	s->write_shut = s->write_shut || how != SHUT_RD;
	tti_sim_sock_retry(sim, s);
	return s->remote.len != 0 ? 0 : -ENOTCONN;
}

unsigned tti_sim_dgram_ready(const struct tti_sim_sock *s)
{
	unsigned ready = POLLOUT;

	if (!tti_list_empty(&s->inbox) || s->read_shut || s->error != 0)
		ready |= POLLIN;
	return s->error != 0 ? ready | POLLERR : ready;
}

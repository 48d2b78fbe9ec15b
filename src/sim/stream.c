/* SPDX-License-Identifier: MIT */
/*
 * stream.c - a connection: two directions of bytes, with the latency, the resets and the
 * silences that lie between.
 *
 * As Linux does it  Bytes that had arrived before a reset are read first, then the error,
 * once, then the end. A close with unread bytes, and bytes that reach a closed end, give
 * the other side a reset. A first write after the peer closed succeeds.
 * Half-open         Nothing gets through any more and nobody is told; a sender gives up
 * after 924 s (tcp_retries2), a reader never does.
 */
#include "sim/net.h"

#include <poll.h>
#include <string.h>

#include "base/panic.h"
#include "base/sometimes.h"

#define BUFFER_DEFAULT (64u * 1024)
#define BUFFER_SMALL_MAX 512u
#define GIVE_UP TT_SEC(924)

enum segment_kind { SEGMENT_DATA, SEGMENT_FIN, SEGMENT_RESET, SEGMENT_WINDOW, SEGMENT_TIMEOUT };

struct segment {
	struct tti_sim_event event;          /* first */
	struct tti_sim_end *to;
	uint64_t upto;
	enum segment_kind kind;
};

int64_t tti_sim_latency(struct tti_sim *sim, bool local)
{
	int64_t t = (int64_t)tti_sim_roll(sim, 10000);

	if (local)
		return 0;
	if (tti_sim_fault(sim, TT_FAULT_LATENCY))
		t += (int64_t)tti_sim_roll(sim, (uint64_t)sim->faults.latency_max);
	if (tti_sim_fault(sim, TT_FAULT_JITTER))
		t += 8 * (int64_t)tti_sim_roll(sim, (uint64_t)sim->faults.latency_max);
	return t;
}

static void changed(struct tti_sim *sim, struct tti_sim_end *end)
{
	if (end->sock != NULL)
		tti_sim_sock_retry(sim, end->sock);
}

static struct tti_sim_dir *incoming(struct tti_sim_end *end)
{
	return &tti_sim_peer(end)->out;
}

static void transmit(struct tti_sim *sim, struct tti_sim_end *from, enum segment_kind kind);

/* ---- what arrives ---- */

static void break_end(struct tti_sim *sim, struct tti_sim_end *end, int error)
{
	if (end->dead || end->closed)
		return;
	end->dead = true;
	end->error = error;
	changed(sim, end);
}

static void receive(struct tti_sim *sim, struct tti_sim_end *to, enum segment_kind kind, uint64_t upto)
{
	struct tti_sim_dir *in = incoming(to);

	switch (kind) {
	case SEGMENT_DATA:
		if (to->dead)
			break;
		if (to->closed || to->read_shut) {
			in->arrived = in->consumed = upto;
			if (to->closed)
				transmit(sim, to, SEGMENT_RESET);
			break;
		}
		in->arrived = upto;
		changed(sim, to);
		break;
	case SEGMENT_FIN:
		in->fin_arrived = true;
		changed(sim, to);
		break;
	case SEGMENT_RESET:
		break_end(sim, to, in->fin_arrived ? -EPIPE : -ECONNRESET);
		break;
	case SEGMENT_WINDOW:
		changed(sim, to);
		break;
	case SEGMENT_TIMEOUT:
		break_end(sim, to, -ETIMEDOUT);
		break;
	}
}

static void maybe_free(struct tti_sim *sim, struct tti_sim_conn *c)
{
	if (c->ends[0].closed && c->ends[1].closed && c->in_flight == 0)
		tti_sim_conn_free(sim, c);
}

static void segment_arrives(struct tti_sim *sim, struct tti_sim_event *e)
{
	struct segment *s = TTI_CONTAINER_OF(e, struct segment, event);
	struct tti_sim_conn *c = s->to->conn;

	/* What was already on its way when the wire went silent is lost as well. */
	if (!c->black_hole || s->kind == SEGMENT_TIMEOUT)
		receive(sim, s->to, s->kind, s->upto);
	tti_env_real.free(s);
	c->in_flight--;
	maybe_free(sim, c);
}

/* ---- what is sent ---- */

static void schedule(struct tti_sim *sim, struct tti_sim_end *to, enum segment_kind kind, uint64_t upto, int64_t at)
{
	struct segment *s = tti_sim_zalloc(sizeof(*s));

	s->to = to;
	s->kind = kind;
	s->upto = upto;
	to->conn->in_flight++;
	tti_sim_at(sim, &s->event, at, segment_arrives);
}

static void lost(struct tti_sim *sim, struct tti_sim_end *from, enum segment_kind kind)
{
	if (from->timeout_armed || from->closed || (kind != SEGMENT_DATA && kind != SEGMENT_FIN))
		return;
	from->timeout_armed = true;
	schedule(sim, from, SEGMENT_TIMEOUT, 0, sim->now + GIVE_UP);
}

static void transmit(struct tti_sim *sim, struct tti_sim_end *from, enum segment_kind kind)
{
	struct tti_sim_end *to = tti_sim_peer(from);
	struct tti_sim_dir *out = &from->out;
	int64_t at;

	if (from->conn->local) {
		receive(sim, to, kind, out->written);
		return;
	}
	if (from->conn->black_hole) {
		lost(sim, from, kind);
		return;
	}
	at = sim->now + tti_sim_latency(sim, false);
	if (kind != SEGMENT_WINDOW) {
		if (at < out->last_at)
			at = out->last_at;
		out->last_at = at;
	}
	schedule(sim, to, kind, out->written, at);
}

/* ---- a connection's life ---- */

static void connection_breaks(struct tti_sim *sim, struct tti_sim_event *e)
{
	struct tti_sim_conn *c = TTI_CONTAINER_OF(e, struct tti_sim_conn, trouble);

	/* A middlebox forgot it: each side hears of it, the later the longer its way. */
	transmit(sim, &c->ends[0], SEGMENT_RESET);
	transmit(sim, &c->ends[1], SEGMENT_RESET);
}

static void connection_vanishes(struct tti_sim *sim, struct tti_sim_event *e)
{
	struct tti_sim_conn *c = TTI_CONTAINER_OF(e, struct tti_sim_conn, trouble);

	(void)sim;
	c->black_hole = true;
	TTI_SOMETIMES(c->in_flight > 0, "a connection vanishes with bytes on their way");
}

static void plan_trouble(struct tti_sim *sim, struct tti_sim_conn *c)
{
	if (tti_sim_fault(sim, TT_FAULT_RESET))
		tti_sim_at(sim, &c->trouble, sim->now + (int64_t)tti_sim_roll(sim, (uint64_t)TT_MS(200)), connection_breaks);
	else if (tti_sim_fault(sim, TT_FAULT_HALF_OPEN))
		tti_sim_at(sim, &c->trouble, sim->now + (int64_t)tti_sim_roll(sim, (uint64_t)TT_MS(200)), connection_vanishes);
}

struct tti_sim_conn *tti_sim_conn_new(struct tti_sim *sim, bool local, uint32_t buffer)
{
	struct tti_sim_conn *c = tti_sim_zalloc(sizeof(*c));
	uint32_t cap = buffer != 0 ? buffer : BUFFER_DEFAULT;

	if (tti_sim_fault(sim, TT_FAULT_SMALL_BUFFERS))
		cap = 1 + (uint32_t)tti_sim_roll(sim, BUFFER_SMALL_MAX);
	c->local = local;
	for (uint8_t i = 0; i < 2; i++) {
		c->ends[i].conn = c;
		c->ends[i].side = i;
		c->ends[i].out.cap = cap;
		tti_list_init(&c->ends[i].queue_link);
		tti_list_init(&c->ends[i].out.rights);
	}
	tti_list_push_back(&sim->net.conns, &c->link);
	if (!local)
		plan_trouble(sim, c);
	return c;
}

void tti_sim_conn_free(struct tti_sim *sim, struct tti_sim_conn *c)
{
	tti_sim_unschedule(sim, &c->trouble);
	tti_sim_end_drop_rights(sim, &c->ends[0]);
	tti_sim_end_drop_rights(sim, &c->ends[1]);
	tti_list_unlink(&c->link);
	tti_env_real.free(c->ends[0].out.ring);
	tti_env_real.free(c->ends[1].out.ring);
	tti_env_real.free(c);
}

static void send_fin(struct tti_sim *sim, struct tti_sim_end *end)
{
	if (end->out.fin_sent || end->dead)
		return;
	end->out.fin_sent = true;
	transmit(sim, end, SEGMENT_FIN);
}

void tti_sim_end_close(struct tti_sim *sim, struct tti_sim_end *end, bool reset)
{
	struct tti_sim_dir *in = incoming(end);
	struct tti_sim_conn *c = end->conn;

	if (end->closed)
		return;
	end->sock = NULL;
	if (!end->dead) {
		if (reset || (in->arrived > in->consumed && !c->pipe))
			transmit(sim, end, SEGMENT_RESET);
		else
			send_fin(sim, end);
	}
	end->closed = true;
	in->consumed = in->arrived;
	/* What nobody took may hold the other end of this very connection, which then closes too. */
	c->in_flight++;
	tti_sim_end_drop_rights(sim, tti_sim_peer(end));
	c->in_flight--;
	/* On a wire the other side learns of it when a segment arrives. */
	if (c->local)
		changed(sim, tti_sim_peer(end));
	maybe_free(sim, c);
}

int tti_sim_end_shutdown(struct tti_sim *sim, struct tti_sim_end *end, int how)
{
	if (end->dead)
		return -ENOTCONN;
	if (how == SHUT_RD || how == SHUT_RDWR)
		end->read_shut = true;
	if (how == SHUT_WR || how == SHUT_RDWR) {
		end->write_shut = true;
		send_fin(sim, end);
	}
	changed(sim, end);
	return 0;
}

/* ---- descriptors on their way ---- */

void tti_sim_rights_drop(struct tti_sim *sim, struct tti_sim_rights *rights)
{
	tti_list_unlink(&rights->link);
	for (unsigned i = 0; i < rights->n; i++)
		tti_sim_sock_put(sim, rights->socks[i]);
	tti_env_real.free(rights);
}

/* Those that this end wrote and nobody read. */
void tti_sim_end_drop_rights(struct tti_sim *sim, struct tti_sim_end *end)
{
	struct tti_list *n;

	while ((n = tti_list_first(&end->out.rights)) != NULL)
		tti_sim_rights_drop(sim, TTI_CONTAINER_OF(n, struct tti_sim_rights, link));
}

/* How far a read may go, and what it then takes off. */
static uint64_t read_bound(struct tti_sim_dir *in, struct tti_sim_rights **ret_rights)
{
	struct tti_list *n = tti_list_first(&in->rights);
	struct tti_sim_rights *r = n != NULL ? TTI_CONTAINER_OF(n, struct tti_sim_rights, link) : NULL;

	*ret_rights = NULL;
	if (r == NULL)
		return UINT64_MAX;
	if (r->at > in->consumed)
		return r->at - in->consumed;
	*ret_rights = r;
	return r->upto - in->consumed;
}

/* ---- bytes ---- */

static void copy_out(struct tti_sim_dir *d, unsigned char *to, size_t n)
{
	size_t at = (size_t)(d->consumed % d->cap), first = n < d->cap - at ? n : d->cap - at;

	memcpy(to, d->ring + at, first);
	memcpy(to + first, d->ring, n - first);
	d->consumed += n;
}

static void copy_in(struct tti_sim_dir *d, const unsigned char *from, size_t n)
{
	size_t at = (size_t)(d->written % d->cap), first = n < d->cap - at ? n : d->cap - at;

	if (d->ring == NULL)
		d->ring = tti_sim_zalloc(d->cap);
	memcpy(d->ring + at, from, first);
	memcpy(d->ring, from + first, n - first);
	d->written += n;
}

static int take_error(struct tti_sim_end *end)
{
	int error = end->error;

	end->error = 0;
	return error;
}

long tti_sim_end_read_rights(struct tti_sim *sim, struct tti_sim_end *end, void *buf, size_t n,
                             struct tti_sim_rights **ret_rights)
{
	struct tti_sim_dir *in = incoming(end);
	uint64_t there = in->arrived - in->consumed, bound;

	*ret_rights = NULL;
	if (n == 0)
		return 0;
	if (there > 0 && !end->read_shut) {
		bound = read_bound(in, ret_rights);
		there = there < bound ? there : bound;
		n = n < there ? n : (size_t)there;
		if (n > 1 && tti_sim_fault(sim, TT_FAULT_PARTIAL_READ))
			n = 1 + (size_t)tti_sim_roll(sim, n - 1);
		copy_out(in, buf, n);
		if (*ret_rights != NULL)
			tti_list_unlink(&(*ret_rights)->link);
		/* The writer hears of the room when the acknowledgement arrives. */
		transmit(sim, end, SEGMENT_WINDOW);
		return (long)n;
	}
	if (end->error != 0)
		return take_error(end);
	if (in->fin_arrived || end->read_shut || end->dead)
		return 0;
	return -EAGAIN;
}

long tti_sim_end_read(struct tti_sim *sim, struct tti_sim_end *end, void *buf, size_t n)
{
	struct tti_sim_rights *rights;
	long rc = tti_sim_end_read_rights(sim, end, buf, n, &rights);

	/* As Linux does it: who does not ask for descriptors has them closed. */
	if (rights != NULL)
		tti_sim_rights_drop(sim, rights);
	return rc;
}

long tti_sim_end_write(struct tti_sim *sim, struct tti_sim_end *end, const void *buf, size_t n)
{
	return tti_sim_end_write_rights(sim, end, buf, n, NULL);
}

long tti_sim_end_write_rights(struct tti_sim *sim, struct tti_sim_end *end, const void *buf, size_t n,
                              struct tti_sim_rights *rights)
{
	struct tti_sim_dir *out = &end->out;
	uint64_t room = out->cap - (out->written - out->consumed);

	if (end->error != 0)
		return take_error(end);
	if (end->write_shut || end->dead)
		return -EPIPE;
	if (end->conn->local && tti_sim_peer(end)->closed)
		return -EPIPE;
	if (n == 0)
		return 0;
	if (room == 0)
		return -EAGAIN;
	n = n < room ? n : (size_t)room;
	if (n > 1 && tti_sim_fault(sim, TT_FAULT_PARTIAL_WRITE))
		n = 1 + (size_t)tti_sim_roll(sim, n - 1);
	if (rights != NULL) {
		rights->at = out->written;
		rights->upto = out->written + n;
		tti_list_push_back(&out->rights, &rights->link);
	}
	copy_in(out, buf, n);
	transmit(sim, end, SEGMENT_DATA);
	return (long)n;
}

unsigned tti_sim_end_ready(struct tti_sim_end *end)
{
	struct tti_sim_dir *in = incoming(end), *out = &end->out;
	bool peer_gone = end->conn->local && tti_sim_peer(end)->closed;
	unsigned ready = 0;

	if (in->arrived > in->consumed || in->fin_arrived || end->read_shut)
		ready |= POLLIN;
	if (out->written - out->consumed < out->cap || end->write_shut || peer_gone)
		ready |= POLLOUT;
	if (end->dead)
		ready |= POLLIN | POLLOUT | POLLHUP;
	if (end->error != 0)
		ready |= POLLERR;
	return ready;
}

/* SPDX-License-Identifier: MIT */
/*
 * net.c - the descriptors, ports, names and handshakes of the simulated host. One host:
 * every address is its own. Called by driver.c.
 *
 * As Linux does it  The lowest free number is the next descriptor. A full backlog drops
 * the connect, which is tried again after 1, 2, 4 s, ... and gives up. A Unix connect to a
 * full backlog waits for room.
 * Names       localhost, and every name that ends in .sim; others are not found. dual.x.sim
 *             has an address of each family. A first label of the form (a4|a6|h4|h6)+ spells
 *             the addresses out: a4 and a6 are this host's, h4 and h6 are black holes.
 * Holes       192.0.2.0/24 and 2001:db8::/32 never answer.
 */
#include "sim/net.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/panic.h"
#include "base/sometimes.h"

#define FIRST_FD 3
#define FIRST_PORT 32768u
#define LAST_PORT 60999u
#define CONNECT_TRIES 6
#define CONNECT_GIVES_UP TT_SEC(127)
#define ACCEPT_BURST_MAX 5

struct path {
	struct tti_list link;
	struct sockaddr_un un;
	uint32_t len;
};

/* ---- descriptors ---- */

struct tti_sim_sock *tti_sim_sock(const struct tti_sim *sim, int fd)
{
	return fd >= 0 && (size_t)fd < sim->net.fd_room ? sim->net.by_fd[fd] : NULL;
}

bool tti_sim_fd_is_open(const struct tti_sim *sim, int fd)
{
	return tti_sim_sock(sim, fd) != NULL;
}

static void grow_table(struct tti_sim_net *net)
{
	size_t room = net->fd_room > 0 ? 2 * net->fd_room : 64;
	struct tti_sim_sock **table = tti_sim_zalloc(room * sizeof(*table));

	if (net->by_fd != NULL)
		memcpy(table, net->by_fd, net->fd_room * sizeof(*table));
	tti_env_real.free(net->by_fd);
	net->by_fd = table;
	net->fd_room = room;
}

static int lowest_free(struct tti_sim_net *net)
{
	size_t fd = FIRST_FD;

	while (fd < net->fd_room && net->by_fd[fd] != NULL)
		fd++;
	if (fd >= net->fd_limit)
		return -EMFILE;
	if (fd >= net->fd_room)
		grow_table(net);
	return (int)fd;
}

/* A socket under the next number, or -EMFILE. */
static int sock_new(struct tti_sim *sim, int family, enum tti_sock_kind kind, struct tti_sim_sock **ret)
{
	struct tti_sim_net *net = &sim->net;
	int fd = lowest_free(net);
	struct tti_sim_sock *s;

	if (fd < 0)
		return fd;
	s = tti_sim_zalloc(sizeof(*s));
	s->fd = fd;
	s->refs = 1;
	s->family = family;
	s->kind = kind;
	tti_list_init(&s->backlog);
	tti_list_init(&s->inbox);
	tti_list_init(&s->waiting);
	tti_list_push_back(&net->socks, &s->link);
	net->by_fd[fd] = s;
	net->open_fds++;
	*ret = s;
	return fd;
}

int tti_sim_sock_number(struct tti_sim *sim, struct tti_sim_sock *s)
{
	int fd = lowest_free(&sim->net);

	if (fd < 0)
		return fd;
	s->refs++;
	sim->net.by_fd[fd] = s;
	sim->net.open_fds++;
	return fd;
}

void tti_sim_sock_hold(struct tti_sim_sock *s)
{
	s->refs++;
}

static void sock_free(struct tti_sim *sim, struct tti_sim_sock *s)
{
	tti_sim_unschedule(sim, &s->event);
	tti_list_unlink(&s->link);
	tti_env_real.free(s);
}

static void sock_attach(struct tti_sim_sock *s, struct tti_sim_end *end)
{
	s->kind = TTI_SOCK_STREAM;
	s->end = end;
	s->local = end->local;
	s->remote = end->remote;
	end->sock = s;
}

int tti_sim_socket(struct tti_sim *sim, int family, int type)
{
	struct tti_sim_sock *s;

	if (family != AF_INET && family != AF_INET6 && family != AF_UNIX)
		return -EAFNOSUPPORT;
	if ((type & 0xf) == SOCK_DGRAM && family != AF_UNIX)
		return sock_new(sim, family, TTI_SOCK_DATAGRAM, &s);
	if ((type & 0xf) != SOCK_STREAM)
		return -ESOCKTNOSUPPORT;
	return sock_new(sim, family, TTI_SOCK_FRESH, &s);
}

int tti_sim_pair(struct tti_sim *sim, int ret_fds[2])
{
	struct tti_sim_sock *a, *b;
	struct tti_sim_conn *c;
	int first, second;

	first = sock_new(sim, AF_UNIX, TTI_SOCK_FRESH, &a);
	if (first < 0)
		return first;
	second = sock_new(sim, AF_UNIX, TTI_SOCK_FRESH, &b);
	if (second < 0) {
		tti_sim_close(sim, first);
		return second;
	}
	c = tti_sim_conn_new(sim, true, 0);
	c->ends[0].local.len = c->ends[0].remote.len = sizeof(sa_family_t);
	c->ends[0].local.u.any.sa_family = c->ends[0].remote.u.any.sa_family = AF_UNIX;
	c->ends[1].local = c->ends[1].remote = c->ends[0].local;
	sock_attach(a, &c->ends[0]);
	sock_attach(b, &c->ends[1]);
	ret_fds[0] = first;
	ret_fds[1] = second;
	return 0;
}

int tti_sim_pipe(struct tti_sim *sim, int ret_fds[2])
{
	int rc = tti_sim_pair(sim, ret_fds);

	if (rc == 0)
		tti_sim_sock(sim, ret_fds[0])->end->conn->pipe = true;
	return rc;
}

int tti_sim_event_open(struct tti_sim *sim)
{
	struct tti_sim_sock *s;

	return sock_new(sim, AF_UNSPEC, TTI_SOCK_EVENT, &s);
}

void tti_sim_event_set(struct tti_sim *sim, struct tti_sim_sock *s)
{
	s->set = true;
	tti_sim_sock_retry(sim, s);
}

/* ---- addresses ---- */

uint16_t tti_sim_port(const struct tti_sim_addr *a)
{
	if (a->u.any.sa_family == AF_INET)
		return ntohs(((const struct sockaddr_in *)(const void *)&a->u)->sin_port);
	return ntohs(((const struct sockaddr_in6 *)(const void *)&a->u)->sin6_port);
}

static void set_port(struct tti_sim_addr *a, uint16_t port)
{
	if (a->u.any.sa_family == AF_INET)
		((struct sockaddr_in *)(void *)&a->u)->sin_port = htons(port);
	else
		((struct sockaddr_in6 *)(void *)&a->u)->sin6_port = htons(port);
}

static bool is_any(const struct tti_sim_addr *a)
{
	static const struct in6_addr any6;

	if (a->u.any.sa_family == AF_INET)
		return ((const struct sockaddr_in *)(const void *)&a->u)->sin_addr.s_addr == 0;
	return memcmp(&((const struct sockaddr_in6 *)(const void *)&a->u)->sin6_addr, &any6, sizeof(any6)) == 0;
}

static bool same_host(const struct tti_sim_addr *a, const struct tti_sim_addr *b)
{
	if (a->u.any.sa_family != b->u.any.sa_family)
		return false;
	if (a->u.any.sa_family == AF_INET)
		return ((const struct sockaddr_in *)(const void *)&a->u)->sin_addr.s_addr ==
		       ((const struct sockaddr_in *)(const void *)&b->u)->sin_addr.s_addr;
	return memcmp(&((const struct sockaddr_in6 *)(const void *)&a->u)->sin6_addr,
	              &((const struct sockaddr_in6 *)(const void *)&b->u)->sin6_addr, sizeof(struct in6_addr)) == 0;
}

static bool same_path(const struct tti_sim_addr *a, const struct tti_sim_addr *b)
{
	return a->len == b->len && memcmp(&a->u, &b->u, a->len) == 0;
}

/* A wildcard of IPv6 that stands for IPv4 as well. */
static bool is_dual(const struct tti_sim_sock *s)
{
	return s->family == AF_INET6 && !s->v6_only && is_any(&s->local);
}

bool tti_sim_takes(const struct tti_sim_sock *s, const struct tti_sim_addr *b)
{
	const struct tti_sim_addr *a = &s->local;

	if (a->u.any.sa_family == AF_UNIX)
		return same_path(a, b);
	if (b->u.any.sa_family == AF_UNIX || tti_sim_port(a) != tti_sim_port(b))
		return false;
	if (b->u.any.sa_family == AF_INET && is_dual(s))
		return true;
	return a->u.any.sa_family == b->u.any.sa_family && (is_any(a) || same_host(a, b));
}

/* ::ffff:a.b.c.d, as a socket of IPv6 sees a peer of IPv4. */
static struct tti_sim_addr mapped(const struct tti_sim_addr *a)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)&a->u;
	struct tti_sim_addr m = { .len = sizeof(struct sockaddr_in6) };
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)&m.u;

	in6->sin6_family = AF_INET6;
	in6->sin6_port = in->sin_port;
	in6->sin6_addr.s6_addr[10] = in6->sin6_addr.s6_addr[11] = 0xff;
	memcpy(&in6->sin6_addr.s6_addr[12], &in->sin_addr, 4);
	return m;
}

static struct tti_sim_addr unmapped(const struct tti_sim_addr *a)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)&a->u;
	struct tti_sim_addr u = { .len = sizeof(struct sockaddr_in) };
	struct sockaddr_in *in = (struct sockaddr_in *)(void *)&u.u;

	if (!IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
		return *a;
	in->sin_family = AF_INET;
	in->sin_port = in6->sin6_port;
	memcpy(&in->sin_addr, &in6->sin6_addr.s6_addr[12], 4);
	return u;
}

struct tti_sim_addr tti_sim_addr_as(const struct tti_sim_addr *a, int family)
{
	if (family == AF_INET6 && a->u.any.sa_family == AF_INET)
		return mapped(a);
	return family == AF_INET && a->u.any.sa_family == AF_INET6 ? unmapped(a) : *a;
}

bool tti_sim_same_peer(const struct tti_sim_addr *a, const struct tti_sim_addr *b)
{
	return tti_sim_port(a) == tti_sim_port(b) && same_host(a, b);
}

bool tti_sim_is_hole(const struct tti_sim_addr *a)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)&a->u;
	const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)&a->u;

	if (a->u.any.sa_family == AF_INET)
		return ntohl(in->sin_addr.s_addr) >> 8 == 0xc00002;
	return a->u.any.sa_family == AF_INET6 && memcmp(&in6->sin6_addr, "\x20\x01\x0d\xb8", 4) == 0;
}

int tti_sim_addr_copy(struct tti_sim_addr *to, int family, const void *addr, size_t len)
{
	memset(to, 0, sizeof(*to));
	if (len < sizeof(sa_family_t) || len > sizeof(to->u.room))
		return -EINVAL;
	memcpy(&to->u, addr, len);
	to->len = (uint32_t)len;
	if (to->u.any.sa_family != family)
		return -EAFNOSUPPORT;
	if (family == AF_INET && len < sizeof(struct sockaddr_in))
		return -EINVAL;
	if (family == AF_INET6 && len < sizeof(struct sockaddr_in6))
		return -EINVAL;
	return 0;
}

/* Whether s at address a and o could be meant by the same connect. */
static bool overlaps(const struct tti_sim_sock *s, const struct tti_sim_addr *a, const struct tti_sim_sock *o)
{
	bool dual = s->family == AF_INET6 && !s->v6_only && is_any(a);

	if (o->family != s->family)
		return dual || is_dual(o);
	return is_any(&o->local) || is_any(a) || same_host(&o->local, a);
}

static bool port_is_free(const struct tti_sim *sim, const struct tti_sim_sock *s, const struct tti_sim_addr *a)
{
	TTI_LIST_FOR_EACH (n, &sim->net.socks) {
		const struct tti_sim_sock *o = TTI_CONTAINER_OF(n, struct tti_sim_sock, link);

		if (o == s || o->local.len == 0 || o->family == AF_UNIX || tti_sim_port(&o->local) != tti_sim_port(a))
			continue;
		/* The ports of TCP and those of UDP are not the same. */
		if ((o->kind == TTI_SOCK_DATAGRAM) != (s->kind == TTI_SOCK_DATAGRAM))
			continue;
		if (!overlaps(s, a, o))
			continue;
		if (o->reuse_port && s->reuse_port)
			continue;
		/* An accepted connection shares its listener's port and stands in nobody's way;
		 * SO_REUSEADDR lets a new listener pass all but another listener. */
		if (s->reuse_addr && (o->reuse_addr || o->kind == TTI_SOCK_STREAM) && o->kind != TTI_SOCK_LISTENER)
			continue;
		return false;
	}
	return true;
}

static int ephemeral(struct tti_sim *sim, const struct tti_sim_sock *s, struct tti_sim_addr *a)
{
	for (unsigned i = FIRST_PORT; i <= LAST_PORT; i++) {
		sim->net.next_port = (uint16_t)(sim->net.next_port < LAST_PORT ? sim->net.next_port + 1u : FIRST_PORT);
		set_port(a, sim->net.next_port);
		if (port_is_free(sim, s, a))
			return 0;
	}
	return -EADDRINUSE;
}

int tti_sim_autobind(struct tti_sim *sim, struct tti_sim_sock *s, const struct tti_sim_addr *to)
{
	struct tti_sim_addr a = { .len = s->family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6) };
	int rc;

	a.u.any.sa_family = (sa_family_t)s->family;
	if (to != NULL)
		a = *to;
	rc = ephemeral(sim, s, &a);
	if (rc == 0)
		s->local = a;
	return rc == 0 ? 0 : -EADDRNOTAVAIL;
}

/* ---- paths of Unix sockets ---- */

static struct path *path_find(struct tti_sim *sim, const struct sockaddr_un *un, uint32_t len)
{
	TTI_LIST_FOR_EACH (n, &sim->net.paths) {
		struct path *p = TTI_CONTAINER_OF(n, struct path, link);

		if (p->len == len && memcmp(&p->un, un, len) == 0)
			return p;
	}
	return NULL;
}

static int path_bind(struct tti_sim *sim, const struct tti_sim_addr *a)
{
	struct path *p;

	if (path_find(sim, &a->u.un, a->len) != NULL)
		return -EADDRINUSE;
	p = tti_sim_zalloc(sizeof(*p));
	memcpy(&p->un, &a->u.un, a->len);
	p->len = a->len;
	tti_list_push_back(&sim->net.paths, &p->link);
	return 0;
}

static void path_drop(struct path *p)
{
	tti_list_unlink(&p->link);
	tti_env_real.free(p);
}

static bool is_abstract(const struct tti_sim_addr *a)
{
	return a->len > sizeof(sa_family_t) && a->u.un.sun_path[0] == '\0';
}

int tti_sim_unlink(struct tti_sim *sim, const char *path)
{
	TTI_LIST_FOR_EACH (n, &sim->net.paths) {
		struct path *p = TTI_CONTAINER_OF(n, struct path, link);

		if (strncmp(p->un.sun_path, path, sizeof(p->un.sun_path)) == 0) {
			path_drop(p);
			return 0;
		}
	}
	return -ENOENT;
}

/* ---- direct calls ---- */

int tti_sim_bind(struct tti_sim *sim, int fd, const void *addr, uint32_t len)
{
	struct tti_sim_sock *s = tti_sim_sock(sim, fd);
	struct tti_sim_addr a;
	int rc;

	if (s == NULL)
		return -EBADF;
	if (s->local.len != 0)
		return -EINVAL;
	rc = tti_sim_addr_copy(&a, s->family, addr, len);
	if (rc < 0)
		return rc;
	if (s->family == AF_UNIX)
		rc = path_bind(sim, &a);
	else if (tti_sim_port(&a) == 0)
		rc = ephemeral(sim, s, &a);
	else
		rc = port_is_free(sim, s, &a) ? 0 : -EADDRINUSE;
	if (rc == 0)
		s->local = a;
	return rc;
}

int tti_sim_listen(struct tti_sim *sim, int fd, int backlog)
{
	struct tti_sim_sock *s = tti_sim_sock(sim, fd);

	if (s == NULL)
		return -EBADF;
	if (s->kind != TTI_SOCK_FRESH && s->kind != TTI_SOCK_LISTENER)
		return -EINVAL;
	if (s->local.len == 0)
		return s->family == AF_UNIX ? -EINVAL : -EDESTADDRREQ;
	TTI_LIST_FOR_EACH (n, &sim->net.socks) {
		const struct tti_sim_sock *o = TTI_CONTAINER_OF(n, struct tti_sim_sock, link);

		if (o != s && o->kind == TTI_SOCK_LISTENER && s->family != AF_UNIX && o->family != AF_UNIX &&
		    !(o->reuse_port && s->reuse_port) && tti_sim_port(&o->local) == tti_sim_port(&s->local) && overlaps(s, &s->local, o))
			return -EADDRINUSE;
	}
	s->kind = TTI_SOCK_LISTENER;
	/* Linux keeps one more than asked for. */
	s->queued_max = (backlog > 0 ? (unsigned)backlog : 0) + 1;
	return 0;
}

int tti_sim_name(struct tti_sim *sim, int fd, bool peer, void *addr, uint32_t *len)
{
	const struct tti_sim_sock *s = tti_sim_sock(sim, fd);
	const struct tti_sim_addr *a;

	if (s == NULL)
		return -EBADF;
	if (peer && s->kind != TTI_SOCK_STREAM && (s->kind != TTI_SOCK_DATAGRAM || s->remote.len == 0))
		return -ENOTCONN;
	a = peer ? &s->remote : &s->local;
	if (a->len == 0) {
		struct sockaddr_storage empty = { .ss_family = (sa_family_t)s->family };
		uint32_t whole = s->family == AF_INET ? sizeof(struct sockaddr_in) : s->family == AF_INET6 ?
		                 sizeof(struct sockaddr_in6) : sizeof(sa_family_t);

		memcpy(addr, &empty, *len < whole ? *len : whole);
		*len = whole;
		return 0;
	}
	memcpy(addr, &a->u, *len < a->len ? *len : a->len);
	*len = a->len;
	return 0;
}

static int socket_option(struct tti_sim_sock *s, int option, const void *value, uint32_t len)
{
	int on = 0;

	if (option == SO_LINGER) {
		struct linger l;

		if (len < sizeof(l))
			return -EINVAL;
		memcpy(&l, value, sizeof(l));
		s->linger_reset = l.l_onoff != 0 && l.l_linger == 0;
		return 0;
	}
	if (len < sizeof(on))
		return -EINVAL;
	memcpy(&on, value, sizeof(on));
	switch (option) {
	case SO_REUSEADDR:
		s->reuse_addr = on != 0;
		return 0;
	case SO_REUSEPORT:
		s->reuse_port = on != 0;
		return 0;
	case SO_SNDBUF:
	case SO_RCVBUF:
		/* Linux doubles what is asked and has a floor. */
		s->buffer = on > 1152 ? 2 * (uint32_t)on : 2304;
		return 0;
	case SO_BROADCAST:
	case SO_KEEPALIVE:
	case SO_OOBINLINE:
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

int tti_sim_set_option(struct tti_sim *sim, int fd, int level, int option, const void *value, uint32_t len)
{
	struct tti_sim_sock *s = tti_sim_sock(sim, fd);

	if (s == NULL)
		return -EBADF;
	if (level == SOL_SOCKET)
		return socket_option(s, option, value, len);
	/* Pace, probes and the family's own: nothing here depends on them. */
	if (level == IPPROTO_TCP && s->family != AF_UNIX)
		return 0;
	if (level == IPPROTO_IPV6 && s->family == AF_INET6) {
		int on;

		if (option == IPV6_V6ONLY && len >= sizeof(on)) {
			memcpy(&on, value, sizeof(on));
			s->v6_only = on != 0;
		}
		return 0;
	}
	return -ENOPROTOOPT;
}

int tti_sim_shutdown(struct tti_sim *sim, int fd, int how)
{
	struct tti_sim_sock *s = tti_sim_sock(sim, fd);

	if (s == NULL)
		return -EBADF;
	if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
		return -EINVAL;
	if (s->kind == TTI_SOCK_DATAGRAM)
		return tti_sim_dgram_shutdown(sim, s, how);
	if (s->kind != TTI_SOCK_STREAM)
		return -ENOTCONN;
	return tti_sim_end_shutdown(sim, s->end, how);
}

static void drop_backlog(struct tti_sim *sim, struct tti_sim_sock *s)
{
	struct tti_list *n;

	while ((n = tti_list_pop_front(&s->backlog)) != NULL)
		tti_sim_end_close(sim, TTI_CONTAINER_OF(n, struct tti_sim_end, queue_link), true);
}

/* The last number and the last message that carried it are gone. */
static void sock_end(struct tti_sim *sim, struct tti_sim_sock *s)
{
	struct path *p;

	drop_backlog(sim, s);
	tti_sim_dgram_drop_inbox(s);
	if (s->end != NULL)
		tti_sim_end_close(sim, s->end, s->linger_reset);
	if (s->made != NULL)
		tti_sim_end_close(sim, s->made, true);
	if (s->family == AF_UNIX && s->kind != TTI_SOCK_STREAM && is_abstract(&s->local)) {
		p = path_find(sim, &s->local.u.un, s->local.len);
		if (p != NULL)
			path_drop(p);
	}
	sock_free(sim, s);
}

void tti_sim_sock_put(struct tti_sim *sim, struct tti_sim_sock *s)
{
	if (--s->refs == 0)
		sock_end(sim, s);
}

int tti_sim_close(struct tti_sim *sim, int fd)
{
	struct tti_sim_sock *s = tti_sim_sock(sim, fd);

	if (s == NULL)
		return -EBADF;
	sim->net.by_fd[fd] = NULL;
	sim->net.open_fds--;
	tti_sim_sock_put(sim, s);
	return 0;
}

/* ---- connect ---- */

static struct tti_sim_sock *find_listener(const struct tti_sim *sim, const struct tti_sim_addr *to)
{
	TTI_LIST_FOR_EACH (n, &sim->net.socks) {
		struct tti_sim_sock *s = TTI_CONTAINER_OF(n, struct tti_sim_sock, link);

		if (s->kind == TTI_SOCK_LISTENER && tti_sim_takes(s, to))
			return s;
	}
	return NULL;
}

static void connect_ends(struct tti_sim *sim, struct tti_sim_sock *s, int result)
{
	s->connect_result = result;
	s->connect_done = true;
	if (result == 0) {
		sock_attach(s, s->made);
		s->made = NULL;
	} else {
		s->kind = TTI_SOCK_FRESH;
	}
	tti_sim_sock_retry(sim, s);
}

static void connect_established(struct tti_sim *sim, struct tti_sim_event *e)
{
	connect_ends(sim, TTI_CONTAINER_OF(e, struct tti_sim_sock, event), 0);
}

static void connect_refused(struct tti_sim *sim, struct tti_sim_event *e)
{
	connect_ends(sim, TTI_CONTAINER_OF(e, struct tti_sim_sock, event), -ECONNREFUSED);
}

static void connect_times_out(struct tti_sim *sim, struct tti_sim_event *e)
{
	connect_ends(sim, TTI_CONTAINER_OF(e, struct tti_sim_sock, event), -ETIMEDOUT);
}

/* The other side has taken it: a connection waits in the listener's backlog. */
static void connect_joined(struct tti_sim *sim, struct tti_sim_sock *s, struct tti_sim_sock *listener)
{
	uint32_t buffer = s->buffer != 0 ? s->buffer : listener->buffer;
	struct tti_sim_conn *c = tti_sim_conn_new(sim, s->family == AF_UNIX, buffer);

	/* Who is bound to no name has the name of its family alone. */
	if (s->family == AF_UNIX && s->local.len == 0) {
		s->local.u.any.sa_family = AF_UNIX;
		s->local.len = sizeof(sa_family_t);
	}
	c->ends[0].local = s->local;
	c->ends[0].remote = s->family == AF_UNIX ? listener->local : s->remote;
	c->ends[1].local = tti_sim_addr_as(&c->ends[0].remote, listener->family);
	c->ends[1].remote = tti_sim_addr_as(&c->ends[0].local, listener->family);
	s->made = &c->ends[0];
	tti_list_push_back(&listener->backlog, &c->ends[1].queue_link);
	listener->queued++;
	tti_sim_sock_retry(sim, listener);
}

static void connect_arrives(struct tti_sim *sim, struct tti_sim_event *e)
{
	struct tti_sim_sock *s = TTI_CONTAINER_OF(e, struct tti_sim_sock, event), *listener;

	listener = s->refused ? NULL : find_listener(sim, &s->remote);
	if (listener == NULL) {
		tti_sim_at(sim, &s->event, sim->now + tti_sim_latency(sim, false), connect_refused);
		return;
	}
	if (listener->queued >= listener->queued_max) {
		TTI_SOMETIMES(s->tries < CONNECT_TRIES, "a full backlog drops a request to connect");
		TTI_SOMETIMES(s->tries >= CONNECT_TRIES, "a backlog stays full until a connect times out");
		if (s->tries++ < CONNECT_TRIES)
			tti_sim_at(sim, &s->event, sim->now + (TT_SEC(1) << (s->tries - 1)), connect_arrives);
		else
			tti_sim_at(sim, &s->event, sim->now + (TT_SEC(1) << CONNECT_TRIES), connect_times_out);
		return;
	}
	connect_joined(sim, s, listener);
	tti_sim_at(sim, &s->event, sim->now + tti_sim_latency(sim, false), connect_established);
}

/* A Unix connect takes effect at once, or waits for room in the backlog. */
static long connect_unix(struct tti_sim *sim, struct tti_sim_sock *s)
{
	struct tti_sim_sock *listener = find_listener(sim, &s->remote);

	if (listener == NULL)
		return path_find(sim, &s->remote.u.un, s->remote.len) != NULL || is_abstract(&s->remote) ? -ECONNREFUSED
		                                                                                         : -ENOENT;
	if (listener->queued >= listener->queued_max)
		return -EAGAIN;
	connect_joined(sim, s, listener);
	sock_attach(s, s->made);
	s->made = NULL;
	return 0;
}

static int connect_tcp(struct tti_sim *sim, struct tti_sim_sock *s)
{
	int rc;

	if (tti_sim_port(&s->remote) == 0)
		return -ECONNREFUSED;
	if (s->local.len == 0) {
		rc = tti_sim_autobind(sim, s, &s->remote);
		if (rc < 0)
			return rc;
	}
	s->kind = TTI_SOCK_CONNECTING;
	s->connect_done = false;
	s->tries = 0;
	s->refused = tti_sim_fault(sim, TT_FAULT_CONNECT_REFUSED);
	if (tti_sim_is_hole(&s->remote) || (!s->refused && tti_sim_fault(sim, TT_FAULT_CONNECT_TIMEOUT)))
		tti_sim_at(sim, &s->event, sim->now + CONNECT_GIVES_UP, connect_times_out);
	else
		tti_sim_at(sim, &s->event, sim->now + tti_sim_latency(sim, false), connect_arrives);
	return -EAGAIN;
}

long tti_sim_try_connect(struct tti_sim *sim, int fd, const void *addr, size_t len)
{
	struct tti_sim_sock *s = tti_sim_sock(sim, fd);
	int rc;

	if (s == NULL)
		return -EBADF;
	if (s->kind == TTI_SOCK_DATAGRAM)
		return tti_sim_dgram_connect(sim, s, addr, len);
	if (s->connect_done) {
		s->connect_done = false;
		return s->connect_result;
	}
	if (s->kind == TTI_SOCK_CONNECTING)
		return -EAGAIN;
	if (s->kind == TTI_SOCK_STREAM)
		return -EISCONN;
	if (s->kind == TTI_SOCK_LISTENER)
		return -EINVAL;
	rc = tti_sim_addr_copy(&s->remote, s->family, addr, len);
	if (rc < 0)
		return rc;
	return s->family == AF_UNIX ? connect_unix(sim, s) : connect_tcp(sim, s);
}

bool tti_sim_is_stale(struct tti_sim *sim, const void *addr, uint32_t len)
{
	int fd = tti_sim_socket(sim, AF_UNIX, SOCK_STREAM);
	long rc;

	if (fd < 0)
		return false;
	/* The question is a connection, as it is to a real listener. */
	rc = tti_sim_try_connect(sim, fd, addr, len);
	tti_sim_close(sim, fd);
	return rc == -ECONNREFUSED;
}

/* ---- accept ---- */

/* Somebody else ate the descriptors: a burst of accepts fails. */
static bool accept_is_starved(struct tti_sim *sim)
{
	struct tti_sim_faults *f = &sim->faults;

	if (f->burst_left > 0) {
		f->burst_left--;
		f->count[TT_FAULT_ACCEPT_EMFILE]++;
		return true;
	}
	if (!tti_sim_fault(sim, TT_FAULT_ACCEPT_EMFILE))
		return false;
	f->burst_left = (uint32_t)tti_sim_roll(sim, ACCEPT_BURST_MAX);
	return true;
}

/* Connects to a Unix listener whose backlog was full. */
static void room_in_backlog(struct tti_sim *sim, const struct tti_sim_sock *listener)
{
	TTI_LIST_FOR_EACH (n, &sim->net.socks) {
		struct tti_sim_sock *s = TTI_CONTAINER_OF(n, struct tti_sim_sock, link);

		if (s->family == AF_UNIX && s->kind == TTI_SOCK_FRESH && !tti_list_empty(&s->waiting) &&
		    tti_sim_takes(listener, &s->remote))
			tti_sim_sock_retry(sim, s);
	}
}

long tti_sim_try_accept(struct tti_sim *sim, int fd, void *addr, uint32_t room, uint32_t *addr_len)
{
	struct tti_sim_sock *listener = tti_sim_sock(sim, fd), *s;
	struct tti_sim_end *end;
	int made;

	if (listener == NULL)
		return -EBADF;
	if (listener->kind != TTI_SOCK_LISTENER)
		return -EINVAL;
	if (tti_list_empty(&listener->backlog))
		return -EAGAIN;
	if (accept_is_starved(sim)) {
		TTI_SOMETIMES(sim->faults.burst_left > 0, "accepts fail several times in a row");
		return -EMFILE;
	}
	made = sock_new(sim, listener->family, TTI_SOCK_STREAM, &s);
	if (made < 0)
		return made;
	end = TTI_CONTAINER_OF(tti_list_pop_front(&listener->backlog), struct tti_sim_end, queue_link);
	listener->queued--;
	sock_attach(s, end);
	if (addr != NULL)
		memcpy(addr, &end->remote.u, room < end->remote.len ? room : end->remote.len);
	if (addr_len != NULL)
		*addr_len = addr != NULL ? end->remote.len : 0;
	if (listener->family == AF_UNIX)
		room_in_backlog(sim, listener);
	return made;
}

/* ---- messages ---- */

/* What a message carries, each with a count of its own; NULL: nothing. */
static int rights_from(struct tti_sim *sim, const struct msghdr *m, struct tti_sim_rights **ret)
{
	const struct cmsghdr *c = m->msg_controllen > 0 ? CMSG_FIRSTHDR(m) : NULL;
	struct tti_sim_rights *r;
	int fds[TTI_SIM_RIGHTS_MAX];
	size_t n;

	*ret = NULL;
	if (c == NULL)
		return 0;
	n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || n > TTI_SIM_RIGHTS_MAX)
		return -EINVAL;
	memcpy(fds, CMSG_DATA(c), n * sizeof(int));
	for (size_t i = 0; i < n; i++)
		if (tti_sim_sock(sim, fds[i]) == NULL)
			return -EBADF;
	r = tti_sim_zalloc(sizeof(*r));
	tti_list_init(&r->link);
	for (size_t i = 0; i < n; i++) {
		r->socks[r->n] = tti_sim_sock(sim, fds[i]);
		tti_sim_sock_hold(r->socks[r->n++]);
	}
	*ret = r;
	return 0;
}

/* Numbers for what came, as far as there is room and there are numbers. */
static void rights_into(struct tti_sim *sim, struct msghdr *m, struct tti_sim_rights *r)
{
	size_t room = m->msg_controllen >= CMSG_LEN(sizeof(int)) ? (m->msg_controllen - CMSG_LEN(0)) / sizeof(int) : 0;
	struct cmsghdr *c = m->msg_control;
	int fds[TTI_SIM_RIGHTS_MAX];
	size_t n = 0;

	while (n < r->n && n < room && (fds[n] = tti_sim_sock_number(sim, r->socks[n])) >= 0)
		n++;
	if (n < r->n)
		m->msg_flags |= MSG_CTRUNC;
	m->msg_controllen = 0;
	if (n > 0) {
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n * sizeof(int));
		m->msg_controllen = CMSG_SPACE(n * sizeof(int));
	}
	tti_sim_rights_drop(sim, r);
}

/* One piece a message: all that net/ sends. */
long tti_sim_try_send_msg(struct tti_sim *sim, int fd, const struct msghdr *m)
{
	struct tti_sim_sock *s = tti_sim_sock(sim, fd);
	struct tti_sim_rights *rights;
	long rc;

	if (s == NULL)
		return -EBADF;
	if (s->kind == TTI_SOCK_DATAGRAM)
		return tti_sim_dgram_send(sim, s, m);
	if (s->kind != TTI_SOCK_STREAM)
		return s->family == AF_UNIX ? -ENOTCONN : -EPIPE;
	rc = rights_from(sim, m, &rights);
	if (rc < 0)
		return rc;
	rc = tti_sim_end_write_rights(sim, s->end, m->msg_iov->iov_base, m->msg_iov->iov_len, rights);
	if (rc <= 0 && rights != NULL)
		tti_sim_rights_drop(sim, rights);
	return rc;
}

long tti_sim_try_recv_msg(struct tti_sim *sim, int fd, struct msghdr *m, unsigned flags)
{
	struct tti_sim_sock *s = tti_sim_sock(sim, fd);
	struct tti_sim_rights *rights = NULL;
	long rc;

	if (s == NULL)
		return -EBADF;
	if (s->kind == TTI_SOCK_DATAGRAM)
		return tti_sim_dgram_recv(sim, s, m, flags);
	if (s->kind != TTI_SOCK_STREAM)
		return -ENOTCONN;
	rc = tti_sim_end_read_rights(sim, s->end, m->msg_iov->iov_base, m->msg_iov->iov_len, &rights);
	if (rc < 0)
		return rc;
	m->msg_flags = 0;
	m->msg_namelen = 0;
	if (rights != NULL)
		rights_into(sim, m, rights);
	else
		m->msg_controllen = 0;
	return rc;
}

static long dgram_read(struct tti_sim *sim, struct tti_sim_sock *s, void *buf, size_t n)
{
	struct iovec iov = { .iov_base = buf, .iov_len = n };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	return tti_sim_dgram_recv(sim, s, &m, 0);
}

static long dgram_write(struct tti_sim *sim, struct tti_sim_sock *s, const void *buf, size_t n)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)buf, .iov_len = n };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	return tti_sim_dgram_send(sim, s, &m);
}

/* ---- read, write, poll ---- */

long tti_sim_try_read(struct tti_sim *sim, int fd, void *buf, size_t n)
{
	struct tti_sim_sock *s = tti_sim_sock(sim, fd);

	if (s == NULL)
		return -EBADF;
	if (s->kind == TTI_SOCK_DATAGRAM)
		return dgram_read(sim, s, buf, n);
	if (s->kind != TTI_SOCK_STREAM)
		return -ENOTCONN;
	return tti_sim_end_read(sim, s->end, buf, n);
}

long tti_sim_try_write(struct tti_sim *sim, int fd, const void *buf, size_t n)
{
	struct tti_sim_sock *s = tti_sim_sock(sim, fd);

	if (s == NULL)
		return -EBADF;
	if (s->kind == TTI_SOCK_DATAGRAM)
		return dgram_write(sim, s, buf, n);
	if (s->kind != TTI_SOCK_STREAM)
		return s->family == AF_UNIX ? -ENOTCONN : -EPIPE;
	return tti_sim_end_write(sim, s->end, buf, n);
}

long tti_sim_try_poll(struct tti_sim *sim, int fd, unsigned events)
{
	struct tti_sim_sock *s = tti_sim_sock(sim, fd);
	unsigned ready = 0;

	if (s == NULL)
		return -EBADF;
	if (s->kind == TTI_SOCK_STREAM)
		ready = tti_sim_end_ready(s->end);
	else if (s->kind == TTI_SOCK_LISTENER)
		ready = tti_list_empty(&s->backlog) ? 0 : POLLIN;
	else if (s->kind == TTI_SOCK_DATAGRAM)
		ready = tti_sim_dgram_ready(s);
	else if (s->kind == TTI_SOCK_EVENT)
		ready = s->set ? POLLIN : 0;
	else if (s->kind == TTI_SOCK_FRESH)
		ready = POLLOUT | POLLHUP; /* as Linux says of a socket nobody connected */
	ready &= events | POLLERR | POLLHUP;
	return ready != 0 ? (long)ready : -EAGAIN;
}

/* ---- names ---- */

static int put_addr(void *ret_addrs, size_t i, size_t max, int family, const void *bytes, uint16_t port)
{
	struct sockaddr_storage *list = ret_addrs;
	struct tti_sim_addr a = { 0 };

	if (i >= max)
		return 0;
	a.u.any.sa_family = (sa_family_t)family;
	if (family == AF_INET)
		memcpy(&((struct sockaddr_in *)(void *)&a.u)->sin_addr, bytes, 4);
	else
		memcpy(&((struct sockaddr_in6 *)(void *)&a.u)->sin6_addr, bytes, 16);
	set_port(&a, port);
	list[i] = a.u.room;
	return 1;
}

static bool ends_in_sim(const char *host)
{
	size_t n = strlen(host);

	return n > 4 && strcmp(host + n - 4, ".sim") == 0;
}

/* 10.x.y.z, from the name alone. */
static void address_of(const char *host, unsigned char bytes[4])
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (; *host != '\0'; host++)
		h = (h ^ (unsigned char)*host) * UINT64_C(0x100000001b3);
	bytes[0] = 10;
	for (int i = 1; i < 4; i++)
		bytes[i] = (unsigned char)(h >> (8 * i));
}

/* The first label says which addresses there are. */
static bool is_spelled(const char *host)
{
	size_t n = strcspn(host, ".");

	for (size_t i = 0; i < n; i += 2)
		if ((host[i] != 'a' && host[i] != 'h') || (host[i + 1] != '4' && host[i + 1] != '6'))
			return false;
	return n > 0;
}

static int spelled(const char *host, const unsigned char four[4], void *ret_addrs, size_t max, uint16_t port)
{
	int n = 0;

	for (size_t i = 0; host[2 * i] != '.'; i++) {
		unsigned char six[16] = { [15] = 1 }, hole[4] = { 192, 0, 2, (unsigned char)(i + 1) };
		bool is_hole = host[2 * i] == 'h';

		if (is_hole)
			memcpy(six, "\x20\x01\x0d\xb8", 4);
		six[14] = (unsigned char)(is_hole ? i : 0);
		if (host[2 * i + 1] == '6')
			n += put_addr(ret_addrs, i, max, AF_INET6, six, port);
		else
			n += put_addr(ret_addrs, i, max, AF_INET, is_hole ? hole : four, port);
	}
	return n;
}

static const struct {
	const char *name;
	uint16_t port;
} services[] = { { "domain", 53 }, { "http", 80 }, { "https", 443 } };

static int port_from(const char *service, uint16_t *ret)
{
	char *end = NULL;
	unsigned long number = service[0] != '\0' ? strtoul(service, &end, 10) : 0;

	*ret = (uint16_t)number;
	if (end == NULL || *end == '\0')
		return number <= UINT16_MAX ? 0 : -EINVAL;
	for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++) {
		if (strcmp(services[i].name, service) != 0)
			continue;
		*ret = services[i].port;
		return 0;
	}
	return -EINVAL;
}

int tti_sim_lookup(struct tti_sim *sim, const char *host, const char *port, void *ret_addrs, size_t max)
{
	static const unsigned char loopback6[16] = { [15] = 1 };
	static const unsigned char loopback[4] = { 127, 0, 0, 1 };
	unsigned char bytes[16];
	uint16_t number;
	int rc = port_from(port, &number);

	(void)sim;
	if (rc < 0)
		return rc;
	if (inet_pton(AF_INET, host, bytes) == 1)
		return put_addr(ret_addrs, 0, max, AF_INET, bytes, number);
	if (inet_pton(AF_INET6, host, bytes) == 1)
		return put_addr(ret_addrs, 0, max, AF_INET6, bytes, number);
	if (strcmp(host, "localhost") == 0)
		return put_addr(ret_addrs, 0, max, AF_INET, loopback, number);
	if (!ends_in_sim(host))
		return TT_ENOHOST;
	address_of(host, bytes);
	if (is_spelled(host))
		return spelled(host, bytes, ret_addrs, max, number);
	if (strncmp(host, "dual.", 5) == 0) {
		int n = put_addr(ret_addrs, 0, max, AF_INET6, loopback6, number);

		return n + put_addr(ret_addrs, 1, max, AF_INET, bytes, number);
	}
	return put_addr(ret_addrs, 0, max, AF_INET, bytes, number);
}

/* ---- the whole ---- */

void tti_sim_net_init(struct tti_sim *sim)
{
	struct tti_sim_net *net = &sim->net;

	memset(net, 0, sizeof(*net));
	tti_list_init(&net->socks);
	tti_list_init(&net->conns);
	tti_list_init(&net->paths);
	net->fd_limit = sim->options->max_fds != 0 ? sim->options->max_fds : 1024;
	net->next_port = (uint16_t)(FIRST_PORT + tti_sim_roll(sim, LAST_PORT - FIRST_PORT));
}

void tti_sim_net_fini(struct tti_sim *sim)
{
	struct tti_sim_net *net = &sim->net;
	struct tti_list *n;

	for (size_t fd = 0; fd < net->fd_room; fd++)
		if (net->by_fd[fd] != NULL)
			tti_sim_close(sim, (int)fd);
	/* Sockets that only messages carry, maybe each other's. */
	while ((n = tti_list_first(&net->socks)) != NULL)
		sock_end(sim, TTI_CONTAINER_OF(n, struct tti_sim_sock, link));
	while ((n = tti_list_pop_front(&net->paths)) != NULL)
		tti_env_real.free(TTI_CONTAINER_OF(n, struct path, link));
	tti_env_real.free(net->by_fd);
	net->by_fd = NULL;
}

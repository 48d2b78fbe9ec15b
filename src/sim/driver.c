/* SPDX-License-Identifier: MIT */
/*
 * driver.c - the third implementation of io/driver.h: operations on the simulated
 * network.
 *
 * An operation takes effect at one virtual time and completes at a later one:
 *
 *	submit -> HELD -> WAITING -> EFFECTED -> READY -> done()
 *
 * HELD: the queue was full. WAITING: nothing to take effect on yet. EFFECTED: bytes have
 * moved, a descriptor was made; nobody knows. READY: poll() hands it out. A cancel that
 * finds it EFFECTED or READY changes nothing: completed wins (law 2). A cancel that finds
 * it earlier ends it at once, or, as a fault, is itself under way for a while.
 *
 * Law 1 is checked here: the caller's operation must be untouched from its submission to
 * its done(). Law 10: a descriptor is closed with no operation under way.
 * Law 7: only the worker whose turn it is uses its driver.
 */
#include <poll.h>
#include <string.h>

#include "base/panic.h"
#include "sim/net.h"
#include "wait/wait.h"

enum op_state { OP_HELD, OP_WAITING, OP_EFFECTED, OP_READY };

struct tti_sim_op {
	struct tti_list link;                /* in the socket's waiting, the driver's ready, or the free list */
	struct tti_list all;                 /* sim->all_ops */
	struct tti_sim_event event;          /* the next step that time alone brings */
	struct tti_io_op *op;
	struct sim_driver *driver;
	struct tti_sim_sock *sock;           /* lives: law 10 */
	int fd;                              /* the number it was submitted with */
	enum op_state state;
	bool cancelling;                     /* a cancel is on its way */
	long result;
	uint64_t serial;
};

struct sim_driver {
	struct tti_driver base;              /* first */
	struct tti_sim *sim;
	struct tti_list ready;
	bool woken;
};

static struct sim_driver *driver_of(struct tti_driver *d)
{
	struct sim_driver *s = (struct sim_driver *)(void *)d;

	TT_REQUIRE(s->sim == tti_sim_here, "a simulated driver is used outside its simulation");
	TT_REQUIRE(d->home == tti_home_here || tti_home_here == NULL, "law 7: worker %u uses the driver of worker %u",
	           tti_home_here->index, d->home->index);
	return s;
}

static const char *const kind_names[TTI_IO_KINDS] = {
	[TTI_IO_READ] = "read", [TTI_IO_WRITE] = "write", [TTI_IO_ACCEPT] = "accept",
	[TTI_IO_CONNECT] = "connect", [TTI_IO_POLL] = "poll", [TTI_IO_RECV_MSG] = "recv msg",
	[TTI_IO_SEND_MSG] = "send msg",
};

/* ---- records ---- */

static struct tti_sim_op *record_new(struct sim_driver *d, struct tti_io_op *op, struct tti_sim_sock *sock)
{
	struct tti_sim *sim = d->sim;
	struct tti_list *n = tti_list_pop_front(&sim->free_ops);
	struct tti_sim_op *r;

	r = n != NULL ? TTI_CONTAINER_OF(n, struct tti_sim_op, link) : tti_sim_alloc(sizeof(*r));
	memset(r, 0, sizeof(*r));
	tti_list_init(&r->link);
	r->op = op;
	r->driver = d;
	r->sock = sock;
	r->fd = op->fd;
	r->serial = ++sim->op_serial;
	tti_list_push_back(&sim->all_ops, &r->all);
	sock->ops++;
	op->driver_data[0] = (uint64_t)(uintptr_t)r;
	op->driver_data[1] = r->serial;
	return r;
}

static void record_free(struct tti_sim *sim, struct tti_sim_op *r)
{
	tti_sim_unschedule(sim, &r->event);
	tti_list_unlink(&r->link);
	tti_list_unlink(&r->all);
	r->sock->ops--;
	tti_list_push_front(&sim->free_ops, &r->link);
}

/* Law 1, seen from the kernel's side. */
static void check_untouched(const struct tti_sim_op *r)
{
	TT_REQUIRE(r->op->driver_data[0] == (uint64_t)(uintptr_t)r && r->op->driver_data[1] == r->serial,
	           "law 1: the frame of operation %llu on descriptor %d was left before its completion",
	           (unsigned long long)r->serial, r->sock->fd);
}

/* ---- effect ---- */

static int64_t short_delay(struct tti_sim *sim)
{
	return (int64_t)tti_sim_roll(sim, 5000);
}

static void try_again(struct tti_sim *sim, struct tti_sim_event *e);

/* -EAGAIN: it would wait. */
static long attempt(struct tti_sim *sim, struct tti_sim_op *r)
{
	struct tti_io_op *op = r->op;

	check_untouched(r);
	if (!r->cancelling && tti_sim_fault(sim, TT_FAULT_RETRY)) {
		tti_sim_at(sim, &r->event, sim->now + short_delay(sim), try_again);
		return -EAGAIN;
	}
	switch ((enum tti_io_kind)op->kind) {
	case TTI_IO_READ:
		return tti_sim_try_read(sim, op->fd, op->buf, op->len);
	case TTI_IO_WRITE:
		return tti_sim_try_write(sim, op->fd, op->buf, op->len);
	case TTI_IO_ACCEPT:
		return tti_sim_try_accept(sim, op->fd, op->buf, (uint32_t)op->len, op->addr_len);
	case TTI_IO_CONNECT:
		return tti_sim_try_connect(sim, op->fd, op->buf, op->len);
	case TTI_IO_POLL:
		return tti_sim_try_poll(sim, op->fd, op->events);
	case TTI_IO_RECV_MSG:
		return tti_sim_try_recv_msg(sim, op->fd, op->buf, op->events);
	case TTI_IO_SEND_MSG:
		return tti_sim_try_send_msg(sim, op->fd, op->buf);
	case TTI_IO_KINDS:
		break;
	}
	return -EINVAL;
}

static void deliver(struct tti_sim *sim, struct tti_sim_event *e)
{
	struct tti_sim_op *r = TTI_CONTAINER_OF(e, struct tti_sim_op, event);

	(void)sim;
	r->state = OP_READY;
	tti_list_push_back(&r->driver->ready, &r->link);
}

/* It happened; done() comes later. */
static void take_effect(struct tti_sim *sim, struct tti_sim_op *r, long result)
{
	int64_t delay = short_delay(sim);

	tti_list_unlink(&r->link);
	r->state = OP_EFFECTED;
	r->result = result;
	tti_sim_trace(sim, TTI_SIM_EFFECT, kind_names[r->op->kind], r->serial, (uint64_t)result);
	if (tti_sim_fault(sim, TT_FAULT_LATE_COMPLETION))
		delay += (int64_t)tti_sim_roll(sim, (uint64_t)sim->faults.delay_max);
	tti_sim_at(sim, &r->event, sim->now + delay, deliver);
	tti_sim_point(sim, TTI_SIM_AT_EFFECT);
}

void tti_sim_sock_retry(struct tti_sim *sim, struct tti_sim_sock *s)
{
	/* An attempt may change this very socket again (a pair with both ends in use): then
	 * the walk starts anew instead of nesting. */
	if (s->busy) {
		s->again = true;
		return;
	}
	do {
		s->busy = true;
		s->again = false;
		TTI_LIST_FOR_EACH (n, &s->waiting) {
			struct tti_sim_op *r = TTI_CONTAINER_OF(n, struct tti_sim_op, link);
			long result = attempt(sim, r);

			if (result != -EAGAIN)
				take_effect(sim, r, result);
		}
		s->busy = false;
	} while (s->again);
}

static void try_again(struct tti_sim *sim, struct tti_sim_event *e)
{
	tti_sim_sock_retry(sim, TTI_CONTAINER_OF(e, struct tti_sim_op, event)->sock);
}

static void held_no_longer(struct tti_sim *sim, struct tti_sim_event *e)
{
	struct tti_sim_op *r = TTI_CONTAINER_OF(e, struct tti_sim_op, event);

	r->state = OP_WAITING;
	tti_list_push_back(&r->sock->waiting, &r->link);
	tti_sim_sock_retry(sim, r->sock);
}

/* ---- the interface ---- */

static int sim_submit(struct tti_driver *base, struct tti_io_op *op)
{
	struct sim_driver *d = driver_of(base);
	struct tti_sim *sim = d->sim;
	struct tti_sim_sock *sock = tti_sim_sock(sim, op->fd);
	struct tti_sim_op *r;
	long result;

	tti_sim_trace(sim, TTI_SIM_SUBMIT, kind_names[op->kind], (uint64_t)op->fd, op->len);
	if (tti_sim_is_file(op->fd)) {
		op->result = tti_sim_file_operation(sim, op);
		return 1;
	}
	if (sock == NULL) {
		op->result = -EBADF;
		return 1;
	}
	r = record_new(d, op, sock);
	if (tti_sim_fault(sim, TT_FAULT_QUEUE_FULL)) {
		tti_sim_at(sim, &r->event, sim->now + short_delay(sim), held_no_longer);
		return 0;
	}
	r->state = OP_WAITING;
	tti_list_push_back(&sock->waiting, &r->link);
	sock->busy = true; /* nobody retries r while it is tried here */
	result = attempt(sim, r);
	sock->busy = false;
	if (result == -EAGAIN) {
		if (sock->again)
			tti_sim_sock_retry(sim, sock);
		return 0;
	}
	if (tti_sim_roll(sim, 2) == 0) {
		tti_sim_trace(sim, TTI_SIM_DONE, kind_names[op->kind], r->serial, (uint64_t)result);
		op->result = result;
		record_free(sim, r);
		return 1;
	}
	take_effect(sim, r, result);
	return 0;
}

static void cancel_arrives(struct tti_sim *sim, struct tti_sim_event *e)
{
	struct tti_sim_op *r = TTI_CONTAINER_OF(e, struct tti_sim_op, event);

	take_effect(sim, r, -ECANCELED);
}

static int sim_cancel(struct tti_driver *base, struct tti_io_op *op)
{
	struct sim_driver *d = driver_of(base);
	struct tti_sim *sim = d->sim;
	struct tti_sim_op *r = (struct tti_sim_op *)(uintptr_t)op->driver_data[0];

	check_untouched(r);
	TT_REQUIRE(!op->cancelled, "operation %llu is cancelled twice", (unsigned long long)r->serial);
	op->cancelled = true;
	tti_sim_trace(sim, TTI_SIM_CANCEL, kind_names[op->kind], r->serial, r->state);
	if (r->state == OP_EFFECTED || r->state == OP_READY)
		return 0;
	tti_sim_unschedule(sim, &r->event);
	if (r->state == OP_WAITING && tti_sim_fault(sim, TT_FAULT_CANCEL_RACE)) {
		r->cancelling = true;
		tti_sim_at(sim, &r->event, sim->now + short_delay(sim), cancel_arrives);
		return 0;
	}
	if (tti_sim_roll(sim, 2) == 0) {
		take_effect(sim, r, -ECANCELED);
		return 0;
	}
	op->result = -ECANCELED;
	record_free(sim, r);
	return 1;
}

static void sim_poll(struct tti_driver *base, int64_t deadline)
{
	struct sim_driver *d = driver_of(base);
	struct tti_list *n;

	(void)deadline; /* waiting is the run loop's: it moves the clock */
	d->woken = false;
	base->polls++;
	while ((n = tti_list_first(&d->ready)) != NULL) {
		struct tti_sim_op *r = TTI_CONTAINER_OF(n, struct tti_sim_op, link);
		struct tti_io_op *op = r->op;

		check_untouched(r);
		op->result = r->result;
		base->completions[op->kind]++;
		tti_sim_trace(d->sim, TTI_SIM_DONE, kind_names[op->kind], r->serial, (uint64_t)r->result);
		record_free(d->sim, r);
		op->done(op);
	}
}

static void sim_wake(struct tti_driver *base)
{
	struct sim_driver *d = (struct sim_driver *)(void *)base;

	d->woken = true;
	base->wakes++;
}

bool tti_sim_driver_has_work(const struct tti_driver *base)
{
	const struct sim_driver *d = (const struct sim_driver *)(const void *)base;

	return d->woken || !tti_list_empty(&d->ready);
}

static void sim_forget(struct tti_driver *base, int fd, uint32_t generation)
{
	(void)generation;
	tti_sim_trace(driver_of(base)->sim, TTI_SIM_CALL, "forget", (uint64_t)fd, 0);
}

static int sim_create(struct tti_home *home, unsigned entries, struct tti_driver **ret_driver)
{
	struct sim_driver *d = tti_env_zalloc(sizeof(*d));

	(void)entries;
	if (d == NULL)
		return -ENOMEM;
	d->base.ops = &tti_driver_sim;
	d->base.home = home;
	d->sim = tti_sim_here;
	tti_list_init(&d->ready);
	*ret_driver = &d->base;
	return 0;
}

static void sim_destroy(struct tti_driver *base)
{
	tti_env_free(base);
}

void tti_sim_driver_free_ops(struct tti_sim *sim)
{
	struct tti_list *n;

	while ((n = tti_list_pop_front(&sim->free_ops)) != NULL)
		tti_env_real.free(TTI_CONTAINER_OF(n, struct tti_sim_op, link));
}

/* ---- calls that never wait ---- */

static int sim_socket(struct tti_driver *base, int family, int type, int protocol)
{
	struct tti_sim *sim = driver_of(base)->sim;

	(void)protocol;
	return (int)tti_sim_traced(sim, "socket", (uint64_t)family, (uint64_t)type, tti_sim_socket(sim, family, type));
}

static int sim_pair(struct tti_driver *base, int ret_fds[2])
{
	struct tti_sim *sim = driver_of(base)->sim;

	return (int)tti_sim_traced(sim, "pair", 0, 0, tti_sim_pair(sim, ret_fds));
}

static int sim_bind(struct tti_driver *base, int fd, const void *addr, uint32_t len)
{
	struct tti_sim *sim = driver_of(base)->sim;

	return (int)tti_sim_traced(sim, "bind", (uint64_t)fd, len, tti_sim_bind(sim, fd, addr, len));
}

static int sim_listen(struct tti_driver *base, int fd, int backlog)
{
	struct tti_sim *sim = driver_of(base)->sim;

	return (int)tti_sim_traced(sim, "listen", (uint64_t)fd, (uint64_t)backlog, tti_sim_listen(sim, fd, backlog));
}

static int sim_address(struct tti_driver *base, int fd, bool peer, void *addr, uint32_t *len)
{
	struct tti_sim *sim = driver_of(base)->sim;

	return (int)tti_sim_traced(sim, "address", (uint64_t)fd, peer, tti_sim_name(sim, fd, peer, addr, len));
}

static int sim_set_option(struct tti_driver *base, int fd, int level, int option, const void *value, uint32_t len)
{
	struct tti_sim *sim = driver_of(base)->sim;

	return (int)tti_sim_traced(sim, "set_option", (uint64_t)fd, (uint64_t)option,
	                           tti_sim_set_option(sim, fd, level, option, value, len));
}

static int sim_shutdown(struct tti_driver *base, int fd, int how)
{
	struct tti_sim *sim = driver_of(base)->sim;

	return (int)tti_sim_traced(sim, "shutdown", (uint64_t)fd, (uint64_t)how, tti_sim_shutdown(sim, fd, how));
}

/* Another number of the same socket may have operations of its own. */
static unsigned ops_on(const struct tti_sim *sim, int fd)
{
	const struct tti_sim_sock *s = tti_sim_sock(sim, fd);
	unsigned n = 0;

	if (s == NULL || s->ops == 0)
		return 0;
	TTI_LIST_FOR_EACH (link, &sim->all_ops)
		n += TTI_CONTAINER_OF(link, struct tti_sim_op, all)->fd == fd;
	return n;
}

static int sim_close(struct tti_driver *base, int fd)
{
	struct tti_sim *sim = driver_of(base)->sim;
	unsigned ops = ops_on(sim, fd);

	if (tti_sim_is_file(fd))
		return (int)tti_sim_traced(sim, "close", (uint64_t)fd, 0, tti_sim_file_close(sim, fd));
	TT_REQUIRE(ops == 0, "law 10: descriptor %d is closed with %u operations under way", fd, ops);
	return (int)tti_sim_traced(sim, "close", (uint64_t)fd, 0, tti_sim_close(sim, fd));
}

static long sim_read(struct tti_driver *base, int fd, void *buf, size_t n, unsigned flags)
{
	struct tti_sim *sim = driver_of(base)->sim;

	(void)flags;
	if (tti_sim_fd_is_open(sim, fd) && tti_sim_fault(sim, TT_FAULT_RETRY))
		return tti_sim_traced(sim, "read", (uint64_t)fd, n, -EAGAIN);
	return tti_sim_traced(sim, "read", (uint64_t)fd, n, tti_sim_try_read(sim, fd, buf, n));
}

static long sim_write(struct tti_driver *base, int fd, const void *buf, size_t n, unsigned flags)
{
	struct tti_sim *sim = driver_of(base)->sim;

	(void)flags;
	if (tti_sim_fd_is_open(sim, fd) && tti_sim_fault(sim, TT_FAULT_RETRY))
		return tti_sim_traced(sim, "write", (uint64_t)fd, n, -EAGAIN);
	return tti_sim_traced(sim, "write", (uint64_t)fd, n, tti_sim_try_write(sim, fd, buf, n));
}

static long sim_send_msg(struct tti_driver *base, int fd, const struct msghdr *m)
{
	struct tti_sim *sim = driver_of(base)->sim;

	if (tti_sim_fd_is_open(sim, fd) && tti_sim_fault(sim, TT_FAULT_RETRY))
		return tti_sim_traced(sim, "send msg", (uint64_t)fd, 0, -EAGAIN);
	return tti_sim_traced(sim, "send msg", (uint64_t)fd, 0, tti_sim_try_send_msg(sim, fd, m));
}

static long sim_ready(struct tti_driver *base, int fd, unsigned events)
{
	struct tti_sim *sim = driver_of(base)->sim;

	return tti_sim_traced(sim, "ready", (uint64_t)fd, events, tti_sim_try_poll(sim, fd, events));
}

static bool sim_is_stale(struct tti_driver *base, const char *path, const void *addr, uint32_t len)
{
	struct tti_sim *sim = driver_of(base)->sim;

	return tti_sim_traced(sim, "is stale", strlen(path), len, tti_sim_is_stale(sim, addr, len)) != 0;
}

/* ---- names ---- */

/*
 * A question waits for its turn, in which it can be taken back, and is then under way:
 *
 *	resolve -> ASKED -> UNDER WAY -> answered()
 *
 * Once it is answered it is no more; q is the driver's until the answer's message is read.
 */
struct lookup {
	struct tti_sim_event event;
	struct tti_name_query *query;
	bool under_way;
};

static void lookup_answers(struct tti_sim *sim, struct tti_sim_event *e)
{
	struct lookup *l = TTI_CONTAINER_OF(e, struct lookup, event);
	struct tti_name_query *q = l->query;

	if (tti_sim_fault(sim, TT_FAULT_RESOLVER))
		q->rc = TT_ENOHOST;
	else
		q->rc = tti_sim_lookup(sim, q->host, q->service, q->ret_addrs, q->max);
	tti_env_real.free(l);
	q->driver_data = NULL;
	tti_sim_traced(sim, "resolve", strlen(q->host), q->max, q->rc);
	q->answered(q);
}

static void lookup_starts(struct tti_sim *sim, struct tti_sim_event *e)
{
	struct lookup *l = TTI_CONTAINER_OF(e, struct lookup, event);
	int64_t delay = (int64_t)tti_sim_roll(sim, (uint64_t)TT_MS(2));

	if (tti_sim_fault(sim, TT_FAULT_SLOW_RESOLVER))
		delay += (int64_t)tti_sim_roll(sim, (uint64_t)TT_SEC(10));
	l->under_way = true;
	tti_sim_at(sim, &l->event, sim->now + delay, lookup_answers);
}

static void sim_resolve(struct tti_driver *base, struct tti_name_query *q)
{
	struct tti_sim *sim = driver_of(base)->sim;
	struct lookup *l = tti_sim_alloc(sizeof(*l));

	*l = (struct lookup){ .query = q };
	q->driver_data = l;
	tti_sim_at(sim, &l->event, sim->now + short_delay(sim), lookup_starts);
}

static bool sim_unresolve(struct tti_driver *base, struct tti_name_query *q, bool force)
{
	struct tti_sim *sim = driver_of(base)->sim;
	struct lookup *l = q->driver_data;
	bool under_way = l == NULL || l->under_way;

	tti_sim_trace(sim, TTI_SIM_CALL, "unresolve", under_way, force);
	if (l == NULL || (under_way && !force))
		return false;
	tti_sim_unschedule(sim, &l->event);
	tti_env_real.free(l);
	return true;
}

const struct tti_driver_ops tti_driver_sim = {
	.name = "sim",
	.create = sim_create,
	.destroy = sim_destroy,
	.submit = sim_submit,
	.cancel = sim_cancel,
	.poll = sim_poll,
	.wake = sim_wake,
	.forget = sim_forget,
	.socket = sim_socket,
	.pair = sim_pair,
	.bind = sim_bind,
	.listen = sim_listen,
	.address = sim_address,
	.set_option = sim_set_option,
	.shutdown = sim_shutdown,
	.close = sim_close,
	.read = sim_read,
	.write = sim_write,
	.send_msg = sim_send_msg,
	.ready = sim_ready,
	.is_stale = sim_is_stale,
	.resolve = sim_resolve,
	.unresolve = sim_unresolve,
};

/* SPDX-License-Identifier: MIT */
/*
 * spec_channel.c - <tutti/channel.h>: a channel of capacity 0, 1 or 2 with blocking and trying
 * sends and receives, selects that would do either, slots, several at once, its length, and
 * closing at any time.
 */
#include "specs.h"

#include <stdio.h>
#include <string.h>

TT_CHAN_TYPE(int_chan, int);

enum kind { SEND, TRY_SEND, RECV, TRY_RECV, TRY_RECV_TWO, SELECT, RESERVE, TRY_RESERVE, SLOT_SEND, SLOT_DROP, LEN, CLOSE };
enum { ON_RECV, ON_SEND };                   /* the arms of the select, and its results */

static const struct lin_kind kinds[] = {
	[SEND] = { "send", 8, LIN_UNIQUE, true },
	[TRY_SEND] = { "try_send", 3, LIN_UNIQUE, false },
	[RECV] = { "recv", 9, 0, true },
	[TRY_RECV] = { "try_recv", 3, 0, false },
	[TRY_RECV_TWO] = { "try_recv_many", 1, 0, false },
	[SELECT] = { "select_recv_or_send", 4, LIN_UNIQUE, true },
	[RESERVE] = { "reserve", 3, LIN_UNIQUE, true },
	[TRY_RESERVE] = { "try_reserve", 1, LIN_UNIQUE, false },
	[SLOT_SEND] = { "slot_send", 0, LIN_UNIQUE, false },
	[SLOT_DROP] = { "slot_drop", 0, 0, false },
	[LEN] = { "len", 1, 0, false },
	[CLOSE] = { "close", 1, 0, false },
};

/* ---- the real one ---- */

struct object {
	int_chan ch;
	tt_slot slots[LIN_TASKS];
};

static struct object *object_of(struct lin_run *r)
{
	return (struct object *)(void *)r->object;
}

static void open_channel(struct lin_run *r)
{
	REQUIRE_OK(tt_chan_init(&object_of(r)->ch, r->program->param));
}

static void close_channel(struct lin_run *r)
{
	tt_chan_fini(&object_of(r)->ch);
}

/* Who holds a slot uses it or gives it back before it asks for another. */
static bool adapt(struct lin_run *r, struct lin_call *c)
{
	if (object_of(r)->slots[c->task].tt_chan_ != NULL && (c->kind == RESERVE || c->kind == TRY_RESERVE))
		c->kind = c->arg % 3 == 0 ? SLOT_DROP : SLOT_SEND;
	return true;
}

static bool tidy_up(struct lin_run *r, struct lin_call *c)
{
	c->kind = SLOT_DROP;
	return object_of(r)->slots[c->task].tt_chan_ != NULL;
}

static void call(struct lin_run *r, struct lin_call *c)
{
	struct object *o = object_of(r);
	tt_slot *slot = &o->slots[c->task];
	int got[2] = { 0, 0 };

	switch ((enum kind)c->kind) {
	case SEND: c->rc = tt_send(&o->ch, &c->arg); break;
	case TRY_SEND: c->rc = tt_try_send(&o->ch, &c->arg); break;
	case RECV: c->rc = tt_recv(&o->ch, &c->value); break;
	case TRY_RECV: c->rc = tt_try_recv(&o->ch, &c->value); break;
	case TRY_RECV_TWO:
		c->rc = tt_try_recv_many(&o->ch, got, 2);
		c->value = got[0];
		c->more = got[1];
		break;
	case SELECT:
		c->rc = tt_select([ON_RECV] = TT_ON_RECV(&o->ch, &c->value), [ON_SEND] = TT_ON_SEND(&o->ch, &c->arg));
		break;
	case RESERVE: c->rc = tt_reserve(&o->ch, slot); break;
	case TRY_RESERVE: c->rc = tt_try_reserve(&o->ch, slot); break;
	case SLOT_SEND: (tt_slot_send)(slot, &c->arg); break;
	case SLOT_DROP: tt_slot_drop(slot); break;
	case LEN: c->rc = (int)tt_chan_len(&o->ch); break;
	case CLOSE: tt_chan_close(&o->ch); break;
	}
}

/* ---- the model ---- */

struct model {
	uint8_t cap, len, slots, closed;
	uint8_t ring[2];                     /* the oldest first */
	struct lin_queue receivers, senders; /* senders: who waits for a slot, too */
};

LIN_MODEL(struct model)

static void init(struct lin_state *s, unsigned param)
{
	model_of(s)->cap = (uint8_t)param;
}

static bool has_room(const struct model *m)
{
	return m->len + m->slots < m->cap;
}

static void put(struct model *m, int item)
{
	m->ring[m->len++] = (uint8_t)item;
}

static int take(struct model *m)
{
	int item = m->ring[0];

	m->ring[0] = m->ring[1];
	m->ring[1] = 0;
	m->len--;
	return item;
}

/* Its wait is over; a select stood in both lines. */
static void get_out(struct model *m, unsigned task)
{
	lin_remove(&m->receivers, task);
	lin_remove(&m->senders, task);
}

static bool sends(const struct lin_call *c)
{
	return c->kind == SEND || c->kind == SELECT;
}

static void has_sent(struct lin_state *s, unsigned task)
{
	get_out(model_of(s), task);
	lin_give(s, task, s->calls[task]->kind == SELECT ? ON_SEND : 0);
}

static void has_received(struct lin_state *s, unsigned task, int item)
{
	get_out(model_of(s), task);
	lin_settle(s, task, s->calls[task]->kind == SELECT ? ON_RECV : 1, item, 0);
}

/* Who waits for room gets it, in order. */
static void grant_room(struct lin_state *s)
{
	struct model *m = model_of(s);

	while (m->senders.n > 0 && has_room(m)) {
		const struct lin_call *c = s->calls[m->senders.task[0]];

		if (c->kind == RESERVE)
			m->slots++;
		else
			put(m, c->arg);
		has_sent(s, c->task);
	}
}

/* An item that nothing keeps out: the first who waits takes it from hand to hand. */
static void bring(struct lin_state *s, int item)
{
	struct model *m = model_of(s);

	if (m->receivers.n > 0)
		has_received(s, m->receivers.task[0], item);
	else
		put(m, item);
}

/* Nothing will come any more. */
static void end_if_over(struct lin_state *s)
{
	struct model *m = model_of(s);

	while (m->closed && m->slots == 0 && m->len == 0 && m->receivers.n > 0) {
		unsigned task = m->receivers.task[0];

		get_out(m, task);
		lin_give(s, task, s->calls[task]->kind == SELECT ? TT_ECLOSED : 0);
	}
}

static void close_it(struct lin_state *s)
{
	struct model *m = model_of(s);

	m->closed = 1;
	while (m->senders.n > 0) {
		unsigned task = m->senders.task[0];

		get_out(m, task);
		lin_give(s, task, TT_ECLOSED);
	}
	end_if_over(s);
}

/* 0, TT_ECLOSED, or -EAGAIN. */
static int send_now(struct lin_state *s, int item)
{
	struct model *m = model_of(s);

	if (m->closed)
		return TT_ECLOSED;
	if (m->receivers.n == 0 && !has_room(m))
		return TT_EAGAIN;
	bring(s, item);
	return 0;
}

/* 1 and an item, 0 when none will come, or -EAGAIN. */
static int recv_now(struct lin_state *s, int *ret_item)
{
	struct model *m = model_of(s);

	if (m->len > 0) {
		*ret_item = take(m);
		grant_room(s);
		return 1;
	}
	/* A rendezvous, or all room is slots: from hand to hand, past those that wait for a slot. */
	for (unsigned i = 0; i < m->senders.n; i++) {
		const struct lin_call *c = s->calls[m->senders.task[i]];

		if (!sends(c))
			continue;
		*ret_item = c->arg;
		has_sent(s, c->task);
		return 1;
	}
	return m->closed && m->slots == 0 ? 0 : TT_EAGAIN;
}

static void send(struct lin_state *s, const struct lin_call *c)
{
	int rc = send_now(s, c->arg);

	if (rc == TT_EAGAIN && c->kind == SEND)
		lin_wait(s, &model_of(s)->senders, c->task);
	else
		lin_give(s, c->task, rc);
}

static void recv(struct lin_state *s, const struct lin_call *c)
{
	int item = 0, rc = recv_now(s, &item);

	if (rc == TT_EAGAIN && c->kind == RECV)
		lin_wait(s, &model_of(s)->receivers, c->task);
	else
		lin_settle(s, c->task, rc, item, 0);
}

static void recv_two(struct lin_state *s, const struct lin_call *c)
{
	int items[2] = { 0, 0 }, n = 0, rc = 1;

	while (n < 2 && rc == 1) {
		rc = recv_now(s, &items[n]);
		n += rc == 1;
	}
	lin_settle(s, c->task, n > 0 ? n : rc, items[0], items[1]);
}

/* Of two arms that are ready either may be taken: that is, the one that was. It waits if neither is. */
static void select(struct lin_state *s, const struct lin_call *c)
{
	struct model *m = model_of(s);
	int item = 0;

	if (m->closed && c->rc == TT_ECLOSED)
		lin_give(s, c->task, TT_ECLOSED); /* a send is refused, whatever there is to receive */
	else if (c->rc == ON_SEND && send_now(s, c->arg) == 0)
		lin_give(s, c->task, ON_SEND);
	else if (recv_now(s, &item) == 1)
		lin_settle(s, c->task, ON_RECV, item, 0);
	else if (m->closed || send_now(s, c->arg) == 0)
		lin_wrong(s); /* it had to take that arm */
	else {
		lin_push(&m->receivers, c->task);
		lin_wait(s, &m->senders, c->task);
	}
}

static void reserve(struct lin_state *s, const struct lin_call *c)
{
	struct model *m = model_of(s);

	if (m->cap == 0) {
		lin_give(s, c->task, TT_EINVAL);
	} else if (m->closed) {
		lin_give(s, c->task, TT_ECLOSED);
	} else if (has_room(m)) {
		m->slots++;
		lin_give(s, c->task, 0);
	} else if (c->kind == RESERVE) {
		lin_wait(s, &m->senders, c->task);
	} else {
		lin_give(s, c->task, TT_EAGAIN);
	}
}

static void slot_back(struct lin_state *s, const struct lin_call *c)
{
	model_of(s)->slots--;
	if (c->kind == SLOT_SEND)
		bring(s, c->arg);
	grant_room(s);
	end_if_over(s);
	lin_give(s, c->task, 0);
}

static void enter(struct lin_state *s, const struct lin_call *c)
{
	struct model *m = model_of(s);

	switch ((enum kind)c->kind) {
	case SEND:
	case TRY_SEND: send(s, c); break;
	case RECV:
	case TRY_RECV: recv(s, c); break;
	case TRY_RECV_TWO: recv_two(s, c); break;
	case SELECT: select(s, c); break;
	case RESERVE:
	case TRY_RESERVE: reserve(s, c); break;
	case SLOT_SEND:
	case SLOT_DROP: slot_back(s, c); break;
	case LEN: lin_give(s, c->task, m->len); break;
	case CLOSE:
		close_it(s);
		lin_give(s, c->task, 0);
		break;
	}
}

static void leave(struct lin_state *s, const struct lin_call *c)
{
	get_out(model_of(s), c->task);
	lin_give(s, c->task, TT_ECANCELED);
}

static void print(const struct lin_state *s, char *buf, size_t n)
{
	const struct model *m = const_model_of(s);

	snprintf(buf, n, "%u items (%u %u), %u slots out, %u receivers, %u senders wait%s", m->len, m->ring[0], m->ring[1],
	         m->slots, m->receivers.n, m->senders.n, m->closed ? ", closed" : "");
}

const struct lin_spec lin_channel = {
	.name = "channel", .kinds = kinds, .n_kinds = LIN_COUNT(kinds), .params = 3,
	.open = open_channel, .close = close_channel, .adapt = adapt, .call = call, .tidy_up = tidy_up,
	.init = init, .enter = enter, .leave = leave, .print = print,
};

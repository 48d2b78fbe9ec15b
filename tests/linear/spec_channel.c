/* SPDX-License-Identifier: MIT */
/*
 * spec_channel.c - <tutti/channel.h>: a channel of capacity 0, 1 or 2, and (sized) one that is
 * bounded in bytes too, with blocking and trying sends and receives, selects that would do either,
 * slots, several at once, its length, and closing at any time.
 *
 * Several at once are several steps with others in between: send_two sends one, and in line anew
 * the other; recv_two takes one, then what is there, then waits in line for as long as it lingers. What
 * ends its wait before that is a cancel, and then it returns what it has.
 */
#include "specs.h"

#include <stdio.h>
#include <string.h>

/* The bytes of an item: 1 to 3. */
static size_t size_of(int item)
{
	return 1 + (size_t)item % 3;
}

TT_CHAN_TYPE_SIZED(int_chan, int, size_of);

enum kind {
	SEND, TRY_SEND, SEND_TWO, RECV, TRY_RECV, RECV_TWO, TRY_RECV_TWO, SELECT, RESERVE, TRY_RESERVE, SLOT_SEND, SLOT_DROP, LEN,
	CLOSE
};
enum { ON_RECV, ON_SEND };                   /* the arms of the select, and its results */

static const struct lin_kind kinds[] = {
	[SEND] = { "send", 8, LIN_UNIQUE, true },
	[TRY_SEND] = { "try_send", 3, LIN_UNIQUE, false },
	[SEND_TWO] = { "send_many", 4, LIN_UNIQUE, true },
	[RECV] = { "recv", 9, 0, true },
	[TRY_RECV] = { "try_recv", 3, 0, false },
	[RECV_TWO] = { "recv_many", 5, 3, true }, /* lingers: lingers[argument] */
	[TRY_RECV_TWO] = { "try_recv_many", 1, 0, false },
	[SELECT] = { "select_recv_or_send", 4, LIN_UNIQUE, true },
	[RESERVE] = { "reserve", 3, LIN_UNIQUE, true },
	[TRY_RESERVE] = { "try_reserve", 1, LIN_UNIQUE, false },
	[SLOT_SEND] = { "slot_send", 0, LIN_UNIQUE, false },
	[SLOT_DROP] = { "slot_drop", 0, 0, false },
	[LEN] = { "len", 1, 0, false },
	[CLOSE] = { "close", 1, 0, false },
};

static const int64_t lingers[] = { 0, TT_US(2), TT_US(25) };

/* The second item of a send_two: nobody else's. */
static int second_of(int item)
{
	return item + LIN_TASKS * LIN_PLAN;
}

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

/* How many items and bytes. Larger ones than that pass alone. */
static const struct { uint8_t cap, bytes; } bounds[] = { { 2, 2 }, { 3, 4 } };

static void open_sized(struct lin_run *r)
{
	REQUIRE_OK(tt_chan_init_bytes(&object_of(r)->ch, bounds[r->program->param].cap, bounds[r->program->param].bytes));
}

static bool is_sized(const struct lin_run *r)
{
	return r->spec == &lin_sized;
}

static void close_channel(struct lin_run *r)
{
	tt_chan_fini(&object_of(r)->ch);
}

/* Who holds a slot uses it, if what it has got fits, or gives it back before it asks for another. */
static bool adapt(struct lin_run *r, struct lin_call *c)
{
	const tt_slot *slot = &object_of(r)->slots[c->task];
	bool fits = !is_sized(r) || size_of(c->arg) <= slot->tt_weight_;

	if (slot->tt_chan_ != NULL && (c->kind == RESERVE || c->kind == TRY_RESERVE))
		c->kind = c->arg % 4 == 0 || !fits ? SLOT_DROP : SLOT_SEND;
	return true;
}

static bool tidy_up(struct lin_run *r, struct lin_call *c)
{
	c->kind = SLOT_DROP;
	return object_of(r)->slots[c->task].tt_chan_ != NULL;
}

static void send_many(struct object *o, struct lin_call *c)
{
	int items[2] = { c->arg, second_of(c->arg) };
	size_t done = 77;

	c->rc = tt_send_many(&o->ch, items, 2, &done);
	c->value = (int)done;
}

static void recv_many(struct object *o, struct lin_call *c)
{
	int64_t began = tt_now(), linger = lingers[c->arg];
	int got[2] = { 0, 0 };

	c->rc = tt_recv_many(&o->ch, got, 2, linger);
	c->lingered = tt_now() - began >= linger;
	c->value = got[0];
	c->more = got[1];
}

static int reserve_one(struct lin_run *r, const struct lin_call *c, tt_slot *slot)
{
	int_chan *ch = &object_of(r)->ch;
	size_t size = size_of(c->arg);

	if (is_sized(r))
		return c->kind == RESERVE ? tt_reserve_bytes(ch, size, slot) : tt_try_reserve_bytes(ch, size, slot);
	return c->kind == RESERVE ? tt_reserve(ch, slot) : tt_try_reserve(ch, slot);
}

static void call(struct lin_run *r, struct lin_call *c)
{
	struct object *o = object_of(r);
	tt_slot *slot = &o->slots[c->task];
	int got[2] = { 0, 0 };

	switch ((enum kind)c->kind) {
	case SEND: c->rc = tt_send(&o->ch, &c->arg); break;
	case TRY_SEND: c->rc = tt_try_send(&o->ch, &c->arg); break;
	case SEND_TWO: send_many(o, c); break;
	case RECV: c->rc = tt_recv(&o->ch, &c->value); break;
	case TRY_RECV: c->rc = tt_try_recv(&o->ch, &c->value); break;
	case RECV_TWO: recv_many(o, c); break;
	case TRY_RECV_TWO:
		c->rc = tt_try_recv_many(&o->ch, got, 2);
		c->value = got[0];
		c->more = got[1];
		break;
	case SELECT:
		c->rc = tt_select([ON_RECV] = TT_ON_RECV(&o->ch, &c->value), [ON_SEND] = TT_ON_SEND(&o->ch, &c->arg));
		break;
	case RESERVE:
	case TRY_RESERVE: c->rc = reserve_one(r, c, slot); break;
	case SLOT_SEND: (tt_slot_send)(slot, &c->arg); break;
	case SLOT_DROP: tt_slot_drop(slot); break;
	case LEN: c->rc = (int)tt_chan_len(&o->ch); break;
	case CLOSE: tt_chan_close(&o->ch); break;
	}
}

/* ---- the model ---- */

/* How far several at once have come. */
enum stage {
	NONE_YET,
	ONE,                                 /* one is sent or taken */
	ONE_LINGERS                          /* one is taken, more were not there */
};

struct model {
	uint8_t cap, len, slots, closed;
	uint8_t bytes_max, bytes;            /* of items and slots; 0: they have none */
	uint8_t ring[3];                     /* the oldest first */
	struct lin_queue receivers, senders; /* senders: who waits for a slot, too */
	/* Of each task: */
	uint8_t stage[LIN_TASKS];            /* enum stage, while a call is under way */
	uint8_t got[LIN_TASKS];              /* the first item of a recv_two */
	uint8_t reserved[LIN_TASKS];         /* the bytes of its slot */
	bool cancelled[LIN_TASKS];           /* somebody cancels its call, or all */
	bool all_cancelled;
};

LIN_MODEL(struct model)

static void init(struct lin_state *s, unsigned param)
{
	model_of(s)->cap = (uint8_t)param;
}

static void init_sized(struct lin_state *s, unsigned param)
{
	model_of(s)->cap = bounds[param].cap;
	model_of(s)->bytes_max = bounds[param].bytes;
}

static uint8_t weight_of(const struct model *m, int item)
{
	return m->bytes_max > 0 ? (uint8_t)size_of(item) : 0;
}

static bool has_room(const struct model *m, uint8_t weight)
{
	unsigned used = m->len + m->slots;

	return used < m->cap && (used == 0 || m->bytes + weight <= m->bytes_max || m->bytes_max == 0);
}

/* With bytes there may be room that the first in line waits to grow. */
static bool may_enter(const struct model *m, uint8_t weight)
{
	return m->senders.n == 0 && has_room(m, weight);
}

static void put(struct model *m, int item)
{
	m->ring[m->len++] = (uint8_t)item;
	m->bytes = (uint8_t)(m->bytes + weight_of(m, item));
}

static int take(struct model *m)
{
	int item = m->ring[0];

	m->ring[0] = m->ring[1];
	m->ring[1] = m->ring[2];
	m->ring[2] = 0;
	m->len--;
	m->bytes = (uint8_t)(m->bytes - weight_of(m, item));
	return item;
}

static void take_slot(struct model *m, const struct lin_call *c)
{
	m->slots++;
	m->reserved[c->task] = weight_of(m, c->arg);
	m->bytes = (uint8_t)(m->bytes + m->reserved[c->task]);
}

/* Its wait is over; a select stood in both lines. */
static void get_out(struct model *m, unsigned task)
{
	lin_remove(&m->receivers, task);
	lin_remove(&m->senders, task);
}

static bool sends(const struct lin_call *c)
{
	return c->kind == SEND || c->kind == SEND_TWO || c->kind == SELECT;
}

/* What it waits to send, or sends next; or the item that a slot is for. */
static int item_of(const struct lin_state *s, const struct lin_call *c)
{
	return c->kind == SEND_TWO && const_model_of(s)->stage[c->task] == ONE ? second_of(c->arg) : c->arg;
}

/* The call is over with this; what is remembered of it goes. */
static void end_call(struct lin_state *s, unsigned task, int rc, int value, int more)
{
	model_of(s)->stage[task] = NONE_YET;
	model_of(s)->got[task] = 0;
	lin_settle(s, task, rc, value, more);
}

/* A send_two says how many it sent, and a recv_two what it took: all others nothing but the code. */
static void end_with(struct lin_state *s, unsigned task, int rc)
{
	struct model *m = model_of(s);

	if (s->calls[task]->kind == SEND_TWO)
		end_call(s, task, rc, m->stage[task], 0);
	else if (m->got[task] != 0)
		end_call(s, task, 1, m->got[task], 0);
	else
		end_call(s, task, rc, 0, 0);
}

static void has_sent(struct lin_state *s, unsigned task)
{
	struct model *m = model_of(s);
	unsigned kind = s->calls[task]->kind;

	get_out(m, task);
	if (kind == SEND_TWO && m->stage[task] == NONE_YET) {
		m->stage[task] = ONE;
		s->phase[task] = LIN_MOVES;
	} else {
		end_call(s, task, kind == SELECT ? ON_SEND : 0, kind == SEND_TWO ? 2 : 0, 0);
	}
}

static void has_received(struct lin_state *s, unsigned task, int item)
{
	struct model *m = model_of(s);
	unsigned kind = s->calls[task]->kind;

	get_out(m, task);
	if (kind == RECV_TWO && m->stage[task] == NONE_YET) {
		m->stage[task] = ONE;
		m->got[task] = (uint8_t)item;
		s->phase[task] = LIN_MOVES;
	} else if (kind == RECV_TWO) {
		end_call(s, task, 2, m->got[task], item);
	} else {
		end_call(s, task, kind == SELECT ? ON_RECV : 1, item, 0);
	}
}

static bool first_has_room(const struct lin_state *s)
{
	const struct model *m = const_model_of(s);
	const struct lin_call *c;

	if (m->senders.n == 0)
		return false;
	c = s->calls[m->senders.task[0]];
	return has_room(m, weight_of(m, item_of(s, c)));
}

/* Who waits for room gets it, in order. */
static void grant_room(struct lin_state *s)
{
	struct model *m = model_of(s);

	while (first_has_room(s)) {
		const struct lin_call *c = s->calls[m->senders.task[0]];

		if (c->kind == RESERVE)
			take_slot(m, c);
		else
			put(m, item_of(s, c));
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
		end_with(s, task, s->calls[task]->kind == SELECT ? TT_ECLOSED : 0);
	}
}

static void close_it(struct lin_state *s)
{
	struct model *m = model_of(s);

	m->closed = 1;
	while (m->senders.n > 0) {
		unsigned task = m->senders.task[0];

		get_out(m, task);
		end_with(s, task, TT_ECLOSED);
	}
	end_if_over(s);
}

/* 0, TT_ECLOSED, or -EAGAIN. */
static int send_now(struct lin_state *s, int item)
{
	struct model *m = model_of(s);

	if (m->closed)
		return TT_ECLOSED;
	if (m->receivers.n == 0 && !may_enter(m, weight_of(m, item)))
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
		*ret_item = item_of(s, c);
		has_sent(s, c->task);
		grant_room(s); /* it may have been the larger one in front */
		return 1;
	}
	return m->closed && m->slots == 0 ? 0 : TT_EAGAIN;
}

static void send(struct lin_state *s, const struct lin_call *c)
{
	int rc = send_now(s, item_of(s, c));

	if (rc == TT_EAGAIN && c->kind != TRY_SEND)
		lin_wait(s, &model_of(s)->senders, c->task);
	else if (rc == 0)
		has_sent(s, c->task);
	else
		end_with(s, c->task, rc);
}

static void recv(struct lin_state *s, const struct lin_call *c)
{
	int item = 0, rc = recv_now(s, &item);

	if (rc == TT_EAGAIN && c->kind != TRY_RECV)
		lin_wait(s, &model_of(s)->receivers, c->task);
	else if (rc == 1)
		has_received(s, c->task, item);
	else
		end_with(s, c->task, rc);
}

/* It has one. More that is there it takes at once, and if there is none it lingers: in line, later. */
static void recv_more(struct lin_state *s, const struct lin_call *c)
{
	struct model *m = model_of(s);
	int item = 0, rc;

	if (m->stage[c->task] == ONE_LINGERS) {
		recv(s, c);
		return;
	}
	rc = recv_now(s, &item);
	if (rc == 1)
		has_received(s, c->task, item);
	else if (rc == 0 || lingers[c->arg] == 0)
		end_with(s, c->task, rc);
	else
		m->stage[c->task] = ONE_LINGERS;
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
	} else if (may_enter(m, weight_of(m, c->arg))) {
		take_slot(m, c);
		lin_give(s, c->task, 0);
	} else if (c->kind == RESERVE) {
		lin_wait(s, &m->senders, c->task);
	} else {
		lin_give(s, c->task, TT_EAGAIN);
	}
}

static void slot_back(struct lin_state *s, const struct lin_call *c)
{
	struct model *m = model_of(s);

	m->slots--;
	m->bytes = (uint8_t)(m->bytes - m->reserved[c->task]);
	m->reserved[c->task] = 0;
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
	case TRY_SEND:
	case SEND_TWO: send(s, c); break;
	case RECV:
	case TRY_RECV:
	case RECV_TWO: recv(s, c); break;
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

static void move(struct lin_state *s, const struct lin_call *c)
{
	if (c->kind == SEND_TWO)
		send(s, c);
	else
		recv_more(s, c);
}

/* What a recv_two has it returns whatever happens: it does not say that it was cancelled. */
static void leave(struct lin_state *s, const struct lin_call *c)
{
	get_out(model_of(s), c->task);
	end_with(s, c->task, TT_ECANCELED);
}

/* It has done one of two and goes with that: cancelled, or its linger is up. */
static bool may_give_up(const struct lin_state *s, const struct lin_call *c)
{
	const struct model *m = const_model_of(s);
	bool cancelled = c != NULL && (m->cancelled[c->task] || m->all_cancelled || c->timed_out);

	if (c == NULL || s->phase[c->task] == LIN_DONE)
		return false;
	if (m->stage[c->task] == ONE_LINGERS)
		return c->rc == 1 && (cancelled || c->lingered);
	/* The first step of a second send is to look for a cancel. */
	return c->kind == SEND_TWO && m->stage[c->task] == ONE && c->rc == TT_ECANCELED && cancelled;
}

/* A large one that has left the line uncovers one that fits. */
static bool own_step(struct lin_state *s, unsigned n)
{
	if (first_has_room(s) && n-- == 0) {
		grant_room(s);
		return true;
	}
	for (unsigned task = 0; task < LIN_TASKS; task++) {
		if (!may_give_up(s, s->calls[task]) || n-- > 0)
			continue;
		leave(s, s->calls[task]);
		return true;
	}
	return false;
}

/* Who is cancelled: the checker knows it for who returns that. */
static bool event(struct lin_state *s, const struct lin_call *c, const struct lin_event *e)
{
	struct model *m = model_of(s);

	if (e->kind == LIN_INVOKE)
		m->cancelled[c->task] = false;
	else if (e->kind == LIN_CANCEL && s->calls[c->task] == c)
		m->cancelled[c->task] = true;
	else if (e->kind == LIN_CANCEL_ALL)
		m->all_cancelled = true;
	return true;
}

static bool quiet(const struct lin_state *s)
{
	return !first_has_room(s);
}

static void print(const struct lin_state *s, char *buf, size_t n)
{
	const struct model *m = const_model_of(s);

	snprintf(buf, n, "%u items (%u %u %u), %u slots out, %u of %u bytes, %u receivers, %u senders wait%s", m->len,
	         m->ring[0], m->ring[1], m->ring[2], m->slots, m->bytes, m->bytes_max, m->receivers.n, m->senders.n,
	         m->closed ? ", closed" : "");
}

const struct lin_spec lin_channel = {
	.name = "channel", .kinds = kinds, .n_kinds = LIN_COUNT(kinds), .params = 3,
	.open = open_channel, .close = close_channel, .adapt = adapt, .call = call, .tidy_up = tidy_up,
	.init = init, .enter = enter, .leave = leave, .move = move, .own_step = own_step, .event = event, .quiet = quiet,
	.print = print,
};

const struct lin_spec lin_sized = {
	.name = "sized", .kinds = kinds, .n_kinds = LIN_COUNT(kinds), .params = LIN_COUNT(bounds),
	.open = open_sized, .close = close_channel, .adapt = adapt, .call = call, .tidy_up = tidy_up,
	.init = init_sized, .enter = enter, .leave = leave, .move = move, .own_step = own_step, .event = event,
	.quiet = quiet, .print = print,
};

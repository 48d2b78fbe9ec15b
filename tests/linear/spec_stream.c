/* SPDX-License-Identifier: MIT */
/*
 * spec_stream.c - <tutti/broadcast.h> with a ring of 1 or 2 items, so that subscribers fall
 * behind; and <tutti/watch.h>. Each task is one subscriber, one reader.
 *
 * Of a watch: who was woken takes the latest value at the moment it runs, so that is a step of
 * its own. How far a reader has seen is checked with every call, cancelled ones included.
 */
#include "specs.h"

#include <stdio.h>

TT_BROADCAST_TYPE(int_news, int);
TT_WATCH_TYPE(int_watch, int);

enum broadcast_kind { NEWS_SEND, NEWS_RECV, NEWS_TRY_RECV, NEWS_SUBSCRIBE, NEWS_MISSED, NEWS_CLOSE };
enum watch_kind { WATCH_SET, WATCH_GET, WATCH_CHANGED, WATCH_CLOSE };

static const struct lin_kind broadcast_kinds[] = {
	[NEWS_SEND] = { "send", 8, LIN_UNIQUE, false },
	[NEWS_RECV] = { "recv", 8, 0, true },
	[NEWS_TRY_RECV] = { "try_recv", 2, 0, false },
	[NEWS_SUBSCRIBE] = { "subscribe", 1, 0, false },
	[NEWS_MISSED] = { "missed", 1, 0, false },
	[NEWS_CLOSE] = { "close", 1, 0, false },
};

static const struct lin_kind watch_kinds[] = {
	[WATCH_SET] = { "set", 6, LIN_UNIQUE, false },
	[WATCH_GET] = { "get", 2, 0, false },
	[WATCH_CHANGED] = { "changed", 9, 0, true },
	[WATCH_CLOSE] = { "close", 1, 0, false },
};

#define FIRST_VALUE 99

/* ---- the real ones ---- */

struct object {
	int_news news;
	int_news_sub subs[LIN_TASKS];
	int_watch watch;
	uint64_t seen[LIN_TASKS];
};

static struct object *object_of(struct lin_run *r)
{
	return (struct object *)(void *)r->object;
}

static void open_broadcast(struct lin_run *r)
{
	struct object *o = object_of(r);

	REQUIRE_OK(tt_broadcast_init(&o->news, 1 + r->program->param));
	for (unsigned task = 0; task < LIN_TASKS; task++)
		tt_subscribe(&o->news, &o->subs[task]);
}

static void close_broadcast(struct lin_run *r)
{
	tt_broadcast_fini(&object_of(r)->news);
}

static void call_broadcast(struct lin_run *r, struct lin_call *c)
{
	struct object *o = object_of(r);
	int_news_sub *sub = &o->subs[c->task];
	uint64_t missed = 0;

	switch ((enum broadcast_kind)c->kind) {
	case NEWS_SEND: c->rc = tt_broadcast_send(&o->news, &c->arg); break;
	case NEWS_RECV: c->rc = tt_broadcast_recv(sub, &c->value, &missed); break;
	case NEWS_TRY_RECV: c->rc = tt_broadcast_try_recv(sub, &c->value, &missed); break;
	case NEWS_SUBSCRIBE: tt_subscribe(&o->news, sub); break;
	case NEWS_MISSED: c->rc = (int)tt_broadcast_missed(sub); break;
	case NEWS_CLOSE: tt_broadcast_close(&o->news); break;
	}
	c->more = (int)missed;
}

static void open_watch(struct lin_run *r)
{
	static const int first = FIRST_VALUE;

	tt_watch_init(&object_of(r)->watch, &first);
}

static void close_watch(struct lin_run *r)
{
	tt_watch_fini(&object_of(r)->watch);
}

static void call_watch(struct lin_run *r, struct lin_call *c)
{
	struct object *o = object_of(r);
	uint64_t *seen = &o->seen[c->task];

	switch ((enum watch_kind)c->kind) {
	case WATCH_SET: c->rc = tt_watch_set(&o->watch, &c->arg); break;
	case WATCH_GET: c->rc = (int)tt_watch_get(&o->watch, &c->value); break;
	case WATCH_CHANGED:
		c->rc = tt_watch_changed(&o->watch, seen, &c->value);
		c->more = (int)*seen;
		break;
	case WATCH_CLOSE: tt_watch_close(&o->watch); break;
	}
}

/* ---- the models ---- */

struct model {
	uint8_t cap, sent, closed;           /* broadcast */
	uint8_t items[LIN_TASKS * LIN_PLAN];
	uint8_t next[LIN_TASKS], missed[LIN_TASKS];
	uint8_t value, number, seen[LIN_TASKS]; /* watch */
	struct lin_queue waiters;
};

LIN_MODEL(struct model)

static void init_broadcast(struct lin_state *s, unsigned param)
{
	model_of(s)->cap = (uint8_t)(1 + param);
}

static void send(struct lin_state *s, const struct lin_call *c)
{
	struct model *m = model_of(s);

	if (m->closed) {
		lin_give(s, c->task, TT_ECLOSED);
		return;
	}
	m->items[m->sent++] = (uint8_t)c->arg;
	/* Who waits has seen all the others. */
	while (m->waiters.n > 0) {
		unsigned task = lin_pop(&m->waiters);

		m->next[task]++;
		lin_settle(s, task, 1, c->arg, 0);
	}
	lin_give(s, c->task, 0);
}

static void recv(struct lin_state *s, const struct lin_call *c)
{
	struct model *m = model_of(s);
	uint8_t *next = &m->next[c->task];
	int behind = m->sent - *next, lost = behind - m->cap;

	if (lost > 0) {
		*next = (uint8_t)(*next + lost);
		m->missed[c->task] = (uint8_t)(m->missed[c->task] + lost);
		lin_settle(s, c->task, TT_EOVERFLOW, 0, lost);
	} else if (behind > 0) {
		lin_settle(s, c->task, 1, m->items[(*next)++], 0);
	} else if (m->closed) {
		lin_give(s, c->task, 0);
	} else if (c->kind == NEWS_RECV) {
		lin_wait(s, &m->waiters, c->task);
	} else {
		lin_give(s, c->task, TT_EAGAIN);
	}
}

static void enter_broadcast(struct lin_state *s, const struct lin_call *c)
{
	struct model *m = model_of(s);

	switch ((enum broadcast_kind)c->kind) {
	case NEWS_SEND: send(s, c); break;
	case NEWS_RECV:
	case NEWS_TRY_RECV: recv(s, c); break;
	case NEWS_SUBSCRIBE:
		m->next[c->task] = m->sent;
		m->missed[c->task] = 0;
		lin_give(s, c->task, 0);
		break;
	case NEWS_MISSED: lin_give(s, c->task, m->missed[c->task]); break;
	case NEWS_CLOSE:
		m->closed = 1;
		lin_give_all(s, &m->waiters, 0);
		lin_give(s, c->task, 0);
		break;
	}
}

static void leave_broadcast(struct lin_state *s, const struct lin_call *c)
{
	lin_remove(&model_of(s)->waiters, c->task);
	lin_give(s, c->task, TT_ECANCELED);
}

static void print_broadcast(const struct lin_state *s, char *buf, size_t n)
{
	const struct model *m = const_model_of(s);

	snprintf(buf, n, "%u sent, next %u %u %u %u, %u wait%s", m->sent, m->next[0], m->next[1], m->next[2], m->next[3],
	         m->waiters.n, m->closed ? ", closed" : "");
}

static void init_watch(struct lin_state *s, unsigned param)
{
	(void)param;
	model_of(s)->value = FIRST_VALUE;
	model_of(s)->number = 1;
}

/* All who wait go on, to take what is latest then; or hear of the end. */
static void wake_readers(struct lin_state *s, bool end)
{
	struct model *m = model_of(s);

	while (m->waiters.n > 0) {
		unsigned task = lin_pop(&m->waiters);

		if (end)
			lin_settle(s, task, 0, 0, m->seen[task]);
		else
			s->phase[task] = LIN_MOVES;
	}
}

static void changed(struct lin_state *s, const struct lin_call *c)
{
	struct model *m = model_of(s);

	if (m->number != m->seen[c->task])
		s->phase[c->task] = LIN_MOVES;
	else if (m->closed)
		lin_settle(s, c->task, 0, 0, m->seen[c->task]);
	else
		lin_wait(s, &m->waiters, c->task);
}

static void move_watch(struct lin_state *s, const struct lin_call *c)
{
	struct model *m = model_of(s);

	m->seen[c->task] = m->number;
	lin_settle(s, c->task, 1, m->value, m->number);
}

static void enter_watch(struct lin_state *s, const struct lin_call *c)
{
	struct model *m = model_of(s);

	switch ((enum watch_kind)c->kind) {
	case WATCH_SET:
		if (!m->closed) {
			m->value = (uint8_t)c->arg;
			m->number++;
			wake_readers(s, false);
		}
		lin_give(s, c->task, m->closed ? TT_ECLOSED : 0);
		break;
	case WATCH_GET: lin_settle(s, c->task, m->number, m->value, 0); break;
	case WATCH_CHANGED: changed(s, c); break;
	case WATCH_CLOSE:
		m->closed = 1;
		wake_readers(s, true);
		lin_give(s, c->task, 0);
		break;
	}
}

static void leave_watch(struct lin_state *s, const struct lin_call *c)
{
	lin_remove(&model_of(s)->waiters, c->task);
	lin_settle(s, c->task, TT_ECANCELED, 0, model_of(s)->seen[c->task]);
}

static void print_watch(const struct lin_state *s, char *buf, size_t n)
{
	const struct model *m = const_model_of(s);

	snprintf(buf, n, "value %u, number %u, %u wait%s", m->value, m->number, m->waiters.n, m->closed ? ", closed" : "");
}

const struct lin_spec lin_broadcast = {
	.name = "broadcast", .kinds = broadcast_kinds, .n_kinds = LIN_COUNT(broadcast_kinds), .params = 2,
	.open = open_broadcast, .close = close_broadcast, .call = call_broadcast,
	.init = init_broadcast, .enter = enter_broadcast, .leave = leave_broadcast, .print = print_broadcast,
};

const struct lin_spec lin_watch = {
	.name = "watch", .kinds = watch_kinds, .n_kinds = LIN_COUNT(watch_kinds), .params = 1,
	.open = open_watch, .close = close_watch, .call = call_watch,
	.init = init_watch, .enter = enter_watch, .leave = leave_watch, .refuse = leave_watch, .move = move_watch,
	.print = print_watch,
};

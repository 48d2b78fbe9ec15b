/* SPDX-License-Identifier: MIT */
/*
 * spec_once.c - <tutti/once.h> in its three modes, and <tutti/singleflight.h> with two keys: a
 * body runs for one caller while others wait, its result goes to them, or its turn.
 *
 * Bodies run in the calls' own tasks, succeed or fail, at once or after a sleep that a cancel
 * may cut short. The history has their beginnings and ends, so the model sees who runs: one at
 * a time, whose turn it is, and of those that wait the first.
 */
#include "specs.h"

#include <stdio.h>

TT_FLIGHT_TYPE(int_flight, int);

enum kind { DO, IS_DONE };

/* What a body does; for flights also the key. */
enum { BODY_SLEEPS = 1, BODY_FAILS = 2, BODIES = 4, KEYS = 2 };

static const struct lin_kind once_kinds[] = {
	[DO] = { "once_do", 7, BODIES, true },
	[IS_DONE] = { "is_done", 1, 0, false },
};

static const struct lin_kind flight_kinds[] = {
	[DO] = { "flight_do", 1, BODIES * KEYS, true },
};

/* ---- the real ones ---- */

struct object {
	tt_once once;
	tt_once_options options;
	int_flight flight;
};

static struct object *object_of(struct lin_run *r)
{
	return (struct object *)(void *)r->object;
}

/* The body was not run for this call: its result is another's. */
static void not_run(struct lin_call *c)
{
	c->more++;
}

static int body_result(struct lin_run *r, struct lin_call *c)
{
	int n = (int)lin_call_index(r, c) + 1;

	if ((c->arg & BODY_SLEEPS) != 0)
		TT_TRY(lin_sleep(r, TT_US(5 + n % 16)));
	return (c->arg & BODY_FAILS) != 0 ? TT_ERROR_DOMAIN_FIRST - n : n;
}

static TT_TASK(lin_body, (struct lin_run *, r), (struct lin_call *, c, not_run))
{
	lin_log(r, LIN_BEGIN, lin_call_index(r, c), 0, 0);
	c->rc_body = body_result(r, c);
	lin_log(r, LIN_END, lin_call_index(r, c), 0, 0);
	return c->rc_body;
}

/* A flight gives its number as the value. */
static TT_TASK(lin_flight_body, (struct lin_run *, r), (struct lin_call *, c, not_run))
{
	int rc = lin_body(r, c);

	if (rc >= 0)
		c->value = rc;
	return rc;
}

static void open_once(struct lin_run *r)
{
	struct object *o = object_of(r);

	o->options = (tt_once_options){ .mode = (enum tt_once_mode)r->program->param };
	tt_once_init(&o->once, &o->options);
}

static void close_once(struct lin_run *r)
{
	tt_once_fini(&object_of(r)->once);
}

static void call_once(struct lin_run *r, struct lin_call *c)
{
	if (c->kind == DO)
		c->rc = tt_once_do(&object_of(r)->once, lin_body, r, c);
	else
		c->rc = tt_once_is_done(&object_of(r)->once);
}

static void open_flight(struct lin_run *r)
{
	tt_flight_init(&object_of(r)->flight);
}

static void close_flight(struct lin_run *r)
{
	tt_flight_fini(&object_of(r)->flight);
}

static void call_flight(struct lin_run *r, struct lin_call *c)
{
	static const char *const keys[KEYS] = { "key", "yek" };
	tt_key key = tt_key_text(keys[c->arg / BODIES]);

	c->rc = tt_flight_do(&object_of(r)->flight, key, &c->value, lin_flight_body, r, c);
}

/* ---- the models ---- */

enum state { IDLE, BUSY, DONE, FAILED };

struct model {
	uint8_t mode;                        /* of the once */
	uint8_t state[KEYS];                 /* a once is one key; a flight is IDLE or BUSY */
	struct lin_queue waiters[KEYS];
	uint8_t late[LIN_TASKS];             /* the task's call began after success */
	int rc;                              /* of DONE and FAILED */
};

LIN_MODEL(struct model)

static void init_once(struct lin_state *s, unsigned param)
{
	model_of(s)->mode = (uint8_t)param;
}

static void init_flight(struct lin_state *s, unsigned param)
{
	(void)s;
	(void)param;
}

static unsigned key_of(const struct lin_call *c)
{
	return (unsigned)c->arg / BODIES;
}

static void enter(struct lin_state *s, const struct lin_call *c)
{
	struct model *m = model_of(s);
	unsigned key = key_of(c);

	if (c->kind == IS_DONE) {
		lin_give(s, c->task, m->state[0] == DONE);
	} else if (m->state[key] == IDLE) {
		m->state[key] = BUSY;
		s->phase[c->task] = LIN_DUE;
	} else if (m->state[key] == BUSY) {
		lin_wait(s, &m->waiters[key], c->task);
	} else {
		lin_settle(s, c->task, m->rc, 0, 1);
	}
}

/* A call that begins after success is no checkpoint. */
static void refuse(struct lin_state *s, const struct lin_call *c)
{
	if (model_of(s)->late[c->task])
		lin_wrong(s);
	lin_settle(s, c->task, TT_ECANCELED, 0, 1);
}

static void leave(struct lin_state *s, const struct lin_call *c)
{
	lin_remove(&model_of(s)->waiters[key_of(c)], c->task);
	lin_settle(s, c->task, TT_ECANCELED, 0, 1);
}

static bool event(struct lin_state *s, const struct lin_call *c, const struct lin_event *e)
{
	if (e->kind == LIN_INVOKE) {
		model_of(s)->late[c->task] = model_of(s)->state[0] == DONE;
		return true;
	}
	if (e->kind != LIN_BEGIN && e->kind != LIN_END)
		return true;
	if (s->phase[c->task] != (e->kind == LIN_BEGIN ? LIN_DUE : LIN_BLOCKED))
		return false;
	s->phase[c->task] = e->kind == LIN_BEGIN ? LIN_BLOCKED : LIN_MOVES;
	/* Behind its shield nothing cancels it. */
	return e->kind == LIN_BEGIN || model_of(s)->mode != TT_ONCE_PROTECT || c->rc_body != TT_ECANCELED;
}

static void hand_over(struct lin_state *s, unsigned key)
{
	struct model *m = model_of(s);

	if (m->waiters[key].n > 0)
		s->phase[lin_pop(&m->waiters[key])] = LIN_DUE;
	else
		m->state[key] = IDLE;
}

static void settle_once(struct lin_state *s, const struct lin_call *c)
{
	struct model *m = model_of(s);
	int rc = c->rc_body;

	if (rc >= 0 || (m->mode == TT_ONCE_RECORD && rc != TT_ECANCELED)) {
		m->state[0] = rc >= 0 ? DONE : FAILED;
		m->rc = rc;
		while (m->waiters[0].n > 0)
			lin_settle(s, lin_pop(&m->waiters[0]), rc, 0, 1);
	} else {
		hand_over(s, 0);
	}
	lin_settle(s, c->task, rc, 0, 0);
}

static void settle_flight(struct lin_state *s, const struct lin_call *c)
{
	struct model *m = model_of(s);
	unsigned key = key_of(c);
	int rc = c->rc_body, value = rc >= 0 ? rc : 0;

	if (rc == TT_ECANCELED) {
		hand_over(s, key);
	} else {
		m->state[key] = IDLE;
		while (m->waiters[key].n > 0)
			lin_settle(s, lin_pop(&m->waiters[key]), rc, value, 1);
	}
	lin_settle(s, c->task, rc, value, 0);
}

static void print(const struct lin_state *s, char *buf, size_t n)
{
	static const char *const states[] = { "idle", "busy", "done", "failed" };
	const struct model *m = const_model_of(s);

	snprintf(buf, n, "%s, %u wait; key 1: %s, %u wait; result %d", states[m->state[0]], m->waiters[0].n,
	         states[m->state[1]], m->waiters[1].n, m->rc);
}

const struct lin_spec lin_once = {
	.name = "once", .kinds = once_kinds, .n_kinds = LIN_COUNT(once_kinds), .params = 3,
	.open = open_once, .close = close_once, .call = call_once,
	.init = init_once, .enter = enter, .leave = leave, .refuse = refuse, .move = settle_once,
	.event = event, .print = print,
};

const struct lin_spec lin_flight = {
	.name = "flight", .kinds = flight_kinds, .n_kinds = LIN_COUNT(flight_kinds), .params = 1,
	.open = open_flight, .close = close_flight, .call = call_flight,
	.init = init_flight, .enter = enter, .leave = leave, .refuse = refuse, .move = settle_flight,
	.event = event, .print = print,
};

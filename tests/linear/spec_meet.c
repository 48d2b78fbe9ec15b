/* SPDX-License-Identifier: MIT */
/*
 * spec_meet.c - where tasks meet: <tutti/notify.h>, and the barrier and the latch of
 * <tutti/barrier.h>.
 *
 * A barrier's round is complete for all or for nobody, with one leader; a party that is
 * cancelled, at the door too, breaks it. A latch is never counted down further than to 0.
 */
#include "specs.h"

#include <stdio.h>

enum notify_kind { NOTIFY_WAIT, NOTIFY_ONE, NOTIFY_ALL };
enum barrier_kind { BARRIER_WAIT, BARRIER_BREAK, BARRIER_RESET, BARRIER_IS_BROKEN };
enum latch_kind { LATCH_WAIT, LATCH_TRY_WAIT, LATCH_COUNT_DOWN };

static const struct lin_kind notify_kinds[] = {
	[NOTIFY_WAIT] = { "notify_wait", 8, 0, true },
	[NOTIFY_ONE] = { "notify_one", 5, 0, false },
	[NOTIFY_ALL] = { "notify_all", 2, 0, false },
};

static const struct lin_kind barrier_kinds[] = {
	[BARRIER_WAIT] = { "barrier_wait", 14, 0, true },
	[BARRIER_BREAK] = { "break", 1, 0, false },
	[BARRIER_RESET] = { "reset", 4, 0, false },
	[BARRIER_IS_BROKEN] = { "is_broken", 2, 0, false },
};

static const struct lin_kind latch_kinds[] = {
	[LATCH_WAIT] = { "latch_wait", 5, 0, true },
	[LATCH_TRY_WAIT] = { "try_wait", 3, 0, false },
	[LATCH_COUNT_DOWN] = { "count_down", 4, 0, false },
};

/* ---- the real ones ---- */

struct object {
	union {
		tt_notify notify;
		tt_barrier barrier;
		tt_latch latch;
	};
	tti_atomic_u32 counts;               /* that may still be taken from the latch */
};

static struct object *object_of(struct lin_run *r)
{
	return (struct object *)(void *)r->object;
}

static void open_notify(struct lin_run *r)
{
	tt_notify_init(&object_of(r)->notify);
}

static void close_notify(struct lin_run *r)
{
	tt_notify_fini(&object_of(r)->notify);
}

static void open_barrier(struct lin_run *r)
{
	tt_barrier_init(&object_of(r)->barrier, 1 + r->program->param);
}

static void close_barrier(struct lin_run *r)
{
	tt_barrier_fini(&object_of(r)->barrier);
}

static void open_latch(struct lin_run *r)
{
	tt_latch_init(&object_of(r)->latch, r->program->param);
	object_of(r)->counts.v = r->program->param;
}

static void close_latch(struct lin_run *r)
{
	tt_latch_fini(&object_of(r)->latch);
}

static bool adapt_latch(struct lin_run *r, struct lin_call *c)
{
	tti_atomic_u32 *left = &object_of(r)->counts;
	/* relaxed: tickets; nothing else hangs on them. */
	uint32_t seen = tti_load_relaxed(left);

	if (c->kind != LATCH_COUNT_DOWN)
		return true;
	/* relaxed: as above. */
	while (seen > 0 && !tti_cas_relaxed(left, &seen, seen - 1))
		continue;
	return seen > 0;
}

static void call_notify(struct lin_run *r, struct lin_call *c)
{
	tt_notify *n = &object_of(r)->notify;

	switch ((enum notify_kind)c->kind) {
	case NOTIFY_WAIT: c->rc = tt_notify_wait(n); break;
	case NOTIFY_ONE: tt_notify_one(n); break;
	case NOTIFY_ALL: tt_notify_all(n); break;
	}
}

static void call_barrier(struct lin_run *r, struct lin_call *c)
{
	tt_barrier *b = &object_of(r)->barrier;

	switch ((enum barrier_kind)c->kind) {
	case BARRIER_WAIT: c->rc = tt_barrier_wait(b); break;
	case BARRIER_BREAK: tt_barrier_break(b); break;
	case BARRIER_RESET: tt_barrier_reset(b); break;
	case BARRIER_IS_BROKEN: c->rc = tt_barrier_is_broken(b); break;
	}
}

static void call_latch(struct lin_run *r, struct lin_call *c)
{
	tt_latch *l = &object_of(r)->latch;

	switch ((enum latch_kind)c->kind) {
	case LATCH_WAIT: c->rc = tt_latch_wait(l); break;
	case LATCH_TRY_WAIT: c->rc = tt_latch_try_wait(l); break;
	case LATCH_COUNT_DOWN: tt_latch_count_down(l); break;
	}
}

/* ---- the models ---- */

struct model {
	uint8_t token;                       /* notify */
	uint8_t parties, broken;             /* barrier; who arrived waits */
	uint8_t gone;                        /* a bit for each who arrived, was cancelled, and has not said so */
	uint8_t left;                        /* latch */
	struct lin_queue waiters;
};

LIN_MODEL(struct model)

static void init_notify(struct lin_state *s, unsigned param)
{
	(void)s;
	(void)param;
}

static void enter_notify(struct lin_state *s, const struct lin_call *c)
{
	struct model *m = model_of(s);

	switch ((enum notify_kind)c->kind) {
	case NOTIFY_WAIT:
		if (m->token)
			m->token = 0;
		else
			lin_wait(s, &m->waiters, c->task);
		break;
	case NOTIFY_ONE:
		if (m->waiters.n > 0)
			lin_give(s, lin_pop(&m->waiters), 0);
		else
			m->token = 1;
		break;
	case NOTIFY_ALL:
		lin_give_all(s, &m->waiters, 0);
		break;
	}
	if (s->phase[c->task] == LIN_NEW)
		lin_give(s, c->task, 0);
}

static void init_barrier(struct lin_state *s, unsigned param)
{
	model_of(s)->parties = (uint8_t)(1 + param);
}

/* The round is over; who is gone belonged to it. */
static void break_barrier(struct lin_state *s)
{
	model_of(s)->broken = 1;
	model_of(s)->gone = 0;
	lin_give_all(s, &model_of(s)->waiters, TT_EBROKEN);
}

static void arrive(struct lin_state *s, unsigned task)
{
	struct model *m = model_of(s);
	int arrived = m->waiters.n + __builtin_popcount(m->gone);

	if (arrived + 1 == m->parties && m->gone != 0)
		break_barrier(s);
	if (m->broken) {
		lin_give(s, task, TT_EBROKEN);
	} else if (arrived + 1 == m->parties) {
		lin_give_all(s, &m->waiters, 0);
		lin_give(s, task, 1);
	} else {
		lin_wait(s, &m->waiters, task);
	}
}

static void enter_barrier(struct lin_state *s, const struct lin_call *c)
{
	struct model *m = model_of(s);

	switch ((enum barrier_kind)c->kind) {
	case BARRIER_WAIT:
		arrive(s, c->task);
		return;
	case BARRIER_BREAK:
		break_barrier(s);
		break;
	case BARRIER_RESET:
		break_barrier(s);
		m->broken = 0;
		break;
	case BARRIER_IS_BROKEN:
		lin_give(s, c->task, m->broken);
		return;
	}
	lin_give(s, c->task, 0);
}

/* Two of a round may be cancelled at once: each is told so, and then breaks it for the rest. */
static void leave_barrier(struct lin_state *s, const struct lin_call *c)
{
	lin_remove(&model_of(s)->waiters, c->task);
	model_of(s)->gone |= (uint8_t)(1 << c->task);
	s->phase[c->task] = LIN_MOVES;
}

static void move_barrier(struct lin_state *s, const struct lin_call *c)
{
	if ((model_of(s)->gone & 1 << c->task) != 0)
		break_barrier(s);
	lin_give(s, c->task, TT_ECANCELED);
}

/* Cancelled at the door: it will not come. */
static void refuse_barrier(struct lin_state *s, const struct lin_call *c)
{
	break_barrier(s);
	lin_give(s, c->task, TT_ECANCELED);
}

static void init_latch(struct lin_state *s, unsigned param)
{
	model_of(s)->left = (uint8_t)param;
}

static void enter_latch(struct lin_state *s, const struct lin_call *c)
{
	struct model *m = model_of(s);

	switch ((enum latch_kind)c->kind) {
	case LATCH_WAIT:
		if (m->left > 0)
			lin_wait(s, &m->waiters, c->task);
		else
			lin_give(s, c->task, 0);
		break;
	case LATCH_TRY_WAIT:
		lin_give(s, c->task, m->left > 0 ? TT_EAGAIN : 0);
		break;
	case LATCH_COUNT_DOWN:
		if (--m->left == 0)
			lin_give_all(s, &m->waiters, 0);
		lin_give(s, c->task, 0);
		break;
	}
}

static void leave(struct lin_state *s, const struct lin_call *c)
{
	lin_remove(&model_of(s)->waiters, c->task);
	lin_give(s, c->task, TT_ECANCELED);
}

static void print(const struct lin_state *s, char *buf, size_t n)
{
	const struct model *m = const_model_of(s);

	snprintf(buf, n, "token %u, parties %u%s, left %u, %u wait", m->token, m->parties, m->broken ? ", broken" : "",
	         m->left, m->waiters.n);
}

const struct lin_spec lin_notify = {
	.name = "notify", .kinds = notify_kinds, .n_kinds = LIN_COUNT(notify_kinds), .params = 1,
	.open = open_notify, .close = close_notify, .call = call_notify,
	.init = init_notify, .enter = enter_notify, .leave = leave, .print = print,
};

const struct lin_spec lin_barrier = {
	.name = "barrier", .kinds = barrier_kinds, .n_kinds = LIN_COUNT(barrier_kinds), .params = 3,
	.open = open_barrier, .close = close_barrier, .call = call_barrier,
	.init = init_barrier, .enter = enter_barrier, .leave = leave_barrier, .refuse = refuse_barrier,
	.move = move_barrier, .print = print,
};

const struct lin_spec lin_latch = {
	.name = "latch", .kinds = latch_kinds, .n_kinds = LIN_COUNT(latch_kinds), .params = 4,
	.open = open_latch, .close = close_latch, .adapt = adapt_latch, .call = call_latch,
	.init = init_latch, .enter = enter_latch, .leave = leave, .print = print,
};

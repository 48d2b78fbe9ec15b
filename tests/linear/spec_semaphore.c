/* SPDX-License-Identifier: MIT */
/*
 * spec_semaphore.c - <tutti/semaphore.h>: requests for 1 to 3 permits, served in order, also a
 * large one in front of small ones; releases, and closing at any time. A cancel in line is two
 * steps (lin_line).
 */
#include "specs.h"

#include <stdio.h>

enum kind { ACQUIRE, TRY_ACQUIRE, RELEASE, CLOSE };

static const struct lin_kind kinds[] = {
	[ACQUIRE] = { "acquire", 9, 3, true },     /* one more than the argument */
	[TRY_ACQUIRE] = { "try_acquire", 4, 2, false },
	[RELEASE] = { "release", 7, 3, false },
	[CLOSE] = { "close", 1, 0, false },
};

/* ---- the real one ---- */

struct object {
	tt_semaphore s;
};

static tt_semaphore *object_of(struct lin_run *r)
{
	return &((struct object *)(void *)r->object)->s;
}

static void open_semaphore(struct lin_run *r)
{
	tt_semaphore_init(object_of(r), r->program->param);
}

static void close_semaphore(struct lin_run *r)
{
	tt_semaphore_fini(object_of(r));
}

static void call(struct lin_run *r, struct lin_call *c)
{
	unsigned n = (unsigned)c->arg + 1;

	switch ((enum kind)c->kind) {
	case ACQUIRE: c->rc = tt_semaphore_acquire(object_of(r), n); break;
	case TRY_ACQUIRE: c->rc = tt_semaphore_try_acquire(object_of(r), n); break;
	case RELEASE: tt_semaphore_release(object_of(r), n); break;
	case CLOSE: tt_semaphore_close(object_of(r)); break;
	}
}

/* ---- the model ---- */

struct model {
	int permits;
	struct lin_line line;
	uint8_t closed;
};

LIN_MODEL(struct model)

static void init(struct lin_state *s, unsigned param)
{
	model_of(s)->permits = (int)param;
}

static bool grant(struct lin_state *s, const struct lin_call *c)
{
	struct model *m = model_of(s);

	if (c->arg + 1 > m->permits)
		return false;
	m->permits -= c->arg + 1;
	lin_give(s, c->task, 0);
	return true;
}

static bool refuse(struct lin_state *s, const struct lin_call *c)
{
	lin_give(s, c->task, TT_ECLOSED);
	return true;
}

static void acquire(struct lin_state *s, const struct lin_call *c)
{
	struct model *m = model_of(s);

	if (m->closed) {
		TT_IGNORE(refuse(s, c));
		return;
	}
	if (lin_line_is_free(&m->line) && grant(s, c))
		return;
	if (c->kind == ACQUIRE)
		lin_wait(s, &m->line.q, c->task);
	else
		lin_give(s, c->task, TT_EAGAIN);
}

static void enter(struct lin_state *s, const struct lin_call *c)
{
	struct model *m = model_of(s);

	switch ((enum kind)c->kind) {
	case ACQUIRE:
	case TRY_ACQUIRE: acquire(s, c); break;
	case RELEASE:
		m->permits += c->arg + 1;
		lin_line_serve(s, &m->line, grant);
		lin_give(s, c->task, 0);
		break;
	case CLOSE:
		m->closed = 1;
		lin_line_serve(s, &m->line, refuse);
		lin_give(s, c->task, 0);
		break;
	}
}

static void leave(struct lin_state *s, const struct lin_call *c)
{
	lin_line_leave(s, &model_of(s)->line, c->task);
}

static void move(struct lin_state *s, const struct lin_call *c)
{
	struct model *m = model_of(s);

	lin_line_go(&m->line, c->task);
	lin_line_serve(s, &m->line, grant);
	lin_give(s, c->task, TT_ECANCELED);
}

static void print(const struct lin_state *s, char *buf, size_t n)
{
	const struct model *m = const_model_of(s);

	snprintf(buf, n, "%d permits, %u wait, %u of them cancelled%s", m->permits, m->line.q.n, lin_line_gone(&m->line),
	         m->closed ? ", closed" : "");
}

const struct lin_spec lin_semaphore = {
	.name = "semaphore", .kinds = kinds, .n_kinds = LIN_COUNT(kinds), .params = 4,
	.open = open_semaphore, .close = close_semaphore, .call = call,
	.init = init, .enter = enter, .leave = leave, .move = move, .print = print,
};

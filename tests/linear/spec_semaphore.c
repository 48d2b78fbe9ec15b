/* SPDX-License-Identifier: MIT */
/*
 * spec_semaphore.c - <tutti/semaphore.h>: requests for 1 to 3 permits, served in order, also a
 * large one in front of small ones; releases, and closing at any time.
 *
 * A cancel in line is two steps: it is decided, and later the task leaves and uncovers those behind
 * it. Between the two nobody waits for it who comes new, and a release passes it by.
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
	struct lin_queue waiters;
	uint8_t gone;                        /* a bit for each in line that was cancelled */
	uint8_t closed;
};

LIN_MODEL(struct model)

static void init(struct lin_state *s, unsigned param)
{
	model_of(s)->permits = (int)param;
}

static bool is_gone(const struct model *m, unsigned task)
{
	return (m->gone >> task & 1) != 0;
}

/* In order, but for those that are gone. */
static void grant(struct lin_state *s)
{
	struct model *m = model_of(s);

	for (unsigned i = 0; i < m->waiters.n;) {
		unsigned task = m->waiters.task[i];
		int wanted = s->calls[task]->arg + 1;

		if (is_gone(m, task)) {
			i++;
			continue;
		}
		if (wanted > m->permits)
			return;
		m->permits -= wanted;
		lin_remove(&m->waiters, task);
		lin_give(s, task, 0);
	}
}

static bool somebody_waits(const struct model *m)
{
	return m->waiters.n > __builtin_popcount(m->gone);
}

static void close_it(struct lin_state *s)
{
	struct model *m = model_of(s);

	m->closed = 1;
	for (unsigned i = 0; i < m->waiters.n;) {
		unsigned task = m->waiters.task[i];

		if (is_gone(m, task)) {
			i++;
			continue;
		}
		lin_remove(&m->waiters, task);
		lin_give(s, task, TT_ECLOSED);
	}
}

static void acquire(struct lin_state *s, const struct lin_call *c)
{
	struct model *m = model_of(s);

	if (m->closed) {
		lin_give(s, c->task, TT_ECLOSED);
	} else if (!somebody_waits(m) && c->arg + 1 <= m->permits) {
		m->permits -= c->arg + 1;
		lin_give(s, c->task, 0);
	} else if (c->kind == ACQUIRE) {
		lin_wait(s, &m->waiters, c->task);
	} else {
		lin_give(s, c->task, TT_EAGAIN);
	}
}

static void enter(struct lin_state *s, const struct lin_call *c)
{
	struct model *m = model_of(s);

	switch ((enum kind)c->kind) {
	case ACQUIRE:
	case TRY_ACQUIRE: acquire(s, c); break;
	case RELEASE:
		m->permits += c->arg + 1;
		grant(s);
		lin_give(s, c->task, 0);
		break;
	case CLOSE:
		close_it(s);
		lin_give(s, c->task, 0);
		break;
	}
}

static void leave(struct lin_state *s, const struct lin_call *c)
{
	model_of(s)->gone |= (uint8_t)(1 << c->task);
	s->phase[c->task] = LIN_MOVES;
}

static void move(struct lin_state *s, const struct lin_call *c)
{
	struct model *m = model_of(s);

	m->gone &= (uint8_t)~(1 << c->task);
	lin_remove(&m->waiters, c->task);
	grant(s);
	lin_give(s, c->task, TT_ECANCELED);
}

static void print(const struct lin_state *s, char *buf, size_t n)
{
	const struct model *m = const_model_of(s);

	snprintf(buf, n, "%d permits, %u wait, %d of them cancelled%s", m->permits, m->waiters.n,
	         __builtin_popcount(m->gone), m->closed ? ", closed" : "");
}

const struct lin_spec lin_semaphore = {
	.name = "semaphore", .kinds = kinds, .n_kinds = LIN_COUNT(kinds), .params = 4,
	.open = open_semaphore, .close = close_semaphore, .call = call,
	.init = init, .enter = enter, .leave = leave, .move = move, .print = print,
};

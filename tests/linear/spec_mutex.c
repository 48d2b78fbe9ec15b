/* SPDX-License-Identifier: MIT */
/*
 * spec_mutex.c - <tutti/mutex.h> and <tutti/condvar.h>: one mutex, locked, tried, locked through
 * cancels, unlocked; and a condition variable that is waited for with it.
 *
 * What is observed of a condition wait: it gives the mutex up and gets in line as one step; a
 * signal goes to the first in line; and however the wait ends, it ends with the mutex.
 */
#include "specs.h"

#include <stdio.h>

enum kind { LOCK, LOCK_SHIELDED, TRY_LOCK, UNLOCK, WAIT, SIGNAL, BROADCAST };

static const struct lin_kind mutex_kinds[] = {
	[LOCK] = { "lock", 8, 0, true },
	[LOCK_SHIELDED] = { "TT_LOCK", 2, 0, true },
	[TRY_LOCK] = { "try_lock", 3, 0, false },
	[UNLOCK] = { "unlock", 6, 0, false },
};

static const struct lin_kind condvar_kinds[] = {
	[LOCK] = { "lock", 5, 0, true },
	[LOCK_SHIELDED] = { "TT_LOCK", 1, 0, true },
	[TRY_LOCK] = { "try_lock", 2, 0, false },
	[UNLOCK] = { "unlock", 3, 0, false },
	[WAIT] = { "condvar_wait", 8, 0, true },
	[SIGNAL] = { "signal", 4, 0, false },
	[BROADCAST] = { "broadcast", 1, 0, false },
};

/* ---- the real ones ---- */

struct object {
	tt_mutex m;
	tt_condvar c;
};

static struct object *object_of(struct lin_run *r)
{
	return (struct object *)(void *)r->object;
}

static void open_mutex(struct lin_run *r)
{
	tt_mutex_init(&object_of(r)->m);
	tt_condvar_init(&object_of(r)->c);
}

static void close_mutex(struct lin_run *r)
{
	tt_condvar_fini(&object_of(r)->c);
	tt_mutex_fini(&object_of(r)->m);
}

/* Who holds it does not lock again, but unlocks or holds on; who does not, neither unlocks nor waits. */
static bool adapt(struct lin_run *r, struct lin_call *c)
{
	bool held = r->held[c->task] != 0;

	if (held && c->kind == LOCK_SHIELDED)
		return false;
	if (held && c->kind == LOCK)
		c->kind = UNLOCK;
	else if (!held && (c->kind == UNLOCK || c->kind == WAIT))
		c->kind = LOCK;
	if (c->kind == UNLOCK)
		r->held[c->task] = 0;
	return true;
}

static bool tidy_up(struct lin_run *r, struct lin_call *c)
{
	bool held = r->held[c->task] != 0;

	c->kind = UNLOCK;
	r->held[c->task] = 0;
	return held;
}

static void call(struct lin_run *r, struct lin_call *c)
{
	struct object *o = object_of(r);

	switch ((enum kind)c->kind) {
	case LOCK: c->rc = tt_mutex_lock(&o->m); break;
	case LOCK_SHIELDED: tt_mutex_lock_shielded_(&o->m); break;
	case TRY_LOCK: c->rc = tt_mutex_try_lock(&o->m); break;
	case UNLOCK: tt_mutex_unlock(&o->m); break;
	case WAIT: c->rc = tt_condvar_wait(&o->c, &o->m); break;
	case SIGNAL: tt_condvar_signal(&o->c); break;
	case BROADCAST: tt_condvar_broadcast(&o->c); break;
	}
	if (c->rc == 0 && (c->kind == LOCK || c->kind == LOCK_SHIELDED || c->kind == TRY_LOCK))
		r->held[c->task] = 1;
}

/* ---- the model ---- */

struct model {
	uint8_t owner;                       /* task + 1; 0: nobody */
	struct lin_queue lock, changed;      /* who waits for the mutex; for the condition */
};

LIN_MODEL(struct model)

static void init(struct lin_state *s, unsigned param)
{
	(void)s;
	(void)param;
}

/* What the call was to return all along: 0, or that its wait was cancelled. */
static void own(struct lin_state *s, unsigned task)
{
	model_of(s)->owner = (uint8_t)(task + 1);
	lin_give(s, task, s->calls[task]->kind == WAIT ? s->calls[task]->rc : 0);
}

static void lock(struct lin_state *s, unsigned task)
{
	struct model *m = model_of(s);
	uint8_t kind = s->calls[task]->kind;

	if (m->owner == 0) {
		own(s, task);
	} else if (kind == TRY_LOCK) {
		lin_give(s, task, TT_EBUSY);
	} else {
		lin_push(&m->lock, task);
		s->phase[task] = kind == LOCK ? LIN_WAITING : LIN_BLOCKED;
	}
}

static void unlock(struct lin_state *s)
{
	struct model *m = model_of(s);

	m->owner = 0;
	if (m->lock.n > 0)
		own(s, lin_pop(&m->lock));
}

/* It was signalled, and is on its way to the mutex. */
static void wake(struct lin_state *s, unsigned max)
{
	struct model *m = model_of(s);

	for (; max > 0 && m->changed.n > 0; max--) {
		unsigned task = lin_pop(&m->changed);

		if (s->calls[task]->rc != 0)
			lin_wrong(s);
		s->phase[task] = LIN_MOVES;
	}
}

static void enter(struct lin_state *s, const struct lin_call *c)
{
	struct model *m = model_of(s);

	switch ((enum kind)c->kind) {
	case LOCK:
	case LOCK_SHIELDED:
	case TRY_LOCK:
		lock(s, c->task);
		return;
	case WAIT:
		lin_wait(s, &m->changed, c->task);
		unlock(s);
		return;
	case UNLOCK:
		unlock(s);
		break;
	case SIGNAL:
		wake(s, 1);
		break;
	case BROADCAST:
		wake(s, LIN_TASKS);
		break;
	}
	lin_give(s, c->task, 0);
}

static void move(struct lin_state *s, const struct lin_call *c)
{
	lock(s, c->task);
}

static void leave(struct lin_state *s, const struct lin_call *c)
{
	struct model *m = model_of(s);

	if (lin_remove(&m->changed, c->task)) {
		s->phase[c->task] = LIN_MOVES;
		return;
	}
	lin_remove(&m->lock, c->task);
	lin_give(s, c->task, TT_ECANCELED);
}

static void print(const struct lin_state *s, char *buf, size_t n)
{
	const struct model *m = const_model_of(s);

	snprintf(buf, n, "owner %d, %u wait for it, %u for the condition", m->owner - 1, m->lock.n, m->changed.n);
}

const struct lin_spec lin_mutex = {
	.name = "mutex", .kinds = mutex_kinds, .n_kinds = LIN_COUNT(mutex_kinds), .params = 1,
	.open = open_mutex, .close = close_mutex, .adapt = adapt, .call = call, .tidy_up = tidy_up,
	.init = init, .enter = enter, .leave = leave, .print = print,
};

const struct lin_spec lin_condvar = {
	.name = "condvar", .kinds = condvar_kinds, .n_kinds = LIN_COUNT(condvar_kinds), .params = 1,
	.open = open_mutex, .close = close_mutex, .adapt = adapt, .call = call, .tidy_up = tidy_up,
	.init = init, .enter = enter, .leave = leave, .move = move, .print = print,
};

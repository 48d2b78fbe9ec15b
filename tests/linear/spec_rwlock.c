/* SPDX-License-Identifier: MIT */
/*
 * spec_rwlock.c - <tutti/rwlock.h>: readers and writers in one line, served in order and
 * neighbouring readers together; tries, and downgrades. A cancel in line is two steps (lin_line).
 */
#include "specs.h"

#include <stdio.h>

enum kind { READ, WRITE, READ_SHIELDED, WRITE_SHIELDED, TRY_READ, TRY_WRITE, DOWNGRADE, UNLOCK };

static const struct lin_kind kinds[] = {
	[READ] = { "read", 7, 0, true },
	[WRITE] = { "write", 6, 0, true },
	[READ_SHIELDED] = { "TT_READ_LOCK", 1, 0, true },
	[WRITE_SHIELDED] = { "TT_WRITE_LOCK", 1, 0, true },
	[TRY_READ] = { "try_read", 4, 0, false },
	[TRY_WRITE] = { "try_write", 2, 0, false },
	[DOWNGRADE] = { "downgrade", 3, 0, false },
	[UNLOCK] = { "unlock", 4, 0, false },
};

enum held { NOTHING, AS_READER, AS_WRITER };

/* ---- the real one ---- */

struct object {
	tt_rwlock l;
};

static tt_rwlock *object_of(struct lin_run *r)
{
	return &((struct object *)(void *)r->object)->l;
}

static void open_rwlock(struct lin_run *r)
{
	tt_rwlock_init(object_of(r));
}

static void close_rwlock(struct lin_run *r)
{
	tt_rwlock_fini(object_of(r));
}

/* Who is in, leaves, becomes a reader or stays. */
static bool adapt(struct lin_run *r, struct lin_call *c)
{
	enum held held = (enum held)r->held[c->task];

	if (held != NOTHING && (c->kind == TRY_READ || c->kind == TRY_WRITE || c->kind == WRITE_SHIELDED))
		return false;
	if (held == NOTHING && c->kind >= DOWNGRADE)
		c->kind = c->kind == DOWNGRADE ? WRITE : READ;
	else if (held != NOTHING && c->kind < DOWNGRADE)
		c->kind = UNLOCK;
	if (c->kind == DOWNGRADE && held != AS_WRITER)
		c->kind = UNLOCK;
	if (c->kind >= DOWNGRADE)
		r->held[c->task] = c->kind == DOWNGRADE ? AS_READER : NOTHING;
	return true;
}

static bool tidy_up(struct lin_run *r, struct lin_call *c)
{
	bool in = r->held[c->task] != NOTHING;

	c->kind = UNLOCK;
	r->held[c->task] = NOTHING;
	return in;
}

static void call(struct lin_run *r, struct lin_call *c)
{
	tt_rwlock *l = object_of(r);
	enum kind kind = (enum kind)c->kind;

	switch (kind) {
	case READ: c->rc = tt_rwlock_read(l); break;
	case WRITE: c->rc = tt_rwlock_write(l); break;
	case READ_SHIELDED: tt_rwlock_read_shielded_(l); break;
	case WRITE_SHIELDED: tt_rwlock_write_shielded_(l); break;
	case TRY_READ: c->rc = tt_rwlock_try_read(l); break;
	case TRY_WRITE: c->rc = tt_rwlock_try_write(l); break;
	case DOWNGRADE: tt_rwlock_downgrade(l); return;
	case UNLOCK: tt_rwlock_unlock(l); return;
	}
	if (c->rc == 0)
		r->held[c->task] = kind == READ || kind == READ_SHIELDED || kind == TRY_READ ? AS_READER : AS_WRITER;
}

/* ---- the model ---- */

struct model {
	uint8_t readers, writer;
	struct lin_line line;
};

LIN_MODEL(struct model)

static void init(struct lin_state *s, unsigned param)
{
	(void)s;
	(void)param;
}

static bool reads(const struct lin_call *c)
{
	return c->kind == READ || c->kind == READ_SHIELDED || c->kind == TRY_READ;
}

static bool may_enter(const struct model *m, const struct lin_call *c)
{
	return m->writer == 0 && (reads(c) || m->readers == 0);
}

static void let_in(struct lin_state *s, const struct lin_call *c)
{
	if (reads(c))
		model_of(s)->readers++;
	else
		model_of(s)->writer = 1;
	lin_give(s, c->task, 0);
}

static bool serve(struct lin_state *s, const struct lin_call *c)
{
	if (!may_enter(model_of(s), c))
		return false;
	let_in(s, c);
	return true;
}

static void get_in(struct lin_state *s, const struct lin_call *c)
{
	struct model *m = model_of(s);

	if (lin_line_is_free(&m->line) && may_enter(m, c)) {
		let_in(s, c);
	} else if (c->kind == TRY_READ || c->kind == TRY_WRITE) {
		lin_give(s, c->task, TT_EBUSY);
	} else {
		lin_push(&m->line.q, c->task);
		s->phase[c->task] = c->kind == READ || c->kind == WRITE ? LIN_WAITING : LIN_BLOCKED;
	}
}

static void enter(struct lin_state *s, const struct lin_call *c)
{
	struct model *m = model_of(s);

	if (c->kind < DOWNGRADE) {
		get_in(s, c);
		return;
	}
	if (c->kind == DOWNGRADE)
		m->readers = 1;
	else if (m->writer == 0)
		m->readers--;
	m->writer = 0;
	lin_line_serve(s, &m->line, serve);
	lin_give(s, c->task, 0);
}

static void leave(struct lin_state *s, const struct lin_call *c)
{
	lin_line_leave(s, &model_of(s)->line, c->task);
}

static void move(struct lin_state *s, const struct lin_call *c)
{
	struct model *m = model_of(s);

	lin_line_go(&m->line, c->task);
	lin_line_serve(s, &m->line, serve);
	lin_give(s, c->task, TT_ECANCELED);
}

static void print(const struct lin_state *s, char *buf, size_t n)
{
	const struct model *m = const_model_of(s);

	snprintf(buf, n, "%u readers, %u writers are in, %u wait, %u of them cancelled", m->readers, m->writer, m->line.q.n,
	         lin_line_gone(&m->line));
}

const struct lin_spec lin_rwlock = {
	.name = "rwlock", .kinds = kinds, .n_kinds = LIN_COUNT(kinds), .params = 1,
	.open = open_rwlock, .close = close_rwlock, .adapt = adapt, .call = call, .tidy_up = tidy_up,
	.init = init, .enter = enter, .leave = leave, .move = move, .print = print,
};

/* SPDX-License-Identifier: MIT */
/*
 * spec_group.c - <tutti/group.h>: a group that fails fast, with and without a limit of children.
 * Task 0 owns it: starts children, drains it, cancels it, ends it; task 1 may cancel it from
 * outside. Children succeed, fail or wait until they are cancelled.
 *
 * The history has the beginning and the end of every child's body. So checked are: the first
 * cause decides the code; the end comes after every child's; a cancel reaches all of them and
 * nobody else's cancel does; never more children than the limit; a child that is refused or
 * never begins has its arguments dropped.
 */
#include "specs.h"

#include <stdio.h>

/* What children do; the argument of a go says which, and with BODIES more that it may be elsewhere. */
enum { SUCCEEDS, SLEEPS_AND_SUCCEEDS, WAITS_FOR_A_CANCEL, FAILS, SLEEPS_AND_FAILS };
static const uint8_t bodies[] = {
	SUCCEEDS, SUCCEEDS, SUCCEEDS, SLEEPS_AND_SUCCEEDS, SLEEPS_AND_SUCCEEDS, SLEEPS_AND_SUCCEEDS, SLEEPS_AND_SUCCEEDS,
	SLEEPS_AND_SUCCEEDS, WAITS_FOR_A_CANCEL, WAITS_FOR_A_CANCEL, SLEEPS_AND_FAILS, SLEEPS_AND_FAILS, FAILS,
};
#define BODIES ((int)LIN_COUNT(bodies))

enum kind { GO, DRAIN, CANCEL, OUTSIDE_CANCEL, END };

static const struct lin_kind kinds[] = {
	[GO] = { "go", 10, 2 * BODIES, true },
	[DRAIN] = { "drain", 2, 0, false },        /* no scope inside the group ends it early */
	[CANCEL] = { "group_cancel", 1, 0, false },
	[OUTSIDE_CANCEL] = { "cancel_with", 2, 2, false }, /* 0: without a code */
	[END] = { "end", 0, 2, false },            /* 1: the body failed */
};

enum { DROPPED };                            /* a note: a child's arguments were */

#define OUTSIDE_CODE (TT_ERROR_DOMAIN_FIRST - 501)
#define BODY_CODE (TT_ERROR_DOMAIN_FIRST - 502)

/* ---- the real one ---- */

struct object {
	tt_group g;
	tti_atomic_ptr canceller;            /* task 1's, once the group is open */
};

static struct object *object_of(struct lin_run *r)
{
	return (struct object *)(void *)r->object;
}

static void open_nothing(struct lin_run *r)
{
	(void)r;
}

static void close_group(struct lin_run *r)
{
	tt_canceller_put(object_of(r)->canceller.v);
}

static void begin(struct lin_run *r, unsigned task)
{
	static const tt_group_options limits[] = { { .name = "g" }, { .max_children = 1 }, { .max_children = 2 } };
	struct object *o = object_of(r);

	if (task != 0)
		return;
	tt_group_open_(&o->g, &limits[r->program->param], TT_SITE);
	/* release: pairs with the exchange in adapt(). */
	tti_store_release(&o->canceller, tt_group_canceller(&o->g));
}

/* Task 1 has the canceller once, and gives it back. */
static bool adapt(struct lin_run *r, struct lin_call *c)
{
	if (c->task == 0 && c->kind == OUTSIDE_CANCEL)
		c->kind = GO;
	if (c->task == 0)
		return true;
	c->kind = OUTSIDE_CANCEL;
	c->arg &= 1;
	/* acquire: pairs with the release in begin(). */
	return r->held[1] == 0 && tti_load_acquire(&object_of(r)->canceller) != NULL;
}

static bool tidy_up(struct lin_run *r, struct lin_call *c)
{
	bool open = c->task == 0 && r->held[0] == 0;

	c->kind = END;
	c->arg = r->program->seed / 4 % 4 == 0;
	if (open)
		r->held[0] = 1;
	return open;
}

/* Its child never began. */
static void dropped(struct lin_call *c)
{
	c->rc_body = TT_ECANCELED;
}

struct child {
	struct lin_run *r;
	struct lin_call *c;
};

static void child_dropped(struct child child)
{
	dropped(child.c);
	lin_log(child.r, LIN_NOTE, lin_call_index(child.r, child.c), DROPPED, 0);
}

static int child_result(struct lin_run *r, const struct lin_call *c)
{
	int failure = TT_ERROR_DOMAIN_FIRST - 1 - (int)lin_call_index(r, c), body = bodies[c->arg % BODIES];

	if (body == WAITS_FOR_A_CANCEL)
		return tt_sleep(TT_NEVER);
	if (body == SLEEPS_AND_SUCCEEDS || body == SLEEPS_AND_FAILS)
		TT_TRY(lin_sleep(r, TT_US(2 + 3 * lin_call_index(r, c) % 16)));
	return body == FAILS || body == SLEEPS_AND_FAILS ? failure : 0;
}

static TT_TASK(lin_child, (struct child, child, child_dropped))
{
	unsigned index = lin_call_index(child.r, child.c);

	lin_log(child.r, LIN_BEGIN, index, 0, 0);
	child.c->rc_body = child_result(child.r, child.c);
	lin_log(child.r, LIN_END, index, 0, 0);
	return child.c->rc_body;
}

static int go(struct lin_run *r, struct lin_call *c)
{
	tt_child_options o = { .worker = c->arg < BODIES ? TT_WORKER_HERE : TT_WORKER_ANY };
	struct child child = { r, c };

	return tt_go_with(&object_of(r)->g, &o, lin_child, child);
}

static void cancel_from_outside(struct lin_run *r, const struct lin_call *c)
{
	/* acquire: pairs with the release in begin(). */
	tt_canceller *canceller = tti_load_acquire(&object_of(r)->canceller);

	r->held[1] = 1;
	if (c->arg == 0)
		tt_cancel(canceller);
	else
		tt_cancel_with(canceller, OUTSIDE_CODE, "from outside");
}

static void call(struct lin_run *r, struct lin_call *c)
{
	struct object *o = object_of(r);

	switch ((enum kind)c->kind) {
	case GO:
		c->rc = go(r, c);
		c->value = c->rc < 0 && c->rc_body == TT_ECANCELED;
		break;
	case DRAIN: c->rc = tt_group_drain(&o->g); break;
	case CANCEL: tt_group_cancel(&o->g); break;
	case OUTSIDE_CANCEL: cancel_from_outside(r, c); break;
	case END: c->rc = tt_group_end(&o->g, c->arg != 0 ? BODY_CODE : 0); break;
	}
}

/* ---- the model ---- */

enum cause { NONE, A_CHILD, THE_BODY, THE_OWNER, SOMEBODY_OUTSIDE };
enum child_state { NOT_YET, STARTED, RUNNING, HAS_ENDED, OVER };

struct model {
	uint8_t max;                         /* children; 0: no limit */
	uint8_t alive;                       /* not over */
	uint8_t cause;                       /* cancelled: not NONE */
	uint8_t failed, cancelled;           /* some child was */
	uint8_t pending;                     /* cancels under way: from outside, of all around */
	int first_failure, code;             /* a child's; the cancel's from outside */
	uint8_t children[LIN_CALLS];         /* by the call that started it */
};

enum { FROM_OUTSIDE = 1, OF_ALL = 2 };

LIN_MODEL(struct model)

static void init(struct lin_state *s, unsigned param)
{
	model_of(s)->max = (uint8_t)param;
}

static unsigned number_of(const struct lin_state *s, const struct lin_call *c)
{
	return (unsigned)(c - lin_first_call(s));
}

static void refuse_child(struct lin_state *s)
{
	model_of(s)->cancelled = 1;
	lin_settle(s, 0, TT_ECANCELED, 1, 0);
}

static void cancel(struct lin_state *s, enum cause cause, int code)
{
	struct model *m = model_of(s);

	if (m->cause != NONE)
		return;
	m->cause = (uint8_t)cause;
	m->code = code;
	if (s->phase[0] == LIN_WAITING)
		refuse_child(s);
}

static void fail(struct lin_state *s, int code)
{
	struct model *m = model_of(s);

	m->failed = 1;
	if (m->first_failure == 0)
		m->first_failure = code;
	cancel(s, A_CHILD, 0);
}

static void start_child(struct lin_state *s, const struct lin_call *c)
{
	struct model *m = model_of(s);

	m->children[number_of(s, c)] = STARTED;
	m->alive++;
	lin_settle(s, 0, 0, 0, 0);
}

static void enter_go(struct lin_state *s, const struct lin_call *c)
{
	struct model *m = model_of(s);

	if (m->cause != NONE)
		refuse_child(s);
	else if (m->max == 0 || m->alive < m->max)
		start_child(s, c);
	else
		s->phase[0] = LIN_WAITING;
}

/* Waits for the children, through any cancel. */
static void join(struct lin_state *s)
{
	s->phase[0] = model_of(s)->alive > 0 ? LIN_BLOCKED : LIN_MOVES;
}

static void enter(struct lin_state *s, const struct lin_call *c)
{
	struct model *m = model_of(s);

	switch ((enum kind)c->kind) {
	case GO:
		enter_go(s, c);
		return;
	case END:
		if (c->arg != 0)
			cancel(s, THE_BODY, BODY_CODE);
		join(s);
		return;
	case DRAIN:
		join(s);
		return;
	case CANCEL:
		cancel(s, THE_OWNER, 0);
		break;
	case OUTSIDE_CANCEL:
		m->pending |= FROM_OUTSIDE;
		m->code = c->arg != 0 ? OUTSIDE_CODE : TT_ECANCELED;
		break;
	}
	lin_give(s, c->task, 0);
}

/* A go that was cancelled alone, not with its group, is a child that failed. */
static void give_up(struct lin_state *s)
{
	struct model *m = model_of(s);

	if (m->cause == NONE)
		fail(s, TT_ECANCELED);
	else
		m->cancelled = 1;
	lin_settle(s, 0, TT_ECANCELED, 1, 0);
}

static void leave(struct lin_state *s, const struct lin_call *c)
{
	(void)c;
	s->phase[0] = LIN_MOVES;
}

/* Only with a limit it is a checkpoint; and a drain ends with the children. */
static void refuse(struct lin_state *s, const struct lin_call *c)
{
	if (c->kind == GO && model_of(s)->max > 0)
		give_up(s);
	else
		lin_wrong(s);
}

static int result_of_end(const struct model *m, const struct lin_call *c)
{
	int rc = c->arg != 0 ? BODY_CODE : 0;

	if (m->cause == A_CHILD)
		return m->first_failure;
	if (m->cause == SOMEBODY_OUTSIDE && (m->failed || m->cancelled))
		return m->code;
	return rc;
}

static int result_of_drain(const struct model *m)
{
	if (m->cause == A_CHILD)
		return m->first_failure;
	return m->cause != NONE ? TT_ECANCELED : 0;
}

static void move(struct lin_state *s, const struct lin_call *c)
{
	if (c->kind == GO)
		give_up(s);
	else
		lin_give(s, 0, c->kind == DRAIN ? result_of_drain(model_of(s)) : result_of_end(model_of(s), c));
}

/* The owner hears that a child has ended, and then its place is free. Between the two there can be
 * time only if the group was cancelled before, when nobody can tell. */
static void retire(struct lin_state *s, int rc)
{
	struct model *m = model_of(s);

	if (rc == TT_ECANCELED && m->cause != NONE)
		m->cancelled = 1;
	else if (rc < 0)
		fail(s, rc);
	m->alive--;
	if (s->phase[0] == LIN_WAITING)
		start_child(s, s->calls[0]);
	else if (s->phase[0] == LIN_BLOCKED && m->alive == 0)
		s->phase[0] = LIN_MOVES;
}

static bool cancel_arrives(struct lin_state *s, unsigned n)
{
	struct model *m = model_of(s);
	unsigned which = n == 0 ? m->pending & -m->pending : m->pending & (m->pending - 1);

	if (which == 0)
		return false;
	m->pending &= (uint8_t)~which;
	cancel(s, SOMEBODY_OUTSIDE, which == OF_ALL ? TT_ECANCELED : m->code);
	return true;
}

static bool own_step(struct lin_state *s, unsigned n)
{
	struct model *m = model_of(s);

	for (unsigned i = 0; i < LIN_CALLS; i++) {
		if (m->children[i] != HAS_ENDED || n-- > 0)
			continue;
		m->children[i] = OVER;
		retire(s, lin_first_call(s)[i].rc_body);
		return true;
	}
	return cancel_arrives(s, n);
}

static bool child_event(struct lin_state *s, const struct lin_call *c, enum lin_event_kind kind)
{
	struct model *m = model_of(s);
	uint8_t *child = &m->children[number_of(s, c)];

	if (kind == LIN_NOTE && *child == NOT_YET)
		return c->rc == TT_ECANCELED; /* it was refused */
	if (*child != (kind == LIN_END ? RUNNING : STARTED))
		return false;
	/* Nobody is cancelled without a cancel. */
	if (kind != LIN_BEGIN && c->rc_body == TT_ECANCELED && m->cause == NONE)
		return false;
	*child = kind == LIN_BEGIN ? RUNNING : HAS_ENDED;
	return true;
}

static bool event(struct lin_state *s, const struct lin_call *c, const struct lin_event *e)
{
	struct model *m = model_of(s);

	if (e->kind == LIN_BEGIN || e->kind == LIN_END || e->kind == LIN_NOTE)
		return child_event(s, c, e->kind);
	if (e->kind == LIN_CANCEL_ALL)
		m->pending |= OF_ALL;
	return true;
}

/* Children run until they end or are cancelled; and who waits for room waits for a good reason. */
static bool quiet(const struct lin_state *s)
{
	const struct model *m = const_model_of(s);

	for (unsigned i = 0; i < LIN_CALLS; i++) {
		if (m->children[i] == RUNNING && m->cause != NONE)
			return false;
		if (m->children[i] != NOT_YET && m->children[i] != RUNNING && m->children[i] != OVER)
			return false;
	}
	return s->phase[0] != LIN_WAITING || m->alive >= m->max;
}

static void print(const struct lin_state *s, char *buf, size_t n)
{
	static const char *const causes[] = { "not cancelled", "a child failed", "the body failed", "its owner cancelled",
	                                      "cancelled from outside" };
	const struct model *m = const_model_of(s);

	snprintf(buf, n, "%u children of %u, %s, first failure %d%s%s, cancels under way %u", m->alive, m->max,
	         causes[m->cause], m->first_failure, m->failed ? ", failed" : "", m->cancelled ? ", cancelled" : "",
	         m->pending);
}

const struct lin_spec lin_group = {
	.name = "group", .kinds = kinds, .n_kinds = LIN_COUNT(kinds), .params = 3, .tasks = 2,
	.open = open_nothing, .close = close_group, .begin = begin, .adapt = adapt, .call = call, .tidy_up = tidy_up,
	.init = init, .enter = enter, .leave = leave, .refuse = refuse, .move = move, .own_step = own_step,
	.event = event, .quiet = quiet, .print = print,
};

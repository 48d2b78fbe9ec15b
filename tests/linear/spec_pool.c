/* SPDX-License-Identifier: MIT */
/*
 * spec_pool.c - <tutti/pool.h>: a pool of at most 2 items, opened in the background, sometimes in
 * vain; lent in order, given back to be kept or to be closed, resized, closed and drained. A pool
 * with hooks asks an item before it is lent, or when it comes back, or both.
 *
 * The history has the beginning and the end of every open, check, return and close, as notes, so
 * that the model knows which items there are: never more than max, each lent to one task and not before it was
 * found good, each closed once and lent no more. What was found in the background the pool
 * takes notice of as a step of its own.
 */
#include "specs.h"

#include <stdio.h>

enum kind { ACQUIRE, TRY_ACQUIRE, RELEASE, RELEASE_BROKEN, RESIZE, CLOSE, DRAIN };

static const struct lin_kind kinds[] = {
	[ACQUIRE] = { "acquire", 9, 0, true },
	[TRY_ACQUIRE] = { "try_acquire", 3, 0, false },
	[RELEASE] = { "release", 5, 0, false },
	[RELEASE_BROKEN] = { "release_broken", 2, 0, false },
	[RESIZE] = { "resize", 1, 2, false },      /* to one more than the argument */
	[CLOSE] = { "close", 1, 0, false },
	[DRAIN] = { "drain", 1, 0, true },
};

enum note {
	OPENING, OPENED, OPEN_FAILED, CLOSING, CLOSED, DESTROYING, CHECKING, CHECKED, CHECK_FAILED, RETURNING, CLEAN, UNCLEAN
};

/* What a pool with hooks asks. */
enum hook { BEFORE_LENT = 1, WHEN_BACK = 2 };

#define ITEMS 48
#define MAX 2

struct item {
	int number;                          /* from 1 */
};

TT_POOL_TYPE(item_pool, struct item);

/* ---- the real one ---- */

struct object {
	item_pool *pool;
	struct item items[ITEMS];
	tti_atomic_u32 n_items;
};

static struct object *object_of(struct lin_run *r)
{
	return (struct object *)(void *)r->object;
}

static unsigned hooks_of_param(unsigned param)
{
	return 1 + param / (2 * MAX);
}

static unsigned hooks_of(const struct lin_run *r)
{
	return r->spec == &lin_hooked ? hooks_of_param(r->program->param) : 0;
}

static bool opens_may_fail(unsigned param)
{
	return param % (2 * MAX) >= MAX;
}

static int open_item(void *ctx, void **ret_item)
{
	struct lin_run *r = ctx;
	/* relaxed: a number of its own for each. */
	uint32_t i = tti_fetch_add_relaxed(&object_of(r)->n_items, 1);
	struct item *it = &object_of(r)->items[i % ITEMS];
	int number = (int)i + 1, rc = 0;

	it->number = number;
	lin_log(r, LIN_NOTE, 0, OPENING, number);
	if (number % 2 == 0)
		rc = lin_sleep(r, TT_US(3 * number));
	if (opens_may_fail(r->program->param) && number % 3 == 0 && rc == 0)
		rc = TT_ERROR_DOMAIN_FIRST - number;
	lin_log(r, LIN_NOTE, 0, rc < 0 ? OPEN_FAILED : OPENED, number);
	*ret_item = it;
	return rc;
}

static void close_item(void *ctx, void *item)
{
	lin_log(ctx, LIN_NOTE, 0, CLOSING, ((struct item *)item)->number);
	lin_log(ctx, LIN_NOTE, 0, CLOSED, ((struct item *)item)->number);
}

/* A hook at work: a third of the items do not sleep in it, a quarter are found bad each time. */
static int look_at(void *ctx, void *item, int begins, int ends_well, int ends_badly, int awake, int bad)
{
	int number = ((struct item *)item)->number, rc = 0;

	lin_log(ctx, LIN_NOTE, 0, begins, number);
	if (number % 3 != awake)
		rc = lin_sleep(ctx, TT_US(2 * number));
	if (number % 4 == bad && rc == 0)
		rc = TT_EIO;
	lin_log(ctx, LIN_NOTE, 0, rc < 0 ? ends_badly : ends_well, number);
	return rc;
}

static int check_item(void *ctx, void *item)
{
	return look_at(ctx, item, CHECKING, CHECKED, CHECK_FAILED, 0, 1);
}

static int item_is_back(void *ctx, void *item)
{
	return look_at(ctx, item, RETURNING, CLEAN, UNCLEAN, 1, 2);
}

static void open_pool(struct lin_run *r)
{
	const tt_pool_options o = {
		.open = open_item, .close = close_item, .ctx = r, .max = 1 + r->program->param % MAX,
		.check = hooks_of(r) & BEFORE_LENT ? check_item : NULL,
		.returned = hooks_of(r) & WHEN_BACK ? item_is_back : NULL,
	};

	REQUIRE_OK(tt_pool_create(&o, &object_of(r)->pool));
}

static void close_pool(struct lin_run *r)
{
	lin_log(r, LIN_NOTE, 0, DESTROYING, 0);
	tt_pool_destroy(object_of(r)->pool);
}

/* One item at a time; the argument of a release is its number. */
static bool adapt(struct lin_run *r, struct lin_call *c)
{
	int held = r->held[c->task];

	if (held == 0 && (c->kind == RELEASE || c->kind == RELEASE_BROKEN))
		c->kind = ACQUIRE;
	else if (held != 0 && (c->kind == ACQUIRE || c->kind == TRY_ACQUIRE || c->kind == DRAIN))
		c->kind = RELEASE;
	if (c->kind == RELEASE || c->kind == RELEASE_BROKEN) {
		c->arg = held;
		r->held[c->task] = 0;
	}
	return true;
}

static bool tidy_up(struct lin_run *r, struct lin_call *c)
{
	c->kind = RELEASE;
	c->arg = r->held[c->task];
	r->held[c->task] = 0;
	return c->arg != 0;
}

static void acquire_one(struct lin_run *r, struct lin_call *c)
{
	struct object *o = object_of(r);
	struct item *it = NULL;

	c->rc = c->kind == ACQUIRE ? tt_pool_acquire(o->pool, &it) : tt_pool_try_acquire(o->pool, &it);
	c->value = it != NULL ? it->number : 0;
	r->held[c->task] = c->value;
}

static void call(struct lin_run *r, struct lin_call *c)
{
	struct object *o = object_of(r);

	switch ((enum kind)c->kind) {
	case ACQUIRE:
	case TRY_ACQUIRE: acquire_one(r, c); break;
	case RELEASE: tt_pool_release(o->pool, &o->items[c->arg - 1], TT_POOL_KEEP); break;
	case RELEASE_BROKEN: tt_pool_release(o->pool, &o->items[c->arg - 1], TT_POOL_CLOSE); break;
	case RESIZE: tt_pool_resize(o->pool, (unsigned)c->arg + 1); break;
	case CLOSE: tt_pool_close(o->pool); break;
	case DRAIN: c->rc = tt_pool_drain(o->pool); break;
	}
}

/* ---- the model ---- */

enum item_state {
	NOT_YET, IN_OPEN, IDLE, IN_CHECK, OUT, IN_RETURN, IN_CLOSE, OVER,
	DOOMED, TO_CHECK, TO_ASK,            /* to be closed; to be asked before it is lent, and when it is back */
	IS_CLEAN, IS_UNCLEAN,                /* so it said; the release goes on */
	IS_OPEN, HAS_FAILED, IS_GOOD, IS_BAD, IS_CLOSED /* the pool has not taken notice yet */
};

struct model {
	uint8_t max, closed, failures;
	uint8_t alive, planned, closing;     /* items in all; of those: about to be opened, to be closed */
	uint8_t hooks, checking;             /* enum hook; items from TO_CHECK to IS_GOOD or IS_BAD */
	uint8_t n_idle, idle[MAX];           /* the one that came last is lent first */
	struct lin_queue line, drains;
	uint8_t items[ITEMS];                /* enum item_state */
};

LIN_MODEL(struct model)

static void init(struct lin_state *s, unsigned param)
{
	model_of(s)->max = (uint8_t)(1 + param % MAX);
}

static void init_hooked(struct lin_state *s, unsigned param)
{
	init(s, param);
	model_of(s)->hooks = (uint8_t)hooks_of_param(param);
}

static void doom(struct model *m, unsigned item)
{
	m->items[item] = DOOMED;
	m->closing++;
}

static void lend(struct lin_state *s, unsigned item, unsigned task)
{
	model_of(s)->items[item] = OUT;
	lin_settle(s, task, 0, (int)item, 0);
}

static bool is_unwanted(const struct model *m)
{
	return m->closed || m->alive - m->closing > m->max;
}

/* Free, and nobody's yet. */
static void place(struct lin_state *s, unsigned item)
{
	struct model *m = model_of(s);

	if (is_unwanted(m)) {
		doom(m, item);
	} else if (m->line.n > 0) {
		lend(s, item, lin_pop(&m->line));
	} else {
		m->items[item] = IDLE;
		m->idle[m->n_idle++] = (uint8_t)item;
	}
}

static unsigned last_idle(struct model *m)
{
	unsigned item = m->idle[--m->n_idle];

	m->idle[m->n_idle] = 0;
	return item;
}

static unsigned first_idle(struct model *m)
{
	unsigned item = m->idle[0];

	m->idle[0] = m->idle[1];
	m->idle[1] = 0;
	m->n_idle--;
	return item;
}

/* Who drains may go, in any order. That is a step of its own: a cancel may be faster. */
static bool is_drained(const struct model *m)
{
	return m->closed && m->alive == 0 && m->drains.n > 0;
}

/* Somebody was cancelled in line and has not returned: until then an item may be opened for it. */
static bool somebody_is_on_its_way_out(const struct lin_state *s)
{
	for (unsigned task = 0; task < LIN_TASKS; task++)
		if (s->phase[task] == LIN_DONE && s->calls[task]->kind == ACQUIRE && s->calls[task]->rc == TT_ECANCELED)
			return true;
	return false;
}

static void acquire(struct lin_state *s, const struct lin_call *c)
{
	struct model *m = model_of(s);

	if (m->closed)
		lin_give(s, c->task, TT_ECLOSED);
	else if (m->line.n == 0 && m->n_idle > 0 && (m->hooks & BEFORE_LENT) == 0)
		lend(s, last_idle(m), c->task);
	else if (c->kind == ACQUIRE)
		lin_wait(s, &m->line, c->task);
	else
		lin_give(s, c->task, TT_EAGAIN);
}

static void close_all(struct lin_state *s)
{
	struct model *m = model_of(s);

	m->closed = 1;
	lin_give_all(s, &m->line, TT_ECLOSED);
	while (m->n_idle > 0)
		doom(m, last_idle(m));
}

static void resize(struct model *m, unsigned max)
{
	m->max = (uint8_t)max;
	while (m->alive - m->closing > m->max && m->n_idle > 0)
		doom(m, first_idle(m));
}

/* What is not to be kept anyhow is not asked. */
static void come_back(struct lin_state *s, const struct lin_call *c)
{
	struct model *m = model_of(s);
	unsigned item = (unsigned)c->arg;

	if ((m->hooks & WHEN_BACK) != 0 && !is_unwanted(m)) {
		m->items[item] = TO_ASK;
		s->phase[c->task] = LIN_DUE;
		return;
	}
	place(s, item);
	lin_give(s, c->task, 0);
}

static void enter(struct lin_state *s, const struct lin_call *c)
{
	struct model *m = model_of(s);

	switch ((enum kind)c->kind) {
	case ACQUIRE:
	case TRY_ACQUIRE:
		acquire(s, c);
		return;
	case DRAIN:
		lin_wait(s, &m->drains, c->task);
		close_all(s);
		return;
	case RELEASE:
		come_back(s, c);
		return;
	case RELEASE_BROKEN:
		doom(m, (unsigned)c->arg);
		break;
	case RESIZE:
		resize(m, (unsigned)c->arg + 1);
		break;
	case CLOSE:
		close_all(s);
		break;
	}
	lin_give(s, c->task, 0);
}

/* It was asked. */
static void move(struct lin_state *s, const struct lin_call *c)
{
	struct model *m = model_of(s);

	if (m->items[c->arg] == IS_CLEAN)
		place(s, (unsigned)c->arg);
	else
		doom(m, (unsigned)c->arg);
	lin_give(s, c->task, 0);
}

static void leave(struct lin_state *s, const struct lin_call *c)
{
	struct model *m = model_of(s);

	lin_remove(c->kind == DRAIN ? &m->drains : &m->line, c->task);
	lin_give(s, c->task, TT_ECANCELED);
}

/* A drain closes the pool before it looks for a cancel: it has to enter first. */
static void refuse(struct lin_state *s, const struct lin_call *c)
{
	if (c->kind == DRAIN)
		lin_wrong(s);
	lin_give(s, c->task, TT_ECANCELED);
}

/* An open that failed is told to the first in line. */
static void take_failure(struct lin_state *s, unsigned item)
{
	struct model *m = model_of(s);

	m->items[item] = OVER;
	if (!m->closed) {
		m->failures = 1;
		if (m->line.n > 0)
			lin_give(s, lin_pop(&m->line), TT_ERROR_DOMAIN_FIRST - (int)item);
	}
	m->alive--;
}

static void take_closed(struct lin_state *s, unsigned item)
{
	struct model *m = model_of(s);

	m->items[item] = OVER;
	m->closing--;
	m->alive--;
}

static void take_opened(struct lin_state *s, unsigned item)
{
	model_of(s)->failures = 0;
	place(s, item);
}

static void take_checked(struct lin_state *s, unsigned item)
{
	struct model *m = model_of(s);
	bool good = m->items[item] == IS_GOOD;

	m->checking--;
	if (good)
		place(s, item);
	else
		doom(m, item);
}

/* To ask the first of those that are free, for somebody in line. */
static bool may_check(const struct lin_state *s)
{
	const struct model *m = const_model_of(s);
	bool wanted = m->line.n > m->checking || somebody_is_on_its_way_out(s);

	return (m->hooks & BEFORE_LENT) != 0 && !m->closed && m->n_idle > 0 && wanted;
}

static void plan_check(struct model *m)
{
	m->items[last_idle(m)] = TO_CHECK;
	m->checking++;
}

/* To open one more, for somebody in line; or not to, since the pool was closed meanwhile. */
static bool may_decide(const struct lin_state *s)
{
	const struct model *m = const_model_of(s);

	if (m->closed)
		return m->planned > 0;
	return m->alive < m->max && (m->line.n > 0 || somebody_is_on_its_way_out(s));
}

static void decide(struct lin_state *s)
{
	struct model *m = model_of(s);

	if (m->closed) {
		m->planned--;
		m->alive--;
	} else {
		m->planned++;
		m->alive++;
	}
}

static void take_notice(struct lin_state *s, unsigned item)
{
	switch ((enum item_state)model_of(s)->items[item]) {
	case IS_OPEN: take_opened(s, item); break;
	case HAS_FAILED: take_failure(s, item); break;
	case IS_CLOSED: take_closed(s, item); break;
	default: take_checked(s, item); break;
	}
}

/* Its check is not made any more, since the pool was closed: it has not been found good. */
static bool is_dropped(const struct model *m, unsigned item)
{
	return m->closed && m->items[item] == TO_CHECK;
}

static bool own_step(struct lin_state *s, unsigned n)
{
	struct model *m = model_of(s);

	for (unsigned i = 1; i < ITEMS; i++) {
		if ((m->items[i] < IS_OPEN && !is_dropped(m, i)) || n-- > 0)
			continue;
		take_notice(s, i);
		return true;
	}
	if (is_drained(m) && n < m->drains.n) {
		unsigned task = m->drains.task[n];

		lin_remove(&m->drains, task);
		lin_give(s, task, 0);
		return true;
	}
	n -= is_drained(m) ? m->drains.n : 0;
	if (may_check(s) && n-- == 0) {
		plan_check(m);
		return true;
	}
	if (may_decide(s) && n-- == 0) {
		decide(s);
		return true;
	}
	return false;
}

static bool move_item(struct model *m, int item, enum item_state from, enum item_state to)
{
	if (item >= ITEMS || m->items[item] != from)
		return false;
	m->items[item] = (uint8_t)to;
	return true;
}

/* The release whose item is asked waits for the answer, and goes on with it. */
static bool ask(struct lin_state *s, int item, enum lin_phase from, enum lin_phase to)
{
	for (unsigned task = 0; task < LIN_TASKS; task++) {
		const struct lin_call *c = s->calls[task];

		if (s->phase[task] != from || c->kind != RELEASE || c->arg != item)
			continue;
		s->phase[task] = (uint8_t)to;
		return true;
	}
	return false;
}

static bool event(struct lin_state *s, const struct lin_call *c, const struct lin_event *e)
{
	struct model *m = model_of(s);

	(void)c;
	if (e->kind != LIN_NOTE) /* calls are for the steps */
		return true;
	switch ((enum note)e->what) {
	case OPENING: return m->planned-- > 0 && move_item(m, e->number, NOT_YET, IN_OPEN);
	case OPENED: return move_item(m, e->number, IN_OPEN, IS_OPEN);
	case OPEN_FAILED: return move_item(m, e->number, IN_OPEN, HAS_FAILED);
	case CHECKING: return move_item(m, e->number, TO_CHECK, IN_CHECK);
	case CHECKED: return move_item(m, e->number, IN_CHECK, IS_GOOD);
	case CHECK_FAILED: return move_item(m, e->number, IN_CHECK, IS_BAD);
	case RETURNING:
		return move_item(m, e->number, TO_ASK, IN_RETURN) && ask(s, e->number, LIN_DUE, LIN_BLOCKED);
	case CLEAN:
		return move_item(m, e->number, IN_RETURN, IS_CLEAN) && ask(s, e->number, LIN_BLOCKED, LIN_MOVES);
	case UNCLEAN:
		return move_item(m, e->number, IN_RETURN, IS_UNCLEAN) && ask(s, e->number, LIN_BLOCKED, LIN_MOVES);
	case CLOSING: return move_item(m, e->number, DOOMED, IN_CLOSE);
	case CLOSED: return move_item(m, e->number, IN_CLOSE, IS_CLOSED);
	case DESTROYING:
		close_all(s);
		return true;
	}
	return false;
}

/* Nothing waits to be done; and for whoever is in line an item is being opened or asked, or could
 * not be. */
static bool quiet(const struct lin_state *s)
{
	const struct model *m = const_model_of(s);
	unsigned opening = 0;

	for (unsigned i = 0; i < ITEMS; i++) {
		if (m->items[i] >= DOOMED)
			return false;
		opening += m->items[i] == IN_OPEN;
	}
	if (m->planned > 0 || is_drained(m) || (m->line.n > m->checking && m->n_idle > 0))
		return false;
	return m->line.n <= opening + m->checking || m->failures || m->alive >= m->max;
}

static void print(const struct lin_state *s, char *buf, size_t n)
{
	const struct model *m = const_model_of(s);

	snprintf(buf, n, "max %u, %u items, %u planned, %u checked, %u closing, %u idle (%u %u), %u in line, %u drain%s", m->max,
	         m->alive, m->planned, m->checking, m->closing, m->n_idle, m->idle[0], m->idle[1], m->line.n, m->drains.n, m->closed ? ", closed" : "");
}

const struct lin_spec lin_pool = {
	.name = "pool", .kinds = kinds, .n_kinds = LIN_COUNT(kinds), .params = 2 * MAX,
	.open = open_pool, .close = close_pool, .adapt = adapt, .call = call, .tidy_up = tidy_up,
	.init = init, .enter = enter, .leave = leave, .refuse = refuse, .own_step = own_step, .event = event,
	.quiet = quiet, .print = print,
};

const struct lin_spec lin_hooked = {
	.name = "hooked", .kinds = kinds, .n_kinds = LIN_COUNT(kinds), .params = 3 * 2 * MAX,
	.open = open_pool, .close = close_pool, .adapt = adapt, .call = call, .tidy_up = tidy_up,
	.init = init_hooked, .enter = enter, .leave = leave, .refuse = refuse, .move = move, .own_step = own_step,
	.event = event, .quiet = quiet, .print = print,
};

/* SPDX-License-Identifier: MIT */
/*
 * check.c - does some order of steps explain a history? Called by program.c and by the tests
 * with histories written by hand.
 *
 * A set of states is carried through the history: all that the object and the calls under way
 * may have come to. An invocation adds a call; before any other event the set is closed
 * under the steps that could be taken, and those states stay that agree with the event.
 * The event after which none is left is the end of the shortest prefix that nothing explains.
 *
 * Invariants  A state in the set is not wrong; no two are equal.
 * Rejected    Wing and Gong's own depth-first search with a cache: it decides the same, and has
 *             to be asked for each prefix to find the shortest.
 */
#include "linear.h"

#include <string.h>

#define INDEX_SIZE (LIN_STATES * 2)

struct set {
	struct lin_state states[LIN_STATES];
	unsigned n;
	bool full;
	uint16_t index[INDEX_SIZE];          /* of states + 1, by hash; 0: free */
};

struct check {
	const struct lin_spec *spec;
	const struct lin_history *h;
	const struct lin_call *calls[LIN_TASKS + 1]; /* what a lin_state's calls point to */
	bool cancelled[LIN_CALLS];           /* somebody did */
	bool all_cancelled;
	struct set *now, *next;
	unsigned states_max;
};

static struct set sets[2];

/* ---- queues and results, for models ---- */

void lin_push(struct lin_queue *q, unsigned task)
{
	q->task[q->n++] = (uint8_t)task;
}

bool lin_remove(struct lin_queue *q, unsigned task)
{
	unsigned i = 0;

	while (i < q->n && q->task[i] != task)
		i++;
	if (i == q->n)
		return false;
	for (; i + 1 < q->n; i++)
		q->task[i] = q->task[i + 1];
	q->task[--q->n] = 0;
	return true;
}

unsigned lin_pop(struct lin_queue *q)
{
	unsigned first = q->task[0];

	TT_IGNORE(lin_remove(q, first));
	return first;
}

bool lin_line_is_free(const struct lin_line *l)
{
	return l->q.n == lin_line_gone(l);
}

unsigned lin_line_gone(const struct lin_line *l)
{
	return (unsigned)__builtin_popcount(l->gone);
}

void lin_line_leave(struct lin_state *s, struct lin_line *l, unsigned task)
{
	l->gone |= (uint8_t)(1 << task);
	s->phase[task] = LIN_MOVES;
}

void lin_line_go(struct lin_line *l, unsigned task)
{
	l->gone &= (uint8_t)~(1 << task);
	TT_IGNORE(lin_remove(&l->q, task));
}

void lin_line_serve(struct lin_state *s, struct lin_line *l, bool (*serve)(struct lin_state *s, const struct lin_call *c))
{
	for (unsigned i = 0; i < l->q.n;) {
		unsigned task = l->q.task[i];

		if ((l->gone >> task & 1) != 0)
			i++;
		else if (serve(s, s->calls[task]))
			TT_IGNORE(lin_remove(&l->q, task));
		else
			return;
	}
}

void lin_wrong(struct lin_state *s)
{
	s->wrong = 1;
}

void lin_settle(struct lin_state *s, unsigned task, int rc, int value, int more)
{
	const struct lin_call *c = s->calls[task];

	if (c->rc != rc || c->value != value || c->more != more)
		lin_wrong(s);
	s->phase[task] = LIN_DONE;
}

void lin_give(struct lin_state *s, unsigned task, int rc)
{
	lin_settle(s, task, rc, 0, 0);
}

void lin_wait(struct lin_state *s, struct lin_queue *q, unsigned task)
{
	lin_push(q, task);
	s->phase[task] = LIN_WAITING;
}

void lin_give_all(struct lin_state *s, struct lin_queue *q, int rc)
{
	while (q->n > 0)
		lin_give(s, lin_pop(q), rc);
}

/* ---- sets ---- */

static uint32_t hash_of(const struct lin_state *s)
{
	uint64_t words[(sizeof(*s) + 7) / 8] = { 0 }, h = 0;

	memcpy(words, s, sizeof(*s));
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		h = tti_mix64(h * 31 + words[i]);
	return (uint32_t)h;
}

static void set_clear(struct set *set)
{
	set->n = 0;
	set->full = false;
	memset(set->index, 0, sizeof(set->index));
}

/* Wrong ones are not put in. */
static void set_add(struct set *set, const struct lin_state *s)
{
	uint32_t at = hash_of(s) % INDEX_SIZE;

	if (s->wrong != 0)
		return;
	for (; set->index[at] != 0; at = (at + 1) % INDEX_SIZE)
		if (memcmp(&set->states[set->index[at] - 1], s, sizeof(*s)) == 0)
			return;
	if (set->n == LIN_STATES) {
		set->full = true;
		return;
	}
	memcpy(&set->states[set->n++], s, sizeof(*s));
	set->index[at] = (uint16_t)set->n;
}

/* ---- steps ---- */

static bool may_be_cancelled(const struct check *k, const struct lin_call *c)
{
	return k->all_cancelled || k->cancelled[c - k->h->calls] || c->timed_out;
}

static void add_step(struct check *k, const struct lin_state *from, const struct lin_call *c,
                     void (*step)(struct lin_state *, const struct lin_call *))
{
	struct lin_state s;

	memcpy(&s, from, sizeof(s));
	step(&s, c);
	set_add(k->now, &s);
}

static void refuse(struct lin_state *s, const struct lin_call *c)
{
	lin_give(s, c->task, TT_ECANCELED);
}

/* What task may do next. A call that did not return a cancel did not meet one. */
static void add_steps_of(struct check *k, const struct lin_state *from, unsigned task)
{
	const struct lin_spec *spec = k->spec;
	const struct lin_call *c = k->calls[task];
	bool cancelled = c != NULL && c->rc == TT_ECANCELED && may_be_cancelled(k, c);

	switch ((enum lin_phase)from->phase[task]) {
	case LIN_NEW:
		add_step(k, from, c, spec->enter);
		if (cancelled)
			add_step(k, from, c, spec->refuse != NULL ? spec->refuse : refuse);
		break;
	case LIN_WAITING:
		if (cancelled)
			add_step(k, from, c, spec->leave);
		break;
	case LIN_MOVES:
		add_step(k, from, c, spec->move);
		break;
	case LIN_IDLE:
	case LIN_BLOCKED:
	case LIN_DUE:
	case LIN_DONE:
		break;
	}
}

/* All states that can be reached without a further event; the set grows while it is read. */
static void close_under_steps(struct check *k)
{
	for (unsigned i = 0; i < k->now->n; i++) {
		struct lin_state from;

		memcpy(&from, &k->now->states[i], sizeof(from));
		for (unsigned task = 0; task < k->h->tasks; task++)
			add_steps_of(k, &from, task);
		for (unsigned n = 0; k->spec->own_step != NULL; n++) {
			struct lin_state s;

			memcpy(&s, &from, sizeof(s));
			if (!k->spec->own_step(&s, n))
				break;
			set_add(k->now, &s);
		}
	}
	if (k->now->n > k->states_max)
		k->states_max = k->now->n;
}

/* ---- events ---- */

/* Every task is parked: nobody has a step to take, and who was cancelled is not in line. */
static bool may_be_quiet(const struct check *k, const struct lin_state *s)
{
	for (unsigned task = 0; task < k->h->tasks; task++) {
		enum lin_phase phase = s->phase[task];

		if (phase == LIN_IDLE || phase == LIN_BLOCKED)
			continue;
		if (phase != LIN_WAITING || k->all_cancelled || k->cancelled[k->calls[task] - k->h->calls])
			return false;
	}
	return k->spec->quiet == NULL || k->spec->quiet(s);
}

/* False: it contradicts s. */
static bool agrees(const struct check *k, struct lin_state *s, const struct lin_event *e)
{
	const struct lin_call *c = &k->h->calls[e->call];

	switch ((enum lin_event_kind)e->kind) {
	case LIN_INVOKE:
		s->phase[c->task] = LIN_NEW;
		return k->spec->event == NULL || k->spec->event(s, c, e);
	case LIN_RETURN:
		if (s->phase[c->task] != LIN_DONE)
			return false;
		s->phase[c->task] = LIN_IDLE;
		return true;
	case LIN_QUIET:
		return may_be_quiet(k, s);
	case LIN_BEGIN:
	case LIN_END:
	case LIN_NOTE:
	case LIN_CANCEL:
	case LIN_CANCEL_ALL:
		return k->spec->event == NULL || k->spec->event(s, c, e);
	}
	return false;
}

static void take_note(struct check *k, const struct lin_event *e)
{
	const struct lin_call *c = &k->h->calls[e->call];

	if (e->kind == LIN_INVOKE)
		k->calls[c->task] = c;
	else if (e->kind == LIN_CANCEL)
		k->cancelled[e->call] = true;
	else if (e->kind == LIN_CANCEL_ALL)
		k->all_cancelled = true;
}

/* k->now is before the event, and stays there when nothing agrees. False then. */
static bool pass(struct check *k, const struct lin_event *e)
{
	struct set *before = k->now;

	/* The states before a call point to the one it had before. */
	if (e->kind != LIN_INVOKE)
		close_under_steps(k);
	take_note(k, e);
	set_clear(k->next);
	for (unsigned i = 0; i < before->n; i++) {
		struct lin_state s;

		memcpy(&s, &before->states[i], sizeof(s));
		if (agrees(k, &s, e))
			set_add(k->next, &s);
	}
	if (before->full || k->next->n == 0)
		return false;
	k->now = k->next;
	k->next = before;
	return true;
}

static void begin(struct check *k, unsigned param)
{
	struct lin_state s;

	memset(&s, 0, sizeof(s));
	s.calls = k->calls;
	k->spec->init(&s, param);
	set_clear(k->now);
	set_add(k->now, &s);
}

struct lin_verdict lin_check(const struct lin_spec *spec, unsigned param, const struct lin_history *h)
{
	struct check k = { .spec = spec, .h = h, .calls[LIN_TASKS] = h->calls, .now = &sets[0], .next = &sets[1] };
	struct lin_verdict v = { .ok = true };

	begin(&k, param);
	while (v.at < h->n_events && pass(&k, &h->events[v.at]))
		v.at++;
	v.ok = v.at == h->n_events;
	v.states_max = k.states_max;
	v.too_many = k.now->full;
	v.n_last = k.now->n;
	for (unsigned i = 0; i < v.n_last && i < sizeof(v.last) / sizeof(v.last[0]); i++) {
		memcpy(&v.last[i], &k.now->states[i], sizeof(v.last[i]));
		v.last[i].calls = NULL;
	}
	return v;
}

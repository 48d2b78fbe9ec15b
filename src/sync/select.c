/* SPDX-License-Identifier: MIT */
/*
 * select.c - waiting for the first of several arms.
 *
 * Each arm is tried once without enlisting, in a random order (fair) or in theirs (biased).
 * If none took effect, the arms are enlisted one object at a time, each still able to take
 * effect at that moment; then the task parks. Whoever claims the waiter owns the outcome,
 * so exactly one arm takes effect (wait.h); the others are delisted before the call
 * returns. Nothing is allocated: nodes are in this frame.
 *
 * Rejected    A random start and then in turn: the arm behind a run of silent ones wins for
 *             all of them, 2 to 1 when the second of three is silent.
 */
#include <tutti/select.h>

#include "base/panic.h"
#include "base/sometimes.h"
#include "sched/worker.h"
#include "wait/wait.h"

struct select_call {
	const tt_arm *arms;
	unsigned n;
	uint8_t order[TT_SELECT_ARMS_MAX];   /* in which the arms get their turn */
	uint32_t enlisted;                   /* bit per arm whose node is on an object */
	struct tti_waiter waiter;
	struct tti_wait_node nodes[TT_SELECT_ARMS_MAX];
};

/* One of the n arms that had no turn yet; *r is spread to draw from. */
static unsigned draw(struct tti_oracle *o, unsigned n, uint64_t *r)
{
	unsigned drawn = (unsigned)((*r >> 32) * n >> 32);

	TT_ASSERT(n >= 2);
	if (o != NULL)
		return (unsigned)o->choose(o, n, "arm");
	*r *= UINT64_C(0xd1342543de82ef95); /* an odd multiplier without structure, as in an LCG */
	return drawn;
}

/* Every order is equally likely (Fisher and Yates). */
static void shuffle(struct select_call *s)
{
	struct tti_worker *w = tti_worker_here();
	uint64_t r = w->rt->oracle == NULL ? tti_worker_random(w) : 0;

	for (unsigned k = 0; k + 1 < s->n; k++) {
		unsigned j = k + draw(w->rt->oracle, s->n - k, &r);
		uint8_t first = s->order[k];

		s->order[k] = s->order[j];
		s->order[j] = first;
	}
}

/* One pass over the arms: TTI_ARM_LINKED when none took effect. */
static int pass(struct select_call *s, bool may_link)
{
	for (unsigned k = 0; k < s->n; k++) {
		unsigned i = s->order[k];
		int result;

		if (s->arms[i].ops == NULL)
			continue;
		result = s->arms[i].ops->enlist(&s->arms[i], &s->nodes[i], may_link);
		if (result != TTI_ARM_LINKED)
			return result;
		if (may_link)
			s->enlisted |= 1u << i;
	}
	return TTI_ARM_LINKED;
}

static void delist_all(struct select_call *s)
{
	for (uint32_t left = s->enlisted; left != 0; left &= left - 1) {
		unsigned i = (unsigned)__builtin_ctz(left);

		s->arms[i].ops->delist(&s->arms[i], &s->nodes[i]);
	}
}

/* Parks unless an arm took effect while enlisting; then everything is off its object. */
static void enlist_and_wait(struct select_call *s)
{
	int result = pass(s, true);

	TTI_SOMETIMES(result == TTI_ARM_DONE, "an arm takes effect while the others are enlisted");
	if (result != TTI_ARM_DONE)
		tti_park(&s->waiter);
	delist_all(s);
}

static int arm_result(const tt_arm *arm, unsigned index, int rc)
{
	if (arm->ops->finish != NULL)
		rc = arm->ops->finish(arm, rc);
	if (arm->rc != NULL) {
		*arm->rc = rc;
		return (int)index;
	}
	if (rc == 0 && arm->ops->zero_is_closed)
		return TT_ECLOSED;
	return rc < 0 ? rc : (int)index;
}

static unsigned prepare(struct select_call *s, const tt_arm *arms, unsigned n)
{
	unsigned on = 0;

	s->arms = arms;
	s->n = n;
	s->enlisted = 0;
	tti_waiter_init(&s->waiter, "select", NULL);
	for (unsigned i = 0; i < n; i++) {
		s->order[i] = (uint8_t)i;
		if (arms[i].ops == NULL)
			continue;
		tti_node_init(&s->nodes[i], &s->waiter, i);
		s->nodes[i].value = arms[i].value;
		s->nodes[i].n = (uint64_t)arms[i].n;
		on++;
	}
	return on;
}

int tt_select_(const tt_arm *arms, unsigned n, unsigned flags, const char *site)
{
	struct select_call s;
	int rc;

	if (tti_current_or_panic("tt_select") == NULL)
		return TT_EWRONGCTX;
	TT_REQUIRE(n <= TT_SELECT_ARMS_MAX, "tt_select at %s: %u arms", site, n);
	rc = tti_checkpoint();
	if (rc < 0)
		return rc;
	if (prepare(&s, arms, n) == 0)
		return TT_EINVAL;
	s.waiter.reason.site = site;
	if (flags != TT_SELECT_BIASED_)
		shuffle(&s);
	if (pass(&s, false) != TTI_ARM_DONE)
		enlist_and_wait(&s);
	if (s.waiter.winner == TTI_WINNER_CANCEL)
		return TT_ECANCELED;
	return arm_result(&arms[s.waiter.winner], s.waiter.winner, s.waiter.rc);
}

/* ---- arms of time and of stopping; they belong to the calling task alone ---- */

struct timer_node {
	struct tti_timer timer;
	struct tti_wait_node *node;
};

_Static_assert(sizeof(struct timer_node) <= sizeof(uint64_t) * TTI_NODE_SCRATCH_WORDS, "a timer fits a node");

static void timer_fired(struct tti_timer *timer)
{
	struct tti_wait_node *n = TTI_CONTAINER_OF(timer, struct timer_node, timer)->node;

	if (!tti_claim(n->waiter)) {
		TTI_SOMETIMES(true, "a select's time is up when another arm has won");
		return;
	}
	n->waiter->winner = n->arm;
	n->waiter->rc = 0;
	tti_wake(n->waiter);
}

static int timer_enlist(const tt_arm *arm, struct tti_wait_node *n, bool may_link)
{
	struct timer_node *t = (struct timer_node *)(void *)n->scratch;

	if (arm->n <= tti_home_here->now)
		return tti_claim_own_node(n, 0);
	if (may_link) {
		t->node = n;
		tti_timer_init(&t->timer, timer_fired);
		tti_wheel_arm(tti_home_here->wheel, &t->timer, arm->n);
	}
	return TTI_ARM_LINKED;
}

static void timer_delist(const tt_arm *arm, struct tti_wait_node *n)
{
	(void)arm;
	tti_wheel_cancel(tti_home_here->wheel, &((struct timer_node *)(void *)n->scratch)->timer);
}

static const struct tti_arm_ops timer_arm = { .verb = "timeout", .enlist = timer_enlist, .delist = timer_delist };

tt_arm tt_on_deadline_(int64_t deadline)
{
	return (tt_arm){ .ops = &timer_arm, .n = deadline };
}

tt_arm tt_on_timeout_(int64_t timeout)
{
	struct tti_home *h = tti_home_here;

	return tt_on_deadline_(h != NULL ? tti_deadline_after(h, timeout) : 0);
}

static int tick_finish(const tt_arm *arm, int rc)
{
	tti_interval_advance(arm->object);
	return rc;
}

static const struct tti_arm_ops tick_arm = {
	.verb = "tick",
	.enlist = timer_enlist,
	.delist = timer_delist,
	.finish = tick_finish,
};

tt_arm tt_on_tick_(tt_interval *i)
{
	return (tt_arm){ .ops = &tick_arm, .object = i, .n = i->next };
}

static int stop_enlist(const tt_arm *arm, struct tti_wait_node *n, bool may_link)
{
	(void)arm;
	if (tt_stopping())
		return tti_claim_own_node(n, 0);
	if (may_link)
		n->waiter->stop_node = n;
	return TTI_ARM_LINKED;
}

static void stop_delist(const tt_arm *arm, struct tti_wait_node *n)
{
	(void)arm;
	n->waiter->stop_node = NULL;
}

static const struct tti_arm_ops stop_arm = { .verb = "stop", .enlist = stop_enlist, .delist = stop_delist };

tt_arm tt_on_stop_(void)
{
	return (tt_arm){ .ops = &stop_arm };
}

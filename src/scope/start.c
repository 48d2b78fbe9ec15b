/* SPDX-License-Identifier: MIT */
/*
 * start.c - a child and the task that waits for its first word (tt_start, tt_ready), and the
 * call that is a child (tt_call_on).
 *
 *   AWAITED --> SAID       tt_ready(), or a good end
 *           \-> FAILED     it failed first: code and chain are the starter's
 *           \-> GIVEN_UP   the starter was cancelled: the child is too, alone, and waited for
 *
 * Lock        extra.lock guards the state and the starter's wait node. Whoever leaves AWAITED
 *             decides; a starter whose wait was cancelled looks once more, and what was said
 *             meanwhile counts.
 */
#include <tutti/select.h>
#include <tutti/start.h>

#include "base/panic.h"
#include "base/sometimes.h"
#include "scope/child.h"

/* An awaited child gets a scope of its own, through which it alone can be cancelled. */
void tti_start_init(struct tti_child_extra *x)
{
	struct tti_group *g = x->task->group;

	x->ready = TTI_READY_AWAITED;
	x->scope.parent = &g->scope;
	x->scope.owner = g->scope.owner;
	x->scope.kind = TTI_SCOPE_PLAIN;
	x->scope.site = x->task->spawn_site;
	x->scope.timeout = x->scope.timer.deadline = TT_NEVER;
	x->task->scope = x->task->scope_base = &x->scope;
}

/* AWAITED -> to, and the starter is told; false if somebody else was first. */
static bool settle(struct tti_child_extra *x, enum tti_ready to, int rc)
{
	struct tti_list woken;
	bool first;

	tti_list_init(&woken);
	tti_spin_lock(&x->lock);
	first = x->ready == TTI_READY_AWAITED;
	TTI_SOMETIMES(x->ready == TTI_READY_GIVEN_UP && rc >= 0, "a child is ready when its starter has given up");
	if (first) {
		x->ready = (uint8_t)to;
		x->rc = rc;
		if (to == TTI_READY_FAILED)
			tti_error_move(&x->err, &x->task->err);
		TTI_LIST_FOR_EACH (link, &x->starters)
			TT_IGNORE(tti_claim_node(TTI_CONTAINER_OF(link, struct tti_wait_node, link), rc, &woken));
	}
	tti_spin_unlock(&x->lock);
	tti_wake_all(&woken);
	return first;
}

int tt_ready(void)
{
	struct tt_task *t = tti_current_or_panic("tt_ready");
	int rc;

	if (t == NULL)
		return TT_EWRONGCTX;
	rc = tti_checkpoint();
	if (rc == 0 && t->extra != NULL)
		TT_IGNORE(settle(tti_extra_of(t), TTI_READY_SAID, 0));
	return rc;
}

static enum tti_ready ready_of(struct tti_child_extra *x)
{
	enum tti_ready ready;

	tti_spin_lock(&x->lock);
	ready = (enum tti_ready)x->ready;
	tti_spin_unlock(&x->lock);
	return ready;
}

bool tti_start_is_over(struct tti_child_extra *x)
{
	enum tti_ready ready = ready_of(x);

	return ready == TTI_READY_NOT_ASKED || ready == TTI_READY_SAID;
}

bool tti_start_takes(struct tt_task *t)
{
	struct tti_child_extra *x = tti_extra_of(t);

	if (x == NULL || ready_of(x) == TTI_READY_NOT_ASKED)
		return false;
	if (t->rc >= 0) {
		TT_IGNORE(settle(x, TTI_READY_SAID, 0));
		return false;
	}
	tti_error_set_code(&t->err, t->rc);
	tti_error_blame(&t->err, t);
	if (settle(x, TTI_READY_FAILED, t->rc))
		return true;
	/* Given up, it has nobody to tell of the cancel it got. */
	return ready_of(x) == TTI_READY_GIVEN_UP && t->rc == TT_ECANCELED;
}

/* ---- the starter ---- */

static int ready_enlist(const tt_arm *arm, struct tti_wait_node *n, bool may_link)
{
	struct tti_child_extra *x = arm->object;
	int result = TTI_ARM_LINKED;

	TT_ASSERT(may_link); /* it is an arm of no select */
	tti_spin_lock(&x->lock);
	if (x->ready != TTI_READY_AWAITED)
		result = tti_claim_own_node(n, x->rc);
	else
		tti_list_push_back(&x->starters, &n->link);
	tti_spin_unlock(&x->lock);
	return result;
}

static void ready_delist(const tt_arm *arm, struct tti_wait_node *n)
{
	struct tti_child_extra *x = arm->object;

	tti_spin_lock(&x->lock);
	tti_list_unlink(&n->link);
	tti_spin_unlock(&x->lock);
}

static const struct tti_arm_ops ready_arm = { .verb = "start", .enlist = ready_enlist, .delist = ready_delist };

static bool give_up(struct tti_child_extra *x)
{
	bool first;

	tti_spin_lock(&x->lock);
	first = x->ready == TTI_READY_AWAITED;
	if (first)
		x->ready = TTI_READY_GIVEN_UP;
	tti_spin_unlock(&x->lock);
	return first;
}

static void cancel_child(void *arg)
{
	struct tti_child_extra *x = arg;

	tti_scope_cancel_child(&x->scope, x->task);
}

/* Waits for its first word; a cancel of the starter ends the child first. */
static int await(struct tt_task *t)
{
	struct tti_child_extra *x = tti_extra_of(t);
	tt_arm arm = { .ops = &ready_arm, .object = x };
	int rc = tti_wait_arm(&arm, true);

	if (rc == TT_ECANCELED && give_up(x)) {
		tti_worker_call(t->group->scope.owner->home, "start", cancel_child, x);
		arm = tt_on_task_end_(t);
		TT_IGNORE(tti_wait_arm(&arm, false));
		return TT_ECANCELED;
	}
	/* What was said while the cancel came counts. */
	tti_spin_lock(&x->lock);
	TTI_SOMETIMES(rc == TT_ECANCELED && x->ready == TTI_READY_SAID,
	              "a starter is cancelled when its child is ready");
	TTI_SOMETIMES(rc == TT_ECANCELED && x->ready == TTI_READY_FAILED,
	              "a starter is cancelled when its child has failed");
	rc = x->rc;
	tti_spin_unlock(&x->lock);
	if (rc < 0)
		tti_error_move(tti_error_here(), &x->err);
	return rc;
}

intptr_t tt_verb_start_(void *on, const tt_task_type *type, const void *args, const char *site)
{
	struct tt_start_request_ *p = on;
	tt_task *t = NULL;
	int rc;

	rc = tti_current() != NULL ? tti_checkpoint() : 0;
	if (rc < 0) {
		if (type->drop != NULL)
			type->drop((void *)(uintptr_t)args);
		return rc;
	}
	rc = tti_group_spawn(tti_group_from_public(p->group), type, args, site, p->options, true, &t);
	if (rc < 0)
		return rc;
	rc = await(t);
	tti_task_put(t);
	return rc;
}

/* ---- tt_call_on ---- */

intptr_t tt_verb_call_on_(void *on, const tt_task_type *type, const void *args, const char *site)
{
	const tt_child_options o = { .worker = *(const unsigned *)on };
	struct tt_task *self = tti_current_or_panic("tt_call_on");
	tt_task *t = NULL;
	tt_group g;
	int rc = self == NULL ? TT_EWRONGCTX : tti_checkpoint();

	if (rc < 0) {
		if (type->drop != NULL)
			type->drop((void *)(uintptr_t)args);
		return rc;
	}
	TT_IGNORE(tt_group_open_(&g, NULL, site) == NULL);
	TT_IGNORE(tti_group_spawn(tti_group_from_public(&g), type, args, site, &o, false, &t));
	rc = tt_group_end(&g, 0);
	TTI_SOMETIMES(t != NULL && t->rc >= 0 && (self->cancel_bits & TTI_CANCELLED) != 0,
	              "a call succeeds in spite of a cancel");
	/* A result that came in spite of a cancel is a result. */
	if (t != NULL && t->rc >= 0)
		rc = t->rc;
	tti_task_put(t);
	return rc;
}

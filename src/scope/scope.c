/* SPDX-License-Identifier: MIT */
/*
 * scope.c - opening and ending blocks, deadlines, and the walk that carries a cancel
 * down the tree. Groups add their children in group.c.
 */
#include "scope/scope.h"

#include <stdio.h>

#include "base/panic.h"
#include "base/sometimes.h"
#include "scope/child.h"
#include "scope/group.h"
#include "scope/idle.h"

/* ---- what is in force ---- */

uint32_t tti_scope_effective(const struct tti_scope *s)
{
	bool until_stop = false;
	uint32_t bits = 0;

	for (; s != NULL; s = s->parent) {
		/* acquire: pairs with the release in set_flag(): whoever sees a cancel also sees
		 * what was done before it. */
		uint32_t own = tti_load_acquire(&s->flags);

		if (s->kind == TTI_SCOPE_UNTIL_STOP)
			until_stop = true;
		bits |= own;
		if ((own & TTI_STOPPING) != 0 && until_stop)
			bits |= TTI_CANCELLED;
		if (s->kind == TTI_SCOPE_SHIELD)
			break;
	}
	return bits;
}

static void set_flag(struct tti_scope *s, uint32_t flag)
{
	/* release: pairs with the acquire in tti_scope_effective(). */
	tti_store_release(&s->flags, s->flags.v | flag);
}

void tti_scope_cancel(struct tti_scope *s, enum tti_cause cause, int code)
{
	if (s->cause == TTI_CAUSE_NONE) {
		s->cause = (uint8_t)cause;
		s->code = code;
	}
	if ((s->flags.v & TTI_CANCELLED) != 0)
		return;
	set_flag(s, TTI_CANCELLED);
	tti_tree_update(s->owner);
}

void tti_scope_stop(struct tti_scope *s)
{
	if ((s->flags.v & TTI_STOPPING) != 0)
		return;
	set_flag(s, TTI_STOPPING);
	tti_tree_update(s->owner);
}

/* ---- the walk ---- */

static void visit_later(struct tti_home *h, struct tt_task *t)
{
	if (t->cancel_queued)
		return;
	t->cancel_queued = true;
	tti_queue_push(&h->cancel_work, &t->cancel_link);
}

static void handle_cancel_ack(struct tti_msg *m);

/* On the child's home: learn what is in force now, then answer. A child that has ended
 * meanwhile only answers. */
static void handle_cancel(struct tti_msg *m)
{
	struct tt_task *t = TTI_CONTAINER_OF(m, struct tt_task, cancel_msg);
	struct tti_home *owner = t->group->scope.owner->home;

	TTI_SOMETIMES(t->state == TTI_TASK_DONE, "a cancel from another worker comes to a child that has ended");
	if (t->state != TTI_TASK_DONE)
		tti_tree_update(t);
	m->handle = handle_cancel_ack;
	owner->ops->post(owner, m);
}

static void post_cancel(struct tt_task *child)
{
	if (child->cancel_posted != TTI_CANCEL_IDLE) {
		TTI_SOMETIMES(true, "a second cancel is posted before the first is acknowledged");
		child->cancel_posted = TTI_CANCEL_POSTED_AGAIN;
		return;
	}
	child->cancel_posted = TTI_CANCEL_POSTED;
	child->cancel_msg.handle = handle_cancel;
	child->home->ops->post(child->home, &child->cancel_msg);
}

static void handle_cancel_ack(struct tti_msg *m)
{
	struct tt_task *t = TTI_CONTAINER_OF(m, struct tt_task, cancel_msg);
	bool again = t->cancel_posted == TTI_CANCEL_POSTED_AGAIN;

	t->cancel_posted = TTI_CANCEL_IDLE;
	TTI_SOMETIMES(t->exit_received, "a cancel is acknowledged after the child's exit");
	if (t->exit_received)
		tti_group_retire(t);
	else if (again)
		post_cancel(t);
}

static void tell_children(struct tti_home *h, struct tti_group *g)
{
	uint32_t bits = tti_scope_effective(&g->scope);

	if (bits == g->propagated)
		return;
	if ((bits & TTI_CANCELLED) != 0 && g->scope.cause == TTI_CAUSE_NONE)
		g->scope.cause = TTI_CAUSE_OUTER;
	g->propagated = bits;
	TTI_LIST_FOR_EACH (n, &g->children) {
		struct tt_task *child = TTI_CONTAINER_OF(n, struct tt_task, sibling);

		if (child->exit_received)
			/* The one whose failure is the cause, one that is on its way out, or in a pause. */
			tti_restart_cancelled(child, bits);
		else if (child->home == h)
			visit_later(h, child);
		else
			post_cancel(child);
	}
	if ((bits & TTI_CANCELLED) != 0)
		tti_idle_cancel_all(g);
}

static void refresh(struct tt_task *t)
{
	uint32_t before = t->cancel_bits;

	t->cancel_bits = tti_scope_effective(t->scope);
	if ((t->cancel_bits & ~before & TTI_CANCELLED) != 0)
		tti_wait_cancel(t);
	else if ((t->cancel_bits & ~before & TTI_STOPPING) != 0)
		tti_wait_stop(t);
}

static void visit(struct tti_home *h, struct tt_task *t)
{
	TT_ASSERT(t->state != TTI_TASK_DONE);
	refresh(t);
	for (struct tti_scope *s = t->scope; s != t->scope_base; s = s->parent)
		if (s->kind == TTI_SCOPE_GROUP)
			tell_children(h, tti_group_of(s));
}

/* A list of work instead of recursion: the tree may be deeper than a stack. */
void tti_tree_update(struct tt_task *t)
{
	struct tti_home *h = tti_home_here;
	struct tti_link *n;

	TT_ASSERT(t->home == h);
	visit_later(h, t);
	TTI_SOMETIMES(h->cancel_walking, "a cancel comes out of a cancel");
	if (h->cancel_walking)
		return;
	h->cancel_walking = true;
	while ((n = tti_queue_pop(&h->cancel_work)) != NULL) {
		struct tt_task *next = TTI_CONTAINER_OF(n, struct tt_task, cancel_link);

		next->cancel_queued = false;
		visit(h, next);
	}
	h->cancel_walking = false;
}

void tti_scope_cancel_child(struct tti_scope *s, struct tt_task *t)
{
	set_flag(s, TTI_CANCELLED);
	if (t->exit_received)
		return;
	if (t->home == tti_home_here)
		tti_tree_update(t);
	else
		post_cancel(t);
}

/* ---- blocks ---- */

static void deadline_passed(struct tti_timer *timer)
{
	tti_scope_cancel(TTI_CONTAINER_OF(timer, struct tti_scope, timer), TTI_CAUSE_DEADLINE, TT_ETIMEDOUT);
}

/* ---- the outermost block ---- */

struct tt_task *tti_root_task(struct tti_scope *s, const struct tt_task_type *type, const void *args,
                              const struct tti_life_ops *life, const char *site)
{
	struct tti_worker *here = tti_worker_here();
	struct tt_task *t = tti_task_create(&here->home, type, args, site);

	if (t == NULL)
		return NULL;
	s->owner = t;
	s->kind = TTI_SCOPE_ROOT;
	s->open = true;
	s->site = site;
	s->timer.deadline = TT_NEVER;
	t->scope = t->scope_base = s;
	t->group = NULL;
	t->life = life;
	t->stack_class = here->rt->stack_class;
	return t;
}

bool tti_root_task_begin(struct tt_task *t)
{
	t->cancel_bits = tti_scope_effective(t->scope);
	return true;
}


void tti_scope_push(struct tti_scope *s, enum tti_scope_kind kind, const char *site)
{
	struct tt_task *t = tti_current_or_panic("opening a block");

	TT_REQUIRE(t != NULL, "block at %s: opened outside a task", site);
	s->parent = t->scope;
	s->owner = t;
	/* relaxed: nobody below knows the scope yet; a child gets it through an inbox. */
	tti_store_relaxed(&s->flags, 0);
	s->kind = (uint8_t)kind;
	s->cause = TTI_CAUSE_NONE;
	s->open = true;
	s->code = 0;
	s->site = site;
	s->canceller = NULL;
	s->timeout = TT_NEVER;
	tti_timer_init(&s->timer, deadline_passed);
	s->timer.deadline = TT_NEVER;
	t->scope = s;
	if (kind == TTI_SCOPE_SHIELD || kind == TTI_SCOPE_UNTIL_STOP)
		t->cancel_bits = tti_scope_effective(s);
}

void tti_scope_remove(struct tti_scope *s)
{
	struct tt_task *t = s->owner;

	TT_ASSERT(t->scope == s);
	tti_wheel_cancel(t->home->wheel, &s->timer);
	if (s->canceller != NULL)
		tti_canceller_detach(s);
	s->open = false;
	t->scope = s->parent;
	if (s->kind != TTI_SCOPE_SHIELD && s->kind != TTI_SCOPE_UNTIL_STOP && s->flags.v == 0)
		return;
	t->cancel_bits = tti_scope_effective(t->scope);
	if ((t->cancel_bits & TTI_CANCELLED) == 0)
		t->cancels_ignored = 0;
}

int64_t tti_scope_deadline(const struct tti_scope *s)
{
	int64_t earliest = TT_NEVER;

	for (; s != NULL; s = s->parent) {
		/* Set before anybody below knew the scope, and not changed while it is open. */
		if (s->timer.deadline < earliest)
			earliest = s->timer.deadline;
		if (s->kind == TTI_SCOPE_SHIELD)
			break;
	}
	return earliest;
}

static bool is_open_in(const struct tti_scope *s, const struct tt_task *t)
{
	for (const struct tti_scope *b = t->scope; b != t->scope_base; b = b->parent)
		if (b == s)
			return true;
	return false;
}

int tti_blocks_end_inside(struct tti_scope *s, int rc, const char *call)
{
	struct tt_task *t = tti_current();

	TT_REQUIRE(t != NULL, "%s: called outside a task", call);
	TT_REQUIRE(is_open_in(s, t), "%s: the block is not open in task %s#%llu, spawned at %s (ended twice, or another task's; it was "
	           "opened at %s)", call, t->name, (unsigned long long)t->id, t->spawn_site, s->site);
	while (t->scope != s) {
		int inner = tti_block_end(t->scope, rc);

		if (rc < 0 || inner < 0)
			rc = inner;
	}
	return rc;
}

/* "5 s", "1500 ms", ... */
static void put_timeout(char *buf, size_t n, int64_t timeout)
{
	static const struct {
		int64_t ns;
		const char *name;
	} units[] = { { TT_SEC(1), "s" }, { TT_MS(1), "ms" }, { TT_US(1), "us" }, { 1, "ns" } };
	size_t i = 0;

	while (timeout % units[i].ns != 0)
		i++;
	snprintf(buf, n, "%lld %s", (long long)(timeout / units[i].ns), units[i].name);
}

/* The chain says which block ran out of which time; what explained TT_ECANCELED stays below. */
static int timed_out(struct tti_scope *s)
{
	const char *what = s->kind == TTI_SCOPE_SHIELD ? "shield" : "scope";
	struct tti_error *e = &s->owner->err;
	char time[32] = "deadline";

	if (s->timeout != TT_NEVER)
		put_timeout(time, sizeof(time), s->timeout);
	if (e->code != TT_ECANCELED || e->head == NULL)
		return tt_fail_(TT_ETIMEDOUT, s->site, what, "timed out: %s", time);
	e->code = TT_ETIMEDOUT;
	return tt_wrap_(TT_ETIMEDOUT, s->site, what, "timed out: %s, %s", time, s->site);
}

/* TT_ECANCELED becomes what this scope knows better, unless something around it is
 * cancelled too: then that one will say. */
static int translate(struct tti_scope *s, int rc, bool stopping)
{
	uint32_t outer = tti_scope_effective(s->parent);

	if (rc != TT_ECANCELED)
		return rc;
	if (s->cause == TTI_CAUSE_DEADLINE && s->kind == TTI_SCOPE_SHIELD)
		return timed_out(s);
	if ((outer & TTI_CANCELLED) != 0)
		return rc;
	if (s->cause == TTI_CAUSE_DEADLINE)
		return timed_out(s);
	if (s->cause == TTI_CAUSE_CANCELLER)
		return tti_canceller_explain(s);
	return stopping ? TT_ESTOP : rc;
}

static int scope_end(struct tti_scope *s, int rc)
{
	bool stopping = s->kind == TTI_SCOPE_UNTIL_STOP && (s->owner->cancel_bits & TTI_STOPPING) != 0;

	rc = translate(s, rc, stopping);
	tti_scope_remove(s);
	return rc;
}

int tti_block_end(struct tti_scope *s, int rc)
{
	return s->kind == TTI_SCOPE_GROUP ? tti_group_end(tti_group_of(s), rc) : scope_end(s, rc);
}

/* ---- who ignores its cancel ---- */

static const char *why_of(const struct tti_scope *s)
{
	/* How it came about is known where the scope lives. */
	switch (s->owner->home == tti_home_here ? (enum tti_cause)s->cause : TTI_CAUSE_NONE) {
	case TTI_CAUSE_DEADLINE:
		return "ran out of time";
	case TTI_CAUSE_CANCELLER:
		return "was cancelled by a canceller";
	case TTI_CAUSE_CHILD:
		return "has a child that failed";
	default:
		return "was cancelled";
	}
}

/* The innermost block around t that is cancelled: its site. There is one: t was told of it, a flag
 * stays, and the blocks around a task that runs stay as well. */
static const char *cancel_origin(const struct tt_task *t, const char **ret_why)
{
	bool until_stop = false;

	for (const struct tti_scope *s = t->scope;; s = s->parent) {
		TT_ASSERT(s != NULL);
		/* relaxed: t acquired the flag when it was told of it, and the site never changes. */
		uint32_t own = tti_load_relaxed(&s->flags);

		until_stop |= s->kind == TTI_SCOPE_UNTIL_STOP;
		if ((own & TTI_CANCELLED) != 0 || ((own & TTI_STOPPING) != 0 && until_stop)) {
			*ret_why = (own & TTI_CANCELLED) != 0 ? why_of(s) : "was asked to stop";
			return s->site;
		}
	}
}

__attribute__((constructor)) static void set_cancel_origin(void)
{
	tti_cancel_origin = cancel_origin;
}

/* ---- public ---- */

_Static_assert(sizeof(struct tti_scope) <= sizeof(tt_scope), "tt_scope holds a tti_scope");

tt_scope *tt_scope_open_(tt_scope *storage, int64_t when, unsigned kind, const char *site)
{
	static const uint8_t kinds[] = {
		[TT_SCOPE_PLAIN_] = TTI_SCOPE_PLAIN,
		[TT_SCOPE_SHIELD_] = TTI_SCOPE_SHIELD,
		[TT_SCOPE_UNTIL_STOP_] = TTI_SCOPE_UNTIL_STOP,
	};
	struct tti_scope *s = (struct tti_scope *)(void *)storage;
	bool absolute = (kind & TT_SCOPE_ABSOLUTE_) != 0;
	struct tti_home *h;

	tti_scope_push(s, (enum tti_scope_kind)kinds[kind & ~(unsigned)TT_SCOPE_ABSOLUTE_], site);
	h = s->owner->home;
	if (when == TT_NEVER)
		return storage;
	if (!absolute) {
		s->timeout = when;
		when = tti_deadline_after(h, when);
	}
	if (when <= h->now)
		tti_scope_cancel(s, TTI_CAUSE_DEADLINE, TT_ETIMEDOUT);
	else
		tti_wheel_arm(h->wheel, &s->timer, when);
	return storage;
}

int tt_scope_end(tt_scope *storage, int rc)
{
	struct tti_scope *s = (struct tti_scope *)(void *)storage;

	rc = tti_blocks_end_inside(s, rc, "tt_scope_end");
	return scope_end(s, rc);
}

int tt_scope_pop_(int rc)
{
	struct tt_task *t = tti_current();

	TT_REQUIRE(t != NULL && t->scope != t->scope_base, "TT_WITHIN: its block was ended inside");
	return tti_block_end(t->scope, rc);
}

void tt_scope_leave_(tt_scope *storage)
{
	struct tti_scope *s = (struct tti_scope *)(void *)storage;

	if (!s->open)
		return;
#ifndef TT_NO_ASSERT
	tti_panic(s->site, "this block was left without tt_scope_end (task %s#%llu, spawned at %s)", s->owner->name,
	          (unsigned long long)s->owner->id, s->owner->spawn_site);
#else
	tt_error_report(TT_EINVAL, "block opened at %s was left without tt_scope_end", s->site);
	TT_IGNORE(tt_scope_end(storage, 0));
#endif
}

bool tt_stopping(void)
{
	struct tt_task *t = tti_current();

	return t != NULL && (t->cancel_bits & TTI_STOPPING) != 0;
}

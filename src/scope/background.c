/* SPDX-License-Identifier: MIT */
/*
 * background.c - a group that lives in an object: its owner is a task of its own, the keeper,
 * which opens it, waits, and ends it. The pool of resources and users' objects call this.
 *
 *   create --> OPEN --> (a failure, or the first success, cancels the group) --> REFUSING --> destroy --> gone
 *                \______________ destroy ____________________/
 *
 * The keeper has no group: it hangs under the runtime as the root task does, so that it is
 * cancelled by nothing but destroy. The runtime keeps a list for its end.
 *
 * Invariants  gate.refuses is 0 only while the group is open. It is set, under the lock, before the
 *             keeper ends the group: whoever counted a child before is joined.
 *             b is freed by destroy after the keeper's exit, its last use elsewhere. At the end of
 *             the runtime those that were forgotten are freed together, when the keepers of all
 *             have ended: until then a child of one may still use another.
 * Locks       gate.lock is held from the look at refuses to the end of the post, and guards gone,
 *             closing and destroyers; the list's lock guards reaped, and is taken alone.
 */
#include <stdio.h>

#include <tutti/background.h>

#include "base/panic.h"
#include "base/sometimes.h"
#include "scope/background.h"
#include "scope/group.h"

struct tt_background {
	tt_group group;                      /* the keeper's */
	struct tti_gate gate;
	struct tti_scope base;               /* around the keeper: nothing is cancelled through it */
	struct tti_list link;                /* in rt->backgrounds */
	tt_group_options options;
	const char *site;                    /* where it was created */
	struct tti_home *home;               /* the keeper's */
	struct tti_waiter *waiting;          /* the keeper, for the close; keeper's home */
	bool asked_to_close;                 /* keeper's home */
	bool opened;                         /* false: the keeper could not even start */
	bool closing;                        /* close_msg was posted */
	bool gone;                           /* the keeper has ended */
	bool reaped;                         /* the runtime's end frees it, not destroy */
	struct tti_msg close_msg;
	struct tti_list destroyers;          /* who waits for the keeper's end */
	struct tti_waiter starter;
};

struct destroyer {
	struct tti_list link;
	struct tti_waiter waiter;
};

static struct tti_group *group_of(struct tt_background *b)
{
	return tti_group_from_public(&b->group);
}

static const char *name_of(const struct tt_background *b)
{
	return b->options.name != NULL ? b->options.name : "background group";
}

/* ---- the keeper ---- */

static void done(struct tti_waiter *w)
{
	if (tti_claim(w))
		tti_wake(w);
}

/* Until destroy asks, or, if it may, until the group is cancelled. */
static void wait_for_close(struct tt_background *b, bool until_cancelled)
{
	struct tti_waiter w;

	tti_waiter_init(&w, "background", b);
	if (!until_cancelled)
		w.abort = NULL;
	TTI_SOMETIMES(b->asked_to_close, "a background group is closed before its keeper waits for that");
	if (b->asked_to_close)
		return;
	b->waiting = &w;
	tti_park(&w);
	b->waiting = NULL;
}

static void handle_close(struct tti_msg *m)
{
	struct tt_background *b = TTI_CONTAINER_OF(m, struct tt_background, close_msg);

	b->asked_to_close = true;
	if (b->waiting != NULL)
		done(b->waiting);
}

/* Nothing comes in from here on. */
static void refuse(struct tt_background *b, int code)
{
	tti_spin_lock(&b->gate.lock);
	if (b->gate.refuses != TT_ECLOSED)
		b->gate.refuses = code;
	tti_spin_unlock(&b->gate.lock);
}

static void report(struct tt_background *b, const struct tti_error *e)
{
	char prefix[256];

	snprintf(prefix, sizeof(prefix), "tutti: %s, created at %s, failed", name_of(b), b->site);
	tti_error_print(e, prefix);
}

/* Ends the group; what failed in it is told here, since nobody else will. */
static void end_group(struct tt_background *b)
{
	struct tti_group *g = group_of(b);
	struct tti_error *own = &g->scope.owner->err;
	int rc;

	if (b->asked_to_close)
		tti_scope_cancel(&g->scope, TTI_CAUSE_OWNER, 0);
	TT_IGNORE(tt_group_drain(&b->group));
	if (g->scope.cause == TTI_CAUSE_OWNER && g->err.code != 0)
		report(b, &g->err);
	rc = tt_group_end(&b->group, 0);
	if (rc < 0) {
		tti_error_set_code(own, rc);
		report(b, own);
	}
}

static int keeper_run(void *args)
{
	struct tt_background *b = *(struct tt_background **)args;

	tt_group_open_(&b->group, &b->options, b->site);
	group_of(b)->shared = true; /* whoever starts children counts from elsewhere */
	b->opened = true;
	done(&b->starter);
	wait_for_close(b, true);
	refuse(b, TT_ECANCELED);
	end_group(b);
	wait_for_close(b, false);
	return 0;
}

static void keeper_exit(struct tt_task *t)
{
	struct tt_background *b = TTI_CONTAINER_OF(t->scope_base, struct tt_background, base);
	struct tti_list waiting, *n;

	tti_task_put(t);
	if (!b->opened) {
		done(&b->starter);
		return;
	}
	tti_list_init(&waiting);
	tti_spin_lock(&b->gate.lock);
	b->gone = true;
	while ((n = tti_list_pop_front(&b->destroyers)) != NULL)
		tti_list_push_back(&waiting, n);
	tti_spin_unlock(&b->gate.lock);
	/* b may be freed from here on, by whoever is woken first. */
	while ((n = tti_list_pop_front(&waiting)) != NULL)
		done(&TTI_CONTAINER_OF(n, struct destroyer, link)->waiter);
}

static const struct tti_life_ops keeper_life = { .start = tti_root_task_begin, .exit = keeper_exit };

static const struct tt_task_type keeper_type = {
	.name = "keeper",
	.site = "tt_background_create",
	.size = sizeof(struct tt_background *),
	.align = _Alignof(struct tt_background *),
	.run = keeper_run,
};

/* ---- create ---- */

static void list_add(struct tt_background *b)
{
	struct tti_runtime *rt = b->gate.rt;

	tti_spin_lock(&rt->backgrounds_lock);
	if (rt->backgrounds.next == NULL)
		tti_list_init(&rt->backgrounds);
	tti_list_push_back(&rt->backgrounds, &b->link);
	tti_spin_unlock(&rt->backgrounds_lock);
}

/* False: the runtime's end has taken it. */
static bool list_remove(struct tt_background *b)
{
	bool mine;

	tti_spin_lock(&b->gate.rt->backgrounds_lock);
	mine = !b->reaped;
	if (mine)
		tti_list_unlink(&b->link);
	tti_spin_unlock(&b->gate.rt->backgrounds_lock);
	return mine;
}

static struct tt_task *keeper_new(struct tt_background *b)
{
	struct tt_task *k = tti_root_task(&b->base, &keeper_type, &b, &keeper_life, b->site);

	if (k != NULL && b->options.name != NULL)
		k->name = b->options.name;
	return k;
}

static int start_keeper(struct tt_background *b)
{
	struct tt_task *k = keeper_new(b);

	if (k == NULL)
		return TT_ENOMEM;
	tti_waiter_init(&b->starter, "background", b);
	b->starter.abort = NULL;
	tti_worker_submit(tti_worker_here(), k);
	tti_park(&b->starter);
	return b->opened ? 0 : TT_ENOMEM;
}

int tt_background_create_(const tt_group_options *o, tt_background **ret, const char *site)
{
	struct tt_task *self = tti_current_or_panic("tt_background_create");
	struct tt_background *b;
	int rc;

	if (self == NULL)
		return TT_EWRONGCTX;
	rc = tti_checkpoint();
	if (rc < 0)
		return rc;
	b = tti_env_zalloc(sizeof(*b));
	if (b == NULL)
		return TT_ENOMEM;
	if (o != NULL)
		b->options = *o;
	b->gate.rt = tti_worker_here()->rt;
	b->site = site;
	b->home = self->home;
	tti_list_init(&b->link);
	tti_list_init(&b->destroyers);
	rc = start_keeper(b);
	if (rc < 0) {
		tti_env_free(b);
		return rc;
	}
	list_add(b);
	*ret = b;
	return 0;
}

/* ---- spawn ---- */

intptr_t tt_verb_spawn_into_(void *on, const tt_task_type *type, const void *args, const char *site)
{
	struct tt_spawn_into_ *p = on;

	return tti_group_spawn_through(&p->background->gate, group_of(p->background), type, args, site, p->options);
}

/* ---- destroy ---- */

static void require_not_inside(struct tt_background *b, const struct tt_task *t)
{
	TT_REQUIRE(t != NULL, "tt_background_destroy: called outside a task (%s, created at %s)", name_of(b), b->site);
	for (const struct tti_scope *s = t->scope; s != NULL; s = s->parent)
		TT_REQUIRE(s != &group_of(b)->scope, "tt_background_destroy: task %s#%llu (spawned at %s) is inside of it (created at %s)",
		           t->name, (unsigned long long)t->id, t->spawn_site, b->site);
}

/* Nothing comes in any more, and the keeper is told, once. */
static void close_group(struct tt_background *b)
{
	bool first;

	refuse(b, TT_ECLOSED);
	tti_spin_lock(&b->gate.lock);
	first = !b->closing;
	b->closing = true;
	tti_spin_unlock(&b->gate.lock);
	TTI_SOMETIMES(!first, "a background group is closed from two sides");
	if (!first)
		return;
	b->close_msg.handle = handle_close;
	b->home->ops->post(b->home, &b->close_msg);
}

static void wait_until_gone(struct tt_background *b)
{
	struct destroyer d;
	bool gone;

	tti_waiter_init(&d.waiter, "background", b);
	d.waiter.abort = NULL;
	tti_spin_lock(&b->gate.lock);
	gone = b->gone;
	TTI_SOMETIMES(gone, "a background group is gone before its destroyer waits");
	if (!gone)
		tti_list_push_back(&b->destroyers, &d.link);
	tti_spin_unlock(&b->gate.lock);
	if (!gone)
		tti_park(&d.waiter);
}

void tt_background_destroy(tt_background *b)
{
	bool mine;

	if (b == NULL)
		return;
	require_not_inside(b, tti_current());
	mine = list_remove(b);
	TTI_SOMETIMES(!mine, "a background group is destroyed when the end of the runtime has taken it");
	close_group(b);
	wait_until_gone(b);
	if (mine)
		tti_env_free(b);
}

/* ---- the end of the runtime ---- */

/* Moves all that there are to a list of the caller's. False: there were none. */
static bool take_all(struct tti_runtime *rt, struct tti_list *to)
{
	struct tti_list *n;
	bool any = false;

	tti_spin_lock(&rt->backgrounds_lock);
	while (rt->backgrounds.next != NULL && (n = tti_list_pop_front(&rt->backgrounds)) != NULL) {
		TTI_CONTAINER_OF(n, struct tt_background, link)->reaped = true;
		tti_list_push_back(to, n);
		any = true;
	}
	tti_spin_unlock(&rt->backgrounds_lock);
	return any;
}

void tti_background_reap(struct tti_runtime *rt)
{
	struct tti_list taken, *n;

	tti_list_init(&taken);
	while (take_all(rt, &taken)) {
		TTI_LIST_FOR_EACH (link, &taken)
			close_group(TTI_CONTAINER_OF(link, struct tt_background, link));
		/* What their children create meanwhile is taken in the next round. */
		TTI_LIST_FOR_EACH (link, &taken)
			wait_until_gone(TTI_CONTAINER_OF(link, struct tt_background, link));
	}
	while ((n = tti_list_pop_front(&taken)) != NULL) {
		struct tt_background *b = TTI_CONTAINER_OF(n, struct tt_background, link);

		tt_error_report(TT_EBUSY, "tutti: %s, created at %s, was not destroyed", name_of(b), b->site);
		tti_env_free(b);
	}
}

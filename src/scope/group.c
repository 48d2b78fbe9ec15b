/* SPDX-License-Identifier: MIT */
/*
 * group.c - task groups: spawning into them, how their children end, and which code
 * their own end returns. Called through the macros of <tutti/group.h>.
 *
 * A group is owned by the task that opened it and changed only on that task's worker. A
 * child elsewhere sends its exit there; n_children counts it until it is retired.
 *
 * Invariants  The group's memory outlives every child: the join is never cut short.
 *             n_children >= length of children (a member's spawn is counted first).
 *             A retired child leaves nothing in the group but its failure's text.
 *
 * The first cause decides the code (group_result()):
 *   a child failed      its code; another code of the body is a sibling
 *   the body failed     rc; later failures of children are siblings
 *   something outside   TT_ECANCELED, or the canceller's code; failures are siblings;
 *                       but rc, when every child succeeded all the same
 *   its owner           rc
 */
#include "scope/group.h"

#include <tutti/select.h>

#include "base/panic.h"
#include "base/sometimes.h"
#include "scope/child.h"
#include "scope/idle.h"

static uint32_t children_left(struct tti_group *g)
{
	/* relaxed: a member counts before it posts to this worker, an outsider under the gate
	 * that the owner closed; so the count is here when it matters. */
	return tti_load_relaxed(&g->n_children);
}

/* Members on other workers count only in shared groups; else the owner's thread alone
 * writes, and a plain addition does. */
void tti_group_count(const struct tti_group *g, tti_atomic_u32 *counter, uint32_t n)
{
	if (g->shared)
		/* relaxed: only the number matters, see children_left(). */
		tti_fetch_add_relaxed(counter, n);
	else
		/* relaxed: see above. */
		tti_store_relaxed(counter, tti_load_relaxed(counter) + n);
}

static void count_children(struct tti_group *g, uint32_t n)
{
	tti_group_count(g, &g->n_children, n);
}

bool tti_group_take_place(struct tti_group *g)
{
	/* relaxed: a place is a number; nothing is handed over with it. */
	uint32_t n = g->max_children > 0 ? tti_load_relaxed(&g->n_placed) : 0;

	if (g->max_children == 0)
		return true;
	do
		if (n >= g->max_children)
			return false;
	/* relaxed: as above; of two who see the last place one gets it. */
	while (!tti_cas_relaxed(&g->n_placed, &n, n + 1));
	return true;
}

void tti_group_give_place(struct tti_group *g)
{
	if (g->max_children > 0)
		/* relaxed: as in tti_group_take_place(). */
		tti_fetch_add_relaxed(&g->n_placed, (uint32_t)-1);
}

/* The children that whoever waits in the group is waiting for. */
static uint32_t children_joined(struct tti_group *g)
{
	if (g->join_for_room)
		/* relaxed: as in tti_group_take_place(), which decides. */
		return tti_load_relaxed(&g->n_placed);
	return children_left(g) - (g->join_keeps_daemons ? g->n_daemons : 0);
}

/* ---- a child's life ---- */

/* What is in force in the group. On its owner's worker the answer is at hand: every cancel
 * walk leaves it there. */
uint32_t tti_group_effective(const struct tti_group *g)
{
	return g->scope.owner->home == tti_home_here ? g->propagated : tti_scope_effective(&g->scope);
}

static bool child_start(struct tt_task *t)
{
	bool own_scope = t->scope_base != &t->group->scope;

	t->cancel_bits = own_scope ? tti_scope_effective(t->scope_base) : tti_group_effective(t->group);
	if ((t->cancel_bits & TTI_CANCELLED) == 0)
		return true;
	TTI_SOMETIMES(true, "a child is cancelled before its first step");
	t->rc = TT_ECANCELED;
	return false;
}

static void wake_joiner(struct tti_group *g)
{
	struct tti_waiter *w = g->joiner;

	if (w == NULL || children_joined(g) > g->join_at_most || !tti_claim(w))
		return;
	g->joiner = NULL;
	tti_wake(w);
}

static void only_daemons_left(struct tti_group *g)
{
	bool ending = g->joiner != NULL && g->join_at_most == 0 && !g->join_keeps_daemons && !g->join_for_room;

	if (ending && g->n_daemons > 0 && children_left(g) == g->n_daemons) {
		TTI_SOMETIMES(true, "only daemons are left, and their group ends");
		tti_scope_cancel(&g->scope, TTI_CAUSE_FINISHED, 0);
	}
}

void tti_group_retire(struct tt_task *t)
{
	struct tti_group *g = t->group;

	if (tti_restart_is_due(t)) {
		tti_restart_wait(t);
		return;
	}
	tti_list_unlink(&t->sibling);
	if (t->daemon)
		g->n_daemons--;
	count_children(g, (uint32_t)-1);
	tti_group_give_place(g);
	tti_task_put(t);
	tti_idle_start_ready(g);
	tti_group_child_gone(g);
}

void tti_group_child_gone(struct tti_group *g)
{
	only_daemons_left(g);
	wake_joiner(g);
}

/* The first failure is the group's; others hang beside it. */
static void keep_failure(struct tti_group *g, struct tt_task *t)
{
	tti_error_set_code(&t->err, t->rc);
	tti_error_blame(&t->err, t);
	TTI_SOMETIMES(g->err.code != 0, "a second child fails in a group that has failed");
	if (g->err.code == 0)
		tti_error_move(&g->err, &t->err);
	else
		tti_error_add_sibling(&g->err, &t->err);
}

static void report_isolated(struct tt_task *t)
{
	tti_error_set_code(&t->err, t->rc);
	tti_error_blame(&t->err, t);
	tti_error_print(&t->err, "tutti: isolated task failed");
}

static void after_failure(struct tti_group *g)
{
	if (g->policy == TT_FAIL_FAST || g->policy == TT_SUPERVISE)
		tti_scope_cancel(&g->scope, TTI_CAUSE_CHILD, 0);
	else if (g->policy == TT_COLLECT_ALL && g->scope.cause == TTI_CAUSE_NONE)
		g->scope.cause = TTI_CAUSE_CHILD;
}

static void child_failed(struct tti_group *g, struct tt_task *t)
{
	if (g->policy == TT_ISOLATE) {
		report_isolated(t);
		return;
	}
	g->n_failed++;
	keep_failure(g, t);
	after_failure(g);
}

static void child_succeeded(struct tti_group *g, struct tt_task *t)
{
	if (t->daemon)
		return;
	g->n_succeeded++;
	TTI_SOMETIMES(g->policy == TT_FIRST_SUCCESS && g->scope.cause == TTI_CAUSE_FINISHED,
	              "a second child succeeds where the first one counts");
	if (g->policy != TT_FIRST_SUCCESS || g->scope.cause != TTI_CAUSE_NONE)
		return;
	g->success = t->rc;
	tti_scope_cancel(&g->scope, TTI_CAUSE_FINISHED, 0);
}

/* What a child's code means for its group; owner's worker. */
static void take_code(struct tti_group *g, struct tt_task *t)
{
	bool group_cancelled = (g->propagated & TTI_CANCELLED) != 0, starters = tti_start_takes(t);

	TTI_SOMETIMES(group_cancelled && t->rc >= 0, "a child succeeds in a cancelled group");
	TTI_SOMETIMES(group_cancelled && t->rc < 0 && t->rc != TT_ECANCELED, "a child fails in a cancelled group");
	if (starters && !(t->rc == TT_ECANCELED && group_cancelled))
		return;
	if (t->rc >= 0)
		child_succeeded(g, t);
	else if (t->rc == TT_ECANCELED && group_cancelled)
		g->n_cancelled += t->daemon ? 0 : 1;
	else
		child_failed(g, t);
}

static void wake_end_waiters(struct tt_task *t);

void tti_group_child_ended(struct tt_task *t)
{
	take_code(t->group, t);
	if (t->has_handle && t->extra != NULL)
		wake_end_waiters(t);
}

/* On the owner's worker, the moment a child's exit arrives there. */
static void child_exited(struct tt_task *t)
{
	t->exit_received = true;
	TTI_SOMETIMES(t->cancel_posted != TTI_CANCEL_IDLE, "a child exits when its cancel is on its way to it");
	if (!tti_restart_wanted(t))
		tti_group_child_ended(t);
	if (t->cancel_posted == TTI_CANCEL_IDLE || TTI_LAW_BROKEN(11))
		tti_group_retire(t);
}

static void handle_exit(struct tti_msg *m)
{
	child_exited(TTI_CONTAINER_OF(m, struct tt_task, life_msg));
}

static void wake_end_waiters(struct tt_task *t)
{
	struct tti_list woken;

	tti_list_init(&woken);
	tti_spin_lock(&t->end_lock);
	t->ended = true;
	TTI_LIST_FOR_EACH (link, &t->end_waiters)
		TT_IGNORE(tti_claim_node(TTI_CONTAINER_OF(link, struct tti_wait_node, link), t->rc, &woken));
	tti_spin_unlock(&t->end_lock);
	tti_wake_all(&woken);
}

static void child_exit(struct tt_task *t)
{
	struct tti_home *owner = t->group->scope.owner->home;

	TT_REQUIRE(t->scope == t->scope_base, "task %s#%llu (spawned at %s) ended with the block of %s still open",
	           t->name, (unsigned long long)t->id, t->spawn_site, t->scope->site);
	/* Whether one that may be restarted has ended is for its group to say. */
	if (t->has_handle && t->extra == NULL)
		wake_end_waiters(t);
	if (owner == tti_home_here) {
		child_exited(t);
		return;
	}
	TTI_SOMETIMES(true, "an exit crosses workers");
	t->life_msg.handle = handle_exit;
	owner->ops->post(owner, &t->life_msg);
}

/* ---- waiting for one task's end ---- */

static int end_enlist(const tt_arm *arm, struct tti_wait_node *n, bool may_link)
{
	struct tt_task *t = arm->object;
	int result = TTI_ARM_LINKED;

	tti_spin_lock(&t->end_lock);
	TTI_SOMETIMES(t->ended, "a task is joined after its end");
	if (t->ended)
		result = tti_claim_own_node(n, t->rc);
	else if (may_link)
		tti_list_push_back(&t->end_waiters, &n->link);
	tti_spin_unlock(&t->end_lock);
	return result;
}

static void end_delist(const tt_arm *arm, struct tti_wait_node *n)
{
	struct tt_task *t = arm->object;

	tti_spin_lock(&t->end_lock);
	tti_list_unlink(&n->link);
	tti_spin_unlock(&t->end_lock);
}

static int end_as_success(const tt_arm *arm, int rc)
{
	(void)arm;
	(void)rc;
	return 0;
}

/* A join gives the task's code; a select only learns that it ended. */
static const struct tti_arm_ops join_arm = { .verb = "join", .enlist = end_enlist, .delist = end_delist };
static const struct tti_arm_ops end_arm = {
	.verb = "task end",
	.enlist = end_enlist,
	.delist = end_delist,
	.finish = end_as_success,
};

int tt_task_join(tt_task *t)
{
	tt_arm arm = { .ops = &join_arm, .object = t };
	int rc;

	if (tti_current_or_panic("tt_task_join") == NULL)
		return TT_EWRONGCTX;
	rc = tti_checkpoint();
	return rc < 0 ? rc : tti_wait_arm(&arm, true);
}

tt_arm tt_on_task_end_(tt_task *t)
{
	return (tt_arm){ .ops = &end_arm, .object = t };
}

static const struct tti_life_ops child_life = { .start = child_start, .exit = child_exit };

/* ---- spawning ---- */

static struct tti_worker *place(unsigned worker);

static void adopt(struct tti_group *g, struct tt_task *t, struct tti_worker *to)
{
	t->rc = 0;
	tti_list_push_back(&g->children, &t->sibling);
	if (t->daemon)
		g->n_daemons++;
	tti_restart_begins(t);
	tti_worker_submit(to, t);
}

/* A member on another worker has spawned into a shared group: the owner's worker takes
 * the child in and runs it. The member has not exited yet, or its exit is behind this in
 * the inbox, so the group is still there. So does a keeper with what was started from
 * anywhere into its background group. */
static void handle_adopt(struct tti_msg *m)
{
	struct tt_task *t = TTI_CONTAINER_OF(m, struct tt_task, life_msg);
	struct tti_group *g = t->group;

	TTI_SOMETIMES((g->propagated & TTI_CANCELLED) != 0, "a child from elsewhere comes to a cancelled group");
	if (t->id == 0)
		tti_task_enroll(tti_home_here, t);
	adopt(g, t, place(t->worker));
	/* Until now it was counted, but not known to be a daemon. */
	tti_group_child_gone(g);
}

static struct tti_worker *place(unsigned worker)
{
	struct tti_worker *here = tti_worker_here();

	if (worker == TT_WORKER_HERE)
		return here;
	if (worker == TT_WORKER_ANY)
		return tti_worker_any(here->rt);
	return here->rt->workers[(worker - 1) % here->rt->n_workers];
}

static uint8_t class_for(const struct tti_runtime *rt, size_t stack_size)
{
	uint8_t c = rt->stack_class;

	if (stack_size == 0)
		return c;
	for (c = 0; c < TTI_STACK_CLASSES; c++)
		if (tti_stack_class_size((enum tti_stack_class)c) >= stack_size)
			return c;
	tti_panic("tt_go_with", "no stack class of %zu bytes", stack_size);
}

/* The place a child takes under max_children: the owner waits for one, a member does not. */
static int reserve_place(struct tti_group *g, bool owner)
{
	struct tti_waiter w;

	while (!tti_group_take_place(g)) {
		if (!owner)
			return TT_EAGAIN;
		tti_waiter_init(&w, "room in group", g);
		g->join_at_most = g->max_children - 1; /* daemons take a place too */
		g->join_for_room = true;
		g->joiner = &w;
		tti_park(&w);
		g->joiner = NULL;
		g->join_for_room = false;
		TTI_SOMETIMES(w.rc < 0, "a cancel ends the wait for room in a group");
		if (w.rc < 0)
			return w.rc;
	}
	count_children(g, 1);
	return 0;
}

#ifndef TT_NO_ASSERT
static bool is_below(const struct tti_group *g, const struct tt_task *t)
{
	for (const struct tti_scope *s = t->scope; s != NULL; s = s->parent)
		if (s == &g->scope)
			return true;
	return false;
}
#endif

/* Where the spawner stands: the owner, or a member of a shared group. */
bool tti_group_check_spawner(struct tti_group *g, const struct tt_task *self, const char *site)
{
	if (g->scope.owner == self) {
		TT_REQUIRE(g->scope.open, "tt_go at %s: the group is not open (it was opened at %s)", site, g->scope.site);
		return true;
	}
	TT_REQUIRE(g->shared,
	           "tt_go at %s: task %s#%llu (spawned at %s) is not the group's owner, and the group is not shared (it was "
	           "opened at %s)",
	           site, self->name, (unsigned long long)self->id, self->spawn_site, g->scope.site);
#ifndef TT_NO_ASSERT
	/* A member cannot outlive its group; somebody else may find its frame gone. */
	TT_REQUIRE(is_below(g, self),
	           "tt_go at %s: task %s#%llu (spawned at %s) is not in the group, which may be gone (it was opened at %s)",
	           site, self->name, (unsigned long long)self->id, self->spawn_site, g->scope.site);
#endif
	return false;
}

/* A child that never was ends like one that ran: cancelled if its group was, else failed.
 * That of a member is the member's own affair. */
static int spawn_refused(struct tti_group *g, struct tt_task *t, bool owner, int code)
{
	tti_task_drop_args(t);
	tti_task_move(t, TTI_TASK_DONE);
	t->rc = code;
	TT_ASSERT(!owner || code == TT_ECANCELED);
	if (owner && (tti_group_effective(g) & TTI_CANCELLED) != 0)
		g->n_cancelled++;
	else if (owner)
		child_failed(g, t);
	tti_task_put(t);
	return code;
}

/* The failure is the group's all the same. */
int tti_group_out_of_memory(struct tti_group *g, bool owner)
{
	if (!owner || g->policy == TT_ISOLATE)
		return TT_ENOMEM;
	g->n_failed++;
	if (g->err.code == 0)
		tti_error_set_code(&g->err, TT_ENOMEM);
	else
		g->err.dropped++;
	after_failure(g);
	return TT_ENOMEM;
}

/* There is no record that could drop them. */
static int drop_args(const struct tt_task_type *type, const void *args, int code)
{
	if (type->drop != NULL)
		type->drop((void *)(uintptr_t)args);
	return code;
}

static void become_child(struct tti_group *g, struct tt_task *t)
{
	t->group = g;
	t->scope = t->scope_base = &g->scope;
	t->life = &child_life;
}

void tti_group_adopt(struct tti_group *g, struct tt_task *t, unsigned worker)
{
	become_child(g, t);
	t->stack_class = class_for(tti_worker_here()->rt, 0);
	adopt(g, t, place(worker));
}

/* The record of a child, not counted yet; NULL: out of memory, and args are the caller's. */
static struct tt_task *child_new(struct tti_group *g, const struct tti_runtime *rt, const struct tt_task_type *type,
                                 const void *args, const char *site, const tt_child_options *o, bool awaited)
{
	static const tt_child_options none;
	struct tt_task *t = tti_task_create(tti_home_here, type, args, site);

	if (t == NULL)
		return NULL;
	o = o != NULL ? o : &none;
	become_child(g, t);
	t->daemon = o->daemon;
	t->stack_class = class_for(rt, o->stack_size);
	t->worker = o->worker;
	if (o->name != NULL)
		t->name = o->name;
	if (tti_child_extend(t, o, awaited) == 0)
		return t;
	tti_task_forget_args(t);
	tti_task_move(t, TTI_TASK_DONE);
	tti_task_put(t);
	return NULL;
}

static void post_adopt(struct tti_group *g, struct tt_task *t)
{
	struct tti_home *owner = g->scope.owner->home;

	t->life_msg.handle = handle_adopt;
	owner->ops->post(owner, &t->life_msg);
}

int tti_group_spawn_through(struct tti_gate *gate, struct tti_group *g, const struct tt_task_type *type,
                            const void *args, const char *site, const tt_child_options *o)
{
	struct tt_task *t = child_new(g, gate->rt, type, args, site, o, false);
	int rc;

	if (t == NULL)
		return drop_args(type, args, TT_ENOMEM);
	tti_spin_lock(&gate->lock);
	rc = gate->refuses != 0 ? gate->refuses : tti_group_take_place(g) ? 0 : TT_EAGAIN;
	TTI_SOMETIMES(gate->refuses == TT_ECANCELED, "a child is started in a background group that is cancelled");
	TTI_SOMETIMES(rc == TT_EAGAIN, "a child is started in a background group that is full");
	if (rc == 0) {
		count_children(g, 1);
		post_adopt(g, t);
	}
	tti_spin_unlock(&gate->lock);
	return rc == 0 ? 0 : spawn_refused(g, t, false, rc);
}

int tti_group_spawn(struct tti_group *g, const struct tt_task_type *type, const void *args, const char *site,
                    const tt_child_options *o, bool awaited, tt_task **ret_task)
{
	struct tt_task *self = tti_current_or_panic("tt_go"), *t;
	bool owner;
	int rc;

	if (self == NULL)
		return drop_args(type, args, TT_EWRONGCTX);
	owner = tti_group_check_spawner(g, self, site);
	t = child_new(g, tti_worker_here()->rt, type, args, site, o, awaited);
	if (t == NULL)
		return drop_args(type, args, tti_group_out_of_memory(g, owner));
	/* Only a group with a limit can make its owner wait; elsewhere tt_go is no checkpoint. */
	rc = owner && g->max_children > 0 ? tti_checkpoint() : 0;
	if (rc == 0 && (tti_group_effective(g) & TTI_CANCELLED) != 0)
		rc = TT_ECANCELED;
	if (rc == 0)
		rc = reserve_place(g, owner);
	if (rc < 0)
		return spawn_refused(g, t, owner, rc);
	if (ret_task != NULL) {
		t->has_handle = true;
		tti_task_get(t);
		*ret_task = t;
	}
	if (owner || g->scope.owner->home == self->home)
		adopt(g, t, place(t->worker));
	else
		post_adopt(g, t);
	return 0;
}

static int group_spawn(struct tti_group *g, const struct tt_task_type *type, const void *args, const char *site,
                       const tt_child_options *o, tt_task **ret_task)
{
	return tti_group_spawn(g, type, args, site, o, false, ret_task);
}

/* ---- joining and ending ---- */

/* Waits until no child is left, or, for a drain, none but daemons. A cancel reaches the
 * children; the wait itself is never cut short. */
static void wait_for_children(struct tti_group *g, bool keep_daemons)
{
	struct tti_waiter w;

	g->join_at_most = 0;
	g->join_keeps_daemons = keep_daemons;
	while (children_joined(g) > 0) {
		tti_waiter_init(&w, "children of group", g);
		w.abort = NULL;
		g->joiner = &w;
		only_daemons_left(g);
		tti_park(&w);
	}
	g->join_keeps_daemons = false;
}

static bool is_echo(int rc)
{
	return rc == TT_ECANCELED;
}

/* What the body failed with, moved out of its task's record; nothing for an echo: of the
 * cancel, or of the code that a drain gave it. */
static void take_body_failure(struct tti_group *g, int rc, int code, struct tti_error *ret_body)
{
	struct tti_error *own = &g->scope.owner->err;

	tti_error_init(ret_body);
	if (rc >= 0 || is_echo(rc) || (rc == code && own->code != rc))
		return;
	tti_error_set_code(own, rc);
	tti_error_blame(own, g->scope.owner);
	tti_error_move(ret_body, own);
}

/* A child's failure goes first; what the body said besides becomes its sibling. */
static int child_result(struct tti_group *g, int rc)
{
	struct tti_error *own = &g->scope.owner->err;
	struct tti_error body;
	int code = g->err.code;

	take_body_failure(g, rc, code, &body);
	tti_error_move(own, &g->err);
	if (body.code != 0)
		tti_error_add_sibling(own, &body);
	return code;
}

/* rc stands; failures of children become siblings of its chain. */
static int own_result(struct tti_group *g, int rc)
{
	struct tti_error *own = &g->scope.owner->err;

	if (rc < 0 && g->err.code != 0) {
		tti_error_set_code(own, rc);
		tti_error_add_sibling(own, &g->err);
	}
	return rc;
}

static int outside_result(struct tti_group *g, int rc)
{
	bool all_succeeded = g->n_failed == 0 && g->n_cancelled == 0;
	int code = g->scope.cause == TTI_CAUSE_CANCELLER ? g->scope.code : TT_ECANCELED;
	struct tti_error body;

	if (all_succeeded && !is_echo(rc))
		return rc;
	take_body_failure(g, rc, code, &body);
	if (g->scope.cause == TTI_CAUSE_CANCELLER)
		TT_IGNORE(tti_canceller_explain(&g->scope));
	if (body.code != 0) {
		tti_error_set_code(&g->scope.owner->err, code);
		tti_error_add_sibling(&g->scope.owner->err, &body);
	}
	return own_result(g, code);
}

static int finished_result(struct tti_group *g, int rc)
{
	if (g->policy != TT_FIRST_SUCCESS)
		return own_result(g, rc);
	if (rc == 0 || is_echo(rc))
		return g->success;
	return own_result(g, rc);
}

static int group_result(struct tti_group *g, int rc)
{
	switch ((enum tti_cause)g->scope.cause) {
	case TTI_CAUSE_CHILD:
		return child_result(g, rc);
	case TTI_CAUSE_OUTER:
	case TTI_CAUSE_CANCELLER:
	case TTI_CAUSE_DEADLINE:
		return outside_result(g, rc);
	case TTI_CAUSE_FINISHED:
		return finished_result(g, rc);
	case TTI_CAUSE_NONE:
		/* FIRST_SUCCESS: all failed, none succeeded. */
		if (g->policy == TT_FIRST_SUCCESS && g->err.code != 0)
			return child_result(g, rc);
		return rc;
	default:
		return own_result(g, rc);
	}
}

static int group_close(struct tti_group *g, int rc)
{
	wait_for_children(g, false);
	rc = group_result(g, rc);
	tti_error_clear(&g->err);
	tti_scope_remove(&g->scope);
	return rc;
}

int tti_group_end(struct tti_group *g, int rc)
{
	if (rc < 0)
		tti_scope_cancel(&g->scope, TTI_CAUSE_BODY, rc);
	return group_close(g, rc);
}

/* ---- public ---- */

_Static_assert(sizeof(struct tti_group) <= sizeof(tt_group), "tt_group holds a tti_group");

tt_group *tt_group_open_(tt_group *storage, const tt_group_options *o, const char *site)
{
	static const tt_group_options none;
	struct tti_group *g = tti_group_from_public(storage);

	o = o != NULL ? o : &none;
	tti_scope_push(&g->scope, TTI_SCOPE_GROUP, site);
	tti_list_init(&g->children);
	/* relaxed: nobody else knows the group yet. */
	tti_store_relaxed(&g->n_children, 0);
	g->n_daemons = 0;
	g->propagated = g->scope.owner->cancel_bits;
	g->n_failed = g->n_cancelled = g->n_succeeded = 0;
	g->max_children = o->max_children;
	g->policy = (uint8_t)o->policy;
	g->shared = o->shared;
	g->restart = (uint8_t)o->restart;
	if (o->policy == TT_SUPERVISE && g->restart == TT_RESTART_NEVER)
		g->restart = TT_RESTART_ON_FAILURE;
	g->backoff = o->backoff;
	g->success = 0;
	g->name = o->name;
	g->joiner = NULL;
	g->join_at_most = 0;
	g->join_keeps_daemons = g->join_for_room = false;
	/* relaxed: as above. */
	tti_store_relaxed(&g->n_placed, 0);
	tti_list_init(&g->idle);
	tti_list_init(&g->idle_ready);
	tti_error_init(&g->err);
	if ((g->propagated & TTI_CANCELLED) != 0)
		g->scope.cause = TTI_CAUSE_OUTER;
	return storage;
}

int tt_group_end(tt_group *storage, int rc)
{
	struct tti_group *g = tti_group_from_public(storage);

	rc = tti_blocks_end_inside(&g->scope, rc, "tt_group_end");
	return tti_group_end(g, rc);
}

int tt_group_finish(tt_group *storage, int rc)
{
	struct tti_group *g = tti_group_from_public(storage);

	rc = tti_blocks_end_inside(&g->scope, rc, "tt_group_finish");
	if (rc < 0 && g->scope.cause == TTI_CAUSE_NONE)
		g->scope.cause = TTI_CAUSE_BODY;
	return group_close(g, rc);
}

int tt_group_drain(tt_group *storage)
{
	struct tti_group *g = tti_group_from_public(storage);
	struct tt_task *self = tti_current_or_panic("tt_group_drain");

	if (self == NULL)
		return TT_EWRONGCTX;
	TT_REQUIRE(g->scope.owner == self && g->scope.open, "tt_group_drain: only the owner of an open group may drain it (it was opened at %s)", g->scope.site);
	wait_for_children(g, true);
	if (g->scope.cause == TTI_CAUSE_CHILD)
		return g->err.code;
	return (self->cancel_bits & TTI_CANCELLED) != 0 ? TT_ECANCELED : 0;
}

void tt_group_cancel(tt_group *storage)
{
	struct tti_group *g = tti_group_from_public(storage);

	TT_REQUIRE(g->scope.owner == tti_current() && g->scope.open,
	           "tt_group_cancel: only the owner of an open group may, others use tt_group_canceller (it was opened at %s)",
	           g->scope.site);
	tti_scope_cancel(&g->scope, TTI_CAUSE_OWNER, 0);
}

void tt_group_leave_(tt_group *storage)
{
	struct tti_group *g = tti_group_from_public(storage);

	if (!g->scope.open)
		return;
#ifndef TT_NO_ASSERT
	tti_panic(g->scope.site, "this group was left without tt_group_end (task %s#%llu, spawned at %s)",
	          g->scope.owner->name, (unsigned long long)g->scope.owner->id, g->scope.owner->spawn_site);
#else
	tt_error_report(TT_EINVAL, "group opened at %s was left without tt_group_end", g->scope.site);
	tti_scope_cancel(&g->scope, TTI_CAUSE_LEFT, 0);
	TT_IGNORE(tt_group_end(storage, 0));
#endif
}

intptr_t tt_verb_go_(void *on, const tt_task_type *type, const void *args, const char *site)
{
	return group_spawn(tti_group_from_public(on), type, args, site, NULL, NULL);
}

intptr_t tt_verb_go_task_(void *on, const tt_task_type *type, const void *args, const char *site)
{
	struct tt_go_task_ *p = on;

	return group_spawn(tti_group_from_public(p->group), type, args, site, NULL, p->ret_task);
}

intptr_t tt_verb_go_with_(void *on, const tt_task_type *type, const void *args, const char *site)
{
	struct tt_go_with_ *p = on;

	return group_spawn(tti_group_from_public(p->group), type, args, site, p->options, NULL);
}

struct plain_args {
	int (*fn)(void *);
	void *arg;
};

static int plain_run(void *args)
{
	struct plain_args *p = args;

	return p->fn(p->arg);
}

int tt_spawn(tt_group *g, int (*fn)(void *), void *arg, const tt_child_options *o)
{
	static const tt_task_type type = {
		.name = "task", .site = "tt_spawn", .size = sizeof(struct plain_args), .align = _Alignof(struct plain_args),
		.run = plain_run,
	};
	struct plain_args args = { fn, arg };

	return group_spawn(tti_group_from_public(g), &type, &args, "tt_spawn", o, NULL);
}

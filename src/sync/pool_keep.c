/* SPDX-License-Identifier: MIT */
/*
 * pool_keep.c - the keeper of a resource pool: a task that lives as long as the pool and owns
 * the groups in which items are opened, checked and closed. Started by tt_pool_create().
 *
 * The keeper is nobody's child: it hangs from a root of its own, a scope in the pool, so that no
 * cancel reaches it and tt_pool_destroy() may be called from another task than tt_pool_create().
 *
 * A round     Under the lock it makes a plan (what to close, check and open, what to report,
 *             when to look again); outside it carries the plan out, then waits for a kick or
 *             that time.
 * Groups      `closes` is open to the end and never cancelled. `opens`, inside, is cancelled
 *             as soon as the pool is closed: nobody will need what is being opened.
 * No memory   A child that cannot be started runs its destructor: an open has then failed with
 *             -ENOMEM, an unchecked item is closed, and what has no task to close it is closed
 *             by the keeper itself. Nothing is lost.
 * Back-off    After a failed open the next one waits, 10 ms to 1 s, each time twice as long and
 *             half of it by chance, and until one succeeds there is only one at a time. Each
 *             failure is the result of one waiter, the first in line: the others may still be
 *             served by an item that comes back.
 * Rejected    Telling every waiter of one failure: one server that refuses one connection
 *             would fail all requests in line, although the other items go on serving.
 */
#include <tutti/error.h>
#include <tutti/group.h>
#include <tutti/select.h>

#include "base/panic.h"
#include "base/sometimes.h"
#include "env/env.h"
#include "sync/pool.h"

#define BACKOFF_MIN TT_MS(10)
#define BACKOFF_MAX TT_SEC(1)
#define BACKOFF_DOUBLINGS 7              /* from the least, before the next one is beyond the most */
#define NAMES_FIRST TT_SEC(5)
#define NAMES_AGAIN TT_SEC(60)
#define NAMES_MAX 8

_Static_assert(BACKOFF_MIN << (BACKOFF_DOUBLINGS - 1) <= BACKOFF_MAX, "never beyond the most");

static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };

/* ---- opening ---- */

/* Between half of it and all of it. */
static int64_t backoff(unsigned failures)
{
	int64_t most = failures <= BACKOFF_DOUBLINGS ? BACKOFF_MIN << (failures - 1) : BACKOFF_MAX;

	return most - (int64_t)(tti_worker_random(tti_worker_here()) % (uint64_t)(most / 2 + 1));
}

/* Up to an eighth earlier, so that what was opened together does not end together. */
static int64_t expiry(const struct tti_pool *p, int64_t now)
{
	int64_t life = p->o.lifetime_max;

	if (life == TT_NEVER)
		return TT_NEVER;
	return now + life - (int64_t)(tti_worker_random(tti_worker_here()) % (uint64_t)(life / 8 + 1));
}

static void opened(struct tti_item *it, void *value)
{
	struct tti_pool *p = it->pool;
	struct tti_list woken;

	it->value = value;
	tti_list_init(&woken);
	tti_spin_lock(&p->lock);
	it->expires = expiry(p, tti_home_here->now);
	TTI_SOMETIMES(p->failures > 0, "an item is opened after attempts that failed");
	TTI_SOMETIMES(p->n_waiting == 0 && tti_pool_min_idle(p) == 0,
	              "an item is opened when nobody wants it any more");
	p->failures = 0;
	p->stats.opened++;
	tti_pool_place(it, &woken);
	tti_pool_kick(p, &woken); /* more may be opened at once now */
	tti_spin_unlock(&p->lock);
	tti_wake_all(&woken);
}

static void init_record(struct tti_item *it, struct tti_pool *p)
{
	*it = (struct tti_item){ .pool = p, .state = TTI_ITEM_OPENING, .since = tti_home_here->now };
	tti_list_init(&it->link);
	tti_list_init(&it->bucket_link);
}

/* Under the lock: an attempt that began after the last failure has failed too. */
static void wait_longer(struct tti_pool *p)
{
	p->failures++;
	p->failed_at = tti_home_here->now;
	p->retry_at = p->failed_at + backoff(p->failures);
}

/* err: the chain behind the code, NULL: there is none. */
static void book_failure(struct tti_item *it, int code, struct tti_error *err)
{
	struct tti_pool *p = it->pool;
	struct tti_list woken;

	tti_list_init(&woken);
	tti_spin_lock(&p->lock);
	TTI_SOMETIMES(p->closed != 0, "an open fails in a closed pool");
	if (p->closed == 0) {
		TTI_SOMETIMES(p->failures > 0 && it->since <= p->failed_at,
		              "of attempts side by side another one fails");
		p->stats.open_failed++;
		p->last_failure = code;
		if (p->failures == 0 || it->since > p->failed_at)
			wait_longer(p);
		TT_IGNORE(tti_pool_refuse_first(p, code, err, &woken));
	}
	tti_pool_forget(it, &woken);
	tti_spin_unlock(&p->lock);
	tti_wake_all(&woken);
}

static void open_failed(struct tti_item *it, int code, struct tti_error *err)
{
	book_failure(it, code, err);
	tti_env_free(it);
}

static void open_dropped(struct tti_item *it)
{
	open_failed(it, TT_ENOMEM, NULL);
}

/* TT_ECANCELED would tell a waiter that it was cancelled itself. */
static int open_code(int rc)
{
	if (rc == TT_ECANCELED)
		return tt_fail(TT_EIO, "open gave up as if it was cancelled");
	return rc;
}

static TT_TASK(pool_open, (struct tti_item *, it, open_dropped))
{
	struct tti_pool *p = it->pool;
	void *value = NULL;
	int rc;

	rc = TT_WITHIN(p->o.open_max, p->o.open(p->o.ctx, &value));
	if (rc >= 0) {
		TT_REQUIRE(value != NULL, "pool %s: open succeeded and gave no item", p->name);
		opened(it, value);
		return 0;
	}
	rc = tt_wrap(open_code(rc), "pool %s: open", p->name);
	tti_error_set_code(&tti_current()->err, rc);
	open_failed(it, rc, &tti_current()->err);
	return 0;
}

/* ---- checking ---- */

static void checked(struct tti_item *it, int rc)
{
	struct tti_pool *p = it->pool;
	struct tti_list woken;

	tti_list_init(&woken);
	tti_spin_lock(&p->lock);
	p->stats.check_failed += rc < 0 && p->closed == 0;
	TTI_SOMETIMES(rc < 0 && p->closed == 0, "an item breaks while it is idle");
	TTI_SOMETIMES(rc < 0 && p->closed != 0, "a check is cut short because the pool is closed");
	if (rc >= 0)
		tti_pool_place(it, &woken);
	else
		tti_pool_retire(it, &woken);
	tti_spin_unlock(&p->lock);
	tti_wake_all(&woken);
}

static void check_dropped(struct tti_item *it)
{
	checked(it, TT_ENOMEM);
}

static TT_TASK(pool_check, (struct tti_item *, it, check_dropped))
{
	struct tti_pool *p = it->pool;

	checked(it, TT_WITHIN(p->o.open_max, p->o.check(p->o.ctx, it->value)));
	return 0;
}

/* ---- closing ---- */

static int call_close(struct tti_item *it)
{
	it->pool->o.close(it->pool->o.ctx, it->value);
	return 0;
}

static void close_item(struct tti_item *it)
{
	struct tti_pool *p = it->pool;
	struct tti_list woken;

	TT_IGNORE(TT_WITHIN(p->o.return_max, call_close(it)));
	tti_list_init(&woken);
	tti_spin_lock(&p->lock);
	p->stats.closed++;
	tti_pool_forget(it, &woken);
	tti_spin_unlock(&p->lock);
	tti_wake_all(&woken);
	tti_env_free(it);
}

static void close_dropped(struct tti_item *it)
{
	struct tti_pool *p = it->pool;
	struct tti_list woken;

	tti_list_init(&woken);
	tti_spin_lock(&p->lock);
	tti_list_push_back(&p->stranded, &it->link);
	tti_pool_kick(p, &woken);
	tti_spin_unlock(&p->lock);
	tti_wake_all(&woken);
}

static TT_TASK(pool_close, (struct tti_item *, it, close_dropped))
{
	close_item(it);
	return 0;
}

/* ---- the plan ---- */

struct plan {
	int64_t now, until;                  /* monotonic ns; until: when to look again */
	struct tti_list close, stranded, check; /* items */
	unsigned n_open;
	bool closed, done;                   /* the pool is closed; and nothing of it is left */
	bool leak;                           /* names[0] has had an item for too long */
	unsigned n_names;                    /* those that destroy has waited for too long */
	struct tti_borrower names[NAMES_MAX];
};

static void at_the_latest(struct plan *plan, int64_t when)
{
	if (when < plan->until)
		plan->until = when;
}

static void retire_idle(struct tti_item *it, struct tti_list *woken)
{
	tti_list_unlink(&it->link);
	tti_pool_retire(it, woken);
}

/* Those that are too old, have been idle too long, or are too much; longest idle first. */
static void plan_idle(struct tti_pool *p, struct plan *plan, struct tti_list *woken)
{
	for (struct tti_list *link = p->idle.prev, *before; link != &p->idle; link = before) {
		struct tti_item *it = TTI_CONTAINER_OF(link, struct tti_item, link);
		bool spare = p->count[TTI_ITEM_IDLE] > tti_pool_min_idle(p);
		int64_t idle_until = p->o.idle_max != TT_NEVER && spare ? it->since + p->o.idle_max : TT_NEVER;

		before = link->prev;
		if (p->closed != 0 || it->expires <= plan->now || idle_until <= plan->now) {
			retire_idle(it, woken);
			continue;
		}
		at_the_latest(plan, it->expires);
		at_the_latest(plan, idle_until);
	}
}

/* One check for each in line that nobody is checking for yet. */
static void plan_checks(struct tti_pool *p, struct plan *plan, struct tti_list *woken)
{
	for (unsigned left = p->count[TTI_ITEM_IDLE]; left > 0 && p->n_waiting > p->count[TTI_ITEM_CHECKING]; left--) {
		struct tti_item *it = TTI_CONTAINER_OF(tti_list_first(&p->idle), struct tti_item, link);

		tti_list_unlink(&it->link);
		if (tti_pool_needs_check(p, it, plan->now)) {
			tti_pool_move(it, TTI_ITEM_CHECKING);
			tti_list_push_back(&plan->check, &it->link);
		} else {
			tti_pool_place(it, woken);
		}
	}
}

static void plan_opens(struct tti_pool *p, struct plan *plan)
{
	unsigned n = tti_pool_wanted(p);

	if (n > 0 && p->failures > 0) {
		if (plan->now < p->retry_at) {
			TTI_SOMETIMES(p->n_waiting > 0, "a borrower waits for the end of a pause between attempts");
			at_the_latest(plan, p->retry_at);
			n = 0;
		} else {
			n = p->count[TTI_ITEM_OPENING] == 0;
		}
	}
	plan->n_open = n;
	p->count[TTI_ITEM_OPENING] += n;
	p->n_items += n;
}

/* The one that has been out longest, if that is too long. */
static void plan_leak(struct tti_pool *p, struct plan *plan)
{
	struct tti_list *link = tti_list_first(&p->out);
	struct tti_item *it;
	int64_t due;

	if (link == NULL || p->o.leak_after == TT_NEVER)
		return;
	it = TTI_CONTAINER_OF(link, struct tti_item, link);
	due = it->borrower.since + p->o.leak_after;
	if (due > plan->now) {
		at_the_latest(plan, due);
		return;
	}
	plan->leak = true;
	TTI_SOMETIMES(p->closed != 0, "an item is out for too long when its pool is closed");
	plan->names[0] = it->borrower;
	tti_list_unlink(link);
	tti_list_push_back(&p->late, link);
	p->stats.leaks_reported++;
	plan->until = 0; /* there may be another one */
}

static void collect_names(struct tti_list *lent, struct plan *plan)
{
	TTI_LIST_FOR_EACH (link, lent)
		if (plan->n_names < NAMES_MAX)
			plan->names[plan->n_names++] = TTI_CONTAINER_OF(link, struct tti_item, link)->borrower;
}

/* Destroy waits for borrowers: after a while it says for whom. */
static void plan_names(struct tti_pool *p, struct plan *plan)
{
	if (!p->destroying || p->count[TTI_ITEM_OUT] == 0 || plan->leak)
		return;
	if (p->name_at == 0)
		p->name_at = plan->now + NAMES_FIRST;
	if (p->name_at <= plan->now) {
		collect_names(&p->late, plan);
		collect_names(&p->out, plan);
		p->name_at = plan->now + NAMES_AGAIN;
	}
	at_the_latest(plan, p->name_at);
}

static void take_all(struct tti_list *to, struct tti_list *from)
{
	struct tti_list *link;

	while ((link = tti_list_pop_front(from)) != NULL)
		tti_list_push_back(to, link);
}

static void make_plan(struct tti_pool *p, struct plan *plan)
{
	struct tti_list woken;

	*plan = (struct plan){ .now = tti_home_here->now, .until = TT_NEVER };
	tti_list_init(&plan->close);
	tti_list_init(&plan->stranded);
	tti_list_init(&plan->check);
	tti_list_init(&woken);
	tti_spin_lock(&p->lock);
	plan_idle(p, plan, &woken);
	plan_checks(p, plan, &woken);
	plan_opens(p, plan);
	plan_leak(p, plan);
	plan_names(p, plan);
	take_all(&plan->close, &p->retired);
	take_all(&plan->stranded, &p->stranded);
	plan->closed = p->closed != 0;
	plan->done = p->destroying && p->n_items == 0 && p->n_places == 0;
	p->keeper_until = plan->until;
	p->kicked = false; /* what was kicked for is in the plan */
	tti_spin_unlock(&p->lock);
	tti_wake_all(&woken);
}

/* ---- carrying it out ---- */

static struct tti_item *next_of(struct tti_list *items)
{
	struct tti_list *link = tti_list_pop_front(items);

	return link != NULL ? TTI_CONTAINER_OF(link, struct tti_item, link) : NULL;
}

/* The place was counted already. Without memory for the record it is an open that failed. */
static void start_open(struct tti_pool *p, tt_group *opens)
{
	struct tti_item *it = tti_env_zalloc(sizeof(*it)), none;

	if (it == NULL) {
		init_record(&none, p);
		book_failure(&none, TT_ENOMEM, NULL);
		return;
	}
	init_record(it, p);
	tt_go_with(opens, &anywhere, pool_open, it);
}

static void report(struct tti_pool *p, const struct plan *plan)
{
	for (unsigned i = 0; i < plan->n_names + plan->leak; i++) {
		const struct tti_borrower *b = &plan->names[i];
		const char *what = plan->leak ? "has held an item for" : "keeps destroy waiting, an item out for";

		tti_pool_say(p, b->frames, b->n_frames, "%s#%llu (spawned at %s) %s %lld ms, acquired at %s", b->name,
		             (unsigned long long)b->id, b->spawn_site, what, (long long)((plan->now - b->since) / 1000000),
		             b->site);
	}
}

/* opens: NULL once the pool is closed. */
static void carry_out(struct tti_pool *p, struct plan *plan, tt_group *opens, tt_group *closes)
{
	struct tti_item *it;

	for (; plan->n_open > 0; plan->n_open--)
		start_open(p, opens);
	while ((it = next_of(&plan->check)) != NULL)
		tt_go_with(opens, &anywhere, pool_check, it);
	while ((it = next_of(&plan->close)) != NULL)
		tt_go_with(closes, &anywhere, pool_close, it);
	while ((it = next_of(&plan->stranded)) != NULL)
		close_item(it);
	report(p, plan);
}

/* ---- its wait ---- */

static int keeper_enlist(const tt_arm *arm, struct tti_wait_node *n, bool may_link)
{
	struct tti_pool *p = arm->object;
	int result = TTI_ARM_LINKED;

	tti_spin_lock(&p->lock);
	if (p->kicked)
		result = tti_claim_own_node(n, 0);
	else if (may_link)
		tti_list_push_back(&p->keeper_node, &n->link);
	tti_spin_unlock(&p->lock);
	return result;
}

static void keeper_delist(const tt_arm *arm, struct tti_wait_node *n)
{
	struct tti_pool *p = arm->object;

	tti_spin_lock(&p->lock);
	tti_list_unlink(&n->link);
	tti_spin_unlock(&p->lock);
}

static const struct tti_arm_ops keeper_arm = { .verb = "kick", .enlist = keeper_enlist, .delist = keeper_delist };

static void wait_for_work(struct tti_pool *p, int64_t until)
{
	tt_arm kick = { .ops = &keeper_arm, .object = p };

	if (until == TT_NEVER)
		TT_IGNORE(tt_select_biased(kick));
	else
		TT_IGNORE(tt_select_biased(kick, TT_ON_DEADLINE(until)));
}

/* ---- its life ---- */

static const tt_group_options isolated = { .policy = TT_ISOLATE };

static void keep_open(struct tti_pool *p, tt_group *closes)
{
	struct plan plan;

	TT_GROUP_WITH(opens, &isolated);
	for (;;) {
		make_plan(p, &plan);
		carry_out(p, &plan, &opens, closes);
		if (plan.closed)
			break;
		wait_for_work(p, plan.until);
	}
	tt_group_cancel(&opens);
	TT_IGNORE(tt_group_end(&opens, 0));
}

static void keep_closed(struct tti_pool *p, tt_group *closes)
{
	struct plan plan;

	for (;;) {
		make_plan(p, &plan);
		carry_out(p, &plan, NULL, closes);
		if (plan.done)
			return;
		wait_for_work(p, plan.until);
	}
}

static TT_TASK(pool_keeper, (struct tti_pool *, p))
{
	TT_GROUP_WITH(closes, &isolated);
	keep_open(p, &closes);
	keep_closed(p, &closes);
	return tt_group_end(&closes, 0);
}

/* After this the pool may be gone. There was no stack for it: the pool lends nothing, ever. */
static void keeper_exit(struct tt_task *t)
{
	struct tti_pool *p = TTI_CONTAINER_OF(t->scope_base, struct tti_pool, scope);
	struct tti_list woken;
	int rc = t->rc;

	tti_list_init(&woken);
	tti_task_put(t);
	tti_spin_lock(&p->lock);
	if (rc < 0)
		tti_pool_close_with(p, rc, &woken);
	p->ended = true;
	TTI_LIST_FOR_EACH (link, &p->end_nodes)
		TT_IGNORE(tti_claim_node(TTI_CONTAINER_OF(link, struct tti_wait_node, link), 0, &woken));
	tti_spin_unlock(&p->lock);
	tti_wake_all(&woken);
}

static const struct tti_life_ops keeper_life = { .start = tti_root_task_begin, .exit = keeper_exit };

int tti_pool_keeper_start(struct tti_pool *p, const char *site)
{
	struct tt_args_pool_keeper_ args = { p };
	struct tt_task *t = tti_root_task(&p->scope, &tt_type_pool_keeper_, &args, &keeper_life, site);

	if (t == NULL)
		return TT_ENOMEM;
	tti_worker_submit(tti_worker_here(), t);
	return 0;
}

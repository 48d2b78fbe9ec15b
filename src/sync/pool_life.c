/* SPDX-License-Identifier: MIT */
/*
 * pool_life.c - a resource pool as a whole: making, resizing, closing, draining and destroying
 * it, and its counters.
 *
 * The end     Closing refuses the line and lets the keeper (pool_keep.c) close what is free; a
 *             drain waits until no item is left; destroy waits for the keeper, which ends when
 *             nobody has a place in line either, and then frees the pool.
 */
#include <stdio.h>
#include <string.h>

#include <tutti/error.h>

#include "base/panic.h"
#include "base/sometimes.h"
#include "env/env.h"
#include "sync/pool.h"

#define RETURN_MAX_DEFAULT TT_SEC(5)
#define BUCKETS_MIN 16u
#define BUCKETS_MAX 1024u

/* ---- making ---- */

/* What nobody lives to see is never: times can be added without an overflow. */
static int64_t or_never(int64_t time)
{
	return time > 0 && time < TT_NEVER / 2 ? time : TT_NEVER;
}

static int check_options(const tt_pool_options *o)
{
	if (o->open == NULL || o->close == NULL)
		return tt_fail(TT_EINVAL, "a pool needs open and close");
	if (o->max == 0 || o->min_idle > o->max)
		return tt_fail(TT_EINVAL, "a pool needs 0 < max and min_idle <= max: %u, %u", o->max, o->min_idle);
	return 0;
}

static void take_options(struct tti_pool *p, const tt_pool_options *o)
{
	p->o = *o;
	p->max = o->max;
	p->o.idle_max = or_never(o->idle_max);
	p->o.lifetime_max = or_never(o->lifetime_max);
	p->o.open_max = or_never(o->open_max);
	p->o.return_max = o->return_max > 0 ? o->return_max : RETURN_MAX_DEFAULT;
	p->o.slow_acquire = or_never(o->slow_acquire);
	p->o.leak_after = or_never(o->leak_after);
	snprintf(p->name, sizeof(p->name), "%s", o->name != NULL ? o->name : "pool");
	p->o.name = p->name;
}

static struct tti_pool *make(const tt_pool_options *o)
{
	unsigned n = BUCKETS_MIN;
	struct tti_pool *p;

	while (n < o->max && n < BUCKETS_MAX)
		n *= 2;
	p = tti_env_zalloc(sizeof(*p) + n * sizeof(p->buckets[0]));
	if (p == NULL)
		return NULL;
	p->buckets = (struct tti_list *)(void *)(p + 1);
	p->n_buckets = n;
	for (unsigned i = 0; i < n; i++)
		tti_list_init(&p->buckets[i]);
	tti_spin_init(&p->lock);
	tti_list_init(&p->idle);
	tti_list_init(&p->out);
	tti_list_init(&p->late);
	tti_list_init(&p->retired);
	tti_list_init(&p->stranded);
	tti_list_init(&p->line);
	tti_list_init(&p->drain_nodes);
	tti_list_init(&p->end_nodes);
	tti_list_init(&p->keeper_node);
	p->keeper_until = TT_NEVER;
	p->slow_said_at = INT64_MIN / 2;
	take_options(p, o);
	return p;
}

int tt_pool_create_(const tt_pool_options *o, void *ret_pool, const char *site)
{
	struct tti_pool *p;
	int rc;

	if (tti_current_or_panic("tt_pool_create") == NULL)
		return TT_EWRONGCTX;
	rc = check_options(o);
	if (rc < 0)
		return rc;
	p = make(o);
	if (p == NULL)
		return TT_ENOMEM;
	rc = tti_pool_keeper_start(p, site);
	if (rc < 0)
		tti_env_free(p);
	else
		memcpy(ret_pool, &p, sizeof(p));
	return rc;
}

int (tt_pool_create)(const tt_pool_options *o, tt_pool **ret_pool)
{
	return tt_pool_create_(o, ret_pool, "tt_pool_create");
}

/* ---- changing and ending ---- */

void (tt_pool_resize)(tt_pool *pool, unsigned max)
{
	struct tti_pool *p = tti_pool_of(pool, "tt_pool_resize");
	struct tti_list woken, *link;

	TT_IGNORE(tti_current_or_panic("tt_pool_resize"));
	TT_REQUIRE(max > 0, "tt_pool_resize: pool %s: to 0; tt_pool_close() closes it", p->name);
	tti_list_init(&woken);
	tti_spin_lock(&p->lock);
	p->max = max;
	while (p->n_items - p->count[TTI_ITEM_CLOSING] > max && (link = tti_list_last(&p->idle)) != NULL) {
		TTI_SOMETIMES(true, "an idle item is one too many in a pool that is made smaller");
		tti_list_unlink(link);
		tti_pool_retire(TTI_CONTAINER_OF(link, struct tti_item, link), &woken);
	}
	tti_pool_kick(p, &woken); /* it may open more now */
	tti_spin_unlock(&p->lock);
	tti_wake_all(&woken);
}

void (tt_pool_close)(tt_pool *pool)
{
	struct tti_pool *p = tti_pool_of(pool, "tt_pool_close");
	struct tti_list woken;

	TT_IGNORE(tti_current_or_panic("tt_pool_close"));
	tti_list_init(&woken);
	tti_spin_lock(&p->lock);
	tti_pool_close_with(p, TT_ECLOSED, &woken);
	tti_spin_unlock(&p->lock);
	tti_wake_all(&woken);
}

static int drain_enlist(const tt_arm *arm, struct tti_wait_node *n, bool may_link)
{
	struct tti_pool *p = arm->object;
	int result = TTI_ARM_LINKED;

	TT_ASSERT(may_link); /* not offered to selects */
	tti_spin_lock(&p->lock);
	if (p->n_items == 0) {
		result = tti_claim_own_node(n, 0);
	} else {
		tti_list_push_back(&p->drain_nodes, &n->link);
		p->n_places++;
	}
	tti_spin_unlock(&p->lock);
	return result;
}

static void drain_delist(const tt_arm *arm, struct tti_wait_node *n)
{
	struct tti_pool *p = arm->object;
	struct tti_list woken;

	tti_list_init(&woken);
	tti_spin_lock(&p->lock);
	tti_list_unlink(&n->link);
	p->n_places--;
	TTI_SOMETIMES(p->n_items > 0, "a drain gives up before its pool is empty");
	tti_pool_kick(p, &woken);
	tti_spin_unlock(&p->lock);
	tti_wake_all(&woken);
}

static const struct tti_arm_ops drain_arm = { .verb = "drain pool", .enlist = drain_enlist, .delist = drain_delist };

int (tt_pool_drain)(tt_pool *pool)
{
	struct tti_pool *p = tti_pool_of(pool, "tt_pool_drain");
	tt_arm arm = { .ops = &drain_arm, .object = p };
	int rc;

	if (tti_current_or_panic("tt_pool_drain") == NULL)
		return TT_EWRONGCTX;
	(tt_pool_close)(pool);
	rc = tti_checkpoint();
	return rc < 0 ? rc : tti_wait_arm(&arm, true);
}

static int end_enlist(const tt_arm *arm, struct tti_wait_node *n, bool may_link)
{
	struct tti_pool *p = arm->object;
	int result = TTI_ARM_LINKED;

	TT_ASSERT(may_link); /* as above */
	tti_spin_lock(&p->lock);
	if (p->ended)
		result = tti_claim_own_node(n, 0);
	else
		tti_list_push_back(&p->end_nodes, &n->link);
	tti_spin_unlock(&p->lock);
	return result;
}

static void end_delist(const tt_arm *arm, struct tti_wait_node *n)
{
	struct tti_pool *p = arm->object;

	tti_spin_lock(&p->lock);
	tti_list_unlink(&n->link);
	tti_spin_unlock(&p->lock);
}

static const struct tti_arm_ops end_arm = { .verb = "destroy pool", .enlist = end_enlist, .delist = end_delist };

/* The caller may hold an item itself: nobody else will give that back, so it is said at once. */
static bool holds_one(struct tti_list *lent, uint64_t id, struct tti_borrower *ret)
{
	TTI_LIST_FOR_EACH (link, lent) {
		struct tti_item *it = TTI_CONTAINER_OF(link, struct tti_item, link);

		if (it->borrower.id == id) {
			*ret = it->borrower;
			return true;
		}
	}
	return false;
}

void (tt_pool_destroy)(tt_pool *pool)
{
	struct tti_pool *p = (struct tti_pool *)(void *)pool;
	tt_arm arm = { .ops = &end_arm, .object = p };
	struct tti_borrower own;
	struct tti_list woken;
	struct tt_task *self;
	bool held;

	if (p == NULL)
		return;
	self = tti_current_or_panic("tt_pool_destroy");
	TT_REQUIRE(self != NULL, "tt_pool_destroy: called in a pool job");
	tti_list_init(&woken);
	tti_spin_lock(&p->lock);
	TT_REQUIRE(!p->destroying, "tt_pool_destroy: pool %s is being destroyed already", p->name);
	p->destroying = true;
	held = holds_one(&p->out, self->id, &own) || holds_one(&p->late, self->id, &own);
	TTI_SOMETIMES(p->n_waiting > 0, "a pool is destroyed while somebody waits in line");
	tti_pool_close_with(p, TT_ECLOSED, &woken);
	tti_spin_unlock(&p->lock);
	if (held)
		tti_pool_say(p, own.frames, own.n_frames, "is being destroyed by %s#%llu, who holds an item, acquired at %s",
		             own.name, (unsigned long long)own.id, own.site);
	tti_wake_all(&woken);
	TT_IGNORE(tti_wait_arm(&arm, false));
	if (p->o.destroyed != NULL)
		p->o.destroyed(p->o.ctx);
	tti_env_free(p);
}

void (tt_pool_stats_read)(tt_pool *pool, tt_pool_stats *ret_stats)
{
	struct tti_pool *p = tti_pool_of(pool, "tt_pool_stats_read");

	tti_spin_lock(&p->lock);
	*ret_stats = p->stats;
	ret_stats->max = p->max;
	ret_stats->in_use = p->count[TTI_ITEM_OUT] + p->count[TTI_ITEM_RETURNING];
	ret_stats->idle = p->count[TTI_ITEM_IDLE] + p->count[TTI_ITEM_CHECKING];
	ret_stats->opening = p->count[TTI_ITEM_OPENING];
	ret_stats->closing = p->count[TTI_ITEM_CLOSING];
	ret_stats->waiting = p->n_waiting;
	tti_spin_unlock(&p->lock);
}

/* SPDX-License-Identifier: MIT */
/*
 * pool.c - a resource pool: lending, the line of those who wait, and taking back. How a pool is
 * made and ended is in pool_life.c, what takes time in the background in pool_keep.c; the
 * states of an item are in pool.h.
 *
 * Order       First come, first served: while somebody is in line nobody else gets an item. An
 *             item that becomes free is given to the first in line by whoever frees it, so
 *             that no task that comes later can take it in between.
 * Invariants  n_items <= max, but for what a resize made too many.
 *             A lent item is in one bucket, and in out or late; every other one in none.
 *             Somebody in line and an item idle: only if the item needs a check first.
 * Cancel      A waiter that leaves takes nothing with it. What is being opened or checked for
 *             it belongs to the pool, and goes to whoever is first in line then.
 * Rejected    Opening in the waiter's own task: a timeout then throws away a connection that
 *             is nearly made, and under load all of them.
 *             A semaphore for the places and a list for the items: between the two a newcomer
 *             overtakes the line, and a cancel has to give back half of what it took.
 */
#include "sync/pool.h"

#include <string.h>

#include <tutti/error.h>

#include "base/panic.h"
#include "base/sometimes.h"
#include "sync/waiters.h"

#define SLOW_SAID_EVERY TT_SEC(1)

_Static_assert(sizeof(struct tti_pool_place) <= sizeof(uint64_t) * TTI_NODE_SCRATCH_WORDS, "a place fits a node");

static struct tti_pool_place *place_of(struct tti_wait_node *n)
{
	return (struct tti_pool_place *)(void *)n->scratch;
}

/* ---- the books; all under the lock ---- */

/* The moves that pool.h shows, one bit a target. */
#define TO(state) (1u << TTI_ITEM_##state)
TT_UNUSED static const unsigned moves[TTI_ITEM_STATES] = {
	[TTI_ITEM_OPENING] = TO(IDLE) | TO(OUT) | TO(CLOSING),
	[TTI_ITEM_IDLE] = TO(OUT) | TO(CHECKING) | TO(CLOSING),
	[TTI_ITEM_CHECKING] = TO(IDLE) | TO(OUT) | TO(CLOSING),
	[TTI_ITEM_OUT] = TO(RETURNING),
	[TTI_ITEM_RETURNING] = TO(IDLE) | TO(OUT) | TO(CLOSING),
};

TT_UNUSED static bool counts_are_valid(const struct tti_pool *p)
{
	unsigned sum = 0;

	for (unsigned s = 0; s < TTI_ITEM_STATES; s++)
		sum += p->count[s];
	return sum == p->n_items && p->n_waiting <= p->n_places;
}

void tti_pool_move(struct tti_item *it, enum tti_item_state to)
{
	struct tti_pool *p = it->pool;

	TT_ASSERT((moves[it->state] & 1u << to) != 0);
	TT_ASSERT(!tti_list_linked(&it->link));
	p->count[it->state]--;
	p->count[to]++;
	it->state = (uint8_t)to;
	TT_ASSERT_SLOW(counts_are_valid(p));
}

void tti_pool_kick(struct tti_pool *p, struct tti_list *woken)
{
	struct tti_list *keeper = tti_list_first(&p->keeper_node);

	p->kicked = true;
	/* False: its deadline was faster, and it will see the flag. */
	if (keeper != NULL)
		TT_IGNORE(tti_claim_node(TTI_CONTAINER_OF(keeper, struct tti_wait_node, link), 0, woken));
}

void tti_pool_remind(struct tti_pool *p, int64_t when, struct tti_list *woken)
{
	if (when < p->keeper_until)
		tti_pool_kick(p, woken);
}

static int64_t after(int64_t now, int64_t time)
{
	return time == TT_NEVER ? TT_NEVER : now + time;
}

static struct tti_list *bucket_of(struct tti_pool *p, const void *value)
{
	uint64_t mixed = (uint64_t)(uintptr_t)value * UINT64_C(0x9e3779b97f4a7c15);

	return &p->buckets[(mixed >> 32) & (p->n_buckets - 1)];
}

static void lend(struct tti_item *it, const struct tt_task *t, const char *site, struct tti_list *woken)
{
	struct tti_pool *p = it->pool;
	struct tti_borrower *b = &it->borrower;
	int64_t now = tti_home_here->now;
	size_t i = 0;

	tti_pool_move(it, TTI_ITEM_OUT);
	tti_list_push_back(&p->out, &it->link);
	tti_list_push_front(bucket_of(p, it->value), &it->bucket_link);
	for (; i < sizeof(b->name) - 1 && t->name[i] != '\0'; i++)
		b->name[i] = t->name[i];
	b->name[i] = '\0';
	b->id = t->id;
	b->spawn_site = t->spawn_site;
	b->site = site;
	b->since = now;
	b->n_frames = 0;
	p->stats.acquired++;
	tti_pool_remind(p, after(now, p->o.leak_after), woken);
}

static bool give_to_first(struct tti_item *it, struct tti_list *woken)
{
	struct tti_pool *p = it->pool;

	TTI_LIST_FOR_EACH (link, &p->line) {
		struct tti_wait_node *n = TTI_CONTAINER_OF(link, struct tti_wait_node, link);

		if (!tti_claim_node(n, 0, woken)) {
			TTI_SOMETIMES(true, "an item is offered to a borrower that gave up");
			continue; /* on its way out */
		}
		p->n_waiting--;
		place_of(n)->item = it;
		memcpy(n->value, &it->value, sizeof(it->value));
		lend(it, n->waiter->task, (const char *)(uintptr_t)n->n, woken);
		return true;
	}
	return false;
}

static bool is_doomed(const struct tti_pool *p, const struct tti_item *it)
{
	return p->closed != 0 || p->n_items - p->count[TTI_ITEM_CLOSING] > p->max || it->expires <= tti_home_here->now;
}

void tti_pool_place(struct tti_item *it, struct tti_list *woken)
{
	struct tti_pool *p = it->pool;
	int64_t idle_until;

	if (is_doomed(p, it)) {
		TTI_SOMETIMES(it->state == TTI_ITEM_RETURNING && it->expires <= tti_home_here->now,
		              "a lifetime ends in the hook that cleans");
		TTI_SOMETIMES(it->state == TTI_ITEM_CHECKING && it->expires <= tti_home_here->now,
		              "a lifetime ends in the hook that checks");
		TTI_SOMETIMES(p->closed != 0, "a pool is closed while an item is opened, checked or cleaned");
		TTI_SOMETIMES(p->closed == 0 && it->expires > tti_home_here->now,
		              "a pool is made smaller while an item is opened, checked or cleaned");
		tti_pool_retire(it, woken);
		return;
	}
	it->since = tti_home_here->now;
	if (give_to_first(it, woken))
		return;
	if (it->state != TTI_ITEM_IDLE)
		tti_pool_move(it, TTI_ITEM_IDLE);
	tti_list_push_front(&p->idle, &it->link);
	idle_until = p->count[TTI_ITEM_IDLE] > tti_pool_min_idle(p) ? after(it->since, p->o.idle_max) : TT_NEVER;
	tti_pool_remind(p, idle_until < it->expires ? idle_until : it->expires, woken);
}

void tti_pool_retire(struct tti_item *it, struct tti_list *woken)
{
	tti_pool_move(it, TTI_ITEM_CLOSING);
	tti_list_push_back(&it->pool->retired, &it->link);
	tti_pool_kick(it->pool, woken);
}

static void wake_drained(struct tti_pool *p, struct tti_list *woken)
{
	if (p->closed == 0 || p->n_items > 0)
		return;
	TTI_LIST_FOR_EACH (link, &p->drain_nodes)
		TT_IGNORE(tti_claim_node(TTI_CONTAINER_OF(link, struct tti_wait_node, link), 0, woken));
}

void tti_pool_forget(struct tti_item *it, struct tti_list *woken)
{
	struct tti_pool *p = it->pool;

	TT_ASSERT(!tti_list_linked(&it->link));
	TT_ASSERT(!tti_list_linked(&it->bucket_link));
	p->count[it->state]--;
	p->n_items--;
	wake_drained(p, woken);
	tti_pool_kick(p, woken); /* there is room now, or nothing left */
}

bool tti_pool_refuse_first(struct tti_pool *p, int code, struct tti_error *err, struct tti_list *woken)
{
	TTI_LIST_FOR_EACH (link, &p->line) {
		struct tti_wait_node *n = TTI_CONTAINER_OF(link, struct tti_wait_node, link);

		if (!tti_claim_node(n, code, woken)) {
			TTI_SOMETIMES(true, "a borrower is refused that gave up");
			continue;
		}
		p->n_waiting--;
		if (err != NULL)
			tti_error_move(&place_of(n)->err, err);
		return true;
	}
	return false;
}

void tti_pool_close_with(struct tti_pool *p, int code, struct tti_list *woken)
{
	if (p->closed == 0)
		p->closed = code;
	while (tti_pool_refuse_first(p, code, NULL, woken))
		;
	wake_drained(p, woken);
	tti_pool_kick(p, woken);
}

unsigned tti_pool_wanted(const struct tti_pool *p)
{
	unsigned have = p->count[TTI_ITEM_OPENING] + p->count[TTI_ITEM_IDLE] + p->count[TTI_ITEM_CHECKING];
	unsigned need = p->n_waiting + tti_pool_min_idle(p);
	unsigned room = p->max > p->n_items ? p->max - p->n_items : 0;

	if (p->closed != 0 || need <= have)
		return 0;
	return need - have < room ? need - have : room;
}

/* ---- acquiring ---- */

/* Under the lock: an idle item that may be lent at once; it stays where it is. */
static struct tti_item *ready_item(struct tti_pool *p, struct tti_list *woken)
{
	int64_t now = tti_home_here->now;
	struct tti_list *link;

	if (tti_somebody_waits(&p->line))
		return NULL;
	while ((link = tti_list_first(&p->idle)) != NULL) {
		struct tti_item *it = TTI_CONTAINER_OF(link, struct tti_item, link);

		if (it->expires > now)
			return tti_pool_needs_check(p, it, now) ? NULL : it;
		TTI_SOMETIMES(true, "an idle item past its lifetime is still there when somebody wants one");
		tti_list_unlink(link);
		tti_pool_retire(it, woken);
	}
	return NULL;
}

static void lend_ready(struct tti_item *it, void *ret_item, const char *site, struct tti_list *woken)
{
	tti_list_unlink(&it->link);
	lend(it, tti_current(), site, woken);
	memcpy(ret_item, &it->value, sizeof(it->value));
}

static int try_acquire(struct tti_pool *p, void *ret_item, const char *site)
{
	struct tti_list woken;
	struct tti_item *it = NULL;
	int closed;

	tti_list_init(&woken);
	tti_spin_lock(&p->lock);
	closed = p->closed;
	if (closed == 0)
		it = ready_item(p, &woken);
	if (it != NULL)
		lend_ready(it, ret_item, site, &woken);
	tti_spin_unlock(&p->lock);
	tti_wake_all(&woken);
	if (it != NULL)
		tti_pool_note_stack(it);
	return closed != 0 ? closed : it != NULL ? 0 : TT_EAGAIN;
}

/* Under the lock: n is in line; the keeper hears of it if it can do something. */
static void get_in_line(struct tti_pool *p, struct tti_wait_node *n, struct tti_list *woken)
{
	struct tti_pool_place *place = place_of(n);

	place->item = NULL;
	place->since = tti_home_here->now;
	tti_error_init(&place->err);
	tti_list_push_back(&p->line, &n->link);
	p->n_waiting++;
	p->n_places++;
	if (p->count[TTI_ITEM_IDLE] > 0 || tti_pool_wanted(p) > 0)
		tti_pool_kick(p, woken);
}

static int lease_enlist(const tt_arm *arm, struct tti_wait_node *n, bool may_link)
{
	struct tti_pool *p = arm->object;
	struct tti_item *it = NULL;
	struct tti_list woken;
	int result = TTI_ARM_LINKED;

	tti_list_init(&woken);
	tti_spin_lock(&p->lock);
	if (p->closed == 0)
		it = ready_item(p, &woken);
	if (p->closed != 0 || it != NULL)
		result = tti_claim_own_node(n, p->closed);
	else if (may_link)
		get_in_line(p, n, &woken);
	if (it != NULL && result == TTI_ARM_DONE)
		lend_ready(it, arm->value, (const char *)(uintptr_t)arm->n, &woken);
	tti_spin_unlock(&p->lock);
	tti_wake_all(&woken);
	if (it != NULL && result == TTI_ARM_DONE)
		tti_pool_note_stack(it);
	return result;
}

/* What a waiter that got nothing says in its chain; taken under the lock. */
struct standing {
	char name[TTI_POOL_NAME_MAX];
	unsigned lent, max, waiting;
	int last_failure;
};

static void take_standing(const struct tti_pool *p, struct standing *ret)
{
	memcpy(ret->name, p->name, sizeof(ret->name));
	ret->lent = p->count[TTI_ITEM_OUT] + p->count[TTI_ITEM_RETURNING];
	ret->max = p->max;
	ret->waiting = p->n_waiting;
	ret->last_failure = p->failures > 0 ? p->last_failure : 0;
}

static void explain_cancel(const struct standing *s, const char *site)
{
	const char *failed = s->last_failure != 0 ? "; last open: " : "";
	const char *code = s->last_failure != 0 ? tt_error_name(s->last_failure) : "";

	TT_IGNORE(tt_fail_(TT_ECANCELED, site, "tt_pool_acquire", "pool %s: none free: %u of %u lent, %u others wait%s%s",
	                   s->name, s->lent, s->max, s->waiting, failed, code));
}

/* Under the lock: books what a waiter waited; true if that is worth a line. */
static bool count_wait(struct tti_pool *p, int64_t waited, int64_t now)
{
	p->stats.waited++;
	p->stats.wait_total += waited;
	if (waited > p->stats.wait_max)
		p->stats.wait_max = waited;
	if (waited < p->o.slow_acquire || now < p->slow_said_at + SLOW_SAID_EVERY)
		return false;
	p->slow_said_at = now;
	return true;
}

static void say_slow(struct tti_pool *p, const struct standing *s, int64_t waited, const char *site)
{
	const struct tt_task *t = tti_current();

	tti_pool_say(p, NULL, 0, "%s#%llu (spawned at %s) waited %lld ms for an item at %s: %u of %u lent, %u wait", t->name,
	             (unsigned long long)t->id, t->spawn_site, (long long)(waited / 1000000), site, s->lent, s->max,
	             s->waiting);
}

/* The waiter leaves the line, or left it with an item or a code. Whoever has no item touches the
 * pool last when it unlocks. */
static void lease_delist(const tt_arm *arm, struct tti_wait_node *n)
{
	struct tti_pool *p = arm->object;
	struct tti_pool_place *place = place_of(n);
	const char *site = (const char *)(uintptr_t)n->n;
	bool cancelled = n->waiter->winner == TTI_WINNER_CANCEL, slow = false;
	int64_t now = tti_home_here->now, waited = now - place->since;
	struct standing s;
	struct tti_list woken;

	tti_list_init(&woken);
	tti_spin_lock(&p->lock);
	if (tti_list_linked(&n->link)) {
		tti_list_unlink(&n->link);
		p->n_waiting--;
	}
	p->n_places--;
	if (place->item != NULL)
		slow = count_wait(p, waited, now);
	p->stats.gave_up += cancelled;
	take_standing(p, &s);
	if (p->closed != 0)
		tti_pool_kick(p, &woken);
	tti_spin_unlock(&p->lock);
	tti_wake_all(&woken);
	if (place->item != NULL)
		tti_pool_note_stack(place->item);
	if (slow)
		say_slow(p, &s, waited, site);
	if (cancelled)
		explain_cancel(&s, site);
	else if (place->err.code != 0)
		tti_error_move(&tti_current()->err, &place->err);
}

static const struct tti_arm_ops lease_arm = { .verb = "acquire", .enlist = lease_enlist, .delist = lease_delist };

int tt_pool_acquire_(tt_pool *pool, void *ret_item, const char *site)
{
	struct tti_pool *p = tti_pool_of(pool, "tt_pool_acquire");
	tt_arm arm = { .ops = &lease_arm, .object = p, .value = ret_item, .n = (int64_t)(uintptr_t)site };
	int rc;

	if (tti_current_or_panic("tt_pool_acquire") == NULL)
		return TT_EWRONGCTX;
	rc = tti_checkpoint();
	if (rc < 0)
		return rc;
	rc = try_acquire(p, ret_item, site);
	return rc == TT_EAGAIN ? tti_wait_arm(&arm, true) : rc;
}

int tt_pool_try_acquire_(tt_pool *pool, void *ret_item, const char *site)
{
	struct tti_pool *p = tti_pool_of(pool, "tt_pool_try_acquire");

	if (tti_current_or_panic("tt_pool_try_acquire") == NULL)
		return TT_EWRONGCTX;
	return try_acquire(p, ret_item, site);
}

int (tt_pool_acquire)(tt_pool *pool, void *ret_item)
{
	return tt_pool_acquire_(pool, ret_item, "?");
}

int (tt_pool_try_acquire)(tt_pool *pool, void *ret_item)
{
	return tt_pool_try_acquire_(pool, ret_item, "?");
}

tt_arm tt_on_lease_(tt_pool *pool, void *ret_item, int *rc, const char *site)
{
	return (tt_arm){
		.ops = &lease_arm, .object = tti_pool_of(pool, "TT_ON_LEASE"), .value = ret_item, .rc = rc,
		.n = (int64_t)(uintptr_t)site,
	};
}

/* ---- releasing ---- */

/* Under the lock: the lent item of that value, taken off all lists; NULL: there is none. */
static struct tti_item *take_lent(struct tti_pool *p, const void *value)
{
	TTI_LIST_FOR_EACH (link, bucket_of(p, value)) {
		struct tti_item *it = TTI_CONTAINER_OF(link, struct tti_item, bucket_link);

		if (it->value != value)
			continue;
		tti_list_unlink(&it->bucket_link);
		tti_list_unlink(&it->link);
		tti_pool_move(it, TTI_ITEM_RETURNING);
		return it;
	}
	return NULL;
}

/* The item's own state decides. The caller may be on its way out with a failure: its chain is
 * put aside, and no cancel reaches the question. */
static bool is_clean(struct tti_item *it)
{
	struct tti_pool *p = it->pool;
	struct tt_task *self = tti_current();
	struct tti_error kept;
	int rc;

	if (p->o.returned == NULL)
		return true;
	tti_error_init(&kept);
	tti_error_move(&kept, &self->err);
	rc = TT_SHIELDED(p->o.return_max, p->o.returned(p->o.ctx, it->value));
	tti_error_move(&self->err, &kept);
	return rc >= 0;
}

void (tt_pool_release)(tt_pool *pool, void *value, enum tt_pool_verdict v)
{
	struct tti_pool *p = tti_pool_of(pool, "tt_pool_release");
	struct tti_list woken;
	struct tti_item *it;
	bool keep = v == TT_POOL_KEEP, clean;

	TT_REQUIRE(tti_current_or_panic("tt_pool_release") != NULL, "tt_pool_release: called in a pool job");
	tti_spin_lock(&p->lock);
	it = take_lent(p, value);
	TTI_SOMETIMES(it != NULL && p->closed != 0, "an item comes back to a closed pool");
	TTI_SOMETIMES(it != NULL && it->expires <= tti_home_here->now, "an item comes back after its lifetime");
	keep = keep && it != NULL && !is_doomed(p, it);
	tti_spin_unlock(&p->lock);
	TT_REQUIRE(it != NULL, "tt_pool_release: pool %s has not lent %p (released twice, or another pool's)", p->name, value);
	clean = !keep || is_clean(it);
	tti_list_init(&woken);
	tti_spin_lock(&p->lock);
	p->stats.unclean += !clean;
	if (keep && clean)
		tti_pool_place(it, &woken);
	else
		tti_pool_retire(it, &woken);
	tti_spin_unlock(&p->lock);
	tti_wake_all(&woken);
}

void tt_lease_leave_(tt_lease_ *l)
{
	void *value;

	memcpy(&value, l->item, sizeof(value));
	if (value != NULL)
		(tt_pool_release)(l->pool, value, TT_POOL_KEEP);
}

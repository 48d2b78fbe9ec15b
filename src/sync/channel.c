/* SPDX-License-Identifier: MIT */
/*
 * channel.c - the bounded channel: a ring, two lists of waiters, one short lock.
 *
 * An item goes from the sender's memory straight to a waiting receiver's when there is
 * one, else through the ring. Every operation is one arm (enlist, delist): a blocking
 * call waits for that arm alone, a select for several.
 *
 * A slot is room without an item: reserving waits for room in the senders' line, sending
 * into the slot or dropping it never waits. The channel of a type with a size function may
 * be bounded in bytes too; a weight is asked for once, outside the lock, and kept beside
 * the item, so that what was charged is what is given back.
 *
 * Invariants  A receiver waits only while the ring is empty and something may still come:
 *             the channel is open, or slots are out.
 *             Who waits for room does so only while what the first in line asks for does
 *             not fit, and the channel is open. A receiver and a sender never both wait.
 *             Items in the ring + slots that are out <= cap.
 *             Items in = items out + items in the ring + items destroyed.
 *             First in, first out; waiters are served in the order they came.
 * Lock        chan.lock guards everything; nobody parks or wakes under it (law 8), and no
 *             function of the user runs under it.
 * Rejected    A lock-free ring: the critical section is some ten nanoseconds, and a ring
 *             that select, close and cancel can also take part in needs far more.
 *             A close that takes slots back: a slot would then fail after the work it was
 *             reserved for.
 */
#include <tutti/channel.h>
#include <tutti/select.h>
#include <tutti/time.h>

#include <string.h>

#include "base/panic.h"
#include "base/sometimes.h"
#include "env/env.h"
#include "wait/wait.h"

#define CHAN_MAGIC UINT32_C(0x74746368)

struct chan {
	tti_spin lock;
	uint32_t magic;
	size_t cap, elem_size;               /* items, bytes; set at init */
	size_t head, len;                    /* oldest item, items in the ring */
	size_t slots;                        /* reserved, not used or dropped yet */
	unsigned char *ring;                 /* cap * elem_size bytes; NULL for a rendezvous */
	uint64_t *weights;                   /* bytes of each item in the ring; NULL: no bound in bytes */
	struct tti_list receivers, senders;  /* nodes of those who wait */
	bool closed;
	uint32_t producers;                  /* TT_CLOSE_AT_END blocks that are open */
	void (*destroy)(void *elem);         /* may be NULL */
	size_t (*size_of)(const void *elem); /* set together with bytes_max */
	uint64_t bytes_max;                  /* the bound in bytes; 0: none */
	uint64_t bytes;                      /* of the items in the ring and the slots that are out */
};

_Static_assert(sizeof(struct chan) <= sizeof(tt_chan), "tt_chan holds a channel");

/* tti_wait_node.n of who waits for room: the bytes wanted, and this for a slot. */
#define WANTS_SLOT (UINT64_C(1) << 63)
#define WEIGHT_MAX (WANTS_SLOT - 1)

static struct chan *from_public(const tt_chan *ch, const char *call)
{
	struct chan *c = (struct chan *)(uintptr_t)ch;

	TT_REQUIRE(c != NULL && c->magic == CHAN_MAGIC, "%s: the channel is not initialised (or finished)", call);
	return c;
}

static uint64_t weight_of(const struct chan *c, const void *item)
{
	uint64_t weight;

	if (__builtin_expect(c->weights == NULL, 1))
		return 0;
	weight = c->size_of(item);
	return weight < WEIGHT_MAX ? weight : WEIGHT_MAX;
}

/* ---- the ring ---- */

static void copy_item(const struct chan *c, void *to, const void *from)
{
	/* Most items are a word; a constant size spares the call. */
	if (c->elem_size == sizeof(uint64_t))
		memcpy(to, from, sizeof(uint64_t));
	else
		memcpy(to, from, c->elem_size);
}

/* There is room for it, see has_room(). */
static inline __attribute__((always_inline)) void ring_push(struct chan *c, const void *item, uint64_t weight)
{
	size_t at = c->head + c->len;

	if (at >= c->cap)
		at -= c->cap;
	copy_item(c, c->ring + at * c->elem_size, item);
	c->len++;
	if (__builtin_expect(c->weights != NULL, 0)) {
		c->weights[at] = weight;
		c->bytes += weight;
	}
}

static void ring_pop(struct chan *c, void *ret_item)
{
	copy_item(c, ret_item, c->ring + c->head * c->elem_size);
	if (__builtin_expect(c->weights != NULL, 0))
		c->bytes -= c->weights[c->head];
	c->head = c->head + 1 == c->cap ? 0 : c->head + 1;
	c->len--;
}

/* ---- under the lock: room ---- */

/* What is larger than the bound passes alone. */
static __attribute__((noinline)) bool bytes_fit(const struct chan *c, uint64_t weight)
{
	TTI_SOMETIMES(c->len + c->slots == 0 && weight > c->bytes_max, "an item larger than the bound passes alone");
	return c->len + c->slots == 0 || (c->bytes <= c->bytes_max && weight <= c->bytes_max - c->bytes);
}

static bool has_room(const struct chan *c, uint64_t weight)
{
	if (c->len + c->slots >= c->cap)
		return false;
	return __builtin_expect(c->weights == NULL, 1) || bytes_fit(c, weight);
}

static void take_slot(struct chan *c, uint64_t weight)
{
	c->slots++;
	if (c->weights != NULL)
		c->bytes += weight;
}

/* Where items have weights, room that is free may be what the first in line waits to grow. */
static __attribute__((noinline)) bool somebody_waits_for_room(const struct chan *c)
{
	TTI_LIST_FOR_EACH (link, &c->senders)
		if (tti_waiter_is_waiting(TTI_CONTAINER_OF(link, struct tti_wait_node, link)->waiter)) {
			TTI_SOMETIMES(true, "a small item stands behind a large one that does not fit");
			return true;
		}
	return false;
}

/* Who comes new may have room now: without weights nobody waits while there is any. */
static bool may_enter(const struct chan *c, uint64_t weight)
{
	return has_room(c, weight) && (__builtin_expect(c->weights == NULL, 1) || !somebody_waits_for_room(c));
}

/* There may be room: the first in line put their items there, or get their slots. */
static void grant_room(struct chan *c, struct tti_list *woken)
{
	TTI_LIST_FOR_EACH (link, &c->senders) {
		struct tti_wait_node *n = TTI_CONTAINER_OF(link, struct tti_wait_node, link);
		uint64_t weight = n->n & WEIGHT_MAX;
		const void *item = n->value;
		bool slot = (n->n & WANTS_SLOT) != 0;

		if (!has_room(c, weight)) {
			if (c->len + c->slots >= c->cap || tti_waiter_is_waiting(n->waiter))
				return;
			continue; /* on its way out */
		}
		if (!tti_claim_node(n, 0, woken)) {
			TTI_SOMETIMES(true, "there is room for a sender that gave up");
			continue;
		}
		if (slot)
			take_slot(c, weight);
		else
			ring_push(c, item, weight);
	}
}

/* ---- under the lock: one item in, one item out ---- */

/* The first on the other side that waits for an item and can be had together with `self`
 * (NULL: not enlisted anywhere, only the other has to be claimed); the caller settles it.
 * *ret_taken: self was claimed by another meanwhile, and NULL is returned. */
static struct tti_wait_node *claim_partner(const struct tti_list *side, struct tti_waiter *self, bool *ret_taken)
{
	*ret_taken = false;
	TTI_LIST_FOR_EACH (link, side) {
		struct tti_wait_node *n = TTI_CONTAINER_OF(link, struct tti_wait_node, link);
		enum tti_pair pair;

		TTI_SOMETIMES(n->waiter == self, "a select waits at both ends of one channel");
		if (n->waiter == self || (n->n & WANTS_SLOT) != 0)
			continue;
		pair = tti_claim_pair(self, n->waiter);
		TTI_SOMETIMES(pair == TTI_PAIR_PARTNER_GONE, "the other side of a hand-over gave up");
		if (pair == TTI_PAIR_BOTH)
			return n;
		if (pair == TTI_PAIR_SELF_TAKEN) {
			*ret_taken = true;
			return NULL;
		}
	}
	return NULL;
}

enum step { STEP_DONE, STEP_CLOSED, STEP_WAIT, STEP_TAKEN };

static __attribute__((noinline)) bool give_to_receiver(struct chan *c, const void *item, struct tti_waiter *self,
                                                       struct tti_list *woken, bool *ret_taken)
{
	struct tti_wait_node *n = claim_partner(&c->receivers, self, ret_taken);

	if (n == NULL)
		return false;
	copy_item(c, n->value, item);
	tti_settle_node(n, 1, woken);
	return true;
}

static inline __attribute__((always_inline)) enum step
send_step(struct chan *c, const void *item, uint64_t weight, struct tti_waiter *self, struct tti_list *woken)
{
	bool taken = false;

	if (c->closed)
		return self == NULL || tti_claim_self(self) ? STEP_CLOSED : STEP_TAKEN;
	if (!tti_list_empty(&c->receivers) && give_to_receiver(c, item, self, woken, &taken))
		return STEP_DONE;
	if (taken)
		return STEP_TAKEN;
	if (!may_enter(c, weight))
		return STEP_WAIT;
	if (self != NULL && !tti_claim_self(self))
		return STEP_TAKEN;
	ring_push(c, item, weight);
	return STEP_DONE;
}

static enum step recv_step(struct chan *c, void *ret_item, struct tti_waiter *self, struct tti_list *woken)
{
	struct tti_wait_node *sender;
	bool taken;

	if (c->len > 0) {
		if (self != NULL && !tti_claim_self(self))
			return STEP_TAKEN;
		ring_pop(c, ret_item);
		if (!tti_list_empty(&c->senders))
			grant_room(c, woken);
		return STEP_DONE;
	}
	sender = claim_partner(&c->senders, self, &taken);
	if (sender != NULL) {
		TTI_SOMETIMES(c->cap > 0, "a sender waits although the channel is empty");
		copy_item(c, ret_item, sender->value);
		tti_settle_node(sender, 0, woken);
		grant_room(c, woken); /* what stood behind it may fit */
		return STEP_DONE;
	}
	if (taken)
		return STEP_TAKEN;
	if (c->closed && c->slots == 0)
		return self == NULL || tti_claim_self(self) ? STEP_CLOSED : STEP_TAKEN;
	return STEP_WAIT;
}

static enum step reserve_step(struct chan *c, uint64_t weight, struct tti_waiter *self)
{
	if (c->closed)
		return self == NULL || tti_claim_self(self) ? STEP_CLOSED : STEP_TAKEN;
	if (!may_enter(c, weight))
		return STEP_WAIT;
	if (self != NULL && !tti_claim_self(self))
		return STEP_TAKEN;
	take_slot(c, weight);
	return STEP_DONE;
}

/* Closed, and nothing will come any more: receivers hear of it. */
static void end_if_over(struct chan *c, struct tti_list *woken)
{
	if (!c->closed || c->slots > 0 || c->len > 0)
		return;
	TTI_LIST_FOR_EACH (link, &c->receivers)
		TT_IGNORE(tti_claim_node(TTI_CONTAINER_OF(link, struct tti_wait_node, link), 0, woken));
}

/* A slot comes back: used for an item, or for nothing (NULL). */
static void slot_step(struct chan *c, uint64_t reserved, const void *item, uint64_t weight, struct tti_list *woken)
{
	bool taken;

	c->slots--;
	if (c->weights != NULL)
		c->bytes -= reserved;
	if (item != NULL && !give_to_receiver(c, item, NULL, woken, &taken))
		ring_push(c, item, weight);
	TTI_SOMETIMES(c->closed && item != NULL, "a slot is used in a closed channel");
	TTI_SOMETIMES(c->closed && c->slots == 0 && c->len == 0, "the last slot of a closed channel comes back unused");
	grant_room(c, woken);
	end_if_over(c, woken);
}

/* ---- arms ---- */

static int settle_self(struct tti_wait_node *n, enum step step, int done_rc, int closed_rc)
{
	if (step == STEP_TAKEN)
		return TTI_ARM_TAKEN;
	n->waiter->winner = n->arm;
	n->waiter->rc = step == STEP_DONE ? done_rc : closed_rc;
	return TTI_ARM_DONE;
}

static int recv_enlist(const tt_arm *arm, struct tti_wait_node *n, bool may_link)
{
	struct chan *c = arm->object;
	struct tti_list woken;
	enum step step;

	tti_list_init(&woken);
	tti_spin_lock(&c->lock);
	step = recv_step(c, arm->value, n->waiter, &woken);
	if (step == STEP_WAIT && may_link)
		tti_list_push_back(&c->receivers, &n->link);
	tti_spin_unlock(&c->lock);
	tti_wake_all(&woken);
	return step == STEP_WAIT ? TTI_ARM_LINKED : settle_self(n, step, 1, 0);
}

static int send_enlist(const tt_arm *arm, struct tti_wait_node *n, bool may_link)
{
	struct chan *c = arm->object;
	struct tti_list woken;
	enum step step;

	tti_list_init(&woken);
	tti_spin_lock(&c->lock);
	step = send_step(c, arm->value, n->n, n->waiter, &woken);
	if (step == STEP_WAIT && may_link)
		tti_list_push_back(&c->senders, &n->link);
	tti_spin_unlock(&c->lock);
	tti_wake_all(&woken);
	return step == STEP_WAIT ? TTI_ARM_LINKED : settle_self(n, step, 0, TT_ECLOSED);
}

static bool can_reserve(const struct chan *c, const tt_arm *arm);

static int reserve_enlist(const tt_arm *arm, struct tti_wait_node *n, bool may_link)
{
	struct chan *c = arm->object;
	enum step step;

	if (!can_reserve(c, arm))
		return tti_claim_own_node(n, TT_EINVAL);
	tti_spin_lock(&c->lock);
	step = reserve_step(c, n->n & WEIGHT_MAX, n->waiter);
	if (step == STEP_WAIT && may_link)
		tti_list_push_back(&c->senders, &n->link);
	tti_spin_unlock(&c->lock);
	return step == STEP_WAIT ? TTI_ARM_LINKED : settle_self(n, step, 0, TT_ECLOSED);
}

static void recv_delist(const tt_arm *arm, struct tti_wait_node *n)
{
	struct chan *c = arm->object;

	tti_spin_lock(&c->lock);
	tti_list_unlink(&n->link);
	tti_spin_unlock(&c->lock);
}

/* A large one that leaves may uncover one that fits. */
static void send_delist(const tt_arm *arm, struct tti_wait_node *n)
{
	struct chan *c = arm->object;
	struct tti_list woken;

	tti_list_init(&woken);
	tti_spin_lock(&c->lock);
	if (tti_list_linked(&n->link)) {
		tti_list_unlink(&n->link);
		if (c->weights != NULL)
			grant_room(c, &woken);
		TTI_SOMETIMES(!tti_list_empty(&woken), "a large item gives up, and what stood behind it fits");
	}
	tti_spin_unlock(&c->lock);
	tti_wake_all(&woken);
}

static void fill_slot(const tt_arm *arm)
{
	*(tt_slot *)arm->value = (tt_slot){ .tt_chan_ = arm->object, .tt_weight_ = (uint64_t)arm->n & WEIGHT_MAX };
}

static int reserve_finish(const tt_arm *arm, int rc)
{
	if (rc == 0)
		fill_slot(arm);
	return rc;
}

static const struct tti_arm_ops recv_arm = {
	.verb = "recv",
	.enlist = recv_enlist,
	.delist = recv_delist,
	.zero_is_closed = true,
};

static const struct tti_arm_ops send_arm = {
	.verb = "send",
	.enlist = send_enlist,
	.delist = send_delist,
};

static const struct tti_arm_ops reserve_arm = {
	.verb = "reserve",
	.enlist = reserve_enlist,
	.delist = send_delist,
	.finish = reserve_finish,
};

tt_arm tt_on_recv_(tt_chan *ch, void *ret_p, int *rc)
{
	return (tt_arm){ .ops = &recv_arm, .object = from_public(ch, "TT_ON_RECV"), .value = ret_p, .rc = rc };
}

tt_arm tt_on_send_(tt_chan *ch, const void *p, int *rc)
{
	struct chan *c = from_public(ch, "TT_ON_SEND");

	return (tt_arm){
		.ops = &send_arm, .object = c, .value = (void *)(uintptr_t)p, .rc = rc, .n = (int64_t)weight_of(c, p),
	};
}

/* bytes: of the item to come, where the bound is in bytes; else NO_BYTES. */
#define NO_BYTES SIZE_MAX

static tt_arm reserve_in(const tt_chan *ch, size_t bytes, tt_slot *slot, int *rc, const char *call)
{
	struct chan *c = from_public(ch, call);
	uint64_t weight = bytes < WEIGHT_MAX ? bytes : WEIGHT_MAX;

	TT_REQUIRE(slot->tt_chan_ == NULL, "%s: the slot is one already", call);
	return (tt_arm){
		.ops = &reserve_arm, .object = c, .value = slot, .rc = rc, .n = (int64_t)(weight | WANTS_SLOT),
	};
}

/* Not in a rendezvous; and where the bytes count, they must be told. */
static bool can_reserve(const struct chan *c, const tt_arm *arm)
{
	return c->cap > 0 && (c->weights == NULL || ((uint64_t)arm->n & WEIGHT_MAX) != WEIGHT_MAX);
}

tt_arm tt_on_reserve_(tt_chan *ch, size_t bytes, tt_slot *slot, int *rc)
{
	return reserve_in(ch, bytes, slot, rc, "TT_ON_RESERVE");
}

/* ---- one item ---- */

/* At once or not at all: 0, TT_ECLOSED or -EAGAIN. */
static int send_now(struct chan *c, const void *p, uint64_t weight)
{
	struct tti_list woken;
	enum step step;

	tti_list_init(&woken);
	tti_spin_lock(&c->lock);
	step = send_step(c, p, weight, NULL, &woken);
	tti_spin_unlock(&c->lock);
	tti_wake_all(&woken);
	return step == STEP_DONE ? 0 : step == STEP_CLOSED ? TT_ECLOSED : TT_EAGAIN;
}

/* At once or not at all: 1, 0 closed and empty, or -EAGAIN. */
static int recv_now(struct chan *c, void *ret_p)
{
	struct tti_list woken;
	enum step step;

	tti_list_init(&woken);
	tti_spin_lock(&c->lock);
	step = recv_step(c, ret_p, NULL, &woken);
	tti_spin_unlock(&c->lock);
	tti_wake_all(&woken);
	return step == STEP_DONE ? 1 : step == STEP_CLOSED ? 0 : TT_EAGAIN;
}

/* Out of line, like what follows for others: the usual call does not wait. */
static __attribute__((noinline)) int send_wait(struct chan *c, const void *p, uint64_t weight)
{
	tt_arm arm = { .ops = &send_arm, .object = c, .value = (void *)(uintptr_t)p, .n = (int64_t)weight };

	return tti_wait_arm(&arm, true);
}

int (tt_send)(tt_chan *ch, const void *p)
{
	struct chan *c = from_public(ch, "tt_send");
	uint64_t weight;
	int rc = tti_checkpoint();

	if (rc < 0)
		return rc;
	weight = weight_of(c, p);
	rc = send_now(c, p, weight);
	return rc == TT_EAGAIN ? send_wait(c, p, weight) : rc;
}

static __attribute__((noinline)) int recv_wait(struct chan *c, void *ret_p)
{
	tt_arm arm = { .ops = &recv_arm, .object = c, .value = ret_p };

	return tti_wait_arm(&arm, true);
}

int (tt_recv)(tt_chan *ch, void *ret_p)
{
	struct chan *c = from_public(ch, "tt_recv");
	int rc;

	if (TTI_LAW_BROKEN(3)) {
		/* Deliberately wrong: the item is taken, then the cancel is reported. */
		rc = recv_now(c, ret_p);
		if (rc != TT_EAGAIN)
			return tti_checkpoint() < 0 ? TT_ECANCELED : rc;
	}
	rc = tti_checkpoint();
	if (rc < 0)
		return rc;
	rc = recv_now(c, ret_p);
	return rc == TT_EAGAIN ? recv_wait(c, ret_p) : rc;
}

int (tt_try_send)(tt_chan *ch, const void *p)
{
	struct chan *c = from_public(ch, "tt_try_send");

	return send_now(c, p, weight_of(c, p));
}

int (tt_try_recv)(tt_chan *ch, void *ret_p)
{
	return recv_now(from_public(ch, "tt_try_recv"), ret_p);
}

int (tt_give)(tt_chan *ch, const void *p)
{
	struct chan *c = from_public(ch, "tt_give");
	int rc = (tt_send)(ch, p);

	if (rc < 0 && c->destroy != NULL)
		c->destroy((void *)(uintptr_t)p);
	return rc;
}

/* ---- slots ---- */

/* At once or not at all: 0, TT_ECLOSED, -EINVAL or -EAGAIN. */
static int reserve_now(const tt_arm *arm)
{
	struct chan *c = arm->object;
	enum step step;

	if (!can_reserve(c, arm))
		return TT_EINVAL;
	tti_spin_lock(&c->lock);
	step = reserve_step(c, (uint64_t)arm->n & WEIGHT_MAX, NULL);
	tti_spin_unlock(&c->lock);
	if (step == STEP_DONE)
		fill_slot(arm);
	return step == STEP_DONE ? 0 : step == STEP_CLOSED ? TT_ECLOSED : TT_EAGAIN;
}

static int reserve(const tt_arm *arm)
{
	int rc = tti_checkpoint();

	if (rc < 0)
		return rc;
	rc = reserve_now(arm);
	return rc == TT_EAGAIN ? tti_wait_arm(arm, true) : rc;
}

int (tt_reserve)(tt_chan *ch, tt_slot *ret_slot)
{
	tt_arm arm = reserve_in(ch, NO_BYTES, ret_slot, NULL, "tt_reserve");

	return reserve(&arm);
}

int (tt_reserve_bytes)(tt_chan *ch, size_t bytes, tt_slot *ret_slot)
{
	tt_arm arm = reserve_in(ch, bytes, ret_slot, NULL, "tt_reserve_bytes");

	return reserve(&arm);
}

int (tt_try_reserve)(tt_chan *ch, tt_slot *ret_slot)
{
	tt_arm arm = reserve_in(ch, NO_BYTES, ret_slot, NULL, "tt_try_reserve");

	return reserve_now(&arm);
}

int (tt_try_reserve_bytes)(tt_chan *ch, size_t bytes, tt_slot *ret_slot)
{
	tt_arm arm = reserve_in(ch, bytes, ret_slot, NULL, "tt_try_reserve_bytes");

	return reserve_now(&arm);
}

static void slot_use(tt_slot *slot, const char *call, const void *item)
{
	struct chan *c = from_public(slot->tt_chan_, call);
	uint64_t weight = item != NULL ? weight_of(c, item) : 0;
	struct tti_list woken;

	TT_REQUIRE(c->weights == NULL || weight <= slot->tt_weight_, "%s: an item of %llu bytes, and %llu are reserved", call,
	           (unsigned long long)weight, (unsigned long long)slot->tt_weight_);
	tti_list_init(&woken);
	tti_spin_lock(&c->lock);
	slot_step(c, slot->tt_weight_, item, weight, &woken);
	tti_spin_unlock(&c->lock);
	slot->tt_chan_ = NULL;
	tti_wake_all(&woken);
}

void (tt_slot_send)(tt_slot *slot, const void *p)
{
	TT_REQUIRE(slot->tt_chan_ != NULL, "tt_slot_send: the slot is empty");
	slot_use(slot, "tt_slot_send", p);
}

void (tt_slot_drop)(tt_slot *slot)
{
	if (slot != NULL && slot->tt_chan_ != NULL)
		slot_use(slot, "tt_slot_drop", NULL);
}

void tt_slot_leave_(void *slot)
{
	(tt_slot_drop)(slot);
}

/* ---- many items ---- */

int (tt_try_recv_many)(tt_chan *ch, void *ret_buf, size_t max)
{
	struct chan *c = from_public(ch, "tt_try_recv_many");
	unsigned char *to = ret_buf;
	struct tti_list woken;
	enum step step = STEP_DONE;
	size_t n = 0;

	tti_list_init(&woken);
	if (max > INT32_MAX)
		max = INT32_MAX;
	tti_spin_lock(&c->lock);
	while (n < max && (step = recv_step(c, to + n * c->elem_size, NULL, &woken)) == STEP_DONE)
		n++;
	tti_spin_unlock(&c->lock);
	tti_wake_all(&woken);
	if (n > 0)
		return (int)n;
	return step == STEP_CLOSED ? 0 : TT_EAGAIN;
}

/* True: an item was taken. False: time is up, closed, or cancelled. */
static bool recv_until(tt_chan *ch, void *ret_p, int64_t deadline)
{
	tt_arm arm = tt_on_recv_(ch, ret_p, NULL);
	int rc;

	if (tti_current() == NULL)
		return tti_thread_wait_arm(&arm, deadline) == 1;
	rc = tt_select(arm, TT_ON_DEADLINE(deadline));
	TTI_SOMETIMES(rc == 1, "a batch is not full when its time is up");
	TTI_SOMETIMES(rc == TT_ECANCELED, "a batch is cut short by a cancel");
	return rc == 0;
}

/* From the clock itself: the time of this turn may be long past for a task that computed. */
static int64_t linger_end(int64_t linger)
{
	int64_t until;

	if (tti_home_here != NULL)
		return tti_deadline_after(tti_home_here, linger);
	return __builtin_add_overflow(tti_env_now(), linger, &until) ? TT_NEVER : until;
}

int (tt_recv_many)(tt_chan *ch, void *ret_buf, size_t max, int64_t linger)
{
	struct chan *c = from_public(ch, "tt_recv_many");
	unsigned char *to = ret_buf;
	int64_t until;
	size_t n;
	int rc;

	TT_REQUIRE(max > 0, "tt_recv_many: max is 0");
	rc = (tt_recv)(ch, ret_buf);
	if (rc <= 0)
		return rc;
	n = 1;
	until = linger_end(linger);
	for (;;) {
		rc = n < max ? (tt_try_recv_many)(ch, to + n * c->elem_size, max - n) : 0;
		TTI_SOMETIMES(n < max && rc == 0, "a channel ends in the middle of a batch");
		if (rc > 0)
			n += (size_t)rc;
		else if (rc == 0 || linger <= 0)
			return (int)n;
		else if (recv_until(ch, to + n * c->elem_size, until))
			n++;
		else
			return (int)n; /* whatever came in between: what is here is delivered */
	}
}

int (tt_send_many)(tt_chan *ch, const void *p, size_t n, size_t *ret_done)
{
	struct chan *c = from_public(ch, "tt_send_many");
	const unsigned char *from = p;
	size_t done = 0;
	int rc = n == 0 ? tti_checkpoint() : 0;

	while (done < n && rc >= 0) {
		rc = (tt_send)(ch, from + done * c->elem_size);
		done += rc >= 0;
	}
	TTI_SOMETIMES(rc < 0 && done > 0, "a row of items is cut short");
	if (ret_done != NULL)
		*ret_done = done;
	return rc;
}

/* ---- life ---- */

/* The ring, and behind it the weights, if there are any. */
static int make_ring(struct chan *c)
{
	size_t items, weights = 0, bytes;

	if (__builtin_mul_overflow(c->cap, c->elem_size, &items) || items > SIZE_MAX - sizeof(uint64_t))
		return TT_EINVAL;
	items = (items + sizeof(uint64_t) - 1) / sizeof(uint64_t) * sizeof(uint64_t);
	if (c->bytes_max != 0 && __builtin_mul_overflow(c->cap, sizeof(uint64_t), &weights))
		return TT_EINVAL;
	if (__builtin_add_overflow(items, weights, &bytes))
		return TT_EINVAL;
	if (bytes == 0)
		return 0;
	c->ring = tti_env_alloc(bytes);
	if (c->ring == NULL)
		return TT_ENOMEM;
	if (weights > 0)
		c->weights = (uint64_t *)(void *)(c->ring + items);
	return 0;
}

static int chan_init(struct chan *c)
{
	int rc = c->elem_size == 0 ? TT_EINVAL : make_ring(c);

	if (rc < 0)
		return rc;
	tti_spin_init(&c->lock);
	tti_list_init(&c->receivers);
	tti_list_init(&c->senders);
	c->magic = CHAN_MAGIC;
	return 0;
}

int tt_chan_init_(tt_chan *ch, size_t count, size_t elem_size, void (*destroy)(void *elem))
{
	struct chan *c = (struct chan *)(void *)ch;

	*c = (struct chan){ .cap = count, .elem_size = elem_size, .destroy = destroy };
	return chan_init(c);
}

int tt_chan_init_bytes_(tt_chan *ch, size_t count, size_t bytes, size_t elem_size, void (*destroy)(void *elem),
                        size_t (*size_of)(const void *elem))
{
	struct chan *c = (struct chan *)(void *)ch;

	*c = (struct chan){
		.cap = count, .bytes_max = bytes, .elem_size = elem_size, .destroy = destroy, .size_of = size_of,
	};
	if (count == 0 || bytes == 0 || bytes > WEIGHT_MAX || size_of == NULL)
		return TT_EINVAL;
	return chan_init(c);
}

void (tt_chan_close)(tt_chan *ch)
{
	struct chan *c = from_public(ch, "tt_chan_close");
	struct tti_list woken;

	tti_list_init(&woken);
	tti_spin_lock(&c->lock);
	TTI_SOMETIMES(c->closed, "a channel is closed twice");
	TTI_SOMETIMES(!tti_list_empty(&c->senders), "a channel is closed while a sender waits");
	TTI_SOMETIMES(!tti_list_empty(&c->receivers) && c->slots > 0, "a channel is closed while slots are out");
	c->closed = true;
	TTI_LIST_FOR_EACH (link, &c->senders)
		TT_IGNORE(tti_claim_node(TTI_CONTAINER_OF(link, struct tti_wait_node, link), TT_ECLOSED, &woken));
	end_if_over(c, &woken);
	tti_spin_unlock(&c->lock);
	tti_wake_all(&woken);
}

void (tt_chan_fini)(tt_chan *ch)
{
	struct chan *c = (struct chan *)(void *)ch;

	if (c == NULL || c->magic != CHAN_MAGIC)
		return;
	tti_require_nobody_waits(&c->receivers, "tt_chan_fini");
	tti_require_nobody_waits(&c->senders, "tt_chan_fini");
	TT_REQUIRE(c->slots == 0, "tt_chan_fini: %zu slots are still out", c->slots);
	for (; c->len > 0; c->len--) {
		if (c->destroy != NULL)
			c->destroy(c->ring + c->head * c->elem_size);
		c->head = c->head + 1 == c->cap ? 0 : c->head + 1;
	}
	tti_env_free(c->ring);
	c->magic = 0;
}

size_t (tt_chan_len)(const tt_chan *ch)
{
	struct chan *c = from_public(ch, "tt_chan_len");
	size_t len;

	tti_spin_lock(&c->lock);
	len = c->len;
	tti_spin_unlock(&c->lock);
	return len;
}

size_t (tt_chan_drain)(tt_chan *ch, void *scratch)
{
	struct chan *c = from_public(ch, "tt_chan_drain");
	size_t n = 0;

	for (; recv_now(c, scratch) == 1; n++)
		if (c->destroy != NULL)
			c->destroy(scratch);
	return n;
}

tt_chan *tt_chan_producer_(tt_chan *ch)
{
	struct chan *c = from_public(ch, "TT_CLOSE_AT_END");

	tti_spin_lock(&c->lock);
	c->producers++;
	tti_spin_unlock(&c->lock);
	return ch;
}

void tt_chan_producer_leave_(tt_chan **at)
{
	struct chan *c = from_public(*at, "TT_CLOSE_AT_END");
	bool last;

	tti_spin_lock(&c->lock);
	last = --c->producers == 0;
	tti_spin_unlock(&c->lock);
	if (last)
		(tt_chan_close)(*at);
}

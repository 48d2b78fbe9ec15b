/* SPDX-License-Identifier: MIT */
/*
 * channel.c - the bounded channel: a ring, two lists of waiters, one short lock.
 *
 * An item goes from the sender's memory straight to a waiting receiver's when there is
 * one, else through the ring. Every operation is one arm (enlist, delist): a blocking
 * call waits for that arm alone, a select for several.
 *
 * Invariants  A receiver waits only while the ring is empty and the channel open; a
 *             sender only while the ring is full and the channel open.
 *             Items in = items out + items in the ring + items destroyed.
 *             First in, first out; waiters are served in the order they came.
 * Lock        chan.lock guards everything; nobody parks or wakes under it (law 8).
 * Rejected    A lock-free ring: the critical section is some ten nanoseconds, and a ring
 *             that select, close and cancel can also take part in needs far more.
 */
#include <tutti/channel.h>
#include <tutti/select.h>
#include <tutti/time.h>

#include <string.h>

#include "base/panic.h"
#include "env/env.h"
#include "wait/wait.h"

#define CHAN_MAGIC UINT32_C(0x74746368)

struct chan {
	tti_spin lock;
	uint32_t magic;
	size_t cap, elem_size;               /* items, bytes; set at init */
	size_t head, len;                    /* oldest item, items in the ring */
	unsigned char *ring;                 /* cap * elem_size bytes; NULL for a rendezvous */
	void (*destroy)(void *elem);         /* may be NULL */
	struct tti_list receivers, senders;  /* nodes of those who wait */
	uint32_t producers;                  /* TT_CLOSE_AT_END blocks that are open */
	bool closed;
};

_Static_assert(sizeof(struct chan) <= sizeof(tt_chan), "tt_chan holds a channel");

static struct chan *from_public(const tt_chan *ch, const char *call)
{
	struct chan *c = (struct chan *)(uintptr_t)ch;

	TT_REQUIRE(c != NULL && c->magic == CHAN_MAGIC, "%s: the channel is not initialised (or finished)", call);
	return c;
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

static void ring_push(struct chan *c, const void *item)
{
	size_t at = c->head + c->len;

	if (at >= c->cap)
		at -= c->cap;
	copy_item(c, c->ring + at * c->elem_size, item);
	c->len++;
}

static void ring_pop(struct chan *c, void *ret_item)
{
	copy_item(c, ret_item, c->ring + c->head * c->elem_size);
	c->head = c->head + 1 == c->cap ? 0 : c->head + 1;
	c->len--;
}

/* ---- under the lock: one item in, one item out ---- */

/* A receiver that waits and can be had together with the sender `self` (NULL: not enlisted
 * anywhere, only the receiver has to be claimed). *ret_taken: self was claimed by another. */
static bool give_to_receiver(struct chan *c, const void *item, struct tti_waiter *self, struct tti_list *woken,
                             bool *ret_taken)
{
	TTI_LIST_FOR_EACH (link, &c->receivers) {
		struct tti_wait_node *n = TTI_CONTAINER_OF(link, struct tti_wait_node, link);
		enum tti_pair pair = n->waiter == self ? TTI_PAIR_PARTNER_GONE : tti_claim_pair(self, n->waiter);

		if (pair == TTI_PAIR_PARTNER_GONE)
			continue;
		*ret_taken = pair == TTI_PAIR_SELF_TAKEN;
		if (*ret_taken)
			return false;
		copy_item(c, n->value, item);
		tti_settle_node(n, 1, woken);
		return true;
	}
	return false;
}

static bool take_from_sender(struct chan *c, void *ret_item, struct tti_waiter *self, struct tti_list *woken,
                             bool *ret_taken)
{
	TTI_LIST_FOR_EACH (link, &c->senders) {
		struct tti_wait_node *n = TTI_CONTAINER_OF(link, struct tti_wait_node, link);
		enum tti_pair pair = n->waiter == self ? TTI_PAIR_PARTNER_GONE : tti_claim_pair(self, n->waiter);

		if (pair == TTI_PAIR_PARTNER_GONE)
			continue;
		*ret_taken = pair == TTI_PAIR_SELF_TAKEN;
		if (*ret_taken)
			return false;
		copy_item(c, ret_item, n->value);
		tti_settle_node(n, 0, woken);
		return true;
	}
	return false;
}

/* The ring has room again: the first sender that waits puts its item there. */
static void refill(struct chan *c, struct tti_list *woken)
{
	TTI_LIST_FOR_EACH (link, &c->senders) {
		struct tti_wait_node *n = TTI_CONTAINER_OF(link, struct tti_wait_node, link);
		const void *item = n->value;

		if (!tti_claim_node(n, 0, woken)) {
			if (TTI_BUG_PLANTED(1))
				return; /* the sender behind one that was just cancelled sleeps on */
			continue;
		}
		ring_push(c, item);
		return;
	}
}

enum step { STEP_DONE, STEP_CLOSED, STEP_WAIT, STEP_TAKEN };

static enum step send_step(struct chan *c, const void *item, struct tti_waiter *self, struct tti_list *woken)
{
	bool taken = false;

	if (c->closed)
		return self == NULL || tti_claim_self(self) ? STEP_CLOSED : STEP_TAKEN;
	if (give_to_receiver(c, item, self, woken, &taken))
		return STEP_DONE;
	if (taken)
		return STEP_TAKEN;
	if (c->len == c->cap)
		return STEP_WAIT;
	if (self != NULL && !tti_claim_self(self))
		return STEP_TAKEN;
	ring_push(c, item);
	return STEP_DONE;
}

static enum step recv_step(struct chan *c, void *ret_item, struct tti_waiter *self, struct tti_list *woken)
{
	bool taken = false;

	if (c->len > 0) {
		if (self != NULL && !tti_claim_self(self))
			return STEP_TAKEN;
		ring_pop(c, ret_item);
		refill(c, woken);
		return STEP_DONE;
	}
	if (take_from_sender(c, ret_item, self, woken, &taken))
		return STEP_DONE;
	if (taken)
		return STEP_TAKEN;
	if (c->closed)
		return self == NULL || tti_claim_self(self) ? STEP_CLOSED : STEP_TAKEN;
	return STEP_WAIT;
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
	step = send_step(c, arm->value, n->waiter, &woken);
	if (step == STEP_WAIT && may_link)
		tti_list_push_back(&c->senders, &n->link);
	tti_spin_unlock(&c->lock);
	tti_wake_all(&woken);
	return step == STEP_WAIT ? TTI_ARM_LINKED : settle_self(n, step, 0, TT_ECLOSED);
}

static void chan_delist(const tt_arm *arm, struct tti_wait_node *n)
{
	struct chan *c = arm->object;

	tti_spin_lock(&c->lock);
	tti_list_unlink(&n->link);
	tti_spin_unlock(&c->lock);
}

static const struct tti_arm_ops recv_arm = {
	.verb = "recv",
	.enlist = recv_enlist,
	.delist = chan_delist,
	.zero_is_closed = true,
};

static const struct tti_arm_ops send_arm = {
	.verb = "send",
	.enlist = send_enlist,
	.delist = chan_delist,
};

tt_arm tt_on_recv_(tt_chan *ch, void *ret_p, int *rc)
{
	return (tt_arm){ .ops = &recv_arm, .object = from_public(ch, "TT_ON_RECV"), .value = ret_p, .rc = rc };
}

tt_arm tt_on_send_(tt_chan *ch, const void *p, int *rc)
{
	return (tt_arm){ .ops = &send_arm, .object = from_public(ch, "TT_ON_SEND"), .value = (void *)(uintptr_t)p, .rc = rc };
}

/* ---- one item ---- */

/* At once or not at all: 0, TT_ECLOSED or -EAGAIN. */
static int send_now(struct chan *c, const void *p)
{
	struct tti_list woken;
	enum step step;

	tti_list_init(&woken);
	tti_spin_lock(&c->lock);
	step = send_step(c, p, NULL, &woken);
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

int (tt_send)(tt_chan *ch, const void *p)
{
	struct chan *c = from_public(ch, "tt_send");
	tt_arm arm = { .ops = &send_arm, .object = c, .value = (void *)(uintptr_t)p };
	int rc = tti_checkpoint();

	if (rc < 0)
		return rc;
	rc = send_now(c, p);
	return rc == TT_EAGAIN ? tti_wait_arm(&arm, true) : rc;
}

int (tt_recv)(tt_chan *ch, void *ret_p)
{
	struct chan *c = from_public(ch, "tt_recv");
	tt_arm arm = { .ops = &recv_arm, .object = c, .value = ret_p };
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
	return rc == TT_EAGAIN ? tti_wait_arm(&arm, true) : rc;
}

int (tt_try_send)(tt_chan *ch, const void *p)
{
	return send_now(from_public(ch, "tt_try_send"), p);
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

	if (tti_current() == NULL)
		return tti_thread_wait_arm(&arm, deadline) == 1;
	return tt_select(arm, TT_ON_DEADLINE(deadline)) == 0;
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
	if (__builtin_add_overflow(tt_now(), linger, &until))
		until = TT_NEVER;
	for (;;) {
		rc = n < max ? (tt_try_recv_many)(ch, to + n * c->elem_size, max - n) : 0;
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
	if (ret_done != NULL)
		*ret_done = done;
	return rc;
}

/* ---- life ---- */

int tt_chan_init_(tt_chan *ch, size_t count, size_t elem_size, void (*destroy)(void *elem))
{
	struct chan *c = (struct chan *)(void *)ch;
	size_t bytes;

	if (__builtin_mul_overflow(count, elem_size, &bytes) || elem_size == 0)
		return TT_EINVAL;
	*c = (struct chan){ .cap = count, .elem_size = elem_size, .destroy = destroy };
	if (bytes > 0) {
		c->ring = tti_env_alloc(bytes);
		if (c->ring == NULL)
			return TT_ENOMEM;
	}
	tti_spin_init(&c->lock);
	tti_list_init(&c->receivers);
	tti_list_init(&c->senders);
	c->magic = CHAN_MAGIC;
	return 0;
}

void (tt_chan_close)(tt_chan *ch)
{
	struct chan *c = from_public(ch, "tt_chan_close");
	struct tti_list woken;

	tti_list_init(&woken);
	tti_spin_lock(&c->lock);
	c->closed = true;
	TTI_LIST_FOR_EACH (link, &c->senders)
		TT_IGNORE(tti_claim_node(TTI_CONTAINER_OF(link, struct tti_wait_node, link), TT_ECLOSED, &woken));
	/* Receivers wait only while the ring is empty, so there is nothing left for them. */
	TTI_LIST_FOR_EACH (link, &c->receivers)
		TT_IGNORE(tti_claim_node(TTI_CONTAINER_OF(link, struct tti_wait_node, link), 0, &woken));
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

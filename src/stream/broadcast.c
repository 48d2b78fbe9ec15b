/* SPDX-License-Identifier: MIT */
/*
 * broadcast.c - a ring of the last items, and a cursor for each subscriber.
 *
 * Items are numbered from 0; the ring holds the last `cap` of them. A subscriber is a number:
 * the next item it takes. It is not known to the broadcast unless it waits, so there is
 * nothing to undo when it goes.
 *
 * Invariants  A subscriber waits only while its next item is the one that will be sent next,
 *             and the broadcast is open; the sender hands it over.
 *             A subscriber's cursor moves only with an item copied, or with TT_EOVERFLOW
 *             told: never both, never neither.
 * Lock        broadcast.lock guards everything, and the cursors of those who wait.
 * Rejected    Slots with a count of readers still to come: a subscriber would have to be
 *             registered, and a sleeping one would hold every item.
 */
#include <tutti/broadcast.h>
#include <tutti/select.h>

#include <string.h>

#include "base/panic.h"
#include "base/sometimes.h"
#include "base/spin.h"
#include "env/env.h"
#include "wait/wait.h"

#define BROADCAST_MAGIC UINT32_C(0x74746263)

struct broadcast {
	tti_spin lock;
	uint32_t magic;
	size_t cap, elem_size;               /* items, bytes; set at init */
	uint64_t sent;                       /* items so far: the number of the next one */
	unsigned char *ring;                 /* item i at i % cap */
	struct tti_list waiters;             /* nodes of subscribers that have seen everything */
	bool closed;
};

struct subscriber {
	struct broadcast *b;
	uint64_t next;                       /* the item it takes next; its user, or the lock while it waits */
	uint64_t missed;                     /* in all; its user's */
};

_Static_assert(sizeof(struct broadcast) <= sizeof(tt_broadcast), "tt_broadcast holds a broadcast");
_Static_assert(sizeof(struct subscriber) <= sizeof(tt_subscriber), "tt_subscriber holds a subscriber");

static struct broadcast *from_public(tt_broadcast *b, const char *call)
{
	struct broadcast *own = (struct broadcast *)(void *)b;

	TT_REQUIRE(own != NULL && own->magic == BROADCAST_MAGIC, "%s: the broadcast is not initialised (or finished)", call);
	return own;
}

static struct subscriber *sub_from_public(tt_subscriber *s, const char *call)
{
	struct subscriber *own = (struct subscriber *)(void *)s;

	TT_REQUIRE(own->b != NULL && own->b->magic == BROADCAST_MAGIC,
	           "%s: not subscribed, or the broadcast is finished", call);
	return own;
}

static void *item_at(const struct broadcast *b, uint64_t number)
{
	return b->ring + (size_t)(number % b->cap) * b->elem_size;
}

/* Under the lock: what is next for s, without waiting: 1, 0, TT_EOVERFLOW, or -EAGAIN. */
static int look(const struct broadcast *b, const struct subscriber *s)
{
	if (b->sent - s->next > b->cap)
		return TT_EOVERFLOW;
	if (s->next < b->sent)
		return 1;
	return b->closed ? 0 : TT_EAGAIN;
}

/* Under the lock: does what look() said, after the caller's claim. */
static void take(const struct broadcast *b, struct subscriber *s, int seen, void *ret_item)
{
	uint64_t oldest;

	if (seen == 1) {
		memcpy(ret_item, item_at(b, s->next), b->elem_size);
		s->next++;
	} else if (seen == TT_EOVERFLOW) {
		TTI_SOMETIMES(true, "a subscriber is so slow that it misses items");
		oldest = b->sent - b->cap;
		s->missed += oldest - s->next;
		s->next = oldest;
	}
}

static int recv_enlist(const tt_arm *arm, struct tti_wait_node *n, bool may_link)
{
	struct subscriber *s = arm->object;
	struct broadcast *b = s->b;
	int seen, result = TTI_ARM_LINKED;

	tti_spin_lock(&b->lock);
	seen = look(b, s);
	if (seen != TT_EAGAIN) {
		result = tti_claim_own_node(n, seen);
		if (result == TTI_ARM_DONE)
			take(b, s, seen, arm->value);
	} else if (may_link) {
		n->n = (uint64_t)(uintptr_t)s;
		tti_list_push_back(&b->waiters, &n->link);
	}
	tti_spin_unlock(&b->lock);
	return result;
}

static void recv_delist(const tt_arm *arm, struct tti_wait_node *n)
{
	struct broadcast *b = ((struct subscriber *)arm->object)->b;

	tti_spin_lock(&b->lock);
	tti_list_unlink(&n->link);
	tti_spin_unlock(&b->lock);
}

static const struct tti_arm_ops broadcast_arm = {
	.verb = "broadcast_recv",
	.enlist = recv_enlist,
	.delist = recv_delist,
	.zero_is_closed = true,
};

tt_arm tt_on_broadcast_(tt_subscriber *sub, void *ret_p, int *rc)
{
	return (tt_arm){
		.ops = &broadcast_arm, .object = sub_from_public(sub, "TT_ON_BROADCAST"), .value = ret_p, .rc = rc,
	};
}

static int recv_now(struct subscriber *s, void *ret_p, uint64_t *ret_missed)
{
	uint64_t before = s->missed;
	int seen;

	tti_spin_lock(&s->b->lock);
	seen = look(s->b, s);
	take(s->b, s, seen, ret_p);
	tti_spin_unlock(&s->b->lock);
	if (seen == TT_EOVERFLOW && ret_missed != NULL)
		*ret_missed = s->missed - before;
	return seen;
}

int (tt_broadcast_recv)(tt_subscriber *sub, void *ret_p, uint64_t *ret_missed)
{
	struct subscriber *s = sub_from_public(sub, "tt_broadcast_recv");
	tt_arm arm = { .ops = &broadcast_arm, .object = s, .value = ret_p };
	uint64_t before = s->missed;
	int rc = tti_checkpoint();

	if (rc < 0)
		return rc;
	rc = recv_now(s, ret_p, ret_missed);
	if (rc != TT_EAGAIN)
		return rc;
	rc = tti_wait_arm(&arm, true);
	if (rc == TT_EOVERFLOW && ret_missed != NULL)
		*ret_missed = s->missed - before;
	return rc;
}

int (tt_broadcast_try_recv)(tt_subscriber *sub, void *ret_p, uint64_t *ret_missed)
{
	return recv_now(sub_from_public(sub, "tt_broadcast_try_recv"), ret_p, ret_missed);
}

uint64_t (tt_broadcast_missed)(const tt_subscriber *sub)
{
	return ((const struct subscriber *)(const void *)sub)->missed;
}

void (tt_subscribe)(tt_broadcast *storage, tt_subscriber *ret_sub)
{
	struct broadcast *b = from_public(storage, "tt_subscribe");

	tti_spin_lock(&b->lock);
	*(struct subscriber *)(void *)ret_sub = (struct subscriber){ .b = b, .next = b->sent };
	tti_spin_unlock(&b->lock);
}

int (tt_broadcast_send)(tt_broadcast *storage, const void *p)
{
	struct broadcast *b = from_public(storage, "tt_broadcast_send");
	struct tti_list woken;
	bool closed;

	tti_list_init(&woken);
	tti_spin_lock(&b->lock);
	closed = b->closed;
	if (!closed) {
		memcpy(item_at(b, b->sent), p, b->elem_size);
		b->sent++;
		TTI_LIST_FOR_EACH (link, &b->waiters) {
			struct tti_wait_node *n = TTI_CONTAINER_OF(link, struct tti_wait_node, link);

			if (tti_claim_node(n, 1, &woken))
				take(b, (struct subscriber *)(uintptr_t)n->n, 1, n->value);
			else
				TTI_SOMETIMES(true, "an item is sent to a subscriber that gave up");
		}
	}
	tti_spin_unlock(&b->lock);
	tti_wake_all(&woken);
	return closed ? TT_ECLOSED : 0;
}

/* ---- life ---- */

int tt_broadcast_init_(tt_broadcast *storage, size_t count, size_t elem_size)
{
	struct broadcast *b = (struct broadcast *)(void *)storage;
	size_t bytes;

	*b = (struct broadcast){ .cap = count, .elem_size = elem_size };
	if (count == 0 || elem_size == 0 || __builtin_mul_overflow(count, elem_size, &bytes))
		return TT_EINVAL;
	b->ring = tti_env_alloc(bytes);
	if (b->ring == NULL)
		return TT_ENOMEM;
	tti_spin_init(&b->lock);
	tti_list_init(&b->waiters);
	b->magic = BROADCAST_MAGIC;
	return 0;
}

void (tt_broadcast_close)(tt_broadcast *storage)
{
	struct broadcast *b = from_public(storage, "tt_broadcast_close");
	struct tti_list woken;

	tti_list_init(&woken);
	tti_spin_lock(&b->lock);
	TTI_SOMETIMES(!tti_list_empty(&b->waiters), "a broadcast is closed while a subscriber waits");
	b->closed = true;
	/* Who waits has seen everything. */
	TTI_LIST_FOR_EACH (link, &b->waiters)
		TT_IGNORE(tti_claim_node(TTI_CONTAINER_OF(link, struct tti_wait_node, link), 0, &woken));
	tti_spin_unlock(&b->lock);
	tti_wake_all(&woken);
}

void (tt_broadcast_fini)(tt_broadcast *storage)
{
	struct broadcast *b = (struct broadcast *)(void *)storage;

	if (b == NULL || b->magic != BROADCAST_MAGIC)
		return;
	tti_require_nobody_waits(&b->waiters, "tt_broadcast_fini");
	tti_env_free(b->ring);
	b->magic = 0;
}

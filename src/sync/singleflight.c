/* SPDX-License-Identifier: MIT */
/*
 * singleflight.c - calls for equal keys at the same time share one execution.
 *
 * A call under way is a record in its caller's frame, listed by the hash of its key; those that
 * wait hang on it. When it is over it hands code and value to each of them; when its caller
 * is cancelled, the first who waits becomes the caller: its record, in its frame, inherits the
 * others. So nothing is allocated, and a key lives where its call does.
 *
 * Invariants  At most one record for a key. A record's caller runs, or was just told to.
 * Lock        flight.lock guards all lists. Values are copied after it was released: the waiters
 *             are claimed and parked, and theirs are ours until they are woken.
 */
#include <tutti/select.h>
#include <tutti/singleflight.h>

#include <limits.h>

#include "base/panic.h"
#include "base/sometimes.h"
#include "base/spin.h"
#include "sync/failure.h"
#include "sync/waiters.h"

#define BUCKETS 16

struct flight {
	tti_spin lock;
	bool ready;                          /* initialised */
	struct tti_list buckets[BUCKETS];
};

_Static_assert(sizeof(struct flight) <= sizeof(tt_flight), "tt_flight holds a flight");

struct call {
	struct tti_list link;                /* in its bucket while it is the one under way */
	struct tti_list waiters;             /* nodes whose value is their own call */
	const struct tt_task *caller;
	tt_key key;
	uint64_t hash;
	void *ret_value;
	size_t size;
	const struct tt_task_type *type;
	const char *site;
	bool told;                           /* failure is what rc was about */
	struct tti_failure failure;
};

/* How a wait ends when it becomes the caller's turn; no code is that. */
#define TAKE_OVER INT_MIN

void tt_flight_init_(tt_flight *f)
{
	struct flight *own = (struct flight *)(void *)f;

	*own = (struct flight){ .ready = true };
	for (unsigned i = 0; i < BUCKETS; i++)
		tti_list_init(&own->buckets[i]);
}

void tt_flight_fini_(tt_flight *f)
{
	struct flight *own = (struct flight *)(void *)f;

	if (own == NULL || !own->ready)
		return;
	for (unsigned i = 0; i < BUCKETS; i++) {
		struct tti_list *first = tti_list_first(&own->buckets[i]);

		if (first != NULL)
			tti_panic("tt_flight_fini", "%s runs since %s",
			          TTI_CONTAINER_OF(first, struct call, link)->type->name,
			          TTI_CONTAINER_OF(first, struct call, link)->site);
	}
	own->ready = false;
}

/* FNV-1a; the buckets are few and the keys the program's own. */
static uint64_t hash_of(tt_key key)
{
	const unsigned char *p = key.data;
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < key.len; i++)
		h = (h ^ p[i]) * UINT64_C(0x100000001b3);
	return h;
}

static struct tti_list *bucket_of(struct flight *f, const struct call *c)
{
	return &f->buckets[(c->hash >> 32) % BUCKETS];
}

/* NULL: none for this key. */
static struct call *find(struct flight *f, const struct call *wanted)
{
	TTI_LIST_FOR_EACH (link, bucket_of(f, wanted)) {
		struct call *c = TTI_CONTAINER_OF(link, struct call, link);

		if (c->hash == wanted->hash && c->key.len == wanted->key.len &&
		    (c->key.len == 0 || memcmp(c->key.data, wanted->key.data, c->key.len) == 0))
			return c;
	}
	return NULL;
}

static int flight_enlist(const tt_arm *arm, struct tti_wait_node *n, bool may_link)
{
	struct flight *f = arm->object;
	struct call *c = arm->value, *under_way;
	int result = TTI_ARM_LINKED;

	TT_ASSERT(may_link);
	tti_spin_lock(&f->lock);
	under_way = find(f, c);
	if (under_way == NULL) {
		tti_list_push_back(bucket_of(f, c), &c->link);
		result = tti_claim_own_node(n, TAKE_OVER);
	} else if (under_way->caller == c->caller) {
		result = tti_claim_own_node(n, TT_EDEADLK);
	} else {
		tti_list_push_back(&under_way->waiters, &n->link);
	}
	tti_spin_unlock(&f->lock);
	return result;
}

static void flight_delist(const tt_arm *arm, struct tti_wait_node *n)
{
	struct flight *f = arm->object;

	tti_spin_lock(&f->lock);
	tti_list_unlink(&n->link);
	tti_spin_unlock(&f->lock);
}

static const struct tti_arm_ops flight_arm = { .verb = "flight", .enlist = flight_enlist, .delist = flight_delist };

static struct call *call_of(struct tti_list *link)
{
	return TTI_CONTAINER_OF(link, struct tti_wait_node, link)->value;
}

/* The caller was cancelled: the first who waits is the caller now, the others wait for it. */
static void hand_over(struct flight *f, struct call *c)
{
	struct tti_list woken, *n;

	tti_list_init(&woken);
	tti_spin_lock(&f->lock);
	tti_list_unlink(&c->link);
	if (tti_claim_waiters(&c->waiters, 1, TAKE_OVER, &woken) > 0) {
		struct call *next = call_of(tti_list_first(&woken));

		TTI_SOMETIMES(true, "a call is cancelled, and one who shares it takes it over");
		tti_list_push_back(bucket_of(f, next), &next->link);
		while ((n = tti_list_pop_front(&c->waiters)) != NULL)
			tti_list_push_back(&next->waiters, n);
	} else {
		TTI_SOMETIMES(!tti_list_empty(&c->waiters), "all who share a call are cancelled with it");
		/* Those that are left were cancelled too; they unlink themselves, from nowhere. */
		while ((n = tti_list_pop_front(&c->waiters)) != NULL)
			continue;
	}
	tti_spin_unlock(&f->lock);
	tti_wake_all(&woken);
}

static void share(struct flight *f, struct call *c, int rc)
{
	struct tti_list woken, *n;

	tti_list_init(&woken);
	if (rc < 0)
		tti_failure_keep(&c->failure, rc);
	tti_spin_lock(&f->lock);
	tti_list_unlink(&c->link);
	tti_claim_waiters(&c->waiters, TTI_WAITERS_ALL, rc, &woken);
	TTI_SOMETIMES(!tti_list_empty(&c->waiters), "a call ends when one who shares it has given up");
	TTI_SOMETIMES(rc < 0 && !tti_list_empty(&woken), "a failure is shared");
	while ((n = tti_list_pop_front(&c->waiters)) != NULL)
		continue; /* cancelled, on their way out: see hand_over() */
	tti_spin_unlock(&f->lock);
	TTI_LIST_FOR_EACH (link, &woken) {
		struct call *other = call_of(link);

		other->told = rc < 0;
		if (rc < 0)
			other->failure = c->failure;
		else
			memcpy(other->ret_value, c->ret_value, c->size);
	}
	tti_wake_all(&woken);
}

static int refuse(const struct call *c, void *args, int rc)
{
	if (c->type->drop != NULL)
		c->type->drop(args);
	return rc;
}

static int run(struct flight *f, struct call *c, void *args)
{
	int rc = c->type->run(args);

	if (rc == TT_ECANCELED && (c->caller->cancel_bits & TTI_CANCELLED) != 0)
		hand_over(f, c);
	else
		share(f, c, rc);
	return rc;
}

intptr_t tt_verb_flight_(void *on, const tt_task_type *type, const void *caller_args, const char *site)
{
	const tt_flight_call_ *wanted = on;
	struct flight *f = (struct flight *)(void *)wanted->flight;
	struct call c = { .key = wanted->key, .ret_value = wanted->ret_value, .size = wanted->size, .type = type,
	                  .site = site, .caller = tti_current_or_panic("tt_flight_do") };
	tt_arm arm = { .ops = &flight_arm, .object = f, .value = &c };
	void *args = (void *)(uintptr_t)caller_args;
	int rc;

	TT_REQUIRE(f->ready, "tt_flight_do at %s: the flight is not initialised", site);
	if (c.caller == NULL)
		return refuse(&c, args, TT_EWRONGCTX);
	rc = tti_checkpoint();
	if (rc < 0)
		return refuse(&c, args, rc);
	tti_list_init(&c.link);
	tti_list_init(&c.waiters);
	c.hash = hash_of(c.key);
	rc = tti_wait_arm(&arm, true);
	if (rc == TAKE_OVER)
		return run(f, &c, args);
	if (c.told)
		rc = tti_failure_tell(&c.failure, rc, type->name, site);
	else if (rc == TT_EDEADLK)
		rc = tt_fail_(rc, site, type->name, "inside the call for the same key");
	return refuse(&c, args, rc);
}

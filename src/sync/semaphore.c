/* SPDX-License-Identifier: MIT */
/*
 * semaphore.c - permits, handed out first come, first served: a large request at the head
 * is not starved by small ones behind it.
 *
 * Invariants  While somebody waits, the head's request is larger than what is free. A
 *             waiter that leaves (cancel, another arm won) may uncover a request that fits,
 *             so leaving grants again.
 * Lock        semaphore.lock guards closed, permits and waiters.
 */
#include <tutti/select.h>
#include <tutti/semaphore.h>

#include "base/panic.h"
#include "base/sometimes.h"
#include "base/spin.h"
#include "sync/waiters.h"

struct semaphore {
	tti_spin lock;
	bool ready;                          /* initialised */
	bool closed;                         /* nobody waits any more */
	uint64_t permits;                    /* free ones */
	struct tti_list waiters;
};

_Static_assert(sizeof(struct semaphore) <= sizeof(tt_semaphore), "tt_semaphore holds a semaphore");

static struct semaphore *from_public(tt_semaphore *s, const char *call)
{
	struct semaphore *own = (struct semaphore *)(void *)s;

	TT_REQUIRE(own->ready, "%s: the semaphore is not initialised", call);
	return own;
}

void tt_semaphore_init(tt_semaphore *s, unsigned permits)
{
	struct semaphore *own = (struct semaphore *)(void *)s;

	*own = (struct semaphore){ .ready = true, .permits = permits };
	tti_list_init(&own->waiters);
}

void tt_semaphore_fini(tt_semaphore *s)
{
	struct semaphore *own = (struct semaphore *)(void *)s;

	if (own == NULL || !own->ready)
		return;
	tti_require_nobody_waits(&own->waiters, "tt_semaphore_fini");
	own->ready = false;
}

/* Under the lock: grants from the head while its request fits. Claimed nodes that are
 * still listed belong to waiters on their way out. */
static void grant(struct semaphore *s, struct tti_list *woken)
{
	TTI_LIST_FOR_EACH (link, &s->waiters) {
		struct tti_wait_node *n = TTI_CONTAINER_OF(link, struct tti_wait_node, link);
		uint64_t want = n->n;

		TTI_SOMETIMES(!tti_waiter_is_waiting(n->waiter), "permits are offered to a waiter that gave up");
		if (want > s->permits && tti_waiter_is_waiting(n->waiter))
			return;
		if (want <= s->permits && tti_claim_node(n, 0, woken))
			s->permits -= want;
	}
}

static int semaphore_enlist(const tt_arm *arm, struct tti_wait_node *n, bool may_link)
{
	struct semaphore *s = arm->object;
	uint64_t want = (uint64_t)arm->n;
	int result = TTI_ARM_LINKED;

	tti_spin_lock(&s->lock);
	if (s->closed) {
		result = tti_claim_own_node(n, TT_ECLOSED);
	} else if (want <= s->permits && !tti_somebody_waits(&s->waiters)) {
		result = tti_claim_own_node(n, 0);
		if (result == TTI_ARM_DONE)
			s->permits -= want;
	} else if (may_link) {
		tti_list_push_back(&s->waiters, &n->link);
	}
	tti_spin_unlock(&s->lock);
	return result;
}

static void semaphore_delist(const tt_arm *arm, struct tti_wait_node *n)
{
	struct semaphore *s = arm->object;
	struct tti_list woken;

	tti_list_init(&woken);
	tti_spin_lock(&s->lock);
	if (tti_list_linked(&n->link)) {
		tti_list_unlink(&n->link);
		grant(s, &woken);
		TTI_SOMETIMES(!tti_list_empty(&woken), "a large request gives up, and those behind it are served");
	}
	tti_spin_unlock(&s->lock);
	tti_wake_all(&woken);
}

static const struct tti_arm_ops semaphore_arm = {
	.verb = "acquire",
	.enlist = semaphore_enlist,
	.delist = semaphore_delist,
};

static int try_acquire(struct semaphore *s, unsigned n)
{
	int rc = TT_EAGAIN;

	tti_spin_lock(&s->lock);
	if (s->closed) {
		rc = TT_ECLOSED;
	} else if (n <= s->permits && !tti_somebody_waits(&s->waiters)) {
		TTI_SOMETIMES(!tti_list_empty(&s->waiters), "permits are taken past waiters that gave up");
		s->permits -= n;
		rc = 0;
	}
	tti_spin_unlock(&s->lock);
	return rc;
}

int tt_semaphore_acquire(tt_semaphore *storage, unsigned n)
{
	struct semaphore *s = from_public(storage, "tt_semaphore_acquire");
	tt_arm arm = { .ops = &semaphore_arm, .object = s, .n = n };
	int rc;

	if (tti_current_or_panic("tt_semaphore_acquire") == NULL)
		return TT_EWRONGCTX;
	rc = tti_checkpoint();
	if (rc < 0)
		return rc;
	rc = try_acquire(s, n);
	return rc == TT_EAGAIN ? tti_wait_arm(&arm, true) : rc;
}

int tt_semaphore_try_acquire(tt_semaphore *s, unsigned n)
{
	return try_acquire(from_public(s, "tt_semaphore_try_acquire"), n);
}

void tt_semaphore_release(tt_semaphore *storage, unsigned n)
{
	struct semaphore *s = from_public(storage, "tt_semaphore_release");
	struct tti_list woken;

	tti_list_init(&woken);
	tti_spin_lock(&s->lock);
	TT_REQUIRE(n <= UINT32_MAX - s->permits, "tt_semaphore_release: %u more than %llu permits are too many", n,
	           (unsigned long long)s->permits);
	s->permits += n;
	grant(s, &woken);
	tti_spin_unlock(&s->lock);
	tti_wake_all(&woken);
}

void tt_semaphore_close(tt_semaphore *storage)
{
	struct semaphore *s = from_public(storage, "tt_semaphore_close");
	struct tti_list woken;

	tti_list_init(&woken);
	tti_spin_lock(&s->lock);
	s->closed = true;
	tti_claim_waiters(&s->waiters, TTI_WAITERS_ALL, TT_ECLOSED, &woken);
	tti_spin_unlock(&s->lock);
	tti_wake_all(&woken);
}

tt_arm tt_on_permit_(tt_semaphore *s, unsigned n, int *rc)
{
	return (tt_arm){ .ops = &semaphore_arm, .object = from_public(s, "TT_ON_PERMIT"), .rc = rc, .n = n };
}

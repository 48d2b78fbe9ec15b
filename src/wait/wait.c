/* SPDX-License-Identifier: MIT */
/* wait.c - claim, park, wake, cancel; the protocol is described in wait.h. */
#include "wait/wait.h"

#include <stdio.h>

#include <tutti/lowlevel.h>
#include <tutti/select.h>

#include "base/panic.h"
#include "base/sometimes.h"
#include "base/spin.h"
#include "env/env.h"

#include <sys/syscall.h>

void tti_waiter_init(struct tti_waiter *w, const char *verb, const void *object)
{
	/* relaxed: the waiter is not enlisted anywhere yet; an object's lock publishes it. */
	tti_store_relaxed(&w->claim, TTI_WAITING);
	/* relaxed: as above. */
	tti_store_relaxed(&w->word, 0);
	w->task = tti_current();
	w->abort = tti_abort_by_claim;
	w->stop_node = NULL;
	w->winner = 0;
	w->rc = 0;
	w->reason = (struct tti_wait_reason){ .verb = verb, .object = object };
}

bool tti_claim(struct tti_waiter *w)
{
	unsigned turns = 0;

	for (;;) {
		uint32_t seen = TTI_WAITING;

		/* relaxed: the word decides who owns the outcome and passes nothing on. What the
		 * waiter wrote is seen through the lock under which its node was found, the outcome
		 * through the wake; losers touch nothing (tests/model/claim_test.c). */
		if (tti_cas_relaxed(&w->claim, &seen, TTI_CLAIMED))
			return true;
		if (TTI_LAW_BROKEN(4))
			return true;
		if (seen == TTI_CLAIMED)
			return false;
		tti_spin_pause(&turns);
	}
}

bool tti_claim_self(struct tti_waiter *w)
{
	uint32_t seen = TTI_WAITING;

	/* relaxed: see tti_claim(). */
	return tti_cas_relaxed(&w->claim, &seen, TTI_CLAIMED);
}

/*
 * Both sides may be selects that commit at the same moment from opposite ends, each
 * CLAIMING itself and looking at the other. Order by address breaks the tie: the lower
 * one stays CLAIMING and waits, the higher one steps back to WAITING, where the lower
 * one's claim finds it. A step back that treated the partner as gone instead would lose
 * a wake-up.
 */
enum tti_pair tti_claim_pair(struct tti_waiter *self, struct tti_waiter *partner)
{
	unsigned turns = 0;

	if (self == NULL)
		return tti_claim(partner) ? TTI_PAIR_BOTH : TTI_PAIR_PARTNER_GONE;
	TT_ASSERT(self != partner);
	for (;;) {
		uint32_t seen = TTI_WAITING;

		/* relaxed: see tti_claim(); so are all of this function's. */
		if (!tti_cas_relaxed(&self->claim, &seen, TTI_CLAIMING))
			return TTI_PAIR_SELF_TAKEN;
		for (;;) {
			seen = TTI_WAITING;
			/* relaxed: as above. */
			if (tti_cas_relaxed(&partner->claim, &seen, TTI_CLAIMED)) {
				/* relaxed: as above; those who spin want the value only. */
				tti_store_relaxed(&self->claim, TTI_CLAIMED);
				return TTI_PAIR_BOTH;
			}
			if (seen == TTI_CLAIMED || (uintptr_t)self > (uintptr_t)partner)
				break;
			tti_spin_pause(&turns);
		}
		/* relaxed: as above. */
		tti_store_relaxed(&self->claim, TTI_WAITING);
		if (seen == TTI_CLAIMED)
			return TTI_PAIR_PARTNER_GONE;
		tti_spin_pause(&turns);
	}
}

static void wake_thread(struct tti_waiter *w)
{
	tti_atomic_u32 *word = &w->word;

	/* release: pairs with the acquire in tti_park_thread(). The frame may be gone right after;
	 * the address given to the futex is then only a number. */
	tti_store_release(word, 1);
	tti_env_futex_wake(word, 1);
}

static void handle_remote_wake(struct tti_msg *m)
{
	struct tt_task *t = TTI_CONTAINER_OF(m, struct tt_task, wake_msg);

	t->home->ops->ready(t);
}

void tti_wake(struct tti_waiter *w)
{
	struct tt_task *t = w->task;

	if (t == NULL) {
		wake_thread(w);
		return;
	}
	/* Broken law 5: resumes it here, whatever its home thread is doing with it. */
	if (t->home == tti_home_here || TTI_LAW_BROKEN(5)) {
		t->home->ops->ready(t);
		return;
	}
	TTI_SOMETIMES(true, "a wake crosses workers");
	t->wake_msg.handle = handle_remote_wake;
	t->home->ops->post(t->home, &t->wake_msg);
}

bool tti_claim_node(struct tti_wait_node *n, int rc, struct tti_list *woken)
{
	if (!tti_claim(n->waiter))
		return false;
	tti_settle_node(n, rc, woken);
	return true;
}

void tti_settle_node(struct tti_wait_node *n, int rc, struct tti_list *woken)
{
	tti_list_unlink(&n->link);
	tti_list_push_back(woken, &n->link);
	n->waiter->winner = n->arm;
	n->waiter->rc = rc;
}

int tti_claim_own_node(struct tti_wait_node *n, int rc)
{
	if (!tti_claim_self(n->waiter))
		return TTI_ARM_TAKEN;
	n->waiter->winner = n->arm;
	n->waiter->rc = rc;
	return TTI_ARM_DONE;
}

void tti_wake_all(struct tti_list *nodes)
{
	struct tti_list *n;

	while ((n = tti_list_pop_front(nodes)) != NULL)
		tti_wake(TTI_CONTAINER_OF(n, struct tti_wait_node, link)->waiter);
}

void tti_park_thread(struct tti_waiter *w, int64_t deadline)
{
	/* acquire: pairs with the release in wake_thread(). */
	while (tti_load_acquire(&w->word) == 0) {
		if (tti_env_futex_wait(&w->word, 0, deadline) != TT_ETIMEDOUT)
			continue;
		if (tti_claim_self(w)) {
			w->winner = TTI_WINNER_CANCEL;
			w->rc = TT_ETIMEDOUT;
			return;
		}
		deadline = TT_NEVER; /* somebody was faster, and is about to wake this thread */
	}
}

/* deadline: for plain threads only. */
static int wait_arm(const struct tt_arm *arm, bool abortable, int64_t deadline)
{
	struct tti_waiter w;
	struct tti_wait_node n;

	tti_waiter_init(&w, arm->ops->verb, arm->object);
	if (!abortable)
		w.abort = NULL;
	tti_node_init(&n, &w, 0);
	n.value = arm->value;
	n.n = (uint64_t)arm->n;
	if (arm->ops->enlist(arm, &n, true) == TTI_ARM_LINKED) {
		if (w.task != NULL)
			tti_park(&w);
		else
			tti_park_thread(&w, deadline);
		arm->ops->delist(arm, &n);
	}
	if (w.winner == TTI_WINNER_CANCEL)
		return w.rc;
	return arm->ops->finish != NULL ? arm->ops->finish(arm, w.rc) : w.rc;
}

int tti_wait_arm(const struct tt_arm *arm, bool abortable)
{
	return wait_arm(arm, abortable, TT_NEVER);
}

int tti_thread_wait_arm(const struct tt_arm *arm, int64_t deadline)
{
	TT_ASSERT(tti_current() == NULL);
	return wait_arm(arm, false, deadline);
}

void tti_require_nobody_waits(const struct tti_list *nodes, const char *call)
{
	const struct tti_list *first = nodes->next != NULL ? tti_list_first(nodes) : NULL;
	const struct tt_task *t;

	if (first == NULL)
		return;
	t = TTI_CONTAINER_OF(first, struct tti_wait_node, link)->waiter->task;
	TT_REQUIRE(t == NULL, "%s: task %s#%llu waits for it", call, t->name, (unsigned long long)t->id);
	tti_panic(call, "a thread waits for it");
}

void tti_park(struct tti_waiter *w)
{
	struct tt_task *t = w->task;
	struct tti_home *h = t->home;

	TT_ASSERT(h == tti_home_here);
	TT_ASSERT(h->current == t);
	tti_spin_assert_none_held();
	tti_require_waits_allowed(w->reason.verb);
	t->cancels_ignored = 0;
	if (TTI_LAW_BROKEN(12))
		tti_env_free(tti_env_alloc(1));
	t->waiting = w;
	t->parked_since = h->now;
	tti_task_move(t, TTI_TASK_PARKED);
	if (__builtin_expect((t->cancel_bits & TTI_CANCELLED) != 0, 0) && w->abort != NULL) {
		TTI_SOMETIMES(true, "a task that is cancelled already parks");
		tti_wait_cancel(t);
	}
	h->ops->park(h);
	t->waiting = NULL;
}

void tti_abort_by_claim(struct tti_waiter *w)
{
	if (!tti_claim(w)) {
		TTI_SOMETIMES(true, "a cancel comes when the outcome of the wait is decided");
		return;
	}
	w->winner = TTI_WINNER_CANCEL;
	w->rc = TT_ECANCELED;
	tti_wake(w);
}

void tti_wait_cancel(struct tt_task *t)
{
	struct tti_waiter *w = t->waiting;
	void (*abort)(struct tti_waiter *);

	/* Parked, it waits for something: both change together, on this thread. */
	if (t->state != TTI_TASK_PARKED || w->abort == NULL)
		return;
	abort = w->abort;
	w->abort = NULL;
	abort(w);
}

void tti_wait_stop(struct tt_task *t)
{
	struct tti_waiter *w = t->waiting;

	if (t->state != TTI_TASK_PARKED || w->stop_node == NULL || !tti_claim(w))
		return;
	TTI_SOMETIMES(true, "a soft cancel ends a select");
	w->winner = w->stop_node->arm;
	w->rc = 0;
	tti_wake(w);
}

/* ---- checkpoints ---- */

__thread const char *tti_waits_forbidden;

const char *tt_forbid_waits(const char *where)
{
	const char *before = tti_waits_forbidden;

	tti_waits_forbidden = where;
	return before;
}

const char *(*tti_cancel_origin)(const struct tt_task *t, const char **ret_why);

/* A cancelled task that is told so again lets others run this often. */
#define IGNORED_YIELD 128
/* Fewer calls say nothing, however long they took: cleanup computes too. */
#define IGNORED_FEW 16

static void report_ignored(const struct tt_task *t)
{
	const char *why = "", *site = tti_cancel_origin(t, &why);
	char text[512];
	int n = snprintf(text, sizeof(text),
	                 "tutti: task %s#%llu (spawned at %s) ignores its cancel: %u calls in a row gave TT_ECANCELED, "
	                 "and it goes on; the block of %s %s\n",
	                 t->name, (unsigned long long)t->id, t->spawn_site, t->cancels_ignored, site, why);

	if (n > (int)sizeof(text) - 1)
		n = sizeof(text) - 1;
	tti_env_syscall(SYS_write, 2, (long)text, n, 0, 0, 0);
}

/* Once a task: it counts on beyond the number that is reported, and saturates. */
static bool is_too_many(struct tt_task *t)
{
	uint32_t n = ++t->cancels_ignored;

	if (n == 1)
		t->ignored_since = tti_env_now();
	if (n < IGNORED_FEW || t->ignoring_reported)
		return false;
	return n >= TTI_IGNORED_MAX || tti_env_now() - t->ignored_since > TTI_IGNORED_FOR;
}

int tti_cancel_seen(struct tti_home *h, bool may_yield)
{
	struct tt_task *t = h->current;

	if (is_too_many(t)) {
		t->ignoring_reported = true;
		report_ignored(t);
	}
	if (may_yield && t->cancels_ignored % IGNORED_YIELD == 0 && tti_waits_forbidden == NULL)
		h->ops->yield(h);
	return TT_ECANCELED;
}

int tti_checkpoint_slow(struct tti_home *h)
{
	struct tt_task *t = h->current;

	if (h->budget <= 0 && tti_waits_forbidden == NULL) {
		h->ops->yield(h);
		TT_ASSERT(h->budget > 0);
	}
	if ((t->cancel_bits & TTI_CANCELLED) != 0)
		return tti_cancel_seen(h, true);
	t->cancels_ignored = 0;
	return 0;
}

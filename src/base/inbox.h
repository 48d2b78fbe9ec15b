/* SPDX-License-Identifier: MIT */
/*
 * inbox.h - a worker's mailbox: any thread posts, the owner takes everything at once.
 *
 * One word holds the newest message, NULL when empty, or TTI_INBOX_ASLEEP while the owner
 * sleeps. Whoever replaces ASLEEP owns the single wake-up; so publishing work and seeing
 * the sleeper, and going to sleep and seeing the work, are each one atomic step. That is
 * law 9 in one word: no flag beside the queue, no fence, nothing to re-check.
 *
 * Order       Messages of one sender arrive in the order they were posted.
 * Ownership   A message belongs to the inbox from post to take; its memory is the
 *             sender's concern before and the handler's after.
 * Rejected    A linked queue with a separate tail (Vyukov): a producer preempted between
 *             its exchange and its link makes the queue look empty while it is not.
 *             An asleep flag beside the head: two words need two seq_cst steps on each
 *             side (Dekker), and a test for each.
 */
#ifndef TTI_BASE_INBOX_H
#define TTI_BASE_INBOX_H

#include "base/atomic.h"
#include "base/panic.h"

#define TTI_INBOX_ASLEEP ((void *)1)

struct tti_inbox {
	tti_atomic_ptr newest;               /* see above */
};

/* The first member of a message (struct tti_msg in task/task.h). */
struct tti_inbox_node {
	struct tti_inbox_node *next;
};

static inline void tti_inbox_init(struct tti_inbox *in)
{
	/* relaxed: no other thread knows the inbox yet. */
	tti_store_relaxed(&in->newest, NULL);
}

/* True when the owner was asleep: the caller, and nobody else, must wake it. */
TT_MUST_USE static inline bool tti_inbox_post(struct tti_inbox *in, struct tti_inbox_node *m)
{
	/* relaxed: the value is only the guess of the first compare-and-swap. */
	void *seen = tti_load_relaxed(&in->newest);

	do {
		TTI_PLAIN_WRITE(m->next, seen == TTI_INBOX_ASLEEP ? NULL : (struct tti_inbox_node *)seen);
		/* release: pairs with the acquire in tti_inbox_take(): the message is written before
		 * it can be found, and those before it stay published through this exchange. */
	} while (!tti_cas_release(&in->newest, &seen, (void *)m));
	return seen == TTI_INBOX_ASLEEP;
}

/* Owner. Everything posted so far, oldest first; NULL when there was nothing. */
static inline struct tti_inbox_node *tti_inbox_take(struct tti_inbox *in)
{
	struct tti_inbox_node *m, *oldest = NULL;

	/* relaxed: only a hint that there is nothing; what is missed is taken next turn, and
	 * tti_inbox_sleep() decides for good. */
	if (tti_load_relaxed(&in->newest) == NULL)
		return NULL;
	/* acquire: pairs with the release in tti_inbox_post(). */
	m = (struct tti_inbox_node *)tti_exchange_acquire(&in->newest, NULL);
	TT_ASSERT((void *)m != TTI_INBOX_ASLEEP);
	while (m != NULL) {
		struct tti_inbox_node *next = TTI_PLAIN_READ(m->next);

		TTI_PLAIN_WRITE(m->next, oldest);
		oldest = m;
		m = next;
	}
	return oldest;
}

/* Owner. False when a message is waiting: do not sleep. After true the owner must call
 * tti_inbox_awake() before it takes. */
TT_MUST_USE static inline bool tti_inbox_sleep(struct tti_inbox *in)
{
	void *empty = NULL;

	if (TTI_LAW_BROKEN(9)) {
		/* relaxed: deliberately wrong, a message posted meanwhile is overwritten. */
		tti_store_relaxed(&in->newest, TTI_INBOX_ASLEEP);
		return true;
	}
	/* relaxed: nothing is handed over by falling asleep; a sender that replaces ASLEEP
	 * publishes its message with its own release. */
	return tti_cas_relaxed(&in->newest, &empty, TTI_INBOX_ASLEEP);
}

/* Owner, after it returned from its sleep for whatever reason. */
static inline void tti_inbox_awake(struct tti_inbox *in)
{
	void *asleep = TTI_INBOX_ASLEEP;

	/* relaxed: on failure a message is there, and tti_inbox_take() acquires it. */
	TT_IGNORE(tti_cas_relaxed(&in->newest, &asleep, NULL));
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * waiters.h - what the locks, the condition variable and the latch have in common: a list of
 * nodes, first come first served, of which the first, or all, are woken with one outcome.
 *
 * Lock        the caller's, of the object the nodes are enlisted on.
 */
#ifndef TTI_SYNC_WAITERS_H
#define TTI_SYNC_WAITERS_H

#include "wait/wait.h"

#define TTI_WAITERS_ALL UINT32_MAX

/* Under the lock: one who still wants something is in line. Who was claimed by somebody else, a
 * cancel or another arm, is listed until it has run, and must not keep others out meanwhile. */
static inline bool tti_somebody_waits(const struct tti_list *waiters)
{
	TTI_LIST_FOR_EACH (link, waiters)
		if (tti_waiter_is_waiting(TTI_CONTAINER_OF(link, struct tti_wait_node, link)->waiter))
			return true;
	return false;
}

/* Claims up to max waiters in order, with this outcome, onto the private list of those to wake
 * once the lock is released. Those claimed by somebody else are on their way out, and are
 * passed over. Returns how many. */
static inline unsigned tti_claim_waiters(struct tti_list *waiters, unsigned max, int rc, struct tti_list *woken)
{
	unsigned count = 0;

	TTI_LIST_FOR_EACH (link, waiters) {
		if (count == max)
			break;
		count += tti_claim_node(TTI_CONTAINER_OF(link, struct tti_wait_node, link), rc, woken);
	}
	return count;
}

#endif

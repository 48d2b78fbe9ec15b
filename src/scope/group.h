/* SPDX-License-Identifier: MIT */
/* group.h - a task group: a block that owns children; see group.c. */
#ifndef TTI_SCOPE_GROUP_H
#define TTI_SCOPE_GROUP_H

#include "scope/scope.h"

struct tti_group {
	struct tti_scope scope;              /* first: a group is a block */
	struct tti_list children;            /* linked through tt_task.sibling; owner's home only */
	tti_atomic_u32 n_children;           /* spawned and not yet retired; members add to it from other workers */
	uint32_t n_daemons;                  /* of those in children */
	uint32_t propagated;                 /* what the children were last told: effective bits */
	uint32_t n_failed, n_cancelled, n_succeeded; /* how children ended, daemons not counted */
	uint32_t max_children;               /* 0: no limit */
	uint8_t policy;                      /* enum tt_policy */
	bool shared;                         /* members may spawn */
	int success;                         /* FIRST_SUCCESS: the winner's code */
	const char *name;                    /* for dumps; may be NULL */
	struct tti_waiter *joiner;           /* the owner, waiting in join or for room */
	uint32_t join_at_most;               /* it is woken when so many children, or fewer, are left */
	bool join_keeps_daemons;             /* a drain: daemons do not count among those */
	struct tti_error err;                /* first failure, others as its siblings */
};

static inline struct tti_group *tti_group_of(struct tti_scope *s)
{
	TT_ASSERT(s->kind == TTI_SCOPE_GROUP);
	return (struct tti_group *)(void *)s;
}

/* A child's exit was received and no message to it is under way: it leaves the group. */
void tti_group_retire(struct tt_task *child);
/* The body of tt_group_end, for the block the calling task opened last. */
int tti_group_end(struct tti_group *g, int rc);

#endif

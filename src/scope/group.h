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
	uint8_t restart;                     /* enum tt_restart, of children that say nothing else */
	tt_backoff backoff;                  /* theirs */
	int success;                         /* FIRST_SUCCESS: the winner's code */
	const char *name;                    /* for dumps; may be NULL */
	struct tti_waiter *joiner;           /* the owner, waiting in join or for room */
	uint32_t join_at_most;               /* it is woken when so many children, or fewer, are left */
	bool join_keeps_daemons;             /* a drain: daemons do not count among those */
	bool join_for_room;                  /* only children with a place count among those */
	tti_atomic_u32 n_placed;             /* of n_children: those with a place under max_children, if there is one;
	                                      * idle ones (idle.h) have none; members take places elsewhere */
	struct tti_list idle, idle_ready;    /* they wait; their time has come and there was no place */
	struct tti_error err;                /* first failure, others as its siblings */
};

static inline struct tti_group *tti_group_of(struct tti_scope *s)
{
	TT_ASSERT(s->kind == TTI_SCOPE_GROUP);
	return (struct tti_group *)(void *)s;
}

static inline struct tti_group *tti_group_from_public(tt_group *g)
{
	return (struct tti_group *)(void *)g;
}

/* For idle.c; on the owner's home but where it says otherwise. */
/* Where the spawner stands: the owner, or a member of a shared group; else panics. Any home. */
bool tti_group_check_spawner(struct tti_group *g, const struct tt_task *self, const char *site);
/* What is in force in the group. Any home below it. */
uint32_t tti_group_effective(const struct tti_group *g);
/* n children more on a counter of the group, or fewer. Any home. */
void tti_group_count(const struct tti_group *g, tti_atomic_u32 *counter, uint32_t n);
/* Takes a place under max_children, if there is one; never more than there are. Any home. */
TT_MUST_USE bool tti_group_take_place(struct tti_group *g);
void tti_group_give_place(struct tti_group *g);
/* A child left n_children without having been a task. */
void tti_group_child_gone(struct tti_group *g);
/* Starts t, which n_children counts already, as a child. */
void tti_group_adopt(struct tti_group *g, struct tt_task *t, unsigned worker);
/* There is not even a record of a child; a failure of the group's if its owner spawned. */
int tti_group_out_of_memory(struct tti_group *g, bool owner);

/* tt_go and its kin; awaited: for tt_start. 0, or a code and args were dropped. */
int tti_group_spawn(struct tti_group *g, const struct tt_task_type *type, const void *args, const char *site,
                    const tt_child_options *o, bool awaited, tt_task **ret_task);

/* For those who spawn without being below the group, from any thread: while the lock is held
 * and refuses is 0, the group is open and its owner lives. */
struct tti_gate {
	struct tti_runtime *rt;
	tti_spin lock;
	int refuses;                         /* a code: nothing more comes in; guarded by lock */
};
int tti_group_spawn_through(struct tti_gate *gate, struct tti_group *g, const struct tt_task_type *type,
                            const void *args, const char *site, const tt_child_options *o);

/* A child that will not be restarted has ended: what its code means for the group. */
void tti_group_child_ended(struct tt_task *t);
/* A child's exit was received and no message to it is under way: it leaves the group, or waits to
 * be restarted. */
void tti_group_retire(struct tt_task *child);
/* The body of tt_group_end, for the block the calling task opened last. */
int tti_group_end(struct tti_group *g, int rc);

#endif

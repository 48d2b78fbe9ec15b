/* SPDX-License-Identifier: MIT */
/*
 * idle.h - children of a group that are not tasks yet: a record waits for something, and
 * becomes a task when it comes. What it waits for is the business of whoever owns the
 * record (net/when.c); the group counts it, joins it, gives it a place, and cancels it.
 *
 *   begin --> link --> ready --> start --> become     (a task)
 *                \________\__ cancel --> end          (nothing)
 *
 * All on the home of the group's owner, but for begin.
 */
#ifndef TTI_SCOPE_IDLE_H
#define TTI_SCOPE_IDLE_H

#include "scope/group.h"

/* The first member of the owner's record. */
struct tti_idle {
	struct tti_list link;                /* in group->idle or ->idle_ready */
	struct tti_group *group;
	/* The group was cancelled, in or outside of a task: tti_idle_end() now or soon. */
	void (*cancel)(struct tti_idle *i);
	/* Its time came and there is a place: tti_idle_become() now. */
	void (*start)(struct tti_idle *i);
};

/* Checks the spawner as tt_go does, and counts the child. Any home. 0, or TT_ECANCELED:
 * nothing was counted as waiting. */
TT_MUST_USE int tti_idle_begin(struct tti_group *g, struct tti_idle *i, const char *site);
/* A cancel reaches it from now on; if the group is cancelled already, before this returns. */
void tti_idle_link(struct tti_idle *i);
/* start() is called now, or once there is a place under max_children, oldest first; or cancel(),
 * when the group is cancelled before. Not after cancel(). */
void tti_idle_ready(struct tti_idle *i);
/* Makes the task of a copy of args, which it owns whatever happens: without memory they are
 * dropped, and the failure is the group's. i is the caller's again. */
void tti_idle_become(struct tti_idle *i, const struct tt_task_type *type, const void *args, const char *site,
                     unsigned worker);
/* It never starts. cancelled: it counts as a child that was. i is the caller's again. */
void tti_idle_end(struct tti_idle *i, bool cancelled);

/* group.c: a child has ended. */
void tti_idle_start_ready(struct tti_group *g);
/* scope.c: the group was cancelled. */
void tti_idle_cancel_all(struct tti_group *g);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * child.h - what only few children need beside their record: those that are restarted
 * (restart.c) and those somebody waits for until they are ready (start.c). Allocated at
 * their spawn, freed with their record. Called by group.c and scope.c.
 */
#ifndef TTI_SCOPE_CHILD_H
#define TTI_SCOPE_CHILD_H

#include "base/spin.h"
#include "scope/group.h"

/* NOT_ASKED, or AWAITED -> SAID | FAILED | GIVEN_UP */
enum tti_ready { TTI_READY_NOT_ASKED, TTI_READY_AWAITED, TTI_READY_SAID, TTI_READY_FAILED, TTI_READY_GIVEN_UP };

/* RUNS -> DUE (its exit was received) -> PAUSES -> RUNS */
enum tti_restart_state { TTI_RESTART_RUNS, TTI_RESTART_DUE, TTI_RESTART_PAUSES };

struct tti_child_extra {
	struct tt_task *task;

	/* Readiness. */
	struct tti_scope scope;              /* an awaited child's own: cancelled when its starter gives up */
	tti_spin lock;
	uint8_t ready;                       /* enum tti_ready; guarded by lock */
	int rc;                              /* with SAID, FAILED; guarded by lock */
	struct tti_list starters;            /* a wait node; guarded by lock */
	struct tti_error err;                /* with FAILED, for the starter */

	/* Restarts; all on the home of the group's owner. */
	uint8_t restart;                     /* enum tt_restart */
	uint8_t restart_state;               /* enum tti_restart_state */
	tt_backoff backoff;
	unsigned restarts;                   /* in a row */
	unsigned unreported;                 /* since the last report */
	int64_t began_at, reported_at;       /* monotonic ns; 0: never */
	int64_t pause;                       /* ns; with DUE */
	struct tti_timer timer;              /* with PAUSES */
};

static inline struct tti_child_extra *tti_extra_of(const struct tt_task *t)
{
	return t->extra;
}

/* Gives t what its options, or its group, ask for. -ENOMEM. */
TT_MUST_USE int tti_child_extend(struct tt_task *t, const tt_child_options *o, bool awaited);

/* ---- restart.c ---- */

void tti_restart_init(struct tti_child_extra *x, enum tt_restart restart, const tt_backoff *b);
/* It is about to be queued for its run. */
void tti_restart_begins(struct tt_task *t);
/* Its exit was received: shall it run again? Then it is DUE. */
bool tti_restart_wanted(struct tt_task *t);
bool tti_restart_is_due(const struct tt_task *t);
/* DUE -> PAUSES: no message to it is under way any more. */
void tti_restart_wait(struct tt_task *t);
/* The group's bits have changed; a cancel ends a pause. */
void tti_restart_cancelled(struct tt_task *t, uint32_t bits);

/* ---- start.c ---- */

/* t is awaited. */
void tti_start_init(struct tti_child_extra *x);
/* Nobody waits for its first word any more, because it came or was never asked for. */
bool tti_start_is_over(struct tti_child_extra *x);
/* A child has ended: true when its code is its starter's, not the group's. */
bool tti_start_takes(struct tt_task *t);

#endif

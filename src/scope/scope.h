/* SPDX-License-Identifier: MIT */
/*
 * scope.h - blocks: cancel scopes, shields and groups, and the tree they form across
 * tasks. A task's open blocks are a chain from the innermost outwards; the chain goes on
 * in the group the task was born in, and so up to the root.
 *
 * What is cancelled     A scope's own flags say what was asked of it. What is in force at a
 * point is computed by walking outwards to the nearest shield (tti_scope_effective), and
 * cached in tt_task.cancel_bits, so that a checkpoint is one load. A cancel sets the flag,
 * then walks the tree below and refreshes those caches (tti_tree_update).
 *
 * Threads   A scope is changed only on its owner's home thread. Its flags are read by
 *           descendants on other workers, which the parent outlives; `parent`, `kind` and
 *           `owner` do not change while it is open. A child elsewhere is told by message,
 *           and acknowledges it: its record is freed only after its exit was received and
 *           no such message is under way.
 */
#ifndef TTI_SCOPE_SCOPE_H
#define TTI_SCOPE_SCOPE_H

#include <tutti/group.h>
#include <tutti/scope.h>

#include "sched/worker.h"
#include "task/task.h"
#include "timer/wheel.h"
#include "wait/wait.h"

enum tti_scope_kind { TTI_SCOPE_PLAIN, TTI_SCOPE_SHIELD, TTI_SCOPE_UNTIL_STOP, TTI_SCOPE_GROUP, TTI_SCOPE_ROOT, TTI_SCOPE_LOCAL };

/* Why a scope is cancelled; the first one stays. */
enum tti_cause {
	TTI_CAUSE_NONE,
	TTI_CAUSE_DEADLINE,   /* its own deadline passed */
	TTI_CAUSE_CANCELLER,  /* tt_cancel, tt_cancel_with */
	TTI_CAUSE_OWNER,      /* tt_group_cancel */
	TTI_CAUSE_CHILD,      /* group: a child failed first */
	TTI_CAUSE_BODY,       /* group: its end was called with a failure */
	TTI_CAUSE_OUTER,      /* group: a scope around it was cancelled first */
	TTI_CAUSE_FINISHED,   /* group: only daemons were left, or the first success is in */
	TTI_CAUSE_LEFT,       /* group: a bare return */
};

struct tti_canceller;

struct tti_scope {
	struct tti_scope *parent;            /* the block around; NULL at the root */
	struct tt_task *owner;               /* who opened it */
	tti_atomic_u32 flags;                /* TTI_CANCELLED, TTI_STOPPING asked of this scope; owner's home writes */
	uint8_t kind;                        /* enum tti_scope_kind */
	uint8_t cause;                       /* enum tti_cause; owner's home only */
	bool open;                           /* owner writes; descendants may read */
	int code;                            /* what the end returns for CANCELLER */
	const char *site;                    /* where it was opened */
	struct tti_canceller *canceller;     /* made on demand; counted */
	int64_t timeout;                     /* ns, as it was given; TT_NEVER: none, or a point in time */
	struct tti_timer timer;              /* its deadline */
};

/* What is in force at s: TTI_CANCELLED, TTI_STOPPING. Any thread below the scope. */
uint32_t tti_scope_effective(const struct tti_scope *s);

/* The earliest deadline in force at s, monotonic ns; TT_NEVER if none. A shield hides those
 * around it, not its own. Any thread below the scope. */
int64_t tti_scope_deadline(const struct tti_scope *s);

/* A task that is nobody's child, not started yet: s becomes the outermost block around it, and only a
 * cancel of s reaches it. Of `life`, start may be tti_root_task_begin. NULL: no memory. On the
 * worker it shall live on. */
struct tt_task *tti_root_task(struct tti_scope *s, const struct tt_task_type *type, const void *args,
                              const struct tti_life_ops *life, const char *site);
bool tti_root_task_begin(struct tt_task *t);

/* Asks for a cancel of s, once: later causes are ignored. Owner's home thread. */
void tti_scope_cancel(struct tti_scope *s, enum tti_cause cause, int code);
/* Asks for a soft cancel. Owner's home thread. */
void tti_scope_stop(struct tti_scope *s);

/* Cancels the child t alone, through a scope of its own between it and its group. On the home of
 * the group's owner. */
void tti_scope_cancel_child(struct tti_scope *s, struct tt_task *t);

/* Refreshes what t and everything below it know of cancels. t's home thread. */
void tti_tree_update(struct tt_task *t);

/* Opens s as the innermost block of the calling task. */
void tti_scope_push(struct tti_scope *s, enum tti_scope_kind kind, const char *site);
/* Takes the innermost block off the calling task; its deadline and canceller are detached. */
void tti_scope_remove(struct tti_scope *s);
/* Ends the blocks opened inside s, innermost first, each with what the one inside made of
 * rc; a success stays rc. Panics when s is not open in the calling task. */
int tti_blocks_end_inside(struct tti_scope *s, int rc, const char *call);
/* Ends the innermost block, whatever its kind. */
int tti_block_end(struct tti_scope *s, int rc);

/* canceller.c: the scope is closing; a canceller that outlives it does nothing any more. */
void tti_canceller_detach(struct tti_scope *s);
/* The scope's canceller cancelled it: lets the owner's chain explain s->code, with the reason
 * and who gave it; what explained TT_ECANCELED stays below. Returns s->code. */
int tti_canceller_explain(struct tti_scope *s);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * group.h - groups: children that never outlive the block that started them.
 *
 *	TT_GROUP(g);
 *	tt_go(&g, load_user, id, &ret->user);
 *	tt_go(&g, load_orders, id, &ret->orders);
 *	return tt_group_end(&g, 0);
 *
 * A group is also the cancel scope of the code between it and its end. Locals may be lent
 * to children if they are declared above the group. The first cause decides the code: a
 * child that failed first gives its code; a body that failed first cancels and joins the
 * children and gives its rc; a cancel from outside gives TT_ECANCELED, unless every child
 * succeeded all the same.
 *
 * Invariants  The join is never cut short. A group keeps nothing of a child that ended.
 */
#ifndef TUTTI_GROUP_H
#define TUTTI_GROUP_H

#include <tutti/base.h>
#include <tutti/scope.h>
#include <tutti/task.h>

TT_BEGIN_DECLS

/* What one child's failure means for the others. */
enum tt_policy {
	TT_FAIL_FAST,     /* cancels them; the group fails with it */
	TT_COLLECT_ALL,   /* nothing; the group fails with the first, the rest are siblings */
	TT_FIRST_SUCCESS, /* nothing; the first success cancels the others and is the result */
	TT_ISOLATE,       /* nothing: it is reported with its chain and forgotten; for servers */
	TT_SUPERVISE      /* nothing: it is restarted; one that fails too often is as with TT_FAIL_FAST */
};

/* Whether a child runs again, with the same arguments, after it has ended. */
enum tt_restart {
	TT_RESTART_NEVER, /* or, for a child: as its group says */
	TT_RESTART_ON_FAILURE,
	TT_RESTART_ALWAYS
};

/* The pause before a restart doubles from min to max; a run of max or longer was a good one,
 * and the next pause is min again. */
typedef struct tt_backoff {
	int64_t min, max;        /* ns; 0: 100 ms, 30 s */
	unsigned jitter_percent; /* up to so much of the pause is left out, at random */
	unsigned max_restarts;   /* in a row, without a good run between; then its failure counts. 0: no limit */
} tt_backoff;

typedef struct tt_group_options {
	const char *name;      /* for dumps and chains; NULL: the function's; lent until the end */
	enum tt_policy policy;
	unsigned max_children; /* 0: no limit; at the limit the owner's tt_go parks */
	bool shared;           /* descendants may start members too (-EAGAIN at the limit) */
	enum tt_restart restart; /* of children that say nothing else; not of tt_go_when's */
	tt_backoff backoff;      /* theirs */
} tt_group_options;

/* Where a child starts; from its first instruction it stays on its worker. */
#define TT_WORKER_HERE 0u         /* the caller's */
#define TT_WORKER_ANY 0xffffffffu /* the less loaded of two, chosen at random */
#define TT_WORKER(n) ((unsigned)(n) + 1u) /* number n, from 0; modulo tt_worker_count() */

typedef struct tt_child_options {
	const char *name;  /* for dumps and chains; NULL: the function's; lent until its end */
	bool daemon;       /* not waited for: cancelled when the group ends without others left */
	size_t stack_size; /* bytes, rounded up to 64 KiB, 256 KiB, 1 MiB or 8 MiB; 0: the default */
	unsigned worker;   /* TT_WORKER_HERE, TT_WORKER_ANY or TT_WORKER(n) */
	enum tt_restart restart; /* wins over the group's; a child with a destructor argument aborts */
	tt_backoff backoff;      /* with restart */
} tt_child_options;

/* Storage of an open group; lives in the frame that opened it. */
typedef struct tt_group {
	uint64_t tt_opaque_[80];
} tt_group;

/*
 * tt_group_end - leave a group: with rc >= 0 wait for the children, with a code cancel
 * them and wait. First ends the blocks opened inside it.
 *
 * Blocks     yes; waits through any cancel; not a checkpoint
 * Returns    rc, or the code of what happened first (see above)
 * Cancelled  the children are; they are joined all the same
 * Errors     a child's code; TT_ECANCELED; the code of tt_cancel_with()
 * Threads    the task that opened it
 */
TT_API TT_MUST_USE int tt_group_end(tt_group *g, int rc);

/*
 * tt_group_finish - leave a group, but let the children finish first even if rc is a code.
 *
 * Blocks     yes; waits through any cancel; not a checkpoint
 * Returns    rc, or their failure
 * Cancelled  from outside, the children are; they are joined all the same
 * Errors     as tt_group_end()
 * Threads    the task that opened it
 */
TT_API TT_MUST_USE int tt_group_finish(tt_group *g, int rc);

/*
 * tt_group_drain - wait until no child but daemons is left; the group stays open for more.
 *
 * Blocks     yes; always a checkpoint; waits through any cancel
 * Returns    0
 * Cancelled  TT_ECANCELED, once the children, cancelled too, have ended
 * Errors     the code of the child whose failure ends the group
 * Threads    the task that opened it
 */
TT_API TT_MUST_USE int tt_group_drain(tt_group *g);

/*
 * tt_group_cancel - cancel the children and the rest of the block. The group still ends with
 * its owner's rc.
 *
 * Blocks     no
 * Threads    the task that opened it
 */
TT_API void tt_group_cancel(tt_group *g);

/*
 * tt_group_canceller - what others need to cancel an open group.
 *
 * Blocks     no
 * Returns    NULL when out of memory; cancelling a group that was left does nothing
 * Ownership  the caller's count, given back with tt_canceller_put()
 * Threads    the task that opened the group
 */
TT_API TT_MUST_USE tt_canceller *tt_group_canceller(tt_group *g);

/*
 * tt_spawn - tt_go for bindings: start fn(arg) as a child. `o` may be NULL.
 *
 * Blocks     yes, while the group is at max_children; a checkpoint
 * Returns    0
 * Cancelled  TT_ECANCELED, at once or while waiting; nothing was started
 * Errors     -ENOMEM; -EAGAIN for a member at the limit. The owner's, a cancel by a scope inside
 *            the group among them, are recorded as that child's failure: the result may be dropped
 * Threads    the owner; with .shared its descendants too
 */
TT_API int tt_spawn(tt_group *g, int (*fn)(void *), void *arg, const tt_child_options *o);

/* ---- seams of the macros below ---- */

/* Opens; gives g back. `o` may be NULL. */
TT_API tt_group *tt_group_open_(tt_group *g, const tt_group_options *o, const char *site);
/* The block was left: nothing to do after the end, misuse before. */
TT_API void tt_group_leave_(tt_group *g);

typedef struct tt_go_task_ {
	tt_group *group;
	tt_task **ret_task;
} tt_go_task_;

typedef struct tt_go_with_ {
	tt_group *group;
	const tt_child_options *options;
} tt_go_with_;

TT_API tt_verb_ tt_verb_go_;      /* on: a tt_group *; 0 or a code */
TT_API tt_verb_ tt_verb_go_task_; /* on: a struct tt_go_task_ *; 0 or a code */
TT_API tt_verb_ tt_verb_go_with_; /* on: a struct tt_go_with_ *; 0 or a code */

TT_END_DECLS

/* The pointer given back if its type is right, else a compile error. */
#ifdef __cplusplus
extern "C++" {
static inline tt_group *tt_group_check_(tt_group *g) { return g; }
static inline const tt_group_options *tt_group_options_check_(const tt_group_options *o)
{
	return o;
}
static inline const tt_child_options *tt_child_options_check_(const tt_child_options *o)
{
	return o;
}
static inline int tt_block_end_(tt_scope *s, int rc) { return tt_scope_end(s, rc); }
static inline int tt_block_end_(tt_group *g, int rc) { return tt_group_end(g, rc); }
}
#define TT_IS_GROUP_(g) (tt_group_check_(g))
#define TT_IS_GROUP_OPTIONS_(...) (tt_group_options_check_(__VA_ARGS__))
#define TT_IS_CHILD_OPTIONS_(o) (tt_child_options_check_(o))
#define TT_BLOCK_END_(block, rc) tt_block_end_((block), (rc))
#else
#define TT_IS_GROUP_(g) (_Generic((g), tt_group *: (g)))
#define TT_IS_GROUP_OPTIONS_(...) \
	(_Generic((__VA_ARGS__), tt_group_options *: (__VA_ARGS__), \
	          const tt_group_options *: (__VA_ARGS__)))
#define TT_IS_CHILD_OPTIONS_(o) \
	(_Generic((o), tt_child_options *: (o), const tt_child_options *: (o)))
#define TT_BLOCK_END_(block, rc) \
	_Generic((block), tt_scope *: tt_scope_end, tt_group *: tt_group_end)((block), (rc))
#endif

#define TT_GROUP_OPEN_(g, ...) \
	TT_MARK_BLOCK_ \
	tt_group g __attribute__((__cleanup__(tt_group_leave_), __unused__)), \
		*const tt_open_##g##_ TT_UNUSED = tt_group_open_(&g, __VA_ARGS__, TT_SITE)

/*
 * TT_GROUP(g) - open a group named g, from here to tt_group_end(&g, rc). After a case label
 * it needs braces of its own; no label may stand below it in its C block.
 */
#define TT_GROUP(g) TT_GROUP_OPEN_(g, NULL)

/* TT_GROUP_WITH(g, &options) - the same, with tt_group_options. */
#define TT_GROUP_WITH(g, ...) TT_GROUP_OPEN_(g, TT_IS_GROUP_OPTIONS_(__VA_ARGS__))

/*
 * tt_go(g, name, args...) - start the TT_TASK `name` as a child of the group.
 *
 * Blocks     yes, while the group is at max_children; a checkpoint
 * Returns    0
 * Cancelled  TT_ECANCELED, at once or while waiting; nothing was started
 * Errors     -ENOMEM; -EAGAIN for a member at the limit. The owner's are recorded as that
 *            child's failure, so the result may be dropped
 * Ownership  the child's, from its first instruction; if it never starts, destructors run
 * Threads    the owner; with .shared its descendants too
 */
#define tt_go(g, ...) tt_result_(TT_CALL_(tt_verb_go_, TT_IS_GROUP_(g), __VA_ARGS__))

/*
 * tt_go_task(g, &ret_task, name, args...) - the same, and give a counted tt_task *.
 *
 * Blocks     yes, while the group is at max_children; a checkpoint
 * Returns    0; ret_task was set
 * Cancelled  TT_ECANCELED, at once or while waiting; nothing was started
 * Errors     as tt_go()
 * Ownership  *ret_task is the caller's, given back with tt_task_put()
 * Threads    as tt_go()
 */
#define tt_go_task(g, ret, ...) \
	tt_must_result_(TT_CALL_(tt_verb_go_task_, \
	                         TT_TEMPORARY_(tt_go_task_, TT_IS_GROUP_(g), (ret)), \
	                         __VA_ARGS__))

/*
 * tt_go_with(g, &options, name, args...) - the same as tt_go(), with tt_child_options.
 *
 * Blocks     yes, while the group is at max_children; a checkpoint
 * Returns    0
 * Cancelled  TT_ECANCELED, at once or while waiting; nothing was started
 * Errors     as tt_go()
 * Ownership  as tt_go()
 * Threads    as tt_go()
 */
#define tt_go_with(g, options, ...) \
	tt_result_(TT_CALL_(tt_verb_go_with_, \
	                    TT_TEMPORARY_(tt_go_with_, TT_IS_GROUP_(g), \
	                                  TT_IS_CHILD_OPTIONS_(options)), \
	                    __VA_ARGS__))

/* TT_TRY(expr) - return its code if it is one. Not inside an open block: TT_TRY_IN. */
#define TT_TRY(expr) \
	do { \
		TT_STATIC_ASSERT_(TT_NO_BLOCK_HERE_, "inside an open block use TT_TRY_IN"); \
		int tt_rc_ = (expr); \
		if (tt_rc_ < 0) \
			return tt_rc_; \
	} while (0)

/*
 * TT_TRY_IN(&block, expr) - if expr gives a code, end the group or scope with it and return
 * what the end says.
 */
#define TT_TRY_IN(block, expr) \
	do { \
		int tt_rc_ = (expr); \
		if (tt_rc_ < 0) \
			return TT_BLOCK_END_(block, tt_rc_); \
	} while (0)

#endif

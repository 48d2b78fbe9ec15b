/* SPDX-License-Identifier: MIT */
/*
 * background.h - children of an object: a group that lives as long as a pool, a cache or a
 * connection, not as long as the block that made it.
 *
 *	struct cache {
 *		tt_background *work;
 *		...
 *	};
 *
 *	TT_TRY(tt_background_create(&(tt_group_options){ .name = "cache", .policy = TT_ISOLATE },
 *	                            &c->work));
 *	tt_spawn_into(c->work, refresh, c, key);      by whoever holds the cache
 *	tt_background_destroy(c->work);               with the cache: cancelled and joined
 *
 * The children hang under the runtime, not under the task that made the object: no cancel and no
 * deadline reaches them but that of tt_background_destroy(). One that is not destroyed when the
 * root task ends is reported with its place, and destroyed then.
 *
 * Rejected    Detached tasks: nobody joins them. An object's destructor does.
 */
#ifndef TUTTI_BACKGROUND_H
#define TUTTI_BACKGROUND_H

#include <tutti/base.h>
#include <tutti/group.h>
#include <tutti/task.h>

TT_BEGIN_DECLS

typedef struct tt_background tt_background;

/*
 * tt_background_destroy - cancel the children, wait for their ends, and be gone.
 *
 * Blocks     yes; waits through any cancel; not a checkpoint
 * Cancelled  goes on all the same
 * Errors     aborts in one of its own children, which would wait for itself
 * Ownership  takes b, which nobody may use any more; NULL is fine
 * Threads    any task
 */
TT_API void tt_background_destroy(tt_background *b);

/* ---- seams of the macros below ---- */

TT_API TT_MUST_USE int tt_background_create_(const tt_group_options *o, tt_background **ret,
                                             const char *site);

typedef struct tt_spawn_into_ {
	tt_background *background;
	const tt_child_options *options;
} tt_spawn_into_;

TT_API tt_verb_ tt_verb_spawn_into_; /* on: a struct tt_spawn_into_ *; 0 or a code */

TT_END_DECLS

/*
 * tt_background_create(options, &ret) - make one; `options` may be NULL. With TT_FAIL_FAST the first
 * failure cancels the others, is reported, and nothing more comes in.
 *
 * Blocks     yes, for a moment; a checkpoint
 * Returns    0
 * Cancelled  TT_ECANCELED; nothing was made
 * Errors     -ENOMEM
 * Ownership  *ret is the caller's, for tt_background_destroy()
 * Threads    any task
 */
#define tt_background_create(options, ret) tt_background_create_((options), (ret), TT_SITE)

/*
 * tt_spawn_into(b, name, args...) - start a child in the background.
 *
 * Blocks     no; not a checkpoint
 * Returns    0
 * Errors     TT_ECLOSED once tt_background_destroy() has begun, TT_ECANCELED after a failure of the
 *            group, -EAGAIN at max_children, -ENOMEM. Destructors have run
 * Ownership  as tt_go()
 * Threads    any, plain ones and pool jobs too, while b is not destroyed
 */
#define tt_spawn_into(b, ...) \
	tt_must_result_(TT_CALL_(tt_verb_spawn_into_, \
	                         TT_TEMPORARY_(tt_spawn_into_, (b), NULL), __VA_ARGS__))

/* tt_spawn_into_with(b, &options, name, args...) - the same, with tt_child_options. */
#define tt_spawn_into_with(b, options, ...) \
	tt_must_result_(TT_CALL_(tt_verb_spawn_into_, \
	                         TT_TEMPORARY_(tt_spawn_into_, (b), TT_IS_CHILD_OPTIONS_(options)), \
	                         __VA_ARGS__))

#endif

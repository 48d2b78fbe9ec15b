/* SPDX-License-Identifier: MIT */
/*
 * once.h - one-time initialisation that may wait, fail and be cancelled.
 *
 *	static tt_once config_once = TT_ONCE_INIT;
 *
 *	TT_TRY(tt_once_do(&config_once, load_config, "gateway.yml", &config));
 *
 * However many arrive, the initialiser runs once; the others wait for it. What a failure means
 * is the once's mode.
 */
#ifndef TUTTI_ONCE_H
#define TUTTI_ONCE_H

#include <tutti/base.h>
#include <tutti/task.h>

TT_BEGIN_DECLS

enum tt_once_mode {
	/* Who failed, or was cancelled, gets its code; the next one who waits, or comes, runs it anew. */
	TT_ONCE_RESTART,
	/* A failure is final: everybody gets its code and its text. A cancel is no failure. */
	TT_ONCE_RECORD,
	/* The initialiser runs behind a shield of at most `bound`: the cancel of the one that happens
	 * to run it does not spoil it for all. Else as RESTART. */
	TT_ONCE_PROTECT
};

/* All zero is TT_ONCE_RESTART, tried again at once. */
typedef struct tt_once_options {
	enum tt_once_mode mode;
	int64_t bound;     /* PROTECT: ns; 0: 30 s. Time out of it is a failure, TT_ETIMEDOUT */
	int64_t retry_min; /* ns between the first failure and the next attempt, doubled each time; 0: none */
	int64_t retry_max; /* ns that it grows to; 0: it does not grow */
} tt_once_options;

/* Static storage, or a member of an object; made by one of the two below. */
typedef struct tt_once {
	uint32_t tt_state_;
	int tt_rc_;
	const tt_once_options *tt_options_;
	uint64_t tt_opaque_[40];
} tt_once;

#define TT_ONCE_INIT { 0, 0, NULL, { 0 } }
/* options: a const tt_once_options of static storage. */
#define TT_ONCE_INIT_WITH(options) { 0, 0, (options), { 0 } }

/*
 * tt_once_init - the same for an object's member. options may be NULL; else they live as long
 * as the once.
 *
 * Blocks     no
 */
TT_API void tt_once_init(tt_once *o, const tt_once_options *options);

/*
 * tt_once_fini - the once is no longer used; what was initialised is the caller's.
 *
 * Blocks     no
 * Errors     aborts, naming the initialiser or the task, if it runs or somebody waits
 * Ownership  NULL and a zeroed one are fine
 */
TT_API void tt_once_fini(tt_once *o);

/*
 * tt_once_is_done - has the initialiser succeeded?
 *
 * Blocks     no; not a checkpoint
 * Returns    true: what it wrote is visible to the caller
 * Threads    any
 */
TT_API TT_MUST_USE bool tt_once_is_done(tt_once *o);

TT_API tt_verb_ tt_verb_once_; /* on: a tt_once * */

TT_END_DECLS

/*
 * tt_once_do(&once, name, args...) - be sure that an initialiser has run: run the TT_TASK `name`
 * here, or wait for the one that runs it.
 *
 * Blocks     yes; a checkpoint unless the initialiser has succeeded before
 * Returns    what the initialiser returned, to all, now and later
 * Cancelled  TT_ECANCELED; another task takes over if this one was running it
 * Errors     the initialiser's (TT_ONCE_RESTART: only to the one that ran it);
 *            -EDEADLK: the initialiser, or one that it waits for, asks for its own result; the
 *            chain names the places
 * Ownership  the initialiser's, from its first instruction; if it is not run for this caller,
 *            the arguments' destructors have run
 * Threads    any; plain threads wait as such. Waiters take over in order
 */
#ifdef __cplusplus
extern "C++" {
static inline void *tt_is_once_(tt_once *o) { return o; }
}
#define TT_IS_ONCE_(o) (tt_is_once_(o))
#else
#define TT_IS_ONCE_(o) ((void *)_Generic((o), tt_once *: (o)))
#endif
#define tt_once_do(o, ...) tt_must_result_(TT_CALL_(tt_verb_once_, TT_IS_ONCE_(o), __VA_ARGS__))

#endif

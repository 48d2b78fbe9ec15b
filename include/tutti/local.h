/* SPDX-License-Identifier: MIT */
/*
 * local.h - values that belong to a task and to the children it starts: who asks, which
 * request, which tenant; for logs and chains far below, without an argument in every call.
 *
 *	TT_LOCAL_TYPE(request_local, struct request);         in a header or a source file
 *	TT_LOCAL_DEFINE(request_local);                       in one source file
 *
 *	TT_WITH_LOCAL(request_local, &request);               to the end of this C block
 *	tt_go(&g, log_something);                             and there:
 *	const struct request *r = tt_local(request_local);    NULL where none is in force
 *
 * The value is lent, not copied. Children inherit what was in force where their group was
 * opened; they end before that block is left, so the value outlives them. What is set below the
 * opening of a group its children do not see: it may end before them.
 *
 * Rejected    Values copied into each child at its spawn: every spawn pays, and a pointer may
 *             dangle. Thread-local variables: they are of the worker, not of the task.
 */
#ifndef TUTTI_LOCAL_H
#define TUTTI_LOCAL_H

#include <tutti/base.h>
#include <tutti/task.h>

TT_BEGIN_DECLS

/* One for each TT_LOCAL_DEFINE; its address is what counts. */
typedef struct tt_local_key {
	const char *name;
} tt_local_key;

/* Storage of a value in force; lives in the frame that set it. */
typedef struct tt_local_block_ {
	uint64_t tt_opaque_[26];
} tt_local_block_;

/* ---- seams of the macros below ---- */

TT_API tt_local_block_ *tt_local_open_(tt_local_block_ *b, const tt_local_key *key, const void *value,
                                       const char *site);
TT_API void tt_local_leave_(tt_local_block_ *b);
TT_API const void *tt_local_find_(const tt_local_key *key);

TT_END_DECLS

/* TT_LOCAL_TYPE(key, T) - declare a key for values of type T; at file scope, also in headers. */
#define TT_LOCAL_TYPE(key, T) \
	typedef const T *tt_local_of_##key##_; \
	extern const tt_local_key key

/* TT_LOCAL_DEFINE(key) - define it, in one source file. */
#ifdef __cplusplus
#define TT_LOCAL_DEFINE(key) extern const tt_local_key key = { #key }
#else
#define TT_LOCAL_DEFINE(key) const tt_local_key key = { #key }
#endif

/* value, if it converts to a T as an argument would; else a compile error. */
#ifdef __cplusplus
#define TT_LOCAL_VALUE_(T, value) (static_cast<const void *>(static_cast<T>(value)))
#else
#define TT_LOCAL_VALUE_(T, value) TT_STRICT_(((union { T tt_value_; const void *tt_any_; }){ value }).tt_any_)
#endif

/*
 * TT_WITH_LOCAL(key, value) - value, a const T *, is in force from here to the end of this C block,
 * in this task and in the groups opened meanwhile. NULL hides an outer one. In a task only.
 */
#define TT_WITH_LOCAL(key, value) \
	tt_local_block_ TT_CAT(tt_local_at_, __LINE__) __attribute__((__cleanup__(tt_local_leave_), __unused__)), \
		*const TT_CAT(tt_local_in_, __LINE__) TT_UNUSED = tt_local_open_( \
			&TT_CAT(tt_local_at_, __LINE__), &(key), \
			TT_LOCAL_VALUE_(tt_local_of_##key##_, (value)), TT_SITE)

/*
 * tt_local(key) - the value in force: the innermost one of this task, else the one its group
 * was opened under, and so outwards.
 *
 * Blocks     no; walks the open blocks
 * Returns    a const T *; NULL if there is none, and outside of tasks
 * Threads    any
 */
#define tt_local(key) ((tt_local_of_##key##_)tt_local_find_(&(key)))

#endif

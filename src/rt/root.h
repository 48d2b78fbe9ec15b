/* SPDX-License-Identifier: MIT */
/* root.h - the task everything hangs from, and the scope that signals cancel. Used by rt/ and sim/. */
#ifndef TTI_RT_ROOT_H
#define TTI_RT_ROOT_H

#include "scope/scope.h"

struct tti_root {
	struct tti_scope scope;              /* what a signal cancels; around the root task */
	struct tti_runtime *rt;
	struct tt_task_type type;            /* of the root task; its run is root.c's */
	int (*run)(void *args);              /* the user's */
	bool done;                           /* worker 0's thread only */
	int rc;                              /* the root task's code, once done */
	struct tti_error err;                /* and its chain */
	void (*on_done)(struct tti_root *r); /* on worker 0's thread */
};

/* Queues the root task on worker 0, whose thread this is. */
TT_MUST_USE int tti_root_start(struct tti_root *r, struct tti_runtime *rt, const struct tt_task_type *type,
                               const void *args, const char *site);

#endif

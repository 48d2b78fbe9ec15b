/* SPDX-License-Identifier: MIT */
/*
 * error.h - the chain that explains a code, as kept by a task, a group or a pool job.
 *
 * A chain is a list of nodes from the outermost context to the failure itself (cause),
 * with the failures of siblings beside its head. The first node of a record is embedded
 * in it, so the first error never allocates; further ones come from a reserve of the
 * worker, and when that is empty the text is lost and counted, never the code.
 *
 * Ownership   A chain belongs to exactly one record. Moving it moves its reserve nodes;
 *             the embedded node is copied. A record is touched by one thread at a time.
 */
#ifndef TTI_TASK_ERROR_H
#define TTI_TASK_ERROR_H

#include <stdarg.h>

#include <tutti/error.h>

#include "base/list.h"

struct tti_home;
struct tt_task;

#define TTI_ERROR_TEXT_MAX 96
#define TTI_ERROR_SIBLINGS_MAX 64            /* beside one node; further ones are only counted */

struct tt_error_node {
	const struct tt_error_node *cause;   /* what lies below, NULL at the failure itself */
	const struct tt_error_node *sibling; /* another failure beside this one */
	const char *site, *func;             /* where; static strings */
	const char *task_name;               /* who; static strings; NULL on a plain thread */
	const char *spawn_site;
	const char *parent_name;
	uint64_t task_id, parent_id;
	int code;
	struct tti_trace *trace;             /* where the failure was, if that is recorded; owned */
	char text[TTI_ERROR_TEXT_MAX];       /* cut to fit, always terminated */
};

struct tti_error {
	int code;                            /* what the chain explains; 0 = nothing */
	uint32_t dropped;                    /* nodes that had no room */
	const struct tt_error_node *head;    /* NULL when code has no text */
	bool first_used;
	struct tt_error_node first;
};

/* error_trace.c: the return addresses of the frames from `caller`, one of them, upwards; an
 * allocation. NULL when that is off, the usual case, or there is no memory. */
#define TTI_TRACE_MAX 24
struct tti_trace {
	unsigned n;
	void *frames[TTI_TRACE_MAX];
};
struct tti_trace *tti_trace_capture(const void *caller);
void tti_trace_free(struct tti_trace *t);
/* One frame as "function+0x1f (program+0x12345)". */
void tti_trace_text(const void *frame, char *ret_buf, size_t n);

/* An empty record. */
void tti_error_init(struct tti_error *e);
/* Gives its nodes back; the record is empty again. */
void tti_error_clear(struct tti_error *e);
/* Starts anew with one node. */
void tti_error_begin(struct tti_error *e, int code, const char *site, const char *func, const char *fmt, va_list ap);
/* Adds context on top; starts anew when the chain explains another code. */
void tti_error_wrap(struct tti_error *e, int code, const char *site, const char *func, const char *fmt, va_list ap);
/* to becomes what from was (to's own chain is cleared), from becomes empty. */
void tti_error_move(struct tti_error *to, struct tti_error *from);
/* from's chain becomes a sibling of to's head, if there is room; from becomes empty. */
void tti_error_add_sibling(struct tti_error *to, struct tti_error *from);
/* A code without any text still names the task that failed. */
void tti_error_blame(struct tti_error *e, const struct tt_task *t);
/* Makes e explain code when it does not yet: a chain left over from another failure is dropped. */
void tti_error_set_code(struct tti_error *e, int code);
/* "prefix: chain" on stderr. */
void tti_error_print(const struct tti_error *e, const char *prefix);
/* Record of the calling task, or of the calling thread outside tasks (pool jobs, main). */
struct tti_error *tti_error_here(void);
/* True on a thread that runs a pool job. */
bool tti_error_thread_is_bound(void);
/* Binds a record to the calling thread for the duration of a pool job; NULL unbinds. */
struct tti_error *tti_error_bind_thread(struct tti_error *e);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * failure.h - a failure that one task had and others are told of: its texts, and where it
 * happened. A chain itself belongs to one task and has nodes of its worker; this is a copy of
 * its two ends, of a fixed size, that may lie in static storage.
 */
#ifndef TTI_SYNC_FAILURE_H
#define TTI_SYNC_FAILURE_H

#include "task/error.h"

struct tti_failure {
	const char *site, *func;             /* where it started; static strings, or NULL */
	const char *task_name;               /* who failed; static; NULL: a plain thread */
	uint64_t task_id;
	char text[TTI_ERROR_TEXT_MAX];       /* of where it started; "" when there was none */
	char context[TTI_ERROR_TEXT_MAX];    /* the outermost that was added; "" when there was none */
};

/* Copies what the caller knows of code. */
void tti_failure_keep(struct tti_failure *f, int code);
/* Lets the caller's chain explain code by the copy, as seen at site. Returns code. */
TT_MUST_USE int tti_failure_tell(const struct tti_failure *f, int code, const char *name, const char *site);

#endif

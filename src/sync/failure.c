/* SPDX-License-Identifier: MIT */
/* failure.c - a failure told to others; see failure.h. */
#include "sync/failure.h"

#include <string.h>

#include "task/task.h"

void tti_failure_keep(struct tti_failure *f, int code)
{
	const struct tti_error *e = tti_error_here();
	const struct tt_error_node *head = e->code == code ? e->head : NULL, *start = head;
	const struct tt_task *t = tti_current();

	*f = (struct tti_failure){ .task_name = t != NULL ? t->name : NULL, .task_id = t != NULL ? t->id : 0 };
	while (start != NULL && start->cause != NULL)
		start = start->cause;
	if (start == NULL)
		return;
	f->site = start->site;
	f->func = start->func;
	memcpy(f->text, start->text, sizeof(f->text));
	if (head != start)
		memcpy(f->context, head->text, sizeof(f->context));
}

int tti_failure_tell(const struct tti_failure *f, int code, const char *name, const char *site)
{
	TT_IGNORE(tt_fail_(code, f->site, f->func, "%s", f->text));
	if (f->context[0] != '\0')
		TT_IGNORE(tt_wrap_(code, f->site, f->func, "%s", f->context));
	if (f->task_name == NULL)
		return tt_wrap_(code, site, name, "failed in a plain thread");
	return tt_wrap_(code, site, name, "failed in task %s#%llu", f->task_name, (unsigned long long)f->task_id);
}

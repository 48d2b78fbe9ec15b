/* SPDX-License-Identifier: MIT */
/* root.c - starts and ends the root task; see root.h. */
#include "rt/root.h"

#include "base/panic.h"
#include "scope/background.h"

static struct tti_root *root_of(struct tt_task *t)
{
	return TTI_CONTAINER_OF(t->scope_base, struct tti_root, scope);
}

/* Objects that are left would keep their tasks for ever. */
static int root_task_run(void *args)
{
	struct tti_root *r = root_of(tti_current());
	int rc = r->run(args);

	tti_background_reap(r->rt);
	return rc;
}

static void root_task_exit(struct tt_task *t)
{
	struct tti_root *r = root_of(t);

	TT_REQUIRE(t->scope == t->scope_base, "task %s#%llu ended with the block of %s still open", t->name,
	           (unsigned long long)t->id, t->scope->site);
	r->rc = t->rc;
	if (t->rc < 0) {
		tti_error_set_code(&t->err, t->rc);
		tti_error_move(&r->err, &t->err);
	}
	r->done = true;
	tti_task_put(t);
	r->on_done(r);
}

static const struct tti_life_ops root_life = { .start = tti_root_task_begin, .exit = root_task_exit };

int tti_root_start(struct tti_root *r, struct tti_runtime *rt, const struct tt_task_type *type, const void *args,
                   const char *site)
{
	struct tt_task *t;

	*r = (struct tti_root){ .rt = rt, .on_done = r->on_done };
	tti_error_init(&r->err);
	r->type = *type;
	r->type.run = root_task_run;
	r->run = type->run;
	t = tti_root_task(&r->scope, type, args, &root_life, site);
	if (t == NULL)
		return TT_ENOMEM;
	t->type = &r->type;
	tti_worker_submit(tti_worker_here(), t);
	return 0;
}

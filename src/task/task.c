/* SPDX-License-Identifier: MIT */
/* task.c - records of tasks: made, dropped, counted, moved from state to state. */
#include "task/task.h"

#include <string.h>

#include "base/panic.h"
#include "env/env.h"

__thread struct tti_home *tti_home_here;

/* Handles given back on threads without a home. */
static tti_atomic_u64 freed_elsewhere;

int64_t tti_tasks_freed_elsewhere(void)
{
	/* relaxed: read when the workers have ended; later puts count for the next runtime. */
	return (int64_t)tti_load_relaxed(&freed_elsewhere);
}

/* Records kept per home for the next spawn. */
#define FREE_TASKS_MAX 4096

void tti_home_init(struct tti_home *h, unsigned index, unsigned n_homes)
{
	memset(h, 0, sizeof(*h));
	h->index = index;
	h->next_id = index + 1;
	h->id_step = n_homes;
	if (index == 0)
		h->freed = -tti_tasks_freed_elsewhere(); /* of earlier runtimes */
	tti_list_init(&h->tasks);
	tti_home_refill(h);
}

void tti_home_refill(struct tti_home *h)
{
	while (h->free_nodes.len < TTI_ERROR_NODES_RESERVED) {
		struct tti_link *n = tti_env_alloc(sizeof(struct tt_error_node));

		if (n == NULL)
			return; /* a smaller reserve: texts get lost sooner, codes never */
		tti_stack_push(&h->free_nodes, n);
	}
}

void tti_home_fini(struct tti_home *h)
{
	struct tti_link *n;

	while ((n = tti_stack_pop(&h->free_nodes)) != NULL)
		tti_env_free(n);
	while ((n = tti_stack_pop(&h->free_tasks)) != NULL)
		tti_env_free(TTI_CONTAINER_OF(n, struct tt_task, ready_link));
}

struct tt_task *tti_current_or_panic(const char *call)
{
	struct tt_task *t = tti_current();

	if (t == NULL && !tti_error_thread_is_bound())
		tti_panic(call, "called outside a task");
	return t;
}

static struct tt_task *record_alloc(struct tti_home *h)
{
	struct tti_link *n = h != NULL ? tti_stack_pop(&h->free_tasks) : NULL;

	if (n != NULL)
		return TTI_CONTAINER_OF(n, struct tt_task, ready_link);
	return tti_env_alloc(sizeof(struct tt_task));
}

/* Under a sanitizer each record is freed, so that a late use of one is seen. */
static bool keeps_record(const struct tti_home *h)
{
#ifdef TTI_FIBER_SANITIZED
	(void)h;
	return false;
#else
	return h->free_tasks.len < FREE_TASKS_MAX;
#endif
}

static void record_free(struct tt_task *t)
{
	struct tti_home *h = tti_home_here;

	if (h == NULL) {
		if (t->id != 0)
			/* relaxed: a count. */
			tti_fetch_add_relaxed(&freed_elsewhere, 1);
		tti_env_free(t);
		return;
	}
	TT_ASSERT(t->id != 0); /* a record without a number never leaves its plain thread */
	h->freed++;
	if (keeps_record(h))
		tti_stack_push(&h->free_tasks, &t->ready_link);
	else
		tti_env_free(t);
}

static int copy_args(struct tt_task *t, const struct tt_task_type *type, const void *args)
{
	TT_REQUIRE(type->align <= 16, "task %s: arguments aligned to more than 16 bytes", type->name);
	t->args = t->inline_args;
	if (type->size > sizeof(t->inline_args)) {
		t->args = tti_env_alloc(type->size);
		if (t->args == NULL)
			return -ENOMEM;
	}
	if (type->size > 0)
		memcpy(t->args, args, type->size);
	return 0;
}

static void free_args(struct tt_task *t)
{
	if (t->args != t->inline_args)
		tti_env_free(t->args);
	t->args = NULL;
}

struct tt_task *tti_task_create(struct tti_home *h, const struct tt_task_type *type, const void *args,
                                const char *site)
{
	struct tt_task *t = record_alloc(h), *parent = h != NULL ? h->current : NULL;

	if (t == NULL)
		return NULL;
	memset(t, 0, offsetof(struct tt_task, home));
	tti_error_init(&t->err);
	if (copy_args(t, type, args) < 0) {
		tti_env_free(t);
		return NULL;
	}
	tti_list_init(&t->fresh_link);
	tti_list_init(&t->sibling);
	tti_list_init(&t->all_link);
	tti_list_init(&t->end_waiters);
	t->state = TTI_TASK_UNSTARTED;
	/* relaxed: the record is handed to others through an inbox, which orders. */
	tti_store_relaxed(&t->refs, 1);
	t->id = 0;
	t->name = type->name;
	t->type = type;
	t->spawn_site = site;
	t->parent_id = parent != NULL ? parent->id : 0;
	t->parent_name = parent != NULL ? parent->name : NULL;
	if (h != NULL)
		tti_task_enroll(h, t);
	return t;
}

void tti_task_enroll(struct tti_home *h, struct tt_task *t)
{
	t->id = h->next_id;
	h->next_id += h->id_step;
	h->created++;
}

void tti_task_drop_args(struct tt_task *t)
{
	TT_ASSERT(t->args != NULL);
	if (t->type->drop != NULL)
		t->type->drop(t->args);
	free_args(t);
}

void tti_task_forget_args(struct tt_task *t)
{
	free_args(t);
}

int tti_task_run(struct tt_task *t)
{
	int rc = t->type->run(t->args);

	if (!t->keeps_args)
		free_args(t);
	return rc;
}

void tti_task_again(struct tt_task *t)
{
	TT_ASSERT(t->keeps_args);
	TT_ASSERT(t->cancel_posted == TTI_CANCEL_IDLE);
	tti_task_move(t, TTI_TASK_UNSTARTED);
	tti_error_clear(&t->err);
	t->rc = 0;
	t->exit_received = false;
	t->ignoring_reported = false;
	t->cancels_ignored = 0;
}

void tti_task_put(struct tt_task *t)
{
	if (t == NULL)
		return;
	/* acquire: pairs with the acq_rel below. A sole owner needs no atomic subtraction,
	 * since nobody is left who could copy a reference. */
	if (tti_load_acquire(&t->refs) != 1 &&
	    /* acq_rel: pairs with itself; the last owner sees what the others wrote. */
	    tti_fetch_sub_acq_rel(&t->refs, 1) != 1)
		return;
	TT_ASSERT(t->state == TTI_TASK_DONE);
	if (t->keeps_args && t->args != NULL)
		free_args(t);
	tti_error_clear(&t->err);
	tti_env_free(t->extra);
	record_free(t);
}

const char *tti_task_state_name(enum tti_task_state s)
{
	static const char *const names[] = { "unstarted", "ready", "running", "parked", "done" };

	return names[s];
}

void tti_task_move(struct tt_task *t, enum tti_task_state to)
{
#ifndef TT_NO_ASSERT
	static const uint8_t allowed[] = {
		[TTI_TASK_UNSTARTED] = 1u << TTI_TASK_RUNNING | 1u << TTI_TASK_DONE,
		[TTI_TASK_READY] = 1u << TTI_TASK_RUNNING,
		[TTI_TASK_RUNNING] = 1u << TTI_TASK_READY | 1u << TTI_TASK_PARKED | 1u << TTI_TASK_DONE,
		[TTI_TASK_PARKED] = 1u << TTI_TASK_READY,
		[TTI_TASK_DONE] = 1u << TTI_TASK_UNSTARTED,
	};

	TT_REQUIRE((allowed[t->state] >> to & 1) != 0, "task %s#%llu: impossible move from %s to %s", t->name,
	           (unsigned long long)t->id, tti_task_state_name((enum tti_task_state)t->state),
	           tti_task_state_name(to));
#endif
	t->state = to;
}

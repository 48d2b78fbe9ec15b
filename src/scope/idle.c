/* SPDX-License-Identifier: MIT */
/* idle.c - children that are not tasks yet; see idle.h. */
#include "scope/idle.h"

#include "base/panic.h"
#include "base/sometimes.h"

int tti_idle_begin(struct tti_group *g, struct tti_idle *i, const char *site)
{
	bool owner = tti_group_check_spawner(g, tti_current(), site);

	i->group = g;
	tti_list_init(&i->link);
	if ((tti_group_effective(g) & TTI_CANCELLED) != 0) {
		if (owner)
			g->n_cancelled++;
		return TT_ECANCELED;
	}
	tti_group_count(g, &g->n_children, 1);
	return 0;
}

void tti_idle_link(struct tti_idle *i)
{
	TTI_SOMETIMES((i->group->propagated & TTI_CANCELLED) != 0, "an idle child comes to a group that is cancelled");
	if ((i->group->propagated & TTI_CANCELLED) != 0)
		i->cancel(i);
	else
		tti_list_push_back(&i->group->idle, &i->link);
}

void tti_idle_ready(struct tti_idle *i)
{
	struct tti_group *g = i->group;

	tti_list_unlink(&i->link);
	TT_ASSERT((g->propagated & TTI_CANCELLED) == 0); /* it would have been told */
	tti_list_push_back(&g->idle_ready, &i->link);
	tti_idle_start_ready(g);
	TTI_SOMETIMES(!tti_list_empty(&g->idle_ready), "an idle child is to start, and waits for room");
}

void tti_idle_start_ready(struct tti_group *g)
{
	while (!tti_list_empty(&g->idle_ready) && tti_group_take_place(g)) {
		struct tti_list *n = tti_list_pop_front(&g->idle_ready);
		struct tti_idle *i = TTI_CONTAINER_OF(n, struct tti_idle, link);

		i->start(i);
	}
}

void tti_idle_become(struct tti_idle *i, const struct tt_task_type *type, const void *args, const char *site,
                     unsigned worker)
{
	struct tti_group *g = i->group;
	struct tt_task *t = tti_task_create(tti_home_here, type, args, site);

	tti_list_unlink(&i->link);
	if (t == NULL) {
		if (type->drop != NULL)
			type->drop((void *)(uintptr_t)args);
		tti_group_count(g, &g->n_children, (uint32_t)-1);
		tti_group_give_place(g);
		TT_IGNORE(tti_group_out_of_memory(g, true));
		tti_group_child_gone(g);
		return;
	}
	t->parent_id = g->scope.owner->id;
	t->parent_name = g->scope.owner->name;
	tti_group_adopt(g, t, worker);
}

void tti_idle_end(struct tti_idle *i, bool cancelled)
{
	struct tti_group *g = i->group;

	tti_list_unlink(&i->link);
	tti_group_count(g, &g->n_children, (uint32_t)-1);
	if (cancelled)
		g->n_cancelled++;
	tti_group_child_gone(g);
}

/* Each is taken off first: one that needs a while to end is not met again. */
static void cancel_list(struct tti_list *list)
{
	struct tti_list *n;

	while ((n = tti_list_pop_front(list)) != NULL) {
		struct tti_idle *i = TTI_CONTAINER_OF(n, struct tti_idle, link);

		i->cancel(i);
	}
}

void tti_idle_cancel_all(struct tti_group *g)
{
	cancel_list(&g->idle);
	cancel_list(&g->idle_ready);
}

/* SPDX-License-Identifier: MIT */
/*
 * parked.c - how many tasks there are, and waiting until all but the caller are parked.
 *
 * On a real runtime each worker is asked by message, so that nothing is read while it
 * changes. All parked is believed when two censuses in a row say so and no task ran
 * between them: a message that was under way during the first is handled before the
 * second, because an inbox keeps its order.
 */
#include "base/panic.h"
#include "sched/worker.h"
#include "sim/sim.h"
#include "testing/kit.h"
#include "wait/wait.h"

#define BETWEEN TT_US(200)

struct form {
	struct tti_msg msg;
	struct census *census;
	struct tti_census answer;
};

struct census {
	struct tti_waiter waiter;
	tti_atomic_u32 left;                 /* forms that are out */
};

static void fill(struct tti_census *c, const struct tti_worker *w, const struct tt_task *self)
{
	c->alive = c->busy = 0;
	TTI_LIST_FOR_EACH (n, &w->home.tasks) {
		const struct tt_task *t = TTI_CONTAINER_OF(n, struct tt_task, all_link);

		c->alive++;
		c->busy += t != self && t->state != TTI_TASK_PARKED;
	}
	TTI_PLAIN_WRITE(c->slices, w->slices);
}

static void fill_form(struct tti_msg *m)
{
	struct form *f = TTI_CONTAINER_OF(m, struct form, msg);
	struct census *c = f->census;

	fill(&f->answer, tti_worker_here(), NULL);
	/* acq_rel: pairs with itself: the last one sees all answers written. */
	if (tti_fetch_sub_acq_rel(&c->left, 1) == 1 && tti_claim(&c->waiter))
		tti_wake(&c->waiter);
}

static void add(struct tti_census *to, const struct tti_census *c)
{
	to->alive += c->alive;
	to->busy += c->busy;
	to->slices += TTI_PLAIN_READ(c->slices);
}

/* One thread has all the workers. */
static void take_simulated(const struct tti_runtime *rt, struct tti_census *sum)
{
	for (unsigned i = 0; i < rt->n_workers; i++) {
		struct tti_census one;

		fill(&one, rt->workers[i], tti_current());
		add(sum, &one);
	}
}

static void take_real(struct tti_census *ret)
{
	struct tti_worker *here = tti_worker_here();
	struct tti_runtime *rt = here->rt;
	struct form *forms = tti_env_real.alloc(rt->n_workers * sizeof(*forms));
	struct tti_census sum;
	struct census c;

	TT_REQUIRE(forms != NULL, "out of memory in a test");
	tti_waiter_init(&c.waiter, "census", NULL);
	c.waiter.abort = NULL; /* the forms are out: the answers come in any case */
	/* relaxed: nobody else knows the census yet. */
	tti_store_relaxed(&c.left, rt->n_workers);
	for (unsigned i = 0; i < rt->n_workers; i++) {
		forms[i].census = &c;
		forms[i].msg.handle = fill_form;
		if (rt->workers[i] != here)
			rt->workers[i]->home.ops->post(&rt->workers[i]->home, &forms[i].msg);
	}
	/* acquire: pairs with the one in fill_form(); nothing is passed on to the others. */
	if (tti_fetch_sub_acquire(&c.left, 1) != 1)
		tti_park(&c.waiter);
	fill(&sum, here, tti_current());
	for (unsigned i = 0; i < rt->n_workers; i++)
		if (rt->workers[i] != here)
			add(&sum, &forms[i].answer);
	tti_env_real.free(forms);
	*ret = sum;
}

void tti_census_take(struct tti_census *ret)
{
	struct tti_census sum = { 0, 0, 0 };

	if (tti_sim_here != NULL)
		take_simulated(tti_worker_here()->rt, &sum);
	else
		take_real(&sum);
	*ret = sum;
}

size_t tt_test_tasks_alive(void)
{
	struct tti_census c;

	TT_REQUIRE(tti_current() != NULL, "tt_test_tasks_alive: called outside a task");
	tti_census_take(&c);
	return c.alive;
}

static int wait_real(void)
{
	struct tti_census before = { 0, 1, 0 }, now;
	int rc;

	for (;;) {
		tti_census_take(&now);
		/* Two slices are the caller's own: its wake from the census and from the sleep. */
		if (now.busy == 0 && before.busy == 0 && now.slices - before.slices <= 2)
			return 0;
		before = now;
		rc = tti_sleep_until(tti_deadline_after(tti_home_here, BETWEEN));
		if (rc < 0)
			return rc;
	}
}

int tt_test_wait_all_parked(void)
{
	struct tt_task *t = tti_current_or_panic("tt_test_wait_all_parked");
	int rc;

	if (t == NULL)
		return TT_EWRONGCTX;
	rc = tti_checkpoint();
	if (rc < 0)
		return rc;
	return tti_sim_here != NULL ? tti_sim_wait_quiet(tti_sim_here) : wait_real();
}

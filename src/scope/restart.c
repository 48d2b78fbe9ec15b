/* SPDX-License-Identifier: MIT */
/*
 * restart.c - children that run again after they have ended: when, after which pause, and
 * what is told of it. Called by group.c where a child's exit arrives.
 *
 * The record of the child stays and waits in its group's list while it pauses; its stack
 * went with the run. It starts again on the worker it was placed on.
 *
 * Invariants  A record is used again only after its exit was received and no message to it is
 *             under way (law 11), as it would be freed.
 *             Once its group is cancelled, or asked to stop, nothing is restarted.
 * Rejected    A keeper task for each child, looping around the function: a stack per pause,
 *             and two tasks in every dump for one.
 */
#include <stdio.h>

#include "base/panic.h"
#include "base/sometimes.h"
#include "scope/child.h"

#define PAUSE_MIN TT_MS(100)
#define PAUSE_MAX TT_SEC(30)
/* Reports of one child: no more than one in this time. */
#define REPORT_EVERY TT_SEC(1)

void tti_restart_init(struct tti_child_extra *x, enum tt_restart restart, const tt_backoff *b)
{
	x->restart = (uint8_t)restart;
	x->backoff = *b;
	if (x->backoff.min <= 0)
		x->backoff.min = PAUSE_MIN;
	if (x->backoff.max <= 0)
		x->backoff.max = PAUSE_MAX;
	if (x->backoff.max < x->backoff.min)
		x->backoff.max = x->backoff.min;
	if (x->backoff.jitter_percent > 100)
		x->backoff.jitter_percent = 100;
	x->task->keeps_args = true;
}

int tti_child_extend(struct tt_task *t, const tt_child_options *o, bool awaited)
{
	bool own = o->restart != TT_RESTART_NEVER;
	enum tt_restart restart = own ? o->restart : (enum tt_restart)t->group->restart;
	struct tti_child_extra *x;

	if (restart == TT_RESTART_NEVER && !awaited)
		return 0;
	TT_REQUIRE(restart == TT_RESTART_NEVER || t->type->drop == NULL,
	           "%s, spawned at %s: a task with a destructor argument cannot be restarted", t->type->name,
	           t->spawn_site);
	x = tti_env_zalloc(sizeof(*x));
	if (x == NULL)
		return TT_ENOMEM;
	t->extra = x;
	x->task = t;
	tti_list_init(&x->starters);
	tti_error_init(&x->err);
	if (restart != TT_RESTART_NEVER)
		tti_restart_init(x, restart, own ? &o->backoff : &t->group->backoff);
	if (awaited)
		tti_start_init(x);
	return 0;
}

void tti_restart_begins(struct tt_task *t)
{
	struct tti_child_extra *x = tti_extra_of(t);

	if (x == NULL)
		return;
	x->restart_state = TTI_RESTART_RUNS;
	x->began_at = tti_home_here->now;
}

/* The pause before restart number n, from 0. */
static int64_t pause_before(const tt_backoff *b, unsigned n)
{
	int64_t pause = b->min;

	for (; n > 0 && pause < b->max; n--)
		pause = pause > b->max / 2 ? b->max : pause * 2;
	if (b->jitter_percent > 0) {
		int64_t span = pause / 100 * b->jitter_percent;

		if (span > 0)
			pause -= (int64_t)(tti_worker_random(tti_worker_here()) % (uint64_t)(span + 1));
	}
	return pause;
}

static void report(struct tti_child_extra *x)
{
	struct tt_task *t = x->task;
	int64_t now = tti_home_here->now;
	char text[256], more[48] = "";

	if (x->reported_at != 0 && now - x->reported_at < REPORT_EVERY) {
		TTI_SOMETIMES(true, "a restart follows the last one too soon to be reported");
		x->unreported++;
		return;
	}
	if (x->unreported > 0)
		snprintf(more, sizeof(more), ", %u restarts were not reported", x->unreported);
	snprintf(text, sizeof(text), "tutti: task %s#%llu, spawned at %s, %s; it restarts in %lld ms%s", t->name,
	         (unsigned long long)t->id, t->spawn_site, t->rc < 0 ? "failed" : "ended", (long long)(x->pause / TT_MS(1)),
	         more);
	x->reported_at = now;
	x->unreported = 0;
	if (t->rc >= 0)
		tti_error_set_code(&t->err, t->rc);
	tti_error_print(&t->err, text);
}

static bool is_over(const struct tt_task *t)
{
	return (t->group->propagated & (TTI_CANCELLED | TTI_STOPPING)) != 0;
}

bool tti_restart_wanted(struct tt_task *t)
{
	struct tti_child_extra *x = tti_extra_of(t);
	bool good_run;

	/* Without arguments it was refused before it ran. */
	if (x == NULL || x->restart == TT_RESTART_NEVER || t->args == NULL || is_over(t))
		return false;
	if (t->rc >= 0 && x->restart != TT_RESTART_ALWAYS)
		return false;
	/* Until it is ready its failure is its starter's. */
	if (!tti_start_is_over(x))
		return false;
	good_run = tti_home_here->now - x->began_at >= x->backoff.max;
	TTI_SOMETIMES(good_run && x->restarts > 0, "a child that ran well for long has its restarts forgiven");
	if (good_run)
		x->restarts = 0;
	TTI_SOMETIMES(x->backoff.max_restarts > 0 && x->restarts >= x->backoff.max_restarts,
	              "a child fails once too often");
	if (x->backoff.max_restarts > 0 && x->restarts >= x->backoff.max_restarts)
		return false;
	x->pause = pause_before(&x->backoff, x->restarts);
	x->restarts += x->restarts < UINT32_MAX; /* it saturates */
	if (t->rc < 0) {
		tti_error_set_code(&t->err, t->rc);
		tti_error_blame(&t->err, t);
	}
	report(x);
	x->restart_state = TTI_RESTART_DUE;
	return true;
}

bool tti_restart_is_due(const struct tt_task *t)
{
	return t->extra != NULL && tti_extra_of(t)->restart_state == TTI_RESTART_DUE;
}

static void pause_over(struct tti_timer *timer)
{
	struct tti_child_extra *x = TTI_CONTAINER_OF(timer, struct tti_child_extra, timer);
	struct tt_task *t = x->task;

	x->restart_state = TTI_RESTART_RUNS;
	if (is_over(t)) {
		TTI_SOMETIMES((t->group->propagated & TTI_CANCELLED) != 0, "a cancel ends the pause before a restart");
		TTI_SOMETIMES((t->group->propagated & TTI_CANCELLED) == 0, "a stop ends the pause before a restart");
		/* Its failure was reported, and it would have run again: it counts as cut short by the
		 * cancel, and by a stop as nothing, or others that are finishing would be cut short. */
		tti_error_clear(&t->err);
		t->rc = (t->group->propagated & TTI_CANCELLED) != 0 ? TT_ECANCELED : 0;
		tti_group_child_ended(t);
		tti_group_retire(t);
		return;
	}
	tti_task_again(t);
	tti_restart_begins(t);
	tti_worker_submit(tti_worker_of(t->home), t);
}

void tti_restart_wait(struct tt_task *t)
{
	struct tti_child_extra *x = tti_extra_of(t);
	struct tti_home *h = tti_home_here;

	/* What ends the group keeps a child from being DUE, and nothing comes in between: only a child
	 * that was told to end has a message under way. */
	TT_ASSERT(!is_over(t));
	x->restart_state = TTI_RESTART_PAUSES;
	tti_timer_init(&x->timer, pause_over);
	tti_wheel_arm(h->wheel, &x->timer, tti_deadline_after(h, x->pause));
}

void tti_restart_cancelled(struct tt_task *t, uint32_t bits)
{
	struct tti_child_extra *x = tti_extra_of(t);
	struct tti_home *h = tti_home_here;

	TT_ASSERT(bits != 0); /* nothing is ever taken back */
	if (x == NULL || x->restart_state != TTI_RESTART_PAUSES)
		return;
	/* Not here: the group's list is being walked. */
	tti_wheel_cancel(h->wheel, &x->timer);
	tti_wheel_arm(h->wheel, &x->timer, h->now);
}

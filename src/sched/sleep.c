/* SPDX-License-Identifier: MIT */
/* sleep.c - the calls that let time or others pass: tt_now, tt_sleep, tt_yield, tt_checkpoint. */
#include <tutti/runtime.h>
#include <tutti/time.h>

#include "base/panic.h"
#include "base/sometimes.h"
#include "sched/worker.h"
#include "wait/wait.h"

int64_t tt_now(void)
{
	struct tti_home *h = tti_home_here;

	return h != NULL ? h->now : tti_env_now();
}

int64_t tt_wall(void)
{
	return tti_env_wall();
}

struct sleeper {
	struct tti_timer timer;
	struct tti_waiter waiter;
};

static void sleep_over(struct tti_timer *timer)
{
	struct sleeper *s = TTI_CONTAINER_OF(timer, struct sleeper, timer);

	TTI_SOMETIMES(!tti_waiter_is_waiting(&s->waiter), "a sleep's time comes when it is cancelled");
	if (tti_claim(&s->waiter))
		tti_wake(&s->waiter);
}

int tti_pause_until(int64_t deadline, bool abortable)
{
	struct tti_wheel *wheel = tti_home_here->wheel;
	struct sleeper s;

	tti_waiter_init(&s.waiter, "sleep", NULL);
	if (!abortable)
		s.waiter.abort = NULL;
	tti_timer_init(&s.timer, sleep_over);
	tti_wheel_arm(wheel, &s.timer, deadline);
	tti_park(&s.waiter);
	tti_wheel_cancel(wheel, &s.timer);
	return s.waiter.rc;
}

int tti_sleep_until(int64_t deadline)
{
	struct tt_task *t = tti_current_or_panic("tt_sleep");
	int rc;

	if (t == NULL)
		return TT_EWRONGCTX;
	rc = tti_checkpoint();
	if (rc < 0)
		return rc;
	if (deadline <= t->home->now) {
		tti_require_waits_allowed("tt_sleep");
		t->home->ops->yield(t->home);
		return 0;
	}
	return tti_pause_until(deadline, true);
}

int tt_sleep(int64_t timeout)
{
	int64_t deadline = 0;

	/* The clock itself, not the time of this turn: the task may have computed since. */
	if (timeout > 0 && __builtin_add_overflow(tti_env_now(), timeout, &deadline))
		deadline = TT_NEVER;
	return tti_sleep_until(deadline);
}

int tt_yield(void)
{
	struct tt_task *t = tti_current_or_panic("tt_yield");

	if (t == NULL)
		return TT_EWRONGCTX;
	if ((t->cancel_bits & TTI_CANCELLED) != 0)
		return tti_cancel_seen(t->home, true);
	tti_require_waits_allowed("tt_yield");
	t->home->ops->yield(t->home);
	return 0;
}

__thread int (*tti_job_checkpoint)(void);

int tt_checkpoint(void)
{
	struct tt_task *t = tti_current_or_panic("tt_checkpoint");

	if (t != NULL)
		return tti_checkpoint();
	return tti_job_checkpoint != NULL ? tti_job_checkpoint() : TT_EWRONGCTX;
}

void tt_task_put(tt_task *t)
{
	tti_task_put(t);
}

uint64_t tt_task_id(const tt_task *t)
{
	return t->id;
}

const char *tt_task_name(const tt_task *t)
{
	return t->name;
}

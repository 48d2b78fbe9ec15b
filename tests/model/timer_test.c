/* SPDX-License-Identifier: MIT */
/*
 * timer_test.c - a deadline that fires while another worker wakes the same task, or cancels it,
 * under the model: the wait ends once, with the permit or without, and the timer is gone.
 *
 * The waiter's worker is one of workers.h whose time passes: instead of going to sleep while a
 * timer is armed it finds that its deadline has come. When that is, among the steps of the
 * others, is for the checker to choose. A permit that is lost, or taken twice, is counted.
 */
/* model-sources: src/sync/semaphore.c src/sched/sleep.c @scope */
#include "workers.h"

#include <tutti/scope.h>
#include <tutti/semaphore.h>
#include <tutti/time.h>

#include "scope/scope.h"

#define LATE TT_MS(10)

static tt_semaphore permits;
static tt_scope deadline;
static tt_canceller *canceller;
static int ended[WORKERS];
static struct tti_msg cancel_msg;

/* ---- A worker whose time passes ---- */

static void pass_time(struct tti_worker *w)
{
	if (!tti_inbox_sleep(&w->inbox))
		return;
	tti_inbox_awake(&w->inbox);
	w->home.now = LATE;
	(void)tti_wheel_advance(&w->wheel, LATE);
}

static void park_in_time(struct tti_home *h)
{
	struct tti_worker *w = tti_worker_of(h);
	struct tt_task *t = h->current;

	h->current = NULL;
	while (!task_ready[h->index]) {
		tti_worker_finish(w);
		if (task_ready[h->index])
			break;
		if (w->wheel.armed > 0)
			pass_time(w);
		else
			sleep_for_messages(w);
	}
	task_ready[h->index] = false;
	tti_task_move(t, TTI_TASK_RUNNING);
	h->current = t;
}

static const struct tti_home_ops timed_home = { .ready = workers_ready, .post = workers_post, .park = park_in_time };

static void setup_with(unsigned n, unsigned free_permits)
{
	workers_setup(n, n);
	workers[0].home.ops = &timed_home;
	tt_semaphore_init(&permits, free_permits);
	canceller = NULL;
	for (unsigned i = 0; i < WORKERS; i++)
		ended[i] = -1000;
}

static void setup_2(void) { setup_with(2, 0); }
static void setup_3(void) { setup_with(3, 0); }

static void setup_canceller(void)
{
	setup_with(2, 0);
	tti_home_here = &workers[0].home;
	tt_scope_open_(&deadline, TT_MS(1), TT_SCOPE_PLAIN_, "model");
	canceller = tt_scope_canceller(&deadline);
	MODEL_ASSERT(canceller != NULL);
}

/* ---- The threads ---- */

static void acquire_in_time(void)
{
	worker_start();
	tt_scope_open_(&deadline, TT_MS(1), TT_SCOPE_PLAIN_, "model");
	ended[0] = tt_semaphore_acquire(&permits, 1);
	ended[0] = tt_scope_end(&deadline, ended[0]);
	MODEL_ASSERT(workers[0].wheel.armed == 0);
}

static void acquire_in_opened(void)
{
	worker_start();
	ended[0] = tt_semaphore_acquire(&permits, 1);
	ended[0] = tt_scope_end(&deadline, ended[0]);
	MODEL_ASSERT(workers[0].wheel.armed == 0);
	tti_worker_finish(&workers[0]);
}

static void acquire_after(void)
{
	worker_start();
	ended[1] = tt_semaphore_acquire(&permits, 1);
}

static void release(void)
{
	worker_start();
	tt_semaphore_release(&permits, 1);
}

static void sleep_a_while(void)
{
	worker_start();
	ended[0] = tt_sleep(TT_MS(1));
	MODEL_ASSERT(workers[0].wheel.armed == 0);
}

/* As the home's cancel walk does, on the home's own thread. */
static void handle_cancel(struct tti_msg *m)
{
	struct tt_task *t = tasks[tti_home_here->index];

	(void)m;
	t->cancel_bits |= TTI_CANCELLED;
	tti_wait_cancel(t);
}

static void cancel_first(void)
{
	worker_start();
	cancel_msg.handle = handle_cancel;
	tti_worker_post(&workers[0], &cancel_msg);
}

static void outsider(void)
{
	tt_cancel_with(canceller, TT_EIO, "enough");
	tt_canceller_put(canceller);
}

/* ---- Checks ---- */

static void finish(unsigned n)
{
	tti_home_here = &workers[0].home;
	tti_error_clear(&tasks[0]->err);
	workers_retire(n);
	tt_semaphore_fini(&permits);
}

static void check_permit_or_timeout(void)
{
	bool left = tt_semaphore_try_acquire(&permits, 1) == 0;

	MODEL_ASSERT(ended[0] == 0 || ended[0] == TT_ETIMEDOUT);
	MODEL_ASSERT(left == (ended[0] != 0));
	model_outcome("%s", left ? "timeout" : "permit");
	finish(2);
}

/* What the first did not take is the second's. */
static void check_next_gets_it(void)
{
	MODEL_ASSERT(ended[0] == TT_ETIMEDOUT || ended[0] == 0);
	MODEL_ASSERT(ended[1] == 0);
	finish(3);
}

static void check_slept_or_cancelled(void)
{
	MODEL_ASSERT(ended[0] == 0 || ended[0] == TT_ECANCELED);
	model_outcome("%s", ended[0] == 0 ? "slept" : "cancelled");
	finish(2);
}

static void check_first_cause(void)
{
	bool left = tt_semaphore_try_acquire(&permits, 1) == 0;

	MODEL_ASSERT(ended[0] == 0 || ended[0] == TT_ETIMEDOUT || ended[0] == TT_EIO);
	MODEL_ASSERT(left == (ended[0] != 0));
	model_outcome("%s", ended[0] == 0 ? "permit" : ended[0] == TT_EIO ? "cancelled" : "timeout");
	finish(2);
}

static void acquire_in_time_and_pass_on(void)
{
	acquire_in_time();
	if (ended[0] == 0)
		tt_semaphore_release(&permits, 1);
}

static const char *const permit_or_timeout[] = { "permit", "timeout", NULL };
static const char *const slept_or_cancelled[] = { "slept", "cancelled", NULL };
static const char *const any_cause[] = { "permit", "cancelled", "timeout", NULL };

static const struct model_scenario scenarios[] = {
	{ .name = "deadline_and_wake", .claim = "A deadline crosses the release of a permit: it is taken, or still there.",
	  .setup = setup_2, .threads = { acquire_in_time, release }, .check = check_permit_or_timeout,
	  .outcomes = permit_or_timeout },
	{ .name = "next_in_line", .claim = "A permit that the deadline kept from one reaches who stands behind it.",
	  .setup = setup_3, .threads = { acquire_in_time_and_pass_on, acquire_after, release }, .check = check_next_gets_it,
	  .executions = 60000, .partial = true },
	{ .name = "sleep_and_cancel", .claim = "A sleep ends once, by its time or by a cancel from elsewhere.",
	  .setup = setup_2, .threads = { sleep_a_while, cancel_first }, .check = check_slept_or_cancelled,
	  .outcomes = slept_or_cancelled },
	{ .name = "deadline_and_cancel", .claim = "Deadline, cancel and permit at once: the first cause is the code.",
	  .setup = setup_canceller, .threads = { acquire_in_opened, release, outsider }, .check = check_first_cause,
	  .outcomes = any_cause, .executions = 60000, .partial = true },
	{ .name = NULL },
};

int main(int argc, char **argv)
{
	static const char *const files[] = {
		"src/timer/wheel.c", "src/sched/sleep.c", "src/scope/canceller.c", NULL,
	};
	static const struct model_harness h = { .name = "timer", .scenarios = scenarios, .files = files };

	return model_main(argc, argv, &h);
}

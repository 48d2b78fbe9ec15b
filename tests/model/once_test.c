/* SPDX-License-Identifier: MIT */
/*
 * once_test.c - once.c under the model: tasks on several workers ask for one initialiser, which
 * succeeds, fails or is cancelled. What it wrote is plain memory, so that a result seen too
 * early is a race; a turn that gets lost is a deadlock, which the checker reports.
 *
 * once.c is part of this file: its one lock is static, and made anew for each execution.
 */
/* model-sources: src/sync/failure.c @worker */
#include "workers.h"

#include "sync/once.c"

#define ANSWER 42

static tt_once ONCE;
static unsigned written;             /* by the initialiser, read by everybody */
static unsigned attempts;            /* plain: attempts follow each other */
static unsigned fail_first;          /* so many fail */
static int ended[WORKERS];
static unsigned dropped[WORKERS];    /* by the worker whose arguments they were */
static struct tti_msg cancel_msg;

/* Neither back-off nor protection is used here. */
int tti_sleep_until(int64_t deadline)
{
	(void)deadline;
	model_fail("nothing is to sleep");
}

tt_scope *tt_scope_open_(tt_scope *s, int64_t time, unsigned kind, const char *site)
{
	(void)time;
	(void)kind;
	(void)site;
	return s;
}

int tt_scope_end(tt_scope *s, int rc)
{
	(void)s;
	return rc;
}

static unsigned self(void)
{
	return model_thread() - 1;
}

static int initialise(void *args)
{
	(void)args;
	model_plain_write(attempts, model_plain_read(attempts) + 1);
	dropped[self()]++;
	if (model_plain_read(attempts) <= fail_first)
		return TT_EIO;
	model_plain_write(written, ANSWER);
	return ANSWER;
}

static void drop(void *args)
{
	(void)args;
	dropped[self()]++;
}

static const struct tt_task_type init_type = {
	.name = "initialise", .site = "model", .size = 0, .align = 1, .run = initialise, .drop = drop,
};

static struct once *once_of(tt_once *o)
{
	return (struct once *)(void *)o;
}

static void setup_once(unsigned n, unsigned failing)
{
	workers_setup(n, n);
	tti_spin_init(&lock);
	model_name(&lock.word, "once lock");
	tti_list_init(&runs);
	tt_once_init(&ONCE, NULL);
	model_name(&once_of(&ONCE)->state, "state");
	/* relaxed: alone. */
	tti_store_relaxed(&once_of(&ONCE)->state, IDLE);
	model_plain_write(written, 0);
	model_plain_write(attempts, 0);
	fail_first = failing;
	for (unsigned i = 0; i < WORKERS; i++) {
		ended[i] = -1000;
		dropped[i] = 0;
	}
}

static void setup_2(void) { setup_once(2, 0); }
static void setup_2_failing(void) { setup_once(2, 1); }
static void setup_3(void) { setup_once(3, 0); }
static void setup_3_failing(void) { setup_once(3, 1); }

static void ask(void)
{
	worker_start();
	ended[self()] = (int)tt_verb_once_(&ONCE, &init_type, NULL, "model");
	if (ended[self()] == ANSWER)
		MODEL_ASSERT(model_plain_read(written) == ANSWER);
}

/* Looks only: what it sees done is there. */
static void look(void)
{
	worker_start();
	ended[self()] = 0;
	if (tt_once_is_done(&ONCE))
		MODEL_ASSERT(model_plain_read(written) == ANSWER);
}

static void handle_cancel(struct tti_msg *m)
{
	struct tt_task *t = tasks[tti_home_here->index];

	(void)m;
	t->cancel_bits |= TTI_CANCELLED;
	tti_wait_cancel(t);
}

/* Asks too, after it has cancelled the first. */
static void cancel_first_and_ask(void)
{
	worker_start();
	cancel_msg.handle = handle_cancel;
	tti_worker_post(&workers[0], &cancel_msg);
	ask();
}

static void finish(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		MODEL_ASSERT(dropped[i] == (ended[i] == 0 ? 0 : 1));
	MODEL_ASSERT(tti_list_empty(&runs));
	workers_retire(n);
	tt_once_fini(&ONCE);
}

static void check_once(void)
{
	unsigned n = ended[2] == -1000 ? 2 : 3;

	MODEL_ASSERT(model_plain_read(attempts) == 1);
	for (unsigned i = 0; i < n; i++)
		MODEL_ASSERT(ended[i] == ANSWER || ended[i] == 0);
	finish(n);
}

/* One of them made the failing attempt, and another the good one. */
static void check_retried(void)
{
	unsigned n = ended[2] == -1000 ? 2 : 3, failed = 0;

	MODEL_ASSERT(model_plain_read(attempts) == 2);
	for (unsigned i = 0; i < n; i++) {
		MODEL_ASSERT(ended[i] == ANSWER || ended[i] == TT_EIO);
		failed += ended[i] == TT_EIO;
	}
	MODEL_ASSERT(failed == 1);
	finish(n);
}

/* The cancelled one may have got the answer, a failure, or gone; the turn is not lost. */
static void check_cancelled(void)
{
	MODEL_ASSERT(ended[1] == ANSWER || ended[1] == TT_EIO);
	MODEL_ASSERT(ended[0] == ANSWER || ended[0] == TT_EIO || ended[0] == TT_ECANCELED);
	MODEL_ASSERT(ended[0] != TT_EIO || ended[1] != TT_EIO);
	MODEL_ASSERT(ended[2] == -1000);
	finish(2);
}

static const struct model_scenario scenarios[] = {
	{ .name = "two_ask", .claim = "It runs once, and both see what it wrote.", .setup = setup_2,
	  .threads = { ask, ask }, .check = check_once },
	{ .name = "one_asks_one_looks", .claim = "Who sees it done sees what it wrote.", .setup = setup_2,
	  .threads = { ask, look }, .check = check_once },
	{ .name = "first_fails", .claim = "The other one takes over.", .setup = setup_2_failing,
	  .threads = { ask, ask }, .check = check_retried },
	{ .name = "cancelled_waiter", .claim = "A turn handed to one that is cancelled is not lost.",
	  .setup = setup_2_failing, .threads = { ask, cancel_first_and_ask }, .check = check_cancelled },
	{ .name = "three_ask", .claim = "Once, of three.", .setup = setup_3, .threads = { ask, ask, ask },
	  .check = check_once, .executions = 20000, .partial = true },
	{ .name = "three_first_fails", .claim = "One takes over, the third gets the answer.", .setup = setup_3_failing,
	  .threads = { ask, ask, ask }, .check = check_retried, .executions = 20000, .partial = true },
	{ .name = NULL },
};

int main(int argc, char **argv)
{
	static const char *const files[] = { "src/sync/once.c", NULL };
	static const struct model_harness h = { .name = "once", .scenarios = scenarios, .files = files };

	return model_main(argc, argv, &h);
}

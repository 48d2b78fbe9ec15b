/* SPDX-License-Identifier: MIT */
/*
 * resolve_test.c - name lookups that are shared, net/resolve.c under the model: one that cannot be
 * begun for want of memory, while others join it, wait, and are cancelled.
 *
 * The pool refuses every job, so whoever begins a lookup is told at once. What may not happen: that a
 * job is withdrawn which was never taken, that a lookup is freed twice or touched after, that
 * somebody who joined is not told.
 *
 * resolve.c is part of this file: its lookups are static, and made anew for each execution.
 */
/* model-sources: src/net/lookup.c @worker */
#include "workers.h"

#include "net/resolve.c"

static int told[WORKERS];                    /* what each task was told */
static struct tti_msg cancel_msg;

int tti_job_submit(struct tti_job *j, enum tti_job_class class)
{
	(void)j;
	MODEL_ASSERT(class == TTI_JOB_DNS);
	return TT_ENOMEM;
}

/* No job was taken that could be. */
bool tti_job_withdraw(struct tti_job *j)
{
	bool withdraws_nothing = false;

	(void)j;
	MODEL_ASSERT(withdraws_nothing);
	return true;
}

/* As the home's cancel walk does, on the home's own thread. */
static void handle_cancel(struct tti_msg *m)
{
	struct tt_task *t = tasks[tti_home_here->index];

	(void)m;
	t->cancel_bits |= TTI_CANCELLED;
	tti_wait_cancel(t);
}

static void setup(unsigned n)
{
	workers_setup(n, n);
	memset(&lookups, 0, sizeof(lookups));
	tti_list_init(&lookups.list);
	for (unsigned i = 0; i < WORKERS; i++)
		told[i] = 1;
}

static void setup_two(void) { setup(2); }

static void asks(void)
{
	struct tti_worker *w = worker_start();
	struct tti_addr addrs[TTI_ADDRS_MAX];

	told[w->home.index] = ask("host", "", addrs);
	tti_error_clear(&tasks[w->home.index]->err);
}

static void cancels_first(void)
{
	cancel_msg.handle = handle_cancel;
	tti_worker_post(&workers[0], &cancel_msg);
}

static void check_told(void)
{
	workers_retire(2);
	MODEL_ASSERT(told[0] == TT_ENOMEM && told[1] == TT_ENOMEM);
	MODEL_ASSERT(tti_list_empty(&lookups.list));
}

static void check_cancelled_or_told(void)
{
	workers_retire(2);
	MODEL_ASSERT(told[0] == TT_ENOMEM || told[0] == TT_ECANCELED);
	MODEL_ASSERT(told[1] == TT_ENOMEM);
	MODEL_ASSERT(tti_list_empty(&lookups.list));
	model_outcome("%s", told[0] == TT_ECANCELED ? "cancelled" : "told");
}

static const char *const cancelled_or_told[] = { "cancelled", "told", NULL };

static const struct model_scenario scenarios[] = {
	{ .name = "joined", .claim = "Who joined a lookup that cannot be begun is told.", .setup = setup_two,
	  .threads = { asks, asks }, .check = check_told },
	{ .name = "left", .claim = "Who is cancelled meanwhile leaves it, and withdraws no job that was not taken.",
	  .setup = setup_two, .threads = { asks, asks, cancels_first }, .check = check_cancelled_or_told,
	  .outcomes = cancelled_or_told },
	{ .name = NULL },
};

int main(int argc, char **argv)
{
	static const char *const files[] = { "src/net/resolve.c", NULL };
	static const struct model_harness h = {
		.name = "resolve", .scenarios = scenarios, .files = files,
	};

	return model_main(argc, argv, &h);
}

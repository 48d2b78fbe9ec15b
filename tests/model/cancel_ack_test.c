/* SPDX-License-Identifier: MIT */
/*
 * cancel_ack_test.c - group.c, scope.c and the inboxes under the model: a group on one
 * worker, its child on another, and a cancel that crosses the child's exit.
 *
 * The child's record may be freed only after its exit AND the acknowledgement of a cancel
 * message were received by the group's owner: the message lies inside the record. Freed
 * blocks are poisoned and every touch of their messages is checked, so a record freed too
 * early fails here, as does one never freed, and a join that never ends.
 *
 * The workers are those of workers.h; the child runs inside its worker's loop, between two
 * looks at the inbox.
 */
/* model-sources: @scope */
#include "workers.h"

#include "scope/group.h"
#include "scope/scope.h"

static tt_group group;
static tt_canceller *canceller;
static bool child_done;              /* child's worker only */
static unsigned child_saw_cancel;    /* cancel_bits at its end */
static int result;
static unsigned news;                /* written by the owner before it cancels */
static bool looks_at_origin;
static bool member_spawns;           /* the child starts another one in the shared group */
static unsigned grandchildren;       /* that ended; owner's worker only */
static bool spawned;                 /* and that was taken; child's worker only */

/* ---- The children ---- */

static int child_main(void *args)
{
	(void)args;
	return 0;
}

static int grandchild_main(void *args)
{
	(void)args;
	return 0;
}

/* What opening a block inside the child does: it looks at the flags, not at the cache. */
static void look_at_flags(const struct tt_task *t)
{
	if ((tti_scope_effective(t->scope) & TTI_CANCELLED) != 0)
		MODEL_ASSERT(model_plain_read(news) == 1);
}

/* What the report of an ignored cancel does: it names the block that was cancelled, and why. There
 * is one for whoever was told of a cancel. */
static void look_at_origin(const struct tt_task *t)
{
	const char *why = "";

	if ((t->cancel_bits & TTI_CANCELLED) == 0)
		return;
	MODEL_ASSERT(strcmp(tti_cancel_origin(t, &why), "model") == 0);
	MODEL_ASSERT(model_plain_read(news) == 1);
}

static void child_lives(struct tti_worker *w, struct tt_task *t)
{
	tti_task_move(t, TTI_TASK_RUNNING);
	w->home.current = t;
	if (member_spawns && w == &workers[1])
		spawned = tt_spawn(&group, grandchild_main, NULL, NULL) == 0;
	w->home.current = NULL;
	/* It yields once: messages are handled while it is alive. */
	tti_worker_finish(w);
	if (looks_at_origin)
		look_at_origin(t);
	else
		look_at_flags(t);
	t->rc = (t->cancel_bits & TTI_CANCELLED) != 0 ? TT_ECANCELED : 0;
}

static void child_run(struct tti_worker *w, struct tt_task *t)
{
	if (t->life->start(t))
		child_lives(w, t);
	child_saw_cancel |= w == &workers[1] ? t->cancel_bits : 0;
	tti_task_move(t, TTI_TASK_DONE);
	tti_list_unlink(&t->all_link);
	if (w == &workers[1])
		child_done = true;
	else
		grandchildren++;
	t->life->exit(t);
}

/* ---- The threads ---- */

static void setup(void)
{
	workers_setup(2, 1);
	run_fresh_task = child_run;
	model_name(&workers[0].inbox.newest, "inbox of the owner");
	model_name(&workers[1].inbox.newest, "inbox of the child");
	child_done = spawned = member_spawns = looks_at_origin = false;
	news = grandchildren = 0;
	child_saw_cancel = 0;
	canceller = NULL;
	result = 1;
	tti_home_here = &workers[0].home;
	tt_group_open_(&group, NULL, "model");
}

static void setup_shared(void)
{
	setup();
	TT_IGNORE(tt_group_end(&group, 0));
	tt_group_open_(&group, &(tt_group_options){ .shared = true }, "model");
	member_spawns = true;
}

static void setup_origin(void)
{
	setup();
	looks_at_origin = true;
}

static void setup_canceller(void)
{
	setup();
	canceller = tt_group_canceller(&group);
	MODEL_ASSERT(canceller != NULL);
}

static void spawn_child(void)
{
	int rc = tt_spawn(&group, child_main, NULL, &(tt_child_options){ .worker = TT_WORKER(1) });

	MODEL_ASSERT(rc == 0);
}

static void end_group(int rc)
{
	result = tt_group_end(&group, rc);
	/* A late acknowledgement or canceller message may still be under way; the worker
	 * would see it in a later turn. */
	tti_worker_finish(&workers[0]);
}

static void owner_joins(void)
{
	worker_start();
	spawn_child();
	end_group(0);
}

static void owner_cancels(void)
{
	worker_start();
	spawn_child();
	model_plain_write(news, 1u);
	tt_group_cancel(&group);
	end_group(0);
}

static void owner_fails(void)
{
	worker_start();
	spawn_child();
	model_plain_write(news, 1u);
	end_group(-EIO);
}

/* A soft cancel and then a hard one: the second finds the first message still out. */
static void owner_stops_then_cancels(void)
{
	worker_start();
	spawn_child();
	tti_scope_stop((struct tti_scope *)(void *)&group);
	model_plain_write(news, 1u);
	tt_group_cancel(&group);
	end_group(0);
}


/* A worker that goes on until the owner tells it to stop, as in a runtime. */
static struct tti_msg stop_msg;
static bool stopped;

static void handle_stop(struct tti_msg *m)
{
	(void)m;
	stopped = true;
}

static void child_worker_for_ever(void)
{
	struct tti_worker *w = worker_start();

	stopped = false;
	while (!stopped) {
		handle_work(w);
		if (!stopped)
			sleep_for_messages(w);
	}
}

static void stop_child_worker(void)
{
	stop_msg.handle = handle_stop;
	tti_worker_post(&workers[1], &stop_msg);
}

static void joins_and_stops(void) { owner_joins(); stop_child_worker(); }
static void cancels_and_stops(void) { owner_cancels(); stop_child_worker(); }
static void fails_and_stops(void) { owner_fails(); stop_child_worker(); }
static void soft_hard_and_stops(void) { owner_stops_then_cancels(); stop_child_worker(); }

static void outsider(void)
{
	model_plain_write(news, 1u);
	tt_cancel(canceller);
	tt_canceller_put(canceller);
}

/* Two outsiders with codes of their own: one decides, and both handles are given back. */
static void outsider_with(int code)
{
	tt_cancel_with(canceller, code, "code %d", code);
	tt_canceller_put(canceller);
}

static void outsider_1(void) { outsider_with(TT_EIO); }
static void outsider_2(void) { outsider_with(TT_EPROTO); }

static void setup_two_cancellers(void)
{
	setup_canceller();
	MODEL_ASSERT(tt_group_canceller(&group) == canceller);
	model_plain_write(news, 1u); /* no news of theirs is looked for here */
}

static void check_success(void)
{
	MODEL_ASSERT(child_done);
	MODEL_ASSERT(result == 0);
	MODEL_ASSERT(grandchildren == (spawned ? 1 : 0));
	MODEL_ASSERT(spawned == member_spawns);
	workers_retire(2);
}

/* The owner cancelled, so its code stands whatever the child made of it. */
static void check_cancelled(void)
{
	MODEL_ASSERT(child_done);
	MODEL_ASSERT(result == 0);
	MODEL_ASSERT(grandchildren == (spawned ? 1 : 0));
	workers_retire(2);
}

static void check_failed(void)
{
	MODEL_ASSERT(child_done);
	MODEL_ASSERT(result == -EIO);
	workers_retire(2);
}

static void check_outside(void)
{
	/* Cancelled from outside: TT_ECANCELED, unless the child was through before. */
	MODEL_ASSERT(child_done);
	MODEL_ASSERT(result == 0 || result == TT_ECANCELED);
	MODEL_ASSERT(child_saw_cancel == 0 || result == TT_ECANCELED);
	workers_retire(2);
}

static void check_one_code(void)
{
	MODEL_ASSERT(child_done);
	MODEL_ASSERT(result == 0 || result == TT_EIO || result == TT_EPROTO);
	MODEL_ASSERT(child_saw_cancel == 0 || result != 0);
	tti_home_here = &workers[0].home;
	tti_error_clear(&tasks[0]->err);
	workers_retire(2);
}

static const struct model_scenario scenarios[] = {
	{ .name = "join", .claim = "A join ends when the child's exit came, and its record is freed once.",
	  .setup = setup, .threads = { joins_and_stops, child_worker_for_ever }, .check = check_success },
	{ .name = "cancel", .claim = "A cancel crossing the exit: freed after both messages came back.",
	  .setup = setup, .threads = { cancels_and_stops, child_worker_for_ever }, .check = check_cancelled },
	{ .name = "origin", .claim = "Who asks which block was cancelled sees what was done before.",
	  .setup = setup_origin, .threads = { cancels_and_stops, child_worker_for_ever }, .check = check_cancelled },
	{ .name = "fail", .claim = "A failing body cancels and joins the same way.", .setup = setup,
	  .threads = { fails_and_stops, child_worker_for_ever }, .check = check_failed },
	{ .name = "soft_then_hard", .claim = "A second cancel waits for the first message's return.", .setup = setup,
	  .threads = { soft_hard_and_stops, child_worker_for_ever }, .check = check_cancelled },
	{ .name = "member_spawns", .claim = "A member's spawn on another worker is joined too.", .setup = setup_shared,
	  .threads = { joins_and_stops, child_worker_for_ever }, .check = check_success },
	{ .name = "member_cancelled", .claim = "A member's spawn and a cancel cross: joined, refused, or cancelled.",
	  .setup = setup_shared, .threads = { cancels_and_stops, child_worker_for_ever }, .check = check_cancelled },
	{ .name = "outsider", .claim = "A foreign thread's canceller crosses both; its handle is freed once.",
	  .setup = setup_canceller, .threads = { joins_and_stops, child_worker_for_ever, outsider },
	  .check = check_outside, .executions = 100000, .partial = true },
	{ .name = "two_cancellers", .claim = "Of two outsiders one's code is the group's; the handle is freed once.",
	  .setup = setup_two_cancellers, .threads = { joins_and_stops, child_worker_for_ever, outsider_1, outsider_2 },
	  .check = check_one_code, .executions = 60000, .partial = true },
	{ .name = NULL },
};

int main(int argc, char **argv)
{
	static const char *const files[] = {
		"src/scope/scope.c", "src/scope/group.c", "src/scope/canceller.c", "src/base/inbox.h", NULL,
	};
	static const struct model_harness h = {
		.name = "cancel_ack", .scenarios = scenarios, .files = files,
	};

	return model_main(argc, argv, &h);
}

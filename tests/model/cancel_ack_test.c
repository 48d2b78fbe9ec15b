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
 * The two workers are real but for their loop: they handle their messages and sleep on a
 * token; the child runs inside its worker's loop, between two looks at the inbox.
 */
/* model-sources: src/scope/scope.c src/scope/group.c src/scope/canceller.c src/sched/worker.c
 * model-sources: src/task/task.c src/task/error.c src/task/error_text.c src/wait/wait.c
 * model-sources: src/timer/wheel.c src/base/spin.c src/env/env.c
 * model-sources: src/fiber/fiber.c src/fiber/guard.c src/fiber/slab.c src/fiber/overflow.c
 * model-sources: src/arch/x86_64/switch.S src/arch/aarch64/switch.S */
#include "model.h"

#include "env/env.h"
#include "io/driver.h"
#include "scope/group.h"
#include "scope/scope.h"

#include <string.h>

static struct tti_worker workers[2];
static struct tti_worker *worker_list[2] = { &workers[0], &workers[1] };
static struct tti_runtime runtime;
static struct driver { struct tti_driver base; struct model_parker eventfd; } drivers[2];
static struct tt_task *owner;
static tt_group group;
static tt_canceller *canceller;
static bool owner_ready;
static bool child_done;              /* child's worker only */
static unsigned child_saw_cancel;    /* cancel_bits at its end */
static int result;
static unsigned news;                /* written by the owner before it cancels */
static bool member_spawns;           /* the child starts another one in the shared group */
static unsigned grandchildren;       /* that ended; owner's worker only */
static bool spawned;                 /* and that was taken; child's worker only */

/* ---- The seams: memory, the driver's wake, ready and park ---- */

static void *env_alloc(size_t n)
{
	/* The reserve of error nodes is not wanted here. */
	return n == sizeof(struct tt_error_node) ? NULL : model_alloc(n);
}

static void env_free(void *p)
{
	if (p != NULL)
		model_free(p);
}

static int64_t env_now(void)
{
	return 1;
}

static const struct tti_env_ops model_env = {
	.name = "model", .alloc = env_alloc, .free = env_free, .now = env_now,
};

static void driver_wake(struct tti_driver *d)
{
	model_unpark(&TTI_CONTAINER_OF(d, struct driver, base)->eventfd);
}

static const struct tti_driver_ops driver_ops = { .name = "model", .wake = driver_wake };

static void home_ready(struct tt_task *t)
{
	tti_task_move(t, TTI_TASK_READY);
	owner_ready = true;
}

static void home_post(struct tti_home *h, struct tti_msg *m)
{
	tti_worker_post(tti_worker_of(h), m);
}

static void sleep_for_messages(struct tti_worker *w)
{
	if (!tti_inbox_sleep(&w->inbox))
		return; /* a message is there: look again */
	model_park(&drivers[w->home.index].eventfd);
	tti_inbox_awake(&w->inbox);
}

static void run_fresh(struct tti_worker *w);

static void home_park(struct tti_home *h)
{
	struct tt_task *t = h->current;

	h->current = NULL;
	while (!owner_ready) {
		tti_worker_finish(tti_worker_of(h));
		run_fresh(tti_worker_of(h));
		if (!owner_ready)
			sleep_for_messages(tti_worker_of(h));
	}
	owner_ready = false;
	tti_task_move(t, TTI_TASK_RUNNING);
	h->current = t;
}

static const struct tti_home_ops home_ops = { .ready = home_ready, .post = home_post, .park = home_park };

/* ---- The children ---- */

static int child_main(void *args)
{
	(void)args;
	return 0;
}

static const struct tt_task_type child_type = {
	.name = "child", .site = "model", .size = 0, .align = 1, .run = child_main,
};

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

static void child_lives(struct tti_worker *w, struct tt_task *t)
{
	tti_task_move(t, TTI_TASK_RUNNING);
	w->home.current = t;
	if (member_spawns && w == &workers[1])
		spawned = tt_spawn(&group, grandchild_main, NULL, NULL) == 0;
	w->home.current = NULL;
	/* It yields once: messages are handled while it is alive. */
	tti_worker_finish(w);
	look_at_flags(t);
	t->rc = (t->cancel_bits & TTI_CANCELLED) != 0 ? TT_ECANCELED : 0;
}

static void child_run(struct tti_worker *w, struct tt_task *t)
{
	tti_list_init(&t->fresh_link);
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

static void run_fresh(struct tti_worker *w)
{
	struct tti_list *n;

	while ((n = tti_list_pop_front(&w->fresh)) != NULL) {
		w->fresh_len--;
		child_run(w, TTI_CONTAINER_OF(n, struct tt_task, fresh_link));
	}
}

/* ---- The threads ---- */

static void setup(void)
{
	tti_env_bind(&model_env);
	memset(workers, 0, sizeof(workers));
	memset(&runtime, 0, sizeof(runtime));
	runtime.workers = worker_list;
	runtime.n_workers = 2;
	for (unsigned i = 0; i < 2; i++) {
		struct tti_worker *w = &workers[i];

		tti_home_init(&w->home, i, 2);
		w->home.ops = &home_ops;
		w->home.wheel = &w->wheel;
		drivers[i] = (struct driver){ .base.ops = &driver_ops };
		w->home.driver = &drivers[i].base;
		/* Full of records, by its count: every record freed goes back to env. */
		w->home.free_tasks.len = SIZE_MAX / 2;
		w->rt = &runtime;
		tti_list_init(&w->fresh);
		tti_inbox_init(&w->inbox);
		tti_wheel_init(&w->wheel, 0);
	}
	model_name(&workers[0].inbox.newest, "inbox of the owner");
	model_name(&workers[1].inbox.newest, "inbox of the child");
	owner_ready = child_done = spawned = member_spawns = false;
	news = grandchildren = 0;
	child_saw_cancel = 0;
	canceller = NULL;
	result = 1;
	tti_home_here = NULL;
	model_thread_local(&tti_home_here, sizeof(tti_home_here));
	tti_spin_held = 0;
	model_thread_local(&tti_spin_held, sizeof(tti_spin_held));
	tti_home_here = &workers[0].home;
	owner = tti_task_create(&workers[0].home, &child_type, NULL, "model");
	MODEL_ASSERT(owner != NULL);
	owner->home = &workers[0].home;
	tti_task_move(owner, TTI_TASK_RUNNING);
	workers[0].home.current = owner;
	tt_group_open_(&group, NULL, "model");
}

static void setup_shared(void)
{
	setup();
	TT_IGNORE(tt_group_end(&group, 0));
	tt_group_open_(&group, &(tt_group_options){ .shared = true }, "model");
	member_spawns = true;
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

static void owner_start(void)
{
	tti_home_here = &workers[0].home;
}

static void owner_joins(void)
{
	owner_start();
	spawn_child();
	end_group(0);
}

static void owner_cancels(void)
{
	owner_start();
	spawn_child();
	model_plain_write(news, 1u);
	tt_group_cancel(&group);
	end_group(0);
}

static void owner_fails(void)
{
	owner_start();
	spawn_child();
	model_plain_write(news, 1u);
	end_group(-EIO);
}

/* A soft cancel and then a hard one: the second finds the first message still out. */
static void owner_stops_then_cancels(void)
{
	owner_start();
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
	struct tti_worker *w = &workers[1];

	tti_home_here = &w->home;
	stopped = false;
	while (!stopped) {
		tti_worker_finish(w);
		run_fresh(w);
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

static void retire_owner(void)
{
	tti_home_here = &workers[0].home;
	workers[0].home.current = NULL;
	/* What came after the owner's last look. */
	tti_worker_finish(&workers[0]);
	tti_worker_finish(&workers[1]);
	tti_task_move(owner, TTI_TASK_DONE);
	tti_list_unlink(&owner->all_link);
	tti_task_put(owner);
}

static void check_success(void)
{
	MODEL_ASSERT(child_done);
	MODEL_ASSERT(result == 0);
	MODEL_ASSERT(grandchildren == (spawned ? 1 : 0));
	MODEL_ASSERT(spawned == member_spawns);
	retire_owner();
}

/* The owner cancelled, so its code stands whatever the child made of it. */
static void check_cancelled(void)
{
	MODEL_ASSERT(child_done);
	MODEL_ASSERT(result == 0);
	MODEL_ASSERT(grandchildren == (spawned ? 1 : 0));
	retire_owner();
}

static void check_failed(void)
{
	MODEL_ASSERT(child_done);
	MODEL_ASSERT(result == -EIO);
	retire_owner();
}

static void check_outside(void)
{
	/* Cancelled from outside: TT_ECANCELED, unless the child was through before. */
	MODEL_ASSERT(child_done);
	MODEL_ASSERT(result == 0 || result == TT_ECANCELED);
	MODEL_ASSERT(child_saw_cancel == 0 || result == TT_ECANCELED);
	retire_owner();
}

static const struct model_scenario scenarios[] = {
	{ .name = "join", .claim = "A join ends when the child's exit came, and its record is freed once.",
	  .setup = setup, .threads = { joins_and_stops, child_worker_for_ever }, .check = check_success },
	{ .name = "cancel", .claim = "A cancel crossing the exit: freed after both messages came back.",
	  .setup = setup, .threads = { cancels_and_stops, child_worker_for_ever }, .check = check_cancelled },
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
	{ .name = NULL },
};

int main(int argc, char **argv)
{
	static const char *const files[] = {
		"src/scope/scope.c", "src/scope/group.c", "src/scope/canceller.c", "src/base/inbox.h", NULL,
	};
	static const struct model_harness h = { .name = "cancel_ack", .scenarios = scenarios, .files = files };

	return model_main(argc, argv, &h);
}

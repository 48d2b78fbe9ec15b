/* SPDX-License-Identifier: MIT */
/*
 * join_test.c - how groups count and end, under the model: children on two workers fail at
 * the same time, members and outsiders spawn while the group ends or is full, and handles
 * outlive their child.
 *
 * A child's arguments are a block that its function or its destructor frees: once in each
 * execution, whatever happened to the spawn. Error nodes come from small reserves and must
 * all be back at the end. Workers and their loop are those of workers.h; children run inside
 * their worker's loop, between two looks at the inbox.
 */
/* model-sources: @scope */
#include "workers.h"

#include "scope/group.h"
#include "scope/scope.h"

#define NODES 4                      /* of each worker's reserve */
#define ARGS 4

static struct tti_runtime *const rt = &runtime;
static tt_group group;
static struct tti_gate gate;
static struct tt_error_node nodes[WORKERS][NODES];
static unsigned *args_of[ARGS];      /* a block for each child, freed by whoever owns it last */
static unsigned args_n;
static int codes[ARGS];              /* what each child ends with */
static int result, drained, spawn_rc[WORKERS];
static unsigned runs;                /* children that ran; owner's worker */
static unsigned written[ARGS];       /* by the children, plain */
static tt_task *handle;
static int handle_code;
static unsigned stops_left;          /* of the worker loops; owner's thread */
static bool stopped[WORKERS];
static struct tti_msg stop_msgs[WORKERS];

/* ---- Children ---- */

static int child_main(void *args)
{
	unsigned *number = *(unsigned **)args, i = *number;

	model_plain_write(written[i], 1u);
	model_free(number);
	return codes[i];
}

static void child_drop(void *args)
{
	model_free(*(unsigned **)args);
}

static const struct tt_task_type child_type = {
	.name = "child", .site = "model", .size = sizeof(unsigned *), .align = _Alignof(unsigned *), .run = child_main,
	.drop = child_drop,
};

static unsigned *new_args(unsigned i)
{
	return args_of[i];
}

static int spawn_into(unsigned i, unsigned worker, tt_task **ret_task)
{
	unsigned *args = new_args(i);

	return tti_group_spawn(tti_group_from_public(&group), &child_type, &args, "model",
	                       &(tt_child_options){ .worker = worker }, false, ret_task);
}

static int member_main(void *args);

static void run_child(struct tti_worker *w, struct tt_task *t)
{
	if (t->life->start(t)) {
		tti_task_move(t, TTI_TASK_RUNNING);
		w->home.current = t;
		t->rc = tti_task_run(t);
		if (t->rc < 0)
			TT_IGNORE(tt_wrap_(t->rc, "model", "child", "child %llu", (unsigned long long)t->id));
		w->home.current = NULL;
	} else {
		tti_task_drop_args(t);
	}
	tti_task_move(t, TTI_TASK_DONE);
	tti_list_unlink(&t->all_link);
	t->life->exit(t);
}

/* Spawns one more into the group it is in. */
static int member_main(void *args)
{
	(void)args;
	spawn_rc[1] = spawn_into(1, TT_WORKER_HERE, NULL);
	return 0;
}

static const struct tt_task_type member_type = {
	.name = "member", .site = "model", .size = 0, .align = 1, .run = member_main,
};

/* ---- Setup ---- */

static void setup_group(unsigned n_workers, unsigned n_args, const tt_group_options *o)
{
	workers_setup(n_workers, 1);
	run_fresh_task = run_child;
	for (unsigned i = 0; i < n_workers; i++) {
		workers[i].home.free_nodes = (struct tti_stack){ 0 };
		for (unsigned k = 0; k < NODES; k++)
			tti_stack_push(&workers[i].home.free_nodes, (struct tti_link *)(void *)&nodes[i][k]);
		stopped[i] = false;
		spawn_rc[i] = 1;
	}
	for (unsigned i = 0; i < ARGS; i++) {
		codes[i] = 0;
		written[i] = 0;
		args_of[i] = NULL;
	}
	args_n = n_args;
	for (unsigned i = 0; i < n_args; i++) {
		args_of[i] = model_alloc(sizeof(unsigned));
		*args_of[i] = i;
	}
	gate = (struct tti_gate){ .rt = rt };
	result = drained = handle_code = 1;
	handle = NULL;
	runs = 0;
	tti_home_here = &workers[0].home;
	tt_group_open_(&group, o, "model");
	model_name(&tti_group_from_public(&group)->n_children, "n_children");
	model_name(&tti_group_from_public(&group)->n_placed, "n_placed");
	tti_home_here = NULL;
	stops_left = n_workers - 1;
}

static void setup_two_fail(void)
{
	setup_group(3, 2, NULL);
	codes[0] = TT_EIO;
	codes[1] = TT_EPROTO;
}

static void setup_collect(void)
{
	setup_group(3, 2, &(tt_group_options){ .policy = TT_COLLECT_ALL });
	codes[0] = TT_EIO;
	codes[1] = TT_EPROTO;
}

static void setup_first_success(void)
{
	setup_group(3, 2, &(tt_group_options){ .policy = TT_FIRST_SUCCESS });
	codes[0] = 1;
	codes[1] = 2;
}

static void setup_member(void)
{
	setup_group(2, 2, &(tt_group_options){ .shared = true });
}

static void setup_places(void)
{
	setup_group(2, 3, &(tt_group_options){ .shared = true, .max_children = 2 });
}

static void setup_gate(void)
{
	setup_group(1, 1, &(tt_group_options){ .shared = true });
}

static void setup_two_at_gate(void)
{
	setup_group(1, 2, &(tt_group_options){ .shared = true, .max_children = 1 });
}

static void setup_handle(void)
{
	setup_group(2, 1, NULL);
	codes[0] = 5;
}

/* ---- The threads ---- */

static void handle_stop(struct tti_msg *m)
{
	stopped[tti_home_here->index] = true;
	(void)m;
}

static void worker_for_ever(void)
{
	struct tti_worker *w = worker_start();

	while (!stopped[w->home.index]) {
		handle_work(w);
		if (!stopped[w->home.index])
			sleep_for_messages(w);
	}
}

static void end_and_stop(int rc)
{
	result = tt_group_end(&group, rc);
	/* A late acknowledgement may still be under way; the worker would see it later. */
	tti_worker_finish(&workers[0]);
	for (unsigned i = 1; i <= stops_left; i++) {
		stop_msgs[i].handle = handle_stop;
		tti_worker_post(&workers[i], &stop_msgs[i]);
	}
}

static void owner_of_two(void)
{
	worker_start();
	MODEL_ASSERT(spawn_into(0, TT_WORKER(1), NULL) == 0);
	spawn_rc[0] = spawn_into(1, TT_WORKER(2), NULL);
	end_and_stop(0);
}

static void owner_drains_two(void)
{
	worker_start();
	MODEL_ASSERT(spawn_into(0, TT_WORKER(1), NULL) == 0);
	MODEL_ASSERT(spawn_into(1, TT_WORKER(2), NULL) == 0);
	drained = tt_group_drain(&group);
	end_and_stop(0);
}

static void owner_of_member(void)
{
	worker_start();
	MODEL_ASSERT(tti_group_spawn(tti_group_from_public(&group), &member_type, NULL, "model",
	                             &(tt_child_options){ .worker = TT_WORKER(1) }, false, NULL) == 0);
	spawn_rc[0] = spawn_into(0, TT_WORKER_HERE, NULL);
	end_and_stop(0);
}

/* Spawns through the gate of a group whose owner may be closing it. */
static void outsider(unsigned i)
{
	unsigned *args = new_args(i);

	spawn_rc[i] = tti_group_spawn_through(&gate, tti_group_from_public(&group), &child_type, &args, "model", NULL);
}

static void outsider_1(void) { outsider(0); }
static void outsider_2(void) { outsider(1); }

static void owner_closes_gate(void)
{
	worker_start();
	/* As background.c does: nothing comes in after it, and what did is joined. */
	tti_spin_lock(&gate.lock);
	gate.refuses = TT_ECLOSED;
	tti_spin_unlock(&gate.lock);
	end_and_stop(0);
}

static void owner_gives_handle(void)
{
	tt_task *t = NULL;

	worker_start();
	MODEL_ASSERT(spawn_into(0, TT_WORKER(1), &t) == 0);
	MODEL_ASSERT(tt_task_join(t) == codes[0]);
	MODEL_ASSERT(model_plain_read(written[0]) == 1);
	end_and_stop(0);
	tti_task_put(t);
}

/* A plain thread puts the handle back, perhaps as the last. */
static tti_atomic_ptr handle_box;

static void owner_lends_handle(void)
{
	tt_task *t = NULL;

	worker_start();
	MODEL_ASSERT(spawn_into(0, TT_WORKER(1), &t) == 0);
	/* release: pairs with the acquire in borrower(). */
	tti_store_release(&handle_box, (void *)t);
	end_and_stop(0);
}

static void borrower(void)
{
	tt_task *t;

	/* acquire: pairs with the release in owner_lends_handle(). */
	while ((t = tti_load_acquire(&handle_box)) == NULL)
		tti_cpu_relax();
	MODEL_ASSERT(t->id != 0);
	tti_task_put(t);
}

static void setup_borrowed(void)
{
	setup_handle();
	/* relaxed: setup runs alone. */
	tti_store_relaxed(&handle_box, NULL);
}

/* ---- Checks ---- */

static void finish(unsigned n_workers)
{
	unsigned in_reserve = 0;

	tti_home_here = &workers[0].home;
	tti_error_clear(&tasks[0]->err);
	workers_retire(n_workers);
	for (unsigned i = 0; i < n_workers; i++) {
		struct tti_link *n;

		MODEL_ASSERT(workers[i].home.error_nodes_dropped == 0);
		while ((n = tti_stack_pop(&workers[i].home.free_nodes)) != NULL)
			in_reserve++;
	}
	MODEL_ASSERT(in_reserve == n_workers * NODES);
}

static unsigned chain_length(const struct tt_error_node *n)
{
	unsigned len = 0;

	for (; n != NULL; n = n->cause) {
		len++;
		for (const struct tt_error_node *s = n->sibling; s != NULL; s = s->sibling)
			len++;
	}
	return len;
}

/* The first failure is the result; the other child failed too, or was cancelled. */
static void check_first_wins(void)
{
	bool second_ran = written[1] == 1;

	MODEL_ASSERT(result == TT_EIO || result == TT_EPROTO);
	MODEL_ASSERT(result == TT_EIO ? written[0] == 1 : second_ran);
	MODEL_ASSERT(tasks[0]->err.code == result);
	MODEL_ASSERT(chain_length(tasks[0]->err.head) >= 1);
	model_outcome("%s", result == TT_EIO ? "first" : "second");
	finish(3);
}

static void check_both_kept(void)
{
	MODEL_ASSERT(drained == result);
	MODEL_ASSERT(result == TT_EIO || result == TT_EPROTO);
	MODEL_ASSERT(written[0] == 1 && written[1] == 1);
	MODEL_ASSERT(chain_length(tasks[0]->err.head) >= 2);
	model_outcome("%s", result == TT_EIO ? "first" : "second");
	finish(3);
}

static void check_one_success(void)
{
	MODEL_ASSERT(result == 1 || result == 2);
	MODEL_ASSERT(written[result - 1] == 1);
	model_outcome("%s", result == 1 ? "first" : "second");
	finish(3);
}

static void check_member_joined(void)
{
	MODEL_ASSERT(result == 0);
	MODEL_ASSERT(spawn_rc[0] == 0 && written[0] == 1);
	MODEL_ASSERT(spawn_rc[1] == 0 && written[1] == 1);
	finish(2);
}

/* Two places: the member has one; of its spawn and the owner's second one may be refused, and
 * only the member's. */
static void check_places(void)
{
	MODEL_ASSERT(result == 0);
	MODEL_ASSERT(spawn_rc[0] == 0 && written[0] == 1);
	MODEL_ASSERT(spawn_rc[1] == 0 || spawn_rc[1] == TT_EAGAIN);
	MODEL_ASSERT(written[1] == (spawn_rc[1] == 0 ? 1 : 0));
	/* Each place was taken by one child alone, and given back by it. */
	MODEL_ASSERT(tti_group_from_public(&group)->n_placed.v == 0);
	model_outcome("%s", spawn_rc[1] == 0 ? "room" : "full");
	model_free(args_of[2]);
	finish(2);
}

static void check_gate(void)
{
	MODEL_ASSERT(result == 0);
	MODEL_ASSERT(spawn_rc[0] == 0 || spawn_rc[0] == TT_ECLOSED);
	MODEL_ASSERT(written[0] == (spawn_rc[0] == 0 ? 1 : 0));
	model_outcome("%s", spawn_rc[0] == 0 ? "in" : "refused");
	finish(1);
}

static void check_two_at_gate(void)
{
	unsigned in = 0;

	MODEL_ASSERT(result == 0);
	for (unsigned i = 0; i < 2; i++) {
		MODEL_ASSERT(spawn_rc[i] == 0 || spawn_rc[i] == TT_ECLOSED || spawn_rc[i] == TT_EAGAIN);
		MODEL_ASSERT(written[i] == (spawn_rc[i] == 0 ? 1 : 0));
		in += spawn_rc[i] == 0;
	}
	model_outcome("%u in", in);
	finish(1);
}

static void check_handle(void)
{
	MODEL_ASSERT(result == 0 && written[0] == 1);
	finish(2);
}

static const char *const first_or_second[] = { "first", "second", NULL };
static const char *const room_or_full[] = { "room", "full", NULL };
static const char *const in_or_refused[] = { "in", "refused", NULL };
static const char *const up_to_one[] = { "0 in", "1 in", NULL };

static const struct model_scenario scenarios[] = {
	{ .name = "two_fail", .claim = "Of two children that fail the first decides; nothing of the other's is lost or freed twice.",
	  .setup = setup_two_fail, .threads = { owner_of_two, worker_for_ever, worker_for_ever }, .check = check_first_wins,
	  .outcomes = first_or_second, .executions = 60000, .partial = true },
	{ .name = "collect", .claim = "A drain keeps both failures, one as the other's sibling.", .setup = setup_collect,
	  .threads = { owner_drains_two, worker_for_ever, worker_for_ever }, .check = check_both_kept,
	  .outcomes = first_or_second, .executions = 60000, .partial = true },
	{ .name = "first_success", .claim = "Of two successes the first to arrive is the group's.",
	  .setup = setup_first_success, .threads = { owner_of_two, worker_for_ever, worker_for_ever },
	  .check = check_one_success, .outcomes = first_or_second, .executions = 60000, .partial = true },
	{ .name = "member", .claim = "A member's spawn is counted before the member itself is gone.",
	  .setup = setup_member, .threads = { owner_of_member, worker_for_ever }, .check = check_member_joined },
	{ .name = "places", .claim = "A full group makes its owner wait and its members come again.",
	  .setup = setup_places, .threads = { owner_of_member, worker_for_ever }, .check = check_places,
	  .outcomes = room_or_full },
	{ .name = "gate", .claim = "A foreign thread's spawn that crosses the end is joined or refused.",
	  .setup = setup_gate, .threads = { owner_closes_gate, outsider_1 }, .check = check_gate,
	  .outcomes = in_or_refused },
	{ .name = "two_at_gate", .claim = "Two foreign threads want the only place while the group ends.",
	  .setup = setup_two_at_gate, .threads = { owner_closes_gate, outsider_1, outsider_2 }, .check = check_two_at_gate,
	  .outcomes = up_to_one, .executions = 60000, .partial = true },
	{ .name = "handle", .claim = "A join by handle sees what the child wrote; the record goes with the last reference.",
	  .setup = setup_handle, .threads = { owner_gives_handle, worker_for_ever }, .check = check_handle },
	{ .name = "borrowed", .claim = "A handle given back on a plain thread crosses the retirement of its child.",
	  .setup = setup_borrowed, .threads = { owner_lends_handle, worker_for_ever, borrower }, .check = check_handle,
	  .executions = 60000, .partial = true },
	{ .name = NULL },
};

int main(int argc, char **argv)
{
	static const char *const files[] = { "src/scope/group.c", "src/task/task.c", "src/base/inbox.h", NULL };
	static const struct model_harness h = { .name = "join", .scenarios = scenarios, .files = files };

	return model_main(argc, argv, &h);
}

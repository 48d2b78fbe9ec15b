/* SPDX-License-Identifier: MIT */
/*
 * process_test.c - the status of a child that is taken away, net/process.c under the model: the
 * close on one worker, and one who waits on another and finds the child gone.
 *
 * The kernel's table of children is a word of the model. A real one is under locks, which order
 * what is before and after them; in `gone` it orders nothing, so that what the waiter reads is
 * ordered by the process's own word or not at all.
 *
 * process.c is part of this file: its steps are static.
 */
/* model-sources: @worker */
#include "workers.h"

#include "net/process.c"

#define STATUS 7

static struct tt_process *process;
static struct tti_fd pidfd;
static struct tti_fd_call call;
static tti_atomic_u32 taken;                 /* the kernel's: the child is out of its table */
static bool kernel_orders;
static int told, status;                     /* what the waiter heard */

static bool is_taken(void)
{
	/* acquire: pairs with the release in take_child(), as the kernel's lock does. */
	if (kernel_orders)
		return tti_load_acquire(&taken) != 0;
	/* relaxed: this kernel orders nothing. */
	return tti_load_relaxed(&taken) != 0;
}

static void take_child(void)
{
	/* release: pairs with the acquire in is_taken(). */
	if (kernel_orders)
		tti_store_release(&taken, 1);
	else
		/* relaxed: this kernel orders nothing. */
		tti_store_relaxed(&taken, 1);
}

static int kernel_status(int fd, bool take, int *ret_status)
{
	MODEL_ASSERT(fd == pidfd.number);
	if (is_taken())
		return -ECHILD;
	*ret_status = STATUS;
	if (take)
		take_child();
	return 0;
}

const struct tti_process_ops tti_process_real = { .status = kernel_status };

static void setup(void)
{
	workers_setup(2, 0);
	process = model_alloc(sizeof(*process));
	memset(process, 0, sizeof(*process));
	memset(&pidfd, 0, sizeof(pidfd));
	pidfd.number = 5;
	memset(&call, 0, sizeof(call));
	call.fd = &pidfd;
	memset(&taken, 0, sizeof(taken));
	told = 1;
	status = 0;
	model_name(&process->ended, "ended");
	model_name(&taken, "taken");
	kernel_orders = false;
}

static void setup_ordered(void)
{
	setup();
	kernel_orders = true;
}

static void closes(void)
{
	tti_home_here = &workers[0].home;
	take_away(process, &call, STATUS);
}

static void looks(void)
{
	tti_home_here = &workers[1].home;
	told = peek(process, &call, &status);
}

static void check_gone(void)
{
	MODEL_ASSERT(taken.v == 1);
	MODEL_ASSERT(told == -ECHILD || (told == 0 && status == STATUS));
	model_outcome("%s", told == 0 ? "status" : "gone");
	model_free(process);
}

static void check_always_told(void)
{
	MODEL_ASSERT(told == 0 && status == STATUS);
	model_free(process);
}

static const char *const status_or_gone[] = { "status", "gone", NULL };

static const struct model_scenario scenarios[] = {
	{ .name = "gone", .claim = "Who is told the status of a child that is gone is told its own.", .setup = setup,
	  .threads = { closes, looks }, .check = check_gone, .outcomes = status_or_gone },
	{ .name = "told", .claim = "Who finds the child gone in a kernel that orders its calls is told its status.",
	  .setup = setup_ordered, .threads = { closes, looks }, .check = check_always_told },
	{ .name = NULL },
};

int main(int argc, char **argv)
{
	static const char *const files[] = { "src/net/process.c", NULL };
	static const struct model_harness h = {
		.name = "process", .scenarios = scenarios, .files = files,
	};

	return model_main(argc, argv, &h);
}

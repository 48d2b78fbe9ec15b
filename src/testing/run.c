/* SPDX-License-Identifier: MIT */
/*
 * run.c - the body of one test: on a plain thread, in simulations, or on a real runtime;
 * and what is checked after it.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/sim.h"
#include "net/net.h"
#include "testing/kit.h"

/* What a test that knows nothing of faults meets: orders of events, never an amount or a
 * moment that a real loopback would not show. */
#define QUIET_FAULTS \
	(TT_FAULT_BIT(TT_FAULT_LATE_COMPLETION) | TT_FAULT_BIT(TT_FAULT_CANCEL_RACE) | \
	 TT_FAULT_BIT(TT_FAULT_QUEUE_FULL) | TT_FAULT_BIT(TT_FAULT_SPURIOUS_WAKE))
#define SEEDS_DEFAULT 5

static TT_TASK(test_body, (const tt_test *, t))
{
	size_t alive;

	t->body();
	alive = tt_test_tasks_alive();
	if (alive != 1)
		tti_test_failed(false, t->site, "%zu tasks are alive at the end of the test", alive - 1);
	return 0;
}

uint32_t tti_test_failures(void)
{
	/* relaxed: a count, asked for when no other thread of the test is left. */
	return tti_load_relaxed(&tti_test_shared->failures);
}

int tti_test_call(const tt_task_type *type, const void *args, const char *site)
{
	unsigned char copy[512] __attribute__((aligned(16)));

	TT_REQUIRE(type->size <= sizeof(copy), "%s at %s: its arguments are too large for a torture", type->name, site);
	if (type->size > 0)
		memcpy(copy, args, type->size);
	return type->run(copy);
}

static void run_simulated(const tt_test *t)
{
	unsigned seeds = tt_test_seeds(SEEDS_DEFAULT);

	for (unsigned i = 0; i < seeds && tti_test_failures() == 0; i++) {
		tt_sim_options o = {
			.seed = tti_test_options.seed + i, .workers = tti_test_options.workers, .faults = QUIET_FAULTS,
		};

		tti_test_shared->seed = o.seed;
		tt_sim_run_with(&o, test_body, t);
	}
}

int tti_test_open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = -1; /* the directory's own */

	if (dir == NULL)
		return 0;
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

static enum tt_io chosen_io(void)
{
	if (tti_test_options.io_auto)
		return TT_IO_AUTO;
	return tti_test_options.on == TT_ON_URING ? TT_IO_URING : TT_IO_EPOLL;
}

static void run_real(const tt_test *t)
{
	tt_main_options o = { .workers = tti_test_options.workers, .io = chosen_io() };
	int before = tti_test_open_descriptors(), status, after;
	uint64_t left;

	status = tt_main_with(&o, test_body, t);
	after = tti_test_open_descriptors();
	/* The runtime closes what a program left open; that it had to is a failure all the same. */
	left = tti_net_left_open();
	if (left != 0)
		tti_test_failed(false, t->site, "%llu descriptors were not closed with tt_fd_close",
		                (unsigned long long)left);
	if (status != 0)
		tti_test_failed(false, t->site, "the runtime ended with status %d", status);
	if (after != before)
		tti_test_failed(false, t->site, "%d descriptors are left open", after - before);
}

int tti_test_run_body(const tt_test *t)
{
	const char *driver = "real";

	if (t->on == TT_ON_PLAIN_) {
		driver = "plain";
		t->body();
	} else if (tti_test_options.on == TT_ON_SIM) {
		driver = "sim";
		run_simulated(t);
	} else {
		run_real(t);
	}
	tti_test_write_sometimes(driver);
	return tti_test_failures() != 0;
}

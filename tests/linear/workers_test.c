/* SPDX-License-Identifier: MIT */
/*
 * workers_test.c - the same programs on real workers: fewer, and a failure cannot be repeated,
 * but the threads are real.
 *
 * test-on: epoll1 epoll4 uring4
 */
#include "specs.h"

#define PROGRAMS_EACH 12

#define PROGRAMS(name) \
	TT_TEST_ON(linear_workers, name, TT_ON_REAL, "programs_test has the simulated ones") \
	{ \
		lin_run_here(&lin_##name, tt_test_seeds(PROGRAMS_EACH)); \
	}

LIN_SPECS(PROGRAMS)

TT_TEST_MAIN()

/* SPDX-License-Identifier: MIT */
/*
 * programs_test.c - generated programs of every primitive, in simulations of as many workers as
 * --workers says, with gentle faults: each history is linearizable. --seed and --seeds say
 * which programs.
 *
 * test-on: sim1 sim2 sim4
 */
#include "specs.h"

#define PROGRAMS(name) \
	TT_TEST_PLAIN(linear, name) \
	{ \
		lin_simulate(&lin_##name); \
	}

LIN_SPECS(PROGRAMS)

TT_TEST_MAIN()

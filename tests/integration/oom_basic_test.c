/* SPDX-License-Identifier: MIT */
/*
 * oom_basic_test.c - the scenarios of torture_test.c with each allocation and each
 * call refused in turn: nothing is lost, nothing hangs, and the code says what was refused.
 *
 * test-on: sim2 epoll1 uring1
 * test-timeout: 3600
 * test-labels: slow
 */
#include <tutti/testing.h>

#define TORTURE_FAILURES
#define TORTURE_SIMULATED " accepts_on_a_name "
#define TORTURE_ALONE " connects_unix "
#include "torture_test.c"

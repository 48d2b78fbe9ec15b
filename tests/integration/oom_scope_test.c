/* SPDX-License-Identifier: MIT */
/*
 * oom_scope_test.c - the scenarios of torture_scope_test.c with each allocation and each
 * call refused in turn: nothing is lost, nothing hangs, and the code says what was refused.
 *
 * test-on: sim2 epoll1 uring1
 * test-timeout: 3600
 * test-labels: slow
 */
#include <tutti/testing.h>

#define TORTURE_FAILURES
/* A canceller that was refused cancels nothing: the scenario's own time ends it, if it is not real. */
#define TORTURE_CODE TT_ETIMEDOUT
#define TORTURE_SIMULATED " cancellers "
#include "torture_scope_test.c"

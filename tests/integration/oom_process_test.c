/* SPDX-License-Identifier: MIT */
/*
 * oom_process_test.c - the scenarios of torture_process_test.c with each allocation and each
 * call refused in turn: nothing is lost, nothing hangs, and the code says what was refused.
 *
 * test-on: sim2 epoll1 uring1
 * test-timeout: 3600
 * test-labels: slow children
 */
#include <tutti/testing.h>

#define TORTURE_FAILURES
#include "torture_process_test.c"

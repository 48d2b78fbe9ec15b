/* SPDX-License-Identifier: MIT */
/*
 * rings.h - for tests that start ring after ring. The kernel gives back the memory that a ring
 * locked some time after the ring was closed: a user who may lock little of it runs out, and a
 * runtime that insists on the ring says -ENOMEM. Root, and who may lock all, do not.
 */
#ifndef TTI_TESTS_RINGS_H
#define TTI_TESTS_RINGS_H

#include <sys/resource.h>
#include <unistd.h>

#include <tutti/testing.h>

static inline void skip_where_rings_are_few(void)
{
	struct rlimit locked = { 0, 0 };

	if (tt_test_on() != TT_ON_URING || geteuid() == 0)
		return;
	if (getrlimit(RLIMIT_MEMLOCK, &locked) == 0 && locked.rlim_cur == RLIM_INFINITY)
		return;
	tt_test_skip("this user may lock too little memory for ring after ring");
}

#endif

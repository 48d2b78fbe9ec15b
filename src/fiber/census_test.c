/* SPDX-License-Identifier: MIT */
/*
 * census_test.c - what 100,000 parked fibers cost: one page each, and the page tables.
 *
 * Prints resident memory and page tables apart. A kernel without MADV_GUARD_INSTALL
 * cannot hold so many guarded stacks; there the claim is that the error says so.
 */
#include "fiber/fiber.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CHECK(cond) \
	do { \
		if (!(cond)) { \
			fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #cond); \
			exit(1); \
		} \
	} while (0)

#ifdef TTI_FIBER_SANITIZED
#define FIBERS 1000u
#else
#define FIBERS 100000u
#endif

static struct tti_fiber_pool pool;
static struct tti_fiber thread;
static struct tti_fiber *fibers[FIBERS];
static unsigned parked;

/* In bytes; "VmRSS:", "VmPTE:". */
static long status_bytes(const char *key)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	long kib = 0;

	CHECK(f != NULL);
	while (fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, key, strlen(key)) == 0)
			kib = strtol(line + strlen(key), NULL, 10);
	}
	fclose(f);
	return kib * 1024;
}

static double now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static void park(void *arg)
{
	struct tti_fiber *self = arg;

	parked++;
	tti_fiber_switch(self, &thread, false);
	parked--;
	tti_fiber_switch(self, &thread, true);
}

static size_t acquire_and_park(void)
{
	for (unsigned i = 0; i < FIBERS; i++) {
		if (tti_fiber_acquire(&pool, TTI_STACK_64K, &fibers[i]) < 0)
			return i;
		tti_fiber_prepare(fibers[i], park, fibers[i]);
		tti_fiber_switch(&thread, fibers[i], false);
	}
	return FIBERS;
}

static void finish(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		tti_fiber_switch(&thread, fibers[i], false);
		tti_fiber_release(&pool, fibers[i]);
	}
	CHECK(parked == 0 && pool.live == 0 && pool.cached == n);
}

/* 100,000 fibers park, each on its own guarded stack, in one page each. */
static void hundred_thousand_parked_fibers(void)
{
	long rss = status_bytes("VmRSS:"), pte = status_bytes("VmPTE:");
	double start = now_ns(), per_fiber;
	size_t n = acquire_and_park();
	char text[256];

	per_fiber = (now_ns() - start) / (double)n;
	rss = (status_bytes("VmRSS:") - rss) / (long)n;
	pte = (status_bytes("VmPTE:") - pte) / (long)n;
	CHECK(tti_fiber_pool_limit_text(&pool, text, sizeof(text)) > 0);
	printf("%zu parked: resident %ld bytes, page tables %ld bytes, %.0f ns each\n%s\n", n, rss, pte, per_fiber,
	       text);
	CHECK(parked == n);
	if (pool.arena->guard_mode == TTI_GUARD_INSTALL)
		CHECK(n == FIBERS);
	else
		CHECK(strstr(text, "max_map_count") != NULL);
#if !defined(TTI_FIBER_SANITIZED) && defined(__OPTIMIZE__)
	if (n == FIBERS)
		CHECK(rss < 4400 && pte < 320);
#endif
	finish(n);
}

/* What a spike of tasks took goes back to the system. */
static void spike_is_given_back(void)
{
	long before = status_bytes("VmRSS:"), after;
	size_t n = pool.cached, given = 0, step;
	double start = now_ns();

	CHECK(tti_fiber_pool_trim(&pool) == 0);
	while ((step = tti_fiber_pool_trim(&pool)) > 0)
		given += step;
	CHECK(given == n && pool.cached == 0);
	after = status_bytes("VmRSS:");
	printf("trimmed %zu in %.0f ns each: resident %ld -> %ld KiB\n", given, (now_ns() - start) / (double)given,
	       before >> 10, after >> 10);
#ifndef TTI_FIBER_SANITIZED
	CHECK(before - after > (long)n * 4000);
#endif
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	CHECK(tti_fiber_pool_init(&pool, NULL) == 0);
	tti_fiber_adopt_thread(&thread);
	hundred_thousand_parked_fibers();
	spike_is_given_back();
	CHECK(tti_fiber_pool_is_valid(&pool));
	tti_fiber_pool_fini(&pool);
	return 0;
}

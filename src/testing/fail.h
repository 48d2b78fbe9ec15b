/* SPDX-License-Identifier: MIT */
/*
 * fail.h - what fails in a run of TT_ALLOC_TORTURE and TT_SYSCALL_TORTURE, and who says so.
 *
 *	fail.c       counts the places of a scenario and runs it once for each way each can fail
 *	fail_sim.c   one such run in the simulator: a layer over its driver and its files
 *	fail_real.c  one on real threads, in a process of its own with a time limit
 *	fail_ways.c  the ways in which the kernel can fail a call
 *	inject.c     a layer over env/: allocations, mappings, system calls, threads
 *
 * A place is passed by one call; the record of the run says which place fails and how. On
 * real workers all threads pass places, in an order that is not the same in each run: a
 * number names what failed only together with the record's `call`.
 */
#ifndef TTI_TESTING_FAIL_H
#define TTI_TESTING_FAIL_H

#include <tutti/testing.h>

#include "env/env.h"
#include "testing/kit.h"

struct tti_sim;

enum tti_fail_kind {
	TTI_FAIL_NOTHING,
	TTI_FAIL_ALLOC,                      /* allocations and mappings of memory */
	TTI_FAIL_CALL,                       /* system calls, operations of a driver, starts of threads */
};

/* How a call fails. */
enum tti_fail_how {
	TTI_FAIL_INSTEAD,                    /* it is not made */
	TTI_FAIL_BEHIND,                     /* it is made, and then says so (close) */
	TTI_FAIL_LATER,                      /* an operation: not made, and its completion says so */
	TTI_FAIL_SHORT,                      /* no failure: it moves one byte */
};

struct tti_fail_way {
	int code;                            /* the kernel's; 0 for SHORT */
	enum tti_fail_how how;
};

#define TTI_FAIL_WAYS_MAX 12
#define TTI_FAIL_PLACES_MAX 65536

/* The record of one run. Where a run is a process, in memory that both share. */
struct tti_fail {
	enum tti_fail_kind kind;
	uint64_t at;                         /* the place that fails, from 1; 0: none */
	unsigned way;                        /* which of the ways it has; ALLOC: 1, all later ones too */
	bool simulated;                      /* of system calls only mappings are left */
	tti_atomic_u32 armed;                /* places are counted */
	tti_atomic_u64 seen;                 /* places passed */
	tti_atomic_u64 allocs, mapped;       /* made and not given back; bytes likewise */
	uint8_t *ways;                       /* [TTI_FAIL_PLACES_MAX]: how many each place has; may be NULL */
	/* Of the one that failed, by the thread that passed it: */
	char call[24];                       /* "": none did */
	int code;                            /* the library's; 0: it was short */
	long arg;                            /* its first, mostly a descriptor */
};

/* One call passes a place that can fail in n ways. True: it fails in *ret_way. */
bool tti_fail_here(struct tti_fail *f, const char *call, long arg, const struct tti_fail_way *ways, unsigned n,
                   struct tti_fail_way *ret_way);
/* The same for memory. */
bool tti_fail_memory_here(struct tti_fail *f, const char *call);

/* fail_ways.c. Fills ret with the ways and returns how many there are; name: of the call. */
unsigned tti_fail_ways(const struct tti_env_ops *under, long nr, const long args[6], struct tti_fail_way *ret,
                       const char **ret_name);

/* inject.c. Binds a layer that obeys f to the calling thread, for good or until NULL; the
 * runtimes it starts take it to their threads. */
const struct tti_env_ops *tti_inject_layer(struct tti_fail *f, const struct tti_env_ops *under);

/* One torture. */
struct tti_failing {
	const tt_torture_options *options;
	const tt_task_type *type;
	const void *args;
	const char *site;
	const char *name;
	enum tti_fail_kind kind;
	struct tti_fail fail;                /* of the run in the simulator */
	uint64_t seed;
	uint64_t cancel_at;                  /* pairs: the place of a cancel, 0: none */
	uint8_t *ways;
	uint64_t allocs_before, mapped_before; /* left by the run without a failure */
	tt_torture_result result;
};

/* rc, what the scenario returned, is allowed for after what happened in this run; the calling
 * task has no chain afterwards. */
bool tti_failing_may_return(const struct tti_failing *t, const struct tti_fail *f, int rc);
/* "read(7), place 12, fails with TT_EIO", for reports. */
void tti_fail_describe(const struct tti_fail *f, char *buf, size_t n);

/* fail_sim.c. Returns the number of places where a cancel can strike. */
uint64_t tti_failing_simulate(struct tti_failing *t, uint64_t at, unsigned way);

/* How long a run on real workers may take, ns; a test may want less. */
extern int64_t tti_failing_time_limit;

/* fail_real.c. Runs are under way together, each in a process; finish() waits for all. */
struct tti_failing_real;
struct tti_failing_real *tti_failing_real_new(struct tti_failing *t);
void tti_failing_real_run(struct tti_failing_real *r, uint64_t at, unsigned way);
void tti_failing_real_finish(struct tti_failing_real *r);
/* How many places the runs so far had at most. */
uint64_t tti_failing_real_places(const struct tti_failing_real *r);
void tti_failing_real_free(struct tti_failing_real *r);

#endif

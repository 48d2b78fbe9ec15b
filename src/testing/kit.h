/* SPDX-License-Identifier: MIT */
/* kit.h - what the files of the test kit share. */
#ifndef TTI_TESTING_KIT_H
#define TTI_TESTING_KIT_H

#include <tutti/testing.h>

#include "base/atomic.h"

/* What the process of a test tells the one that runs it; in memory they share. */
struct tti_test_shared {
	tti_atomic_u32 failures;
	tti_atomic_u32 laws;                 /* bit n: law n was cited */
	uint64_t seed;                       /* the last one that ran */
	bool ended;                          /* it came to its end, and no exit() was in between */
	char skip[160];                      /* why it was skipped */
};

struct tti_test_options {
	unsigned on;                         /* one of TT_ON_* */
	bool io_auto;                        /* the runtime chooses the driver; on is TT_ON_EPOLL */
	unsigned workers;
	const char *only;
	uint64_t seed;
	unsigned seeds;                      /* 0: not asked for */
	unsigned timeout;                    /* s, per test */
	bool list, no_fork;
};

extern struct tti_test_options tti_test_options;
extern struct tti_test_shared *tti_test_shared;

/* A whole line on stdout, at once. */
TT_PRINTF(1, 2) void tti_test_say(const char *fmt, ...);
/* A failed expectation: counted, printed on stderr with its place; require ends the test. */
TT_PRINTF(3, 4) void tti_test_failed(bool require, const char *site, const char *fmt, ...);

/* Expectations that failed so far, in this process and in those that it has waited for. run.c. */
uint32_t tti_test_failures(void);
/* A scenario once more, in this task, with a copy of its arguments: it owns what it is given. run.c. */
int tti_test_call(const tt_task_type *type, const void *args, const char *site);

/* The body of one test, in this process; returns its exit status. run.c. */
int tti_test_run_body(const tt_test *t);

/* sometimes.c: what was counted, into the file that TUTTI_SOMETIMES names. */
void tti_test_write_sometimes(const char *driver);

/* parked.c */
struct tti_census {
	size_t alive;                        /* tasks, the caller included */
	size_t busy;                         /* of those but the caller: not parked */
	uint64_t slices;                     /* run so far, over all workers */
};
/* Asks every worker. Parks the calling task. */
void tti_census_take(struct tti_census *ret);

/* How many numbers this process has open, as far as it may look; run.c. */
int tti_test_open_descriptors(void);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * model.h - the model checker, as a harness sees it.
 *
 * A harness is a program: some scenarios of two to five threads that run real code of
 * the runtime compiled with -DTT_MODEL, and model_main(). The checker runs a scenario
 * once for each behaviour that C11 allows: each interleaving that matters and each
 * store that each load may read. memory.c says what is modelled and what is not.
 *
 * A failure prints the interleaving, one step a line, and a string for --replay.
 *
 * Life of an execution   setup(), alone; threads[] together; check(), alone and after
 *                        all of them. Every object is made anew in setup(): static
 *                        objects are re-initialised there, others come from
 *                        model_alloc(), which starts empty each time.
 * Determinism            between two atomic operations a thread may do nothing that
 *                        depends on an earlier execution.
 */
#ifndef TTI_TESTS_MODEL_H
#define TTI_TESTS_MODEL_H

#include "base/atomic.h"
#include <tutti/base.h>

#define MODEL_THREADS_MAX 6

struct model_scenario {
	const char *name;
	const char *claim;                         /* one sentence */
	void (*setup)(void);                       /* may be NULL */
	void (*threads[MODEL_THREADS_MAX])(void);
	void (*check)(void);                       /* may be NULL */
	/* Exactly the texts that model_outcome() is to produce, NULL-terminated. */
	const char *const *outcomes;
	/* The scenario has to fail, with this text in its message. */
	const char *fails;
	/* Switches away from a thread that could go on, at most; 0 is no bound. A bounded
	 * search has no reduction, so it pays only where the full one does not end. */
	unsigned preemptions;
	/* Spurious returns of each thread's futex waits and parks, at most. */
	unsigned spurious;
	/* Executions of the full search, at most; 0 is the program's default. */
	uint64_t executions;
	/* The search is known not to end within its budget: random executions follow. */
	bool partial;
	/* Blocks of model_alloc() may outlive the execution. */
	bool leaks;
};

/* A mutant that no scenario can catch, and why that is right. An entry whose mutant is
 * caught is an error too. */
struct model_survivor {
	const char *file;   /* the end of the path */
	const char *func;
	const char *change; /* as printed: "cas acq_rel->acquire" */
	const char *reason;
};

struct model_harness {
	const char *name;
	const struct model_scenario *scenarios;      /* up to one without a name */
	const struct model_survivor *survivors;      /* up to one without a file; may be NULL */
	/* The ends of the paths whose sites are weakened; NULL: everything below src/. */
	const char *const *files;
	/* Weaken the sites of this program's own file as well (the checker's self-tests). */
	bool mutate_own;
	/* The mutants are few and quick: an ordinary run tries them too. */
	bool mutate_always;
};

/* Returns the exit code: 0 when every scenario did as it says. */
int model_main(int argc, char **argv, const struct model_harness *h);

/* From here on: called by setup(), threads and check(). */

#define MODEL_ASSERT(cond) \
	do { \
		if (!(cond)) \
			model_fail("%s:%d: assertion failed: %s", __FILE__, __LINE__, #cond); \
	} while (0)
/* Ends the execution as a failure. */
TT_NORETURN TT_PRINTF(1, 2) void model_fail(const char *fmt, ...);
/* Notes how the execution came out; checked against the scenario's outcomes. */
TT_PRINTF(1, 2) void model_outcome(const char *fmt, ...);
/* A line in a printed interleaving. */
TT_PRINTF(1, 2) void model_note(const char *fmt, ...);
/* One of 0 .. n-1; every one is explored. */
unsigned model_choose(unsigned n);
/* 1 for threads[0] and so on; 0 in setup() and check(). */
unsigned model_thread(void);
/* How an atomic object is called in a printed interleaving. */
#define model_name(a, name) model_name_at(&(a)->v, sizeof((a)->v), (name))
void model_name_at(const volatile void *p, unsigned size, const char *name);
/* A thread-local of the code under test: the threads of the model share one real
 * thread, so it is saved and restored with them. Every thread starts with
 * what it holds when setup() registers it. */
void model_thread_local(void *p, size_t size);

/* Zeroed; a block not freed at the end is a leak. */
void *model_alloc(size_t size);
/* An error unless every access to the block happens before, and none comes after. */
void model_free(void *p);

/* Plain accesses of the harness's own, checked for races. */
#define model_plain_read(lvalue) TTI_PLAIN_READ(lvalue)
#define model_plain_write(lvalue, x) TTI_PLAIN_WRITE(lvalue, x)

/* As the system call: 0 after a wake, -EAGAIN when *word is not expected, -EINTR for a
 * spurious return. Orders nothing but the word itself. */
int model_futex_wait(tti_atomic_u32 *word, uint32_t expected);
/* Wakes n waiters at most, in any order; returns how many. */
int model_futex_wake(tti_atomic_u32 *word, int n);

/* A token as an eventfd or a semaphore is: park takes it, waiting until it is there.
 * Neither call orders any memory. Zero-initialised, it has no token. */
struct model_parker { bool token; };
void model_park(struct model_parker *p);
void model_unpark(struct model_parker *p);

#endif

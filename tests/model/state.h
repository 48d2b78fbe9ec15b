/* SPDX-License-Identifier: MIT */
/*
 * state.h - what the parts of the model checker share; harnesses do not include it.
 *
 * memory.c   locations, stores, views: what C11 lets an operation see
 * explore.c  threads, the choice of who goes on, replay, the reduction
 * races.c    plain data, blocks, the model's futex and parker
 * main.c     the command line, budgets, mutants, reports
 *
 * Everything is static and single-threaded. One execution lasts from model_reset() to
 * its verdict; `generation` tells the entries of hash tables from older ones.
 */
#ifndef TTI_TESTS_MODEL_STATE_H
#define TTI_TESTS_MODEL_STATE_H

#include "model.h"

#include "arch/switch.h"

#define MODEL_ACTORS (MODEL_THREADS_MAX + 1) /* 0 runs setup and check */
#define MODEL_LOCATIONS 40
#define MODEL_STORES 512                     /* of one execution */
#define MODEL_HISTORY 96                     /* of one location */
#define MODEL_STEPS 4000                     /* of one execution */
#define MODEL_READS 8                        /* locations a spin loop looks at */

/* What a thread knows: how far each thread has come (happens-before), and per location
 * the latest store, in modification order, that it may no longer read past. */
struct model_view {
	uint16_t clock[MODEL_ACTORS];
	uint16_t at[MODEL_LOCATIONS];            /* store ids; 0 is the initial one */
};

struct model_store {
	uint64_t value;
	uint16_t pos;                            /* in its location's modification order */
	uint8_t thread;
	bool rmw;                                /* read the one just before: stays next to it */
	bool syncs;                              /* sync is set: an acquire of it synchronises */
	const struct tti_model_site *site;       /* NULL for an initial value */
	struct model_view sync;
};

struct model_location {
	uintptr_t addr;
	unsigned size;
	const char *name;
	unsigned n;
	uint16_t order[MODEL_HISTORY];           /* store ids in modification order */
	uint16_t by_sc;                          /* latest store of a seq_cst access */
	uint16_t by_fence;                       /* latest store seen by a seq_cst fence */
	uint16_t by_futex;                       /* latest store seen under the futex lock */
	uint16_t touched[MODEL_ACTORS];          /* clock of each thread's last access */
	bool freed;
};

enum model_kind {
	KIND_NONE,
	KIND_LOCAL,       /* goes on without a choice: just started, or woken */
	KIND_RELAX,       /* spins until a store is newer than what it read */
	KIND_LOAD,
	KIND_STORE,
	KIND_RMW,
	KIND_CAS,
	KIND_FENCE,
	KIND_FUTEX_WAIT,
	KIND_FUTEX_WAKE,
	KIND_FUTEX_BLOCKED,
	KIND_PARK,
	KIND_UNPARK,
	KIND_DONE,
};

/* What a thread is about to do. */
struct model_step {
	enum model_kind kind;
	uint8_t order, fail_order;
	int loc;                                 /* -1 for none */
	uint64_t expected;                       /* of a compare-and-swap */
	struct model_parker *parker;
};

struct model_read { int loc; uint16_t store; };

struct model_actor {
	struct tti_context context;
	struct model_step next;
	struct model_view now;                   /* what happens before its next operation */
	struct model_view acquired;              /* what an acquire fence would add */
	struct model_view released;              /* at its last release fence */
	bool released_any;
	/* The reduction: an operation that was explored from here already. */
	bool asleep;
	uint16_t asleep_at;                      /* stores made when it was put to sleep */
	uint16_t only_from;                      /* not 0: reads older than this were explored */
	/* Spinning. */
	struct model_read reads[MODEL_READS];    /* since the last tti_cpu_relax() */
	struct model_read spun[MODEL_READS];     /* those before it */
	unsigned reads_n, spun_n, retries;
	bool reads_overflow;
	int newer_loc;                           /* the next read of it has to be newer, or -1 */
	uint16_t newer_than;
	unsigned spurious;
};

enum model_verdict {
	VERDICT_NONE,
	VERDICT_DONE,
	VERDICT_REDUNDANT,                       /* equal to an execution explored elsewhere */
	VERDICT_CUT,                             /* an unfair spin was not followed further */
	VERDICT_FAILED,
};

enum model_mode { MODE_REDUCED, MODE_BOUNDED, MODE_RANDOM };

struct model {
	const struct model_scenario *scenario;
	struct model_actor actors[MODEL_ACTORS];
	struct model_store stores[MODEL_STORES]; /* [0] is every location's "nothing seen" */
	struct model_location locations[MODEL_LOCATIONS];
	unsigned current, actors_n, locations_n, stores_n, steps_n;
	unsigned preemptions;
	uint32_t generation;
	bool alone;                              /* setup or check runs: no choices */
	bool tracing;
	unsigned trace_from;                     /* the first step printed */
	enum model_mode mode;
	enum model_verdict verdict;
	char failure[512];
	char outcome[128];                       /* of this execution, "" when none */
};

extern struct model model;

/* explore.c */
unsigned model_pick(unsigned n);
/* The current thread says what comes next and goes on when it is chosen. */
void model_before(const struct model_step *s);
/* After a step: wakes the threads asleep whose operation it may have changed. */
void model_after(const struct model_step *s, bool wrote);
/* The current thread leaves; comes back when chosen. */
void model_leave(void);
TT_NORETURN void model_end(enum model_verdict v);
enum model_verdict model_execute(const struct model_scenario *s);
/* The next path of the search; false when there is none. */
bool model_backtrack(void);
void model_search_begin(enum model_mode mode, uint64_t seed);
/* The path of the last execution as text, and back. */
void model_path_print(char *buf, size_t n);
bool model_path_parse(const char *text);

/* memory.c */
int model_locate(const volatile void *p, unsigned size);
int model_find(const volatile void *p);
void model_memory_reset(void);
/* The stores a step may read, newest first; returns how many. */
unsigned model_readable(const struct model_actor *a, const struct model_step *s, uint16_t *ret_ids);
void model_raise(uint16_t *at, uint16_t store);
void model_join(struct model_view *into, const struct model_view *from);
bool model_newer(const struct model_read *r);
const char *model_order_name(unsigned op, unsigned order);
extern const char *const model_op_names[];

/* races.c */
void model_races_reset(void);
void model_check_freed(uintptr_t addr, const char *what);
void model_check_leaks(void);

/* A line of the interleaving; only while tracing. */
TT_PRINTF(3, 4) void model_trace(const char *file, int line, const char *fmt, ...);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * linear.h - are the primitives linearizable? Small generated programs of their calls are run,
 * their histories recorded, and each history is explained by a sequential model, or reported.
 *
 * Parts       check.c    the search: is there an order of steps that explains a history
 *             print.c    programs, histories and what the model thought, as text
 *             program.c  programs from a seed; runs in the simulator and on real workers; shrinking
 *             spec_*.c   one primitive each: its calls, and its model
 *
 * Definition  A call that may wait has two steps (Scherer and Scott, "Nonblocking concurrent data
 *             structures with condition synchronization", DISC 2004): it takes effect or gets in
 *             line, and later it is served by somebody's step, or leaves because it was cancelled.
 *             All steps of a call lie between its invocation and its return; where they lie is
 *             what the search finds. The model is deterministic: what a step gives must be what
 *             the call returned. So checked are: results; order of those in line (whoever was
 *             seen waiting before another began is in front of it); that a cancelled call had
 *             no effect and one that had an effect says so (laws 2 and 3); at moments when every
 *             task is parked, that each of them must be (no wake-up was lost), and that
 *             no cancel is still owed.
 * Search      After Wing and Gong, "Testing and verifying concurrent objects" (JPDC 1993), and
 *             Lowe, "Testing for linearizability" (CCPE 2017): the history is read once, steps are
 *             taken just before the return that needs them, and equal states are kept once.
 * Order       Events are numbered by one counter: a return with a smaller number than an
 *             invocation came before it. On real workers this orders no more than a clock would.
 */
#ifndef TT_TESTS_LINEAR_H
#define TT_TESTS_LINEAR_H

#include <tutti/testing.h>
#include <tutti/tutti.h>

#include "base/atomic.h"
#include "sim/rng.h"

#define LIN_TASKS 4        /* of one program, at most */
#define LIN_PLAN 6         /* calls planned for a task, at most */
#define LIN_CALLS 48       /* of one run, those that tidy up included */
#define LIN_EVENTS 320
#define LIN_STATE_WORDS 14
#define LIN_OBJECT_BYTES 4096

/* ---- histories ---- */

/* One call of one run. Written by its task, read when the run is over. */
struct lin_call {
	uint8_t kind;              /* index into the spec's kinds */
	uint8_t task;
	int arg;
	int64_t timeout;           /* ns, TT_NEVER: none */
	bool timed_out;            /* its time was up when it returned */
	bool lingered;             /* recv_many: since it began its linger has passed */
	int rc, value, more;       /* what it gave; value and more are 0 where they say nothing */
	int rc_body;               /* of once and flight: what its own body returned */
};

enum lin_event_kind {
	LIN_INVOKE, LIN_RETURN,    /* of a call */
	LIN_BEGIN, LIN_END,        /* of a call's own body, as an initialiser */
	LIN_CANCEL,                /* somebody cancels a call */
	LIN_CANCEL_ALL,            /* ... all calls from now on */
	LIN_QUIET,                 /* every task is parked */
	LIN_NOTE                   /* the spec's own: what, number */
};

struct lin_event {
	uint8_t kind;
	uint8_t call;              /* index */
	int16_t what;              /* LIN_NOTE */
	int number;
};

struct lin_history {
	struct lin_call calls[LIN_CALLS];
	struct lin_event events[LIN_EVENTS];
	unsigned n_calls, n_events, tasks;
};

/* ---- models ---- */

/* Where a task's call stands in the model. */
enum lin_phase {
	LIN_IDLE,                  /* none is under way */
	LIN_NEW,                   /* invoked, no step taken */
	LIN_WAITING,               /* in line; a cancel ends it */
	LIN_BLOCKED,               /* waits for others or runs a body of the test; no cancel ends it */
	LIN_DUE,                   /* about to do what the history will show: to begin its body */
	LIN_MOVES,                 /* has another step of its own to take */
	LIN_DONE                   /* the result is decided, and is the one it returned */
};

struct lin_state {
	uint8_t phase[LIN_TASKS];
	uint32_t wrong;            /* a step gave what the call did not return */
	/* Those under way, by task, and behind them the history's first; the same for all states. */
	const struct lin_call *const *calls;
	uint64_t data[LIN_STATE_WORDS]; /* the model's own */
};

/* Tasks in order; the rest of the array stays 0, so that equal queues have equal bytes. */
struct lin_queue {
	uint8_t n;
	uint8_t task[LIN_TASKS];
};

void lin_push(struct lin_queue *q, unsigned task);
bool lin_remove(struct lin_queue *q, unsigned task); /* false: it was not there */
unsigned lin_pop(struct lin_queue *q);               /* the first, of at least one */

/* A line that who is cancelled leaves in two steps: it is decided, and later the task goes and uncovers
 * those behind it. Between the two nobody who comes new waits for it, and it is passed by. */
struct lin_line {
	struct lin_queue q;
	uint8_t gone;              /* a bit for each in it that was cancelled */
};

/* Nobody waits but who was cancelled. */
bool lin_line_is_free(const struct lin_line *l);
unsigned lin_line_gone(const struct lin_line *l);
/* The two steps; what the call gives is the model's to say. */
void lin_line_leave(struct lin_state *s, struct lin_line *l, unsigned task);
void lin_line_go(struct lin_line *l, unsigned task);
/* Serves in order, up to the first for whom this gives false: it can have nothing yet. */
void lin_line_serve(struct lin_state *s, struct lin_line *l, bool (*serve)(struct lin_state *s, const struct lin_call *c));

/* The task's call gives this. */
void lin_settle(struct lin_state *s, unsigned task, int rc, int value, int more);
/* ... a code, or nothing but a code. */
void lin_give(struct lin_state *s, unsigned task, int rc);
/* It gets in line. */
void lin_wait(struct lin_state *s, struct lin_queue *q, unsigned task);
/* All in line get this code. */
void lin_give_all(struct lin_state *s, struct lin_queue *q, int rc);
/* This order of steps is none. */
void lin_wrong(struct lin_state *s);

/* All calls of the history, in the order of its numbers. */
static inline const struct lin_call *lin_first_call(const struct lin_state *s)
{
	return s->calls[LIN_TASKS];
}

/* ---- specs ---- */

struct lin_run;

#define LIN_UNIQUE UINT32_MAX

struct lin_kind {
	const char *name;
	unsigned weight;           /* how often it is generated; 0: only by adapt and tidy_up */
	unsigned args;             /* 0: none; n: 0 to n - 1; LIN_UNIQUE: a number of its own, from 1 */
	bool waits;                /* may be cancelled; others run without a scope of their own */
};

/* A primitive: how to use it, and its model. Functions that may be NULL say so. */
struct lin_spec {
	const char *name;
	const struct lin_kind *kinds;
	unsigned n_kinds;
	unsigned params;           /* a program has one from 0 to params - 1 */
	unsigned tasks;            /* at most so many; 0: LIN_TASKS */

	/* In the root task: r->object is zero, and what was made is undone. */
	void (*open)(struct lin_run *r);
	void (*close)(struct lin_run *r); /* may be NULL */
	void (*begin)(struct lin_run *r, unsigned task); /* in each task, first; may be NULL */
	/* In a task: what it may call just now; false: nothing. NULL: anything. */
	bool (*adapt)(struct lin_run *r, struct lin_call *c);
	/* Makes the call and fills its results. */
	void (*call)(struct lin_run *r, struct lin_call *c);
	/* The next call a task makes to leave with nothing; false: there is none. NULL: none ever. */
	bool (*tidy_up)(struct lin_run *r, struct lin_call *c);

	void (*init)(struct lin_state *s, unsigned param);
	void (*enter)(struct lin_state *s, const struct lin_call *c); /* NEW takes its first step */
	/* A cancel ends it in line; or at the door, NULL: without a trace. */
	void (*leave)(struct lin_state *s, const struct lin_call *c);
	void (*refuse)(struct lin_state *s, const struct lin_call *c);
	void (*move)(struct lin_state *s, const struct lin_call *c);  /* MOVES; may be NULL */
	/* Step n of the object's own, if it can be taken now; false: there is no step n. May be NULL. */
	bool (*own_step)(struct lin_state *s, unsigned n);
	/* Any event but RETURN and QUIET; false: it cannot happen now. NULL: all can. */
	bool (*event)(struct lin_state *s, const struct lin_call *c, const struct lin_event *e);
	/* Besides the phases: may all stand still like this? May be NULL. */
	bool (*quiet)(const struct lin_state *s);
	void (*print)(const struct lin_state *s, char *buf, size_t n);
};

extern const struct lin_spec lin_specs[];
extern const unsigned lin_specs_n;

/* ---- check.c ---- */

#define LIN_STATES 4096

struct lin_verdict {
	bool ok;
	unsigned at;               /* the event that nothing explains */
	unsigned states_max;       /* kept at once */
	bool too_many;             /* more than LIN_STATES: not decided, counts as a failure */
	unsigned n_last;           /* states before that event */
	struct lin_state last[3];  /* some of them */
};

/* Not by two threads at once. */
struct lin_verdict lin_check(const struct lin_spec *spec, unsigned param, const struct lin_history *h);

/* ---- print.c ---- */

struct lin_program;

void lin_print_program(const struct lin_spec *spec, const struct lin_program *p);
/* v NULL: nothing was checked. */
void lin_print_history(const struct lin_spec *spec, const struct lin_history *h, const struct lin_verdict *v);

/* ---- program.c ---- */

enum lin_pause { LIN_NO_PAUSE, LIN_YIELD, LIN_SLEEP };

struct lin_plan {
	bool dropped;              /* left out, while shrinking */
	bool cancels;              /* not a call: cancels what task `arg`, or another, waits in */
	uint8_t kind;
	uint8_t pause;             /* enum lin_pause, before it */
	int arg;
	int64_t pause_ns, timeout;
};

struct lin_program {
	uint64_t seed;
	unsigned param, tasks, len;
	unsigned place;            /* task i goes to worker i + place; LIN_ANYWHERE */
	bool cancels_all;          /* who is stuck in the end is cancelled with all others */
	struct lin_plan plan[LIN_TASKS][LIN_PLAN];
};

#define LIN_ANYWHERE UINT32_MAX

/* A program while it runs. */
struct lin_run {
	const struct lin_spec *spec;
	const struct lin_program *program;
	struct lin_history history;
	tti_atomic_u32 n_calls, n_events;
	tti_atomic_u32 left;       /* tasks that have not ended */
	tti_atomic_u32 timed;      /* tasks whom time alone will move */
	tt_canceller *cancellers[LIN_CALLS]; /* by call; owned by whoever takes the entry below */
	tti_atomic_ptr waits_in[LIN_TASKS]; /* of the array above, while the task's call is under way */
	int held[LIN_TASKS];       /* the spec's own, for adapt and tidy_up; each task's */
	_Alignas(64) unsigned char object[LIN_OBJECT_BYTES];
};

/* What specs log; call: an index, see lin_call_index(). */
void lin_log(struct lin_run *r, enum lin_event_kind kind, unsigned call, int what, int number);
unsigned lin_call_index(const struct lin_run *r, const struct lin_call *c);
/* A body of the test sleeps: 0 or TT_ECANCELED. */
TT_MUST_USE int lin_sleep(struct lin_run *r, int64_t ns);

/* So many programs from this seed on, in simulations of so many workers; failures are
 * reported through EXPECT_ and printed. */
void lin_simulate(const struct lin_spec *spec);
/* The same in the runtime that the caller is in. */
void lin_run_here(const struct lin_spec *spec, unsigned programs);

#endif

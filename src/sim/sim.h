/* SPDX-License-Identifier: MIT */
/*
 * sim.h - a simulated world: one thread, virtual time, N virtual workers, a network, and
 * a seed that decides whatever the real world leaves open. Used by src/sim and
 * src/testing; programs see <tutti/testing.h>.
 *
 * Parts       rng.h    streams from the seed: schedule, faults (of datagrams, of files), entropy, power cuts
 *             trace.c  every choice, call, result, message and switch, hashed
 *             event.c  what happens at a later virtual time
 *             fault.c  which faults this seed turns on, and how often
 *             env.c    the seam of env/: clock, entropy, memory; aborts on the real world
 *             net.c    sockets as the kernel keeps them: buffers, backlog, ports
 *             stream.c the two directions of a connection
 *             process.c child processes: tasks under a registered name
 *             file.c   calls on files; disk*.c their names and bytes, and what a power cut leaves
 *             driver.c operations: effect at one time, completion at a later one
 *             schedule.c the choices of a run, to repeat and to vary
 *             oracle.c which task, which worker: random walk, PCT, replay
 *             run.c    the loop, and tt_sim_run
 *
 * Determinism Nothing here looks at an address, the real clock or uninitialised memory to
 *             decide or to trace. The streams are separate, so that a draw for a fault
 *             does not shift the schedule.
 * Threads     A world belongs to the thread that runs it (tti_sim_here).
 */
#ifndef TTI_SIM_SIM_H
#define TTI_SIM_SIM_H

#include <string.h>

#include <tutti/testing.h>

#include "base/list.h"
#include "base/panic.h"
#include "env/env.h"
#include "io/driver.h"
#include "rt/root.h"
#include "sched/worker.h"
#include "sim/rng.h"

struct tti_sim;

/* Memory of the real environment, for it is not the simulator's that may run out; n > 0. */
static inline void *tti_sim_alloc(size_t n)
{
	void *p = tti_env_real.alloc(n);

	TT_REQUIRE(p != NULL, "simulator: out of real memory");
	return p;
}

static inline void *tti_sim_zalloc(size_t n)
{
	return memset(tti_sim_alloc(n), 0, n);
}

/* ---- event.c ---- */

struct tti_sim_event {
	int64_t at;
	uint64_t seq;                        /* order among events of the same time */
	size_t slot;                         /* place in the heap + 1; 0: not scheduled */
	void (*fire)(struct tti_sim *sim, struct tti_sim_event *e);
};

struct tti_sim_heap {
	struct tti_sim_event **items;
	size_t len, room;
	uint64_t next_seq;
};

/* Replaces an earlier time. */
void tti_sim_at(struct tti_sim *sim, struct tti_sim_event *e, int64_t at,
                void (*fire)(struct tti_sim *, struct tti_sim_event *));
void tti_sim_unschedule(struct tti_sim *sim, struct tti_sim_event *e);
/* NULL when nothing is scheduled. */
struct tti_sim_event *tti_sim_next_event(const struct tti_sim *sim);
/* Fires what is due; returns how many. */
size_t tti_sim_fire_due(struct tti_sim *sim);
void tti_sim_heap_fini(struct tti_sim *sim);

/* ---- trace.c ---- */

enum tti_sim_record {
	TTI_SIM_CHOICE,    /* what, n, picked */
	TTI_SIM_FAULT,     /* kind, what it drew */
	TTI_SIM_CALL,      /* a direct call: what, descriptor, argument */
	TTI_SIM_RESULT,    /* of the last call */
	TTI_SIM_SUBMIT,    /* operation: serial, kind and descriptor, length */
	TTI_SIM_CANCEL,    /* operation: serial */
	TTI_SIM_EFFECT,    /* operation: serial, result */
	TTI_SIM_DONE,      /* operation: serial, result */
	TTI_SIM_EVENT,     /* the runtime's own: run, end, timer */
	TTI_SIM_SWITCH,    /* a task parks, wakes, yields: what, id */
	TTI_SIM_MESSAGE,   /* to a worker */
	TTI_SIM_TURN,      /* worker, time */
	TTI_SIM_TIME,      /* a jump: to */
	TTI_SIM_JOB,       /* of the blocking pool: serial */
	TTI_SIM_ENTROPY,   /* bytes handed out */
	TTI_SIM_RECORDS
};

struct tti_sim_trace {
	uint64_t hash;
	uint64_t records;
	int text_fd;                         /* TUTTI_SIM_TRACE, or -1 */
	size_t text_len;
	char text[4096];
};

void tti_sim_trace_init(struct tti_sim_trace *t);
void tti_sim_trace_fini(struct tti_sim_trace *t);
/* what: a static string, told apart by its text. a and b are never addresses. */
void tti_sim_trace(struct tti_sim *sim, enum tti_sim_record kind, const char *what, uint64_t a, uint64_t b);
/* A call that was made, and its result, which is returned. */
long tti_sim_traced(struct tti_sim *sim, const char *what, uint64_t a, uint64_t b, long result);

/* ---- fault.c ---- */

struct tti_sim_faults {
	struct tti_rng rng;
	uint32_t rate[TT_FAULT_KINDS];       /* of 2^32; 0: off in this seed */
	uint64_t count[TT_FAULT_KINDS];
	int64_t latency_max;                 /* of one way, ns */
	int64_t delay_max;                   /* of a late completion */
	uint32_t burst_left;                 /* accepts that still fail with EMFILE */
};

void tti_sim_faults_init(struct tti_sim *sim, uint64_t allowed);
/* Rolls the dice; counts and traces a fault that happens. */
bool tti_sim_fault(struct tti_sim *sim, enum tt_fault kind);
/* For rolls that are no fault of their own: [0, n), n > 0. */
uint64_t tti_sim_roll(struct tti_sim *sim, uint64_t n);

/* ---- env.c ---- */

extern const struct tti_env_ops tti_sim_env;

/* ---- net.c, stream.c ---- */

struct tti_sim_sock;
struct tti_sim_op;

struct tti_sim_net {
	struct tti_sim_sock **by_fd;         /* [fd_room] */
	size_t fd_room;
	unsigned open_fds;
	unsigned fd_limit;
	uint16_t next_port;
	struct tti_list socks;               /* all of them */
	struct tti_list conns;               /* all connections that are not freed */
	struct tti_list paths;               /* names of Unix sockets */
};

void tti_sim_net_init(struct tti_sim *sim);
void tti_sim_net_fini(struct tti_sim *sim);

/* Direct calls: results as the kernel's. */
int tti_sim_socket(struct tti_sim *sim, int family, int type);
int tti_sim_pair(struct tti_sim *sim, int ret_fds[2]);
/* A pair that breaks as a pipe does: what is not read is lost, and its writer gets EPIPE. */
int tti_sim_pipe(struct tti_sim *sim, int ret_fds[2]);
/* A descriptor that is readable once it was set. */
int tti_sim_event_open(struct tti_sim *sim);
void tti_sim_event_set(struct tti_sim *sim, struct tti_sim_sock *s);
int tti_sim_bind(struct tti_sim *sim, int fd, const void *addr, uint32_t len);
int tti_sim_listen(struct tti_sim *sim, int fd, int backlog);
int tti_sim_name(struct tti_sim *sim, int fd, bool peer, void *addr, uint32_t *len);
int tti_sim_set_option(struct tti_sim *sim, int fd, int level, int option, const void *value, uint32_t len);
int tti_sim_shutdown(struct tti_sim *sim, int fd, int how);
int tti_sim_close(struct tti_sim *sim, int fd);
int tti_sim_unlink(struct tti_sim *sim, const char *path);
int tti_sim_lookup(struct tti_sim *sim, const char *host, const char *port, void *ret_addrs, size_t max);

/* Tries of operations: -EAGAIN when it would wait. */
long tti_sim_try_read(struct tti_sim *sim, int fd, void *buf, size_t n);
long tti_sim_try_write(struct tti_sim *sim, int fd, const void *buf, size_t n);
long tti_sim_try_accept(struct tti_sim *sim, int fd, void *addr, uint32_t room, uint32_t *addr_len);
/* The first try starts it. */
long tti_sim_try_connect(struct tti_sim *sim, int fd, const void *addr, size_t len);
long tti_sim_try_poll(struct tti_sim *sim, int fd, unsigned events);

bool tti_sim_fd_is_open(const struct tti_sim *sim, int fd);

/* ---- file.c ---- */

struct tti_sim_files {
	struct tti_list inodes;              /* with a name, or open */
	struct tti_list ghosts;              /* neither, but the disk may still have them; disk.h */
	struct tti_list changes_of_names;    /* that are not on the disk, oldest first */
	size_t n_changes;                    /* of those */
	uint64_t changes;                    /* of bytes and lengths so far: the time of the disk */
	bool filled;                         /* the next write finds no room */
	void (*on_place)(struct tti_sim *sim, const char *before, void *data); /* disk.c; may be NULL */
	void *on_place_data;
	struct tti_sim_handle *handles;      /* [room]; number TTI_SIM_FILE_FIRST + index */
	size_t room;
	uint64_t next_inode;
	uint64_t bytes;                      /* of all files */
};

/* Numbers of files are apart from those of sockets. */
#define TTI_SIM_FILE_FIRST (1 << 20)

extern const struct tti_file_ops tti_sim_file_ops;
void tti_sim_files_init(struct tti_sim *sim);
void tti_sim_files_fini(struct tti_sim *sim);
/* The driver's part, for numbers of files. */
static inline bool tti_sim_is_file(int fd) { return fd >= TTI_SIM_FILE_FIRST; }
long tti_sim_file_operation(struct tti_sim *sim, const struct tti_io_op *op);
int tti_sim_file_close(struct tti_sim *sim, int fd);

/* ---- process.c ---- */

extern const struct tti_process_ops tti_sim_process_ops;
/* The running task is a child's, or about to run: its memory and its calls are not the program's. */
bool tti_sim_in_child(const struct tti_sim *sim);
/* Children that ended, or run, and whom nobody took away: zombies. */
unsigned tti_sim_children_left(const struct tti_sim *sim);
void tti_sim_children_init(struct tti_sim *sim);
void tti_sim_children_fini(struct tti_sim *sim);

/* ---- driver.c ---- */

extern const struct tti_driver_ops tti_driver_sim;
/* Completions wait to be handed out, or somebody called wake(). */
bool tti_sim_driver_has_work(const struct tti_driver *d);
void tti_sim_driver_free_ops(struct tti_sim *sim);

/* ---- schedule.c ---- */

#define TTI_SIM_USUAL UINT32_MAX         /* in a replay: the usual pick */

struct tti_sim_choice {
	const char *what;                    /* a static string */
	uint32_t n, usual, picked;           /* of n; the usual pick is what a replay takes behind its end */
};

struct tti_sim_schedule {
	const uint32_t *replay;              /* picks to repeat */
	size_t replay_len;
	uint32_t *loaded;                    /* replay, when it came from a file */
	bool keep;                           /* note what is chosen */
	struct tti_sim_choice *made;
	size_t len, room;
	char record_path[256];               /* where they go when the run fails; "": nowhere */
};

void tti_sim_schedule_init(struct tti_sim_schedule *s, const tt_sim_options *options);
void tti_sim_schedule_fini(struct tti_sim_schedule *s);
void tti_sim_schedule_note(struct tti_sim_schedule *s, const char *what, size_t n, size_t usual, size_t picked);
/* The path of the file that was written, or NULL. */
const char *tti_sim_schedule_write(const struct tti_sim_schedule *s);

/* ---- oracle.c ---- */

struct tti_sim_oracle {
	struct tti_oracle base;              /* first */
	struct tti_sim *sim;
	struct tti_rng rng;
	enum tt_sim_strategy strategy;
	uint64_t salt;                       /* PCT: priorities are a hash of identity and this */
	uint32_t change_at[8];               /* PCT: numbers of choices at which one loses its priority */
	uint32_t n_changes;
	uint64_t lowered[8];                 /* PCT: identities that lost it, first lost highest */
	uint32_t n_lowered;
	size_t choices;
};

void tti_sim_oracle_init(struct tti_sim *sim);
/* Which of these workers turns next; an index into workers. */
size_t tti_sim_choose_worker(struct tti_sim *sim, const unsigned *workers, size_t n);

/* ---- run.c ---- */

/* Where a cancel or a deadline may strike; torture counts and picks them. */
enum tti_sim_point {
	TTI_SIM_AT_CHECKPOINT, /* a call looks whether it is cancelled */
	TTI_SIM_AT_PARK,       /* a task is about to wait, enlisted */
	TTI_SIM_AT_WAKE,       /* its outcome is decided, it has not run yet */
	TTI_SIM_AT_EFFECT,     /* an operation took effect, nobody knows yet */
	TTI_SIM_POINTS
};

struct tti_sim {
	const tt_sim_options *options;
	uint64_t seed;
	unsigned workers;
	const char *name;                    /* of the task that is run */
	int64_t start, now;                  /* virtual monotonic ns */
	int64_t clock_skew;                  /* wall - monotonic */
	uint64_t steps, max_steps;
	uint64_t switches;                   /* into a task */
	struct tti_sim_heap heap;
	struct tti_sim_trace trace;
	struct tti_sim_faults faults;
	struct tti_sim_net net;
	struct tti_sim_files files;
	struct tti_list children;            /* process.c; of this run, also those that ended */
	unsigned n_children;
	bool child_begins;                   /* its task is given a stack just now */
	struct tti_sim_schedule schedule;
	struct tti_sim_oracle oracle;
	struct tti_rng entropy;
	struct tti_runtime rt;
	struct tti_root root;
	const struct tti_home_ops *home_ops; /* the workers' own, under ours */
	struct tti_sim_worker {
		bool opened;
		bool asleep;                 /* its inbox says so too */
		bool drowsy;                 /* has nothing to do: its next step is to fall asleep */
	} *per_worker;                       /* [workers] */
	unsigned running;                    /* index of the worker whose turn it is */
	unsigned starved;                    /* that worker has no turn ... */
	int64_t starved_until;               /* ... before this */
	struct tti_list free_ops;
	struct tti_list all_ops;             /* under way */
	uint64_t op_serial, job_serial;
	struct tti_list jobs;                /* of the blocking pool, not finished */
	struct tti_list quiet;               /* who waits in tt_test_wait_all_parked() */
	uint64_t points[TTI_SIM_POINTS];     /* seen while counting */
	uint64_t points_seen;
	bool counting;
	uint64_t strike_at;                  /* this point of them is struck; 0: none */
	bool struck;                         /* before the next turn: call strike */
	void (*strike)(struct tti_sim *sim, void *data);
	void *strike_data;
	unsigned urgent;                     /* this worker turns next, whatever the oracle says; + 1 */
	bool mute;                           /* reports on stderr are dropped */
	bool started;                        /* the task may be refused memory from here on */
};

/* The world of the calling thread, or NULL. */
extern __thread struct tti_sim *tti_sim_here;

/* Here a cancel could strike. */
void tti_sim_point(struct tti_sim *sim, enum tti_sim_point p);

/* How the program is told to repeat a run: "path/to/test --only name". Set by testing/. */
extern const char *tti_sim_repro_command;

/* Parks the calling task until nothing else can run without time passing. */
int tti_sim_wait_quiet(struct tti_sim *sim);

/* The line that repeats the run this thread is in, on stderr; nothing outside of one. */
void tti_sim_say_repeat(void);

/* Stops the program: the live tasks, then the line that repeats the run. */
TT_NORETURN TT_PRINTF(2, 3) void tti_sim_fail(struct tti_sim *sim, const char *fmt, ...);

/* What torture adds to a run. */
struct tti_sim_setup {
	uint64_t strike_at;
	void (*strike)(struct tti_sim *sim, void *data);
	void *data;
	const char *name;                    /* of the run, for reports; NULL: the task's */
	struct tti_sim_schedule *ret_schedule; /* NULL, or: keep the choices, and hand them over at the end */
	const char *record_path;             /* where they go when it fails; may be NULL */
	bool every_checkpoint;               /* each call that looks for a cancel is a point */
	const struct tti_env_ops *env;       /* over tti_sim_env, for the whole run; NULL: none */
	uint64_t ret_points[TTI_SIM_POINTS];
	uint64_t ret_points_seen;
};

/* Points are counted between these two. */
void tti_sim_count_points(struct tti_sim *sim, bool on);

/* options and setup may be NULL. Returns the task's code. */
int tti_sim_run(const tt_sim_options *options, const struct tt_task_type *type, const void *args, const char *site,
                struct tti_sim_setup *setup);

#endif

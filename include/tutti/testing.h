/* SPDX-License-Identifier: MIT */
/*
 * testing.h - tests whose bodies are tasks, a simulator, and torture: what the library is
 * tested with, for programs on it.
 *
 *	TT_TEST(queue, keeps_order)
 *	{
 *		EXPECT_OK(tt_send(ch, &(int){ 7 }));
 *		EXPECT_EQ(tt_recv(ch, &got), 1);
 *		EXPECT_TASKS_ALIVE(1);
 *	}
 *
 *	TT_TEST_MAIN()
 *
 * A program of such tests runs each in a process of its own, on what --on= says:
 *
 *	--on=sim|epoll|uring  --workers=N  --only=TEXT  --seed=S  --seeds=N  --timeout=SECONDS
 *	--list  --no-fork
 *
 * Output is TAP; the last line counts. Exit status: 0 all passed, 1 some failed, 77 none
 * could run here. At the end of each test tasks and descriptors are counted: one that is
 * left over fails the test. A simulated failure prints one line that repeats it.
 *
 * Rejected    main() by linking: a program that forgot its own would run no test and pass.
 */
#ifndef TUTTI_TESTING_H
#define TUTTI_TESTING_H

#include <tutti/base.h>
#include <tutti/net.h>
#include <tutti/runtime.h>
#include <tutti/task.h>

TT_BEGIN_DECLS

/* ---- tests ---- */

/* Where a test can run, for TT_TEST_ON. */
enum {
	TT_ON_SIM = 1,
	TT_ON_EPOLL = 2,
	TT_ON_URING = 4,
	TT_ON_REAL = TT_ON_EPOLL | TT_ON_URING,
	TT_ON_ALL = TT_ON_SIM | TT_ON_REAL,
	TT_ON_PLAIN_ = 8 /* TT_TEST_PLAIN: no runtime around the body */
};

/* What TT_TEST registers. Part of the macros, not for users. */
typedef struct tt_test {
	const char *suite, *name, *site;
	void (*body)(void);
	unsigned on;
	const char *reason; /* why not elsewhere */
	struct tt_test *next;
} tt_test;

TT_API void tt_test_register_(tt_test *t);
/* The body of TT_TEST_MAIN(). */
TT_API int tt_test_main_(int argc, char **argv);

#define TT_TEST_DEFINE_(suite_, name_, on_, reason_) \
	static void tt_test_##suite_##_##name_##_(void); \
	static tt_test tt_test_##suite_##_##name_##_record_ = { \
		#suite_, #name_, TT_SITE, tt_test_##suite_##_##name_##_, (on_), (reason_), NULL \
	}; \
	__attribute__((__constructor__)) static void tt_test_##suite_##_##name_##_register_(void) \
	{ \
		tt_test_register_(&tt_test_##suite_##_##name_##_record_); \
	} \
	static void tt_test_##suite_##_##name_##_(void)

/* TT_TEST(suite, name) { body } - a test whose body is the root task of a runtime. */
#define TT_TEST(suite, name) TT_TEST_DEFINE_(suite, name, TT_ON_ALL, "")

/* TT_TEST_ON(suite, name, TT_ON_SIM, "why") { body } - the same, not everywhere; on other
 * backends it is skipped, with the reason. */
#define TT_TEST_ON(suite, name, where, reason) TT_TEST_DEFINE_(suite, name, where, reason)

/* TT_TEST_PLAIN(suite, name) { body } - a test on a plain thread, without a runtime. It runs
 * once, whatever --on says. */
#define TT_TEST_PLAIN(suite, name) TT_TEST_DEFINE_(suite, name, TT_ON_PLAIN_, "")

/* TT_TEST_MAIN() - the program's main(); once, in one of its files. */
#define TT_TEST_MAIN() \
	int main(int argc, char **argv) \
	{ \
		return tt_test_main_(argc, argv); \
	}

/* TT_LAW(n) - this test is one of those that break when law n of the design is broken. */
#define TT_LAW(n) tt_test_law(n)

/*
 * tt_test_law - the function behind TT_LAW().
 *
 * Blocks     no
 * Threads    any, in a test
 */
TT_API void tt_test_law(int n);

/*
 * tt_test_seed - the seed of this test: --seed, TUTTI_SEED, or the default. In a simulation
 * the seed of the run.
 *
 * Blocks     no
 * Returns    the seed
 * Threads    any, in a test
 */
TT_API uint64_t tt_test_seed(void);

/*
 * tt_test_seeds - how many seeds a test that loops over them should try: --seeds, 1 when
 * TUTTI_SEED repeats one, else what the test says itself.
 *
 * Blocks     no
 * Returns    the number, at least 1
 * Threads    any, in a test
 */
TT_API unsigned tt_test_seeds(unsigned otherwise);

/*
 * tt_test_workers - how many workers --workers asked for.
 *
 * Blocks     no
 * Returns    the number, at least 1
 * Threads    any, in a test
 */
TT_API unsigned tt_test_workers(void);

/*
 * tt_test_on - what --on asked for, for a test that does not do the same everywhere.
 *
 * Blocks     no
 * Returns    TT_ON_SIM, TT_ON_EPOLL or TT_ON_URING
 * Threads    any, in a test
 */
TT_API unsigned tt_test_on(void);

/*
 * tt_test_skip - end this test now: it cannot run here, and says why. Counted as skipped.
 *
 * Blocks     no; does not return
 * Threads    any, in a test
 */
TT_API TT_NORETURN void tt_test_skip(const char *reason);

/*
 * tt_test_note - a line of the test's output that is no failure: a figure, a name.
 *
 * Blocks     no
 * Threads    any, in a test
 */
TT_API TT_PRINTF(1, 2) void tt_test_note(const char *fmt, ...);

/*
 * tt_test_sometimes - how often a claim of TT_SOMETIMES() was true in this test so far, at the
 * end of a loop over seeds, say: EXPECT_GT(tt_test_sometimes("a batch is empty"), 0u).
 *
 * TUTTI_SOMETIMES=FILE adds to FILE, at the end of each test, a line for each place that was
 * reached: sim, real or plain; how often; where; the claim; with tabs between them.
 *
 * Blocks     no
 * Returns    the sum over all places with this claim; 0 for one that no place makes
 * Threads    any, in a test
 */
TT_API uint64_t tt_test_sometimes(const char *claim);

/*
 * tt_test_wait_all_parked - wait until every other task is parked: what "let something
 * happen" should mean. In a simulation no time passes meanwhile.
 *
 * Blocks     yes; always a checkpoint
 * Returns    0
 * Cancelled  TT_ECANCELED
 * Threads    any task
 */
TT_API TT_MUST_USE int tt_test_wait_all_parked(void);

/*
 * tt_test_tasks_alive - how many tasks there are, the caller included.
 *
 * Blocks     no
 * Returns    started or waiting to start, and not ended
 * Threads    any task
 */
TT_API size_t tt_test_tasks_alive(void);

/* ---- expectations: EXPECT_ goes on after a failure, REQUIRE_ ends the test ---- */

/* All return whether it held. Part of the macros, not for users. */
TT_API bool tt_expect_true_(bool require, bool held, const char *text, const char *site);
TT_API bool tt_expect_compare_(bool require, bool held, const char *op, const char *a_text, const char *b_text,
                               long long a, long long b, const char *site);
TT_API bool tt_expect_ok_(bool require, const char *text, int rc, const char *site);
TT_API bool tt_expect_code_(bool require, const char *text, int rc, int code, const char *site);
TT_API bool tt_expect_str_(bool require, const char *a_text, const char *b_text, const char *a, const char *b,
                           const char *site);
TT_API bool tt_expect_mem_(bool require, const char *text, const void *a, const void *b, size_t n, const char *site);
TT_API bool tt_expect_tasks_(bool require, size_t n, const char *site);
/* 1: the child process is running: call the expression, then tt_abort_child_(). */
TT_API int tt_abort_fork_(void);
TT_API TT_NORETURN void tt_abort_child_(void);
TT_API bool tt_abort_wait_(bool require, const char *expr, const char *text, const char *site);

TT_END_DECLS

/* Integers and pointers; both are evaluated once and printed. */
#define TT_COMPARE_(require, op, a, b, a_text, b_text) \
	TT_COMPARE_2_(require, op, a, b, a_text, b_text, TT_CAT(tt_a_, __COUNTER__))
#define TT_COMPARE_2_(require, op, a, b, a_text, b_text, tt_v) \
	__extension__({ \
		const __typeof__((void)0, (a)) tt_v = (a); \
		const __typeof__((void)0, (b)) TT_CAT(tt_v, b_) = (b); \
		tt_expect_compare_(require, tt_v op TT_CAT(tt_v, b_), #op, a_text, b_text, \
		                   (long long)(tt_v), (long long)(TT_CAT(tt_v, b_)), TT_SITE); \
	})

#define EXPECT_TRUE(expr) tt_expect_true_(false, !!(expr), #expr, TT_SITE)
#define EXPECT_FALSE(expr) tt_expect_true_(false, !(expr), "!(" #expr ")", TT_SITE)
#define EXPECT_EQ(a, b) TT_COMPARE_(false, ==, a, b, #a, #b)
#define EXPECT_NE(a, b) TT_COMPARE_(false, !=, a, b, #a, #b)
#define EXPECT_LT(a, b) TT_COMPARE_(false, <, a, b, #a, #b)
#define EXPECT_LE(a, b) TT_COMPARE_(false, <=, a, b, #a, #b)
#define EXPECT_GT(a, b) TT_COMPARE_(false, >, a, b, #a, #b)
#define EXPECT_GE(a, b) TT_COMPARE_(false, >=, a, b, #a, #b)
/* A result that is not a code; a code is printed with its chain. */
#define EXPECT_OK(expr) tt_expect_ok_(false, #expr, (expr), TT_SITE)
/* Exactly this code, printed by name. */
#define EXPECT_CODE(expr, code) tt_expect_code_(false, #expr, (expr), (code), TT_SITE)
#define EXPECT_STR_EQ(a, b) tt_expect_str_(false, #a, #b, (a), (b), TT_SITE)
#define EXPECT_MEM_EQ(a, b, n) tt_expect_mem_(false, #a " == " #b, (a), (b), (n), TT_SITE)
/* n tasks are alive, the caller included; waits a little for the last steps of an exit. */
#define EXPECT_TASKS_ALIVE(n) tt_expect_tasks_(false, (n), TT_SITE)
/* The expression, in a process of its own, dies of abort() with this text on stderr. */
#define EXPECT_ABORTS(expr, text) \
	(tt_abort_fork_() == 1 ? (TT_ABORT_RUN_(expr), tt_abort_child_(), false) \
	                       : tt_abort_wait_(false, #expr, text, TT_SITE))
#define TT_ABORT_RUN_(expr) __extension__({ (void)(expr); })

#define REQUIRE_TRUE(expr) tt_expect_true_(true, !!(expr), #expr, TT_SITE)
#define REQUIRE_FALSE(expr) tt_expect_true_(true, !(expr), "!(" #expr ")", TT_SITE)
#define REQUIRE_EQ(a, b) TT_COMPARE_(true, ==, a, b, #a, #b)
#define REQUIRE_NE(a, b) TT_COMPARE_(true, !=, a, b, #a, #b)
#define REQUIRE_LT(a, b) TT_COMPARE_(true, <, a, b, #a, #b)
#define REQUIRE_OK(expr) tt_expect_ok_(true, #expr, (expr), TT_SITE)
#define REQUIRE_CODE(expr, code) tt_expect_code_(true, #expr, (expr), (code), TT_SITE)
#define REQUIRE_STR_EQ(a, b) tt_expect_str_(true, #a, #b, (a), (b), TT_SITE)

TT_BEGIN_DECLS

/* ---- simulation ---- */

/* What a seed may turn on. Each seed takes a random half of what its run allows, each at a
 * random rate (swarm testing: Groce et al., ISSTA 2012). */
enum tt_fault {
	TT_FAULT_LATENCY,         /* bytes and connections take their time */
	TT_FAULT_JITTER,          /* connections overtake each other */
	TT_FAULT_PARTIAL_READ,    /* fewer bytes than there are */
	TT_FAULT_PARTIAL_WRITE,   /* fewer bytes than fit */
	TT_FAULT_SMALL_BUFFERS,   /* the kernel keeps little */
	TT_FAULT_RETRY,           /* an operation is interrupted and tried again later */
	TT_FAULT_LATE_COMPLETION, /* it took effect, and nobody hears of it for a while */
	TT_FAULT_CANCEL_RACE,     /* a cancel takes its time, the operation may win */
	TT_FAULT_QUEUE_FULL,      /* an operation is held back before it starts */
	TT_FAULT_SPURIOUS_WAKE,   /* a worker wakes for nothing */
	TT_FAULT_SLEEP_RACE,      /* a message arrives just as its worker falls asleep */
	TT_FAULT_STARVATION,      /* one worker gets no turn for a while */
	TT_FAULT_LATE_TIMER,      /* the clock is read late */
	TT_FAULT_CLOCK_JUMP,      /* seconds pass at once */
	TT_FAULT_POOL_DELAY,      /* a blocking job starts late */
	TT_FAULT_SLOW_RESOLVER,   /* a name takes seconds */
	TT_FAULT_ACCEPT_EMFILE,   /* accepts fail for lack of descriptors, several in a row */
	TT_FAULT_CONNECT_REFUSED, /* nobody listens after all */
	TT_FAULT_CONNECT_TIMEOUT, /* a black hole: no answer to a connect */
	TT_FAULT_RESET,           /* a connection breaks in the middle */
	TT_FAULT_HALF_OPEN,       /* the other end vanishes without a word */
	TT_FAULT_RESOLVER,        /* a name is not found */
	TT_FAULT_UDP_LOSS,        /* a datagram is lost */
	TT_FAULT_UDP_REORDER,     /* a datagram is overtaken by later ones */
	TT_FAULT_UDP_DUPLICATE,   /* a datagram arrives twice */
	TT_FAULT_ALLOCATION,      /* memory runs out; only if asked for */
	TT_FAULT_FILE_SHORT,      /* a file reads or writes fewer bytes than it could */
	TT_FAULT_FILE_SLOW,       /* nothing is in memory, and the disk takes its time */
	TT_FAULT_FILE_EIO,        /* the disk fails a read, a write or a sync */
	TT_FAULT_FILE_ENOSPC,     /* the disk is full, for this one write */
	TT_FAULT_FILE_TORN,       /* a power cut leaves a page written in part */
	TT_FAULT_FILE_SYNC_LOSS,  /* a sync fails, and what it was to write counts as written */
	TT_FAULT_KINDS
};

#define TT_FAULT_BIT(kind) (UINT64_C(1) << (kind))
/* What no correct program should notice but by the clock. */
#define TT_FAULTS_GENTLE (TT_FAULT_BIT(TT_FAULT_CONNECT_REFUSED) - 1 + TT_FAULTS_FILES_GENTLE_)
#define TT_FAULTS_FILES_GENTLE_ \
	(TT_FAULT_BIT(TT_FAULT_FILE_SHORT) + TT_FAULT_BIT(TT_FAULT_FILE_SLOW) + TT_FAULT_BIT(TT_FAULT_FILE_TORN))
/* And what it must cope with: in the network, and with files. */
#define TT_FAULTS_NETWORK (TT_FAULT_BIT(TT_FAULT_ALLOCATION) - 1 + TT_FAULTS_FILES_GENTLE_)
#define TT_FAULTS_FILES \
	(TT_FAULTS_GENTLE | TT_FAULT_BIT(TT_FAULT_FILE_EIO) | TT_FAULT_BIT(TT_FAULT_FILE_ENOSPC) | \
	 TT_FAULT_BIT(TT_FAULT_FILE_SYNC_LOSS))
#define TT_FAULTS_ALL (TT_FAULT_BIT(TT_FAULT_KINDS) - 1)
#define TT_FAULTS_NONE (UINT64_C(1) << 63)

enum tt_sim_strategy {
	TT_SIM_ANY,         /* the seed picks one of the next two */
	TT_SIM_RANDOM_WALK, /* every choice even */
	TT_SIM_PCT,         /* priorities with `depth` - 1 changes (Burckhardt et al., ASPLOS 2010) */
	TT_SIM_REPLAY       /* the recorded choices, then the usual: the oldest task, the next worker */
};

/* What the files of simulated runs are on: what one run leaves, the next one finds. */
typedef struct tt_sim_disk tt_sim_disk;

/* All zero is a good start. */
typedef struct tt_sim_options {
	uint64_t seed;            /* TUTTI_SEED wins over it */
	unsigned workers;         /* virtual; 0: TUTTI_SIM_WORKERS, else 2 */
	uint64_t faults;          /* TT_FAULT_BIT()s; 0: TT_FAULTS_GENTLE */
	enum tt_sim_strategy strategy;
	unsigned depth;           /* PCT: 2 to 8; 0: the seed picks 2 to 4 */
	uint64_t max_steps;       /* turns of workers before the run counts as endless; 0: 10 million */
	unsigned max_fds;         /* descriptors; 0: 1024 */
	bool quiet;               /* drop what the library reports on stderr; not under TUTTI_SEED */
	const uint32_t *replay;   /* REPLAY: the choices */
	size_t replay_len;
	uint32_t *record;         /* where the choices of this run go; may be NULL */
	size_t record_max;
	tt_sim_disk *disk;        /* NULL: an empty one, gone with the run */
} tt_sim_options;

typedef struct tt_sim_report {
	uint64_t seed;
	uint64_t trace_hash;      /* equal hashes: equal runs */
	uint64_t trace_records;
	uint64_t steps;           /* turns of workers */
	uint64_t switches;        /* into a task */
	int64_t virtual_ns;
	size_t choices;           /* the whole length of the record */
	unsigned workers;
	uint64_t faults[TT_FAULT_KINDS];
} tt_sim_report;

/*
 * tt_sim_fault_name - a kind of fault, in words.
 *
 * Blocks     no
 * Returns    a static string
 * Threads    any
 */
TT_API const char *tt_sim_fault_name(enum tt_fault kind);

/*
 * tt_sim_report_last - what the last simulation of this thread did, or the one it is in.
 *
 * Blocks     no
 * Threads    any
 */
TT_API void tt_sim_report_last(tt_sim_report *ret_report);

/* All zero is a good start. */
typedef struct tt_explore_options {
	const tt_sim_options *sim; /* NULL: no faults, 2 workers; its strategy is not used */
	unsigned delays;           /* how often a schedule may leave the usual one; 0: 2 */
	uint64_t runs_max;         /* 0: 100,000 */
} tt_explore_options;

typedef struct tt_explore_result {
	uint64_t runs;
	size_t choices_max;        /* of the longest run */
	bool complete;             /* every schedule within the bound was run */
} tt_explore_result;

typedef struct tt_explore_ {
	const tt_explore_options *options;
	tt_explore_result *ret_result;
} tt_explore_;

TT_API tt_verb_ tt_verb_explore_; /* on: a struct tt_explore_ *; 0, or the first code of a run */
TT_API tt_verb_ tt_verb_sim_; /* on: a const tt_sim_options *; what the task returned */
TT_API const tt_sim_options *tt_sim_seeded_(uint64_t seed);

/* ---- simulated disks ---- */

/*
 * tt_sim_disk_create - an empty disk. A run that ends leaves all its files there, synced or not;
 * what a power cut would leave is TT_CRASH_TORTURE()'s.
 *
 * Blocks     no
 * Returns    never NULL
 * Ownership  the caller's, for tt_sim_disk_destroy()
 * Threads    any
 */
TT_API tt_sim_disk *tt_sim_disk_create(void);

/*
 * tt_sim_disk_destroy - free a disk that no run has.
 *
 * Blocks     no
 * Ownership  NULL is fine
 * Threads    any
 */
TT_API void tt_sim_disk_destroy(tt_sim_disk *d);

/*
 * tt_sim_disk_put - make a file, or give it these contents; between runs.
 *
 * Blocks     no
 * Ownership  all is copied
 * Threads    any, one at a time
 */
TT_API void tt_sim_disk_put(tt_sim_disk *d, const char *path, const void *bytes, size_t n);

/*
 * tt_sim_disk_get - read a whole file of at most n bytes; between runs.
 *
 * Blocks     no
 * Returns    how many bytes it has
 * Errors     TT_ENOENT; -EFBIG if it is longer than n
 * Threads    any
 */
TT_API TT_MUST_USE int tt_sim_disk_get(const tt_sim_disk *d, const char *path, void *ret_buf, size_t n);

/* What TT_SIM_PROGRAM registers. Part of the macro, not for users. */
typedef struct tt_sim_program_ {
	const char *name;
	int (*run)(const char *const *argv, tt_fd *in, tt_fd *out, tt_fd *err);
	struct tt_sim_program_ *next;
} tt_sim_program_;

TT_API void tt_sim_program_register_(tt_sim_program_ *p);

/*
 * TT_SIM_PROGRAM(name) { body } - what a child process does in simulations whose program is
 * called `name`, whatever folder is before it: tt_process_start() runs the body in a task of its
 * own, with `argv` and the streams `in`, `out` and `err`, NULL where the child's lead nowhere. It
 * returns the exit status; a code is status 1. A signal other than 0 cancels it and is its status,
 * whatever it returns; see tt_sim_catch_sigterm(). What it leaves open is closed. Its numbers of
 * descriptors, tasks and memory count with the program's own; it has no environment and no folder,
 * and a process group is its leader alone.
 */
#define TT_SIM_PROGRAM(name_) \
	static int tt_sim_##name_##_(const char *const *argv, tt_fd *in, tt_fd *out, tt_fd *err); \
	static tt_sim_program_ tt_sim_##name_##_record_ = { #name_, tt_sim_##name_##_, NULL }; \
	__attribute__((__constructor__)) static void tt_sim_##name_##_register_(void) \
	{ \
		tt_sim_program_register_(&tt_sim_##name_##_record_); \
	} \
	static int tt_sim_##name_##_(TT_UNUSED const char *const *argv, TT_UNUSED tt_fd *in, TT_UNUSED tt_fd *out, \
	                             TT_UNUSED tt_fd *err)

/*
 * tt_sim_catch_sigterm - from now on no signal but SIGKILL ends this simulated child: the others
 * ask it to stop (tt_stopping()).
 *
 * Blocks     no
 * Errors     aborts elsewhere than in a TT_SIM_PROGRAM()
 * Threads    the child's first task
 */
TT_API void tt_sim_catch_sigterm(void);

/* ---- fault injection: on the calling thread, and all threads of a runtime it then starts ---- */

/*
 * tt_test_fail_alloc_at - let the n-th allocation of the library from now on fail, n >= 1.
 *
 * Blocks     no
 * Threads    in a task the allocations of its thread, in a simulation those of all workers; on
 *            a plain thread also those of the threads of a runtime that it starts then
 */
TT_API void tt_test_fail_alloc_at(uint64_t n);

/*
 * tt_test_fail_alloc_after - let the n-th and all later allocations fail, until
 * tt_test_fail_nothing().
 *
 * Blocks     no
 * Threads    as tt_test_fail_alloc_at()
 */
TT_API void tt_test_fail_alloc_after(uint64_t n);

/*
 * tt_test_fail_syscall_at - let the n-th system call of the library from now on fail with a
 * code, n >= 1; it is not made. In a simulation, mapping memory is what is left of them.
 *
 * Blocks     no
 * Threads    as tt_test_fail_alloc_at()
 */
TT_API void tt_test_fail_syscall_at(uint64_t n, int code);

/*
 * tt_test_fail_nothing - end fault injection.
 *
 * Blocks     no
 * Threads    the thread that began it
 */
TT_API void tt_test_fail_nothing(void);

/*
 * tt_test_allocs, tt_test_syscalls - how many were made since fault injection began or was
 * last set: run once with n = UINT64_MAX to learn how far to count.
 *
 * Blocks     no
 * Returns    the number
 * Threads    the thread that began it
 */
TT_API uint64_t tt_test_allocs(void);
TT_API uint64_t tt_test_syscalls(void);

/* ---- torture ---- */

typedef struct tt_torture_options {
	const char *name;                      /* of what is tortured, for the output; NULL: the task's */
	uint64_t seed;
	unsigned workers;                      /* 0: 2 */
	uint64_t faults;                       /* 0: TT_FAULT_LATE_COMPLETION and _CANCEL_RACE only */
	/* Called after each run with the scenario's code: is nothing lost, is nothing there
	 * twice? May be NULL. EXPECT_ macros may be used. */
	void (*check)(void *context, int rc);
	void *context;
	int code;                              /* what else the scenario may return when cut short */
	bool any_code;                         /* it may return any code: a program, not a call */
	unsigned sample;                       /* failures: percent of the places, which ones says the seed; 0: all */
	unsigned together;                     /* failures on a real runtime: runs under way at a time; 0: 4 */
	bool pairs;                            /* and two at a time: two cancels, a failure and a cancel */
} tt_torture_options;

/*
 * tt_test_torture_hold - in TT_ALLOC_TORTURE and TT_SYSCALL_TORTURE let nothing fail for a while:
 * true before, false after what the scenario does to see for itself, not as part of its work.
 * Elsewhere it does nothing.
 *
 * Blocks     no
 * Threads    the scenario's tasks; other tasks meet no failure meanwhile either
 */
TT_API void tt_test_torture_hold(bool hold);

typedef struct tt_torture_result {
	uint64_t checkpoints; /* k: calls that looked, and waits */
	uint64_t wakes;       /* outcomes decided and not yet seen */
	uint64_t effects;     /* operations that took effect and not yet completed */
	uint64_t runs;        /* of the scenario, all in all */
	uint64_t cut;         /* of those, how many returned TT_ECANCELED or TT_ETIMEDOUT; failures: any code */
	uint64_t places;      /* failures: allocations or calls that can fail */
} tt_torture_result;

typedef struct tt_torture_ {
	const tt_torture_options *options;
	tt_torture_result *ret_result;
	bool deadline, calls;
} tt_torture_;

TT_API tt_verb_ tt_verb_torture_; /* on: a tt_torture_ *; 0, or 1 after a failure */
TT_API tt_verb_ tt_verb_fail_;    /* likewise */

/* All zero is a good start. */
typedef struct tt_crash_options {
	const char *name;                      /* of what is cut short, for the output; NULL: the task's */
	uint64_t seed;
	unsigned workers;                      /* 0: 2 */
	uint64_t faults;                       /* 0: late completions, cancels that race, torn writes */
	const tt_sim_disk *disk;               /* what is there at the start, only read; NULL: nothing */
	unsigned images;                       /* disks drawn at each place, besides the four corners; 0: 8 */
	unsigned cuts;                         /* one after the other: the recovery meets the next; 0: 1 */
	bool any_code;                         /* the scenario may fail: it gives up on faults */
	/* A task (an ordinary function, or a TT_TASK with this one argument), run on a disk that was
	 * left, in a simulation of its own without errors of the disk. May be NULL. */
	int (*recover)(void *context);
	/* Called after it, with its code: is nothing lost that was acknowledged, is nothing half
	 * there? NULL: recover must not fail. EXPECT_ macros may be used in both. */
	void (*check)(void *context, const tt_sim_disk *disk, int rc);
	/* What the scenario notes while it runs (what it has acknowledged): recover and check find it
	 * as it was when the power was cut. context_size bytes are copied. */
	void *context;
	size_t context_size;
} tt_crash_options;

typedef struct tt_crash_result {
	uint64_t places;      /* changes and syncs of the scenario, and its end */
	uint64_t disks;       /* that were left there and differ: one recovery each */
	uint64_t torn;        /* of those, with a page written in part */
	uint64_t runs;        /* of the scenario and of recover */
} tt_crash_result;

typedef struct tt_crash_ {
	const tt_crash_options *options;
	tt_crash_result *ret_result;
} tt_crash_;

TT_API tt_verb_ tt_verb_crash_; /* on: a tt_crash_ *; 0, or 1 after a failure */

TT_END_DECLS

#ifdef __cplusplus
extern "C++" {
static inline void *tt_sim_options_check_(const tt_sim_options *o)
{
	return const_cast<tt_sim_options *>(o);
}
}
#define TT_IS_SIM_OPTIONS_(o) (tt_sim_options_check_(o))
#else
#define TT_IS_SIM_OPTIONS_(o) \
	((void *)(uintptr_t)(const void *)_Generic((o), tt_sim_options *: (o), const tt_sim_options *: (o)))
#endif

/*
 * tt_sim_run(seed, name, args...) - run the TT_TASK `name` and all it starts in a simulated
 * world: virtual clock, simulated network, faults, and every choice of the scheduler made by
 * the seed. The same seed gives the same run. A deadlock, a leak or an endless run is
 * reported with the line that repeats it, and aborts.
 *
 * Blocks     the calling thread, for as long as computing takes
 * Returns    what the task returned
 * Threads    a plain thread, outside of tasks
 */
#define tt_sim_run(seed, ...) \
	tt_result_(TT_CALL_(tt_verb_sim_, TT_IS_SIM_OPTIONS_(tt_sim_seeded_(seed)), __VA_ARGS__))

/*
 * tt_sim_run_with(&options, name, args...) - the same, with tt_sim_options.
 *
 * Blocks     as tt_sim_run()
 * Returns    as tt_sim_run()
 * Threads    as tt_sim_run()
 */
#define tt_sim_run_with(options, ...) \
	tt_result_(TT_CALL_(tt_verb_sim_, TT_IS_SIM_OPTIONS_(options), __VA_ARGS__))

/*
 * tt_sim_explore(&options, &ret_result, name, args...) - run the TT_TASK `name` in simulated
 * worlds, once for every schedule that leaves the usual one (the oldest task, the workers in
 * turn) at most options.delays times; each call that could wait is a place to leave it. For
 * small scenarios: the number of runs grows with the length of a run to the power of delays.
 * Both pointers may be NULL. A run that fails writes its schedule to a file and names it;
 * TUTTI_SIM_REPLAY=file then repeats it.
 *
 * Blocks     the calling thread, for as long as computing takes
 * Returns    0, or the code of the first run that returned one; the rest is not run
 * Threads    a plain thread, outside of tasks
 */
#define tt_sim_explore(options, ret_result, ...) \
	tt_result_(TT_CALL_(tt_verb_explore_, \
	                    TT_TEMPORARY_(tt_explore_, (options), (ret_result)), __VA_ARGS__))

/*
 * TT_CANCEL_TORTURE(&options, &ret_result, name, args...) - run the TT_TASK `name` in the
 * simulator once, count the places where a cancel can strike, and run it again for each,
 * cancelled exactly there: at each checkpoint, at each wait, after an outcome was decided
 * but not seen, and after an operation took effect but did not complete. After every run
 * tasks and descriptors are counted and options.check is asked. Both pointers may be NULL.
 * Gives 0, or 1 if something failed; for TT_TEST_PLAIN.
 */
#define TT_CANCEL_TORTURE(options, ret_result, ...) \
	tt_result_(TT_CALL_(tt_verb_torture_, \
	                    TT_TEMPORARY_(tt_torture_, (options), (ret_result), false, false), __VA_ARGS__))

/*
 * TT_DEADLINE_TORTURE(&options, &ret_result, name, args...) - the same with a timeout around
 * the scenario that runs out there.
 */
#define TT_DEADLINE_TORTURE(options, ret_result, ...) \
	tt_result_(TT_CALL_(tt_verb_torture_, \
	                    TT_TEMPORARY_(tt_torture_, (options), (ret_result), true, false), __VA_ARGS__))

/*
 * TT_ALLOC_TORTURE(&options, &ret_result, name, args...) - run the TT_TASK `name` once and
 * count what memory it asks for, in the whole library: allocations, and mappings of stacks;
 * then run it once for each with that one refused, and once with all that follow refused too.
 * It may succeed, or return a code whose chain has TT_ENOMEM (or what options allow). After
 * every run tasks, descriptors and memory are counted and options.check is asked.
 *
 * It runs on what --on= says: the simulator, or a real runtime of --workers, in a process of
 * its own for each run, its start and its stop included; one that hangs is a failure too. There
 * what the scenario keeps in memory is the run's own, and options.seed only picks the sample.
 * With options.pairs, in the simulator, each refusal also meets a cancel at each place.
 * Both pointers may be NULL. Gives 0, or 1 if something failed; for TT_TEST_PLAIN.
 */
#define TT_ALLOC_TORTURE(options, ret_result, ...) \
	tt_result_(TT_CALL_(tt_verb_fail_, \
	                    TT_TEMPORARY_(tt_torture_, (options), (ret_result), false, false), __VA_ARGS__))

/*
 * TT_SYSCALL_TORTURE(&options, &ret_result, name, args...) - the same with calls: run it once
 * for each way in which the kernel can fail each of them. In the simulator those are the calls
 * and the completions of its sockets and files; on a real runtime the system calls of all its
 * threads, and the starts of threads. The chain has the code of what failed, or it succeeds.
 * A transfer may also be short, one byte: then it may give TT_EEOF, since its peer may stop.
 */
#define TT_SYSCALL_TORTURE(options, ret_result, ...) \
	tt_result_(TT_CALL_(tt_verb_fail_, \
	                    TT_TEMPORARY_(tt_torture_, (options), (ret_result), false, true), __VA_ARGS__))

/*
 * TT_CRASH_TORTURE(&options, &ret_result, name, args...) - run the TT_TASK `name` in the
 * simulator and cut the power at each place where that could matter: before each change of a
 * file or a name, before each sync, and at the end. At each place several disks are made of
 * what file systems may leave then: a write, a length or a name lasts for certain only when its
 * sync has returned (a name's is that of its folder), and until then any of it may, in any order,
 * torn between sectors. On each of them options.recover is run and options.check asked.
 * Both pointers may be NULL. Gives 0, or 1 if something failed; for TT_TEST_PLAIN.
 */
#define TT_CRASH_TORTURE(options, ret_result, ...) \
	tt_result_(TT_CALL_(tt_verb_crash_, TT_TEMPORARY_(tt_crash_, (options), (ret_result)), __VA_ARGS__))

#endif

/* SPDX-License-Identifier: MIT */
/*
 * blocking_test.c - par/blocking.c under the model: every job that was taken comes back
 * once, also when a thread cannot be started and when idle threads give up, and the
 * shutdown ends every thread.
 *
 * The system's threads are two spare threads of the model that wait to be started; a
 * start may fail at every choice the scenario allows. A job that nobody runs leaves its
 * worker asleep for ever: a deadlock, which the checker reports.
 */
/* model-sources: src/par/blocking.c src/env/cpus.c @worker */
#include "workers.h"

#include "par/blocking.h"

#define SPARES 2
#define JOBS 2

enum { SPARE_FREE, SPARE_STARTED, SPARE_DISMISSED };

/* A thread of the system: free until started or dismissed, and joined once it ended. */
struct spare {
	tti_atomic_u32 state;
	struct tti_thread *thread;
	bool taken;
	tti_atomic_u32 done;
};

struct job {
	struct tti_job base;
	unsigned input;                      /* by the submitter, before */
	unsigned runs;                       /* on a pool thread */
	unsigned backs;                      /* on the worker */
};

static struct spare spares[SPARES];
static tti_spin spares_lock;
static struct job jobs[JOBS];
static tti_atomic_u32 starts_to_fail, timeouts, workers_left;

/* ---- The seams ---- */

/* relaxed throughout: a count of what may still happen, decided by its atomicity. */
static bool use_up(tti_atomic_u32 *left)
{
	uint32_t n = tti_load_relaxed(left);

	if (n == 0 || model_choose(2) == 0)
		return false;
	return tti_cas_relaxed(left, &n, n - 1);
}

static int env_futex_wait(tti_atomic_u32 *word, uint32_t expected, int64_t deadline)
{
	if (deadline != TT_NEVER && use_up(&timeouts))
		return TT_ETIMEDOUT;
	return model_futex_wait(word, expected);
}

static void env_futex_wake(tti_atomic_u32 *word, int n)
{
	(void)model_futex_wake(word, n);
}

static int env_thread_start(struct tti_thread *t, const char *name)
{
	struct spare *s = NULL;

	(void)name;
	if (use_up(&starts_to_fail))
		return -EAGAIN;
	tti_spin_lock(&spares_lock);
	for (unsigned i = 0; i < SPARES && s == NULL; i++)
		if (!spares[i].taken)
			s = &spares[i];
	if (s != NULL)
		s->taken = true;
	tti_spin_unlock(&spares_lock);
	if (s == NULL)
		return -EAGAIN;
	s->thread = t;
	t->handle[0] = (uint64_t)(s - spares);
	/* release: pairs with the acquire in spare_main(), as a new thread sees its creator. */
	tti_store_release(&s->state, SPARE_STARTED);
	return 0;
}

static void env_thread_join(struct tti_thread *t)
{
	struct spare *s = &spares[t->handle[0]];

	/* acquire: pairs with the release in spare_main(), as a joiner sees all of the thread. */
	while (tti_load_acquire(&s->done) == 0)
		tti_cpu_relax();
}

static const struct tti_env_ops model_env = {
	.name = "model", .alloc = workers_alloc, .free = workers_free, .now = workers_now,
	.futex_wait = env_futex_wait, .futex_wake = env_futex_wake,
	.thread_start = env_thread_start, .thread_join = env_thread_join,
};

/* ---- Jobs ---- */

static void job_run(struct tti_job *j)
{
	struct job *job = TTI_CONTAINER_OF(j, struct job, base);

	MODEL_ASSERT(model_plain_read(job->input) == 7);
	model_plain_write(job->runs, model_plain_read(job->runs) + 1);
}

static void job_back(struct tti_msg *m)
{
	struct job *job = TTI_CONTAINER_OF(m, struct job, base.msg);

	MODEL_ASSERT(model_plain_read(job->runs) == 1);
	job->backs++;
}

/* ---- Threads ---- */

static void spare_main(unsigned i)
{
	struct spare *s = &spares[i];

	uint32_t state;

	/* acquire: pairs with the release in env_thread_start(). */
	while ((state = tti_load_acquire(&s->state)) == SPARE_FREE)
		tti_cpu_relax();
	if (state == SPARE_DISMISSED)
		return;
	s->thread->fn(s->thread->arg);
	/* release: pairs with the acquire in env_thread_join(). */
	tti_store_release(&s->done, 1);
}

static void spare_1(void) { spare_main(0); }
static void spare_2(void) { spare_main(1); }

static void setup_with(uint32_t failures, uint32_t quits, uint32_t n_workers)
{
	tti_blocking_spin_max = 0;
	workers_setup(n_workers, 0);
	tti_env_bind(&model_env);
	runtime.env = &model_env;
	memset(spares, 0, sizeof(spares));
	memset(jobs, 0, sizeof(jobs));
	tti_spin_init(&spares_lock);
	/* relaxed: setup runs alone. */
	tti_store_relaxed(&starts_to_fail, failures);
	/* relaxed: as above. */
	tti_store_relaxed(&timeouts, quits);
	/* relaxed: as above. */
	tti_store_relaxed(&workers_left, n_workers);
}

static void setup_plain(void) { setup_with(0, 0, 1); }
static void setup_failing(void) { setup_with(1, 0, 1); }
static void setup_quitting(void) { setup_with(0, 1, 1); }
static void setup_two_failing(void) { setup_with(2, 0, 2); }

static void setup_spinning(void)
{
	setup_with(0, 0, 1);
	tti_blocking_spin_max = 1;
}

/* True when the pool took the job. */
static bool submit(unsigned i)
{
	int rc;

	model_plain_write(jobs[i].input, 7u);
	jobs[i].base.run = job_run;
	jobs[i].base.msg.handle = job_back;
	rc = tti_job_submit(&jobs[i].base, TTI_JOB_USER);
	MODEL_ASSERT(rc == 0 || rc == TT_EAGAIN);
	return rc == 0;
}

static void wait_for(struct tti_worker *w, unsigned i)
{
	while (jobs[i].backs == 0) {
		tti_worker_finish(w);
		if (jobs[i].backs == 0)
			sleep_for_messages(w);
	}
	MODEL_ASSERT(jobs[i].backs == 1);
}

/* The last worker to leave ends the pool, then the spares that were never needed. */
static void leave(void)
{
	/* acq_rel: pairs with itself: the last one sees the other's work. */
	if (tti_fetch_sub_acq_rel(&workers_left, 1) != 1)
		return;
	tti_blocking_shutdown(&runtime);
	for (unsigned i = 0; i < SPARES; i++) {
		if (spares[i].taken)
			continue;
		/* release: pairs with the acquire in spare_main(). */
		tti_store_release(&spares[i].state, SPARE_DISMISSED);
	}
}

static void two_jobs(void)
{
	bool first, second;

	worker_start();
	first = submit(0);
	second = submit(1);
	if (first)
		wait_for(&workers[0], 0);
	if (second)
		wait_for(&workers[0], 1);
	leave();
}

static void one_after_the_other(void)
{
	worker_start();
	if (submit(0))
		wait_for(&workers[0], 0);
	if (submit(1))
		wait_for(&workers[0], 1);
	leave();
}

static void one_job_of(unsigned i)
{
	worker_start();
	if (submit(i))
		wait_for(&workers[i], i);
	leave();
}

static void worker_1(void) { one_job_of(0); }
static void worker_2(void) { one_job_of(1); }

/* A job that was queued and withdrawn does not run; one that was not comes back. */
static void withdraw(void)
{
	worker_start();
	if (submit(0)) {
		if (tti_job_withdraw(&jobs[0].base))
			MODEL_ASSERT(jobs[0].runs == 0);
		else
			wait_for(&workers[0], 0);
	}
	leave();
}

static void check(void)
{
	for (unsigned i = 0; i < JOBS; i++)
		MODEL_ASSERT(jobs[i].runs == jobs[i].backs);
	MODEL_ASSERT(runtime.blocking_pool.v == NULL);
}

static const struct model_scenario scenarios[] = {
	{ .name = "two_jobs", .claim = "Two jobs come back, each once, and the threads end.", .setup = setup_plain,
	  .threads = { two_jobs, spare_1, spare_2 }, .check = check, .executions = 60000, .partial = true },
	{ .name = "reuse", .claim = "An idle thread takes the next job.", .setup = setup_plain,
	  .threads = { one_after_the_other, spare_1, spare_2 }, .check = check, .executions = 60000, .partial = true },
	{ .name = "spinning", .claim = "So does one that spins for it, or has just given up.", .setup = setup_spinning,
	  .threads = { one_after_the_other, spare_1, spare_2 }, .check = check, .executions = 60000, .partial = true },
	{ .name = "quitting", .claim = "An idle thread that gives up loses no job.", .setup = setup_quitting,
	  .threads = { one_after_the_other, spare_1, spare_2 }, .check = check, .executions = 60000, .partial = true },
	{ .name = "withdraw", .claim = "A withdrawn job does not run.", .setup = setup_plain,
	  .threads = { withdraw, spare_1, spare_2 }, .check = check, .executions = 60000, .partial = true },
	{ .name = "start_fails", .claim = "A thread that cannot be started loses no job.", .setup = setup_failing,
	  .threads = { two_jobs, spare_1, spare_2 }, .check = check, .executions = 60000, .partial = true },
	{ .name = "starts_fail", .claim = "Nor do two that fail for two workers.", .setup = setup_two_failing,
	  .threads = { worker_1, worker_2, spare_1, spare_2 }, .check = check, .executions = 60000, .partial = true },
	{ .name = NULL },
};

static const struct model_survivor survivors[] = {
	{ "src/par/blocking.c", "pools_of", "load acquire->relaxed",
	  "of its two loads the first one; publish_test.c catches it" },
	{ .file = NULL },
};

int main(int argc, char **argv)
{
	static const char *const files[] = { "src/par/blocking.c", NULL };
	static const struct model_harness h = {
		.name = "blocking", .scenarios = scenarios, .survivors = survivors, .files = files,
	};

	return model_main(argc, argv, &h);
}

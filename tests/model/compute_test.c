/* SPDX-License-Identifier: MIT */
/*
 * compute_test.c - par/compute.c under the model: the right side of a fork that is shared runs
 * once, its writes are seen by who joins, the first of two failures is the fork's, a stop
 * reaches every thread, and none that sleeps is forgotten.
 *
 * The pool's threads are two threads of the model; a third one is the task that begins the
 * region and may stop it. A timed nap may end at every choice a scenario allows, and at none
 * elsewhere: nothing may depend on it.
 *
 * The inline half of a fork is the public header's own. It reads the beat with a builtin,
 * since public headers have no atomic.h; here that builtin is the model's relaxed load.
 */
/* model-sources: src/par/compute.c src/par/blocking.c src/sched/sleep.c src/env/cpus.c @worker */
#include "base/atomic.h"

#define __atomic_load_n(p, order) \
	((uint32_t)tti_model_load((p), 4, TTI_MODEL_SITE(TTI_MODEL_LOAD, TTI_MODEL_RELAXED, 0)))
#include <tutti/parallel.h>
#undef __atomic_load_n

#include "workers.h"

#include "par/compute.h"

/* A simulation's half of the pool has no place here. */
int tti_compute_sim_region(struct tti_runtime *rt, struct tt_par_share_ *s, const char *site)
{
	(void)rt;
	(void)s;
	(void)site;
	return TT_ENOSYS;
}

void tti_compute_sim_point(struct tti_compute_worker *w) { (void)w; }
void tti_compute_sim_wait(struct tti_compute_worker *w) { (void)w; }
bool tti_compute_sim_shares(struct tti_compute_worker *w) { return w == NULL; }

/* Every fork here is inside the pool. */
int tt_fork2_outside_(const tt_task_type *left, void *left_args, const tt_task_type *right, void *right_args,
                      const char *site)
{
	(void)left_args;
	(void)right_args;
	model_fail("%s and %s were forked outside the pool, at %s", left->name, right->name, site);
}

/* One call of a body: counted, and what it wrote. */
struct part {
	unsigned runs, drops;
	unsigned written;
	int rc;
};

static struct tti_compute *pool;
static struct tt_par_share_ region;
static struct part parts[4];
static tti_atomic_u32 timeouts, region_ended, ended;
static int region_rc, left_rc, right_rc;
static unsigned news;                /* written before a stop, read by who drops a side for it */
static bool reads_news;

/* ---- The seams ---- */

static int env_futex_wait(tti_atomic_u32 *word, uint32_t expected, int64_t deadline)
{
	/* relaxed: a count of what may still happen. */
	uint32_t left = tti_load_relaxed(&timeouts);

	/* relaxed: as above. */
	if (deadline != TT_NEVER && left > 0 && model_choose(2) == 1 && tti_cas_relaxed(&timeouts, &left, left - 1))
		return TT_ETIMEDOUT;
	return model_futex_wait(word, expected);
}

static void env_futex_wake(tti_atomic_u32 *word, int n)
{
	(void)model_futex_wake(word, n);
}

static int64_t env_now(void)
{
	return TT_SEC(1);
}

static const struct tti_env_ops model_env = {
	.name = "model", .alloc = workers_alloc, .free = workers_free, .now = env_now,
	.futex_wait = env_futex_wait, .futex_wake = env_futex_wake,
};

/* ---- Bodies ---- */

static int part_run(void *args)
{
	struct part *p = args;

	model_plain_write(p->runs, model_plain_read(p->runs) + 1);
	model_plain_write(p->written, 7u);
	return p->rc;
}

static void part_drop(void *args)
{
	struct part *p = args;

	model_plain_write(p->drops, model_plain_read(p->drops) + 1);
	if (reads_news)
		MODEL_ASSERT(model_plain_read(news) == 1);
}

static const tt_task_type part_type = { .name = "part", .site = "model", .size = sizeof(struct part), .align = 8,
	                                .run = part_run, .drop = part_drop };

/* tt_fork2() with a beat at its beginning: somebody is idle, and the last share was long ago. */
static int fork_with_beat(const tt_task_type *left, void *left_args, const tt_task_type *right, void *right_args)
{
	struct tti_compute_worker *w = tti_compute_here();

	w->shared_at = 0;
	/* relaxed: as whoever asks for a share does; an exchange keeps what others flagged. */
	tti_exchange_relaxed(&w->open.beat, 1);
	return tt_fork2_(left, left->run, left_args, right, right->run, right_args, "model");
}

/* tt_fork2() as it is: a beat comes only when others send one. */
static int fork_without_beat(const tt_task_type *left, void *left_args, const tt_task_type *right, void *right_args)
{
	return tt_fork2_(left, left->run, left_args, right, right->run, right_args, "model");
}

static int pair_run(void *args)
{
	struct part *p = args;
	int rc = fork_with_beat(&part_type, &p[0], &part_type, &p[1]);

	for (int i = 0; i < 2; i++)
		MODEL_ASSERT(model_plain_read(p[i].runs) + model_plain_read(p[i].drops) == 1);
	if (rc == 0)
		MODEL_ASSERT(model_plain_read(p[0].written) == 7 && model_plain_read(p[1].written) == 7);
	return rc;
}

static const tt_task_type pair_type = { .name = "pair", .site = "model", .size = 0, .align = 8, .run = pair_run };

/* The same fork where no share was asked for: the left side may be told to stop meanwhile. */
static int plain_pair_run(void *args)
{
	struct part *p = args;
	int rc = fork_without_beat(&part_type, &p[0], &part_type, &p[1]);

	for (int i = 0; i < 2; i++)
		MODEL_ASSERT(model_plain_read(p[i].runs) + model_plain_read(p[i].drops) == 1);
	return rc;
}

static const tt_task_type plain_pair_type = { .name = "plain pair", .site = "model", .size = 0, .align = 8,
	                                      .run = plain_pair_run };

static int tree_run(void *args)
{
	struct part *p = args;

	return fork_with_beat(&part_type, &p[2], &pair_type, &p[0]);
}

static const tt_task_type tree_type = { .name = "tree", .site = "model", .size = 0, .align = 8, .run = tree_run };

/* Both sides fork: whoever waits may run parts of what it waits for, and no others. */
static int deep_run(void *args)
{
	struct part *p = args;

	return fork_with_beat(&pair_type, &p[0], &pair_type, &p[2]);
}

static const tt_task_type deep_type = { .name = "deep", .site = "model", .size = 0, .align = 8, .run = deep_run };

/* Nobody is idle here: a beat can only mean that the region was stopped. */
static int told_run(void *args)
{
	struct tti_compute_worker *w = tti_compute_here();
	struct part *p = args;

	for (int i = 0; i < 2; i++) {
		bool wanted;

		/* relaxed: as in a fork. */
		if (tti_load_relaxed(&w->open.beat) != 0) {
			MODEL_ASSERT(tti_compute_attend(w, &wanted) == TT_ECANCELED);
			p->written = 1;
			return TT_ECANCELED;
		}
	}
	return 0;
}

static const tt_task_type told_type = { .name = "told", .site = "model", .size = 0, .align = 8, .run = told_run };

/* ---- Threads ---- */

static void region_done(struct tt_par_share_ *s)
{
	region_rc = s->rc;
	/* release: pairs with the acquire in wait_for_region(). */
	tti_store_release(&region_ended, 1);
	(void)model_futex_wake(&region_ended, 1);
}

static void work(unsigned i)
{
	struct tti_compute_worker *w = &pool->workers[i];

	tti_compute_enter(w);
	tti_compute_work(w);
	tti_compute_enter(NULL);
	MODEL_ASSERT(w->context == NULL && w->open.tail == &w->open.oldest);
	/* acq_rel: pairs with itself: the last one frees what the other used. */
	tti_fetch_add_acq_rel(&ended, 1);
}

static void thread_1(void) { work(0); }
static void thread_2(void) { work(1); }

static void wait_for_region(void)
{
	/* acquire: pairs with the release in region_done(). */
	while (tti_load_acquire(&region_ended) == 0)
		(void)model_futex_wait(&region_ended, 0);
}

static void begin(const tt_task_type *type)
{
	region.type = type;
	region.args = parts;
	region.why = "region";
	region.done = region_done;
	tti_compute_submit(pool, &region);
}

static void run_region(const tt_task_type *type)
{
	begin(type);
	wait_for_region();
	tti_compute_close(pool);
}

static void task_pair(void) { run_region(&pair_type); }
static void task_tree(void) { run_region(&tree_type); }
static void task_deep(void) { run_region(&deep_type); }

static void task_twice(void)
{
	begin(&part_type);
	wait_for_region();
	MODEL_ASSERT(region_rc == 0 && model_plain_read(parts[0].written) == 7);
	/* relaxed: the pool's threads are done with it. */
	tti_store_relaxed(&region_ended, 0);
	run_region(&part_type);
}

static void task_stop(void)
{
	begin(&pair_type);
	tti_compute_stop(pool, &region);
	wait_for_region();
	tti_compute_close(pool);
}

/* What the one who stops wrote before is seen by the side that is told, and not run. */
static void task_stop_plain(void)
{
	begin(&plain_pair_type);
	model_plain_write(news, 1u);
	tti_compute_stop(pool, &region);
	wait_for_region();
	tti_compute_close(pool);
}

static void task_tell(void)
{
	begin(&told_type);
	tti_compute_stop(pool, &region);
	wait_for_region();
	tti_compute_close(pool);
}

static void task_withdraw(void)
{
	begin(&pair_type);
	if (!tti_compute_withdraw(pool, &region))
		wait_for_region();
	else
		MODEL_ASSERT(parts[0].runs == 0);
	tti_compute_close(pool);
}

/* ---- Setup and checks ---- */

static void setup_threads(unsigned threads, uint32_t naps, int left, int right)
{
	workers_setup(1, 0);
	tti_env_bind(&model_env);
	model_thread_local(&tt_par_here_, sizeof(tt_par_here_));
	model_thread_local(&tti_job_checkpoint, sizeof(tti_job_checkpoint));
	memset(parts, 0, sizeof(parts));
	memset(&region, 0, sizeof(region));
	tti_compute_spin_max = 0;
	pool = tti_compute_new(threads, &model_env);
	MODEL_ASSERT(pool != NULL);
	news = 0;
	reads_news = false;
	parts[0].rc = left_rc = left;
	parts[1].rc = right_rc = right;
	region_rc = 1;
	/* relaxed: setup runs alone. */
	tti_store_relaxed(&timeouts, naps);
	/* relaxed: as above. */
	tti_store_relaxed(&region_ended, 0);
	/* relaxed: as above. */
	tti_store_relaxed(&ended, 0);
}

static void setup_with(uint32_t naps, int left, int right)
{
	setup_threads(2, naps, left, right);
}

static void setup_one(void) { setup_threads(1, 0, 0, 0); }
static void setup_plain(void) { setup_with(0, 0, 0); }

static void setup_news(void)
{
	setup_one();
	reads_news = true;
}

static void setup_naps(void) { setup_with(1, 0, 0); }
static void setup_right_fails(void) { setup_with(0, 0, TT_EIO); }
static void setup_both_fail(void) { setup_with(0, TT_EPROTO, TT_EIO); }

static void check_ended(void)
{
	MODEL_ASSERT(tti_list_empty(&pool->queue) && tti_list_empty(&pool->sleepers));
	MODEL_ASSERT(pool->regions == 0 && pool->queued.v == 0 && pool->hungry.v == 0);
	tti_compute_free(pool);
}

static void check_ok(void)
{
	MODEL_ASSERT(region_rc == 0);
	check_ended();
}

static void check_failed(void)
{
	MODEL_ASSERT(region_rc == left_rc || region_rc == right_rc);
	MODEL_ASSERT(region_rc < 0 && region.err.code == region_rc);
	/* What the left side began before it failed, the right one was not told to stop by then. */
	if (left_rc < 0 && region_rc == right_rc)
		MODEL_ASSERT(parts[1].runs == 1);
	model_outcome("%s", region_rc == left_rc ? "left" : "right");
	tti_error_clear(&region.err);
	check_ended();
}

static void check_stopped(void)
{
	MODEL_ASSERT(region_rc == 0 || region_rc == TT_ECANCELED || region_rc == 1);
	if (region_rc == 0)
		MODEL_ASSERT(parts[0].runs == 1 && parts[1].runs == 1);
	model_outcome("%s", region_rc == 0 ? "whole" : "cut");
	if (region_rc < 0)
		tti_error_clear(&region.err);
	check_ended();
}

static void check_told(void)
{
	model_outcome("%s", parts[0].written == 1 ? "told" : "not told");
	if (region_rc < 0)
		tti_error_clear(&region.err);
	check_ended();
}

static const char *const told_or_not[] = { "not told", "told", NULL };
static const char *const either[] = { "left", "right", NULL };
static const char *const left_or_whole[] = { "cut", "whole", NULL };

static const struct model_scenario scenarios[] = {
	{ .name = "fork", .claim = "A fork's sides run once each, and who joins sees what they wrote.", .setup = setup_plain,
	  .threads = { thread_1, thread_2, task_pair }, .check = check_ok, .executions = 60000, .partial = true },
	{ .name = "naps", .claim = "Also when a sleeper gives up just then.", .setup = setup_naps,
	  .threads = { thread_1, thread_2, task_pair }, .check = check_ok, .executions = 60000, .partial = true },
	{ .name = "tree", .claim = "A shared side may fork in turn.", .setup = setup_plain,
	  .threads = { thread_1, thread_2, task_tree }, .check = check_ok, .executions = 60000, .partial = true },
	{ .name = "deep", .claim = "Both sides may, and each waits for its own.", .setup = setup_plain,
	  .threads = { thread_1, thread_2, task_deep }, .check = check_ok, .executions = 60000, .partial = true },
	{ .name = "twice", .claim = "Threads that went to sleep come to the next region.", .setup = setup_plain,
	  .threads = { thread_1, thread_2, task_twice }, .check = check_ok, .executions = 60000, .partial = true },
	{ .name = "right_fails", .claim = "The failure of a shared side comes to who joins.", .setup = setup_right_fails,
	  .threads = { thread_1, thread_2, task_pair }, .check = check_failed, .executions = 60000, .partial = true },
	{ .name = "both_fail", .claim = "Of two failures the first counts, either way.", .setup = setup_both_fail,
	  .threads = { thread_1, thread_2, task_pair }, .check = check_failed, .outcomes = either, .executions = 60000,
	  .partial = true },
	{ .name = "stop", .claim = "A stopped region ends, and each side ran or was dropped.", .setup = setup_plain,
	  .threads = { thread_1, thread_2, task_stop }, .check = check_stopped, .outcomes = left_or_whole,
	  .executions = 60000, .partial = true },
	{ .name = "told", .claim = "Who takes a beat sees the stop that it tells of.", .setup = setup_one,
	  .threads = { thread_1, task_tell }, .check = check_told, .outcomes = told_or_not, .executions = 60000,
	  .partial = true },
	{ .name = "told_in_fork", .claim = "A fork that is told to stop after its left side sees who told it.",
	  .setup = setup_news, .threads = { thread_1, task_stop_plain }, .check = check_stopped,
	  .outcomes = left_or_whole, .executions = 60000, .partial = true },
	{ .name = "withdraw", .claim = "A withdrawn region has not begun.", .setup = setup_plain,
	  .threads = { thread_1, thread_2, task_withdraw }, .check = check_stopped, .outcomes = left_or_whole,
	  .executions = 60000, .partial = true },
	{ .name = NULL },
};

static const struct model_survivor survivors[] = {
	{ .file = NULL },
};

int main(int argc, char **argv)
{
	static const char *const files[] = { "src/par/compute.c", NULL };
	static const struct model_harness h = {
		.name = "compute", .scenarios = scenarios, .survivors = survivors, .files = files,
	};

	return model_main(argc, argv, &h);
}

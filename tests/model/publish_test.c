/* SPDX-License-Identifier: MIT */
/*
 * publish_test.c - what is made on first use by whoever comes first, under the model: the table of
 * descriptors and its chunks, the blocking pools, the compute pool.
 *
 * Two or three workers ask at the same moment. All get the same object, whole; what the losers
 * made is freed. Memory is watched at the last word of each block: it is written when the block
 * is made and read by whoever got the object, so one that is seen too early is a race.
 *
 * compute.c is part of this file for its pool_of(). The threads of a pool are started here and
 * never run: nobody gives them work.
 */
/* model-sources: src/net/fd.c src/par/blocking.c src/sched/sleep.c src/env/cpus.c @worker */
#include "workers.h"

#include "par/compute.c"

#include "net/fd.h"

#include <stdlib.h>

#define BLOCKS 12
#define TABLE_MAX (160 * 1024)       /* of the largest block, the table */

struct block { size_t size; bool used; _Alignas(64) char memory[TABLE_MAX]; };

static struct block blocks[BLOCKS];
static unsigned blocks_live;
static void *found[WORKERS];

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

/* ---- The seams ---- */

static uint32_t *last_word(struct block *b)
{
	return (uint32_t *)(void *)(b->memory + (b->size + 3) / 4 * 4);
}

static struct block *block_of(const void *p)
{
	for (unsigned i = 0; i < BLOCKS; i++)
		if ((const char *)p >= blocks[i].memory && (const char *)p < blocks[i].memory + TABLE_MAX)
			return &blocks[i];
	model_fail("an object that was not allocated here");
}

static void *env_alloc(size_t n)
{
	if (n == sizeof(struct tt_error_node))
		return NULL;
	MODEL_ASSERT(n + 8 <= TABLE_MAX);
	for (unsigned i = 0; i < BLOCKS; i++) {
		if (blocks[i].used)
			continue;
		blocks[i].used = true;
		blocks[i].size = n;
		blocks_live++;
		/* Behind the block, so that the runtime never writes it. */
		model_plain_write(*last_word(&blocks[i]), 1u);
		return blocks[i].memory;
	}
	model_fail("more blocks than are wanted");
}

static void env_free(void *p)
{
	if (p == NULL)
		return;
	MODEL_ASSERT(block_of(p)->used);
	block_of(p)->used = false;
	blocks_live--;
}

static int env_thread_start(struct tti_thread *t, const char *name)
{
	(void)t;
	(void)name;
	return 0;
}

static void env_thread_join(struct tti_thread *t) { (void)t; }
static int64_t env_now(void) { return 1; }
static void env_futex_wake(tti_atomic_u32 *word, int n) { (void)model_futex_wake(word, n); }

static const struct tti_env_ops model_env = {
	.name = "model", .alloc = env_alloc, .free = env_free, .now = env_now, .futex_wake = env_futex_wake,
	.thread_start = env_thread_start, .thread_join = env_thread_join,
};

static void setup_n(unsigned n)
{
	workers_setup(n, 0);
	tti_env_bind(&model_env);
	runtime.env = &model_env;
	tti_blocking_spin_max = tti_compute_spin_max = 0;
	for (unsigned i = 0; i < BLOCKS; i++)
		blocks[i].used = false;
	blocks_live = 0;
	for (unsigned i = 0; i < WORKERS; i++)
		found[i] = NULL;
	model_name(&runtime.fd_table, "fd table");
	model_name(&runtime.blocking_pool, "blocking pools");
}

static void setup_2(void) { setup_n(2); }
static void setup_3(void) { setup_n(3); }

/* ---- The threads ---- */

static void got(void *object)
{
	MODEL_ASSERT(object != NULL);
	MODEL_ASSERT(model_plain_read(*last_word(block_of(object))) == 1);
	found[model_thread() - 1] = object;
}

static void get_slot(void)
{
	struct tti_fd *fd;

	worker_start();
	fd = tti_fd_slot(5, true);
	got(fd);
	MODEL_ASSERT(tti_list_empty(&fd->calls));
	got(runtime.fd_table.v);
	found[model_thread() - 1] = fd;
}

/* Looks only: a table that is there is whole. */
static void look_at_slot(void)
{
	struct tti_fd *fd;

	worker_start();
	fd = tti_fd_slot(5, false);
	if (fd != NULL)
		got(fd);
}

static void get_pool(void)
{
	struct tti_compute *c = NULL;

	worker_start();
	MODEL_ASSERT(pool_of(&runtime, &c) == 0);
	got(c);
	got(runtime.blocking_pool.v);
	found[model_thread() - 1] = c;
}

/* ---- Checks ---- */

static void check_same(void)
{
	for (unsigned i = 0; i < runtime.n_workers; i++)
		MODEL_ASSERT(found[i] == NULL || found[i] == found[0]);
}

static void check_slots(void)
{
	check_same();
	MODEL_ASSERT(blocks_live == 2); /* the table and one chunk */
}

static void check_pools(void)
{
	check_same();
	MODEL_ASSERT(blocks_live == 2);
	tti_compute_shutdown(&runtime);
	tti_blocking_shutdown(&runtime);
	MODEL_ASSERT(blocks_live == 0);
}

static const struct model_scenario scenarios[] = {
	{ .name = "slot_2", .claim = "Two workers that adopt the first descriptor share one table and chunk.",
	  .setup = setup_2, .threads = { get_slot, get_slot }, .check = check_slots },
	{ .name = "slot_look", .claim = "Who only looks finds nothing, or all of it.", .setup = setup_3,
	  .threads = { get_slot, look_at_slot, get_slot }, .check = check_slots },
	{ .name = "pool_2", .claim = "Two first regions share one compute pool; the other one is ended.", .setup = setup_2,
	  .threads = { get_pool, get_pool }, .check = check_pools },
	{ .name = NULL },
};

int main(int argc, char **argv)
{
	static const char *const files[] = { "src/net/fd.c", "src/par/compute.c", "src/par/blocking.c", NULL };
	static const struct model_harness h = {
		.name = "publish", .scenarios = scenarios, .files = files,
	};

	setenv("TUTTI_COMPUTE", "1", 1);
	return model_main(argc, argv, &h);
}

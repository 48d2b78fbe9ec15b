/* SPDX-License-Identifier: MIT */
/*
 * fiber_test.c - claims about stacks: their size, colour, guards, reuse and limits.
 *
 * Claims that end a process run in a child whose stderr the parent reads.
 */
#include "fiber/fiber.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "env/env.h"
#include "fiber/slab.h"
#include "testing/child_testkit.h"

#define CHECK(cond) \
	do { \
		if (!(cond)) { \
			fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #cond); \
			exit(1); \
		} \
	} while (0)

static struct tti_fiber_pool pool;
static struct tti_fiber thread;

static struct child die_in_child(void (*fn)(void))
{
	struct child c;

	if (child_begin(&c, CHILD_STDERR)) {
		fn();
		_exit(0);
	}
	child_end(&c);
	return c;
}

static struct tti_fiber *must_acquire(struct tti_fiber_pool *p, enum tti_stack_class c)
{
	struct tti_fiber *f;

	CHECK(tti_fiber_acquire(p, c, &f) == 0);
	return f;
}

#define FOR_EACH_CLASS(c) \
	for (enum tti_stack_class c = TTI_STACK_64K; c < TTI_STACK_CLASSES; c++)

static void begin(void)
{
	CHECK(tti_fiber_pool_init(&pool, NULL) == 0);
	tti_fiber_adopt_thread(&thread);
}

static void end(void)
{
	CHECK(tti_fiber_pool_is_valid(&pool));
	tti_fiber_pool_fini(&pool);
}

struct visit {
	struct tti_fiber *self;
	int n;
};

static void visit_three_times(void *arg)
{
	struct visit *v = arg;

	for (int i = 0; i < 2; i++) {
		v->n++;
		tti_fiber_switch(v->self, &thread, false);
	}
	v->n++;
	tti_fiber_switch(v->self, &thread, true);
}

/* A fiber runs when switched to, keeps its place, and its stack is used again. */
static void fiber_runs_parks_and_is_reused(void)
{
	struct visit v = { .n = 0 };
	struct tti_fiber *first = NULL;

	begin();
	for (int round = 0; round < 3; round++) {
		v.self = must_acquire(&pool, TTI_STACK_64K);
		CHECK(first == NULL || v.self == first);
		first = v.self;
		tti_fiber_prepare(v.self, visit_three_times, &v);
		for (int i = 1; i <= 3; i++) {
			tti_fiber_switch(&thread, v.self, false);
			CHECK(v.n == 3 * round + i);
		}
		tti_fiber_release(&pool, v.self);
	}
	CHECK(pool.created == 1 && pool.peak == 1 && pool.cached == 1 && pool.live == 0);
	end();
}

/* The newest released stack, whose lines are still in cache, is handed out first. */
static void reuse_is_newest_first(void)
{
	struct tti_fiber *a, *b;

	begin();
	a = must_acquire(&pool, TTI_STACK_64K);
	b = must_acquire(&pool, TTI_STACK_64K);
	tti_fiber_release(&pool, a);
	tti_fiber_release(&pool, b);
	CHECK(must_acquire(&pool, TTI_STACK_64K) == b);
	CHECK(must_acquire(&pool, TTI_STACK_64K) == a);
	tti_fiber_release(&pool, a);
	tti_fiber_release(&pool, b);
	end();
}

/* Every class gives what it says, whatever the colour, above a guard. */
static void classes_have_their_size(void)
{
	static const size_t least[] = { 64u << 10, 256u << 10, 1u << 20, 8u << 20 };
	struct tti_fiber *f[9];

	begin();
	FOR_EACH_CLASS(c) {
		CHECK(tti_stack_class_size(c) >= least[c]);
		for (int i = 0; i < 9; i++) {
			f[i] = must_acquire(&pool, c);
			CHECK(f[i]->stack_size >= tti_stack_class_size(c));
			CHECK((uintptr_t)f[i] % 64 == 0);
			CHECK(f[i]->stack_low + f[i]->stack_size == (char *)f[i]);
			f[i]->stack_low[0] = 1;
		}
		for (int i = 0; i < 9; i++)
			tti_fiber_release(&pool, f[i]);
	}
	end();
}

/* Eight neighbours have eight different offsets in their page. */
static void tops_are_coloured(void)
{
	struct tti_fiber *f[8];
	uintptr_t offset[8];

	begin();
	for (int i = 0; i < 8; i++) {
		f[i] = must_acquire(&pool, TTI_STACK_64K);
		offset[i] = (uintptr_t)f[i] % 4096;
		for (int j = 0; j < i; j++)
			CHECK(offset[i] != offset[j]);
	}
	for (int i = 0; i < 8; i++)
		tti_fiber_release(&pool, f[i]);
	end();
}

static bool kernel_can_read(const char *p)
{
	char back[8];
	int fds[2];
	ssize_t n;

	CHECK(pipe(fds) == 0);
	n = write(fds[1], p, 8);
	CHECK(n == 8 || (n == -1 && errno == EFAULT));
	if (n == 8)
		CHECK(read(fds[0], back, 8) == 8);
	close(fds[0]);
	close(fds[1]);
	return n == 8;
}

static void check_guard_of(const struct tti_fiber *f)
{
	CHECK(kernel_can_read(f->stack_low));
	CHECK(!kernel_can_read(f->stack_low - 8));
	CHECK(!kernel_can_read(f->stack_low - 32768));
	CHECK(!kernel_can_read(f->stack_low - 65536));
}

/* Guards are judged by behaviour: a write() from the 64 KiB below a stack is EFAULT,
 * with the kernel's best guards and with mprotect alike. */
static void guards_fault(void)
{
	struct tti_stack_options plain = { 0 }, old_kernel = { .no_guard_install = true };
	struct tti_stack_arena arena;
	struct tti_fiber *f[130];

	for (int i = 0; i < 2; i++) {
		CHECK(tti_stack_arena_init(&arena, i == 0 ? &plain : &old_kernel) == 0);
		CHECK(i == 0 || arena.guard_mode == TTI_GUARD_MPROTECT);
		CHECK(tti_fiber_pool_init(&pool, &arena) == 0);
		for (int k = 0; k < 130; k++)
			f[k] = must_acquire(&pool, TTI_STACK_64K);
		for (int k = 0; k < 130; k++) {
			check_guard_of(f[k]);
			tti_fiber_release(&pool, f[k]);
		}
		end();
	}
}

#define MANY 400

/* Acquires until refused or MANY; returns how many there are. */
static size_t acquire_many(struct tti_fiber **f)
{
	size_t n = 0;

	while (n < MANY && tti_fiber_acquire(&pool, TTI_STACK_64K, &f[n]) == 0)
		n++;
	return n;
}

static void release_many(struct tti_fiber **f, size_t n)
{
	while (n > 0)
		tti_fiber_release(&pool, f[--n]);
}

/* Without MADV_GUARD_INSTALL stacks stop at the budget of maps, with -ENOMEM, and the
 * text says why; stacks given back can be had again; the budget comes back at the end. */
static void mprotect_guards_keep_a_budget(void)
{
	struct tti_stack_options o = { .no_guard_install = true, .map_count_max = 512 };
	struct tti_stack_arena arena;
	struct tti_fiber *f[MANY];
	char text[256];
	size_t n;

	CHECK(tti_stack_arena_init(&arena, &o) == 0);
	CHECK(tti_fiber_pool_init(&pool, &arena) == 0);
	n = acquire_many(f);
	CHECK(n <= arena.guard_budget && n + 64 > arena.guard_budget);
	CHECK(tti_fiber_pool_is_valid(&pool));
	CHECK(tti_fiber_pool_limit_text(&pool, text, sizeof(text)) > 0);
	CHECK(strstr(text, "6.13") != NULL && strstr(text, "max_map_count = 512") != NULL);
	release_many(f, n);
	CHECK(acquire_many(f) == n);
	release_many(f, n);
	end();
	/* relaxed: no other thread exists. */
	CHECK(tti_load_relaxed(&arena.guard_used) == 0);
}

static int warnings;

static void count_warning(const char *text)
{
	CHECK(strstr(text, "unguarded") != NULL);
	warnings++;
}

static const struct tti_stack_options unguarded_options = {
	.no_guard_install = true, .map_count_max = 512, .unguarded = true, .warn = count_warning
};

/* Where the program permits it, stacks beyond the budget come without a guard; the
 * program is told once. */
static void unguarded_stacks_are_permitted_and_announced(void)
{
	struct tti_stack_arena arena;
	struct tti_fiber *f[MANY];
	size_t bare = 0;

	warnings = 0;
	CHECK(tti_stack_arena_init(&arena, &unguarded_options) == 0);
	CHECK(tti_fiber_pool_init(&pool, &arena) == 0);
	CHECK(acquire_many(f) == MANY);
	CHECK(warnings == 1);
	for (size_t i = 0; i < MANY; i++) {
		bare += f[i]->unguarded;
		CHECK(kernel_can_read(f[i]->stack_low - 8) == f[i]->unguarded);
	}
	CHECK(bare > 0 && bare >= MANY - arena.guard_budget);
	release_many(f, MANY);
	end();
}

static void dirty_the_end(void *arg)
{
	struct visit *v = arg;

	tti_fiber_switch(v->self, &thread, false); /* clean so far: passes */
	v->self->stack_low[60] = 1;
	tti_fiber_switch(v->self, &thread, false);
}

static void overflow_unguarded(void)
{
	struct tti_stack_options none = { .no_guard_install = true, .map_count_max = 2, .unguarded = true };
	struct tti_stack_arena arena;
	struct visit v;

	CHECK(tti_stack_arena_init(&arena, &none) == 0);
	CHECK(arena.guard_mode == TTI_GUARD_NONE);
	CHECK(tti_fiber_pool_init(&pool, &arena) == 0);
	tti_fiber_adopt_thread(&thread);
	v.self = must_acquire(&pool, TTI_STACK_64K);
	tti_fiber_prepare(v.self, dirty_the_end, &v);
	tti_fiber_switch(&thread, v.self, false);
	fprintf(stderr, "clean switch passed\n");
	tti_fiber_switch(&thread, v.self, false);
}

/* A task that used an unguarded stack to its end is stopped when it next switches. */
static void canary_stops_an_unguarded_overflow(void)
{
	struct child d = die_in_child(overflow_unguarded);

	CHECK(WIFSIGNALED(d.status) && WTERMSIG(d.status) == SIGABRT);
	CHECK(strstr(d.text, "clean switch passed") != NULL);
	CHECK(strstr(d.text, "stack overflow in a stack that no task owns") != NULL);
}

static void release_self(void *arg)
{
	struct visit *v = arg;

	tti_fiber_release(&pool, v->self);
	tti_fiber_switch(v->self, &thread, true);
}

TT_UNUSED static void break_law_6(void)
{
	struct visit v;

	begin();
	v.self = must_acquire(&pool, TTI_STACK_64K);
	tti_fiber_prepare(v.self, release_self, &v);
	tti_fiber_switch(&thread, v.self, false);
}

/* Law 6: a fiber that releases the stack it runs on is stopped. */
static void law_6_stack_is_released_from_another_stack(void)
{
#ifndef TT_NO_ASSERT
	struct child d = die_in_child(break_law_6);

	CHECK(WIFSIGNALED(d.status) && WTERMSIG(d.status) == SIGABRT);
	CHECK(strstr(d.text, "running_on") != NULL);
#endif
}

/* Random acquiring, releasing and trimming over all classes keeps the counts true. */
static void pool_stays_valid_under_random_use(void)
{
	struct tti_fiber *f[200] = { 0 };
	uint64_t seed = 0x5eed;

	begin();
	for (int step = 0; step < 20000; step++) {
		uint64_t i;

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		i = (seed >> 33) % 200;
		if (f[i] != NULL) {
			tti_fiber_release(&pool, f[i]);
			f[i] = NULL;
		} else {
			f[i] = must_acquire(&pool, (enum tti_stack_class)((seed >> 50) % TTI_STACK_CLASSES));
			f[i]->stack_low[0] = 1;
		}
		if (step % 500 == 0)
			TT_IGNORE((int)tti_fiber_pool_trim(&pool));
		if (step % 100 == 0)
			CHECK(tti_fiber_pool_is_valid(&pool));
	}
	for (int i = 0; i < 200; i++) {
		if (f[i] != NULL)
			tti_fiber_release(&pool, f[i]);
	}
	end();
}

static unsigned char page_is_resident(char *p)
{
	unsigned char in_core = 0;

	CHECK(mincore((void *)((uintptr_t)p & ~(uintptr_t)4095), 1, &in_core) == 0);
	return in_core & 1;
}

/* The first trim keeps what the recent peak would need; once the peak has not come
 * back, further ones return every page, and the guards stay. */
static void trim_returns_pages_beyond_the_recent_peak(void)
{
	struct tti_fiber *f[MANY];
	char *low[MANY];
	size_t n = 0, round;

	begin();
	CHECK(acquire_many(f) == MANY);
	for (int i = 0; i < MANY; i++) {
		low[i] = f[i]->stack_low;
		low[i][100] = 1;
	}
	release_many(f, MANY);
	CHECK(tti_fiber_pool_trim(&pool) == 0 && pool.cached == MANY);
	while ((round = tti_fiber_pool_trim(&pool)) > 0) {
		CHECK(round <= 256);
		n += round;
	}
	CHECK(n == MANY && pool.cached == 0);
	for (int i = 0; i < MANY; i++)
		CHECK(!page_is_resident(low[i]));
	CHECK(acquire_many(f) == MANY);
	for (int i = 0; i < MANY; i++) {
		CHECK(f[i]->stack_low[100] == 0);
		check_guard_of(f[i]);
	}
	release_many(f, MANY);
	end();
}

/* Environments that refuse, or lie. */

static long nr_refused;
static bool alloc_refused;

static long refuse_or_pass(long nr, long a, long b, long c, long d, long e, long f)
{
	if (nr == nr_refused)
		return -ENOMEM;
	return tti_env_real.syscall(nr, a, b, c, d, e, f);
}

static void *alloc_or_refuse(size_t n)
{
	return alloc_refused ? NULL : tti_env_real.alloc(n);
}

/* An emulator accepts any advice and does nothing. */
static long lie_about_advice(long nr, long a, long b, long c, long d, long e, long f)
{
	if (nr == SYS_madvise)
		return 0;
	return tti_env_real.syscall(nr, a, b, c, d, e, f);
}

/* A kernel that says yes to MADV_GUARD_INSTALL and does nothing is found out. */
static void guards_that_lie_are_found_out(void)
{
	struct tti_env_ops ops = tti_env_real;
	struct tti_stack_arena arena;

	ops.syscall = lie_about_advice;
	tti_env_bind(&ops);
	CHECK(tti_stack_arena_init(&arena, NULL) == 0);
	tti_env_bind(NULL);
	CHECK(arena.guard_mode == TTI_GUARD_MPROTECT);
}

/* An arena that cannot even make its probe says why. */
static void refused_probe_is_an_error(void)
{
	static const long refusals[] = { SYS_mmap, SYS_eventfd2 };
	struct tti_env_ops ops = tti_env_real;
	struct tti_stack_arena arena;

	ops.syscall = refuse_or_pass;
	tti_env_bind(&ops);
	for (int i = 0; i < 2; i++) {
		nr_refused = refusals[i];
		CHECK(tti_stack_arena_init(&arena, NULL) == -ENOMEM);
	}
	tti_env_bind(NULL);
}

/* Whatever memory is refused, the mapping or its guards, acquire says -ENOMEM, leaves
 * its output alone, and works again when the refusal ends. */
static void refused_memory_is_enomem(void)
{
	static const long refusals[] = { SYS_mmap, SYS_mprotect };
	struct tti_stack_options o = { .no_guard_install = true };
	struct tti_env_ops ops = tti_env_real;
	struct tti_stack_arena arena;
	struct tti_fiber *f[TTI_STACK_CLASSES], *untouched = &thread;

	ops.syscall = refuse_or_pass;
	CHECK(tti_stack_arena_init(&arena, &o) == 0);
	for (int i = 0; i < 2; i++) {
		CHECK(tti_fiber_pool_init(&pool, &arena) == 0);
		tti_env_bind(&ops);
		nr_refused = refusals[i];
		FOR_EACH_CLASS(c)
			CHECK(tti_fiber_acquire(&pool, c, &untouched) == -ENOMEM);
		CHECK(untouched == &thread && tti_fiber_pool_is_valid(&pool));
		nr_refused = -1;
		FOR_EACH_CLASS(c) {
			f[c] = must_acquire(&pool, c);
			check_guard_of(f[c]);
		}
		FOR_EACH_CLASS(c)
			tti_fiber_release(&pool, f[c]);
		tti_env_bind(NULL);
		end();
	}
	/* relaxed: no other thread exists. */
	CHECK(tti_load_relaxed(&arena.guard_used) == 0);
}

/* Records of dead slabs are used again, so a fresh record is needed only when more
 * slabs live than ever before; then a refused allocation is -ENOMEM too. */
static void refused_record_is_enomem(void)
{
	struct tti_env_ops ops = tti_env_real;
	struct tti_fiber *f[MANY];
	size_t n = 0;
	int rc;

	begin();
	ops.alloc = alloc_or_refuse;
	alloc_refused = true;
	tti_env_bind(&ops);
	do
		rc = tti_fiber_acquire(&pool, TTI_STACK_8M, &f[n]);
	while (rc == 0 && ++n < MANY);
	CHECK(rc == -ENOMEM && tti_fiber_pool_is_valid(&pool));
	alloc_refused = false;
	CHECK(tti_fiber_acquire(&pool, TTI_STACK_8M, &f[n]) == 0);
	tti_env_bind(NULL);
	release_many(f, n + 1);
	end();
}

#define CHURNERS 3

static tti_atomic_u32 churners_done;

/* Pools come and go; each stack that is live is found, and found to be itself. */
static void churn(void *arg)
{
	struct tti_fiber_pool mine = { 0 };
	struct tti_slab_hit hit;

	(void)arg;
	for (int round = 0; round < 200; round++) {
		struct tti_fiber *f;

		CHECK(tti_fiber_pool_init(&mine, pool.arena) == 0);
		f = must_acquire(&mine, (enum tti_stack_class)(round % 2));
		CHECK(tti_slab_find(f->stack_low, &hit) && hit.fiber == f && !hit.in_guard);
		CHECK(tti_slab_find(f->stack_low - 1, &hit) && hit.fiber == f && hit.in_guard);
		CHECK(tti_slab_find(f, &hit) && hit.fiber == f && !hit.in_guard);
		tti_fiber_release(&mine, f);
		tti_fiber_pool_fini(&mine);
	}
	/* release: pairs with the acquire in the test. */
	tti_fetch_add_acq_rel(&churners_done, 1);
}

/* The registry may be read by any thread at any time, as a signal handler does, while
 * slabs are made, retired and their records used again. */
static void slabs_are_found_while_others_come_and_go(void)
{
	struct tti_thread t[CHURNERS];
	struct tti_slab_hit hit;
	struct tti_fiber *f;

	begin();
	f = must_acquire(&pool, TTI_STACK_1M);
	for (int i = 0; i < CHURNERS; i++) {
		t[i] = (struct tti_thread){ .fn = churn };
		CHECK(tti_env_thread_start(&t[i], "churn") == 0);
	}
	do {
		CHECK(!tti_slab_find(&pool, &hit));
		CHECK(tti_slab_find(f->stack_low - 1, &hit) && hit.fiber == f && hit.in_guard);
		/* acquire: pairs with the release in churn(). */
	} while (tti_load_acquire(&churners_done) < CHURNERS);
	for (int i = 0; i < CHURNERS; i++)
		tti_env_thread_join(&t[i]);
	tti_fiber_release(&pool, f);
	end();
}

static struct tti_fiber *ping, *pong;

static void pass_back(void *arg)
{
	(void)arg;
	for (;;)
		tti_fiber_switch(pong, ping, false);
}

#ifdef TTI_FIBER_SANITIZED
#define SWITCHES 100000
#else
#define SWITCHES 1000000
#endif

static void pass_on(void *arg)
{
	(void)arg;
	for (int i = 0; i < SWITCHES / 2; i++)
		tti_fiber_switch(ping, pong, false);
	tti_fiber_switch(ping, &thread, true);
}

/* A million switches between two fibers, and what one costs. */
static void many_switches(void)
{
	struct timespec a, b;

	begin();
	ping = must_acquire(&pool, TTI_STACK_64K);
	pong = must_acquire(&pool, TTI_STACK_64K);
	tti_fiber_prepare(ping, pass_on, NULL);
	tti_fiber_prepare(pong, pass_back, NULL);
	clock_gettime(CLOCK_MONOTONIC, &a);
	tti_fiber_switch(&thread, ping, false);
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("switch: %.1f ns\n",
	       ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / SWITCHES);
	tti_fiber_release(&pool, ping);
	tti_fiber_release(&pool, pong);
	end();
}

static void hold_memory(void *arg)
{
	struct visit *v = arg;
	char *volatile held = malloc(100);

	CHECK(held != NULL);
	held[0] = 1;
	tti_fiber_switch(v->self, &thread, false);
	free(held);
	tti_fiber_switch(v->self, &thread, true);
}

static struct visit holder;

/* Memory that only a parked fiber knows of is not a leak; under the leak checker this
 * program would fail at its exit, with the fiber still parked. */
static void parked_fiber_keeps_its_memory(void)
{
	begin();
	holder.self = must_acquire(&pool, TTI_STACK_64K);
	tti_fiber_prepare(holder.self, hold_memory, &holder);
	tti_fiber_switch(&thread, holder.self, false);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	fiber_runs_parks_and_is_reused();
	reuse_is_newest_first();
	classes_have_their_size();
	tops_are_coloured();
	guards_fault();
	mprotect_guards_keep_a_budget();
	unguarded_stacks_are_permitted_and_announced();
	canary_stops_an_unguarded_overflow();
	law_6_stack_is_released_from_another_stack();
	pool_stays_valid_under_random_use();
	trim_returns_pages_beyond_the_recent_peak();
	guards_that_lie_are_found_out();
	refused_probe_is_an_error();
	refused_memory_is_enomem();
	refused_record_is_enomem();
	slabs_are_found_while_others_come_and_go();
	many_switches();
	parked_fiber_keeps_its_memory();
	return 0;
}

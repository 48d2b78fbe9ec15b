/* SPDX-License-Identifier: MIT */
/*
 * overflow_test.c - claims about the end of a stack: who is named, and what happens to
 * faults that are not ours.
 *
 * Each claim ends a process, so each runs in a child whose stderr the parent reads.
 */
#include "fiber/fiber.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "env/env.h"
#include "testing/child_testkit.h"

#define CHECK(cond) \
	do { \
		if (!(cond)) { \
			fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #cond); \
			exit(1); \
		} \
	} while (0)

#ifdef TTI_FIBER_SANITIZED
#define STACKS 500
#define HITS 40
#else
#define STACKS 20000
#define HITS 1000
#endif

static struct tti_fiber_pool pool;
static struct tti_fiber thread;
static struct tti_fiber *stacks[STACKS];
static int owners[STACKS];
static struct tti_fiber *victim;

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

static void describe(void *owner, char *buf, size_t n)
{
	snprintf(buf, n, "probe#%d (spawned at f.c:12)", *(int *)owner);
}

/* Not a tail call, and every frame is really written. */
__attribute__((noinline)) static int recurse(volatile int *above)
{
	volatile int frame[64];

	frame[0] = *above + 1;
	if (frame[0] < 0)
		return 0;
	return recurse(frame) + frame[0];
}

static void overflow_entry(void *arg)
{
	volatile int start = 0;

	(void)arg;
	recurse(&start);
}

static void overflow_victim(void)
{
	tti_fiber_adopt_thread(&thread);
	tti_fiber_prepare(victim, overflow_entry, NULL);
	tti_fiber_switch(&thread, victim, false);
}

static void poke_victims_guard(void)
{
	victim->stack_low[-1 - (long)((uintptr_t)victim * 7 % 65536)] = 1;
}

static void check_named(const struct child *d, const char *what)
{
	char line[128];

	snprintf(line, sizeof(line), "tutti: %s task probe#%d (spawned at f.c:12): stack %zu KiB", what,
	         *(int *)victim->owner, tti_stack_class_size(TTI_STACK_64K) >> 10);
	if (strncmp(d->text, line, strlen(line)) != 0)
		fprintf(stderr, "expected: %s\nseen: %s\n", line, d->text);
	CHECK(WIFSIGNALED(d->status) && WTERMSIG(d->status) == SIGSEGV);
	CHECK(strncmp(d->text, line, strlen(line)) == 0);
}

static void handlers_on(void)
{
	CHECK(tti_overflow_install(describe) == 0);
	CHECK(tti_overflow_thread_enter() == 0);
}

static void handlers_off(void)
{
	tti_overflow_thread_leave();
	tti_overflow_uninstall();
}

/* A fork copies page tables, and those of all stacks and guards take 25 ms. The child
 * needs its victim's slot only. */
static void slot_fork(const struct tti_fiber *f, int advice)
{
	char *low = f->stack_low - 65536;
	uintptr_t end = ((uintptr_t)(f + 1) + 4095) & ~(uintptr_t)4095;

	CHECK(madvise(low, end - (uintptr_t)low, advice) == 0);
}

/* In the child of a process with fibers the thread sanitizer ignores synchronisation on
 * the thread but not on its fibers, and reports races that are none: no fiber runs there. */
static bool hit_runs_over(int hit)
{
#ifdef TTI_FIBER_TSAN
	(void)hit;
	return false;
#else
	return hit % 10 == 9;
#endif
}

/* Of many stacks, a random one whose guard is hit is named: nine times by a stray
 * pointer, the tenth time by running over the end. */
static void every_guard_names_its_owner(void)
{
	uint64_t seed = 0x5eed;
	int hits = HITS;

	CHECK(tti_fiber_pool_init(&pool, NULL) == 0);
	/* Where guards are mprotected, or an emulator forks, a child costs 0.1 s. */
	if (pool.arena->guard_mode != TTI_GUARD_INSTALL)
		hits = HITS / 20;
	for (int i = 0; i < STACKS; i++) {
		CHECK(tti_fiber_acquire(&pool, TTI_STACK_64K, &stacks[i]) == 0);
		owners[i] = i;
		stacks[i]->owner = &owners[i];
		slot_fork(stacks[i], MADV_DONTFORK);
	}
	handlers_on();
	for (int hit = 0; hit < hits; hit++) {
		struct child d;

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		victim = stacks[(seed >> 33) % STACKS];
		slot_fork(victim, MADV_DOFORK);
		d = die_in_child(hit_runs_over(hit) ? overflow_victim : poke_victims_guard);
		slot_fork(victim, MADV_DONTFORK);
		check_named(&d, hit_runs_over(hit) ? "stack overflow in" : "stray access to the stack guard of");
	}
	handlers_off();
	for (int i = 0; i < STACKS; i++)
		tti_fiber_release(&pool, stacks[i]);
	tti_fiber_pool_fini(&pool);
	printf("%d guards hit and named, of %d stacks\n", hits, STACKS);
}

/* With mprotect guards the report is the same. */
static void mprotect_guards_name_their_owner(void)
{
	struct tti_stack_options o = { .no_guard_install = true };
	struct tti_stack_arena arena;
	struct child d;
	int owner = 7;

	CHECK(tti_stack_arena_init(&arena, &o) == 0);
	CHECK(tti_fiber_pool_init(&pool, &arena) == 0);
	CHECK(tti_fiber_acquire(&pool, TTI_STACK_64K, &victim) == 0);
	victim->owner = &owner;
	handlers_on();
	d = die_in_child(hit_runs_over(9) ? overflow_victim : poke_victims_guard);
	check_named(&d, hit_runs_over(9) ? "stack overflow in" : "stray access to the stack guard of");
	handlers_off();
	tti_fiber_release(&pool, victim);
	tti_fiber_pool_fini(&pool);
}

static void overflow_in_thread(void *arg)
{
	(void)arg;
	CHECK(tti_overflow_thread_enter() == 0);
	overflow_victim();
}

static void overflow_on_a_worker(void)
{
	struct tti_thread t = { .fn = overflow_in_thread };

	CHECK(tti_env_thread_start(&t, "worker") == 0);
	tti_env_thread_join(&t);
}

/* A worker's thread starts with all signals blocked; its overflow is named all the same. */
static void overflow_on_a_worker_is_named(void)
{
	struct child d;
	int owner = 8;

	CHECK(tti_fiber_pool_init(&pool, NULL) == 0);
	CHECK(tti_fiber_acquire(&pool, TTI_STACK_64K, &victim) == 0);
	victim->owner = &owner;
	CHECK(tti_overflow_install(describe) == 0);
	if (hit_runs_over(9)) {
		d = die_in_child(overflow_on_a_worker);
		check_named(&d, "stack overflow in");
	}
	tti_overflow_uninstall();
	tti_fiber_release(&pool, victim);
	tti_fiber_pool_fini(&pool);
}

static volatile int *volatile nowhere = (volatile int *)64; /* a page nobody maps */

static void fault_elsewhere(void)
{
	*nowhere = 1;
}

static void on_program_fault(int sig)
{
	(void)sig;
	_exit(42);
}

/* A fault that is not in a guard of ours is the program's own affair: its handler runs,
 * and without one the process dies of the signal, in silence. */
static void foreign_faults_are_passed_on(void)
{
	struct sigaction sa = { .sa_handler = on_program_fault }, before;
	struct child d;

	sigemptyset(&sa.sa_mask);
	CHECK(sigaction(SIGSEGV, &sa, &before) == 0);
	handlers_on();
	d = die_in_child(fault_elsewhere);
	CHECK(WIFEXITED(d.status) && WEXITSTATUS(d.status) == 42);
	handlers_off();

	sa.sa_handler = SIG_DFL;
	CHECK(sigaction(SIGSEGV, &sa, NULL) == 0);
	handlers_on();
	d = die_in_child(fault_elsewhere);
	CHECK(WIFSIGNALED(d.status) && WTERMSIG(d.status) == SIGSEGV);
	CHECK(strstr(d.text, "tutti") == NULL);
	handlers_off();
	CHECK(sigaction(SIGSEGV, &before, NULL) == 0);
}

static void send_segv(void)
{
	kill(getpid(), SIGSEGV);
	pause();
}

/* A SIGSEGV that somebody sent kills too, although no instruction will repeat it. */
static void sent_signals_kill(void)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL }, before;
	struct child d;

	sigemptyset(&dfl.sa_mask);
	CHECK(sigaction(SIGSEGV, &dfl, &before) == 0);
	handlers_on();
	d = die_in_child(send_segv);
	CHECK(WIFSIGNALED(d.status) && WTERMSIG(d.status) == SIGSEGV);
	handlers_off();
	CHECK(sigaction(SIGSEGV, &before, NULL) == 0);
}

/* Installing and entering nest; the last leave and uninstall put back what was there. */
static void what_was_there_comes_back(void)
{
	static char own_stack[65536];
	stack_t own = { .ss_sp = own_stack, .ss_size = sizeof(own_stack) }, before, now;
	struct sigaction segv, after;

	CHECK(sigaltstack(&own, &before) == 0);
	CHECK(sigaction(SIGSEGV, NULL, &segv) == 0);
	handlers_on();
	handlers_on();
	CHECK(sigaltstack(NULL, &now) == 0);
	CHECK(now.ss_sp != own_stack && now.ss_size >= 65536);
	handlers_off();
	CHECK(sigaltstack(NULL, &now) == 0);
	CHECK(now.ss_sp != own_stack);
	handlers_off();
	CHECK(sigaltstack(NULL, &now) == 0);
	CHECK(now.ss_sp == own_stack);
	CHECK(sigaction(SIGSEGV, NULL, &after) == 0);
	CHECK(after.sa_handler == segv.sa_handler);
	CHECK(sigaltstack(&before, NULL) == 0);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	every_guard_names_its_owner();
	mprotect_guards_name_their_owner();
	overflow_on_a_worker_is_named();
	foreign_faults_are_passed_on();
	sent_signals_kill();
	what_was_there_comes_back();
	return 0;
}

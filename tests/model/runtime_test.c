/* SPDX-License-Identifier: MIT */
/*
 * runtime_test.c - the start and the end of a runtime under the model: threads that open, sleep
 * in their driver, are woken and told to stop, and a last message that comes from outside.
 *
 * What runs is rt/runtime.c from tti_run() to its return, the workers' own loop, their inboxes
 * and io/epoll.c; the kernel's eventfd is the model's token, and a started thread is a spare
 * one of the model. In place of the root task there is a message that goes round and ends the
 * run. Workers and drivers are blocks that are freed at the end: whoever touches one later is
 * found. A worker that nobody tells to stop is a deadlock, which the checker reports.
 */
/* model-sources: src/rt/runtime.c src/io/epoll.c src/io/direct.c src/sched/worker.c src/timer/wheel.c */
/* model-sources: src/fiber/fiber.c src/fiber/guard.c src/fiber/slab.c @task */
#include "model.h"

#include <string.h>

#include "env/env.h"
#include "fiber/fiber.h"
#include "fiber/slab.h"
#include "net/net.h"
#include "par/blocking.h"
#include "par/compute.h"
#include "rt/inspect.h"
#include "rt/runtime.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#define DESCRIPTORS 8

enum { SPARE_FREE, SPARE_STARTED, SPARE_DISMISSED };

static struct tti_run run;
static struct model_parker descriptors[DESCRIPTORS]; /* by number: an eventfd, or unused */
static int event_of[DESCRIPTORS];                    /* of an epoll descriptor, its eventfd */
static int descriptors_n;
static tti_atomic_u32 spare, spare_done, begun;      /* begun: the outsider may post */
static struct tti_thread *spare_thread;
static bool thread_fails, driver_fails;
static int run_rc;
static unsigned rounds;                              /* plain: messages handled on worker 0 */
static unsigned said;                                /* plain: by the outsider, before it posts */
static struct tti_msg there, back, outside;

struct tti_inspect tt_inspect_;
const struct tti_driver_ops tti_driver_uring = { .name = "none" };

/* ---- What the end of a runtime also ends, and is not part of this ---- */

void tti_compute_shutdown(struct tti_runtime *rt) { (void)rt; }
void tti_blocking_shutdown(struct tti_runtime *rt) { (void)rt; }
void tti_net_shutdown(struct tti_runtime *rt) { (void)rt; }
int tti_overflow_thread_enter(void) { return 0; }
void tti_overflow_thread_leave(void) { }

void tti_overflow_panic(const struct tti_fiber *f)
{
	(void)f;
	model_fail("no stack is used here");
}

/* ---- The seams ---- */

static void *env_alloc(size_t n)
{
	/* The reserve of error nodes is not wanted here. */
	return n == sizeof(struct tt_error_node) ? NULL : model_alloc(n);
}

static void env_free(void *p)
{
	if (p != NULL)
		model_free(p);
}

static int64_t env_now(void) { return 1; }

static int env_futex_wait(tti_atomic_u32 *word, uint32_t expected, int64_t deadline)
{
	(void)deadline;
	return model_futex_wait(word, expected);
}

static void env_futex_wake(tti_atomic_u32 *word, int n)
{
	(void)model_futex_wake(word, n);
}

static long descriptor_new(void)
{
	MODEL_ASSERT(descriptors_n < DESCRIPTORS);
	return descriptors_n++;
}

static long epoll_wait_(int fd, struct epoll_event *events)
{
	model_park(&descriptors[event_of[fd]]);
	events[0] = (struct epoll_event){ .events = EPOLLIN, .data.u64 = UINT64_MAX };
	return 1;
}

/* Before there are workers the kernel is asked what guards it has: none here. */
static long probe(long nr)
{
	return nr == SYS_mmap ? 1l << 40 : nr == SYS_eventfd2 || nr == SYS_munmap || nr == SYS_close ? 0 : -ENOSYS;
}

static long env_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	(void)d;
	(void)e;
	(void)f;
	if (run.rt.workers == NULL)
		return probe(nr);
	switch (nr) {
	case SYS_epoll_create1:
		return driver_fails && model_thread() == 2 ? -EMFILE : descriptor_new();
	case SYS_eventfd2:
		return descriptor_new();
	case SYS_epoll_ctl:
		event_of[a] = (int)c;
		return 0;
	case SYS_epoll_pwait2:
		return epoll_wait_((int)a, (struct epoll_event *)b);
	case SYS_write:
		model_unpark(&descriptors[a]);
		return 8;
	case SYS_close:
		return 0;
	default:
		return -ENOSYS;
	}
}

static int env_thread_start(struct tti_thread *t, const char *name)
{
	(void)name;
	if (thread_fails)
		return -EAGAIN;
	spare_thread = t;
	/* release: pairs with the acquire in spare_main(), as a new thread sees its creator. */
	tti_store_release(&spare, SPARE_STARTED);
	return 0;
}

static void env_thread_join(struct tti_thread *t)
{
	(void)t;
	/* acquire: pairs with the release in spare_main(), as a joiner sees all of the thread. */
	while (tti_load_acquire(&spare_done) == 0)
		tti_cpu_relax();
}

static const struct tti_env_ops model_env = {
	.name = "model", .alloc = env_alloc, .free = env_free, .now = env_now, .syscall = env_syscall,
	.futex_wait = env_futex_wait, .futex_wake = env_futex_wake,
	.thread_start = env_thread_start, .thread_join = env_thread_join,
};

/* ---- The run ---- */

static void come_round(struct tti_msg *m)
{
	(void)m;
	model_plain_write(rounds, model_plain_read(rounds) + 1);
	run.root.on_done(&run.root);
}

static void go_back(struct tti_msg *m)
{
	(void)m;
	back.handle = come_round;
	tti_worker_post(run.rt.workers[0], &back);
}

/* The last thing that happens is what somebody outside the runtime says. */
static void hear(struct tti_msg *m)
{
	(void)m;
	MODEL_ASSERT(model_plain_read(said) == 1);
	model_plain_write(rounds, model_plain_read(rounds) + 1);
	run.root.on_done(&run.root);
}

static bool ends_from_outside;

int tti_root_start(struct tti_root *r, struct tti_runtime *rt, const struct tt_task_type *type, const void *args,
                   const char *site)
{
	(void)type;
	(void)args;
	(void)site;
	r->rt = rt;
	if (ends_from_outside) {
		/* release: pairs with the acquire in outsider(). */
		tti_store_release(&begun, 1);
	} else if (rt->n_workers > 1) {
		there.handle = go_back;
		tti_worker_post(rt->workers[1], &there);
	} else {
		back.handle = come_round;
		tti_worker_post(rt->workers[0], &back);
	}
	return 0;
}

static void setup_with(bool outside_ends)
{
	memset(&run, 0, sizeof(run));
	memset(descriptors, 0, sizeof(descriptors));
	descriptors_n = 0;
	thread_fails = driver_fails = false;
	run_rc = 1;
	rounds = said = 0;
	ends_from_outside = outside_ends;
	tti_home_here = NULL;
	model_thread_local(&tti_home_here, sizeof(tti_home_here));
	tti_env_bind(&model_env);
	model_name(&run.rt.stopping, "stopping");
	model_name(&run.opened, "opened");
	model_name(&run.left, "left");
	model_name(&run.close_now, "close_now");
	/* relaxed: setup runs alone. */
	tti_store_relaxed(&spare, SPARE_FREE);
	/* relaxed: as above. */
	tti_store_relaxed(&spare_done, 0);
	/* relaxed: as above. */
	tti_store_relaxed(&begun, 0);
}

static void setup(void) { setup_with(false); }
static void setup_outside(void) { setup_with(true); }

static void setup_no_thread(void)
{
	setup();
	thread_fails = true;
}

static void setup_no_driver(void)
{
	setup();
	driver_fails = true;
}

static void run_on(unsigned workers)
{
	static const struct tt_task_type root_type = { .name = "root", .site = "model" };
	uint32_t free_state = SPARE_FREE;

	run_rc = tti_run(&run, &(tt_main_options){ .workers = workers, .io = TT_IO_EPOLL }, &root_type, NULL, "model");
	/* acq_rel: pairs with the acquire in spare_main(). A thread that was never wanted goes. */
	TT_IGNORE(tti_cas_acq_rel(&spare, &free_state, SPARE_DISMISSED));
}

static void main_thread_1(void) { run_on(1); }
static void main_thread_2(void) { run_on(2); }

static void spare_main(void)
{
	uint32_t state;

	/* acquire: pairs with the release in env_thread_start(). */
	while ((state = tti_load_acquire(&spare)) == SPARE_FREE)
		tti_cpu_relax();
	if (state == SPARE_DISMISSED)
		return;
	spare_thread->fn(spare_thread->arg);
	/* release: pairs with the acquire in env_thread_join(). */
	tti_store_release(&spare_done, 1);
}

/* A plain thread whose message ends the run: its wake-up may come after that. */
static void outsider(void)
{
	/* acquire: pairs with the release in tti_root_start(). */
	while (tti_load_acquire(&begun) == 0)
		tti_cpu_relax();
	model_plain_write(said, 1u);
	outside.handle = hear;
	tti_worker_post(run.rt.workers[0], &outside);
}

/* Something else wakes worker 0 just then. */
static void nudge(void)
{
	/* acquire: pairs with the release in tti_root_start(). */
	while (tti_load_acquire(&begun) == 0)
		tti_cpu_relax();
	model_unpark(&descriptors[1]);
}

static void check_ran(void)
{
	MODEL_ASSERT(run_rc == 0);
	MODEL_ASSERT(rounds == 1);
	MODEL_ASSERT(run.rt.workers == NULL);
}

static void check_no_thread(void)
{
	MODEL_ASSERT(run_rc == -EAGAIN);
	MODEL_ASSERT(rounds == 0);
	MODEL_ASSERT(run.rt.workers == NULL);
}

static void check_no_driver(void)
{
	MODEL_ASSERT(run_rc == -EMFILE);
	MODEL_ASSERT(rounds == 0);
	MODEL_ASSERT(run.rt.workers == NULL);
}

static const struct model_scenario scenarios[] = {
	{ .name = "two_workers", .claim = "A message goes round two workers that sleep; then both are told to stop.",
	  .setup = setup, .threads = { main_thread_2, spare_main }, .check = check_ran, .executions = 100000,
	  .partial = true },
	{ .name = "outside", .claim = "A plain thread's message ends the run; its wake-up touches nothing that is gone.",
	  .setup = setup_outside, .threads = { main_thread_1, outsider, nudge }, .check = check_ran,
	  .executions = 100000, .partial = true },
	{ .name = "no_thread", .claim = "A thread that cannot be started ends the start.", .setup = setup_no_thread,
	  .threads = { main_thread_2, spare_main }, .check = check_no_thread },
	{ .name = "no_driver", .claim = "So does a worker that cannot open.", .setup = setup_no_driver,
	  .threads = { main_thread_2, spare_main }, .check = check_no_driver },
	{ .name = NULL },
};

int main(int argc, char **argv)
{
	static const char *const files[] = { "src/rt/runtime.c", "src/io/epoll.c", "src/sched/worker.c", NULL };
	static const struct model_harness h = { .name = "runtime", .scenarios = scenarios, .files = files };

	return model_main(argc, argv, &h);
}

/* SPDX-License-Identifier: MIT */
/*
 * locks_test.c - semaphore, mutex, notify, latch, barrier and rwlock under the model: tasks on
 * several workers take, wait, leave, close and are cancelled at the same time.
 *
 * Each thread is a worker with one task (workers.h). The object is a block that is freed by
 * check() or by the task that may end it, so that a late touch is found; what it protects is
 * plain memory. A wake-up that gets lost is a deadlock, which the checker reports.
 */
/* model-sources: src/sync/semaphore.c src/sync/mutex.c src/sync/notify.c src/sync/latch.c src/sync/barrier.c */
/* model-sources: src/sync/rwlock.c @worker */
#include "workers.h"

#include <tutti/barrier.h>
#include <tutti/mutex.h>
#include <tutti/notify.h>
#include <tutti/rwlock.h>
#include <tutti/semaphore.h>

static union object {
	tt_semaphore semaphore;
	tt_mutex mutex;
	tt_notify notify;
	tt_latch latch;
	tt_barrier barrier;
	tt_rwlock rwlock;
} *object;

static int ended[WORKERS];           /* what each task's call returned */
static unsigned turn[WORKERS];       /* the how-manieth it was to get in */
static unsigned turns;               /* plain: who is in, is alone */
static struct tti_msg cancel_msg;

static void setup(unsigned n)
{
	workers_setup(n, n);
	object = model_alloc(sizeof(*object));
	for (unsigned i = 0; i < WORKERS; i++) {
		ended[i] = -1000;
		turn[i] = 0;
	}
	turns = 0;
}

static unsigned self(void)
{
	return model_thread() - 1;
}

/* As the home's cancel walk does, on the home's own thread. */
static void handle_cancel(struct tti_msg *m)
{
	struct tt_task *t = tasks[tti_home_here->index];

	(void)m;
	t->cancel_bits |= TTI_CANCELLED;
	tti_wait_cancel(t);
}

static void cancel_first(void)
{
	cancel_msg.handle = handle_cancel;
	tti_worker_post(&workers[0], &cancel_msg);
}

static void finish(unsigned n)
{
	workers_retire(n);
	if (object != NULL)
		model_free(object);
}

/* Alone in whatever it is that excludes. */
static void go_in(void)
{
	turn[self()] = model_plain_read(turns) + 1;
	model_plain_write(turns, turn[self()]);
}

/* ---- Semaphore ---- */

static tt_semaphore *semaphore(void) { return &object->semaphore; }

static void setup_permits(unsigned n_workers, unsigned permits)
{
	setup(n_workers);
	tt_semaphore_init(semaphore(), permits);
}

static void setup_2_one_permit(void) { setup_permits(2, 1); }
static void setup_3_one_permit(void) { setup_permits(3, 1); }
static void setup_2_no_permit(void) { setup_permits(2, 0); }
static void setup_3_no_permit(void) { setup_permits(3, 0); }

static void permit_in_and_out(void)
{
	worker_start();
	ended[self()] = tt_semaphore_acquire(semaphore(), 1);
	if (ended[self()] < 0)
		return;
	go_in();
	tt_semaphore_release(semaphore(), 1);
}

static void acquire(unsigned n)
{
	worker_start();
	ended[self()] = tt_semaphore_acquire(semaphore(), n);
}

static void acquire_1(void) { acquire(1); }
static void acquire_2(void) { acquire(2); }

static void release_1(void)
{
	worker_start();
	tt_semaphore_release(semaphore(), 1);
}

/* Two that come one by one are enough for a request of two, and for nobody behind it. */
static void release_1_and_1(void)
{
	worker_start();
	tt_semaphore_release(semaphore(), 1);
	tt_semaphore_release(semaphore(), 1);
}

static void cancel_first_and_release(void)
{
	worker_start();
	cancel_first();
	tt_semaphore_release(semaphore(), 1);
}

static void close_semaphore(void)
{
	worker_start();
	tt_semaphore_close(semaphore());
}

static unsigned permits_left(void)
{
	unsigned n = 0;

	while (tt_semaphore_try_acquire(semaphore(), 1) == 0)
		n++;
	return n;
}

static void finish_semaphore(unsigned n)
{
	tt_semaphore_fini(semaphore());
	finish(n);
}

static void check_permits_2(void)
{
	MODEL_ASSERT(ended[0] == 0 && ended[1] == 0 && turns == 2);
	MODEL_ASSERT(permits_left() == 1);
	finish_semaphore(2);
}

static void check_permits_3(void)
{
	MODEL_ASSERT(ended[0] == 0 && ended[1] == 0 && ended[2] == 0 && turns == 3);
	MODEL_ASSERT(permits_left() == 1);
	finish_semaphore(3);
}

static void check_handed_over(void)
{
	MODEL_ASSERT(ended[0] == 0);
	MODEL_ASSERT(permits_left() == 0);
	finish_semaphore(2);
}

/* The one who got in holds the permit; there is none for the other, who was cancelled. */
static void check_permit_not_lost(void)
{
	bool first = ended[0] == 0;

	MODEL_ASSERT(first || ended[0] == TT_ECANCELED);
	MODEL_ASSERT(permits_left() == (first ? 0 : 1));
	finish_semaphore(2);
}

/* The first may be cancelled; what it uncovers goes to the second. */
static void check_uncovered(void)
{
	MODEL_ASSERT(ended[0] == TT_ECANCELED);
	MODEL_ASSERT(ended[1] == 0);
	MODEL_ASSERT(permits_left() == 0);
	finish_semaphore(3);
}

/* A request of two that stands before one of one: nobody overtakes, so both cannot have it. */
static void check_n_units(void)
{
	MODEL_ASSERT(ended[0] == 0 && ended[1] == 0);
	MODEL_ASSERT(permits_left() == 0);
	finish_semaphore(3);
}

static void release_3_in_turn(void)
{
	worker_start();
	for (int i = 0; i < 3; i++)
		tt_semaphore_release(semaphore(), 1);
}

static void check_closed(void)
{
	MODEL_ASSERT(ended[0] == 0 || ended[0] == TT_ECLOSED);
	MODEL_ASSERT(tt_semaphore_try_acquire(semaphore(), 1) == TT_ECLOSED);
	finish_semaphore(3);
}

/* ---- Mutex ---- */

static void setup_mutex(unsigned n)
{
	setup(n);
	tt_mutex_init(&object->mutex);
}

static void setup_mutex_2(void) { setup_mutex(2); }
static void setup_mutex_3(void) { setup_mutex(3); }

static void lock_in_and_out(void)
{
	worker_start();
	ended[self()] = tt_mutex_lock(&object->mutex);
	if (ended[self()] < 0)
		return;
	go_in();
	tt_mutex_unlock(&object->mutex);
}

static void cancel_first_and_lock(void)
{
	worker_start();
	cancel_first();
	lock_in_and_out();
}

static void check_mutex(void)
{
	unsigned in = 0, n = ended[2] == -1000 ? 2 : 3;

	for (unsigned i = 0; i < n; i++) {
		MODEL_ASSERT(ended[i] == 0 || (i == 0 && ended[i] == TT_ECANCELED));
		in += ended[i] == 0;
	}
	MODEL_ASSERT(turns == in);
	tt_mutex_fini(&object->mutex);
	finish(n);
}

/* ---- Notify ---- */

static void setup_notify_2(void)
{
	setup(2);
	tt_notify_init(&object->notify);
}

static void setup_notify_3(void)
{
	setup(3);
	tt_notify_init(&object->notify);
}

static void wait_notify(void)
{
	worker_start();
	ended[self()] = tt_notify_wait(&object->notify);
	if (ended[self()] == 0)
		MODEL_ASSERT(model_plain_read(turns) == 1);
}

static void notify_one(void)
{
	worker_start();
	model_plain_write(turns, 1u);
	tt_notify_one(&object->notify);
}

static void notify_two(void)
{
	notify_one();
	tt_notify_one(&object->notify);
}

static void cancel_first_and_notify(void)
{
	worker_start();
	cancel_first();
	notify_one();
}

static void check_notified_once(void)
{
	MODEL_ASSERT(ended[0] == 0);
	tt_notify_fini(&object->notify);
	finish(2);
}

/* Two tokens, one after the other, may have been one while nobody waited. */
static void wait_notify_second(void)
{
	wait_notify();
	if (ended[self()] == 0)
		tt_notify_one(&object->notify);
}

static void check_both_notified(void)
{
	MODEL_ASSERT(ended[0] == 0 && ended[1] == 0);
	tt_notify_fini(&object->notify);
	finish(3);
}

/* A cancelled waiter took no token: it is there for the other one. */
static void check_token_not_lost(void)
{
	MODEL_ASSERT(ended[0] == 0 || ended[0] == TT_ECANCELED);
	MODEL_ASSERT(ended[1] == 0);
	tt_notify_fini(&object->notify);
	finish(3);
}

static void wait_notify_and_pass_on(void)
{
	worker_start();
	ended[self()] = tt_notify_wait(&object->notify);
	if (ended[self()] == 0)
		tt_notify_one(&object->notify);
}

/* ---- Latch ---- */

static void setup_latch(void)
{
	setup(3);
	tt_latch_init(&object->latch, 2);
}

static void count_down(void)
{
	worker_start();
	model_plain_write(turn[self()], 1u);
	tt_latch_count_down(&object->latch);
}

/* Who was let through may end the latch: nobody touches it any more. */
static void wait_latch_and_end_it(void)
{
	worker_start();
	ended[self()] = tt_latch_wait(&object->latch);
	MODEL_ASSERT(model_plain_read(turn[1]) == 1 && model_plain_read(turn[2]) == 1);
	tt_latch_fini(&object->latch);
	model_free(object);
	object = NULL;
}

static void check_latch(void)
{
	MODEL_ASSERT(ended[0] == 0 && object == NULL);
	finish(3);
}

/* ---- Barrier ---- */

static void setup_barrier(unsigned n)
{
	setup(n);
	tt_barrier_init(&object->barrier, 2);
}

static void setup_barrier_2(void) { setup_barrier(2); }
static void setup_barrier_3(void) { setup_barrier(3); }

static void meet(void)
{
	worker_start();
	model_plain_write(turn[self()], 1u);
	ended[self()] = tt_barrier_wait(&object->barrier);
	if (ended[self()] >= 0)
		MODEL_ASSERT(model_plain_read(turn[1 - self()]) == 1);
}

/* The one who led ends the barrier: the other does not touch it any more. */
static void meet_and_end(void)
{
	meet();
	if (ended[self()] != 1)
		return;
	tt_barrier_fini(&object->barrier);
	model_free(object);
	object = NULL;
}

static void check_met(void)
{
	MODEL_ASSERT(ended[0] + ended[1] == 1);
	MODEL_ASSERT(ended[0] == 0 || ended[1] == 0);
	finish(2);
}

static void cancel_party(void)
{
	worker_start();
	cancel_first();
}

/* Through together or not at all. */
static void check_all_or_none(void)
{
	bool through = ended[0] >= 0;

	MODEL_ASSERT((ended[1] >= 0) == through);
	if (through) {
		MODEL_ASSERT(ended[0] + ended[1] == 1);
	} else {
		MODEL_ASSERT(ended[0] == TT_ECANCELED);
		MODEL_ASSERT(ended[1] == TT_EBROKEN);
	}
	MODEL_ASSERT(tt_barrier_is_broken(&object->barrier) == !through);
	tt_barrier_fini(&object->barrier);
	finish(3);
}

/* ---- Rwlock ---- */

static void setup_rwlock_2(void)
{
	setup(2);
	tt_rwlock_init(&object->rwlock);
}

static void setup_rwlock_3(void)
{
	setup(3);
	tt_rwlock_init(&object->rwlock);
}

static void read_in_and_out(void)
{
	worker_start();
	ended[self()] = tt_rwlock_read(&object->rwlock);
	if (ended[self()] < 0)
		return;
	turn[self()] = model_plain_read(turns);
	tt_rwlock_unlock(&object->rwlock);
}

static void write_in_and_out(void)
{
	worker_start();
	ended[self()] = tt_rwlock_write(&object->rwlock);
	if (ended[self()] < 0)
		return;
	go_in();
	tt_rwlock_unlock(&object->rwlock);
}

static void write_and_downgrade(void)
{
	worker_start();
	ended[self()] = tt_rwlock_write(&object->rwlock);
	go_in();
	tt_rwlock_downgrade(&object->rwlock);
	MODEL_ASSERT(model_plain_read(turns) == turn[self()]);
	tt_rwlock_unlock(&object->rwlock);
}

static void cancel_first_and_read(void)
{
	worker_start();
	cancel_first();
	read_in_and_out();
}

static void check_rwlock(void)
{
	unsigned n = ended[2] == -1000 ? 2 : 3;

	for (unsigned i = 0; i < n; i++)
		MODEL_ASSERT(ended[i] == 0 || (i == 0 && ended[i] == TT_ECANCELED));
	tt_rwlock_fini(&object->rwlock);
	finish(n);
}

/* ---- Scenarios ---- */

static const struct model_scenario scenarios[] = {
	{ .name = "permit_2", .claim = "One permit excludes two, and comes back.", .setup = setup_2_one_permit,
	  .threads = { permit_in_and_out, permit_in_and_out }, .check = check_permits_2 },
	{ .name = "permit_3", .claim = "Three wait for it in turn.", .setup = setup_3_one_permit,
	  .threads = { permit_in_and_out, permit_in_and_out, permit_in_and_out }, .check = check_permits_3,
	  .executions = 60000, .partial = true },
	{ .name = "release", .claim = "A released permit reaches one who is just about to wait.",
	  .setup = setup_2_no_permit, .threads = { acquire_1, release_1 }, .check = check_handed_over },
	{ .name = "two_units", .claim = "Two permits that come one by one make one request of two.",
	  .setup = setup_2_no_permit, .threads = { acquire_2, release_1_and_1 }, .check = check_handed_over },
	{ .name = "n_units", .claim = "Requests of two and of one: in either order both are granted, and no more.",
	  .setup = setup_3_no_permit, .threads = { acquire_2, acquire_1, release_3_in_turn }, .check = check_n_units,
	  .executions = 60000, .partial = true },
	{ .name = "cancel_and_permit", .claim = "A permit that a cancelled waiter did not take is free.",
	  .setup = setup_2_no_permit, .threads = { acquire_1, cancel_first_and_release }, .check = check_permit_not_lost },
	{ .name = "uncovered", .claim = "A cancelled large request does not stay before a small one.",
	  .setup = setup_3_no_permit, .threads = { acquire_2, acquire_1, cancel_first_and_release },
	  .check = check_uncovered, .executions = 60000, .partial = true },
	{ .name = "close", .claim = "A close ends every wait that no permit reached.", .setup = setup_3_no_permit,
	  .threads = { acquire_1, release_1, close_semaphore }, .check = check_closed },
	{ .name = "mutex_2", .claim = "A mutex excludes two.", .setup = setup_mutex_2,
	  .threads = { lock_in_and_out, lock_in_and_out }, .check = check_mutex },
	{ .name = "mutex_3", .claim = "And three.", .setup = setup_mutex_3,
	  .threads = { lock_in_and_out, lock_in_and_out, lock_in_and_out }, .check = check_mutex,
	  .executions = 60000, .partial = true },
	{ .name = "mutex_cancel", .claim = "A lock handed to a cancelled waiter goes on to the next.",
	  .setup = setup_mutex_3, .threads = { lock_in_and_out, lock_in_and_out, cancel_first_and_lock },
	  .check = check_mutex, .executions = 60000, .partial = true },
	{ .name = "notify", .claim = "A token is stored or wakes, with what was written before.",
	  .setup = setup_notify_2, .threads = { wait_notify, notify_one }, .check = check_notified_once },
	{ .name = "notify_again", .claim = "Tokens pass from one waiter to the next.", .setup = setup_notify_3,
	  .threads = { wait_notify_second, wait_notify_second, notify_two }, .check = check_both_notified,
	  .executions = 60000, .partial = true },
	{ .name = "notify_cancel", .claim = "A token that a cancelled waiter could not take goes to the next.",
	  .setup = setup_notify_3, .threads = { wait_notify_and_pass_on, wait_notify, cancel_first_and_notify },
	  .check = check_token_not_lost },
	{ .name = "latch", .claim = "Who is let through sees all that was counted, and may end the latch.",
	  .setup = setup_latch, .threads = { wait_latch_and_end_it, count_down, count_down }, .check = check_latch,
	  .executions = 60000, .partial = true },
	{ .name = "barrier", .claim = "Two parties meet, see each other's work, and the leader may end it.",
	  .setup = setup_barrier_2, .threads = { meet_and_end, meet_and_end }, .check = check_met },
	{ .name = "barrier_cancel", .claim = "Parties go on together or not at all.", .setup = setup_barrier_3,
	  .threads = { meet, meet, cancel_party }, .check = check_all_or_none },
	{ .name = "rwlock_2", .claim = "A reader and a writer exclude each other.", .setup = setup_rwlock_2,
	  .threads = { read_in_and_out, write_in_and_out }, .check = check_rwlock },
	{ .name = "rwlock_3", .claim = "Two readers and a writer that stays as a reader.", .setup = setup_rwlock_3,
	  .threads = { read_in_and_out, read_in_and_out, write_and_downgrade }, .check = check_rwlock,
	  .executions = 60000, .partial = true },
	{ .name = "rwlock_cancel", .claim = "A cancelled writer does not keep the readers behind it out.",
	  .setup = setup_rwlock_3, .threads = { write_in_and_out, write_in_and_out, cancel_first_and_read },
	  .check = check_rwlock, .executions = 60000, .partial = true },
	{ .name = NULL },
};

int main(int argc, char **argv)
{
	static const char *const files[] = {
		"src/sync/semaphore.c", "src/sync/mutex.c", "src/sync/notify.c", "src/sync/latch.c",
		"src/sync/barrier.c", "src/sync/rwlock.c", "src/base/spin.h", NULL,
	};
	static const struct model_harness h = { .name = "locks", .scenarios = scenarios, .files = files };

	return model_main(argc, argv, &h);
}

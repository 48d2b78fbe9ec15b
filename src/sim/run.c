/* SPDX-License-Identifier: MIT */
/*
 * run.c - the loop of a simulation, and tt_sim_run().
 *
 * One thread turns N virtual workers: tti_home_here is switched with each turn. While
 * anything can run, time creeps; when nothing can, it jumps to the next timer or network
 * event; when there is none, the program is deadlocked.
 *
 * Sleep       A worker that found nothing more to do falls asleep in a step of its own, by
 *             the protocol of the inbox (law 9): a message may arrive between the two.
 * Jobs        of the blocking pool start after a while and end after another, on this
 *             loop's own stack, where no worker is at home.
 * Failure     is reported with the live tasks and the line that repeats it, and aborts:
 *             stacks of a deadlocked program cannot be unwound.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/panic.h"
#include "base/sometimes.h"
#include "net/net.h"
#include "net/signal_hub.h"
#include "par/blocking.h"
#include "sim/sim.h"
#include "wait/wait.h"

#define START TT_HOUR(1)
#define WALL_AT_START INT64_C(1750000000000000000)
#define STEPS_MAX 10000000u
#define WORKERS_MAX 64u

struct sim_job {
	struct tti_sim_event event;
	struct tti_list link;                /* sim->jobs */
	struct tti_job *job;
	uint64_t serial;
	bool running;                        /* can no longer be withdrawn */
};

struct quiet {
	struct tti_list link;
	struct tti_waiter waiter;
};

const char *tti_sim_repro_command;

static __thread tt_sim_report last_report;
static __thread tt_sim_options seeded;

/* ---- saying things ---- */

TT_PRINTF(1, 2) static void say(const char *fmt, ...)
{
	char line[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n >= (int)sizeof(line))
		n = (int)sizeof(line) - 1;
	tti_env_real.syscall(SYS_write, STDERR_FILENO, (long)line, n, 0, 0, 0);
}

static void say_task(const struct tti_sim *sim, const struct tt_task *t)
{
	const struct tti_waiter *w = t->waiting;

	say("  %s#%llu on worker %u, %s", t->name, (unsigned long long)t->id, t->home->index,
	    tti_task_state_name((enum tti_task_state)t->state));
	if (w != NULL && w->reason.verb != NULL)
		say(": %s, since %.6f s", w->reason.verb, (double)(sim->now - t->parked_since) / 1e9);
	say("; spawned at %s", t->spawn_site != NULL ? t->spawn_site : "?");
	if (t->parent_name != NULL)
		say(" by %s#%llu", t->parent_name, (unsigned long long)t->parent_id);
	say("\n");
}

static void say_tasks(struct tti_sim *sim)
{
	say("tasks alive:\n");
	for (unsigned i = 0; i < sim->rt.n_workers; i++) {
		if (!sim->per_worker[i].opened)
			continue;
		TTI_LIST_FOR_EACH (n, &sim->rt.workers[i]->home.tasks)
			say_task(sim, TTI_CONTAINER_OF(n, struct tt_task, all_link));
	}
}

static void say_how_to_repeat(const struct tti_sim *sim)
{
	const char *schedule = tti_sim_schedule_write(&sim->schedule);

	say("%s failed at step %llu, %.6f s; to repeat:\n", sim->name, (unsigned long long)sim->steps,
	    (double)(sim->now - sim->start) / 1e9);
	if (schedule != NULL)
		say("TUTTI_SIM_REPLAY=%s ", schedule);
	say("TUTTI_SEED=0x%llx TUTTI_SIM_WORKERS=%u %s\n", (unsigned long long)sim->seed, sim->workers,
	    tti_sim_repro_command != NULL ? tti_sim_repro_command : "(the same program)");
}

static void panic_hook(void)
{
	const struct tt_task *t = tti_current();

	if (t != NULL)
		say("tutti: in task %s#%llu, spawned at %s, on worker %u\n", t->name, (unsigned long long)t->id,
		    t->spawn_site != NULL ? t->spawn_site : "?", t->home->index);
	if (tti_sim_here != NULL)
		say_how_to_repeat(tti_sim_here);
}

void tti_sim_fail(struct tti_sim *sim, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	say_tasks(sim);
	tti_panic("simulator", "%s", text);
}

void tti_sim_say_repeat(void)
{
	if (tti_sim_here != NULL)
		say_how_to_repeat(tti_sim_here);
}

/* ---- the workers' operations, seen on their way ---- */

void tti_sim_point(struct tti_sim *sim, enum tti_sim_point p)
{
	if (!sim->counting)
		return;
	sim->points[p]++;
	if (++sim->points_seen == sim->strike_at)
		sim->struck = true;
}

void tti_sim_count_points(struct tti_sim *sim, bool on)
{
	sim->counting = on;
}

static void sim_ready(struct tt_task *t)
{
	struct tti_sim *sim = tti_sim_here;

	tti_sim_trace(sim, TTI_SIM_SWITCH, "wake", t->id, 0);
	sim->home_ops->ready(t);
	tti_sim_point(sim, TTI_SIM_AT_WAKE);
}

static void sim_post(struct tti_home *h, struct tti_msg *m)
{
	struct tti_sim *sim = tti_sim_here;

	tti_sim_trace(sim, TTI_SIM_MESSAGE, "post", h->index, 0);
	sim->home_ops->post(h, m);
}

static void sim_park(struct tti_home *h)
{
	struct tti_sim *sim = tti_sim_here;
	const struct tt_task *t = h->current;

	tti_sim_trace(sim, TTI_SIM_SWITCH, t->waiting->reason.verb, t->id, 0);
	tti_sim_point(sim, TTI_SIM_AT_PARK);
	sim->home_ops->park(h);
}

static void sim_yield(struct tti_home *h)
{
	struct tti_sim *sim = tti_sim_here;

	tti_sim_trace(sim, TTI_SIM_SWITCH, "yield", h->current->id, 0);
	tti_sim_point(sim, TTI_SIM_AT_CHECKPOINT);
	sim->home_ops->yield(h);
}

static const struct tti_home_ops sim_home_ops = {
	.ready = sim_ready,
	.post = sim_post,
	.park = sim_park,
	.yield = sim_yield,
};

/* ---- jobs of the blocking pool ---- */

static void job_ends(struct tti_sim *sim, struct tti_sim_event *e)
{
	struct sim_job *j = TTI_CONTAINER_OF(e, struct sim_job, event);
	struct tti_job *job = j->job;

	tti_sim_trace(sim, TTI_SIM_JOB, "end", j->serial, 0);
	tti_list_unlink(&j->link);
	tti_env_real.free(j);
	tti_job_execute(job);
}

static int64_t job_delay(struct tti_sim *sim, const struct tti_job *job)
{
	int64_t t = (int64_t)tti_sim_roll(sim, 100000);

	if (tti_sim_fault(sim, TT_FAULT_POOL_DELAY))
		t += (int64_t)tti_sim_roll(sim, (uint64_t)TT_MS(100));
	if (job->job_class == TTI_JOB_FILES && tti_sim_fault(sim, TT_FAULT_FILE_SLOW))
		t += (int64_t)tti_sim_roll(sim, (uint64_t)TT_SEC(1));
	return t;
}

static void job_starts(struct tti_sim *sim, struct tti_sim_event *e)
{
	struct sim_job *j = TTI_CONTAINER_OF(e, struct sim_job, event);

	tti_sim_trace(sim, TTI_SIM_JOB, "start", j->serial, 0);
	j->running = true;
	tti_sim_at(sim, &j->event, sim->now + job_delay(sim, j->job), job_ends);
}

static void offload(struct tti_runtime *rt, struct tti_job *job)
{
	struct tti_sim *sim = rt->user;
	struct sim_job *j = tti_sim_zalloc(sizeof(*j));

	j->job = job;
	j->serial = ++sim->job_serial;
	tti_list_push_back(&sim->jobs, &j->link);
	tti_sim_trace(sim, TTI_SIM_JOB, "submit", j->serial, job->job_class);
	tti_sim_at(sim, &j->event, sim->now + job_delay(sim, job), job_starts);
}

static bool withdraw(struct tti_runtime *rt, struct tti_job *job)
{
	struct tti_sim *sim = rt->user;

	TTI_LIST_FOR_EACH (n, &sim->jobs) {
		struct sim_job *j = TTI_CONTAINER_OF(n, struct sim_job, link);

		if (j->job != job || j->running)
			continue;
		tti_sim_trace(sim, TTI_SIM_JOB, "withdraw", j->serial, 0);
		tti_sim_unschedule(sim, &j->event);
		tti_list_unlink(&j->link);
		tti_env_real.free(j);
		return true;
	}
	return false;
}

/* ---- who can run ---- */

static bool has_news(const struct tti_worker *w)
{
	return tti_sim_driver_has_work(w->home.driver) || w->ready.len > 0 || w->fresh_len > 0;
}

static bool timer_is_due(const struct tti_sim *sim, const struct tti_worker *w)
{
	return tti_wheel_next(&w->wheel) <= sim->now;
}

/* One that is awake with nothing to do falls asleep as its next step. */
static bool can_turn(const struct tti_sim *sim, unsigned i)
{
	const struct tti_worker *w = sim->rt.workers[i];

	return !sim->per_worker[i].asleep || has_news(w) || timer_is_due(sim, w);
}

static bool is_starved(const struct tti_sim *sim, unsigned i)
{
	return sim->starved == i && sim->now < sim->starved_until;
}

/* Fills ret with the workers that could turn, starved ones only if there is no other. */
static size_t candidates(struct tti_sim *sim, unsigned *ret)
{
	size_t n = 0;
	bool left_out = false;

	for (unsigned i = 0; i < sim->workers; i++) {
		if (!can_turn(sim, i))
			continue;
		if (is_starved(sim, i))
			left_out = true;
		else
			ret[n++] = i;
	}
	if (n == 0 && left_out)
		ret[n++] = sim->starved;
	return n;
}

static void creep(struct tti_sim *sim)
{
	sim->now += 100 + (int64_t)tti_sim_roll(sim, 2000);
}

static void fall_asleep(struct tti_sim *sim, unsigned i)
{
	struct tti_worker *w = sim->rt.workers[i];

	sim->per_worker[i].asleep = tti_inbox_sleep(&w->inbox);
	tti_sim_trace(sim, TTI_SIM_TURN, "sleep", sim->per_worker[i].asleep, 0);
}

static void wake_up(struct tti_sim *sim, unsigned i)
{
	if (!sim->per_worker[i].asleep)
		return;
	sim->per_worker[i].asleep = false;
	tti_inbox_awake(&sim->rt.workers[i]->inbox);
}

static bool inbox_has_mail(const struct tti_worker *w)
{
	/* relaxed: everything here is one thread. */
	void *newest = tti_load_relaxed(&w->inbox.newest);

	return newest != NULL && newest != TTI_INBOX_ASLEEP;
}

/* It goes to sleep by what it last saw; mail that came since is the race of law 9. */
static bool looks_away(struct tti_sim *sim, const struct tti_worker *w)
{
	return !inbox_has_mail(w) || tti_sim_fault(sim, TT_FAULT_SLEEP_RACE);
}

static void turn(struct tti_sim *sim, unsigned i)
{
	struct tti_sim_worker *me = &sim->per_worker[i];
	struct tti_worker *w = sim->rt.workers[i];

	sim->running = i;
	tti_home_here = &w->home;
	if (me->drowsy && !has_news(w) && !timer_is_due(sim, w) && looks_away(sim, w)) {
		me->drowsy = false;
		fall_asleep(sim, i);
	} else {
		wake_up(sim, i);
		tti_sim_trace(sim, TTI_SIM_TURN, "", sim->steps, 0);
		w->home.driver->ops->poll(w->home.driver, 0);
		tti_worker_turn(w);
		me->drowsy = !has_news(w);
	}
	tti_home_here = NULL;
	sim->steps++;
	creep(sim);
}

static void maybe_starve(struct tti_sim *sim)
{
	if (sim->workers < 2 || sim->now < sim->starved_until || !tti_sim_fault(sim, TT_FAULT_STARVATION))
		return;
	sim->starved = (unsigned)tti_sim_roll(sim, sim->workers);
	sim->starved_until = sim->now + (int64_t)tti_sim_roll(sim, (uint64_t)TT_MS(20));
}

/* False when no worker can do anything at this time. */
static bool turn_somebody(struct tti_sim *sim)
{
	unsigned workers[WORKERS_MAX];
	size_t n;

	if (sim->urgent > 0) {
		unsigned i = sim->urgent - 1;

		sim->urgent = 0;
		turn(sim, i);
		return true;
	}
	maybe_starve(sim);
	n = candidates(sim, workers);
	if (n == 0)
		return false;
	if (tti_sim_fault(sim, TT_FAULT_SPURIOUS_WAKE)) {
		unsigned i = (unsigned)tti_sim_roll(sim, sim->workers);

		wake_up(sim, i);
		turn(sim, i);
		return true;
	}
	turn(sim, workers[tti_sim_choose_worker(sim, workers, n)]);
	return true;
}

/* ---- time ---- */

static int64_t next_time(const struct tti_sim *sim)
{
	const struct tti_sim_event *e = tti_sim_next_event(sim);
	int64_t next = e != NULL ? e->at : TT_NEVER;

	for (unsigned i = 0; i < sim->workers; i++) {
		int64_t timer = tti_wheel_next(&sim->rt.workers[i]->wheel);

		if (timer < next)
			next = timer;
	}
	return next;
}

static bool wake_quiet(struct tti_sim *sim)
{
	struct tti_list *n = tti_list_pop_front(&sim->quiet);
	struct quiet *q;

	if (n == NULL)
		return false;
	q = TTI_CONTAINER_OF(n, struct quiet, link);
	tti_home_here = q->waiter.task->home;
	if (tti_claim(&q->waiter))
		tti_wake(&q->waiter);
	tti_home_here = NULL;
	return true;
}

int tti_sim_wait_quiet(struct tti_sim *sim)
{
	struct quiet q;

	tti_waiter_init(&q.waiter, "quiet", NULL);
	tti_list_push_back(&sim->quiet, &q.link);
	tti_park(&q.waiter);
	tti_list_unlink(&q.link);
	return q.waiter.rc;
}

static void jump(struct tti_sim *sim)
{
	int64_t next = next_time(sim);

	if (next == TT_NEVER)
		tti_sim_fail(sim, "deadlock: every task waits, and nothing will happen");
	if (next > sim->now)
		sim->now = next;
	if (tti_sim_fault(sim, TT_FAULT_LATE_TIMER))
		sim->now += (int64_t)tti_sim_roll(sim, (uint64_t)sim->faults.delay_max);
	if (tti_sim_fault(sim, TT_FAULT_CLOCK_JUMP))
		sim->now += (int64_t)tti_sim_roll(sim, (uint64_t)TT_SEC(5));
	tti_sim_trace(sim, TTI_SIM_TIME, "", (uint64_t)(sim->now - sim->start), 0);
}

static void strike(struct tti_sim *sim)
{
	sim->struck = false;
	tti_sim_trace(sim, TTI_SIM_EVENT, "strike", sim->points_seen, 0);
	sim->strike(sim, sim->strike_data);
}

static void step(struct tti_sim *sim)
{
	if (sim->struck)
		strike(sim);
	tti_sim_fire_due(sim);
	if (sim->struck)
		strike(sim);
	if (!turn_somebody(sim) && !wake_quiet(sim))
		jump(sim);
	if (sim->steps > sim->max_steps)
		tti_sim_fail(sim, "endless: %llu steps without an end", (unsigned long long)sim->steps);
}

/* ---- start and stop ---- */

static uint64_t env_number(const char *name, uint64_t otherwise)
{
	const char *text = tti_env_var(name);
	char *end;
	uint64_t n;

	if (text == NULL || text[0] == '\0')
		return otherwise;
	n = strtoull(text, &end, 0);
	TT_REQUIRE(*end == '\0', "environment variable %s: \"%s\" is not a number", name, text);
	return n;
}

static void root_done(struct tti_root *r)
{
	(void)r;
}

static void open_worker(struct tti_sim *sim, unsigned i)
{
	struct tti_worker *w = sim->rt.workers[i];
	int rc = tti_worker_open(w);

	TT_REQUIRE(rc == 0, "simulator: worker %u cannot be opened: %d", i, rc);
	sim->per_worker[i].opened = true;
	sim->home_ops = w->home.ops;
	w->home.ops = &sim_home_ops;
	/* How long a task may go on without waiting is a choice like others. */
	if (tti_sim_roll(sim, 2) == 0)
		w->home.slice_budget = 1 + (int32_t)tti_sim_roll(sim, 8);
}

/* Stacks without guards, whose canary is read at each switch: installing guards would
 * cost more than most runs, and a frame that passes the canary falls into the gap where
 * the guard would be. The probe asks the real kernel, once. */
static void open_arena(struct tti_runtime *rt)
{
	static const struct tti_stack_options options = { .unguarded = true };
	static __thread struct tti_stack_arena kept;
	static __thread bool known;

	if (!known) {
		const struct tti_env_ops *env = tti_env_bind(NULL);
		int rc = tti_stack_arena_init(&kept, &options);

		tti_env_bind(env);
		TT_REQUIRE(rc == 0, "simulator: no memory for stacks: %d", rc);
		kept.guard_mode = TTI_GUARD_NONE;
		known = true;
	}
	rt->arena = kept;
}

static void open_runtime(struct tti_sim *sim)
{
	struct tti_runtime *rt = &sim->rt;
	int rc;

	rt->env = &tti_sim_env;
	rt->driver_ops = &tti_driver_sim;
	rt->oracle = &sim->oracle.base;
	rt->offload = offload;
	rt->withdraw = withdraw;
	rt->file_ops = &tti_sim_file_ops;
	rt->process_ops = &tti_sim_process_ops;
	rt->user = sim;
	open_arena(rt);
	rc = tti_runtime_init(rt, sim->workers);
	TT_REQUIRE(rc == 0, "simulator: out of memory");
	sim->per_worker = tti_sim_zalloc(sim->workers * sizeof(*sim->per_worker));
	rt->turn_slices = 1 + (unsigned)tti_sim_roll(sim, 2);
	for (unsigned i = 0; i < sim->workers; i++)
		open_worker(sim, i);
}

static struct tti_sim *world_new(const tt_sim_options *options, const char *name)
{
	struct tti_sim *sim = tti_sim_zalloc(sizeof(*sim));
	uint64_t faults = options->faults != 0 ? options->faults : TT_FAULTS_GENTLE;

	sim->options = options;
	sim->name = name;
	sim->seed = env_number("TUTTI_SEED", options->seed);
	sim->workers = options->workers != 0 ? options->workers : (unsigned)env_number("TUTTI_SIM_WORKERS", 2);
	TT_REQUIRE(sim->workers >= 1 && sim->workers <= WORKERS_MAX, "simulator: %u workers are not 1 to %u", sim->workers,
	           WORKERS_MAX);
	sim->mute = options->quiet && tti_env_var("TUTTI_SEED") == NULL;
	sim->max_steps = options->max_steps != 0 ? options->max_steps : STEPS_MAX;
	sim->start = sim->now = START;
	sim->clock_skew = WALL_AT_START - START;
	tti_list_init(&sim->free_ops);
	tti_list_init(&sim->all_ops);
	tti_list_init(&sim->jobs);
	tti_list_init(&sim->quiet);
	tti_sim_trace_init(&sim->trace);
	tti_sim_faults_init(sim, faults);
	tti_rng_init(&sim->entropy, sim->seed, 3);
	tti_sim_schedule_init(&sim->schedule, options);
	tti_sim_oracle_init(sim);
	tti_sim_net_init(sim);
	tti_sim_files_init(sim);
	tti_sim_children_init(sim);
	return sim;
}

static void fill_report(struct tti_sim *sim)
{
	last_report = (tt_sim_report){
		.seed = sim->seed,
		.trace_hash = sim->trace.hash,
		.trace_records = sim->trace.records,
		.steps = sim->steps,
		.switches = sim->switches,
		.virtual_ns = sim->now - sim->start,
		.choices = sim->oracle.choices,
		.workers = sim->workers,
	};
	memcpy(last_report.faults, sim->faults.count, sizeof(last_report.faults));
}

void tt_sim_report_last(tt_sim_report *ret_report)
{
	if (tti_sim_here != NULL)
		fill_report(tti_sim_here);
	*ret_report = last_report;
}

static int64_t live_tasks(const struct tti_sim *sim)
{
	int64_t live = 0;

	for (unsigned i = 0; i < sim->workers; i++)
		live += sim->rt.workers[i]->home.created - sim->rt.workers[i]->home.freed;
	return live;
}

static bool anybody_busy(const struct tti_sim *sim)
{
	for (unsigned i = 0; i < sim->workers; i++)
		if (has_news(sim->rt.workers[i]) || inbox_has_mail(sim->rt.workers[i]))
			return true;
	return false;
}

/* The root task has ended: what is still under way between workers and jobs comes in. */
static void drain(struct tti_sim *sim)
{
	while (!tti_list_empty(&sim->jobs) || anybody_busy(sim))
		step(sim);
}

static void check_nothing_left(struct tti_sim *sim)
{
	int64_t live = live_tasks(sim);

	if (!tti_list_empty(&sim->all_ops))
		tti_sim_fail(sim, "law 1: operations are under way, and no task is left that waits for them");
	if (live != 0)
		tti_sim_fail(sim, "%lld task records are left; was a tt_task_put forgotten?", (long long)live);
	if (sim->net.open_fds != 0)
		tti_sim_fail(sim, "%u descriptors are left open", sim->net.open_fds);
	if (tti_sim_children_left(sim) != 0)
		tti_sim_fail(sim, "%u children are left: ended or not, nobody took them away", tti_sim_children_left(sim));
}

static void close_runtime(struct tti_sim *sim)
{
	struct tti_runtime *rt = &sim->rt;

	sim->started = false;
	drain(sim);
	check_nothing_left(sim);
	tti_home_here = &rt->workers[0]->home;
	tti_net_shutdown(rt);
	tti_signal_hub_stop(rt);
	for (unsigned i = 0; i < sim->workers; i++) {
		tti_home_here = &rt->workers[i]->home;
		wake_up(sim, i);
		tti_worker_finish(rt->workers[i]);
	}
	tti_home_here = NULL;
	for (unsigned i = 0; i < sim->workers; i++)
		tti_worker_close(rt->workers[i]);
	tti_runtime_fini(rt);
}

static void world_free(struct tti_sim *sim)
{
	tti_sim_children_fini(sim);
	tti_sim_net_fini(sim);
	tti_sim_files_fini(sim);
	while (tti_sim_next_event(sim) != NULL) {
		/* Segments to ends that are closed: they free themselves when they arrive. */
		sim->now = tti_sim_next_event(sim)->at;
		tti_sim_fire_due(sim);
	}
	tti_sim_heap_fini(sim);
	tti_sim_driver_free_ops(sim);
	tti_sim_trace_fini(&sim->trace);
	tti_sim_schedule_fini(&sim->schedule);
	tti_env_real.free(sim->per_worker);
	tti_env_real.free(sim);
}

static void start_root(struct tti_sim *sim, const struct tt_task_type *type, const void *args, const char *site)
{
	int rc;

	sim->root.on_done = root_done;
	tti_home_here = &sim->rt.workers[0]->home;
	rc = tti_root_start(&sim->root, &sim->rt, type, args, site);
	tti_home_here = NULL;
	TT_REQUIRE(rc == 0, "simulator: the task cannot be started: %d", rc);
	sim->started = true;
}

static void apply_setup(struct tti_sim *sim, const struct tti_sim_setup *setup)
{
	if (setup == NULL)
		return;
	sim->schedule.keep = sim->schedule.keep || setup->ret_schedule != NULL;
	if (setup->record_path != NULL)
		snprintf(sim->schedule.record_path, sizeof(sim->schedule.record_path), "%s", setup->record_path);
	sim->strike_at = setup->strike_at;
	if (setup->name != NULL)
		sim->name = setup->name;
	sim->strike = setup->strike;
	sim->strike_data = setup->data;
	if (!setup->every_checkpoint)
		return;
	for (unsigned i = 0; i < sim->workers; i++)
		sim->rt.workers[i]->home.slice_budget = 1;
	sim->rt.turn_slices = 1;
}

static int run_world(struct tti_sim *sim, const struct tt_task_type *type, const void *args, const char *site,
                     struct tti_sim_setup *setup)
{
	open_runtime(sim);
	apply_setup(sim, setup);
	start_root(sim, type, args, site);
	while (!sim->root.done)
		step(sim);
	if (setup != NULL) {
		memcpy(setup->ret_points, sim->points, sizeof(setup->ret_points));
		setup->ret_points_seen = sim->points_seen;
	}
	/* A failure that only the program sees, after the run, can be repeated too. */
	if (setup == NULL)
		tti_sim_schedule_write(&sim->schedule);
	if (setup != NULL && setup->ret_schedule != NULL) {
		*setup->ret_schedule = sim->schedule;
		sim->schedule = (struct tti_sim_schedule){ 0 };
	}
	close_runtime(sim);
	if (sim->root.rc < 0)
		tti_error_set_code(&sim->root.err, sim->root.rc);
	return sim->root.rc;
}

int tti_sim_run(const tt_sim_options *options, const struct tt_task_type *type, const void *args, const char *site,
                struct tti_sim_setup *setup)
{
	static const tt_sim_options none;
	const struct tti_env_ops *env;
	void (*hook)(void) = tti_panic_hook;
	struct tti_sim *sim;
	int rc;

	TT_REQUIRE(tti_home_here == NULL, "tt_sim_run at %s: called inside a runtime", site);
	TT_REQUIRE(tti_sim_here == NULL, "tt_sim_run at %s: called inside a simulation", site);
	sim = world_new(options != NULL ? options : &none, type->name);
	tti_sim_here = sim;
	env = tti_env_bind(setup != NULL && setup->env != NULL ? setup->env : &tti_sim_env);
	tti_panic_hook = panic_hook;
	rc = run_world(sim, type, args, site, setup);
	tti_error_clear(&sim->root.err);
	fill_report(sim);
	world_free(sim);
	tti_sim_here = NULL;
	tti_panic_hook = hook;
	tti_env_bind(env);
	return rc;
}

const tt_sim_options *tt_sim_seeded_(uint64_t seed)
{
	seeded = (tt_sim_options){ .seed = seed };
	return &seeded;
}

intptr_t tt_verb_sim_(void *on, const tt_task_type *type, const void *args, const char *site)
{
	return tti_sim_run(on, type, args, site, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * sim_test.c - the simulator itself: one seed is one run, seeds differ, choices can be
 * replayed, time is free, and what must not happen inside is reported.
 *
 * test-on: sim2
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

#include "sim/sim.h"

static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };

/* ---- scenarios ---- */

static TT_TASK(racer, (char *, order), (unsigned *, n), (char, name))
{
	for (int i = 0; i < 3; i++) {
		order[(*n)++] = name;
		TT_TRY(tt_yield());
	}
	return 0;
}

/* Writes down in which order three tasks ran. */
static TT_TASK(race, (char *, ret_order))
{
	unsigned n = 0;

	TT_GROUP(g);
	for (int i = 0; i < 3; i++)
		tt_go_with(&g, &anywhere, racer, ret_order, &n, (char)('a' + i));
	return tt_group_end(&g, 0);
}

static TT_TASK(long_sleep, (int64_t *, ret_slept))
{
	int64_t before = tt_now(), wall = tt_wall();
	int rc = tt_sleep(TT_HOUR(24));

	*ret_slept = tt_now() - before;
	EXPECT_GE(tt_wall() - wall, TT_HOUR(24));
	return rc;
}

static TT_TASK(for_ever)
{
	for (;;)
		TT_TRY(tt_yield());
}

static TT_TASK(nothing)
{
	return 7;
}

static uint64_t hash_of(uint64_t seed)
{
	char order[16] = "";
	tt_sim_report r;

	EXPECT_OK(tt_sim_run(seed, race, order));
	tt_sim_report_last(&r);
	EXPECT_EQ(r.seed, seed);
	return r.trace_hash;
}

/* ---- one seed is one run ---- */

TT_TEST_PLAIN(sim, the_code_of_the_task_is_the_code_of_the_run)
{
	EXPECT_EQ(tt_sim_run(1, nothing), 7);
}

TT_TEST_PLAIN(sim, equal_seeds_are_equal_runs_and_others_are_not)
{
	unsigned differ = 0;

	TT_LAW(9);
	for (uint64_t seed = 0; seed < 50; seed++) {
		EXPECT_EQ(hash_of(seed), hash_of(seed));
		differ += hash_of(seed) != hash_of(seed + 1);
	}
	EXPECT_GE(differ, 49);
}

/* Every order of the first two steps of three tasks comes up among a few hundred seeds. */
TT_TEST_PLAIN(sim, seeds_reach_every_order)
{
	bool seen[3][3] = { { false } };
	unsigned orders = 0;

	TT_LAW(9);
	for (uint64_t seed = 0; seed < 300; seed++) {
		char order[16] = "";

		EXPECT_OK(tt_sim_run(seed, race, order));
		EXPECT_EQ(strlen(order), 9);
		if (!seen[order[0] - 'a'][order[1] - 'a'])
			orders++;
		seen[order[0] - 'a'][order[1] - 'a'] = true;
	}
	EXPECT_EQ(orders, 9);
}

TT_TEST_PLAIN(sim, recorded_choices_give_the_same_order_again)
{
	TT_LAW(9);
	for (uint64_t seed = 0; seed < 50; seed++) {
		char first[16] = "", again[16] = "";
		uint32_t choices[2000];
		tt_sim_options o = { .seed = seed, .record = choices, .record_max = 2000 };
		tt_sim_report r;

		EXPECT_OK(tt_sim_run_with(&o, race, first));
		tt_sim_report_last(&r);
		REQUIRE_LT(r.choices, 2000);
		o = (tt_sim_options){
			.seed = seed, .strategy = TT_SIM_REPLAY, .replay = choices, .replay_len = r.choices,
		};
		EXPECT_OK(tt_sim_run_with(&o, race, again));
		EXPECT_STR_EQ(first, again);
	}
}

/* Priorities run one task as far as it goes: with depth 2 the three tasks rarely mix. */
TT_TEST_PLAIN(sim, priorities_are_a_different_walk)
{
	unsigned runs[2] = { 0, 0 };

	for (uint64_t seed = 0; seed < 200; seed++) {
		static const enum tt_sim_strategy strategies[] = { TT_SIM_RANDOM_WALK, TT_SIM_PCT };

		for (int s = 0; s < 2; s++) {
			tt_sim_options o = { .seed = seed, .workers = 1, .strategy = strategies[s], .depth = s == 0 ? 0 : 2 };
			char order[16] = "";

			EXPECT_OK(tt_sim_run_with(&o, race, order));
			for (int i = 1; i < 9; i++)
				runs[s] += order[i] == order[i - 1];
		}
	}
	EXPECT_GT(runs[1], runs[0] * 3 / 2);
}

TT_TEST_PLAIN(sim, a_failing_seed_is_repeated_by_one_variable)
{
	char order[16] = "", again[16] = "";
	tt_sim_report r;

	EXPECT_OK(tt_sim_run(77, race, order));
	setenv("TUTTI_SEED", "0x4d", 1);
	EXPECT_OK(tt_sim_run(1, race, again));
	unsetenv("TUTTI_SEED");
	tt_sim_report_last(&r);
	EXPECT_EQ(r.seed, 77);
	EXPECT_STR_EQ(order, again);
}

/* ---- time ---- */

TT_TEST_PLAIN(sim, a_day_takes_no_time)
{
	int64_t slept = 0;
	tt_sim_report r;

	EXPECT_OK(tt_sim_run(3, long_sleep, &slept));
	EXPECT_GE(slept, TT_HOUR(24));
	tt_sim_report_last(&r);
	EXPECT_GE(r.virtual_ns, TT_HOUR(24));
	EXPECT_LT(r.steps, 200);
}

static TT_TASK(nap, (int64_t, ns))
{
	return tt_sleep(ns);
}

TT_TEST_ON(sim, waiting_for_all_to_park_takes_no_virtual_time, TT_ON_SIM, "needs a virtual clock")
{
	int64_t before = tt_now();

	TT_GROUP(g);
	for (int i = 0; i < 5; i++)
		tt_go_with(&g, &anywhere, nap, TT_SEC(10));
	EXPECT_OK(tt_test_wait_all_parked());
	EXPECT_EQ(tt_test_tasks_alive(), 6);
	EXPECT_LT(tt_now() - before, TT_SEC(1));
	tt_group_cancel(&g);
	EXPECT_OK(tt_group_end(&g, 0));
}

/* ---- what is inside stays inside ---- */

static TT_TASK(draws_entropy, (uint64_t *, ret))
{
	tti_env_entropy(ret, sizeof(*ret));
	return 0;
}

TT_TEST_PLAIN(sim, entropy_comes_from_the_seed)
{
	uint64_t a = 0, b = 0, c = 0;

	EXPECT_OK(tt_sim_run(5, draws_entropy, &a));
	EXPECT_OK(tt_sim_run(5, draws_entropy, &b));
	EXPECT_OK(tt_sim_run(6, draws_entropy, &c));
	EXPECT_EQ(a, b);
	EXPECT_NE(a, c);
}

static TT_TASK(counts_cpus)
{
	return tt_cpu_count();
}

TT_TEST_PLAIN(sim, there_are_as_many_cpus_as_workers)
{
	tt_sim_options o = { .workers = 7 };

	EXPECT_EQ(tt_sim_run_with(&o, counts_cpus), 7);
}

static TT_TASK(starts_a_thread)
{
	struct tti_thread t = { .fn = NULL };

	return tti_env_thread_start(&t, "stray");
}

static TT_TASK(nests)
{
	return tt_sim_run(1, nothing);
}

static TT_TASK(keeps_a_handle, (tt_task **, ret))
{
	TT_GROUP(g);
	TT_TRY_IN(&g, tt_go_task(&g, ret, nothing));
	return tt_group_end(&g, 0);
}

TT_TEST_PLAIN(sim, what_must_not_happen_aborts_and_says_how_to_repeat)
{
	tt_sim_options short_run = { .seed = 9, .workers = 3, .max_steps = 500 };
	tt_task *kept;

	EXPECT_ABORTS(tt_sim_run(9, starts_a_thread), "a real thread (stray) inside a simulation");
	EXPECT_ABORTS(tt_sim_run(9, nests), "called inside a runtime");
	EXPECT_ABORTS(tt_sim_run_with(&short_run, for_ever), "endless: 501 steps");
	EXPECT_ABORTS(tt_sim_run_with(&short_run, for_ever), "TUTTI_SEED=0x9 TUTTI_SIM_WORKERS=3");
	EXPECT_ABORTS(tt_sim_run(9, keeps_a_handle, &kept), "was a tt_task_put forgotten?");
}

/* ---- memory ---- */

static TT_TASK(allocates, (unsigned *, ret_refused))
{
	for (int i = 0; i < 200; i++) {
		void *p = tti_env_alloc(100);

		*ret_refused += p == NULL;
		tti_env_free(p);
	}
	return 0;
}

TT_TEST_PLAIN(sim, memory_runs_out_only_when_asked_to)
{
	unsigned refused = 0, refused_when_asked = 0;

	for (uint64_t seed = 0; seed < 50; seed++) {
		tt_sim_options o = { .seed = seed, .faults = TT_FAULTS_ALL };

		EXPECT_OK(tt_sim_run(seed, allocates, &refused));
		TT_IGNORE(tt_sim_run_with(&o, allocates, &refused_when_asked));
	}
	EXPECT_EQ(refused, 0);
	EXPECT_GT(refused_when_asked, 0);
}

/* ---- events ---- */

struct mark {
	struct tti_sim_event event;
	unsigned *order;
	unsigned id;
};

static unsigned fired_count;

static void mark_fired(struct tti_sim *sim, struct tti_sim_event *e)
{
	struct mark *m = TTI_CONTAINER_OF(e, struct mark, event);

	(void)sim;
	m->order[fired_count++] = m->id;
}

TT_TEST_PLAIN(sim, events_fire_by_time_and_then_by_order)
{
	static struct tti_sim sim;
	struct mark marks[100];
	unsigned order[100];

	fired_count = 0;
	memset(marks, 0, sizeof(marks));
	for (unsigned i = 0; i < 100; i++) {
		marks[i].order = order;
		marks[i].id = i;
		tti_sim_at(&sim, &marks[i].event, (int64_t)(i * 37 % 10), mark_fired);
	}
	for (unsigned i = 0; i < 100; i += 3)
		tti_sim_unschedule(&sim, &marks[i].event);
	sim.now = 100;
	EXPECT_EQ(tti_sim_fire_due(&sim), 66);
	for (unsigned i = 1; i < 66; i++) {
		unsigned a = order[i - 1], b = order[i], at_a = a * 37 % 10, at_b = b * 37 % 10;

		EXPECT_TRUE(at_a < at_b || (at_a == at_b && a < b));
	}
	tti_sim_heap_fini(&sim);
}

/* ---- exploration ---- */

struct counter {
	int value;
};

/* A lost update: between the look and the store another task may come. */
static TT_TASK(adds_one, (struct counter *, c))
{
	int seen = c->value;

	TT_TRY(tt_checkpoint());
	c->value = seen + 1;
	return 0;
}

static TT_TASK(two_add, (struct counter *, c))
{
	c->value = 0;
	{
		TT_GROUP(g);
		tt_go(&g, adds_one, c);
		tt_go(&g, adds_one, c);
		TT_TRY_IN(&g, tt_group_end(&g, 0));
	}
	return c->value == 2 ? 0 : TT_EIO;
}

static TT_TASK(locks_and_unlocks, (tt_mutex *, m))
{
	TT_TRY(tt_mutex_lock(m));
	tt_mutex_unlock(m);
	return 0;
}

static TT_TASK(two_lock)
{
	tt_mutex m;

	tt_mutex_init(&m);
	TT_DEFER(tt_mutex_fini, &m);
	TT_GROUP(g);
	tt_go(&g, locks_and_unlocks, &m);
	tt_go_with(&g, &(tt_child_options){ .worker = TT_WORKER(1) }, locks_and_unlocks, &m);
	return tt_group_end(&g, 0);
}

/* One delay is enough for a race that needs one, wherever it lies; the schedule that shows
 * it is kept, and shows it again. */
TT_TEST_PLAIN(sim, exploring_finds_the_one_schedule_that_fails)
{
	char file[] = "/tmp/tutti-schedule-XXXXXX";
	tt_explore_options o = { .delays = 1 };
	tt_explore_result r;
	struct counter c;

	close(mkstemp(file));
	setenv("TUTTI_SIM_RECORD", file, 1);
	EXPECT_CODE(tt_sim_explore(&o, &r, two_add, &c), TT_EIO);
	EXPECT_FALSE(r.complete);
	EXPECT_LT(r.runs, 100);
	unsetenv("TUTTI_SIM_RECORD");

	setenv("TUTTI_SIM_REPLAY", file, 1);
	EXPECT_CODE(tt_sim_explore(&o, &r, two_add, &c), TT_EIO);
	EXPECT_EQ(r.runs, 1);
	unsetenv("TUTTI_SIM_REPLAY");
	unlink(file);
}

/* What holds in every schedule is run in every schedule, each once, and more with more delays. */
TT_TEST_PLAIN(sim, exploring_is_complete_within_its_bound)
{
	uint64_t before = 0;

	for (unsigned delays = 1; delays <= 3; delays++) {
		tt_explore_options o = { .delays = delays };
		tt_explore_result r;

		EXPECT_OK(tt_sim_explore(&o, &r, two_lock));
		EXPECT_TRUE(r.complete);
		EXPECT_GT(r.runs, before);
		EXPECT_GT(r.choices_max, 2);
		before = r.runs;
		tt_test_note("%u delays: %llu runs of up to %zu choices", delays, (unsigned long long)r.runs, r.choices_max);
	}
}

/* Out of runs is not complete. */
TT_TEST_PLAIN(sim, exploring_stops_at_its_limit)
{
	tt_explore_options o = { .delays = 3, .runs_max = 5 };
	tt_explore_result r;

	EXPECT_OK(tt_sim_explore(&o, &r, two_lock));
	EXPECT_EQ(r.runs, 5);
	EXPECT_FALSE(r.complete);
	/* A variable that is set to nothing asks for no replay. */
	setenv("TUTTI_SIM_REPLAY", "", 1);
	EXPECT_OK(tt_sim_explore(&o, &r, two_lock));
	unsetenv("TUTTI_SIM_REPLAY");
	EXPECT_EQ(r.runs, 5);
}

/* ---- files of a run ---- */

static TT_TASK(turns_often, (unsigned *, sum), (unsigned, weight))
{
	for (unsigned i = 0; i < 8000; i++) {
		*sum = *sum * 31 + weight;
		TT_TRY(tt_yield());
	}
	return 0;
}

/* Two that take turns thousands of times; the sum tells in which order. */
static TT_TASK(many_turns, (unsigned *, sum))
{
	*sum = 0;
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, turns_often, sum, 1u);
	tt_go_with(&g, &anywhere, turns_often, sum, 2u);
	tt_go_with(&g, &anywhere, turns_often, sum, 3u);
	return tt_group_end(&g, 0);
}

static char run_file[64];

static char *file_text(size_t *ret_n)
{
	FILE *f = fopen(run_file, "r");
	size_t room = 16u << 20;
	char *text = malloc(room);

	REQUIRE_TRUE(f != NULL && text != NULL);
	*ret_n = fread(text, 1, room, f);
	REQUIRE_LT(*ret_n, room);
	fclose(f);
	remove(run_file);
	return text;
}

static char *traced_run(uint64_t seed, size_t *ret_n)
{
	unsigned sum;

	setenv("TUTTI_SIM_TRACE", run_file, 1);
	EXPECT_OK(tt_sim_run(seed, many_turns, &sum));
	unsetenv("TUTTI_SIM_TRACE");
	return file_text(ret_n);
}

/* The whole trace of a seed is the same each time, and another seed's is another. */
TT_TEST_PLAIN(sim, a_seed_has_one_trace)
{
	size_t n, m, other;
	char *a, *b, *c;

	snprintf(run_file, sizeof(run_file), "/tmp/tutti-run-%d", (int)getpid());
	a = traced_run(5, &n);
	b = traced_run(5, &m);
	c = traced_run(6, &other);
	EXPECT_GT(n, 100000u);
	EXPECT_TRUE(n == m && memcmp(a, b, n) == 0);
	EXPECT_FALSE(n == other && memcmp(a, c, n) == 0);
	EXPECT_TRUE(memchr(a, '\n', n) != NULL);
	free(a);
	free(b);
	free(c);
}

/* The choices of a run, written and read back, give the same run whatever the seed. */
TT_TEST_PLAIN(sim, a_long_schedule_is_replayed_from_its_file)
{
	unsigned recorded, replayed, otherwise;
	size_t n;

	snprintf(run_file, sizeof(run_file), "/tmp/tutti-run-%d", (int)getpid());
	setenv("TUTTI_SIM_RECORD", run_file, 1);
	EXPECT_OK(tt_sim_run(7, many_turns, &recorded));
	unsetenv("TUTTI_SIM_RECORD");
	EXPECT_OK(tt_sim_run(8, many_turns, &otherwise));
	EXPECT_NE(recorded, otherwise);
	setenv("TUTTI_SIM_REPLAY", run_file, 1);
	EXPECT_OK(tt_sim_run(7, many_turns, &replayed));
	unsetenv("TUTTI_SIM_REPLAY");
	EXPECT_EQ(recorded, replayed);
	free(file_text(&n));
	EXPECT_GT(n, 65536u);
}

/* A place that cannot be written costs the file, not the run; an empty name is none. */
TT_TEST_PLAIN(sim, a_schedule_that_cannot_be_written)
{
	tt_sim_options short_run = { .seed = 9, .max_steps = 500 };
	unsigned sum;

	setenv("TUTTI_SIM_RECORD", "/no/such/folder/at/all", 1);
	EXPECT_OK(tt_sim_run(7, race, (char[16]){ 0 }));
	setenv("TUTTI_SIM_RECORD", "/dev/full", 1);
	EXPECT_OK(tt_sim_run(7, many_turns, &sum));
	setenv("TUTTI_SIM_RECORD", "", 1);
	setenv("TUTTI_SIM_TRACE", "", 1);
	setenv("TUTTI_SIM_REPLAY", "", 1);
	EXPECT_OK(tt_sim_run(7, race, (char[16]){ 0 }));
	/* Nor is a file that has only half of the choices named as the one that repeats them. */
	setenv("TUTTI_SIM_RECORD", "/dev/full", 1);
	EXPECT_ABORTS(tt_sim_run_with(&short_run, for_ever), "to repeat:\nTUTTI_SEED=0x9");
	setenv("TUTTI_SIM_REPLAY", "/no/such/file", 1);
	EXPECT_ABORTS(TT_IGNORE(tt_sim_run(7, race, (char[16]){ 0 })), "cannot be read");
	unsetenv("TUTTI_SIM_RECORD");
	unsetenv("TUTTI_SIM_TRACE");
	unsetenv("TUTTI_SIM_REPLAY");
}

static void write_run_file(const char *text, size_t n)
{
	FILE *f = fopen(run_file, "w");

	REQUIRE_TRUE(f != NULL);
	REQUIRE_EQ(fwrite(text, 1, n, f), n);
	REQUIRE_EQ(fclose(f), 0);
}

/* A schedule that was cut off, or edited to nonsense, is refused: it would be another one. What a
 * line holds behind its first word is nobody's affair, a NUL neither. */
TT_TEST_PLAIN(sim, a_schedule_file_is_whole_or_refused)
{
	tt_sim_options o = { .seed = 7, .workers = 1 };
	char order[16] = "";

	snprintf(run_file, sizeof(run_file), "/tmp/tutti-run-%d", (int)getpid());
	setenv("TUTTI_SIM_REPLAY", run_file, 1);
	write_run_file("1\n12", 4);
	EXPECT_ABORTS(TT_IGNORE(tt_sim_run_with(&o, race, order)), "the last line does not end; was the file cut off?");
	write_run_file("1\n\n2\n", 5);
	EXPECT_ABORTS(TT_IGNORE(tt_sim_run_with(&o, race, order)), "line 2 begins with neither a number nor -");
	write_run_file("1\0\nx\n", 5);
	EXPECT_ABORTS(TT_IGNORE(tt_sim_run_with(&o, race, order)), "line 2 begins with neither a number nor -");
	write_run_file("1 of 3 \0 ready\n-\n", 17);
	EXPECT_OK(tt_sim_run_with(&o, race, order));
	unsetenv("TUTTI_SIM_REPLAY");
	remove(run_file);
}

TT_TEST_MAIN()

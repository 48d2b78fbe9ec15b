/* SPDX-License-Identifier: MIT */
/*
 * fail.c - TT_ALLOC_TORTURE and TT_SYSCALL_TORTURE: a scenario is run once to count what
 * could fail, then once more for each way in which each of those can.
 *
 * Memory      every allocation and every mapping, alone and with all that follow.
 * Calls       in the simulator every call and every completion of a driver and every call on
 *             a file; on real workers every system call, every start of a thread and every
 *             futex wait, of all threads, the runtime's own start and stop included.
 * Outcome     The scenario may succeed, or return a code whose chain names the failure (or
 *             what its options allow); an interrupted call must not be heard of. Then tasks,
 *             descriptors and memory are counted, and its own check is asked. In the simulator
 *             a hang is a deadlock it reports; a process of real workers has a time limit.
 * Sample      options.sample takes that part of the places, and the seed says which: with 25
 *             and four seeds in a row all of them.
 * Rejected    One process for each run in the simulator too: a thousand times the cost, for
 *             runs that tell the seed and the place when they abort.
 */
#include "testing/fail.h"

#include <stdio.h>
#include <sys/mman.h>

#include <tutti/error.h>

#include "base/panic.h"
#include "sim/sim.h"

/* Of the extra places that a run on real workers may have, because no two are the same. */
#define SLACK 16
/* On real workers a scenario that turns in a loop until something happens has any number of
 * places: so many are taken, spread evenly. */
#define REAL_PLACES_MAX 400
/* Of the pairs of a failure and a cancel likewise; which ones says the seed. */
#define PAIRS_MAX 10000

/* ---- one place ---- */

static uint64_t pass(struct tti_fail *f, unsigned ways)
{
	uint64_t n;

	/* relaxed: set before the run, cleared after it. */
	if (tti_load_relaxed(&f->armed) == 0 || (tti_sim_here != NULL && tti_sim_in_child(tti_sim_here)))
		return 0;
	/* relaxed: a number; whoever gets the one that fails needs nobody else for it. */
	n = tti_fetch_add_relaxed(&f->seen, 1) + 1;
	if (f->ways != NULL && n <= TTI_FAIL_PLACES_MAX)
		f->ways[n - 1] = (uint8_t)ways;
	return n;
}

static void note_hit(struct tti_fail *f, const char *call, long arg, int code)
{
	f->code = code;
	f->arg = arg;
	snprintf(f->call, sizeof(f->call), "%s", call);
}

bool tti_fail_here(struct tti_fail *f, const char *call, long arg, const struct tti_fail_way *ways, unsigned n,
                   struct tti_fail_way *ret_way)
{
	uint64_t place;

	if (f->kind != TTI_FAIL_CALL)
		return false;
	place = pass(f, n);
	if (place == 0 || place != f->at || f->way >= n)
		return false;
	*ret_way = ways[f->way];
	note_hit(f, call, arg, ret_way->code);
	return true;
}

bool tti_fail_memory_here(struct tti_fail *f, const char *call)
{
	uint64_t place;

	if (f->kind != TTI_FAIL_ALLOC)
		return false;
	place = pass(f, 2);
	if (place == 0 || f->at == 0 || place < f->at || (place > f->at && f->way == 0))
		return false;
	if (place == f->at)
		note_hit(f, call, 0, TT_ENOMEM);
	return true;
}

void tti_fail_describe(const struct tti_fail *f, char *buf, size_t n)
{
	const char *more = f->kind == TTI_FAIL_ALLOC && f->way == 1 ? " and so do all that follow" : "";

	if (f->at == 0)
		snprintf(buf, n, "nothing fails");
	else if (f->call[0] == '\0')
		snprintf(buf, n, "place %llu, not reached", (unsigned long long)f->at);
	else if (f->code == 0)
		snprintf(buf, n, "place %llu, %s(%ld), moves one byte", (unsigned long long)f->at, f->call, f->arg);
	else
		snprintf(buf, n, "place %llu, %s(%ld), fails with %s%s", (unsigned long long)f->at, f->call, f->arg,
		         tt_error_name(f->code), more);
}

/* ---- what a scenario returns ---- */

static bool chain_has(const tt_error_node *n, int code)
{
	for (; n != NULL; n = tt_error_cause(n)) {
		if (tt_error_code(n) == code)
			return true;
		/* Siblings have stories of their own. */
		for (const tt_error_node *s = tt_error_sibling(n); s != NULL; s = tt_error_sibling(s))
			if (tt_error_code(s) == code || chain_has(tt_error_cause(s), code))
				return true;
	}
	return false;
}

static bool explains(int rc, int code)
{
	tt_error e;
	bool found;

	tt_error_take(&e, rc);
	found = rc == code || chain_has(tt_error_first(&e), code);
	tt_error_fini(&e);
	return found;
}

bool tti_failing_may_return(const struct tti_failing *t, const struct tti_fail *f, int rc)
{
	const tt_torture_options *o = t->options;

	if (rc >= 0 || o->any_code || (o->code < 0 && rc == o->code))
		return true;
	if (t->cancel_at != 0 && rc == TT_ECANCELED)
		return true;
	/* Whoever is interrupted tries again: no caller hears of it. */
	if (f->call[0] == '\0' || f->code == TT_EINTR)
		return false;
	return f->code == 0 ? rc == TT_EEOF : explains(rc, f->code);
}

/* ---- all of them ---- */

static bool is_in_sample(const struct tti_failing *t, uint64_t place)
{
	uint64_t percent = t->options->sample, places = t->result.places;

	if (tti_test_options.on != TT_ON_SIM && places > REAL_PLACES_MAX &&
	    place * REAL_PLACES_MAX / places == (place - 1) * REAL_PLACES_MAX / places)
		return false;
	if (percent == 0 || percent >= 100)
		return true;
	return (place + t->seed) % 100 * percent % 100 < percent;
}

static unsigned ways_of(const struct tti_failing *t, uint64_t place)
{
	return place <= TTI_FAIL_PLACES_MAX ? t->ways[place - 1] : 0;
}

/* One place with a cancel at each other; of all pairs every n-th. */
static void with_cancels(struct tti_failing *t, uint64_t place, uint64_t cancels, uint32_t before)
{
	uint64_t every = t->result.places * cancels / PAIRS_MAX + 1;

	for (uint64_t c = 1; c <= cancels && tti_test_failures() == before; c++) {
		if ((place * cancels + c + t->seed) % every != 0)
			continue;
		t->cancel_at = c;
		tti_failing_simulate(t, place, (unsigned)(c + t->seed) % ways_of(t, place));
		t->cancel_at = 0;
	}
}

static void all_simulated(struct tti_failing *t, uint32_t before)
{
	uint64_t cancels, places;

	/* Once for what the process makes and keeps. */
	tti_failing_simulate(t, 0, 0);
	cancels = tti_failing_simulate(t, 0, 0);
	places = t->result.places;
	if (places > TTI_FAIL_PLACES_MAX)
		tti_test_failed(false, t->site, "%s has %llu places: more than %d are not looked at", t->name,
		                (unsigned long long)places, TTI_FAIL_PLACES_MAX);
	for (uint64_t i = 1; i <= places && tti_test_failures() == before; i++) {
		if (!is_in_sample(t, i))
			continue;
		for (unsigned way = 0; way < ways_of(t, i) && tti_test_failures() == before; way++)
			tti_failing_simulate(t, i, way);
		if (t->options->pairs)
			with_cancels(t, i, cancels, before);
	}
}

static void all_real(struct tti_failing *t, uint32_t before)
{
	struct tti_failing_real *r = tti_failing_real_new(t);
	uint64_t places;

	tti_failing_real_run(r, 0, 0);
	tti_failing_real_finish(r);
	/* What a loop passes beyond these is like what it passed before. */
	places = tti_failing_real_places(r);
	places = places < TTI_FAIL_PLACES_MAX ? places : TTI_FAIL_PLACES_MAX;
	t->result.places = places;
	for (uint64_t i = 1; i <= places + SLACK && tti_test_failures() == before; i++) {
		unsigned ways = i <= places ? ways_of(t, i) : 1;

		for (unsigned way = 0; is_in_sample(t, i) && way < ways && tti_test_failures() == before; way++)
			tti_failing_real_run(r, i, way);
	}
	tti_failing_real_finish(r);
	tti_failing_real_free(r);
}

static uint8_t *ways_new(void)
{
	/* Shared: the run that counts may be a process of its own. */
	void *p = mmap(NULL, TTI_FAIL_PLACES_MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	TT_REQUIRE(p != MAP_FAILED, "no memory for torture");
	return p;
}

intptr_t tt_verb_fail_(void *on, const tt_task_type *type, const void *args, const char *site)
{
	static const tt_torture_options none;
	const tt_torture_ *request = on;
	struct tti_failing t = {
		.options = request->options != NULL ? request->options : &none,
		.type = type, .args = args, .site = site,
		.kind = request->calls ? TTI_FAIL_CALL : TTI_FAIL_ALLOC,
	};
	uint32_t before = tti_test_failures();

	t.name = t.options->name != NULL ? t.options->name : type->name;
	t.seed = t.options->seed;
	t.ways = ways_new();
	if (tti_test_options.on == TT_ON_SIM)
		all_simulated(&t, before);
	else
		all_real(&t, before);
	munmap(t.ways, TTI_FAIL_PLACES_MAX);
	if (request->ret_result != NULL)
		*request->ret_result = t.result;
	return tti_test_failures() != before ? 1 : 0;
}

unsigned tt_test_on(void)
{
	return tti_test_options.on;
}

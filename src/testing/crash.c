/* SPDX-License-Identifier: MIT */
/*
 * crash.c - TT_CRASH_TORTURE(): a scenario is run, the power is cut at each place where that could
 * matter, and from each disk that is left recovery is tried and judged.
 *
 * Places      Before each change of a file or a name and before each sync, and at the end: between two
 *             of them a power cut leaves the same disks, and the later the moment, the more has been
 *             acknowledged. Called on whatever stack the call on the file runs on.
 * Abandoning  Nothing is. What a power cut leaves is a function of the disk at that moment (disk.h), and
 *             of what the scenario had noted in options.context: both are copied, and the run goes on
 *             to its own end. No stack is left behind, no defer runs too early, nothing leaks, and one
 *             run shows all its places; what it does after one cannot reach the copy.
 * Memory      Copies are held up to HELD_MAX; then they are worked off, and the same run is made
 *             again from the first place that was not taken.
 * Same disks  A disk and a context that were judged already are not judged again: after a sync
 *             most of the drawn ones are equal.
 *
 * Rejected    A process for each place, ended there by _exit(): the same disks for a run each, what the
 *             scenario noted would have to travel back, and neither threads nor sanitizers of fibers
 *             like forks. Unwinding by a cancel at the place: cleanups would run that a power cut
 *             does not run.
 */
#include <stdio.h>
#include <string.h>

#include <tutti/error.h>

#include "base/panic.h"
#include "sim/disk.h"
#include "testing/kit.h"

#define IMAGES_DEFAULT 8
#define FAULTS_DEFAULT \
	(TT_FAULT_BIT(TT_FAULT_LATE_COMPLETION) | TT_FAULT_BIT(TT_FAULT_CANCEL_RACE) | TT_FAULT_BIT(TT_FAULT_FILE_TORN))
#define HELD_MAX (UINT64_C(64) << 20)
#define SEEN_MIN 1024u

/* A disk that a power cut left, to be judged. */
struct left {
	struct left *next;
	tt_sim_disk *disk;
	uint64_t place;
	const char *before;                  /* what was about to happen; a static string */
	unsigned cuts;                       /* how many it took, this one included */
	char kept[96];                       /* what became of that which was not synced */
	uint8_t context[];                   /* as it was at the first cut */
};

struct crash {
	const tt_crash_options *options;
	const tt_task_type *type;
	const void *args;
	const char *site, *name;
	uint64_t faults;
	uint64_t seed;                       /* the options' or TUTTI_SEED */
	struct left *left;                   /* by place; a recovery's before the others, or there would be many */
	struct left **left_end;              /* where the next one goes */
	uint64_t held;                       /* bytes of their disks */
	const struct left *from;             /* what the recovery that runs now began with; NULL: the scenario */
	uint64_t place;                      /* in this run */
	uint64_t first, missed;              /* places to take; the first one there was no memory for, 0: none */
	uint64_t *seen;                      /* [seen_room], open addressing; 0: free */
	size_t seen_room, seen_len;
	uint64_t trace_hash;                 /* of the scenario; the same each time */
	tt_crash_result result;
};

/* ---- what was judged already ---- */

/* True: it is new, and in the set now. */
static bool insert(uint64_t *table, size_t room, uint64_t key)
{
	size_t i = (size_t)key & (room - 1);

	while (table[i] != 0 && table[i] != key)
		i = (i + 1) & (room - 1);
	if (table[i] == key)
		return false;
	table[i] = key;
	return true;
}

static void grow_seen(struct crash *c)
{
	size_t room = c->seen_room > 0 ? 2 * c->seen_room : SEEN_MIN;
	uint64_t *more = tti_sim_alloc(room * sizeof(*more));

	memset(more, 0, room * sizeof(*more));
	for (size_t i = 0; i < c->seen_room; i++)
		if (c->seen[i] != 0)
			insert(more, room, c->seen[i]);
	tti_env_real.free(c->seen);
	c->seen = more;
	c->seen_room = room;
}

static bool is_new(struct crash *c, const struct left *l)
{
	uint64_t key = tti_mix64(tti_sim_disk_hash(l->disk) + l->cuts);

	for (size_t i = 0; i < c->options->context_size; i++)
		key = (key ^ l->context[i]) * UINT64_C(0x100000001b3);
	key = tti_mix64(key) | 1;
	if (2 * c->seen_len >= c->seen_room)
		grow_seen(c);
	if (!insert(c->seen, c->seen_room, key))
		return false;
	c->seen_len++;
	return true;
}

/* ---- taking copies ---- */

/* The first ones are the corners: nothing lasted, all did, names and lengths without bytes (an early
 * rename), bytes without names. */
static const struct tti_sim_cut corners[] = {
	{ .names = TTI_SIM_KEEP_NONE, .lengths = TTI_SIM_KEEP_NONE, .bytes = TTI_SIM_KEEP_NONE },
	{ .names = TTI_SIM_KEEP_ALL, .lengths = TTI_SIM_KEEP_ALL, .bytes = TTI_SIM_KEEP_ALL },
	{ .names = TTI_SIM_KEEP_ALL, .lengths = TTI_SIM_KEEP_ALL, .bytes = TTI_SIM_KEEP_NONE },
	{ .names = TTI_SIM_KEEP_NONE, .lengths = TTI_SIM_KEEP_ALL, .bytes = TTI_SIM_KEEP_ALL },
};
#define CORNERS (sizeof(corners) / sizeof(corners[0]))

/* Within one sector, one page, or all of a file at once. */
static size_t draw_grain(const struct crash *c, struct tti_rng *r)
{
	static const size_t grains[] = { TTI_SIM_PAGE_SECTORS, 0, 1, 1 };
	bool tears = (c->faults & TT_FAULT_BIT(TT_FAULT_FILE_TORN)) != 0;

	return grains[tti_rng_below(r, tears ? 4 : 2)];
}

static struct tti_sim_cut draw_cut(const struct crash *c, unsigned index)
{
	struct tti_sim_cut cut = { .names = TTI_SIM_KEEP_SOME };
	struct tti_rng r;

	tti_rng_init(&r, c->seed ^ tti_mix64(c->place * 4096 + index), 7);
	if (index < CORNERS) {
		cut = corners[index];
	} else {
		cut.names = (enum tti_sim_keep)tti_rng_below(&r, 3);
		cut.lengths = (enum tti_sim_keep)tti_rng_below(&r, 3);
		cut.bytes = tti_rng_below(&r, 3) == 0 ? TTI_SIM_KEEP_NONE : TTI_SIM_KEEP_SOME;
	}
	cut.grain = draw_grain(c, &r);
	cut.garbage = tti_rng_below(&r, 2) == 0;
	cut.rng = r;
	return cut;
}

static void describe_cut(const struct tti_sim_cut *cut, char *buf, size_t n)
{
	static const char *const kept[] = { "lost", "kept", "kept in part" };

	snprintf(buf, n, "names %s, lengths %s, bytes %s%s%s", kept[cut->names], kept[cut->lengths], kept[cut->bytes],
	         cut->torn ? ", a page torn" : "", cut->garbage ? ", new blocks full of garbage" : "");
}

/* Behind the others, or behind those of this recovery. */
static void append(struct crash *c, struct left *l)
{
	l->next = *c->left_end;
	*c->left_end = l;
	c->left_end = &l->next;
}

static void free_left(struct left *l)
{
	tt_sim_disk_destroy(l->disk);
	tti_env_real.free(l);
}

static void take_one(struct crash *c, struct tti_sim *sim, const char *before, unsigned index)
{
	size_t n = c->options->context_size;
	struct left *l = tti_sim_alloc(sizeof(*l) + n);
	struct tti_sim_cut cut = draw_cut(c, index);

	*l = (struct left){ .place = c->place, .before = before, .cuts = c->from != NULL ? c->from->cuts + 1 : 1 };
	l->disk = tti_sim_cut(sim, &cut);
	if (n > 0)
		memcpy(l->context, c->from != NULL ? c->from->context : c->options->context, n);
	if (!is_new(c, l)) {
		free_left(l);
		return;
	}
	describe_cut(&cut, l->kept, sizeof(l->kept));
	c->result.torn += cut.torn;
	sim->faults.count[TT_FAULT_FILE_TORN] += cut.torn;
	c->held += l->disk->bytes;
	append(c, l);
}

static void take(struct tti_sim *sim, const char *before, void *data)
{
	struct crash *c = data;
	unsigned images = c->options->images != 0 ? c->options->images : IMAGES_DEFAULT;

	c->place++;
	if (c->from == NULL && (c->place < c->first || c->missed != 0))
		return;
	if (c->from == NULL && c->held > HELD_MAX) {
		c->missed = c->place;
		return;
	}
	for (unsigned i = 0; i < CORNERS + images; i++)
		take_one(c, sim, before, i);
}

static void begin_taking(struct crash *c)
{
	c->place = 0;
	c->seed = tti_sim_here->seed;
	c->left_end = &c->left;
	tti_sim_here->files.on_place = take;
	tti_sim_here->files.on_place_data = c;
}

static void end_taking(struct crash *c)
{
	take(tti_sim_here, "the end", c);
	tti_sim_here->files.on_place = NULL;
}

/* ---- recovery ---- */

static TT_TASK(recovering, (struct crash *, c))
{
	bool again = c->from->cuts < c->options->cuts;
	int rc;

	/* Entropy does not repeat: a new temporary file never meets an old one. */
	tti_rng_init(&tti_sim_here->entropy, tti_sim_here->seed ^ tti_mix64(c->from->place << 8 | c->from->cuts), 3);
	if (again)
		begin_taking(c);
	rc = c->options->recover(c->options->context);
	if (again)
		end_taking(c);
	return rc;
}

static int run_recovery(struct crash *c, struct left *l)
{
	tt_sim_options sim = {
		.seed = c->options->seed, .workers = c->options->workers, .faults = (c->faults & TT_FAULTS_GENTLE) | TT_FAULTS_NONE,
		.strategy = TT_SIM_RANDOM_WALK, .disk = l->disk,
	};
	struct tt_args_recovering_ args = { c };
	struct tti_sim_setup setup = { .name = NULL };
	char what[200];

	if (c->options->recover == NULL)
		return 0;
	snprintf(what, sizeof(what), "recovery of %s, power cut at place %llu,", c->name, (unsigned long long)l->place);
	setup.name = what;
	c->result.runs++;
	return tti_sim_run(&sim, &tt_type_recovering_, &args, c->site, &setup);
}

static void judge(struct crash *c, struct left *l)
{
	const tt_crash_options *o = c->options;
	uint32_t before = tti_test_failures();
	char files[400];
	int rc;

	tti_sim_disk_describe(l->disk, files, sizeof(files));
	if (o->context_size > 0)
		memcpy(o->context, l->context, o->context_size);
	c->from = l;
	rc = run_recovery(c, l);
	c->from = NULL;
	c->result.disks++;
	if (o->check != NULL)
		o->check(o->context, l->disk, rc);
	else if (rc < 0)
		tti_test_failed(false, c->site, "recovery of %s returns %d (%s)", c->name, rc, tt_error_name(rc));
	if (tti_test_failures() != before)
		tti_test_failed(false, c->site, "%s, seed 0x%llx: that was power cut %u, at place %llu, before \"%s\": %s; left: %s",
		                c->name, (unsigned long long)c->seed, l->cuts, (unsigned long long)l->place, l->before, l->kept, files);
}

/* Until there is none, or one failed; then the others are only freed. */
static void judge_all(struct crash *c)
{
	uint32_t before = tti_test_failures();

	while (c->left != NULL) {
		struct left *l = c->left;

		c->left = l->next;
		c->held -= l->disk->bytes;
		if (tti_test_failures() == before)
			judge(c, l);
		free_left(l);
	}
}

/* ---- the scenario ---- */

static TT_TASK(cut_short, (struct crash *, c))
{
	int rc;

	begin_taking(c);
	rc = tti_test_call(c->type, c->args, c->site);
	end_taking(c);
	return rc;
}

static void run_scenario(struct crash *c)
{
	const tt_crash_options *o = c->options;
	tt_sim_disk *disk = tti_sim_disk_copy(o->disk);
	tt_sim_options sim = {
		.seed = o->seed, .workers = o->workers, .faults = c->faults, .strategy = TT_SIM_RANDOM_WALK, .disk = disk,
	};
	struct tt_args_cut_short_ args = { c };
	struct tti_sim_setup setup = { .name = c->name };
	tt_sim_report report;
	int rc;

	c->missed = 0;
	rc = tti_sim_run(&sim, &tt_type_cut_short_, &args, c->site, &setup);
	tt_sim_report_last(&report);
	TT_REQUIRE(c->trace_hash == 0 || c->trace_hash == report.trace_hash,
	           "TT_CRASH_TORTURE at %s: the scenario is not the same twice; does it start from the same state?", c->site);
	c->trace_hash = report.trace_hash;
	c->result.places = c->place;
	c->result.runs++;
	if (rc < 0 && !o->any_code)
		tti_test_failed(false, c->site, "%s seed 0x%llx: returns %d (%s), and no power was cut yet", c->name,
		                (unsigned long long)c->seed, rc, tt_error_name(rc));
	tt_sim_disk_destroy(disk);
}

/* Each run begins with the context as it was, and leaves it as the scenario does. */
static void run_all(struct crash *c, uint32_t failures_before)
{
	size_t n = c->options->context_size;
	uint8_t *kept = n > 0 ? tti_sim_alloc(2 * n) : NULL;

	if (n > 0)
		memcpy(kept, c->options->context, n);
	for (c->first = 1; c->first != 0 && tti_test_failures() == failures_before; c->first = c->missed) {
		if (n > 0)
			memcpy(c->options->context, kept, n);
		run_scenario(c);
		if (n > 0)
			memcpy(kept + n, c->options->context, n);
		judge_all(c);
		if (n > 0)
			memcpy(c->options->context, kept + n, n);
	}
	tti_env_real.free(kept);
}

intptr_t tt_verb_crash_(void *on, const tt_task_type *type, const void *args, const char *site)
{
	static const tt_crash_options none;
	const tt_crash_ *request = on;
	struct crash c = {
		.options = request->options != NULL ? request->options : &none, .type = type, .args = args, .site = site,
	};
	uint32_t before = tti_test_failures();

	TT_REQUIRE(c.options->context == NULL || c.options->context_size > 0,
	           "TT_CRASH_TORTURE at %s: context_size says how much of the context is copied", site);
	c.name = c.options->name != NULL ? c.options->name : type->name;
	c.faults = c.options->faults != 0 ? c.options->faults : FAULTS_DEFAULT;
	run_all(&c, before);
	tti_env_real.free(c.seen);
	if (request->ret_result != NULL)
		*request->ret_result = c.result;
	return tti_test_failures() != before ? 1 : 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * explore.c - who goes on, and the search through all such choices.
 *
 * Threads are contexts on one real thread. Each stops before each atomic operation;
 * there the next thread is chosen, and then, in memory.c, what its operation sees. The
 * choices of an execution form a path; the search runs the scenario again with the last
 * choice that has an alternative changed, until none has (depth first, by replay).
 *
 * Reduction   Sleep sets (Godefroid, 1996), sharpened for a machine in which order in
 *             time is not order in memory. After all continuations that begin with a
 *             thread's operation were explored, the thread sleeps in the alternatives
 *             until something happens that gives its operation a new outcome:
 *             - a store never wakes for other accesses of its location: it may still be
 *               placed anywhere among them, and they may still read around it;
 *             - a read wakes for a store to its location, and then only reads what was
 *               stored since it fell asleep;
 *             - seq_cst operations whose order matters, and the futex's and parker's,
 *               wake each other fully.
 *             A state in which every runnable thread sleeps was explored elsewhere.
 * Spinning    tti_cpu_relax() waits until a location read since the last one holds a
 *             newer store; a round that reads the same again is not followed, because
 *             it is equal to having waited longer. A loop that keeps itself going by its
 *             own stores is followed RETRIES_MAX rounds and then cut; the count of cuts
 *             is reported.
 * Bounded     With a bound on preemptions the reduction is off: together they would
 *             lose executions that are within the bound.
 */
#include "state.h"

#include <stdio.h>
#include <string.h>

#define PATH_MAX_ 16384
#define RETRIES_MAX 3
#define STACK_SIZE (128 * 1024)
#define LOCALS_MAX 4
#define LOCAL_SIZE 64

struct choice { uint8_t n, taken; };

struct model model;

static struct choice path[PATH_MAX_];
static unsigned path_len;      /* choices made so far in this execution */
static unsigned path_known;    /* of them, given from before */
static bool by_hand;           /* replaying a string: first choices after its end */
static uint64_t random_state;
static struct tti_context outside;
static _Alignas(64) char stacks[MODEL_ACTORS][STACK_SIZE];
static bool checking;          /* actor 0 runs check(), not setup() */

static struct {
	void *p;
	size_t size;
	char saved[MODEL_ACTORS][LOCAL_SIZE];
} locals[LOCALS_MAX];
static unsigned locals_n;

/* ---- The path ---- */

static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

static uint64_t random_next(void)
{
	/* xorshift64*; Vigna, "An experimental exploration of Marsaglia's xorshift
	 * generators" (2016). */
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545f4914f6cdd1dull;
}

void model_search_begin(enum model_mode mode, uint64_t seed)
{
	model.mode = mode;
	path_known = 0;
	path_len = 0;
	by_hand = false;
	random_state = seed * 2654435761u + 88172645463325252ull;
}

unsigned model_pick(unsigned n)
{
	unsigned taken = 0;

	if (n <= 1)
		return 0;
	if (path_len == PATH_MAX_)
		model_fail("more choices than the checker has room for");
	if (n > sizeof(digits) - 1)
		model_fail("%u ways at one choice: more than a replay string can tell", n);
	if (path_len < path_known) {
		taken = path[path_len].taken;
		/* A path given by hand says only what was taken. */
		if (path[path_len].n != 0 && path[path_len].n != n)
			model_fail("the scenario is not deterministic: %u choices, %u before", n, path[path_len].n);
		if (taken >= n)
			model_fail("the replay string does not fit this program");
	} else if (model.mode == MODE_RANDOM && !by_hand) {
		taken = (unsigned)(random_next() >> 33) % n;
	}
	path[path_len++] = (struct choice){ (uint8_t)n, (uint8_t)taken };
	return taken;
}

unsigned model_choose(unsigned n)
{
	return model_pick(n);
}

bool model_backtrack(void)
{
	while (path_len > 0 && path[path_len - 1].taken + 1u >= path[path_len - 1].n)
		path_len--;
	if (path_len == 0)
		return false;
	path[path_len - 1].taken++;
	path_known = path_len;
	return true;
}

/* One character a choice, and trailing first choices left out, because a path that ends
 * goes on with first choices. */
void model_path_print(char *buf, size_t n)
{
	unsigned end = path_len;
	size_t len = 0;

	while (end > 0 && path[end - 1].taken == 0)
		end--;
	buf[len++] = "drb"[model.mode == MODE_REDUCED ? 0 : model.mode == MODE_RANDOM ? 1 : 2];
	for (unsigned i = 0; i < end && len + 1 < n; i++)
		buf[len++] = digits[path[i].taken];
	buf[len] = 0;
}

bool model_path_parse(const char *text)
{
	static const char modes[] = "drb";
	static const enum model_mode of[] = { MODE_REDUCED, MODE_RANDOM, MODE_BOUNDED };
	const char *m = text[0] != 0 ? strchr(modes, text[0]) : NULL;

	if (m == NULL)
		return false;
	model_search_begin(of[m - modes], 1);
	for (text++; *text != 0; text++) {
		const char *d = strchr(digits, *text);

		if (d == NULL || path_known == PATH_MAX_)
			return false;
		path[path_known++] = (struct choice){ 0, (uint8_t)(d - digits) };
	}
	by_hand = true;
	return true;
}

/* ---- Switching ---- */

static void locals_save(unsigned i)
{
	for (unsigned k = 0; k < locals_n; k++)
		memcpy(locals[k].saved[i], locals[k].p, locals[k].size);
}

static void locals_restore(unsigned i)
{
	for (unsigned k = 0; k < locals_n; k++)
		memcpy(locals[k].p, locals[k].saved[i], locals[k].size);
}

void model_thread_local(void *p, size_t size)
{
	if (locals_n == LOCALS_MAX || size > LOCAL_SIZE)
		model_fail("more thread-locals than the checker has room for");
	locals[locals_n].p = p;
	locals[locals_n].size = size;
	for (unsigned i = 0; i < MODEL_ACTORS; i++)
		memcpy(locals[locals_n].saved[i], p, size);
	locals_n++;
}

static void switch_to(unsigned next)
{
	unsigned from = model.current;

	if (next == from)
		return;
	locals_save(from);
	model.current = next;
	locals_restore(next);
	tti_switch(&model.actors[from].context, &model.actors[next].context);
}

void model_end(enum model_verdict v)
{
	if (model.verdict == VERDICT_NONE)
		model.verdict = v;
	locals_save(model.current);
	tti_switch(&model.actors[model.current].context, &outside);
	__builtin_unreachable();
}

/* ---- Who goes on ---- */

static bool relax_is_over(const struct model_actor *a)
{
	for (unsigned i = 0; i < a->spun_n; i++)
		if (model_newer(&a->spun[i]))
			return true;
	return false;
}

static bool is_enabled(const struct model_actor *a)
{
	switch (a->next.kind) {
	case KIND_LOAD: case KIND_STORE: case KIND_RMW: case KIND_CAS: case KIND_FENCE:
	case KIND_FUTEX_WAIT: case KIND_FUTEX_WAKE: case KIND_UNPARK:
		return true;
	case KIND_PARK:
		return a->next.parker->token;
	default:
		return false;
	}
}

static bool is_awake(const struct model_actor *a)
{
	uint16_t ids[MODEL_HISTORY];

	if (a->asleep)
		return false;
	return a->only_from == 0 || model_readable(a, &a->next, ids) > 0;
}

/* A park without a token may return anyway, but nobody may count on that. */
static bool may_be_spurious(const struct model_actor *a)
{
	return a->next.kind == KIND_PARK && !a->next.parker->token &&
	       a->spurious < model.scenario->spurious;
}

TT_NORETURN static void nobody_runnable(void)
{
	static const char *const why[] = {
		[KIND_RELAX] = "spins", [KIND_FUTEX_BLOCKED] = "waits on a futex", [KIND_PARK] = "is parked",
	};
	char text[256];
	size_t n = 0;

	text[0] = 0;
	for (unsigned i = 1; i < model.actors_n; i++) {
		enum model_kind kind = model.actors[i].next.kind;

		if (kind != KIND_DONE && n < sizeof(text))
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%sT%u %s", n > 0 ? ", " : "", i, why[kind]);
	}
	if (n == 0)
		model_end(VERDICT_DONE);
	model_fail("deadlock: %s", text);
}

/* The runnable threads that are worth running, the current one first. */
static unsigned list_candidates(unsigned *ret_list)
{
	unsigned runnable = 0, n = 0;

	for (unsigned k = 0; k < model.actors_n; k++) {
		unsigned i = (model.current + k) % model.actors_n;

		if (i == 0 || !is_enabled(&model.actors[i]))
			continue;
		runnable++;
		if (is_awake(&model.actors[i]))
			ret_list[n++] = i;
	}
	if (runnable == 0)
		nobody_runnable();
	for (unsigned i = 1; i < model.actors_n; i++)
		if (may_be_spurious(&model.actors[i]) && is_awake(&model.actors[i]))
			ret_list[n++] = i;
	if (n == 0)
		model_end(VERDICT_REDUNDANT);
	return n;
}

static unsigned choose_next(void)
{
	unsigned list[MODEL_ACTORS], n, taken;

	for (unsigned i = 1; i < model.actors_n; i++) {
		const struct model_actor *a = &model.actors[i];

		if (a->next.kind == KIND_LOCAL || (a->next.kind == KIND_RELAX && relax_is_over(a)))
			return i;
	}
	n = list_candidates(list);
	if (model.mode == MODE_BOUNDED && list[0] == model.current && model.scenario->preemptions > 0 &&
	    model.preemptions == model.scenario->preemptions)
		n = 1;
	taken = model_pick(n);
	if (list[0] == model.current && taken != 0)
		model.preemptions++;
	if (model.mode == MODE_REDUCED) {
		for (unsigned k = 0; k < taken; k++) {
			model.actors[list[k]].asleep = true;
			model.actors[list[k]].asleep_at = (uint16_t)model.stores_n;
		}
	}
	return list[taken];
}

void model_leave(void)
{
	if (model.alone)
		model_fail("setup and check may not wait");
	switch_to(choose_next());
}

void model_before(const struct model_step *s)
{
	struct model_actor *a = &model.actors[model.current];

	a->next = *s;
	if (++model.steps_n > MODEL_STEPS)
		model_fail("more than %d steps: an unbounded loop", MODEL_STEPS);
	if (!model.alone)
		model_leave();
}

static bool is_futex(enum model_kind k)
{
	return k == KIND_FUTEX_WAIT || k == KIND_FUTEX_WAKE;
}

static unsigned sc_of(const struct model_step *s)
{
	return (s->order | s->fail_order) & TTI_MODEL_SC_BIT;
}

/* Whether the order of two steps of different threads matters whatever they read. */
static bool is_ordered(const struct model_step *a, const struct model_step *b)
{
	if (a->parker != NULL && a->parker == b->parker)
		return true;
	if (is_futex(a->kind) && is_futex(b->kind) && a->loc == b->loc)
		return true;
	if (!sc_of(a) || !sc_of(b))
		return false;
	return a->kind == KIND_FENCE || b->kind == KIND_FENCE || a->loc == b->loc;
}

static bool reads(const struct model_step *s)
{
	return s->kind == KIND_LOAD || s->kind == KIND_RMW || s->kind == KIND_CAS;
}

void model_after(const struct model_step *s, bool wrote)
{
	model.actors[model.current].only_from = 0;
	if (model.mode != MODE_REDUCED)
		return;
	for (unsigned i = 1; i < model.actors_n; i++) {
		struct model_actor *a = &model.actors[i];

		if (i == model.current)
			continue;
		if (is_ordered(s, &a->next) || (wrote && a->next.kind == KIND_FUTEX_WAIT && a->next.loc == s->loc)) {
			a->asleep = false;
			a->only_from = 0;
		} else if (wrote && a->asleep && reads(&a->next) && a->next.loc == s->loc) {
			a->asleep = false;
			a->only_from = a->asleep_at;
		}
	}
}

/* ---- Spinning ---- */

static bool was_spun(const struct model_actor *a, const struct model_read *r)
{
	for (unsigned i = 0; i < a->spun_n; i++)
		if (a->spun[i].loc == r->loc && a->spun[i].store == r->store)
			return true;
	return false;
}

/* Whether the thread goes on though the others gave it nothing new: whatever is newer
 * than what it read is its own, or it could have seen it in the last round already. */
static bool feeds_itself(const struct model_actor *a)
{
	for (unsigned i = 0; i < a->reads_n; i++) {
		const struct model_location *l = &model.locations[a->reads[i].loc];

		if (was_spun(a, &a->reads[i]))
			continue;
		for (unsigned pos = model.stores[a->reads[i].store].pos + 1u; pos < l->n; pos++)
			if (model.stores[l->order[pos]].thread != model.current)
				return false;
	}
	return true;
}

static bool same_round(const struct model_actor *a)
{
	if (a->reads_n != a->spun_n)
		return false;
	for (unsigned i = 0; i < a->reads_n; i++)
		if (a->reads[i].loc != a->spun[i].loc || a->reads[i].store != a->spun[i].store)
			return false;
	return true;
}

void tti_model_relax(void)
{
	struct model_actor *a = &model.actors[model.current];
	bool newer = false;

	if (a->reads_overflow) {
		/* What was read on the way to the loop: its own round is known from here on. */
		a->reads_n = 0;
		a->reads_overflow = false;
		return;
	}
	if (model.alone || a->reads_n == 0)
		return;
	if (same_round(a))
		model_end(VERDICT_REDUNDANT);
	for (unsigned i = 0; i < a->reads_n; i++)
		newer |= model_newer(&a->reads[i]);
	if (!newer || !feeds_itself(a))
		a->retries = 0;
	else if (++a->retries > RETRIES_MAX)
		model_end(VERDICT_CUT);
	memcpy(a->spun, a->reads, sizeof(a->spun));
	a->spun_n = a->reads_n;
	a->reads_n = 0;
	a->next = (struct model_step){ .kind = KIND_RELAX, .loc = -1 };
	model_leave();
	if (a->spun_n == 1) {
		a->newer_loc = a->spun[0].loc;
		a->newer_than = a->spun[0].store;
	}
}

/* ---- One execution ---- */

static void actor_main(void *arg)
{
	unsigned i = (unsigned)(uintptr_t)arg;
	struct model_actor *a = &model.actors[i];

	if (i == 0) {
		void (*fn)(void) = checking ? model.scenario->check : model.scenario->setup;

		if (fn != NULL)
			fn();
		if (checking && !model.scenario->leaks)
			model_check_leaks();
		model_end(VERDICT_NONE);
	}
	model.scenario->threads[i - 1]();
	a->next = (struct model_step){ .kind = KIND_DONE, .loc = -1 };
	model_leave();
	__builtin_unreachable();
}

static void actor_init(unsigned i)
{
	struct model_actor *a = &model.actors[i];

	memset(a, 0, sizeof(*a));
	a->newer_loc = -1;
	a->next = (struct model_step){ .kind = KIND_LOCAL, .loc = -1 };
}

static void enter(unsigned i)
{
	tti_context_init(&model.actors[i].context, stacks[i] + STACK_SIZE, actor_main, (void *)(uintptr_t)i);
}

static void run(unsigned i)
{
	model.current = i;
	locals_restore(i);
	tti_switch(&outside, &model.actors[i].context);
}

static void reset(const struct model_scenario *s)
{
	model.scenario = s;
	model.generation++;
	model.verdict = VERDICT_NONE;
	model.steps_n = 0;
	model.preemptions = 0;
	model.outcome[0] = 0;
	path_len = 0;
	locals_n = 0;
	model_memory_reset();
	model_races_reset();
	for (model.actors_n = 1; model.actors_n < MODEL_ACTORS; model.actors_n++)
		if (s->threads[model.actors_n - 1] == NULL)
			break;
	for (unsigned i = 0; i < model.actors_n; i++) {
		actor_init(i);
		enter(i);
	}
	/* A first clock of 1 tells "never" apart. */
	model.actors[0].now.clock[0] = 1;
}

enum model_verdict model_execute(const struct model_scenario *s)
{
	reset(s);
	model.alone = true;
	checking = false;
	run(0);
	if (model.verdict != VERDICT_NONE)
		return model.verdict;
	model.alone = false;
	for (unsigned i = 1; i < model.actors_n; i++) {
		model.actors[i].now = model.actors[0].now;
		model.actors[i].now.clock[i] = 1;
	}
	if (model.actors_n > 1) {
		run(1);
		if (model.verdict != VERDICT_DONE)
			return model.verdict;
		model.verdict = VERDICT_NONE;
	}
	model.alone = true;
	checking = true;
	for (unsigned i = 1; i < model.actors_n; i++)
		model_join(&model.actors[0].now, &model.actors[i].now);
	model.actors[0].now.clock[0]++;
	enter(0);
	run(0);
	return model.verdict == VERDICT_NONE ? VERDICT_DONE : model.verdict;
}

/* SPDX-License-Identifier: MIT */
/*
 * main.c - the program around the checker: options, budgets, mutants, reports.
 *
 * Modes       by default every scenario is searched to the end, or to its budget and
 *             then at random. --seed searches at random only. --replay runs one path and
 *             prints it. --mutate weakens one order at a time and expects a failure;
 *             --together then tries the survivors all at once. --random makes so many
 *             random executions, of the scenarios that were not searched to their end;
 *             --sites lists the atomic accesses that were compiled, reached or not.
 *             tests/model/summary.py reads what all of these print.
 * Crashes     an access that faults and a loop without any step of the model (both
 *             happen in mutants) become failures of the execution: the signal handler
 *             lets the thread go on in crash_landing().
 */
#include "state.h"

#include "base/panic.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>

#define OUTCOMES_MAX 64
#define MUTANTS_MAX 512
#define DEFAULT_EXECUTIONS 3000000
#define RANDOM_AFTER_BOUND 20000
#define RANDOM_ROUND 50000
#define TRACE_MAX 150
#define PATH_TEXT 20000

extern struct tti_model_site *__start_tti_model_sites[] __attribute__((weak));
extern struct tti_model_site *__stop_tti_model_sites[] __attribute__((weak));

void (*tti_panic_hook)(void);

struct options {
	const char *scenario, *replay;
	uint64_t executions, seed, random;
	int mutant;
	bool seeded, mutate, together, verbose, list, sites;
};

struct outcomes { char text[OUTCOMES_MAX][128]; uint64_t count[OUTCOMES_MAX]; unsigned n; };

/* An execution counts when it came to its end, where check() looks at it, or failed. Those that
 * were left because an equal one is made elsewhere, and those that were cut, are told apart. */
struct tally {
	uint64_t executions, left;
};

struct result {
	uint64_t executions, redundant, cut;
	bool failed, complete;
	unsigned steps;
	char message[512];
	char path[PATH_TEXT];
};

/* One way to weaken one site; the copies of an inline function in several sources are
 * weakened together. */
struct mutant {
	const struct tti_model_site *site;
	uint8_t order;
	bool of_failure;
	char change[64];
};

static struct outcomes seen;
static volatile sig_atomic_t ticks_without_step;
static volatile unsigned long heartbeat;
static char crash_stack[64 * 1024];

/* ---- What scenarios call ---- */

static const char *short_name(const char *path)
{
	static const char *const roots[] = { "src/", "tests/", "include/" };

	for (unsigned i = 0; i < 3; i++) {
		const char *at = strstr(path, roots[i]);

		if (at != NULL)
			return at;
	}
	return path;
}

void model_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(model.failure, sizeof(model.failure), fmt, ap);
	va_end(ap);
	model_end(VERDICT_FAILED);
}

void tti_panic(const char *site, const char *fmt, ...)
{
	va_list ap;
	int n = snprintf(model.failure, sizeof(model.failure), "panic at %s: ", short_name(site));

	va_start(ap, fmt);
	vsnprintf(model.failure + n, sizeof(model.failure) - (size_t)n, fmt, ap);
	va_end(ap);
	model_end(VERDICT_FAILED);
}

unsigned model_thread(void)
{
	return model.current;
}

void model_trace(const char *file, int line, const char *fmt, ...)
{
	char where[96];
	va_list ap;

	if (!model.tracing || model.steps_n < model.trace_from)
		return;
	if (line > 0)
		snprintf(where, sizeof(where), "%s:%d", short_name(file), line);
	else
		snprintf(where, sizeof(where), "%s", file);
	printf("  %4u  T%u  %-32s ", model.steps_n, model.current, where);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

void model_note(const char *fmt, ...)
{
	char text[160];
	va_list ap;

	if (!model.tracing)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	model_trace("-", 0, "%s", text);
}

void model_outcome(const char *fmt, ...)
{
	const char *const *o = model.scenario->outcomes;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(model.outcome, sizeof(model.outcome), fmt, ap);
	va_end(ap);
	while (o != NULL && *o != NULL && strcmp(*o, model.outcome) != 0)
		o++;
	if (o != NULL && *o == NULL)
		model_fail("outcome '%s' should not be reachable", model.outcome);
}

/* ---- Crashes ---- */

static void crash_landing(void)
{
	model_fail("crash: a bad address, or a loop without end");
}

static void on_crash(int sig, siginfo_t *info, void *context)
{
	ucontext_t *u = context;

	(void)info;
	if (sig == SIGALRM) {
		static unsigned long last;

		if (last != heartbeat + model.steps_n) {
			last = heartbeat + model.steps_n;
			ticks_without_step = 0;
			return;
		}
		if (++ticks_without_step < 3)
			return;
		ticks_without_step = 0;
	}
#if defined(__x86_64__)
	u->uc_mcontext.gregs[REG_RSP] = ((u->uc_mcontext.gregs[REG_RSP] - 512) & ~15ll) - 8;
	u->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)crash_landing;
#elif defined(__aarch64__)
	u->uc_mcontext.sp = (u->uc_mcontext.sp - 512) & ~15ull;
	u->uc_mcontext.pc = (uintptr_t)crash_landing;
#else
	abort();
#endif
}

static void catch_crashes(void)
{
	stack_t alternate = { .ss_sp = crash_stack, .ss_size = sizeof(crash_stack) };
	struct sigaction act = { .sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	struct itimerval tick = { { 0, 300000 }, { 0, 300000 } };

	sigaltstack(&alternate, NULL);
	sigaction(SIGSEGV, &act, NULL);
	sigaction(SIGBUS, &act, NULL);
	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &tick, NULL);
}

/* ---- Searching one scenario ---- */

static void count_outcome(void)
{
	unsigned i;

	if (model.outcome[0] == 0)
		return;
	for (i = 0; i < seen.n; i++)
		if (strcmp(seen.text[i], model.outcome) == 0)
			break;
	if (i == OUTCOMES_MAX)
		return;
	if (i == seen.n)
		memcpy(seen.text[seen.n++], model.outcome, sizeof(model.outcome));
	seen.count[i]++;
}

/* Runs paths until one fails, none is left, or the budget is spent. */
static void search(const struct model_scenario *s, uint64_t budget, struct result *r)
{
	while (r->executions + r->redundant + r->cut < budget) {
		enum model_verdict v = model_execute(s);

		heartbeat += 1000003;
		if (v == VERDICT_FAILED) {
			r->executions++;
			r->failed = true;
			r->steps = model.steps_n;
			memcpy(r->message, model.failure, sizeof(r->message));
			model_path_print(r->path, sizeof(r->path));
			return;
		}
		if (v == VERDICT_DONE) {
			r->executions++;
			count_outcome();
		} else if (v == VERDICT_REDUNDANT) {
			r->redundant++;
		} else {
			r->cut++;
		}
		if (model.mode != MODE_RANDOM && !model_backtrack()) {
			r->complete = true;
			return;
		}
	}
}

static void explore(const struct model_scenario *s, const struct options *o, struct result *r)
{
	uint64_t budget = s->executions != 0 ? s->executions : DEFAULT_EXECUTIONS;

	memset(r, 0, sizeof(*r));
	seen.n = 0;
	memset(seen.count, 0, sizeof(seen.count));
	if (o->executions != 0)
		budget = o->executions;
	if (o->seeded) {
		model_search_begin(MODE_RANDOM, o->seed);
		search(s, budget, r);
		return;
	}
	model_search_begin(s->preemptions > 0 ? MODE_BOUNDED : MODE_REDUCED, 0);
	search(s, budget, r);
	if (!r->complete && !r->failed) {
		model_search_begin(MODE_RANDOM, o->seed);
		search(s, budget + RANDOM_AFTER_BOUND, r);
	}
}

static void print_failure(const struct model_scenario *s, const struct result *r)
{
	printf("  FAILED %s: %s\n", s->name, r->message);
	printf("  step  thread, place, operation%s\n", r->steps > TRACE_MAX ? " (the last ones)" : "");
	model_path_parse(r->path);
	model.tracing = true;
	model.trace_from = r->steps > TRACE_MAX ? r->steps - TRACE_MAX : 0;
	model_execute(s);
	model.tracing = false;
	model.trace_from = 0;
	printf("  %s\n  --scenario %s --replay %s\n", model.failure, s->name, r->path);
}

static bool has_outcome(const char *text)
{
	for (unsigned i = 0; i < seen.n; i++)
		if (strcmp(seen.text[i], text) == 0)
			return true;
	return false;
}

/* Whether a scenario did what it says; says so when it did not. */
static bool judge(const struct model_scenario *s, const struct options *o, const struct result *r)
{
	bool ok = true;

	if (s->fails != NULL) {
		if (r->failed && strstr(r->message, s->fails) != NULL)
			return true;
		printf("  FAILED %s: expected a failure '%s', got '%s'\n", s->name, s->fails,
		       r->failed ? r->message : "none");
		return false;
	}
	if (r->failed) {
		print_failure(s, r);
		return false;
	}
	if (!r->complete && !s->partial && !o->seeded && o->executions == 0) {
		printf("  FAILED %s: not explored to the end within its budget\n", s->name);
		ok = false;
	}
	for (unsigned i = 0; s->outcomes != NULL && s->outcomes[i] != NULL; i++) {
		if (has_outcome(s->outcomes[i]) || o->seeded || o->executions != 0)
			continue;
		printf("  FAILED %s: outcome '%s' was not reached\n", s->name, s->outcomes[i]);
		ok = false;
	}
	return ok;
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void add_up(struct tally *t, const struct result *r)
{
	t->executions += r->executions;
	t->left += r->redundant + r->cut;
}

static bool run_all(const struct model_harness *h, const struct options *o, struct tally *total)
{
	bool ok = true;

	for (const struct model_scenario *s = h->scenarios; s->name != NULL; s++) {
		struct result r;
		double start = seconds();
		bool good;

		if (o->scenario != NULL && strcmp(o->scenario, s->name) != 0)
			continue;
		explore(s, o, &r);
		good = judge(s, o, &r);
		ok &= good;
		add_up(total, &r);
		printf("%s %s: %llu executions, %llu redundant, %llu cut, %s, %.2f s%s%s\n",
		       good ? "ok  " : "FAIL", s->name, (unsigned long long)r.executions,
		       (unsigned long long)r.redundant, (unsigned long long)r.cut,
		       r.failed ? "stopped" : r.complete ? "complete" : "partial", seconds() - start,
		       s->fails != NULL && r.failed ? ": " : "", s->fails != NULL && r.failed ? r.message : "");
		if (o->verbose || !good)
			for (unsigned i = 0; i < seen.n; i++)
				printf("       %10llu  %s\n", (unsigned long long)seen.count[i], seen.text[i]);
	}
	return ok;
}

static bool has_partial(const struct model_harness *h)
{
	for (const struct model_scenario *s = h->scenarios; s->name != NULL; s++)
		if (s->partial && s->fails == NULL)
			return true;
	return false;
}

/* A scenario that was searched to its end has nothing to gain from chance. */
static bool gains_by_chance(const struct model_scenario *s, const struct options *o, bool partial_only)
{
	if (o->scenario != NULL && strcmp(o->scenario, s->name) != 0)
		return false;
	return s->fails == NULL && (s->partial || !partial_only);
}

/* Random executions of the scenarios in turn, each round from a seed of its own, until
 * there are as many as were asked for. */
static bool run_at_random(const struct model_harness *h, const struct options *o, struct tally *total)
{
	uint64_t round = 0;
	bool partial_only = has_partial(h);
	double began = seconds();

	while (total->executions < o->random) {
		uint64_t before = total->executions;

		round++;
		for (const struct model_scenario *s = h->scenarios; s->name != NULL && total->executions < o->random; s++) {
			struct result r = { .executions = 0 };

			if (!gains_by_chance(s, o, partial_only))
				continue;
			model_search_begin(MODE_RANDOM, o->seed + round * 1000003u);
			search(s, RANDOM_ROUND, &r);
			add_up(total, &r);
			if (!judge(s, &(struct options){ .seeded = true, .mutant = -1 }, &r))
				return false;
		}
		if (total->executions == before)
			break;
	}
	printf("ok   at random: %llu executions, %llu rounds, %.2f s\n", (unsigned long long)total->executions,
	       (unsigned long long)round, seconds() - began);
	return true;
}

/* ---- Mutants ---- */

static bool same_site(const struct tti_model_site *a, const struct tti_model_site *b)
{
	return a->line == b->line && a->op == b->op && strcmp(a->file, b->file) == 0;
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), n = strlen(end);

	return n <= len && strcmp(text + len - n, end) == 0;
}

static bool is_ours(const struct tti_model_site *s, const struct model_harness *h)
{
	for (unsigned i = 0; h->files != NULL && h->files[i] != NULL; i++)
		if (ends_with(s->file, h->files[i]))
			return true;
	if (h->files != NULL)
		return false;
	return h->mutate_own || strncmp(short_name(s->file), "src/", 4) == 0;
}

static void add_mutant(struct mutant *list, unsigned *n, const struct tti_model_site *s, unsigned order,
                       bool of_failure)
{
	struct mutant *m = &list[*n];

	if (*n == MUTANTS_MAX) {
		fprintf(stderr, "more than %d mutants: MUTANTS_MAX\n", MUTANTS_MAX);
		exit(2);
	}
	m->site = s;
	m->order = (uint8_t)order;
	m->of_failure = of_failure;
	snprintf(m->change, sizeof(m->change), "%s %s%s->%s", model_op_names[s->op],
	         of_failure ? "failure " : "",
	         model_order_name(s->op, of_failure ? s->fail_order : s->order), model_order_name(s->op, order));
	(*n)++;
}

/* One step weaker, in each direction there is. */
static void add_weaker(struct mutant *list, unsigned *n, const struct tti_model_site *s, unsigned order,
                       bool of_failure)
{
	if (order & TTI_MODEL_SC_BIT) {
		add_mutant(list, n, s, order & ~(unsigned)TTI_MODEL_SC_BIT, of_failure);
		return;
	}
	if (order & TTI_MODEL_RELEASE)
		add_mutant(list, n, s, order & ~(unsigned)TTI_MODEL_RELEASE, of_failure);
	if (order & TTI_MODEL_ACQUIRE)
		add_mutant(list, n, s, order & ~(unsigned)TTI_MODEL_ACQUIRE, of_failure);
}

/* The copies of an inline function in several sources are one site. */
static bool is_first_copy(struct tti_model_site *const *p)
{
	for (struct tti_model_site **q = __start_tti_model_sites; q < p; q++)
		if (same_site(*q, *p))
			return false;
	return true;
}

static bool is_reached(const struct tti_model_site *s)
{
	for (struct tti_model_site **q = __start_tti_model_sites; q < __stop_tti_model_sites; q++)
		if (same_site(s, *q) && (*q)->reached)
			return true;
	return false;
}

static void list_sites(void)
{
	for (struct tti_model_site **p = __start_tti_model_sites; p < __stop_tti_model_sites; p++) {
		const struct tti_model_site *s = *p;

		if (is_first_copy(p) && strncmp(short_name(s->file), "src/", 4) == 0)
			printf("site %s:%d %s() %s %s %s\n", short_name(s->file), s->line, s->func, model_op_names[s->op],
			       model_order_name(s->op, s->order), is_reached(s) ? "reached" : "unreached");
	}
}

static unsigned list_mutants(const struct model_harness *h, struct mutant *list, unsigned *ret_unreached)
{
	unsigned n = 0;

	*ret_unreached = 0;
	for (struct tti_model_site **p = __start_tti_model_sites; p < __stop_tti_model_sites; p++) {
		if (!is_first_copy(p) || !is_ours(*p, h))
			continue;
		if (!is_reached(*p)) {
			printf("  unreached %s:%d %s() %s\n", short_name((*p)->file), (*p)->line, (*p)->func,
			       model_op_names[(*p)->op]);
			(*ret_unreached)++;
			continue;
		}
		add_weaker(list, &n, *p, (*p)->order, false);
		if ((*p)->op == TTI_MODEL_CAS)
			add_weaker(list, &n, *p, (*p)->fail_order, true);
	}
	return n;
}

static void set_mutant(const struct mutant *m, bool on)
{
	for (struct tti_model_site **p = __start_tti_model_sites; p < __stop_tti_model_sites; p++) {
		if (!same_site(*p, m->site))
			continue;
		if (m->of_failure)
			(*p)->fail_now = on ? m->order : (*p)->fail_order;
		else
			(*p)->now = on ? m->order : (*p)->order;
	}
}

/* On top of the weakenings in force. */
static void weaken_further(const struct mutant *m)
{
	for (struct tti_model_site **p = __start_tti_model_sites; p < __stop_tti_model_sites; p++) {
		if (!same_site(*p, m->site))
			continue;
		if (m->of_failure)
			(*p)->fail_now &= m->order;
		else
			(*p)->now &= m->order;
	}
}

static const struct model_scenario *catch_mutant(const struct model_harness *h, const struct options *o,
                                                 struct result *r, struct tally *total)
{
	for (const struct model_scenario *s = h->scenarios; s->name != NULL; s++) {
		if (s->fails != NULL || (o->scenario != NULL && strcmp(o->scenario, s->name) != 0))
			continue;
		explore(s, o, r);
		add_up(total, r);
		if (r->failed)
			return s;
	}
	return NULL;
}

static bool is_about(const struct model_survivor *v, const struct mutant *m)
{
	return ends_with(m->site->file, v->file) &&
	       strcmp(v->func, m->site->func) == 0 && strcmp(v->change, m->change) == 0;
}

static const struct model_survivor *allowed(const struct model_harness *h, const struct mutant *m)
{
	for (const struct model_survivor *v = h->survivors; v != NULL && v->file != NULL; v++)
		if (is_about(v, m))
			return v;
	return NULL;
}

/* An entry of the list that allowed nothing: wrong when its mutants were caught, and out
 * of date, but harmless, when the code no longer has such a site. */
static bool is_harmless(const struct model_survivor *v, const struct mutant *list, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (!is_about(v, &list[i]))
			continue;
		printf("FAIL %s %s() %s is caught: remove it from the survivors\n", v->file, v->func, v->change);
		return false;
	}
	printf("note: %s has no %s() %s any more: remove it from the survivors\n", v->file, v->func, v->change);
	return true;
}

static bool try_mutant(const struct model_harness *h, const struct options *o, const struct mutant *m,
                       unsigned number, bool *ret_caught, bool *allowances, struct tally *total)
{
	const struct model_survivor *v = allowed(h, m);
	const struct model_scenario *s;
	struct result r;

	set_mutant(m, true);
	s = catch_mutant(h, o, &r, total);
	printf("%s %u %s:%d %s() %s", s != NULL ? "caught  " : v != NULL ? "allowed " : "SURVIVED", number,
	       short_name(m->site->file), m->site->line, m->site->func, m->change);
	if (s != NULL)
		printf(": %s, execution %llu: %s\n", s->name,
		       (unsigned long long)(r.executions + r.redundant + r.cut), r.message);
	else
		printf("%s%s\n", v != NULL ? ": " : "", v != NULL ? v->reason : "");
	if (s != NULL && o->mutant >= 0)
		print_failure(s, &r);
	set_mutant(m, false);
	if (s == NULL && v != NULL)
		allowances[v - h->survivors] = true;
	*ret_caught = s != NULL;
	return s != NULL || v != NULL;
}

/* Survivors one by one may still cover for each other: all of them at once. */
static void try_together(const struct model_harness *h, const struct options *o, const struct mutant *list,
                         unsigned n, const bool *survived, struct tally *total)
{
	const struct model_scenario *s;
	struct result r;

	for (unsigned i = 0; i < n; i++)
		if (survived[i])
			weaken_further(&list[i]);
	s = catch_mutant(h, o, &r, total);
	for (unsigned i = 0; i < n; i++)
		set_mutant(&list[i], false);
	if (s == NULL)
		printf("together: no scenario fails with all survivors weakened at once\n");
	else
		printf("together: caught by %s, execution %llu: %s\n", s->name,
		       (unsigned long long)(r.executions + r.redundant + r.cut), r.message);
}

static bool mutate(const struct model_harness *h, const struct options *o, struct tally *total)
{
	static struct mutant list[MUTANTS_MAX];
	bool allowances[MUTANTS_MAX] = { false }, caught[MUTANTS_MAX] = { false }, alive[MUTANTS_MAX] = { false };
	bool ok = true;
	unsigned unreached, n = list_mutants(h, list, &unreached), survived = 0, caught_n = 0;

	for (unsigned i = 0; i < n; i++) {
		if (o->mutant >= 0 && (unsigned)o->mutant != i)
			continue;
		if (!try_mutant(h, o, &list[i], i, &caught[i], allowances, total))
			survived++;
		alive[i] = !caught[i];
	}
	if (o->together)
		try_together(h, o, list, n, alive, total);
	ok = survived == 0;
	for (unsigned i = 0; i < n; i++)
		caught_n += caught[i];
	for (unsigned i = 0; h->survivors != NULL && h->survivors[i].file != NULL; i++)
		if (!allowances[i] && o->mutant < 0)
			ok &= is_harmless(&h->survivors[i], list, n);
	printf("mutants %u, caught %u, survived without a reason %u, sites not reached here %u\n", n, caught_n,
	       survived, unreached);
	return ok;
}

/* ---- The command line ---- */

static int usage(const char *name)
{
	fprintf(stderr,
	        "usage: %s [--scenario NAME] [--executions N] [--seed S] [--replay PATH]\n"
	        "       [--mutate] [--together] [--mutant N] [--random N] [--sites] [--list] [--verbose]\n", name);
	return 2;
}

static bool parse(int argc, char **argv, struct options *o)
{
	for (int i = 1; i < argc; i++) {
		const char *a = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (strcmp(a, "--mutate") == 0)
			o->mutate = true;
		else if (strcmp(a, "--together") == 0)
			o->mutate = o->together = true;
		else if (strcmp(a, "--verbose") == 0)
			o->verbose = true;
		else if (strcmp(a, "--list") == 0)
			o->list = true;
		else if (strcmp(a, "--sites") == 0)
			o->sites = true;
		else if (value == NULL)
			return false;
		else if (i++, strcmp(a, "--scenario") == 0)
			o->scenario = value;
		else if (strcmp(a, "--replay") == 0)
			o->replay = value;
		else if (strcmp(a, "--executions") == 0)
			o->executions = strtoull(value, NULL, 0);
		else if (strcmp(a, "--random") == 0)
			o->random = strtoull(value, NULL, 0);
		else if (strcmp(a, "--mutant") == 0)
			o->mutant = atoi(value);
		else if (strcmp(a, "--seed") == 0)
			o->seed = strtoull(value, NULL, 0), o->seeded = true;
		else
			return false;
	}
	return true;
}

static int replay(const struct model_harness *h, const struct options *o)
{
	const struct model_scenario *s = h->scenarios;

	while (s->name != NULL && o->scenario != NULL && strcmp(o->scenario, s->name) != 0)
		s++;
	if (s->name == NULL || !model_path_parse(o->replay))
		return 2;
	model.tracing = true;
	if (model_execute(s) != VERDICT_FAILED) {
		printf("  no failure; outcome '%s'\n", model.outcome);
		return 0;
	}
	printf("  %s\n", model.failure);
	return 1;
}

static bool has_scenario(const struct model_harness *h, const char *name)
{
	for (const struct model_scenario *s = h->scenarios; s->name != NULL; s++)
		if (strcmp(s->name, name) == 0)
			return true;
	return false;
}

int model_main(int argc, char **argv, const struct model_harness *h)
{
	struct options o = { .mutant = -1, .seed = 1 };
	double start = seconds();
	struct tally total = { 0 }, mutants = { 0 };
	double spent;
	bool ok = true;

	if (!parse(argc, argv, &o))
		return usage(argv[0]);
	for (const struct model_scenario *s = h->scenarios; o.list && s->name != NULL; s++)
		printf("%s: %s\n", s->name, s->claim);
	if (o.list)
		return 0;
	if (o.scenario != NULL && !has_scenario(h, o.scenario)) {
		fprintf(stderr, "%s: no scenario %s\n", argv[0], o.scenario);
		return 2;
	}
	catch_crashes();
	if (o.replay != NULL)
		return replay(h, &o);
	ok = o.random > 0 ? run_at_random(h, &o, &total) : run_all(h, &o, &total);
	spent = seconds() - start;
	if (o.sites)
		list_sites();
	if (ok && (o.mutate || o.mutant >= 0 || (h->mutate_always && o.random == 0)))
		ok = mutate(h, &o, &mutants);
	printf("%s: executions %llu, left %llu, %.0f/s, of mutants %llu, %s\n", h->name,
	       (unsigned long long)total.executions, (unsigned long long)total.left, (double)total.executions / spent,
	       (unsigned long long)mutants.executions, ok ? "ok" : "FAILED");
	return ok ? 0 : 1;
}

/* SPDX-License-Identifier: MIT */
/*
 * reduction_test.c - the reduced search loses nothing: random small programs reach the
 * same set of outcomes with it and without.
 *
 * A program is two or three threads of two or three random operations of random orders
 * on two locations (and a futex word now and then); its outcome is every value read and
 * the final values. The full search without reduction is the reference.
 */
/* model-sources: src/arch/x86_64/switch.S src/arch/aarch64/switch.S */
#include "state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS 3
#define OPS 3
#define LOCATIONS 2
#define SET 8192

struct op { uint8_t kind, loc, order, fail; uint32_t value, expected; };
enum { LOAD, STORE, ADD, EXCHANGE, CAS, FENCE, KINDS };

struct set { uint64_t keys[SET]; unsigned n; };

static struct op program[THREADS][OPS];
static unsigned threads_n, ops_n[THREADS];
static tti_atomic_u32 location[LOCATIONS];
static uint32_t seen[THREADS][OPS];
static uint64_t rng;

static unsigned rnd(unsigned n)
{
	rng = rng * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(rng >> 33) % n;
}

static uint32_t perform(const struct op *op)
{
	struct tti_model_site site = { .file = "program", .func = "perform", .line = 1,
		.order = op->order, .now = op->order, .fail_order = op->fail, .fail_now = op->fail };
	tti_atomic_u32 *a = &location[op->loc];
	uint32_t expected = op->expected;

	switch (op->kind) {
	case LOAD:
		site.op = TTI_MODEL_LOAD;
		return (uint32_t)tti_model_load(&a->v, 4, &site);
	case STORE:
		site.op = TTI_MODEL_STORE;
		tti_model_store(&a->v, 4, op->value, &site);
		return 0;
	case ADD:
		site.op = TTI_MODEL_ADD;
		return (uint32_t)tti_model_rmw(&a->v, 4, op->value, &site);
	case EXCHANGE:
		site.op = TTI_MODEL_EXCHANGE;
		return (uint32_t)tti_model_rmw(&a->v, 4, op->value, &site);
	case CAS:
		site.op = TTI_MODEL_CAS;
		return (uint32_t)tti_model_cas(&a->v, 4, &expected, op->value, &site) + 100 * expected;
	default:
		site.op = TTI_MODEL_FENCE;
		tti_model_fence(&site);
		return 0;
	}
}

static void run_thread(unsigned t)
{
	for (unsigned i = 0; i < ops_n[t]; i++)
		seen[t][i] = perform(&program[t][i]);
}

static void thread_1(void) { run_thread(0); }
static void thread_2(void) { run_thread(1); }
static void thread_3(void) { run_thread(2); }

static void setup(void)
{
	memset(seen, 0, sizeof(seen));
	/* relaxed: setup runs alone. */
	for (unsigned i = 0; i < LOCATIONS; i++)
		tti_store_relaxed(&location[i], 0);
}

static void random_program(void)
{
	static const uint8_t orders[KINDS][4] = {
		[LOAD] = { 0, TTI_MODEL_ACQUIRE, TTI_MODEL_SC_LOAD, 0 },
		[STORE] = { 0, TTI_MODEL_RELEASE, TTI_MODEL_SC_STORE, 0 },
		[ADD] = { 0, TTI_MODEL_ACQUIRE, TTI_MODEL_ACQ_REL, TTI_MODEL_SEQ_CST },
		[EXCHANGE] = { TTI_MODEL_RELEASE, TTI_MODEL_ACQUIRE, TTI_MODEL_ACQ_REL, TTI_MODEL_SEQ_CST },
		[CAS] = { 0, TTI_MODEL_RELEASE, TTI_MODEL_ACQ_REL, TTI_MODEL_SEQ_CST },
		[FENCE] = { TTI_MODEL_SEQ_CST, TTI_MODEL_SEQ_CST, TTI_MODEL_ACQ_REL, TTI_MODEL_SEQ_CST },
	};
	static const uint8_t fails[] = { 0, TTI_MODEL_ACQUIRE, TTI_MODEL_SC_LOAD };

	threads_n = 2 + rnd(2);
	for (unsigned t = 0; t < threads_n; t++) {
		ops_n[t] = threads_n == 2 ? OPS : 1 + rnd(OPS - (t == 0));
		for (unsigned i = 0; i < ops_n[t]; i++) {
			struct op *op = &program[t][i];
			unsigned dice = rnd(10);

			op->kind = (uint8_t)(dice < 4 ? LOAD : dice < 7 ? STORE : dice == 7 ? ADD + rnd(2) : dice == 8 ? CAS : FENCE);
			op->loc = (uint8_t)rnd(LOCATIONS);
			op->order = orders[op->kind][rnd(4)];
			op->fail = fails[rnd(3)];
			op->value = 1 + t * OPS + i;
			op->expected = rnd(3);
		}
	}
}

static uint64_t outcome_key(void)
{
	uint64_t h = 14695981039346656037ull;

	for (unsigned t = 0; t < threads_n; t++)
		for (unsigned i = 0; i < ops_n[t]; i++)
			h = (h ^ seen[t][i]) * 1099511628211ull;
	/* The memory itself holds the end of each modification order. */
	for (unsigned i = 0; i < LOCATIONS; i++)
		h = (h ^ location[i].v) * 1099511628211ull;
	return h | 1;
}

static void set_add(struct set *s, uint64_t key)
{
	unsigned i = (unsigned)(key >> 7) & (SET - 1);

	while (s->keys[i] != 0) {
		if (s->keys[i] == key)
			return;
		i = (i + 1) & (SET - 1);
	}
	s->keys[i] = key;
	s->n++;
}

static bool same_set(const struct set *a, const struct set *b)
{
	static struct set both;

	both = *a;
	for (unsigned i = 0; i < SET; i++)
		if (b->keys[i] != 0)
			set_add(&both, b->keys[i]);
	return a->n == b->n && both.n == a->n;
}

static bool search_into(const struct model_scenario *s, enum model_mode mode, struct set *set, uint64_t *count)
{
	memset(set, 0, sizeof(*set));
	model_search_begin(mode, 0);
	do {
		enum model_verdict v = model_execute(s);

		if (v == VERDICT_FAILED) {
			printf("FAILED %s\n", model.failure);
			return false;
		}
		if (v == VERDICT_DONE)
			set_add(set, outcome_key());
		++*count;
	} while (model_backtrack() && set->n < SET / 2);
	return true;
}

static void print_program(void)
{
	static const char *const names[] = { "load", "store", "add", "exchange", "cas", "fence" };

	for (unsigned t = 0; t < threads_n; t++)
		for (unsigned i = 0; i < ops_n[t]; i++)
			printf("  T%u %s %c order %u fail %u value %u expected %u\n", t + 1, names[program[t][i].kind],
			       "xy"[program[t][i].loc], program[t][i].order, program[t][i].fail,
			       program[t][i].value, program[t][i].expected);
}

int main(int argc, char **argv)
{
	static const struct model_scenario two = { .name = "random", .setup = setup, .threads = { thread_1, thread_2 } };
	static const struct model_scenario three = { .name = "random", .setup = setup,
		.threads = { thread_1, thread_2, thread_3 } };
	static struct set full, reduced;
	uint64_t programs = 300, seed = 1, full_n = 0, reduced_n = 0, outcomes = 0;

	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--executions") == 0)
			programs = strtoull(argv[i + 1], NULL, 0);
		else if (strcmp(argv[i], "--seed") == 0)
			seed = strtoull(argv[i + 1], NULL, 0);
	}
	rng = seed;
	for (uint64_t k = 0; k < programs; k++) {
		const struct model_scenario *s;

		random_program();
		s = threads_n == 2 ? &two : &three;
		if (!search_into(s, MODE_BOUNDED, &full, &full_n) ||
		    !search_into(s, MODE_REDUCED, &reduced, &reduced_n))
			return 1;
		outcomes += full.n;
		if (same_set(&full, &reduced))
			continue;
		printf("FAILED program %llu: %u outcomes in full, %u reduced\n", (unsigned long long)k, full.n, reduced.n);
		print_program();
		return 1;
	}
	printf("reduction: %llu programs, %llu outcomes alike; executions %llu in full, %llu reduced\n",
	       (unsigned long long)programs, (unsigned long long)outcomes, (unsigned long long)full_n,
	       (unsigned long long)reduced_n);
	return 0;
}

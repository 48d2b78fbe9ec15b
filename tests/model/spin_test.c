/* SPDX-License-Identifier: MIT */
/*
 * spin_test.c - base/spin.h under the model: exclusion, hand-over of plain data, and the
 * per-thread count behind law 8.
 */
/* model-sources: src/base/spin.c src/arch/x86_64/switch.S src/arch/aarch64/switch.S */
#include "model.h"

#include "base/spin.h"

/* The count behind law 8 is kept where assertions are on. */
#ifdef TT_NO_ASSERT
#define COUNTS_HELD 0
#else
#define COUNTS_HELD 1
#endif

static tti_spin lock, other;
static int counter, pair[2];

static void setup(void)
{
	tti_spin_init(&lock);
	tti_spin_init(&other);
	counter = 0;
	pair[0] = pair[1] = 0;
	tti_spin_held = 0;
	model_thread_local(&tti_spin_held, sizeof(tti_spin_held));
}

static void count(void)
{
	tti_spin_lock(&lock);
	model_plain_write(counter, model_plain_read(counter) + 1);
	tti_spin_unlock(&lock);
	tti_spin_assert_none_held();
}

static void count_twice(void)
{
	count();
	count();
}

static void check_two(void) { MODEL_ASSERT(counter == 2); }
static void check_three(void) { MODEL_ASSERT(counter == 3); }
static void check_four(void) { MODEL_ASSERT(counter == 4); }

/* One takes the locks nested, the other one after the other. */
static void nested(void)
{
	tti_spin_lock(&lock);
	tti_spin_lock(&other);
	MODEL_ASSERT(tti_spin_held == 2 || !COUNTS_HELD);
	model_plain_write(pair[0], 1);
	model_plain_write(pair[1], 1);
	tti_spin_unlock(&other);
	tti_spin_unlock(&lock);
}

static void in_turn(void)
{
	int first, second;

	tti_spin_lock(&other);
	MODEL_ASSERT(tti_spin_held == 1 || !COUNTS_HELD);
	second = model_plain_read(pair[1]);
	tti_spin_unlock(&other);
	tti_spin_lock(&lock);
	first = model_plain_read(pair[0]);
	tti_spin_unlock(&lock);
	MODEL_ASSERT(first == 1 || second == 0);
}

static const struct model_scenario scenarios[] = {
	{ .name = "two", .claim = "Two threads exclude each other.", .setup = setup,
	  .threads = { count, count }, .check = check_two },
	{ .name = "three", .claim = "So do three.", .setup = setup,
	  .threads = { count, count, count }, .check = check_three },
	{ .name = "twice", .claim = "A lock taken again sees what happened in between.", .setup = setup,
	  .threads = { count_twice, count_twice }, .check = check_four },
	{ .name = "nested", .claim = "Two locks, nested and in turn, and each thread's own count.", .setup = setup,
	  .threads = { nested, in_turn } },
	{ .name = NULL },
};

int main(int argc, char **argv)
{
	static const struct model_harness h = { .name = "spin", .scenarios = scenarios, .mutate_always = true };

	return model_main(argc, argv, &h);
}

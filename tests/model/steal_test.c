/* SPDX-License-Identifier: MIT */
/*
 * steal_test.c - sched/steal_ring.h under the model: whatever its owner and the thieves do at
 * the same time, each item is taken once, by one of them, with what was written before it was
 * pushed; and no slot is written while a thief still reads it.
 *
 * The ring has four slots here, so that a few items go round it.
 */
/* model-sources: src/arch/x86_64/switch.S src/arch/aarch64/switch.S */
#include "model.h"

#include <string.h>

#define TTI_STEAL_RING_SLOTS 4u
#include "sched/steal_ring.h"

#define ITEMS 8
#define RINGS 3

struct item { unsigned number, taken; };

static struct tti_steal_ring rings[RINGS];
static struct item items[ITEMS];
static unsigned made;                /* items that were pushed into any ring */
static unsigned order_from;          /* what the owner of ring 0 popped last, plus one */

static void take(void *p)
{
	struct item *i = p;

	MODEL_ASSERT(model_plain_read(i->number) == (unsigned)(i - items));
	model_plain_write(i->taken, model_plain_read(i->taken) + 1);
}

static bool push_one(void)
{
	struct item *i = &items[made];

	model_plain_write(i->number, made);
	if (!tti_steal_ring_push(&rings[0], i))
		return false;
	made++;
	return true;
}

static bool pop_one(struct tti_steal_ring *r)
{
	void *p = tti_steal_ring_pop(r);

	if (p == NULL)
		return false;
	if (r == &rings[0]) {
		unsigned number = (unsigned)((struct item *)p - items);

		MODEL_ASSERT(number >= order_from);
		order_from = number + 1;
	}
	take(p);
	return true;
}

static void pop_all(struct tti_steal_ring *r)
{
	while (pop_one(r))
		;
}

static void setup_with(unsigned first)
{
	static const char *const heads[] = { "head 0", "head 1", "head 2" };
	static const char *const tails[] = { "tail 0", "tail 1", "tail 2" };

	memset(items, 0, sizeof(items));
	made = order_from = 0;
	for (unsigned i = 0; i < RINGS; i++) {
		tti_steal_ring_init(&rings[i]);
		model_name(&rings[i].head, heads[i]);
		model_name(&rings[i].tail, tails[i]);
	}
	for (unsigned i = 0; i < first; i++)
		MODEL_ASSERT(push_one());
}

static void setup_0(void) { setup_with(0); }
static void setup_1(void) { setup_with(1); }
static void setup_3(void) { setup_with(3); }
static void setup_4(void) { setup_with(4); }

/* Near the end of the counters. */
static void setup_wrap(void)
{
	setup_with(0);
	/* relaxed: setup runs alone. */
	tti_store_relaxed(&rings[0].head, tti_steal_pack(UINT32_MAX, UINT32_MAX));
	/* relaxed: as above. */
	tti_store_relaxed(&rings[0].tail, UINT32_MAX);
	MODEL_ASSERT(push_one() && push_one());
}

/* ---- Threads ---- */

static void owner_pushes_and_pops(void)
{
	MODEL_ASSERT(push_one());
	pop_one(&rings[0]);
	MODEL_ASSERT(push_one());
	pop_all(&rings[0]);
}

static void owner_pops(void) { pop_all(&rings[0]); }
static void owner_pops_one(void) { pop_one(&rings[0]); }

/* What does not fit stays with the owner. */
static void owner_pushes_two(void)
{
	TT_IGNORE(push_one());
	TT_IGNORE(push_one());
}

static void owner_laps(void)
{
	for (unsigned i = 0; i < 2; i++) {
		pop_one(&rings[0]);
		TT_IGNORE(push_one());
	}
}

static void steal_into(struct tti_steal_ring *to, struct tti_steal_ring *from)
{
	void *p = tti_steal_ring_steal(from, to);

	if (p != NULL)
		take(p);
}

static void thief_1(void)
{
	steal_into(&rings[1], &rings[0]);
	pop_all(&rings[1]);
}

static void thief_2(void)
{
	steal_into(&rings[2], &rings[0]);
	pop_all(&rings[2]);
}

static void thief_1_keeps(void) { steal_into(&rings[1], &rings[0]); }

static void thief_2_of_1(void)
{
	steal_into(&rings[2], &rings[1]);
	pop_all(&rings[2]);
}

/* Goes round its own ring, from which another one steals meanwhile. */
static void thief_1_laps(void)
{
	for (unsigned i = 0; i < 3; i++) {
		steal_into(&rings[1], &rings[0]);
		pop_one(&rings[1]);
	}
}

/* Ring 1 is nearly full, of items that were never in ring 0. */
static void setup_both(void)
{
	setup_with(4);
	for (unsigned i = 0; i < 3; i++, made++) {
		model_plain_write(items[made].number, made);
		MODEL_ASSERT(tti_steal_ring_push(&rings[1], &items[made]));
	}
}

static void check(void)
{
	order_from = 0;
	for (unsigned i = 0; i < RINGS; i++)
		pop_all(&rings[i]);
	for (unsigned i = 0; i < ITEMS; i++)
		MODEL_ASSERT(items[i].taken == (i < made ? 1 : 0));
	for (unsigned i = 0; i < RINGS; i++)
		MODEL_ASSERT(tti_steal_ring_len(&rings[i]) == 0);
}

static const struct model_scenario scenarios[] = {
	{ .name = "push_pop_steal", .claim = "An item is the owner's or a thief's, with what was written before.",
	  .setup = setup_0, .threads = { owner_pushes_and_pops, thief_1 }, .check = check },
	{ .name = "pop_and_steal", .claim = "The owner takes while a thief copies.", .setup = setup_4,
	  .threads = { owner_pops, thief_1 }, .check = check },
	{ .name = "last_item", .claim = "Of three who want the last item one gets it.", .setup = setup_1,
	  .threads = { owner_pops_one, thief_1, thief_2 }, .check = check },
	{ .name = "two_thieves", .claim = "Thieves take turns, or find nothing.", .setup = setup_3,
	  .threads = { owner_pops_one, thief_1, thief_2 }, .check = check },
	{ .name = "laps", .claim = "A slot is written again only after its thief has read it.", .setup = setup_4,
	  .threads = { owner_laps, thief_1 }, .check = check },
	{ .name = "wrap", .claim = "So when the counters begin again.", .setup = setup_wrap,
	  .threads = { owner_pushes_and_pops, thief_1 }, .check = check },
	{ .name = "stolen_from_thief", .claim = "What a thief keeps may be stolen from it, whole.", .setup = setup_4,
	  .threads = { owner_pushes_two, thief_1_keeps, thief_2_of_1 }, .check = check },
	{ .name = "thief_laps", .claim = "A thief goes round its own ring while another one steals there.",
	  .setup = setup_both, .threads = { owner_pops_one, thief_1_laps, thief_2_of_1 }, .check = check,
	  .executions = 200000, .partial = true },
	{ .name = NULL },
};

int main(int argc, char **argv)
{
	static const char *const files[] = { "src/sched/steal_ring.h", NULL };
	static const struct model_harness h = { .name = "steal", .scenarios = scenarios, .files = files };

	return model_main(argc, argv, &h);
}

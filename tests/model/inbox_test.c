/* SPDX-License-Identifier: MIT */
/*
 * inbox_test.c - base/inbox.h under the model: nothing lost, nothing twice, one sender's
 * order kept, and law 9: no message waits while its owner sleeps and nobody wakes it.
 *
 * The owner here sleeps on a token, as a worker does on its driver's eventfd. A message
 * lost to a sleeping owner is a deadlock, which the checker reports.
 */
/* model-sources: src/arch/x86_64/switch.S src/arch/aarch64/switch.S */
#include "model.h"

#include "base/inbox.h"

#define SENDERS 3

struct message {
	struct tti_inbox_node node;
	unsigned sender, number;
};

static struct tti_inbox inbox;
static struct model_parker eventfd;
static unsigned expected;                 /* messages the owner waits for */
static unsigned received, sleeps;         /* owner only */
static unsigned last_of[SENDERS + 1];
static tti_atomic_u32 wakes;

static void setup_for(unsigned messages)
{
	tti_inbox_init(&inbox);
	model_name(&inbox.newest, "newest");
	eventfd.token = false;
	expected = messages;
	received = sleeps = 0;
	for (unsigned i = 0; i <= SENDERS; i++)
		last_of[i] = 0;
	/* relaxed: setup runs alone. */
	tti_store_relaxed(&wakes, 0);
}

static void setup_1(void) { setup_for(1); }
static void setup_2(void) { setup_for(2); }
static void setup_3(void) { setup_for(3); }

static void post(unsigned sender, unsigned number)
{
	struct message *m = model_alloc(sizeof(*m));

	model_plain_write(m->sender, sender);
	model_plain_write(m->number, number);
	if (!tti_inbox_post(&inbox, &m->node))
		return;
	/* relaxed: read by check() only. */
	(void)tti_fetch_add_relaxed(&wakes, 1);
	model_unpark(&eventfd);
}

static void send_one_1(void) { post(1, 1); }
static void send_one_2(void) { post(2, 1); }
static void send_one_3(void) { post(3, 1); }

static void send_two(void)
{
	post(1, 1);
	post(1, 2);
}

static void handle(struct message *m)
{
	unsigned sender = model_plain_read(m->sender);
	unsigned number = model_plain_read(m->number);

	MODEL_ASSERT(number == last_of[sender] + 1);
	last_of[sender] = number;
	received++;
	/* The handler may give the memory back: nobody may still look at it. */
	model_free(m);
}

static void take_all(void)
{
	struct tti_inbox_node *n = tti_inbox_take(&inbox);

	while (n != NULL) {
		struct tti_inbox_node *next = n->next;

		handle((struct message *)(void *)n);
		n = next;
	}
}

static void owner(void)
{
	for (;;) {
		take_all();
		if (received == expected)
			return;
		if (!tti_inbox_sleep(&inbox))
			continue;
		sleeps++;
		model_park(&eventfd);
		tti_inbox_awake(&inbox);
	}
}

/* A timer ends the owner's sleep as well, whether or not a message came. */
static void owner_with_timer(void)
{
	bool timer_due = true;

	for (;;) {
		take_all();
		if (received == expected)
			return;
		if (!tti_inbox_sleep(&inbox))
			continue;
		sleeps++;
		if (timer_due)
			timer_due = false;
		else
			model_park(&eventfd);
		tti_inbox_awake(&inbox);
	}
}

static void check(void)
{
	MODEL_ASSERT(received == expected);
	MODEL_ASSERT(tti_inbox_take(&inbox) == NULL);
	/* Each sleep is ended by one sender at most. */
	MODEL_ASSERT(wakes.v <= sleeps);
}

static const struct model_scenario scenarios[] = {
	{ .name = "one", .claim = "One message reaches an owner that may be falling asleep.", .setup = setup_1,
	  .threads = { owner, send_one_1 }, .check = check },
	{ .name = "two_in_order", .claim = "One sender's messages arrive in the order they were posted.",
	  .setup = setup_2, .threads = { owner, send_two }, .check = check },
	{ .name = "two_senders", .claim = "Two senders: nothing lost or doubled, one wake for each sleep at most.",
	  .setup = setup_2, .threads = { owner, send_one_1, send_one_2 }, .check = check },
	{ .name = "mixed", .claim = "Two messages of one sender beside one of another.", .setup = setup_3,
	  .threads = { owner, send_two, send_one_2 }, .check = check },
	{ .name = "three_senders", .claim = "Three senders at once.", .setup = setup_3,
	  .threads = { owner, send_one_1, send_one_2, send_one_3 }, .check = check },
	{ .name = "spurious", .claim = "The owner's sleep may end for no reason.", .setup = setup_2,
	  .threads = { owner, send_one_1, send_one_2 }, .check = check, .spurious = 1 },
	{ .name = "timer", .claim = "A timer that ends the sleep loses no message.", .setup = setup_2,
	  .threads = { owner_with_timer, send_one_1, send_one_2 }, .check = check },
	{ .name = NULL },
};

int main(int argc, char **argv)
{
	static const struct model_harness h = { .name = "inbox", .scenarios = scenarios, .mutate_always = true };

	return model_main(argc, argv, &h);
}

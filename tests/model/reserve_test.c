/* SPDX-License-Identifier: MIT */
/*
 * reserve_test.c - slots of a channel under the model: room that is reserved on one worker
 * while another closes, cancels, receives or waits for the same room.
 *
 * Each thread is a worker with one task (workers.h). What was sent into a slot is received
 * or found in the ring; room comes back exactly once; a wait that nobody ends is a
 * deadlock, which the checker reports.
 */
/* model-sources: src/sync/channel.c src/sync/select.c src/sched/interval.c src/sched/sleep.c @scope */
#include "workers.h"

#include <tutti/channel.h>
#include <tutti/select.h>

#define ITEM 7

static tt_chan X;
static tt_slot held;                 /* a slot taken before the threads start */
static int ended[WORKERS];           /* what each task's call returned */
static int item[WORKERS];            /* received, else 0 */
static struct tti_msg cancel_msg;

static void setup(unsigned n, bool take_slot)
{
	workers_setup(n, n);
	MODEL_ASSERT(tt_chan_init_(&X, 1, sizeof(int), NULL) == 0);
	held = (tt_slot){ NULL, 0 };
	if (take_slot)
		MODEL_ASSERT((tt_try_reserve)(&X, &held) == 0);
	for (unsigned i = 0; i < WORKERS; i++) {
		ended[i] = -1000;
		item[i] = 0;
	}
}

static void setup_2_held(void) { setup(2, true); }
static void setup_3_held(void) { setup(3, true); }
static void setup_3_free(void) { setup(3, false); }

static unsigned self(void)
{
	return model_thread() - 1;
}

static void reserve_and_send(void)
{
	tt_slot slot = { NULL, 0 };

	worker_start();
	ended[self()] = (tt_reserve)(&X, &slot);
	if (ended[self()] == 0)
		(tt_slot_send)(&slot, &(int){ ITEM });
}

static void reserve_and_drop(void)
{
	tt_slot slot = { NULL, 0 };

	worker_start();
	ended[self()] = (tt_reserve)(&X, &slot);
	(tt_slot_drop)(&slot);
}

static void send_into_held(void)
{
	worker_start();
	(tt_slot_send)(&held, &(int){ ITEM });
	ended[self()] = 0;
}

static void drop_held(void)
{
	worker_start();
	(tt_slot_drop)(&held);
	ended[self()] = 0;
}

static void receive(void)
{
	worker_start();
	ended[self()] = (tt_recv)(&X, &item[self()]);
}

static void send(void)
{
	worker_start();
	ended[self()] = (tt_send)(&X, &(int){ ITEM });
}

static void close_x(void)
{
	worker_start();
	(tt_chan_close)(&X);
}

/* As the home's cancel walk does, on the home's own thread. */
static void handle_cancel(struct tti_msg *m)
{
	struct tt_task *t = tasks[tti_home_here->index];

	(void)m;
	t->cancel_bits |= TTI_CANCELLED;
	tti_wait_cancel(t);
}

static void cancel_first_and_drop_held(void)
{
	worker_start();
	cancel_msg.handle = handle_cancel;
	tti_worker_post(&workers[0], &cancel_msg);
	(tt_slot_drop)(&held);
}

static unsigned in_ring(void)
{
	unsigned n = 0;
	int v;

	while ((tt_try_recv)(&X, &v) == 1) {
		MODEL_ASSERT(v == ITEM);
		n++;
	}
	return n;
}

/* All room is back: the fini aborts when a slot is out, and one item fits again, no more. */
static void finish(unsigned n, bool open)
{
	if (open) {
		MODEL_ASSERT((tt_try_send)(&X, &(int){ ITEM }) == 0);
		MODEL_ASSERT((tt_try_send)(&X, &(int){ ITEM }) == TT_EAGAIN);
	}
	workers_retire(n);
	(tt_chan_fini)(&X);
}

static void check_slot_reached_receiver(void)
{
	MODEL_ASSERT(ended[1] == 1 && item[1] == ITEM);
	MODEL_ASSERT(in_ring() == 0);
	finish(2, true);
}

static void check_slot_beats_close(void)
{
	MODEL_ASSERT(ended[1] == 1 && item[1] == ITEM);
	MODEL_ASSERT(in_ring() == 0);
	finish(3, false);
}

static void check_end_after_drop(void)
{
	MODEL_ASSERT(ended[1] == 0 && item[1] == 0);
	finish(3, false);
}

static void check_reserve_or_closed(void)
{
	MODEL_ASSERT(ended[0] == 0 || ended[0] == TT_ECLOSED);
	MODEL_ASSERT(ended[1] == (ended[0] == 0 ? 1 : 0));
	MODEL_ASSERT(item[1] == (ended[0] == 0 ? ITEM : 0));
	MODEL_ASSERT(in_ring() == 0);
	finish(3, false);
}

static void check_room_went_on(void)
{
	MODEL_ASSERT(ended[1] == 0);
	MODEL_ASSERT(in_ring() == 1);
	finish(2, true);
}

static void check_cancelled_reserve(void)
{
	MODEL_ASSERT(ended[0] == 0 || ended[0] == TT_ECANCELED);
	MODEL_ASSERT(ended[1] == 0);
	MODEL_ASSERT(in_ring() == 1);
	finish(3, true);
}

static const struct model_scenario scenarios[] = {
	{ .name = "slot_to_receiver", .claim = "What is sent into a slot reaches who waits.", .setup = setup_2_held,
	  .threads = { send_into_held, receive }, .check = check_slot_reached_receiver },
	{ .name = "slot_to_sender", .claim = "Room that is dropped reaches who waits for it.", .setup = setup_2_held,
	  .threads = { drop_held, send }, .check = check_room_went_on },
	{ .name = "slot_and_close", .claim = "A slot taken before a close gets its item through; then comes the end.",
	  .setup = setup_3_held, .threads = { send_into_held, receive, close_x }, .check = check_slot_beats_close,
	  .executions = 60000, .partial = true },
	{ .name = "drop_and_close", .claim = "Whichever comes last, drop or close, tells the receiver the end.",
	  .setup = setup_3_held, .threads = { drop_held, receive, close_x }, .check = check_end_after_drop,
	  .executions = 60000, .partial = true },
	{ .name = "reserve_and_close", .claim = "A reserve crosses a close: the item gets through, or it says closed.",
	  .setup = setup_3_free, .threads = { reserve_and_send, receive, close_x }, .check = check_reserve_or_closed,
	  .executions = 60000, .partial = true },
	{ .name = "cancel_reserve", .claim = "A cancelled reserve took no room: who stands behind it gets it.",
	  .setup = setup_3_held, .threads = { reserve_and_drop, send, cancel_first_and_drop_held },
	  .check = check_cancelled_reserve, .executions = 60000, .partial = true },
	{ .name = NULL },
};

int main(int argc, char **argv)
{
	static const char *const files[] = { "src/sync/channel.c", "src/wait/wait.c", NULL };
	static const struct model_harness h = {
		.name = "reserve", .scenarios = scenarios, .files = files,
	};

	return model_main(argc, argv, &h);
}

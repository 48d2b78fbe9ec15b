/* SPDX-License-Identifier: MIT */
/*
 * channel_test.c - channels and select across workers under the model: an item goes from
 * one place to one other, whatever crosses it - another select, a close, a cancel.
 *
 * Each thread is a worker with one task (workers.h). An item is a number; who has it at
 * the end is counted. A wait that nobody ends is a deadlock, which the checker reports.
 */
/* model-sources: src/sync/channel.c src/sync/select.c src/sched/interval.c src/sched/sleep.c @scope */
#include "workers.h"

#include <tutti/channel.h>
#include <tutti/select.h>

#define ITEM 7

static tt_chan X, Y;
static int ended[WORKERS];           /* what each task's call returned */
static int item[WORKERS];            /* received, else 0 */
static struct tti_msg cancel_msg;

static void setup_channels(unsigned n, unsigned cap)
{
	workers_setup(n, n);
	MODEL_ASSERT(tt_chan_init_(&X, cap, sizeof(int), NULL) == 0);
	MODEL_ASSERT(tt_chan_init_(&Y, cap, sizeof(int), NULL) == 0);
	for (unsigned i = 0; i < WORKERS; i++) {
		ended[i] = -1000;
		item[i] = 0;
	}
}

static void setup_2(void) { setup_channels(2, 0); }
static void setup_2_ring(void) { setup_channels(2, 1); }
static void setup_3(void) { setup_channels(3, 0); }
static void setup_3_ring(void) { setup_channels(3, 1); }

static unsigned self(void)
{
	return model_thread() - 1;
}

static void send_x(void)
{
	worker_start();
	ended[self()] = (tt_send)(&X, &(int){ ITEM });
}

static void receive_x(void)
{
	worker_start();
	ended[self()] = (tt_recv)(&X, &item[self()]);
}

static void select_send_xy(void)
{
	int value = ITEM;

	worker_start();
	ended[self()] = tt_select_biased(tt_on_send_(&X, &value, NULL), tt_on_send_(&Y, &value, NULL));
}

static void select_receive_yx(void)
{
	worker_start();
	ended[self()] = tt_select_biased(tt_on_recv_(&Y, &item[self()], NULL), tt_on_recv_(&X, &item[self()], NULL));
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

static void cancel_worker(unsigned i)
{
	worker_start();
	cancel_msg.handle = handle_cancel;
	tti_worker_post(&workers[i], &cancel_msg);
}

static void cancel_first(void) { cancel_worker(0); }

static unsigned in_ring(tt_chan *c)
{
	unsigned n = 0;
	int v;

	while ((tt_try_recv)(c, &v) == 1) {
		MODEL_ASSERT(v == ITEM);
		n++;
	}
	return n;
}

static void finish(unsigned n)
{
	workers_retire(n);
	(tt_chan_fini)(&X);
	(tt_chan_fini)(&Y);
}

static void check_handed_over(void)
{
	MODEL_ASSERT(ended[0] == 0);
	MODEL_ASSERT(ended[1] == 1);
	MODEL_ASSERT(item[1] == ITEM);
	finish(2);
}

/* The arms' numbers: the sender's X is the receiver's second. */
static void check_selects_met(void)
{
	MODEL_ASSERT(ended[0] == 0 || ended[0] == 1);
	MODEL_ASSERT(ended[0] + ended[1] == 1);
	MODEL_ASSERT(item[0] + item[1] == ITEM);
	finish(2);
}

static void check_selects_met_same(void)
{
	MODEL_ASSERT(ended[0] == 0 || ended[0] == 1);
	MODEL_ASSERT(ended[0] == ended[1]);
	MODEL_ASSERT(item[0] + item[1] == ITEM);
	finish(2);
}

static void check_sent_or_closed(void)
{
	bool received = item[1] == ITEM, left = in_ring(&X) == 1;

	MODEL_ASSERT(ended[0] == 0 || ended[0] == TT_ECLOSED);
	MODEL_ASSERT(ended[1] == (received ? 1 : 0));
	MODEL_ASSERT((ended[0] == 0) == (received || left));
	MODEL_ASSERT(!(received && left));
	/* Receivers drain what was sent before they see the close. */
	MODEL_ASSERT(!left);
	finish(3);
}

/* Cancelled, then closed: the sender says one of three things, the receiver agrees. */
static void check_cancelled_sender(void)
{
	MODEL_ASSERT(ended[0] == 0 || ended[0] == TT_ECANCELED || ended[0] == TT_ECLOSED);
	MODEL_ASSERT(ended[1] == (ended[0] == 0 ? 1 : 0));
	MODEL_ASSERT(item[1] == (ended[0] == 0 ? ITEM : 0));
	finish(3);
}

static void cancel_first_and_close(void)
{
	cancel_worker(0);
	(tt_chan_close)(&X);
}

/* A ring of one and a receiver that may be cancelled: received, or still in the ring. */
static void check_cancelled_receiver(void)
{
	unsigned left = in_ring(&X);

	MODEL_ASSERT(ended[1] == 0);
	MODEL_ASSERT(ended[0] == 1 || ended[0] == TT_ECANCELED);
	MODEL_ASSERT((ended[0] == 1) == (item[0] == ITEM));
	MODEL_ASSERT((ended[0] == 1) == (left == 0));
	finish(3);
}

static void select_send_yx(void)
{
	int value = ITEM;

	worker_start();
	ended[self()] = tt_select_biased(tt_on_send_(&Y, &value, NULL), tt_on_send_(&X, &value, NULL));
}

static const struct model_scenario scenarios[] = {
	{ .name = "rendezvous", .claim = "A send and a receive meet.", .setup = setup_2,
	  .threads = { send_x, receive_x }, .check = check_handed_over },
	{ .name = "ring", .claim = "So through a ring.", .setup = setup_2_ring,
	  .threads = { send_x, receive_x }, .check = check_handed_over },
	{ .name = "selects_cross", .claim = "Two selects from opposite ends meet once.", .setup = setup_2,
	  .threads = { select_send_xy, select_receive_yx }, .check = check_selects_met,
	  .executions = 60000, .partial = true },
	{ .name = "selects_cross_high", .claim = "The same with the waiters' addresses the other way round.",
	  .setup = setup_2, .threads = { select_receive_yx, select_send_yx },
	  .check = check_selects_met_same, .executions = 60000, .partial = true },
	{ .name = "close", .claim = "A close crosses a send and a receive: the item is received, or the send says closed.",
	  .setup = setup_3, .threads = { send_x, receive_x, close_x }, .check = check_sent_or_closed,
	  .executions = 60000, .partial = true },
	{ .name = "close_ring", .claim = "So through a ring.", .setup = setup_3_ring,
	  .threads = { send_x, receive_x, close_x }, .check = check_sent_or_closed,
	  .executions = 60000, .partial = true },
	{ .name = "cancel_sender", .claim = "A cancelled send gave nothing.", .setup = setup_3,
	  .threads = { send_x, receive_x, cancel_first_and_close }, .check = check_cancelled_sender,
	  .executions = 60000, .partial = true },
	{ .name = "cancel_receiver", .claim = "A cancelled receive took nothing.", .setup = setup_3_ring,
	  .threads = { receive_x, send_x, cancel_first }, .check = check_cancelled_receiver,
	  .executions = 60000, .partial = true },
	{ .name = NULL },
};

int main(int argc, char **argv)
{
	static const char *const files[] = { "src/sync/channel.c", "src/sync/select.c", "src/wait/wait.c", NULL };
	static const struct model_harness h = {
		.name = "channel", .scenarios = scenarios, .files = files,
	};

	return model_main(argc, argv, &h);
}

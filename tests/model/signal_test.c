/* SPDX-License-Identifier: MIT */
/*
 * signal_test.c - the hub of net/signal.c under the model: handlers that run on any thread, the
 * one message that takes their bits to worker 0, and the end of the runtime.
 *
 * A handler is a thread of the model: more than a real one may do, which stops the thread it
 * runs on. A signal that gets lost leaves worker 0 asleep for ever, a deadlock; the worker is a
 * block that is freed after the stop, so that a handler that still touches it is found.
 *
 * signal.c is part of this file: its hub is static, and made anew for each execution.
 */
/* model-sources: @worker */
#include "workers.h"

#include "net/signal.c"

static struct tti_worker *worker;
static struct tti_worker *list[1];
static struct tti_runtime one;       /* the runtime of worker */
static unsigned raised[SIGNALS + 1]; /* plain: what each handler's thread did before its signal */
static unsigned got[SIGNALS + 1];    /* on worker 0 */
static unsigned got_n;

static void on_signal(void *arg, int signo)
{
	MODEL_ASSERT(arg == &one);
	MODEL_ASSERT(model_plain_read(raised[signo]) == 1);
	got[signo]++;
	got_n++;
}

static void setup(void)
{
	workers_setup(1, 0);
	memset(&hub, 0, sizeof(hub));
	hub.msg.handle = dispatch;
	memset(raised, 0, sizeof(raised));
	memset(got, 0, sizeof(got));
	got_n = 0;
	worker = model_alloc(sizeof(*worker));
	memset(&one, 0, sizeof(one));
	worker_init(worker, 0, 1);
	worker->rt = &one;
	list[0] = worker;
	model_plain_write(one.workers, list);
	one.n_workers = 1;
	model_name(&hub.rt, "rt");
	model_name(&hub.pending, "pending");
	model_name(&hub.posted, "posted");
	model_name(&hub.inside, "inside");
	MODEL_ASSERT(tti_signal_hub_start(&one, on_signal, &one) == 0);
}

static void raise_on(int signo)
{
	model_plain_write(raised[signo], 1u);
	handler(signo);
}

static void handler_1(void) { raise_on(1); }
static void handler_2(void) { raise_on(2); }

static void wait_for_signals(unsigned n)
{
	tti_home_here = &worker->home;
	while (got_n < n) {
		tti_worker_finish(worker);
		if (got_n < n)
			sleep_for_messages(worker);
	}
}

static void stop(void)
{
	tti_signal_hub_stop(&one);
	/* The runtime goes: no handler is to reach for its worker any more. */
	model_free(worker);
	worker = NULL;
}

static void worker_waits_for_one(void)
{
	wait_for_signals(1);
	stop();
}

static void worker_waits_for_two(void)
{
	wait_for_signals(2);
	stop();
}

static void handler_1_then_2(void)
{
	raise_on(1);
	raise_on(2);
}

static void worker_stops(void)
{
	tti_home_here = &worker->home;
	tti_worker_finish(worker);
	stop();
}

static void check_one(void)
{
	MODEL_ASSERT(got[1] == 1 && got_n == 1);
	MODEL_ASSERT(hub.rt.v == NULL && hub.inside.v == 0);
}

static void check_two(void)
{
	MODEL_ASSERT(got[1] == 1 && got[2] == 1);
	MODEL_ASSERT(hub.rt.v == NULL && hub.inside.v == 0);
}

static void check_stopped(void)
{
	MODEL_ASSERT(got[1] <= 1 && got[2] <= 1);
	MODEL_ASSERT(hub.rt.v == NULL && hub.inside.v == 0);
	model_outcome("%u delivered", got_n);
}

/* ---- A hub that changes hands ---- */

static struct tti_worker other_worker;
static struct tti_worker *other_list[1];
static struct tti_runtime other;
static int start_rc[2];

static void setup_other(void)
{
	memset(&other, 0, sizeof(other));
	memset(&other_worker, 0, sizeof(other_worker));
	worker_init(&other_worker, 0, 1);
	other_worker.rt = &other;
	other_list[0] = &other_worker;
	other.n_workers = 1;
	start_rc[0] = start_rc[1] = 1;
}

static void setup_two(void)
{
	setup();
	setup_other();
}

static void setup_free(void)
{
	setup_two();
	tti_signal_hub_stop(&one);
}

static void start_one(void) { start_rc[0] = tti_signal_hub_start(&one, on_signal, &one); }
static void start_other(void) { start_rc[1] = tti_signal_hub_start(&other, on_signal, &one); }

static void check_one_has_it(void)
{
	MODEL_ASSERT((start_rc[0] == 0) + (start_rc[1] == 0) == 1);
	MODEL_ASSERT(start_rc[0] == 0 || start_rc[0] == TT_EBUSY);
	MODEL_ASSERT(start_rc[1] == 0 || start_rc[1] == TT_EBUSY);
	model_free(worker);
}

/* A runtime that is made while a handler of this process may run already. */
static void made_and_started(void)
{
	model_plain_write(other.workers, other_list);
	start_other();
	if (start_rc[1] != 0)
		return;
	/* Its own signal is not lost, whoever gives the hub up at the same time. */
	raise_on(2);
	tti_home_here = &other_worker.home;
	while (got[2] == 0) {
		tti_worker_finish(&other_worker);
		if (got[2] != 0)
			break;
		if (!tti_inbox_sleep(&other_worker.inbox))
			continue;
		model_park(&drivers[0].eventfd);
		tti_inbox_awake(&other_worker.inbox);
	}
	tti_signal_hub_stop(&other);
}

static void stop_here(void)
{
	tti_home_here = &worker->home;
	stop();
}

static void check_handed_on(void)
{
	MODEL_ASSERT(start_rc[1] == 0 || start_rc[1] == TT_EBUSY);
	MODEL_ASSERT(got[2] == (start_rc[1] == 0 ? 1 : 0));
	MODEL_ASSERT(hub.rt.v == NULL && hub.inside.v == 0 && hub.posted.v == 0);
	model_outcome("%s", start_rc[1] == 0 ? "taken over" : "busy");
}

static void check_early_handler(void)
{
	MODEL_ASSERT(start_rc[1] == 0 && got[2] == 1);
	MODEL_ASSERT(hub.rt.v == NULL && hub.inside.v == 0 && hub.posted.v == 0);
	model_free(worker);
}

static const char *const taken_or_busy[] = { "taken over", "busy", NULL };
static const char *const up_to_one[] = { "0 delivered", "1 delivered", NULL };

static const struct model_scenario scenarios[] = {
	{ .name = "one", .claim = "A signal reaches worker 0 with what its thread did before.", .setup = setup,
	  .threads = { worker_waits_for_one, handler_1 }, .check = check_one },
	{ .name = "next", .claim = "A signal that comes while another is handed out is not lost.", .setup = setup,
	  .threads = { worker_waits_for_two, handler_1_then_2 }, .check = check_two },
	{ .name = "two", .claim = "Two handlers share one message, and both signals arrive.", .setup = setup,
	  .threads = { worker_waits_for_two, handler_1, handler_2 }, .check = check_two },
	{ .name = "stop", .claim = "No handler reaches for a worker once the stop has returned.", .setup = setup,
	  .threads = { worker_stops, handler_1 }, .check = check_stopped, .outcomes = up_to_one },
	{ .name = "stop_two", .claim = "Nor do two of them.", .setup = setup,
	  .threads = { worker_stops, handler_1, handler_2 }, .check = check_stopped },
	{ .name = "owner", .claim = "Of two runtimes one has the hub.", .setup = setup_free,
	  .threads = { start_one, start_other }, .check = check_one_has_it },
	{ .name = "early", .claim = "A handler that runs while a runtime starts finds it whole, or not at all.",
	  .setup = setup_free, .threads = { made_and_started, handler_1 }, .check = check_early_handler },
	{ .name = "handed_on", .claim = "Who takes the hub over from a runtime that ends loses no signal.",
	  .setup = setup_two, .threads = { stop_here, made_and_started }, .check = check_handed_on,
	  .outcomes = taken_or_busy },
	{ .name = NULL },
};

int main(int argc, char **argv)
{
	static const char *const files[] = { "src/net/signal.c", NULL };
	static const struct model_harness h = {
		.name = "signal", .scenarios = scenarios, .files = files,
	};

	return model_main(argc, argv, &h);
}

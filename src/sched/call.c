/* SPDX-License-Identifier: MIT */
/* call.c - run something on another worker's thread and wait for it. */
#include "sched/worker.h"
#include "wait/wait.h"

struct call {
	struct tti_msg msg;
	struct tti_waiter waiter;
	void (*fn)(void *arg);
	void *arg;
};

static void handle_call(struct tti_msg *m)
{
	struct call *c = TTI_CONTAINER_OF(m, struct call, msg);

	c->fn(c->arg);
	if (tti_claim(&c->waiter))
		tti_wake(&c->waiter);
}

void tti_worker_call(struct tti_home *h, const char *verb, void (*fn)(void *arg), void *arg)
{
	struct call c = { .msg.handle = handle_call, .fn = fn, .arg = arg };

	if (h == tti_home_here) {
		fn(arg);
		return;
	}
	tti_waiter_init(&c.waiter, verb, h);
	c.waiter.abort = NULL;
	h->ops->post(h, &c.msg);
	tti_park(&c.waiter);
}

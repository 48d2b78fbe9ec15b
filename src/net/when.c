/* SPDX-License-Identifier: MIT */
/*
 * when.c - idle children: a record instead of a task until a descriptor is readable or the
 * time has passed (tt_go_when).
 *
 *   posted --> IDLE --> ENDING --> becomes a task, or is dropped
 *
 * The record lives on the home of its group's owner: there its operations are submitted,
 * its timer runs and a cancel reaches it. ENDING lasts until the last operation had its
 * terminal event (law 1); the first cause decides what comes then.
 *
 * Invariants  n_ops counts the operations under way and, while this file walks the record,
 *             one more, so that it ends at one place only (release()).
 *             Each descriptor is a call in fd.h's sense, claimed for reading: a close
 *             cancels and waits for it like for any other.
 * Size        RECORD_MAX for one descriptor and six words of arguments; with three words it
 *             fits 288 bytes of heap.
 * Rejected    A task that gives its stack away while it waits: a second way to park, with
 *             every object having to know of it.
 */
#include <poll.h>
#include <string.h>

#include <tutti/lowlevel.h>
#include <tutti/when.h>

#include "base/panic.h"
#include "base/sometimes.h"
#include "net/fd.h"
#include "scope/idle.h"

#define RECORD_MAX 320

enum state { IDLE, ENDING };
enum fate { START, DROP, CANCELLED };

struct watch {
	struct tti_fd_call call;
	struct tti_io_op op;                 /* a poll has no buffer: op.buf is the record */
};

struct when {
	struct tti_idle idle;                /* first: the group knows it by this */
	const struct tt_task_type *type;
	const char *site;
	union {
		struct {
			struct tti_msg msg;  /* on its way to the owner's home */
			int64_t timeout;     /* ns; 0: none */
		} asked;
		struct tti_timer timer;      /* there */
	};
	unsigned worker;                     /* of tt_when */
	uint8_t state;                       /* enum state */
	uint8_t fate;                        /* enum fate; set with ENDING */
	uint8_t on_timeout;                  /* enum tt_on_timeout */
	uint8_t n_ops;                       /* see above */
	uint8_t n_watches;
	uint16_t args_at;                    /* bytes from the start of the record */
	struct watch watches[];
};

_Static_assert(sizeof(struct when) + sizeof(struct watch) + 48 <= RECORD_MAX, "an idle child is small");

static struct when *when_of(struct tti_idle *i)
{
	return (struct when *)(void *)i;
}

static void *args_of(struct when *w)
{
	return (char *)w + w->args_at;
}

static void drop_args(struct when *w)
{
	if (w->type->drop != NULL)
		w->type->drop(args_of(w));
}

/* ---- ending ---- */

static void leave_calls(struct when *w)
{
	for (unsigned i = 0; i < w->n_watches; i++)
		TT_IGNORE((int)tti_fd_leave(&w->watches[i].call, 0));
	w->n_watches = 0;
}

/* Often in the midst of a cancel walk, whose list others would change meanwhile. */
static void give_up(struct when *w, bool cancelled)
{
	const char *before = tt_forbid_waits("the destructor of an idle child's argument");

	drop_args(w);
	tti_idle_end(&w->idle, cancelled);
	tti_env_free(w);
	tti_waits_forbidden = before;
}

/* The last operation is over. */
static void settle(struct when *w)
{
	leave_calls(w);
	if (w->fate == START)
		tti_idle_ready(&w->idle);
	else
		give_up(w, w->fate == CANCELLED);
}

static void release(struct when *w)
{
	if (--w->n_ops == 0 && w->state == ENDING)
		settle(w);
}

/* IDLE -> ENDING; the caller holds one of n_ops. */
static void begin_ending(struct when *w, enum fate fate)
{
	w->state = ENDING;
	w->fate = (uint8_t)fate;
	tti_wheel_cancel(tti_home_here->wheel, &w->timer);
	for (unsigned i = 0; i < w->n_watches; i++)
		if (w->watches[i].call.op != NULL)
			tti_io_ask_cancel(&w->watches[i].op);
}

static void end_now(struct when *w, enum fate fate)
{
	w->n_ops++;
	begin_ending(w, fate);
	release(w);
}

static void watch_done(struct tti_io_op *op)
{
	struct watch *h = TTI_CONTAINER_OF(op, struct watch, op);
	struct when *w = op->buf;

	h->call.op = NULL;
	TTI_SOMETIMES(w->state == ENDING && op->result >= 0, "an idle child starts, and another reason to comes too");
	/* Readable, an error, or a close elsewhere: the task's own call will say which. */
	if (w->state == IDLE)
		begin_ending(w, START);
	release(w);
}

static void timer_fired(struct tti_timer *timer)
{
	struct when *w = TTI_CONTAINER_OF(timer, struct when, timer);

	end_now(w, w->on_timeout == TT_WHEN_DROP ? DROP : START);
}

/* From the group. ENDING may already be on the way to START: the cancel wins. */
static void cancelled(struct tti_idle *i)
{
	struct when *w = when_of(i);

	TTI_SOMETIMES(w->state == ENDING && w->n_ops > 0, "a cancel comes to an idle child that ends already");
	TTI_SOMETIMES(w->state == ENDING && w->n_ops == 0, "a cancel comes to an idle child that waits for room");
	if (w->state == IDLE)
		end_now(w, CANCELLED);
	else if (w->n_ops > 0)
		w->fate = CANCELLED;
	else
		give_up(w, true);
}

static void become_task(struct tti_idle *i)
{
	struct when *w = when_of(i);

	tti_idle_become(i, w->type, args_of(w), w->site, w->worker);
	tti_env_free(w);
}

/* ---- beginning, on the owner's home ---- */

/* 1: there is nothing to wait for any more. */
static int watch_begin(struct when *w, struct watch *h)
{
	tti_io_op_init(&h->op, TTI_IO_POLL, watch_done);
	h->op.buf = w;
	tti_fd_aim(&h->call, &h->op);
	h->op.events = POLLIN;
	if (tti_fd_is_closing(&h->call))
		return 1;
	h->call.op = &h->op;
	if (tti_io_submit(&h->op) == 0)
		return 0;
	h->call.op = NULL;
	return 1;
}

/* Each is either under way or ends the waiting. */
static void begin_watches(struct when *w)
{
	for (unsigned i = 0; i < w->n_watches && w->state == IDLE; i++) {
		w->n_ops++;
		if (watch_begin(w, &w->watches[i]) == 0)
			continue;
		w->n_ops--;
		begin_ending(w, START);
	}
}

/* The descriptors become calls. One that cannot is left out, and the child starts. */
static bool enter_calls(struct when *w, tt_fd *const handles[2])
{
	unsigned n = 0, wanted = w->n_watches;

	for (unsigned i = 0; i < wanted; i++) {
		if (tti_fd_enter(handles[i], TTI_READING, &w->watches[n].call) == 0)
			n++;
	}
	w->n_watches = (uint8_t)n;
	return n == wanted;
}

static void begin(struct when *w)
{
	tt_fd *handles[2] = { NULL, NULL };
	int64_t timeout = w->asked.timeout;
	bool all;

	for (unsigned i = 0; i < w->n_watches; i++)
		handles[i] = (tt_fd *)(uintptr_t)w->watches[i].op.driver_data[0];
	tti_timer_init(&w->timer, timer_fired);
	w->n_ops = 1;
	all = enter_calls(w, handles);
	TTI_SOMETIMES(!all, "an idle child is to watch a descriptor that is closed or busy");
	tti_idle_link(&w->idle); /* may cancel it at once */
	if (w->state == IDLE && !all)
		begin_ending(w, START);
	if (w->state == IDLE)
		begin_watches(w);
	if (w->state == IDLE && timeout != 0)
		tti_wheel_arm(tti_home_here->wheel, &w->timer, tti_deadline_after(tti_home_here, timeout));
	release(w);
}

static void handle_begin(struct tti_msg *m)
{
	begin(TTI_CONTAINER_OF(m, struct when, asked.msg));
}

/* ---- tt_go_when ---- */

static unsigned count_readable(const tt_when *o)
{
	return (o->readable[0] != NULL ? 1u : 0u) + (o->readable[1] != NULL ? 1u : 0u);
}

/* A record with a copy of args, which follow the watches. */
static struct when *record_new(const tt_when *o, const struct tt_task_type *type, const void *args, const char *site)
{
	unsigned n = count_readable(o);
	size_t at = sizeof(struct when) + n * sizeof(struct watch);
	struct when *w;

	at = (at + type->align - 1) & ~(type->align - 1);
	w = tti_env_zalloc(at + type->size);
	if (w == NULL)
		return NULL;
	w->idle.cancel = cancelled;
	w->idle.start = become_task;
	w->type = type;
	w->site = site;
	w->asked.timeout = o->timeout;
	w->worker = o->worker;
	w->on_timeout = (uint8_t)o->on_timeout;
	w->args_at = (uint16_t)at;
	for (unsigned i = 0; i < 2; i++)
		if (o->readable[i] != NULL)
			/* Kept here until the owner's home makes a call of it. */
			w->watches[w->n_watches++].op.driver_data[0] = (uint64_t)(uintptr_t)o->readable[i];
	if (type->size > 0)
		memcpy(args_of(w), args, type->size);
	return w;
}

static int refuse(const struct tt_task_type *type, const void *args, int code)
{
	if (type->drop != NULL)
		type->drop((void *)(uintptr_t)args);
	return code;
}

intptr_t tt_verb_go_when_(void *on, const tt_task_type *type, const void *args, const char *site)
{
	const struct tt_go_when_ *request = on;
	struct tti_group *g = tti_group_from_public(request->group);
	struct tti_home *home;
	struct when *w;
	int rc;

	if (tti_current_or_panic("tt_go_when") == NULL)
		return refuse(type, args, TT_EWRONGCTX);
	if (count_readable(request->when) == 0 && request->when->timeout == 0)
		return refuse(type, args, TT_EINVAL);
	w = record_new(request->when, type, args, site);
	if (w == NULL)
		return refuse(type, args, tti_group_out_of_memory(g, tti_group_check_spawner(g, tti_current(), site)));
	rc = tti_idle_begin(g, &w->idle, site);
	if (rc < 0) {
		drop_args(w);
		tti_env_free(w);
		return rc;
	}
	home = g->scope.owner->home;
	if (home == tti_home_here) {
		begin(w);
		return 0;
	}
	w->asked.msg.handle = handle_begin;
	home->ops->post(home, &w->asked.msg);
	return 0;
}

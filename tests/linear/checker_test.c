/* SPDX-License-Identifier: MIT */
/*
 * checker_test.c - what the checker says of histories written by hand: sound ones are accepted, and
 * of each wrong one it names the event that nothing explains, as a rule the last.
 *
 * test-on: sim1
 */
#include "specs.h"

#include <string.h>

struct step {
	enum lin_event_kind kind;
	unsigned task;
	const char *name;          /* INVOKE */
	int a, b, c;
};

#define CALL(task, name, arg) { LIN_INVOKE, task, name, arg, 0, 0 }
#define GIVES(task, rc, value) { LIN_RETURN, task, NULL, rc, value, 0 }
#define GIVES_MORE(task, rc, value, more) { LIN_RETURN, task, NULL, rc, value, more }
#define BEGINS(task) { LIN_BEGIN, task, NULL, 0, 0, 0 }
#define ENDS(task, rc) { LIN_END, task, NULL, rc, 0, 0 }
#define CANCELLED(task) { LIN_CANCEL, task, NULL, 0, 0, 0 }
#define ALL_CANCELLED { LIN_CANCEL_ALL, 0, NULL, 0, 0, 0 }
#define QUIET { LIN_QUIET, 0, NULL, 0, 0, 0 }
#define NOTE(what, number) { LIN_NOTE, 0, NULL, what, number, 0 }

static uint8_t kind_named(const struct lin_spec *spec, const char *name)
{
	uint8_t kind = 0;

	while (kind < spec->n_kinds && strcmp(spec->kinds[kind].name, name) != 0)
		kind++;
	REQUIRE_TRUE(kind < spec->n_kinds);
	return kind;
}

static void add_step(const struct lin_spec *spec, struct lin_history *h, const struct step *s, unsigned *under_way)
{
	struct lin_event *e = &h->events[h->n_events++];
	struct lin_call *c;

	if (s->kind == LIN_INVOKE) {
		under_way[s->task] = h->n_calls++;
		h->calls[under_way[s->task]] = (struct lin_call){
			.kind = kind_named(spec, s->name), .task = (uint8_t)s->task, .arg = s->a, .timeout = TT_NEVER,
		};
	}
	c = &h->calls[under_way[s->task]];
	*e = (struct lin_event){ .kind = (uint8_t)s->kind, .call = (uint8_t)under_way[s->task] };
	if (s->kind == LIN_NOTE) {
		e->what = (int16_t)s->a;
		e->number = s->b;
	} else if (s->kind == LIN_RETURN) {
		c->rc = s->a;
		c->value = s->b;
		c->more = s->c;
	} else if (s->kind == LIN_END) {
		c->rc_body = s->a;
	}
}

static void expect(const struct lin_spec *spec, unsigned param, const struct step *steps, size_t n, unsigned at)
{
	static struct lin_history h;
	unsigned under_way[LIN_TASKS] = { 0 };
	struct lin_verdict v;

	memset(&h, 0, sizeof(h));
	h.tasks = LIN_TASKS;
	for (size_t i = 0; i < n; i++)
		add_step(spec, &h, &steps[i], under_way);
	v = lin_check(spec, param, &h);
	EXPECT_FALSE(v.too_many);
	if (!EXPECT_EQ(v.at, at))
		lin_print_history(spec, &h, &v);
	EXPECT_EQ(v.ok, at == n);
}

#define STEPS(...) ((const struct step[]){ __VA_ARGS__ })
#define N_STEPS(...) (sizeof(STEPS(__VA_ARGS__)) / sizeof(struct step))
#define ACCEPTS(spec, param, ...) \
	expect(&lin_##spec, (param), STEPS(__VA_ARGS__), N_STEPS(__VA_ARGS__), N_STEPS(__VA_ARGS__))
#define REJECTS(spec, param, ...) REJECTS_EARLY(spec, param, 0, __VA_ARGS__)
/* What calls return later is known all along: it is out of reach so many events before the end. */
#define REJECTS_EARLY(spec, param, early, ...) \
	expect(&lin_##spec, (param), STEPS(__VA_ARGS__), N_STEPS(__VA_ARGS__), N_STEPS(__VA_ARGS__) - 1 - (early))

/* ---- what holds for all ---- */

/* Calls that overlap may have taken effect in either order; calls that do not, may not. */
TT_TEST_PLAIN(checker, knows_what_came_before)
{
	ACCEPTS(channel, 2, CALL(0, "send", 1), CALL(1, "send", 2), GIVES(0, 0, 0), GIVES(1, 0, 0), CALL(2, "recv", 0),
	        GIVES(2, 1, 2), CALL(2, "recv", 0), GIVES(2, 1, 1));
	REJECTS(channel, 2, CALL(0, "send", 1), GIVES(0, 0, 0), CALL(1, "send", 2), GIVES(1, 0, 0), CALL(2, "recv", 0),
	        GIVES(2, 1, 2));
}

/* Two that wait are served in the order in which they were seen waiting; unseen, in any. */
TT_TEST_PLAIN(checker, knows_who_was_first_in_line)
{
	ACCEPTS(channel, 1, CALL(0, "recv", 0), CALL(1, "recv", 0), CALL(2, "send", 1), GIVES(2, 0, 0), GIVES(1, 1, 1), QUIET);
	REJECTS(channel, 1, CALL(0, "recv", 0), QUIET, CALL(1, "recv", 0), CALL(2, "send", 1), GIVES(1, 1, 1));
	REJECTS(semaphore, 0, CALL(0, "acquire", 1), QUIET, CALL(1, "acquire", 0), CALL(2, "release", 0), GIVES(2, 0, 0),
	        GIVES(1, 0, 0));
	REJECTS(mutex, 0, CALL(2, "lock", 0), GIVES(2, 0, 0), CALL(0, "lock", 0), QUIET, CALL(1, "lock", 0), QUIET,
	        CALL(2, "unlock", 0), GIVES(2, 0, 0), GIVES(1, 0, 0));
}

/* Who was cancelled stays in line until it runs, and is passed by: a close that comes before it leaves is
 * all that those behind it get, although there was a permit for them. */
TT_TEST_PLAIN(checker, knows_who_is_on_its_way_out)
{
	ACCEPTS(semaphore, 1, CALL(0, "acquire", 2), QUIET, CALL(1, "acquire", 0), QUIET, CANCELLED(0), CALL(2, "close", 0),
	        GIVES(2, 0, 0), GIVES(1, TT_ECLOSED, 0), GIVES(0, TT_ECANCELED, 0));
	/* Nobody was cancelled. */
	REJECTS_EARLY(semaphore, 1, 2, CALL(0, "acquire", 2), QUIET, CALL(1, "acquire", 0), QUIET, CALL(2, "close", 0),
	              GIVES(2, 0, 0), GIVES(1, TT_ECLOSED, 0), GIVES(0, TT_ECANCELED, 0));
}

/* Law 3: what was cancelled had no effect. Law 2: what had one says so. */
TT_TEST_PLAIN(checker, knows_what_a_cancelled_call_may_do)
{
	ACCEPTS(channel, 1, CALL(0, "recv", 0), CANCELLED(0), GIVES(0, TT_ECANCELED, 0), CALL(1, "send", 1), GIVES(1, 0, 0),
	        CALL(1, "recv", 0), GIVES(1, 1, 1));
	/* It took the item. */
	REJECTS(channel, 1, CALL(0, "recv", 0), CALL(1, "send", 1), GIVES(1, 0, 0), CANCELLED(0), GIVES(0, TT_ECANCELED, 0),
	        CALL(1, "try_recv", 0), GIVES(1, TT_EAGAIN, 0));
	/* It sent. */
	REJECTS(channel, 1, CALL(0, "send", 1), CANCELLED(0), GIVES(0, TT_ECANCELED, 0), CALL(1, "recv", 0), GIVES(1, 1, 1));
	/* Nobody cancelled it. */
	REJECTS(channel, 1, CALL(0, "recv", 0), GIVES(0, TT_ECANCELED, 0));
	/* A cancelled one goes. */
	REJECTS(channel, 1, CALL(0, "recv", 0), QUIET, CANCELLED(0), QUIET);
	REJECTS(latch, 1, CALL(0, "latch_wait", 0), ALL_CANCELLED, QUIET);
}

/* Nobody stands still who could go on. */
TT_TEST_PLAIN(checker, knows_a_lost_wake_up)
{
	ACCEPTS(channel, 0, CALL(0, "send", 1), QUIET, CALL(1, "send", 2), QUIET);
	REJECTS(channel, 0, CALL(0, "send", 1), QUIET, CALL(1, "recv", 0), QUIET);
	REJECTS(semaphore, 0, CALL(0, "acquire", 0), QUIET, CALL(1, "release", 2), GIVES(1, 0, 0), QUIET);
	REJECTS(notify, 0, CALL(1, "notify_one", 0), GIVES(1, 0, 0), CALL(0, "notify_wait", 0), QUIET);
	REJECTS(condvar, 0, CALL(0, "lock", 0), GIVES(0, 0, 0), CALL(0, "condvar_wait", 0), QUIET, CALL(1, "signal", 0),
	        GIVES(1, 0, 0), QUIET);
}

/* ---- one by one ---- */

TT_TEST_PLAIN(checker, channel)
{
	REJECTS(channel, 2, CALL(0, "send", 1), GIVES(0, 0, 0), CALL(1, "recv", 0), GIVES(1, 1, 1), CALL(2, "recv", 0),
	        GIVES(2, 1, 1));
	REJECTS(channel, 2, CALL(0, "send", 1), GIVES(0, 0, 0), CALL(1, "close", 0), GIVES(1, 0, 0), CALL(2, "recv", 0),
	        GIVES(2, 0, 0));
	REJECTS(channel, 1, CALL(0, "try_send", 1), GIVES(0, 0, 0), CALL(0, "try_send", 2), GIVES(0, 0, 0));
	REJECTS(channel, 0, CALL(0, "try_send", 1), GIVES(0, 0, 0));
	/* A slot is room, and closed is not over while one is out. */
	REJECTS(channel, 1, CALL(0, "reserve", 1), GIVES(0, 0, 0), CALL(1, "try_send", 2), GIVES(1, 0, 0));
	REJECTS(channel, 1, CALL(0, "reserve", 1), GIVES(0, 0, 0), CALL(1, "close", 0), GIVES(1, 0, 0), CALL(2, "recv", 0),
	        GIVES(2, 0, 0));
	ACCEPTS(channel, 1, CALL(0, "reserve", 1), GIVES(0, 0, 0), CALL(1, "close", 0), GIVES(1, 0, 0), CALL(2, "recv", 0),
	        CALL(0, "slot_send", 1), GIVES(2, 1, 1), GIVES(0, 0, 0));
}

/* Several at once are several steps; what was done before a cancel was done. */
TT_TEST_PLAIN(checker, channel_of_several)
{
	ACCEPTS(channel, 1, CALL(0, "send", 1), GIVES(0, 0, 0), CALL(1, "recv_many", 2), QUIET, CALL(0, "send", 2),
	        GIVES(0, 0, 0), GIVES_MORE(1, 2, 1, 2));
	ACCEPTS(channel, 1, CALL(0, "send", 1), GIVES(0, 0, 0), CALL(1, "recv_many", 2), QUIET, CANCELLED(1), GIVES(1, 1, 1));
	/* It lingers for no reason, gives up for none, forgets what it took, or is not told of the end. */
	REJECTS(channel, 1, CALL(0, "send", 1), GIVES(0, 0, 0), CALL(1, "recv_many", 0), QUIET);
	REJECTS(channel, 1, CALL(0, "send", 1), GIVES(0, 0, 0), CALL(1, "recv_many", 2), GIVES(1, 1, 1));
	REJECTS(channel, 1, CALL(0, "send", 1), GIVES(0, 0, 0), CALL(1, "recv_many", 2), QUIET, CANCELLED(1),
	        GIVES(1, TT_ECANCELED, 0));
	REJECTS(channel, 1, CALL(0, "send", 1), GIVES(0, 0, 0), CALL(1, "recv_many", 2), CALL(0, "close", 0), GIVES(0, 0, 0),
	        QUIET);
	/* A second item that was there first. */
	REJECTS(channel, 2, CALL(0, "send", 1), GIVES(0, 0, 0), CALL(0, "send", 2), GIVES(0, 0, 0), CALL(1, "recv_many", 0),
	        GIVES(1, 1, 1));
	ACCEPTS(channel, 1, CALL(0, "send_many", 1), QUIET, CANCELLED(0), GIVES(0, TT_ECANCELED, 1), CALL(1, "recv", 0),
	        GIVES(1, 1, 1));
	ACCEPTS(channel, 0, CALL(0, "send_many", 1), QUIET, CALL(1, "close", 0), GIVES(1, 0, 0), GIVES(0, TT_ECLOSED, 0));
	/* The count is wrong; others got in between, behind it. */
	REJECTS(channel, 1, CALL(0, "send_many", 1), QUIET, CANCELLED(0), GIVES(0, TT_ECANCELED, 0));
	REJECTS(channel, 2, CALL(0, "send_many", 1), GIVES(0, 0, 1));
	REJECTS(channel, 1, CALL(0, "send_many", 1), QUIET, CALL(1, "send", 2), QUIET, CALL(2, "recv", 0), GIVES(2, 1, 1),
	        GIVES(0, 0, 2), QUIET, CALL(2, "recv", 0), GIVES(2, 1, 2));
}

/* Of the items 3 has 1 byte, 1 has 2, and 2 has 3. */
TT_TEST_PLAIN(checker, sized)
{
	ACCEPTS(sized, 0, CALL(0, "send", 3), GIVES(0, 0, 0), CALL(0, "send", 6), GIVES(0, 0, 0));
	ACCEPTS(sized, 0, CALL(0, "try_send", 2), GIVES(0, 0, 0), CALL(0, "try_send", 3), GIVES(0, TT_EAGAIN, 0));
	REJECTS(sized, 0, CALL(0, "send", 1), GIVES(0, 0, 0), CALL(0, "try_send", 3), GIVES(0, 0, 0));
	REJECTS(sized, 0, CALL(0, "try_send", 2), GIVES(0, TT_EAGAIN, 0));
	/* What fits waits behind what does not, until that has left. */
	ACCEPTS(sized, 1, CALL(0, "send", 2), GIVES(0, 0, 0), CALL(1, "send", 5), QUIET, CALL(2, "send", 3), QUIET, CANCELLED(1),
	        GIVES(2, 0, 0), GIVES(1, TT_ECANCELED, 0));
	REJECTS(sized, 1, CALL(0, "send", 2), GIVES(0, 0, 0), CALL(1, "send", 5), QUIET, CALL(2, "try_send", 3), GIVES(2, 0, 0));
	REJECTS(sized, 1, CALL(0, "send", 2), GIVES(0, 0, 0), CALL(1, "send", 5), QUIET, CALL(2, "send", 3), CANCELLED(1),
	        GIVES(1, TT_ECANCELED, 0), QUIET);
	/* A slot has the bytes that were asked for. */
	REJECTS(sized, 1, CALL(0, "reserve", 2), GIVES(0, 0, 0), CALL(1, "try_send", 1), GIVES(1, 0, 0));
	ACCEPTS(sized, 1, CALL(0, "reserve", 2), GIVES(0, 0, 0), CALL(0, "slot_send", 3), GIVES(0, 0, 0), CALL(1, "try_send", 2),
	        GIVES(1, 0, 0));
}

TT_TEST_PLAIN(checker, locks)
{
	REJECTS(semaphore, 1, CALL(0, "acquire", 0), GIVES(0, 0, 0), CALL(1, "acquire", 0), GIVES(1, 0, 0));
	REJECTS(semaphore, 1, CALL(0, "try_acquire", 0), GIVES(0, TT_EAGAIN, 0));
	REJECTS(mutex, 0, CALL(0, "lock", 0), GIVES(0, 0, 0), CALL(1, "try_lock", 0), GIVES(1, 0, 0));
	REJECTS(rwlock, 0, CALL(0, "read", 0), GIVES(0, 0, 0), CALL(1, "write", 0), GIVES(1, 0, 0));
	/* A writer that waits keeps readers out. */
	REJECTS(rwlock, 0, CALL(0, "read", 0), GIVES(0, 0, 0), CALL(1, "write", 0), QUIET, CALL(2, "read", 0), GIVES(2, 0, 0));
	/* The mutex was not free when the wait returned; no signal came. */
	REJECTS(condvar, 0, CALL(0, "lock", 0), GIVES(0, 0, 0), CALL(0, "condvar_wait", 0), CALL(1, "lock", 0), GIVES(1, 0, 0),
	        CALL(1, "signal", 0), GIVES(1, 0, 0), GIVES(0, 0, 0));
	REJECTS(condvar, 0, CALL(0, "lock", 0), GIVES(0, 0, 0), CALL(0, "condvar_wait", 0), GIVES(0, 0, 0));
}

TT_TEST_PLAIN(checker, meetings)
{
	/* One token is kept, not two. */
	REJECTS(notify, 0, CALL(0, "notify_one", 0), GIVES(0, 0, 0), CALL(0, "notify_one", 0), GIVES(0, 0, 0),
	        CALL(1, "notify_wait", 0), GIVES(1, 0, 0), CALL(1, "notify_wait", 0), GIVES(1, 0, 0));
	REJECTS_EARLY(barrier, 1, 1, CALL(0, "barrier_wait", 0), CALL(1, "barrier_wait", 0), GIVES(0, 1, 0), GIVES(1, 1, 0));
	REJECTS(barrier, 1, CALL(0, "barrier_wait", 0), GIVES(0, 0, 0));
	/* Complete for one, broken for the other. */
	REJECTS_EARLY(barrier, 1, 1, CALL(0, "barrier_wait", 0), CALL(1, "barrier_wait", 0), CANCELLED(1), GIVES(0, 1, 0),
	              GIVES(1, TT_ECANCELED, 0));
	REJECTS(latch, 1, CALL(0, "latch_wait", 0), GIVES(0, 0, 0));
	REJECTS(latch, 1, CALL(0, "count_down", 0), GIVES(0, 0, 0), CALL(0, "try_wait", 0), GIVES(0, TT_EAGAIN, 0));
}

TT_TEST_PLAIN(checker, streams)
{
	/* An item was passed over, and nobody said so; said, but not how many. */
	REJECTS(broadcast, 0, CALL(0, "send", 1), GIVES(0, 0, 0), CALL(0, "send", 2), GIVES(0, 0, 0), CALL(1, "recv", 0),
	        GIVES(1, 1, 2));
	REJECTS(broadcast, 0, CALL(0, "send", 1), GIVES(0, 0, 0), CALL(0, "send", 2), GIVES(0, 0, 0), CALL(1, "recv", 0),
	        GIVES_MORE(1, TT_EOVERFLOW, 0, 2));
	ACCEPTS(broadcast, 0, CALL(0, "send", 1), GIVES(0, 0, 0), CALL(0, "send", 2), GIVES(0, 0, 0), CALL(1, "recv", 0),
	        GIVES_MORE(1, TT_EOVERFLOW, 0, 1), CALL(1, "recv", 0), GIVES(1, 1, 2));
	/* A value with the number of another; a cancelled reader that has seen one all the same. */
	REJECTS(watch, 0, CALL(0, "set", 1), GIVES(0, 0, 0), CALL(1, "get", 0), GIVES(1, 1, 1));
	REJECTS(watch, 0, CALL(0, "changed", 0), CANCELLED(0), GIVES_MORE(0, TT_ECANCELED, 0, 1));
}

TT_TEST_PLAIN(checker, once)
{
	ACCEPTS(once, TT_ONCE_RESTART, CALL(0, "once_do", 0), BEGINS(0), CALL(1, "once_do", 0), QUIET, ENDS(0, 7),
	        GIVES(0, 7, 0), GIVES_MORE(1, 7, 0, 1));
	/* Two run at once; who was not next; a second time after success. */
	REJECTS(once, TT_ONCE_RESTART, CALL(0, "once_do", 0), BEGINS(0), CALL(1, "once_do", 0), BEGINS(1));
	REJECTS(once, TT_ONCE_RESTART, CALL(0, "once_do", 2), BEGINS(0), CALL(1, "once_do", 0), QUIET, CALL(2, "once_do", 0),
	        QUIET, ENDS(0, TT_EIO), GIVES(0, TT_EIO, 0), BEGINS(2));
	REJECTS(once, TT_ONCE_RESTART, CALL(0, "once_do", 0), BEGINS(0), ENDS(0, 7), GIVES(0, 7, 0), CALL(1, "once_do", 0),
	        BEGINS(1));
	/* The turn was lost; the failure was final. */
	REJECTS(once, TT_ONCE_RESTART, CALL(0, "once_do", 2), BEGINS(0), CALL(1, "once_do", 0), QUIET, ENDS(0, TT_EIO),
	        GIVES(0, TT_EIO, 0), QUIET);
	REJECTS(once, TT_ONCE_RECORD, CALL(0, "once_do", 2), BEGINS(0), ENDS(0, TT_EIO), GIVES(0, TT_EIO, 0),
	        CALL(1, "once_do", 0), BEGINS(1));
	REJECTS(once, TT_ONCE_PROTECT, CALL(0, "once_do", 1), BEGINS(0), CANCELLED(0), ENDS(0, TT_ECANCELED));
	/* Another's value; one call for both keys. */
	REJECTS_EARLY(flight, 0, 1, CALL(0, "flight_do", 0), BEGINS(0), CALL(1, "flight_do", 0), QUIET, ENDS(0, 7),
	              GIVES(0, 7, 7), GIVES_MORE(1, 7, 8, 1));
	REJECTS(flight, 0, CALL(0, "flight_do", 0), BEGINS(0), CALL(1, "flight_do", 4), QUIET);
}

/* The pool's notes. */
enum {
	OPENING, OPENED, OPEN_FAILED, CLOSING, CLOSED, DESTROYING, CHECKING, CHECKED, CHECK_FAILED, RETURNING, CLEAN, UNCLEAN
};

TT_TEST_PLAIN(checker, pool)
{
	ACCEPTS(pool, 0, CALL(0, "acquire", 0), NOTE(OPENING, 1), NOTE(OPENED, 1), GIVES(0, 0, 1), CALL(0, "release_broken", 1),
	        GIVES(0, 0, 0), NOTE(CLOSING, 1), NOTE(CLOSED, 1), QUIET);
	/* Lent to two; more than there may be; closed while it is lent; lent after it was closed. */
	REJECTS(pool, 1, CALL(0, "acquire", 0), CALL(1, "acquire", 0), NOTE(OPENING, 1), NOTE(OPENED, 1), GIVES(0, 0, 1),
	        GIVES(1, 0, 1));
	REJECTS(pool, 0, CALL(0, "acquire", 0), CALL(1, "acquire", 0), NOTE(OPENING, 1), NOTE(OPENING, 2));
	REJECTS(pool, 0, CALL(0, "acquire", 0), NOTE(OPENING, 1), NOTE(OPENED, 1), GIVES(0, 0, 1), NOTE(CLOSING, 1));
	REJECTS(pool, 0, CALL(0, "acquire", 0), NOTE(OPENING, 1), NOTE(OPENED, 1), GIVES(0, 0, 1), CALL(0, "release_broken", 1),
	        GIVES(0, 0, 0), CALL(1, "acquire", 0), GIVES(1, 0, 1));
	/* It is free, and somebody stands in line. */
	REJECTS_EARLY(pool, 0, 2, CALL(0, "acquire", 0), NOTE(OPENING, 1), NOTE(OPENED, 1), GIVES(0, 0, 1),
	              CALL(1, "acquire", 0), QUIET, CALL(0, "release", 1), QUIET, GIVES(0, 0, 0), GIVES(1, 0, 1));
}

#define LENT(task) CALL(task, "acquire", 0), NOTE(OPENING, 1), NOTE(OPENED, 1), GIVES(task, 0, 1)
#define LENT_AND_BACK LENT(0), CALL(0, "release", 1), GIVES(0, 0, 0)
/* Parameter 0: asked before they are lent; 4: when they are back. */
TT_TEST_PLAIN(checker, hooked)
{
	ACCEPTS(hooked, 0, LENT_AND_BACK, CALL(1, "acquire", 0), NOTE(CHECKING, 1), NOTE(CHECKED, 1), GIVES(1, 0, 1));
	/* It was not asked; it was bad; it was asked for nobody; somebody waits, and nobody asks it. */
	REJECTS(hooked, 0, LENT_AND_BACK, CALL(1, "acquire", 0), GIVES(1, 0, 1));
	REJECTS(hooked, 0, LENT_AND_BACK, CALL(1, "acquire", 0), NOTE(CHECKING, 1), NOTE(CHECK_FAILED, 1), GIVES(1, 0, 1));
	REJECTS(hooked, 0, LENT_AND_BACK, CALL(1, "try_acquire", 0), GIVES(1, TT_EAGAIN, 0), NOTE(CHECKING, 1));
	REJECTS(hooked, 0, LENT_AND_BACK, CALL(1, "acquire", 0), QUIET);
	ACCEPTS(hooked, 4, LENT(0), CALL(0, "release", 1), NOTE(RETURNING, 1), NOTE(CLEAN, 1), GIVES(0, 0, 0),
	        CALL(1, "try_acquire", 0), GIVES(1, 0, 1));
	REJECTS(hooked, 4, LENT_AND_BACK);
	REJECTS(hooked, 4, LENT(0), CALL(0, "release", 1), NOTE(RETURNING, 1), NOTE(UNCLEAN, 1), GIVES(0, 0, 0),
	        CALL(1, "try_acquire", 0), GIVES(1, 0, 1));
	/* Broken ones are not asked; nor, once the pool is closed, any. */
	REJECTS(hooked, 4, LENT(0), CALL(0, "release_broken", 1), NOTE(RETURNING, 1));
	REJECTS(hooked, 4, LENT(0), CALL(1, "close", 0), GIVES(1, 0, 0), CALL(0, "release", 1), NOTE(RETURNING, 1));
}

TT_TEST_PLAIN(checker, group)
{
	int failure = TT_ERROR_DOMAIN_FIRST - 1;

	ACCEPTS(group, 0, CALL(0, "go", 0), GIVES(0, 0, 0), BEGINS(0), ENDS(0, failure), CALL(0, "end", 0), GIVES(0, failure, 0));
	/* It ended before its child; the failure was lost; cancelled without a cancel; one too many. */
	REJECTS(group, 0, CALL(0, "go", 0), GIVES(0, 0, 0), CALL(0, "end", 0), GIVES(0, 0, 0));
	REJECTS(group, 0, CALL(0, "go", 0), GIVES(0, 0, 0), BEGINS(0), ENDS(0, failure), CALL(0, "end", 0), GIVES(0, 0, 0));
	REJECTS(group, 0, CALL(0, "go", 0), GIVES(0, 0, 0), BEGINS(0), ENDS(0, TT_ECANCELED));
	REJECTS(group, 1, CALL(0, "go", 0), GIVES(0, 0, 0), CALL(0, "go", 0), GIVES(0, 0, 0));
	/* A cancel that never reached the child. */
	REJECTS(group, 0, CALL(0, "go", 0), GIVES(0, 0, 0), BEGINS(0), CALL(0, "group_cancel", 0), GIVES(0, 0, 0), QUIET);
}

TT_TEST_MAIN()

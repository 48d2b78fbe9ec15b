/* SPDX-License-Identifier: MIT */
/*
 * explore_test.c - small scenarios over two workers, run under every schedule that leaves
 * the usual one at most so many times: what is checked here holds in all of them.
 *
 * test-on: sim2
 * test-timeout: 600
 */
#include <tutti/testing.h>
#include <tutti/tutti.h>

#include "explore_kit.h"

TT_CHAN_TYPE(int_chan, int);

/* ---- channel: what is sent arrives once, in order, and a close loses nothing ---- */

static TT_TASK(sends_two, (int_chan *, ch), (int, first))
{
	for (int i = first; i < first + 2; i++)
		TT_TRY(tt_send(ch, &i));
	return 0;
}

static TT_TASK(sends_and_closes, (int_chan *, ch))
{
	TT_TRY(tt_send(ch, &(int){ 1 }));
	TT_TRY(tt_send(ch, &(int){ 2 }));
	tt_chan_close(ch);
	return 0;
}

static int receive_all(int_chan *ch, int wanted)
{
	int last[2] = { 0, 0 }, got = 0, x, rc;

	while (got < wanted && (rc = tt_recv(ch, &x)) > 0) {
		if (x % 10 <= last[x / 10])
			return TT_EIO;
		last[x / 10] = x % 10;
		got++;
	}
	return got == wanted ? 0 : TT_EIO;
}

static TT_TASK(two_senders_one_receiver)
{
	int_chan ch;
	int rc;

	TT_TRY(tt_chan_init(&ch, 1));
	TT_DEFER(tt_chan_fini, &ch.tt_raw);
	TT_GROUP(g);
	tt_go_with(&g, &on_1, sends_two, &ch, 1);
	tt_go_with(&g, &on_0, sends_two, &ch, 11);
	rc = receive_all(&ch, 4);
	return tt_group_end(&g, rc);
}

static TT_TASK(a_close_after_the_last)
{
	int_chan ch;
	int rc, x;

	TT_TRY(tt_chan_init(&ch, 0));
	TT_DEFER(tt_chan_fini, &ch.tt_raw);
	TT_GROUP(g);
	tt_go_with(&g, &on_1, sends_and_closes, &ch);
	rc = receive_all(&ch, 2);
	if (rc == 0 && tt_recv(&ch, &x) != 0)
		rc = TT_EIO;
	return tt_group_end(&g, rc);
}

EXPLORE(two_senders_one_receiver, 7, 500)
EXPLORE(a_close_after_the_last, 7, 500)

/* ---- cancel against send: done or not done ---- */

struct race {
	int_chan ch;
	int sent;
};

static TT_TASK(sends_one, (struct race *, r))
{
	int rc = tt_send(&r->ch, &(int){ 5 });

	r->sent = rc == 0;
	return rc == TT_ECANCELED ? 0 : rc;
}

static TT_TASK(sends_under_a_cancel, (struct race *, r))
{
	TT_GROUP(g);
	tt_go_with(&g, &on_0, sends_one, r);
	TT_TRY_IN(&g, tt_yield());
	tt_group_cancel(&g);
	return tt_group_end(&g, 0);
}

/* Whatever the cancel hit: the item is with the receiver exactly if the send said so. */
static TT_TASK(a_cancelled_send_is_done_or_not)
{
	struct race r = { .sent = 0 };
	int x = 0, rc, got = 0;

	TT_TRY(tt_chan_init(&r.ch, 0));
	TT_DEFER(tt_chan_fini, &r.ch.tt_raw);
	TT_GROUP(g);
	tt_go_with(&g, &on_1, sends_under_a_cancel, &r);
	rc = TT_WITHIN(TT_MS(1), tt_recv(&r.ch, &x));
	if (rc == 1)
		got = 1;
	rc = rc == 1 || rc == TT_ETIMEDOUT ? 0 : rc;
	if (rc == 0)
		rc = tt_group_drain(&g);
	if (rc == 0 && (got != r.sent || (got && x != 5)))
		rc = TT_EIO;
	return tt_group_end(&g, rc);
}

EXPLORE(a_cancelled_send_is_done_or_not, 7, 500)

/* ---- a lock, permits, notifications ---- */

struct shared {
	tt_mutex m;
	tt_semaphore s;
	tt_notify n;
	int inside, value;
};

static TT_TASK(locks_twice, (struct shared *, sh))
{
	for (int i = 0; i < 2; i++) {
		int seen;

		TT_TRY(tt_mutex_lock(&sh->m));
		if (sh->inside++ != 0)
			return TT_EIO;
		seen = sh->value;
		TT_IGNORE(tt_yield());
		sh->value = seen + 1;
		sh->inside--;
		tt_mutex_unlock(&sh->m);
	}
	return 0;
}

static TT_TASK(a_lock_excludes)
{
	struct shared sh = { .value = 0 };
	int rc;

	tt_mutex_init(&sh.m);
	TT_DEFER(tt_mutex_fini, &sh.m);
	TT_GROUP(g);
	tt_go_with(&g, &on_0, locks_twice, &sh);
	tt_go_with(&g, &on_1, locks_twice, &sh);
	rc = tt_group_drain(&g);
	if (rc == 0 && sh.value != 4)
		rc = TT_EIO;
	return tt_group_end(&g, rc);
}

static TT_TASK(takes, (struct shared *, sh), (unsigned, n))
{
	int rc = TT_WITHIN(TT_US(50), tt_semaphore_acquire(&sh->s, n));

	if (rc == TT_ETIMEDOUT)
		return 0;
	TT_TRY(rc);
	sh->inside += (int)n;
	if (sh->inside > 2)
		return TT_EIO;
	TT_IGNORE(tt_yield());
	sh->inside -= (int)n;
	tt_semaphore_release(&sh->s, n);
	return 0;
}

/* Some give up: no permit is lost with them, and none is made. */
static TT_TASK(permits_are_conserved)
{
	struct shared sh = { .inside = 0 };
	int rc;

	tt_semaphore_init(&sh.s, 2);
	TT_DEFER(tt_semaphore_fini, &sh.s);
	TT_GROUP(g);
	tt_go_with(&g, &on_0, takes, &sh, 2);
	tt_go_with(&g, &on_1, takes, &sh, 1);
	tt_go_with(&g, &on_1, takes, &sh, 2);
	rc = tt_group_drain(&g);
	if (rc == 0)
		rc = tt_semaphore_try_acquire(&sh.s, 2);
	if (rc == 0 && tt_semaphore_try_acquire(&sh.s, 1) == 0)
		rc = TT_EIO;
	return tt_group_end(&g, rc);
}

EXPLORE(a_lock_excludes, 7, 500)
EXPLORE(permits_are_conserved, 7, 500)

/* ---- select: exactly one arm ---- */

static TT_TASK(offers, (int_chan *, ch), (int *, taken))
{
	int rc = TT_WITHIN(TT_US(100), tt_send(ch, &(int){ 1 }));

	*taken += rc == 0;
	return rc == TT_ETIMEDOUT ? 0 : rc;
}

static TT_TASK(one_of_two_offers_is_taken)
{
	int taken = 0, rc, x;
	int_chan a, b;

	TT_TRY(tt_chan_init(&a, 0));
	TT_DEFER(tt_chan_fini, &a.tt_raw);
	TT_TRY(tt_chan_init(&b, 0));
	TT_DEFER(tt_chan_fini, &b.tt_raw);
	TT_GROUP(g);
	tt_go_with(&g, &on_0, offers, &a, &taken);
	tt_go_with(&g, &on_1, offers, &b, &taken);
	rc = tt_select(TT_ON_RECV(&a, &x), TT_ON_RECV(&b, &x));
	rc = rc < 0 ? rc : tt_group_drain(&g);
	if (rc == 0 && taken != 1)
		rc = TT_EIO;
	return tt_group_end(&g, rc);
}

EXPLORE(one_of_two_offers_is_taken, 7, 500)

/* ---- a group: the first failure wins and everybody is joined ---- */

static TT_TASK(fails_with, (int *, ended), (int, code))
{
	int rc = tt_yield();

	++*ended;
	return rc < 0 ? rc : code;
}

static TT_TASK(waits_for_ever, (int *, ended))
{
	int rc = tt_sleep(TT_SEC(1000));

	++*ended;
	return rc;
}

static TT_TASK(the_first_failure_ends_the_group)
{
	int ended = 0, rc;

	{
		TT_GROUP(g);
		tt_go_with(&g, &on_1, fails_with, &ended, TT_EPIPE);
		tt_go_with(&g, &on_0, waits_for_ever, &ended);
		tt_go_with(&g, &on_1, waits_for_ever, &ended);
		rc = tt_group_end(&g, 0);
	}
	/* Those that had not started when it failed never do. */
	return rc == TT_EPIPE && ended >= 1 && ended <= 3 ? 0 : TT_EIO;
}

EXPLORE(the_first_failure_ends_the_group, 7, 500)

TT_TEST_MAIN()

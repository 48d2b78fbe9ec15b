/* SPDX-License-Identifier: MIT */
/*
 * race.c - a connection to whichever of a name's addresses answers first (RFC 8305, "Happy
 * Eyeballs Version 2", section 5). Called by tcp.c.
 *
 * The families take turns, beginning with the first address's. An attempt begins when the one
 * before has failed, or has not answered for 250 ms; what was begun goes on meanwhile. The
 * first to succeed wins: the others are cancelled, waited for and closed.
 *
 * All attempts are operations of the calling task, in its frame: no task, no allocation. Their
 * done() runs on this thread outside of tasks, so that `news` needs no lock.
 *
 *   IDLE --start--> UNDER WAY --done()--> ENDED --looked at--> GONE
 *      \------------- ended at once -------/
 *
 * Law 1       Every attempt under way is waited for before the frame is left.
 * Law 2       A race that is cancelled still returns a connection that was made by then.
 */
#include "base/sometimes.h"
#include "net/race.h"

#include <tutti/error.h>

#include "net/fd.h"
#include "net/resolve.h"
#include "net/socket.h"
#include "wait/wait.h"

#define STAGGER TT_MS(250)

enum attempt_state { IDLE, UNDER_WAY, ENDED, GONE };

struct attempt {
	struct tti_fd_call call;
	struct tti_io_op op;
	struct race *race;
	const struct tti_addr *to;
	tt_fd *handle;                       /* UNDER_WAY, ENDED: ours; NULL: there was no socket */
	uint8_t state;                       /* enum attempt_state */
};

struct race {
	struct tti_waiter *waiter;           /* who waits for news; may be NULL */
	struct tti_timer stagger;
	bool news;                           /* an attempt has ended since the last look */
	int n, next;                         /* attempts; those before next have begun */
	struct attempt attempts[TTI_ADDRS_MAX];
};

/* ---- order ---- */

/* The next address of a family, or of the other when there is none left. */
static int take_turn(const struct tti_addr *addrs, int n, bool *taken, int family)
{
	int other = -1;

	for (int i = 0; i < n; i++) {
		if (taken[i])
			continue;
		if (addrs[i].room.ss_family == family) {
			taken[i] = true;
			return i;
		}
		if (other < 0)
			other = i;
	}
	taken[other] = true;
	return other;
}

static void put_in_order(struct race *r, const struct tti_addr *addrs)
{
	bool taken[TTI_ADDRS_MAX] = { false };
	int family = addrs[0].room.ss_family;

	for (int i = 0; i < r->n; i++) {
		int at = take_turn(addrs, r->n, taken, family);

		r->attempts[i].race = r;
		r->attempts[i].state = IDLE;
		r->attempts[i].to = &addrs[at];
		family = addrs[at].room.ss_family == AF_INET6 ? AF_INET : AF_INET6;
	}
}

/* ---- one attempt ---- */

static void tell(struct race *r)
{
	struct tti_waiter *w = r->waiter;

	r->news = true;
	if (w != NULL && tti_claim(w))
		tti_wake(w);
}

static void attempt_done(struct tti_io_op *op)
{
	struct attempt *a = TTI_CONTAINER_OF(op, struct attempt, op);

	a->call.op = NULL;
	a->state = ENDED;
	tell(a->race);
}

/* UNDER_WAY, or ENDED with op.result set. */
static void attempt_start(struct attempt *a, int number)
{
	int rc;

	a->handle = NULL;
	a->state = ENDED;
	tti_io_op_init(&a->op, TTI_IO_CONNECT, attempt_done);
	rc = number < 0 ? number : tti_fd_adopt(number, true, &a->handle);
	a->op.result = rc;
	if (rc < 0) {
		tell(a->race);
		return;
	}
	/* Nobody else has the handle: it is open, and its sides are free. */
	rc = tti_fd_enter(a->handle, TTI_WRITING, &a->call);
	TT_ASSERT(rc == 0);
	a->op.buf = (void *)(uintptr_t)&a->to->room;
	a->op.len = a->to->len;
	tti_fd_aim(&a->call, &a->op);
	a->call.op = &a->op;
	a->state = UNDER_WAY;
	if (tti_io_submit(&a->op) == 1)
		attempt_done(&a->op);
}

/* ENDED -> GONE. The connection, or NULL with its descriptor closed. */
static tt_fd *attempt_settle(struct attempt *a, bool keep)
{
	tt_fd *handle = a->handle;

	a->state = GONE;
	if (handle == NULL)
		return NULL;
	TT_IGNORE((int)tti_fd_leave(&a->call, 0));
	if (keep && a->op.result >= 0)
		return handle;
	tt_fd_close(handle);
	return NULL;
}

/* ---- the race ---- */

static struct attempt *find(struct race *r, enum attempt_state state)
{
	for (int i = 0; i < r->next; i++)
		if (r->attempts[i].state == state)
			return &r->attempts[i];
	return NULL;
}

static void stagger_over(struct tti_timer *timer)
{
	struct race *r = TTI_CONTAINER_OF(timer, struct race, stagger);

	if (r->waiter != NULL && tti_claim(r->waiter))
		tti_wake(r->waiter);
}

/* Until there is news or the deadline has passed; TT_ECANCELED. */
static int wait_for_news(struct race *r, int64_t deadline, bool abortable)
{
	struct tti_home *h = tti_home_here;
	struct tti_waiter w;

	if (r->news)
		return 0;
	tti_waiter_init(&w, "connect", NULL);
	w.abort = abortable ? tti_abort_by_claim : NULL;
	r->waiter = &w;
	tti_timer_init(&r->stagger, stagger_over);
	tti_wheel_arm(h->wheel, &r->stagger, deadline);
	tti_park(&w);
	tti_wheel_cancel(h->wheel, &r->stagger);
	r->waiter = NULL;
	return w.rc;
}

/* Every attempt ends, whatever it has come to. */
static void drain(struct race *r)
{
	struct attempt *a;

	for (int i = 0; i < r->next; i++)
		if (r->attempts[i].state == UNDER_WAY)
			tti_io_ask_cancel(&r->attempts[i].op);
	while ((a = find(r, UNDER_WAY)) != NULL) {
		TTI_SOMETIMES(true, "an attempt to connect outlives the race");
		r->news = false;
		TT_IGNORE(wait_for_news(r, TT_NEVER, false));
	}
}

/* Nothing is left but the winner; NULL if there is none. */
static tt_fd *finish(struct race *r)
{
	tt_fd *winner = NULL;
	struct attempt *a;

	drain(r);
	while ((a = find(r, ENDED)) != NULL) {
		tt_fd *fd = attempt_settle(a, winner == NULL);

		TTI_SOMETIMES(winner != NULL && a->op.result >= 0, "two addresses answer, and one is closed");
		winner = winner != NULL ? winner : fd;
	}
	return winner;
}

static int fail_address(const struct tti_addr *a, int rc)
{
	char text[TTI_ADDR_TEXT_MAX];

	tti_addr_text(a, text, sizeof(text));
	return tt_fail(rc, "%s", text);
}

/* The calling task's error joins those of before. */
static void keep_failure(struct tti_error *failures)
{
	if (failures->code == 0)
		tti_error_move(failures, tti_error_here());
	else
		tti_error_add_sibling(failures, tti_error_here());
}

/* Looks at what has ended: 1 somebody won, 0 not yet, a code when the last one has failed. */
static int look(struct race *r, struct tti_error *failures)
{
	struct attempt *a;
	int rc = 0;

	r->news = false;
	while ((a = find(r, ENDED)) != NULL) {
		if (a->op.result >= 0)
			return 1;
		if (rc < 0)
			keep_failure(failures);
		rc = r->n > 1 ? fail_address(a->to, (int)a->op.result) : (int)a->op.result;
		attempt_settle(a, false);
	}
	if (rc == 0 || (r->next == r->n && find(r, UNDER_WAY) == NULL))
		return rc;
	keep_failure(failures);
	return 0;
}

int tti_race(const struct tti_addr *addrs, int n, tti_race_open_fn *open, const void *options, tt_fd **ret_fd,
             struct tti_error *failures)
{
	struct race r;
	tt_fd *winner;
	int rc;

	r.waiter = NULL;
	r.news = false;
	r.n = n;
	r.next = 0;
	put_in_order(&r, addrs);
	do {
		int64_t deadline = TT_NEVER;

		/* Here for the first time, after a failure, or because time has passed. */
		if (r.next < n) {
			struct attempt *a = &r.attempts[r.next++];

			attempt_start(a, open(a->to, options));
			if (r.next < n)
				deadline = tti_deadline_after(tti_home_here, STAGGER);
		}
		rc = wait_for_news(&r, deadline, true);
		if (rc == 0 && r.news)
			rc = look(&r, failures);
	} while (rc == 0);
	if (TTI_LAW_BROKEN(1) && rc == TT_ECANCELED)
		/* Deliberately wrong: returns while attempts are under way. */
		return rc;
	winner = finish(&r);
	TTI_SOMETIMES(rc == TT_ECANCELED && winner != NULL, "a connection is made when the race was cancelled");
	if (winner == NULL)
		return rc;
	*ret_fd = winner;
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * once.c - an initialiser runs once; the others wait, and take over when it fails.
 *
 *      state    IDLE ---> BUSY ---> DONE          for good
 *                 \____<___/ \----> FAILED        for good, TT_ONCE_RECORD
 *
 * Take over   Who fails hands the turn to the first who waits: the once stays BUSY, and has no
 *             run until that one wakes and begins. It runs the initialiser even if it was cancelled
 *             meanwhile: it owns the turn, and passes it on when it fails.
 * Deadlock    A run waits for the once that its runner, or a child opened in it, waits for; before
 *             anybody waits, all that is waited for from there is searched. If that leads to a run
 *             of the caller's own, or to one whose children the caller is one of, nobody would
 *             ever wake.
 * Lock        One spinlock for all, since a path leads through many; it guards everything but the
 *             fast path. Initialisations are few.
 * Ordering    DONE is stored last: what the initialiser wrote is seen by who sees it.
 */
#include <tutti/once.h>
#include <tutti/select.h>

#include "base/panic.h"
#include "base/sometimes.h"
#include "base/spin.h"
#include "scope/scope.h"
#include "sync/failure.h"
#include "sync/waiters.h"

#define PROTECT_BOUND TT_SEC(30)
#define PATH_MAX_RUNS 4

enum once_state { IDLE, BUSY, DONE, FAILED };

struct run;

struct once {
	tti_atomic_u32 state;                /* enum once_state; moved under the lock, DONE read without */
	int rc;                              /* of DONE and FAILED; written before them */
	const tt_once_options *options;      /* NULL: the usual */
	struct run *run;                     /* who runs it; NULL while a turn is handed over */
	struct tti_list waiters;
	int64_t not_before;                  /* monotonic ns of the next attempt */
	uint32_t failures;                   /* attempts in a row that counted as such */
	struct tti_failure failure;          /* of FAILED */
};

_Static_assert(sizeof(struct once) <= sizeof(tt_once), "tt_once holds a once");
_Static_assert(offsetof(struct once, options) == offsetof(tt_once, tt_options_), "TT_ONCE_INIT_WITH sets it");

/* An attempt under way, in the frame of its runner. */
struct run {
	struct tti_list link;                /* in runs, innermost of each runner first */
	struct once *once;
	const void *runner;                  /* a task, or a thread's mark */
	const struct tti_scope *inside;      /* the runner's innermost block at the start; NULL: a thread */
	struct once *waits_for;              /* what the runner waits for meanwhile */
	const char *name, *site;
	struct run *from, *next;             /* of a search: who waits for it, and who is visited next */
	bool reached, is_target;             /* of a search; the caller would wait for itself at a target */
};

/* What a caller wants, and how its wait would close a circle. */
struct call {
	const struct tt_task_type *type;
	const char *site;
	unsigned path_len;
	struct { const char *name, *site; } path[PATH_MAX_RUNS]; /* from the one that asks backwards */
};

static tti_spin lock;
static struct tti_list runs = { &runs, &runs };
static __thread char thread_mark;

/* How a wait ends, besides codes. */
enum { SETTLED, TAKE_OVER };

static const void *runner_here(void)
{
	struct tt_task *t = tti_current();

	return t != NULL ? (const void *)t : (const void *)&thread_mark;
}

static const tt_once_options *options_of(const struct once *o)
{
	static const tt_once_options usual;

	return o->options != NULL ? o->options : &usual;
}

void tt_once_init(tt_once *o, const tt_once_options *options)
{
	*(struct once *)(void *)o = (struct once){ .options = options };
}

void tt_once_fini(tt_once *storage)
{
	struct once *o = (struct once *)(void *)storage;

	if (o == NULL)
		return;
	tti_spin_lock(&lock);
	TT_REQUIRE(o->run == NULL, "tt_once_fini: %s runs since %s", o->run->name, o->run->site);
	tti_require_nobody_waits(&o->waiters, "tt_once_fini");
	/* relaxed: it moves under the lock. */
	TT_REQUIRE(tti_load_relaxed(&o->state) != BUSY, "tt_once_fini: a task that waited is about to run it");
	/* relaxed: nobody else may use it any more. */
	tti_store_relaxed(&o->state, IDLE);
	o->failures = 0;
	o->not_before = 0;
	tti_spin_unlock(&lock);
}

bool tt_once_is_done(tt_once *o)
{
	/* acquire: pairs with the release in settle(). */
	return tti_load_acquire(&((struct once *)(void *)o)->state) == DONE;
}

/* ---- deadlock ---- */

/* NULL: it runs nothing. */
static struct run *innermost_run(const void *runner)
{
	TTI_LIST_FOR_EACH (link, &runs) {
		struct run *r = TTI_CONTAINER_OF(link, struct run, link);

		if (r->runner == runner)
			return r;
	}
	return NULL;
}

/* t was started, however deep, in a group that was opened during r: r waits for it. A block on
 * the way that stands directly inside the one the run began in is such a group; an awaited
 * child's own scope is no block, and its group may be older than r. NULL: a plain thread. */
static bool is_child_of(const struct run *r, const struct tt_task *t)
{
	if (t == NULL)
		return false;
	for (const struct tti_scope *s = t->scope_base; s != NULL; s = s->parent) {
		if (!s->open)
			continue;
		if (s->owner == r->runner && s->parent == r->inside)
			return true;
	}
	return false;
}

/* A child of r waits for o, which runs: its list was made by who began that. Listed, the child
 * has not returned, and neither have its parents. */
static bool has_child_waiting(const struct run *r, const struct once *o)
{
	TTI_LIST_FOR_EACH (link, &o->waiters) {
		struct tti_waiter *w = TTI_CONTAINER_OF(link, struct tti_wait_node, link)->waiter;

		if (tti_waiter_is_waiting(w) && is_child_of(r, w->task))
			return true;
	}
	return false;
}

/* from waits for r, directly or through a child; r is put at the end of the search, once. */
static struct run *reach(struct run *r, struct run *from, struct run *last)
{
	if (r == NULL || r->reached)
		return last;
	r->reached = true;
	r->from = from;
	r->next = NULL;
	if (last != NULL)
		last->next = r;
	return r;
}

/* Begins a search. False: the caller runs nothing and is nobody's child, and closes no circle. */
static bool mark_targets(void)
{
	const void *self = runner_here();
	bool any = false;

	TTI_LIST_FOR_EACH (link, &runs) {
		struct run *r = TTI_CONTAINER_OF(link, struct run, link);

		r->reached = false;
		r->is_target = r->runner == self || is_child_of(r, tti_current());
		any |= r->is_target;
	}
	return any;
}

static void note_path(const struct run *r, struct call *c)
{
	for (c->path_len = 0; r != NULL && c->path_len < PATH_MAX_RUNS; r = r->from) {
		c->path[c->path_len].name = r->name;
		c->path[c->path_len++].site = r->site;
	}
}

/* Visits all runs that o's run waits for, nearest first. */
static bool would_wait_for_itself(const struct once *o, struct call *c)
{
	struct run *last;

	if (!mark_targets())
		return false;
	last = reach(o->run, NULL, NULL);
	for (struct run *r = o->run; r != NULL; r = r->next) {
		const struct once *next = innermost_run(r->runner)->waits_for;

		if (r->is_target) {
			note_path(r, c);
			return true;
		}
		if (next != NULL)
			last = reach(next->run, r, last);
		TTI_LIST_FOR_EACH (link, &runs) {
			struct run *other = TTI_CONTAINER_OF(link, struct run, link);

			if (!other->reached && has_child_waiting(r, other->once))
				last = reach(other, r, last);
		}
	}
	return false;
}

static int explain_deadlock(const struct call *c)
{
	int rc = TT_EDEADLK;

	TT_IGNORE(tt_fail_(rc, c->path[0].site, c->path[0].name, "began here, and asks"));
	for (unsigned i = 1; i < c->path_len; i++)
		TT_IGNORE(tt_wrap_(rc, c->path[i].site, c->path[i].name, "began here, and waits"));
	TT_IGNORE(tt_wrap_(rc, c->site, c->type->name, "is asked for here"));
	return tt_wrap_(rc, c->site, c->type->name, "tt_once_do(%s) inside of what it waits for", c->type->name);
}

/* ---- waiting ---- */

static void note_wait(struct once *waits_for)
{
	struct run *r = innermost_run(runner_here());

	if (r != NULL)
		r->waits_for = waits_for;
}

/* Under the lock, in the caller's thread: the turn, the outcome, or a place in the queue. */
static int once_enlist(const tt_arm *arm, struct tti_wait_node *n, bool may_link)
{
	struct once *o = arm->object;
	int result = TTI_ARM_LINKED;
	uint32_t state;

	TT_ASSERT(may_link);
	tti_spin_lock(&lock);
	if (o->waiters.next == NULL)
		tti_list_init(&o->waiters);
	/* relaxed: it moves under the lock. */
	state = tti_load_relaxed(&o->state);
	if (state == IDLE) {
		/* relaxed: as above. */
		tti_store_relaxed(&o->state, BUSY);
		result = tti_claim_own_node(n, TAKE_OVER);
	} else if (state != BUSY) {
		result = tti_claim_own_node(n, SETTLED);
	} else if (would_wait_for_itself(o, arm->value)) {
		TTI_SOMETIMES(true, "waiting for an initialiser would close a circle");
		result = tti_claim_own_node(n, TT_EDEADLK);
	} else {
		note_wait(o);
		tti_list_push_back(&o->waiters, &n->link);
	}
	tti_spin_unlock(&lock);
	return result;
}

static void once_delist(const tt_arm *arm, struct tti_wait_node *n)
{
	(void)arm;
	tti_spin_lock(&lock);
	tti_list_unlink(&n->link);
	note_wait(NULL);
	tti_spin_unlock(&lock);
}

static const struct tti_arm_ops once_arm = { .verb = "once", .enlist = once_enlist, .delist = once_delist };

static int wait_turn(struct once *o, struct call *c)
{
	tt_arm arm = { .ops = &once_arm, .object = o, .value = c };

	return tti_current() != NULL ? tti_wait_arm(&arm, true) : tti_thread_wait_arm(&arm, TT_NEVER);
}

/* ---- running ---- */

static void begin(struct once *o, struct run *r, const struct call *c)
{
	const struct tt_task *t = tti_current();

	*r = (struct run){ .once = o, .runner = runner_here(), .name = c->type->name, .site = c->site };
	r->inside = t != NULL ? t->scope : NULL;
	tti_spin_lock(&lock);
	TT_ASSERT(o->run == NULL);
	o->run = r;
	tti_list_push_front(&runs, &r->link);
	tti_spin_unlock(&lock);
}

static int pause_until(int64_t not_before)
{
	tti_atomic_u32 never = { 0 };

	if (not_before <= tti_env_now())
		return 0;
	if (tti_current() != NULL)
		return tti_sleep_until(not_before);
	while (tti_env_now() < not_before)
		TT_IGNORE(tti_env_futex_wait(&never, 0, not_before));
	return 0;
}

static int run_protected(const struct call *c, void *args, int64_t bound)
{
	tt_scope s;

	tt_scope_open_(&s, bound > 0 ? bound : PROTECT_BOUND, TT_SCOPE_SHIELD_, c->site);
	return tt_scope_end(&s, c->type->run(args));
}

static bool was_cancelled(int rc)
{
	const struct tt_task *t = tti_current();

	return rc == TT_ECANCELED && t != NULL && (t->cancel_bits & TTI_CANCELLED) != 0;
}

/* Under the lock. */
static void put_off(struct once *o)
{
	const tt_once_options *opt = options_of(o);
	int64_t wait = opt->retry_min;

	for (uint32_t i = 0; i < o->failures && wait < opt->retry_max; i++)
		wait = wait > opt->retry_max / 2 ? opt->retry_max : wait * 2;
	o->failures++;
	if (wait <= 0)
		o->not_before = 0;
	else if (__builtin_add_overflow(tti_env_now(), wait, &o->not_before))
		o->not_before = TT_NEVER;
}

/* The end of an attempt: the once is settled for all, or the turn goes to the next. */
static void settle(struct once *o, struct run *r, int rc, bool failed)
{
	bool is_final = rc >= 0 || (failed && options_of(o)->mode == TT_ONCE_RECORD);
	struct tti_list woken;

	tti_list_init(&woken);
	if (rc < 0 && is_final)
		tti_failure_keep(&o->failure, rc);
	tti_spin_lock(&lock);
	tti_list_unlink(&r->link);
	o->run = NULL;
	if (is_final) {
		TTI_PLAIN_WRITE(o->rc, rc);
		tti_claim_waiters(&o->waiters, TTI_WAITERS_ALL, SETTLED, &woken);
		/* release: what the initialiser wrote comes before DONE. Pairs with the acquire of the
		 * fast path. */
		tti_store_release(&o->state, rc >= 0 ? DONE : FAILED);
	} else {
		if (failed)
			put_off(o);
		TTI_SOMETIMES(!failed, "an initialiser is cancelled, and its turn passes on");
		if (tti_claim_waiters(&o->waiters, 1, TAKE_OVER, &woken) == 0)
			/* relaxed: it moves under the lock. */
			tti_store_relaxed(&o->state, IDLE);
	}
	tti_spin_unlock(&lock);
	tti_wake_all(&woken);
}

static int refuse(const struct call *c, void *args, int rc)
{
	if (c->type->drop != NULL)
		c->type->drop(args);
	return rc;
}

/* It is the caller's turn. */
static int attempt(struct once *o, const struct call *c, void *args)
{
	const tt_once_options *opt = options_of(o);
	struct run r;
	int rc;

	begin(o, &r, c);
	/* Written under the lock by the one whose turn it was before. */
	rc = pause_until(o->not_before);
	TTI_SOMETIMES(rc < 0, "a cancel ends the pause before another attempt");
	if (rc < 0) {
		settle(o, &r, rc, false);
		return refuse(c, args, rc);
	}
	if (opt->mode == TT_ONCE_PROTECT && r.inside != NULL)
		rc = run_protected(c, args, opt->bound);
	else
		rc = c->type->run(args);
	settle(o, &r, rc, rc < 0 && !was_cancelled(rc));
	return rc;
}

static int outcome(struct once *o, const struct call *c)
{
	int rc = TTI_PLAIN_READ(o->rc);

	return rc < 0 ? tti_failure_tell(&o->failure, rc, c->type->name, c->site) : rc;
}

intptr_t tt_verb_once_(void *on, const tt_task_type *type, const void *caller_args, const char *site)
{
	struct once *o = on;
	void *args = (void *)(uintptr_t)caller_args;
	struct call c = { .type = type, .site = site };
	int rc;

	/* acquire: pairs with the release in settle(). */
	if (tti_load_acquire(&o->state) == DONE)
		return refuse(&c, args, TTI_PLAIN_READ(o->rc));
	rc = tti_checkpoint();
	if (rc < 0)
		return refuse(&c, args, rc);
	rc = wait_turn(o, &c);
	if (rc == TAKE_OVER)
		return attempt(o, &c, args);
	if (rc == TT_EDEADLK)
		rc = explain_deadlock(&c);
	return refuse(&c, args, rc == SETTLED ? outcome(o, &c) : rc);
}

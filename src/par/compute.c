/* SPDX-License-Identifier: MIT */
/*
 * compute.c - the threads of the compute pool, and what they do when a fork's right side was
 * wanted by another of them. See compute.h for shares and contexts.
 *
 * Heartbeat   After Acar, Chargueraud, Guatto, Rainey, Sieczkowski, "Heartbeat Scheduling:
 *             Provable Efficiency for Nested Parallelism" (PLDI 2018): jobs cost nothing until
 *             a beat comes, which shares the oldest one, and beats are far enough apart that
 *             sharing is paid for by the work between them. Here the beat is given by a thread
 *             that has nothing to do, so that where all are busy nothing ticks; how often one
 *             thread shares is bounded by the clock (BEAT).
 * Beat word   set by exchange only: all of its writes are one release sequence, so whoever takes
 *             it sees every stop that was flagged before any of them.
 * Waiting     Leapfrogging (Wagner and Calder, PPoPP 1993): who waits for a share runs parts
 *             of that share only. Its stack grows by what it waits for, and no further.
 * Sleep       A thread spins, then sleeps on a futex of its own. One sleeper at a time wakes
 *             up now and then to ask again (asker); the others are woken when something is
 *             shared. Who shares picks the sleeper under the lock, where sleepers look once
 *             more before they sleep: no wake-up is lost, and none depends on a timeout.
 * Lock        one spinlock; taken when something is shared, taken or ended, never by a fork.
 * Rejected    A ticking thread: a hundred wake-ups a second and core for nobody. Deques that
 *             thieves read: fences in every fork. Running anything while waiting: rayon #592.
 */
#include "par/compute.h"

#include "base/panic.h"
#include "base/sometimes.h"
#include "wait/wait.h"

#include <stdlib.h>

/* How far apart shares of one thread are at least: sharing and taking cost well under 2 us. */
#define BEAT TT_US(30)
/* Turns of a spin, 15 to 45 ns each; an idle thread asks every ASK_EVERY of them. */
#define SPIN_MAX 1500
#define ASK_EVERY 100
/* How long the asker sleeps, the longer the less there is to have. */
#define NAP_MIN TT_US(100)
#define NAP_MAX TT_MS(2)

__thread tt_par_worker_ *tt_par_here_ __attribute__((tls_model("initial-exec")));
int tti_compute_spin_max = -1;

static struct tt_par_beat_ *beat_of(struct tti_compute_worker *w)
{
	return &w->open.beat;
}

/* ---- stopping ---- */

static void beat_all(struct tti_compute *c)
{
	for (unsigned i = 0; i < c->n_workers; i++)
		/* release: what was flagged before. Pairs with the acquire in beat_take(). */
		tti_exchange_release(beat_of(&c->workers[i]), 1);
}

/* The first failure of a fork counts. */
static void fail(struct tti_compute *c, struct tt_par_share_ *s, enum tti_share_failed who)
{
	uint32_t nobody = TTI_FAILED_NOBODY;

	/* relaxed: who is told by its beat sees it, see "Beat word"; who joins, by DONE. */
	if (tti_cas_relaxed(&s->failed, &nobody, (uint32_t)who))
		beat_all(c);
}

static bool is_stopped(const struct tti_compute_worker *w)
{
	for (struct tt_par_share_ *s = w->context; s != NULL; s = s->outer)
		/* relaxed: nothing is read for it; beat_take() was before. */
		if (tti_load_relaxed(&s->failed) != TTI_FAILED_NOBODY)
			return true;
	return false;
}

int tti_compute_check(struct tti_compute_worker *w)
{
	return is_stopped(w) ? TT_ECANCELED : 0;
}

/* ---- waking ---- */

/* s is part of what w waits for. */
static bool is_part_of(const struct tt_par_share_ *s, const struct tt_par_share_ *whole)
{
	while (s != NULL && s != whole)
		s = s->outer;
	return s != NULL;
}

static bool may_run(const struct tti_compute_worker *w, const struct tt_par_share_ *s)
{
	return w->waits_for == NULL || is_part_of(s->outer, w->waits_for);
}

/* Under the lock: w is on its way out of its sleep. The caller wakes it afterwards. */
static struct tti_compute_worker *rouse(struct tti_compute *c, struct tti_compute_worker *w)
{
	if (w == NULL || !tti_list_linked(&w->sleep_link))
		return NULL;
	tti_list_unlink(&w->sleep_link);
	if (c->asker == w)
		c->asker = NULL;
	return w;
}

static void wake(struct tti_compute_worker *w)
{
	if (w == NULL || w->pool->sim != NULL)
		return;
	/* relaxed: what it is woken for is looked at under the lock. */
	tti_store_relaxed(&w->word, 1);
	tti_env_futex_wake(&w->word, 1);
}

/* Under the lock: a sleeper that may run s. */
static struct tti_compute_worker *rouse_for(struct tti_compute *c, const struct tt_par_share_ *s)
{
	TTI_LIST_FOR_EACH (n, &c->sleepers) {
		struct tti_compute_worker *w = TTI_CONTAINER_OF(n, struct tti_compute_worker, sleep_link);

		if (may_run(w, s))
			return rouse(c, w);
	}
	return NULL;
}

/* Under the lock: another idle thread to ask for work, when the last one found some. */
static struct tti_compute_worker *rouse_asker(struct tti_compute *c)
{
	if (c->asker != NULL || c->regions == 0)
		return NULL;
	TTI_LIST_FOR_EACH (n, &c->sleepers) {
		struct tti_compute_worker *w = TTI_CONTAINER_OF(n, struct tti_compute_worker, sleep_link);

		if (w->waits_for == NULL)
			return rouse(c, w);
	}
	return NULL;
}

/* ---- the queue ---- */

/* Under the lock. */
static void queue_push(struct tti_compute *c, struct tt_par_share_ *s)
{
	/* relaxed: under the lock; the state is read without it only for DONE. */
	tti_store_relaxed(&s->state, TTI_SHARE_QUEUED);
	tti_list_push_back(&c->queue, &s->link);
	/* relaxed: a hint to those who look without the lock. */
	tti_store_relaxed(&c->queued, tti_load_relaxed(&c->queued) + 1);
}

/* Under the lock: s is out of the queue. */
static void queue_remove(struct tti_compute *c, struct tt_par_share_ *s)
{
	tti_list_unlink(&s->link);
	/* relaxed: as in queue_push(). */
	tti_store_relaxed(&s->state, TTI_SHARE_TAKEN);
	/* relaxed: likewise. */
	tti_store_relaxed(&c->queued, tti_load_relaxed(&c->queued) - 1);
}

/* Under the lock: the oldest share that w may run while it waits for `whole`. */
static struct tt_par_share_ *queue_find(struct tti_compute *c, const struct tt_par_share_ *whole)
{
	TTI_LIST_FOR_EACH (n, &c->queue) {
		struct tt_par_share_ *s = TTI_CONTAINER_OF(n, struct tt_par_share_, link);

		if (whole == NULL || is_part_of(s->outer, whole))
			return s;
	}
	return NULL;
}

static struct tt_par_share_ *take(struct tti_compute *c, const struct tt_par_share_ *whole)
{
	struct tti_compute_worker *asker = NULL;
	struct tt_par_share_ *s;

	tti_spin_lock(&c->lock);
	s = queue_find(c, whole);
	if (s != NULL) {
		queue_remove(c, s);
		asker = rouse_asker(c);
	}
	tti_spin_unlock(&c->lock);
	wake(asker);
	return s;
}

/* True: nobody had come for s, it is its owner's again. */
static bool take_back(struct tti_compute *c, struct tt_par_share_ *s)
{
	bool queued;

	tti_spin_lock(&c->lock);
	/* relaxed: under the lock. */
	queued = tti_load_relaxed(&s->state) == TTI_SHARE_QUEUED;
	if (queued)
		queue_remove(c, s);
	tti_spin_unlock(&c->lock);
	return queued;
}

/* ---- running a share ---- */

static void run_or_drop(struct tti_compute_worker *w, struct tt_par_share_ *s)
{
	if (!is_stopped(w)) {
		s->rc = s->type->run(s->args);
		return;
	}
	TTI_SOMETIMES(true, "a share is taken when its fork has failed or is cancelled");
	if (s->type->drop != NULL)
		s->type->drop(s->args);
	s->rc = TT_ECANCELED;
}

/* s may be gone when this returns. */
static void finish(struct tti_compute *c, struct tt_par_share_ *s)
{
	void (*done)(struct tt_par_share_ *) = s->done;
	struct tti_compute_worker *waiter;

	tti_spin_lock(&c->lock);
	waiter = rouse(c, s->waiter);
	if (done != NULL)
		c->regions--;
	/* release: pairs with the acquire in wait_for(). The owner may let s go at once. */
	tti_store_release(&s->state, TTI_SHARE_DONE);
	tti_spin_unlock(&c->lock);
	wake(waiter);
	if (done != NULL)
		done(s);
}

static void run_share(struct tti_compute_worker *w, struct tt_par_share_ *s)
{
	struct tt_par_share_ *context = w->context;
	struct tti_error *record = w->record;

	TT_ASSERT(w->open.tail == &w->open.oldest);
	w->context = s;
	w->record = &s->err;
	tti_error_init(&s->err);
	tti_error_bind_thread(&s->err);
	run_or_drop(w, s);
	TT_ASSERT(w->open.tail == &w->open.oldest);
	TT_ASSERT(w->context == s);
	if (s->rc < 0) {
		tti_error_set_code(&s->err, s->rc);
		fail(w->pool, s, TTI_FAILED_RIGHT);
	} else {
		tti_error_clear(&s->err);
	}
	tti_error_bind_thread(record);
	w->record = record;
	w->context = context;
	finish(w->pool, s);
}

/* ---- having nothing to do ---- */

/* Asks the others to share something. */
static void ask(struct tti_compute_worker *w)
{
	struct tti_compute *c = w->pool;

	for (unsigned i = 0; i < c->n_workers; i++) {
		struct tt_par_beat_ *beat = beat_of(&c->workers[i]);

		/* relaxed: asked already? */
		if (&c->workers[i] != w && tti_load_relaxed(beat) == 0)
			/* relaxed: nothing is passed on by it; an exchange, see "Beat word". */
			tti_exchange_relaxed(beat, 1);
	}
}

bool tti_compute_can_go_on(struct tti_compute_worker *w)
{
	struct tti_compute *c = w->pool;
	bool can;

	tti_spin_lock(&c->lock);
	can = c->closing || queue_find(c, w->waits_for) != NULL;
	/* relaxed: called in simulations only, which have one thread. */
	can |= w->waits_for != NULL &&
	       tti_load_relaxed(&((struct tt_par_share_ *)(uintptr_t)w->waits_for)->state) == TTI_SHARE_DONE;
	tti_spin_unlock(&c->lock);
	return can;
}

/* A share in the queue that w may run while it waits for s. One that waits for a part looks
 * into the queue only now and then: what is there may be no business of its. */
static bool sees_work(struct tti_compute_worker *w, const struct tt_par_share_ *s, bool look)
{
	bool found;

	/* relaxed: a hint; who follows it looks again. */
	if (tti_load_relaxed(&w->pool->queued) == 0 || s == NULL || !look)
		/* relaxed: as above. */
		return s == NULL && tti_load_relaxed(&w->pool->queued) > 0;
	tti_spin_lock(&w->pool->lock);
	found = queue_find(w->pool, s) != NULL;
	tti_spin_unlock(&w->pool->lock);
	return found;
}

static bool spin(struct tti_compute_worker *w, struct tt_par_share_ *s)
{
	unsigned turns = tti_compute_spin_max >= 0 ? (unsigned)tti_compute_spin_max : SPIN_MAX;

	for (unsigned i = 0, pauses = 0; i < turns; i++) {
		if (i % ASK_EVERY == 0)
			ask(w);
		tti_spin_pause(&pauses);
		if (sees_work(w, s, i % ASK_EVERY == 0))
			return true;
		/* relaxed: a hint; who follows it looks again. */
		if (s != NULL && tti_load_relaxed(&s->state) == TTI_SHARE_DONE)
			return true;
	}
	return false;
}

/* Under the lock: true when w is among the sleepers now. */
static bool lie_down(struct tti_compute_worker *w, struct tt_par_share_ *s, bool *ret_timed)
{
	struct tti_compute *c = w->pool;

	if (c->closing || queue_find(c, s) != NULL)
		return false;
	/* relaxed: written under the lock, which is held. */
	if (s != NULL && tti_load_relaxed(&s->state) == TTI_SHARE_DONE)
		return false;
	w->waits_for = s;
	if (s != NULL)
		s->waiter = w;
	if (s == NULL && c->asker == NULL && c->regions > 0)
		c->asker = w;
	*ret_timed = s != NULL || c->asker == w;
	/* relaxed: others write it after they found w among the sleepers, under the lock. */
	tti_store_relaxed(&w->word, 0);
	tti_list_push_front(&c->sleepers, &w->sleep_link);
	return true;
}

static void nap(struct tti_compute_worker *w, struct tt_par_share_ *s, int64_t *nap_ns)
{
	struct tti_compute *c = w->pool;
	bool timed = false, asleep;
	int64_t until;

	tti_spin_lock(&c->lock);
	asleep = lie_down(w, s, &timed);
	tti_spin_unlock(&c->lock);
	if (!asleep)
		return;
	until = timed ? tti_env_now() + *nap_ns : TT_NEVER;
	/* relaxed: as in wake(). */
	while (tti_load_relaxed(&w->word) == 0)
		if (tti_env_futex_wait(&w->word, 0, until) == TT_ETIMEDOUT)
			break;
	*nap_ns = *nap_ns * 2 < NAP_MAX ? *nap_ns * 2 : NAP_MAX;
	tti_spin_lock(&c->lock);
	rouse(c, w);
	w->waits_for = NULL;
	if (s != NULL)
		s->waiter = NULL;
	tti_spin_unlock(&c->lock);
	/* Who took w off the list may wake it only later: then its next nap is short. */
}

/* Nothing to run, while waiting for s or, NULL, for anything. */
static void rest(struct tti_compute_worker *w, struct tt_par_share_ *s, int64_t *nap_ns)
{
	if (w->pool->sim != NULL) {
		w->waits_for = s;
		tti_compute_sim_wait(w);
		w->waits_for = NULL;
		return;
	}
	/* relaxed: a hint to those who would share. */
	tti_fetch_add_relaxed(&w->pool->hungry, 1);
	if (!spin(w, s)) {
		ask(w);
		nap(w, s, nap_ns);
	}
	/* relaxed: as above. */
	tti_fetch_add_relaxed(&w->pool->hungry, (uint32_t)-1);
}

static bool is_closing(struct tti_compute *c)
{
	bool closing;

	tti_spin_lock(&c->lock);
	closing = c->closing && tti_list_empty(&c->queue);
	tti_spin_unlock(&c->lock);
	return closing;
}

void tti_compute_work(struct tti_compute_worker *w)
{
	int64_t nap_ns = NAP_MIN;

	while (!is_closing(w->pool)) {
		struct tt_par_share_ *s = take(w->pool, NULL);

		if (s == NULL) {
			rest(w, NULL, &nap_ns);
			continue;
		}
		nap_ns = NAP_MIN;
		run_share(w, s);
	}
}

/* ---- sharing ---- */

static struct tt_par_share_ *share_new(struct tti_compute_worker *w)
{
	struct tti_list *n = tti_list_pop_front(&w->reserve);
	struct tt_par_share_ *s = n != NULL ? TTI_CONTAINER_OF(n, struct tt_par_share_, link) : tti_env_alloc(sizeof(*s));

	if (s == NULL)
		return NULL;
	tti_list_init(&s->link);
	s->done = NULL;
	s->waiter = NULL;
	s->rc = 0;
	/* relaxed: nobody else knows it yet. */
	tti_store_relaxed(&s->failed, TTI_FAILED_NOBODY);
	return s;
}

static void share_put(struct tti_compute_worker *w, struct tt_par_share_ *s)
{
	TT_ASSERT(w->context == s);
	w->context = s->outer;
	tti_list_push_front(&w->reserve, &s->link);
}

struct tt_par_share_ *tti_compute_share(struct tti_compute_worker *w, const tt_task_type *type, void *args)
{
	struct tti_compute *c = w->pool;
	struct tti_compute_worker *sleeper;
	struct tt_par_share_ *s = share_new(w);

	if (s == NULL)
		return NULL;
	s->type = type;
	s->args = args;
	s->outer = w->context;
	w->context = s;
	tti_spin_lock(&c->lock);
	queue_push(c, s);
	sleeper = rouse_for(c, s);
	tti_spin_unlock(&c->lock);
	wake(sleeper);
	return s;
}

/* Somebody is idle, more than is queued, and the last share was long enough ago. */
static bool sharing_pays(struct tti_compute_worker *w)
{
	struct tti_compute *c = w->pool;
	int64_t now;

	if (c->sim != NULL)
		return tti_compute_sim_shares(w);
	/* relaxed: hints. */
	if (tti_load_relaxed(&c->hungry) <= tti_load_relaxed(&c->queued))
		return false;
	now = tti_env_now();
	if (now - w->shared_at < BEAT)
		return false;
	w->shared_at = now;
	return true;
}

static void share_oldest(struct tti_compute_worker *w)
{
	tt_par_job_ *j = w->open.oldest.next;

	j->share = tti_compute_share(w, j->type, j->args);
	if (j->share == NULL)
		return;
	w->open.oldest.next = j->next;
	if (j->next != NULL)
		j->next->prev = &w->open.oldest;
	else
		w->open.tail = &w->open.oldest;
}

static void beat_take(struct tti_compute_worker *w)
{
	/* acquire: pairs with the release in beat_all(), also when others asked since. */
	tti_exchange_acquire(beat_of(w), 0);
}

int tti_compute_attend(struct tti_compute_worker *w, bool *ret_wanted)
{
	*ret_wanted = false;
	if (w->pool->sim != NULL)
		tti_compute_sim_point(w);
	beat_take(w);
	if (is_stopped(w) || w->pool->sim != NULL)
		/* So that the next fork comes here as well.
		 * relaxed: this thread takes it again; an exchange, see "Beat word". */
		tti_exchange_relaxed(beat_of(w), 1);
	if (is_stopped(w))
		return TT_ECANCELED;
	if (!sharing_pays(w))
		return 0;
	if (w->open.oldest.next != NULL)
		share_oldest(w);
	else
		*ret_wanted = true;
	return 0;
}

/* ---- joining ---- */

static void wait_for(struct tti_compute_worker *w, struct tt_par_share_ *s)
{
	int64_t nap_ns = NAP_MIN;

	/* acquire: pairs with the release in finish(). */
	while (tti_load_acquire(&s->state) != TTI_SHARE_DONE) {
		struct tt_par_share_ *part = take(w->pool, s);

		TTI_SOMETIMES(part != NULL, "who waits for a share runs a part of it");
		if (part != NULL)
			run_share(w, part);
		else
			rest(w, s, &nap_ns);
	}
}

/* Both sides have ended: the first failure is the fork's, the other's is its sibling; an echo
 * of the stop is neither. */
static int settle(struct tti_compute_worker *w, struct tt_par_share_ *s, int rc)
{
	struct tti_error *here = w->record;
	/* relaxed: set by this thread, or before DONE by the one that ran it. */
	uint32_t first = tti_load_relaxed(&s->failed);

	TTI_SOMETIMES(rc < 0 && rc != TT_ECANCELED && s->rc < 0 && s->rc != TT_ECANCELED, "both sides of a fork fail");
	if (first == TTI_FAILED_RIGHT) {
		if (rc < 0 && rc != TT_ECANCELED) {
			tti_error_set_code(here, rc);
			tti_error_add_sibling(&s->err, here);
		}
		tti_error_move(here, &s->err);
		return s->rc;
	}
	if (first == TTI_FAILED_LEFT && s->rc < 0 && s->rc != TT_ECANCELED) {
		tti_error_set_code(here, rc);
		tti_error_add_sibling(here, &s->err);
	}
	tti_error_clear(&s->err);
	return first == TTI_FAILED_LEFT ? rc : 0;
}

/* Nobody came for it: as if it had not been shared. */
static int run_in_place(struct tti_compute_worker *w, struct tt_par_share_ *s, int rc)
{
	const tt_task_type *type = s->type;
	void *args = s->args;

	share_put(w, s);
	if (rc >= 0 && is_stopped(w))
		rc = TT_ECANCELED;
	if (rc >= 0) {
		rc = type->run(args);
		return rc < 0 ? rc : 0;
	}
	if (type->drop != NULL)
		type->drop(args);
	return rc;
}

int tti_compute_join(struct tti_compute_worker *w, struct tt_par_share_ *s, int rc)
{
	TT_ASSERT(w->context == s);
	if (w->pool->sim != NULL)
		tti_compute_sim_point(w);
	if (take_back(w->pool, s))
		return run_in_place(w, s, rc);
	if (rc < 0)
		fail(w->pool, s, TTI_FAILED_LEFT);
	wait_for(w, s);
	rc = settle(w, s, rc);
	share_put(w, s);
	return rc;
}

/* ---- the rare halves of tt_fork2 ---- */

static void drop_args(const tt_task_type *type, void *args)
{
	if (type->drop != NULL)
		type->drop(args);
}

int tt_fork2_beat_(tt_par_worker_ *open)
{
	bool wanted;

	return tti_compute_attend((struct tti_compute_worker *)(void *)open, &wanted);
}

int tt_fork2_stopped_(tt_par_worker_ *w, tt_par_job_ *job, const tt_task_type *left, void *left_args, int rc)
{
	tt_par_pop_(w, job);
	drop_args(left, left_args);
	drop_args(job->type, job->args);
	return rc;
}

int tt_fork2_join_(tt_par_worker_ *open, tt_par_job_ *job, int rc)
{
	struct tti_compute_worker *w = (struct tti_compute_worker *)(void *)open;

	if (job->share != NULL)
		return tti_compute_join(w, job->share, rc);
	tt_par_pop_(open, job);
	/* acquire: pairs with the release in beat_all(). It stays set: who asked for a share is
	 * heard at the next fork. */
	if (rc >= 0)
		tti_exchange_acquire(beat_of(w), 1);
	if (rc >= 0 && !is_stopped(w)) {
		rc = job->type->run(job->args);
		return rc < 0 ? rc : 0;
	}
	drop_args(job->type, job->args);
	return rc < 0 ? rc : TT_ECANCELED;
}

/* ---- regions ---- */

void tti_compute_submit(struct tti_compute *c, struct tt_par_share_ *s)
{
	struct tti_compute_worker *runner, *asker;

	s->outer = NULL;
	s->waiter = NULL;
	s->rc = 0;
	tti_list_init(&s->link);
	/* relaxed: nobody else knows it yet. */
	tti_store_relaxed(&s->failed, TTI_FAILED_NOBODY);
	tti_spin_lock(&c->lock);
	c->regions++;
	queue_push(c, s);
	runner = rouse_for(c, s);
	asker = rouse_asker(c);
	tti_spin_unlock(&c->lock);
	wake(runner);
	wake(asker);
}

bool tti_compute_withdraw(struct tti_compute *c, struct tt_par_share_ *s)
{
	bool mine = take_back(c, s);

	if (mine) {
		tti_spin_lock(&c->lock);
		c->regions--;
		tti_spin_unlock(&c->lock);
	}
	return mine;
}

void tti_compute_stop(struct tti_compute *c, struct tt_par_share_ *s)
{
	fail(c, s, TTI_FAILED_LEFT);
}

/* ---- the pool of a runtime ---- */

struct tti_compute *tti_compute_new(unsigned n, const struct tti_env_ops *env)
{
	struct tti_compute *c = tti_env_zalloc(sizeof(*c) + n * sizeof(c->workers[0]));

	if (c == NULL)
		return NULL;
	tti_spin_init(&c->lock);
	tti_list_init(&c->queue);
	tti_list_init(&c->sleepers);
	c->env = env;
	c->n_workers = n;
	for (unsigned i = 0; i < n; i++) {
		struct tti_compute_worker *w = &c->workers[i];

		w->pool = c;
		w->open.tail = &w->open.oldest;
		tti_list_init(&w->reserve);
		tti_list_init(&w->sleep_link);
	}
	return c;
}

void tti_compute_free(struct tti_compute *c)
{
	TT_ASSERT(tti_list_empty(&c->queue));
	for (unsigned i = 0; i < c->n_workers; i++) {
		struct tti_list *n;

		while ((n = tti_list_pop_front(&c->workers[i].reserve)) != NULL)
			tti_env_free(TTI_CONTAINER_OF(n, struct tt_par_share_, link));
	}
	tti_env_free(c);
}

/* tt_checkpoint() in a body: the only place where one that does not fork can share older jobs. */
static int body_checkpoint(void)
{
	struct tti_compute_worker *w = tti_compute_here();
	bool wanted;

	/* relaxed: a wish; what stands behind it is read after an exchange. */
	return tti_load_relaxed(beat_of(w)) != 0 ? tti_compute_attend(w, &wanted) : 0;
}

void tti_compute_enter(struct tti_compute_worker *w)
{
	tt_par_here_ = w != NULL ? &w->open : NULL;
	tti_job_checkpoint = w != NULL ? body_checkpoint : NULL;
}

static void thread_main(void *arg)
{
	struct tti_compute_worker *w = arg;

	tti_env_bind(w->pool->env);
	tti_compute_enter(w);
	tti_compute_work(w);
	tti_compute_enter(NULL);
}

/* TUTTI_COMPUTE, else one for each processor. */
static unsigned thread_count(void)
{
	const char *text = tti_env_var("TUTTI_COMPUTE");
	unsigned long n;
	char *end;

	if (text == NULL)
		return tti_env_cpu_count();
	n = strtoul(text, &end, 10);
	TT_REQUIRE(end != text && *end == '\0' && n >= 1 && n <= 1024,
	           "environment variable TUTTI_COMPUTE: \"%s\" is not a number from 1 to 1024", text);
	return (unsigned)n;
}

void tti_compute_close(struct tti_compute *c)
{
	struct tti_compute_worker *w;

	tti_spin_lock(&c->lock);
	c->closing = true;
	tti_spin_unlock(&c->lock);
	do {
		struct tti_list *n;

		tti_spin_lock(&c->lock);
		n = tti_list_first(&c->sleepers);
		w = n != NULL ? rouse(c, TTI_CONTAINER_OF(n, struct tti_compute_worker, sleep_link)) : NULL;
		tti_spin_unlock(&c->lock);
		wake(w);
	} while (w != NULL);
}

/* As many threads as can be had; a pool without any is none. */
static int start(struct tti_runtime *rt, struct tti_compute **ret)
{
	unsigned wanted = thread_count(), n = 0;
	struct tti_compute *c = tti_compute_new(wanted, rt->env);
	int rc = 0;

	if (c == NULL)
		return TT_ENOMEM;
	tti_spin_lock(&c->lock);
	for (; n < wanted && rc == 0; n += rc == 0) {
		c->workers[n].thread.fn = thread_main;
		c->workers[n].thread.arg = &c->workers[n];
		rc = tti_env_thread_start(&c->workers[n].thread, "tt-compute");
	}
	/* A thread looks at it after it has had the lock. */
	c->n_workers = n;
	tti_spin_unlock(&c->lock);
	if (n == 0) {
		tti_compute_free(c);
		return rc;
	}
	*ret = c;
	return 0;
}

static void stop(struct tti_compute *c)
{
	tti_compute_close(c);
	for (unsigned i = 0; i < c->n_workers; i++)
		tti_env_thread_join(&c->workers[i].thread);
	tti_compute_free(c);
}

static int pool_of(struct tti_runtime *rt, struct tti_compute **ret)
{
	tti_atomic_ptr *slot = tti_compute_slot(rt);
	struct tti_compute *c;
	void *none = NULL;
	int rc;

	if (slot == NULL)
		return TT_ENOMEM;
	/* acquire: pairs with the release below. */
	c = tti_load_acquire(slot);
	if (c == NULL) {
		rc = start(rt, &c);
		if (rc < 0)
			return rc;
		/* release: pairs with the acquires around; two workers may come at once. */
		if (!tti_cas_release(slot, &none, (void *)c)) {
			stop(c);
			/* acquire: pairs with the release above, by who was faster. */
			c = tti_load_acquire(slot);
		}
	}
	*ret = c;
	return 0;
}

void tti_compute_shutdown(struct tti_runtime *rt)
{
	tti_atomic_ptr *slot = tti_compute_slot_if_any(rt);

	if (slot == NULL)
		return;
	/* relaxed: the workers have left their loops. */
	if (tti_load_relaxed(slot) != NULL)
		stop(tti_load_relaxed(slot)); /* relaxed: as above */
	/* relaxed: as above. */
	tti_store_relaxed(slot, NULL);
}

/* ---- a task's region ---- */

struct region {
	struct tt_par_share_ share;
	struct tti_waiter waiter;
	struct tti_msg msg;
	struct tti_home *home;
	struct tti_compute *pool;
	bool withdrawn;
};

static void region_back(struct tti_msg *m)
{
	struct region *r = TTI_CONTAINER_OF(m, struct region, msg);

	if (tti_claim(&r->waiter))
		tti_wake(&r->waiter);
}

static void region_done(struct tt_par_share_ *s)
{
	struct region *r = TTI_CONTAINER_OF(s, struct region, share);

	r->home->ops->post(r->home, &r->msg);
}

/* A region that has begun ends first; its bodies hear of the cancel. */
static void region_abort(struct tti_waiter *w)
{
	struct region *r = TTI_CONTAINER_OF(w, struct region, waiter);

	if (tti_compute_withdraw(r->pool, &r->share)) {
		r->withdrawn = true;
		tti_abort_by_claim(w);
		return;
	}
	tti_compute_stop(r->pool, &r->share);
}

static int region_in_pool(struct tti_runtime *rt, struct region *r, const char *site)
{
	int rc = pool_of(rt, &r->pool);

	if (rc < 0)
		return rc;
	r->home = tti_home_here;
	r->msg.handle = region_back;
	r->share.done = region_done;
	r->withdrawn = false;
	tti_waiter_init(&r->waiter, r->share.why, NULL);
	r->waiter.abort = region_abort;
	r->waiter.reason.site = site;
	tti_compute_submit(r->pool, &r->share);
	tti_park(&r->waiter);
	return r->withdrawn ? TT_ECANCELED : 0;
}

/* The arguments of a region that has not begun. */
static int refuse(const tt_task_type *type, void *args, int rc)
{
	if (type->drop != NULL)
		type->drop(args);
	return rc;
}

int tti_compute_region(const tt_task_type *type, void *args, const char *call, const char *site)
{
	struct tt_task *t = tti_current_or_panic(call);
	struct tti_runtime *rt;
	struct region r;
	int rc;

	if (t == NULL)
		return refuse(type, args, TT_EWRONGCTX);
	rc = tti_checkpoint();
	if (rc < 0)
		return refuse(type, args, rc);
	rt = tti_worker_here()->rt;
	r.share.type = type;
	r.share.args = args;
	r.share.why = call;
	rc = rt->offload != NULL ? tti_compute_sim_region(rt, &r.share, site) : region_in_pool(rt, &r, site);
	if (rc < 0)
		return refuse(type, args, rc);
	rc = r.share.rc;
	if (rc < 0)
		tti_error_move(&t->err, &r.share.err);
	tti_error_clear(&r.share.err);
	return rc < 0 ? rc : 0;
}

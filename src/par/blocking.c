/* SPDX-License-Identifier: MIT */
/*
 * blocking.c - the elastic pool behind tt_blocking(): a thread is started when a job
 * finds none idle and the class is under its cap, and ends after ten idle seconds.
 *
 * Lock        one spinlock per class guards queue, idle list and counts. Threads sleep on
 *             a futex of their own, outside it.
 * Spin        An idle thread spins before it sleeps, because a wake-up costs more than most
 *             jobs: one thread of a class at a time, and longer the more often a job came
 *             meanwhile. Who hands over to one that spins makes no system call.
 *
 *      word     ASLEEP <---- gives up ---- SPINNING
 *                  \---> HANDED_OVER <-------/         then read t->job
 * Invariants  A queued job implies that a thread of its class runs (n_running > 0), and a
 *             thread leaves only under the lock that finds the queue empty: no job is left
 *             behind for ever. A failure to start a thread (EAGAIN) is reported only when
 *             none runs; one that is just being started does not count.
 *             An idle thread is on the idle list; whoever takes it off hands it a job.
 */
#include "par/blocking.h"

#include <tutti/blocking.h>

#include <string.h>

#include "base/panic.h"
#include "base/sometimes.h"
#include "wait/wait.h"

#define IDLE_FOR TT_SEC(10)

/* Turns of the spin; one is 15 to 45 ns. */
#define SPIN_MIN 32
#define SPIN_MAX 2048

static const unsigned class_cap[TTI_JOB_CLASSES] = {
	[TTI_JOB_USER] = 512, [TTI_JOB_FILES] = 64, [TTI_JOB_DNS] = 8,
};

enum thread_word { ASLEEP, SPINNING, HANDED_OVER };

int tti_blocking_spin_max = -1;

/* Where there is one processor, a thread that spins keeps away the one it waits for. */
static unsigned spin_max(void)
{
	if (tti_blocking_spin_max >= 0)
		return (unsigned)tti_blocking_spin_max;
	return tti_env_cpu_count() > 1 ? SPIN_MAX : 0;
}

struct pool_thread {
	struct tti_thread thread;
	struct tti_list link;                /* in idle, or in ended; guarded by the lock */
	struct pool *pool;
	struct tti_job *job;                 /* handed over; guarded by the lock until woken */
	tti_atomic_u32 word;                 /* futex: enum thread_word */
	bool idle;                           /* guarded by the lock */
};

struct pool {
	tti_spin lock;
	struct tti_list queue;               /* jobs nobody runs yet */
	struct tti_list idle;                /* newest first */
	struct tti_list ended;               /* threads to join */
	unsigned n_threads, cap;             /* started or being started; its bound */
	unsigned n_running;                  /* of those that have come to life and not left */
	bool closing;
	bool spinner;                        /* a thread spins; guarded by the lock */
	unsigned spins, spins_max;           /* turns the next one spins; guarded by the lock */
	const struct tti_env_ops *env;       /* of the runtime; bound by each thread */
};

struct pools {
	struct pool classes[TTI_JOB_CLASSES];
	tti_atomic_ptr compute;              /* compute.c */
};

/* ---- threads ---- */

void tti_job_execute(struct tti_job *j)
{
	struct tti_error *before;

	tti_error_init(&j->err);
	before = tti_error_bind_thread(&j->err);
	j->run(j);
	tti_error_bind_thread(before);
	j->home->ops->post(j->home, &j->msg);
}

static struct tti_job *queue_pop(struct pool *p)
{
	struct tti_list *n = tti_list_pop_front(&p->queue);
	struct tti_job *j;

	if (n == NULL)
		return NULL;
	j = TTI_CONTAINER_OF(n, struct tti_job, link);
	j->queued = false;
	return j;
}

/* Under the lock: this thread takes no more jobs, and may be joined. */
static void leave(struct pool *p, struct pool_thread *t)
{
	p->n_threads--;
	p->n_running--;
	tti_list_push_back(&p->ended, &t->link);
}

/* Leaves after ten quiet seconds, unless a job was handed over just then. */
static bool leave_if_idle(struct pool *p, struct pool_thread *t)
{
	bool gone;

	tti_spin_lock(&p->lock);
	gone = t->idle;
	if (gone) {
		t->idle = false;
		tti_list_unlink(&t->link);
		leave(p, t);
	}
	tti_spin_unlock(&p->lock);
	return gone;
}

/* Twice as long after a spin that paid, half as long after one that did not. */
static void spin_ended(struct pool *p, bool paid)
{
	unsigned most = p->spins_max, least = most < SPIN_MIN ? most : SPIN_MIN;

	tti_spin_lock(&p->lock);
	p->spinner = false;
	p->spins = paid ? p->spins * 2 : p->spins / 2;
	p->spins = p->spins > most ? most : p->spins < least ? least : p->spins;
	tti_spin_unlock(&p->lock);
}

static void spin_for_job(struct pool *p, struct pool_thread *t, unsigned turns)
{
	uint32_t spinning = SPINNING;
	bool paid = false;

	for (unsigned i = 0; i < turns && !paid; i++) {
		tti_cpu_relax();
		/* relaxed: wait_for_job() acquires it. */
		paid = tti_load_relaxed(&t->word) == HANDED_OVER;
	}
	/* relaxed: as above; hand_over() wakes us once it finds ASLEEP. */
	if (!paid)
		paid = !tti_cas_relaxed(&t->word, &spinning, ASLEEP);
	spin_ended(p, paid);
}

/* NULL: the thread has left the pool. */
static struct tti_job *wait_for_job(struct pool *p, struct pool_thread *t, unsigned spins)
{
	int64_t until = 0;

	if (spins > 0)
		spin_for_job(p, t, spins);
	/* acquire: pairs with the release in hand_over(). */
	while (tti_load_acquire(&t->word) != HANDED_OVER) {
		if (until == 0)
			until = tti_env_now() + IDLE_FOR;
		if (tti_env_futex_wait(&t->word, ASLEEP, until) == TT_ETIMEDOUT && leave_if_idle(p, t))
			return NULL;
	}
	if (t->job == NULL) {
		tti_spin_lock(&p->lock);
		leave(p, t);
		tti_spin_unlock(&p->lock);
	}
	return t->job;
}

/* NULL: the thread has left the pool. */
static struct tti_job *next_job(struct pool *p, struct pool_thread *t)
{
	struct tti_job *j;
	unsigned spins = 0;
	bool wait;

	tti_spin_lock(&p->lock);
	j = queue_pop(p);
	wait = j == NULL && !p->closing;
	if (wait) {
		spins = p->spinner ? 0 : p->spins;
		p->spinner |= spins > 0;
		t->job = NULL;
		/* relaxed: others write it only after they found t on the list, under the lock. */
		tti_store_relaxed(&t->word, spins > 0 ? SPINNING : ASLEEP);
		t->idle = true;
		tti_list_push_front(&p->idle, &t->link);
	} else if (j == NULL) {
		leave(p, t);
	}
	tti_spin_unlock(&p->lock);
	return wait ? wait_for_job(p, t, spins) : j;
}

static void thread_main(void *arg)
{
	struct pool_thread *t = arg;
	struct pool *p = t->pool;
	struct tti_job *j = t->job;

	tti_env_bind(p->env);
	tti_spin_lock(&p->lock);
	p->n_running++;
	tti_spin_unlock(&p->lock);
	while (j != NULL) {
		tti_job_execute(j);
		j = next_job(p, t);
	}
}

static void reap_ended(struct pool *p)
{
	for (;;) {
		struct tti_list *n;

		tti_spin_lock(&p->lock);
		n = tti_list_pop_front(&p->ended);
		tti_spin_unlock(&p->lock);
		if (n == NULL)
			return;
		tti_env_thread_join(&TTI_CONTAINER_OF(n, struct pool_thread, link)->thread);
		tti_env_free(TTI_CONTAINER_OF(n, struct pool_thread, link));
	}
}

static int start_thread(struct pool *p, struct tti_job *j)
{
	struct pool_thread *t = tti_env_zalloc(sizeof(*t));
	int rc;

	if (t == NULL)
		return TT_ENOMEM;
	t->pool = p;
	t->job = j;
	t->thread.fn = thread_main;
	t->thread.arg = t;
	tti_list_init(&t->link);
	rc = tti_env_thread_start(&t->thread, "tt-blocking");
	if (rc < 0)
		tti_env_free(t);
	return rc;
}

/* ---- jobs ---- */

static void hand_over(struct pool_thread *t)
{
	/* release: pairs with the acquire in wait_for_job(). The thread may be gone after. */
	if (tti_exchange_release(&t->word, HANDED_OVER) == ASLEEP)
		tti_env_futex_wake(&t->word, 1);
}

static void enqueue(struct pool *p, struct tti_job *j)
{
	j->queued = true;
	tti_list_push_back(&p->queue, &j->link);
}

/* Under the lock: a thread that waits gets j; NULL when none waits. */
static struct pool_thread *take_idle(struct pool *p, struct tti_job *j)
{
	struct tti_list *n = tti_list_pop_front(&p->idle);
	struct pool_thread *t = n != NULL ? TTI_CONTAINER_OF(n, struct pool_thread, link) : NULL;

	if (t != NULL) {
		t->idle = false;
		t->job = j;
	}
	return t;
}

/* No thread could be started: j goes to one that became idle meanwhile, or waits for one
 * that runs, if there is any. */
static int settle_without_thread(struct pool *p, struct tti_job *j, int code)
{
	struct pool_thread *t;

	tti_spin_lock(&p->lock);
	p->n_threads--;
	t = take_idle(p, j);
	if (t != NULL || p->n_running > 0)
		code = 0;
	if (t == NULL && code == 0)
		enqueue(p, j);
	tti_spin_unlock(&p->lock);
	if (t != NULL)
		hand_over(t);
	return code;
}

static int pool_submit(struct pool *p, struct tti_job *j)
{
	struct pool_thread *t;
	bool start = false;
	int rc;

	reap_ended(p);
	tti_spin_lock(&p->lock);
	t = take_idle(p, j);
	/* Those that are only being started may all fail: nothing is queued on their account. */
	if (t == NULL && (p->n_threads < p->cap || p->n_running == 0)) {
		p->n_threads++;
		start = true;
	} else if (t == NULL) {
		enqueue(p, j);
	}
	tti_spin_unlock(&p->lock);
	if (t != NULL)
		hand_over(t);
	if (!start)
		return 0;
	rc = start_thread(p, j);
	return rc < 0 ? settle_without_thread(p, j, rc) : 0;
}

static void pool_init(struct pool *p, unsigned cap, unsigned spins, const struct tti_env_ops *env)
{
	tti_spin_init(&p->lock);
	tti_list_init(&p->queue);
	tti_list_init(&p->idle);
	tti_list_init(&p->ended);
	p->cap = cap;
	p->env = env;
	p->spins = p->spins_max = spins;
}

static struct pools *pools_of(struct tti_runtime *rt)
{
	/* acquire: pairs with the release below. */
	struct pools *ps = tti_load_acquire(&rt->blocking_pool);
	void *none = NULL;
	unsigned spins;

	if (ps != NULL)
		return ps;
	ps = tti_env_zalloc(sizeof(*ps));
	if (ps == NULL)
		return NULL;
	spins = spin_max();
	for (int c = 0; c < TTI_JOB_CLASSES; c++)
		pool_init(&ps->classes[c], class_cap[c], spins, rt->env);
	/* release: pairs with the acquire above; two workers may come at once. */
	if (tti_cas_release(&rt->blocking_pool, &none, (void *)ps))
		return ps;
	tti_env_free(ps);
	/* acquire: pairs with the release above, by who was faster. */
	return tti_load_acquire(&rt->blocking_pool);
}

tti_atomic_ptr *tti_compute_slot(struct tti_runtime *rt)
{
	struct pools *ps = pools_of(rt);

	return ps != NULL ? &ps->compute : NULL;
}

tti_atomic_ptr *tti_compute_slot_if_any(struct tti_runtime *rt)
{
	/* relaxed: the workers have ended, and their end orders all they did. */
	struct pools *ps = tti_load_relaxed(&rt->blocking_pool);

	return ps != NULL ? &ps->compute : NULL;
}

int tti_job_submit(struct tti_job *j, enum tti_job_class c)
{
	struct tti_runtime *rt = tti_worker_here()->rt;
	struct pools *ps;

	j->home = tti_home_here;
	j->job_class = (uint8_t)c;
	j->queued = false;
	tti_list_init(&j->link);
	if (rt->offload != NULL) {
		rt->offload(rt, j);
		return 0;
	}
	ps = pools_of(rt);
	return ps != NULL ? pool_submit(&ps->classes[c], j) : TT_ENOMEM;
}

bool tti_job_withdraw(struct tti_job *j)
{
	struct tti_runtime *rt = tti_worker_of(j->home)->rt;
	struct pools *ps;
	struct pool *p;
	bool queued;

	if (rt->offload != NULL)
		return rt->withdraw(rt, j);
	/* relaxed: this worker submitted the job, and acquired the pool then. */
	ps = tti_load_relaxed(&rt->blocking_pool);
	p = &ps->classes[j->job_class];
	tti_spin_lock(&p->lock);
	queued = j->queued;
	if (queued) {
		j->queued = false;
		tti_list_unlink(&j->link);
	}
	tti_spin_unlock(&p->lock);
	return queued;
}

static void pool_shutdown(struct pool *p)
{
	struct pool_thread *t;
	unsigned left, turns = 0;

	do {
		tti_spin_lock(&p->lock);
		p->closing = true;
		t = take_idle(p, NULL);
		left = p->n_threads;
		tti_spin_unlock(&p->lock);
		if (t != NULL)
			hand_over(t);
		else if (left > 0)
			tti_spin_pause(&turns); /* its job came back, it is about to look at closing */
		reap_ended(p);
	} while (left > 0);
}

void tti_blocking_shutdown(struct tti_runtime *rt)
{
	/* relaxed: the workers have ended, and their end orders all they did. */
	struct pools *ps = tti_load_relaxed(&rt->blocking_pool);

	if (ps == NULL)
		return;
	for (int c = 0; c < TTI_JOB_CLASSES; c++)
		pool_shutdown(&ps->classes[c]);
	/* relaxed: the workers have ended. */
	tti_store_relaxed(&rt->blocking_pool, NULL);
	tti_env_free(ps);
}

/* ---- tt_blocking ---- */

struct call {
	struct tti_job job;
	struct call_wait *wait;              /* home's thread only; NULL once abandoned */
	const struct tt_task_type *type;
	void *args;                          /* the caller's, or a copy behind this record */
	int rc;
};

/* In the frame of the task that waits. */
struct call_wait {
	struct tti_waiter waiter;
	struct call *call;
	bool abandoned;
};

static void call_run(struct tti_job *j)
{
	struct call *c = TTI_CONTAINER_OF(j, struct call, job);

	c->rc = c->type->run(c->args);
}

static void call_back(struct tti_msg *m)
{
	struct call *c = TTI_CONTAINER_OF(m, struct call, job.msg);

	if (c->wait == NULL) {
		TTI_SOMETIMES(true, "an abandoned job comes back");
		tti_error_clear(&c->job.err);
		tti_env_free(c);
		return;
	}
	if (tti_claim(&c->wait->waiter))
		tti_wake(&c->wait->waiter);
}

/* A cancelled task withdraws a job that has not begun; one that runs has the caller's
 * frame in its hands and is waited for. */
static void abort_or_wait(struct tti_waiter *w)
{
	bool withdrawn = tti_job_withdraw(&TTI_CONTAINER_OF(w, struct call_wait, waiter)->call->job);

	TTI_SOMETIMES(withdrawn, "a job is withdrawn before it began");
	TTI_SOMETIMES(!withdrawn, "a cancelled task waits for its job to end");
	if (withdrawn)
		tti_abort_by_claim(w);
}

/* The same for one with a record and arguments of its own: it goes on without us. */
static void abort_or_abandon(struct tti_waiter *w)
{
	struct call_wait *wait = TTI_CONTAINER_OF(w, struct call_wait, waiter);

	if (!tti_job_withdraw(&wait->call->job)) {
		TTI_SOMETIMES(true, "a job that runs is abandoned");
		wait->abandoned = true;
		wait->call->wait = NULL;
	}
	tti_abort_by_claim(w);
}

static int refuse(const struct tt_task_type *type, const void *args, int rc)
{
	if (type->drop != NULL)
		type->drop((void *)(uintptr_t)args);
	return rc;
}

/* Hands the job over and waits. 0: it ran; a code: it did not, or *ret_abandoned. */
static int call_and_wait(struct call *c, enum tti_job_class job_class, void (*abort)(struct tti_waiter *),
                         const char *site, bool *ret_abandoned)
{
	struct call_wait wait = { .call = c };
	int rc;

	c->wait = &wait;
	c->job.run = call_run;
	c->job.msg.handle = call_back;
	tti_waiter_init(&wait.waiter, "blocking call", (const void *)c->type);
	wait.waiter.abort = abort;
	wait.waiter.reason.site = site;
	rc = tti_job_submit(&c->job, job_class);
	if (rc < 0)
		return rc;
	tti_park(&wait.waiter);
	*ret_abandoned = wait.abandoned;
	return wait.waiter.rc;
}

/* It ran to its end: the task gets what explains its code. */
static int call_result(struct call *c)
{
	if (c->rc < 0) {
		tti_error_set_code(&c->job.err, c->rc);
		tti_error_move(&tti_current()->err, &c->job.err);
	}
	tti_error_clear(&c->job.err);
	return c->rc;
}

static int call_and_stay(enum tti_job_class job_class, const struct tt_task_type *type, const void *args,
                         const char *site)
{
	struct call c;
	bool abandoned;
	int rc;

	c.type = type;
	c.args = (void *)(uintptr_t)args;
	rc = call_and_wait(&c, job_class, abort_or_wait, site, &abandoned);
	return rc < 0 ? refuse(type, args, rc) : call_result(&c);
}

static int call_and_leave(enum tti_job_class job_class, const struct tt_task_type *type, const void *args,
                          const char *site)
{
	size_t align = type->align > 16 ? type->align : 16;
	struct call *c = tti_env_alloc(sizeof(*c) + align + type->size);
	bool abandoned = false;
	int rc;

	if (c == NULL)
		return refuse(type, args, TT_ENOMEM);
	c->type = type;
	c->args = (void *)(((uintptr_t)(c + 1) + align - 1) & ~(uintptr_t)(align - 1));
	if (type->size > 0)
		memcpy(c->args, args, type->size);
	rc = call_and_wait(c, job_class, abort_or_abandon, site, &abandoned);
	if (abandoned)
		return rc;
	rc = rc < 0 ? refuse(type, c->args, rc) : call_result(c);
	tti_env_free(c);
	return rc;
}

int tti_blocking_call(enum tti_job_class job_class, enum tti_job_cancel cancel, const struct tt_task_type *type,
                      const void *args, const char *site)
{
	int rc = tti_checkpoint();

	if (rc < 0)
		return refuse(type, args, rc);
	return cancel == TTI_ABANDON ? call_and_leave(job_class, type, args, site)
	                             : call_and_stay(job_class, type, args, site);
}

intptr_t tt_verb_blocking_(void *on, const tt_task_type *type, const void *args, const char *site)
{
	(void)on;
	if (tti_current_or_panic("tt_blocking") == NULL)
		return refuse(type, args, TT_EWRONGCTX);
	return tti_blocking_call(TTI_JOB_USER, TTI_WAIT, type, args, site);
}

intptr_t tt_verb_blocking_abandon_(void *on, const tt_task_type *type, const void *args, const char *site)
{
	(void)on;
	if (tti_current_or_panic("tt_blocking_abandon") == NULL)
		return refuse(type, args, TT_EWRONGCTX);
	return tti_blocking_call(TTI_JOB_USER, TTI_ABANDON, type, args, site);
}

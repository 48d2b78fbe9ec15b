/* SPDX-License-Identifier: MIT */
/*
 * signal.c - signals as streams. The handler sets a bit and posts one message to worker
 * 0; there the bits are handed to the streams that own them, or to tt_main().
 *
 * Lock        hub.lock guards owners and streams, and who takes the hub; never taken by the
 *             handler.
 * Rejected    signalfd: it needs the signals blocked in every thread of the process,
 *             threads the runtime did not start among them.
 */
#include <signal.h>

#include <tutti/select.h>
#include <tutti/signal.h>

#include "base/panic.h"
#include "base/sometimes.h"
#include "net/signal_hub.h"
#include "wait/wait.h"

#define SIGNALS 64

struct stream {
	uint64_t mask, pending;              /* bit n-1 for signal n; pending guarded by hub.lock */
	struct tti_list waiters;             /* nodes of those who wait; guarded by hub.lock */
	bool open;
};

_Static_assert(sizeof(struct stream) <= sizeof(tt_signals), "tt_signals holds a stream");

static void dispatch(struct tti_msg *m);

/* Instead of a runtime: the one that had the hub is giving it up. */
#define ENDING ((void *)&hub)

static struct {
	tti_atomic_ptr rt;                   /* who has the hub; NULL: nobody, or ENDING */
	tti_atomic_u64 pending;              /* bits set by the handler */
	tti_atomic_u32 posted;               /* 1 while msg is in worker 0's inbox */
	tti_atomic_u32 inside;               /* handlers that run now, on any thread */
	struct tti_msg msg;
	tti_spin lock;
	struct stream *owners[SIGNALS + 1];
	uint64_t caught;                     /* dispositions to give back; guarded by lock */
	uint64_t defaulted;                  /* of those, the ones that take their default while no stream has them */
	void (*on_signal)(void *arg, int signo);
	void *arg;
} hub = { .msg = { .handle = dispatch } };

/* ---- from the handler to worker 0 ---- */

static bool has_bit(uint64_t set, int signo)
{
	return (set >> (signo - 1) & 1) != 0;
}

static void tell_worker(struct tti_runtime *rt, int signo)
{
	/* acq_rel: pairs with the exchange in dispatch(): either that sees the bit, or we see
	 * that the message was taken and has to be posted again. */
	tti_fetch_or_acq_rel(&hub.pending, UINT64_C(1) << (signo - 1));
	/* acquire: pairs with the release in dispatch(): the message was taken out of the inbox. */
	if (tti_exchange_acquire(&hub.posted, 1) == 0)
		tti_worker_post(TTI_PLAIN_READ(rt->workers)[0], &hub.msg);
}

static void handler(int signo)
{
	struct tti_runtime *rt;

	/* seq_cst: pairs with the store of rt in tti_signal_hub_stop(): either we see that it
	 * is gone, or the stop sees us and waits. */
	tti_fetch_add_seq_cst(&hub.inside, 1);
	/* seq_cst: as above. */
	rt = tti_load_seq_cst(&hub.rt);
	if (rt != NULL && (void *)rt != ENDING)
		tell_worker(rt, signo);
	/* release: pairs with the load in tti_signal_hub_stop(). */
	tti_fetch_sub_release(&hub.inside, 1);
}

/* Under the lock: to the first who waits and can be had, else it stays pending. */
static void give_to_stream(struct stream *s, int signo, struct tti_list *woken)
{
	TTI_LIST_FOR_EACH (n, &s->waiters)
		if (tti_claim_node(TTI_CONTAINER_OF(n, struct tti_wait_node, link), signo, woken))
			return;
	TTI_SOMETIMES(!tti_list_empty(&s->waiters), "a signal comes to a task that gave up");
	TTI_SOMETIMES((s->pending >> (signo - 1) & 1) != 0, "a signal comes twice before somebody asks");
	s->pending |= UINT64_C(1) << (signo - 1);
}

/* True when a stream took the signal. */
static bool deliver(int signo)
{
	struct tti_list woken;
	struct stream *s;

	tti_list_init(&woken);
	tti_spin_lock(&hub.lock);
	s = hub.owners[signo];
	if (s != NULL)
		give_to_stream(s, signo, &woken);
	tti_spin_unlock(&hub.lock);
	tti_wake_all(&woken);
	return s != NULL;
}

static void dispatch(struct tti_msg *m)
{
	uint64_t bits;

	(void)m;
	/* release: the message may be posted again. Pairs with the acquire in tell_worker(). */
	tti_store_release(&hub.posted, 0);
	/* acq_rel: pairs with the fetch_or in tell_worker(). */
	bits = tti_exchange_acq_rel(&hub.pending, 0);
	for (int signo = 1; signo <= SIGNALS; signo++)
		if (has_bit(bits, signo) && !deliver(signo) && hub.on_signal != NULL)
			hub.on_signal(hub.arg, signo);
}

/* ---- the hub ---- */

int tti_signal_hub_start(struct tti_runtime *rt, void (*on_signal)(void *arg, int signo), void *arg)
{
	void *now;

	tti_spin_lock(&hub.lock);
	/* acquire: pairs with the release of NULL by the runtime that had the hub before. */
	now = tti_load_acquire(&hub.rt);
	if (now == NULL) {
		TTI_PLAIN_WRITE(hub.on_signal, on_signal);
		hub.arg = arg;
		/* release: the runtime is whole. Pairs with the load in handler(). */
		tti_store_release(&hub.rt, (void *)rt);
	}
	tti_spin_unlock(&hub.lock);
	return now == NULL || now == (void *)rt ? 0 : TT_EBUSY;
}

static void restore(int signo)
{
	if (!has_bit(hub.caught, signo))
		return;
	hub.caught &= ~(UINT64_C(1) << (signo - 1));
	hub.defaulted &= ~(UINT64_C(1) << (signo - 1));
	tti_env_signal_restore(signo);
}

void tti_signal_hub_stop(struct tti_runtime *rt)
{
	/* relaxed: only this runtime's own threads ask. */
	if (tti_load_relaxed(&hub.rt) != (void *)rt)
		return;
	tti_spin_lock(&hub.lock);
	for (int signo = 1; signo <= SIGNALS; signo++) {
		hub.owners[signo] = NULL;
		restore(signo);
	}
	tti_spin_unlock(&hub.lock);
	TTI_PLAIN_WRITE(hub.on_signal, NULL);
	/* seq_cst: pairs with the load in handler(). Not NULL yet: another runtime that took the
	 * hub now would find its first signals cleared below. */
	tti_store_seq_cst(&hub.rt, ENDING);
	/* seq_cst: pairs with the additions in handler(): one that still has rt is waited for.
	 * It is short, and cannot be on this thread. */
	while (tti_load_seq_cst(&hub.inside) != 0)
		tti_cpu_relax();
	/* relaxed: no handler writes it any more. */
	tti_store_relaxed(&hub.pending, 0);
	/* relaxed: as above; a message still in the inbox is never handled. */
	tti_store_relaxed(&hub.posted, 0);
	/* release: pairs with the acquire of who takes the hub next. */
	tti_store_release(&hub.rt, NULL);
}

/* Under the lock. */
static int catch_signal(int signo)
{
	int rc;

	if (has_bit(hub.caught, signo) && !has_bit(hub.defaulted, signo))
		return 0;
	if (has_bit(hub.caught, signo))
		tti_env_signal_restore(signo); /* so that what was there before us is remembered */
	rc = tti_env_signal_catch(signo, handler);
	if (rc == 0)
		hub.caught |= UINT64_C(1) << (signo - 1);
	return rc;
}

void tti_signal_hub_catch(int signo)
{
	tti_spin_lock(&hub.lock);
	TT_IGNORE(catch_signal(signo));
	tti_spin_unlock(&hub.lock);
}

void tti_signal_hub_default(int signo)
{
	tti_spin_lock(&hub.lock);
	if (has_bit(hub.caught, signo)) {
		hub.defaulted |= UINT64_C(1) << (signo - 1);
		if (hub.owners[signo] == NULL)
			tti_env_signal_default(signo);
	}
	tti_spin_unlock(&hub.lock);
}

/* ---- streams ---- */

static struct stream *from_public(tt_signals *s)
{
	return (struct stream *)(void *)s;
}

static int check_free(const int *signals, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (signals[i] < 1 || signals[i] > SIGNALS || signals[i] == SIGKILL || signals[i] == SIGSTOP)
			return TT_EINVAL;
		if (hub.owners[signals[i]] != NULL)
			return TT_EBUSY;
	}
	return 0;
}

/* Gives stream s's signals up; tt_main's own are caught on for its soft cancel. */
static void disown(struct stream *s)
{
	for (int signo = 1; signo <= SIGNALS; signo++) {
		if (hub.owners[signo] != s)
			continue;
		hub.owners[signo] = NULL;
		if (hub.on_signal == NULL || (signo != SIGINT && signo != SIGTERM))
			restore(signo);
		else if (has_bit(hub.defaulted, signo))
			tti_env_signal_default(signo);
	}
}

int tt_signal_open(tt_signals *storage, const int *signals, size_t n)
{
	struct stream *s = from_public(storage);
	struct tt_task *t = tti_current_or_panic("tt_signal_open");
	int rc;

	if (t == NULL)
		return TT_EWRONGCTX;
	rc = tti_signal_hub_start(tti_worker_here()->rt, NULL, NULL);
	if (rc < 0)
		return rc;
	*s = (struct stream){ .open = true };
	tti_list_init(&s->waiters);
	tti_spin_lock(&hub.lock);
	rc = check_free(signals, n);
	for (size_t i = 0; i < n && rc == 0; i++) {
		hub.owners[signals[i]] = s;
		s->mask |= UINT64_C(1) << (signals[i] - 1);
		rc = catch_signal(signals[i]);
	}
	if (rc < 0)
		disown(s);
	tti_spin_unlock(&hub.lock);
	s->open = rc == 0;
	return rc;
}

static int signal_enlist(const struct tt_arm *arm, struct tti_wait_node *n, bool may_link)
{
	struct stream *s = arm->object;
	int result = TTI_ARM_LINKED;

	tti_spin_lock(&hub.lock);
	if (s->pending != 0) {
		result = tti_claim_own_node(n, __builtin_ctzll(s->pending) + 1);
		if (result == TTI_ARM_DONE)
			s->pending &= s->pending - 1;
	} else if (may_link) {
		tti_list_push_back(&s->waiters, &n->link);
	}
	tti_spin_unlock(&hub.lock);
	return result;
}

static void signal_delist(const struct tt_arm *arm, struct tti_wait_node *n)
{
	(void)arm;
	tti_spin_lock(&hub.lock);
	tti_list_unlink(&n->link);
	tti_spin_unlock(&hub.lock);
}

/* The signal's number travels as the waiter's rc. */
static int signal_finish(const struct tt_arm *arm, int signo)
{
	*(int *)arm->value = signo;
	return 0;
}

static const struct tti_arm_ops signal_arm = {
	.verb = "signal",
	.enlist = signal_enlist,
	.delist = signal_delist,
	.finish = signal_finish,
};

static bool is_waited_for(struct stream *s)
{
	bool waited;

	tti_spin_lock(&hub.lock);
	waited = !tti_list_empty(&s->waiters);
	tti_spin_unlock(&hub.lock);
	return waited;
}

int tt_signal_next(tt_signals *storage, int *ret_signal)
{
	tt_arm arm = tt_on_signal_(storage, ret_signal);
	struct stream *s = from_public(storage);
	int rc;

	if (tti_current_or_panic("tt_signal_next") == NULL)
		return TT_EWRONGCTX;
	TT_REQUIRE(s->open, "tt_signal_next: the stream is not open");
	rc = tti_checkpoint();
	if (rc == 0 && is_waited_for(s))
		rc = TT_EBUSY;
	return rc < 0 ? rc : tti_wait_arm(&arm, true);
}

tt_arm tt_on_signal_(tt_signals *s, int *ret_signal)
{
	return (tt_arm){ .ops = &signal_arm, .object = from_public(s), .value = ret_signal };
}

void tt_signal_close(tt_signals *storage)
{
	struct stream *s = from_public(storage);

	if (s == NULL || !s->open)
		return;
	TT_REQUIRE(!is_waited_for(s), "tt_signal_close: a task waits for a signal of this stream");
	tti_spin_lock(&hub.lock);
	disown(s);
	tti_spin_unlock(&hub.lock);
	s->open = false;
}

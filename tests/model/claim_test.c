/* SPDX-License-Identifier: MIT */
/*
 * claim_test.c - wait/wait.c under the model: the claim word, the two-sided commit of two
 * selects, and the park and wake of plain threads.
 *
 * The objects are meeting points without a buffer, written here the way a channel is: a
 * short lock, a list of nodes, and whoever finds an opposite node commits with its
 * waiter through tti_claim_pair(). Waiters are blocks, freed when their call returns, so
 * that a late touch of a finished waiter (law 1, law 4) is found. A wait that ends never
 * is a deadlock, which the checker reports.
 */
/* model-sources: @task */
#include "model.h"

#include "base/spin.h"
#include "env/env.h"
#include "wait/wait.h"

#define ARMS 2
#define CANCELLED (-1)

struct meeting {
	tti_spin lock;
	struct tti_list senders, receivers;
};

/* What a blocking call has on its frame. */
struct frame {
	struct tti_waiter waiter;
	struct tti_wait_node node[ARMS];
	unsigned value;
};

struct want { struct meeting *at; bool send; };

static struct meeting X, Y;
static struct frame *frames[3];
/* What each thread's call came to: the arm, or CANCELLED; and the value it ended with. */
static int ended[3];
static unsigned got[3];

static int wait_on(tti_atomic_u32 *word, uint32_t expected, int64_t deadline)
{
	(void)deadline;
	return model_futex_wait(word, expected);
}

static void wake_on(tti_atomic_u32 *word, int n)
{
	(void)model_futex_wake(word, n);
}

static const struct tti_env_ops model_env = { .name = "model", .futex_wait = wait_on, .futex_wake = wake_on };

static void meeting_init(struct meeting *m)
{
	tti_spin_init(&m->lock);
	tti_list_init(&m->senders);
	tti_list_init(&m->receivers);
}

static void setup(void)
{
	tti_env_bind(&model_env);
	tti_home_here = NULL;
	tti_spin_held = 0;
	model_thread_local(&tti_spin_held, sizeof(tti_spin_held));
	meeting_init(&X);
	meeting_init(&Y);
	model_name(&X.lock.word, "X.lock");
	model_name(&Y.lock.word, "Y.lock");
	/* All together, so that the order of their addresses is the order of the threads. */
	for (unsigned i = 0; i < 3; i++) {
		static const char *const names[] = { "claim 1", "claim 2", "claim 3" };

		frames[i] = model_alloc(sizeof(*frames[i]));
		tti_waiter_init(&frames[i]->waiter, "meet", NULL);
		model_name(&frames[i]->waiter.claim, names[i]);
		ended[i] = -2;
		got[i] = 0;
	}
}

static void setup_2(void)
{
	setup();
	model_free(frames[2]);
	frames[2] = NULL;
}

/* Only the owner of a claim writes the outcome. */
static void decide(struct tti_waiter *w, uint32_t arm)
{
	model_plain_write(w->winner, arm);
	model_plain_write(w->rc, 0);
}

static void hand_over(struct frame *from, struct frame *to)
{
	model_plain_write(to->value, model_plain_read(from->value));
	model_plain_write(from->value, 0u);
}

/* Looks for an opposite node under the lock and commits with it; else links f's node.
 * Returns TTI_ARM_*. */
static int enlist(struct frame *f, unsigned arm, const struct want *w)
{
	struct tti_list *opposite = w->send ? &w->at->receivers : &w->at->senders;
	int rc = TTI_ARM_LINKED;

	tti_spin_lock(&w->at->lock);
	TTI_LIST_FOR_EACH (link, opposite) {
		struct tti_wait_node *n = TTI_CONTAINER_OF(link, struct tti_wait_node, link);
		struct frame *partner = TTI_CONTAINER_OF(n->waiter, struct frame, waiter);
		enum tti_pair pair = tti_claim_pair(&f->waiter, &partner->waiter);

		if (pair == TTI_PAIR_PARTNER_GONE)
			continue;
		if (pair == TTI_PAIR_SELF_TAKEN) {
			rc = TTI_ARM_TAKEN;
			break;
		}
		tti_list_unlink(link);
		hand_over(w->send ? f : partner, w->send ? partner : f);
		decide(&partner->waiter, n->arm);
		decide(&f->waiter, arm);
		tti_spin_unlock(&w->at->lock);
		tti_wake(&partner->waiter);
		return TTI_ARM_DONE;
	}
	if (rc == TTI_ARM_LINKED)
		tti_list_push_back(w->send ? &w->at->senders : &w->at->receivers, &f->node[arm].link);
	tti_spin_unlock(&w->at->lock);
	return rc;
}

static void delist(struct frame *f, unsigned arm, const struct want *w)
{
	tti_spin_lock(&w->at->lock);
	tti_list_unlink(&f->node[arm].link);
	tti_spin_unlock(&w->at->lock);
}

/* A select over n arms, sending value on those that send. cancel: once enlisted, the
 * caller's own worker cancels the wait, as tti_wait_cancel() does. */
static void meet(unsigned n, const struct want *wants, unsigned value, bool cancel)
{
	unsigned self = model_thread() - 1, i;
	struct frame *f = frames[self];
	int rc = TTI_ARM_LINKED;

	model_plain_write(f->value, value);
	for (i = 0; i < n; i++)
		tti_node_init(&f->node[i], &f->waiter, i);
	for (i = 0; i < n && rc == TTI_ARM_LINKED; i++)
		rc = enlist(f, i, &wants[i]);
	if (rc == TTI_ARM_LINKED && cancel)
		tti_abort_by_claim(&f->waiter);
	if (rc != TTI_ARM_DONE)
		tti_park_thread(&f->waiter, TT_NEVER);
	while (i-- > 0)
		delist(f, i, &wants[i]);
	tti_spin_assert_none_held();
	ended[self] = f->waiter.winner == TTI_WINNER_CANCEL ? CANCELLED : (int)model_plain_read(f->waiter.winner);
	got[self] = model_plain_read(f->value);
	model_free(f);
}



/* ---- Two selects from opposite ends ---- */

static void send_xy(void)
{
	meet(2, (const struct want[]){ { &X, true }, { &Y, true } }, 7, false);
}

static void receive_yx(void)
{
	meet(2, (const struct want[]){ { &Y, false }, { &X, false } }, 0, false);
}

static void check_met(void)
{
	/* They met at one point, each by its own arm for it, and the value changed hands. */
	unsigned sender = got[0] == 7 ? 1 : 0;

	MODEL_ASSERT(got[sender] == 0);
	MODEL_ASSERT(got[1 - sender] == 7);
	MODEL_ASSERT(ended[0] + ended[1] == 1);
}

/* ---- With cancels ---- */

static void send_x_cancelled(void) { meet(1, (const struct want[]){ { &X, true } }, 7, true); }
static void receive_x(void) { meet(1, (const struct want[]){ { &X, false } }, 0, false); }
static void receive_x_cancelled(void) { meet(1, (const struct want[]){ { &X, false } }, 0, true); }
static void send_xy_cancelled(void)
{
	meet(2, (const struct want[]){ { &X, true }, { &Y, true } }, 7, true);
}
static void receive_yx_cancelled(void)
{
	meet(2, (const struct want[]){ { &Y, false }, { &X, false } }, 0, true);
}

static void check_both_or_neither(void)
{
	MODEL_ASSERT((ended[0] == CANCELLED) == (ended[1] == CANCELLED));
	MODEL_ASSERT(got[0] == (ended[0] == CANCELLED ? 7 : 0));
	MODEL_ASSERT(got[1] == (ended[1] == CANCELLED ? 0 : 7));
}

/* ---- Three parties ---- */

/* A CLAIMING waiter is not gone: whoever takes it for absent leaves two waiting for ever. */
static void receive_y_or_pass_on(void)
{
	meet(1, (const struct want[]){ { &Y, false } }, 0, true);
	if (ended[2] == CANCELLED)
		return;
	/* The value came here: thread 2 gets it from us. */
	frames[2] = model_alloc(sizeof(struct frame));
	tti_waiter_init(&frames[2]->waiter, "pass on", NULL);
	meet(1, (const struct want[]){ { &X, true } }, 7, false);
}

static void check_value_at_2(void)
{
	MODEL_ASSERT(got[1] == 7);
}

/* One sender, two receivers that give up: the value is in one place. */
static void check_one_place(void)
{
	unsigned holders = 0;

	for (unsigned i = 0; i < 3; i++)
		holders += got[i] == 7;
	MODEL_ASSERT(holders == 1);
	MODEL_ASSERT((got[0] == 7) == (ended[0] == CANCELLED));
}

static void receive_y_cancelled(void) { meet(1, (const struct want[]){ { &Y, false } }, 0, true); }

/* ---- The word alone ---- */

static bool won[3];
static unsigned outcome;

static void setup_claims(void)
{
	setup();
	for (unsigned i = 0; i < 3; i++)
		won[i] = false;
	outcome = 0;
}

static void claim_first(void)
{
	unsigned self = model_thread() - 1;

	won[self] = self == 0 ? tti_claim_self(&frames[0]->waiter) : tti_claim(&frames[0]->waiter);
	if (won[self])
		model_plain_write(outcome, self);
}

static void check_one_won(void)
{
	MODEL_ASSERT(won[0] + won[1] + won[2] == 1);
	MODEL_ASSERT(won[outcome]);
	MODEL_ASSERT(frames[0]->waiter.claim.v == TTI_CLAIMED);
}

/* Three waiters in a ring, each claiming itself and the next. */
static enum tti_pair ring[3];

static void pair_with_next(void)
{
	unsigned self = model_thread() - 1;

	ring[self] = tti_claim_pair(&frames[self]->waiter, &frames[(self + 1) % 3]->waiter);
}

static void check_ring(void)
{
	unsigned both = 0, claimed = 0;

	for (unsigned i = 0; i < 3; i++) {
		both += ring[i] == TTI_PAIR_BOTH;
		claimed += frames[i]->waiter.claim.v == TTI_CLAIMED;
		MODEL_ASSERT(frames[i]->waiter.claim.v != TTI_CLAIMING);
		if (ring[i] == TTI_PAIR_SELF_TAKEN)
			MODEL_ASSERT(frames[i]->waiter.claim.v == TTI_CLAIMED);
	}
	MODEL_ASSERT(both == 1);
	MODEL_ASSERT(claimed == 2);
}

static const struct model_scenario scenarios[] = {
	{ .name = "one_wins", .claim = "Of three claims of one wait one wins.", .setup = setup_claims,
	  .threads = { claim_first, claim_first, claim_first }, .check = check_one_won, .leaks = true },
	{ .name = "ring", .claim = "Of three pairs in a ring exactly one commits, and no word stays in between.",
	  .setup = setup_claims, .threads = { pair_with_next, pair_with_next, pair_with_next },
	  .check = check_ring, .leaks = true },
	{ .name = "meet_low_sends", .claim = "Two selects from opposite ends meet once; the sender has the lower address.",
	  .setup = setup_2, .threads = { send_xy, receive_yx }, .check = check_met },
	{ .name = "meet_high_sends", .claim = "The same with the sender at the higher address.", .setup = setup_2,
	  .threads = { receive_yx, send_xy }, .check = check_met },
	{ .name = "cancel_one_arm", .claim = "A cancelled call took and gave nothing, or all.", .setup = setup_2,
	  .threads = { send_x_cancelled, receive_x_cancelled }, .check = check_both_or_neither },
	{ .name = "cancel_two_arms", .claim = "So with selects from opposite ends.", .setup = setup_2,
	  .threads = { send_xy_cancelled, receive_yx_cancelled }, .check = check_both_or_neither },
	{ .name = "claiming_is_not_gone", .claim = "A waiter between two states is waited for, not passed over.",
	  .setup = setup, .threads = { send_xy, receive_x, receive_y_or_pass_on }, .check = check_value_at_2,
	  .executions = 200000, .partial = true },
	{ .name = "three_cancelled", .claim = "One value among three calls that give up is in one place.",
	  .setup = setup, .threads = { send_xy_cancelled, receive_x_cancelled, receive_y_cancelled },
	  .check = check_one_place },
	{ .name = NULL },
};

int main(int argc, char **argv)
{
	static const char *const files[] = { "src/wait/wait.c", "src/base/spin.h", NULL };
	static const struct model_harness h = {
		.name = "claim", .scenarios = scenarios, .files = files,
	};

	return model_main(argc, argv, &h);
}

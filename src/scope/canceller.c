/* SPDX-License-Identifier: MIT */
/*
 * canceller.c - how outsiders cancel: a counted handle that any thread may use, and that
 * may outlive the scope it was made for.
 *
 * Whoever cancels first writes code and text and posts the handle, once, to the worker of
 * the scope's owner. `scope` is touched on that worker's thread only: the closing scope
 * sets it to NULL there, so a message that comes late finds nothing to do.
 *
 * Lock        canceller.lock is held from the look at `closed` to the end of the post: once
 *             a scope is closed nobody reaches for its worker, which a handle on a plain
 *             thread may outlive.
 */
#include <stdio.h>

#include "base/panic.h"
#include "base/sometimes.h"
#include "env/env.h"
#include "scope/scope.h"

struct tti_canceller {
	tti_atomic_u32 refs;                 /* the scope's, each handle's, the message's under way */
	tti_atomic_u32 used;                 /* 1 once somebody cancelled: that one writes code and text */
	tti_spin lock;
	bool closed;                         /* guarded by lock */
	struct tti_scope *scope;             /* NULL once closed; home's thread only */
	struct tti_home *home;
	struct tti_msg msg;
	/* Written by the first canceller, before it posts. */
	int code;
	const char *by;                      /* its task's name; NULL: a plain thread */
	uint64_t by_id;
	char text[TTI_ERROR_TEXT_MAX];
};

static struct tti_canceller *from_public(tt_canceller *c)
{
	return (struct tti_canceller *)(void *)c;
}

static void put(struct tti_canceller *c)
{
	/* acq_rel: pairs with itself, so that the last owner sees all that was written. */
	if (tti_fetch_sub_acq_rel(&c->refs, 1) == 1)
		tti_env_free(c);
}

static tt_canceller *make(struct tti_scope *s, const char *call)
{
	struct tti_canceller *c = s->canceller;

	TT_REQUIRE(s->open && s->owner == tti_current(), "%s: only the owner of an open block may", call);
	if (c == NULL) {
		c = tti_env_zalloc(sizeof(*c));
		if (c == NULL)
			return NULL;
		c->refs.v = 1;
		c->scope = s;
		c->home = s->owner->home;
		s->canceller = c;
	}
	/* relaxed: the caller holds the scope's reference meanwhile. */
	tti_fetch_add_relaxed(&c->refs, 1);
	return (tt_canceller *)(void *)c;
}

tt_canceller *tt_scope_canceller(tt_scope *s)
{
	return make((struct tti_scope *)(void *)s, "tt_scope_canceller");
}

tt_canceller *tt_group_canceller(tt_group *g)
{
	return make((struct tti_scope *)(void *)g, "tt_group_canceller");
}

void tt_canceller_put(tt_canceller *c)
{
	if (c != NULL)
		put(from_public(c));
}

void tti_canceller_detach(struct tti_scope *s)
{
	struct tti_canceller *c = s->canceller;

	s->canceller = NULL;
	c->scope = NULL;
	tti_spin_lock(&c->lock);
	c->closed = true;
	tti_spin_unlock(&c->lock);
	put(c);
}

int tti_canceller_explain(struct tti_scope *s)
{
	const struct tti_canceller *c = s->canceller;
	struct tti_error *e = &s->owner->err;

	if (c == NULL)
		return s->code; /* a test cancelled it, not a canceller */
	if (e->code == TT_ECANCELED)
		e->code = s->code;
	if (c->by != NULL)
		TT_IGNORE(tt_wrap_(s->code, s->site, "cancel", "cancelled by %s#%llu", c->by, (unsigned long long)c->by_id));
	else
		TT_IGNORE(tt_wrap_(s->code, s->site, "cancel", "cancelled by a thread"));
	if (c->text[0] != '\0')
		TT_IGNORE(tt_wrap_(s->code, s->site, "cancel", "%s", c->text));
	return s->code;
}

static void deliver(struct tti_canceller *c)
{
	TTI_SOMETIMES(c->scope == NULL, "a canceller's message comes to a block that has ended");
	if (c->scope != NULL)
		tti_scope_cancel(c->scope, TTI_CAUSE_CANCELLER, c->code);
	put(c);
}

static void handle_cancel(struct tti_msg *m)
{
	deliver(TTI_CONTAINER_OF(m, struct tti_canceller, msg));
}

static bool use_first(struct tti_canceller *c, int code)
{
	const struct tt_task *t = tti_current();

	/* relaxed: the loser touches nothing; what the winner writes goes with its message. */
	if (tti_exchange_relaxed(&c->used, 1) != 0)
		return false;
	c->code = code;
	c->by = t != NULL ? t->name : NULL;
	c->by_id = t != NULL ? t->id : 0;
	return true;
}

static void post_if_open(struct tti_canceller *c)
{
	tti_spin_lock(&c->lock);
	TTI_SOMETIMES(c->closed, "a canceller is used from another worker after its block");
	if (!c->closed) {
		/* relaxed: the caller's handle keeps it alive until here. */
		tti_fetch_add_relaxed(&c->refs, 1);
		c->msg.handle = handle_cancel;
		c->home->ops->post(c->home, &c->msg);
	}
	tti_spin_unlock(&c->lock);
}

static void send(struct tti_canceller *c)
{
	if (c->home != tti_home_here) {
		post_if_open(c);
		return;
	}
	/* relaxed: as above. */
	tti_fetch_add_relaxed(&c->refs, 1);
	deliver(c);
}

void tt_cancel(tt_canceller *handle)
{
	struct tti_canceller *c = from_public(handle);

	if (c != NULL && use_first(c, TT_ECANCELED))
		send(c);
}

void tt_cancel_with(tt_canceller *handle, int code, const char *fmt, ...)
{
	struct tti_canceller *c = from_public(handle);
	va_list ap;

	TT_REQUIRE(code < 0, "tt_cancel_with: code %d is not negative", code);
	if (c == NULL || !use_first(c, code))
		return;
	va_start(ap, fmt);
	vsnprintf(c->text, sizeof(c->text), fmt, ap);
	va_end(ap);
	send(c);
}

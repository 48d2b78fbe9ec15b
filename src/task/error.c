/* SPDX-License-Identifier: MIT */
/*
 * error.c - chains of error nodes: begun by tt_fail, extended by tt_wrap, carried from
 * task to group. The text form is in error_text.c.
 *
 * Ownership   error.h. Nodes beyond the embedded one come from the reserve of the worker
 *             that adds them and go to the reserve of the worker that frees them. A pool job
 *             allocates them: it holds nobody up, and its chain goes to its task. Other plain
 *             threads keep one node and count the rest: nobody would free more.
 */
#include "task/error.h"

#include <stdio.h>
#include <string.h>

#include "base/panic.h"
#include "base/sometimes.h"
#include "env/env.h"
#include "task/task.h"

static __thread struct tti_error *thread_error;
/* Plain threads outside pool jobs fail too: main() before the runtime starts. */
static __thread struct tti_error stray_error;

struct tti_error *tti_error_here(void)
{
	struct tt_task *t = tti_current();

	if (t != NULL)
		return &t->err;
	return thread_error != NULL ? thread_error : &stray_error;
}

struct tti_error *tti_error_bind_thread(struct tti_error *e)
{
	struct tti_error *before = thread_error;

	thread_error = e;
	return before;
}

bool tti_error_thread_is_bound(void)
{
	return thread_error != NULL;
}

void tti_error_init(struct tti_error *e)
{
	e->code = 0;
	e->dropped = 0;
	e->head = NULL;
	e->first_used = false;
}

static struct tt_error_node *reserve_take(void)
{
	struct tti_home *h = tti_home_here;

	if (h != NULL)
		return (struct tt_error_node *)(void *)tti_stack_pop(&h->free_nodes);
	return thread_error != NULL ? tti_env_alloc(sizeof(struct tt_error_node)) : NULL;
}

/* Freed is what came from elsewhere beyond all need, and what outlived the workers: the chain
 * of the root, which tt_main reports. */
static void reserve_give(struct tt_error_node *n)
{
	struct tti_home *h = tti_home_here;

	if (h != NULL && h->free_nodes.len < 2 * TTI_ERROR_NODES_RESERVED)
		tti_stack_push(&h->free_nodes, (struct tti_link *)(void *)n);
	else
		tti_env_free(n);
}

static void free_chain(struct tti_error *e, const struct tt_error_node *head)
{
	while (head != NULL) {
		struct tt_error_node *n = (struct tt_error_node *)(uintptr_t)head;

		head = n->cause;
		for (const struct tt_error_node *s = n->sibling, *next; s != NULL; s = next) {
			next = s->sibling;
			/* A sibling hangs off by `sibling`; its own causes hang off it. */
			((struct tt_error_node *)(uintptr_t)s)->sibling = NULL;
			free_chain(e, s);
		}
		tti_trace_free(n->trace);
		if (n == &e->first)
			e->first_used = false;
		else
			reserve_give(n);
	}
}

void tti_error_clear(struct tti_error *e)
{
	free_chain(e, e->head);
	tti_error_init(e);
}

static struct tt_error_node *node_alloc(struct tti_error *e)
{
	struct tt_error_node *n;

	if (!e->first_used) {
		e->first_used = true;
		return &e->first;
	}
	n = reserve_take();
	TTI_SOMETIMES(n == NULL, "there is no memory for a line of an error");
	if (n == NULL) {
		e->dropped++;
		if (tti_home_here != NULL)
			tti_home_here->error_nodes_dropped++;
	}
	return n;
}

static void sign(struct tt_error_node *n, const struct tt_task *t)
{
	n->task_name = t != NULL ? t->name : NULL;
	n->spawn_site = t != NULL ? t->spawn_site : NULL;
	n->parent_name = t != NULL ? t->parent_name : NULL;
	n->task_id = t != NULL ? t->id : 0;
	n->parent_id = t != NULL ? t->parent_id : 0;
}

static void push_node(struct tti_error *e, const char *site, const char *func, const char *fmt, va_list ap)
{
	struct tt_error_node *n = node_alloc(e);

	if (n == NULL)
		return;
	n->cause = e->head;
	n->sibling = NULL;
	n->site = site;
	n->func = func;
	sign(n, tti_current());
	n->code = e->code;
	n->trace = NULL;
	vsnprintf(n->text, sizeof(n->text), fmt, ap);
	e->head = n;
}

void tti_error_set_code(struct tti_error *e, int code)
{
	if (e->code == code)
		return;
	tti_error_clear(e);
	e->code = code;
}

void tti_error_begin(struct tti_error *e, int code, const char *site, const char *func, const char *fmt, va_list ap)
{
	tti_error_clear(e);
	e->code = code;
	push_node(e, site, func, fmt, ap);
}

void tti_error_wrap(struct tti_error *e, int code, const char *site, const char *func, const char *fmt, va_list ap)
{
	tti_error_set_code(e, code);
	push_node(e, site, func, fmt, ap);
}

static uint32_t count_siblings(const struct tt_error_node *n)
{
	uint32_t count = 0;

	for (n = n->sibling; n != NULL; n = n->sibling)
		count++;
	return count;
}

/* from's embedded node is about to go away: a copy takes its place in the chain. */
static void detach_first(struct tti_error *from, struct tt_error_node *copy)
{
	const struct tt_error_node **at = &from->head;

	if (!from->first_used)
		return;
	while (*at != NULL && *at != &from->first)
		at = (const struct tt_error_node **)(uintptr_t)&(*at)->cause;
	TT_ASSERT(*at != NULL);
	if (copy != NULL) {
		*copy = from->first;
		*at = copy;
		from->first_used = false;
		return;
	}
	*at = from->first.cause;
	from->first.cause = NULL;
	from->dropped += 1 + count_siblings(&from->first);
	free_chain(from, &from->first);
}

void tti_error_move(struct tti_error *to, struct tti_error *from)
{
	tti_error_clear(to);
	if (from->first_used) {
		detach_first(from, &to->first);
		to->first_used = true;
	}
	to->code = from->code;
	to->dropped = from->dropped;
	to->head = from->head;
	from->head = NULL;
	tti_error_init(from);
}

void tti_error_blame(struct tti_error *e, const struct tt_task *t)
{
	struct tt_error_node *n;

	if (e->head != NULL || (n = node_alloc(e)) == NULL)
		return;
	n->cause = n->sibling = NULL;
	n->site = n->func = NULL;
	n->trace = NULL;
	n->code = e->code;
	n->text[0] = '\0';
	sign(n, t);
	e->head = n;
}

void tti_error_add_sibling(struct tti_error *to, struct tti_error *from)
{
	struct tt_error_node *last;
	uint32_t count = 0;

	tti_error_blame(to, tti_current());
	last = (struct tt_error_node *)(uintptr_t)to->head;
	for (; last != NULL && last->sibling != NULL; last = (struct tt_error_node *)(uintptr_t)last->sibling)
		count++;
	to->dropped += from->dropped;
	from->dropped = 0;
	if (last == NULL || count == TTI_ERROR_SIBLINGS_MAX) {
		TTI_SOMETIMES(last != NULL, "more failures stand beside one another than are kept");
		to->dropped++;
		tti_error_clear(from);
		return;
	}
	if (from->first_used)
		detach_first(from, reserve_take());
	to->dropped += from->dropped;
	last->sibling = from->head;
	from->head = NULL;
	tti_error_init(from);
}

/* e's chain has just been started: where from. */
static void trace(struct tti_error *e, const void *caller)
{
	if (e->head != NULL)
		((struct tt_error_node *)(uintptr_t)e->head)->trace = tti_trace_capture(caller);
}

int tt_fail_(int code, const char *site, const char *func, const char *fmt, ...)
{
	va_list ap;

	TT_REQUIRE(code < 0, "tt_fail at %s: code %d is not negative", site, code);
	va_start(ap, fmt);
	tti_error_begin(tti_error_here(), code, site, func, fmt, ap);
	va_end(ap);
	trace(tti_error_here(), __builtin_return_address(0));
	return code;
}

int tt_wrap_(int rc, const char *site, const char *func, const char *fmt, ...)
{
	struct tti_error *e = tti_error_here();
	bool starts;
	va_list ap;

	if (rc >= 0)
		return rc;
	starts = e->code != rc || e->head == NULL;
	va_start(ap, fmt);
	tti_error_wrap(e, rc, site, func, fmt, ap);
	va_end(ap);
	if (starts)
		trace(e, __builtin_return_address(0));
	return rc;
}

_Static_assert(sizeof(struct tti_error) <= sizeof(tt_error), "tt_error holds a tti_error");

void tt_error_take(tt_error *e, int rc)
{
	struct tti_error *own = (struct tti_error *)(void *)e;

	tti_error_init(own);
	if (tti_error_here()->code == rc)
		tti_error_move(own, tti_error_here());
	own->code = rc;
}

int tt_error_attach(tt_error *e)
{
	struct tti_error *own = (struct tti_error *)(void *)e;
	int code = own->code;

	if (code != 0)
		tti_error_move(tti_error_here(), own);
	return code;
}

void tt_error_fini(tt_error *e)
{
	if (e != NULL)
		tti_error_clear((struct tti_error *)(void *)e);
}

const tt_error_node *tt_error_first(const tt_error *e)
{
	return ((const struct tti_error *)(const void *)e)->head;
}

const tt_error_node *tt_error_cause(const tt_error_node *n)
{
	return n->cause;
}

const tt_error_node *tt_error_sibling(const tt_error_node *n)
{
	return n->sibling;
}

const char *tt_error_message(const tt_error_node *n)
{
	return n->text;
}

int tt_error_code(const tt_error_node *n)
{
	return n->code;
}

const char *tt_error_site(const tt_error_node *n)
{
	return n->site != NULL ? n->site : "";
}

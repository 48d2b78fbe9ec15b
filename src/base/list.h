/* SPDX-License-Identifier: MIT */
/*
 * list.h - intrusive lists: a doubly linked ring (tti_list), a singly linked
 * first-in-first-out queue (tti_queue) and a stack (tti_stack). Used everywhere; nothing here
 * allocates, locks or fails.
 *
 * Invariants  A linked node's neighbours point back at it; an unlinked node
 *             points at itself, so unlinking twice is harmless and
 *             tti_list_linked() can be asserted.
 */
#ifndef TTI_BASE_LIST_H
#define TTI_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#define TTI_CONTAINER_OF(ptr, type, member) \
	((type *)(void *)((char *)(ptr) - offsetof(type, member)))

struct tti_list {
	struct tti_list *next, *prev;
};

static inline void tti_list_init(struct tti_list *l)
{
	l->next = l->prev = l;
}

static inline bool tti_list_empty(const struct tti_list *l)
{
	return l->next == l;
}

static inline bool tti_list_linked(const struct tti_list *n)
{
	return n->next != n;
}

static inline void tti_list_insert_between(struct tti_list *n, struct tti_list *prev, struct tti_list *next)
{
	n->prev = prev;
	n->next = next;
	prev->next = n;
	next->prev = n;
}

static inline void tti_list_push_back(struct tti_list *l, struct tti_list *n)
{
	tti_list_insert_between(n, l->prev, l);
}

static inline void tti_list_push_front(struct tti_list *l, struct tti_list *n)
{
	tti_list_insert_between(n, l, l->next);
}

static inline void tti_list_unlink(struct tti_list *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	tti_list_init(n);
}

/* NULL when empty. */
static inline struct tti_list *tti_list_first(const struct tti_list *l)
{
	return l->next == l ? NULL : l->next;
}

static inline struct tti_list *tti_list_last(const struct tti_list *l)
{
	return l->prev == l ? NULL : l->prev;
}

/* NULL when empty. */
static inline struct tti_list *tti_list_pop_front(struct tti_list *l)
{
	struct tti_list *n = tti_list_first(l);

	if (n != NULL)
		tti_list_unlink(n);
	return n;
}

/* Safe against unlinking n, not against unlinking its successor. */
#define TTI_LIST_FOR_EACH(n, l) \
	for (struct tti_list *n = (l)->next, *n##_next = n->next; n != (l); n = n##_next, n##_next = n->next)

struct tti_link {
	struct tti_link *next;
};

/* First in, first out. tail is meaningless while head is NULL. */
struct tti_queue {
	struct tti_link *head, *tail;
	size_t len;
};

static inline void tti_queue_push(struct tti_queue *q, struct tti_link *n)
{
	n->next = NULL;
	if (q->head == NULL)
		q->head = n;
	else
		q->tail->next = n;
	q->tail = n;
	q->len++;
}

static inline void tti_queue_push_front(struct tti_queue *q, struct tti_link *n)
{
	n->next = q->head;
	if (q->head == NULL)
		q->tail = n;
	q->head = n;
	q->len++;
}

static inline struct tti_link *tti_queue_pop(struct tti_queue *q)
{
	struct tti_link *n = q->head;

	if (n == NULL)
		return NULL;
	q->head = n->next;
	q->len--;
	return n;
}

/* The element that has index others before it; the simulator picks by index. */
static inline struct tti_link *tti_queue_take(struct tti_queue *q, size_t index)
{
	struct tti_link *prev = NULL, *n = q->head;

	for (; n != NULL && index > 0; index--) {
		prev = n;
		n = n->next;
	}
	if (n == NULL)
		return NULL;
	if (prev == NULL)
		return tti_queue_pop(q);
	prev->next = n->next;
	if (q->tail == n)
		q->tail = prev;
	q->len--;
	return n;
}

/* Newest first; free lists. */
struct tti_stack {
	struct tti_link *head;
	size_t len;
};

static inline void tti_stack_push(struct tti_stack *s, struct tti_link *n)
{
	n->next = s->head;
	s->head = n;
	s->len++;
}

static inline struct tti_link *tti_stack_pop(struct tti_stack *s)
{
	struct tti_link *n = s->head;

	if (n == NULL)
		return NULL;
	s->head = n->next;
	s->len--;
	return n;
}

#endif

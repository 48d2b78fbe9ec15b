/* SPDX-License-Identifier: MIT */
/* list_test.c - the intrusive list, queue and stack against plain arrays. */
#include "base/list.h"

#include <stdint.h>
#include <string.h>

#include <tutti/testing.h>

#define ITEMS 32
#define STEPS 20000

struct item {
	struct tti_list link;
	struct tti_link next;
	int name;
};

static struct item items[ITEMS];

static uint64_t random_state = 88172645463325252u;

static unsigned random_below(unsigned n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)(random_state % n);
}

struct model {
	int names[ITEMS];
	size_t len;
};

static void model_insert(struct model *m, size_t at, int name)
{
	memmove(&m->names[at + 1], &m->names[at], (m->len - at) * sizeof(int));
	m->names[at] = name;
	m->len++;
}

static int model_remove(struct model *m, size_t at)
{
	int name = m->names[at];

	m->len--;
	memmove(&m->names[at], &m->names[at + 1], (m->len - at) * sizeof(int));
	return name;
}

static bool list_equals(const struct tti_list *l, const struct model *m)
{
	size_t n = 0;

	TTI_LIST_FOR_EACH (link, l) {
		if (n == m->len || TTI_CONTAINER_OF(link, struct item, link)->name != m->names[n])
			return false;
		if (link->next->prev != link || link->prev->next != link)
			return false;
		n++;
	}
	return n == m->len && tti_list_empty(l) == (m->len == 0);
}

static void name_items(void)
{
	for (int i = 0; i < ITEMS; i++) {
		items[i].name = i;
		tti_list_init(&items[i].link);
	}
}

static void list_step(struct tti_list *l, struct model *m)
{
	struct item *it = &items[random_below(ITEMS)];
	struct tti_list *n;

	if (tti_list_linked(&it->link)) {
		size_t at = 0;

		while (m->names[at] != it->name)
			at++;
		tti_list_unlink(&it->link);
		tti_list_unlink(&it->link); /* harmless */
		model_remove(m, at);
		return;
	}
	switch (random_below(3)) {
	case 0:
		tti_list_push_back(l, &it->link);
		model_insert(m, m->len, it->name);
		return;
	case 1:
		tti_list_push_front(l, &it->link);
		model_insert(m, 0, it->name);
		return;
	default:
		n = tti_list_pop_front(l);
		EXPECT_EQ(n == NULL, m->len == 0);
		if (n != NULL)
			EXPECT_EQ(TTI_CONTAINER_OF(n, struct item, link)->name, model_remove(m, 0));
	}
}

/* The list is the array, after any sequence of steps; unlinking twice is harmless. */
TT_TEST_PLAIN(list, list_equals_the_model)
{
	struct model m = { .len = 0 };
	struct tti_list l;

	tti_list_init(&l);
	name_items();
	for (int i = 0; i < STEPS; i++) {
		list_step(&l, &m);
		REQUIRE_TRUE(list_equals(&l, &m));
		EXPECT_EQ(tti_list_first(&l) == NULL, m.len == 0);
		EXPECT_EQ(tti_list_last(&l) == NULL, m.len == 0);
	}
}

/* The walk allows its node to be unlinked. */
TT_TEST_PLAIN(list, walk_survives_unlinking_its_node)
{
	struct tti_list l;
	int seen = 0;

	tti_list_init(&l);
	name_items();
	for (int i = 0; i < ITEMS; i++)
		tti_list_push_back(&l, &items[i].link);
	TTI_LIST_FOR_EACH (n, &l) {
		EXPECT_EQ(TTI_CONTAINER_OF(n, struct item, link)->name, seen);
		seen++;
		tti_list_unlink(n);
	}
	EXPECT_EQ(seen, ITEMS);
	EXPECT_TRUE(tti_list_empty(&l));
}

static void queue_step(struct tti_queue *q, struct model *m, bool *in)
{
	int name = (int)random_below(ITEMS);
	struct tti_link *n;
	size_t at;

	switch (random_below(4)) {
	case 0:
	case 1:
		if (in[name])
			return;
		in[name] = true;
		if (random_below(2) == 0) {
			tti_queue_push(q, &items[name].next);
			model_insert(m, m->len, name);
		} else {
			tti_queue_push_front(q, &items[name].next);
			model_insert(m, 0, name);
		}
		return;
	case 2:
		n = tti_queue_pop(q);
		at = 0;
		break;
	default:
		at = random_below(ITEMS);
		n = tti_queue_take(q, at);
	}
	EXPECT_EQ(n == NULL, at >= m->len);
	if (n != NULL) {
		name = TTI_CONTAINER_OF(n, struct item, next)->name;
		in[name] = false;
		EXPECT_EQ(name, model_remove(m, at));
	}
}

/* The queue is first in, first out, and can be taken from by position. */
TT_TEST_PLAIN(list, queue_equals_the_model)
{
	struct model m = { .len = 0 };
	struct tti_queue q = { NULL, NULL, 0 };
	bool in[ITEMS] = { false };

	name_items();
	for (int i = 0; i < STEPS; i++) {
		size_t n = 0;

		queue_step(&q, &m, in);
		for (struct tti_link *l = q.head; l != NULL; l = l->next, n++)
			REQUIRE_EQ(TTI_CONTAINER_OF(l, struct item, next)->name, m.names[n]);
		REQUIRE_EQ(n, m.len);
		REQUIRE_EQ(q.len, m.len);
	}
}

/* The stack is last in, first out. */
TT_TEST_PLAIN(list, stack_is_last_in_first_out)
{
	struct tti_stack s = { NULL, 0 };

	name_items();
	EXPECT_TRUE(tti_stack_pop(&s) == NULL);
	for (int i = 0; i < ITEMS; i++)
		tti_stack_push(&s, &items[i].next);
	EXPECT_EQ(s.len, (size_t)ITEMS);
	for (int i = ITEMS - 1; i >= 0; i--)
		EXPECT_EQ(TTI_CONTAINER_OF(tti_stack_pop(&s), struct item, next)->name, i);
	EXPECT_EQ(s.len, 0u);
}

TT_TEST_MAIN()

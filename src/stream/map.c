/* SPDX-License-Identifier: MIT */
/*
 * map.c - a function over a stream, several items at a time.
 *
 * n children each take an item, call the function and send what it made. In order means: an
 * item gets a number when it is taken, and its child sends when all before it were sent. There
 * are never more than n numbers between the first unsent and the last taken, so a ring
 * of n semaphores passes the turn on: number k waits for semaphore k % n.
 *
 * Invariants  The numbers that are taken and not sent are consecutive, and at most n.
 *             Exactly one turn is around: stored in a semaphore, or held by a child.
 * Rejected    A buffer that sorts results: it needs a bound of its own, and the children
 *             that wait for their turn are one.
 */
#include <tutti/group.h>
#include <tutti/mutex.h>
#include <tutti/semaphore.h>
#include <tutti/stream.h>

#include <string.h>

#include "base/panic.h"
#include "base/sometimes.h"
#include "env/env.h"
#include "wait/wait.h"

/* The layout TT_TASK gives to the arguments of the function. */
struct item_args {
	void *in, *out;
};

struct map {
	const tt_map_ *shape;
	const tt_task_type *type;
	const void *args;                    /* the caller's; the first two are each child's own */
	size_t in_room, out_room, args_room; /* bytes, rounded up */
	tt_mutex take;                       /* one at a time takes an item and its number */
	uint64_t next;                       /* the number of the next item; the holder of take */
	tt_semaphore *turns;                 /* shape->n of them; NULL: unordered */
};

/* A child's hand: item, result, arguments. */
struct hand {
	struct map *map;
	unsigned char *in, *out, *args;
};

static size_t rounded(size_t bytes)
{
	return (bytes + 15) & ~(size_t)15;
}

/* 1 an item and its number, 0 the input ended, or a code. */
static int take(struct hand *h, uint64_t *ret_number)
{
	struct map *m = h->map;
	int rc;

	if (m->turns == NULL)
		return tt_recv(m->shape->in, h->in);
	TT_TRY(tt_mutex_lock(&m->take));
	rc = tt_recv(m->shape->in, h->in);
	if (rc > 0)
		*ret_number = m->next++;
	tt_mutex_unlock(&m->take);
	return rc;
}

static int call(struct hand *h)
{
	struct item_args own = { .in = h->in, .out = h->out };

	memcpy(h->args, h->map->args, h->map->type->size);
	memcpy(h->args, &own, sizeof(own));
	return h->map->type->run(h->args);
}

/* Sends the result in its turn, or what there is of it: made is what the function said. The
 * result is gone in any case. */
static int deliver(struct hand *h, uint64_t number, int made)
{
	struct map *m = h->map;
	unsigned n = m->shape->n;
	int rc = 0, sent = 0;

	if (m->turns != NULL)
		rc = tt_semaphore_acquire(&m->turns[number % n], 1);
	TTI_SOMETIMES(rc < 0 && made > 0, "a result is made, and its turn does not come");
	/* Without its turn this child is cancelled: giving then destroys. */
	if (made > 0)
		sent = tt_give(m->shape->out, (void *)h->out);
	if (rc >= 0 && m->turns != NULL)
		tt_semaphore_release(&m->turns[(number + 1) % n], 1);
	return rc < 0 ? rc : sent;
}

static TT_TASK(work, (struct hand *, h))
{
	uint64_t number = 0;
	int rc;

	while ((rc = take(h, &number)) > 0) {
		rc = call(h);
		if (rc < 0)
			return rc;
		TT_TRY(deliver(h, number, rc));
	}
	return rc;
}

static int run_children(struct map *m, struct hand *hands)
{
	TT_GROUP(g);
	for (unsigned i = 0; i < m->shape->n; i++)
		tt_go(&g, work, &hands[i]);
	return tt_group_end(&g, 0);
}

/* One block: the hands, the turns, and behind them what the hands hold. */
static int map_run(struct map *m)
{
	size_t n = m->shape->n, hold = m->in_room + m->out_room + m->args_room;
	size_t front = rounded(n * sizeof(struct hand)) + (m->shape->ordered ? rounded(n * sizeof(tt_semaphore)) : 0);
	unsigned char *block = tti_env_zalloc(front + n * hold);
	struct hand *hands = (struct hand *)(void *)block;
	int rc;

	if (block == NULL)
		return TT_ENOMEM;
	if (m->shape->ordered)
		m->turns = (tt_semaphore *)(void *)(block + rounded(n * sizeof(struct hand)));
	for (size_t i = 0; i < n; i++) {
		hands[i].map = m;
		hands[i].in = block + front + i * hold;
		hands[i].out = hands[i].in + m->in_room;
		hands[i].args = hands[i].out + m->out_room;
		if (m->turns != NULL)
			tt_semaphore_init(&m->turns[i], i == 0);
	}
	tt_mutex_init(&m->take);
	rc = run_children(m, hands);
	tt_mutex_fini(&m->take);
	for (size_t i = 0; i < n && m->turns != NULL; i++)
		tt_semaphore_fini(&m->turns[i]);
	tti_env_free(block);
	return rc;
}

intptr_t tt_verb_map_(void *on, const tt_task_type *type, const void *args, const char *site)
{
	const tt_map_ *shape = on;
	struct map m = {
		.shape = shape, .type = type, .args = args, .in_room = rounded(shape->in_size),
		.out_room = rounded(shape->out_size), .args_room = rounded(type->size),
	};

	TT_REQUIRE(type->drop == NULL, "tt_map at %s: an argument of %s has a destructor", site, type->name);
	TT_CLOSE_AT_END(shape->out);
	TT_TRY(tti_checkpoint());
	if (shape->n == 0)
		return TT_EINVAL;
	return map_run(&m);
}

/* SPDX-License-Identifier: MIT */
/*
 * parallel.c - the forms of <tutti/parallel.h>: a fork that begins in a task, and loops.
 *
 * Loop        A thread runs its range in chunks and looks at its beat between two of them. A
 *             chunk grows until it takes about CHUNK_NS, so short bodies pay for the look
 *             and the call once in many items and long ones are never far from the next
 *             look; it is at most 1/16 of what is left, so that a range whose items suddenly
 *             become heavy is not run to its end by one thread. When a thread is idle the
 *             upper half of what is left is shared: adaptive splitting, no grain.
 * Order       The lower half stays with who splits, the upper one is joined behind it: that
 *             makes a reduction fold and join in the order of the indices.
 * Frames      A split is one frame of loop_run() deeper: at most one for each bit of n.
 */
#include <string.h>

#include "base/panic.h"
#include "par/compute.h"
#include "wait/wait.h"

#define CHUNK_NS TT_US(10)
#define CHUNK_PART 16
/* Room for a range's own copy of the arguments and of the accumulator, where they fit. */
#define ROOM 192
/* Of memory for items whose type is not known here: what the widest vectors want. */
#define ITEM_ALIGN 64

struct loop {
	const char *call;                    /* "tt_par_for" */
	const tt_task_type *type;
	const void *args;                    /* of the caller */
	size_t n;
	int (*chunk)(const struct loop *l, void *args, size_t first, size_t end);
	size_t in_size, out_size;            /* tt_par_map: bytes of an element */
	size_t acc_size;                     /* tt_par_reduce: bytes of *acc; 0 elsewhere */
	const void *neutral;                 /* what an accumulator starts from */
	const tt_par_call_ *join;
};

/* A part of it that was shared. */
struct range {
	const struct loop *loop;
	size_t first, end;
	void *acc;
};

/* The layouts that TT_TASK gives to the arguments of a body. */
struct for_args { size_t first, end; };
struct map_args { const void *in; void *out; };
struct fold_args { size_t first, end; void *acc; };
struct join_args { void *left, *right; };

/* Bytes that were wanted aligned, on the stack when they fit. */
struct room {
	_Alignas(ITEM_ALIGN) unsigned char bytes[ROOM];
	void *mem, *allocated;
};

static void *room_get(struct room *r, size_t size, size_t align)
{
	r->allocated = NULL;
	r->mem = r->bytes;
	if (size <= ROOM && align <= ITEM_ALIGN)
		return r->mem;
	r->allocated = tti_env_alloc(size + align);
	if (r->allocated == NULL)
		return NULL;
	r->mem = (void *)(((uintptr_t)r->allocated + align - 1) & ~(uintptr_t)(align - 1));
	return r->mem;
}

static void room_put(struct room *r)
{
	tti_env_free(r->allocated);
}

/* ---- chunks ---- */

static int for_chunk(const struct loop *l, void *args, size_t first, size_t end)
{
	struct for_args *a = args;

	a->first = first;
	a->end = end;
	return l->type->run(args);
}

static int map_chunk(const struct loop *l, void *args, size_t first, size_t end)
{
	const struct map_args base = *(const struct map_args *)l->args;
	struct map_args *a = args;

	for (size_t i = first; i < end; i++) {
		int rc;

		a->in = (const char *)base.in + i * l->in_size;
		a->out = (char *)base.out + i * l->out_size;
		rc = l->type->run(args);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- ranges ---- */

static int range_run(void *args);

static const tt_task_type range_type = {
	.name = "part of a loop", .site = TT_SITE, .size = sizeof(struct range), .align = _Alignof(struct range),
	.run = range_run,
};

static int loop_run(struct tti_compute_worker *w, const struct loop *l, size_t first, size_t end, void *acc);

static int join_accs(const struct loop *l, void *left, void *right)
{
	struct room room;
	struct join_args *a = room_get(&room, l->join->type->size, l->join->type->align);
	int rc;

	if (a == NULL)
		return TT_ENOMEM;
	memcpy(a, l->join->args, l->join->type->size);
	a->left = left;
	a->right = right;
	rc = l->join->type->run(a);
	room_put(&room);
	return rc < 0 ? rc : 0;
}

/* The lower half here, the upper one for whoever comes; *ret_split false: nothing was done. */
static int split(struct tti_compute_worker *w, const struct loop *l, size_t first, size_t end, void *acc,
                 bool *ret_split)
{
	struct range upper = { .loop = l, .first = first + (end - first) / 2, .end = end };
	struct tt_par_share_ *s;
	struct room room = { .allocated = NULL };
	int rc;

	*ret_split = false;
	if (l->acc_size > 0) {
		upper.acc = room_get(&room, l->acc_size, ITEM_ALIGN);
		if (upper.acc == NULL)
			return 0;
		memcpy(upper.acc, l->neutral, l->acc_size);
	}
	s = tti_compute_share(w, &range_type, &upper);
	if (s != NULL) {
		*ret_split = true;
		rc = loop_run(w, l, first, upper.first, acc);
		rc = tti_compute_join(w, s, rc);
		if (rc >= 0 && l->acc_size > 0)
			rc = join_accs(l, acc, upper.acc);
	} else {
		rc = 0;
	}
	room_put(&room);
	return rc;
}

static size_t next_chunk(size_t chunk, int64_t took_ns)
{
	if (took_ns < CHUNK_NS / 2)
		return chunk <= SIZE_MAX / 2 ? chunk * 2 : chunk;
	return took_ns > 2 * CHUNK_NS && chunk > 1 ? chunk / 2 : chunk;
}

static int run_chunks(struct tti_compute_worker *w, const struct loop *l, void *args, size_t first, size_t end,
                      void *acc)
{
	int64_t before = tti_env_now(), after;
	size_t chunk = 1, n;
	bool wanted;
	int rc;

	for (; first < end; first += n) {
		/* relaxed: a wish; what stands behind it is read after an exchange. */
		if (tti_load_relaxed(&w->open.beat) != 0) {
			rc = tti_compute_attend(w, &wanted);
			if (rc == 0 && wanted && end - first > 1) {
				rc = split(w, l, first, end, acc, &wanted);
				if (wanted)
					return rc;
			}
			if (rc < 0)
				return rc;
		}
		n = (end - first) / CHUNK_PART;
		n = n == 0 ? 1 : n < chunk ? n : chunk;
		rc = l->chunk(l, args, first, first + n);
		if (rc < 0)
			return rc;
		after = tti_env_now();
		chunk = next_chunk(chunk, after - before);
		before = after;
	}
	return 0;
}

static int loop_run(struct tti_compute_worker *w, const struct loop *l, size_t first, size_t end, void *acc)
{
	struct room room;
	void *args = room_get(&room, l->type->size, l->type->align);
	int rc;

	if (args == NULL)
		return TT_ENOMEM;
	memcpy(args, l->args, l->type->size);
	if (l->acc_size > 0)
		((struct fold_args *)args)->acc = acc;
	rc = run_chunks(w, l, args, first, end, acc);
	room_put(&room);
	return rc;
}

static int range_run(void *args)
{
	const struct range *r = args;

	return loop_run(tti_compute_here(), r->loop, r->first, r->end, r->acc);
}

/* ---- whole loops ---- */

/* The caller's accumulator is written only when all went well. */
static int whole_run(void *args)
{
	const struct loop *l = *(const struct loop **)args;
	struct room room = { .allocated = NULL };
	void *acc = NULL;
	int rc;

	if (l->acc_size > 0) {
		acc = room_get(&room, l->acc_size, ITEM_ALIGN);
		if (acc == NULL)
			return TT_ENOMEM;
		memcpy(acc, l->neutral, l->acc_size);
	}
	rc = loop_run(tti_compute_here(), l, 0, l->n, acc);
	if (rc >= 0 && l->acc_size > 0)
		memcpy((void *)(uintptr_t)l->neutral, acc, l->acc_size);
	room_put(&room);
	return rc;
}

static const tt_task_type whole_type = {
	.name = "loop", .site = TT_SITE, .size = sizeof(void *), .align = _Alignof(void *), .run = whole_run,
};

static int loop_start(const struct loop *l, const char *site)
{
	const struct loop *args = l;
	struct tti_compute_worker *w = tti_compute_here();
	int rc;

	TT_REQUIRE(l->type->drop == NULL, "%s at %s: %s would own an argument in every part", l->call, site, l->type->name);
	TT_REQUIRE(l->join == NULL || l->join->type->drop == NULL, "%s at %s: %s would own an argument at every join",
	           l->call, site, l->join->type->name);
	if (w == NULL && l->n > 0)
		return tti_compute_region(&whole_type, (void *)&args, l->call, site);
	if (w != NULL)
		rc = tti_compute_check(w);
	else
		rc = tti_current_or_panic(l->call) != NULL ? tti_checkpoint() : TT_EWRONGCTX;
	if (rc < 0 || l->n == 0)
		return rc;
	rc = whole_run((void *)&args);
	return rc < 0 ? rc : 0;
}

intptr_t tt_verb_par_for_(void *on, const tt_task_type *type, const void *args, const char *site)
{
	const struct loop l = {
		.call = "tt_par_for", .type = type, .args = args, .n = *(const size_t *)on, .chunk = for_chunk,
	};

	return loop_start(&l, site);
}

intptr_t tt_verb_par_map_(void *on, const tt_task_type *type, const void *args, const char *site)
{
	const tt_par_shape_ *shape = on;
	const struct loop l = {
		.call = "tt_par_map", .type = type, .args = args, .n = shape->n, .chunk = map_chunk,
		.in_size = shape->in_size, .out_size = shape->out_size,
	};

	return loop_start(&l, site);
}

intptr_t tt_verb_par_reduce_(void *on, const tt_task_type *type, const void *args, const char *site)
{
	const tt_par_join_ *join = on;
	const struct loop l = {
		.call = "tt_par_reduce", .type = type, .args = args, .n = join->n, .chunk = for_chunk,
		.acc_size = join->size, .neutral = ((const struct fold_args *)args)->acc, .join = join->join,
	};

	return loop_start(&l, site);
}

/* ---- a fork that begins in a task ---- */

struct fork {
	tt_par_call_ left, right;
	const char *site;
};

static int fork_run(void *args)
{
	struct fork *f = args;

	return tt_fork2_(f->left.type, f->left.type->run, f->left.args, f->right.type, f->right.type->run, f->right.args,
	                 f->site);
}

static void fork_drop(void *args)
{
	struct fork *f = args;

	if (f->left.type->drop != NULL)
		f->left.type->drop(f->left.args);
	if (f->right.type->drop != NULL)
		f->right.type->drop(f->right.args);
}

static const tt_task_type fork_type = {
	.name = "tt_fork2", .site = TT_SITE, .size = sizeof(struct fork), .align = _Alignof(struct fork), .run = fork_run,
	.drop = fork_drop,
};

int tt_fork2_outside_(const tt_task_type *left, void *left_args, const tt_task_type *right, void *right_args,
                      const char *site)
{
	struct fork f = { .left = { left, left_args }, .right = { right, right_args }, .site = site };

	return tti_compute_region(&fork_type, &f, "tt_fork2", site);
}

/* ---- a call as a region ---- */

intptr_t tt_verb_par_run_(void *on, const tt_task_type *type, const void *args, const char *site)
{
	struct tti_compute_worker *w = tti_compute_here();
	int rc;

	if (w == NULL)
		return tti_compute_region(type, (void *)(uintptr_t)args, on, site);
	rc = tti_compute_check(w);
	return rc < 0 ? rc : type->run((void *)(uintptr_t)args);
}

/* The address to free stands before the items. */
void *tt_sort_alloc_(size_t n, size_t size)
{
	char *allocated, *items;
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes) || __builtin_add_overflow(bytes, ITEM_ALIGN, &bytes))
		return NULL;
	allocated = tti_env_alloc(bytes);
	if (allocated == NULL)
		return NULL;
	items = allocated + ITEM_ALIGN - (uintptr_t)allocated % ITEM_ALIGN;
	memcpy(items - sizeof(allocated), &allocated, sizeof(allocated));
	return items;
}

void tt_sort_free_(void *p)
{
	void *allocated = NULL;

	if (p != NULL)
		memcpy(&allocated, (char *)p - sizeof(allocated), sizeof(allocated));
	tti_env_free(allocated);
}

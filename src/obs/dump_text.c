/* SPDX-License-Identifier: MIT */
/*
 * dump_text.c - a task dump as text: one line a task under its parent, then its frames.
 * Called by dump.c with rows that nobody changes any more.
 */
#include "obs/dump.h"

#include <stdarg.h>
#include <stdio.h>

#include "env/frames.h"
#include "task/task.h"

struct out {
	tti_dump_write *write;
	void *to;
	int rc;                              /* first failure to write */
	size_t len;
	char buf[2048];
};

static void flush(struct out *o)
{
	if (o->rc == 0 && o->len > 0)
		o->rc = o->write(o->to, o->buf, o->len);
	o->len = 0;
}

TT_PRINTF(2, 3) static void put(struct out *o, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (o->len > sizeof(o->buf) - 512)
		flush(o);
	va_start(ap, fmt);
	n = vsnprintf(o->buf + o->len, sizeof(o->buf) - o->len, fmt, ap);
	va_end(ap);
	if (n > 0)
		o->len += (size_t)n < sizeof(o->buf) - o->len ? (size_t)n : sizeof(o->buf) - o->len - 1;
}

static void put_frame(struct out *o, unsigned depth, unsigned i, void *pc)
{
	char name[256];

	tti_env_frame_text(pc, name, sizeof(name));
	put(o, "%*s    #%u %s\n", (int)depth * 2, "", i, name);
}

static void put_row(struct out *o, const struct tti_dump_row *r, unsigned depth, int64_t now)
{
	put(o, "%*s%s#%llu %s on worker %u", (int)depth * 2, "", r->name, (unsigned long long)r->id,
	    tti_task_state_name((enum tti_task_state)r->state), r->worker);
	if (r->verb != NULL) {
		put(o, ", %s", r->verb);
		if (r->object != NULL)
			put(o, " %p", r->object);
		put(o, " for %lld.%03lld s", (long long)((now - r->since) / 1000000000),
		    (long long)((now - r->since) / 1000000 % 1000));
		if (r->wait_site != NULL)
			put(o, " at %s", r->wait_site);
	}
	if ((r->cancel_bits & TTI_CANCELLED) != 0)
		put(o, ", cancelled");
	else if ((r->cancel_bits & TTI_STOPPING) != 0)
		put(o, ", stopping");
	put(o, ", spawned at %s\n", r->spawn_site != NULL ? r->spawn_site : "?");
	for (unsigned i = 0; i < r->n_frames; i++)
		put_frame(o, depth, i, r->frames[i]);
}

static bool comes_before(const struct tti_dump_row *x, const struct tti_dump_row *y)
{
	return x->parent_id != y->parent_id ? x->parent_id < y->parent_id : x->id < y->id;
}

static void sift_down(struct tti_dump_row *row, size_t at, size_t n)
{
	struct tti_dump_row moved = row[at];
	size_t child;

	while ((child = 2 * at + 1) < n) {
		if (child + 1 < n && comes_before(&row[child], &row[child + 1]))
			child++;
		if (!comes_before(&moved, &row[child]))
			break;
		row[at] = row[child];
		at = child;
	}
	row[at] = moved;
}

/* By parent, then age. A heap sort: libc's may ask for memory behind the environment's back. */
static void sort_rows(struct tti_dump *d)
{
	for (size_t i = d->n / 2; i-- > 0;)
		sift_down(d->row, i, d->n);
	for (size_t n = d->n; n > 1;) {
		struct tti_dump_row last = d->row[--n];

		d->row[n] = d->row[0];
		d->row[0] = last;
		sift_down(d->row, 0, n);
	}
}

/* The first of parent's children among rows sorted by parent. */
static size_t first_child(const struct tti_dump *d, uint64_t parent)
{
	size_t low = 0, high = d->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (d->row[mid].parent_id < parent)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool has_row(const struct tti_dump *d, uint64_t id)
{
	for (size_t i = 0; i < d->n; i++)
		if (d->row[i].id == id)
			return true;
	return false;
}

/* Depth first without recursion: a tree of tasks may be deeper than this stack. Each row's
 * own place in the walk is kept in a parallel array. */
static void put_tree(struct out *o, const struct tti_dump *d, uint64_t root_parent)
{
	size_t *stack = d->stack;
	size_t depth = 0;

	stack[0] = first_child(d, root_parent);
	for (;;) {
		size_t i = stack[depth];
		uint64_t parent = depth == 0 ? root_parent : d->row[stack[depth - 1] - 1].id;

		if (i >= d->n || d->row[i].parent_id != parent) {
			if (depth-- == 0)
				return;
			continue;
		}
		put_row(o, &d->row[i], (unsigned)depth, d->now);
		stack[depth]++;
		stack[++depth] = first_child(d, d->row[i].id);
	}
}

/* Tasks whose parent has ended (a shared group's) start a tree of their own. */
static void put_all(struct out *o, const struct tti_dump *d)
{
	uint64_t last = UINT64_MAX;

	for (size_t i = 0; i < d->n; i++) {
		uint64_t parent = d->row[i].parent_id;

		if (parent == last || (parent != 0 && has_row(d, parent)))
			continue;
		last = parent;
		put_tree(o, d, parent);
	}
}

int tti_dump_print(struct tti_dump *d, tti_dump_write *write, void *to)
{
	struct out o = { .write = write, .to = to };

	sort_rows(d);
	put(&o, "tutti: %zu tasks on %u workers\n", d->n, d->n_workers);
	put_all(&o, d);
	flush(&o);
	return o.rc;
}

/* SPDX-License-Identifier: MIT */
/*
 * dump.c - tt_dump_tasks(): the live tree of tasks, as text.
 *
 * Each worker copies what there is to say of its own tasks into rows, on its own thread;
 * so nothing that is printed is torn, and no lock stops anybody. Workers are visited one
 * after the other: the tree is of slightly different moments across workers.
 */
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include <tutti/trace.h>

#include "base/panic.h"
#include "sched/worker.h"
#include "wait/wait.h"

#define FRAMES_MAX 12

struct row {
	uint64_t id, parent_id;
	const char *name, *spawn_site;       /* static strings */
	const char *verb, *wait_site;        /* what it waits for; NULL unless parked */
	const void *object;
	int64_t since;                       /* monotonic ns it has been parked since */
	uint32_t state;                      /* enum tti_task_state */
	uint32_t cancel_bits;
	unsigned worker;
	unsigned n_frames;
	void *frames[FRAMES_MAX];            /* return addresses, innermost first */
};

struct rows {
	struct row *row;
	size_t n, cap;
	bool no_memory;
	struct tti_home *home;               /* being visited */
};

/* ---- collecting, on each worker ---- */

/* By frame pointers, within the bounds of the stack: a function compiled without them
 * ends the walk early, and never leaves the stack. */
static unsigned walk_stack(const struct tti_fiber *f, void **ret_frames)
{
	uintptr_t low = (uintptr_t)f->stack_low, high = low + f->stack_size, fp;
	unsigned n = 0;
	void *first_fp;

	if (f->stack_low == NULL)
		return 0;
	tti_context_frame(&f->ctx, &first_fp, &ret_frames[n]);
	n++;
	for (fp = (uintptr_t)first_fp; n < FRAMES_MAX; n++) {
		uintptr_t *frame = (uintptr_t *)fp;

		if (fp < low || fp > high - 2 * sizeof(uintptr_t) || fp % sizeof(uintptr_t) != 0 || frame[1] == 0)
			break;
		ret_frames[n] = (void *)frame[1];
		if (frame[0] <= fp)
			return n + 1;
		fp = frame[0];
	}
	return n;
}

static void fill(struct row *r, const struct tt_task *t)
{
	*r = (struct row){
		.id = t->id,
		.parent_id = t->parent_id,
		.name = t->name,
		.spawn_site = t->spawn_site,
		.state = t->state,
		.cancel_bits = t->cancel_bits,
		.worker = t->home->index,
	};
	if (t->state == TTI_TASK_PARKED && t->waiting != NULL) {
		r->verb = t->waiting->reason.verb;
		r->object = t->waiting->reason.object;
		r->wait_site = t->waiting->reason.site;
		r->since = t->parked_since;
	}
	if (t->fiber != NULL && (t->state == TTI_TASK_PARKED || t->state == TTI_TASK_READY))
		r->n_frames = walk_stack(t->fiber, r->frames);
}

static bool grow(struct rows *rows)
{
	size_t cap = rows->cap == 0 ? 64 : rows->cap * 2;
	struct row *bigger = tti_env_alloc(cap * sizeof(*bigger));

	if (bigger == NULL)
		return false;
	if (rows->n > 0)
		memcpy(bigger, rows->row, rows->n * sizeof(*bigger));
	tti_env_free(rows->row);
	rows->row = bigger;
	rows->cap = cap;
	return true;
}

static void collect(void *arg)
{
	struct rows *rows = arg;

	TTI_LIST_FOR_EACH (link, &rows->home->tasks) {
		if (rows->n == rows->cap && !grow(rows)) {
			rows->no_memory = true;
			return;
		}
		fill(&rows->row[rows->n++], TTI_CONTAINER_OF(link, struct tt_task, all_link));
	}
}

/* ---- printing, on the caller ---- */

struct out {
	int fd;
	int rc;                              /* first failure to write */
	size_t len;
	char buf[2048];
};

static void flush(struct out *o)
{
	size_t done = 0;

	while (done < o->len && o->rc == 0) {
		long n = tti_env_syscall(SYS_write, o->fd, (long)(o->buf + done), (long)(o->len - done), 0, 0, 0);

		if (n > 0)
			done += (size_t)n;
		else if (n != TT_EINTR)
			o->rc = n == 0 ? TT_EIO : (int)n;
	}
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
	Dl_info info;

	put(o, "%*s    #%u ", (int)depth * 2, "", i);
	if (dladdr(pc, &info) != 0 && info.dli_sname != NULL)
		put(o, "%s+0x%zx\n", info.dli_sname, (size_t)((char *)pc - (char *)info.dli_saddr));
	else if (dladdr(pc, &info) != 0 && info.dli_fname != NULL)
		put(o, "%s+0x%zx\n", info.dli_fname, (size_t)((char *)pc - (char *)info.dli_fbase));
	else
		put(o, "%p\n", pc);
}

static void put_row(struct out *o, const struct row *r, unsigned depth, int64_t now)
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

static bool comes_before(const struct row *x, const struct row *y)
{
	return x->parent_id != y->parent_id ? x->parent_id < y->parent_id : x->id < y->id;
}

static void sift_down(struct row *row, size_t at, size_t n)
{
	struct row moved = row[at];
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
static void sort_rows(struct rows *rows)
{
	for (size_t i = rows->n / 2; i-- > 0;)
		sift_down(rows->row, i, rows->n);
	for (size_t n = rows->n; n > 1;) {
		struct row last = rows->row[--n];

		rows->row[n] = rows->row[0];
		rows->row[0] = last;
		sift_down(rows->row, 0, n);
	}
}

/* The first of parent's children among rows sorted by parent. */
static size_t first_child(const struct rows *rows, uint64_t parent)
{
	size_t low = 0, high = rows->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (rows->row[mid].parent_id < parent)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool has_row(const struct rows *rows, uint64_t id)
{
	for (size_t i = 0; i < rows->n; i++)
		if (rows->row[i].id == id)
			return true;
	return false;
}

/* Depth first without recursion: a tree of tasks may be deeper than this stack. Each row's
 * own place in the walk is kept in a parallel array. */
static void put_tree(struct out *o, const struct rows *rows, size_t *stack, uint64_t root_parent, int64_t now)
{
	size_t depth = 0;

	stack[0] = first_child(rows, root_parent);
	for (;;) {
		size_t i = stack[depth];
		uint64_t parent = depth == 0 ? root_parent : rows->row[stack[depth - 1] - 1].id;

		if (i >= rows->n || rows->row[i].parent_id != parent) {
			if (depth-- == 0)
				return;
			continue;
		}
		put_row(o, &rows->row[i], (unsigned)depth, now);
		stack[depth]++;
		stack[++depth] = first_child(rows, rows->row[i].id);
	}
}

/* Tasks whose parent has ended (a shared group's) start a tree of their own. */
static void put_all(struct out *o, const struct rows *rows, size_t *stack, int64_t now)
{
	uint64_t last = UINT64_MAX;

	for (size_t i = 0; i < rows->n; i++) {
		uint64_t parent = rows->row[i].parent_id;

		if (parent == last || (parent != 0 && has_row(rows, parent)))
			continue;
		last = parent;
		put_tree(o, rows, stack, parent, now);
	}
}

int tt_dump_tasks(int fd)
{
	struct tti_worker *here = tti_worker_here();
	struct out o = { .fd = fd };
	struct rows rows = { 0 };
	size_t *stack;

	if (here == NULL || here->home.current == NULL)
		return TT_EINVAL;
	for (unsigned i = 0; i < here->rt->n_workers; i++) {
		rows.home = &here->rt->workers[i]->home;
		tti_worker_call(rows.home, "dump", collect, &rows);
	}
	stack = tti_env_alloc((rows.n + 2) * sizeof(*stack));
	if (stack == NULL || rows.no_memory) {
		tti_env_free(stack);
		tti_env_free(rows.row);
		return TT_ENOMEM;
	}
	sort_rows(&rows);
	put(&o, "tutti: %zu tasks on %u workers\n", rows.n, here->rt->n_workers);
	put_all(&o, &rows, stack, here->home.now);
	flush(&o);
	tti_env_free(stack);
	tti_env_free(rows.row);
	return o.rc;
}

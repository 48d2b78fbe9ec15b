/* SPDX-License-Identifier: MIT */
/*
 * dump.c - the live tree of tasks: tt_dump_tasks(), and the tasks that give it on a signal
 * or to whoever connects to a socket.
 *
 * Each worker copies what there is to say of its own tasks into rows, on its own thread;
 * so nothing that is printed is torn, and no lock stops anybody. Workers are visited one
 * after the other: the tree is of slightly different moments across workers, and one that
 * is held by a task that does not yield is waited for (a debugger shows it all the same).
 */
#include "obs/dump.h"

#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <tutti/error.h>
#include <tutti/net.h>
#include <tutti/scope.h>
#include <tutti/signal.h>
#include <tutti/trace.h>

#include "env/frames.h"
#include "sched/worker.h"
#include "wait/wait.h"

/* A walk over the workers. */
struct visit {
	struct tti_dump dump;
	struct tti_home *home;               /* being visited */
	bool no_memory;
};

/* ---- collecting, on each worker ---- */

/* By frame pointers, within the bounds of the stack: a function compiled without them
 * ends the walk early, and never leaves the stack. */
TTI_READS_FRAMES static unsigned walk_stack(const struct tti_fiber *f, void **ret_frames)
{
	uintptr_t low = (uintptr_t)f->stack_low, high = low + f->stack_size, fp;
	unsigned n = 0;
	void *first_fp;

	if (f->stack_low == NULL)
		return 0;
	tti_context_frame(&f->ctx, &first_fp, &ret_frames[n]);
	n++;
	for (fp = (uintptr_t)first_fp; n < TTI_DUMP_FRAMES_MAX; n++) {
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

static void fill(struct tti_dump_row *r, const struct tt_task *t)
{
	*r = (struct tti_dump_row){
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

static bool grow(struct tti_dump *d)
{
	size_t cap = d->cap == 0 ? 64 : d->cap * 2;
	struct tti_dump_row *bigger = tti_env_alloc(cap * sizeof(*bigger));

	if (bigger == NULL)
		return false;
	if (d->n > 0)
		memcpy(bigger, d->row, d->n * sizeof(*bigger));
	tti_env_free(d->row);
	d->row = bigger;
	d->cap = cap;
	return true;
}

static void collect(void *arg)
{
	struct visit *v = arg;
	struct tti_dump *d = &v->dump;

	TTI_LIST_FOR_EACH (link, &v->home->tasks) {
		if (d->n == d->cap && !grow(d)) {
			v->no_memory = true;
			return;
		}
		fill(&d->row[d->n++], TTI_CONTAINER_OF(link, struct tt_task, all_link));
	}
}

/* The rows of all workers. */
static int visit_workers(struct visit *v, struct tti_runtime *rt)
{
	for (unsigned i = 0; i < rt->n_workers; i++) {
		v->home = &rt->workers[i]->home;
		tti_worker_call(v->home, "dump", collect, v);
	}
	v->dump.n_workers = rt->n_workers;
	v->dump.now = tti_home_here->now;
	v->dump.stack = tti_env_alloc((v->dump.n + 2) * sizeof(*v->dump.stack));
	return v->no_memory || v->dump.stack == NULL ? TT_ENOMEM : 0;
}

static int dump(tti_dump_write *write, void *to)
{
	struct visit v = { 0 };
	int rc = visit_workers(&v, tti_worker_here()->rt);

	if (rc == 0)
		rc = tti_dump_print(&v.dump, write, to);
	tti_env_free(v.dump.stack);
	tti_env_free(v.dump.row);
	return rc;
}

/* ---- to a number ---- */

static int write_to_number(void *to, const char *text, size_t n)
{
	const int *fd = to;

	while (n > 0) {
		long done = tti_env_syscall(SYS_write, *fd, (long)text, (long)n, 0, 0, 0);

		if (done == 0 || (done < 0 && done != TT_EINTR))
			return done == 0 ? TT_EIO : (int)done;
		if (done > 0) {
			text += done;
			n -= (size_t)done;
		}
	}
	return 0;
}

int tt_dump_tasks(int fd)
{
	if (tti_current() == NULL)
		return TT_EINVAL;
	return dump(write_to_number, &fd);
}

int tt_dump_on_signal(int signo)
{
	tt_signals s = { { 0 } };
	int rc = tt_signal_open(&s, &signo, 1);

	if (rc < 0)
		return tt_wrap(rc, "task dumps on signal %d", signo);
	while ((rc = tt_signal_next(&s, &signo)) == 0)
		TT_IGNORE(tt_dump_tasks(STDERR_FILENO));
	tt_signal_close(&s);
	return rc;
}

/* ---- over a socket ---- */

static int write_to_peer(void *to, const char *text, size_t n)
{
	return tt_write_all(to, text, n, NULL);
}

/* A reader that stops reading is left alone after a while: the next one wants a turn. */
static void answer(tt_fd *peer)
{
	TT_IGNORE(TT_WITHIN(TT_SEC(5), dump(write_to_peer, peer)));
	tt_fd_close(peer);
}

int tt_dump_serve(const char *path)
{
	tt_fd *listener, *peer;
	int rc = tt_unix_listen(path, 8, &listener);

	if (rc < 0)
		return tt_wrap(rc, "task dumps at %s", path);
	while ((rc = tt_accept(listener, &peer, NULL)) >= 0)
		answer(peer);
	tt_fd_close(listener);
	return rc;
}

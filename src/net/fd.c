/* SPDX-License-Identifier: MIT */
/* fd.c - the descriptor table, calls, and the close that drains; see fd.h. */
#include "net/fd.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "base/panic.h"
#include "base/sometimes.h"
#include "net/net.h"
#include "net/resolve.h"
#include "net/signal_hub.h"

#define CHUNK_BITS 8
#define CHUNK (1u << CHUNK_BITS)
#define CHUNKS (1u << 14)               /* 4 million descriptors */

struct table {
	tti_atomic_ptr chunks[CHUNKS];       /* struct tti_fd[CHUNK], made on demand, kept */
};

/* ---- handles ---- */

static tt_fd *handle_of(const struct tti_fd *fd)
{
	return (tt_fd *)(uintptr_t)((uint64_t)fd->generation << 32 | (uint32_t)fd->number);
}

static int number_of(tt_fd *handle)
{
	return (int)(uint32_t)(uintptr_t)handle;
}

static uint32_t generation_of(tt_fd *handle)
{
	return (uint32_t)((uint64_t)(uintptr_t)handle >> 32);
}

/* ---- the table ---- */

/* Puts what was just made into *at, or frees it when another worker was faster. */
static void *publish(tti_atomic_ptr *at, void *made)
{
	void *none = NULL;

	/* release: pairs with the acquire in table_of() and chunk_of(), on any worker. */
	if (tti_cas_release(at, &none, made))
		return made;
	tti_env_free(made);
	/* acquire: pairs with the release above, by who was faster. */
	return tti_load_acquire(at);
}

static struct table *table_of(struct tti_runtime *rt, bool make)
{
	/* acquire: pairs with the release in publish(). */
	struct table *t = tti_load_acquire(&rt->fd_table);

	if (t != NULL || !make)
		return t;
	t = tti_env_zalloc(sizeof(*t));
	return t != NULL ? publish(&rt->fd_table, t) : NULL;
}

static struct tti_fd *chunk_new(void)
{
	struct tti_fd *chunk = tti_env_zalloc(CHUNK * sizeof(*chunk));

	for (unsigned i = 0; chunk != NULL && i < CHUNK; i++) {
		tti_list_init(&chunk[i].calls);
		tti_list_init(&chunk[i].foreign);
	}
	return chunk;
}

static struct tti_fd *chunk_of(struct table *t, unsigned number, bool make)
{
	tti_atomic_ptr *at;
	struct tti_fd *chunk;

	if (number >> CHUNK_BITS >= CHUNKS)
		return NULL;
	at = &t->chunks[number >> CHUNK_BITS];
	/* acquire: pairs with the release in publish(). */
	chunk = tti_load_acquire(at);
	if (chunk != NULL || !make)
		return chunk;
	chunk = chunk_new();
	return chunk != NULL ? publish(at, chunk) : NULL;
}

struct tti_fd *tti_fd_slot(int number, bool make)
{
	struct tti_worker *w = tti_worker_here();
	struct tti_fd *chunk;
	struct table *t;

	TT_REQUIRE(w != NULL, "a tt_fd was used outside the runtime's tasks");
	t = table_of(w->rt, make);
	chunk = t != NULL ? chunk_of(t, (unsigned)number, make) : NULL;
	return chunk != NULL ? &chunk[(unsigned)number & (CHUNK - 1)] : NULL;
}

/* Under the lock. */
static bool is_current(const struct tti_fd *fd, tt_fd *handle)
{
	return fd->state == TTI_FD_OPEN && fd->generation == generation_of(handle);
}

/* FREE -> OPEN, under the lock. */
static void to_open(struct tti_fd *fd, int number, bool socket, bool standard)
{
	if (++fd->generation == 0)
		fd->generation = 1; /* a handle is never NULL */
	fd->number = number;
	fd->state = TTI_FD_OPEN;
	fd->busy = TTI_NEITHER;
	fd->socket = socket;
	fd->standard = standard;
	fd->family = 0;
	fd->file = fd->torn = fd->drained = fd->starved = false;
	fd->path = NULL;
}

int tti_fd_adopt(int number, bool socket, tt_fd **ret_fd)
{
	struct tti_driver *d = tti_home_here->driver;
	struct tti_fd *fd = tti_fd_slot(number, true);

	if (fd == NULL) {
		d->ops->close(d, number);
		return TT_ENOMEM;
	}
	tti_spin_lock(&fd->lock);
	TT_REQUIRE(fd->state == TTI_FD_FREE, "descriptor %d was closed behind the runtime's back", number);
	to_open(fd, number, socket, false);
	*ret_fd = handle_of(fd);
	tti_spin_unlock(&fd->lock);
	return 0;
}

int tti_fd_standard(int number, tt_fd **ret_fd)
{
	struct tti_driver *d = tti_home_here->driver;
	struct tti_fd *fd = tti_fd_slot(number, true);
	uint64_t addr[16];
	uint32_t len = sizeof(addr);
	int rc;

	if (fd == NULL)
		return TT_ENOMEM;
	/* Tells what it is without changing it: -ENOTSOCK is a file, a pipe or a terminal. */
	rc = d->ops->address(d, number, false, addr, &len);
	if (rc < 0 && rc != -ENOTSOCK)
		return rc;
	tti_spin_lock(&fd->lock);
	if (fd->state == TTI_FD_FREE)
		to_open(fd, number, rc == 0, true);
	rc = fd->standard && fd->state == TTI_FD_OPEN ? 0 : TT_EBADF;
	if (rc == 0)
		*ret_fd = handle_of(fd);
	tti_spin_unlock(&fd->lock);
	return rc;
}

/* ---- calls ---- */

int tti_fd_enter(tt_fd *handle, unsigned sides, struct tti_fd_call *c)
{
	struct tti_fd *fd = handle != NULL ? tti_fd_slot(number_of(handle), false) : NULL;
	int rc = 0;

	if (fd == NULL)
		return TT_EBADF;
	c->fd = fd;
	c->home = tti_home_here;
	c->op = NULL;
	c->sides = (uint8_t)sides;
	tti_spin_lock(&fd->lock);
	if (!is_current(fd, handle)) {
		TTI_SOMETIMES(fd->state == TTI_FD_OPEN, "a handle is used when its number is another descriptor's");
		TTI_SOMETIMES(fd->state == TTI_FD_CLOSING, "a handle is used while it is being closed");
		rc = TT_EBADF;
	} else if ((fd->busy & sides) != 0) {
		TTI_SOMETIMES(true, "a side of a descriptor is wanted by two tasks");
		rc = TT_EBUSY;
	} else {
		fd->busy = (uint8_t)(fd->busy | sides);
		tti_list_push_back(&fd->calls, &c->link);
	}
	tti_spin_unlock(&fd->lock);
	return rc;
}

long tti_fd_leave(struct tti_fd_call *c, long rc)
{
	struct tti_fd *fd = c->fd;
	struct tti_waiter *closer = NULL;
	bool closing;

	TT_ASSERT(c->home == tti_home_here);
	TT_ASSERT(c->op == NULL || TTI_LAW_BROKEN(1));
	tti_spin_lock(&fd->lock);
	tti_list_unlink(&c->link);
	fd->busy = (uint8_t)(fd->busy & ~c->sides);
	closing = fd->state == TTI_FD_CLOSING;
	TTI_SOMETIMES(closing && rc > 0, "a call succeeds on a descriptor that is being closed");
	TTI_SOMETIMES(closing && !tti_list_empty(&fd->calls), "a close waits for more than one call");
	if (closing && tti_list_empty(&fd->calls) && fd->closer != NULL && tti_claim(fd->closer)) {
		closer = fd->closer;
		fd->closer = NULL;
	}
	tti_spin_unlock(&fd->lock);
	if (closer != NULL)
		tti_wake(closer);
	return closing && rc == TT_ECANCELED ? TT_EBADF : rc;
}

bool tti_fd_is_closing(struct tti_fd_call *c)
{
	bool closing;

	tti_spin_lock(&c->fd->lock);
	closing = c->fd->state != TTI_FD_OPEN;
	tti_spin_unlock(&c->fd->lock);
	return closing;
}

void tti_fd_aim(const struct tti_fd_call *c, struct tti_io_op *op)
{
	/* None of these changes while the call is listed. */
	op->fd = c->fd->number;
	op->generation = c->fd->generation;
	op->flags = (uint8_t)(op->flags | (c->fd->socket ? TTI_IO_SOCKET : 0));
}

/* From here on a close finds nothing to cancel. */
static void op_is_done(struct tti_io_op *op)
{
	struct tti_fd_io *io = TTI_CONTAINER_OF(op, struct tti_fd_io, wait.op);

	io->call->op = NULL;
	io->done(op);
}

void tti_fd_io_init(struct tti_fd_io *io, struct tti_fd_call *c, enum tti_io_kind kind, const char *verb)
{
	tti_io_wait_init(&io->wait, kind, verb, c->fd);
	io->call = c;
	io->done = io->wait.op.done;
	io->wait.op.done = op_is_done;
	tti_fd_aim(c, &io->wait.op);
}

/*
 * A close that comes between the check and the submission runs on another worker, and
 * its visit to this one is handled after this task has parked.
 */
long tti_fd_perform(struct tti_fd_io *io)
{
	struct tti_fd_call *c = io->call;
	long rc;

	if (tti_fd_is_closing(c)) {
		TTI_SOMETIMES(true, "a close comes before a call's operation begins");
		return TT_EBADF;
	}
	c->op = &io->wait.op;
	rc = tti_io_perform(&io->wait);
	c->op = NULL; /* it may have ended at once */
	return rc;
}

/* ---- close ---- */

/* An operation that this worker has on fd and that nobody asked to end yet. */
static struct tti_io_op *next_own_op(struct tti_fd *fd)
{
	struct tti_io_op *op = NULL;

	tti_spin_lock(&fd->lock);
	TTI_LIST_FOR_EACH (link, &fd->calls) {
		struct tti_fd_call *c = TTI_CONTAINER_OF(link, struct tti_fd_call, link);

		if (c->home == tti_home_here && c->op != NULL && !c->op->cancelled) {
			op = c->op;
			break;
		}
	}
	tti_spin_unlock(&fd->lock);
	return op;
}

/* The operation stays while we look at it: only this thread can retire it. */
static void cancel_own_ops(void *fd)
{
	struct tti_io_op *op;

	while ((op = next_own_op(fd)) != NULL)
		tti_io_ask_cancel(op);
}

/* A worker other than this one that was not visited and has a call on fd. */
static struct tti_home *next_home(struct tti_fd *fd, unsigned from)
{
	struct tti_home *best = NULL;

	tti_spin_lock(&fd->lock);
	TTI_LIST_FOR_EACH (link, &fd->calls) {
		struct tti_home *h = TTI_CONTAINER_OF(link, struct tti_fd_call, link)->home;

		if (h != tti_home_here && h->index >= from && (best == NULL || h->index < best->index))
			best = h;
	}
	tti_spin_unlock(&fd->lock);
	return best;
}

static void cancel_ops_elsewhere(struct tti_fd *fd)
{
	struct tti_home *h;

	for (unsigned from = 0; (h = next_home(fd, from)) != NULL; from = h->index + 1) {
		TTI_SOMETIMES(true, "a close cancels a call of another worker");
		tti_worker_call(h, "close", cancel_own_ops, fd);
	}
}

static void wait_until_left(struct tti_fd *fd)
{
	struct tti_waiter w;
	bool wait;

	tti_waiter_init(&w, "close", fd);
	w.abort = NULL;
	tti_spin_lock(&fd->lock);
	wait = !tti_list_empty(&fd->calls);
	TTI_SOMETIMES(!wait, "the last call leaves before its close waits for it");
	if (wait)
		fd->closer = &w;
	tti_spin_unlock(&fd->lock);
	if (wait)
		tti_park(&w);
}

/* Cancels what is under way on any worker, and waits for the calls to end. */
static void drain(struct tti_fd *fd)
{
	cancel_own_ops(fd);
	cancel_ops_elsewhere(fd);
	wait_until_left(fd);
}

static bool is_idle(struct tti_fd *fd)
{
	bool idle;

	tti_spin_lock(&fd->lock);
	idle = tti_list_empty(&fd->calls);
	tti_spin_unlock(&fd->lock);
	return idle;
}

static bool to_closing(struct tti_fd *fd, tt_fd *handle)
{
	bool ok;

	tti_spin_lock(&fd->lock);
	ok = is_current(fd, handle) && !fd->standard;
	if (ok)
		fd->state = TTI_FD_CLOSING;
	tti_spin_unlock(&fd->lock);
	return ok;
}

static void to_free(struct tti_fd *fd)
{
	tti_spin_lock(&fd->lock);
	fd->state = TTI_FD_FREE;
	fd->path = NULL;
	tti_spin_unlock(&fd->lock);
}

static void remove_path(char *path)
{
	if (path == NULL)
		return;
	TT_IGNORE((int)tti_env_syscall(SYS_unlinkat, AT_FDCWD, (long)path, 0, 0, 0, 0));
	tti_env_free(path);
}

void tt_fd_close(tt_fd *handle)
{
	struct tti_driver *d;
	struct tti_fd *fd;
	int number;

	if (handle == NULL)
		return;
	TT_REQUIRE(tti_home_here != NULL, "tt_fd_close: called outside the runtime's tasks");
	number = number_of(handle);
	fd = tti_fd_slot(number, false);
	TT_REQUIRE(fd != NULL && to_closing(fd, handle),
	           "tt_fd_close: descriptor %d was closed already, or is a standard stream", number);
	if (!TTI_LAW_BROKEN(10) && !is_idle(fd)) {
		/* A destructor of a task's argument runs outside tasks. */
		TT_REQUIRE(tti_current() != NULL, "tt_fd_close: descriptor %d is in use, and a destructor cannot wait", number);
		drain(fd);
	}
	d = tti_home_here->driver;
	d->ops->forget(d, number, fd->generation);
	/* Before the close, or a listener that takes our place would lose its file. */
	remove_path(fd->path);
	/* FREE before the close: from then on the kernel may give the number out again. */
	to_free(fd);
	d->ops->close(d, number);
}

void tti_fd_close_if_open(tt_fd *handle)
{
	struct tti_fd_call c;

	if (handle == NULL || tti_fd_enter(handle, TTI_NEITHER, &c) < 0)
		return;
	TT_IGNORE((int)tti_fd_leave(&c, 0));
	tt_fd_close(handle);
}

/* ---- the end of the runtime ---- */

static tti_atomic_u64 left_open;             /* by all runtimes of the process that ended */

static size_t close_chunk(struct tti_driver *d, struct tti_fd *chunk)
{
	size_t open = 0;

	for (unsigned i = 0; i < CHUNK; i++) {
		if (chunk[i].state == TTI_FD_FREE || chunk[i].standard)
			continue;
		open++;
		remove_path(chunk[i].path);
		d->ops->close(d, chunk[i].number);
	}
	return open;
}

static void report_open(size_t open)
{
	char text[96];
	int n = snprintf(text, sizeof(text), "tutti: %zu descriptors were not closed with tt_fd_close\n", open);

	TT_IGNORE((int)tti_env_syscall(SYS_write, 2, (long)text, n, 0, 0, 0));
}

void tti_net_shutdown(struct tti_runtime *rt)
{
	/* relaxed: the workers have stopped, and their end orders what they did. */
	struct table *t = tti_load_relaxed(&rt->fd_table);
	size_t open = 0;

	tti_signal_hub_stop(rt);
	tti_resolve_shutdown(rt);
	if (t == NULL)
		return;
	for (unsigned c = 0; c < CHUNKS; c++) {
		/* relaxed: the workers have stopped. */
		struct tti_fd *chunk = tti_load_relaxed(&t->chunks[c]);

		if (chunk == NULL)
			continue;
		open += close_chunk(rt->workers[0]->home.driver, chunk);
		tti_env_free(chunk);
	}
	/* relaxed: as above. */
	tti_store_relaxed(&rt->fd_table, NULL);
	tti_env_free(t);
	if (open == 0)
		return;
	report_open(open);
	/* relaxed: a count; whoever asks has waited for the runtime's end. */
	tti_fetch_add_relaxed(&left_open, (uint64_t)open);
}

uint64_t tti_net_left_open(void)
{
	/* relaxed: as above. */
	return tti_load_relaxed(&left_open);
}

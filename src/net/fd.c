/* SPDX-License-Identifier: MIT */
/* fd.c - the descriptor table, claims, operations, and the close that drains; see fd.h. */
#include "net/fd.h"

#include <stdio.h>

#include "base/panic.h"
#include "net/net.h"

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

/* What *at holds, or what make() gives when it was empty; NULL when out of memory. */
static void *get_or_make(tti_atomic_ptr *at, size_t size)
{
	/* acquire: pairs with the acq_rel below. */
	void *p = tti_load_acquire(at), *none = NULL;

	if (p != NULL)
		return p;
	p = tti_env_zalloc(size);
	/* acq_rel: pairs with the acquire above, on any worker. */
	if (p == NULL || tti_cas_acq_rel(at, &none, p))
		return p;
	tti_env_free(p);
	return none;
}

static struct tti_fd *slot_for(struct tti_runtime *rt, int number)
{
	struct table *t = get_or_make(&rt->fd_table, sizeof(*t));
	struct tti_fd *chunk;

	if (t == NULL || (unsigned)number >> CHUNK_BITS >= CHUNKS)
		return NULL;
	chunk = get_or_make(&t->chunks[(unsigned)number >> CHUNK_BITS], CHUNK * sizeof(*chunk));
	return chunk != NULL ? &chunk[(unsigned)number & (CHUNK - 1)] : NULL;
}

/* The slot a handle was given for; NULL for one that never was. */
static struct tti_fd *slot_of(tt_fd *handle)
{
	struct tti_worker *w = tti_worker_here();
	int number = number_of(handle);
	struct tti_fd *chunk;
	struct table *t;

	TT_REQUIRE(w != NULL, "a tt_fd was used outside the runtime's tasks");
	/* acquire: pairs with the acq_rel in get_or_make(). */
	t = tti_load_acquire(&w->rt->fd_table);
	if (t == NULL || handle == NULL || number < 0)
		return NULL;
	/* acquire: pairs with the acq_rel in get_or_make(). */
	chunk = tti_load_acquire(&t->chunks[(unsigned)number >> CHUNK_BITS]);
	return chunk != NULL ? &chunk[(unsigned)number & (CHUNK - 1)] : NULL;
}

/* Under the lock. */
static bool is_current(const struct tti_fd *fd, tt_fd *handle)
{
	return fd->state == TTI_FD_OPEN && fd->generation == generation_of(handle);
}

int tti_fd_adopt(int number, bool socket, tt_fd **ret_fd)
{
	struct tti_worker *w = tti_worker_here();
	struct tti_fd *fd = slot_for(w->rt, number);

	if (fd == NULL) {
		w->home.driver->ops->close(w->home.driver, number);
		return TT_ENOMEM;
	}
	tti_spin_lock(&fd->lock);
	TT_REQUIRE(fd->state == TTI_FD_FREE, "descriptor %d was closed behind the runtime's back", number);
	if (fd->generation++ == 0)
		tti_list_init(&fd->ops);
	if (fd->generation == 0)
		fd->generation = 1; /* a handle is never NULL */
	fd->number = number;
	fd->socket = socket;
	fd->state = TTI_FD_OPEN;
	fd->busy[TTI_SIDE_READ] = fd->busy[TTI_SIDE_WRITE] = false;
	fd->torn = false;
	fd->drained = false;
	*ret_fd = handle_of(fd);
	tti_spin_unlock(&fd->lock);
	return 0;
}

int tti_fd_number(tt_fd *handle)
{
	struct tti_fd *fd = slot_of(handle);
	int number = TT_EBADF;

	if (fd == NULL)
		return TT_EBADF;
	tti_spin_lock(&fd->lock);
	if (is_current(fd, handle))
		number = fd->number;
	tti_spin_unlock(&fd->lock);
	return number;
}

/* ---- claims and operations ---- */

int tti_fd_claim(tt_fd *handle, enum tti_side side, struct tti_fd **ret_fd)
{
	struct tti_fd *fd = slot_of(handle);
	int rc = 0;

	if (fd == NULL)
		return TT_EBADF;
	tti_spin_lock(&fd->lock);
	if (!is_current(fd, handle))
		rc = TT_EBADF;
	else if (fd->busy[side])
		rc = TT_EBUSY;
	else
		fd->busy[side] = true;
	tti_spin_unlock(&fd->lock);
	if (rc == 0)
		*ret_fd = fd;
	return rc;
}

void tti_fd_unclaim(struct tti_fd *fd, enum tti_side side)
{
	tti_spin_lock(&fd->lock);
	fd->busy[side] = false;
	tti_spin_unlock(&fd->lock);
}

int tti_fd_begin(tt_fd *handle, struct tti_fd_op *o, struct tti_io_op *op)
{
	struct tti_fd *fd = slot_of(handle);
	int rc = 0;

	if (fd == NULL)
		return TT_EBADF;
	o->fd = fd;
	o->home = tti_home_here;
	o->op = op;
	tti_spin_lock(&fd->lock);
	if (is_current(fd, handle)) {
		op->fd = fd->number;
		op->generation = fd->generation;
		op->flags |= (uint8_t)(fd->socket ? TTI_IO_SOCKET : 0);
		tti_list_push_back(&fd->ops, &o->link);
	} else {
		rc = TT_EBADF;
	}
	tti_spin_unlock(&fd->lock);
	return rc;
}

long tti_fd_end(struct tti_fd_op *o, long result)
{
	struct tti_fd *fd = o->fd;
	struct tti_waiter *closer = NULL;
	bool closing;

	tti_spin_lock(&fd->lock);
	tti_list_unlink(&o->link);
	closing = fd->state == TTI_FD_CLOSING;
	if (closing && tti_list_empty(&fd->ops) && fd->closer != NULL && tti_claim(fd->closer)) {
		closer = fd->closer;
		fd->closer = NULL;
	}
	tti_spin_unlock(&fd->lock);
	if (closer != NULL)
		tti_wake(closer);
	return closing && result == TT_ECANCELED ? TT_EBADF : result;
}

long tti_fd_perform(tt_fd *handle, struct tti_io_wait *io)
{
	struct tti_fd_op o;
	int rc = tti_fd_begin(handle, &o, &io->op);

	return rc < 0 ? rc : tti_fd_end(&o, tti_io_perform(io));
}

/* ---- close ---- */

/* An operation that this worker has on fd and that nobody asked to end yet. */
static struct tti_io_op *next_own_op(struct tti_fd *fd)
{
	struct tti_io_op *op = NULL;

	tti_spin_lock(&fd->lock);
	TTI_LIST_FOR_EACH (link, &fd->ops) {
		struct tti_fd_op *o = TTI_CONTAINER_OF(link, struct tti_fd_op, link);

		if (o->home == tti_home_here && !o->op->cancelled) {
			op = o->op;
			break;
		}
	}
	tti_spin_unlock(&fd->lock);
	return op;
}

/* On the worker that has them. An operation stays while we look at it: only this thread
 * can retire it. */
static void cancel_own_ops(void *fd)
{
	struct tti_io_op *op;

	while ((op = next_own_op(fd)) != NULL)
		tti_io_ask_cancel(op);
}

/* A worker other than this one that was not visited and has an operation on fd. */
static struct tti_home *next_home(struct tti_fd *fd, unsigned from)
{
	struct tti_home *best = NULL;

	tti_spin_lock(&fd->lock);
	TTI_LIST_FOR_EACH (link, &fd->ops) {
		struct tti_home *h = TTI_CONTAINER_OF(link, struct tti_fd_op, link)->home;

		if (h != tti_home_here && h->index >= from && (best == NULL || h->index < best->index))
			best = h;
	}
	tti_spin_unlock(&fd->lock);
	return best;
}

static void cancel_ops_elsewhere(struct tti_fd *fd)
{
	struct tti_home *h;

	for (unsigned from = 0; (h = next_home(fd, from)) != NULL; from = h->index + 1)
		tti_worker_call(h, "close", cancel_own_ops, fd);
}

static void wait_until_drained(struct tti_fd *fd)
{
	struct tti_waiter w;
	bool wait;

	tti_waiter_init(&w, "close", fd);
	w.abort = NULL;
	tti_spin_lock(&fd->lock);
	wait = !tti_list_empty(&fd->ops);
	if (wait)
		fd->closer = &w;
	tti_spin_unlock(&fd->lock);
	if (wait)
		tti_park(&w);
}

static bool to_closing(struct tti_fd *fd, tt_fd *handle)
{
	bool ok;

	tti_spin_lock(&fd->lock);
	ok = is_current(fd, handle);
	if (ok)
		fd->state = TTI_FD_CLOSING;
	tti_spin_unlock(&fd->lock);
	return ok;
}

static void to_free(struct tti_fd *fd)
{
	tti_spin_lock(&fd->lock);
	fd->state = TTI_FD_FREE;
	tti_spin_unlock(&fd->lock);
}

void tt_fd_close(tt_fd *handle)
{
	struct tti_driver *d;
	struct tti_fd *fd;
	int number;

	if (handle == NULL)
		return;
	TT_REQUIRE(tti_current_or_panic("tt_fd_close") != NULL, "tt_fd_close: called from a pool job");
	fd = slot_of(handle);
	TT_REQUIRE(fd != NULL && to_closing(fd, handle), "tt_fd_close: descriptor %d was closed already", number_of(handle));
	if (!TTI_LAW_BROKEN(10)) {
		cancel_own_ops(fd);
		cancel_ops_elsewhere(fd);
		wait_until_drained(fd);
	}
	d = tti_home_here->driver;
	number = fd->number;
	d->ops->forget(d, number, fd->generation);
	/* FREE before the close: from then on the kernel may give the number out again. */
	to_free(fd);
	d->ops->close(d, number);
}

/* ---- the end of the runtime ---- */

static size_t close_chunk(struct tti_driver *d, struct tti_fd *chunk)
{
	size_t open = 0;

	for (unsigned i = 0; i < CHUNK; i++) {
		if (chunk[i].state == TTI_FD_FREE || chunk[i].number <= 2)
			continue;
		open++;
		d->ops->close(d, chunk[i].number);
	}
	return open;
}

void tti_net_shutdown(struct tti_runtime *rt)
{
	/* acquire: pairs with the acq_rel in get_or_make(); the workers have stopped. */
	struct table *t = tti_load_acquire(&rt->fd_table);
	size_t open = 0;

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
	if (open > 0)
		fprintf(stderr, "tutti: %zu descriptors were not closed with tt_fd_close\n", open);
}

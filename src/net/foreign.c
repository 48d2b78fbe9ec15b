/* SPDX-License-Identifier: MIT */
/*
 * foreign.c - waiting for a descriptor that another library owns, known by its number only.
 *
 * Waits are listed by number, so that tt_fd_forget() finds them on whatever worker they are.
 * It does not wait itself: it posts each wait's own message to its worker, which cancels
 * there. The waiting frame stays until its message, once posted, was handled.
 *
 *   UNTOLD --forget--> POSTED --handled on the wait's worker--> TOLD
 *      \------------ forget on the wait's own worker ------------/
 */
#include <poll.h>

#include "net/fd.h"

enum told { UNTOLD, POSTED, TOLD };

struct foreign_wait {
	struct tti_list link;                /* in slot->foreign; guarded by slot->lock */
	struct tti_home *home;
	unsigned events;
	struct tti_fd *slot;
	uint8_t told;                        /* enum told; guarded by slot->lock */
	bool over;                           /* the operation has ended; home's thread only */
	struct tti_waiter *drainer;          /* waits for the message; home's thread only */
	struct tti_msg msg;
	struct tti_io_wait io;
	void (*done)(struct tti_io_op *op);  /* of io */
};

static void wait_is_over(struct tti_io_op *op)
{
	struct foreign_wait *f = TTI_CONTAINER_OF(op, struct foreign_wait, io.op);

	f->over = true;
	f->done(op);
}

static void handle_forget(struct tti_msg *m)
{
	struct foreign_wait *f = TTI_CONTAINER_OF(m, struct foreign_wait, msg);

	tti_spin_lock(&f->slot->lock);
	f->told = TOLD;
	tti_spin_unlock(&f->slot->lock);
	if (!f->over)
		tti_io_ask_cancel(&f->io.op);
	else if (f->drainer != NULL && tti_claim(f->drainer))
		tti_wake(f->drainer);
}

/* ---- waiting ---- */

static int list_wait(struct foreign_wait *f)
{
	struct tti_fd *slot = f->slot;
	int rc = 0;

	tti_spin_lock(&slot->lock);
	TTI_LIST_FOR_EACH (n, &slot->foreign)
		if ((TTI_CONTAINER_OF(n, struct foreign_wait, link)->events & f->events) != 0)
			rc = TT_EBUSY;
	if (rc == 0)
		tti_list_push_back(&slot->foreign, &f->link);
	tti_spin_unlock(&slot->lock);
	return rc;
}

/* Off the list; then waits for a message that is on its way. True: it was told to forget. */
static bool unlist_wait(struct foreign_wait *f)
{
	struct tti_waiter w;
	uint8_t told;

	tti_spin_lock(&f->slot->lock);
	tti_list_unlink(&f->link);
	told = f->told;
	tti_spin_unlock(&f->slot->lock);
	if (told == POSTED) {
		tti_waiter_init(&w, "forget", NULL);
		w.abort = NULL;
		f->drainer = &w;
		tti_park(&w);
	}
	return told != UNTOLD;
}

static long wait_listed(struct foreign_wait *f, int fd)
{
	long rc;

	tti_io_wait_init(&f->io, TTI_IO_POLL, "wait", NULL);
	f->done = f->io.op.done;
	f->io.op.done = wait_is_over;
	f->io.op.fd = fd;
	f->io.op.events = f->events;
	f->io.op.flags = TTI_IO_FOREIGN;
	rc = tti_io_perform(&f->io);
	f->over = true; /* it may have ended at once */
	return rc;
}

int tt_wait_fd(int fd, unsigned events)
{
	struct foreign_wait f = { .events = events, .msg.handle = handle_forget };
	long rc;

	if (tti_current_or_panic("tt_wait_fd") == NULL)
		return TT_EWRONGCTX;
	rc = tti_checkpoint();
	if (rc < 0)
		return (int)rc;
	if ((events & (unsigned)(POLLIN | POLLOUT)) == 0 || (events & ~(unsigned)(POLLIN | POLLOUT)) != 0)
		return TT_EINVAL;
	if (fd < 0)
		return TT_EBADF;
	f.slot = tti_fd_slot(fd, true);
	if (f.slot == NULL)
		return TT_ENOMEM;
	f.home = tti_home_here;
	rc = list_wait(&f);
	if (rc < 0)
		return (int)rc;
	rc = wait_listed(&f, fd);
	return unlist_wait(&f) && rc == TT_ECANCELED ? TT_EBADF : (int)rc;
}

/* ---- forgetting ---- */

/* A wait that was not told yet; it is marked. */
static struct foreign_wait *next_untold(struct tti_fd *slot, bool *ret_here)
{
	struct foreign_wait *found = NULL;

	tti_spin_lock(&slot->lock);
	TTI_LIST_FOR_EACH (n, &slot->foreign) {
		struct foreign_wait *f = TTI_CONTAINER_OF(n, struct foreign_wait, link);

		if (f->told != UNTOLD)
			continue;
		f->told = POSTED;
		*ret_here = f->home == tti_home_here;
		found = f;
		break;
	}
	tti_spin_unlock(&slot->lock);
	return found;
}

void tt_fd_forget(int fd)
{
	struct foreign_wait *f;
	struct tti_fd *slot;
	bool here;

	if (tti_current_or_panic("tt_fd_forget") == NULL || fd < 0)
		return;
	slot = tti_fd_slot(fd, false);
	if (slot == NULL)
		return;
	while ((f = next_untold(slot, &here)) != NULL) {
		if (here)
			handle_forget(&f->msg);
		else
			f->home->ops->post(f->home, &f->msg);
	}
}

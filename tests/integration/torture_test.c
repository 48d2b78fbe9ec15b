/* SPDX-License-Identifier: MIT */
/*
 * torture_test.c - every public call that may wait, cut short everywhere it can be: by a
 * cancel and by a deadline, at each checkpoint, each wait, each decided outcome that was
 * not seen yet, each operation that took effect and did not complete yet.
 *
 * Conserved after every run: items (made = taken or destroyed, once), bytes (what calls
 * say they moved = what was moved), permits, tasks, descriptors.
 *
 * test-on: sim2
 * test-timeout: 600
 */
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "io/driver.h"
#include "task/task.h"
#include "torture_kit.h"

/* ---- channels ---- */

typedef struct item {
	struct ledger *ledger;
} item;

static void item_drop(item it)
{
	it.ledger->gone++;
}

TT_CHAN_TYPE_WITH(item_chan, item, item_drop);

typedef int side_fn(struct ledger *l, item_chan *ch);

static item item_make(struct ledger *l)
{
	l->made++;
	return (item){ l };
}

static TT_TASK(side, (struct ledger *, l), (item_chan *, ch), (side_fn *, fn))
{
	return fn(l, ch);
}

static int both_sides(struct ledger *l, item_chan *ch, side_fn *produce, side_fn *consume)
{
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, side, l, ch, produce);
	tt_go_with(&g, &anywhere, side, l, ch, consume);
	return tt_group_end(&g, 0);
}

static int over_channel(struct ledger *l, size_t capacity, side_fn *produce, side_fn *consume)
{
	item_chan ch;
	int rc;

	TT_TRY(tt_chan_init(&ch, capacity));
	rc = both_sides(l, &ch, produce, consume);
	tt_chan_fini(&ch);
	return rc;
}

/* Until the end of the channel. */
static int by_recv(struct ledger *l, item_chan *ch)
{
	item it;
	int rc;

	(void)l;
	while ((rc = tt_recv(ch, &it)) > 0)
		item_drop(it);
	return rc;
}

static int by_send(struct ledger *l, item_chan *ch)
{
	int rc = 0;

	for (int i = 0; i < 3 && rc >= 0; i++) {
		item it = item_make(l);

		rc = tt_send(ch, &it);
		if (rc < 0)
			item_drop(it); /* a failed send leaves it with us */
	}
	tt_chan_close(ch);
	return rc;
}

static int by_give(struct ledger *l, item_chan *ch)
{
	int rc = 0;

	for (int i = 0; i < 3 && rc >= 0; i++) {
		item it = item_make(l);

		rc = tt_give(ch, &it);
	}
	tt_chan_close(ch);
	return rc;
}

static int by_send_many(struct ledger *l, item_chan *ch)
{
	item items[5];
	size_t done = 0;
	int rc;

	for (int i = 0; i < 5; i++)
		items[i] = item_make(l);
	rc = tt_send_many(ch, items, 5, &done);
	for (size_t i = done; i < 5; i++)
		item_drop(items[i]);
	tt_chan_close(ch);
	return rc;
}

static int by_recv_many(struct ledger *l, item_chan *ch)
{
	item items[2];
	int n;

	(void)l;
	while ((n = tt_recv_many(ch, items, 2, TT_MS(1))) > 0)
		for (int i = 0; i < n; i++)
			item_drop(items[i]);
	return n;
}

static int by_select_send(struct ledger *l, item_chan *ch)
{
	int rc = 0;

	for (int i = 0; i < 3 && rc >= 0; i++) {
		item it = item_make(l);

		rc = tt_select(TT_ON_TIMEOUT(TT_SEC(5)), TT_ON_SEND(ch, &it));
		if (rc != 1)
			item_drop(it);
	}
	tt_chan_close(ch);
	return rc < 0 ? rc : 0;
}

static int by_select_recv(struct ledger *l, item_chan *ch)
{
	item it;
	int rc, end = 0;

	(void)l;
	for (;;) {
		rc = tt_select(TT_ON_RECV_RC(ch, &it, &end), TT_ON_TIMEOUT(TT_SEC(5)), TT_ON_STOP());
		if (rc != 0 || end <= 0)
			return rc < 0 ? rc : 0;
		item_drop(it);
	}
}

static TT_TASK(sends, (struct ledger *, l)) { return over_channel(l, 1, by_send, by_recv); }
static TT_TASK(gives, (struct ledger *, l)) { return over_channel(l, 1, by_give, by_recv); }
static TT_TASK(receives, (struct ledger *, l)) { return over_channel(l, 0, by_send, by_recv); }
static TT_TASK(sends_many, (struct ledger *, l)) { return over_channel(l, 2, by_send_many, by_recv); }
static TT_TASK(receives_many, (struct ledger *, l)) { return over_channel(l, 2, by_send, by_recv_many); }
static TT_TASK(selects, (struct ledger *, l)) { return over_channel(l, 1, by_select_send, by_select_recv); }
static TT_TASK(selects_both_ends, (struct ledger *, l)) { return over_channel(l, 0, by_select_send, by_select_recv); }

TORTURE(tt_send, sends)
TORTURE(tt_give, gives)
TORTURE(tt_recv, receives)
TORTURE(tt_send_many, sends_many)
TORTURE(tt_recv_many, receives_many)
TORTURE(tt_select, selects)
TORTURE(tt_select_biased, selects_both_ends)

/* ---- groups and tasks ---- */

static TT_TASK(nap, (struct ledger *, l), (int, ms))
{
	int rc;

	l->made++;
	rc = tt_sleep(TT_MS(ms));
	l->gone++;
	return rc;
}

static void drop_nap(struct ledger *l)
{
	l->gone++;
}

/* An argument's destructor runs exactly if the function never starts. */
static TT_TASK(owner_of, (struct ledger *, l, drop_nap), (int, ms))
{
	int rc = tt_sleep(TT_MS(ms));

	l->gone++;
	return rc;
}

static TT_TASK(ends_groups, (struct ledger *, l))
{
	int rc;

	TT_GROUP(outer);
	l->made++;
	tt_go_with(&outer, &anywhere, owner_of, l, 2);
	{
		TT_GROUP(inner);
		tt_go_with(&inner, &anywhere, nap, l, 1);
		tt_go(&inner, nap, l, 3);
		rc = tt_group_end(&inner, 0);
	}
	l->made++;
	tt_go(&outer, owner_of, l, 1);
	return tt_group_end(&outer, rc);
}

static TT_TASK(finishes_groups, (struct ledger *, l))
{
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, nap, l, 1);
	tt_go(&g, nap, l, 2);
	return tt_group_finish(&g, 0);
}

static TT_TASK(drains_groups, (struct ledger *, l))
{
	TT_GROUP(g);
	for (int i = 0; i < 2; i++) {
		tt_go_with(&g, &anywhere, nap, l, 1);
		tt_go(&g, nap, l, 2);
		TT_TRY_IN(&g, tt_group_drain(&g));
	}
	return tt_group_end(&g, 0);
}

static int plain_nap(void *arg)
{
	struct ledger *l = arg;
	int rc = tt_sleep(TT_MS(1));

	l->inside--;
	return rc;
}

static TT_TASK(spawns_at_the_limit, (struct ledger *, l))
{
	static const tt_group_options two = { .max_children = 2 };

	TT_GROUP_WITH(g, &two);
	for (int i = 0; i < 4; i++) {
		int rc;

		l->made++;
		rc = tt_spawn(&g, plain_nap, l, &anywhere);
		l->gone++;
		if (rc < 0)
			return tt_group_end(&g, rc);
		/* A child that was refused its start by a cancel never comes here. */
	}
	return tt_group_end(&g, 0);
}

static TT_TASK(joins_a_task, (struct ledger *, l))
{
	tt_task *t;
	int rc;

	TT_GROUP(g);
	TT_TRY_IN(&g, tt_go_task(&g, &t, nap, l, 3));
	rc = tt_task_join(t);
	tt_task_put(t);
	return tt_group_end(&g, rc);
}

static TT_TASK(yields, (struct ledger *, l))
{
	(void)l;
	for (int i = 0; i < 5; i++)
		TT_TRY(tt_yield());
	return 0;
}

static TT_TASK(sleeps, (struct ledger *, l))
{
	(void)l;
	TT_TRY(tt_sleep(0));
	TT_TRY(tt_sleep(TT_MS(1)));
	return tt_sleep(TT_MS(200));
}

static TT_TASK(ticks, (struct ledger *, l))
{
	tt_interval pace = tt_interval_every(TT_MS(2));

	(void)l;
	for (int i = 0; i < 3; i++)
		TT_TRY(tt_interval_tick(&pace));
	return 0;
}

static TT_TASK(ends_scopes, (struct ledger *, l))
{
	int rc;

	TT_SCOPE(outer, TT_SEC(60));
	rc = TT_WITHIN(TT_MS(2), tt_sleep(TT_MS(1)));
	if (rc >= 0)
		rc = TT_SHIELDED(TT_SEC(1), tt_sleep(TT_MS(1)));
	if (rc >= 0) {
		TT_GROUP(g);
		tt_go_with(&g, &anywhere, nap, l, 1);
		/* The end of the outer block ends the group first. */
		return tt_scope_end(&outer, 0);
	}
	return tt_scope_end(&outer, rc);
}

static TT_TASK(waits_all_parked, (struct ledger *, l))
{
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, nap, l, 5);
	tt_go(&g, nap, l, 5);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	return tt_group_end(&g, 0);
}

static TT_TASK(job, (struct ledger *, l, drop_nap))
{
	l->gone++;
	return 0;
}

static TT_TASK(calls_blocking, (struct ledger *, l))
{
	for (int i = 0; i < 2; i++) {
		l->made++;
		TT_TRY(tt_blocking(job, l));
	}
	return 0;
}

static TT_TASK(plain_spawns, (struct ledger *, l))
{
	int rc = spawns_at_the_limit(l);

	l->inside = 0; /* counted by those that ran; how many did is the cancel's affair */
	return rc;
}

TORTURE(tt_group_end, ends_groups)
TORTURE(tt_group_finish, finishes_groups)
TORTURE(tt_group_drain, drains_groups)
TORTURE(tt_spawn, plain_spawns)
TORTURE(tt_task_join, joins_a_task)
TORTURE(tt_yield, yields)
TORTURE(tt_sleep, sleeps)
TORTURE(tt_interval_tick, ticks)
TORTURE(tt_scope_end, ends_scopes)
TORTURE(tt_test_wait_all_parked, waits_all_parked)
TORTURE(tt_blocking, calls_blocking)

/* ---- locks ---- */

struct locked {
	struct ledger *ledger;
	tt_mutex mutex;
	tt_semaphore semaphore;
	tt_notify notify;
	int turn;
};

static TT_TASK(lock_twice, (struct locked *, x))
{
	for (int i = 0; i < 2; i++) {
		TT_TRY(tt_mutex_lock(&x->mutex));
		x->ledger->inside++;
		EXPECT_EQ(x->ledger->inside, 1);
		TT_IGNORE(tt_sleep(TT_MS(1)));
		x->ledger->inside--;
		tt_mutex_unlock(&x->mutex);
	}
	return 0;
}

static TT_TASK(acquire_twice, (struct locked *, x), (unsigned, n))
{
	for (int i = 0; i < 2; i++) {
		TT_TRY(tt_semaphore_acquire(&x->semaphore, n));
		x->ledger->permits_out += n;
		EXPECT_LE(x->ledger->permits_out, 3);
		TT_IGNORE(tt_sleep(TT_MS(1)));
		x->ledger->permits_out -= n;
		tt_semaphore_release(&x->semaphore, n);
	}
	return 0;
}

static TT_TASK(wait_for_turn, (struct locked *, x), (int, turn))
{
	while (x->turn < turn)
		TT_TRY(tt_notify_wait(&x->notify));
	x->turn++;
	tt_notify_all(&x->notify);
	tt_notify_one(&x->notify);
	return 0;
}

static int three_lockers(struct locked *x)
{
	TT_GROUP(g);
	for (int i = 0; i < 3; i++)
		tt_go_with(&g, &anywhere, lock_twice, x);
	return tt_group_end(&g, 0);
}

static TT_TASK(locks, (struct ledger *, l))
{
	struct locked x = { .ledger = l };
	int rc;

	tt_mutex_init(&x.mutex);
	rc = three_lockers(&x);
	/* Whoever was cancelled left no lock behind. */
	EXPECT_EQ(tt_mutex_try_lock(&x.mutex), 0);
	tt_mutex_unlock(&x.mutex);
	tt_mutex_fini(&x.mutex);
	return rc;
}

static int three_acquirers(struct locked *x)
{
	TT_GROUP(g);
	for (unsigned i = 0; i < 3; i++)
		tt_go_with(&g, &anywhere, acquire_twice, x, i + 1);
	return tt_group_end(&g, 0);
}

static TT_TASK(acquires, (struct ledger *, l))
{
	struct locked x = { .ledger = l };
	int rc;

	tt_semaphore_init(&x.semaphore, 3);
	rc = three_acquirers(&x);
	/* All permits are back. */
	EXPECT_EQ(tt_semaphore_try_acquire(&x.semaphore, 3), 0);
	tt_semaphore_release(&x.semaphore, 3);
	tt_semaphore_fini(&x.semaphore);
	return rc;
}

static int three_turns(struct locked *x)
{
	TT_GROUP(g);
	for (int i = 2; i >= 0; i--)
		tt_go(&g, wait_for_turn, x, i);
	return tt_group_end(&g, 0);
}

static TT_TASK(notifies, (struct ledger *, l))
{
	struct locked x = { .ledger = l };
	int rc;

	tt_notify_init(&x.notify);
	rc = three_turns(&x);
	tt_notify_fini(&x.notify);
	return rc;
}

TORTURE(tt_mutex_lock, locks)
TORTURE(tt_semaphore_acquire, acquires)
TORTURE(tt_notify_wait, notifies)

/* ---- streams ---- */

typedef int stream_fn(struct ledger *l, tt_fd *fd);

static TT_TASK(stream_side, (struct ledger *, l), (tt_fd *, fd), (stream_fn *, fn))
{
	return fn(l, fd);
}

static int both_ends(struct ledger *l, tt_fd *fds[2], stream_fn *write, stream_fn *read)
{
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, stream_side, l, fds[0], write);
	tt_go_with(&g, &anywhere, stream_side, l, fds[1], read);
	return tt_group_end(&g, 0);
}

/* What was written and not read is still there; then both ends are closed. */
static int over_pair(struct ledger *l, stream_fn *write, stream_fn *read)
{
	tt_fd *fds[2];
	char rest[256];
	int rc, n;

	TT_TRY(tt_pair(fds));
	rc = both_ends(l, fds, write, read);
	while ((n = UNREFUSED(tt_try_read(fds[1], rest, sizeof(rest)))) > 0)
		l->received += (size_t)n;
	tt_fd_close(fds[0]);
	tt_fd_close(fds[1]);
	return rc;
}

static int done_writing(tt_fd *fd, int rc)
{
	TT_IGNORE(tt_fd_shutdown(fd, SHUT_WR));
	return rc < 0 ? rc : 0;
}

static int by_write(struct ledger *l, tt_fd *fd)
{
	int rc = 0;

	for (int i = 0; i < 3 && rc >= 0; i++) {
		rc = tt_write(fd, "0123456789", 10);
		l->sent += rc > 0 ? (size_t)rc : 0;
	}
	return done_writing(fd, rc);
}

static int by_read(struct ledger *l, tt_fd *fd)
{
	char buf[16];
	int rc;

	while ((rc = tt_read(fd, buf, sizeof(buf))) > 0)
		l->received += (size_t)rc;
	return rc;
}

static int by_write_all(struct ledger *l, tt_fd *fd)
{
	static const char block[3000];
	size_t done = 0;
	int rc = tt_write_all(fd, block, sizeof(block), &done);

	l->sent += done;
	return done_writing(fd, rc);
}

static int by_writev_all(struct ledger *l, tt_fd *fd)
{
	static char block[500];
	struct iovec iov[3] = { { block, 100 }, { block, 0 }, { block, 500 } };
	size_t done = 0;
	int rc = tt_writev_all(fd, iov, 3, &done);

	l->sent += done;
	return done_writing(fd, rc);
}

static int by_read_exact(struct ledger *l, tt_fd *fd)
{
	char buf[30];
	size_t done = 0;
	int rc = tt_read_exact(fd, buf, sizeof(buf), &done);

	l->received += done;
	return rc;
}

static int by_poll(struct ledger *l, tt_fd *fd)
{
	char buf[16];
	int rc = tt_fd_poll(fd, POLLIN);

	while (rc > 0) {
		rc = tt_try_read(fd, buf, sizeof(buf));
		if (rc == TT_EAGAIN)
			rc = tt_fd_poll(fd, POLLIN);
		else if (rc > 0)
			l->received += (size_t)rc;
	}
	return rc;
}

static int count_buffered(struct ledger *l, tt_reader *r, int rc)
{
	char *data;

	l->received += tt_reader_buffered(r, &data);
	return rc < 0 ? rc : 0;
}

static int by_reader_read(struct ledger *l, tt_fd *fd)
{
	char room[8], buf[5];
	tt_reader r;
	int rc;

	tt_reader_init(&r, fd, room, sizeof(room));
	while ((rc = tt_reader_read(&r, buf, sizeof(buf))) > 0)
		l->received += (size_t)rc;
	return count_buffered(l, &r, rc);
}

static int by_reader_read_exact(struct ledger *l, tt_fd *fd)
{
	char room[8], buf[11];
	tt_reader r;
	size_t done = 0;
	int rc;

	tt_reader_init(&r, fd, room, sizeof(room));
	rc = tt_reader_read_exact(&r, buf, sizeof(buf), &done);
	l->received += done;
	return count_buffered(l, &r, rc);
}

static int by_read_until(struct ledger *l, tt_fd *fd)
{
	char room[16], *text;
	tt_reader r;
	size_t len;
	int rc;

	tt_reader_init(&r, fd, room, sizeof(room));
	while ((rc = tt_read_until(&r, '9', &text, &len)) > 0)
		l->received += len + 1;
	return count_buffered(l, &r, rc);
}

static int by_reader_fill(struct ledger *l, tt_fd *fd)
{
	char room[8], *data;
	tt_reader r;
	int rc;

	tt_reader_init(&r, fd, room, sizeof(room));
	while ((rc = tt_reader_fill(&r)) > 0) {
		size_t n = tt_reader_buffered(&r, &data);

		l->received += n;
		tt_reader_consume(&r, n);
	}
	return count_buffered(l, &r, rc);
}

/* A writer does not say how much went out: here the reader's count stands for both. */
static int by_writer(struct ledger *l, tt_fd *fd)
{
	char room[16];
	tt_writer w;
	int rc = 0;

	(void)l;
	tt_writer_init(&w, fd, room, sizeof(room));
	for (int i = 0; i < 3 && rc >= 0; i++)
		rc = tt_writer_write(&w, "0123456789", 10);
	if (rc >= 0)
		rc = tt_writer_flush(&w);
	if (rc >= 0)
		l->made += 30;
	return done_writing(fd, rc);
}

static TT_TASK(writes, (struct ledger *, l)) { return over_pair(l, by_write, by_read); }
static TT_TASK(writes_all, (struct ledger *, l)) { return over_pair(l, by_write_all, by_read); }
static TT_TASK(writes_vectors, (struct ledger *, l)) { return over_pair(l, by_writev_all, by_read); }
static TT_TASK(reads_exactly, (struct ledger *, l)) { return over_pair(l, by_write, by_read_exact); }
static TT_TASK(polls, (struct ledger *, l)) { return over_pair(l, by_write, by_poll); }
static TT_TASK(reads_buffered, (struct ledger *, l)) { return over_pair(l, by_write, by_reader_read); }
static TT_TASK(reads_buffered_exactly, (struct ledger *, l)) { return over_pair(l, by_write, by_reader_read_exact); }
static TT_TASK(reads_until, (struct ledger *, l)) { return over_pair(l, by_write, by_read_until); }
static TT_TASK(fills, (struct ledger *, l)) { return over_pair(l, by_write, by_reader_fill); }

/* A success means that every byte arrived. */
static TT_TASK(writes_buffered, (struct ledger *, l))
{
	int rc = over_pair(l, by_writer, by_read);

	if (rc >= 0)
		EXPECT_EQ(l->received, l->made);
	l->sent = l->received;
	l->gone = l->made;
	return rc;
}

TORTURE(tt_read, writes)
TORTURE(tt_write, writes)
TORTURE(tt_write_all, writes_all)
TORTURE(tt_writev_all, writes_vectors)
TORTURE(tt_read_exact, reads_exactly)
TORTURE(tt_fd_poll, polls)
TORTURE(tt_reader_read, reads_buffered)
TORTURE(tt_reader_read_exact, reads_buffered_exactly)
TORTURE(tt_read_until, reads_until)
TORTURE(tt_reader_fill, fills)
TORTURE(tt_writer_write, writes_buffered)
TORTURE(tt_writer_flush, writes_buffered)

/* ---- closing under a reader ---- */

static TT_TASK(read_until_closed, (struct ledger *, l), (tt_fd *, fd))
{
	int rc = by_read(l, fd);

	return rc == TT_EBADF ? 0 : rc;
}

static TT_TASK(closes_under_readers, (struct ledger *, l))
{
	tt_fd *fds[2];
	int rc;

	TT_TRY(tt_pair(fds));
	{
		TT_GROUP(g);
		tt_go_with(&g, &anywhere, read_until_closed, l, fds[1]);
		tt_go_with(&g, &anywhere, read_until_closed, l, fds[0]);
		rc = tt_sleep(TT_MS(1));
		tt_fd_close(fds[1]);
		tt_fd_close(fds[0]);
		rc = tt_group_end(&g, rc);
	}
	return rc;
}

TORTURE(tt_fd_close, closes_under_readers)

/* ---- a number that is not ours ---- */

static TT_TASK(write_raw, (int, fd))
{
	struct tti_driver *d = tti_home_here->driver;

	TT_TRY(tt_sleep(TT_MS(1)));
	return (int)d->ops->write(d, fd, "x", 1, 0);
}

static int wait_for_raw(const int fds[2])
{
	int rc;

	TT_GROUP(g);
	tt_go_with(&g, &anywhere, write_raw, fds[0]);
	rc = tt_wait_fd(fds[1], POLLIN);
	return tt_group_end(&g, rc < 0 ? rc : 0);
}

static TT_TASK(waits_for_a_number, (struct ledger *, l))
{
	struct tti_driver *d = tti_home_here->driver;
	int fds[2], rc;

	(void)l;
	TT_TRY(d->ops->pair(d, fds));
	rc = wait_for_raw(fds);
	d = tti_home_here->driver;
	for (int i = 0; i < 2; i++) {
		tt_fd_forget(fds[i]);
		TT_IGNORE(d->ops->close(d, fds[i]));
	}
	return rc;
}

TORTURE(tt_wait_fd, waits_for_a_number)

/* ---- connections ---- */

static TT_TASK(connect_tcp, (int, port))
{
	char addr[40] = "server.sim:";
	tt_fd *fd;
	int rc;

	for (int n = port, at = 15; at >= 11; at--, n /= 10)
		addr[at] = (char)('0' + n % 10);
	rc = tt_tcp_connect(addr, NULL, &fd);
	if (rc >= 0)
		tt_fd_close(fd);
	return rc;
}

static TT_TASK(connect_unix, (const char *, path))
{
	tt_fd *fd;
	int rc = tt_unix_connect(path, &fd);

	if (rc >= 0)
		tt_fd_close(fd);
	return rc;
}

static int accept_one(tt_fd *listener)
{
	tt_fd *fd;
	tt_addr peer;
	int rc = tt_accept(listener, &fd, &peer);

	if (rc >= 0)
		tt_fd_close(fd);
	return rc;
}

static int accept_two(tt_fd *listener)
{
	int port = tt_fd_local_port(listener);

	TT_GROUP(g);
	for (int i = 0; i < 2; i++)
		tt_go_with(&g, &anywhere, connect_tcp, port);
	for (int i = 0; i < 2; i++)
		TT_TRY_IN(&g, accept_one(listener));
	return tt_group_end(&g, 0);
}

static TT_TASK(accepts_on_a_name, (struct ledger *, l))
{
	tt_fd *listener;
	int rc;

	(void)l;
	TT_TRY(tt_tcp_listen("server.sim:0", NULL, &listener));
	rc = accept_two(listener);
	tt_fd_close(listener);
	return rc;
}

static int accept_unix(tt_fd *listener, const char *path)
{
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, connect_unix, path);
	TT_TRY_IN(&g, accept_one(listener));
	return tt_group_end(&g, 0);
}

static TT_TASK(connects_unix, (struct ledger *, l))
{
	char buf[40];
	const char *name = own_name("@torture", buf, sizeof(buf));
	tt_fd *listener;
	int rc;

	(void)l;
	TT_TRY(tt_unix_listen(name, 1, &listener));
	rc = accept_unix(listener, name);
	tt_fd_close(listener);
	return rc;
}

TORTURE(tt_tcp_listen, accepts_on_a_name)
TORTURE(tt_tcp_connect, accepts_on_a_name)
TORTURE(tt_accept, accepts_on_a_name)
TORTURE(tt_unix_connect, connects_unix)

/* ---- signals ---- */

static TT_TASK(raise_two, (int, signo))
{
	TT_TRY(tt_sleep(TT_MS(1)));
	raise(signo);
	TT_TRY(tt_sleep(TT_MS(1)));
	raise(signo);
	return 0;
}

static int take_two(tt_signals *s)
{
	int signo;

	TT_GROUP(g);
	tt_go_with(&g, &anywhere, raise_two, SIGUSR1);
	for (int i = 0; i < 2; i++)
		TT_TRY_IN(&g, tt_signal_next(s, &signo));
	return tt_group_end(&g, 0);
}

static TT_TASK(takes_signals, (struct ledger *, l))
{
	static const int signals[] = { SIGUSR1 };
	tt_signals s;
	int rc;

	(void)l;
	TT_TRY(tt_signal_open(&s, signals, 1));
	rc = take_two(&s);
	tt_signal_close(&s);
	return rc;
}

TORTURE(tt_signal_next, takes_signals)

TT_TEST_MAIN()

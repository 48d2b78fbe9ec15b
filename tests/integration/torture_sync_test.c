/* SPDX-License-Identifier: MIT */
/*
 * torture_sync_test.c - barriers, latches, once, reader-writer locks, condition variables and
 * single flights, cut short everywhere they can be: nobody hangs, nothing stays held, what must
 * run once does. And small scenarios of each under every schedule within a bound, where some
 * waits run out just when they are served.
 *
 * test-on: sim2
 * test-timeout: 600
 */
#include "explore_kit.h"
#include "torture_kit.h"

/* ---- barrier ---- */

struct meeting {
	struct ledger *ledger;
	tt_barrier b;
	tt_latch l;
	tt_once once;
	tt_rwlock rw;
	tt_mutex m;
	tt_condvar c;
	unsigned leaders, through, initialised;
	int readers, items;
};

static TT_TASK(meets_twice, (struct meeting *, m))
{
	for (int i = 0; i < 2; i++) {
		int rc = tt_barrier_wait(&m->b);

		TT_TRY(rc);
		m->leaders += rc == 1;
		m->through++;
	}
	return 0;
}

static int parties(struct meeting *m)
{
	TT_GROUP(g);
	for (int i = 0; i < 3; i++)
		tt_go_with(&g, &anywhere, meets_twice, m);
	return tt_group_end(&g, 0);
}

/* A broken barrier fails the others: the cancel of the first is what ends them all. */
static TT_TASK(rounds, (struct ledger *, l))
{
	struct meeting m = { .ledger = l };
	int rc;

	tt_barrier_init(&m.b, 3);
	rc = parties(&m);
	/* A round is complete for all or for nobody. */
	EXPECT_EQ(m.through, m.leaders * 3);
	tt_barrier_fini(&m.b);
	return rc;
}

/* ---- latch ---- */

static TT_TASK(opens, (struct meeting *, m))
{
	int rc = tt_sleep(TT_MS(1));

	tt_latch_count_down(&m->l);
	return rc;
}

static int passes_the_latch(struct meeting *m)
{
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, opens, m);
	TT_TRY_IN(&g, tt_latch_wait(&m->l));
	return tt_group_end(&g, 0);
}

static TT_TASK(latches, (struct ledger *, l))
{
	struct meeting m = { .ledger = l };
	int rc;

	tt_latch_init(&m.l, 1);
	rc = passes_the_latch(&m);
	tt_latch_fini(&m.l);
	return rc;
}

/* ---- once ---- */

static void drop_made(struct ledger *l)
{
	l->gone++;
}

/* Its argument is made by the caller and gone once, here or by its destructor. */
static TT_TASK(init, (struct meeting *, m), (struct ledger *, l, drop_made))
{
	l->gone++;
	TT_TRY(tt_sleep(TT_MS(1)));
	m->initialised++;
	return 7;
}

static TT_TASK(needs_it, (struct meeting *, m))
{
	int rc;

	m->ledger->made++;
	rc = tt_once_do(&m->once, init, m, m->ledger);
	TT_TRY(rc);
	EXPECT_EQ(rc, 7);
	EXPECT_EQ(m->initialised, 1);
	return 0;
}

static int all_need_it(struct meeting *m)
{
	TT_GROUP(g);
	for (int i = 0; i < 3; i++)
		tt_go_with(&g, &anywhere, needs_it, m);
	return tt_group_end(&g, 0);
}

/* Some callers are cancelled alone: another takes over, and it is initialised all the same. */
static TT_TASK(initialises, (struct ledger *, l))
{
	struct meeting m = { .ledger = l };
	int rc;

	tt_once_init(&m.once, NULL);
	l->made++;
	rc = TT_WITHIN(TT_US(500), tt_once_do(&m.once, init, &m, l));
	if (rc == TT_ETIMEDOUT || rc == 7)
		rc = all_need_it(&m);
	EXPECT_LE(m.initialised, 1);
	EXPECT_TRUE(rc != 0 || m.initialised == 1);
	tt_once_fini(&m.once);
	return rc;
}

/* ---- reader-writer lock ---- */

static TT_TASK(reads, (struct meeting *, m))
{
	for (int i = 0; i < 2; i++) {
		TT_TRY(tt_rwlock_read(&m->rw));
		EXPECT_EQ(m->ledger->inside, 0);
		m->readers++;
		TT_IGNORE(tt_sleep(TT_MS(1)));
		m->readers--;
		tt_rwlock_unlock(&m->rw);
	}
	return 0;
}

static TT_TASK(writes, (struct meeting *, m))
{
	for (int i = 0; i < 2; i++) {
		TT_TRY(tt_rwlock_write(&m->rw));
		EXPECT_EQ(m->readers, 0);
		m->ledger->inside++;
		EXPECT_EQ(m->ledger->inside, 1);
		TT_IGNORE(tt_sleep(TT_MS(1)));
		m->ledger->inside--;
		tt_rwlock_unlock(&m->rw);
	}
	return 0;
}

static int readers_and_writers(struct meeting *m)
{
	TT_GROUP(g);
	for (int i = 0; i < 2; i++) {
		tt_go_with(&g, &anywhere, reads, m);
		tt_go_with(&g, &anywhere, writes, m);
	}
	return tt_group_end(&g, 0);
}

static TT_TASK(locks_rw, (struct ledger *, l))
{
	struct meeting m = { .ledger = l };
	int rc;

	tt_rwlock_init(&m.rw);
	rc = readers_and_writers(&m);
	EXPECT_EQ(m.readers, 0);
	EXPECT_CODE(tt_rwlock_try_write(&m.rw), 0);
	tt_rwlock_unlock(&m.rw);
	tt_rwlock_fini(&m.rw);
	return rc;
}

/* ---- condition variable ---- */

static TT_TASK(takes, (struct meeting *, m))
{
	for (int i = 0; i < 2; i++) {
		TT_LOCK(&m->m);

		while (m->items == 0)
			TT_TRY(tt_condvar_wait(&m->c, &m->m));
		m->ledger->inside++;
		EXPECT_EQ(m->ledger->inside, 1);
		m->items--;
		m->ledger->gone++;
		m->ledger->inside--;
	}
	return 0;
}

static TT_TASK(adds, (struct meeting *, m))
{
	for (int i = 0; i < 2; i++) {
		TT_TRY(tt_sleep(TT_MS(1)));
		TT_LOCK(&m->m);
		m->items++;
		m->ledger->made++;
		tt_condvar_signal(&m->c);
	}
	return 0;
}

static int puts_and_takes(struct meeting *m)
{
	TT_GROUP(g);
	for (int i = 0; i < 2; i++) {
		tt_go_with(&g, &anywhere, takes, m);
		tt_go_with(&g, &anywhere, adds, m);
	}
	return tt_group_end(&g, 0);
}

static TT_TASK(waits_for_changes, (struct ledger *, l))
{
	struct meeting m = { .ledger = l };
	int rc;

	tt_mutex_init(&m.m);
	tt_condvar_init(&m.c);
	rc = puts_and_takes(&m);
	l->gone += (unsigned)m.items; /* what nobody took is still there */
	EXPECT_TRUE(rc != 0 || m.items == 0);
	tt_condvar_fini(&m.c);
	tt_mutex_fini(&m.m); /* and the mutex is free */
	return rc;
}

/* ---- single flight ---- */

TT_FLIGHT_TYPE(int_flight, int);

struct source {
	struct ledger *ledger;
	int_flight flight;
};

static TT_TASK(load, (int *, ret), (struct ledger *, l, drop_made))
{
	l->gone++;
	TT_TRY(tt_sleep(TT_MS(1)));
	*ret = 5;
	return 0;
}

static TT_TASK(asks, (struct source *, s))
{
	int value = 0;

	s->ledger->made++;
	TT_TRY(tt_flight_do(&s->flight, tt_key_text("five"), &value, load, &value, s->ledger));
	EXPECT_EQ(value, 5);
	return 0;
}

static TT_TASK(asks_for_a_while, (struct source *, s))
{
	int rc = TT_WITHIN(TT_US(500), asks(s));

	return rc == TT_ETIMEDOUT ? 0 : rc;
}

static int all_ask(struct source *s)
{
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, asks_for_a_while, s);
	for (int i = 0; i < 2; i++)
		tt_go_with(&g, &anywhere, asks, s);
	return tt_group_end(&g, 0);
}

static TT_TASK(flies, (struct ledger *, l))
{
	struct source s = { .ledger = l };
	int rc;

	tt_flight_init(&s.flight);
	rc = all_ask(&s);
	tt_flight_fini(&s.flight);
	return rc;
}

TORTURE(tt_barrier_wait, rounds)
TORTURE(tt_latch_wait, latches)
TORTURE(tt_once_do, initialises)
TORTURE(tt_rwlock_read, locks_rw)
TORTURE(tt_rwlock_write, locks_rw)
TORTURE(tt_condvar_wait, waits_for_changes)
TORTURE(tt_flight_do, flies)

/* ---- under every schedule ---- */

/* Arrives, perhaps not for long. */
static TT_TASK(arrives, (struct meeting *, m), (int64_t, timeout), (int *, ret_rc))
{
	*ret_rc = TT_WITHIN(timeout, tt_barrier_wait(&m->b));
	return 0;
}

/* However a time that runs out meets the last party: all were there, or nobody is told so. */
static TT_TASK(a_round_is_for_all_or_nobody)
{
	struct meeting m = { .ledger = NULL };
	int rc, was[3] = { -1, -1, -1 }, good = 0, leaders = 0;

	tt_barrier_init(&m.b, 3);
	TT_DEFER(tt_barrier_fini, &m.b);
	TT_GROUP(g);
	tt_go_with(&g, &on_0, arrives, &m, TT_US(20), &was[0]);
	tt_go_with(&g, &on_1, arrives, &m, TT_SEC(1), &was[1]);
	TT_TRY_IN(&g, tt_sleep(TT_US(20)));
	tt_go_with(&g, &on_1, arrives, &m, TT_SEC(1), &was[2]);
	rc = tt_group_drain(&g);
	for (int i = 0; i < 3; i++) {
		good += was[i] >= 0;
		leaders += was[i] == 1;
	}
	if (rc == 0 && !((good == 3 && leaders == 1) || (good == 0 && leaders == 0)))
		rc = TT_EIO;
	return tt_group_end(&g, rc);
}

static TT_TASK(init_once, (struct meeting *, m))
{
	int rc;

	m->readers++;
	rc = tt_sleep(TT_US(20));
	if (rc == 0)
		m->initialised++;
	m->readers--;
	return rc;
}

static TT_TASK(needs, (struct meeting *, m), (int64_t, timeout))
{
	int rc = TT_WITHIN(timeout, tt_once_do(&m->once, init_once, m));

	if (m->readers > 1 || (rc == 0 && m->initialised != 1))
		return TT_EIO;
	return rc == TT_ETIMEDOUT ? 0 : rc;
}

/* Two run out of time, as runner, as heir or just after: the third is served. */
static TT_TASK(the_last_is_initialised)
{
	struct meeting m = { .ledger = NULL };
	int rc;

	tt_once_init(&m.once, NULL);
	TT_DEFER(tt_once_fini, &m.once);
	TT_GROUP(g);
	tt_go_with(&g, &on_0, needs, &m, TT_US(10));
	tt_go_with(&g, &on_1, needs, &m, TT_US(10));
	tt_go_with(&g, &on_1, needs, &m, TT_SEC(1));
	rc = tt_group_drain(&g);
	if (rc == 0 && m.initialised != 1)
		rc = TT_EIO;
	return tt_group_end(&g, rc);
}

static TT_TASK(enters, (struct meeting *, m), (bool, write), (int64_t, timeout))
{
	int rc = TT_WITHIN(timeout, write ? tt_rwlock_write(&m->rw) : tt_rwlock_read(&m->rw));

	if (rc == TT_ETIMEDOUT)
		return 0;
	TT_TRY(rc);
	m->readers += write ? 100 : 1;
	if (m->readers > 100 || (write && m->readers != 100))
		return TT_EIO;
	TT_IGNORE(tt_yield());
	m->readers -= write ? 100 : 1;
	tt_rwlock_unlock(&m->rw);
	return 0;
}

static TT_TASK(writers_are_alone)
{
	struct meeting m = { .readers = 0 };
	int rc;

	tt_rwlock_init(&m.rw);
	TT_DEFER(tt_rwlock_fini, &m.rw);
	TT_GROUP(g);
	tt_go_with(&g, &on_0, enters, &m, true, TT_SEC(1));
	tt_go_with(&g, &on_1, enters, &m, true, TT_US(10));
	tt_go_with(&g, &on_1, enters, &m, false, TT_SEC(1));
	tt_go_with(&g, &on_0, enters, &m, false, TT_SEC(1));
	rc = tt_group_drain(&g);
	if (rc == 0)
		rc = tt_rwlock_try_write(&m.rw);
	if (rc == 0)
		tt_rwlock_unlock(&m.rw);
	return tt_group_end(&g, rc);
}

static TT_TASK(waits, (struct meeting *, m), (int64_t, timeout))
{
	TT_LOCK(&m->m);

	while (m->items == 0) {
		int rc = TT_WITHIN(timeout, tt_condvar_wait(&m->c, &m->m));

		if (rc == TT_ETIMEDOUT)
			return 0;
		TT_TRY(rc);
	}
	m->items--;
	m->through++;
	return 0;
}

/* One signal for one item: if the first who waits is cancelled, the other one has it. */
static TT_TASK(a_signal_is_not_lost)
{
	struct meeting m = { .readers = 0 };
	int rc;

	tt_mutex_init(&m.m);
	TT_DEFER(tt_mutex_fini, &m.m);
	tt_condvar_init(&m.c);
	TT_DEFER(tt_condvar_fini, &m.c);
	TT_GROUP(g);
	tt_go_with(&g, &on_1, waits, &m, TT_US(20));
	tt_go_with(&g, &on_0, waits, &m, TT_SEC(100));
	TT_TRY_IN(&g, tt_sleep(TT_US(20)));
	tt_mutex_lock_shielded_(&m.m);
	m.items = 1;
	tt_mutex_unlock(&m.m);
	tt_condvar_signal(&m.c);
	TT_TRY_IN(&g, tt_sleep(TT_SEC(1)));
	if (m.through != 1)
		return tt_group_end(&g, TT_EIO);
	rc = 0;
	tt_group_cancel(&g); /* one of them may still wait */
	return tt_group_end(&g, rc);
}

static TT_TASK(asks_within, (struct source *, s), (int64_t, timeout), (unsigned *, served))
{
	int value = 0, rc;

	s->ledger->made++;
	rc = TT_WITHIN(timeout, tt_flight_do(&s->flight, tt_key_text("five"), &value, load, &value, s->ledger));
	if (rc == TT_ETIMEDOUT)
		return 0;
	TT_TRY(rc);
	++*served;
	return value == 5 ? 0 : TT_EIO;
}

static TT_TASK(the_last_is_served)
{
	struct ledger l = { 0 };
	struct source s = { .ledger = &l };
	unsigned first = 0, last = 0;
	int rc;

	tt_flight_init(&s.flight);
	TT_GROUP(g);
	tt_go_with(&g, &on_0, asks_within, &s, TT_US(10), &first);
	tt_go_with(&g, &on_1, asks_within, &s, TT_US(10), &first);
	tt_go_with(&g, &on_1, asks_within, &s, TT_SEC(1), &last);
	rc = tt_group_drain(&g);
	if (rc == 0 && (last != 1 || l.made != l.gone))
		rc = TT_EIO;
	rc = tt_group_end(&g, rc);
	tt_flight_fini(&s.flight);
	return rc;
}

EXPLORE(a_round_is_for_all_or_nobody, 5, 200)
EXPLORE(the_last_is_initialised, 5, 200)
EXPLORE(writers_are_alone, 4, 200)
EXPLORE(a_signal_is_not_lost, 5, 200)
EXPLORE(the_last_is_served, 5, 200)

TT_TEST_MAIN()

/* SPDX-License-Identifier: MIT */
/*
 * semaphore_test.c - permits: order, large requests, cancels, and that none is lost.
 */
#include <limits.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

TT_TEST_MAIN()

static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };
static const tt_child_options nearby = { .worker = TT_WORKER_HERE };

struct line {
	tt_semaphore s;
	tt_mutex lock; /* guards order and n: several may be served at once */
	int order[8], n;
};

static void line_init(struct line *l, unsigned permits)
{
	*l = (struct line){ .n = 0 };
	tt_semaphore_init(&l->s, permits);
	tt_mutex_init(&l->lock);
}

static void line_fini(struct line *l)
{
	tt_semaphore_fini(&l->s);
	tt_mutex_fini(&l->lock);
}

static TT_TASK(take, (struct line *, l), (unsigned, permits), (int, me))
{
	TT_TRY(tt_semaphore_acquire(&l->s, permits));
	TT_LOCK(&l->lock);
	l->order[l->n++] = me;
	return 0;
}

/* How many are free, found out by trying. */
static unsigned count_free(tt_semaphore *s)
{
	unsigned n = 0;

	while (tt_semaphore_try_acquire(s, 1) == 0)
		n++;
	tt_semaphore_release(s, n);
	return n;
}

/* ---- one task ---- */

/* So many can be had, together or one by one, and a request that does not fit takes none. */
TT_TEST(semaphore, counts)
{
	tt_semaphore s;

	tt_semaphore_init(&s, 3);
	EXPECT_CODE(tt_semaphore_acquire(&s, 2), 0);
	EXPECT_CODE(tt_semaphore_try_acquire(&s, 2), TT_EAGAIN);
	EXPECT_CODE(tt_semaphore_try_acquire(&s, 1), 0);
	EXPECT_CODE(tt_semaphore_try_acquire(&s, 1), TT_EAGAIN);
	EXPECT_CODE(tt_semaphore_acquire(&s, 0), 0);
	tt_semaphore_release(&s, 5);
	EXPECT_EQ(count_free(&s), 5u);
	tt_semaphore_fini(&s);
}

static tt_semaphore never_initialised;

/* Fini takes NULL and what was never initialised; nothing else does. */
TT_TEST(semaphore, uninitialised_storage_aborts)
{
	tt_semaphore_fini(NULL);
	tt_semaphore_fini(&never_initialised);
	EXPECT_ABORTS(TT_IGNORE(tt_semaphore_acquire(&never_initialised, 1)),
	              "tt_semaphore_acquire: the semaphore is not initialised");
	EXPECT_ABORTS(TT_IGNORE(tt_semaphore_try_acquire(&never_initialised, 1)),
	              "tt_semaphore_try_acquire: the semaphore is not initialised");
	EXPECT_ABORTS(tt_semaphore_release(&never_initialised, 1),
	              "tt_semaphore_release: the semaphore is not initialised");
}

/* A count that overflows is a mistake: permits that nobody had acquired were given back. */
TT_TEST(semaphore, overflow_aborts)
{
	tt_semaphore s;

	tt_semaphore_init(&s, UINT_MAX - 1);
	tt_semaphore_release(&s, 1);
	EXPECT_ABORTS(tt_semaphore_release(&s, 1), "tt_semaphore_release: ");
	EXPECT_CODE(tt_semaphore_acquire(&s, UINT_MAX), 0);
	tt_semaphore_fini(&s);
}

/* ---- order ---- */

static int serve_one_by_one(struct line *l)
{
	TT_GROUP(g);
	for (int i = 0; i < 5; i++) {
		tt_go_with(&g, &anywhere, take, l, 1, i);
		TT_TRY_IN(&g, tt_test_wait_all_parked());
	}
	for (int i = 0; i < 5; i++) {
		EXPECT_EQ(l->n, i);
		tt_semaphore_release(&l->s, 1);
		TT_TRY_IN(&g, tt_test_wait_all_parked());
	}
	return tt_group_end(&g, 0);
}

/* Waiters get permits in the order they came. */
TT_TEST(semaphore, serves_in_order)
{
	/* law 5 */
	struct line l;

	line_init(&l, 0);
	EXPECT_CODE(serve_one_by_one(&l), 0);
	EXPECT_EQ(l.n, 5);
	for (int i = 0; i < 5; i++)
		EXPECT_EQ(l.order[i], i);
	line_fini(&l);
}

static int large_before_small(struct line *l)
{
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, take, l, 3, 0);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	for (int i = 1; i < 4; i++) {
		tt_go_with(&g, &anywhere, take, l, 1, i);
		TT_TRY_IN(&g, tt_test_wait_all_parked());
	}
	/* Two are free now: enough for the small ones, who wait behind the large one. */
	tt_semaphore_release(&l->s, 1);
	EXPECT_CODE(tt_semaphore_try_acquire(&l->s, 1), TT_EAGAIN);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	EXPECT_EQ(l->n, 0);
	tt_semaphore_release(&l->s, 1);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	EXPECT_EQ(l->n, 1);
	EXPECT_EQ(l->order[0], 0);
	tt_semaphore_release(&l->s, 3);
	return tt_group_end(&g, 0);
}

/* A large request is not overtaken by small ones behind it, nor by a try. */
TT_TEST(semaphore, a_large_request_is_not_starved)
{
	/* law 5 */
	struct line l;

	line_init(&l, 1);
	EXPECT_CODE(large_before_small(&l), 0);
	EXPECT_EQ(l.n, 4);
	line_fini(&l);
}

/* ---- cancels ---- */

/* An acquire is a checkpoint even when permits are free, and then takes none. */
TT_TEST(semaphore, a_cancelled_acquire_took_nothing)
{
	tt_semaphore s;

	tt_semaphore_init(&s, 2);
	EXPECT_CODE(TT_WITHIN(0, tt_semaphore_acquire(&s, 1)), TT_ETIMEDOUT);
	EXPECT_CODE(TT_WITHIN(0, tt_semaphore_try_acquire(&s, 1)), 0);
	EXPECT_EQ(count_free(&s), 1u);
	tt_semaphore_fini(&s);
}

static TT_TASK(take_cancellable, (struct line *, l), (unsigned, permits), (tt_canceller **, ret_c), (int *, ret_rc))
{
	TT_SCOPE(s, TT_NEVER);
	*ret_c = tt_scope_canceller(&s);
	*ret_rc = tt_semaphore_acquire(&l->s, permits);
	return tt_scope_end(&s, 0);
}

static int cancel_the_head(struct line *l, const tt_child_options *where)
{
	tt_canceller *c = NULL;
	int rc = 9;

	TT_GROUP(g);
	tt_go_with(&g, where, take_cancellable, l, 3, &c, &rc);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	for (int i = 0; i < 3; i++) {
		tt_go_with(&g, where, take, l, 1, i);
		TT_TRY_IN(&g, tt_test_wait_all_parked());
	}
	EXPECT_EQ(l->n, 0);
	tt_cancel(c);
	tt_canceller_put(c);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	EXPECT_CODE(rc, TT_ECANCELED);
	EXPECT_EQ(l->n, 2); /* the third waits */
	EXPECT_EQ(l->order[0] + l->order[1], 1);
	tt_semaphore_release(&l->s, 1);
	return tt_group_end(&g, 0);
}

/* Two permits are free, a request for three waits, small ones behind it: when the large one
 * is cancelled, those that fit are served. */
TT_TEST(semaphore, a_cancelled_head_uncovers_those_behind)
{
	/* law 5 */
	struct line l;

	line_init(&l, 2);
	EXPECT_CODE(cancel_the_head(&l, &nearby), 0);
	EXPECT_EQ(l.n, 3);
	tt_semaphore_release(&l.s, 2);
	l.n = 0;
	EXPECT_CODE(cancel_the_head(&l, &anywhere), 0);
	EXPECT_EQ(l.n, 3);
	line_fini(&l);
}

static int release_to_a_cancelled_one(struct line *l, int *ret_rc)
{
	tt_canceller *c = NULL;

	TT_GROUP(g);
	tt_go_with(&g, &nearby, take_cancellable, l, 1, &c, ret_rc);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_go_with(&g, &nearby, take, l, 1, 4);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_cancel(c);
	tt_canceller_put(c);
	tt_semaphore_release(&l->s, 1);
	return tt_group_end(&g, 0);
}

/* A permit released just after the head was cancelled goes to the next. */
TT_TEST(semaphore, a_cancelled_waiter_is_passed_over)
{
	/* law 4 */
	struct line l;
	int rc = 9;

	line_init(&l, 0);
	EXPECT_CODE(release_to_a_cancelled_one(&l, &rc), 0);
	EXPECT_CODE(rc, TT_ECANCELED);
	EXPECT_EQ(l.n, 1);
	EXPECT_EQ(count_free(&l.s), 0u);
	line_fini(&l);
}

/* ---- close ---- */

static TT_TASK(take_until_closed, (struct line *, l), (unsigned, permits))
{
	int rc = tt_semaphore_acquire(&l->s, permits);

	TT_LOCK(&l->lock);
	l->n += rc == TT_ECLOSED;
	return rc == TT_ECLOSED ? 0 : rc;
}

static int close_with_waiters(struct line *l)
{
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, take_until_closed, l, 3);
	tt_go_with(&g, &anywhere, take_until_closed, l, 2);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_semaphore_close(&l->s);
	return tt_group_end(&g, 0);
}

/* A close tells those who wait and those who come; what is out can still be given back. */
TT_TEST(semaphore, close_wakes_everybody)
{
	/* law 5 */
	struct line l;
	int rc = 9;

	line_init(&l, 2);
	EXPECT_CODE(tt_semaphore_acquire(&l.s, 1), 0);
	EXPECT_CODE(close_with_waiters(&l), 0);
	EXPECT_EQ(l.n, 2);
	EXPECT_CODE(tt_semaphore_acquire(&l.s, 1), TT_ECLOSED);
	EXPECT_CODE(tt_semaphore_try_acquire(&l.s, 1), TT_ECLOSED);
	EXPECT_CODE(tt_select(TT_ON_PERMIT(&l.s, 1)), TT_ECLOSED);
	EXPECT_CODE(tt_select_biased(TT_ON_TIMEOUT(TT_SEC(100)), TT_ON_PERMIT_RC(&l.s, 1, &rc)), 1);
	EXPECT_CODE(rc, TT_ECLOSED);
	tt_semaphore_release(&l.s, 1);
	tt_semaphore_close(&l.s);
	line_fini(&l);
}

/* ---- conservation ---- */

#define PERMITS 5

struct room {
	tt_semaphore s;
	tt_mutex lock;
	unsigned inside, worst;
	long entered, refused;
};

static void enter(struct room *r, unsigned n)
{
	TT_LOCK(&r->lock);

	r->inside += n;
	r->entered++;
	if (r->inside > r->worst)
		r->worst = r->inside;
}

static void leave(struct room *r, unsigned n)
{
	TT_LOCK(&r->lock);

	r->inside -= n;
}

static TT_TASK(guest, (struct room *, r), (unsigned, id), (int, times))
{
	uint64_t x = tt_test_seed() * 31 + id * 977 + 1;

	for (int i = 0; i < times; i++) {
		unsigned n;
		int rc;

		x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
		n = 1 + (unsigned)(x >> 40) % PERMITS;
		rc = TT_WITHIN((int64_t)(x >> 33) % 50 * TT_US(1), tt_semaphore_acquire(&r->s, n));
		if (rc == TT_ETIMEDOUT) {
			TT_LOCK(&r->lock);
			r->refused++;
			continue;
		}
		TT_TRY(rc);
		enter(r, n);
		rc = tt_sleep((int64_t)(x >> 50) % 20 * TT_US(1));
		leave(r, n);
		tt_semaphore_release(&r->s, n);
		TT_TRY(rc);
	}
	return 0;
}

static int guests(struct room *r)
{
	TT_GROUP(g);
	for (unsigned i = 0; i < 10; i++)
		tt_go_with(&g, &anywhere, guest, r, i, 60);
	return tt_group_end(&g, 0);
}

/* However many waits are cut short on several workers: never are more permits out than there
 * are, and in the end all are back. */
TT_TEST(semaphore, permits_are_conserved)
{
	/* laws 4, 5 */
	struct room r = { .inside = 0 };

	tt_semaphore_init(&r.s, PERMITS);
	tt_mutex_init(&r.lock);
	EXPECT_CODE(guests(&r), 0);
	EXPECT_EQ(r.inside, 0u);
	EXPECT_LE(r.worst, (unsigned)PERMITS);
	EXPECT_EQ(r.entered + r.refused, 600);
	EXPECT_GT(r.entered, 0);
	EXPECT_GT(r.refused, 0);
	EXPECT_EQ(count_free(&r.s), (unsigned)PERMITS);
	tt_semaphore_fini(&r.s);
	tt_mutex_fini(&r.lock);
}

/* ---- TT_PERMIT ---- */

static int under_a_permit(tt_semaphore *s, int rc, unsigned *ret_free)
{
	TT_PERMIT(s);

	*ret_free = count_free(s);
	TT_TRY(rc);
	return 0;
}

static int under_a_permit_in_a_group(tt_semaphore *s, int rc, unsigned *ret_free)
{
	TT_GROUP(g);
	TT_PERMIT_IN(&g, s);
	*ret_free = count_free(s);
	TT_TRY_IN(&g, rc);
	return tt_group_end(&g, 0);
}

/* TT_PERMIT holds one permit to the end of the block, however the block is left, and none if
 * it could not be acquired. */
TT_TEST(semaphore, permit_lasts_for_the_block)
{
	int (*const forms[])(tt_semaphore *, int, unsigned *) = { under_a_permit, under_a_permit_in_a_group };

	for (int i = 0; i < 2; i++) {
		unsigned free_inside = 99;
		tt_semaphore s;

		tt_semaphore_init(&s, 2);
		EXPECT_CODE(forms[i](&s, 0, &free_inside), 0);
		EXPECT_EQ(free_inside, 1u);
		EXPECT_EQ(count_free(&s), 2u);
		EXPECT_CODE(forms[i](&s, TT_EIO, &free_inside), TT_EIO);
		EXPECT_EQ(count_free(&s), 2u);
		free_inside = 99;
		EXPECT_CODE(TT_WITHIN(0, forms[i](&s, 0, &free_inside)), TT_ETIMEDOUT);
		EXPECT_EQ(free_inside, 99u);
		EXPECT_EQ(count_free(&s), 2u);
		tt_semaphore_fini(&s);
	}
}

/* ---- misuse ---- */

static int fini_under_a_waiter(struct line *l)
{
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, take, l, 1, 0);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	EXPECT_ABORTS(tt_semaphore_fini(&l->s), "tt_semaphore_fini: task take#");
	tt_semaphore_release(&l->s, 1);
	return tt_group_end(&g, 0);
}

/* Fini under a task that waits names the task. */
TT_TEST(semaphore, fini_with_a_waiter_aborts)
{
	/* law 5 */
	struct line l;

	line_init(&l, 0);
	EXPECT_CODE(fini_under_a_waiter(&l), 0);
	line_fini(&l);
}

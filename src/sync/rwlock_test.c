/* SPDX-License-Identifier: MIT */
/*
 * rwlock_test.c - readers together, writers alone, in the order they came.
 */
#include <tutti/testing.h>
#include <tutti/tutti.h>

TT_TEST_MAIN()

static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };
static const tt_child_options nearby = { .worker = TT_WORKER_HERE };

struct book {
	tt_rwlock l;
	tt_mutex lock; /* guards what follows */
	int readers, writers, most_readers;
	char order[16];
	unsigned n, wrong;
	int64_t pages;
};

static void book_init(struct book *b)
{
	*b = (struct book){ .readers = 0 };
	tt_rwlock_init(&b->l);
	tt_mutex_init(&b->lock);
}

static void book_fini(struct book *b)
{
	tt_rwlock_fini(&b->l);
	tt_mutex_fini(&b->lock);
}

static void come(struct book *b, bool writes, char name)
{
	TT_LOCK(&b->lock);

	b->readers += !writes;
	b->writers += writes;
	b->wrong += b->writers > 1 || (b->writers == 1 && b->readers > 0);
	if (b->readers > b->most_readers)
		b->most_readers = b->readers;
	if (name != 0 && b->n + 1 < sizeof(b->order))
		b->order[b->n++] = name;
}

static void go(struct book *b, bool writes)
{
	TT_LOCK(&b->lock);

	b->readers -= !writes;
	b->writers -= writes;
}

static TT_TASK(reads, (struct book *, b), (char, name))
{
	TT_TRY(tt_rwlock_read(&b->l));
	come(b, false, name);
	TT_IGNORE(tt_sleep(TT_MS(1)));
	go(b, false);
	tt_rwlock_unlock(&b->l);
	return 0;
}

static TT_TASK(writes, (struct book *, b), (char, name))
{
	TT_TRY(tt_rwlock_write(&b->l));
	come(b, true, name);
	TT_IGNORE(tt_sleep(TT_MS(1)));
	go(b, true);
	tt_rwlock_unlock(&b->l);
	return 0;
}

static int three_readers(struct book *b)
{
	TT_GROUP(g);
	TT_TRY_IN(&g, tt_rwlock_read(&b->l));
	for (int i = 0; i < 3; i++)
		tt_go_with(&g, &anywhere, reads, b, 'r');
	TT_TRY_IN(&g, tt_group_drain(&g));
	tt_rwlock_unlock(&b->l);
	return tt_group_end(&g, 0);
}

/* Readers are in together. */
TT_TEST(rwlock, readers_share)
{
	struct book b;

	book_init(&b);
	EXPECT_CODE(three_readers(&b), 0);
	EXPECT_EQ(b.n, 3u);
	EXPECT_EQ(b.wrong, 0u);
	book_fini(&b);
}

static int queue_up(struct book *b, const char *who)
{
	TT_GROUP(g);
	TT_TRY_IN(&g, tt_rwlock_read(&b->l));
	for (const char *p = who; *p != '\0'; p++) {
		if (*p >= 'a')
			tt_go_with(&g, &anywhere, reads, b, *p);
		else
			tt_go_with(&g, &anywhere, writes, b, *p);
		TT_TRY_IN(&g, tt_test_wait_all_parked());
	}
	EXPECT_EQ(b->n, 0u); /* the first is a writer, and stops the readers behind it */
	EXPECT_CODE(tt_rwlock_try_read(&b->l), TT_EBUSY);
	tt_rwlock_unlock(&b->l);
	return tt_group_end(&g, 0);
}

/* A waiting writer stops later readers, also those that only try; all are served in order. */
TT_TEST(rwlock, is_fair)
{
	/* law 5 */
	struct book b;

	book_init(&b);
	EXPECT_CODE(queue_up(&b, "WXrYs"), 0);
	EXPECT_STR_EQ(b.order, "WXrYs");
	EXPECT_EQ(b.wrong, 0u);
	book_fini(&b);
}

/* Reads until all the readers of the row are in: were they let in one by one, the first would wait for ever. */
static TT_TASK(reads_beside_others, (struct book *, b), (tt_barrier *, all_in), (char, name))
{
	TT_TRY(tt_rwlock_read(&b->l));
	come(b, false, name);
	TT_IGNORE(TT_WITHIN(TT_SEC(10), tt_barrier_wait(all_in)));
	go(b, false);
	tt_rwlock_unlock(&b->l);
	return 0;
}

static int readers_in_a_row(struct book *b, tt_barrier *all_in)
{
	TT_GROUP(g);
	TT_TRY_IN(&g, tt_rwlock_write(&b->l));
	for (const char *p = "rstW"; *p != '\0'; p++) {
		if (*p >= 'a')
			tt_go_with(&g, &anywhere, reads_beside_others, b, all_in, *p);
		else
			tt_go_with(&g, &anywhere, writes, b, *p);
		TT_TRY_IN(&g, tt_test_wait_all_parked());
	}
	tt_rwlock_unlock(&b->l);
	return tt_group_end(&g, 0);
}

/* Neighbouring readers get in together when their turn comes. */
TT_TEST(rwlock, neighbouring_readers_get_in_together)
{
	/* law 5 */
	struct book b;
	tt_barrier all_in;

	book_init(&b);
	tt_barrier_init(&all_in, 3);
	EXPECT_CODE(readers_in_a_row(&b, &all_in), 0);
	EXPECT_EQ(b.most_readers, 3);
	EXPECT_EQ(b.order[3], 'W');
	EXPECT_EQ(b.wrong, 0u);
	tt_barrier_fini(&all_in);
	book_fini(&b);
}

/* The try forms never wait, and say that it is not free. */
TT_TEST(rwlock, try_forms)
{
	struct book b;

	book_init(&b);
	EXPECT_CODE(tt_rwlock_try_write(&b.l), 0);
	EXPECT_CODE(tt_rwlock_try_write(&b.l), TT_EBUSY);
	EXPECT_CODE(tt_rwlock_try_read(&b.l), TT_EBUSY);
	tt_rwlock_unlock(&b.l);
	EXPECT_CODE(tt_rwlock_try_read(&b.l), 0);
	EXPECT_CODE(tt_rwlock_try_read(&b.l), 0);
	EXPECT_CODE(tt_rwlock_try_write(&b.l), TT_EBUSY);
	tt_rwlock_unlock(&b.l);
	tt_rwlock_unlock(&b.l);
	book_fini(&b);
}

/* ---- cancels ---- */

static TT_TASK(writes_for_a_while, (struct book *, b), (int *, ret_rc))
{
	*ret_rc = TT_WITHIN(TT_MS(1), tt_rwlock_write(&b->l));
	return 0;
}

static int a_writer_gives_up(struct book *b, int *ret_rc)
{
	TT_GROUP(g);
	TT_TRY_IN(&g, tt_rwlock_read(&b->l));
	tt_go_with(&g, &nearby, writes_for_a_while, b, ret_rc);
	TT_TRY_IN(&g, tt_yield());
	tt_go_with(&g, &nearby, reads, b, 'r');
	/* The reader gets in while this one still reads: the writer left. */
	TT_TRY_IN(&g, tt_group_drain(&g));
	tt_rwlock_unlock(&b->l);
	return tt_group_end(&g, 0);
}

/* A writer that gives up lets in the readers behind it. */
TT_TEST(rwlock, a_cancelled_writer_uncovers_readers)
{
	struct book b;
	int rc = 9;

	book_init(&b);
	EXPECT_CODE(TT_WITHIN(0, tt_rwlock_read(&b.l)), TT_ETIMEDOUT);
	EXPECT_CODE(TT_WITHIN(0, tt_rwlock_write(&b.l)), TT_ETIMEDOUT);
	EXPECT_CODE(a_writer_gives_up(&b, &rc), 0);
	EXPECT_CODE(rc, TT_ETIMEDOUT);
	EXPECT_EQ(b.n, 1u);
	EXPECT_CODE(tt_rwlock_try_write(&b.l), 0); /* nothing is held */
	tt_rwlock_unlock(&b.l);
	book_fini(&b);
}

/* ---- blocks, downgrade ---- */

static int reads_and_writes_shielded(struct book *b)
{
	TT_SCOPE(s, 0);
	EXPECT_CODE(tt_checkpoint(), TT_ECANCELED);
	{
		TT_READ_LOCK(&b->l);
		EXPECT_CODE(tt_rwlock_try_write(&b->l), TT_EBUSY);
	}
	{
		TT_WRITE_LOCK(&b->l);
		b->pages++;
	}
	return tt_scope_end(&s, 0);
}

/* The block forms lock in a cancelled scope too, and unlock at the end of the block. */
TT_TEST(rwlock, block_forms_never_fail)
{
	struct book b;

	book_init(&b);
	EXPECT_CODE(reads_and_writes_shielded(&b), 0);
	EXPECT_EQ(b.pages, 1);
	EXPECT_CODE(tt_rwlock_try_write(&b.l), 0);
	tt_rwlock_unlock(&b.l);
	book_fini(&b);
}

static int downgrades(struct book *b)
{
	TT_GROUP(g);
	TT_TRY_IN(&g, tt_rwlock_write(&b->l));
	tt_go_with(&g, &anywhere, reads, b, 'r');
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_go_with(&g, &anywhere, writes, b, 'W');
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_rwlock_downgrade(&b->l);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_mutex_lock_shielded_(&b->lock);
	EXPECT_STR_EQ(b->order, "r"); /* in beside us, and the writer still waits */
	tt_mutex_unlock(&b->lock);
	tt_rwlock_unlock(&b->l);
	return tt_group_end(&g, 0);
}

/* Who wrote goes on reading with those who waited to read; no writer comes in between. */
TT_TEST(rwlock, downgrade)
{
	/* law 5 */
	struct book b;

	book_init(&b);
	EXPECT_CODE(downgrades(&b), 0);
	EXPECT_STR_EQ(b.order, "rW");
	EXPECT_ABORTS(tt_rwlock_downgrade(&b.l), "tt_rwlock_downgrade: the caller does not write");
	book_fini(&b);
}

/* ---- conservation ---- */

static TT_TASK(visitor, (struct book *, b), (unsigned, id))
{
	uint64_t x = tt_test_seed() * 31 + id * 977 + 1;

	for (int i = 0; i < 40; i++) {
		bool write;
		int rc;

		x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
		write = (x >> 60) % 4 == 0;
		rc = TT_WITHIN((int64_t)(x >> 33) % 50 * TT_US(1), write ? tt_rwlock_write(&b->l) : tt_rwlock_read(&b->l));
		if (rc == TT_ETIMEDOUT)
			continue;
		TT_TRY(rc);
		come(b, write, 0);
		rc = tt_sleep((int64_t)(x >> 50) % 20 * TT_US(1));
		go(b, write);
		tt_rwlock_unlock(&b->l);
		TT_TRY(rc);
	}
	return 0;
}

static int visitors(struct book *b)
{
	TT_GROUP(g);
	for (unsigned i = 0; i < 10; i++)
		tt_go_with(&g, &anywhere, visitor, b, i);
	return tt_group_end(&g, 0);
}

/* However many waits are cut short on several workers: a writer is always alone. */
TT_TEST(rwlock, excludes)
{
	/* laws 4, 5 */
	struct book b;

	book_init(&b);
	EXPECT_CODE(visitors(&b), 0);
	EXPECT_EQ(b.wrong, 0u);
	EXPECT_EQ(b.readers + b.writers, 0);
	book_fini(&b);
}

/* ---- misuse ---- */

static tt_rwlock still;

static int fini_while_waited_for(struct book *b)
{
	TT_GROUP(g);
	EXPECT_CODE(tt_rwlock_try_write(&b->l), 0);
	EXPECT_ABORTS(tt_rwlock_fini(&b->l), "writes");
	tt_rwlock_unlock(&b->l);
	EXPECT_CODE(tt_rwlock_try_read(&b->l), 0);
	EXPECT_ABORTS(tt_rwlock_fini(&b->l), "tt_rwlock_fini: 1 tasks read");
	tt_rwlock_unlock(&b->l);
	return tt_group_end(&g, 0);
}

static TT_TASK(unlocks, (struct book *, b))
{
	EXPECT_ABORTS(tt_rwlock_unlock(&b->l), "writes, not the caller");
	return 0;
}

static int unlock_of_anothers(struct book *b)
{
	TT_GROUP(g);
	TT_TRY_IN(&g, tt_rwlock_write(&b->l));
	tt_go(&g, unlocks, b);
	TT_TRY_IN(&g, tt_group_drain(&g));
	EXPECT_ABORTS(TT_IGNORE(tt_rwlock_read(&b->l)), "tt_rwlock_read: task ");
	EXPECT_ABORTS(TT_IGNORE(tt_rwlock_write(&b->l)), "writes under this lock already");
	tt_rwlock_unlock(&b->l);
	return tt_group_end(&g, 0);
}

TT_TEST(rwlock, misuse_aborts)
{
	struct book b;

	book_init(&b);
	EXPECT_CODE(fini_while_waited_for(&b), 0);
	EXPECT_CODE(unlock_of_anothers(&b), 0);
	EXPECT_ABORTS(tt_rwlock_unlock(&b.l), "tt_rwlock_unlock: nobody holds this lock");
	book_fini(&b);
	tt_rwlock_fini(NULL);
	EXPECT_CODE(tt_rwlock_read(&still), 0);
	tt_rwlock_unlock(&still);
	tt_rwlock_fini(&still);
}

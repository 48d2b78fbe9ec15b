/* SPDX-License-Identifier: MIT */
/*
 * 09_service.c - the patterns in one small service: numbers are stored in batches, and a
 * client hears that its own is stored only when it is. apps/gateway is the same, grown up.
 */
#include <stdio.h>
#include <tutti/tutti.h>

struct request { int number, rc; tt_latch done; };   /* 5: lent until the latch opens */
static void answer(struct request *r, int rc) { r->rc = rc, tt_latch_count_down(&r->done); }
static void give_up(struct request *r) { answer(r, TT_ECLOSED); }
TT_CHAN_TYPE_WITH(request_chan, struct request *, give_up);
TT_POOL_TYPE(store_pool, int);
struct app { request_chan queue; store_pool *stores; int disk; };

static tt_once limit_once = TT_ONCE_INIT;            /* 7: whoever comes first loads it */
static size_t limit;
TT_TASK(load_limit, (size_t *, ret_limit)) { *ret_limit = 4; return 0; }
static int open_store(void *ctx, void **ret_item) { *ret_item = ctx; return 0; }
static void close_store(void *ctx, void *item) { (void)ctx, (void)item; }

static int add_up(store_pool *stores, struct request **batch, int n)
{
	TT_LEASE(db, stores);                        /* 4: back in the pool at the end */
	TT_TRY(tt_pool_acquire(stores, &db));
	for (int i = 0; i < n; i++)
		*db += batch[i]->number;
	return 0;
}

/* Whatever ends the batcher, or keeps it from starting: every request gets its answer. */
static void shut_queue(struct app *app) { tt_chan_close(&app->queue), tt_chan_drain(&app->queue); }
TT_TASK(batcher, (struct app *, app, shut_queue))
{
	struct request *batch[4];
	int n;

	TT_DEFER(shut_queue, app);
	TT_TRY(tt_once_do(&limit_once, load_limit, &limit));
	while ((n = tt_recv_many(&app->queue, batch, limit, TT_MS(1))) > 0) /* 2 */
		for (int i = 0, rc = add_up(app->stores, batch, n); i < n; i++)
			answer(batch[i], rc);
	return n;
}

static int submit(struct app *app, int number)
{
	struct request r = { .number = number }, *p = &r;
	int rc = number > 0 ? 0 : tt_fail(TT_EINVAL, "%d is no number to store", number); /* 6 */

	TT_TRY(rc);
	tt_latch_init(&r.done, 1);
	rc = tt_select(TT_ON_SEND(&app->queue, &p), TT_ON_TIMEOUT(TT_SEC(1)), TT_ON_STOP()); /* 8 */
	if (rc == 0)                                 /* 3: the batcher has it, and will answer */
		rc = TT_SHIELDED(TT_NEVER, tt_latch_wait(&r.done));
	tt_latch_fini(&r.done);
	return rc != 0 ? (rc < 0 ? rc : TT_ETIMEDOUT) : r.rc;
}

TT_TASK(client, (struct app *, app), (int, first), (int *, stored))
{
	for (int n = first; n < first + 3; n++) {
		int rc = submit(app, n);

		TT_TRY(rc == TT_EINVAL ? 0 : tt_wrap(rc, "store %d", n));
		*stored += rc == 0;
	}
	return 0;
}

TT_TASK(serve, (struct app *, app))                  /* 1: nothing of it outlives its group */
{
	int stored = 0;

	TT_GROUP(g);
	tt_go_with(&g, &(tt_child_options){ .daemon = true }, batcher, app);
	for (int first = -1; first < 8; first += 3)
		tt_go(&g, client, app, first, &stored);
	TT_TRY_IN(&g, tt_group_drain(&g));
	printf("%d of 9 numbers were stored, their sum is %d\n", stored, app->disk);
	return tt_group_end(&g, tt_sleep(TT_SEC(3600)));
}

TT_TASK(app)
{
	struct app app = { .disk = 0 };
	tt_pool_options options = { .open = open_store, .close = close_store, .ctx = &app.disk, .max = 1 };
	int rc;

	TT_TRY(tt_chan_init(&app.queue, 4));
	TT_DEFER(tt_chan_fini, &app.queue.tt_raw);
	TT_TRY(tt_pool_create(&options, &app.stores));
	rc = TT_WITHIN(TT_MS(100), serve(&app));     /* 3: then its day is over */
	printf("the service ends: %s\n", tt_error_name(rc));
	tt_pool_destroy(app.stores);
	return rc == TT_ETIMEDOUT ? 0 : rc;
}

int main(void) { return tt_main(app); }

/* SPDX-License-Identifier: MIT */
/*
 * batcher_test.c - from many submissions to few commits: when, how many, and who is told what.
 *
 * The store is one in memory that remembers every commit; the bodies are parsed by event.c.
 */
#include <tutti/testing.h>

#include "batcher.h"

TT_TEST_MAIN()

static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };

/* ---- a store in memory ---- */

enum { COMMITS_MAX = 1024, IDS_MAX = 1024 };

struct fake {
	struct store base; /* first */
	int          fail_at;  /* this commit, from 1, fails ... */
	int          code;     /* ... with this */
	int          commits;
	size_t       sizes[COMMITS_MAX];
	char         ids[IDS_MAX][16];
	size_t       n_ids;
};

static bool fake_holds(const struct fake *f, const char *id)
{
	for (size_t i = 0; i < f->n_ids; i++)
		if (strcmp(f->ids[i], id) == 0)
			return true;
	return false;
}

static enum store_verdict fake_take(struct fake *f, struct store_event *e)
{
	if (strcmp(e->type, "bad") == 0) {
		e->reason = "the fake does not like it";
		return STORE_REJECTED;
	}
	if (fake_holds(f, e->id))
		return STORE_DUPLICATE;
	snprintf(f->ids[f->n_ids++ % IDS_MAX], sizeof(f->ids[0]), "%s", e->id);
	return STORE_ACCEPTED;
}

static int fake_commit(struct store *s, struct store_event *const *events, size_t n,
                       enum store_verdict *ret_verdicts, char *ret_error, size_t error_size)
{
	struct fake *f = (struct fake *)s;

	f->sizes[f->commits++ % COMMITS_MAX] = n;
	if (f->commits == f->fail_at) {
		snprintf(ret_error, error_size, "a failure that the test asked for");
		return f->code;
	}
	for (size_t i = 0; i < n; i++)
		ret_verdicts[i] = fake_take(f, events[i]);
	return 0;
}

static const struct store_ops fake_ops = { .scheme = "fake", .commit = fake_commit };

/* ---- a batcher with its store ---- */

struct setup {
	struct config  config;
	struct fake    fake;
	struct batcher b;
};

static struct setup *setup_create(int64_t linger, unsigned batch_events, unsigned queue_events)
{
	struct setup *x = calloc(1, sizeof(*x));

	REQUIRE_TRUE(x != NULL);
	x->fake.base.ops = &fake_ops;
	x->config = (struct config){
		.linger = linger, .batch_events = batch_events, .queue_events = queue_events,
	};
	REQUIRE_OK(batcher_init(&x->b, &x->config, &x->fake.base));
	return x;
}

static void setup_destroy(struct setup *x)
{
	batcher_fini(&x->b);
	free(x);
}

/* A submission of what this body holds. */
static struct submission *submission_of(const char *body)
{
	struct submission *s = submission_create();
	struct event_refusal refusal = { 0 };
	struct event_json *json;
	struct event_input in = {
		.content_type = "application/x-ndjson",
		.content_type_len = 20,
		.body = body,
		.body_len = strlen(body),
	};

	REQUIRE_TRUE(s != NULL);
	REQUIRE_OK(event_json_create(&json));
	EXPECT_OK(event_parse_body(json, &in, &s->batch, &refusal));
	event_json_destroy(json);
	return s;
}

/* Events with these ids, one for each word. */
static struct submission *submission_with(const char *ids)
{
	char body[512];
	int at = 0;

	while (*ids != '\0') {
		int len = (int)strcspn(ids, " ");

		at += snprintf(body + at, sizeof(body) - (size_t)at, "{\"type\":\"t\",\"id\":\"%.*s\"}\n",
		               len, ids);
		ids += len;
		ids += *ids == ' ';
	}
	return submission_of(body);
}

static struct submission *submit(struct setup *x, const char *ids)
{
	struct submission *s = submission_with(ids);

	EXPECT_OK(batcher_submit(&x->b, s));
	return s;
}

static void expect_refused(struct setup *x, const char *ids, int code)
{
	struct submission *s = submission_with(ids);

	EXPECT_CODE(batcher_submit(&x->b, s), code);
	EXPECT_EQ(s->owners, 1);
	submission_put(s);
}

/* It is settled; gives the outcome, and the share of the request back. */
static int take_outcome(struct submission *s)
{
	int outcome;

	EXPECT_OK(TT_WITHIN(TT_SEC(30), tt_notify_wait(&s->settled)));
	outcome = s->outcome;
	submission_put(s);
	return outcome;
}

/* Commit what is queued and let the batcher end. */
static int drain(struct setup *x)
{
	TT_GROUP(g);
	tt_go(&g, batcher_run, &x->b);
	tt_chan_close(&x->b.queue);
	return tt_group_end(&g, 0);
}

static int free_room(struct setup *x)
{
	unsigned n = 0;

	while (tt_semaphore_try_acquire(&x->b.queue_room, 1) == 0)
		n++;
	tt_semaphore_release(&x->b.queue_room, n);
	return (int)n;
}

/* ---- how much goes into one commit ---- */

/* What waits is committed together, up to batch_events. */
TT_TEST(batcher, a_batch_is_full_by_count)
{
	struct setup *x = setup_create(0, 3, 100);
	struct submission *s[5];

	for (int i = 0; i < 5; i++)
		s[i] = submit(x, (const char *[]){ "a", "b", "c", "d", "e" }[i]);
	EXPECT_OK(drain(x));
	EXPECT_EQ(x->fake.commits, 2);
	EXPECT_EQ(x->fake.sizes[0], 3u);
	EXPECT_EQ(x->fake.sizes[1], 2u);
	for (int i = 0; i < 5; i++)
		EXPECT_CODE(take_outcome(s[i]), 0);
	setup_destroy(x);
}

/* A submission is never split over two commits, even if that takes a batch beyond its size. */
TT_TEST(batcher, a_submission_stays_whole)
{
	struct setup *x = setup_create(0, 3, 100);
	struct submission *s[3] = { submit(x, "a b"), submit(x, "c d e f g"), submit(x, "h") };

	EXPECT_OK(drain(x));
	EXPECT_EQ(x->fake.commits, 2);
	EXPECT_EQ(x->fake.sizes[0], 7u);
	EXPECT_EQ(x->fake.sizes[1], 1u);
	for (int i = 0; i < 3; i++)
		EXPECT_CODE(take_outcome(s[i]), 0);
	setup_destroy(x);
}

/* ---- how long a batch waits; in virtual time ---- */

static int linger_scenario(struct setup *x)
{
	struct submission *s[4];
	int64_t began = tt_now();

	TT_GROUP(g);
	tt_go(&g, batcher_run, &x->b);
	s[0] = submit(x, "a");
	TT_TRY_IN(&g, tt_sleep(TT_MS(40)));
	s[1] = submit(x, "b");
	TT_TRY_IN(&g, tt_sleep(TT_MS(50)));
	s[2] = submit(x, "c");
	EXPECT_CODE(take_outcome(s[0]), 0);
	EXPECT_GE(tt_now() - began, TT_MS(100));
	EXPECT_LT(tt_now() - began, TT_MS(110));
	EXPECT_CODE(take_outcome(s[1]), 0);
	EXPECT_CODE(take_outcome(s[2]), 0);
	EXPECT_EQ(x->fake.commits, 1);
	s[3] = submit(x, "d");
	EXPECT_CODE(take_outcome(s[3]), 0);
	EXPECT_GE(tt_now() - began, TT_MS(200));
	EXPECT_EQ(x->fake.commits, 2);
	tt_chan_close(&x->b.queue);
	return tt_group_end(&g, 0);
}

/* The first event of a batch waits so long for others; a later one does not prolong it. */
TT_TEST_ON(batcher, a_batch_lingers_from_its_first_event, TT_ON_SIM, "measures virtual time")
{
	struct setup *x = setup_create(TT_MS(100), 100, 100);

	EXPECT_OK(linger_scenario(x));
	EXPECT_EQ(x->fake.sizes[0], 3u);
	setup_destroy(x);
}

static int full_batch_scenario(struct setup *x)
{
	struct submission *s[2];
	int64_t began = tt_now();

	TT_GROUP(g);
	tt_go(&g, batcher_run, &x->b);
	s[0] = submit(x, "a");
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	EXPECT_EQ(x->fake.commits, 0);
	s[1] = submit(x, "b");
	EXPECT_CODE(take_outcome(s[0]), 0);
	EXPECT_CODE(take_outcome(s[1]), 0);
	EXPECT_LT(tt_now() - began, TT_SEC(1));
	tt_chan_close(&x->b.queue);
	return tt_group_end(&g, 0);
}

/* A batch that is full is committed at once. */
TT_TEST_ON(batcher, a_full_batch_does_not_linger, TT_ON_SIM, "measures virtual time")
{
	struct setup *x = setup_create(TT_SEC(10), 2, 100);

	EXPECT_OK(full_batch_scenario(x));
	EXPECT_EQ(x->fake.commits, 1);
	setup_destroy(x);
}

static int closed_scenario(struct setup *x)
{
	struct submission *s;
	int64_t began = tt_now();

	TT_GROUP(g);
	tt_go(&g, batcher_run, &x->b);
	s = submit(x, "a");
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	EXPECT_EQ(x->fake.commits, 0);
	tt_chan_close(&x->b.queue);
	EXPECT_CODE(take_outcome(s), 0);
	EXPECT_LT(tt_now() - began, TT_SEC(1));
	return tt_group_end(&g, 0);
}

/* When the queue is closed nobody else will come: the batch that lingers is committed. */
TT_TEST_ON(batcher, a_close_ends_the_linger, TT_ON_SIM, "measures virtual time")
{
	struct setup *x = setup_create(TT_SEC(10), 100, 100);

	EXPECT_OK(closed_scenario(x));
	EXPECT_EQ(x->fake.commits, 1);
	setup_destroy(x);
}

/* ---- the bound of the queue ---- */

/* So many events may wait; a refused submission changes nothing, and commits make room. */
TT_TEST(batcher, the_queue_is_bounded_by_events)
{
	struct setup *x = setup_create(0, 100, 5);
	struct submission *s[2] = { submit(x, "a b c"), submit(x, "d") };

	expect_refused(x, "e f", TT_EAGAIN);
	EXPECT_EQ(free_room(x), 1);
	EXPECT_OK(drain(x));
	EXPECT_EQ(free_room(x), 5);
	EXPECT_EQ(x->fake.n_ids, 4u);
	EXPECT_FALSE(fake_holds(&x->fake, "e"));
	EXPECT_CODE(take_outcome(s[0]), 0);
	EXPECT_CODE(take_outcome(s[1]), 0);
	setup_destroy(x);
}

/* Events that were rejected at the door take no room. */
TT_TEST(batcher, rejected_events_take_no_room)
{
	struct setup *x = setup_create(0, 100, 2);
	struct submission *s = submission_of("{}\n{\"type\":\"t\",\"id\":\"a\"}\n[]\n{\"type\":\"t\",\"id\":\"b\"}\n{}");

	EXPECT_OK(batcher_submit(&x->b, s));
	EXPECT_EQ(free_room(x), 0);
	EXPECT_OK(drain(x));
	EXPECT_EQ(x->fake.sizes[0], 2u);
	EXPECT_EQ(free_room(x), 2);
	EXPECT_CODE(take_outcome(s), 0);
	setup_destroy(x);
}

/* After the close a submission is refused, and its room is given back. */
TT_TEST(batcher, a_closed_queue_refuses)
{
	struct setup *x = setup_create(0, 100, 5);

	EXPECT_OK(drain(x));
	expect_refused(x, "a b", TT_ECLOSED);
	EXPECT_EQ(free_room(x), 5);
	EXPECT_EQ(x->fake.commits, 0);
	setup_destroy(x);
}

/* ---- verdicts ---- */

/* Every event of every submission gets its own verdict, whatever stands between them. */
TT_TEST(batcher, verdicts_reach_their_events)
{
	struct setup *x = setup_create(0, 100, 100);
	struct submission *first = submission_of("{\"type\":\"t\",\"id\":\"a\"}\n{}\n{\"type\":\"bad\",\"id\":\"b\"}\n");
	struct submission *second = submission_of("[]\n{\"type\":\"t\",\"id\":\"a\"}\n{\"type\":\"t\",\"id\":\"c\"}\n");
	struct submission *third = submission_with("c d");

	EXPECT_OK(batcher_submit(&x->b, first));
	EXPECT_OK(batcher_submit(&x->b, second));
	EXPECT_OK(batcher_submit(&x->b, third));
	EXPECT_OK(drain(x));
	EXPECT_EQ(x->fake.commits, 1);
	EXPECT_EQ(first->verdicts[0], STORE_ACCEPTED);
	EXPECT_EQ(first->verdicts[1], STORE_PENDING);
	EXPECT_EQ(first->verdicts[2], STORE_REJECTED);
	EXPECT_STR_EQ(first->reasons[2], "the fake does not like it");
	EXPECT_TRUE(first->reasons[0] == NULL);
	EXPECT_EQ(second->verdicts[0], STORE_PENDING);
	EXPECT_EQ(second->verdicts[1], STORE_DUPLICATE);
	EXPECT_EQ(second->verdicts[2], STORE_ACCEPTED);
	EXPECT_EQ(third->verdicts[0], STORE_DUPLICATE);
	EXPECT_EQ(third->verdicts[1], STORE_ACCEPTED);
	EXPECT_CODE(take_outcome(first), 0);
	EXPECT_CODE(take_outcome(second), 0);
	EXPECT_CODE(take_outcome(third), 0);
	setup_destroy(x);
}

/* ---- failures ---- */

/* A commit that fails fails the whole of its batch and nothing else. */
TT_TEST(batcher, a_failed_commit_fails_its_batch_only)
{
	struct setup *x = setup_create(0, 2, 100);
	struct submission *s[6];

	x->fake.fail_at = 2;
	x->fake.code = TT_EIO;
	for (int i = 0; i < 6; i++)
		s[i] = submit(x, (const char *[]){ "a", "b", "c", "d", "e", "f" }[i]);
	EXPECT_OK(drain(x));
	EXPECT_EQ(x->fake.commits, 3);
	EXPECT_EQ(s[2]->verdicts[0], STORE_PENDING);
	EXPECT_EQ(s[3]->verdicts[0], STORE_PENDING);
	for (int i = 0; i < 6; i++)
		EXPECT_CODE(take_outcome(s[i]), i == 2 || i == 3 ? TT_EIO : 0);
	EXPECT_FALSE(fake_holds(&x->fake, "c"));
	EXPECT_TRUE(fake_holds(&x->fake, "f"));
	EXPECT_EQ(free_room(x), 100);
	EXPECT_EQ(batcher_last_rc(&x->b), 0);
	setup_destroy(x);
}

/* The last failure is remembered, for readiness; a verdict in doubt is passed on as such. */
TT_TEST(batcher, the_last_failure_is_known)
{
	struct setup *x = setup_create(0, 1, 100);
	struct submission *s[2] = { submit(x, "a"), submit(x, "b") };

	EXPECT_EQ(batcher_last_rc(&x->b), 0);
	x->fake.fail_at = 2;
	x->fake.code = STORE_EUNKNOWN;
	EXPECT_OK(drain(x));
	EXPECT_EQ(batcher_last_rc(&x->b), STORE_EUNKNOWN);
	EXPECT_CODE(take_outcome(s[0]), 0);
	EXPECT_EQ(take_outcome(s[1]), STORE_EUNKNOWN);
	setup_destroy(x);
}

/* A request that gave up leaves its events in the batch, and the others their verdicts. */
TT_TEST(batcher, a_request_that_gave_up_changes_nothing)
{
	struct setup *x = setup_create(0, 100, 100);
	struct submission *s[3] = { submit(x, "a"), submit(x, "b"), submit(x, "b c") };

	submission_put(s[1]);
	EXPECT_OK(drain(x));
	EXPECT_EQ(x->fake.commits, 1);
	EXPECT_EQ(x->fake.sizes[0], 4u);
	EXPECT_EQ(s[2]->verdicts[0], STORE_DUPLICATE);
	EXPECT_EQ(s[2]->verdicts[1], STORE_ACCEPTED);
	EXPECT_CODE(take_outcome(s[0]), 0);
	EXPECT_CODE(take_outcome(s[2]), 0);
	EXPECT_EQ(free_room(x), 100);
	setup_destroy(x);
}

/* ---- the end ---- */

/* A close drains: everything that was submitted before it is committed. */
TT_TEST(batcher, a_close_drains)
{
	struct setup *x = setup_create(TT_MS(1), 7, 1000);
	struct submission *s[50];
	char id[16];

	for (int i = 0; i < 50; i++) {
		snprintf(id, sizeof(id), "%d", i);
		s[i] = submit(x, id);
	}
	EXPECT_OK(drain(x));
	for (int i = 0; i < 50; i++)
		EXPECT_CODE(take_outcome(s[i]), 0);
	EXPECT_EQ(x->fake.n_ids, 50u);
	EXPECT_EQ(x->fake.commits, 8);
	EXPECT_EQ(free_room(x), 1000);
	setup_destroy(x);
}

static int cancel_scenario(struct setup *x, struct submission **s)
{
	TT_GROUP(g);
	tt_go(&g, batcher_run, &x->b);
	s[0] = submit(x, "lingers");
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_group_cancel(&g);
	/* The batcher has this worker, so it sees these only after the cancel. */
	s[1] = submit(x, "late");
	s[2] = submit(x, "later");
	return tt_group_end(&g, 0);
}

/* A cancel stores nothing more, and tells it to everybody who waits. */
TT_TEST(batcher, a_cancel_refuses_the_rest)
{
	struct setup *x = setup_create(TT_HOUR(1), 100, 100);
	struct submission *s[3];

	EXPECT_OK(cancel_scenario(x, s));
	for (int i = 0; i < 3; i++)
		EXPECT_CODE(take_outcome(s[i]), TT_ECANCELED);
	EXPECT_EQ(x->fake.commits, 0);
	EXPECT_EQ(free_room(x), 100);
	expect_refused(x, "after", TT_ECLOSED);
	setup_destroy(x);
}

/* ---- all together ---- */

enum { PRODUCERS = 8, ROUNDS = 25 };

/* Submits until there is room, and waits for the verdict or, every third time, not. */
static TT_TASK(produce, (struct setup *, x), (int, me))
{
	char id[16];

	for (int i = 0; i < ROUNDS; i++) {
		struct submission *s;
		int rc;

		snprintf(id, sizeof(id), "%d-%d", me, i);
		s = submission_with(id);
		while ((rc = batcher_submit(&x->b, s)) == TT_EAGAIN) {
			submission_put(s);
			TT_TRY(tt_sleep(TT_MS(1)));
			s = submission_with(id);
		}
		EXPECT_OK(rc);
		if (i % 3 == 0)
			submission_put(s);
		else
			EXPECT_CODE(take_outcome(s), 0);
	}
	return 0;
}

static int producers(struct setup *x)
{
	TT_GROUP(g);
	for (int i = 0; i < PRODUCERS; i++)
		tt_go_with(&g, &anywhere, produce, x, i);
	return tt_group_end(&g, 0);
}

static int many_scenario(struct setup *x)
{
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, batcher_run, &x->b);
	TT_TRY_IN(&g, producers(x));
	tt_chan_close(&x->b.queue);
	return tt_group_end(&g, 0);
}

/* Producers on every worker, a small queue, and some who do not wait: all is stored once. */
TT_TEST(batcher, many_producers_lose_nothing)
{
	struct setup *x = setup_create(TT_MS(1), 5, 6);

	EXPECT_OK(many_scenario(x));
	EXPECT_EQ(x->fake.n_ids, (size_t)PRODUCERS * ROUNDS);
	EXPECT_EQ(free_room(x), 6);
	setup_destroy(x);
}

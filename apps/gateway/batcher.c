/* SPDX-License-Identifier: MIT */
/* batcher.c - gathering and committing; see batcher.h. */
#include "batcher.h"

#include <stdlib.h>

#define GATHER_MAX 1024 /* submissions in one transaction */

void (*batcher_crash_hook)(const char *point);

/* ---- submissions ---- */

struct submission *submission_create(void)
{
	struct submission *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	event_batch_init(&s->batch);
	tt_notify_init(&s->settled);
	s->owners = 1;
	return s;
}

void submission_put(struct submission *s)
{
	/* acq_rel: pairs with itself; the last owner sees what the other wrote. */
	if (__atomic_sub_fetch(&s->owners, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	event_batch_fini(&s->batch);
	tt_notify_fini(&s->settled);
	free(s->verdicts);
	free(s->reasons);
	free(s);
}

int batcher_submit(struct batcher *b, struct submission *s)
{
	unsigned n = (unsigned)s->batch.pending;
	int rc;

	s->verdicts = calloc(s->batch.count, sizeof(*s->verdicts));
	s->reasons = calloc(s->batch.count, sizeof(*s->reasons));
	if (s->verdicts == NULL || s->reasons == NULL)
		return TT_ENOMEM;
	rc = tt_semaphore_try_acquire(&b->queue_room, n);
	if (rc < 0)
		return rc;
	/* relaxed: the channel's lock hands it over. */
	__atomic_add_fetch(&s->owners, 1, __ATOMIC_RELAXED);
	/* There is a place in the channel for every permit of the queue. */
	rc = tt_try_send(&b->queue, &s);
	if (rc < 0) {
		tt_semaphore_release(&b->queue_room, n);
		submission_put(s);
	}
	return rc;
}

static void settle(struct batcher *b, struct submission *s, int outcome)
{
	s->outcome = outcome;
	tt_semaphore_release(&b->queue_room, (unsigned)s->batch.pending);
	tt_notify_one(&s->settled);
	submission_put(s);
}

/* ---- one transaction ---- */

/* All arrays have one element per event that is committed. */
struct commit {
	struct batcher      *batcher;
	struct submission  **from;      /* gathered submissions */
	size_t               n_from, n;
	struct store_event  *events;
	struct store_event **pointers;
	enum store_verdict  *verdicts;
};

static void fill_event(struct store_event *e, const struct event_batch *b, const struct event *in)
{
	*e = (struct store_event){
		.id = event_text(b, in->id),
		.id_len = in->id.len,
		.type = event_text(b, in->type),
		.type_len = in->type.len,
		.ts = event_text(b, in->ts),
		.ts_len = in->ts.len,
		.tenant = in->tenant.at != 0 ? event_text(b, in->tenant) : NULL,
		.tenant_len = in->tenant.len,
		.props = event_text(b, in->props),
		.props_len = in->props.len,
		.received_at = b->received_at,
		.received_at_len = strlen(b->received_at),
	};
}

static int commit_prepare(struct commit *c)
{
	size_t total = 0;

	for (size_t i = 0; i < c->n_from; i++)
		total += c->from[i]->batch.pending;
	c->events = calloc(total, sizeof(*c->events));
	c->pointers = calloc(total, sizeof(struct store_event *));
	c->verdicts = calloc(total, sizeof(*c->verdicts));
	if (c->events == NULL || c->pointers == NULL || c->verdicts == NULL)
		return TT_ENOMEM;
	for (size_t i = 0; i < c->n_from; i++) {
		const struct event_batch *b = &c->from[i]->batch;

		for (size_t k = 0; k < b->count; k++) {
			if (b->events[k].verdict != EVENT_PENDING)
				continue;
			fill_event(&c->events[c->n], b, &b->events[k]);
			c->pointers[c->n] = &c->events[c->n];
			c->n++;
		}
	}
	return 0;
}

static void commit_release(struct commit *c)
{
	free(c->events);
	free(c->pointers);
	free(c->verdicts);
}

static void hand_out_verdicts(struct commit *c)
{
	size_t at = 0;

	for (size_t i = 0; i < c->n_from; i++) {
		struct submission *s = c->from[i];

		for (size_t k = 0; k < s->batch.count; k++) {
			if (s->batch.events[k].verdict != EVENT_PENDING)
				continue;
			s->verdicts[k] = c->verdicts[at];
			s->reasons[k] = c->events[at].reason;
			at++;
		}
	}
}

/* On a thread of the blocking pool; commits follow one another, so the store has one user
 * at a time. */
TT_TASK(commit_job, (struct commit *, c))
{
	struct batcher *b = c->batcher;

	return store_commit(b->store, c->pointers, c->n, c->verdicts, b->error, sizeof(b->error));
}

static void note_outcome(struct batcher *b, int rc)
{
	/* relaxed: this task alone writes it. */
	int before = __atomic_load_n(&b->last_rc, __ATOMIC_RELAXED);

	if (rc < 0 && rc != before)
		fprintf(stderr, "tutti-gateway: store: %s\n", rc == TT_ECANCELED ? "stopped before the commit" : b->error);
	else if (rc == 0 && before < 0)
		fprintf(stderr, "tutti-gateway: store: works again\n");
	/* relaxed: /readyz may be a moment late. */
	__atomic_store_n(&b->last_rc, rc, __ATOMIC_RELAXED);
}

static int commit_all(struct batcher *b, struct submission **from, size_t n_from)
{
	struct commit c = { .batcher = b, .from = from, .n_from = n_from };
	int rc = commit_prepare(&c);

	snprintf(b->error, sizeof(b->error), "%s", tt_strerror(rc));
	if (rc == 0)
		rc = tt_blocking(commit_job, &c);
	if (rc == 0)
		hand_out_verdicts(&c);
	note_outcome(b, rc);
	if (batcher_crash_hook != NULL)
		batcher_crash_hook("before_ack");
	for (size_t i = 0; i < n_from; i++)
		settle(b, from[i], rc);
	commit_release(&c);
	return rc;
}

/* ---- gathering ---- */

/* The first submission, and what else comes before the batch is full or the linger is
 * over. While a commit runs the queue fills by itself, so under load nothing lingers.
 * Returns how many, 0 closed and empty, or a code (and then none were taken). */
static int gather(struct batcher *b, struct submission **into)
{
	int64_t until;
	size_t events;
	int n, rc;

	rc = tt_recv(&b->queue, &into[0]);
	if (rc <= 0)
		return rc;
	until = tt_now() + b->config->linger;
	events = into[0]->batch.pending;
	for (n = 1; n < GATHER_MAX && events < b->config->batch_events; n++) {
		rc = tt_try_recv(&b->queue, &into[n]);
		if (rc == TT_EAGAIN && tt_now() < until)
			rc = TT_WITHIN(until - tt_now(), tt_recv(&b->queue, &into[n]));
		if (rc <= 0)
			break;
		events += into[n]->batch.pending;
	}
	return n;
}

/* After a hard cancel: whoever still waits learns that nothing was stored. */
static void refuse_the_rest(struct batcher *b)
{
	struct submission *s;

	while (tt_try_recv(&b->queue, &s) == 1)
		settle(b, s, TT_ECANCELED);
}

int batcher_run(struct batcher *b)
{
	struct submission *gathered[GATHER_MAX];
	int n;

	while ((n = gather(b, gathered)) > 0)
		TT_IGNORE(commit_all(b, gathered, (size_t)n));
	tt_chan_close(&b->queue);
	refuse_the_rest(b);
	return n;
}

/* ---- life ---- */

int batcher_init(struct batcher *b, const struct config *c, struct store *store)
{
	*b = (struct batcher){ .config = c, .store = store };
	tt_semaphore_init(&b->queue_room, c->queue_events);
	return tt_chan_init(&b->queue, c->queue_events);
}

void batcher_fini(struct batcher *b)
{
	tt_chan_fini(&b->queue);
	tt_semaphore_fini(&b->queue_room);
}

int batcher_last_rc(const struct batcher *b)
{
	/* relaxed: see note_outcome(). */
	return __atomic_load_n(&b->last_rc, __ATOMIC_RELAXED);
}

/* SPDX-License-Identifier: MIT */
/*
 * batcher.h - from many requests to few transactions: a bounded queue of submissions, one
 * task that gathers them, one commit at a time.
 *
 * Who calls it: ingest_http.c submits and waits, main.c starts and drains.
 *
 * Invariants  A submission has two owners, the request and the batcher; the last one frees
 *             it. Its batch is read by both and written by none once it is submitted; the
 *             batcher writes verdicts, and the request reads them after it was told.
 *             queue_room counts the events that are submitted and not yet settled: its
 *             permits bound the queue's memory, whatever the sizes of requests.
 */
#ifndef GATEWAY_BATCHER_H
#define GATEWAY_BATCHER_H

#include <tutti/tutti.h>

#include "config.h"
#include "event.h"
#include "store.h"

struct submission {
	struct event_batch batch;
	enum store_verdict *verdicts;  /* one per event; sound ones are set when outcome is 0 */
	const char        **reasons;   /* static texts; of rejected ones */
	int                 outcome;   /* 0, or why the store failed; STORE_EUNKNOWN: perhaps stored */
	tt_notify           settled;   /* verdicts and outcome are written */
	int                 owners;    /* atomic */
};

TT_CHAN_TYPE(submission_chan, struct submission *);

struct batcher {
	const struct config *config;
	struct store        *store;      /* one commit at a time */
	submission_chan      queue;
	tt_semaphore         queue_room; /* events */
	int                  last_rc;    /* atomic: how the last commit went, for /readyz */
	char                 error[256]; /* the batcher's task only */
};

int  batcher_init(struct batcher *b, const struct config *c, struct store *store);
void batcher_fini(struct batcher *b);

/* Gathers and commits until the queue is closed and empty. */
TT_TASK_DECLARE(batcher_run, (struct batcher *, b));

/* An empty submission, or NULL when out of memory. */
struct submission *submission_create(void);
void submission_put(struct submission *s);

/*
 * batcher_submit - hand a parsed batch over. It takes a share in s.
 *
 * Blocks     no
 * Returns    0
 * Errors     -EAGAIN: the queue is full; TT_ECLOSED: stopping; -ENOMEM
 */
int batcher_submit(struct batcher *b, struct submission *s);

/* How the last commit went: 0, or the store's code. */
int batcher_last_rc(const struct batcher *b);

/* Tests only: called at named points, see store_crash_hook. */
extern void (*batcher_crash_hook)(const char *point);

#endif

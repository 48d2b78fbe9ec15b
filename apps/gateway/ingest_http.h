/* SPDX-License-Identifier: MIT */
/*
 * ingest_http.h - the HTTP door: routes, answers, and the task of one connection.
 *
 * Who calls it: main.c, which accepts and spawns serve_connection.
 */
#ifndef GATEWAY_INGEST_HTTP_H
#define GATEWAY_INGEST_HTTP_H

#include <tutti/tutti.h>

#include "batcher.h"
#include "config.h"
#include "event.h"

/* What a request needs of the worker it runs on; used between two parks, so without a lock. */
struct ingest_worker {
	struct event_json *json;
	struct event_ids   ids;
};

struct ingest {
	const struct config  *config;
	struct batcher       *batcher;
	struct store         *reader;      /* a second, read-only connection */
	tt_mutex              reader_lock; /* one find at a time */
	struct ingest_worker *workers;     /* by tt_worker_index() */
	int                   n_workers;
};

int  ingest_init(struct ingest *in, const struct config *c, struct batcher *b, struct store *reader);
void ingest_fini(struct ingest *in);

/* Serves one connection to its end and closes it. */
TT_TASK_DECLARE(serve_connection, (struct ingest *, in), (tt_fd *, conn, tt_fd_close));

#endif

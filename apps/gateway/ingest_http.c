/* SPDX-License-Identifier: MIT */
/* ingest_http.c - routes and answers; see ingest_http.h. */
#include "ingest_http.h"

#include <stdlib.h>
#include <unistd.h>

#include <tutti/ext/http.h>

#define ANSWER_MAX (16u << 20) /* bytes: 1,000 results of the longest ids and errors */

/* ---- answers ---- */

static int answer_out(tt_http_response *res, int status, struct event_out *o, int rc)
{
	if (rc < 0) {
		event_out_fini(o);
		return rc;
	}
	res->status = status;
	tt_http_set_body(res, "application/json", o->at, o->len, free);
	return 0;
}

static int answer_error(tt_http_response *res, int status, const char *text)
{
	struct event_out o;

	event_out_init(&o, ANSWER_MAX);
	return answer_out(res, status, &o, event_answer_error(&o, text));
}

static int answer_later(tt_http_response *res, const char *text)
{
	int rc = tt_http_add_header(res, "Retry-After", "1");

	return rc < 0 ? rc : answer_error(res, 503, text);
}

static int answer_results(tt_http_response *res, int status, const struct event_batch *b)
{
	struct event_out o;

	event_out_init(&o, ANSWER_MAX);
	return answer_out(res, status, &o, event_answer(&o, b));
}

static int answer_method(tt_http_response *res, const char *allow)
{
	int rc = tt_http_add_header(res, "Allow", allow);

	return rc < 0 ? rc : answer_error(res, 405, "method not allowed");
}

/* ---- POST /v1/events ---- */

/* The verdict did not come, or may be either: every event without one is "unknown". */
static int answer_unknown(tt_http_response *res, const struct submission *s)
{
	int rc = tt_http_add_header(res, "Retry-After", "1");

	return rc < 0 ? rc : answer_results(res, 503, &s->batch);
}

static void copy_verdicts(struct submission *s)
{
	static const enum event_verdict as_event[] = {
		[STORE_PENDING] = EVENT_PENDING,
		[STORE_ACCEPTED] = EVENT_ACCEPTED,
		[STORE_DUPLICATE] = EVENT_DUPLICATE,
		[STORE_REJECTED] = EVENT_REJECTED,
	};

	for (size_t i = 0; i < s->batch.count; i++)
		if (s->batch.events[i].verdict == EVENT_PENDING)
			/* Without room for its reason an event still has its verdict. */
			TT_IGNORE(event_set_verdict(&s->batch, i, as_event[s->verdicts[i]], s->reasons[i]));
}

static bool any_stored(const struct event_batch *b)
{
	for (size_t i = 0; i < b->count; i++)
		if (b->events[i].verdict == EVENT_ACCEPTED || b->events[i].verdict == EVENT_DUPLICATE)
			return true;
	return b->count == 0;
}

static int answer_settled(tt_http_response *res, struct submission *s)
{
	if (s->outcome == STORE_EUNKNOWN)
		return answer_unknown(res, s);
	if (s->outcome < 0)
		return answer_later(res, "the store failed; nothing of this request was stored");
	copy_verdicts(s);
	return answer_results(res, any_stored(&s->batch) ? 200 : 422, &s->batch);
}

static int submit_and_wait(struct ingest *in, struct submission *s, tt_http_response *res)
{
	int rc = batcher_submit(in->batcher, s);

	if (rc == TT_EAGAIN)
		return answer_later(res, "the queue is full; nothing of this request was stored");
	if (rc == TT_ECLOSED)
		return answer_later(res, "stopping; nothing of this request was stored");
	if (rc < 0)
		return answer_later(res, "out of memory; nothing of this request was stored");
	rc = TT_WITHIN(in->config->deadline, tt_notify_wait(&s->settled));
	if (rc == TT_ETIMEDOUT)
		return answer_unknown(res, s);
	return rc < 0 ? rc : answer_settled(res, s);
}

/* Nothing in here parks, so the worker's parser and id generator are this request's. */
static int parse(struct ingest *in, tt_http_request *req, struct event_batch *b, struct event_refusal *refusal)
{
	struct ingest_worker *w = &in->workers[tt_worker_index()];
	const tt_http_text *type = tt_http_header(req, "Content-Type");
	struct event_limits limits = { .events_max = in->config->events_max };
	struct event_input input = {
		.content_type = type != NULL ? type->at : NULL,
		.content_type_len = type != NULL ? type->len : 0,
		.body = req->body.at,
		.body_len = req->body.len,
		.now_ns = tt_wall(),
		.ids = &w->ids,
		.limits = &limits,
	};

	return event_parse_body(w->json, &input, b, refusal);
}

static int take_events(struct ingest *in, tt_http_request *req, tt_http_response *res, struct submission *s)
{
	struct event_refusal refusal;

	if (parse(in, req, &s->batch, &refusal) < 0) {
		if (refusal.status == 503)
			return answer_later(res, refusal.text);
		return answer_error(res, refusal.status, refusal.text);
	}
	if (s->batch.pending == 0)
		return answer_results(res, s->batch.count > 0 ? 422 : 200, &s->batch);
	return submit_and_wait(in, s, res);
}

static int post_events(struct ingest *in, tt_http_request *req, tt_http_response *res)
{
	struct submission *s = submission_create();
	int rc;

	if (s == NULL)
		return answer_later(res, "out of memory; nothing of this request was stored");
	rc = take_events(in, req, res, s);
	submission_put(s);
	return rc;
}

/* ---- GET /v1/events/{id} ---- */

struct find {
	struct store      *reader;
	char               id[EVENT_ID_MAX];
	size_t             id_len;
	struct store_found found;
	char               error[256];
};

TT_TASK(find_job, (struct find *, f))
{
	return store_find(f->reader, f->id, f->id_len, &f->found, f->error, sizeof(f->error));
}

static void put_member(struct event_out *o, const char *name, const char *text, size_t len)
{
	event_out_text(o, name);
	if (text != NULL)
		event_out_string(o, text, len);
	else
		event_out_text(o, "null");
}

static int answer_event(tt_http_response *res, const struct store_event *e)
{
	struct event_out o;

	event_out_init(&o, ANSWER_MAX);
	put_member(&o, "{\"id\":", e->id, e->id_len);
	put_member(&o, ",\"type\":", e->type, e->type_len);
	put_member(&o, ",\"ts\":", e->ts, e->ts_len);
	put_member(&o, ",\"tenant\":", e->tenant, e->tenant_len);
	event_out_text(&o, ",\"props\":");
	event_out_add(&o, e->props, e->props_len);
	put_member(&o, ",\"received_at\":", e->received_at, e->received_at_len);
	event_out_text(&o, "}");
	return answer_out(res, 200, &o, o.rc);
}

static int find_locked(struct ingest *in, struct find *f)
{
	TT_TRY(tt_mutex_lock(&in->reader_lock));
	f->reader = in->reader;
	int rc = tt_blocking(find_job, f);
	tt_mutex_unlock(&in->reader_lock);
	return rc;
}

static int get_event(struct ingest *in, tt_http_text id, tt_http_response *res)
{
	struct find f = { .found = { .block = NULL } };
	int rc = tt_http_decode(id, f.id, sizeof(f.id));

	if (rc == 0)
		return answer_error(res, 404, "an event's id is missing in the path");
	if (rc < 0)
		return answer_error(res, rc == TT_EMSGSIZE ? 404 : 400,
		                    rc == TT_EMSGSIZE ? "no such event" : "the id in the path is not well escaped");
	f.id_len = (size_t)rc;
	rc = TT_WITHIN(in->config->deadline, find_locked(in, &f));
	if (rc == 1) {
		rc = answer_event(res, &f.found.event);
		store_found_fini(&f.found);
		return rc;
	}
	if (rc == 0)
		return answer_error(res, 404, "no such event");
	return rc == TT_ECANCELED ? rc : answer_later(res, "the store does not answer");
}

/* ---- health ---- */

static int get_ready(struct ingest *in, tt_http_response *res)
{
	if (tt_stopping())
		return answer_later(res, "stopping");
	if (batcher_last_rc(in->batcher) < 0)
		return answer_later(res, "the last commit failed");
	tt_http_set_body(res, "application/json", "{\"status\":\"ready\"}", 18, NULL);
	return 0;
}

static int get_health(tt_http_response *res)
{
	tt_http_set_body(res, "application/json", "{\"status\":\"ok\"}", 15, NULL);
	return 0;
}

/* ---- routes ---- */

static bool is_get(const tt_http_request *req)
{
	return req->method == TT_HTTP_GET || req->method == TT_HTTP_HEAD;
}

static bool path_is(const tt_http_request *req, const char *path)
{
	return req->path.len == strlen(path) && memcmp(req->path.at, path, req->path.len) == 0;
}

static bool path_below(const tt_http_request *req, const char *prefix, tt_http_text *ret_rest)
{
	size_t len = strlen(prefix);

	if (req->path.len < len || memcmp(req->path.at, prefix, len) != 0)
		return false;
	*ret_rest = (tt_http_text){ req->path.at + len, req->path.len - len };
	return true;
}

static int route(tt_http_request *req, tt_http_response *res, void *ctx)
{
	struct ingest *in = ctx;
	tt_http_text id;

	if (path_is(req, "/v1/events"))
		return req->method == TT_HTTP_POST ? post_events(in, req, res) : answer_method(res, "POST");
	if (path_below(req, "/v1/events/", &id))
		return is_get(req) ? get_event(in, id, res) : answer_method(res, "GET, HEAD");
	if (path_is(req, "/healthz"))
		return is_get(req) ? get_health(res) : answer_method(res, "GET, HEAD");
	if (path_is(req, "/readyz"))
		return is_get(req) ? get_ready(in, res) : answer_method(res, "GET, HEAD");
	return answer_error(res, 404, "no such path");
}

int serve_connection(struct ingest *in, tt_fd *conn)
{
	tt_http_options o = {
		.body_max = in->config->body_max,
		.head_timeout = in->config->head_timeout,
		.idle_timeout = in->config->idle_timeout,
	};
	int rc = tt_http_serve(conn, &o, route, in);

	tt_fd_close(conn);
	/* A peer that went away is no failure of ours. */
	return rc == TT_ECANCELED ? rc : 0;
}

/* ---- life ---- */

static int entropy(void *ctx, void *buf, size_t n)
{
	(void)ctx;
	return getentropy(buf, n) == 0 ? 0 : TT_EIO;
}

int ingest_init(struct ingest *in, const struct config *c, struct batcher *b, struct store *reader)
{
	*in = (struct ingest){ .config = c, .batcher = b, .reader = reader };
	tt_mutex_init(&in->reader_lock);
	in->workers = calloc((size_t)tt_worker_count(), sizeof(*in->workers));
	if (in->workers == NULL)
		return TT_ENOMEM;
	for (; in->n_workers < tt_worker_count(); in->n_workers++) {
		struct ingest_worker *w = &in->workers[in->n_workers];

		event_ids_init(&w->ids, entropy, NULL);
		TT_TRY(event_json_create(&w->json));
	}
	return 0;
}

void ingest_fini(struct ingest *in)
{
	for (int i = 0; i < in->n_workers; i++)
		event_json_destroy(in->workers[i].json);
	free(in->workers);
	tt_mutex_fini(&in->reader_lock);
}

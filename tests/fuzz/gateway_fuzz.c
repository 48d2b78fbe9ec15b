/* SPDX-License-Identifier: MIT */
/*
 * gateway_fuzz.c - fuzz target, stateful: the gateway's door, batcher and routes in the simulator,
 * with several clients, a store in memory that fails, a stop or a cancel in the middle.
 *
 * Who calls it: see fuzz.h.    fuzz-needs: tutti_gateway_core
 *
 * The input: modes (enum mode), a seed, limits (see set_config()), how the commits go, the
 * choices of the schedule, then one script a client, each ended by 0xff (see step()).
 *
 * Claims  An event that a client was told is accepted is in the store, once, and with what this
 *         request said of it; nobody else was told so. One called a duplicate is in the store.
 *         Of a request that was refused ("nothing of this request was stored") nothing is there.
 *         What was acknowledged to a client is found by its next request.
 *         Without a stop and without faults of the network each request gets one answer, but for those
 *         sent behind one whose body is too large: that answer says that it is the last.
 *         At the end the queue has all its room; no task, descriptor or memory is left.
 */
#include <tutti/ext/http.h>
#include <tutti/testing.h>
#include <tutti/tutti.h>

#include "batcher.h"
#include "fuzz.h"
#include "ingest_http.h"
#include "scope/scope.h"
#include "task/task.h"

enum { CLIENTS_MAX = 3, STEPS_MAX = 40, AT_ONCE_MAX = 4, ROWS_MAX = 512, CHOICES_MAX = 64, COMMITS_MAX = 32 };
enum { ID_SIZE = 48, TYPE_SIZE = 24, TEXT_SIZE = 4096, EVENTS_MAX = 4 };

enum mode {
	FAULTS = 3,          /* 0 none, 1 gentle, 2 and 3 of the network */
	STOPPED = 4,         /* softly, in the middle */
	CANCELLED = 8,       /* hard, in the middle */
	IMPATIENT = 16,      /* verdicts have 10 ms, requests little more */
	SCHEDULED = 32       /* the choices come from the input, not from the seed */
};

/* ---- what is known of events ---- */

struct event_sent {
	char id[ID_SIZE];        /* "": the gateway makes one */
	char type[TYPE_SIZE];    /* of this event alone */
	bool shared;             /* others use this id too */
	bool broken;             /* must be rejected before the store sees it */
};

struct request {
	bool find;               /* GET of ev[0] */
	bool must_be_found;
	size_t n;
	struct event_sent ev[EVENTS_MAX];
};

enum fate { ACCEPTED, DUPLICATE, REFUSED };

/* What a client was told; compared with the store at the end. */
struct told {
	enum fate fate;
	char id[ID_SIZE], type[TYPE_SIZE];
};

struct world {
	unsigned mode;
	struct config config;
	struct batcher batcher;
	struct ingest ingest;
	struct fake {
		struct store base; /* first */
		struct world *w;
	} writer, reader;
	struct fuzz_input commits;
	struct told rows[ROWS_MAX], told[ROWS_MAX];
	size_t n_rows, n_told;
	int64_t strike;          /* of the stop or the cancel */
	int port;
	tt_notify clients_done;
	struct fuzz_input scripts;
};

static bool is_calm(const struct world *w)
{
	return (w->mode & FAULTS) < 2 && !(w->mode & (STOPPED | CANCELLED | IMPATIENT));
}

/* ---- the store ---- */

static struct told *row_of(struct world *w, const char *id, size_t len)
{
	for (size_t i = 0; i < w->n_rows; i++)
		if (strlen(w->rows[i].id) == len && memcmp(w->rows[i].id, id, len) == 0)
			return &w->rows[i];
	return NULL;
}

static enum store_verdict take(struct world *w, struct store_event *e)
{
	struct told *row;

	if (e->type[0] == 'x') {
		e->reason = "no row begins with x";
		return STORE_REJECTED;
	}
	if (row_of(w, e->id, e->id_len) != NULL)
		return STORE_DUPLICATE;
	MUST(w->n_rows < ROWS_MAX && e->id_len < ID_SIZE && e->type_len < TYPE_SIZE);
	row = &w->rows[w->n_rows++];
	memcpy(row->id, e->id, e->id_len + 1);
	memcpy(row->type, e->type, e->type_len + 1);
	return STORE_ACCEPTED;
}

static int fake_commit(struct store *s, struct store_event *const *events, size_t n, enum store_verdict *ret_verdicts,
                       char *ret_error, size_t error_size)
{
	static const int codes[] = { 0, 0, 0, 0, -EBUSY, -ENOSPC, STORE_EUNKNOWN, STORE_EUNKNOWN };
	struct world *w = ((struct fake *)s)->w;
	unsigned how = fuzz_below(&w->commits, 8);

	MUST(n > 0);
	snprintf(ret_error, error_size, "as the input says");
	/* 7: nobody knows, and nothing was stored; 6: nobody knows, and it was. */
	for (size_t i = 0; i < n && (how < 4 || how == 6); i++) {
		enum store_verdict v = take(w, events[i]);

		if (how < 4)
			ret_verdicts[i] = v;
	}
	return codes[how];
}

static int fake_find(struct store *s, const char *id, size_t id_len, struct store_found *ret_found, char *ret_error,
                     size_t error_size)
{
	struct world *w = ((struct fake *)s)->w;
	const struct told *row = row_of(w, id, id_len);
	struct told *copy;

	(void)ret_error;
	(void)error_size;
	if (row == NULL)
		return 0;
	copy = malloc(sizeof(*copy));
	if (copy == NULL)
		return -ENOMEM;
	*copy = *row;
	*ret_found = (struct store_found){
		.event = { .id = copy->id, .id_len = strlen(copy->id), .type = copy->type, .type_len = strlen(copy->type),
		           .ts = "", .props = "{}", .props_len = 2 },
		.block = copy,
	};
	return 1;
}

static const struct store_ops fake_ops = { .scheme = "fake", .commit = fake_commit, .find = fake_find };

/* ---- what a client is told ---- */

static void note(struct world *w, enum fate fate, const char *id, const char *type)
{
	struct told *t = &w->told[w->n_told++];

	MUST(w->n_told < ROWS_MAX);
	t->fate = fate;
	snprintf(t->id, sizeof(t->id), "%s", id);
	snprintf(t->type, sizeof(t->type), "%s", type);
}

static void note_refused(struct world *w, const struct request *r)
{
	for (size_t i = 0; i < r->n; i++)
		if (!r->ev[i].shared && r->ev[i].id[0] != '\0')
			note(w, REFUSED, r->ev[i].id, "");
}

struct words {
	const char *at;
};

static void pass(struct words *t, const char *words)
{
	MUST(strncmp(t->at, words, strlen(words)) == 0);
	t->at += strlen(words);
}

static unsigned long pass_number(struct words *t)
{
	char *end;
	unsigned long n = strtoul(t->at, &end, 10);

	MUST(end > t->at);
	t->at = end;
	return n;
}

/* Up to a quote; ids and states hold nothing that is escaped. */
static void pass_word(struct words *t, char *ret, size_t size)
{
	size_t len = strcspn(t->at, "\"");

	MUST(len < size && t->at[len] == '"');
	memcpy(ret, t->at, len);
	ret[len] = '\0';
	t->at += len + 1;
}

static void check_result(struct world *w, struct words *t, const struct event_sent *e, unsigned long count[3])
{
	char id[ID_SIZE] = "", state[16];

	pass(t, "{\"id\":");
	if (*t->at == '"') {
		t->at++;
		pass_word(t, id, sizeof(id));
	} else {
		pass(t, "null");
	}
	pass(t, ",\"status\":\"");
	pass_word(t, state, sizeof(state));
	/* An error's text may hold anything but an unescaped quote. */
	if (*t->at == ',')
		t->at += strcspn(t->at, "}");
	pass(t, "}");
	MUST(e->id[0] == '\0' || id[0] == '\0' || strcmp(id, e->id) == 0);
	MUST(!e->broken || strcmp(state, "rejected") == 0);
	if (strcmp(state, "accepted") == 0) {
		MUST(id[0] != '\0');
		note(w, ACCEPTED, id, e->type);
		count[0]++;
	} else if (strcmp(state, "duplicate") == 0) {
		MUST(e->id[0] != '\0');
		note(w, DUPLICATE, id, "");
		count[1]++;
	} else if (strcmp(state, "rejected") == 0) {
		MUST(e->broken || e->type[0] == 'x');
		count[2]++;
	} else {
		MUST(strcmp(state, "unknown") == 0);
	}
}

static void check_results(struct world *w, const struct request *r, int status, const char *body)
{
	unsigned long said[3], count[3] = { 0, 0, 0 };
	struct words t = { body };

	pass(&t, "{\"accepted\":");
	said[0] = pass_number(&t);
	pass(&t, ",\"duplicate\":");
	said[1] = pass_number(&t);
	pass(&t, ",\"rejected\":");
	said[2] = pass_number(&t);
	pass(&t, ",\"results\":[");
	for (size_t i = 0; i < r->n; i++) {
		if (i > 0)
			pass(&t, ",");
		check_result(w, &t, &r->ev[i], count);
	}
	pass(&t, "]}");
	MUST(*t.at == '\0' && memcmp(said, count, sizeof(said)) == 0);
	if (status == 200)
		MUST(count[0] + count[1] > 0);
	if (status == 422)
		MUST(count[2] == r->n);
}

static void check_found(const struct request *r, int status, const char *body)
{
	char want[ID_SIZE + 16];

	MUST(status == 200 || status == 404 || status == 503);
	/* An impatient gateway may not find the time to look. */
	MUST(status != 404 || !r->must_be_found);
	snprintf(want, sizeof(want), "{\"id\":\"%s\"", r->ev[0].id);
	if (status == 200)
		MUST(strncmp(body, want, strlen(want)) == 0);
}

static void check_answer(struct world *w, const struct request *r, int status, const char *body)
{
	MUST(status != 500);
	if (status == 408) {
		MUST(!is_calm(w));
		note_refused(w, r);
	} else if (r->find) {
		check_found(r, status, body);
	} else if (strncmp(body, "{\"accepted\"", 11) == 0) {
		MUST(status == 200 || status == 422 || status == 503);
		check_results(w, r, status, body);
	} else {
		MUST(status >= 400);
		note_refused(w, r);
	}
}

/* ---- a client ---- */

struct client {
	struct world *w;
	unsigned index, requests;
	struct fuzz_input script;
	tt_fd *fd;                            /* NULL: not connected */
	bool wild;                            /* it has sent bytes of no known meaning */
	bool ended;                           /* an answer said that it is the last of the connection */
	struct request waiting[AT_ONCE_MAX];  /* not answered yet, in order */
	size_t n_waiting;
	char in[TEXT_SIZE * 4];
	size_t in_len;
};

static void hang_up(struct client *c)
{
	tt_fd_close(c->fd);
	c->fd = NULL;
	c->wild = false;
	c->n_waiting = c->in_len = 0;
}

static int be_connected(struct client *c)
{
	char addr[32];

	if (c->fd != NULL)
		return 0;
	c->ended = false;
	snprintf(addr, sizeof(addr), "127.0.0.1:%d", c->w->port);
	return tt_tcp_connect(addr, NULL, &c->fd);
}

/* One answer out of what has been read; false when it is not whole. */
static bool take_answer(struct client *c)
{
	char *end, *length, *body;
	size_t head, len;
	int status;

	c->in[c->in_len] = '\0';
	end = strstr(c->in, "\r\n\r\n");
	if (end == NULL)
		return false;
	head = (size_t)(end - c->in) + 4;
	MUST(sscanf(c->in, "HTTP/1.1 %d ", &status) == 1);
	length = strstr(c->in, "\r\nContent-Length: ");
	MUST(length != NULL && length < end);
	len = strtoul(length + 18, NULL, 10);
	MUST(head + len < sizeof(c->in));
	if (head + len > c->in_len)
		return false;
	c->ended = memmem(c->in, head, "\r\nConnection: close\r\n", 21) != NULL;
	MUST(!c->ended || status == 413 || !is_calm(c->w));
	body = fuzz_string(fuzz_input_of((const uint8_t *)c->in + head, len));
	check_answer(c->w, &c->waiting[0], status, body);
	free(body);
	c->in_len -= head + len;
	memmove(c->in, c->in + head + len, c->in_len);
	c->n_waiting--;
	memmove(c->waiting, c->waiting + 1, c->n_waiting * sizeof(c->waiting[0]));
	return true;
}

/* Reads until every request is answered, or nothing more will come. */
static int hear_all(struct client *c)
{
	int n = 1;

	while (n > 0 && c->n_waiting > 0) {
		if (!c->wild && take_answer(c))
			continue;
		if (c->wild)
			c->in_len = 0;
		n = tt_read(c->fd, c->in + c->in_len, sizeof(c->in) - 1 - c->in_len);
		c->in_len += n > 0 ? (size_t)n : 0;
	}
	/* A refused request ends its connection; those sent behind it are not answered. */
	if (n <= 0)
		hang_up(c);
	return n < 0 ? n : 0;
}

static int hear(struct client *c)
{
	bool tame = !c->wild;
	size_t before = c->n_waiting;
	int rc = c->fd != NULL ? hear_all(c) : 0;

	if (tame && before > 0 && is_calm(c->w))
		MUST(c->ended || (rc == 0 && c->fd != NULL));
	return rc;
}

/* ---- what it sends ---- */

static const char *shared_ids[] = { "s0", "s1", "s2", "s3" };

static void make_event(struct client *c, struct request *r, uint8_t how)
{
	struct event_sent *e = &r->ev[r->n++];

	*e = (struct event_sent){ .shared = (how & 3) == 1, .broken = (how & 3) == 3 };
	snprintf(e->type, sizeof(e->type), "%c%u.%u.%zu", (how & 12) == 12 ? 'x' : 't', c->index, c->requests, r->n);
	if (e->shared)
		snprintf(e->id, sizeof(e->id), "%s", shared_ids[how >> 4 & 3]);
	else if ((how & 3) == 0 || e->broken)
		snprintf(e->id, sizeof(e->id), "u%u.%u.%zu", c->index, c->requests, r->n);
}

static void write_event(char *text, size_t size, const struct event_sent *e)
{
	size_t len = 0;

	len += (size_t)snprintf(text, size, "{\"type\":\"%s\"", e->type);
	if (e->id[0] != '\0')
		len += (size_t)snprintf(text + len, size - len, ",\"id\":\"%s\"", e->id);
	snprintf(text + len, size - len, "%s}", e->broken ? ",\"props\":7" : "");
}

static void write_body(char *body, size_t size, const struct request *r, bool lines)
{
	size_t len = 0;

	for (size_t i = 0; i < r->n; i++) {
		char event[256];

		write_event(event, sizeof(event), &r->ev[i]);
		len += (size_t)snprintf(body + len, size - len, "%s%s", lines ? (i > 0 ? "\n" : "") : (i > 0 ? "," : "["),
		                        event);
	}
	snprintf(body + len, size - len, "%s", lines ? "\n" : "]");
}

static int send_text(struct client *c, const char *text, unsigned how)
{
	size_t len = strlen(text), first = how % 3 == 0 ? len : len * (how & 15) / 16;

	TT_TRY(tt_write_all(c->fd, text, first, NULL));
	if (first < len && how % 3 == 2)
		TT_TRY(tt_sleep(TT_MS(how)));
	return tt_write_all(c->fd, text + first, len - first, NULL);
}

static int send_request(struct client *c, const struct request *r, const char *text, unsigned how)
{
	if (c->n_waiting == AT_ONCE_MAX)
		TT_TRY(hear(c));
	TT_TRY(be_connected(c));
	c->waiting[c->n_waiting++] = *r;
	TT_TRY(send_text(c, text, how));
	return how & 64 ? 0 : hear(c);
}

static int post(struct client *c, unsigned shape)
{
	struct request r = { .n = 0 };
	char body[TEXT_SIZE / 2], text[TEXT_SIZE];
	bool lines = shape & 1;
	unsigned how = fuzz_byte(&c->script);
	size_t n = 1 + (shape >> 1) % EVENTS_MAX;

	while (r.n < n)
		make_event(c, &r, fuzz_byte(&c->script));
	c->requests++;
	write_body(body, sizeof(body), &r, lines);
	if (how & 128)
		snprintf(text, sizeof(text),
		         "POST /v1/events HTTP/1.1\r\nHost: g\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n"
		         "%zx\r\n%s\r\n0\r\n\r\n", lines ? "application/x-ndjson" : "application/json", strlen(body), body);
	else
		snprintf(text, sizeof(text),
		         "POST /v1/events HTTP/1.1\r\nHost: g\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n%s",
		         lines ? "application/x-ndjson" : "application/json", strlen(body), body);
	return send_request(c, &r, text, how);
}

/* An id that this client or another was told of, or one that may be anywhere. */
static int find(struct client *c)
{
	struct request r = { .find = true };
	unsigned how = fuzz_byte(&c->script);
	unsigned which = fuzz_byte(&c->script);
	const struct told *t = c->w->n_told > 0 ? &c->w->told[which % c->w->n_told] : NULL;
	char text[256];

	if (t != NULL && t->fate != REFUSED) {
		snprintf(r.ev[0].id, ID_SIZE, "%s", t->id);
		r.must_be_found = true;
	} else {
		snprintf(r.ev[0].id, ID_SIZE, "%s", shared_ids[which % 4]);
	}
	snprintf(text, sizeof(text), "GET /v1/events/%s HTTP/1.1\r\nHost: g\r\n\r\n", r.ev[0].id);
	return send_request(c, &r, text, how);
}

/* What comes back to these bytes is not judged, only that nothing breaks. */
static int send_anything(struct client *c)
{
	struct fuzz_input bytes = fuzz_take(&c->script, fuzz_byte(&c->script));

	TT_TRY(hear(c));
	TT_TRY(be_connected(c));
	c->wild = true;
	return tt_write_all(c->fd, bytes.at, bytes.left, NULL);
}

static int say_no_more(struct client *c)
{
	int rc = 0;

	if (c->fd == NULL)
		return 0;
	if (tt_fd_shutdown(c->fd, 1) == 0)
		rc = hear(c);
	if (c->fd != NULL)
		hang_up(c);
	return rc;
}

static int step(struct client *c)
{
	unsigned what = fuzz_byte(&c->script);

	switch (what & 7) {
	case 0:
	case 1:
	case 2: return post(c, what >> 3);
	case 3: return find(c);
	case 4: return tt_sleep(TT_US(1) << (what >> 4));
	case 5: return send_anything(c);
	case 6: return say_no_more(c);
	default:
		if (c->fd != NULL)
			hang_up(c);
		return 0;
	}
}

/* A network that fails, and a gateway that stops, are no surprise to a client: it connects anew. */
static int client_steps(struct client *c)
{
	for (int i = 0; i < STEPS_MAX && c->script.left > 0; i++) {
		int rc = step(c);

		if (rc == TT_ECANCELED)
			return rc;
		MUST(rc >= 0 || !is_calm(c->w) || c->wild || c->ended);
		if (rc < 0 && c->fd != NULL)
			hang_up(c);
		if (rc == TT_ECONNREFUSED)
			break; /* it has stopped */
	}
	return c->fd != NULL ? hear(c) : 0;
}

static TT_TASK(client, (struct world *, w), (unsigned, index), (struct fuzz_input, script))
{
	struct client *c = fuzz_alloc(sizeof(*c));

	memset(c, 0, sizeof(*c));
	c->w = w;
	c->index = index;
	c->script = script;
	/* A peer that vanished says nothing for ever; what comes of it is in no claim. */
	TT_IGNORE(TT_WITHIN(TT_HOUR(1000), client_steps(c)));
	if (c->fd != NULL)
		hang_up(c);
	free(c);
	return 0;
}

/* ---- the gateway: what main.c does between its stores ---- */

static TT_TASK(accept_all, (struct ingest *, in), (tt_fd *, listener))
{
	tt_group_options options = {
		.name = "connections", .policy = TT_ISOLATE, .max_children = in->config->connections_max,
	};
	tt_child_options anywhere = { .worker = TT_WORKER_ANY };
	tt_fd *conn;
	int rc;

	TT_GROUP_WITH(connections, &options);
	while ((rc = TT_UNTIL_STOP(tt_accept(listener, &conn, NULL))) >= 0)
		tt_go_with(&connections, &anywhere, serve_connection, in, conn);
	tt_fd_close(listener);
	return tt_group_finish(&connections, rc == TT_ESTOP ? 0 : rc);
}

static int serve_all(struct world *w, tt_fd *listener)
{
	int rc;

	TT_GROUP(pipeline);
	tt_go(&pipeline, batcher_run, &w->batcher);
	rc = accept_all(&w->ingest, listener);
	tt_chan_close(&w->batcher.queue);
	return tt_group_finish(&pipeline, rc);
}

static TT_TASK(gateway, (struct world *, w), (tt_fd *, listener))
{
	int64_t time = w->mode & CANCELLED ? w->strike : TT_NEVER;
	int rc = TT_WITHIN(time, serve_all(w, listener));

	MUST(rc == 0 || rc == TT_ETIMEDOUT);
	return 0;
}

/* As tt_main() does on SIGTERM. */
static void stop_softly(void)
{
	struct tti_scope *s = tti_home_here->current->scope;

	while (s->parent != NULL)
		s = s->parent;
	tti_scope_stop(s);
}

static int run_clients(struct world *w)
{
	static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };
	struct fuzz_input scripts = w->scripts;

	TT_GROUP(clients);
	for (unsigned i = 0; i < CLIENTS_MAX && scripts.left > 0; i++)
		tt_go_with(&clients, &anywhere, client, w, i, fuzz_until(&scripts, 0xff));
	if (w->mode & STOPPED) {
		TT_IGNORE(tt_sleep(w->strike));
		stop_softly();
	}
	return tt_group_end(&clients, 0);
}

static TT_TASK(world, (struct world *, w))
{
	tt_fd *listener;
	int rc;

	MUST(batcher_init(&w->batcher, &w->config, &w->writer.base) == 0);
	MUST(ingest_init(&w->ingest, &w->config, &w->batcher, &w->reader.base) == 0);
	TT_TRY(tt_tcp_listen("127.0.0.1:0", NULL, &listener));
	w->port = tt_fd_local_port(listener);
	{
		TT_GROUP(g);
		tt_go(&g, gateway, w, listener);
		rc = run_clients(w);
		if (!(w->mode & STOPPED))
			stop_softly();
		rc = tt_group_end(&g, rc);
	}
	/* Every event that was taken in was settled, once. */
	MUST(tt_semaphore_try_acquire(&w->batcher.queue_room, w->config.queue_events) == 0);
	MUST(tt_semaphore_try_acquire(&w->batcher.queue_room, 1) == TT_EAGAIN);
	tt_semaphore_release(&w->batcher.queue_room, w->config.queue_events);
	ingest_fini(&w->ingest);
	batcher_fini(&w->batcher);
	return rc;
}

/* ---- the books ---- */

static size_t times_accepted(const struct world *w, const char *id)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n_told; i++)
		n += w->told[i].fate == ACCEPTED && strcmp(w->told[i].id, id) == 0;
	return n;
}

static void check_books(struct world *w)
{
	for (size_t i = 0; i < w->n_told; i++) {
		const struct told *t = &w->told[i], *row = row_of(w, t->id, strlen(t->id));

		if (t->fate == REFUSED) {
			MUST(row == NULL);
			continue;
		}
		MUST(row != NULL && times_accepted(w, t->id) <= 1);
		if (t->fate == ACCEPTED)
			MUST(strcmp(row->type, t->type) == 0);
	}
}

/* ---- the input ---- */

static void set_config(struct world *w, struct fuzz_input *in)
{
	unsigned tight = fuzz_byte(in);
	bool impatient = (w->mode & IMPATIENT) != 0;
	int64_t time = impatient ? TT_MS(40) : TT_HOUR(1);

	w->config = (struct config){
		.deadline = impatient ? TT_MS(10) : TT_HOUR(1),
		.linger = tight & 1 ? 0 : TT_MS(2),
		.head_timeout = time,
		.idle_timeout = time,
		.body_max = tight & 2 ? 150 : 1 << 20,
		.events_max = tight & 4 ? 2 : 64,
		.queue_events = tight & 8 ? 4 : 64,
		.batch_events = tight & 16 ? 2 : 2000,
		.connections_max = tight & 32 ? 1 : 10000,
	};
	w->strike = TT_US(10) << (fuzz_byte(in) % 16);
	w->commits = fuzz_take(in, fuzz_below(in, COMMITS_MAX));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A client that sends ahead does not read meanwhile: with small buffers both sides would wait.
	 * A few jumps of the clock in one request are its 30 s for a body. */
	static const uint64_t calm = TT_FAULTS_GENTLE & ~TT_FAULT_BIT(TT_FAULT_SMALL_BUFFERS) &
	                             ~TT_FAULT_BIT(TT_FAULT_CLOCK_JUMP);
	static const uint64_t faults[] = { TT_FAULTS_NONE, calm, TT_FAULTS_NETWORK, TT_FAULTS_NETWORK };
	static struct world w;
	static FILE *nowhere;
	struct fuzz_input in = fuzz_input_of(data, size);
	tt_sim_options o = { .workers = 2, .quiet = true };
	uint32_t choices[CHOICES_MAX];
	FILE *err = stderr;

	if (nowhere == NULL)
		nowhere = fopen("/dev/null", "w");
	MUST(nowhere != NULL);

	memset(&w, 0, sizeof(w));
	w.mode = fuzz_byte(&in);
	w.writer = (struct fake){ { &fake_ops }, &w };
	w.reader = w.writer;
	o.seed = fuzz_below(&in, 65536);
	o.faults = faults[w.mode & FAULTS];
	set_config(&w, &in);
	if (w.mode & SCHEDULED) {
		o.strategy = TT_SIM_REPLAY;
		o.replay = choices;
		o.replay_len = fuzz_below(&in, CHOICES_MAX);
		for (size_t i = 0; i < o.replay_len; i++)
			choices[i] = fuzz_byte(&in);
	}
	w.scripts = in;
	/* The batcher says on stderr what became of a commit. */
	stderr = nowhere;
	MUST(tt_sim_run_with(&o, world, &w) == 0);
	stderr = err;
	check_books(&w);
	return 0;
}

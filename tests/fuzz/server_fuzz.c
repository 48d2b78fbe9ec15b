/* SPDX-License-Identifier: MIT */
/*
 * server_fuzz.c - fuzz target, stateful: one connection of tt_http_serve() in the simulator, with
 * the parser alone as the judge.
 *
 * Who calls it: see fuzz.h.    fuzz-needs: tutti-ext-http
 *
 * The input: a byte of modes (enum mode), two for the seed of network, faults and schedule, one for
 * the limits, one for the number of requests, one for how many steps the client makes, then
 * the steps, one byte each (see send_step()), and all that follows is what the client sends.
 *
 * Claims  The answers are those to the requests that the parser alone finds in these bytes, in
 *         order, one each, however the bytes were cut and delayed; after a refusal, a request that
 *         ends the connection or the last of the number allowed, nothing more is answered.
 *         Each answer is well-formed, with a length that is right, and says whether it is the last.
 *         If the connection broke, ran out of time or was cancelled, what arrived is a beginning of
 *         that. No task, descriptor or memory is left (the simulator counts).
 */
#include <tutti/ext/http.h>
#include <tutti/testing.h>
#include <tutti/tutti.h>

#include "fuzz.h"
#include "http_parser.h"

enum { SENT_MAX = 4096, EXPECTED_MAX = 400, GOT_MAX = 256 * 1024 };

enum mode {
	FAULTS = 3,        /* 0 none, 1 gentle, 2 of the network, 3 of memory as well */
	CUT = 4,           /* after its steps the client closes, whatever is under way */
	IMPATIENT = 8,     /* the server's times are short */
	CANCELLED = 16,    /* the server is cancelled in the middle */
	DEAF = 32          /* the client reads nothing until it has sent all */
};

static const tt_http_options limits[] = {
	{ .line_max = 0 },
	{ .line_max = 24, .header_max = 96, .fields_max = 4, .body_max = 16 },
	{ .body_max = 1 },
};

/* ---- what the parser alone says ---- */

struct expected {
	int status;
	bool last, no_body;
	char body[96]; /* of a 200 */
};

struct world {
	unsigned mode;
	tt_http_options o;
	const char *sent;
	size_t len;
	struct fuzz_input steps;
	struct expected expected[EXPECTED_MAX];
	size_t n_expected;
	char *got;
	size_t got_len;
	int port, served;
};

static uint32_t hash_more(uint32_t h, const char *at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)at[i]) * 16777619u;
	return h;
}

static void say(char *text, size_t size, const tt_http_request *r, uint32_t body_hash, size_t body_len)
{
	uint32_t h = hash_more(2166136261u, r->path.at, r->path.len);

	h = hash_more(h, "?", 1);
	if (r->query.len > 0)
		h = hash_more(h, r->query.at, r->query.len);
	for (size_t i = 0; i < r->field_count; i++)
		h = hash_more(hash_more(h, r->fields[i].name.at, r->fields[i].name.len), r->fields[i].value.at,
			      r->fields[i].value.len);
	snprintf(text, size, "%d %08x %zu %08x\n", (int)r->method, h, body_len, body_hash);
}

/* One request; false when nothing more will be answered. */
static bool expect_one(struct world *w, tt_http_parser *p, size_t *at)
{
	struct expected *e = &w->expected[w->n_expected];
	uint32_t hash = 2166136261u;
	size_t len = 0;
	int event;

	*e = (struct expected){ .status = 200 };
	for (;;) {
		tt_http_text piece = { NULL, 0 };
		size_t used = 0;

		event = tt_http_parser_next(p, w->sent + *at, w->len - *at, &used, &piece);
		*at += used;
		if (event == TT_HTTP_MORE)
			event = tt_http_parser_eof(p) < 0 ? -EPROTO : TT_HTTP_MORE;
		if (event == TT_HTTP_BODY) {
			hash = hash_more(hash, piece.at, piece.len);
			len += piece.len;
		}
		if (event != TT_HTTP_BODY && event != TT_HTTP_REQUEST)
			break;
	}
	if (event == TT_HTTP_MORE)
		return false; /* between two requests */
	w->n_expected++;
	if (event < 0) {
		e->status = p->error.status;
		e->last = true;
		return false;
	}
	say(e->body, sizeof(e->body), &p->request, hash, len);
	e->no_body = p->request.method == TT_HTTP_HEAD;
	e->last = !p->request.keep_alive || (w->o.requests_max > 0 && w->n_expected == w->o.requests_max);
	return !e->last && w->n_expected < EXPECTED_MAX;
}

static void expect_all(struct world *w)
{
	size_t cap = tt_http_head_bytes(&w->o), at = 0;
	char *head = fuzz_alloc(cap);
	tt_http_parser *p = fuzz_alloc(sizeof(*p));

	MUST(tt_http_parser_init(p, &w->o, head, cap) == 0);
	while (expect_one(w, p, &at))
		;
	free(p);
	free(head);
}

/* Memory of the library's may run out at any time: whatever needs it may fail. */
static bool is_scarce(const struct world *w)
{
	return (w->mode & FAULTS) == 3;
}

/* ---- the server ---- */

static int handle(tt_http_request *req, tt_http_response *res, void *ctx)
{
	char *text = malloc(96);

	(void)ctx;
	MUST(text != NULL);
	say(text, 96, req, hash_more(2166136261u, req->body.at, req->body.len), req->body.len);
	tt_http_set_body(res, "text/plain", text, strlen(text), free);
	return 0;
}

static TT_TASK(server, (struct world *, w), (tt_fd *, listener))
{
	tt_fd *conn;
	int rc;

	/* Under faults of the network the client may never come. */
	rc = TT_WITHIN(TT_HOUR(8), tt_accept(listener, &conn, NULL));
	if (rc < 0)
		return rc == TT_ETIMEDOUT ? 0 : rc;
	if (w->mode & CANCELLED)
		rc = TT_WITHIN(TT_MS(20), tt_http_serve(conn, &w->o, handle, w));
	else
		rc = tt_http_serve(conn, &w->o, handle, w);
	tt_fd_close(conn);
	w->served = rc;
	MUST(rc >= 0 || rc == TT_ETIMEDOUT || is_scarce(w));
	return 0;
}

/* ---- the client ---- */

/* The low six bits: how many bytes (0: 512); the others: how long to wait before. */
static int send_step(struct world *w, tt_fd *fd, uint8_t step, size_t *at)
{
	static const int64_t pauses[] = { 0, TT_US(300), TT_MS(15), TT_SEC(2) };
	size_t n = (step & 63) != 0 ? step & 63 : 512;

	n = n < w->len - *at ? n : w->len - *at;
	if (step >> 6 != 0)
		TT_TRY(tt_sleep(pauses[step >> 6]));
	*at += n;
	return tt_write_all(fd, w->sent + *at - n, n, NULL);
}

static int send_all(struct world *w, tt_fd *fd)
{
	struct fuzz_input steps = w->steps;
	size_t at = 0;

	while (steps.left > 0 && at < w->len)
		TT_TRY(send_step(w, fd, fuzz_byte(&steps), &at));
	if (w->mode & CUT)
		return 0;
	TT_TRY(tt_write_all(fd, w->sent + at, w->len - at, NULL));
	return tt_fd_shutdown(fd, 1);
}

/* A server that is done does not read on: that a write fails is no surprise. */
static TT_TASK(sends, (struct world *, w), (tt_fd *, fd))
{
	TT_IGNORE(send_all(w, fd));
	return 0;
}

static TT_TASK(receives, (struct world *, w), (tt_fd *, fd))
{
	int n;

	while ((n = tt_read(fd, w->got + w->got_len, GOT_MAX - w->got_len)) > 0)
		w->got_len += (size_t)n;
	MUST(w->got_len < GOT_MAX);
	return 0;
}

static int exchange(struct world *w, tt_fd *fd)
{
	TT_GROUP(g);
	if (w->mode & DEAF)
		TT_IGNORE(send_all(w, fd));
	else
		tt_go(&g, sends, w, fd);
	if (!(w->mode & CUT))
		tt_go(&g, receives, w, fd);
	return tt_group_end(&g, 0);
}

static int client(struct world *w)
{
	char addr[32];
	tt_fd *fd;
	int rc;

	snprintf(addr, sizeof(addr), "127.0.0.1:%d", w->port);
	rc = tt_tcp_connect(addr, NULL, &fd);
	if (rc < 0)
		return rc;
	/* A peer that vanished says nothing for ever. */
	rc = TT_WITHIN(TT_HOUR(6), exchange(w, fd));
	tt_fd_close(fd);
	return rc;
}

static TT_TASK(both, (struct world *, w))
{
	static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };
	tt_fd *listener;
	int rc;

	TT_TRY(tt_tcp_listen("127.0.0.1:0", NULL, &listener));
	w->port = tt_fd_local_port(listener);
	{
		TT_GROUP(g);
		tt_go_with(&g, &anywhere, server, w, listener);
		TT_IGNORE(client(w));
		rc = tt_group_end(&g, 0);
	}
	tt_fd_close(listener);
	return rc;
}

/* ---- the judge ---- */

static bool is_calm(const struct world *w)
{
	return (w->mode & FAULTS) < 2 && !(w->mode & (CUT | IMPATIENT | CANCELLED));
}

/* The value of a field that is there exactly once, up to its CRLF; 0 if not all of the head came. */
static const char *field_of(const char *head, size_t len, const char *name)
{
	const char *at = memmem(head, len, name, strlen(name));

	MUST(at != NULL);
	at += strlen(name);
	MUST(memmem(at, (size_t)(head + len - at), name, strlen(name)) == NULL);
	return at;
}

static void check_head(const char *head, size_t len, const struct expected *e)
{
	char line[64];

	snprintf(line, sizeof(line), "HTTP/1.1 %d %s\r\n", e->status, tt_http_reason(e->status));
	MUST(strncmp(head, line, strlen(line)) == 0);
	MUST(strncmp(field_of(head, len, "\r\nConnection: "), e->last ? "close\r\n" : "keep-alive\r\n",
		     e->last ? 7 : 12) == 0);
	field_of(head, len, "\r\nDate: ");
}

/* One answer at the beginning of what is left; false if it is not whole. */
static bool take_answer(const char **at, size_t *left, const struct expected *e)
{
	const char *end = memmem(*at, *left, "\r\n\r\n", 4);
	size_t head, body;

	if (end == NULL)
		return false;
	head = (size_t)(end - *at) + 4;
	check_head(*at, head, e);
	body = strtoul(field_of(*at, head, "\r\nContent-Length: "), NULL, 10);
	if (e->status == 200)
		MUST(body == strlen(e->body));
	if (e->no_body)
		body = 0;
	if (head + body > *left)
		return false;
	if (e->status == 200)
		MUST(memcmp(*at + head, e->body, body) == 0);
	*at += head + body;
	*left -= head + body;
	return true;
}

/* Whether a client that sent on hears "100 Continue" depends on what had come by then. */
static void pass_continue(const char **at, size_t *left)
{
	static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";

	if (*left >= sizeof(line) - 1 && memcmp(*at, line, sizeof(line) - 1) == 0) {
		*at += sizeof(line) - 1;
		*left -= sizeof(line) - 1;
	}
}

static bool is_late(const struct world *w, const char *at, size_t left)
{
	return (w->mode & IMPATIENT) != 0 && left >= 12 && memcmp(at, "HTTP/1.1 408", 12) == 0;
}

static void check_answers(const struct world *w)
{
	const char *at = w->got;
	size_t left = w->got_len, n = 0;

	for (; n < w->n_expected; n++) {
		pass_continue(&at, &left);
		if (is_late(w, at, left) || !take_answer(&at, &left, &w->expected[n]))
			break;
	}
	if (n == w->n_expected)
		MUST(left == 0);
	if (is_calm(w))
		MUST(n == w->n_expected);
	MUST(w->served < 0 || (size_t)w->served <= w->n_expected);
}

static void set_options(struct fuzz_input *in, struct world *w)
{
	bool short_ = (w->mode & IMPATIENT) != 0;
	int64_t time = short_ ? TT_MS(10) : TT_HOUR(2);

	w->o = limits[fuzz_below(in, sizeof(limits) / sizeof(limits[0]))];
	w->o.requests_max = fuzz_below(in, 8);
	w->o.head_timeout = w->o.idle_timeout = w->o.body_timeout = w->o.send_timeout = w->o.linger_timeout = time;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t faults[] = { TT_FAULTS_NONE, TT_FAULTS_GENTLE, TT_FAULTS_NETWORK,
					   TT_FAULTS_NETWORK | TT_FAULT_BIT(TT_FAULT_ALLOCATION) };
	static struct world w;
	struct fuzz_input in = fuzz_input_of(data, size);
	tt_sim_options o = { .workers = 2, .quiet = true };
	int rc;

	w = (struct world){ .mode = fuzz_byte(&in), .got = fuzz_alloc(GOT_MAX) };
	o.faults = faults[w.mode & FAULTS];
	/* Else both sides might wait for the other to read. */
	if (w.mode & DEAF)
		o.faults &= ~TT_FAULT_BIT(TT_FAULT_SMALL_BUFFERS);
	o.seed = fuzz_below(&in, 65536);
	set_options(&in, &w);
	w.steps = fuzz_take(&in, fuzz_below(&in, 64));
	w.len = in.left < SENT_MAX ? in.left : SENT_MAX;
	w.sent = fuzz_copy(in.at, w.len);
	expect_all(&w);
	rc = tt_sim_run_with(&o, both, &w);
	MUST(rc == 0 || is_scarce(&w));
	check_answers(&w);
	free((void *)(uintptr_t)w.sent);
	free(w.got);
	return 0;
}

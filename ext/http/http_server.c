/* SPDX-License-Identifier: MIT */
/*
 * http_server.c - one connection: wait, read a request, call the handler, answer, again.
 *
 * Who calls it: see tt_http_serve() in http.h. The parser and the writer do no I/O; all of it
 * is here, each wait under its own time: idle, head, body, send, linger.
 *
 * Invariants  Answers leave in the order of the requests: the next request is looked at only
 *             after the last answer is out. What a client sent ahead stays in `in`.
 *             Memory is bounded: struct connection, plus a body of at most body_max, which is
 *             given back when it was a large one.
 * Rejected    A stop that breaks off the read of a request: what a client began to send
 *             would be lost without an answer. The request's own times bound the wait.
 *             Closing at once after an error: bytes that the kernel still holds for us turn
 *             the close into a reset, which may overtake the answer.
 */
#include "http_parser.h"
#include "http_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <tutti/error.h>
#include <tutti/scope.h>
#include <tutti/time.h>

enum {
	INPUT_SIZE = 16 * 1024,
	BODY_FIRST = 4096,
	BODY_KEPT = 64 * 1024,       /* between requests */
	LINGER_BYTES = 256 * 1024,   /* read and dropped after the last answer */
};

struct connection {
	tt_fd             *fd;
	tt_http_options    o; /* all set */
	tt_http_handler   *handler;
	void              *ctx;
	int                answered;
	bool               peer_done;  /* it will send nothing more */
	size_t             in_at, in_len; /* in[in_at, in_len) is not parsed yet */
	char              *body;
	size_t             body_len, body_cap;
	tt_http_parser     parser;
	tt_http_response   response;
	char               answer[TT_HTTP_ANSWER_HEAD_MAX];
	char               text[192]; /* the body of an answer of our own */
	char               in[INPUT_SIZE];
	char               head[]; /* of the parser, tt_http_head_bytes() */
};

/* What a step says beyond codes. */
enum { LAST = 0, NEXT = 1 };

/* ---- setup ---- */

static int64_t or_default(int64_t timeout, int64_t standard)
{
	return timeout > 0 ? timeout : standard;
}

static void set_options(tt_http_options *o, const tt_http_options *given)
{
	if (given)
		*o = *given;
	o->head_timeout = or_default(o->head_timeout, TT_SEC(10));
	o->idle_timeout = or_default(o->idle_timeout, TT_SEC(60));
	o->body_timeout = or_default(o->body_timeout, TT_SEC(30));
	o->send_timeout = or_default(o->send_timeout, TT_SEC(30));
	o->linger_timeout = or_default(o->linger_timeout, TT_SEC(1));
}

static int connection_create(tt_fd *fd, const tt_http_options *o, struct connection **ret)
{
	size_t head = tt_http_head_bytes(o);
	struct connection *c = malloc(sizeof(*c) + head);
	int rc;

	if (c == NULL)
		return tt_fail(-ENOMEM, "http: a connection's buffers");
	/* The buffers at the end stay as they are: nobody reads what was not written. */
	memset(c, 0, offsetof(struct connection, parser));
	c->fd = fd;
	set_options(&c->o, o);
	rc = tt_http_parser_init(&c->parser, o, c->head, head);
	if (rc < 0) {
		free(c);
		return tt_fail(rc, "http: options");
	}
	*ret = c;
	return 0;
}

static void connection_destroy(struct connection *c)
{
	free(c->body);
	free(c);
}

/* ---- input ---- */

/* One read into the empty buffer. Returns 1, or 0 when the peer has ended its side. */
static int fill(struct connection *c)
{
	int rc = tt_read(c->fd, c->in, sizeof(c->in));

	if (rc < 0)
		return rc;
	c->in_at = 0;
	c->in_len = (size_t)rc;
	c->peer_done = rc == 0;
	return rc > 0;
}

/* The next event of the parser, reading when it has seen everything. TT_HTTP_MORE: the peer
 * ended its side between requests. */
static int next_event(struct connection *c, tt_http_text *ret_piece)
{
	for (;;) {
		size_t used = 0;
		int rc = tt_http_parser_next(&c->parser, c->in + c->in_at, c->in_len - c->in_at, &used,
					     ret_piece);

		c->in_at += used;
		if (rc != TT_HTTP_MORE)
			return rc;
		rc = fill(c);
		if (rc < 0)
			return rc;
		if (rc == 0)
			return tt_http_parser_eof(&c->parser);
	}
}

static int read_head(struct connection *c)
{
	tt_http_text none;

	return next_event(c, &none);
}

/* Grows with what came, not with what was promised: a promise costs the peer nothing. */
static int body_reserve(struct connection *c, size_t need)
{
	size_t cap = c->body_cap > 0 ? c->body_cap : BODY_FIRST;
	char *bigger;

	if (need <= c->body_cap)
		return 0;
	while (cap < need)
		cap *= 2;
	bigger = realloc(c->body, cap);
	if (bigger == NULL)
		return -ENOMEM;
	c->body = bigger;
	c->body_cap = cap;
	return 0;
}

/* The parser has the bound: no piece takes the body beyond body_max. */
static int body_add(struct connection *c, tt_http_text piece)
{
	int rc = body_reserve(c, c->body_len + piece.len);

	if (rc < 0)
		return rc;
	memcpy(c->body + c->body_len, piece.at, piece.len);
	c->body_len += piece.len;
	return 0;
}

static int read_body(struct connection *c)
{
	int rc = 0;

	c->body_len = 0;
	while (rc >= 0) {
		tt_http_text piece = { NULL, 0 };

		rc = next_event(c, &piece);
		if (rc == TT_HTTP_END)
			break;
		if (rc == TT_HTTP_BODY)
			rc = body_add(c, piece);
	}
	c->parser.request.body = (tt_http_text){ c->body, c->body_len };
	return rc < 0 ? rc : 0;
}

static void body_trim(struct connection *c)
{
	if (c->body_cap <= BODY_KEPT)
		return;
	free(c->body);
	c->body = NULL;
	c->body_cap = 0;
}

/* ---- output ---- */

static bool has_no_body(int status)
{
	return status < 200 || status == 204 || status == 304;
}

static int write_head(struct connection *c, bool close)
{
	const tt_http_response *r = &c->response;
	tt_http_writer w;

	tt_http_write_begin(&w, c->answer, sizeof(c->answer), r->status);
	tt_http_write_date(&w, tt_wall() / TT_SEC(1));
	if (r->content_type && !has_no_body(r->status))
		tt_http_write_field(&w, "Content-Type", r->content_type);
	if (!has_no_body(r->status))
		tt_http_write_number(&w, "Content-Length", r->body_len);
	tt_http_write_lines(&w, r->extra, r->extra_len);
	/* HTTP/1.0 closes unless told otherwise, HTTP/1.1 stays; saying it always serves both. */
	tt_http_write_field(&w, "Connection", close ? "close" : "keep-alive");
	return tt_http_write_end(&w);
}

static void release_body(struct connection *c)
{
	tt_http_set_body(&c->response, NULL, NULL, 0, NULL);
}

/* Send the response. Its body is released whatever happens. */
static int send_answer(struct connection *c, bool close, bool with_body)
{
	int rc = write_head(c, close);

	if (rc >= 0) {
		const struct iovec iov[] = {
			{ c->answer, (size_t)rc },
			{ (void *)(uintptr_t)c->response.body, c->response.body_len },
		};

		with_body = with_body && c->response.body_len > 0 && !has_no_body(c->response.status);
		rc = TT_WITHIN(c->o.send_timeout,
			       tt_writev_all(c->fd, iov, with_body ? 2 : 1, NULL));
	}
	release_body(c);
	return rc < 0 ? rc : 0;
}

static int send_continue(struct connection *c)
{
	return TT_WITHIN(c->o.send_timeout, tt_write_all(c->fd, TT_HTTP_CONTINUE,
							 sizeof(TT_HTTP_CONTINUE) - 1, NULL));
}

static int drop_input(struct connection *c)
{
	size_t dropped = 0;
	int rc = 1;

	while (rc > 0 && dropped < LINGER_BYTES) {
		rc = fill(c);
		dropped += c->in_len;
	}
	return rc < 0 ? rc : 0;
}

/* Nothing more will be answered: let the peer read the last answer before the close. */
static int linger(struct connection *c)
{
	int rc;

	if (c->peer_done || tt_fd_shutdown(c->fd, SHUT_WR) < 0)
		return 0;
	rc = TT_WITHIN(c->o.linger_timeout, drop_input(c));
	return rc == TT_ECANCELED ? rc : 0;
}

/* An answer of our own, and the end. */
static int answer_and_end(struct connection *c, int status, const char *why)
{
	int n, rc;

	c->response = (tt_http_response){ .status = status };
	n = snprintf(c->text, sizeof(c->text), "%d %s: %s\n", status, tt_http_reason(status), why);
	if (n > (int)sizeof(c->text) - 1)
		n = (int)sizeof(c->text) - 1;
	tt_http_set_body(&c->response, "text/plain; charset=utf-8", c->text, (size_t)n, NULL);
	rc = send_answer(c, true, true);
	return rc < 0 ? rc : linger(c);
}

/* ---- one request ---- */

/* Something went wrong while a request was read: answer it if the peer can still listen. */
static int end_of_reading(struct connection *c, int rc, const char *late)
{
	if (rc == -EPROTO)
		return answer_and_end(c, c->parser.error.status, c->parser.error.text);
	if (rc == TT_ETIMEDOUT)
		return answer_and_end(c, 408, late);
	if (rc == -ENOMEM)
		return answer_and_end(c, 503, "no memory for the body");
	return rc;
}

/* Returns NEXT when bytes are there, LAST when none will come: the peer ended or was silent
 * for too long, or a stop was asked for. */
static int wait_for_request(struct connection *c)
{
	int rc;

	if (tt_stopping())
		return LAST;
	if (c->in_at < c->in_len)
		return NEXT;
	rc = TT_UNTIL_STOP(TT_WITHIN(c->o.idle_timeout, fill(c)));
	if (rc == TT_ESTOP || rc == TT_ETIMEDOUT)
		return LAST;
	return rc;
}

static bool is_last(const struct connection *c)
{
	return !c->parser.request.keep_alive || c->response.close || tt_stopping() ||
	       (c->o.requests_max > 0 && (unsigned)c->answered + 1 >= c->o.requests_max);
}

static int answer_request(struct connection *c)
{
	tt_http_request *req = &c->parser.request;
	bool last;
	int rc;

	c->response = (tt_http_response){ .status = 200 };
	rc = c->handler(req, &c->response, c->ctx);
	if (rc == TT_ECANCELED) {
		release_body(c);
		return rc;
	}
	if (rc < 0) {
		tt_error_report(rc, "http: %.*s %.*s", (int)req->method_text.len, req->method_text.at,
				(int)(req->path.len < 200 ? req->path.len : 200), req->path.at);
		release_body(c);
		c->answered++;
		return answer_and_end(c, 500, "the server failed");
	}
	last = is_last(c);
	rc = send_answer(c, last, req->method != TT_HTTP_HEAD);
	if (rc == -EINVAL || rc == -EMSGSIZE) {
		/* The handler's status or fields cannot be sent; nothing has been. */
		tt_error_report(rc, "http: a handler's response");
		c->answered++;
		return answer_and_end(c, 500, "the server failed");
	}
	if (rc < 0)
		return rc;
	c->answered++;
	body_trim(c);
	return last ? linger(c) : NEXT;
}

static int serve_request(struct connection *c)
{
	int rc = wait_for_request(c);

	if (rc != NEXT)
		return rc;
	rc = TT_WITHIN(c->o.head_timeout, read_head(c));
	if (rc < 0)
		return end_of_reading(c, rc, "the head did not come in time");
	if (rc == TT_HTTP_MORE)
		return LAST; /* only an empty line, and the end */
	if (c->parser.request.expects_continue && c->in_at == c->in_len) {
		rc = send_continue(c);
		if (rc < 0)
			return rc;
	}
	rc = TT_WITHIN(c->o.body_timeout, read_body(c));
	if (rc < 0)
		return end_of_reading(c, rc, "the body did not come in time");
	return answer_request(c);
}

/* A peer that goes away, or does not take its answer, ends the connection and no more. */
static bool is_peers_doing(int rc)
{
	return rc == TT_ECONNRESET || rc == TT_EPIPE || rc == TT_ETIMEDOUT || rc == TT_ETORN ||
	       rc == TT_ENOTCONN;
}

int tt_http_serve(tt_fd *conn, const tt_http_options *o, tt_http_handler *handler, void *ctx)
{
	struct connection *c = NULL;
	int rc = connection_create(conn, o, &c);

	if (rc < 0)
		return rc;
	c->handler = handler;
	c->ctx = ctx;
	do
		rc = serve_request(c);
	while (rc == NEXT);
	if (rc == LAST || is_peers_doing(rc))
		rc = c->answered;
	connection_destroy(c);
	return rc;
}

/* SPDX-License-Identifier: MIT */
/*
 * http_script_test.c - the connection loop against a scripted peer and a clock of its own.
 *
 * The few calls of the runtime that http_server.c makes are defined here, so that every
 * order of bytes, silence, stop and cancel can be written down: what the kernel, the
 * scheduler and the timers would have to be lured into. http_server_test.c runs the same
 * loop on the real runtime.
 */
#include "http_check.h"
#include "http_writer.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <tutti/error.h>
#include <tutti/scope.h>
#include <tutti/time.h>

/* ---- the peer ---- */

enum kind { DO_SEND, DO_WAIT, DO_STOP, DO_RESET, DO_END };

struct step {
	enum kind   kind;
	const char *bytes; /* DO_SEND */
	size_t      len;
	int64_t     time;  /* DO_WAIT */
};

#define SEND(text) { DO_SEND, text, sizeof(text) - 1, 0 }
#define WAIT(ns) { DO_WAIT, NULL, 0, ns }
#define STOP { DO_STOP, NULL, 0, 0 }
#define RESET { DO_RESET, NULL, 0, 0 }
#define END { DO_END, NULL, 0, 0 }
#define FOREVER INT64_MAX
#define SCRIPT(...) (const struct step[]){ __VA_ARGS__, END }

struct tt_fd {
	const struct step *steps; /* ends with END, which repeats */
	size_t             at_byte;
	size_t             read_max; /* bytes of one read; 0: all there is */
	size_t             reads, read_bytes, cancel_at; /* cancel_at: this read is cancelled */
	char               out[1 << 16];
	size_t             out_len;
	size_t             write_room; /* then write_rc */
	int                write_rc;
	bool               shut;
};

/* ---- the runtime ---- */

static struct {
	int64_t  deadline;
	unsigned kind;
	bool     expired;
} scopes[8];
static unsigned scope_count;
static int64_t now;
static bool stopping, cancelled;
static unsigned reports;

static int64_t later(int64_t timeout)
{
	return timeout > INT64_MAX - now ? INT64_MAX : now + timeout;
}

tt_scope *tt_scope_open_(tt_scope *s, int64_t timeout, unsigned kind, const char *site)
{
	(void)site;
	scopes[scope_count].deadline = later(timeout);
	scopes[scope_count].kind = kind;
	scopes[scope_count++].expired = false;
	return s;
}

int tt_scope_pop_(int rc)
{
	bool expired, until_stop;

	scope_count--;
	expired = scopes[scope_count].expired;
	until_stop = scopes[scope_count].kind == TT_SCOPE_UNTIL_STOP_;
	if (rc != TT_ECANCELED || cancelled)
		return rc;
	if (expired)
		return TT_ETIMEDOUT;
	return until_stop && stopping ? TT_ESTOP : rc;
}

bool tt_stopping(void)
{
	return stopping;
}

int64_t tt_wall(void)
{
	return TT_SEC(784111777);
}

int tt_fail_(int code, const char *site, const char *func, const char *fmt, ...)
{
	(void)site;
	(void)func;
	(void)fmt;
	return code;
}

void tt_error_report(int rc, const char *fmt, ...)
{
	(void)rc;
	(void)fmt;
	reports++;
}

/* Time passes; true if a scope ran out meanwhile. */
static bool pass(int64_t time)
{
	int64_t until = later(time);
	unsigned first = scope_count;

	for (unsigned i = 0; i < scope_count; i++) {
		if (scopes[i].deadline <= until &&
		    (first == scope_count || scopes[i].deadline < scopes[first].deadline))
			first = i;
	}
	if (first == scope_count) {
		now = until;
		return false;
	}
	now = scopes[first].deadline;
	scopes[first].expired = true;
	return true;
}

static bool sees_stop(void)
{
	for (unsigned i = 0; i < scope_count; i++) {
		if (scopes[i].kind == TT_SCOPE_UNTIL_STOP_)
			return stopping;
	}
	return false;
}

static int read_bytes(tt_fd *fd, void *buf, size_t n)
{
	const struct step *s = fd->steps;
	size_t len = s->len - fd->at_byte;

	if (len > n)
		len = n;
	if (fd->read_max > 0 && len > fd->read_max)
		len = fd->read_max;
	memcpy(buf, s->bytes + fd->at_byte, len);
	fd->at_byte += len;
	fd->read_bytes += len;
	if (fd->at_byte == s->len) {
		fd->at_byte = 0;
		fd->steps++;
	}
	return (int)len;
}

int tt_read(tt_fd *fd, void *buf, size_t n)
{
	if (++fd->reads == fd->cancel_at)
		cancelled = true;
	for (;;) {
		if (cancelled || sees_stop())
			return TT_ECANCELED;
		switch (fd->steps->kind) {
		case DO_SEND:
			return read_bytes(fd, buf, n);
		case DO_WAIT:
			if (pass(fd->steps++->time))
				return TT_ECANCELED;
			break;
		case DO_STOP:
			stopping = true;
			fd->steps++;
			break;
		case DO_RESET:
			return -ECONNRESET;
		default:
			return 0;
		}
	}
}

int tt_write_all(tt_fd *fd, const void *buf, size_t n, size_t *ret_done)
{
	(void)ret_done;
	if (cancelled)
		return TT_ECANCELED;
	if (fd->write_rc < 0 && n > fd->write_room) {
		if (fd->write_rc == TT_ETIMEDOUT)
			return pass(FOREVER) ? TT_ECANCELED : -EIO;
		return fd->write_rc;
	}
	if (n > sizeof(fd->out) - fd->out_len)
		abort();
	memcpy(fd->out + fd->out_len, buf, n);
	fd->out_len += n;
	fd->write_room -= n;
	return 0;
}

int tt_writev_all(tt_fd *fd, const struct iovec *iov, int n, size_t *ret_done)
{
	int rc = 0;

	for (int i = 0; i < n && rc == 0; i++)
		rc = tt_write_all(fd, iov[i].iov_base, iov[i].iov_len, ret_done);
	return rc;
}

int tt_fd_shutdown(tt_fd *fd, int how)
{
	(void)how;
	fd->shut = true;
	return 0;
}

/* ---- the handler ---- */

static char seen[1 << 13]; /* "METHOD path body\n" of each request */
static unsigned handled, bodies_lent, bodies_back;

static void give_back(void *body)
{
	bodies_back++;
	free(body);
}

static int echo(tt_http_request *req, tt_http_response *res, void *ctx)
{
	char *body = malloc(req->body.len + 3);
	size_t at = strlen(seen);

	(void)ctx;
	handled++;
	bodies_lent++;
	snprintf(seen + at, sizeof(seen) - at, "%.*s %.*s %.*s\n", (int)req->method_text.len,
		 req->method_text.at, (int)req->path.len, req->path.at,
		 (int)(req->body.len < 64 ? req->body.len : 64), req->body.len ? req->body.at : "");
	memcpy(body, "ok:", 3);
	if (req->body.len > 0)
		memcpy(body + 3, req->body.at, req->body.len);
	tt_http_set_body(res, "text/plain", body, req->body.len + 3, give_back);
	if (tt_http_text_is(req->path, "/fail"))
		return -EIO;
	if (tt_http_text_is(req->path, "/cancel"))
		return TT_ECANCELED;
	if (tt_http_text_is(req->path, "/status"))
		res->status = 1000;
	if (tt_http_text_is(req->path, "/204"))
		res->status = 204;
	if (tt_http_text_is(req->path, "/close"))
		res->close = true;
	if (tt_http_text_is(req->path, "/stop"))
		stopping = true;
	if (tt_http_text_is(req->path, "/allow"))
		return tt_http_add_header(res, "Allow", "GET, POST");
	return 0;
}

/* ---- running a script ---- */

static tt_fd peer;

static int run(const struct step *steps, const tt_http_options *o)
{
	int rc;

	scope_count = 0;
	now = 0;
	stopping = cancelled = false;
	reports = handled = bodies_lent = bodies_back = 0;
	seen[0] = '\0';
	peer.steps = steps;
	peer.at_byte = peer.reads = peer.read_bytes = peer.out_len = 0;
	peer.shut = false;
	rc = tt_http_serve(&peer, o, echo, NULL);
	CHECK(scope_count == 0, "%u scopes are still open", scope_count);
	CHECK(bodies_lent == bodies_back, "%u bodies lent, %u back", bodies_lent, bodies_back);
	peer.out[peer.out_len] = '\0';
	return rc;
}

#define DATE "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
#define ANSWER(status, type, length, connection) \
	"HTTP/1.1 " status "\r\n" DATE "Content-Type: " type "\r\nContent-Length: " length \
	"\r\nConnection: " connection "\r\n\r\n"
#define OK(length, connection) ANSWER("200 OK", "text/plain", length, connection)
#define OURS(status, length) ANSWER(status, "text/plain; charset=utf-8", length, "close")
#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST(path, length, body) \
	"POST " path " HTTP/1.1\r\nHost: a\r\nContent-Length: " length "\r\n\r\n" body

static void check(const struct step *steps, const tt_http_options *o, int want_rc,
		  const char *want_seen, const char *want_out)
{
	static const size_t sizes[] = { 0, 1, 3 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int rc;

		peer.read_max = sizes[i];
		rc = run(steps, o);
		CHECK(rc == want_rc, "%d, wanted %d", rc, want_rc);
		CHECK(strcmp(seen, want_seen) == 0, "got  %swant %s", seen, want_seen);
		CHECK(strcmp(peer.out, want_out) == 0, "got  %s\nwant %s", peer.out, want_out);
	}
	peer.read_max = 0;
}

/* Requests are answered in order, whether sent one by one, together, or in pieces. */
static void requests_are_answered_in_order(void)
{
	const char *out = OK("3", "keep-alive") "ok:" OK("5", "keep-alive") "ok:hi"
			  OK("3", "keep-alive") "ok:";

	check(SCRIPT(SEND(GET("/1"))), NULL, 1, "GET /1 \n", OK("3", "keep-alive") "ok:");
	check(SCRIPT(SEND(GET("/1") POST("/2", "2", "hi") GET("/3"))), NULL, 3,
	      "GET /1 \nPOST /2 hi\nGET /3 \n", out);
	check(SCRIPT(SEND(GET("/1")), WAIT(TT_SEC(59)), SEND(POST("/2", "2", "h")), WAIT(TT_SEC(29)),
		     SEND("i" GET("/3"))), NULL, 3, "GET /1 \nPOST /2 hi\nGET /3 \n", out);
	check(SCRIPT(SEND("POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n"
			  "1\r\ni\r\n0\r\n\r\n" GET("/n"))), NULL, 2, "POST /c hi\nGET /n \n",
	      OK("5", "keep-alive") "ok:hi" OK("3", "keep-alive") "ok:");
	check(SCRIPT(SEND(GET("/allow"))), NULL, 1, "GET /allow \n",
	      "HTTP/1.1 200 OK\r\n" DATE "Content-Type: text/plain\r\nContent-Length: 3\r\n"
	      "Allow: GET, POST\r\nConnection: keep-alive\r\n\r\nok:");
}

/* HEAD has the length but not the body; a 204 has neither. */
static void some_answers_have_no_body(void)
{
	check(SCRIPT(SEND("HEAD /h HTTP/1.1\r\nHost: a\r\n\r\n" GET("/204"))), NULL, 2,
	      "HEAD /h \nGET /204 \n", OK("3", "keep-alive") "HTTP/1.1 204 No Content\r\n" DATE
	      "Connection: keep-alive\r\n\r\n");
}

/* The end of a connection is said in its last answer, and what follows is not answered. */
static void last_answers_say_close(void)
{
	const char *last = OK("3", "close") "ok:";
	const tt_http_options two = { .requests_max = 2 };

	check(SCRIPT(SEND("GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" GET("/y"))), NULL, 1,
	      "GET /x \n", last);
	check(SCRIPT(SEND("GET /x HTTP/1.0\r\n\r\n" GET("/y"))), NULL, 1, "GET /x \n", last);
	check(SCRIPT(SEND("GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")), NULL, 1, "GET /x \n",
	      OK("3", "keep-alive") "ok:");
	check(SCRIPT(SEND(GET("/close") GET("/y"))), NULL, 1, "GET /close \n", last);
	check(SCRIPT(SEND(GET("/1") GET("/2") GET("/3"))), &two, 2, "GET /1 \nGET /2 \n",
	      OK("3", "keep-alive") "ok:" OK("3", "close") "ok:");
	CHECK(peer.shut, "our side is shut before the close");
}

/* 100 Continue goes out when the client waits for it, and only then. */
static void continue_is_sent_when_awaited(void)
{
#define EXPECTS "POST /e HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
	check(SCRIPT(SEND(EXPECTS), SEND("hi")), NULL, 1, "POST /e hi\n",
	      TT_HTTP_CONTINUE OK("5", "keep-alive") "ok:hi");
	peer.read_max = 0;
	CHECK(run(SCRIPT(SEND(EXPECTS "hi")), NULL) == 1 &&
	      strcmp(peer.out, OK("5", "keep-alive") "ok:hi") == 0, "%s", peer.out);
}

/* A refused request is answered and ends the connection; its forerunners are answered. */
static void bad_requests_are_answered(void)
{
	check(SCRIPT(SEND("GET /\n"), SEND("more")), NULL, 0, "",
	      OURS("400 Bad Request", "55") "400 Bad Request: LF without CR in the target at byte 5\n");
	check(SCRIPT(SEND(GET("/1") "BAD")), NULL, 1, "GET /1 \n", OK("3", "keep-alive") "ok:"
	      OURS("400 Bad Request", "60")
	      "400 Bad Request: connection ended inside the head at byte 3\n");
	check(SCRIPT(SEND("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n"), SEND("x")),
	      NULL, 0, "", OURS("413 Content Too Large", "65")
	      "413 Content Too Large: body longer than 1048576 bytes at byte 53\n");
	CHECK(peer.shut && peer.read_bytes == 54, "%zu bytes were drained", peer.read_bytes);
}

/* Each silence has its bound: between requests it ends quietly, inside one with a 408. */
static void silences_are_bounded(void)
{
	const tt_http_options quick = { .head_timeout = 5, .idle_timeout = 7, .body_timeout = 9 };
	const char *head = OURS("408 Request Timeout", "51")
			   "408 Request Timeout: the head did not come in time\n";
	const char *body = OURS("408 Request Timeout", "51")
			   "408 Request Timeout: the body did not come in time\n";

	check(SCRIPT(WAIT(FOREVER)), NULL, 0, "", "");
	CHECK(now == TT_SEC(60), "idle: %lld", (long long)now);
	check(SCRIPT(WAIT(FOREVER)), &quick, 0, "", "");
	CHECK(now == 7, "idle: %lld", (long long)now);
	check(SCRIPT(SEND(GET("/1")), WAIT(TT_SEC(61))), NULL, 1, "GET /1 \n",
	      OK("3", "keep-alive") "ok:");
	check(SCRIPT(SEND("GET /"), WAIT(FOREVER)), NULL, 0, "", head);
	CHECK(now == TT_SEC(10), "head: %lld", (long long)now);
	/* A byte every three seconds does not help. */
	check(SCRIPT(SEND("G"), WAIT(TT_SEC(3)), SEND("E"), WAIT(TT_SEC(3)), SEND("T"), WAIT(TT_SEC(3)),
		     SEND(" "), WAIT(TT_SEC(3)), SEND("/")), NULL, 0, "", head);
	CHECK(now == TT_SEC(10), "slow head: %lld", (long long)now);
	check(SCRIPT(SEND(POST("/", "5", "h")), WAIT(FOREVER)), NULL, 0, "", body);
	CHECK(now == TT_SEC(30), "body: %lld", (long long)now);
	check(SCRIPT(SEND(POST("/", "5", "h")), WAIT(FOREVER)), &quick, 0, "", body);
	CHECK(now == 9, "body: %lld", (long long)now);
}

/* After the last answer a peer may go on for a second or 256 KiB, no longer. */
static void lingering_is_bounded(void)
{
	static char much[1 << 20];
	struct step steps[] = { SEND("BAD\n"), { DO_SEND, much, sizeof(much), 0 }, END };

	CHECK(run(SCRIPT(SEND("BAD\n"), WAIT(FOREVER)), NULL) == 0 && now == TT_SEC(1), "%lld",
	      (long long)now);
	CHECK(run(steps, NULL) == 0 && peer.read_bytes >= 256 * 1024 &&
	      peer.read_bytes < 256 * 1024 + 17 * 1024, "%zu", peer.read_bytes);
}

/* A soft stop finishes the request in hand, says close, and takes no other. */
static void stop_finishes_what_was_begun(void)
{
	const char *last = OK("3", "close") "ok:";

	check(SCRIPT(STOP, SEND(GET("/1"))), NULL, 0, "", "");
	check(SCRIPT(SEND(GET("/1")), STOP, SEND(GET("/2"))), NULL, 1, "GET /1 \n",
	      OK("3", "keep-alive") "ok:");
	check(SCRIPT(SEND("GET /"), STOP, SEND("1 HTTP/1.1\r\nHost: a\r\n\r\n" GET("/2"))), NULL, 1,
	      "GET /1 \n", last);
	check(SCRIPT(SEND(POST("/1", "2", "h")), STOP, SEND("i")), NULL, 1, "POST /1 hi\n",
	      OK("5", "close") "ok:hi");
	check(SCRIPT(SEND(GET("/stop") GET("/2"))), NULL, 1, "GET /stop \n", last);
}

/* A hard cancel at any read gives TT_ECANCELED; no answer is cut or invented. */
static void cancel_is_clean_at_every_read(void)
{
	const struct step *steps = SCRIPT(SEND("GET"), SEND(" /1 HTTP/1.1\r\nHost: a\r\n\r\n"),
					  SEND(POST("/2", "2", "h")), SEND("i"), SEND(GET("/close")),
					  SEND("drained"));
	const char *all = OK("3", "keep-alive") "ok:" OK("5", "keep-alive") "ok:hi"
			  OK("3", "close") "ok:";
	size_t k;

	CHECK(run(steps, NULL) == 3 && strcmp(peer.out, all) == 0, "%s", peer.out);
	k = peer.reads;
	CHECK(k == 7, "%zu reads", k);
	for (size_t i = 1; i <= k; i++) {
		peer.cancel_at = i;
		CHECK(run(steps, NULL) == TT_ECANCELED, "read %zu", i);
		CHECK(strncmp(peer.out, all, peer.out_len) == 0, "read %zu: %s", i, peer.out);
		peer.cancel_at = 0;
	}
	CHECK(run(SCRIPT(SEND(GET("/cancel"))), NULL) == TT_ECANCELED && peer.out_len == 0, "handler");
}

/* A handler's failure is reported and answered without its details. */
static void failures_are_answered_with_500(void)
{
	const char *out = OURS("500 Internal Server Error", "45")
			  "500 Internal Server Error: the server failed\n";

	check(SCRIPT(SEND(GET("/fail") GET("/2"))), NULL, 1, "GET /fail \n", out);
	CHECK(reports == 1, "%u reports", reports);
	check(SCRIPT(SEND(GET("/status") GET("/2"))), NULL, 1, "GET /status \n", out);
	CHECK(reports == 1, "%u reports", reports);
}

/* A peer that is gone ends the connection without an error, wherever it goes. */
static void vanished_peers_are_no_errors(void)
{
	static const char bytes[] = GET("/1") POST("/2", "2", "hi");

	check(SCRIPT(RESET), NULL, 0, "", "");
	check(SCRIPT(SEND("GET"), RESET), NULL, 0, "", "");
	check(SCRIPT(SEND(GET("/1")), RESET), NULL, 1, "GET /1 \n", OK("3", "keep-alive") "ok:");
	check(SCRIPT(SEND(POST("/1", "2", "h")), RESET), NULL, 0, "", "");
	check(SCRIPT(SEND("\r\n")), NULL, 0, "", "");
	for (size_t n = 0; n < sizeof(bytes); n++) {
		/* A last SEND of nothing would be a read of nothing: the end itself. */
		struct step steps[] = { { DO_SEND, bytes, n, 0 }, END };

		CHECK(run(n > 0 ? steps : steps + 1, NULL) == (int)handled, "cut at %zu", n);
		CHECK(handled == (n >= strlen(GET("/1")) ? 1u : 0u) + (n >= sizeof(bytes) - 1 ? 1u : 0u),
		      "cut at %zu: %u", n, handled);
	}
}

/* An answer that does not go out is not counted; its body comes back all the same. */
static void failed_writes_end_the_connection(void)
{
	static const int codes[] = { -EPIPE, -ECONNRESET, TT_ETIMEDOUT, TT_ETORN };

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		peer.write_rc = codes[i];
		peer.write_room = 0;
		CHECK(run(SCRIPT(SEND(GET("/1") GET("/2"))), NULL) == 0 && handled == 1, "%d", codes[i]);
		peer.write_room = 0;
		CHECK(run(SCRIPT(SEND("BAD\n")), NULL) == 0, "%d", codes[i]);
		peer.write_room = 0;
		CHECK(run(SCRIPT(SEND(EXPECTS), SEND("hi")), NULL) == 0 && handled == 0, "%d", codes[i]);
	}
	peer.write_rc = -EIO;
	peer.write_room = 0;
	CHECK(run(SCRIPT(SEND(GET("/1"))), NULL) == -EIO, "an error of ours is told");
	peer.write_rc = 0;
}

/* A body of the greatest size passes through, and the next request is served. */
static void largest_body_passes(void)
{
	size_t head = strlen(POST("/b", "40000", "")), n = 40000;
	char *bytes = malloc(head + n);
	struct step steps[] = { { DO_SEND, bytes, head + n, 0 }, SEND(GET("/n")), END };
	const tt_http_options exact = { .body_max = 40000 };

	memcpy(bytes, POST("/b", "40000", ""), head);
	memset(bytes + head, 'x', n);
	CHECK(run(steps, &exact) == 2 && peer.out_len > n && handled == 2, "%zu", peer.out_len);
	free(bytes);
}

/* Options that cannot be kept are refused before any byte. */
static void options_are_checked(void)
{
	CHECK(run(SCRIPT(SEND(GET("/1"))), &(tt_http_options){ .fields_max = 101 }) == -EINVAL, "fields");
	CHECK(peer.reads == 0, "%zu reads", peer.reads);
}

int main(void)
{
	requests_are_answered_in_order();
	some_answers_have_no_body();
	last_answers_say_close();
	continue_is_sent_when_awaited();
	bad_requests_are_answered();
	silences_are_bounded();
	lingering_is_bounded();
	stop_finishes_what_was_begun();
	cancel_is_clean_at_every_read();
	failures_are_answered_with_500();
	vanished_peers_are_no_errors();
	failed_writes_end_the_connection();
	largest_body_passes();
	options_are_checked();
	return check_report("http_script");
}

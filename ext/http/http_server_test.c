/* SPDX-License-Identifier: MIT */
/*
 * http_server_test.c - tt_http_serve() on the real runtime: sockets, timers, cancels.
 *
 * Every order of events is in http_script_test.c; here the calls of the runtime are the
 * real ones, on each backend.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <tutti/ext/http.h>
#include <tutti/group.h>
#include <tutti/scope.h>
#include <tutti/testing.h>
#include <tutti/time.h>

TT_TEST_MAIN()

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };

struct counts {
	unsigned handled, lent, back;
};

static struct counts *counts_in_use; /* of the one test that a process runs */

static void give_back(void *body)
{
	counts_in_use->back++;
	free(body);
}

/* Answers with the length of the body; "/slow" takes 10 ms, "/big" answers with a MiB. */
static int handle(tt_http_request *req, tt_http_response *res, void *ctx)
{
	struct counts *n = ctx;
	size_t len = tt_http_text_is(req->path, "/big") ? 1 << 20 : 16;
	char *body = malloc(len);

	if (body == NULL)
		return TT_ENOMEM;
	memset(body, '.', len);
	for (size_t i = 16, left = req->body.len; i-- > 0; left /= 10)
		body[i] = (char)('0' + left % 10);
	n->handled++;
	n->lent++;
	tt_http_set_body(res, "text/plain", body, len, give_back);
	if (tt_http_text_is(req->path, "/slow"))
		return tt_sleep(TT_MS(10));
	return 0;
}

struct session {
	tt_fd                 *server, *client;
	const tt_http_options *options;
	struct counts          n;
	int                    rc; /* of tt_http_serve() */
};

static TT_TASK(serve, (struct session *, s))
{
	s->rc = tt_http_serve(s->server, s->options, handle, &s->n);
	tt_fd_close(s->server);
	s->server = NULL;
	return 0;
}

static TT_TASK(send_bytes, (tt_fd *, fd), (const char *, bytes), (size_t, len))
{
	/* The server may answer and close before it has read everything. */
	TT_IGNORE(tt_write_all(fd, bytes, len, NULL));
	return 0;
}

/* Everything up to the end of the stream, as a terminated text. */
static int receive(tt_fd *fd, char *buf, size_t size, size_t *ret_len)
{
	size_t len = 0;
	int n = 1;

	while (n > 0 && len < size - 1) {
		n = tt_read(fd, buf + len, size - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	buf[len] = '\0';
	*ret_len = len;
	/* So that the server does not linger for us. */
	TT_IGNORE(tt_fd_shutdown(fd, SHUT_WR));
	return n;
}

static int exchange_in_group(struct session *s, const char *bytes, size_t len, char *buf, size_t size,
			     size_t *ret_len)
{
	TT_GROUP(g);
	tt_go_with(&g, &anywhere, serve, s);
	tt_go(&g, send_bytes, s->client, bytes, len);
	return tt_group_end(&g, receive(s->client, buf, size, ret_len));
}

/* Send these bytes to a server and take what it answers until it closes. */
static void exchange(struct session *s, const char *bytes, size_t len, char *buf, size_t size,
		     size_t *ret_len)
{
	tt_fd *ends[2];

	counts_in_use = &s->n;
	REQUIRE_OK(tt_pair(ends));
	s->server = ends[0];
	s->client = ends[1];
	EXPECT_OK(exchange_in_group(s, bytes, len, buf, size, ret_len));
	tt_fd_close(s->client);
	EXPECT_EQ(s->n.lent, s->n.back);
	EXPECT_TASKS_ALIVE(1);
}

static unsigned count_of(const char *text, const char *word)
{
	unsigned n = 0;

	for (text = strstr(text, word); text != NULL; text = strstr(text + 1, word))
		n++;
	return n;
}

/* A pipeline is answered in order, the last answer says close, and then the stream ends. */
TT_TEST(http_server, pipeline_is_answered_in_order)
{
	static const char bytes[] = GET("/slow")
		"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
		"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n1234567\r\n0\r\n\r\n"
		"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
	struct session s = { .options = NULL };
	char buf[4096], *at = buf;
	size_t len;

	exchange(&s, bytes, sizeof(bytes) - 1, buf, sizeof(buf), &len);
	EXPECT_EQ(s.rc, 4);
	EXPECT_EQ(s.n.handled, 4u);
	EXPECT_EQ(count_of(buf, "HTTP/1.1 200 OK\r\n"), 4u);
	EXPECT_EQ(count_of(buf, "Connection: keep-alive\r\n"), 3u);
	for (size_t i = 0; i < 4; i++) {
		static const char *const bodies[] = { "\r\n\r\n0000000000000000", "\r\n\r\n0000000000000005",
						      "\r\n\r\n0000000000000007", "\r\n\r\n0000000000000000" };

		at = strstr(at, bodies[i]);
		REQUIRE_TRUE(at != NULL);
		at += 4;
	}
	EXPECT_TRUE(strstr(buf, "Connection: close\r\n\r\n0000000000000000") != NULL);
}

/* A body of the full MiB goes in and one comes out, through whatever buffers there are. */
TT_TEST(http_server, large_bodies_pass_both_ways)
{
	static const char head[] = "POST /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
				   "Content-Length: 1048576\r\n\r\n";
	size_t n = sizeof(head) - 1 + (1 << 20), size = (1 << 20) + 4096, len;
	char *bytes = malloc(n), *buf = malloc(size);
	struct session s = { .options = NULL };

	REQUIRE_TRUE(bytes != NULL && buf != NULL);
	memset(bytes, 'b', n);
	memcpy(bytes, head, sizeof(head) - 1);
	exchange(&s, bytes, n, buf, size, &len);
	EXPECT_EQ(s.rc, 1);
	EXPECT_TRUE(strstr(buf, "Content-Length: 1048576\r\n") != NULL);
	EXPECT_TRUE(strstr(buf, "\r\n\r\n0000000001048576....") != NULL);
	EXPECT_TRUE(len > (1 << 20) && buf[len - 1] == '.');
	free(bytes);
	free(buf);
}

/* A refused request is answered even while the peer goes on sending. */
TT_TEST(http_server, refusal_reaches_a_peer_that_still_sends)
{
	static const char head[] = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n";
	size_t n = sizeof(head) - 1 + 100000, len;
	char *bytes = malloc(n), buf[1024];
	struct session s = { .options = NULL };

	REQUIRE_TRUE(bytes != NULL);
	memset(bytes, 'b', n);
	memcpy(bytes, head, sizeof(head) - 1);
	exchange(&s, bytes, n, buf, sizeof(buf), &len);
	EXPECT_EQ(s.rc, 0);
	EXPECT_EQ(s.n.handled, 0u);
	EXPECT_TRUE(strncmp(buf, "HTTP/1.1 413 Content Too Large\r\n", 32) == 0);
	EXPECT_TRUE(strstr(buf, "Connection: close\r\n") != NULL);
	free(bytes);
}

/* Each silence ends by its own time. */
TT_TEST(http_server, silences_end)
{
	static const char head[] = "GET /", body[] = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nh";
	const tt_http_options quick = {
		.idle_timeout = TT_MS(20),
		.head_timeout = TT_MS(20),
		.body_timeout = TT_MS(20),
		.linger_timeout = TT_MS(20),
	};
	struct session s = { .options = &quick };
	char buf[1024];
	size_t len;

	exchange(&s, "", 0, buf, sizeof(buf), &len);
	EXPECT_EQ(s.rc, 0);
	EXPECT_EQ(len, 0u);
	exchange(&s, head, sizeof(head) - 1, buf, sizeof(buf), &len);
	EXPECT_EQ(s.rc, 0);
	EXPECT_TRUE(strstr(buf, "408 Request Timeout: the head did not come in time\n") != NULL);
	exchange(&s, body, sizeof(body) - 1, buf, sizeof(buf), &len);
	EXPECT_EQ(s.rc, 0);
	EXPECT_TRUE(strstr(buf, "408 Request Timeout: the body did not come in time\n") != NULL);
	EXPECT_EQ(s.n.handled, 0u);
}

static int cancel_while_it_waits(struct session *s, const char *bytes)
{
	tt_canceller *c;
	int rc;

	TT_GROUP(g);
	c = tt_group_canceller(&g);
	tt_go_with(&g, &anywhere, serve, s);
	rc = tt_write_all(s->client, bytes, strlen(bytes), NULL);
	if (rc == 0)
		rc = tt_test_wait_all_parked();
	tt_cancel(c);
	tt_canceller_put(c);
	return tt_group_end(&g, rc);
}

/* A cancel ends the call wherever it waits: for a request, inside a head, a body, a handler. */
TT_TEST(http_server, cancel_ends_every_wait)
{
	static const char *const bytes[] = {
		"", "GET /", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nh", GET("/1"),
	};

	for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
		struct session s = { .options = NULL };
		tt_fd *ends[2];

		counts_in_use = &s.n;
		REQUIRE_OK(tt_pair(ends));
		s.server = ends[0];
		s.client = ends[1];
		/* The serving task itself succeeds, so the group may: its result says nothing. */
		TT_IGNORE(cancel_while_it_waits(&s, bytes[i]));
		if (s.server == NULL)
			EXPECT_CODE(s.rc, TT_ECANCELED);
		tt_fd_close(s.server); /* NULL unless it never started */
		tt_fd_close(s.client);
		EXPECT_EQ(s.n.lent, s.n.back);
	}
}

/* A peer that resets or leaves half way is no error of the server's. */
TT_TEST(http_server, leaving_peers_are_no_errors)
{
	static const char *const bytes[] = { "", "GET", GET("/1") "GE" };

	for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
		struct session s = { .options = NULL };
		tt_fd *ends[2];

		counts_in_use = &s.n;
		REQUIRE_OK(tt_pair(ends));
		s.server = ends[0];
		REQUIRE_OK(tt_write_all(ends[1], bytes[i], strlen(bytes[i]), NULL));
		tt_fd_close(ends[1]);
		EXPECT_OK(serve(&s));
		EXPECT_TRUE(s.rc >= 0);
		EXPECT_EQ(s.n.lent, s.n.back);
	}
}

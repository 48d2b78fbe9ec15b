/* SPDX-License-Identifier: MIT */
/*
 * curl_test.c - transfers against a server in the same program, and names from a lookup in the
 * same program: what a task gets back, what a cancel leaves behind, what is shared.
 *
 * test-on: epoll1 epoll4 uring1 uring4
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <tutti/ext/curl.h>
#include <tutti/testing.h>
#include <tutti/tutti.h>

TT_TEST_MAIN()

#define CURL_TEST(name) TT_TEST_ON(curl, name, TT_ON_REAL, "libcurl makes its own system calls")

#define BIG (4u << 20)

static const tt_child_options nearby = { .worker = TT_WORKER_HERE };
static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };
static const tt_child_options elsewhere = { .worker = TT_WORKER(1) };

static int64_t real_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * TT_SEC(1) + ts.tv_nsec;
}

/* ---- names ---- */

static int hang[2] = { -1, -1 };        /* a lookup of hang.test reads from it: until it is closed */
static unsigned asked, asked_hang, hung_back; /* atomic: any thread */

static unsigned times(unsigned *n)
{
	/* acquire: pairs with the acq_rel in once_more(). */
	return __atomic_load_n(n, __ATOMIC_ACQUIRE);
}

static void once_more(unsigned *n)
{
	/* acq_rel: pairs with the acquire in times(): who sees a lookup counted may close its pipe. */
	__atomic_fetch_add(n, 1, __ATOMIC_ACQ_REL);
}

static struct addrinfo *address(const char *text, uint16_t port, struct addrinfo *next)
{
	struct addrinfo *a = calloc(1, sizeof(*a) + sizeof(struct sockaddr_in6));
	struct sockaddr_in *v4;
	struct sockaddr_in6 *v6;

	if (a == NULL)
		abort();
	a->ai_socktype = SOCK_STREAM;
	a->ai_protocol = IPPROTO_TCP;
	a->ai_next = next;
	a->ai_addr = (struct sockaddr *)(void *)(a + 1);
	if (strchr(text, ':') != NULL) {
		v6 = (struct sockaddr_in6 *)(void *)a->ai_addr;
		a->ai_family = v6->sin6_family = AF_INET6;
		a->ai_addrlen = sizeof(*v6);
		v6->sin6_port = htons(port);
		inet_pton(AF_INET6, text, &v6->sin6_addr);
	} else {
		v4 = (struct sockaddr_in *)(void *)a->ai_addr;
		a->ai_family = v4->sin_family = AF_INET;
		a->ai_addrlen = sizeof(*v4);
		v4->sin_port = htons(port);
		inet_pton(AF_INET, text, &v4->sin_addr);
	}
	return a;
}

static int hang_until_closed(void)
{
	char byte;

	once_more(&asked_hang);
	while (read(hang[0], &byte, 1) > 0)
		;
	once_more(&hung_back);
	return EAI_AGAIN;
}

/* Takes the place of libc's for all of this program, libcurl included. */
__attribute__((visibility("default"))) int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                                                       struct addrinfo **ret)
{
	uint16_t port = service != NULL ? (uint16_t)strtoul(service, NULL, 10) : 0;

	(void)hints;
	once_more(&asked);
	if (strcasecmp(host, "hang.test") == 0)
		return hang_until_closed();
	if (strcasecmp(host, "here.test") == 0 || strcasecmp(host, "other.test") == 0)
		*ret = address("127.0.0.1", port, NULL);
	else if (strcasecmp(host, "both.test") == 0)
		*ret = address("::1", port, address("127.0.0.1", port, NULL));
	else
		return EAI_NONAME;
	return 0;
}

__attribute__((visibility("default"))) void freeaddrinfo(struct addrinfo *a)
{
	for (struct addrinfo *next; a != NULL; a = next) {
		next = a->ai_next;
		free(a);
	}
}

static void hang_lookups(void)
{
	if (pipe2(hang, O_CLOEXEC) < 0)
		abort();
}

/* Lets the hung lookups go, and waits until they have gone. */
static void release_lookups(void)
{
	close(hang[1]);
	while (times(&hung_back) < times(&asked_hang))
		EXPECT_OK(tt_sleep(TT_MS(1)));
	close(hang[0]);
}

/* ---- a server; all its tasks are on the first worker ---- */

struct site {
	tt_fd *listener;
	int port;
	char location[64];              /* where /redirect goes */
	unsigned connections, requests, ended; /* ended: connections that the client closed */
	size_t sent;                    /* of bodies of BIG bytes */
	tt_notify changed;
};

static int say(tt_fd *fd, const char *text)
{
	return tt_write_all(fd, text, strlen(text), NULL);
}

static int answer(tt_fd *fd, const char *status, const char *more, const char *body)
{
	char head[256];

	snprintf(head, sizeof(head), "HTTP/1.1 %s\r\nContent-Length: %zu\r\n%s\r\n%s", status, strlen(body), more, body);
	return say(fd, head);
}

static int answer_chunked(tt_fd *fd)
{
	TT_TRY(say(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfirst \r\n"));
	TT_TRY(tt_sleep(TT_MS(2)));
	TT_TRY(say(fd, "7\r\nsecond \r\n"));
	TT_TRY(tt_sleep(TT_MS(2)));
	return say(fd, "5\r\nthird\r\n0\r\n\r\n");
}

static int answer_big(struct site *s, tt_fd *fd)
{
	char head[128], piece[4096];

	snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %u\r\n\r\n", BIG);
	TT_TRY(say(fd, head));
	for (size_t i = 0; i < BIG; i += sizeof(piece)) {
		memset(piece, 'a' + (int)(i / sizeof(piece) % 26), sizeof(piece));
		TT_TRY(tt_write_all(fd, piece, sizeof(piece), NULL));
		s->sent += sizeof(piece);
	}
	return 0;
}

/* Waits for the client to go. */
static int until_closed(tt_fd *fd)
{
	char byte;

	return tt_read(fd, &byte, 1) <= 0 ? TT_EEOF : TT_EPROTO;
}

static int answer_partly(tt_fd *fd)
{
	TT_TRY(say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789"));
	return until_closed(fd);
}

static int answer_late(tt_fd *fd)
{
	TT_TRY(tt_sleep(TT_MS(100)));
	return answer(fd, "200 OK", "", "hello");
}

static int answer_cut(tt_fd *fd)
{
	TT_TRY(tt_sleep(TT_MS(10)));
	TT_TRY(say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789"));
	return TT_ESTOP;
}

static int route(struct site *s, tt_fd *fd, const char *path, const char *body)
{
	char more[128];

	s->requests++;
	if (strncmp(path, "http://", 7) == 0)
		return answer(fd, "200 OK", "", "from the proxy");
	if (strcmp(path, "/hello") == 0)
		return answer(fd, "200 OK", "", "hello");
	if (strcmp(path, "/empty") == 0)
		return answer(fd, "204 No Content", "", "");
	if (strcmp(path, "/echo") == 0)
		return answer(fd, "200 OK", "", body);
	if (strcmp(path, "/chunked") == 0)
		return answer_chunked(fd);
	if (strcmp(path, "/big") == 0)
		return answer_big(s, fd);
	if (strcmp(path, "/slow") == 0)
		return until_closed(fd);
	if (strcmp(path, "/partly") == 0)
		return answer_partly(fd);
	if (strcmp(path, "/late") == 0)
		return answer_late(fd);
	if (strcmp(path, "/cut") == 0)
		return answer_cut(fd);
	if (strcmp(path, "/redirect") == 0) {
		snprintf(more, sizeof(more), "Location: %s\r\n", s->location);
		return answer(fd, "302 Found", more, "");
	}
	return answer(fd, "404 Not Found", "", "no such thing");
}

static int body_length(tt_reader *r, size_t *ret_len)
{
	char *line;
	size_t n;
	int rc;

	*ret_len = 0;
	while ((rc = tt_read_until(r, '\n', &line, &n)) > 0 && line[0] != '\r')
		if (strncasecmp(line, "Content-Length:", 15) == 0)
			*ret_len = strtoul(line + 15, NULL, 10);
	return rc;
}

/* One request. 0: the client has gone. */
static int serve_one(struct site *s, tt_fd *fd, tt_reader *r)
{
	char path[256], body[1024], *line;
	size_t n;
	int rc = tt_read_until(r, '\n', &line, &n);

	if (rc <= 0)
		return rc;
	if (sscanf(line, "%*s %255s", path) != 1)
		return TT_EPROTO;
	rc = body_length(r, &n);
	if (rc <= 0 || n >= sizeof(body))
		return rc <= 0 ? rc : TT_EMSGSIZE;
	TT_TRY(tt_reader_read_exact(r, body, n, NULL));
	body[n] = '\0';
	rc = route(s, fd, path, body);
	return rc < 0 ? rc : 1;
}

static TT_TASK(serve, (struct site *, s), (tt_fd *, fd, tt_fd_close))
{
	char buf[4096];
	tt_reader r;
	int rc;

	tt_reader_init(&r, fd, buf, sizeof(buf));
	while ((rc = serve_one(s, fd, &r)) > 0)
		;
	if (rc != TT_ECANCELED && rc != TT_ESTOP)
		s->ended++;
	tt_notify_all(&s->changed);
	tt_fd_close(fd);
	return 0;
}

static TT_TASK(listen_for_clients, (struct site *, s))
{
	tt_group_options o = { .policy = TT_ISOLATE };
	tt_fd *fd;
	int rc;

	TT_GROUP_WITH(g, &o);
	while ((rc = tt_accept(s->listener, &fd, NULL)) == 0) {
		s->connections++;
		tt_go_with(&g, &nearby, serve, s, fd);
	}
	return tt_group_end(&g, rc);
}

typedef int client_fn(struct site *s);

/* Runs client with a server, and gives back what it left behind. */
static int with_site(client_fn *client)
{
	struct site s = { 0 };
	int rc;

	tt_notify_init(&s.changed);
	TT_TRY(tt_tcp_listen("127.0.0.1:0", NULL, &s.listener));
	s.port = tt_fd_local_port(s.listener);
	{
		TT_GROUP(g);
		tt_go_with(&g, &nearby, listen_for_clients, &s);
		rc = client(&s);
		tt_group_cancel(&g);
		rc = tt_group_end(&g, rc);
	}
	tt_fd_close(s.listener);
	tt_notify_fini(&s.changed);
	tt_curl_close_idle();
	return rc;
}

static int wait_until_ended(struct site *s, unsigned n)
{
	while (s->ended < n)
		TT_TRY(tt_notify_wait(&s->changed));
	return 0;
}

#define SITE_TEST(name) \
	static int client_of_##name(struct site *s); \
	CURL_TEST(name) { EXPECT_OK(TT_WITHIN(TT_SEC(20), with_site(client_of_##name))); } \
	static int client_of_##name(struct site *s)

/* ---- a client ---- */

struct body {
	char text[4096];
	size_t len;
};

static size_t keep(char *data, size_t one, size_t n, void *arg)
{
	struct body *b = arg;

	(void)one;
	if (n > sizeof(b->text) - 1 - b->len)
		return 0;
	memcpy(b->text + b->len, data, n);
	b->len += n;
	b->text[b->len] = '\0';
	return n;
}

static CURL *handle_for(const char *host, int port, const char *path, struct body *b)
{
	CURL *easy = curl_easy_init();
	char url[256];

	if (easy == NULL)
		abort();
	snprintf(url, sizeof(url), "http://%s:%d%s", host, port, path);
	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
	*b = (struct body){ .len = 0 };
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, keep);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, b);
	return easy;
}

static long status_of(CURL *easy)
{
	long status = 0;

	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

/* One transfer of its own: its code, and its status and body. */
static int fetch(const char *host, int port, const char *path, long *ret_status, struct body *b)
{
	CURL *easy = handle_for(host, port, path, b);
	int rc = tt_curl_perform(easy);

	*ret_status = status_of(easy);
	curl_easy_cleanup(easy);
	return rc;
}

static const char *chain_of(int code)
{
	static char text[1024];
	tt_error e;

	tt_error_take(&e, code);
	tt_error_text(&e, text, sizeof(text));
	tt_error_fini(&e);
	return text;
}

/* ---- what comes back ---- */

/* The body goes to the handle's own callback, the status is libcurl's to tell. */
SITE_TEST(fetches_a_body)
{
	struct body b;
	long status;

	EXPECT_OK(fetch("127.0.0.1", s->port, "/hello", &status, &b));
	EXPECT_EQ(status, 200);
	EXPECT_STR_EQ(b.text, "hello");
	EXPECT_OK(fetch("127.0.0.1", s->port, "/empty", &status, &b));
	EXPECT_EQ(status, 204);
	EXPECT_EQ(b.len, 0);
	EXPECT_OK(fetch("127.0.0.1", s->port, "/chunked", &status, &b));
	EXPECT_STR_EQ(b.text, "first second third");
	return 0;
}

/* An answer of 404 is a transfer that went well, unless the handle says otherwise. */
SITE_TEST(not_found_is_a_success)
{
	struct body b;
	long status;
	CURL *easy;

	EXPECT_OK(fetch("127.0.0.1", s->port, "/nothing", &status, &b));
	EXPECT_EQ(status, 404);
	EXPECT_STR_EQ(b.text, "no such thing");
	easy = handle_for("127.0.0.1", s->port, "/nothing", &b);
	curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L);
	EXPECT_CODE(tt_curl_perform(easy), TT_CURL_CODE(CURLE_HTTP_RETURNED_ERROR));
	curl_easy_cleanup(easy);
	return 0;
}

struct source {
	const char *text;
	size_t at;
};

static size_t give(char *buf, size_t one, size_t n, void *arg)
{
	struct source *from = arg;
	size_t left = strlen(from->text) - from->at;

	(void)one;
	n = n < left ? n : left;
	n = n < 5 ? n : 5;
	memcpy(buf, from->text + from->at, n);
	from->at += n;
	return n;
}

/* Bodies go up from memory and from a callback. */
SITE_TEST(uploads)
{
	struct source from = { "piece by piece", 0 };
	struct body b;
	CURL *easy = handle_for("127.0.0.1", s->port, "/echo", &b);

	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "all at once");
	EXPECT_OK(tt_curl_perform(easy));
	EXPECT_STR_EQ(b.text, "all at once");
	curl_easy_cleanup(easy);
	easy = handle_for("127.0.0.1", s->port, "/echo", &b);
	curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(easy, CURLOPT_READFUNCTION, give);
	curl_easy_setopt(easy, CURLOPT_READDATA, &from);
	curl_easy_setopt(easy, CURLOPT_INFILESIZE, 14L);
	EXPECT_OK(tt_curl_perform(easy));
	EXPECT_STR_EQ(b.text, "piece by piece");
	curl_easy_cleanup(easy);
	return 0;
}

/* A code is libcurl's, by name, with libcurl's words in the chain. */
SITE_TEST(errors_are_libcurls_own)
{
	struct body b;
	long status;
	const char *text;
	CURL *easy;

	EXPECT_CODE(fetch("127.0.0.1", 1, "/", &status, &b), TT_CURL_CODE(CURLE_COULDNT_CONNECT));
	text = chain_of(TT_CURL_CODE(CURLE_COULDNT_CONNECT));
	EXPECT_TRUE(strstr(text, "127.0.0.1 port 1") != NULL);
	EXPECT_TRUE(strstr(text, "(CURLE_COULDNT_CONNECT)") != NULL);
	EXPECT_CODE(fetch("127.0.0.1", s->port, "/cut", &status, &b), TT_CURL_CODE(CURLE_PARTIAL_FILE));
	EXPECT_STR_EQ(b.text, "0123456789");
	EXPECT_STR_EQ(tt_error_name(TT_CURL_CODE(CURLE_PARTIAL_FILE)), "CURLE_PARTIAL_FILE");
	EXPECT_STR_EQ(tt_strerror(TT_CURL_CODE(CURLE_PARTIAL_FILE)), curl_easy_strerror(CURLE_PARTIAL_FILE));
	easy = handle_for("127.0.0.1", s->port, "/slow", &b);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 30L);
	EXPECT_CODE(tt_curl_perform(easy), TT_CURL_CODE(CURLE_OPERATION_TIMEDOUT));
	curl_easy_setopt(easy, CURLOPT_URL, "nothing://of/ours");
	EXPECT_CODE(tt_curl_perform(easy), TT_CURL_CODE(CURLE_UNSUPPORTED_PROTOCOL));
	curl_easy_cleanup(easy);
	EXPECT_CODE(tt_curl_perform(NULL), TT_EINVAL);
	return 0;
}

/* ---- what is shared ---- */

/* Connections are kept from call to call, whatever handle makes it. */
SITE_TEST(connections_are_kept)
{
	struct body b;
	long status;
	CURL *easy = handle_for("127.0.0.1", s->port, "/hello", &b);

	for (int i = 0; i < 5; i++) {
		EXPECT_OK(fetch("127.0.0.1", s->port, "/hello", &status, &b));
		EXPECT_OK(tt_curl_perform(easy));
	}
	curl_easy_cleanup(easy);
	EXPECT_EQ(s->requests, 10);
	EXPECT_EQ(s->connections, 1);
	tt_curl_close_idle();
	TT_TRY(wait_until_ended(s, 1));
	EXPECT_OK(fetch("127.0.0.1", s->port, "/hello", &status, &b));
	EXPECT_EQ(s->connections, 2);
	return 0;
}

static TT_TASK(fetch_hello, (int, port), (unsigned, n))
{
	struct body b;
	long status;

	for (unsigned i = 0; i < n; i++) {
		TT_TRY(fetch("127.0.0.1", port, i % 2 == 0 ? "/hello" : "/chunked", &status, &b));
		if (status != 200 || strcmp(b.text, i % 2 == 0 ? "hello" : "first second third") != 0)
			return TT_EPROTO;
	}
	return 0;
}

/* A hundred tasks at a time, on all workers. */
SITE_TEST(a_hundred_at_a_time)
{
	int rc;

	TT_GROUP(g);
	for (int i = 0; i < 100; i++)
		tt_go_with(&g, &anywhere, fetch_hello, s->port, 3u);
	rc = tt_group_end(&g, 0);
	EXPECT_EQ(s->requests, 300);
	EXPECT_LE(s->connections, 100);
	return rc;
}

/* ---- cancels ---- */

/* A listener nobody can connect to: its backlog is full. */
struct black_hole {
	int listener, fillers[4];
	int port;
};

static void black_hole_open(struct black_hole *h)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(a);

	h->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(h->listener, (struct sockaddr *)(void *)&a, n) < 0 || listen(h->listener, 0) < 0 ||
	    getsockname(h->listener, (struct sockaddr *)(void *)&a, &n) < 0)
		abort();
	h->port = ntohs(a.sin_port);
	for (int i = 0; i < 4; i++) {
		h->fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		TT_IGNORE(connect(h->fillers[i], (struct sockaddr *)(void *)&a, n));
	}
}

static void black_hole_close(struct black_hole *h)
{
	for (int i = 0; i < 4; i++)
		close(h->fillers[i]);
	close(h->listener);
}

/* A timeout while connecting; afterwards the handle may be used, reset, cleaned up at once. */
SITE_TEST(timeout_while_connecting)
{
	struct black_hole h;
	struct body b;
	char url[64];
	int64_t begin;
	CURL *easy;

	black_hole_open(&h);
	easy = handle_for("127.0.0.1", h.port, "/", &b);
	EXPECT_CODE(TT_WITHIN(TT_MS(30), tt_curl_perform(easy)), TT_ETIMEDOUT);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/hello", s->port);
	curl_easy_setopt(easy, CURLOPT_URL, url);
	EXPECT_OK(tt_curl_perform(easy));
	EXPECT_STR_EQ(b.text, "hello");
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/hello", h.port);
	curl_easy_setopt(easy, CURLOPT_URL, url);
	EXPECT_CODE(TT_WITHIN(TT_MS(30), tt_curl_perform(easy)), TT_ETIMEDOUT);
	begin = real_ns();
	curl_easy_reset(easy);
	curl_easy_cleanup(easy);
	EXPECT_LT(real_ns() - begin, TT_SEC(1));
	black_hole_close(&h);
	return 0;
}

/* A timeout while reading closes the connection; what had come stays delivered. */
SITE_TEST(timeout_while_reading)
{
	struct body b;
	long status;

	EXPECT_CODE(TT_WITHIN(TT_MS(30), fetch("127.0.0.1", s->port, "/slow", &status, &b)), TT_ETIMEDOUT);
	EXPECT_OK(wait_until_ended(s, 1));
	EXPECT_CODE(TT_WITHIN(TT_MS(50), fetch("127.0.0.1", s->port, "/partly", &status, &b)), TT_ETIMEDOUT);
	EXPECT_STR_EQ(b.text, "0123456789");
	EXPECT_EQ(status, 200);
	EXPECT_OK(wait_until_ended(s, 2));
	EXPECT_OK(fetch("127.0.0.1", s->port, "/hello", &status, &b));
	return 0;
}

static TT_TASK(fetch_slow, (int, port), (int, within_ms))
{
	struct body b;
	long status;
	int rc = TT_WITHIN(TT_MS(within_ms), fetch("127.0.0.1", port, "/slow", &status, &b));

	return rc == TT_ETIMEDOUT ? 0 : TT_EPROTO;
}

static int storm(struct site *s, unsigned n)
{
	TT_GROUP(g);
	for (unsigned i = 0; i < n; i++) {
		tt_go_with(&g, &anywhere, fetch_slow, s->port, 5 + (int)(i * 7 % 60));
		tt_go_with(&g, &anywhere, fetch_hello, s->port, 4u);
	}
	return tt_group_end(&g, 0);
}

/* Whoever is cancelled, the leader of its worker included, the others go on. */
SITE_TEST(others_go_on_when_some_are_cancelled)
{
	EXPECT_OK(storm(s, 24));
	EXPECT_OK(wait_until_ended(s, 24));
	return 0;
}

static TT_TASK(fetch_for_ever, (int, port))
{
	struct body b;
	long status;

	return fetch("127.0.0.1", port, "/slow", &status, &b);
}

static int cancelled_group(struct site *s)
{
	TT_GROUP(g);
	for (int i = 0; i < 8; i++)
		tt_go_with(&g, &anywhere, fetch_for_ever, s->port);
	while (s->requests < 8)
		TT_TRY_IN(&g, tt_sleep(TT_MS(1)));
	tt_group_cancel(&g);
	return tt_group_end(&g, 0);
}

/* A cancelled group of transfers ends at once, and its connections with it. */
SITE_TEST(cancelled_in_the_middle)
{
	int64_t begin = real_ns();

	EXPECT_OK(cancelled_group(s));
	EXPECT_OK(wait_until_ended(s, 8));
	EXPECT_LT(real_ns() - begin, TT_SEC(5));
	/* A scope that is cancelled before: nothing is begun. */
	EXPECT_CODE(TT_WITHIN(0, tt_curl_perform(NULL)), TT_ETIMEDOUT);
	return 0;
}

static TT_TASK(fetch_late, (int, port))
{
	struct body b;
	long status;

	return TT_WITHIN(TT_SEC(5), fetch("127.0.0.1", port, "/late", &status, &b));
}

/* When the one that leads is cancelled, one of those left leads. */
SITE_TEST(leader_is_replaced)
{
	struct body b;
	long status;

	TT_GROUP(g);
	tt_go_with(&g, &nearby, fetch_late, s->port);
	/* The child starts when this waits: it follows. */
	EXPECT_CODE(TT_WITHIN(TT_MS(30), fetch("127.0.0.1", s->port, "/slow", &status, &b)), TT_ETIMEDOUT);
	return tt_group_end(&g, 0);
}

static TT_TASK(times_out_by_libcurl, (int, port), (int *, ret_rc))
{
	struct body b;
	CURL *easy = handle_for("127.0.0.1", port, "/slow", &b);

	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 20L);
	*ret_rc = TT_WITHIN(TT_SEC(5), tt_curl_perform(easy));
	curl_easy_cleanup(easy);
	return 0;
}

/* Keeps the worker until the other's time has passed, and lets libcurl see that; then cancels the
 * other, if told so. */
static int drive_late(struct site *s, bool cancel, int *ret_rc)
{
	struct body b;
	long status;

	TT_GROUP(g);
	tt_go_with(&g, &nearby, times_out_by_libcurl, s->port, ret_rc);
	while (s->requests < 1)
		TT_TRY_IN(&g, tt_sleep(TT_MS(1)));
	for (int64_t until = real_ns() + TT_MS(40); real_ns() < until;)
		;
	EXPECT_CODE(fetch("no host", 1, "/", &status, &b), TT_CURL_CODE(CURLE_URL_MALFORMAT));
	if (cancel)
		tt_group_cancel(&g);
	return tt_group_end(&g, 0);
}

/* A transfer that ends while another task lets libcurl work is noticed by its own, which leads. */
SITE_TEST(leader_is_woken_by_others)
{
	int64_t begin = real_ns();
	int rc = 0;

	TT_TRY(drive_late(s, false, &rc));
	EXPECT_CODE(rc, TT_CURL_CODE(CURLE_OPERATION_TIMEDOUT));
	EXPECT_LT(real_ns() - begin, TT_SEC(3)); /* not by the five seconds around it */
	return 0;
}

/* Completed wins: a transfer that is over when the cancel comes has its own result. */
SITE_TEST(over_before_the_cancel)
{
	int rc = 0;

	TT_TRY(drive_late(s, true, &rc));
	EXPECT_CODE(rc, TT_CURL_CODE(CURLE_OPERATION_TIMEDOUT));
	return 0;
}

/* ---- names ---- */

static TT_TASK(fetch_by_name, (int, port))
{
	struct body b;
	long status;

	TT_TRY(fetch("here.test", port, "/hello", &status, &b));
	return status == 200 ? 0 : TT_EPROTO;
}

/* A name is looked up once for all who ask meanwhile, and then known for a while. */
SITE_TEST(names_are_looked_up_together)
{
	int rc;

	{
		TT_GROUP(g);
		for (int i = 0; i < 10; i++)
			tt_go_with(&g, &nearby, fetch_by_name, s->port);
		rc = tt_group_end(&g, 0);
	}
	EXPECT_OK(rc);
	EXPECT_OK(fetch_by_name(s->port));
	EXPECT_EQ(times(&asked), 1u);
	return 0;
}

/* All addresses of a name are tried: nobody listens at the first. */
SITE_TEST(all_addresses_are_tried)
{
	struct body b;
	long status;

	EXPECT_OK(fetch("both.test", s->port, "/hello", &status, &b));
	EXPECT_EQ(times(&asked), 1u);
	return 0;
}

SITE_TEST(unknown_name)
{
	struct body b;
	long status;
	const char *text;

	(void)s;
	EXPECT_CODE(fetch("nosuch.test", 80, "/", &status, &b), TT_CURL_CODE(CURLE_COULDNT_RESOLVE_HOST));
	text = chain_of(TT_CURL_CODE(CURLE_COULDNT_RESOLVE_HOST));
	EXPECT_TRUE(strstr(text, "Could not resolve host: nosuch.test") != NULL);
	EXPECT_EQ(times(&asked), 1u);
	return 0;
}

/* Redirects are libcurl's affair, to the same host and to others. */
SITE_TEST(redirects)
{
	struct body b;
	CURL *easy = handle_for("here.test", s->port, "/redirect", &b);

	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
	snprintf(s->location, sizeof(s->location), "/hello");
	EXPECT_OK(tt_curl_perform(easy));
	EXPECT_STR_EQ(b.text, "hello");
	b.len = 0;
	snprintf(s->location, sizeof(s->location), "http://other.test:%d/hello", s->port);
	EXPECT_OK(tt_curl_perform(easy));
	EXPECT_STR_EQ(b.text, "hello");
	EXPECT_EQ(s->requests, 4);
	snprintf(s->location, sizeof(s->location), "http://nosuch.test:%d/hello", s->port);
	EXPECT_CODE(tt_curl_perform(easy), TT_CURL_CODE(CURLE_COULDNT_RESOLVE_HOST));
	EXPECT_EQ(s->requests, 5);
	curl_easy_cleanup(easy);
	return 0;
}

/* What an option makes unnecessary is not looked up: CURLOPT_RESOLVE, CURLOPT_CONNECT_TO, a
 * proxy. */
SITE_TEST(options_come_before_lookups)
{
	struct curl_slist *list;
	struct body b;
	char text[96];
	CURL *easy = handle_for("mine.test", s->port, "/hello", &b);

	snprintf(text, sizeof(text), "mine.test:%d:127.0.0.1", s->port);
	list = curl_slist_append(NULL, text);
	curl_easy_setopt(easy, CURLOPT_RESOLVE, list);
	EXPECT_OK(tt_curl_perform(easy));
	curl_easy_cleanup(easy);
	curl_slist_free_all(list);

	easy = handle_for("virtual.test", 80, "/hello", &b);
	snprintf(text, sizeof(text), "::127.0.0.1:%d", s->port);
	list = curl_slist_append(NULL, text);
	curl_easy_setopt(easy, CURLOPT_CONNECT_TO, list);
	EXPECT_OK(tt_curl_perform(easy));
	EXPECT_STR_EQ(b.text, "hello");
	curl_easy_cleanup(easy);
	curl_slist_free_all(list);

	easy = handle_for("far.test", 80, "/hello", &b);
	snprintf(text, sizeof(text), "http://127.0.0.1:%d", s->port);
	curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
	curl_easy_setopt(easy, CURLOPT_PROXY, text);
	EXPECT_OK(tt_curl_perform(easy));
	EXPECT_STR_EQ(b.text, "from the proxy");
	EXPECT_EQ(times(&asked), 0u);
	/* A proxy's own name, and one of CURLOPT_CONNECT_TO, are not the URL's. */
	b.len = 0;
	snprintf(text, sizeof(text), "http://here.test:%d", s->port);
	curl_easy_setopt(easy, CURLOPT_PROXY, text);
	EXPECT_OK(tt_curl_perform(easy));
	EXPECT_STR_EQ(b.text, "from the proxy");
	curl_easy_cleanup(easy);
	easy = handle_for("virtual.test", 80, "/hello", &b);
	snprintf(text, sizeof(text), "::other.test:%d", s->port);
	list = curl_slist_append(NULL, text);
	curl_easy_setopt(easy, CURLOPT_CONNECT_TO, list);
	EXPECT_OK(tt_curl_perform(easy));
	EXPECT_STR_EQ(b.text, "hello");
	curl_easy_cleanup(easy);
	curl_slist_free_all(list);
	EXPECT_EQ(times(&asked), 2u);
	return 0;
}

/* A lookup that hangs holds up no worker, and nobody who is cancelled: neither the first one,
 * nor one that libcurl makes itself on the way. */
SITE_TEST(hung_lookups)
{
	struct body b;
	long status;
	int64_t begin = real_ns();
	CURL *easy = handle_for("here.test", s->port, "/redirect", &b);

	hang_lookups();
	EXPECT_CODE(TT_WITHIN(TT_MS(50), fetch("hang.test", s->port, "/hello", &status, &b)), TT_ETIMEDOUT);
	EXPECT_EQ(times(&asked_hang), 1u);
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
	snprintf(s->location, sizeof(s->location), "http://hang.test:%d/hello", s->port);
	EXPECT_CODE(TT_WITHIN(TT_MS(200), tt_curl_perform(easy)), TT_ETIMEDOUT);
	EXPECT_EQ(times(&asked_hang), 2u);
	EXPECT_OK(fetch("here.test", s->port, "/hello", &status, &b));
	curl_easy_cleanup(easy);
	tt_curl_close_idle();
	EXPECT_LT(real_ns() - begin, TT_SEC(3));
	EXPECT_EQ(times(&hung_back), 0u);
	release_lookups();
	return 0;
}

/* ---- misuse ---- */

static size_t sleeps(char *data, size_t one, size_t n, void *arg)
{
	(void)data;
	(void)arg;
	return tt_sleep(TT_MS(1)) == 0 ? n * one : 0;
}

static size_t performs(char *data, size_t one, size_t n, void *easy)
{
	(void)data;
	EXPECT_CODE(tt_curl_perform(easy), TT_EWRONGCTX);
	return n * one;
}

static int performs_another(struct site *s)
{
	struct body b;
	CURL *easy = handle_for("127.0.0.1", s->port, "/hello", &b);
	CURL *other = handle_for("127.0.0.1", s->port, "/hello", &b);
	int rc;

	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, performs);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, other);
	rc = tt_curl_perform(easy);
	curl_easy_cleanup(other);
	curl_easy_cleanup(easy);
	return rc;
}

static TT_TASK(performs_busy, (CURL *, easy))
{
	int rc = tt_curl_perform(easy);

	return rc == TT_EBUSY ? 0 : TT_EPROTO;
}

static int used_twice(struct site *s)
{
	struct body b;
	CURL *easy = handle_for("127.0.0.1", s->port, "/cut", &b);
	int rc;

	TT_GROUP(g);
	tt_go_with(&g, &nearby, performs_busy, easy);
	EXPECT_CODE(tt_curl_perform(easy), TT_CURL_CODE(CURLE_PARTIAL_FILE));
	/* The first transfer was not touched: its text is still there. */
	EXPECT_TRUE(strstr(chain_of(TT_CURL_CODE(CURLE_PARTIAL_FILE)), "bytes remaining") != NULL);
	rc = tt_group_end(&g, 0);
	curl_easy_cleanup(easy);
	return rc;
}

static int client_that_sleeps(struct site *s)
{
	struct body b;
	CURL *easy = handle_for("127.0.0.1", s->port, "/hello", &b);
	int rc;

	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, sleeps);
	rc = tt_curl_perform(easy);
	curl_easy_cleanup(easy);
	return rc;
}

static TT_TASK(with_a_callback_that_sleeps)
{
	return with_site(client_that_sleeps);
}

/* A callback that waits would let other tasks into libcurl: it aborts, and says so. */
TT_TEST_PLAIN(curl, callbacks_may_not_wait)
{
	tt_main_options o = { .workers = 1, .io = TT_IO_EPOLL };

	EXPECT_ABORTS(TT_IGNORE(tt_main_with(&o, with_a_callback_that_sleeps)), "sleep would wait inside a libcurl callback");
}

static TT_TASK(closes_anothers, (tt_curl_stream *, stream))
{
	tt_curl_close(stream);
	return 0;
}

static int close_elsewhere(struct site *s)
{
	struct body b;
	tt_curl_stream *stream;
	CURL *easy = handle_for("127.0.0.1", s->port, "/hello", &b);

	TT_TRY(tt_curl_open(easy, &stream));
	TT_GROUP(g);
	tt_go_with(&g, &elsewhere, closes_anothers, stream);
	return tt_group_end(&g, 0);
}

static TT_TASK(with_a_stream_closed_elsewhere)
{
	return with_site(close_elsewhere);
}

/* So does a stream that is closed where it does not live. */
TT_TEST_PLAIN(curl, closed_on_another_worker)
{
	tt_main_options o = { .workers = 2, .io = TT_IO_EPOLL };

	EXPECT_ABORTS(TT_IGNORE(tt_main_with(&o, with_a_stream_closed_elsewhere)), "belongs to another worker");
}

static int without_descriptors(struct site *s)
{
	struct rlimit before, none = { 0, 0 };
	struct body b;
	long status;
	int rc;

	if (getrlimit(RLIMIT_NOFILE, &before) < 0)
		abort();
	none.rlim_max = before.rlim_max;
	setrlimit(RLIMIT_NOFILE, &none);
	rc = fetch("127.0.0.1", s->port, "/hello", &status, &b);
	setrlimit(RLIMIT_NOFILE, &before);
	return rc;
}

/* Without descriptors a worker's libcurl does not start; later it does. */
SITE_TEST(no_descriptors)
{
	struct body b;
	long status;

	EXPECT_CODE(without_descriptors(s), TT_EMFILE);
	EXPECT_TRUE(strstr(chain_of(TT_EMFILE), "start libcurl") != NULL);
	EXPECT_OK(fetch("127.0.0.1", s->port, "/hello", &status, &b));
	return 0;
}

static bool refuse_watches;

/* Takes the place of libc's: the adapter is its only caller. */
int epoll_ctl(int set, int op, int fd, struct epoll_event *event)
{
	if (!refuse_watches || op != EPOLL_CTL_ADD)
		return (int)syscall(SYS_epoll_ctl, set, op, fd, event);
	errno = ENOSPC;
	return -1;
}

static int refused_beside_others(struct site *s)
{
	struct body b;
	long status;

	TT_GROUP(g);
	tt_go_with(&g, &nearby, fetch_late, s->port);
	while (s->requests < 1)
		TT_TRY_IN(&g, tt_sleep(TT_MS(1)));
	refuse_watches = true;
	EXPECT_CODE(TT_WITHIN(TT_SEC(5), fetch("127.0.0.1", s->port, "/slow", &status, &b)), TT_ENOSPC);
	refuse_watches = false;
	EXPECT_TRUE(strstr(chain_of(TT_ENOSPC), "watch the sockets") != NULL);
	return tt_group_end(&g, 0);
}

/* A socket that cannot be watched fails the transfer it belongs to, and no other. */
SITE_TEST(sockets_that_cannot_be_watched)
{
	struct body b;
	long status;

	EXPECT_OK(refused_beside_others(s));
	EXPECT_OK(fetch("127.0.0.1", s->port, "/hello", &status, &b));
	return 0;
}

/* A transfer inside a callback, and a handle that is in use, are refused. */
SITE_TEST(wrong_uses_are_refused)
{
	EXPECT_OK(performs_another(s));
	EXPECT_OK(used_twice(s));
	return 0;
}

/* ---- streams ---- */

/* Reads a stream of BIG bytes to its end, in odd pieces. */
static int read_big(tt_curl_stream *stream)
{
	char buf[5000];
	size_t at = 0;
	int n;

	while ((n = tt_curl_read(stream, buf, 1 + at % sizeof(buf))) > 0)
		for (int i = 0; i < n; i++, at++)
			if (buf[i] != (char)('a' + (int)(at / 4096 % 26)))
				return tt_fail(TT_EPROTO, "a wrong byte at %zu", at);
	return n < 0 ? n : at == BIG ? 0 : tt_fail(TT_EPROTO, "%zu bytes", at);
}

/* A body under backpressure: who does not read holds the server back. */
SITE_TEST(stream_holds_the_server_back)
{
	struct body b;
	tt_curl_stream *stream;
	CURL *easy = handle_for("127.0.0.1", s->port, "/big", &b);
	size_t sent;

	curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 16384L);
	REQUIRE_OK(tt_curl_open(easy, &stream));
	EXPECT_EQ(status_of(easy), 200);
	for (sent = SIZE_MAX; sent != s->sent;) {
		sent = s->sent;
		EXPECT_OK(tt_sleep(TT_MS(30)));
	}
	EXPECT_LT(sent, BIG);
	EXPECT_OK(read_big(stream));
	EXPECT_EQ(s->sent, BIG);
	EXPECT_EQ(tt_curl_read(stream, b.text, 10), 0);
	tt_curl_close(stream);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, keep);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, &b);
	curl_easy_cleanup(easy);
	EXPECT_EQ(s->connections, 1);
	return 0;
}

static TT_TASK(stream_big, (int, port))
{
	struct body b;
	tt_curl_stream *stream;
	CURL *easy = handle_for("127.0.0.1", port, "/big", &b);
	int rc = tt_curl_open(easy, &stream);

	if (rc == 0) {
		rc = read_big(stream);
		tt_curl_close(stream);
	}
	curl_easy_cleanup(easy);
	return rc;
}

/* Several at a time, on several workers, beside plain transfers. */
SITE_TEST(several_streams)
{
	TT_GROUP(g);
	for (int i = 0; i < 4; i++) {
		tt_go_with(&g, &anywhere, stream_big, s->port);
		tt_go_with(&g, &anywhere, fetch_hello, s->port, 4u);
	}
	return tt_group_end(&g, 0);
}

/* The ends of a stream: none at all, a failure after what had come, one of the reader's own. */
SITE_TEST(ends_of_a_stream)
{
	struct body b;
	tt_curl_stream *stream;
	char buf[64];
	CURL *easy = handle_for("127.0.0.1", s->port, "/empty", &b);

	REQUIRE_OK(tt_curl_open(easy, &stream));
	EXPECT_EQ(status_of(easy), 204);
	EXPECT_EQ(tt_curl_read(stream, buf, sizeof(buf)), 0);
	tt_curl_close(stream);
	curl_easy_cleanup(easy);

	easy = handle_for("127.0.0.1", s->port, "/cut", &b);
	REQUIRE_OK(tt_curl_open(easy, &stream));
	EXPECT_EQ(tt_curl_read(stream, buf, 4), 4);
	EXPECT_EQ(tt_curl_read(stream, buf, 0), 0);
	EXPECT_EQ(tt_curl_read(stream, buf, sizeof(buf)), 6);
	EXPECT_CODE(tt_curl_read(stream, buf, sizeof(buf)), TT_CURL_CODE(CURLE_PARTIAL_FILE));
	EXPECT_CODE(tt_curl_read(stream, buf, sizeof(buf)), TT_CURL_CODE(CURLE_PARTIAL_FILE));
	tt_curl_close(stream);
	curl_easy_cleanup(easy);

	easy = handle_for("127.0.0.1", s->port, "/big", &b);
	REQUIRE_OK(tt_curl_open(easy, &stream));
	EXPECT_GT(tt_curl_read(stream, buf, sizeof(buf)), 0);
	tt_curl_close(stream);
	curl_easy_cleanup(easy);
	EXPECT_OK(wait_until_ended(s, 1));
	tt_curl_close(NULL);

	easy = handle_for("127.0.0.1", 1, "/", &b);
	EXPECT_CODE(tt_curl_open(easy, &stream), TT_CURL_CODE(CURLE_COULDNT_CONNECT));
	EXPECT_CODE(tt_curl_open(NULL, &stream), TT_EINVAL);
	curl_easy_cleanup(easy);
	return 0;
}

/* A read that is cancelled has taken nothing; an open that is leaves nothing open. */
SITE_TEST(cancelled_stream)
{
	struct body b;
	tt_curl_stream *stream;
	char buf[64];
	CURL *easy = handle_for("127.0.0.1", s->port, "/partly", &b);

	REQUIRE_OK(tt_curl_open(easy, &stream));
	EXPECT_CODE(TT_WITHIN(0, tt_curl_read(stream, buf, sizeof(buf))), TT_ETIMEDOUT);
	EXPECT_EQ(tt_curl_read(stream, buf, sizeof(buf)), 10);
	EXPECT_CODE(TT_WITHIN(TT_MS(20), tt_curl_read(stream, buf, sizeof(buf))), TT_ETIMEDOUT);
	tt_curl_close(stream);
	EXPECT_OK(wait_until_ended(s, 1));
	curl_easy_cleanup(easy);
	easy = handle_for("127.0.0.1", s->port, "/slow", &b);
	EXPECT_CODE(TT_WITHIN(TT_MS(20), tt_curl_open(easy, &stream)), TT_ETIMEDOUT);
	EXPECT_OK(wait_until_ended(s, 2));
	curl_easy_cleanup(easy);
	return 0;
}

static TT_TASK(reads_anothers, (tt_curl_stream *, stream))
{
	char buf[8];
	int rc = tt_curl_read(stream, buf, sizeof(buf));

	return rc == TT_EWRONGCTX ? 0 : TT_EPROTO;
}

static int read_elsewhere(tt_curl_stream *stream)
{
	TT_GROUP(g);
	tt_go_with(&g, &elsewhere, reads_anothers, stream);
	return tt_group_end(&g, 0);
}

static TT_TASK(lends_a_stream, (int, port))
{
	struct body b;
	tt_curl_stream *stream;
	CURL *easy = handle_for("127.0.0.1", port, "/hello", &b);
	int rc = tt_curl_open(easy, &stream);

	if (rc == 0) {
		rc = read_elsewhere(stream);
		tt_curl_close(stream);
	}
	curl_easy_cleanup(easy);
	return rc;
}

/* A stream stays on its worker. */
SITE_TEST(stream_on_another_worker)
{
	static const tt_child_options second = { .worker = TT_WORKER(2) };

	if (tt_test_workers() == 1)
		return 0;
	TT_GROUP(g);
	tt_go_with(&g, &second, lends_a_stream, s->port);
	return tt_group_end(&g, 0);
}

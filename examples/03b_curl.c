/* SPDX-License-Identifier: MIT */
/*
 * 03b_curl.c - "fetch this URL within five seconds": libcurl, with any easy handle.
 *
 * The server is in the same program, so that nothing outside is needed: GET / is answered at
 * once, anything else never.
 *
 * example-torture: no (libcurl makes its own system calls, which the simulator does not see)
 */
#include <stdio.h>
#include <string.h>
#include <tutti/ext/curl.h>
#include <tutti/tutti.h>

TT_TASK(serve, (tt_fd *, conn, tt_fd_close))
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nhello to you\n";
	char buf[1024], *line;
	size_t len;
	tt_reader r;
	int rc;

	tt_reader_init(&r, conn, buf, sizeof(buf));
	rc = tt_read_until(&r, '\n', &line, &len);
	if (rc > 0 && strncmp(line, "GET / ", 6) == 0)
		rc = tt_write_all(conn, answer, sizeof(answer) - 1, NULL);
	if (rc >= 0)
		rc = tt_read_until(&r, '\0', &line, &len); /* until the client goes */
	tt_fd_close(conn);
	return rc == TT_ECANCELED ? rc : 0;
}

TT_TASK(server, (tt_fd *, listener))
{
	tt_fd *conn;
	int rc;

	TT_GROUP(g);
	while ((rc = tt_accept(listener, &conn, NULL)) == 0)
		tt_go(&g, serve, conn);
	return tt_group_end(&g, rc);
}

/* The three lines; the handle prints the body to stdout, as they do by default. */
static int fetch(CURL *easy, const char *url, int64_t timeout)
{
	curl_easy_setopt(easy, CURLOPT_URL, url);
	fflush(stdout);
	return TT_WITHIN(timeout, tt_curl_perform(easy));
}

static int fetches(CURL *easy, int port)
{
	char url[64];
	int rc;

	snprintf(url, sizeof(url), "http://127.0.0.1:%d/", port);
	TT_TRY(fetch(easy, url, TT_SEC(5)));
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/slow", port);
	rc = fetch(easy, url, TT_MS(50));
	printf("too slow: %s\n", tt_error_name(rc));
	rc = fetch(easy, "nothing://at/all", TT_SEC(5));
	printf("no such protocol: %s\n", tt_error_name(rc));
	return rc == TT_CURL_CODE(CURLE_UNSUPPORTED_PROTOCOL) ? 0 : rc;
}

TT_TASK(app)
{
	static const tt_child_options daemon = { .daemon = true };
	tt_fd *listener;
	CURL *easy = curl_easy_init();

	if (easy == NULL)
		return TT_ENOMEM;
	TT_DEFER(curl_easy_cleanup, easy);
	TT_TRY(tt_tcp_listen("127.0.0.1:0", NULL, &listener));
	TT_DEFER(tt_fd_close, listener);
	TT_GROUP(g);
	tt_go_with(&g, &daemon, server, listener);
	TT_TRY_IN(&g, fetches(easy, tt_fd_local_port(listener)));
	return tt_group_end(&g, 0);
}

int main(void)
{
	return tt_main(app);
}

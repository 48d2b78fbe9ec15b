/* SPDX-License-Identifier: MIT */
/*
 * curl_stream.c - a body read piece by piece. libcurl hands over a piece; until that was read,
 * it is told to pause, so that the server is held back by the connection.
 *
 * A stream's transfer is in the worker's multi handle from its open to its end or close. While
 * no task of the worker waits in a call of ours, it stands still.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tutti/error.h>
#include <tutti/task.h>

#include "curl_pump.h"

struct tt_curl_stream {
	struct tti_curl_transfer t;
	bool paused;                    /* libcurl holds a piece back */
	char *piece;                    /* what it handed over: len bytes from at */
	size_t at, len, room;
};

static size_t on_piece(char *data, size_t one, size_t n, void *arg)
{
	tt_curl_stream *s = arg;
	char *bigger;

	(void)one;
	if (n == 0)
		return 0;
	if (s->at < s->len) {
		s->paused = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	if (n > s->room) {
		bigger = realloc(s->piece, n);
		if (bigger == NULL)
			return 0;
		s->piece = bigger;
		s->room = n;
	}
	memcpy(s->piece, data, n);
	s->at = 0;
	s->len = n;
	tti_curl_is_ready(&s->t);
	return n;
}

static void stream_free(tt_curl_stream *s)
{
	CURL *easy = s->t.easy;

	tti_curl_fini(&s->t);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, NULL);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, stdout);
	free(s->piece);
	free(s);
}

int tt_curl_open(CURL *easy, tt_curl_stream **ret_stream)
{
	tt_curl_stream *s;
	int rc = tt_checkpoint();

	if (rc < 0)
		return rc;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return tt_fail(TT_ENOMEM, "a stream");
	rc = tti_curl_init(&s->t, easy);
	if (rc < 0) {
		free(s);
		return rc;
	}
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_piece);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, s);
	rc = tti_curl_run(&s->t);
	if (rc == 0 && !s->t.running && s->len == 0)
		rc = tti_curl_outcome(&s->t);
	if (rc < 0) {
		stream_free(s);
		return rc;
	}
	*ret_stream = s;
	return 0;
}

/* The next piece is there, or the transfer is over: 0. */
static int next_piece(tt_curl_stream *s)
{
	s->t.ready = false;
	if (s->paused) {
		s->paused = false;
		tti_curl_go_on(&s->t);
	}
	return tti_curl_wait(&s->t);
}

int tt_curl_read(tt_curl_stream *s, void *ret_buf, size_t n)
{
	int rc = tt_checkpoint();

	if (rc < 0)
		return rc;
	if (!tti_curl_is_here(&s->t))
		return tt_fail(TT_EWRONGCTX, "a stream is read on the worker that opened it");
	if (n == 0)
		return 0;
	if (s->at == s->len && s->t.running)
		rc = next_piece(s);
	if (rc < 0)
		return rc;
	if (s->at == s->len)
		return tti_curl_outcome(&s->t);
	n = n < s->len - s->at ? n : s->len - s->at;
	n = n < INT32_MAX ? n : INT32_MAX;
	memcpy(ret_buf, s->piece + s->at, n);
	s->at += n;
	return (int)n;
}

void tt_curl_close(tt_curl_stream *s)
{
	if (s == NULL)
		return;
	if (!tti_curl_is_here(&s->t)) {
		fprintf(stderr, "tutti: tt_curl_close: the stream belongs to another worker\n");
		abort();
	}
	stream_free(s);
}

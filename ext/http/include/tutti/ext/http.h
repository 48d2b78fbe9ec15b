/* SPDX-License-Identifier: MIT */
/*
 * http.h - an HTTP/1.1 server on tasks: one call serves one connection.
 *
 * Who calls it: a server's connection task (apps/gateway). Below it, usable without any
 * I/O, are http_parser.h (bytes in, request out) and http_writer.h (answer in, bytes out).
 *
 * What a peer may send is narrower than what RFC 9112 lets a server tolerate: every form
 * that two implementations are known to read differently (obs-fold, bare LF, repeated
 * lengths, CL with TE, other codings, ...) is refused and the connection closed.
 */
#ifndef TUTTI_EXT_HTTP_H
#define TUTTI_EXT_HTTP_H

#include <tutti/base.h>
#include <tutti/net.h>

TT_BEGIN_DECLS

/* A run of bytes inside somebody's buffer; not terminated. */
typedef struct tt_http_text {
	const char *at;
	size_t      len;
} tt_http_text;

typedef struct tt_http_field {
	tt_http_text name;  /* as sent; compare without case */
	tt_http_text value; /* without the whitespace around it */
} tt_http_field;

#define TT_HTTP_FIELDS_MAX 100 /* no option raises it: the table is part of the parser */

/* What one connection may ask for. 0 in a field means its default. */
typedef struct tt_http_options {
	size_t   line_max;     /* request line without its CRLF: 8 KiB, then 414 */
	size_t   header_max;   /* all field lines with their CRLFs: 16 KiB, then 431 */
	unsigned fields_max;   /* 100, and never more; then 431 */
	size_t   body_max;     /* decoded body bytes: 1 MiB, then 413 */
	int64_t  head_timeout; /* first byte of a request to the end of its head: 10 s, then 408 */
	int64_t  idle_timeout; /* between requests: 60 s, then a silent close */
	int64_t  body_timeout; /* end of the head to the end of the body: 30 s, then 408 */
	int64_t  send_timeout; /* one answer: 30 s, then a close */
	int64_t  linger_timeout; /* after the last answer, for the peer to read it: 1 s */
	unsigned requests_max; /* on one connection: 0 = no bound */
} tt_http_options;

enum tt_http_method {
	TT_HTTP_GET,
	TT_HTTP_HEAD,
	TT_HTTP_POST,
	TT_HTTP_PUT,
	TT_HTTP_DELETE,
	TT_HTTP_OPTIONS,
	TT_HTTP_PATCH,
	TT_HTTP_TRACE
};

/* How the body's end is known. */
enum tt_http_framing { TT_HTTP_NO_BODY, TT_HTTP_LENGTH, TT_HTTP_CHUNKED };

/* All texts lie in the connection's buffers: valid until the handler returns. */
typedef struct tt_http_request {
	enum tt_http_method  method;
	tt_http_text         method_text;
	tt_http_text         target; /* as sent */
	tt_http_text         path;   /* of the target, still percent-encoded; "*" for OPTIONS * */
	tt_http_text         query;  /* after the '?', at == NULL when there is none */
	unsigned             minor;  /* HTTP/1.minor: 0 or 1 */
	bool                 keep_alive;
	bool                 expects_continue; /* and there is a body to wait for */
	enum tt_http_framing framing;
	uint64_t             content_length; /* 0 unless framing is TT_HTTP_LENGTH */
	const tt_http_field *fields;
	size_t               field_count;
	tt_http_text         body; /* whole; empty outside tt_http_serve() */
} tt_http_request;

#define TT_HTTP_EXTRA_MAX 512

/* Made by the server with status 200 and nothing else; filled by the handler. */
typedef struct tt_http_response {
	int         status;
	bool        close;        /* end the connection after this answer */
	const char *content_type; /* not copied: a literal; NULL = none */
	const char *body;
	size_t      body_len;
	void (*release)(void *body); /* called once the answer went out or failed; NULL = none */
	size_t      extra_len;
	char        extra[TT_HTTP_EXTRA_MAX]; /* field lines of tt_http_add_header() */
} tt_http_response;

/* Return >= 0: the response is sent. Negative: it is reported, a 500 is sent instead and the
 * connection closed, except TT_ECANCELED, which ends tt_http_serve() at once. */
typedef int tt_http_handler(tt_http_request *req, tt_http_response *res, void *ctx);

/*
 * tt_http_serve - answer the requests of one connection, in order, until it ends.
 *
 * Blocks     yes
 * Returns    the number of requests that reached the handler and were answered. What the peer
 *            does is no error: bad requests are answered, silence and resets end the call
 * Cancelled  TT_ECANCELED: the request in hand was dropped. A soft stop is no cancel: the
 *            request in hand is finished and answered with Connection: close
 * Errors     -ENOMEM, -EINVAL (options), or what else a read or write gave
 * Ownership  conn stays the caller's, who closes it; o may be NULL
 * Threads    the calling task; the handler runs on it
 */
TT_API TT_MUST_USE int tt_http_serve(tt_fd *conn, const tt_http_options *o,
				     tt_http_handler *handler, void *ctx);

/*
 * tt_http_header - the value of the first field of that name, compared without case.
 *
 * Blocks     no
 * Returns    NULL when there is none; else valid as long as the request
 * Threads    any
 */
TT_API const tt_http_text *tt_http_header(const tt_http_request *req, const char *name);

/*
 * tt_http_add_header - add a field line to an answer. Content-Length, Connection, Date and
 * Content-Type are the server's.
 *
 * Blocks     no
 * Returns    0
 * Errors     -EINVAL: name is no token, or value holds a control byte (CR and LF included);
 *            -EMSGSIZE: more than TT_HTTP_EXTRA_MAX bytes in all. Nothing was added then
 * Threads    any, one at a time
 */
TT_API TT_MUST_USE int tt_http_add_header(tt_http_response *res, const char *name,
					  const char *value);

/*
 * tt_http_set_body - give an answer its body; one set before is released.
 *
 * Blocks     no
 * Ownership  body must live until release(body) is called; content_type is not copied
 * Threads    any, one at a time
 */
TT_API void tt_http_set_body(tt_http_response *res, const char *content_type, const char *body,
			     size_t len, void (*release)(void *body));

/*
 * tt_http_decode - percent-decode a piece of a path.
 *
 * Blocks     no
 * Returns    the number of bytes written to buf; no NUL is added
 * Errors     -EINVAL: a broken escape or %00; -EMSGSIZE: longer than n. buf may be changed
 * Threads    any
 */
TT_API TT_MUST_USE int tt_http_decode(tt_http_text text, char *buf, size_t n);

/*
 * tt_http_text_is - whether a text is this word, compared without ASCII case.
 *
 * Blocks     no
 * Returns    true if it is, to its whole length
 * Threads    any
 */
TT_API bool tt_http_text_is(tt_http_text text, const char *word);

/*
 * tt_http_reason - the words of a status.
 *
 * Blocks     no
 * Returns    "Not Found" for 404; "Unknown" for a number without a name
 * Threads    any
 */
TT_API const char *tt_http_reason(int status);

TT_END_DECLS

#endif

/* SPDX-License-Identifier: MIT */
/*
 * http_parser.h - requests out of bytes, without I/O: feed what came, get one event a call.
 *
 * Who calls it: http_server.c, the tests and the fuzz target.
 *
 * Two parsers in series. A small strict scanner reads every byte first and refuses whatever
 * could be read in two ways; llhttp then takes apart what passed, and both must agree on the
 * fields, the framing and each piece of the body. A form that slips through one of them
 * is still refused.
 *
 * Invariants  The head lies contiguous in the caller's buffer, so texts never move.
 *             Nothing is allocated; memory is this object plus that buffer.
 *             llhttp sees a byte only after the scanner accepted it (and, in the head, all
 *             bytes up to the empty line).
 *             Feeding byte by byte gives the same events, bodies and errors as feeding whole.
 * Rejected    llhttp alone: 8.1.0 takes obs-fold (CVE-2024-27982), knows no limits, and its
 *             errors do not say where. Tolerance where RFC 9112 says "MAY": every such form
 *             has been somebody's smuggling hole.
 */
#ifndef TT_HTTP_PARSER_H
#define TT_HTTP_PARSER_H

#include <llhttp.h>
#include <tutti/ext/http.h>

enum tt_http_event {
	TT_HTTP_MORE,    /* all bytes taken; more are needed. Call again after any other event */
	TT_HTTP_REQUEST, /* the head is complete: parser.request is filled in */
	TT_HTTP_BODY,    /* a piece of the body, inside the bytes that were fed */
	TT_HTTP_END      /* the request is complete; its texts stay until the next call */
};

typedef struct tt_http_error {
	int      status; /* what to answer before closing: 400, 413, 414, 417, 431, 501, 505 */
	uint64_t offset; /* of the offending byte, counted from the request's first */
	char     text[112];
} tt_http_error;

#define TT_HTTP_NAME_KEPT 20 /* longer than any field name the framing depends on */

typedef struct tt_http_parser {
	/* Limits, all set. */
	size_t   line_max, header_max;
	unsigned fields_max;
	uint64_t body_max;

	char    *head; /* the caller's, head_cap bytes */
	size_t   head_cap, head_len;
	uint64_t offset; /* bytes of this request taken so far */

	/* The scanner: an enum scan of http_parser.c and what it has noticed. */
	uint8_t  scan;
	bool     trailer;      /* field lines are trailers: checked, then dropped */
	bool     blank_seen;   /* one empty line before a request is let pass */
	bool     end_told;     /* TT_HTTP_END was returned; the next call begins a request */
	uint8_t  version[8];
	unsigned version_len;
	size_t   method_len, target_at, target_len;
	size_t   field_bytes;  /* of header_max */
	unsigned field_count;  /* of fields_max, trailers included */
	size_t   name_len, value_at, value_len;
	char     name[TT_HTTP_NAME_KEPT]; /* lower case, the first bytes of it */
	unsigned host_count, length_count, coding_count;
	bool     close_asked, keep_alive_asked, continue_asked;
	unsigned size_digits;  /* of the chunk size being read */
	uint64_t left;         /* of the body or of the chunk */
	uint64_t body_bytes;   /* of body_max, promised chunks included */
	size_t   extension_bytes; /* of all chunk lines */

	/* llhttp and what it said. */
	llhttp_t     ll;
	unsigned     ll_fields; /* complete in fields[] */
	bool         ll_in_value, ll_head_done, ll_done, ll_confused;
	tt_http_text ll_target, ll_body;

	tt_http_request request;
	tt_http_error   error;
	tt_http_field   fields[TT_HTTP_FIELDS_MAX];
} tt_http_parser;

/* Bytes of head buffer that the options need; o may be NULL. */
size_t tt_http_head_bytes(const tt_http_options *o);

/*
 * tt_http_parser_init - start at the first byte of a connection.
 *
 * Errors     -EINVAL: fields_max above TT_HTTP_FIELDS_MAX, or head smaller than
 *            tt_http_head_bytes(o)
 * Ownership  head stays the caller's and must outlive the parser; there is nothing to free
 */
TT_MUST_USE int tt_http_parser_init(tt_http_parser *p, const tt_http_options *o, char *head,
				    size_t head_cap);

/*
 * tt_http_parser_next - take bytes up to the next event.
 *
 * Returns    an enum tt_http_event. *ret_used bytes were taken; the rest must be fed again.
 *            With TT_HTTP_BODY, *ret_piece is a part of data
 * Errors     -EPROTO: refused, see p->error; every later call says the same again
 */
TT_MUST_USE int tt_http_parser_next(tt_http_parser *p, const char *data, size_t n,
				    size_t *ret_used, tt_http_text *ret_piece);

/* True between requests: no byte of the next one has come. */
bool tt_http_parser_idle(const tt_http_parser *p);

/*
 * tt_http_parser_eof - the peer will send nothing more.
 *
 * Returns    0 when that is no loss
 * Errors     -EPROTO in the middle of a request (p->error says where)
 */
TT_MUST_USE int tt_http_parser_eof(tt_http_parser *p);

/* Whether a name is a token and a value free of control bytes; used by the writer too. */
bool tt_http_is_token(const char *at, size_t len);
bool tt_http_is_value(const char *at, size_t len);

#endif

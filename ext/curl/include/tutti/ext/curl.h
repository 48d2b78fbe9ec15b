/* SPDX-License-Identifier: MIT */
/*
 * curl.h - libcurl on tasks: a transfer suspends the task instead of the thread.
 *
 *	CURL *easy = curl_easy_init();
 *	curl_easy_setopt(easy, CURLOPT_URL, "https://example.org/");
 *	rc = TT_WITHIN(TT_SEC(5), tt_curl_perform(easy));
 *
 * Any easy handle will do, with any options. While a call runs it uses four of them itself:
 * CURLOPT_ERRORBUFFER (its text goes into the error chain), CURLOPT_QUICK_EXIT and
 * CURLOPT_RESOLVER_START_FUNCTION with its _DATA. Afterwards they are at their defaults.
 *
 * The calls of one worker share connections, TLS sessions and cached names.
 *
 * Callbacks (write, read, header, progress, ...) run inside libcurl, on the stack of whichever
 * task of the worker drives it just then: they must not wait, which aborts and says so. What
 * they may do is what is marked "Blocks no": tt_try_send(), tt_notify_one(), ...
 *
 * Rejected    A multi handle per call, with a share object for the connections: the caller may
 *             have set CURLOPT_SHARE, and an easy handle takes only one.
 */
#ifndef TUTTI_EXT_CURL_H
#define TUTTI_EXT_CURL_H

#include <curl/curl.h>

#include <tutti/base.h>

TT_BEGIN_DECLS

/* A CURLcode as a code of ours: TT_CURL_CODE(CURLE_COULDNT_CONNECT). CURLE_OK has none. */
#define TT_CURL_CODE(curlcode) (-24000 - (int)(curlcode))

/*
 * tt_curl_perform - curl_easy_perform() for tasks: run the transfer to its end.
 *
 * An answer of 404 or 500 is a transfer that went well, as in libcurl: CURLINFO_RESPONSE_CODE
 * tells, or CURLOPT_FAILONERROR.
 *
 * Blocks     yes; always a checkpoint
 * Returns    0
 * Cancelled  TT_ECANCELED, at once, also while a name is looked up: the transfer was ended and
 *            its connection closed. What the server did by then is not known
 * Errors     TT_CURL_CODE(...), libcurl's own text in the chain; -ENOMEM, -EMFILE, ...
 * Ownership  easy stays the caller's; after any return it may be used again, reset or
 *            cleaned up, and none of these waits
 * Threads    any task; an easy handle is used by one task at a time (else -EBUSY)
 */
TT_API TT_MUST_USE int tt_curl_perform(CURL *easy);

/* A transfer whose body is read piece by piece. */
typedef struct tt_curl_stream tt_curl_stream;

/*
 * tt_curl_open - begin a transfer and wait for the first piece of its body, or for its end if
 * there is none. CURLOPT_WRITEFUNCTION and CURLOPT_WRITEDATA are the stream's from here on and
 * at their defaults after tt_curl_close().
 *
 * Blocks     yes; always a checkpoint
 * Returns    0; CURLINFO_RESPONSE_CODE is set
 * Cancelled  TT_ECANCELED; nothing was left open
 * Errors     as tt_curl_perform(); nothing was left open
 * Ownership  *ret_stream is the caller's, ended with tt_curl_close(); easy is lent until then
 * Threads    any task
 */
TT_API TT_MUST_USE int tt_curl_open(CURL *easy, tt_curl_stream **ret_stream);

/*
 * tt_curl_read - take what has come of the body, waiting until there is something. The server
 * is held back by those who do not read: about 16 KiB wait in the stream, the rest in the
 * buffers of the connection.
 *
 * Blocks     yes; always a checkpoint, even when bytes wait
 * Returns    how many bytes, at least 1; 0 at the end of the body (or if n is 0)
 * Cancelled  TT_ECANCELED, and then nothing was taken
 * Errors     TT_CURL_CODE(...) if the transfer failed, after all that had come was read;
 *            TT_EWRONGCTX on another worker than the one that opened it
 * Threads    tasks of the worker that opened it, one at a time
 */
TT_API TT_MUST_USE int tt_curl_read(tt_curl_stream *s, void *ret_buf, size_t n);

/*
 * tt_curl_close - end a stream. A transfer that is not at its end is ended, and its connection
 * closed.
 *
 * Blocks     no; not a checkpoint
 * Errors     aborts on another worker than the one that opened it
 * Ownership  taken; NULL is fine. The easy handle is the caller's again
 * Threads    tasks of the worker that opened it
 */
TT_API void tt_curl_close(tt_curl_stream *s);

/*
 * tt_curl_close_idle - close the connections that the calling worker keeps for later calls.
 * A worker's thread does so when it ends; the thread that called tt_main() keeps them for the
 * next runtime. Does nothing while a transfer of this worker is under way.
 *
 * Blocks     no; not a checkpoint
 * Threads    any task
 */
TT_API void tt_curl_close_idle(void);

TT_END_DECLS

#endif

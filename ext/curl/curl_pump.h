/* SPDX-License-Identifier: MIT */
/*
 * curl_pump.h - the libcurl of one worker: its multi handle, and how the tasks in it wait.
 * Used by curl_perform.c and curl_stream.c.
 *
 * One multi handle per thread, made by the first transfer. All it waits for - its sockets
 * and its timer - is behind one descriptor, an epoll set of our own, so that one tt_wait_fd()
 * waits for everything and no socket of libcurl's is ever known to the runtime.
 *
 * Who waits   Of the tasks with a transfer one leads: it waits for that descriptor and lets
 *             libcurl work, for all. The others wait to be woken: because theirs is over, or to
 *             lead, because the leader left. Nobody has to be started or stopped for that.
 * Threads     A pump and all its transfers belong to one worker: a started task stays there.
 *             No task switch happens inside libcurl (tt_forbid_waits()), so there are no locks.
 * Invariants  If anybody waits there is a leader, or one of them has been woken to become it.
 *             A transfer is in the table exactly while its handle is in the multi handle.
 * Rejected    A task that pumps: it would need a group to live in, which the calls of a library
 *             do not have.
 */
#ifndef TTI_CURL_PUMP_H
#define TTI_CURL_PUMP_H

#include <stdbool.h>

#include <tutti/ext/curl.h>
#include <tutti/notify.h>

struct tti_curl_pump;

/* One transfer; in the frame of tt_curl_perform(), or in a stream. */
struct tti_curl_transfer {
	CURL *easy;
	struct tti_curl_pump *pump;             /* of the worker; NULL before the first start */
	struct tti_curl_transfer *same_bucket;  /* the next one in the table */
	struct tti_curl_transfer *next, *prev;  /* among those who wait and do not lead */
	struct tti_curl_transfer *next_broken;
	tt_notify wake;
	bool running;                           /* in the multi handle */
	bool ready;                             /* something is there for its task: set by the stream */
	bool may_refuse, refused;               /* lookups by libcurl, see curl_names.c */
	CURLcode result;                        /* once it ran to its end */
	int rc;                                 /* else what ended it, < 0 */
	char text[CURL_ERROR_SIZE];             /* libcurl's own words; "" when it has none */
};

/* Puts t into the worker's multi handle and lets it begin. */
TT_MUST_USE int tti_curl_start(struct tti_curl_transfer *t);
/* Waits until t is over or ready: 0. Else a code, and it is still running. */
TT_MUST_USE int tti_curl_wait(struct tti_curl_transfer *t);
/* Takes t out, whatever it is doing; never waits. */
void tti_curl_stop(struct tti_curl_transfer *t);
/* Stops t for good: the pump may go once nobody uses it. */
void tti_curl_release(struct tti_curl_transfer *t);
/* From a callback: something is there for t's task. */
void tti_curl_is_ready(struct tti_curl_transfer *t);
/* The handle is in a transfer of this worker. */
bool tti_curl_is_busy(const CURL *easy);
/* Lets a transfer go on whose write callback paused it. */
void tti_curl_go_on(struct tti_curl_transfer *t);
/* Lets the multi handle know a name: "+host:port:address,address". */
TT_MUST_USE int tti_curl_preload(struct tti_curl_pump *p, const char *entry);
/* Whether t belongs to the calling worker. */
bool tti_curl_is_here(const struct tti_curl_transfer *t);

/* curl_names.c: CURLOPT_RESOLVER_START_FUNCTION; arg is the transfer. */
int tti_curl_on_lookup(void *resolver, void *reserved, void *arg);
/* The transfer ended because a lookup was refused: it may be started again. */
bool tti_curl_wants_name(const struct tti_curl_transfer *t);
/* Looks up the name it wanted. 0: start it again. */
TT_MUST_USE int tti_curl_look_up(struct tti_curl_transfer *t);

/* curl_perform.c: prepares a transfer's handle, and gives it back. */
TT_MUST_USE int tti_curl_init(struct tti_curl_transfer *t, CURL *easy);
void tti_curl_fini(struct tti_curl_transfer *t);
/* Starts t and waits until it is over or ready; looks up names on the way. 0, or a code: then
 * it is stopped. */
TT_MUST_USE int tti_curl_run(struct tti_curl_transfer *t);
/* What became of a transfer that is over. */
TT_MUST_USE int tti_curl_outcome(const struct tti_curl_transfer *t);

/* curl_codes.c: codes of ours, a chain with this text begun. */
TT_MUST_USE int tti_curl_fail(CURLcode code, const char *text);
TT_MUST_USE int tti_curl_multi_fail(CURLMcode code);

#endif

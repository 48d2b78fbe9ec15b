/* SPDX-License-Identifier: MIT */
/* curl_perform.c - tt_curl_perform(), and what it shares with streams: the life of a transfer. */
#include <tutti/error.h>
#include <tutti/task.h>

#include "curl_pump.h"

int tti_curl_init(struct tti_curl_transfer *t, CURL *easy)
{
	*t = (struct tti_curl_transfer){ .easy = easy, .may_refuse = true };
	tt_notify_init(&t->wake);
	if (easy == NULL)
		return tt_fail(TT_EINVAL, "no easy handle");
	if (tti_curl_is_busy(easy))
		return tti_curl_multi_fail(CURLM_ADDED_ALREADY);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->text);
	curl_easy_setopt(easy, CURLOPT_RESOLVER_START_FUNCTION, tti_curl_on_lookup);
	curl_easy_setopt(easy, CURLOPT_RESOLVER_START_DATA, t);
	if (curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK)
		return 0;
	tti_curl_fini(t);
	return tti_curl_fail(CURLE_UNKNOWN_OPTION, "this libcurl lacks CURLOPT_QUICK_EXIT");
}

void tti_curl_fini(struct tti_curl_transfer *t)
{
	tti_curl_release(t);
	tt_notify_fini(&t->wake);
	curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, NULL);
	curl_easy_setopt(t->easy, CURLOPT_RESOLVER_START_FUNCTION, NULL);
	curl_easy_setopt(t->easy, CURLOPT_RESOLVER_START_DATA, NULL);
	curl_easy_setopt(t->easy, CURLOPT_QUICK_EXIT, 0L);
}

int tti_curl_run(struct tti_curl_transfer *t)
{
	int rc;

	do {
		rc = tti_curl_start(t);
		if (rc == 0)
			rc = tti_curl_wait(t);
		if (rc == 0 && !tti_curl_wants_name(t))
			return 0;
		if (rc == 0)
			rc = tti_curl_look_up(t);
	} while (rc == 0);
	tti_curl_stop(t);
	return rc;
}

int tti_curl_outcome(const struct tti_curl_transfer *t)
{
	if (t->rc < 0)
		return tt_fail(t->rc, "watch the sockets of a transfer");
	if (t->result == CURLE_OK)
		return 0;
	return tti_curl_fail(t->result, t->text);
}

int tt_curl_perform(CURL *easy)
{
	struct tti_curl_transfer t;
	int rc = tt_checkpoint();

	if (rc == 0)
		rc = tti_curl_init(&t, easy);
	if (rc < 0)
		return rc;
	rc = tti_curl_run(&t);
	if (rc == 0)
		rc = tti_curl_outcome(&t);
	tti_curl_fini(&t);
	return rc;
}

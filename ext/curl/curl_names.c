/* SPDX-License-Identifier: MIT */
/*
 * curl_names.c - name lookups: on tutti's lane, not on libcurl's threads.
 *
 * libcurl says when it is about to look up a name that is not in its cache, but not which. The
 * first time in a transfer, before anything was connected or sent, it is told no. The transfer
 * then ends without having done anything; the name is looked up by tt_resolve(), which a
 * cancel leaves at once, the answer is put into the multi handle's cache, and the transfer is
 * begun again. So CURLOPT_RESOLVE, CURLOPT_CONNECT_TO, proxies and Unix sockets work as ever:
 * what they make unnecessary is never asked.
 *
 * Whatever else it looks up - a proxy, the target of a redirect to another host, names of other
 * protocols than HTTP - libcurl does itself, on a thread of its own. CURLOPT_QUICK_EXIT lets a
 * cancel leave that thread behind: without it, removing the handle waits for the lookup.
 * A libcurl without such threads would block the worker: there such a lookup fails.
 *
 * Rejected    Looking up the URL's host before each transfer: behind a proxy it need not resolve
 *             at all. Following redirects ourselves: what libcurl changes on the way (method,
 *             credentials, cookies) is its affair.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <tutti/dns.h>
#include <tutti/error.h>

#include "curl_pump.h"

#ifndef CURLU_PUNYCODE /* 7.88: before, a name that needs it is left to libcurl */
#define CURLU_PUNYCODE 0
#endif

#define ADDRS_MAX 16
#define HOST_MAX 253

struct target {
	char host[HOST_MAX + 3];        /* as libcurl looks it up; an IPv6 address in brackets */
	char port[8];
	bool http;
};

static bool copy_part(CURLU *url, CURLUPart part, unsigned flags, char *buf, size_t n)
{
	char *text = NULL;
	bool fits = curl_url_get(url, part, &text, flags) == CURLUE_OK && strlen(text) < n;

	if (fits)
		snprintf(buf, n, "%s", text);
	curl_free(text);
	return fits;
}

static bool is_http(const char *scheme)
{
	return strcasecmp(scheme, "http") == 0 || strcasecmp(scheme, "https") == 0;
}

/* What the transfer's URL points to. False: who knows. */
static bool target_of(CURL *easy, struct target *ret)
{
	CURLU *url = curl_url();
	char *text = NULL, scheme[16];
	bool known;

	if (url == NULL)
		return false;
	known = curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &text) == CURLE_OK && text != NULL &&
		curl_url_set(url, CURLUPART_URL, text, CURLU_GUESS_SCHEME) == CURLUE_OK &&
		copy_part(url, CURLUPART_SCHEME, 0, scheme, sizeof(scheme)) &&
		copy_part(url, CURLUPART_HOST, CURLU_PUNYCODE, ret->host, sizeof(ret->host)) &&
		copy_part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT, ret->port, sizeof(ret->port));
	curl_url_cleanup(url);
	ret->http = known && is_http(scheme);
	return known;
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && strcasecmp(s + n - m, end) == 0;
}

/* What libcurl needs nobody for: digits, and localhost. */
static bool is_known(const char *host)
{
	struct in_addr v4;

	return host[0] == '[' || inet_pton(AF_INET, host, &v4) == 1 || strcasecmp(host, "localhost") == 0 ||
	       ends_with(host, ".localhost");
}

static bool nothing_was_done(CURL *easy)
{
	long connects = 0, sent = 0, redirects = 0;

	curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &connects);
	curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &sent);
	curl_easy_getinfo(easy, CURLINFO_REDIRECT_COUNT, &redirects);
	return connects == 0 && sent == 0 && redirects == 0;
}

static bool libcurl_has_threads(void)
{
	return (curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_ASYNCHDNS) != 0;
}

int tti_curl_on_lookup(void *resolver, void *reserved, void *arg)
{
	struct tti_curl_transfer *t = arg;
	struct target target;
	bool known = target_of(t->easy, &target);

	(void)resolver;
	(void)reserved;
	if (known && is_known(target.host))
		return 0;
	if (known && target.http && t->may_refuse && nothing_was_done(t->easy)) {
		t->refused = true;
		return 1;
	}
	return libcurl_has_threads() ? 0 : 1;
}

bool tti_curl_wants_name(const struct tti_curl_transfer *t)
{
	return !t->running && t->refused &&
	       (t->result == CURLE_COULDNT_RESOLVE_HOST || t->result == CURLE_COULDNT_RESOLVE_PROXY);
}

/* "[::1]:0" and "127.0.0.1:0", one after the other, without the ports. */
static void put_addresses(char *buf, size_t n, const tt_addr *addrs, int count)
{
	size_t len = strlen(buf);
	char text[64];

	for (int i = 0; i < count; i++) {
		char *colon;

		if (tt_addr_text(&addrs[i], text, sizeof(text)) >= (int)sizeof(text))
			continue;
		colon = strrchr(text, ':');
		if (colon == NULL || len + strlen(text) + 2 > n)
			continue;
		*colon = '\0';
		len += (size_t)snprintf(buf + len, n - len, "%s%s", i > 0 ? "," : "", text);
	}
}

int tti_curl_look_up(struct tti_curl_transfer *t)
{
	char entry[HOST_MAX + 16 + ADDRS_MAX * 64];
	tt_addr addrs[ADDRS_MAX];
	struct target target;
	int n;

	t->may_refuse = false;
	/* It was another name: a proxy's, or one of CURLOPT_CONNECT_TO. */
	if (t->result != CURLE_COULDNT_RESOLVE_HOST || !target_of(t->easy, &target) || strstr(t->text, target.host) == NULL)
		return 0;
	n = tt_resolve(target.host, NULL, addrs, ADDRS_MAX);
	if (n == TT_ENOHOST || n == TT_EAGAIN)
		return tti_curl_fail(CURLE_COULDNT_RESOLVE_HOST, t->text);
	if (n < 0)
		return n;
	snprintf(entry, sizeof(entry), "+%s:%s:", target.host, target.port);
	put_addresses(entry, sizeof(entry), addrs, n);
	return tti_curl_preload(t->pump, entry);
}

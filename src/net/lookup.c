/* SPDX-License-Identifier: MIT */
/*
 * lookup.c - the system's own name lookup, which honours /etc/hosts, nsswitch.conf and
 * resolv.conf as every other program does. It blocks and allocates: only ever called on a
 * thread of the DNS lane.
 *
 * Rejected    Our own resolver: it would answer differently from the rest of the machine.
 *             AI_ADDRCONFIG: without a network it hides the addresses of localhost.
 */
#include "net/lookup.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <strings.h>

int tti_lookup_code(int eai, int system_error, const char **ret_why)
{
	*ret_why = gai_strerror(eai);
	switch (eai) {
	case EAI_MEMORY:
		return TT_ENOMEM;
	case EAI_AGAIN:
		return TT_EAGAIN;
	case EAI_SERVICE:
		return TT_EINVAL;
	case EAI_SYSTEM:
		*ret_why = "the system's lookup failed";
		return system_error > 0 ? -system_error : TT_EIO;
	default:
		return TT_ENOHOST;
	}
}

/* Nobody has a name under .invalid, and no server need be asked (RFC 6761, 6.4). */
static bool is_invalid(const char *host)
{
	static const char end[] = ".invalid";
	size_t len = strlen(host);

	if (len > 0 && host[len - 1] == '.')
		len--;
	return len >= sizeof(end) - 1 && strncasecmp(host + len - (sizeof(end) - 1), end, sizeof(end) - 1) == 0;
}

int tti_lookup(const char *host, const char *service, struct tti_addr *ret_addrs, size_t max, const char **ret_why)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM }, *list = NULL;
	size_t n = 0;
	int rc;

	if (is_invalid(host))
		return tti_lookup_code(EAI_NONAME, 0, ret_why);
	errno = 0;
	rc = getaddrinfo(host, service[0] != '\0' ? service : NULL, &hints, &list);
	if (rc != 0)
		return tti_lookup_code(rc, errno, ret_why);
	for (const struct addrinfo *a = list; a != NULL && n < max; a = a->ai_next) {
		if (a->ai_addrlen > sizeof(ret_addrs[n].room))
			continue;
		memcpy(&ret_addrs[n].room, a->ai_addr, a->ai_addrlen);
		ret_addrs[n].len = a->ai_addrlen;
		n++;
	}
	freeaddrinfo(list);
	if (n > 0)
		return (int)n;
	*ret_why = "it has no address";
	return TT_ENOHOST;
}

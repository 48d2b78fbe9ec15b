/* SPDX-License-Identifier: MIT */
/*
 * address.c - addresses as people write them: parsing and printing, nothing else. Called by
 * tcp.c, unix.c and socket.c. Touches no memory but its arguments and asks nobody: names are
 * resolve.c's.
 */
#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include <tutti/error.h>

_Static_assert(sizeof(struct tti_addr) <= sizeof(tt_addr), "tt_addr holds an address");

#define PATH_ROOM sizeof(((struct sockaddr_un *)0)->sun_path)
#define PATH_AT offsetof(struct sockaddr_un, sun_path)

/* ---- host and port ---- */

static int parse_port(const char *text, uint16_t *ret)
{
	unsigned long n = 0;

	if (*text == '\0')
		return TT_EINVAL;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return TT_EINVAL;
		n = n * 10 + (unsigned long)(*text - '0');
		if (n > UINT16_MAX)
			return TT_EINVAL;
	}
	*ret = (uint16_t)n;
	return 0;
}

/* Where the port's colon is, and the host before it; NULL with *ret_why set. */
static const char *split(const char *text, const char **ret_host, size_t *ret_len, const char **ret_why)
{
	const char *colon = strrchr(text, ':'), *close;

	*ret_why = "port missing";
	if (text[0] == '[') {
		close = strchr(text, ']');
		if (close == NULL || close == text + 1) {
			*ret_why = "\"[\" without an address and \"]\"";
			return NULL;
		}
		*ret_host = text + 1;
		*ret_len = (size_t)(close - text - 1);
		return close[1] == ':' ? close + 1 : NULL;
	}
	if (colon == NULL)
		return NULL;
	if (memchr(text, ':', (size_t)(colon - text)) != NULL) {
		*ret_why = "an IPv6 address stands in brackets, as \"[::1]:80\"";
		return NULL;
	}
	*ret_host = text;
	*ret_len = (size_t)(colon - text);
	return colon;
}

int tti_host_port_parse(const char *call, const char *text, struct tti_host_port *ret)
{
	const char *host = NULL, *why, *colon;
	uint16_t port;
	size_t len;

	colon = split(text, &host, &len, &why);
	if (colon == NULL)
		return tt_fail(TT_EINVAL, "%s: address \"%s\": %s", call, text, why);
	if (parse_port(colon + 1, &port) < 0)
		return tt_fail(TT_EINVAL, "%s: address \"%s\": the port is a number from 0 to 65535", call, text);
	if (len > TTI_HOST_MAX)
		return tt_fail(TT_EINVAL, "%s: the name has %zu bytes, more than %d", call, len, TTI_HOST_MAX);
	ret->any = len == 0 || (len == 1 && host[0] == '*');
	if (ret->any)
		len = 0;
	memcpy(ret->host, host, len);
	ret->host[len] = '\0';
	ret->port = port;
	return 0;
}

/* ---- as the kernel takes them ---- */

static struct sockaddr_in *v4(const struct tti_addr *a)
{
	return (struct sockaddr_in *)(uintptr_t)&a->room;
}

static struct sockaddr_in6 *v6(const struct tti_addr *a)
{
	return (struct sockaddr_in6 *)(uintptr_t)&a->room;
}

static void start(struct tti_addr *a, int family)
{
	memset(a, 0, sizeof(*a));
	a->room.ss_family = (sa_family_t)family;
	a->len = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

bool tti_addr_from_digits(const char *host, uint16_t port, struct tti_addr *ret)
{
	struct in6_addr six;
	struct in_addr four;

	if (inet_pton(AF_INET, host, &four) == 1) {
		start(ret, AF_INET);
		v4(ret)->sin_addr = four;
	} else if (inet_pton(AF_INET6, host, &six) == 1) {
		start(ret, AF_INET6);
		v6(ret)->sin6_addr = six;
	} else {
		return false;
	}
	tti_addr_set_port(ret, port);
	return true;
}

void tti_addr_any(int family, uint16_t port, struct tti_addr *ret)
{
	/* Zeros are any address, of either family. */
	start(ret, family);
	tti_addr_set_port(ret, port);
}

void tti_addr_set_port(struct tti_addr *a, uint16_t port)
{
	if (a->room.ss_family == AF_INET)
		v4(a)->sin_port = htons(port);
	else if (a->room.ss_family == AF_INET6)
		v6(a)->sin6_port = htons(port);
}

void tti_addr_map(struct tti_addr *a)
{
	struct in_addr four;
	uint16_t port;

	if (a->room.ss_family != AF_INET)
		return;
	four = v4(a)->sin_addr;
	port = v4(a)->sin_port;
	start(a, AF_INET6);
	v6(a)->sin6_port = port;
	v6(a)->sin6_addr.s6_addr[10] = v6(a)->sin6_addr.s6_addr[11] = 0xff;
	memcpy(&v6(a)->sin6_addr.s6_addr[12], &four, sizeof(four));
}

void tti_addr_unmap(struct tti_addr *a)
{
	struct in6_addr six;
	uint16_t port;

	if (a->room.ss_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&v6(a)->sin6_addr))
		return;
	six = v6(a)->sin6_addr;
	port = v6(a)->sin6_port;
	start(a, AF_INET);
	v4(a)->sin_port = port;
	memcpy(&v4(a)->sin_addr, &six.s6_addr[12], sizeof(struct in_addr));
}

int tti_addr_port(const struct tti_addr *a)
{
	if (a->room.ss_family == AF_INET)
		return ntohs(v4(a)->sin_port);
	if (a->room.ss_family == AF_INET6)
		return ntohs(v6(a)->sin6_port);
	return TT_ENOTSUP;
}

void tti_addr_unnamed(struct tti_addr *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->room.ss_family = AF_UNIX;
	ret->len = sizeof(sa_family_t);
}

int tti_addr_from_path(const char *call, const char *path, struct tti_addr *ret)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	bool abstract = path[0] == '@';
	size_t len = strlen(path), max = abstract ? PATH_ROOM : PATH_ROOM - 1;

	if (len == 0 || (abstract && len == 1))
		return tt_fail(TT_EINVAL, "%s: the name of the socket is empty", call);
	if (len > max)
		return tt_fail(TT_ENAMETOOLONG, "%s: a path of %zu bytes; a socket's has at most %zu", call, len, max);
	memcpy(un.sun_path, path, len);
	if (abstract)
		un.sun_path[0] = '\0';
	memset(ret, 0, sizeof(*ret));
	memcpy(&ret->room, &un, sizeof(un));
	/* An abstract name is as long as the address says; a path ends with a NUL. */
	ret->len = (uint32_t)(PATH_AT + len + (abstract ? 0 : 1));
	return 0;
}

/* ---- as people read them ---- */

static int unix_text(const struct tti_addr *a, char *ret_buf, size_t n)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)&a->room;
	size_t len = a->len > PATH_AT ? a->len - PATH_AT : 0;

	if (len > PATH_ROOM)
		len = PATH_ROOM;
	if (len > 0 && un->sun_path[0] == '\0')
		return snprintf(ret_buf, n, "unix:@%.*s", (int)(len - 1), un->sun_path + 1);
	return snprintf(ret_buf, n, "unix:%.*s", (int)strnlen(un->sun_path, len), un->sun_path);
}

int tti_addr_text(const struct tti_addr *a, char *ret_buf, size_t n)
{
	char host[INET6_ADDRSTRLEN] = "";

	switch (a->len > 0 ? a->room.ss_family : AF_UNSPEC) {
	case AF_INET:
		inet_ntop(AF_INET, &v4(a)->sin_addr, host, sizeof(host));
		return snprintf(ret_buf, n, "%s:%d", host, tti_addr_port(a));
	case AF_INET6:
		inet_ntop(AF_INET6, &v6(a)->sin6_addr, host, sizeof(host));
		if (v6(a)->sin6_scope_id != 0)
			return snprintf(ret_buf, n, "[%s%%%u]:%d", host, v6(a)->sin6_scope_id, tti_addr_port(a));
		return snprintf(ret_buf, n, "[%s]:%d", host, tti_addr_port(a));
	case AF_UNIX:
		return unix_text(a, ret_buf, n);
	default:
		return snprintf(ret_buf, n, "unknown");
	}
}

int tt_addr_parse(const char *text, tt_addr *ret_addr)
{
	struct tti_host_port at;
	struct tti_addr a;
	int rc = tti_host_port_parse("tt_addr_parse", text, &at);

	if (rc < 0)
		return rc;
	if (at.any || !tti_addr_from_digits(at.host, at.port, &a))
		return tt_fail(TT_EINVAL, "tt_addr_parse: address \"%s\": the host is not in digits", text);
	*tti_addr_of(ret_addr) = a;
	return 0;
}

int tt_addr_text(const tt_addr *a, char *ret_buf, size_t n)
{
	return tti_addr_text((const struct tti_addr *)(const void *)a, ret_buf, n);
}

/* SPDX-License-Identifier: MIT */
/*
 * address_fuzz.c - fuzz target: addresses as people write them.
 *
 * Who calls it: see fuzz.h. 'U' and a path, or the text of a host and a port.
 *
 * Claims  A refused text is TT_EINVAL (a path may be too long) and leaves the result untouched.
 *         An address that was read is printed, and what is printed is read as the same address and
 *         printed the same.
 *         Host and port, put together again, are taken apart the same.
 *         A buffer of any size gets a prefix that ends in a NUL, nothing is written beyond it,
 *         and the length returned is that of the whole.
 *         IPv4 as IPv6 and back is the same address.
 */
#include <sys/un.h>

#include <tutti/error.h>

#include "fuzz.h"
#include "net/address.h"

enum { TEXT_MAX = 512 };

static void check_cut(const struct tti_addr *a, const char *text)
{
	int len = (int)strlen(text);

	for (int n = 0; n <= len + 1; n++) {
		char *buf = fuzz_alloc((size_t)n);
		int kept = n - 1 < len ? n - 1 : len;

		MUST(tti_addr_text(a, buf, (size_t)n) == len);
		MUST(n == 0 || ((int)strlen(buf) == kept && memcmp(buf, text, (size_t)kept) == 0));
		free(buf);
	}
}

static bool same(const struct tti_addr *a, const struct tti_addr *b)
{
	return a->len == b->len && memcmp(&a->room, &b->room, a->len) == 0;
}

static void check_map(const struct tti_addr *a)
{
	struct tti_addr other = *a;

	tti_addr_map(&other);
	MUST(other.room.ss_family == AF_INET6);
	MUST(tti_addr_port(&other) == tti_addr_port(a));
	tti_addr_unmap(&other);
	if (a->room.ss_family == AF_INET)
		MUST(same(a, &other));
}

static void check_addr(const char *text)
{
	char shown[TEXT_MAX], again[TEXT_MAX];
	tt_addr a, b, untouched;
	int rc;

	memset(&a, 0x5a, sizeof(a));
	untouched = a;
	rc = tt_addr_parse(text, &a);
	if (rc < 0) {
		MUST(rc == TT_EINVAL && memcmp(&a, &untouched, sizeof(a)) == 0);
		return;
	}
	MUST(rc == 0);
	MUST(tt_addr_text(&a, shown, sizeof(shown)) == (int)strlen(shown));
	MUST(strtol(strrchr(shown, ':') + 1, NULL, 10) == tti_addr_port(tti_addr_of(&a)));
	MUST(tt_addr_parse(shown, &b) == 0 && same(tti_addr_of(&a), tti_addr_of(&b)));
	tt_addr_text(&b, again, sizeof(again));
	MUST(strcmp(shown, again) == 0);
	check_cut(tti_addr_of(&a), shown);
	check_map(tti_addr_of(&a));
}

static void check_host_port(const char *text)
{
	struct tti_host_port hp, again, untouched;
	char whole[TEXT_MAX];
	bool six;
	int rc;

	memset(&hp, 0x5a, sizeof(hp));
	untouched = hp;
	rc = tti_host_port_parse("fuzz", text, &hp);
	if (rc < 0) {
		MUST(rc == TT_EINVAL && memcmp(&hp, &untouched, sizeof(hp)) == 0);
		return;
	}
	MUST(rc == 0 && strlen(hp.host) <= TTI_HOST_MAX && hp.any == (hp.host[0] == '\0'));
	/* The host is a piece of the text, and the text ends in the port. */
	MUST(strstr(text, hp.host) != NULL && strtoul(strrchr(text, ':') + 1, NULL, 10) == hp.port);
	six = hp.host[0] == '[' || strchr(hp.host, ':') != NULL;
	snprintf(whole, sizeof(whole), six ? "[%s]:%u" : "%s:%u", hp.host, (unsigned)hp.port);
	MUST(tti_host_port_parse("fuzz", whole, &again) == 0);
	MUST(strcmp(hp.host, again.host) == 0 && hp.port == again.port && hp.any == again.any);
}

static void check_path(const char *path)
{
	const size_t room = sizeof(((struct sockaddr_un *)0)->sun_path);
	char shown[TEXT_MAX];
	struct tti_addr a, untouched;
	size_t len = strlen(path);
	bool abstract = path[0] == '@', empty = len == (size_t)abstract, long_ = len > room - !abstract;
	int rc;

	memset(&a, 0x5a, sizeof(a));
	untouched = a;
	rc = tti_addr_from_path("fuzz", path, &a);
	MUST(rc == (empty ? TT_EINVAL : long_ ? TT_ENAMETOOLONG : 0));
	if (rc < 0) {
		MUST(memcmp(&a, &untouched, sizeof(a)) == 0);
		return;
	}
	MUST(a.room.ss_family == AF_UNIX && a.len <= sizeof(struct sockaddr_un));
	MUST(tti_addr_port(&a) == TT_ENOTSUP);
	tti_addr_text(&a, shown, sizeof(shown));
	MUST(strncmp(shown, "unix:", 5) == 0 && strcmp(shown + 5, path) == 0);
	check_cut(&a, shown);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = fuzz_input_of(data, size < TEXT_MAX ? size : TEXT_MAX);
	bool unix_path = size > 0 && data[0] == 'U';
	char *text;

	if (unix_path)
		fuzz_byte(&in);
	text = fuzz_string(in);
	if (unix_path) {
		check_path(text);
	} else {
		check_addr(text);
		check_host_port(text);
	}
	free(text);
	return 0;
}

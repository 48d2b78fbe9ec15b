/* SPDX-License-Identifier: MIT */
/* address_test.c - addresses as people write them, and what is said about bad ones. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "net/address.h"
#include "net/net_testkit.h"

TT_TEST_MAIN()

static bool parses(const char *text, const char *host, int port, bool any)
{
	struct tti_host_port hp;

	if (!EXPECT_OK(tti_host_port_parse("test", text, &hp)))
		return false;
	return EXPECT_STR_EQ(hp.host, host) && EXPECT_EQ(hp.port, port) && EXPECT_EQ(hp.any, any);
}

static bool refuses(const char *text, const char *why)
{
	struct tti_host_port hp = { .port = 77 };
	char got[400] = "";
	tt_error e;

	EXPECT_CODE(tti_host_port_parse("test", text, &hp), TT_EINVAL);
	EXPECT_EQ(hp.port, 77);
	tt_error_take(&e, TT_EINVAL);
	tt_error_text(&e, got, sizeof(got));
	tt_error_fini(&e);
	if (strstr(got, why) == NULL)
		return EXPECT_STR_EQ(got, why);
	return true;
}

/* Names, digits of both families, and the forms for any address. */
TT_TEST(address, host_and_port)
{
	parses("localhost:80", "localhost", 80, false);
	parses("1.2.3.4:0", "1.2.3.4", 0, false);
	parses("[::1]:65535", "::1", 65535, false);
	parses("[fe80::1%2]:1", "fe80::1%2", 1, false);
	parses(":8080", "", 8080, true);
	parses("*:8080", "", 8080, true);
}

/* Each mistake has its own words. */
TT_TEST(address, mistakes_are_named)
{
	char name[300];

	refuses("x", "test: address \"x\": port missing");
	refuses("", "port missing");
	refuses("[::1]", "port missing");
	refuses("[::1]80", "port missing");
	refuses("x:", "port is a number");
	refuses("x:http", "port is a number");
	refuses("x:-1", "port is a number");
	refuses("x:65536", "port is a number");
	refuses("x:99999999999999999999", "port is a number");
	refuses("::1:80", "stands in brackets");
	refuses("[::1:80", "without an address");
	refuses("[]:80", "without an address");
	memset(name, 'a', sizeof(name));
	memcpy(name + 290, ":80", 4);
	refuses(name, "290 bytes");
}

static bool reads_back(const char *host, int port, const char *text)
{
	struct tti_addr a;
	char got[TTI_ADDR_TEXT_MAX];

	if (!EXPECT_TRUE(tti_addr_from_digits(host, (uint16_t)port, &a)))
		return false;
	EXPECT_EQ((size_t)tti_addr_text(&a, got, sizeof(got)), strlen(text));
	EXPECT_EQ(tti_addr_port(&a), port);
	return EXPECT_STR_EQ(got, text);
}

/* What is printed can be written again; a text that does not fit is cut and says its length. */
TT_TEST(address, text)
{
	struct tti_addr a = { .len = 0 };
	char small[6];

	reads_back("127.0.0.1", 8080, "127.0.0.1:8080");
	reads_back("::1", 80, "[::1]:80");
	EXPECT_FALSE(tti_addr_from_digits("localhost", 1, &a));
	EXPECT_FALSE(tti_addr_from_digits("1.2.3", 1, &a));
	REQUIRE_TRUE(tti_addr_from_digits("10.0.0.1", 99, &a));
	EXPECT_EQ(tti_addr_text(&a, small, sizeof(small)), 11);
	EXPECT_STR_EQ(small, "10.0.");
	EXPECT_EQ(tti_addr_text(&a, NULL, 0), 11);
}

/* Paths up to the last byte that fits; abstract names, which may use one more. */
TT_TEST(address, unix_paths)
{
	const size_t max = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;
	char path[200], text[200], expected[220];
	struct tti_addr a;

	REQUIRE_OK(tti_addr_from_path("test", "/run/x", &a));
	tti_addr_text(&a, text, sizeof(text));
	EXPECT_STR_EQ(text, "unix:/run/x");
	EXPECT_CODE(tti_addr_port(&a), TT_ENOTSUP);
	REQUIRE_OK(tti_addr_from_path("test", "@name", &a));
	tti_addr_text(&a, text, sizeof(text));
	EXPECT_STR_EQ(text, "unix:@name");
	memset(path, 'p', sizeof(path));
	path[max] = '\0';
	REQUIRE_OK(tti_addr_from_path("test", path, &a));
	tti_addr_text(&a, text, sizeof(text));
	snprintf(expected, sizeof(expected), "unix:%s", path);
	EXPECT_STR_EQ(text, expected);
	path[max] = 'p';
	path[max + 1] = '\0';
	EXPECT_CODE(tti_addr_from_path("test", path, &a), TT_ENAMETOOLONG);
	path[0] = '@';
	EXPECT_OK(tti_addr_from_path("test", path, &a));
	EXPECT_CODE(tti_addr_from_path("test", "", &a), TT_EINVAL);
	EXPECT_CODE(tti_addr_from_path("test", "@", &a), TT_EINVAL);
}

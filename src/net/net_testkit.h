/* SPDX-License-Identifier: MIT */
/* net_testkit.h - connected streams and recognisable bytes, for the tests of net/. */
#ifndef TTI_NET_NET_TESTKIT_H
#define TTI_NET_NET_TESTKIT_H

#include <stdio.h>
#include <string.h>

#include <tutti/tutti.h>
#include <tutti/testing.h>

/* Byte number i of a test's stream. */
static inline unsigned char test_byte(size_t i)
{
	return (unsigned char)(i * 31 + i / 251);
}

static inline void test_fill(void *buf, size_t from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((unsigned char *)buf)[i] = test_byte(from + i);
}

static inline bool test_matches(const void *buf, size_t from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (((const unsigned char *)buf)[i] != test_byte(from + i))
			return false;
	return true;
}

/* A listener on a loopback port, and where it is. */
static inline tt_fd *test_listener(char addr[32], const tt_tcp_options *o)
{
	tt_fd *listener = NULL;
	int port;

	REQUIRE_OK(tt_tcp_listen("127.0.0.1:0", o, &listener));
	port = tt_fd_local_port(listener);
	REQUIRE_LT(0, port);
	snprintf(addr, 32, "127.0.0.1:%d", port);
	return listener;
}

/* Both ends of a TCP connection: 0 connected, 1 accepted. */
static inline void test_tcp_pair(tt_fd *ends[2])
{
	char addr[32];
	tt_fd *listener = test_listener(addr, NULL);

	REQUIRE_OK(tt_tcp_connect(addr, NULL, &ends[0]));
	REQUIRE_OK(tt_accept(listener, &ends[1], NULL));
	tt_fd_close(listener);
}

static inline void test_close_pair(tt_fd *ends[2])
{
	tt_fd_close(ends[0]);
	tt_fd_close(ends[1]);
}

/* Numbers that depend on the seed alone. */
static inline unsigned test_random(uint64_t *state, unsigned n)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)((*state >> 33) % n);
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * driver_testkit.h - what the tests of the drivers share: a driver without a scheduler,
 * driven from one thread, and a runner that checks that no test leaves a descriptor open.
 */
#ifndef TTI_IO_DRIVER_TESTKIT_H
#define TTI_IO_DRIVER_TESTKIT_H

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "env/env.h"
#include "io/driver.h"
#include "task/task.h"

#define CHECK(cond) \
	do { \
		if (!(cond)) { \
			fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #cond); \
			exit(1); \
		} \
	} while (0)

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define KIT_TSAN true
#endif
#endif
#if !defined(KIT_TSAN) && defined(__SANITIZE_THREAD__)
#define KIT_TSAN true
#endif
#ifndef KIT_TSAN
#define KIT_TSAN false
#endif

#define CHECK_EQ(a, b) \
	do { \
		long long kit_a = (long long)(a), kit_b = (long long)(b); \
		if (kit_a != kit_b) { \
			fprintf(stderr, "%s:%d: failed: %s == %s (%lld, %lld)\n", __FILE__, __LINE__, #a, #b, \
			        kit_a, kit_b); \
			exit(1); \
		} \
	} while (0)

/* The driver under test. A test that ends well leaves it without operations. */
static struct tti_home kit_home;
static struct tti_driver *kit_driver;
static const struct tti_driver_ops *kit_ops;
static unsigned kit_done_count;          /* done() calls of this process */

/* An operation and what became of it. */
struct kit_op {
	struct tti_io_op op;
	bool ended;
	bool at_once;                        /* submit() or cancel() ended it */
	unsigned rank;                       /* which done() of the process it was, from 1 */
};

static inline void kit_done(struct tti_io_op *op)
{
	struct kit_op *k = TTI_CONTAINER_OF(op, struct kit_op, op);

	CHECK(!k->ended);
	k->ended = true;
	k->rank = ++kit_done_count;
}

static inline void kit_submit(struct kit_op *k)
{
	k->op.done = kit_done;
	k->op.cancelled = false;
	k->ended = k->at_once = false;
	tti_list_init(&k->op.link);
	if (kit_ops->submit(kit_driver, &k->op) == 1)
		k->ended = k->at_once = true;
}

static inline void kit_start(struct kit_op *k, enum tti_io_kind kind, int fd, unsigned flags, const void *buf,
                             size_t len)
{
	memset(k, 0, sizeof(*k));
	k->op.kind = (uint8_t)kind;
	k->op.fd = fd;
	k->op.generation = 1;
	k->op.flags = (uint8_t)flags;
	k->op.buf = (void *)(uintptr_t)buf;
	k->op.len = len;
	kit_submit(k);
}

static inline void kit_start_poll(struct kit_op *k, int fd, unsigned flags, unsigned events)
{
	memset(k, 0, sizeof(*k));
	k->op.kind = TTI_IO_POLL;
	k->op.fd = fd;
	k->op.generation = 1;
	k->op.flags = (uint8_t)flags;
	k->op.events = events;
	kit_submit(k);
}

static inline void kit_poll(int64_t wait)
{
	kit_ops->poll(kit_driver, wait > 0 ? tti_env_now() + wait : 0);
}

/* The result of an operation that ends soon. */
static inline long kit_finish(struct kit_op *k)
{
	int64_t limit = tti_env_now() + TT_SEC(20);

	while (!k->ended) {
		kit_poll(TT_MS(50));
		CHECK(tti_env_now() < limit);
	}
	return k->op.result;
}

/* Several turns of a driver that has nothing to tell. */
static inline void kit_expect_quiet(const struct kit_op *k)
{
	for (int i = 0; i < 3; i++) {
		kit_poll(0);
		CHECK(!k->ended);
	}
	kit_poll(TT_MS(1));
	CHECK(!k->ended);
}

static inline void kit_cancel(struct kit_op *k)
{
	CHECK(!k->ended);
	if (kit_ops->cancel(kit_driver, &k->op) == 1)
		k->ended = k->at_once = true;
	CHECK(k->op.cancelled);
}

static inline long kit_cancel_finish(struct kit_op *k)
{
	if (!k->ended)
		kit_cancel(k);
	return kit_finish(k);
}

static inline long kit_do(enum tti_io_kind kind, int fd, unsigned flags, const void *buf, size_t len)
{
	struct kit_op k;

	kit_start(&k, kind, fd, flags, buf, len);
	return kit_finish(&k);
}

static inline void kit_close(int fd)
{
	kit_ops->forget(kit_driver, fd, 1);
	CHECK_EQ(kit_ops->close(kit_driver, fd), 0);
}

static inline void kit_pair(int fds[2])
{
	CHECK_EQ(kit_ops->pair(kit_driver, fds), 0);
}

/* A listener on a free port of the loopback. */
static inline int kit_listen_tcp(int backlog, struct sockaddr_in *ret_addr)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	uint32_t len = sizeof(addr);
	int fd = kit_ops->socket(kit_driver, AF_INET, SOCK_STREAM, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK(fd >= 0);
	CHECK_EQ(kit_ops->bind(kit_driver, fd, &addr, len), 0);
	CHECK_EQ(kit_ops->listen(kit_driver, fd, backlog), 0);
	CHECK_EQ(kit_ops->address(kit_driver, fd, false, &addr, &len), 0);
	*ret_addr = addr;
	return fd;
}

/* A listener in the abstract namespace: the kernel names it and it leaves no file. */
static inline int kit_listen_unix(int backlog, struct sockaddr_un *ret_addr, uint32_t *ret_len)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = kit_ops->socket(kit_driver, AF_UNIX, SOCK_STREAM, 0);

	CHECK(fd >= 0);
	CHECK_EQ(kit_ops->bind(kit_driver, fd, &addr, sizeof(addr.sun_family)), 0);
	CHECK_EQ(kit_ops->listen(kit_driver, fd, backlog), 0);
	*ret_len = sizeof(addr);
	CHECK_EQ(kit_ops->address(kit_driver, fd, false, &addr, ret_len), 0);
	*ret_addr = addr;
	return fd;
}

/* A connected pair over TCP, through the driver. */
static inline void kit_pair_tcp(int fds[2])
{
	struct sockaddr_in addr;
	struct kit_op accepting;
	int listener = kit_listen_tcp(8, &addr);

	fds[0] = kit_ops->socket(kit_driver, AF_INET, SOCK_STREAM, 0);
	CHECK(fds[0] >= 0);
	kit_start(&accepting, TTI_IO_ACCEPT, listener, TTI_IO_SOCKET, NULL, 0);
	CHECK_EQ(kit_do(TTI_IO_CONNECT, fds[0], TTI_IO_SOCKET, &addr, sizeof(addr)), 0);
	fds[1] = (int)kit_finish(&accepting);
	CHECK(fds[1] >= 0);
	kit_close(listener);
}

static inline uint32_t kit_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* ---- system calls that fail on purpose ---- */

static struct kit_fault {
	long nr;
	long skip;                           /* calls that go through before */
	long times;                          /* how often it fails after that; negative: always */
	long rc;
	long seen;                           /* calls of any number since the last reset */
	long hits;
} kit_fault;
static struct tti_env_ops kit_env;

static inline long kit_fault_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	kit_fault.seen++;
	if (nr == kit_fault.nr && kit_fault.times != 0 && kit_fault.skip-- <= 0) {
		kit_fault.times--;
		kit_fault.hits++;
		return kit_fault.rc;
	}
	return tti_env_real.syscall(nr, a, b, c, d, e, f);
}

/* From now on the thread's calls are counted, and those of nr fail as told. */
static inline void kit_inject(long nr, long skip, long times, long rc)
{
	kit_env = tti_env_real;
	kit_env.syscall = kit_fault_syscall;
	kit_fault = (struct kit_fault){ .nr = nr, .skip = skip, .times = times, .rc = rc };
	tti_env_bind(&kit_env);
}

/* ---- the runner ---- */

struct kit_test {
	const char *name;
	void (*fn)(void);
	bool bare;                           /* makes its driver itself */
};

#define KIT_TEST(fn) { #fn, fn, false }
#define KIT_BARE(fn) { #fn, fn, true }
#define KIT_SECONDS 60

/* The kernel gives back the locked memory of a closed ring a moment after the close, so
 * an ordinary user with little of it may have to ask again. */
static inline int kit_create(unsigned entries, struct tti_driver **ret_driver)
{
	int64_t limit = tti_env_now() + TT_SEC(5);
	tti_atomic_u32 never = { 0 };
	int rc;

	while ((rc = kit_ops->create(&kit_home, entries, ret_driver)) == -ENOMEM && tti_env_now() < limit)
		tti_env_futex_wait(&never, 0, tti_env_now() + TT_MS(2));
	return rc;
}

static inline void kit_open(unsigned entries)
{
	CHECK_EQ(kit_create(entries, &kit_driver), 0);
	CHECK(kit_driver->ops == kit_ops);
	CHECK(kit_driver->home == &kit_home);
}

static inline void kit_shut(void)
{
	kit_ops->destroy(kit_driver);
	kit_driver = NULL;
}

/* Descriptors this process has open, the one that looks included. */
static inline int kit_descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 4096; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* Runs the tests whose name, as epoll.deadlines, contains name, or all for NULL. A claim that does not hold
 * ends the process; so does a test that takes too long. */
static inline void kit_run(const struct tti_driver_ops *ops, const struct kit_test *tests, size_t n, const char *name)
{
	kit_ops = ops;
	for (size_t i = 0; i < n; i++) {
		int before = kit_descriptors();
		char label[128];

		snprintf(label, sizeof(label), "%s.%s", ops->name, tests[i].name);
		if (name != NULL && strstr(label, name) == NULL)
			continue;
		printf("%s\n", label);
		fflush(stdout);
		alarm(KIT_SECONDS);
		if (!tests[i].bare)
			kit_open(0);
		tests[i].fn();
		tti_env_bind(NULL);
		if (!tests[i].bare)
			kit_shut();
		CHECK_EQ(kit_descriptors(), before);
	}
	alarm(0);
}

/* 0 when the kernel lets us have this driver, else why not. */
static inline int kit_available(const struct tti_driver_ops *ops)
{
	struct tti_driver *d;
	int rc;

	kit_ops = ops;
	rc = kit_create(0, &d);
	if (rc == 0)
		ops->destroy(d);
	return rc;
}

#endif

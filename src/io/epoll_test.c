/* SPDX-License-Identifier: MIT */
/*
 * epoll_test.c - claims about the epoll driver that the other drivers do not share: the
 * system calls it saves, kernels that lack some, and its own failures.
 *
 * epoll_test [part of a test's name]
 */
#include "io/driver_testkit.h"

#include <sys/syscall.h>

#define S TTI_IO_SOCKET

/* A turn of a driver in which nothing waits makes no system call. */
static void idle_turn_is_free(void)
{
	kit_inject(-1, 0, 0, 0);
	for (int i = 0; i < 10; i++)
		kit_poll(0);
	CHECK_EQ(kit_fault.seen, 0);
}

/* A read of a TCP stream that the last read emptied is not tried: one call to wait, one to
 * read, where trying first makes three. */
static void drained_read_is_not_tried(void)
{
	struct kit_op r;
	char buf[64];
	int fds[2];

	kit_pair_tcp(fds);
	kit_start(&r, TTI_IO_READ, fds[0], S, buf, sizeof(buf));
	for (int round = 0; round < 10; round++) {
		CHECK_EQ(kit_ops->write(kit_driver, fds[1], "x", 1, S), 1);
		CHECK_EQ(kit_finish(&r), 1);
		kit_inject(-1, 0, 0, 0);
		kit_start(&r, TTI_IO_READ, fds[0], S | TTI_IO_DRAINED, buf, sizeof(buf));
		CHECK(!r.ended);
		CHECK_EQ(kit_fault.seen, 0);
		tti_env_bind(NULL);
	}
	CHECK_EQ(kit_cancel_finish(&r), -ECANCELED);
	/* After a full read there may be more, so the hint is worth nothing. */
	CHECK_EQ(kit_ops->write(kit_driver, fds[1], "abcd", 4, S), 4);
	CHECK_EQ(kit_do(TTI_IO_READ, fds[0], S | TTI_IO_DRAINED, buf, 2), 2);
	kit_start(&r, TTI_IO_READ, fds[0], S | TTI_IO_DRAINED, buf, 2);
	CHECK(r.at_once);
	CHECK_EQ(r.op.result, 2);
	kit_close(fds[0]);
	kit_close(fds[1]);
}

/* A descriptor is registered once, however often it waits, in both directions. */
static void registered_once(void)
{
	struct kit_op r;
	char buf[64];
	int fds[2];

	kit_pair(fds);
	kit_start(&r, TTI_IO_READ, fds[0], S, buf, sizeof(buf));
	kit_inject(SYS_epoll_ctl, 0, -1, -EINVAL);
	for (int round = 0; round < 10; round++) {
		CHECK_EQ(kit_ops->write(kit_driver, fds[1], "x", 1, S), 1);
		CHECK_EQ(kit_finish(&r), 1);
		kit_start(&r, TTI_IO_READ, fds[0], S, buf, sizeof(buf));
	}
	CHECK_EQ(kit_fault.hits, 0);
	CHECK_EQ(kit_cancel_finish(&r), -ECANCELED);
	tti_env_bind(NULL);
	kit_close(fds[0]);
	kit_close(fds[1]);
}

/* Entries of the kernel's interest set, as /proc tells. */
static int interest(void)
{
	char path[64], line[256];
	int n = 0;

	for (int fd = 3; fd < 64; fd++) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
		f = fopen(path, "re");
		while (f != NULL && fgets(line, sizeof(line), f) != NULL)
			n += strncmp(line, "tfd:", 4) == 0;
		if (f != NULL)
			fclose(f);
	}
	return n;
}

/* A foreign descriptor is in the set while it is polled and no longer; one of ours until
 * it is forgotten. */
static void interest_ends_with_the_operation(void)
{
	struct kit_op a, b, r;
	char buf[8];
	int fds[2], idle = interest();

	/* The event of wake(); none where /proc is not the kernel's own. */
	if (idle != 1)
		return;
	CHECK(pipe2(fds, O_CLOEXEC) == 0);
	kit_start_poll(&a, fds[0], TTI_IO_FOREIGN, POLLIN);
	kit_start_poll(&b, fds[0], TTI_IO_FOREIGN, POLLIN);
	CHECK_EQ(interest(), idle + 1);
	CHECK_EQ(kit_cancel_finish(&a), -ECANCELED);
	CHECK_EQ(interest(), idle + 1);
	CHECK_EQ(kit_cancel_finish(&b), -ECANCELED);
	CHECK_EQ(interest(), idle);
	kit_start_poll(&a, fds[0], TTI_IO_FOREIGN, POLLIN);
	CHECK(write(fds[1], "x", 1) == 1);
	CHECK_EQ(kit_finish(&a), POLLIN);
	CHECK_EQ(interest(), idle);
	close(fds[0]);
	close(fds[1]);

	kit_pair(fds);
	kit_start(&r, TTI_IO_READ, fds[0], S, buf, sizeof(buf));
	CHECK_EQ(interest(), idle + 1);
	CHECK_EQ(kit_cancel_finish(&r), -ECANCELED);
	CHECK_EQ(interest(), idle + 1);
	kit_ops->forget(kit_driver, fds[0], 1);
	CHECK_EQ(interest(), idle);
	kit_close(fds[0]);
	kit_close(fds[1]);
}

/* Without epoll_pwait2, refused in either way, waits last whole milliseconds, rounded up. */
static void old_kernel_waits_in_milliseconds(void)
{
	static const long refusals[] = { -ENOSYS, -EPERM };

	for (int i = 0; i < 2; i++) {
		kit_open(0);
		kit_inject(SYS_epoll_pwait2, 0, -1, refusals[i]);
		for (int64_t wait = TT_US(100); wait < TT_MS(4); wait += TT_US(700)) {
			int64_t deadline = tti_env_now() + wait;

			kit_fault.seen = 0;
			kit_ops->poll(kit_driver, deadline);
			CHECK(tti_env_now() >= deadline);
			/* One wait; rounded down it would end by spinning. */
			CHECK(kit_fault.seen <= 2);
		}
		/* Asked once, then known. */
		CHECK_EQ(kit_fault.hits, 1);
		kit_ops->wake(kit_driver);
		kit_ops->poll(kit_driver, TT_NEVER);
		tti_env_bind(NULL);
		kit_shut();
	}
}

/* An interrupted wait goes on; interrupted calls are made again. */
static void interruptions_are_not_seen(void)
{
	char buf[8];
	int fds[2];
	int64_t deadline;

	kit_pair(fds);
	deadline = tti_env_now() + TT_MS(2);
	kit_inject(SYS_epoll_pwait2, 0, 3, -EINTR);
	kit_ops->poll(kit_driver, deadline);
	CHECK(tti_env_now() >= deadline);
	CHECK_EQ(kit_fault.hits, 3);
	kit_inject(SYS_sendto, 0, 2, -EINTR);
	CHECK_EQ(kit_do(TTI_IO_WRITE, fds[1], S, "ab", 2), 2);
	CHECK_EQ(kit_fault.hits, 2);
	kit_inject(SYS_recvfrom, 0, 2, -EINTR);
	CHECK_EQ(kit_do(TTI_IO_READ, fds[0], S, buf, 8), 2);
	CHECK_EQ(kit_fault.hits, 2);
	/* Closing is not: the number is free already. */
	kit_ops->forget(kit_driver, fds[0], 1);
	kit_inject(SYS_close, 1, 1, -EINTR);
	CHECK_EQ(kit_ops->close(kit_driver, fds[0]), 0);
	tti_env_bind(NULL);
	kit_close(fds[1]);
}

/* The errors that accept(2) calls passing do not end an accept. */
static void passing_accept_errors_are_retried(void)
{
	static const long passing[] = { -ECONNABORTED, -EPROTO, -ENETDOWN, -EHOSTUNREACH, -EINTR };
	struct sockaddr_in addr;
	int listener = kit_listen_tcp(8, &addr);

	for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++) {
		int client = kit_ops->socket(kit_driver, AF_INET, SOCK_STREAM, 0), server;

		CHECK_EQ(kit_do(TTI_IO_CONNECT, client, S, &addr, sizeof(addr)), 0);
		kit_inject(SYS_accept4, 0, 3, passing[i]);
		server = (int)kit_do(TTI_IO_ACCEPT, listener, S, NULL, 0);
		CHECK(server >= 0);
		CHECK_EQ(kit_fault.hits, 3);
		tti_env_bind(NULL);
		kit_close(server);
		kit_close(client);
	}
	/* One that does not pass ends it, in the end. */
	kit_inject(SYS_accept4, 0, -1, -ENETDOWN);
	CHECK_EQ(kit_do(TTI_IO_ACCEPT, listener, S, NULL, 0), -ENETDOWN);
	tti_env_bind(NULL);
	kit_close(listener);
}

/* A descriptor that cannot be registered is the operation's error, and leaves nothing. */
static void registration_fails(void)
{
	struct kit_op r, p;
	char buf[8];
	int fds[2];

	kit_pair(fds);
	kit_inject(SYS_epoll_ctl, 0, 2, -ENOSPC);
	kit_start(&r, TTI_IO_READ, fds[0], S, buf, sizeof(buf));
	CHECK(r.at_once);
	CHECK_EQ(r.op.result, -ENOSPC);
	kit_start_poll(&p, fds[0], TTI_IO_FOREIGN, POLLIN);
	CHECK(p.at_once);
	CHECK_EQ(p.op.result, -ENOSPC);
	tti_env_bind(NULL);
	kit_start(&r, TTI_IO_READ, fds[0], S, buf, sizeof(buf));
	CHECK_EQ(kit_ops->write(kit_driver, fds[1], "x", 1, S), 1);
	CHECK_EQ(kit_finish(&r), 1);
	kit_close(fds[0]);
	kit_close(fds[1]);
}

static int allocations_left;

static void *scarce_alloc(size_t n)
{
	if (allocations_left == 0)
		return NULL;
	allocations_left--;
	return tti_env_real.alloc(n);
}

/* Without memory for a record the operation fails, and works once there is some; a driver
 * that cannot be made leaves nothing behind. */
static void out_of_memory(void)
{
	struct tti_env_ops scarce = tti_env_real;
	struct tti_driver *d = NULL;
	struct kit_op r;
	char buf[8];
	int fds[2];

	scarce.alloc = scarce_alloc;
	tti_env_bind(&scarce);
	allocations_left = 0;
	CHECK_EQ(kit_ops->create(&kit_home, 0, &d), -ENOMEM);
	CHECK(d == NULL);
	kit_pair(fds);
	for (int n = 0; n < 2; n++) {
		allocations_left = n;
		kit_start(&r, TTI_IO_READ, fds[0], S, buf, sizeof(buf));
		CHECK(r.at_once);
		CHECK_EQ(r.op.result, -ENOMEM);
	}
	allocations_left = -1;
	kit_start(&r, TTI_IO_READ, fds[0], S, buf, sizeof(buf));
	CHECK_EQ(kit_cancel_finish(&r), -ECANCELED);
	tti_env_bind(NULL);
	kit_close(fds[0]);
	kit_close(fds[1]);
}

/* Each call that makes the driver may fail; its code is the result. */
static void create_fails(void)
{
	static const long calls[] = { SYS_epoll_create1, SYS_eventfd2, SYS_epoll_ctl };
	struct tti_driver *d = NULL;

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		kit_inject(calls[i], 0, 1, -EMFILE);
		CHECK_EQ(kit_ops->create(&kit_home, 0, &d), -EMFILE);
		CHECK(d == NULL);
		tti_env_bind(NULL);
	}
}

static const struct kit_test tests[] = {
	KIT_TEST(idle_turn_is_free),
	KIT_TEST(drained_read_is_not_tried),
	KIT_TEST(registered_once),
	KIT_TEST(interest_ends_with_the_operation),
	KIT_BARE(old_kernel_waits_in_milliseconds),
	KIT_TEST(interruptions_are_not_seen),
	KIT_TEST(passing_accept_errors_are_retried),
	KIT_TEST(registration_fails),
	KIT_TEST(out_of_memory),
	KIT_BARE(create_fails),
};

int main(int argc, char **argv)
{
	kit_run(&tti_driver_epoll, tests, sizeof(tests) / sizeof(tests[0]), argc > 1 ? argv[1] : NULL);
	return 0;
}

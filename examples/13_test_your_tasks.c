/* SPDX-License-Identifier: MIT */
/*
 * 13_test_your_tasks.c - a small server with a pool behind it, and its tests: in virtual time, with
 * faults, under every schedule, and with each wait cut short, each allocation and each call refused.
 * Run it with --seeds=1000, or with --on=epoll --workers=4.
 */
/* example-torture: no (it tortures itself) */
#include <stdio.h>
#include <tutti/testing.h>
#include <tutti/tutti.h>

/* ---- the program ---- */

TT_POOL_TYPE(backend_pool, int);
struct shop { backend_pool *backends; int open; };

/* Opened and closed on any worker, and counted where all have ended. */
static int backend_open(void *ctx, void **ret)
{
	*ret = ctx;
	__atomic_add_fetch((int *)ctx, 1, __ATOMIC_RELAXED); /* relaxed: a count */
	return 0;
}

static void backend_close(void *ctx, void *item)
{
	(void)item;
	__atomic_sub_fetch((int *)ctx, 1, __ATOMIC_RELAXED); /* relaxed: a count */
}

static int work_out(struct shop *shop, unsigned char n, unsigned char *ret)
{
	TT_LEASE(backend, shop->backends);
	TT_TRY(tt_pool_acquire(shop->backends, &backend));
	TT_TRY(tt_sleep(TT_MS(2)));
	*ret = (unsigned char)(2 * n);
	return 0;
}

static TT_TASK(serve, (struct shop *, shop), (tt_fd *, fd, tt_fd_close))
{
	unsigned char n, answer;

	TT_DEFER(tt_fd_close, fd);
	TT_TRY(TT_WITHIN(TT_SEC(30), tt_read_exact(fd, &n, 1, NULL))); /* a client that says nothing */
	TT_TRY(work_out(shop, n, &answer));
	return tt_write_all(fd, &answer, 1, NULL);
}

static int exchange(const char *addr, unsigned char n, unsigned char *ret_answer)
{
	tt_fd *fd;

	TT_TRY(tt_tcp_connect(addr, NULL, &fd));
	TT_DEFER(tt_fd_close, fd);
	TT_TRY(tt_write_all(fd, &n, 1, NULL));
	return tt_read_exact(fd, ret_answer, 1, NULL);
}

/* Without a time limit of its own it would wait for ever for a server that vanished: the test in
 * a bad network said so. */
static TT_TASK(ask, (int, port), (unsigned char, n))
{
	unsigned char answer;
	char addr[32];

	snprintf(addr, sizeof(addr), "127.0.0.1:%d", port);
	TT_TRY(TT_WITHIN(TT_SEC(60), exchange(addr, n, &answer)));
	EXPECT_EQ(answer, 2 * n);
	return 0;
}

static int serve_three(struct shop *shop, tt_fd *listener)
{
	tt_fd *fd;

	TT_GROUP(g);
	for (unsigned char n = 1; n <= 3; n++)
		tt_go(&g, ask, tt_fd_local_port(listener), n);
	for (int i = 0; i < 3; i++) {
		TT_TRY_IN(&g, tt_accept(listener, &fd, NULL));
		tt_go_with(&g, &(tt_child_options){ .worker = TT_WORKER_ANY }, serve, shop, fd);
	}
	return tt_group_end(&g, 0);
}

/* Two backends for three clients. */
static TT_TASK(one_day, (struct shop *, shop))
{
	tt_pool_options o = { .open = backend_open, .close = backend_close, .ctx = &shop->open, .max = 2 };
	tt_fd *listener;
	int rc;

	TT_TRY(tt_tcp_listen("127.0.0.1:0", NULL, &listener));
	rc = tt_pool_create(&o, &shop->backends);
	if (rc == 0) {
		rc = serve_three(shop, listener);
		tt_pool_destroy(shop->backends);
	}
	tt_fd_close(listener);
	return rc;
}

/* ---- its tests ---- */

/* Whatever happened: every backend that was opened is closed. */
static void check(void *context, int rc)
{
	const struct shop *shop = context;

	(void)rc;
	EXPECT_EQ(shop->open, 0);
}

/* On whatever --on= says. At the end of each test the kit counts tasks and descriptors, too. */
TT_TEST(shop, answers_everybody)
{
	struct shop shop = { 0 };

	EXPECT_OK(one_day(&shop));
	check(&shop, 0);
	EXPECT_TASKS_ALIVE(1);
}

/* Thirty seconds that take no time. */
TT_TEST_ON(shop, gives_up_on_who_says_nothing, TT_ON_SIM, "it waits for half a minute")
{
	int64_t before = tt_now();
	tt_fd *ends[2];

	REQUIRE_OK(tt_pair(ends));
	EXPECT_CODE(serve(NULL, ends[0]), TT_ETIMEDOUT); /* as a task would it closes what it is given */
	EXPECT_GE(tt_now() - before, TT_SEC(30));
	tt_fd_close(ends[1]);
}

/* Each seed is another schedule, other faults: connections refused, reset, half-open ... */
TT_TEST_PLAIN(shop, loses_nothing_in_a_bad_network)
{
	for (unsigned i = 0; i < tt_test_seeds(50); i++) {
		tt_sim_options o = { .seed = tt_test_seed() + i, .workers = 3, .faults = TT_FAULTS_NETWORK, .quiet = true };
		struct shop shop = { 0 };

		check(&shop, tt_sim_run_with(&o, one_day, &shop));
	}
}

/* Not a sample: no schedule that leaves the usual one once is left out. */
TT_TEST_PLAIN(shop, is_right_under_every_schedule)
{
	tt_explore_options o = { .delays = 1 };
	struct shop shop = { 0 };
	tt_explore_result r;

	EXPECT_OK(tt_sim_explore(&o, &r, one_day, &shop));
	EXPECT_TRUE(r.complete);
}

/* Cut short at every place, by a cancel and by a deadline; each allocation, each call refused. */
TT_TEST_PLAIN(shop, closes_every_backend_whatever_fails)
{
	struct shop shop = { 0 };
	tt_torture_options o = { .check = check, .context = &shop, .any_code = true };
	tt_torture_result cancels, deadlines, memory, calls;

	EXPECT_EQ(TT_CANCEL_TORTURE(&o, &cancels, one_day, &shop), 0);
	EXPECT_EQ(TT_DEADLINE_TORTURE(&o, &deadlines, one_day, &shop), 0);
	EXPECT_EQ(TT_ALLOC_TORTURE(&o, &memory, one_day, &shop), 0);
	EXPECT_EQ(TT_SYSCALL_TORTURE(&o, &calls, one_day, &shop), 0);
	EXPECT_GT(cancels.cut, 50);
	EXPECT_GT(memory.cut + calls.cut, 20);
}

TT_TEST_MAIN()

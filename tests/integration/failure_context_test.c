/* SPDX-License-Identifier: MIT */
/*
 * failure_context_test.c - what waits like a task, called from a pool job, gives
 * TT_EWRONGCTX and touches nothing: outputs keep what they held, handles stay usable.
 *
 * test-on: sim1 epoll4
 * test-labels: children
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "sync/pool_testkit.h"

#define REFUSED(call) EXPECT_CODE(call, TT_EWRONGCTX)

TT_FLIGHT_TYPE(int_flight, int);

/* ---- network ---- */

struct ends {
	tt_fd *fds[2];
};

static TT_TASK(opens_sockets)
{
	tt_fd *none = NULL, *two[2] = { NULL, NULL };

	REFUSED(tt_tcp_listen("127.0.0.1:0", NULL, &none));
	REFUSED(tt_tcp_connect("127.0.0.1:1", NULL, &none));
	REFUSED(tt_unix_listen("/tmp/none", 1, &none));
	REFUSED(tt_unix_connect("/tmp/none", &none));
	REFUSED(tt_udp_open("127.0.0.1:0", NULL, &none));
	REFUSED(tt_udp_connect("127.0.0.1:1", NULL, &none));
	REFUSED(tt_pair(two));
	EXPECT_TRUE(none == NULL && two[0] == NULL && two[1] == NULL);
	EXPECT_TRUE(tt_stdin() == NULL && tt_stdout() == NULL && tt_stderr() == NULL);
	return 0;
}

static TT_TASK(uses_sockets, (struct ends *, e))
{
	struct iovec piece = { .iov_base = (char[]){ "a" }, .iov_len = 1 };
	tt_fd *none = NULL;
	char text[64] = "kept";
	size_t done = 5;
	tt_addr addrs[2];

	REFUSED(tt_accept(e->fds[0], &none, NULL));
	REFUSED(tt_read(e->fds[0], text, 4));
	REFUSED(tt_try_read(e->fds[0], text, 4));
	REFUSED(tt_write(e->fds[0], "lost", 4));
	REFUSED(tt_try_write(e->fds[0], "lost", 4));
	REFUSED(tt_read_exact(e->fds[0], text, 4, &done));
	REFUSED(tt_write_all(e->fds[0], "lost", 4, &done));
	REFUSED(tt_writev_all(e->fds[0], &piece, 1, &done));
	REFUSED(tt_sendfile(e->fds[0], e->fds[1], 0, 4, &done));
	REFUSED(tt_udp_recv(e->fds[0], text, 4, NULL));
	REFUSED(tt_udp_send(e->fds[0], "lost", 4, NULL));
	REFUSED(tt_unix_send_fd(e->fds[0], e->fds[1], "x", 1));
	REFUSED(tt_unix_recv_fd(e->fds[0], text, 1, &none));
	REFUSED(tt_fd_shutdown(e->fds[0], SHUT_RDWR));
	REFUSED(tt_fd_poll(e->fds[0], POLLIN));
	REFUSED(tt_wait_fd(0, POLLIN));
	tt_fd_forget(0);
	REFUSED(tt_fd_peer_text(e->fds[0], text, sizeof(text)));
	REFUSED(tt_fd_local_port(e->fds[0]));
	REFUSED(tt_resolve("localhost", "80", addrs, 2));
	EXPECT_STR_EQ(text, "kept");
	EXPECT_TRUE(none == NULL);
	EXPECT_EQ(done, 0u);
	return 0;
}

static TT_TASK(uses_a_reader, (struct ends *, e))
{
	char room[16], *line = NULL;
	size_t len = 0, done = 0;
	tt_reader r;

	tt_reader_init(&r, e->fds[0], room, sizeof(room));
	REFUSED(tt_reader_read(&r, (char[4]){ 0 }, 4));
	REFUSED(tt_reader_read_exact(&r, (char[4]){ 0 }, 4, &done));
	REFUSED(tt_read_until(&r, '\n', &line, &len));
	REFUSED(tt_reader_fill(&r));
	return 0;
}

TT_TEST(wrong_context, sockets_are_left_alone)
{
	struct ends e;
	char got[8];

	REQUIRE_OK(tt_pair(e.fds));
	EXPECT_OK(tt_blocking(opens_sockets));
	EXPECT_OK(tt_blocking(uses_sockets, &e));
	EXPECT_OK(tt_blocking(uses_a_reader, &e));
	EXPECT_EQ(tt_write(e.fds[0], "both", 4), 4);
	EXPECT_EQ(tt_read(e.fds[1], got, sizeof(got)), 4);
	EXPECT_EQ(tt_write(e.fds[1], "ways", 4), 4);
	EXPECT_EQ(tt_read(e.fds[0], got, sizeof(got)), 4);
	tt_fd_close(e.fds[0]);
	tt_fd_close(e.fds[1]);
}

/* ---- files, processes, signals ---- */

static TT_TASK(uses_files)
{
	tt_file_info info;
	tt_fd *none = NULL;
	char buf[4];

	REFUSED(tt_file_open("/dev/null", O_RDONLY, 0, &none));
	REFUSED(tt_file_stat_path("/dev/null", &info));
	REFUSED(tt_file_read_all("/dev/null", buf, sizeof(buf)));
	REFUSED(tt_file_replace("/nowhere/at/all", "x", 1));
	REFUSED(tt_file_rename("/nowhere/a", "/nowhere/b"));
	REFUSED(tt_file_remove("/nowhere/a"));
	EXPECT_TRUE(none == NULL);
	return 0;
}

static TT_TASK(uses_processes)
{
	const char *argv[] = { "true", NULL };
	tt_process_options o = { .argv = argv };
	int signals[] = { SIGUSR1 }, got = 0;
	tt_process *none = NULL;
	tt_signals s = { 0 };

	REFUSED(tt_process_start(&o, &none));
	REFUSED(tt_process_run(&o, &(tt_process_io){ .out = NULL }, &got));
	REFUSED(tt_signal_open(&s, signals, 1));
	EXPECT_TRUE(none == NULL);
	EXPECT_EQ(got, 0);
	return 0;
}

TT_TEST(wrong_context, files_and_processes_are_left_alone)
{
	EXPECT_OK(tt_blocking(uses_files));
	EXPECT_OK(tt_blocking(uses_processes));
}

static TT_TASK(uses_a_process, (tt_process *, p), (tt_signals *, s))
{
	int got = -1;

	REFUSED(tt_process_wait(p, &got));
	REFUSED(tt_process_kill(p, SIGKILL, TT_PROCESS_ALONE));
	REFUSED(tt_signal_next(s, &got));
	EXPECT_EQ(got, -1);
	return 0;
}

TT_TEST_ON(wrong_context, a_process_is_left_alone, TT_ON_EPOLL | TT_ON_URING, "starts a process")
{
	const char *argv[] = { "cat", NULL };
	tt_process_options o = { .argv = argv, .stdin_to = TT_TO_PIPE };
	int signals[] = { SIGUSR1 }, status = -1;
	tt_process *p;
	tt_signals s;

	REQUIRE_OK(tt_process_start(&o, &p));
	REQUIRE_OK(tt_signal_open(&s, signals, 1));
	EXPECT_OK(tt_blocking(uses_a_process, p, &s));
	tt_signal_close(&s);
	tt_fd_close(tt_process_stdin(p));
	EXPECT_OK(tt_process_wait(p, &status));
	EXPECT_EQ(status, 0);
	tt_process_close(p);
}

/* ---- scopes, groups ---- */

static TT_TASK(never_runs, (int *, ran))
{
	++*ran;
	return 0;
}

static TT_TASK(uses_groups, (tt_task *, t), (tt_group *, g))
{
	tt_background *none = NULL;
	int ran = 0;

	REFUSED(tt_task_join(t));
	REFUSED(tt_group_drain(g));
	REFUSED(tt_ready());
	REFUSED(tt_call_on(0, never_runs, &ran));
	REFUSED(tt_background_create(NULL, &none));
	EXPECT_TRUE(none == NULL);
	EXPECT_EQ(ran, 0);
	return 0;
}

static TT_TASK(counts, (int *, ran))
{
	++*ran;
	return 4;
}

static int join_one(int *ran)
{
	tt_background *b;
	tt_task *t = NULL;

	TT_GROUP(g);
	TT_TRY_IN(&g, tt_background_create(NULL, &b));
	TT_TRY_IN(&g, tt_go_task(&g, &t, counts, ran));
	EXPECT_OK(tt_blocking(uses_groups, t, &g));
	EXPECT_EQ(tt_task_join(t), 4);
	tt_task_put(t);
	tt_background_destroy(b);
	return tt_group_end(&g, 0);
}

TT_TEST(wrong_context, children_are_left_alone)
{
	int ran = 0;

	EXPECT_OK(join_one(&ran));
	EXPECT_EQ(ran, 1);
}

/* ---- synchronisation ---- */

struct tools {
	tt_rwlock rwlock;
	tt_mutex mutex;
	tt_condvar condvar;
	tt_barrier barrier;
	tt_latch latch;
	tt_rate rate;
	tt_retry retry;
	int_flight flight;
	thing_pool *pool;
	const tt_pool_options *options;
};

static TT_TASK(answers, (void *, unused))
{
	(void)unused;
	return 7;
}

static TT_TASK(uses_tools, (struct tools *, t))
{
	struct thing *item = NULL;
	thing_pool *none = NULL;
	int value = 3;

	REFUSED(tt_rwlock_read(&t->rwlock));
	REFUSED(tt_rwlock_write(&t->rwlock));
	REFUSED(tt_rwlock_try_read(&t->rwlock));
	REFUSED(tt_rwlock_try_write(&t->rwlock));
	REFUSED(tt_condvar_wait(&t->condvar, &t->mutex));
	REFUSED(tt_barrier_wait(&t->barrier));
	REFUSED(tt_latch_wait(&t->latch));
	REFUSED(tt_rate_acquire(&t->rate, 1));
	REFUSED(tt_rate_try_acquire(&t->rate, 1));
	REFUSED(tt_retry_wait(&t->retry, TT_EIO));
	REFUSED(tt_pool_acquire(t->pool, &item));
	REFUSED(tt_pool_try_acquire(t->pool, &item));
	REFUSED(tt_pool_drain(t->pool));
	REFUSED(tt_pool_create(t->options, &none));
	EXPECT_TRUE(none == NULL);
	REFUSED(tt_flight_do(&t->flight, tt_key_text("k"), &value, answers, NULL));
	REFUSED(tt_test_wait_all_parked());
	EXPECT_TRUE(item == NULL);
	EXPECT_EQ(value, 3);
	return 0;
}

TT_TEST(wrong_context, tools_are_left_alone)
{
	struct tools t = { .retry = tt_retry_jitter(TT_MS(1), TT_MS(2), 3) };
	struct shop shop;
	tt_pool_options o;

	shop_init(&shop);
	o = shop_options(&shop, 2);
	t.options = &o;
	tt_rwlock_init(&t.rwlock);
	tt_mutex_init(&t.mutex);
	tt_condvar_init(&t.condvar);
	tt_barrier_init(&t.barrier, 1);
	tt_latch_init(&t.latch, 1);
	tt_rate_init(&t.rate, 1, TT_SEC(1), 1);
	tt_flight_init(&t.flight);
	REQUIRE_OK(tt_pool_create(&o, &t.pool));
	EXPECT_OK(tt_blocking(uses_tools, &t));
	EXPECT_OK(tt_rate_try_acquire(&t.rate, 1));
	EXPECT_OK(tt_rwlock_try_write(&t.rwlock));
	tt_rwlock_unlock(&t.rwlock);
	EXPECT_OK(tt_barrier_wait(&t.barrier));
	tt_pool_destroy(t.pool);
	tt_flight_fini(&t.flight);
	tt_rate_fini(&t.rate);
	tt_latch_fini(&t.latch);
	tt_barrier_fini(&t.barrier);
	tt_condvar_fini(&t.condvar);
	tt_mutex_fini(&t.mutex);
	tt_rwlock_fini(&t.rwlock);
	EXPECT_EQ(shop.opens, 0u);
	shop_fini(&shop);
}

TT_TEST_MAIN()

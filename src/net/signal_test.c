/* SPDX-License-Identifier: MIT */
/*
 * signal_test.c - signals as streams, and a server that a signal stops: softly first, at
 * once the second time.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/net_testkit.h"

TT_TEST_MAIN()

#define WHY_REAL "needs a process that signals reach"

static void send_self(int signo)
{
	REQUIRE_EQ(kill(getpid(), signo), 0);
}

/* Signals come in through the stream, one at a time, those that waited too. */
TT_TEST_ON(signal, stream_gives_each_signal, TT_ON_REAL, WHY_REAL)
{
	static const int wanted[] = { SIGUSR1, SIGUSR2 };
	tt_signals s;
	int got = 0, seen = 0;

	REQUIRE_OK(tt_signal_open(&s, wanted, 2));
	for (int i = 0; i < 10; i++) {
		send_self(SIGUSR1);
		EXPECT_OK(tt_signal_next(&s, &got));
		EXPECT_EQ(got, SIGUSR1);
	}
	send_self(SIGUSR2);
	send_self(SIGUSR1);
	for (int i = 0; i < 2; i++) {
		EXPECT_OK(tt_signal_next(&s, &got));
		seen |= got == SIGUSR1 ? 1 : 2;
	}
	EXPECT_EQ(seen, 3);
	EXPECT_CODE(TT_WITHIN(TT_MS(1), tt_signal_next(&s, &got)), TT_ETIMEDOUT);
	tt_signal_close(&s);
	tt_signal_close(&s);
}

/* As with the kernel: one that comes again before somebody asks is the same one. */
TT_TEST_ON(signal, two_of_a_kind_are_one, TT_ON_SIM, "the others need signals to come from outside")
{
	static const int wanted[] = { SIGUSR1 };
	tt_signals s;
	int got = 0;

	REQUIRE_OK(tt_signal_open(&s, wanted, 1));
	for (int i = 0; i < 2; i++) {
		send_self(SIGUSR1);
		REQUIRE_OK(tt_sleep(TT_MS(1))); /* it has come to the stream */
	}
	EXPECT_OK(tt_signal_next(&s, &got));
	EXPECT_EQ(got, SIGUSR1);
	EXPECT_CODE(TT_WITHIN(TT_MS(1), tt_signal_next(&s, &got)), TT_ETIMEDOUT);
	tt_signal_close(&s);
}

static TT_TASK(next_is, (tt_signals *, s), (int, expected))
{
	int got = 0;

	TT_TRY(tt_signal_next(s, &got));
	EXPECT_EQ(got, expected);
	return 0;
}

/* One waits at a time; a task on another worker may; a select has an arm for it. */
TT_TEST_ON(signal, waiting_for_a_signal, TT_ON_REAL, WHY_REAL)
{
	const tt_child_options there = { .worker = TT_WORKER(tt_worker_count() - 1) };
	static const int wanted[] = { SIGUSR1 };
	tt_signals s;
	int got = 0;

	REQUIRE_OK(tt_signal_open(&s, wanted, 1));
	{
		TT_GROUP(g);
		tt_go_with(&g, &there, next_is, &s, SIGUSR1);
		REQUIRE_OK(tt_test_wait_all_parked());
		EXPECT_CODE(tt_signal_next(&s, &got), TT_EBUSY);
		send_self(SIGUSR1);
		EXPECT_OK(tt_group_end(&g, 0));
	}
	EXPECT_EQ(tt_select(TT_ON_SIGNAL(&s, &got), TT_ON_TIMEOUT(TT_MS(1))), 1);
	send_self(SIGUSR1);
	EXPECT_EQ(tt_select(TT_ON_SIGNAL(&s, &got), TT_ON_TIMEOUT(TT_SEC(10))), 0);
	EXPECT_EQ(got, SIGUSR1);
	tt_signal_close(&s);
}

static volatile sig_atomic_t before_us;

static void note_signal(int signo)
{
	before_us = signo;
}

/* A signal has one owner; what cannot be caught is refused; closing gives back what was. */
TT_TEST_ON(signal, ownership, TT_ON_REAL, WHY_REAL)
{
	static const int usr[] = { SIGUSR1, SIGUSR2 }, two[] = { SIGHUP, SIGUSR2 }, bad[] = { SIGHUP, SIGKILL };
	static const int none[] = { 0 }, large[] = { 65 };
	tt_signals s, t;

	signal(SIGUSR1, note_signal);
	REQUIRE_OK(tt_signal_open(&s, usr, 2));
	EXPECT_CODE(tt_signal_open(&t, two, 2), TT_EBUSY);
	EXPECT_CODE(tt_signal_open(&t, bad, 2), TT_EINVAL);
	EXPECT_CODE(tt_signal_open(&t, none, 1), TT_EINVAL);
	EXPECT_CODE(tt_signal_open(&t, large, 1), TT_EINVAL);
	tt_signal_close(&t);
	send_self(SIGUSR1);
	EXPECT_EQ(before_us, 0);
	tt_signal_close(&s);
	send_self(SIGUSR1);
	EXPECT_EQ(before_us, SIGUSR1);
	REQUIRE_OK(tt_signal_open(&t, two, 2));
	tt_signal_close(&t);
	tt_signal_close(NULL);
}

static TT_TASK(wait_for_hup, (tt_signals *, s))
{
	int got;

	return tt_signal_next(s, &got);
}

/* Closing under a waiter is a bug of the program's, and is named. */
TT_TEST_ON(signal, close_under_a_waiter_aborts, TT_ON_REAL, WHY_REAL)
{
	static const int wanted[] = { SIGHUP };
	tt_signals s;

	REQUIRE_OK(tt_signal_open(&s, wanted, 1));
	{
		TT_GROUP(g);
		tt_go(&g, wait_for_hup, &s);
		REQUIRE_OK(tt_test_wait_all_parked());
		EXPECT_ABORTS(tt_signal_close(&s), "a task waits for a signal of this stream");
		tt_group_cancel(&g);
		EXPECT_OK(tt_group_end(&g, 0));
	}
	tt_signal_close(&s);
}

static TT_TASK(stop_us)
{
	TT_TRY(tt_test_wait_all_parked());
	send_self(SIGTERM);
	return 0;
}

/* SIGTERM is the stop arm of a select that waits for two descriptors and a timeout; they can
 * be used afterwards, since a soft cancel is seen only where it is asked for. */
TT_TEST_ON(signal, sigterm_is_the_stop_arm, TT_ON_REAL, WHY_REAL)
{
	enum { ON_A, ON_B, ON_TIME, ON_STOP };
	tt_fd *a[2], *b[2];
	char c;

	REQUIRE_OK(tt_pair(a));
	REQUIRE_OK(tt_pair(b));
	{
		TT_GROUP(g);
		tt_go(&g, stop_us);
		EXPECT_EQ(tt_select([ON_A] = TT_ON_READABLE(a[0]), [ON_B] = TT_ON_READABLE(b[0]),
		                    [ON_TIME] = TT_ON_TIMEOUT(TT_SEC(20)), [ON_STOP] = TT_ON_STOP()),
		          ON_STOP);
		EXPECT_OK(tt_group_end(&g, 0));
	}
	EXPECT_TRUE(tt_stopping());
	EXPECT_EQ(tt_write(a[1], "x", 1), 1);
	EXPECT_EQ(tt_read(a[0], &c, 1), 1);
	EXPECT_CODE(TT_UNTIL_STOP(tt_read(b[0], &c, 1)), TT_ESTOP);
	for (int i = 0; i < 2; i++) {
		tt_fd_close(a[i]);
		tt_fd_close(b[i]);
	}
}

/* ---- a server under tt_main() ---- */

static TT_TASK(echo, (tt_fd *, fd, tt_fd_close))
{
	char buf[64];
	int n;

	TT_DEFER(tt_fd_close, fd);
	while ((n = tt_read(fd, buf, sizeof(buf))) > 0)
		TT_TRY(tt_write_all(fd, buf, (size_t)n, NULL));
	return n;
}

static int accept_until_stop(tt_group *g, tt_fd *listener)
{
	for (;;) {
		tt_fd *fd;
		int rc = TT_UNTIL_STOP(tt_accept(listener, &fd, NULL));

		if (rc < 0)
			return rc == TT_ESTOP ? 0 : rc;
		tt_go(g, echo, fd);
	}
}

/* Tells the parent its port, and later that it was asked to stop. */
static TT_TASK(server, (int, news))
{
	tt_fd *listener;
	uint16_t port;
	int rc;

	TT_TRY(tt_tcp_listen("127.0.0.1:0", NULL, &listener));
	TT_DEFER(tt_fd_close, listener);
	port = (uint16_t)tt_fd_local_port(listener);
	if (write(news, &port, sizeof(port)) != sizeof(port))
		return -1;
	TT_GROUP(g);
	rc = accept_until_stop(&g, listener);
	if (write(news, "s", 1) != 1)
		rc = -1;
	return tt_group_finish(&g, rc);
}

static pid_t start_server(enum tt_io io, unsigned workers, int *ret_news, int *ret_client)
{
	const tt_main_options o = { .io = io, .workers = workers };
	struct sockaddr_in a = { .sin_family = AF_INET };
	uint16_t port = 0;
	int news[2];
	pid_t pid;

	REQUIRE_EQ(pipe(news), 0);
	pid = fork();
	if (pid == 0) {
		close(news[0]);
		_exit(tt_main_with(&o, server, news[1]));
	}
	close(news[1]);
	*ret_news = news[0];
	REQUIRE_EQ(read(news[0], &port, sizeof(port)), sizeof(port));
	a.sin_port = htons(port);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	*ret_client = socket(AF_INET, SOCK_STREAM, 0);
	REQUIRE_EQ(connect(*ret_client, (struct sockaddr *)&a, sizeof(a)), 0);
	return pid;
}

static void exchange(int client)
{
	char back = 0;

	REQUIRE_EQ(write(client, "e", 1), 1);
	REQUIRE_EQ(read(client, &back, 1), 1);
	EXPECT_EQ(back, 'e');
}

static int status_of(pid_t pid, int news, int client)
{
	int status = -1;

	close(client);
	close(news);
	REQUIRE_EQ(waitpid(pid, &status, 0), pid);
	return status;
}

/* SIGTERM: no new connections, the old one is served to its end, and the exit status is 0. */
TT_TEST_PLAIN(signal, sigterm_finishes_what_there_is)
{
	/* perhaps laws 1, 7, 9, 11 */
	for (unsigned workers = 1; workers <= 3; workers += 2) {
		int news, client, status;
		char said = 0;
		pid_t pid = start_server(TT_IO_AUTO, workers, &news, &client);

		exchange(client);
		REQUIRE_EQ(kill(pid, SIGTERM), 0);
		REQUIRE_EQ(read(news, &said, 1), 1);
		EXPECT_EQ(said, 's');
		exchange(client);
		status = status_of(pid, news, client);
		EXPECT_TRUE(WIFEXITED(status));
		EXPECT_EQ(WEXITSTATUS(status), 0);
	}
}

/* A second one kills: the default action is in force after the first. */
TT_TEST_PLAIN(signal, second_sigterm_kills)
{
	/* perhaps laws 1, 7, 9, 11 */
	int news, client, status;
	char said = 0;
	pid_t pid;

	pid = start_server(TT_IO_EPOLL, 2, &news, &client);
	exchange(client);
	REQUIRE_EQ(kill(pid, SIGTERM), 0);
	REQUIRE_EQ(read(news, &said, 1), 1);
	REQUIRE_EQ(kill(pid, SIGTERM), 0);
	REQUIRE_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(WTERMSIG(status), SIGTERM);
	close(client);
	close(news);
}

/* Has SIGTERM for itself when the stop begins, and gives it back then. */
static TT_TASK(keeps_sigterm_until_it_stops, (int, news))
{
	static const int term[] = { SIGTERM };
	tt_signals s;

	TT_TRY(tt_signal_open(&s, term, 1));
	if (write(news, "o", 1) != 1)
		return -1;
	TT_IGNORE(TT_UNTIL_STOP(tt_sleep(TT_NEVER)));
	tt_signal_close(&s);
	if (write(news, "c", 1) != 1)
		return -1;
	return tt_sleep(TT_NEVER);
}

/* So is it for a signal that a stream had meanwhile. */
TT_TEST_PLAIN(signal, sigterm_kills_once_a_stream_has_given_it_back)
{
	/* perhaps laws 1, 7, 9, 11 */
	const tt_main_options o = { .io = TT_IO_EPOLL, .workers = 2 };
	int news[2], status = -1;
	char said = 0;
	pid_t pid;

	REQUIRE_EQ(pipe(news), 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(tt_main_with(&o, keeps_sigterm_until_it_stops, news[1]));
	}
	close(news[1]);
	REQUIRE_EQ(read(news[0], &said, 1), 1);
	REQUIRE_EQ(kill(pid, SIGINT), 0);
	REQUIRE_EQ(read(news[0], &said, 1), 1);
	EXPECT_EQ(said, 'c');
	REQUIRE_EQ(kill(pid, SIGTERM), 0);
	REQUIRE_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(WTERMSIG(status), SIGTERM);
	close(news[0]);
}

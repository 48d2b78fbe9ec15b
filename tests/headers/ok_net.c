/* SPDX-License-Identifier: MIT */
/*
 * A server as users write one: accept in a loop, a task per connection, signals, shutdown.
 */
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <signal.h>

#include <tutti/tutti.h>

static TT_TASK(serve, (tt_fd *, conn, tt_fd_close), (tt_addr, peer))
{
	char buf[4096], room[256], *line = NULL, *data = NULL;
	size_t len = 0, done = 0;
	tt_reader r;
	tt_writer w;
	int rc;

	TT_DEFER(tt_fd_close, conn);
	tt_addr_text(&peer, room, sizeof(room));
	tt_reader_init(&r, conn, buf, sizeof(buf));
	tt_writer_init(&w, conn, room, sizeof(room));
	while ((rc = tt_read_until(&r, '\n', &line, &len)) > 0) {
		TT_TRY(tt_writer_write(&w, line, len));
		TT_TRY(tt_writer_flush(&w));
	}
	TT_TRY(rc);
	TT_TRY(tt_reader_fill(&r));
	len = tt_reader_buffered(&r, &data);
	tt_reader_consume(&r, len);
	TT_TRY(tt_reader_read(&r, room, 1));
	return tt_reader_read_exact(&r, room, 10, &done);
}

static TT_TASK(accept_all, (tt_group *, g), (tt_fd *, listener))
{
	for (;;) {
		tt_fd *conn = NULL;
		tt_addr peer;

		TT_TRY(TT_UNTIL_STOP(tt_accept(listener, &conn, &peer)));
		tt_go(g, serve, conn, peer);
	}
}

static TT_TASK(app, (const char *, addr))
{
	const tt_tcp_options options = { 0, false, true, false, TT_SEC(30) };
	const tt_group_options isolate = { "connections", TT_ISOLATE, 100, true, TT_RESTART_NEVER, { 0, 0, 0, 0 } };
	const int caught[] = { SIGHUP, SIGUSR1 };
	tt_fd *listener = NULL;
	tt_signals signals;
	int sig = 0;

	TT_TRY(tt_tcp_listen(addr, &options, &listener));
	TT_DEFER(tt_fd_close, listener);
	TT_TRY(tt_signal_open(&signals, caught, 2));
	TT_DEFER(tt_signal_close, &signals);
	TT_GROUP_WITH(g, &isolate);

	tt_go(&g, accept_all, &g, listener);
	TT_TRY_IN(&g, tt_signal_next(&signals, &sig));
	return tt_group_end(&g, tt_fd_local_port(listener));
}

int client(char *buf, size_t n);
int client(char *buf, size_t n)
{
	struct iovec iov[2] = { { buf, n }, { buf, 1 } };
	tt_fd *fd = NULL, *ends[2] = { NULL, NULL };
	size_t done = 0;

	TT_TRY(tt_unix_connect("/run/app.sock", &fd));
	TT_TRY(tt_unix_listen("@app", 0, &fd));
	TT_TRY(tt_pair(ends));
	TT_TRY(tt_tcp_connect("localhost:80", NULL, &fd));
	TT_DEFER(tt_fd_close, fd);
	TT_TRY(tt_read(fd, buf, n));
	TT_TRY(tt_write(fd, buf, n));
	TT_TRY(tt_try_read(fd, buf, n));
	TT_TRY(tt_try_write(fd, buf, n));
	TT_TRY(tt_read_exact(fd, buf, n, NULL));
	TT_TRY(tt_write_all(fd, buf, n, &done));
	TT_TRY(tt_writev_all(fd, iov, 2, &done));
	TT_TRY(tt_fd_poll(fd, POLLIN | POLLOUT));
	TT_TRY(tt_wait_fd(0, POLLIN));
	tt_fd_forget(0);
	TT_TRY(tt_fd_peer_text(fd, buf, n));
	TT_TRY(tt_write_all(tt_stdout(), buf, n, NULL));
	TT_TRY(tt_write_all(tt_stderr(), buf, n, NULL));
	TT_TRY(tt_read(tt_stdin(), buf, n));
	return tt_fd_shutdown(fd, SHUT_RDWR);
}

int main(int argc, char **argv)
{
	tt_stats stats;

	tt_stats_read(&stats);
	tt_dump_tasks(2);
	if (tt_cpu_count() < tt_worker_count() || tt_worker_index() > 0 || tt_version() == NULL)
		return 1;
	return tt_main(app, argc > 1 ? argv[1] : "127.0.0.1:0");
}

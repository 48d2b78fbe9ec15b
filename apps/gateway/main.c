/* SPDX-License-Identifier: MIT */
/*
 * main.c - tutti-gateway: the command line, the order of start and stop.
 *
 * Start  store, reader, batcher, listener.
 * Stop   SIGTERM or SIGINT cancels softly: accepting ends, requests in hand are answered,
 *        the queue is closed and drained, the stores are closed. What is not finished
 *        within the stop bound is cancelled hard. Either way no acknowledged event is lost:
 *        an answer is sent only after its commit.
 */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "batcher.h"
#include "config.h"
#include "ingest_http.h"

/* ---- the store, opened where it may block ---- */

TT_TASK(open_job, (const struct config *, c), (bool, read_only), (struct store **, ret_store))
{
	struct store_options o = { .read_only = read_only };
	char error[256] = "";
	int rc = store_open(c->store, &o, ret_store, error, sizeof(error));

	if (rc < 0)
		fprintf(stderr, "tutti-gateway: %s\n", error);
	return rc;
}

TT_TASK(close_job, (struct store *, s))
{
	store_close(s);
	return 0;
}

static void close_store(struct store **s)
{
	/* Shielded: also a cancelled gateway closes its database in order. */
	if (*s != NULL)
		TT_IGNORE(TT_SHIELDED(TT_NEVER, tt_blocking(close_job, *s)));
}

/* ---- serving ---- */

TT_TASK(accept_all, (struct ingest *, in), (tt_fd *, listener))
{
	tt_group_options options = {
		.name = "connections",
		.policy = TT_ISOLATE,
		.max_children = in->config->connections_max,
	};
	tt_child_options anywhere = { .worker = TT_WORKER_ANY };
	tt_fd *conn;
	int rc;

	TT_GROUP_WITH(connections, &options);
	while ((rc = TT_UNTIL_STOP(tt_accept(listener, &conn, NULL))) >= 0)
		tt_go_with(&connections, &anywhere, serve_connection, in, conn);
	/* Stopping: the kernel refuses new ones from here on, those we have are finished. */
	tt_fd_close(listener);
	return tt_group_finish(&connections, rc == TT_ESTOP ? 0 : rc);
}

static int serve(const struct config *c, struct batcher *b, struct store *reader)
{
	struct ingest in = { 0 };
	tt_fd *listener;
	int rc;

	rc = tt_tcp_listen(c->listen, NULL, &listener);
	if (rc < 0)
		return tt_wrap(rc, "listen on %s", c->listen);
	rc = ingest_init(&in, c, b, reader);
	if (rc == 0) {
		const char *colon = strrchr(c->listen, ':');

		printf("tutti-gateway: listening on http://%.*s:%d\n",
		       colon != NULL ? (int)(colon - c->listen) : 0, c->listen, tt_fd_local_port(listener));
		fflush(stdout);
		rc = accept_all(&in, listener);
	} else {
		tt_fd_close(listener);
	}
	ingest_fini(&in);
	return rc;
}

TT_TASK(run_batcher, (struct batcher *, b), (tt_notify *, ended))
{
	int rc = batcher_run(b);

	tt_notify_one(ended);
	return rc;
}

/* A hard cancel waits for a commit that has begun; a lock that the commit waits for in turn
 * could hold it for seconds. */
static void hurry_when_cancelled(int served, tt_notify *ended)
{
	int drained = tt_notify_wait(ended);

	if (served == TT_ECANCELED || drained == TT_ECANCELED)
		/* relaxed: the store looks again and again. */
		__atomic_store_n(&store_give_up, 1, __ATOMIC_RELAXED);
}

/* The batcher outlives every request: it is drained after the last connection. */
static int run_pipeline(const struct config *c, struct store *writer, struct store *reader)
{
	tt_notify ended;
	struct batcher b;
	int rc;

	TT_TRY(batcher_init(&b, c, writer));
	tt_notify_init(&ended);
	{
		TT_GROUP(pipeline);
		tt_go(&pipeline, run_batcher, &b, &ended);
		rc = serve(c, &b, reader);
		tt_chan_close(&b.queue);
		hurry_when_cancelled(rc, &ended);
		rc = tt_group_finish(&pipeline, rc);
	}
	tt_notify_fini(&ended);
	batcher_fini(&b);
	return rc;
}

TT_TASK(gateway, (const struct config *, c))
{
	struct store *writer = NULL, *reader = NULL;
	int rc;

	rc = tt_blocking(open_job, c, false, &writer);
	if (rc == 0)
		rc = tt_blocking(open_job, c, true, &reader);
	if (rc < 0)
		return 1; /* the job has said why */
	rc = run_pipeline(c, writer, reader);
	close_store(&reader);
	close_store(&writer);
	/* Stopped by a signal, softly or hard, is how a service ends. */
	return rc == TT_ECANCELED && tt_stopping() ? 0 : rc;
}

/* ---- crash points of the durability tests ---- */

static const char *crash_point;
static long crash_count;

/* TUTTI_CRASH_AT=in_commit:3 dies like kill -9 the third time that point is reached. */
static void crash_hook(const char *point)
{
	/* relaxed: it only has to be counted once. */
	if (strcmp(point, crash_point) == 0 && __atomic_sub_fetch(&crash_count, 1, __ATOMIC_RELAXED) == 0)
		kill(getpid(), SIGKILL);
}

static int arm_crash_hook(void)
{
	static char name[32];
	const char *text = getenv("TUTTI_CRASH_AT");
	char end;

	if (text == NULL)
		return 0;
	if (sscanf(text, "%31[a-z_]:%ld%c", name, &crash_count, &end) != 2 || crash_count < 1) {
		fprintf(stderr, "tutti-gateway: TUTTI_CRASH_AT: '%s' is not POINT:N\n", text);
		return 2;
	}
	crash_point = name;
	store_crash_hook = crash_hook;
	batcher_crash_hook = crash_hook;
	return 0;
}

int main(int argc, char **argv)
{
	struct config c;
	int rc = config_parse(argc, argv, &c);

	if (rc == 0)
		rc = arm_crash_hook();
	if (rc != 0)
		return rc == 1 ? 0 : rc;
	/* A file size limit is an error of the store (503), not the end of the process. */
	signal(SIGXFSZ, SIG_IGN);
	return tt_main_with(&c.main, gateway, &c);
}

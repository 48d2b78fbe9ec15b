/* SPDX-License-Identifier: MIT */
/*
 * main.c - tt_main(): options, the environment variables behind them, signals that stop
 * the program, and the exit status.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include <tutti/group.h>
#include <tutti/trace.h>

#include "base/panic.h"
#include "net/signal_hub.h"
#include "rt/runtime.h"

#define STOP_BOUND_DEFAULT TT_SEC(10)

/* ---- options ---- */

static unsigned long number_from(const char *name, unsigned long max)
{
	const char *text = tti_env_var(name);
	unsigned long n;
	char *end;

	n = strtoul(text, &end, 10);
	TT_REQUIRE(*text >= '0' && *text <= '9' && *end == '\0' && n <= max,
	           "environment variable %s: \"%s\" is not a number from 0 to %lu", name, text, max);
	return n;
}

static enum tt_io io_from_env(void)
{
	static const char *const names[] = { [TT_IO_AUTO] = "auto", [TT_IO_EPOLL] = "epoll", [TT_IO_URING] = "uring" };
	const char *text = tti_env_var("TUTTI_IO");

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (text == NULL || strcmp(text, names[i]) == 0)
			return (enum tt_io)i;
	tti_panic("tt_main", "environment variable TUTTI_IO: \"%s\" is none of auto, epoll, uring", text);
}

static size_t stack_from_env(void)
{
	const char *text = tti_env_var("TUTTI_STACK");
	unsigned shift = 0;
	unsigned long n;
	char *end;

	n = strtoul(text, &end, 10);
	if (*end == 'K' || *end == 'k')
		shift = 10, end++;
	else if (*end == 'M' || *end == 'm')
		shift = 20, end++;
	TT_REQUIRE(*text >= '0' && *text <= '9' && *end == '\0' && n <= tti_stack_class_size(TTI_STACK_8M) >> shift,
	           "environment variable TUTTI_STACK: \"%s\" is not a size up to 8M", text);
	return n << shift;
}

tt_main_options tti_options_resolve(const tt_main_options *given)
{
	tt_main_options o = { 0 };

	if (given != NULL)
		o = *given;
	if (o.workers == 0 && tti_env_var("TUTTI_WORKERS") != NULL)
		o.workers = (unsigned)number_from("TUTTI_WORKERS", 1024);
	if (o.workers == 0)
		o.workers = (unsigned)tt_cpu_count();
	if (o.io == TT_IO_AUTO)
		o.io = io_from_env();
	if (o.stack_size == 0 && tti_env_var("TUTTI_STACK") != NULL)
		o.stack_size = stack_from_env();
	if (o.stop_bound == 0 && tti_env_var("TUTTI_STOP_BOUND") != NULL) {
		o.stop_bound = TT_MS(number_from("TUTTI_STOP_BOUND", 86400000));
		if (o.stop_bound == 0)
			o.stop_bound = TT_STOP_AT_ONCE;
	}
	if (o.stop_bound == 0)
		o.stop_bound = STOP_BOUND_DEFAULT;
	return o;
}

/* ---- signals that stop ---- */

struct main_run {
	struct tti_run run;
	struct tti_timer bound;
	int64_t stop_bound;
};

static void stop_hard(struct tti_timer *timer)
{
	struct main_run *m = TTI_CONTAINER_OF(timer, struct main_run, bound);

	if (!m->run.root.done)
		tti_scope_cancel(&m->run.root.scope, TTI_CAUSE_CANCELLER, TT_ECANCELED);
}

/* The first SIGINT or SIGTERM that no task took over. From here on a second one takes the
 * default action: a program that does not stop can be stopped. */
static void stop_signal(void *arg, int signo)
{
	struct main_run *m = arg;

	(void)signo;
	tti_signal_hub_default(SIGINT);
	tti_signal_hub_default(SIGTERM);
	if (m->run.root.done)
		return;
	tti_scope_stop(&m->run.root.scope);
	if (m->stop_bound <= 0)
		stop_hard(&m->bound);
	else
		tti_wheel_arm(tti_home_here->wheel, &m->bound, tti_deadline_after(tti_home_here, m->stop_bound));
}

static void started(struct tti_run *run)
{
	struct main_run *m = TTI_CONTAINER_OF(run, struct main_run, run);
	static const int stops[] = { SIGINT, SIGTERM };

	tti_timer_init(&m->bound, stop_hard);
	if (tti_signal_hub_start(&run->rt, stop_signal, m) < 0)
		return; /* another runtime of this process has the signals */
	for (unsigned i = 0; i < 2; i++)
		tti_signal_hub_catch(stops[i]);
}

static void stopped(struct tti_run *run)
{
	struct main_run *m = TTI_CONTAINER_OF(run, struct main_run, run);

	tti_wheel_cancel(tti_home_here->wheel, &m->bound);
	tti_signal_hub_stop(&run->rt);
}

/* ---- overflow, panic ---- */

static void describe_task(void *owner, char *buf, size_t n)
{
	const struct tt_task *t = owner;

	/* snprintf of strings and integers does not allocate or lock. */
	snprintf(buf, n, "%s#%llu (spawned at %s)", t->name, (unsigned long long)t->id,
	         t->spawn_site != NULL ? t->spawn_site : "?");
}

static void describe_panic(void)
{
	const struct tt_task *t = tti_current();

	if (t != NULL)
		fprintf(stderr, "tutti: in task %s#%llu, spawned at %s, on worker %u\n", t->name, (unsigned long long)t->id,
		        t->spawn_site != NULL ? t->spawn_site : "?", t->home->index);
}

/* ---- looking at the program from outside ---- */

/* The program under two watchers, when the environment asks for them: its task runs in a
 * group with them, whose result is its own. */
struct watched {
	const struct tt_task_type *type;
	const void *args;                    /* the caller's of tt_main, who waits */
	int dump_signal;                     /* 0: none */
	const char *dump_socket;             /* NULL: none */
};

static int signal_from_env(void)
{
	static const struct {
		const char *name;
		int signo;
	} known[] = { { "HUP", SIGHUP }, { "QUIT", SIGQUIT }, { "USR1", SIGUSR1 }, { "USR2", SIGUSR2 } };
	const char *text = tti_env_var("TUTTI_DUMP_SIGNAL");

	if (text == NULL || *text == '\0')
		return 0;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(text + (strncmp(text, "SIG", 3) == 0 ? 3 : 0), known[i].name) == 0)
			return known[i].signo;
	if (*text >= '0' && *text <= '9')
		return (int)number_from("TUTTI_DUMP_SIGNAL", 64);
	tti_panic("tt_main", "environment variable TUTTI_DUMP_SIGNAL: \"%s\" is none of HUP, QUIT, USR1, USR2, a number",
	          text);
}

static const char *socket_from_env(void)
{
	const char *text = tti_env_var("TUTTI_DUMP_SOCKET");

	return text != NULL && *text != '\0' ? text : NULL;
}

static int run_watched(void *args)
{
	const struct watched *w = args;
	tt_group_options isolated = { .policy = TT_ISOLATE };
	tt_child_options daemon = { .daemon = true };
	int rc;

	TT_GROUP_WITH(g, &isolated);
	if (w->dump_signal != 0)
		tt_go_with(&g, &daemon, tt_dump_on_signal, w->dump_signal);
	if (w->dump_socket != NULL)
		tt_go_with(&g, &daemon, tt_dump_serve, w->dump_socket);
	rc = w->type->run((void *)(uintptr_t)w->args);
	tt_group_cancel(&g);
	return tt_group_end(&g, rc);
}

static void drop_watched(void *args)
{
	const struct watched *w = args;

	if (w->type->drop != NULL)
		w->type->drop((void *)(uintptr_t)w->args);
}

/* The same program, watched if the environment says so. */
static int run_program(struct main_run *m, const tt_main_options *o, const struct tt_task_type *type,
                       const void *args, const char *site)
{
	struct watched w = { type, args, signal_from_env(), socket_from_env() };
	struct tt_task_type watched = {
		.name = type->name, .site = type->site, .size = sizeof(w), .align = _Alignof(struct watched),
		.run = run_watched, .drop = drop_watched,
	};

	if (w.dump_signal == 0 && w.dump_socket == NULL)
		return tti_run(&m->run, o, type, args, site);
	return tti_run(&m->run, o, &watched, &w, site);
}

/* ---- tt_main ---- */

/* A number below 3 that the program was started without would go to its next connection, and
 * into that what anybody writes to stderr, this library too. Where there is no /dev/null the
 * numbers stay free. */
static void hold_standard_streams(void)
{
	for (long number = 0; number < 3; number++) {
		long fd;

		if (tti_env_syscall(SYS_fcntl, number, F_GETFD, 0, 0, 0, 0) != -EBADF)
			continue;
		fd = tti_env_syscall(SYS_openat, AT_FDCWD, (long)"/dev/null", O_RDWR, 0, 0, 0);
		/* Another thread of the program may have taken the number meanwhile. */
		if (fd > 2)
			TT_IGNORE(tti_env_syscall(SYS_close, fd, 0, 0, 0, 0, 0));
	}
}

/* What the process had before is back afterwards, also when the runtime did not start. */
static int run_with_handlers(struct main_run *m, const tt_main_options *o, const struct tt_task_type *type,
                             const void *args, const char *site)
{
	int rc = tti_overflow_install(describe_task);

	if (rc < 0)
		return rc;
	/* A write to a pipe without a reader is -EPIPE, as the write to a socket is. */
	rc = tti_env_signal_ignore(SIGPIPE);
	if (rc == 0) {
		rc = run_program(m, o, type, args, site);
		tti_env_signal_restore(SIGPIPE);
	}
	tti_overflow_uninstall();
	return rc;
}

static int exit_status(struct tti_root *root)
{
	if (root->rc >= 0)
		return root->rc & 0xff;
	tti_error_set_code(&root->err, root->rc);
	tti_error_print(&root->err, "error");
	return 1;
}

intptr_t tt_verb_main_(void *on, const tt_task_type *type, const void *args, const char *site)
{
	tt_main_options o = tti_options_resolve(on);
	struct main_run m;
	int rc, status;

	TT_REQUIRE(tti_home_here == NULL, "tt_main at %s: called inside a runtime", site);
	hold_standard_streams();
	memset(&m, 0, sizeof(m));
	m.stop_bound = o.stop_bound;
	m.run.started = started;
	m.run.stopped = stopped;
	tti_panic_hook = describe_panic;
	rc = run_with_handlers(&m, &o, type, args, site);
	if (rc < 0) {
		fprintf(stderr, "tutti: cannot start a runtime of %u workers: %s (%s)\n", o.workers, tt_strerror(rc),
		        tt_error_name(rc));
		return 1;
	}
	status = exit_status(&m.run.root);
	tti_error_clear(&m.run.root.err);
	return status;
}

/* ---- what a program may ask ---- */

int tt_cpu_count(void)
{
	return (int)tti_env_cpu_count();
}

int tt_worker_count(void)
{
	return tti_home_here != NULL ? (int)tti_worker_here()->rt->n_workers : 0;
}

int tt_worker_index(void)
{
	return tti_current() != NULL ? (int)tti_home_here->index : -1;
}

const char *tt_version(void)
{
	return TT_VERSION;
}

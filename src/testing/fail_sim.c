/* SPDX-License-Identifier: MIT */
/*
 * fail_sim.c - one run of a failure torture in the simulator. For memory, inject.c lies over
 * its env; for calls, this file lies over the driver of each worker and over its files.
 *
 * An operation that fails has had no effect. Its failure comes at once, as from a system
 * call, or with the next poll, as a completion; a cancel that comes meanwhile finds it done.
 * A short one moves a byte and is a success.
 * Armed       from the scenario's first step to its last.
 * Left out    EINTR and a call that would wait: the drivers keep them to themselves, and the
 *             simulator's own faults (TT_FAULT_RETRY, _QUEUE_FULL) are about them.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/panic.h"
#include "net/file_ops.h"
#include "scope/scope.h"
#include "sim/sim.h"
#include "testing/fail.h"

#define WORKERS_MAX 64

/* One run at a time on a thread, as the simulator. */
static __thread struct layer {
	struct tti_failing *t;
	struct tti_fail *fail;
	const struct tti_driver_ops *driver; /* under ours */
	const struct tti_file_ops *files;
	struct tti_list later[WORKERS_MAX];  /* operations whose failure comes with the next poll */
	struct tti_scope *scope;             /* pairs: around the scenario */
	char what[240];
} layer;

/* A list of codes, each at once; completions get each a second time, later. */
struct codes {
	const char *call;
	short codes[6];                      /* errno values, ended by 0 */
};

static unsigned ways_of(const struct codes *c, bool completes, bool may_be_short, struct tti_fail_way *ret)
{
	unsigned n = 0;

	for (size_t i = 0; i < sizeof(c->codes) / sizeof(c->codes[0]) && c->codes[i] != 0; i++) {
		ret[n++] = (struct tti_fail_way){ -c->codes[i], TTI_FAIL_INSTEAD };
		if (completes)
			ret[n++] = (struct tti_fail_way){ -c->codes[i], TTI_FAIL_LATER };
	}
	if (may_be_short)
		ret[n++] = (struct tti_fail_way){ 0, TTI_FAIL_SHORT };
	return n;
}

static void name_run(void)
{
	struct tti_failing *t = layer.t;
	char hit[120];

	tti_fail_describe(layer.fail, hit, sizeof(hit));
	if (t->cancel_at != 0)
		snprintf(layer.what, sizeof(layer.what), "%s, %s, cancelled at %llu,", t->name, hit,
		         (unsigned long long)t->cancel_at);
	else
		snprintf(layer.what, sizeof(layer.what), "%s, %s,", t->name, hit);
}

static bool fails(const struct codes *c, bool completes, bool may_be_short, long arg, struct tti_fail_way *ret_way)
{
	struct tti_fail_way ways[TTI_FAIL_WAYS_MAX];
	unsigned n = ways_of(c, completes, may_be_short, ways);

	if (!tti_fail_here(layer.fail, c->call, arg, ways, n, ret_way))
		return false;
	name_run();
	return true;
}

/* Calls that end at once: the code, or 0. */
static int call_fails(const struct codes *c, long arg)
{
	struct tti_fail_way way;

	return fails(c, false, false, arg, &way) ? way.code : 0;
}

/* Calls that move up to *n bytes at once: likewise; a short one has *n = 1. */
static int transfer_fails(const struct codes *c, int fd, size_t *n)
{
	struct tti_fail_way way;

	if (!fails(c, false, *n > 1, fd, &way))
		return 0;
	if (way.how == TTI_FAIL_SHORT)
		*n = 1;
	return way.code;
}

/* ---- the driver: operations ---- */

static const struct codes op_codes[TTI_IO_KINDS] = {
	[TTI_IO_READ] = { "read", { ECONNRESET, ETIMEDOUT, ENOMEM } },
	[TTI_IO_WRITE] = { "write", { EPIPE, ECONNRESET, ENOMEM } },
	[TTI_IO_ACCEPT] = { "accept", { EMFILE, ENFILE, ENOMEM } },
	[TTI_IO_CONNECT] = { "connect", { ECONNREFUSED, ETIMEDOUT, ENETUNREACH, ENOMEM } },
	[TTI_IO_POLL] = { "poll", { ENOMEM } },
	[TTI_IO_RECV_MSG] = { "recv msg", { ECONNRESET, ECONNREFUSED, ENOMEM } },
	[TTI_IO_SEND_MSG] = { "send msg", { EPIPE, ENOBUFS, ENETUNREACH, ENOMEM } },
};
static const struct codes file_read_codes = { "read of a file", { EIO, ENOMEM } };
static const struct codes file_write_codes = { "write of a file", { ENOSPC, EIO, ENOMEM } };

static const struct codes *codes_of(const struct tti_io_op *op)
{
	if (tti_sim_is_file(op->fd))
		return tti_io_is_write(op->kind) ? &file_write_codes : &file_read_codes;
	return &op_codes[op->kind];
}

static int fail_submit(struct tti_driver *d, struct tti_io_op *op)
{
	bool bytes = op->kind == TTI_IO_READ || op->kind == TTI_IO_WRITE;
	struct tti_fail_way way;

	if (!fails(codes_of(op), true, bytes && op->len > 1, op->fd, &way))
		return layer.driver->submit(d, op);
	if (way.how == TTI_FAIL_SHORT) {
		op->len = 1;
		return layer.driver->submit(d, op);
	}
	op->result = way.code;
	if (way.how == TTI_FAIL_INSTEAD)
		return 1;

	tti_list_push_back(&layer.later[d->home->index], &op->link);
	layer.driver->wake(d);
	return 0;
}

/* Its failure is under way already: completed wins. */
static int fail_cancel(struct tti_driver *d, struct tti_io_op *op)
{
	TTI_LIST_FOR_EACH (n, &layer.later[d->home->index]) {
		if (n != &op->link)
			continue;
		op->cancelled = true;
		return 0;
	}
	return layer.driver->cancel(d, op);
}

static void fail_poll(struct tti_driver *d, int64_t deadline)
{
	struct tti_list *n;

	while ((n = tti_list_pop_front(&layer.later[d->home->index])) != NULL) {
		struct tti_io_op *op = TTI_CONTAINER_OF(n, struct tti_io_op, link);

		d->completions[op->kind]++;
		op->done(op);
	}
	layer.driver->poll(d, deadline);
}

/* ---- the driver: calls ---- */

static int fail_socket(struct tti_driver *d, int family, int type, int protocol)
{
	static const struct codes codes = { "socket", { EMFILE, ENFILE, ENOMEM, EAFNOSUPPORT } };
	int rc = call_fails(&codes, family);

	return rc < 0 ? rc : layer.driver->socket(d, family, type, protocol);
}

static int fail_pair(struct tti_driver *d, int ret_fds[2])
{
	static const struct codes codes = { "socketpair", { EMFILE, ENOMEM } };
	int rc = call_fails(&codes, 0);

	return rc < 0 ? rc : layer.driver->pair(d, ret_fds);
}

static int fail_bind(struct tti_driver *d, int fd, const void *addr, uint32_t len)
{
	static const struct codes codes = { "bind", { EADDRINUSE, EACCES } };
	int rc = call_fails(&codes, fd);

	return rc < 0 ? rc : layer.driver->bind(d, fd, addr, len);
}

static int fail_listen(struct tti_driver *d, int fd, int backlog)
{
	static const struct codes codes = { "listen", { EADDRINUSE } };
	int rc = call_fails(&codes, fd);

	return rc < 0 ? rc : layer.driver->listen(d, fd, backlog);
}

static int fail_set_option(struct tti_driver *d, int fd, int level, int option, const void *value, uint32_t len)
{
	static const struct codes codes = { "setsockopt", { ENOMEM, ENOPROTOOPT } };
	int rc = call_fails(&codes, fd);

	return rc < 0 ? rc : layer.driver->set_option(d, fd, level, option, value, len);
}

static int fail_close(struct tti_driver *d, int fd)
{
	static const struct codes codes = { "close", { EIO } };
	int rc = layer.driver->close(d, fd), code = call_fails(&codes, fd);

	return code < 0 ? code : rc;
}

static long fail_read(struct tti_driver *d, int fd, void *buf, size_t n, unsigned flags)
{
	int rc = transfer_fails(tti_sim_is_file(fd) ? &file_read_codes : &op_codes[TTI_IO_READ], fd, &n);

	return rc < 0 ? rc : layer.driver->read(d, fd, buf, n, flags);
}

static long fail_write(struct tti_driver *d, int fd, const void *buf, size_t n, unsigned flags)
{
	int rc = transfer_fails(tti_sim_is_file(fd) ? &file_write_codes : &op_codes[TTI_IO_WRITE], fd, &n);

	return rc < 0 ? rc : layer.driver->write(d, fd, buf, n, flags);
}

static long fail_send_msg(struct tti_driver *d, int fd, const struct msghdr *m)
{
	int rc = call_fails(&op_codes[TTI_IO_SEND_MSG], fd);

	return rc < 0 ? rc : layer.driver->send_msg(d, fd, m);
}

/* ---- files ---- */

static long fail_file_open(const char *path, int flags, unsigned mode, bool *ret_file)
{
	static const struct codes codes = { "open", { EMFILE, EACCES, ENOSPC, ENOMEM } };
	int rc = call_fails(&codes, 0);

	return rc < 0 ? rc : layer.files->open(path, flags, mode, ret_file);
}

static long fail_file_open_now(const char *path, int flags, bool *ret_file)
{
	static const struct codes codes = { "open", { EMFILE, EACCES } };
	int rc = call_fails(&codes, 0);

	return rc < 0 ? rc : layer.files->open_now(path, flags, ret_file);
}

static long fail_file_read(int fd, void *buf, size_t n, int64_t offset)
{
	int rc = transfer_fails(&file_read_codes, fd, &n);

	return rc < 0 ? rc : layer.files->read(fd, buf, n, offset);
}

static long fail_file_read_now(int fd, void *buf, size_t n, int64_t offset)
{
	int rc = transfer_fails(&file_read_codes, fd, &n);

	return rc < 0 ? rc : layer.files->read_now(fd, buf, n, offset);
}

static long fail_file_write(int fd, const void *buf, size_t n, int64_t offset)
{
	int rc = transfer_fails(&file_write_codes, fd, &n);

	return rc < 0 ? rc : layer.files->write(fd, buf, n, offset);
}

static long fail_file_write_now(int fd, const void *buf, size_t n, int64_t offset)
{
	int rc = transfer_fails(&file_write_codes, fd, &n);

	return rc < 0 ? rc : layer.files->write_now(fd, buf, n, offset);
}

static long fail_file_sync(int fd, bool data_only)
{
	static const struct codes codes = { "fsync", { EIO, ENOSPC } };
	int rc = call_fails(&codes, fd);

	return rc < 0 ? rc : layer.files->sync(fd, data_only);
}

static long fail_file_truncate(int fd, uint64_t size)
{
	static const struct codes codes = { "ftruncate", { EIO } };
	int rc = call_fails(&codes, fd);

	return rc < 0 ? rc : layer.files->truncate(fd, size);
}

static long fail_file_stat(int fd, const char *path, tt_file_info *ret_info)
{
	static const struct codes codes = { "stat", { EACCES, ENOMEM } };
	int rc = call_fails(&codes, fd);

	return rc < 0 ? rc : layer.files->stat(fd, path, ret_info);
}

static long fail_file_set_mode(int fd, unsigned mode)
{
	static const struct codes codes = { "fchmod", { EPERM } };
	int rc = call_fails(&codes, fd);

	return rc < 0 ? rc : layer.files->set_mode(fd, mode);
}

static long fail_file_rename(const char *from, const char *to)
{
	static const struct codes codes = { "rename", { ENOSPC, EIO } };
	int rc = call_fails(&codes, 0);

	return rc < 0 ? rc : layer.files->rename(from, to);
}

static int fail_file_watch(int fd)
{
	static const struct codes codes = { "watch", { EMFILE } };
	int rc = call_fails(&codes, fd);

	return rc < 0 ? rc : layer.files->watch(fd);
}

/* ---- the layer ---- */

static struct tti_driver_ops driver_over(const struct tti_driver_ops *under)
{
	struct tti_driver_ops ops = *under;

	ops.submit = fail_submit;
	ops.cancel = fail_cancel;
	ops.poll = fail_poll;
	ops.socket = fail_socket;
	ops.pair = fail_pair;
	ops.bind = fail_bind;
	ops.listen = fail_listen;
	ops.set_option = fail_set_option;
	ops.close = fail_close;
	ops.read = fail_read;
	ops.write = fail_write;
	ops.send_msg = fail_send_msg;
	return ops;
}

/* A removal is left alone: scenarios use it to clean up. */
static struct tti_file_ops files_over(const struct tti_file_ops *under)
{
	struct tti_file_ops ops = *under;

	ops.open = fail_file_open;
	ops.open_now = fail_file_open_now;
	ops.read = fail_file_read;
	ops.read_now = fail_file_read_now;
	ops.write = fail_file_write;
	ops.write_now = fail_file_write_now;
	ops.sync = fail_file_sync;
	ops.truncate = fail_file_truncate;
	ops.stat = fail_file_stat;
	ops.set_mode = fail_file_set_mode;
	ops.rename = fail_file_rename;
	if (under->watch != NULL)
		ops.watch = fail_file_watch;
	return ops;
}

static __thread struct tti_driver_ops our_driver;
static __thread struct tti_file_ops our_files;

static void set_drivers(struct tti_runtime *rt, const struct tti_driver_ops *ops)
{
	for (unsigned i = 0; i < rt->n_workers; i++)
		rt->workers[i]->home.driver->ops = ops;
}

/* Worlds without a failure to come have the layer too: what it costs must not differ. */
static void lay_over(struct tti_sim *sim)
{
	layer.driver = sim->rt.workers[0]->home.driver->ops;
	layer.files = sim->rt.file_ops;
	our_driver = driver_over(layer.driver);
	our_files = files_over(layer.files);
	set_drivers(&sim->rt, &our_driver);
	sim->rt.file_ops = &our_files;
}

static void take_off(struct tti_sim *sim)
{
	set_drivers(&sim->rt, layer.driver);
	sim->rt.file_ops = layer.files;
}

/* ---- a run ---- */

static void arm(bool on)
{
	/* relaxed: one thread. */
	tti_store_relaxed(&layer.fail->armed, on);
	tti_sim_count_points(tti_sim_here, on);
}

static TT_TASK(failing, (struct tti_failing *, t))
{
	bool calls = t->kind == TTI_FAIL_CALL;
	int rc;

	TT_SCOPE(s, TT_NEVER);
	layer.scope = (struct tti_scope *)(void *)&s;
	if (calls)
		lay_over(tti_sim_here);
	arm(true);
	rc = tti_test_call(t->type, t->args, t->site);
	arm(false);
	if (calls)
		take_off(tti_sim_here);
	layer.scope = NULL;
	rc = tt_scope_end(&s, rc);
	if (!tti_failing_may_return(t, layer.fail, rc))
		tti_test_failed(false, t->site, "%s seed 0x%llx: returns %d (%s), whose chain does not say why", layer.what,
		                (unsigned long long)t->seed, rc, tt_error_name(rc));
	return rc;
}

static void cancel(struct tti_sim *sim, void *data)
{
	struct tti_home *home;

	(void)data;
	if (layer.scope == NULL)
		return;
	home = layer.scope->owner->home;
	sim->urgent = home->index + 1;
	tti_home_here = home;
	tti_scope_cancel(layer.scope, TTI_CAUSE_CANCELLER, TT_ECANCELED);
	tti_home_here = NULL;
}

static void check_memory(struct tti_failing *t)
{
	/* relaxed: one thread. */
	uint64_t allocs = tti_load_relaxed(&t->fail.allocs);
	/* relaxed: one thread. */
	uint64_t mapped = tti_load_relaxed(&t->fail.mapped);

	if (t->fail.at == 0) {
		t->allocs_before = allocs;
		t->mapped_before = mapped;
		return;
	}
	if (allocs != t->allocs_before || mapped != t->mapped_before)
		tti_test_failed(false, t->site, "%s seed 0x%llx: %lld allocations and %lld mapped bytes are left", layer.what,
		                (unsigned long long)t->seed, (long long)(allocs - t->allocs_before),
		                (long long)(mapped - t->mapped_before));
}

static int run_world(struct tti_failing *t, struct tti_sim_setup *setup)
{
	const tt_torture_options *o = t->options;
	tt_sim_options sim = {
		.seed = t->seed, .workers = o->workers, .faults = o->faults != 0 ? o->faults : TT_FAULTS_NONE,
		.strategy = TT_SIM_RANDOM_WALK, .quiet = true, /* what is refused is reported, a thousand times */
	};
	struct tt_args_failing_ args = { t };

	return tti_sim_run(&sim, &tt_type_failing_, &args, t->site, setup);
}

/* A cancel may end the scenario in front of the place; without one both runs are the same. */
static void count_run(struct tti_failing *t, int rc)
{
	bool failed = t->fail.call[0] != '\0';

	t->result.runs += failed;
	t->result.cut += failed && rc < 0;
	/* relaxed: one thread. */
	if (t->fail.at == 0)
		t->result.places = tti_load_relaxed(&t->fail.seen);
	else if (!failed && t->cancel_at == 0)
		tti_test_failed(false, t->site, "%s seed 0x%llx: the scenario is not the same twice", layer.what,
		                (unsigned long long)t->seed);
}

uint64_t tti_failing_simulate(struct tti_failing *t, uint64_t at, unsigned way)
{
	struct tti_sim_setup setup = {
		.strike_at = t->cancel_at, .strike = cancel, .every_checkpoint = t->options->pairs, .name = layer.what,
	};
	int rc;

	t->fail = (struct tti_fail){
		.kind = t->kind, .at = at, .way = way, .ways = at == 0 ? t->ways : NULL, .simulated = true,
	};
	layer.t = t;
	layer.fail = &t->fail;
	for (unsigned i = 0; i < WORKERS_MAX; i++)
		tti_list_init(&layer.later[i]);
	setup.env = tti_inject_layer(&t->fail, &tti_sim_env);
	name_run();
	rc = run_world(t, &setup);
	name_run();
	count_run(t, rc);
	check_memory(t);
	if (t->options->check != NULL)
		t->options->check(t->options->context, rc);
	return setup.ret_points_seen;
}

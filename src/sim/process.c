/* SPDX-License-Identifier: MIT */
/*
 * process.c - child processes of a simulation: tasks that run what TT_SIM_PROGRAM() registered
 * under the child's name. Called through net/process_ops.h: start and discard as a job of the
 * simulated pool, the others on a worker.
 *
 *	started --> RUNNING --> ENDED --> taken
 *	               \__ a signal cancels its task __/
 *
 * A child's task hangs under the runtime like the root task, so that nothing but a signal ends
 * it. Its streams are handles of numbers of their own, in the one table that the whole
 * simulation has. Its pidfd is a descriptor that becomes readable.
 *
 * Not here    An environment, a folder, groups of more than one: a group is its leader. A file of
 *             the simulation as a stream.
 * Lifetime    A record lives until the world ends: a message to its task may still be under way.
 */
#include "net/process_ops.h"

#include <signal.h>
#include <string.h>

#include <tutti/error.h>

#include "base/panic.h"
#include "net/fd.h"
#include "scope/scope.h"
#include "sim/net.h"

#define SIGNALS 64
#define FIRST_PID 1000
#define STATUS_NO_MEMORY 127

struct child {
	struct tti_list link;                /* sim->children */
	const tt_sim_program_ *program;
	const char *const *argv;             /* a copy, with its texts behind */
	int pid;
	struct tti_sim_sock *pidfd;          /* a count held: its number may be closed before we end */
	int numbers[TTI_STREAMS];            /* its ends, until its task has named them; -1: none */
	struct tti_scope scope;              /* around its task */
	struct tti_msg signal;               /* to its task's home */
	bool posted;                         /* that message is under way */
	bool catches;                        /* SIGTERM asks it to stop, and no more */
	bool stop;                           /* it was asked */
	int killed_by;                       /* 0: by no signal */
	bool ended, taken;
	int status;                          /* once it ended */
};

static tt_sim_program_ *programs;

void tt_sim_program_register_(tt_sim_program_ *p)
{
	p->next = programs;
	programs = p;
}

static struct child *by_pidfd(int pidfd)
{
	TTI_LIST_FOR_EACH (n, &tti_sim_here->children) {
		struct child *c = TTI_CONTAINER_OF(n, struct child, link);

		if (c->pidfd == tti_sim_sock(tti_sim_here, pidfd) && !c->taken)
			return c;
	}
	return NULL;
}

static struct child *by_pid(int pid)
{
	TTI_LIST_FOR_EACH (n, &tti_sim_here->children) {
		struct child *c = TTI_CONTAINER_OF(n, struct child, link);

		if (c->pid == pid && !c->taken)
			return c;
	}
	return NULL;
}

/* ---- its task ---- */

/* Names its ends; false: no memory. */
static bool name_streams(struct child *c, tt_fd *ret_fds[TTI_STREAMS])
{
	int rc = 0;

	for (int i = 0; i < TTI_STREAMS; i++) {
		ret_fds[i] = NULL;
		if (c->numbers[i] < 0)
			continue;
		if (rc == 0)
			rc = tti_fd_adopt(c->numbers[i], false, &ret_fds[i]);
		else
			tti_sim_close(tti_sim_here, c->numbers[i]);
		c->numbers[i] = -1;
	}
	return rc == 0;
}

static TT_TASK(sim_child, (struct child *, c))
{
	tt_fd *fds[TTI_STREAMS];
	int rc = STATUS_NO_MEMORY;

	tti_sim_here->child_begins = false;
	if (name_streams(c, fds))
		rc = c->program->run(c->argv, fds[TTI_STDIN], fds[TTI_STDOUT], fds[TTI_STDERR]);
	for (int i = 0; i < TTI_STREAMS; i++)
		tti_fd_close_if_open(fds[i]);
	return rc;
}

/* What its task has before it runs, a stack, is the child's own already. */
static bool child_begin(struct tt_task *t)
{
	return tti_sim_here->child_begins = tti_root_task_begin(t);
}

static void child_exit(struct tt_task *t)
{
	struct child *c = TTI_CONTAINER_OF(t->scope_base, struct child, scope);
	struct tti_sim *sim = tti_sim_here;
	int rc = t->rc;

	sim->child_begins = false; /* no stack: it never ran */
	tti_task_put(t);
	for (int i = 0; i < TTI_STREAMS; i++)
		if (c->numbers[i] >= 0)
			tti_sim_close(sim, c->numbers[i]);
	c->status = c->killed_by != 0 ? -c->killed_by : rc < 0 ? 1 : rc & 0xff;
	c->ended = true;
	tti_sim_trace(sim, TTI_SIM_EVENT, "child ends", (uint64_t)c->pid, (uint64_t)(int64_t)c->status);
	tti_sim_event_set(sim, c->pidfd);
}

static const struct tti_life_ops child_life = { .start = child_begin, .exit = child_exit };

/* ---- start ---- */

static const tt_sim_program_ *find_program(const char *name)
{
	const char *slash = strrchr(name, '/');
	const tt_sim_program_ *p = programs;

	name = slash != NULL ? slash + 1 : name;
	while (p != NULL && strcmp(p->name, name) != 0)
		p = p->next;
	return p;
}

/* In one block. */
static const char *const *copy_argv(const char *const *argv)
{
	size_t n = 0, bytes = 0;
	char **copy, *at;

	for (; argv[n] != NULL; n++)
		bytes += strlen(argv[n]) + 1;
	copy = tti_sim_alloc((n + 1) * sizeof(*copy) + bytes);
	at = (char *)(copy + n + 1);
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(argv[i]) + 1;

		copy[i] = memcpy(at, argv[i], len);
		at += len;
	}
	copy[n] = NULL;
	return (const char *const *)copy;
}

/* The child's end of stream i, and ours; -1: none. */
static int make_stream(struct tti_sim *sim, struct tti_process_start *s, struct child *c, int i)
{
	int from = s->to[i], ends[2], rc;
	struct tti_sim_sock *sock;

	if (from == TT_TO_STDOUT && c->numbers[TTI_STDOUT] < 0)
		return 0;
	if (from == TT_TO_NULL || (from == TT_TO_INHERIT && !s->given[i]))
		return 0;
	if (from == TT_TO_PIPE) {
		rc = tti_sim_pipe(sim, ends);
		if (rc == 0) {
			c->numbers[i] = ends[0];
			s->our_ends[i] = ends[1];
		}
		return rc;
	}
	sock = tti_sim_sock(sim, from == TT_TO_STDOUT ? c->numbers[TTI_STDOUT] : from);
	if (sock == NULL)
		return -EBADF;
	c->numbers[i] = tti_sim_sock_number(sim, sock);
	return c->numbers[i] < 0 ? c->numbers[i] : 0;
}

static int make_streams(struct tti_sim *sim, struct tti_process_start *s, struct child *c)
{
	int rc = 0;

	for (int i = 0; i < TTI_STREAMS && rc == 0; i++)
		rc = make_stream(sim, s, c, i);
	if (rc == 0)
		rc = s->pidfd = tti_sim_event_open(sim);
	if (rc < 0)
		return rc;
	c->pidfd = tti_sim_sock(sim, s->pidfd);
	tti_sim_sock_hold(c->pidfd);
	return 0;
}

/* On a worker of the oracle's choice. */
static int make_task(struct tti_sim *sim, struct child *c)
{
	struct tt_args_sim_child_ args = { c };
	struct tti_home *before = tti_home_here;
	struct tti_worker *w = sim->rt.workers[sim->oracle.base.choose(&sim->oracle.base, sim->workers, "child")];
	struct tt_task *t;

	tti_home_here = &w->home;
	t = tti_root_task(&c->scope, &tt_type_sim_child_, &args, &child_life, "tt_process_start");
	if (t != NULL) {
		t->name = c->program->name;
		tti_worker_submit(w, t);
	}
	tti_home_here = before;
	return t != NULL ? 0 : -ENOMEM;
}

static void child_free(struct tti_sim *sim, struct child *c)
{
	tti_list_unlink(&c->link);
	if (c->pidfd != NULL)
		tti_sim_sock_put(sim, c->pidfd);
	tti_env_real.free((void *)(uintptr_t)c->argv);
	tti_env_real.free(c);
}

static void undo(struct tti_sim *sim, struct tti_process_start *s, struct child *c)
{
	for (int i = 0; i < TTI_STREAMS; i++) {
		if (c->numbers[i] >= 0)
			tti_sim_close(sim, c->numbers[i]);
		if (s->our_ends[i] >= 0)
			tti_sim_close(sim, s->our_ends[i]);
		s->our_ends[i] = -1;
	}
	if (s->pidfd >= 0)
		tti_sim_close(sim, s->pidfd);
	s->pidfd = -1;
	child_free(sim, c);
}

static struct child *child_new(struct tti_sim *sim, const tt_sim_program_ *program, const char *const *argv)
{
	struct child *c = tti_sim_alloc(sizeof(*c));

	*c = (struct child){
		.program = program, .argv = copy_argv(argv), .pid = FIRST_PID + (int)sim->n_children++,
		.numbers = { -1, -1, -1 },
	};
	tti_list_push_back(&sim->children, &c->link);
	return c;
}

static int start(struct tti_sim *sim, struct tti_process_start *s)
{
	const tt_sim_program_ *program = find_program(s->spawn.argv[0]);
	struct child *c;
	int rc;

	s->step = TTI_SPAWN_EXEC;
	if (program == NULL)
		return -ENOENT;
	c = child_new(sim, program, s->spawn.argv);
	s->step = TTI_SPAWN_FDS;
	rc = make_streams(sim, s, c);
	if (rc == 0) {
		s->step = TTI_SPAWN_CLONE;
		rc = make_task(sim, c);
	}
	if (rc < 0) {
		undo(sim, s, c);
		return rc;
	}
	s->pid = c->pid;
	return 0;
}

static int sim_start(struct tti_process_start *s)
{
	int rc = (int)tti_sim_traced(tti_sim_here, "process start", 0, 0, start(tti_sim_here, s));

	/* It happened; whoever waits for the job does not know yet. */
	tti_sim_point(tti_sim_here, TTI_SIM_AT_EFFECT);
	return rc;
}

static int sim_check(void)
{
	if (programs == NULL)
		return tt_fail(TT_ENOSYS, "tt_process_start: a simulation has no programs but those of TT_SIM_PROGRAM()");
	return 0;
}

/* ---- signals ---- */

static void handle_signal(struct tti_msg *m)
{
	struct child *c = TTI_CONTAINER_OF(m, struct child, signal);

	c->posted = false;
	if (c->ended)
		return;
	if (c->killed_by != 0)
		tti_scope_cancel(&c->scope, TTI_CAUSE_CANCELLER, TT_ECANCELED);
	else if (c->stop)
		tti_scope_stop(&c->scope);
}

static int signal_child(struct child *c, int sig)
{
	struct tti_home *home;

	if (sig < 0 || sig > SIGNALS)
		return -EINVAL;
	if (c == NULL || c->ended)
		return -ESRCH;
	if (sig == 0 || c->killed_by != 0)
		return 0;
	if (c->catches && sig != SIGKILL)
		c->stop = true;
	else
		c->killed_by = sig;
	home = c->scope.owner->home;
	if (!c->posted) {
		c->posted = true;
		c->signal.handle = handle_signal;
		home->ops->post(home, &c->signal);
	}
	return 0;
}

static int sim_kill(int pidfd, int sig)
{
	return (int)tti_sim_traced(tti_sim_here, "process kill", (uint64_t)pidfd, (uint64_t)sig,
	                           signal_child(by_pidfd(pidfd), sig));
}

static int sim_kill_group(int pid, int sig)
{
	return (int)tti_sim_traced(tti_sim_here, "process kill", (uint64_t)pid, (uint64_t)sig,
	                           signal_child(by_pid(pid), sig));
}

static void sim_discard(int pid)
{
	struct child *c = by_pid(pid);

	TT_REQUIRE(c != NULL, "simulator: no child %d", pid);
	TT_IGNORE(signal_child(c, SIGKILL));
	c->taken = true;
}

/* Whose task, or whose task's descendant, t is; NULL: the program's own. */
static struct child *child_of(const struct tti_sim *sim, const struct tt_task *t)
{
	const struct tti_scope *s = t->scope;

	while (s->parent != NULL)
		s = s->parent;
	TTI_LIST_FOR_EACH (n, &sim->children) {
		struct child *c = TTI_CONTAINER_OF(n, struct child, link);

		if (&c->scope == s)
			return c;
	}
	return NULL;
}

bool tti_sim_in_child(const struct tti_sim *sim)
{
	const struct tt_task *t = tti_current();

	return sim->child_begins || (t != NULL && child_of(sim, t) != NULL);
}

void tt_sim_catch_sigterm(void)
{
	const struct tt_task *t = tti_current_or_panic("tt_sim_catch_sigterm");
	struct child *c = t != NULL && tti_sim_here != NULL ? child_of(tti_sim_here, t) : NULL;

	TT_REQUIRE(c != NULL, "tt_sim_catch_sigterm: called outside a TT_SIM_PROGRAM()");
	c->catches = true;
}

/* ---- its end ---- */

static int sim_status(int pidfd, bool take, int *ret_status)
{
	struct child *c = by_pidfd(pidfd);

	if (c == NULL)
		return -ECHILD;
	if (!c->ended)
		return TT_EAGAIN;
	*ret_status = c->status;
	c->taken = take;
	return 0;
}

unsigned tti_sim_children_left(const struct tti_sim *sim)
{
	unsigned left = 0;

	TTI_LIST_FOR_EACH (n, &sim->children)
		left += !TTI_CONTAINER_OF(n, struct child, link)->taken;
	return left;
}

void tti_sim_children_init(struct tti_sim *sim)
{
	tti_list_init(&sim->children);
}

void tti_sim_children_fini(struct tti_sim *sim)
{
	struct tti_list *n;

	while ((n = tti_list_first(&sim->children)) != NULL)
		child_free(sim, TTI_CONTAINER_OF(n, struct child, link));
}

const struct tti_process_ops tti_sim_process_ops = {
	.check = sim_check,
	.start = sim_start,
	.discard = sim_discard,
	.status = sim_status,
	.kill = sim_kill,
	.kill_group = sim_kill_group,
};

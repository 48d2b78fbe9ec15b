/* SPDX-License-Identifier: MIT */
/*
 * process.c - child processes: start, wait, kill, close. Called publicly; tt_process_run() is
 * process_run.c.
 *
 * Start       holds its thread until the child runs its program (0.1 to 0.7 ms were seen, see
 *             docs/guide/files-and-processes.md), so it is a job of the FILES lane.
 * Wait        Each waiter polls the pidfd, a descriptor like any other, on its own worker,
 *             and then asks for the status without taking it (WNOWAIT). Only the close
 *             takes it.
 * Close       kills, waits for the end, keeps the status for waiters that have not run yet, takes
 *             the child out of the process table, and drains those waiters by closing the pidfd.
 * Rejected    A handler for SIGCHLD: process-wide, and one signal may stand for many children.
 */
#include <tutti/process.h>

#include <poll.h>
#include <signal.h>
#include <string.h>

#include <tutti/error.h>
#include <tutti/select.h>

#include "base/sometimes.h"
#include "net/file_call.h"
#include "net/process_ops.h"

/* How often a child is looked at that has ended and is held by a debugger. */
#define LOOK_EVERY TT_MS(20)
/* A waiter's result is a code, or this and the status. */
#define STATUS_BASE 1000

struct tt_process {
	tt_fd *pidfd;
	tt_fd *streams[TTI_STREAMS];             /* our ends of pipes, or NULL */
	int pid;
	bool group;                          /* it leads one of its own */
	int status;                          /* valid once ended */
	tti_atomic_u32 ended;                /* 1: the close is about to take the child away */
};

static const struct tti_process_ops *ops_here(void)
{
	const struct tti_process_ops *ops = tti_worker_here()->rt->process_ops;

	return ops != NULL ? ops : &tti_process_real;
}

/* ---- start ---- */

struct start {
	struct tti_file_call call;           /* first run by the pool */
	const struct tti_process_ops *ops;
	struct tti_process_start start;
	struct tti_fd_call given[TTI_STREAMS]; /* keeps those of tt_fd handles from being closed */
};

/* On a pool thread. */
static void run_start(struct tti_file_call *call)
{
	struct start *s = TTI_CONTAINER_OF(call, struct start, call);

	call->result = s->ops->start(&s->start);
}

static int check_options(const tt_process_options *o)
{
	if (o->argv == NULL || o->argv[0] == NULL || o->argv[0][0] == '\0')
		return tt_fail(TT_EINVAL, "tt_process_start: no program");
	if (o->stdin_to < TT_TO_PIPE || o->stdout_to < TT_TO_PIPE || o->stderr_to < TT_TO_STDOUT)
		return tt_fail(TT_EINVAL, "tt_process_start \"%s\": no such place for a stream", o->argv[0]);
	return 0;
}

/* Keeps the descriptors open that the options name by handle. */
static int enter_given(struct start *s, const tt_process_options *o)
{
	tt_fd *const handles[TTI_STREAMS] = { o->stdin_fd, o->stdout_fd, o->stderr_fd };

	for (int i = 0; i < TTI_STREAMS; i++) {
		int rc;

		if (handles[i] == NULL)
			continue;
		rc = tti_fd_enter(handles[i], TTI_NEITHER, &s->given[i]);
		if (rc < 0)
			return tt_fail(rc, "tt_process_start \"%s\": a descriptor for its streams", o->argv[0]);
		s->start.given[i] = true;
		s->start.to[i] = s->given[i].fd->number;
	}
	return 0;
}

static void leave_given(struct start *s)
{
	for (int i = 0; i < TTI_STREAMS; i++)
		if (s->start.given[i])
			TT_IGNORE((int)tti_fd_leave(&s->given[i], 0));
}

static int explain(const struct start *s, int rc)
{
	static const char *const doing[] = {
		[TTI_SPAWN_CLONE] = "make a process", [TTI_SPAWN_GROUP] = "set its group", [TTI_SPAWN_CWD] = "enter its folder",
		[TTI_SPAWN_FDS] = "set its streams", [TTI_SPAWN_EXEC] = "run the program",
	};

	if (rc == TT_ECANCELED)
		return rc;
	if (s->start.step == TTI_SPAWN_CWD)
		return tt_fail(rc, "tt_process_start \"%s\": enter folder \"%s\"", s->start.spawn.argv[0], s->start.spawn.cwd);
	return tt_fail(rc, "tt_process_start \"%s\": %s", s->start.spawn.argv[0], doing[s->start.step]);
}

static void start_init(struct start *s, const tt_process_options *o)
{
	*s = (struct start){
		.call = { .run = run_start },
		.ops = ops_here(),
		.start = {
			.spawn = { .argv = o->argv, .envp = o->envp, .cwd = o->cwd, .new_group = o->new_group },
			.to = { o->stdin_to, o->stdout_to, o->stderr_to },
			.our_ends = { -1, -1, -1 },
			.pid = -1,
			.pidfd = -1,
		},
	};
}

/* The child runs. Takes the descriptors into the table. */
static int adopt(struct tt_process *p, struct tti_process_start *s)
{
	struct tti_driver *d = tti_home_here->driver;
	int rc = tti_fd_adopt(s->pidfd, false, &p->pidfd);

	for (int i = 0; i < TTI_STREAMS; i++) {
		if (s->our_ends[i] >= 0 && rc < 0)
			d->ops->close(d, s->our_ends[i]);
		else if (s->our_ends[i] >= 0)
			rc = tti_fd_adopt(s->our_ends[i], false, &p->streams[i]);
	}
	return rc;
}

/* No memory to name its descriptors: it is not to run. */
static void run_discard(struct tti_file_call *call)
{
	TTI_CONTAINER_OF(call, struct start, call)->ops->discard(call->fd);
	call->result = 0; /* it was run, and once is enough: the number may be a stranger's now */
}

static void give_up(struct tt_process *p)
{
	struct start kill = { .call = { .run = run_discard, .fd = p->pid }, .ops = ops_here() };

	if (p->pidfd != NULL) {
		tt_process_close(p);
		return;
	}
	TT_IGNORE((int)tti_file_call_always(&kill.call, "process close", p));
	tti_env_free(p);
}

static int start_child(const tt_process_options *o, struct tt_process *p)
{
	struct start s;
	int rc;

	start_init(&s, o);
	rc = enter_given(&s, o);
	if (rc == 0) {
		rc = (int)tti_file_call(&s.call, "process start", NULL);
		if (rc < 0)
			rc = explain(&s, rc);
	}
	leave_given(&s);
	if (rc < 0)
		return rc;
	p->pid = s.start.pid;
	p->group = o->new_group;
	return adopt(p, &s.start);
}

int tt_process_start(const tt_process_options *o, tt_process **ret_p)
{
	struct tt_process *p;
	int rc;

	if (tti_current_or_panic("tt_process_start") == NULL)
		return TT_EWRONGCTX;
	rc = tti_checkpoint();
	if (rc == 0)
		rc = check_options(o);
	if (rc == 0)
		rc = ops_here()->check();
	if (rc < 0)
		return rc;
	p = tti_env_zalloc(sizeof(*p));
	if (p == NULL)
		return TT_ENOMEM;
	rc = start_child(o, p);
	if (rc == 0)
		*ret_p = p;
	else if (p->pid > 0)
		give_up(p);
	else
		tti_env_free(p);
	return rc;
}

/* ---- wait ---- */

/* The status in *ret without taking it; -EAGAIN while the child runs. In a call on the pidfd. */
static int peek(struct tt_process *p, const struct tti_fd_call *c, int *ret)
{
	int rc = ops_here()->status(c->fd->number, false, ret);

	/* acquire: pairs with the release in take_away(): it was ours to take, and is kept. */
	if (rc < 0 && rc != TT_EAGAIN && tti_load_acquire(&p->ended) != 0) {
		TTI_SOMETIMES(true, "a process's end is asked for when the close has taken it");
		*ret = TTI_PLAIN_READ(p->status);
		return 0;
	}
	return rc;
}

static int wait_ready(struct tti_fd_call *c, bool abortable)
{
	struct tti_fd_io io;
	long ready;

	tti_fd_io_init(&io, c, TTI_IO_POLL, "process");
	io.wait.op.events = POLLIN;
	if (!abortable)
		io.wait.waiter.abort = NULL;
	ready = tti_fd_perform(&io);
	return ready < 0 ? (int)ready : 0;
}

/* In a call on the pidfd. One that has ended and has no status yet is held by somebody's debugger;
 * nothing tells when that lets go. A close, which is not abortable, cannot give up either when
 * the kernel has no memory to tell it of the end: it looks. */
static int wait_ended(struct tt_process *p, struct tti_fd_call *c, bool abortable, int *ret_status)
{
	bool looks = false;
	int rc, waited = 0;

	while ((rc = peek(p, c, ret_status)) == TT_EAGAIN && waited == 0) {
		if (!looks && abortable)
			waited = wait_ready(c, true);
		else if (!looks)
			TT_IGNORE(wait_ready(c, false));
		else if (tti_fd_is_closing(c))
			waited = TT_EBADF;
		else
			waited = tti_pause_until(tti_env_now() + LOOK_EVERY, abortable);
		looks = true;
	}
	return waited < 0 ? waited : rc;
}

int tt_process_wait(tt_process *p, int *ret_status)
{
	struct tti_fd_call c;
	int status, rc;

	if (tti_current_or_panic("tt_process_wait") == NULL)
		return TT_EWRONGCTX;
	rc = tti_checkpoint();
	if (rc == 0)
		rc = tti_fd_enter(p->pidfd, TTI_NEITHER, &c);
	if (rc < 0)
		return rc;
	rc = (int)tti_fd_leave(&c, wait_ended(p, &c, true, &status));
	if (rc == 0 && ret_status != NULL)
		*ret_status = status;
	return rc;
}

/* ---- the arm ---- */

/* In the node's scratch; as an arm of poll.c, but many may wait. */
struct end_arm {
	struct tti_fd_call call;
	struct tti_io_op op;
	struct tti_wait_node *node;
	struct tt_process *process;
	struct tti_waiter *drainer;          /* who waits for op's end, if anybody */
};

_Static_assert(sizeof(struct end_arm) <= sizeof(uint64_t) * TTI_NODE_SCRATCH_WORDS, "an operation fits a node");

static struct end_arm *arm_in(struct tti_wait_node *n)
{
	return (struct end_arm *)(void *)n->scratch;
}

/* As a waiter's rc: a code, or the status behind STATUS_BASE. */
static int outcome(struct end_arm *a, long ready)
{
	int status, rc;

	if (ready < 0)
		return ready == TT_ECANCELED && tti_fd_is_closing(&a->call) ? TT_EBADF : (int)ready;
	rc = peek(a->process, &a->call, &status);
	return rc == 0 ? STATUS_BASE + status : rc;
}

static void end_done(struct tti_io_op *op)
{
	struct end_arm *a = TTI_CONTAINER_OF(op, struct end_arm, op);
	struct tti_wait_node *n = a->node;

	a->call.op = NULL;
	if (tti_claim(n->waiter)) {
		n->waiter->winner = n->arm;
		n->waiter->rc = outcome(a, op->result);
		tti_wake(n->waiter);
	} else if (a->drainer != NULL && tti_claim(a->drainer)) {
		tti_wake(a->drainer);
	}
}

/* True: it ended at once, with op.result set. */
static bool end_submit(struct end_arm *a, struct tti_wait_node *n)
{
	a->node = n;
	a->drainer = NULL;
	tti_io_op_init(&a->op, TTI_IO_POLL, end_done);
	tti_fd_aim(&a->call, &a->op);
	a->op.events = POLLIN;
	a->call.op = &a->op;
	if (tti_io_submit(&a->op) == 0)
		return false;
	a->call.op = NULL;
	return true;
}

static int end_enlist(const tt_arm *arm, struct tti_wait_node *n, bool may_link)
{
	struct end_arm *a = arm_in(n);
	int rc;

	a->process = arm->object;
	rc = tti_fd_enter(a->process->pidfd, TTI_NEITHER, &a->call);
	if (rc < 0)
		return tti_claim_own_node(n, rc);
	rc = outcome(a, 0);
	if (rc == TT_EAGAIN && may_link) {
		if (!end_submit(a, n))
			return TTI_ARM_LINKED;
		rc = outcome(a, a->op.result);
	}
	TT_IGNORE((int)tti_fd_leave(&a->call, 0));
	return rc == TT_EAGAIN && !may_link ? TTI_ARM_LINKED : tti_claim_own_node(n, rc);
}

static void end_delist(const tt_arm *arm, struct tti_wait_node *n)
{
	struct end_arm *a = arm_in(n);
	struct tti_waiter w;

	(void)arm;
	if (a->call.op != NULL)
		tti_io_ask_cancel(a->call.op);
	if (a->call.op != NULL) {
		TTI_SOMETIMES(true, "a select ends, and what it had under way for a process does not yet");
		tti_waiter_init(&w, "process", a->process);
		w.abort = NULL;
		a->drainer = &w;
		tti_park(&w);
	}
	TT_IGNORE((int)tti_fd_leave(&a->call, 0));
}

static int end_finish(const tt_arm *arm, int rc)
{
	if (rc < 0)
		return rc;
	if (arm->value != NULL)
		*(int *)arm->value = rc - STATUS_BASE;
	return 0;
}

static const struct tti_arm_ops end_arm_ops = {
	.verb = "process", .enlist = end_enlist, .delist = end_delist, .finish = end_finish,
};

tt_arm tt_on_process_(tt_process *p, int *ret_status)
{
	return (tt_arm){ .ops = &end_arm_ops, .object = p, .value = ret_status };
}

/* ---- kill ---- */

/* In a call on the pidfd. */
static int kill_entered(struct tt_process *p, const struct tti_fd_call *c, int sig, int whom)
{
	int status, rc = peek(p, c, &status);

	TTI_SOMETIMES(rc == 0, "a process is killed that has ended");
	/* Taken by somebody else: the numbers may be a stranger's. Ended: its group may live on. */
	if (rc == -ECHILD || (rc == 0 && whom == TT_PROCESS_ALONE))
		return -ESRCH;
	if (whom == TT_PROCESS_GROUP)
		return ops_here()->kill_group(p->pid, sig);
	return ops_here()->kill(c->fd->number, sig);
}

int tt_process_kill(tt_process *p, int sig, int whom)
{
	struct tti_fd_call c;
	int rc;

	if (tti_current_or_panic("tt_process_kill") == NULL)
		return TT_EWRONGCTX;
	if ((whom != TT_PROCESS_ALONE && whom != TT_PROCESS_GROUP) || (whom == TT_PROCESS_GROUP && !p->group))
		return TT_EINVAL;
	rc = tti_fd_enter(p->pidfd, TTI_NEITHER, &c);
	return rc < 0 ? rc : (int)tti_fd_leave(&c, kill_entered(p, &c, sig, whom));
}

/* ---- close ---- */

static void take_away(struct tt_process *p, const struct tti_fd_call *c, int status)
{
	TTI_PLAIN_WRITE(p->status, status);
	/* release: pairs with the acquire in peek(): who finds the child gone finds its status. */
	tti_store_release(&p->ended, 1);
	TT_IGNORE(ops_here()->status(c->fd->number, true, &status));
}

void tt_process_close(tt_process *p)
{
	struct tti_fd_call c;
	int status = 0, rc;

	if (p == NULL)
		return;
	TT_REQUIRE(tti_current() != NULL, "tt_process_close: called outside the runtime's tasks");
	for (int i = 0; i < TTI_STREAMS; i++)
		tti_fd_close_if_open(p->streams[i]);
	rc = tti_fd_enter(p->pidfd, TTI_NEITHER, &c);
	TT_REQUIRE(rc == 0, "tt_process_close: process %d was closed already", p->pid);
	if (p->group)
		TT_IGNORE(kill_entered(p, &c, SIGKILL, TT_PROCESS_GROUP));
	/* It may have left its group. */
	TT_IGNORE(kill_entered(p, &c, SIGKILL, TT_PROCESS_ALONE));
	if (wait_ended(p, &c, false, &status) == 0)
		take_away(p, &c, status);
	TT_IGNORE((int)tti_fd_leave(&c, 0));
	tt_fd_close(p->pidfd);
	tti_env_free(p);
}

/* ---- what it has ---- */

int tt_process_pid(const tt_process *p)
{
	return p->pid;
}

tt_fd *tt_process_stdin(const tt_process *p)
{
	return p->streams[TTI_STDIN];
}

tt_fd *tt_process_stdout(const tt_process *p)
{
	return p->streams[TTI_STDOUT];
}

tt_fd *tt_process_stderr(const tt_process *p)
{
	return p->streams[TTI_STDERR];
}

/* SPDX-License-Identifier: MIT */
/*
 * process.c - child processes: start, wait, kill, close. Called publicly; tt_process_run() is
 * process_run.c.
 *
 * Start       holds its thread until the child runs its program (0.1 to 0.7 ms were seen, see
 *             docs/guide/files-and-processes.md), so it is a job of the FILES lane.
 * Wait        Each waiter polls the pidfd, a descriptor like any other, on its own worker,
 *             and then asks for the status without taking it (WNOWAIT). Only the close
 *             takes it: until then the child's number, and its group's, is nobody else's.
 * Close       kills, waits for the end, keeps the status for waiters that have not run yet, takes
 *             the child out of the process table, and drains those waiters by closing the pidfd.
 * Rejected    A handler for SIGCHLD: process-wide, and one signal may stand for many children.
 */
#include <tutti/process.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <tutti/error.h>
#include <tutti/select.h>

#include "env/spawn.h"
#include "net/file_call.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#define SYS_pidfd_send_signal 424
#endif

/* How often a child is looked at that has ended and is held by a debugger. */
#define LOOK_EVERY TT_MS(20)
/* A waiter's result is a code, or this and the status. */
#define STATUS_BASE 1000

enum { IN, OUT, ERR, STREAMS };

struct tt_process {
	tt_fd *pidfd;
	tt_fd *streams[STREAMS];             /* our ends of pipes, or NULL */
	int pid;
	bool group;                          /* it leads one of its own */
	int status;                          /* valid once ended */
	tti_atomic_u32 ended;                /* 1: the close is about to take the child away */
};

/* ---- start ---- */

struct start {
	struct tti_file_call call;           /* first run by the pool */
	struct tti_spawn spawn;
	int to[STREAMS];                     /* TT_TO_, or the number of a descriptor */
	struct tti_fd_call given[STREAMS];   /* keeps those of tt_fd handles from being closed */
	bool entered[STREAMS];
	int child_ends[STREAMS], our_ends[STREAMS]; /* -1: none */
	int pid, pidfd;
	enum tti_spawn_step step;
};

static long sys(long nr, long a, long b, long c, long d)
{
	return tti_env_syscall(nr, a, b, c, d, 0, 0);
}

static void close_number(int *number)
{
	if (*number >= 0)
		sys(SYS_close, *number, 0, 0, 0);
	*number = -1;
}

/* A copy that is 3 or more, so that the child can put it in place of 0, 1 and 2 in any order. */
static int raised(int number)
{
	return (int)sys(SYS_fcntl, number, F_DUPFD_CLOEXEC, 3, 0);
}

static int raise_end(int *number)
{
	int high;

	if (*number >= 3)
		return 0;
	high = raised(*number);
	if (high < 0)
		return high;
	close_number(number);
	*number = high;
	return 0;
}

/* Ours does not block; the child's does, as programs expect. */
static int make_pipe(struct start *s, int i)
{
	int ends[2], rc = (int)sys(SYS_pipe2, (long)ends, O_CLOEXEC, 0, 0);

	if (rc < 0)
		return rc;
	s->our_ends[i] = ends[i == IN];
	s->child_ends[i] = ends[i != IN];
	rc = raise_end(&s->child_ends[i]);
	if (rc == 0)
		rc = (int)sys(SYS_fcntl, s->our_ends[i], F_SETFL, O_NONBLOCK, 0);
	return rc;
}

static int open_null(struct start *s, int i)
{
	int fd = (int)sys(SYS_openat, AT_FDCWD, (long)"/dev/null", (i == IN ? O_RDONLY : O_WRONLY) | O_CLOEXEC, 0);

	if (fd < 0)
		return fd;
	s->child_ends[i] = fd;
	return raise_end(&s->child_ends[i]);
}

/* What the child gets as stream i: child_ends[i], or -1 for what it inherits. */
static int make_stream(struct start *s, int i)
{
	int from = s->to[i];

	if (from == TT_TO_STDOUT)
		from = s->child_ends[OUT] >= 0 ? s->child_ends[OUT] : OUT;
	switch (from) {
	case TT_TO_INHERIT:
		if (!s->entered[i])
			return 0;
		break;
	case TT_TO_NULL:
		return open_null(s, i);
	case TT_TO_PIPE:
		return make_pipe(s, i);
	default:
		break;
	}
	s->child_ends[i] = raised(from);
	return s->child_ends[i] < 0 ? s->child_ends[i] : 0;
}

/* On a pool thread. */
static void run_start(struct tti_file_call *call)
{
	struct start *s = TTI_CONTAINER_OF(call, struct start, call);
	int rc = 0;

	s->step = TTI_SPAWN_FDS;
	for (int i = 0; i < STREAMS && rc == 0; i++)
		rc = make_stream(s, i);
	if (rc == 0) {
		memcpy(s->spawn.fds, s->child_ends, sizeof(s->spawn.fds));
		rc = tti_env_spawn(&s->spawn, &s->pid, &s->pidfd, &s->step);
	}
	for (int i = 0; i < STREAMS; i++) {
		close_number(&s->child_ends[i]);
		if (rc < 0)
			close_number(&s->our_ends[i]);
	}
	call->result = rc;
}

/* Linux has the calls we need, and nobody forbids them. */
static int check_kernel(void)
{
	static tti_atomic_u32 known;
	siginfo_t info;
	long self, rc;

	if (tti_worker_here()->rt->offload != NULL)
		return tt_fail(TT_ENOSYS, "tt_process_start: a simulation has no processes");
	/* relaxed: whoever does not see it asks again. */
	if (tti_load_relaxed(&known) != 0)
		return 0;
	self = sys(SYS_pidfd_open, sys(SYS_getpid, 0, 0, 0, 0), 0, 0, 0);
	if (self == -ENOSYS || self == -EPERM)
		return tt_fail(TT_ENOSYS, "tt_process_start: this kernel, or its sandbox, has no pidfd_open (Linux 5.4)");
	if (self < 0)
		return (int)self;
	rc = sys(SYS_waitid, P_PIDFD, self, (long)&info, WEXITED | WNOHANG);
	sys(SYS_close, self, 0, 0, 0);
	if (rc == -EINVAL)
		return tt_fail(TT_ENOSYS, "tt_process_start: this kernel has no waitid for a pidfd (Linux 5.4)");
	/* relaxed: as above. */
	tti_store_relaxed(&known, 1);
	return 0;
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
	tt_fd *const handles[STREAMS] = { o->stdin_fd, o->stdout_fd, o->stderr_fd };

	for (int i = 0; i < STREAMS; i++) {
		int rc;

		if (handles[i] == NULL)
			continue;
		rc = tti_fd_enter(handles[i], TTI_NEITHER, &s->given[i]);
		if (rc < 0)
			return tt_fail(rc, "tt_process_start \"%s\": a descriptor for its streams", o->argv[0]);
		s->entered[i] = true;
		s->to[i] = s->given[i].fd->number;
	}
	return 0;
}

static void leave_given(struct start *s)
{
	for (int i = 0; i < STREAMS; i++)
		if (s->entered[i])
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
	if (s->step == TTI_SPAWN_CWD)
		return tt_fail(rc, "tt_process_start \"%s\": enter folder \"%s\"", s->spawn.argv[0], s->spawn.cwd);
	return tt_fail(rc, "tt_process_start \"%s\": %s", s->spawn.argv[0], doing[s->step]);
}

static void start_init(struct start *s, const tt_process_options *o)
{
	*s = (struct start){
		.call = { .run = run_start },
		.spawn = { .argv = o->argv, .envp = o->envp, .cwd = o->cwd, .new_group = o->new_group },
		.to = { o->stdin_to, o->stdout_to, o->stderr_to },
		.child_ends = { -1, -1, -1 },
		.our_ends = { -1, -1, -1 },
		.pid = -1,
		.pidfd = -1,
	};
}

/* The child runs. Takes the descriptors into the table. */
static int adopt(struct tt_process *p, struct start *s)
{
	int rc = tti_fd_adopt(s->pidfd, false, &p->pidfd);

	for (int i = 0; i < STREAMS; i++) {
		if (s->our_ends[i] >= 0 && rc < 0)
			close_number(&s->our_ends[i]);
		else if (s->our_ends[i] >= 0)
			rc = tti_fd_adopt(s->our_ends[i], false, &p->streams[i]);
	}
	return rc;
}

/* No memory to name its descriptors: it is not to run. */
static void run_kill(struct tti_file_call *call)
{
	siginfo_t info;

	sys(SYS_kill, call->fd, SIGKILL, 0, 0);
	while (sys(SYS_waitid, P_PID, call->fd, (long)&info, WEXITED) == -EINTR)
		continue;
}

static void give_up(struct tt_process *p)
{
	struct tti_file_call kill = { .run = run_kill, .fd = p->pid };

	if (p->pidfd != NULL) {
		tt_process_close(p);
		return;
	}
	TT_IGNORE((int)tti_file_call_always(&kill, "process close", p));
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
	p->pid = s.pid;
	p->group = o->new_group;
	return adopt(p, &s);
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
		rc = check_kernel();
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
	siginfo_t info;
	long rc;

	memset(&info, 0, sizeof(info));
	rc = sys(SYS_waitid, P_PIDFD, c->fd->number, (long)&info, WEXITED | WNOHANG | WNOWAIT);
	if (rc == 0 && info.si_pid != 0) {
		*ret = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
		return 0;
	}
	/* acquire: pairs with the release in take_away(): it was ours to take, and is kept. */
	if (rc < 0 && tti_load_acquire(&p->ended) != 0) {
		*ret = p->status;
		return 0;
	}
	return rc < 0 ? (int)rc : TT_EAGAIN;
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
 * nothing tells when that lets go. */
static int wait_ended(struct tt_process *p, struct tti_fd_call *c, bool abortable, int *ret_status)
{
	bool ready = false;
	int rc, waited = 0;

	while ((rc = peek(p, c, ret_status)) == TT_EAGAIN && waited == 0) {
		if (!ready)
			waited = wait_ready(c, abortable);
		else if (tti_fd_is_closing(c))
			waited = TT_EBADF;
		else
			waited = tti_pause_until(tti_env_now() + LOOK_EVERY, abortable);
		ready = true;
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

	/* Taken by somebody else: the numbers may be a stranger's. Ended: its group may live on. */
	if (rc == -ECHILD || (rc == 0 && whom == TT_PROCESS_ALONE))
		return -ESRCH;
	if (whom == TT_PROCESS_GROUP)
		return (int)sys(SYS_kill, -p->pid, sig, 0, 0);
	return (int)sys(SYS_pidfd_send_signal, c->fd->number, sig, 0, 0);
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

/* Our ends that the program has not closed itself: its handles tell. */
static void close_streams(struct tt_process *p)
{
	struct tti_fd_call c;

	for (int i = 0; i < STREAMS; i++) {
		if (p->streams[i] == NULL || tti_fd_enter(p->streams[i], TTI_NEITHER, &c) < 0)
			continue;
		TT_IGNORE((int)tti_fd_leave(&c, 0));
		tt_fd_close(p->streams[i]);
	}
}

static void take_away(struct tt_process *p, const struct tti_fd_call *c, int status)
{
	siginfo_t info;

	p->status = status;
	/* release: pairs with the acquire in peek(): who finds the child gone finds its status. */
	tti_store_release(&p->ended, 1);
	sys(SYS_waitid, P_PIDFD, c->fd->number, (long)&info, WEXITED | WNOHANG);
}

void tt_process_close(tt_process *p)
{
	struct tti_fd_call c;
	int status = 0, rc;

	if (p == NULL)
		return;
	TT_REQUIRE(tti_current() != NULL, "tt_process_close: called outside the runtime's tasks");
	close_streams(p);
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
	return p->streams[IN];
}

tt_fd *tt_process_stdout(const tt_process *p)
{
	return p->streams[OUT];
}

tt_fd *tt_process_stderr(const tt_process *p)
{
	return p->streams[ERR];
}

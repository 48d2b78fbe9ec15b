/* SPDX-License-Identifier: MIT */
/*
 * process_test.c - real children of /bin/sh: what they are given, how their end is told, and
 * that none is left behind whatever happens.
 *
 * test-labels: children
 */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "net/net_testkit.h"

TT_TEST_MAIN()

#define WHY_REAL "runs programs of this machine"
#define PROCESS_TEST(name) TT_TEST_ON(process, name, TT_ON_REAL, WHY_REAL)

/* Neither running nor a zombie. */
static void expect_no_children(void)
{
	int rc = waitpid(-1, NULL, WNOHANG);

	EXPECT_EQ(rc, -1);
	EXPECT_EQ(errno, ECHILD);
}

/* The options that run a script; they live as long as the block they stand in. */
#define script(text) ((tt_process_options){ .argv = (const char *const[]){ "/bin/sh", "-c", (text), NULL } })

static tt_process *started(const tt_process_options *o)
{
	tt_process *p = NULL;

	REQUIRE_OK(tt_process_start(o, &p));
	return p;
}

/* What a script writes to its standard output. */
static void expect_output(tt_process_options o, const char *expected)
{
	char out[512] = "";
	tt_process_io io = { .out = out, .out_max = sizeof(out) - 1 };
	int status = -1000;

	EXPECT_OK(tt_process_run(&o, &io, &status));
	EXPECT_STR_EQ(out, expected);
	EXPECT_EQ(status, 0);
}

/* ---- how it ends ---- */

static TT_TASK(expect_status, (tt_process *, p), (int, expected))
{
	int status = -1000;

	EXPECT_OK(tt_process_wait(p, &status));
	EXPECT_EQ(status, expected);
	return 0;
}

/* Any number of tasks learn the status, on every worker, during the run and after it. */
PROCESS_TEST(any_number_may_wait)
{
	const tt_child_options anywhere = { .worker = TT_WORKER_ANY };
	tt_process_options o = script("read x; exit 7");
	tt_process *p;

	o.stdin_to = TT_TO_PIPE;
	p = started(&o);
	EXPECT_GT(tt_process_pid(p), 0);
	{
		TT_GROUP(g);
		for (int i = 0; i < 16; i++)
			tt_go_with(&g, &anywhere, expect_status, p, 7);
		REQUIRE_OK(tt_test_wait_all_parked());
		EXPECT_CODE(TT_WITHIN(TT_MS(1), tt_process_wait(p, NULL)), TT_ETIMEDOUT);
		tt_fd_close(tt_process_stdin(p));
		EXPECT_OK(tt_group_end(&g, 0));
	}
	EXPECT_OK(expect_status(p, 7));
	EXPECT_OK(tt_process_wait(p, NULL));
	EXPECT_CODE(tt_process_kill(p, SIGTERM, TT_PROCESS_ALONE), -ESRCH);
	tt_process_close(p);
	expect_no_children();
}

/* A signal's end is its number, negated; the exit status is all eight bits. */
PROCESS_TEST(status)
{
	tt_process_options o = script("exit 255");
	int status = 0;

	EXPECT_OK(tt_process_run(&o, NULL, &status));
	EXPECT_EQ(status, 255);
	o = script("kill -KILL $$");
	EXPECT_OK(tt_process_run(&o, NULL, &status));
	EXPECT_EQ(status, -SIGKILL);
	o = script("kill -TERM $$");
	EXPECT_OK(tt_process_run(&o, NULL, &status));
	EXPECT_EQ(status, -SIGTERM);
	o = script("true");
	EXPECT_OK(tt_process_run(&o, NULL, NULL));
	expect_no_children();
}

/* The end of a child is an arm of a select: it loses without a trace, and is there at once later. */
PROCESS_TEST(select_arm)
{
	tt_process_options o = script("read x; exit 3");
	tt_process *p;
	int status = -1000;

	o.stdin_to = TT_TO_PIPE;
	p = started(&o);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(tt_select(TT_ON_PROCESS(p, &status), TT_ON_TIMEOUT(TT_MS(1))), 1);
	EXPECT_EQ(tt_select_biased(TT_ON_PROCESS(p, &status), TT_ON_TIMEOUT(0)), 1);
	EXPECT_EQ(status, -1000);
	EXPECT_OK(tt_write_all(tt_process_stdin(p), "\n", 1, NULL));
	EXPECT_EQ(tt_select(TT_ON_PROCESS(p, &status), TT_ON_TIMEOUT(TT_SEC(20))), 0);
	EXPECT_EQ(status, 3);
	EXPECT_EQ(tt_select_biased(TT_ON_TIMEOUT(TT_SEC(20)), TT_ON_PROCESS(p, NULL)), 1);
	EXPECT_CODE(TT_WITHIN(0, tt_select(TT_ON_PROCESS(p, &status))), TT_ETIMEDOUT);
	tt_process_close(p);
	o = script("kill -KILL $$");
	p = started(&o);
	EXPECT_EQ(tt_select(TT_ON_PROCESS(p, &status), TT_ON_PROCESS(p, &status)) | 1, 1);
	EXPECT_EQ(status, -SIGKILL);
	tt_process_close(p);
	expect_no_children();
}

static TT_TASK(wait_or_closed, (tt_process *, p), (bool, by_select))
{
	int status = -1000, rc;

	rc = by_select ? tt_select(TT_ON_PROCESS(p, &status)) : tt_process_wait(p, &status);
	EXPECT_TRUE(rc == TT_EBADF || (rc == 0 && status == -SIGKILL));
	return 0;
}

/* A close kills what runs; who waits elsewhere hears how it ended, or that it is closed. */
PROCESS_TEST(close_kills_and_drains)
{
	const tt_child_options there = { .worker = TT_WORKER(tt_worker_count() - 1) };

	for (int i = 0; i < 20; i++) {
		tt_process_options o = script("exec sleep 1000");
		tt_process *p = started(&o);

		TT_GROUP(g);
		tt_go(&g, wait_or_closed, p, false);
		tt_go(&g, wait_or_closed, p, true);
		tt_go_with(&g, &there, wait_or_closed, p, false);
		tt_go_with(&g, &there, wait_or_closed, p, true);
		REQUIRE_OK(tt_test_wait_all_parked());
		tt_process_close(p);
		EXPECT_OK(tt_group_end(&g, 0));
	}
	tt_process_close(NULL);
	expect_no_children();
}

/* SIGCHLD ignored: the kernel throws the status away, and the wait says so. */
PROCESS_TEST(status_that_nobody_kept)
{
	tt_process_options o = script("exit 1");
	tt_process *p;
	int status = 77;

	signal(SIGCHLD, SIG_IGN);
	p = started(&o);
	EXPECT_CODE(tt_process_wait(p, &status), -ECHILD);
	EXPECT_EQ(status, 77);
	EXPECT_CODE(tt_process_kill(p, SIGTERM, TT_PROCESS_ALONE), -ESRCH);
	tt_process_close(p);
	expect_no_children();
}

/* ---- signals ---- */

/* A child that ignores SIGTERM goes on, until it is closed. */
PROCESS_TEST(child_that_ignores_sigterm)
{
	tt_process_options o = script("trap '' TERM; echo ready; while :; do sleep 1000; done");
	tt_process *p;
	char buf[8];

	o.stdout_to = TT_TO_PIPE;
	o.new_group = true;
	p = started(&o);
	EXPECT_EQ(tt_read(tt_process_stdout(p), buf, sizeof(buf)), 6);
	EXPECT_OK(tt_process_kill(p, SIGTERM, TT_PROCESS_ALONE));
	EXPECT_CODE(TT_WITHIN(TT_MS(20), tt_process_wait(p, NULL)), TT_ETIMEDOUT);
	EXPECT_CODE(tt_process_kill(p, 1000, TT_PROCESS_ALONE), TT_EINVAL);
	EXPECT_CODE(tt_process_kill(p, SIGTERM, 2), TT_EINVAL);
	tt_process_close(p);
	expect_no_children();
}

#define LEAVE_GROUP "TT_TEST_LEAVE_GROUP"

/* This program again, as a child that leaves the group it was given. */
__attribute__((constructor)) static void leave_group(void)
{
	if (getenv(LEAVE_GROUP) == NULL)
		return;
	if (setpgid(0, getpgid(getppid())) == 0)
		TT_IGNORE((int)write(STDOUT_FILENO, "left", 4));
	for (;;)
		pause();
}

/* A child that is in another group by now is killed all the same. */
PROCESS_TEST(close_kills_one_that_left_its_group)
{
	const char *const argv[] = { "/proc/self/exe", NULL }, *const envp[] = { LEAVE_GROUP "=1", NULL };
	tt_process_options o = { .argv = argv, .envp = envp, .stdout_to = TT_TO_PIPE, .new_group = true };
	tt_process *p = started(&o);
	char buf[4];

	EXPECT_OK(tt_read_exact(tt_process_stdout(p), buf, sizeof(buf), NULL));
	tt_process_close(p);
	expect_no_children();
}

/* A pipe that tt_process_run() has no buffer for would keep the child for ever. */
PROCESS_TEST(run_refuses_a_pipe_without_a_buffer)
{
	tt_process_options o = script("cat; cat");
	char out[4];
	tt_process_io io = { .input = "x", .input_n = 1, .out = out, .out_max = sizeof(out) };

	o.stdin_to = o.stdout_to = TT_TO_PIPE;
	EXPECT_OK(TT_WITHIN(TT_SEC(20), tt_process_run(&o, &io, NULL)));
	io.input = NULL;
	EXPECT_CODE(TT_WITHIN(TT_MS(50), tt_process_run(&o, &io, NULL)), TT_EINVAL);
	EXPECT_CODE(TT_WITHIN(TT_MS(50), tt_process_run(&o, NULL, NULL)), TT_EINVAL);
	o.stdin_to = TT_TO_NULL;
	o.stderr_to = TT_TO_PIPE;
	EXPECT_CODE(TT_WITHIN(TT_MS(50), tt_process_run(&o, &io, NULL)), TT_EINVAL);
	expect_no_children();
}

/* A group is killed with its grandchildren, also after the child itself has ended. */
PROCESS_TEST(groups)
{
	static const char *const scripts[] = { "sleep 1000 & echo up; wait", "sleep 1000 & echo up" };
	char buf[8];

	for (int i = 0; i < 3; i++) {
		tt_process_options o = script(scripts[i > 0]);
		tt_fd *ends[2];
		tt_process *p;

		REQUIRE_OK(tt_pair(ends));
		o.stdout_fd = ends[1];
		o.new_group = true;
		p = started(&o);
		tt_fd_close(ends[1]);
		EXPECT_OK(tt_read_exact(ends[0], buf, 3, NULL));
		if (i > 0)
			EXPECT_OK(expect_status(p, 0));
		if (i < 2)
			EXPECT_OK(tt_process_kill(p, SIGKILL, TT_PROCESS_GROUP));
		else
			tt_process_close(p);
		/* The grandchild held the other end. */
		EXPECT_EQ(TT_WITHIN(TT_SEC(20), tt_read(ends[0], buf, sizeof(buf))), 0);
		if (i < 2)
			tt_process_close(p);
		tt_fd_close(ends[0]);
	}
	{
		tt_process_options o = script("read x");
		tt_process *p;

		o.stdin_to = TT_TO_PIPE;
		p = started(&o);
		EXPECT_CODE(tt_process_kill(p, SIGKILL, TT_PROCESS_GROUP), TT_EINVAL);
		tt_process_close(p);
	}
	expect_no_children();
}

/* ---- what it is given ---- */

/* A program is found by PATH or by path; its environment and folder are those that were asked for. */
PROCESS_TEST(program_environment_and_folder)
{
	static const char *const by_path[] = { "sh", "-c", "echo $0 $A$B", NULL };
	static const char *const from_folder[] = { "./sh", "-c", "pwd", NULL };
	static const char *const env[] = { "A=1", "B=2", NULL };
	tt_process_options o = { .argv = by_path, .envp = env };

	expect_output(o, "sh 12\n");
	setenv("A", "ours", 1);
	o.envp = NULL;
	expect_output(o, "sh ours\n");
	setenv("PATH", "/nowhere:/dev/null:/bin", 1);
	expect_output(o, "sh ours\n");
	unsetenv("PATH");
	expect_output(o, "sh ours\n");
	o = (tt_process_options){ .argv = from_folder, .cwd = "/bin" };
	setenv("PATH", "/usr/bin:/bin", 1);
	{
		char out[64] = "";
		tt_process_io io = { .out = out, .out_max = sizeof(out) - 1 };

		EXPECT_OK(tt_process_run(&o, &io, NULL));
		EXPECT_TRUE(strstr(out, "bin\n") != NULL);
	}
	expect_no_children();
}

/* Streams go to pipes, to /dev/null, to each other, to numbers and to handles. */
PROCESS_TEST(streams)
{
	tt_process_options o = script("echo out; echo err >&2");
	char out[32] = "", err[32] = "";
	tt_process_io io = { .out = out, .err = err, .out_max = 31, .err_max = 31 };
	tt_fd *ends[2];
	int raw[2];

	EXPECT_OK(tt_process_run(&o, &io, NULL));
	EXPECT_STR_EQ(out, "out\n");
	EXPECT_STR_EQ(err, "err\n");
	o.stderr_to = TT_TO_STDOUT;
	expect_output(o, "out\nerr\n");
	o.stderr_to = TT_TO_NULL;
	expect_output(o, "out\n");
	o = script("cat; readlink /proc/self/fd/0");
	o.stdin_to = TT_TO_NULL;
	expect_output(o, "/dev/null\n");
	REQUIRE_EQ(pipe2(raw, O_CLOEXEC), 0);
	o = script("echo by number");
	o.stdout_to = raw[1];
	EXPECT_OK(tt_process_run(&o, NULL, NULL));
	memset(out, 0, sizeof(out));
	EXPECT_EQ(read(raw[0], out, 31), 10);
	close(raw[0]);
	close(raw[1]);
	EXPECT_CODE(tt_process_run(&o, NULL, NULL), TT_EBADF);
	REQUIRE_OK(tt_pair(ends));
	o = script("cat");
	o.stdin_fd = o.stdout_fd = ends[1];
	EXPECT_OK(tt_write_all(ends[0], "echo", 4, NULL));
	EXPECT_OK(tt_fd_shutdown(ends[0], SHUT_WR));
	EXPECT_OK(tt_process_run(&o, NULL, NULL));
	EXPECT_OK(tt_read_exact(ends[0], out, 4, NULL));
	EXPECT_MEM_EQ(out, "echo", 4);
	test_close_pair(ends);
	EXPECT_CODE(tt_process_run(&o, NULL, NULL), TT_EBADF);
	expect_no_children();
}

/* It works where the program itself has no standard streams: numbers 0 to 2 are then ours. */
PROCESS_TEST(without_standard_streams)
{
	tt_process_options o = script("cat; echo err >&2");
	char out[32] = "", err[32] = "";
	tt_process_io io = { .input = "in", .input_n = 2, .out = out, .err = err, .out_max = 31, .err_max = 31 };
	int kept[3], status = -1;

	fflush(stdout);
	for (int i = 0; i < 3; i++) {
		kept[i] = fcntl(i, F_DUPFD_CLOEXEC, 100);
		close(i);
	}
	status = tt_process_run(&o, &io, &status);
	for (int i = 0; i < 3; i++) {
		dup2(kept[i], i);
		close(kept[i]);
	}
	EXPECT_OK(status);
	EXPECT_STR_EQ(out, "in");
	EXPECT_STR_EQ(err, "err\n");
	expect_no_children();
}

/* A child has descriptors 0, 1 and 2 and no others, whoever forgot close-on-exec. */
PROCESS_TEST(inherits_no_descriptors)
{
	int forgotten = open("/dev/null", O_RDONLY), high = fcntl(forgotten, F_DUPFD, 200);

	REQUIRE_TRUE(forgotten >= 0 && high >= 0);
	expect_output(script("i=3; while [ $i -lt 256 ]; do [ -e /proc/$$/fd/$i ] && echo $i; i=$((i+1)); done; true"), "");
	close(forgotten);
	close(high);
	expect_no_children();
}

/* The same where the kernel or a sandbox does not know close_range(). */
PROCESS_TEST(inherits_no_descriptors_without_close_range)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { .len = sizeof(code) / sizeof(code[0]), .filter = code };
	int forgotten = open("/dev/null", O_RDONLY), high = fcntl(forgotten, F_DUPFD, 200);

	REQUIRE_TRUE(forgotten >= 0 && high >= 0);
	REQUIRE_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0)
		tt_test_skip("no seccomp filter here");
	REQUIRE_EQ(syscall(SYS_close_range, 1000, 1000, 0), -1);
	expect_output(script("i=3; while [ $i -lt 256 ]; do [ -e /proc/$$/fd/$i ] && echo $i; i=$((i+1)); done; true"), "");
	close(forgotten);
	close(high);
	expect_no_children();
}

/* ---- a debugger ---- */

/* A process that holds `pid` as its debugger until the pipe is closed; 0 if it may not. */
static pid_t held_by_debugger(int pid, const int until[2])
{
	int told[2], ok = 0;
	pid_t debugger;

	REQUIRE_EQ(pipe2(told, O_CLOEXEC), 0);
	debugger = fork();
	REQUIRE_TRUE(debugger >= 0);
	if (debugger == 0) {
		char c;

		close(until[1]);
		ok = ptrace(PTRACE_SEIZE, pid, 0, 0) == 0;
		TT_IGNORE((int)write(told[1], &ok, sizeof(ok)));
		TT_IGNORE((int)read(until[0], &c, 1));
		_exit(0);
	}
	REQUIRE_EQ(read(told[0], &ok, sizeof(ok)), (ssize_t)sizeof(ok));
	close(told[0]);
	close(told[1]);
	if (!ok)
		waitpid(debugger, NULL, 0);
	return ok ? debugger : 0;
}

static int64_t cpu_ns(void)
{
	struct timespec at;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
	return at.tv_sec * TT_SEC(1) + at.tv_nsec;
}

/* A child that ended and is held by a debugger costs no processor, and its status comes when it is let go. */
PROCESS_TEST(a_debugger_holds_the_remains)
{
	tt_process_options o = script("read x; exit 3");
	tt_process *p;
	int until[2];
	pid_t debugger;
	int64_t before;

	o.stdin_to = TT_TO_PIPE;
	p = started(&o);
	REQUIRE_EQ(pipe2(until, O_CLOEXEC), 0);
	debugger = held_by_debugger(tt_process_pid(p), until);
	if (debugger == 0) {
		tt_process_close(p);
		tt_test_skip("nobody may debug here");
	}
	EXPECT_OK(tt_write_all(tt_process_stdin(p), "\n", 1, NULL));
	before = cpu_ns();
	EXPECT_CODE(TT_WITHIN(TT_MS(400), tt_process_wait(p, NULL)), TT_ETIMEDOUT);
	EXPECT_LT(cpu_ns() - before, TT_MS(100));
	close(until[1]);
	EXPECT_EQ(waitpid(debugger, NULL, 0), debugger);
	EXPECT_OK(expect_status(p, 3));
	tt_process_close(p);
	close(until[0]);
	expect_no_children();
}

/* It blocks no signal, and SIGPIPE ends it, whatever the library does with its own. */
PROCESS_TEST(signals_as_a_program_expects)
{
	char out[512] = "", *line;
	tt_process_io io = { .out = out, .out_max = sizeof(out) - 1 };
	static const char *const argv[] = { "grep", "Sig", "/proc/self/status", NULL };
	tt_process_options o = { .argv = argv };

	signal(SIGPIPE, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	EXPECT_OK(tt_process_run(&o, &io, NULL));
	line = strstr(out, "SigBlk:");
	REQUIRE_TRUE(line != NULL);
	EXPECT_EQ(strtoull(line + 7, NULL, 16), 0);
	line = strstr(out, "SigIgn:");
	REQUIRE_TRUE(line != NULL);
	EXPECT_EQ(strtoull(line + 7, NULL, 16) & (1u << (SIGPIPE - 1) | 1u << (SIGUSR1 - 1)), 1u << (SIGUSR1 - 1));
	expect_no_children();
}

/* ---- failures ---- */

static void expect_chain(int rc, int code, const char *text)
{
	char chain[512];
	tt_error e;

	EXPECT_CODE(rc, code);
	tt_error_take(&e, rc);
	tt_error_text(&e, chain, sizeof(chain));
	if (strstr(chain, text) == NULL)
		EXPECT_STR_EQ(chain, text);
	tt_error_fini(&e);
}

/* What keeps a program from running is an error of the start, with the step that failed. */
PROCESS_TEST(start_failures)
{
	static const char *const none[] = { "/none/such", NULL }, *const nowhere[] = { "none-such-program", NULL };
	static const char *const plain[] = { "/etc/passwd", NULL }, *const empty[] = { NULL };
	const char *text[] = { NULL, NULL };
	char path[] = "/tmp/tutti-process-XXXXXX";
	tt_process_options o = { .argv = none, .stdin_to = TT_TO_PIPE, .stdout_to = TT_TO_PIPE };
	tt_process *p = (tt_process *)8;
	int fd;

	/* A folder that may not be searched would make it EACCES, as execvp(3) has it. */
	setenv("PATH", "/usr/bin:/bin", 1);
	expect_chain(tt_process_start(&o, &p), TT_ENOENT, "\"/none/such\": run the program");
	o.argv = nowhere;
	EXPECT_CODE(tt_process_start(&o, &p), TT_ENOENT);
	o.argv = plain;
	EXPECT_CODE(tt_process_start(&o, &p), TT_EACCES);
	fd = mkstemp(path);
	REQUIRE_TRUE(fd >= 0 && fchmod(fd, 0700) == 0 && write(fd, "no program", 10) == 10);
	close(fd);
	text[0] = path;
	o.argv = text;
	EXPECT_CODE(tt_process_start(&o, &p), -ENOEXEC);
	unlink(path);
	o = script("true");
	o.cwd = "/none";
	expect_chain(tt_process_start(&o, &p), TT_ENOENT, "enter folder \"/none\"");
	o.cwd = NULL;
	o.stdout_to = -7;
	EXPECT_CODE(tt_process_start(&o, &p), TT_EINVAL);
	o.stdout_to = TT_TO_STDOUT;
	EXPECT_CODE(tt_process_start(&o, &p), TT_EINVAL);
	o.stdout_to = 900;
	EXPECT_CODE(tt_process_start(&o, &p), TT_EBADF);
	o.argv = empty;
	EXPECT_CODE(tt_process_start(&o, &p), TT_EINVAL);
	o.argv = NULL;
	EXPECT_CODE(tt_process_start(&o, &p), TT_EINVAL);
	EXPECT_EQ(p, (tt_process *)8);
	expect_no_children();
}

/* At the limit of descriptors no child is started, and none of ours is lost. */
PROCESS_TEST(no_descriptor_is_left)
{
	struct rlimit before, limit;
	tt_process_options o = script("true");
	tt_process *p = NULL;
	int rc = TT_EMFILE, failed = 0;

	/* The pool's thread, and what the first start asks of the kernel, come before. */
	EXPECT_OK(tt_process_run(&o, NULL, NULL));
	o.stdin_to = o.stdout_to = o.stderr_to = TT_TO_PIPE;
	REQUIRE_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
	for (rlim_t n = 3; n < 60 && rc == TT_EMFILE; n++) {
		limit = (struct rlimit){ n, before.rlim_max };
		REQUIRE_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
		rc = tt_process_start(&o, &p);
		REQUIRE_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
		failed += rc == TT_EMFILE;
		if (rc == TT_EMFILE)
			expect_no_children();
	}
	EXPECT_OK(rc);
	EXPECT_GT(failed, 5);
	tt_process_close(p);
	expect_no_children();
}

/* Memory runs out at each allocation of a start in turn: a code, and no child that nobody knows. */
PROCESS_TEST(out_of_memory)
{
	int rc = TT_ENOMEM, failed = 0;

	for (uint64_t n = 1; n < 40 && rc != 0; n++) {
		tt_process_options o = script("read x");
		tt_process *p = NULL;

		o.stdin_to = o.stdout_to = TT_TO_PIPE;
		tt_test_fail_alloc_at(n);
		rc = tt_process_start(&o, &p);
		tt_test_fail_nothing();
		failed += rc == TT_ENOMEM;
		if (rc < 0)
			expect_no_children();
		tt_process_close(p);
	}
	EXPECT_OK(rc);
	EXPECT_GT(failed, 1);
	expect_no_children();
}

/* A kernel without pidfd_open is a clear -ENOSYS. */
PROCESS_TEST(kernel_without_pidfds)
{
	tt_process_options o = script("true");
	tt_process *p = NULL;

	tt_test_fail_syscall_at(2, TT_ENOSYS); /* the first asks for our own number */
	expect_chain(tt_process_start(&o, &p), TT_ENOSYS, "has no pidfd_open");
	tt_test_fail_syscall_at(3, TT_EINVAL);
	expect_chain(tt_process_start(&o, &p), TT_ENOSYS, "no waitid for a pidfd");
	tt_test_fail_nothing();
	EXPECT_OK(tt_process_run(&o, NULL, NULL));
	expect_no_children();
}

/* A simulation runs no program of this machine, and says so. */
TT_TEST_ON(process, not_in_a_simulation, TT_ON_SIM, "the others run in the real world")
{
	tt_process_options o = script("true");
	tt_process *p = NULL;

	expect_chain(tt_process_start(&o, &p), TT_ENOSYS, "a simulation has no programs but those of TT_SIM_PROGRAM()");
}

/* A cancelled start has started nothing; a cancelled wait leaves the child alone. */
PROCESS_TEST(cancelled)
{
	tt_process_options o = script("read x; exit 5");
	tt_process *p = NULL;

	EXPECT_CODE(TT_WITHIN(0, tt_process_start(&o, &p)), TT_ETIMEDOUT);
	EXPECT_EQ(p, NULL);
	expect_no_children();
	o.stdin_to = TT_TO_PIPE;
	p = started(&o);
	EXPECT_CODE(TT_WITHIN(0, tt_process_wait(p, NULL)), TT_ETIMEDOUT);
	EXPECT_CODE(TT_WITHIN(TT_MS(1), tt_process_wait(p, NULL)), TT_ETIMEDOUT);
	tt_fd_close(tt_process_stdin(p));
	EXPECT_OK(expect_status(p, 5));
	tt_process_close(p);
	expect_no_children();
}

/* ---- cut short, by time; everywhere in tests/integration/torture_process_test.c ---- */

typedef int cut_fn(void);

/* Completed wins: a child that was started is returned, though the time was up. */
static int cut_start(void)
{
	tt_process_options o = script("exec sleep 1000");
	tt_process *p = NULL;
	int rc = tt_process_start(&o, &p);

	EXPECT_EQ(p != NULL, rc == 0);
	tt_process_close(p);
	return rc;
}

static int cut_wait(void)
{
	tt_process_options o = script("exit 6");
	tt_process *p = NULL;
	int status = -1000, rc;

	TT_TRY(tt_process_start(&o, &p));
	rc = tt_process_wait(p, &status);
	EXPECT_EQ(status, rc == 0 ? 6 : -1000);
	tt_process_close(p);
	return rc;
}

static int cut_run(void)
{
	tt_process_options o = script("cat; exit 6");
	char out[16] = "";
	tt_process_io io = { .input = "abc", .input_n = 3, .out = out, .out_max = sizeof(out) - 1 };
	int status = -1000, rc = tt_process_run(&o, &io, &status);

	EXPECT_EQ(status, rc == 0 ? 6 : -1000);
	EXPECT_EQ(io.out_n, strlen(out));
	if (rc == 0)
		EXPECT_STR_EQ(out, "abc");
	return rc;
}

static TT_TASK(cut_after, (cut_fn *, fn), (unsigned, us), (unsigned *, ret_cut))
{
	int rc = TT_WITHIN(TT_US(us), fn());

	EXPECT_TRUE(rc == TT_ETIMEDOUT || rc == 0);
	*ret_cut += rc == TT_ETIMEDOUT;
	return 0;
}

static TT_TASK(uncut, (cut_fn *, fn)) { return fn(); }

/* 80 runs, each cut short 40 us later than the one before, four at a time on all workers; then
 * some whose group is cancelled. Nothing is left of any. */
#define TORTURE_CASE(function, fn) \
	PROCESS_TEST(function##_cut_short) \
	{ \
		const tt_child_options anywhere = { .worker = TT_WORKER_ANY }; \
		unsigned cut[80] = { 0 }, n = 0; \
		for (unsigned i = 0; i < 80; i += 4) { \
			TT_GROUP(g); \
			for (unsigned k = i; k < i + 4; k++) \
				tt_go_with(&g, &anywhere, cut_after, fn, k * 40, &cut[k]); \
			EXPECT_OK(tt_group_end(&g, 0)); \
		} \
		for (unsigned i = 0; i < 80; i++) \
			n += cut[i]; \
		EXPECT_GT(n, 0); \
		expect_no_children(); \
		for (unsigned i = 0; i < 10; i++) { \
			TT_GROUP(g); \
			for (unsigned k = 0; k < 4; k++) \
				tt_go_with(&g, &anywhere, uncut, fn); \
			EXPECT_OK(tt_sleep(TT_US(300) * i)); \
			tt_group_cancel(&g); \
			EXPECT_OK(tt_group_end(&g, 0)); \
		} \
		expect_no_children(); \
		tt_test_note("%u of 80 cut short", n); \
	}

TORTURE_CASE(tt_process_start, cut_start)
TORTURE_CASE(tt_process_close, cut_start)
TORTURE_CASE(tt_process_wait, cut_wait)
TORTURE_CASE(tt_process_run, cut_run)

/* ---- run ---- */

/* More input than a pipe holds goes in while the output comes out. */
PROCESS_TEST(run_feeds_and_collects)
{
	static unsigned char in[300000], out[300001];
	tt_process_options o = script("cat; exit 4");
	tt_process_io io = { .input = in, .input_n = sizeof(in), .out = out, .out_max = sizeof(out) };
	int status = -1;

	test_fill(in, 0, sizeof(in));
	EXPECT_OK(tt_process_run(&o, &io, &status));
	EXPECT_EQ(status, 4);
	EXPECT_EQ(io.out_n, sizeof(in));
	EXPECT_TRUE(test_matches(out, 0, sizeof(in)));
	memset(out, 0, sizeof(out));
	io.out_max = 1000;
	EXPECT_OK(tt_process_run(&o, &io, &status));
	EXPECT_EQ(io.out_n, sizeof(in));
	EXPECT_TRUE(test_matches(out, 0, 1000));
	EXPECT_EQ(out[1000], 0);
	expect_no_children();
}

/* A program that does not read its input is no failure. */
PROCESS_TEST(run_without_a_reader)
{
	static char in[300000];
	tt_process_options o = script("exit 9");
	tt_process_io io = { .input = in, .input_n = sizeof(in) };
	int status = -1;

	signal(SIGPIPE, SIG_IGN); /* as tt_main does */
	EXPECT_OK(tt_process_run(&o, &io, &status));
	EXPECT_EQ(status, 9);
	expect_no_children();
}

/* A deadline kills the program; what it had written by then is there. */
PROCESS_TEST(run_within_a_deadline)
{
	tt_process_options o = script("echo early; exec sleep 1000");
	char out[32] = "";
	tt_process_io io = { .out = out, .out_max = sizeof(out) - 1 };
	int status = 77;

	EXPECT_CODE(TT_WITHIN(TT_MS(300), tt_process_run(&o, &io, &status)), TT_ETIMEDOUT);
	EXPECT_EQ(status, 77);
	EXPECT_EQ(io.out_n, 6);
	EXPECT_STR_EQ(out, "early\n");
	expect_no_children();
}

static TT_TASK(run_one, (int, i))
{
	char text[64], out[16] = "";
	tt_process_options o;
	tt_process_io io = { .out = out, .out_max = sizeof(out) - 1 };
	const char *argv[] = { "/bin/sh", "-c", text, NULL };
	int status = -1;

	snprintf(text, sizeof(text), "echo %d; exit %d", i, i % 100);
	o = (tt_process_options){ .argv = argv };
	TT_TRY(tt_process_run(&o, &io, &status));
	EXPECT_EQ(status, i % 100);
	EXPECT_EQ(atoi(out), i);
	return 0;
}

/* 200 children at once, on all workers, and each task hears from its own. */
PROCESS_TEST(two_hundred_at_once)
{
	const tt_child_options anywhere = { .worker = TT_WORKER_ANY };
	int64_t start = tt_now();

	{
		TT_GROUP(g);
		for (int i = 0; i < 200; i++)
			tt_go_with(&g, &anywhere, run_one, i);
		EXPECT_OK(tt_group_end(&g, 0));
	}
	tt_test_note("200 children in %lld ms", (long long)((tt_now() - start) / 1000000));
	expect_no_children();
}

/* How long a start holds its pool thread: the figure in the guide. */
PROCESS_TEST(start_takes)
{
	tt_process_options o = script("exit 0");
	int64_t start, total = 0;

	for (int i = 0; i < 50; i++) {
		tt_process *p;

		start = tt_now();
		p = started(&o);
		total += tt_now() - start;
		tt_process_close(p);
	}
	tt_test_note("a start takes %lld us", (long long)(total / 50000));
	EXPECT_LT(total / 50, TT_MS(200));
	expect_no_children();
}

static void outside_start(void)
{
	tt_process_options o = script("true");
	tt_process *p;

	TT_IGNORE(tt_process_start(&o, &p));
}

/* Outside of tasks a call names itself and aborts. */
TT_TEST_PLAIN(process, outside_of_tasks)
{
	EXPECT_ABORTS(outside_start(), "tt_process_start");
	EXPECT_ABORTS(tt_process_close((tt_process *)8), "tt_process_close: called outside");
}

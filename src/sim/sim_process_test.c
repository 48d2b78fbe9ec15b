/* SPDX-License-Identifier: MIT */
/*
 * sim_process_test.c - child processes of a simulation behave as the kernel's do: streams, exit
 * status, signals, and what is left of them.
 *
 * test-on: sim1 sim4
 */
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

#include "net/process_ops.h"
#include "sim/net.h"

TT_TEST_MAIN()

TT_SIM_PROGRAM(cat)
{
	char buf[64];
	int n;

	while ((n = tt_read(in, buf, sizeof(buf))) > 0)
		TT_TRY(tt_write_all(out, buf, (size_t)n, NULL));
	return n;
}

TT_SIM_PROGRAM(talk)
{
	for (int i = 1; argv[i] != NULL; i++)
		TT_TRY(tt_write_all(i % 2 == 1 ? out : err, argv[i], strlen(argv[i]), NULL));
	return 300 + 7; /* eight bits of it count */
}

/* Ends at once, with its input unread. */
TT_SIM_PROGRAM(deaf) { return 0; }

TT_SIM_PROGRAM(nap) { return tt_sleep(TT_SEC(3600)); }

TT_SIM_PROGRAM(daemon)
{
	tt_sim_catch_sigterm();
	while (!tt_stopping())
		TT_TRY(tt_sleep(TT_MS(1)));
	return 4;
}

static tt_process_options program(const char *const *argv)
{
	return (tt_process_options){ .argv = argv, .stdin_to = TT_TO_PIPE, .stdout_to = TT_TO_PIPE };
}

static tt_process *started(const tt_process_options *o)
{
	tt_process *p = NULL;

	REQUIRE_OK(tt_process_start(o, &p));
	return p;
}

/* What is fed comes out, and the end of the input is the end of the child. */
TT_TEST(sim_process, feeds_and_collects)
{
	static const char *const argv[] = { "/usr/bin/cat", NULL };
	static char input[5000], output[6000];
	tt_process_io io = {
		.input = input, .input_n = sizeof(input), .out = output, .out_max = sizeof(output),
	};
	tt_process_options o = { .argv = argv };
	int status = -1;

	for (size_t i = 0; i < sizeof(input); i++)
		input[i] = (char)(i * 7);
	EXPECT_OK(tt_process_run(&o, &io, &status));
	EXPECT_EQ(status, 0);
	EXPECT_EQ(io.out_n, sizeof(input));
	EXPECT_MEM_EQ(input, output, sizeof(input));
}

/* Two streams are kept apart, or are one, and the exit status has eight bits. */
TT_TEST(sim_process, streams_and_status)
{
	static const char *const argv[] = { "talk", "out", "err", NULL };
	char out[16] = "", err[16] = "";
	tt_process_io io = { .out = out, .err = err, .out_max = 15, .err_max = 15 };
	tt_process_options o = { .argv = argv };
	int status = -1;

	EXPECT_OK(tt_process_run(&o, &io, &status));
	EXPECT_EQ(status, (300 + 7) & 0xff);
	EXPECT_STR_EQ(out, "out");
	EXPECT_STR_EQ(err, "err");
	io.err = NULL;
	o.stderr_to = TT_TO_STDOUT;
	memset(out, 0, sizeof(out));
	EXPECT_OK(tt_process_run(&o, &io, &status));
	EXPECT_STR_EQ(out, "outerr");
}

/* What there is no room for is read all the same, and dropped: the program is not held up. */
TT_TEST(sim_process, a_program_may_write_more_than_there_is_room_for)
{
	static const char *const argv[] = { "talk", "output", "errors", NULL };
	char out[3] = "", err[16] = "";
	tt_process_io io = { .out = out, .err = err, .out_max = 2, .err_max = 15 };
	tt_process_options o = { .argv = argv };
	int status = -1;

	EXPECT_OK(tt_process_run(&o, &io, &status));
	EXPECT_EQ(status, (300 + 7) & 0xff);
	EXPECT_EQ(io.out_n, 6u);
	EXPECT_STR_EQ(out, "ou");
	EXPECT_STR_EQ(err, "errors");
}

/* A descriptor given by its handle is the child's too, and stays ours. */
TT_TEST(sim_process, a_handle_as_a_stream)
{
	static const char *const argv[] = { "cat", NULL };
	tt_process_options o = { .argv = argv };
	char back[4];
	tt_fd *ends[2];

	REQUIRE_OK(tt_pair(ends));
	o.stdin_fd = o.stdout_fd = ends[1];
	EXPECT_OK(tt_write_all(ends[0], "echo", 4, NULL));
	EXPECT_OK(tt_fd_shutdown(ends[0], SHUT_WR));
	EXPECT_OK(tt_process_run(&o, NULL, NULL));
	EXPECT_OK(tt_read_exact(ends[0], back, 4, NULL));
	EXPECT_MEM_EQ(back, "echo", 4);
	tt_fd_close(ends[0]);
	tt_fd_close(ends[1]);
}

/* A program that does not want its input has a right to: its pipe breaks as pipes do. */
TT_TEST(sim_process, an_unread_pipe_breaks_as_a_pipe)
{
	static const char *const argv[] = { "deaf", NULL };
	static char input[300000];
	tt_process_io io = { .input = input, .input_n = sizeof(input) };
	tt_process_options o = { .argv = argv };
	int status = -1;

	EXPECT_OK(tt_process_run(&o, &io, &status));
	EXPECT_EQ(status, 0);
}

/* A signal ends it, and is its status; the catcher is only asked; SIGKILL ends both. */
TT_TEST(sim_process, signals)
{
	/* law 1 */
	static const char *const nap[] = { "nap", NULL }, *const daemon[] = { "daemon", NULL };
	tt_process_options o = program(nap);
	tt_process *p = started(&o);
	int status = 0;

	EXPECT_GT(tt_process_pid(p), 0);
	EXPECT_OK(tt_process_kill(p, 0, TT_PROCESS_ALONE));
	EXPECT_CODE(tt_process_kill(p, 1000, TT_PROCESS_ALONE), TT_EINVAL);
	EXPECT_CODE(TT_WITHIN(TT_SEC(1), tt_process_wait(p, &status)), TT_ETIMEDOUT);
	EXPECT_OK(tt_process_kill(p, SIGTERM, TT_PROCESS_ALONE));
	EXPECT_OK(tt_process_wait(p, &status));
	EXPECT_EQ(status, -SIGTERM);
	EXPECT_CODE(tt_process_kill(p, SIGTERM, TT_PROCESS_ALONE), -ESRCH);
	EXPECT_OK(tt_process_wait(p, NULL));
	tt_process_close(p);
	for (int sig = SIGTERM; sig != 0; sig = sig == SIGTERM ? SIGKILL : 0) {
		o = program(daemon);
		o.new_group = true;
		p = started(&o);
		EXPECT_CODE(TT_WITHIN(TT_SEC(1), tt_process_wait(p, NULL)), TT_ETIMEDOUT);
		EXPECT_OK(tt_process_kill(p, sig, TT_PROCESS_GROUP));
		EXPECT_OK(tt_process_wait(p, &status));
		EXPECT_EQ(status, sig == SIGTERM ? 4 : -SIGKILL);
		tt_process_close(p);
	}
}

/* Closing ends what still runs, and leaves neither a task nor a descriptor. */
TT_TEST(sim_process, close_leaves_nothing)
{
	static const char *const nap[] = { "nap", NULL };
	tt_process_options o = program(nap);

	for (int i = 0; i < 10; i++)
		tt_process_close(started(&o));
	EXPECT_TASKS_ALIVE(1);
}

/* Its end is an arm of select. */
TT_TEST(sim_process, select_arm)
{
	static const char *const argv[] = { "deaf", NULL };
	tt_process_options o = program(argv);
	tt_process *p = started(&o);
	int status = -1;

	EXPECT_EQ(tt_select(TT_ON_PROCESS(p, &status), TT_ON_TIMEOUT(TT_SEC(100))), 0);
	EXPECT_EQ(status, 0);
	tt_process_close(p);
}

/* A select that gives up leaves nothing under way: the next one is told of the end. */
TT_TEST(sim_process, a_select_gives_up_on_the_end)
{
	/* law 4 */
	static const char *const argv[] = { "nap", NULL };
	tt_process_options o = program(argv);
	tt_process *p = started(&o);
	int status = 0;

	for (int i = 0; i < 10; i++)
		EXPECT_EQ(tt_select(TT_ON_PROCESS(p, &status), TT_ON_TIMEOUT(TT_MS(1))), 1);
	EXPECT_EQ(status, 0);
	EXPECT_OK(tt_process_kill(p, SIGKILL, TT_PROCESS_ALONE));
	EXPECT_EQ(tt_select(TT_ON_PROCESS(p, &status), TT_ON_TIMEOUT(TT_SEC(100))), 0);
	EXPECT_EQ(status, -SIGKILL);
	tt_process_close(p);
	EXPECT_TASKS_ALIVE(1);
}

static TT_TASK(is_told, (tt_process *, p), (int *, ret_told))
{
	int status = 0, rc = tt_process_wait(p, &status);

	if (rc == 0) {
		EXPECT_EQ(status, -SIGKILL);
		++*ret_told;
		return 0;
	}
	EXPECT_CODE(rc, TT_EBADF);
	return 0;
}

static int close_under_waiters(int *ret_told)
{
	static const char *const argv[] = { "nap", NULL };
	tt_process_options o = program(argv);
	tt_process *p = started(&o);

	TT_GROUP(g);
	for (int i = 0; i < 8; i++)
		tt_go_with(&g, &(tt_child_options){ .worker = TT_WORKER_ANY }, is_told, p, ret_told);
	TT_TRY_IN(&g, tt_test_wait_all_parked());
	tt_process_close(p);
	return tt_group_end(&g, 0);
}

/* Who waits for the end of a process that is closed hears how it ended, or that it is closed, also
 * when the close was faster and has taken the status from the kernel. */
TT_TEST(sim_process, a_close_keeps_the_status_for_who_waits)
{
	/* laws 5, 10 */
	int told = 0;

	for (int i = 0; i < 20; i++)
		EXPECT_OK(close_under_waiters(&told));
	EXPECT_GT(told, 0);
	EXPECT_TASKS_ALIVE(1);
}

/* What cannot be started says so, as with the kernel. */
TT_TEST(sim_process, start_failures)
{
	static const char *const unknown[] = { "unknown", NULL }, *const cat[] = { "cat", NULL };
	tt_process_options o = program(unknown);
	tt_process *p = (tt_process *)8;

	EXPECT_CODE(tt_process_start(&o, &p), TT_ENOENT);
	o = program(cat);
	o.stdin_to = 900;
	EXPECT_CODE(tt_process_start(&o, &p), TT_EBADF);
	EXPECT_EQ(p, (tt_process *)8);
}

/* At the limit of descriptors none is started, and none of ours is lost. */
static TT_TASK(few_descriptors)
{
	static const char *const argv[] = { "cat", NULL };
	tt_process_options o = program(argv);
	tt_process *p = NULL;
	int rc;

	o.stderr_to = TT_TO_PIPE;
	rc = tt_process_start(&o, &p);
	if (rc == 0)
		tt_process_close(p);
	return rc;
}

TT_TEST_PLAIN(sim_process, no_descriptor_is_left)
{
	for (unsigned n = 1; n <= 7; n++) {
		tt_sim_options o = { .seed = n, .max_fds = 3 + n };

		EXPECT_CODE(tt_sim_run_with(&o, few_descriptors), n < 7 ? TT_EMFILE : 0);
	}
}

/* The n-th allocation of a start is refused; the child itself, were it started, would read or end at once. */
static TT_TASK(starts_without_memory, (const char *, name), (uint64_t, n), (int *, failed))
{
	const char *const argv[] = { name, NULL };
	tt_process_options o = program(argv);
	tt_process *p = NULL;
	int rc;

	tt_test_fail_alloc_at(n);
	rc = tt_process_start(&o, &p);
	tt_test_fail_nothing();
	*failed += rc < 0;
	EXPECT_TRUE(rc == 0 || rc == TT_ENOMEM);
	EXPECT_EQ(p != NULL, rc == 0);
	tt_process_close(p);
	EXPECT_TASKS_ALIVE(1);
	return 0;
}

/* Memory runs out at each step: a child whose handles could not be made is ended, once, also when it
 * ends by itself meanwhile. */
TT_TEST_PLAIN(sim_process, without_memory_none_is_left)
{
	/* law 1 */
	int failed = 0;

	for (uint64_t seed = 1; seed <= 20; seed++) {
		for (uint64_t n = 1; n < 30; n++) {
			tt_sim_options o = { .seed = seed };

			EXPECT_OK(tt_sim_run_with(&o, starts_without_memory, "cat", n, &failed));
			EXPECT_OK(tt_sim_run_with(&o, starts_without_memory, "deaf", n, &failed));
		}
	}
	EXPECT_GT(failed, 1);
}

/* A child that has ended, and whose last descriptor was closed before anybody took it away. */
static TT_TASK(leaves_a_zombie)
{
	static const char *const argv[] = { "deaf", NULL };
	struct tti_process_start s = {
		.spawn = { .argv = argv }, .to = { TT_TO_NULL, TT_TO_NULL, TT_TO_NULL }, .our_ends = { -1, -1, -1 }, .pidfd = -1,
	};

	TT_TRY(tti_sim_process_ops.start(&s));
	tti_sim_close(tti_sim_here, s.pidfd);
	return tt_sleep(TT_SEC(1));
}

TT_TEST_PLAIN(sim_process, a_child_that_nobody_takes_away_fails_the_run)
{
	EXPECT_ABORTS(tt_sim_run(1, leaves_a_zombie), "1 children are left");
}

/* Only a simulated child has signals to catch. */
TT_TEST(sim_process, catching_elsewhere_aborts)
{
	EXPECT_ABORTS(tt_sim_catch_sigterm(), "tt_sim_catch_sigterm: called outside a TT_SIM_PROGRAM()");
}

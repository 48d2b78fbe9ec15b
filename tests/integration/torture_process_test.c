/* SPDX-License-Identifier: MIT */
/*
 * torture_process_test.c - child processes, cut short everywhere they can be; see torture_test.c.
 * Real ones are cut by time in src/net/process_test.c.
 *
 * Conserved after every run: children (none runs, none is a zombie), descriptors, and the bytes that a
 * child was fed and gave back, when it was not cut short. On real workers (oom_process_test.c) they are
 * the machine's programs of these names.
 *
 * test-on: sim2
 * test-timeout: 600
 */
#include <signal.h>

#include "torture_kit.h"

TT_TEST_MAIN()

TT_SIM_PROGRAM(cat)
{
	char buf[16];
	int n;

	while ((n = tt_read(in, buf, sizeof(buf))) > 0)
		TT_TRY(tt_write_all(out, buf, (size_t)n, NULL));
	return n;
}

TT_SIM_PROGRAM(sleep) { return tt_sleep(TT_MS(20)); }

static const char *const cat[] = { "cat", NULL }, *const nap[] = { "sleep", "0.02", NULL };

/* Two children that talk to each other through us. */
static TT_TASK(start_two, (struct ledger *, l))
{
	tt_process_options o = { .argv = cat, .stdin_to = TT_TO_PIPE, .stdout_to = TT_TO_PIPE };
	tt_process *a = NULL, *b = NULL;
	char back[8];
	int rc;

	(void)l;
	rc = tt_process_start(&o, &a);
	if (rc == 0)
		rc = tt_process_start(&o, &b);
	if (rc == 0)
		rc = tt_write_all(tt_process_stdin(a), "through", 7, NULL);
	if (rc == 0)
		rc = tt_read_exact(tt_process_stdout(a), back, 7, NULL);
	if (rc == 0)
		rc = tt_write_all(tt_process_stdin(b), back, 7, NULL);
	if (rc == 0)
		rc = tt_read_exact(tt_process_stdout(b), back, 7, NULL);
	if (rc == 0)
		EXPECT_MEM_EQ(back, "through", 7);
	tt_process_close(a);
	tt_process_close(b);
	return rc;
}

static TT_TASK(wait_too, (tt_process *, p)) { return tt_process_wait(p, NULL); }

/* Several wait for one; it ends, or is ended. */
static TT_TASK(wait_many, (struct ledger *, l))
{
	tt_process_options o = { .argv = nap };
	tt_process *p = NULL;
	int status = 0, rc;

	(void)l;
	TT_TRY(tt_process_start(&o, &p));
	{
		TT_GROUP(g);
		tt_go_with(&g, &anywhere, wait_too, p);
		tt_go(&g, wait_too, p);
		rc = tt_process_wait(p, &status);
		if (rc == 0)
			EXPECT_EQ(status, 0);
		rc = tt_group_end(&g, rc);
	}
	tt_process_close(p);
	return rc;
}

/* A write that is refused as by a program that does not want its input is none that failed. */
static bool was_fed(const tt_process_io *io)
{
#ifdef TORTURE_FAILURES
	return io->out_n != 0;
#else
	(void)io;
	return true;
#endif
}

static TT_TASK(run_one, (struct ledger *, l))
{
	tt_process_options o = { .argv = cat };
	char out[64];
	tt_process_io io = { .input = "fed and given back", .input_n = 18, .out = out, .out_max = sizeof(out) };
	int status = -1, rc;

	rc = tt_process_run(&o, &io, &status);
	if (rc == 0) {
		l->sent = was_fed(&io) ? io.input_n : 0;
		l->received = io.out_n;
		EXPECT_MEM_EQ(out, io.input, io.out_n);
		EXPECT_EQ(status, 0);
	}
	return rc;
}

TORTURE(tt_process_start, start_two)
TORTURE(tt_process_wait, wait_many)
TORTURE(tt_process_close, wait_many)
TORTURE(tt_process_run, run_one)

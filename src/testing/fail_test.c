/* SPDX-License-Identifier: MIT */
/*
 * fail_test.c - torture by failure finds what it is for: scenarios with one mistake each, which it has to
 * name, and sound ones, whose places it has to count.
 *
 * test-on: sim2 epoll2
 * test-timeout: 300
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

#include "env/env.h"
#include "testing/fail.h"
#include "testing/stderr_testkit.h"

/* What a torture that is meant to fail says; its failures are not this test's. */
struct trial {
	struct tti_test_shared shared;
	struct tti_test_shared *before;
	struct stderr_capture capture;
};

static void trial_begin(struct trial *t)
{
	memset(&t->shared, 0, sizeof(t->shared));
	t->before = tti_test_shared;
	tti_test_shared = &t->shared;
	t->capture = stderr_capture_begin();
}

static const char *trial_end(struct trial *t)
{
	tti_test_shared = t->before;
	return stderr_capture_end(&t->capture);
}

/* Runs the torture; on real workers with a short time limit. */
#define SAYS(text, torture) \
	{ \
		struct trial trial; \
		const char *said; \
		intptr_t rc; \
		tti_failing_time_limit = TT_SEC(2); \
		trial_begin(&trial); \
		rc = (torture); \
		said = trial_end(&trial); \
		EXPECT_EQ(rc, 1); \
		if (!EXPECT_TRUE(strstr(said, text) != NULL)) \
			tt_test_note("it said: %.600s", said); \
	}

/* ---- memory ---- */

/* Three allocations; the mistake is in the way out after the third. */
static int three(bool leaks)
{
	void *p[3] = { NULL, NULL, NULL };
	int rc = 0;

	for (int i = 0; i < 3 && rc == 0; i++) {
		p[i] = tti_env_alloc(64);
		if (p[i] == NULL)
			rc = TT_ENOMEM;
	}
	tti_env_free(p[0]);
	if (rc == 0 || !leaks || p[1] == NULL)
		tti_env_free(p[1]);
	tti_env_free(p[2]);
	return rc;
}

static TT_TASK(takes_three)
{
	return three(false);
}

static TT_TASK(leaks_one)
{
	return three(true);
}

/* Each alone and each with all that follow: six runs, and all of them fail. */
TT_TEST_PLAIN(fail, every_allocation_is_refused_once_and_for_good)
{
	tt_torture_options o = { .workers = 1 };
	tt_torture_result r;

	EXPECT_EQ(TT_ALLOC_TORTURE(&o, &r, takes_three), 0);
	EXPECT_EQ(r.runs, 2 * r.places);
	if (tt_test_on() == TT_ON_SIM) {
		EXPECT_EQ(r.places, 3);
		EXPECT_EQ(r.cut, 6);
	} else {
		EXPECT_GT(r.places, 3); /* and those of the runtime itself */
		EXPECT_GE(r.cut, 6);
	}
}

TT_TEST_PLAIN(fail, memory_that_is_kept_after_a_refusal_is_found)
{
	tt_torture_options o = { .workers = 1 };

	SAYS("1 allocations and 0 mapped bytes are left", TT_ALLOC_TORTURE(&o, NULL, leaks_one));
}

static TT_TASK(hides_the_cause)
{
	return three(false) < 0 ? tt_fail(TT_EINVAL, "no idea why") : 0;
}

static TT_TASK(keeps_the_cause)
{
	return tt_wrap(three(false), "three");
}

TT_TEST_PLAIN(fail, a_code_that_does_not_say_what_was_refused_is_found)
{
	tt_torture_options o = { .workers = 1 };

	SAYS("EINVAL), whose chain does not say why", TT_ALLOC_TORTURE(&o, NULL, hides_the_cause));
	EXPECT_EQ(TT_ALLOC_TORTURE(&o, NULL, keeps_the_cause), 0);
	o.code = TT_EINVAL;
	EXPECT_EQ(TT_ALLOC_TORTURE(&o, NULL, hides_the_cause), 0);
}

static unsigned checks, bad;

static void count_checks(void *context, int rc)
{
	(void)context;
	checks++;
	bad += rc < 0 && rc != TT_ENOMEM;
}

TT_TEST_PLAIN(fail, every_run_is_checked)
{
	tt_torture_options o = { .workers = 1, .check = count_checks };
	tt_torture_result r;

	if (tt_test_on() != TT_ON_SIM)
		tt_test_skip("there the check is asked in the process of the run");
	EXPECT_EQ(TT_ALLOC_TORTURE(&o, &r, takes_three), 0);
	EXPECT_EQ(checks, r.runs + 2);
	EXPECT_EQ(bad, 0);
}

static TT_TASK(takes_one_unseen)
{
	void *p;

	tt_test_torture_hold(true);
	p = tti_env_alloc(64);
	tt_test_torture_hold(false);
	EXPECT_TRUE(p != NULL);
	tti_env_free(p);
	return three(false);
}

TT_TEST_PLAIN(fail, what_is_held_is_not_refused)
{
	tt_torture_options o = { .workers = 1 };
	tt_torture_result r;

	EXPECT_EQ(TT_ALLOC_TORTURE(&o, &r, takes_one_unseen), 0);
	if (tt_test_on() == TT_ON_SIM)
		EXPECT_EQ(r.places, 3);
}

/* Has two places, and one from its third run on: the second is counted and not found again. */
static TT_TASK(has_less_and_less, (unsigned *, runs))
{
	void *p;

	for (unsigned i = (*runs)++ < 2 ? 0 : 1; i < 2; i++) {
		TT_TRY(tt_yield());
		p = tti_env_alloc(64);
		if (p == NULL)
			return TT_ENOMEM;
		tti_env_free(p);
	}
	return 0;
}

/* A place that was counted and is not met again was not looked at: that is no pass. */
TT_TEST_PLAIN(fail, a_scenario_that_is_not_the_same_twice_is_found)
{
	tt_torture_options o = { .workers = 1 };
	unsigned runs = 0;

	if (tt_test_on() != TT_ON_SIM)
		tt_test_skip("no two real runs have the same places");
	SAYS("place 2, not reached, seed 0x0: the scenario is not the same twice",
	     TT_ALLOC_TORTURE(&o, NULL, has_less_and_less, &runs));
	runs = 1;
	SAYS("is not reached, of", TT_CANCEL_TORTURE(&o, NULL, has_less_and_less, &runs));
}

static TT_TASK(takes_many)
{
	for (unsigned i = 0; i <= TTI_FAIL_PLACES_MAX; i++)
		tti_env_free(tti_env_alloc(64));
	return 0;
}

/* So is a place beyond those that the record has room for. */
TT_TEST_PLAIN(fail, more_places_than_are_looked_at_are_told)
{
	tt_torture_options o = { .workers = 1, .sample = 1 };

	if (tt_test_on() != TT_ON_SIM)
		tt_test_skip("there a sample of the places is taken");
	SAYS("takes_many has 65537 places", TT_ALLOC_TORTURE(&o, NULL, takes_many));
}

/* Four seeds with a quarter each: every place once. */
TT_TEST_PLAIN(fail, samples_of_seeds_in_a_row_are_all_places)
{
	tt_torture_options o = { .workers = 1 };
	tt_torture_result all, part;
	uint64_t sum = 0;

	if (tt_test_on() != TT_ON_SIM)
		tt_test_skip("no two real runs have the same places");
	EXPECT_EQ(TT_ALLOC_TORTURE(&o, &all, takes_three), 0);
	o.sample = 25;
	for (o.seed = 0; o.seed < 4; o.seed++) {
		EXPECT_EQ(TT_ALLOC_TORTURE(&o, &part, takes_three), 0);
		EXPECT_LT(part.runs, all.runs);
		sum += part.runs;
	}
	EXPECT_EQ(sum, all.runs);
}

/* ---- calls ---- */

/* A pair, a byte through it. The mistake: a failed write leaves one end open, or is not noticed by
 * who waits for the byte. */
static int byte_through(tt_fd *ends[2], bool waits_anyway)
{
	char c = 'x';
	int rc = tt_write_all(ends[0], &c, 1, NULL);

	if (rc < 0 && !waits_anyway)
		return rc;
	return tt_read_exact(ends[1], &c, 1, NULL);
}

static TT_TASK(sends_a_byte)
{
	tt_fd *ends[2];
	int rc;

	TT_TRY(tt_pair(ends));
	rc = byte_through(ends, false);
	tt_fd_close(ends[0]);
	tt_fd_close(ends[1]);
	return rc;
}

static TT_TASK(waits_in_vain)
{
	tt_fd *ends[2];
	int rc;

	TT_TRY(tt_pair(ends));
	rc = byte_through(ends, true);
	tt_fd_close(ends[0]);
	tt_fd_close(ends[1]);
	return rc;
}

static TT_TASK(leaves_one_open)
{
	tt_fd *ends[2];
	int rc;

	TT_TRY(tt_pair(ends));
	rc = byte_through(ends, false);
	tt_fd_close(ends[0]);
	if (rc >= 0)
		tt_fd_close(ends[1]);
	return rc;
}

TT_TEST_PLAIN(fail, every_call_is_refused_with_every_code)
{
	tt_torture_options o = { .workers = 1 };
	tt_torture_result r;

	EXPECT_EQ(TT_SYSCALL_TORTURE(&o, &r, sends_a_byte), 0);
	EXPECT_GE(r.places, 5);
	EXPECT_GT(r.runs, r.places);
	EXPECT_GT(r.cut, 4);
}

static unsigned shorts;

/* Takes what a call gives, and counts the calls that gave less. */
static TT_TASK(counts_short_calls)
{
	char there[4] = "tutt", back[4];
	tt_fd *ends[2];
	int n, rc = 0;

	TT_TRY(tt_pair(ends));
	for (size_t sent = 0; sent < sizeof(there) && rc == 0; sent += n > 0 ? (size_t)n : 0) {
		n = tt_write(ends[0], there + sent, sizeof(there) - sent);
		shorts += n == 1;
		rc = n < 0 ? n : 0;
	}
	for (size_t got = 0; got < sizeof(back) && rc == 0; got += n > 0 ? (size_t)n : 0) {
		n = tt_read(ends[1], back, sizeof(back) - got);
		shorts += n == 1;
		rc = n < 0 ? n : 0;
	}
	tt_fd_close(ends[0]);
	tt_fd_close(ends[1]);
	return rc;
}

TT_TEST_PLAIN(fail, a_transfer_also_moves_one_byte_alone)
{
	tt_torture_options o = { .workers = 1 };

	if (tt_test_on() != TT_ON_SIM)
		tt_test_skip("there a run counts in a process of its own");
	EXPECT_EQ(TT_SYSCALL_TORTURE(&o, NULL, counts_short_calls), 0);
	EXPECT_GE(shorts, 2); /* a write and a read */
}

/* In the simulator a mistake that leaves something behind ends the process, with the line that repeats it. */
TT_TEST_PLAIN(fail, a_descriptor_that_is_kept_after_a_refusal_is_found)
{
	tt_torture_options o = { .workers = 1 };

	if (tt_test_on() == TT_ON_SIM)
		EXPECT_ABORTS(TT_SYSCALL_TORTURE(&o, NULL, leaves_one_open), "1 descriptors are left open");
	else
		SAYS("1 descriptors were not closed", TT_SYSCALL_TORTURE(&o, NULL, leaves_one_open));
}

static TT_TASK(leaves_a_child)
{
	tt_fd *ends[2];
	int rc = tt_pair(ends);

	if (rc == 0) {
		tt_fd_close(ends[0]);
		tt_fd_close(ends[1]);
	} else if (fork() == 0) {
		_exit(0);
	}
	return rc;
}

TT_TEST_PLAIN(fail, a_child_that_is_kept_after_a_refusal_is_found)
{
	tt_torture_options o = { .workers = 1 };

	if (tt_test_on() == TT_ON_SIM)
		tt_test_skip("children of the machine; sim_process_test has the simulator's");
	SAYS("child processes are left", TT_SYSCALL_TORTURE(&o, NULL, leaves_a_child));
}

/* The runs' folders are made in TMPDIR, however long its name is. */
TT_TEST_PLAIN(fail, a_long_tmpdir_is_taken_whole)
{
	char tmp[] = "/tmp/tutti-fail-of-a-user-whose-folders-have-long-names-XXXXXX";
	const char *before = getenv("TMPDIR");
	tt_torture_options o = { .workers = 1 };

	if (tt_test_on() == TT_ON_SIM)
		tt_test_skip("the simulator has folders of its own");
	REQUIRE_TRUE(mkdtemp(tmp) != NULL);
	setenv("TMPDIR", tmp, 1);
	EXPECT_EQ(TT_ALLOC_TORTURE(&o, NULL, takes_three), 0);
	REQUIRE_EQ(rmdir(tmp), 0); /* and nothing is left in it */
	EXPECT_ABORTS(TT_ALLOC_TORTURE(&o, NULL, takes_three), tmp);
	if (before != NULL)
		setenv("TMPDIR", before, 1);
	else
		unsetenv("TMPDIR");
}

TT_TEST_PLAIN(fail, a_wait_for_what_was_refused_is_named)
{
	tt_torture_options o = { .workers = 1 };

	if (tt_test_on() == TT_ON_SIM)
		EXPECT_ABORTS(TT_SYSCALL_TORTURE(&o, NULL, waits_in_vain), "deadlock");
	else
		SAYS("fails with EPIPE: it hangs", TT_SYSCALL_TORTURE(&o, NULL, waits_in_vain));
}

static TT_TASK(hears_of_interruptions)
{
	/* The library's own calls try again; this one does not. */
	long rc = tti_env_syscall(SYS_openat, AT_FDCWD, (long)"/dev/null", O_RDONLY | O_CLOEXEC, 0, 0, 0);

	if (rc >= 0)
		TT_IGNORE((int)tti_env_syscall(SYS_close, rc, 0, 0, 0, 0, 0));
	return rc < 0 ? (int)rc : 0;
}

TT_TEST_PLAIN(fail, an_interrupted_call_that_is_heard_of_is_found)
{
	tt_torture_options o = { .workers = 1 };

	if (tt_test_on() == TT_ON_SIM)
		tt_test_skip("the simulator has no such system call");
	SAYS("EINTR), whose chain does not say why", TT_SYSCALL_TORTURE(&o, NULL, hears_of_interruptions));
}

/* ---- refusals and cancels, cancels and cancels ---- */

static TT_TASK(yields_and_allocates)
{
	TT_TRY(tt_yield());
	TT_TRY(tt_yield());
	TT_TRY(three(false));
	TT_TRY(tt_yield());
	return tt_yield();
}

/* Its cleanup takes a while. */
static TT_TASK(yields_and_cleans_up)
{
	int rc = tt_yield();

	TT_IGNORE(TT_SHIELDED(TT_SEC(1), tt_yield()));
	TT_IGNORE(TT_SHIELDED(TT_SEC(1), tt_yield()));
	return rc;
}

TT_TEST_PLAIN(fail, pairs_meet_every_refusal_with_every_cancel)
{
	tt_torture_options o = { .workers = 1 };
	tt_torture_result one, two;

	if (tt_test_on() != TT_ON_SIM)
		tt_test_skip("cancels strike in the simulator");
	EXPECT_EQ(TT_ALLOC_TORTURE(&o, &one, yields_and_allocates), 0);
	o.pairs = true;
	EXPECT_EQ(TT_ALLOC_TORTURE(&o, &two, yields_and_allocates), 0);
	EXPECT_EQ(one.runs, 6);
	EXPECT_GE(two.runs, 6 + 3 * 3); /* each with each cancel that does not keep it from being reached */
	EXPECT_EQ(two.cut, two.runs);
	o.pairs = false;
	EXPECT_EQ(TT_CANCEL_TORTURE(&o, &one, yields_and_cleans_up), 0);
	o.pairs = true;
	EXPECT_EQ(TT_CANCEL_TORTURE(&o, &two, yields_and_cleans_up), 0);
	EXPECT_GT(two.runs, one.runs);
}

/* ---- a whole runtime, by hand ---- */

static TT_TASK(nothing)
{
	return 0;
}

/* On a plain thread: what a runtime that is started there asks for, on all its threads. */
TT_TEST_PLAIN(fail, a_runtime_without_memory_does_not_start_and_says_so)
{
	/* perhaps law 7 */
	tt_main_options o = { .workers = 4, .io = TT_IO_EPOLL };
	struct stderr_capture c;
	uint64_t allocs;
	int status;

	tt_test_fail_alloc_at(UINT64_MAX);
	EXPECT_EQ(tt_main_with(&o, nothing), 0);
	allocs = tt_test_allocs();
	EXPECT_GT(allocs, 4 * 64); /* each worker has its reserve */
	c = stderr_capture_begin();
	tt_test_fail_alloc_after(allocs / 2);
	status = tt_main_with(&o, nothing);
	tt_test_fail_nothing();
	EXPECT_TRUE(strstr(stderr_capture_end(&c), "cannot start a runtime of 4 workers") != NULL);
	EXPECT_EQ(status, 1);
	EXPECT_EQ(tt_main_with(&o, nothing), 0);
}

TT_TEST_MAIN()

/* SPDX-License-Identifier: MIT */
/*
 * 09b_files.c - a state file that is never half written, a log that is followed, and a helper
 * program: what a daemon does with the system it runs on.
 * Nothing of it holds a worker, and a call that is cut short has had no effect.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include <tutti/tutti.h>

/* The file goes, whatever has become of us. */
static void remove_file(const char *path)
{
	TT_IGNORE(TT_SHIELDED(TT_SEC(1), tt_file_remove(path)));
}

/* Success: who reads the file finds one state or the other, never a part. */
static int keep_state(void)
{
	char path[64], state[32];
	int n;

	snprintf(path, sizeof(path), "/tmp/tutti-example-%d.state", (int)getpid());
	TT_DEFER(remove_file, path);
	TT_TRY(tt_file_replace(path, "visits 41", 9));
	TT_TRY(tt_file_replace(path, "visits 42", 9));
	n = tt_file_read_all(path, state, sizeof(state));
	printf("state: %.*s\n", n > 0 ? n : 0, state);
	return n < 0 ? n : 0;
}

/* Prints what is appended to the log until it has so many bytes. */
TT_TASK(follow, (tt_fd *, log), (uint64_t, end))
{
	char text[64];
	int n;

	for (uint64_t at = 0; at < end; at += (unsigned)n) {
		TT_TRY(tt_file_wait_growth(log, at));
		TT_TRY(n = tt_file_pread(log, text, sizeof(text), at));
		printf("%.*s", n, text);
	}
	return 0;
}

static int write_and_follow(tt_fd *log)
{
	TT_GROUP(g);
	tt_go(&g, follow, log, (uint64_t)24);
	TT_TRY_IN(&g, tt_write_all(log, "log: line 1\n", 12, NULL));
	TT_TRY_IN(&g, tt_sleep(TT_MS(2)));
	return tt_group_end(&g, tt_write_all(log, "log: line 2\n", 12, NULL));
}

/* Cancellation: the wait for more ends with its time. */
static int follow_log(void)
{
	char path[64];
	tt_fd *log;
	int rc;

	snprintf(path, sizeof(path), "/tmp/tutti-example-%d.log", (int)getpid());
	TT_DEFER(remove_file, path);
	TT_TRY(tt_file_open(path, O_RDWR | O_CREAT | O_APPEND, 0600, &log));
	rc = write_and_follow(log);
	if (rc == 0)
		rc = TT_WITHIN(TT_MS(10), tt_file_wait_growth(log, 24));
	tt_fd_close(log);
	return rc != TT_ETIMEDOUT ? rc : printf("log: nothing more within 10 ms\n");
}

/* Failure: a program that is not there is an error of the start; what one exits with is not. */
static int run_helpers(void)
{
	const char *const sort[] = { "sort", "-u", NULL }, *const none[] = { "/no/such/program", NULL };
	tt_process_options o = { .argv = sort };
	char out[32];
	tt_process_io io = { .input = "b\na\nb\n", .input_n = 6, .out = out, .out_max = sizeof(out) };
	int status = 0;

	TT_TRY(TT_WITHIN(TT_SEC(10), tt_process_run(&o, &io, &status)));
	printf("sort: status %d\n%.*s", status, (int)io.out_n, out);
	o.argv = none;
	printf("%s: %s\n", none[0], tt_error_name(tt_process_run(&o, NULL, NULL)));
	return 0;
}

TT_TASK(app)
{
	TT_TRY(keep_state());
	TT_TRY(follow_log());
	return run_helpers();
}

int main(void)
{
	return tt_main(app);
}

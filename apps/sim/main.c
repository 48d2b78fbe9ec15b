/* SPDX-License-Identifier: MIT */
/*
 * main.c - tutti-sim: looks for a seed with which a simulated program fails, then for the
 * fewest choices of the scheduler that make it fail, and prints one line that repeats it.
 *
 *	tutti-sim [--seeds N] [--seed S] [--workers N] [--timeout SECONDS] [--keep FILE]
 *	          [--runs N] PROGRAM [ARGUMENTS...]
 *
 * PROGRAM is anything that calls tt_sim_run(), such as a test of <tutti/testing.h> with
 * --only=NAME. Each run is a process of its own with TUTTI_SEED set; it fails when it exits
 * with another status than 0 or 77, dies of a signal, or runs out of time.
 *
 * Shrinking   The schedule of the failing run (TUTTI_SIM_RECORD) is cut after fewer and fewer
 *             choices, then larger and smaller parts of it are set back to the usual pick,
 *             as long as the program still fails in the same way (delta debugging: Zeller
 *             and Hildebrandt, IEEE TSE 2002).
 * Exit        0 no failure found, 1 one was found, 2 misuse.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SKIPPED 77
#define TIMED_OUT (-1)

struct options {
	unsigned long long seeds, seed;
	const char *workers;             /* as text; NULL: the program's own */
	unsigned timeout;                /* s, per run */
	unsigned runs;                   /* at most, while shrinking */
	const char *keep;                /* where the schedule is left */
	char **command;
};

struct schedule {
	char **lines;                    /* "2 of 5 ready", or "-" */
	size_t n;
};

static struct options opt = { .seeds = 1000, .timeout = 60, .runs = 2000, .keep = "tutti-sim.schedule" };

static void misuse(const char *what)
{
	fprintf(stderr,
	        "tutti-sim: %s\n"
	        "usage: tutti-sim [--seeds N] [--seed S] [--workers N] [--timeout SECONDS] [--keep FILE]\n"
	        "                 [--runs N] PROGRAM [ARGUMENTS...]\n",
	        what);
	exit(2);
}

/* ---- one run ---- */

static void become_program(unsigned long long seed, const char *variable, const char *file)
{
	int null = open("/dev/null", O_WRONLY);
	char text[32];
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	snprintf(text, sizeof(text), "%llu", seed);
	setenv("TUTTI_SEED", text, 1);
	if (opt.workers != NULL)
		setenv("TUTTI_SIM_WORKERS", opt.workers, 1);
	unsetenv("TUTTI_SIM_RECORD");
	unsetenv("TUTTI_SIM_REPLAY");
	if (variable != NULL)
		setenv(variable, file, 1);
	setpgid(0, 0);
	execvp(opt.command[0], opt.command);
	_exit(127);
}

/* The wait status, or TIMED_OUT. */
static int wait_for(pid_t child)
{
	struct timespec left = { .tv_sec = opt.timeout };
	sigset_t set;
	int status;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	while (waitpid(child, &status, WNOHANG) != child) {
		if (sigtimedwait(&set, NULL, &left) < 0 && errno == EAGAIN) {
			kill(-child, SIGKILL);
			waitpid(child, &status, 0);
			return TIMED_OUT;
		}
	}
	return status;
}

static int run(unsigned long long seed, const char *variable, const char *file)
{
	pid_t child = fork();
	int status;

	if (child < 0) {
		perror("tutti-sim: fork");
		exit(2);
	}
	if (child == 0)
		become_program(seed, variable, file);
	setpgid(child, child);
	status = wait_for(child);
	if (status != TIMED_OUT && WIFEXITED(status) && WEXITSTATUS(status) == 127) {
		fprintf(stderr, "tutti-sim: %s cannot be started\n", opt.command[0]);
		exit(2);
	}
	return status;
}

static bool is_failure(int status)
{
	return status == TIMED_OUT || !WIFEXITED(status) || (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != SKIPPED);
}

/* ---- schedules ---- */

static void *must(void *p)
{
	if (p == NULL) {
		fprintf(stderr, "tutti-sim: out of memory\n");
		exit(2);
	}
	return p;
}

static bool schedule_read(struct schedule *s, const char *path)
{
	FILE *f = fopen(path, "r");
	char line[256];
	size_t room = 0;

	*s = (struct schedule){ 0 };
	if (f == NULL)
		return false;
	while (fgets(line, sizeof(line), f) != NULL) {
		if (s->n == room) {
			room = room == 0 ? 256 : room * 2;
			s->lines = must(realloc(s->lines, room * sizeof(*s->lines)));
		}
		line[strcspn(line, "\n")] = '\0';
		s->lines[s->n++] = must(strdup(line));
	}
	fclose(f);
	return s->n > 0;
}

static void schedule_write(const struct schedule *s, const char *path)
{
	FILE *f = fopen(path, "w");

	if (f == NULL) {
		fprintf(stderr, "tutti-sim: %s: %s\n", path, strerror(errno));
		exit(2);
	}
	for (size_t i = 0; i < s->n; i++)
		fprintf(f, "%s\n", s->lines[i]);
	if (fclose(f) != 0) {
		fprintf(stderr, "tutti-sim: %s: %s\n", path, strerror(errno));
		exit(2);
	}
}

static void schedule_free(struct schedule *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->lines[i]);
	free(s->lines);
}

static size_t count_given(const struct schedule *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += s->lines[i][0] != '-';
	return n;
}

/* ---- shrinking ---- */

struct shrinking {
	struct schedule *s;
	unsigned long long seed;
	int status;                      /* of the failure to keep */
	unsigned runs;
	char try[64];                    /* file of the schedule that is tried */
};

static bool still_fails(struct shrinking *k)
{
	if (k->runs >= opt.runs)
		return false;
	k->runs++;
	schedule_write(k->s, k->try);
	return run(k->seed, "TUTTI_SIM_REPLAY", k->try) == k->status;
}

/* The shortest beginning that is enough, halving the step. */
static void cut_end(struct shrinking *k)
{
	size_t whole = k->s->n;

	for (size_t step = whole / 2; step > 0; step /= 2) {
		size_t before = k->s->n;

		while (k->s->n > step) {
			k->s->n -= step;
			if (still_fails(k)) {
				before = k->s->n;
				continue;
			}
			break;
		}
		k->s->n = before;
	}
	for (size_t i = k->s->n; i < whole; i++)
		free(k->s->lines[i]);
}

/* Tries to do without the given choices in [from, to). */
static bool unset(struct shrinking *k, size_t from, size_t to, char **kept)
{
	static char usual[] = "-";
	bool any = false;

	for (size_t i = from; i < to; i++) {
		kept[i] = k->s->lines[i];
		any = any || kept[i][0] != '-';
		k->s->lines[i] = usual;
	}
	if (any && still_fails(k)) {
		for (size_t i = from; i < to; i++) {
			free(kept[i]);
			k->s->lines[i] = must(strdup(usual));
		}
		return true;
	}
	memcpy(&k->s->lines[from], &kept[from], (to - from) * sizeof(*kept));
	return false;
}

static void set_back(struct shrinking *k)
{
	char **kept = must(calloc(k->s->n + 1, sizeof(*kept)));

	for (size_t part = k->s->n; part > 0; part /= 2)
		for (size_t from = 0; from < k->s->n; from += part)
			unset(k, from, from + part < k->s->n ? from + part : k->s->n, kept);
	free(kept);
	/* Behind the end every pick is the usual one. */
	while (k->s->n > 0 && k->s->lines[k->s->n - 1][0] == '-')
		free(k->s->lines[--k->s->n]);
}

/* ---- the search ---- */

static void say_how_to_repeat(unsigned long long seed, const char *schedule)
{
	if (schedule != NULL)
		printf("TUTTI_SIM_REPLAY=%s ", schedule);
	printf("TUTTI_SEED=%llu", seed);
	if (opt.workers != NULL)
		printf(" TUTTI_SIM_WORKERS=%s", opt.workers);
	for (char **word = opt.command; *word != NULL; word++)
		printf(" %s", *word);
	printf("\n");
}

static void say_what(int status)
{
	if (status == TIMED_OUT)
		printf("timed out after %u s", opt.timeout);
	else if (WIFSIGNALED(status))
		printf("died of signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		printf("exit status %d", WEXITSTATUS(status));
}

/* The program fails with this seed: how few choices does that take? */
static void shrink(unsigned long long seed, int status)
{
	struct schedule s;
	struct shrinking k = { .s = &s, .seed = seed, .status = status, .try = "/tmp/tutti-sim-XXXXXX" };
	int fd = mkstemp(k.try);
	size_t all;

	if (fd < 0) {
		perror("tutti-sim: mkstemp");
		exit(2);
	}
	close(fd);
	if (run(seed, "TUTTI_SIM_RECORD", k.try) != status || !schedule_read(&s, k.try)) {
		printf("seed %llu: no schedule was recorded; to repeat:\n", seed);
		say_how_to_repeat(seed, NULL);
		unlink(k.try);
		return;
	}
	all = s.n;
	if (still_fails(&k)) {
		cut_end(&k);
		set_back(&k);
		schedule_write(&s, opt.keep);
		printf("%zu of %zu choices are needed (%u runs); to repeat:\n", count_given(&s), all, k.runs);
		say_how_to_repeat(seed, opt.keep);
	} else {
		printf("the failure depends on more than the schedule; to repeat:\n");
		say_how_to_repeat(seed, NULL);
	}
	unlink(k.try);
	schedule_free(&s);
}

static unsigned long long number(const char *name, const char *text)
{
	char *end;
	unsigned long long n = strtoull(text, &end, 0);

	if (text[0] < '0' || text[0] > '9' || *end != '\0') {
		fprintf(stderr, "tutti-sim: %s: \"%s\" is not a number\n", name, text);
		exit(2);
	}
	return n;
}

static void parse(int argc, char **argv)
{
	int i = 1;

	for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
		if (strcmp(argv[i], "--seeds") == 0)
			opt.seeds = number(argv[i], argv[i + 1]);
		else if (strcmp(argv[i], "--seed") == 0)
			opt.seed = number(argv[i], argv[i + 1]);
		else if (strcmp(argv[i], "--workers") == 0)
			number(argv[i], opt.workers = argv[i + 1]);
		else if (strcmp(argv[i], "--timeout") == 0)
			opt.timeout = (unsigned)number(argv[i], argv[i + 1]);
		else if (strcmp(argv[i], "--runs") == 0)
			opt.runs = (unsigned)number(argv[i], argv[i + 1]);
		else if (strcmp(argv[i], "--keep") == 0)
			opt.keep = argv[i + 1];
		else
			misuse("no such option");
	}
	if (i >= argc || argv[i][0] == '-')
		misuse("no program");
	opt.command = &argv[i];
}

int main(int argc, char **argv)
{
	sigset_t set;

	parse(argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (unsigned long long seed = opt.seed; seed - opt.seed < opt.seeds; seed++) {
		int status = run(seed, NULL, NULL);

		if (!is_failure(status))
			continue;
		printf("seed %llu, run %llu of %llu: ", seed, seed - opt.seed + 1, opt.seeds);
		say_what(status);
		printf("\n");
		shrink(seed, status);
		return 1;
	}
	printf("%llu seeds from %llu: no failure\n", opt.seeds, opt.seed);
	return 0;
}

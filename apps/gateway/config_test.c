/* SPDX-License-Identifier: MIT */
/*
 * config_test.c - the command line: every option in both forms, at and beyond its limits.
 *
 * test-on: sim1
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tutti/testing.h>
#include <unistd.h>

#include "config.h"

TT_TEST_MAIN()

/* ---- calling the parser, and what it said ---- */

struct outcome {
	int           rc;
	struct config config;
	char          out[4096], err[512]; /* what it wrote */
};

/* Turns fd into a temporary file; gives what it was. */
static int divert(FILE *stream, FILE **ret_file)
{
	int kept;

	fflush(stream);
	kept = dup(fileno(stream));
	*ret_file = tmpfile();
	REQUIRE_TRUE(kept >= 0 && *ret_file != NULL);
	REQUIRE_TRUE(dup2(fileno(*ret_file), fileno(stream)) >= 0);
	return kept;
}

static void restore(FILE *stream, int kept, FILE *file, char *ret_text, size_t size)
{
	size_t n;

	fflush(stream);
	REQUIRE_TRUE(dup2(kept, fileno(stream)) >= 0);
	close(kept);
	rewind(file);
	n = fread(ret_text, 1, size - 1, file);
	ret_text[n] = '\0';
	fclose(file);
}

static void parse_all(int argc, char **argv, struct outcome *ret)
{
	FILE *out_file, *err_file;
	int out, err;

	memset(ret, 0, sizeof(*ret));
	memset(&ret->config, 0x5a, sizeof(ret->config));
	out = divert(stdout, &out_file);
	err = divert(stderr, &err_file);
	ret->rc = config_parse(argc, argv, &ret->config);
	restore(stderr, err, err_file, ret->err, sizeof(ret->err));
	restore(stdout, out, out_file, ret->out, sizeof(ret->out));
}

/* Up to four words after the program's name; NULL ends them. */
static void parse(struct outcome *ret, const char *a, const char *b, const char *c, const char *d)
{
	char *argv[6] = { (char *)(uintptr_t)"tutti-gateway" };
	const char *words[4] = { a, b, c, d };
	int argc = 1;

	for (int i = 0; i < 4 && words[i] != NULL; i++)
		argv[argc++] = (char *)(uintptr_t)words[i];
	parse_all(argc, argv, ret);
}

static bool config_is_untouched(const struct config *c)
{
	const unsigned char *at = (const unsigned char *)c;

	for (size_t i = 0; i < sizeof(*c); i++)
		if (at[i] != 0x5a)
			return false;
	return true;
}

/* One line on stderr that holds this text, nothing on stdout, and no configuration. */
static void expect_refused(const struct outcome *o, const char *text)
{
	const char *newline = strchr(o->err, '\n');

	EXPECT_EQ(o->rc, 2);
	EXPECT_STR_EQ(o->out, "");
	EXPECT_TRUE(strncmp(o->err, "tutti-gateway: ", 15) == 0);
	EXPECT_TRUE(newline != NULL && newline[1] == '\0');
	if (strstr(o->err, text) == NULL)
		EXPECT_STR_EQ(o->err, text);
	EXPECT_TRUE(config_is_untouched(&o->config));
}

/* ---- numbers ---- */

enum width { INT64_MS, SIZE, UNSIGNED };

static const struct number {
	const char *option;
	size_t      offset;
	enum width  width;
	uint64_t    standard, min, max; /* as they are written on the command line */
} numbers[] = {
	{ "--workers", offsetof(struct config, main.workers), UNSIGNED, 0, 1, 1024 },
	{ "--deadline", offsetof(struct config, deadline), INT64_MS, 5000, 1, 86400000 },
	{ "--linger", offsetof(struct config, linger), INT64_MS, 1, 0, 60000 },
	{ "--batch-events", offsetof(struct config, batch_events), UNSIGNED, 2000, 1, 1000000 },
	{ "--queue-events", offsetof(struct config, queue_events), UNSIGNED, 20000, 1000, 10000000 },
	{ "--body-max", offsetof(struct config, body_max), SIZE, 1048576, 1, 1073741824 },
	{ "--events-max", offsetof(struct config, events_max), SIZE, 1000, 1, 20000 },
	{ "--connections-max", offsetof(struct config, connections_max), UNSIGNED, 10000, 1, 1000000 },
	{ "--header-timeout", offsetof(struct config, head_timeout), INT64_MS, 10000, 1, 86400000 },
	{ "--idle-timeout", offsetof(struct config, idle_timeout), INT64_MS, 60000, 1, 86400000 },
	{ "--stop-bound", offsetof(struct config, main.stop_bound), INT64_MS, 0, 1, 86400000 },
};

enum { NUMBERS = sizeof(numbers) / sizeof(numbers[0]) };

static uint64_t value_of(const struct config *c, const struct number *n)
{
	const char *at = (const char *)c + n->offset;

	if (n->width == INT64_MS)
		return (uint64_t)*(const int64_t *)(const void *)at / UINT64_C(1000000);
	return n->width == SIZE ? *(const size_t *)(const void *)at : *(const unsigned *)(const void *)at;
}

/* All the others have their standard values. */
static void expect_only(const struct config *c, const struct number *set, uint64_t value)
{
	for (int i = 0; i < NUMBERS; i++)
		EXPECT_EQ(value_of(c, &numbers[i]), &numbers[i] == set ? value : numbers[i].standard);
}

static void expect_taken(const struct number *n, uint64_t value)
{
	char text[32], both[64];
	struct outcome o;

	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	snprintf(both, sizeof(both), "%s=%s", n->option, text);
	parse(&o, "run", n->option, text, NULL);
	EXPECT_EQ(o.rc, 0);
	EXPECT_STR_EQ(o.err, "");
	expect_only(&o.config, n, value);
	parse(&o, "run", both, NULL, NULL);
	EXPECT_EQ(o.rc, 0);
	EXPECT_STR_EQ(o.out, "");
	expect_only(&o.config, n, value);
}

/* Without options everything has its documented value. */
TT_TEST_PLAIN(config, standard_values)
{
	struct outcome o;

	parse(&o, "run", NULL, NULL, NULL);
	EXPECT_EQ(o.rc, 0);
	EXPECT_STR_EQ(o.out, "");
	EXPECT_STR_EQ(o.err, "");
	expect_only(&o.config, NULL, 0);
	EXPECT_STR_EQ(o.config.listen, "127.0.0.1:8080");
	EXPECT_STR_EQ(o.config.store, "sqlite:events.db");
	EXPECT_EQ(o.config.main.io, TT_IO_AUTO);
	EXPECT_EQ(o.config.main.stack_size, 0u);
	EXPECT_FALSE(o.config.main.unguarded);
}

/* Each number is taken at its least and its most, in both forms, and changes nothing else. */
TT_TEST_PLAIN(config, numbers_at_their_limits)
{
	for (int i = 0; i < NUMBERS; i++) {
		expect_taken(&numbers[i], numbers[i].min);
		expect_taken(&numbers[i], numbers[i].min + 1);
		expect_taken(&numbers[i], numbers[i].max);
	}
}

/* A number beyond its limits, or none at all, is refused by name. */
TT_TEST_PLAIN(config, wrong_numbers)
{
	static const char *const wrong[] = {
		"", "x", "-1", "+1", " 1", "1 ", "1x", "0x10", "1e3", "18446744073709551616",
		"18446744073709551615", "-18446744073709551615", "1073741825",
	};
	struct outcome o;
	char both[96];

	for (int i = 0; i < NUMBERS; i++) {
		for (size_t k = 0; k < sizeof(wrong) / sizeof(wrong[0]); k++) {
			parse(&o, "run", numbers[i].option, wrong[k], NULL);
			expect_refused(&o, numbers[i].option);
			expect_refused(&o, "is not a number from ");
			snprintf(both, sizeof(both), "%s=%s", numbers[i].option, wrong[k]);
			parse(&o, "run", both, NULL, NULL);
			expect_refused(&o, numbers[i].option);
		}
	}
}

static void expect_bound(const char *option, const char *value, const char *range)
{
	struct outcome o;
	char text[128];

	parse(&o, "run", option, value, NULL);
	snprintf(text, sizeof(text), "%s: '%s' is not a number from %s (", option, value, range);
	expect_refused(&o, text);
}

/* The message says the limits, and one beyond each is refused. */
TT_TEST_PLAIN(config, one_beyond_each_limit)
{
	expect_bound("--workers", "0", "1 to 1024");
	expect_bound("--workers", "1025", "1 to 1024");
	expect_bound("--deadline", "0", "1 to 86400000");
	expect_bound("--deadline", "86400001", "1 to 86400000");
	expect_bound("--linger", "60001", "0 to 60000");
	expect_bound("--batch-events", "0", "1 to 1000000");
	expect_bound("--batch-events", "1000001", "1 to 1000000");
	expect_bound("--queue-events", "0", "1 to 10000000");
	expect_bound("--queue-events", "10000001", "1 to 10000000");
	expect_bound("--body-max", "0", "1 to 1073741824");
	expect_bound("--events-max", "0", "1 to 1000000");
	expect_bound("--events-max", "1000001", "1 to 1000000");
	expect_bound("--connections-max", "0", "1 to 1000000");
	expect_bound("--connections-max", "1000001", "1 to 1000000");
	expect_bound("--header-timeout", "0", "1 to 86400000");
	expect_bound("--header-timeout", "86400001", "1 to 86400000");
	expect_bound("--idle-timeout", "0", "1 to 86400000");
	expect_bound("--idle-timeout", "86400001", "1 to 86400000");
	expect_bound("--stop-bound", "86400001", "0 to 86400000");
}

/* A request that is allowed must fit into the queue. */
TT_TEST_PLAIN(config, a_request_fits_into_the_queue)
{
	struct outcome o;

	parse(&o, "run", "--queue-events", "999", NULL);
	expect_refused(&o, "--queue-events: 999 is less than --events-max 1000");
	parse(&o, "run", "--events-max", "20001", NULL);
	expect_refused(&o, "--queue-events: 20000 is less than --events-max 20001");
	parse(&o, "run", "--events-max=7", "--queue-events=7", NULL);
	EXPECT_EQ(o.rc, 0);
	parse(&o, "run", "--events-max=1000000", "--queue-events=1000000", NULL);
	EXPECT_EQ(o.rc, 0);
	EXPECT_EQ(o.config.events_max, 1000000u);
}

/* --stop-bound 0 is no time at all, in both forms, and the last one given counts. */
TT_TEST_PLAIN(config, a_stop_bound_of_nothing)
{
	struct outcome o;

	parse(&o, "run", "--stop-bound", "0", NULL);
	EXPECT_EQ(o.config.main.stop_bound, TT_STOP_AT_ONCE);
	parse(&o, "run", "--stop-bound=0", NULL, NULL);
	EXPECT_EQ(o.config.main.stop_bound, TT_STOP_AT_ONCE);
	parse(&o, "run", "--stop-bound=0", "--stop-bound=7", NULL);
	EXPECT_EQ(o.config.main.stop_bound, TT_MS(7));
	parse(&o, "run", "--stop-bound=7", "--stop-bound=0", NULL);
	EXPECT_EQ(o.config.main.stop_bound, TT_STOP_AT_ONCE);
	/* A value that looks like the option is not the option. */
	parse(&o, "run", "--store", "--stop-bound", NULL);
	EXPECT_EQ(o.rc, 0);
	EXPECT_EQ(o.config.main.stop_bound, 0);
	EXPECT_STR_EQ(o.config.store, "--stop-bound");
}

/* ---- texts and words ---- */

/* Addresses and stores are taken as they are; whoever opens them judges. */
TT_TEST_PLAIN(config, texts)
{
	struct outcome o;

	parse(&o, "run", "--listen", "[::1]:0", "--store=sqlite:/a=b.db");
	EXPECT_EQ(o.rc, 0);
	EXPECT_STR_EQ(o.config.listen, "[::1]:0");
	EXPECT_STR_EQ(o.config.store, "sqlite:/a=b.db");
	parse(&o, "run", "--listen=", "--listen=x:1", NULL);
	EXPECT_STR_EQ(o.config.listen, "x:1");
}

/* Three words for the kernel interface, and no others. */
TT_TEST_PLAIN(config, kernel_interfaces)
{
	struct outcome o;

	parse(&o, "run", "--io", "auto", NULL);
	EXPECT_EQ(o.config.main.io, TT_IO_AUTO);
	parse(&o, "run", "--io", "epoll", NULL);
	EXPECT_EQ(o.config.main.io, TT_IO_EPOLL);
	parse(&o, "run", "--io=uring", NULL, NULL);
	EXPECT_EQ(o.config.main.io, TT_IO_URING);
	parse(&o, "run", "--io", "kqueue", NULL);
	expect_refused(&o, "--io: 'kqueue' is none of auto, epoll, uring");
	parse(&o, "run", "--io=", NULL, NULL);
	expect_refused(&o, "--io: '' is none of auto, epoll, uring");
	parse(&o, "run", "--io", "Epoll", NULL);
	expect_refused(&o, "--io: 'Epoll'");
}

/* What is no option, or lacks its value, is refused by name. */
TT_TEST_PLAIN(config, wrong_words)
{
	struct outcome o;

	parse(&o, NULL, NULL, NULL, NULL);
	expect_refused(&o, "a command is missing: run");
	parse(&o, "serve", NULL, NULL, NULL);
	expect_refused(&o, "unknown command 'serve'");
	parse(&o, "--listen", "a:1", NULL, NULL);
	expect_refused(&o, "unknown command '--listen'");
	parse(&o, "run", "--colour", "red", NULL);
	expect_refused(&o, "unknown option '--colour'");
	parse(&o, "run", "--worker", "1", NULL);
	expect_refused(&o, "unknown option '--worker'");
	parse(&o, "run", "--workersx=1", NULL, NULL);
	expect_refused(&o, "unknown option '--workersx=1'");
	parse(&o, "run", "=1", NULL, NULL);
	expect_refused(&o, "unknown option '=1'");
	parse(&o, "run", "", NULL, NULL);
	expect_refused(&o, "unknown option ''");
	parse(&o, "run", "--workers", "2", "more");
	expect_refused(&o, "unknown option 'more'");
	parse(&o, "run", "--listen", NULL, NULL);
	expect_refused(&o, "--listen: a value is missing");
	for (int i = 0; i < NUMBERS; i++) {
		parse(&o, "run", numbers[i].option, NULL, NULL);
		expect_refused(&o, numbers[i].option);
		expect_refused(&o, ": a value is missing");
	}
}

/* ---- help ---- */

/* The help names every option; it and the version go to stdout and end well. */
TT_TEST_PLAIN(config, help_and_version)
{
	struct outcome o;

	parse(&o, "run", "--workers", "x", "--help");
	EXPECT_EQ(o.rc, 1);
	EXPECT_STR_EQ(o.err, "");
	EXPECT_TRUE(strncmp(o.out, "usage: tutti-gateway run ", 25) == 0);
	for (int i = 0; i < NUMBERS; i++)
		EXPECT_TRUE(strstr(o.out, numbers[i].option) != NULL);
	EXPECT_TRUE(strstr(o.out, "--listen") != NULL);
	EXPECT_TRUE(strstr(o.out, "--store") != NULL);
	EXPECT_TRUE(strstr(o.out, "--io") != NULL);
	EXPECT_TRUE(config_is_untouched(&o.config));
	parse(&o, "--version", NULL, NULL, NULL);
	EXPECT_EQ(o.rc, 1);
	EXPECT_STR_EQ(o.err, "");
	EXPECT_TRUE(strncmp(o.out, "tutti-gateway ", 14) == 0);
	EXPECT_TRUE(strstr(o.out, tt_version()) != NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * config_fuzz.c - fuzz target: any command line of the gateway, one argument a line.
 *
 * Who calls it: see fuzz.h. What the parser says on stderr and stdout is caught and judged too.
 *
 * Claims  The answer is 0, 1 (help, version) or 2; anything but 0 leaves the result untouched.
 *         0 says nothing; 1 speaks on stdout only; 2 says one line on stderr that names the program
 *         and how to get help.
 *         Accepted numbers lie within their bounds, and a queue holds at least one full request.
 *         A command line made of an accepted result gives that result again.
 */
#include "config.h"
#include "fuzz.h"

enum { ARGS_MAX = 64 };

struct args {
	int n;
	char *at[ARGS_MAX + 1];
};

static void args_free(struct args *a)
{
	for (int i = 0; i < a->n; i++)
		free(a->at[i]);
}

static void args_add(struct args *a, char *text)
{
	a->at[a->n++] = text;
	a->at[a->n] = NULL;
}

/* ---- what it says ---- */

struct said {
	char *err, *out;
	size_t err_len, out_len;
};

static int parse(struct args *a, struct config *c, struct said *said)
{
	FILE *err = stderr, *out = stdout;
	int rc;

	stderr = open_memstream(&said->err, &said->err_len);
	stdout = open_memstream(&said->out, &said->out_len);
	rc = config_parse(a->n, a->at, c);
	fclose(stderr);
	fclose(stdout);
	stderr = err;
	stdout = out;
	return rc;
}

static void check_said(int rc, const struct said *s)
{
	MUST((s->out_len > 0) == (rc == 1));
	MUST((s->err_len > 0) == (rc == 2));
	if (rc != 2)
		return;
	MUST(strncmp(s->err, "tutti-gateway: ", 15) == 0);
	MUST(strstr(s->err, "(tutti-gateway --help)\n") != NULL);
	MUST(s->err[s->err_len - 1] == '\n');
}

/* ---- what it accepted ---- */

static void check_bounds(const struct config *c)
{
	const int64_t day = TT_HOUR(24);

	MUST(c->listen != NULL && c->store != NULL);
	MUST(c->deadline >= TT_MS(1) && c->deadline <= day);
	MUST(c->linger >= 0 && c->linger <= TT_SEC(60));
	MUST(c->head_timeout >= TT_MS(1) && c->head_timeout <= day);
	MUST(c->idle_timeout >= TT_MS(1) && c->idle_timeout <= day);
	MUST(c->body_max >= 1 && c->body_max <= 1u << 30);
	MUST(c->events_max >= 1 && c->events_max <= 1000000);
	MUST(c->queue_events >= c->events_max && c->queue_events <= 10000000);
	MUST(c->batch_events >= 1 && c->batch_events <= 1000000);
	MUST(c->connections_max >= 1 && c->connections_max <= 1000000);
	MUST(c->main.workers <= 1024);
	MUST(c->main.io >= TT_IO_AUTO && c->main.io <= TT_IO_URING);
	MUST(c->main.stop_bound == TT_STOP_AT_ONCE || (c->main.stop_bound >= 0 && c->main.stop_bound <= day));
}

static void say(struct args *a, const char *name, uint64_t value, bool joined)
{
	char text[64];

	snprintf(text, sizeof(text), joined ? "%s=%llu" : "%s", name, (unsigned long long)value);
	args_add(a, strdup(text));
	if (joined)
		return;
	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	args_add(a, strdup(text));
}

/* In one word: a value of its own that reads "--help" would be a call for help. */
static void say_text(struct args *a, const char *name, const char *value)
{
	size_t size = strlen(name) + strlen(value) + 2;
	char *text = fuzz_alloc(size);

	snprintf(text, size, "%s=%s", name, value);
	args_add(a, text);
}

static void command_line_of(const struct config *c, bool joined, struct args *a)
{
	static const char *const io[] = { [TT_IO_AUTO] = "auto", [TT_IO_EPOLL] = "epoll", [TT_IO_URING] = "uring" };

	*a = (struct args){ .n = 0 };
	args_add(a, strdup("tutti-gateway"));
	args_add(a, strdup("run"));
	say_text(a, "--listen", c->listen);
	say_text(a, "--store", c->store);
	say_text(a, "--io", io[c->main.io]);
	say(a, "--deadline", (uint64_t)c->deadline / 1000000, joined);
	say(a, "--linger", (uint64_t)c->linger / 1000000, joined);
	say(a, "--batch-events", c->batch_events, joined);
	say(a, "--queue-events", c->queue_events, joined);
	say(a, "--body-max", c->body_max, joined);
	say(a, "--events-max", c->events_max, joined);
	say(a, "--connections-max", c->connections_max, joined);
	say(a, "--header-timeout", (uint64_t)c->head_timeout / 1000000, joined);
	say(a, "--idle-timeout", (uint64_t)c->idle_timeout / 1000000, joined);
	if (c->main.workers != 0)
		say(a, "--workers", c->main.workers, joined);
	if (c->main.stop_bound != 0)
		say(a, "--stop-bound", c->main.stop_bound > 0 ? (uint64_t)c->main.stop_bound / 1000000 : 0, joined);
}

static void check_same(const struct config *a, const struct config *b)
{
	MUST(strcmp(a->listen, b->listen) == 0 && strcmp(a->store, b->store) == 0);
	MUST(a->main.io == b->main.io && a->main.workers == b->main.workers);
	MUST(a->main.stop_bound == b->main.stop_bound);
	MUST(a->deadline == b->deadline && a->linger == b->linger);
	MUST(a->head_timeout == b->head_timeout && a->idle_timeout == b->idle_timeout);
	MUST(a->body_max == b->body_max && a->events_max == b->events_max);
	MUST(a->queue_events == b->queue_events && a->batch_events == b->batch_events);
	MUST(a->connections_max == b->connections_max);
}

static void check_again(const struct config *c, bool joined)
{
	struct said said = { 0 };
	struct config again;
	struct args a;

	command_line_of(c, joined, &a);
	MUST(parse(&a, &again, &said) == 0);
	check_same(c, &again);
	args_free(&a);
	free(said.err);
	free(said.out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = fuzz_input_of(data, size);
	struct args a = { .n = 0 };
	struct said said = { 0 };
	struct config c, untouched;
	int rc;

	args_add(&a, strdup("tutti-gateway"));
	while (in.left > 0 && a.n < ARGS_MAX)
		args_add(&a, fuzz_string(fuzz_until(&in, '\n')));
	memset(&c, 0x5a, sizeof(c));
	memset(&untouched, 0x5a, sizeof(untouched));
	rc = parse(&a, &c, &said);
	MUST(rc >= 0 && rc <= 2);
	check_said(rc, &said);
	if (rc == 0) {
		check_bounds(&c);
		check_again(&c, false);
		check_again(&c, true);
	} else {
		MUST(memcmp(&c, &untouched, sizeof(c)) == 0);
	}
	free(said.err);
	free(said.out);
	args_free(&a);
	return 0;
}

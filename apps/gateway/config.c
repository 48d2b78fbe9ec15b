/* SPDX-License-Identifier: MIT */
/* config.c - the command line; see config.h. Every error names the option and its value. */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
	"usage: tutti-gateway run [options]\n"
	"       tutti-gateway --help | --version\n"
	"\n"
	"Takes JSON events over HTTP and stores them; a 2xx answer means committed.\n"
	"\n"
	"  --listen ADDR          where to listen (127.0.0.1:8080; port 0: any free one)\n"
	"  --store sqlite:PATH    where to store (sqlite:events.db)\n"
	"  --workers N            threads that serve (the number of CPUs)\n"
	"  --io auto|epoll|uring  kernel interface (auto)\n"
	"  --deadline MS          from a whole request to its answer (5000)\n"
	"  --linger MS            how long a batch waits for more events (1)\n"
	"  --batch-events N       events in one transaction (2000)\n"
	"  --queue-events N       events that may wait for the store, then 503 (20000)\n"
	"  --body-max BYTES       of one request, then 413 (1048576)\n"
	"  --events-max N         of one request, then 413 (1000)\n"
	"  --connections-max N    served at once (10000)\n"
	"  --header-timeout MS    for a request's head, then 408 (10000)\n"
	"  --idle-timeout MS      of a silent connection (60000)\n"
	"  --stop-bound MS        to finish what was accepted after SIGTERM (10000; 0: none)\n";

static int bad(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static int bad(const char *fmt, ...)
{
	va_list ap;

	fputs("tutti-gateway: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs(" (tutti-gateway --help)\n", stderr);
	return 2;
}

static int number(const char *option, const char *text, uint64_t min, uint64_t max, uint64_t *ret_n)
{
	unsigned long long n;
	char *end;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || n < min || n > max)
		return bad("%s: '%s' is not a number from %llu to %llu", option, text, (unsigned long long)min,
		           (unsigned long long)max);
	*ret_n = n;
	return 0;
}

static int io_kind(const char *text, enum tt_io *ret_io)
{
	static const char *const names[] = { [TT_IO_AUTO] = "auto", [TT_IO_EPOLL] = "epoll", [TT_IO_URING] = "uring" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(text, names[i]) == 0) {
			*ret_io = (enum tt_io)i;
			return 0;
		}
	return bad("--io: '%s' is none of auto, epoll, uring", text);
}

enum kind { TEXT, MILLISECONDS, STOP_BOUND, SIZE, COUNT, IO };

struct option {
	const char *name;
	enum kind   kind;
	size_t      offset; /* in struct config */
	uint64_t    min, max;
};

#define AT(field) offsetof(struct config, field)
#define DAY_MS UINT64_C(86400000)

static const struct option options[] = {
	{ "--listen", TEXT, AT(listen), 0, 0 },
	{ "--store", TEXT, AT(store), 0, 0 },
	{ "--workers", COUNT, AT(main.workers), 1, 1024 },
	{ "--io", IO, AT(main.io), 0, 0 },
	{ "--deadline", MILLISECONDS, AT(deadline), 1, DAY_MS },
	{ "--linger", MILLISECONDS, AT(linger), 0, 60000 },
	{ "--batch-events", COUNT, AT(batch_events), 1, 1000000 },
	{ "--queue-events", COUNT, AT(queue_events), 1, 10000000 },
	{ "--body-max", SIZE, AT(body_max), 1, UINT64_C(1) << 30 },
	{ "--events-max", SIZE, AT(events_max), 1, 1000000 },
	{ "--connections-max", COUNT, AT(connections_max), 1, 1000000 },
	{ "--header-timeout", MILLISECONDS, AT(head_timeout), 1, DAY_MS },
	{ "--idle-timeout", MILLISECONDS, AT(idle_timeout), 1, DAY_MS },
	{ "--stop-bound", STOP_BOUND, AT(main.stop_bound), 0, DAY_MS },
};

static int set(struct config *c, const struct option *o, const char *value)
{
	void *field = (char *)c + o->offset;
	uint64_t n = 0;

	if (o->kind == TEXT) {
		*(const char **)field = value;
		return 0;
	}
	if (o->kind == IO)
		return io_kind(value, field);
	if (number(o->name, value, o->min, o->max, &n) != 0)
		return 2;
	if (o->kind == MILLISECONDS)
		*(int64_t *)field = TT_MS(n);
	else if (o->kind == STOP_BOUND)
		/* The library's 0 means its default; here 0 means no time at all. */
		*(int64_t *)field = n > 0 ? TT_MS(n) : TT_STOP_AT_ONCE;
	else if (o->kind == SIZE)
		*(size_t *)field = (size_t)n;
	else
		*(unsigned *)field = (unsigned)n;
	return 0;
}

/* "--name value" or "--name=value"; *at moves past what was taken. */
static int one_option(struct config *c, int argc, char **argv, int *at)
{
	const char *arg = argv[*at], *value = strchr(arg, '=');
	size_t len = value != NULL ? (size_t)(value - arg) : strlen(arg);

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		if (strlen(options[i].name) != len || strncmp(arg, options[i].name, len) != 0)
			continue;
		if (value == NULL && *at + 1 >= argc)
			return bad("%s: a value is missing", options[i].name);
		value = value != NULL ? value + 1 : argv[++*at];
		return set(c, &options[i], value);
	}
	return bad("unknown option '%s'", arg);
}

int config_parse(int argc, char **argv, struct config *ret_config)
{
	struct config c = {
		.listen = "127.0.0.1:8080",
		.store = "sqlite:events.db",
		.deadline = TT_SEC(5),
		.linger = TT_MS(1),
		.head_timeout = TT_SEC(10),
		.idle_timeout = TT_SEC(60),
		.body_max = 1 << 20,
		.events_max = 1000,
		.queue_events = 20000,
		.batch_events = 2000,
		.connections_max = 10000,
	};

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			fputs(usage, stdout);
			return 1;
		}
		if (strcmp(argv[i], "--version") == 0) {
			printf("tutti-gateway %s\n", tt_version());
			return 1;
		}
	}
	if (argc < 2)
		return bad("a command is missing: run");
	if (strcmp(argv[1], "run") != 0)
		return bad("unknown command '%s'", argv[1]);
	for (int i = 2; i < argc; i++) {
		int rc = one_option(&c, argc, argv, &i);

		if (rc != 0)
			return rc;
	}
	if (c.queue_events < c.events_max)
		return bad("--queue-events: %u is less than --events-max %zu", c.queue_events, c.events_max);
	*ret_config = c;
	return 0;
}

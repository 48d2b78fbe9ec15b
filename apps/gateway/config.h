/* SPDX-License-Identifier: MIT */
/*
 * config.h - what the command line may say. Who calls it: main.c, once; the rest of the
 * gateway reads it and never writes.
 */
#ifndef GATEWAY_CONFIG_H
#define GATEWAY_CONFIG_H

#include <tutti/tutti.h>

struct config {
	const char     *listen;          /* "127.0.0.1:8080" */
	const char     *store;           /* "sqlite:events.db" */
	int64_t         deadline;        /* ns from a whole request to its verdict */
	int64_t         linger;          /* ns that the first event of a batch may wait for others */
	int64_t         head_timeout;    /* ns, see tt_http_options */
	int64_t         idle_timeout;
	size_t          body_max;        /* bytes */
	size_t          events_max;      /* in one request */
	unsigned        queue_events;    /* accepted and not yet committed, over all requests */
	unsigned        batch_events;    /* in one transaction */
	unsigned        connections_max; /* served at once; the next ones wait in the kernel */
	tt_main_options main;
};

/*
 * config_parse - read the command line.
 *
 * Returns    0: run with *ret_config, whose texts are argv's
 *            1: --help or --version was answered on stdout, or
 *            2: one line on stderr says which option is wrong and why
 *            (both are for exit(); 1 means exit status 0)
 */
int config_parse(int argc, char **argv, struct config *ret_config);

#endif

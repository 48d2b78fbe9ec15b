/* SPDX-License-Identifier: MIT */
/*
 * http_check.h - the few words these plain test programs need.
 *
 * Who calls it: ext/http's tests that run outside the runtime.
 */
#ifndef TT_HTTP_CHECK_H
#define TT_HTTP_CHECK_H

#include <stdio.h>

static unsigned long check_count, check_failed;

#define CHECK(cond, ...)                                                         \
	do {                                                                     \
		check_count++;                                                   \
		if (!(cond)) {                                                   \
			check_failed++;                                          \
			fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #cond); \
			fprintf(stderr, __VA_ARGS__);                            \
			fputc('\n', stderr);                                     \
		}                                                                \
	} while (0)

static int check_report(const char *what)
{
	printf("%s: %lu checks, %lu failed\n", what, check_count, check_failed);
	return check_failed == 0 && check_count > 0 ? 0 : 1;
}

#endif

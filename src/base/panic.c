/* SPDX-License-Identifier: MIT */
/*
 * panic.c - the end of a process that found its own state impossible.
 *
 * The one place outside env/ that makes a system call: whatever broke, these lines
 * must come out, so they pass no seam that could itself be broken or simulated.
 */
#include "base/panic.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void (*tti_panic_hook)(void);

void tti_panic(const char *site, const char *fmt, ...)
{
	static int entered;
	char text[512];
	va_list ap;
	int n, m;

	n = snprintf(text, sizeof(text), "tutti: %s: ", site);
	va_start(ap, fmt);
	m = vsnprintf(text + n, sizeof(text) - (size_t)n - 1, fmt, ap);
	va_end(ap);
	if (m > (int)sizeof(text) - n - 2)
		m = (int)sizeof(text) - n - 2;
	text[n + m] = '\n';
	TT_IGNORE(write(STDERR_FILENO, text, (size_t)(n + m + 1)));
	if (tti_panic_hook != NULL && entered++ == 0)
		tti_panic_hook();
	abort();
}

/* SPDX-License-Identifier: MIT */
/*
 * sometimes.c - what TT_SOMETIMES() counted in a test's process: asked for by the test, and
 * written to the file that TUTTI_SOMETIMES names when the test ends: a line "driver<TAB>
 * times<TAB>place<TAB>claim" for each place, added at its end, since many tests write it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/sometimes.h"
#include "env/env.h"
#include "testing/kit.h"

uint64_t tt_test_sometimes(const char *claim)
{
	const struct tt_sometimes_place_ *place;
	uint64_t sum = 0;
	uint32_t times;

	for (unsigned i = 0; (place = tti_sometimes_place(i, &times)) != NULL; i++)
		if (strcmp(place->claim, claim) == 0)
			sum += times;
	return sum;
}

void tti_test_write_sometimes(const char *driver)
{
	const char *path = tti_env_var("TUTTI_SOMETIMES");
	const struct tt_sometimes_place_ *place;
	uint32_t times;
	int fd;

	if (path == NULL)
		return;
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (fd < 0) {
		tti_test_failed(false, TT_SITE, "TUTTI_SOMETIMES=%s: %s", path, strerror(errno));
		return;
	}
	for (unsigned i = 0; (place = tti_sometimes_place(i, &times)) != NULL; i++) {
		int written = dprintf(fd, "%s\t%u\t%s\t%s\n", driver, times, place->site, place->claim);

		if (written < 0) {
			tti_test_failed(false, TT_SITE, "TUTTI_SOMETIMES=%s: %s", path, strerror(errno));
			break;
		}
	}
	close(fd);
}

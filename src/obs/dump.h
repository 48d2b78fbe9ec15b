/* SPDX-License-Identifier: MIT */
/* dump.h - the rows of a task dump, collected by dump.c and printed by dump_text.c. */
#ifndef TTI_OBS_DUMP_H
#define TTI_OBS_DUMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TTI_DUMP_FRAMES_MAX 12

struct tti_dump_row {
	uint64_t id, parent_id;
	const char *name, *spawn_site;       /* static strings */
	const char *verb, *wait_site;        /* what it waits for; NULL unless parked */
	const void *object;
	int64_t since;                       /* monotonic ns it has been parked since */
	uint32_t state;                      /* enum tti_task_state */
	uint32_t cancel_bits;
	unsigned worker;
	unsigned n_frames;
	void *frames[TTI_DUMP_FRAMES_MAX];            /* return addresses, innermost first */
};

struct tti_dump {
	struct tti_dump_row *row;
	size_t n, cap;
	size_t *stack;                       /* of the walk that prints them: n + 2 places */
	unsigned n_workers;
	int64_t now;                         /* monotonic ns */
};

/* Where the text goes: all n bytes, or a code. */
typedef int tti_dump_write(void *to, const char *text, size_t n);

/* Sorts the rows and prints them as a tree. Returns 0 or what write failed with. */
int tti_dump_print(struct tti_dump *d, tti_dump_write *write, void *to);

#endif

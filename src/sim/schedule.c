/* SPDX-License-Identifier: MIT */
/*
 * schedule.c - the choices of a run, kept so that another run can repeat, vary or shorten
 * them; as a file, so that another process can.
 *
 * A line of the file is one choice: the number picked, of how many, what it was about. Only
 * the first word is read back; "-" there, and every choice behind the last line, means the
 * usual pick: the oldest task, the next worker in turn. A last line that does not end is
 * refused.
 *
 * TUTTI_SIM_REPLAY=file  repeats the choices of the file
 * TUTTI_SIM_RECORD=file  where the choices of a run are written, at its end or its failure
 *
 * Memory is the real environment's: it is not the program's that is tested.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/panic.h"
#include "sim/sim.h"

static void grow(struct tti_sim_schedule *s)
{
	size_t room = s->room == 0 ? 1024 : s->room * 2;
	struct tti_sim_choice *bigger = tti_sim_alloc(room * sizeof(*bigger));

	if (s->len > 0)
		memcpy(bigger, s->made, s->len * sizeof(*bigger));
	tti_env_real.free(s->made);
	s->made = bigger;
	s->room = room;
}

void tti_sim_schedule_note(struct tti_sim_schedule *s, const char *what, size_t n, size_t usual, size_t picked)
{
	if (!s->keep)
		return;
	if (s->len == s->room)
		grow(s);
	s->made[s->len++] = (struct tti_sim_choice){ what, (uint32_t)n, (uint32_t)usual, (uint32_t)picked };
}

/* ---- the file ---- */

/* The whole file with a zero behind it; freed by the caller. */
static char *file_text(const char *path, size_t *ret_len)
{
	size_t room = 65536, len = 0;
	char *text = tti_sim_alloc(room);
	long fd = tti_env_real.syscall(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0, 0), n = 0;

	TT_REQUIRE(fd >= 0, "TUTTI_SIM_REPLAY=%s cannot be read", path);
	while ((n = tti_env_real.syscall(SYS_read, fd, (long)(text + len), (long)(room - len - 1), 0, 0, 0)) > 0) {
		len += (size_t)n;
		if (len == room - 1) {
			char *bigger = tti_sim_alloc(room * 2);

			memcpy(bigger, text, len);
			tti_env_real.free(text);
			text = bigger;
			room *= 2;
		}
	}
	TT_REQUIRE(n == 0, "TUTTI_SIM_REPLAY=%s cannot be read", path);
	tti_env_real.syscall(SYS_close, fd, 0, 0, 0, 0, 0);
	text[len] = '\0';
	*ret_len = len;
	return text;
}

static size_t count_lines(const char *text, const char *end)
{
	size_t n = 0;

	for (; text < end; text++)
		n += *text == '\n';
	return n;
}

/* strtoul() alone would pass over an empty line, and over the end. */
static uint32_t parse_line(const char *line, const char *path, size_t number)
{
	TT_REQUIRE(*line == '-' || (*line >= '0' && *line <= '9'),
	           "TUTTI_SIM_REPLAY=%s: line %zu begins with neither a number nor -", path, number);
	return *line == '-' ? TTI_SIM_USUAL : (uint32_t)strtoul(line, NULL, 10);
}

static void load(struct tti_sim_schedule *s, const char *path)
{
	size_t len, n;
	char *text = file_text(path, &len), *at = text;

	/* Half a line is half a number: another choice, which nobody would notice. */
	TT_REQUIRE(len == 0 || text[len - 1] == '\n', "TUTTI_SIM_REPLAY=%s: the last line does not end; was the file cut off?",
	           path);
	n = count_lines(text, text + len);
	s->loaded = tti_sim_alloc((n + 1) * sizeof(*s->loaded));
	for (size_t i = 0; i < n; i++) {
		s->loaded[i] = parse_line(at, path, i + 1);
		at = (char *)memchr(at, '\n', (size_t)(text + len - at)) + 1;
	}
	tti_env_real.free(text);
	s->replay = s->loaded;
	s->replay_len = n;
}

const char *tti_sim_schedule_write(const struct tti_sim_schedule *s)
{
	char line[128];
	bool whole = true;
	long fd;

	if (s->record_path[0] == '\0')
		return NULL;
	fd = tti_env_real.syscall(SYS_openat, AT_FDCWD, (long)s->record_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
	                          0644, 0, 0);
	if (fd < 0)
		return NULL;
	for (size_t i = 0; i < s->len && whole; i++) {
		int n = snprintf(line, sizeof(line), "%u of %u %s\n", s->made[i].picked, s->made[i].n, s->made[i].what);

		whole = tti_env_real.syscall(SYS_write, fd, (long)line, n, 0, 0, 0) == n;
	}
	tti_env_real.syscall(SYS_close, fd, 0, 0, 0, 0, 0);
	return whole ? s->record_path : NULL;
}

/* ---- begin and end ---- */

static bool is_set(const char *text)
{
	return text != NULL && text[0] != '\0';
}

void tti_sim_schedule_init(struct tti_sim_schedule *s, const tt_sim_options *options)
{
	const char *replay = tti_env_var("TUTTI_SIM_REPLAY"), *record = tti_env_var("TUTTI_SIM_RECORD");

	*s = (struct tti_sim_schedule){ .replay = options->replay, .replay_len = options->replay_len };
	if (is_set(record)) {
		snprintf(s->record_path, sizeof(s->record_path), "%s", record);
		s->keep = true;
	}
	if (is_set(replay))
		load(s, replay);
}

void tti_sim_schedule_fini(struct tti_sim_schedule *s)
{
	tti_env_real.free(s->loaded);
	tti_env_real.free(s->made);
	s->loaded = NULL;
	s->made = NULL;
}

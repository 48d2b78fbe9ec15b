/* SPDX-License-Identifier: MIT */
/*
 * schedule.c - the choices of a run, kept so that another run can repeat, vary or shorten
 * them; as a file, so that another process can.
 *
 * A line of the file is one choice: the number picked, of how many, what it was about. Only
 * the first word is read back; "-" there, and every choice behind the last line, means the
 * usual pick: the oldest task, the next worker in turn.
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
	struct tti_sim_choice *bigger = tti_env_real.alloc(room * sizeof(*bigger));

	TT_REQUIRE(bigger != NULL, "simulator: out of real memory");
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
static char *file_text(const char *path)
{
	size_t room = 65536, len = 0;
	char *text = tti_env_real.alloc(room);
	long fd = tti_env_real.syscall(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0, 0), n = 0;

	TT_REQUIRE(fd >= 0, "TUTTI_SIM_REPLAY=%s cannot be read", path);
	TT_REQUIRE(text != NULL, "simulator: out of real memory");
	while ((n = tti_env_real.syscall(SYS_read, fd, (long)(text + len), (long)(room - len - 1), 0, 0, 0)) > 0) {
		len += (size_t)n;
		if (len == room - 1) {
			char *bigger = tti_env_real.alloc(room * 2);

			TT_REQUIRE(bigger != NULL, "simulator: out of real memory");
			memcpy(bigger, text, len);
			tti_env_real.free(text);
			text = bigger;
			room *= 2;
		}
	}
	TT_REQUIRE(n == 0, "TUTTI_SIM_REPLAY=%s cannot be read", path);
	tti_env_real.syscall(SYS_close, fd, 0, 0, 0, 0, 0);
	text[len] = '\0';
	return text;
}

static size_t count_lines(const char *text)
{
	size_t n = 0;

	while ((text = strchr(text, '\n')) != NULL) {
		text++;
		n++;
	}
	return n;
}

static void load(struct tti_sim_schedule *s, const char *path)
{
	char *text = file_text(path), *at = text;
	size_t n = count_lines(text);

	s->loaded = tti_env_real.alloc((n + 1) * sizeof(*s->loaded));
	TT_REQUIRE(s->loaded != NULL, "simulator: out of real memory");
	for (size_t i = 0; i < n; i++) {
		/* strtoul() alone would pass over an empty line, and over the end. */
		TT_REQUIRE(*at == '-' || (*at >= '0' && *at <= '9'),
		           "TUTTI_SIM_REPLAY=%s: line %zu begins with neither a number nor -", path, i + 1);
		s->loaded[i] = *at == '-' ? TTI_SIM_USUAL : (uint32_t)strtoul(at, NULL, 10);
		at = strchr(at, '\n') + 1;
	}
	tti_env_real.free(text);
	s->replay = s->loaded;
	s->replay_len = n;
}

const char *tti_sim_schedule_write(const struct tti_sim_schedule *s)
{
	char line[128];
	long fd;

	if (s->record_path[0] == '\0')
		return NULL;
	fd = tti_env_real.syscall(SYS_openat, AT_FDCWD, (long)s->record_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
	                          0644, 0, 0);
	if (fd < 0)
		return NULL;
	for (size_t i = 0; i < s->len; i++) {
		int n = snprintf(line, sizeof(line), "%u of %u %s\n", s->made[i].picked, s->made[i].n, s->made[i].what);

		if (tti_env_real.syscall(SYS_write, fd, (long)line, n, 0, 0, 0) != n)
			break;
	}
	tti_env_real.syscall(SYS_close, fd, 0, 0, 0, 0, 0);
	return s->record_path;
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

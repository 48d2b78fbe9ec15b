/* SPDX-License-Identifier: MIT */
/*
 * schedule_fuzz.c - fuzz target: schedule files (TUTTI_SIM_REPLAY) of any content.
 *
 * Who calls it: see fuzz.h. The input is the file.
 *
 * Claims  A file whose lines do not all begin with a number or "-", or whose last one does not end,
 *         ends the process with a line that names the file; every other one is replayed.
 *         A replay makes the choices of the file, each within what there was to choose from, and
 *         the usual ones where the file has "-" or has ended.
 *         The choices that were made, replayed, give the same run to the last record.
 */
#include <ctype.h>
#include <fcntl.h>
#include <sys/mman.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

#include "fuzz.h"
#include "refused.h"
#include "sim/sim.h"

TT_CHAN_TYPE(int_chan, int);

/* ---- a small program with something to choose ---- */

static TT_TASK(sender, (int_chan *, ch), (int, from))
{
	for (int i = 0; i < 3; i++)
		TT_TRY(tt_send(ch, &(int){ from * 10 + i }));
	return 0;
}

static TT_TASK(program, (uint64_t *, ret_order))
{
	static const tt_child_options anywhere = { .worker = TT_WORKER_ANY };
	int_chan ch;
	int got, rc = 0;

	TT_TRY(tt_chan_init(&ch, 1));
	{
		TT_GROUP(g);
		for (int i = 0; i < 4; i++)
			tt_go_with(&g, &anywhere, sender, &ch, i);
		for (int i = 0; i < 12 && rc >= 0; i++) {
			rc = tt_recv(&ch, &got);
			*ret_order = *ret_order * 31 + (uint64_t)got;
		}
		rc = tt_group_end(&g, rc < 0 ? rc : 0);
	}
	tt_chan_fini(&ch);
	return rc;
}

/* ---- what the file says ---- */

/* Every line ends, the last one too, and begins as it must. */
static bool is_sound(const char *text, size_t size)
{
	bool at_begin = true;

	for (size_t i = 0; i < size; i++) {
		if (at_begin && text[i] != '-' && !isdigit((unsigned char)text[i]))
			return false;
		at_begin = text[i] == '\n';
	}
	return at_begin;
}

/* Line i of a sound file, or NULL behind the last one. */
static const char *line_at(const char *text, size_t size, size_t i)
{
	const char *end = text + size;

	for (; text < end && i > 0; i--)
		text = (const char *)memchr(text, '\n', (size_t)(end - text)) + 1;
	return text < end ? text : NULL;
}

static void check_choice(const struct tti_sim_choice *c, const char *line)
{
	unsigned long long n;

	MUST(c->n >= 2 && c->picked < c->n && c->usual < c->n);
	if (line == NULL || *line == '-') {
		MUST(c->picked == c->usual);
		return;
	}
	n = strtoull(line, NULL, 10);
	/* What does not fit in the record is a choice all the same, but not one to predict. */
	if (n < UINT32_MAX)
		MUST(c->picked == n % c->n);
}

/* ---- running it ---- */

struct run {
	struct tti_sim_schedule schedule;
	tt_sim_report report;
	uint64_t order;
};

static void run_program(const tt_sim_options *o, struct run *r)
{
	struct tti_sim_setup setup = { .ret_schedule = &r->schedule };
	struct tt_args_program_ args = { &r->order };

	r->order = 0;
	MUST(tti_sim_run(o, &tt_type_program_, &args, TT_SITE, &setup) == 0);
	tt_sim_report_last(&r->report);
}

static void replay_file(void *path)
{
	tt_sim_options o = { .seed = 1, .workers = 2, .faults = TT_FAULTS_NONE };
	struct run r;

	setenv("TUTTI_SIM_REPLAY", path, 1);
	run_program(&o, &r);
	unsetenv("TUTTI_SIM_REPLAY");
	tti_sim_schedule_fini(&r.schedule);
}

static void check_same_again(const struct run *first)
{
	uint32_t *picks = fuzz_alloc(first->schedule.len * sizeof(*picks));
	tt_sim_options o = {
		.seed = 1, .workers = 2, .faults = TT_FAULTS_NONE, .strategy = TT_SIM_REPLAY, .replay = picks,
		.replay_len = first->schedule.len,
	};
	struct run again;

	for (size_t i = 0; i < first->schedule.len; i++)
		picks[i] = first->schedule.made[i].picked;
	run_program(&o, &again);
	MUST(again.report.trace_hash == first->report.trace_hash);
	MUST(again.report.trace_records == first->report.trace_records && again.order == first->order);
	tti_sim_schedule_fini(&again.schedule);
	free(picks);
}

static void check_replay(const char *path, const char *text, size_t size)
{
	tt_sim_options o = { .seed = 1, .workers = 2, .faults = TT_FAULTS_NONE };
	struct run r;

	setenv("TUTTI_SIM_REPLAY", path, 1);
	run_program(&o, &r);
	unsetenv("TUTTI_SIM_REPLAY");
	for (size_t i = 0; i < r.schedule.len; i++)
		check_choice(&r.schedule.made[i], line_at(text, size, i));
	check_same_again(&r);
	tti_sim_schedule_fini(&r.schedule);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_string(fuzz_input_of(data, size)), path[64];
	int fd = memfd_create("schedule", MFD_CLOEXEC);

	MUST(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (is_sound(text, size))
		check_replay(path, text, size);
	else if (refused_is_tried(data, size))
		must_be_refused(replay_file, path, path);
	close(fd);
	free(text);
	return 0;
}

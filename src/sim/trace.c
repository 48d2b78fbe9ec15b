/* SPDX-License-Identifier: MIT */
/*
 * trace.c - the trace of a run: each record is hashed, and written as a line of text
 * when TUTTI_SIM_TRACE names a file. Equal hashes mean equal runs.
 *
 * No record holds an address, a real time or a thread id; so the same seed gives the
 * same bytes in another process, under another address layout, from another compiler.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/panic.h"
#include "sim/sim.h"

static const char *const record_names[TTI_SIM_RECORDS] = {
	[TTI_SIM_CHOICE] = "choice",   [TTI_SIM_FAULT] = "fault",   [TTI_SIM_CALL] = "call",
	[TTI_SIM_RESULT] = "result",   [TTI_SIM_SUBMIT] = "submit", [TTI_SIM_CANCEL] = "cancel",
	[TTI_SIM_EFFECT] = "effect",   [TTI_SIM_DONE] = "done",     [TTI_SIM_EVENT] = "event",
	[TTI_SIM_SWITCH] = "switch",   [TTI_SIM_MESSAGE] = "message", [TTI_SIM_TURN] = "turn",
	[TTI_SIM_TIME] = "time",       [TTI_SIM_JOB] = "job",       [TTI_SIM_ENTROPY] = "entropy",
};

void tti_sim_trace_init(struct tti_sim_trace *t)
{
	const char *path = tti_env_var("TUTTI_SIM_TRACE");

	memset(t, 0, offsetof(struct tti_sim_trace, text));
	t->hash = UINT64_C(0x5eed5eed5eed5eed);
	t->text_fd = -1;
	if (path == NULL || path[0] == '\0')
		return;
	t->text_fd = (int)tti_env_real.syscall(SYS_openat, AT_FDCWD, (long)path,
	                                       O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644, 0, 0);
	TT_REQUIRE(t->text_fd >= 0, "TUTTI_SIM_TRACE=%s cannot be opened", path);
}

static void flush(struct tti_sim_trace *t)
{
	const char *p = t->text;

	while (t->text_len > 0) {
		long n = tti_env_real.syscall(SYS_write, t->text_fd, (long)p, (long)t->text_len, 0, 0, 0);

		TT_REQUIRE(n > 0, "TUTTI_SIM_TRACE: write failed");
		p += n;
		t->text_len -= (size_t)n;
	}
}

void tti_sim_trace_fini(struct tti_sim_trace *t)
{
	if (t->text_fd < 0)
		return;
	flush(t);
	tti_env_real.syscall(SYS_close, t->text_fd, 0, 0, 0, 0, 0);
	t->text_fd = -1;
}

static void write_line(struct tti_sim *sim, enum tti_sim_record kind, const char *what, uint64_t a, uint64_t b)
{
	struct tti_sim_trace *t = &sim->trace;
	int n;

	if (t->text_len + 160 > sizeof(t->text))
		flush(t);
	n = snprintf(t->text + t->text_len, sizeof(t->text) - t->text_len, "%lld w%u %s %.60s %lld %lld\n",
	             (long long)(sim->now - sim->start), sim->running, record_names[kind], what, (long long)a,
	             (long long)b);
	t->text_len += (size_t)n;
	if (kind == TTI_SIM_TURN)
		flush(t); /* so that a run that ends in abort() shows how it came there */
}

static uint64_t hash_word(uint64_t h, uint64_t word)
{
	h = (h ^ word) * UINT64_C(0x9fb21c651e98df25);
	return h ^ h >> 32;
}

static uint64_t hash_text(uint64_t h, const char *s)
{
	for (; *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
	return h;
}

long tti_sim_traced(struct tti_sim *sim, const char *what, uint64_t a, uint64_t b, long result)
{
	tti_sim_trace(sim, TTI_SIM_CALL, what, a, b);
	tti_sim_trace(sim, TTI_SIM_RESULT, what, (uint64_t)result, 0);
	return result;
}

void tti_sim_trace(struct tti_sim *sim, enum tti_sim_record kind, const char *what, uint64_t a, uint64_t b)
{
	struct tti_sim_trace *t = &sim->trace;
	uint64_t h = t->hash;

	h = hash_word(h, (uint64_t)kind << 32 | sim->running);
	h = hash_text(h, what);
	h = hash_word(h, (uint64_t)(sim->now - sim->start));
	h = hash_word(h, a);
	t->hash = hash_word(h, b);
	t->records++;
	if (t->text_fd >= 0)
		write_line(sim, kind, what, a, b);
}

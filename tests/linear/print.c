/* SPDX-License-Identifier: MIT */
/*
 * print.c - what a failure shows: the program, and its history as a table with one column for
 * each task, up to the event that nothing explains, with what the model held possible before
 * it. Called by program.c and the tests; also while a process dies, so that it only formats and
 * writes.
 */
#include "linear.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define COLUMN 26
#define LINE 400

struct line {
	char text[LINE];
	size_t n;
};

TT_PRINTF(2, 3) static void add(struct line *l, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(l->text + l->n, sizeof(l->text) - l->n, fmt, ap);
	va_end(ap);
	l->n = n >= 0 && (size_t)n < sizeof(l->text) - l->n ? l->n + (size_t)n : sizeof(l->text) - 1;
}

static void end_line(struct line *l)
{
	l->text[l->n < LINE - 1 ? l->n++ : LINE - 1] = '\n';
	TT_IGNORE(write(STDERR_FILENO, l->text, l->n));
	l->n = 0;
}

static void pad_to(struct line *l, size_t column)
{
	while (l->n < column)
		add(l, " ");
}

static void add_code(struct line *l, int rc)
{
	if (rc < 0)
		add(l, "%s", tt_error_name(rc));
	else
		add(l, "%d", rc);
}

static void add_name(struct line *l, const struct lin_kind *k, int arg)
{
	if (k->args != 0)
		add(l, "%s(%d)", k->name, arg);
	else
		add(l, "%s", k->name);
}

/* ---- programs ---- */

static void add_plan(struct line *l, const struct lin_spec *spec, const struct lin_plan *p)
{
	if (p->pause == LIN_YIELD)
		add(l, "yield, ");
	else if (p->pause == LIN_SLEEP)
		add(l, "sleep %lld us, ", (long long)p->pause_ns / 1000);
	if (p->cancels)
		add(l, "cancel task %d or who waits", p->arg);
	else
		add_name(l, &spec->kinds[p->kind], p->arg);
	if (!p->cancels && p->timeout != TT_NEVER)
		add(l, " within %lld us", (long long)p->timeout / 1000);
}

void lin_print_program(const struct lin_spec *spec, const struct lin_program *p)
{
	struct line l = { .n = 0 };

	add(&l, "program 0x%llx of %s, parameter %u; who is stuck in the end is cancelled%s", (unsigned long long)p->seed,
	    spec->name, p->param, p->cancels_all ? ", all together" : "");
	end_line(&l);
	for (unsigned task = 0; task < p->tasks; task++) {
		const char *between = " ";

		add(&l, "  task %u:", task);
		for (unsigned i = 0; i < p->len; i++) {
			if (p->plan[task][i].dropped)
				continue;
			add(&l, "%s", between);
			add_plan(&l, spec, &p->plan[task][i]);
			between = "; ";
		}
		end_line(&l);
	}
}

/* ---- histories ---- */

static void add_result(struct line *l, const struct lin_call *c)
{
	add(l, "= ");
	add_code(l, c->rc);
	if (c->value != 0 || c->more != 0)
		add(l, " (%d", c->value);
	if (c->more != 0)
		add(l, ", %d", c->more);
	if (c->value != 0 || c->more != 0)
		add(l, ")");
}

static void add_event(struct line *l, const struct lin_spec *spec, const struct lin_history *h, const struct lin_event *e)
{
	const struct lin_call *c = &h->calls[e->call];

	switch ((enum lin_event_kind)e->kind) {
	case LIN_INVOKE:
		add_name(l, &spec->kinds[c->kind], c->arg);
		break;
	case LIN_RETURN:
		add_result(l, c);
		break;
	case LIN_BEGIN:
		add(l, "its body begins");
		break;
	case LIN_END:
		add(l, "its body ends: ");
		add_code(l, c->rc_body);
		break;
	case LIN_CANCEL:
		add(l, "is cancelled");
		break;
	case LIN_CANCEL_ALL:
		add(l, "all are cancelled");
		break;
	case LIN_QUIET:
		add(l, "(all parked)");
		break;
	case LIN_NOTE:
		add(l, "note %d: %d", e->what, e->number);
		break;
	}
}

static bool is_of_a_task(const struct lin_event *e)
{
	return e->kind != LIN_QUIET && e->kind != LIN_CANCEL_ALL && e->kind != LIN_NOTE;
}

static void print_event(const struct lin_spec *spec, const struct lin_history *h, unsigned i, const char *mark)
{
	const struct lin_event *e = &h->events[i];
	struct line l = { .n = 0 };

	add(&l, "%3u", i);
	pad_to(&l, 5 + COLUMN * (is_of_a_task(e) ? h->calls[e->call].task : h->tasks));
	add_event(&l, spec, h, e);
	add(&l, "%s", mark);
	end_line(&l);
}

static void print_states(const struct lin_spec *spec, const struct lin_verdict *v)
{
	static const char *const phases[] = {
		[LIN_IDLE] = "idle", [LIN_NEW] = "new", [LIN_WAITING] = "in line", [LIN_BLOCKED] = "blocked",
		[LIN_DUE] = "due", [LIN_MOVES] = "moves", [LIN_DONE] = "done",
	};
	struct line l = { .n = 0 };

	add(&l, "%u states were possible before that:", v->n_last);
	end_line(&l);
	for (unsigned i = 0; i < v->n_last && i < sizeof(v->last) / sizeof(v->last[0]); i++) {
		char text[200] = "";

		spec->print(&v->last[i], text, sizeof(text));
		add(&l, "  %s; tasks:", text);
		for (unsigned task = 0; task < LIN_TASKS; task++)
			add(&l, " %s", phases[v->last[i].phase[task]]);
		end_line(&l);
	}
}

void lin_print_history(const struct lin_spec *spec, const struct lin_history *h, const struct lin_verdict *v)
{
	bool bad = v != NULL && !v->ok;
	unsigned last = bad ? v->at + 1 : h->n_events;
	struct line l = { .n = 0 };

	add(&l, "     ");
	for (unsigned task = 0; task < h->tasks; task++) {
		pad_to(&l, 5 + (size_t)COLUMN * task);
		add(&l, "task %u", task);
	}
	end_line(&l);
	for (unsigned i = 0; i < last && i < LIN_EVENTS; i++)
		print_event(spec, h, i, bad && i == v->at ? "   <-- nothing explains this" : "");
	if (bad && v->too_many) {
		add(&l, "more than %d states: not decided", LIN_STATES);
		end_line(&l);
	}
	if (bad)
		print_states(spec, v);
}

/* SPDX-License-Identifier: MIT */
/*
 * error_text.c - codes and chains as text and as JSON: names of codes, domains of
 * applications, the report on stderr.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/panic.h"
#include "env/env.h"
#include "task/error.h"
#include "task/task.h"

#include <sys/syscall.h>

struct own_code {
	int code;
	const char *name, *text;
};

static const struct own_code own_codes[] = {
	{ TT_ECLOSED, "TT_ECLOSED", "Closed" },
	{ TT_ETORN, "TT_ETORN", "Stream is torn: an earlier write stopped half way" },
	{ TT_ESTOP, "TT_ESTOP", "Stop was asked for" },
	{ TT_EWRONGCTX, "TT_EWRONGCTX", "Only tasks may make this call" },
	{ TT_ENOHOST, "TT_ENOHOST", "Name does not resolve" },
	{ TT_EEOF, "TT_EEOF", "Stream ended too early" },
	{ TT_EBROKEN, "TT_EBROKEN", "Barrier is broken: a party was cancelled or failed" },
};

/* Filled by constructors before main(), read-only after. */
#define DOMAINS_MAX 64
static const struct tt_error_domain_ *domains[DOMAINS_MAX];
static size_t n_domains;

/* The name a code is registered under, and its text; NULL when nobody registered it. */
static const char *domain_name(int code, const char **ret_text)
{
	for (size_t d = 0; d < n_domains; d++)
		for (size_t i = 0; i < domains[d]->count; i++)
			if (domains[d]->codes[i].code == code) {
				*ret_text = domains[d]->codes[i].text;
				return domains[d]->names[i];
			}
	return NULL;
}

void tt_error_register_(const struct tt_error_domain_ *d)
{
	const char *text, *other;

	for (size_t i = 0; i < d->count; i++) {
		TT_REQUIRE(d->codes[i].code <= TT_ERROR_DOMAIN_FIRST, "error codes %s: %s = %d is above %d", d->name,
		           d->names[i], d->codes[i].code, TT_ERROR_DOMAIN_FIRST);
		other = domain_name(d->codes[i].code, &text);
		TT_REQUIRE(other == NULL, "error codes %s: %s = %d is taken by %s", d->name, d->names[i],
		           d->codes[i].code, other);
	}
	TT_REQUIRE(n_domains < DOMAINS_MAX, "error codes %s: more than %d domains", d->name, DOMAINS_MAX);
	domains[n_domains++] = d;
}

static const struct own_code *own_code(int code)
{
	for (size_t i = 0; i < sizeof(own_codes) / sizeof(own_codes[0]); i++)
		if (own_codes[i].code == code)
			return &own_codes[i];
	return NULL;
}

const char *tt_strerror(int code)
{
	const struct own_code *own = own_code(code);
	const char *s;

	if (domain_name(code, &s) != NULL)
		return s;
	if (own != NULL)
		return own->text;
	s = code < 0 ? strerrordesc_np(-code) : NULL;
	return s != NULL ? s : code >= 0 ? "Success" : "Unknown error";
}

const char *tt_error_name(int code)
{
	const struct own_code *own = own_code(code);
	const char *s, *text;

	s = domain_name(code, &text);
	if (s != NULL)
		return s;
	if (own != NULL)
		return own->name;
	s = code < 0 ? strerrorname_np(-code) : NULL;
	return s != NULL ? s : "?";
}

/* Appends to a buffer that may be too small, counting what would have been written. */
struct out {
	char *buf;
	size_t size, len;
};

TT_PRINTF(2, 3) static void put(struct out *o, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(o->len < o->size ? o->buf + o->len : NULL, o->len < o->size ? o->size - o->len : 0, fmt, ap);
	va_end(ap);
	if (n > 0)
		o->len += (size_t)n;
}

static void put_code(struct out *o, const char *text, int code)
{
	if (text != NULL && text[0] != '\0')
		put(o, "%s: ", text);
	put(o, "%s (%s)", tt_strerror(code), tt_error_name(code));
}

static void put_task(struct out *o, const struct tt_error_node *n)
{
	if (n->task_name == NULL || n->spawn_site == NULL)
		return;
	put(o, "\n  task %s#%llu, spawned at %s", n->task_name, (unsigned long long)n->task_id, n->spawn_site);
	if (n->parent_name != NULL)
		put(o, " by %s#%llu", n->parent_name, (unsigned long long)n->parent_id);
}

static void put_trace(struct out *o, const struct tt_error_node *n)
{
	char frame[256];

	for (unsigned i = 0; n->trace != NULL && i < n->trace->n; i++) {
		tti_trace_text(n->trace->frames[i], frame, sizeof(frame));
		put(o, "\n    at %s", frame);
	}
}

static void put_causes(struct out *o, const struct tt_error_node *head)
{
	const struct tt_error_node *n = head->cause != NULL ? head->cause : head;

	for (; n != NULL; n = n->cause) {
		if (n->func != NULL)
			put(o, "\n  in %s, %s", n->func, n->site);
		if (n != head && n->text[0] != '\0')
			put(o, ": %s", n->text);
		if (n->cause == NULL || n->cause->task_id != n->task_id)
			put_task(o, n);
		put_trace(o, n);
	}
}

static void put_sibling(struct out *o, const struct tt_error_node *s)
{
	put(o, "\n  also failed: ");
	if (s->task_name != NULL)
		put(o, "%s#%llu: ", s->task_name, (unsigned long long)s->task_id);
	put(o, "%s%s%s (%s)", tt_strerror(s->code), s->text[0] != '\0' ? ": " : "", s->text, tt_error_name(s->code));
}

/* Siblings hang at the step that was outermost when their group ended. */
static void put_siblings(struct out *o, const struct tt_error_node *head)
{
	for (const struct tt_error_node *n = head; n != NULL; n = n->cause)
		for (const struct tt_error_node *s = n->sibling; s != NULL; s = s->sibling)
			put_sibling(o, s);
}

static void put_chain(struct out *o, const struct tti_error *e)
{
	put_code(o, e->head != NULL ? e->head->text : NULL, e->code);
	if (e->head != NULL) {
		put_causes(o, e->head);
		put_siblings(o, e->head);
	}
	if (e->dropped > 0)
		put(o, "\n  (%u more without room for their text)", e->dropped);
}

int tt_error_text(const tt_error *e, char *ret_buf, size_t n)
{
	struct out o = { ret_buf, n, 0 };

	put_chain(&o, (const struct tti_error *)(const void *)e);
	return (int)o.len;
}

static void put_json_string(struct out *o, const char *s)
{
	put(o, "\"");
	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			put(o, "\\%c", c);
		else if (c < 0x20)
			put(o, "\\u%04x", c);
		else
			put(o, "%c", c);
	}
	put(o, "\"");
}

static void put_json_trace(struct out *o, const struct tti_trace *t)
{
	char frame[256];

	put(o, ",\"trace\":[");
	for (unsigned i = 0; i < t->n; i++) {
		tti_trace_text(t->frames[i], frame, sizeof(frame));
		put(o, "%s", i > 0 ? "," : "");
		put_json_string(o, frame);
	}
	put(o, "]");
}

static void put_json_node(struct out *o, const struct tt_error_node *n)
{
	put(o, "{\"code\":%d,\"name\":", n->code);
	put_json_string(o, tt_error_name(n->code));
	put(o, ",\"message\":");
	put_json_string(o, n->text);
	if (n->site != NULL) {
		put(o, ",\"site\":");
		put_json_string(o, n->site);
	}
	if (n->func != NULL) {
		put(o, ",\"function\":");
		put_json_string(o, n->func);
	}
	if (n->task_name != NULL) {
		put(o, ",\"task\":");
		put_json_string(o, n->task_name);
		put(o, ",\"task_id\":%llu", (unsigned long long)n->task_id);
	}
	if (n->trace != NULL)
		put_json_trace(o, n->trace);
	put(o, "}");
}

static void put_json_chain(struct out *o, const struct tt_error_node *head)
{
	put(o, ",\"chain\":[");
	for (const struct tt_error_node *n = head; n != NULL; n = n->cause) {
		if (n != head)
			put(o, ",");
		put_json_node(o, n);
	}
	put(o, "]");
}

static void put_json_siblings(struct out *o, const struct tt_error_node *head)
{
	const char *between = "";

	put(o, ",\"siblings\":[");
	for (const struct tt_error_node *n = head; n != NULL; n = n->cause)
		for (const struct tt_error_node *s = n->sibling; s != NULL; s = s->sibling) {
			put(o, "%s", between);
			between = ",";
			put_json_node(o, s);
		}
	put(o, "]");
}

int tt_error_json(const tt_error *e, char *ret_buf, size_t n)
{
	const struct tti_error *own = (const struct tti_error *)(const void *)e;
	struct out o = { ret_buf, n, 0 };

	put(&o, "{\"code\":%d,\"name\":", own->code);
	put_json_string(&o, tt_error_name(own->code));
	put(&o, ",\"text\":");
	put_json_string(&o, tt_strerror(own->code));
	put_json_chain(&o, own->head);
	put_json_siblings(&o, own->head);
	put(&o, ",\"dropped\":%u}", own->dropped);
	return (int)o.len;
}

void tti_error_print(const struct tti_error *e, const char *prefix)
{
	char text[4096];
	struct out o = { text, sizeof(text) - 1, 0 };

	put(&o, "%s: ", prefix);
	put_chain(&o, e);
	if (o.len > sizeof(text) - 2)
		o.len = sizeof(text) - 2;
	text[o.len] = '\n';
	tti_env_syscall(SYS_write, 2, (long)text, (long)o.len + 1, 0, 0, 0);
}

void tt_error_report(int rc, const char *fmt, ...)
{
	struct tti_error *e = tti_error_here();
	struct tti_error bare;
	char prefix[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(prefix, sizeof(prefix), fmt, ap);
	va_end(ap);
	if (e->code != rc) {
		tti_error_init(&bare);
		bare.code = rc;
		e = &bare;
	}
	tti_error_print(e, prefix);
}
